"""Stage: the linear program of one stage of a multistage problem, with names and units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ..core.annotations import Checked
from ..core.checks import floats, naming, shown
from ..core.errors import ArgumentError, BoundsError, NotFinite, ShapeError, UnknownName, nearest

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SENSES = ("==", "<=", ">=")


@dataclass(frozen=True)
class Unmet(Checked):
    """A column whose positive values are a violation, not only a cost.

    Attributes:
        name: What the violation is called, such as "unmet demand".
        row: Row whose right-hand side is the whole of which it is a share.
    """

    name: str
    row: str


@dataclass(frozen=True)
class Head(Checked):
    """A coefficient that grows with a state: row += factor * state_before * column.

    Attributes:
        row: Name of the row.
        column: Name of the column.
        state: Name of the state, as it was at the end of the stage before.
        factor: Change of the coefficient a unit of the state.
    """

    row: str
    column: str
    state: str
    factor: float


@dataclass(eq=False)
class Stage(Checked):
    """The linear program of one stage.

        minimise cost' x   where   A x (==, <=, >=) rhs + B s + C w,   lower <= x <= upper

    s is the state at the end of the stage before, w the noise of this one. A dual is the derivative
    of the minimum with respect to the right-hand side.

    Attributes:
        A: (m, n) coefficients, dense or of SciPy's sparse kinds.
        cost: (n,) of a unit of each column.
        state: Names of the k columns that are handed to the next stage.
        rhs: (m,) right-hand sides; None, NaN or an infinity: the row has no limit.
        sense: "==", "<=" or ">=", one for all rows or one for each.
        B: (m, k) what a unit of the state before adds to the right-hand sides; None: nothing.
        C: (m, d) what a unit of each noise adds; None: nothing.
        noise: (N, d) the pool, of whose rows one comes true; None: there is no noise.
        probability: (N,) of each row of the pool; None: all alike.
        lower: (n,) or a number; None, NaN or an infinity: no limit.
        upper: As `lower`.
        columns: n names; none: x0, x1, ...
        rows: m names; none: row0, row1, ...
        units: Unit by name of a column or row, for people.
        unmet: Column name -> what its positive values are.
        heads: Coefficients that depend on the state.

    Raises:
        ShapeError: An array does not fit the others.
        NotFinite: A coefficient, cost or noise is NaN or infinite.
        BoundsError: A lower bound is above its upper one.
        UnknownName: A name is of no column, row or state.
    """

    A: Any
    cost: Any
    state: Sequence[str]
    rhs: Any
    sense: str | Sequence[str] = "=="
    B: Any = None
    C: Any = None
    noise: Any = None
    probability: Any = None
    lower: Any = 0.0
    upper: Any = None
    columns: Sequence[str] = ()
    rows: Sequence[str] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    unmet: Mapping[str, Unmet] = field(default_factory=dict)
    heads: Sequence[Head] = ()

    def __post_init__(self) -> None:
        A = _matrix("A", self.A)
        m, n = A.shape
        k = len(self.state)
        self.A = A
        self.cost = _vector("cost", self.cost, n)
        self.B = _matrix("B", np.zeros((m, k)) if self.B is None else self.B, (m, k))
        given = np.zeros((m, 0)) if self.C is None else self.C
        self.C = _matrix("C", given, (m, np.shape(given)[-1] if np.ndim(given) else 0))
        d = self.C.shape[1]
        pool = np.zeros((1, d)) if self.noise is None else floats("noise", self.noise)
        if pool.ndim != 2 or pool.shape[1] != d or not len(pool):
            raise ShapeError(f"noise has shape {pool.shape}: expected (N, {d}), N >= 1")
        self.noise = _finite("noise", pool)
        self.probability = _law(self.probability, len(pool))
        self.columns = _names("columns", self.columns, "x", n)
        self.rows = _names("rows", self.rows, "row", m)
        self.rhs = limits("rhs", self.rhs, m)
        senses = [self.sense] * m if isinstance(self.sense, str) else list(self.sense)
        if len(senses) != m or any(s not in SENSES for s in senses):
            raise ArgumentError(f"sense={shown(self.sense)}: expected '==', '<=' or '>=' by row")
        self.sense = tuple(senses)
        low, high = limits("lower", self.lower, n), limits("upper", self.upper, n)
        self.lower = np.where(np.isnan(low), -np.inf, low)
        self.upper = np.where(np.isnan(high), np.inf, high)
        crossed = np.flatnonzero(self.lower > self.upper)
        if len(crossed):
            j = crossed[0]
            raise BoundsError(
                f"lower[{self.columns[j]!r}]={self.lower[j]:g} is above upper={self.upper[j]:g}"
            )
        for name in self.state:
            self.column(name, "state")
        for name in self.units:
            if name not in self.columns and name not in self.rows:
                known = [*self.columns, *self.rows]
                raise UnknownName(f"units names '{name}': {nearest(name, known)}")
        for name, what in self.unmet.items():
            self.column(name, "unmet")
            self.row(what.row, "unmet")
        for head in self.heads:
            self.row(head.row, "heads")
            self.column(head.column, "heads")
            if head.state not in self.state:
                raise UnknownName(f"heads names '{head.state}': {nearest(head.state, self.state)}")

    def column(self, name: str, argument: str = "column") -> int:
        """Return a column's number. Raises UnknownName."""
        return _index(self.columns, name, argument)

    def row(self, name: str, argument: str = "row") -> int:
        """Return a row's number. Raises UnknownName."""
        return _index(self.rows, name, argument)

    @cached_property
    def states(self) -> Int[np.ndarray, " k"]:
        """Numbers of the columns that are the state."""
        return np.array([self.column(name) for name in self.state], dtype=int)

    @cached_property
    def below(self) -> np.ndarray:
        """(m,) whether a row's activity has a least value."""
        return ~np.isnan(self.rhs) & np.array([s != "<=" for s in self.sense], dtype=bool)

    @cached_property
    def above(self) -> np.ndarray:
        """(m,) whether a row's activity has a largest value."""
        return ~np.isnan(self.rhs) & np.array([s != ">=" for s in self.sense], dtype=bool)

    @cached_property
    def dense(self) -> tuple[np.ndarray, np.ndarray]:
        """B and C as dense arrays."""
        return self.B.toarray(), self.C.toarray()

    @property
    def mean(self) -> Float[np.ndarray, " d"]:
        """The mean of the noise."""
        return self.probability @ self.noise

    def right(
        self, before: Float[np.ndarray, " k"], w: Float[np.ndarray, " d"]
    ) -> Float[np.ndarray, " m"]:
        """Return the right-hand sides after a state and a noise; 0 where a row has no limit."""
        B, C = self.dense
        return np.nan_to_num(self.rhs) + B @ before + C @ w

    def row_limits(self, right: Float[np.ndarray, " m"]) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the largest activity of each row."""
        return np.where(self.below, right, -np.inf), np.where(self.above, right, np.inf)

    def activity(
        self, x: Float[np.ndarray, " n"], before: Float[np.ndarray, " k"]
    ) -> Float[np.ndarray, " m"]:
        """Return A x, with the coefficients of the state before."""
        found = self.A @ x
        for head in self.head_numbers:
            found[head[0]] += head[3] * before[head[2]] * x[head[1]]
        return found

    @cached_property
    def head_numbers(self) -> list[tuple[int, int, int, float]]:
        """(row, column, state, factor) of the coefficients that depend on the state."""
        order = list(self.state)
        return [
            (self.row(h.row), self.column(h.column), order.index(h.state), float(h.factor))
            for h in self.heads
        ]

    def unit(self, name: str) -> str:
        """Return a space and the unit of a column or row; nothing where it has none."""
        return f" {self.units[name]}" if self.units.get(name) else ""


def _index(names: Sequence[str], name: str, argument: str) -> int:
    """Return where a name stands. Raises UnknownName."""
    if name not in names:
        raise UnknownName(f"{argument} names '{name}': {nearest(str(name), names)}")
    return list(names).index(name)


def _finite(name: str, value: np.ndarray) -> np.ndarray:
    """Return an array. Raises NotFinite."""
    if not np.isfinite(value).all():
        raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
    return value


def _matrix(name: str, value: Any, shape: tuple[int, int] | None = None) -> sparse.csc_array:
    """Return a sparse matrix by columns. Raises ShapeError, NotFinite."""
    with naming(name):
        found = sparse.csc_array(value if sparse.issparse(value) else floats(name, value))
    if found.ndim != 2 or (shape is not None and found.shape != shape) or 0 in found.shape[:1]:
        raise ShapeError(f"{name} has shape {found.shape}: expected {shape or '(rows, columns)'}")
    _finite(name, found.data)
    found.sum_duplicates()
    return found


def _vector(name: str, value: Any, n: int) -> Float[np.ndarray, " n"]:
    """Return n finite numbers. Raises ShapeError, NotFinite."""
    found = floats(name, value)
    if found.shape != (n,):
        raise ShapeError(f"{name} has shape {found.shape}: expected ({n},)")
    return _finite(name, found)


def limits(name: str, value: Any, n: int) -> Float[np.ndarray, " n"]:
    """Return n limits, NaN where there is none: None, NaN and infinities say so."""
    if value is None:
        return np.full(n, np.nan)
    if isinstance(value, (list, tuple)):
        value = [np.nan if v is None else v for v in value]
    found = floats(name, value)
    if found.shape not in ((), (n,)):
        raise ShapeError(f"{name} has shape {found.shape}: expected ({n},)")
    found = np.broadcast_to(found, (n,)).astype(float)
    return np.where(np.isfinite(found), found, np.nan)


def _law(value: Any, n: int) -> Float[np.ndarray, " n"]:
    """Return probabilities that sum to one. Raises ArgumentError."""
    if value is None:
        return np.full(n, 1.0 / n)
    found = _vector("probability", value, n)
    if (found < 0).any() or abs(found.sum() - 1.0) > 1e-9:
        raise ArgumentError(
            f"probability={shown(value)}: expected numbers >= 0 whose sum is 1, got {found.sum():g}"
        )
    return found / found.sum()


def _names(name: str, value: Sequence[str], letter: str, n: int) -> tuple[str, ...]:
    """Return n different names. Raises ShapeError, ArgumentError."""
    found = tuple(f"{letter}{i}" for i in range(n)) if not len(value) else tuple(map(str, value))
    if len(found) != n:
        raise ShapeError(f"{name} has {len(found)} names: expected {n}")
    if len(set(found)) < n:
        twice = next(v for v in found if found.count(v) > 1)
        raise ArgumentError(f"{name} has '{twice}' twice: expected different names")
    return found
