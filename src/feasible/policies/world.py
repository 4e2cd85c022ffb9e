"""World: how an environment is made, and one live environment whose every answer is checked."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np

from ..core.checks import shown
from ..core.child import Child, ChildLost
from ..core.errors import FeasibleError
from ..core.failure import Failure
from .errors import EnvironmentFailed
from .spaces import Spaces

if TYPE_CHECKING:
    from jaxtyping import Float

    Move = tuple[Any, Any, bool, bool, Float[np.ndarray, " c"]]

Cost = Callable[[Any, Any, dict[str, Any]], float]
NO_COST = np.zeros(0)


class Place(Protocol):
    """A live environment, here or in a process of its own."""

    spaces: Spaces

    def reset(self, seed: int, where: str) -> Any:
        """Begin an episode and return the observation."""

    def move(self, row: np.ndarray) -> Move:
        """Make a step: observation, reward, terminated, truncated, costs."""

    def close(self) -> None:
        """End it."""


@dataclass(eq=False)
class World:
    """How an environment is made, and what is read of it.

    Attributes:
        name: For errors.
        make: Makes the environment.
        costs: (name, function or None) of each cost: f(obs, action, info) after a step, else what
            `info` holds under the name.
        max_steps: Steps after which an episode is cut.
        fresh: The environment is made anew for every episode.
        own_streams: Each environment has NumPy's and Python's global streams to itself.
        timeout: Seconds for a step; with it each environment lives in a process of its own.
    """

    name: str
    make: Callable[[], Any]
    costs: Sequence[tuple[str, Cost | None]] = ()
    max_steps: int = 10_000
    fresh: bool = False
    own_streams: bool = False
    timeout: float | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> World:
        return self

    def place(self) -> Place:
        """A live environment."""
        return Elsewhere(self) if self.timeout is not None else self.here()

    def here(self) -> Here:
        """A live environment in this process."""
        return Streamed(self) if self.own_streams else Here(self)


class Here:
    """An environment in this process. It says where it is: which copy, episode and step."""

    def __init__(self, world: World):
        self.world, self.steps, self.where = world, 0, "when it was made"
        self._begin()
        self.spaces = Spaces.of(self.env)
        self._shape, self._vector = self.spaces.shape, self.spaces.rewards
        self._costs, self._native = world.costs, self.spaces.native
        self._used = False

    def _begin(self) -> None:
        """Make the environment."""
        try:
            self.env = self.world.make()
        except FeasibleError:
            raise
        except Exception as error:
            self._failed(error)
        self._known = self.env.observation_space, self.env.action_space

    def reset(self, seed: int, where: str) -> Any:
        """Begin an episode and return the observation.

        Args:
            seed: Of the environment.
            where: Which copy and episode, for errors.
        """
        self.steps, self.where = 0, where
        if self.world.fresh and self._used:
            self.close()
            self._begin()
        self._used = True
        try:
            found = self.env.reset(seed=seed)
        except Exception as error:
            self._failed(error)
        if not (isinstance(found, tuple) and len(found) == 2):
            self._wrong(f"reset returned {shown(found)}, expected (observation, info)")
        known = self._known
        if self.env.observation_space is not known[0] or self.env.action_space is not known[1]:
            now = Spaces.of(self.env)
            if now != self.spaces:
                self._wrong(f"its spaces changed: they were {self.spaces}, now {now}")
            self._known = self.env.observation_space, self.env.action_space
        return self._seen(found[0])

    def move(self, row: np.ndarray) -> Move:
        """Make a step.

        Args:
            row: The action, as `Spaces.clipped` gives it.

        Returns:
            Observation, reward, terminated, truncated and costs.
        """
        self.steps += 1
        action = self._native(row)
        try:
            found = self.env.step(action)
        except Exception as error:
            self._failed(error)
        try:
            obs, reward, terminated, truncated, info = found
        except (TypeError, ValueError):
            self._wrong(
                f"step returned {shown(found)}, expected (observation, reward, terminated, "
                "truncated, info)"
            )
        if not isinstance(info, dict):
            self._wrong(f"its info is {shown(info)}, expected a dict")
        if type(obs) is not np.ndarray or obs.shape != self._shape:
            obs = self._seen(obs)
        try:
            value = np.asarray(reward, dtype=float) if self._vector else float(reward)
        except (TypeError, ValueError):
            self._wrong(f"its reward is {shown(reward)}, expected a number")
        if self._vector and value.shape != (self._vector,):  # type: ignore[union-attr]
            self._wrong(f"its reward is {shown(reward)}, expected {self._vector} numbers")
        cost = self._cost(obs, action, info) if self._costs else NO_COST
        ended = bool(terminated)
        cut = bool(truncated) or (not ended and self.steps >= self.world.max_steps)
        return obs, value, ended, cut, cost

    def _cost(self, obs: Any, action: Any, info: dict[str, Any]) -> Float[np.ndarray, " c"]:
        """Return the costs of a step."""
        found = np.empty(len(self._costs))
        for j, (name, function) in enumerate(self._costs):
            if function is None and name not in info:
                self._wrong(
                    f"its info has no {name!r} (it has {', '.join(map(repr, info)) or 'nothing'}), "
                    "which is limited: give costs={...} a function of (obs, action, info)"
                )
            try:
                found[j] = info[name] if function is None else function(obs, action, info)
            except Exception as error:
                self._failed(error)
        return found

    def _seen(self, obs: Any) -> Any:
        """Return an observation after a look at its shape."""
        shape = obs.shape if isinstance(obs, np.ndarray) else np.shape(obs)
        if shape != self._shape:
            self._wrong(f"its observation has shape {shape}, expected {self._shape}")
        return obs

    def _failed(self, error: Exception) -> NoReturn:
        """Raise what the environment raised, with where."""
        failure = Failure.of(error)
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise EnvironmentFailed(
            said,
            message=f"environment '{self.world.name}', {self._at()}: {said}",
            line=failure.line,
            trace=failure.trace,
        ) from error

    def _wrong(self, what: str) -> NoReturn:
        """Raise what an environment may not do, with where."""
        raise EnvironmentFailed(
            what, message=f"environment '{self.world.name}', {self._at()}: {what}"
        )

    def _at(self) -> str:
        return f"{self.where}, step {self.steps}" if self.steps else self.where

    def close(self) -> None:
        """Close the environment."""
        with suppress(Exception):
            self.env.close()


class Streamed(Here):
    """One that draws from global random streams: it has them to itself, from its episode's seed."""

    def reset(self, seed: int, where: str) -> Any:
        """Begin an episode; see `Here.reset`."""
        outside = random.getstate(), np.random.get_state()
        random.seed(seed)
        np.random.seed(seed)
        try:
            return super().reset(seed, where)
        finally:
            self._swap(outside)

    def move(self, row: np.ndarray) -> Move:
        """Make a step; see `Here.move`."""
        outside = random.getstate(), np.random.get_state()
        random.setstate(self._inside[0])
        np.random.set_state(self._inside[1])
        try:
            return super().move(row)
        finally:
            self._swap(outside)

    def _swap(self, outside: tuple[Any, Any]) -> None:
        """Keep the streams as the environment left them, and put back what was outside."""
        self._inside = random.getstate(), np.random.get_state()
        random.setstate(outside[0])
        np.random.set_state(outside[1])


