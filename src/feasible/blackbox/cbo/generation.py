"""Batches of points that are evaluated together: handing them out, and taking their outcomes partly
and in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import NothingAllowed
from ...core.ledger import Observations
from ..asktell import Proposals
from ..problem import BlackBox
from ..space import sample_allowed
from .consensus import Kind, Walls

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class Generation:
    """The points under evaluation and what is known of them.

    Attributes:
        x: (n, d) as proposed.
        objective: (n,) NaN where missing.
        constraints: (n, m) NaN where missing.
        told: (n,) which rows have come back.
        first: Tag of row 0.
        fresh: The next tag never given.
        handed: Rows given out.
        waiting: Rows not yet told.
        guests: (k, d) points that somebody else chose, and spare proposals, until the generation is
            complete.
        guest_objective: (k,) their objectives.
        guest_constraints: (k, m) their constraints.
    """

    x: Float[np.ndarray, "n d"]
    objective: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    constraints: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    told: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))
    first: int = 0
    fresh: int = 0
    handed: int = 0
    waiting: int = 0
    guests: Float[np.ndarray, "k d"] = field(default_factory=lambda: np.empty((0, 0)))
    guest_objective: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    guest_constraints: Float[np.ndarray, "k m"] = field(default_factory=lambda: np.empty((0, 0)))

    def renew(self, x: Float[np.ndarray, "n d"]) -> None:
        """Start over with these points."""
        n = len(x)
        self.x, self.first, self.handed, self.waiting = x, self.fresh, 0, n
        self.fresh += n
        if len(self.told) != n:
            self.told = np.zeros(n, dtype=bool)
        else:
            self.told[:] = False

    def hand_out(
        self, n: int | None, spare: Callable[[int], Float[np.ndarray, "k d"]]
    ) -> Proposals:
        """The next points that nobody has yet; once all are given out, spare ones.

        Args:
            n: How many; None: all that are left.
            spare: Draws further points, by their number.
        """
        left = len(self.x) - self.handed
        k = (left or 1) if n is None else min(n, left)
        start = self.handed
        self.handed += min(k, left)
        x = (
            self.x if k == len(self.x) else self.x[start : self.handed]
        )  # the very array, which is known to be inside the box
        own = Proposals(x, np.arange(self.first + start, self.first + self.handed))
        extra = max((n or 1) - left, 0) if n is not None else int(left == 0)
        if not extra:
            return own
        tags = np.arange(self.fresh, self.fresh + extra)
        self.fresh += extra
        return Proposals(np.concatenate([own.x, spare(extra)]), np.concatenate([own.tag, tags]))

    def take_in(self, seen: Observations) -> bool:
        """Take outcomes; True when every point of the generation has come back."""
        n, k = len(self.x), len(seen)
        if (
            k == n == self.waiting
            and seen.tag[0] == self.first
            and (k == 1 or (seen.tag[1:] - seen.tag[:-1] == 1).all())
        ):
            self.objective, self.constraints, self.waiting = seen.objective, seen.constraints, 0
            return True
        if not k:
            return False
        m = seen.constraints.shape[1]
        if self.waiting == n or self.constraints.shape[1] != m:
            self.constraints = _columns(self.constraints, n, m, keep=self.waiting < n)
        if self.waiting == n:
            self.objective = np.full(n, np.nan)
        row = seen.tag - self.first
        own = (seen.tag >= self.first) & (row < n)
        self.objective[row[own]] = seen.objective[own]
        self.constraints[row[own]] = seen.constraints[own]
        self.told[row[own]] = True
        self.waiting = n - int(np.count_nonzero(self.told))
        guest = ~own & ~np.isnan(seen.objective)
        if guest.any():
            old = len(self.guests)
            self.guests = np.concatenate([self.guests.reshape(old, self.x.shape[1]), seen.x[guest]])
            self.guest_objective = np.concatenate([self.guest_objective, seen.objective[guest]])
            self.guest_constraints = np.concatenate(
                [_columns(self.guest_constraints, old, m, keep=True), seen.constraints[guest]]
            )
        return self.waiting == 0

    def forget_guests(self) -> None:
        """Drop the guests."""
        d, m = self.guests.shape[1], self.guest_constraints.shape[1]
        self.guests, self.guest_objective, self.guest_constraints = (
            np.empty((0, d)),
            np.empty(0),
            np.empty((0, m)),
        )


def _columns(table: np.ndarray, n: int, m: int, *, keep: bool) -> np.ndarray:
    """Return a table of another shape, NaN where it is new."""
    wide = np.full((n, m), np.nan)
    if keep:
        common = min(m, table.shape[1])
        wide[:, :common] = table[:n, :common]
    return wide


@dataclass(slots=True)
class Running:
    """The state of a run.

    Attributes:
        cloud: The moving part: a Cloud, a Hopper or a Walker.
        generation: The points that are out for evaluation.
        spare: The stream of spare proposals.
    """

    cloud: Any
    generation: Generation
    spare: np.random.Generator


# -- the particles' own coordinates ----------------------------------------------------------------


def points_of(
    problem: BlackBox, u: Float[np.ndarray, "n d"], scaled: bool
) -> Float[np.ndarray, "n d"]:
    """Points of the problem from coordinates of the method: the unit cube where `scaled`, else the
    problem's own.
    """
    return problem.space.from_unit(u) if scaled else problem.space.snap(u)


def coordinates_of(
    problem: BlackBox, x: Float[np.ndarray, "n d"], scaled: bool
) -> Float[np.ndarray, "n d"]:
    """The inverse of `points_of`."""
    return problem.space.unit(x) if scaled else np.array(x, dtype=float)


def walls_of(problem: BlackBox, scaled: bool, kind: Kind = "clip") -> Walls:
    """The box and the known constraints in the method's coordinates."""
    known = problem.known
    allowed = None if known is None else lambda u: known(points_of(problem, u, scaled))
    if scaled:
        return Walls(0.0, 1.0, kind, allowed)
    return Walls(problem.space.low, problem.space.high, kind, allowed)


