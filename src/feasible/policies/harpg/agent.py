"""The methods as agents with the calls of Stable-Baselines3: learn, predict, save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.annotations import checked
from ...core.checks import one_of, seed as checked_seed, whole
from ...core.errors import ArgumentError, nearest
from ..answers import NetworkPolicy
from ..control import Control
from .ascent import NetworkSettings, begin, iterate

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class History:
    """What an agent's episodes brought, those of second trajectories included.

    Attributes:
        returns: (e,) undiscounted return of each episode.
        steps: (e,) transitions at its end, of all trajectories.
        direction_norm: (T,) |d_t| at each step.
    """

    returns: Float[np.ndarray, " e"]
    steps: Int[np.ndarray, " e"]
    direction_norm: Float[np.ndarray, " T"]


class GradientAgent:
    """A policy gradient method on a gymnasium environment.

    A network of two hidden layers with tanh between, so that its log-probabilities are twice
    differentiable: categorical for numbered actions, else a Gaussian.

    Args:
        policy: "MlpPolicy".
        env: An id, a function that makes an environment, an environment, or a `Control`.
        horizon: Steps after which an episode is cut, where the environment does not do so before;
            of a `Control` its own `max_steps` counts.
        seed: Of the network, its actions and the episodes.
        **settings: Any of `NetworkSettings` by name but `kind`: lr, eta0, batch, hessian_batch,
            baseline, gamma, width.

    Raises:
        ArgumentError: An unknown setting, or one out of its range.

    Example:
        >>> agent = NPGIGT("MlpPolicy", "CartPole-v1", horizon=50, width=8).learn(600)
        >>> agent.predict([0.0, 0.0, 0.1, 0.0])[0] in (0, 1), bool(agent.history.steps[-1] >= 600)
        (True, True)

    References:
        Fatkhullin, Barakat, Kireeva, He, ICML 2023, arXiv 2302.01734.
    """

    kind: ClassVar[str]

    def __init__(self, policy: str, env: Any, horizon: int = 200, seed: int = 0, **settings: Any):
        one_of("policy", policy, ("MlpPolicy",))
        known = [f for f in NetworkSettings.__dataclass_fields__ if f != "kind"]
        for name in settings:
            if name not in known:
                raise ArgumentError(f"{name}: {nearest(name, known)}")
        whole("horizon", horizon, least=1, most=10**9)
        self.settings = NetworkSettings(self.kind, **settings)
        self.problem = env if isinstance(env, Control) else Control(env, max_steps=horizon)
        rng = np.random.default_rng(checked_seed("seed", seed))
        self.state = begin(self.settings, self.problem.spaces, rng)
        self.copies = self.problem.open(1, int(rng.integers(2**31)))
        self._norms: list[float] = []

    @checked
    def learn(self, total_timesteps: int) -> GradientAgent:
        """Make steps until so many more transitions, of all trajectories, are made; the last
        trajectory is followed to its end.

        Args:
            total_timesteps: Transitions.

        Raises:
            EnvironmentFailed: The environment raised, or returned what it must not.
        """
        until = self.state.steps + whole("total_timesteps", total_timesteps, least=1)
        while self.state.steps < until and not self.state.ended:
            iterate(self.state, self.copies, self.problem.spaces, self.settings)
            self._norms.append(self.state.norm)
        if self.state.ended:
            raise ArgumentError(f"lr={self.settings.lr}: {self.state.ended}")
        return self

    @property
    def history(self) -> History:
        """What its episodes brought."""
        found = (self.state.returns, self.state.ends, self._norms)
        return History(np.array(found[0]), np.array(found[1], dtype=np.int64), np.array(found[2]))

    @property
    def policy(self) -> NetworkPolicy:
        """The policy at theta_t, as plain data."""
        return self.state.actor.policy(self.problem.spaces, None)

    @checked
    def predict(self, obs: Any, deterministic: bool = True) -> tuple[Any, None]:
        """The action for an observation.

        Args:
            obs: One observation.
            deterministic: The most likely one; else it is drawn.

        Returns:
            The action, and None, for a policy without memory.
        """
        rng = None if deterministic else self.state.rng
        return self.policy.act(np.asarray(obs), rng), None

    def save(self, path: str) -> None:
        """Write the policy as safetensors; `NetworkPolicy.load` reads it."""
        self.policy.save(path)


class NPGIGT(GradientAgent):
    """N-PG-IGT: normalised steps, gradients taken ahead of the policy. See GradientAgent."""

    kind = "n-pg-igt"


class NHARPG(GradientAgent):
    """N-HARPG: normalised steps, the mean of gradients moved by a Hessian's product. See
    GradientAgent.
    """

    kind = "n-harpg"


class HARPG(GradientAgent):
    """HARPG: N-HARPG without normalised steps. See GradientAgent."""

    kind = "harpg"


class NMPG(GradientAgent):
    """Normalised policy gradient with plain momentum, a baseline. See GradientAgent."""

    kind = "n-mpg"


class VanillaPG(GradientAgent):
    """Policy gradient of the last trajectories, a baseline. See GradientAgent."""

    kind = "vanilla-pg"
