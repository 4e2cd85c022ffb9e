"""What calibration tells of every expert: how often it is chosen, with what weight, and what is
lost where it has fewer bits or is dropped.

References:
    Li et al., MC-MoE (arXiv 2410.06270) for the cost of bits; Lu et al. (arXiv 2402.14800) for what
    dropping an expert loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.annotations import checked
from ...core.checks import one_of
from ...core.errors import ArgumentError
from .layout import blocks, expert, outputs, routed
from .quantise import BITS, GROUP, Stored, gptq, rtn, stored_bytes

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

FLOOR = 1e-6


@dataclass
class Profile:
    """Of every layer and expert.

    Attributes:
        share: (L, E) share of the tokens that choose it.
        weight: (L, E) mean weight where it is chosen.
        bits: The widths that were tried, 0 for dropped.
        loss: (L, E, B) norm of the change of the block's output over all tokens.
        bytes: (B,) stored bytes of an expert.
        rest_bytes: Of what is no expert, in 16 bits.
        tokens: Of calibration.
    """

    share: Float[np.ndarray, "L E"]
    weight: Float[np.ndarray, "L E"]
    bits: tuple[int, ...]
    loss: Float[np.ndarray, "L E B"]
    bytes: Float[np.ndarray, " B"]
    rest_bytes: float
    tokens: int

    def cost(
        self, alpha: float | None = None, beta: float = 1.5, gamma: float = 2.0
    ) -> Float[np.ndarray, "L E B"]:
        """What a width costs.

        Args:
            alpha: None: the squared loss of the block's output, in which share and weight are;
                else share^alpha weight^beta loss^gamma, share and weight normalised in a layer.
            beta: Of the weight.
            gamma: Of the loss.
        """
        if alpha is None:
            return self.loss**2
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


def inputs_of(model: Any, ids: Int[Tensor, "n length"]) -> list[Float[Tensor, "m d"]]:
    """What enters each block of experts, one row a token."""
    found: list[Any] = []
    hooks = [
        b.register_forward_pre_hook(
            lambda _, given: found.append(given[0].detach().reshape(-1, given[0].shape[-1]))
        )
        for b in blocks(model)
    ]
    try:
        with torch.no_grad():
            model(input_ids=ids)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def quantised(
    gate_up: Tensor, down: Tensor, bits: int, quantiser: str, group: int, x: Tensor | None
) -> tuple[Stored, Stored]:
    """Both matrices of an expert in some bits; `x` are its inputs, for GPTQ."""
    if quantiser == "rtn" or x is None or not len(x):
        return rtn(gate_up, bits, group), rtn(down, bits, group)
    gate, up = (x @ gate_up.T).chunk(2, dim=-1)
    inner = torch.nn.functional.silu(gate) * up
    return gptq(gate_up, x, bits, group), gptq(down, inner, bits, group)


@checked
def profile_moe(
    model: Any,
    ids: Int[Tensor, "n length"],
    bits: Sequence[int] = (0, 1, 2, 3, 4, 8, 16),
    quantiser: str = "rtn",
    group: int = GROUP,
) -> Profile:
    """Profile a model on calibration text.

    The loss of a width is exact for its expert alone: only the tokens that choose it change, by its
    weight times the change of its output. That of dropping it has the tokens routed anew.

    Args:
        model: With blocks of fused experts.
        ids: Tokens of the calibration text.
        bits: Widths to try; 0: dropped.
        quantiser: "rtn" or "gptq".
        group: Columns that share a scale.

    Raises:
        ArgumentError: No text, or no block of experts.
    """
    if not isinstance(ids, torch.Tensor) or ids.dim() != 2 or not ids.numel():
        raise ArgumentError("ids: the calibration text is empty; expected tokens (n, length)")
    one_of("quantiser", quantiser, ("rtn", "gptq"))
    if not len(bits) or any(b not in (0, *BITS) for b in bits):
        raise ArgumentError(f"bits={bits!r:.60}: expected widths of {(0, *BITS)}")
    share, weight, loss = [], [], []
    found, size = blocks(model), expert_bytes(model, group)
    with torch.no_grad():
        for block, x in zip(found, inputs_of(model, ids), strict=True):
            x = x.float()
            logits, all_outputs = x @ block.gate.weight.float().T, outputs(block, x)
            chosen = routed(logits, block.gate.top_k)
            whole_output = torch.einsum("ne,end->nd", chosen, all_outputs)
            hit = chosen > 0
            share.append(hit.float().mean(0).numpy())
            weight.append((chosen.sum(0) / hit.sum(0).clamp(min=1)).numpy())
            table = np.zeros((len(chosen[0]), len(bits)))
            pairs = zip(block.experts.gate_up_proj, block.experts.down_proj, strict=True)
            for e, (gate_up, down) in enumerate(pairs):
                mine = x[hit[:, e]]
                for k, b in enumerate(bits):
                    if b == 0:
                        left = routed(logits, block.gate.top_k, torch.tensor([e]))
                        now = torch.einsum("ne,end->nd", left, all_outputs)
                        table[e, k] = float((now - whole_output).norm())
                        continue
                    stored = quantised(gate_up, down, b, quantiser, group, mine)
                    now = expert(stored[0].weight(), stored[1].weight(), mine)
                    moved = (now - all_outputs[e][hit[:, e]]) * chosen[hit[:, e], e][:, None]
                    table[e, k] = float(moved.norm())
            loss.append(table)
    return Profile(
        np.array(share, float), np.array(weight, float), tuple(bits), np.array(loss),
        np.array([size[b] for b in bits], float), float(rest_bytes(model)), ids.numel(),
    )  # fmt: skip
