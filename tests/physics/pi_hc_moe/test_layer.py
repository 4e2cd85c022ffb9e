"""Batched least squares, their implicit derivatives, grids and equations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.physics import NotConverged
from feasible.physics.pi_hc_moe import (
    FNO,
    PDE,
    Burgers,
    ConstrainedOperator,
    Cooling,
    DiffusionSorption,
    Grid,
    HardConstraint,
    Heat,
    MixtureOfExperts,
    Vorticity,
    border_jumps,
    heat_modes,
)
from feasible.physics.pi_hc_moe.experts import partition, scattered
from feasible.physics.pi_hc_moe.layer import Rows, levenberg_marquardt, pulled_back
from feasible.physics.pi_hc_moe.solvers import bdf, implicit_euler, reference

GRID = Grid.of(1.0, 8, 12, periodic=True)


def basis(N=3, B=1, grid=GRID, seed=0):
    """A smooth random basis (B, *grid, N)."""
    rng = np.random.default_rng(seed)
    t, x = (a.numpy() for a in grid.axes)
    a, p = rng.standard_normal((2, B, N))
    values = [
        [
            (1 + a[b, n] * t[:, None] / t[-1]) * np.sin(2 * np.pi * (n + 1) * x + p[b, n])
            for n in range(N)
        ]
        for b in range(B)
    ]
    return torch.as_tensor(np.moveaxis(np.array(values), 1, -1))


def start(B=1, grid=GRID, seed=1):
    rng = np.random.default_rng(seed)
    return torch.as_tensor(
        0.3 * np.sin(2 * np.pi * (grid.axes[1].numpy() + rng.random((B, 1)))) + 0.1
    )


class Whole(PDE):
    """Every point's value is to be what is given: A w = y as an equation."""

    names = ("u",)

    def residual(self, terms):
        return terms[0]


# -- differences -----------------------------------------------------------------------------------


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_differences_are_exact_on_parabolas_inside(c):
    grid = Grid.of(2.0, 5, 9)
    t, x = torch.meshgrid(*grid.axes, indexing="ij")
    u = (c[0] + c[1] * x + c[2] * x**2 + t**2)[None]
    assert torch.allclose(grid.first(u, 1)[0, :, 1:-1], (c[1] + 2 * c[2] * x)[:, 1:-1], atol=1e-10)
    assert torch.allclose(grid.first(u, 0)[0, 1:-1], (2 * t)[1:-1], atol=1e-10)
    same = torch.full((5, 9), 2 * c[2], dtype=torch.float64)
    assert torch.allclose(grid.second(u, 1, compact=True)[0], same, atol=1e-9)
    assert torch.allclose(grid.second(u, 1)[0, :, 2:-2], same[:, 2:-2], atol=1e-9)


def test_a_periodic_axis_has_no_ends():
    x = GRID.axes[1]
    u = torch.sin(2 * math.pi * x).expand(1, 8, -1)
    h = 1 / 12
    wave = math.sin(2 * math.pi * h) / h * torch.cos(2 * math.pi * x)
    assert torch.allclose(GRID.first(u, 1)[0, 0], wave, atol=1e-12)


@pytest.mark.parametrize("equation", [Burgers, DiffusionSorption])
def test_the_closed_derivatives_are_those_of_autograd(equation):
    pde = equation(GRID)
    terms = torch.as_tensor(np.random.default_rng(0).uniform(-0.5, 1, (len(pde.names), 3, 7)))
    value, slopes = pde.slopes(terms)
    same, by_autograd = PDE.slopes(pde, terms)
    assert torch.allclose(value, same, atol=1e-12)
    assert torch.allclose(slopes, by_autograd, atol=1e-10)
    assert torch.allclose(pde.curvature(terms), PDE.curvature(pde, terms), atol=1e-9, rtol=1e-9)


def test_a_flow_of_one_mode_decays_without_being_carried():
    grid = Grid.of(1.0, 5, 16, dimensions=2, periodic=True)
    pde = Vorticity(grid)
    x, y = (2 * math.pi * a for a in grid.axes[1:])
    w = torch.sin(x)[:, None] * torch.cos(y)[None]
    exact = w * torch.exp(-pde.nu * 8 * math.pi**2 * grid.axes[0])[:, None, None]
    assert torch.allclose(reference(pde, w[None])[0], exact, atol=1e-12)
    vx, _ = pde.velocity(w[None, None])
    assert torch.allclose(
        vx[0, 0], -torch.sin(x)[:, None] * torch.sin(y) / (4 * math.pi), atol=1e-9
    )
    assert float(pde.residual(pde.terms(exact[None])).abs().max()) < 1e-3


