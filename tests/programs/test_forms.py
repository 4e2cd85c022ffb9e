"""Programs of casadi and torch are the same programs."""

from __future__ import annotations

import casadi
import numpy as np
import pytest
import torch

import feasible
from feasible.programs import from_casadi, from_torch
from feasible.programs.instances import hock_schittkowski


def hs71_casadi(**more):
    x, p = casadi.SX.sym("x", 4), casadi.SX.sym("p")
    nlp = {
        "x": x,
        "p": p,
        "f": x[0] * x[3] * casadi.sum1(x[:3]) + x[2],
        "g": casadi.vertcat(casadi.sumsqr(x) - p, x[0] * x[1] * x[2] * x[3]),
    }
    given = {"p": 40, "lbg": [0, 25], "ubg": [0, np.inf]} | more
    return from_casadi(nlp, x0=[1, 5, 5, 1], lbx=1, ubx=5, **given)


def hs71_torch():
    return from_torch(
        lambda x: x[0] * x[3] * x[:3].sum() + x[2],
        [1, 5, 5, 1],
        equal={"sphere": lambda x: x @ x - 40},
        at_most={"product": lambda x: 25 - torch.prod(x)},
        bounds=[(1, 5)] * 4,
    )


@pytest.mark.parametrize("made", [hs71_casadi, hs71_torch])
def test_the_form_is_the_program(made):
    problem, source = made(), hock_schittkowski("hs71")
    x = np.array([1.2, 4.0, 3.5, 1.3])
    assert problem.functions.second_order
    assert problem.objective(x) == pytest.approx(source.objective(x))
    assert problem.gradient(x) == pytest.approx(source.gradient(x))
    sign = np.where(problem.row_high == np.inf, 1.0, -1.0) if made is hs71_torch else np.ones(2)
    sign[0] = 1.0
    jacobian = sign[:, None] * problem.jacobian(x).toarray()
    assert jacobian == pytest.approx(source.jacobian(x).toarray())
    y = np.array([0.3, -0.7])
    hessian = problem.hess_lag(x, 1.5, sign * y).toarray()
    assert hessian == pytest.approx(source.hess_lag(x, 1.5, y).toarray())
    result = feasible.solve(problem, budget={"evaluations": 200})
    assert result.verdict.objective == pytest.approx(17.0140172891563, rel=1e-7)


def test_what_casadi_does_not_know_is_refused():
    x = casadi.SX.sym("x")
    with pytest.raises(feasible.errors.ArgumentError, match="nlp has no 'f'"):
        from_casadi({"x": x})
    with pytest.raises(feasible.errors.ArgumentError, match="key 'h'"):
        from_casadi({"x": x, "f": x, "h": x})
    with pytest.raises(feasible.errors.ArgumentError, match="p="):
        hs71_casadi(p=None)
    with pytest.raises(feasible.errors.BoundsError, match="lbg, ubg cross"):
        hs71_casadi(lbg=[1, 0], ubg=[0, 0])


def test_casadis_parameters_need_as_many_values():
    x, p = casadi.SX.sym("x"), casadi.SX.sym("p", 2)
    nlp = {"x": x, "f": (x - p[0]) ** 2 + p[1], "p": p}
    assert from_casadi(nlp, p=[3.0, 1.0]).objective(np.ones(1)) == 5
    for bad, error in (([1.0, 2.0, 3.0], feasible.errors.ShapeError), ("text", ValueError)):
        with pytest.raises(error, match=r"\bp\b"):
            from_casadi(nlp, p=bad)


def test_two_constraints_of_one_name_and_what_is_no_function_are_refused():
    with pytest.raises(feasible.errors.ArgumentError, match="two constraints"):
        from_torch(sum, [1.0], equal={"a": sum}, at_most={"a": sum})
    with pytest.raises(feasible.errors.ArgumentTypeError, match="'a' is no function"):
        from_torch(sum, [1.0], equal={"a": 1})
