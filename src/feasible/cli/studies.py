"""ask and tell: the experimenter's loop."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import BudgetOption, JsonOption, StoreOption, console, emit, open_store
from .trust import AcceptOption, TrustOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..lab.rows import RunRow
    from ..lab.store import Store
    from ..lab.study import Study


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
    method: Annotated[
        str | None,
        typer.Option(
            "--method", "-m", help="When beginning: the method; without it the room chooses."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="When beginning: the seed.")] = 0,
    name: Annotated[
        str | None, typer.Option("--name", help="When beginning: the name of the study.")
    ] = None,
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
    opened, began = _open_or_begin(
        where, study, budget, method, seed, name, dry_run, trust, accept_changes
    )
    note = console(stderr=True)
    if began:
        note.print(began, markup=False)
    left = opened.left()
    rows = opened.pending() if pending else opened.ask(n, dry_run=dry_run)
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
    method: Annotated[
        str | None, typer.Option("--method", "-m", help="With --known, when beginning: the method.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="With --known, when beginning: the seed.")
    ] = 0,
    name: Annotated[
        str | None, typer.Option("--name", help="With --known, when beginning: the name.")
    ] = None,
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
    from ..lab.tables import read_cell, read_table, read_text
    from ..lab.telling import StudyReport

    where = open_store(store)
    if known:
        opened, began = _open_or_begin(
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
    best = opened.best()
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


def show_study(store: Store, row: RunRow) -> Study:
    """Return a stored study that can be shown and told, by what the store holds; nothing that it
    names is imported. Raises ArgumentError for a run.
    """
    from ..core.problem import Method
    from ..lab.shown import shown_problem
    from ..lab.study import Study

    _check_kind(row)
    return Study(store, row, shown_problem(row), Method())


def _check_kind(row: RunRow) -> None:
    """Raise ArgumentError where a stored run is no study."""
    from ..core.errors import ArgumentError

    if row.kind != "study":
        raise ArgumentError(
            f"'{row.name}' is a {row.kind}, not a study: use 'feasible show' or 'feasible resume'"
        )


def open_study(
    store: Store,
    row: RunRow,
    *,
    trust: bool = False,
    given: str = "",
    works: bool = False,
    accept: bool = False,
    table: Mapping[str, Any] | None = None,
) -> Study:
    """Return a stored study, its problem and method built again.

    Args:
        store: Where it is.
        row: The study.
        trust: The user said that the code which it names may run.
        given: The problem as the user gave it just now, which needs no question.
        works: Its experiments will be run, by the command of its study file too.
        accept: Go on where the source or the study file changed: with the functions, methods and
            command of now; whatever else a study file says stays as the study began.
        table: The study file as the user gave it just now.

    Raises:
        ArgumentError: It is a run.
        NotTrusted: It names code that this user has not run before, and nobody could be asked.
        SourceChanged: The source or the study file changed, and that was not accepted.
    """
    from ..core.registry import load_method, read_study
    from ..lab.again import check_source
    from ..lab.fingerprint import STUDY_FILE, check_same
    from ..lab.shown import COMMAND, declared_problem
    from ..lab.stored import build_method, build_problem
    from ..lab.study import Study
    from ..lab.trust import SHELL, sources
    from .trust import confirm

    _check_kind(row)
    found = sources(row.spec, row.method)
    confirm((s for s in found if s.name != given and (works or s.what != SHELL)), trust=trust)
    spec, declared = row.spec.get("method"), row.spec.get("declared")
    method = load_method(row.method) if spec is None else build_method(spec, row.method)
    if declared is None:
        problem = build_problem(row)
        check_same(row, problem)
        row, _ = check_source(store, row, problem, method, accept=accept)
        return Study(store, row, problem, method)
    now = table or _file_now(row) or declared
    adopted = {k: v for k, v in now.items() if k in COMMAND}
    kept = {k: v for k, v in declared.items() if k not in COMMAND} | adopted
    if works:
        problem = read_study(kept).problem
        row, _ = check_source(store, row, problem, method, accept=accept, table=now)
    else:
        problem = declared_problem(kept)
        row, _ = check_source(
            store, row, problem, method, accept=accept, table=now, only=STUDY_FILE
        )
    if kept != declared:
        store.update_run(row.id, spec={**row.spec, "declared": kept})
    return Study(store, store.run(row.id), problem, method)


def _file_now(row: RunRow) -> dict[str, Any] | None:
    """Return the study file of a study as it is now; None where it is not there, or unreadable."""
    from ..core.errors import ArgumentError

    try:
        return read_toml(row.spec["file"]) if "file" in row.spec else None
    except ArgumentError:
        return None


def edited(row: RunRow) -> list[str]:
    """What changed in the file of a study since it began, see `fingerprint.differences`."""
    from ..lab.fingerprint import STUDY_FILE, differences, table_texts

    now, before = _file_now(row), row.spec.get("source")
    if now is None or before is None:
        return []
    old = {k: v for k, v in before.items() if k.startswith(STUDY_FILE)}
    return differences(old, table_texts(now))


def _open_or_begin(
    store: Store,
    reference: str,
    budget: str | None,
    method: str | None,
    seed: int,
    name: str | None,
    dry_run: bool,
    trust: bool,
    accept: bool,
) -> tuple[Study, str]:
    from ..core.budget import Budget
    from ..core.errors import ArgumentError, BudgetError
    from ..core.registry import StudyFile, default_method, load_method, load_problem, read_study
    from ..lab.rows import RunRow
    from ..lab.stored import method_label
    from ..lab.study import Study
    from ..lab.trust import remember, sources

    row = store.find_run(name or reference)
    declared: dict[str, Any] | None = None
    begun: StudyFile | None = None
    if reference.endswith(".toml"):
        declared = read_toml(reference)
    if row is None:
        if declared is not None:
            begun = read_study(declared)
        else:
            begun = StudyFile(load_problem(reference))
        row = store.find_run(name or begun.problem.name)
    if row is not None:
        opened = open_study(store, row, trust=trust, given=reference, accept=accept, table=declared)
        if budget is not None and dict(Budget.parse(budget)) != row.budget:
            raise ArgumentError(
                f"study '{row.name}' has the budget "
                f"{', '.join(f'{k}={v:g}' for k, v in row.budget.items())}: extend it with "
                f"'feasible resume {row.name} --add evaluations=N'"
            )
        if method is not None and load_method(method) != opened.method:
            raise ArgumentError(
                f"study '{row.name}' uses the method {row.method}, got --method {method}: begin "
                "another study with --name"
            )
        return opened, ""
    assert begun is not None
    problem = begun.problem
    given = budget or ",".join(f"{k}={v}" for k, v in begun.budget.items())
    if not given:
        raise BudgetError(
            f"study '{name or problem.name}' begins here and needs a budget: --budget "
            "evaluations=60"
        )
    limits = Budget.parse(given)
    method = method or begun.method
    if method is None:
        chosen, reason = default_method(problem, limits, batches=True)
        method = method_label(chosen)
        said = f"; method: {method}, because {reason}"
    else:
        chosen, said = load_method(method), f"; method: {method}"
    if dry_run:
        blank = RunRow(
            id=-1,
            name=name or problem.name,
            kind="study",
            race=None,
            problem=problem.name,
            method=method,
            seed=seed,
            budget=dict(limits),
            spec={},
        )
        return (
            _Unsaved(store, blank, problem, chosen),
            f"study {blank.name} would begin with budget {limits}{said}",
        )
    spec = {
        "problem": None if declared is not None else reference,
        "declared": declared,
        **({} if declared is None else {"file": str(Path(reference).resolve())}),
        "method": {"name": method},
    }
    remember(sources(spec))
    opened = Study.create(
        store, problem, chosen, limits, name=name, seed=seed, spec=spec, label=method
    )
    return opened, f"study {opened.name} begins with budget {limits}{said}"


def read_toml(path: str) -> dict[str, Any]:
    """Return the table of a study file; its name is the file's where it has none."""
    from ..core.errors import ArgumentError

    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"study file '{path}' is not UTF-8: byte {error.start} is "
            f"0x{error.object[error.start]:02x}; save it as UTF-8"
        ) from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ArgumentError(
            f"study file '{path}' cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if isinstance(table.get("candidates"), str):  # beside the study file, from wherever it is read
        table["candidates"] = str(Path(path).resolve().parent / table["candidates"])
    return {"name": Path(path).stem, **table}


def _unsaved() -> type:
    from ..lab.study import Study

    class Unsaved(Study):
        """A study that a dry run looks at before it exists."""

        def __init__(self, store: Store, row: RunRow, problem: Any, method: Any):
            super().__init__(store, row, problem, method)
            self._blank = row

        @property
        def row(self) -> RunRow:
            return self._blank

    return Unsaved


def _Unsaved(*arguments: Any) -> Study:  # noqa: N802
    made: Study = _unsaved()(*arguments)
    return made