# -- least squares ---------------------------------------------------------------------------------


def test_a_linear_problem_is_the_ridge_regression():
    pde, rng = Whole(GRID), np.random.default_rng(0)
    T, y = rng.standard_normal((1, 4, 20, 3)), rng.standard_normal((1, 4, 20))
    ridge = 0.1 * np.eye(3)[None].repeat(4, 0)
    rows = Rows(*(torch.as_tensor(v) for v in (T, -y, ridge, np.zeros((4, 3)))))
    found = levenberg_marquardt(pde, rows, tol=1e-12)
    assert bool(found.converged.all())
    for p in range(4):
        A = T[0, p]
        right = np.linalg.solve(A.T @ A + 0.01 * np.eye(3), A.T @ y[0, p])
        assert np.allclose(found.omega[p], right, atol=1e-10)
        # d omega / d y = (A^T A + ridge^2 I)^-1 A^T
        up = torch.eye(3, dtype=torch.float64)
        for i in range(3):
            one = rows.part(slice(p, p + 1))
            back = pulled_back(pde, one, found.omega[p : p + 1], up[i : i + 1], True)[1]
            right = np.linalg.solve(A.T @ A + 0.01 * np.eye(3), A.T)[i]
            assert np.allclose(-back[0, 0], right, atol=1e-9)


def test_a_span_that_holds_the_solution_gives_its_fourier_coefficients():
    pde = Heat(Grid.of(0.5, 60, 65, centred=False), weight=0.01, compact=True)
    modes = heat_modes(pde, 3)
    u0 = 2 * modes[0, :, 0] - 0.5 * modes[0, :, 2]
    out = HardConstraint(pde, ridge=1e-10)(modes[None], u0[None])
    right = torch.tensor([2.0, 0.0, -0.5], dtype=torch.float64)
    assert torch.allclose(out.weights[0, 0], right, atol=5e-3)
    exact = reference(pde, u0[None])
    assert float((out.solution - exact).abs().max()) < 0.01
    assert bool(out.converged.all())


@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize(("equation", "exact"), [(Burgers, True), (Heat, True), (Heat, False)])
def test_the_implicit_gradient_is_that_of_differences(equation, exact, tol):
    """Within 100 times the tolerance of the inner solve; Gauss and Newton's where F is linear."""
    pde = equation(GRID)
    b, u0 = basis(), start()
    layer = HardConstraint(
        pde, tol=tol, max_iter=200, backward="exact" if exact else "gauss-newton"
    )
    up = torch.as_tensor(np.random.default_rng(3).standard_normal((1, 1, 3)))
    tight = HardConstraint(pde, tol=1e-12, max_iter=400)

    def loss(values):
        return float((tight(values, u0).weights * up).sum())

    given_ = b.clone().requires_grad_(True)
    (layer(given_, u0).weights * up).sum().backward()
    moved = torch.as_tensor(np.random.default_rng(4).standard_normal(b.shape))
    h = 1e-5
    slope = (loss(b + h * moved) - loss(b - h * moved)) / (2 * h)
    found = float((given_.grad * moved).sum())
    assert abs(found - slope) <= max(100 * tol, 2e-6) * max(abs(slope), 1.0)


def test_gauss_and_newtons_gradient_is_off_where_a_residual_is_left_and_f_is_bent():
    pde, b, u0 = Burgers(GRID), 2 * basis(), 3 * start()
    up = torch.ones(1, 1, 3, dtype=torch.float64)
    found = []
    for backward in ("exact", "gauss-newton"):
        given_ = b.clone().requires_grad_(True)
        layer = HardConstraint(pde, tol=1e-11, max_iter=300, backward=backward)
        (layer(given_, u0).weights * up).sum().backward()
        found.append(given_.grad)
    assert 1e-6 < float((found[0] - found[1]).norm() / found[0].norm()) < 0.5


