"""The plan of bits: 32 layers of 8 experts with 12 options (6 widths, fast or slow memory), under
limits of memory, fast memory and latency; the greedy beside it, under memory alone.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .common import Figure, write

DRAWS = 5


def drawn(seed: int) -> Any:
    """Costs that fall as 2^-bits from a size drawn for each expert, with noise."""
    from feasible.language import Choices, Option

    rng = np.random.default_rng(seed)
    options = [Option(b, f) for b in (1, 2, 3, 4, 8, 16) for f in (True, False)]
    need = rng.gamma(1.0, 1.0, (32, 8, 1))
    cost = need * np.array([2.0**-o.bits for o in options]) * rng.uniform(0.8, 1.2, (32, 8, 12))
    slow = np.array([1.0 if o.fast else 1.0 + o.bits for o in options])
    size = [100.0 * o.bits for o in options]
    return Choices(options, cost, size, slow * rng.uniform(0.5, 1, (32, 8, 1)), keep=2)


def run() -> list[Figure]:
    """Time, and the gaps to the linear programs' bounds."""
    from feasible.language import bound_moe, greedy_moe, plan_moe

    memory, took, gaps, greedy = 32 * 8 * 300.0, [], [], []
    for seed in range(100, 100 + DRAWS):
        choices = drawn(seed)
        begun = time.perf_counter()
        found = plan_moe(choices, memory, fast=memory / 2, latency=500.0)
        took.append(time.perf_counter() - begun)
        below = bound_moe(choices, memory, memory / 2, 500.0)
        gaps.append(found.objective / below - 1)
        greedy.append(greedy_moe(choices, memory).objective / bound_moe(choices, memory) - 1)
    figures = [
        Figure("plan, 32 x 8 experts x 12 options, slowest of five", max(took), 10, "s"),
        Figure("plan's cost above the linear bound, worst of five", max(gaps), 0.01, "share"),
        Figure("greedy's cost above the linear bound, worst of five", max(greedy), None, "share"),
    ]
    write("experts", figures)
    return figures
