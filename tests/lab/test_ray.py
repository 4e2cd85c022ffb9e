"""Trials of a race as tasks of a Ray cluster: the same results, exact charges where processes die,
and demands that cannot be met are said.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from labkit import bowl, lines, same, toy

import feasible
from feasible.core import errors
from feasible.lab.placing import RayCluster
from feasible.lab.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two CPUs, for the tests of this file."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def trials(race):
    """What a race found, bit for bit."""
    said = ("problem", "method", "seed", "status", "objective", "violation", "answer")
    return [
        [
            *(getattr(t, name) for name in said),
            *((p.step, p.spent["evaluations"], p.verdict) for p in t.trail),
        ]
        for t in race.trials
    ]


def dying(log: Path, at: int):
    """A function whose process ends by SIGKILL at its first call of this number."""

    def fun(x):
        with log.open("a") as out:
            out.write("x\n")
        if len(log.read_text().split()) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return bowl(x)

    return fun


def test_trials_on_ray_are_those_of_this_process_bit_for_bit(cluster, tmp_path):
    call = {"budget": 12, "seeds": 2}
    here = feasible.race([toy(bowl)], ["cbo", "random-search"], **call)
    assert trials(feasible.race([toy(bowl)], ["cbo", "random-search"], engine="ray", **call)) == (
        trials(here)
    )
    place = tmp_path / "r.db"
    kept = feasible.race(
        [toy(bowl)], ["cbo", "random-search"], engine="ray", store=str(place), name="r", **call
    )
    assert trials(kept) == trials(here)
    assert Store(place).find_race("r")["state"] == "finished"


def test_evaluations_on_ray_give_the_run_of_this_process_bit_for_bit(cluster, tmp_path):
    call = {"budget": 16, "seed": 4}
    here = feasible.solve(toy(bowl), "cbo[n_particles=4]", **call)
    call |= {"workers": 2, "engine": "ray"}
    same(feasible.solve(toy(bowl), "cbo[n_particles=4]", **call), here)
    call |= {"store": str(tmp_path / "r.db"), "name": "r"}
    same(feasible.solve(toy(bowl), "cbo[n_particles=4]", **call), here)


def test_a_run_and_a_race_that_were_stopped_go_on_on_ray(cluster, tmp_path, monkeypatch, ok):
    from feasible.lab.peers.ray import RayTasks

    sent, real = [], RayTasks.map
    monkeypatch.setattr(
        RayTasks,
        "map",
        lambda self, f, items, *a, **k: sent.append(len(items)) or real(self, f, items, *a, **k),
    )
    monkeypatch.chdir(tmp_path)
    ok("solve", "sphere", "-m", "random-search", "-b", "evaluations=3", "--name", "one")
    ok("resume", "one", "--add", "evaluations=2", "--engine", "ray")
    assert sum(sent) == 2
    ok("race", "sphere", "-m", "random-search", "-b", "evaluations=3", "--name", "r")
    with Store("feasible.db") as store:
        stopped = store.runs(race=store.find_race("r")["id"])[0]
        store.update_run(stopped.id, state="interrupted")
    sent.clear()
    ok("resume", "r", "--engine", "ray")
    assert sum(sent) == 1


def test_a_trial_whose_process_dies_is_started_again_and_pays_for_nothing_twice(cluster, tmp_path):
    log, place = tmp_path / "log", tmp_path / "r.db"
    call = {"methods": "random-search", "budget": 6, "seeds": 1}
    race = feasible.race(toy(dying(log, 4)), engine="ray", store=str(place), name="r", **call)
    (trial,) = race.trials
    assert (trial.status, trial.spent["evaluations"]) == ("done", 6)
    assert len(lines(log)) == 7  # the one that was being made is made again
    (plain,) = feasible.race(toy(bowl), **call).trials
    assert (trial.objective, trial.answer) == (plain.objective, plain.answer)


def test_without_a_store_a_trial_whose_process_dies_has_failed_and_the_others_go_on(
    cluster, tmp_path
):
    log = tmp_path / "log"
    race = feasible.race(toy(dying(log, 4)), "random-search", 3, seeds=2, engine="ray", jobs=2)
    assert sorted(t.status for t in race.trials) == ["done", "failed"]
    assert len(lines(log)) <= 6


@pytest.mark.parametrize("demand", [{"cpus": 1000.0}, {"gpus": 1.0}, {"memory": 1e15}])
def test_a_demand_that_no_node_meets_is_refused_naming_the_largest_node(cluster, demand):
    calls = []
    (node,) = cluster.nodes()
    with pytest.raises(errors.ArgumentError, match=f"largest, {node['NodeManagerHostname']}, has"):
        feasible.race(toy(calls.append), "random-search", 3, engine=RayCluster(**demand))
    assert calls == []


def test_a_run_whose_demand_no_node_meets_has_failed_and_goes_on_with_another(cluster, tmp_path):
    call = {"budget": 4, "store": str(tmp_path / "r.db"), "name": "r"}
    with pytest.raises(errors.ArgumentError, match="largest"):
        feasible.solve(toy(bowl), "random-search", engine=RayCluster(cpus=1000.0), **call)
    with Store(tmp_path / "r.db") as store:
        assert store.run("r").state == "failed"
    assert feasible.solve(toy(bowl), "random-search", **call).spent["evaluations"] == 4


def test_what_is_waited_for_is_said(cluster, monkeypatch):
    from feasible.lab.peers import ray as module

    monkeypatch.setattr(module, "SILENT", 0.2)
    monkeypatch.setattr(module, "LOOK", 0.1)
    said = []
    busy = [cluster.remote(num_cpus=2)(lambda: time.sleep(600)).remote()]

    def hear(text):
        said.append(text)
        cluster.cancel(busy[0], force=True)

    time.sleep(0.5)
    with module.RayTasks(say=hear) as engine:
        assert list(engine.map(lambda x: x + 1, [1])) == [(0, 2)]
    (text,) = said
    assert "1 wait, each takes 1 CPU; free are 0 CPU;" in text


def test_a_call_that_takes_too_long_is_ended_and_an_error_is_a_result(cluster):
    from feasible.lab.peers.ray import RayTasks

    def call(x):
        time.sleep(600 * x)
        raise ValueError("no")

    with RayTasks() as engine:
        found = dict(engine.map(call, [0, 1], timeout=1.0))
    assert [found[0].reason, found[1].reason] == ["ValueError: no", "timeout: killed after 1 s"]


def test_calls_go_on_where_the_process_dies_that_hears_of_them(cluster):
    from feasible.lab.engines import report
    from feasible.lab.peers.ray import RayTasks

    with RayTasks() as engine:

        def hear(index, note):
            heard.append((index, note))
            cluster.kill(engine._beacon, no_restart=False)

        def call(x):
            report("here")
            time.sleep(2.0 * x)
            return x

        heard = []
        assert dict(engine.map(call, [1, 0], on_note=hear)) == {0: 1, 1: 0}
    assert heard


def test_a_problem_in_a_file_travels_with_the_modules_beside_it(cluster, tmp_path, monkeypatch):
    (tmp_path / "besides_mine.py").write_text("def cost(x):\n    return float(x @ x)\n")
    (tmp_path / "mine.py").write_text(
        "from besides_mine import cost\nfrom feasible.blackbox import BlackBox\n"
        "problem = BlackBox(lambda x: cost(x), bounds=[(0.0, 1.0)] * 2, name='mine')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    race = feasible.race(
        f"{tmp_path / 'mine.py'}:problem", "random-search", 4, seeds=1, engine="ray"
    )
    assert [t.status for t in race.trials] == ["done"]


def test_what_cannot_be_sent_is_refused_before_the_first_charge(cluster):
    lock, calls = threading.Lock(), []

    def fun(x):
        with lock:
            calls.append(x)
        return bowl(x)

    with pytest.raises(errors.ArgumentError, match="cannot be sent to other processes"):
        feasible.race(toy(fun), "random-search", 3, engine="ray")
    assert calls == []


def test_a_cluster_that_is_not_there_is_said(cluster, monkeypatch):
    from feasible.lab.peers.ray import RayTasks

    def init(**_):
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(cluster, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster, "init", init)
    with pytest.raises(errors.ArgumentError, match=r"no cluster at 10\.0\.0\.9:6379: Connection"):
        RayTasks(address="10.0.0.9:6379")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(errors.MissingExtra, match=r"feasible\[ray\]"):
        feasible.race(toy(bowl), "random-search", 3, engine="ray")
