"""The plan of bits: 32 layers of 8 experts with 12 options (6 widths, fast or slow memory), under
limits of memory, fast memory and latency; the greedy beside it, under memory alone. A profile
beside a plain pass of the model, and its table of losses beside whole blocks for each entry. The
simulated seconds of a token beside those of a cache on disk.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import numpy as np

from .common import Figure, in_turns, ratio, write

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


def profiles() -> list[Figure]:
    """A profile over a plain pass; the table on routed tokens under that by whole blocks."""
    import torch

    from feasible.language.moe_inference.layout import blocks
    from feasible.language.moe_inference.model import TinySettings, blank, texts
    from feasible.language.moe_inference.profile import losses, observe, profile_moe
    from feasible.language.moe_inference.quantise import rtn

    settings = TinySettings(layers=4, hidden=128, inner=256, experts=8, seed=100)
    model, ids = blank(settings).eval(), texts(32, 128, 100)
    seen, block, widths = observe(model, ids)[0], blocks(model)[0], (2, 3, 4)

    def plain() -> None:
        with torch.no_grad():
            model(input_ids=ids)

    def table() -> None:
        with torch.no_grad():
            losses(block, seen, widths)

    def whole() -> None:
        experts, x = block.experts, seen.x[None]
        with torch.no_grad():
            before = block(x)
            for e in range(settings.experts):
                kept = [experts.gate_up_proj[e].clone(), experts.down_proj[e].clone()]
                for bits in widths:
                    for wide, one in zip(
                        (experts.gate_up_proj, experts.down_proj), kept, strict=True
                    ):
                        wide[e] = rtn(one, bits).weight()
                    (block(x) - before).norm()
                experts.gate_up_proj[e], experts.down_proj[e] = kept

    profile, once = in_turns(lambda: profile_moe(model, ids, ()), plain)
    slow, fast = in_turns(whole, table)
    return [
        Figure("profile over a plain pass of the model", ratio(profile, once), 1.3),
        Figure("time of a table of losses by whole blocks over that on routed tokens",
               ratio(slow, fast), 3.0, "at least"),
    ]  # fmt: skip


def on_disk() -> list[Figure]:
    """The simulated seconds of a token beside those measured with a memory-mapped cache, at three
    capacities. The times of a layer are taken on other tokens: a read, an expert, and what is left
    of a token's time with all experts in memory.
    """
    import torch

    from feasible.language.moe_inference.cache import CacheTimes, simulate_cache
    from feasible.language.moe_inference.layout import blocks, expert
    from feasible.language.moe_inference.model import TinySettings, blank, texts
    from feasible.language.moe_inference.offload import offloaded, write_experts
    from feasible.language.moe_inference.profile import observe

    settings = TinySettings(layers=4, hidden=256, inner=1024, experts=8, seed=100)
    model, tokens = blank(settings).eval(), texts(6, 64, 100).reshape(-1, 1)
    trace = torch.stack([s.index for s in observe(model, tokens)], 1).numpy()
    fitted, asked = tokens[:128], tokens[128:]

    def timed(one: Any, ids: Any) -> float:
        begun = time.perf_counter()
        with torch.no_grad():
            for token in ids:
                one(input_ids=token[None])
        return (time.perf_counter() - begun) / len(ids)

    def median(call: Any, rounds: int = 64) -> float:
        taken = []
        for k in range(rounds):
            begun = time.perf_counter()
            call(k % settings.experts)
            taken.append(time.perf_counter() - begun)
        return float(np.median(taken))

    figures = []
    with tempfile.TemporaryDirectory() as folder:
        write_experts(model, folder)
        with offloaded(model, folder, settings.experts) as (small, cache):
            timed(small, fitted)
            whole = timed(small, fitted)
            load = median(lambda e: cache.thread.submit(cache._read, 0, e).result())
        matrices, x = blocks(model)[0].experts, torch.randn(1, settings.hidden)
        each = median(lambda e: expert(matrices.gate_up_proj[e], matrices.down_proj[e], x))
        rest = max(whole / settings.layers - settings.top_k * each, 0.0)
        for capacity in (2, 4, 6):
            with offloaded(model, folder, capacity) as (small, cache):
                timed(small, fitted)
                before = cache.misses
                taken = timed(small, asked)
                missed = cache.misses - before
            told, first = (
                simulate_cache(t, capacity, times=CacheTimes(rest, each, load))
                for t in (trace, trace[: len(fitted)])
            )
            seconds = (told.seconds - first.seconds) / len(asked)
            figures += [
                Figure(f"cache of {capacity} of 8 on disk: simulated seconds of a token, less the "
                       "measured, over them", abs(seconds / taken - 1), 0.25, "share"),
                Figure(f"cache of {capacity} of 8 on disk: simulated misses over the measured",
                       (told.misses - first.misses) / missed),
            ]  # fmt: skip
    return figures


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
    figures += profiles() + on_disk()
    write("experts", figures)
    return figures
