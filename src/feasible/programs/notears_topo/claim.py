"""The claim of arXiv 2305.17277: exchanges of an order's variables end at lower scores than
continuous methods reach, and lower the score of what these found.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...lab.claim import Claim, Experiment, Part, by_method, last_metric, median, sampled
from ...lab.trials import Race
from .graphs import compare, topological_order
from .instances import linear_dag, neural_dag
from .linear import LinearModel, equal_variance_order, variance_order
from .problem import DAGLearning
from .pruning import by_bic, by_t_test, thresholded
from .settings import TopoSettings
from .topo import topo

BUDGET = {"evaluations": 10_000_000}
LINEAR = ("topo", "topo-random", "equal-variance-order", "sort-and-regress", "causal-learn-ges")
SIZES = {"smoke": (10,), "desk": (20, 30, 50), "paper": (20, 30, 50, 100)}


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """Peers on Erdos-Renyi graphs, an instance a seed; networks on the first three."""
    if scale == "smoke":
        problems = [linear_dag(8, 2, seed=s) for s in tuple(seeds)[:2]]
        return [Experiment("linear", problems, {m: m for m in LINEAR}, BUDGET, (0,))]
    linear = [linear_dag(20, 4, seed=s) for s in seeds]
    linear += [linear_dag(20, 4, "sf", seed=s) for s in seeds]
    raced = {m: m for m in (*LINEAR, "dagma", "castle-golem")}
    found = [Experiment("linear", linear, raced, BUDGET, (0,))]
    neural = [neural_dag(seed=s) for s in tuple(seeds)[:3]]
    networks: dict[str, Any] = {m: m for m in ("topo-networks", "castle-notears-networks")}
    networks["random start"] = "topo-networks[start=random]"
    return [*found, Experiment("networks", neural, networks, {"evaluations": 2000}, (0,))]


def check(races: Mapping[str, Race]) -> list[Part]:
    """Scores, distances and times of the races."""
    race = races["linear"]
    score = by_method(race, lambda t: t.objective)
    shd = by_method(race, last_metric("shd"))
    seconds = by_method(race, lambda t: t.seconds)
    cycles = max(t.violation if t.status == "done" else np.inf for t in race.trials)
    parts = [Part("cycles in an answer, worst of all runs", float(cycles), "== 0")]
    for peer in race.methods:
        if peer == "topo":
            continue
        parts.append(
            sampled(
                f"score of topo over that of {peer}, at 90 % of the instances at most",
                {m: score[m] for m in ("topo", peer)},
                _ninety("topo", peer),
                "<= 1" if peer in ("dagma", "castle-golem") else "reported",
            )
        )
        if peer in ("dagma", "castle-golem"):
            parts.append(
                sampled(
                    f"score of the search from one random order over that of {peer}, the same",
                    {m: score[m] for m in ("topo-random", peer)},
                    _ninety("topo-random", peer),
                    "<= 1",
                )
            )
    if "dagma" in race.methods:
        worst = float((score["topo"] / score["dagma"]).max())
        kinds = np.array([c.name.startswith("er") for c in race.contests])
        parts += [
            Part("score of topo over that of dagma, worst of all instances", worst, "<= 1.001"),
            sampled(
                "edges wrong (SHD) of topo minus those of dagma, median on Erdos-Renyi graphs",
                {m: shd[m][kinds] for m in ("topo", "dagma")},
                lambda v: float(np.median(v["topo"] - v["dagma"])),
                "<= -5",
            ),
            sampled(
                "time of topo over that of dagma, median",
                {m: seconds[m] for m in ("topo", "dagma")},
                median("topo", "dagma"),
                "<= 0.01",
            ),
        ]
    if "networks" in races:
        networks = by_method(races["networks"], lambda t: t.objective)
        peer = "castle-notears-networks"
        for mine in ("topo-networks", "random start"):
            parts.append(
                sampled(
                    f"networks: score of {mine} over that of {peer}, median",
                    {m: networks[m] for m in (mine, peer)},
                    lambda v, mine=mine: float(np.median(v[mine] / v[peer])),  # type: ignore[misc]
                    "<= 1",
                )
            )
    return parts


def _ninety(one: str, other: str) -> Any:
    """The statistic "90 % quantile of a ratio"."""
    return lambda v: float(np.quantile(v[one] / v[other], 0.9, method="inverted_cdf"))


def measured(problem: DAGLearning, seed: int) -> dict[str, float]:
    """What one instance says of the search, its starts and its baselines."""
    truth, covariance = problem.truth, problem.covariance
    model = LinearModel(covariance)
    true = model.fit(topological_order(truth, covariance)).score
    equal = model.fit(equal_variance_order(covariance))
    begun = time.perf_counter()
    found = topo(problem.X, seed=seed)
    seconds = time.perf_counter() - begun
    one = topo(problem.X, settings=TopoSettings(start="random", n_starts=0), seed=seed).best
    small = TopoSettings(
        start="random", n_starts=0, size_small=min(3 * problem.d, problem.d * (problem.d - 1) // 2)
    )
    few = topo(problem.X, settings=small, seed=seed).best
    sorted_ = model.fit(variance_order(covariance))
    refined = topo(problem.X, order=sorted_.order).best
    best, n = found.best, len(problem.X)

    def wrong(weights: np.ndarray) -> float:
        return float(compare(weights, truth).shd)

    return {
        "score": best.score / true,
        "one random start": one.score / true,
        "small sets of 3 d pairs": few.score / true,
        "eqvar": equal.score / true,
        "sorted": sorted_.score / true,
        "sorted, refined": refined.score / true,
        "shd": wrong(thresholded(best.weights, 0.3)),
        "shd, bic": wrong(by_bic(covariance, best.order, n)),
        "shd, t-test": wrong(by_t_test(covariance, best.order, n, 0.05)),
        "shd, eqvar": wrong(thresholded(equal.weights, 0.3)),
        "seconds": seconds,
    }


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """The search alone, on more instances: sizes, scale-free graphs, noises, standardised data."""
    rows: dict[str, list[dict[str, float]]] = {}
    for d in SIZES[scale]:
        for graph in ("er", "sf"):
            rows[f"{graph}, d={d}"] = [measured(linear_dag(d, 4, graph, seed=s), s) for s in seeds]
    others = {"exp": {"noise": "exp"}, "gumbel": {"noise": "gumbel"}}
    d = min(SIZES[scale][-1], 30)
    for name, more in others.items():
        rows[f"er, d={d}, {name}"] = [
            measured(linear_dag(d, 4, seed=s, **more), s)  # type: ignore[arg-type]
            for s in seeds
        ]
    rows[f"er, d={d}, standardised"] = [
        measured(linear_dag(d, 4, seed=s, standardised=True), s) for s in seeds
    ]
    bare = [k for k in rows if k.count(",") == 1]
    table = {k: {f: np.array([r[f] for r in v]) for f in v[0]} for k, v in rows.items()}

    def over(f: str) -> np.ndarray:
        return np.stack([table[k][f] for k in bare])

    parts = [
        Part(
            "score over that of the true order, worst of all ER and SF instances",
            float(over("score").max()),
            "<= 1",
        ),
        Part(
            "score over that of the equal-variance order, worst of all instances",
            float((over("score") / over("eqvar")).max()),
            "<= 1",
        ),
        Part(
            "score of a refined order over that of the order given, worst of all instances",
            float(max((t["sorted, refined"] / t["sorted"]).max() for t in table.values())),
            "<= 1",
        ),
    ]

    def middle(v: Mapping[str, np.ndarray]) -> float:
        return float(np.median(v["value"]))

    last = [k for k in bare if k.endswith(f"d={SIZES[scale][-1]}")]
    if scale != "smoke":
        values = np.stack([table[k]["score"] / table[k]["eqvar"] for k in last])
        parts.append(
            sampled(
                "share of the largest instances on which it is below the equal-variance order's",
                values < 1,
                lambda v: float(v["value"].mean()),
                ">= 0.8",
            )
        )
    for k, t in table.items():
        for f in ("shd", "shd, t-test", "shd, eqvar"):
            parts.append(
                sampled(f"{k}: {f}, median", t[f][None], lambda v: float(np.median(v["value"])))
            )
    return parts, {k: {f: v.tolist() for f, v in t.items()} for k, t in table.items()}


claim = Claim(
    slug="notears-topo",
    statement="A search that exchanges two variables of a topological order, chosen by the "
    "gradient of the acyclicity function, ends at lower scores and fewer wrong edges than NOTEARS, "
    "GOLEM and DAGMA, and lowers the score of what other methods found.",
    experiments=experiments,
    check=check,
    extra=extra,
    why="On data as the paper simulates them, the greedy order by least remaining variance, which "
    "costs one factorisation, is within a hundredth of a per cent of the search: the search beats "
    "the continuous methods, not that baseline by much. The small sets that the published code "
    "uses fail on scale-free graphs; all pairs together cost less here than such a set does one by "
    "one. On standardised columns the score itself is wrong: the search ends below the true "
    "order's.",
    limits={
        "desk": "Erdos-Renyi and scale-free graphs of 20 to 50 variables with 4 edges a variable, "
        "1,000 rows; networks: 10 variables, 10 hidden units, three instances; NOTEARS itself "
        "takes minutes an instance at 20 variables and is left out of the linear race.",
        "smoke": "8 and 10 variables, no DAGMA, no networks.",
    },
)
