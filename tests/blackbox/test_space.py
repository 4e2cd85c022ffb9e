"""The box: every point that is evaluated lies inside it, whole numbers are whole, and bounds that
make no sense are refused.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint

from feasible.blackbox.space import (
    Categorical,
    Integer,
    Real,
    Space,
    Variable,
    known_constraint,
    sample_allowed,
)
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    NothingAllowed,
    ShapeError,
)

INF = math.inf


@st.composite
def spaces(draw):
    variables = []
    for i in range(draw(st.integers(1, 4))):
        low = draw(st.floats(-1e6, 1e6))
        high = low + draw(st.floats(0, 1e6))
        kind = draw(st.sampled_from(["real", "integer", "choice", "open", "log"]))
        if kind == "integer" and math.floor(high) >= math.ceil(low):
            variables.append(Variable(f"v{i}", low, high, integer=True))
        elif kind == "choice":
            variables.append(Categorical(f"v{i}", list(range(draw(st.integers(1, 5))))))
        elif kind == "open":
            variables.append(
                Variable(
                    f"v{i}",
                    draw(st.sampled_from([low, -INF])),
                    draw(st.sampled_from([high, INF])),
                    integer=draw(st.booleans()) and math.floor(high) >= math.ceil(low),
                )
            )
        elif kind == "log":
            variables.append(
                Real(
                    f"v{i}",
                    abs(low) + 1e-3,
                    max(abs(low) + 1e-3 + high - low, abs(low) + 1e-3),
                    log=True,
                )
            )
        else:
            variables.append(Real(f"v{i}", low, high))
    return Space(variables)


def inside(space, x):
    whole = x[:, space.integer]
    return (x >= space.low).all() and (x <= space.high).all() and (whole == np.round(whole)).all()


@given(
    spaces().flatmap(
        lambda s: st.tuples(
            st.just(s),
            arrays(float, (3, s.d), elements=st.floats(allow_nan=False, allow_infinity=False)),
        )
    )
)
def test_snapped_points_lie_inside_and_are_whole_where_they_must(given_):
    space, x = given_
    assert inside(space, space.snap(x))


@given(
    spaces().flatmap(
        lambda s: st.tuples(st.just(s), arrays(float, (3, s.d), elements=st.floats(-1e7, 1e7)))
    )
)
def test_snapping_again_changes_nothing_and_the_given_points_are_left_alone(given_):
    space, x = given_
    before = x.copy()
    once = space.snap(x)
    assert np.array_equal(space.snap(once), once)
    assert np.array_equal(x, before)


@given(
    spaces()
    .filter(lambda s: s.bounded)
    .flatmap(lambda s: st.tuples(st.just(s), arrays(float, (3, s.d), elements=st.floats(0, 1))))
)
def test_points_from_the_unit_cube_lie_inside(given_):
    space, u = given_
    assert inside(space, space.from_unit(u))


def test_every_whole_number_and_category_gets_an_equal_share_of_the_unit_cube():
    space = Space([Integer("n", 1, 4), Categorical("c", ["a", "b", "c"])])
    u = (np.arange(1200) + 0.5) / 1200
    x = space.from_unit(np.column_stack([u, u]))
    assert np.unique(x[:, 0], return_counts=True)[1].tolist() == [300] * 4
    assert np.unique(x[:, 1], return_counts=True)[1].tolist() == [400] * 3


def test_a_log_variable_spends_as_much_of_the_unit_cube_on_every_decade():
    space = Space([Real("rate", 1e-4, 1, log=True)])
    assert space.from_unit(np.array([[0.0], [0.25], [0.5], [1.0]])).ravel() == pytest.approx(
        [1e-4, 1e-3, 1e-2, 1]
    )
    assert space.unit(np.array([[1e-2]]))[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ([(2, 1)], "'x1' cross: low 2 is above high 1"),
        (Bounds([0, 5], [1, 3]), "'x2' cross"),
        ({"h": (math.nan, 1)}, "'h': got nan and 1"),
        ([], "empty"),
        ({}, "empty"),
        ([(INF, INF)], "no number lies between"),
        ([(-INF, -INF)], "no number"),
        ([(-1e308, 1.7e308)], "too far apart"),
    ],
)
def test_bounds_that_make_no_sense_are_refused_by_name(bounds, said):
    with pytest.raises(BoundsError, match=said):
        Space.of(bounds)


def test_a_whole_number_must_fit_between_its_bounds():
    with pytest.raises(BoundsError, match=r"no whole number lies between 0.2 and 0.8"):
        Variable("n", 0.2, 0.8, integer=True)


def test_a_log_scale_needs_positive_bounds():
    with pytest.raises(BoundsError, match="log scale needs low > 0"):
        Real("rate", 0, 1, log=True)


class Sides:
    lb, ub = [0, 0], [1, 1, 1]


@pytest.mark.parametrize("bounds", [3, "0,1", None, (0, 1), [(0,)], [("a", "b")], {"h": 3}, Sides])
def test_what_is_no_bounds_is_refused(bounds):
    with pytest.raises((ArgumentError, ArgumentTypeError), match="bounds"):
        Space.of(bounds)


def test_bounds_come_in_many_forms():
    boxes = [
        Bounds([0, 1], [2, 3]),
        [(0, 2), (1, 3)],
        np.array([[0, 2], [1, 3]]),
        {"x1": (0, 2), "x2": (1, 3)},
        [Real("x1", 0, 2), Real("x2", 1, 3)],
        Space.of([(0, 2), (1, 3)]),
    ]
    for box in boxes:
        space = Space.of(box)
        assert (space.low.tolist(), space.high.tolist(), space.names) == (
            [0, 1],
            [2, 3],
            ("x1", "x2"),
        )


def test_old_style_bounds_with_none_are_open():
    space = Space.of([(None, 2), (0, None)])
    assert (space.low.tolist(), space.high.tolist()) == ([-INF, 0], [2, INF])
    with pytest.raises(BoundsError, match=r"'x1' lies in \[-inf, 2\]"):
        space.from_unit(np.zeros((1, 2)))


def test_units_come_with_the_bounds():
    assert Space.of({"h": (0, 1, "mm")}).variables[0].title == "h [mm]"


def test_names_may_not_repeat():
    with pytest.raises(ArgumentError, match="'h' stands twice"):
        Space([Real("h", 0, 1), Real("h", 0, 1)])


@pytest.mark.parametrize("choices", [[], ["a", "a"], [1, "1"], "abc"])
def test_choices_are_different_also_as_text(choices):
    with pytest.raises(ArgumentError, match="choices of 'c'"):
        Categorical("c", choices)


def test_points_by_name_and_as_vectors_are_the_same():
    space = Space([Real("h", 0, 1), Integer("n", 0, 9), Categorical("c", ["a", "b"])])
    assert (
        space.vector({"h": 0.5, "n": 3, "c": "b"}).tolist()
        == space.vector([0.5, 3, 1]).tolist()
        == [0.5, 3, 1]
    )
    assert space.mapping(np.array([0.5, 3.0, 1.0])) == {"h": 0.5, "n": 3, "c": "b"}
    assert type(space.mapping(np.array([0.5, 3.0, 1.0]))["n"]) is int


@pytest.mark.parametrize(
    ("point", "error", "said"),
    [
        ([1.25, 0], BoundsError, r"x0: h = 1.25 is outside \[0, 1\], by 0.25 past 1"),
        ([-1e-8, 0], BoundsError, r"h = -1e-08 .* by 1e-08 past 0"),
        ([math.nan, 0], BoundsError, "h is not a finite number"),
        ([0.5], ShapeError, "1 entries, expected 2: h, n"),
        ({"h": 0.5}, ArgumentError, "no value for n"),
        ({"h": "tall", "n": 1}, ArgumentError, "h = 'tall': expected a number"),
        ("abc", ArgumentError, "expected 2 numbers"),
        ([[1], [2, 3]], ArgumentError, "x0"),
    ],
)
def test_a_point_outside_says_value_bound_and_excess(point, error, said):
    with pytest.raises(error, match=said):
        Space([Real("h", 0, 1), Integer("n", 0, 9)]).vector(point, what="x0")


def test_a_wrong_choice_lists_the_choices():
    with pytest.raises(ArgumentError, match="c = 'z': expected one of a, b"):
        Space([Categorical("c", ["a", "b"])]).vector({"c": "z"})


def test_a_wrong_number_of_columns_names_the_variables():
    with pytest.raises(ShapeError, match=r"\(2, 3\), expected \(n, 1\): one column for each of h"):
        Space([Real("h", 0, 1)]).snap(np.zeros((2, 3)))


def uniform(d, seed=0):
    rng = np.random.default_rng(seed)
    return lambda k: rng.random((k, d))


def test_sampled_points_are_all_allowed_after_rounding():
    space = Space([Integer("n", 0, 9), Integer("m", 0, 9)])
    allowed = known_constraint(lambda x: x.sum(axis=1) == 9, 2)
    x = sample_allowed(space, allowed, 500, uniform(2))
    assert x.shape == (500, 2)
    assert (x.sum(axis=1) == 9).all()


def test_almost_nothing_allowed_is_an_error_with_the_measured_rate():
    space = Space([Real("a", 0, 1), Real("b", 0, 1)])
    with pytest.raises(
        NothingAllowed,
        match=r"only 0 of 5\d{4} random points .*acceptance rate 0.0e\+00, expected at least 1e-4",
    ):
        sample_allowed(space, known_constraint(lambda x: x[:, 0] == x[:, 1], 2), 10, uniform(2))


@pytest.mark.parametrize(
    "given_",
    [
        lambda x: x[:, 0] <= 0.5,
        LinearConstraint([[1, 0]], -INF, 0.5),
        NonlinearConstraint(lambda x: x[0], -INF, 0.5),
        LinearConstraint(np.array([1.0, 0.0]), ub=[0.5]),
    ],
)
def test_known_constraints_come_as_functions_and_scipy_objects(given_):
    test = known_constraint(given_, 2)
    assert test(np.array([[0.2, 9], [0.5, 9], [0.7, 9]])).tolist() == [True, True, False]


@pytest.mark.parametrize(
    "given_", [lambda x: True, lambda x: x[:, 0], lambda x: np.ones(1, dtype=bool), lambda x: x > 0]
)
def test_a_known_function_returns_one_bool_for_each_point(given_):
    with pytest.raises(ShapeError, match=r"known: for 2 points .* expected bool of shape \(2,\)"):
        known_constraint(given_, 3)(np.zeros((2, 3)))


def test_a_known_constraint_of_the_wrong_width_is_refused():
    with pytest.raises(ShapeError, match="3 columns, expected 2"):
        known_constraint(LinearConstraint(np.ones((1, 3)), 0, 1), 2)
    with pytest.raises(ArgumentTypeError, match="known"):
        known_constraint(3, 2)


def test_a_known_function_cannot_change_the_points():
    def test(x):
        x[:] = 0
        return np.ones(len(x), dtype=bool)

    x = np.ones((2, 2))
    known_constraint(test, 2)(x)
    assert (x == 1).all()
