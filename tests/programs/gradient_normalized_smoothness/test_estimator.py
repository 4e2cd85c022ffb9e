"""`GNSLogisticRegression`: scikit-learn's checks, and the optimum of its newton-cholesky."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse as sp
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from feasible.core.errors import ArgumentError
from feasible.programs import GNSLogisticRegression

TABLES = {"two classes": load_breast_cancer, "three classes": load_iris}


@parametrize_with_checks([GNSLogisticRegression()])
def test_scikit_learns_checks_pass(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weights", [None, "balanced"])
@pytest.mark.parametrize("name", TABLES)
def test_it_reaches_the_optimum_of_newton_cholesky(name, weights, intercept):
    X, y = TABLES[name](return_X_y=True)  # in the columns' own units
    settings = {"C": 2.0, "class_weight": weights, "fit_intercept": intercept}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        other = LogisticRegression(
            solver="newton-cholesky", tol=1e-10, max_iter=1000, **settings
        ).fit(X, y)
    mine = GNSLogisticRegression(tol=1e-10, **settings).fit(X, y)
    np.testing.assert_allclose(mine.coef_, other.coef_, atol=1e-6)
    np.testing.assert_allclose(mine.predict_proba(X), other.predict_proba(X), atol=1e-8)
    np.testing.assert_allclose(mine.predict_log_proba(X), np.log(mine.predict_proba(X)), atol=1e-12)
    assert mine.n_iter_[0] <= 15


def test_fisher_finds_the_same_weights_in_more_iterations():
    X, y = load_iris(return_X_y=True)
    exact, fisher = (
        GNSLogisticRegression(h, C=0.1, tol=1e-7).fit(X, y) for h in ("exact", "fisher")
    )
    np.testing.assert_allclose(fisher.coef_, exact.coef_, atol=1e-4)
    assert fisher.n_iter_[0] > exact.n_iter_[0]


def test_separable_classes_without_a_penalty_are_fitted_until_the_gradient_is_small():
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = GNSLogisticRegression(C=np.inf, tol=1e-6).fit(X[:100], y[:100])
    assert found.score(X[:100], y[:100]) == 1


def test_columns_that_repeat_one_another_share_the_weight():
    X, y = load_breast_cancer(return_X_y=True)
    twice = GNSLogisticRegression(C=np.inf, max_iter=30, tol=1e-4).fit(np.c_[X[:, :3], X[:, :3]], y)
    once = GNSLogisticRegression(C=np.inf, max_iter=30, tol=1e-4).fit(X[:, :3], y)
    np.testing.assert_allclose(
        twice.predict_proba(np.c_[X[:, :3], X[:, :3]]), once.predict_proba(X[:, :3]), atol=1e-4
    )


def test_more_columns_than_rows_make_no_matrix_of_the_columns():
    rng = np.random.default_rng(100)
    X, y = rng.standard_normal((20, 30_000)), np.arange(20) % 2  # 7 GB as a matrix
    found = GNSLogisticRegression(tol=1e-6).fit(X, y)
    slope = (1 / (1 + np.exp((2 * y - 1) * found.decision_function(X)))) * -(2 * y - 1)
    np.testing.assert_allclose(found.coef_[0], -X.T @ slope, atol=1e-4)


def test_a_sparse_table_gives_what_the_dense_one_gives():
    X, y = load_iris(return_X_y=True)
    for several in (y, y > 1):
        dense = GNSLogisticRegression().fit(X, several)
        found = GNSLogisticRegression().fit(sp.csr_array(X), several)
        np.testing.assert_allclose(found.coef_, dense.coef_, atol=1e-8)


def test_a_warm_start_goes_on_from_the_last_fit():
    X, y = load_iris(return_X_y=True)
    found = GNSLogisticRegression(warm_start=True).fit(X, y)
    assert found.n_iter_[0] > 3
    assert found.fit(X, y).n_iter_[0] == 0


def test_what_was_not_reached_is_warned_of():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match=r"after 1 iterations, above tol=1e-10: max_iter"):
        GNSLogisticRegression(max_iter=1).fit(X, y)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hessian", "gauss-newton"),
        ("C", 0.0),
        ("tol", 0.0),
        ("max_iter", 0),
        ("gamma0", -1.0),
        ("fit_intercept", "yes"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, value):
    X, y = load_iris(return_X_y=True)
    with pytest.raises((ArgumentError, TypeError), match=name):
        GNSLogisticRegression(**{name: value}).fit(X, y)
