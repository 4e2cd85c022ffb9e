"""Dies: a mesh, the control points that may move, and how good the flow is.

Meshes are grids of squares cut into four by their diagonals, so that a symmetric die has a
symmetric mesh.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core.annotations import checked
from ...core.checks import floats, whole
from ...core.errors import BoundsError, NotFinite, ShapeError
from ...core.extras import named
from ..meshes import shape_violations
from .ffd import FFD
from .flow import MIN_ANGLE, Flow, StokesSolver2D

if TYPE_CHECKING:
    from jaxtyping import Float
    from skfem import MeshTri

    Values = Float[np.ndarray, " k"]

GRID = 10
"""Steps of a variable's range."""
MEAN = 0.5
"""Mean velocity at the inlet."""
CELLS = (15, 9)
"""Of the channel, along and across."""
TOLERANCE = {"split": 0.02, "channel": 0.15}
"""Error of the share, and sum of squares of the channel's qualities, below which a goal is met."""


def distance(gap: Values) -> float:
    """How far a quality is from what is wanted: of one figure the distance, of several the sum of
    squares.
    """
    return float(abs(gap[0])) if len(gap) == 1 else float(gap @ gap)


@dataclass(frozen=True)
class Move:
    """What a design variable moves.

    Attributes:
        points: (i, j, axis, factor) of control points: coordinate `axis` of C_ij moves by factor
            times the variable.
        low: Least value.
        high: Largest value.
    """

    points: tuple[tuple[int, int, int, float], ...]
    low: float
    high: float


class Die:
    """A die that can be deformed.

    Args:
        solver: Its flow.
        ffd: The box that is deformed.
        moves: The design variables.
        quality: From a flow to the figures that a goal is made of.
        name: Of the die.

    Attributes:
        measure: From a flow to its quality.
        low: (k,) least values of the variables.
        high: (k,) largest.
        start: (k,) the undeformed die: zeros.
    """

    def __init__(
        self,
        solver: StokesSolver2D,
        ffd: FFD,
        moves: tuple[Move, ...],
        quality: Callable[[Flow], Values],
        name: str,
    ):
        self.solver, self.ffd, self.moves, self.name = solver, ffd, moves, name
        self.measure = quality
        self.low = np.array([m.low for m in moves])
        self.high = np.array([m.high for m in moves])
        self.start = np.zeros(len(moves))
        inside = (solver.points >= ffd.box[:, 0]) & (solver.points <= ffd.box[:, 1])
        if not inside.all():
            raise BoundsError("box: it does not hold all points of the mesh")

    @property
    def k(self) -> int:
        """The number of variables."""
        return len(self.moves)

    def net(self, values: Any) -> Float[np.ndarray, "i j 2"]:
        """The control points of a design."""
        found = self.ffd.net.copy()
        for value, move in zip(self.read(values), self.moves, strict=True):
            for i, j, axis, factor in move.points:
                found[i, j, axis] += factor * value
        return found

    def read(self, values: Any) -> Values:
        """A design as (k,) finite numbers."""
        found = floats("values", values)
        if found.shape != (self.k,):
            raise ShapeError(f"values have shape {found.shape}: expected ({self.k},)")
        if not np.isfinite(found).all():
            raise NotFinite("values: expected finite numbers")
        return found

    def drawn(self, rng: np.random.Generator) -> Values:
        """A design of the grid by chance, whether it has a flow or not."""
        return self.low + (self.high - self.low) * rng.integers(0, GRID + 1, self.k) / GRID

    def points(self, values: Any) -> Float[np.ndarray, "n 2"]:
        """(n, 2) the nodes of a design."""
        return self.ffd.deform(self.solver.points, self.net(values))

    def violations(self, values: Any) -> dict[str, float]:
        """How far the mesh of a design misses what the solver needs, by name."""
        solver = self.solver
        return shape_violations(self.points(values), solver.triangles, solver.points, MIN_ANGLE)

    def flow(self, values: Any) -> Flow:
        """The flow in a design. Raises InvalidShape, NotConverged."""
        return self.solver.solve(self.points(values))

    def quality(self, values: Any) -> Values:
        """The quality of a design, by a simulation. Raises InvalidShape, NotConverged."""
        return self.measure(self.flow(values))

    @cached_property
    def undeformed(self) -> Values:
        """The quality of the undeformed die."""
        return self.quality(self.start)


