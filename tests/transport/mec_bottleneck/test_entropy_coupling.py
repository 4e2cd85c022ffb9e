"""Minimum entropy coupling of two laws: marginals, bounds, ties, forms."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from laws import any_law, h, information

from feasible.transport import meet, min_entropy_coupling, zipf_law
from feasible.transport.mec_bottleneck.entropy_coupling import GREEDY_GAP_BITS


def test_couplings_that_are_known_by_hand():
    assert min_entropy_coupling([0.5, 0.25, 0.25], [0.5, 0.5]).entropy == 1.5
    p = np.array([0.1, 0.6, 0.3])
    np.testing.assert_array_equal(min_entropy_coupling(p, p).joint, np.diag(p))
    np.testing.assert_array_equal(min_entropy_coupling(p, [1.0]).joint, p[:, None])


@given(any_law, any_law)
@settings(max_examples=100)
def test_a_coupling_has_its_marginals_and_lies_between_the_meet_and_the_greedy_bound(p, q):
    found = min_entropy_coupling(p, q)
    joint = found.joint
    assert (joint >= 0).all()
    np.testing.assert_allclose(joint.sum(1), p, atol=1e-14)
    np.testing.assert_allclose(joint.sum(0), q, atol=1e-14)
    assert len(found.masses) <= len(p) + len(q)
    assert (joint.sum(1)[p > 0] > 0).all()
    assert (joint.sum(0)[q > 0] > 0).all()
    assert found.entropy == pytest.approx(h(joint), abs=1e-12)
    assert found.information == pytest.approx(information(joint), abs=1e-9)
    assert (
        max(h(p), h(q)) - 1e-9
        <= found.lower_bound
        <= found.entropy + 1e-9
        <= found.lower_bound + 1 + 2e-9
    )


def test_the_meet_can_be_further_below_the_greedy_coupling_than_the_best_one_is():
    found = min_entropy_coupling([0.2] * 5, np.array([1, 1, 1, 1, 3]) / 7)
    assert found.entropy - found.lower_bound > GREEDY_GAP_BITS == found.gap_bound


@given(any_law, any_law)
@settings(max_examples=50)
def test_both_laws_majorise_their_meet(p, q):
    m = meet(p, q)
    assert m.sum() == pytest.approx(1)
    assert (np.diff(m) <= 1e-12).all()
    for v in (p, q):
        v = np.sort(np.pad(v, (0, len(m) - len(v))))[::-1]
        assert (np.cumsum(v) >= np.cumsum(m) - 1e-12).all()


def vertex_entropies(p, q):
    """The entropies of all vertices of the transport polytope: a concave function has its minimum
    at one.
    """
    n, m = len(p), len(q)
    constraints = np.zeros((n + m, n * m))
    for i, j in itertools.product(range(n), range(m)):
        constraints[i, i * m + j] = constraints[n + j, i * m + j] = 1
    for basis in itertools.combinations(range(n * m), n + m - 1):
        columns = constraints[:-1, basis]
        if abs(np.linalg.det(columns)) > 0.5:  # totally unimodular
            cells = np.linalg.solve(columns, np.concatenate([p, q[:-1]]))
            if cells.min() > -1e-12:
                yield h(np.maximum(cells, 0))


@pytest.mark.parametrize("seed", range(100, 112))
def test_the_greedy_coupling_is_near_the_best_vertex(seed):
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3))
    best = min(vertex_entropies(p, q))
    found = min_entropy_coupling(p, q)
    assert found.lower_bound - 1e-9 <= best <= found.entropy + 1e-9
    assert found.entropy - best <= found.gap_bound + 1e-9


def test_a_large_coupling_is_sparse_and_takes_linear_memory():
    p, q = zipf_law(20_000), zipf_law(20_000, 1.3)
    found = min_entropy_coupling(p, q)
    assert isinstance(found.joint, sp.coo_array)
    assert found.joint.nnz <= 40_000
    np.testing.assert_allclose(found.joint.sum(1), p, atol=1e-12)
    np.testing.assert_allclose(found.joint.sum(0), q, atol=1e-12)


def test_symbols_of_vanishing_mass_keep_a_partner():
    p = np.array([0.5, 0.5 - 1e-18, 1e-18])
    joint = min_entropy_coupling(p, [0.1] * 10).joint
    assert joint[2].sum() > 0
