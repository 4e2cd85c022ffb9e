"""Conditions: how fast the nodes of a simulated network are, and when messages are late or lost."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.annotations import Checked
from ..core.checks import fraction, real
from ..core.errors import ArgumentError
from .graph import Network

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Conditions(Checked):
    """What a simulated network is like. A unit of time is one gradient of a node of speed 1.

    Attributes:
        speed: Gradients a unit of time: a number, or by label (1 where a node is not named), so
            that stragglers are below 1.
        delay: Units of time for which an exchange keeps both ends from another one: a number, or by
            edge (0 where one is not named).
        absent: (label, from, to): the node is away, and takes part in nothing.
        loss: Chance that an exchange is lost on its way; it is paid for and changes nothing. Rounds
            send it again, which takes another delay and is not charged as a message.

    Raises:
        ArgumentError: A speed that is not positive, a delay that is negative, a chance outside
            [0, 1), or times that cross.

    Example:
        >>> Conditions(speed={"slow": 0.1}, absent=[("b", 5, 20)]).loss
        0.0
    """

    speed: float | Mapping[Hashable, float] = 1.0
    delay: float | Mapping[tuple[Hashable, Hashable], float] = 0.0
    absent: Sequence[tuple[Any, float, float]] = ()
    loss: float = 0.0

    def __post_init__(self) -> None:
        values = self.speed.values() if isinstance(self.speed, Mapping) else [self.speed]
        for value in values:
            real("speed", value, above=0)
        values = self.delay.values() if isinstance(self.delay, Mapping) else [self.delay]
        for value in values:
            real("delay", value, least=0)
        for row in self.absent:
            real("absent", row[2], least=real("absent", row[1], least=0), infinite=True)
        fraction("loss", self.loss, one=False)

    def speeds(self, network: Network) -> Float[np.ndarray, " n"]:
        """(n,) speed by row. Raises ArgumentError where a label is no node."""
        if not isinstance(self.speed, Mapping):
            return np.full(network.n, float(self.speed))
        found = np.ones(network.n)
        for label, value in self.speed.items():
            found[_row(network, "speed", label)] = value
        return found

    def delays(self, network: Network) -> Float[np.ndarray, " m"]:
        """(m,) delay by edge. Raises ArgumentError where one is no edge."""
        if not isinstance(self.delay, Mapping):
            return np.full(network.m, float(self.delay))
        found = np.zeros(network.m)
        for (u, v), value in self.delay.items():
            found[network.number((u, v), "delay")] = value
        return found

    def absences(self, network: Network) -> Float[np.ndarray, "k 3"]:
        """(k, 3) rows of (row, from, to). Raises ArgumentError where a label is no node."""
        rows = [(_row(network, "absent", u), start, end) for u, start, end in self.absent]
        return np.array(rows, dtype=float).reshape(-1, 3)

    def back(self, network: Network, t: float) -> float:
        """Return when all nodes are there, at t or later."""
        for _, start, end in sorted(self.absences(network).tolist(), key=lambda row: row[1]):
            if start <= t < end:
                t = end
        return t


def _row(network: Network, name: str, label: Hashable) -> int:
    """Return a node's row."""
    if label not in network.row:
        raise ArgumentError(f"{name} names {label!r}, which is no node of the graph")
    return network.row[label]
