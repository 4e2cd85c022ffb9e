"""The room's default: solvers one after the other, each checked."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import LinearConstraint

import feasible
from feasible.core import extras
from feasible.core.registry import default_method, load_method
from feasible.programs import Program
from feasible.programs.instances import hock_schittkowski
from feasible.programs.nlp import NLP, ORDER, order
from feasible.programs.peers import scipy as by_scipy
from feasible.programs.peers.frame import Solver, SolverState


class Lying(Solver):
    """A solver that says it has converged at the start."""

    name = "lying"

    def run(self, problem, state: SolverState):
        state.show(problem.x0)
        return "optimal", True


def test_a_program_is_solved_by_it_where_no_method_is_named():
    method, why = default_method(hock_schittkowski("hs71"), feasible.Budget(steps=1))
    assert isinstance(method, NLP)
    assert "KKT" in why


def test_a_solver_that_says_it_has_converged_is_not_believed(monkeypatch):
    chosen = [Lying(), by_scipy.ScipySLSQP(ftol=1e-9)]
    monkeypatch.setattr(NLP, "solvers", lambda self, problem: chosen)
    result = feasible.solve("hs71", "nlp", budget={"evaluations": 200})
    assert result.steps == 2
    assert result.verdict.residual < 1e-6
    assert any("tried before: optimal" in note for note in result.notes)
    chosen.pop()
    result = feasible.solve("hs71", "nlp", budget={"evaluations": 200})
    assert "no solver ended at a KKT point" in result.stopped


def test_a_solver_leaves_a_share_of_the_budget_to_the_others(monkeypatch):
    class Wandering(Solver):
        name = "wandering"

        def run(self, problem, state):
            for k in range(1000):
                x = problem.x0 + 1e-3 * k
                problem.objective(x)
                state.show(x)
            return "tired", False

    chosen = [Wandering(), by_scipy.ScipySLSQP(ftol=1e-9)]
    monkeypatch.setattr(NLP, "solvers", lambda self, problem: chosen)
    result = feasible.solve("hs71", "nlp[share=0.25]", budget={"evaluations": 200})
    assert any("its share of the evaluations was used up" in note for note in result.notes)
    assert 50 <= result.spent["evaluations"] <= 80
    assert result.verdict.residual < 1e-6


def test_solvers_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    names = {s.name for s in NLP().solvers(hock_schittkowski("hs71"))}
    assert names == {"scipy-slsqp", "scipy-trust-constr"}


def test_every_row_of_the_order_names_solvers_and_evidence():
    for row in ORDER:
        assert all(isinstance(load_method(name), Solver) for name in row.solvers)
        assert row.evidence
    assert order(hock_schittkowski("hs6")) is ORDER[0]
    plain = Program(sum, np.zeros(5))
    assert order(plain) is ORDER[1]
    assert order(Program(sum, np.zeros(5000))) is ORDER[2]


def test_a_feasible_answer_is_kept_where_a_later_solver_ends_infeasible(monkeypatch):
    class Astray(Solver):
        name = "astray"

        def run(self, problem, state):
            state.show(problem.x0 + 100)
            return "lost", False

    class Inside(Solver):
        name = "inside"

        def run(self, problem, state):
            state.show(np.array([0.25, 0.25]))
            return "stuck", False

    monkeypatch.setattr(NLP, "solvers", lambda self, problem: [Inside(), Astray()])
    problem = Program(
        lambda x: -x[0] * x[1],
        [0.0, 0.0],
        constraints={"sum": LinearConstraint([[1.0, 1.0]], -np.inf, 1)},
    )
    result = feasible.solve(problem, "nlp", budget={"evaluations": 200})
    assert result.verdict.feasible
    assert result.answer.x == pytest.approx([0.25, 0.25])
