"""Other libraries' solvers see the problem that was stated, and nothing they meet is swallowed."""

from __future__ import annotations

import cyipopt
import numpy as np
import pytest
from scipy import optimize
from scipy.optimize import NonlinearConstraint

import feasible
from feasible.core.registry import methods
from feasible.programs import Program
from feasible.programs.instances import hock_schittkowski

PEERS = [e for e in methods().values() if e.solves == "Program" and e.peer]
NAMES = sorted(e.name for e in PEERS if e.example == "hs71")
FREE = sorted(e.name for e in PEERS if e.example != "hs71")
"""Those that take no constraints."""
DERIVATIVES = [n for n in NAMES if n != "scipy-cobyqa"]


def rosen_suzuki(seen=None, **replaced):
    """A program of four variables, whose function notes the points that it is asked for."""
    source = hock_schittkowski("hs43")
    limits = source.constraints["positive"]

    def fun(x):
        if seen is not None:
            seen.append(x.copy())
        return source.fun(x)

    given = {"fun": fun, "jac": source.jac, "hess": source.hess, "limits": limits.fun} | replaced
    rows = NonlinearConstraint(given["limits"], 0, np.inf, jac=limits.jac, hess=limits.hess)
    return Program(
        given["fun"],
        source.x0,
        jac=given["jac"],
        hess=given["hess"],
        bounds=[(-5, 5)] * 4,
        constraints={"limits": rows},
    )


def distinct(points):
    """Points in the order in which they first came."""
    return list(dict.fromkeys(p.tobytes() for p in points))


@pytest.mark.parametrize("name", NAMES)
def test_each_solves_a_small_program(name):
    result = feasible.solve("hs71", name, budget={"evaluations": 2000})
    assert result.verdict.objective == pytest.approx(17.0140172891563, rel=1e-5)
    assert result.verdict.feasible
    assert result.verdict.residual < 1e-4
    assert len(result.trail) > 2  # what it offers on its way is judged


@pytest.mark.parametrize("name", FREE)
def test_each_without_constraints_solves_a_smooth_program_and_refuses_others(name):
    smooth = Program(optimize.rosen, [-1.2, 1.0], optimize.rosen_der, optimize.rosen_hess)
    result = feasible.solve(smooth, name, budget={"evaluations": 500})
    assert result.verdict.objective < 1e-12
    assert result.verdict.residual < 1e-6
    assert len(result.trail) > 2
    with pytest.raises(feasible.errors.WrongProblem, match="has the constraint 'zero'"):
        feasible.solve("hs71", name, budget={"evaluations": 500})


def test_of_those_without_constraints_one_takes_bounds():
    bounded = {"x0": [-1.2, 0.5], "jac": optimize.rosen_der, "bounds": [(None, 0.8)] * 2}
    result = feasible.solve(Program(optimize.rosen, **bounded), "scipy-l-bfgs-b", budget=500)
    assert result.answer.x == pytest.approx([0.8, 0.64], abs=1e-5)
    with pytest.raises(feasible.errors.WrongProblem, match="has bounds"):
        feasible.solve(Program(optimize.rosen, **bounded), "scipy-newton-cg", budget=500)


@pytest.mark.parametrize("method", ["trust-exact", "trust-ncg", "Newton-CG", "L-BFGS-B"])
def test_scipy_sees_the_points_of_a_smooth_program_that_it_would_see_directly(method, monkeypatch):
    through: list[np.ndarray] = []
    direct: list[np.ndarray] = []

    def noting(seen):
        return lambda x: (seen.append(x.copy()), optimize.rosen(x))[1]

    derivatives = {"jac": optimize.rosen_der}
    if method == "trust-exact":
        derivatives["hess"] = optimize.rosen_hess
    elif method != "L-BFGS-B":
        derivatives["hessp"] = optimize.rosen_hess_prod
    problem = Program(noting(through), [-1.2, 1.0, 0.5], **derivatives)
    monkeypatch.setattr(Program, "judge", lambda self, answer: feasible.Verdict(0.0))
    solver = f"scipy-{method.lower()}"
    feasible.solve(problem, solver, budget={"evaluations": 5000})
    options = feasible.core.registry.load_method(solver).options()
    optimize.minimize(
        noting(direct), [-1.2, 1.0, 0.5], method=method, options=options, **derivatives
    )
    assert len(distinct(through)) > 5
    assert distinct(through) == distinct(direct)


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "COBYQA"])
def test_scipy_sees_the_points_that_it_would_see_if_it_were_called_directly(method, monkeypatch):
    through: list[np.ndarray] = []
    problem = rosen_suzuki(through)
    monkeypatch.setattr(Program, "judge", lambda self, answer: feasible.Verdict(0.0))
    through.clear()
    feasible.solve(problem, f"scipy-{method.lower()}", budget={"evaluations": 5000})

    direct: list[np.ndarray] = []
    same = rosen_suzuki(direct)
    direct.clear()
    rows = same.constraints["limits"]
    derivatives = {} if method == "COBYQA" else {"jac": same.jac}
    if method == "trust-constr":
        derivatives["hess"] = same.hess
    optimize.minimize(
        same.fun,
        same.x0,
        method=method,
        bounds=optimize.Bounds(same.low, same.high),
        constraints=[rows],
        **derivatives,
    )
    assert len(distinct(through)) > 5
    assert distinct(through) == distinct(direct)


