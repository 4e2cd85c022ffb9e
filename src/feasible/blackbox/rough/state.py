"""What the search remembers, and how rows come in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core.ledger import FAILED, PENDING, Observations
from ..problem import BlackBox
from ..sampling import sizes_of, standard_errors

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

START, GLOBAL, LOCAL, AGAIN = range(4)
"""Kinds of proposals; the last one evaluates a row again, to see whether values repeat."""
RADIUS, WIDEST = 0.1, 0.25
"""First and largest half-width of the region of local steps, in units of the box."""
EDGE = 0.02, 0.2
"""Nothing is proposed within the first, in units of the box, of a failed point, later within the
second over the number of failures: so many failures mark an edge only so well.
"""
SAME = 1e-6
"""Values of one point that differ by more than this, in units of the values' spread, are noisy."""
STEEPER = 10.0
"""How much steeper than between any two rows the objective may be beside one of them."""
LARGEST = 1e100
"""Values are cut off here, so that their squares are numbers."""


class Open(NamedTuple):
    """A proposal that is out: point, kind, length of the step (local ones), row that it repeats.

    A tuple, because a checkpoint gives it back as one.
    """

    x: np.ndarray
    kind: int
    step: float
    row: int


@dataclass(slots=True)
class RobustState:
    """State of a search.

    Attributes:
        seed: Seed of the random streams, one for each proposal's number.
        x: (n, d) rows that were told.
        f: (n,) their objectives, NaN where there is none.
        g: (n, m) their constraints, <= 0 is allowed, NaN where unknown.
        failed: (n,) True where the evaluation failed.
        ids: (n,) their numbers in the ledger, -1 where they have none.
        noisy: Whether repeating an evaluation gives another value, as declared or as seen.
        first: Points of the first design.
        asked: Proposals so far.
        drawn: Points of the Sobol sequence that were looked at.
        pending: Proposals that are out, by tag.
        theta: Hyperparameters of the models, by what they model.
        warp: Number of the output warp.
        warped: Rows when it was chosen.
        fitted: Rows when hyperparameters were fitted.
        repeated: Rows when a row was last evaluated again.
        radius: Half-width of the region of local steps, in units of the box.
        worked: Whether the last local step led to the leading row.
        centre: (d,) the leading row when the region was last opened; empty before.
        error: (n,) standard errors of the objectives, NaN where none was told.
        size: (m,) what violations are measured in.
        ended: Why nothing new can be proposed; empty while something can.
    """

    seed: int
    x: Float[np.ndarray, "n d"]
    f: Float[np.ndarray, " n"]
    g: Float[np.ndarray, "n m"]
    failed: Bool[np.ndarray, " n"]
    ids: Int[np.ndarray, " n"]
    noisy: bool
    first: int
    asked: int = 0
    drawn: int = 0
    pending: dict[int, tuple[np.ndarray, int, float, int]] = field(default_factory=dict)
    theta: dict[str, np.ndarray] = field(default_factory=dict)
    warp: int = 0
    warped: int = -1
    fitted: int = -1
    repeated: int = 0
    radius: float = RADIUS
    worked: bool = True
    centre: np.ndarray = field(default_factory=lambda: np.empty(0))
    error: np.ndarray = field(default_factory=lambda: np.empty(0))
    size: np.ndarray = field(default_factory=lambda: np.empty(0))
    ended: str = ""

    @classmethod
    def empty(cls, problem: BlackBox, seed: int, first: int) -> RobustState:
        """The state before the first row."""
        nothing = np.empty(0)
        return cls(
            seed,
            np.empty((0, problem.space.d)),
            nothing,
            np.empty((0, 0)),
            nothing.astype(bool),
            nothing.astype(int),
            bool(problem.noise),
            first,
        )

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.f)

    @property
    def reach(self) -> float:
        """Distance from a failed row within which nothing is proposed, in units of the box."""
        return min(EDGE[0], EDGE[1] / max(int(self.failed.sum()), 1))

    def allowed(self, tolerance: float) -> Bool[np.ndarray, " n"]:
        """(n,) True for rows with an objective that keep to all limits."""
        return np.isfinite(self.f) & (self._sized() <= tolerance).all(axis=1)

    def _sized(self) -> Float[np.ndarray, "n m"]:
        """Return the constraints in the sizes of their limits."""
        return self.g / self.size if len(self.size) == self.g.shape[1] else self.g

    def best(self, tolerance: float) -> int:
        """The allowed row of least objective, -1 where there is none."""
        good = self.allowed(tolerance)
        return int(np.where(good, self.f, np.inf).argmin()) if good.any() else -1

    def leader(self, tolerance: float) -> int:
        """The best row; where none is allowed, the one that misses its limits least, of those with
        an objective; -1 where there is none.
        """
        best = self.best(tolerance)
        whole = np.isfinite(self.f) & np.isfinite(self.g).all(axis=1)
        if best >= 0 or not whole.any() or not self.g.shape[1]:
            return best
        over = np.maximum(self._sized(), 0).max(axis=1)
        return int(np.where(whole, over, np.inf).argmin())

    def spread(self) -> float:
        """A scale of the objective: the distance from its median that a tenth of the rows exceed,
        or 1. Most rows may lie at one point and its differences.
        """
        f = self.f[np.isfinite(self.f)]
        away = np.abs(f - np.median(f)) if len(f) else f
        return float(np.quantile(away, 0.9) or away.max() or 1.0) if len(f) else 1.0


