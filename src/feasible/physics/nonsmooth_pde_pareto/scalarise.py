"""One function of several objectives, and its minimiser: weighted sums and distances to a reference
point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from ..errors import NotConverged
from .descent import descend
from .oracle import Oracle, StateOracle, tried
from .settings import DescentSettings

if TYPE_CHECKING:
    from jaxtyping import Float

    Control = Float[np.ndarray, " d"]
    Values = Float[np.ndarray, " k"]

DENSE = 50
"""Controls up to which second derivatives are a matrix; beyond, conjugate gradients."""
MOST = 60
"""Most iterations."""
MINIMA = 1e-5
"""As `gtol`, of the individual minima."""
HALVINGS = 12
ARMIJO = 1e-4
RADII = (1e-2, 1e-3, 1e-4)
"""Of the Goldstein subdifferential, where a kink stops Newton's steps."""
FLAT = 8
"""Controls beyond which starts are drawn as one number for all controls."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """phi(F) = w . F', or 1/2 |F' - z|^2 where z is given; F' = (F - ideal) / span.

    Attributes:
        ideal: (k,) what F' = 0 is.
        span: (k,) > 0, what 1 is of it.
        weights: (k,) w.
        z: (k,) the reference point, or None.
    """

    ideal: Values
    span: Values
    weights: Values
    z: Values | None = None

    def value(self, F: Values) -> float:
        """Phi."""
        at = (F - self.ideal) / self.span
        if self.z is None:
            return float(self.weights @ at)
        return float(0.5 * ((at - self.z) ** 2).sum())

    def slope(self, F: Values) -> Values:
        """(k,) its derivative in F."""
        if self.z is None:
            return self.weights / self.span
        return ((F - self.ideal) / self.span - self.z) / self.span


class Composed(Oracle):
    """phi of the objectives of another oracle, as one objective."""

    def __init__(self, oracle: Oracle, scalar: Scalar):
        super().__init__(1, oracle.weights)
        self.inner, self.scalar = oracle, scalar

    def _compute(self, u: Control) -> tuple[Values]:
        """Phi at u."""
        return (np.array([self.scalar.value(self.inner.values(u))]),)

    def gradient(self, i: int, u: Control) -> Control:
        """The gradient of phi at u, by the chain rule."""
        self.gradients_made += 1
        c = self.scalar.slope(self.inner.values(u))
        return c @ self.inner.gradients(u)


def minimise(
    oracle: StateOracle, scalar: Scalar, start: Control, gtol: float
) -> tuple[Control, Values]:
    """Minimise phi of the objectives, from a start.

    Newton's steps with the active set held, and Armijo's rule. The part of phi that bends J counts
    where its slope is positive only. Where a kink stops them, descent with Goldstein's
    subdifferential goes on.

    Args:
        oracle: The objectives.
        scalar: Phi.
        start: (d,).
        gtol: Length of phi's gradient, in the controls' norm and relative to the sum of phi's
            slopes in F', at which it ends.

    Raises:
        NotConverged: The start has no state.
    """
    u, enough = start.copy(), gtol
    for _ in range(MOST):
        F = oracle.values(u)
        c, G = scalar.slope(F), oracle.gradients(u) / oracle.root
        g = c @ G
        enough = gtol * float(np.abs(c * scalar.span).sum())
        if np.linalg.norm(g) <= enough:
            return u, F
        step = newton(oracle, u, c, G if scalar.z is not None else None, g, scalar.span)
        if not g @ step < 0:
            step = -g
        moved = _search(oracle, scalar, u, F, step, float(g @ step))
        if moved is None:
            break
        u = moved
    settings = DescentSettings(RADII, delta=max(enough, 1e-8))
    found = descend(Composed(oracle, scalar), u, settings)
    return found.x, oracle.values(found.x)


def newton(
    oracle: StateOracle,
    u: Control,
    c: Values,
    G: Float[np.ndarray, "k d"] | None,
    g: Control,
    span: Values,
) -> Control:
    """(d,) minus the second derivative's inverse times g, in coordinates where the inner product is
    the plain one.

    Args:
        oracle: The objectives.
        u: (d,) where.
        c: (k,) what they are weighed by.
        G: (k, d) their gradients, whose outer products / span^2 are added; None: nothing is.
        g: (d,) the right-hand side.
        span: (k,).
    """
    bending, outer = np.maximum(c, 0.0), None if G is None else G / span[:, None]

    def times(V: np.ndarray) -> np.ndarray:
        found = oracle.hessian(u, bending, V / oracle.root[:, None]) / oracle.root[:, None]
        return found if outer is None else found + outer.T @ (outer @ V)

    return -solved(times, g)


def solved(times: Callable[[np.ndarray], np.ndarray], g: Control) -> Control:
    """(d,) the solution of a positive semidefinite equation whose products are known."""
    d = len(g)
    if d <= DENSE:
        H = times(np.eye(d))
        H = 0.5 * (H + H.T)
        damp = 1e-12 * max(float(np.trace(H)) / d, 1e-300)
        return np.linalg.solve(H + damp * np.eye(d), g)
    operator = LinearOperator((d, d), matvec=lambda v: times(v.reshape(-1, 1))[:, 0])
    found, _ = cg(operator, g, rtol=1e-4, maxiter=60)
    return found


def _search(
    oracle: Oracle, scalar: Scalar, u: Control, F: Values, step: Control, slope: float
) -> Control | None:
    """Return the point that Armijo's rule accepts; a state that fails is a rejected step."""
    base, t = scalar.value(F), 1.0
    for _ in range(HALVINGS):
        at = u + t * step / oracle.root
        values = tried(oracle, at)
        if values is not None:
            value = scalar.value(values)
            if value <= base + ARMIJO * t * slope and value < base:
                return at
        t *= 0.5
    return None


def individual_minima(
    oracle: StateOracle,
    box: Float[np.ndarray, "d 2"],
    rng: np.random.Generator,
    starts: int = 4,
    least: Callable[[StateOracle, int, float, Control], tuple[Control, Values]] | None = None,
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, "k k"]]:
    """(k, d) the best minimiser of each objective over several starts, and (k, k) all objectives
    there. The first start is 0, the others are drawn from the box.

    Args:
        oracle: The objectives.
        box: (d, 2).
        rng: Draws the starts.
        starts: How many.
        least: From the oracle, the number of an objective, its size and a start to a minimiser and
            all objectives there; None: by `minimise`.

    Raises:
        NotConverged: No start of an objective has a state.
    """
    least = least or _least
    d, k = oracle.d, oracle.k
    found, values = np.zeros((k, d)), np.zeros((k, k))
    for i in range(k):
        best = np.inf
        for j in range(starts):
            share = rng.random(1 if d > FLAT else d)
            start = np.zeros(d) if j == 0 else box[:, 0] + share * (box[:, 1] - box[:, 0])
            try:
                size = abs(float(oracle.values(start)[i])) or 1.0
                u, F = least(oracle, i, size, start)
            except NotConverged:
                continue
            if F[i] < best:
                best, found[i], values[i] = F[i], u, F
        if best == np.inf:
            raise NotConverged(f"objective {i + 1}: no start has a state")
    return found, values


def _least(oracle: StateOracle, i: int, size: float, start: Control) -> tuple[Control, Values]:
    """The minimiser of one objective over its size, and all objectives there."""
    k = oracle.k
    scalar = Scalar(np.zeros(k), np.full(k, size), np.eye(k)[i])
    return minimise(oracle, scalar, start, MINIMA)
