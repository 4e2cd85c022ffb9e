"""How a program is read, what its oracles give, and what they charge."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse as sp
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint

import feasible
from feasible.core.budget import Meter, active_meter
from feasible.programs import Point, Program
from feasible.programs.derivatives import colours, differences

errors = feasible.errors


def disc(**more):
    """x0 + x1 on a disc, of which everything is exact."""
    circle = NonlinearConstraint(
        lambda x: x @ x, -np.inf, 2, jac=lambda x: 2 * x, hess=lambda x, v: 2 * v[0] * np.eye(2)
    )
    exact = {"jac": lambda x: np.ones(2), "hess": lambda x: np.zeros((2, 2))}
    given = {**exact, "constraints": {"circle": circle}, **more}
    return Program(lambda x: x.sum(), [1.0, 0.0], **given)


@pytest.fixture
def spent():
    """What is charged."""
    meter = Meter({})
    token = active_meter.set(meter)
    yield meter.spent
    active_meter.reset(token)


def test_the_forms_of_scipy_are_one_problem():
    as_nonlinear = NonlinearConstraint(lambda x: x[0] * x[1], 1, np.inf)
    as_dictionary = {"type": "ineq", "fun": lambda x, k: x[0] * x[1] - k, "args": (1,)}
    linear = LinearConstraint(sp.coo_array([[1.0, -1.0]]), 0, 0)
    given = {"product": as_nonlinear, "difference": linear, "again": as_dictionary}
    problem = Program(sum, [1, 2], bounds=[(0, None), (None, 5)], constraints=given)
    assert list(problem.functions.slices) == ["product", "difference", "again"]
    assert problem.equalities.tolist() == [False, True, False]
    assert problem.constraint([2.0, 3.0]).tolist() == [6, -1, 5]
    assert problem.low.tolist() == [0, -np.inf]
    same = Program(sum, [1, 2], bounds=Bounds([0, -np.inf], [np.inf, 5]), constraints=[linear])
    assert np.array_equal(same.high, problem.high)
    assert same.rows[0].name == "constraint 1"


def test_a_constraint_without_a_name_has_that_of_its_function():
    def stress(x):
        return x[0]

    problem = Program(sum, [1.0], constraints=[NonlinearConstraint(stress, 0, 1)])
    assert [r.name for r in problem.rows] == ["stress"]


def test_values_and_derivatives_at_one_point_are_charged_once_each(spent):
    problem, x = disc(), np.array([0.5, 0.5])
    for _ in range(2):
        problem.objective(x)
        problem.constraint(x)
        problem.gradient(x)
        problem.jacobian(x)
        problem.hess_lag(x, 1.0, np.ones(1))
    assert spent == {"evaluations": 1, "gradients": 1, "hessians": 1}
    problem.hess_vec(x, np.ones(2), 1.0, np.ones(1))
    problem.judge(np.zeros(2))
    assert spent == {"evaluations": 1, "gradients": 1, "hessians": 1, "hessian_products": 1}


def test_differences_are_charged_as_the_evaluations_that_they_take(spent):
    problem = Program(lambda x: x @ x, np.ones(5), constraints={"sum": {"type": "eq", "fun": sum}})
    problem.objective(problem.x0)
    problem.gradient(problem.x0)
    problem.jacobian(problem.x0)
    assert spent == {"evaluations": 1 + 5}


def test_columns_that_share_no_row_are_differenced_together(spent):
    n = 40
    band = sp.diags_array([np.ones(n)] * 3, offsets=[-1, 0, 1], shape=(n, n))
    assert colours(sp.csr_array(band)).max() == 2
    bent = NonlinearConstraint(
        lambda x: band @ (x**2), 0, 1, finite_diff_jac_sparsity=sp.coo_array(band)
    )
    problem = Program(lambda x: 0.0, np.ones(n), jac=lambda x: np.zeros(n), constraints=[bent])
    found = problem.jacobian(problem.x0).toarray()
    assert np.allclose(found, 2 * band.toarray(), atol=1e-6)
    assert spent == {"evaluations": 1 + 3}


@pytest.mark.parametrize("rule", ["2-point", "3-point"])
def test_differences_stay_inside_the_bounds(rule):
    seen = []

    def function(x):
        seen.append(x.copy())
        return np.array([x[0] ** 2, x[0] * x[1]])

    low, high = np.array([1.0, -2.0]), np.array([1.0 + 1e-3, 0.5])
    for x in (low, high, np.array([1.0005, 0.0])):
        found = differences(function, x, (low, high), rule)
        assert np.allclose(found, [[2 * x[0], 0], [x[1], x[0]]], atol=1e-6)
    assert all(((low <= x) & (x <= high)).all() for x in seen)


def test_torch_gives_all_derivatives():
    ring = NonlinearConstraint(lambda x: (x**4).sum(), 1, 1, jac="torch")
    problem = Program(lambda x: x[0] ** 3 * x[1], [2, 3], jac="torch", constraints={"ring": ring})
    x, y = problem.x0, np.array([2.0])
    assert problem.functions.second_order
    assert problem.gradient(x).tolist() == [36, 8]
    assert problem.jacobian(x).toarray().tolist() == [[32, 108]]
    whole = np.array([[36 + 96, 12], [12, 216.0]])
    assert np.allclose(problem.hess_lag(x, 1.0, y).toarray(), whole)
    assert np.allclose(problem.hess_vec(x, np.array([1.0, 2]), 1.0, y), whole @ [1, 2])


def test_without_second_derivatives_the_hessian_is_differenced(spent):
    exact = disc()
    given = NonlinearConstraint(lambda x: x @ x, -np.inf, 2, jac=lambda x: 2 * x)
    problem = disc(constraints={"circle": given}, hess=None)
    x, y = np.array([0.3, -0.2]), np.array([1.5])
    assert not problem.functions.second_order
    found = problem.hess_lag(x, 1.0, y).toarray()
    assert spent == {"gradients": 3}
    assert np.allclose(found, exact.hess_lag(x, 1.0, y).toarray(), atol=1e-6)
    assert np.allclose(problem.hess_vec(x, np.ones(2), 1.0, y), [3, 3], atol=1e-6)


def test_rows_in_any_order_with_duplicates_are_one_matrix():
    unsorted = sp.csr_matrix((np.array([1.0, 2, 3]), np.array([1, 0, 1]), np.array([0, 3])), (1, 2))
    assert not unsorted.has_sorted_indices
    rows = NonlinearConstraint(lambda x: 2 * x[0] + 4 * x[1], 0, 1, jac=lambda x: unsorted)
    problem = Program(sum, [1.0, 1.0], constraints=[rows])
    assert problem.jacobian(problem.x0).toarray().tolist() == [[2, 4]]
    assert problem.jacobian(problem.x0).has_sorted_indices


def test_the_start_is_moved_into_the_bounds_and_integers_are_numbers():
    problem = Program(sum, np.array([9, 0]), bounds=[(0, 5), (1, 2)])
    assert problem.x0.tolist() == [5.0, 1.0]


def test_arguments_that_are_no_tuple_are_one_argument_as_in_scipy():
    def shifted(x, at):
        return (x - at) @ (x - at)

    assert Program(shifted, [1.0, 2.0], args=np.array([1.0, 0.0])).objective(np.ones(2)) == 1
    assert Program(shifted, [1.0, 2.0], args=(3.0,)).objective(np.ones(2)) == 8


def test_multipliers_begin_by_name_or_as_a_vector():
    assert disc(multipliers={"circle": 0.5}).multipliers.tolist() == [0.5]
    assert disc(multipliers=[0.25]).multipliers.tolist() == [0.25]
    with pytest.raises(errors.ArgumentError, match="did you mean 'circle'"):
        disc(multipliers={"circel": 0.5})
    with pytest.raises(errors.ShapeError, match="multipliers"):
        disc(multipliers=[1.0, 2.0])


LINE = LinearConstraint([[1.0, 1.0, 1.0]], 0, 1)
BAD = [
    ({"x0": [1j, 2]}, errors.ArgumentTypeError, "complex"),
    ({"x0": [np.nan, 2]}, errors.NotFinite, r"x0\[0\]"),
    ({"x0": []}, errors.ShapeError, "x0"),
    ({"x0": [[1.0, 2.0]]}, errors.ShapeError, "x0"),
    ({"x0": "start"}, errors.ArgumentTypeError, "x0"),
    ({"fun": 3}, errors.ArgumentTypeError, "fun"),
    ({"jac": "4-point"}, errors.ArgumentError, "jac='4-point'"),
    ({"jac": 3}, errors.ArgumentTypeError, "jac"),
    ({"hess": "bfgs"}, errors.ArgumentError, "hess='bfgs'"),
    ({"bounds": [(0, 1)]}, errors.BoundsError, "1 pairs"),
    ({"bounds": 7}, errors.BoundsError, "bounds=7"),
    ({"bounds": [(0, 1), (3, 2)]}, errors.BoundsError, "variable 1: low 3, high 2"),
    ({"bounds": [(0, 1), (np.nan, 2)]}, errors.NotFinite, "NaN"),
    ({"bounds": [(0, 1), ("a", 2)]}, errors.ArgumentTypeError, "bounds"),
    ({"constraints": [LINE]}, errors.ShapeError, "3 columns"),
    ({"constraints": {"c": NonlinearConstraint(sum, 2, 1)}}, errors.BoundsError, "'c' cross"),
    ({"constraints": {"c": NonlinearConstraint(sum, 0, [1, 2, 3])}}, errors.BoundsError, "'c'"),
    ({"constraints": [{"type": "le", "fun": sum}]}, errors.ArgumentError, "type of constraint"),
    ({"constraints": [{"type": "eq", "fun": 1}]}, errors.ArgumentTypeError, "'fun'"),
    ({"constraints": [{"type": "eq", "fun": sum, "jack": 1}]}, errors.ArgumentError, "'jack'"),
    ({"constraints": [lambda x: x]}, errors.ArgumentTypeError, "is a function"),
    ({"constraints": {1: LINE}}, errors.ArgumentTypeError, "name 1"),
    ({"tolerance": -1}, errors.ArgumentError, "tolerance"),
]


@pytest.mark.parametrize(("given", "error", "words"), BAD, ids=lambda v: str(v)[:30])
def test_a_wrong_argument_is_refused_by_name(given, error, words):
    with pytest.raises(error, match=words):
        Program(**{"fun": sum, "x0": [1.0, 2.0], **given})


def test_a_derivative_of_the_wrong_shape_or_kind_is_refused_where_it_is_asked_for():
    wrong = Program(sum, [1.0, 2.0], jac=lambda x: np.ones(3))
    with pytest.raises(errors.ShapeError, match="jac returned 3 numbers, expected 2"):
        wrong.gradient(wrong.x0)
    rows = {"c": NonlinearConstraint(sum, 0, 1, jac=lambda x: np.ones((2, 2)))}
    wrong = Program(sum, [1.0, 2.0], constraints=rows)
    with pytest.raises(errors.ShapeError, match=r"'c' returned shape \(2, 2\), expected \(1, 2\)"):
        wrong.jacobian(wrong.x0)
    with pytest.raises(errors.ArgumentTypeError, match="fun returned complex128"):
        Program(lambda x: 1j * x[0], [1.0]).objective(np.ones(1))
    alone = Program(lambda x: x @ x, [1.0], jac=True)
    for asked in (alone.objective, alone.gradient):
        with pytest.raises(errors.ArgumentTypeError, match="jac=True it is to return its value"):
            asked(np.ones(1))
    with pytest.raises(errors.ShapeError, match="fun returned 2 numbers"):
        Program(lambda x: x, [1.0, 2.0]).objective(np.ones(2))


def test_what_a_function_may_do_to_x_does_not_reach_the_solver():
    def overwrites(x):
        x[:] = 0
        return 1.0

    problem, x = Program(overwrites, [1.0, 2.0]), np.array([3.0, 4.0])
    problem.objective(x)
    assert x.tolist() == [3, 4]


def test_a_value_outside_the_domain_is_nan_and_another_exception_travels():
    def domain(x):
        if x[0] < 0:
            raise feasible.errors.EvaluationFailed("no mesh")
        return 1 / x[0]

    problem = Program(domain, [1.0])
    assert np.isnan(problem.objective(np.array([-1.0])))

    def broken(x):
        raise KeyError("k")

    with pytest.raises(KeyError):
        Program(broken, [1.0]).objective(np.ones(1))


def test_an_answer_is_stored_and_written_like_any_other(tmp_path):
    result = feasible.solve(disc(), "scipy-slsqp", budget={"evaluations": 50})
    assert isinstance(result.answer, Point)
    result.save(tmp_path / "answer.npz")
    assert np.array_equal(np.load(tmp_path / "answer.npz")["x"], result.answer.x)
    assert any("circle" in row[0] for row in result.table())


def test_an_outline_says_where_derivatives_come_from():
    text = "\n".join(disc().outline())
    assert "variables: 2" in text
    assert "circle: 1 limits, derivatives given" in text
    assert "by 2-point differences" in "\n".join(Program(sum, [1.0]).outline())
