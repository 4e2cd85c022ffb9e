"""Updates of many policies at once, and the barrier."""

import dataclasses
import math

import gymnasium
import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from feasible.policies import Control
from feasible.policies.advantages import advantages
from feasible.policies.c_morl.collect import Walk, collect, prior, shape_of
from feasible.policies.c_morl.members import (
    Members,
    Running,
    Shape,
    act,
    log_prob,
    sample,
    unpack,
    values,
)
from feasible.policies.c_morl.ppo import Batch, Goals, barrier, nearest_slack, update
from feasible.policies.c_morl.settings import CMORLSettings

SHAPE = Shape(3, 4, True, 2, 8)


def members(P=3, shape=SHAPE, seed=0):
    zero, one = torch.zeros(shape.obs), torch.ones(shape.obs)
    found = Members.begin(P, shape, torch.Generator().manual_seed(seed), zero, one)
    found.returns.var[:] = 1.0
    return found


def batch(P, shape=SHAPE, T=6, E=5, seed=1):
    rng = torch.Generator().manual_seed(seed)
    obs = torch.randn(T, P, E, shape.obs, generator=rng)
    actions = torch.randint(shape.actions, (T, P, E), generator=rng)
    ended = torch.rand(T, P, E, generator=rng) < 0.3
    rewards = torch.randn(T, P, E, shape.objectives, generator=rng)
    logs = torch.full((T, P, E), -math.log(shape.actions))
    returns = torch.randn(P, shape.objectives, generator=rng)
    following = torch.randn(T, P, E, shape.obs, generator=rng)
    horizon = torch.full((P,), 4.0)
    return Batch(obs, obs, following, actions, logs, rewards, ended, ended, returns, horizon)


def one(b, p):
    """The batch of one policy."""
    made = {}
    for f in dataclasses.fields(b):
        x = getattr(b, f.name)
        made[f.name] = x[p : p + 1] if f.name in ("returns", "horizon") else x[:, p : p + 1]
    return Batch(**made)


def test_policies_that_are_trained_together_end_as_those_trained_alone():
    together, b = members(), batch(3)
    goals = Goals.weighted(np.array([(1, 0), (0.5, 0.5), (0, 1)]))
    goals.bound[2, 0] = True
    goals.settle(b, 0.9)
    rows = [together.take(torch.tensor([p])) for p in range(3)]
    settings = CMORLSettings(epochs=2, minibatches=3)
    call = (b, settings, 0.99, 1e-2, 20.0)
    update(together, SHAPE, goals, *call, torch.Generator().manual_seed(5))
    for p, alone in enumerate(rows):
        mine = Goals(*(x[p : p + 1] for x in (goals.weights, goals.bound, goals.tau)), goals.floor)
        rng = torch.Generator().manual_seed(5)
        update(alone, SHAPE, mine, one(b, p), *call[1:], rng)
        torch.testing.assert_close(alone.theta[0], together.theta[p], rtol=1e-4, atol=1e-6)


def test_adam_is_torchs():
    ours = members(1)
    theirs = torch.nn.Parameter(ours.theta.clone())
    adam = torch.optim.Adam([theirs], lr=3e-3, eps=1e-5)
    for k in range(5):
        g = torch.randn(ours.theta.shape, generator=torch.Generator().manual_seed(k))
        theirs.grad = g.clone()
        torch.nn.utils.clip_grad_norm_([theirs], 0.5)
        adam.step()
        ours.descend(g, 3e-3, 0.5)
    torch.testing.assert_close(ours.theta, theirs.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("discrete", [True, False])
def test_rows_are_the_networks_that_torch_would_make(discrete):
    shape = Shape(3, 4, discrete, 2, 8)
    m = members(2, shape)
    assert m.theta.shape[1] == shape.size
    x = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0))
    heads, V = act(m.theta, shape, x), values(m.theta, shape, x)
    for p in range(2):
        for arrays, found in (
            (unpack(m.theta, shape.actor), heads[0]),
            (unpack(m.theta[:, shape.actor_size :], shape.critic), V),
        ):
            layers = [torch.nn.Linear(W[p].shape[0], W[p].shape[1]) for W in arrays[0:6:2]]
            for layer, W, b in zip(layers, arrays[0:6:2], arrays[1:6:2], strict=True):
                layer.weight.data, layer.bias.data = W[p].T, b[p]
            tanh = torch.nn.Tanh()
            net = torch.nn.Sequential(layers[0], tanh, layers[1], tanh, layers[2])
            torch.testing.assert_close(net(x[p]), found[p].detach())
    first = unpack(m.theta, shape.actor)[2][0]
    torch.testing.assert_close(first @ first.T, torch.eye(8), rtol=0, atol=1e-5)


