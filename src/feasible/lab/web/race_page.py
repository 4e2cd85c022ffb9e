"""The page of a race: standings now, and how many of its trials they rest on."""

from __future__ import annotations

from typing import Any

from ...core.errors import UnknownName
from ..loaded import load_race
from ..report import race_values
from .index import Line
from .views import Kept, Look, Page, driven, moment, numbered

RACES, TRIALS = 4, 4_000
"""Most races, and trials of all of them, that are kept in memory from one look to the next."""
RUNNING = 50
"""Most running trials that are listed."""


def race_page(look: Look) -> Page:
    """A race as it stands."""
    number, name = look.asked.one("id"), look.asked.one("name")
    found = look.store.find_race(name) if name else None
    if found is None and number.isdecimal():
        found = next((r for r in look.store.races([]) if r["id"] == int(number)), None)
    if found is None:
        raise UnknownName(
            f"there is no race '{name or number}' in this store; it may have been deleted"
        )
    race = load_race(look.store, found["name"], _kept(look.kept, id(look.store), found["id"]))
    names = [c.name for c in race.contests]
    only = look.asked.one("problem")
    only = only if only in names else (names[0] if names else "")
    values = race_values(race, f"feasible resume {race.name}", only)
    lines = [line for line in look.index.all() if line.race == found["id"]]
    values |= {
        "only": only,
        "names": [(n, look.asked.link(problem=n)) for n in names],
        "running": _running(look, lines),
        "asked": look.asked,
        "as_of": moment(look.now),
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


def _running(look: Look, lines: list[Line]) -> list[dict[str, Any]]:
    """Return the trials that run now, or whose driver was lost."""
    found = []
    for line in [line for line in lines if line.state == "running"][:RUNNING]:
        row = numbered(look.store, line.id)
        if row is None:
            continue
        state, who = driven(look, row)
        found.append(
            {
                "name": row.name,
                "link": look.asked.link("run", id=row.id),
                "problem": row.problem,
                "method": row.method,
                "seed": row.seed,
                "state": state,
                "who": who,
            }
        )
    return found
