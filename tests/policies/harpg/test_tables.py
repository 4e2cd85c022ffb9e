"""The methods on tables, against exact gradients and enumerated trajectories."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import softmax

import feasible
from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.core.registry import load_claim
from feasible.lab.claim import run_claim
from feasible.policies import TableGradient, TabularMDP
from feasible.policies.harpg.compiled import Trajectory, add_gradient, add_product
from feasible.policies.harpg.settings import KINDS, GradientSettings
from feasible.policies.harpg.tables import advance, begun, gradient
from feasible.policies.processes import random_mdp


@pytest.fixture(scope="module")
def world():
    """Two states, two actions, two steps: sixteen trajectories of actions and states."""
    rng = np.random.default_rng(4)
    P = rng.dirichlet(np.ones(2), (2, 2))
    return TabularMDP(P, rng.standard_normal((2, 2)), None, 0.9, 2)


def every(world, theta, baseline):
    """Each trajectory with its probability, with a baseline by step."""
    pi, H, S, A = softmax(theta, axis=1), world.horizon, world.states, world.actions
    for states in itertools.product(range(S), repeat=H):
        for actions in itertools.product(range(A), repeat=H):
            p = world.start[states[0]]
            for h in range(H):
                p *= pi[states[h], actions[h]]
                if h + 1 < H:
                    p *= world.P[states[h], actions[h], states[h + 1]]
            rewards = world.R[list(states), list(actions)] * world.gamma ** np.arange(H)
            to_go = np.cumsum(rewards[::-1])[::-1].copy()
            at = list(states)
            yield p, Trajectory(np.array(at), np.array(actions), pi[at], to_go - baseline, to_go)


def mean_gradient(world, theta, baseline):
    """E g, with a baseline by step."""
    out = np.zeros_like(theta)
    for p, path in every(world, theta, baseline):
        add_gradient(path, world.horizon, p, out)
    return out


def mean_product(world, theta, u, baseline):
    """E B(tau, theta) u."""
    out = np.zeros_like(theta)
    for p, path in every(world, theta, baseline):
        add_product(path, world.horizon, p, u, out)
    return out


BASELINES = [np.zeros(2), np.array([0.7, -1.3])]


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_estimators_mean_is_the_gradient_of_the_expected_return(world, baseline):
    theta = np.random.default_rng(0).standard_normal((2, 2))
    exact, e = gradient(world, theta), 1e-6
    for i in np.ndindex(2, 2):
        step = np.zeros((2, 2))
        step[i] = e
        values = [world.value(softmax(theta + s * step, axis=1)) for s in (1, -1)]
        assert exact[i] == pytest.approx((values[0] - values[1]) / (2 * e), abs=1e-8)
    assert mean_gradient(world, theta, baseline) == pytest.approx(exact, abs=1e-14)


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_products_mean_is_the_hessian_of_the_expected_return(world, baseline):
    rng, e = np.random.default_rng(1), 1e-5
    theta, u = rng.standard_normal((2, 2)), rng.standard_normal((2, 2))
    numerical = (gradient(world, theta + e * u) - gradient(world, theta - e * u)) / (2 * e)
    assert mean_product(world, theta, u, baseline) == pytest.approx(numerical, abs=1e-9)


def test_a_product_at_a_random_point_of_the_segment_is_the_gradients_difference(world):
    rng = np.random.default_rng(2)
    before, now = rng.standard_normal((2, 2, 2))
    points, weights = np.polynomial.legendre.leggauss(20)
    found = sum(
        w / 2 * mean_product(world, q * now + (1 - q) * before, now - before, np.zeros(2))
        for q, w in zip((points + 1) / 2, weights, strict=True)
    )
    assert found == pytest.approx(gradient(world, now) - gradient(world, before), abs=1e-12)


def test_a_bandits_gradient_is_known():
    bandit = TabularMDP(np.ones((1, 3, 1)), [[1.0, 2.0, 5.0]], horizon=1)
    theta = np.array([[0.3, -0.2, 0.1]])
    pi = softmax(theta)[0]
    expected = pi * (bandit.R[0] - pi @ bandit.R[0])
    assert gradient(bandit, theta)[0] == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_normalised_steps_have_the_schedules_length(kind):
    world, settings = random_mdp(seed=101), GradientSettings(kind, lr=0.7)
    state = begun(world, np.random.default_rng(0))
    for t in range(20):
        advance(world, settings, state, 1)
        gamma, eta = settings.schedule(t, np.nan)
        length = np.linalg.norm(state.theta - state.before)
        if KINDS[kind].normalised:
            assert length == pytest.approx(gamma)
        else:
            assert length == pytest.approx(gamma * np.linalg.norm(state.d))
        assert t > 0 or eta == 1.0


def played(world, theta, u):
    """An episode from its random numbers, by the definition: states, actions, C_h."""
    pi, states, actions = softmax(theta, axis=1), [], []
    s = (np.cumsum(world.start) <= u[0]).sum()
    for h in range(world.horizon):
        a = (np.cumsum(pi[s]) <= u[2 * h + 1]).sum()
        states.append(s)
        actions.append(a)
        s = (np.cumsum(world.P[s, a]) <= u[2 * h + 2]).sum()
    rewards = world.R[states, actions] * world.gamma ** np.arange(world.horizon)
    return states, actions, np.cumsum(rewards[::-1])[::-1]


def slope(theta, states, actions, weights):
    """sum_h C_h grad log pi(a_h | s_h)."""
    out, pi = np.zeros_like(theta), softmax(theta, axis=1)
    for s, a, c in zip(states, actions, weights, strict=True):
        out[s] += c * (np.eye(theta.shape[1])[a] - pi[s])
    return out


def product(theta, states, actions, weights, u):
    """B(tau, theta) u, from the matrices themselves."""
    pi = softmax(theta, axis=1)
    along = (slope(theta, states, actions, np.ones(len(states))) * u).sum()
    out = along * slope(theta, states, actions, weights)
    for s, c in zip(states, weights, strict=True):
        out[s] -= c * (np.diag(pi[s]) - np.outer(pi[s], pi[s])) @ u[s]
    return out


def by_hand(world, settings, rng, steps):
    """Algorithms 1 and 2 as the paper writes them."""
    rule, B, wide = settings.rule, settings.batch, 2 * world.horizon + 1
    theta = before = d = np.zeros((world.states, world.actions))
    known, every = np.zeros(world.horizon), []
    for t in range(steps):
        u = rng.random((B + settings.hessian_batch) * wide + 1)
        rows = u[:-1].reshape(-1, wide)
        gamma, eta = settings.schedule(t, rule.table)
        at = theta + (1 - eta) / eta * (theta - before) if rule.transported else theta
        first = [played(world, at, row) for row in rows[:B]]
        g = np.mean([slope(at, s, a, c - known) for s, a, c in first], axis=0)
        moved = np.zeros_like(theta)
        if rule.corrected and t:
            between = u[-1] * theta + (1 - u[-1]) * before
            second = [played(world, between, row) for row in rows[B:]]
            each = [product(between, s, a, c - known, theta - before) for s, a, c in second]
            moved = np.mean(each, axis=0)
        d = (1 - eta) * (d + moved) + eta * g if rule.momentum and t else g
        every += [c for _, _, c in first]
        known = np.mean(every, axis=0) if settings.baseline else known
        length = np.linalg.norm(d) if rule.normalised else 1.0
        before, theta = theta, theta + gamma * d / length
    return theta, d


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("baseline", [True, False])
def test_the_compiled_steps_are_the_papers(kind, baseline):
    world = random_mdp(4, 3, 5, seed=111)
    settings = GradientSettings(kind, eta0=0.8, batch=2, hessian_batch=3, baseline=baseline)
    state = begun(world, np.random.default_rng(6))
    advance(world, settings, state, 12)
    theta, d = by_hand(world, settings, np.random.default_rng(6), 12)
    assert state.theta == pytest.approx(theta, abs=1e-10)
    assert state.d == pytest.approx(d, abs=1e-10)


def test_steps_made_together_and_one_by_one_are_the_same():
    world, settings = random_mdp(seed=102), GradientSettings("n-harpg")
    one, other = (begun(world, np.random.default_rng(7)) for _ in range(2))
    advance(world, settings, one, 30)
    for _ in range(30):
        advance(world, settings, other, 1)
    assert (one.theta == other.theta).all()
    assert (one.mean == other.mean).all()


def test_the_first_direction_is_the_first_gradient_whatever_eta_is():
    world = random_mdp(seed=103)
    states = [begun(world, np.random.default_rng(3)) for _ in range(2)]
    for state, eta0 in zip(states, (1.0, 0.1), strict=True):
        advance(world, GradientSettings("n-pg-igt", eta0=eta0), state, 1)
    assert (states[0].d == states[1].d).all()
    assert np.linalg.norm(states[0].d) > 0


def test_with_a_weight_of_one_transport_is_normalised_policy_gradient():
    world = random_mdp(seed=104)
    rows = []
    for kind in ("n-pg-igt", "n-mpg"):
        state = begun(world, np.random.default_rng(5))
        advance(world, GradientSettings(kind, lr=1.0), state, 1)
        rows.append(state.theta)
    assert (rows[0] == rows[1]).all()  # eta_0 = 1: no look-ahead, no memory


def test_the_mean_direction_of_harpg_tracks_the_gradient_better_than_one_trajectory():
    world = random_mdp(5, 3, 6, seed=105)
    errors = {}
    for kind in ("harpg", "vanilla-pg"):
        state = begun(world, np.random.default_rng(1))
        found = []
        for _ in range(40):
            advance(world, GradientSettings(kind, lr=0.02), state, 50)
            found.append(np.linalg.norm(state.d - gradient(world, state.before)))
        errors[kind] = np.mean(found[10:])
    assert errors["harpg"] < 0.3 * errors["vanilla-pg"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_method_learns_within_its_transitions(kind):
    shares = []
    for seed in (106, 107, 108):
        world = random_mdp(5, 3, 6, seed=seed)
        even = world.value(np.full((5, 3), 1 / 3))
        learner = TableGradient(world, seed=seed, kind=kind).learn(24_000)
        shares.append((world.value(learner.policy) - even) / (world.optimum - even))
        assert len(learner.returns) == (2001 if KINDS[kind].corrected else 4000) - (
            KINDS[kind].corrected  # the first step has no second trajectory
        )
    assert np.median(shares) > 0.6


def test_a_run_pays_for_second_trajectories_and_never_passes_its_budget():
    for problem, budget in ((random_mdp(seed=109), 995), (feasible.policies.TabularMDP.of(
            "FrozenLake-v1", horizon=20), 3001)):  # fmt: skip
        for kind, each in (("harpg-table", 2), ("vanilla-pg-table", 1)):
            found = feasible.solve(problem, kind, {"env_steps": budget}, seed=0)
            assert budget - each * problem.horizon < found.spent["env_steps"] <= budget
            assert found.verdict.metrics["return"] == pytest.approx(problem.value(found.answer))
        if not problem.terminal.any():
            assert found.spent["env_steps"] == 990


def test_batches_average_trajectories():
    world, errors = random_mdp(seed=110), []
    exact = gradient(world, np.zeros((10, 4)))
    for batch in (40, 4000):
        state = begun(world, np.random.default_rng(0))
        advance(world, GradientSettings("vanilla-pg", batch=batch, baseline=False), state, 1)
        errors.append(np.linalg.norm(state.d - exact))
    assert errors[1] < 0.3 * errors[0]  # a tenth in the mean


def test_bad_input_is_named():
    world = random_mdp()
    for kind, say, call in (
        (ArgumentTypeError, "world=3", lambda: TableGradient(3)),
        (ArgumentError, "kind='pg'", lambda: TableGradient(world, kind="pg")),
        (ArgumentError, "eta0=0", lambda: TableGradient(world, eta0=0.0)),
        (ArgumentError, "eta0=1.5", lambda: TableGradient(world, eta0=1.5)),
        (ArgumentError, "lr=-1", lambda: TableGradient(world, lr=-1.0)),
        (ArgumentError, "batch=0", lambda: TableGradient(world, batch=0)),
        (ArgumentError, "momentum", lambda: TableGradient(world, momentum=1)),
        (ArgumentError, "total_timesteps=0", lambda: TableGradient(world).learn(0)),
        (ArgumentError, "horizon=None", lambda: gradient(
            TabularMDP(world.P, world.R, gamma=0.9), np.zeros((10, 4)))),
    ):  # fmt: skip
        with pytest.raises(kind, match=say):
            call()


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("harpg"), "smoke", (100,), race=race)
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
