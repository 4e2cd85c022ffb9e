"""Pairs that are forbidden by a mask, or by a cost of inf, in every function that takes a cost."""

from functools import partial

import numpy as np
import pytest
import torch

from feasible.core.errors import ArgumentTypeError, Infeasible, ShapeError
from feasible.transport import (
    SparseTransport,
    sinkhorn_newton,
    sinkhorn_newton_barycenter,
    sinkhorn_newton_points,
    sinkhorn_newton_unbalanced,
    sparse_ot,
)

N = 24
X = np.linspace(0, 1, N)
COST = (X[:, None] - X) ** 2
NEAR = np.abs(X[:, None] - X) < 0.3
"""No mass moves by 0.3 or more."""
A, B = (np.exp(-((X - m) ** 2) / 0.02) for m in (0.35, 0.55))
A, B = A / A.sum(), B / B.sum()


def barycenter(cost, mask=None):
    return sinkhorn_newton_barycenter([A, B, A[::-1]], cost, 1e-3, mask=mask)


CALLS = {
    "balanced": partial(sinkhorn_newton, A, B, reg=1e-3),
    "relative": partial(sinkhorn_newton, A, B, reg=1e-2, relative=True),
    "unbalanced": partial(sinkhorn_newton_unbalanced, A, B, reg=1e-3, reg_m=0.1),
    "barycenter": barycenter,
    "sparse": partial(sparse_ot, A, B, k=N, gamma=5.0),
    "sparse rows": partial(sparse_ot, A, B, k=4, gamma=0.1, axis="rows", tol=0.05),
}


def plans(found):
    return [found.plan(k) for k in range(3)] if callable(found.plan) else [found.plan]


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
@pytest.mark.parametrize("hidden", [1e9, np.nan])
def test_a_mask_is_a_cost_of_inf_and_what_it_hides_does_not_matter(call, kind, hidden):
    masked = call(cost=kind(np.where(NEAR, COST, hidden)), mask=kind(NEAR))
    same = call(cost=kind(np.where(NEAR, COST, np.inf)))
    assert float(masked.value) == float(same.value)
    for one, other in zip(plans(masked), plans(same), strict=True):
        assert type(one) is type(kind(NEAR))
        np.testing.assert_array_equal(one, other)
        assert (np.asarray(one)[~NEAR] == 0).all()
        assert (np.asarray(one) >= 0).all()


def test_a_mask_goes_with_points_and_with_one_or_all_of_a_batch():
    points = X[:, None]
    one = sinkhorn_newton(A, B, COST, 1e-3, mask=NEAR)
    assert sinkhorn_newton_points(points, points, A, B, reg=1e-3, mask=NEAR).value == pytest.approx(
        one.value, rel=1e-12
    )
    wider = np.abs(X[:, None] - X) < 0.4
    for cost, mask in (([COST] * 2, NEAR), (COST, [NEAR, wider]), ([COST] * 2, [NEAR, wider])):
        found = sinkhorn_newton(A, B, cost, 1e-3, mask=mask)
        assert found.value[0] == one.value
        assert (found.value[1] == one.value) == (mask is NEAR)
    assert sparse_ot(A, B, np.stack([COST] * 2), N, mask=NEAR).plan.shape == (2, N, N)


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_mask_of_another_type_or_shape_is_refused(call):
    with pytest.raises(ArgumentTypeError, match="mask: got an array of float64, expected booleans"):
        call(cost=COST, mask=NEAR.astype(float))
    with pytest.raises(ShapeError, match=r"mask has shape \(24, 23\), expected \(24, 24\)"):
        call(cost=COST, mask=NEAR[:, 1:])


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_mass_that_may_go_nowhere_is_infeasible_unless_it_may_stay(call):
    stuck = NEAR.copy()
    stuck[8] = False
    if call is CALLS["unbalanced"]:
        assert call(cost=COST, mask=stuck).plan[8].sum() == 0
        return
    with pytest.raises(Infeasible, match=r"\[8\] has mass, but every pair of it is forbidden"):
        call(cost=COST, mask=stuck)


