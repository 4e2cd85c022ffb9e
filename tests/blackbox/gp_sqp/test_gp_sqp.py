"""The interpolants, the step on them, and the trust-region method that is the room's default for
smooth functions.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import LinearConstraint, NonlinearConstraint

from feasible.blackbox.gp_sqp.gp_sqp import GPSQP
from feasible.blackbox.gp_sqp.interpolant import TREND, Interpolants
from feasible.blackbox.gp_sqp.step import least
from feasible.blackbox.instances.named import get
from feasible.blackbox.problem import BlackBox
from feasible.core import errors
from feasible.core.budget import Budget, Meter
from feasible.core.checkpoint import decode, encode
from feasible.core.evaluating import RunOptions
from feasible.core.run import Run, run


def go(problem, n, seed=0, method=None, **options):
    budget = Budget(evaluations=n)
    return run(
        Run(problem, method or GPSQP(), budget, seed, Meter(budget), options=RunOptions(**options))
    )


def disc(**options):
    """min (x-2)^2 + (y-1)^2 inside x^2 + y^2 <= 2: at sqrt(2/5) (2, 1), where f = (sqrt 5 - sqrt
    2)^2.
    """
    return BlackBox(
        lambda x: ((x[0] - 2) ** 2 + (x[1] - 1) ** 2, [x[0] ** 2 + x[1] ** 2]),
        [(-3, 3), (-2, 4)],
        limits=["<= 2"],
        **options,
    )


BEST = (np.sqrt(5) - np.sqrt(2)) ** 2


# -- interpolants ----------------------------------------------------------------------------------


def sample(n=20, d=3, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.uniform(-1, 1, (n, d))
    return z, np.column_stack([np.sin(z @ np.arange(1, d + 1)), (z**2).sum(axis=1)])


def test_the_means_interpolate_and_the_deviations_vanish_at_the_points():
    z, y = sample()
    model = Interpolants(z, y, np.log(2), 1.0)
    np.testing.assert_allclose(model.means(z), y, atol=1e-5)
    assert model.deviations(z).max() < 1e-3 * model.deviations(np.full((1, 3), 30.0)).min()


def test_gradients_are_those_of_the_means():
    z, y = sample()
    model = Interpolants(z, y, np.log(2), 1.0, iterations=0)
    at = np.array([0.2, -0.4, 0.1])
    values, slopes = model.at(at)
    np.testing.assert_allclose(values, model.means(at[None])[0], rtol=1e-6)
    h = 1e-3
    for i in range(3):
        up, down = at.copy(), at.copy()
        up[i] += h
        down[i] -= h
        np.testing.assert_allclose(
            slopes[:, i],
            (model.means(up[None]) - model.means(down[None]))[0] / (2 * h),
            rtol=1e-3,
            atol=1e-4,
        )


def test_means_and_deviations_are_those_of_the_textbook():
    z, y = sample(8, 2)
    model = Interpolants(z, y[:, :1], 0.0, 1.0, start=np.array([[0.1, -0.3]]), iterations=0)
    lengths = np.exp([0.1, -0.3])

    def k(a, b):
        return (
            np.exp(-0.5 * (((a[:, None] - b[None]) / lengths) ** 2).sum(axis=2))
            + TREND * (1 + a @ b.T) ** 2
        )

    inverse = np.linalg.inv(k(z, z))
    w = (y[:, 0] - y[:, 0].mean()) / y[:, 0].std()
    q = np.random.default_rng(1).uniform(-1, 1, (5, 2))
    mean = k(q, z) @ inverse @ w * y[:, 0].std() + y[:, 0].mean()
    scale = w @ inverse @ w / 8
    var = (
        scale
        * (np.diag(k(q, q)) - np.einsum("ij,jk,ik->i", k(q, z), inverse, k(q, z)))
        * y[:, 0].var()
    )
    np.testing.assert_allclose(model.means(q)[:, 0], mean, rtol=1e-4)
    np.testing.assert_allclose(model.deviations(q)[:, 0] ** 2, var, rtol=1e-2, atol=1e-6)


def test_the_gradient_of_the_profile_likelihood_is_right():
    z, y = sample(12, 2)
    model = Interpolants(z, y, 0.3, 0.8, iterations=0)
    w = (y[:, 0] - y[:, 0].mean()) / y[:, 0].std()
    squares = ((z[:, None] - z[None]) ** 2).reshape(144, 2)
    t = np.array([-0.8, -0.5])
    _, slope = model._loss(t, w, squares)
    for i in range(2):
        step = np.eye(2)[i] * 1e-6
        measured = (
            model._loss(t + step, w, squares)[0] - model._loss(t - step, w, squares)[0]
        ) / 2e-6
        assert slope[i] == pytest.approx(measured, rel=1e-4)


@pytest.mark.parametrize(("n", "d", "apart"), [(40, 5, 1e-9), (60, 3, 1e-9)])
def test_points_close_together_are_fitted_with_a_larger_jitter(n, d, apart):
    rng = np.random.default_rng(0)
    z = 0.7 + apart * rng.uniform(-1, 1, (n, d))
    z[-4:] = rng.uniform(-1, 1, (4, d))
    y = np.exp(0.3 * z.sum(axis=1)) + 1e-3 * np.arange(n)
    assert Interpolants(z, y[:, None], np.log(2 * np.sqrt(d)), 0.7).fallbacks == []


def test_fitting_finds_which_input_matters():
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, (30, 2))
    model = Interpolants(z, np.sin(4 * z[:, :1]), np.log(1.5), 1.0)
    assert model.log_lengths[0, 0] + 0.5 < model.log_lengths[0, 1]


def test_quadratics_are_met_almost_exactly_once_there_are_as_many_points_as_coefficients():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((3, 3)), rng.standard_normal(3)

    def f(z):
        return np.einsum("ni,ij,nj->n", z, a, z) + z @ b + 2

    z, q = rng.uniform(-1, 1, (11, 3)), rng.uniform(-1, 1, (50, 3))
    model = Interpolants(z, f(z)[:, None], np.log(2 * np.sqrt(3)), 0.7)
    assert np.abs(model.means(q)[:, 0] - f(q)).max() < 1e-3 * f(q).std()


def test_a_constant_output_is_predicted_as_itself():
    z, y = sample(6)
    model = Interpolants(z, np.column_stack([np.full(6, 3.0), y[:, 0]]), 0.5, 1.0)
    np.testing.assert_array_equal(model.means(z)[:, 0], 3.0)
    assert np.isfinite(model.deviations(z)).all()


# -- the step on them ------------------------------------------------------------------------------


def test_the_step_solves_the_surrogate_problem_with_its_multiplier():
    rng = np.random.default_rng(0)
    z = rng.uniform(-2, 2, (40, 2))
    model = Interpolants(
        z,
        np.column_stack([(z[:, 0] - 2) ** 2 + (z[:, 1] - 1) ** 2, (z**2).sum(axis=1) - 2]),
        np.log(3),
        1.0,
    )
    found = least(model, [np.zeros(2)], np.full(2, -2.0), np.full(2, 2.0), np.zeros(1))
    np.testing.assert_allclose(found.z, np.sqrt(2 / 5) * np.array([2, 1]), atol=1e-3)
    assert found.multipliers[0] == pytest.approx(np.sqrt(5 / 2) - 1, abs=1e-2)
    assert found.violation == 0


def test_where_the_models_cannot_be_satisfied_the_least_violation_is_found():
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, (30, 2))
    model = Interpolants(
        z, np.column_stack([z[:, 1], 3 - z[:, 0] ** 2 + (z[:, 0] - 1)]), np.log(3), 1.0
    )
    found = least(model, [np.zeros(2)], np.full(2, -1.0), np.full(2, 1.0), np.zeros(1))
    assert found.z[0] == pytest.approx(-1, abs=1e-3)  # 2 + z - z^2 is least at -1, where it is 0


# -- the method ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_constrained_optimum_is_met_to_six_digits_in_thirty_evaluations(seed):
    result = go(disc(), 30, seed)
    assert result.verdict.feasible
    assert result.verdict.objective == pytest.approx(BEST, abs=1e-6)


@pytest.mark.parametrize("name", ["jlh1", "three-bar-truss", "gkxwc2"])
def test_engineering_problems_are_solved_within_sixty_evaluations(name):
    problem = get(name)
    result = go(problem, 60, seed=100)
    assert result.verdict.feasible
    assert result.verdict.objective - problem.best_known < 1e-3 * max(1, abs(problem.best_known))


@pytest.mark.parametrize(
    ("name", "n"), [("welded-beam", 80), ("speed-reducer", 70), ("reinforced-concrete-beam", 40)]
)
def test_the_answer_lies_inside_its_limits_at_the_same_cost(name, n):
    problem = get(name)
    found = go(problem, n, seed=100)
    assert found.verdict.violation == 0.0
    assert abs(found.verdict.objective / problem.best_known - 1) < 1e-6


@pytest.mark.parametrize("unit", [1e-7, 1.0, 1e6])
def test_the_answer_lies_inside_a_limit_of_any_unit_and_of_zero(unit):
    for limit in (f"<= {2 * unit}", "<= 0"):
        shift = 2 * unit if limit == "<= 0" else 0.0
        problem = BlackBox(
            lambda x, shift=shift: (
                (x[0] - 2) ** 2 + (x[1] - 1) ** 2,
                [unit * (x[0] ** 2 + x[1] ** 2) - shift],
            ),
            [(-3, 3), (-2, 4)],
            limits=[limit],
        )
        verdict = go(problem, 40).verdict
        assert verdict.violation == 0.0
        assert BEST <= verdict.objective <= BEST * (1 + 1e-6)


def pair():
    """x1 + x2 at least 1.5 and at most 0.5: the larger violation is least at 0.75, where it is
    0.5.
    """
    return lambda x: [x[0] + x[1], x[0] + x[1]], [(0, 1)] * 2, [">= 1.5", "<= 0.5"], 0.5


def circles():
    """In two discs that do not meet."""
    return (
        lambda x: [(x[0] - 1) ** 2 + x[1] ** 2, (x[0] + 1) ** 2 + x[1] ** 2],
        [(-2, 2)] * 2,
        ["<= 0.25", "<= 0.5"],
        1.7451660040609,
    )


def opposed():
    """A sum that is to be positive and a larger one that is to be negative, in units of 1e6."""
    return (
        lambda x: [1e6 * (x[0] + x[1]), x[0] + x[1] ** 2 + 1],
        [(-2, 2)] * 2,
        [">= 2e6", "<= -1"],
        None,
    )


@pytest.mark.parametrize("make", [pair, circles, opposed])
@pytest.mark.parametrize("seed", [100, 101])
def test_of_limits_that_contradict_each_other_the_largest_violation_is_the_least(make, seed):
    values, box, limits, least = make()
    problem = BlackBox(lambda x: (x[0] ** 2 - 3 * x[1], values(x)), box, limits=limits)
    if least is None:
        grid = np.stack(np.meshgrid(*[np.linspace(a, b, 401) for a, b in box]), -1).reshape(-1, 2)
        rows = np.array([values(x) for x in grid])
        least = np.maximum(problem.limits.signed(rows).max(axis=1), 0).min()
    assert least > 0.1
    assert go(problem, 60, seed=seed).verdict.violation <= 1.1 * least


def test_without_constraints_rosenbrock_is_solved():
    result = go(get("rosenbrock", d=2, low=-2.0, high=2.0), 70)
    assert result.verdict.objective < 1e-3


def test_the_same_seed_gives_the_same_ledger_and_another_seed_another():
    one, two, other = (go(disc(), 25, s).ledger.all() for s in (3, 3, 4))
    np.testing.assert_array_equal(one.x, two.x)
    assert not np.array_equal(one.x, other.x)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 17])
def test_the_budget_is_used_and_never_passed(n):
    assert go(disc(), n).spent["evaluations"] == n


@pytest.mark.parametrize(
    "known",
    [
        lambda x: x[:, 0] + x[:, 1] <= 1.5,
        LinearConstraint([[1, 1]], -np.inf, 1.5),
        NonlinearConstraint(lambda x: x[0] + x[1], -np.inf, 1.5),
    ],
)
def test_known_constraints_hold_at_every_point_and_the_optimum_on_them_is_found(known):
    result = go(disc(known=known), 50)
    x = result.ledger.all().x
    assert (x.sum(axis=1) <= 1.5 + 1e-9).all()
    assert result.verdict.objective == pytest.approx(
        1.125, abs=0.01
    )  # at (1.25, 0.25), the point of the line nearest to (2, 1)


def test_a_checkpoint_with_open_proposals_takes_their_outcomes():
    problem, method = disc(), GPSQP()
    state = method.init(problem, np.random.default_rng(1))
    asked = method.ask(problem, state)
    method.tell(problem, state, problem.measure(asked.x, np.arange(len(asked.x)), asked.tag))
    out = method.ask(problem, state, 3)
    back = decode(encode(state), method.init(problem, np.random.default_rng(5)))
    for s in (state, back):
        method.tell(problem, s, problem.measure(out.x, np.arange(3), out.tag))
    np.testing.assert_array_equal(method.ask(problem, state).x, method.ask(problem, back).x)
    assert len(np.unique(out.x, axis=0)) == 3


def test_results_may_come_back_in_parts_and_in_any_order():
    problem, method = disc(), GPSQP()
    state = method.init(problem, np.random.default_rng(0))
    for _ in range(12):
        asked = method.ask(problem, state, 4)
        seen = problem.measure(asked.x, np.arange(4), asked.tag)
        method.tell(problem, state, seen.rows(np.array([2, 0])))
        method.tell(problem, state, seen.rows(np.array([3, 1])))
    ok = state.g.max(axis=1) <= 1e-6
    assert state.f[ok].min() < BEST + 1e-3


@pytest.mark.parametrize("kind", ["nan", "raise", "always"])
def test_failures_do_not_end_the_run(kind):
    def fun(x):
        if kind == "always" or x[0] > 1.2:
            if kind == "nan":
                return np.nan, [np.nan]
            raise RuntimeError("the mesh folded")
        return (x[0] - 2) ** 2 + (x[1] - 1) ** 2, [x[0] ** 2 + x[1] ** 2]

    result = go(BlackBox(fun, [(-3, 3), (-2, 4)], limits=["<= 2"]), 30, on_failure="skip")
    assert result.spent["evaluations"] == 30
    assert kind == "always" or result.verdict.feasible


@pytest.mark.parametrize(
    ("f", "g"),
    [
        (lambda x: 1.0, lambda x: x[0] - 5),  # constant, always feasible
        (lambda x: x[0], lambda x: 1.0 + x[1] ** 2),  # nothing is feasible
        (
            lambda x: 1e300 * (x[0] - 1) ** 3 + 1e-300,
            lambda x: 1e-300 * (x[1] - 1),
        ),  # from 1e-300 to 1e300
        (lambda x: 1e-300 * x[0], lambda x: 1e300 * (x[1] - 1)),
    ],
)
def test_hard_values_are_survived(f, g):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        result = go(BlackBox(lambda x: (f(x), [g(x)]), [(-3, 3), (-2, 4)], limits=["<= 0"]), 25)
    assert result.spent["evaluations"] == 25
    assert len(np.unique(result.ledger.all().x, axis=0)) == 25


def test_duplicates_with_different_values_do_not_break_the_models():
    rng = np.random.default_rng(0)
    problem, method = disc(noise=True), GPSQP()
    state = method.init(problem, np.random.default_rng(0))
    x = np.repeat(rng.uniform(-2, 2, (5, 2)), 3, axis=0)
    seen = problem.measure(x, np.arange(15), np.full(15, -1))
    seen.objective[:] += rng.standard_normal(15)
    method.tell(problem, state, seen)
    state.design = state.design[:0]
    asked = method.ask(problem, state, 3)
    assert np.isfinite(asked.x).all()


def test_whole_numbers_arrive_as_such():
    result = go(BlackBox(lambda x: (x[0] - 3) ** 2 + (x[1] - 0.3) ** 2, variables=_mixed()), 40)
    x = result.ledger.all().x
    assert (x[:, 0] == np.round(x[:, 0])).all()
    assert result.answer[0] == 3


def _mixed():
    from feasible.blackbox.space import Integer, Real

    return [Integer("k", 0, 9), Real("t", 0.01, 10, log=True)]


def test_a_converged_search_starts_again_elsewhere():
    problem, method = BlackBox(lambda x: float(np.sin(3 * x[0]) + 0.2 * x[0]), [(0, 6)]), GPSQP()
    state = method.init(problem, np.random.default_rng(1))
    while len(state.f) < 60:
        asked = method.ask(problem, state)
        method.tell(problem, state, problem.measure(asked.x, np.arange(len(asked.x)), asked.tag))
    assert state.searches > 1
    x = np.arange(0, 6, 1e-4)
    assert state.f.min() <= (np.sin(3 * x) + 0.2 * x).min() + 1e-6


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"radius": 0}, "radius"),
        ({"resolution": float("nan")}, "resolution"),
        ({"design": 1}, "design"),
        ({"neighbours": "many"}, "neighbours"),
        ({"margin": 2}, "margin"),
    ],
)
def test_settings_are_checked(settings, named):
    with pytest.raises(errors.FeasibleError, match=named):
        GPSQP(**settings)


def test_infinite_bounds_are_refused():
    with pytest.raises(errors.BoundsError, match="finite bounds"):
        go(BlackBox(lambda x: x[0] ** 2, [(-np.inf, 1)]), 5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(0, 2))
def test_every_point_is_in_the_box_for_any_quadratic(seed, d, m):
    rng = np.random.default_rng(seed)
    a, b, c = (
        rng.standard_normal((1 + m, d, d)),
        rng.standard_normal((1 + m, d)),
        rng.standard_normal(1 + m),
    )

    def fun(x):
        values = [float(x @ a[j] @ x + b[j] @ x + c[j]) for j in range(1 + m)]
        return (values[0], values[1:]) if m else values[0]

    result = go(BlackBox(fun, [(-1, 2)] * d, limits=["<= 0"] * m or None), 3 * d + 6, seed)
    x = result.ledger.all().x
    assert (x >= -1).all()
    assert (x <= 2).all()
