"""Gaussian-process interpolants of several outputs at once, for few points and no noise: means,
gradients and deviations in microseconds.

Each output has the kernel

    s^2 (exp(-1/2 sum_i (z_i - z'_i)^2 / l_i^2) + T (1 + z.z')^2),

a quadratic trend with a wide prior, of least norm while there are too few points for it, and what
it does not explain with a lengthscale for each input. There is no noise but a jitter. The scale s
is profiled out of the likelihood, the lengthscales maximise it times a log-normal prior. For noisy
data, other kernels or averages over hyperparameters use `bo_tutorial/gp.py`, which is GPyTorch;
this one exists because a method that proposes in milliseconds cannot fit there
(docs/decisions/010). Its kernel is apart from `blackbox/kernels.py` for the same reason: values,
gradients and the trend share their squares here.

References:
    C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (2006), sections 2.2
    and 5.4; T. J. Santner, B. J. Williams, W. I. Notz, The Design and Analysis of Computer
    Experiments (2003), section 3.3, for the profile likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import fmin_l_bfgs_b

from ...core.annotations import checked
from ...core.checks import real, whole
from ...core.errors import NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float

JITTERS = (1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
"""Added to the diagonal of the correlation matrix; the first with which it can be factored is used.
"""
TREND = 1e4
"""Weight of the quadratic part of the kernel against the squared-exponential part: quadratic
functions are then met almost exactly.
"""
REACH = 4.0
"""How far a log-lengthscale may be from the prior's centre."""


