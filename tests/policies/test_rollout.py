"""Roll-outs and running statistics: identities of advantages, truncation, shortened ends."""

import numpy as np
import pytest
import torch
from worlds import line

from feasible.core.budget import Budget, Meter, active_meter
from feasible.policies.networks import Actor, Quick, all_finite, log_squashed, mlp, seeded
from feasible.policies.normalise import Moments, RewardScale
from feasible.policies.rollout import collect


def roll(n=2, n_steps=12, budget=None, seen=False, most=10**6, **more):
    """A roll-out on a line, with its critic and problem."""
    problem = line(**more)
    with seeded(3):
        actor, critic = Actor(problem.spaces, 8), mlp((2, 8, 1), "tanh", 1.0)
    token = active_meter.set(None if budget is None else Meter(Budget(env_steps=budget)))
    try:
        batch = collect(
            problem.open(n, 1),
            problem.spaces,
            actor,
            np.random.default_rng(0),
            n_steps,
            Moments.of(2) if seen else None,
            None,
            0.9,
            most,
        )
    finally:
        active_meter.reset(token)
    return batch, critic


def values_of(batch, critic):
    """V of every observation."""
    with torch.no_grad():
        return critic(batch.obs.flatten(0, 1)).view(batch.obs.shape[:2]).numpy()


def test_with_lambda_one_an_advantage_is_the_return_to_come_less_the_value():
    batch, critic = roll(length=4)
    adv, values = batch.advantages(critic, batch.rewards, 1.0, 1.0)
    ahead = np.tile([4.0, 3, 2, 1], 3)[:, None].repeat(2, axis=1)
    assert np.allclose((adv + values).view(12, 2), ahead, atol=1e-5)


def test_with_lambda_zero_it_is_the_one_step_error():
    batch, critic = roll(length=5, n_steps=4)
    adv, _ = batch.advantages(critic, batch.rewards, 0.9, 0.0)
    V = values_of(batch, critic)
    assert np.allclose(adv.view(4, 2), 1 + 0.9 * V[1:] - V[:-1], atol=1e-5)


@pytest.mark.parametrize("cut", [False, True])
def test_a_truncated_episode_goes_on_in_the_value_of_its_last_observation(cut):
    batch, critic = roll(length=3, n_steps=3, n=1, cut=cut)
    adv, values = batch.advantages(critic, batch.rewards, 0.9, 0.0)
    with torch.no_grad():
        beyond = float(critic(batch.final[2]))
    assert batch.final[2, 0, 1] == 3
    assert batch.obs[3, 0, 1] == 0
    assert float(adv[2] + values[2]) == pytest.approx(1 + (0.9 * beyond if cut else 0), abs=1e-5)


def test_a_budget_that_ends_in_a_step_leaves_out_what_did_not_move():
    whole, critic = roll(n=4, length=99)
    short, _ = roll(n=4, length=99, budget=42)
    assert short.transitions == 42
    assert short.moved.sum(0).tolist() == [11, 11, 10, 10]
    adv, _ = short.advantages(critic, short.rewards, 0.9, 0.95)
    assert len(adv) == 42
    early, _ = roll(n=4, length=99, n_steps=10)
    expected, _ = early.advantages(critic, early.rewards, 0.9, 0.95)
    last = adv.view(-1)[:40].view(10, 4)[:, 2:]
    assert np.allclose(last, expected.view(10, 4)[:, 2:], atol=1e-5)
    assert torch.equal(short.obs[:10], whole.obs[:10])


def test_no_transition_is_made_beyond_what_is_asked_for():
    batch, _ = roll(n=4, length=99, most=8)
    assert batch.transitions == 8


def test_running_moments_are_those_of_all_rows():
    rng = np.random.default_rng(0)
    rows = rng.normal(3.0, 2.0, (1000, 4))
    moments = Moments.of(4)
    for part in np.split(rows, 40):
        moments.see(part)
    assert np.allclose(moments.mean, rows.mean(0), atol=1e-5)
    assert np.allclose(moments.var, rows.var(0), rtol=1e-4)
    assert np.abs(moments.normal(rows).mean(0)).max() < 1e-3


def test_what_does_not_vary_becomes_zero_and_not_a_nan():
    moments = Moments.of(1)
    moments.see(np.full((50, 1), 7.0))
    assert np.allclose(moments.normal(np.full((3, 1), 7.0)), 0, atol=0.2)
    assert np.isfinite(moments.normal(np.full((3, 1), 1e9))).all()


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_rewards_of_any_size_are_scaled_alike(size):
    scale, rng = RewardScale.of(2), np.random.default_rng(0)
    none = np.zeros(2, dtype=bool)
    for _ in range(200):
        scaled = scale.scaled(size * rng.normal(size=2), none, 0.9)
    assert np.abs(scaled).max() < 3
    assert float(scale.moments.scale[0]) == pytest.approx(size / np.sqrt(1 - 0.81), rel=0.3)


def test_the_sum_of_an_episode_ends_with_it():
    scale = RewardScale.of(2)
    scale.scaled(np.array([1.0, 1.0]), np.array([True, False]), 0.5)
    assert scale.sums.tolist() == [0, 1]


def test_numpys_view_of_a_network_follows_its_training():
    with seeded(0):
        net = mlp((3, 5, 2), "tanh", 0.5)
    quick, x = Quick(net, "tanh"), np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    for _ in range(2):
        with torch.no_grad():
            assert np.allclose(quick(x), net(torch.from_numpy(x)), atol=1e-6)
            for p in net.parameters():
                p.add_(0.1)
    assert all_finite(net)


def test_the_density_of_a_squashed_gaussian_integrates_to_one():
    mean, log_std = torch.tensor([[0.4]]).double(), torch.tensor([[-0.5]]).double()
    a = torch.linspace(-1 + 1e-9, 1 - 1e-9, 400_001, dtype=torch.float64)
    u = torch.atanh(a)[:, None]
    density = log_squashed(mean, log_std, u).exp()[:, 0]
    assert float(torch.trapezoid(density, a)) == pytest.approx(1, abs=1e-4)


def test_log_probabilities_are_torchs():
    problem = line()
    with seeded(0):
        actor = Actor(problem.spaces, 4)
    x, actions = torch.randn(7, 2), torch.randn(7, 1)
    expected = torch.distributions.Normal(actor(x), actor.log_std.exp())
    assert torch.allclose(actor.log_prob(actor(x), actions), expected.log_prob(actions).sum(1))
    assert torch.allclose(actor.entropy(actor(x)), expected.entropy().sum(1).mean())
