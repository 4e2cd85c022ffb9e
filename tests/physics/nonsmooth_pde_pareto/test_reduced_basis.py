"""The reduced basis and its certified bound."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.physics import ReducedBasis, two_halves
from feasible.physics.nonsmooth_pde_pareto.reduced_basis import ReducedOracle, extended, pod

LEVEL = two_halves(mesh=9).level
A = LEVEL.equation.A
CONTROLS = np.random.default_rng(100).uniform(-2, 2, (40, 2))


def error(reduced, u):
    gap = reduced.state.y - LEVEL.state(u).y
    return np.sqrt(gap @ (A @ gap))


@pytest.mark.parametrize("r", [2, 4, 8])
def test_the_bound_is_above_the_error_and_not_far(r):
    rb = ReducedBasis.of(LEVEL, CONTROLS[:20], r)
    for u in CONTROLS[20:]:
        found = rb.state(u)
        assert found.bound >= (1 - 1e-8) * error(found, u) - 1e-13 * found.size
        assert found.bound <= 1.5 * error(found, u) + 1e-13


def test_the_error_falls_with_the_size_of_the_basis():
    errors = []
    for r in (2, 4, 8):
        rb = ReducedBasis.of(LEVEL, CONTROLS[:20], r)
        errors.append(np.median([error(rb.state(u), u) / rb.state(u).size for u in CONTROLS[20:]]))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_a_snapshot_is_its_own_reduced_state():
    rb = ReducedBasis(LEVEL)
    rb.enrich(LEVEL.state(CONTROLS[0]).y)
    assert np.allclose(rb.state(CONTROLS[0]).state.y, LEVEL.state(CONTROLS[0]).y, atol=1e-12)


def test_bases_are_orthonormal_in_the_energy():
    states = np.array([LEVEL.state(u).y for u in CONTROLS[:6]])
    for basis in (pod(states, A, 4), extended(np.zeros((0, 81)), states, A)):
        assert np.allclose(basis @ (A @ basis.T), np.eye(len(basis)), atol=1e-8)
    again = extended(extended(np.zeros((0, 81)), states, A), states, A)
    assert len(again) == len(extended(np.zeros((0, 81)), states, A))


def test_pod_loses_least_of_the_snapshots():
    states = np.array([LEVEL.state(u).y for u in CONTROLS[:10]])

    def lost(basis):
        left = states - (states @ (A @ basis.T)) @ basis
        return np.einsum("in,in->", left, (A @ left.T).T)

    first = extended(np.zeros((0, 81)), states[:3], A)
    assert lost(pod(states, A, 3)) <= lost(first)
    assert lost(pod(states, A, 10)) < 1e-12 * lost(first)


def test_the_gradient_of_reduced_objectives_is_exact():
    oracle = ReducedOracle(LEVEL, tol=1e-1)
    for u in CONTROLS[:3]:
        oracle.values(u)
    u, d, e = CONTROLS[5], np.array([0.6, -0.8]), 1e-6
    before = len(oracle.rb)
    slope = oracle.gradients(u) @ d
    central = (oracle.values(u + e * d) - oracle.values(u - e * d)) / (2 * e)
    assert len(oracle.rb) == before
    assert np.allclose(slope, central, rtol=1e-6)


def test_a_tolerance_holds_wherever_it_is_asked():
    oracle = ReducedOracle(LEVEL, tol=1e-2)
    for u in CONTROLS:
        y, full = oracle.at(u)[0].y, LEVEL.state(u).y
        gap = y - full
        assert np.sqrt(gap @ (A @ gap)) <= 1e-2 * np.sqrt(y @ (A @ y)) * (1 + 1e-8)