class Elsewhere:
    """An environment in a process of its own, which may hang or die without harm."""

    def __init__(self, world: World):
        self.world, self.where, self.steps = world, "when it was made", 0
        self._child = Child(partial(_played, world, []), world.timeout)
        self.spaces = self._asked(None)

    def reset(self, seed: int, where: str) -> Any:
        """Begin an episode there; see `Here.reset`."""
        self.where, self.steps = where, 0
        return self._asked((seed, where))

    def move(self, row: np.ndarray) -> Move:
        """Make a step there; see `Here.move`."""
        self.steps += 1
        return self._asked(row)

    def _asked(self, message: Any) -> Any:
        try:
            return self._child.ask(message)
        except ChildLost as lost:
            at = f"{self.where}, step {self.steps}" if self.steps else self.where
            raise EnvironmentFailed(
                str(lost), message=f"environment '{self.world.name}', {at}: {lost}"
            ) from None

    def close(self) -> None:
        """End the process."""
        self._child.close()


def _played(world: World, held: list[Here], message: Any) -> Any:
    """Answer a message of `Elsewhere` there: make the environment, begin an episode, or step."""
    if message is None:
        held.append(world.here())
        return held[0].spaces
    return held[0].reset(*message) if isinstance(message, tuple) else held[0].move(message)


def finite(*values: Any) -> bool:
    """True where all numbers are finite."""
    return all(
        math.isfinite(v) if isinstance(v, float) else bool(np.isfinite(v).all()) for v in values
    )
