"""ask and tell: the experimenter's loop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import (
    BudgetOption,
    GoOnOption,
    JsonOption,
    MethodOption,
    NameOption,
    SeedOption,
    StopAtOption,
    StoreOption,
    console,
    emit,
    open_store,
)
from .opening import edited, open_or_begin
from .trust import AcceptOption, TrustOption


def ask(
    study: Annotated[
        str,
        typer.Argument(
            help="A study in the store; or, to begin one, study.toml, file.py:name or a registered "
            "problem."
        ),
    ],
    n: Annotated[
        int,
        typer.Option(
            "-n",
            min=1,
            help="How many experiments: ask for the batch you can run at once, not for one at a "
            "time.",
        ),
    ] = 1,
    format: Annotated[
        str, typer.Option("--format", "-f", help="table, csv, json, or xlsx with --output.")
    ] = "table",
    budget: BudgetOption = None,
    method: MethodOption = None,
    seed: SeedOption = 0,
    name: NameOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the table to this file.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the next experiments without recording them.")
    ] = False,
    pending: Annotated[
        bool,
        typer.Option(
            "--pending", help="Print the experiments that are still out, instead of new ones."
        ),
    ] = False,
    stop_at: StopAtOption = None,
    go_on: GoOnOption = False,
    trust: TrustOption = False,
    accept_changes: AcceptOption = False,
    store: StoreOption = None,
) -> None:
    """Print the next experiments. Fill in their results and give the table to `feasible tell`."""
    from ..core.errors import ArgumentError
    from ..lab.tables import to_csv, to_json, to_xlsx

    if format not in ("table", "csv", "json", "xlsx"):
        raise ArgumentError(f"--format {format}: expected table, csv, json or xlsx")
    if output is not None and output.suffix.lower() == ".xlsx":
        format = "xlsx"
    elif format == "xlsx":
        raise ArgumentError("--format xlsx: say with --output NAME.xlsx where to write it")
    if (
        output is not None and not output.resolve().parent.is_dir()
    ):  # before experiments are handed out
        raise ArgumentError(f"--output {output}: the folder {output.parent} does not exist")
    where = open_store(store)
    opened, began = open_or_begin(
        where, study, budget, method, seed, name, dry_run, trust, accept_changes, stop_at
    )
    note = console(stderr=True)
    if began:
        note.print(began, markup=False)
    for said in opened.remarks():
        note.print(f"note: {said}", markup=False)
    left = opened.left()
    rows = opened.pending() if pending else opened.ask(n, dry_run=dry_run, go_on=go_on)
    if not pending and len(rows) < n:
        what = (
            f"{left:g} left in the budget"
            if left < n
            else f"{opened.label} proposes no more before these are told"
        )
        note.print(f"{len(rows)} of {n} experiments: {what}", markup=False)
    if format == "table" and output is None:
        from ..lab.console import listing

        titles = ["id", *(c.title for c in opened.experiments.inputs)]
        shown = [[r.row, *opened.experiments.texts(r.x)] for r in rows]
        listing(
            console(),
            f"study {opened.name}" + (" (dry run: nothing was recorded)" if dry_run else ""),
            titles,
            shown,
        )
        if not dry_run:
            note.print(
                f"tell:     feasible tell {opened.name} "
                f"results.csv{f' --store {store}' if store else ''}",
                markup=False,
            )
        return
    text = to_json(opened, rows) + "\n" if format == "json" else to_csv(opened, rows)
    if output is None:
        typer.echo(text, nl=False)
    elif format == "xlsx":
        output.write_bytes(to_xlsx(opened, rows))
        note.print(f"{len(rows)} experiments written to {output}", markup=False)
    else:
        output.write_text(text, encoding="utf-8")
        note.print(f"{len(rows)} experiments written to {output}", markup=False)


def tell(
    study: Annotated[str, typer.Argument(help="Name of the study.")],
    results: Annotated[
        Path | None,
        typer.Argument(help="CSV or .xlsx file with the results; - reads CSV from standard input."),
    ] = None,
    known: Annotated[
        bool,
        typer.Option(
            "--known",
            help="The rows are earlier data: no ids, nothing is charged. Begins the study where it "
            "is a "
            "study.toml, file.py:name or registered problem.",
        ),
    ] = False,
    id: Annotated[
        int | None, typer.Option("--id", help="Tell one experiment without a file.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="With --id: NAME=VALUE, repeatable.")
    ] = None,
    failed: Annotated[
        str | None, typer.Option("--failed", help="With --id: the experiment failed, and why.")
    ] = None,
    abandon: Annotated[
        bool,
        typer.Option(
            "--abandon",
            help="With --id: the experiment will not be run; its unit goes back to the budget.",
        ),
    ] = False,
    budget: BudgetOption = None,
    method: MethodOption = None,
    seed: SeedOption = 0,
    name: NameOption = None,
    trust: TrustOption = False,
    accept_changes: AcceptOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Take results: in any order, partly, failed, infeasible, or of experiments that nobody
    proposed.
    """
    import sys

    from ..core.errors import ArgumentError
    from ..core.sheets import decode_text
    from ..lab.standing import show_study
    from ..lab.tables import read_cell, read_table, read_text
    from ..lab.telling import StudyReport

    where = open_store(store)
    if known:
        opened, began = open_or_begin(
            where, study, budget, method, seed, name, False, trust, accept_changes
        )
        if began:
            console(stderr=True).print(began, markup=False)
    else:
        row = where.run(study)
        opened = show_study(where, row)
        said = "note: the study file was edited since the study began, and that is not used: "
        for change in edited(row):
            console(stderr=True).print(said + change, markup=False)
    warnings: list[str] = []
    if id is not None:
        metrics: dict[str, float | None] = {}
        columns = {c.name: c for c in opened.experiments.results}
        for part in metric or []:
            key, sign, value = part.partition("=")
            if not sign or key not in columns:
                raise ArgumentError(
                    f"--metric {part}: expected NAME=NUMBER with a name out of {', '.join(columns)}"
                )
            metrics[key] = read_cell(columns[key], value, f"--metric {part}: expected NAME=NUMBER")
        if not metrics and failed is None and not abandon:
            raise ArgumentError(
                f"--id {id}: say what came out, with --metric NAME=VALUE, --failed REASON or "
                "--abandon"
            )
        status = "abandoned" if abandon else "failed" if failed is not None else ""
        reports = [StudyReport(id, None, metrics, status, failed)]
    elif results is None:
        raise ArgumentError(
            "results: give a CSV file, or one experiment with --id and --metric, --failed or "
            "--abandon"
        )
    elif str(results) == "-":
        source = "standard input"
        raw = getattr(sys.stdin, "buffer", None)
        text = sys.stdin.read() if raw is None else decode_text(raw.read(), source)
        reports, warnings = read_text(opened, text, source)
    else:
        reports, warnings = read_table(opened, results)
    told = opened.tell(reports, known=known)
    best, goal = opened.best(), opened.reached()
    if json:
        emit(
            {
                "study": opened.name,
                "told": told.rows,
                "corrected": told.corrected,
                "partial": told.partial,
                "unchanged": told.unchanged,
                "warnings": [*warnings, *told.warnings],
                "left": opened.left(),
                "best": None if best is None else opened.experiments.numbers(best),
                "reached": goal,
            }
        )
        return
    out, note = console(), console(stderr=True)
    for warning in [*warnings, *told.warnings]:
        note.print(f"warning: {warning}", markup=False)
    parts = [f"{len(told.rows)} told"]
    for what in ("corrected", "partial", "unchanged"):
        if getattr(told, what):
            parts.append(f"{len(getattr(told, what))} {what}")
    out.print(
        f"study {opened.name}: {', '.join(parts)}; {opened.left():g} {opened.resource} left",
        markup=False,
    )
    if best is not None:
        reached = opened.experiments.headline(best, opened.problem.judge(best))
        out.print(f"best:     {reached}", markup=False)
    if goal is not None:
        out.print(f"reached:  {goal}", markup=False)
