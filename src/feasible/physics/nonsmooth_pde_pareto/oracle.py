"""What a method may ask of several objectives: values and gradients at a point, paid for once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import NotFinite, ShapeError
from ..errors import NotConverged

if TYPE_CHECKING:
    from jaxtyping import Float

    from .grid import Level
    from .state import State

    Control = Float[np.ndarray, " d"]
    Values = Float[np.ndarray, " k"]

KEPT = 8
"""Points whose state is kept."""


def free(**amounts: float) -> None:
    """Charge nothing."""


class Oracle(ABC):
    """k objectives of d controls. What was found at the last points is kept by point.

    Attributes:
        k: Objectives.
        d: Controls.
        weights: (d,) the diagonal of the controls' inner product.
        values_made: Points at which values were computed.
        gradients_made: Gradients that were computed.
    """

    def __init__(self, k: int, weights: Control):
        self.k, self.d, self.weights = k, len(weights), weights
        self.root = np.sqrt(weights)
        self.values_made = self.gradients_made = 0
        self._found: OrderedDict[bytes, Any] = OrderedDict()

    def at(self, u: Control) -> Any:
        """What is kept of a point, computed where it is not; ends with its values."""
        key = u.tobytes()
        if key not in self._found:
            self._found[key] = self._compute(u)
            self.values_made += 1
            if len(self._found) > KEPT:
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        return self._found[key]

    @abstractmethod
    def _compute(self, u: Control) -> Any:
        """What is to be kept of a point: a tuple that ends with (k,) values."""

    def values(self, u: Control) -> Values:
        """(k,) the objectives at u. Raises NotConverged."""
        return self.at(u)[-1]

    @abstractmethod
    def gradient(self, i: int, u: Control) -> Control:
        """(d,) a subgradient of objective i at u, in the plain pairing. Raises NotConverged."""

    def gradients(self, u: Control) -> Float[np.ndarray, "k d"]:
        """(k, d) a subgradient of each objective at u."""
        return np.stack([self.gradient(i, u) for i in range(self.k)])


class FunctionOracle(Oracle):
    """Objectives and subgradients that are given as functions.

    Args:
        functions: From (d,) to a number, one for each objective.
        subgradients: From (d,) to any element (d,) of Clarke's subdifferential.
        d: Unknowns.
        weights: (d,) the diagonal of their inner product; None: ones.
    """

    def __init__(
        self,
        functions: Sequence[Callable[[Control], float]],
        subgradients: Sequence[Callable[[Control], Any]],
        d: int,
        weights: Any = None,
    ):
        super().__init__(len(functions), np.ones(d) if weights is None else weights)
        self.functions, self.subgradients = functions, subgradients

    def _compute(self, u: Control) -> tuple[Values]:
        """The values at u."""
        found = np.array([float(f(u)) for f in self.functions])
        if np.isnan(found).any():
            i = int(np.isnan(found).argmax())
            raise NotFinite(f"functions[{i}] gave a NaN at {u.tolist()!s:.60}")
        return (found,)

    def gradient(self, i: int, u: Control) -> Control:
        """A subgradient of objective i."""
        self.gradients_made += 1
        found = np.asarray(self.subgradients[i](u), dtype=float)
        if found.shape != (self.d,):
            raise ShapeError(f"subgradients[{i}] gave shape {found.shape}: expected ({self.d},)")
        if not np.isfinite(found).all():
            raise NotFinite(f"subgradients[{i}] gave a NaN or an infinity at {u.tolist()!s:.60}")
        return found


class StateOracle(Oracle):
    """Objectives of a control through its state. A gradient is an adjoint, a product with second
    derivatives (the active set held) two back-substitutions, all with the state's factorisation.

    Args:
        level: The problem on a mesh.
        spend: Charges a run; None: nobody is charged.
    """

    def __init__(self, level: Level, spend: Callable[..., None] = free):
        super().__init__(level.k, level.weights)
        self.level, self.spend = level, spend

    def _compute(self, u: Control) -> tuple[State, Values]:
        """The state of u, paid for before it is computed."""
        self.spend(state_solves=1)
        found = self.level.state(u)
        return found, self.level.objectives(u, found.y)

    def gradient(self, i: int, u: Control) -> Control:
        """The gradient of J_i where y = 0 nowhere; else that of the set {y > 0}.

        M p_i = D (y - y_i),   grad J_i = B^T D p_i + sigma_i W u
        """
        state = self.at(u)[0]
        self.spend(linear_solves=1)
        self.gradients_made += 1
        p = state.solve(self.level.misfit(i, state.y))
        return self.level.pulled(p) + self.level.sigma[i] * self.weights * u

    def hessian(self, u: Control, c: Values, V: Float[np.ndarray, "d m"]) -> Any:
        """(d, m) the second derivative of sum_i c_i J_i times V, with the active set of u.

        B^T D M^{-1} (sum_i c_i) D M^{-1} D B V + (sum_i c_i sigma_i) W V
        """
        state, level = self.at(u)[0], self.level
        self.spend(linear_solves=2 * V.shape[1])
        mass = level.equation.mass[:, None]
        Z = state.solve(mass * (level.B @ V))
        P = state.solve(float(c.sum()) * mass * Z)
        return level.pulled(P) + float(c @ level.sigma) * self.weights[:, None] * V


def tried(oracle: Oracle, u: Control) -> Values | None:
    """The values at u; None where they cannot be computed: a rejected step."""
    try:
        found = oracle.values(u)
    except NotConverged:
        return None
    return found if np.isfinite(found).all() else None
