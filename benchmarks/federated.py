"""Federated zeroth-order descent: seconds of a round, and of fitting a surrogate against
scikit-learn's Gaussian process, one thread each, on the processor's clock; and what a server pays
that asks its clients for single values, with pycma's and nevergrad's methods.

Queries to equal gaps against federated methods are in the claim.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import numpy as np

from .common import Figure, write

if TYPE_CHECKING:
    from feasible.networks import FederatedProblem

ROUNDS = int(os.environ.get("FEDERATED_ROUNDS", "20"))
LARGE = int(os.environ.get("FEDERATED_LARGE", "300"))
SEEDS = range(100, 100 + int(os.environ.get("FEDERATED_SEEDS", "3")))
GAP, MOST = 0.03, {"federated": 1500, "central": 5000}
"""What F - F* must reach, from about 4, and queries of each client at most."""
CENTRAL = ("cma-es", "nevergrad-ngopt", "nevergrad-two-points-de", "nevergrad-pso")


def moved(unlike: float, seed: int) -> FederatedProblem:
    """The quadratics, moved by up to 0.25 in each unknown: the optimum is elsewhere than almost in
    the middle of the box, where some methods of servers begin.
    """
    from feasible.networks import FederatedProblem, federated_quadratic

    plain = federated_quadratic(30, unlike=unlike, seed=seed)
    shift = np.random.default_rng(seed).uniform(-0.25, 0.25, plain.d)
    return FederatedProblem(
        {k: lambda x, f=f: f(x + shift) for k, f in plain.clients.items()},
        np.clip(plain.x0 - shift, 0.0, 1.0),
        name="moved",
        best_known=plain.best_known,
    )


def federated(method: str, problem: FederatedProblem, seed: int) -> tuple[float, float, float]:
    """Queries of each client, messages and bytes to the gap; infinite where it is not reached."""
    import feasible

    clients, best = len(problem.clients), float(problem.best_known or 0.0)
    found = feasible.solve(problem, method, {"queries": clients * MOST["federated"]}, seed=seed)
    for point in found.trail:
        if point.verdict.objective - best < GAP:
            spent = point.spent
            return spent["queries"] / clients, spent["messages"], spent["bytes"]
    return np.inf, np.inf, np.inf


def central(method: str, problem: FederatedProblem, seed: int) -> tuple[float, float, float]:
    """The same of a server that knows F from the values of all clients, a point at a time."""
    from scipy.optimize import Bounds

    import feasible
    from feasible.core.errors import GoalReached
    from feasible.networks.messages import HEADER

    asked, best = 0, float(problem.best_known or 0.0)
    reached = np.inf

    def mean(x: np.ndarray) -> float:
        nonlocal asked, reached
        asked += 1
        value = problem.judge(x).objective
        if value - best < GAP:
            reached = asked
            raise GoalReached(f"F - F* is below {GAP}")
        return value

    d, clients = problem.d, len(problem.clients)
    box = feasible.blackbox.BlackBox(mean, Bounds(np.zeros(d), np.ones(d)), x0=problem.x0)
    feasible.solve(box, method, {"evaluations": MOST["central"]}, seed=seed)
    each = clients * (2 * HEADER + 8 * (d + 1))  # the point to each client, and its value back
    return reached, 2 * clients * reached, each * reached


def costs() -> list[Figure]:
    """What methods of a federation and of a server that is told every value pay to equal gaps."""
    found = []
    for unlike in (0.5, 5.0):
        problems = [moved(unlike, seed) for seed in SEEDS]
        for asking, methods in (
            (federated, ("fzoos", "scaffold-2[q=5]", "fedzo[q=5]")),
            (central, CENTRAL),
        ):
            for method in methods:
                rows = np.array(
                    [asking(method, p, s) for p, s in zip(problems, SEEDS, strict=True)]
                )
                queries, messages, size = np.median(rows, axis=0)
                note = f"{messages:.0f} messages, {size / 1e3:.0f} kB"
                if not np.isfinite(queries):
                    queries, note = MOST[asking.__name__], "not reached within so many"
                what = f"C = {unlike:g}, {method}: queries of each client to a gap of {GAP}"
                found.append(Figure(what, float(queries), None, "", note))
    return found


def run() -> list[Figure]:
    """Rounds of 30 and of 300 unknowns, fits, and a server that is told every value."""
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
    figures += costs()
    write("federated", figures)
    return figures
