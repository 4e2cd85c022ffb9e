"""The page of a race: standings now, and how many of its trials they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.errors import UnknownName
from ..html import Picture
from ..loaded import load_race
from ..report import Drawing, RacePictures, race_pictures, race_values
from ..rows import RunRow
from ..standings import Standings
from ..trials import Race
from .index import Line
from .views import Kept, Look, Page, driven, moment, running

RACES, TRIALS = 4, 4_000
"""Most races, and trials of all of them, that are kept in memory from one look to the next."""
RUNNING = 50
"""Most running trials that are listed."""


def race_page(look: Look) -> Page:
    """A race as it stands."""
    found = _race_of(look)
    if found is None:
        said = look.asked.one("name") or look.asked.one("id")
        raise UnknownName(f"there is no race '{said}' in this store; it may have been deleted")
    with look.kept.lock:
        return _page(look, found)


def _race_of(look: Look) -> dict[str, Any] | None:
    """Return the stored race that a page is about, None where it is not there."""
    if name := look.asked.one("name"):
        return look.store.find_race(name)
    return next((r for r in look.store.races([]) if r["id"] == look.asked.number("id", 0)), None)


def race_lines(look: Look) -> list[Line]:
    """Return the lines of the runs of the race that a page is about."""
    number = look.asked.number("id", 0)
    if look.asked.one("name"):
        number = (_race_of(look) or {}).get("id", 0)
    return [line for line in look.index.all() if line.race == number]


def _page(look: Look, found: Mapping[str, Any]) -> Page:
    """Return the page of a stored race."""
    race = load_race(look.store, found["name"], _kept(look.kept, id(look.store), found["id"]))
    names = [c.name for c in race.contests]
    only = look.asked.one("problem")
    only = only if only in names else (names[0] if names else "")
    lines = [line for line in look.index.all() if line.race == found["id"]]
    place, mark = (id(look.store), "race", found["id"], only), [(x.id, x.updated) for x in lines]
    said = ""

    def draw(race: Race, result: Standings, only: str | None) -> RacePictures:
        def drawn(drawings: Sequence[Drawing]) -> list[Picture]:
            nonlocal said
            pictures, said = look.kept.pictures(place, mark, look.now, drawings)
            return pictures

        return race_pictures(race, result, only, drawn)

    values = race_values(race, f"feasible resume {race.name}{look.at}", only, draw)
    values |= {
        "only": only,
        "names": [(n, look.asked.link(problem=n)) for n in names],
        "running": [_driven(look, row) for row in running(look, lines, RUNNING)],
        "asked": look.asked,
        "as_of": moment(look.now),
        "drawn": said,
        "links": {t.run: look.asked.link("run", name=t.run) for t in race.trials if t.run},
        "ended": sum(t.status != "pending" for t in race.trials),
        "listed": look.asked.link("runs", race=found["id"]),
    }
    return Page("report.html.j2", values, "Races", plots=True)


def _kept(kept: Kept, store: int, race: int) -> dict[int, Any]:
    """Return what was read of a race's trials before; other races are forgotten where there are too
    many.
    """
    mine = kept.trials.pop((store, race), {})
    others = kept.trials
    while others and (len(others) >= RACES or sum(map(len, others.values())) + len(mine) > TRIALS):
        others.pop(next(iter(others)))
    if len(mine) <= TRIALS:
        kept.trials[store, race] = mine
    return mine


def _driven(look: Look, row: RunRow) -> dict[str, Any]:
    """Return what the page says of a trial that runs now, or whose driver was lost."""
    state, who = driven(look, row)
    return {
        "name": row.name,
        "link": look.asked.link("run", id=row.id),
        "problem": row.problem,
        "method": row.method,
        "seed": row.seed,
        "state": state,
        "who": who,
    }
