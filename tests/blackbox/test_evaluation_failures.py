"""Evaluations that fail, checks before them, and replays: what is charged, kept and seen again."""

from __future__ import annotations

import numpy as np
import pytest
from limited import BOX, Counted, limited, staged
from tiny import Listed, Sample, go, rows, same_rows

from feasible.blackbox import BlackBox, noisy
from feasible.core.budget import Budget, Meter
from feasible.core.errors import Diverged, EvaluationFailed
from feasible.core.evaluating import RunOptions
from feasible.core.ledger import Ledger
from feasible.core.run import Run, run

# -- failures --------------------------------------------------------------------------------------


def sometimes(x):
    if x[0] > 0.5:
        raise RuntimeError("mesh: too fine")
    return x[1]


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_failure_ends_the_run_with_its_reason_and_stays_in_the_ledger(vectorized):
    def fun(x):
        if (x[..., 0] > 0.5).any():
            raise RuntimeError("mesh: too fine")
        return x[..., 1]

    budget = Budget(evaluations=50)
    current = Run(
        BlackBox(fun, BOX, name="part", vectorized=vectorized), Sample(), budget, 0, Meter(budget)
    )
    with pytest.raises(
        EvaluationFailed, match=r"evaluation \d+ of 'part' failed: RuntimeError: mesh: too fine"
    ):
        run(current)
    last = current.ledger.all()
    assert current.ledger.count == current.meter.spent["evaluations"]
    assert 2 in last.status


def test_with_skip_the_run_goes_on_and_says_how_many_failed_and_why():
    result = go(BlackBox(sometimes, BOX), 30, on_failure="skip")
    seen = rows(result)
    failed = seen.x[:, 0] > 0.5
    assert result.spent["evaluations"] == 30 == len(seen)
    assert (seen.status == np.where(failed, 2, 0)).all()
    assert set(seen.reason.values()) == {"RuntimeError: mesh: too fine"}
    assert result.verdict.feasible
    assert (
        f"{failed.sum()} evaluations without a value ({failed.sum()} RuntimeError)" in result.notes
    )


def test_when_everything_fails_there_is_no_feasible_answer_and_a_sentence():
    result = go(BlackBox(lambda x: 1 / 0, BOX), 5, on_failure="skip")
    assert not result.verdict.feasible
    assert result.spent["evaluations"] == 5
    assert any("no feasible point found" in n for n in result.notes)


def test_a_retry_is_charged_and_its_outcome_counts():
    calls: dict[bytes, int] = {}

    def flaky(x):
        calls[x.tobytes()] = calls.get(x.tobytes(), 0) + 1
        if calls[x.tobytes()] == 1:
            raise OSError("licence")
        return x[0]

    told = []

    class Told(Sample):
        def tell(self, problem, state, seen):
            told.append(seen)

    result = go(BlackBox(flaky, BOX), 16, Told(batch=4), retry=1)
    assert result.spent["evaluations"] == 16 == sum(calls.values()) == len(rows(result))
    assert set(calls.values()) == {2}
    assert all((s.status == 0).all() for s in told)
    assert result.verdict.feasible


@pytest.mark.parametrize("retry", [0, 1, 3])
def test_retries_never_pass_the_budget(retry):
    fun = Counted(lambda x: 1 / 0)
    for k in range(1, 12):
        fun.points.clear()
        assert (
            go(BlackBox(fun, BOX), k, on_failure="skip", retry=retry).spent["evaluations"]
            == k
            == len(fun.points)
        )


def test_after_the_last_retry_the_failure_ends_the_run():
    fun = Counted(lambda x: 1 / 0)
    with pytest.raises(EvaluationFailed, match="ZeroDivisionError"):
        go(BlackBox(fun, BOX), 50, Sample(batch=1), retry=2)
    assert len(fun.points) == 3


@pytest.mark.parametrize("vectorized", [False, True])
def test_an_interrupt_leaves_a_row_before_it_travels_on(vectorized):
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return x[..., 0]

    stored = []
    budget = Budget(evaluations=50)
    result = run(
        Run(
            BlackBox(fun, BOX, vectorized=vectorized),
            Sample(),
            budget,
            0,
            Meter(budget),
            Ledger(lambda seen: stored.extend(seen.status.tolist())),
        )
    )
    assert result.stopped.startswith("interrupted")
    assert len(stored) == result.ledger.count == result.spent["evaluations"]
    assert 3 in rows(result).status
    assert result.verdict.feasible


def test_columns_that_some_rows_lack_are_joined():
    n = iter(range(100))

    def fun(x):
        i = next(n)
        if i == 0:
            raise OSError("first")
        return {"cost": x[0], f"extra{i % 3}": 1.0}

    result = go(BlackBox(fun, BOX, objective="cost"), 9, Sample(batch=2), on_failure="skip")
    assert set(rows(result).columns) == {"cost", "extra0", "extra1", "extra2"}
    assert len(result.to_frame()) == 9


def test_the_objective_may_get_its_name_after_the_first_failure():
    n = iter(range(100))

    def fun(x):
        if next(n) == 0:
            raise OSError("first")
        return {"cost": x[0]}

    result = go(BlackBox(fun, BOX), 6, Sample(batch=2), on_failure="skip")
    assert "cost" in result.to_frame().columns
    assert "objective" not in result.to_frame().columns


