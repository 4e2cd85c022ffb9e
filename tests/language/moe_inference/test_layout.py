"""The layouts of the families: each block is recomputed as its own model computes it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from experts_kit import made

from feasible.core.errors import ArgumentError
from feasible.language.moe_inference.layout import blocks, mixed, normalises, outputs, routed
from feasible.language.moe_inference.profile import observe

IDS = torch.arange(24).reshape(2, 12)


@pytest.mark.parametrize(
    ("family", "normal"),
    [("mixtral", None), ("olmoe", False), ("olmoe", True), ("qwen3_moe", False),
     ("qwen3_moe", True), ("qwen2_moe", False)],
)  # fmt: skip
def test_a_block_is_recomputed_in_every_family(family, normal):
    model = made(family, **({} if normal is None else {"norm_topk_prob": normal}))
    assert len(blocks(model)) == 2
    for block, seen in zip(blocks(model), observe(model, IDS), strict=True):
        x = seen.x
        assert normalises(block) is (True if normal is None else normal)
        with torch.no_grad():
            weights = routed(x @ block.gate.weight.T, block.gate.top_k, None, normalises(block))
            mine = mixed(weights, outputs(block, x))
            if family == "qwen2_moe":  # what every token uses lies beside the experts
                mine += torch.sigmoid(block.shared_expert_gate(x)) * block.shared_expert(x)
            assert torch.allclose(mine, block(x[None])[0], atol=1e-5)


def test_layers_without_experts_are_left_alone():
    model = made("qwen3_moe", mlp_only_layers=[0])
    assert len(blocks(model)) == 1


def test_other_layouts_are_refused_by_name():
    layer = SimpleNamespace(mlp=SimpleNamespace(experts=None))
    other = SimpleNamespace(
        model=SimpleNamespace(layers=[layer]), config=SimpleNamespace(model_type="deepseek_v3")
    )
    with pytest.raises(ArgumentError, match="the routers of 'deepseek_v3' are not read"):
        blocks(other)
    with pytest.raises(ArgumentError, match="no layer of fused experts in a Linear"):
        blocks(torch.nn.Linear(2, 2))
