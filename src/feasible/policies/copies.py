"""Copies of an environment: stepped one after the other, paid for before each step, and brought
back by replaying each episode's actions from its seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.budget import active_meter
from ..core.errors import BudgetExhausted, CheckpointError, ShapeError
from ..core.warning import warn
from .errors import NotANumber, ReplayWarning
from .world import Place, World

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(slots=True)
class Moves:
    """What a step of all copies brought.

    Attributes:
        count: Copies that moved, the first ones: fewer than all only where the budget ends.
        obs: (n, ...) where each copy stands now, after its reset where an episode ended.
        final: (n, ...) where the step led: the last observation of an episode that ended.
        reward: (n,) or (n, m); 0 of copies that did not move.
        cost: (n, c) in the order of the limits.
        terminated: (n,) the episode ended, and nothing comes after.
        truncated: (n,) the episode was cut, and would have gone on.
        ended: (copy, return (m,), costs (c,), length) of each episode that ended.
    """

    count: int
    obs: Any
    final: Any
    reward: Float[np.ndarray, "n ..."]
    cost: Float[np.ndarray, "n c"]
    terminated: Bool[np.ndarray, " n"]
    truncated: Bool[np.ndarray, " n"]
    ended: list[tuple[int, Float[np.ndarray, " m"], Float[np.ndarray, " c"], int]]


class Alive:
    """What of the copies is no data.

    Attributes:
        world: How an environment is made.
        places: The live environments; none before they are needed.
        held: The list of actions that led them to where they are.
    """

    world: World
    places: list[Place]
    held: Any


@dataclass
class Copies(Alive):
    """Environments that a method learns from, as plain data: it is part of a method's state.

    The environments themselves are made when they are first needed. Where the data says another
    place than they are at, as after a checkpoint was read, each is reset with its episode's seed
    and given the episode's actions again, which is not charged.

    Attributes:
        said: The spaces, for a checkpoint that is read for another environment.
        key: From which the seed of every episode derives.
        episode: (n,) number of each copy's episode.
        length: (n,) steps of it so far.
        taken: (n, longest, a) its actions, as `Spaces.clipped` gives them.
        obs: (n, ...) where each copy stands.
        sums: (n, m) rewards of the episode so far.
        costs: (n, c) costs of it.
    """

    said: str
    key: int
    episode: Int[np.ndarray, " n"]
    length: Int[np.ndarray, " n"]
    taken: np.ndarray
    obs: np.ndarray
    sums: Float[np.ndarray, "n m"]
    costs: Float[np.ndarray, "n c"]

    @classmethod
    def opened(cls, world: World, n: int, key: int) -> Copies:
        """Copies at the beginning of their first episodes.

        Args:
            world: How an environment is made.
            n: How many.
            key: From which the seeds derive.
        """
        places = [world.place() for _ in range(n)]
        spaces = places[0].spaces
        for place in places[1:]:
            spaces.check(place.spaces, f"a copy of environment '{world.name}'")
        found = cls(
            str(spaces),
            key,
            np.zeros(n, dtype=np.int64),
            np.zeros(n, dtype=np.int64),
            np.zeros((n, 64, spaces.width), dtype=np.int64 if spaces.actions else np.float32),
            np.zeros((n, *spaces.shape), dtype=np.int64 if spaces.states else np.float32),
            np.zeros((n, spaces.rewards or 1)),
            np.zeros((n, len(world.costs))),
        )
        found.world, found.places, found.held = world, places, found.taken
        for i in range(n):
            found.obs[i] = found._reset(i)
        found._check(found.obs)
        return found

    def __len__(self) -> int:
        return len(self.episode)

    def step(self, actions: Any) -> Moves:
        """Make a transition in each copy, each charged before it is made.

        An episode that ends is followed by the next at once. Where the budget ends between two
        copies, the first ones move and the others stay; where nothing is left, nothing moves.

        Args:
            actions: (n,) or (n, a); numbers count from 0, others are clipped to their bounds.

        Raises:
            BudgetExhausted: Not one transition is left.
            EnvironmentFailed: An environment raised, returned what it must not, hung or died.
            NotANumber: An observation, reward or cost is NaN or infinite.
        """
        self._settle()
        n, spaces = len(self), self.places[0].spaces
        rows = spaces.clipped(actions)
        if len(rows) != n:
            raise ShapeError(f"actions: {len(rows)} rows, expected one for each of {n} copies")
        reward, cost = np.zeros(self.sums.shape), np.zeros(self.costs.shape)
        terminated, truncated = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        final, count, over = self.obs.copy(), 0, []
        meter, costly = active_meter.get(), bool(self.costs.shape[1])
        self._room()
        for i, place in enumerate(self.places):
            if meter is not None:
                try:
                    meter.charge("env_steps", 1)
                except BudgetExhausted:
                    if i == 0:
                        raise
                    break
            final[i], reward[i], ends, cuts, paid = place.move(rows[i])
            count += 1
            if ends or cuts:
                terminated[i], truncated[i] = ends, cuts
                over.append(i)
            if costly:
                cost[i] = paid
        self.taken[np.arange(count), self.length[:count]] = rows[:count]
        self.length[:count] += 1
        self.sums += reward
        if costly:
            self.costs += cost
            self._check(final, reward, cost)
        else:
            self._check(final, reward)
        self.obs, ended = final.copy(), []
        for i in over:
            ended.append((i, self.sums[i].copy(), self.costs[i].copy(), int(self.length[i])))
            self.episode[i] += 1
            self.length[i], self.sums[i], self.costs[i] = 0, 0, 0
            self.obs[i] = self._reset(i)
        if ended:
            self._check(self.obs)
        if spaces.rewards == 0:
            reward = reward[:, 0]
        return Moves(count, self.obs, final, reward, cost, terminated, truncated, ended)

    def close(self) -> None:
        """End the live environments; they are made anew where they are needed."""
        for place in self.__dict__.pop("places", ()):
            place.close()

    def _reset(self, i: int) -> Any:
        """Begin the episode that a copy is at."""
        episode = int(self.episode[i])
        seed = episode_seed(self.key, i, episode)
        return self.places[i].reset(seed, f"copy {i}, episode {episode}")

    def _room(self) -> None:
        """Make room for another action of each copy."""
        if max(self.length.tolist()) == self.taken.shape[1]:
            self.taken = np.concatenate((self.taken, np.zeros_like(self.taken)), axis=1)
            self.held = self.taken

    def _settle(self) -> None:
        """Bring the live environments to where the data says that they are."""
        if len(vars(self).get("places", ())) != len(self):  # of none, or of another checkpoint
            self.close()
            self.places = [self.world.place() for _ in range(len(self))]
            self.held = None
        if self.held is self.taken:
            return
        if self.said != str(self.places[0].spaces):
            raise CheckpointError(
                f"checkpoint: it is of an environment with {self.said}; '{self.world.name}' has "
                f"{self.places[0].spaces}"
            )
        for i, place in enumerate(self.places):
            seen = self._reset(i)
            for row in self.taken[i, : self.length[i]]:
                seen = place.move(row)[0]
            if not np.array_equal(np.asarray(seen, dtype=self.obs.dtype), self.obs[i]):
                warn(
                    f"environment '{self.world.name}', copy {i}, episode {self.episode[i]}: it was "
                    f"reset with the same seed and given the same {self.length[i]} actions, and "
                    "is somewhere else; a new episode begins there, so this run is not the "
                    "uninterrupted one. Where something outlives its reset, fresh=True helps",
                    ReplayWarning,
                )
                self.episode[i] += 1
                self.length[i], self.sums[i], self.costs[i] = 0, 0, 0
                self.obs[i] = self._reset(i)
        self.held = self.taken

    def _check(self, *values: np.ndarray) -> None:
        """Raise NotANumber where something is not finite, and say in which copy."""
        if math.isfinite(sum(np.add.reduce(array, axis=None) for array in values)):
            return  # a sum may overflow where no number is infinite: look closer
        for what, array in zip(("observation", "reward", "cost"), values, strict=False):
            wrong = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
            if wrong.any():
                i = int(np.flatnonzero(wrong)[0])
                at = f"copy {i}, episode {self.episode[i]}, step {self.length[i]}"
                said = f"its {what} is {array[i].tolist()}, expected finite numbers"
                raise NotANumber(said, message=f"environment '{self.world.name}', {at}: {said}")

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("places", "held")}


def episode_seed(key: int, copy: int, episode: int) -> int:
    """The seed of an episode: it depends on nothing else."""
    words = np.random.SeedSequence([key, copy, episode]).generate_state(1)
    return int(words[0] >> 1)
