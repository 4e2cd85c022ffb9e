"""The gradient through the agent's best answer: against enumeration, autograd and differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import sparse

from feasible.bilevel.parl import (
    APARL,
    APARLSettings,
    TabularSoftMDP,
    UtilityFeedback,
    design_gradient,
)
from feasible.bilevel.parl.aparl import policy_gradient
from feasible.bilevel.parl.instances import grid_world, random_world
from feasible.bilevel.parl.sampled import distribution_weights
from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

SEEDS = range(100, 106)


def value(mdp, nu, u):
    """What the best agent brings, by the exact lower level alone."""
    return mdp.expected(mdp.respond(mdp.reward(nu)).policy, u)


def slope(mdp, nu, u):
    return design_gradient(mdp, nu, u)[1]


def differences(mdp, nu, u, width=1e-5):
    moves = width * np.eye(len(nu))
    return np.array([(value(mdp, nu + m, u) - value(mdp, nu - m, u)) / (2 * width) for m in moves])


def world(gamma=1.0, seed=100, **more):
    mdp, u = random_world(seed, **more)
    moves = mdp.moves.reshape(mdp.states, mdp.actions, mdp.states)
    return TabularSoftMDP(moves, mdp.rho, mdp.features, mdp.horizon, mdp.tau, gamma), u


class Enumerated:
    """All 16 trajectories of two states, two actions and two steps, in torch."""

    def __init__(self, gamma=0.9):
        self.mdp, self.u = world(gamma, states=2, actions=2, features=3, horizon=2)
        self.nu = torch.tensor([0.7, -0.4, 0.2], dtype=torch.float64)
        policy = self.mdp.respond(self.mdp.reward(self.nu.numpy())).policy
        self.theta = torch.tensor(np.log(policy)).flatten()
        self.paths = list(itertools.product(range(2), repeat=4))  # s0 a0 s1 a1

    def log_probability(self, theta, path):
        """(log p(d), its part that depends on theta)."""
        logits = torch.log_softmax(theta.reshape(2, 2, 2), dim=2)
        s0, a0, s1, a1 = path
        moves = torch.tensor(self.mdp.moves)
        mine = logits[0, s0, a0] + logits[1, s1, a1]
        return mine + torch.log(torch.tensor(self.mdp.rho[s0]) * moves[2 * s0 + a0, s1]), mine

    def expected(self, theta, of):
        total = torch.zeros((), dtype=torch.float64)
        for path in self.paths:
            total = total + self.log_probability(theta, path)[0].exp() * of(path)
        return total

    def lower(self, theta, nu):
        """V(nu, theta), entropy included."""
        logits = torch.log_softmax(theta.reshape(2, 2, 2), dim=2)
        reward = torch.tensor(self.mdp.features) @ nu

        def of(path):
            s0, a0, s1, a1 = path
            first = reward[s0, a0] - self.mdp.tau * logits[0, s0, a0]
            return first + self.mdp.gamma * (reward[s1, a1] - self.mdp.tau * logits[1, s1, a1])

        return self.expected(theta, of)

    def upper(self, theta):
        u = self.u
        return self.expected(theta, lambda p: float(u[p[0], p[1]] + self.mdp.gamma * u[p[2], p[3]]))

    def fisher(self):
        """sum_h gamma^h E g_h g_h'."""
        found = torch.zeros(8, 8, dtype=torch.float64)
        for path in self.paths:
            p = self.log_probability(self.theta, path)[0].exp()
            for h in (0, 1):
                theta = self.theta.clone().requires_grad_()
                logits = torch.log_softmax(theta.reshape(2, 2, 2), dim=2)
                (g,) = torch.autograd.grad(logits[h, path[2 * h], path[2 * h + 1]], theta)
                found += self.mdp.gamma**h * p * torch.outer(g, g)
        return found


@pytest.fixture(scope="module")
def small():
    return Enumerated()


def test_the_agents_policy_is_a_maximum_whose_hessian_is_minus_tau_times_the_fisher_matrix(small):
    theta = small.theta.clone().requires_grad_()
    (g,) = torch.autograd.grad(small.lower(theta, small.nu), theta)
    assert abs(g).max() < 1e-12
    H = torch.autograd.functional.hessian(lambda t: small.lower(t, small.nu), small.theta)
    F = small.fisher()
    assert abs(H + small.mdp.tau * F).max() <= 1e-12 * abs(H).max()
    assert torch.linalg.eigvalsh(H).max() < 1e-12


