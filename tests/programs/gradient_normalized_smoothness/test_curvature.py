"""Every structure of a Hessian gives the step of the dense one; every metric the same norms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse as sp
from scipy.sparse.linalg import aslinearoperator

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.programs.gradient_normalized_smoothness import LowRank, Metric, RankOne
from feasible.programs.gradient_normalized_smoothness.curvature import Full, Rows, curvature
from feasible.programs.gradient_normalized_smoothness.linear import factor

D, LAM = 9, 0.37
RNG = np.random.default_rng(100)
J, TALL = RNG.standard_normal((4, D)), RNG.standard_normal((20, D))
W, Q, G = RNG.random(4), RNG.standard_normal(D), RNG.standard_normal(D)
W[1] = 0.0  # a weight may be 0
RIDGE = RNG.random(D)
RIDGE[-1] = 0.0
BAND = sp.diags_array(
    [np.full(D, 2.0), np.full(D - 1, -1.0), np.full(D - 1, -1.0)], offsets=[0, 1, -1]
)
CORNER = BAND.tolil()
CORNER[0, D - 1] = CORNER[D - 1, 0] = -0.5
HESSIANS = {
    "dense": (TALL.T @ TALL,) * 2,
    "diagonal": (RIDGE, np.diag(RIDGE)),
    "band": (BAND, BAND.toarray()),
    "sparse, unsorted": (sp.coo_array(CORNER), CORNER.toarray()),
    "zero": (None, np.zeros((D, D))),
    "rank one": (RankOne(1.7, Q), 1.7 * np.outer(Q, Q)),
    "rank one and a band": (RankOne(1.7, Q, BAND), BAND.toarray() + 1.7 * np.outer(Q, Q)),
    "few rows": (LowRank(J, W), J.T @ (W[:, None] * J)),
    "few rows and a ridge": (LowRank(J, W, RIDGE), J.T @ (W[:, None] * J) + np.diag(RIDGE)),
    "many rows": (LowRank(TALL, 0.5, 0.2), 0.5 * TALL.T @ TALL + 0.2 * np.eye(D)),
    "sparse rows": (LowRank(sp.csr_array(J), W), J.T @ (W[:, None] * J)),
}
ROOT = RNG.standard_normal((D, D))
METRICS = {
    "identity": (None, np.eye(D)),
    "diagonal": (RIDGE + 0.1, np.diag(RIDGE + 0.1)),
    "dense": (ROOT @ ROOT.T + np.eye(D),) * 2,
    "sparse": (sp.csr_array(CORNER), CORNER.toarray()),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", HESSIANS)
def test_the_step_is_that_of_the_dense_matrix(name, metric):
    given, full = HESSIANS[name]
    b, B = METRICS[metric]
    found = curvature(given, Metric.of(b, D)).step(LAM, G, 1.0)
    np.testing.assert_allclose(found, -np.linalg.solve(full + LAM * B, G), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("metric", METRICS)
def test_an_operator_takes_conjugate_gradients_as_far_as_the_gradient_is_small(metric):
    b, B = METRICS[metric]
    full = TALL.T @ TALL
    curved = curvature(aslinearoperator(full), Metric.of(b, D))
    for size in (1.0, 1e-6):
        left = (full + LAM * B) @ curved.step(LAM, G, size) + G
        assert np.linalg.norm(left) <= 0.1 * size * np.linalg.norm(G)


@pytest.mark.parametrize("metric", METRICS)
def test_norms_are_those_of_the_metric(metric):
    given, B = METRICS[metric]
    found = Metric.of(given, D)
    assert found.norm(Q) == pytest.approx(np.sqrt(Q @ B @ Q))
    assert found.dual(G) == pytest.approx(np.sqrt(G @ np.linalg.solve(B, G)))
    assert Metric.of(found, D) is found


@pytest.mark.parametrize("storage", [np.asarray, sp.csc_array])
def test_a_factor_is_found_where_and_only_where_the_matrix_is_positive(storage):
    for shift in (0.5, -0.1):
        q = np.linalg.qr(ROOT)[0]
        matrix = q @ np.diag([shift, *range(1, D)]) @ q.T
        assert (factor(storage((matrix + matrix.T) / 2)) is not None) is (shift > 0)
    ring = CORNER.toarray() - 1.9 * np.eye(D)
    assert factor(storage(ring)) is None
    assert factor(np.array([1.0, 0.0])) is None


def test_a_matrix_that_rounding_made_singular_gets_a_little_on_its_diagonal_once():
    flat = np.ones((3, 3))
    tiny = 1e-30  # H + lambda B is singular in floating point
    found = Full(flat, Metric.of(None, 3)).step(tiny, np.ones(3), 1.0)
    np.testing.assert_allclose(flat @ found, -1.0, rtol=1e-6)
    assert Full(-flat, Metric.of(None, 3)).step(tiny, np.ones(3), 1.0) is None


def test_few_rows_make_no_matrix_of_all_columns():
    d = 200_000
    rows = RNG.standard_normal((2, d))
    curved = curvature(LowRank(rows), Metric.of(None, d))
    assert isinstance(curved, Rows)
    g = RNG.standard_normal(d)
    step = curved.step(2.0, g, 1.0)
    np.testing.assert_allclose(rows.T @ (rows @ step) + 2.0 * step, -g, atol=1e-8)


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        (np.eye(3), ShapeError, r"hess has shape \(3, 3\), expected \(9, 9\)"),
        (1j * np.eye(D), ArgumentTypeError, "complex128"),
        (np.full((D, D), np.nan), NotFinite, "hess holds a NaN"),
        (RankOne(-1.0, Q), ArgumentError, "a of a RankOne"),
        (RankOne(1.0, Q[:3]), ShapeError, "q of a RankOne"),
        (LowRank(J[:, :3]), ShapeError, "J of a LowRank"),
        (LowRank(J, -1.0), ArgumentError, "w of a LowRank"),
        (LowRank(J, np.ones(3)), ShapeError, "w of a LowRank"),
        (aslinearoperator(np.eye(3)), ShapeError, "hess is of shape"),
    ],
)
def test_what_is_no_hessian_is_refused(given, error, match):
    with pytest.raises(error, match=match):
        curvature(given, Metric.of(None, D))


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_with_check_psd_a_matrix_must_be_symmetric_and_semidefinite(storage):
    metric = Metric.of(None, 2)
    for wrong, match in (
        ([[1.0, 1.0], [0.0, 1.0]], "not symmetric"),
        ([[1.0, 0.0], [0.0, -1e-6]], "eigenvalue -1e-06"),
    ):
        curvature(storage(np.array(wrong)), metric)
        with pytest.raises(ArgumentError, match=match):
            curvature(storage(np.array(wrong)), metric, check_psd=True)
    curvature(storage(np.array([[1.0, 0.0], [0.0, -1e-9]])), metric, check_psd=True)
    with pytest.raises(ArgumentError, match="base"):
        curvature(RankOne(1.0, np.ones(2), [-1.0, 1.0]), metric, check_psd=True)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (-np.eye(2), "not positive definite"),
        (np.ones((2, 2)), "not positive definite"),
        ([[1.0, 0.5], [0.0, 1.0]], "not symmetric"),
        (np.eye(3), "metric has shape"),
        (Metric.of(None, 3), "metric is of size 3"),
    ],
)
def test_a_metric_is_symmetric_and_positive_definite(given, match):
    with pytest.raises(ArgumentError, match=match):
        Metric.of(given, 2)
