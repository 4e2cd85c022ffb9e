"""Answers that are not rows of a ledger come back from the store as they were."""

from __future__ import annotations

import pytest

import feasible
from feasible.core import errors
from feasible.core.checkpoint import decode_as, encode
from feasible.core.registry import load_problem, methods
from feasible.core.verdict import Verdict
from feasible.training import Trained

FIRST = {
    e.solves: e for e in reversed([*methods().values()]) if e.room != "blackbox" and not e.peer
}

SHORTER = (
    ("steps=200", "steps=10"),
    ("evaluations=3000", "evaluations=100"),
    ("tokens=200000", "tokens=10000"),
)


@pytest.mark.parametrize("solves", sorted(FIRST))
def test_a_finished_run_gives_its_answer_back_without_running_again(solves, tmp_path, monkeypatch):
    entry, db = FIRST[solves], str(tmp_path / "a.db")
    problem = load_problem(entry.example)
    budget = problem.example_budget
    for long, short in SHORTER:
        budget = budget.replace(long, short)
    first = feasible.solve(entry.example, entry.name, budget, store=db, name="r")
    monkeypatch.setattr(type(feasible.core.registry.load_method(entry.name)), "step", None)
    again = feasible.solve(entry.example, entry.name, budget, store=db, name="r")
    assert type(again.answer) is type(first.answer)
    assert problem.judge(again.answer) == first.verdict


def test_an_answer_of_another_kind_is_refused():
    with pytest.raises(errors.CheckpointError, match="fields"):
        decode_as(encode(Verdict(1.0)), (Trained,))
