"""Horizon: stages one after the other, and their linear programs, kept between solves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.budget import Resource, spend
from ..core.cached import Cached
from ..core.checks import floats
from ..core.errors import ArgumentError, NotFinite, ShapeError
from .heads import successive
from .lp import NoSolution
from .stage import Stage
from .window import Penalty, Projected, Window

if TYPE_CHECKING:
    from jaxtyping import Float

Resource("stage_problems", "stage problems solved; a program over T stages counts as T")


def largest_cost(stages: Sequence[Stage]) -> float:
    """Return the largest size of a cost; 1 where there is none."""
    return max(float(np.abs(s.cost).max()) for s in stages) or 1.0


class Horizon(Cached):
    """What a method and a policy may use of a multistage problem.

    Attributes:
        name: Of the problem.
        stages: T stages.
        initial_state: (k,) the state before the first.
        sampler: What draws paths to train on; None: the pools.
        lower_bound: Below every cost of the stages after the first; None: it is worked out.
        T: Stages.
        k: States.
        d: Components of the noise.
    """

    name: str
    stages: Sequence[Stage]
    initial_state: Any
    sampler: Callable[[int, np.random.Generator], Any] | None
    lower_bound: float | None
    T: int
    k: int
    d: int

    # -- paths -------------------------------------------------------------------------------------

    def paths_of(self, name: str, value: Any) -> Float[np.ndarray, "n T d"]:
        """Return paths. Raises ShapeError, NotFinite."""
        found = floats(name, value)
        if found.ndim != 3 or found.shape[1:] != (self.T, self.d) or not len(found):
            raise ShapeError(
                f"{name} has shape {found.shape}: expected (paths, {self.T}, {self.d})"
            )
        bad = np.argwhere(~np.isfinite(found))
        if len(bad):
            path, t, i = bad[0]
            raise NotFinite(
                f"{name} has a NaN or an infinity in path {path}, stage {t}, component {i}"
            )
        return found.astype(float)

    def draw(self, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n T d"]:
        """Return n paths to train on: of the sampler, or of the pools.

        Args:
            n: Paths.
            rng: The random stream.

        Raises:
            ShapeError: The sampler's paths do not fit.
            NotFinite: They hold a NaN.
        """
        if self.sampler is not None:
            return self.paths_of("sampler", self.sampler(n, rng))
        return self.draw_pools(n, rng)

    def draw_pools(self, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n T d"]:
        """Return n paths of independent stages, drawn from the pools."""
        sizes = [len(s.noise) for s in self.stages]
        if len(set(sizes)) == 1 and all(np.ptp(s.probability) == 0 for s in self.stages):
            rows = rng.integers(0, sizes[0], size=(n, self.T))
        else:
            laws = [s.probability for s in self.stages]
            rows = np.stack([rng.choice(len(law), n, p=law) for law in laws], axis=1)
        return np.stack([s.noise[rows[:, t]] for t, s in enumerate(self.stages)], axis=1)

    @cached_property
    def mean_noise(self) -> Float[np.ndarray, "T d"]:
        """The mean of each stage's noise."""
        return np.array([s.mean for s in self.stages])

    # -- what a method may use ---------------------------------------------------------------------

    def window(
        self, first: int, length: int, penalty: Penalty | None = None, user: str = "judge"
    ) -> Window:
        """Return the linear program of consecutive stages, kept between solves.

        Args:
            first: Number of the first stage.
            length: Stages.
            penalty: What a missed target costs; None: without targets.
            user: Who solves it, so that nobody changes another's.
        """
        form = None if penalty is None else (penalty.strict, bool(penalty.square))

        def make() -> Window:
            found = Window(self.stages[first : first + length], penalty is not None, penalty)
            self.anchor(found, first, length)
            return found

        found: Window = self.cached(("window", user, first, length, form), make)
        if penalty is not None:
            found.set_penalty(penalty)
        return found

    def anchor(self, window: Window, first: int, length: int) -> None:
        """Solve a window for the mean noise, so that all its solves begin at that basis; at none
        where it has no solution there.
        """
        targets = None
        if window.targets:
            targets = np.tile(self.initial_state, (length, 1))
        window.place(self.initial_state, self.mean_noise[first : first + length], targets)
        try:
            window.model.solve()
        except NoSolution:
            return
        window.model.anchor()

    def solve_window(
        self,
        window: Window,
        start: Float[np.ndarray, " k"],
        noise: Float[np.ndarray, "W d"],
        targets: Float[np.ndarray, "W k"] | None = None,
    ) -> Projected:
        """Solve a window, charged. Raises as `successive`."""
        spend(stage_problems=len(window.stages))
        return successive(window, start, noise, targets)

    @cached_property
    def largest_cost(self) -> float:
        """The largest size of a coefficient of the objective."""
        return largest_cost(self.stages)

    def cost_floor(self, t: int) -> float:
        """Return a number that no cost of the stages after t is below.

        Raises:
            ArgumentError: A column with a cost has no bound on its cheap side, and no lower_bound
                was given.
        """
        if self.lower_bound is not None:
            return self.lower_bound if t < self.T - 1 else 0.0
        least = 0.0
        for stage in self.stages[t + 1 :]:
            ends = np.where(stage.cost > 0, stage.lower, stage.upper)
            used = stage.cost != 0
            least += float(stage.cost[used] @ ends[used])
        if not np.isfinite(least):
            raise ArgumentError(
                "lower_bound=None: a column with a cost has no limit on its cheap side, so give a "
                "number below every cost of the stages after the first"
            )
        return least

    @property
    def convex(self) -> bool:
        """True if no coefficient depends on the state."""
        return not any(s.heads for s in self.stages)

    @cached_property
    def scale(self) -> Float[np.ndarray, "T k"]:
        """The size of each state: its range where it has two bounds, else 1 + |its start|."""
        rows = []
        for s in self.stages:
            span = s.upper[s.states] - s.lower[s.states]
            rows.append(
                np.where(np.isfinite(span) & (span > 0), span, 1 + np.abs(self.initial_state))
            )
        return np.array(rows)
