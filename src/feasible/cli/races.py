"""race."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import (
    AddressOption,
    CpusOption,
    EngineOption,
    GpusOption,
    JobsOption,
    JsonOption,
    MemoryOption,
    StoreOption,
    ThreadsOption,
    console,
    emit,
    open_store,
    place_of,
    quiet_stdout,
)
from .trust import AcceptOption

if TYPE_CHECKING:
    from ..lab.trials import Race


def race(
    problems: Annotated[list[str], typer.Argument(help="Registered problems or file.py:name.")],
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            "-m",
            help="Methods, separated by commas; settings as cbo[n_particles=50]; default is what "
            "the room chooses for each problem.",
        ),
    ],
    budget: Annotated[
        str,
        typer.Option(
            "--budget", "-b", help="What each trial may spend, for example evaluations=1000."
        ),
    ],
    seeds: Annotated[
        int, typer.Option("--seeds", "-r", min=1, help="Number of seeds: 0, 1, ...")
    ] = 5,
    jobs: JobsOption = 1,
    store: StoreOption = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the race; one that exists is resumed.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove an earlier race of that name first.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a self-contained HTML report here.")
    ] = None,
    trial_timeout: Annotated[
        float | None,
        typer.Option("--trial-timeout", help="Seconds after which a trial is killed and recorded."),
    ] = None,
    stop_at: Annotated[
        float | None,
        typer.Option(
            "--stop-at",
            help="End a trial with the evaluation that is feasible and reaches this value of the "
            "objective.",
        ),
    ] = None,
    threads: ThreadsOption = None,
    accept_changes: AcceptOption = False,
    engine: EngineOption = "local",
    address: AddressOption = None,
    cpus: CpusOption = None,
    gpus: GpusOption = 0.0,
    memory: MemoryOption = None,
    json: JsonOption = False,
) -> None:
    """Race methods on problems under one budget, over several seeds; every trial is a run that can
    be shown and resumed.
    """
    from .. import api
    from ..lab.console import RaceProgress

    place = place_of(engine, address, cpus, gpus, memory)
    where = open_store(store)
    if fresh and name is not None and (old := where.find_race(name)) is not None:
        where.delete_race(old["id"])
    out = console(stderr=json)
    watching = RaceProgress(out)
    with quiet_stdout() if json else contextlib.nullcontext():
        try:
            found = api.race(
                problems,
                split_methods(methods),
                budget,
                seeds,
                store=where,
                name=name,
                jobs=jobs,
                observers=watching,
                trial_timeout=trial_timeout,
                progress=False,
                stop_at=stop_at,
                threads=threads,
                accept_changes=accept_changes,
                engine=place,
            )
        finally:
            watching.stop()
    print_race(out, found, json=json, store=store)
    if report is not None:
        from ..lab.report import write_report

        path = write_report(
            found,
            report,
            command=f"feasible race {' '.join(problems)} --methods {methods} --budget {budget} "
            f"--seeds {seeds}",
        )
        out.print(f"report:   {path}", markup=False)


def split_methods(text: str) -> list[str]:
    """Return the methods of --methods.

    Examples:
        >>> split_methods("a,b[x=1,y=2],c")
        ['a', 'b[x=1,y=2]', 'c']
    """
    parts, depth = [""], 0
    for ch in text:
        depth += (ch == "[") - (ch == "]")
        if ch == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += ch
    return [p.strip() for p in parts if p.strip()]


def print_race(out: Any, found: Race, *, json: bool, store: str | None) -> None:
    """Print the standings of a race, who won in plain words, and what to type next; or as JSON."""
    from ..lab.standings import format_standings, printable, standings
    from ..lab.words import chosen_in_words, in_words, what_next

    table = standings(found)
    if json:
        emit(
            {
                "race": found.name,
                "budget": found.budget,
                "seconds": found.seconds,
                "versions": found.versions,
                "notes": list(table.notes),
                "words": [*in_words(table), *chosen_in_words(found)],
                "standings": table.to_frame().to_dict(orient="records"),
                "trials": [
                    {
                        "problem": t.problem,
                        "method": t.method,
                        "seed": t.seed,
                        "status": t.status,
                        "objective": t.objective,
                        "violation": t.violation,
                        "feasible": t.feasible,
                        "spent": t.spent,
                        "seconds": t.seconds,
                        "error": t.error,
                        "run": t.run,
                        "chosen": t.chosen,
                    }
                    for t in found.trials
                ],
            }
        )
        return
    shown = format_standings(table)
    for part in shown if isinstance(shown, (list, tuple)) else [shown]:
        out.print(part)
    for sentence in (*in_words(table), *chosen_in_words(found), *table.notes):
        out.print(printable(sentence), markup=False)
    for i, command in enumerate(what_next(found, store)):
        out.print(f"{'next:' if i == 0 else '':9} {command}", markup=False)
