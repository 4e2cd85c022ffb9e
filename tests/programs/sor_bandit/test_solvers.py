"""SOR and SSOR-CG against linear algebra, SciPy and PyAMG, and what they say of bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import cg as scipy_cg

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.programs import sor, ssor, ssor_cg
from feasible.programs.sor_bandit import cg, sor_sweep
from feasible.programs.sor_bandit.instances import best_omega, laplacian

COUNTS = {1: 201, 1.2: 132, 1.4: 80, 1.5: 57, 1.56: 39, 1.6: 41, 1.8: 86, 1.9: 178, 1.95: 361}


@pytest.fixture(scope="module")
def system():
    return laplacian(10), np.random.default_rng(0).standard_normal(100)


def one_sweep(a, b, x, omega):
    """x + (D / omega + L)^-1 (b - A x), densely."""
    a = a.toarray()
    return x + np.linalg.solve(np.diag(np.diag(a)) / omega + np.tril(a, -1), b - a @ x)


@pytest.mark.parametrize("omega", [1.0, 0.3, 1.7])
def test_one_sweep_solves_with_the_lower_triangle(system, omega):
    a, b = system
    start = np.random.default_rng(1).standard_normal(100)
    wanted = one_sweep(a, b, start, omega)
    x = start.copy()
    sor_sweep(a, b, x, omega)
    np.testing.assert_allclose(x, wanted, rtol=0, atol=1e-13)
    found = sor(a, b, start, omega, max_iter=1)
    np.testing.assert_allclose(found.x, wanted, rtol=0, atol=1e-13)
    left = np.linalg.norm(b - a @ found.x) / np.linalg.norm(b - a @ start)
    assert found.residuals[-1] == pytest.approx(left, rel=1e-12)
    assert not found.converged


def test_gauss_seidel_is_the_sweep_with_omega_1(system):
    a, b = system
    x = np.zeros(100)
    sor_sweep(a, b, x)
    np.testing.assert_allclose(x, np.linalg.solve(np.tril(a.toarray()), b), atol=1e-14)


def test_a_sweep_is_pyamgs_sweep(system):
    from pyamg.relaxation.relaxation import sor as pyamg_sor

    a, b = system
    ours, theirs = np.full(100, 0.5), np.full(100, 0.5)
    sor_sweep(a, b, ours, 1.3)
    pyamg_sor(sparse.csr_matrix(a), theirs, b, 1.3)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-15)


def test_the_spectral_radius_at_the_best_omega_is_omega_less_1():
    a, omega = laplacian(10).toarray(), best_omega(0.0, 10)
    step = np.eye(100) - np.linalg.solve(np.diag(np.diag(a)) / omega + np.tril(a, -1), a)
    assert omega == pytest.approx(1.560388, abs=1e-6)
    # the largest eigenvalue is defective there, so that it moves by the root of a rounding error
    assert np.abs(np.linalg.eigvals(step)).max() == pytest.approx(omega - 1, abs=1e-6)


def test_the_sweeps_that_an_omega_takes(system):
    a, b = system
    assert {omega: sor(a, b, omega=omega).iterations for omega in COUNTS} == COUNTS


@pytest.mark.parametrize("omega", [0.5, 1.0, 1.6])
def test_ssor_is_the_inverse_of_its_matrix_and_symmetric(system, omega):
    a, b = system
    dense = a.toarray()
    d, low = np.diag(np.diag(dense)), np.tril(dense, -1)
    w = (d + omega * low) @ np.linalg.inv(d) @ (d + omega * low).T / (omega * (2 - omega))
    m = ssor(a, omega)
    np.testing.assert_allclose(m @ b, np.linalg.solve(w, b), atol=1e-13)
    y = np.random.default_rng(2).standard_normal(100)
    assert (m @ b) @ y == pytest.approx(b @ (m @ y), rel=1e-12)


@pytest.mark.parametrize("omega", [None, 1.0, 1.6])
def test_ssor_cg_takes_the_iterations_of_scipys_with_the_preconditioner(system, omega):
    a, b = system
    steps = []
    m = None if omega is None else ssor(a, omega)
    x, _ = scipy_cg(a, b, M=m, rtol=1e-8, callback=lambda _: steps.append(1))
    found = ssor_cg(a, b, omega=omega)
    assert found.iterations == len(steps)
    np.testing.assert_allclose(found.x, x, atol=1e-7)
    assert np.linalg.norm(b - a @ found.x) <= 1e-8 * np.linalg.norm(b)


def test_a_start_that_is_good_enough_costs_nothing(system):
    a, b = system
    x = np.linalg.solve(a.toarray(), b)
    assert ssor_cg(a, b, x).iterations == 0
    assert sor(a, b, x, relative_to="rhs").iterations == 0
    for solver in (sor, ssor_cg):
        found = solver(a, np.zeros(100), x)
        assert (found.iterations, found.converged, np.abs(found.x).max()) == (0, True, 0)


def test_an_answer_below_the_reach_of_rounding_is_not_called_one(system):
    a, b = system
    for solver in (sor, ssor_cg):
        found = solver(a, b, tol=1e-25, max_iter=500)
        assert not found.converged
        assert "iterations are over" in found.status


def test_what_is_not_positive_definite_is_said():
    a, b = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, -1.0])
    assert "not positive definite" in cg(a, b).status
    found = sor(a, b, omega=1.0)
    assert not found.converged
    assert "grew beyond all numbers" in found.status


def test_rows_that_are_not_sorted_and_entries_that_come_twice_are_taken(system):
    a, b = system
    mixed = sparse.csr_matrix(a)
    for i in range(100):
        row = slice(mixed.indptr[i], mixed.indptr[i + 1])
        mixed.indices[row], mixed.data[row] = mixed.indices[row][::-1], mixed.data[row][::-1]
    mixed.has_sorted_indices = False
    before = mixed.indices.copy()
    coo = a.tocoo()
    twice = sparse.coo_matrix(
        (np.tile(coo.data / 2, 2), (np.tile(coo.coords[0], 2), np.tile(coo.coords[1], 2)))
    )
    wanted = sor(a, b, omega=1.5).x
    for other in (mixed, twice, a.toarray(), a.astype(int)):
        np.testing.assert_allclose(sor(other, b, omega=1.5).x, wanted, atol=1e-12)
    assert (mixed.indices == before).all()


BAD = {
    "A has shape": (ShapeError, {"A": np.ones((2, 3))}),
    "row 1 has no diagonal entry": (ArgumentError, {"A": sparse.csr_array([[1.0, 0], [1, 0]])}),
    "row 0 has a diagonal entry <= 0": (ArgumentError, {"A": -np.eye(2)}),
    "row 1 has a NaN": (NotFinite, {"A": np.array([[1, 0], [np.nan, 1]])}),
    "dtype complex": (ArgumentTypeError, {"A": np.eye(2) * 1j}),
    "b has shape": (ShapeError, {"b": np.ones(3)}),
    "b has a NaN": (NotFinite, {"b": np.array([1, np.nan])}),
    "b has entries of dtype complex": (ArgumentTypeError, {"b": np.ones(2) * 1j}),
    "x0 has shape": (ShapeError, {"x0": np.ones((2, 1))}),
    "omega=2": (ArgumentError, {"omega": 2.0}),
    "omega=0": (ArgumentError, {"omega": 0}),
    "omega=nan": (NotFinite, {"omega": np.nan}),
    "tol=0": (ArgumentError, {"tol": 0.0}),
    "max_iter=0": (ArgumentError, {"max_iter": 0}),
    "relative_to='x'": (ArgumentError, {"relative_to": "x"}),
}


@pytest.mark.parametrize("said", BAD)
def test_bad_input_is_refused_by_name(said):
    error, changed = BAD[said]
    given = {"A": np.eye(2), "b": np.ones(2)} | changed
    for solver in (sor, ssor_cg):
        with pytest.raises(error, match=said):
            solver(**given)


def test_a_sweep_refuses_what_it_could_not_change():
    with pytest.raises(ArgumentTypeError, match="contiguous NumPy array of float64"):
        sor_sweep(np.eye(2), np.ones(2), np.ones(2, dtype=int))
    with pytest.raises(ShapeError, match="x has shape"):
        sor_sweep(np.eye(2), np.ones(2), np.ones(3))
