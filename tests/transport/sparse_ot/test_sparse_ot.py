"""Sparsity-constrained transport: duality, limits in k, arrays, gradients and repair."""

from __future__ import annotations

import dataclasses
import inspect
import itertools

import numpy as np
import pytest
import torch
from clouds import clouds
from hypothesis import given, settings, strategies as st
from scipy.optimize import linear_sum_assignment, linprog, minimize

from feasible.core.errors import ArgumentError, ArgumentTypeError, Infeasible, NotFinite, ShapeError
from feasible.transport import SparseTransport, sparse_ot
from feasible.transport.sparse_ot.capped import Capped
from feasible.transport.sparse_ot.peers import smooth
from feasible.transport.sparse_ot.problem import bound
from feasible.transport.sparse_ot.settings import SparseOTSettings
from feasible.transport.sparse_ot.sparse_ot import SparseOTMethod

FORMULATIONS = ("semidual", "dual")


def counts(plan):
    return (plan > 0).sum(0)


# -- duality ---------------------------------------------------------------------------------------


def best_primal(a, b, cost, k, gamma):
    """Least <T, C> + gamma/2 |T|^2 over all supports with at most k nonzeros a column, each by a
    general solver.
    """
    m, n = cost.shape
    lines = np.concatenate([np.kron(np.eye(m), np.ones(n)), np.kron(np.ones(m), np.eye(n))])
    sums = np.concatenate([a, b])
    best = np.inf
    for choice in itertools.product(itertools.combinations(range(m), k), repeat=n):
        use = np.zeros((m, n), bool)
        for j, rows in enumerate(choice):
            use[list(rows), j] = True
        at = np.flatnonzero(use.ravel())
        start = linprog(np.zeros(len(at)), A_eq=lines[:, at], b_eq=sums)
        if start.status:
            continue
        c = cost.ravel()[at]
        found = minimize(
            lambda t, c=c: c @ t + gamma / 2 * t @ t,
            start.x,
            jac=lambda t, c=c: c + gamma * t,
            bounds=[(0, None)] * len(at),
            constraints={"type": "eq", "fun": lambda t, at=at: lines[:, at] @ t - sums},
            method="SLSQP",
            options={"ftol": 1e-12},
        )
        if np.abs(lines[:, at] @ found.x - sums).max() < 1e-8:
            best = min(best, found.fun)
    return best


@pytest.mark.parametrize("seed", range(100, 106))
def test_dual_below_semidual_below_the_best_of_all_supports_and_equal_where_certified(seed):
    rng = np.random.default_rng(seed)
    a, b, cost = rng.dirichlet([3.0] * 3), rng.dirichlet([3.0] * 2), rng.random((3, 2))
    best = best_primal(a, b, cost, 2, 0.5)
    if b.max() > np.sort(a)[-2:].sum():
        assert best == np.inf
        with pytest.raises(Infeasible, match="the smallest k that may do is 3"):
            sparse_ot(a, b, cost, 2, 0.5)
        return
    semi, full = (sparse_ot(a, b, cost, 2, 0.5, formulation=f) for f in FORMULATIONS)
    assert full.value <= semi.value * (1 + 1e-6)  # both stop within that at ties
    assert semi.value <= best + 1e-8
    for found in (semi, full):
        if found.certified_optimal:
            assert found.value_plan == pytest.approx(best, rel=1e-6)
    mended = sparse_ot(a, b, cost, 2, 0.5, repair=True)
    if np.isfinite(best):
        assert mended.marginal_error < 1e-7
        assert best - 1e-7 <= mended.value_plan <= best + 0.05 * abs(best)
    else:
        assert not mended.converged


