"""Smooth functions with approximate Hessians: iterations, evaluations and seconds to a target of
our method, of regularised Newton and gradient methods and of SciPy's solvers, and logistic
regression against scikit-learn's newton-cholesky, one thread each.

Medians of three instances with seeds from 100 on, on the processor's clock. A method without a
figure did not reach the target in 1000 iterations. The bars on iterations are in the claim.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable

import numpy as np

from .common import Figure, write

SEEDS = range(100, 100 + int(os.environ.get("GNS_SEEDS", "3")))


def seconds(function: Callable[[], object], rounds: int = 5) -> float:
    """Median of the processor's seconds, after one call that warms up."""
    function()
    took = []
    for _ in range(rounds):
        begun = time.process_time()
        function()
        took.append(time.process_time() - begun)
    return float(np.median(took))


def races() -> list[Figure]:
    """Every method of the claim to the target of each problem."""
    from feasible.programs.gradient_normalized_smoothness.claim import METHODS, TARGETS, counted

    found = []
    for kind in METHODS:
        _, _, _, medians = counted(kind, "desk", list(SEEDS))
        for label, figures in sorted(medians.items(), key=lambda kv: kv[1]["iterations"]):
            if math.isfinite(figures["iterations"]):
                note = f"{figures['evaluations']:.0f} evaluations, {figures['seconds']:.3f} s"
                what = f"{kind}, f - f* <= {TARGETS[kind]:g}: {label}"
                found.append(Figure(what, figures["iterations"], None, "iterations", note))
    return found


def regression() -> list[Figure]:
    """The estimator in turns with newton-cholesky at 100,000 rows of 50 columns."""
    from feasible.programs.gradient_normalized_smoothness.claim import regression as fitted

    parts, more = fitted(100_000, list(SEEDS))
    note = f"{np.median(more['seconds']['ours']):.3f} s"
    bars = (1.0, 1e-8, None)
    return [
        Figure(part.statement, float(part.figure or 0.0), bar, "ratio" if bar == 1 else "", note)
        for part, bar in zip(parts, bars, strict=True)
    ]


def structures() -> list[Figure]:
    """What the structure of a Hessian saves, and what one decomposition for all trials would."""
    from scipy.linalg import eigh

    from feasible.programs import gns_minimize
    from feasible.programs.gradient_normalized_smoothness import Chebyshev, LowRank, Metric
    from feasible.programs.gradient_normalized_smoothness.curvature import curvature

    rng = np.random.default_rng(100)
    found = []
    for d in (200, 500):
        A = rng.standard_normal((d, d))
        H, metric, g = A @ A.T, Metric.of(None, d), rng.standard_normal(d)
        curved = curvature(H, metric)
        trial = seconds(lambda c=curved, g=g: c.step(1.0, g, 1.0))  # type: ignore[misc]
        whole = seconds(lambda H=H: eigh(H))  # type: ignore[misc]
        found.append(
            Figure(f"d = {d}: an eigendecomposition over a trial by Cholesky", whole / trial)
        )
    rows, g = rng.standard_normal((20, 2000)), rng.standard_normal(2000)
    metric, dense = Metric.of(None, 2000), rows.T @ rows
    few = seconds(lambda: curvature(LowRank(rows), metric).step(1.0, g, 1.0))
    all_of_it = seconds(lambda: curvature(dense, metric).step(1.0, g, 1.0))
    found.append(Figure("20 rows of 2000 columns: a step over the dense one", few / all_of_it, 0.1))
    loss = Chebyshev(4.0, 100_000)
    x0 = np.random.default_rng(101).uniform(0, 1, 100_000)
    begun = time.process_time()
    result = gns_minimize(
        loss.value, loss.gradient, x0, lambda x: loss.hessian(x, "gauss-newton"), max_iter=100
    )
    note = f"f = {result.fun:.1e}, gradient {result.trace['norm'][-1]:.1e}, {result.nit} iterations"
    took = time.process_time() - begun
    return [*found, Figure("Chebyshev's residual in 100,000 variables", took, None, "s", note)]


def run() -> list[Figure]:
    """All parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures = races() + regression() + structures()
    write("gns", figures, seeds=list(SEEDS))
    return figures
