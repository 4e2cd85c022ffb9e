"""Closed convex sets that vectors are projected on.

    P(v) = argmin_{w in C} |w - v|

References:
    L. Condat, "Fast projection onto the simplex and the l1 ball", Mathematical Programming 158,
    2016 (the projection on a simplex by its threshold).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import Bounds
from torch import Tensor

from ..core.checks import floats, real
from ..core.errors import ArgumentError, ArgumentTypeError, BoundsError, Infeasible, ShapeError
from .layout import DTYPE, Layout, tensor
from .quadratic import Linear, solve_quadratic

if TYPE_CHECKING:
    from jaxtyping import Float

IDEMPOTENT = 1e-6
"""By how much a projection of a projection may move a point, relative to its size."""


class ConvexSet(ABC):
    """A closed convex set of R^n.

    A subclass defines `project`, and `rows` where it is `linear`.
    """

    @abstractmethod
    def project(self, v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the nearest point of the set."""

    @property
    def linear(self) -> bool:
        """True if `rows` describes it."""
        return True

    def check(self, name: str, n: int) -> None:  # noqa: B027 (most sets fit any n)
        """Raise where it is no set of vectors of n entries."""

    def rows(self, n: int) -> Linear:
        """Return the rows and bounds that describe it."""
        raise ArgumentTypeError(f"{type(self).__name__} is known by its projection only")


