"""SciPy's constraints of a black box, and functions of many points at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from one_point import BOX, one, raising, square, status
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.sparse import csr_array
from tiny import go

from feasible.blackbox import BlackBox
from feasible.core.errors import ArgumentError, ArgumentTypeError, LimitError, ShapeError

# -- SciPy's constraints ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraint", "violation"),
    [
        (NonlinearConstraint(lambda x: x[0] + x[1], 1, np.inf), {"c1": 0.25}),
        (NonlinearConstraint(lambda x: x[0] + x[1], 0, 0.5), {"c1": 0.5}),
        (NonlinearConstraint(square, [0.1, 0.1], [1, 0.3]), {"c1[0]": 0.0375, "c1[1]": 2 / 3}),
        (NonlinearConstraint(square, 0.1, 0.3), {"c1[0]": 0.125, "c1[1]": 2 / 3}),
        (LinearConstraint([[1, 1]], ub=0.5), {"c1": 0.5}),
        (LinearConstraint([[1, 1], [1, -1]], [0, 0], [0.5, 1]), {"c1[0]": 0.5, "c1[1]": 0.25}),
        (LinearConstraint(csr_array(np.array([[1.0, 1.0]])), ub=0.5), {"c1": 0.5}),
        (LinearConstraint([1, 1], ub=[0.5]), {"c1": 0.5}),
        ({"type": "ineq", "fun": lambda x: x[0] - 0.5}, {"c1": 0.25}),
        ({"type": "ineq", "fun": lambda x: 0.5 - x[0]}, {"c1": 0.0}),
        ({"type": "eq", "fun": lambda x: x[0] - 0.5}, {"c1": 0.25}),
        ({"type": "ineq", "fun": lambda x, a: x[0] - a, "args": (0.5,)}, {"c1": 0.25}),
        ({"type": "ineq", "fun": square}, {"c1[0]": 0.0, "c1[1]": 0.0}),
        (NonlinearConstraint(square, [-np.inf, 0.6], [np.inf, 1]), {"c1[1]": 0.1}),
    ],
)
def test_scipys_constraints_mean_what_scipy_says(constraint, violation):
    for form in (constraint, [constraint]):
        problem = BlackBox(lambda x: 1.0, BOX, constraints=form)
        verdict = problem.judge(one(problem))
        assert dict(verdict.violations) == pytest.approx(violation)
        assert verdict.violation == pytest.approx(max(violation.values()))


def test_constraints_have_names_when_they_are_given_by_name():
    problem = BlackBox(
        lambda x: 1.0,
        BOX,
        constraints={
            "reach": NonlinearConstraint(square, 0.1, 0.3),
            "sum": LinearConstraint([[1, 1]], ub=0.5),
        },
    )
    assert set(problem.judge(one(problem)).violations) == {"reach[0]", "reach[1]", "sum"}


def test_constraints_and_limits_work_side_by_side_also_vectorised():
    for vectorized in (False, True):
        problem = BlackBox(
            (lambda x: {"cost": x[..., 0], "stress": x[..., 1]}),
            BOX,
            vectorized=vectorized,
            objective="cost",
            limits={"stress": "<= 0.3"},
            constraints={"sum": LinearConstraint([[1, 1]], ub=0.5)},
        )
        assert dict(problem.judge(one(problem)).violations) == pytest.approx(
            {"sum": 0.5, "stress": 2 / 3}
        )


def test_keep_feasible_makes_a_constraint_known_and_free():
    tried = []
    problem = BlackBox(
        lambda x: tried.append(x) or x[0],
        BOX,
        constraints=[
            NonlinearConstraint(lambda x: x[0], 0.5, 1, keep_feasible=True),
            LinearConstraint([[1, 1]], ub=1.5, keep_feasible=True),
        ],
    )
    assert problem.limits.names == ()
    assert problem.allowed(np.array([[0.4, 0], [0.6, 0], [0.9, 0.9]])).tolist() == [
        False,
        True,
        False,
    ]
    go(problem, 12)
    assert len(tried) == 12
    assert all(x[0] >= 0.5 and x.sum() <= 1.5 for x in tried)


@pytest.mark.parametrize(
    ("constraint", "error"),
    [
        (lambda x: x[0], ArgumentTypeError),
        (3, ArgumentTypeError),
        ({"type": "less", "fun": square}, ArgumentError),
        ({"type": "ineq", "fun": 3}, ArgumentError),
        (LinearConstraint(np.ones((1, 3)), 0, 1), ShapeError),
        (NonlinearConstraint(square, [0, 0], [1, 1, 1]), ShapeError),
        (NonlinearConstraint(square, 2, 1), LimitError),
        (NonlinearConstraint(square, -np.inf, np.inf), LimitError),
        (NonlinearConstraint(square, np.nan, 1), LimitError),
    ],
)
def test_a_constraint_that_makes_no_sense_is_refused_by_name(constraint, error):
    with pytest.raises(error, match="'c1"):
        BlackBox(lambda x: 1.0, BOX, constraints=[constraint])


def test_a_constraint_that_raises_or_changes_its_size_is_a_failed_evaluation():
    assert (
        status(BlackBox(lambda x: 1.0, BOX, constraints=NonlinearConstraint(raising, 0, 1)))[1]
        == "ValueError: mesh failed"
    )
    assert (
        "returned 2 values, expected 3"
        in status(
            BlackBox(lambda x: 1.0, BOX, constraints=NonlinearConstraint(square, [0, 0, 0], 1))
        )[1]
    )


# -- vectorised ------------------------------------------------------------------------------------

FORMS = {
    "number": (lambda x: x[..., 0] + x[..., 1], {}),
    "pair": (
        lambda x: (x[..., 0], np.stack([x[..., 1], 2 * x[..., 0]], axis=-1)),
        {"limits": ["<= 0.5", ">= 0.5"]},
    ),
    "pair of numbers": (lambda x: (x[..., 0], x[..., 1]), {"limits": ["<= 0.5"]}),
    "array": (lambda x: np.stack([x[..., 0], x[..., 1]], axis=-1), {"limits": ["<= 0.5"]}),
    "mapping": (
        lambda x: {"stress": x[..., 1], "cost": x[..., 0], "mass": 3 * x[..., 0]},
        {"limits": {"stress": "in [0.2, 0.5]"}, "objective": "cost"},
    ),
    "unnamed": (
        lambda x: {"stress": x[..., 1], "cost": x[..., 0]},
        {"limits": {"stress": "<= 0.5"}},
    ),
    "constraints": (
        lambda x: x[..., 0],
        {
            "constraints": [
                NonlinearConstraint(lambda x: x[0] * x[1], 0.1, np.inf),
                LinearConstraint([[1, 1]], ub=1),
            ]
        },
    ),
    "both": (
        lambda x: (x[..., 0], x[..., 1]),
        {"limits": ["<= 0.5"], "constraints": {"c": NonlinearConstraint(square, 0.1, 0.9)}},
    ),
    "maximised": (lambda x: x[..., 0], {"maximize": True}),
    "nan": (lambda x: np.where(x[..., 0] > 0.5, np.nan, x[..., 0]), {}),
    "infeasible": (
        lambda x: {"stress": x[..., 0] + 1},
        {"limits": {"stress": "<= 0.5"}, "objective": "cost"},
    ),
    "failing constraint": (
        lambda x: x[..., 0],
        {"constraints": NonlinearConstraint(lambda x: 1 / 0 if x[0] > 0.5 else 1.0, 0, 2)},
    ),
    "huge": (lambda x: 1e200 * x[..., 0], {}),
}


@pytest.mark.parametrize("form", FORMS)
@given(x=arrays(float, (3, 2), elements=st.floats(0, 1)))
def test_vectorised_equals_one_by_one(form, x):
    fun, options = FORMS[form]
    many = BlackBox(fun, BOX, vectorized=True, **options).evaluate(x)
    single = BlackBox(fun, BOX, **options).evaluate(x)
    assert many.columns == single.columns
    for name in ("x", "objective", "constraints", "values", "status"):
        assert np.array_equal(getattr(many, name), getattr(single, name), equal_nan=True), name
    assert many.reason == single.reason


@pytest.mark.parametrize(
    ("fun", "options", "said"),
    [
        (lambda x: 1.0, {}, "expected (2,)"),
        (lambda x: np.ones(3), {}, "expected (2,)"),
        (lambda x: np.ones((2, 3)), {}, "expected (2,)"),
        (lambda x: np.ones(2), {"limits": ["<= 1"]}, "expected (2, 2)"),
        (lambda x: (np.ones(2), np.ones((3, 2))), {"limits": ["<= 1", "<= 2"]}, "expected (2, 2)"),
        (lambda x: {"cost": np.ones(3)}, {}, "expected (2,)"),
        (lambda x: {"cost": 1.0}, {}, "expected (2,)"),
        (raising, {}, "ValueError: mesh failed"),
        (lambda x: None, {}, "returned None"),
        (lambda x: {}, {}, "no value for the objective"),
        (lambda x: np.array(["a", "b"]), {}, "expected a number"),
    ],
)
def test_a_vectorised_function_that_goes_wrong_fails_its_batch_with_a_reason(fun, options, said):
    seen = BlackBox(fun, BOX, vectorized=True, **options).evaluate(np.zeros((2, 2)))
    assert seen.status.tolist() == [2, 2]
    assert all(said in seen.reason[i] for i in range(2))


def test_large_numbers_raise_no_warning():
    for vectorized in (False, True):
        problem = BlackBox(
            lambda x: x[..., 0] * 0 + 1e300,
            [(-1e200, 1e200), (-math.inf, math.inf)],
            vectorized=vectorized,
        )
        with np.errstate(all="raise"):
            assert one(problem, [[1e200, 1e300]]).objective == 1e300
