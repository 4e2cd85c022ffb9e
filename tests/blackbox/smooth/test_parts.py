"""The parts of the search for smooth functions: rows and cube, slopes, curvature, axes, CMA-ES."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.blackbox import BlackBox, Real
from feasible.blackbox.smooth.cube import Cube
from feasible.blackbox.smooth.evolution import EvolutionState, evolve
from feasible.blackbox.smooth.lines import LinesState, additive, along, parabola, place
from feasible.blackbox.smooth.local import LocalState
from feasible.blackbox.smooth.rows import Ground, Rows, Wanted
from feasible.blackbox.smooth.sqp import bfgs, iterate, slopes


class Told:
    """A ground whose wanted rows are evaluated at once, and counted."""

    def __init__(self, fun, bounds, **options):
        self.problem = BlackBox(fun, bounds=bounds, **options)
        self.cube, self.rows = Cube.of(self.problem), Rows.none(len(bounds))

    def add(self, u):
        seen = self.problem.evaluate(self.cube.x(np.atleast_2d(u)))
        for v, f, g in zip(np.atleast_2d(u), seen.objective, seen.constraints, strict=True):
            self.rows.add(v, float(f), g, 1e-6)
        return self.rows.n - 1

    def until(self, step, *args):
        """Repeat a step until it has all that it wants."""
        while True:
            try:
                return step(Ground.of(self.rows, self.cube), *args)
            except Wanted as wanted:
                self.add(wanted.points)

    def local(self, u):
        i = self.add(u)
        return LocalState.at(Ground.of(self.rows, self.cube), i, 1.0, True)


def bowl(condition, d=4):
    weights = condition ** np.linspace(0, 1, d)
    return lambda x: float(weights @ (np.asarray(x) - 0.3) ** 2)


# -- rows and the cube -----------------------------------------------------------------------------


def test_rows_are_ranked_by_violation_then_by_value():
    rows = Rows.none(1)
    for u, f, g in [(0.1, -5.0, 2.0), (0.2, 3.0, 0.0), (0.3, 1.0, 1e-7), (0.4, np.nan, -1.0)]:
        rows.add(np.array([u]), f, np.array([g]), 1e-6)
    assert rows.leader == 2
    assert rows.best(3) == 2, "no row since then has a value"
    assert rows.best(1) == 2
    assert rows.find(np.array([0.2])) == 1
    assert rows.find(np.array([0.25])) == -1


def test_a_fixed_input_has_no_coordinate_and_a_log_input_goes_by_its_logarithm():
    problem = BlackBox(
        lambda x: 0.0, bounds=[Real("a", 2, 2), Real("b", 1, 100, log=True), Real("c", -1, 1)]
    )
    cube = Cube.of(problem)
    assert cube.k == 2
    np.testing.assert_allclose(cube.x(np.array([[0.5, 0.25]])), [[2, 10, -0.5]])
    np.testing.assert_allclose(cube.u(np.array([[2, 10, -0.5]])), [[0.5, 0.25]])


def test_an_open_input_gets_ten_times_its_start_on_each_side_and_may_leave_it():
    cube = Cube.of(BlackBox(lambda x: 0.0, bounds=[(None, None), (0, None)], x0=[50.0, 0.5]))
    np.testing.assert_allclose(cube.x(np.array([[0.5, 0.0], [1.0, 1.0]])), [[50, 0], [550, 10.5]])
    assert cube.allowed(np.array([[7.0, 3.0], [0.5, -0.1]])).tolist() == [True, False]


# -- slopes and curvature --------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [1.0, 1e6, 1e10])
def test_with_the_true_curvature_the_newton_step_is_exact_whatever_the_condition(condition):
    told = Told(bowl(condition), [(0, 1)] * 4)
    s = told.local(np.full(4, 0.6))
    s.B = 2 * np.diag(condition ** np.linspace(0, 1, 4))
    told.until(slopes, s)
    step = -np.linalg.solve(s.B, s.g)
    left = bowl(condition)(s.u + step) / s.f
    assert left < 1e-9


def test_slopes_at_a_bound_are_taken_inwards():
    asked = []

    def fun(x):
        asked.append(np.array(x))
        return float(x @ [1.0, -2.0, 3.0])

    told = Told(fun, [(0, 1)] * 3)
    s = told.local([0.0, 1.0, 0.5])
    told.until(slopes, s)
    np.testing.assert_allclose(s.g, [1, -2, 3], atol=1e-5)
    assert all((x >= 0).all() and (x <= 1).all() for x in asked)


def test_a_failed_difference_is_replaced_by_one_backwards():
    def fun(x):
        return float("nan") if x[0] > 0.5 else float(x @ [1.0, 2.0])

    told = Told(fun, [(0, 1)] * 2)
    s = told.local([0.5, 0.5])
    told.until(slopes, s)
    np.testing.assert_allclose(s.g, [1, 2], atol=1e-5)


def test_the_damped_update_meets_the_secant_equation_and_stays_positive():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((3, 3))
    H, B, s = root @ root.T + np.eye(3), np.eye(3), rng.standard_normal(3)
    np.testing.assert_allclose(bfgs(B, s, H @ s) @ s, H @ s)
    damped = bfgs(B, s, -H @ s)  # a direction of negative curvature
    assert np.linalg.eigvalsh(damped).min() > 0
    np.testing.assert_allclose(s @ damped @ s, 0.2 * s @ s)


def test_negative_curvature_again_and_again_leaves_the_curvature_definite():
    rng, B = np.random.default_rng(100), 1e-5 * np.eye(4)
    saddle = np.diag([1e6, 1e4, -1e6, 1.0])
    for _ in range(200):
        s = rng.standard_normal(4)
        B = bfgs(B, s, saddle @ s)
        assert np.linalg.eigvalsh(B)[0] > 0


@pytest.mark.parametrize("condition", [1.0, 1e6])
def test_the_local_search_meets_a_quadratic_function_to_the_last_digits(condition):
    told = Told(bowl(condition), [(0, 1)] * 4)
    s = told.local([0.9, 0.2, 0.7, 0.1])
    while not s.done and s.steps < 60:
        told.until(iterate, s)
    assert s.f < 1e-12
    assert told.rows.n < 250


def test_a_sphere_takes_two_sets_of_slopes_and_two_points_of_a_line():
    told = Told(bowl(1.0, 6), [(0, 1)] * 6)
    s = told.local([0.5, 0.4, 0.6, 0.2, 0.45, 0.7])
    while told.rows.n < 1 + 6 + 2:
        told.until(iterate, s)
    assert s.f < 1e-9


def test_turned_ellipses_of_condition_1e6_are_met_in_20_evaluations_an_input():
    taken = []
    for seed in range(6):
        turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((5, 5)))[0]
        weights = 1e6 ** np.linspace(0, 1, 5)
        told = Told(lambda x, w=weights, t=turn: float(w @ (t @ (x - 0.4)) ** 2), [(0, 1)] * 5)
        s = told.local(np.full(5, 0.5))
        while s.f > 1e-8 and not s.done:
            told.until(iterate, s)
        taken.append(told.rows.n)
    assert np.mean(taken) < 20 * 5


def test_the_local_search_follows_an_equality_and_a_limit_to_their_corner():
    # min x + 2 y with x^2 + y^2 = 1 and y >= x: at -(1, 1) / sqrt 2
    told = Told(
        lambda x: (x[0] + 2 * x[1], [x[0] ** 2 + x[1] ** 2, x[1] - x[0]]),
        [(-2, 2)] * 2,
        limits=["== 1", "in [0, 9]"],
    )
    s = told.local([0.55, 0.8])
    while not s.done and s.steps < 60:
        told.until(iterate, s)
    x = told.cube.x(s.u[None])[0]
    np.testing.assert_allclose(x, [-np.sqrt(0.5), -np.sqrt(0.5)], atol=1e-6)
    assert Ground.of(told.rows, told.cube).m == 3, "an equality is one limit, a range two"


def test_a_plateau_ends_the_local_search_after_one_set_of_slopes():
    told = Told(lambda x: 7.0, [(0, 1)] * 3)
    s = told.local(np.full(3, 0.4))
    told.until(iterate, s)
    assert s.done
    assert told.rows.n == 4


# -- sums over inputs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fun", "is_sum", "cost"),
    [
        (lambda x: float(np.cos(3 * x).sum() + x[0] ** 2), True, 6),
        (lambda x: float(np.cos(3 * x).sum() + x[0] * x[1]), False, 2),
        (lambda x: float(np.cos(3 * x).sum() + x[0] * x[4]), False, 6),
    ],
)
def test_a_sum_over_inputs_is_told_by_two_rows_for_each_bit(fun, is_sum, cost):
    told = Told(fun, [(0, 1)] * 5)
    i, j = told.add(np.full(5, 0.2)), told.add(np.linspace(0.5, 0.9, 5))
    assert told.until(additive, i, j) is is_sum
    assert told.rows.n == 2 + cost


def offset(x):
    return float(1e12 + 100 * (x[1:] - x[:-1] ** 2) @ (x[1:] - x[:-1] ** 2))


def single(x):
    return float(np.float32(1 + x[0] * x[1] * x[4]))


@pytest.mark.parametrize("fun", [offset, single])
def test_neither_an_offset_nor_single_precision_makes_a_sum_of_what_is_none(fun):
    told = Told(fun, [(-2, 2)] * 5)
    i, j = told.add(np.full(5, 0.2)), told.add(np.linspace(0.55, 0.9, 5))
    assert told.until(additive, i, j) is False


def axes(fun, bounds, start):
    """What the search along the axes costs for each input, and where it ends."""
    told = Told(fun, bounds)
    told.add(np.full(len(bounds), start))
    s = LinesState(np.full(len(bounds), start))
    while not s.over:
        told.until(along, s, 1e-13)
    return told, s


def test_the_search_along_axes_finds_the_lowest_of_many_valleys_to_the_last_digits():
    # Rastrigin's function in one input has 10 valleys on [-5, 5]
    told, s = axes(
        lambda x: float((x**2 - 10 * np.cos(2 * np.pi * x)).sum()), [(-5.3, 4.9)] * 3, 0.21
    )
    assert np.abs(told.cube.x(s.u[None])[0]).max() < 1e-7
    seen = told.rows.f[: told.rows.n]
    assert int(np.argmax(seen < -30 + 1e-8)) <= 90 * 3


def test_axes_of_one_valley_each_are_solved_by_parabolas():
    weights = 1e6 ** np.linspace(0, 1, 6)

    def fun(x):
        return float(weights @ ((x - 0.3) ** 2 + 0.5 * np.abs(x - 0.3) ** 3))

    told, _ = axes(fun, [(-5, 5)] * 6, 0.9)
    seen = told.rows.f[: told.rows.n]
    assert int(np.argmax(seen < 1e-8)) <= 40 * 6, "STEP alone takes 30 for one digit of x in 1e9"


def test_a_side_of_a_valley_that_is_far_away_is_cut():
    t = np.array([0.0, 0.3001, 0.3003])
    found = parabola(t, (t - 0.3) ** 2, 1e-13)
    assert found is not None
    assert 0.25 < found[0] < 0.3001
    assert parabola(t, np.array([1.0, 1.0, 1.0]), 1e-13) is None
    assert place(np.array([0.0, 1.0, 0.25]), np.array([np.nan, 2.0, 1.0]), True, 1e-13) == 0.5


# -- CMA-ES ----------------------------------------------------------------------------------------


def test_the_evolution_goes_down_a_rotated_ellipse_and_says_when_it_has_converged():
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    told = Told(lambda x: float(((turn @ (x - 0.4)) ** 2) @ [1, 10, 100, 1000]), [(0, 1)] * 4)
    s, rng = EvolutionState.about(np.full(4, 0.8), 0), np.random.default_rng(1)
    going = 0
    while told.until(evolve, s, rng) and going < 400:
        going += 1
    assert going < 400
    assert np.abs(s.mean - 0.4).max() < 0.02
