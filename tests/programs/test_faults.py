"""Programs that are stated badly, or cannot be solved, and graphs with columns that say nothing."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint

import feasible
from feasible.core.registry import methods
from feasible.programs import FiniteSum, Inclusion, Program, TopoDAG, minimize

INF = np.inf
SOLVERS = sorted(e.name for e in methods().values() if e.solves == "Program" and e.peer)
SOLVERS = [n for n in SOLVERS if methods()[n].example == "hs71"] + ["nlp"]


def bowl(constraints, start=(5.0, 5.0, 1.0)):
    """The square of the distance from 0, of which everything is exact."""
    return Program(
        lambda x: x @ x,
        start,
        jac=lambda x: 2 * x,
        hess=lambda x: 2 * np.eye(len(x)),
        constraints=constraints,
    )


@pytest.mark.parametrize("name", SOLVERS)
def test_a_jacobian_of_dependent_rows_is_solved_or_ends_with_a_status(name):
    a = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]])
    zero = np.zeros((3, 3))
    twice = NonlinearConstraint(lambda x: a @ x - [2, 4], 0, 0, lambda x: a, lambda x, v: zero)
    result = feasible.solve(bowl({"twice": twice}), name, budget={"evaluations": 300})
    if name in ("nlp", "ipopt", "uno", "scipy-cobyqa", "scipy-trust-constr"):
        assert result.answer.x == pytest.approx([1, 1, 0], abs=1e-5)
        assert result.verdict.feasible
    else:  # SciPy's SLSQP says that it has succeeded; the residual says that it has not
        assert not result.verdict.feasible or result.verdict.residual is not None
    assert result.stopped


def test_minimize_solves_dependent_rows_or_says_that_it_has_not():
    rows = {"twice": LinearConstraint([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]], [2, 4], [2, 4])}
    found = minimize(lambda x: x @ x, [5.0, 0.0, 3.0], constraints=rows)
    assert found.success
    assert found.x == pytest.approx([1, 1, 0], abs=1e-5)


@pytest.mark.parametrize("differenced", [False, True])
@pytest.mark.parametrize(
    ("curve", "slope"),
    [(lambda v: v, lambda v: np.ones(len(v))), (np.sinh, np.cosh)],
    ids=["linear", "curved"],
)
@pytest.mark.parametrize("n", [2, 3, 5])
def test_as_many_dependent_equalities_as_variables_are_solved_without_a_hessian(
    n, curve, slope, differenced
):
    """Ipopt takes them for equations, and looks at no objective. By differences the rows are not
    quite dependent, so that a point may be feasible, not stationary, and seem so.
    """
    rng = np.random.default_rng(n)
    a = rng.standard_normal((n - 1, n))
    a = np.vstack([a, a.sum(0)])
    b = a @ rng.standard_normal(n)

    def slopes(x):
        return slope(a @ x - b)[:, None] * a

    jac = "2-point" if differenced else slopes
    rows = NonlinearConstraint(lambda x: curve(a @ x - b), 0, 0, jac=jac)
    found = minimize(lambda x: x @ x, np.zeros(n), jac=lambda x: 2 * x, constraints={"rows": rows})
    shortest = np.linalg.pinv(a) @ b
    assert found.success or differenced
    if not differenced or (found.success and curve is not np.sinh):
        assert found.x == pytest.approx(shortest, abs=1e-5)


@pytest.mark.parametrize("second", [True, False])
def test_the_default_ends_where_inconsistent_constraints_are_missed_by_least(second):
    """A disc and a halfplane; at the answer both are missed alike: x = (t, t) with
    (2 t^2 - 1) / sqrt(200) = (4 - 2 t) / sqrt(2).
    """
    curved = {"hess": lambda x, v: 2 * v[0] * np.eye(2)} if second else {}
    inner = NonlinearConstraint(lambda x: x @ x, -INF, 1, jac=lambda x: 2 * x, **curved)
    rows = {"inner": inner, "outer": LinearConstraint([[1.0, 1.0]], 4, INF)}
    result = feasible.solve(bowl(rows, (5.0, 5.0)), budget={"evaluations": 600})
    assert result.answer.x == pytest.approx([45.5**0.5 - 5] * 2, abs=1e-4)
    by_name = result.verdict.violations
    assert by_name["inner"] == pytest.approx(by_name["outer"], rel=1e-4)
    assert any("no feasible point found" in note for note in result.notes)
    found = minimize(lambda x: x @ x, [5.0, 5.0], constraints=rows, options={"maxfev": 600})
    assert (found.success, found.status) == (False, 2)
    assert found.maxcv == pytest.approx(result.verdict.violation, rel=1e-3)


@pytest.mark.parametrize("name", sorted({*SOLVERS} - {"casadi-sqpmethod"}))
def test_a_step_out_of_a_constraints_domain_is_shortened(name):
    """min x with log x >= -1 from x = 4, where the linearised constraint leads below 0."""
    rows = NonlinearConstraint(
        lambda x: np.log(x[0]) if x[0] > 0 else np.nan,
        -1,
        INF,
        jac=lambda x: np.array([[1 / x[0]]]),
        hess=lambda x, v: v[0] * np.array([[-(x[0] ** -2)]]),
    )
    problem = Program(
        lambda x: x[0],
        [4.0],
        jac=lambda x: np.ones(1),
        hess=lambda x: np.zeros((1, 1)),
        constraints={"log": rows},
    )
    result = feasible.solve(problem, name, budget={"evaluations": 300})
    assert result.answer.x == pytest.approx([np.exp(-1)], abs=1e-3)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_start_outside_a_constraints_domain_is_no_answer(name):
    rows = {"log": NonlinearConstraint(lambda x: np.log(x[0]) if x[0] > 0 else np.nan, -1, INF)}
    problem = Program(lambda x: x[0], [-1.0], constraints=rows)
    result = feasible.solve(problem, name, budget={"evaluations": 60})
    assert not result.verdict.feasible
    assert result.verdict.worst == "log"
    assert np.isfinite(result.answer.x).all()


def test_minimize_refuses_a_start_or_bounds_that_cannot_be_and_takes_whole_numbers():
    for given, error, said in (
        ({"x0": [1j]}, feasible.errors.ArgumentTypeError, "complex"),
        ({"bounds": [(2, 1)]}, feasible.errors.BoundsError, "low 2, high 1"),
    ):
        with pytest.raises(error, match=said):
            minimize(**{"fun": lambda x: x @ x, "x0": [1.0], **given})
    assert minimize(lambda x: (x - 0.5) @ (x - 0.5), [3]).x == pytest.approx([0.5], abs=1e-6)


@pytest.mark.parametrize("name", ["extragradient", "eag", "vr-extragradient", "vr-halpern"])
def test_an_operator_that_is_not_monotone_ends_a_run_with_a_status(name):
    op = FiniteSum(lambda i, u: np.tile(-u, (len(i), 1)), 3, L=1.0, norm=1.0)
    result = feasible.solve(Inclusion(op, [1.0]), name, budget={"components": 200_000})
    assert "diverged" in result.stopped
    assert result.spent["components"] < 200_000


def test_a_column_that_says_nothing_of_the_others_has_no_edges_and_a_copy_is_refused():
    rng = np.random.default_rng(0)
    a = rng.standard_normal(400)
    x = np.stack([a, 1.5 * a + rng.standard_normal(400), rng.standard_normal(400)], axis=1)
    found = TopoDAG(prune="bic").fit(x).adjacency_
    assert found.sum() == 1
    assert found[:2, :2].sum() == 1
    with pytest.raises(feasible.errors.ArgumentError, match="ridge"):
        TopoDAG().fit(x[:, [0, 1, 0]])


def test_edges_that_come_twice_are_one_edge():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((100, 3)) @ np.triu(np.ones((3, 3)))
    once, twice = nx.DiGraph([(0, 1), (1, 2)]), nx.MultiDiGraph([(0, 1), (0, 1), (1, 2)])
    for graph in (once, twice):
        graph.add_nodes_from(range(3))
    order = [TopoDAG(n_starts=0).refine(x, g).order_.tolist() for g in (once, twice)]
    assert order[0] == order[1]
