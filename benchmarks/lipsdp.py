"""Certified Lipschitz constants: three solvers of the same inequality at 8 x 32, the sizes that
semidefinite programming does not reach, and ReLU networks beside eclipse-nn.

Times are of the processor, one thread, certificate included; weights are normal.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .common import Figure, write

SEEDS = (100, 101, 102)


def timed(net: Any, **options: Any) -> tuple[Any, float]:
    from feasible.programs import lipschitz_bound

    begun = time.process_time()
    found = lipschitz_bound(net, samples=0, **options)
    return found, time.process_time() - begun


def solvers() -> list[Figure]:
    """8 x 32, all of T, S, P: ours and the layer-wise inequality by cvxpy and SCS."""
    from feasible.programs.lipsdp_groupsort.instances import random_weights

    ways = {"newton": {}, "gradient": {"solver": "gradient"}, "SCS": {"solver": "scs"}}
    values: dict[str, list[float]] = {w: [] for w in ways}
    seconds: dict[str, list[float]] = {w: [] for w in ways}
    timed(random_weights([4, 4, 2]), solver="scs")
    for seed in SEEDS:
        weights = random_weights([*[32] * 8, 10], seed)
        for way, options in ways.items():
            found, took = timed(weights, **options)
            values[way].append(found.value)
            seconds[way].append(took)
    bound, took = ({w: np.array(v) for w, v in t.items()} for t in (values, seconds))
    figures = []
    for way in ("newton", "gradient"):
        ratio = float(np.median(bound[way] / bound["SCS"]))
        figures.append(Figure(f"8 x 32: bound of {way} over that of SCS", ratio, 1.05))
        ratio = float(np.median(took[way] / took["SCS"]))
        note = f"{np.median(took[way]):.2f} s and {np.median(took['SCS']):.1f} s"
        figures.append(Figure(f"8 x 32: time of {way} over that of SCS", ratio, 0.2, note=note))
    ratio = float(np.median(bound["gradient"] / bound["newton"]))
    figures.append(Figure("8 x 32: bound of gradient over that of newton", ratio, 1.05))
    return figures


def sizes() -> list[Figure]:
    """Seconds at 8 x 128 in both forms, and every eigenvalue checked."""
    from feasible.programs.lipsdp_groupsort.instances import random_weights

    weights = random_weights([*[128] * 8, 10], 100)
    figures = []
    for form, what, bar in (("simple", "S = P = 0", 60.0), ("full", "T, S, P", None)):
        found, took = timed(weights, form=form)
        note = (
            f"bound {found.value:.4g}, product {found.product:.4g}, proven: {bool(found.verify())}"
        )
        figures.append(Figure(f"8 x 128, {what}", took, bar, "s", note))
    return figures


def relu() -> list[Figure]:
    """ReLU networks of 5 x 16: LipSDP's optimum beside eclipse-nn's layer by layer."""
    from feasible.programs import Slope
    from feasible.programs.lipsdp_groupsort import feedforward
    from feasible.programs.lipsdp_groupsort.instances import random_weights
    from feasible.programs.lipsdp_groupsort.peers import eclipse_bound

    eclipse_bound(feedforward(random_weights([4, 4, 2]), Slope("relu")))
    rows = []
    for seed in SEEDS:
        net = feedforward(random_weights([*[16] * 5, 10], seed), Slope("relu"))
        ours, took = timed(net)
        for method in ("ECLipsE", "ECLipsE_Fast"):
            begun = time.process_time()
            theirs = eclipse_bound(net, method)
            rows.append((method, ours.value / theirs, took / (time.process_time() - begun)))
    figures = []
    for method in ("ECLipsE", "ECLipsE_Fast"):
        values, times = (float(np.median([r[i] for r in rows if r[0] == method])) for i in (1, 2))
        figures.append(Figure(f"ReLU, 5 x 16: bound over that of {method}", values, 1.0001))
        figures.append(Figure(f"ReLU, 5 x 16: time over that of {method}", times))
    return figures


def run() -> list[Figure]:
    """All three."""
    figures = solvers() + sizes() + relu()
    write("lipsdp", figures)
    return figures
