"""The functions of a bilevel program as functions of two vectors, with their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.autograd import grad

from ..core.checks import naming
from ..core.errors import ArgumentError, ArgumentTypeError, ShapeError
from ..core.failure import users_own
from .layout import DTYPE, Layout
from .sets import ConvexSet

if TYPE_CHECKING:
    from jaxtyping import Float

Rows: TypeAlias = Tensor | None
"""Numbers of the samples that a function is asked for; None where it has no samples."""


@dataclass(slots=True)
class Batch:
    """Numbers of the samples that one step uses; None: all.

    Attributes:
        upper: Of the upper objective.
        lower: Of the lower one: the same for all of its gradients whose difference is taken.
    """

    upper: Rows = None
    lower: Rows = None

    @classmethod
    def drawn(
        cls, size: int | None, of: tuple[int | None, int | None], rng: np.random.Generator
    ) -> Batch:
        """Draw samples of each level without replacement.

        Args:
            size: How many; None: all.
            of: Samples that the levels have; None: none.
            rng: Where they come from.

        Raises:
            ArgumentError: A batch is asked for, and neither level has samples.
        """
        if size is None:
            return cls()
        if of == (None, None):
            raise ArgumentError(f"batch={size}: the problem has no samples; expected None")
        found = [
            None if n is None or size >= n else torch.from_numpy(rng.choice(n, size, replace=False))
            for n in of
        ]
        return cls(*found)


@dataclass(frozen=True)
class Equal:
    """A constraint h(x, y) = 0, where a function alone says h(x, y) <= 0.

    Args:
        function: h, from (x, y) to a number or (p,).
    """

    function: Callable[..., Any]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ArgumentTypeError(f"function={self.function!r:.60}: expected a function of x, y")


@dataclass(frozen=True)
class Constraint:
    """A named constraint of one level.

    Attributes:
        name: As its user knows it.
        function: h, from vectors x and y to (p,).
        size: p.
        equal: True for h = 0, False for h <= 0.
    """

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    size: int
    equal: bool

    def missed(self, values: Float[Tensor, " p"]) -> float:
        """Return by how much these values miss it at most."""
        over = values.abs() if self.equal else values.clamp(min=0)
        return float(torch.nan_to_num(over, nan=float("inf")).max()) if self.size else 0.0


def constraints(
    name: str,
    given: Any,
    of: Callable[[Callable[..., Any]], Callable[..., Any]],
    at: tuple[Tensor, Tensor],
) -> tuple[Constraint, ...]:
    """Read constraints by name.

    Args:
        name: The argument, for errors.
        given: A mapping of names to functions (h <= 0) or `Equal`; None.
        of: Makes a function of two vectors from one of x and y.
        at: Vectors x and y where each is tried.

    Raises:
        ArgumentTypeError: It is no such mapping.
        ShapeError: Values that are neither a number nor a vector.
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise ArgumentTypeError(
            f"{name} is a {type(given).__name__}: expected a mapping of names to functions"
        )
    found = []
    for key, one in given.items():
        function = one.function if isinstance(one, Equal) else one
        if not (isinstance(key, str) and callable(function)):
            raise ArgumentTypeError(f"{name}[{key!r:.40}]: expected a name and a function of x, y")
        flat = _vector(f"{name}[{key!r}]", of(users_own(function)))
        with naming(f"{name}[{key!r}] at x0 and y0"):
            size = len(flat(*at))
        found.append(Constraint(key, flat, size, isinstance(one, Equal)))
    return tuple(found)


