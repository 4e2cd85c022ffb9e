"""The models of Bayesian optimisation against closed forms and other libraries."""

import math
import warnings

import numpy as np
import pytest
import torch

from feasible.blackbox.bo_tutorial.acquisition import LogEI
from feasible.blackbox.bo_tutorial.belief import BeliefData
from feasible.blackbox.bo_tutorial.bo import BO
from feasible.blackbox.bo_tutorial.gp import Predictor, Scale, build, first_output, fit, parameters
from feasible.blackbox.bo_tutorial.learning import learn
from feasible.blackbox.bo_tutorial.search import Domain
from feasible.blackbox.bo_tutorial.slices import log_posterior, slice_sample
from feasible.blackbox.space import Space


def table(n=14, k=3, m=2, seed=0):
    x = np.random.default_rng(seed).random((n, k))
    return x, Scale.of(np.stack([np.sin((j + 2) * x).sum(1) for j in range(m)], 1)).apply(
        np.stack([np.sin((j + 2) * x).sum(1) for j in range(m)], 1)
    )


@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("noise", [1e-3, None])
@pytest.mark.parametrize("kernel", ["matern52", "matern32", "rbf"])
def test_the_predictor_is_botorchs_posterior(m, noise, kernel):
    x, y = table(m=m)
    model = build(x, y, noise=noise, kernel=kernel).eval()
    q = torch.rand(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mean, sd = Predictor(model)(q)
        posterior = model.posterior(q.unsqueeze(1))
        np.testing.assert_allclose(mean, posterior.mean.squeeze(1), atol=1e-8)
        np.testing.assert_allclose(sd**2, posterior.variance.squeeze(1), atol=1e-8)
        one = first_output(model)
        np.testing.assert_allclose(
            one.posterior(q.unsqueeze(1)).mean.reshape(-1), mean[:, 0], atol=1e-8
        )


def test_a_warm_start_is_a_fixed_point_and_a_fit_is_reproducible():
    x, y = table()
    first, second = build(x, y, noise=1e-6), build(x, y, noise=1e-6)
    assert fit(first) is None
    assert fit(second) is None
    for name, value in parameters(first).items():
        np.testing.assert_array_equal(value, parameters(second)[name])
    fit(second, parameters(first))
    with torch.no_grad():
        q = torch.rand(9, 3, dtype=torch.float64)
        np.testing.assert_allclose(Predictor(first)(q)[0], Predictor(second)(q)[0], atol=0.02)


@pytest.mark.parametrize("kind", ["standardize", "bilog"])
def test_outputs_are_scaled_and_back(kind):
    y = np.random.default_rng(0).standard_normal((20, 3)) * np.array(
        [1e-200, 1.0, 1e200]
    ) + np.array([0, 5, 0])
    scale = Scale.of(y, kind)
    np.testing.assert_allclose(scale.undo(scale.apply(y)), y, rtol=1e-9)
    np.testing.assert_allclose(scale.apply(y).std(axis=0, ddof=1), 1, rtol=1e-9)


def test_slice_sampling_draws_from_its_density():
    draws = slice_sample(
        lambda t: -0.5 * float(((t - [1.0, -2.0]) / [0.5, 2.0]) @ ((t - [1.0, -2.0]) / [0.5, 2.0])),
        np.zeros(2),
        1500,
        np.random.default_rng(0),
    )
    np.testing.assert_allclose(draws.mean(0), [1, -2], atol=0.17)
    np.testing.assert_allclose(draws.std(0), [0.5, 2.0], rtol=0.1)


def test_the_log_posterior_differs_as_the_marginal_likelihood_and_priors_do():
    from scipy import stats

    x, y = table(8, 2, 1)

    def exact(theta):
        length, out, noise = np.exp(theta[:2]), math.exp(theta[2]), math.exp(theta[3])
        r = np.sqrt((((x[:, None] - x) / length) ** 2).sum(2))
        c = out * (1 + math.sqrt(5) * r + 5 / 3 * r**2) * np.exp(-math.sqrt(5) * r) + (
            noise + 1e-6 + 1e-10 * out
        ) * np.eye(8)
        prior = stats.norm.logpdf(
            theta[:2], math.sqrt(2) + 0.5 * math.log(2), math.sqrt(3)
        ).sum() + stats.norm.logpdf(theta[3], -4, 1)
        return (
            stats.multivariate_normal.logpdf(y[:, 0], np.zeros(8), c)
            + prior
            + stats.gamma.logpdf(out, 2.0, scale=1 / 0.15)
            + theta[2]
        )

    a, b = np.array([0.1, -0.3, 0.2, -3.0]), np.array([-0.5, 0.4, -0.6, -5.0])
    assert log_posterior(a, x, y[:, 0], None) - log_posterior(b, x, y[:, 0], None) == pytest.approx(
        exact(a) - exact(b), rel=1e-8
    )


def test_the_constrained_score_is_botorchs_constrained_log_ei():
    from botorch.acquisition.analytic import LogConstrainedExpectedImprovement

    x = np.random.default_rng(3).random((10, 2))
    f, g = ((x - 0.3) ** 2).sum(1), (0.5 - x.sum(1))[:, None]
    domain, how = Domain(Space.of([(0, 1)] * 2)), BO(acq="cei")
    belief = learn(
        how,
        domain,
        BeliefData(x, f, g, np.full_like(x, np.nan)),
        {},
        np.empty((0, 2)),
        np.random.default_rng(0),
    )
    z = torch.rand(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    edge = float(belief.limits.apply(np.array([[1e-6]]))[0, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = LogConstrainedExpectedImprovement(
            belief.parts[0].models[0], belief.best("observed"), 0, {1: (None, edge)}
        )(z.unsqueeze(1))
    with torch.no_grad():
        np.testing.assert_allclose(LogEI().score(belief)(z), theirs.detach(), atol=1e-5)


def test_the_first_output_of_a_model_of_tasks_predicts_as_it_does_among_all():
    rng = np.random.default_rng(3)
    x = np.column_stack([rng.random(9), rng.integers(0, 2, 9)])
    model = build(x, rng.normal(size=(9, 2)), task=1, tasks=2).eval()
    at = torch.tensor([[0.3, 0.0], [0.3, 1.0], [0.9, 1.0]], dtype=torch.float64)
    for mine, all_outputs in zip(
        Predictor(first_output(model))(at), Predictor(model)(at), strict=True
    ):
        np.testing.assert_allclose(mine[:, 0].detach(), all_outputs[:, 0].detach(), atol=1e-12)
