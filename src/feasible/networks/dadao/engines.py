"""Where events are played: in this process, in local ones, or on Ray. All give the same bits."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from ...core.errors import ArgumentError
from ..events import EventLog
from ..live import LiveNode
from ..processes import DEADLINE
from ..rules import Rule

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

ENGINES = ("simulate", "processes", "ray")


def play(
    engine: str,
    rule: Rule,
    S: Float[np.ndarray, "n w d"],
    clocks: Float[np.ndarray, " n"],
    log: EventLog,
    nodes: Sequence[Hashable],
    workers: int,
    deadline: float = DEADLINE,
) -> None:
    """Play events in place.

    Args:
        engine: Of ENGINES.
        rule: What events do.
        S: (n, w, d) states.
        clocks: (n,) the nodes' times.
        log: Events in order.
        nodes: Labels by row, for messages.
        workers: Processes or actors.
        deadline: Seconds after which a worker that does not answer counts as lost.

    Raises:
        NodeLost: A worker died or did not answer; names its nodes.
        NodeFailed: A node's function raised, or returned no gradient.
        MissingExtra: Ray is not installed.
    """
    if engine == "processes":
        from ..processes import play as play_on_processes

        play_on_processes(rule, S, clocks, log, nodes, workers, deadline)
    elif engine == "ray":
        from ..peers.ray import play as play_on_ray

        play_on_ray(rule, S, clocks, log, nodes, workers, deadline)
    else:
        rule.play(S, clocks, log)


def live(
    engine: str,
    rule: Rule,
    nodes: Sequence[LiveNode],
    labels: Sequence[Hashable],
    deadline: float,
    first: int = 0,
) -> tuple[EventLog, list[int]]:
    """Let nodes live, on processes or on Ray; see `live_processes.run`.

    Returns:
        The log, and the rows of the nodes that were lost.

    Raises:
        ArgumentError: The engine is the simulation.
        NodeLost: All nodes died.
        NodeFailed: A node's function raised, or returned no gradient.
    """
    if engine == "processes":
        from ..live_processes import run as run_on_processes

        log, _, lost = run_on_processes(rule, nodes, labels, deadline, first=first)
    elif engine == "ray":
        from ..peers.ray_live import run as run_on_ray

        log, _, lost = run_on_ray(rule, nodes, labels, deadline, first=first)
    else:
        raise ArgumentError(f"live=True: engine={engine!r}, expected 'processes' or 'ray'")
    return log, lost
