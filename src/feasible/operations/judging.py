"""Which rules of a shop a schedule breaks, and a bound that needs no solver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from .routes import Routes


class Shop(Protocol):
    """What is read of a `JobShop`."""

    routes: Routes
    exact: np.ndarray
    release: np.ndarray
    due: np.ndarray
    jobs: Sequence[str]

    def operation(self, k: int) -> str:
        """Name an operation."""


NAMED = 20
"""Most pairs of operations that are named for one rule."""


def broken(shop: Shop, starts: Float[np.ndarray, " ops"], slack: float) -> dict[str, float]:
    """Return the violations of a schedule, in the unit of the durations.

    Args:
        shop: The shop.
        starts: (ops,) in that unit; NaN or infinite where an operation was not placed.
        slack: Violations up to this are those of floats, and 0.

    Returns:
        The largest of each rule by the rule's name; before it, the pairs that break it, most first.
    """
    routes = shop.routes
    placed = np.isfinite(starts)
    at = np.where(placed, starts, np.nan)
    ends = at + shop.exact
    inner = np.flatnonzero(np.diff(routes.job) == 0)  # operations with a successor in their job
    first, last = routes.first[:-1], routes.last
    found: dict[str, float] = {}

    def rule(name: str, amounts: np.ndarray, words: Callable[[int], str]) -> None:
        """Keep what one rule's amounts say."""
        amounts = np.nan_to_num(amounts)
        amounts = np.where(amounts > slack, amounts, 0.0)
        order = np.argsort(-amounts, kind="stable")[:NAMED]
        found.update(
            {f"{name}: {words(int(k))}": float(amounts[k]) for k in order if amounts[k] > 0}
        )
        found[name] = float(amounts.max(initial=0.0))

    def pair(one: np.ndarray, other: np.ndarray) -> Callable[[int], str]:
        return lambda k: f"{shop.operation(int(one[k]))} and {shop.operation(int(other[k]))}"

    def job(k: int) -> str:
        return f"job {shop.jobs[k]}"

    rule("precedence", ends[inner] - at[inner + 1], pair(inner, inner + 1))
    a, b, over = _overlaps(routes, at, ends)
    rule("overlap", over, pair(a, b))
    rule("release", shop.release - at[first], job)
    if np.isfinite(shop.due).any():
        rule("due", ends[last] - shop.due, job)
    missing = float(shop.exact[~placed].sum())
    found["incomplete"] = missing if placed.all() else max(missing, float((~placed).sum()))
    return found


def _overlaps(
    routes: Routes, at: Float[np.ndarray, " ops"], ends: Float[np.ndarray, " ops"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, of the operations of each machine in the order of their starts, each with the one
    before it that ends last, and by how much that one ends too late.
    """
    order = np.lexsort((ends, at, routes.machine))
    order = order[np.isfinite(at[order])]
    before, after, over = [], [], []
    cuts = np.flatnonzero(np.diff(routes.machine[order])) + 1
    for row in np.split(order, cuts):
        if len(row) < 2:
            continue
        reach = np.maximum.accumulate(ends[row])[:-1]
        longest = ends[row] >= np.maximum.accumulate(ends[row])
        holder = np.maximum.accumulate(np.where(longest, np.arange(len(row)), 0))[:-1]
        before.append(row[holder])
        after.append(row[1:])
        over.append(reach - at[row[1:]])
    if not over:
        empty = np.empty(0, dtype=np.int64)
        return empty, empty, np.empty(0)
    return np.concatenate(before), np.concatenate(after), np.concatenate(over)


def lower_bound(
    routes: Routes, durations: Float[np.ndarray, " ops"], release: Float[np.ndarray, " jobs"]
) -> float:
    """The larger of the longest job, and over machines of the shortest way to one of its
    operations, the work on it and the shortest way from one of them to its job's end.
    """
    total = np.cumsum(durations)
    begin = np.concatenate([[0.0], total])[routes.first[:-1]]
    done = total - durations - begin[routes.job]  # work before each operation in its job
    length = np.add.reduceat(durations, routes.first[:-1])
    head = release[routes.job] + done
    tail = length[routes.job] - done - durations
    m = len(routes.names)
    load = np.bincount(routes.machine, durations, minlength=m)
    early, late = np.full(m, np.inf), np.full(m, np.inf)
    np.minimum.at(early, routes.machine, head)
    np.minimum.at(late, routes.machine, tail)
    used = load > 0
    machine = (early + load + late)[used].max(initial=0.0)
    return float(max((release + length).max(), machine))
