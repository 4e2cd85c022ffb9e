"""Agents of Stable-Baselines3 and sb3-contrib as methods: metered by the problem, resumed bit for
bit. They draw from global random streams, which a run keeps for itself.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ...core.checks import real, whole
from ...core.errors import ArgumentError, BudgetExhausted
from ...core.problem import Problem
from ...core.streams import own_streams
from ..answers import NetworkPolicy, network_policy
from ..control import Control
from ..copies import Copies
from ..decisions import Learner, planned_steps, steps_left
from ..normalise import Moments, RewardScale
from ..spaces import Spaces

COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_n_calls")
BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
CHUNK = 250
"""Transitions of a step of an off-policy agent; about as many of an on-policy one."""


@dataclass
class AgentState:
    """Where a training stands.

    Attributes:
        copies: Of the environment.
        policy: The networks.
        optimizers: Of the networks.
        entropy: SAC's coefficient, a list of one tensor, or none.
        buffer: Name -> array, the remembered transitions so far.
        counters: Name -> number.
        streams: Global random streams as the agent knows them.
        actions: The stream of random actions.
        last_obs: (n, d) what the agent saw last; empty before the first step.
        starts: (n,) True where an episode has just begun.
        seen: Normalises observations.
        scale: Scales rewards.
    """

    copies: Copies
    policy: Any
    optimizers: list[Any]
    entropy: list[Any]
    buffer: dict[str, np.ndarray]
    counters: dict[str, Any]
    streams: list[Any]
    actions: np.random.Generator
    last_obs: np.ndarray
    starts: np.ndarray
    seen: Moments
    scale: RewardScale


@dataclass(frozen=True)
class Agent(Learner):
    """An agent of Stable-Baselines3 with its own defaults, where nothing else is said.

    Attributes:
        n_envs: Copies of the environment.
        learning_rate: None for the agent's own.
        normalize: Observations and rewards by running statistics, as our own methods do it.
    """

    n_envs: int = 1
    learning_rate: float | None = None
    normalize: bool = False
    solves: ClassVar[type[Problem]] = Control
    requires: ClassVar[tuple[str, ...]] = ("stable_baselines3", "gymnasium")

    def __post_init__(self) -> None:
        whole("n_envs", self.n_envs, least=1, most=1024)
        if self.learning_rate is not None:
            real("learning_rate", self.learning_rate, above=0)

    def made(self, env: Any, seed: int) -> Any:
        """The agent of the library."""
        raise TypeError(f"{type(self).__name__} does not define made(env, seed)")

    def given(self, **more: Any) -> dict[str, Any]:
        """What is said to the library: of these, what is not None."""
        known = {"learning_rate": self.learning_rate, **more}
        return {k: v for k, v in known.items() if v is not None}

    def init(self, problem: Control, rng: np.random.Generator) -> AgentState:
        """Make the networks, and copies at the beginning of their first episodes."""
        n = self.n_envs
        copies = problem.open(n, int(rng.integers(2**31)))
        seen, scale = Moments.of(problem.spaces.features), RewardScale.of(n)
        seed = int(rng.integers(2**31))
        with own_streams() as streams:
            env = vectorised(problem.spaces, n)
            model = self.made(env, seed)
        policy = model.policy
        holders = [policy, *(getattr(policy, k) for k in ("actor", "critic") if hasattr(policy, k))]
        optimizers = [h.optimizer for h in holders if getattr(h, "optimizer", None) is not None]
        entropy = []
        if getattr(model, "ent_coef_optimizer", None) is not None:
            optimizers.append(model.ent_coef_optimizer)
            entropy.append(model.log_ent_coef)
        stream = model.action_space.np_random
        nothing = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=bool)
        state = AgentState(
            *(copies, policy, optimizers, entropy, {}, {}, streams, stream, *nothing, seen, scale)
        )
        state.model = model  # type: ignore[attr-defined]
        return state

    def step(self, problem: Control, state: AgentState) -> AgentState:
        """Some transitions, and what is learnt of them."""
        model = state.model  # type: ignore[attr-defined]
        env = model.env
        env.state, env.normalize, env.spaces = state, self.normalize, problem.spaces
        env.gamma = model.gamma
        with own_streams(state.streams), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of minibatches that the batch is no multiple of
            push(state, model)
            chunk = self.chunk(model)
            model.learn(chunk, reset_num_timesteps=not state.counters)
            pull(state, model)
        return state

    def chunk(self, model: Any) -> int:
        """Transitions of a step."""
        return max(steps_left(CHUNK), 1)

    def answer(self, problem: Control, state: AgentState) -> NetworkPolicy:
        """The policy as plain data."""
        policy, seen = state.policy, state.seen
        if hasattr(policy, "actor") and policy.actor is not None:
            import torch

            actor = policy.actor
            heads = (actor.mu, actor.log_std)
            last = tuple(torch.cat([getattr(h, k) for h in heads]) for k in ("weight", "bias"))
            layers, kind, log_std, activation = (
                [*pairs(actor.latent_pi), last],
                "squashed",
                (),
                "relu",
            )
        else:
            last = policy.action_net.weight, policy.action_net.bias
            layers = [*pairs(policy.mlp_extractor.policy_net), last]
            kind = "categorical" if problem.spaces.actions else "gaussian"
            log_std, activation = getattr(policy, "log_std", ()), "tanh"
        normaliser = (seen.mean, seen.scale) if self.normalize else ((), ())
        return network_policy(problem.spaces, kind, layers, activation, log_std, *normaliser)


@dataclass(frozen=True)
class OnPolicySB3(Agent):
    """PPO or A2C of Stable-Baselines3, or TRPO of sb3-contrib; see `Agent`.

    Attributes:
        agent: "ppo", "a2c" or "trpo".
        n_steps: Of each copy in a batch; None for the agent's own.

    References:
        Raffin et al., JMLR 22 (2021); Schulman et al., arXiv 1707.06347 and 1502.05477; Mnih et
        al., arXiv 1602.01783.
    """

    agent: Literal["ppo", "a2c", "trpo"] = "ppo"
    n_steps: int | None = None
    name: ClassVar[str] = "sb3-ppo"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_steps is not None:
            whole("n_steps", self.n_steps, least=1, most=1_000_000)
            if self.n_envs * self.n_steps < 2:
                raise ArgumentError(
                    f"n_steps={self.n_steps} with n_envs={self.n_envs}: expected a batch of 2"
                )

    def made(self, env: Any, seed: int) -> Any:
        """The agent of the library."""
        import sb3_contrib
        import stable_baselines3

        library = sb3_contrib if self.agent == "trpo" else stable_baselines3
        kind = getattr(library, self.agent.upper())
        given = self.given(n_steps=self.n_steps)
        return kind("MlpPolicy", env, seed=seed, device="cpu", verbose=0, **given)

    def chunk(self, model: Any) -> int:
        """A whole number of batches; the last one is shortened to what is left."""
        if not hasattr(model, "usual"):
            model.usual = model.n_steps
        n = self.n_envs
        batches = max(CHUNK // (n * model.usual), 1)
        left = steps_left(batches * n * model.usual)
        steps = model.usual if left >= n * model.usual else max(left // n, 1)
        if steps != model.n_steps:
            model.n_steps = model.rollout_buffer.buffer_size = steps
            model.rollout_buffer.reset()
        return max(left // (n * steps), 1) * n * steps


@dataclass(frozen=True)
class SAC(Agent):
    """SAC of Stable-Baselines3; see `Agent`.

    Attributes:
        ent_coef: Weight of the entropy; None for the agent's own, which is tuned.
        learning_starts: Random transitions at the beginning; None for the agent's own.

    References:
        Raffin et al., JMLR 22 (2021); Haarnoja et al., arXiv 1812.05905.
    """

    ent_coef: float | None = None
    learning_starts: int | None = None
    name: ClassVar[str] = "sb3-sac"
    takes: ClassVar[tuple[str, ...]] = ("continuous",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ent_coef is not None:
            real("ent_coef", self.ent_coef, least=0)
        if self.learning_starts is not None:
            whole("learning_starts", self.learning_starts, least=0)

    def made(self, env: Any, seed: int) -> Any:
        """The agent of the library; it remembers no more than the budget has."""
        import stable_baselines3

        given = self.given(ent_coef=self.ent_coef, learning_starts=self.learning_starts)
        rows = min(1_000_000, planned_steps(self.name))
        return stable_baselines3.SAC(
            "MlpPolicy", env, seed=seed, device="cpu", verbose=0, buffer_size=rows, **given
        )


def pairs(network: Any) -> list[tuple[Any, Any]]:
    """Weight and bias of each layer that has them."""
    return [(part.weight, part.bias) for part in network if hasattr(part, "weight")]


def vectorised(spaces: Spaces, n: int) -> Any:
    """The copies as Stable-Baselines3 takes an environment; `state` says which."""
    import gymnasium
    from stable_baselines3.common.vec_env import VecEnv

    class CopiesEnv(VecEnv):
        """Copies of a problem: each transition is paid for before it is made."""

        state: AgentState
        spaces: Spaces
        normalize: bool = False
        gamma: float = 0.99

        def __init__(self) -> None:
            box = gymnasium.spaces.Box
            seen = box(-np.inf, np.inf, (spaces.features,), np.float32)
            if spaces.actions:
                done: Any = gymnasium.spaces.Discrete(spaces.actions)
            else:
                done = box(*spaces.bounds, dtype=np.float32)
            super().__init__(n, seen, done)

        def shown(self, obs: np.ndarray, learn: bool = True) -> np.ndarray:
            """Observations as the agent sees them."""
            rows = self.spaces.encoded(obs)
            if not self.normalize:
                return rows
            if learn:
                self.state.seen.see(rows)
            return self.state.seen.normal(rows)

        def reset(self) -> np.ndarray:
            """Where the copies stand."""
            return self.shown(self.state.copies.obs)

        def step_async(self, actions: np.ndarray) -> None:
            """Take the actions."""
            self.actions = actions

        def step_wait(self) -> Any:
            """Make a step of all copies. Raises BudgetExhausted where not all could move."""
            moves = self.state.copies.step(self.actions)
            if moves.count < self.num_envs:
                raise BudgetExhausted("env_steps", moves.count, moves.count, 1)
            ended = moves.terminated | moves.truncated
            reward = moves.reward
            if self.normalize:
                reward = self.state.scale.scaled(reward, ended, self.gamma)
            infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
            obs = self.shown(moves.obs)
            if ended.any():
                final = self.shown(moves.final, learn=False)
                for i in np.flatnonzero(ended).tolist():
                    cut = bool(moves.truncated[i] and not moves.terminated[i])
                    infos[i] = {"terminal_observation": final[i], "TimeLimit.truncated": cut}
            return obs, reward.astype(np.float32), ended, infos

        def close(self) -> None:
            """Nothing: the copies are the run's."""

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            """Nothing is rendered."""
            return [None] * self.num_envs

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            """Nothing can be set."""

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kw: Any) -> Any:
            """Nothing can be called."""
            return [None] * self.num_envs

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            """They are not."""
            return [False] * self.num_envs

    return CopiesEnv()


def push(state: AgentState, model: Any) -> None:
    """Put an agent to where a state stands."""
    if not state.counters:
        return
    model.action_space._np_random = state.actions
    memory = getattr(model, "replay_buffer", None)
    for name, value in state.counters.items():
        if name not in ("pos", "full"):
            setattr(model, name, value)
    model._last_obs, model._last_episode_starts = state.last_obs.copy(), state.starts.copy()
    if memory is not None:
        for name, rows in state.buffer.items():
            getattr(memory, name)[: len(rows)] = rows
        memory.pos, memory.full = state.counters["pos"], state.counters["full"]


def pull(state: AgentState, model: Any) -> None:
    """Note in a state where an agent stands."""
    state.actions = model.action_space.np_random
    state.counters = {n: getattr(model, n) for n in COUNTERS if hasattr(model, n)}
    state.last_obs = np.array(model._last_obs)
    state.starts = np.array(model._last_episode_starts)
    memory = getattr(model, "replay_buffer", None)
    if memory is not None:
        held = len(memory.observations) if memory.full else memory.pos
        state.buffer = {n: getattr(memory, n)[:held] for n in BUFFER}
        state.counters |= {"pos": int(memory.pos), "full": bool(memory.full)}
