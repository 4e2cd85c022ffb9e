"""A control problem on a mesh: matrices, targets, and how controls act at its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csc_array, csr_array, diags_array, eye_array

from ...core.checks import floats, naming, shown
from ...core.errors import ArgumentError, NotFinite, ShapeError
from ...core.extras import named
from ..errors import NotConverged
from ..meshes import check_shape, mesh_arrays
from .state import State, StateEquation

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from skfem import MeshTri

    Control = Float[np.ndarray, " d"]
    Nodal = Float[np.ndarray, " n"]

DISTRIBUTED = "distributed"


@dataclass(eq=False)
class Level:
    """A control problem on one mesh.

    Attributes:
        equation: The state equation.
        B: (n, d) how controls act at the interior nodes.
        targets: (k, n).
        sigma: (k,).
        weights: (d,) the diagonal of the controls' inner product.
        key: Says which mesh it is.
        mesh: The mesh.
        interior: (n,) numbers of its interior nodes.
    """

    equation: StateEquation
    B: Any
    targets: Float[np.ndarray, "k n"]
    sigma: Float[np.ndarray, " k"]
    weights: Control
    key: str
    mesh: MeshTri
    interior: Int[np.ndarray, " n"]

    @property
    def k(self) -> int:
        """The number of goals."""
        return len(self.sigma)

    @property
    def d(self) -> int:
        """The number of controls."""
        return len(self.weights)

    def load(self, u: Control) -> Nodal:
        """(n,) the right-hand side D B u."""
        return self.equation.mass * (self.B @ u)

    def state(self, u: Control) -> State:
        """The state of a control. Raises NotConverged."""
        if not np.isfinite(u).all():
            raise NotConverged("state: the control is not finite", np.nan, 0)
        return self.equation.solve(self.load(u))

    def objectives(self, u: Control, y: Nodal) -> Float[np.ndarray, " k"]:
        """(k,) J_i of a control and its state."""
        tracking = ((y - self.targets) ** 2) @ self.equation.mass
        return 0.5 * (tracking + self.sigma * (self.weights @ u**2))

    def misfit(self, i: int, y: Nodal) -> Nodal:
        """(n,) the derivative of J_i in the state."""
        return self.equation.mass * (y - self.targets[i])

    def pulled(self, p: Any) -> Any:
        """The transpose of `load`: from adjoints (n,) or (n, m) to controls."""
        mass = self.equation.mass if p.ndim == 1 else self.equation.mass[:, None]
        return self.B.T @ (mass * p)

    def at_nodes(self, interior: Nodal) -> Float[np.ndarray, " nodes"]:
        """Values at all nodes, 0 on the boundary."""
        found = np.zeros(self.mesh.p.shape[1])
        found[self.interior] = interior
        return found

    def fields(self, u: Control) -> Mapping[str, Float[np.ndarray, " nodes"]]:
        """State, control and targets at all nodes."""
        found = {"y": self.at_nodes(self.state(u).y), "control": self.at_nodes(self.B @ u)}
        return found | {f"target{i + 1}": self.at_nodes(t) for i, t in enumerate(self.targets)}


class Grid:
    """How a control problem is put on a mesh, and on finer ones.

    Args:
        mesh: The problem's own.
        kappa: Of the equation.
        controls: As `PDEControl` takes them.
        goals: Its goals.
    """

    def __init__(self, mesh: MeshTri, kappa: float, controls: Any, goals: Sequence[Any]):
        self.mesh, self.kappa, self.goals = mesh, kappa, goals
        check_shape(*mesh_arrays(mesh))
        self.nodes = mesh.p.shape[1]
        self.interior = mesh.interior_nodes()
        if not len(self.interior):
            raise ArgumentError("mesh: it has no interior node")
        if isinstance(controls, str):
            if controls != DISTRIBUTED:
                raise ArgumentError(
                    f"controls={shown(controls)}: expected '{DISTRIBUTED}', functions of x and y, "
                    "or their values at the nodes"
                )
            self.functions: Any = None
            self.d = len(self.interior)
        elif isinstance(controls, Sequence) and controls and all(map(callable, controls)):
            self.functions, self.d = list(controls), len(controls)
        else:
            values = floats("controls", controls)
            if values.ndim != 2 or len(values) != self.nodes or not values.shape[1]:
                raise ShapeError(
                    f"controls have shape {values.shape}: expected ({self.nodes}, d), a row for "
                    "each node of the mesh"
                )
            if not np.isfinite(values).all():
                raise NotFinite("controls: expected finite numbers")
            self.functions, self.d = values, values.shape[1]

    def level(self, mesh: MeshTri, carry: csr_array | None = None) -> Level:
        """The problem on a mesh: its own, or a finer one.

        Args:
            mesh: The mesh.
            carry: From values at the nodes of the own mesh to those of this one; None: it is the
                own mesh.
        """
        with named("PDEControl", "physics"):
            from skfem import Basis, ElementTriP1
            from skfem.models.poisson import laplace, mass
        basis = Basis(mesh, ElementTriP1())
        inside = mesh.interior_nodes()
        A = csc_array(laplace.assemble(basis))[inside][:, inside]
        lumped = np.asarray(mass.assemble(basis).sum(axis=1)).ravel()
        equation = StateEquation(A, lumped[inside], self.kappa)
        x, y = mesh.p
        targets = []
        for i, goal in enumerate(self.goals):
            with naming(f"objectives[{i}].target"):
                targets.append(self._nodal("target", goal.target, x, y, carry)[inside])
        weights = np.ones(self.d)
        if self.functions is None:
            own = np.asarray(mass.assemble(Basis(self.mesh, ElementTriP1())).sum(axis=1)).ravel()
            weights = own[self.interior]
        return Level(
            equation,
            self._acting(x, y, carry, inside),
            np.stack(targets),
            np.array([g.sigma for g in self.goals]),
            weights,
            "own" if carry is None else "fine",
            mesh,
            inside,
        )

    def _nodal(self, name: str, given: Any, x: Nodal, y: Nodal, carry: Any) -> Nodal:
        """(nodes,) the values of what a user gave as a function, as values or as a number."""
        if callable(given):
            values = floats(name, given(x, y))
            values = np.full(len(x), float(values)) if values.ndim == 0 else values
        else:
            values = floats(name, given)
            if values.ndim == 0:
                values = np.full(len(x), float(values))
            elif len(values) != self.nodes:
                raise ShapeError(f"{name} has shape {values.shape}: expected ({self.nodes},)")
            elif carry is not None:
                values = carry @ values
        if values.shape != x.shape:
            raise ShapeError(f"{name} gave shape {values.shape}: expected {x.shape}")
        if not np.isfinite(values).all():
            raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
        return values

    def _acting(self, x: Nodal, y: Nodal, carry: Any, inside: Any) -> Any:
        """(n, d) how controls act at interior nodes."""
        if self.functions is None:
            return self._carried(carry, inside)
        if isinstance(self.functions, list):
            columns = [
                self._nodal(f"controls[{j}]", f, x, y, None)[inside]
                for j, f in enumerate(self.functions)
            ]
            return np.stack(columns, axis=1)
        values = self.functions if carry is None else carry @ self.functions
        return values[inside]

    def _carried(self, carry: Any, inside: Any) -> csr_array:
        """How values at the own mesh's interior nodes act at the interior nodes of a mesh: where an
        edge of the finer one ends at the boundary, as at its other end.
        """
        if carry is None:
            return csr_array(eye_array(len(inside)))
        rows = csr_array(carry)[inside]
        sums = np.asarray(rows[:, self.interior].sum(axis=1)).ravel()
        lost = np.flatnonzero(sums == 0)  # both ends of its edge are on the boundary
        own, at = self.mesh.p[:, self.interior].T, rows[lost] @ self.mesh.p.T
        near = [int(((own - place) ** 2).sum(axis=1).argmin()) for place in at]
        taken = csr_array((np.ones(len(lost)), (lost, near)), shape=(len(inside), len(own)))
        sums[lost] = 1.0
        return csr_array(diags_array(1 / sums) @ rows[:, self.interior] + taken)
