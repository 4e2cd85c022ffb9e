"""What the builders of pages share: the store at one look, a page, and panels that fail alone."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ...core.errors import FeasibleError, UnknownName
from ...core.secrets import legible
from ..html import Picture
from ..owner import held
from ..rows import RunRow
from ..serial import row_number
from ..store import Store
from .asked import Asked
from .index import Index, Line

T = TypeVar("T")
PATIENCE = 20.0
"""A figure stands so many times as long as it took to draw."""
AT_ONCE = 0.02
"""Seconds of drawing figures again after which a look leaves the others to the next one."""
PAGES = 8
"""Most pages whose figures are kept."""


@dataclass(frozen=True)
class Look:
    """The store at one look.

    Attributes:
        index: A line of every run.
        store: Where they are, opened for reading.
        asked: The page and its settings.
        kept: What the builders of pages keep from one look to the next.
        at: What commands end with that are about this store: " --store X", or nothing.
    """

    index: Index
    store: Store
    asked: Asked
    kept: Kept
    at: str = ""

    @property
    def now(self) -> float:
        """Seconds since the epoch, by the store's clock."""
        return self.store.clock()


@dataclass
class Drawn:
    """A figure, or several that are drawn together.

    Attributes:
        mark: Of what they show.
        since: When they were drawn, by the monotonic clock.
        until: When they may be drawn again, by the monotonic clock.
        pictures: The figures.
        said: When they were drawn, for people.
        stale: Whether a page shows them although what they show has changed.
    """

    mark: object
    since: float
    until: float
    pictures: Any
    said: str
    stale: bool = False


@dataclass
class Kept:
    """What is kept from one look to the next, within bounds.

    Attributes:
        trials: Of the races that were looked at last, by (store, race): finished trials by run.
        drawn: Figures of the pages that were looked at last, by their names.
        drawings: How many were drawn so far.
        lock: Held by who reads or changes these.
    """

    trials: dict[tuple[int, int], dict[int, Any]] = field(default_factory=dict)
    drawn: dict[object, dict[str, Drawn]] = field(default_factory=dict)
    drawings: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def figures(
        self, page: object, mark: object, now: float, draw: Callable[[], T]
    ) -> tuple[T, str]:
        """Return the figures of a page that are drawn together, see `pictures`."""
        (found,), said = self.pictures(page, mark, now, [("", draw)])
        return found, said

    def pictures(
        self, page: object, mark: object, now: float, made: Sequence[tuple[str, Callable[[], T]]]
    ) -> tuple[list[T], str]:
        """Return the figures of a page, and of when the oldest is where it is older than the page.

        They cost more than the rest of a page. The more one costs, the longer it stands; and at one
        look only some are drawn again, those that stand longest first.

        Args:
            page: Which it is.
            mark: Changes with what they show.
            now: Seconds since the epoch.
            made: The name of each, and what draws it.
        """
        with self.lock:
            mine = self.drawn.pop(page, {})
            while len(self.drawn) >= PAGES:
                self.drawn.pop(next(iter(self.drawn)))
            self.drawn[page] = found = {}
            left = AT_ONCE
            for name, draw in sorted(made, key=lambda each: _since(mine.get(each[0]))):
                old, start = mine.get(name), time.thread_time()
                if old is not None and (
                    old.mark == mark or time.monotonic() < old.until or left <= 0
                ):
                    old.stale = old.mark != mark
                    found[name] = old
                    continue
                pictures = draw()
                took = time.thread_time() - start
                since = time.monotonic()
                found[name] = Drawn(mark, since, since + PATIENCE * took, pictures, moment(now))
                self.drawings += 1
                left -= 0 if old is None else took
            oldest = min(found.values(), key=_since, default=None)
            said = "" if oldest is None or not oldest.stale else oldest.said
            return [found[name].pictures for name, _ in made], said

    def due(self) -> int:
        """Return a number that changes when figures that stand on a page are to be drawn again."""
        now = time.monotonic()
        with self.lock:
            stand = (d for drawn in self.drawn.values() for d in drawn.values())
            return self.drawings if any(d.stale and now >= d.until for d in stand) else -1


def _since(drawn: Drawn | None) -> float:
    """Return since when a figure stands."""
    return math.inf if drawn is None else drawn.since


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
    row = look.store.find_run(name) if name else numbered(look.store, [number]).get(number)
    if row is None:
        raise UnknownName(
            f"there is no run '{name or number}' in this store; it may have been deleted"
        )
    return row


def numbered(store: Store, numbers: Iterable[int | str]) -> dict[str, RunRow]:
    """Return the runs of some numbers that are there, by number, whatever others are called."""
    keys = {str(number): row_number(number) for number in numbers}
    good = {key for key in keys.values() if key is not None}
    have = {row.id: row for row in store.runs(only=good)} if good else {}
    return {number: have[key] for number, key in keys.items() if key in have}


def running(look: Look, lines: Iterable[Line], most: int) -> list[RunRow]:
    """Return the newest runs among some that run now, at most so many, but for those that cannot be
    read.
    """
    ids = sorted((line.id for line in lines if line.state == "running"), reverse=True)[:most]
    return look.store.runs(only=ids, damaged=[]) if ids else []


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
    return "lost", f"{where} drives it no longer: `feasible resume {row.name}{look.at}` goes on"


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