def test_the_exact_gradient_is_that_of_the_unrolled_iteration():
    """Newton's iterations by autograd, from the solution on, have the same derivative."""
    pde, b, u0 = Burgers(GRID), basis(), start()
    layer = HardConstraint(pde, tol=1e-12, max_iter=300)
    given_ = b.clone().requires_grad_(True)
    out = layer(given_, u0)
    out.weights.square().sum().backward()

    free = b.clone().requires_grad_(True)
    shaped, base = pde.shaped(free), pde.base(u0)

    def cost(w):
        u = base + (shaped * w).sum(-1)
        return 0.5 * pde.residual(pde.terms(u)).square().sum() + 0.5e-8 * w.square().sum()

    w = out.weights[0, 0].detach()
    for _ in range(2):
        g = torch.func.grad(cost)(w)
        w = w - torch.linalg.solve(torch.func.hessian(cost)(w).detach(), g)
    w.square().sum().backward()
    assert torch.allclose(given_.grad, free.grad, rtol=1e-6, atol=1e-9)


def test_dependent_basis_functions_without_a_ridge_are_named():
    b = basis(2)
    doubled = torch.cat([b, b[..., :1]], -1).requires_grad_(True)
    out = HardConstraint(Burgers(GRID), ridge=0.0)(doubled, start())
    with pytest.raises(NotConverged, match="ridge: the normal equations of problem 0 of 1"):
        (out.weights * torch.tensor([1.0, 2.0, 3.0])).sum().backward()


def test_a_solve_that_is_cut_short_says_so():
    out = HardConstraint(Burgers(GRID), max_iter=1, tol=1e-12)(basis(), start())
    assert not bool(out.converged.any())
    assert out.iterations.tolist() == [[1]]


# -- experts ---------------------------------------------------------------------------------------


def test_one_expert_is_the_hard_constraint_bit_for_bit():
    b, u0 = basis(B=2), start(2)
    drawn = [torch.Generator().manual_seed(5) for _ in range(2)]
    one = MixtureOfExperts(Burgers(GRID), (1, 1), n_sample=40)(b, u0, drawn[0])
    whole = HardConstraint(Burgers(GRID), n_sample=40)(b, u0, drawn[1])
    assert torch.equal(one.solution, whole.solution)
    assert torch.equal(one.weights, whole.weights)


