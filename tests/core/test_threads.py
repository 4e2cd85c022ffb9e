"""The number of threads inside a run is fixed, and is what it was afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa
from labkit import bowl, same, toy
from threadpoolctl import threadpool_info, threadpool_limits

import feasible
from feasible.core import errors
from feasible.core.threads import fixed, settle
from feasible.lab.schema import evaluations
from feasible.lab.store import Store


def used() -> set[int]:
    """How many threads the libraries of linear algebra use now, but for those built for one."""
    torch = sys.modules.get("torch")
    more = {torch.get_num_threads()} if torch is not None else set()
    libraries = [i for i in threadpool_info() if i.get("threading_layer") != "disabled"]
    return {library["num_threads"] for library in libraries} | more


@pytest.fixture(autouse=True)
def three():
    """Outside runs, three threads."""
    import scipy.linalg  # noqa: F401
    import torch

    before = torch.get_num_threads()
    with threadpool_limits(3):
        torch.set_num_threads(3)
        yield
    torch.set_num_threads(before)


def watching(seen: list[set[int]]):
    def fun(x):
        seen.append(used())
        return bowl(x)

    return fun


@pytest.mark.parametrize(("threads", "inside"), [(None, {1}), (2, {2})])
def test_a_run_uses_as_many_threads_as_it_says_and_one_where_it_says_nothing(threads, inside):
    seen: list[set[int]] = []
    feasible.solve(toy(watching(seen)), "random-search", budget=2, threads=threads)
    assert seen == [inside, inside]
    assert used() == {3}


def test_threads_are_what_they_were_after_a_run_that_failed():
    def broken(x):
        raise RuntimeError("mesh broke")

    with pytest.raises(errors.EvaluationFailed):
        feasible.solve(toy(broken), "random-search", budget=2)
    assert used() == {3}


def test_of_runs_that_overlap_none_gives_the_other_its_threads_back_early():
    first, second = fixed(1), fixed(1)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert used() == {1}
    second.__exit__(None, None, None)
    assert used() == {3}


def test_a_run_inside_an_evaluation_of_another_leaves_it_its_threads():
    seen: list[set[int]] = []

    def nested(x):
        feasible.solve(toy(), "random-search", budget=1, threads=2)
        return watching(seen)(x)

    feasible.solve(toy(nested), "random-search", budget=2)
    assert seen == [{1}, {1}]


def test_threads_of_a_thread_of_the_callers_own_are_fixed_too():
    seen: list[set[int]] = []
    worker = threading.Thread(
        target=lambda: feasible.solve(toy(watching(seen)), "random-search", budget=1)
    )
    worker.start()
    worker.join()
    assert seen == [{1}]


def test_a_library_that_is_loaded_inside_a_run_is_fixed_before_the_next_evaluation():
    code = """
import sys
import feasible
seen = []
def fun(x):
    import torch
    seen.append(torch.get_num_threads())
    return float(x[0])
problem = feasible.blackbox.BlackBox(fun, bounds=[(0, 1)])
assert "torch" not in sys.modules
feasible.solve(problem, "random-search", budget=3)
assert seen[1:] == [1, 1], seen
import torch
assert torch.get_num_threads() == 2, torch.get_num_threads()
"""
    two = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **two})


def test_looking_for_libraries_again_costs_a_comparison_where_nothing_was_loaded(monkeypatch):
    import threadpoolctl

    with fixed(1):
        settle()
        monkeypatch.setattr(threadpoolctl, "ThreadpoolController", None)
        for _ in range(100):
            settle()


def test_workers_and_trials_in_processes_use_one_thread_too(tmp_path):
    def counted(x):
        numbers = used()
        return {"cost": float(x[0]), "load": 1.0, "threads": float(max(numbers))}

    def threads_of(result):
        rows = result.ledger.all()
        return set(rows.values[:, rows.columns.index("threads")].tolist())

    assert threads_of(feasible.solve(toy(counted), "random-search", budget=3, workers=2)) == {1.0}
    store = tmp_path / "lab.db"
    feasible.race(toy(counted), "random-search", 3, 2, jobs=2, store=str(store))
    rows = [r for run in Store(store).runs() for r in Store(store).evaluations(run.id)]
    assert {r.metrics["threads"] for r in rows} == {1.0}


ALONE = """
import sys
import numpy as np
import feasible
from feasible.lab.store import Store

A = np.random.default_rng(0).normal(size=(400, 400))

def fun(x):  # its last bits depend on the number of BLAS threads
    B = A + np.diag(x[0] + np.arange(400.0))
    return float(1e3 * np.linalg.slogdet(B @ B.T)[1] + x[1])

problem = feasible.blackbox.BlackBox(fun, bounds=[(0, 1)] * 2, name="heavy")

