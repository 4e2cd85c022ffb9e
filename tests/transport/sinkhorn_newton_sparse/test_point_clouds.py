"""Entropic transport between points, images and histograms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.transport import sinkhorn_newton, sinkhorn_newton_points, wasserstein_1, wasserstein_2
from feasible.transport.sinkhorn_newton_sparse.point_clouds import COSTS, cost_of_points


@pytest.mark.parametrize("cost", COSTS)
def test_torch_and_numpy_costs_of_points_are_scipys(cost):
    rng = np.random.default_rng(100)
    x, y = rng.normal(size=(2, 7, 3)) + 50, rng.normal(size=(2, 5, 3)) + 50
    assert np.asarray(cost_of_points(torch.tensor(x), torch.tensor(y), cost)) == pytest.approx(
        cost_of_points(x, y, cost), abs=1e-12
    )
    assert cost_of_points(x, y, cost)[0] == pytest.approx(cost_of_points(x[0], y[0], cost), abs=0)


def test_points_keep_their_dtype_and_bad_ones_are_named():
    x = torch.rand(6, 2, generator=torch.Generator().manual_seed(100))
    found = sinkhorn_newton_points(x, x + 1, reg=0.1)
    assert found.plan.dtype == found.value.dtype == found.potentials[0].dtype == torch.float32
    for x, y, cost, error, words in (
        (np.ones((3, 2)), np.ones((3, 4)), "euclidean", ShapeError, "same dimensions"),
        (np.ones(3), np.ones((3, 1)), "euclidean", ShapeError, "x has shape"),
        (np.ones((3, 2)), np.ones((3, 2)), "euclid", ArgumentError, "did you mean 'euclidean'"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "euclidean", NotFinite, "x"),
    ):
        with pytest.raises(error, match=words):
            sinkhorn_newton_points(x, y, reg=1.0, cost=cost)


@pytest.mark.parametrize("debias", [True, False])
def test_distances_of_histograms_are_the_closed_ones(debias):
    import ot

    rng = np.random.default_rng(100)
    p, q = rng.random(40), rng.random(40) ** 3
    law = p / p.sum(), q / q.sum()
    first = np.abs(np.cumsum(law[0] - law[1])).sum()
    second = np.sqrt(ot.emd2_1d(np.arange(40.0), np.arange(40.0), *law))
    assert wasserstein_1(p, q, reg=1e-5, debias=debias, spacing=2.0) == pytest.approx(
        2 * first, rel=1e-3
    )
    assert wasserstein_2(p, q, reg=1e-5, debias=debias, spacing=2.0) == pytest.approx(
        2 * second, rel=2e-3
    )


def test_a_shifted_image_is_as_far_as_it_was_shifted_and_itself_is_at_zero():
    image = np.zeros((12, 12))
    image[2:5, 3:7] = np.random.default_rng(100).random((3, 4))
    shifted = np.roll(image, (4, 3), axis=(0, 1))
    assert wasserstein_2(image, shifted) == pytest.approx(5.0, rel=1e-9)
    assert wasserstein_1(image, shifted, reg=1e-6) == pytest.approx(5.0, rel=1e-4)
    assert wasserstein_1(image, shifted, ground="cityblock", reg=1e-6) == pytest.approx(
        7.0, rel=1e-4
    )
    assert wasserstein_2(image, image) == 0.0


@pytest.mark.parametrize("debias", [True, False])
def test_distances_have_gradients_in_the_images_also_where_there_is_no_mass(debias):
    rng = np.random.default_rng(100)
    p, q = (torch.tensor(rng.random((3, 3)), requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(
        lambda p, q: wasserstein_2(p, q, reg=0.05, debias=debias, tol=1e-13), (p, q)
    )
    p, q = (
        torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64, requires_grad=True),
        torch.ones(3, dtype=torch.float64),
    )
    value = wasserstein_1(p, q, reg=0.5, debias=debias, tol=1e-13)
    value.backward()
    ahead = wasserstein_1(
        p.detach() + torch.tensor([1e-6, 0, 0], dtype=torch.float64),
        q,
        reg=0.5,
        debias=debias,
        tol=1e-13,
    )
    assert float(p.grad[0]) == pytest.approx(float(ahead - value.detach()) / 1e-6, rel=1e-4)


def test_bad_images_are_named():
    for p, q, words in (
        (np.ones((2, 2)), np.ones(4), "one shape"),
        (-np.ones(3), np.ones(3), "p has a negative entry"),
        (np.ones(3), np.zeros(3), "q has no mass"),
    ):
        with pytest.raises(ArgumentError, match=words):
            wasserstein_1(p, q)


def test_a_function_may_be_the_cost():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(6, 3)), draw.normal(size=(5, 3))
    mine = sinkhorn_newton_points(x, y, cost=lambda p, q: -(p @ q.T), reg=0.1)
    np.testing.assert_allclose(mine.plan, sinkhorn_newton(None, None, -(x @ y.T), 0.1).plan)
    batch = cost_of_points(np.stack([x, x]), np.stack([y, y]), cost=lambda p, q: -(p @ q.T))
    np.testing.assert_array_equal(batch[1], -(x @ y.T))
    tensor = torch.tensor(x, requires_grad=True)
    found = sinkhorn_newton_points(tensor, torch.tensor(y), cost=lambda p, q: -(p @ q.mT), reg=0.1)
    found.value.backward()
    np.testing.assert_allclose(tensor.grad, -mine.plan @ y, atol=1e-9)
    with pytest.raises(ShapeError, match="expected \\(6, 5\\)"):
        cost_of_points(x, y, cost=lambda p, q: p @ p.T)
