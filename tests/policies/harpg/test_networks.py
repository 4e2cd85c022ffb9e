"""Networks: exact means over enumerated trajectories, the optimiser's identities, and episodes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from feasible.core.errors import ArgumentError
from feasible.policies import Control, NormalizedIGT
from feasible.policies.harpg import ascent
from feasible.policies.harpg.ascent import NetworkSettings, begin, iterate, to_go, trajectory
from feasible.policies.harpg.baseline import Baseline, described
from feasible.policies.harpg.estimator import (
    Packed,
    Trajectory,
    flat,
    log_probs,
    mean_gradient,
    mean_product,
    write,
)
from feasible.policies.harpg.settings import KINDS, check_trajectory
from feasible.policies.networks import Actor
from feasible.policies.spaces import Spaces

SPACES = Spaces(states=2, actions=2)
START, GAMMA = np.array([0.3, 0.7]), 0.9
RNG = np.random.default_rng(8)
P, R = RNG.dirichlet(np.ones(2), (2, 2)), RNG.standard_normal((2, 2))


def network(seed: int) -> Actor:
    """A small policy in double precision, of weights that are not small."""
    torch.manual_seed(seed)
    actor = Actor(SPACES, 3).double()
    with torch.no_grad():
        for p in actor.parameters():
            p.copy_(0.6 * torch.randn_like(p))
    return actor


def trajectories() -> list[tuple[float, Trajectory]]:
    """Each trajectory of two steps, with the part of its probability that is not the policy's."""
    found = []
    for s0, a0, s1, a1 in itertools.product(range(2), repeat=4):
        rewards = np.array([R[s0, a0], R[s1, a1]])
        weights = np.cumsum((rewards * [1, GAMMA])[::-1])[::-1].copy()
        one = Trajectory(np.eye(2)[[s0, s1]], np.array([[a0], [a1]]), rewards, weights)
        found.append((START[s0] * P[s0, a0, s1], one))
    return found


def value(actor: Actor, theta: torch.Tensor) -> torch.Tensor:
    """J, exactly."""
    every = trajectories()
    batch = Packed.of([one for _, one in every], torch.float64)
    p = batch.summed(log_probs(actor, batch)(theta)).exp() * torch.tensor([p for p, _ in every])
    return (p * torch.tensor([one.rewards @ [1, GAMMA] for _, one in every])).sum()


def mean(actor, theta, of):
    """The mean of an estimator over all trajectories."""
    total = torch.zeros_like(theta)
    for p, one in trajectories():
        batch = Packed.of([one], torch.float64)
        likely = p * float(log_probs(actor, batch)(theta).sum().exp().detach())
        total += likely * of(batch)
    return total


def test_means_of_the_estimators_are_gradient_and_hessian_of_the_expected_return():
    actor = network(0)
    theta = flat(actor)
    u = torch.randn_like(theta)
    exact = torch.func.grad(lambda at: value(actor, at))(theta)
    found = mean(actor, theta, lambda b: mean_gradient(actor, theta, b))
    assert torch.allclose(found, exact, atol=1e-12)
    _, product = torch.func.jvp(torch.func.grad(lambda at: value(actor, at)), (theta,), (u,))
    found = mean(actor, theta, lambda b: mean_product(actor, theta, b, u))
    assert torch.allclose(found, product, atol=1e-12)
    assert product.norm() > 0.1


def test_a_product_at_a_random_point_is_the_gradients_difference():
    actor = network(1)
    before, now = flat(network(2)), flat(network(3))
    gradient = torch.func.grad(lambda at: value(actor, at))
    points, weights = np.polynomial.legendre.leggauss(12)
    total = torch.zeros_like(now)
    for x, w in zip((points + 1) / 2, weights / 2, strict=True):
        at = x * now + (1 - x) * before
        total += w * mean(actor, at, lambda b, at=at: mean_product(actor, at, b, now - before))
    assert torch.allclose(total, gradient(now) - gradient(before), atol=1e-6)


def test_a_batch_is_the_mean_of_its_trajectories_of_any_length():
    actor = network(4)
    theta, u = flat(actor), torch.randn(flat(actor).numel(), dtype=torch.float64)
    long = [one for _, one in trajectories()[:5]]
    short = Trajectory(long[0].obs[:1], long[0].actions[:1], long[0].rewards[:1], np.array([2.0]))
    every = [*long, short]
    for of in (mean_gradient, lambda *a: mean_product(*a, u)):
        each = [of(actor, theta, Packed.of([one], torch.float64)) for one in every]
        together = of(actor, theta, Packed.of(every, torch.float64))
        assert torch.allclose(together, torch.stack(each).mean(0), atol=1e-12)


