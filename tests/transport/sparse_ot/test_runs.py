"""Capped transport in runs: every name, budgets, the default, the judge, and runs that are
stopped."""

from __future__ import annotations

import numpy as np
import pytest
from clouds import clouds

import feasible
from feasible.core.errors import ShapeError
from feasible.core.registry import default_method, load_method, load_problem, methods
from feasible.transport import SparseTransport, sparse_ot
from feasible.transport.plan import SparsePlan
from feasible.transport.sparse_ot import instances as instances_sparse

OURS = ("sparse-ot", "sparse-ot-dual", "sparse-ot-adam", "sparse-ot-repair")
PEERS = ("pot-sparse", "pot-sparse-dual", "pot-quadratic")


@pytest.mark.parametrize("method", OURS + PEERS)
def test_every_name_solves_the_problem_it_is_explained_with(method, capsys):
    result = feasible.solve(methods()[method].example, method, budget={"gradients": 150}, seed=100)
    assert np.isfinite(result.verdict.objective)
    assert result.spent["gradients"] <= 150
    assert capsys.readouterr().out == ""
    cap = result.verdict.violations["cap"]
    assert (cap > 0) if method == "pot-quadratic" else (cap == 0)


@pytest.mark.parametrize("name", list(instances_sparse.PROBLEMS))
def test_every_ready_made_problem_has_a_bound_near_its_plan(name):
    problem = load_problem(name)
    assert problem.name == name
    found = feasible.solve(problem, "sparse-ot", budget={"gradients": 500}).verdict
    assert found.metrics["bound"] == pytest.approx(found.objective, rel=0.02)
    assert max(found.violations["cap"], found.violations["negative mass"]) == 0


def test_a_run_finds_what_the_function_finds_and_counts_its_gradients():
    a, b, cost = clouds(uneven=True)
    problem = SparseTransport(a, b, cost, 8, 1.0)
    found = sparse_ot(a, b, cost, 8, 1.0)
    result = feasible.solve(problem, "sparse-ot", budget={"gradients": 500})
    assert result.verdict.feasible
    assert result.verdict.objective == pytest.approx(found.value_plan, rel=1e-6)
    assert result.spent["gradients"] == found.evaluations
    assert "the marginals are met" in result.stopped
    short = feasible.solve(problem, "sparse-ot", budget={"gradients": 5})
    assert short.spent["gradients"] == 5


def test_the_default_mends_what_ties_leave():
    a, b, cost = clouds(seed=101)
    problem = SparseTransport(a, b, cost, 2, 0.1)
    method, reason = default_method(problem, feasible.Budget(gradients=5000))
    assert method == load_method("sparse-ot-repair")
    assert reason
    assert feasible.solve(problem, budget={"gradients": 5000}).verdict.feasible
    assert not feasible.solve(problem, "sparse-ot", budget={"gradients": 5000}).verdict.feasible


def test_one_nonzero_a_column_is_one_step_of_a_run():
    a, b, cost = clouds(12, 12)
    result = feasible.solve(SparseTransport(a, b, cost, 1), budget={"gradients": 10})
    assert result.verdict.feasible
    assert result.spent["gradients"] == 1
    assert "keeps the cap" in result.stopped


def test_the_judge_believes_nothing():
    problem = load_problem("sparse-clouds")
    n = len(problem.a)
    spread = problem.judge(np.full((n, n), 1 / n**2))
    assert spread.violations["cap"] == pytest.approx(1 - problem.k / n)
    assert spread.metrics["most_in_one"] == n
    assert not spread.feasible
    rows = np.arange(n)
    heavy = problem.judge(SparsePlan(rows, rows, np.full(n, 2 / n)))
    assert heavy.violations["row marginals"] == pytest.approx(1)
    negative = problem.judge(
        SparsePlan(np.r_[rows, 0, 0], np.r_[rows, 1, 1], np.r_[np.full(n, 1 / n), -1.0, 0.5])
    )
    assert negative.violations["negative mass"] == pytest.approx(0.5)
    assert problem.judge(None).missing
    with pytest.raises(ShapeError, match="answer has shape"):
        problem.judge(np.ones((2, 2)))


class Teller:
    def on_point(self, run, point):
        print(point.spent["gradients"])


@pytest.mark.parametrize("method", PEERS)
def test_pots_plans_are_judged_while_it_runs_and_only_what_it_prints_is_hidden(method, capsys):
    result = feasible.solve("sparse-clouds", method, budget={"gradients": 60}, observers=[Teller()])
    spent = [point.spent["gradients"] for point in result.trail]
    assert len(spent) > 10
    assert spent == sorted(spent)
    assert capsys.readouterr().out.split() == [str(s) for s in spent]
    late, early = (result.trail[i].verdict.residual for i in (-1, 3))
    assert late < early
