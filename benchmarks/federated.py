"""Federated zeroth-order descent: seconds of a round, and of fitting a surrogate against
scikit-learn's Gaussian process, one thread each.

Queries to equal gaps are in the claim; here is time only, on the processor's clock.
"""

from __future__ import annotations

import os
import time

import numpy as np

from .common import Figure, write

ROUNDS = int(os.environ.get("FEDERATED_ROUNDS", "20"))
LARGE = int(os.environ.get("FEDERATED_LARGE", "300"))


def run() -> list[Figure]:
    """Rounds of 30 and of 300 unknowns, and fits."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    from feasible.networks import FZooS, GradientSurrogate, federated_quadratic
    from feasible.networks.fzoos.surrogate import likeliest

    figures = []
    problem = federated_quadratic(30, seed=100)
    start = time.process_time()
    FZooS().minimize(problem.clients, problem.x0, ROUNDS, seed=100)
    took = time.process_time() - start
    figures.append(Figure(f"{ROUNDS} rounds of 5 clients, d = 30", took, 30.0, "s"))
    figures.append(Figure("a round, d = 30", took / ROUNDS, 0.5, "s"))
    problem = federated_quadratic(LARGE, seed=100)
    start = time.process_time()
    FZooS(features=10_000).minimize(problem.clients, problem.x0, 3, seed=100)
    took = (time.process_time() - start) / 3
    figures.append(Figure(f"a round, d = {LARGE}, 10,000 features", took, 5.0, "s"))

    rng = np.random.default_rng(100)
    points = 0.5 + 0.02 * rng.standard_normal((150, 30))
    values = (points**2).sum(axis=1)
    z = points.mean(axis=0)
    start = time.process_time()
    for _ in range(10):
        lengthscale = likeliest(points, values, 1e-6)
        GradientSurrogate.of(points, values, lengthscale).gradient(z)
    ours = (time.process_time() - start) / 10
    kernel = Matern(length_scale=1.0, length_scale_bounds=(1e-5, 1e5), nu=2.5)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = GaussianProcessRegressor(
            kernel, alpha=1e-6, n_restarts_optimizer=20, random_state=0
        ).fit(points, values)
    theirs = time.process_time() - start
    assert np.isfinite(model.predict(z[None])).all()
    note = f"{1e3 * ours:.2g} ms; theirs {theirs:.2g} s, 20 restarts"
    figures.append(
        Figure(
            "scikit-learn's fit over ours, gradient included, 150 points",
            theirs / ours,
            50,
            "at least",
            note,
        )
    )
    write("federated", figures)
    return figures
