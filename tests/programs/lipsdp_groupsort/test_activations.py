"""What the quadratic constraints say of activations, on random differences."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.programs import FullSort, GroupSort, Householder, MaxMin, Slope
from feasible.programs.lipsdp_groupsort.activations import norm_only, residual_relu
from feasible.programs.lipsdp_groupsort.verify import layer_form, quadratic_constraint

UNIT = np.array([0.6, -0.8])
SORTS = {
    "maxmin": MaxMin(),
    "chunked": MaxMin(chunked=True),
    "groups of 3": GroupSort(3),
    "fullsort": FullSort(),
    "householder": Householder(UNIT),
    "householders": Householder([[0.6, 0.0, 0.8], [2 / 3, -1 / 3, 2 / 3]]),
}
SLOPES = {k: Slope(k, 0.1) for k in Slope.RANGES}
N = 6


def differences(phi, count=10_000, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, count, N)) * 10 ** rng.uniform(-2, 1, (2, count, 1))
    return x - y, phi(x) - phi(y)


@pytest.mark.parametrize("phi", SORTS.values(), ids=SORTS)
def test_the_quadratic_constraint_holds_for_every_difference(phi):
    rng = np.random.default_rng(1)
    K, of = phi.preserved(N)
    groups = phi.grouping(N)
    dv, dw = differences(phi)
    for _ in range(20):
        lam = rng.exponential(size=groups.max() + 1)
        gamma, nu, tau = rng.standard_normal((3, of.max() + 1))
        T = np.diag(lam[groups]) + K.T @ (gamma[of][:, None] * K)
        S, P = (K.T @ (m[of][:, None] * K) for m in (nu, tau))
        both = np.hstack([dv, dw])
        form = np.einsum("bi,ij,bj->b", both, quadratic_constraint(T, S, P), both)
        assert (form >= -1e-9 * (both**2).sum(1)).all()


def test_one_of_gamma_nu_and_tau_is_redundant():
    rng = np.random.default_rng(2)
    T, S, P, E = (m + m.T for m in rng.standard_normal((4, 3, 3)))
    same = quadratic_constraint(T + 2 * E, S + E, P - E)
    np.testing.assert_allclose(same, quadratic_constraint(T, S, P))


@pytest.mark.parametrize("phi", (SORTS | SLOPES).values(), ids=[*SORTS, *SLOPES])
def test_an_activation_is_linear_plus_a_part_that_is_1_lipschitz_in_each_group(phi):
    A, B, C, groups = phi.split(N)
    dv, dw = differences(phi)
    d = np.linalg.lstsq(B, (dw - dv @ A.T).T, rcond=None)[0].T if B.size else np.zeros((len(dv), 0))
    np.testing.assert_allclose(dv @ A.T + d @ B.T, dw, atol=1e-9)
    for g in set(groups):
        mine = groups == g
        allowed = np.linalg.norm(dv @ C[mine].T, axis=1)
        assert (np.linalg.norm(d[:, mine], axis=1) <= allowed + 1e-9).all()


@pytest.mark.parametrize("phi", SORTS.values(), ids=SORTS)
def test_what_an_activation_preserves_is_preserved(phi):
    K, _ = phi.preserved(N)
    dv, dw = differences(phi, 100)
    np.testing.assert_allclose(dv @ K.T, dw @ K.T, atol=1e-9)


@pytest.mark.parametrize("phi", (SORTS | SLOPES).values(), ids=[*SORTS, *SLOPES])
def test_slopes_are_the_derivative(phi):
    x, h = np.random.default_rng(3).standard_normal((20, N)), 1e-6
    for i in range(N):
        step = h * np.eye(N)[i]
        slope = (phi(x + step) - phi(x - step)) / (2 * h)
        np.testing.assert_allclose(phi.slopes(x)[:, :, i], slope, atol=1e-8)


@pytest.mark.parametrize("phi", (SORTS | SLOPES).values(), ids=[*SORTS, *SLOPES])
def test_the_growth_bounds_the_jacobian_in_both_norms(phi):
    J = phi.slopes(np.random.default_rng(4).standard_normal((200, N)))
    assert np.linalg.norm(J, 2, axis=(1, 2)).max() <= phi.growth("l2") + 1e-12
    assert np.abs(J).sum(2).max() <= phi.growth("linf") + 1e-12


@pytest.mark.parametrize("kind", ["relu", "leaky", "sigmoid", "abs"])
def test_the_form_of_slopes_is_nonnegative_on_differences(kind):
    phi = SLOPES[kind]
    Q, _ = layer_form(phi, N, "full", np.ones(N), np.zeros(0))
    both = np.hstack(differences(phi))
    assert (np.einsum("bi,ij,bj->b", both, Q, both) >= -1e-9).all()


@pytest.mark.parametrize("phi", [MaxMin(), MaxMin(chunked=True), GroupSort(2)])
def test_maxmin_is_a_residual_network_of_relu(phi):
    A, B, C, _ = residual_relu(phi, N)
    v = np.random.default_rng(5).standard_normal((50, N))
    np.testing.assert_allclose(v @ A.T + np.abs(v @ C.T) @ B.T, phi(v), atol=1e-12)
    Q, _ = layer_form(phi, N, "relu", np.ones(N), np.zeros(0))
    both = np.hstack(differences(phi))
    assert (np.einsum("bi,ij,bj->b", both, Q, both) >= -1e-9).all()


def test_maxmin_is_householder_and_groupsort_of_two():
    v = np.random.default_rng(6).standard_normal((50, N))
    pairs = np.sort(v.reshape(50, 3, 2))[..., ::-1]
    np.testing.assert_array_equal(MaxMin()(v), pairs.reshape(50, N))
    np.testing.assert_allclose(Householder(np.array([1, -1]) / 2**0.5)(v), MaxMin()(v), atol=1e-12)
    left, right = v[:, :3], v[:, 3:]
    halves = np.hstack([np.maximum(left, right), np.minimum(left, right)])
    np.testing.assert_array_equal(MaxMin(chunked=True)(v), halves)


def test_norms_alone_leave_the_groups():
    A, B, _, groups = norm_only(GroupSort(3), N)
    assert not A.any()
    np.testing.assert_array_equal(B, np.eye(N))
    assert groups.tolist() == [0, 0, 0, 1, 1, 1]


def test_activations_refuse_what_they_cannot_be():
    with pytest.raises(ArgumentError, match=r"v has length 1\.41.*unit vector"):
        Householder([1.0, -1.0])
    with pytest.raises(NotFinite, match="v has a NaN"):
        Householder([1.0, np.nan])
    with pytest.raises(ShapeError, match="v has shape"):
        Householder(1.0)
    with pytest.raises(ArgumentError, match="size=0"):
        GroupSort(0)
    with pytest.raises(ArgumentError, match="kind='gelu'"):
        Slope("gelu")
    with pytest.raises(ArgumentError, match="form='relu'"):
        residual_relu(GroupSort(3), 6)
