"""Which experts of a layer can go: all subsets are tried, or one goes at a time.

    minimise over subsets C of E - r experts    sum over batches ||Z - Z_C||_F

Z is the block's output on calibration text and Z_C that without C: C's logits are minus infinity,
so that the tokens are routed anew. The best subset can hold the expert that is chosen most.

References:
    Lu et al. (arXiv 2402.14800), section 3.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from ...core.annotations import checked
from ...core.checks import one_of, whole
from .layout import blocks, mixed, normalises, outputs, routed, tokens_of
from .profile import observe

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

ENUMERATED = 10_000
"""Subsets up to which all are tried."""


@dataclass
class Pruned:
    """What can go from a layer.

    Attributes:
        dropped: The experts, in order.
        loss: The sum over batches of the norm of the change of the block's output.
        tried: Subsets whose loss was computed.
        exact: Whether all were.
    """

    dropped: tuple[int, ...]
    loss: float
    tried: int
    exact: bool


def subset_loss(
    target: Float[Tensor, "n d"],
    logits: Float[Tensor, "n E"],
    made: Float[Tensor, "E n d"],
    top_k: int,
    dropped: Sequence[int],
    normalise: bool = True,
    batch: int | None = None,
) -> float:
    """The loss of dropping a subset.

    Args:
        target: Z.
        logits: Of the router.
        made: What every expert makes of every input.
        top_k: Experts of a token.
        dropped: The subset.
        normalise: Whether a token's weights sum to 1.
        batch: Tokens of a batch, whose norms are added up; None: one batch.
    """
    without = torch.tensor(sorted(dropped), dtype=torch.long)
    moved = (mixed(routed(logits, top_k, without, normalise), made) - target).double()
    return sum(float(part.norm()) for part in moved.split(batch or len(moved)))


@checked
def prune_layer(
    target: Float[Tensor, "n d"],
    logits: Float[Tensor, "n E"],
    made: Float[Tensor, "E n d"],
    top_k: int,
    keep: int,
    normalise: bool = True,
    batch: int | None = None,
    enumerated: int = ENUMERATED,
) -> Pruned:
    """The experts of a layer that can go with the least loss.

    All subsets are tried where they are few enough; else experts go one at a time, each time the
    one whose going loses least.

    Args:
        target: The block's output that is to be kept.
        logits: Of the router.
        made: What every expert makes of every input.
        top_k: Experts of a token.
        keep: Experts that stay, at least those of a token.
        normalise: Whether a token's weights sum to 1.
        batch: Tokens of a batch; None: one batch.
        enumerated: Subsets up to which all are tried.

    Raises:
        ArgumentError: Fewer kept than a token uses.
    """
    many = logits.shape[1]
    whole("keep", keep, least=top_k, most=many, note=", from the experts of a token to all")

    def loss(dropped: Sequence[int]) -> float:
        return subset_loss(target, logits, made, top_k, dropped, normalise, batch)

    if math.comb(many, keep) <= enumerated:
        best = min((loss(c), c) for c in itertools.combinations(range(many), many - keep))
        return Pruned(best[1], best[0], math.comb(many, keep), True)
    gone: tuple[int, ...] = ()
    tried, least = 0, 0.0
    while len(gone) < many - keep:
        tries = [(loss((*gone, e)), e) for e in range(many) if e not in gone]
        least, e = min(tries)
        gone = (*gone, e)
        tried += len(tries)
    return Pruned(tuple(sorted(gone)), least, tried, False)


@checked
def prune_moe(
    model: Any,
    ids: Int[Tensor, "n length"],
    keep: int,
    how: Literal["layerwise", "progressive"] = "layerwise",
    batch: int | None = None,
    enumerated: int = ENUMERATED,
) -> list[Pruned]:
    """Prune every layer of a model, which is not changed.

    Args:
        model: With blocks of fused experts.
        ids: Tokens of the calibration text.
        keep: Experts of each layer that stay.
        how: "layerwise": inputs and outputs of the model as it is; "progressive": a layer's inputs
            come through the layers that were pruned before it, its outputs from the model as it is.
        batch: Tokens of a batch; None: one batch.
        enumerated: Subsets up to which all are tried.
    """
    one_of("how", how, ("layerwise", "progressive"))
    whole("keep", keep, least=1)
    found: list[Pruned] = []
    tokens_of("ids", ids)
    with torch.no_grad():
        seen = observe(model, ids)
        work = copy.deepcopy(model) if how == "progressive" else model
        for layer, (block, original) in enumerate(zip(blocks(work), blocks(model), strict=True)):
            top_k, normal, now = original.gate.top_k, normalises(original), seen[layer]
            made = outputs(original, now.x)
            target = mixed(now.chosen, made)
            if how == "progressive" and layer:
                now = observe(work, ids)[layer]
                made = outputs(original, now.x)
            one = prune_layer(target, now.logits, made, top_k, keep, normal, batch, enumerated)
            found.append(one)
            if how == "progressive":
                delete_experts(block, one.dropped)
    return found


def delete_experts(block: Any, dropped: Sequence[int]) -> None:
    """Delete experts and their rows of the router from a block, in place; types are kept."""
    kept = [e for e in range(len(block.gate.weight)) if e not in set(dropped)]
    for owner, name in (
        (block.gate, "weight"),
        (block.experts, "gate_up_proj"),
        (block.experts, "down_proj"),
    ):
        rows = getattr(owner, name).detach()[kept].clone()
        setattr(owner, name, torch.nn.Parameter(rows))
    block.experts.num_experts = block.gate.num_experts = len(kept)
