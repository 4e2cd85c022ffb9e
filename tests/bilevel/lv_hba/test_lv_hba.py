"""LV-HBA from its mathematics: the value function, its steps, its projections, known optima."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize

import feasible
from feasible.bilevel import Bilevel, Equal, LVHBASettings, lv_hba, svm_projection
from feasible.bilevel.instances.toys import llc_toy, llsc_toy
from feasible.bilevel.lv_hba import joint_projection, proximal_value, svm_weights
from feasible.bilevel.lv_hba.lv_hba import advance, begin, choose_steps
from feasible.core.errors import ArgumentError, NotFinite, ShapeError, UnsupportedConstraint

NEAR = LVHBASettings(gamma1=1.0, gamma2=1.0)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def capped(**more):
    """S(x) = min(x, 1) with the multiplier max(0, x - 1); F is least at x = 3."""
    given = {
        "upper": lambda x, y: 0.5 * ((x - 3) ** 2).sum() + 0.5 * ((y - 2) ** 2).sum(),
        "lower": lambda x, y: 0.5 * ((y - x) ** 2).sum(),
        "x0": [0.5],
        "y0": [0.5],
        "x_set": [(0, 5)],
        "lower_constraints": {"cap": lambda x, y: y - 1},
    }
    return Bilevel(**(given | more))


def two_rows():
    """A lower level of two variables with an inequality and an equality that x shares."""
    return Bilevel(
        lambda x, y: ((x - 1) ** 2).sum() + (y**2).sum(),
        lambda x, y: 0.5 * (y[0] - x[0]) ** 2 + 0.25 * y[1] ** 4 + x[1] * y[1],
        [0.5, -0.2],
        [0.1, 0.3],
        lower_constraints={
            "sum": lambda x, y: x[0] + y.sum() - 1,
            "tie": Equal(lambda x, y: y[0] - 2 * y[1] + x[1]),
        },
    )


def test_the_gradients_of_the_value_function_are_those_of_differences():
    problem = two_rows()
    at = [tensor(0.5, -0.2), tensor(0.3, 0.4), tensor(0.6, -0.3)]
    _, slopes, _ = proximal_value(problem, *at, NEAR)
    for block, slope in enumerate(slopes):
        for i in range(len(slope)):
            values = []
            for sign in (1, -1):
                moved = [v.clone() for v in at]
                moved[block][i] += sign * 1e-5
                values.append(proximal_value(problem, *moved, NEAR)[0])
            assert float(slope[i]) == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-6)


def test_f_is_above_the_value_function_and_equal_where_y_and_z_solve_the_lower_level():
    problem = capped()
    rng = np.random.default_rng(3)
    for _ in range(10):
        x, y = tensor(rng.uniform(0, 5)), tensor(rng.uniform(-2, 1))
        z = tensor(rng.uniform(0, 4))
        value = proximal_value(problem, x, y, z, NEAR)[0]
        assert float(problem.lower_value(x, y)) - value >= -1e-10
    for x in (0.3, 1.0, 2.5):
        y, z = tensor(min(x, 1.0)), tensor(max(0.0, x - 1))
        value = proximal_value(problem, tensor(x), y, z, NEAR)[0]
        assert float(problem.lower_value(tensor(x), y)) - value == pytest.approx(0.0, abs=1e-10)


def test_a_constant_penalty_ends_where_its_own_optimum_is():
    """With c = 10 the toy's solution moves from -0.3, 0.7, -0.4 to these."""
    problem = llc_toy(4)
    settings = LVHBASettings(c0=10.0, p=1e-9, gamma1=2.0, gamma2=2.0)
    state, project = begin(problem, np.random.default_rng(0)), joint_projection(problem)
    for _ in range(1200):
        advance(problem, settings, state, project)
    y1, y2 = state.y[:4], state.y[4:]
    assert float((state.x + 0.314815).abs().max()) < 1e-4
    assert float((y1 - 0.722222).abs().max()) < 1e-4
    assert float((y2 + 0.407407).abs().max()) < 1e-4


def test_the_merely_convex_toy_is_solved_with_no_setting():
    problem = llc_toy(5)
    result = lv_hba(problem, max_iter=800)
    assert np.abs(result.x + 0.3).max() < 0.03
    assert result.upper == pytest.approx(problem.best_known, rel=0.1)
    assert result.multipliers[0] == pytest.approx(-(15**0.5), rel=1e-3)  # of the scaled row


def test_the_capped_follower_is_solved_with_no_setting():
    result = lv_hba(capped(), max_iter=1000)
    assert result.y == pytest.approx([1.0], abs=1e-6)
    assert result.x == pytest.approx([3.0], abs=0.5)
    assert result.multipliers == pytest.approx(result.x - 1, abs=1e-3)
    assert result.upper == pytest.approx(0.5, abs=0.1)


