"""The small model, its profile, the file, and runs."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

import feasible
from feasible.core.errors import ArgumentError, Infeasible
from feasible.core.registry import methods
from feasible.language import CompressedModel, TinySettings, profile_moe, train_tiny
from feasible.language.moe_inference import apply_plan
from feasible.language.moe_inference.instances import tiny_experts
from feasible.language.moe_inference.layout import blocks, log_perplexity, outputs, routed
from feasible.language.moe_inference.model import DOMAINS, LETTERS, line, texts
from feasible.language.moe_inference.profile import expert_bytes, observe
from feasible.language.moe_inference.run import PlanExperts, memory_for

pytestmark = pytest.mark.slow
SMALL = TinySettings(layers=1, hidden=16, inner=16, experts=3, steps=56, batch=4, length=16)


@pytest.fixture(scope="module")
def problem():
    return tiny_experts()


def test_the_blocks_are_recomputed_to_rounding(problem):
    for block, seen in zip(
        blocks(problem.model), observe(problem.model, problem.held_out), strict=True
    ):
        x = seen.x
        with torch.no_grad():
            mine = torch.einsum(
                "ne,end->nd", routed(x @ block.gate.weight.T, block.gate.top_k), outputs(block, x)
            )
            assert torch.allclose(mine, block(x[None])[0], atol=1e-5)


def test_sixteen_bits_are_the_model_and_the_bytes_are_counted_in_the_file(problem, tmp_path):
    bits = [[16] * problem.experts] * problem.layers
    verdict = problem.judge(bits)
    assert verdict.objective == pytest.approx(problem.full, abs=2e-3)
    path = problem.save(bits, tmp_path / "m.safetensors")
    assert verdict.metrics["bytes"] == memory_for(problem, 16)
    assert 0 <= os.path.getsize(path) - verdict.metrics["bytes"] < 20_000
    assert not verdict.feasible
    assert verdict.worst == "memory"


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_predicted_bytes_are_those_in_the_file(problem, bits):
    verdict = problem.judge([[bits] * problem.experts] * problem.layers)
    each = expert_bytes(problem.model, problem.group)[bits]
    experts = problem.layers * problem.experts
    assert verdict.metrics["bytes"] == problem.rest_bytes + experts * each


def test_dropping_an_expert_is_deleting_its_router_row(problem, tmp_path):
    bits = [[16, 0, 16, 16], [16, 16, 16, 0]]
    small = problem.load(problem.save(bits, tmp_path / "m.safetensors"))
    masked = problem.load(problem.save([[16] * 4] * 2, tmp_path / "f.safetensors"))
    for block, row in zip(blocks(masked), bits, strict=True):
        gone = [e for e, b in enumerate(row) if not b]
        block.gate.register_forward_hook(
            lambda gate, given, _, gone=gone: _routed_without(gate, given[0], gone)
        )
    ids = problem.held_out
    assert log_perplexity(small, ids) == pytest.approx(log_perplexity(masked, ids), abs=1e-5)


def _routed_without(gate, x, gone):
    logits = x.reshape(-1, x.shape[-1]) @ gate.weight.T
    logits[:, gone] = -torch.inf
    weight, index = logits.softmax(-1).topk(gate.top_k, -1)
    return logits, weight / weight.sum(-1, keepdim=True), index


def test_the_profile_counts_choices_and_its_losses_fall_with_the_bits(problem):
    found = profile_moe(problem.model, problem.calibration)
    assert np.allclose(found.share.sum(1), problem.top_k)
    by_bits = found.loss[:, :, 2:].mean((0, 1))
    assert (np.diff(by_bits) < 0).all()
    assert found.loss[:, :, -1].max() < 0.05 * found.loss[:, :, 2].max()


def test_an_expert_that_nobody_chooses_costs_nothing_to_drop():
    problem = tiny_experts()
    block = blocks(problem.model)[0]
    before = block.gate.weight.data[1].clone()
    try:
        found = observe(problem.model, problem.calibration)[0].x.mean(0)
        block.gate.weight.data[1] = -100 * found / found.norm()
        profile = profile_moe(problem.model, problem.calibration, (0, 2))
        unused = profile.share[0] == 0
        assert (profile.loss[0][unused] == 0).all()
    finally:
        block.gate.weight.data[1] = before


@pytest.mark.parametrize("name", [n for n, e in methods().items() if e.solves == "CompressedModel"])
def test_every_method_keeps_to_the_memory(name, problem):
    result = feasible.solve(problem, name, {"tokens": 20_000}, seed=100)
    assert result.verdict.feasible
    assert result.verdict.metrics["bytes"] <= problem.memory
    assert result.verdict.metrics["over 16 bits"] < 1.5


def test_the_plan_is_the_default_and_says_its_bound(problem):
    result = feasible.solve(problem, budget={"tokens": 20_000}, seed=100)
    assert result.method == "plan-experts"
    assert any("no plan below" in note for note in result.notes)
    assert result.spent["tokens"] == problem.calibration.numel() * (2 + 7 + 2)
    few = feasible.solve(problem, PlanExperts(), {"tokens": 100}, seed=100)
    assert few.answer is None
    assert "tokens" in few.stopped


def test_a_profile_through_the_model_itself_is_the_same_and_through_a_smaller_one_is_not(problem):
    ids, bits = problem.calibration, (0, 2)
    plain = profile_moe(problem.model, ids, bits)
    same = profile_moe(problem.model, ids, bits, through=problem.model)
    assert np.allclose(same.nats, plain.nats, rtol=1e-4, atol=1e-9)
    assert np.array_equal(same.trace, plain.trace)
    few = problem.applied(problem.read([[16, 1, 1, 0], [16] * 4]))
    moved = profile_moe(problem.model, ids, bits, through=few)
    assert np.allclose(moved.loss[0], plain.loss[0], rtol=0.02)  # 16 bits of what is before
    assert not np.allclose(moved.loss[1], plain.loss[1], rtol=0.02)
    with pytest.raises(ArgumentError, match="through has 1 blocks of experts, expected 2"):
        profile_moe(problem.model, ids, bits, through=train_tiny(replace(SMALL, steps=1)))


def test_refining_keeps_the_better_plan_by_the_calibration_text(problem):
    method = PlanExperts(cost="pmq", measure=False, rounds=2)  # a cost that leaves room
    first = feasible.solve(problem, replace(method, rounds=0), {"tokens": 90_000}, seed=100)
    found = feasible.solve(problem, method, {"tokens": 90_000}, seed=100)
    kept = [note for note in found.notes if note.startswith("refined")]
    lost = [problem.calibrated(r.answer) for r in (first, found)]
    assert 1 <= len(kept) <= 2
    assert (lost[1] < lost[0]) == ("the new one" in kept[0])
    assert lost[1] <= lost[0]
    # a round that cannot be paid loses nothing
    few = feasible.solve(problem, method, {"tokens": 10 * problem.calibration.numel()}, seed=100)
    assert few.answer == first.answer
    assert "tokens" in few.stopped


@pytest.mark.parametrize("other", ["uniform-bits", "frequency-bits", "random-bits"])
def test_the_plan_costs_less_by_its_profile_than_the_others(problem, other):
    method = PlanExperts()
    choices = method.choices(problem, problem.profile(method.bits))
    place = {b: k for k, b in enumerate(method.bits)}

    def cost(name):
        bits = feasible.solve(problem, name, {"tokens": 20_000}, seed=101).answer
        where = np.vectorize(place.get)(np.array(bits))
        return float(np.take_along_axis(choices.cost, where[:, :, None], 2).sum())

    assert cost("plan-experts") < cost(other)


def test_a_memory_below_the_smallest_possible_is_named(problem):
    small = CompressedModel(problem.model, problem.calibration, problem.held_out, 10.0)
    with pytest.raises(Infeasible, match=r"memory=10: the smallest plan takes (\d+) bytes"):
        feasible.solve(small, PlanExperts(bits=(1, 2)), {"tokens": 20_000})
    with pytest.raises(Infeasible, match="in 2 bits take"):
        feasible.solve(small, "uniform-bits", {"tokens": 20_000})


def test_gptq_profiles_lose_no_more_than_rounding_on_the_whole(problem):
    plain, better = (
        profile_moe(problem.model, problem.calibration, (2, 3), q) for q in ("rtn", "gptq")
    )
    assert better.loss.sum() < plain.loss.sum()


@pytest.mark.parametrize("quantiser", ["search", "gptq"])
def test_other_quantisers_store_other_weights_in_as_many_bytes(problem, quantiser):
    made = CompressedModel(
        problem.model, problem.calibration, problem.held_out, problem.memory, quantiser
    )
    one, other = (p.judge([[2] * 4] * 2).metrics for p in (made, problem))
    assert one["bytes"] == other["bytes"]
    assert one["perplexity"] != other["perplexity"]


def test_an_interrupted_training_ends_where_the_whole_one_does(tmp_path, monkeypatch):
    whole, asked = train_tiny(SMALL), []

    def interrupted(n, length, seed, sentences):
        asked.append(seed)
        if len(asked) == 53:
            raise KeyboardInterrupt
        return texts(n, length, seed, sentences)

    monkeypatch.setattr("feasible.language.moe_inference.model.texts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(SMALL, tmp_path)
    again = train_tiny(SMALL, tmp_path)
    assert len(asked) == 53 + SMALL.steps - 50
    read = train_tiny(SMALL, tmp_path)
    assert len(asked) == 53 + SMALL.steps - 50
    for a, b, c in zip(whole.parameters(), again.parameters(), read.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
    for other in ({"steps": 7}, {"inner": 2 * SMALL.inner}):
        with pytest.raises(ArgumentError, match="a model of other settings"):
            train_tiny(replace(SMALL, **other), tmp_path)


def test_text_is_of_its_kind():
    rng = np.random.default_rng(0)
    for domain in DOMAINS:
        assert set(line(domain, rng)) <= set(LETTERS)
    a, rest_of = line("sums", rng).strip().split("=")
    assert eval_sum(a) == int(rest_of)
    word, back = line("reversed words", rng).strip().split("|")
    assert word == back[::-1]
    assert torch.equal(texts(4, 20, 3), texts(4, 20, 3))


def eval_sum(text):
    one, other = text.split("+")
    return int(one) + int(other)


def test_bad_input_is_named(problem):
    with pytest.raises(ArgumentError, match="no layer of fused experts"):
        blocks(torch.nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match="held_out: the text is empty"):
        CompressedModel(problem.model, problem.calibration, torch.zeros(0, 4), 1e6)
    with pytest.raises(ArgumentError, match="layer 0 keeps 1 experts, a token takes 2"):
        problem.judge([[4, 0, 0, 0], [4] * 4])
    with pytest.raises(ArgumentError, match="expected bits for 2 layers of 4"):
        problem.judge([[4] * 4])
    with pytest.raises(ArgumentError, match="quantiser='best'"):
        apply_plan(problem.model, [[4] * 4] * 2, problem.calibration, "best")
    with pytest.raises(ArgumentError, match=r"expected 0 or one of"):
        problem.judge([[5] * 4] * 2)
    with pytest.raises(ArgumentError, match="top_k=9"):
        TinySettings(top_k=9)
