"""Elimination of sparse parameters, its nets, designs and instances."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.policies import ModelViolation, SparseElimination
from feasible.policies.sparse_bandits import TooManyCandidates
from feasible.policies.sparse_bandits.design import kiefer_wolfowitz, pivoted
from feasible.policies.sparse_bandits.elimination import Candidates
from feasible.policies.sparse_bandits.instances import (
    Flatterer,
    decoy_bandit,
    design_attack,
    jl_hard_instance,
    unit_sparse,
)
from feasible.policies.sparse_bandits.nets import ball_net, net_size, sphere_net


def arms(K=40, d=5, seed=0):
    found = np.random.default_rng(seed).standard_normal((K, d))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


# -- nets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "s", "nu", "size"),
    [(ball_net, 2, 0.1, 185), (ball_net, 3, 0.2, 619), (ball_net, 3, 0.1, 3695),
     (sphere_net, 2, 0.1, 32), (sphere_net, 3, 0.2, 384), (sphere_net, 3, 0.1, 1350)],
)  # fmt: skip
def test_a_net_has_a_point_within_its_radius_of_every_vector(make, s, nu, size):
    net = make(s, nu)
    assert len(net) == size
    assert net_size(s, nu, "ball" if make is ball_net else "sphere") == pytest.approx(size, rel=0.3)
    rng = np.random.default_rng(0)
    unit = rng.standard_normal((1000, s))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    if make is ball_net:
        unit *= rng.random((1000, 1)) ** (1 / s)
    apart = np.linalg.norm(unit[:, None] - net[None], axis=2).min(1)
    assert apart.max() <= nu


def vectors(table, d):
    """All candidates that stand in a table, as tuples."""
    found = []
    for i, c in zip(*np.nonzero(table.once), strict=True):
        theta = np.zeros(d)
        theta[table.supports[i]] = table.net[c]
        found.append(tuple(np.round(theta, 9) + 0.0))
    return found


@pytest.mark.parametrize(("d", "s", "nu"), [(5, 2, 0.25), (5, 3, 0.6), (4, 1, 0.3), (6, 4, 1.0)])
def test_each_parameter_is_a_candidate_once_and_has_its_best_arm(d, s, nu):
    phi = arms(30, d)
    table = Candidates.of(phi, s, nu, "ball", 10**6)
    found = vectors(table, d)
    assert len(set(found)) == len(found)
    every = {
        tuple(np.round(np.bincount(M, w, d), 9) + 0.0)
        for M in itertools.combinations(range(d), s)
        for w in table.net
    }
    assert set(found) == every
    for i, M in enumerate(table.supports):
        predicted = phi[:, M] @ table.net.T
        np.testing.assert_allclose(table.values[i], predicted.max(0), atol=1e-12)
        np.testing.assert_allclose(
            predicted[table.arms[i], np.arange(len(table.net))], table.values[i], atol=1e-12
        )


# -- the search ------------------------------------------------------------------------------------


def test_axes_and_their_opposites_take_one_query_each_at_most():
    phi = np.vstack([np.eye(7), -np.eye(7)])
    rewards = phi @ np.eye(7)[4] * -1.0
    found = SparseElimination(phi, sparsity=1, eps=1e-9, net="sphere").run(lambda i: rewards[i])
    assert found.action == 11
    assert found.n_queries <= 15
    assert found.theta[4] == -1


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(["optimistic", "disagreement"]))
@example(527, "disagreement")
def test_the_reward_is_within_the_guarantee_and_the_truth_survives(seed, order):
    rng = np.random.default_rng(seed)
    phi, theta = arms(30, 4, seed), unit_sparse(4, 2, rng)
    rewards = phi @ theta + 0.1 * rng.choice([-1.0, 1.0], 30)
    search = SparseElimination(phi, sparsity=2, eps=0.1, order=order)
    found = search.run(lambda i: rewards[i])
    assert rewards.max() - rewards[found.action] <= found.guarantee + 1e-12
    assert found.guarantee == pytest.approx(0.4 if order == "optimistic" else 1.2)
    table = search.table(2, 0.1)
    near = [
        np.linalg.norm(np.bincount(table.supports[i], table.net[c], 4) - theta)
        for i, c in zip(*np.nonzero(search.state.alive), strict=True)
    ]
    assert min(near) <= 0.1


def test_what_is_left_after_each_reply_is_what_a_filter_leaves():
    phi = arms(30, 4)
    rewards = phi @ np.array([0.0, 0.8, 0.0, 0.0]) + 0.05 * np.cos(np.arange(30))
    search = SparseElimination(phi, sparsity=1, eps=0.1, radius=0.25)
    table, left = search.table(1, 0.1), None
    while (arm := search.ask()) is not None:
        search.tell(arm, rewards[arm])
        left = table.once.astype(bool)
        for a in search.state.asked:
            predicted = np.stack([phi[a, M] @ table.net.T for M in table.supports])
            left &= np.abs(predicted - rewards[a]) <= 0.35
        assert np.array_equal(left, search.state.alive.astype(bool))
    assert search.state.left == left.sum()


def test_a_recorded_log_gives_the_same_result_by_ask_and_tell():
    bandit = decoy_bandit(12, 0.2, K=300, seed=3)
    first = SparseElimination(bandit.features, eps=0.2).run(lambda i: bandit.rewards[i])
    again = SparseElimination(bandit.features, eps=0.2)
    for arm, reply in zip(first.asked, first.replies, strict=True):
        assert again.ask() == arm
        again.tell(arm, reply)
    again.ask()
    assert again.done
    assert (again.state.choice, again.guarantee) == (first.action, first.guarantee)


def test_other_names_of_features_and_arms_change_no_count():
    bandit = decoy_bandit(10, 0.2, K=200, seed=5)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(200), rng.permutation(10)
    one = SparseElimination(bandit.features, eps=0.2).run(lambda i: bandit.rewards[i])
    moved = SparseElimination(bandit.features[rows][:, columns], eps=0.2)
    two = moved.run(lambda i: bandit.rewards[rows[i]])
    assert bandit.rewards[one.action] == bandit.rewards[rows[two.action]]
    assert one.n_queries == two.n_queries


@pytest.mark.parametrize("seed", range(100, 104))
def test_an_adversary_that_confirms_every_prediction_is_within_the_guarantee(seed):
    bandit = decoy_bandit(20, 0.1, K=400, seed=seed)
    theta = unit_sparse(20, 2, np.random.default_rng(seed))
    foe, search = Flatterer(bandit, theta), SparseElimination(bandit.features, eps=0.1)
    while (arm := search.ask()) is not None:
        i, c = search._leader()
        table = search.table(2, 0.1)
        search.tell(arm, foe.reply(arm, float(table.values[i, c])))
    assert foe.rewards.max() - foe.rewards[search.best] <= search.guarantee


def test_a_bound_or_a_sparsity_that_is_searched_for_guarantees_nothing():
    phi = arms(60, 6)
    rewards = phi @ np.array([0.0, 0.6, 0.0, 0.0, -0.8, 0.0])
    for more in ({"eps": None}, {"sparsity": None, "eps": 0.15}):
        search = SparseElimination(phi, **{"sparsity": 2, **more})
        found = search.run(lambda i: rewards[i])
        assert found.guarantee is None
        assert rewards.max() - rewards[found.action] <= 0.7
    with pytest.raises(ModelViolation, match=r"eps=0\.01 and sparsity=1: no candidate agrees"):
        SparseElimination(phi, sparsity=1, eps=0.01).run(lambda i: 3 + np.cos(i))


def test_noise_is_averaged_until_a_mean_is_within_eps():
    phi = np.vstack([np.eye(3), -np.eye(3)])
    rewards, rng = phi @ np.array([0.0, 0.9, 0.0]), np.random.default_rng(0)
    search = SparseElimination(phi, 0.5, sparsity=1, eps=0.2, p=0.05)
    assert search.repeats == math.ceil(2 * 0.25 * math.log(math.pi**2 / 0.15) / 0.04)
    found = search.run(lambda i: rewards[i] + 0.5 * rng.standard_normal())
    assert found.action == 1
    assert found.guarantee == pytest.approx(6 * 0.2)
    assert found.n_queries > len(found.asked)


# -- designs and instances -------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [3, 6])
def test_a_design_leaves_no_arm_a_leverage_above_twice_the_rank(rank):
    rng = np.random.default_rng(1)
    phi = rng.standard_normal((80, rank)) @ rng.standard_normal((rank, 6))
    weights = kiefer_wolfowitz(phi)
    assert weights.sum() == pytest.approx(1)
    V = phi.T @ (weights[:, None] * phi)
    leverage = np.einsum("kd,kd->k", phi @ np.linalg.pinv(V), phi)
    assert leverage.max() <= 2 * rank * (1 + 1e-6)
    assert len(pivoted(phi)) == rank


def test_a_decoy_is_within_eps_of_a_sparse_function_everywhere():
    bandit = decoy_bandit(15, 0.1, K=500, seed=2)
    assert np.allclose(np.linalg.norm(bandit.features, axis=1), 1)
    assert ((bandit.features != 0).sum(1) == 4).all()
    best = min(
        np.abs(bandit.rewards - bandit.features[:, M] @ fit).max()
        for M in itertools.combinations(range(15), 2)
        for fit in [np.linalg.lstsq(bandit.features[:, M], bandit.rewards, rcond=None)[0]]
    )
    assert best <= 0.2


def test_the_lower_bounds_instance_states_its_own_misspecification():
    bandit = jl_hard_instance(32, 0.6, 2.0, 200, seed=1)
    one = int(np.argmax(bandit.rewards))
    predicted = bandit.features @ (2.0 * bandit.features[one])
    assert np.abs(predicted - bandit.rewards).max() == pytest.approx(bandit.eps)
    assert bandit.eps <= 1.2


def test_an_attacked_design_misleads_least_squares_and_not_elimination():
    bandit = design_attack(20, 0.1, 800, seed=4)
    design = pivoted(bandit.features)
    theta = np.linalg.solve(bandit.features[design], bandit.rewards[design])
    fooled = bandit.rewards[np.argmax(bandit.features @ theta)]
    found = SparseElimination(bandit.features, eps=0.1).run(lambda i: bandit.rewards[i])
    best = bandit.rewards.max()
    assert best - bandit.rewards[found.action] <= 0.4
    assert best - fooled > best - bandit.rewards[found.action]


# -- bad input -------------------------------------------------------------------------------------


def test_bad_input_is_named():
    phi = arms()
    with pytest.raises(ArgumentError, match="sparsity=6: expected at most 5"):
        SparseElimination(phi, sparsity=6)
    with pytest.raises(ArgumentError, match="sparsity=0"):
        SparseElimination(phi, sparsity=0)
    with pytest.raises(ArgumentError, match="eps=0"):
        SparseElimination(phi, eps=0.0)
    with pytest.raises(ArgumentError, match="expected one of them at least"):
        SparseElimination(phi, eps=None, sparsity=None)
    with pytest.raises(NotFinite, match="features"):
        SparseElimination(phi * np.nan)
    with pytest.raises(ShapeError, match=r"features has shape \(5,\)"):
        SparseElimination(phi[0])
    with pytest.raises(TooManyCandidates, match=r"C\(5, 3\) supports times a net of about"):
        SparseElimination(phi, sparsity=3, eps=0.05, max_candidates=1000)
    with pytest.raises(NotFinite, match="reply"):
        SparseElimination(phi).tell(0, float("nan"))
    with pytest.raises(ArgumentError, match="arm=40"):
        SparseElimination(phi).tell(40, 0.0)
    with pytest.warns(UserWarning, match="longest row has length 2"):
        SparseElimination(2 * phi, eps=0.3)
