"""What the terminal shows: live progress of a run or a race, and results as tables."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

from ..core.result import HEADERS, Result
from ..core.run import Run
from ..core.trail import Point
from .trials import Race, Trial

if TYPE_CHECKING:
    from .race import Key

EVERY = 5.0
"""Seconds between two lines of progress on a plain pipe."""


def times() -> tuple[ProgressColumn, ...]:
    """Return the columns of the time that is gone and the time that is left, which stay whole."""
    gone, left = (Column(no_wrap=True, min_width=7) for _ in range(2))
    label = TextColumn("left", table_column=Column(no_wrap=True, min_width=4))
    return TimeElapsedColumn(table_column=gone), label, TimeRemainingColumn(table_column=left)


class Bars(Progress):
    """Bars that look up how far the work is each time they are drawn.

    Args:
        columns: What each bar shows.
        console: Where.
        look: Called before each drawing.
    """

    def __init__(self, *columns: ProgressColumn, console: Console, look: Callable[[], None]):
        self.look = look
        super().__init__(*columns, console=console, transient=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Look, then draw."""
        self.look()
        return super().get_renderables()


class SolveProgress:
    """Observer of one run: a bar of the budget with the time that is left and the best feasible
    value so far. On a plain pipe it prints a line now and then.

    Args:
        console: Where it prints.
    """

    def __init__(self, console: Console):
        self.console, self.live = console, console.is_terminal or console.is_jupyter
        self.task: TaskID | None = None
        self.run: Run | None = None
        self.best = "nothing measured yet"
        self.begun = self.last = time.monotonic()
        self.said = 0
        self.bar = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[spent]}"),
            *times(),
            TextColumn("{task.fields[best]}"),
            console=console,
            look=self._look,
        )

    def on_start(self, current: Run) -> None:
        """Show the bar."""
        self.run, self.said = current, len(current.notes)
        self.begun = self.last = time.monotonic()
        if self.live:
            name = escape(f"{current.problem.name} by {current.method.name}")
            self.task = self.bar.add_task(name, total=1.0, best=self.best, spent="")
            self.bar.start()

    def on_point(self, current: Run, point: Point) -> None:
        """Take the best so far, and say what is new."""
        self.best = best_text(point, current.problem.sign)
        for note in current.notes[self.said :]:
            self.console.print(note, markup=False, highlight=False)
        self.said = len(current.notes)
        if not self.live and time.monotonic() - self.last > EVERY:
            self.last = time.monotonic()
            share, spent = self.share()
            left = (self.last - self.begun) * (1 - share) / share if share else math.inf
            about = f", about {_duration(left)} left" if math.isfinite(left) else ""
            self.console.print(f"{spent}: {self.best}{about}", markup=False, highlight=False)

    def share(self) -> tuple[float, str]:
        """How much of the budget is gone, by the resource of which most is, and that in words."""
        if self.run is None:
            return 0.0, ""
        spent = self.run.meter.snapshot()
        shares = {r: spent.get(r, 0.0) / limit for r, limit in self.run.budget.items() if limit}
        if not shares:
            return 0.0, ""
        first = max(shares, key=lambda r: shares[r])
        amount = spent.get(first, 0.0)
        shown = f"{amount:.0f}" if first == "seconds" else f"{amount:g}"
        return min(shares[first], 1.0), f"{shown} of {self.run.budget[first]:g} {first}"

    def _look(self) -> None:
        """Move the bar to where the run is."""
        if self.task is not None:
            share, spent = self.share()
            self.bar.update(self.task, completed=share, best=escape(self.best), spent=spent)

    def on_finish(self, current: Run, result: Result) -> None:
        """Take the bar away."""
        self.stop()

    def stop(self) -> None:
        """Take the bar away, if there is one."""
        if self.live:
            self.bar.stop()


def _duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def best_text(point: Point, sign: float = 1.0) -> str:
    """Return the best so far in a few words.

    Args:
        point: A point of the trail.
        sign: -1 where people maximise.
    """
    v = point.verdict
    if v.feasible:
        return f"best feasible {sign * v.objective:.6g}"
    return f"infeasible by {v.violation:.3g}"


