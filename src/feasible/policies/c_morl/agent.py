"""CMORL: the method as a class with `learn`, `predict`, `save` and `load`, without a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...core.budget import Meter
from ...core.checkpoint import decode_as, encode
from ...core.checks import fraction, generator, naming, shown, whole
from ...core.errors import ArgumentError, BudgetExhausted, CheckpointError, nearest
from ...core.threads import fixed
from ..answers import NetworkPolicy, PolicyFront, TablePolicy
from ..control import Control
from ..decisions import at_most, check_policy
from .metrics import corner, expected_utility, hypervolume, sparsity
from .run import ConstrainedExtension, SearchState
from .settings import CMORLSettings


@dataclass
class SavedCMORL:
    """What a file of `CMORL.save` holds.

    Attributes:
        members: Of each policy its fields by name.
        returns: (k, n) what was measured of them.
        ref_point: (n,).
        eval_gamma: Discount of the returns.
        seed: Of the training.
        num_timesteps: Transitions of it.
        settings: By name.
    """

    members: list[dict[str, Any]]
    returns: np.ndarray
    ref_point: np.ndarray
    eval_gamma: float
    seed: int
    num_timesteps: int
    settings: dict[str, Any]


class CMORL:
    """Policies for several rewards at once: the front of an environment by C-MORL.

    Args:
        env: A gymnasium environment whose reward is a vector (mo-gymnasium's), its id, or a
            function that makes one.
        ref_point: (n,) returns that are worse than all that is worth having.
        eval_gamma: Discount of the returns that the front is made of, and of the training where
            `gamma` is not set.
        seed: Of all that is drawn.
        settings: Any of `CMORLSettings` by name.

    Attributes:
        front: The policies with their returns; None before `learn`.
        num_timesteps: Transitions so far, those of evaluations included.

    Raises:
        ArgumentError: A setting out of its range, a reward that is one number.
        ShapeError: A reference point of another length.

    Example:
        >>> agent = CMORL("deep-sea-treasure-v0", ref_point=(0, -50), eval_gamma=0.99, n_envs=2)
        >>> front = agent.learn(3000).front
        >>> agent.num_timesteps <= 3000, front.returns.shape[1]
        (True, 2)

    References:
        Liu et al., arXiv 2410.02236, Algorithm 1.
    """

    front: PolicyFront | None = None
    num_timesteps: int = 0

    def __init__(
        self,
        env: Any,
        ref_point: Any,
        eval_gamma: float = 0.99,
        seed: int = 0,
        **settings: Any,
    ):
        for name in settings:
            if name not in CMORLSettings.__dataclass_fields__:
                raise ArgumentError(f"{name}: {nearest(name, CMORLSettings.__dataclass_fields__)}")
        self.settings = CMORLSettings(**settings)
        self.seed = whole("seed", seed, least=0)
        self.eval_gamma = fraction("eval_gamma", eval_gamma, zero=False)
        self.ref_point = corner(ref_point)
        self.problem = None if env is None else self._problem(env)
        self._state: SearchState | None = None

    def _problem(self, env: Any) -> Control:
        """The environment as a problem."""
        return Control(env, reference=self.ref_point, discount=self.eval_gamma)

    def learn(
        self,
        total_timesteps: int,
        callback: Callable[[CMORL], bool | None] | None = None,
        reset_num_timesteps: bool = True,
    ) -> CMORL:
        """Find a front.

        Args:
            total_timesteps: Transitions over all copies and policies, evaluations included; outside
                a run no more are made, in one they are charged to it.
            callback: Is called with the agent after each update; False ends the training.
            reset_num_timesteps: Begin anew; False: go on with the second stage.

        Returns:
            The agent.

        Raises:
            ArgumentError: A number out of its range, or an agent that was loaded without an
                environment.
            EnvironmentFailed: The environment raised, or returned what it must not.
        """
        total = whole("total_timesteps", total_timesteps, least=1)
        if self.problem is None:
            raise ArgumentError("env=None: to learn, the agent must be loaded with an environment")
        problem = self.problem
        method = ConstrainedExtension(total_steps=total, **asdict(self.settings))
        with at_most(total) as meter, fixed(1):
            if self._state is None or reset_num_timesteps:
                self._state = method.init(problem, generator("seed", self.seed))
                self.num_timesteps = 0
            else:
                self._state.total, self._state.ended = self._state.total + total, ""
            self._loop(problem, method, self._state, meter, callback)
        self.front = method.answer(problem, self._state)
        return self

    def _loop(
        self,
        problem: Control,
        method: ConstrainedExtension,
        state: SearchState,
        meter: Meter,
        callback: Callable[[CMORL], bool | None] | None,
    ) -> None:
        """Step until the plan or the budget ends, or the callback says so."""
        before = self.num_timesteps - int(meter.spent.get("env_steps", 0))
        while method.done(problem, state) is None:
            try:
                method.step(problem, state)
            except BudgetExhausted:
                return
            finally:
                self.num_timesteps = before + int(meter.spent.get("env_steps", 0))
            if callback is not None:
                self.front = method.answer(problem, state)
                if callback(self) is False:
                    return

    # -- asking ------------------------------------------------------------------------------------

    def _found(self) -> PolicyFront:
        """The front. Raises ArgumentError before there is one."""
        if self.front is None:
            raise ArgumentError("front=None: call learn(total_timesteps) first")
        return self.front

    def policy_for(self, weights: Any) -> NetworkPolicy | TablePolicy:
        """The policy of the largest weighted sum of returns; see `PolicyFront.policy_for`.

        Args:
            weights: (n,) of the rewards, >= 0, whose sum is 1.
        """
        return self._found().policy_for(weights)

    def policy_within(
        self, maximise: int, at_least: Mapping[int, float]
    ) -> NetworkPolicy | TablePolicy:
        """The policy of the largest return of one reward among those that keep others; see
        `PolicyFront.policy_within`.

        Args:
            maximise: Number of the reward.
            at_least: Number of a reward -> least return.
        """
        return self._found().policy_within(maximise, at_least)

    def predict(
        self, obs: Any, weights: Any, deterministic: bool = True, seed: int | None = None
    ) -> tuple[Any, None]:
        """The action for an observation, by the policy for weights, as Stable-Baselines3 returns
        it: with the state of a recurrent policy, which there is none of.

        Args:
            obs: One observation.
            weights: (n,) of the rewards.
            deterministic: The most likely action; False draws one.
            seed: Of the draw; None: of the operating system.
        """
        rng = None if deterministic else np.random.default_rng(seed)
        return self.policy_for(weights).act(obs, rng), None

    def hypervolume(self) -> float:
        """What the returns that were measured in training dominate above the reference point."""
        return hypervolume(self._found().returns, self.ref_point)

    def expected_utility(self, delta: float = 0.1) -> float:
        """Of these returns; see `metrics.expected_utility`."""
        return expected_utility(self._found().returns, delta)

    def sparsity(self) -> float:
        """Of these returns; see `metrics.sparsity`."""
        return sparsity(self._found().returns)

    # -- keeping -----------------------------------------------------------------------------------

    def save(self, path: str) -> None:
        """Write policies, returns and settings as safetensors with JSON in the header. What a
        training goes on from is not in it: that is for runs with a store.
        """
        front = self._found()
        saved = SavedCMORL(
            front.members,
            front.returns,
            self.ref_point,
            self.eval_gamma,
            self.seed,
            self.num_timesteps,
            asdict(self.settings),
        )
        with open(path, "wb") as file:
            file.write(encode(saved))

    @classmethod
    def load(cls, path: str, env: Any = None) -> CMORL:
        """Read what `save` wrote; runs no code of the file.

        Args:
            path: The file.
            env: To learn with; None: the agent only acts.

        Raises:
            ArgumentError: There is no such file, it holds no such agent, or one for other spaces.
        """
        try:
            with open(path, "rb") as file:
                said = decode_as(file.read(), (SavedCMORL,))
        except (OSError, CheckpointError) as error:
            raise ArgumentError(f"path={shown(path)}: no agent ({error})") from error
        with naming("path"):  # a file may say anything
            agent = cls(env, said.ref_point, said.eval_gamma, said.seed, **said.settings)
        agent.front = PolicyFront(said.members, said.returns)
        agent.num_timesteps = said.num_timesteps
        if agent.problem is not None:
            for policy in agent.front.policies[:1]:
                check_policy(policy, agent.problem.spaces)
        return agent
