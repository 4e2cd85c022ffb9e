"""The claim of arXiv 2401.09665: a token that avoids the nodes it visited too often finds what it
looks for with a smaller error than tokens on Markov chains, and than independent draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ...lab.claim import Claim, Experiment, Part, by_method, last_metric, sampled
from ...lab.trials import Race
from .covariance import asymptotic_covariance
from .instances import plain_graph, token_logistic, token_mean, token_mean_changing
from .problem import TokenProblem
from .token import token_sgd
from .walk import DepthFirstTour, IndependentSampling, NonBacktrackingWalk, SelfRepellentWalk, Walk

HOPS = {"smoke": 1000, "desk": 100_000, "paper": 1_000_000}
WALKERS = {"smoke": 4, "desk": 200, "paper": 200}
ALPHAS = (0.0, 1.0, 2.0, 5.0, 10.0)
A, B = 0.8, 0.9
CASES = {
    "case (ii)": (0.8, 0.8),
    "case (iii)": (0.9, 0.6),
    "case (ii) at (0.9, 0.9)": (0.9, 0.9),
    "case (iii) at (0.9, 0.8)": (0.9, 0.8),
}
"""(a, b) of the comparison cases; the last two are as near to the default's as can be."""
INSTANCES = {"smoke": 1, "desk": 4, "paper": 6}
CHANGING = {"smoke": 1000, "desk": 10_000, "paper": 100_000}
"""Hops on graphs that change."""
PERIOD = 50
"""Hops after which a tenth of the edges change: less than a tour."""
SLOW = 1000
METHODS = {
    "self-repellent walk": "sa-srrw",
    "self-repellent simple walk": "sa-srrw-simple",
    "Metropolis walk": "metropolis-walk",
    "simple walk": "simple-walk",
    "non-backtracking walk": "non-backtracking-walk",
    "independent draws": "independent-sampling",
    "depth-first tour": "depth-first-tour",
}
MARKOV = ("Metropolis walk", "simple walk", "non-backtracking walk")


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """Tokens on graphs that stay, and on one that changes within a tour of it."""
    nodes = {"smoke": 60, "desk": 300, "paper": 569}[scale]
    made: dict[str, tuple[Callable[[int], TokenProblem], int]] = {
        "mean": (lambda s: token_mean(seed=s), HOPS[scale]),
        "logistic regression": (lambda s: token_logistic(nodes, s), HOPS[scale]),
        "changing graph": (lambda s: token_mean_changing(s, PERIOD), CHANGING[scale]),
        "slowly changing graph": (lambda s: token_mean_changing(s, SLOW), CHANGING[scale]),
    }
    found = []
    for name, (make, hops) in made.items():
        problems = [make(s) for s in range(INSTANCES[scale])]
        for s, problem in enumerate(problems):
            problem.name = f"{name}, instance {s}"
        found.append(Experiment(name, problems, METHODS, {"hops": hops}, tuple(seeds)))
    return found


def check(races: Mapping[str, Race]) -> list[Part]:
    """Squared errors of single tokens after equally many hops, over instances and seeds."""
    parts = []
    bars = {
        "mean": ("<= 0.5", "<= 1", "reported"),
        "logistic regression": ("<= 0.5", "<= 1", "reported"),
        "changing graph": ("<= 0.5", "<= 1", "<= 0.5"),
        "slowly changing graph": ("reported", "reported", "reported"),
    }
    for name, race in races.items():
        errors = by_method(race, last_metric("squared_error"))
        others = (MARKOV, ("independent draws",), ("depth-first tour",))
        said = ("the best Markov token's", "independent draws'", "the depth-first tour's")
        for which, what, bar in zip(others, said, bars[name], strict=True):
            parts.append(
                sampled(
                    f"{name}: mean squared error of the self-repellent walk over {what}",
                    {k: errors[k] for k in ("self-repellent walk", *which)},
                    lambda v, which=which: float(  # type: ignore[misc]
                        v["self-repellent walk"].mean() / min(v[k].mean() for k in which)
                    ),
                    bar,
                )
            )
    return parts


def scaled(walk: Walk, hops: int, walkers: int, b: float) -> float:
    """Return beta_N^-1 times the mean squared error of so many tokens that average the numbers."""
    found = token_sgd(token_mean().gradient, walk, 1.0, hops, b=b, n_walkers=walkers)
    return float((found.thetas**2).mean()) * (hops + 1.0) ** b


def batches(scale: str, seeds: Sequence[int]) -> dict[str, np.ndarray]:
    """Scaled mean squared errors, a batch of tokens a seed; all alphas have the same streams."""
    graph, hops, walkers = plain_graph("karate"), HOPS[scale], WALKERS[scale]
    walks: dict[str, tuple[Callable[..., Walk], float]] = {
        f"alpha = {alpha:g}": (partial(SelfRepellentWalk, graph, alpha=alpha, a=A), B)
        for alpha in ALPHAS
    }
    for case, (a, b) in CASES.items():
        walks[case] = partial(SelfRepellentWalk, graph, alpha=5.0, a=a), b
    walks["independent draws"] = partial(IndependentSampling, graph), B
    walks["non-backtracking walk"] = partial(NonBacktrackingWalk, graph), B
    walks["simple walk"] = partial(SelfRepellentWalk, graph, base="simple", alpha=0.0), B
    walks["depth-first tour"] = partial(DepthFirstTour, graph), B
    return {
        name: np.array([scaled(make(seed=s), hops, walkers, b) for s in seeds])
        for name, (make, b) in walks.items()
    }


