"""Small environments: one whose return is known, and ones that are at fault."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import ClassVar

import gymnasium
import numpy as np

import feasible


class Line(gymnasium.Env):
    """Steps 0, 1, ... along a line, each for a reward of 1 and a cost of the action's size.

    Args:
        length: Steps of an episode; 0: it never ends.
        cut: It is truncated, not terminated.
        fault: What goes wrong, and from which step on.
        scale: Of the rewards.
        m: Entries of the reward; 0: it is a number.
    """

    def __init__(self, length=5, cut=False, fault="", at=3, scale=1.0, m=0):
        self.observation_space = gymnasium.spaces.Box(-10.0, 10.0, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        if m:
            self.reward_space = gymnasium.spaces.Box(-np.inf, np.inf, (m,))
        self.length, self.cut, self.fault, self.at, self.scale, self.m = (
            *(length, cut, fault, at, scale, m),
        )
        self.t, self.total, self.resets = 0, 0.0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.resets = 0, self.resets + 1
        self.start = float(self.np_random.uniform(-1, 1))
        if self.fault == "spaces" and self.resets > 1:
            self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (3,), np.float32)
        if self.fault == "reset":
            return self._seen()
        return self._seen(), {}

    def _seen(self):
        return np.array([self.start, min(self.t, 9)], dtype=np.float32)

    def step(self, action):
        self.t += 1
        self.total += float(np.abs(action).sum())
        if self.fault and self.t >= self.at:
            return self._faulty()
        ended = self.t == self.length
        reward = np.full(self.m, self.scale) if self.m else self.scale
        info = {"cost": float(np.abs(action).sum())}
        return self._seen(), reward, ended and not self.cut, ended and self.cut, info

    def _faulty(self):
        match self.fault:
            case "raise":
                raise RuntimeError("the motor is gone")
            case "nan-obs":
                return np.array([np.nan, 0.0], dtype=np.float32), 1.0, False, False, {}
            case "nan-reward":
                return self._seen(), float("nan"), False, False, {}
            case "shape":
                return np.zeros(3, dtype=np.float32), 1.0, False, False, {}
            case "info":
                return self._seen(), 1.0, False, False, None
            case "four":
                return self._seen(), 1.0, False, {}
            case "text":
                return self._seen(), "much", False, False, {}
            case "hang":
                time.sleep(60)
            case "die":
                os._exit(3)
        return self._seen(), 1.0, False, False, {"cost": 0.0}


class Drifts(Line):
    """Something in it outlives its reset, so that replay leads elsewhere."""

    def _seen(self):
        return np.array([self.start, self.total], dtype=np.float32)


@dataclass(frozen=True)
class Still:
    """A policy that always does the same."""

    value: float = 0.0
    calls: ClassVar[int] = 0

    def act(self, obs, rng=None):
        return np.array([self.value], dtype=np.float32)


def line(**more):
    """A problem of a line; environments' settings by name, the problem's too."""
    own = {k: more.pop(k) for k in tuple(more) if k in feasible.policies.Control.__annotations__}
    return feasible.policies.Control(lambda: Line(**more), name="line", **own)
