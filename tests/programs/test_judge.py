"""What the judge of a program measures, and by which multipliers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse as sp
from scipy.optimize import LinearConstraint, NonlinearConstraint

import feasible
from feasible.programs import Point, Program, certificate, kkt
from feasible.programs.instances import CASES, hock_schittkowski

INF = np.inf


def test_violations_have_names_and_are_divided_by_the_length_of_their_gradients():
    limits = {
        "steep": LinearConstraint([[30.0, 40.0]], -INF, 0),
        "flat": LinearConstraint([[0.3, 0.4]], -INF, 0),
        "kept": NonlinearConstraint(lambda x: x[0], 0, 5),
    }
    problem = Program(lambda x: 0.0, [0.0, 0.0], bounds=[(None, 0.5)] * 2, constraints=limits)
    verdict = problem.judge(np.array([1.0, 1.0]))
    assert verdict.violations == pytest.approx(
        {"steep": 70 / 50, "flat": 0.7, "kept": 0, "bounds": 0.5}
    )
    assert verdict.worst == "steep"
    assert not verdict.feasible


def test_nothing_that_the_method_says_of_its_multipliers_is_used():
    problem, best = hock_schittkowski("hs71"), np.array([1.0, 4.7429994, 3.8211503, 1.3794082])
    told = [problem.judge(Point(best, y)) for y in (None, np.full(2, 1e9), np.full(2, np.nan))]
    assert told[0] == told[1] == told[2]
    assert told[0].residual < 1e-6


@pytest.mark.parametrize("name", CASES)
def test_the_default_reaches_the_known_minimum_and_the_start_is_none(name):
    problem = hock_schittkowski(name)
    result = feasible.solve(problem, budget={"evaluations": 500})
    best = problem.best_known
    assert abs(result.verdict.objective - best) <= 1e-7 * max(1, abs(best))
    assert result.verdict.feasible
    assert result.verdict.residual <= 1e-6
    start = problem.judge(problem.x0)
    assert not start.feasible or start.residual > 1e-2


def test_the_signs_of_multipliers_say_which_limit_holds():
    """min (x - 3)^2 + (y + 3)^2 with x <= 1, y >= -1: multipliers 4 and -4."""
    rows = {
        "x": NonlinearConstraint(lambda x: x[0], -5, 1),
        "y": NonlinearConstraint(lambda x: x[1], -1, 5),
    }
    problem = Program(lambda x: (x[0] - 3) ** 2 + (x[1] + 3) ** 2, [0.0, 0.0], constraints=rows)
    x = np.array([1.0, -1.0])
    found = problem.certificate(x, 8.0, problem.functions.constraints(x))
    assert found.multipliers == pytest.approx([4, -4], abs=1e-7)
    bounded = Program(problem.fun, [0.0, 0.0], bounds=[(-5, 1), (-1, 5)])
    found = bounded.certificate(x, 8.0, np.zeros(0))
    assert found.of_bounds == pytest.approx([4, -4], abs=1e-7)
    assert bounded.judge(x).residual < 1e-8
    wrong = Program(lambda x: -problem.fun(x), [0.0, 0.0], bounds=[(-5, 1), (-1, 5)])
    # a maximum: of (4 - z)^2 + (6 z)^2, with the slack 6 of the other limit, the least leaves
    # 4 * 36 / 37 of the gradient 4
    assert wrong.judge(x).residual == pytest.approx(36 / 37, abs=1e-6)


def test_a_limit_that_is_almost_active_counts_by_its_slack():
    """min -x with x <= 1 at x = 1 - s: the residual is the smaller product, about s."""
    problem = Program(lambda x: -x[0], [0.0], jac=lambda x: -np.ones(1), bounds=[(None, 1)])
    for slack in (1e-3, 1e-5, 1e-7):
        assert problem.judge(np.array([1 - slack])).residual == pytest.approx(slack, rel=0.01)


def test_the_residual_does_not_change_with_the_scale_of_a_constraint():
    def scaled(k):
        rows = NonlinearConstraint(lambda x: k * (x @ x), -INF, 2 * k, jac=lambda x: 2 * k * x)
        return Program(
            lambda x: x.sum(), [1.0, 0.0], jac=lambda x: np.ones(2), constraints={"disc": rows}
        )

    x = np.array([-0.9, -1.05])
    residuals = [scaled(k).judge(x).residual for k in (1.0, 1e3, 1e-3)]
    assert residuals == pytest.approx([residuals[0]] * 3, rel=1e-6)
    assert residuals[0] > 0.01


def test_dependent_gradients_have_multipliers_too():
    """More equalities than variables, all of them through one point."""
    a = np.array([[1.0, 0], [2, 0], [0, 1], [1, 1]])
    problem = Program(
        lambda x: x @ x, [5.0, 5.0], constraints={"all": LinearConstraint(a, a.sum(1), a.sum(1))}
    )
    assert problem.m > problem.n
    verdict = problem.judge(np.ones(2))
    assert verdict.feasible
    assert verdict.residual < 1e-7


def test_multipliers_are_asked_for_with_sizes_that_fit_and_finite_numbers():
    given = {
        "gradient": [1.0, 0.0],
        "jacobian": sp.csr_array([[2.0, 0.0]]),
        "values": [1.0],
        "limits": ([0.0], [1.0]),
        "x": [0.5, 0.0],
        "bounds": ([-1.0, -1.0], [1.0, 1.0]),
    }
    for changed, said in (
        ({"gradient": [1.0]}, r"gradient has shape \(1,\), expected \(2,\)"),
        ({"limits": ([0.0, 0.0], [1.0, 1.0])}, "limits has shape"),
        ({"bounds": ([-1.0], [1.0])}, "bounds has shape"),
        ({"gradient": [np.nan, 0.0]}, "gradient has a NaN"),
        ({"jacobian": np.ones((1, 2))}, "jacobian="),
    ):
        with pytest.raises(feasible.errors.FeasibleError, match=said):
            certificate(**{**given, **changed})


def test_sparse_and_dense_multipliers_agree(monkeypatch):
    rng = np.random.default_rng(0)
    n, m = 12, 6
    x, a = rng.standard_normal(n), rng.standard_normal((m, n))
    values = a @ x
    low = np.where(np.arange(m) < 3, values, values - 1)
    high = np.where(np.arange(m) < 3, values, values + rng.choice([0.0, 1.0], m))
    bounds = np.where(rng.random(n) < 0.3, x, x - 1), np.full(n, INF)
    g = rng.standard_normal(n)
    found = certificate(g, sp.csr_array(a), values, (low, high), x, bounds)
    monkeypatch.setattr(kkt, "DENSE", 0)
    again = certificate(g, sp.csr_array(a), values, (low, high), x, bounds)
    assert again.stationarity == pytest.approx(found.stationarity, abs=1e-6)
    assert again.slackness == pytest.approx(found.slackness, abs=1e-6)


def test_a_large_sparse_program_is_judged_by_sparse_systems():
    """min sum (x_i - 2)^2 with x_i + x_(i+1) <= 2 at all ones: 2,999 of them hold."""
    n = 3000
    chain = sp.diags_array([np.ones(n - 1), np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n))
    rows = LinearConstraint(sp.csr_array(chain), -INF, 2)
    problem = Program(
        lambda x: ((x - 2) ** 2).sum(),
        np.zeros(n),
        jac=lambda x: 2 * (x - 2),
        constraints={"chain": rows},
    )
    verdict = problem.judge(np.ones(n))  # all gradients are -2, and J' y = 2 has y = 2, 0, 2, ...
    assert verdict.feasible
    assert verdict.residual < 1e-6
    assert problem.judge(np.full(n, 0.9)).residual > 0.05


def test_where_the_objective_is_no_number_an_answer_is_not_feasible():
    problem = Program(lambda x: np.log(x[0]), [1.0])
    with np.errstate(all="ignore"):
        verdict = problem.judge(np.array([-1.0]))
    assert verdict.missing
    assert not verdict.feasible
    assert verdict.residual is None


def test_judging_changes_nothing():
    problem = hock_schittkowski("hs43")
    first = problem.judge(problem.x0)
    feasible.solve(problem, "ipopt", budget={"evaluations": 100})
    assert problem.judge(problem.x0) == first


def test_inconsistent_constraints_end_with_the_least_violation_and_its_name():
    rows = {
        "left": LinearConstraint([[1.0, 0]], -INF, -1),
        "right": LinearConstraint([[1.0, 0]], 1, INF),
        "above": LinearConstraint([[0, 1.0]], 0, INF),
    }
    problem = Program(lambda x: x @ x, [5.0, 5.0], constraints=rows)
    for method in (None, "ipopt", "uno", "scipy-slsqp"):
        result = feasible.solve(problem, method, budget={"evaluations": 500})
        assert not result.verdict.feasible
        assert result.verdict.violation >= 1
        note = next(n for n in result.notes if "no feasible point found" in n)
        assert result.verdict.worst in ("left", "right")
        assert f"'{result.verdict.worst}'" in note or result.verdict.worst in note


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "best"),
    {
        "HS6": 0,
        "HS7": -(3**0.5),
        "HS27": 0.04,
        "HS28": 0,
        "HS39": -1,
        "HS40": -0.25,
        "HS42": 28 - 10 * 2**0.5,
        "HS48": 0,
        "HS51": 0,
        "HS52": 1859 / 349,
        "HS56": -3.456,
        "HS77": 0.24150512879,
        "HS78": -2.9197004090,
        "HS79": 0.0787768208711,
        "BT3": 176 / 43,
        "BT5": 961.715172130,
        "BT6": 0.277044788768,
        "BT11": 0.824891778288,
        "BT12": 625 / 101,
        "GENHS28": 0.927173693766,
    }.items(),
)
def test_the_optima_that_were_checked_by_hand_are_reached(name, best):
    problem = feasible.programs.s2mpj(name)
    result = feasible.solve(problem, budget={"evaluations": 1000})
    assert abs(result.verdict.objective - best) <= 1e-7 * max(1, abs(best))
    assert result.verdict.feasible
    assert result.verdict.residual <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["HS61", "BT8", "BYRDSPHR", "HS46", "HS49", "MWRIGHT"])
def test_hard_ends_are_said_as_they_are(name):
    """Where no solver ends at a KKT point by our check, nothing says that one did."""
    problem = feasible.programs.s2mpj(name)
    result = feasible.solve(problem, budget={"evaluations": 1000})
    verdict = problem.judge(result.answer)
    certified = verdict.feasible and verdict.residual is not None and verdict.residual <= 1e-6
    assert certified != ("no solver ended at a KKT point" in result.stopped)