@pytest.mark.parametrize("axis", ["columns", "rows"])
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_the_judge_finds_the_same_bound_and_a_certified_plan_meets_all_limits(axis, formulation):
    a, b, cost = clouds(40, 30, uneven=True)
    found = sparse_ot(a, b, cost, 8, 0.5, axis=axis, formulation=formulation)
    problem = SparseTransport(a, b, cost, 8, 0.5, axis)
    verdict = problem.judge(found)
    assert found.certified_optimal
    assert verdict.feasible
    assert verdict.violations["cap"] == 0
    assert verdict.metrics["bound"] == pytest.approx(found.value, rel=1e-8)
    assert verdict.residual < 1e-6 * verdict.objective
    assert counts(found.plan if axis == "columns" else found.plan.T).max() <= 8


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0.05, 20))
def test_the_judges_bound_is_the_kernels_semidual_at_any_potential(seed, k, gamma):
    rng = np.random.default_rng(seed)
    a, b, cost, alpha = (
        rng.dirichlet([1.0] * 6),
        rng.dirichlet([1.0] * 4),
        rng.normal(size=(6, 4)),
        rng.normal(size=6),
    )
    kernel = Capped(a, b, np.ascontiguousarray(cost.T) / gamma, k)
    value = -kernel.gradient(alpha / gamma)[0] * gamma
    assert bound(a, b, cost, k, gamma, alpha) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_the_value_does_not_grow_with_k_and_both_formulations_agree_without_ties():
    a, b, cost = clouds(uneven=True)
    values = [sparse_ot(a, b, cost, k, 1.0).value for k in (2, 3, 4, 8, 16, 32)]
    assert all(
        later <= earlier + 1e-4 * abs(earlier) for earlier, later in itertools.pairwise(values)
    )
    assert values[-1] == pytest.approx(
        sparse_ot(a, b, cost, 32, 1.0, formulation="dual").value, rel=1e-9
    )


# -- limits and invariants -------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize("gamma", [0.1, 1.0, 10.0])
def test_a_cap_of_all_rows_is_quadratic_transport_as_pot_has_it(gamma, formulation):
    from ot import smooth as pot

    a, b, cost = clouds(20, 25, uneven=True)
    found = sparse_ot(a, b, cost, 20, gamma, formulation=formulation)
    theirs = pot.smooth_ot_semi_dual(a, b, cost, gamma, "l2", stopThr=1e-14, numItermax=5000)
    assert found.certified_optimal
    assert np.abs(found.plan - theirs).max() < 1e-6
    assert sparse_ot(a, b, cost, 10**6, gamma, formulation=formulation).value == found.value


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_one_nonzero_a_column_has_the_value_of_the_linear_program_and_a_constant(formulation):
    a, b, cost = clouds(6, 7, uneven=True)
    lines = np.concatenate([np.kron(np.eye(6), np.ones(7)), np.kron(np.ones(6), np.eye(7))])
    exact = linprog(cost.ravel(), A_eq=lines, b_eq=np.concatenate([a, b])).fun
    found = sparse_ot(a, b, cost, 1, 0.1, formulation=formulation)
    assert found.value == pytest.approx(exact + 0.05 * (b**2).sum(), rel=1e-9)
    assert not found.certified_optimal
    assert not found.converged
    assert "more than one nonzero" in found.status


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_one_nonzero_a_column_between_equal_masses_is_the_best_assignment(formulation):
    a, b, cost = clouds(12, 12)
    found = sparse_ot(a, b, cost, 1, 0.1, formulation=formulation)
    rows, columns = linear_sum_assignment(cost)
    assert found.certified_optimal
    assert found.converged
    assert np.array_equal(np.nonzero(found.plan), (rows, columns))


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_without_cost_the_mass_is_spread_and_with_a_steep_one_it_stays(formulation):
    n = 6
    assert np.allclose(
        sparse_ot(None, None, np.zeros((n, n)), n, formulation=formulation).plan, 1 / n**2
    )
    for k in range(1, n + 1):
        found = sparse_ot([], [], -100 * np.eye(n), k, formulation=formulation)
        assert np.allclose(found.plan, np.eye(n) / n)
        assert found.certified_optimal


