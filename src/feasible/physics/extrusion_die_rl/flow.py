"""Stokes flow through a channel, Newtonian or shear-thinning.

    -div(2 eta eps(u)) + grad p = 0,  div u = 0,    eps = (grad u + grad u^T) / 2

in Taylor-Hood elements (P2, P1). eta is 1, or A / (1 + B gamma)^C with gamma = sqrt(2 eps : eps),
by Picard's iteration from the Newtonian flow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from ...core.checks import real
from ...core.errors import ArgumentError, ArgumentTypeError
from ...core.extras import named
from ..errors import NotConverged
from ..meshes import check_shape, mesh_arrays

if TYPE_CHECKING:
    from jaxtyping import Float
    from skfem import MeshTri

    Points = Float[np.ndarray, "n 2"]

CARREAU = ("carreau", 1.0, 0.138, 0.725)
"""Shear thinning of a polymer melt; A only scales the pressure, and is 6589 Pa s there."""
PICARD = 1e-4
"""Relative change of the velocity at which Picard's iteration ends."""
MOST = 50
"""Most iterations."""
MIN_ANGLE = 5.0
"""Degrees that every angle of a mesh must have."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow.

    Attributes:
        u: (m,) velocity, x and y of each degree of freedom of the P2 element in turn.
        p: (n,) pressure at the nodes.
        iterations: Of Picard.
        points: (n, 2) the nodes that it was solved on.
        velocity: (n, 2) velocity at the nodes.
        fluxes: Name -> what leaves through that boundary per unit of time; < 0 at the inlet.
        lengths: Name -> length of that boundary.
    """

    u: Float[np.ndarray, " m"]
    p: Float[np.ndarray, " n"]
    iterations: int
    points: Points
    velocity: Points
    fluxes: Mapping[str, float]
    lengths: Mapping[str, float]

    def flux(self, name: str) -> float:
        """What leaves through a boundary, per unit of time."""
        return self.fluxes[name]

    def length(self, name: str) -> float:
        """The length of a boundary."""
        return self.lengths[name]


