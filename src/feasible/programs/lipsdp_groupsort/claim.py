"""The claim of arXiv 2401.14033: on networks that sort, constraints of their own give smaller
certified Lipschitz constants than the product of norms, and than LipSDP on a rewriting by ReLU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from time import process_time
from typing import Any

import numpy as np

from ...lab.claim import Claim, Experiment, Part, by_method, last_metric, sampled
from ...lab.trials import Race
from .activations import FullSort, GroupSort, Householder
from .bound import lipschitz_bound
from .instances import LABEL, random_weights, trained_digits
from .networks import Network, feedforward
from .problem import LipschitzCertificate

METHODS = ("lipsdp", "lipsdp-simple", "lipsdp-rr", "layer-product", "lipsdp-gradient")
ALMOST = 1 + 1e-4
HIDDEN = {
    "shallow": (32,),
    "middle": (32, 32, 32),
    "deep": (16,) * 7,
}
EPOCHS = {
    "smoke": {"shallow": 1, "middle": 1, "deep": 1},
    "desk": {"shallow": 30, "middle": 30, "deep": 100},
    "paper": {"shallow": 30, "middle": 30, "deep": 100},
}
SDP = {"smoke": (3, 8), "desk": (8, 32), "paper": (8, 32)}
"""Layers and width of the network on which solvers are timed."""
TIMED = {"smoke": 1, "desk": 3, "paper": 5}
OTHERS = {"groups of 4": GroupSort(4), "FullSort": FullSort(), "Householder": None}


def row(net: Network, label: int) -> Network:
    """Return a network with one of its outputs only."""
    return Network(net.layers, net.W_out[label : label + 1], net.b_out[label : label + 1])


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """MaxMin networks trained on digits: a problem a seed; l2, and linf of one output."""
    chosen = tuple(seeds)[:2] if scale == "smoke" else tuple(seeds)
    found = []
    budget = {"factorizations": 150 if scale == "smoke" else 700}
    methods = {m: m for m in METHODS}
    nets = {
        (name, s): trained_digits(hidden, seed=s, epochs=EPOCHS[scale][name])
        for name, hidden in HIDDEN.items()
        for s in chosen
    }
    for name in HIDDEN:
        problems = [
            LipschitzCertificate(nets[name, s], samples=4000, name=f"{name}, seed {s}")
            for s in chosen
        ]
        found.append(Experiment(name, problems, methods, budget, chosen[:1]))
    linf = [
        LipschitzCertificate(
            row(nets["middle", s], LABEL), "linf", samples=4000, name=f"linf, seed {s}"
        )
        for s in chosen
    ]
    found.append(Experiment("linf", linf, methods, budget, chosen[:1]))
    return found


def bounds(race: Race) -> dict[str, np.ndarray]:
    """Method -> (problems, 1) bounds, and the sampled slope as "sampled"."""
    table = by_method(race, lambda t: t.objective)
    slopes = by_method(race, last_metric("sampled"))
    return {m: v[:, :1] for m, v in table.items()} | {"sampled": slopes["lipsdp"][:, :1]}


def over(statement: str, values: Mapping[str, np.ndarray], a: str, b: str, bar: str) -> Part:
    """The median ratio of two methods' bounds."""
    used = {a: values[a], b: values[b]}
    return sampled(statement, used, lambda v: float(np.median(v[a] / v[b])), bar)


def check(races: Mapping[str, Race]) -> list[Part]:
    """Bounds on the same networks."""
    found = {name: bounds(race) for name, race in races.items()}
    order = ("sampled", "lipsdp", "lipsdp-simple")
    broken = {
        (low, high): sum(
            int((v[low] > v[high] * ALMOST).sum()) for name, v in found.items() if name != "linf"
        )
        for low, high in [*pairwise(order), ("lipsdp-simple", "lipsdp-rr")]
    }
    uncertified = sum(int(t.violation > 0) for r in races.values() for t in r.trials)
    middle, deep, linf = found["middle"], found["deep"], found["linf"]
    gap = {m: middle[m] for m in order}
    return [
        Part("bounds that the judge's eigenvalues do not prove", uncertified, "== 0"),
        Part(
            "networks where a sampled slope is above the bound with T, S, P, l2",
            broken["sampled", "lipsdp"],
            "== 0",
        ),
        Part(
            "networks where the bound with T, S, P is above that with S = P = 0, l2",
            broken["lipsdp", "lipsdp-simple"],
            "== 0",
        ),
        Part(
            "networks where the bound with S = P = 0 is above LipSDP by ReLU, l2",
            broken["lipsdp-simple", "lipsdp-rr"],
            "== 0",
        ),
        over(
            "64-32-32-32-10: S = P = 0 over the product of norms",
            middle,
            "lipsdp-simple",
            "layer-product",
            "<= 0.88",
        ),
        over(
            "64-7x16-10: S = P = 0 over the product of norms",
            deep,
            "lipsdp-simple",
            "layer-product",
            "<= 0.65",
        ),
        sampled(
            "64-32-32-32-10: what T, S, P leave of the distance from S = P = 0 to sampled slopes",
            gap,
            lambda v: float(
                np.median((v["lipsdp"] - v["sampled"]) / (v["lipsdp-simple"] - v["sampled"]))
            ),
            "<= 0.7",
        ),
        over("64-7x16-10: T, S, P over S = P = 0", deep, "lipsdp", "lipsdp-simple", "<= 0.95"),
        over(
            "64-7x16-10: the gradient method over the optimum of T, S, P",
            deep,
            "lipsdp-gradient",
            "lipsdp",
            "<= 1.05",
        ),
        over("64-7x16-10: T, S, P over LipSDP by ReLU", deep, "lipsdp", "lipsdp-rr", "reported"),
        sampled(
            "linf, one output of 64-32-32-32-10: S = P = 0 over the product of row sums",
            by_method(races["linf"], last_metric("over product"))["lipsdp-simple"][:, :1],
            lambda v: float(np.median(next(iter(v.values())))),
            "<= 0.1",
        ),
        over(
            "linf, one output of 64-32-32-32-10: T, S, P over S = P = 0",
            linf,
            "lipsdp",
            "lipsdp-simple",
            "reported",
        ),
        over(
            "64-32-10: T, S, P over sampled slopes",
            found["shallow"],
            "lipsdp",
            "sampled",
            "reported",
        ),
    ]


