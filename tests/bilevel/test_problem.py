"""What a bilevel program takes, refuses and charges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import Bounds

from feasible.bilevel import Bilevel, Box, Polyhedron, Simplex, UpperPoint
from feasible.bilevel.sets import Projected
from feasible.core.budget import Meter, active_meter
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    BudgetExhausted,
    FeasibleError,
    NotFinite,
    ShapeError,
    UnsupportedConstraint,
)


def program(**more):
    given = {
        "upper": lambda x, y: ((y - 1) ** 2).sum() + (x**2).sum(),
        "lower": lambda x, y: ((y - x) ** 2).sum(),
        "x0": [0.0, 0.0],
        "y0": [0.0, 0.0],
    }
    return Bilevel(**(given | more))


REFUSED = {
    "a crossing box": ({"x_set": [(1, 0), (0, 1)]}, BoundsError, "low > high"),
    "a box of another length": ({"x_set": Box([0.0] * 3, 1)}, ShapeError, "x_set"),
    "pairs of another length": ({"y_set": [(0, 1)]}, ShapeError, "y_set"),
    "a projection that is not idempotent": (
        {"x_set": lambda v: 0.5 * v},
        ArgumentError,
        "x_set is not idempotent",
    ),
    "a projection to another shape": ({"y_set": lambda v: v[:1]}, ShapeError, "y_set"),
    "a set of another kind": ({"x_set": 3}, ArgumentTypeError, "x_set"),
    "two numbers of the upper level": ({"upper": lambda x, y: y}, ShapeError, "upper"),
    "two numbers of the lower level": ({"lower": lambda x, y: y}, ShapeError, "lower"),
    "no tensor": ({"lower": lambda x, y: 1.0}, ArgumentTypeError, "lower"),
    "a NaN at the start": ({"lower": lambda x, y: y.sum() / 0 * 0}, NotFinite, "lower"),
    "a NaN in x0": ({"x0": [0.0, math.nan]}, NotFinite, "x0"),
    "an empty y0": ({"y0": []}, ShapeError, "y0"),
    "words": ({"x0": ["a", "b"]}, ArgumentTypeError, "x0"),
    "no lower level": ({"lower": None}, ArgumentTypeError, "lower"),
    "no function": ({"upper": 3}, ArgumentTypeError, "upper"),
    "an unknown sense": ({"sense": "hopeful"}, ArgumentError, "sense"),
    "no tolerance": ({"tolerance": 0.0}, ArgumentError, "tolerance"),
    "an integer follower": ({"y_integer": [1]}, UnsupportedConstraint, r"y\[1\]"),
    "a named integer follower": ({"y_integer": ["y[0]"]}, UnsupportedConstraint, r"y\[0\]"),
    "constraints without names": (
        {"lower_constraints": [lambda x, y: y]},
        ArgumentTypeError,
        "lower_constraints",
    ),
    "a matrix of constraints": (
        {"upper_constraints": {"c": lambda x, y: y[None]}},
        ShapeError,
        "upper_constraints",
    ),
    "constraints beside a projection": (
        {"y_set": lambda v: v.clamp(0, 1), "lower_constraints": {"c": lambda x, y: y}},
        UnsupportedConstraint,
        "lower_constraints",
    ),
    "followers that begin nowhere": (
        {"lower": {"a": lambda x, y: y.sum()}, "y0": {"b": [0.0]}},
        ArgumentError,
        "y0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_name(case):
    given, error, said = REFUSED[case]
    with pytest.raises(error, match=said):
        program(**given)
    assert issubclass(error, FeasibleError)


def test_answers_that_do_not_fit_are_refused_and_nan_is_no_number():
    problem = program()
    for wrong in ([0.0], [[0.0]], np.zeros(3)):
        with pytest.raises(ShapeError):
            problem.judge(wrong)
    with pytest.raises(ShapeError):
        problem.judge(UpperPoint(np.zeros(2), np.zeros(3)))
    for nothing in (None, [0.0, math.nan], UpperPoint(np.array([0.0, math.inf]))):
        assert math.isnan(problem.judge(nothing).objective)


def test_an_error_in_a_users_function_travels_on():
    def broken(x, y):
        if y.abs().sum() > 0:
            raise RuntimeError("no mesh")
        return y.sum() ** 2 + ((y - x) ** 2).sum()

    problem = program(lower=broken)
    with pytest.raises(RuntimeError, match="no mesh"):
        problem.judge([1.0, 1.0])


def test_levels_may_be_tensors_of_any_shape_or_by_name():
    matrix = Bilevel(
        lambda x, y: ((y - 1) ** 2).sum(),
        lambda x, y: ((y - x) ** 2).sum(),
        np.zeros((2, 2)),
        np.zeros((2, 2)),
    )
    assert matrix.judge(np.eye(2)).objective == pytest.approx(2.0)
    assert matrix.judge(np.eye(2).reshape(-1)).objective == pytest.approx(2.0)
    named = Bilevel(
        lambda x, y: ((y["w"] - 1) ** 2).sum() + y["b"] ** 2,
        lambda x, y: ((y["w"] - x["a"]) ** 2).sum() + (y["b"] - x["c"].sum()) ** 2,
        {"a": np.zeros((2, 1)), "c": [0.0]},
        {"w": np.zeros((2, 1)), "b": 0.0},
        x_set={"a": Box(0, 1), "c": Simplex(3.0)},
    )
    assert named.judge({"a": [[1.0], [1.0]], "c": [3.0]}).objective == pytest.approx(9.0)
    assert named.judge([1.0, 1.0, 2.0]).violations == {"x_set": 1.0}
    assert named.names == ("a[0][0]", "a[1][0]", "c[0]")
    with pytest.raises(ArgumentError, match="c"):
        named.judge({"a": [[1.0], [1.0]]})


def test_gradients_and_hessian_products_are_charged_apart_and_before():
    problem = program()
    x, y = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    meter = Meter({"gradient_equivalents": 5})
    token = active_meter.set(meter)
    try:
        problem.upper_gradients(x, y)
        problem.lower_gradients(x, y)
        problem.hessian_products(x, y, torch.ones(2, dtype=torch.float64))
        with pytest.raises(BudgetExhausted):
            problem.hessian_products(x, y, torch.ones(2, dtype=torch.float64))
    finally:
        active_meter.reset(token)
    assert meter.spent["gradient_equivalents"] == 4
    assert meter.spent["upper_gradients"] == meter.spent["lower_gradients"] == 1


def test_derivatives_are_those_of_calculus():
    problem = Bilevel(
        lambda x, y: (x * y).sum() ** 2,
        lambda x, y: (x**2 * y**3).sum(),
        [1.0, 2.0],
        [3.0, -1.0],
        maximise_upper=True,
    )
    x, y = problem.x_start, problem.y_start
    value, by_x, by_y = problem.upper_gradients(x, y)
    assert value == -1.0
    assert torch.equal(by_x, -2 * y)
    assert torch.equal(by_y, -2 * x)
    cross, own = problem.hessian_products(x, y, torch.tensor([1.0, 2.0]).double())
    assert torch.allclose(cross, 6 * x * y**2 * torch.tensor([1.0, 2.0]).double())
    assert torch.allclose(own, 6 * x**2 * y * torch.tensor([1.0, 2.0]).double())
    assert all(not t.requires_grad for t in (by_x, by_y, cross, own))


def test_samples_are_asked_for_by_number():
    seen = []

    def lower(x, y, rows):
        seen.append(rows.tolist())
        return ((y - x[rows].mean()) ** 2).sum()

    problem = Bilevel(
        lambda x, y: y.sum(), lower, [0.0, 2.0, 4.0], [0.0], lower_rows=3, x_set=Bounds(0, 5)
    )
    assert problem.judge([0.0, 2.0, 4.0]).objective == pytest.approx(2.0)
    problem.lower_gradients(problem.x_start, problem.y_start, torch.tensor([1]))
    assert seen[-1] == [1]
    assert seen[0] == [0, 1, 2]


def test_projections_are_the_nearest_points():
    rng = np.random.default_rng(4)
    A = rng.standard_normal((3, 4))
    sets = [Box(-0.5, [1, 1, 0, 2]), Simplex(2.0), Polyhedron(A, high=1.0, lower=-1, upper=1)]
    sets.append(Polyhedron(np.ones((1, 4)), high=2.0, low=2.0, lower=0.0))
    for one in sets:
        for _ in range(3):
            v = torch.from_numpy(3 * rng.standard_normal(4))
            at = one.project(v)
            assert torch.allclose(one.project(at), at, atol=1e-7)
            for _ in range(5):  # <v - P v, w - P v> <= 0 at all points w of the set
                w = one.project(torch.from_numpy(3 * rng.standard_normal(4)))
                assert float((v - at) @ (w - at)) <= 1e-6
    v = torch.from_numpy(rng.standard_normal(4))
    assert torch.allclose(sets[1].project(v), sets[3].project(v), atol=1e-7)  # one simplex
    with pytest.raises(ArgumentTypeError):
        Projected(None)
    with pytest.raises(BoundsError):
        Polyhedron(A, high=-1.0, low=1.0)
    with pytest.raises(ShapeError):
        Polyhedron(A, high=[1.0])
