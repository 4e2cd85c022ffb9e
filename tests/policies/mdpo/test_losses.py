"""Divergences and the objective: closed forms, signs and gradients."""

import numpy as np
import pytest
import torch

import feasible
from feasible.policies import bregman, mdpo_loss
from feasible.policies.mdpo.losses import kl_gaussian, ln_of_log, ln_p, sampled

errors = feasible.errors


def simplex(n, actions=5, seed=0):
    """Random distributions away from the border."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.dirichlet(np.ones(actions), n) * 0.99 + 0.01 / actions)


def test_a_kullback_leibler_step_is_a_softmax():
    old, gain, t = simplex(1, 4)[0], torch.tensor([0.3, -1.0, 2.0, 0.1]).double(), 0.7
    theta = old.log().clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [theta], max_iter=400, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
    )

    def loss():
        optimizer.zero_grad()
        pi = theta.softmax(0)
        value = bregman(pi, old, 1.0) / t - (pi * gain).sum()
        value.backward()
        return value

    optimizer.step(loss)
    expected = (old.log() + t * gain).softmax(0)
    assert torch.allclose(theta.softmax(0), expected, atol=1e-7)


@pytest.mark.parametrize("q", [0.5, 1.0, 1.5, 2.0])
def test_a_divergence_is_never_negative_and_zero_without_a_gradient_at_the_old_policy(q):
    pi, old = simplex(10_000), simplex(10_000, seed=1)
    assert (bregman(pi, old, q) >= -1e-12).all()
    theta = old[0].log().clone().requires_grad_()
    same = bregman(theta.softmax(0), old[0], q)
    (gradient,) = torch.autograd.grad(same, theta)
    assert abs(float(same)) < 1e-12
    assert gradient.abs().max() < 1e-12


def test_it_tends_to_kullback_leibler_and_at_two_is_the_squared_distance():
    pi, old = simplex(100), simplex(100, seed=1)
    kl = (pi * (pi / old).log()).sum(1)
    assert torch.allclose(bregman(pi, old, 1.0), kl)
    assert torch.allclose(bregman(pi, old, 1 + 1e-6), kl, atol=1e-5)
    assert torch.allclose(bregman(pi, old, 2.0), ((pi - old) ** 2).sum(1))


def test_without_the_factor_q_it_is_no_divergence():
    pi, old = simplex(10_000), simplex(10_000, seed=1)
    drafted = (pi * (ln_p(pi, 0.0) - ln_p(old, 0.0))).sum(1)
    assert drafted.min() < -0.1


def test_gaussians_diverge_as_the_integral_says():
    mean, old = torch.tensor([[0.3]]).double(), torch.tensor([[-0.2]]).double()
    log_std, log_std_old = torch.tensor([0.1]).double(), torch.tensor([-0.3]).double()
    x = torch.linspace(-12, 12, 200_001).double()
    new = torch.distributions.Normal(mean[0, 0], log_std.exp()[0])
    before = torch.distributions.Normal(old[0, 0], log_std_old.exp()[0])
    integral = torch.trapezoid(new.log_prob(x).exp() * (new.log_prob(x) - before.log_prob(x)), x)
    found = kl_gaussian(mean, log_std, old, log_std_old)
    assert float(found[0]) == pytest.approx(float(integral), rel=1e-6)


@pytest.mark.parametrize("q", [1.0, 1.5, 2.0])
def test_a_sampled_divergence_is_the_exact_one_up_to_a_constant(q):
    pi, old = simplex(1, 3)[0], simplex(1, 3, seed=1)[0]
    each = sampled(pi.log(), old.log(), q)  # of every action
    expected = bregman(pi, old, q) - (q - 1) * (old * ln_p(old, 2 - q)).sum()
    assert float((old * each).sum()) == pytest.approx(float(expected), rel=1e-9)


def test_the_gradient_at_the_old_policy_is_plain_policy_gradient():
    rng = np.random.default_rng(0)
    theta = torch.from_numpy(rng.normal(size=4)).requires_grad_()
    old = theta.detach().softmax(0)
    actions, adv = torch.from_numpy(rng.integers(0, 4, 500)), torch.from_numpy(rng.normal(size=500))
    logp = theta.log_softmax(0)[actions]
    kl = bregman(theta.softmax(0), old).expand(500)
    (gradient,) = torch.autograd.grad(mdpo_loss(logp, old.log()[actions], adv, kl, 0.01), theta)
    (plain,) = torch.autograd.grad(-(adv * theta.log_softmax(0)[actions]).mean(), theta)
    assert torch.allclose(gradient, plain, atol=1e-9)


def test_the_deformed_logarithm_of_a_density_is_that_of_its_logarithm():
    x = torch.tensor([1e-3, 0.5, 1.0, 7.0]).double()
    for q in (1.0, 1.5, 2.0):
        assert torch.allclose(ln_of_log(x.log(), q), ln_p(x, 2 - q))
    assert torch.isfinite(ln_of_log(torch.tensor([1e4, -1e4]), 2.0)).all()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: bregman(torch.ones(2), torch.ones(3)), errors.ShapeError, "pi_old"),
        (lambda: bregman(torch.ones(2), torch.ones(2), 2.5), errors.ArgumentError, "q=2.5"),
        (lambda: mdpo_loss(*[torch.ones(2)] * 4, 0.0), errors.ArgumentError, "t=0"),
        (
            lambda: mdpo_loss(*[torch.ones(2)] * 3, torch.ones(3), 1.0),
            errors.ShapeError,
            "kl has shape",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(call, error, says):
    with pytest.raises(error, match=says):
        call()