def test_rows_and_columns_that_change_places_do_so_in_the_plan():
    a, b, cost = clouds(10, 12, uneven=True)
    one, two = (
        np.random.default_rng(100).permutation(10),
        np.random.default_rng(101).permutation(12),
    )
    found, moved = (
        sparse_ot(a, b, cost, 4, 0.5),
        sparse_ot(a[one], b[two], cost[np.ix_(one, two)], 4, 0.5),
    )
    assert np.allclose(moved.plan, found.plan[np.ix_(one, two)], atol=1e-8)
    turned = sparse_ot(b, a, cost.T, 4, 0.5, axis="rows")
    assert np.allclose(turned.plan, found.plan.T, atol=1e-8)
    assert np.allclose(turned.potentials[1], found.potentials[0])


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_of_cost_and_of_mass_do_not_matter(factor):
    a, b, cost = clouds(10, 12, uneven=True)
    found = sparse_ot(a, b, cost, 4, 0.5)
    dear = sparse_ot(a, b, factor * cost, 4, factor * 0.5)
    heavy = sparse_ot(factor * a, factor * b, cost, 4, 0.5 / factor)
    assert dear.value == pytest.approx(factor * found.value, rel=1e-9)
    assert heavy.value == pytest.approx(factor * found.value, rel=1e-9)
    assert np.allclose(heavy.plan / factor, found.plan, atol=1e-8)


@pytest.mark.parametrize("axis", ["columns", "rows"])
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_entries_without_mass_are_left_out_and_their_potentials_do_not_loosen_the_bound(
    axis, formulation
):
    a, b, cost = clouds(12, 10, uneven=True)
    a[[2, 5]], b[7] = 0, 0
    a, b = a / a.sum(), b / b.sum()
    found = sparse_ot(a, b, cost, 4, 0.5, axis=axis, formulation=formulation)
    rows, columns = np.flatnonzero(a), np.flatnonzero(b)
    inner = sparse_ot(
        a[rows], b[columns], cost[np.ix_(rows, columns)], 4, 0.5, axis=axis, formulation=formulation
    )
    assert found.value == pytest.approx(inner.value, rel=1e-6)
    assert found.plan.sum(1)[2] == found.plan.sum(0)[7] == 0
    assert SparseTransport(a, b, cost, 4, 0.5, axis).judge(found).metrics["bound"] == pytest.approx(
        found.value, rel=1e-6
    )


def test_the_value_is_at_least_that_of_pot():
    for seed, k in itertools.product((100, 101), (4, 8, 64)):
        a, b, cost = clouds(64, 64, seed)
        plan, alpha, _ = smooth(a, b, cost, k, 0.5)
        assert counts(plan).max() <= k
        theirs = bound(a, b, cost, k, 0.5, alpha)
        assert sparse_ot(a, b, cost, k, 0.5).value >= theirs - 1e-6 * abs(theirs)