class StokesSolver2D:
    """Stokes flow on a mesh and on deformations of it.

    Args:
        mesh: Triangles of scikit-fem, with named boundaries.
        inflow: (name, function): the boundary and the velocity along x there as a function of x, y.
        outlets: Names of the boundaries where the flow leaves along the normal, without traction;
            each along a coordinate axis.
        viscosity: "newtonian", "carreau", or ("carreau", A, B, C).

    All other parts of the boundary are walls.

    Raises:
        ArgumentError: A boundary that the mesh does not have, a viscosity out of range.
        ArgumentTypeError: Something of another kind.
        InvalidShape: A mesh with flat triangles.
    """

    def __init__(
        self,
        mesh: MeshTri,
        inflow: tuple[str, Callable[[Any, Any], Any]],
        outlets: Sequence[str],
        viscosity: Any = "newtonian",
    ):
        self.points, self.triangles = mesh_arrays(mesh)
        check_shape(self.points, self.triangles)
        known = getattr(mesh, "boundaries", None) or {}
        if not isinstance(inflow, (tuple, list)) or len(inflow) != 2 or not callable(inflow[1]):
            raise ArgumentTypeError("inflow: expected (name of a boundary, function of x and y)")
        if isinstance(outlets, str) or not isinstance(outlets, Sequence):
            raise ArgumentTypeError(f"outlets={outlets!r:.40}: expected names of boundaries")
        for name in (inflow[0], *outlets):
            if name not in known:
                raise ArgumentError(
                    f"boundary {name!r}: the mesh has {', '.join(sorted(known)) or 'none'}"
                )
        self.mesh, self.inflow, self.outlets = mesh, inflow, tuple(outlets)
        self.viscosity = read_viscosity(viscosity)
        with named("StokesSolver2D", "physics"):
            from skfem import Basis, ElementTriP2, ElementVector
            from skfem.quadrature import get_quadrature
        element = ElementTriP2()
        basis = Basis(mesh, ElementVector(element), intorder=4)
        X, W = get_quadrature(mesh.elem, 2 if self.viscosity is None else 4)
        self.W, self.m = W, basis.N
        self.shapes = np.stack([element.lbasis(X, i)[1] for i in range(6)])  # (6, 2, q)
        self.linear = np.stack([1 - X[0] - X[1], X[0], X[1]])  # (3, q)
        self.nodal, self.edges = basis.nodal_dofs, basis.facet_dofs
        x, fixed = self._boundary(basis)
        n = self.m + len(self.points)
        self.given, self.free = np.concatenate([x, np.zeros(n - self.m)]), np.ones(n, dtype=bool)
        self.free[fixed] = False
        self._number(basis.element_dofs)

    def _number(self, dofs: Any) -> None:
        """Note once where the elements' entries go in the matrix of the free unknowns."""
        pressures = self.m + self.triangles.T
        v, q = dofs[:, None, :], pressures[:, None, :]
        shape = (12, 12, dofs.shape[1]), (3, 12, dofs.shape[1])
        velocity = [np.broadcast_to(v, shape[0]), np.broadcast_to(dofs[None], shape[0])]
        mixed = [np.broadcast_to(q, shape[1]), np.broadcast_to(dofs[None], shape[1])]
        rows = np.concatenate([velocity[0].ravel(), mixed[0].ravel(), mixed[1].ravel()])
        columns = np.concatenate([velocity[1].ravel(), mixed[1].ravel(), mixed[0].ravel()])
        n, inside = len(self.free), self.free[rows] & self.free[columns]
        place = np.cumsum(self.free) - 1
        k = int(self.free.sum())
        keys, slots = np.unique(
            place[columns[inside]] * k + place[rows[inside]], return_inverse=True
        )
        self._inside, self._slots, self._size = inside, slots, len(keys)
        starts = np.searchsorted(keys // k, np.arange(k + 1))
        self._pattern = (keys % k, starts, k)
        lifted = self.free[rows] & ~self.free[columns]
        self._lifted, self._lift_rows = lifted, place[rows[lifted]]
        self._lift_values = self.given[columns[lifted]]
        self.dofs, self._n = dofs, n

    def solve(self, points: Points | None = None) -> Flow:
        """The flow on the mesh, or with its nodes moved.

        Args:
            points: (n, 2) the nodes; None: where they are.

        Raises:
            InvalidShape: A triangle is turned over or too sharp; nothing is solved.
            NotConverged: Picard's iteration did not end.
        """
        at = self.points if points is None else points
        if points is not None:
            check_shape(at, self.triangles, self.points, MIN_ANGLE)
        a, b, c = (at[self.triangles[:, i]].T for i in range(3))
        J = np.stack([b - a, c - a], axis=1)  # (2, 2, e): columns are the sides
        det = J[0, 0] * J[1, 1] - J[0, 1] * J[1, 0]
        inverse = np.stack([np.stack([J[1, 1], -J[0, 1]]), np.stack([-J[1, 0], J[0, 0]])]) / det
        G = np.einsum("ikq,kae->iaqe", self.shapes, inverse)  # gradients of the P2 functions
        dx = self.W[:, None] * np.abs(det)
        B = -np.einsum("mq,jbqe,qe->mjbe", self.linear, G, dx).reshape(3, 12, -1)

        full = self._solved(G, B, dx)
        iterations = 0
        while self.viscosity is not None:
            iterations += 1
            before = full[: self.m]
            local = before[self.dofs].reshape(6, 2, -1)
            slope = np.einsum("jaqe,jbe->abqe", G, local)
            eps = 0.5 * (slope + slope.swapaxes(0, 1))
            full = self._solved(G, B, dx * self._eta(np.sqrt(2.0 * (eps**2).sum(axis=(0, 1)))))
            change = float(np.linalg.norm(full[: self.m] - before) / np.linalg.norm(before))
            if change <= PICARD:
                break
            if iterations >= MOST:
                raise NotConverged(
                    f"viscosity: Picard's iteration changed by {change:.3g} after {MOST} "
                    f"iterations, expected {PICARD:g}",
                    change,
                    MOST,
                )
        u = full[: self.m]
        names = (self.inflow[0], *self.outlets)
        sides = {name: self._side(at, u, name) for name in names}
        return Flow(
            u,
            full[self.m :],
            iterations,
            at,
            u[self.nodal].T,
            {n: s[0] for n, s in sides.items()},
            {n: s[1] for n, s in sides.items()},
        )

    def _solved(self, G: Any, B: Any, weight: Any) -> Float[np.ndarray, " n"]:
        """Velocities and pressures for viscosities times quadrature weights (q, e).

        2 eta eps(phi_j e_b) : eps(phi_i e_a)
            = eta (delta_ab grad phi_i . grad phi_j + d_a phi_j d_b phi_i)
        """
        D = np.einsum("iaqe,jbqe,qe->ijabe", G, G, weight, optimize=True)
        A = np.ascontiguousarray(D.transpose(1, 2, 0, 3, 4))  # of D[j, i, a, b] at (i, a, j, b)
        laplace = D[:, :, 0, 0] + D[:, :, 1, 1]
        for a in range(2):
            A[:, a, :, a] += laplace
        values = np.concatenate([A.ravel(), B.ravel(), B.ravel()])
        data = np.bincount(self._slots, values[self._inside], self._size)
        rows, starts, k = self._pattern
        K = csc_array((data, rows, starts), shape=(k, k))
        lifted = values[self._lifted] * self._lift_values
        full = self.given.copy()
        full[self.free] = splu(K).solve(-np.bincount(self._lift_rows, lifted, k))
        return full

    def _side(self, points: Points, u: Any, name: str) -> tuple[float, float]:
        """What leaves through a boundary (Simpson's rule, exact here), and its length."""
        facets = self.mesh.boundaries[name]
        first, last = self.mesh.facets[:, facets]
        along = points[last] - points[first]
        normal = np.stack([along[:, 1], -along[:, 0]])  # as long as the facet
        inner = self.triangles[self.mesh.f2t[0, facets]]
        out = points[first] - points[inner].mean(axis=1)
        normal *= np.sign((normal * out.T).sum(axis=0))
        mean = u[self.nodal[:, first]] + 4 * u[self.edges[:, facets]] + u[self.nodal[:, last]]
        return float((mean * normal).sum() / 6), float(np.hypot(*along.T).sum())

    def _eta(self, gamma: Any) -> Any:
        """The viscosity at shear rates."""
        assert self.viscosity is not None
        A, B, C = self.viscosity
        return A / (1.0 + B * gamma) ** C

    def _boundary(self, basis: Any) -> tuple[Float[np.ndarray, " m"], Any]:
        """Velocities on the boundary, and which degrees of freedom are given. Where a wall and the
        inlet or an outlet meet, the wall counts.
        """
        name, profile = self.inflow
        open_facets = np.concatenate([self.mesh.boundaries[n] for n in (name, *self.outlets)])
        walls = np.setdiff1d(self.mesh.boundary_facets(), open_facets)
        wall = basis.get_dofs(facets=walls).all()
        x, given = np.zeros(basis.N), [wall]
        inlet = basis.get_dofs(facets=self.mesh.boundaries[name])
        along = inlet.all(["u^1"])
        x[along] = profile(*basis.doflocs[:, along])
        given.append(inlet.all())
        for outlet in self.outlets:
            facets = self.mesh.boundaries[outlet]
            ends = self.points[self.mesh.facets[:, facets]]  # (2, f, 2), of the undeformed mesh
            flat = np.abs(ends[0] - ends[1]).max(axis=0)
            component = "u^1" if flat[1] < flat[0] else "u^2"
            given.append(basis.get_dofs(facets=facets).all([component]))
        x[wall] = 0.0
        return x, np.unique(np.concatenate(given))


def read_viscosity(given: Any) -> tuple[float, float, float] | None:
    """A, B, C of shear thinning; None for a Newtonian fluid, which C = 0 is too."""
    if isinstance(given, str) and given == "newtonian":
        return None
    found = CARREAU if isinstance(given, str) and given == "carreau" else given
    if not isinstance(found, (tuple, list)) or len(found) != 4 or found[0] != "carreau":
        raise ArgumentError(
            f"viscosity={given!r:.60}: expected 'newtonian', 'carreau' or ('carreau', A, B, C)"
        )
    A = real("viscosity A", found[1], above=0)
    B, C = (real(f"viscosity {n}", v, least=0) for n, v in zip("BC", found[2:], strict=True))
    return None if B == 0 or C == 0 else (A, B, C)
