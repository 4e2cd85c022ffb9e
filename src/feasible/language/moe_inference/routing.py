"""Fewer experts for a token, decided while it is routed: skipping, top-p, the token's importance, a
batch's budget of experts.

All take router logits or routed weights (n, E), 0 for experts that are not chosen, and give new
weights; nothing is changed in place.

References:
    Lu et al. (arXiv 2402.14800) for skipping; Huang et al. (arXiv 2403.07652) for top-p; Li et al.,
    MC-MoE (arXiv 2410.06270) for the importance of tokens; Gupta et al., Lynx (arXiv 2411.08982)
    for batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from ...core.annotations import checked
from ...core.checks import fraction, one_of, real, whole
from ...core.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float
    from torch import Tensor


def calls(weights: Float[Tensor, "n E"]) -> int:
    """How many times an expert is called."""
    return int((weights > 0).sum())


def _matrix(name: str, values: Tensor) -> Tensor:
    """A table (n, E), checked."""
    if 0 in values.shape:
        raise ShapeError(f"{name} has shape {tuple(values.shape)}, expected (n, E)")
    return values.detach().float()


@checked
def skip_threshold(logits: Float[Tensor, "n E"]) -> float:
    """beta: the median over tokens of the second largest probability over the largest, so that half
    of the second experts are skipped on the text that it is taken from.

    Args:
        logits: Of the router.
    """
    p = _matrix("logits", logits).softmax(-1)
    if p.shape[1] < 2:
        raise ShapeError(f"logits: expected two experts or more, got {p.shape[1]}")
    best = p.topk(2, dim=-1).values
    return float((best[:, 1] / best[:, 0]).median())


@checked
def skip(
    weights: Float[Tensor, "n E"],
    beta: float,
    protected: Bool[Tensor, " n"] | None = None,
    normalise: bool = True,
) -> Float[Tensor, "n E"]:
    """Skip every expert of a token whose weight is below beta times the token's largest.

    Args:
        weights: Routed.
        beta: 0 skips nothing; above 1 leaves one expert.
        protected: Tokens that keep all of theirs.
        normalise: Whether what is left sums to 1.
    """
    w = _matrix("weights", weights)
    real("beta", beta, least=0)
    gone = w < beta * w.amax(1, keepdim=True)
    gone.scatter_(1, w.argmax(1, keepdim=True), False)
    if protected is not None:
        if protected.shape != (len(w),):
            raise ShapeError(f"protected has shape {tuple(protected.shape)}, expected ({len(w)},)")
        gone &= ~protected[:, None]
    return _left(w, gone, normalise)


def _left(w: Tensor, gone: Tensor, normalise: bool) -> Tensor:
    """The weights without those that are gone; normalised, what is left has the sum of before."""
    kept = w.masked_fill(gone, 0.0)
    return kept * (w.sum(1, keepdim=True) / kept.sum(1, keepdim=True)) if normalise else kept


@checked
def skip_random(
    weights: Float[Tensor, "n E"], many: int, rng: np.random.Generator, normalise: bool = True
) -> Float[Tensor, "n E"]:
    """Skip so many calls at random, none of a token's first expert: the baseline of `skip`.

    Args:
        weights: Routed.
        many: Calls to skip; at most all but one of each token's.
        rng: Random stream.
        normalise: Whether what is left sums to 1.
    """
    w = _matrix("weights", weights)
    may = w > 0
    may.scatter_(1, w.argmax(1, keepdim=True), False)
    free = may.reshape(-1).nonzero()[:, 0]
    whole("many", many, least=0, most=len(free))
    chosen = free[torch.from_numpy(rng.permutation(len(free))[:many])]
    gone = torch.zeros_like(may).reshape(-1)
    gone[chosen] = True
    return _left(w, gone.reshape(w.shape), normalise)


@checked
def top_p(
    logits: Float[Tensor, "n E"], p: float, cap: int | None = None, normalise: bool = True
) -> Float[Tensor, "n E"]:
    """For each token the fewest experts whose probabilities sum to p or more.

    Args:
        logits: Of the router.
        p: From 0, one expert, to 1, all.
        cap: Most experts of a token; None: all.
        normalise: Whether a token's weights sum to 1.
    """
    prob = _matrix("logits", logits).softmax(-1)
    fraction("p", p)
    cap = whole("cap", prob.shape[1] if cap is None else cap, least=1, most=prob.shape[1])
    found, order = prob.sort(dim=1, descending=True, stable=True)
    before = found.cumsum(1) - found
    gone = before >= p if p < 1 else torch.zeros_like(before, dtype=torch.bool)
    gone[:, 0] = False
    gone[:, cap:] = True
    return _left(prob, torch.zeros_like(gone).scatter(1, order, gone), normalise)


@checked
def token_importance(
    x: Float[Tensor, "batch n d"],
    attention: Float[Tensor, "batch n n"],
    rule: Literal["definition", "code"] = "definition",
) -> Float[Tensor, "batch n"]:
    """s_t = ||x_t||_1 times the mean attention that token t receives from those that can see it.

    Args:
        x: What enters the block of experts.
        attention: Row t: where query t looks, averaged over heads; rows sum to 1, causal.
        rule: "code": as the paper's own program, which sums each query's row, so that the sum is 1
            and the score ||x_t||_1 / (n - t).
    """
    one_of("rule", rule, ("definition", "code"))
    if x.dim() != 3 or attention.shape != (*x.shape[:2], x.shape[1]):
        raise ShapeError(
            f"x has shape {tuple(x.shape)} and attention {tuple(attention.shape)}, expected "
            "(batch, n, d) and (batch, n, n)"
        )
    n = x.shape[1]
    seen_by = n - torch.arange(n)
    received = attention.sum(1 if rule == "definition" else 2)
    return x.abs().sum(-1) * received / seen_by


@checked
def most_important(importance: Float[Tensor, "batch n"], share: float = 0.1) -> Bool[Tensor, " m"]:
    """The share of each text's tokens that matter most, text after text: those to be protected.

    Args:
        importance: Of `token_importance`.
        share: Of the tokens.
    """
    fraction("share", share)
    if importance.dim() != 2:
        raise ShapeError(f"importance has shape {tuple(importance.shape)}, expected (batch, n)")
    many = round(share * importance.shape[1])
    found = torch.zeros_like(importance, dtype=torch.bool)
    return found.scatter(1, importance.topk(many, dim=1).indices, True).reshape(-1)


@checked
def fewer_experts(
    logits: Float[Tensor, "n E"], top_k: int, unique: int, normalise: bool = True
) -> Float[Tensor, "n E"]:
    """Route a batch with so many different experts at most: those with the smallest weight in the
    batch are dropped one after the other, and their tokens take their best that is left.

    Args:
        logits: Of the router, of one batch.
        top_k: Experts of a token.
        unique: Different experts, at least as many as a token uses.
        normalise: Whether a token's weights sum to 1.

    Raises:
        ArgumentError: Fewer experts than a token uses.
    """
    from .layout import routed

    kept = _matrix("logits", logits)
    whole("top_k", top_k, least=1, most=kept.shape[1])
    if unique < top_k:
        raise ArgumentError(f"unique={unique}: expected at least top_k={top_k}")
    whole("unique", unique, most=kept.shape[1])
    gone: list[int] = []
    while True:
        weights = routed(kept, top_k, torch.tensor(gone, dtype=torch.long), normalise)
        size = weights.sum(0)
        hit = size > 0
        if int(hit.sum()) <= unique:
            return weights
        gone.append(int(size.masked_fill(~hit, torch.inf).argmin()))
