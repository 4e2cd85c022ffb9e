"""Which machine each operation of a shop needs, as flat arrays; times counted in ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import real
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MOST = 2**52
"""Largest time, in ticks: sums of times stay whole numbers as floats too."""


@dataclass(frozen=True)
class Routes:
    """The operations of all jobs, one after the other.

    Attributes:
        first: (jobs + 1,) where each job's operations begin.
        machine: (ops,) number of each operation's machine.
        names: Of the machines.
    """

    first: Int[np.ndarray, " jobs+1"]
    machine: Int[np.ndarray, " ops"]
    names: tuple[str, ...]

    @property
    def n(self) -> int:
        """Number of jobs."""
        return len(self.first) - 1

    @property
    def job(self) -> Int[np.ndarray, " ops"]:
        """(ops,) the job of each operation."""
        return np.repeat(np.arange(self.n), np.diff(self.first))

    @property
    def place(self) -> Int[np.ndarray, " ops"]:
        """(ops,) the number of each operation in its job, from 0."""
        return np.arange(len(self.machine)) - self.first[self.job]

    @property
    def last(self) -> Int[np.ndarray, " jobs"]:
        """(jobs,) the last operation of each job."""
        return self.first[1:] - 1


def label(routes: Routes, jobs: Sequence[str], k: int) -> str:
    """Name an operation: its job, its place and its machine."""
    j = int(np.searchsorted(routes.first, k, side="right")) - 1
    where = routes.names[routes.machine[k]]
    return f"job {jobs[j]} operation {k - routes.first[j]} (machine {where})"


def names_of(field: str, given: Any, n: int | None) -> tuple[str, ...]:
    """Return n names, all different, or as many as there are; numbers from 0 if none are given."""
    if given is None:
        return tuple(map(str, range(n or 0)))
    if (
        isinstance(given, str)
        or not isinstance(given, (Sequence, np.ndarray))
        or np.ndim(given) != 1
    ):
        raise ArgumentTypeError(f"{field}={given!r:.60}: expected a name for each")
    found = tuple(map(str, given))
    if n is not None and len(found) != n:
        raise ShapeError(f"{field} has {len(found)} names: expected {n}")
    if len(set(found)) < len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise ArgumentError(f"{field}: the name {twice!r} stands twice")
    return found


def rows_of(field: str, given: Any) -> list[np.ndarray]:
    """Return a table with a row for each job as a list of rows."""
    try:
        rows = [np.asarray(row) for row in given]
    except (TypeError, ValueError):
        rows = []
    if not rows or any(row.ndim != 1 for row in rows):
        raise ArgumentTypeError(f"{field}={given!r:.60}: expected a row for each job, one at least")
    return rows


def read_routes(
    machines: Any, durations: Any, names: Any
) -> tuple[Routes, Float[np.ndarray, " ops"]]:
    """Read which machine each operation needs, and for how long.

    Raises:
        ArgumentError: See `JobShop`.
        ShapeError: A job has more machines than durations, or fewer.
    """
    where, times = rows_of("machines", machines), rows_of("durations", durations)
    if len(where) != len(times):
        raise ShapeError(f"machines has {len(where)} rows, durations {len(times)}: one a job")
    for j, (row, took) in enumerate(zip(where, times, strict=True)):
        if len(row) != len(took):
            raise ShapeError(f"job {j} has {len(row)} machines and {len(took)} durations")
        if len(row) == 0:
            raise ArgumentError(f"job {j} has no operation: expected one at least")
    try:
        exact = np.concatenate(times).astype(float)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"durations={durations!r:.60}: expected numbers") from None
    first = np.concatenate([[0], np.cumsum([len(row) for row in where])]).astype(np.int64)
    numbers, known = _machines(np.concatenate(where), names)
    routes = Routes(first, numbers, known)
    jobs = tuple(map(str, range(routes.n)))
    if not np.isfinite(exact).all():
        k = int(np.flatnonzero(~np.isfinite(exact))[0])
        raise NotFinite(f"durations: {label(routes, jobs, k)} takes {exact[k]}: expected a number")
    if (exact < 0).any():
        k = int(exact.argmin())
        raise ArgumentError(
            f"durations: {label(routes, jobs, k)} takes {exact[k]:g}: expected a time >= 0"
        )
    return routes, exact


def _machines(flat: np.ndarray, names: Any) -> tuple[Int[np.ndarray, " ops"], tuple[str, ...]]:
    """Return the number of each operation's machine, and the machines' names."""
    if flat.dtype.kind in "US" or flat.dtype == object:
        given = [str(v) for v in flat]
        order = names_of(
            "machine_names", names if names is not None else list(dict.fromkeys(given)), None
        )
        number = {name: i for i, name in enumerate(order)}
        unknown = next((v for v in given if v not in number), None)
        if unknown is not None:
            raise ArgumentError(f"machines: {unknown!r:.40} is not among machine_names")
        return np.array([number[v] for v in given]), order
    if flat.dtype.kind not in "iuf" or (flat.dtype.kind == "f" and (flat % 1 != 0).any()):
        raise ArgumentTypeError(f"machines: expected whole numbers or names, got {flat.dtype}")
    found = flat.astype(np.int64)
    if found.min() < 0:
        raise ArgumentError(f"machines: got {found.min()}: expected numbers from 0")
    count = int(found.max()) + 1
    if names is not None:
        known = names_of("machine_names", names, None)
        if count > len(known):
            raise ArgumentError(
                f"machines: got {count - 1}: expected numbers below {len(known)}, the number of "
                "machine_names"
            )
        return found, known
    idle = np.setdiff1d(np.arange(min(count, len(found) + 1)), found)
    if len(idle):
        hint = "; are they numbered from 1?" if idle[0] == 0 else ""
        raise ArgumentError(
            f"machines: machine {idle[0]} has no operation: expected numbers from 0 without gaps, "
            f"or machine_names{hint}"
        )
    return found, names_of("machine_names", None, count)


def ticks(
    resolution: float | None,
    rounding: float,
    durations: Float[np.ndarray, " ops"],
    release: Float[np.ndarray, " jobs"],
    due: Float[np.ndarray, " jobs"],
) -> tuple[float, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Count times in whole units.

    Args:
        resolution: The unit; None: found.
        rounding: Largest error of one time.
        durations: (ops,).
        release: (jobs,).
        due: (jobs,); infinite where there is none.

    Returns:
        The unit; durations and release dates rounded up and due dates rounded down, in units, -1
        where there is no due date.

    Raises:
        ArgumentError: A time is no multiple of the unit.
    """
    dated = np.isfinite(due)
    given = {"durations": durations, "release": release, "due": due[dated]}
    if resolution is None:
        units = [10.0**-k for k in range(7)]
        fits = (u for u in units if all(_error(v, u).max(initial=0) == 0 for v in given.values()))
        unit = next(fits, None)
        if unit is None:
            raise ArgumentError(
                "durations: a time has more than 6 decimals; state the unit in which time is to be "
                "counted, resolution=..., and the error that you accept, rounding=..."
            )
    else:
        unit = real("resolution", resolution, above=0)
    for field, values in given.items():
        error = _error(values, unit)
        if error.max(initial=0) > rounding:
            k = int(error.argmax())
            raise ArgumentError(
                f"{field}: {values[k]:g} is no multiple of resolution={unit:g}; the error "
                f"{error[k]:.3g} is above rounding={rounding:g}"
            )
    if max(durations.sum() + release.max(), *due[dated], 0.0) / unit > MOST:
        raise ArgumentError(f"durations: their sum is above 2^52 units of resolution={unit:g}")
    up = [np.ceil(np.round(v / unit, 6)).astype(np.int64) for v in (durations, release)]
    down = np.full(len(due), -1, dtype=np.int64)
    down[dated] = np.floor(np.round(due[dated] / unit, 6))
    return unit, (up[0], up[1], down)


def _error(values: np.ndarray, unit: float) -> np.ndarray:
    """How far each time is from a multiple of the unit; 0 within the precision of floats."""
    scaled = values / unit
    away = np.abs(scaled - np.round(scaled))
    return np.where(away <= 1e-9 * np.maximum(1, np.abs(scaled)), 0.0, away * unit)
