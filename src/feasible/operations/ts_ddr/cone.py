"""A window solved by Clarabel, an interior-point solver, whose duals are smoother at kinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ...core.extras import named
from ..lp import NoSolution, Solved, SolverFailed
from ..window import Penalty, Projected, Window

if TYPE_CHECKING:
    from jaxtyping import Float


class ConeWindow:
    """minimise q'x + x'Px / 2 where A x + s = b, s zero or >= 0, of a window with targets."""

    def __init__(self, window: Window):
        self.window, model = window, window.model
        self.same = np.concatenate(
            [
                window.below & window.above,
                np.ones(model.A.shape[0] - window.m, dtype=bool),
            ]
        )
        rest = np.zeros(model.A.shape[0] - window.m, dtype=bool)
        self.high = np.concatenate([window.above & ~window.below, rest])
        self.low = np.concatenate([window.below & ~window.above, rest])
        n, A = model.A.shape[1], model.A.tocsr()
        self.above, self.below = np.isfinite(model.upper), np.isfinite(model.lower)
        eye = sparse.eye_array(n, format="csr")
        self.A = sparse.csc_matrix(
            sparse.vstack(
                [A[self.same], A[self.high], -A[self.low], eye[self.above], -eye[self.below]]
            )
        )

    def set_penalty(self, penalty: Penalty) -> None:
        """Give missed targets another cost."""
        self.window.set_penalty(penalty)

    def solve(
        self,
        start: Float[np.ndarray, " k"],
        noise: Float[np.ndarray, "W d"],
        targets: Float[np.ndarray, "W k"],
    ) -> Projected:
        """Solve it for a path. Raises NoSolution, SolverFailed."""
        with named("solver='clarabel'", "programs"):
            import clarabel
        self.window.place(start, noise, targets)
        model = self.window.model
        b = np.concatenate(
            [
                model.low[self.same],
                model.high[self.high],
                -model.low[self.low],
                model.upper[self.above],
                -model.lower[self.below],
            ]
        )
        squares = self.window.squares()
        P = sparse.csc_matrix(sparse.diags_array(2.0 * squares))
        zero = int(self.same.sum())
        cones = [clarabel.ZeroConeT(zero), clarabel.NonnegativeConeT(len(b) - zero)]
        options = clarabel.DefaultSettings()
        options.verbose = False
        found: Any = clarabel.DefaultSolver(P, self.window.cost, self.A, b, cones, options).solve()
        status = str(found.status)
        if "PrimalInfeasible" in status:
            raise NoSolution("no point satisfies this linear program")
        if "Solved" not in status:
            raise SolverFailed(f"Clarabel ended with the status '{status}'")
        z = np.asarray(found.z)
        dual = np.zeros(model.A.shape[0])
        dual[self.same] = -z[:zero]  # Clarabel's z is minus the derivative in b
        ends = np.cumsum([zero, int(self.high.sum()), int(self.low.sum())])
        dual[self.high] = -z[ends[0] : ends[1]]
        dual[self.low] = z[ends[1] : ends[2]]
        return self.window.read(Solved(found.obj_val, np.asarray(found.x), dual), targets)
