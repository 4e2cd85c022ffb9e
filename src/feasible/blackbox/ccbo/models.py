"""The two models of CCBO in plain torch: an exact Gaussian process, and a variational
Gaussian-process classifier, on mixed inputs.

Inputs are points of the unit cube; the columns `cats` are categories (equal or not), the others are
ordinal. The kernel is BoTorch's mixed one,

    k = s1 (M(x_o, x_o') + s2 C(x_c, x_c')) + s3 M'(x_o, x_o') C'(x_c, x_c'),

M Matern-5/2 with a lengthscale for each column, C = exp(-mean_j 1[x_j != x_j'] / l_j).
Hyperparameters are logarithms in one vector, fitted by L-BFGS-B with a wide Gaussian prior on each
(the paper has none): with five rows the likelihood alone is unbounded or flat in some of them.
GPyTorch has the same models; here a posterior is three small matrix products, which the acquisition
evaluates some hundred times.

References:
    arXiv 2411.10471, section 2.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import minimize

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

JITTER = 1e-6
"""Added to the diagonal of a covariance, relative to its mean diagonal."""
ROOT5 = math.sqrt(5.0)
NODES, WEIGHTS = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(20))
"""Gauss-Hermite rule for expectations under N(0, 1); the weights sum to sqrt(2 pi)."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """The mixed kernel's layout.

    theta holds its log hyperparameters in this order: lengthscales of M, with both kinds of columns
    of M', then of C, with both kinds of C', then s1, and with both kinds s2 and s3.

    Attributes:
        ords: The ordinal columns.
        cats: The categorical columns.
    """

    ords: tuple[int, ...]
    cats: tuple[int, ...]

    @property
    def both(self) -> bool:
        """True where there are columns of both kinds."""
        return bool(self.ords and self.cats)

    @property
    def size(self) -> int:
        """Number of hyperparameters."""
        return (
            2 * (len(self.ords) + len(self.cats)) + 3
            if self.both
            else len(self.ords) + len(self.cats) + 1
        )

    def centre(self) -> Float[np.ndarray, " k"]:
        """Mean of the prior of the log hyperparameters: lengthscales 0.7, variances that sum to
        one.
        """
        scales = [0.5, 0.5, 0.25] if self.both else [1.0]
        return np.log(np.concatenate([np.full(self.size - len(scales), 0.7), scales]))

    def bounds(self) -> list[tuple[float, float]]:
        """Bounds of the log hyperparameters: ordinal lengthscales from 1e-4, categorical ones from
        1e-6, variances from 1e-4.
        """
        o, c = (
            [(math.log(1e-4), math.log(1e3))] * len(self.ords),
            [(math.log(1e-6), math.log(1e3))] * len(self.cats),
        )
        return (
            [*o, *o, *c, *c] + [(math.log(1e-4), math.log(1e3))] * 3
            if self.both
            else [*o, *c, (math.log(1e-4), math.log(1e3))]
        )

    def split(self, theta: Tensor) -> tuple[Tensor, ...]:
        """theta in its parts."""
        o, c = len(self.ords), len(self.cats)
        return theta.exp().split([o, o, c, c, 1, 1, 1] if self.both else [o + c, 1])

    def matrix(
        self, theta: Tensor, x: Float[Tensor, "n d"], z: Float[Tensor, "m d"]
    ) -> Float[Tensor, "n m"]:
        """Covariances of the rows of x with those of z, (n, m).

        Args:
            theta: Log hyperparameters.
            x: (n, d) points of the unit cube.
            z: (m, d) the same.
        """
        parts = self.split(theta)
        if not self.both:
            one = (
                _matern(x, z, parts[0][None], self.ords)
                if self.ords
                else _same(x, z, parts[0][None], self.cats)
            )
            return parts[1] * one[0]
        l1, l2, c1, c2, s1, s2, s3 = parts
        m, c = (
            _matern(x, z, torch.stack([l1, l2]), self.ords),
            _same(x, z, torch.stack([c1, c2]), self.cats),
        )
        return s1 * (m[0] + s2 * c[0]) + s3 * m[1] * c[1]

    def variance(self, theta: Tensor) -> Tensor:
        """k(x, x), the same for every x."""
        parts = self.split(theta)
        return (parts[4] * (1 + parts[5]) + parts[6]).squeeze() if self.both else parts[1].squeeze()


def _matern(
    x: Tensor, z: Tensor, lengths: Float[Tensor, "k o"], columns: Sequence[int]
) -> Float[Tensor, "k n m"]:
    """Return Matern-5/2 for k choices of lengthscales at once."""
    square = (
        x[:, columns].unsqueeze(-2) - z[:, columns]
    ).square() @ lengths.square().reciprocal().mT
    r = ROOT5 * (square + 1e-20).sqrt().movedim(-1, 0)
    return (1 + r + r.square() / 3) * (-r).exp()


def _same(
    x: Tensor, z: Tensor, lengths: Float[Tensor, "k c"], columns: Sequence[int]
) -> Float[Tensor, "k n m"]:
    """Return the kernel of categories for k choices of lengthscales at once."""
    other = ((x[:, columns].unsqueeze(-2) - z[:, columns]).abs() > 1e-9).to(x.dtype)
    return (-(other @ lengths.reciprocal().mT) / len(columns)).exp().movedim(-1, 0)


def cholesky(k: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """The factor of k + jitter, with more jitter where k is not positive definite to rounding."""
    scale = k.diagonal().mean()
    eye = torch.eye(len(k), dtype=k.dtype)
    for power in range(5):
        factor, info = torch.linalg.cholesky_ex(k + JITTER * 10.0**power * scale * eye)
        if not info.any():
            return factor
    raise np.linalg.LinAlgError("the covariance of the data is not positive definite")


def fit(
    loss: Callable[[Tensor], Tensor],
    starts: Sequence[np.ndarray],
    bounds: Sequence[tuple[float, float]],
    what: str,
    maxiter: int,
) -> tuple[np.ndarray, bool]:
    """The best minimiser of a loss from several starts, by L-BFGS-B.

    Args:
        loss: (k,) -> scalar, with gradients.
        starts: (k,) where it is started.
        bounds: By parameter.
        what: Is fitted, for the warning.
        maxiter: Iterations at most.

    Returns:
        The minimiser, and whether there is one; where every start fails the last one is kept, with
        a warning.
    """

    def value(p: np.ndarray) -> tuple[float, np.ndarray]:
        t = torch.from_numpy(p.copy()).requires_grad_()
        try:
            f = loss(t)
            (g,) = torch.autograd.grad(f, t)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(p)
        found, slope = float(f.detach()), g.numpy()
        return (
            (found, slope)
            if math.isfinite(found) and np.isfinite(slope).all()
            else (1e10, np.zeros_like(p))
        )

    low, high = (np.array(side) for side in zip(*bounds, strict=True))
    best, least = np.clip(starts[-1], low, high), 1e10
    for start in starts:
        found = minimize(
            value,
            np.clip(start, low, high),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": maxiter},
        )
        if found.fun < least:
            best, least = found.x, float(found.fun)
    if least >= 1e10:
        warnings.warn(
            f"ccbo: fitting the {what} failed, its default hyperparameters are used",
            RuntimeWarning,
            stacklevel=2,
        )
    return best, least < 1e10


@dataclass(slots=True)
class Latent:
    """A posterior over a latent function, conditional on data: mean(x) = mean0 + a(x) m,
    cov(x, x') = k(x, x') - a(x) B a(x')^T, with a(x) = k(x, X) L^-T.

    Attributes:
        kernel: The kernel.
        theta: Its log hyperparameters.
        x: (n, d) the data's points X.
        factor: (n, n) the Cholesky factor L of the data's covariance.
        m: (n,) see above.
        b: (n, n) B, or None for the identity.
        mean0: Mean of the prior.
        params: What was fitted, to start the next fit from.
    """

    kernel: Mixed
    theta: Tensor
    x: Float[Tensor, "n d"]
    factor: Float[Tensor, "n n"]
    m: Float[Tensor, " n"]
    b: Float[Tensor, "n n"] | None
    mean0: Tensor
    params: np.ndarray = field(default_factory=lambda: np.empty(0))

    def project(self, x: Float[Tensor, "b d"]) -> tuple[Float[Tensor, " b"], Float[Tensor, "b n"]]:
        """(b,) means and (b, n) rows a(x)."""
        k = self.kernel.matrix(self.theta, x, self.x)
        a = torch.linalg.solve_triangular(self.factor, k.mT, upper=False).mT
        return self.mean0 + a @ self.m, a

    def covariance(
        self,
        x: Float[Tensor, "b d"],
        a: Float[Tensor, "b n"],
        z: Float[Tensor, "p d"],
        c: Float[Tensor, "p n"],
    ) -> Tensor:
        """(b, p) posterior covariances of two sets of points with their rows a and c."""
        return self.kernel.matrix(self.theta, x, z) - (a if self.b is None else a @ self.b) @ c.mT

    def variances(self, a: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
        """(b,) posterior variances."""
        k = self.kernel.variance(self.theta)
        return (k - ((a if self.b is None else a @ self.b) * a).sum(-1)).clamp_min(1e-12 * k)

    def marginal(self, x: Float[Tensor, "b d"]) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """(b,) means and (b,) variances."""
        mean, a = self.project(x)
        return mean, self.variances(a)


# -- exact Gaussian process ------------------------------------------------------------------------


def exact_loss(kernel: Mixed, p: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """-log p(y | x), p = (theta, log noise variance, constant mean)."""
    factor = _noisy_factor(kernel, p, x)
    r = torch.linalg.solve_triangular(factor, (y - p[-1])[:, None], upper=False).squeeze(-1)
    return (
        0.5 * r.square().sum()
        + factor.diagonal().log().sum()
        + 0.5 * len(y) * math.log(2 * math.pi)
    )


def _noisy_factor(kernel: Mixed, p: Tensor, x: Tensor) -> Tensor:
    """Return the Cholesky factor of the data's covariance with noise."""
    return cholesky(
        kernel.matrix(p[: kernel.size], x, x) + p[-2].exp() * torch.eye(len(x), dtype=x.dtype)
    )


def fit_exact(
    kernel: Mixed,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    warm: np.ndarray,
    *,
    maxiter: int = 100,
) -> Latent:
    """The Gaussian process on standardised values, hyperparameters by the marginal likelihood times
    their prior.

    Args:
        kernel: The kernel.
        x: (n, d) points of the unit cube.
        y: (n,) values.
        warm: An earlier result's `params`, where the fit starts; empty for the prior's centre.
        maxiter: Iterations at most.
    """
    centre = np.append(kernel.centre(), [math.log(1e-4), 0.0])
    bounds = [*kernel.bounds(), (math.log(1e-6), 0.0), (-5.0, 5.0)]
    spread = torch.from_numpy(np.append(np.full(kernel.size, 2.0), [3.0, 1.0]))
    params = centre
    if len(y) > 1 and float(y.std()) > 0:
        at = torch.from_numpy(centre)
        starts = [centre] if len(warm) != len(centre) else [warm, centre]
        params, _ = fit(
            lambda p: exact_loss(kernel, p, x, y) + 0.5 * ((p - at) / spread).square().sum(),
            starts,
            bounds,
            "Gaussian process",
            maxiter,
        )
    p = torch.from_numpy(params)
    with torch.no_grad():
        factor = _noisy_factor(kernel, p, x)
        m = torch.linalg.solve_triangular(factor, (y - p[-1])[:, None], upper=False).squeeze(-1)
    return Latent(kernel, p[: kernel.size], x, factor, m, None, p[-1], params)


# -- variational classifier ------------------------------------------------------------------------


def _lower(n: int, p: Tensor) -> Tensor:
    """Return a lower triangular matrix from its n logarithms of the diagonal and the n (n - 1) / 2
    entries below.
    """
    at = torch.tril_indices(n, n, -1)
    return torch.diag(p[:n].exp()).index_put((at[0], at[1]), p[n:])


def elbo(kernel: Mixed, p: Tensor, x: Float[Tensor, "n d"], sign: Float[Tensor, " n"]) -> Tensor:
    """Evidence lower bound of probit classification with all inputs as inducing points, f = mean +
    L v, q(v) = N(m, T T^T): sum_i E_q[log Phi(s_i f_i)] - KL(q(v) || N(0, I)).

    Args:
        kernel: The kernel.
        p: (theta, mean, m (n,), T by `_lower`).
        x: (n, d) points of the unit cube.
        sign: (n,) labels s, +1 or -1.
    """
    n, k = len(x), kernel.size
    m, t = p[k + 1 : k + 1 + n], _lower(n, p[k + 1 + n :])
    factor = cholesky(kernel.matrix(p[:k], x, x))
    mean = p[k] + factor @ m
    sd = (factor @ t).square().sum(-1).sqrt()
    f = sign[:, None] * (mean[:, None] + sd[:, None] * NODES)
    fit_ = (torch.special.log_ndtr(f) * WEIGHTS).sum() / math.sqrt(2 * math.pi)
    kl = 0.5 * (t.square().sum() + m.square().sum() - n) - p[k + 1 + n : k + 1 + 2 * n].sum()
    return fit_ - kl


def fit_classifier(
    kernel: Mixed,
    x: Float[Tensor, "n d"],
    feasible: Bool[np.ndarray, " n"],
    warm: np.ndarray,
    *,
    maxiter: int = 200,
) -> Latent | None:
    """The latent function f with P(feasible | f) = Phi(f).

    Args:
        kernel: The kernel.
        x: (n, d) points of the unit cube.
        feasible: (n,) labels.
        warm: An earlier result's `params`, its rows being the first of x (else it is not used).
        maxiter: Iterations at most.

    Returns:
        None where all labels are the same.
    """
    n, k = len(x), kernel.size
    if feasible.all() or not feasible.any():
        return None
    sign = torch.from_numpy(np.where(feasible, 1.0, -1.0))
    centre = np.append(kernel.centre(), 0.0)
    centre[k - (3 if kernel.both else 1) : k] += math.log(4.0)
    tail = n + n * (n - 1) // 2
    start = np.concatenate([centre, np.zeros(n + tail)])
    starts = [start] if (grown := _grown(warm, k, n)) is None else [grown, start]
    bounds = (
        [*kernel.bounds(), (-5.0, 5.0)]
        + [(-50.0, 50.0)] * n
        + [(-12.0, 3.0)] * n
        + [(-50.0, 50.0)] * (tail - n)
    )
    at, spread = torch.from_numpy(centre), torch.from_numpy(np.append(np.full(k, 1.5), 1.0))

    def loss(p: Tensor) -> Tensor:
        return 0.5 * ((p[: k + 1] - at) / spread).square().sum() - elbo(kernel, p, x, sign)

    params, _ = fit(loss, starts, bounds, "classifier", maxiter)
    p = torch.from_numpy(params)
    with torch.no_grad():
        factor = cholesky(kernel.matrix(p[:k], x, x))
        t = _lower(n, p[k + 1 + n :])
        b = torch.eye(n, dtype=x.dtype) - t @ t.mT
    return Latent(kernel, p[:k], x, factor, p[k + 1 : k + 1 + n], b, p[k], params)


def _grown(warm: np.ndarray, k: int, n: int) -> np.ndarray | None:
    """Return parameters of the classifier of the first rows of x as a start for all n rows: new
    rows have the prior's v.
    """
    old = (math.isqrt(9 + 8 * max(len(warm) - k - 1, 0)) - 3) // 2
    if len(warm) < k + 3 or len(warm) != k + 1 + 2 * old + old * (old - 1) // 2 or old > n:
        return None
    m, log_diagonal, below = np.split(warm[k + 1 :], [old, 2 * old])
    pad = np.zeros(n - old)
    t = np.zeros((n, n))
    t[np.tril_indices(old, -1)] = below
    return np.concatenate([warm[: k + 1], m, pad, log_diagonal, pad, t[np.tril_indices(n, -1)]])
