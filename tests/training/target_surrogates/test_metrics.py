"""The metrics of target surrogates against the methods that they make of them."""

import itertools

import pytest
import torch
from targets import half_squares, linear
from torch import nn
from torch.nn import functional as F

from feasible.core.errors import ArgumentError
from feasible.training import TargetSurrogate
from feasible.training.target_surrogates.inner_solvers import ArmijoGD


def once(metric, eta=0.5, steps=1, prob=False, **more):
    """The target after exact minimisation of the surrogate where outputs are free: 5 points,
    identity features.
    """
    y = torch.linspace(-2, 2, 5, dtype=torch.float64)
    model = linear(5)
    with torch.no_grad():
        model.weight.copy_(torch.linspace(0.5, 1, 5)[None])
    opt = TargetSurrogate(
        model.parameters(), eta=eta, m=1, inner="lstsq", metric=metric, points=5, **more
    )
    x, path = torch.eye(5, dtype=torch.float64), [model.weight[0].detach().clone()]
    for _ in range(steps):
        opt.step(lambda: model(x), loss=half_squares(y), rows=torch.arange(5))
        path.append(model.weight[0].detach().clone())
    return path, y


def test_ada_is_scalar_adagrad_and_diagada_its_diagonal_in_the_target_space():
    for metric in ("ada", "diagada"):
        path, y = once(metric, steps=3)
        s = torch.zeros(5, dtype=torch.float64)
        for z, found in itertools.pairwise(path):
            g = z - y
            s = s + (g.square().sum() if metric == "ada" else g.square())
            weight = s.sqrt() + 1e-6 if metric == "ada" else s.clamp(1e-5, 1e5).sqrt()
            assert torch.allclose(found, z - 0.5 * g / weight, atol=1e-9)


def test_adam_is_torchs_adam_on_the_targets():
    path, y = once("adam", eta=0.1, steps=4)
    z = nn.Parameter(path[0].clone())
    adam = torch.optim.Adam([z], lr=0.1)
    for found in path[1:]:
        z.grad = z.detach() - y
        adam.step()
        assert torch.allclose(found, z.detach(), atol=1e-9)


def test_the_online_newton_metric_takes_a_newton_step_on_the_logistic_loss():
    x, y = torch.eye(3, dtype=torch.float64), torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    model = linear(3)
    z = model.weight[0].detach().clone()
    opt = TargetSurrogate(model.parameters(), eta=1.0, m=1, inner="lstsq", metric="newton")
    opt.step(
        lambda: model(x),
        loss=lambda f: F.binary_cross_entropy_with_logits(f[:, 0], y, reduction="sum"),
    )
    p = torch.sigmoid(z)
    assert torch.allclose(model.weight[0], z - (p - y) / (p * (1 - p) + 1e-5), atol=1e-8)


def test_mirror_descent_multiplies_probabilities():
    """The minimum of <G, f - z> + KL(f, z)/eta over positive f is z exp(-eta G); over softmax
    outputs it is that, normalised.
    """
    logits, g = (
        nn.Parameter(torch.tensor([[0.1, 0.5, -0.3]], dtype=torch.float64)),
        torch.tensor([[1.0, -0.5, 0.2]], dtype=torch.float64),
    )
    z = logits.softmax(1).detach()
    opt = TargetSurrogate([logits], eta=0.7, m=50, inner="lbfgs", metric="mirror")
    opt.step(lambda: logits.softmax(1), target_grad=lambda f: g)
    expected = z * torch.exp(-0.7 * g)
    assert torch.allclose(logits.softmax(1).detach(), expected / expected.sum(), atol=1e-5)
    with pytest.raises(ArgumentError, match="expected probabilities"):
        opt.step(lambda: logits, target_grad=lambda f: g)
    with pytest.raises(ArgumentError, match="no quadratic"):
        TargetSurrogate([logits], metric="mirror", inner="lstsq").step(
            lambda: logits.softmax(1), target_grad=lambda f: g
        )


def test_gulf2_steps_towards_the_loss_and_pays_for_each_inner_gradient():
    """min l(f) - (1 - a) <G, f> for the squared loss: f = z - a G."""
    path, y = once("euclidean", eta=0.2)
    model = linear(5)
    with torch.no_grad():
        model.weight.copy_(path[0][None])
    opt = TargetSurrogate(
        model.parameters(), eta=0.2, m=60, metric="gulf2", inner=ArmijoGD(tol=1e-10)
    )
    info = opt.step(lambda: model(torch.eye(5, dtype=torch.float64)), loss=half_squares(y))
    assert torch.allclose(model.weight[0], path[0] - 0.2 * (path[0] - y), atol=1e-6)
    assert info.target_calls > info.inner_steps
