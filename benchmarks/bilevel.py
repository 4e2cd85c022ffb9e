"""Bilevel programs: a step of each method on hyper-cleaning (T = 10, 650 parameters, 1000 images),
its peak memory, what a step counts and takes at T = 10, 50 and 100, the same on a network of two
hidden layers, the upper loss that each reaches for equal work, an iteration of LV-HBA, and its
error beside that of differentiation through the conditions.

Times are the processor's, in turns, one thread each. Five splits, and tuned steps, are in the
claims.
"""

from __future__ import annotations

import os
import time
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from .common import Figure, write

if TYPE_CHECKING:
    from feasible.bilevel import Bilevel
    from feasible.core.problem import Method

ROUNDS = int(os.environ.get("BILEVEL_ROUNDS", "10"))
WORK = int(os.environ.get("BILEVEL_WORK", "800"))


def steps() -> list[Figure]:
    """Time and memory of a step."""
    from feasible.bilevel import ImplicitCG, PenaltyMethod, Unrolled
    from feasible.bilevel.instances.cleaning import hyper_cleaning
    from feasible.bilevel.live_memory import LiveMemory
    from feasible.bilevel.peers.torchopt import TorchOptImplicit

    problem = hyper_cleaning(100)
    methods = {
        "penalty-bilevel": PenaltyMethod(inner=10, tol=0.0),
        "implicit-cg": ImplicitCG(tol=0.0),
        "unrolled": Unrolled(tol=0.0),
        "torchopt-implicit": TorchOptImplicit(tol=0.0),
    }
    states = {k: m.init(problem, np.random.default_rng(0)) for k, m in methods.items()}
    took: dict[str, list[float]] = {k: [] for k in methods}
    peak = {}
    for k, m in methods.items():
        m.step(problem, states[k])
        if not k.startswith("torchopt"):  # its function transforms hide their storages
            with LiveMemory() as memory:
                m.step(problem, states[k])
            peak[k] = memory.peak
    for _ in range(ROUNDS):
        for k, m in methods.items():
            begun = time.process_time()
            m.step(problem, states[k])
            took[k].append(time.process_time() - begun)
    middle = {k: float(np.median(v)) for k, v in took.items()}
    mine = middle["penalty-bilevel"]
    bars = {"implicit-cg": 1.3, "unrolled": 0.75, "torchopt-implicit": None}
    found = [
        Figure(f"a step of penalty-bilevel over one of {k}", mine / middle[k], bar,
               note=f"{1e3 * mine:.1f} ms and {1e3 * middle[k]:.1f} ms")
        for k, bar in bars.items()
    ]  # fmt: skip
    share = peak["penalty-bilevel"] / peak["unrolled"]
    note = f"{peak['penalty-bilevel'] / 1e6:.2f} MB and {peak['unrolled'] / 1e6:.2f} MB"
    return [*found, Figure("its peak memory over that of unrolled", share, 0.5, note=note)]