def theory() -> dict[str, float]:
    """Return what the scaled errors tend to."""
    problem = token_mean()
    assert problem.losses is not None
    chain = SelfRepellentWalk(problem.graph).chain
    held = -problem.losses.gradients(np.zeros(1))

    def limit(alpha: float, case: str) -> float:
        return float(asymptotic_covariance(chain.P, chain.mu, held, 1.0, alpha, case, B)[0, 0])

    return {
        **{f"alpha = {alpha:g}": limit(alpha, "i") for alpha in (*ALPHAS, 100.0)},
        "case (ii)": limit(5.0, "ii"),
        "case (iii)": limit(5.0, "iii"),
        "independent draws": limit(0.0, "iid"),
    }


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """Batches of tokens against theory, against the other cases, and against other samplers."""
    found, limits = batches(scale, seeds), theory()
    finite = 1 / (1 - B * HOPS[scale] ** (B - 1) / 2)  # of a Hessian of 1, at this many hops
    parts = []
    for other, bar in (
        ("alpha = 0", "<= 0.08"),
        ("case (ii)", "<= 0.7"),
        ("case (iii)", "<= 0.15"),
        ("case (ii) at (0.9, 0.9)", "reported"),
        ("case (iii) at (0.9, 0.8)", "reported"),
        ("independent draws", "<= 0.5"),
        ("non-backtracking walk", "reported"),
        ("simple walk", "reported"),
        ("depth-first tour", "reported"),
    ):
        parts.append(
            sampled(
                f"karate, {HOPS[scale]} hops: scaled error with alpha = 5 over that of {other}",
                {k: found[k] for k in ("alpha = 5", other)},
                lambda v, other=other: float(  # type: ignore[misc]
                    np.median(v["alpha = 5"]) / np.median(v[other])
                ),
                bar,
            )
        )
    names = [f"alpha = {alpha:g}" for alpha in ALPHAS]
    parts.append(
        sampled(
            "the same: largest ratio of neighbours over alpha = 0, 1, 2, 5, 10",
            {k: found[k] for k in names},
            lambda v: max(
                float(np.median(v[more]) / np.median(v[less])) for less, more in pairwise(names)
            ),
            "< 1",
        )
    )
    for name in ("alpha = 1", "alpha = 2"):
        parts.append(
            sampled(
                f"the same: {name} over theory at so many hops, or the other way round",
                {name: found[name]},
                lambda v, name=name: float(  # type: ignore[misc]
                    np.exp(abs(np.log(np.median(v[name]) / (finite * limits[name]))))
                ),
                "<= 2",
            )
        )
    slope = float(np.log10(limits["alpha = 100"] / limits["alpha = 10"]))
    parts.append(
        Part(
            "theory: order of the covariance in alpha, from 10 to 100, less -2",
            abs(slope + 2),
            "<= 0.15",
        )
    )
    parts.append(
        sampled(
            "simulated: order of the scaled error in alpha, from 1 to 10",
            {k: found[k] for k in ("alpha = 1", "alpha = 10")},
            lambda v: float(np.log10(np.median(v["alpha = 10"]) / np.median(v["alpha = 1"]))),
        )
    )
    return parts, {"theory": limits, "simulated": {k: v.tolist() for k, v in found.items()}}


claim = Claim(
    slug="sa-srrw",
    statement="A token that walks by a self-repellent kernel and steps by the gradients of the "
    "nodes it visits has, with a < b, an asymptotic covariance of order 1 / alpha^2, and a smaller "
    "error than tokens on Markov chains and than independent draws.",
    experiments=experiments,
    check=check,
    extra=extra,
    why="A token that tours the graph depth first, and carries as much memory, has a far smaller "
    "error on a graph that stays as it is: there a walk is the wrong tool. Where a tenth of the "
    "edges change within a tour, tours begin anew before their end and use the nodes near their "
    "roots too often, while the walk does as well as on a graph that stays. The order 1 / alpha^2 "
    "is that of theory: at 100,000 hops the error beyond alpha = 2 falls more slowly, because "
    "beta_n / gamma_n, which should vanish, is still n^-0.1. For the same reason case (iii) "
    "is judged at (0.9, 0.6): at (0.9, 0.8) it is not far from case (ii) yet.",
    limits={
        "desk": "Karate's 34 nodes and a power-law graph of 300; the paper's graphs have 62 and "
        "889. 100,000 hops, 10,000 on graphs that change; batches of 200 tokens.",
        "smoke": "Batches of 4 tokens, 1000 hops.",
    },
)
