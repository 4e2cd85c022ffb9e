"""A recipe applied: the file that is written, and the model that is read from it.

The file holds packed codes, scales and zeros of each stored expert, and the rest in 16 bits. A
dropped expert's row of the router is deleted; a merged layer's router keeps its rows, and a map
leads each to the expert that it became part of. Shared experts are not touched.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from ...core.annotations import checked
from ...core.checks import one_of
from ...core.errors import ArgumentError
from .layout import blocks, log_perplexity, mixed, normalises, outputs, routed, tokens_of
from .merge import merge_group
from .profile import Seen, observe, quantised
from .quantise import GROUP, QUANTISERS, Stored
from .recipe import Recipe
from .recover import ridge_down
from .routing import skip

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor

FORMAT = "feasible-moe-1"


class CompactGate(torch.nn.Module):
    """A router whose rows lead to fewer experts, some of which a token skips.

    Args:
        weight: (rows, d) of the router.
        map: (rows,) the stored expert of each row.
        top_k: Rows of a token.
        normalise: Whether a token's weights sum to 1.
        beta: Of skipping.
    """

    def __init__(self, weight: Tensor, map: Tensor, top_k: int, normalise: bool, beta: float):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.register_buffer("map", map.long())
        self.top_k, self.norm_topk_prob, self.beta = top_k, normalise, beta
        self.experts = int(map.max()) + 1

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, and weights and numbers of the experts of each token; one that is skipped has
        weight 0 and the number of experts as its number, which runs nothing.
        """
        logits = hidden.reshape(-1, self.weight.shape[1]) @ self.weight.T
        weights, rows = logits.float().softmax(-1).topk(self.top_k, dim=-1)
        if self.norm_topk_prob:
            weights = weights / weights.sum(-1, keepdim=True)
        if self.beta:
            weights = skip(weights, self.beta, None, self.norm_topk_prob)
        index = self.map[rows].masked_fill(weights == 0, self.experts)
        return logits, weights.to(hidden.dtype), index


@checked
def save_compressed(
    model: Any,
    recipe: Recipe,
    path: str | os.PathLike[str],
    ids: Int[Tensor, "n length"],
    quantiser: str = "rtn",
    group: int = GROUP,
) -> Path:
    """Write a model as a recipe says.

    Args:
        model: With blocks of fused experts; it is not changed.
        recipe: What becomes of each expert.
        path: The file, .safetensors.
        ids: Calibration text, for merging by use, for GPTQ and for the ridge.
        quantiser: "rtn", "search" or "gptq".
        group: Columns that share a scale.
    """
    one_of("quantiser", quantiser, QUANTISERS)
    found = blocks(model)
    experts = {id(p) for b in found for p in b.experts.parameters()}
    names = {id(p): name for name, p in model.named_parameters()}
    kept = {
        name: p.detach().half().contiguous()
        for name, p in model.named_parameters()
        if id(p) not in experts
    }
    need = quantiser == "gptq" or recipe.recover != "none" or recipe.groups is not None
    seen: Sequence[Seen | None] = observe(model, ids) if need else [None] * len(found)
    widths = []
    for layer, (block, saw) in enumerate(zip(found, seen, strict=True)):
        units, row = recipe.units(layer), recipe.bits[layer]
        rows = [e for e, b in enumerate(row) if b]
        place = {e: i for i, unit in enumerate(units) for e in unit}
        gate = names[id(block.gate.weight)]
        kept[gate] = kept[gate][rows].contiguous()
        kept[f"{layer}.map"] = torch.tensor([place[e] for e in rows], dtype=torch.int16)
        widths.append([row[unit[0]] for unit in units])
        wide, narrow, chosen = merged_units(block, units, rows, saw, recipe)
        for i, b in enumerate(widths[-1]):
            x = None
            if quantiser == "gptq" and saw is not None and chosen is not None:
                x = saw.x[chosen[:, i] > 0]
            _store(kept, f"{layer}.{i}", quantised(wide[i], narrow[i], b, quantiser, group, x))
    about = {"format": FORMAT, "group": group, "bits": widths, "recipe": asdict(recipe)}
    save_file(kept, str(path), {"compressed": json.dumps(about)})
    return Path(path)


