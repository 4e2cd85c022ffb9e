"""The sweeps over a graph: ancestors, descendants, and feedback from the output down. They take
whatever has `parents`, `level`, `serial` and `operation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Protocol

from ...core.checks import shown
from ...core.errors import ArgumentError


class AlreadyBackward(ArgumentError):
    """Feedback went through this node before, and the graph was not retained."""


class FeedbackConflict(ArgumentError):
    """Two different feedbacks meet at a parameter."""


def ancestors(output: Any) -> list[Any]:
    """A node and all that it depends on, each once, the deepest level first."""
    seen, stack = {id(output)}, [output]
    levels: list[list[Any]] = [[] for _ in range(output.level + 1)]
    while stack:
        v = stack.pop()
        levels[v.level].append(v)
        for parent in v.parents:
            if id(parent) not in seen:
                seen.add(id(parent))
                stack.append(parent)
    return [v for level in reversed(levels) for v in sorted(level, key=_serial)]


_serial = attrgetter("serial")
"""The order within a level: that in which nodes were made."""


class Propagator(Protocol):
    """Feedback that is passed from node to node."""

    def start(self, feedback: Any) -> Any:
        """What the output receives."""

    def merge(self, one: Any, other: Any) -> Any:
        """What a node makes of what two children send it."""

    def parents(self, v: Any, total: Any) -> Sequence[Any]:
        """What each parent of a node receives, in their order; None where nothing."""


def propagate(
    output: Any, feedback: Any, propagator: Propagator, wanted: Iterable[Any] | None = None
) -> dict[int, Any]:
    """What each node receives, by the id of the node.

    Args:
        output: Where the feedback is on.
        feedback: For the output.
        propagator: How it is passed on.
        wanted: Only nodes that depend on these pass it on; None for all.
    """
    order = ancestors(output)
    on_the_way = {id(v) for v in order} if wanted is None else descendants(order, wanted)
    total: dict[int, Any] = {id(output): propagator.start(feedback)}
    for v in order:
        if v.operation is None or id(v) not in total or id(v) not in on_the_way:
            continue
        for parent, part in zip(v.parents, propagator.parents(v, total[id(v)]), strict=True):
            if part is not None:
                known = total.get(id(parent))
                total[id(parent)] = part if known is None else propagator.merge(known, part)
    return total


def descendants(order: Sequence[Any], roots: Iterable[Any]) -> set[int]:
    """The ids of those of some nodes, the deepest first, that depend on one of the roots, and the
    roots' own.
    """
    found = {id(p) for p in roots}
    for v in reversed(order):
        for p in v.parents:
            if id(p) in found:
                found.add(id(v))
                break
    return found


def send(output: Any, feedback: Any, retain_graph: bool, propagator: Propagator | None) -> None:
    """Give feedback to the trainable nodes that an output depends on; see `Node.backward`."""
    if output.backwarded:
        raise AlreadyBackward(
            f"{output.name} has sent its feedback before: expected backward(retain_graph=True) "
            "there, or a new output"
        )
    order = ancestors(output)
    found: list[Any] = [v for v in order if v.trainable]
    if propagator is None:
        for p in found:
            for _, known in p.received:
                if type(known) is not type(feedback) or known != feedback:
                    raise FeedbackConflict(
                        f"feedback={shown(feedback)}: {p.name} has {shown(known)} of another "
                        "output; expected the same, or zero_feedback() before"
                    )
        for p in found:
            if not any(of is output for of, _ in p.received):
                p.received.append((output, feedback))
    else:
        total = propagate(output, feedback, propagator, found)
        for p in found:
            if id(p) in total:
                p.received.append((None, total[id(p)]))
    if not retain_graph:
        for v in order:
            v.backwarded = v.operation is not None
