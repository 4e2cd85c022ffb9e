"""The method for smooth functions as a whole: what it finds, how it is asked and resumed, and what
it does of bad input.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import feasible
from feasible.blackbox import BlackBox, Hybrid
from feasible.core import errors
from feasible.core.budget import Budget, Meter
from feasible.core.checkpoint import decode, encode
from feasible.core.ledger import Observations
from feasible.core.run import Run, active_run


def solve(problem, n, seed=100, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return feasible.solve(problem, Hybrid(), budget=n, seed=seed, **options)


def rosenbrock(x):
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def disc(**options):
    """min (x-2)^2 + (y-1)^2 inside x^2 + y^2 <= 2: at sqrt(2/5) (2, 1)."""
    return BlackBox(
        lambda x: ((x[0] - 2) ** 2 + (x[1] - 1) ** 2, [x[0] ** 2 + x[1] ** 2]),
        [(-3, 3), (-2, 4)],
        limits=["<= 2"],
        **options,
    )


BEST = (np.sqrt(5) - np.sqrt(2)) ** 2


# -- what it finds ---------------------------------------------------------------------------------


def test_rosenbrocks_valley_is_followed_to_the_last_digits():
    result = solve(BlackBox(rosenbrock, [(-5, 5)] * 5), 500)
    assert result.verdict.objective < 1e-12


def test_the_middle_comes_first_and_then_the_slopes_there():
    asked = solve(BlackBox(rosenbrock, [(-5, 7)] * 4), 5).ledger.all().x
    np.testing.assert_array_equal(asked[0], np.ones(4))
    assert np.abs(asked[1:] - 1).max() < 1e-4


def test_a_middle_without_a_value_is_no_reason_to_give_up():
    problem = BlackBox(lambda x: float("nan") if (x == 0).all() else float(x @ x), [(-1, 1)] * 2)
    assert solve(problem, 60, on_failure="skip").verdict.objective < 1e-8


def test_a_limit_is_met_exactly():
    result = solve(disc(), 60)
    assert result.verdict.feasible
    assert abs(result.verdict.objective - BEST) < 1e-6


def test_a_run_with_more_evaluations_begins_like_one_with_fewer():
    problem = BlackBox(rosenbrock, [(-5, 5)] * 2)
    short, long = solve(problem, 60).ledger.all(), solve(problem, 90).ledger.all()
    np.testing.assert_array_equal(short.x, long.x[:60])


def test_open_inputs_are_left_for_where_the_optimum_is():
    problem = BlackBox(
        lambda x: float(((x - [300.0, -40.0]) ** 2).sum()),
        [(None, None), (None, 0.0)],
        x0=[1.0, -1.0],
    )
    result = solve(problem, 100)
    np.testing.assert_allclose(result.answer.x, [300, -40], atol=1e-3)


def test_equalities_are_met_with_open_inputs():
    # min x^2 + y^2 + z^2 with x + y + z = 3 and x y = 2
    problem = BlackBox(
        lambda x: (float(x @ x), [x.sum(), x[0] * x[1]]),
        [(None, None)] * 3,
        limits=["== 3", "== 2"],
        x0=[2.0, 2.0, 0.0],
    )
    result = solve(problem, 150)
    assert result.verdict.feasible
    assert abs(result.verdict.objective - 4.029437) < 1e-4


def test_with_limits_the_search_goes_from_the_users_own_design():
    asked = solve(disc(x0=[1.2, -0.5]), 3).ledger.all().x
    np.testing.assert_allclose(asked[0], [1.2, -0.5], rtol=1e-12)
    assert np.abs(asked[1:] - asked[0]).max() < 1e-3, "slopes come next"


def test_a_curved_equality_is_followed_from_a_design_that_keeps_to_it():
    # problem 26 of Hock and Schittkowski: the minimum is 0, at (1, 1, 1)
    problem = BlackBox(
        lambda x: (
            float((x[0] - x[1]) ** 2 + (x[1] - x[2]) ** 4),
            [(1 + x[1] ** 2) * x[0] + x[2] ** 4],
        ),
        [(None, None)] * 3,
        limits=["== 3"],
        x0=[-2.6, 2.0, 2.0],
    )
    result = solve(problem, 200)
    assert result.verdict.feasible
    assert result.verdict.objective < 1e-3


def test_steps_far_from_a_design_that_misses_its_limits_are_not_taken():
    # problem 40: max x1 x2 x3 x4 with three equalities, 1/4; its polynomials are huge a few units
    # away
    problem = BlackBox(
        lambda x: (
            -float(x.prod()),
            [x[0] ** 3 + x[1] ** 2, x[0] ** 2 * x[3] - x[2], x[3] ** 2 - x[1]],
        ),
        [(None, None)] * 4,
        limits=["== 1", "== 0", "== 0"],
        x0=[0.8] * 4,
    )
    result = solve(problem, 100)
    assert result.verdict.feasible
    assert abs(result.verdict.objective + 0.25) < 1e-4
    assert np.abs(result.ledger.all().x).max() < 100


def test_bounds_of_1e10_are_kept_to_and_do_not_blunt_the_search():
    problem = BlackBox(
        lambda x: float((x[0] - 3) ** 2 + (x[1] + x[0]) ** 2),
        [(-1e10, 2.0), (-1e10, 1e10)],
        x0=[0.0, 1.0],
    )
    result = solve(problem, 40)
    assert (result.ledger.all().x[:, 0] <= 2).all()
    assert abs(result.verdict.objective - 1) < 1e-8


def test_the_first_evaluation_is_the_users_own_design():
    problem = BlackBox(rosenbrock, [(-5, 5)] * 3, x0=[1.5, -2.0, 0.25])
    np.testing.assert_allclose(solve(problem, 3).ledger.all().x[0], [1.5, -2.0, 0.25], rtol=1e-12)


def test_a_sum_of_valleys_is_solved_axis_by_axis():
    def rastrigin(x):
        x = x - 0.7
        return float((x**2 - 10 * np.cos(2 * np.pi * x) + 10).sum())

    assert solve(BlackBox(rastrigin, [(-5, 5)] * 5), 400).verdict.objective < 1e-8


def test_a_sum_is_noticed_while_the_first_search_is_under_way():
    # without that, the search of an ellipse in 20 inputs learns 20 curvatures one after another
    weights = 1e6 ** np.linspace(0, 1, 20)
    result = solve(BlackBox(lambda x: float(weights @ (x - 0.7) ** 2), [(-5, 5)] * 20), 700)
    assert result.verdict.objective < 1e-8


def test_a_function_of_levy_and_montalvo_does_not_hold_the_search_up():
    # LEVYMONT8 of S2MPJ in 5 inputs: x0 leads to a poor valley, and the search must leave it
    def levy(x):
        y = 1 + (x - 1) / 4
        inner = (y[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * y[1:]) ** 2)
        first, last = 10 * np.sin(np.pi * y[0]) ** 2, (y[-1] - 1) ** 2
        return float(np.pi / len(x) * (first + inner.sum() + last))

    problem = BlackBox(levy, [(-10, 10)] * 5, x0=np.full(5, -8.0))
    gaps = [solve(problem, 400, seed).verdict.objective for seed in range(100, 105)]
    assert max(gaps) < 1e-4, "later searches begin with the curvature of those before"


# -- asking, telling, resuming ---------------------------------------------------------------------


def told(problem, state, x, tags):
    seen = problem.measure(x, np.arange(len(x)), tags)
    Hybrid().tell(problem, state, seen)


def test_a_state_that_was_saved_at_any_step_goes_on_bit_for_bit():
    problem, method = disc(), Hybrid()

    def rows(save):
        budget = Budget(evaluations=120)
        run = Run(problem, method, budget, 3, Meter(budget))
        token = active_run.set(run)
        try:
            state = method.init(problem, np.random.default_rng(7))
            x = []
            while sum(len(b) for b in x) < 110:
                asked = method.ask(problem, state)
                if save:
                    template = method.init(problem, np.random.default_rng(8))
                    state = decode(encode(state), template)
                x.append(asked.x)
                told(problem, state, asked.x, asked.tag)
            return np.vstack(x)
        finally:
            active_run.reset(token)

    np.testing.assert_array_equal(rows(True), rows(False))


def test_points_come_in_any_number_and_are_told_in_any_order():
    problem, method = BlackBox(rosenbrock, [(-5, 5)] * 3), Hybrid()
    state, rng = method.init(problem, np.random.default_rng(0)), np.random.default_rng(1)
    out, best = [], np.inf
    for _ in range(60):
        asked = method.ask(problem, state, int(rng.integers(1, 6)))
        out += list(zip(asked.x, asked.tag, strict=True))
        rng.shuffle(out)
        keep = len(out) // 2
        for x, tag in out[keep:]:
            told(problem, state, x[None], np.array([tag]))
            best = min(best, rosenbrock(x))
        out = out[:keep]
    assert best < 1.0


def test_the_differences_of_a_step_are_asked_for_at_once():
    problem, method = BlackBox(rosenbrock, [(-5, 5)] * 6), Hybrid()
    state, sizes = method.init(problem, np.random.default_rng(0)), []
    while len(sizes) < 80:
        asked = method.ask(problem, state)
        sizes.append(len(asked.x))
        told(problem, state, asked.x, asked.tag)
    assert sizes.count(6) > 5


def test_the_model_does_not_ask_for_the_middle_again():
    problem, method = BlackBox(lambda x: float(abs(x[0] * x[1]) > 1), [(-5, 5)] * 2), Hybrid()
    state, points = method.init(problem, np.random.default_rng(0)), np.empty((0, 2))
    while len(points) < 15:
        asked = method.ask(problem, state)
        points = np.vstack([points, asked.x])
        told(problem, state, asked.x, asked.tag)
    assert (points == 0).all(axis=1).sum() == 1


def test_points_that_nobody_asked_for_are_used():
    problem, method = BlackBox(rosenbrock, [(-5, 5)] * 2), Hybrid()
    state = method.init(problem, np.random.default_rng(0))
    told(problem, state, np.array([[1.0, 1.0]]), np.array([-1]))
    assert state.rows.leader == 0
    for _ in range(40):
        asked = method.ask(problem, state)
        told(problem, state, asked.x, asked.tag)
    assert state.rows.f[state.rows.leader] == 0


def test_known_constraints_are_never_asked_about():
    def known(x):
        return x.sum(axis=1) <= 1.0

    problem, method = BlackBox(rosenbrock, [(-2, 2)] * 2, known=known), Hybrid()
    state = method.init(problem, np.random.default_rng(0))
    for _ in range(80):
        asked = method.ask(problem, state)
        assert known(asked.x).all()
        told(problem, state, asked.x, asked.tag)
    # min on x + y = 1: (0.618..., 0.381...), f = (1 - x)^2 there
    assert state.rows.f[state.rows.leader] < 0.1462


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3, 4, 7])
def test_tiny_budgets_end_with_the_best_point_found(n):
    result = solve(BlackBox(rosenbrock, [(-5, 5)] * 3), n)
    assert result.spent["evaluations"] == n
    assert result.verdict.objective == min(result.ledger.all().objective)


ODD = {
    "constant": lambda x: 3.0,
    "plateaus": lambda x: float(np.floor(4 * np.abs(x)).sum()),
    "a step": lambda x: float(x[0] > 0.3),
    "an offset of 1e12": lambda x: 1e12 + float(x @ x),
    "a scale of 1e-12": lambda x: 1e-12 * float(x @ x),
    "a scale of 1e12": lambda x: 1e12 * float(x @ x),
    "1e300": lambda x: 1e300 * float(np.tanh(x[0])),
    "infinite on one side": lambda x: float("inf") if x[0] < 0 else float(x @ x),
    "not a number on half": lambda x: float("nan") if x[1] < -0.2 else float(x @ x),
    "raises on half": lambda x: 1 / 0 if x[1] < -0.2 else float(x @ x),
    "always fails": lambda x: float("nan"),
    "spikes": lambda x: 1e250 if 0.2 < x[0] < 0.21 else float(x @ x),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_functions_end_with_the_best_point_and_within_the_budget(kind):
    result = solve(BlackBox(ODD[kind], [(-1, 2)] * 2), 120, on_failure="skip")
    rows = result.ledger.all()
    assert result.spent["evaluations"] <= 120
    if np.isfinite(rows.objective).any():
        assert result.verdict.objective == np.nanmin(rows.objective)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1.0, 1e6, 1e12])
def test_the_scale_of_the_values_does_not_matter(scale):
    # a valley that is no sum, in units from 1e-12 to 1e12
    result = solve(BlackBox(lambda x: scale * rosenbrock(x), [(-5, 5)] * 2), 150)
    assert result.verdict.objective < 1e-8 * scale


def test_single_precision_inside_costs_only_the_digits_that_are_not_there():
    def single(x):
        return float(np.float32(1 + rosenbrock(x)))

    result = solve(BlackBox(single, [(-2, 2)] * 3), 300)
    assert result.verdict.objective < 1 + 2e-5


def test_a_box_of_width_1e_9_is_searched():
    at = np.array([1.0, -2.0])
    problem = BlackBox(
        lambda x: float((((x - at) * 1e9 - [0.3, 0.6]) ** 2).sum()),
        [(1.0, 1.0 + 1e-9), (-2.0, -2.0 + 1e-9)],
    )
    assert solve(problem, 100).verdict.objective < 1e-10


def test_fixed_inputs_are_left_alone():
    problem = BlackBox(lambda x: float((x - 0.3) @ (x - 0.3)), [(0, 1), (2, 2), (0, 1)])
    result = solve(problem, 60)
    assert (result.ledger.all().x[:, 1] == 2).all()
    assert result.verdict.objective - 1.7**2 < 1e-10


def test_a_box_without_room_ends_by_itself():
    result = solve(BlackBox(lambda x: float(x.sum()), [(1, 1), (2, 2)]), 20)
    assert result.verdict.objective == 3
    assert result.spent["evaluations"] == 1


def test_duplicates_told_by_the_user_do_no_harm():
    problem, method = BlackBox(rosenbrock, [(-5, 5)] * 2), Hybrid()
    state = method.init(problem, np.random.default_rng(0))
    same = np.tile([[0.5, 0.5]], (6, 1))
    told(problem, state, same, np.full(6, -1))
    for _ in range(40):
        asked = method.ask(problem, state)
        told(problem, state, asked.x, asked.tag)
    assert state.rows.f[state.rows.leader] < 0.3


def test_a_constraint_that_is_not_a_number_counts_as_missed():
    problem = BlackBox(
        lambda x: (float(x @ x), [float("nan") if x[0] > 0.5 else -x[0] - 0.2]),
        [(-1, 1)] * 2,
        limits=["<= 0"],
    )
    result = solve(problem, 80, on_failure="skip")
    assert result.verdict.feasible
    assert result.verdict.objective < 1e-8


@pytest.mark.parametrize("what", ["few", "many", "shrunk", "round", "behind"])
def test_a_setting_that_makes_no_sense_is_refused(what):
    with pytest.raises(errors.ArgumentError, match=what):
        Hybrid(**{what: -1})


def test_rows_of_other_shapes_are_not_taken_for_the_methods_own():
    problem, method = BlackBox(rosenbrock, [(-5, 5)] * 2), Hybrid()
    state = method.init(problem, np.random.default_rng(0))
    row = problem.measure(np.zeros((1, 2)), np.array([0]), np.array([10**6]))
    assert isinstance(row, Observations)
    method.tell(problem, state, row)
    assert state.rows.n == 1
