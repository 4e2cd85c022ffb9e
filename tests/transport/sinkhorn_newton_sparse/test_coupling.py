"""Gradients of the value of a coupling, with respect to masses, costs and points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from feasible.transport import sinkhorn_newton, sinkhorn_newton_points
from feasible.transport.sinkhorn_newton_sparse.point_clouds import COSTS


def test_gradients_of_the_value_with_respect_to_masses_and_cost_are_its_derivatives():
    rng = np.random.default_rng(100)
    a, b, cost = (
        torch.tensor(x, requires_grad=True)
        for x in (
            rng.dirichlet(np.ones(5)) + 0.1,
            rng.dirichlet(np.ones(4)) + 0.1,
            rng.random((5, 4)),
        )
    )

    def value(a, b, cost):
        return sinkhorn_newton(a / a.sum(), b / b.sum(), cost, 0.05, tol=1e-13).value

    assert torch.autograd.gradcheck(value, (a, b, cost))


def test_the_mass_itself_may_change_under_the_gradient():
    rng = np.random.default_rng(100)
    a, b, cost = (
        rng.dirichlet(np.ones(5)),
        rng.dirichlet(np.ones(4)),
        torch.tensor(rng.random((5, 4))),
    )
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda s: (
            sinkhorn_newton(s * torch.tensor(a), s * torch.tensor(b), cost, 0.05, tol=1e-13).value
        ),
        (scale,),
    )


def test_a_batch_has_gradients_too():
    cost = torch.rand(
        3,
        4,
        4,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(100),
        requires_grad=True,
    )
    found = sinkhorn_newton(None, None, cost, 0.1)
    found.value.sum().backward()
    assert cost.grad == pytest.approx(found.plan.detach(), abs=1e-14)


@pytest.mark.parametrize("cost", COSTS)
def test_the_value_of_clouds_has_its_gradient_in_the_points(cost):
    rng = np.random.default_rng(100)
    drawn = [rng.normal(size=(n, 3)) for n in (6, 5)]
    if cost == "jensenshannon":  # points are distributions there
        drawn = [np.abs(p) + 0.1 for p in drawn]
    x, y = (torch.tensor(p, requires_grad=True) for p in drawn)
    assert torch.autograd.gradcheck(
        lambda x, y: sinkhorn_newton_points(x, y, cost=cost, reg=0.1, tol=1e-13).value, (x, y)
    )


def test_descending_the_value_moves_one_cloud_onto_the_other():
    rng = np.random.default_rng(100)
    y = torch.tensor(rng.normal(size=(12, 2)))
    x = torch.tensor(rng.normal(size=(12, 2)) + 4, requires_grad=True)
    descent = torch.optim.SGD([x], lr=6.0)
    for _ in range(8):
        descent.zero_grad()
        sinkhorn_newton_points(x, y, reg=1e-3).value.backward()
        descent.step()
    near = torch.cdist(x.detach(), y).min(1).values
    assert near.max() < 1e-3
