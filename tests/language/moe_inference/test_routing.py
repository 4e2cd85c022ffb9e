"""Skipping, top-p, importance and a batch's budget of experts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from feasible.core.errors import ArgumentError, ShapeError
from feasible.language.moe_inference.layout import routed
from feasible.language.moe_inference.routing import (
    calls,
    fewer_experts,
    most_important,
    skip,
    skip_random,
    skip_threshold,
    token_importance,
    top_p,
)

LOGITS = 2 * torch.randn(301, 8, generator=torch.Generator().manual_seed(0))
WEIGHTS = routed(LOGITS, 2)


def test_the_median_skips_half_of_the_second_experts():
    found = skip(WEIGHTS, skip_threshold(LOGITS))
    assert abs(calls(found) - (602 - 150)) <= 1  # the median token itself, by rounding
    assert torch.allclose(found.sum(1), torch.ones(301))


def test_beta_0_is_the_identity_and_beta_above_1_leaves_the_first():
    assert torch.equal(skip(WEIGHTS, 0.0), WEIGHTS)
    alone = skip(WEIGHTS, 1.5)
    assert calls(alone) == 301
    assert torch.equal(alone.argmax(1), WEIGHTS.argmax(1))


def test_protected_tokens_keep_all():
    protected = torch.arange(301) % 2 == 0
    found = skip(WEIGHTS, 2.0, protected)
    assert torch.equal(found[protected], WEIGHTS[protected])
    assert ((found[~protected] > 0).sum(1) == 1).all()


def test_random_skips_are_so_many_and_never_a_first_expert():
    found = skip_random(WEIGHTS, 100, np.random.default_rng(1))
    assert calls(found) == 502
    assert (found.gather(1, WEIGHTS.argmax(1, keepdim=True)) > 0).all()
    left = skip_random(WEIGHTS, 301, np.random.default_rng(1), normalise=False)
    assert torch.equal(left.amax(1), WEIGHTS.amax(1))


def test_top_p_takes_the_fewest_that_reach_p():
    prob = LOGITS.softmax(1)
    for p in (0.3, 0.7, 0.95):
        found = top_p(LOGITS, p, normalise=False)
        assert (found.sum(1) >= p - 1e-6).all()
        many = (found > 0).sum(1)
        least = prob.masked_fill(found == 0, torch.inf).amin(1)
        assert (((found.sum(1) - least) < p) | (many == 1)).all()
    assert ((top_p(LOGITS, 0.0) > 0).sum(1) == 1).all()
    assert torch.allclose(top_p(LOGITS, 1.0), prob)
    assert ((top_p(LOGITS, 1.0, cap=3) > 0).sum(1) == 3).all()
    assert torch.allclose(top_p(LOGITS, 1.0, cap=2), WEIGHTS, atol=1e-6)


def test_importance_is_attention_received_and_the_code_has_none():
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(2))
    looked = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(3)).tril()
    looked = looked / looked.sum(2, keepdim=True)
    found = token_importance(x, looked)
    for t in range(5):
        received = sum(looked[0, q, t] for q in range(t, 5)) / (5 - t)
        assert found[0, t] == pytest.approx(float(x[0, t].abs().sum() * received), rel=1e-5)
    code = token_importance(x, looked, "code")
    assert torch.allclose(code, x.abs().sum(-1) / torch.tensor([5.0, 4, 3, 2, 1]))
    chosen = most_important(found, 0.4)
    assert chosen.sum() == 4
    assert chosen[:5][found[0].topk(2).indices].all()


@pytest.mark.parametrize("unique", range(2, 9))
def test_a_batch_uses_no_more_experts_than_allowed(unique):
    batch = LOGITS[:20]
    found = fewer_experts(batch, 2, unique)
    assert int((found.sum(0) > 0).sum()) <= unique
    assert ((found > 0).sum(1) == 2).all()
    if unique == 8:
        assert torch.equal(found, routed(batch, 2))
    hit = (found.sum(0) > 0).nonzero()[:, 0]
    best_left = batch[:, hit].argmax(1)
    assert (found[:, hit].argmax(1) == best_left).all()


def test_weights_that_do_not_sum_to_1_stay_as_they_are():
    raw = routed(LOGITS, 2, normalise=False)
    found = skip(raw, 0.5, normalise=False)
    assert torch.equal(found[found > 0], raw[found > 0])


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match=r"weights has shape \(3,\), expected \(n, E\)"):
        skip(torch.zeros(3), 0.5)
    with pytest.raises(ArgumentError, match="beta=-1"):
        skip(WEIGHTS, -1.0)
    with pytest.raises(ShapeError, match=r"protected has shape \(3,\), expected \(301,\)"):
        skip(WEIGHTS, 0.5, torch.ones(3, dtype=torch.bool))
    with pytest.raises(ArgumentError, match="many=302"):
        skip_random(WEIGHTS, 302, np.random.default_rng(0))
    with pytest.raises(ArgumentError, match="unique=1: expected at least top_k=2"):
        fewer_experts(LOGITS, 2, 1)
    with pytest.raises(ShapeError, match="expected two experts or more"):
        skip_threshold(torch.zeros(3, 1))
    with pytest.raises(ShapeError, match="attention"):
        token_importance(torch.zeros(1, 3, 2), torch.zeros(1, 2, 2))
