"""Ray as an engine: what a call costs above Ray's own empty task, on a cluster of this machine."""

from __future__ import annotations

import os
import statistics

from feasible.lab.peers.ray import RayTasks

from .common import Figure, in_turns, write

TASKS = 50


def run() -> list[Figure]:
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    empty = ray.remote(num_cpus=1)(lambda: None)

    def call(item: int) -> None:
        return None

    with RayTasks() as engine:

        def ours() -> None:
            assert len(list(engine.map(call, range(TASKS)))) == TASKS

        def its() -> None:
            ray.get([empty.remote() for _ in range(TASKS)])

        mine, plain = in_turns(ours, its, rounds=5)
    ray.shutdown()
    above = statistics.median(a - b for a, b in zip(mine, plain, strict=True)) / TASKS
    figures = [
        Figure("an empty task of Ray", statistics.median(plain) / TASKS * 1e3, unit="ms"),
        Figure("a call on Ray above an empty task", above * 1e3, 50.0, "ms"),
    ]
    write("ray_tasks", figures)
    return figures
