"""The models of CCBO against other libraries' and their own identities."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.stats import norm

from feasible.blackbox.ccbo.models import Mixed, elbo, exact_loss, fit_classifier, fit_exact
from feasible.blackbox.instances.electrospray import electrospray

KERNEL = Mixed((0, 1, 2), (3,))


def spray_data(n=12, seed=0):
    """(n, 4) unit points, standardised log diameters, labels."""
    problem = electrospray()
    x = problem.space.from_unit(np.random.default_rng(seed).random((n, 4)))
    seen = problem.evaluate(x)
    h = np.log(seen.values[:, 0])
    return (
        torch.from_numpy(problem.space.unit(x)),
        torch.from_numpy((h - h.mean()) / h.std()),
        seen.values[:, 1] > 0,
    )


def test_the_kernel_is_botorchs_mixed_kernel():
    from botorch.models import MixedSingleTaskGP
    from gpytorch.kernels import MaternKernel

    x, y, _ = spray_data()
    model = MixedSingleTaskGP(
        x,
        y[:, None],
        cat_dims=[3],
        outcome_transform=None,
        cont_kernel_factory=lambda batch_shape, ard_num_dims, active_dims: MaternKernel(
            2.5, ard_num_dims=ard_num_dims, active_dims=active_dims
        ),
    )
    theta = torch.from_numpy(np.random.default_rng(1).normal(size=KERNEL.size))
    l1, l2, c1, c2, s1, s2, s3 = KERNEL.split(theta)
    (a, b), (c, d) = (k.base_kernel.kernels for k in model.covar_module.kernels)
    a.lengthscale, c.lengthscale, b.base_kernel.lengthscale, d.lengthscale = l1, l2, c1, c2
    b.outputscale = s2
    model.covar_module.kernels[0].outputscale, model.covar_module.kernels[1].outputscale = s1, s3
    with torch.no_grad():
        expected = model.covar_module(x, x).to_dense()
    np.testing.assert_allclose(KERNEL.matrix(theta, x, x), expected, rtol=1e-8)
    np.testing.assert_allclose(
        KERNEL.matrix(theta, x, x).diagonal(), KERNEL.variance(theta), rtol=1e-8
    )


def test_the_exact_process_has_the_gaussian_likelihood_and_posterior():
    x, y, _ = spray_data()
    p = torch.from_numpy(np.append(KERNEL.centre(), [math.log(0.01), 0.2]))
    k = KERNEL.matrix(p[:-2], x, x) + 0.01 * torch.eye(len(x))
    expected = torch.distributions.MultivariateNormal(torch.full_like(y, 0.2), k.double()).log_prob(
        y
    )
    assert float(exact_loss(KERNEL, p, x, y)) == pytest.approx(-float(expected), rel=1e-3)
    model = fit_exact(KERNEL, x, y, np.empty(0))
    mean, variance = model.marginal(x)
    np.testing.assert_allclose(mean, y, atol=0.05)
    assert (variance < 0.05).all()


def test_the_classifiers_bound_is_gpytorchs():
    import gpytorch

    x, _, feasible = spray_data(8)
    n, k = len(x), KERNEL.size
    rng = np.random.default_rng(2)
    p = torch.from_numpy(
        np.concatenate(
            [
                KERNEL.centre() + rng.normal(size=k) * 0.2,
                [0.3],
                rng.normal(size=n),
                -0.3 * rng.random(n),
                0.2 * rng.normal(size=n * (n - 1) // 2),
            ]
        )
    )

    class Kernel(gpytorch.kernels.Kernel):
        def forward(self, a, b, diag=False, **_):
            found = KERNEL.matrix(p[:k], a, b)
            return found.diagonal() if diag else found

    class Model(gpytorch.models.ApproximateGP):
        def __init__(self):
            q = gpytorch.variational.CholeskyVariationalDistribution(n)
            super().__init__(
                gpytorch.variational.VariationalStrategy(
                    self, x, q, learn_inducing_locations=False, jitter_val=1e-7
                )
            )
            self.mean_module, self.covar_module = gpytorch.means.ConstantMean(), Kernel()

        def forward(self, z):
            return gpytorch.distributions.MultivariateNormal(
                self.mean_module(z), self.covar_module(z)
            )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, likelihood = Model().double(), gpytorch.likelihoods.BernoulliLikelihood()
        model.mean_module.constant.data.fill_(0.3)
        model.variational_strategy.variational_params_initialized.fill_(1)
        q = model.variational_strategy._variational_distribution
        q.variational_mean.data[:] = p[k + 1 : k + 1 + n]
        t = torch.zeros((n, n), dtype=torch.float64)
        at = torch.tril_indices(n, n, -1)
        t[at[0], at[1]] = p[k + 1 + 2 * n :]
        q.chol_variational_covar.data[:] = t + torch.diag(p[k + 1 + n : k + 1 + 2 * n].exp())
        model.train()
        bound = gpytorch.mlls.VariationalELBO(likelihood, model, num_data=n)(
            model(x), torch.from_numpy(feasible.astype(float))
        )
    mine = elbo(KERNEL, p, x, torch.from_numpy(np.where(feasible, 1.0, -1.0)))
    assert float(mine) == pytest.approx(float(bound) * n, rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(-3, 3), st.floats(-2, 1))
def test_the_bound_never_passes_the_evidence_of_one_label(mean, log_scale, m, log_t):
    kernel = Mixed((0,), ())
    p = torch.tensor([0.0, log_scale, mean, m, log_t], dtype=torch.float64)
    evidence = norm.logcdf(mean / math.sqrt(1 + math.exp(log_scale) * (1 + 1e-6)))
    assert (
        float(elbo(kernel, p, torch.zeros((1, 1), dtype=torch.float64), torch.ones(1)))
        <= evidence + 1e-6
    )


def test_the_classifier_learns_the_boundary_and_warm_starts_reach_the_same():
    x, _, feasible = spray_data(30)
    model = fit_classifier(KERNEL, x, feasible, np.empty(0))
    mean, variance = model.marginal(x)
    assert ((mean > 0).numpy() == feasible).mean() > 0.9
    assert (variance > 0).all()
    first = fit_classifier(KERNEL, x[:20], feasible[:20], np.empty(0))
    again = fit_classifier(KERNEL, x, feasible, first.params)
    np.testing.assert_allclose(again.marginal(x)[0], mean, atol=0.3)
    assert fit_classifier(KERNEL, x, np.ones(30, dtype=bool), np.empty(0)) is None


def test_far_from_data_the_classifier_says_what_its_mean_says():
    kernel = Mixed((0,), ())
    x = torch.tensor([[0.0], [0.1], [0.2]], dtype=torch.float64)
    model = fit_classifier(kernel, x, np.array([True, False, True]), np.empty(0))
    mean, variance = model.marginal(torch.tensor([[1e6]], dtype=torch.float64))
    assert float(mean) == pytest.approx(float(model.mean0))
    assert float(variance) == pytest.approx(float(kernel.variance(model.theta)))