def test_adam_is_torch_adam_on_the_semidual():
    a, b, cost = clouds(16, 8)
    gamma, mass = 0.5, 16.0
    found = sparse_ot(mass * a, mass * b, cost, 3, gamma, solver="adam", max_iter=15)
    alpha = torch.zeros(16, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([alpha], lr=1e-2)
    for _ in range(15):
        plan = sparse_plan_at(alpha.detach().numpy(), mass * b, cost, 3, gamma)
        alpha.grad = torch.from_numpy(plan.sum(1) - mass * a)
        optimizer.step()
    mine = alpha.detach().numpy()
    assert np.allclose(found.potentials[0], mine - mine.mean(), atol=1e-9)
    assert found.n_iter == 15
    assert not found.converged


def sparse_plan_at(alpha, b, cost, k, gamma):
    plan = np.zeros_like(cost)
    for j in range(cost.shape[1]):
        x = alpha - cost[:, j]
        top = np.argsort(-x, kind="stable")[:k]
        v = np.sort(x[top] / gamma)[::-1]
        excess = np.cumsum(v) - b[j]
        rho = np.flatnonzero(v - excess / np.arange(1, k + 1) > 0)[-1]
        plan[top, j] = np.maximum(x[top] / gamma - excess[rho] / (rho + 1), 0)
    return plan


# -- what comes back where it is hard --------------------------------------------------------------


def test_where_ties_stop_the_line_search_the_best_iterate_comes_back_with_the_reason():
    a, b, cost = clouds()
    found = sparse_ot(a, b, cost, 2, 0.1, max_iter=5000)
    assert not found.converged
    assert not found.certified_optimal
    assert "as happens at ties" in found.status
    assert found.n_iter < 5000
    assert found.value >= found.history["value"].max() - 1e-12
    assert counts(found.plan).max() <= 2
    assert np.allclose(found.plan.sum(0), b)


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_the_value_never_falls_also_where_the_cap_is_put_on(formulation):
    a, b, cost = clouds()
    found = sparse_ot(a, b, cost, 3, 1.0, formulation=formulation)
    assert (np.diff(found.history["value"]) >= -1e-12).all()
    uncapped = sparse_ot(a, b, cost, 32, 1.0, formulation=formulation)
    assert found.value > uncapped.value


def test_iterations_that_run_out_are_named():
    a, b, cost = clouds()
    found = sparse_ot(a, b, cost, 8, 1.0, max_iter=3)
    assert found.n_iter == 3
    assert not found.converged
    assert found.status.startswith("3 iterations are over")


@pytest.mark.parametrize("k", [2, 3])
def test_a_repaired_plan_meets_its_marginals_and_the_cap_and_says_how_far_it_is_from_the_bound(k):
    a, b, cost = clouds(seed=101)
    plain, found = sparse_ot(a, b, cost, k, 0.1), sparse_ot(a, b, cost, k, 0.1, repair=True)
    assert found.marginal_error < 1e-7
    assert counts(found.plan).max() <= k
    assert -1e-8 <= found.gap <= 0.01 * found.value
    assert found.repaired == (plain.marginal_error > 1e-6)
    assert found.value == plain.value


def test_a_result_is_where_the_next_one_starts():
    a, b, cost = clouds(uneven=True)
    for formulation, axis in itertools.product(FORMULATIONS, ("columns", "rows")):
        found = sparse_ot(a, b, cost, 8, 1.0, formulation=formulation, axis=axis)
        again = sparse_ot(
            a, b, cost, 8, 1.0, formulation=formulation, axis=axis, init=found.potentials
        )
        assert again.n_iter <= 1
        assert again.value == pytest.approx(found.value, rel=1e-12)
    with pytest.raises(
        ShapeError,
        match=r"init has potentials of shapes \(3,\) and \(3,\), expected \(32,\) and \(32,\)",
    ):
        sparse_ot(a, b, cost, 8, init=(np.zeros(3), np.zeros(3)))


# -- arrays ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"a": [0.5, -0.5, 1.0]}, ArgumentError, r"a\[1\] is -0.5: masses must be >= 0"),
        ({"a": [0.0, 0.0, 0.0]}, ArgumentError, "a has no mass"),
        ({"b": [0.5, np.nan]}, NotFinite, r"b\[1\] is nan"),
        ({"a": [1.0, 1.0, 1.0]}, ArgumentError, "must have the same mass: sum.a. = 3, sum.b. = 1"),
        ({"a": [0.5, 0.5]}, ShapeError, "a has 2 entries, expected 3"),
        ({"a": np.ones((3, 1))}, ShapeError, r"a has shape \(3, 1\)"),
        ({"a": np.zeros(0)}, ShapeError, "a is empty"),
        ({"cost": np.full((3, 2), -np.inf)}, NotFinite, r"cost\[0, 0\] is -inf"),
        ({"cost": np.zeros((0, 2))}, ShapeError, "at least one row"),
        ({"cost": np.zeros(3)}, ShapeError, r"cost has shape \(3,\)"),
        ({"cost": [["x"]]}, ArgumentTypeError, "expected real numbers"),
        ({"k": 0}, ArgumentError, "k=0: expected a whole number >= 1"),
        ({"k": 2.0}, ArgumentError, "k=2.0: expected a whole number"),
        ({"k": True}, ArgumentTypeError, "k=True: expected"),
        ({"gamma": 0}, ArgumentError, "gamma=0: expected a number > 0"),
        ({"gamma": "much"}, ArgumentTypeError, "gamma='much': expected"),
        ({"axis": "both"}, ArgumentError, "axis='both': expected 'columns' or 'rows'"),
        ({"solver": "newton"}, ArgumentError, "solver='newton': expected 'lbfgs' or 'adam'"),
        (
            {"formulation": "primal"},
            ArgumentError,
            "formulation='primal': expected 'semidual' or 'dual'",
        ),
        ({"tol": -1}, ArgumentError, "tol=-1"),
        ({"max_iter": 0}, ArgumentError, "max_iter=0"),
    ],
)
def test_bad_input_is_named(change, error, words):
    arguments = {"a": [0.2, 0.3, 0.5], "b": [0.5, 0.5], "cost": np.zeros((3, 2)), "k": 2} | change
    with pytest.raises(error, match=words):
        sparse_ot(**arguments)


