"""A race in the store: begun once, whoever begins it, and gone on with as it began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import ArgumentError, StoreError
from ..core.threads import DEFAULT as THREADS
from .store import Store


def find_or_create(
    store: Store, name: str | None, spec: Mapping[str, Any]
) -> tuple[int, str, dict[str, Any] | None]:
    """Return (id, name, the stored race if it was there already), also where two processes begin
    the same race at once.
    """
    found = store.find_race(name) if name is not None else None
    if found is None:
        try:
            return (*store.create_race(name, spec), None)
        except StoreError:
            found = None if name is None else store.find_race(name)
            if found is None:
                raise
    return found["id"], found["name"], found


def check_same_race(
    name: str | None, spec: Mapping[str, Any], began: Mapping[str, Any], threads: int | None
) -> int:
    """Return the threads that a stored race began with. Raises ArgumentError where it is another
    race than the one that is asked for.

    Args:
        name: Of the race.
        spec: The race that is asked for.
        began: The stored one.
        threads: The threads that are asked for; None: as many as it began with.
    """
    for what in ("seeds", "budget", "problems", "methods", "stop_at"):
        mine, its = spec[what], began.get(what, {})
        same = list(mine) == list(its) if what in ("problems", "methods") else mine == its
        if not same:
            raise ArgumentError(
                f"race '{name}' in the store has {what} {its}, got {mine}: give it the same, or "
                "another name"
            )
    had = int(began.get("threads", THREADS))
    if threads not in (None, had):
        raise ArgumentError(
            f"threads={threads}: race '{name}' in the store began with threads={had}: leave it "
            "out, or give another name"
        )
    return had
