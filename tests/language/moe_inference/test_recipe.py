"""Recipes applied: merged, skipped, slow and recovered experts in the file and the judge."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch

import feasible
from feasible.core.errors import ArgumentError, Infeasible
from feasible.language import CompressedModel
from feasible.language.moe_inference import (
    PMQ,
    Machine,
    MergeExperts,
    PruneExperts,
    Recipe,
    SkipExperts,
    apply_plan,
    compare,
    distil,
    profile_moe,
    prune_moe,
    rtn,
)
from feasible.language.moe_inference.instances import tiny_experts
from feasible.language.moe_inference.layout import blocks, log_perplexity
from feasible.language.moe_inference.profile import Profile, expert_bytes, gradients, observe
from feasible.language.moe_inference.run import PlanExperts, memory_for

pytestmark = pytest.mark.slow
WIDE = [[16] * 4] * 2


@pytest.fixture(scope="module")
def problem():
    return tiny_experts()


def with_memory(problem, bits, **more):
    made = CompressedModel(problem.model, problem.calibration, problem.held_out, 1e12, **more)
    made.memory = memory_for(made, bits)
    return made


def test_a_group_of_one_is_no_merge(problem):
    plain = problem.judge(WIDE)
    alone = problem.judge({"bits": WIDE, "groups": [[0, 1, 2, 3]] * 2})
    assert alone.objective == pytest.approx(plain.objective, abs=1e-6)
    assert alone.metrics["bytes"] == plain.metrics["bytes"]


def test_merging_equal_experts_changes_nothing_but_the_bytes(problem):
    model = apply_plan(problem.model, WIDE, problem.calibration)
    for layer, block in enumerate(blocks(model)):
        block.experts.gate_up_proj.data[2] = block.experts.gate_up_proj.data[0]
        block.experts.down_proj.data[2] = block.experts.down_proj.data[0]
        block.gate = type(blocks(problem.model)[layer].gate)(model.config)
        block.gate.weight.data = blocks(problem.model)[layer].gate.weight.data.half().float()
    same = apply_plan(model, {"bits": WIDE, "groups": [[0, 1, 0, 3]] * 2}, problem.calibration)
    assert [len(b.experts.gate_up_proj) for b in blocks(same)] == [3, 3]
    assert log_perplexity(same, problem.held_out) == pytest.approx(
        log_perplexity(model, problem.held_out), abs=1e-3
    )


def test_skipping_calls_fewer_experts_and_threshold_0_none(problem):
    beta = profile_moe(problem.model, problem.calibration, ()).beta.tolist()
    none, some, all_of = (
        problem.judge({"bits": WIDE, "beta": b}) for b in ([0.0] * 2, beta, [2.0] * 2)
    )
    assert none.metrics["calls"] == 2
    assert some.metrics["calls"] == pytest.approx(1.5, abs=0.15)
    assert all_of.metrics["calls"] == 1
    assert none.objective == problem.judge(WIDE).objective


def test_slow_experts_cost_time_and_no_fast_memory(problem):
    fast = problem.judge(WIDE).metrics
    slow = [[True, True, False, False]] * 2
    found = problem.judge({"bits": WIDE, "fast": slow}).metrics
    each = expert_bytes(problem.model)[16]
    assert found["bytes"] == fast["bytes"]
    assert found["fast bytes"] == fast["bytes"] - 4 * each
    seen = observe(problem.model, problem.held_out)
    calls = sum(float((s.chosen[:, 2:] > 0).sum()) for s in seen) / len(seen[0].x)
    extra = found["seconds"] - fast["seconds"]
    assert extra == pytest.approx(calls * each / problem.machine.bw, rel=0.02)


def test_ridge_wins_back_output_on_the_calibration_text(problem):
    bits = [[16, 0, 16, 16], [16, 16, 0, 16]]
    lost = []
    for recover in ("none", "ridge"):
        model = apply_plan(problem.model, {"bits": bits, "recover": recover}, problem.calibration)
        seen, first = observe(problem.model, problem.calibration)[0], blocks(problem.model)[0]
        with torch.no_grad():
            moved = blocks(model)[0](seen.x[None]) - first(seen.x[None])
        lost.append(float(moved.norm()))
    assert lost[1] < 0.9 * lost[0]


@pytest.mark.parametrize(
    "method",
    [
        PruneExperts(16), PruneExperts(16, how="progressive"), PruneExperts(16, by="frequency"),
        PruneExperts(16, by="random", recover="ridge"), MergeExperts(16),
        MergeExperts(16, by="clusters", aligned=False), MergeExperts(8, recover="ridge"),
    ],
    ids=str,
)  # fmt: skip
def test_fewer_experts_fit(problem, method):
    small = with_memory(problem, 13)
    result = feasible.solve(small, method, {"tokens": 20_000}, seed=100)
    assert result.verdict.feasible
    assert result.verdict.metrics["experts"] == (8 if method.bits == 8 else 6)
    json.dumps(result.answer)


def test_too_little_memory_for_so_many_experts_is_said(problem):
    for method, least in ((PruneExperts(16), 2), (MergeExperts(16), 1)):
        small = with_memory(problem, 1)
        with pytest.raises(Infeasible, match=f"{least} experts of each layer in 16 bits take"):
            feasible.solve(small, method, {"tokens": 20_000})


def test_a_plan_keeps_to_fast_memory_and_latency(problem):
    machine = Machine(bw=1e8, flops=1e9)
    roomy = with_memory(problem, 8, machine=machine)
    slow = {"bits": [[4] * 4] * 2, "fast": [[False] * 4] * 2}
    roomy.latency = 0.5 * roomy.judge(slow).metrics["seconds"]
    roomy.fast = roomy.rest_bytes + 4.0 * roomy.size()[8]
    result = feasible.solve(roomy, PlanExperts(bits=(2, 4, 8)), {"tokens": 20_000}, seed=100)
    assert result.verdict.feasible
    assert set(result.verdict.violations) == {"memory", "fast", "latency"}
    assert not all(f for row in result.answer["fast"] for f in row)
    predicted = profile_moe(roomy.model, roomy.calibration, ()).share
    near = np.array(result.answer["fast"])
    each = np.vectorize(roomy.expert_seconds)(np.array(result.answer["bits"]), near)
    total = roomy.rest_seconds() + float((predicted * each).sum())
    assert total == pytest.approx(result.verdict.metrics["seconds"], rel=0.25)
    roomy.latency = 1e-9
    with pytest.raises(Infeasible, match="no plan keeps to the fast memory and the latency"):
        feasible.solve(roomy, PlanExperts(), {"tokens": 20_000})


def test_a_plan_may_merge_layers(problem):
    tight = with_memory(problem, 4)
    method = PlanExperts(bits=(4, 8, 16), merge=(2,), measure=False)
    result = feasible.solve(tight, method, {"tokens": 20_000}, seed=100)
    assert result.verdict.feasible
    plan = method.solved(tight, method.choices(tight, tight.profile(method.bits)))
    assert plan.bytes == result.verdict.metrics["bytes"]
    free = {"bits": [[16] * 4] * 2, "groups": [[0, 1, 0, 1]] * 2, "recover": "ridge"}
    assert tight.read(free).units(0) == [[0, 2], [1, 3]]
    small = with_memory(problem, 3.5)
    only = PlanExperts(bits=(4,), merge=(2, 3), measure=False)
    found = feasible.solve(small, only, {"tokens": 20_000}, seed=100)
    assert found.verdict.feasible
    assert found.verdict.metrics["experts"] < 8


def test_pmq_gives_each_layer_its_share_and_one_expert_of_2_and_of_3_bits(problem):
    tight = with_memory(problem, 2.5)
    each = (tight.memory - tight.rest_bytes) / tight.layers
    for method in (PMQ(), PMQ(rule="code")):
        bits = feasible.solve(tight, method, {"tokens": 20_000}, seed=1).answer
        for row in bits:
            assert sum(tight.size()[b] for b in row) <= each
            assert {2, 3} <= set(row) <= {1, 2, 3}


def test_a_distilled_model_is_nearer_to_its_teacher(problem):
    small = apply_plan(problem.model, [[16, 0, 16, 16], [0, 16, 16, 16]], problem.calibration)
    before = copy.deepcopy(problem.model).state_dict()
    told = distil(small, problem.model, problem.calibration, steps=15, batch=8)
    assert np.mean(told[-4:]) < 0.5 * told[0]
    assert all(torch.equal(v, before[k]) for k, v in problem.model.state_dict().items())
    with pytest.raises(ArgumentError, match="steps=101"):
        distil(small, problem.model, problem.calibration, steps=101)


def test_progressive_pruning_sees_what_the_pruned_layers_make(problem):
    once, step = (prune_moe(problem.model, problem.calibration, 3, how) for how in
                  ("layerwise", "progressive"))  # fmt: skip
    assert once[0] == step[0]
    assert step[1].loss > once[1].loss  # the inputs have moved, the wanted output has not
    assert [len(b.experts.gate_up_proj) for b in blocks(problem.model)] == [4, 4]


def test_skipping_is_a_method(problem):
    result = feasible.solve(with_memory(problem, 8), SkipExperts(), {"tokens": 20_000}, seed=1)
    assert result.verdict.metrics["calls"] < 1.8
    assert len(result.answer["beta"]) == 2


def test_a_profile_of_padded_text_is_that_of_the_text(problem, tmp_path):
    ids = problem.calibration[:4]
    padded = torch.cat([ids, torch.full((4, 6), 3)], 1)
    mask = torch.cat([torch.ones_like(ids), torch.zeros(4, 6, dtype=ids.dtype)], 1)
    plain = profile_moe(problem.model, ids, (2, 4))
    found = profile_moe(problem.model, padded, (2, 4), mask=mask)
    assert np.allclose(found.share, plain.share)
    assert np.allclose(found.loss, plain.loss, rtol=1e-3)
    assert (found.trace == plain.trace).all()
    assert found.tokens == ids.numel()
    found.save(tmp_path / "p.npz")
    again = Profile.read(tmp_path / "p.npz")
    assert again.bits == (2, 4)
    assert (again.nats == found.nats).all()
    assert found.plot().data[0].z.shape == (2, 4)
    with pytest.raises(ArgumentError, match="mask: expected one of shape"):
        profile_moe(problem.model, ids, (), mask=0 * ids)


def test_losses_on_routed_tokens_are_those_of_the_whole_block(problem):
    found = profile_moe(problem.model, problem.calibration, (2,))
    slopes = gradients(problem.model, problem.calibration)
    seen = observe(problem.model, problem.calibration)
    for layer, (block, s) in enumerate(zip(blocks(problem.model), seen, strict=True)):
        work = copy.deepcopy(block)
        for name in ("gate_up_proj", "down_proj"):
            getattr(work.experts, name).data[1] = rtn(getattr(block.experts, name)[1], 2).weight()
        with torch.no_grad():
            moved = (work(s.x[None]) - block(s.x[None]))[0]
        assert found.loss[layer, 1, 0] == pytest.approx(float(moved.norm()), rel=1e-4)
        told = 0.5 * float(((moved * slopes[layer]).sum(1) ** 2).mean())
        assert found.nats[layer, 1, 0] == pytest.approx(told, rel=1e-3)


def test_gradients_are_those_of_the_log_likelihood_of_drawn_tokens(problem):
    ids = problem.calibration[:2]
    model = copy.deepcopy(problem.model).double()
    model.set_experts_implementation("eager")
    slope = gradients(model, ids)[0]
    with torch.no_grad():
        logits = model(input_ids=ids).logits.float().flatten(0, 1)
        generator = torch.Generator().manual_seed(0)
        drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
    way = torch.randn(slope.shape, generator=torch.Generator().manual_seed(1)).double()

    def at(h):
        hook = blocks(model)[0].register_forward_hook(
            lambda _, __, out: out + h * way.reshape(out.shape)
        )
        with torch.no_grad():
            logits = model(input_ids=ids).logits.flatten(0, 1)
        hook.remove()
        return float(torch.nn.functional.cross_entropy(logits, drawn, reduction="sum"))

    assert float((slope * way).sum()) == pytest.approx((at(1e-4) - at(-1e-4)) / 2e-4, rel=1e-2)


def test_both_models_are_compared(problem):
    small = apply_plan(problem.model, [[8, 0, 8, 8], [8] * 4], problem.calibration)
    found = compare(problem.model, small, problem.held_out)
    assert found["model"]["calls"] == 2
    assert found["small"]["weights"] < found["model"]["weights"]
    assert found["small"]["log perplexity"] != found["model"]["log perplexity"]


def test_a_recipe_is_plain_data_and_bad_ones_are_named(problem):
    recipe = Recipe([[4] * 4] * 2, groups=[[0, 0, 2, 3]] * 2, beta=[0.1, 0.2])
    assert Recipe.read(json.loads(json.dumps(recipe.plain())), 2, 4, 2) == recipe
    assert Recipe([[4] * 4] * 2).plain() == [[4] * 4] * 2
    bad = [
        ({"bits": WIDE, "groups": [[1, 0, 2, 3]] * 2}, "merges expert 0 into 1"),
        ({"bits": [[16, 8, 8, 8]] * 2, "groups": [[0, 0, 2, 3]] * 2}, "has the same bits"),
        ({"bits": WIDE, "beta": [0.1]}, "beta has 1 entries, expected 2"),
        ({"bits": WIDE, "speed": 1}, "expected bits, and at most"),
        ({"bits": WIDE, "recover": "magic"}, "recover='magic'"),
        ({"groups": [[0, 1, 2, 3]] * 2}, "expected bits, and at most"),
    ]
    for answer, message in bad:
        with pytest.raises(ArgumentError, match=message):
            problem.judge(answer)


def test_a_file_of_something_else_is_refused(problem, tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(ArgumentError, match="it holds no compressed mixture of experts"):
        problem.load(tmp_path / "other.safetensors")
