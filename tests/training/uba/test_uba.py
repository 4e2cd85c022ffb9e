"""UBA: the min-max problem that it solves, its scheduler, and the choice of phi."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.training import UBA, choose_phi, uba_profile
from feasible.training.uba.phi import ritz_values
from feasible.training.uba.uba import worst_contraction

SETTINGS = ((4, 5), (10, 8), (50, 12))


def optimizer(*lrs):
    return torch.optim.SGD(
        [{"params": [nn.Parameter(torch.ones(1))], "lr": lr} for lr in lrs or (0.1,)]
    )


def chebyshev(kappa, steps):
    """Rates of UBA with eta_max = 1/l, eta_min = 1/u, phi = 2 kappa for l = 1, u = kappa."""
    return UBA(optimizer(1.0), steps, 2 * kappa, min_lr=1 / kappa).profile()


# -- the min-max problem ---------------------------------------------------------------------------


@pytest.mark.parametrize(("kappa", "steps"), SETTINGS)
def test_its_rates_are_the_inverse_chebyshev_roots(kappa, steps):
    j = np.arange(1, steps + 1)
    roots = 2 / ((kappa + 1) + (kappa - 1) * np.cos((2 * j - 1) * np.pi / (2 * steps)))
    assert np.allclose(chebyshev(kappa, steps), np.sort(roots)[::-1], atol=3e-15)


@pytest.mark.parametrize(
    ("kappa", "steps", "value"), [(4, 5, 0.00823031), (10, 8, 0.01060867), (50, 12, None)]
)
def test_their_worst_contraction_is_that_of_the_chebyshev_polynomial(kappa, steps, value):
    exact = 1 / math.cosh(steps * math.acosh((kappa + 1) / (kappa - 1)))
    assert worst_contraction(chebyshev(kappa, steps), 1, kappa) == pytest.approx(exact, rel=1e-12)
    assert value is None or exact == pytest.approx(value, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SETTINGS), st.integers(0, 2**31))
def test_no_other_rates_contract_more(setting, seed):
    kappa, steps = setting
    rates = chebyshev(kappa, steps)
    other = rates * np.exp(0.1 * np.random.default_rng(seed).normal(size=steps))
    assert worst_contraction(other, 1, kappa) >= worst_contraction(rates, 1, kappa)


@given(st.lists(st.floats(0.05, 1.5), min_size=1, max_size=7), st.floats(1.1, 30))
@settings(max_examples=40, deadline=None)
def test_worst_contraction_is_the_maximum_over_a_fine_grid(rates, high):
    lam = np.linspace(1, high, 4001)
    grid = np.abs(np.prod(1 - np.multiply.outer(lam, rates), axis=1)).max()
    assert grid * (1 - 1e-9) <= worst_contraction(rates, 1, high) <= grid * (1 + 1e-3) + 1e-9


def test_gradient_descent_on_a_quadratic_contracts_by_the_product():
    h, steps = np.array([1.0, 2.5, 7.0, 10.0]), 8
    x = nn.Parameter(torch.ones(4, dtype=torch.float64))
    opt = torch.optim.SGD([x], lr=1.0)
    sched = UBA(opt, steps, 20.0, min_lr=0.1)
    for _ in range(steps):
        x.grad = torch.tensor(h) * x.detach()
        opt.step()
        sched.step()
    assert np.allclose(
        x.detach(),
        np.prod(1 - np.multiply.outer(chebyshev(10, 8), h), axis=0),
        rtol=1e-8,
        atol=1e-14,
    )


# -- the scheduler ---------------------------------------------------------------------------------


def test_phi_two_is_cosine_at_the_middle_of_each_step():
    k = np.arange(50)
    assert np.allclose(
        UBA(optimizer(), 50, 2.0, min_lr=0.01).profile(),
        0.01 + 0.09 * (1 + np.cos((2 * k + 1) * np.pi / 100)) / 2,
        atol=1e-15,
    )


def test_phi_zero_is_constant_and_a_single_step_is_half_way():
    assert (UBA(optimizer(), 7, 0.0).profile() == 0.1).all()
    assert UBA(optimizer(), 1, 3.0).profile()[0] == pytest.approx(0.1 * 2 / (2 + 3.0), rel=1e-15)


@pytest.mark.parametrize("phi", [0.5, 5.0])
def test_the_array_function_is_the_schedulers_curve(phi):
    assert np.allclose(
        0.1 * uba_profile(np.arange(200), 200, phi),
        UBA(optimizer(), 200, phi).profile(),
        rtol=1e-14,
    )
    assert uba_profile(np.arange(200), 200, phi).dtype == np.float64


def test_the_rate_never_rises_after_the_last_step():
    opt = optimizer()
    sched = UBA(opt, 10)
    for _ in range(10):
        opt.step()
        sched.step()
    assert sched.get_last_lr()[0] == sched.profile()[-1]


def test_each_phase_is_a_schedule_of_its_own():
    found = UBA(optimizer(0.1, 0.05), 30, 5.0, phases=[(10, 0.1, 0.02), (20, 0.04, 0.0)])
    parts = [
        UBA(optimizer(high), steps, 5.0, min_lr=low).profile()
        for steps, high, low in ((10, 0.1, 0.02), (20, 0.04, 0.0))
    ]
    assert np.allclose(found.profile(), np.concatenate(parts), rtol=1e-12)
    assert np.allclose(found.profile(1), found.profile() / 2, rtol=1e-12)


def test_one_phase_is_the_plain_schedule():
    assert np.allclose(
        UBA(optimizer(), 30, 5.0, phases=[(30, 0.1, 0.02)]).profile(),
        UBA(optimizer(), 30, 5.0, min_lr=0.02).profile(),
        rtol=1e-13,
    )


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"phi": -1.0}, ArgumentError, "phi=-1"),
        ({"phi": math.nan}, NotFinite, "phi=nan"),
        ({"min_lr": 0.2}, ArgumentError, "min_lr=0.2"),
        ({"warmup_steps": 30}, ArgumentError, "warmup_steps=30"),
        ({"total_steps": 0}, ArgumentError, "total_steps=0"),
        (
            {"phases": [(10, 0.1, 0.0), (10, 0.1, 0.0)]},
            ArgumentError,
            "phases sum to 20 steps, expected the 30",
        ),
        (
            {"phases": [(30, 0.1, 0.2)]},
            ArgumentError,
            r"phases\[0\]: eta_min=0.2 is above eta_max=0.1",
        ),
        ({"phases": [(30, 0.1)]}, ShapeError, r"phases\[0\]=\(30, 0.1\): expected 3 values"),
        ({"phases": [(30, math.nan, 0.0)]}, NotFinite, r"phases\[0\]\[1\]=nan"),
        (
            {"phases": [(30, 0.1, 0.0)], "min_lr": 0.01},
            ArgumentError,
            "min_lr=0.01: each of the phases",
        ),
    ],
)
def test_bad_settings_are_named(settings, error, words):
    with pytest.raises(error, match=words):
        UBA(optimizer(), **{"total_steps": 30, **settings})


def test_phases_need_a_first_group_to_scale_by():
    with pytest.raises(ArgumentError, match="lr of group 0=0"):
        UBA(optimizer(0.0, 0.1), 10, phases=[(10, 0.1, 0.0)])


@pytest.mark.parametrize(
    "call",
    [
        partial(uba_profile, [-1], 5, 1.0),
        partial(uba_profile, [5], 5, 1.0),
        partial(uba_profile, [0], 0, 1.0),
        partial(worst_contraction, [0.1], 0.0, 1.0),
        partial(worst_contraction, [math.nan], 1.0, 2.0),
    ],
)
def test_bad_arrays_are_refused(call):
    with pytest.raises(ArgumentError):
        call()


# -- the choice of phi -----------------------------------------------------------------------------


def quadratic(eigenvalues, seed=100):
    d = len(eigenvalues)
    q, _ = torch.linalg.qr(
        torch.randn(d, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    )
    hessian = q @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ q.T
    x = [
        nn.Parameter(torch.ones(d - 2, dtype=torch.float64)),
        nn.Parameter(torch.ones(2, dtype=torch.float64)),
    ]

    def loss(scale):
        flat = torch.cat(x)
        return 0.5 * scale * flat @ hessian @ flat

    return loss, x


def test_ritz_values_of_a_full_run_are_the_eigenvalues():
    loss, x = quadratic([1.0, 2.0, 3.5, 7.0, 8.0])
    assert np.allclose(
        ritz_values(loss, x, [1.0, 3.0], 5), 2.0 * np.array([1.0, 2.0, 3.5, 7.0, 8.0]), rtol=1e-9
    )


def test_curvature_gives_twice_the_condition_number():
    loss, x = quadratic([1.0, 2.0, 3.0, 4.0, 5.0])
    found = choose_phi(loss, x, [1.0], method="curvature")
    assert float(found) == pytest.approx(10.0, rel=1e-6)
    assert (found.route, found.found["kappa"]) == ("curvature", pytest.approx(5.0, rel=1e-6))
    assert x[0].grad is None


def test_flat_and_negative_directions_do_not_count_and_phi_is_clipped():
    loss, x = quadratic([-3.0, 0.0, 1e-5, 2.0, 6.0])
    assert float(choose_phi(loss, x, [1.0], method="curvature")) == pytest.approx(6.0, rel=1e-6)
    loss, x = quadratic([1.0, 2.0, 500.0])
    assert float(choose_phi(loss, x, [1.0], method="curvature")) == 20.0


def test_curvature_of_a_network_is_that_of_its_full_hessian():
    torch.manual_seed(100)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    batch = torch.randn(20, 3, dtype=torch.float64), torch.randint(2, (20,))
    names = dict(net.named_parameters())

    def flat_loss(flat):
        parts = torch.split(flat, [p.numel() for p in names.values()])
        values = {n: v.view_as(p) for (n, p), v in zip(names.items(), parts, strict=True)}
        return nn.functional.cross_entropy(
            torch.func.functional_call(net, values, (batch[0],)), batch[1]
        )

    exact = torch.linalg.eigvalsh(
        torch.autograd.functional.hessian(
            flat_loss, torch.cat([p.detach().reshape(-1) for p in names.values()])
        )
    )
    found = choose_phi(
        lambda b: nn.functional.cross_entropy(net(b[0]), b[1]),
        net.parameters(),
        [batch],
        method="curvature",
    )
    assert found.found["largest"] == pytest.approx(float(exact.max()), rel=1e-8)
    assert 0.25 <= float(found) <= 20


def test_a_sweep_takes_the_smallest_loss_and_keeps_all():
    found = choose_phi(method="sweep", train=lambda phi: math.nan if phi == 1 else (phi - 1.8) ** 2)
    assert (found.value, found.route) == (2.0, "sweep")
    assert set(found.found) == {"0.25", "0.5", "1", "2", "5", "10"}


def test_presets_say_what_they_are():
    assert (float(choose_phi(optimizer="sgd")), choose_phi(optimizer="adamw").route) == (
        5.0,
        "preset",
    )
    assert np.array_equal(
        UBA(optimizer(), 9, choose_phi(optimizer="adamw")).profile(),
        UBA(optimizer(), 9, 0.5).profile(),
    )


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"method": "guess"}, ArgumentError, "method='guess'"),
        ({"optimizer": "adamww"}, ArgumentError, "did you mean 'adamw'"),
        ({"method": "sweep"}, ArgumentTypeError, "train: expected a function"),
        (
            {"method": "sweep", "train": lambda phi: math.nan},
            NotFinite,
            "train gave no number for any phi",
        ),
        ({"method": "curvature"}, ArgumentTypeError, "loss_fn and params"),
        (
            {"method": "curvature", "loss_fn": lambda b: torch.zeros(()), "params": []},
            ArgumentError,
            "0 parameters",
        ),
    ],
)
def test_bad_choices_are_named(settings, error, words):
    with pytest.raises(error, match=words):
        choose_phi(**settings)


def test_a_linear_or_broken_loss_has_no_curvature_to_go_by():
    x = [nn.Parameter(torch.ones(3))]
    with pytest.raises(ArgumentError, match="largest curvature found is 0"):
        choose_phi(lambda b: x[0].sum(), x, [0], method="curvature")
    with pytest.raises(NotFinite, match="a NaN or an infinity"):
        choose_phi(lambda b: (x[0] * math.nan).sum(), x, [0], method="curvature")