def test_without_constraints_it_solves_quadratics():
    problem = Bilevel(
        lambda x, y: ((y - 1) ** 2).sum() + 0.1 * (x**2).sum(),
        lambda x, y: 0.5 * ((y - 2 * x) ** 2).sum(),
        [0.0, 0.0],
        [0.0, 0.0],
    )
    result = lv_hba(problem, max_iter=800)  # (2 x - 1)^2 + x^2 / 10: x = 4 / 8.2
    assert result.x == pytest.approx(np.full(2, 4 / 8.2), abs=0.02)
    assert len(result.multipliers) == 0


def test_the_published_scale_is_refused_because_the_tracker_would_not_keep_up():
    with pytest.raises(ArgumentError, match="alpha"):
        lv_hba(llc_toy(5), LVHBASettings(alpha=0.1), max_iter=1)
    problem, settings = llc_toy(100), LVHBASettings(eta=0.01, alpha=0.008)
    with pytest.raises(ArgumentError, match="eta / 3"):
        lv_hba(problem, settings, max_iter=1)
    with pytest.raises(ArgumentError, match="contracts"):
        lv_hba(llc_toy(5), LVHBASettings(eta=1.0, alpha=0.01), max_iter=1)
    lv_hba(llc_toy(5), LVHBASettings(alpha=0.1, unsafe=True), max_iter=1)


