"""Acquisitions against closed forms, quadrature and their own identities."""

import math

import gpytorch
import numpy as np
import pytest
import torch
from botorch.acquisition import ExpectedImprovement
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from gpytorch.kernels import MaternKernel, ScaleKernel
from hypothesis import given, settings, strategies as st
from scipy import stats

from feasible.blackbox.bo_tutorial.acq import (
    Beliefs,
    LineGain,
    PredictiveEntropy,
    discrete_kg,
    entropy_search,
    kg_gradient,
    kg_sga,
    log_f,
    log_gain,
    noisy_ei,
)
from feasible.core.errors import ArgumentError, NotFinite, ShapeError

BOX = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)


def points(n, d=2, seed=0):
    return torch.rand(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def model(noise=0.1, n=12, seed=0):
    x = points(n, seed=seed)
    y = torch.sin(5 * x).sum(1, keepdim=True)
    made = SingleTaskGP(
        x,
        y,
        torch.full_like(y, noise),
        covar_module=ScaleKernel(MaternKernel(2.5, ard_num_dims=2)),
        outcome_transform=None,
    )
    made.covar_module.base_kernel.lengthscale = torch.tensor([[0.4, 0.6]], dtype=torch.float64)
    return made.to(torch.float64).eval()


def by_quadrature(a, b):
    z = np.linspace(-12, 12, 200_001)
    return np.trapezoid(
        (np.asarray(a)[:, None] + np.asarray(b)[:, None] * z).max(axis=0) * stats.norm.pdf(z), z
    ) - np.max(a)


def test_two_crossing_lines_gain_phi_of_0():
    assert discrete_kg([0, 0], [0, 1]) == pytest.approx(1 / math.sqrt(2 * math.pi), abs=1e-15)
    assert discrete_kg([3, 3, 1], [2, 2, 2]) == 0.0
    assert discrete_kg([0, -100], [0, 1]) == pytest.approx(0, abs=1e-300)
    assert discrete_kg([5], [7]) == 0.0


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 20), st.integers(0, 10_000))
def test_the_gain_of_lines_is_the_integral(n, seed):
    a, b = (
        np.random.default_rng(seed).standard_normal((2, n)).round(1)
    )  # rounded, so that slopes and levels tie
    assert discrete_kg(a, b) == pytest.approx(by_quadrature(a, b), abs=1e-7)


@pytest.mark.parametrize("n", [193, 400])
def test_many_lines_take_the_scan_and_agree_with_the_pairs(n, monkeypatch):
    from feasible.blackbox.bo_tutorial import lines

    a, b = np.random.default_rng(n).standard_normal((2, n))
    scan = discrete_kg(a, b)
    monkeypatch.setattr(lines, "SCAN_ABOVE", 10_000)
    assert scan == pytest.approx(discrete_kg(a, b), rel=1e-12)


@given(st.integers(2, 12), st.floats(0.01, 100), st.floats(-50, 50), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_gain_scales_with_the_lines_and_ignores_a_common_level_and_slope(n, scale, shift, seed):
    a, b = np.random.default_rng(seed).standard_normal((2, n))
    base = discrete_kg(a, b)
    assert base >= 0
    assert discrete_kg(scale * a, scale * b) == pytest.approx(scale * base, rel=1e-8, abs=1e-12)
    assert discrete_kg(a + shift, b + 3.0) == pytest.approx(base, rel=1e-6, abs=1e-10)
    more = np.append(a, a.min()), np.append(b, 5.0)
    assert discrete_kg(*more) >= base - 1e-12


def test_gradients_of_the_log_gain_are_right():
    gen = torch.Generator().manual_seed(1)
    a, b = (
        torch.randn(3, 7, dtype=torch.float64, generator=gen, requires_grad=True) for _ in range(2)
    )
    assert torch.autograd.gradcheck(log_gain, (a, b))


def test_log_f_does_not_underflow_and_is_smooth_across_its_branches():
    import mpmath

    mpmath.mp.dps = 80
    z = torch.tensor(
        [-5e3, -1001.0, -999.0, -40.0, -5.0, -1.0001, -0.9999, 0.0, 3.0], dtype=torch.float64
    )
    exact = [float(mpmath.log(mpmath.npdf(v) + mpmath.mpf(v) * mpmath.ncdf(v))) for v in z.tolist()]
    np.testing.assert_allclose(log_f(z).numpy(), exact, rtol=1e-9)
    assert torch.autograd.gradcheck(log_f, (z.clone()[3:].requires_grad_(True),))


def test_ei_has_its_textbook_values():
    for mean, sd, best, value in ((0.0, 1.0, 0.0, 0.3989423), (1.0, 2.0, 2.0, 0.3955932)):
        u = torch.tensor([(mean - best) / sd], dtype=torch.float64)
        assert float(torch.exp(log_f(u)) * sd) == pytest.approx(value, abs=2e-7)


def test_without_noise_noisy_ei_is_ei():
    with gpytorch.settings.min_fixed_noise(double_value=1e-13):
        made = model(1e-13)
        x = points(20, seed=5)
        own = noisy_ei(made, x)
        theirs = ExpectedImprovement(made, made.train_targets.max())(x.unsqueeze(1))
        np.testing.assert_allclose(own.detach(), theirs.detach(), atol=1e-8)


def test_noisy_ei_is_the_simulated_rise_of_the_best_evaluated_mean():
    made = model(0.2)
    x = points(1, seed=8)
    beliefs = Beliefs(made)
    p = torch.cat([made.train_inputs[0], x])
    z = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    with torch.no_grad():
        line = beliefs.mean(p) + z[:, None] * beliefs.against(p)(x)[0] / beliefs.spread(x)
        exact = (
            torch.trapezoid(line.max(1).values * torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi), z)
            - beliefs.mean(p[:-1]).max()
        )
    assert float(noisy_ei(made, x)) == pytest.approx(float(exact), abs=1e-7)


