"""Where events are played: in this process, in local ones, or on Ray. All give the same bits."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

from ...core.errors import ArgumentError
from ..events import EventLog
from ..live import LiveNode, run
from ..parts import Work
from ..rules import Rule

ENGINES = ("simulate", "processes", "ray")


def play(engine: str, work: Work) -> None:
    """Play events in place.

    Args:
        engine: Of ENGINES.
        work: The events, and who plays them.

    Raises:
        NodeLost: A worker died or did not answer; names its nodes.
        NodeFailed: A node's function raised, or returned no gradient.
        MissingExtra: Ray is not installed.
    """
    if engine == "processes":
        from ..processes import play as play_on_processes

        play_on_processes(work)
    elif engine == "ray":
        from ..peers.ray import play as play_on_ray

        play_on_ray(work)
    else:
        work.rule.play(work.S, work.clocks, work.log)


def live(
    engine: str,
    rule: Rule,
    nodes: Sequence[LiveNode],
    labels: Sequence[Hashable],
    deadline: float,
    first: int = 0,
    folder: Path | None = None,
) -> tuple[EventLog, list[int]]:
    """Let nodes live, on processes or on Ray; see `live.run`.

    Returns:
        The log, and the rows of the nodes that were lost.

    Raises:
        ArgumentError: The engine is the simulation.
        NodeLost: All nodes died.
        NodeFailed: A node's function raised, or returned no gradient.
    """
    if engine == "processes":
        from ..live_processes import live_on_processes as live_there
    elif engine == "ray":
        from ..peers.ray_live import live_on_ray as live_there
    else:
        raise ArgumentError(f"live=True: engine={engine!r}, expected 'processes' or 'ray'")
    log, _, lost = run(live_there, rule, nodes, labels, deadline, first=first, folder=folder)
    return log, lost
