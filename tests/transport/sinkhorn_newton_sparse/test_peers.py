"""Peers of entropic transport reach the same plan, are metered by the problem, and stop with
reasons.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import feasible
from feasible.core.errors import ArgumentError
from feasible.core.registry import load_method, methods
from feasible.transport import instances, sinkhorn_newton

ITERATE = (
    "pot-sinkhorn-log",
    "pot-sinkhorn-stabilized",
    "pot-sinkhorn",
    "ott-sinkhorn",
    "ott-sinkhorn-momentum",
)


@pytest.fixture(scope="module")
def easy():
    return instances.point_clouds(30, 25, 20.0, 100)


@pytest.mark.parametrize("method", ITERATE)
def test_peers_reach_the_optimum_of_an_easy_problem(easy, method):
    result = feasible.solve(easy, method, budget={"gradients": 3000})
    assert result.verdict.feasible
    assert result.verdict.objective == pytest.approx(
        sinkhorn_newton(None, None, easy.cost, easy.reg).value, abs=1e-9
    )
    assert result.verdict.residual < 1e-8


@pytest.mark.parametrize("method", [*ITERATE, "geomloss-sinkhorn"])
def test_no_peer_passes_its_budget(easy, method):
    result = feasible.solve(easy, method, budget={"gradients": 20})
    assert result.spent["gradients"] <= 20


@pytest.mark.parametrize("method", [m for m in ITERATE if m != "ott-sinkhorn-momentum"])
def test_a_peers_chunks_are_one_run(easy, method):
    by_chunks = {
        chunk: feasible.solve(
            easy, f"{method}[chunk={chunk},tol=1e-15]", budget={"gradients": 40}
        ).answer
        for chunk in (20, 40)
    }
    assert by_chunks[20].f == pytest.approx(by_chunks[40].f, abs=1e-9)


def test_geomlosss_error_falls_as_one_over_its_iterations(easy):
    found = [
        feasible.solve(easy, "geomloss-sinkhorn", budget={"gradients": n}).verdict.violation
        for n in (100, 1000)
    ]
    assert found[1] == pytest.approx(found[0] / 10, rel=0.3)


def test_plain_scalings_break_down_at_small_reg_and_say_so():
    result = feasible.solve(
        instances.random_assignment(40, 1e6, 100), "pot-sinkhorn", budget={"gradients": 100}
    )
    assert "nothing moves" in result.stopped or "range of double precision" in result.stopped
    assert not result.verdict.feasible


@pytest.mark.parametrize("method", ["pot-network-simplex", "scipy-assignment"])
def test_exact_solvers_give_the_cheapest_assignment(method):
    problem = instances.random_assignment(40, 1200.0, 100)
    result = feasible.solve(problem, method, budget={"gradients": 5})
    rows, columns = linear_sum_assignment(problem.cost)
    assert result.verdict.metrics["transport_cost"] == pytest.approx(
        problem.cost[rows, columns].mean(), rel=1e-12
    )
    assert result.verdict.feasible
    assert result.spent["gradients"] == 1
    assert result.verdict.objective >= sinkhorn_newton(None, None, problem.cost, problem.reg).value


def test_an_assignment_solver_refuses_what_is_none(easy):
    with pytest.raises(ArgumentError, match="30 x 25"):
        feasible.solve(easy, "scipy-assignment", budget={"gradients": 5})


def test_peers_leave_empty_rows_empty():
    rng = np.random.default_rng(100)
    a = np.array([0.0, 0.5, 0.25, 0.25])
    problem = feasible.transport.EntropicTransport(a, None, rng.random((4, 3)), 0.2)
    for method in ("pot-sinkhorn-log", "pot-sinkhorn-stabilized"):
        result = feasible.solve(problem, method, budget={"gradients": 2000})
        assert result.verdict.feasible
        assert result.answer.f[0] == -np.inf


def test_settings_are_checked_and_every_entry_loads():
    for text, words in (
        ("pot-sinkhorn-log[solver=magic]", "solver='magic'"),
        ("ott-sinkhorn[momentum=2.5]", "momentum=2.5"),
        ("ott-sinkhorn[tol=0]", "tol=0"),
        ("geomloss-sinkhorn[max_iter=0]", "max_iter=0"),
    ):
        with pytest.raises(ArgumentError, match=words):
            load_method(text)
    ours = [n for n, e in methods().items() if e.solves == "EntropicTransport"]
    assert len(ours) == 11
    for name in ours:
        load_method(name)