class Interpolants:
    """k interpolants over the same n points.

    Args:
        z: (n, d) different points.
        y: (n, k) finite values.
        centre: Centre of the normal prior on the log of every lengthscale.
        width: Its standard deviation.
        start: (k, d) log-lengthscales to start the fit from.
        iterations: Iterations of L-BFGS; 0 keeps `start`.

    Attributes:
        log_lengths: (k, d) log-lengthscales as fitted.
        fallbacks: Outputs whose fit failed and that keep the prior's lengthscale.

    Examples:
        >>> import numpy as np
        >>> z = np.array([[-1.0], [0.0], [1.0], [2.0]])
        >>> model = Interpolants(z, z**2, centre=0.0, width=1.0)
        >>> np.round(model.means(np.array([[1.5]])), 3)
        array([[2.25]])
    """

    @checked
    def __init__(
        self,
        z: Float[np.ndarray, "n d"],
        y: Float[np.ndarray, "n k"],
        centre: float,
        width: float,
        start: Float[np.ndarray, "k d"] | None = None,
        iterations: int = 40,
    ):
        n, d = z.shape
        k = y.shape[1]
        if len(y) != n or not z.size or not y.size:
            raise ShapeError(f"y has shape {y.shape} for z of shape {z.shape}: expected (n, k)")
        if start is not None and np.shape(start) != (k, d):
            raise ShapeError(f"start has shape {np.shape(start)}, expected ({k}, {d})")
        for name, values in (("z", z), ("y", y)):
            if not np.isfinite(values).all():
                raise NotFinite(f"{name} holds a NaN or an infinity, expected finite numbers")
        centre, width = real("centre", centre), real("width", width, above=0)
        whole("iterations", iterations, least=0)
        self.z, self.n, self.k = z, n, k
        self.centre, self.width = centre, width
        self.mean = y.mean(axis=0)
        sd = y.std(axis=0)
        self.scale = np.where(sd > 0, sd, 1.0)
        w = self._values = (y - self.mean) / self.scale
        squares = ((z[:, None] - z[None]) ** 2).reshape(n * n, d)
        self._trend = TREND * (1 + z @ z.T) ** 2
        self.log_lengths = np.full((k, d), centre)
        self.weights = np.zeros((n, k))
        self.variance = np.zeros(k)
        self.factors: list[np.ndarray] = []
        self.fallbacks: list[int] = []
        for j in range(k):
            t = (
                self.log_lengths[j]
                if start is None
                else np.clip(start[j], centre - REACH, centre + REACH)
            )
            if iterations and sd[j] > 0:
                found = self._fitted(t, w[:, j], squares, iterations)
                if found is None:
                    self.fallbacks.append(j)
                t = np.full(d, centre) if found is None else found
            self.log_lengths[j] = t
            factor, kernel = self._factor(t, squares)
            self.factors.append(factor)
            self.weights[:, j] = _refined(factor, kernel, w[:, j])
            self.variance[j] = max(float(w[:, j] @ self.weights[:, j]) / n, 1e-300)
        self._inverse = np.exp(-2 * self.log_lengths)

    def _fitted(
        self, t: np.ndarray, w: np.ndarray, squares: np.ndarray, iterations: int
    ) -> np.ndarray | None:
        """Return the log-lengthscales of one output, fitted from t or from the prior's centre with
        the least jitter with which the matrix can be factored there; None where there is none.
        """
        reach = [(self.centre - REACH, self.centre + REACH)] * len(t)
        centre = np.full(len(t), self.centre)
        begins = (t, centre) if (t != centre).any() else (t,)
        for jitter in JITTERS:
            for begin in begins:
                found, value, _ = fmin_l_bfgs_b(
                    self._loss,
                    begin,
                    args=(w, squares, jitter),
                    bounds=reach,
                    maxiter=iterations,
                    maxfun=iterations + 8,
                )
                if value < _FAILED and np.isfinite(found).all():
                    return np.asarray(found)
        return None

    def _factor(self, t: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the Cholesky factor with a jitter, and the kernel without."""
        kernel = np.exp(-0.5 * (squares @ np.exp(-2 * t))).reshape(self.n, self.n) + self._trend
        for jitter in JITTERS:
            try:
                return np.linalg.cholesky(kernel + jitter * np.eye(self.n)), kernel
            except np.linalg.LinAlgError:
                continue
        return np.linalg.cholesky(kernel + 1e-2 * np.eye(self.n)), kernel

    def _loss(
        self, t: np.ndarray, w: np.ndarray, squares: np.ndarray, jitter: float = JITTERS[0]
    ) -> tuple[float, np.ndarray]:
        """Return the loss, minus the log of the profile posterior, at t, and its gradient."""
        n = self.n
        inverse = np.exp(-2 * t)
        kernel = np.exp(-0.5 * (squares @ inverse)).reshape(n, n)
        try:
            factor = np.linalg.cholesky(kernel + self._trend + jitter * np.eye(n))
        except np.linalg.LinAlgError:
            return _FAILED, np.zeros_like(t)
        precision = cho_solve((factor, True), np.eye(n))
        a = precision @ w
        variance = max(float(w @ a) / n, 1e-300)
        loss = 0.5 * n * math.log(variance) + float(np.log(np.diag(factor)).sum())
        slope = (
            0.5 * (((precision - np.outer(a, a) / variance) * kernel).ravel() @ squares) * inverse
        )
        r = (t - self.centre) / self.width
        return loss + 0.5 * float(r @ r), slope + r / self.width

    def left_out(self) -> Float[np.ndarray, "n k"]:
        """What each output would be predicted as at each of the points if that point were left out
        (the scale and lengthscales kept).
        """
        out = np.empty((self.n, self.k))
        for j in range(self.k):
            inverse = solve_triangular(self.factors[j], np.eye(self.n), lower=True)
            out[:, j] = self._values[:, j] - self.weights[:, j] / (inverse * inverse).sum(axis=0)
        return out * self.scale + self.mean

    def only(self, outputs: Sequence[int]) -> Interpolants:
        """The same interpolants for some of the outputs."""
        chosen = copy(self)
        chosen.k = len(outputs)
        chosen.factors = [self.factors[j] for j in outputs]
        for name in ("mean", "scale", "log_lengths", "variance", "_inverse"):
            setattr(chosen, name, getattr(self, name)[list(outputs)])
        chosen.weights, chosen._values = (
            self.weights[:, list(outputs)],
            self._values[:, list(outputs)],
        )
        return chosen

    def means(self, z: Float[np.ndarray, "q d"]) -> Float[np.ndarray, "q k"]:
        """Means at q points."""
        squares = (z[:, None] - self.z[None]) ** 2
        out = np.empty((len(z), self.k))
        trend = TREND * (1 + z @ self.z.T) ** 2
        for j in range(self.k):
            out[:, j] = (np.exp(-0.5 * (squares @ self._inverse[j])) + trend) @ self.weights[:, j]
        return out * self.scale + self.mean

    def at(
        self, z: Float[np.ndarray, " d"]
    ) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k d"]]:
        """Means at one point and their gradients."""
        away = z - self.z
        terms = np.exp(-0.5 * ((away * away) @ self._inverse.T)) * self.weights
        inner = 1 + self.z @ z
        values = terms.sum(axis=0) + TREND * (inner * inner) @ self.weights
        slopes = 2 * TREND * (self.weights.T * inner) @ self.z - (terms.T @ away) * self._inverse
        return values * self.scale + self.mean, slopes * self.scale[:, None]

    def deviations(self, z: Float[np.ndarray, "q d"]) -> Float[np.ndarray, "q k"]:
        """Posterior standard deviations at q points."""
        squares = (z[:, None] - self.z[None]) ** 2
        out = np.empty((len(z), self.k))
        trend = TREND * (1 + z @ self.z.T) ** 2
        prior = 1 + TREND * (1 + (z * z).sum(axis=1)) ** 2
        for j in range(self.k):
            v = solve_triangular(
                self.factors[j], (np.exp(-0.5 * (squares @ self._inverse[j])) + trend).T, lower=True
            )
            out[:, j] = np.sqrt(np.maximum(prior - (v * v).sum(axis=0), 1e-14) * self.variance[j])
        return out * self.scale


def _refined(factor: np.ndarray, kernel: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Solve kernel a = w by iterative refinement, which takes back most of what the jitter in
    `factor` changed.
    """
    a = cho_solve((factor, True), w)
    rest = w - kernel @ a
    for _ in range(5):
        better = a + cho_solve((factor, True), rest)
        left = w - kernel @ better
        if not np.abs(left).max() < 0.5 * np.abs(rest).max():
            break
        a, rest = better, left
    return a


_FAILED = 1e10

__all__ = ["Interpolants"]
