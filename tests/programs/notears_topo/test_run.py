"""The problem's judge, the methods of a run, the claim."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible import errors
from feasible.programs import DAGLearning, Graph, Topo, TopoNetworks
from feasible.programs.notears_topo.instances import linear_dag, logistic_dag, neural_dag
from feasible.programs.notears_topo.run import EqualVariance, SortAndRegress


@pytest.fixture(scope="module")
def problem():
    return linear_dag(8, 2, seed=100)


def test_the_judge_scores_edges_by_a_refit_and_names_cycles(problem):
    truth = problem.truth
    exact = problem.judge(truth)
    assert exact.feasible
    assert exact.metrics["shd"] == 0
    assert problem.judge(5 * truth).objective == exact.objective
    none = problem.judge(np.zeros((8, 8)))
    assert np.isclose(none.objective, 0.5 * problem.X.var(0).sum())
    assert none.objective > exact.objective
    cyclic = truth.copy()
    i, j = np.argwhere(truth != 0)[0]
    cyclic[j, i] = 0.25
    found = problem.judge(cyclic)
    assert found.violations["cycle"] == 0.25
    assert not found.feasible
    assert np.isclose(found.objective, exact.objective)
    turned = problem.judge(Graph(truth, np.arange(8)))
    against = sum(a >= b for a, b in np.argwhere(truth != 0))
    assert turned.violations["order"] == against
    with pytest.raises(errors.ShapeError):
        problem.judge(np.zeros((3, 3)))


def test_a_run_ends_below_its_baselines(problem):
    def solved(method):
        return feasible.solve(problem, method, budget=1_000_000)

    found = solved(Topo())
    assert found.verdict.metrics["shd"] == 0
    assert found.verdict.metrics["score_over_true_order"] <= 1
    assert found.verdict.objective <= solved(EqualVariance()).verdict.objective
    assert found.verdict.objective < solved(SortAndRegress()).verdict.objective
    default = feasible.solve(problem, budget=1_000_000)
    assert default.verdict.objective == found.verdict.objective


def test_pairs_are_counted_and_a_budget_is_kept(problem):
    found = feasible.solve(problem, Topo(n_starts=0, start="random"), budget=60)
    assert found.spent["evaluations"] == 57  # one order and two rounds of 28 pairs
    assert found.verdict.feasible


def test_a_logistic_run_is_judged_by_other_code():
    problem = logistic_dag(4, 1, 300, seed=100)
    found = feasible.solve(problem, Topo(n_starts=0), budget=500)
    assert found.verdict.feasible
    assert 0 < found.verdict.objective < 4 * np.log(2)
    mine = Topo(n_starts=0)._model(problem, 0).regression(2, np.array([0, 1, 3]))[0]
    edges = np.zeros((4, 4))
    edges[[0, 1, 3], 2] = 1
    rest = problem.judge(edges).objective - 3 * np.log(2)
    assert np.isclose(mine, rest, rtol=1e-5)


def test_networks_bring_their_own_parameters():
    problem = neural_dag(3, 1, 40, 3, seed=100)
    method = TopoNetworks(train_steps=40)
    found = feasible.solve(problem, method, budget=6)
    assert found.verdict.feasible
    assert np.isfinite(found.verdict.objective)


def test_what_is_no_data_for_a_score_is_refused(problem):
    with pytest.raises(errors.ArgumentError, match="logistic"):
        DAGLearning(problem.X, model="logistic")
    with pytest.raises(errors.ArgumentError, match="cycle"):
        DAGLearning(problem.X, np.ones((8, 8)))
    with pytest.raises(errors.ShapeError, match="truth"):
        DAGLearning(problem.X, np.zeros((3, 3)))
    with pytest.raises(errors.WrongProblem, match="topo-networks"):
        feasible.solve(neural_dag(3, 1, 40, 3), Topo(), budget=6)


def test_what_a_library_sets_for_the_whole_process_stays_inside_its_run(problem, monkeypatch):
    import logging
    import sys

    import torch

    def everything():
        return (
            np.get_printoptions(),
            np.random.get_state()[1].tolist(),
            torch.get_default_dtype(),
            torch.initial_seed(),
            logging.root.manager.disable,
        )

    for module in [m for m in sys.modules if m.partition(".")[0] == "castle"]:
        monkeypatch.delitem(sys.modules, module)  # imported anew, as by its first user
    before = everything()
    feasible.solve(problem, "castle-golem[steps=20]", budget={"evaluations": 5})
    assert everything() == before
