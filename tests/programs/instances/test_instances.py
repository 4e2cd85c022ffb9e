"""The ready-made programs are those of their sources."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.core.errors import MissingExtra, UnknownName
from feasible.core.registry import load_problem
from feasible.programs.derivatives import differences
from feasible.programs.instances import CASES, hock_schittkowski, s2mpj
from feasible.programs.instances.entries import NAMES
from feasible.programs.instances.polynomial import variables


def test_every_case_has_a_name_on_the_command_line():
    assert set(NAMES) == set(CASES)
    assert load_problem("hs71").n == 4


def test_a_polynomial_is_its_formula():
    x, y = variables(2)
    p = 3 * x**2 * y - (x - 2) * y**3 + 1 - y
    a, b = 1.5, -0.7
    assert p([a, b]) == pytest.approx(3 * a**2 * b - (a - 2) * b**3 + 1 - b)
    assert p.derivative(0)([a, b]) == pytest.approx(6 * a * b - b**3)
    assert p.derivative(1).derivative(1)([a, b]) == pytest.approx(-6 * (a - 2) * b)


@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_those_of_the_values(name):
    problem = hock_schittkowski(name)
    x, everywhere = problem.x0 + 0.1, (np.full(problem.n, -np.inf), np.full(problem.n, np.inf))
    y = np.linspace(0.5, 1.5, problem.m)

    def lagrangian(z):
        return np.array([2.0 * problem.objective(z) + y @ problem.constraint(z)])

    def slope(z):
        return 2.0 * problem.gradient(z) + problem.jacobian(z).T @ y

    first = differences(lagrangian, x, everywhere, "3-point")[0]
    assert slope(x) == pytest.approx(first, rel=1e-5, abs=1e-6)
    second = differences(slope, x, everywhere, "3-point")
    assert problem.hess_lag(x, 2.0, y).toarray() == pytest.approx(second, rel=1e-5, abs=1e-5)


@pytest.mark.slow
def test_the_collection_has_the_same_programs():
    rng = np.random.default_rng(0)
    for name in ("hs6", "hs43", "hs71", "hs76", "hs78", "bt12"):
        ours, theirs = hock_schittkowski(name), s2mpj(name.upper())
        assert np.allclose(ours.x0, theirs.x0)
        x = ours.x0 + 0.1 * rng.random(ours.n)
        assert ours.objective(x) == pytest.approx(theirs.objective(x))
        missed = sorted(np.concatenate([ours.missed(x, ours.constraint(x))[0] * ours.scales]))
        again = sorted(theirs.missed(x, theirs.constraint(x))[0] * theirs.scales)
        assert missed == pytest.approx(again)


@pytest.mark.slow
def test_an_unknown_problem_of_the_collection_is_said():
    with pytest.raises(UnknownName, match="NOTHERE"):
        s2mpj("NOTHERE")


def test_without_its_package_the_collection_says_what_to_install(monkeypatch):
    from feasible.core import extras

    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    with pytest.raises(MissingExtra, match=r"feasible\[peers\]"):
        s2mpj("HS6")
