"""The network: its size, what it does not depend on, and torch's own layer as a witness."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from feasible.operations import benchmark
from feasible.operations.jobshop_rl_cp.network import (
    MASKED,
    DispatchNetwork,
    Layer,
    parameters,
    position,
)
from feasible.operations.jobshop_rl_cp.plays import Copies, Observation, joined


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(100)
        made = DispatchNetwork()
        for p in made.parameters():  # the last layers begin near 0, where little can be seen
            torch.nn.init.normal_(p, std=0.5)
    return made


def played(name: str, steps: int, copies: int = 1) -> Copies:
    """Copies some random steps from their beginning."""
    found, rng = Copies([benchmark(name)], [0] * copies), np.random.default_rng(100)
    for _ in range(steps):
        found.play(rng.permuted(np.tile(np.arange(found.n + 1), (copies, 1)), axis=1))
    return found


def logits(network, seen: Observation) -> np.ndarray:
    with torch.no_grad():
        return network(seen).numpy()


def test_it_has_2442_numbers_whatever_the_shop(network):
    assert parameters(network) == 2442


def test_a_layer_is_torchs_transformer_encoder_layer():
    own = Layer()
    theirs = torch.nn.TransformerEncoderLayer(
        8, 1, 32, dropout=0.0, batch_first=True, norm_first=True
    )
    names = {
        "attend.weight": "self_attn.in_proj_weight",
        "attend.bias": "self_attn.in_proj_bias",
        "out.weight": "self_attn.out_proj.weight",
        "out.bias": "self_attn.out_proj.bias",
    }
    theirs.load_state_dict({names.get(k, k): v for k, v in own.state_dict().items()})
    x = torch.randn(3, 5, 8)
    hidden = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]])
    found = own(x, hidden.unsqueeze(1))
    assert torch.allclose(found, theirs(x, src_key_padding_mask=hidden), atol=1e-6)
    alone = theirs(x, src_mask=~torch.eye(5, dtype=torch.bool))
    assert torch.allclose(own.alone(x), alone, atol=1e-6)


def test_permuting_the_jobs_permutes_their_logits(network):
    seen = played("la01", 12).observe()
    order = np.random.default_rng(100).permutation(10)
    moved = Observation(
        *(getattr(seen, f)[:, order] for f in ("features", "kind", "place", "hidden", "group")),
        np.concatenate([seen.legal[:, order], seen.legal[:, -1:]], axis=1),
    )
    before, after = logits(network, seen)[0], logits(network, moved)[0]
    assert after[:10] == pytest.approx(before[:10][order], abs=1e-5)
    assert after[10] == pytest.approx(before[10], abs=1e-5)


def test_hidden_tokens_and_other_copies_of_a_batch_change_no_logit(network):
    copies = played("ft06", 14, copies=3)
    seen = copies.observe()
    assert seen.hidden.any()
    noisy = dataclasses.replace(seen, features=seen.features.copy())
    noisy.features[seen.hidden, 1:3] = 7.0
    whole = logits(network, seen)
    assert logits(network, noisy) == pytest.approx(whole, abs=1e-6)
    for b in range(3):
        assert logits(network, seen.at(np.array([b])))[0] == pytest.approx(whole[b], abs=1e-5)
    twice = logits(network, joined([seen, seen]))
    assert twice == pytest.approx(np.concatenate([whole, whole]), abs=1e-5)


def test_jobs_of_one_group_attend_to_each_other_and_to_no_other(network):
    seen = Copies([benchmark("la01")], [0]).observe()
    group = seen.group[0]
    rivals = np.flatnonzero(group == np.bincount(group).argmax())
    assert len(rivals) > 1
    changed = dataclasses.replace(seen, features=seen.features.copy())
    changed.features[0, rivals[0], 1, 2] += 1.0
    moved = np.abs(logits(network, changed) - logits(network, seen))[0, :10] > 1e-7
    assert moved[rivals].all()
    assert not np.delete(moved, rivals).any()


def test_illegal_actions_have_the_smallest_float(network):
    seen = played("la01", 9).observe()
    found = logits(network, seen)
    assert (found[~seen.legal] == np.float32(MASKED)).all()
    assert (found[seen.legal] > MASKED / 2).all()


def test_positions_beyond_any_table_have_an_encoding():
    code = position(torch.tensor([0, 1, 5000]))
    assert code[0].tolist() == [0, 1] * 4
    assert code[1, :2].tolist() == pytest.approx([np.sin(1), np.cos(1)])
    assert torch.isfinite(code).all()
