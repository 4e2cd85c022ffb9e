"""The scheduling environment, compiled: many copies in step.

The paper's environment is a constraint model in which a propagator keeps a lower bound lb[j, o] of
every start. As operations are fixed in the order of time, the fixpoint of that propagation is

    lb[j, k_j]  = max(end of the job's last fixed operation, end of the last operation on its
                      machine, the no-op's bound of the job),
    lb[j, o+1]  = max(lb[j, o] + D[j, o], end of the last operation on its machine),

and the no-op's bound of a job goes when one of its operations is fixed. So no propagator is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

NEVER = np.int64(2**62)
"""The bound of a job that has ended."""
WINDOW = 5
"""W: tokens of a job, from its last fixed operation on."""


class Shops(NamedTuple):
    """Shops with equally many jobs, padded to the longest job.

    Attributes:
        machine: (shops, n, L) machine of each operation.
        duration: (shops, n, L) ticks.
        length: (shops, n) operations of each job.
        release: (shops, n) ticks.
        scale: (shops, 2) mean and standard deviation of the shop's durations.
    """

    machine: Int[np.ndarray, "shops n L"]
    duration: Int[np.ndarray, "shops n L"]
    length: Int[np.ndarray, "shops n"]
    release: Int[np.ndarray, "shops n"]
    scale: Float[np.ndarray, "shops 2"]


class Plays(NamedTuple):
    """Copies of the environment.

    Attributes:
        shop: (B,) which shop each copy plays.
        following: (B, n) k_j, the next operation of each job.
        ready: (B, n) end of each job's last fixed operation.
        bound: (B, n) the no-op's bound of each job; 0 where there is none.
        free: (B, m) end of the last operation on each machine.
        starts: (B, n, L) starts of the fixed operations; -1 elsewhere.
        lower: (B, n) lb of each job's next operation; `NEVER` where the job has ended.
        now: (B,) t, the least of these; `NEVER` where all jobs have ended.
        later: (B,) t', the second smallest distinct one; `NEVER` where there is none.
    """

    shop: Int[np.ndarray, " B"]
    following: Int[np.ndarray, "B n"]
    ready: Int[np.ndarray, "B n"]
    bound: Int[np.ndarray, "B n"]
    free: Int[np.ndarray, "B m"]
    starts: Int[np.ndarray, "B n L"]
    lower: Int[np.ndarray, "B n"]
    now: Int[np.ndarray, " B"]
    later: Int[np.ndarray, " B"]


@compiled
def settle(shops: Shops, plays: Plays, b: int) -> None:
    """Propagate in one copy: the bounds of the next operations, t and t'."""
    i = plays.shop[b]
    now, later = NEVER, NEVER
    for j in range(plays.following.shape[1]):
        o = plays.following[b, j]
        lb = NEVER
        if o < shops.length[i, j]:
            lb = max(plays.ready[b, j], plays.bound[b, j])
            lb = max(lb, plays.free[b, shops.machine[i, j, o]])
        plays.lower[b, j] = lb
        if lb < now:
            now, later = lb, now
        elif now < lb < later:
            later = lb
    plays.now[b] = now
    plays.later[b] = later


@compiled
def fix(shops: Shops, plays: Plays, b: int, j: int) -> None:
    """Action j: begin job j's next operation now."""
    i = plays.shop[b]
    o = plays.following[b, j]
    start = plays.lower[b, j]
    plays.starts[b, j, o] = start
    plays.following[b, j] = o + 1
    end = start + shops.duration[i, j, o]
    plays.ready[b, j] = end
    plays.free[b, shops.machine[i, j, o]] = end
    plays.bound[b, j] = 0


@compiled
def wait(plays: Plays, b: int) -> None:
    """The no-op: no next operation begins before t'."""
    for j in range(plays.following.shape[1]):
        plays.bound[b, j] = max(plays.bound[b, j], plays.later[b])