def test_the_gradient_is_that_of_the_implicit_function_theorem(small):
    H = torch.autograd.functional.hessian(lambda t: small.lower(t, small.nu), small.theta)
    theta = small.theta.clone().requires_grad_()
    nu = small.nu.clone().requires_grad_()
    (first,) = torch.autograd.grad(small.lower(theta, nu), theta, create_graph=True)
    J = torch.stack([torch.autograd.grad(f, nu, retain_graph=True)[0] for f in first], dim=1)
    (g,) = torch.autograd.grad(small.upper(theta), theta)
    implicit = -J @ torch.linalg.pinv(H, rtol=1e-10) @ g
    np.testing.assert_allclose(slope(small.mdp, small.nu.numpy(), small.u), implicit, rtol=1e-9)


def test_the_mixed_derivative_is_its_policy_gradient_form(small):
    theta, nu = small.theta.clone().requires_grad_(), small.nu.clone().requires_grad_()
    (first,) = torch.autograd.grad(small.lower(theta, nu), theta, create_graph=True)
    J = torch.stack([torch.autograd.grad(f, nu, retain_graph=True)[0] for f in first], dim=1)
    by_paths = torch.zeros_like(J)
    for path in small.paths:
        p = small.log_probability(small.theta, path)[0].exp()
        psi = torch.zeros(8, dtype=torch.float64)
        for h in (0, 1):
            t = small.theta.clone().requires_grad_()
            logits = torch.log_softmax(t.reshape(2, 2, 2), dim=2)
            s, a = path[2 * h : 2 * h + 2]
            psi = psi + torch.autograd.grad(logits[h, s, a], t)[0]
            phi = torch.tensor(small.mdp.features[s, a])
            by_paths += p * small.mdp.gamma**h * torch.outer(phi, psi)
    torch.testing.assert_close(J.detach(), by_paths, rtol=1e-10, atol=1e-12)


def test_the_score_has_mean_0(small):
    mean = torch.zeros(8, dtype=torch.float64)
    for path in small.paths:
        theta = small.theta.clone().requires_grad_()
        joint, mine = small.log_probability(theta, path)
        mean += joint.exp().detach() * torch.autograd.grad(mine, theta)[0]
    assert abs(mean).max() < 1e-14


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_it_agrees_with_differences_and_with_autograd(gamma):
    mdp, u = world(gamma)
    nu = np.random.default_rng(0).standard_normal(4)
    found = slope(mdp, nu, u)
    np.testing.assert_allclose(found, differences(mdp, nu, u), rtol=1e-6)
    leaf = torch.tensor(nu, requires_grad=True)
    reward, moves = torch.tensor(mdp.features) @ leaf, torch.tensor(mdp.moves)
    soft = reached = torch.zeros(mdp.states, dtype=torch.float64)
    for _ in range(mdp.horizon):
        q = reward + gamma * (moves @ soft).reshape(reward.shape)
        soft = mdp.tau * torch.logsumexp(q / mdp.tau, dim=1)
        ahead = torch.tensor(u) + gamma * (moves @ reached).reshape(reward.shape)
        reached = (torch.softmax(q / mdp.tau, dim=1) * ahead).sum(dim=1)
    (torch.tensor(mdp.rho) @ reached).backward()
    np.testing.assert_allclose(found, leaf.grad, rtol=1e-12)


def test_of_one_state_and_one_step_it_is_the_covariance_under_the_softmax():
    rng = np.random.default_rng(1)
    phi, u, nu, tau = (
        rng.standard_normal((5, 3)),
        rng.standard_normal(5),
        rng.standard_normal(3),
        0.3,
    )
    mdp = TabularSoftMDP(np.ones((1, 5, 1)), [1.0], phi[None], 1, tau)
    p = np.exp(phi @ nu / tau)
    p /= p.sum()
    expected = phi.T @ (np.diag(p) - np.outer(p, p)) @ u / tau
    found, got, response = design_gradient(mdp, nu, u[None])
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    np.testing.assert_allclose(response.policy[0, 0], p, rtol=1e-12)
    assert found == pytest.approx(p @ u)


