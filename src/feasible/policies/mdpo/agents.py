"""Mirror descent policy optimisation in the form that users of Stable-Baselines3 know."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from ...core.annotations import checked
from ...core.checkpoint import decode, decode_as, encode
from ...core.checks import flag, numbers, one_of, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError, CheckpointError, ShapeError, nearest
from ..answers import NetworkPolicy
from ..control import Control
from ..copies import Copies
from ..decisions import at_most
from ..spaces import Spaces
from . import off_policy, on_policy
from .settings import MDPOSettings, OffPolicySettings

MOST = 10**12
"""Most transitions of a call."""


@dataclass
class AgentFile:
    """What a saved agent is made of.

    Attributes:
        kind: Name of its class.
        settings: By name.
        said: Its spaces.
        seed: Of all that it draws.
        state: The learner, as a checkpoint's bytes.
    """

    kind: str
    settings: dict[str, Any]
    said: dict[str, Any]
    seed: int
    state: np.ndarray


class Agent:
    """What both forms have: `learn`, `predict`, `save`, `load`.

    Attributes:
        settings: How it learns.
        spaces: What is seen and done.
        problem: Where it learns; None for an agent that was loaded without an environment.
        learner: All that it has learnt.
    """

    kind: ClassVar[type[Any]]
    learner: Any
    problem: Control | None
    spaces: Spaces

    def __init__(
        self,
        policy: Any = "MlpPolicy",
        env: Any = None,
        *,
        seed: int = 0,
        verbose: int = 0,
        device: str = "cpu",
        **settings: Any,
    ):
        if env is None and policy != "MlpPolicy":
            policy, env = "MlpPolicy", policy
        one_of("policy", policy, ("MlpPolicy",))
        one_of("device", device, ("cpu",))
        self.seed, self.verbose = whole("seed", seed, least=0), whole("verbose", verbose, least=0)
        known = [f.name for f in dataclasses.fields(self.kind)]
        for name in settings:
            if name not in known:
                raise ArgumentTypeError(f"{name}: {nearest(name, known)}")
        self.settings = self.kind(**settings)
        if env is None:
            raise ArgumentError("env=None: expected an id, a function, an environment or a Control")
        self._play_in(env if isinstance(env, Control) else Control(env))
        self._begin()

    def _play_in(self, problem: Control) -> None:
        """Take an environment."""
        if problem.several or problem.limited.limits:
            raise ArgumentError(
                f"env: '{problem.name}' has several rewards or limits, which mirror descent does "
                "not see"
            )
        self.problem, self.spaces = problem, problem.spaces
        self._copies: Copies | None = None

    def _begin(self) -> None:
        """Make a learner that has seen nothing."""
        self._rng = np.random.default_rng([self.seed, 5])
        self.learner = self._fresh(0)

    def _fresh(self, planned: int) -> Any:
        raise TypeError(f"{type(self).__name__} does not define _fresh(planned)")

    def _advance(self, copies: Copies) -> None:
        raise TypeError(f"{type(self).__name__} does not define _advance(copies)")

    @property
    def policy(self) -> NetworkPolicy:
        """The policy as plain data, with its normaliser."""
        raise TypeError(f"{type(self).__name__} does not define policy")

    @property
    def num_timesteps(self) -> int:
        """Transitions so far, over all copies."""
        return int(self.learner.steps)

    def learn(
        self,
        total_timesteps: int,
        callback: Callable[[Any], Any] | None = None,
        reset_num_timesteps: bool = True,
    ) -> Self:
        """Learn from transitions.

        Args:
            total_timesteps: How many, over all copies; the last batch is shortened to fit.
            callback: Called with the agent after each iteration; False ends the learning.
            reset_num_timesteps: Schedules begin anew; else they go on to the sum.

        Returns:
            The agent itself.

        Raises:
            ArgumentError: It was loaded without an environment, or diverged.
            EnvironmentFailed: The environment raised, or returned what it must not.
        """
        total = whole("total_timesteps", total_timesteps, least=1, most=MOST)
        if callback is not None and not callable(callback):
            raise ArgumentTypeError(f"callback={shown(callback)}: expected a function of the agent")
        if self.problem is None:
            raise ArgumentError("env: the agent was loaded without one; load it with env=...")
        if flag("reset_num_timesteps", reset_num_timesteps):
            self._restart()
        self._plan(self.num_timesteps + total)
        if self._copies is None:
            n = self.settings.n_envs
            self._copies = self.problem.open(n, int(self._rng.integers(2**31)))
        with at_most(total):
            self._go_on(self._copies, callback)
        return self

    def _go_on(self, copies: Copies, callback: Callable[[Any], Any] | None) -> None:
        """Advance to what was planned, or until the callback says False."""
        while self.num_timesteps < self.learner.planned:
            self._advance(copies)
            if self.learner.ended:
                raise ArgumentError(f"settings: {self.learner.ended}")
            if self.verbose:
                returns = self.learner.returns
                mean = f"{np.mean(returns):.4g}" if returns else "-"
                print(f"{self.num_timesteps} transitions, mean return of training {mean}")
            if callback is not None and callback(self) is False:
                return

    def _restart(self) -> None:
        """Count from the beginning, with what was learnt."""
        self.learner.steps = 0

    def _plan(self, planned: int) -> None:
        """Make the schedules for a number of transitions."""
        self.learner.planned = planned

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, None]:
        """The action for one observation, or for several.

        Args:
            observation: One, or (n, *shape).
            state: Of no use: the policy has none.
            episode_start: Of no use.
            deterministic: The most likely action instead of a draw.

        Returns:
            The action or actions, as the environment takes them, and None.

        Raises:
            ShapeError: An observation of another shape.
        """
        obs = np.asarray(numbers("observation", observation))
        if self.spaces.shape not in (obs.shape, obs.shape[1:]):
            raise ShapeError(
                f"observation has shape {obs.shape}, expected {self.spaces.shape}, or several"
            )
        rng = None if flag("deterministic", deterministic) else self._rng
        if obs.shape == self.spaces.shape:
            return self.policy.act(obs, rng), None
        rows = self.policy.acts(obs, rng)
        if self.spaces.actions:
            return rows[:, 0] + self.spaces.first_action, None
        return rows.reshape(len(rows), *self.spaces.action_shape), None

    @checked
    def save(self, path: str) -> None:
        """Write networks, optimisers, normaliser and counters; safetensors with JSON."""
        blob = np.frombuffer(encode(self.learner), dtype=np.uint8)
        given = asdict(self.settings)
        kept = AgentFile(type(self).__name__, given, asdict(self.spaces), self.seed, blob)
        with open(path, "wb") as file:
            file.write(encode(kept))

    @classmethod
    @checked
    def load(cls, path: str, env: Any = None) -> Self:
        """Read what `save` wrote; runs no code of the file.

        Args:
            path: The file.
            env: Where it learns on; without one it only predicts.

        Raises:
            ArgumentError: It is no such file, or the environment has other spaces.
        """
        try:
            with open(path, "rb") as file:
                kept: AgentFile = decode_as(file.read(), (AgentFile,))
            if kept.kind != cls.__name__:
                raise CheckpointError(f"it holds a {kept.kind}")
            found = cls.__new__(cls)
            found.seed, found.verbose, found.problem = kept.seed, 0, None
            found.settings, found.spaces = cls.kind(**kept.settings), Spaces(**kept.said)
            found._begin()
            found.learner = decode(kept.state.tobytes(), found.learner)
        except (OSError, CheckpointError, TypeError) as error:
            raise ArgumentError(f"path={shown(path)}: no {cls.__name__} ({error})") from error
        if env is not None:
            problem = env if isinstance(env, Control) else Control(env)
            problem.spaces.check(found.spaces, f"the {cls.__name__} in {path}")
            found._play_in(problem)
        return found


class MDPO(Agent):
    """On-policy mirror descent policy optimisation.

    Args:
        policy: "MlpPolicy".
        env: An id, a function that makes an environment, an environment, or a `Control`.
        seed: Of all that it draws.
        verbose: 1 to print a line an iteration.
        device: "cpu".
        **settings: See `MDPOSettings`.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting that it does not have, or spaces that are not taken.

    Examples:
        >>> agent = MDPO("MlpPolicy", "CartPole-v1", n_envs=2, n_steps=32, lr=3e-3, seed=1)
        >>> agent.learn(total_timesteps=150).num_timesteps
        150

    References:
        Tomar, Shani, Efroni, Ghavamzadeh, arXiv 2005.09814, algorithm 1.
    """

    kind = MDPOSettings

    def _fresh(self, planned: int) -> on_policy.MDPOLearner:
        return on_policy.begin(self.settings, self.spaces, planned, self._rng)

    def _restart(self) -> None:
        super()._restart()
        self.learner.iteration = 0

    def _advance(self, copies: Copies) -> None:
        on_policy.iterate(self.learner, copies, self.spaces, self.settings)

    @property
    def policy(self) -> NetworkPolicy:
        """The policy as plain data, with its normaliser."""
        return self.learner.policy(self.spaces, self.settings)


class OffPolicyMDPO(Agent):
    """Off-policy mirror descent policy optimisation; continuous actions with bounds.

    Args:
        policy: "MlpPolicy".
        env: An id, a function that makes an environment, an environment, or a `Control`.
        seed: Of all that it draws.
        verbose: 1 to print a line now and then.
        device: "cpu".
        **settings: See `OffPolicySettings`.

    Raises:
        ArgumentError: A setting out of its range.
        WrongProblem: Numbered actions, or ones without bounds.

    Examples:
        >>> agent = OffPolicyMDPO("Pendulum-v1", learning_starts=20, batch=8, width=8)
        >>> agent.learn(total_timesteps=30).num_timesteps
        30

    References:
        arXiv 2005.09814, algorithm 2.
    """

    kind = OffPolicySettings

    def _fresh(self, planned: int) -> off_policy.OffPolicyLearner:
        return off_policy.begin(self.settings, self.spaces, planned, self._rng)

    def _plan(self, planned: int) -> None:
        super()._plan(planned)
        self.learner.buffer.grow(min(self.settings.buffer_size, planned))

    def _advance(self, copies: Copies) -> None:
        off_policy.iterate(self.learner, copies, self.spaces, self.settings, off_policy.CHUNK)

    @property
    def policy(self) -> NetworkPolicy:
        """The policy as plain data."""
        return self.learner.actor.policy(self.spaces)
