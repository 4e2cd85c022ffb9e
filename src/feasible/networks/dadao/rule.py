"""DADAO as a rule: what each event does to a node's six vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..events import EventLog
from ..objectives import DataObjectives, LocalObjectives
from ..rules import Rule
from . import compiled

if TYPE_CHECKING:
    from jaxtyping import Float


class DADAORule(Rule):
    """The events of DADAO.

    Args:
        objectives: What the nodes know.
        constants: See `settings.constants`.
        batch: Rows of data that a gradient draws; 0: all.
    """

    def __init__(
        self, objectives: LocalObjectives, constants: Float[np.ndarray, " 14"], batch: int = 0
    ):
        self.objectives, self.constants, self.batch = objectives, constants, batch

    def begin(self, x0: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n 6 d"]:
        """Return x = x0 at every node, and 0 for the rest."""
        S = np.zeros((self.objectives.n, 6, self.objectives.d))
        S[:, 0] = x0
        return S

    def flow(self, i: int, S: Float[np.ndarray, "6 d"], dt: float) -> None:
        """Let a node's state flow for dt, in place."""
        compiled.flow(S, dt, self.constants)

    def gradient(self, i: int, S: Float[np.ndarray, "6 d"], seed: int) -> None:
        """Let a node take a gradient at its x, in place."""
        found = self.objectives.gradient(i, S[0], self.batch, seed)
        compiled.jump_gradient(S, found, self.constants)

    def message(self, i: int, S: Float[np.ndarray, "6 d"]) -> Float[np.ndarray, " d"]:
        """Return y + z."""
        out = np.empty(S.shape[1])
        compiled.message(S, out)
        return out

    def exchange(
        self,
        i: int,
        S: Float[np.ndarray, "6 d"],
        mine: Float[np.ndarray, " d"],
        theirs: Float[np.ndarray, " d"],
        edge: int,
    ) -> None:
        """Let z and z~ jump, in place."""
        compiled.jump_exchange(S, mine, theirs, self.constants)

    def play(
        self, S: Float[np.ndarray, "n 6 d"], clocks: Float[np.ndarray, " n"], log: EventLog
    ) -> None:
        """Play events in order: compiled where the objectives are known by their data."""
        o = self.objectives
        if not isinstance(o, DataObjectives):
            super().play(S, clocks, log)
            return
        compiled.play(
            *(S, clocks, log.t, log.kind, log.i, log.j, log.batch, self.constants),
            *(o.family, o.data, o.sides, o.starts, o.ridge, self.batch),
        )

    def copies(
        self, S: Float[np.ndarray, "n 6 d"], clocks: Float[np.ndarray, " n"], t: float
    ) -> Float[np.ndarray, "n d"]:
        """Return every node's copy at one time; the states stay as they are."""
        S, clocks = S.copy(), clocks.copy()
        compiled.advance(S, clocks, t, self.constants)
        return self.answer(S)
