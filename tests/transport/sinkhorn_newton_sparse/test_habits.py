"""What users hand over: histograms on a line, offsets, bfloat16, lists, read-only arrays."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings, strategies as st

from feasible.transport import sinkhorn_newton, sparse_ot, wasserstein_1, wasserstein_2
from feasible.transport.sinkhorn_newton_sparse import compiled as kernels


@pytest.mark.parametrize("noise", [1.0, 1e-1, 1e-2, 1e-3, 1e-6])
@pytest.mark.parametrize("n", [2, 10, 100])
def test_distances_of_histograms_are_exact_down_to_small_noise(n, noise):
    draw = np.random.default_rng(n)
    p = draw.random(n) + 0.1
    q = p * (1 + noise * draw.uniform(-1, 1, n))
    p, q = p / p.sum(), q / q.sum()
    x = 0.3 * np.arange(n)
    assert wasserstein_1(p, q, spacing=0.3) == pytest.approx(
        0.3 * np.abs(np.cumsum(p - q)).sum(), rel=1e-9
    )
    assert wasserstein_2(p, q, spacing=0.3, squared=True) == pytest.approx(
        ot.emd2_1d(x, x, p, q), rel=1e-7
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10_000))
def test_distances_of_histograms_with_empty_cells_are_the_network_simplexs(n, seed):
    draw = np.random.default_rng(seed)
    p, q = (draw.integers(0, 3, n) + (np.arange(n) == draw.integers(n)) for _ in range(2))
    x = np.arange(float(n))
    p, q = p / p.sum(), q / q.sum()
    exact = ot.emd2(p, q, (x[:, None] - x) ** 2)
    assert wasserstein_2(p, q, squared=True) == pytest.approx(exact, rel=1e-9, abs=1e-12)


def test_distances_of_histograms_have_the_gradient_of_finite_differences():
    draw = np.random.default_rng(0)
    p, q = (torch.tensor(draw.random(9) + 0.1, requires_grad=True) for _ in range(2))
    for distance in (wasserstein_1, lambda p, q: wasserstein_2(p, q, squared=True), wasserstein_2):
        assert torch.autograd.gradcheck(distance, (p, q))


def test_the_gradient_at_equal_histograms_is_zero():
    p = torch.rand(9, dtype=torch.float64, requires_grad=True)
    wasserstein_2(p, p.detach().clone(), squared=True).backward()
    assert p.grad.abs().max() < 1e-12


@pytest.mark.parametrize("offset", [1e8, -1e8, 1e12])
@pytest.mark.parametrize("n", [5, 90])
def test_a_common_offset_of_the_costs_leaves_the_plan(n, offset):
    draw = np.random.default_rng(n)
    a, b = draw.dirichlet(np.ones(n)), draw.dirichlet(np.ones(n))
    cost = (
        draw.integers(0, 1000, (n, n)) / 8 if abs(offset) < 1e10 else draw.integers(0, 99, (n, n))
    )
    reference = sinkhorn_newton(a, b, cost - 0.0, 1.0)
    found = sinkhorn_newton(a, b, cost + offset, 1.0)
    assert found.plan == pytest.approx(reference.plan, abs=1e-9)
    assert found.value == pytest.approx(reference.value + offset, rel=1e-14)
    assert found.value_linear == pytest.approx(reference.value_linear + offset, rel=1e-14)
    f, g = found.potentials
    assert f @ a + g @ b == pytest.approx(found.value, rel=1e-12)
    exact = found.unregularised()
    assert exact.value == pytest.approx(reference.unregularised().value + offset, rel=1e-14)


def test_bfloat16_comes_back_as_bfloat16():
    cost = torch.rand(6, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    found = sinkhorn_newton(None, None, cost, 0.1)
    assert found.plan.dtype == found.value.dtype == torch.bfloat16
    reference = sinkhorn_newton(None, None, cost.double(), 0.1)
    assert torch.allclose(found.plan.double(), reference.plan, rtol=1e-2)
    assert sparse_ot(None, None, cost, 3, 0.1).plan.dtype == torch.bfloat16


def test_a_scalar_tensor_is_a_regularisation():
    cost = torch.rand(6, 6, dtype=torch.float64)
    one = sinkhorn_newton(None, None, cost, 0.25).plan
    assert torch.equal(sinkhorn_newton(None, None, cost, torch.tensor(0.25)).plan, one)
    one = sparse_ot(None, None, cost, 3, 0.25).plan
    assert torch.equal(sparse_ot(None, None, cost, 3, torch.tensor(0.25)).plan, one)


@pytest.mark.parametrize("solve", [lambda c: sinkhorn_newton(None, None, c, 0.1), "capped"])
@pytest.mark.parametrize("kind", ["arrays", "lists", "tensors"])
def test_a_list_of_costs_is_a_batch(kind, solve):
    if solve == "capped":
        solve = lambda c: sparse_ot(None, None, c, 5, 0.1)  # noqa: E731
    costs = np.random.default_rng(0).random((3, 5, 4))
    given = {
        "arrays": list(costs),
        "lists": costs.tolist(),
        "tensors": [torch.from_numpy(c) for c in costs],
    }[kind]
    found = solve(given)
    assert len(found) == 3
    assert np.allclose(found.plan, solve(costs).plan, atol=1e-12)


def test_arrays_that_are_read_only_compile_nothing_anew():
    draw = np.random.default_rng(0)
    a, b, cost = draw.dirichlet(np.ones(80)), draw.dirichlet(np.ones(80)), draw.random((80, 80))
    free = sinkhorn_newton(a, b, cost, 1e-2).plan
    for array in (a, b, cost):
        array.flags.writeable = False
    before = len(kernels.sweep_dense.signatures), len(kernels.sweep_sparse.signatures)
    assert np.array_equal(sinkhorn_newton(a, b, cost, 1e-2).plan, free)
    assert before == (len(kernels.sweep_dense.signatures), len(kernels.sweep_sparse.signatures))