def test_rows_of_any_scale_give_the_same_iterates():
    found = []
    for scale in (1.0, 1000.0):
        problem = capped(lower_constraints={"cap": lambda x, y, s=scale: s * (y - 1)})
        state, project = begin(problem, np.random.default_rng(0)), joint_projection(problem)
        for _ in range(50):
            advance(problem, LVHBASettings(), state, project)
        found.append(torch.cat([state.x, state.y, state.lam]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-8)


def test_a_multiplier_at_its_bound_is_warned_of():
    with pytest.warns(RuntimeWarning, match="bound r"):
        lv_hba(capped(x0=[4.0]), LVHBASettings(r=0.5), max_iter=40)


def test_bad_settings_and_sets_are_refused_by_name():
    for given, name in (
        ({"p": 0.5}, "p="),
        ({"p": 0.0}, "p="),
        ({"alpha": 0.0}, "alpha"),
        ({"gamma1": -1.0}, "gamma1"),
        ({"r": 0.0}, "r="),
        ({"x_step": "newton"}, "x_step"),
    ):
        with pytest.raises(ArgumentError, match=name):
            LVHBASettings(**given)
    with pytest.raises(ArgumentError, match="idempotent"):
        lv_hba(capped(project=lambda v: v / 2), max_iter=1)
    with pytest.raises(NotFinite, match="project"):
        lv_hba(capped(project=lambda v: v / 0), max_iter=1)
    with pytest.raises(UnsupportedConstraint, match="disc"):
        lv_hba(capped(lower_constraints={"disc": lambda x, y: y**2 - 1}), max_iter=1)
    above = capped(upper_constraints={"above": lambda x, y: y})
    for call in (lv_hba, lambda p: feasible.solve(p, "lv-hba", {"gradients": 10})):
        with pytest.raises(UnsupportedConstraint, match="above"):
            call(above)
    with pytest.raises(feasible.errors.Infeasible, match="infeasible"):
        lv_hba(capped(lower_constraints={"no": lambda x, y: torch.cat([y - 1, 2 - y])}), max_iter=1)


def test_a_run_has_the_gap_of_its_own_response_as_residual():
    result = feasible.solve(capped(), "lv-hba", {"gradients": 800}, 100)
    assert result.verdict.residual == pytest.approx(0.0, abs=0.05)
    assert result.spent["lower_solves"] == 1
    assert "lv-hba" in feasible.solve(capped(), None, {"gradients": 10}).method


def test_why_it_ended_is_told_apart_from_having_converged():
    ended = lv_hba(capped(name="tol"), max_iter=50, callback=lambda state: state.k == 7)
    assert (ended.iterations, ended.converged) == (7, False)
    assert lv_hba(capped(), LVHBASettings(tol=10.0), max_iter=50).converged
    assert not lv_hba(capped(), max_iter=5).converged


# -- projections -----------------------------------------------------------------------------------


def test_the_projection_of_support_vectors_is_that_of_a_quadratic_program():
    rng = np.random.default_rng(5)
    Z, t = rng.standard_normal((6, 2)), np.where(rng.random(6) < 0.5, -1.0, 1.0)
    project = svm_projection(Z, t)
    for scale in (0.1, 1.0, 10.0):
        v = torch.from_numpy(scale * rng.standard_normal(9))
        found = project(v).numpy()
        rows = np.column_stack([t[:, None] * Z, t, np.eye(6)])
        assert (rows @ found >= 1 - 1e-12).all()
        best = optimize.minimize(
            lambda w, v=v: (0.5 * ((w - v.numpy()) ** 2).sum(), w - v.numpy()),
            found,
            jac=True,
            method="SLSQP",
            constraints=[{"type": "ineq", "fun": lambda w, A=rows: A @ w - 1}],
            options={"ftol": 1e-15},
        )
        np.testing.assert_allclose(found, best.x, atol=1e-6)
        torch.testing.assert_close(project(project(v)), project(v), rtol=0, atol=1e-12)


def test_many_support_vectors_are_projected_on_their_set():
    problem = svm_weights("generated", seed=100)
    project = joint_projection(problem)
    draws = np.random.default_rng(6).standard_normal((3, problem.n + problem.m))
    for v in torch.from_numpy(5 * draws):
        at = project(v)
        x, y = at[: problem.n], at[problem.n :]
        assert float(problem.constraint_values(x, y).max()) <= 1e-10
        torch.testing.assert_close(project(at), at, rtol=0, atol=1e-9)


def test_wrong_classes_and_shapes_are_refused():
    with pytest.raises(ArgumentError, match="t"):
        svm_projection(np.eye(2), [0.0, 1.0])
    with pytest.raises(ShapeError, match="Z"):
        svm_projection(np.eye(2), [1.0])


def test_both_forms_of_the_support_vector_machine_have_one_response():
    forms = [svm_weights("breast-cancer", 100, form) for form in ("constrained", "eliminated")]
    one, two = (p.judge(p.x_start.numpy()) for p in forms)
    assert one.objective == pytest.approx(two.objective, abs=1e-5)
    assert one.metrics["accuracy"] == two.metrics["accuracy"]
    assert one.metrics["lower"] == pytest.approx(two.metrics["lower"], rel=1e-7)


def test_steps_contract_for_as_many_rows_as_the_published_toy_has():
    problem = llsc_toy(30, 27)
    state = begin(problem, np.random.default_rng(0))
    choose_steps(problem, LVHBASettings(), state)
    with torch.no_grad():
        J = torch.func.jacrev(lambda y: problem.constraint_values(state.x, y))(state.y)
    bent = (1 + 1 / 3) ** 2 + float(torch.linalg.matrix_norm(J / state.scale[:, None], 2)) ** 2
    assert state.eta == pytest.approx(1 / 3 / bent, rel=0.02)
    assert state.alpha == pytest.approx(state.eta / 3)


# -- without constraints, and on samples -----------------------------------------------------------


def uneven(**more):
    """A follower whose curvature is 1 in one direction and 0.05 in the other; y = x / a."""
    a = torch.tensor([1.0, 0.05], dtype=torch.float64)
    given = {
        "upper": lambda x, y: 0.5 * ((y - 1) ** 2).sum(),
        "lower": lambda x, y: 0.5 * (a * y**2).sum() - (x * y).sum(),
        "x0": [0.5, 0.0],
        "y0": [0.0, 0.0],
    }
    return Bilevel(**(given | more))


def test_a_follower_without_constraints_is_tracked_by_steps_of_one_over_its_curvature():
    problem, settings = uneven(), LVHBASettings(gamma1=100.0, c0=1.0)
    state = begin(problem, np.random.default_rng(0))
    advance(problem, settings, state, joint_projection(problem))
    assert state.eta == pytest.approx(1 / 1.01, rel=1e-3)
    found = lv_hba(problem, settings, max_iter=4000)
    np.testing.assert_allclose(found.x, [1.0, 0.05], rtol=0.2)
    with pytest.raises(ArgumentError, match="2 / L"):
        lv_hba(problem, LVHBASettings(gamma1=100.0, eta=2.1), max_iter=1)


def test_steps_shrink_where_the_follower_becomes_more_curved():
    problem = uneven(
        upper=lambda x, y: -x.sum(),
        lower=lambda x, y: 0.5 * (torch.exp(x) * (y - x) ** 2).sum(),
        x_set=[(0, 5)] * 2,
    )
    settings = LVHBASettings(x_step="adam", x_rate=0.05)
    state = begin(problem, np.random.default_rng(0))
    project = joint_projection(problem)
    advance(problem, settings, state, project)
    first = state.eta
    for _ in range(150):
        advance(problem, settings, state, project)
    assert float(state.x.min()) > 1.5
    assert state.eta < first / 4
    assert not state.over


def test_an_iteration_may_use_a_few_samples():
    targets = torch.from_numpy(np.random.default_rng(100).standard_normal(40))
    seen = []

    def lower(x, y, rows):
        seen.append(len(rows))
        return 0.5 * ((y - x - targets[rows]) ** 2).mean()

    problem = uneven(
        upper=lambda x, y: 0.5 * ((y - 1) ** 2).sum(),
        lower=lower,
        x0=[0.0],
        y0=[0.0],
        lower_rows=40,
    )
    settings = LVHBASettings(batch=10, c0=1.0)
    found = lv_hba(problem, settings, max_iter=800)
    assert seen.count(10) == 3 * 800
    assert float(found.x[0]) == pytest.approx(1 - float(targets.mean()), abs=0.2)
    with pytest.raises(ArgumentError, match="no samples"):
        lv_hba(uneven(), LVHBASettings(batch=10), max_iter=1)