def exact(weights: Sequence[np.ndarray]) -> float:
    """Return the l2 constant of a MaxMin network of one hidden layer, by all its pieces.

    It is the largest, as every order of the pairs occurs where W_1 has full row rank.
    """
    W, out = weights
    best = 0.0
    for flips in product((False, True), repeat=len(W) // 2):
        order = np.arange(len(W)).reshape(-1, 2)
        order[list(flips)] = order[list(flips)][:, ::-1]
        best = max(best, float(np.linalg.norm(out[:, order.ravel()] @ W, 2)))
    return best


def timed(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """Bounds and seconds of the processor of three ways to the same optimum."""
    depth, width = SDP[scale]
    values: dict[str, list[float]] = {}
    for seed in list(seeds)[: TIMED[scale]]:
        weights = random_weights([*[width] * depth, 10], seed)
        for name, options in {
            "newton": {"solver": "newton"},
            "gradient": {"solver": "gradient"},
            "SDP": {"solver": "scs", "tol": 1e-5},
        }.items():
            begun = process_time()
            bound = lipschitz_bound(weights, samples=0, **options)  # type: ignore[arg-type]
            values.setdefault(f"{name} seconds", []).append(process_time() - begun)
            values.setdefault(f"{name} bound", []).append(bound.value)
    table = {k: np.array(v) for k, v in values.items()}
    at = f"{depth} x {width}, random weights: "

    def ratio(what: str, a: str, b: str, bar: str) -> Part:
        used = {k: table[k] for k in (a, b)}
        return sampled(at + what, used, lambda v: float(np.median(v[a] / v[b])), bar)

    return [
        ratio(
            "bound of newton over that of SCS on the layer-wise inequality",
            "newton bound",
            "SDP bound",
            "<= 1.05",
        ),
        ratio("time of newton over that of SCS", "newton seconds", "SDP seconds", "<= 0.2"),
        ratio(
            "bound of the gradient method over that of SCS",
            "gradient bound",
            "SDP bound",
            "<= 1.05",
        ),
        ratio(
            "time of the gradient method over that of SCS",
            "gradient seconds",
            "SDP seconds",
            "<= 0.2",
        ),
    ], {"three ways": {k: v.tolist() for k, v in table.items()}}


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """Exact constants of small networks, other activations, and the time of three solvers."""
    ratios = [
        lipschitz_bound(weights, samples=0).value / exact(weights)
        for seed in seeds
        for k in range(2 if scale == "smoke" else 20)
        for weights in [random_weights([6, 6, 3], 1000 * seed + k)]
    ]
    one = lipschitz_bound([np.eye(4)] * 2, samples=0)
    relu = lipschitz_bound([np.eye(4)] * 2, form="relu", samples=0)
    others: dict[str, dict[str, float]] = {}
    for name, phi in OTHERS.items():
        v = np.random.default_rng(0).standard_normal(4)
        used = phi or Householder(v / np.linalg.norm(v))
        net = feedforward(random_weights([16, 16, 16, 16, 10], int(seeds[0])), used)
        full, simple = (lipschitz_bound(net, form=f) for f in ("full", "simple"))
        others[name] = {
            "T, S, P": full.value,
            "S = P = 0": simple.value,
            "product": full.product,
            "sampled": full.lower,
        }
    parts, more = timed(scale, seeds)
    return [
        Part(
            "6-6-3, random weights: the largest bound over the exact constant",
            max(ratios),
            "<= 1.05",
        ),
        Part(
            "6-6-3, random weights: the least bound over the exact constant",
            min(ratios),
            ">= 0.999999",
        ),
        Part("one MaxMin layer, W = I: distance of rho from 1", abs(one.value**2 - 1), "<= 1e-4"),
        Part(
            "one MaxMin layer, W = I, by ReLU: distance of rho from 2",
            abs(relu.value**2 - 2),
            "<= 1e-4",
        ),
        *parts,
    ], {"other activations, 16-16-16-16-10": others, **more}


claim = Claim(
    slug="lipsdp-groupsort",
    statement="Constraints of GroupSort and Householder give smaller certified Lipschitz constants "
    "than the product of norms and than LipSDP on a rewriting by ReLU; the gap grows with depth.",
    experiments=experiments,
    check=check,
    extra=extra,
    why="The gradient method is within 5 % of the bound of SCS, but not in a fifth of its time: on "
    "the layer-wise inequality, scaled, SCS at 1e-4 takes about as long, and ends 8 % above the "
    "optimum. The interior-point method reaches the optimum in a tenth of that time. S = P = 0 is "
    "not the same as T, S, P: on these networks it is 9 % above it at 8 layers, and in linf half "
    "as much again.",
    limits={
        "desk": "MaxMin networks on the 8 x 8 digits of scikit-learn, one a seed, where the paper "
        "has MNIST and up to 18 layers of 128; its trained weights are not shipped.",
        "smoke": "Two networks trained for one epoch.",
    },
)
