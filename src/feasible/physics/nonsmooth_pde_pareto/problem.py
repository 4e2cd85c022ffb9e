"""PDEControl: several goals for one state, which max(0, y) makes a nonsmooth function of the
control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.annotations import Checked
from ...core.budget import Resource, spend
from ...core.checks import floats, naming, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from ...core.front import Front, front_verdict, hypervolume
from ...core.problem import Problem
from ...core.verdict import Verdict
from ..errors import NotConverged
from ..meshes import read_mesh, refined, unit_square
from ..reduced import ReducedFunctional, vector
from .descent import min_norm
from .grid import Grid, Level
from .oracle import StateOracle
from .scalarise import individual_minima

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from jaxtyping import Float
    from skfem import MeshTri

Resource("state_solves", "solves of the nonlinear state equation on the problem's own mesh")
Resource("linear_solves", "back-substitutions with the factorisation of a state: adjoints and such")
Resource("reduced_solves", "solves of the state equation in a reduced basis")
CORNER = 1.1
"""The reference point of the hypervolume, where 0 is the ideal point and 1 the nadir point."""
MOST_CONTROLS = 100_000
SHOWN = 8
"""Points of a front that a printed result has."""


@dataclass(frozen=True)
class Tracking(Checked):
    """A goal: j(y) = 1/2 |y - target|^2 over the domain, plus sigma / 2 |u|^2.

    Attributes:
        target: From coordinates x and y (arrays) to the wanted state, or (nodes,) its values at
            the mesh's nodes, or a number.
        sigma: Weight of the control's size, >= 0.

    Raises:
        ArgumentError: sigma < 0.
        ArgumentTypeError: A target of another kind.
    """

    target: Any
    sigma: float = 1e-3

    def __post_init__(self) -> None:
        real("sigma", self.sigma, least=0)
        if not callable(self.target):
            values = floats("target", self.target)
            if values.ndim > 1 or not np.isfinite(values).all():
                raise ShapeError(
                    f"target has shape {values.shape}: expected a function of x and y, a number, "
                    "or a finite value for each node"
                )


@dataclass(eq=False)
class PDEControl(Problem):
    """Choose a control for several goals of one state.

        minimise    (J_1, ..., J_k)(u),    J_i = 1/2 |y - y_i|^2 + sigma_i / 2 |u|^2
        where       -Laplace y + kappa max(0, y) = B u in the domain,  y = 0 on its boundary

    The state is a Lipschitz function of the control, without a derivative where y = 0 on a set that
    has an area. An answer is a front: controls and their objectives. The judge solves the state
    equation anew on the mesh with every triangle cut into four; its objective is minus the
    hypervolume there, in objectives scaled so that the ideal point is 0 and the nadir point 1, up
    to the reference point 1.1. Metrics have the same figure on the problem's own mesh as well. The
    residual is the largest distance of 0 from the convex hull of the scaled gradients, over the
    points of the front: at a Pareto critical point where all J_i are smooth it is 0.

    A method is charged a `state_solves` for each nonlinear solve, and a `linear_solves` for each
    back-substitution (an adjoint is one).

    Attributes:
        mesh: Interior nodes along a side of the unit square; or a file that meshio reads; or a
            mesh of triangles of scikit-fem.
        kappa: >= 0.
        controls: "distributed", a value at every interior node; or functions of x and y that u
            weighs; or (nodes, d) their values at the mesh's nodes.
        objectives: Goals, two or more.
        bounds: (low, high) of every control, or a pair for each: where methods that need a box
            look. Others may leave it.
        ideal: (k,) least values of each objective; None: those that the judge finds.
        nadir: (k,) the largest value of each at the others' minimisers; None: as `ideal`.
        name: What it is called.

    Raises:
        ArgumentError: kappa < 0, fewer than two goals, bounds that cross.
        ArgumentTypeError: Something of another kind.
        ShapeError: What does not fit the mesh.
        InvalidShape: A mesh with flat triangles.

    Example:
        >>> import numpy as np
        >>> from feasible.physics import PDEControl, Tracking
        >>> warm = lambda x, y: 0.3 * np.sin(np.pi * x) * np.sin(np.pi * y)
        >>> both = PDEControl(
        ...     mesh=7,
        ...     controls=[lambda x, y: 10.0 * (x < 0.5), lambda x, y: 10.0 * (x >= 0.5)],
        ...     objectives=[Tracking(warm), Tracking(lambda x, y: -warm(x, y))],
        ... )
        >>> both.state([0.0, 0.0]).y.any()
        np.False_
    """

    mesh: Any = 31
    kappa: float = 10.0
    controls: Any = "distributed"
    objectives: Sequence[Tracking] = ()
    bounds: Any = (-2.0, 2.0)
    ideal: Any = None
    nadir: Any = None
    name: str = "pde-control"
    kept: dict[str, Any] = field(init=False, repr=False, default_factory=dict)

    several = True
    example_budget: ClassVar[str] = "state_solves=120"
    trail_growth: float = 1.5
    answers: ClassVar[tuple[type, ...]] = (Front,)
    objective_title: ClassVar[str] = "minus hypervolume"

    def __post_init__(self) -> None:
        self.kappa = real("kappa", self.kappa, least=0, note=": below 0 a control has many states")
        goals = self.objectives
        if not isinstance(goals, Sequence) or not all(isinstance(g, Tracking) for g in goals):
            raise ArgumentTypeError(f"objectives={goals!r:.60}: expected a list of Tracking")
        if len(goals) < 2:
            raise ArgumentError(f"objectives: got {len(goals)}, expected two or more")
        self.domain = self._read_mesh()
        with naming("controls"):
            self.grid = Grid(self.domain, self.kappa, self.controls, goals)
        self.d, self.k = self.grid.d, len(goals)
        self.level: Level = self.grid.level(self.domain)
        self.box = self._read_bounds()
        for name in ("ideal", "nadir"):
            given = getattr(self, name)
            if given is not None:
                setattr(self, name, vector(name, given, self.k))
        if self.ideal is not None and self.nadir is not None and (self.nadir <= self.ideal).any():
            raise ArgumentError("nadir: expected larger numbers than in ideal")
        shown = self.d <= SHOWN
        self.names = tuple(f"u{j + 1}" for j in range(self.d)) if shown else ()

    def _read_mesh(self) -> MeshTri:
        """Make the mesh, or read it."""
        if isinstance(self.mesh, (str, Path)):
            with naming("mesh"):
                return read_mesh(self.mesh)
        if hasattr(self.mesh, "p") and hasattr(self.mesh, "t"):
            return self.mesh
        with naming("mesh"):
            return unit_square(whole("mesh", self.mesh, least=1, note=", a file, or a mesh"))

    def _read_bounds(self) -> Float[np.ndarray, "d 2"]:
        """(d, 2) the box."""
        with naming("bounds"):
            found = floats("bounds", self.bounds)
            if found.shape == (2,):
                found = np.tile(found, (self.d, 1))
            if found.shape != (self.d, 2):
                raise ShapeError(f"bounds have shape {found.shape}: expected (2,) or ({self.d}, 2)")
            if not np.isfinite(found).all():
                raise NotFinite("bounds: expected finite numbers")
            if (found[:, 0] >= found[:, 1]).any():
                raise ArgumentError("bounds: expected low < high")
        return found

    # -- what a method may use ---------------------------------------------------------------------

    def oracle(self) -> StateOracle:
        """What a method asks, charged to the run; it keeps the last points."""
        return StateOracle(self.level, spend)

    def state(self, u: Any) -> Any:
        """The state of a control, with its solver; not charged."""
        return self.level.state(vector("u", u, self.d))

    def reduced(self, i: int, u: Any = None) -> ReducedFunctional:
        """J_i as a function of the control, for SciPy and `taylor_test`; charged in a run.

        Args:
            i: Number of the objective, from 0.
            u: (d,) where one begins; None: zeros.
        """
        i = whole("i", i, least=0, most=self.k - 1)
        oracle = self.oracle()
        start = np.zeros(self.d) if u is None else vector("u", u, self.d)
        return ReducedFunctional(
            lambda m: oracle.values(m)[i],
            start,
            lambda m: oracle.gradient(i, m),
            self.level.weights,
        )

    # -- judging -----------------------------------------------------------------------------------

    @cached_property
    def fine(self) -> Level:
        """The problem on the judge's mesh."""
        return self.grid.level(*refined(self.domain))

    @cached_property
    def scale(self) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """(k,) the ideal and (k,) the nadir point, found on the judge's mesh where not given."""
        ideal, nadir = self.ideal, self.nadir
        if ideal is None or nadir is None:
            oracle = StateOracle(self.fine)
            _, F = individual_minima(oracle, self.box, np.random.default_rng(0))
            ideal = F.min(axis=0) if ideal is None else ideal
            nadir = F.max(axis=0) if nadir is None else nadir
        return ideal, nadir

    def scaled(self, F: Any) -> Float[np.ndarray, "n k"]:
        """Objectives with the ideal point at 0 and the nadir point at 1."""
        ideal, nadir = self.scale
        return (np.asarray(F) - ideal) / (nadir - ideal)

    def judge(self, answer: Any) -> Verdict:
        """Solve the state equation of every control anew, on a finer mesh."""
        if answer is None or not len(answer.points):
            return Verdict(float("nan"), float("inf"))
        points = floats("answer.points", answer.points)
        if points.ndim != 2 or points.shape[1] != self.d:
            raise ShapeError(f"answer.points has shape {points.shape}: expected (n, {self.d})")
        fine, own = self._measured(points, self.fine), self._measured(points, self.level)
        missed = np.where(np.isfinite(fine).all(axis=1), 0.0, np.inf)
        corner = np.full(self.k, CORNER)
        found = front_verdict(Front(points, self.scaled(fine), missed), corner)
        if found.missing:
            return found
        finite = np.isfinite(own).all(axis=1)
        coarse = self.scaled(own[finite])
        best = Front(points, self.scaled(fine), missed).best()
        metrics = {
            **found.metrics,
            "own_mesh_hypervolume": hypervolume(coarse, corner),
            "mesh_gap": float(np.abs(self.scaled(fine)[finite] - coarse).max(initial=0.0)),
        }
        residual = max((self.criticality(u) for u in best.points), default=None)
        return Verdict(found.objective, found.violation, 0.0, residual, {}, metrics)

    def _measured(self, points: Float[np.ndarray, "n d"], level: Level) -> Float[np.ndarray, "n k"]:
        """(n, k) objectives on a mesh; what was measured before is kept."""
        known = self.kept.setdefault(level.key, {})
        for u in points:
            if u.tobytes() not in known:
                try:
                    known[u.tobytes()] = level.objectives(u, level.state(u).y)
                except NotConverged:
                    known[u.tobytes()] = np.full(self.k, np.nan)
        return np.stack([known[u.tobytes()] for u in points])

    def criticality(self, u: Any) -> float:
        """The distance of 0 from the convex hull of the scaled gradients on the judge's mesh."""
        at = vector("u", u, self.d)
        known = self.kept.setdefault("criticality", {})
        if at.tobytes() not in known:
            ideal, nadir = self.scale
            slopes = StateOracle(self.fine).gradients(at) / (nadir - ideal)[:, None]
            v, _ = min_norm(slopes / np.sqrt(self.fine.weights))
            known[at.tobytes()] = float(np.linalg.norm(v))
        return known[at.tobytes()]

    # -- how it is shown ---------------------------------------------------------------------------

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        rows: list[tuple[str, ...]] = [("metric", "value")]
        rows.append(("hypervolume, finer mesh", f"{-verdict.objective:.6g}"))
        rows += [(k.replace("_", " "), f"{v:.6g}") for k, v in verdict.metrics.items()]
        if verdict.residual is not None:
            rows.append(("largest criticality", f"{verdict.residual:.3g}"))
        return rows

    def reached(self, verdict: Verdict) -> str:
        """The hypervolume on both meshes."""
        own = verdict.metrics.get("own_mesh_hypervolume", float("nan"))
        return f"hypervolume {-verdict.objective:.6g} on the finer mesh, {own:.6g} on its own"

    def listing(self, answer: Any) -> list[str]:
        """Some points of the front: scaled objectives, and the control where it is short."""
        best = Front(answer.points, answer.objectives, answer.violations).best()
        if not len(best):
            return []
        order = np.argsort(best.objectives[:, 0])
        chosen = np.unique(np.linspace(0, len(order) - 1, min(len(order), SHOWN)).round())
        head = [f"J{i + 1}, scaled" for i in range(self.k)] + list(self.names)
        lines = ["  ".join(f"{h:>12}" for h in head)]
        for i in order[chosen.astype(int)]:
            row = [*self.scaled(best.objectives[i]), *(best.points[i] if self.names else ())]
            lines.append("  ".join(f"{v:12.6g}" for v in row))
        return lines

    def picture(self, answer: Any) -> go.Figure | None:
        """The front in scaled objectives; of three goals in space, of more not at all."""
        import plotly.graph_objects as go

        best = Front(answer.points, answer.objectives, answer.violations).best()
        if not len(best) or self.k > 3:
            return None
        axes = dict(zip("xyz", self.scaled(best.objectives).T, strict=False))
        said = [", ".join(f"{v:.4g}" for v in u[:SHOWN]) for u in best.points]
        draw = go.Scatter if self.k == 2 else go.Scatter3d
        figure = go.Figure(draw(**axes, mode="markers", text=said, name="front"))
        titles = {f"{a}axis_title": f"J{i + 1}, scaled" for i, a in enumerate(axes)}
        shown = titles if self.k == 2 else {"scene": titles}
        figure.update_layout(title=self.name, template="simple_white", **shown)
        return figure

    def outline(self) -> list[str]:
        """The mesh, the controls, the goals."""
        n = len(self.level.equation.mass)
        return [
            f"{n} interior nodes, kappa={self.kappa:g}, {self.d} controls, {self.k} goals",
            f"judged on {4 * self.domain.t.shape[1]} triangles, "
            f"with {self.domain.t.shape[1]} of its own",
        ]

    def fields(self, u: Any) -> Mapping[str, Float[np.ndarray, " nodes"]]:
        """State, control and targets at all nodes of the mesh, for `write_vtu`."""
        return self.level.fields(vector("u", u, self.d))