# -- stages ----------------------------------------------------------------------------------------


def test_the_expensive_stage_runs_only_where_the_check_passes_and_each_has_its_resource():
    check, fun = (
        Counted(lambda x: {"fits": x[0] + x[1]}),
        Counted(lambda x: {"cost": x[0], "heat": x[1]}),
    )
    result = go(staged(check, fun), "checks=30,evaluations=100")
    assert result.spent["checks"] == 30 == len(check.points) == len(rows(result))
    assert result.spent["evaluations"] == len(fun.points) == sum(x.sum() >= 1 for x in check.points)
    assert all(x.sum() >= 1 for x in fun.points)
    assert result.verdict.feasible


def test_points_that_fail_the_check_are_infeasible_with_the_violation_that_was_measured():
    seen = rows(go(staged(), "checks=30,evaluations=100"))
    short = 1 - seen.x.sum(axis=1)
    out = short > 1e-6
    assert out.any()
    assert (seen.status[out] == 1).all()
    assert seen.violation[out] == pytest.approx(short[out])


@pytest.mark.parametrize("k", range(1, 8))
def test_the_budget_of_evaluations_is_exact_and_the_rest_stays_checked(k):
    fun = Counted(lambda x: {"cost": x[0], "heat": x[1]})
    result = go(staged(fun=fun), {"checks": 200, "evaluations": k})
    assert len(fun.points) == k == result.spent["evaluations"]
    assert (rows(result).status == 0).sum() == k


def test_a_check_that_raises_is_a_failure_that_costs_no_evaluation():
    result = go(staged(check=lambda x: 1 / 0), "checks=6,evaluations=6", on_failure="skip")
    assert result.spent["evaluations"] == 0
    assert set(rows(result).reason.values()) == {"check: ZeroDivisionError: division by zero"}


def test_a_second_stage_that_raises_keeps_what_the_check_measured():
    seen = rows(go(staged(fun=lambda x: 1 / 0), "checks=12,evaluations=12", on_failure="skip"))
    failed = seen.status == 2
    assert failed.any()
    assert not np.isnan(seen.values[failed, seen.columns.index("fits")]).any()


def replayed(problem, budget, first, method=None, **options):
    """Run again from the rows of an earlier run."""
    budget = Budget.of(budget)
    ledger = Ledger()
    ledger.replay = {i: rows(first).rows(slice(i, i + 1)) for i in range(len(rows(first)))}
    return run(
        Run(
            problem,
            method or Sample(),
            budget,
            0,
            Meter(budget),
            ledger,
            options=RunOptions(**options),
        )
    )


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: {"cost": x[0], "heat": x[1]},
        lambda x: {"cost": x[0], "heat": x[1]} if x[0] < 0.6 else 1 / 0,
        lambda x: {"cost": x[0], "heat": x[1]} if x[1] < 0.6 else {"heat": 3.0},
    ],
)
@pytest.mark.parametrize("cut", [1, 5, 11])
def test_a_replayed_staged_run_pays_for_nothing_again_and_ends_like_the_whole_one(fun, cut):
    def problem(f):
        return staged(fun=f)

    whole = go(problem(fun), "checks=24,evaluations=9", on_failure="skip")
    part = go(problem(fun), f"checks={cut},evaluations=9", on_failure="skip")
    counted = Counted(fun)
    again = replayed(problem(counted), "checks=24,evaluations=9", part, on_failure="skip")
    assert same_rows(rows(again), rows(whole))
    assert len(counted.points) == whole.spent["evaluations"] - part.spent["evaluations"]
    for resource in ("checks", "evaluations"):
        assert again.spent[resource] == whole.spent[resource]


def test_more_budget_goes_on_with_what_was_only_checked():
    whole = go(staged(), "checks=16,evaluations=16")
    part = go(staged(), "checks=16,evaluations=3")
    again = replayed(staged(), "checks=16,evaluations=16", part)
    assert same_rows(rows(again), rows(whole))


# -- replay of plain runs --------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 4, 6, 19])
@pytest.mark.parametrize("make", [limited, lambda f=None: noisy(limited(f), 0.3)])
def test_a_replayed_run_calls_the_function_only_for_new_rows_and_equals_the_whole_one(cut, make):
    whole, part = go(make(), 20), go(make(), cut)
    fun = Counted(lambda x: ((x[0] - 0.3) ** 2 + x[1], [x[0] + x[1]]))
    again = replayed(make(fun), 20, part)
    assert same_rows(rows(again), rows(whole))
    assert again.answer.id == whole.answer.id
    assert again.ledger.fresh == 20 - cut


def test_a_replayed_run_finds_the_name_of_the_objective_in_its_rows():
    def make():
        return BlackBox(lambda x: {"cost": x[0], "sum": x[1]}, BOX, limits={"sum": "<= 0.5"})

    whole = go(make(), 9)
    again = replayed(make(), 9, whole)
    assert again.verdict == whole.verdict
    assert again.table() == whole.table()


def test_a_changed_method_is_noticed_on_replay():
    part = go(limited(), 4)
    with pytest.raises(Diverged, match=r"row 0 .* now proposes"):
        replayed(limited(), 20, part, Listed(points=[[0.5, 0.5]]))