def first_cloud(
    problem: BlackBox, n: int, rng: np.random.Generator, spread: float | None
) -> Float[np.ndarray, "n d"]:
    """Allowed points to start from.

    Args:
        problem: The problem.
        n: How many.
        rng: Of the draws.
        spread: None in a bounded box: uniform in it, problem.x0 (if given and allowed) being the
            first. Otherwise normal about problem.x0 (else the middle of the box, 0 where it is
            open) with this standard deviation (None: 1), in the problem's units.

    Raises:
        NothingAllowed: (Almost) no point about x0 is allowed.
    """
    space, known = problem.space, problem.known
    if spread is None and space.bounded:
        x = np.array(sample_allowed(space, known, n, lambda k: rng.random((k, space.d))))
        if problem.x0 is not None and (known is None or known(problem.x0[None])[0]):
            x[0] = problem.x0
        return x
    center = start_of(problem, rng)
    kept: list[np.ndarray] = []
    got = tried = 0
    while got < n:
        x = space.snap(
            center + (1.0 if spread is None else spread) * rng.standard_normal((n, space.d))
        )
        good = x if known is None else x[known(x)]
        kept.append(good)
        got, tried = got + len(good), tried + n
        if got < 1e-4 * tried and tried >= 50_000:
            raise NothingAllowed(
                f"known: only {got} of {tried} points about {center.tolist()} are allowed; give "
                "another x0, or a smaller spread"
            )
    return np.concatenate(kept)[:n]


def start_of(problem: BlackBox, rng: np.random.Generator) -> Float[np.ndarray, " d"]:
    """problem.x0, else the middle of the box (0, moved into the bounds, where it is open); a random
    point where that is forbidden.
    """
    low, high, known = problem.space.low, problem.space.high, problem.known
    finite = np.isfinite(low) & np.isfinite(high)
    middle = np.where(finite, 0.5 * (np.where(finite, low, 0.0) + np.where(finite, high, 0.0)), 0.0)
    x = problem.space.snap(middle[None]) if problem.x0 is None else problem.x0[None].copy()
    if known is not None and not known(x)[0] and problem.space.bounded:
        x = sample_allowed(problem.space, known, 1, lambda k: rng.random((k, problem.space.d)))
    return x[0]
