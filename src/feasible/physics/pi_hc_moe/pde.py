"""What a layer and a loss need of a partial differential equation in time and space.

A function on a grid is a tensor (B, *grid, ...), time first. Its terms (u, u_t, u_xx, ...) are
linear in it, so those of u = b w are the terms of the basis b times w; the residual is a function
of the terms at a point, and conditions (initial, boundary, of an operator) are linear rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...core.checks import flag, numbers, real, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

LEAST_INITIAL = 1e-3
"""An initial value below which errors in it are no longer relative."""


@dataclass(frozen=True)
class Grid:
    """A regular grid of time and space, in physical units.

    Attributes:
        axes: (n,) coordinates of each axis, time first, at equal distances.
        periodic: Of each axis, whether it closes on itself; time never does.
    """

    axes: tuple[Float[Tensor, " n"], ...]
    periodic: tuple[bool, ...]

    def __post_init__(self) -> None:
        for name in ("axes", "periodic"):
            if not isinstance(getattr(self, name), (tuple, list)):
                raise ArgumentTypeError(
                    f"{name}={shown(getattr(self, name))}: expected one entry for each axis"
                )
        for axis, closed in enumerate(self.periodic):
            flag(f"periodic[{axis}]", closed)
        axes = []
        for axis, points in enumerate(self.axes):
            given = numbers(f"axes[{axis}]", points)
            apart = np.diff(given)
            if (
                given.ndim == 1
                and len(given) > 1
                and (apart.min() <= 0 or np.ptp(apart) > 1e-6 * abs(apart[0]))
            ):
                raise ArgumentError(f"axes[{axis}]: expected points that rise by equal steps")
            axes.append(torch.as_tensor(given))
        object.__setattr__(self, "axes", tuple(axes))
        if len(self.axes) < 2 or len(self.axes) != len(self.periodic) or self.periodic[0]:
            raise ArgumentError(
                f"axes: got {len(self.axes)} with periodic={self.periodic}, expected time, which "
                "is not periodic, and at least one axis of space"
            )
        for axis, points in enumerate(self.axes):
            if points.ndim != 1 or len(points) < 3:
                raise ShapeError(
                    f"axes[{axis}] has shape {tuple(points.shape)}, expected (n,) with n >= 3"
                )

    @classmethod
    def of(
        cls,
        time: float,
        nt: int,
        nx: int,
        dimensions: int = 1,
        periodic: bool = False,
        centred: bool = True,
    ) -> Grid:
        """A grid of [0, time] x (0, 1)^dimensions.

        Args:
            time: Its end.
            nt: Points of time, both ends included.
            nx: Points of each axis of space.
            dimensions: Of space.
            periodic: Whether space closes on itself; its points are then i / nx.
            centred: Points at the middles of cells, (i + 1/2) / nx; else from end to end.
        """
        time = real("time", time, above=0)
        nt = whole("nt", nt, least=3, most=10_000_000)
        nx = whole("nx", nx, least=3, most=1_000_000)
        dimensions = whole("dimensions", dimensions, least=1, most=3)
        periodic, centred = flag("periodic", periodic), flag("centred", centred)
        t = torch.linspace(0, time, nt, dtype=torch.float64)
        i = torch.arange(nx, dtype=torch.float64)
        x = i / nx if periodic else (i + 0.5) / nx if centred else i / (nx - 1)
        return cls((t, *(x,) * dimensions), (False, *(periodic,) * dimensions))

    @property
    def shape(self) -> tuple[int, ...]:
        """Points of each axis."""
        return tuple(len(a) for a in self.axes)

    @property
    def size(self) -> int:
        """Points in all."""
        return int(torch.tensor(self.shape).prod())

    def step(self, axis: int) -> float:
        """Distance of two neighbours on an axis."""
        return float(self.axes[axis][1] - self.axes[axis][0])

    def coordinates(self) -> Float[Tensor, "axes ..."]:
        """All coordinates, each axis scaled to [0, 1]: what a network sees."""
        scaled = [(a - a[0]) / (a[-1] - a[0]) for a in self.axes]
        return torch.stack(torch.meshgrid(*scaled, indexing="ij"))

    def first(self, u: Tensor, axis: int) -> Tensor:
        """The first derivative along an axis: central inside, one-sided at ends.

        Args:
            u: (B, *grid, ...).
            axis: Of the grid, 0 is time.
        """
        h, dim = self.step(axis), axis + 1
        if self.periodic[axis]:
            return (u.roll(-1, dim) - u.roll(1, dim)) / (2 * h)
        n = u.shape[dim]
        inner = (u.narrow(dim, 2, n - 2) - u.narrow(dim, 0, n - 2)) / (2 * h)
        begin = (u.narrow(dim, 1, 1) - u.narrow(dim, 0, 1)) / h
        end = (u.narrow(dim, n - 1, 1) - u.narrow(dim, n - 2, 1)) / h
        return torch.cat([begin, inner, end], dim)

    def second(self, u: Tensor, axis: int, compact: bool = False) -> Tensor:
        """The second derivative along an axis.

        Args:
            u: (B, *grid, ...).
            axis: Of the grid.
            compact: From three neighbours, at an end those of the next point; else the first
                difference twice, which does not see odd beside even points.
        """
        if not compact:
            return self.first(self.first(u, axis), axis)
        h, dim = self.step(axis), axis + 1
        if self.periodic[axis]:
            return (u.roll(-1, dim) - 2 * u + u.roll(1, dim)) / h**2
        n = u.shape[dim]
        inner = u.narrow(dim, 2, n - 2) - 2 * u.narrow(dim, 1, n - 2) + u.narrow(dim, 0, n - 2)
        inner = inner / h**2
        return torch.cat([inner.narrow(dim, 0, 1), inner, inner.narrow(dim, n - 3, 1)], dim)


@dataclass(frozen=True)
class Condition:
    """Linear rows: operator(u) should be the target.

    Attributes:
        name: As it is logged.
        operator: (B, *grid, ...) to (B, rows, ...); linear.
        target: (B, rows).
        share: Of the length of its rows in the loss.
    """

    name: str
    operator: Callable[[Tensor], Tensor]
    target: Float[Tensor, "B rows"]
    share: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ArgumentTypeError(f"name={shown(self.name)}: expected text")
        if not callable(self.operator):
            raise ArgumentTypeError(f"operator={shown(self.operator)}: expected a function of u")
        if not isinstance(self.target, torch.Tensor) or self.target.ndim != 2:
            raise ShapeError(f"target={self.target!r:.60}: expected a tensor (B, rows)")
        real("share", self.share, above=0)


class PDE:
    """An equation F(u) = 0 on a grid. Subclass it and define `residual`; `terms`, `conditions`,
    `shaped` and `base` have defaults.

    Attributes:
        grid: Where it lives.
        weight: Of its rows beside those of the conditions, in the layer and in the loss.
        compact: See `Grid.second`.
    """

    names: tuple[str, ...] = ("u", "u_t", "u_x", "u_xx")
    """The terms that `residual` takes, in its order."""

    def __init__(self, grid: Grid, weight: float = 1.0, compact: bool = False):
        if not isinstance(grid, Grid):
            raise ArgumentTypeError(f"grid={grid!r:.60}: expected a Grid")
        self.grid, self.weight = grid, real("weight", weight, above=0)
        self.compact = flag("compact", compact)

    def terms(self, u: Tensor) -> list[Tensor]:
        """The terms of a function, linear in it, in the order of `names`.

        Args:
            u: (B, *grid, ...).
        """
        grid, known = self.grid, {"u": lambda: u, "u_t": lambda: grid.first(u, 0)}
        for axis, letter in enumerate("xyz"[: len(grid.axes) - 1], 1):
            known[f"u_{letter}"] = lambda axis=axis: grid.first(u, axis)  # type: ignore[misc]
            known[f"u_{letter}{letter}"] = lambda axis=axis: grid.second(  # type: ignore[misc]
                u, axis, self.compact
            )
        if missing := [name for name in self.names if name not in known]:
            raise ArgumentError(
                f"names={self.names}: expected some of {', '.join(known)}, got {missing[0]!r}; "
                "others are for `terms` to make"
            )
        return [known[name]() for name in self.names]

    def residual(self, terms: Sequence[Tensor]) -> Tensor:
        """F at points, from the terms there.

        Args:
            terms: In the order of `names`, all of one shape.

        Returns:
            The same shape.
        """
        raise TypeError(f"{type(self).__name__} does not define residual(terms)")

    def slopes(self, terms: Float[Tensor, "n ..."]) -> tuple[Tensor, Tensor]:
        """F and its derivatives by each term; by autograd where a subclass has no formula.

        Args:
            terms: (n, ...) stacked.

        Returns:
            F (...), and (n, ...).
        """
        with torch.enable_grad():
            given = terms.detach().requires_grad_(True)
            value = self.residual(given.unbind(0))
            (slopes,) = torch.autograd.grad(value.sum(), given)
        return value.detach(), slopes

    def curvature(self, terms: Float[Tensor, "n ..."]) -> Tensor:
        """The second derivatives of F by the terms, (n, n, ...), by autograd."""
        with torch.enable_grad():
            given = terms.detach().requires_grad_(True)
            value = self.residual(given.unbind(0))
            (slopes,) = torch.autograd.grad(value.sum(), given, create_graph=True)
            if not slopes.requires_grad:
                return torch.zeros(len(terms), *terms.shape, dtype=terms.dtype)
            rows = [
                torch.autograd.grad(s.sum(), given, retain_graph=True, allow_unused=True)[0]
                for s in slopes
            ]
        return torch.stack([torch.zeros_like(terms) if r is None else r for r in rows])

    def conditions(self, initial: Float[Tensor, "B ..."]) -> list[Condition]:
        """Rows beside the equation's; none where `base` and `shaped` build them in."""
        return []

    def base(self, initial: Float[Tensor, "B ..."]) -> Tensor | None:
        """What is added to b w, (B, *grid); None: nothing."""
        return None

    def shaped(self, basis: Float[Tensor, "B ... N"]) -> Tensor:
        """The basis as it counts, such as one that vanishes at t = 0."""
        return basis

    def parts(self, u: Float[Tensor, "B ..."], initial: Tensor) -> dict[str, Tensor]:
        """The raw terms of a loss by name, (B,): the length of the weighted residual over the
        grid, and of each condition's rows.
        """
        residual = self.weight * self.residual(self.terms(u))
        found = {"equation": residual.flatten(1).norm(dim=1)}
        for c in self.conditions(initial):
            found[c.name] = c.share * (c.operator(u[..., None])[..., 0] - c.target).norm(dim=1)
        return found


def initial_rows(initial: Float[Tensor, "B ..."]) -> Condition:
    """u(0, .) = u_0, relative to u_0, or to `LEAST_INITIAL` where that is smaller."""
    flat = initial.flatten(1)
    size = flat.abs().clamp_min(LEAST_INITIAL)
    space = initial.ndim - 1

    def rows(u: Tensor) -> Tensor:
        begin = u[:, 0].flatten(1, space)
        return begin / size.reshape(*size.shape, *(1,) * (begin.ndim - 2))

    return Condition("initial", rows, flat / size, flat.shape[1] ** -0.5)


def weighted(parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The mean over the batch of the weighted sum of a loss's terms."""
    total = sum(weights.get(name, 1.0) * value for name, value in parts.items())
    assert isinstance(total, torch.Tensor)
    return total.mean()