def test_sparse_moves_and_rewards_that_are_functions_give_the_same():
    mdp, u = world(0.95)
    nu = np.array([0.3, -1.0, 0.5, 0.1])
    thin = TabularSoftMDP(sparse.csr_array(mdp.moves), mdp.rho, mdp.features, 8, 0.5, 0.95)
    phi = torch.tensor(mdp.features)
    moves = mdp.moves.reshape(6, 3, 6)
    called = TabularSoftMDP(moves, mdp.rho, lambda nu: phi @ nu, 8, 0.5, 0.95)
    curved = TabularSoftMDP(moves, mdp.rho, lambda nu: torch.tanh(phi @ nu), 8, 0.5, 0.95)
    for other in (thin, called):
        np.testing.assert_allclose(slope(other, nu, u), slope(mdp, nu, u), rtol=1e-10)
    np.testing.assert_allclose(slope(curved, nu, u), differences(curved, nu, u), rtol=1e-6)
    a, b = (m.rollout(m.uniform(), 9, np.random.default_rng(0)) for m in (mdp, thin))
    np.testing.assert_array_equal(a, b)


def test_new_names_of_states_and_actions_change_nothing():
    mdp, u = world(0.9)
    rng = np.random.default_rng(2)
    s, a, nu = rng.permutation(6), rng.permutation(3), rng.standard_normal(4)
    moves = mdp.moves.reshape(6, 3, 6)[s][:, a][:, :, s]
    named = TabularSoftMDP(moves, mdp.rho[s], mdp.features[s][:, a], 8, 0.5, 0.9)
    one, other = design_gradient(mdp, nu, u), design_gradient(named, nu, u[s][:, a])
    assert one[0] == pytest.approx(other[0], rel=1e-12)
    np.testing.assert_allclose(one[1], other[1], rtol=1e-10)


def test_a_utility_among_the_rewards_is_reached_better_the_larger_its_scale():
    mdp, _ = world()
    nu = np.random.default_rng(3).standard_normal(4)
    u = mdp.features @ nu
    reached = [value(mdp, c * nu, u) for c in (0.5, 1, 2, 4, 8, 16)]
    assert (np.diff(reached) > 0).all()
    assert value(mdp, 1e4 * nu, u) == pytest.approx(mdp.greedy(u).value)


def test_lower_steps_come_to_soft_value_iteration():
    mdp, u = world()
    upper = UtilityFeedback(u)
    common = {"iters": 1, "implicit": "fisher", "batch": 2000, "damping": 0.0}
    reward = mdp.reward(np.full(4, 0.2))
    best = mdp.respond(reward).policy
    assert abs(policy_gradient(mdp, reward, best)).max() < 1e-12
    exact = APARL(mdp, upper, **common).run(np.full(4, 0.2)).nu
    stepped = APARL(mdp, upper, lower_steps=3000, lower_lr=2.0, **common).run(np.full(4, 0.2)).nu
    rough = APARL(mdp, upper, lower_steps=1, **common).run(np.full(4, 0.2)).nu
    np.testing.assert_allclose(stepped, exact, atol=1e-3)
    assert abs(rough - exact).max() > 1e-2


def test_from_episodes_it_points_the_same_way():
    cosines = {256: [], 2048: []}
    for seed in SEEDS:
        mdp, u = random_world(seed)
        rng = np.random.default_rng(seed)
        nu = rng.standard_normal(4)
        exact = -slope(mdp, nu, u)
        _, pullback = mdp.reward_and_pullback(nu)
        policy = mdp.respond(mdp.reward(nu)).policy
        for batch, found in cosines.items():
            for _ in range(10):
                episodes = mdp.rollout(policy, batch, rng)
                to_go = UtilityFeedback(u).to_go(episodes)
                g = pullback(distribution_weights(mdp, policy, episodes, to_go))
                found.append(g @ exact / np.linalg.norm(g) / np.linalg.norm(exact))
    assert np.median(cosines[256]) >= 0.7
    assert np.median(cosines[2048]) >= 0.95


def test_with_the_identity_for_the_hessian_it_still_ascends():
    mdp, u = world()
    start = value(mdp, np.zeros(4), u)
    found = APARL(mdp, UtilityFeedback(u), implicit="identity", iters=60, lr=0.3).run(np.zeros(4))
    assert found.true_return > start + 1


def test_a_utility_of_whole_episodes_is_learnt_from_too():
    mdp, u = world()

    def utility(states, actions):
        return u[states, actions].sum()

    found = APARL(mdp, UtilityFeedback(utility), iters=40, lr=0.1).run(np.zeros(4))
    assert value(mdp, found.nu, u) > value(mdp, np.zeros(4), u) + 1
    assert found.n_feedback == 40 * 256
    assert np.isnan(found.true_return)