def _vector(name: str, function: Callable[..., Any]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function whose values are vectors of float64."""

    def values(x: Tensor, y: Tensor) -> Tensor:
        found = function(x, y)
        if not isinstance(found, Tensor):
            raise ArgumentTypeError(
                f"{name} returned a {type(found).__name__}: expected a torch tensor"
            )
        if found.ndim > 1:
            raise ShapeError(f"{name} returned shape {tuple(found.shape)}: expected () or (p,)")
        return found.reshape(-1).to(DTYPE)

    return values


def scalar(name: str, function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return a function that is checked to return one number as a tensor."""
    own = users_own(function)

    def value(*given: Any) -> Tensor:
        found = own(*given)
        if not isinstance(found, Tensor):
            raise ArgumentTypeError(
                f"{name} returned a {type(found).__name__}: expected a torch tensor of one number"
            )
        if found.numel() != 1:
            raise ShapeError(f"{name} returned shape {tuple(found.shape)}: expected one number")
        return found.reshape(()).to(DTYPE)

    return value


@dataclass(frozen=True)
class Follower:
    """One follower: what it minimises over its own part of y.

    Attributes:
        name: "" where there is one only.
        function: f, from vectors x and its y, and rows, to a number; None where `respond` is all
            that is known of it.
        layout: Of its y.
        set: Its y are in it.
        constraints: Its own.
        part: Its place in the vector of all followers.
    """

    name: str
    function: Callable[[Tensor, Tensor, Rows], Tensor] | None
    layout: Layout
    set: ConvexSet
    part: slice
    constraints: tuple[Constraint, ...] = field(default=())

    def value(self, x: Tensor, y: Tensor, rows: Rows = None) -> Tensor:
        """Return f(x, y)."""
        assert self.function is not None
        return self.function(x, y, rows)

    def h(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the values of all of its constraints, (p,)."""
        return torch.cat(
            [torch.zeros(0, dtype=DTYPE), *(c.function(x, y) for c in self.constraints)]
        )

    def missed(self, x: Tensor, y: Tensor) -> float:
        """By how much y misses its constraints and its set at most."""
        away = float((self.set.project(y) - y).abs().max())
        return max([away, *(c.missed(c.function(x, y)) for c in self.constraints)])

    @cached_property
    def equal(self) -> Tensor:
        """(p,) which rows of its constraints are equalities."""
        return torch.tensor(
            [c.equal for c in self.constraints for _ in range(c.size)], dtype=torch.bool
        )


def value_and_gradients(
    function: Callable[..., Tensor], points: tuple[Tensor, ...], wrt: tuple[int, ...]
) -> tuple[float, tuple[Tensor, ...]]:
    """Return a function's value and its gradients by some of its arguments; no graph is kept.

    Args:
        function: Of the points.
        points: Vectors.
        wrt: Which of them.
    """
    leaves = [p.detach().requires_grad_(i in wrt) for i, p in enumerate(points)]
    with torch.enable_grad():
        value = function(*leaves)
    chosen = [leaves[i] for i in wrt]
    if not value.requires_grad:
        return float(value), tuple(torch.zeros_like(p) for p in chosen)
    found = grad(value, chosen, allow_unused=True)
    return float(value.detach()), tuple(
        torch.zeros_like(p) if g is None else g.contiguous()
        for p, g in zip(chosen, found, strict=True)
    )


def products(
    function: Callable[..., Tensor], x: Tensor, y: Tensor, v: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (d2f/dxdy) v and (d2f/dydy) v, of shapes (n,) and (m,)."""
    x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
    with torch.enable_grad():
        value = function(x, y)
        zeros = torch.zeros_like(x), torch.zeros_like(y)
        if not value.requires_grad:
            return zeros
        (slope,) = grad(value, y, create_graph=True, allow_unused=True)
        if slope is None or not slope.requires_grad:
            return zeros
        found = grad(slope, (x, y), v, allow_unused=True)
    cross, own = (z if g is None else g for z, g in zip(zeros, found, strict=True))
    return cross, own


def hessian(function: Callable[[Tensor], Tensor], y: Tensor) -> Float[Tensor, "m m"]:
    """Return the Hessian of a function of one vector."""
    y = y.detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = grad(function(y), y, create_graph=True, allow_unused=True)
        if slope is None or not slope.requires_grad:
            return torch.zeros(len(y), len(y), dtype=DTYPE)
        rows = [grad(s, y, retain_graph=True, allow_unused=True)[0] for s in slope]
    found = torch.stack([torch.zeros_like(y) if r is None else r for r in rows]).detach()
    return (found + found.T) / 2


def jacobian(function: Callable[[Tensor], Tensor], y: Tensor) -> Float[Tensor, "p m"]:
    """Return the Jacobian of a vector of functions."""
    y = y.detach().requires_grad_()
    with torch.enable_grad():
        values = function(y)
        if not values.requires_grad:
            return torch.zeros(len(values), len(y), dtype=DTYPE)
        rows = [grad(v, y, retain_graph=True, allow_unused=True)[0] for v in values]
    return torch.stack([torch.zeros_like(y) if r is None else r.detach() for r in rows])
