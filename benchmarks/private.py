"""Private synthetic data: seconds of the genetic optimisers, and of the exact noise."""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np

from .common import Figure, write


def run() -> list[Figure]:
    """10,000 generations of 100 candidates on 45 pair marginals of 5,000 rows; generations on 2,000
    prefixes and 2,000 halfspaces.
    """
    from feasible.blackbox.private_gsd.accounting import Noise
    from feasible.blackbox.private_gsd.genetic import Optimiser, advance, aim, start
    from feasible.blackbox.private_gsd.instances import acs_like, acs_like_mixed

    figures = []
    for problem, what, generations, bar in (
        (acs_like(), "45 pair marginals", 10_000, 20.0),
        (acs_like_mixed(), "2,000 prefixes, 2,000 halfspaces", 1_000, None),
    ):
        for kind in ("bandit", "elite"):
            settings = Optimiser(kind, population=100, tolerance=0.0)
            fit = start(problem.domain, problem.queries, 1000, settings, np.random.default_rng(100))
            exact = problem.queries.count(problem.domain.encode(problem.data)) / problem.n
            aim(fit, exact, np.arange(problem.queries.q))
            advance(fit, problem.domain, problem.queries, settings, 1)
            begun = time.perf_counter()
            for _ in range(generations // 1000):
                advance(fit, problem.domain, problem.queries, settings, 1000)
            figures.append(
                Figure(
                    f"{kind}: {generations:,} generations of 100 candidates, {what}",
                    time.perf_counter() - begun,
                    bar,
                    "s",
                )
            )
    begun = time.perf_counter()
    Noise().discrete_gaussian(Fraction(200_000), 10_000)
    figures.append(
        Figure(
            "10,000 exact draws of discrete Gaussian noise", time.perf_counter() - begun, None, "s"
        )
    )
    write("private", figures)
    return figures