def test_more_points_raise_the_expected_best_and_huge_noise_leaves_nothing():
    made = model(0.3)
    x, grid = points(30, seed=3), points(40, seed=4)
    beliefs = Beliefs(made)
    small, large = made.train_inputs[0], torch.cat([made.train_inputs[0], grid])
    with torch.no_grad():
        few, many = (
            torch.exp(LineGain(beliefs, p)(x.unsqueeze(1))) + beliefs.mean(p).max()
            for p in (small, large)
        )
    assert (many >= few - 1e-12).all()
    blind = Beliefs(made, noise=1e12)
    for p in (small, large):
        with torch.no_grad():
            assert torch.exp(LineGain(blind, p, own=False)(x.unsqueeze(1))).max() < 1e-5


def test_the_posterior_moves_along_sigma_tilde():
    made = model(0.2)
    x, p = points(1, seed=2), points(9, seed=3)
    beliefs = Beliefs(made)
    z = 1.3
    with torch.no_grad():
        y = beliefs.mean(x) + beliefs.spread(x) * z
        after = SingleTaskGP(
            torch.cat([made.train_inputs[0], x]),
            torch.cat([made.train_targets, y]).unsqueeze(1),
            torch.full((13, 1), 0.2, dtype=torch.float64),
            covar_module=made.covar_module,
            mean_module=made.mean_module,
            outcome_transform=None,
        ).eval()
        moved = beliefs.mean(p) + beliefs.against(p)(x)[0] / beliefs.spread(x) * z
        np.testing.assert_allclose(after.posterior(p).mean.squeeze(1), moved, atol=1e-8)


@pytest.mark.parametrize("noise", [0.01, 0.5])
def test_beliefs_in_closed_form_are_the_models_own(noise):
    made = model(noise)
    closed, joint = Beliefs(made), Beliefs(made)
    assert closed.closed
    joint.closed = False
    x, p = points(6, seed=1), points(9, seed=2)
    with torch.no_grad():
        for f in (
            lambda b: b.mean(x),
            lambda b: b.var(x),
            lambda b: b.against(p)(x),
            lambda b: b.cov(x.unsqueeze(1), p.expand(6, 9, 2)),
        ):
            np.testing.assert_allclose(f(closed), f(joint), atol=1e-9)


def test_a_model_with_transforms_is_asked_for_joint_posteriors():
    x = 10 * points(8)
    made = SingleTaskGP(
        x,
        5 + torch.sin(x).sum(1, keepdim=True),
        input_transform=Normalize(2),
        outcome_transform=Standardize(1),
    ).eval()
    beliefs = Beliefs(made)
    assert not beliefs.closed
    assert float(noisy_ei(made, 10 * points(3, seed=1), x).min()) >= 0


def test_the_envelope_gradient_is_the_derivative_of_the_sampled_best():
    beliefs = Beliefs(model(0.2))
    x, z = points(1, seed=6), torch.tensor([0.8], dtype=torch.float64)
    axis = torch.linspace(0, 1, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)

    def best(at):
        line = beliefs.mean(grid) + beliefs.against(grid)(at)[0] / beliefs.spread(at) * z
        return line.max(0)

    with torch.no_grad():
        hat = grid[best(x).indices][None]
        h = 1e-4
        numeric = [
            (float(best(x + h * e).values - best(x - h * e).values)) / (2 * h)
            for e in torch.eye(2, dtype=torch.float64)
        ]
    np.testing.assert_allclose(kg_gradient(beliefs, x, z, hat)[0], numeric, rtol=0.02, atol=1e-4)


