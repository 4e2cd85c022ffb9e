"""Fewer experts and smaller matrices: pruning, merging, low rank, what is won back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from feasible.core.errors import ArgumentError, ShapeError
from feasible.language.moe_inference.layout import expert, mixed, routed
from feasible.language.moe_inference.merge import (
    align,
    cluster_experts,
    group_counts,
    group_experts,
    members_of,
    merge_group,
    similarity,
)
from feasible.language.moe_inference.prune import prune_layer, subset_loss
from feasible.language.moe_inference.recover import low_rank, ridge_down

E, D, F, N = 5, 6, 7, 80


def drawn(seed=0):
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g)

    return normal(N, D), 2 * normal(N, E), normal(E, 2 * F, D), normal(E, D, F)


X, LOGITS, WIDE, NARROW = drawn()
MADE = torch.stack([expert(a, b, X) for a, b in zip(WIDE, NARROW, strict=True)])
TARGET = mixed(routed(LOGITS, 2), MADE)


# -- pruning ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [2, 3, 4])
def test_enumeration_loses_least_of_all_subsets(keep):
    found = prune_layer(TARGET, LOGITS, MADE, 2, keep, batch=32)
    losses = {
        c: subset_loss(TARGET, LOGITS, MADE, 2, c, batch=32)
        for c in itertools.combinations(range(E), E - keep)
    }
    assert found.exact
    assert found.tried == len(losses)
    assert found.loss == min(losses.values()) == losses[found.dropped]
    one_by_one = prune_layer(TARGET, LOGITS, MADE, 2, keep, batch=32, enumerated=0)
    assert not one_by_one.exact
    assert one_by_one.loss >= found.loss
    assert one_by_one.loss == pytest.approx(losses[one_by_one.dropped])


def test_the_loss_adds_up_the_norms_of_batches():
    moved = mixed(routed(LOGITS, 2, torch.tensor([1])), MADE) - TARGET
    assert subset_loss(TARGET, LOGITS, MADE, 2, (1,), batch=30) == pytest.approx(
        sum(float(moved[i : i + 30].norm()) for i in (0, 30, 60)), rel=1e-6
    )


def test_all_kept_loses_nothing_nor_does_dropping_one_that_nobody_chooses():
    assert prune_layer(TARGET, LOGITS, MADE, 2, E).loss == 0
    shy = LOGITS.clone()
    shy[:, 3] = -50
    target = mixed(routed(shy, 2), MADE)
    found = prune_layer(target, shy, MADE, 2, E - 1)
    assert (found.dropped, found.loss) == ((3,), 0.0)
    assert (shy[:, 3] == -50).all()


def test_fewer_experts_than_a_token_uses_are_refused():
    with pytest.raises(ArgumentError, match="keep=1: expected a whole number in"):
        prune_layer(TARGET, LOGITS, MADE, 2, 1)


# -- merging ---------------------------------------------------------------------------------------


def test_group_counts_add_up_and_every_layer_keeps_one():
    usage = np.random.default_rng(0).gamma(0.3, 1, (6, 8))
    for groups in (1, 3, 8):
        found = group_counts(usage, groups)
        assert sum(found) == 6 * groups
        assert min(found) >= 1
    assert group_counts(usage, 1) == [1] * 6


def test_evenly_used_layers_keep_more():
    even, uneven = [0.25] * 4, [0.97, 0.01, 0.01, 0.01]
    assert group_counts([even, uneven], 2) == [3, 1]


def test_the_most_used_are_dominant_and_others_join_the_most_alike():
    alike = np.eye(4)
    alike[1, 3] = alike[3, 1] = 0.9
    alike[2, 0] = alike[0, 2] = 0.8
    groups = group_experts([0.5, 0.1, 0.1, 0.3], alike, 2)
    assert groups == [0, 3, 0, 3]
    assert members_of(groups) == {0: [0, 2], 3: [3, 1]}
    assert group_experts([0.5, 0.1, 0.1, 0.3], alike, 4) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["router-logits", "router-weights", "weights"])
def test_similarity_is_1_with_oneself_and_with_a_copy(kind):
    logits, router = LOGITS.clone(), torch.randn(E, D, generator=torch.Generator().manual_seed(9))
    wide, narrow = WIDE.clone(), NARROW.clone()
    for t in (router, wide, narrow):
        t[2] = t[0]
    logits[:, 2] = logits[:, 0]
    found = similarity(kind, logits, router, wide, narrow)
    assert np.allclose(np.diag(found), 1)
    assert found[0, 2] == pytest.approx(1)
    assert ((found >= -1e-12) & (found <= 1 + 1e-12)).all()


def test_clusters_hold_experts_of_like_outputs():
    centre = torch.tensor([0.0, 10, 0, 10, 20])[:, None, None]
    made = MADE * 0.01 + centre
    assert cluster_experts([0.1, 0.2, 0.3, 0.15, 0.05], made, 3) == [2, 1, 2, 1, 4]


def test_two_equal_experts_merge_exactly():
    wide, narrow = merge_group(WIDE[[0, 0]], NARROW[[0, 0]], [0, 1], [0.3, 0.7])
    assert torch.allclose(expert(wide, narrow, X), MADE[0], atol=1e-5)


def test_a_permuted_copy_merges_exactly_with_alignment_alone():
    order = torch.randperm(F, generator=torch.Generator().manual_seed(4))
    wide = torch.stack([WIDE[0], torch.cat([WIDE[0][:F][order], WIDE[0][F:][order]])])
    narrow = torch.stack([NARROW[0], NARROW[0][:, order]])
    one = expert(*merge_group(wide, narrow, [0, 1], [0.5, 0.5]), X)
    assert torch.allclose(one, MADE[0], atol=1e-5)
    plain = expert(*merge_group(wide, narrow, [0, 1], [0.5, 0.5], aligned=False), X)
    assert not torch.allclose(plain, MADE[0], atol=1e-2)


def test_alignment_changes_no_expert():
    wide, narrow = align(WIDE[0], NARROW[0], WIDE[1], NARROW[1])
    assert torch.allclose(expert(wide, narrow, X), MADE[1], atol=1e-5)
    kept = sum(float((a * b).sum()) for a, b in ((WIDE[0], wide), (NARROW[0], narrow)))
    before = sum(float((a[0] * a[1]).sum()) for a in (WIDE, NARROW))
    assert kept >= before


def test_merged_weights_are_means_by_use_and_unused_ones_count_alike():
    wide, _ = merge_group(WIDE, NARROW, [1, 2], [0, 0.25, 0.75, 0, 0], aligned=False)
    assert torch.allclose(wide, 0.25 * WIDE[1] + 0.75 * WIDE[2])
    even, _ = merge_group(WIDE, NARROW, [1, 2], np.zeros(E), aligned=False)
    assert torch.allclose(even, 0.5 * WIDE[1] + 0.5 * WIDE[2])


def test_bad_groups_are_named():
    with pytest.raises(ArgumentError, match="groups=0"):
        group_counts([[0.5, 0.5]], 0)
    with pytest.raises(ShapeError, match="alike has shape"):
        group_experts([0.5, 0.5], np.eye(3), 1)
    with pytest.raises(ArgumentError, match="members: expected one expert or more"):
        merge_group(WIDE, NARROW, [], [0.2] * E)


# -- low rank and recovery -------------------------------------------------------------------------


def test_low_rank_is_the_truncated_svd_and_the_whole_rank_is_the_matrix():
    w = WIDE[0]
    u, v = low_rank(w, 6)
    assert torch.allclose(u @ v, w, atol=1e-5)
    u, v = low_rank(w, 2)
    rest = torch.linalg.svdvals(w)[2:]
    assert (w - u @ v).norm() == pytest.approx(float(rest.norm()), rel=1e-4)


def test_low_rank_for_its_inputs_loses_less_on_them():
    x = X @ torch.diag(torch.tensor([5.0, 3, 1, 0.3, 0.1, 0.05]))
    lost = [
        float(((WIDE[0] - torch.mul(1, u @ v)) @ x.T).norm())
        for u, v in (low_rank(WIDE[0], 2, x), low_rank(WIDE[0], 2))
    ]
    assert lost[0] < lost[1]


def test_ridge_brings_back_matrices_that_were_disturbed():
    weights = routed(LOGITS, 2)
    x = torch.randn(4000, D, generator=torch.Generator().manual_seed(5))
    logits = torch.randn(4000, E, generator=torch.Generator().manual_seed(6))
    weights = routed(logits, 2)
    made = torch.stack([expert(a, b, x) for a, b in zip(WIDE, NARROW, strict=True)])
    target = mixed(weights, made)
    found = ridge_down(target, weights, WIDE, NARROW * 0.5, x, damping=1e-9)
    assert torch.allclose(found, NARROW, atol=1e-3)
    same = ridge_down(target, weights, WIDE, NARROW, x)
    assert torch.allclose(same, NARROW, atol=1e-4)
    stiff = ridge_down(target, weights, WIDE, NARROW * 0.5, x, damping=1e9)
    assert torch.allclose(stiff, NARROW * 0.5, atol=1e-3)


def test_bad_matrices_are_named():
    with pytest.raises(ArgumentError, match="rank=7"):
        low_rank(WIDE[0], 7)
    with pytest.raises(ShapeError, match="x has shape"):
        low_rank(WIDE[0], 2, X[:, :3])
    with pytest.raises(ShapeError, match="weights has shape"):
        ridge_down(TARGET, routed(LOGITS, 2)[:, :3], WIDE, NARROW, X)
