"""`feasible.blackbox.minimize`, alone and as a custom method of SciPy's `minimize`."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from feasible.blackbox import minimize
from feasible.core import errors


def valley(x, sharp=100.0):
    return (x[0] - 1) ** 2 + sharp * (x[1] - x[0] ** 2) ** 2


BOX = [(-2, 2)] * 2


def test_it_is_a_custom_method_of_scipys_minimize():
    alone = minimize(valley, [-1, 1], bounds=BOX, maxfev=80)
    through = optimize.minimize(
        valley, [-1, 1], method=minimize, bounds=BOX, options={"maxfev": 80}
    )
    assert isinstance(through, optimize.OptimizeResult)
    np.testing.assert_array_equal(through.x, alone.x)
    assert (through.nfev, through.success, through.status) == (80, True, 0)


def test_all_of_scipys_constraints_are_kept():
    constraints = [
        optimize.LinearConstraint([[1, 1]], -np.inf, 1.0),
        optimize.NonlinearConstraint(lambda x: x @ x, 0.25, np.inf),
        {"type": "eq", "fun": lambda x: x[0] - 2 * x[1]},
    ]
    found = minimize(lambda x: -x[0], [0.5, 0.5], bounds=BOX, constraints=constraints, maxfev=80)
    assert found.success
    assert found.maxcv <= 1e-6
    np.testing.assert_allclose(found.x, [2 / 3, 1 / 3], atol=1e-5)


def test_without_bounds_it_starts_at_x0_and_goes_as_far_as_it_must():
    seen = []

    def far(x):
        seen.append(np.array(x))
        return ((x - 500) ** 2).sum()

    found = minimize(far, [3.0, 4.0], maxfev=100)
    np.testing.assert_allclose(seen[0], [3, 4])
    np.testing.assert_allclose(found.x, 500, atol=1e-3)


def test_arguments_of_the_function_and_arrays_of_one_number_are_taken():
    found = minimize(lambda x, a: np.array([((x - a) ** 2).sum()]), [0.0], (0.25,), bounds=[(0, 1)])
    assert found.fun < 1e-12
    assert found.nfev == 200, "100 (d + 1)"


def test_what_the_function_raises_travels_on():
    def broken(x):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        minimize(broken, [0.0, 0.0], bounds=BOX)


def test_a_value_that_is_not_a_number_is_gone_around():
    found = minimize(lambda x: np.nan if x[0] < -0.5 else valley(x), [0, 0], bounds=BOX, maxfev=120)
    assert found.fun < 1e-6


def test_a_function_that_returns_several_numbers_is_refused():
    with pytest.raises(errors.ShapeError, match="expected a number"):
        minimize(lambda x: x, [0.0, 0.0], bounds=BOX)


@pytest.mark.parametrize("form", ["scipy", "plain", "true"])
def test_the_callback_sees_better_and_better_points_and_may_stop(form):
    seen = []

    def stop_below(f):
        seen.append(f)
        return f < 0.5

    def named(intermediate_result):
        if stop_below(intermediate_result.fun):
            raise StopIteration

    def plain(xk):
        if stop_below(valley(xk)):
            raise StopIteration

    callback = {"scipy": named, "plain": plain, "true": lambda xk: stop_below(valley(xk))}[form]
    found = minimize(valley, [-1, 1], bounds=BOX, callback=callback, maxfev=200)
    assert found.status == 3
    assert found.nfev < 200
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] < 0.5 <= min(seen[:-1], default=1)


def test_nothing_feasible_is_said():
    never = {"type": "ineq", "fun": lambda x: -1 - x[0] ** 2}
    found = minimize(valley, [0, 0], bounds=BOX, constraints=never, maxfev=40)
    assert (found.success, found.status) == (False, 2)
    assert "no feasible point" in found.message
    assert found.maxcv == pytest.approx(1.0, abs=1e-6)


def test_gradients_are_refused_with_a_warning_and_the_value_of_a_pair_is_taken():
    with pytest.warns(UserWarning, match="not used"):
        found = minimize(lambda x: (valley(x), x), [0, 0], bounds=BOX, jac=True, maxfev=120)
    assert found.fun < 1e-6


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"x0": [5, 5]}, errors.BoundsError),
        ({"x0": [np.nan, 0]}, errors.NotFinite),
        ({"bounds": [(2, -2)] * 2}, errors.BoundsError),
        ({"maxfev": 0}, errors.ArgumentError),
        ({"fun": 3}, errors.ArgumentTypeError),
        ({"bounds": [(0, 1)] * 3}, errors.ShapeError),
    ],
)
def test_bad_arguments_are_refused_before_the_first_evaluation(change, error):
    def never(x):
        raise AssertionError("evaluated")

    with pytest.raises(error):
        minimize(**{"fun": never, "x0": [0, 0], "bounds": BOX} | change)
