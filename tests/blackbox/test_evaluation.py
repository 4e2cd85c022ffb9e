"""Evaluating in a run: exact budgets, free repeats, forbidden points, failures, stages, workers;
and what is in the ledger afterwards.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import NonlinearConstraint
from tiny import Listed, Sample, go, rows, same_rows

import feasible
from feasible.blackbox import BlackBox, Integer, Real, noisy
from feasible.core.budget import Budget, Meter
from feasible.core.errors import Diverged, EvaluationFailed
from feasible.core.evaluating import RunOptions
from feasible.core.ledger import Ledger
from feasible.core.run import Run, run
from feasible.core.verdict import Verdict
from feasible.lab.engines import LocalProcesses

BOX = [(0, 1), (0, 1)]


class Counted:
    """A function that keeps every point it was called with."""

    def __init__(self, fun=lambda x: (x[0] - 0.3) ** 2 + x[1]):
        self.fun, self.points = fun, []

    def __call__(self, x):
        self.points.append(np.array(x))
        return self.fun(x)


def limited(fun=None, **more):
    """Half of the box is infeasible."""
    return BlackBox(
        fun or (lambda x: ((x[0] - 0.3) ** 2 + x[1], [x[0] + x[1]])),
        BOX,
        limits={"sum": ">= 1"},
        **more,
    )


# -- budget ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("batch", [1, 3, 7])
@pytest.mark.parametrize("k", [1, 2, 6, 7, 8, 13, 20])
def test_a_budget_of_k_is_exactly_k_calls_also_when_a_batch_would_pass_it(k, batch, vectorized):
    called = []
    problem = BlackBox(
        (lambda x: called.extend(x) or x[:, 0])
        if vectorized
        else (lambda x: called.append(x) or x[0]),
        BOX,
        vectorized=vectorized,
    )
    result = go(problem, k, Sample(batch=batch))
    assert (
        len(called) == k == result.spent["evaluations"] == len(rows(result)) == result.ledger.count
    )
    assert result.stopped.startswith("budget used up")


def test_a_budget_cut_at_every_charge_leaves_a_valid_answer_that_never_gets_worse():
    best: Verdict | None = None
    whole = go(limited(), 40, Sample(batch=7))
    for k in range(1, 41):
        result = go(limited(), k, Sample(batch=7))
        assert same_rows(rows(result), rows(whole).rows(slice(0, k)))
        assert result.answer.id < k
        assert result.verdict == result.problem.judge(result.answer)
        if best is not None:
            assert not best.beats(result.verdict)
        best = result.verdict
    assert best.feasible


@settings(max_examples=40)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 5))
def test_every_paid_row_counts_for_the_best(k, batch, seed):
    result = go(limited(), k, Sample(batch=batch), seed)
    verdicts = [result.problem.judge(rows(result).observation(i)) for i in range(k)]
    assert not any(v.beats(result.verdict) for v in verdicts)
    assert verdicts[result.answer.id] == result.verdict


def test_every_evaluated_point_lies_inside_the_bounds_and_is_whole_where_it_must():
    fun = Counted(lambda x: 1.0)
    points = np.random.default_rng(0).normal(0, 50, (200, 2))
    go(
        BlackBox(fun, variables=[Real("h", -1, 2), Integer("n", -3, 4)]),
        200,
        Listed(points=points, batch=9),
    )
    x = np.array(fun.points)
    assert (x >= [-1, -3]).all()
    assert (x <= [2, 4]).all()
    assert (x[:, 1] == np.round(x[:, 1])).all()


# -- repeats and forbidden points ------------------------------------------------------------------

TWICE = [[0.1, 0.1], [0.2, 0.2], [0.1, 0.1], [0.3, 0.3], [0.2, 0.2], [-0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("batch", [1, 3, 7])
@pytest.mark.parametrize("vectorized", [False, True])
def test_exact_repeats_of_a_deterministic_problem_are_free_and_answered(batch, vectorized):
    fun = Counted((lambda x: x[:, 0]) if vectorized else (lambda x: x[0]))
    told = []

    class Told(Listed):
        def tell(self, problem, state, seen):
            told.append(seen)

    result = go(BlackBox(fun, BOX, vectorized=vectorized), 100, Told(points=TWICE, batch=batch))
    assert result.spent["evaluations"] == 4 == len(rows(result))
    assert sum(len(np.atleast_2d(p)) for p in fun.points) == 4
    assert np.concatenate([s.tag for s in told]).tolist() == list(range(7))
    assert np.concatenate([s.objective for s in told]).tolist() == [0.1, 0.2, 0.1, 0.3, 0.2, 0, 0]


def test_repeats_of_a_noisy_problem_are_evaluated_and_charged():
    fun = Counted()
    assert (
        go(BlackBox(fun, BOX, noise=True), 100, Listed(points=TWICE, batch=3)).spent["evaluations"]
        == 7
    )
    assert (
        go(BlackBox(Counted(), BOX, repeats="charged"), 100, Listed(points=TWICE, batch=3)).spent[
            "evaluations"
        ]
        == 7
    )
    assert (
        go(
            BlackBox(Counted(), BOX, noise=0.1, repeats="free"), 100, Listed(points=TWICE, batch=3)
        ).spent["evaluations"]
        == 4
    )


def test_a_method_that_only_repeats_itself_has_stalled():
    result = go(BlackBox(Counted(), BOX), 10, Listed(points=[[0.5, 0.5]], batch=1, rounds=10**9))
    assert "repeated or forbidden" in result.stopped
    assert result.spent["evaluations"] == 1
    assert result.answer is not None


def test_forbidden_points_are_never_evaluated_and_cost_nothing():
    fun = Counted()
    problem = BlackBox(fun, BOX, known=lambda x: x[:, 0] > 0.15)
    told = []

    class Told(Listed):
        def tell(self, problem, state, seen):
            told.append(seen)

    result = go(problem, 100, Told(points=TWICE, batch=7))
    assert result.spent["evaluations"] == 2
    assert all(x[0] > 0.15 for x in fun.points)
    seen = told[0]
    assert (seen.status == 2).tolist() == [True, False, True, False, False, True, True]
    assert "forbidden" in seen.reason[0]
    assert np.isinf(seen.violation[0])
    assert not any("without a value" in n for n in result.notes)


def test_a_method_may_propose_nothing():
    result = go(BlackBox(Counted(), BOX), 10, Listed(points=np.empty((0, 2)), rounds=1))
    assert result.answer is None

    class Nothing(Sample):
        def ask(self, problem, state, n=None):
            return feasible.blackbox.Proposals.of(np.empty((0, 2)))

    assert "without spending anything" in go(BlackBox(Counted(), BOX), 10, Nothing()).stopped


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


def staged(
    check=lambda x: {"fits": x[0] + x[1]}, fun=lambda x: {"cost": x[0], "heat": x[1]}, **more
):
    return BlackBox(
        fun, BOX, check=check, objective="cost", limits={"fits": ">= 1", "heat": "<= 0.9"}, **more
    )


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


# -- feasibility -----------------------------------------------------------------------------------


def test_find_feasible_stops_at_the_first_feasible_point_also_inside_a_batch():
    fun = Counted(lambda x: (x[0], [x[0]]))
    problem = BlackBox(fun, BOX, limits=[">= 0.8"])
    result = go(
        problem,
        100,
        Listed(points=[[0.1 * i, 0] for i in range(10)] + [[1, 1]], batch=11),
        find_feasible=True,
    )
    assert len(fun.points) == 9 == result.spent["evaluations"] == len(rows(result))
    assert result.verdict.feasible
    assert "first feasible point" in result.stopped


def test_an_infeasible_problem_reports_the_least_violation_and_which_constraint():
    problem = BlackBox(
        lambda x: x[0],
        BOX,
        constraints={
            "reach": NonlinearConstraint(lambda x: x[0], 3, np.inf),
            "easy": NonlinearConstraint(lambda x: x[1], 0, 1),
        },
    )
    result = go(problem, 30)
    assert not result.verdict.feasible
    assert result.verdict.violation == pytest.approx(1 - rows(result).x[:, 0].max() / 3)
    (note,) = (
        n for n in result.notes if n.startswith("no feasible point found: least violation 0.6")
    )
    assert note.endswith("the constraint that is worst: reach")


# -- noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("maximize", [False, True])
def test_noise_is_the_same_for_every_row_whoever_evaluates_it(maximize):
    def make(vectorized):
        return noisy(
            BlackBox(lambda x: x[..., 0], BOX, vectorized=vectorized, maximize=maximize), 0.5
        )

    serial, vector = go(make(False), 12), go(make(True), 12)
    assert same_rows(rows(serial), rows(vector))
    with LocalProcesses(2) as engine:
        assert same_rows(rows(serial), rows(go(make(False), 12, engine=engine)))
    noise = rows(serial).values[:, 0] - rows(serial).x[:, 0]
    assert 0.2 < noise.std() < 1
    assert (
        rows(serial).objective.tolist()
        == ((-1 if maximize else 1) * rows(serial).values[:, 0]).tolist()
    )


def test_a_noisy_instance_is_judged_on_the_truth():
    result = go(noisy(BlackBox(lambda x: x[0], BOX), 5.0), 20)
    assert result.verdict.objective == result.answer["x1"]
    assert all(0 <= p.verdict.objective <= 1 for p in result.trail)


# -- seconds ---------------------------------------------------------------------------------------


def test_seconds_end_a_run_inside_a_batch_and_what_was_not_begun_is_not_charged(clock):
    def slow(x):
        clock.now += 2
        return x[0]

    result = go(BlackBox(slow, BOX), "seconds=9,evaluations=500", Sample(batch=100))
    assert "seconds" in result.stopped
    assert result.spent["seconds"] == 10
    assert result.spent["evaluations"] == len(rows(result)) == 5
    assert result.verdict.feasible


# -- local processes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        limited,
        lambda: BlackBox(lambda x: {"cost": x[0], "sum": x[1]}, BOX, limits={"sum": "<= 0.5"}),
        lambda: BlackBox(
            lambda x: x[0], BOX, constraints=NonlinearConstraint(lambda x: [x[0], x[1]], 0.2, 0.9)
        ),
        staged,
    ],
)
def test_workers_change_nothing_in_the_ledger(make):
    budget = "checks=23,evaluations=20"
    serial = go(make(), budget, Sample(batch=7))
    for workers in (1, 3):
        with LocalProcesses(workers) as engine:
            parallel = go(make(), budget, Sample(batch=7), engine=engine)
        assert same_rows(rows(serial), rows(parallel))
        assert parallel.answer.id == serial.answer.id
        assert parallel.verdict == serial.verdict
        assert parallel.problem.columns == serial.problem.columns
        assert [p.verdict for p in parallel.trail] == [p.verdict for p in serial.trail]


def misbehaving(x):
    """What a function may do to its process, by where it is called."""
    if x[0] < 0.1:
        time.sleep(60)
    if x[0] < 0.2:
        os._exit(7)
    if x[0] < 0.3:
        os.kill(os.getpid(), 9)
    if x[0] < 0.4:
        print("hello", flush=True)
        print("world", file=sys.stderr)
    if x[0] < 0.5:
        sys.exit("enough")
    return x[1]


def test_a_hanging_or_dying_evaluation_costs_itself_and_nothing_else():
    points = [[0.05, 0], [0.15, 0], [0.25, 0], [0.35, 0], [0.45, 0], [0.55, 0.5], [0.95, 0.25]]
    with LocalProcesses(2) as engine:
        result = go(
            BlackBox(misbehaving, BOX),
            20,
            Listed(points=points, batch=7),
            engine=engine,
            on_failure="skip",
            evaluation_timeout=1.0,
        )
    seen = rows(result)
    assert seen.status.tolist() == [2, 2, 2, 2, 2, 0, 0]
    assert [seen.reason[i] for i in range(5)] == [
        "timeout: killed after 1 s",
        "process died: exit code 7",
        "process died: killed by signal SIGKILL",
        "SystemExit: enough",
        "SystemExit: enough",
    ]
    assert result.verdict.objective == 0.25
    assert any(
        "5 evaluations without a value" in n and "1 timeout" in n and "2 process died" in n
        for n in result.notes
    )


def test_with_raise_a_timeout_ends_the_run_and_leaves_no_process():
    with (
        LocalProcesses(2) as engine,
        pytest.raises(EvaluationFailed, match=r"timeout: killed after 0.3 s"),
    ):
        go(BlackBox(lambda x: time.sleep(60), BOX), 20, engine=engine, evaluation_timeout=0.3)
    assert engine._pool == []


def gone(pid, within=60.0):
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("session", [False, True])
def test_grandchildren_die_with_a_timeout(tmp_path, session):
    note = tmp_path / "pid"

    def starts_a_child(x):
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=session
        )
        note.write_text(str(child.pid))
        child.wait()

    with LocalProcesses(1) as engine:
        go(
            BlackBox(starts_a_child, BOX),
            1,
            engine=engine,
            on_failure="skip",
            evaluation_timeout=1.0,
        )
        assert gone(int(note.read_text()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_dead_worker_is_noticed_though_its_child_lives(tmp_path):
    note = tmp_path / "pid"

    def leaves_a_child(x):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        note.write_text(str(child))
        os._exit(3)

    with LocalProcesses(1) as engine:
        result = go(BlackBox(leaves_a_child, BOX), 1, engine=engine, on_failure="skip")
    os.kill(int(note.read_text()), 9)  # an error if the child had ended first
    assert rows(result).reason[0] == "process died: exit code 3"


def test_a_worker_that_died_while_idle_is_replaced():
    with LocalProcesses(1) as engine:
        assert dict(engine.map(math.sqrt, [4.0])) == {0: 2.0}
        os.kill(engine._pool[0].process.pid, 9)
        engine._pool[0].process.join()
        found = dict(engine.map(math.sqrt, [9.0]))
        assert found == {0: 3.0}


def test_seconds_end_a_parallel_run_inside_a_batch():
    def slow(x):
        time.sleep(0.1)
        return x[0]

    with LocalProcesses(2) as engine:
        result = go(
            BlackBox(slow, BOX), "seconds=0.35,evaluations=500", Sample(batch=100), engine=engine
        )
    assert "seconds" in result.stopped
    assert result.spent["evaluations"] == len(rows(result)) < 30
    assert (rows(result).status == 0).sum() >= 1


def test_what_cannot_be_sent_back_is_a_reason():
    with LocalProcesses(1) as engine:
        ((_, value),) = engine.map(lambda x: lambda: x, [1])
    assert isinstance(value, EvaluationFailed)
    assert "cannot be sent back" in value.reason


# -- memory, and the way in ------------------------------------------------------------------------


def test_a_ledger_that_keeps_few_rows_counts_all_and_finds_the_same_best():
    whole = go(limited(repeats="charged"), 500, Sample(batch=7))
    few = go(limited(repeats="charged", keep=30), 500, Sample(batch=7))
    assert few.ledger.count == few.spent["evaluations"] == 500
    assert len(rows(few)) < 120
    assert (few.answer.id, few.verdict) == (whole.answer.id, whole.verdict)
    assert [p.verdict for p in few.trail] == [p.verdict for p in whole.trail]


def test_the_shortest_problem_of_ones_own_is_solved_within_its_budget():
    calls = []
    problem = BlackBox(
        lambda x: calls.append(1) or x[0] ** 2 + x[1],
        bounds=BOX,
        constraints=[NonlinearConstraint(lambda x: x[0] + x[1], 0.5, np.inf)],
    )
    result = feasible.solve(problem, budget=feasible.Budget(evaluations=60))
    assert result.verdict.feasible
    assert result.spent["evaluations"] == len(calls) <= 60
    assert result.verdict.objective == pytest.approx(0.25, abs=0.1)
    assert result.chosen.startswith(result.method)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "budget is missing"),
        ({"budget": 0}, "nothing to spend"),
        ({"budget": "evaluatons=3"}, "did you mean"),
        ({"budget": 5, "seed": -1}, "seed=-1"),
        ({"budget": 5, "on_failure": "ignore"}, "on_failure='ignore'"),
        ({"budget": 5, "retry": -1}, "retry=-1"),
        ({"budget": 5, "workers": 0}, "workers=0"),
        ({"budget": 5, "evaluation_timeout": 0}, "evaluation_timeout=0"),
        ({"budget": 5, "method": "cobyqqa"}, "did you mean 'cobyqa'"),
    ],
)
def test_arguments_of_solve_are_checked_before_anything_is_evaluated(arguments, error):
    fun = Counted()
    with pytest.raises(feasible.errors.FeasibleError, match=error):
        feasible.solve(BlackBox(fun, BOX), **arguments)
    assert fun.points == []


def test_a_budget_that_ends_inside_the_function_ends_the_run_in_order():
    from feasible.core.budget import spend

    def fun(x):
        spend(cost=1.5)
        return float(x[0])

    result = feasible.solve(
        BlackBox(fun, [(0, 1)]), "random-search", budget=feasible.Budget(cost=4.0)
    )
    assert result.spent["cost"] == 3.0
    assert "cost" in result.stopped
    assert (result.ledger.all().status == 0).sum() == 2
