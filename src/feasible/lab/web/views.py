"""What the builders of pages share: the store at one look, a page, and panels that fail alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from ...core.errors import FeasibleError, UnknownName
from ...core.secrets import legible
from ..html import Picture
from ..owner import held
from ..report import RacePictures
from ..rows import RunRow, read_run
from ..schema import runs
from ..serial import row_number
from ..store import Store
from .asked import Asked
from .index import BIGGEST, Index


@dataclass(frozen=True)
class Look:
    """The store at one look.

    Attributes:
        index: A line of every run.
        store: Where they are, opened for reading.
        asked: The page and its settings.
        kept: What the builders of pages keep from one look to the next.
    """

    index: Index
    store: Store
    asked: Asked
    kept: Kept

    @property
    def now(self) -> float:
        """Seconds since the epoch, by the store's clock."""
        return self.store.clock()


@dataclass
class Drawn:
    """Figures of a race.

    Attributes:
        mark: Of the trials that they show.
        until: When they may be drawn again, by the monotonic clock.
        pictures: The figures.
        said: When they were drawn, for people.
        stale: Whether a page shows them although the trials have changed.
    """

    mark: int
    until: float
    pictures: RacePictures
    said: str
    stale: bool = False


@dataclass
class Kept:
    """What is kept from one look to the next, within bounds.

    Attributes:
        trials: Of the races that were looked at last, by (store, race): finished trials by run.
        drawn: Their figures, by (store, race, problem).
        lock: Held by who reads or changes these.
    """

    trials: dict[tuple[int, int], dict[int, Any]] = field(default_factory=dict)
    drawn: dict[tuple[int, int, str], Drawn] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Page:
    """A page to be rendered.

    Attributes:
        template: Its name.
        values: What it shows.
        title: In the bar of pages.
        plots: Whether it has figures.
    """

    template: str
    values: dict[str, Any]
    title: str
    plots: bool = False


@dataclass(frozen=True)
class Broken:
    """A panel that could not be made.

    Attributes:
        id: Its place.
        error: Why, in a sentence.
    """

    id: str
    error: str


def panels(
    made: Sequence[tuple[str, Callable[[], Picture | None]]],
) -> list[Picture | Broken]:
    """Return the figures that can be made; one that cannot leaves its message, and the others.

    Args:
        made: Name and what makes it, None for nothing to draw.
    """
    found: list[Picture | Broken] = []
    for name, make in made:
        try:
            picture = make()
        except Exception as error:
            said = legible(f"{type(error).__name__}: {error}")[:300]
            found.append(Broken(name, f"{name.replace('-', ' ')} cannot be drawn: {said}"))
        else:
            if picture is not None:
                found.append(picture)
    return found


def run_of(look: Look) -> RunRow:
    """Return the run that a page is about. Raises UnknownName where it is not there, or no more."""
    number, name = look.asked.one("id"), look.asked.one("name")
    row = look.store.find_run(name) if name else numbered(look.store, number)
    if row is None:
        raise UnknownName(
            f"there is no run '{name or number}' in this store; it may have been deleted"
        )
    return row


def numbered(store: Store, number: int | str) -> RunRow | None:
    """Return the run of a number, whatever others are called; None where there is none."""
    key = row_number(number)
    if key is None or key > BIGGEST:
        return None
    with store.read() as connection:
        row = connection.execute(sa.select(runs).where(runs.c.id == key)).first()
    return None if row is None else read_run(row)


def driven(look: Look, row: RunRow) -> tuple[str, str]:
    """Return the state of a run in a word, and in a sentence what it waits for or who drives it."""
    if row.kind == "study" or row.state != "running":
        return row.state, ""
    owner = row.owner or {}
    where = f"process {owner.get('pid', '?')} on {owner.get('host', '?')}"
    try:
        alive = held(row.owner, row.lease, row.updated, now=look.now)
    except (FeasibleError, KeyError, TypeError, ValueError):
        alive = False
    if alive:
        return "running", f"driven by {where}"
    return "lost", f"{where} drives it no longer: `feasible resume {row.name}` goes on"


def moment(seconds: float) -> str:
    """Return a time as people read it, in UTC."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "–"


def duration(seconds: float) -> str:
    """Return a length of time as people say it."""
    for unit, size in (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("days", 86400.0)):
        if seconds < 120 * size or unit == "days":
            return f"{seconds / size:.0f} {unit}"
    return ""
