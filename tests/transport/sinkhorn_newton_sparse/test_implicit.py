"""First and second derivatives of value, value_linear, plan and apply, against differences."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from feasible.transport import sinkhorn_newton, sparse_ot, wasserstein_2


def example(n, m, offset=0.0, seed=0):
    draw = torch.Generator().manual_seed(seed)
    a, b, cost = (
        torch.rand(*s, generator=draw, dtype=torch.float64) + 0.1 for s in ((n,), (m,), (n, m))
    )
    return tuple(x.requires_grad_() for x in (a, b, cost + offset))


def solved(a, b, cost, relative=False):
    return sinkhorn_newton(a / a.sum(), b / b.sum(), cost, 0.2, relative=relative, tol=1e-13)


QUANTITIES = {
    "value": lambda found: found.value,
    "value_linear": lambda found: found.value_linear,
    "plan": lambda found: found.plan,
    "rows": lambda found: found.rows(1, 3),
    "apply": lambda found: found.apply(np.arange(4.0)),
}


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("offset", [0.0, 50.0])
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_derivatives_are_those_of_finite_differences(quantity, offset, relative):
    given = example(3, 4, 0.0 if relative else offset)
    of = QUANTITIES[quantity]
    assert torch.autograd.gradcheck(lambda *x: of(solved(*x, relative)), given, atol=1e-6)


@pytest.mark.parametrize("relative", [False, True])
def test_second_derivatives_of_the_value_are_those_of_finite_differences(relative):
    given = example(3, 4)
    assert torch.autograd.gradgradcheck(
        lambda *x: solved(*x, relative).value, given, atol=1e-5, rtol=1e-4
    )


def test_derivatives_pass_masses_of_zero_and_forbidden_pairs():
    a, b, cost = (x.detach() for x in example(4, 4))
    a[0], b[1] = 0.0, 0.0
    cost[2, 3] = np.inf
    allowed = torch.isfinite(cost)

    def value(c):
        return solved(a, b, torch.where(allowed, c, np.inf)).value

    given = torch.where(allowed, cost, 1.0).requires_grad_()
    assert torch.autograd.gradcheck(value, given)
    assert torch.autograd.gradgradcheck(value, given, atol=1e-5, rtol=1e-4)


def test_nothing_asks_for_a_gradient_where_no_argument_does():
    found = solved(*(x.detach() for x in example(3, 4)))
    assert not found.value.requires_grad
    assert not found.plan.requires_grad


@pytest.mark.parametrize("quantity", ["value_linear", "plan"])
def test_second_derivatives_that_are_not_there_raise(quantity):
    a, b, cost = example(3, 4)
    total = (QUANTITIES[quantity](solved(a, b, cost)) ** 2).sum()
    (slope,) = torch.autograd.grad(total, cost, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.pow(2).sum().backward()


@pytest.mark.parametrize(
    "value",
    [
        lambda x: sparse_ot(x / x.sum(), None, torch.eye(5, dtype=torch.float64), 5, 1.0).value,
        lambda x: wasserstein_2(x, x.detach().flip(0), squared=True),
        lambda x: wasserstein_2(x, x.detach().flip(0), squared=True, reg=1e-2),
    ],
)
def test_values_without_second_derivatives_raise_where_one_is_asked_for(value):
    x = (torch.arange(5, dtype=torch.float64) + 1).requires_grad_()
    (slope,) = torch.autograd.grad(value(x), x, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        slope.sum().backward()


def test_a_gradient_without_a_certificate_is_never_silent():
    draw = np.random.default_rng(0)
    for seed in range(5):
        cost = torch.tensor(np.random.default_rng(seed).random((6, 4)), requires_grad=True)
        a, b = draw.dirichlet(np.full(6, 9.0)), draw.dirichlet(np.full(4, 9.0))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = sparse_ot(a, b, cost, 3, 0.1)
        said = any("not certified" in str(w.message) for w in caught)
        assert said == (not found.certified_optimal)