def test_a_cap_that_cannot_be_met_names_the_smallest_that_may():
    with pytest.raises(
        Infeasible,
        match="k=2: 2 columns of at most 2 nonzeros cannot reach the 5 rows that have mass; the "
        "smallest k that may is 3",
    ):
        sparse_ot([0.2] * 5, [0.5, 0.5], np.zeros((5, 2)), 2)
    with pytest.raises(
        Infeasible,
        match="k=1: 2 rows of at most 1 nonzeros cannot reach the 4 columns that have mass; the "
        "smallest k that may is 2",
    ):
        SparseTransport([0.5, 0.5], [0.25] * 4, np.zeros((2, 4)), 1, axis="rows")
    assert sparse_ot([0.5, 0.5, 0, 0, 0], [0.5, 0.5], np.zeros((5, 2)), 1).converged


@pytest.mark.parametrize(
    "kind", ["list", "int", "read-only", "strided", "float32", "torch", "torch float32"]
)
def test_arrays_of_all_kinds_are_taken_and_floats_come_back_in_kind(kind):
    a, b, cost = (
        np.array([1, 2, 3, 2]),
        np.array([4, 4]),
        np.array([[0, 3], [1, 1], [3, 0], [2, 1]]),
    )
    want = sparse_ot(a.astype(float), b.astype(float), cost.astype(float), 3)
    given_ = {
        "list": [x.tolist() for x in (a, b, cost)],
        "int": (a, b, cost),
        "strided": (a, b, np.repeat(cost.astype(float), 2, axis=1)[:, ::2]),
        "float32": [x.astype(np.float32) for x in (a, b, cost)],
        "torch": [torch.tensor(x) for x in (a, b, cost)],
        "torch float32": [torch.tensor(x, dtype=torch.float32) for x in (a, b, cost)],
    }.get(kind)
    if kind == "read-only":
        given_ = [x.astype(float) for x in (a, b, cost)]
        for x in given_:
            x.setflags(write=False)
    found = sparse_ot(*given_, 3)
    assert np.allclose(np.asarray(found.plan), want.plan, atol=1e-6)
    expected = {
        "float32": "float32",
        "torch": "torch.float64",
        "torch float32": "torch.float32",
    }.get(kind, "float64")
    assert str(found.plan.dtype) == str(found.potentials[0].dtype) == expected
    assert isinstance(found.plan, torch.Tensor) == kind.startswith("torch")


