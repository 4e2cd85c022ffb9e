"""A Gaussian process over features, with a lengthscale for each input, whose hyperparameters
maximise the marginal likelihood times their priors.

NumPy and SciPy only: it is fitted anew every few rows, for which there are milliseconds.

References:
    C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (2006): Algorithm
    2.1, equations 2.25, 2.26 (posterior), 5.8, 5.9 (marginal likelihood and its gradient), 2.7
    (basis functions with a normal prior).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri, dtrtri
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

ROOT5 = math.sqrt(5)
JITTERS = (0.0, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)
"""Added to the diagonal in units of its mean; the first with which the matrix has a factor."""
OFFSET = 4.0
"""Variance of the constant by which values of an earlier study may lie off."""
BOUNDS = (-4.0, 3.0), (-4.0, 4.0), (-9.0, 4.0), (math.log(1e-6), math.log(4.0))
"""Of the logs of a length, of the variances of signal, trend and noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What a process is like.

    Values are standardised. Their covariance is s^2 k(r) + T b b' + noise, with k the Matern kernel
    of order 5/2 (or the Gaussian one) of the distance r in lengthscales, and b linear and quadratic
    functions of the features where there is a trend. Rows of an earlier study are a second task:
    covariances of the two tasks are multiplied by a correlation exp(-1 / (2 l^2)), whose length l
    is learned like the others, and values of the earlier one are shifted by a constant.

    Attributes:
        owner: (p,) the input of each feature.
        category: (d,) True for categories.
        noise: The variance of the noise; None where it is learned.
        smooth: The Gaussian kernel in place of Matern 5/2.
        trend: Whether there is a trend.
        bowl: Height of a prior mean that is a bowl, where there is a trend: numbers c in [-1, 1]
            add bowl (c^2 - 1/3) each, which keeps a search out of corners that nobody has seen.
        lengths: (d,) means of the priors on the logs of the lengths; None for the usual ones.
        tasks: Whether the last feature, of an owner of its own, is 1 in rows of an earlier study
            and 0 in others.
    """

    owner: Int[np.ndarray, " p"]
    category: Bool[np.ndarray, " d"]
    noise: float | None = None
    smooth: bool = False
    trend: bool = False
    bowl: float = 0.0
    lengths: Float[np.ndarray, " d"] | None = None
    tasks: bool = False

    @property
    def d(self) -> int:
        """Number of lengths: of inputs, and of what else has one."""
        return len(self.category)

    def prior(self) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Means and standard deviations of the normal priors on the logs of the lengths and of the
        variances of signal, trend and noise.
        """
        usual = np.where(self.category, 0.0, math.log(0.3 * math.sqrt(self.d)))
        lengths = usual if self.lengths is None else self.lengths
        noise = math.log(0.05 if self.noise is None else self.noise)
        means = np.append(lengths, [0.0, math.log(0.1), noise])
        return means, np.append(np.full(self.d, 0.8), [1.0, 2.0, 3.0])

    def basis(self, z: Float[np.ndarray, "n p"]) -> Float[np.ndarray, "n q"]:
        """Linear functions of all features, quadratic ones of numbers; none without a trend."""
        if not self.trend:
            return np.empty((len(z), 0))
        c = 2 * z - 1
        if self.tasks:
            c[:, -1] = 0.0
        return np.concatenate([c, c[:, ~self.category[self.owner]] ** 2 - 1 / 3], axis=1)

    def kernel(
        self, theta: np.ndarray, a: Float[np.ndarray, "n p"], b: Float[np.ndarray, "k p"]
    ) -> Float[np.ndarray, "n k"]:
        """The kernel s^2 k(r) of rows of features."""
        r2 = self._squares(theta, a, b)
        variance: float | np.ndarray = math.exp(theta[self.d])
        if self.tasks:
            variance = variance * self.correlation(theta, a, b)
        if self.smooth:
            return np.asarray(variance * np.exp(-0.5 * r2))
        r = np.sqrt(r2 * 5)
        r2 *= 5 / 3
        r2 += r
        r2 += 1
        r2 *= np.exp(-r)
        r2 *= variance
        return r2

    def kernel_and_slope(
        self, theta: np.ndarray, a: Float[np.ndarray, "n p"], b: Float[np.ndarray, "k p"]
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
        """The kernel, and its derivative by a log length over the scaled squared distance in that
        input.
        """
        if self.smooth:
            k = self.kernel(theta, a, b)
            return k, k
        r2 = self._squares(theta, a, b)
        r = ROOT5 * np.sqrt(r2)
        e = math.exp(theta[self.d]) * np.exp(-r)
        if self.tasks:
            e = e * self.correlation(theta, a, b)
        slope = 5 / 3 * (1 + r) * e
        return (1 + r) * e + 5 / 3 * r2 * e, slope

    def correlation(
        self, theta: np.ndarray, a: Float[np.ndarray, "n p"], b: Float[np.ndarray, "k p"]
    ) -> Float[np.ndarray, "n k"]:
        """1 for rows of one task, the correlation for rows of two."""
        other = (a[:, -1:] - b[:, -1]) ** 2
        return np.asarray(np.exp(-0.5 * other * math.exp(-2 * theta[self.d - 1])))

    def shift(
        self, a: Float[np.ndarray, "n p"], b: Float[np.ndarray, "k p"]
    ) -> Float[np.ndarray, "n k"] | float:
        """Covariances of the constant by which rows of an earlier study lie off."""
        return OFFSET * np.outer(a[:, -1], b[:, -1]) if self.tasks else 0.0

    def _squares(self, theta: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return squared distances in lengthscales."""
        scale = np.exp(-theta[self.owner])
        if self.tasks:
            scale[-1] = 0.0
        return np.asarray(cdist(a * scale, b * scale, "sqeuclidean"))


class GP:
    """A Gaussian process given values at n rows.

    Args:
        form: What it is like.
        z: (n, p) features of the rows.
        y: (n,) finite values.
        mult: (n,) by what the variance of the noise is multiplied in each row; None for ones.

    Attributes:
        theta: (d + 3,) logs of lengths and of the variances of signal, trend and noise.
        loss: Minus the log of the marginal likelihood times the priors, there (without constants).
        centre: What the values are shifted by before they are standardised.
        scale: What they are divided by.

    Examples:
        >>> import numpy as np
        >>> z = np.linspace(0, 1, 6)[:, None]
        >>> form = Form(np.array([0]), np.array([False]), noise=1e-6)
        >>> gp = GP(form, z, np.sin(5 * z[:, 0])).fit()
        >>> mean, variance = gp.predict(np.array([[0.5]]))
        >>> np.round(mean, 2), bool(variance[0] < 0.01)
        (array([0.6]), True)
    """

    def __init__(
        self,
        form: Form,
        z: Float[np.ndarray, "n p"],
        y: Float[np.ndarray, " n"],
        mult: Float[np.ndarray, " n"] | None = None,
    ):
        self.form, self.z = form, z
        self.mult = np.ones(len(y)) if mult is None else mult
        self.basis = form.basis(z)
        self.centre, self.scale = float(np.mean(y)), float(np.std(y)) or 1.0
        self.t = (y - self.centre) / self.scale - self._bowl(self.basis)
        if form.trend:
            rest = float(self.t.mean())
            self.centre, self.t = self.centre + self.scale * rest, self.t - rest
        self.theta, self.loss = form.prior()[0], math.nan
        self._products = self.basis @ self.basis.T
        self._squares = z * z
        self._shift = form.shift(z, z)

    def _bowl(self, basis: np.ndarray) -> np.ndarray:
        """Return the prior mean at rows of the basis, in standardised units."""
        return np.asarray(self.form.bowl * basis[:, len(self.form.owner) :].sum(axis=1))

    # -- hyperparameters ---------------------------------------------------------------------------

    def negative_log_posterior(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log of the marginal likelihood times the priors (without constants), and its
        gradient by theta.
        """
        form, d = self.form, self.form.d
        k, slope = form.kernel_and_slope(theta, self.z, self.z)
        trend, noise = math.exp(theta[d + 1]) * self._products, math.exp(theta[d + 2]) * self.mult
        factor, log_det = factored(k + trend + self._shift + np.diag(noise))
        a = cho_solve((factor, True), self.t, check_finite=False)
        w = _inverse(factor)
        w -= np.outer(a, a)
        mean, sd = form.prior()
        gap = (theta - mean) / sd
        grad = gap / sd
        # equation 5.9: tr((K^-1 - a a') dK/dtheta) / 2; sums of w * slope times squared differences
        m = w * slope
        both = self._squares.T @ m.sum(axis=1) - (self.z * (m @ self.z)).sum(axis=0)
        grad[:d] += np.exp(-2 * theta[:d]) * np.bincount(form.owner, both, minlength=d)
        if form.tasks:
            apart = (self.z[:, -1:] != self.z[:, -1]).astype(float)
            grad[d - 1] = gap[d - 1] / sd[d - 1]
            grad[d - 1] += 0.5 * math.exp(-2 * theta[d - 1]) * float((w * k * apart).sum())
        grad[d] += 0.5 * float((w * k).sum())
        grad[d + 1] += 0.5 * float((w * trend).sum())
        grad[d + 2] += 0.5 * float(np.diag(w) @ noise)
        loss = 0.5 * float(self.t @ a + log_det + gap @ gap)  # equation 5.8
        return loss, grad

    def fit(self, theta: np.ndarray | None = None, starts: int = 1) -> GP:
        """Maximise the posterior of theta, from theta or from the prior's mean, with 2 starts also
        from a model of little noise and short lengths; then take in the values.
        """
        form, d = self.form, self.form.d
        base = form.prior()[0]
        quiet = base.copy()
        quiet[:d] -= 0.7
        if form.noise is None:
            quiet[d + 2] = math.log(1e-3)
        ends = [BOUNDS[0]] * d + [
            *BOUNDS[1:3],
            BOUNDS[3] if form.noise is None else (base[-1],) * 2,
        ]
        low, high = np.array(ends).T
        if not form.trend:
            low[d + 1] = high[d + 1] = base[d + 1]
        tries = [base if theta is None else theta] + [quiet] * (starts > 1)
        steps = {"maxiter": 40 if theta is None else 15}
        found = [
            minimize(
                self.negative_log_posterior,
                np.clip(start, low, high),
                jac=True,
                bounds=list(zip(low, high, strict=True)),
                method="L-BFGS-B",
                options=steps,
            )
            for start in tries
        ]
        best = min(found, key=lambda r: float(r.fun))
        self.loss = float(best.fun)
        return self.condition(best.x)

    def condition(
        self, theta: np.ndarray | None = None, mult: Float[np.ndarray, " n"] | None = None
    ) -> GP:
        """Take in the values for hyperparameters, or for other multiples of the noise."""
        if theta is not None:
            self.theta = np.asarray(theta, dtype=float)
            trend = math.exp(self.theta[self.form.d + 1]) * self._products
            self._prior_kernel = self.form.kernel(self.theta, self.z, self.z) + trend
            self._prior_kernel += self._shift
        if mult is not None:
            self.mult = mult
        noise = np.diag(math.exp(self.theta[-1]) * self.mult)
        self._cholesky, _ = factored(self._prior_kernel + noise)
        self._weights = cho_solve((self._cholesky, True), self.t, check_finite=False)
        return self

    @property
    def noise(self) -> float:
        """Variance of the noise in the units of the values, where its multiple is 1."""
        return math.exp(self.theta[-1]) * self.scale**2

    # -- the posterior -----------------------------------------------------------------------------

    def _cross(self, z: np.ndarray, basis: np.ndarray) -> Float[np.ndarray, "k n"]:
        """Return prior covariances of points with the rows."""
        k = self.form.kernel(self.theta, z, self.z)
        if self.form.trend:
            k += math.exp(self.theta[self.form.d + 1]) * (basis @ self.basis.T)
        k += self.form.shift(z, self.z)
        return k

    def means(self, z: Float[np.ndarray, "k p"]) -> Float[np.ndarray, " k"]:
        """(k,) posterior means at points, equation 2.25."""
        basis = self.form.basis(z)
        mean = self._cross(z, basis) @ self._weights + self._bowl(basis)
        return np.asarray(self.centre + self.scale * mean)

    def predict(
        self, z: Float[np.ndarray, "k p"]
    ) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """(k,) posterior means and variances at points, without noise, equations 2.25 and 2.26."""
        mean, variance, _ = self.jointly(z, None)
        return mean, variance

    def jointly(
        self, z: Float[np.ndarray, "k p"], also: Float[np.ndarray, "q p"] | None
    ) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"], Float[np.ndarray, "k q"]]:
        """Means and variances at points, and their covariances with points `also`."""
        basis, d = self.form.basis(z), self.form.d
        k = self._cross(z, basis)
        mean = self.centre + self.scale * (k @ self._weights + self._bowl(basis))
        v = solve_triangular(self._cholesky, k.T, lower=True, check_finite=False)
        trend = math.exp(self.theta[d + 1])
        prior = math.exp(self.theta[d]) + trend * (basis * basis).sum(axis=1)
        if self.form.tasks:
            prior = prior + OFFSET * z[:, -1] ** 2
        variance = self.scale**2 * np.maximum(prior - (v * v).sum(axis=0), 1e-12)
        if also is None:
            return mean, variance, np.empty((len(z), 0))
        theirs = self.form.basis(also)
        k2 = self._cross(also, theirs)
        v2 = solve_triangular(self._cholesky, k2.T, lower=True, check_finite=False)
        both = self.form.kernel(self.theta, z, also) + trend * (basis @ theirs.T)
        return mean, variance, self.scale**2 * (both - v.T @ v2)

    def at_rows(self) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """(n,) posterior means and variances at the rows, without noise."""
        noise = math.exp(self.theta[-1]) * self.mult
        mean = self.t - noise * self._weights + self._bowl(self.basis)
        root, _ = dtrtri(self._cholesky, lower=1)
        precision = np.einsum("ij,ij->j", root, root)  # the diagonal of the inverse covariance
        variance = np.maximum(noise - noise * noise * precision, 1e-12)
        return self.centre + self.scale * mean, self.scale**2 * variance

    def believing(self, z: Float[np.ndarray, "k p"]) -> GP:
        """The same process given also its own means at points, which changes no mean."""
        form = self.form
        twin = object.__new__(GP)
        twin.form, twin.centre, twin.scale = form, self.centre, self.scale
        twin.z = np.vstack([self.z, z])
        twin.mult = np.append(self.mult, np.ones(len(z)))
        twin.basis = form.basis(twin.z)
        believed = (self.means(z) - self.centre) / self.scale - self._bowl(form.basis(z))
        twin.t = np.append(self.t, believed)
        twin.loss = self.loss
        twin._products = twin.basis @ twin.basis.T
        twin._squares = twin.z * twin.z
        twin._shift = form.shift(twin.z, twin.z)
        return twin.condition(self.theta)


def factored(k: Float[np.ndarray, "n n"]) -> tuple[Float[np.ndarray, "n n"], float]:
    """Return the lower Cholesky factor and the log determinant, with as little jitter as needed."""
    unit = float(np.trace(k)) / len(k)
    for jitter in JITTERS:
        factor, info = dpotrf(k + jitter * unit * np.eye(len(k)) if jitter else k, lower=1)
        if info == 0:
            return factor, 2 * float(np.log(np.diag(factor)).sum())
    raise np.linalg.LinAlgError("the kernel matrix is not positive definite")


def _inverse(factor: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Return the inverse of a matrix from its lower Cholesky factor, whose upper half is 0."""
    low = dpotri(factor, lower=1)[0]
    both = low + low.T
    np.fill_diagonal(both, np.diag(low))
    return both


__all__ = ["GP", "Form"]
