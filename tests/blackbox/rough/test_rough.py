"""The method: runs and ask/tell over every kind of input, noise, limits and failures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import feasible
from feasible.blackbox import BlackBox, Categorical, Integer, Real
from feasible.blackbox.rough.run import RobustBO
from feasible.blackbox.rough.state import LOCAL
from feasible.core import errors
from feasible.core.checkpoint import decode, encode
from feasible.core.ledger import FAILED

APART = 1e-6


def bowl(x):
    return float(np.sum((np.asarray(x) - 0.3) ** 2))


def mixed(**options):
    """Least at t = 0.4, k = 3, c = a, which the yes/no limit allows and the other one too."""

    def fun(m):
        cost = (m["t"] - 0.4) ** 2 + 0.1 * (m["k"] - 3) ** 2 + (m["c"] != "a")
        return {"cost": cost, "stable": m["t"] > 0.2, "load": m["t"] + m["k"]}

    return BlackBox(
        fun,
        [Real("t", 0, 1), Integer("k", 0, 9), Categorical("c", ["a", "b", "d"])],
        objective="cost",
        limits={"stable": "is true", "load": "<= 5"},
        **options,
    )


def spoilt(x):
    """Fails in a quarter of the box, beside its minimum over the rest."""
    if x[0] > 0.5 and x[1] > 0.5:
        raise RuntimeError("gelled")
    return float((x[0] - 0.55) ** 2 + (x[1] - 0.45) ** 2)


def noisy(sd, seed=0, d=2, **options):
    rng = np.random.default_rng(seed)
    return BlackBox(lambda x: bowl(x) + sd * rng.standard_normal(), [(-1, 2)] * d, **options)


def asked(problem, n, seed=0, method=None, batch=1, outcome=None):
    """The state after n proposals that were told in batches, and the points."""
    method = method or RobustBO()
    state, points = method.init(problem, np.random.default_rng(seed)), []
    while len(points) < n:
        proposed = method.ask(problem, state, batch)
        numbers = np.arange(len(points), len(points) + batch)
        seen = problem.measure(proposed.x, numbers, proposed.tag)
        method.tell(problem, state, seen)
        points += list(proposed.x)
    return state, np.array(points)


# -- what it finds ---------------------------------------------------------------------------------


def test_a_smooth_bowl_is_met_to_a_hundred_thousandth():
    problem = BlackBox(bowl, [(-1, 2)] * 2)
    found = [feasible.solve(problem, "robust-bo", budget=50, seed=s) for s in (100, 101, 102)]
    assert np.median([one.verdict.objective for one in found]) < 1e-5


def kinds_of_proposals(fun, n):
    """The kinds of n proposals, one after the other."""
    problem, method, kinds = BlackBox(fun, [(0, 1)] * 2), RobustBO(repeat=False), []
    state = method.init(problem, np.random.default_rng(100))
    for number in range(n):
        proposed = method.ask(problem, state, 1)
        kinds += [one[1] for one in state.pending.values()]
        method.tell(problem, state, problem.measure(proposed.x, np.array([number]), proposed.tag))
    return kinds


def test_where_the_objective_is_rugged_the_whole_box_is_searched_for_longer():
    smooth = kinds_of_proposals(bowl, 20)
    assert LOCAL not in smooth[: 4 * 2]
    assert smooth[4 * 2 :].count(LOCAL) >= 4
    rugged = kinds_of_proposals(lambda x: float(np.sin(40 * x[0]) + np.sin(37 * x[1])), 50)
    assert LOCAL not in rugged[15 : 20 * 2]
    assert LOCAL in rugged[20 * 2 :]


def test_the_best_of_mixed_inputs_under_both_kinds_of_limits_is_found():
    found = feasible.solve(mixed(), "robust-bo", budget=50, seed=100)
    assert found.verdict.feasible
    assert found.answer["k"] == 3
    assert found.answer.x[2] == 0
    assert found.answer["t"] == pytest.approx(0.4, abs=0.05)


def test_under_noise_the_answer_is_the_row_that_the_model_expects_to_be_best():
    problem = noisy(0.1, noise=True)
    found = feasible.solve(problem, "robust-bo", budget=50, seed=100)
    rows = found.ledger.all()
    luckiest = rows.x[rows.objective.argmin()]
    assert bowl(found.answer.x) < 0.01
    assert bowl(found.answer.x) <= bowl(luckiest)
    assert any("values do not repeat" in note and "+-" in note for note in found.notes)


def test_an_outlier_does_not_become_the_answer():
    rng = np.random.default_rng(0)

    def fun(x):
        lucky = rng.random() < 0.1
        return bowl(x) + 0.02 * rng.standard_normal() - 5 * lucky

    found = feasible.solve(
        BlackBox(fun, [(-1, 2)] * 2, noise=True), "robust-bo", budget=50, seed=100
    )
    assert bowl(found.answer.x) < 0.1


# -- noise that nobody declared --------------------------------------------------------------------


@pytest.mark.parametrize("sd", [1e-3, 0.3])
def test_noise_that_nobody_declared_is_found_by_evaluating_the_best_row_again(sd):
    state, points = asked(noisy(sd), 8)
    assert state.noisy
    gaps = np.abs(points[:, None] - points[None]).max(axis=2) + np.eye(len(points))
    assert gaps.min() < 1e-8  # beside the row: an exact repeat would be answered from the ledger
    assert gaps.min() > 0


def test_values_that_repeat_to_seven_figures_are_not_taken_for_noise():
    problem = BlackBox(lambda x: float(np.float32(bowl(x))), [(-1, 2)] * 2)
    assert not asked(problem, 30)[0].noisy
    assert not asked(BlackBox(lambda x: 1e12 + bowl(x), [(-1, 2)] * 2), 20)[0].noisy


def test_replicates_that_somebody_made_show_the_noise():
    problem = noisy(0.2)
    method = RobustBO(repeat=False)
    state = method.init(problem, np.random.default_rng(0))
    x = np.array([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]])
    method.tell(problem, state, problem.measure(x, np.arange(3), np.full(3, -1)))
    assert state.noisy


# -- failures --------------------------------------------------------------------------------------


def test_failures_are_learned_and_never_proposed_again():
    problem = BlackBox(spoilt, [(0, 1)] * 2)
    state, points = asked(problem, 30, seed=101)
    assert state.failed.sum() <= 8
    assert np.isfinite(state.f).any()
    for failed in points[state.failed]:
        others = points[(points != failed).any(axis=1)]
        assert np.abs(others - failed).max(axis=1).min() > APART


def test_where_everything_fails_the_box_is_covered_and_the_run_ends_in_order():
    def fun(x):
        raise RuntimeError("no")

    found = feasible.solve(
        BlackBox(fun, [(0, 1)] * 2), "robust-bo", budget=15, seed=100, on_failure="skip"
    )
    rows = found.ledger.all()
    assert (rows.status == FAILED).all()
    assert len(np.unique(rows.x, axis=0)) == 15
    assert rows.x.max() > 0.7
    assert rows.x.min() < 0.3


def test_until_a_yes_no_limit_is_kept_the_points_are_those_of_sobol_search():
    problem = BlackBox(
        lambda x: {"f": bowl(x), "ok": bool(np.abs(x - [0.8, 0.3, 0.6]).max() < 0.1)},
        [(0, 1)] * 3,
        objective="f",
        limits={"ok": "is true"},
        known="x1 <= 0.9",
    )
    ours, theirs = (
        feasible.solve(problem, name, budget=150, seed=100).ledger.all()
        for name in ("robust-bo", "sobol-search")
    )
    first = int(np.flatnonzero(ours.constraints[:, 0] <= 0)[0])
    assert 10 < first < 149
    assert np.array_equal(ours.x[: first + 1], theirs.x[: first + 1])
    assert (ours.constraints[first + 1 :, 0] <= 0).mean() > 0.3


# -- rows from elsewhere, batches, corrections -----------------------------------------------------


def test_rows_that_nobody_asked_for_are_learned_from():
    problem = BlackBox(bowl, [(-1, 2)] * 2)
    method = RobustBO(design=2)
    state = method.init(problem, np.random.default_rng(100))
    x = np.random.default_rng(0).uniform(-1, 2, (20, 2))
    method.tell(problem, state, problem.measure(x, np.arange(20), np.full(20, -1)))
    method.ask(problem, state, 2)
    points = method.ask(problem, state, 4).x
    assert min(map(bowl, points)) < bowl(x[np.argmin([bowl(row) for row in x])])


@pytest.mark.parametrize("make", [lambda: BlackBox(bowl, [(-1, 2)] * 2), mixed])
def test_proposals_that_are_out_together_are_apart(make):
    problem = make()
    _, points = asked(problem, 36, batch=6, seed=100)
    u = problem.space.unit(points)
    gaps = np.abs(u[:, None] - u[None]).max(axis=2) + np.eye(len(u))
    assert (gaps > 1e-11).all()


def test_a_corrected_row_replaces_the_old_one():
    problem = BlackBox(bowl, [(-1, 2)] * 2)
    state, _ = asked(problem, 5)
    again = problem.from_metrics(state.x[2], {"objective": -7.0}, None, 2)
    RobustBO().tell(problem, state, again)
    assert state.n == 5
    assert state.f[2] == -7.0


def test_what_was_abandoned_teaches_nothing():
    problem = BlackBox(bowl, [(-1, 2)] * 2)
    method = RobustBO()
    state = method.init(problem, np.random.default_rng(0))
    proposed = method.ask(problem, state, 1)
    seen = problem.from_metrics(proposed.x[0], {}, "abandoned", 0)
    seen.tag[:] = proposed.tag
    method.tell(problem, state, seen)
    assert state.n == 0
    assert not state.pending


# -- the same again --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [mixed, lambda: noisy(0.1, noise=True)])
def test_a_state_that_was_saved_goes_on_bit_for_bit(make):
    problem, method = make(), RobustBO()
    state, _ = asked(problem, 24)
    saved = encode(state)
    fresh = decode(saved, method.init(problem, np.random.default_rng(9)))
    for _ in range(3):
        one, two = method.ask(problem, state, 2), method.ask(problem, fresh, 2)
        np.testing.assert_array_equal(one.x, two.x)
        np.testing.assert_array_equal(one.tag, two.tag)
        seen = problem.measure(one.x, np.arange(2) + state.n, one.tag)
        method.tell(problem, state, seen)
        method.tell(problem, fresh, seen)


def test_the_same_seed_gives_the_same_points_and_the_budget_changes_none():
    def points(n, seed):
        return feasible.solve(mixed(), "robust-bo", budget=n, seed=seed).ledger.all().x

    np.testing.assert_array_equal(points(20, 1), points(30, 1)[:20])
    assert (points(8, 1) != points(8, 2)).any()


# -- bad input and faults --------------------------------------------------------------------------

FAULTS = {
    "constant": lambda x: 1.0,
    "steps": lambda x: float(np.floor(4 * x[0])),
    "offset": lambda x: 1e12 + bowl(x),
    "tiny": lambda x: 1e-12 * bowl(x),
    "huge": lambda x: 1e12 * bowl(x),
    "infinite": lambda x: np.inf if x[0] > 0.5 else bowl(x),
    "beyond squares": lambda x: 1e300 if x[0] > 0.5 else bowl(x),
    "below squares": lambda x: -1e300 if x[0] > 0.9 else bowl(x),
    "not a number": lambda x: np.nan if x[0] > 0.5 else bowl(x),
    "single precision": lambda x: float(np.float32(bowl(x))),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("noise", [False, True])
def test_faulty_functions_end_with_the_best_row_within_the_budget(fault, noise):
    problem = BlackBox(FAULTS[fault], [(0, 1)] * 2, noise=noise)
    found = feasible.solve(problem, "robust-bo", budget=25, seed=100, on_failure="skip")
    rows = found.ledger.all()
    assert found.spent["evaluations"] == len(rows) == 25
    good = np.isfinite(rows.objective)
    assert found.verdict.feasible
    if not noise:
        assert found.verdict.objective == rows.objective[good].min()


@pytest.mark.parametrize("budget", [1, 2, 3, 4])
def test_budgets_below_the_first_design_are_kept(budget):
    found = feasible.solve(BlackBox(bowl, [(-1, 2)] * 2), "robust-bo", budget=budget, seed=100)
    assert found.spent["evaluations"] == budget
    assert found.verdict.feasible


@pytest.mark.parametrize(
    "bounds", [[(0, 1), (2, 2)], [(0.5, 0.5 + 1e-9), (-1, 2)], [(1, 1), (2, 2)]]
)
def test_fixed_and_very_narrow_inputs_are_searched(bounds):
    found = feasible.solve(BlackBox(bowl, bounds), "robust-bo", budget=15, seed=100)
    low, high = np.array(bounds).T
    x = found.ledger.all().x
    assert ((x >= low) & (x <= high)).all()
    assert found.verdict.feasible


def test_a_space_of_few_points_is_evaluated_once_and_the_run_says_so():
    problem = BlackBox(bowl, [Integer("a", 0, 3), Integer("b", 0, 2)])
    found = feasible.solve(problem, "robust-bo", budget=40, seed=100)
    assert found.spent["evaluations"] == 12
    assert "evaluated" in found.stopped
    assert found.verdict.objective == min(bowl((a, b)) for a in range(4) for b in range(3))


def test_known_constraints_hold_for_every_proposal():
    problem = BlackBox(bowl, [(0, 1)] * 2, known=lambda x: x.sum(axis=1) > 1.2)
    found = feasible.solve(problem, "robust-bo", budget=30, seed=100)
    rows = found.ledger.all()
    assert (rows.x.sum(axis=1) > 1.2).all()
    assert found.verdict.objective < bowl([0.6, 0.6]) + 0.01


def test_a_row_without_objective_is_no_failure():
    def fun(x):
        load = float(x[0] + x[1])
        return {"f": bowl(x), "load": load} if load <= 1 else {"load": load}

    problem = BlackBox(fun, [(0, 1)] * 2, objective="f", limits={"load": "<= 1"})
    state, _ = asked(problem, 25, seed=100)
    assert not state.failed.any()
    assert np.isnan(state.f).any()
    assert state.f[state.best(1e-6)] < 1e-3


@pytest.mark.parametrize(
    ("given_", "named"),
    [
        ({"design": 0}, "design"),
        ({"local_whole": -1}, "local_whole"),
        ({"local_category": 1.5}, "local_category"),
    ],
)
def test_settings_are_checked(given_, named):
    with pytest.raises(errors.FeasibleError, match=named):
        RobustBO(**given_)


def test_infinite_bounds_are_refused():
    with pytest.raises(errors.BoundsError, match="finite bounds"):
        feasible.solve(BlackBox(bowl, [(-np.inf, 1)] * 2), "robust-bo", budget=5)


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.integers(1, 3), st.booleans())
def test_every_point_is_one_of_the_space_for_any_quadratic(seed, d, noise):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((d + 1, d + 1)), rng.standard_normal(d + 1)
    space = [Real(f"r{j}", -1, 2) for j in range(d)] + [Integer("k", -2, 3)]

    def fun(x):
        return float(x @ a @ x + b @ x) + noise * rng.standard_normal()

    problem = BlackBox(fun, space, noise=noise, pass_as="vector")
    x = asked(problem, 3 * d + 8, seed)[1]
    np.testing.assert_array_equal(x, problem.space.snap(x))


@pytest.mark.parametrize("n", [300, 6000])
def test_rows_of_a_menu_are_proposed_each_once(n):
    rng = np.random.default_rng(0)
    table = {"a": rng.uniform(0, 1, n), "b": rng.uniform(0, 1, n)}
    problem = BlackBox(bowl, candidates=table)
    found = feasible.solve(problem, "robust-bo", budget=25, seed=100)
    rows = found.ledger.all().x
    assert len(np.unique(rows, axis=0)) == 25
    points = np.column_stack([table["a"], table["b"]])
    assert all((points == row).all(axis=1).any() for row in rows)
    ranks = np.sort([bowl(row) for row in points])
    assert found.verdict.objective <= ranks[2]


def test_steps_and_linear_equalities_are_kept():
    problem = BlackBox(
        bowl,
        [Real("a", 0, 1, step=0.05), Real("b", 0, 1), Real("c", 0, 1)],
        known="a + b + c == 1",
    )
    found = feasible.solve(problem, "robust-bo", budget=25, seed=100)
    rows = found.ledger.all().x
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(rows[:, 0] / 0.05, np.round(rows[:, 0] / 0.05), atol=1e-9)
    assert found.verdict.objective < bowl([0.35, 0.325, 0.325]) + 0.005


def test_an_equality_beside_a_category_is_met():
    def fun(m):
        k = "abc".index(m["c"])
        h = m["a"] + m["b"] ** 2 + 0.2 * k * np.sin(5 * m["a"])
        return {"f": (m["a"] - 0.7) ** 2 + (m["b"] - 0.2) ** 2 + 0.3 * k, "h": h}

    problem = BlackBox(
        fun,
        [Real("a", 0, 1), Real("b", 0, 1), Categorical("c", ["a", "b", "c"])],
        objective="f",
        limits={"h": "== 1"},
    )
    for seed in (100, 101, 102):
        found = feasible.solve(problem, "robust-bo", budget=50, seed=seed)
        assert found.verdict.feasible


@pytest.mark.parametrize("seed", [101, 104, 107, 109])
def test_an_equality_is_met_within_forty_evaluations_though_first_steps_fail(seed):
    volume = np.array([0.15, 0.3, 0.45])

    def fun(m):
        a, b, k = m["a"], m["b"], "abc".index(m["c"])
        return {"f": (1 + k / 4) * (a * a + 2 * a * b), "h": a * a * b - volume[k]}

    problem = BlackBox(
        fun,
        [Categorical("c", ["a", "b", "c"]), Real("a", 0.2, 1), Real("b", 0.2, 1)],
        objective="f",
        limits={"h": "= 0"},
    )
    assert feasible.solve(problem, "robust-bo", budget=40, seed=seed).verdict.feasible


def test_noise_that_vanishes_at_the_optimum_is_followed_there():
    rng = np.random.default_rng(0)
    problem = BlackBox(
        lambda x: bowl(x) * (1 + 0.01 * rng.standard_normal()), [(-1, 2)] * 2, noise=True
    )
    found = feasible.solve(problem, "robust-bo", budget=50, seed=100)
    assert bowl(found.answer.x) < 1e-5
