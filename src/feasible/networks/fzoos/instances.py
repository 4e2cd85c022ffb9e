"""Federated problems of values: quadratics of unlike clients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...core.checks import real, whole
from ..federated import FederatedProblem


def federated_quadratic(
    d: int = 30, clients: int = 5, unlike: float = 5.0, seed: int = 0
) -> FederatedProblem:
    """Five quadratics of 30 unknowns, unlike each other, whose mean is known.

    f_i(x) = (0.1 / d) (c_i . z^2 + e_i . z + 1) with z = 20 x - 10, and by coordinate c_. and e_. =
    1 + C (Dirichlet(1/N, ..., 1/N) - 1/N), so that F* = 0.1 / d - 0.025 at x = 0.475. A client's own
    function need not be convex for C > 1.

    Args:
        d: Unknowns.
        clients: N.
        unlike: C.
        seed: Of the coefficients and the start.
    """
    d, n = whole("d", d, least=1), whole("clients", clients, least=1)
    unlike = real("unlike", unlike, least=0)
    rng = np.random.default_rng(seed)
    square, linear = (
        1 + unlike * (rng.dirichlet(np.full(n, 1 / n), d).T - 1 / n) for _ in range(2)
    )

    def function(c: np.ndarray, e: np.ndarray) -> Callable[[np.ndarray], float]:
        def f(x: np.ndarray) -> float:
            z = 20 * np.clip(x, 0, 1) - 10
            return float(0.1 / d * (c @ z**2 + e @ z + 1))

        return f

    return FederatedProblem(
        [function(c, e) for c, e in zip(square, linear, strict=True)],
        rng.random(d),
        name=f"federated-quadratic-{unlike:g}",
        best_known=0.1 / d - 0.025,
    )


def federated_quadratic_like(seed: int = 0) -> FederatedProblem:
    """The same with clients that are much alike: C = 0.5.

    Args:
        seed: Of the coefficients and the start.
    """
    return federated_quadratic(unlike=0.5, seed=seed)