def test_ipopt_sees_the_points_that_it_would_see_if_it_were_called_directly(monkeypatch):
    through: list[np.ndarray] = []
    problem = rosen_suzuki(through)
    monkeypatch.setattr(Program, "judge", lambda self, answer: feasible.Verdict(0.0))
    through.clear()
    feasible.solve(problem, "ipopt", budget={"evaluations": 5000})

    direct: list[np.ndarray] = []
    same = rosen_suzuki(direct)
    rows = same.constraints["limits"]
    tri = np.tril_indices(4)

    class Direct:
        objective = staticmethod(same.fun)
        gradient = staticmethod(same.jac)
        constraints = staticmethod(rows.fun)
        jacobian = staticmethod(lambda x: rows.jac(x).ravel())
        hessianstructure = staticmethod(lambda: tri)

        def hessian(self, x, y, sigma):
            return (sigma * same.hess(x) + rows.hess(x, y))[tri]

    direct.clear()
    nlp = cyipopt.Problem(
        4, 3, problem_obj=Direct(), lb=same.low, ub=same.high, cl=np.zeros(3), cu=np.full(3, np.inf)
    )
    nlp.add_option("print_level", 0)
    nlp.add_option("sb", "yes")
    nlp.solve(same.x0)
    assert len(distinct(through)) > 5
    assert distinct(through) == distinct(direct)


class Broken(Exception):
    """An exception of the user's own."""


@pytest.mark.parametrize("where", ["fun", "limits", "jac"])
@pytest.mark.parametrize("name", NAMES)
def test_an_exception_of_the_users_function_travels_on(name, where, monkeypatch):
    if where == "jac" and name == "scipy-cobyqa":
        where = "fun"
    source, calls = hock_schittkowski("hs43"), []
    own = {"fun": source.fun, "jac": source.jac, "limits": source.constraints["positive"].fun}

    def breaks(x):
        calls.append(1)
        if len(calls) > 2:
            raise Broken(where)
        return own[where](x)

    monkeypatch.setattr(Program, "judge", lambda self, answer: feasible.Verdict(0.0))
    problem = rosen_suzuki(**{where: breaks})
    with pytest.raises(Broken, match=where):
        feasible.solve(problem, name, budget={"evaluations": 500})
    assert len(calls) == 3  # after it nothing more is asked


@pytest.mark.parametrize("name", sorted({*NAMES} - {"casadi-sqpmethod"}))
def test_a_step_out_of_the_domain_is_shortened(name):
    """min 3 x - log x from x = 4, where a Newton step leads below 0. (casadi's SQP gives up.)"""

    def fun(x):
        return 3 * x[0] - np.log(x[0]) if x[0] > 0 else np.nan

    problem = Program(
        fun, [4.0], jac=lambda x: np.array([3 - 1 / x[0]]), hess=lambda x: np.array([[x[0] ** -2]])
    )
    result = feasible.solve(problem, name, budget={"evaluations": 500})
    assert result.answer.x == pytest.approx([1 / 3], abs=2e-3)


@pytest.mark.parametrize("name", [*NAMES, "nlp"])
def test_a_start_outside_the_domain_is_said_and_is_no_answer(name):
    problem = Program(lambda x: np.log(x[0]) if x[0] > 0 else np.nan, [-1.0])
    result = feasible.solve(problem, name, budget={"evaluations": 100})
    assert not result.verdict.feasible
    assert any("the objective was never measured" in note for note in result.notes)
    assert np.isfinite(result.answer.x).all()


@pytest.mark.parametrize("name", [*NAMES, "nlp"])
def test_more_equalities_than_variables_are_solved_or_end_with_a_status(name):
    a = np.array([[1.0, 0], [2, 0], [0, 1], [1, 1]])
    problem = Program(
        lambda x: x @ x,
        [5.0, 5.0],
        jac=lambda x: 2 * x,
        hess=lambda x: 2 * np.eye(2),
        constraints={"all": NonlinearConstraint(lambda x: a @ x - a.sum(1), 0, 0, lambda x: a,
                                                lambda x, v: np.zeros((2, 2)))},
    )  # fmt: skip
    result = feasible.solve(problem, name, budget={"evaluations": 500})
    assert result.stopped
    if name in ("nlp", "uno", "scipy-cobyqa"):
        assert result.answer.x == pytest.approx([1, 1], abs=1e-5)
    else:
        assert result.verdict.feasible or result.notes


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_ends_a_solver_with_the_best_that_it_had(name):
    result = feasible.solve("hs71", name, budget={"evaluations": 4})
    assert result.spent["evaluations"] <= 4
    assert "budget used up" in result.stopped
    assert result.answer is not None


@pytest.mark.parametrize("name", ["ipopt", "uno"])
def test_a_solve_that_begins_at_its_answer_takes_less(name):
    cold = feasible.solve("hs71", name, budget={"evaluations": 200})
    problem = hock_schittkowski("hs71")
    warm = Program(
        problem.fun,
        cold.answer.x,
        jac=problem.jac,
        hess=problem.hess,
        bounds=problem.bounds,
        constraints=problem.constraints,
        multipliers=cold.answer.multipliers,
    )
    again = feasible.solve(warm, name, budget={"evaluations": 200})
    assert again.spent["gradients"] < cold.spent["gradients"]
    assert again.verdict.objective == pytest.approx(cold.verdict.objective, rel=1e-7)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_differences_of_values_are_enough(name):
    exact = rosen_suzuki()
    rows = {"limits": {"type": "ineq", "fun": exact.constraints["limits"].fun}}
    problem = Program(exact.fun, exact.x0, constraints=rows)
    result = feasible.solve(problem, name, budget={"evaluations": 20000})
    assert result.verdict.objective == pytest.approx(-44, abs=1e-2)
    assert "gradients" not in result.spent
