"""Bad input to the room's default: every run ends with the best point found and within its budget,
or a typed error comes before the first evaluation.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest

import feasible
from feasible.blackbox import BlackBox, Categorical, Real
from feasible.core import errors


def solve(problem, n=14):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return feasible.solve(problem, budget=n, seed=100, on_failure="skip")


def single(x):
    return float(np.float32(1 + x @ x))


FUNCTIONS = {
    "constant": lambda x: 3.0,
    "plateaus": lambda x: float(np.floor(4 * np.abs(x)).sum()),
    "a step": lambda x: float(x[0] > 0.3),
    "an offset of 1e12": lambda x: 1e12 + float(x @ x),
    "a scale of 1e-12": lambda x: 1e-12 * float(x @ x),
    "a scale of 1e12": lambda x: 1e12 * float(x @ x),
    "values of 1e300": lambda x: 1e300 * float(np.tanh(x[0])),
    "infinite on half": lambda x: float("inf") if x[0] < 0.4 else float(x @ x),
    "not a number on half": lambda x: float("nan") if x[1] < 0.4 else float(x @ x),
    "single precision": single,
    "repeats to 1e-6 only": lambda x: round(1 + float(x @ x), 6),
}


@pytest.mark.parametrize("limited", [False, True], ids=["free", "limited"])
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_odd_functions_end_with_the_best_allowed_point_within_the_budget(kind, limited):
    f, limits = FUNCTIONS[kind], ["<= 0.5"] if limited else None
    fun = (lambda x: (f(x), [0.2 - x[0]])) if limited else f
    result = solve(BlackBox(fun, [(-1, 2)] * 2, limits=limits))
    rows = result.ledger.all()
    assert result.spent["evaluations"] <= 14
    good = np.isfinite(rows.objective) & (rows.violation <= 1e-6)
    assert good.any()
    assert result.verdict.feasible
    best = rows.objective[good].min()
    # values that repeat to the last digit only are no reason to answer another row
    assert result.verdict.objective - best <= 1e-12 * abs(best)


@pytest.mark.parametrize("limited", [False, True], ids=["free", "limited"])
def test_an_evaluation_slower_by_1e6_at_some_points_changes_nothing(limited):
    """The method never sees how long an evaluation took, so neither do its proposals."""

    def run(slow):
        clock = [0.0]

        def fun(x):
            clock[0] += 1e6 if slow and x[0] > 0.2 else 1.0
            return (float(x @ x), [0.2 - x[1]]) if limited else float(x @ x)

        with pytest.MonkeyPatch.context() as patch:
            real = time.perf_counter
            patch.setattr(time, "perf_counter", lambda: real() + clock[0])
            patch.setattr(time, "monotonic", lambda: real() + clock[0])
            return solve(BlackBox(fun, [(-1, 2)] * 2, limits=["<= 0"] if limited else None), 30)

    slow, even = run(True), run(False)
    np.testing.assert_array_equal(slow.ledger.all().x, even.ledger.all().x)
    assert slow.verdict.objective == even.verdict.objective


@pytest.mark.parametrize("limited", [False, True], ids=["free", "limited"])
def test_a_run_by_the_clock_ends_after_the_first_evaluation_slower_by_1e6(limited):
    slow = []

    def fun(x):
        if x[1] > 1.2:  # where the minimum is
            slow.append(time.sleep(0.6))
        f = float((x - 1.5) @ (x - 1.5))
        return (f, [0.2 - x[0]]) if limited else f

    limits = ["<= 0"] if limited else None
    problem = BlackBox(fun, [(-1, 2)] * 2, limits=limits, x0=[0.5, 0.5])
    result = feasible.solve(problem, budget=feasible.Budget(seconds=0.5), seed=100)
    rows = result.ledger.all()
    assert len(slow) <= 1
    assert result.verdict.objective == rows.objective[rows.violation <= 1e-6].min()


def test_a_category_without_descriptors_beside_one_that_has_some_is_searched():
    known = {"thf": {"boiling": 66}, "dmf": {"boiling": 153}, "water": {"boiling": 100}}
    problem = BlackBox(
        lambda p: (p["t"] - 0.3) ** 2 + (p["solvent"] != "dmf") + (p["base"] != "b"),
        [
            Categorical("solvent", list(known), descriptors=known),
            Categorical("base", ["a", "b", "c"]),
            Real("t", 0, 1),
        ],
    )
    assert solve(problem, 30).verdict.objective < 1e-2


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("limits", [None, ["<= 0"]], ids=["free", "limited"])
def test_budgets_of_1_d_and_d_1_are_kept(n, limits):
    fun = (lambda x: (float(x @ x), [x[0] - 1.5])) if limits else (lambda x: float(x @ x))
    result = solve(BlackBox(fun, [(-1, 2)] * 2, limits=limits), n)
    assert result.spent["evaluations"] == n
    rows = result.ledger.all()
    assert result.verdict.objective == rows.objective[rows.violation <= 1e-6].min()


def test_a_metric_that_is_not_a_number_counts_as_a_missed_limit():
    problem = BlackBox(
        lambda x: (float(x @ x), [float("nan") if x[0] > 0.5 else -1.0]),
        [(-1, 2)] * 2,
        limits=["<= 0"],
    )
    result = solve(problem)
    assert result.verdict.feasible
    assert result.answer.x[0] <= 0.5


def test_one_input_is_fixed_and_the_box_of_another_is_1e_9_wide():
    problem = BlackBox(
        lambda x: float((x[0] - 0.3) ** 2 + x[1]), [(-1, 2), (5, 5), (1.0, 1.0 + 1e-9)]
    )
    result = solve(problem)
    x = result.ledger.all().x
    assert (x[:, 1] == 5).all()
    assert ((x[:, 2] >= 1) & (x[:, 2] <= 1 + 1e-9)).all()
    assert abs(result.answer.x[0] - 0.3) < 1e-3


@pytest.mark.parametrize(
    "bounds", [[(1, 0)], [(0, float("nan"))], [(float("inf"), float("inf"))], []]
)
def test_a_box_that_cannot_be_is_refused_before_the_first_evaluation(bounds):
    called = []
    with pytest.raises(errors.FeasibleError):
        solve(BlackBox(lambda x: called.append(x) or 0.0, bounds))
    assert not called
