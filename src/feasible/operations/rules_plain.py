"""Dispatch by a priority rule, as plain Python that numba can compile."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush


def place_by_key(
    first: Sequence[int],
    machine: Sequence[int],
    duration: Sequence[int],
    release: Sequence[int],
    key: Sequence[int],
    by_ready: bool,
    machines: int,
    zeros: bool,
) -> list[int]:
    """Build the schedule of a priority rule; also runs uncompiled, on lists.

    At the earliest time at which some job's next operation can begin, of the operations that can
    begin then the one with the smallest (key, job) does.

    Args:
        first: (jobs + 1,) where each job's operations begin.
        machine: (ops,) machine of each operation.
        duration: (ops,) ticks.
        release: (jobs,) ticks.
        key: (ops,) priorities, the smallest first; not read where `by_ready`.
        by_ready: The priority is when the job became ready.
        machines: Number of machines.
        zeros: Some operation takes no time.

    Returns:
        (ops,) starts in ticks.
    """
    jobs = len(first) - 1
    starts = [0] * len(machine)
    following = [first[j] for j in range(jobs)]
    free = [0] * machines
    queues = [[(0, 0) for _ in range(0)] for _ in range(machines)]
    events = [(0, 0) for _ in range(0)]  # (when, job): a job is ready for its next operation
    for j in range(jobs):
        heappush(events, (release[j], j))
    marked = [-1] * machines
    touched = [0 for _ in range(0)]
    round_ = -1
    while len(events) > 0:
        t = events[0][0]
        round_ += 1
        while True:
            while len(events) > 0 and events[0][0] == t:
                _, j = heappop(events)
                o = following[j]
                if o > first[j]:
                    left = machine[o - 1]  # it has become free
                    if marked[left] != round_:
                        marked[left] = round_
                        touched.append(left)
                if o < first[j + 1]:
                    m = machine[o]
                    heappush(queues[m], ((t if by_ready else key[o]), j))
                    if marked[m] != round_:
                        marked[m] = round_
                        touched.append(m)
            best = -1
            if zeros:  # what is placed may be over at once: the order among machines matters
                for m in touched:
                    if (
                        len(queues[m]) > 0
                        and free[m] <= t
                        and (best < 0 or queues[m][0] < queues[best][0])
                    ):
                        best = m
            else:
                while len(touched) > 0 and best < 0:
                    m = touched.pop()
                    if len(queues[m]) > 0 and free[m] <= t:
                        best = m
            if best < 0:
                break
            _, j = heappop(queues[best])
            o = following[j]
            starts[o] = t
            end = t + duration[o]
            free[best] = end
            following[j] = o + 1
            heappush(events, (end, j))
        touched.clear()
    return starts
