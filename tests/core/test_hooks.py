"""What a problem declares is what core and lab ask, and nothing else."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import feasible
from feasible.core.active import check_options
from feasible.core.budget import Budget, Meter, Resource, spend
from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.core.evaluating import RACING, RunOptions
from feasible.core.problem import Method, Problem
from feasible.core.registry import default_method, load_problem
from feasible.core.run import Run, run
from feasible.core.verdict import Verdict

SOURCE = Path(feasible.__file__).parent


class Noisy(Problem):
    """minimise x, judged with noise."""

    name = "noisy"

    def __init__(self):
        self.draws, self.rng = 0, np.random.default_rng(1)

    def judge(self, answer):
        self.draws += 1
        return Verdict(answer + self.rng.standard_normal())


@dataclass
class At:
    x: float


@dataclass(frozen=True)
class Walk(Method):
    down: float = 1.0
    name: ClassVar[str] = "walk"

    def init(self, problem, rng):
        return At(0.0)

    def step(self, problem, state):
        spend(gradients=1)
        state.x -= self.down
        return state

    def answer(self, problem, state):
        return state.x


def go(problem, method=None, checkpoints=None, **limits):
    budget = Budget(**limits)
    return run(Run(problem, method or Walk(), budget, 0, Meter(budget)), checkpoints)


@pytest.mark.parametrize("steps", [1, 2, 5, 13, 40])
@pytest.mark.parametrize("down", [1.0, 0.0, -1.0])
def test_the_verdict_is_one_of_the_trails_and_the_last_of_them(steps, down):
    problem = Noisy()
    result = go(problem, Walk(down), steps=steps)
    assert result.trail[-1].verdict == result.verdict
    assert result.verdict in [p.verdict for p in result.trail]


def test_a_judge_that_draws_is_asked_once_for_each_answer():
    problem = Noisy()
    result = go(problem, steps=3)
    assert [p.step for p in result.trail][:4] == [0, 1, 2, 3]
    assert problem.draws == 4


def test_a_runs_answer_may_be_measured_with_more_care_than_its_trail():
    class Careful(Noisy):
        def confirm(self, answer, verdict):
            return Verdict(float(answer), metrics={"before": verdict.objective})

    result = go(Careful(), steps=3)
    assert result.verdict.objective == -3.0 == result.trail[-1].verdict.objective
    assert result.trail[-2].verdict.objective == result.verdict.metrics["before"] != -3.0


def test_a_problem_says_how_often_judging_is_worth_its_cost():
    class Dear(Noisy):
        trail_growth = 2.0

    assert [p.step for p in go(Dear(), steps=40).trail][:7] == [0, 1, 2, 4, 8, 16, 32]


def test_what_cannot_be_had_back_is_stored_in_the_step_that_bought_it():
    Resource("test_answers", "answers that a person gave", irreversible=True)

    class Kept:
        def __init__(self):
            self.steps = []

        def load(self):
            return None

        def due(self):
            return False

        def save(self, blob):
            self.steps.append(len(self.steps))

    @dataclass(frozen=True)
    class Asking(Walk):
        def step(self, problem, state):
            if state.x in (-2.0, -5.0):
                spend(test_answers=1)
            return super().step(problem, state)

    kept = Kept()
    go(Noisy(), Asking(), kept, gradients=8)
    assert len(kept.steps) == 2


@pytest.mark.parametrize(
    "option",
    [
        {"on_failure": "skip"},
        {"retry": 1},
        {"workers": 2},
        {"evaluation_timeout": 3.0},
        {"find_feasible": True},
    ],
)
@pytest.mark.parametrize("store", [None, "store.db"])
def test_an_option_for_paid_evaluations_is_refused_where_there_are_none(option, store, tmp_path):
    where = store and str(tmp_path / store)
    (name, value) = next(iter(option.items()))
    with pytest.raises(ArgumentError, match=rf"{name}={value!r}: 'noisy' is a Noisy, which has no"):
        feasible.solve(Noisy(), Walk(), budget="steps=3", store=where, **option)


def test_a_race_takes_its_own_default_and_refuses_another_where_it_has_no_use():
    assert feasible.race(Noisy(), Walk(), "steps=3", 1).trials[0].status == "done"
    with pytest.raises(ArgumentError, match="on_failure='raise'"):
        feasible.race(Noisy(), Walk(), "steps=3", 1, on_failure="raise")
    check_options(RACING, Noisy(), RACING)


def test_names_and_defaults_of_the_options_are_said_once():
    options = {f: getattr(RunOptions(), f) for f in RunOptions.__dataclass_fields__}
    taken = inspect.signature(feasible.solve).parameters
    assert {name: taken[name].default for name in options} == options
    assert inspect.signature(feasible.race).parameters["on_failure"].default == RACING.on_failure


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ({"on_failure": "stop"}, ArgumentError),
        ({"retry": -1}, ArgumentError),
        ({"retry": True}, ArgumentTypeError),
        ({"workers": 0}, ArgumentError),
        ({"evaluation_timeout": 0}, ArgumentError),
        ({"find_feasible": 1}, ArgumentTypeError),
    ],
)
def test_a_malformed_option_is_named(option, error):
    with pytest.raises(error, match=f"{next(iter(option))}="):
        RunOptions(**option)


@pytest.mark.parametrize(
    "name",
    [
        "branin",
        "welded-beam",
        "acs-like-small",
        "moons-mlp",
        "breast-cancer-squares",
        "planted-assignment",
        "blobs-few-labels",
        "dirichlet-bottleneck",
        "coding-grid",
        "sparse-clouds",
    ],
)
def test_a_class_of_ones_own_gets_the_default_of_the_one_it_derives_from(name):
    problem = load_problem(name)
    budget = Budget.parse(problem.example_budget)
    expected = default_method(problem, budget)
    theirs = type(problem)
    problem.__class__ = type("Mine", (theirs,), {"__slots__": ()})
    assert problem.kinds()[:2] == ("Mine", theirs.__name__)
    assert default_method(problem, budget) == expected


def test_a_problem_of_no_room_has_no_default_and_says_so():
    with pytest.raises(ArgumentError, match="no room chooses one for a Noisy"):
        feasible.solve(Noisy(), budget="steps=3")


def files(*folders):
    return [f for folder in folders for f in sorted((SOURCE / folder).glob("*.py"))]


def test_core_asks_no_undeclared_attribute_of_a_problem_or_a_method():
    for file in files("core"):
        for node in ast.walk(ast.parse(file.read_text())):
            asks = isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "getattr",
                "hasattr",
            )
            assert not (asks and "problem" in ast.unparse(node.args[0])), f"{file}:{node.lineno}"
            assert not (asks and "method" in ast.unparse(node.args[0])), f"{file}:{node.lineno}"


def test_core_names_no_room():
    rooms = {p.parent.name for p in SOURCE.glob("*/catalogue.py")}
    assert rooms
    for file in files("core"):
        text = file.read_text().replace("language model", "")  # what is called, not the room
        words = set(text.replace(".", " ").replace("/", " ").split())
        assert not words & rooms, file