@compiled
def play(
    shops: Shops,
    plays: Plays,
    orders: Int[np.ndarray, "B n+1"],
    done: Int[np.ndarray, "B n+1"],
    count: Int[np.ndarray, " B"],
) -> None:
    """Execute an ordered list of actions in every copy that has not ended.

    Of the list the actions that are still legal are executed in order until time changes.

    Args:
        shops: The shops.
        plays: The copies, changed in place.
        orders: (B, n + 1) actions in order: a job's number, n for the no-op, -1 for none.
        done: (B, n + 1) is filled with the executed actions.
        count: (B,) is filled with their number.
    """
    n = plays.following.shape[1]
    for b in range(len(plays.now)):
        count[b] = 0
        t = plays.now[b]
        if t == NEVER:
            continue
        for a in orders[b]:
            if a < 0:
                continue
            if a == n:
                if plays.later[b] == NEVER:
                    continue
                wait(plays, b)
            elif plays.lower[b, a] == t:
                fix(shops, plays, b, a)
            else:
                continue
            done[b, count[b]] = a
            count[b] += 1
            settle(shops, plays, b)
            if plays.now[b] != t:
                break


@compiled
def finish(shops: Shops, plays: Plays, b: int) -> None:
    """Play one copy to its end: always the job with the most work left."""
    i = plays.shop[b]
    n = plays.following.shape[1]
    left = np.zeros(n, np.int64)
    for j in range(n):
        for o in range(plays.following[b, j], shops.length[i, j]):
            left[j] += shops.duration[i, j, o]
    while plays.now[b] != NEVER:
        best = -1
        for j in range(n):
            if plays.lower[b, j] == plays.now[b] and (best < 0 or left[j] > left[best]):
                best = j
        left[best] -= shops.duration[i, best, plays.following[b, best]]
        fix(shops, plays, b, best)
        settle(shops, plays, b)


@compiled
def observe(
    shops: Shops,
    plays: Plays,
    features: Float[np.ndarray, "B n W 4"],
    kind: Int[np.ndarray, "B n W"],
    place: Int[np.ndarray, "B n W"],
    hidden: Bool[np.ndarray, "B n W"],
    group: Int[np.ndarray, "B n"],
    legal: Bool[np.ndarray, "B n+1"],
) -> None:
    """Fill in what the network sees of each copy.

    Args:
        shops: The shops.
        plays: The copies.
        features: (B, n, W, 4) fixed, lb, duration, legal now; lb standardised over the copy's real
            tokens, durations by the shop's scale.
        kind: (B, n, W) 0 an operation, 1 START, 2 END.
        place: (B, n, W) number of the operation in its job, one more while some job has not begun.
        hidden: (B, n, W) every END after the first.
        group: (B, n) the machine of a legal next operation; -1 - j where job j is not legal.
        legal: (B, n + 1) the action mask, the no-op last.
    """
    n, width = features.shape[1], features.shape[2]
    for b in range(len(plays.now)):
        i = plays.shop[b]
        shift = 0
        total, squares, real = 0.0, 0.0, 0
        for j in range(n):
            if plays.following[b, j] == 0:
                shift = 1
        for j in range(n):
            k = plays.following[b, j]
            now = plays.lower[b, j] == plays.now[b] and plays.now[b] != NEVER
            legal[b, j] = now
            group[b, j] = shops.machine[i, j, k] if now else -1 - j
            ended = False
            lb = 0
            for w in range(width):
                o = k - 1 + w
                features[b, j, w] = 0.0
                kind[b, j, w] = 0
                hidden[b, j, w] = False
                place[b, j, w] = 0
                if o < 0:
                    kind[b, j, w] = 1
                    continue
                if o >= shops.length[i, j]:
                    kind[b, j, w] = 2
                    hidden[b, j, w] = ended
                    ended = True
                    continue
                if o < k:
                    lb = plays.starts[b, j, o]
                    features[b, j, w, 0] = 1.0
                elif o == k:
                    lb = plays.lower[b, j]
                    features[b, j, w, 3] = 1.0 if now else 0.0
                else:
                    before = lb + shops.duration[i, j, o - 1]
                    lb = max(before, plays.free[b, shops.machine[i, j, o]])
                place[b, j, w] = o + shift
                features[b, j, w, 1] = lb
                taken = shops.duration[i, j, o]
                features[b, j, w, 2] = (taken - shops.scale[i, 0]) / (shops.scale[i, 1] + 1e-8)
                total += lb
                real += 1
        legal[b, n] = plays.later[b] != NEVER
        mean = total / max(real, 1)
        for j in range(n):
            for w in range(width):
                if kind[b, j, w] == 0:
                    squares += (features[b, j, w, 1] - mean) ** 2
        spread = np.sqrt(squares / max(real, 1)) + 1e-8
        for j in range(n):
            for w in range(width):
                if kind[b, j, w] == 0:
                    features[b, j, w, 1] = (features[b, j, w, 1] - mean) / spread