class RaceProgress:
    """Observer of a race: one bar for all trials, and the running ones by name.

    Args:
        console: Where it prints.
    """

    def __init__(self, console: Console):
        self.console, self.live = console, console.is_terminal or console.is_jupyter
        self.all: TaskID | None = None
        self.running: dict[Key, TaskID] = {}
        self.total = self.done = 0
        self.begun, self.there = time.monotonic(), 0
        self.bar = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            *times(),
            console=console,
            look=self._look,
        )

    def on_race(self, race: Race, total: int, finished: int) -> None:
        """The race begins."""
        self.total, self.done = total, finished
        self.begun, self.there = time.monotonic(), finished
        limits = ", ".join(f"{v:g} {k}" for k, v in race.budget.items())
        self.console.print(
            f"race {race.name}: {len(race.contests)} problems x {len(race.methods)} methods x "
            f"{len(race.seeds)} seeds, {limits} each"
            + (f"; {finished} of {total} trials are there already" if finished else ""),
            markup=False,
            highlight=False,
        )
        if self.live:
            self.all = self.bar.add_task("trials", total=total, completed=finished)
            self.bar.start()

    def on_progress(self, key: Key, fraction: float) -> None:
        """A running trial moved."""
        if not self.live:
            return
        if key not in self.running:
            self.running[key] = self.bar.add_task(
                escape(f"  {key[1]} on {key[0]} #{key[2]}"), total=100
            )
        self.bar.update(self.running[key], completed=round(100 * fraction))

    def on_trial(self, trial: Trial) -> None:
        """A trial ended."""
        key = (trial.problem, trial.method, trial.seed)
        self.done += 1
        if trial.status == "failed":
            self.console.print(
                f"failed: {trial.method} on {trial.problem}, seed {trial.seed}: "
                f"{(trial.error or '').splitlines()[0]}",
                markup=False,
                highlight=False,
            )
        if self.live and self.all is not None:
            if key in self.running:
                self.bar.remove_task(self.running.pop(key))
        elif self.done % max(self.total // 10, 1) == 0 or self.done == self.total:
            made, left = self.done - self.there, self.total - self.done
            about = (time.monotonic() - self.begun) / made * left
            self.console.print(
                f"{self.done} of {self.total} trials"
                + (f", about {_duration(about)} left" if left else ""),
                markup=False,
                highlight=False,
            )

    def _look(self) -> None:
        """Move the bar of all trials by those that ended and by the parts of those that run."""
        if self.all is not None:
            shares = [t.completed / 100 for t in self.bar.tasks if t.id in self.running.values()]
            self.bar.update(self.all, completed=self.done + sum(shares))

    def stop(self) -> None:
        """Take the bars away."""
        self.bar.stop()


def show_design(console: Console, rows: list[tuple[str, ...]] | list[list[str]]) -> None:
    """Print a design and its constraints, as two tables.

    Args:
        console: Where.
        rows: What `Problem.describe` returned.
    """
    table: Table | None = None
    kind = ""
    for row in rows:
        if row[0] == "point" or (row[0] in HEADERS and len(row) >= 3 and row[1] == "value"):
            if table is not None:
                console.print(table)
            kind = row[0]
            table = Table(box=None, header_style="bold", pad_edge=False)
            for i, cell in enumerate(row):
                table.add_column(
                    cell,
                    justify="right" if 0 < i < len(row) - 1 and cell != "limit" else "left",
                    no_wrap=True,
                )
        elif table is None:
            table = Table(box=None, show_header=False)
            table.add_row(*(escape(c) for c in row))
        else:
            bad = kind == "metric" and "VIOLATED" in row
            table.add_row(*(escape(c) for c in row), style="red" if bad else None)
    if table is not None:
        console.print(table)


def listing(console: Console, title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """Print a plain listing.

    Args:
        console: Where.
        title: Its heading.
        columns: Headings of the columns.
        rows: One list of cells a row; None is an empty cell.
    """
    table = Table(
        title=escape(title), box=None, header_style="bold", title_justify="left", pad_edge=False
    )
    for c in columns:
        table.add_column(escape(c), overflow="fold")
    for row in rows:
        table.add_row(*("" if v is None else escape(str(v)) for v in row))
    console.print(table)