def test_without_the_first_term_a_utility_says_nothing():
    mdp, u = world()
    found = APARL(mdp, UtilityFeedback(u), distribution_term=False, iters=5).run(np.full(4, 0.1))
    np.testing.assert_array_equal(found.nu, np.full(4, 0.1))
    np.testing.assert_array_equal(found.history, 0)


def test_it_ascends_to_what_the_agent_can_bring_and_the_same_each_time():
    mdp, u = random_world(0)
    one, other = (APARL(mdp, UtilityFeedback(u)).run(np.zeros(4)) for _ in range(2))
    assert one.true_return > 0.98 * mdp.greedy(u).value
    np.testing.assert_array_equal(one.nu, other.nu)


def test_settings_and_single_fields_of_them_go_together():
    mdp, u = world()
    design = APARL(mdp, UtilityFeedback(u), settings=APARLSettings(lr=0.7), penalty=0.1)
    assert design.settings == APARLSettings(lr=0.7, penalty=0.1)


def test_labels_end_it_with_what_it_has():
    mdp, u = world()
    design = APARL(mdp, UtilityFeedback(u), implicit="fisher", batch=100, labels=250)
    found = design.run(np.zeros(4))
    assert found.n_feedback == 200
    assert found.status == "labels used up: 200 of 250"


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"P": np.full((2, 2, 2), 0.6)}, ArgumentError, "P has a row whose sum"),
        ({"P": np.ones((2, 2, 2)) * [1.5, -0.5]}, ArgumentError, "P has a negative entry"),
        ({"P": np.ones((2, 2))}, ShapeError, "P has shape"),
        ({"P": sparse.csr_array(np.full((4, 2), 0.6))}, ArgumentError, "P has a row"),
        ({"P": np.full((2, 2, 2), np.nan)}, NotFinite, "P has a NaN"),
        ({"rho": [0.5, 0.6]}, ArgumentError, "rho has a row"),
        ({"tau": 0.0}, ArgumentError, "tau=0.*no derivative"),
        ({"tau": -1.0}, ArgumentError, "tau=-1"),
        ({"gamma": 1.5}, ArgumentError, r"gamma=1\.5"),
        ({"horizon": 0}, ArgumentError, "horizon=0"),
        ({"reward": np.ones((2, 3, 1))}, ShapeError, "reward has shape"),
        ({"reward": np.full((2, 2, 1), np.inf)}, NotFinite, "reward has a NaN"),
    ],
)
def test_a_process_that_is_none_is_refused_by_name(given, error, said):
    good = {"P": np.full((2, 2, 2), 0.5), "rho": [0.5, 0.5], "reward": np.ones((2, 2, 1))}
    with pytest.raises(error, match=said):
        TabularSoftMDP(**(good | given))


def test_bad_parameters_rewards_and_feedback_are_refused_by_name():
    mdp, u = world()
    with pytest.raises(ShapeError, match="nu has shape"):
        design_gradient(mdp, np.zeros(3), u)
    with pytest.raises(NotFinite, match="at this nu"):
        design_gradient(mdp, np.full(4, np.nan), u)
    with pytest.raises(ShapeError, match="utility has shape"):
        design_gradient(mdp, np.zeros(4), u[:2])
    with pytest.raises(ArgumentTypeError, match="utility is a function"):
        design_gradient(mdp, np.zeros(4), lambda s, a: 0.0)
    moves = mdp.moves.reshape(6, 3, 6)
    with pytest.raises(ShapeError, match="reward returned"):
        TabularSoftMDP(moves, mdp.rho, lambda nu: nu).reward(np.zeros(4))
    with pytest.raises(ArgumentError, match="implicit='exact'"):
        APARL(mdp, UtilityFeedback(lambda s, a: 0.0), implicit="exact")
    with pytest.raises(ArgumentError, match="lower_steps=None"):
        APARL(mdp, UtilityFeedback(u), lower_steps=3)
    with pytest.raises(ArgumentTypeError, match="upper=3"):
        APARL(mdp, 3)


def test_the_grid_slips_and_its_rows_are_probabilities():
    mdp, u = grid_world(8)
    assert mdp.moves.shape == (256, 64)
    assert mdp.moves[0 * 4 + 1, 8] == pytest.approx(0.925)  # down from the first corner
    assert (u.max(), u.min()) == (1.0, -1.0)
    assert mdp.greedy(u).value > 2