@pytest.mark.parametrize("call", [CALLS["balanced"], barycenter, CALLS["sparse"]])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_pairs_that_cannot_carry_the_mass_together_are_infeasible(call):
    left = np.ones((N, N), bool)
    left[:12, 12:] = left[12:, :12] = False  # each half by itself, and they have unlike masses
    with pytest.raises(Infeasible, match="the pairs that are not forbidden"):
        call(cost=COST, mask=left)


def test_the_gradient_in_a_cost_is_the_plan_and_nothing_flows_through_the_mask():
    for call in (CALLS["balanced"], CALLS["unbalanced"], CALLS["sparse"], barycenter):
        cost = torch.tensor(COST, requires_grad=True)
        found = call(cost=cost, mask=torch.tensor(NEAR))
        found.value.backward()
        assert (cost.grad[~torch.tensor(NEAR)] == 0).all()
        wanted = torch.as_tensor(sum(p.detach() for p in plans(found))) / len(plans(found))
        torch.testing.assert_close(cost.grad, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("reg", [1e-2, 1e-4])
def test_a_barycenter_under_a_mask_meets_the_conditions_of_the_optimum(reg):
    laws = np.array([A, B, A[::-1]])
    found = sinkhorn_newton_barycenter(laws, COST, reg, [1, 2, 3], mask=NEAR)
    reached = np.all([NEAR[law > 1e-12].any(0) for law in laws], axis=0)
    assert found.converged
    for k, law in enumerate(laws):
        np.testing.assert_allclose(found.plan(k).sum(1), law, atol=1e-12)
        np.testing.assert_allclose(found.plan(k).sum(0), found.mass, atol=1e-9)
    assert (found.mass[~reached] == 0).all()
    g = found.potentials[1][:, reached]  # stationary in the common marginal
    np.testing.assert_allclose(np.array([1, 2, 3]) @ g, 0, atol=1e-12)


def test_capped_transport_under_a_mask_proves_its_optimum():
    for form in ("semidual", "dual"):
        found = sparse_ot(None, None, COST, N, 0.1, mask=NEAR, formulation=form)
        assert found.certified_optimal
        f, g = found.potentials  # plan = [f + g - cost]+ / gamma where mass may go
        wanted = np.where(NEAR, np.maximum(f[:, None] + g - COST, 0) / 0.1, 0)
        np.testing.assert_allclose(found.plan, wanted, atol=1e-6)
        verdict = SparseTransport(None, None, np.where(NEAR, COST, np.inf), N, 0.1).judge(found)
        assert verdict.feasible
        assert verdict.residual < 1e-6


def test_one_nonzero_a_column_under_a_mask_is_the_best_allowed_assignment():
    from itertools import permutations

    rng = np.random.default_rng(3)
    cost, mask = rng.random((6, 6)), rng.random((6, 6)) < 0.7
    mass = np.full(6, 1 / 6)
    best = min(
        sum(cost[i, j] for j, i in enumerate(p))
        for p in permutations(range(6))
        if all(mask[i, j] for j, i in enumerate(p))
    )
    found = sparse_ot(mass, mass, cost, 1, mask=mask)
    assert found.value_linear == pytest.approx(best / 6, rel=1e-9)


def test_a_repaired_plan_keeps_to_the_mask():
    rng = np.random.default_rng(5)
    cost, mask = rng.random((12, 12)), rng.random((12, 12)) < 0.6
    mask |= np.eye(12, dtype=bool)
    found = sparse_ot(None, None, cost, 2, 0.1, mask=mask, repair=True)
    assert found.converged
    assert (found.plan[~mask] == 0).all()
    assert (np.count_nonzero(found.plan, axis=0) <= 2).all()