def take(problem: BlackBox, state: RobustState, seen: Observations) -> None:
    """Add rows; a row that is known by its number is corrected. Abandoned and open ones are left
    out. Rows of proposals come first, then those that nobody asked for, all at once.
    """
    m = seen.constraints.shape[1]
    if state.g.shape[1] != m:
        state.g = np.full((state.n, m), np.nan)
    state.size = sizes_of(seen)
    errors = standard_errors(problem, seen)
    state.noisy |= bool((errors > 0).any())  # values with an error do not repeat
    known = set(state.ids[state.ids >= 0].tolist())
    strangers = []
    for i, tag in enumerate(seen.tag.tolist()):
        popped = state.pending.pop(tag, None)
        one = None if popped is None else Open(*popped)
        if seen.status[i] == PENDING or seen.reason.get(i) == "abandoned":
            continue
        number = int(seen.id[i])
        if one is None and number not in known:
            strangers.append(i)
            continue
        before = state.leader(problem.tolerance)
        if number in known:
            at = int(np.flatnonzero(state.ids == number)[0])
        else:
            at = state.n
            _append(state, 1)
        _write(state, slice(at, at + 1), seen, [i], errors)
        _notice_noise(state, at, one)
        _open_region(problem, state, before, at, one)
    if strangers:
        before, at = state.leader(problem.tolerance), state.n
        _append(state, len(strangers))
        _write(state, slice(at, state.n), seen, strangers, errors)
        _notice_twins(state)
        _open_region(problem, state, before, -1, None)


def _append(state: RobustState, k: int) -> None:
    """Make room for k rows at the end."""
    state.x = np.vstack([state.x, np.zeros((k, state.x.shape[1]))])
    state.f, state.failed = np.append(state.f, np.zeros(k)), np.append(state.failed, [False] * k)
    state.g = np.vstack([state.g, np.zeros((k, state.g.shape[1]))])
    state.ids = np.append(state.ids, np.full(k, -1))
    state.error = np.append(state.error, np.full(state.n - len(state.error), np.nan))


def _write(
    state: RobustState, at: slice, seen: Observations, rows: list[int], errors: np.ndarray
) -> None:
    """Write rows to their places; values are cut off where their squares would be no numbers."""
    state.x[at] = seen.x[rows]
    state.f[at] = np.clip(seen.objective[rows], -LARGEST, LARGEST)
    state.g[at] = np.clip(seen.constraints[rows], -LARGEST, LARGEST)
    state.failed[at] = seen.status[rows] == FAILED
    state.ids[at] = seen.id[rows]
    state.error[at] = errors[rows]


def _notice_twins(state: RobustState) -> None:
    """See whether two rows at one point have different values."""
    if state.noisy:
        return
    first: dict[bytes, float] = {}
    unit = SAME * state.spread()
    for point, value in zip(state.x, state.f.tolist(), strict=True):
        if math.isfinite(value):
            state.noisy |= abs(first.setdefault(point.tobytes(), value) - value) > unit


def _notice_noise(state: RobustState, at: int, one: Open | None) -> None:
    """See whether a row has another value than one at the same point."""
    if state.noisy or not math.isfinite(state.f[at]):
        return
    same, slope = (state.x == state.x[at]).all(axis=1), 0.0
    with np.errstate(all="ignore"):
        if one is not None and one.kind == AGAIN:  # beside it: the slopes that are known may show
            same[one.row] = True
            rise = np.abs(state.f - state.f[one.row])
            rise /= np.linalg.norm(state.x - state.x[one.row], axis=1)
            others = np.isfinite(rise) & ~same
            others[at] = False
            slope = STEEPER * float(rise[others].max(initial=0.0))
        gap = np.linalg.norm(state.x[same] - state.x[at], axis=1)
        away = np.abs(state.f[same] - state.f[at]) - slope * gap
    away = away[np.isfinite(away)]
    state.noisy = bool(len(away) and away.max() > SAME * state.spread())


def _open_region(
    problem: BlackBox, state: RobustState, before: int, at: int, one: Open | None
) -> None:
    """Adapt the region of local steps to the outcome of one, or move it to a new leading row."""
    now = state.leader(problem.tolerance)
    if one is not None and one.kind == LOCAL:
        state.worked = now == at
        if state.worked:
            state.radius = min(WIDEST, max(2 * one.step, state.radius / 2))
        else:
            state.radius *= 0.7 if state.failed[at] else 1 / 3
    if now < 0 or now == before:
        return
    whole = problem.space.integer
    if not len(state.centre) or (state.x[now] != state.centre)[whole].any():
        state.radius, state.centre = RADIUS, state.x[now].copy()


__all__ = ["AGAIN", "GLOBAL", "LOCAL", "START", "Open", "RobustState", "take"]