class Everything(ConvexSet):
    """R^n."""

    def project(self, v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the point itself."""
        return v

    def rows(self, n: int) -> Linear:
        """No rows, no bounds."""
        return Linear.free(n)


@dataclass(frozen=True, eq=False)
class Box(ConvexSet):
    """{v : low <= v <= high}.

    Args:
        low: A number or (n,); may be -inf.
        high: A number or (n,); may be inf.

    Raises:
        BoundsError: They cross, or one is NaN.

    Example:
        >>> import torch
        >>> Box(0, [1, 2]).project(torch.tensor([3.0, -1.0], dtype=torch.float64)).tolist()
        [1.0, 0.0]
    """

    low: Any = -np.inf
    high: Any = np.inf

    def __post_init__(self) -> None:
        low, high = floats("low", self.low), floats("high", self.high)
        if low.ndim > 1 or high.ndim > 1:
            raise ShapeError("low, high: expected numbers or vectors")
        try:
            fine = bool((low <= high).all())
        except ValueError:
            raise ShapeError(f"low has shape {low.shape}, high {high.shape}") from None
        if not fine:
            raise BoundsError("low > high: the bounds of a box cross, or are NaN")
        object.__setattr__(self, "low", torch.as_tensor(low, dtype=DTYPE))
        object.__setattr__(self, "high", torch.as_tensor(high, dtype=DTYPE))

    def check(self, name: str, n: int) -> None:
        """Raise ShapeError where a bound has another length."""
        for side in (self.low, self.high):
            if side.numel() not in (1, n):
                raise ShapeError(f"{name} has a bound of {side.numel()} entries, expected {n}")

    def project(self, v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Clip."""
        return torch.minimum(torch.maximum(v, self.low), self.high)

    def rows(self, n: int) -> Linear:
        """Its bounds."""
        low, high = (np.broadcast_to(s.numpy(), (n,)).copy() for s in (self.low, self.high))
        return Linear(np.zeros((0, n)), np.zeros(0), np.zeros(0), low, high)


@dataclass(frozen=True, eq=False)
class Simplex(ConvexSet):
    """{v >= 0 : sum v = total}.

    Args:
        total: > 0.

    Example:
        >>> import torch
        >>> Simplex().project(torch.tensor([0.2, 1.4, -3.0], dtype=torch.float64)).tolist()
        [0.0, 1.0, 0.0]
    """

    total: float = 1.0

    def __post_init__(self) -> None:
        real("total", self.total, above=0)

    def project(self, v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Subtract the threshold and cut at 0."""
        ordered = torch.sort(v, descending=True).values
        means = (torch.cumsum(ordered, 0) - self.total) / torch.arange(1, len(v) + 1, dtype=v.dtype)
        last = int(torch.nonzero(ordered > means)[-1])
        return torch.clamp(v - means[last], min=0)

    def rows(self, n: int) -> Linear:
        """v >= 0 and the sum."""
        total = np.array([float(self.total)])
        return Linear(np.ones((1, n)), total, total, np.zeros(n), np.full(n, np.inf))


@dataclass(frozen=True, eq=False)
class Polyhedron(ConvexSet):
    """{v : low <= A v <= high, lower <= v <= upper}; projections are quadratic programs.

    Args:
        A: (k, n).
        high: (k,) or a number; may be inf.
        low: (k,) or a number; -inf where there is none; equal to `high` for an equality.
        lower: Bounds of v: a number or (n,).
        upper: As `lower`.

    Raises:
        BoundsError: Limits that cross.
        ShapeError: What does not fit together.

    Example:
        >>> import torch
        >>> half = Polyhedron([[1.0, 1.0]], high=1.0)
        >>> half.project(torch.tensor([1.0, 1.0], dtype=torch.float64)).numpy().round(6).tolist()
        [0.5, 0.5]
    """

    A: Any
    high: Any = np.inf
    low: Any = -np.inf
    lower: Any = -np.inf
    upper: Any = np.inf

    def __post_init__(self) -> None:
        A = floats("A", self.A)
        if A.ndim != 2 or not A.shape[1] or not np.isfinite(A).all():
            raise ShapeError(f"A has shape {A.shape}: expected finite numbers, (k, n)")
        k, n = A.shape
        parts = {}
        for name, size in (("low", k), ("high", k), ("lower", n), ("upper", n)):
            value = floats(name, getattr(self, name))
            if value.shape not in ((), (size,)):
                raise ShapeError(f"{name} has shape {value.shape}: expected ({size},)")
            parts[name] = np.broadcast_to(value, (size,)).copy()
        for less, more in (("low", "high"), ("lower", "upper")):
            if not (parts[less] <= parts[more]).all():
                raise BoundsError(f"{less} > {more}: limits of a polyhedron cross, or are NaN")
        object.__setattr__(
            self, "_rows", Linear(A, parts["low"], parts["high"], parts["lower"], parts["upper"])
        )

    def check(self, name: str, n: int) -> None:
        """Raise ShapeError where A has another width."""
        if self.rows(n).A.shape[1] != n:
            raise ShapeError(f"{name}: A has {self.rows(n).A.shape[1]} columns, expected {n}")

    def project(self, v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Minimise |w - v|^2 / 2 over it, by Clarabel."""
        at = v.detach().numpy()
        found = solve_quadratic(np.eye(len(at)), -at, self.rows(len(at)))
        if found.y is None:
            raise Infeasible(f"a polyhedron of {len(self.rows(0).A)} rows is {found.status}")
        return torch.from_numpy(found.y)

    def rows(self, n: int) -> Linear:
        """Its rows and bounds."""
        return self._rows  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class Projected(ConvexSet):
    """A set that is known by its projection.

    Args:
        function: From (n,) to (n,), tensors.
    """

    function: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ArgumentTypeError(f"function={self.function!r:.60}: expected a projection")

    @property
    def linear(self) -> bool:
        """False."""
        return False

    def project(self, v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Call it."""
        return self.function(v)

    def check(self, name: str, n: int) -> None:
        """Raise where it is no projection: on points near and far, P(P(v)) is not P(v)."""
        draws = torch.from_numpy(np.random.default_rng(n).standard_normal((4, n)))
        for v in (
            torch.zeros(n, dtype=DTYPE),
            *(draws * torch.tensor([[0.1], [1], [10], [100.0]])),
        ):
            once = tensor(f"{name}(v)", self.function(v.clone()))
            if once.shape != v.shape:
                raise ShapeError(f"{name}(v) has shape {tuple(once.shape)}, expected ({n},)")
            again = tensor(f"{name}(v)", self.function(once.clone()))
            moved = float((again - once).abs().max())
            if moved > IDEMPOTENT * max(1.0, float(once.abs().max())):
                raise ArgumentError(
                    f"{name} is not idempotent: a projection of a projection moves by {moved:.2g}; "
                    "expected the nearest point of a convex set"
                )


@dataclass(frozen=True, eq=False)
class Product(ConvexSet):
    """Sets of parts of the vector, one after the other.

    Args:
        sets: One of each part.
        sizes: Entries of each part.
    """

    sets: tuple[ConvexSet, ...]
    sizes: tuple[int, ...]

    def project(self, v: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Project each part."""
        pieces = torch.split(v, list(self.sizes))
        return torch.cat([s.project(p) for s, p in zip(self.sets, pieces, strict=True)])

    @property
    def linear(self) -> bool:
        """True if rows describe each part."""
        return all(s.linear for s in self.sets)

    def rows(self, n: int) -> Linear:
        """The rows of all parts, block by block."""
        return Linear.stacked([s.rows(k) for s, k in zip(self.sets, self.sizes, strict=True)])


def as_set(name: str, given: Any, layout: Layout) -> ConvexSet:
    """Return a set of the vectors of a layout.

    Args:
        name: The argument, for errors.
        given: None, a set of this module, SciPy's Bounds, pairs (low, high), a projection, or a
            mapping of the layout's names to these.
        layout: Of the level.

    Raises:
        ArgumentError: A projection is not idempotent, or a name is unknown.
        ArgumentTypeError: It is none of these.
        ShapeError: It does not fit.
    """
    n = layout.size
    if given is None:
        return Everything()
    if isinstance(given, Mapping):
        if layout.keys is None:
            raise ArgumentTypeError(f"{name}: a mapping, where the level is one tensor")
        if unknown := set(given) - set(layout.keys):
            raise ArgumentError(f"{name} names {sorted(unknown)}: expected of {layout.keys}")
        parts = [Layout(None, (s,)) for s in layout.shapes]
        sets = [
            as_set(f"{name}[{k!r}]", given.get(k), part)
            for k, part in zip(layout.keys, parts, strict=True)
        ]
        return Product(tuple(sets), tuple(part.size for part in parts))
    if isinstance(given, ConvexSet):
        found = given
    elif isinstance(given, Bounds):
        found = Box(given.lb, given.ub)
    elif callable(given):
        found = Projected(given)
    elif isinstance(given, (Sequence, np.ndarray)):
        pairs = floats(name, given)
        if pairs.shape != (n, 2):
            raise ShapeError(f"{name} has shape {pairs.shape}: expected {n} pairs (low, high)")
        found = Box(pairs[:, 0], pairs[:, 1])
    else:
        raise ArgumentTypeError(
            f"{name} is a {type(given).__name__}: expected a set, Bounds, pairs or a projection"
        )
    found.check(name, n)
    return found
