"""The estimator, the other scores, graphs and pruning."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from feasible import errors
from feasible.programs import TopoDAG
from feasible.programs.notears_topo.graphs import (
    compare,
    cycle_size,
    is_acyclic,
    topological_order,
    without_cycles,
)
from feasible.programs.notears_topo.neural import NeuralModel
from feasible.programs.notears_topo.nodewise import LassoModel, LogisticModel
from feasible.programs.notears_topo.search import search
from feasible.programs.notears_topo.settings import TopoSettings
from feasible.programs.notears_topo.simulate import (
    simulate_dag,
    simulate_linear,
    simulate_logistic,
    simulate_mlp,
)


@pytest.fixture(scope="module")
def data():
    truth = simulate_dag(10, 2, seed=100)
    return truth, simulate_linear(truth, 1000, seed=100)


def test_it_finds_a_simulated_graph(data):
    truth, x = data
    found = TopoDAG().fit(x)
    assert compare(found.weights_, truth).shd == 0
    assert np.abs(found.weights_ - truth).max() < 0.2
    assert (found.adjacency_ == found.causal_matrix).all()
    assert found.causal_order_ == found.order_.tolist()
    assert (np.diff(found.history_) < 0).all()
    assert found.history_[-1] == found.score_


@pytest.mark.parametrize("prune", ["bic", "t-test"])
def test_edges_chosen_by_the_data_do_not_hang_on_units(data, prune):
    truth, x = data
    found = TopoDAG(prune=prune).fit(x)
    scaled = TopoDAG(prune=prune).fit(100 * x)
    assert compare(found.weights_, truth).shd <= 2
    assert (found.adjacency_ == scaled.adjacency_).all()


def test_bic_drops_regressors_as_brute_force_does():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 4))
    x[:, 3] += 2 * x[:, 0]
    x -= x.mean(0)
    found = TopoDAG(prune="bic").fit(x, order=[0, 1, 2, 3]).weights_[:, 3]

    def bic(columns):
        rest = x[:, 3] - x[:, columns] @ np.linalg.lstsq(x[:, columns], x[:, 3], rcond=None)[0]
        return 60 * np.log(rest @ rest) + len(columns) * np.log(60)

    subsets = [[0], [0, 1], [0, 2], [0, 1, 2]]
    assert np.flatnonzero(found).tolist() == min(subsets, key=bic)


def test_a_dataframe_keeps_its_names(data):
    _, x = data
    frame = pd.DataFrame(x, columns=[f"gene {i}" for i in range(10)])
    found = TopoDAG().fit(frame)
    graph = found.to_networkx()
    assert list(graph.nodes) == list(frame.columns)
    assert nx.is_directed_acyclic_graph(graph)
    assert graph.number_of_edges() == found.adjacency_.sum()
    assert "gene 3" in str(found.plot(truth=data[0]).to_dict())
    assert clone(found).get_params() == found.get_params()


def test_refining_never_raises_a_score(data):
    _, x = data
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((10, 10))
    order = topological_order(without_cycles(weights), np.cov(x.T, bias=True))
    given = TopoDAG(n_starts=0).fit(x, order=order).history_[0]
    assert TopoDAG().refine(x, weights).score_ <= given
    chain = nx.DiGraph([(i, i + 1) for i in range(9)])
    along = TopoDAG(n_starts=0).fit(x, order=np.arange(10)).history_[0]
    assert TopoDAG().refine(x, chain).score_ <= along
    with pytest.raises(errors.ArgumentError, match="cycle"):
        TopoDAG().refine(x, weights, repair="error")
    with pytest.raises(errors.ShapeError, match="10 columns"):
        TopoDAG().refine(x, np.zeros((3, 3)))


def test_standardised_columns_are_warned_of(data):
    x = data[1]
    with pytest.warns(UserWarning, match="equal variances"):
        TopoDAG().fit(x / x.std(0))


def test_fewer_rows_than_columns_need_a_ridge(data):
    x = data[1][:8]
    with pytest.raises(errors.ArgumentError, match="ridge"):
        TopoDAG().fit(x)
    assert is_acyclic(TopoDAG(ridge=0.1).fit(x).weights_)


def test_pruning_by_tests_is_for_least_squares():
    with pytest.raises(errors.ArgumentError, match="prune"):
        TopoDAG(model="logistic", prune="bic").fit(np.eye(3))


def test_a_logistic_regression_is_scikit_learns_and_kept(data):
    truth = simulate_dag(5, 1, seed=1)
    x = simulate_logistic(truth, 400, seed=1)
    model = LogisticModel(x, 1e-3)
    order = np.array([3, 1, 0, 4, 2])
    fit = model.fit(order)
    plain = LogisticRegression(
        l1_ratio=1.0, solver="saga", C=1 / 0.4, fit_intercept=False, tol=1e-8, max_iter=20000
    ).fit(x[:, [0, 1, 3]], x[:, 4])
    assert np.allclose(fit.weights[[0, 1, 3], 4], plain.coef_[0], atol=1e-3)
    state = search(model, order[None], TopoSettings(model="logistic"))
    assert state.best.score < fit.score
    again = LogisticModel(x, 1e-3).fit(state.best.order).score
    assert np.isclose(again, state.best.score, rtol=1e-12)
    zero = fit.weights == 0
    shrunken = model.gradient(fit)
    along = np.triu(np.ones((5, 5), bool), 1)[np.ix_(np.argsort(order), np.argsort(order))]
    assert np.abs(shrunken[along & ~zero]).max() < 1e-3
    with pytest.raises(errors.ArgumentError, match="0 or 1"):
        TopoDAG(model="logistic").fit(data[1])


def test_an_l1_term_of_nothing_is_least_squares(data):
    x = data[1] - data[1].mean(0)
    order = np.arange(10)
    sparse = LassoModel(x, 1e-9).fit(order)
    dense = TopoDAG(n_starts=0, size_small=1, size_large=1).fit(x, order=order)
    assert np.isclose(sparse.score, dense.history_[0], rtol=1e-6)
    assert (LassoModel(x, 0.5).fit(order).weights != 0).sum() < 45
    assert TopoDAG(l1=0.05, n_starts=0).fit(x[:, :5]).score_ > 0


@pytest.mark.parametrize("loss", ["l2", "logl2"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_networks_obey_their_order_and_exchanges_lower_the_score(loss, optimizer):
    truth = simulate_dag(4, 1, seed=2)
    x = simulate_mlp(truth, 60, 10, seed=2)
    x = x - x.mean(0)
    settings = TopoSettings(
        model="neural", loss=loss, optimizer=optimizer, hidden=4, train_steps=50
    )
    model = NeuralModel(x, settings, seed=0)
    order = topological_order(truth)[::-1].copy()
    fit = model.fit(order)
    place = np.argsort(order)
    assert (fit.weights[place[:, None] >= place[None, :]] == 0).all()
    inside = 1 / (1 + np.exp(-np.einsum("ni,kmi->nkm", x, fit.parameters["hidden"])))
    rest = x - np.einsum("nkm,km->nk", inside, fit.parameters["outer"])
    data_term = (rest**2).sum() / len(x)
    norms = (fit.parameters["hidden"] ** 2).sum() + (fit.parameters["outer"] ** 2).sum()
    penalty = 0.005 * norms + 0.01 * np.abs(fit.parameters["hidden"]).sum()
    expected = 0.5 * data_term if loss == "l2" else 2 * np.log(data_term)
    assert np.isclose(fit.score, expected + penalty, rtol=1e-10)
    state = search(model, order[None], settings)
    assert state.best.score < fit.score
    assert is_acyclic(state.best.weights)


def test_distances_count_a_reversal_once():
    truth = np.zeros((4, 4))
    truth[0, 1] = truth[1, 2] = truth[2, 3] = 1
    found = np.zeros((4, 4))
    found[1, 0] = found[1, 2] = found[0, 3] = 1
    result = compare(found, truth)
    assert (result.shd, result.missing, result.extra, result.reversed) == (3, 1, 1, 1)
    assert np.isclose(result.fdr, 2 / 3)
    assert np.isclose(result.tpr, 1 / 3)
    assert compare(truth, truth).shd == 0


def test_cycles_are_measured_and_dropped():
    weights = np.array([[0, 1.0, 0], [0, 0, 0.5], [0.2, 0, 0]])
    assert cycle_size(weights) == 0.2
    assert is_acyclic(without_cycles(weights))
    assert (without_cycles(weights) != 0).sum() == 2
    assert cycle_size(np.eye(2)) == 1.0
    with pytest.raises(errors.ArgumentError, match="cycle"):
        topological_order(weights)
