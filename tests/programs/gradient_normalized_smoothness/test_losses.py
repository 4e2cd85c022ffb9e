"""The shipped functions: derivatives by differences, and what each approximation leaves out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse as sp

from feasible.core.errors import ArgumentError, ShapeError
from feasible.programs.gradient_normalized_smoothness import (
    Chebyshev,
    LinearResidual,
    Logistic,
    LogSumExp,
    LowRank,
    RankOne,
    Rosenbrock,
    Softmax,
)

RNG = np.random.default_rng(100)
TABLE = RNG.standard_normal((30, 4))
LABELS = RNG.integers(0, 3, 30)
WEIGHTS = RNG.random(30)
LOSSES = {
    "log-sum-exp": (LogSumExp(RNG.uniform(-1, 1, (7, 4)), RNG.uniform(-1, 1, 7), 0.3), 4),
    "linear, p = 2": (LinearResidual(2.0, TABLE, TABLE[:, 0] ** 2), 4),
    "linear, p = 3": (LinearResidual(3.0, TABLE, TABLE[:, 0] ** 2), 4),
    "Rosenbrock": (Rosenbrock(5.0), 2),
    "Chebyshev": (Chebyshev(4.0, 6), 6),
    "logistic": (Logistic(TABLE, LABELS > 1, 0.1), 4),
    "logistic, weighted": (Logistic(TABLE, LABELS > 1, 0.1, WEIGHTS, 1), 4),
    "logistic, few rows": (Logistic(TABLE[:3], [0, 1, 1], 0.1, free=1), 4),
    "logistic, sparse": (Logistic(sp.csr_array(TABLE), LABELS > 1, 0.1), 4),
    "softmax": (Softmax(TABLE, LABELS, 0.1, WEIGHTS, 1), 12),
    "softmax, sparse": (Softmax(sp.csr_array(TABLE), LABELS, 0.1), 12),
}


def full(hessian, d):
    """A Hessian in any form as a matrix."""
    if isinstance(hessian, LowRank):
        w = np.broadcast_to(hessian.w, len(hessian.J))
        return hessian.J.T @ (w[:, None] * hessian.J) + np.diag(np.broadcast_to(hessian.ridge, d))
    if isinstance(hessian, RankOne):
        base = np.zeros((d, d)) if hessian.base is None else full(hessian.base, d)
        return base + hessian.a * np.outer(hessian.q, hessian.q)
    return hessian.toarray() if sp.issparse(hessian) else hessian


def slopes(function, x, step=1e-5):
    """Central differences."""
    moves = step * np.eye(len(x))
    return np.array([(function(x + h) - function(x - h)) / (2 * step) for h in moves])


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_and_hessian_are_those_of_differences(name):
    loss, d = LOSSES[name]
    for seed in range(100, 103):
        x = np.random.default_rng(seed).standard_normal(d)
        np.testing.assert_allclose(
            loss.gradient(x), slopes(loss.value, x), rtol=1e-6, atol=1e-7 * (1 + loss.value(x))
        )
        exact = full(loss.hessian(x), d)
        np.testing.assert_allclose(
            exact, slopes(loss.gradient, x), rtol=1e-6, atol=1e-7 * (1 + np.abs(exact).max())
        )


@pytest.mark.parametrize("name", LOSSES)
def test_approximations_are_positive_semidefinite_everywhere(name):
    loss, d = LOSSES[name]
    for seed in range(100, 105):
        x = 3 * np.random.default_rng(seed).standard_normal(d)
        for kind in loss.KINDS[1:]:
            values = np.linalg.eigvalsh(full(loss.hessian(x, kind), d))
            assert values.min() >= -1e-12 * max(values.max(), 1.0)


def test_gauss_newton_of_log_sum_exp_exceeds_the_hessian_by_the_gradients_square():
    loss, d = LOSSES["log-sum-exp"]
    x = RNG.standard_normal(d)
    g = loss.gradient(x)
    more = full(loss.hessian(x, "gauss-newton"), d) - loss.hessian(x)
    np.testing.assert_allclose(more, np.outer(g, g) / loss.mu, atol=1e-12)


@pytest.mark.parametrize("p", [2.0, 3.0, 4.0])
def test_of_a_power_the_terms_are_added_one_by_one(p):
    loss, x = Rosenbrock(p), np.array([0.3, -0.7])
    u, J, size = loss.residual(x), loss.jacobian(x), np.linalg.norm(loss.residual(x))
    fisher = (p - 2) * size ** (p - 4) * np.outer(J.T @ u, J.T @ u)
    np.testing.assert_allclose(full(loss.hessian(x, "fisher"), 2), fisher)
    newton = size ** (p - 2) * J.T @ J + fisher
    np.testing.assert_allclose(loss.hessian(x, "gauss-newton"), newton)
    np.testing.assert_allclose(
        loss.hessian(x), newton + size ** (p - 2) * np.diag([-20 * u[1], 0.0])
    )
    g = loss.gradient(x)  # and the rank-one term is a multiple of the gradient's square
    np.testing.assert_allclose(fisher, (p - 2) * size**-p * np.outer(g, g))


@pytest.mark.parametrize("p", [2.0, 3.0, 4.0])
def test_at_the_root_of_a_residual_hessians_are_finite(p):
    loss, x = Rosenbrock(p), np.ones(2)
    for kind in loss.KINDS:
        found = full(loss.hessian(x, kind), 2)
        assert np.isfinite(found).all()
        assert found.any() == (p == 2 and kind != "fisher")


def test_fisher_of_a_logistic_loss_is_the_mean_square_of_the_rows_gradients():
    y = np.where(LABELS > 1, 1.0, -1.0)
    loss, x = Logistic(TABLE, LABELS > 1, 0.2), RNG.standard_normal(4)
    p = 1 / (1 + np.exp(y * (TABLE @ x)))
    rows = -(y * p)[:, None] * TABLE
    np.testing.assert_allclose(
        loss.hessian(x, "fisher"), rows.T @ rows / 30 + 0.2 * np.eye(4), atol=1e-12
    )


def test_fisher_of_a_softmax_loss_is_the_mean_square_of_the_rows_gradients():
    loss, x = Softmax(TABLE, LABELS), RNG.standard_normal(12)
    scores = np.exp(TABLE @ x.reshape(3, 4).T)
    errors = scores / scores.sum(axis=1, keepdims=True) - np.eye(3)[LABELS]
    rows = (errors[:, :, None] * TABLE[:, None, :]).reshape(30, 12)
    np.testing.assert_allclose(loss.hessian(x, "fisher"), rows.T @ rows / 30, atol=1e-12)


def test_two_classes_of_softmax_are_logistic_regression():
    two, x = (LABELS > 1).astype(int), RNG.standard_normal(4)
    logistic, softmax = Logistic(TABLE, two), Softmax(TABLE, two)
    assert softmax.value(np.r_[np.zeros(4), x]) == pytest.approx(logistic.value(x))
    np.testing.assert_allclose(softmax.gradient(np.r_[np.zeros(4), x])[4:], logistic.gradient(x))


def test_large_margins_neither_overflow_nor_lose_the_loss():
    loss = Logistic(np.array([[1.0], [1.0]]), [0, 1])
    with np.errstate(over="raise"):
        assert loss.value(np.array([1e4])) == pytest.approx(5e3)
        assert loss.gradient(np.array([1e4])) == pytest.approx([0.5])
        assert LogSumExp(np.ones((2, 1)), np.zeros(2)).value(np.array([1e4])) == pytest.approx(
            1e4 + np.log(2)
        )


def test_the_hessians_of_a_long_chain_stay_sparse():
    loss, x = Chebyshev(4.0, 50_000), np.full(50_000, 0.5)
    for kind in ("exact", "gauss-newton"):
        found = loss.hessian(x, kind)
        assert found.base.nnz < 4 * 50_000


def test_weights_are_like_repeated_rows():
    counts = RNG.integers(1, 4, 30)
    again = np.repeat(np.arange(30), counts)
    one, other = (
        Logistic(TABLE, LABELS > 1, 0.1, counts),
        Logistic(TABLE[again], LABELS[again] > 1, 0.1),
    )
    x = RNG.standard_normal(4)
    assert one.value(x) == pytest.approx(other.value(x))
    np.testing.assert_allclose(one.hessian(x, "fisher"), other.hessian(x, "fisher"))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: LogSumExp(TABLE, np.ones(30), 0.0), ArgumentError, "mu"),
        (lambda: Rosenbrock(1.5), ArgumentError, "p=1.5"),
        (lambda: Logistic(TABLE, np.ones(3)), ShapeError, "y has shape"),
        (lambda: Logistic(TABLE, LABELS > 1, -1.0), ArgumentError, "l2"),
        (lambda: Logistic(TABLE, LABELS > 1, 0.0, -np.ones(30)), ArgumentError, "weights"),
        (lambda: Logistic(TABLE, LABELS > 1, 0.0, np.ones(3)), ShapeError, "weights"),
        (lambda: Softmax(TABLE, LABELS / 2), ShapeError, "labels"),
        (lambda: Rosenbrock(2.0).hessian(np.ones(2), "newton"), ArgumentError, "'gauss-newton'"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()
