"""A-PARL on gymnasium: products without matrices, labels, and the environment's own reward."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch

from feasible.bilevel.parl import GymLower, GymPARL
from feasible.core.errors import ArgumentTypeError


def steadier(a, b):
    """Prefer the segment whose pole leans less."""
    return float(abs(a["observations"][:, 2]).sum() < abs(b["observations"][:, 2]).sum())


def cart(**more):
    return GymLower(lambda: gymnasium.make("CartPole-v1"), **{"width": 4, "tau": 0.1, **more})


def learner(lower, prefer=steadier, **more):
    given = {"iterations": 3, "episodes": 3, "pairs": 4, "segment": 8, "reward_steps": 2}
    return GymPARL(lower, prefer, **(given | more))


def explicit(lower, episode):
    """(H, p) the score of each step, one backward pass each."""
    given = torch.as_tensor(episode.observations), torch.as_tensor(episode.actions)
    log = lower.log_probability(lower.params, *given)
    values = list(lower.params.values())
    rows = [torch.autograd.grad(one, values, retain_graph=True) for one in log]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_products_with_scores_and_with_the_fisher_matrix_are_those_of_matrices(name):
    lower = GymLower(lambda: gymnasium.make(name), width=4, gamma=0.9, tau=0.5)
    parl = learner(lower, segment=4, damping=1e-9)
    episode = lower.episode(0)
    episode.observations, episode.actions = episode.observations[:12], episode.actions[:12]
    scores = explicit(lower, episode)
    drawn = torch.Generator().manual_seed(0)
    w = {n: torch.randn(p.shape, generator=drawn).double() for n, p in lower.params.items()}
    flat = torch.cat([v.flatten() for v in w.values()]).detach()
    torch.testing.assert_close(parl.along(episode, w), scores @ flat)
    discounts = 0.9 ** torch.arange(len(scores), dtype=torch.float64)
    F = scores.T @ (discounts[:, None] * scores)
    found = torch.cat([v.flatten() for v in parl.fisher([episode], w).values()])
    torch.testing.assert_close(found, F @ flat)


def test_conjugate_gradients_solve_the_damped_system():
    lower = cart()
    parl = learner(lower, damping=0.5)
    played = [lower.episode(i) for i in range(2)]
    g = {n: torch.ones_like(p).detach() for n, p in lower.params.items()}
    x = parl.solve(played, g)
    first = parl.fisher(played, g)
    norm = sum(float((v**2).sum()) for v in first.values()) ** 0.5
    size = sum(float((v**2).sum()) for v in g.values()) ** 0.5
    delta = 0.5 * 0.1 * norm / size
    product = parl.fisher(played, x)
    miss = sum(float(((0.1 * product[n] + delta * x[n] - g[n]) ** 2).sum()) for n in g) ** 0.5
    assert miss < 0.05 * size


@pytest.mark.parametrize("implicit", ["identity", "fisher"])
def test_the_first_term_changes_the_reward_that_is_learnt_and_nothing_else_does(implicit):
    def weights(**more):
        parl = learner(cart(), iterations=1, implicit=implicit, **more)
        found = parl.run()
        return torch.cat([p.flatten() for p in found.reward.parameters()]).detach()

    with_term, again, without = weights(), weights(), weights(distribution_term=False)
    torch.testing.assert_close(with_term, again, rtol=0, atol=0)
    assert (with_term - without).abs().max() > 1e-6


def test_labels_and_steps_are_counted_and_the_person_sees_the_environments_own_reward():
    seen = []

    def person(a, b):
        seen.append(np.concatenate([a["rewards"], b["rewards"]]))
        return steadier(a, b)

    found = learner(cart(), person, labels=10).run()
    assert found.n_feedback == len(seen) == 10
    assert (np.concatenate(seen) == 1.0).all()  # CartPole pays 1 a step
    assert found.env_steps >= 3 * 3 * 8
    assert len(found.returns) == 3


def test_the_agent_climbs_the_environments_own_reward_without_a_person():
    found = learner(cart(width=16), None, iterations=25, episodes=6).run()
    assert found.n_feedback == 0
    assert found.returns[-5:].mean() > 1.5 * found.returns[:3].mean()


def test_what_is_no_environment_is_refused_by_name():
    with pytest.raises(ArgumentTypeError, match="env_fn=3"):
        GymLower(3)
    with pytest.raises(ArgumentTypeError, match="observations are Discrete"):
        GymLower(lambda: gymnasium.make("FrozenLake-v1"))
    with pytest.raises(ArgumentTypeError, match="lower=3"):
        GymPARL(3, steadier)
    with pytest.raises(ArgumentTypeError, match="prefer=3"):
        GymPARL(cart(), 3)
