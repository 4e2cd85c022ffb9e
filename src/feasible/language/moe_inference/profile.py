"""What calibration tells of every expert: how often it is chosen, with what weight, and what is
lost where it has fewer bits or is dropped.

References:
    Li et al., MC-MoE (arXiv 2410.06270) for the cost of bits; Lu et al. (arXiv 2402.14800) for what
    dropping an expert loses.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from ...core.annotations import checked
from ...core.checks import one_of
from ...core.errors import ArgumentError
from .layout import blocks, expert, inner, mixed, normalises, outputs, routed, tokens_of
from .quantise import BITS, GROUP, QUANTISERS, Stored, gptq, rtn, searched, stored_bytes
from .routing import skip_threshold

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from jaxtyping import Float, Int
    from torch import Tensor

FLOOR = 1e-6
Cost = Literal["nats", "output", "pmq"]
COSTS = ("nats", "output", "pmq")


@dataclass
class Profile:
    """Of every layer and expert.

    Attributes:
        share: (L, E) share of the tokens that choose it: its load.
        weight: (L, E) mean weight where it is chosen.
        beta: (L,) median of the second largest probability over the largest; see `skip`.
        trace: (tokens, L, k) experts of each token, the first first.
        bits: The widths that were tried, 0 for dropped.
        loss: (L, E, B) norm of the change of the block's output over all tokens.
        nats: (L, E, B) what that change adds to the log perplexity, to second order.
        bytes: (B,) stored bytes of an expert.
        rest_bytes: Of what is no expert, in 16 bits.
        tokens: Of calibration, without padding.
    """

    share: Float[np.ndarray, "L E"]
    weight: Float[np.ndarray, "L E"]
    beta: Float[np.ndarray, " L"]
    trace: Int[np.ndarray, "tokens L k"]
    bits: tuple[int, ...]
    loss: Float[np.ndarray, "L E B"]
    nats: Float[np.ndarray, "L E B"]
    bytes: Float[np.ndarray, " B"]
    rest_bytes: float
    tokens: int

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file that ends in .npz; `Profile.read` reads it."""
        np.savez_compressed(path, allow_pickle=False, **vars(self))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Profile:
        """A profile that `save` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            found = {name: kept[name] for name in cls.__dataclass_fields__}
        found["bits"] = tuple(int(b) for b in found["bits"])
        return cls(**{k: v.item() if np.ndim(v) == 0 else v for k, v in found.items()})

    def plot(self) -> go.Figure:
        """The share of the tokens that choose each expert, layer by layer."""
        import plotly.graph_objects as go

        figure = go.Figure(go.Heatmap(z=self.share, colorbar_title="share"))
        figure.update_layout(xaxis_title="expert", yaxis_title="layer")
        return figure

    def cost(
        self, cost: Cost = "nats", alpha: float = 1.0, beta: float = 1.5, gamma: float = 2.0
    ) -> Float[np.ndarray, "L E B"]:
        """What a width costs.

        Args:
            cost: "nats": what is added to the log perplexity; "output": the squared loss of the
                block's output, which does not tell what the layers after it make of it; "pmq":
                share^alpha weight^beta loss^gamma, share and weight normalised in a layer.
            alpha: Of the share.
            beta: Of the weight.
            gamma: Of the loss.
        """
        if one_of("cost", cost, COSTS) != "pmq":
            return self.nats if cost == "nats" else self.loss**2
        share = np.maximum(self.share / self.share.sum(1, keepdims=True), FLOOR)
        weight = np.maximum(self.weight / self.weight.sum(1, keepdims=True), FLOOR)
        return (share**alpha * weight**beta)[:, :, None] * self.loss**gamma


def expert_bytes(model: Any, group: int = GROUP) -> dict[int, int]:
    """Stored bytes of an expert by its width, 0 where it is dropped."""
    experts = blocks(model)[0].experts
    shapes = [tuple(w.shape[1:]) for w in (experts.gate_up_proj, experts.down_proj)]
    return {0: 0} | {b: sum(stored_bytes(r, c, b, group) for r, c in shapes) for b in BITS}


def rest_bytes(model: Any) -> int:
    """Stored bytes of what is no expert, in 16 bits."""
    experts = sum(p.numel() for b in blocks(model) for p in b.experts.parameters())
    return 2 * (sum(p.numel() for p in model.parameters()) - experts)


@dataclass
class Seen:
    """What a block of experts saw, one row a token.

    Attributes:
        x: (n, d) what entered.
        logits: (n, E) of the router.
        weights: (n, k) of the experts that were chosen.
        index: (n, k) these experts.
    """

    x: Tensor
    logits: Tensor
    weights: Tensor
    index: Tensor

    @property
    def chosen(self) -> Float[Tensor, "n E"]:
        """The weights of all experts, 0 for those that were not chosen."""
        wide = torch.nn.functional.pad(torch.zeros_like(self.logits), (0, 1))  # the last: skipped
        return wide.scatter_add(1, self.index, self.weights)[:, :-1]


def observe(
    model: Any, ids: Int[Tensor, "n length"], mask: Int[Tensor, "n length"] | None = None
) -> list[Seen]:
    """What each block of experts saw of a text; see `watch`."""
    return watch(model, ids, mask)[0]


def watch(
    model: Any, ids: Int[Tensor, "n length"], mask: Int[Tensor, "n length"] | None = None
) -> tuple[list[Seen], Tensor]:
    """One pass of the model: what each block of experts saw, in single precision, and the logits.

    Args:
        model: With blocks of fused experts.
        ids: Tokens.
        mask: 0 where a token is padding, which is left out of what was seen; None: none is.
    """
    found: list[Seen] = []
    kept = slice(None) if mask is None else mask.reshape(-1).bool()

    def saw(_: Any, given: Any, routed_to: Any) -> None:
        x, (logits, weights, index) = given[0].detach(), routed_to
        x = x.reshape(-1, x.shape[-1])
        x, logits, weights = (t.detach()[kept].float() for t in (x, logits, weights))
        found.append(Seen(x, logits, weights, index[kept]))

    hooks = [b.gate.register_forward_hook(saw) for b in blocks(model)]
    try:
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask).logits
    finally:
        for hook in hooks:
            hook.remove()
    return found, logits


def gradients(
    model: Any,
    ids: Int[Tensor, "n length"],
    mask: Int[Tensor, "n length"] | None = None,
    seed: int = 0,
) -> list[Tensor]:
    """The gradient of the log-likelihood by the output of each block of experts, one row a token.

    The next tokens are drawn from the model itself, so that the mean of g g^T is the Fisher
    information.

    Args:
        model: With blocks of fused experts.
        ids: Tokens.
        mask: 0 where a token is padding, which is left out; None: none is.
        seed: Of the draws.
    """
    made: list[Tensor] = []
    kept = slice(None) if mask is None else mask.reshape(-1).bool()

    def saw(_: Any, __: Any, output: Tensor) -> Tensor:
        made.append(output if output.requires_grad else output.requires_grad_())
        return made[-1]

    hooks = [b.register_forward_hook(saw) for b in blocks(model)]
    try:
        with torch.enable_grad():
            logits = model(input_ids=ids, attention_mask=mask).logits.float().flatten(0, 1)[kept]
            generator = torch.Generator().manual_seed(seed)
            drawn = torch.multinomial(logits.detach().softmax(-1), 1, generator=generator)[:, 0]
            likelihood = torch.nn.functional.cross_entropy(logits, drawn, reduction="sum")
            found = torch.autograd.grad(likelihood, made)
    finally:
        for hook in hooks:
            hook.remove()
    return [g.reshape(-1, g.shape[-1])[kept] for g in found]


def quantised(
    gate_up: Tensor, down: Tensor, bits: int, quantiser: str, group: int, x: Tensor | None
) -> tuple[Stored, Stored]:
    """Both matrices of an expert in some bits; `x` are its inputs, for GPTQ."""
    if quantiser == "search":
        return searched(gate_up, bits, group), searched(down, bits, group)
    if quantiser == "rtn" or x is None or not len(x):
        return rtn(gate_up, bits, group), rtn(down, bits, group)
    return gptq(gate_up, x, bits, group), gptq(down, inner(gate_up, x), bits, group)


@checked
def profile_moe(
    model: Any,
    ids: Int[Tensor, "n length"],
    bits: Sequence[int] = (0, 1, 2, 3, 4, 8, 16),
    quantiser: str = "rtn",
    group: int = GROUP,
    mask: Int[Tensor, "n length"] | None = None,
    through: Any = None,
) -> Profile:
    """Profile a model on calibration text.

    The loss of a width is exact for its expert alone: only the tokens that choose it change, by its
    weight times the change of its output, and only they are computed. That of dropping it has the
    tokens routed anew.

    Args:
        model: With blocks of fused experts.
        ids: Tokens of the calibration text.
        bits: Widths to try; 0: dropped. Empty: what one pass of the model tells, no losses.
        quantiser: "rtn", "search" or "gptq".
        group: Columns that share a scale.
        mask: 0 where a token is padding; None: none is.
        through: The model compressed, of `apply_plan`: what enters each block, and the gradient,
            are then taken from it, and compared are still the experts of `model`; None: `model`.

    Raises:
        ArgumentError: No text, no block of experts, or `through` with other blocks.
    """
    tokens_of("ids", ids, "the calibration text")
    one_of("quantiser", quantiser, QUANTISERS)
    if any(b not in (0, *BITS) for b in bits):
        raise ArgumentError(f"bits={bits!r:.60}: expected widths of {(0, *BITS)}")
    if mask is not None and (mask.shape != ids.shape or not mask.any()):
        raise ArgumentError(f"mask: expected one of shape {tuple(ids.shape)} that keeps a token")
    found, size = blocks(model), expert_bytes(model, group)
    run = model if through is None else through
    if len(blocks(run)) != len(found):
        raise ArgumentError(
            f"through has {len(blocks(run))} blocks of experts, expected {len(found)}"
        )
    with torch.no_grad():
        seen = observe(run, ids, mask)
        if through is not None:
            seen = [Seen(s.x, *b.gate(s.x)) for b, s in zip(found, seen, strict=True)]
        share, weight, beta = zip(*(_shares(s) for s in seen), strict=True)
        slopes = gradients(run, ids, mask) if len(bits) else [None] * len(found)
        table = [
            losses(block, s, bits, quantiser, group, g)
            for block, s, g in zip(found, seen, slopes, strict=True)
        ]
    return Profile(
        np.array(share), np.array(weight), np.array(beta),
        torch.stack([s.index for s in seen], 1).numpy().astype(np.int16), tuple(bits),
        np.array([t[0] for t in table]), np.array([t[1] for t in table]),
        np.array([size[b] for b in bits], float), float(rest_bytes(model)), len(seen[0].x),
    )  # fmt: skip


def _shares(seen: Seen) -> tuple[np.ndarray, np.ndarray, float]:
    """Share of the tokens, mean weight, and the threshold of skipping."""
    many = seen.logits.shape[1]
    flat = seen.index.reshape(-1)
    hits = torch.bincount(flat, minlength=many).double()
    total = torch.bincount(flat, seen.weights.reshape(-1).double(), minlength=many)
    beta = skip_threshold(seen.logits) if many > 1 else 0.0
    return (hits / len(seen.x)).numpy(), (total / hits.clamp(min=1)).numpy(), beta


def losses(
    block: Any,
    seen: Seen,
    bits: Sequence[int],
    quantiser: str = "rtn",
    group: int = GROUP,
    slopes: Float[Tensor, "n d"] | None = None,
) -> tuple[Float[np.ndarray, "E B"], Float[np.ndarray, "E B"]]:
    """The norm of the change of a block's output for each expert and width, and what the change
    adds to the log perplexity: sum_t (g_t . change_t)^2 / 2 over the tokens, to second order with
    the Fisher information for the curvature; 0 without gradients.
    """
    chosen = seen.chosen
    norm, nats = np.zeros((2, chosen.shape[1], len(bits)))
    if not len(bits):
        return norm, nats
    made = outputs(block, seen.x) if 0 in bits else None
    pairs = zip(block.experts.gate_up_proj, block.experts.down_proj, strict=True)
    for e, (gate_up, down) in enumerate(pairs):
        rows = (chosen[:, e] > 0).nonzero()[:, 0]
        mine, weight = seen.x[rows], chosen[rows, e][:, None]
        before = expert(gate_up, down, mine)
        for k, b in enumerate(bits):
            if b == 0 and made is not None:
                where, moved = slice(None), _dropped(block, seen, chosen, made, e)
            else:
                stored = quantised(gate_up, down, b, quantiser, group, mine)
                where = rows  # no other token changes
                moved = (expert(stored[0].weight(), stored[1].weight(), mine) - before) * weight
            norm[e, k] = float(moved.norm())
            if slopes is not None:
                slope = (moved * slopes[where]).sum(1)
                nats[e, k] = 0.5 * float((slope**2).sum()) / len(seen.x)
    return norm, nats


def _dropped(block: Any, seen: Seen, chosen: Tensor, made: Tensor, e: int) -> Tensor:
    """The change of the block's output where an expert is dropped."""
    if chosen.shape[1] <= seen.index.shape[1]:  # nothing is left to route to
        return -mixed(chosen, made)
    left = routed(seen.logits, seen.index.shape[1], torch.tensor([e]), normalises(block))
    return mixed(left - chosen, made)
