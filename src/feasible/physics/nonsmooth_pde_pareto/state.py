"""The state of a control: semismooth Newton for -Laplace y + kappa max(0, y) = B u.

    A y + kappa D max(0, y) = D B u,     D the lumped mass, A the stiffness of linear elements

at the interior nodes. max(0, .) is piecewise linear, so that Newton's iterate is the solution of
the linear equation of its active set,

    y <- (A + kappa D diag(1[y > 0]))^{-1} D B u,

and depends on the control and the active set only, not on where the iteration began. The last
factorisation gives the adjoint by one back-substitution.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csc_array, diags_array
from scipy.sparse.linalg import splu

from ..errors import NotConverged

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    Nodal = Float[np.ndarray, " n"]

TOLERANCE = 1e-11
"""Of the residual, relative to the right-hand side where that is larger than 1."""
DAMPED = 20
"""Iterations after which steps are halved: sets of a cycle take turns."""
MOST = 60
"""Most iterations."""
KEPT = 4
"""Factorisations that are kept."""


@dataclass(frozen=True, slots=True)
class State:
    """The state of a control.

    Attributes:
        y: (n,) at the interior nodes.
        active: (n,) True where y > 0.
        iterations: Linear equations that were solved.
        solve: From a right-hand side (n,) or (n, m) to the solution of the linear equation of the
            active set; the matrix is symmetric.
    """

    y: Nodal
    active: Bool[np.ndarray, " n"]
    iterations: int
    solve: Any


class StateEquation:
    """The equation on one mesh.

    Args:
        A: (n, n) stiffness at the interior nodes.
        mass: (n,) lumped mass.
        kappa: >= 0.
    """

    def __init__(self, A: csc_array, mass: Nodal, kappa: float):
        self.A, self.mass, self.kappa = csc_array(A), mass, kappa
        self.root = np.sqrt(mass)
        self.last = np.zeros(len(mass), dtype=bool)
        self._factors: OrderedDict[bytes, Any] = OrderedDict()

    def factor(self, active: Bool[np.ndarray, " n"]) -> Any:
        """The factorisation of the matrix of an active set."""
        key = np.packbits(active).tobytes()
        found = self._factors.get(key)
        if found is None:
            matrix = self.A + diags_array(self.kappa * self.mass * active)
            found = splu(csc_array(matrix))
            self._factors[key] = found
            if len(self._factors) > KEPT:
                self._factors.popitem(last=False)
        self._factors.move_to_end(key)
        return found

    def defect(self, y: Nodal, b: Nodal) -> Nodal:
        """(n,) what y leaves of the equation."""
        return self.A @ y + self.kappa * self.mass * np.maximum(0.0, y) - b

    def residual(self, y: Nodal, b: Nodal) -> float:
        """The residual of y, relative to b where that is larger than 1."""
        size = max(1.0, float(np.linalg.norm(b / self.root)))
        return float(np.linalg.norm(self.defect(y, b) / self.root)) / size

    def solve(self, b: Nodal) -> State:
        """The state of a right-hand side D B u.

        It begins with the active set of the last state. Where it fails that stays as it was.

        Raises:
            NotConverged: The iteration did not end.
        """
        active, y, left = self.last, np.zeros(len(b)), np.inf
        for k in range(1, MOST + 1):
            lu = self.factor(active)
            newton = lu.solve(b)
            positive = newton > 0
            left = self.residual(newton, b)
            settled = bool((positive == active).all()) or k >= DAMPED
            if left <= TOLERANCE and settled:
                self.last = positive
                return State(newton, positive, k, lu.solve)
            y = newton if k <= DAMPED else y + 0.5 * (newton - y)
            active = y > 0
        raise NotConverged(
            f"state: residual {left:.3g} after {MOST} Newton iterations, expected {TOLERANCE:g} of "
            "the right-hand side",
            left,
            MOST,
        )
