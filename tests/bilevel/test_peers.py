"""Other libraries' gradients through the lower level agree with ours."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import feasible
from feasible.bilevel import Bilevel, ImplicitCG, Unrolled
from feasible.bilevel.baselines import conjugate_gradients
from feasible.bilevel.instances.toys import analytic_line
from feasible.bilevel.peers.cvxpylayers import CvxpyLayer
from feasible.bilevel.peers.torchopt import TorchOptImplicit
from feasible.core.errors import UnsupportedConstraint, WrongProblem

pytestmark = pytest.mark.filterwarnings("ignore")


def quadratic(**more):
    rng = np.random.default_rng(100)
    A, B = (torch.from_numpy(rng.standard_normal((3, 3))) for _ in range(2))
    given = {
        "upper": lambda x, y: ((y - 1) ** 2).sum() + 0.1 * (x**2).sum(),
        "lower": lambda x, y: 0.5 * ((y - B @ x) ** 2).sum() + 0.1 * ((A @ y) ** 2).sum(),
        "x0": [0.3, -0.2, 0.5],
        "y0": [0.0, 0.0, 0.0],
    }
    return Bilevel(**(given | more))


def gradient(method, problem):
    state = method.init(problem, np.random.default_rng(0))
    state = method.step(problem, state)
    return state.q.numpy()


def test_all_gradients_agree_to_four_digits_with_each_other_and_with_differences():
    problem = quadratic()
    x = problem.x_start.numpy()
    numeric = []
    for i in range(3):
        e = 1e-5 * np.eye(3)[i]
        numeric.append((problem.judge(x + e).objective - problem.judge(x - e).objective) / 2e-5)
    methods = (
        ImplicitCG(inner=150, cg=10, tol=0.0),
        Unrolled(inner=150, tol=0.0),
        TorchOptImplicit(inner=150, cg=10, tol=0.0),
        CvxpyLayer(),
    )
    for method in methods:
        np.testing.assert_allclose(gradient(method, problem), numeric, rtol=1e-4, atol=1e-6)


def test_conjugate_gradients_solve_as_many_equations_as_there_are_iterations():
    H = torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
    right = torch.ones(3, dtype=torch.float64)
    found = conjugate_gradients(lambda v: (v, H @ v), right, torch.zeros_like(right), 3)
    torch.testing.assert_close(found, right / torch.diag(H))
    singular = torch.diag(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    for _ in range(2):
        assert torch.isfinite(
            conjugate_gradients(lambda v: (v, singular @ v), right, torch.zeros_like(right), 9)
        ).all()


def test_a_capped_follower_is_differentiated_through_its_conditions():
    capped = Bilevel(
        lambda x, y: 0.5 * ((x - 3) ** 2).sum() + 0.5 * ((y - 2) ** 2).sum(),
        lambda x, y: 0.5 * ((y - x) ** 2).sum(),
        [0.5],
        [0.5],
        x_set=[(0, 5)],
        lower_constraints={"cap": lambda x, y: y - 1},
    )
    result = feasible.solve(capped, CvxpyLayer(), {"gradients": 30}, 100)
    assert result.verdict.objective == pytest.approx(0.5, abs=1e-3)
    assert result.spent["lower_solves"] <= 30


def test_a_singular_lower_level_ends_torchopts_run_in_a_sentence():
    result = feasible.solve(analytic_line(), TorchOptImplicit(), {"gradients": 500}, 100)
    assert "singular" in result.stopped


def test_what_is_no_quadratic_program_is_refused():
    smooth = quadratic(lower=lambda x, y: (torch.exp(y) - x * y).sum())
    with pytest.raises(WrongProblem, match="quadratic"):
        feasible.solve(smooth, CvxpyLayer(), {"gradients": 3})
    with pytest.raises(UnsupportedConstraint):
        feasible.solve(
            quadratic(upper_constraints={"c": lambda x, y: y}), CvxpyLayer(), {"gradients": 3}
        )