def merged_units(
    block: Any, units: list[list[int]], rows: list[int], saw: Seen | None, recipe: Recipe
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The matrices of the stored experts, and the weights that tokens give them now."""
    wide = block.experts.gate_up_proj.detach().float()
    narrow = block.experts.down_proj.detach().float()
    if saw is None:
        first = [unit[0] for unit in units]
        return wide[first], narrow[first], None
    usage = (saw.chosen > 0).double().mean(0).numpy()
    pairs = [merge_group(wide, narrow, unit, usage, recipe.aligned) for unit in units]
    few, less = torch.stack([p[0] for p in pairs]), torch.stack([p[1] for p in pairs])
    gone = torch.tensor([e for e in range(len(wide)) if e not in rows], dtype=torch.long)
    weights = routed(saw.logits, saw.index.shape[1], gone, normalises(block))
    chosen = torch.stack([weights[:, unit].sum(1) for unit in units], 1)
    if recipe.recover == "ridge":
        with torch.no_grad():
            target = mixed(saw.chosen, outputs(block, saw.x))
        less = ridge_down(target, chosen, few, less, saw.x)
    return few, less, chosen


def _store(kept: dict[str, Tensor], key: str, pair: tuple[Stored, Stored]) -> None:
    """Add both matrices of an expert."""
    for name, stored in zip(("gate_up", "down"), pair, strict=True):
        kept[f"{key}.{name}.codes"] = stored.codes.contiguous()
        if stored.scale is not None and stored.zero is not None:
            kept[f"{key}.{name}.scale"] = stored.scale.contiguous()
            kept[f"{key}.{name}.zero"] = stored.zero.contiguous()


def stored_size(path: str | os.PathLike[str]) -> int:
    """Bytes of all tensors in a file."""
    return sum(t.numel() * t.element_size() for t in load_file(str(path)).values())


def load_compressed(path: str | os.PathLike[str], skeleton: Any) -> Any:
    """The model of a file that `save_compressed` wrote, in single precision, to be run.

    Args:
        path: The file.
        skeleton: A model of the same configuration; it is not changed.

    Raises:
        ArgumentError: The file is another one.
    """
    from safetensors import safe_open

    kept = load_file(str(path))
    with safe_open(str(path), "pt") as file:
        about = json.loads((file.metadata() or {}).get("compressed", "{}"))
    if about.get("format") != FORMAT:
        raise ArgumentError(f"path={str(path)!r}: it holds no compressed mixture of experts")
    recipe = Recipe(**about["recipe"])
    model = copy.deepcopy(skeleton)
    model.set_experts_implementation("eager")  # which runs nothing for skipped experts
    names = {id(p): name for name, p in model.named_parameters()}
    with torch.no_grad():
        for layer, (block, widths) in enumerate(zip(blocks(model), about["bits"], strict=True)):
            for name in ("gate_up", "down"):
                shape = tuple(getattr(block.experts, f"{name}_proj").shape[1:])
                made = [
                    _read(kept, f"{layer}.{i}.{name}", b, shape, about["group"])
                    for i, b in enumerate(widths)
                ]
                setattr(block.experts, f"{name}_proj", torch.nn.Parameter(torch.stack(made)))
            block.experts.num_experts = len(widths)
            gate = kept.pop(names[id(block.gate.weight)]).float()
            beta = 0.0 if recipe.beta is None else recipe.beta[layer]
            block.gate = CompactGate(
                gate, kept[f"{layer}.map"], block.gate.top_k, normalises(block), beta
            )
        for name, p in model.named_parameters():
            if name in kept:
                p.copy_(kept[name].float())
    return model.eval()


def _read(
    kept: Mapping[str, Tensor], key: str, bits: int, shape: tuple[int, ...], group: int
) -> Tensor:
    """A matrix of the file."""
    rows, columns = shape
    parts = [kept.get(f"{key}.{part}") for part in ("scale", "zero")]
    width = columns if bits == 1 else group
    return Stored(bits, (rows, columns), width, kept[f"{key}.codes"], *parts).weight()


@checked
def apply_plan(
    model: Any, plan: Any, ids: Int[Tensor, "n length"], quantiser: str = "rtn", group: int = GROUP
) -> Any:
    """The model as a plan makes it, through a file, so that it is what would be stored.

    Args:
        model: With blocks of fused experts; it is not changed.
        plan: A Plan, a Recipe, or plain data of one.
        ids: Calibration text.
        quantiser: "rtn", "search" or "gptq".
        group: Columns that share a scale.

    Raises:
        ArgumentError: A plan of another model.
    """
    found = blocks(model)
    answer = plan.recipe() if hasattr(plan, "recipe") else plan
    many = len(found[0].experts.gate_up_proj)
    recipe = Recipe.read(answer, len(found), many, int(found[0].gate.top_k))
    tokens_of("ids", ids, "the calibration text")
    with tempfile.TemporaryDirectory() as folder:
        path = save_compressed(
            model, recipe, Path(folder) / "model.safetensors", ids, quantiser, group
        )
        return load_compressed(path, model)


def expert_calls(model: Any, ids: Int[Tensor, "n length"]) -> float:
    """Experts that a token calls in a layer, on average; two that were merged are one call."""
    calls = [float((s.chosen > 0).sum(1).float().mean()) for s in observe(model, ids)]
    return sum(calls) / len(calls)


@checked
def compare(model: Any, small: Any, ids: Int[Tensor, "n length"]) -> dict[str, dict[str, float]]:
    """Both models on the same text: log perplexity, experts a token calls in a layer, seconds of a
    pass (which on a processor that multiplies in single precision say nothing of few bits).

    Args:
        model: As it was.
        small: Of `apply_plan`.
        ids: Held-out tokens.
    """
    tokens_of("ids", ids)
    found = {}
    for name, one in (("model", model), ("small", small)):
        begun = time.perf_counter()
        loss = log_perplexity(one, ids)
        taken = time.perf_counter() - begun
        weights = sum(p.numel() for p in one.parameters())
        found[name] = {
            "log perplexity": loss, "calls": expert_calls(one, ids), "seconds": taken,
            "weights": float(weights),
        }  # fmt: skip
    return found
