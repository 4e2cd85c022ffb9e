"""The pages of the dashboard by their addresses: built once, shown live or frozen as a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from shlex import quote
from typing import Any

import sqlalchemy as sa

from ...core.errors import ArgumentError, UnknownName, nearest
from ..html import environment, page, plotly_js, source, write_page
from ..schema import evaluations, points, runs
from ..store import Store
from .asked import Asked
from .compare import chosen, compare_page
from .index import Index, Line
from .listings import papers_page, races_page, runs_page, studies_page
from .opened import Opened
from .race_page import race_lines, race_page
from .run_page import run_page
from .views import Kept, Look, Page, moment, run_of

BUILDERS: dict[str, Callable[[Look], Page]] = {
    "": runs_page,
    "runs": runs_page,
    "run": run_page,
    "races": races_page,
    "race": race_page,
    "studies": studies_page,
    "compare": compare_page,
    "papers": papers_page,
}
"""What builds each page."""
BAR = (
    ("runs", "Runs"),
    ("races", "Races"),
    ("studies", "Studies"),
    ("compare", "Compare"),
    ("papers", "Papers"),
)
"""Addresses and titles of the bar of pages."""
RUNNING = 200
"""Most running runs whose trails are looked at for what changed."""


@cache
def version() -> str:
    """Return what changes with the files that pages load."""
    texts = (source("page.js"), source("page.css"), source("live.js"), plotly_js())
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]


class Site:
    """The pages of a store.

    Args:
        where: As for `Store`.
        named: The store as commands name it; "" for ./feasible.db.

    Raises:
        StoreError: There is none, or it cannot be read.
    """

    def __init__(self, where: Any = None, named: str = ""):
        self.opened = Opened(where)
        self.index = Index(self.opened)
        self.kept, self.at = Kept(), f" --store {quote(named)}" if named else ""

    def look(self, asked: Asked) -> Look:
        """Return the store as it is now."""
        return Look(self.index, self.index.fresh(), asked, self.kept, self.at)

    def build(self, asked: Asked) -> tuple[Page, Look]:
        """Return a page as the store is now.

        Raises:
            UnknownName: What it is about is not there.
            StoreError: The store is gone, or cannot be read.
        """
        look = self.look(asked)
        return BUILDERS[asked.page](look), look

    def live(self, asked: Asked) -> str:
        """Return a page as HTML that follows the store."""
        mark = self.mark(asked)  # before it is built: what changes meanwhile is shown next
        built, look = self.build(asked)
        values = built.values | {"live": self._live(asked, built.title, look, mark)}
        template = environment().get_template(built.template)
        return template.render(plots=built.plots, **values)

    def _live(self, asked: Asked, title: str, look: Look | None, mark: str = "") -> dict[str, Any]:
        """Return what a live page has beside a frozen one."""
        return {
            "page": Asked(asked.page or "runs", asked.values).link(),
            "pages": BAR,
            "current": title,
            "mark": mark,
            "as_of": moment(look.now) if look is not None else "",
            "version": version(),
            "store": self.at,
        }

    def error(self, asked: Asked, status: int, said: str) -> str:
        """Return a page that says what is wrong, and goes on following the store."""
        values = {"status": status, "said": said, "live": self._live(asked, "", None)}
        return environment().get_template("error.html.j2").render(**values)

    def mark(self, asked: Asked) -> str:
        """Return what changes when a page does, without building it."""
        look = self.look(asked)
        found: list[Any] = [self.index.complete]
        if asked.page == "run":
            found += _run_mark(look)
        elif asked.page in ("race", "compare"):
            found += _lines_mark(look, race_lines(look) if asked.page == "race" else chosen(look))
        elif asked.page != "papers":
            found += [self.index.version, *_lines_mark(look, list(self.index.running.values()))]
        text = repr((id(look.store), found, self.kept.due()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def close(self) -> None:
        """Close the store."""
        self.opened.close()


def _run_mark(look: Look) -> list[Any]:
    """Return what changes with one run: its row, its trail, its ledger."""
    try:
        key = run_of(look).id
    except UnknownName:
        return []
    about = sa.select(runs.c.state, runs.c.updated, runs.c.version, runs.c.told)
    with look.store.read() as connection:
        mine = connection.execute(about.where(runs.c.id == key)).first()
        last = sa.select(sa.func.max(points.c.n)).where(points.c.run == key)
        rows = sa.select(sa.func.max(evaluations.c.row)).where(evaluations.c.run == key)
        ends = [connection.execute(q).scalar() for q in (last, rows)]
    return [None if mine is None else tuple(mine), *ends]


def _lines_mark(look: Look, lines: list[Line]) -> list[Any]:
    """Return what changes when one of these runs does, or a running one moves."""
    running = [line.id for line in lines if line.state == "running"][:RUNNING]
    query = (
        sa.select(points.c.run, sa.func.max(points.c.n))
        .where(points.c.run.in_(running))
        .group_by(points.c.run)
    )
    with look.store.read() as connection:
        moved = sorted(tuple(r) for r in connection.execute(query)) if running else []
    return [hash(tuple((line.id, line.state, line.updated) for line in lines)), moved]


def frozen(store: Store, address: str, named: str = "") -> str:
    """Return a page of the dashboard as one HTML file.

    Args:
        store: Where its runs are.
        address: Such as `/runs?state=failed`.
        named: The store as commands name it; "" for ./feasible.db.

    Raises:
        ArgumentError: There is no such page.
        UnknownName: What it is about is not there.
    """
    asked = Asked.read(address)
    if asked.page not in BUILDERS:
        raise ArgumentError(
            f"there is no page '/{asked.page}' of the dashboard: "
            f"{nearest(asked.page, [n for n in BUILDERS if n])}"
        )
    site = Site(store.where, named)
    try:
        site.index.wait()
        built, look = site.build(asked)
        return page(built.template, plots=built.plots, frozen=moment(look.now), **built.values)
    finally:
        site.close()


def freeze(store: Store, address: str, path: Path, named: str = "") -> Path:
    """Write a page of the dashboard as one self-contained HTML file and return its path; see
    `frozen`.
    """
    return write_page(path, frozen(store, address, named))
