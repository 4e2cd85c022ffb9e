"""Gradients of a function from values along a trajectory: the derivative of a Gaussian process.

With a kernel k of lengthscale l, zero mean, unit scale, noise s^2 and values y scaled to [0, 1]:

    grad mu(z) = (max - min) sum_j a_j grad_z k(z, x_j),   a = (K + s^2 I)^-1 y
    trace cov(grad f(z)) = d q_0 - |L^-1 J|_F^2,   J_j = grad_z k(z, x_j),  L L' = K + s^2 I

    Matern-5/2: grad_z k = -5 / (3 l^2) (1 + sqrt(5) r / l) exp(-sqrt(5) r / l) (z - x_j),
                q_0 = 5 / (3 l^2);   RBF: grad_z k = -(z - x_j) / l^2 k,  q_0 = 1 / l^2

References:
    Shu, Lin, Dai, Low, 2023, arXiv 2308.04077.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

if TYPE_CHECKING:
    from jaxtyping import Float

    Points = Float[np.ndarray, "n d"]
    Square = Float[np.ndarray, "n n"]

LENGTHSCALES = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Among which the marginal likelihood chooses."""
LEAST_RANGE = 1e-20
"""Added to a range of values, which may be 0."""


def squared_distances(a: Points, b: Points) -> Float[np.ndarray, "n m"]:
    """Return |a_i - b_j|^2, by inner products about the mean of b."""
    middle = b.mean(axis=0)
    a, b = a - middle, b - middle
    found = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * (a @ b.T)
    return np.maximum(found, 0.0)


def kernel(squared: Float[np.ndarray, "n m"], lengthscale: float, name: str) -> np.ndarray:
    """Return k of squared distances."""
    if name == "rbf":
        return np.exp(-squared / (2 * lengthscale**2))
    r = np.sqrt(5 * squared) / lengthscale
    return (1 + r + r**2 / 3) * np.exp(-r)


def slope(squared: Float[np.ndarray, "n m"], lengthscale: float, name: str) -> np.ndarray:
    """Return c of grad_z k(z, x) = c (z - x), of squared distances."""
    if name == "rbf":
        return -np.exp(-squared / (2 * lengthscale**2)) / lengthscale**2
    r = np.sqrt(5 * squared) / lengthscale
    return -5 / (3 * lengthscale**2) * (1 + r) * np.exp(-r)


@dataclass(frozen=True)
class GradientSurrogate:
    """The posterior of a function near some points, of which only gradients are asked.

    Attributes:
        points: (n, d) where the function is known.
        weights: (n,) a, times the range of the values.
        factor: (n, n) L.
        lengthscale: l.
        name: "matern" or "rbf".
    """

    points: Points
    weights: Float[np.ndarray, " n"]
    factor: Square
    lengthscale: float
    name: str = "matern"

    @classmethod
    def of(
        cls,
        points: Points,
        values: Float[np.ndarray, " n"],
        lengthscale: float,
        noise: float = 1e-6,
        name: str = "matern",
    ) -> GradientSurrogate:
        """Condition on values.

        Args:
            points: (n, d).
            values: (n,).
            lengthscale: l.
            noise: s^2, after values were scaled to [0, 1].
            name: Of the kernel.
        """
        low, high = float(values.min()), float(values.max())
        factor = _factor(squared_distances(points, points), lengthscale, noise, name)
        scaled = (values - low) / (high - low + LEAST_RANGE)
        weights = linalg.cho_solve((factor, True), scaled) * (high - low)
        return cls(points, weights, factor, lengthscale, name)

    def gradient(self, z: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        """Return the gradient of the posterior mean; 0 where all values are equal."""
        away = z - self.points
        c = slope((away**2).sum(axis=1), self.lengthscale, self.name)
        return (c * self.weights) @ away

    def mean(self, z: Float[np.ndarray, " d"]) -> float:
        """Return the posterior mean, but for a constant that the gradient does not see."""
        squared = ((z - self.points) ** 2).sum(axis=1)
        return float(kernel(squared, self.lengthscale, self.name) @ self.weights)

    def uncertainty(self, at: Points) -> Float[np.ndarray, " m"]:
        """Return the trace of the covariance of the gradient, by Gram matrices.

        Args:
            at: (m, d) candidates.
        """
        middle = at.mean(axis=0)
        z, x = at - middle, self.points - middle
        c = slope(squared_distances(at, self.points), self.lengthscale, self.name)
        solved = linalg.cho_solve((self.factor, True), c.T).T  # rows K^-1 c
        inverse = linalg.cho_solve((self.factor, True), np.eye(len(x)))
        # |L^-1 J|^2 = sum_jk c_j c_k (K^-1)_jk <z - x_j, z - x_k>
        known = (z**2).sum(axis=1) * (solved * c).sum(axis=1)
        known -= 2 * ((c * (z @ x.T)) * solved).sum(axis=1)
        known += ((c @ (inverse * (x @ x.T))) * c).sum(axis=1)
        prior = (1 if self.name == "rbf" else 5 / 3) / self.lengthscale**2
        return np.maximum(at.shape[1] * prior - known, 0.0)


def _factor(squared: Square, lengthscale: float, noise: float, name: str) -> Square:
    """Return the Cholesky factor of K + s^2 I; the noise grows tenfold until there is one."""
    K = kernel(squared, lengthscale, name)
    K.flat[:: len(K) + 1] = 1.0
    while True:
        try:
            return linalg.cholesky(K + noise * np.eye(len(K)), lower=True)
        except linalg.LinAlgError:
            noise *= 10


def likeliest(
    points: Points, values: Float[np.ndarray, " n"], noise: float, name: str = "matern"
) -> float:
    """Return the lengthscale of largest marginal likelihood, of `LENGTHSCALES`.

    Args:
        points: (n, d).
        values: (n,).
        noise: s^2, after values were scaled to [0, 1].
        name: Of the kernel.
    """
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low + LEAST_RANGE)
    squared = squared_distances(points, points)

    def minus(lengthscale: float) -> float:
        factor = _factor(squared, lengthscale, noise, name)
        white = linalg.solve_triangular(factor, scaled, lower=True)
        return float(white @ white) / 2 + float(np.log(np.diag(factor)).sum())

    return min(LENGTHSCALES, key=minus)


