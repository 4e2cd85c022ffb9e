"""The problem of entropic transport: what its judge measures, its instances and their known values,
rounding.
"""

from __future__ import annotations

import numpy as np
import pytest

from feasible.core.errors import ArgumentError, UnknownName
from feasible.core.registry import load_problem, problems
from feasible.transport import EntropicTransport, Potentials, instances, sinkhorn_newton
from feasible.transport.plan import SparsePlan
from feasible.transport.sinkhorn_newton_sparse.problem import rounded


def test_the_judge_measures_value_marginals_and_gap_by_their_formulas():
    rng = np.random.default_rng(100)
    problem = EntropicTransport(
        rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(4)), rng.random((5, 4)), 0.3
    )
    answer = Potentials(rng.normal(size=5) - 1, rng.normal(size=4))
    plan = np.exp((answer.f[:, None] + answer.g - problem.cost) / 0.3)
    verdict = problem.judge(answer)
    onto = rounded(plan.copy(), problem.a, problem.b)
    value = (onto * problem.cost).sum() + 0.3 * (onto * np.log(onto)).sum()
    dual = answer.f @ problem.a + answer.g @ problem.b - 0.3 * (plan.sum() - 1)
    assert verdict.objective == pytest.approx(value, rel=1e-12)
    assert verdict.residual == pytest.approx(value - dual, rel=1e-10)
    assert verdict.violations["row marginals"] == pytest.approx(
        np.abs(plan.sum(1) - problem.a).sum(), rel=1e-12
    )
    assert verdict.violations["column marginals"] == pytest.approx(
        np.abs(plan.sum(0) - problem.b).sum(), rel=1e-12
    )
    assert not verdict.feasible


def test_every_dual_value_is_below_every_value_of_a_plan():
    rng = np.random.default_rng(100)
    problem = EntropicTransport(None, None, rng.random((6, 6)), 0.2)
    optimum = problem.judge(sinkhorn_newton(None, None, problem.cost, 0.2).exact).objective
    for _ in range(20):
        f, g = rng.normal(size=6), rng.normal(size=6)
        plan = rounded(np.exp((f[:, None] + g - problem.cost) / 0.2), problem.a, problem.b)
        i, j = np.nonzero(plan)
        verdict = problem.judge(SparsePlan(i, j, plan[i, j]))
        assert verdict.feasible
        assert verdict.objective >= optimum - 1e-12


def test_of_two_answers_the_one_nearer_to_the_optimum_wins():
    problem = instances.point_clouds(60, 50, 200.0, 100)
    exact = sinkhorn_newton(None, None, problem.cost, problem.reg, tol=1e-13).exact
    rng, last = np.random.default_rng(100), problem.judge(exact)
    assert 0 <= last.residual < 1e-14
    for size in (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2):
        worse = problem.judge(
            Potentials(exact.f + size * problem.reg * rng.normal(size=60), exact.g)
        )
        assert worse.objective >= last.objective - 1e-15
        assert not worse.beats(last)
        last = worse


def test_a_plan_is_judged_by_its_entries():
    problem = instances.planted_assignment(20)
    rows = np.arange(20)
    verdict = problem.judge(SparsePlan(rows, rows, np.full(20, 0.05)))
    assert verdict.feasible
    assert verdict.objective == pytest.approx(problem.best_known, rel=1e-12)
    assert problem.judge(SparsePlan(rows, rows, np.full(20, 0.04))).violation == pytest.approx(0.2)
    assert (
        problem.judge(
            SparsePlan(np.r_[rows, 0, 0], np.r_[rows, 1, 2], np.r_[np.full(20, 0.05), 0.1, -0.1])
        ).violations["negative mass"]
        > 0
    )
    assert problem.judge(None).missing


def test_what_overflows_is_no_answer():
    problem = instances.additive_cost()
    assert problem.judge(Potentials(np.full(40, 1e6), np.zeros(30))).missing


def test_judging_in_blocks_is_judging_at_once(monkeypatch):
    problem = instances.point_clouds(50, 40, 100.0)
    answer = sinkhorn_newton(None, None, problem.cost, problem.reg).exact
    whole = problem.judge(answer)
    monkeypatch.setattr("feasible.transport.sinkhorn_newton_sparse.problem.BLOCK", 7 * 40)
    assert len(list(problem.blocks())) == 8
    assert problem.judge(answer).objective == pytest.approx(whole.objective, rel=1e-13)


def test_a_potential_where_there_is_no_mass_is_the_price_of_a_first_unit():
    rng = np.random.default_rng(100)
    cost, a, b = rng.random((4, 3)), np.array([0.0, 0.3, 0.3, 0.4]), np.full(3, 1 / 3)
    found = sinkhorn_newton(a, b, cost, 0.1, tol=1e-13)
    full = found.problem.extended(found.exact, 0)
    assert (full[1:] == found.potentials[0][1:]).all()
    assert np.exp((full[0] + found.potentials[1] - cost[0]) / 0.1).sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "name", [n for n, e in problems().items() if e.solves == "EntropicTransport"]
)
def test_every_named_problem_loads_with_masses_of_one_and_a_cost_of_known_scale(name):
    problem = load_problem(name)
    assert isinstance(problem, EntropicTransport)
    assert problem.a.sum() == pytest.approx(1)
    assert problem.b.sum() == pytest.approx(1)
    assert (
        np.abs(problem.cost).max() == pytest.approx(1.0, abs=0.02) or problem.best_known is not None
    )


@pytest.mark.parametrize("name", ["planted-assignment", "additive-cost"])
def test_known_optima_are_reached(name):
    problem = instances.get(name)
    found = sinkhorn_newton(problem.a, problem.b, problem.cost, problem.reg, tol=1e-12)
    assert problem.judge(found.exact).objective == pytest.approx(problem.best_known, rel=1e-10)


def test_instances_repeat_with_their_seed_and_unknown_names_are_named():
    for name in ("random-assignment", "image-pair", "point-clouds", "colour-transfer"):
        assert (instances.get(name, seed=3).cost == instances.get(name, seed=3).cost).all()
    with pytest.raises(UnknownName, match="did you mean 'image-pair'"):
        instances.get("image-pairs")
    with pytest.raises(ArgumentError, match="ground='l7'"):
        instances.image_pair(ground="l7")
