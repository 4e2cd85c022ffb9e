"""A follower's program at one x: its functions, its form, and the conditions of its solutions.

minimise f(x, y)  over y in Y with h(x, y) <= 0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import linalg, optimize
from torch import Tensor

from .levels import Follower, hessian, jacobian, value_and_gradients
from .quadratic import ACTIVE, Linear
from .sets import is_linear

if TYPE_CHECKING:
    from jaxtyping import Float

DENSE, NEWTON = 1500, 400
"""Variables up to which a follower is tried as a quadratic program, and its Hessian is formed."""


@dataclass(frozen=True)
class Solution:
    """A solution of a lower level.

    Attributes:
        y: (m,).
        value: f(x, y).
        residual: Of its Karush-Kuhn-Tucker conditions, relative to its gradient.
        flat: (m, k) a basis of the directions in which other solutions may lie.
        exact: True where all of those that keep to the limits are solutions: of linear and
            quadratic programs.
    """

    y: Float[Tensor, " m"]
    value: float
    residual: float
    flat: Float[np.ndarray, "m k"]
    exact: bool = False


class Lower:
    """A follower's program at one x.

    Args:
        follower: Whose.
        x: (n,).
        tolerance: Residual of the conditions up to which it counts as solved.
    """

    def __init__(self, follower: Follower, x: Float[Tensor, " n"], tolerance: float):
        self.follower, self.x, self.tolerance = follower, x.detach(), tolerance
        self.m = follower.layout.size
        self.equal = follower.equal.numpy()
        self.limits = follower.set.rows(self.m) if is_linear(follower.set) else None

    # -- its functions -----------------------------------------------------------------------------

    def f(self, y: Tensor) -> Tensor:
        """The objective."""
        return self.follower.value(self.x, y)

    def h(self, y: Tensor) -> Tensor:
        """The constraints."""
        return self.follower.h(self.x, y)

    def slope(self, y: Tensor) -> tuple[float, Tensor]:
        """The objective and its gradient."""
        value, (slope,) = value_and_gradients(self.f, (y,), (0,))
        return value, slope

    def numeric(self, y: Float[np.ndarray, " m"]) -> tuple[float, Float[np.ndarray, " m"]]:
        """The objective and its gradient, for SciPy."""
        value, slope = self.slope(torch.from_numpy(np.array(y)))
        if not np.isfinite(value):
            return 1e300, np.zeros(self.m)
        return value, slope.numpy()

    def rows(self, y: Float[np.ndarray, " m"]) -> Float[np.ndarray, " p"]:
        """The constraints, for SciPy."""
        with torch.no_grad():
            return self.h(torch.from_numpy(np.array(y))).numpy()

    def gradients(self, y: Float[np.ndarray, " m"]) -> Float[np.ndarray, "p m"]:
        """Their Jacobian, for SciPy."""
        return jacobian(self.h, torch.from_numpy(np.array(y))).numpy()

    # -- as a quadratic program --------------------------------------------------------------------

    def quadratic(
        self, start: Tensor, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, Linear] | None:
        """Return P, q and the limits where it is a convex quadratic program, else None."""
        if self.limits is None or self.m > DENSE:
            return None
        size = max(1.0, float(start.abs().max()))
        for scale in (size, 100 * size):
            d = torch.from_numpy(rng.standard_normal(self.m)) * scale
            a, b, c = (self.slope(start + t * d)[1] for t in (0.0, 1.0, 2.0))
            if not (a - 2 * b + c).abs().max() <= 1e-9 * max(1.0, float(c.abs().max())):
                return None
            if len(self.equal):
                at = [self.h(start + t * d).detach() for t in (0.0, 1.0, 2.0)]
                bent = (at[0] - 2 * at[1] + at[2]).abs().max()
                if not bent <= 1e-9 * max(1.0, float(at[2].abs().max())):
                    return None
        P = hessian(self.f, start).numpy()
        least = linalg.eigvalsh(P)[0] if self.m else 0.0
        if least < -1e-9 * max(1.0, np.abs(P).max()):
            return None
        q = self.slope(start)[1].numpy() - P @ start.numpy()
        A = self.gradients(start.numpy())
        values = self.rows(start.numpy()) - A @ start.numpy()
        low = np.where(self.equal, -values, -np.inf)
        return P, q, self.limits.joined(A, low, -values)

    # -- its conditions ----------------------------------------------------------------------------

    def sides(
        self, y: Float[np.ndarray, " m"]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return gradients and values of the equalities and of the inequalities at y."""
        limits = self.limits or Linear.free(self.m)
        E, e, G, g = limits.sides()
        A, values = self.gradients(y), self.rows(y)
        equal = self.equal
        return (
            np.vstack([E, A[equal]]),
            np.concatenate([E @ y - e, values[equal]]),
            np.vstack([G, A[~equal]]),
            np.concatenate([G @ y - g, values[~equal]]),
        )

    def solution(self, y: Tensor, exact: bool = False) -> Solution | None:
        """Return y as a solution where its Karush-Kuhn-Tucker conditions hold, else None."""
        value, slope = self.slope(y)
        if not (np.isfinite(value) and torch.isfinite(slope).all()):
            return None
        size = max(1.0, float(slope.abs().max()), float(y.abs().max()))
        if self.limits is None:  # a projection: its fixed points are the solutions
            moved = float((self.follower.set.project(y - slope) - y).abs().max())
            if moved > self.tolerance * size:
                return None
            return Solution(y, value, moved / size, np.zeros((self.m, 0)))
        E, e, G, g = self.sides(y.numpy())
        if max(np.abs(e).max(initial=0.0), g.max(initial=0.0)) > self.tolerance * size:
            return None
        on = g > -ACTIVE * np.maximum(1.0, np.abs(G).max(axis=1, initial=0.0)) * size
        columns = np.vstack([E, G[on]]).T
        multipliers = np.zeros(columns.shape[1])
        if columns.shape[1]:
            low = np.concatenate([np.full(len(E), -np.inf), np.zeros(int(on.sum()))])
            fit = optimize.lsq_linear(columns, -slope.numpy(), (low, np.inf), tol=1e-14)
            multipliers = fit.x
        left = float(np.abs(slope.numpy() + columns @ multipliers).max())
        if left > self.tolerance * max(1.0, float(slope.abs().max())):
            return None
        strong = np.abs(multipliers) > ACTIVE * max(1.0, float(slope.abs().max()))
        strong[: len(E)] = True
        weights = np.zeros(len(E) + len(G))
        weights[: len(E)], weights[len(E) :][on] = multipliers[: len(E)], multipliers[len(E) :]
        flat = self._flat(y, columns[:, strong].T, slope.numpy(), weights)
        return Solution(y, value, left / size, flat, exact)

    def _flat(
        self,
        y: Tensor,
        active: Float[np.ndarray, "e m"],
        slope: Float[np.ndarray, " m"],
        weights: Float[np.ndarray, " k"],
    ) -> Float[np.ndarray, "m k"]:
        """Return the directions along which neither the Lagrangian bends nor f changes.

        Args:
            y: (m,) where.
            active: (e, m) gradients of the constraints whose multipliers are not 0.
            slope: (m,) the gradient of f.
            weights: (k,) multipliers of the rows of `sides`.
        """
        if self.m > NEWTON:
            return np.zeros((self.m, 0))
        equal, inner = int(self.equal.sum()), int((~self.equal).sum())
        own = np.zeros(len(self.equal))
        before = len(weights) - inner  # those of the set's inequalities end here
        first = len((self.limits or Linear.free(self.m)).sides()[0])
        own[self.equal], own[~self.equal] = weights[first : first + equal], weights[before:]
        lam = torch.from_numpy(own)
        curved = hessian(lambda z: self.f(z) + lam @ self.h(z), y).numpy()
        top, steep = max(1.0, np.abs(curved).max()), np.abs(slope).max()
        slopes = [slope[None] / steep] if steep > ACTIVE else []
        lengths = np.maximum(np.linalg.norm(active, axis=1, keepdims=True), 1e-12)
        return linalg.null_space(np.vstack([curved / top, *slopes, active / lengths]), rcond=1e-8)