def test_ascent_ends_where_the_exact_kg_is_larger_than_at_its_starts():
    beliefs = Beliefs(model(0.2))
    starts = points(4, seed=9)
    cover = points(60, seed=10)
    ends, value = kg_sga(
        beliefs, BOX, cover, starts=starts, steps=25, generator=torch.Generator().manual_seed(0)
    )
    assert (value[:-1] >= value[1:]).all()
    assert ((ends >= 0) & (ends <= 1)).all()
    again, _ = kg_sga(
        beliefs, BOX, cover, starts=starts, steps=25, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(ends, again)
    with torch.no_grad():
        kg = LineGain(beliefs, cover)
        assert kg(ends.unsqueeze(1)).max() >= kg(starts.unsqueeze(1)).max() - 0.05


def test_ascent_stays_in_the_allowed_set():
    beliefs = Beliefs(model(0.2))
    starts = points(20, seed=9)
    starts = starts[starts.sum(1) < 0.9]
    ends, _ = kg_sga(
        beliefs, BOX, points(30), starts=starts, steps=10, allowed=lambda x: x.sum(1) < 0.9
    )
    assert (ends.sum(1) < 0.9).all()


def test_entropy_search_prefers_what_tells_of_the_maximiser():
    made = model(0.01)
    p = torch.cat([made.train_inputs[0][:1], points(15, seed=3)])
    es = entropy_search(made, p, samples=2000, nodes=7)
    assert es[0] < es.max() / 5 + 0.05  # an evaluated point tells little
    assert es.min() > -0.05
    blind = Beliefs(made, noise=1e8)
    assert entropy_search(blind, p, samples=500).abs().max() < 0.05


def test_predictive_entropy_is_the_information_of_a_truncated_normal():
    from scipy import integrate

    made = model(0.05)
    b = Beliefs(made)
    pes = PredictiveEntropy(b, points(12, seed=3), samples=1)
    x = points(1, seed=11)
    with torch.no_grad():
        m, v = float(b.mean(x)), float(b.var(x))
        top, low = pes.top, float(b.mean(points(12, seed=3)).max())
        ms, vs, c = float(b.mean(top)), float(b.var(top)), float(b.cov(x, top))
        found = float(torch.exp(pes(x.unsqueeze(1))))
    # by hand: f(x*) > low, moments by quadrature, then f(x*) > f(x), moments by quadrature
    mass = integrate.quad(lambda t: stats.norm.pdf(t, ms, vs**0.5), low, ms + 12)[0]
    m1 = integrate.quad(lambda t: t * stats.norm.pdf(t, ms, vs**0.5), low, ms + 12)[0] / mass
    v1 = (
        integrate.quad(lambda t: (t - m1) ** 2 * stats.norm.pdf(t, ms, vs**0.5), low, ms + 12)[0]
        / mass
    )
    mx, vx, cx = m + c / vs * (m1 - ms), v - c**2 / vs + (c / vs) ** 2 * v1, c / vs * v1
    gap, lead = v1 + vx - 2 * cx, m1 - mx
    keep = stats.truncnorm.var(-lead / gap**0.5, np.inf)
    after = vx - (cx - vx) ** 2 / gap * (1 - keep)
    assert found == pytest.approx(0.5 * math.log((v + 0.05) / (after + 0.05)), rel=1e-5)


def test_one_environment_is_plain_kg_and_a_mean_is_linear():
    made = model(0.2)
    decisions = points(10, seed=1)
    held = decisions.clone()
    held[:, 1] = 0.3
    one = LineGain(
        made, decisions, columns=[1], contexts=torch.tensor([[0.3]], dtype=torch.float64)
    )
    x = points(5, seed=2)
    x[:, 1] = 0.3
    with torch.no_grad():
        np.testing.assert_allclose(
            one(x.unsqueeze(1)), LineGain(made, held)(x.unsqueeze(1)), atol=1e-9
        )
        two = LineGain(
            made,
            decisions,
            columns=[1],
            contexts=torch.tensor([[0.1], [0.7]], dtype=torch.float64),
            weights=torch.tensor([0.25, 0.75], dtype=torch.float64),
        )
        low, high = held.clone(), held.clone()
        low[:, 1], high[:, 1] = 0.1, 0.7
        b = Beliefs(made)
        np.testing.assert_allclose(two.a, 0.25 * b.mean(low) + 0.75 * b.mean(high), atol=1e-10)
        paid = LineGain(
            made,
            decisions,
            columns=[1],
            contexts=torch.tensor([[0.3]], dtype=torch.float64),
            cost=lambda z: torch.full((len(z),), 2.0),
        )
        np.testing.assert_allclose(
            paid(x.unsqueeze(1)), one(x.unsqueeze(1)) - math.log(2), atol=1e-9
        )


def test_bad_arguments_are_named():
    with pytest.raises(ShapeError, match="discrete_kg: a has shape"):
        discrete_kg([1, 2], [1])
    with pytest.raises(NotFinite):
        discrete_kg([1, math.nan], [1, 2])
    with pytest.raises(ShapeError, match="expected \\(b, 2\\)"):
        noisy_ei(model(), points(3, d=3))
    with pytest.raises(ArgumentError, match="columns and contexts"):
        LineGain(model(), points(3), columns=[0])
    with pytest.raises(ShapeError, match="weights"):
        LineGain(model(), points(3), weights=torch.ones(2, dtype=torch.float64))