def test_a_batch_is_its_problems_one_by_one():
    a, b, cost = clouds(10, 8)
    costs = np.stack([cost, 2 * cost, cost[::-1]])
    batch = sparse_ot(a, b, costs, 3, 0.5)
    for i in range(3):
        one = sparse_ot(a, b, costs[i], 3, 0.5)
        assert batch.value[i] == one.value
        assert np.array_equal(batch.plan[i], one.plan)
        assert np.array_equal(batch.potentials[0][i], one.potentials[0])
    assert len(batch) == 3
    assert batch[1].sparse_plan.shape == (10, 8)
    easy = sparse_ot(a, b, costs, 10, 0.5)
    again = sparse_ot(a, b, costs, 10, 0.5, init=easy.potentials)
    assert max(r.n_iter for r in again.results) <= 1
    with pytest.raises(ShapeError, match=r"a has shape \(2, 10\), expected 3 histograms"):
        sparse_ot(np.stack([a, a]), b, costs, 3)


@pytest.mark.parametrize("axis", ["columns", "rows"])
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_the_value_has_the_gradient_of_finite_differences_in_masses_and_cost(axis, formulation):
    a, b, cost = (torch.tensor(x, requires_grad=True) for x in clouds(9, 7, 107, uneven=True))
    found = sparse_ot(a, b, cost, 4, 0.7, axis=axis, formulation=formulation)
    assert found.certified_optimal
    assert found.value.item() > sparse_ot(a.detach(), b.detach(), cost.detach(), 9, 0.7).value * (
        1 + 1e-6
    )  # the cap binds
    found.value.backward()

    def value(a_, b_, c_):
        return sparse_ot(a_, b_, c_, 4, 0.7, axis=axis, formulation=formulation, tol=1e-13).value

    x, y, z = (t.detach().numpy() for t in (a, b, cost))
    h = 1e-5
    for i, j in ((0, 3), (8, 1), (4, 6)):
        step = h * (np.outer(np.arange(9) == i, np.arange(7) == j))
        assert (value(x, y, z + step) - value(x, y, z - step)) / (2 * h) == pytest.approx(
            float(cost.grad[i, j]), abs=1e-5
        )
        step = h * (
            (np.arange(9) == i) - (np.arange(9) == (i + 1) % 9).astype(float)
        )  # mass that moves between two rows
        assert (value(x + step, y, z) - value(x - step, y, z)) / (2 * h) == pytest.approx(
            float(a.grad @ torch.tensor(step)) / h, abs=1e-5
        )
        step = h * ((np.arange(7) == j) - (np.arange(7) == (j + 1) % 7).astype(float))
        assert (value(x, y + step, z) - value(x, y - step, z)) / (2 * h) == pytest.approx(
            float(b.grad @ torch.tensor(step)) / h, abs=1e-5
        )


def test_gradients_of_a_batch_are_those_of_its_problems():
    a, b, cost = clouds(9, 7)
    costs = torch.tensor(np.stack([cost, 1 - cost]), requires_grad=True)
    masses = torch.tensor(a, requires_grad=True)
    (torch.tensor([1.0, 2.0]) * sparse_ot(masses, b, costs, 4, 0.7).value).sum().backward()
    ones = [sparse_ot(a, b, c, 4, 0.7) for c in (cost, 1 - cost)]
    assert np.allclose(costs.grad, [ones[0].plan, 2 * ones[1].plan])
    assert np.allclose(masses.grad, ones[0].potentials[0] + 2 * ones[1].potentials[0])


def test_the_function_and_the_method_have_the_settings_defaults():
    settings = dataclasses.asdict(SparseOTSettings())
    assert dataclasses.asdict(SparseOTMethod()) == settings
    signature = inspect.signature(sparse_ot).parameters
    assert settings == {s: signature[s].default for s in settings}