@given(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 3]), st.integers(0, 2), st.booleans())
def test_shares_add_up_to_one_and_blocks_are_the_grid(kt, kx, overlap, periodic):
    grid = Grid.of(1.0, 16, 12, periodic=periodic)
    blocks = partition(grid, (kt, kx), min(overlap, 16 // kt // 2, 12 // kx // 2))
    assert torch.allclose(blocks.share.sum(0), torch.ones(192, dtype=torch.float64), atol=1e-14)
    assert bool((blocks.share >= 0).all())
    if not overlap:
        everywhere = torch.cat(blocks.points)
        assert torch.equal(everywhere.sort().values, torch.arange(192))


def test_the_random_router_gives_each_point_to_one_expert():
    blocks = scattered(GRID, (2, 3), torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat(blocks.points).sort().values, torch.arange(96))
    assert torch.equal(blocks.share.sum(0), torch.ones(96, dtype=torch.float64))


def test_more_experts_leave_less_of_the_equation():
    """Without conditions, on the same points."""
    b, u0 = basis(), start()
    costs = {}
    for experts in ((1, 1), (2, 1), (2, 3), (4, 6)):
        out = MixtureOfExperts(Burgers(GRID), experts, ridge=0.0, max_iter=200, tol=1e-10)(b, u0)
        costs[experts] = float(out.residual_norm.square().sum())
    found = list(costs.values())
    assert all(more <= less * (1 + 1e-9) for less, more in itertools.pairwise(found))


def test_an_overlap_takes_the_jumps_away():
    pairs = []
    for seed in range(5):
        b, u0 = basis(2, seed=seed), start(seed=seed)
        for overlap in (0, 3):
            layer = MixtureOfExperts(Burgers(GRID), (1, 2), overlap=overlap)
            pairs.append(border_jumps(layer(b, u0).solution, (1, 2)))
    assert sum(pairs[1::2]) < 0.8 * sum(pairs[::2])


def test_conditions_of_any_kind_are_kept():
    """Dirichlet, Robin, and a mean over space: rows among the others, here with enough weights."""
    grid = Grid.of(1.0, 6, 9, centred=False)
    pde = Cooling(grid)
    pde.weight = 1e-6
    every = torch.eye(54, dtype=torch.float64).reshape(1, 6, 9, 54)
    u0 = 1 - grid.axes[1][None] / 2
    out = HardConstraint(pde, ridge=1e-9, tol=1e-13)(every, u0)
    left = pde.parts(out.solution, u0)
    assert set(left) == {"equation", "initial", "robin", "mean"}
    assert all(float(left[name]) < 1e-5 for name in ("initial", "robin", "mean"))


def test_a_network_of_any_grid_is_taken():
    torch.manual_seed(0)
    net = FNO((3, 3), out_channels=4, hidden_channels=5)
    for nx in (12, 24):
        grid = Grid.of(1.0, 8, nx, periodic=True)
        out = ConstrainedOperator(net, HardConstraint(Burgers(grid)))(start(2, grid))
        assert out.solution.shape == (2, 8, nx)
        assert torch.allclose(out.solution[:, 0], start(2, grid))


# -- solvers ---------------------------------------------------------------------------------------


def test_plain_solvers_come_to_the_series_as_the_grid_grows_finer():
    errors = []
    for n in (16, 32, 64):
        pde = Heat(Grid.of(1.0, n, n + 1, centred=False))
        u0 = torch.sin(2 * math.pi * pde.grid.axes[1])[None]
        exact = reference(pde, u0)
        errors.append(
            [float((f(pde, u0) - exact).norm() / exact.norm()) for f in (implicit_euler, bdf)]
        )
    assert all(e[0] > 1.7 * f[0] for e, f in itertools.pairwise(errors))  # first order
    assert errors[-1][1] < 5e-4


def test_burgers_reference_agrees_with_lines_on_a_fine_grid():
    pde = Burgers(Grid.of(0.5, 5, 128, periodic=True), nu=0.02)
    u0 = torch.sin(2 * math.pi * pde.grid.axes[1])[None] / 2
    exact = reference(pde, u0)
    assert float((bdf(pde, u0) - exact).norm() / exact.norm()) < 1e-3
    assert torch.allclose(exact.mean(2), u0.mean(1, keepdim=True).expand(1, 5), atol=1e-12)


def test_sorption_keeps_between_its_values():
    pde = DiffusionSorption(Grid.of(500.0, 6, 16))
    u = reference(pde, torch.full((1, 16), 0.1, dtype=torch.float64))
    assert 0 <= float(u.min()) <= float(u.max()) <= 1
    assert bool((u.diff(dim=2) <= 1e-9).all())


# -- bad input -------------------------------------------------------------------------------------


def test_bad_input_is_named():
    pde, b, u0 = Burgers(GRID), basis(), start()
    with pytest.raises(ShapeError, match="3 blocks do not divide the 8 points of axis 0"):
        MixtureOfExperts(pde, (3, 1))
    with pytest.raises(ShapeError, match="expected 2 numbers"):
        MixtureOfExperts(pde, (2,))
    with pytest.raises(ArgumentError, match="overlap=9"):
        MixtureOfExperts(pde, (1, 2), overlap=9)
    with pytest.raises(ArgumentError, match="router='learned'"):
        MixtureOfExperts(pde, (1, 2), router="learned")
    with pytest.raises(ArgumentError, match="n_sample=97: expected at most 96"):
        HardConstraint(pde, n_sample=97)(b, u0, torch.Generator())
    with pytest.raises(ArgumentError, match="backward='unrolled'"):
        HardConstraint(pde, backward="unrolled")
    bad = b.clone()
    bad[0, 1, 2, 0] = math.nan
    with pytest.raises(NotFinite, match=r"basis: entry \(0, 1, 2, 0\) is nan"):
        HardConstraint(pde)(bad, u0)
    with pytest.raises(ShapeError, match=r"basis has shape \(1, 7, 12, 3\)"):
        HardConstraint(pde)(b[:, :7], u0)
    with pytest.warns(UserWarning, match="float32 is cast to torch.float64"):
        HardConstraint(pde)(b.float(), u0)
    with pytest.raises(ArgumentError, match="expected time, which is not periodic"):
        Grid((GRID.axes[0],), (False,))
    with pytest.raises(ArgumentError, match=r"n_modes\[1\]=7: expected at most 6"):
        FNO((3, 7))(torch.zeros(1, 3, 8, 12, dtype=torch.float64))

    class Unknown(PDE):
        names = ("u", "u_tt")

    with pytest.raises(ArgumentError, match="u_tt"):
        Unknown(GRID).terms(b)
