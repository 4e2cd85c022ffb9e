"""Training an agent as a method of a run: a step is some transitions, and a checkpoint holds all of
it: networks, optimisers, remembered transitions, environments and random streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ...core.checks import whole
from ...core.problem import Method, Problem
from ...core.streams import own_streams
from .agent import DiePolicy, check_pair, exported, made, vectorised
from .problem import DieTask

COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_n_calls", "exploration_rate")
"""What an agent counts, where it has such."""
BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
KEPT = 20_000
"""Transitions that off-policy agents remember; Stable-Baselines3's own 1,000,000 is more than is
made here."""


@dataclass
class TrainingState:
    """Where a training stands.

    Attributes:
        policy: The networks.
        optimizers: Of the networks.
        entropy: SAC's coefficient, a list of one tensor, or none.
        buffer: Name -> array, the remembered transitions so far.
        counters: Name -> number.
        envs: The environments' states, see `DieEnv.save`.
        streams: Global random streams as the agent knows them.
        actions: The stream of random actions.
        last_obs: (n_envs, ...) where the environments stand; empty before the first step.
        starts: (n_envs,) True where an episode has just begun.
        steps: Transitions so far.
    """

    policy: Any
    optimizers: list[Any]
    entropy: list[Any]
    buffer: dict[str, np.ndarray]
    counters: dict[str, Any]
    envs: list[dict[str, Any]]
    streams: list[Any]
    actions: np.random.Generator
    last_obs: np.ndarray
    starts: np.ndarray
    steps: int = 0


@dataclass(frozen=True)
class DieAgent(Method):
    """An agent of Stable-Baselines3, with its own defaults, trained on a die's environment.

    Attributes:
        agent: "ppo", "a2c", "dqn", "sac" or "ddpg".
        strategy: "incremental", "direct" or "incremental-continuous"; see `DieEnv`.
        steps: Transitions of the training.
        n_envs: Environments that are stepped together.

    References:
        Fricke, Wolff, Kemmerling, Elgeti, arXiv 2212.12207; Raffin et al., JMLR 22 (2021).
    """

    agent: str = "sac"
    strategy: str = "direct"
    steps: int = 3000
    n_envs: int = 1
    name: ClassVar[str] = "die-agent"
    solves: ClassVar[type[Problem]] = DieTask
    requires: ClassVar[tuple[str, ...]] = ("stable_baselines3", "gymnasium", "skfem")

    def __post_init__(self) -> None:
        check_pair(self.agent, self.strategy)
        whole("steps", self.steps, least=1)
        whole("n_envs", self.n_envs, least=1, most=64)

    def init(self, problem: DieTask, rng: np.random.Generator) -> TrainingState:
        """Make the networks; nothing is simulated."""
        seed = int(rng.integers(2**31))
        with own_streams() as streams:
            together = vectorised(partial(problem.env, self.strategy), self.n_envs, False, seed)
            model = made(self.agent, together, seed, KEPT)
        policy = model.policy
        holders = [policy, *self._parts(policy)]
        optimizers = [h.optimizer for h in holders if getattr(h, "optimizer", None) is not None]
        entropy = []
        if getattr(model, "ent_coef_optimizer", None) is not None:
            optimizers.append(model.ent_coef_optimizer)
            entropy.append(model.log_ent_coef)
        state = TrainingState(
            policy,
            optimizers,
            entropy,
            {},
            {},
            [],
            streams,
            model.action_space.np_random,
            np.zeros(0, dtype=np.float32),
            np.zeros(0, dtype=bool),
        )
        state.model = model  # type: ignore[attr-defined]
        return state

    def _parts(self, policy: Any) -> list[Any]:
        """The networks that have an optimiser of their own."""
        return [getattr(policy, n) for n in ("actor", "critic") if hasattr(policy, n)]

    def step(self, problem: DieTask, state: TrainingState) -> TrainingState:
        """Some transitions, and what is learnt of them."""
        model = state.model  # type: ignore[attr-defined]
        chunk = min(self._chunk(model), max(self.steps - state.steps, 1))
        with own_streams(state.streams):
            push(state, model)
            model.learn(chunk, callback=planned(self.steps), reset_num_timesteps=state.steps == 0)
            pull(state, model)
        return state

    def _chunk(self, model: Any) -> int:
        """Transitions of a step: a whole number of on-policy roll-outs, or 500."""
        n = getattr(model, "n_steps", 0) * self.n_envs
        return n * max(1, 500 // n) if n else 500

    def answer(self, problem: DieTask, state: TrainingState) -> DiePolicy:
        """The policy as it is."""
        return exported(state.model, self.agent, self.strategy)  # type: ignore[attr-defined]

    def done(self, problem: DieTask, state: TrainingState) -> str | None:
        """After the last transition."""
        return f"{state.steps} transitions" if state.steps >= self.steps else None


def planned(steps: int) -> Any:
    """A callback that tells schedules how long the whole training is."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Planned(BaseCallback):
        """The whole training's length, in place of a step's."""

        def _on_training_start(self) -> None:
            self.model._total_timesteps = steps

        def _on_step(self) -> bool:
            return True

    return Planned()


def push(state: TrainingState, model: Any) -> None:
    """Put an agent to where a state stands."""
    if not state.steps:
        return
    model.action_space._np_random = state.actions
    for name, value in state.counters.items():
        if name not in ("pos", "full"):
            setattr(model, name, value)
    model._last_obs, model._last_episode_starts = state.last_obs.copy(), state.starts.copy()
    for env, saved in zip(model.env.envs, state.envs, strict=True):
        env.unwrapped.restore(saved)
    memory = getattr(model, "replay_buffer", None)
    if memory is not None:
        for name, rows in state.buffer.items():
            getattr(memory, name)[: len(rows)] = rows
        memory.pos, memory.full = state.counters["pos"], state.counters["full"]


def pull(state: TrainingState, model: Any) -> None:
    """Note in a state where an agent stands."""
    state.steps = int(model.num_timesteps)
    state.actions = model.action_space.np_random
    state.counters = {n: getattr(model, n) for n in COUNTERS if hasattr(model, n)}
    state.last_obs = np.array(model._last_obs)
    state.starts = np.array(model._last_episode_starts)
    state.envs = [env.unwrapped.save() for env in model.env.envs]
    memory = getattr(model, "replay_buffer", None)
    if memory is not None:
        held = len(memory.observations) if memory.full else memory.pos
        state.buffer = {n: getattr(memory, n)[:held].copy() for n in BUFFER}
        state.counters |= {"pos": int(memory.pos), "full": bool(memory.full)}
