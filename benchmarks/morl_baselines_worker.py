"""MORL/D and PCN of morl-baselines, in an environment of their own: reads a task as JSON from
standard input, prints the judged returns of the front as JSON. See `policies_front`.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import mo_gymnasium as mo
import numpy as np

FRONT = 50
"""Wishes of PCN that are judged: the returns of its best episodes."""


class Spent(Exception):
    """No transition is left."""


class Paid(gym.Wrapper):
    """Counts transitions, and makes no more than it may."""

    made, limit = 0, float("inf")

    def step(self, action: Any) -> Any:
        """Make a transition. Raises Spent."""
        if self.made >= self.limit:
            raise Spent
        self.made += 1
        return self.env.step(action)


def played(given: dict[str, Any], begin: Callable[[], Callable[[Any], Any]]) -> list[float]:
    """Mean discounted returns over the judge's episodes; begin: makes what acts in one of them."""
    sums = []
    for seed in given["judge"]:
        env = mo.make(given["env"])
        obs, _ = env.reset(seed=seed)
        act, total, t, over = begin(), np.zeros(len(given["ref"])), 0, False
        while not over:
            obs, reward, ended, cut, _ = env.step(act(obs))
            total, t, over = total + given["gamma"] ** t * reward, t + 1, ended or cut
            told = getattr(act, "told", None)
            if told is not None:
                told(reward)
        sums.append(total)
    found: list[float] = np.mean(sums, axis=0).tolist()
    return found


class Wish:
    """PCN after a desired return."""

    def __init__(self, agent: Any, wanted: Any, horizon: float, most: Any):
        self.agent, self.most = agent, most
        self.wanted, self.horizon = np.array(wanted), np.float32(horizon)

    def __call__(self, obs: Any) -> Any:
        """The action."""
        return self.agent._act(obs, self.wanted, self.horizon, eval_mode=True)

    def told(self, reward: Any) -> None:
        """Wish for what is left."""
        self.wanted = np.clip(self.wanted - reward, None, self.most, dtype=np.float32)
        self.horizon = np.float32(max(self.horizon - 1, 1.0))


def morld(given: dict[str, Any], env: Any, held: Any) -> list[list[float]]:
    """Train MORL/D and judge its archive."""
    from morl_baselines.multi_policy.morld.morld import MORLD

    seed = given["seed"]
    agent = MORLD(
        env=env,
        gamma=given["gamma"],
        seed=seed,
        rng=np.random.default_rng(seed),
        log=False,
        device="cpu",
        **given["args"],
    )
    with contextlib.suppress(Spent):
        agent.train(
            given["steps"], held, np.array(given["ref"]), checkpoints=False,
            num_eval_episodes_for_front=min(len(given["judge"]), 5),
        )  # fmt: skip
    return [
        played(given, lambda p=one: lambda obs: p.wrapped.eval(obs, p.weights))  # type: ignore[misc]
        for one in agent.archive.individuals
    ]


def pcn(given: dict[str, Any], env: Any, held: Any) -> list[list[float]]:
    """Train PCN and judge what it does for the returns of its best episodes."""
    from morl_baselines.multi_policy.pcn.pcn import PCN

    most = np.array(given["most"], dtype=np.float32)
    agent = PCN(
        env,
        np.array(given["scaling"]),
        gamma=given["gamma"],
        seed=given["seed"],
        log=False,
        device="cpu",
    )
    with contextlib.suppress(Spent):
        agent.train(given["steps"], held, np.array(given["ref"]), max_return=most)
    best = agent._nlargest(min(FRONT, len(agent.experience_replay)))
    wishes = [(np.float32(e[2][0].reward), len(e[2])) for e in best]
    return [played(given, lambda w=w: Wish(agent, *w, most)) for w in wishes]  # type: ignore[misc]


def main() -> None:
    """Do the task."""
    given = json.loads(sys.stdin.read())
    paid, held = Paid(mo.make(given["env"])), Paid(mo.make(given["env"]))
    paid.limit = given["steps"]
    record = mo.wrappers.MORecordEpisodeStatistics
    begun = time.process_time()
    with contextlib.redirect_stdout(sys.stderr):
        train = {"MORL/D": morld, "PCN": pcn}[given["method"]]
        points = train(
            given, record(paid, gamma=given["gamma"]), record(held, gamma=given["gamma"])
        )
    print(
        json.dumps(
            {
                "points": points,
                "seconds": time.process_time() - begun,
                "train": paid.made,
                "evaluations": held.made,
            }
        )
    )


if __name__ == "__main__":
    main()
