"""Experts on disk: the same answers, and a cache that counts as the simulated one does."""

from __future__ import annotations

import pytest
import torch
from experts_kit import made

from feasible.core.errors import ArgumentError
from feasible.language.moe_inference import simulate_cache
from feasible.language.moe_inference.offload import offloaded, predict_experts, write_experts
from feasible.language.moe_inference.profile import observe

IDS = torch.arange(20).reshape(1, 20)


@pytest.fixture(scope="module")
def model():
    return made("mixtral")


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_model_with_experts_on_disk_gives_the_same(model, tmp_path, prefetch):
    write_experts(model, tmp_path)
    with offloaded(model, tmp_path, 3, prefetch) as (small, cache), torch.no_grad():
        assert torch.allclose(small(input_ids=IDS).logits, model(input_ids=IDS).logits, atol=1e-4)
        assert cache.misses + cache.hits > 0
        assert cache.waited > 0
        assert bool(cache.fetched) is bool(prefetch)
        assert all(len(h) <= 3 for h in cache.held)
    assert model.model.layers[0].mlp.experts.gate_up_proj is not None


def test_token_by_token_it_misses_as_often_as_the_simulated_cache(model, tmp_path):
    seen = observe(model, IDS)
    trace = torch.stack([s.index.sort(1).values for s in seen], 1).numpy()
    write_experts(model, tmp_path)
    with offloaded(model, tmp_path, 3) as (small, cache), torch.no_grad():
        for layer, block in enumerate(small.model.layers):
            for x in seen[layer].x:
                block.mlp(x[None, None])
    told = simulate_cache(trace, 3, "lru")
    assert (cache.hits, cache.misses) == (told.hits, told.misses)


def test_predictions_are_the_next_routers_choice(model):
    seen = observe(model, IDS)
    ahead = predict_experts(model, seen, 2)
    assert ahead.shape == (20, 2, 2)
    assert (ahead[:, 0] == -1).all()
    logits = seen[0].x @ model.model.layers[1].mlp.gate.weight.T
    assert (ahead[:, 1, 0] == logits.argmax(1).numpy()).all()


def test_a_folder_without_experts_is_named(model, tmp_path):
    with (
        pytest.raises(ArgumentError, match=r"0\.gate_up\.npy is missing"),
        offloaded(model, tmp_path, 2),
    ):
        pass
    with pytest.raises(ArgumentError, match="prefetch=3"), offloaded(model, tmp_path, 2, 3):
        pass
