"""Reduced functionals, Taylor tests, and SciPy on them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.physics import NotConverged, ReducedFunctional, minimize, taylor_test, two_halves


def rosenbrock(m):
    return 100 * (m[1] - m[0] ** 2) ** 2 + (1 - m[0]) ** 2


def slope(m):
    a = m[1] - m[0] ** 2
    return np.array([-400 * m[0] * a - 2 * (1 - m[0]), 200 * a])


def test_the_taylor_test_prints_orders_and_sees_a_wrong_derivative(capsys):
    Jhat = ReducedFunctional(rosenbrock, [0.3, -0.2], slope)
    right = taylor_test(Jhat, [0.3, -0.2], [1.0, 0.5])
    printed = capsys.readouterr().out.splitlines()
    assert right > 1.95
    assert np.all(right.rates0 > 0.9)
    assert len(printed) == 5
    assert printed[0].split() == ["step", "R0", "rate", "R1", "rate"]
    wrong = taylor_test(Jhat, [0.3, -0.2], [1.0, 0.5], 2 * slope([0.3, -0.2]), quiet=True)
    assert wrong < 1.2
    assert capsys.readouterr().out == ""


def test_remainders_that_are_rounding_are_no_order():
    assert taylor_test(lambda m: 3 * m[0], [1.0], [1.0], [3.0], quiet=True) == np.inf


def test_a_check_leaves_what_is_kept_as_it_was():
    calls = []

    def gradient(m):
        calls.append(m.copy())
        return slope(m)

    Jhat = ReducedFunctional(rosenbrock, [0.0, 0.0], gradient)
    Jhat([0.5, 0.5])
    before, made = Jhat.derivative(), len(calls)
    taylor_test(Jhat, [2.0, 1.0], [1.0, 1.0], quiet=True)
    assert Jhat.derivative().tobytes() == before.tobytes()
    assert len(calls) == made + 1  # that of the check only: the kept one still counts
    assert np.array_equal(Jhat._at, [0.5, 0.5])


def test_the_derivative_is_in_the_plain_pairing_and_riesz_divides_by_the_weights():
    Jhat = ReducedFunctional(rosenbrock, [0.3, 0.1], slope, weights=[4.0, 0.25])
    m, d, e = Jhat.m, np.array([0.6, -0.8]), 1e-5
    central = (rosenbrock(m + e * d) - rosenbrock(m - e * d)) / (2 * e)
    assert Jhat.derivative(m) @ d == pytest.approx(central, rel=1e-6)
    assert np.allclose(Jhat.riesz(), Jhat.derivative() / [4.0, 0.25])


def test_a_derivative_at_the_last_point_costs_no_value():
    Jhat = ReducedFunctional(rosenbrock, [0.0, 0.0], slope)
    Jhat([1.0, 2.0])
    Jhat.derivative([1.0, 2.0])
    Jhat.riesz()
    assert Jhat.evaluations == 1


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "SLSQP"])
def test_scipy_reaches_the_optimum_though_every_third_value_fails(method):
    calls = []

    def fails(m):
        calls.append(1)
        if len(calls) % 3 == 0:
            raise NotConverged("injected")
        return rosenbrock(m)

    Jhat = ReducedFunctional(fails, [-1.2, 1.0], slope)
    m, reached = Jhat.m, np.inf
    for _ in range(30):  # a line search may give up; going on from where it stood must work
        if len(calls) % 3 == 2:
            calls.append(1)
        m = scipy_minimize(Jhat, m, jac=Jhat.derivative, method=method).x
        reached = rosenbrock(m)
        if reached < 1e-6:
            break
    assert reached < 1e-6
    assert Jhat.rejected > 0


def test_the_first_point_has_nothing_to_go_back_to():
    def fails(m):
        raise NotConverged("no state")

    Jhat = ReducedFunctional(fails, [0.0], lambda m: m)
    with pytest.raises(NotConverged, match="no state"):
        Jhat([0.0])


def test_a_value_that_is_no_number_is_a_rejected_step():
    Jhat = ReducedFunctional(lambda m: np.nan if m[0] > 1 else m[0] ** 2, [0.5], lambda m: 2 * m)
    Jhat.derivative([0.5])
    assert Jhat([2.0]) > Jhat([0.5])
    with pytest.raises(NotConverged, match="expected a finite number"):
        ReducedFunctional(lambda m: np.nan, [0.5], lambda m: m, reject=False)([0.5])


def test_minimize_works_in_coordinates_of_the_inner_product():
    weights = np.array([1.0, 100.0, 1e4])
    target = np.array([1.0, -2.0, 3.0])
    Jhat = ReducedFunctional(
        lambda m: 0.5 * weights @ (m - target) ** 2,
        np.zeros(3),
        lambda m: weights * (m - target),
        weights,
    )
    found = minimize(Jhat)
    assert np.allclose(found.x, target, atol=1e-8)
    assert found.nit <= 2  # the identity in those coordinates
    assert np.allclose(found.jac, weights * (found.x - target), atol=1e-6)
    boxed = minimize(Jhat, bounds=[(0, 0.5), (-1, 0), (0, 9)])
    assert np.allclose(boxed.x, [0.5, -1, 3])


def test_bad_arguments_are_named():
    with pytest.raises(ArgumentTypeError, match="J=int"):
        ReducedFunctional(3, [0.0])  # type: ignore[arg-type]
    with pytest.raises(NotFinite, match="m has a NaN"):
        ReducedFunctional(rosenbrock, [np.nan], slope)
    with pytest.raises(ShapeError, match="weights"):
        ReducedFunctional(rosenbrock, [0.0, 0.0], slope, weights=[1.0, -1.0])
    Jhat = ReducedFunctional(rosenbrock, [0.0, 0.0], slope)
    with pytest.raises(ArgumentError, match="nothing was evaluated"):
        Jhat.derivative()
    with pytest.raises(ShapeError, match=r"m has shape \(3,\)"):
        Jhat([0.0, 0.0, 0.0])
    with pytest.raises(ShapeError, match="h has shape"):
        taylor_test(Jhat, [0.0, 0.0], [1.0])
    with pytest.raises(ArgumentTypeError, match="dJ=None"):
        taylor_test(rosenbrock, [0.0, 0.0], [1.0, 0.0])
    with pytest.raises(ArgumentError, match="method"):
        minimize(Jhat, "steepest")
    with pytest.raises(ShapeError, match="bounds"):
        minimize(Jhat, bounds=[(0, 1)])


def test_a_control_problem_reaches_its_optimum_though_every_third_state_fails():
    problem = two_halves(mesh=5)
    best = scipy_minimize(problem.reduced(1), [0, 0], jac=problem.reduced(1).derivative)
    equation, calls = problem.level.equation, []
    solve = equation.solve
    Jhat = problem.reduced(1)
    whole = minimize(Jhat).fun

    def fails(b):
        calls.append(1)
        if len(calls) % 3 == 0:
            raise NotConverged("injected")
        return solve(b)

    equation.solve = fails
    found = minimize(problem.reduced(1))
    assert found.fun == pytest.approx(whole, rel=1e-4)
    assert best.fun == pytest.approx(whole, rel=1e-4)
    assert len(calls) > 3
