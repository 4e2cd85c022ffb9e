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


@dataclass(frozen=True)
class Conditions:
    """The Karush-Kuhn-Tucker conditions at a point where they hold.

    Attributes:
        value: f.
        slope: (m,) its gradient.
        residual: What is left of it, relative to its size.
        strong: (e, m) gradients of the equalities, and of what has a multiplier.
        own: (p,) multipliers of the follower's own constraints.
        of_own: (a,) which rows of `strong` are the follower's own, in the order of its constraints.
    """

    value: float
    slope: Float[np.ndarray, " m"]
    residual: float
    strong: Float[np.ndarray, "e m"]
    own: Float[np.ndarray, " p"]
    of_own: Float[np.ndarray, " a"]


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
        self.limits = follower.set.rows(self.m) if follower.set.linear else None

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

    def conditions(self, y: Tensor) -> Conditions | None:
        """Return the Karush-Kuhn-Tucker conditions at y where they hold, else None."""
        value, slope = self.slope(y)
        if not (np.isfinite(value) and torch.isfinite(slope).all()):
            return None
        steep = max(1.0, float(slope.abs().max()))
        size = max(steep, float(y.abs().max()))
        if self.limits is None:  # a projection: its fixed points are the solutions
            moved = float((self.follower.set.project(y - slope) - y).abs().max())
            none = np.zeros((0, self.m))
            if moved > self.tolerance * size:
                return None
            return Conditions(value, slope.numpy(), moved / size, none, np.zeros(0), np.zeros(0))
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
        if left > self.tolerance * steep:
            return None
        strong = np.abs(multipliers) > ACTIVE * steep
        strong[: len(E)] = True
        multipliers[~strong] = 0.0
        # rows of E, then those of G: of each the set's come first, then the follower's own
        weights, place = np.zeros(len(E) + len(G)), np.full(len(E) + len(G), -1)
        rows = np.concatenate([np.arange(len(E)), len(E) + np.flatnonzero(on)])
        weights[rows], place[rows[strong]] = multipliers, np.arange(int(strong.sum()))
        equal, inner = int(self.equal.sum()), int((~self.equal).sum())
        own, where = np.zeros(len(self.equal)), np.full(len(self.equal), -1)
        for mask, first in ((self.equal, len(E) - equal), (~self.equal, len(weights) - inner)):
            part = slice(first, first + int(mask.sum()))
            own[mask], where[mask] = weights[part], place[part]
        return Conditions(
            value, slope.numpy(), left / size, columns[:, strong].T, own, where[where >= 0]
        )

    def solution(self, y: Tensor, exact: bool = False) -> Solution | None:
        """Return y as a solution where its conditions hold, else None."""
        found = self.conditions(y)
        if found is None:
            return None
        free = self.limits is None or self.m > NEWTON
        flat = np.zeros((self.m, 0)) if free else self._flat(y, found)
        return Solution(y, found.value, found.residual, flat, exact)

    def _flat(self, y: Tensor, found: Conditions) -> Float[np.ndarray, "m k"]:
        """Return the directions along which neither the Lagrangian bends nor f changes."""
        lam = torch.from_numpy(found.own)
        curved = hessian(lambda z: self.f(z) + lam @ self.h(z), y).numpy()
        top, steep = max(1.0, np.abs(curved).max()), np.abs(found.slope).max()
        slopes = [found.slope[None] / steep] if steep > ACTIVE else []
        lengths = np.maximum(np.linalg.norm(found.strong, axis=1, keepdims=True), 1e-12)
        rows = np.vstack([curved / top, *slopes, found.strong / lengths])
        return linalg.null_space(rows, rcond=1e-8)