def raced(jobs):
    path = sys.argv[1] + str(jobs)
    feasible.race(problem, "cbo", 3, 2, jobs=jobs, store=path, name="r")
    store = Store(path)
    return {
        (run.seed, row.row): (*row.x, row.objective)
        for run in store.runs()
        for row in store.evaluations(run.id)
    }

def solved(workers):
    rows = feasible.solve(problem, "cbo", budget=4, threads=2, workers=workers).ledger.all()
    return dict(zip(map(tuple, rows.x.tolist()), rows.objective.tolist()))

one, two = raced(1), raced(2)
assert len(one) == 6 and one == two, (one, two)
one, two = solved(1), solved(2)
assert len(one) == 4 and one == two, (one, two)
"""


def test_rows_are_the_same_bits_with_any_number_of_processes_where_the_environment_says_nothing(
    tmp_path,
):
    free = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", ALONE, str(tmp_path / "db")], check=True, env=free)


# -- in a store ------------------------------------------------------------------------------------


def test_a_stored_run_goes_on_with_the_threads_that_it_began_with(tmp_path):
    seen: list[set[int]] = []
    call = {"store": str(tmp_path / "lab.db"), "name": "r"}
    problem = toy(watching(seen))
    feasible.solve(problem, "random-search", budget=2, threads=2, **call)
    feasible.solve(problem, "random-search", budget=4, **call)
    assert seen == [{2}] * 4
    with pytest.raises(errors.ArgumentError, match=r"threads=1: run 'r' .* began with threads=2"):
        feasible.solve(problem, "random-search", budget=6, threads=1, **call)


def test_a_stored_race_goes_on_with_the_threads_that_it_began_with(tmp_path):
    call = {"store": str(tmp_path / "lab.db"), "name": "r"}
    feasible.race(toy(), "random-search", 2, 1, threads=2, **call)
    feasible.race(toy(), "random-search", 2, 1, **call)
    with pytest.raises(errors.ArgumentError, match=r"threads=1: race 'r' .* began with threads=2"):
        feasible.race(toy(), "random-search", 2, 1, threads=1, **call)


def test_several_threads_and_several_processes_are_refused_before_anything_is_spent():
    calls: list[object] = []
    with pytest.raises(errors.ArgumentError, match="threads=2: with jobs=2"):
        feasible.race(toy(calls.append), "random-search", 2, 1, threads=2, jobs=2)
    assert calls == []


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_a_number_of_threads_that_is_none_is_refused(threads):
    with pytest.raises(errors.FeasibleError, match="threads"):
        feasible.solve(toy(), "random-search", budget=2, threads=threads)


# -- rounding --------------------------------------------------------------------------------------


def test_stored_points_that_differ_by_rounding_only_are_those_of_the_resumed_run(tmp_path):
    path = str(tmp_path / "lab.db")
    whole = feasible.solve(toy(), "cobyqa", budget=30)
    feasible.solve(toy(), "cobyqa", budget=20, store=path, name="r")
    store = Store(path)
    for row in store.evaluations(1):
        moved = [v + 1e-15 if v < 0.5 else v - 1e-15 for v in row.x]
        _move(store, row.row, moved)
    calls: list[object] = []

    def counted(x):
        calls.append(x)
        return bowl(x)

    resumed = feasible.solve(
        toy(counted), "cobyqa", budget=30, store=path, name="r", accept_changes=True
    )
    assert len(calls) == 10
    assert resumed.spent["evaluations"] == 30
    assert any("equal within rounding" in note for note in resumed.notes)
    assert resumed.verdict.objective == pytest.approx(whole.verdict.objective, abs=1e-6)


def test_a_resumed_run_that_is_equal_bit_for_bit_does_not_speak_of_rounding(tmp_path):
    call = {"store": str(tmp_path / "lab.db"), "name": "r"}
    feasible.solve(toy(), "cobyqa", budget=20, **call)
    resumed = feasible.solve(toy(), "cobyqa", budget=30, **call)
    assert not any("rounding" in note for note in resumed.notes)
    same(resumed, feasible.solve(toy(), "cobyqa", budget=30))


def test_a_stored_point_that_differs_by_more_than_rounding_is_another_point(tmp_path):
    path = str(tmp_path / "lab.db")
    feasible.solve(toy(), "cobyqa", budget=20, store=path, name="r")
    store = Store(path)
    row = store.evaluations(1)[3]
    _move(store, row.row, [row.x[0] + 3e-9, row.x[1]])
    with pytest.raises(errors.Diverged):
        feasible.solve(toy(), "cobyqa", budget=30, store=path, name="r")


def _move(store: Store, row: int, x: list[float]) -> None:
    """Change the point of a stored row."""
    with store.write() as connection:
        connection.execute(
            sa.update(evaluations).where(evaluations.c.row == row).values(x=json.dumps(x))
        )