def test_log_probabilities_are_those_of_torchs_distributions():
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(1)
    drawn = sample([logits], rng)
    known = torch.distributions.Categorical(logits=logits).log_prob(drawn)
    torch.testing.assert_close(log_prob([logits], drawn), known)
    heads = [logits, torch.full_like(logits, -0.3)]
    drawn = sample(heads, rng)
    normal = torch.distributions.Normal(logits, math.exp(-0.3))
    torch.testing.assert_close(log_prob(heads, drawn), normal.log_prob(drawn).sum(-1))


def test_running_figures_are_those_of_all_that_was_seen():
    x = torch.randn(2, 60, 3, generator=torch.Generator().manual_seed(0)) * 3 + 5
    zero = torch.zeros(2, 3, dtype=torch.float64)
    seen = Running(zero, zero.clone(), torch.zeros(2, dtype=torch.float64))
    for part in x.split((1, 9, 50), dim=1):
        seen.see(part)
    torch.testing.assert_close(seen.mean, x.double().mean(1))
    torch.testing.assert_close(seen.var, x.double().var(1, correction=0))


def test_advantages_are_sums_of_what_followed_in_the_episode():
    rng = np.random.default_rng(0)
    T, gamma, lam = 12, 0.9, 0.7
    r, V, W = (torch.tensor(rng.normal(size=(T, 1, 2))) for _ in range(3))
    ended = torch.tensor(rng.random((T, 1)) < 0.3)
    terminated = ended & torch.tensor(rng.random((T, 1)) < 0.5)
    found = advantages(r, V, W, terminated, ended, gamma, lam)
    for t in range(T):
        total, weight = np.zeros(2), 1.0
        for k in range(t, T):
            bootstrap = 0.0 if terminated[k, 0] else gamma * W[k, 0].numpy()
            total += weight * (r[k, 0].numpy() + bootstrap - V[k, 0].numpy())
            if ended[k, 0]:
                break
            weight *= gamma * lam
        np.testing.assert_allclose(found[t, 0].numpy(), total)


def test_the_barrier_is_smooth_where_it_becomes_linear():
    near = torch.tensor(0.01, dtype=torch.float64)
    z = torch.tensor([0.01 - 1e-9, 0.01 + 1e-9], dtype=torch.float64, requires_grad=True)
    found = barrier(z, near)
    (slope,) = torch.autograd.grad(found.sum(), z)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(slope[0], slope[1], rtol=1e-6, atol=0)
    low = torch.tensor(-5.0, dtype=torch.float64, requires_grad=True)
    (pull,) = torch.autograd.grad(barrier(low, near), low)
    assert pull == pytest.approx(100.0)  # still a way back


def test_as_t_grows_the_step_becomes_that_without_a_barrier():
    b, settings = batch(2), CMORLSettings(epochs=1, minibatches=1)
    ends = []
    for bounded, t in ((True, 1e9), (False, 20.0), (True, 0.1)):
        m, goals = members(2), Goals.pushes(1, np.ones(2), bounded)
        goals.settle(b, 0.9)
        update(m, SHAPE, goals, b, settings, 0.99, 1e-3, t, torch.Generator().manual_seed(0))
        ends.append(m.theta)
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)
    assert (ends[2] - ends[1]).abs().max() > 1e-4


def test_what_was_never_rewarded_moves_no_actor():
    b, m = batch(2), members(2)
    b.rewards[:] = 0.0
    m.returns.var[:] = 0.0
    before = m.theta.clone()
    settings = CMORLSettings(epochs=1, minibatches=1)
    goals = Goals.weighted(np.full((2, 2), 0.5))
    update(m, SHAPE, goals, b, settings, 0.99, 1e-3, 1.0, torch.Generator().manual_seed(0))
    moved = (m.theta - before).abs()
    assert moved[:, : SHAPE.actor_size].max() == 0
    assert moved[:, SHAPE.actor_size :].max() > 0


