"""The gradients of psi_sigma and psi, from closed forms and from differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from feasible.bilevel import Bilevel, Box, Equal, exact_hypergradient, penalty_hypergradient
from feasible.bilevel.instances.toys import analytic_line, rank_deficient
from feasible.core.errors import ArgumentError, Infeasible

SIGMAS = (0.2, 0.1, 0.01, 0.001)


def line_gap():
    """The analytic line, and u = x - a1 - a2 at its start."""
    problem = analytic_line(100)
    a = np.random.default_rng(100).standard_normal(2)
    return problem, 3.0 - a.sum()


def test_the_penalised_objective_and_its_gradient_are_their_closed_forms():
    problem, u = line_gap()
    for sigma in SIGMAS:
        found = penalty_hypergradient(problem, [3.0], sigma)
        assert found.value == pytest.approx(u**2 / (2 * (2 + sigma)), rel=1e-8)
        assert found.gradient[0] == pytest.approx(u / (2 + sigma), rel=1e-8)


def test_the_penalised_objective_rises_to_psi_as_sigma_falls_at_first_order():
    problem, u = line_gap()
    psi = u**2 / 4
    gaps = np.array([psi - penalty_hypergradient(problem, [3.0], s).value for s in SIGMAS])
    assert (gaps > 0).all()
    assert (np.diff(gaps) < 0).all()
    slopes = np.diff(np.log(gaps)) / np.diff(np.log(SIGMAS))
    assert slopes.min() > 0.93
    assert slopes.max() <= 1.0
    errors = []
    for sigma in (0.1, 0.01):  # Richardson's extrapolation has an error of sigma^2
        pair = [penalty_hypergradient(problem, [3.0], s).value for s in (sigma / 2, sigma)]
        errors.append(abs(2 * pair[0] - pair[1] - psi))
    assert errors[1] / errors[0] == pytest.approx(0.01, rel=0.1)


def psi(problem, x):
    return problem.judge(x).objective


def differences(function, x, step=1e-5):
    found = []
    for i in range(len(x)):
        e = np.zeros(len(x))
        e[i] = step
        found.append((function(x + e) - function(x - e)) / (2 * step))
    return np.array(found)


def test_the_exact_gradient_of_a_rank_deficient_lower_level_is_that_of_differences():
    problem = rank_deficient(100)
    x = np.array([0.3, -0.4, 0.2])
    z = penalty_hypergradient(problem, x, 1e-7).y  # the optimistic answer, nearly
    by_formula = exact_hypergradient(problem, x, z)
    np.testing.assert_allclose(by_formula, differences(lambda v: psi(problem, v), x), atol=1e-6)


def test_the_gradient_by_the_penalty_is_that_of_its_own_differences_and_nears_the_exact_one():
    problem = rank_deficient(101)
    x = np.array([0.3, -0.4, 0.2])
    found = penalty_hypergradient(problem, x, 0.1)
    numeric = differences(lambda v: penalty_hypergradient(problem, v, 0.1).value, x)
    np.testing.assert_allclose(found.gradient, numeric, atol=1e-7)
    exact = exact_hypergradient(problem, x, penalty_hypergradient(problem, x, 1e-7).y)
    errors = [
        np.linalg.norm(penalty_hypergradient(problem, x, s).gradient - exact) for s in (1e-3, 1e-4)
    ]
    assert errors[1] / errors[0] == pytest.approx(0.1, rel=0.1)


def test_a_strongly_convex_lower_level_agrees_with_implicit_differentiation_to_order_sigma():
    problem = Bilevel(
        lambda x, y: ((y - 1) ** 2).sum() + (x * y).sum(),
        lambda x, y: (torch.exp(y) - x * y).sum() + (y**2).sum(),
        [0.5, 1.0],
        [0.0, 0.0],
    )
    exact = exact_hypergradient(problem, [0.5, 1.0], problem_response(problem, [0.5, 1.0]))
    gaps = [
        np.abs(penalty_hypergradient(problem, [0.5, 1.0], s).gradient - exact).max()
        for s in (1e-2, 1e-3)
    ]
    assert gaps[1] / gaps[0] == pytest.approx(0.1, rel=0.1)
    np.testing.assert_allclose(
        exact, differences(lambda v: psi(problem, v), np.array([0.5, 1.0])), atol=1e-7
    )


def problem_response(problem, x):
    return penalty_hypergradient(problem, x, 1e-9).z


@pytest.mark.parametrize(
    ("constraint", "at"),
    [
        (lambda x, y: y - x**2, 0.6),  # active: y = x^2
        (Equal(lambda x, y: y.sum() - torch.exp(x[0])), 0.3),
        (lambda x, y: y - 5, 0.3),  # idle
    ],
)
def test_active_constraints_border_the_hessian(constraint, at):
    problem = Bilevel(
        lambda x, y: ((y - 2) ** 2).sum() + x[0] ** 3,
        lambda x, y: 0.5 * ((y - 3 * x) ** 2).sum(),
        [at],
        [0.0],
        lower_constraints={"c": constraint},
    )
    x = np.array([at])
    y = {0: at**2, 1: np.exp(at), 2: 3 * at}
    which = 0 if at == 0.6 else 1 if isinstance(constraint, Equal) else 2
    found = exact_hypergradient(problem, x, [y[which]])
    np.testing.assert_allclose(found, differences(lambda v: psi(problem, v), x), atol=1e-6)


def test_a_box_cuts_both_minimisers():
    problem = Bilevel(
        lambda x, y: y.sum(),
        lambda x, y: 0.5 * ((y - x) ** 2).sum(),
        [0.5],
        [0.5],
        y_set=Box(0, 1),
    )
    for x in (-0.3, 0.5, 0.95, 1.2):
        found = penalty_hypergradient(problem, [x], 0.1)
        assert found.y[0] == pytest.approx(np.clip(x - 0.1, 0, 1), abs=1e-9)
        assert found.z[0] == pytest.approx(np.clip(x, 0, 1), abs=1e-9)


def test_what_has_no_gradient_is_said():
    problem = analytic_line()
    with pytest.raises(ArgumentError, match="sigma"):
        penalty_hypergradient(problem, [3.0], 0.0)
    with pytest.raises(ArgumentError, match="y"):
        exact_hypergradient(problem, [3.0], [0.0, 0.0])
    unbounded = Bilevel(lambda x, y: y.sum(), lambda x, y: (x * y).sum(), [1.0], [0.0])
    with pytest.raises(Infeasible, match="unbounded"):
        penalty_hypergradient(unbounded, [1.0], 0.1)
    limited = Bilevel(
        lambda x, y: y.sum(),
        lambda x, y: (y**2).sum(),
        [1.0],
        [0.0],
        lower_constraints={"c": lambda x, y: y},
    )
    with pytest.raises(ArgumentError, match="constraints"):
        penalty_hypergradient(limited, [1.0], 0.1)
