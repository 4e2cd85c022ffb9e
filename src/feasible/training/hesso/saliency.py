"""How redundant a group is: five criteria of its variables and of the step about to be made.

The scores of HESSO (T. Chen et al., arXiv 2409.09085), and the groups of lowest score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

CRITERIA = (
    "magnitude",
    "avg_magnitude",
    "cosine_similarity",
    "taylor_first_order",
    "taylor_second_order",
)


def direction(
    p: Tensor, state: Mapping[str, Any], group: Mapping[str, Any], variant: str
) -> Tensor:
    """d, in x <- x - lr d, of the step that torch's optimiser is about to make; without AdamW's
    decay. Zero without a gradient.

    Args:
        p: A parameter with or without a gradient.
        state: The optimiser's state of it.
        group: Its parameter group.
        variant: "sgd", "adam" or "adamw".

    Returns:
        d, of p's shape.
    """
    if p.grad is None:
        return torch.zeros_like(p)
    g = -p.grad if group.get("maximize") else p.grad
    if variant != "adamw" and group["weight_decay"]:
        g = g.add(p, alpha=group["weight_decay"])
    if variant == "sgd":
        past = state.get("momentum_buffer")
        return g if not group["momentum"] or past is None else past.mul(group["momentum"]).add_(g)
    (b1, b2), t = group["betas"], float(state.get("step", 0)) + 1
    first = g * (1 - b1) if "exp_avg" not in state else state["exp_avg"].lerp(g, 1 - b1)
    second = (
        g * g * (1 - b2)
        if "exp_avg_sq" not in state
        else (state["exp_avg_sq"] * b2).addcmul_(g, g, value=1 - b2)
    )
    return first / (1 - b1**t) / ((second / (1 - b2**t)).sqrt_() + group["eps"])


def saliency(
    sums: Float[Tensor, "4 n"], weights: Mapping[str, float], cosine_sign: str
) -> Float[Tensor, " n"]:
    """Scores of groups from the sums of x^2, x d, d^2 and of the number of variables in each; a low
    one is redundant.

    Each criterion is divided by its norm over all groups, so that only its weight says how much it
    counts.

    Args:
        sums: (4, n), by group the sums of x^2, x d, d^2 and the number of variables.
        weights: Weight by name of CRITERIA.
        cosine_sign: "descent" or "official".

    Returns:
        (n,) scores.

    References:
        T. Chen et al., arXiv 2409.09085.
    """
    xx, xd, dd, count = sums
    size = xx.sqrt()
    cosine = xd / (size * dd.sqrt() + 1e-30)
    values = {
        "magnitude": size,
        "avg_magnitude": size / count,
        "cosine_similarity": 1 - cosine if cosine_sign == "descent" else 1 + cosine,
        "taylor_first_order": xd.abs(),
        "taylor_second_order": 0.5 * xd**2,
    }
    total = torch.zeros_like(xx)
    for name, weight in weights.items():
        total += weight * values[name] / (values[name].norm() + 1e-8)
    return total


def lowest(
    scores: Float[np.ndarray, " n"],
    count: int,
    gone: Bool[np.ndarray, " n"],
    layer: Int[np.ndarray, " n"],
    divisible: int = 1,
) -> Bool[np.ndarray, " n"]:
    """The `count` groups of lowest score that are not gone, so that each layer keeps a multiple of
    `divisible` (or all it has), at least that many.

    Surplus picks of a layer, those of highest score, are dropped; fewer than `count` are picked
    where layers run out.

    Args:
        scores: (n,) of `saliency`.
        count: How many to pick.
        gone: (n,) groups that are cut already.
        layer: (n,) the layer of each group.
        divisible: Layers keep a multiple of it.

    Returns:
        (n,) bool, which groups are picked.
    """
    sizes = np.bincount(layer)
    kept = np.bincount(layer[~gone], minlength=len(sizes))
    room = np.maximum(kept - np.minimum(divisible, sizes), 0)
    order = np.lexsort((np.arange(len(scores)), np.where(gone, math.inf, scores)))[
        : int((~gone).sum())
    ]
    by_layer = np.argsort(layer[order], kind="stable")
    rank = np.empty(len(order), dtype=int)
    rank[by_layer] = (
        np.arange(len(order)) - np.concatenate([[0], np.cumsum(kept)])[layer[order][by_layer]]
    )
    picked = order[rank < room[layer[order]]][:count]
    left = kept - np.bincount(layer[picked], minlength=len(sizes))
    surplus = np.minimum(-(-left // divisible) * divisible, kept) - left
    chosen = np.zeros(len(scores), dtype=bool)
    for g in picked[::-1]:
        if surplus[layer[g]] > 0:
            surplus[layer[g]] -= 1
        else:
            chosen[g] = True
    return chosen
