"""Agents of Stable-Baselines3 for dies: trained, asked, saved."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core.annotations import checked
from ...core.checks import flag, one_of, whole
from ...core.errors import ArgumentError, nearest
from ...core.extras import named
from ...core.streams import own_streams

if TYPE_CHECKING:
    from jaxtyping import Float

    from .env import DieEnv

Kind = Literal["ppo", "a2c", "dqn", "sac", "ddpg"]
STRATEGIES: Mapping[str, tuple[str, ...]] = {
    "ppo": ("incremental", "direct", "incremental-continuous"),
    "a2c": ("incremental", "direct", "incremental-continuous"),
    "dqn": ("incremental",),
    "sac": ("direct", "incremental-continuous"),
    "ddpg": ("direct", "incremental-continuous"),
}
"""Agent -> the strategies whose actions it takes."""


def check_pair(agent: str, strategy: str) -> None:
    """Raise ArgumentError where an agent does not take a strategy's actions."""
    one_of("agent", agent, STRATEGIES)
    if strategy not in STRATEGIES[agent]:
        raise ArgumentError(
            f"strategy={strategy!r}: {agent} takes {' or '.join(STRATEGIES[agent])}; dqn needs "
            "discrete actions, sac and ddpg continuous ones"
        )


@dataclass(frozen=True, slots=True)
class DiePolicy:
    """A trained policy, as plain data.

    Attributes:
        agent: Which of Stable-Baselines3's.
        strategy: What its actions mean.
        weights: Name -> array, of its networks.
        steps: Transitions that it was trained on.
    """

    agent: str
    strategy: str
    weights: dict[str, np.ndarray]
    steps: int

    def player(self, env: DieEnv) -> Callable[[Any], Any]:
        """From an observation to the action, the most likely one."""
        import torch

        with own_streams():
            model = made(self.agent, env, 0, 1)
        held = {k: torch.as_tensor(v) for k, v in self.weights.items()}
        model.policy.load_state_dict(held)
        return lambda obs: model.predict(obs, deterministic=True)[0]

    def save(self, path: str) -> None:
        """Write it as safetensors."""
        from safetensors.numpy import save_file

        said = {"agent": self.agent, "strategy": self.strategy, "steps": str(self.steps)}
        save_file({k: np.ascontiguousarray(v) for k, v in self.weights.items()}, path, said)

    @classmethod
    def load(cls, path: str) -> DiePolicy:
        """Read what `save` wrote. Raises ArgumentError."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as file:
                said = file.metadata() or {}
                weights = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            return cls(said["agent"], said["strategy"], weights, int(said["steps"]))
        except (SafetensorError, KeyError, OSError, ValueError) as error:
            raise ArgumentError(f"path={path!r}: no policy of a die ({error})") from error


def made(agent: str, env: Any, seed: int, memory: int | None = None) -> Any:
    """A fresh agent of Stable-Baselines3 with its own defaults.

    Args:
        agent: Which.
        env: Where it acts.
        seed: Of its random streams.
        memory: Transitions that an off-policy agent remembers; None: its own default.
    """
    with named("DiePolicy", "physics"):
        import stable_baselines3 as sb3

    kind = getattr(sb3, agent.upper())
    more = {"buffer_size": memory} if memory and agent in ("dqn", "sac", "ddpg") else {}
    return kind("MlpPolicy", env, seed=seed, device="cpu", verbose=0, **more)


def exported(model: Any, agent: str, strategy: str) -> DiePolicy:
    """The policy of a model, copied out."""
    weights = {k: v.detach().cpu().numpy().copy() for k, v in model.policy.state_dict().items()}
    return DiePolicy(agent, strategy, weights, int(model.num_timesteps))


def vectorised(make: Callable[[], DieEnv], n_envs: int, processes: bool, seed: int) -> Any:
    """n copies of an environment as Stable-Baselines3 takes them, one after the other or each in a
    process of its own.
    """
    with named("vectorised", "physics"):
        from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

    made_all = [make] * n_envs
    found = SubprocVecEnv(made_all, start_method="spawn") if processes else DummyVecEnv(made_all)  # type: ignore[arg-type]
    found.seed(seed)
    return found


@checked
def train_die(
    agent: Kind = "sac",
    strategy: str = "direct",
    steps: int = 3000,
    seed: int = 0,
    n_envs: int = 1,
    processes: bool = False,
    env: Mapping[str, Any] | None = None,
    die: Literal["split", "channel"] = "split",
) -> DiePolicy:
    """Train an agent of Stable-Baselines3 on a die, with the agent's defaults.

    Args:
        agent: "ppo", "a2c", "dqn", "sac" or "ddpg".
        strategy: As `DieEnv` takes it; dqn needs "incremental", sac and ddpg numbers.
        steps: Transitions.
        seed: Of the agent and of the environments.
        n_envs: Environments that are stepped together.
        processes: Each in a process of its own.
        env: What else `die_split` or `die_channel` takes.
        die: "split", the die with two outlets, or "channel", the one with three patches.

    Returns:
        The policy.

    Raises:
        ArgumentError: An agent that does not take the strategy's actions.

    References:
        Fricke, Wolff, Kemmerling, Elgeti, arXiv 2212.12207; Raffin et al., JMLR 22 (2021).
    """
    check_pair(agent, strategy)
    whole("steps", steps, least=1)
    whole("n_envs", n_envs, least=1, most=64)
    seed, processes = whole("seed", seed, least=0), flag("processes", processes)
    from .env import DIES

    made_by = DIES[die]
    known = [name for name in inspect.signature(made_by).parameters if name != "strategy"]
    for name in env or {}:
        if name not in known:
            raise ArgumentError(f"env: {name!r:.40}: {nearest(str(name), known)}")
    make = partial(made_by, strategy, **dict(env or {}))
    with own_streams():
        together = vectorised(make, n_envs, processes, seed)
        try:
            model = made(agent, together, seed)
            model.learn(steps)
            return exported(model, agent, strategy)
        finally:
            together.close()


@dataclass(frozen=True, slots=True)
class Played:
    """What a policy did on a list of goals.

    Attributes:
        simulations: (n,) for each goal, the start's included; of a failure as many as it made.
        success: (n,) whether it met the goal.
    """

    simulations: Float[np.ndarray, " n"]
    success: Float[np.ndarray, " n"]


def play(
    policy: DiePolicy,
    env: DieEnv,
    goals: Sequence[dict[str, Any]],
    designs: list[Any] | None = None,
) -> Played:
    """Ask a policy for each goal.

    Policy and die have no chance in them: an observation that comes again comes for ever, so that
    the goal is missed, and the rest of the episode is not played.

    Args:
        policy: The policy.
        env: Where it plays.
        goals: Options of `DieEnv.reset`: targets, or designs to begin with.
        designs: Gets the last design for each goal.
    """
    act = policy.player(env)
    simulations, success = [], []
    for goal in goals:
        obs, _ = env.reset(seed=0, options=goal)
        done = env.error < env.tolerance
        met = done
        seen: set[bytes] = set()
        while not done:
            obs, _, met, cut, _ = env.step(act(obs))
            done = met or cut or obs.tobytes() in seen
            seen.add(obs.tobytes())
        if designs is not None:
            designs.append(env.values.copy())
        simulations.append(env.n_simulations)
        success.append(bool(met and env.error < env.tolerance))
    return Played(np.array(simulations), np.array(success))
