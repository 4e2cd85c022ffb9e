"""Local objectives: gradients against differences, minimisers, conjugates, and bad functions."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.networks import (
    Callables,
    LeastSquares,
    Logistic,
    NodeFailed,
    NotConverged,
    Quadratics,
)
from feasible.networks.objectives import accelerated

RNG = np.random.default_rng(100)
ROWS = RNG.standard_normal((4, 12, 3))
SIDES = RNG.standard_normal((4, 12))
H = np.einsum("npi,npj->nij", ROWS, ROWS) / 12
KINDS = {
    "least squares": LeastSquares(ROWS, SIDES, ridge=0.1),
    "ragged": LeastSquares(
        [a[: 8 + i] for i, a in enumerate(ROWS)], [s[: 8 + i] for i, s in enumerate(SIDES)]
    ),
    "logistic": Logistic(ROWS, SIDES > 0, ridge=0.5),
    "quadratic": Quadratics(H, SIDES[:, :3]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_is_that_of_the_value(kind):
    o, x, step = KINDS[kind], RNG.standard_normal(3), 1e-6
    for i in range(o.n):
        differences = [
            (o.value(i, x + step * e) - o.value(i, x - step * e)) / (2 * step) for e in np.eye(3)
        ]
        np.testing.assert_allclose(o.gradient(i, x), differences, atol=1e-7)
    np.testing.assert_array_equal(o.gradients(np.tile(x, (o.n, 1)))[2], o.gradient(2, x))


@pytest.mark.parametrize("kind", KINDS)
def test_the_minimiser_has_no_gradient_and_is_the_same_by_two_methods(kind):
    o = KINDS[kind]
    x = o.minimiser()
    assert np.abs(o.gradients(np.tile(x, (o.n, 1))).mean(axis=0)).max() < 1e-13
    np.testing.assert_allclose(accelerated(o), x, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_a_conjugates_gradient_inverts_the_gradient_and_is_charged(kind):
    o, x, spent = KINDS[kind], RNG.standard_normal(3), []
    found = o.conjugate(1, o.gradient(1, x), np.zeros(3), lambda: spent.append(1))
    np.testing.assert_allclose(found, x, atol=1e-11)
    assert len(spent) == 1 or kind == "logistic"


@pytest.mark.parametrize("kind", KINDS)
def test_l_and_mu_bound_every_hessian(kind):
    o = KINDS[kind]
    spectra = [np.linalg.eigvalsh(o.hessian(i, RNG.standard_normal(3))) for i in range(o.n)]
    assert o.mu - 1e-12 <= np.min(spectra) <= np.max(spectra) <= o.L + 1e-12


def test_minibatches_are_unbiased_and_depend_on_their_seed_alone():
    o, x = KINDS["ragged"], RNG.standard_normal(3)
    found = np.stack([o.gradient(0, x, batch=2, seed=s) for s in range(20_000)])
    spread = found.std(axis=0) / len(found) ** 0.5
    assert (np.abs(found.mean(axis=0) - o.gradient(0, x)) < 5 * spread).all()
    np.testing.assert_array_equal(o.gradient(0, x, 2, 7), o.gradient(0, x, 2, 7))
    assert o.samples == 8
    assert KINDS["quadratic"].samples == 0


def test_functions_of_ones_own_are_asked_by_label_with_a_copy():
    asked = []

    def grad(node, x):
        asked.append(node)
        gradient = x - len(node)
        x[:] = 0
        return gradient

    o = Callables(grad, ("a", "bb"), 2, L=1.0, mu=1.0)
    x = np.ones(2)
    np.testing.assert_array_equal(o.gradient(1, x), [-1, -1])
    np.testing.assert_array_equal(x, 1)
    np.testing.assert_allclose(o.minimiser(), [1.5, 1.5])
    assert set(asked) == {"a", "bb"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda node, x: np.ones(3), r"node 'b' returned a gradient of shape \(3,\)"),
        (lambda node, x: np.array([1.0, np.nan]), "node 'b' returned a gradient with a NaN"),
        (lambda node, x: None, "node 'b' returned"),
        (lambda node, x: 1 / 0, "node 'b': ZeroDivisionError"),
    ],
)
def test_a_function_that_gives_no_gradient_is_named_by_its_node(given, said):
    with pytest.raises(NodeFailed, match=said):
        Callables(given, ("a", "b"), 2, L=1.0, mu=1.0).gradient(1, np.zeros(2))


def test_a_minimiser_that_is_not_found_is_said():
    too_small = Callables(lambda node, x: 100 * x - 1, (0,), 1, L=1.0, mu=1.0)
    with pytest.raises(NotConverged, match=r"L=1, mu=1"):
        too_small.minimiser()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: LeastSquares([], []), ShapeError, "A and b"),
        (lambda: LeastSquares(ROWS, SIDES[:3]), ShapeError, "A and b"),
        (lambda: LeastSquares([ROWS[0], ROWS[1, :, :2]], SIDES[:2]), ShapeError, r"A\[1\]"),
        (lambda: LeastSquares([ROWS[0] * np.nan], SIDES[:1]), NotFinite, r"A\[0\]"),
        (lambda: LeastSquares(ROWS[:, :2], SIDES[:, :2]), ArgumentError, "ridge > 0"),
        (lambda: LeastSquares(ROWS, SIDES, ridge=-1), ArgumentError, "ridge=-1"),
        (lambda: Logistic(ROWS, SIDES), ArgumentError, "labels"),
        (lambda: Logistic(ROWS, SIDES > 0, ridge=0), ArgumentError, "ridge=0"),
        (lambda: Quadratics(-H, SIDES[:, :3]), ArgumentError, "eigenvalue"),
        (lambda: Quadratics(H, SIDES), ShapeError, "expected"),
        (lambda: Quadratics(H + np.triu(H), SIDES[:, :3]), ArgumentError, "symmetric"),
        (lambda: Callables(3, (0,), 1, 1.0, 1.0), ArgumentTypeError, "grad=3"),
        (lambda: Callables(None, (0,), 1, 1.0, 1.0), ArgumentTypeError, "grad=None"),
        (lambda: Callables(max, (0,), 1, 1.0, 0.0), ArgumentError, "mu=0"),
        (lambda: Callables(max, (0,), 1, 1.0, 2.0), ArgumentError, "L=1"),
        (lambda: Callables(max, (0,), 1, 1.0, 1.0, value=2), ArgumentTypeError, "value=2"),
    ],
)
def test_what_is_no_objective_is_refused_by_name(call, error, said):
    with pytest.raises(error, match=said):
        call()
