"""Rule: what an event does to a node's state, the same in every engine.

A node holds some vectors of d numbers. Between events they flow by a differential equation of the
node's own; a gradient, and an exchange of one vector each way, make them jump. A rule changes one
node's state at a time and is told who it is, so that nodes may live in different processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from .events import EXCHANGE, GRADIENT, EventLog
from .objectives import LocalObjectives

if TYPE_CHECKING:
    from jaxtyping import Float


class Rule(ABC):
    """An asynchronous method.

    Attributes:
        objectives: What the nodes know.
    """

    objectives: LocalObjectives

    @abstractmethod
    def begin(self, x0: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n w d"]:
        """Return the states at time 0."""

    @abstractmethod
    def flow(self, i: int, S: Float[np.ndarray, "w d"], dt: float) -> None:
        """Let a node's state flow for dt, in place."""

    def gradient(self, i: int, S: Float[np.ndarray, "w d"], seed: int) -> None:
        """Let a node take a gradient, in place; for rules whose schedules have gradients."""
        raise TypeError(f"{type(self).__name__} does not define gradient(i, S, seed)")

    @abstractmethod
    def message(self, i: int, S: Float[np.ndarray, "w d"]) -> Float[np.ndarray, " d"]:
        """Return what a node sends. May keep in S what computing it found."""

    @abstractmethod
    def exchange(
        self,
        i: int,
        S: Float[np.ndarray, "w d"],
        mine: Float[np.ndarray, " d"],
        theirs: Float[np.ndarray, " d"],
        edge: int,
    ) -> None:
        """Let a node take in what came over an edge, in place."""

    def answer(self, S: Float[np.ndarray, "n w d"]) -> Float[np.ndarray, "n d"]:
        """Return the copies that states at one time stand for."""
        return S[:, 0].copy()

    def play(
        self, S: Float[np.ndarray, "n w d"], clocks: Float[np.ndarray, " n"], log: EventLog
    ) -> None:
        """Play events in order, in place, and move the nodes' clocks."""
        columns = (log.t, log.kind, log.i, log.j, log.edge, log.batch)
        for t, kind, i, j, edge, seed in zip(*(c.tolist() for c in columns), strict=True):
            if kind == GRADIENT:
                self.play_gradient(S, clocks, t, i, seed)
            elif kind == EXCHANGE:
                self.play_exchange(S, clocks, t, i, j, edge)

    def play_gradient(
        self,
        S: Float[np.ndarray, "n w d"],
        clocks: Float[np.ndarray, " n"],
        t: float,
        i: int,
        seed: int,
    ) -> None:
        """Let node i flow to time t and take a gradient."""
        self.advance(i, S, clocks, t)
        self.gradient(i, S[i], seed)

    def play_exchange(
        self,
        S: Float[np.ndarray, "n w d"],
        clocks: Float[np.ndarray, " n"],
        t: float,
        i: int,
        j: int,
        edge: int,
    ) -> None:
        """Let both ends of an edge flow to time t and exchange."""
        self.advance(i, S, clocks, t)
        self.advance(j, S, clocks, t)
        mine, theirs = self.message(i, S[i]), self.message(j, S[j])
        self.exchange(i, S[i], mine, theirs, edge)
        self.exchange(j, S[j], theirs, mine, edge)

    def advance(
        self, i: int, S: Float[np.ndarray, "n w d"], clocks: Float[np.ndarray, " n"], t: float
    ) -> None:
        """Let node i flow to time t."""
        self.flow(i, S[i], t - clocks[i])
        clocks[i] = t

    def copies(
        self, S: Float[np.ndarray, "n w d"], clocks: Float[np.ndarray, " n"], t: float
    ) -> Float[np.ndarray, "n d"]:
        """Return every node's copy at one time; the states stay as they are."""
        S, clocks = S.copy(), clocks.copy()
        for i in range(len(S)):
            self.advance(i, S, clocks, t)
        return self.answer(S)
