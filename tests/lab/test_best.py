"""Which row is best is decided in one place: every view of a run gives the same."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from labkit import toy

import feasible
from feasible.core.registry import load_method
from feasible.lab.standings import standings
from feasible.lab.store import Store
from feasible.lab.stored import stored_result
from feasible.lab.study import Study, StudyReport


def wild(seed: int):
    """A function of random outcomes: ties, violations, missing objectives, NaN, failures."""

    def fun(x):
        rng = np.random.default_rng([seed, *(int(v * 2**40) for v in x)])
        kind = rng.random()
        load = float(rng.choice([0.2, 0.4999999, 0.5, 0.9]))
        if kind < 0.15:
            raise RuntimeError("mesh broke")
        if kind < 0.3:
            return {"cost": math.nan, "load": load}
        if kind < 0.45:
            return {"cost": None, "load": 0.3}
        return {"cost": float(rng.integers(4)), "load": load}

    return toy(fun, maximize=bool(seed % 2))


@pytest.mark.parametrize("seed", range(12))
def test_every_view_of_a_run_names_the_same_best(tmp_path: Path, seed):
    problem = wild(seed)
    store = Store(tmp_path / "a.db")
    n = 1 + 3 * seed
    result = feasible.solve(
        problem, "random-search", n, seed, store=store, name="r", on_failure="skip"
    )
    row = store.run("r")
    best = result.answer

    back = stored_result(store, row, problem)
    assert back.answer.id == best.id
    assert back.verdict == result.verdict
    assert row.result["id"] == best.id

    stored = {r.row: r for r in store.evaluations(row.id)}[best.id]
    assert stored.x == best.x.tolist()
    assert stored.metrics == dict(best.metrics)

    for other in stored_verdicts(store, row.id, problem):
        assert not other.beats(result.verdict)
    assert result.trail[-1].verdict == result.verdict

    frame = result.to_frame()
    good = frame[frame["feasible"]]
    assert len(good) == 0 or result.verdict.feasible
    if result.verdict.feasible:
        extreme = good["cost"].max() if problem.maximize else good["cost"].min()
        assert extreme == best.metrics["cost"] == frame["best"].iloc[-1]

    race = feasible.race(problem, "random-search", n, [seed])
    trial = race.trials[0]
    assert (trial.answer, trial.violation, trial.feasible) == (
        best.x.tolist(),
        result.verdict.violation,
        result.verdict.feasible,
    )
    assert standings(race).to_frame()["feasible_rate"].iloc[0] == float(result.verdict.feasible)

    study = Study.create(
        store,
        toy(None, maximize=problem.maximize),
        load_method("random-search"),
        feasible.Budget(evaluations=n),
        name="s",
    )
    for r in store.evaluations(row.id):
        study.tell(
            [
                StudyReport(
                    None,
                    dict(zip(("x1", "x2"), r.x, strict=True)),
                    dict(r.metrics),
                    "failed" if r.status == 2 else "",
                    r.reason,
                )
            ]
        )
    assert study.best().id == best.id
    assert study.result().verdict == result.verdict


def stored_verdicts(store: Store, run: int, problem):
    """A verdict on every stored row."""
    from feasible.lab.stored import measured

    seen = measured(problem, store.evaluations(run))
    return [problem.judge(seen.observation(i)) for i in range(len(seen))]


@pytest.mark.parametrize("seed", range(3))
def test_the_best_never_gets_worse_as_rows_come_in(tmp_path: Path, seed):
    problem = wild(seed)
    twin = toy(None, maximize=problem.maximize)
    study = Study.create(
        Store(tmp_path / "a.db"),
        twin,
        load_method("random-search"),
        feasible.Budget(evaluations=25),
    )
    last = None
    for row in study.ask(25):
        outcome = problem.outcome(np.array(row.x))
        study.tell(
            [
                StudyReport(
                    row.row,
                    None,
                    outcome.metrics,
                    "failed" if outcome.failed else "",
                    outcome.failed,
                )
            ]
        )
        best = study.best()
        verdict = problem.judge(best)
        assert last is None or not last.beats(verdict)
        last = verdict
