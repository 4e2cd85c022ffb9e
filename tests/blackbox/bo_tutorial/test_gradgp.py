"""The GP with gradients against finite differences of its own kernel, and d-KG against
simulation."""

import math

import numpy as np
import pytest
import torch

from feasible.blackbox.bo_tutorial.gradgp import GradBeliefs, GradGP, d_kg, normal_points
from feasible.core.errors import ShapeError


def data(n=6, seed=0):
    x = torch.rand(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    f = torch.sin(3 * x[:, 0]) * torch.cos(2 * x[:, 1])
    g = torch.stack(
        [
            3 * torch.cos(3 * x[:, 0]) * torch.cos(2 * x[:, 1]),
            -2 * torch.sin(3 * x[:, 0]) * torch.sin(2 * x[:, 1]),
        ],
        1,
    )
    return x, torch.cat([f[:, None], g], 1)


def made(n=6, noise=1e-6):
    model = GradGP(*data(n), noise=noise)
    model.covar_module.base_kernel.lengthscale = torch.tensor([[0.5, 0.8]], dtype=torch.float64)
    return model.eval()


def test_the_joint_kernel_is_the_derivative_of_the_kernel():
    model = made()
    x, y = data(1, 1)[0], data(1, 2)[0]
    length, out, h = (
        model.covar_module.base_kernel.lengthscale,
        model.covar_module.outputscale,
        1e-4,
    )

    def k(a, b):
        return float((out * torch.exp(-0.5 * (((a - b) / length) ** 2).sum())).detach())

    joint = model.covar_module(x, y).to_dense().detach()
    e = torch.eye(2, dtype=torch.float64) * h
    assert float(joint[0, 0]) == pytest.approx(k(x, y), abs=1e-12)
    for i in range(2):
        assert float(joint[0, 1 + i]) == pytest.approx(
            (k(x, y + e[i]) - k(x, y - e[i])) / (2 * h), abs=1e-6
        )
        for j in range(2):
            mixed = (
                k(x + e[i], y + e[j])
                - k(x + e[i], y - e[j])
                - k(x - e[i], y + e[j])
                + k(x - e[i], y - e[j])
            ) / (4 * h * h)
            assert float(joint[1 + i, 1 + j]) == pytest.approx(mixed, abs=1e-6)


def test_values_and_gradients_are_interpolated():
    model = made()
    x, y = data()
    beliefs = GradBeliefs(model)
    point = x.clone().requires_grad_(True)
    mean = beliefs.mean(point)
    slope = torch.autograd.grad(mean.sum(), point)[0]
    np.testing.assert_allclose(mean.detach(), y[:, 0], atol=1e-3)
    np.testing.assert_allclose(slope, y[:, 1:], atol=1e-2)
    assert float(beliefs.var(x).max()) < 1e-4


def test_the_closed_form_is_the_botorch_posterior():
    model = made(noise=0.01)
    beliefs = GradBeliefs(model)
    q, p = data(5, 7)[0], data(3, 8)[0]
    with torch.no_grad():
        posterior = model.posterior(q.unsqueeze(1))
        np.testing.assert_allclose(beliefs.mean(q), posterior.mean[:, 0, 0], atol=1e-9)
        np.testing.assert_allclose(beliefs.var(q), posterior.variance[:, 0, 0], atol=1e-9)
        joint = model.posterior(
            torch.cat([q.unsqueeze(1), p.expand(5, 3, 2)], 1)
        ).distribution.covariance_matrix
        cross, own = beliefs.joint(q, p)
        np.testing.assert_allclose(own, joint[:, :3, :3] + 0.01 * torch.eye(3), atol=1e-9)
        np.testing.assert_allclose(cross, joint[:, 3::3, :3], atol=1e-9)


def test_a_fit_raises_the_likelihood_and_leaves_the_global_stream_alone():
    torch.manual_seed(3)
    before = torch.rand(1)
    torch.manual_seed(3)
    model = GradGP(*data(8))
    assert model.fit(1) is None
    assert torch.equal(torch.rand(1), before)
    x, y = data(6, 4)
    error = (GradBeliefs(model).mean(x) - y[:, 0]).detach()
    assert float(error.square().mean().sqrt()) < 0.05


def test_d_kg_is_the_simulated_rise_of_the_best_mean():
    model = made(3, noise=0.01)
    p, x = data(20, 5)[0], data(1, 6)[0]
    beliefs = GradBeliefs(model)
    draws = torch.randn(200_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        everything = torch.cat([p, x])
        cross, own = beliefs.joint(x, everything)
        y = draws @ torch.linalg.cholesky(own[0]).T  # an observed value and gradient, less its mean
        after = beliefs.mean(everything) + torch.linalg.solve(own[0], y.T).T @ cross[0].T
        exact = float(after.max(1).values.mean() - beliefs.mean(p).max())
        found = float(torch.exp(d_kg(model, p, samples=4096)(x.unsqueeze(1))))
    assert found == pytest.approx(exact, rel=0.02)


def test_a_gradient_is_worth_something():
    model = made(3, noise=0.01)
    p, x = data(20, 5)[0], data(4, 6)[0]
    z = normal_points(2048, 3, 0)
    blind = GradGP(model.train_inputs[0], model.train_targets, 0.01)
    blind.load_state_dict(model.state_dict())
    blind.likelihood.task_noises = torch.tensor(
        [0.01, 1e9, 1e9], dtype=torch.float64
    )  # gradients will not be seen
    own = GradBeliefs(model)
    with torch.no_grad():
        from feasible.blackbox.bo_tutorial.gradgp import DKG

        full = torch.exp(DKG(model, p, z)(x.unsqueeze(1)))
        value_only = DKG(model, p, z)
        value_only.beliefs = own
        own.noise = torch.tensor([0.01, 1e9, 1e9], dtype=torch.float64)
        assert (full >= torch.exp(value_only(x.unsqueeze(1))) - 1e-9).all()


def test_normal_points_are_centred_and_of_unit_variance():
    z = normal_points(512, 3, 1)
    assert z.shape == (512, 3)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(0), 1, atol=0.05)


def test_a_wrong_shape_is_named():
    with pytest.raises(ShapeError, match="the value and the gradient"):
        GradGP(torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, 2, dtype=torch.float64))


def test_the_score_has_gradients():
    score = d_kg(made(3, noise=0.01), data(10, 5)[0], samples=32)
    x = data(3, 6)[0].requires_grad_(True)
    g = torch.autograd.grad(score(x.unsqueeze(1)).sum(), x)[0]
    assert torch.isfinite(g).all()
    assert not math.isclose(float(g.abs().max()), 0.0)
