"""Where the experts of a model of transformers lie, and how a token finds them.

Read are the families whose experts lie in two fused tensors a layer, gate and up (E, 2F, d) and
down (E, d, F), behind a router of softmax scores with one row an expert: Mixtral, OLMoE, Qwen3-MoE,
and Qwen2-MoE with its shared expert, which every token uses and which is never dropped, merged or
put in few bits. Layers without experts between them are left alone. Mixtral makes the weights of a
token's experts sum to 1, the others where `norm_topk_prob` says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from ...core.errors import ArgumentError

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

FAMILIES = ("mixtral", "olmoe", "qwen3_moe", "qwen2_moe")
"""transformers' `model_type` of the layouts that are read."""


def blocks(model: Any) -> list[Any]:
    """The blocks of experts, one a layer that has them.

    Raises:
        ArgumentError: There is none, or in another layout.
    """
    layers = getattr(getattr(model, "model", None), "layers", ())
    found = [layer.mlp for layer in layers if hasattr(getattr(layer, "mlp", None), "experts")]
    family = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if not found:
        raise ArgumentError(
            f"model: no layer of fused experts in a {type(model).__name__}; expected one of the "
            f"families {', '.join(FAMILIES)}"
        )
    if family not in FAMILIES:
        raise ArgumentError(
            f"model: the routers of '{family}' are not read; expected one of the families "
            f"{', '.join(FAMILIES)}"
        )
    return found


def normalises(block: Any) -> bool:
    """Whether the weights of a token's experts are made to sum to 1."""
    return bool(getattr(block.gate, "norm_topk_prob", True))


def tokens_of(name: str, ids: Any, what: str = "the text") -> Tensor:
    """Tokens (n, length), checked.

    Raises:
        ArgumentError: There are none.
    """
    if not isinstance(ids, torch.Tensor) or ids.dim() != 2 or not ids.numel():
        raise ArgumentError(f"{name}: {what} is empty; expected tokens (n, length)")
    return ids


def log_perplexity(model: Any, ids: Int[Tensor, "n length"]) -> float:
    """Mean negative logarithm of the next token's probability, in nats."""
    with torch.no_grad():
        return surprise(model(input_ids=ids).logits, ids)


def surprise(logits: Float[Tensor, "n length V"], ids: Int[Tensor, "n length"]) -> float:
    """Mean negative logarithm of the next token's probability by the logits, in nats."""
    before = logits[:, :-1].float()
    return float(F.cross_entropy(before.reshape(-1, before.shape[-1]), ids[:, 1:].reshape(-1)))


def outputs(block: Any, x: Float[Tensor, "n d"]) -> Float[Tensor, "E n d"]:
    """What every expert of a block makes of every input."""
    made = []
    for gate_up, down in zip(block.experts.gate_up_proj, block.experts.down_proj, strict=True):
        made.append(expert(gate_up, down, x))
    return torch.stack(made)


def inner(gate_up: Tensor, x: Float[Tensor, "n d"]) -> Float[Tensor, "n F"]:
    """What an expert's last matrix is multiplied with: silu(gate x) * up x."""
    gate, up = (x @ gate_up.T).chunk(2, dim=-1)
    return F.silu(gate) * up


def expert(gate_up: Tensor, down: Tensor, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """An expert: down (silu(gate x) * up x)."""
    return inner(gate_up, x) @ down.T


def routed(
    logits: Float[Tensor, "n E"],
    top_k: int,
    without: Int[Tensor, " c"] | None = None,
    normalise: bool = True,
) -> Float[Tensor, "n E"]:
    """The weights of all experts for each token, 0 for those that are not chosen.

    Args:
        logits: Of the router; not changed.
        top_k: Experts of a token.
        without: Experts that are dropped: their logits are minus infinity, which is the same as
            deleting their rows of the router.
        normalise: Whether a token's weights sum to 1.
    """
    kept = logits.clone().float()
    if without is not None:
        kept[:, without] = -torch.inf
    chosen, index = kept.softmax(-1).topk(top_k, dim=-1)
    if normalise:
        chosen = chosen / chosen.sum(-1, keepdim=True)
    return torch.zeros_like(kept).scatter(1, index, chosen)


def mixed(weights: Float[Tensor, "n E"], made: Float[Tensor, "E n d"]) -> Float[Tensor, "n d"]:
    """The sum of the experts' outputs by their weights."""
    return torch.einsum("ne,end->nd", weights, made)
