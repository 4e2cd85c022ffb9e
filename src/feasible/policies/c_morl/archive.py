"""The policies that are kept: what nothing dominates, and which of them are extended next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from .members import Members
from .metrics import crowding_distance, pareto_filter

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(slots=True)
class Archive:
    """The buffer B and what was selected from it.

    Attributes:
        members: The policies, with what their training goes on from.
        points: (k, n) what each was measured to be worth.
        selected: (s, n) vectors that a round began from.
    """

    members: Members
    points: Float[np.ndarray, "k n"]
    selected: Float[np.ndarray, "s n"]

    def add(
        self, members: Members, points: Float[np.ndarray, "m n"], most: int, reference: np.ndarray
    ) -> None:
        """Take candidates in, and keep what nothing dominates and the reference point does not
        exceed: of more than `most`, those that are least crowded.
        """
        table = np.concatenate([self.points, points])
        kept = pareto_filter(table, reference)
        if len(kept) > most:
            far = np.argsort(-crowding_distance(table[kept]), kind="stable")[:most]
            kept = kept[np.sort(far)]
        index = torch.as_tensor(kept)
        old, new = index[index < len(self.points)], index[index >= len(self.points)]
        fresh = members.take(new - len(self.points))
        self.members = Members.joined(self.members.take(old), fresh)
        self.points = table[kept]

    def select(self, most: int) -> Int[np.ndarray, " s"]:
        """The least crowded policies whose vectors were not selected before; where there are none
        left, all may be selected again.
        """
        order = np.argsort(-crowding_distance(self.points), kind="stable")
        if len(self.points) and not self._fresh(order).any():
            self.selected = self.selected[:0]
        chosen = order[self._fresh(order)][:most]
        self.selected = np.concatenate([self.selected, self.points[chosen]])
        return chosen

    def _fresh(self, order: Int[np.ndarray, " k"]) -> np.ndarray:
        """(k,) True where a vector was not selected before."""
        rows = self.points[order]
        same = (rows[:, None] == self.selected[None]).all(axis=-1)
        fresh: np.ndarray = ~same.any(axis=1)
        return fresh
