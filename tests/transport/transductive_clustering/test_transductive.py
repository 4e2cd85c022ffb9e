"""Transductive clustering: the paper's problem, scikit-learn's contract, and runs."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
from few_labels import blobs, few
from sklearn.cluster import KMeans
from sklearn.datasets import make_moons
from sklearn.utils.estimator_checks import check_estimator

import feasible
from feasible.core.budget import Budget
from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.core.registry import default_method, load_method, load_problem, methods, problems
from feasible.transport import FewShot, FewShotClustering, TransductiveClustering
from feasible.transport.transductive_clustering import episodes
from feasible.transport.transductive_clustering.compiled import squared_distances
from feasible.transport.transductive_clustering.iterations import (
    ClusteringSettings,
    affinity,
    normalized,
)

OURS = ("slk-ms", "slk-means", "k-modes-few-shot", "k-means-few-shot", "laplacianshot")
PEERS = (
    "nearest-prototype",
    "sklearn-nearest-centroid",
    "sklearn-kmeans",
    "sklearn-label-spreading",
)
VARIANTS = ({}, {"mode": "means"}, {"lam": 0.0}, {"mode": "means", "lam": 0.0}, {"mode": "fixed"})


# -- the estimator ---------------------------------------------------------------------------------


def test_the_estimator_and_the_method_have_the_settings_defaults():
    settings = dataclasses.asdict(ClusteringSettings())
    signature = inspect.signature(TransductiveClustering).parameters
    named = {"pin": "pin_support"}
    assert settings == {s: signature[named.get(s, s)].default for s in settings}
    method = dataclasses.asdict(FewShotClustering())
    assert method == {**settings, "normalize": "problem"}


def test_only_a_run_may_leave_the_normalisation_to_its_problem():
    assert FewShotClustering(normalize="problem").of(load_problem("moons-few-labels")) == (
        FewShotClustering(normalize=None)
    )
    with pytest.raises(ArgumentError, match="normalize"):
        TransductiveClustering(normalize="problem").fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("variant", [{}, {"mode": "means", "lam": 0.0}], ids=str)
def test_it_is_a_scikit_learn_classifier(variant):
    check_estimator(TransductiveClustering(**variant))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_support_keeps_its_labels_and_rows_of_the_distributions_sum_to_one(variant):
    x, truth = blobs(gap=1.0)
    y = few(truth, 3)
    y[y == 2] = 7
    found = TransductiveClustering(**variant).fit(x, y)
    given_ = y >= 0
    assert np.array_equal(found.transduction_[given_], y[given_])
    assert found.classes_.tolist() == [0, 1, 7]
    z = found.label_distributions_
    assert np.array_equal(z[given_], (y[given_, None] == found.classes_).astype(float))
    assert np.allclose(z.sum(1), 1)
    assert (z >= 0).all()
    assert found.cluster_centers_.shape == (3, 3)
    assert len(found.energy_history_) == found.n_iter_
    assert found.sigma_ > 0 or variant.get("mode") in ("means", "fixed")


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_far_blobs_are_found_from_one_label_each(variant):
    rng = np.random.default_rng(100)
    truth = np.arange(60) % 2
    x = np.array([[5.0, 0.0], [0.0, 5.0]])[truth] + 0.1 * rng.normal(size=(60, 2))
    found = TransductiveClustering(**variant).fit(x, few(truth))
    assert np.array_equal(found.transduction_, truth)
    assert np.array_equal(found.predict(x), truth)


@pytest.mark.parametrize("seed", range(100, 104))
def test_without_graph_and_pin_it_is_lloyds_k_means_from_the_prototypes(seed):
    x, truth = blobs(120, seed, 1.5)
    y = few(truth, 2, seed)
    ours = TransductiveClustering(
        mode="means", lam=0.0, normalize=None, shift=False, pin_support=False, tol=0.0
    ).fit(x, y)
    init = np.stack([x[y == k].mean(0) for k in range(3)])
    theirs = KMeans(3, init=init, n_init=1, tol=0.0, algorithm="lloyd").fit(x)
    assert np.array_equal(ours.transduction_, theirs.labels_)
    assert ours.energy_history_[-1] == pytest.approx(theirs.inertia_)
    assert (np.diff(ours.energy_history_) <= 1e-9).all()


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_order_of_rows_and_the_numbers_of_classes_do_not_matter(variant):
    x, truth = blobs(gap=1.0)
    y = few(truth, 2)
    base = TransductiveClustering(**variant).fit(x, y)
    order = np.random.default_rng(0).permutation(len(x))
    moved = TransductiveClustering(**variant).fit(x[order], y[order])
    assert np.array_equal(moved.transduction_, base.transduction_[order])
    names = np.array([5, 3, 9, -1])
    renamed = TransductiveClustering(**variant).fit(x, names[y])
    assert np.array_equal(renamed.transduction_, names[base.transduction_])


def test_the_same_fit_twice_is_the_same_bit_for_bit_and_no_global_stream_is_touched():
    x, truth = blobs(gap=1.0)
    before = np.random.get_state()[1].copy()
    one, two = (TransductiveClustering().fit(x, few(truth)) for _ in range(2))
    assert np.array_equal(one.label_distributions_, two.label_distributions_)
    free = [TransductiveClustering(n_clusters=3, random_state=4).fit(x) for _ in range(2)]
    assert np.array_equal(free[0].transduction_, free[1].transduction_)
    assert np.array_equal(before, np.random.get_state()[1])


def test_without_labels_far_blobs_are_clustered():
    x, truth = blobs(gap=30.0)
    for variant in ({"mode": "means", "lam": 0.0}, {"mode": "means"}):
        found = (
            TransductiveClustering(n_clusters=3, **variant)
            .fit(x, np.full(len(x), -1))
            .transduction_
        )
        assert all(len(set(found[truth == k])) == 1 for k in range(3))
        assert len(set(found)) == 3


def test_new_points_are_treated_as_the_unlabelled_rows_were():
    x, truth = blobs()
    y = few(truth, 2)
    model = TransductiveClustering(
        mode="means", lam=0.0, normalize="l2", base_mean=[0.5] * 3, max_iter=30, tol=0.0
    ).fit(x, y)
    free = y < 0
    assert np.array_equal(model.predict(x[free]), model.transduction_[free])
    p = model.predict_proba(x)
    assert np.allclose(p.sum(1), 1)
    assert np.array_equal(model.classes_[p.argmax(1)], model.predict(x))
    far = squared_distances(normalized(x, [0.5] * 3, "l2") + model.shift_, model.cluster_centers_)
    assert np.allclose(p, np.exp(-far) / np.exp(-far).sum(1, keepdims=True), atol=1e-8)


@pytest.mark.parametrize("normalize", [None, "l2"])
def test_what_was_given_is_not_changed(normalize):
    x, truth = blobs()
    before = x.copy()
    TransductiveClustering(normalize=normalize).fit(x, few(truth))
    assert np.array_equal(x, before)


def test_measurements_are_taken_as_they_are():
    from sklearn.datasets import load_wine
    from sklearn.preprocessing import StandardScaler

    x, truth = load_wine(return_X_y=True)
    y = few(truth, 5)
    x = StandardScaler().fit_transform(x)
    found = TransductiveClustering().fit(x, y).transduction_
    assert (found == truth)[y < 0].mean() >= 0.9
    # moving all points moves nothing else
    assert np.array_equal(TransductiveClustering().fit(x + 100.0, y).transduction_, found)


def test_a_larger_weight_of_the_graph_agrees_more_with_it():
    shares = []
    for lam in (0.0, 3.0):
        agree = []
        for seed in range(100, 106):
            rng = np.random.default_rng(seed)
            truth = np.arange(300) % 3
            x = np.array([[0.0, 0.0], [3.0, 0.0], [1.5, 2.6]])[truth] + rng.normal(size=(300, 2))
            labels = (
                TransductiveClustering(mode="means", lam=lam, normalize=None)
                .fit(x, few(truth, 1, seed))
                .transduction_
            )
            w = affinity(x, 3).tocoo()
            agree.append((labels[w.coords[0]] == labels[w.coords[1]]).mean())
        shares.append(np.mean(agree))
    assert shares[1] > shares[0] + 0.01


def test_on_two_moons_the_graph_helps_on_average():
    gain = []
    for seed in range(100, 108):
        x, truth = make_moons(200, noise=0.05, random_state=seed)
        y = few(truth, 2, seed)
        free = y < 0
        prototypes = np.stack([x[y == k].mean(0) for k in range(2)])
        plain = (squared_distances(x, prototypes).argmin(1) == truth)[free].mean()
        found = (
            TransductiveClustering(lam=5.0, n_neighbors=10, normalize=None, shift=False)
            .fit(x, y)
            .transduction_
        )
        gain.append((found == truth)[free].mean() - plain)
    assert np.mean(gain) > 0


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"lam": -0.1}, ValueError, "lam"),
        ({"lam": np.nan}, ValueError, "lam"),
        ({"lam": "much"}, TypeError, "lam"),
        ({"n_neighbors": 1}, ValueError, "n_neighbors"),
        ({"n_neighbors": 90}, ValueError, "n_neighbors=90"),
        ({"mode": "median"}, ValueError, "mode"),
        ({"normalize": "l1"}, ValueError, "normalize"),
        ({"sigma": 0.0}, ValueError, "sigma"),
        ({"max_iter": 0}, ValueError, "max_iter"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"base_mean": [0.0, 0.0]}, ShapeError, "base_mean"),
        ({"base_mean": [0, np.nan, 0]}, NotFinite, "base_mean"),
        ({"n_clusters": 4}, ArgumentError, "at least one labelled point"),
        ({"max_inner": 0}, ValueError, "max_inner"),
    ],
)
def test_bad_settings_are_named(change, error, says):
    x, truth = blobs()
    with pytest.raises(error, match=says):
        TransductiveClustering(**change).fit(x, few(truth))


def test_bad_data_are_named():
    x, truth = blobs()
    with pytest.raises(ArgumentError, match="no labelled point"):
        TransductiveClustering().fit(x, np.full(len(x), -1))
    with pytest.raises(ArgumentError, match="one class only"):
        TransductiveClustering().fit(x, np.where(truth == 0, 3, -1))
    with pytest.raises(ValueError, match="NaN"):
        TransductiveClustering().fit(np.where(x == x[3, 1], np.nan, x), truth)
    with pytest.raises(ArgumentError, match="requires y"):
        TransductiveClustering().fit(x)
    with pytest.raises(ArgumentError, match="n_neighbors=3"):
        TransductiveClustering().fit(x[:3], [0, 1, -1])
    with pytest.raises(ArgumentError, match="n_clusters=91"):
        TransductiveClustering(n_clusters=91).fit(x)
    with pytest.warns(UserWarning, match="two classes"):
        coded = TransductiveClustering().fit(x, np.where(truth == 0, -1, 1))
    assert coded.classes_.tolist() == [-1, 1]
    few_points = TransductiveClustering(lam=0.0, mode="means").fit(
        x[:3], [0, 1, -1]
    )  # needs no graph
    assert len(few_points.transduction_) == 3


def test_equal_points_read_only_and_strided_arrays_are_taken():
    x = np.zeros((12, 3))
    x[:, 0] = 1.0
    assert np.isfinite(
        TransductiveClustering().fit(x, [0, 1] + [-1] * 10).label_distributions_
    ).all()
    x, truth = blobs()
    want = TransductiveClustering().fit(x, few(truth)).transduction_
    wide = np.empty((len(x), 6))
    wide[:, ::2] = x
    frozen = wide[:, ::2]
    frozen.flags.writeable = False
    assert np.array_equal(TransductiveClustering().fit(frozen, few(truth)).transduction_, want)


# -- in a run --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def episode():
    return episodes.digits_episode(1, seed=100)


def test_a_verdict_is_measured_on_the_queries_and_counts_what_was_lost(episode):
    right = episode.truth.copy()
    assert episode.judge(right).objective == 0
    assert episode.judge(right).feasible
    wrong = right.copy()
    wrong[:2] = wrong[2]
    wrong[episode.queries[:15]] = -5
    verdict = episode.judge(wrong)
    assert verdict.objective == pytest.approx(0.2)
    assert verdict.violations["support"] == pytest.approx(2 / 5)
    assert verdict.worst == "support"
    assert episode.judge(right[episode.queries]).objective == 0
    assert episode.judge(None).missing
    with pytest.raises(ShapeError):
        episode.judge(right[:-1])


@pytest.mark.parametrize("method", OURS + PEERS)
def test_every_method_solves_the_problem_within_any_budget_and_the_same_each_time(episode, method):
    for budget in (1, 2, 50):
        result = feasible.solve(episode, method, budget=budget, seed=100)
        assert 0 < result.spent["evaluations"] <= budget
        assert result.verdict.feasible
        assert result.answer.shape == (75,)
    again = feasible.solve(episode, method, budget=50, seed=101)
    assert np.array_equal(again.answer, result.answer)
    assert result.verdict.metrics["accuracy"] > 0.4
    assert {row[0]: row[1] for row in result.table()}["unlabelled"] == "75"


@pytest.mark.parametrize("method", OURS)
def test_a_run_ends_where_the_estimator_does(episode, method):
    given_ = load_method(method)
    model = TransductiveClustering(
        mode=given_.mode, lam=given_.lam, normalize="l2", base_mean=episode.base_mean
    ).fit(episode.features, episode.labels)
    result = feasible.solve(episode, load_method(f"{method}[tol=1e-4]"), budget=200)
    last = episode.judge(model.transduction_)
    assert (
        result.trail[-1].verdict.objective == last.objective
        or result.verdict.objective <= last.objective
    )
    assert result.spent["evaluations"] == model.n_iter_


def test_an_unpinned_support_may_be_lost_and_is_then_not_feasible():
    x = np.array([[0.0, 0.0], [0.1, 0.0], [0.2, 0.0], [5.0, 0.0], [5.1, 0.0], [5.2, 0.0]])
    labels = np.array([0, 0, -1, 0, 1, -1])
    problem = FewShot(x, labels, np.array([0, 0, 0, 0, 1, 1]))
    free = feasible.solve(
        problem, "k-means-few-shot[pin=false,normalize=none,shift=false]", budget=20
    )
    pinned = feasible.solve(problem, "k-means-few-shot[normalize=none,shift=false]", budget=20)
    assert free.verdict.violations["support"] == pytest.approx(1 / 4)
    assert not free.verdict.feasible
    assert pinned.verdict.feasible


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"labels": np.full(4, -1)}, "no labelled point"),
        ({"labels": np.array([0, -1, -1, -1])}, "class 1 of truth"),
        ({"labels": np.array([0, 1, 0, 1])}, "nothing is left"),
        ({"labels": np.array([0, 1, -1])}, "shape"),
        ({"features": np.full((4, 2), np.nan)}, "nan"),
        ({"base_mean": np.zeros(3)}, "base_mean"),
        ({"features": np.zeros(4)}, "shape"),
        ({"labels": np.array([0.5, 1, -1, -1])}, "whole numbers"),
        ({"labels": np.array([0, 0, -1, -1]), "truth": np.zeros(4, int)}, "one class only"),
    ],
)
def test_problems_without_sense_are_refused(change, error):
    data = {
        "features": np.arange(8.0).reshape(4, 2),
        "labels": np.array([0, 1, -1, -1]),
        "truth": np.array([0, 1, 0, 1]),
    } | change
    with pytest.raises((ArgumentError, ArgumentTypeError), match=error):
        FewShot(**data)


@pytest.mark.parametrize(
    "name",
    [n for n, e in problems().items() if e.solves == "FewShot" and not n.startswith("sentences")],
)
def test_ready_made_problems_load_are_the_same_each_time_and_get_the_rooms_method(name):
    problem, again = load_problem(name), load_problem(name)
    assert problem.name == name
    assert np.array_equal(problem.features, again.features)
    assert np.array_equal(problem.labels, again.labels)
    assert default_method(problem, Budget(evaluations=5))[0] == load_method("slk-means")
    assert feasible.solve(problem, budget=100).verdict.metrics["accuracy"] > 0.6
    assert str(len(problem.queries)) in "\n".join(problem.outline())


def test_all_registered_methods_are_tested_here():
    assert {n for n, e in methods().items() if e.solves == "FewShot"} == {*OURS, *PEERS}
