"""Target surrogates: the unit of the loss and the scale of the inputs do not matter."""

import functools
import itertools
import math
import warnings

import pytest
import torch
from targets import LOSSES, data, linear, mlp, weights

from feasible.training import TargetSurrogate
from feasible.training.target_surrogates.inner_solvers import ArmijoGD
from feasible.training.target_surrogates.sso import StandsStill

INNER = ("armijo", "lstsq", "gauss-newton", "cg", "lbfgs")


@functools.cache
def path(name, build, factor, *, steps=8, **settings):
    smooth, loss, out = LOSSES[name]
    x, y = data()
    model = build(out=out)
    opt = TargetSurrogate(model.parameters(), eta=1 / (smooth * factor), **settings)
    found = [weights(model)]
    for _ in range(steps):
        opt.step(lambda: model(x), loss=lambda z: factor * loss(z, y))
        found.append(weights(model))
    return torch.stack(found)


@pytest.mark.parametrize("factor", [1e-8, 1e6])
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("build", [linear, mlp])
def test_a_loss_in_another_unit_with_its_eta_gives_the_same_trajectory(build, name, inner, factor):
    if inner != "armijo":  # they enlarge rounding, so a unit without it: a power of 4
        factor = 4.0 ** round(math.log(factor, 4))
    one, other = (path(name, build, c, inner=inner) for c in (1.0, factor))
    assert not torch.equal(one[0], one[-1])
    assert torch.allclose(other, one, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("metric", ["newton", "ada", "euclidean"])
def test_so_it_is_in_other_metrics(metric):
    one = path("logistic", linear, 1.0, metric=metric)
    eta_too = 1.0 if metric != "ada" else 1e4  # the weight of ada is in the gradient's unit itself
    smooth, loss, _ = LOSSES["logistic"]
    x, y = data()
    model = linear()
    opt = TargetSurrogate(model.parameters(), eta=eta_too / (smooth * 1e4), metric=metric)
    for _ in range(8):
        opt.step(lambda: model(x), loss=lambda z: 1e4 * loss(z, y))
    assert torch.allclose(weights(model), one[-1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("size", [1e-3, 255.0, 1e5])
@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_falls_in_every_step_whatever_the_inputs_scale(name, size, inner):
    smooth, loss, out = LOSSES[name]
    x, y = data()
    x, model = x.abs() * size, linear(out=out)
    torch.nn.init.zeros_(model.weight)
    opt = TargetSurrogate(model.parameters(), eta=1 / smooth, inner=inner)
    with warnings.catch_warnings():
        warnings.simplefilter("error", StandsStill)
        values = [opt.step(lambda: model(x), loss=lambda z: loss(z, y)).loss for _ in range(6)]
    assert values[1] < values[0]
    assert all(b <= a * (1 + 1e-12) for a, b in itertools.pairwise(values))


def test_a_step_that_moves_nothing_where_the_gradient_is_not_small_says_so():
    x, y = data()
    model = linear()
    _, loss, _ = LOSSES["squared"]
    opt = TargetSurrogate(model.parameters(), inner=ArmijoGD(tol=1e3))
    with pytest.warns(StandsStill, match="moved no weight"):
        opt.step(lambda: model(x), loss=lambda z: loss(z, y))


def test_one_that_has_arrived_is_silent():
    x, y = data()
    model = linear()
    _, loss, _ = LOSSES["squared"]
    opt = TargetSurrogate(model.parameters(), m=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error", StandsStill)
        for _ in range(60):
            info = opt.step(lambda: model(x), loss=lambda z: loss(z, y))
    assert info.inner_steps == 0