def test_gaussian_policies_have_products_too():
    spaces = Spaces(shape=(3,), low=(-1.0,), high=(1.0,), action_shape=(1,))
    actor = Actor(spaces, 4).double()
    theta, rng = flat(actor), np.random.default_rng(0)
    one = Trajectory(
        rng.standard_normal((6, 3)), rng.standard_normal((6, 1)), np.ones(6), np.arange(6.0)
    )
    batch, u = Packed.of([one], torch.float64), torch.randn_like(theta)
    e = 1e-6
    numerical = (
        mean_gradient(actor, theta + e * u, batch) - mean_gradient(actor, theta - e * u, batch)
    ) / (2 * e)
    score = torch.func.grad(lambda at: log_probs(actor, batch)(at).sum())(theta)
    expected = numerical + (score @ u) * mean_gradient(actor, theta, batch)
    assert torch.allclose(mean_product(actor, theta, batch, u), expected, atol=1e-6)


@pytest.mark.parametrize("eta0", [1.0, 0.3])
def test_transported_directions_are_gradients_of_a_quadratic(eta0):
    torch.manual_seed(0)
    A = torch.randn(4, 4, dtype=torch.float64)
    A = A @ A.T
    x = nn.Parameter(torch.randn(4, dtype=torch.float64))
    optimizer = NormalizedIGT([x], lr=0.5, eta0=eta0)
    for _ in range(30):
        here = x.detach().clone()
        optimizer.lookahead()
        optimizer.zero_grad()
        (0.5 * x @ A @ x).backward()
        optimizer.step()
        assert torch.allclose(optimizer.state[x]["d"], A @ here, atol=1e-11)


def test_steps_have_the_schedules_length_over_all_parameters():
    torch.manual_seed(1)
    model = nn.Linear(3, 2)
    optimizer = NormalizedIGT(model.parameters(), lr=0.4)
    for t in range(10):
        before = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).clone()
        optimizer.step(
            lambda: (optimizer.zero_grad(), model(torch.randn(5, 3)).pow(2).sum().backward())
        )
        after = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
        assert float((after - before).norm()) == pytest.approx(0.4 * 2 / (t + 2), rel=1e-5)


def test_an_optimiser_goes_on_from_its_state():
    def run(steps, state=None):
        torch.manual_seed(2)
        x = nn.Parameter(torch.tensor([2.0, -1.0]))
        optimizer = NormalizedIGT([x], lr=0.5)
        if state is not None:
            with torch.no_grad():
                x.copy_(state[0])
            optimizer.load_state_dict(state[1])
        for _ in range(steps):
            optimizer.lookahead()
            optimizer.zero_grad()
            (x**4).sum().backward()
            optimizer.step()
        return x.detach().clone(), optimizer.state_dict()

    assert torch.equal(run(4, run(6))[0], run(10)[0])


def test_the_optimiser_refuses_a_gradient_at_the_wrong_place_and_stands_at_gradient_zero():
    x = nn.Parameter(torch.zeros(2))
    optimizer = NormalizedIGT([x], lr=1.0)
    (x**2).sum().backward()
    with pytest.raises(ArgumentError, match="call lookahead"):
        optimizer.step()
    optimizer.lookahead()
    optimizer.lookahead()
    optimizer.step()
    assert torch.equal(x, torch.zeros(2))
    for settings, say in (
        ({"lr": 0.0}, "lr=0"),
        ({"eta0": 1.2}, "eta0=1.2"),
        ({"reach": -1.0}, "reach"),
    ):
        with pytest.raises(ArgumentError, match=say):
            NormalizedIGT([x], **settings)


def test_the_lookahead_is_cut_at_its_reach():
    x = nn.Parameter(torch.ones(1))
    optimizer = NormalizedIGT([x], lr=0.1, eta0=1e-3, reach=2.0)
    for _ in range(2):
        optimizer.lookahead()
        at = float(x.detach())
        optimizer.zero_grad()
        x.sum().backward()
        optimizer.step()
    here, before = float(optimizer.state[x]["here"]), 1.0
    assert at == pytest.approx(here + 2.0 * (here - before))


def test_the_baseline_is_the_least_squares_fit_of_earlier_returns():
    rng = np.random.default_rng(0)
    known = Baseline.of(2)
    assert (known.values(rng.random((4, 2))) == 0).all()
    obs = rng.standard_normal((50, 2))
    truth = rng.standard_normal(8)
    known.learn(obs, described(obs) @ truth)
    assert known.values(obs) == pytest.approx(described(obs) @ truth, abs=1e-2)
    assert to_go(np.array([1.0, 2.0, 4.0]), 0.5).tolist() == [3.0, 4.0, 4.0]