def nearest(points: Points, z: Float[np.ndarray, " d"], most: int) -> np.ndarray:
    """Return the indices of at most so many points nearest to z, in the order of their making."""
    if len(points) <= most:
        return np.arange(len(points))
    squared = ((points - z) ** 2).sum(axis=1)
    return np.sort(np.argpartition(squared, most - 1)[:most])


@dataclass(frozen=True)
class FourierFeatures:
    """Features whose inner products approximate exp(-|x - x'|^2 / (2 l^2)), the same everywhere.

        phi(x) = sqrt(2 / M) cos(W' x + b),  columns of W ~ N(0, I / l^2),  b ~ U[0, 2 pi]

    Attributes:
        W: (d, M).
        b: (M,).
    """

    W: Float[np.ndarray, "d M"]
    b: Float[np.ndarray, " M"]

    @classmethod
    def drawn(cls, d: int, M: int, lengthscale: float, seed: int) -> FourierFeatures:
        """Draw them from one seed, which all clients share.

        Args:
            d: Unknowns.
            M: Features.
            lengthscale: l.
            seed: A whole number.
        """
        rng = np.random.default_rng(seed)
        W = rng.standard_normal((d, M)) / lengthscale
        return cls(W, rng.uniform(0, 2 * np.pi, M))

    def of(self, x: Points) -> Float[np.ndarray, "n M"]:
        """Return phi of each row."""
        return np.sqrt(2 / len(self.b)) * np.cos(x @ self.W + self.b)

    def fit(
        self, points: Points, values: Float[np.ndarray, " n"], noise: float
    ) -> Float[np.ndarray, " M"]:
        """Return nu = range Phi' (Phi Phi' + s^2 I)^-1 y', the weights that a client sends.

        Args:
            points: (n, d).
            values: (n,).
            noise: s^2.
        """
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) / (high - low + LEAST_RANGE)
        phi = self.of(points)
        gram = phi @ phi.T
        gram.flat[:: len(gram) + 1] += noise
        return (high - low) * (phi.T @ linalg.solve(gram, scaled, assume_a="pos"))

    def gradient(
        self, nu: Float[np.ndarray, " M"], z: Float[np.ndarray, " d"]
    ) -> Float[np.ndarray, " d"]:
        """Return the gradient of <nu, phi(z)>: -sqrt(2 / M) W (nu sin(W' z + b))."""
        return -np.sqrt(2 / len(self.b)) * (self.W @ (nu * np.sin(z @ self.W + self.b)))
