"""How likely an answer is a yes: a Gaussian process seen through a probit, by Laplace's method.

A process on labels -1 and 1 bends to jump between two points that lie close, on either side of an
edge, and then believes in nothing between its rows. Seen through a probit the latent function only
has to cross zero there, however steep, and keeps its lengths.

References:
    C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (2006): Algorithms
    3.1 (mode), 3.2 (prediction) and 5.1 (marginal likelihood and its gradient), equations 3.16 and
    3.25 (probit).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtri

from .model import Form, factored

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

NEWTON, CLOSE = 30, 1e-10
"""Steps to the mode at most, and the gain below which it is reached."""
STEEP = math.log(4.0), 1.0
"""Mean and standard deviation of the normal prior on the log of the latent function's variance."""
BOUNDS = (math.log(0.05), math.log(10.0)), (math.log(0.2), math.log(100.0))
"""Of the logs of a length and of that variance."""
LOG_ROOT_2_PI = 0.5 * math.log(2 * math.pi)


class Odds:
    """A probit process given yes and no at n rows.

    P(yes at x) = E Phi(h(x)), with h a Gaussian process whose mean is that of the share of yes.

    Args:
        form: What the latent process is like.
        z: (n, p) features of the rows.
        yes: (n,) the answers.

    Attributes:
        theta: (d + 1,) logs of the lengths and of the variance of h.
        loss: Minus the log of the approximate marginal likelihood times the priors, there.

    Examples:
        >>> import numpy as np
        >>> z = np.array([0.1, 0.3, 0.49, 0.5, 0.9])[:, None]
        >>> odds = Odds(Form(np.array([0]), np.array([False])), z, z[:, 0] < 0.495).fit()
        >>> np.exp(odds.log_yes(np.array([[0.2], [0.495], [0.7]]))).round(1)
        array([0.8, 0.5, 0.3])
    """

    def __init__(self, form: Form, z: Float[np.ndarray, "n p"], yes: Bool[np.ndarray, " n"]):
        self.form, self.z = form, z
        self.sign = np.where(yes, 1.0, -1.0)
        self.mean = float(ndtri((yes.sum() + 1) / (len(yes) + 2)))
        lengths, _ = form.prior()
        self._prior = np.append(lengths[: form.d], STEEP[0])
        self._sd = np.append(np.full(form.d, 0.8), STEEP[1])
        self.theta, self.loss = self._prior, math.nan
        self._h = np.zeros(len(yes))
        self._apart = [
            np.square(z[:, None, form.owner == j] - z[None, :, form.owner == j]).sum(axis=2)
            for j in range(form.d)
        ]

    def _mode(self, k: Float[np.ndarray, "n n"]) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the log of the marginal likelihood, the weights a with h = K a at the mode, and
        the Cholesky factor there: Algorithm 3.1, with steps that are halved until they gain.
        """
        n, y = len(k), self.sign
        a, h, value = np.zeros(n), np.zeros(n), -math.inf
        for step in range(NEWTON):
            _, slope, curve, _ = probit(y, h + self.mean)
            root = np.sqrt(curve)
            low, _ = factored(np.eye(n) + root[:, None] * k * root)
            b = curve * h + slope
            inner = cho_solve((low, True), root * (k @ b), check_finite=False)
            toward, size, before = b - root * inner, 1.0, value
            while True:
                new = a + size * (toward - a)
                now = k @ new
                value = float(probit(y, now + self.mean)[0].sum() - 0.5 * new @ now)
                if value > before or size < 1e-3:
                    break
                size /= 2
            a, h = new, now
            if value - before < CLOSE and step:
                break
        _, _, curve, _ = probit(y, h + self.mean)
        root = np.sqrt(curve)
        low, _ = factored(np.eye(n) + root[:, None] * k * root)
        self._h, self._root = h, root
        return value - float(np.log(np.diag(low)).sum()), a, low

    def negative_log_posterior(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log of the marginal likelihood times the priors (without constants), and its
        gradient by theta: Algorithm 5.1.
        """
        form, d = self.form, self.form.d
        k, by_square = form.kernel_and_slope(theta, self.z, self.z)
        value, a, low = self._mode(k)
        _, slope, _, third = probit(self.sign, self._h + self.mean)
        root = self._root
        r = root[:, None] * cho_solve((low, True), np.diag(root), check_finite=False)
        c = solve_triangular(low, root[:, None] * k, lower=True, check_finite=False)
        s2 = 0.5 * (np.diag(k) - (c * c).sum(axis=0)) * third
        w = np.outer(a, a) - r
        back = s2 - r @ (k @ s2)  # s2' (I - K R), so that one product serves every entry of theta
        gap = (theta - self._prior) / self._sd
        grad = gap / self._sd
        for j in range(d):
            by = by_square * self._apart[j] * math.exp(-2 * theta[j])
            grad[j] -= 0.5 * float((w * by).sum()) + float(back @ (by @ slope))
        grad[d] -= 0.5 * float((w * k).sum()) + float(back @ (k @ slope))
        return 0.5 * float(gap @ gap) - value, grad

    def fit(self, theta: np.ndarray | None = None) -> Odds:
        """Maximise the posterior of theta, from theta or from the prior's mean; then take in the
        answers.
        """
        low, high = np.array([BOUNDS[0]] * self.form.d + [BOUNDS[1]]).T
        found = minimize(
            self.negative_log_posterior,
            np.clip(self._prior if theta is None else theta, low, high),
            jac=True,
            bounds=list(zip(low, high, strict=True)),
            method="L-BFGS-B",
            options={"maxiter": 25 if theta is None else 8},
        )
        self.loss = float(found.fun)
        return self.condition(found.x)

    def condition(self, theta: np.ndarray) -> Odds:
        """Take in the answers for hyperparameters."""
        self.theta = np.asarray(theta, dtype=float)
        k = self.form.kernel(self.theta, self.z, self.z)
        _, self._weights, self._low = self._mode(k)
        return self

    def log_yes(self, z: Float[np.ndarray, "k p"]) -> Float[np.ndarray, " k"]:
        """(k,) logs of the probabilities of a yes at points: Algorithm 3.2, equation 3.25."""
        k = self.form.kernel(self.theta, z, self.z)
        v = solve_triangular(self._low, self._root[:, None] * k.T, lower=True, check_finite=False)
        variance = np.maximum(math.exp(self.theta[-1]) - (v * v).sum(axis=0), 0.0)
        return np.asarray(log_ndtr((self.mean + k @ self._weights) / np.sqrt(1 + variance)))


def probit(
    sign: Float[np.ndarray, " n"], h: Float[np.ndarray, " n"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """log Phi(sign h), its first derivative by h, minus its second, and its third: equation 3.16.

    Examples:
        >>> import numpy as np
        >>> [float(v[0].round(4)) for v in probit(np.ones(1), np.zeros(1))]
        [-0.6931, 0.7979, 0.6366, 0.218]
    """
    z = sign * h
    value = log_ndtr(z)
    ratio = np.exp(-0.5 * z * z - LOG_ROOT_2_PI - value)
    rest = z + ratio
    curve = np.maximum(ratio * rest, 1e-12)
    return value, sign * ratio, curve, sign * ratio * (rest * (rest + ratio) - 1)


__all__ = ["Odds", "probit"]
