"""Workloads laid out as arrays, for the compiled kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .domain import Domain

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class One:
    """One workload: either cells, or a halfspace by cells, or a conjunction of conditions.

    Attributes:
        axes: (column, bins) by axis.
        conditions: (column, low, high), one a column at most, true for low <= x < high: one value
            of a category, or everything below a number.
        halfspace: (slope by numeric column, offset), or None.
    """

    axes: tuple[tuple[int, int], ...] = ()
    conditions: tuple[tuple[int, float, float], ...] = ()
    halfspace: tuple[tuple[float, ...], float] | None = None

    @property
    def cells(self) -> int:
        """How many counts it has."""
        return math.prod(size for _, size in self.axes)


class Axes(NamedTuple):
    """The axes of all workloads, one workload after the other.

    Attributes:
        ptr: (w + 1,) workload i owns the axes ptr[i] to ptr[i + 1].
        col: (a,) columns.
        mult: (a,) the bin of x is floor(x mult).
        size: (a,) bins.
        stride: (a,) what a bin counts for in the number of a cell.
    """

    ptr: Int[np.ndarray, " w1"]
    col: Int[np.ndarray, " a"]
    mult: Float[np.ndarray, " a"]
    size: Int[np.ndarray, " a"]
    stride: Int[np.ndarray, " a"]


class Conditions(NamedTuple):
    """The conditions low <= x[col] < high of all workloads, one workload after the other.

    Attributes:
        ptr: (w + 1,) workload i owns the conditions ptr[i] to ptr[i + 1].
        col: (t,) columns.
        low: (t,) lower thresholds.
        high: (t,) upper thresholds.
    """

    ptr: Int[np.ndarray, " w1"]
    col: Int[np.ndarray, " t"]
    low: Float[np.ndarray, " t"]
    high: Float[np.ndarray, " t"]


class Planes(NamedTuple):
    """The halfspaces slope . x[numeric] > offset.

    Attributes:
        of: (w,) number of a workload's halfspace, -1 where it has none.
        slope: (h, dn) slopes.
        offset: (h,) offsets.
        numeric: (dn,) the numeric columns.
    """

    of: Int[np.ndarray, " w"]
    slope: Float[np.ndarray, "h dn"]
    offset: Float[np.ndarray, " h"]
    numeric: Int[np.ndarray, " dn"]


class Touched(NamedTuple):
    """The workloads without conditions that a change of a column may move.

    Attributes:
        ptr: (d + 1,) column j owns the entries ptr[j] to ptr[j + 1].
        workload: (e,) their numbers.
        uses: (w, d) the same for all workloads, those with conditions too.
    """

    ptr: Int[np.ndarray, " d1"]
    workload: Int[np.ndarray, " e"]
    uses: Bool[np.ndarray, "w d"]


class Keys(NamedTuple):
    """The conditions by column, sorted by threshold (numbers) or value - 0.5 (categories).

    Attributes:
        ptr: (d + 1,) column j owns the entries ptr[j] to ptr[j + 1].
        value: (t,) thresholds.
        workload: (t,) whose they are.
        number: (d,) True for numeric columns.
    """

    ptr: Int[np.ndarray, " d1"]
    value: Float[np.ndarray, " t"]
    workload: Int[np.ndarray, " t"]
    number: Bool[np.ndarray, " d"]


class Arrays(NamedTuple):
    """Workloads as the compiled kernels read them.

    Workload w owns the cells base[w] to base[w + 1]; a row is in at most one of them. A row x is in
    w if it meets w's conditions and lies in its halfspace; its cell is then the mixed-radix number
    of its bins on w's axes.
    """

    base: Int[np.ndarray, " w1"]
    axes: Axes
    conditions: Conditions
    planes: Planes
    touched: Touched
    keys: Keys


def _pointers(lengths: Sequence[int]) -> Int[np.ndarray, " n1"]:
    """Return where groups of these lengths begin and end."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def lay_out(ones: Sequence[One], domain: Domain) -> Arrays:
    """The arrays of some workloads."""
    conditions = [c for o in ones for c in o.conditions]
    owners = np.repeat(np.arange(len(ones)), [len(o.conditions) for o in ones])
    table = Conditions(
        ptr=_pointers([len(o.conditions) for o in ones]),
        col=np.array([c[0] for c in conditions], dtype=np.int64),
        low=np.array([c[1] for c in conditions], dtype=float),
        high=np.array([c[2] for c in conditions], dtype=float),
    )
    planes = _planes(ones, domain)
    return Arrays(
        base=_pointers([o.cells for o in ones]),
        axes=_axes(ones, domain),
        conditions=table,
        planes=planes,
        touched=_touched(ones, domain, planes.numeric, owners),
        keys=_keys(conditions, owners, domain),
    )


