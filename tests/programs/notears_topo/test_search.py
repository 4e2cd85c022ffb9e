"""Scores, exchanges and the search of orders, held to least squares and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from feasible import errors
from feasible.programs.notears_topo.compiled import reachability
from feasible.programs.notears_topo.graphs import is_acyclic, topological_order
from feasible.programs.notears_topo.linear import LinearModel, equal_variance_order
from feasible.programs.notears_topo.search import advance, begin, candidates, disjoint, exchanged
from feasible.programs.notears_topo.settings import TopoSettings
from feasible.programs.notears_topo.simulate import simulate_dag, simulate_linear
from feasible.programs.notears_topo.topo import covariance_of, topo


def least_squares(x: np.ndarray, order: np.ndarray) -> tuple[float, np.ndarray]:
    """Q and W by a regression of each variable on those before it."""
    d = x.shape[1]
    weights, rest = np.zeros((d, d)), 0.0
    for k, j in enumerate(order):
        before = order[:k]
        found = np.linalg.lstsq(x[:, before], x[:, j], rcond=None)[0] if k else np.zeros(0)
        weights[before, j] = found
        rest += ((x[:, j] - x[:, before] @ found) ** 2).sum()
    return rest / (2 * len(x)), weights


def population(weights: np.ndarray) -> np.ndarray:
    """The covariance of unit noise."""
    inverse = np.linalg.inv(np.eye(len(weights)) - weights)
    return inverse.T @ inverse


@given(st.integers(2, 7), st.integers(0, 1000))
def test_every_exchange_scores_what_least_squares_gives(d, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((3 * d, d)) @ (np.eye(d) + rng.standard_normal((d, d)))
    x -= x.mean(0)
    model, order = LinearModel(covariance_of(x)), rng.permutation(d)
    fit, scores = model.fit(order), model.scores(order)
    score, weights = least_squares(x, order)
    assert np.isclose(fit.score, score, rtol=1e-9)
    assert np.allclose(fit.weights, weights, atol=1e-7 * max(1, np.abs(weights).max()))
    assert is_acyclic(fit.weights)
    for a, b in itertools.combinations(range(d), 2):
        other = exchanged(order, np.array([[a, b]]))
        assert np.isclose(scores[a, b], least_squares(x, other)[0], rtol=1e-9)


@given(st.integers(4, 9), st.integers(0, 1000))
def test_what_disjoint_exchanges_gain_adds_up(d, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((40, d)) @ rng.standard_normal((d, d))
    model, order = LinearModel(covariance_of(x)), rng.permutation(d)
    fit = model.fit(order)
    first, second = np.triu_indices(d, 1)
    scores = model.scores(order)[first, second]
    pairs = disjoint(first, second, scores, fit.score)
    segments = sorted((int(a), int(b)) for a, b in pairs)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(segments))
    gains = sum(fit.score - model.scores(order)[a, b] for a, b in pairs)
    after = model.fit(exchanged(order, pairs)).score
    assert np.isclose(fit.score - gains, after, rtol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_h_says_which_variables_reach_which(seed):
    weights = simulate_dag(8, 1, seed=seed)
    reach = np.zeros((8, 8))
    walks = np.linalg.inv(np.eye(8) - np.abs(weights)).T
    reachability(weights, topological_order(weights), reach)
    assert np.allclose(reach, walks, rtol=1e-12)
    assert (reach >= 0).all()


def test_the_true_order_of_equal_variances_has_the_least_score_of_all():
    weights = simulate_dag(5, 2, seed=3)
    model = LinearModel(population(weights))
    scores = [model.fit(np.array(o)).score for o in itertools.permutations(range(5))]
    assert np.isclose(min(scores), 2.5, rtol=1e-12)
    assert np.isclose(topo(covariance=population(weights)).best.score, 2.5, rtol=1e-12)


def test_of_two_variables_the_one_of_less_variance_comes_first():
    found = topo(covariance=np.array([[2.0, 1.0], [1.0, 1.5]])).best
    assert found.order.tolist() == [1, 0]


def test_the_best_of_five_random_starts_is_the_best_of_all_orders_nine_times_in_ten():
    hits = 0
    for seed in range(100, 120):
        x = simulate_linear(simulate_dag(5, 1, seed=seed), 500, seed=seed)
        model = LinearModel(covariance_of(x))
        least = min(model.fit(np.array(o)).score for o in itertools.permutations(range(5)))
        settings = TopoSettings(start="random", n_starts=4)
        hits += topo(x, settings=settings, seed=seed).best.score <= least * (1 + 1e-12)
    assert hits >= 18


def test_it_ends_where_no_exchange_lowers_the_score():
    x = simulate_linear(simulate_dag(12, 3, seed=1), 300, seed=1)
    model = LinearModel(covariance_of(x))
    found = topo(x, settings=TopoSettings(start="random", n_starts=0)).best
    scores = model.scores(found.order)
    assert np.nanmin(scores) >= found.score - 1e-12


def test_the_score_never_rises_and_an_equal_variance_start_is_never_lost():
    x = simulate_linear(simulate_dag(15, 4, "sf", seed=2), 200, seed=2)
    model = LinearModel(covariance_of(x))
    settings = TopoSettings(size_small=20, size_large=60, n_large=3)
    state = begin(np.random.default_rng(0).permutation(15)[None])
    scores = []
    while state.why is None:
        advance(model, state, settings)
        if state.scores:
            scores.append(state.fit.score)
    assert (np.diff(scores) < 0).all()
    assert topo(x).best.score <= model.fit(equal_variance_order(covariance_of(x))).score


def test_candidate_sets_hold_the_pairs_of_least_gradient_ties_included():
    model = LinearModel(covariance_of(simulate_linear(simulate_dag(8, 2, seed=5), 100, seed=5)))
    fit = model.fit(np.arange(8))
    sets = candidates(model, fit, TopoSettings(size_small=5, size_large=12))
    reach = np.linalg.inv(np.eye(8) - np.abs(fit.weights)).T
    values = np.sort([reach[fit.order[b], fit.order[a]] for a in range(8) for b in range(a + 1, 8)])
    small = [reach[fit.order[b], fit.order[a]] for a, b in sets.small]
    assert len(small) >= 5
    assert np.isclose(max(small), values[4])
    assert len(sets.small) + len(sets.large) >= 12
    steep = candidates(model, fit, TopoSettings(xi=0.5))
    gradient = np.abs(model.gradient(fit))
    assert all(gradient[fit.order[b], fit.order[a]] > 0.5 for a, b in steep.small)
    assert len(steep.small) < 28


def test_scale_free_graphs_need_all_pairs():
    x = simulate_linear(simulate_dag(30, 4, "sf", seed=100), 1000, seed=100)
    every = TopoSettings(start="random", n_starts=0)
    few = TopoSettings(start="random", n_starts=0, size_small=90, size_large=90)
    assert topo(x, settings=every).best.score < 0.99 * topo(x, settings=few).best.score


def test_a_covariance_gives_what_its_rows_give():
    x = simulate_linear(simulate_dag(6, 2, seed=7), 100, "gumbel", seed=7)
    assert topo(x).best.score == topo(covariance=covariance_of(x)).best.score


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "either X or covariance"),
        ({"X": np.ones((5, 3))}, "column 0 is constant"),
        ({"X": np.full((4, 2), np.nan)}, "finite"),
        ({"X": np.zeros((1, 3))}, "at least 2 rows"),
        ({"X": np.array([["a", "b"], ["c", "d"]])}, "X: expected"),
        ({"X": np.eye(2) * 1j}, "X: expected"),
        ({"X": np.random.default_rng(0).standard_normal((3, 5))}, "singular"),
        ({"covariance": np.array([[1.0, 0.5], [0.2, 1.0]])}, "transpose"),
        ({"covariance": np.diag([1.0, 0.0])}, "positive"),
        ({"covariance": np.eye(3), "order": [0, 0, 1]}, "permutation"),
        ({"covariance": np.eye(3), "order": [0.0, 1.0, 2.0]}, "whole numbers"),
        ({"covariance": np.eye(3), "settings": TopoSettings(size_small=4)}, "at most"),
        ({"covariance": np.eye(3), "settings": TopoSettings(model="logistic")}, "needs the data"),
        ({"covariance": np.eye(3), "seed": -1}, "seed"),
    ],
)
def test_bad_input_is_named(arguments, said):
    with pytest.raises(errors.FeasibleError, match=said):
        topo(**arguments)


@pytest.mark.parametrize(
    "setting", [{"model": "cubic"}, {"size_small": 0}, {"l1": -1.0}, {"loss": "logl2"}, {"rate": 0}]
)
def test_bad_settings_are_named(setting):
    with pytest.raises(errors.FeasibleError, match=next(iter(setting))):
        TopoSettings(**setting)
