"""Workers of a study as tasks of a Ray cluster of two nodes, and what ends while they are at work:
processes, nodes, the database's server.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from labkit import bowl, lines, toy
from study_kit import begin, reserved, status
from throwaway import Server

from feasible.core import errors
from feasible.core.ledger import DONE
from feasible.lab import working
from feasible.lab.placing import RayCluster
from feasible.lab.study import Study

pytestmark = [pytest.mark.slow, pytest.mark.kill]
FULL = os.environ.get("FEASIBLE_TESTS") == "full"


class Nodes:
    """A cluster of two nodes with one CPU each, and a head that has none."""

    def __init__(self) -> None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        import ray
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(2)]
        self.ray = ray
        ray.init(address=self.cluster.address, log_to_driver=False)

    def kill(self) -> None:
        """Kill the processes of a node, and let another one come."""
        self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)
        self.nodes.append(self.cluster.add_node(num_cpus=1))

    def end(self) -> None:
        """Shut it down."""
        self.ray.shutdown()
        self.cluster.shutdown()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    yield made
    made.end()


@pytest.fixture
def own() -> Iterator[Server]:
    made = Server.begun(connections=20)
    yield made
    made.end()


def logged(log: Path) -> Callable[..., dict[str, float]]:
    """A function that takes a while and notes the number of its process."""

    def fun(x):
        with log.open("a") as out:
            out.write(f"{os.getpid()}\n")
        time.sleep(0.02)
        return bowl(x)

    return fun


def killed(study: Study, log: Path, kills: int, kill: Callable[[], object]) -> int:
    """Let workers on Ray do all and kill so many times meanwhile, each time after three calls more;
    how often they were still at work then.
    """
    done = 0
    with ThreadPoolExecutor(1) as pool:  # Ray starts nodes from the main thread only
        at_work = pool.submit(study.work, engine="ray")
        for _ in range(kills):
            before = len(lines(log))
            while len(lines(log)) < before + 3 and not at_work.done():
                time.sleep(0.01)
            done += not at_work.done()
            kill()
        at_work.result(timeout=300)
    return done


def whole(study: Study, budget: int, log: Path, kills: int) -> None:
    """All was made, nothing lost or charged twice, and little made again."""
    assert status(study) == [DONE] * budget
    assert reserved(study) == budget
    assert len({str(r.x) for r in study.store.evaluations(study.id)}) == budget
    in_hand = max(working.QUICK / 0.02, 1)
    assert budget <= len(lines(log)) <= budget + 2 * kills * in_hand


def test_what_the_runtime_environment_says_is_there(db, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)  # so that this cluster is begun here

    def fun(x):
        return {"cost": float(os.environ["OF_THE_TEST"]), "load": 1.0}

    study = begin(db, problem=toy(fun), budget=2)
    study.work(engine=RayCluster(cpus=1, runtime_env={"env_vars": {"OF_THE_TEST": "7"}}))
    assert [r.objective for r in study.store.evaluations(study.id)] == [7.0, 7.0]


def test_workers_on_ray_make_exactly_the_budget(nodes, db, tmp_path):
    log = tmp_path / "log"
    study = begin(db, problem=toy(logged(log)), budget=20)
    assert study.work(engine="ray") == 20
    assert status(study) == [DONE] * 20
    assert len(lines(log)) == 20
    assert os.getpid() not in map(int, lines(log))


def test_the_limit_is_that_of_all_of_them(nodes, db):
    study = begin(db, problem=toy(bowl), budget=20)
    assert study.work(engine="ray", limit=5) == 5
    assert study.work(workers=2, limit=5) == 5
    assert status(study) == [DONE] * 10


def test_the_commands_work_and_resume_take_ray(nodes, tmp_path, monkeypatch, ok, run):
    (tmp_path / "mine.py").write_text(
        "from feasible.blackbox import BlackBox\n"
        "problem = BlackBox(lambda x: float(x @ x), bounds=[(0.0, 1.0)] * 2, name='mine')\n"
    )
    monkeypatch.chdir(tmp_path)
    given = ("mine.py:problem", "-b", "evaluations=9", "-m", "random-search")
    found = ok("work", *given, "--engine", "ray", "--workers", "2", "--limit", "4", "--json")
    assert (found["made"], found["left"]) == (4, 5)
    ok("resume", "mine", "--engine", "ray", "--trust")
    assert ok("show", "mine", "--json")["spent"]["evaluations"] == 9
    code, _, said = run("work", *given, "--workers", "2")
    assert (code, "--engine ray" in said) == (2, True)


def test_killed_processes_lose_nothing_and_nobody_is_stuck(nodes, db, tmp_path):
    log, kills = tmp_path / "log", 30 if FULL else 2
    study = begin(db, problem=toy(logged(log)), budget=15 * kills)

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(lines(log)[-1]), signal.SIGKILL)

    assert killed(study, log, kills, kill) == kills
    whole(study, 15 * kills, log, kills)


def test_a_killed_node_loses_nothing_and_nobody_is_stuck(nodes, db, tmp_path):
    log, kills = tmp_path / "log", 5 if FULL else 1
    study = begin(db, problem=toy(logged(log)), budget=60 * kills)
    assert killed(study, log, kills, nodes.kill) == kills
    whole(study, 60 * kills, log, kills)


def test_a_killed_server_of_the_database_loses_nothing(nodes, own, tmp_path):
    log, kills = tmp_path / "log", 10 if FULL else 1
    study = begin(own.new_database(), problem=toy(logged(log)), budget=40 * kills)

    def kill() -> None:
        own.stop()
        own.start()

    assert killed(study, log, kills, kill) == kills
    whole(study, 40 * kills, log, kills)


def test_workers_that_end_without_a_result_are_an_error_and_not_started_for_ever(
    nodes, db, monkeypatch
):
    monkeypatch.setattr("feasible.lab.peers.ray.AGAIN", 0)

    def dies(x):
        os.kill(os.getpid(), signal.SIGKILL)

    study = begin(db, problem=toy(dies), budget=2)
    with pytest.raises(errors.EvaluationFailed, match="workers ended: process died"):
        study.work(engine="ray")
    assert reserved(study) <= 2


def test_a_demand_that_no_node_meets_is_refused_before_anything_is_handed_out(nodes, db):
    study = begin(db, problem=toy(bowl), budget=2)
    with pytest.raises(errors.ArgumentError, match="largest"):
        study.work(engine=RayCluster(cpus=100.0))
    assert reserved(study) == 0


def test_an_environment_for_a_cluster_that_is_joined_already_is_an_error(nodes, db):
    study = begin(db, problem=toy(bowl), budget=2)
    with pytest.raises(errors.ArgumentError, match=r"runtime_env.*ray\.init"):
        study.work(engine=RayCluster(runtime_env={"env_vars": {"A": "1"}}))


def test_another_version_of_feasible_there_is_an_error(nodes, db, monkeypatch):
    from feasible.lab.peers import ray as module

    monkeypatch.setattr(module, "version", lambda name: "0.0.7")  # here; there it is what it is
    study = begin(db, problem=toy(bowl), budget=2)
    with pytest.raises(errors.ArgumentError, match=r"cluster has feasible .*, expected 0\.0\.7"):
        study.work(engine="ray")
    assert reserved(study) == 0


def test_another_version_of_ray_there_is_said_with_both(nodes, monkeypatch):
    from feasible.lab.peers.ray import RayTasks

    def init(**_):
        raise RuntimeError("Version mismatch: it has\n    Ray: 2.1\nThis process has\n    Ray: 2.9")

    monkeypatch.setattr(nodes.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(nodes.ray, "init", init)
    with pytest.raises(errors.ArgumentError, match=r"Ray: 2\.1.*Ray: 2\.9"):
        RayTasks(address="auto")


def test_without_ray_the_extra_is_named(db, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    study = begin(db, problem=toy(bowl), budget=2)
    with pytest.raises(errors.MissingExtra, match=r"feasible\[ray\]"):
        study.work(engine="ray")