def crisscross(cells: Any, size: tuple[float, float]) -> MeshTri:
    """The mesh of some cells of a grid, each cut into four.

    Args:
        cells: (c, 2) whole numbers: the cells' lower left corners.
        size: Width and height of a cell.
    """
    with named("crisscross", "physics"):
        from skfem import MeshTri

    at = np.asarray(cells)
    corners = [2 * (at + d) for d in ((0, 0), (1, 0), (1, 1), (0, 1))]
    middle = 2 * at + 1
    every = np.concatenate([*corners, middle])
    nodes, numbers = np.unique(every, axis=0, return_inverse=True)
    a, b, c, d, m = numbers.reshape(5, len(at))
    triangles = np.concatenate(
        [np.stack(t) for t in ((a, b, m), (b, c, m), (c, d, m), (d, a, m))], axis=1
    )
    return MeshTri(np.ascontiguousarray((nodes / 2 * size).T), np.ascontiguousarray(triangles))


@checked
def split_die(
    h: int = 2, viscosity: Any = "newtonian", moves: Literal["top", "both"] = "top"
) -> Die:
    """A channel that ends in a cross bar with an outlet at each end; what is wanted is a share of
    the flow for the upper outlet.

    The channel is [0, 2] x [-0.5, 0.5], the bar [2, 3] x [-2, 2]; the flow enters as a parabola.
    Variables move the middle and the right control point of the upper row along x, in -0.6 ... 0.9;
    of "both" those of the lower row as well. The quality is the upper outlet's share.

    Args:
        h: Cells for each unit of length; an even number.
        viscosity: As `StokesSolver2D` takes it.
        moves: Which rows move.
    """
    h = whole("h", h, least=2, most=64) // 2 * 2
    ends = (range(2 * h), range(-h // 2, h // 2)), (range(2 * h, 3 * h), range(-2 * h, 2 * h))
    cells = [(i, j) for columns, rows in ends for i in columns for j in rows]
    mesh = crisscross(cells, (1 / h, 1 / h)).with_boundaries(
        {
            "in": lambda x: x[0] < 1e-9,
            "out1": lambda x: x[1] > 2 - 1e-9,
            "out2": lambda x: x[1] < -2 + 1e-9,
        }
    )
    inflow = ("in", lambda x, y: 1.5 * MEAN * (1 - 4 * y**2))
    solver = StokesSolver2D(mesh, inflow, ("out1", "out2"), viscosity)
    rows = (2,) if moves == "top" else (2, 0)
    found = tuple(Move(((i, j, 0, 1.0),), -0.6, 0.9) for j in rows for i in (1, 2))

    def share(flow: Flow) -> Values:
        first, second = flow.flux("out1"), flow.flux("out2")
        return np.array([first / (first + second)])

    return Die(solver, FFD(((0, 3), (-2, 2))), found, share, f"split-die-{h}")


PATCHES = ("low", "middle", "high")


def patch(k: int) -> Callable[[Any], Any]:
    """Which points are on third k of the channel's outlet."""
    return lambda x: (x[0] > 1 - 1e-9) & (np.floor(x[1] * 7.5) == k)


@checked
def channel_die(cells: tuple[int, int] = CELLS, viscosity: Any = "newtonian") -> Die:
    """A channel whose outlet is to let the same velocity through each of three patches.

    The channel is [0, 1] x [0, 0.4], with plug flow 0.5 at the inlet. Variables, symmetric about
    the middle: the upper edge's middle and right control point along y, the middle one along x. The
    quality is (rho - 1) / max(rho, 1) for each patch, rho its mean velocity over that of the
    outlet.

    Args:
        cells: Cells along and across; across a multiple of 3.
        viscosity: As `StokesSolver2D` takes it.
    """
    n, m = (whole("cells", c, least=3, most=300) for c in cells)
    m = m // 3 * 3
    grid = [(i, j) for i in range(n) for j in range(m)]
    mesh = crisscross(grid, (1 / n, 0.4 / m)).with_boundaries(
        {
            "in": lambda x: x[0] < 1e-9,
            **{name: patch(k) for k, name in enumerate(PATCHES)},
        }
    )
    inflow = ("in", lambda x, y: np.full_like(x, MEAN))
    solver = StokesSolver2D(mesh, inflow, PATCHES, viscosity)
    moves = (
        Move(((1, 2, 1, 1.0), (1, 0, 1, -1.0)), -0.3, 0.1),
        Move(((2, 2, 1, 1.0), (2, 0, 1, -1.0)), -0.1, 0.1),
        Move(((1, 0, 0, 1.0), (1, 2, 0, 1.0)), -0.3, 0.3),
    )

    def unevenness(flow: Flow) -> Values:
        fluxes = np.array([flow.flux(p) for p in PATCHES])
        areas = np.array([flow.length(p) for p in PATCHES])
        rho = fluxes / areas / (fluxes.sum() / areas.sum())
        return (rho - 1) / np.maximum(rho, 1)

    return Die(solver, FFD(((0, 1), (0, 0.4))), moves, unevenness, f"channel-die-{n}x{m}")