def test_weights_are_discounted_from_the_start_less_the_baseline():
    problem = Control("CartPole-v1", max_steps=30)
    settings = NetworkSettings("vanilla-pg", gamma=0.9)
    state = begin(settings, problem.spaces, np.random.default_rng(0))
    copies = problem.open(1, 3)
    one = trajectory(state, copies, problem.spaces, 0.9, False)
    n = len(one.rewards)
    assert one.weights == pytest.approx([sum(0.9**k for k in range(h, n)) for h in range(n)])
    state.known.learn(one.obs, to_go(one.rewards, 0.9))
    copies = problem.open(1, 3)
    state.rng = np.random.default_rng(1)
    two = trajectory(state, copies, problem.spaces, 0.9, True)
    n = len(two.rewards)
    raw = np.array([sum(0.9**k for k in range(h, n)) for h in range(n)])
    assert two.weights == pytest.approx(raw - 0.9 ** np.arange(n) * state.known.values(two.obs))
    assert state.ends == [len(one.rewards), len(one.rewards) + n]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_on_an_environment_follow_the_rule(kind):
    problem = Control("CartPole-v1", max_steps=25)
    settings = NetworkSettings(kind, batch=2, hessian_batch=1, width=4)
    state = begin(settings, problem.spaces, np.random.default_rng(2))
    copies, rule = problem.open(1, 5), KINDS[kind]
    for t in range(4):
        before, episodes = state.theta.clone(), len(state.returns)
        iterate(state, copies, problem.spaces, settings)
        assert torch.equal(state.before, before)
        assert torch.equal(flat(state.actor), state.theta)
        gamma, _ = settings.schedule(t, rule.network)
        length = gamma if rule.normalised else gamma * state.norm
        assert float((state.theta - before).norm()) == pytest.approx(length, rel=1e-4)
        assert len(state.returns) - episodes == (3 if rule.corrected and t else 2)
    assert state.steps == state.ends[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_only_transport_and_correction_keep_the_mean_a_gradient(kind, monkeypatch):
    """Of a quadratic both are exact; plain momentum lags behind."""
    problem = Control("CartPole-v1", max_steps=5)
    settings, rule = NetworkSettings(kind, lr=0.5, eta0=0.7, width=2), KINDS[kind]
    state = begin(settings, problem.spaces, np.random.default_rng(2))
    torch.manual_seed(0)
    A = torch.randn(len(state.theta), len(state.theta))
    monkeypatch.setattr(ascent, "mean_gradient", lambda actor, at, batch: A @ at)

    def exact(actor, at, batch, u):
        assert torch.allclose(u, state.theta - state.before)
        q = (at - state.before) @ u / (u @ u)  # at is between them
        assert torch.allclose(at, state.before + q * u, atol=1e-5)
        between.append(float(q))
        return A @ u

    monkeypatch.setattr(ascent, "mean_product", exact)
    copies, between, errors = problem.open(1, 5), [], []
    for _ in range(8):
        here = state.theta.clone()
        iterate(state, copies, problem.spaces, settings)
        errors.append(float((state.d - A @ here).norm() / (A @ here).norm()))
    kept = rule.transported or rule.corrected or not rule.momentum
    assert max(errors) < 1e-4 if kept else min(errors[1:]) > 0.05
    assert len(between) == (7 if rule.corrected else 0)
    assert all(0 <= q <= 1 for q in between)
    assert len(set(between)) == len(between)


def test_a_direction_that_is_no_number_ends_it_and_keeps_theta():
    problem = Control("CartPole-v1", max_steps=25)
    settings = NetworkSettings("n-mpg", width=4)
    state = begin(settings, problem.spaces, np.random.default_rng(2))
    state.t, state.d = 1, torch.full_like(state.d, torch.nan)
    theta = state.theta.clone()
    iterate(state, problem.open(1, 5), problem.spaces, settings)
    assert "not finite" in state.ended
    assert torch.equal(state.theta, theta)


def test_an_empty_trajectory_is_refused():
    with pytest.raises(ArgumentError, match="it is empty"):
        check_trajectory(0)
    none = Trajectory(np.zeros((0, 2)), np.zeros((0, 1), int), np.zeros(0), np.zeros(0))
    with pytest.raises(ArgumentError, match="it is empty"):
        Packed.of([none], torch.float32)


def test_parameters_are_written_and_read_in_the_same_order():
    actor = network(5)
    theta = torch.arange(float(flat(actor).numel()), dtype=torch.float64)
    write(actor, theta)
    assert torch.equal(flat(actor), theta)
