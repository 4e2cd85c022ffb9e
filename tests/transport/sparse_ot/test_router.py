"""Routing of tokens to experts: capacities, plans, gradients, and what the experts see."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from feasible.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from feasible.transport import SinkhornRouter, SparseRouter, TopKRouter, sparse_ot
from feasible.transport.sparse_ot.router import Router

ROUTERS = (
    SparseRouter(),
    SparseRouter(num_selected=2),
    SparseRouter("experts-per-item"),
    SparseRouter("experts-per-item", 2),
    TopKRouter(),
    TopKRouter(2, priority=True),
    SinkhornRouter(),
    SinkhornRouter(2),
)


def gate(groups=3, tokens=40, experts=4, seed=100, dtype=torch.float32):
    """Logits in which some experts are likelier than others."""
    draw = torch.Generator().manual_seed(seed)
    return (
        torch.randn(groups, tokens, experts, generator=draw)
        + torch.randn(groups, 1, experts, generator=draw)
    ).to(dtype)


@pytest.mark.parametrize("variant", ["items-per-expert", "experts-per-item"])
@pytest.mark.parametrize("selected", [1, 2])
def test_the_plan_is_that_of_sparse_ot_by_adam(variant, selected):
    logits = gate(2, 24, 4)
    plan = SparseRouter(variant, selected)(logits).plan
    columns = variant == "items-per-expert"
    for g in range(2):
        cost = -torch.softmax(logits[g].double(), 1).numpy()
        a, b = (
            (np.full(24, float(selected)), np.full(4, 6.0 * selected))
            if columns
            else (np.ones(24), np.full(4, 6.0))
        )
        k = SparseRouter(variant, selected).capacity(24, 4) if columns else selected
        found = sparse_ot(a, b, cost, k, 1.0, axis="columns" if columns else "rows", solver="adam")
        assert np.abs(found.plan - plan[g].numpy()).max() < 1e-5


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ROUTERS),
    st.integers(1, 3),
    st.integers(1, 30),
    st.integers(2, 9),
    st.integers(0, 10**6),
)
def test_no_expert_gets_more_than_its_capacity_and_slots_list_what_is_dispatched(
    router, groups, tokens, experts, seed
):
    logits = 4 * gate(groups, tokens, experts, seed)
    routing = router(logits)
    capacity = router.capacity(tokens, experts)
    assert routing.load.max() <= capacity
    assert routing.slots.shape == (groups, experts, capacity)
    for g in range(groups):
        for e in range(experts):
            listed = routing.slots[g, e][routing.slots[g, e] >= 0].tolist()
            assert sorted(listed) == torch.nonzero(routing.dispatch[g, :, e]).flatten().tolist()
    assert float(routing.stats["max_load"]) <= 1
    assert torch.equal(routing.combine > 0, routing.dispatch)


def test_items_per_expert_fills_every_expert_and_experts_per_item_selects_at_most_k():
    logits = gate()
    assert (SparseRouter()(logits).load == 12).all() or (
        SparseRouter(multiple_of=1)(logits).load == 10
    ).all()
    for selected in (1, 2):
        assert SparseRouter("experts-per-item", selected)(logits).dispatch.sum(2).max() <= selected


def test_balance_costs_fewer_tokens_than_dropping_what_does_not_fit():
    logits = gate(4, 128, 8)
    dropped = {
        type(r).__name__: float(r(logits).stats["dropped"])
        for r in (SparseRouter(), TopKRouter(), SinkhornRouter())
    }
    assert dropped["SparseRouter"] <= 0.5 * dropped["TopKRouter"]
    assert dropped["SinkhornRouter"] <= 0.5 * dropped["TopKRouter"]


def test_more_steps_bring_the_tokens_nearer_to_one_expert_each():
    logits = gate(4, 128, 8)
    errors = [
        float((SparseRouter(iterations=i)(logits).plan.sum(2) - 1).abs().mean())
        for i in (1, 20, 200)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_capacity_is_the_share_times_the_factor_rounded_up_to_the_multiple():
    assert SparseRouter(capacity_factor=1.0).capacity(256, 8) == 32
    assert SparseRouter(capacity_factor=1.05).capacity(256, 8) == 36
    assert SparseRouter(capacity_factor=1.05, multiple_of=1).capacity(256, 8) == 34
    assert SparseRouter(num_selected=2).capacity(256, 8) == 64
    assert SparseRouter().capacity(3, 2) == 3


@pytest.mark.parametrize("router", ROUTERS, ids=repr)
def test_the_gate_gets_its_gradient_through_the_weights_of_what_was_dispatched(router):
    logits = gate(1, 12, 4, dtype=torch.float64).requires_grad_()
    upstream = torch.randn(
        1, 12, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    routing = router(logits)
    (routing.combine * upstream).sum().backward()
    p = torch.softmax(logits.detach(), 2)
    weighted = upstream * routing.dispatch
    assert torch.allclose(logits.grad, p * (weighted - (p * weighted).sum(2, keepdim=True)))
    assert not routing.plan.requires_grad


@pytest.mark.parametrize("router", ROUTERS, ids=repr)
def test_gather_and_scatter_are_the_dense_sums_over_experts(router):
    logits, tokens = (
        gate(2, 20, 4),
        torch.randn(2, 20, 5, generator=torch.Generator().manual_seed(2)),
    )
    weights = torch.randn(4, 5, 5, generator=torch.Generator().manual_seed(3)).requires_grad_()
    routing = router(logits)
    found = routing.scatter(torch.einsum("gecd,edf->gecf", routing.gather(tokens), weights))
    dense = torch.einsum("gne,gnd,edf->gnf", routing.combine, tokens, weights)
    assert torch.allclose(found, dense, atol=1e-5)
    found.square().sum().backward()
    mine, weights.grad = weights.grad, None
    dense.square().sum().backward()
    assert torch.allclose(mine, weights.grad, rtol=1e-4, atol=1e-4)
    lost = routing.dispatch.sum(2) == 0
    assert (found[lost] == 0).all()


@pytest.mark.parametrize("router", ROUTERS, ids=repr)
def test_groups_are_routed_by_themselves_and_the_same_logits_the_same_way(router):
    logits = gate()
    whole = router(logits)
    for g in range(3):
        assert torch.equal(router(logits[g : g + 1]).dispatch[0], whole.dispatch[g])
    assert torch.equal(copy.deepcopy(router)(logits).combine, whole.combine)
    assert not router.state_dict()


def test_with_places_for_all_the_top_expert_gets_every_token():
    logits = gate()
    routing = TopKRouter(capacity_factor=4.0)(logits)
    assert torch.equal(routing.dispatch.int().argmax(2), logits.argmax(2))
    assert float(routing.stats["dropped"]) == float(routing.stats["several"]) == 0


def test_a_full_expert_keeps_the_first_tokens_or_with_priority_the_likeliest():
    logits = torch.zeros(1, 8, 2)
    logits[0, :, 0] = torch.arange(1.0, 9.0)
    assert TopKRouter()(logits).dispatch[0, :, 0].tolist() == [True] * 4 + [False] * 4
    assert TopKRouter(priority=True)(logits).dispatch[0, :, 0].tolist() == [False] * 4 + [True] * 4


def test_sinkhorn_routing_follows_a_plan_with_both_marginals():
    logits = gate(1, 16, 4, dtype=torch.float64)
    log = logits[0].numpy()
    u, v = np.zeros(16), np.zeros(4)
    for _ in range(2000):
        v = np.log(4.0) - np.log(np.exp(log + u[:, None]).sum(0))
        u = -np.log(np.exp(log + v).sum(1))
    exact = np.exp(log + u[:, None] + v)
    plan = SinkhornRouter(iterations=2000)(logits).plan[0].numpy()
    assert np.array_equal(plan.argmax(1), exact.argmax(1))
    assert np.allclose(plan.max(1), exact.max(1), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_keep_the_dtype_of_the_logits(dtype):
    routing = SparseRouter()(gate(dtype=dtype))
    assert routing.combine.dtype == dtype
    assert routing.scatter(routing.gather(torch.ones(3, 40, 2, dtype=dtype))).dtype == dtype


def test_logits_that_are_not_numbers_reach_the_loss():
    logits = gate()
    logits[0, 3, 1] = float("nan")
    assert SparseRouter()(logits).combine[0, 3].isnan().all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: SparseRouter()(torch.zeros(4, 4)),
            ShapeError,
            r"logits has shape \(4, 4\), expected \(groups, tokens, experts\)",
        ),
        (lambda: SparseRouter()(torch.zeros(1, 0, 4)), ShapeError, "none of them 0"),
        (
            lambda: SparseRouter()(torch.zeros(1, 4, 4, dtype=torch.int64)),
            ArgumentTypeError,
            "logits: got torch.int64, expected a tensor of floats",
        ),
        (
            lambda: SparseRouter()(np.zeros((1, 4, 4))),
            ArgumentTypeError,
            "logits: got float64, expected a tensor",
        ),
        (
            lambda: SparseRouter(num_selected=5)(torch.zeros(1, 8, 4)),
            ArgumentError,
            "num_selected=5: there are 4 experts only",
        ),
        (
            lambda: SparseRouter("rows"),
            ArgumentError,
            "variant='rows': expected 'items-per-expert' or 'experts-per-item'",
        ),
        (lambda: SparseRouter(capacity_factor=0), ArgumentError, "capacity_factor=0"),
        (lambda: SparseRouter(gamma=-1), ArgumentError, "gamma=-1"),
        (lambda: SparseRouter(iterations=0), ArgumentError, "iterations=0"),
        (lambda: TopKRouter(0), ArgumentError, "num_selected=0"),
        (lambda: SinkhornRouter(reg=float("inf")), ArgumentError, "reg=inf"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("router", [SparseRouter, TopKRouter, SinkhornRouter])
def test_routers_have_the_defaults_of_their_base(router):
    base, own = (inspect.signature(r.__init__).parameters for r in (Router, router))
    assert {n: p.default for n, p in base.items()} == {n: own[n].default for n in base}
