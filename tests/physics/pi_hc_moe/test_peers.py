"""The layer beside jaxopt and optimistix, and over processes."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from feasible.core.errors import WrongProblem
from feasible.physics.pi_hc_moe import DiffusionSorption, Grid, MixtureOfExperts, Vorticity
from feasible.physics.pi_hc_moe.layer import levenberg_marquardt, pulled_back
from feasible.physics.pi_hc_moe.parallel import ExpertProcesses, RayExperts
from feasible.physics.pi_hc_moe.peers import SOLVERS, differentiated, jax_residual

PDE = DiffusionSorption(Grid.of(500.0, 8, 16))


@pytest.fixture(scope="module")
def basis():
    t, x = (a / a[-1] for a in PDE.grid.axes)
    waves = [torch.exp(-k * t)[:, None] * torch.cos(k * x) for k in range(4)]
    return torch.stack(waves, -1).repeat(2, 1, 1, 1)


@pytest.fixture(scope="module")
def initial():
    return torch.tensor([0.1, 0.15], dtype=torch.float64)[:, None].expand(2, 16)


@pytest.fixture
def ray_here():
    """A cluster of two CPUs."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_layers_sum_of_squares_is_the_peers(solver, basis, initial):
    layer = MixtureOfExperts(PDE, (1, 2))
    rows = layer.rows(basis, None, initial, None)
    up = torch.as_tensor(np.random.default_rng(0).standard_normal((4, 4)))
    mine = levenberg_marquardt(PDE, rows, tol=1e-10)
    w, cost, back = differentiated(solver, PDE, tol=1e-10)(rows, up)
    assert float(mine.cost.mean()) == pytest.approx(cost, rel=1e-5)
    if solver == "optimistix":  # jaxopt's own derivative is not solved for to this accuracy
        assert np.allclose(w, mine.omega, atol=1e-5)
        for a, b in zip(pulled_back(PDE, rows, mine.omega, up, True), back, strict=True):
            assert np.allclose(a, b, rtol=1e-3, atol=1e-4 * float(np.abs(b).max()))


def test_an_equation_without_a_form_in_jax_is_named():
    with pytest.raises(WrongProblem, match="Vorticity"):
        jax_residual(Vorticity(Grid.of(1.0, 4, 8, 2, True)))


def test_experts_over_processes_find_the_same_bits(basis, initial):
    layer = MixtureOfExperts(PDE, (2, 2), overlap=2)
    found = []
    with ExpertProcesses(2) as spread:
        for solver in (layer.solver, spread):
            layer.solver = solver
            own = basis.clone().requires_grad_(True)
            out = layer(own, initial)
            out.solution.square().sum().backward()
            found.append((out, own.grad))
    assert torch.equal(found[0][0].solution, found[1][0].solution)
    assert torch.equal(found[0][1], found[1][1])
    assert torch.equal(found[0][0].iterations, found[1][0].iterations)


@pytest.mark.slow
def test_experts_over_ray_find_the_same_bits(basis, initial, ray_here):
    layer = MixtureOfExperts(PDE, (1, 2))
    here = layer(basis, initial)
    layer.solver = RayExperts(2)
    there = layer(basis, initial)
    assert torch.equal(here.solution, there.solution)
