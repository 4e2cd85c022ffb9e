"""What the terminal shows: live progress of a run or a race, and results as tables."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from ..core.result import HEADERS, Result
from ..core.run import Run
from ..core.trail import Point
from .trials import Race, Trial

if TYPE_CHECKING:
    from .race import Key


class SolveProgress:
    """Observer of one run: a bar of the budget with the best so far. On a plain pipe it prints a
    line now and then.

    Args:
        console: Where it prints.
    """

    def __init__(self, console: Console):
        self.console, self.live = console, console.is_terminal
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[best]}"),
            console=console,
            transient=True,
        )
        self.task: TaskID | None = None
        self.last = time.monotonic()

    def on_start(self, current: Run) -> None:
        """Show the bar."""
        resource = next((r for r in current.budget if r != "seconds"), "seconds")
        if self.live:
            self.bar.start()
            self.task = self.bar.add_task(
                escape(f"{current.problem.name} by {current.method.name}"),
                total=current.budget[resource],
                best="",
            )

    def on_point(self, current: Run, point: Point) -> None:
        """Move the bar."""
        resource = next((r for r in current.budget if r != "seconds"), "seconds")
        spent = current.meter.snapshot().get(resource, 0)
        text = best_text(point, current.problem.sign)
        if self.live and self.task is not None:
            self.bar.update(self.task, completed=spent, best=text)
        elif time.monotonic() - self.last > 5:
            self.last = time.monotonic()
            self.console.print(
                f"{spent:g} of {current.budget[resource]:g} {resource}: {text}",
                markup=False,
                highlight=False,
            )

    def on_finish(self, current: Run, result: Result) -> None:
        """Take the bar away."""
        self.stop()

    def stop(self) -> None:
        """Take the bar away, if there is one."""
        if self.live:
            self.bar.stop()


def best_text(point: Point, sign: float = 1.0) -> str:
    """Return the best so far in a few words.

    Args:
        point: A point of the trail.
        sign: -1 where people maximise.
    """
    v = point.verdict
    if v.feasible:
        return f"best {sign * v.objective:.6g}"
    return f"infeasible by {v.violation:.3g}"


class RaceProgress:
    """Observer of a race: one bar for all trials, and the running ones by name.

    Args:
        console: Where it prints.
    """

    def __init__(self, console: Console):
        self.console, self.live = console, console.is_terminal
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.all: TaskID | None = None
        self.running: dict[Key, TaskID] = {}
        self.total = self.done = 0

    def on_race(self, race: Race, total: int, finished: int) -> None:
        """The race begins."""
        self.total, self.done = total, finished
        limits = ", ".join(f"{v:g} {k}" for k, v in race.budget.items())
        self.console.print(
            f"race {race.name}: {len(race.contests)} problems x {len(race.methods)} methods x "
            f"{len(race.seeds)} seeds, {limits} each"
            + (f"; {finished} of {total} trials are there already" if finished else ""),
            markup=False,
            highlight=False,
        )
        if self.live:
            self.bar.start()
            self.all = self.bar.add_task("trials", total=total, completed=finished)

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
            self.bar.update(self.all, completed=self.done)
        elif self.done % max(self.total // 10, 1) == 0 or self.done == self.total:
            self.console.print(f"{self.done} of {self.total} trials", markup=False, highlight=False)

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
            bad = kind == "metric" and len(row) > 3 and row[3].startswith("-")
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
