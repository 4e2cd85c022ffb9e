"""The two baselines without a memory: uniform random points, and SciPy's scrambled Sobol sequence.

Use them as yardsticks: a method that is not better than these has learned nothing. Every point
depends on the run's seed and its own number only, so that it does not matter who asks, or how many
at once. A design x0 of the user's is tried first.

References:
    A. B. Owen, Scrambling Sobol' and Niederreiter-Xing points, J. Complexity 14 (1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import whole
from ..asktell import AskTell, Proposals
from ..sampling import FORBIDDEN, draw, first_start, seed_from, sobol_block

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...core.ledger import Observations
    from ..problem import BlackBox

BLOCK = 64
"""Proposals that share one random stream of RandomSearch."""


@dataclass(slots=True)
class Searching:
    """How far a search has come.

    Attributes:
        seed: Seed of all streams.
        points: (k, d) the present block (random search), or the beginning of the sequence (Sobol).
        block: Number of the present block; -1 before the first.
        number: Proposals made.
        cursor: Points of the sequence looked at (Sobol).
    """

    seed: int
    points: Float[np.ndarray, "k d"]
    block: int = -1
    number: int = 0
    cursor: int = 0


@dataclass(frozen=True)
class RandomSearch(AskTell):
    """Independent uniform points of the box that the known constraints allow.

    Attributes:
        batch: Points in one step.
    """

    avoids: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    name: ClassVar[str] = "random-search"
    several: ClassVar[bool] = True
    batch: int = 1

    def __post_init__(self) -> None:
        whole("batch", self.batch, least=1)

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Searching:
        """Draw the seed of all streams."""
        problem.space.needs_bounds(self.name)
        return Searching(seed_from(rng), np.empty((0, problem.space.d)))

    def ask(self, problem: BlackBox, state: Searching, n: int | None = None) -> Proposals:
        """The next n points (`batch` where n is None)."""
        rows = [self._point(problem, state) for _ in range(self.batch if n is None else n)]
        return Proposals.of(np.array(rows).reshape(-1, problem.space.d))

    def _point(self, problem: BlackBox, state: Searching) -> np.ndarray:
        number, space = state.number, problem.space
        state.number += 1
        if number == 0 and (start := first_start(problem)) is not None:
            return start
        block, row = divmod(number, BLOCK)
        if block != state.block:
            state.points = space.sample(
                np.random.default_rng([state.seed, block]).random((BLOCK, space.d))
            )
            state.block = block
        x = state.points[row]
        if problem.known is not None and not problem.known(x[None])[0]:
            x = draw(problem, np.random.default_rng([state.seed, block, row]))[0]
        return x

    def tell(self, problem: BlackBox, state: Searching, seen: Observations) -> None:
        """Nothing is learned."""


@dataclass(frozen=True)
class SobolSearch(RandomSearch):
    """The points of a scrambled Sobol sequence that the known constraints allow, in order."""

    name: ClassVar[str] = "sobol-search"

    def _point(self, problem: BlackBox, state: Searching) -> np.ndarray:
        number = state.number
        state.number += 1
        if number == 0 and (start := first_start(problem)) is not None:
            return start
        since = state.cursor
        while True:
            if state.cursor >= len(state.points):
                size = max(2 * BLOCK, 2 * len(state.points))
                state.points = sobol_block(problem, state.seed, size)
            x = state.points[state.cursor]
            state.cursor += 1
            if problem.known is None or problem.known(x[None])[0]:
                return x
            if state.cursor - since > FORBIDDEN:
                return draw(problem, np.random.default_rng([state.seed, number]))[0]
