"""The compiled parts of transductive clustering, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from few_labels import blobs, few
from hypothesis import given, settings, strategies as st
from sklearn.neighbors import NearestNeighbors

from feasible.transport.transductive_clustering import compiled as clustering_kernels
from feasible.transport.transductive_clustering.compiled import (
    bound,
    likeliest,
    mean_shift,
    neighbours,
    squared_distances,
)
from feasible.transport.transductive_clustering.iterations import (
    ClusteringSettings,
    affinity,
    normalized,
    prepare,
    start,
)

# -- kernels ---------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.floats(0.0, 5.0))
@settings(max_examples=25, deadline=None)
def test_the_bounds_function_never_rises_for_a_positive_semidefinite_graph_and_is_what_it_says(
    seed, lam
):
    rng = np.random.default_rng(seed)
    n, k = 12, 3
    half = (rng.random((n, n)) < 0.2) * rng.random((n, n))
    w = half + half.T
    w += np.diag(w.sum(1))  # diagonally dominant
    unary = rng.normal(size=(n, k))
    support = np.where(np.arange(n) < 3, np.arange(n) % k, -1)
    z = rng.dirichlet(np.ones(k), n)
    z[:3] = np.eye(k)
    graph = (np.arange(0, n * n + 1, n), np.tile(np.arange(n), n), w.ravel())
    found, values = bound(unary, graph, lam, support, z, 40, 0.0)
    assert (np.diff(values) <= 1e-9 * (1 + np.abs(values[:-1]))).all()
    entropy = np.where(found > 0, found * np.log(np.where(found > 0, found, 1)), 0).sum()
    assert values[-1] == pytest.approx(
        entropy + (unary * found).sum() - lam / 2 * (found * (w @ found)).sum(), abs=1e-9
    )
    assert np.array_equal(found[:3], np.eye(k))
    free, values = bound(unary, graph, 0.0, support, z, 40, 0.0)
    assert np.allclose(free[3:], np.exp(-unary[3:]) / np.exp(-unary[3:]).sum(1, keepdims=True))


def test_mean_shift_stands_at_the_weighted_mean_and_rises_to_it():
    rng = np.random.default_rng(100)
    x = rng.normal(size=(200, 2))
    members = np.arange(0, 200, 2)
    begin = np.array([1.0, 1.0])
    m = mean_shift(x, members, begin, 0.5, 1000, 1e-12)

    def density(at):
        return np.exp(-((x[members] - at) ** 2).sum(1) / 1.0)

    w = density(m)
    assert np.allclose(m, (w[:, None] * x[members]).sum(0) / w.sum(), atol=1e-9)
    assert w.sum() > density(begin).sum()
    assert np.isfinite(
        mean_shift(x, members, np.array([1e3, 1e3]), 1e-4, 10, 1e-5)
    ).all()  # every weight underflows but the nearest


def test_among_equal_probabilities_the_nearest_prototype_wins():
    z, far = np.full((2, 3), 1 / 3), np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 2.0]])
    assert likeliest(z, far).tolist() == [1, 0]


def test_the_graph_is_symmetric_joins_nearest_points_and_never_a_point_to_itself():
    x = np.repeat(np.random.default_rng(100).normal(size=(20, 3)), 3, axis=0)  # every point thrice
    w = affinity(x, 4)
    assert (w != w.T).nnz == 0
    assert w.diagonal().max() == 0
    assert w.sum() == len(x) * 3


@pytest.mark.parametrize("case", ["blobs", "offset", "outlier", "duplicates"])
def test_the_blocked_search_for_neighbours_is_exact(case, monkeypatch):
    monkeypatch.setattr(clustering_kernels, "MANY", 0)
    monkeypatch.setattr(clustering_kernels, "BLOCK", 128)
    rng = np.random.default_rng(100)
    x = rng.normal(size=(5, 16))[rng.integers(5, size=700)] + 0.3 * rng.normal(size=(700, 16))
    if case == "offset":
        x = 1e-3 * x + 1e4
    if case == "outlier":
        x[0] *= 1e6
    if case == "duplicates":
        x[350:] = x[:350]
    near = neighbours(x, 3)
    every = squared_distances(x, x)
    np.fill_diagonal(every, np.inf)
    assert np.allclose(
        np.take_along_axis(every, near, 1), np.sort(every, 1)[:, :3], rtol=1e-6, atol=1e-12
    )
    assert (near != np.arange(700)[:, None]).all()
    assert (np.sort(near, 1)[:, 1:] != np.sort(near, 1)[:, :-1]).all()


def test_the_kernel_width_is_the_codes():
    x, truth = blobs()
    task = prepare(x, few(truth), 3, ClusteringSettings(normalize=None, shift=False))
    near = NearestNeighbors(n_neighbors=2).fit(x).kneighbors()[0]
    assert task.sigma2 == pytest.approx((near**2).sum() / (5 * len(x)))
    assert start(task).z.shape == (90, 3)


def test_the_shift_moves_the_free_rows_mean_onto_the_supports():
    x, truth = blobs()
    y = few(truth, 4)
    task = prepare(x, y, 3, ClusteringSettings(lam=0.0, mode="means", normalize="l2"))
    assert np.allclose(task.points[y >= 0].mean(0), task.points[y < 0].mean(0))
    assert np.array_equal(task.points[y >= 0], normalized(x, None, "l2")[y >= 0])