def _axes(ones: Sequence[One], domain: Domain) -> Axes:
    """Return the axes of all workloads; the last axis of a workload counts fastest."""
    axes = [a for o in ones for a in o.axes]
    strides = [
        math.prod(size for _, size in o.axes[i + 1 :]) for o in ones for i in range(len(o.axes))
    ]
    return Axes(
        ptr=_pointers([len(o.axes) for o in ones]),
        col=np.array([j for j, _ in axes], dtype=np.int64),
        mult=np.array([1.0 if domain.sizes[j] else size for j, size in axes], dtype=float),
        size=np.array([size for _, size in axes], dtype=np.int64),
        stride=np.array(strides, dtype=np.int64),
    )


def _planes(ones: Sequence[One], domain: Domain) -> Planes:
    """Return the halfspaces of all workloads."""
    halves = [o.halfspace for o in ones if o.halfspace is not None]
    nums = np.array(domain.numeric, dtype=np.int64)
    number = np.cumsum([o.halfspace is not None for o in ones]) - 1
    of = [number[w] if o.halfspace is not None else -1 for w, o in enumerate(ones)]
    return Planes(
        of=np.array(of, dtype=np.int64),
        slope=np.array([h[0] for h in halves], dtype=float).reshape(len(halves), len(nums)),
        offset=np.array([h[1] for h in halves], dtype=float),
        numeric=nums,
    )


def _touched(
    ones: Sequence[One],
    domain: Domain,
    nums: Int[np.ndarray, " dn"],
    owners: Int[np.ndarray, " t"],
) -> Touched:
    """Return which columns can move which workloads."""
    uses = np.zeros((len(ones), domain.d), dtype=bool)
    for w, o in enumerate(ones):
        uses[w, [j for j, _ in o.axes] + [c[0] for c in o.conditions]] = True
        if o.halfspace is not None:
            a, b = np.array(o.halfspace[0]), o.halfspace[1]
            if np.minimum(a, 0).sum() <= b + 1e-9 and np.maximum(a, 0).sum() >= b - 1e-9:
                uses[w, nums[a != 0]] = True
            elif np.maximum(a, 0).sum() < b:  # no point of the cube is beyond it: nothing can move
                uses[w] = False
    free = ~np.isin(np.arange(len(ones)), owners)
    by_column = [np.flatnonzero(uses[:, j] & free) for j in range(domain.d)]
    return Touched(
        ptr=_pointers([len(c) for c in by_column]),
        workload=np.concatenate(by_column).astype(np.int64),
        uses=uses,
    )


def _keys(
    conditions: Sequence[tuple[int, float, float]], owners: Int[np.ndarray, " t"], domain: Domain
) -> Keys:
    """Return the conditions of each column, sorted."""
    keys = [
        sorted(
            (c[2] if c[1] == -math.inf else c[1], int(w))
            for c, w in zip(conditions, owners, strict=True)
            if c[0] == j
        )
        for j in range(domain.d)
    ]
    return Keys(
        ptr=_pointers([len(k) for k in keys]),
        value=np.array([t for k in keys for t, _ in k], dtype=float),
        workload=np.array([w for k in keys for _, w in k], dtype=np.int64),
        number=np.array([size == 0 for size in domain.sizes]),
    )


__all__ = ["Arrays", "One", "lay_out"]
