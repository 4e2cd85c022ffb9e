"""Sinkhorn-Newton-Sparse: closed forms, duality, agreement with exact and other solvers, arrays,
batches, gradients, clouds, images, runs.
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.optimize import check_grad, linear_sum_assignment
from scipy.special import xlogy

import feasible
from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.transport import (
    EntropicTransport,
    SinkhornNewton,
    instances,
    sinkhorn_newton,
    sinkhorn_newton_points,
)
from feasible.transport.sinkhorn_newton_sparse import (
    compiled as kernels,
    kernel as sinkhorn_kernel,
    small,
    stages,
    state as states,
)
from feasible.transport.sinkhorn_newton_sparse.point_clouds import cost_of_points
from feasible.transport.sinkhorn_newton_sparse.settings import SinkhornNewtonSettings


def clouds(n=30, m=20, seed=100):
    rng = np.random.default_rng(seed)
    cost = cost_of_points(rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) + 1)
    return rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), cost / cost.max()


def errors_of(plan, a, b):
    return np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum()


# -- closed forms ----------------------------------------------------------------------------------


def test_one_mass_goes_where_it_must():
    assert sinkhorn_newton([3.0], [3.0], [[2.0]], reg=0.1).plan == pytest.approx(3.0)


@pytest.mark.parametrize("eta", [0.1, 1.0, 10.0, 1000.0])
def test_the_symmetric_two_by_two_plan_is_the_logistic_one(eta):
    found = sinkhorn_newton([0.5, 0.5], [0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], eta=eta)
    near = 0.5 / (1 + np.exp(-eta))
    assert found.plan == pytest.approx(
        np.array([[near, 0.5 - near], [0.5 - near, near]]), abs=1e-15
    )


@pytest.mark.parametrize("eta", [1.0, 50.0, 5000.0])
def test_an_additive_cost_gives_the_independent_plan_after_one_iteration(eta):
    problem = instances.additive_cost(eta=eta)
    found = sinkhorn_newton(problem.a, problem.b, problem.cost, eta=eta)
    assert found.plan == pytest.approx(np.outer(problem.a, problem.b), rel=1e-9)
    assert found.n_iter <= 1
    assert found.value == pytest.approx(problem.best_known, rel=1e-12)


def test_a_planted_assignment_is_found_and_has_its_closed_value():
    problem = instances.planted_assignment()
    found = sinkhorn_newton(None, None, problem.cost, problem.reg)
    assert (found.plan.argmax(1) == linear_sum_assignment(problem.cost)[1]).all()
    assert found.value == pytest.approx(problem.best_known, rel=1e-12)


# -- optimality ------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(0, 10_000), st.floats(-1, 4), st.booleans()
)
def test_marginals_and_duality_gap_close_for_any_problem(n, m, seed, log_eta, empty):
    rng = np.random.default_rng(seed)
    a, b, cost = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), rng.random((n, m))
    if empty and n > 1 and m > 1:
        a[0] = b[-1] = 0
        a, b = a / a.sum(), b / b.sum()
    found = sinkhorn_newton(a, b, cost, eta=10**log_eta, tol=1e-9)
    assert found.converged
    assert errors_of(found.plan, a, b) <= 2e-9
    f, g = (np.where(np.isfinite(p), p, 0) for p in found.potentials)
    assert f @ a + g @ b == pytest.approx(found.value, abs=1e-7)
    assert (found.plan * cost).sum() == pytest.approx(found.value_linear, abs=1e-12)
    assert found.value == pytest.approx(
        found.value_linear + found.reg * xlogy(found.plan, found.plan).sum(), abs=1e-9
    )


def test_the_dual_rises_in_every_iteration_at_one_eta():
    problem = instances.random_assignment(120, 300.0, 100)
    s, options = problem.scaled, SinkhornNewtonSettings(tol=1e-12)
    state = states.start(s, 300.0, options)
    values = [state.value]
    while not state.why:
        stages.advance(s, state, options)
        if len(set(state.etas)) > 1:
            pytest.fail("this problem needs no second eta")
        values.append(state.value)
    assert (np.diff(values) >= -1e-14).all()
    assert {"sinkhorn", "newton"} <= set(state.stages)


def test_the_newton_matrix_is_the_second_derivative_of_the_dual():
    rng = np.random.default_rng(100)
    cost, a, b, eta = rng.random((6, 5)), rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(5)), 3.0

    def dual(v):
        u = np.log(a) - np.log(np.exp(v - eta * cost).sum(1))
        return -(a @ u + b @ v)

    def slope(v):
        plan = np.exp(v - eta * cost)
        return a @ (plan / plan.sum(1, keepdims=True)) - b

    v = rng.normal(size=5)
    kernel, cols = sinkhorn_kernel.kernel_at(cost, eta, v, a, b, 1e-10)
    assert cols - b == pytest.approx(slope(v), abs=1e-14)
    assert check_grad(dual, slope, v) < 1e-6
    plan = kernel.whole
    schur = np.diag(plan.sum(0)) - plan.T @ (plan / plan.sum(1, keepdims=True))
    numerical = np.stack([(slope(v + 1e-6 * e) - slope(v - 1e-6 * e)) / 2e-6 for e in np.eye(5)])
    assert schur == pytest.approx(numerical, abs=1e-8)
    right, x = rng.normal(size=5), np.empty(5)
    ptr, idx, val = kernel.keep(np.ones(6), np.ones(5), 0.0, None)
    kernels.conjugate_gradients(ptr, idx, val, 1 / a, cols, np.full(5, 0.1), right, 1e-14, 100, x)
    assert (schur + 0.1 * np.eye(5)) @ x == pytest.approx(right, abs=1e-10)


def test_at_full_density_the_error_squares_near_the_end():
    problem = instances.random_assignment(60, 60.0, 100)
    found = sinkhorn_newton(
        None, None, problem.cost, problem.reg, mode="paper", density=1.0, tol=1e-14, n_sinkhorn=3
    )
    e = found.history["error"][found.history["stage"] == "newton"]
    assert len(e) >= 4
    assert (e[1:] <= 20 * e[:-1] ** 2 + 1e-14).all()


@pytest.mark.parametrize("keep", ["whole", "compressed"])
def test_the_kept_entries_are_the_largest_and_what_is_dropped_is_within_its_bound(keep):
    rng = np.random.default_rng(100)
    cost, eta = rng.random((90, 80)), 5.0 if keep == "whole" else 700.0
    a, b = np.full(90, 1 / 90), np.full(80, 1 / 80)
    kernel, _ = sinkhorn_kernel.kernel_at(cost, eta, np.zeros(80), a, b, 1e-10)
    assert (kernel.whole is not None) == (keep == "whole")
    plan = np.exp(kernel.u[:, None] + kernel.v - eta * cost)
    ptr, idx, val = kernel.keep(np.ones(90), np.ones(80), 0.0, 300)
    kept = np.zeros_like(plan)
    kept[np.repeat(np.arange(90), np.diff(ptr)), idx] = val
    least = np.sort(plan.ravel())[-300]
    assert (kept[plan >= least * (1 + 1e-12)] > 0).all()
    assert (np.diff(ptr) >= 1).all()
    assert kept[kept > 0] == pytest.approx(plan[kept > 0], rel=1e-10)
    ptr, idx, val = kernel.keep(np.ones(90), np.ones(80), 1e-3, None)
    assert 1 - val.sum() <= 1e-3 + 1e-9


# -- agreement -------------------------------------------------------------------------------------


def test_it_agrees_with_pot_at_moderate_reg():
    import ot

    a, b, cost = clouds()
    theirs = ot.sinkhorn(
        a, b, cost, 1 / 50, method="sinkhorn_log", stopThr=1e-15, numItermax=20_000
    )
    assert sinkhorn_newton(a, b, cost, 1 / 50, tol=1e-12).plan == pytest.approx(theirs, abs=1e-9)


def test_without_entropy_it_is_the_network_simplexs_plan():
    import ot

    for problem in (
        instances.random_assignment(200, 1e4, 100),
        instances.image_pair(10, eta=1e4, seed=100),
        instances.point_clouds(90, 70, 1e4, 100),
    ):
        found = sinkhorn_newton(problem.a, problem.b, problem.cost, problem.reg)
        exact = found.unregularised()
        assert found.converged
        assert exact.value == pytest.approx(ot.emd2(problem.a, problem.b, problem.cost), rel=1e-9)
        assert abs(exact.gap) < 1e-9 * exact.value
        assert errors_of(exact.plan.toarray(), problem.a, problem.b) < 1e-12
        assert (
            exact.value * (1 - 1e-9)
            <= found.value_linear
            <= exact.value + problem.reg * np.log(problem.cost.size)
        )


def test_where_the_assignment_is_unique_by_far_its_cost_is_the_network_simplexs_to_1e_6():
    import ot

    problem = instances.planted_assignment(200, 1e4, 100)
    assert sinkhorn_newton(None, None, problem.cost, eta=1e4).value_linear == pytest.approx(
        ot.emd2([], [], problem.cost), rel=1e-6
    )


def test_a_support_that_cannot_reach_the_marginals_is_widened():
    a, b, cost = clouds()
    found = sinkhorn_newton(a, b, cost, 0.01)
    assert found.unregularised(0.5).value == pytest.approx(found.unregularised().value, rel=1e-12)


def test_modes_densities_and_plain_sinkhorn_reach_one_plan():
    a, b, cost = clouds(90, 80)
    reference = sinkhorn_newton(a, b, cost, 0.005, tol=1e-12).plan
    for more in (
        {"mode": "paper", "density": 0.3},
        {"mode": "paper", "density": 1.0},
        {"density": 0.2},
        {"max_newton": 0, "max_sinkhorn": 100_000},
        {"n_sinkhorn": 0},
    ):
        found = sinkhorn_newton(a, b, cost, 0.005, tol=1e-11, **more)
        assert found.converged, more
        assert found.plan == pytest.approx(reference, abs=1e-9)


def test_an_easy_problem_never_pays_for_newton():
    found = sinkhorn_newton(None, None, instances.random_assignment(300, 50.0, 100).cost, 1 / 50)
    assert set(found.history["stage"]) == {"sinkhorn"}


def test_a_warm_start_at_the_answer_needs_no_iteration():
    a, b, cost = clouds()
    first = sinkhorn_newton(a, b, cost, 0.01, tol=1e-12)
    assert sinkhorn_newton(a, b, cost, 0.01, warmstart=first.potentials).n_iter == 0


def test_rounding_puts_the_plan_onto_the_marginals_and_moves_it_by_little():
    a, b, cost = clouds()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sinkhorn_newton(a, b, cost, 0.01, max_newton=0, max_sinkhorn=8)
    rounded = found.rounded()
    assert not found.converged
    assert errors_of(rounded, a, b) < 1e-15
    assert (rounded >= 0).all()
    assert np.abs(rounded - found.plan).sum() <= 2 * errors_of(found.plan, a, b)


def test_sparse_plan_rows_and_apply_are_the_plan():
    a, b, cost = clouds()
    found = sinkhorn_newton(a, b, cost, 0.001)
    assert found.sparse_plan().toarray() == pytest.approx(found.plan, abs=1e-12)
    assert found.sparse_plan().nnz < found.plan.size / 2
    assert found.rows(3, 7) == pytest.approx(found.plan[3:7], abs=0)
    assert found.apply(np.arange(20.0)) == pytest.approx(found.plan @ np.arange(20.0), abs=1e-15)


# -- what users hand over --------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [1.0, 30.0, 1e3, 1e4])
@pytest.mark.parametrize("kind", ["float64", "float32", "torch"])
def test_zero_masses_and_any_kind_give_the_same_finite_plan(eta, kind):
    a, b, cost = clouds()
    a[:5], b[-3:] = 0, 0
    a, b = a / a.sum(), b / b.sum()
    reference = sinkhorn_newton(a, b, cost, eta=eta).plan
    given = (
        [torch.from_numpy(x) for x in (a, b, cost)]
        if kind == "torch"
        else [x.astype(kind) for x in (a, b, cost)]
    )
    found = sinkhorn_newton(*given, eta=eta)
    assert found.plan.dtype == given[0].dtype
    plan = np.asarray(found.plan)
    assert np.isfinite(plan).all()
    assert (plan[:5] == 0).all()
    assert (plan[:, -3:] == 0).all()
    assert np.abs(plan - reference).sum() < (1e-12 if kind != "float32" else 2e-7 * eta + 1e-6)


def test_single_precision_keeps_its_dtype_and_reaches_what_its_rounding_allows():
    a, b, cost = (x.astype(np.float32) for x in clouds())
    found = sinkhorn_newton(a, b, cost, 0.01)
    assert found.converged
    assert found.potentials[0].dtype == found.plan.dtype == np.float32
    assert errors_of(found.plan.astype(float), a, b) < 1e-6


def test_strided_read_only_and_integer_arrays_and_lists_are_taken_and_left_alone():
    cost = np.arange(12).reshape(3, 4)[:, ::-1]
    cost.flags.writeable = False
    before = cost.copy()
    found = sinkhorn_newton([], None, cost, 0.5)
    assert found.plan == pytest.approx(
        sinkhorn_newton(None, None, cost.astype(float).tolist(), 0.5).plan, abs=0
    )
    assert (cost == before).all()


@pytest.mark.parametrize("eta", [50.0, 1200.0])
def test_a_pair_dearer_than_all_others_by_800_reg_gets_no_mass(eta):
    rng = np.random.default_rng(100)
    cost, forbidden = rng.random((70, 70)), rng.random((70, 70)) < 0.6
    np.fill_diagonal(forbidden, False)
    found = sinkhorn_newton(None, None, np.where(forbidden, cost.max() + 800 / eta, cost), eta=eta)
    assert found.converged
    assert (found.plan[forbidden] == 0).all()


def test_a_relative_reg_is_a_share_of_the_largest_cost():
    a, b, cost = clouds()
    assert sinkhorn_newton(a, b, 7 * cost, 0.1, relative=True).plan == pytest.approx(
        sinkhorn_newton(a, b, cost, 0.1).plan, abs=1e-12
    )


def test_masses_scale_the_plan_and_the_value_follows_its_formula():
    a, b, cost = clouds()
    found = sinkhorn_newton(5 * a, 5 * b, cost, 0.1)
    assert found.plan == pytest.approx(5 * sinkhorn_newton(a, b, cost, 0.1).plan, rel=1e-8)
    assert found.value == pytest.approx(
        (found.plan * cost).sum() + 0.1 * (found.plan * np.log(found.plan)).sum(), rel=1e-10
    )


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"a": [-0.5, 1.5]}, ArgumentError, r"a\[0\] is -0.5"),
        ({"a": [np.nan, 1.0]}, NotFinite, r"a\[0\]"),
        ({"a": [0.0, 0.0]}, ArgumentError, "no mass"),
        ({"a": [0.5, 0.6]}, ArgumentError, r"sum\(a\) = 1.1"),
        ({"a": [1.0]}, ShapeError, "a has 1 entries, expected 2"),
        ({"cost": [[0.0, -np.inf], [1.0, 0.0]]}, NotFinite, r"cost\[0, 1\] is -inf"),
        ({"cost": [[0.0, np.nan], [1.0, 0.0]]}, NotFinite, "cost"),
        ({"cost": np.zeros((0, 2))}, ShapeError, "at least one row"),
        ({"cost": [1.0, 2.0]}, ShapeError, "cost has shape"),
        ({"cost": [["a", "b"], ["c", "d"]]}, ArgumentTypeError, "real numbers"),
        ({"reg": 0.0}, ArgumentError, "reg=0"),
        ({"reg": -1.0}, ArgumentError, "reg=-1"),
        ({"reg": None}, ArgumentError, "exactly one of reg and eta"),
        ({"eta": 3.0}, ArgumentError, "exactly one"),
        ({"reg": None, "eta": -2.0}, ArgumentError, "eta=-2"),
        ({"density": 0.0}, ArgumentError, "density=0"),
        ({"density": 1.5}, ArgumentError, "density=1.5"),
        ({"density": "dense"}, ArgumentTypeError, "density"),
        ({"mode": "fast"}, ArgumentError, "mode='fast'"),
        ({"tol": 0.0}, ArgumentError, "tol=0"),
        ({"max_cg": -1}, ArgumentError, "max_cg=-1"),
        ({"warmstart": (0, [0.0])}, ShapeError, "warmstart: g has shape"),
        ({"cost": np.zeros((2, 2)), "relative": True}, ArgumentError, "cost is zero everywhere"),
    ],
)
def test_bad_input_names_the_argument_and_what_was_got(change, error, words):
    call = {"a": [0.5, 0.5], "b": [0.5, 0.5], "cost": [[0.0, 1.0], [1.0, 0.0]], "reg": 0.1}
    with pytest.raises(error, match=words):
        sinkhorn_newton(**{**call, **change})


def test_what_stands_still_returns_the_best_iterate_with_the_reason():
    a, b, cost = clouds()
    for more, words in (
        ({"max_newton": 1, "n_sinkhorn": 1}, "1 Newton steps"),
        ({"max_sinkhorn": 3, "max_newton": 0}, "3 Sinkhorn iterations"),
        ({"max_cg": 0, "n_sinkhorn": 2}, "Newton"),
        ({"tol": 1e-300, "max_newton": 30, "max_sinkhorn": 300}, ""),
    ):
        with pytest.warns(RuntimeWarning, match="did not converge"):
            found = sinkhorn_newton(a, b, cost, 0.002, **more)
        assert not found.converged
        assert words in found.status
        assert errors_of(found.plan, a, b) == pytest.approx(found.marginal_error, abs=1e-12)
        assert found.marginal_error <= found.history["error"][-1] + 1e-15


def test_no_array_larger_than_the_kernel_is_held_where_the_kernel_is_compressed():
    import tracemalloc

    cost = instances.random_assignment(1500, 1200.0, 100).cost
    sinkhorn_newton(None, None, cost[:70, :70], eta=1200.0)
    tracemalloc.start()
    sinkhorn_newton(None, None, cost, eta=1200.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * cost.nbytes


# -- batches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("shared", ["", "a", "cost"])
def test_a_batch_is_its_problems_one_by_one(kind, shared):
    problems = [clouds(9, 7, seed) for seed in range(100, 105)]
    a, b, cost = (np.stack(x) for x in zip(*problems, strict=True))
    a = a[0] if shared == "a" else a
    cost = cost[0] if shared == "cost" else cost
    given = [torch.from_numpy(x) for x in (a, b, cost)] if kind == "torch" else [a, b, cost]
    found = sinkhorn_newton(*given, reg=0.02)
    assert found.converged
    assert len(found) == 5
    assert found.plan.shape == (5, 9, 7)
    for i, one in enumerate(found):
        alone = sinkhorn_newton(
            a if shared == "a" else a[i], b[i], cost if shared == "cost" else cost[i], 0.02
        )
        assert np.asarray(one.plan) == pytest.approx(alone.plan, abs=1e-11)
        assert float(found.value[i]) == pytest.approx(alone.value, abs=1e-11)
    assert [tuple(p.shape) for p in found.potentials] == [(5, 9), (5, 7)]
    assert found.marginal_error.shape == (5,)


def test_small_problems_solved_at_once_are_those_of_the_general_solver():
    options = SinkhornNewtonSettings(tol=1e-12)
    for seed, eta in ((100, 5.0), (101, 300.0), (102, 5000.0)):
        a, b, cost = clouds(30, 20, seed)
        scaled = EntropicTransport(a, b, cost, 1 / eta).scaled
        at_once = small.solve_at_once(scaled, eta, options)
        general = stages.solve_scaled(scaled, eta, options)
        assert at_once is not None
        assert at_once[0].best[2] <= 1e-12
        assert at_once[1:] == pytest.approx(states.values(scaled, general), abs=1e-11)
        plan, other = (
            np.exp(u[:, None] + v - eta * cost) for u, v, _ in (at_once[0].best, general.best)
        )
        assert plan == pytest.approx(other, abs=1e-11)
    large = EntropicTransport(None, None, np.zeros((65, 2)), 1.0).scaled
    assert small.solve_at_once(large, 1.0, options) is None


def test_a_batch_of_differing_sizes_is_refused():
    with pytest.raises(ShapeError, match=r"leading axes of \[2, 3\]"):
        sinkhorn_newton(np.ones((3, 4)), None, np.ones((2, 4, 4)), 1.0)


# -- in a run --------------------------------------------------------------------------------------


def test_a_run_is_metered_and_ends_where_the_function_does():
    problem = instances.random_assignment(80, 1200.0, 100)
    result = feasible.solve(problem, budget={"gradients": 5000})
    assert result.method == "sinkhorn-newton"
    assert result.verdict.objective == pytest.approx(
        sinkhorn_newton(None, None, problem.cost, problem.reg).value, abs=1e-10
    )
    assert result.verdict.residual < 1e-9
    assert 0 < result.spent["gradients"] < 500
    assert feasible.solve(problem, budget={"gradients": 7}).spent["gradients"] == 7


def test_the_functions_and_the_method_have_the_settings_defaults():
    settings = dataclasses.asdict(SinkhornNewtonSettings())
    assert dataclasses.asdict(SinkhornNewton()) == settings
    for function, names in (
        (sinkhorn_newton, settings),
        (sinkhorn_newton_points, ("tol", "density")),
    ):
        signature = inspect.signature(function).parameters
        assert {n: settings[n] for n in names} == {n: signature[n].default for n in names}
