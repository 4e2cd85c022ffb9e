"""`minimize` is called like SciPy's and gives what was measured."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
from scipy import optimize
from scipy.optimize import NonlinearConstraint

import feasible
from feasible.programs import minimize
from feasible.programs.instances import hock_schittkowski

DISC = NonlinearConstraint(lambda x: x @ x, -np.inf, 2, jac=lambda x: 2 * x)


def solved(method=None, **more):
    call = {"jac": lambda x: np.ones(2), "constraints": {"disc": DISC}, **more}
    return minimize(lambda x: x.sum(), [1.0, 0.0], method=method, **call)


def test_the_arguments_are_those_of_scipy():
    ours, theirs = (inspect.signature(f).parameters for f in (minimize, optimize.minimize))
    shared = [name for name in theirs if name != "tol"]
    assert set(shared) <= set(ours)
    assert list(ours)[:6] == list(theirs)[:6]


@pytest.mark.parametrize("method", [None, "SLSQP", "trust-constr", "COBYQA", "ipopt", "uno"])
def test_the_result_has_scipys_fields_and_the_judges_figures(method):
    found = solved(method)
    assert isinstance(found, optimize.OptimizeResult)
    assert found.success
    assert found.status == 0
    assert found.x == pytest.approx([-1, -1], abs=1e-4)
    assert found.multipliers["disc"] == pytest.approx([0.5], abs=1e-4)
    assert found.kkt_residual < 1e-4
    assert found.maxcv == max(found.violations.values()) <= 1e-6
    assert found.nfev > 0
    assert found.nit > 0


def test_watching_and_measuring_repeat_no_call_of_the_users_function():
    def calls(**more):
        points = []

        def fun(x):
            points.append(x.tobytes())
            return (x - 1) @ (x - 1)

        found = minimize(fun, [3.0, -2.0], method="SLSQP", **more)
        return points, found

    plain, found = calls()
    watched, _ = calls(callback=lambda intermediate_result: None)
    assert watched == plain
    # at the answer: its value, then central differences once
    assert len(plain) - found.nfev <= 1 + 2 * 2
    assert found.jac == pytest.approx(np.zeros(2), abs=1e-5)


def test_multipliers_are_stationary_with_scipys_signs():
    problem = hock_schittkowski("hs71")
    found = minimize(
        problem.fun,
        problem.x0,
        jac=problem.jac,
        hess=problem.hess,
        bounds=problem.bounds,
        constraints=problem.constraints,
    )
    assert found.multipliers["positive"] < 0  # a lower limit that holds
    y = np.concatenate([found.multipliers["zero"], found.multipliers["positive"]])
    left = found.jac + problem.jacobian(found.x).T @ y
    assert left[1:] == pytest.approx(np.zeros(3), abs=1e-6)  # x[0] is at its bound
    assert left[0] > 0


def test_a_callback_sees_each_iterate_and_may_end_the_run():
    seen = []

    def watch(intermediate_result):
        seen.append(intermediate_result)
        if len(seen) == 3:
            raise StopIteration

    found = solved("SLSQP", callback=watch)
    assert len(seen) == 3
    assert np.array_equal(found.x, seen[-1].x)
    assert "callback" in found.message
    assert seen[0].violations.keys() == {"disc"}
    assert seen[0].maxcv == seen[0].violations["disc"]
    assert seen[0].fun == seen[0].x.sum()
    assert seen[0].constraints["disc"] == pytest.approx([seen[0].x @ seen[0].x])
    shown = []
    solved("ipopt", callback=lambda r: shown.append(r.multipliers["disc"].item()))
    assert shown[-1] == pytest.approx(0.5, abs=1e-6)


class Broken(Exception):
    """An exception of the user's own."""


@pytest.mark.parametrize("method", ["SLSQP", "ipopt", "uno", "sqpmethod"])
@pytest.mark.parametrize("options", [None, {"maxfev": 50}])
def test_an_exception_in_the_callback_or_the_function_travels_on(method, options):
    def broken(_):
        raise Broken

    with pytest.raises(Broken):
        solved(method, callback=broken, options=options)
    with pytest.raises(Broken):
        solved(method, jac=broken, options=options)
    with pytest.raises(Broken):
        minimize(broken, [1.0], method="SLSQP", options={"ftol": 1e-3})


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "ipopt", "uno", "sqpmethod", "nlp"])
@pytest.mark.parametrize("where", ["fun", "jac", "callback"])
def test_an_exception_carries_what_had_been_found(method, where):
    """x[0] + x[1] on the disc of radius sqrt(2), from (0.5, 0)."""
    calls, own = [], {"fun": np.sum, "jac": np.ones_like, "callback": lambda _: None}

    def breaks(*args, **named):
        calls.append(1)
        if len(calls) == 4:
            raise Broken(where)
        return own[where](*args, *named.values())

    with pytest.raises(Broken) as raised:
        minimize(
            **{"fun": np.sum, "jac": np.ones_like, "callback": None, where: breaks},
            x0=[0.5, 0.0],
            method=method,
            constraints={"disc": DISC},
        )
    found = raised.value.result
    assert found.fun == found.x.sum()
    assert found.message.startswith(f"Broken: {where}")
    assert found.violations.keys() == {"disc"}
    assert found.nfev >= 1
    assert pickle.loads(pickle.dumps(raised.value)).result.fun == found.fun


def test_options_are_the_methods_settings_and_the_evaluations():
    assert solved("SLSQP", options={"maxfev": 4}).nfev == 4
    assert "Iteration limit" in solved("SLSQP", options={"maxiter": 2}).message
    with pytest.raises(feasible.errors.ArgumentError, match="no setting 'maxit'"):
        solved("SLSQP", options={"maxit": 2})
    with pytest.raises(feasible.errors.UnknownName, match="expected one of"):
        solved("simplex")
    with pytest.raises(feasible.errors.WrongProblem, match="solves BlackBox"):
        solved("cma-es")
    with pytest.raises(feasible.errors.ArgumentTypeError, match="callback"):
        solved("SLSQP", callback=3)


def test_what_is_not_feasible_is_no_success():
    apart = {
        "left": {"type": "ineq", "fun": lambda x: -1 - x[0]},
        "right": {"type": "ineq", "fun": lambda x: x[0] - 1},
    }
    found = solved("SLSQP", constraints=apart)
    assert not found.success
    assert found.status == 2
    assert found.maxcv >= 1
    stopped = solved("SLSQP", options={"maxfev": 1})
    assert not stopped.success
    assert stopped.status == 1  # feasible, not stationary


def test_multipliers_of_an_earlier_result_are_a_start():
    first = solved("ipopt")
    again = minimize(
        lambda x: x.sum(),
        first.x,
        jac=lambda x: np.ones(2),
        constraints={"disc": DISC},
        method="ipopt",
        multipliers=first.multipliers,
    )
    assert again.success
    assert again.nit < first.nit
