"""What a process has read of a study's experiments. It is kept from one ask to the next, so that
asking reads what is new, not what there is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import sqlalchemy as sa

from ..core.ledger import ABANDONED, CHECKED, DONE, FAILED, INFEASIBLE, PENDING
from .rows import RunRow
from .schema import IS_OPEN, evaluations
from .store import Store

OPEN = (PENDING, CHECKED)
ENDED = (DONE, INFEASIBLE, FAILED)


class Known:
    """The points and states of a study's experiments, by row.

    Args:
        store: Where the study is.
        run: Its number.

    Attributes:
        texts: Each point as it is stored.
        open: The rows whose experiments are out.
    """

    def __init__(self, store: Store, run: int):
        self._store, self._run = store, run
        self._forget()

    def _forget(self) -> None:
        """Begin anew."""
        self._fence = 0
        self.texts: list[str] = []
        self._place: dict[int, int] = {}
        self._next = 0
        self.open: set[int] = set()
        self._points = np.empty((0, 0))
        self._status = np.zeros(0, dtype=np.int8)
        self._ended: dict[str, int] = {}
        self._told = 0

    def refresh(self, study: RunRow) -> Known:
        """Read what changed: rows that are new, were told since, or are out.

        Args:
            study: As stored before; what is told later is read again at the next call.
        """
        if study.fence != self._fence:  # experiments were deleted
            self._forget()
            self._fence = study.fence
        columns = (evaluations.c.row, evaluations.c.x, evaluations.c.status)
        mine = sa.select(*columns).where(evaluations.c.run == self._run)
        out = mine.where(IS_OPEN)
        told = mine.where(evaluations.c.told > self._told)
        new = mine.where(evaluations.c.row >= self._next)
        changed = (out, told, new) if self._next else (new,)
        with self._store.read() as connection:
            found = {r.row: r for r in connection.execute(sa.union_all(*changed))}
        for row in sorted(found):
            if not self._take(row, found[row].x, found[row].status):
                self._forget()
                return self.refresh(study)
        self._told = study.told
        return self

    def _take(self, row: int, text: str, status: int) -> bool:
        """Take a row; False where a point that ended is another one now."""
        at = self._place.get(row)
        if at is None:
            at = self._place[row] = self._append(text)
            self._next = max(self._next, row + 1)
        elif self.texts[at] != text:
            if self._ended.get(self.texts[at]) == row:
                return False
            self.texts[at], self._points[at] = text, json.loads(text)
        elif self._ended.get(text) == row and status not in ENDED:
            return False
        self._status[at] = status
        (self.open.add if status in OPEN else self.open.discard)(row)
        if status in ENDED:
            self._ended.setdefault(text, row)
        return True

    def _append(self, text: str) -> int:
        """Make room for a point, and return its place."""
        point, at = json.loads(text), len(self.texts)
        if at == len(self._status):
            points = np.empty((max(64, 2 * at), len(point)))
            if at:
                points[:at] = self._points
            self._points, self._status = points, np.resize(self._status, len(points))
        self.texts.append(text)
        self._points[at] = point
        return at

    def ended_at(self, text: str) -> int | None:
        """Return a row whose experiment ended at a point as it is stored, None without one."""
        return self._ended.get(text)

    def waiting(self) -> Iterator[str]:
        """Yield the points that are out, as they are stored."""
        return (self.texts[self._place[row]] for row in self.open)

    def taken(self) -> np.ndarray:
        """Return the points of experiments that ended or are out, in the order of their rows."""
        n = len(self.texts)
        return self._points[:n][self._status[:n] != ABANDONED]

    def tried(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the same points, which of them failed, and which worked."""
        status = self._status[: len(self.texts)]
        status = status[status != ABANDONED]
        return self.taken(), status == FAILED, (status == DONE) | (status == INFEASIBLE)
