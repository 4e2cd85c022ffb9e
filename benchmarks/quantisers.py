"""Quantisers beside HQQ's and torchao's on the experts of a model that is trained here: error of
the weights and perplexity at the same bits, the same groups and the same stored bytes.

Run by name, with both packages installed: `pip install hqq torchao`.
"""

from __future__ import annotations

import copy
import math
from typing import Any

from .common import Figure, write

SEED = 100
WIDTHS = (2, 3, 4)


def rebuilt(problem: Any, bits: int, weight: Any) -> tuple[float, float]:
    """Error of all experts' matrices over their size, and perplexity over that of 16 bits."""
    import torch

    from feasible.language.moe_inference.layout import blocks, inner, log_perplexity
    from feasible.language.moe_inference.profile import observe

    model, lost, size = copy.deepcopy(problem.model), 0.0, 0.0
    seen = observe(problem.model, problem.calibration)
    with torch.no_grad():
        for block, s in zip(blocks(model), seen, strict=True):
            wide, narrow = block.experts.gate_up_proj, block.experts.down_proj
            for e in range(problem.experts):
                x = s.x[s.chosen[:, e] > 0]
                for matrices, given in ((narrow, inner(wide[e], x)), (wide, x)):
                    found = weight(matrices[e].clone(), bits, given)
                    lost += float((found - matrices[e]).square().sum())
                    size += float(matrices[e].square().sum())
                    matrices[e] = found
    return math.sqrt(lost / size), math.exp(log_perplexity(model, problem.held_out) - problem.full)


def run() -> list[Figure]:
    """Every quantiser at every width."""
    from feasible.language.moe_inference.claim import model_of
    from feasible.language.moe_inference.peers import hqq_weight, torchao_weight
    from feasible.language.moe_inference.quantise import GROUP, gptq, rtn, searched

    problem = model_of("desk", SEED)

    def group(w: Any) -> int:
        return min(GROUP, w.shape[1])

    ways: dict[str, Any] = {
        "rtn": lambda w, b, _: rtn(w, b).weight(),
        "search": lambda w, b, _: searched(w, b).weight(),
        "gptq": lambda w, b, x: (gptq(w, x, b) if len(x) else rtn(w, b)).weight(),
        "torchao": lambda w, b, _: torchao_weight(w, b, group(w)),
        "hqq": lambda w, b, _: hqq_weight(w, b, group(w)),
        "hqq, no steps": lambda w, b, _: hqq_weight(w, b, group(w), optimize=False),
    }
    figures = []
    for bits in WIDTHS:
        found = {name: rebuilt(problem, bits, way) for name, way in ways.items()}
        for name, (error, over) in found.items():
            figures += [
                Figure(f"{bits} bits, {name}: perplexity over that of 16 bits", over, None),
                Figure(f"{bits} bits, {name}: error of the weights over their norm", error, None),
            ]
        best = min(found[name][1] for name in ("torchao", "hqq", "hqq, no steps"))
        figures.append(
            Figure(f"{bits} bits, search: perplexity over the best peer's",
                   found["search"][1] / best, 1.0)
        )  # fmt: skip
    write("quantisers", figures)
    return figures
