"""Spaces: what is seen and what may be done, as plain data that a policy carries with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import shown
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float

WIDE = 1e30
"""Bounds beyond are none, as MuJoCo's and classic control's of float32."""


@dataclass(frozen=True)
class Spaces:
    """The observations and actions of an environment.

    Attributes:
        shape: Of an observation; () where it is one of `states`.
        states: Number of observations where they are numbered, else 0.
        first_state: The first of them.
        actions: Number of actions where they are numbered, else 0.
        first_action: The first of them.
        low: (a,) lower bounds of a continuous action, flat; empty where actions are numbered.
        high: (a,) upper bounds.
        action_shape: Of a continuous action.
        rewards: Entries of the reward; 0 where it is a number.
    """

    shape: tuple[int, ...] = ()
    states: int = 0
    first_state: int = 0
    actions: int = 0
    first_action: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    action_shape: tuple[int, ...] = ()
    rewards: int = 0

    @classmethod
    def of(cls, env: Any) -> Spaces:
        """Read the spaces of a gymnasium environment.

        Args:
            env: The environment; its reward is a vector where it has a `reward_space`.

        Raises:
            ArgumentTypeError: A kind of space that is not taken: says how to bring it to one.
        """
        seen, done = env.observation_space, env.action_space
        kinds = type(seen).__name__, type(done).__name__
        found: dict[str, Any] = {}
        if kinds[0] == "Discrete":
            found |= {"states": int(seen.n), "first_state": int(seen.start)}
        elif kinds[0] in ("Box", "MultiBinary"):
            found["shape"] = tuple(map(int, seen.shape))
        else:
            raise ArgumentTypeError(
                f"env: its observations are a {kinds[0]}, expected Box, Discrete or MultiBinary; "
                "gymnasium.wrappers.FlattenObservation makes a Box of the others"
            )
        if kinds[1] == "Discrete":
            found |= {"actions": int(done.n), "first_action": int(done.start)}
        elif kinds[1] == "Box" and done.dtype.kind == "f":
            low, high = (np.asarray(b, dtype=float).ravel() for b in (done.low, done.high))
            found |= {
                "low": tuple(np.where(low < -WIDE, -np.inf, low).tolist()),
                "high": tuple(np.where(high > WIDE, np.inf, high).tolist()),
                "action_shape": tuple(map(int, done.shape)),
            }
        else:
            raise ArgumentTypeError(
                f"env: its actions are a {shown(done)}, expected Box of real numbers or Discrete"
            )
        rewards = getattr(env.unwrapped, "reward_space", None)
        probe = env  # a wrapper such as mo-gymnasium's LinearReward makes a number of the vector
        while rewards is not None and probe is not env.unwrapped:
            if type(probe).__name__.startswith(("LinearReward", "SingleReward")):
                rewards = None
                break
            probe = probe.env
        if rewards is not None and getattr(rewards, "shape", None):
            found["rewards"] = int(rewards.shape[0])
        return cls(**found)

    @cached_property
    def bounds(self) -> tuple[Float[np.ndarray, " a"], Float[np.ndarray, " a"]]:
        """Lower and upper bounds of a continuous action, as float32."""
        return np.array(self.low, dtype=np.float32), np.array(self.high, dtype=np.float32)

    @property
    def features(self) -> int:
        """Numbers that a network is given of an observation."""
        return self.states or math.prod(self.shape)

    @property
    def width(self) -> int:
        """Numbers that an action is kept as."""
        return len(self.low) or 1

    def __str__(self) -> str:
        seen = f"{self.states} numbered" if self.states else f"arrays of shape {self.shape}"
        done = (
            f"{self.actions} numbered" if self.actions else f"arrays of shape {self.action_shape}"
        )
        vector = f", {self.rewards} rewards" if self.rewards else ""
        return f"observations: {seen}; actions: {done}{vector}"

    def check(self, other: Spaces, what: str) -> None:
        """Refuse what was made for other spaces.

        Args:
            other: Its spaces.
            what: What it is.

        Raises:
            ArgumentError: They differ; names both. Bounds of actions may differ.
        """
        keys = ("shape", "states", "actions", "action_shape", "rewards")
        if any(getattr(self, k) != getattr(other, k) for k in keys):
            raise ArgumentError(f"{what} is for {other}; the environment has {self}")

    def encoded(self, obs: Any) -> Float[np.ndarray, "n d"]:
        """Observations as a network takes them, as float32.

        Args:
            obs: (n, *shape) arrays, or (n,) numbers, which become unit vectors.

        Raises:
            ShapeError: Observations of another shape.
        """
        given = np.asarray(obs)
        if given.shape[1:] != self.shape:
            raise ShapeError(f"obs has shape {given.shape}, expected (n, *{self.shape})")
        if not self.states:
            return given.reshape(len(given), -1).astype(np.float32)
        at = given.astype(np.int64) - self.first_state
        if at.size and not (at.min() >= 0 and at.max() < self.states):
            raise ArgumentError(f"obs={shown(obs)}: expected one of {self.states} states")
        found = np.zeros((len(at), self.states), dtype=np.float32)
        found[np.arange(len(at)), at] = 1.0
        return found

    def clipped(self, actions: Any) -> np.ndarray:
        """Actions as an environment takes them, one row each: within their bounds.

        Args:
            actions: (n, a) or (n, *action_shape); (n,) numbers, counted from 0.

        Raises:
            NotFinite: A NaN or an infinity.
            ShapeError: Actions of another shape.
            ArgumentError: There is no such action.
        """
        given = np.asarray(actions)
        if self.actions:
            if given.ndim == 2 and given.shape[1] == 1:
                given = given[:, 0]
            if given.ndim != 1 or given.dtype.kind not in "iu":
                raise ShapeError(
                    f"actions={shown(actions)}: expected whole numbers of shape (n,), got "
                    f"{given.dtype} of shape {given.shape}"
                )
            found = given.astype(np.int64)
            if any(not 0 <= a < self.actions for a in found.tolist()):
                raise ArgumentError(f"actions={shown(actions)}: expected 0 to {self.actions - 1}")
            return found[:, None]
        flat = given.reshape(len(given), -1).astype(np.float32) if given.ndim else given
        if flat.ndim != 2 or flat.shape[1] != len(self.low):
            raise ShapeError(f"actions has shape {given.shape}, expected (n, *{self.action_shape})")
        if not np.isfinite(flat).all():
            raise NotFinite(f"actions={shown(actions)}: expected finite numbers")
        return np.clip(flat, *self.bounds)

    def rows(self, acted: Sequence[Any]) -> np.ndarray:
        """Actions as policies give them, one row each, as `clipped` gives them."""
        if self.actions:
            return np.array([[int(a) - self.first_action] for a in acted])
        return self.clipped(np.stack([np.ravel(a) for a in acted]))

    def native(self, row: np.ndarray) -> Any:
        """One action, a row of `clipped`, as the environment's `step` takes it."""
        if self.actions:
            return row[0] + self.first_action if self.first_action else row[0]
        return row.reshape(self.action_shape)