def test_without_an_episode_that_ended_there_is_no_barrier():
    b, settings = batch(2), CMORLSettings(epochs=1, minibatches=1)
    b.returns[:] = math.nan
    ends = []
    for bounded in (True, False):
        m, goals = members(2), Goals.pushes(1, np.ones(2), bounded)
        goals.settle(b, 0.9)
        assert goals.tau.isnan().all()
        update(m, SHAPE, goals, b, settings, 0.99, 1e-3, 1.0, torch.Generator().manual_seed(0))
        ends.append(m.theta)
    assert ends[0].isfinite().all()
    torch.testing.assert_close(ends[0], ends[1])


def test_thresholds_keep_a_margin_where_a_return_is_0_or_negative():
    goals = Goals.pushes(1, np.array([5.0, 0.0]), True)
    b = batch(2)
    b.returns = torch.tensor([[0.0, 0.0], [-2.0, 3.0]])
    goals.settle(b, 0.9)
    torch.testing.assert_close(goals.tau, torch.tensor([[-0.05, -1e-4], [-2.2, 2.7]]))
    b.returns += 1
    goals.settle(b, 0.9)  # a round's thresholds stay
    assert goals.tau[1, 1] == pytest.approx(2.7)


ARMS = torch.tensor([(1.0, 0.0), (0.0, 1.0), (0.6, 0.6)], dtype=torch.float64)


def pushed(t):
    """The values of the bandit's policy that maximises G_1 + log(G_2 - .54) / t, from arm 3."""
    near = nearest_slack(torch.tensor(0.54, dtype=torch.float64), t)

    def loss(p):
        policy = torch.tensor(p, requires_grad=True)
        G = policy @ ARMS
        found = -(G[0] + barrier(G[1] - 0.9 * 0.6, near) / t)
        return found.item(), torch.autograd.grad(found, policy)[0].numpy()

    whole = {"type": "eq", "fun": lambda p: p.sum() - 1, "jac": np.ones_like}
    start, box = np.array([0.0, 0.0, 1.0]), [(0, 1)] * 3
    found = minimize(loss, start, jac=True, bounds=box, constraints=whole, method="SLSQP",
                     options={"ftol": 1e-14, "maxiter": 500})  # fmt: skip
    return found.x @ ARMS.numpy()


def test_the_push_of_a_bandit_ends_where_the_mathematics_says():
    # of the mixtures of arm 1 (p) and arm 3: G_1 = .6 + .4 p, G_2 = .6 (1 - p);
    # .4 p + log(.06 - .6 p) / t is largest at p = .1 - 1 / (.4 t), or at 0
    assert pushed(200.0)[0] == pytest.approx(0.6 + 0.4 * 0.0875, abs=2e-3)
    assert pushed(20.0)[0] == pytest.approx(0.6, abs=2e-3)
    last = pushed(1e5)
    assert last[0] == pytest.approx(0.64, abs=2e-3)
    assert last[1] >= 0.54 * 0.95


class Three(gymnasium.Env):
    """One choice among ARMS."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)
    reward_space = gymnasium.spaces.Box(0.0, 1.0, (2,), np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action):
        return np.zeros(1, dtype=np.float32), ARMS[int(action)].numpy(), True, False, {}


@pytest.mark.slow
def test_a_push_stays_at_the_threshold_with_the_barrier_and_gives_the_rest_up_without():
    problem = Control(Three, reference=(-0.1, -0.1), name="three")
    settings = CMORLSettings(n_envs=16, n_steps=16)
    shape, rng = shape_of(problem, 8), torch.Generator().manual_seed(0)
    m = Members.begin(4, shape, rng, *prior(problem))
    unpack(m.theta, shape.actor)[5][:, 2] = 4.0  # all begin at arm 3
    goals, free = Goals.pushes(2, np.ones(2), True), Goals.pushes(1, np.ones(2), False)
    goals.bound[2:] = free.bound  # two pushes with the barrier, two without
    walk = Walk.begin(problem, 4 * settings.n_envs, 0)
    for _ in range(30):
        found = collect(m, shape, problem, walk, settings.n_steps, 1.0, rng)
        goals.settle(found, 0.9)
        update(m, shape, goals, found, settings, 1.0, 1e-2, 200.0, rng)
    seen = m.normalised(torch.zeros(4, 1, 1))
    worth = torch.softmax(act(m.theta, shape, seen)[0][:, 0], -1).detach().double() @ ARMS
    own, other = worth[range(4), [0, 1, 0, 1]], worth[range(4), [1, 0, 1, 0]]
    assert (own[:2] > 0.61).all()
    assert (other[:2] > 0.9 * goals.tau[0, 1]).all()
    assert (other[2:] < 0.05).all()
