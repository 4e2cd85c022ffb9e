"""Ready-made problems: log-sum-exp, powers of residuals, and logistic regression."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...core.checks import real, whole
from .logistic import Logistic
from .losses import Chebyshev, LinearResidual, LogSumExp, Loss, PowerNorm, Rosenbrock
from .problem import SmoothProgram

if TYPE_CHECKING:
    from jaxtyping import Float

RIDGE = 1e-8
"""What is added to the diagonal of a metric A'A that may be singular."""


def program(
    loss: Loss,
    x0: Float[np.ndarray, " d"],
    name: str,
    metric: Float[np.ndarray, "d d"] | None = None,
    best: float | None = None,
) -> SmoothProgram:
    """A function with its Hessians as a program.

    Args:
        loss: f.
        x0: Where to begin.
        name: Its name.
        metric: B; None for the identity.
        best: f at the minimum.
    """
    kinds = [kind for kind in loss.KINDS if kind != "exact"]
    return SmoothProgram(
        loss.value,
        x0,
        jac=loss.gradient,
        hess=partial(_exact, loss),
        approximations={kind: partial(loss.hessian, kind=kind) for kind in kinds},
        metric=metric,
        residuals=(loss.residual, loss.jacobian) if isinstance(loss, PowerNorm) else None,
        name=name,
        best_known=best,
    )


def _exact(loss: Loss, x: Float[np.ndarray, " d"]) -> object:
    """Return the Hessian as a matrix."""
    found = loss.hessian(x, "exact")
    if not hasattr(found, "q"):
        return found
    outer = found.a * np.outer(found.q, found.q)
    return outer if found.base is None else found.base.toarray() + outer


def log_sum_exp(n: int = 200, mu: float = 1.0, seed: int = 0) -> SmoothProgram:
    """The log-sum-exp of 200 affine functions of 200 variables, entries uniform in [-1, 1].

    f(x) = mu log sum_i exp((a_i' x - b_i) / mu); the gradient at 0 is subtracted from each row, so
    that the minimum is at 0. The metric is A'A of the rows before; methods start at 1.

    Args:
        n: Variables, and affine functions.
        mu: > 0; the smaller, the nearer to a maximum.
        seed: Of the data.
    """
    rng, whole_n = np.random.default_rng(seed), whole("n", n, least=1)
    A, b = rng.uniform(-1, 1, (whole_n, n)), rng.uniform(-1, 1, n)
    loss = LogSumExp(A, b, real("mu", mu, above=0))
    loss = LogSumExp(A - loss.gradient(np.zeros(n)), b, mu)
    best = loss.value(np.zeros(n))
    return program(loss, np.ones(n), f"log-sum-exp-{n}", A.T @ A, best)


def power_residual(m: int = 100, n: int = 200, p: float = 4.0, seed: int = 0) -> SmoothProgram:
    """The fourth power of a linear residual of 100 equations and 200 unknowns.

    f(x) = |A x - b|^p / p with entries uniform in [-1, 1]; the minimum is 0. The metric is A'A +
    1e-8 I; methods start at 1.

    Args:
        m: Equations.
        n: Unknowns.
        p: >= 2.
        seed: Of the data.
    """
    rng = np.random.default_rng(seed)
    A = rng.uniform(-1, 1, (whole("m", m, least=1), whole("n", n, least=1)))
    loss = LinearResidual(p, A, rng.uniform(-1, 1, m))
    metric = A.T @ A + RIDGE * np.eye(n)
    best = 0.0 if m <= n else None
    return program(loss, np.ones(n), f"power-residual-{m}x{n}", metric, best)


def rosenbrock(p: float = 5.0) -> SmoothProgram:
    """The fifth power of Rosenbrock's residual, |u|^5 / 5, from (-2, 2).

    Args:
        p: >= 2.
    """
    return program(Rosenbrock(p), np.array([-2.0, 2.0]), "rosenbrock-power", best=0.0)


def chebyshev(d: int = 1000, p: float = 4.0, seed: int = 0) -> SmoothProgram:
    """The fourth power of Chebyshev's residual in 1000 variables, from a start uniform in [0, 1].

    Args:
        d: Variables.
        p: >= 2.
        seed: Of the start.
    """
    start = np.random.default_rng(seed).uniform(0, 1, whole("d", d, least=2))
    return program(Chebyshev(p, d), start, f"chebyshev-{d}", best=0.0)


def breast_cancer(
    l2: float = 1e-3, share: float = 1.0, spread: float = 0.0, seed: int = 0
) -> SmoothProgram:
    """Logistic regression on scikit-learn's breast cancer table, standardised, with an intercept.

    f(x) = mean of log(1 + exp(-y_i a_i' x)) + l2 |x|^2 / 2, from 0.

    Args:
        l2: >= 0.
        share: Of the rows, drawn without replacement; 1 for all, in their order.
        spread: Standard deviation of a normal start; 0 for the start 0.
        seed: Of both draws.
    """
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(seed)
    if share < 1:
        size = int(real("share", share, above=0) * len(X))
        kept = rng.choice(len(X), size, replace=False)
        X, y = X[kept], y[kept]
    X = np.c_[(X - X.mean(0)) / X.std(0), np.ones(len(X))]
    loss = Logistic(X, y, real("l2", l2, least=0))
    start = real("spread", spread, least=0) * rng.standard_normal(X.shape[1])
    return program(loss, start, "breast-cancer")


PROBLEMS: dict[str, Callable[..., SmoothProgram]] = {
    "log-sum-exp-200": log_sum_exp,
    "power-residual-100x200": power_residual,
    "rosenbrock-power": rosenbrock,
    "chebyshev-1000": chebyshev,
    "breast-cancer": breast_cancer,
}
"""Ready-made problems: name -> factory."""
