"""Sparsity-constrained transport: time and value against POT's semi-dual, and routers of tokens
against a plain one, one thread each.

Values are of the semi-dual, both computed by the same function from the potentials; a positive
difference is in our favour. The plain router sorts
each expert's column of each group by itself; the others are for comparison.
"""

from __future__ import annotations

import os

import numpy as np

from .common import Figure, in_turns, ratio, write

ROUNDS = int(os.environ.get("SPARSE_OT_ROUNDS", "5"))


def against_pot(gamma: float) -> list[Figure]:
    """n = m = 512, k = 8: both at their defaults."""
    from feasible.transport import sparse_ot
    from feasible.transport.sparse_ot.instances import sparse_clouds
    from feasible.transport.sparse_ot.peers import smooth
    from feasible.transport.sparse_ot.problem import bound

    p = sparse_clouds(512, 8, gamma, 100)
    found = sparse_ot(p.a, p.b, p.cost, p.k, gamma)
    plan, alpha, _ = smooth(p.a, p.b, p.cost, p.k, gamma)
    theirs = bound(p.a, p.b, p.cost, p.k, gamma, alpha)
    ours, pots = in_turns(
        lambda: sparse_ot(p.a, p.b, p.cost, p.k, gamma),
        lambda: smooth(p.a, p.b, p.cost, p.k, gamma),
        rounds=ROUNDS,
    )
    missed = float(np.abs(plan.sum(1) - p.a).sum())
    return [
        Figure(
            f"sparse_ot over POT, n = m = 512, k = 8, gamma = {gamma:g}, time",
            ratio(ours, pots),
            0.5,
            note=f"{np.median(ours):.2f} s against {np.median(pots):.2f} s, L1 error "
            f"{found.marginal_error:.1e} against {missed:.1e}",
        ),
        Figure(
            f"the same, semi-dual value above POT's, gamma = {gamma:g}",
            (found.value - theirs) / abs(theirs),
            -1e-9,
            "at least, relative",
        ),
    ]


def plain_router(
    logits, capacity: int, iterations: int = 20, gamma: float = 1.0, rate: float = 1e-2
):  # type: ignore[no-untyped-def]
    """The items-per-expert plan written as the formula reads: group by group, expert by expert,
    everything sorted. (G, N, E).
    """
    import torch

    groups, tokens, experts = logits.shape
    similarity = torch.softmax(logits, 2)
    plan = torch.zeros_like(similarity)
    for g in range(groups):
        alpha, first, second = torch.zeros(tokens), torch.zeros(tokens), torch.zeros(tokens)
        for t in range(iterations + 1):
            plan[g] = 0
            for e in range(experts):
                values, index = torch.sort(similarity[g, :, e] + alpha, descending=True)
                values = values[:capacity] / gamma
                excess = (values.cumsum(0) - tokens / experts) / torch.arange(1, capacity + 1)
                size = int((values > excess).sum())
                plan[g, index[:capacity], e] = (values - excess[size - 1]).clamp(min=0)
            if t < iterations:
                slope = plan[g].sum(1) - 1
                first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
                alpha = alpha - rate * (first / (1 - 0.9 ** (t + 1))) / (
                    (second / (1 - 0.999 ** (t + 1))).sqrt() + 1e-8
                )
    return plan


def routers() -> list[Figure]:
    """8 groups of 256 tokens, 8 experts of 32 places."""
    import torch

    from feasible.transport import SinkhornRouter, SparseRouter, TopKRouter

    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(100)
    logits = 1.5 * torch.randn(8, 256, 8, generator=draw) + 0.7 * torch.randn(
        8, 1, 8, generator=draw
    )
    sparse, rows, top, sinkhorn = (
        SparseRouter(),
        SparseRouter("experts-per-item"),
        TopKRouter(),
        SinkhornRouter(),
    )
    off = float((sparse(logits).plan - plain_router(logits, 32)).abs().max())
    plain, ours, per_item, first, entropic = in_turns(
        lambda: plain_router(logits, 32),
        lambda: sparse(logits),
        lambda: rows(logits),
        lambda: top(logits),
        lambda: sinkhorn(logits),
        rounds=ROUNDS,
    )
    dropped = {
        name: r(logits).stats["dropped"].item()
        for name, r in (("sparse", sparse), ("rows", rows), ("top", top), ("sinkhorn", sinkhorn))
    }
    return [
        Figure(
            "SparseRouter over a plain one, items-per-expert, 8 x 256 tokens, 8 experts, time",
            ratio(ours, plain),
            0.5,
            note=f"{1e3 * np.median(ours):.1f} ms, drops {dropped['sparse']:.3f} of the tokens",
        ),
        Figure("the same, largest difference of the plans", off, 1e-4, "mass"),
        Figure(
            "SparseRouter over S-BASE, time",
            ratio(ours, entropic),
            None,
            note=f"S-BASE drops {dropped['sinkhorn']:.3f}",
        ),
        Figure(
            "SparseRouter over S-BASE, experts-per-item, time",
            ratio(per_item, entropic),
            None,
            note=f"drops {dropped['rows']:.3f}",
        ),
        Figure(
            "SparseRouter over top-1, time",
            ratio(ours, first),
            None,
            note=f"top-1 drops {dropped['top']:.3f}",
        ),
    ]


def run() -> list[Figure]:
    """Both parts."""
    figures = [f for gamma in (0.1, 1.0, 10.0, 100.0) for f in against_pot(gamma)] + routers()
    write("sparse_ot", figures)
    return figures
