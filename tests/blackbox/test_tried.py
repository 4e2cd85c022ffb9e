"""The guard that proposals pass: away from failed points, no repeats, and finite spaces to the last
point.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from cases import FULL
from hypothesis import given, settings, strategies as st
from tiny import Listed, Sample

import feasible
from feasible.blackbox import BlackBox, Categorical, Integer, Real
from feasible.blackbox.tried import FAILED_REACH, SAME, Near, Tried
from feasible.core import errors
from feasible.core.ledger import FAILED
from feasible.core.registry import load_method, methods
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport

METHODS = [name for name, entry in methods().items() if entry.solves == "BlackBox"]
QUICK = ["gp-sqp", "cbo-memory", "random-search", "differential-evolution", "cobyqa", "pymoo-ga"]
OURS = [name for name in METHODS if not methods()[name].peer]
MANY = ("gp-sqp", "cbo", "hybrid", "langevin", "gradient", "robust", "relay", "gp-relay")
"""Methods whose names begin so propose within milliseconds; `make claims` tries all the others."""
FEW = ("pfn-", "bo-logei", "bo-cei", "bo-ucb")
ON: dict[str, tuple[str, dict]] = {
    "bo-mfkg": ("[fidelity=b]", {}),
    "bo-multi-task": ("[task=b]", {"box": {"a": (0, 1), "b": Integer("b", 0, 1)}}),
    "bo-env-kg": ("[environment=b]", {}),
    "bo-qlognehvi": (
        "",
        {"objectives": {"f": "min", "g": "min"}, "reference": {"f": 3, "g": 1}, "limits": {}},
    ),
    **{name: ("", {"target": 1.2}) for name in OURS if name.startswith("ccbo")},
}
"""What these need: settings, and of the problem."""


def three(fun=True):
    values = {"a": 3.0, "b": 1.0, "c": 2.0}
    choice = Categorical("c", list(values))
    run = (lambda p: values[p["c"]]) if fun else None
    return BlackBox(run, variables=[choice], objective="f", name="three")


def square(fun=True):
    run = (lambda x: (x[0] - 1) ** 2 + x[1]) if fun else None
    whole = [Integer("i", 0, 1), Integer("j", 0, 1)]
    return BlackBox(run, variables=whole, objective="f", name="square")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in METHODS]
)
@pytest.mark.parametrize(("make", "count"), [(three, 3), (square, 4)])
def test_a_finite_space_is_used_up_without_repeats_and_the_run_ends(name, make, count):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = feasible.solve(make(), name, budget=10, seed=100)
        except (errors.ArgumentError, errors.WrongProblem):
            return  # it does not solve such problems, and says so
    x = result.ledger.all().x
    assert len(x) == len(np.unique(x, axis=0)) == count == result.spent["evaluations"]
    assert result.stopped == f"all {count} points were evaluated"


@pytest.mark.parametrize("name", QUICK)
def test_forbidden_points_of_a_finite_space_do_not_count(name):
    problem = BlackBox(
        lambda x: x[0] + x[1],
        variables=[Integer("i", 0, 4), Integer("j", 0, 4)],
        known=lambda x: x[:, 0] != x[:, 1],
    )
    result = feasible.solve(problem, name, budget=40, seed=100)
    x = result.ledger.all().x
    assert len(np.unique(x, axis=0)) == len(x) == 20
    assert (x[:, 0] != x[:, 1]).all()
    assert result.stopped == "all 20 points were evaluated"


@pytest.mark.parametrize("name", ["gp-sqp", "random-search", "cobyqa", "cbx", "cma-es"])
def test_a_study_hands_a_finite_space_out_to_the_last_point(tmp_path, name):
    study = Study.create(
        Store(tmp_path / "s.db"), square(None), load_method(name), feasible.Budget(evaluations=10)
    )
    first = study.ask(2)
    rest = study.ask(8)
    points = {tuple(r.x) for r in first + rest}
    assert len(first + rest) == len(points) == 4
    with pytest.raises(errors.Pending, match="every point is known or out; tell these: 0, 1, 2, 3"):
        study.ask()
    study.tell([StudyReport(r.row, None, {"f": sum(r.x)}) for r in first + rest])
    with pytest.raises(errors.UsedUp, match="all 4 points were evaluated"):
        study.ask()


def test_a_noisy_finite_space_is_never_used_up():
    noisy = BlackBox(lambda x: x[0], variables=[Integer("i", 0, 1)], noise=0.1)
    result = feasible.solve(noisy, "random-search", budget=12)
    assert result.spent["evaluations"] == 12


def test_a_method_that_is_done_leaves_no_point_of_a_finite_space_while_budget_is_left():
    problem = BlackBox(lambda x: x[0], variables=[Integer("i", 0, 9)])
    done = Listed(points=[[3], [5]], batch=1, rounds=1)
    result = feasible.solve(problem, done, budget=6)
    assert result.spent["evaluations"] == 6
    assert len(np.unique(result.ledger.all().x)) == 6
    assert feasible.solve(problem, done, budget=60).stopped == "all 10 points were evaluated"


# -- failed points and repeats ---------------------------------------------------------------------


def brittle(**more):
    """Fails in a quarter of the box, where the objective would be best."""

    def fun(x):
        if x[0] > 0.5 and x[1] > 0.5:
            raise ValueError("gelled")
        return {"f": 2.5 - x[0] - x[1], "g": x[0]}

    box = more.pop("box", {"a": (0, 1), "b": (0, 1)})
    if "objectives" not in more:
        more |= {"objective": "f", "limits": {"g": "<= 0.9"}}
    return BlackBox(fun, box, **more)


def close_to_failed(x, failed):
    """Rows within the reach of an earlier row that failed."""
    return [
        i
        for i in range(len(x))
        if failed[:i].any() and np.abs(x[:i][failed[:i]] - x[i]).max(axis=1).min() <= FAILED_REACH
    ]


@pytest.mark.parametrize("name", OURS if FULL else [n for n in OURS if n.startswith(MANY + FEW)])
def test_no_proposal_comes_close_to_a_failed_point_or_repeats_a_known_one(name):
    n = 30 if name.startswith(MANY) else 14
    settings, more = ON.get(name, ("", {}))
    run = {"budget": n, "seed": 101, "on_failure": "skip"}
    rows = feasible.solve(brittle(**more), name + settings, **run).ledger.all()
    assert (rows.status == FAILED).any()
    assert close_to_failed(rows.x, rows.status == FAILED) == []
    gap = np.abs(rows.x[:, None] - rows.x[None]).max(axis=2)
    assert gap[np.triu_indices(len(rows), 1)].min() > SAME


@pytest.mark.parametrize("name", ["gp-sqp", "cbo-memory"])
def test_a_study_never_hands_out_a_point_close_to_one_that_failed(tmp_path, name):
    study = Study.create(
        Store(tmp_path / "s.db"), brittle(), load_method(name), feasible.Budget(evaluations=24)
    )
    study.work()
    rows = study.rows()
    assert (rows.status == FAILED).any()
    assert close_to_failed(rows.x, rows.status == FAILED) == []


@pytest.mark.parametrize("where", ["corner", "slab"])
def test_gp_sqp_leaves_a_region_of_failures(where):
    def fun(x):
        T, c, t = x
        if c > 1.05 and (where == "slab" or T > 55):
            raise ValueError("gelled")
        peak = ((T - 70) / 30) ** 2 + ((c - 1.5) / 0.8) ** 2 + ((t - 120) / 90) ** 2 / 4
        return {"yield": 100 - 40 * peak, "size": 60 + 50 * c + 0.5 * T + 0.1 * t}

    problem = BlackBox(
        fun,
        {"T": (20, 90), "c": (0.1, 2.0), "t": (10, 240)},
        objective="yield",
        maximize=True,
        limits={"size": "in [80, 200]"},
    )
    for seed in (101, 102):
        rows = feasible.solve(problem, "gp-sqp", budget=30, seed=seed, on_failure="skip").ledger
        assert int((rows.all().status == FAILED).sum()) <= 12


@given(st.integers(0, 2**31), st.integers(1, 4), st.floats(0, 3e-6))
@settings(max_examples=60, deadline=None)
def test_points_within_reach_are_found_and_no_others(seed, d, step):
    rng = np.random.default_rng(seed)
    points = rng.random((40, d))
    near = Near(d, 1e-6)
    near.add(points[:15], np.arange(15))
    near.add(points[15:], np.arange(15, 40))
    asked = points + step * rng.choice([-1.0, 1.0], (40, d))
    away = np.abs(asked[:, None] - points[None]).max(axis=2)
    found = near.find(asked)
    assert [f >= 0 for f in found] == (away.min(axis=1) <= 1e-6).tolist()
    assert all(away[i, f] <= 1e-6 for i, f in enumerate(found) if f >= 0)


def test_a_repeat_within_rounding_becomes_the_known_point_and_is_free():
    calls = []
    problem = BlackBox(lambda x: calls.append(1) or x[0], [(0, 10), (-5, 5)])
    points = [[3.0, 1.0], [3.0 + 2e-12, 1.0 - 1e-12], [7.0, 0.0]]
    result = feasible.solve(problem, Listed(points=points, batch=1), budget=3)
    assert len(calls) == 2
    assert result.ledger.all().x.tolist() == [[3.0, 1.0], [7.0, 0.0]]


def test_a_known_constraint_holds_for_moved_proposals_too():
    problem = BlackBox(
        lambda x: {"f": x[0]},
        {"a": (0, 1), "b": (0, 1)},
        objective="f",
        known=lambda x: x[:, 0] + x[:, 1] <= 1,
    )
    tried = Tried(problem)
    tried.add(np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([True, False]))
    moved = tried.guard(np.array([[0.5, 0.5]]), [0, 0])
    assert problem.allowed(moved)[0]
    assert np.abs(moved - 0.5).max() > FAILED_REACH
    assert moved.tolist() == tried.guard(np.array([[0.5, 0.5]]), [0, 0]).tolist()


def test_on_a_log_scale_the_box_is_that_of_the_logarithm():
    problem = BlackBox(lambda x: x[0], variables=[Real("k", 1e-9, 1.0, log=True)])
    tried = Tried(problem)
    tried.add(np.array([[1e-8]]), np.array([True]))
    assert tried.guard(np.array([[2e-8]]), [0]).tolist() == [[2e-8]]
    assert tried.guard(np.array([[1e-8 * (1 + 1e-6)]]), [0])[0, 0] != 1e-8 * (1 + 1e-6)


@dataclass(frozen=True)
class Foreign(Listed):
    """A solver of another library."""

    avoids: ClassVar[bool] = False


def test_finite_differences_of_another_library_about_a_failed_point_are_evaluated():
    points = [[0.6, 0.6], [0.6 + 1e-8, 0.6], [0.2, 0.2]]
    for method, made in ((Foreign, points), (Listed, None)):
        method = method(points=points, batch=1)
        result = feasible.solve(brittle(), method, budget=3, on_failure="skip")
        x = result.ledger.all().x.tolist()
        assert (x == points) == (made is not None)


def test_a_run_with_a_guard_resumes_as_the_uninterrupted_one(tmp_path):
    whole = feasible.solve(brittle(), "gp-sqp", budget=20, seed=5, on_failure="skip")
    store = tmp_path / "s.db"
    more = {"seed": 5, "on_failure": "skip", "store": store, "name": "r"}
    feasible.solve(brittle(), "gp-sqp", budget=9, **more)
    again = feasible.solve(brittle(), "gp-sqp", budget=20, **more)
    assert again.ledger.all().x.tolist() == whole.ledger.all().x.tolist()


def test_methods_of_other_libraries_see_their_own_points():
    assert Sample.avoids
    for name in METHODS:
        module = type(load_method(name)).__module__
        assert load_method(name).avoids == (".peers." not in module), name


@pytest.mark.parametrize("name", QUICK)
def test_values_on_a_grid_are_a_finite_space_too(name):
    problem = BlackBox(
        lambda x: (x[0] - 0.2) ** 2 + x[1],
        variables=[Real("a", 0, 0.3, step=0.1), Integer("b", 0, 2)],
    )
    result = feasible.solve(problem, name, budget=30, seed=100)
    assert len(np.unique(result.ledger.all().x, axis=0)) == result.spent["evaluations"] == 12
    assert result.stopped == "all 12 points were evaluated"