def deep() -> Bilevel:
    """Return a ridge on each tensor of a network of two hidden layers, learnt on digits."""
    from feasible.bilevel import Bilevel
    from feasible.bilevel.instances.cleaning import Cleaning

    data, sizes = Cleaning.drawn(100), (64, 64, 64, 10)
    rng = np.random.default_rng(100)
    y0 = {f"w{i}": rng.standard_normal((a, b)) / a**0.5 for i, (a, b) in enumerate(pairwise(sizes))}

    def loss(
        y: dict[str, torch.Tensor], images: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        out = images
        for i in range(2):
            out = torch.tanh(out @ y[f"w{i}"])
        return torch.nn.functional.cross_entropy(out @ y["w2"], labels)

    def lower(x: torch.Tensor, y: dict[str, torch.Tensor]) -> torch.Tensor:
        ridge = sum(torch.exp(x[i]) * (y[f"w{i}"] ** 2).sum() for i in range(3))
        return loss(y, data.train, data.labels) + ridge

    return Bilevel(
        lambda x, y: loss(y, data.validation, data.truth), lower, np.full(3, -7.0), y0, name="deep"
    )


def charged(problem: Bilevel, method: Method, state: object) -> dict[str, float]:
    """Return what a step is charged."""
    from feasible.core.budget import Meter, active_meter

    meter = Meter({})
    token = active_meter.set(meter)
    method.step(problem, state)
    active_meter.reset(token)
    return meter.spent


def depth(T: int, network: bool = False) -> Figure:
    """What a step of T inner ones counts and takes, once sigma is small."""
    from feasible.bilevel import PenaltyMethod, Unrolled
    from feasible.bilevel.instances.cleaning import hyper_cleaning

    problem = deep() if network else hyper_cleaning(100)
    methods = {
        "penalty-bilevel": PenaltyMethod(inner=T, sigma0=1e-2, tol=0.0),
        "unrolled": Unrolled(inner=T, tol=0.0),
    }
    states = {k: m.init(problem, np.random.default_rng(0)) for k, m in methods.items()}
    took: dict[str, list[float]] = {k: [] for k in methods}
    for turn in range(1 + max(2, 2 * ROUNDS * 10 // (10 + T))):
        for k, m in methods.items():
            begun = time.process_time()
            m.step(problem, states[k])
            took[k] += [time.process_time() - begun] * (turn > 0)
    said = []
    for k, m in methods.items():
        spent = charged(problem, m, states[k])
        kinds = (spent.get(r, 0) for r in ("gradients", "hessian_products"))
        said.append("{}: {:g} gradients, {:g} Hessian products".format(k, *kinds))
    where = ", a network of two hidden layers" if network else ""
    ratio = float(np.median(took["penalty-bilevel"]) / np.median(took["unrolled"]))
    what = f"a step of penalty-bilevel over one of unrolled, sigma = 0.01, T = {T}{where}"
    return Figure(what, ratio, 0.75, note="; ".join(said))


def depths() -> list[Figure]:
    """Three depths, and a network."""
    return [depth(10), depth(50), depth(100), depth(10, network=True)]


def losses() -> list[Figure]:
    """Upper loss at the true response for equal work, one split."""
    import feasible
    from feasible.bilevel.instances.cleaning import hyper_cleaning

    problem = hyper_cleaning(100)
    problem.trail_growth = 50.0
    found = []
    for name in (
        "penalty-bilevel[inner=10]",
        "implicit-cg",
        "unrolled",
        "torchopt-implicit",
        "bilevel-grid",
        "bilevel-random",
    ):
        result = feasible.solve(problem, name, {"gradient_equivalents": WORK}, 100)
        right = f"accuracy {result.verdict.metrics['accuracy']:.3f}"
        label = f"upper loss after {WORK} gradient equivalents, {name}"
        found.append(Figure(label, result.verdict.objective, None, "", right))
    return found


def iterations() -> list[Figure]:
    """LV-HBA on the merely convex toy."""
    from feasible.bilevel.instances.toys import llc_toy
    from feasible.bilevel.lv_hba import LVHBASettings, joint_projection
    from feasible.bilevel.lv_hba.lv_hba import advance, begin

    found = []
    for n in (20, 10_000):
        problem = llc_toy(n)
        settings = LVHBASettings(warm=False)
        project, state = joint_projection(problem), begin(problem, np.random.default_rng(0))
        advance(problem, settings, state, project)
        begun = time.process_time()
        for _ in range(20 * ROUNDS):
            advance(problem, settings, state, project)
        took = (time.process_time() - begun) / (20 * ROUNDS)
        found.append(Figure(f"an iteration of lv-hba, n = {n}", 1e3 * took, None, "ms"))
    return found


def toy_errors() -> list[Figure]:
    """Relative error in x of the merely convex toy, of LV-HBA and of the conditions' derivative."""
    from feasible.bilevel.instances.toys import llc_toy, solution_of_llc
    from feasible.bilevel.lv_hba import LVHBA
    from feasible.bilevel.peers.cvxpylayers import CvxpyLayer

    found, right = [], solution_of_llc(20)
    both: tuple[tuple[Method, int], ...] = ((LVHBA(), 1000), (CvxpyLayer(tol=0.0), 40))
    for method, steps in both:
        problem = llc_toy(20)
        state = method.init(problem, np.random.default_rng(0))
        for _ in range(steps):
            state = method.step(problem, state)
        error = float((state.x - right).norm() / right.norm())
        what = f"merely convex toy, n = 20: error in x after {steps} steps of {method.name}"
        found.append(Figure(what, error, None, "relative"))
    return found


def run() -> list[Figure]:
    """All of it."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures = steps() + depths() + losses() + iterations() + toy_errors()
    write("bilevel", figures)
    return figures
