"""Observers: whoever watches a run. Their time is not charged and their errors do not touch it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Observers:
    """All observers of a run.

    Args:
        given: Observers, or plain functions of a trail point; one or several.

    Attributes:
        asked: Why one of them wants the run to end, if one does: it raised StopIteration.
        notes: What went wrong in them, one sentence each.
    """

    __slots__ = ("asked", "given", "notes")

    def __init__(self, given: Any, notes: list[str]):
        self.given: tuple[Any, ...] = (
            ()
            if given is None
            else tuple(given)
            if isinstance(given, Iterable) and getattr(given, "shape", None) != ()
            else (given,)
        )
        self.asked: str | None = None
        self.notes = notes

    def hear(self, event: str) -> bool:
        """Return whether one of them hears of this event."""
        return any(hasattr(observer, event) for observer in self.given)

    def tell(self, event: str, run: object, *payload: Any) -> None:
        """Tell every observer; a plain function is called with each trail point."""
        for observer in self.given:
            try:
                if hasattr(observer, event):
                    getattr(observer, event)(run, *payload)
                elif event == "on_point" and callable(observer):
                    observer(payload[0])
            except StopIteration:
                self.asked = "an observer asked to stop"
            except Exception as error:
                note = f"observer {type(observer).__name__} failed: {type(error).__name__}: {error}"
                if note not in self.notes:
                    self.notes.append(note)
