"""The methods on a finite process: pi(a | s) = softmax(theta_s)_a, theta a table of logits.

References:
    Fatkhullin, Barakat, Kireeva, He: Stochastic Policy Gradient Methods: Improved Sample Complexity
    for Fisher-non-degenerate Policies, ICML 2023, arXiv 2302.01734, Algorithms 1 and 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from ...core.budget import active_meter, spend
from ...core.checks import fits, seed as checked_seed, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, nearest
from ..answers import TablePolicy
from ..tabular import TabularMDP
from .compiled import ascend
from .settings import GradientSettings

if TYPE_CHECKING:
    from jaxtyping import Float

AT_ONCE = 4096
"""Most steps whose random numbers are drawn together."""


@dataclass(slots=True)
class TableState:
    """Where an ascent on a table stands.

    Attributes:
        rng: Random numbers.
        t: Steps made.
        theta: (S, A) logits.
        before: (S, A) those of the step before.
        d: (S, A) the direction.
        mean: (H,) mean discounted reward from each step on, of earlier trajectories: the baseline.
        counts: (H,) of how many.
    """

    rng: np.random.Generator
    t: int
    theta: Float[np.ndarray, "S A"]
    before: Float[np.ndarray, "S A"]
    d: Float[np.ndarray, "S A"]
    mean: Float[np.ndarray, " H"]
    counts: Float[np.ndarray, " H"]


def begun(world: TabularMDP, rng: np.random.Generator) -> TableState:
    """All actions alike; theta_(-1) = theta_0."""
    zero = np.zeros((world.states, world.actions))
    H = world.length
    return TableState(rng, 0, zero, zero.copy(), zero.copy(), np.zeros(H), np.zeros(H))


def episodes_of(settings: GradientSettings, t: int) -> int:
    """Trajectories of step t."""
    return settings.batch + (settings.hessian_batch if settings.rule.corrected and t else 0)


def advance(
    world: TabularMDP, settings: GradientSettings, state: TableState, steps: int
) -> Float[np.ndarray, " steps"]:
    """Make steps in place, charging the transitions of all trajectories, second ones included.

    Args:
        world: The process, of which only trajectories are used.
        settings: The method.
        state: Where it stands.
        steps: How many.

    Returns:
        The discounted return of each step's first trajectories.

    Raises:
        BudgetExhausted: Fewer transitions are left.
    """
    rule, wide = settings.rule, 2 * world.length + 1
    most = settings.batch + settings.hessian_batch
    fits("batch", most, "random numbers of a step", most, wide)
    returns = np.empty(steps)
    for done in range(0, steps, AT_ONCE):
        n = min(steps - done, AT_ONCE)
        reserved = world.length * sum(episodes_of(settings, state.t + i) for i in (0, 1)[:n])
        reserved += world.length * max(n - 2, 0) * episodes_of(settings, 1)
        spend(env_steps=reserved)
        made = ascend(
            state.t, n, tuple(rule[:4]),
            np.array([settings.schedule(state.t + i, rule.table) for i in range(n)]),
            (settings.batch, settings.hessian_batch), settings.baseline, state.theta,
            state.before, state.d, state.mean, state.counts, world.cumulated(), world.gamma,
            state.rng.random((n, most * wide + 1)), returns[done : done + n],
        )  # fmt: skip
        meter = active_meter.get()
        if meter is not None and made < reserved:
            meter.refund("env_steps", reserved - made)
        state.t += n
    return returns


def gradient(world: TabularMDP, theta: Float[np.ndarray, "S A"]) -> Float[np.ndarray, "S A"]:
    """The exact gradient of J by the logits, of a process with a horizon.

        grad J = sum_h gamma^h P(s_h = s) pi(a | s) (Q_h(s, a) - V_h(s))

    Args:
        world: The process.
        theta: (S, A).
    """
    if world.horizon is None:
        raise ArgumentError("world: horizon=None, expected a horizon")
    pi = softmax(theta, axis=1)
    values = np.vstack([world.values(pi), np.zeros((1, world.states))])
    known = world.known
    found, at, discount = np.zeros_like(theta), world.start, 1.0
    for h in range(world.horizon):
        moves = known.P[min(h, len(known.P) - 1)]
        q = known.action_values(values[h + 1], h)
        found += discount * at[:, None] * pi * (q - values[h][:, None])
        at, discount = np.einsum("s,sa,sat->t", at, pi, moves), discount * world.gamma
    return found


class TableGradient:
    """A policy gradient method on a finite process.

    Args:
        world: The process, of which the method sees trajectories only.
        seed: Of trajectories.
        **settings: Any of `GradientSettings` by name.

    Raises:
        ArgumentTypeError: It is no `TabularMDP`.
        ArgumentError: An unknown setting, or one out of its range.

    Example:
        >>> from feasible.policies.processes import random_mdp
        >>> world = random_mdp(states=4, actions=3, horizon=6, seed=100)
        >>> learner = TableGradient(world, kind="n-pg-igt").learn(12_000)
        >>> even = world.value(np.full((4, 3), 1 / 3))
        >>> world.value(learner.policy) - even > 0.6 * (world.optimum - even)
        True

    References:
        Fatkhullin, Barakat, Kireeva, He, ICML 2023, arXiv 2302.01734, Algorithms 1 and 2.
    """

    def __init__(self, world: TabularMDP, seed: int = 0, **settings: Any):
        if not isinstance(world, TabularMDP):
            raise ArgumentTypeError(f"world={shown(world)}: expected a TabularMDP")
        for name in settings:
            if name not in GradientSettings.__dataclass_fields__:
                raise ArgumentError(
                    f"{name}: {nearest(name, GradientSettings.__dataclass_fields__)}"
                )
        self.world, self.settings = world, GradientSettings(**settings)
        self.state = begun(world, np.random.default_rng(checked_seed("seed", seed)))
        self.returns = np.zeros(0)

    def learn(self, total_timesteps: int) -> TableGradient:
        """Make steps until so many transitions, of all trajectories, are made.

        Args:
            total_timesteps: Transitions; the last step is made if it fits.
        """
        left = whole("total_timesteps", total_timesteps, least=1) // self.world.length
        first = episodes_of(self.settings, self.state.t)
        steps = 0 if left < first else 1 + (left - first) // episodes_of(self.settings, 1)
        if steps:
            fits("total_timesteps", total_timesteps, "returns", steps)
            found = advance(self.world, self.settings, self.state, steps)
            self.returns = np.append(self.returns, found)
        return self

    @property
    def policy(self) -> TablePolicy:
        """The policy at theta_t."""
        return table_policy(self.state)


def table_policy(state: TableState) -> TablePolicy:
    """The policy at theta_t. Raises NotFinite."""
    if not np.isfinite(state.theta).all():
        raise NotFinite("theta has a NaN or an infinity; a smaller lr keeps it finite")
    return TablePolicy(softmax(state.theta, axis=1))
