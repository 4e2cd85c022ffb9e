"""Compiled dispatch: schedules in which no machine waits while a job waits for it."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from ..core.compiled import compiled
from .rules_plain import place_by_key

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def _place_by_key(first, machine, duration, release, key, by_ready, machines, zeros):  # type: ignore[no-untyped-def]
    return np.array(
        _inner(first, machine, duration, release, key, by_ready, machines, zeros), dtype=np.int64
    )


_inner = compiled(place_by_key)
place_compiled = compiled(_place_by_key)
"""`place_by_key`, compiled, on arrays."""


@compiled
def place_at_random(
    first: Int[np.ndarray, " jobs+1"],
    machine: Int[np.ndarray, " ops"],
    duration: Int[np.ndarray, " ops"],
    release: Int[np.ndarray, " jobs"],
    weight: Float[np.ndarray, " ops"],
    left: Float[np.ndarray, " ops"],
    room: Int[np.ndarray, " machines+1"],
    rng: np.random.Generator,
    starts: Int[np.ndarray, " ops"],
) -> np.int64:
    """Build a schedule in which a machine that is free draws among the jobs that wait for it.

    Machines that draw at the same time do not take jobs from each other, so this is the draw among
    all jobs that can begin.

    Args:
        first: (jobs + 1,) where each job's operations begin.
        machine: (ops,) machine of each operation.
        duration: (ops,) ticks.
        release: (jobs,) ticks.
        weight: (ops,) a job is drawn in proportion to the weight of its next operation.
        left: (ops,) where the weights of all jobs that wait are 0, the largest of these is taken.
        room: (machines + 1,) sums of the numbers of the machines' operations.
        rng: The random stream; one number for each operation.
        starts: (ops,) is filled with the starts, in ticks.

    Returns:
        The makespan in ticks.
    """
    jobs = len(first) - 1
    following = first[:-1].copy()
    waiting = np.empty(len(machine), np.int64)
    count = np.zeros(len(room) - 1, np.int64)
    free = np.zeros(len(room) - 1, np.int64)
    events = [(np.int64(0), np.int64(0)) for _ in range(0)]
    for i in range(jobs):
        heappush(events, (release[i], np.int64(i)))
    touched = [np.int64(0) for _ in range(0)]
    makespan = np.int64(0)
    while len(events) > 0:
        t = events[0][0]
        while len(events) > 0 and events[0][0] == t:
            j = heappop(events)[1]
            o = following[j]
            if o > first[j]:
                touched.append(machine[o - 1])
            if o < first[j + 1]:
                m = machine[o]
                waiting[room[m] + count[m]] = j
                count[m] += 1
                touched.append(m)
        while len(touched) > 0:
            m = touched.pop()
            if count[m] == 0 or free[m] > t:
                continue
            total = 0.0
            for k in range(room[m], room[m] + count[m]):
                total += weight[following[waiting[k]]]
            mark = rng.random() * total
            chosen = room[m]
            if total == 0:
                for k in range(room[m], room[m] + count[m]):
                    if left[following[waiting[k]]] > left[following[waiting[chosen]]]:
                        chosen = k
            else:
                for k in range(room[m], room[m] + count[m]):
                    mark -= weight[following[waiting[k]]]
                    chosen = k
                    if mark < 0:
                        break
            j = waiting[chosen]
            count[m] -= 1
            waiting[chosen] = waiting[room[m] + count[m]]
            o = following[j]
            starts[o] = t
            free[m] = t + duration[o]
            makespan = max(makespan, free[m])
            following[j] = o + 1
            heappush(events, (free[m], j))
            if duration[o] == 0:
                touched.append(m)
    return makespan


@compiled
def shift_left(
    order: Int[np.ndarray, " k"],
    job: Int[np.ndarray, " ops"],
    machine: Int[np.ndarray, " ops"],
    duration: Int[np.ndarray, " ops"],
    low: Int[np.ndarray, " ops"],
    machines: int,
    jobs: int,
) -> Int[np.ndarray, " ops"]:
    """Begin every operation as early as the order on its machine and in its job lets it.

    Args:
        order: (ops,) the operations in an order that keeps that of each job.
        job: (ops,) job of each operation.
        machine: (ops,) its machine.
        duration: (ops,) ticks.
        low: (ops,) no operation begins before it.
        machines: Number of machines.
        jobs: Number of jobs.

    Returns:
        (ops,) starts: the longest paths to the operations from the bounds.
    """
    ready, free = np.zeros(jobs, np.int64), np.zeros(machines, np.int64)
    starts = np.empty(len(order), np.int64)
    for o in order:
        at = max(ready[job[o]], free[machine[o]])
        at = max(at, low[o])
        starts[o] = at
        ready[job[o]] = free[machine[o]] = at + duration[o]
    return starts
