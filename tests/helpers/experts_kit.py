"""Very small mixtures of experts of each family, untrained."""

from __future__ import annotations

import torch

SIZES = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
MORE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 8}


def made(family, **more):
    import transformers as t

    kinds = {
        "mixtral": ("Mixtral", {"num_local_experts": 6, "num_experts_per_tok": 2}),
        "olmoe": ("Olmoe", {"num_experts": 6, "num_experts_per_tok": 2}),
        "qwen3_moe": ("Qwen3Moe", {**MORE, "head_dim": 8}),
        "qwen2_moe": ("Qwen2Moe", {**MORE, "shared_expert_intermediate_size": 8}),
    }
    name, sizes = kinds[family]
    config = getattr(t, f"{name}Config")(**{**SIZES, **sizes, **more})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(t, f"{name}ForCausalLM")(config).eval()
        for p in model.parameters():  # routers that begin at 0 would choose by ties
            p.data += 0.2 * torch.randn_like(p)
    return model
