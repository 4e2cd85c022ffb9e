"""solve, resume, show: single runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.evaluating import RunOptions
from .common import (
    AddressOption,
    BudgetOption,
    CpusOption,
    EngineOption,
    GoOnOption,
    GpusOption,
    JobsOption,
    JsonOption,
    MemoryOption,
    RetryOption,
    StopAtOption,
    StoreOption,
    TakeOverOption,
    ThreadsOption,
    TimeoutOption,
    WorkersOption,
    console,
    emit,
    open_store,
    place_of,
    quiet_stdout,
)
from .holding import list_store
from .trust import AcceptOption, TrustOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ..core.result import Result
    from ..lab.rows import RunRow
    from ..lab.store import Store


def solve(
    problem: Annotated[
        str, typer.Argument(help="A registered problem (see `feasible problems`) or file.py:name.")
    ],
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "-m",
            help="A method (`feasible methods`), with settings as cbo[n_particles=50], or "
            "file.py:Name. Without it the room chooses and says why.",
        ),
    ] = None,
    budget: BudgetOption = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    store: StoreOption = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the run; one that exists is resumed.")
    ] = None,
    on_failure: Annotated[
        str,
        typer.Option(
            "--on-failure", help="raise: stop at a failed evaluation; skip: record it and go on."
        ),
    ] = RunOptions.on_failure,
    retry: RetryOption = RunOptions.retry,
    workers: WorkersOption = RunOptions.workers,
    evaluation_timeout: TimeoutOption = RunOptions.evaluation_timeout,
    find_feasible: Annotated[
        bool, typer.Option("--find-feasible", help="Stop at the first feasible point.")
    ] = RunOptions.find_feasible,
    stop_at: Annotated[
        float | None,
        typer.Option(
            "--stop-at",
            help="Stop with the evaluation that is feasible and reaches this value of the "
            "objective.",
        ),
    ] = RunOptions.stop_at,
    threads: ThreadsOption = None,
    take_over: TakeOverOption = False,
    accept_changes: AcceptOption = False,
    engine: EngineOption = "local",
    address: AddressOption = None,
    cpus: CpusOption = None,
    gpus: GpusOption = 0.0,
    memory: MemoryOption = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File for the answer: design.json or .csv; arrays as .npz or .npy; trained "
            "weights as .safetensors.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Find the best answer within the limits and the budget."""
    from .. import api
    from ..core.budget import Budget
    from ..core.errors import BudgetError
    from ..core.output import check_output
    from ..core.registry import default_method, load_method, load_problem
    from ..lab.console import SolveProgress
    from ..lab.stored import method_label

    out = console(stderr=json)
    place = place_of(engine, address, cpus, gpus, memory)
    loaded = load_problem(problem)
    if output is not None:
        check_output(loaded, output)
    if method is not None:
        load_method(method)
    if budget is None:
        raise BudgetError(
            "the budget is missing: say what may be spent, for example --budget evaluations=200"
        )
    parsed = Budget.parse(budget)
    if method is None:
        chosen, reason = default_method(loaded, parsed, batches=workers > 1)
        out.print(f"method: {method_label(chosen)}, because {reason}", markup=False)
    progress = SolveProgress(out)
    with quiet_stdout() if json else contextlib.nullcontext():
        try:
            result = api.solve(
                problem,
                method,
                parsed,
                seed,
                (progress,),
                open_store(store),
                name=name,
                on_failure=on_failure,
                retry=retry,
                workers=workers,
                evaluation_timeout=evaluation_timeout,
                find_feasible=find_feasible,
                progress=False,
                stop_at=stop_at,
                threads=threads,
                take_over=take_over,
                accept_changes=accept_changes,
                engine=place,
            )
        finally:
            progress.stop()
    if output is not None and result.answer is not None:
        result.save(output)
    if json:
        emit(_as_json(result, "interrupted" if "interrupted" in result.stopped else "finished"))
        _exit(result)
        return
    _print(out, result)
    if output is not None and result.answer is not None:
        out.print(f"written:  {output}", markup=False)
    where = f" --store {store}" if store else ""
    if "interrupted" in result.stopped:
        out.print(f"go on:    feasible resume {result.run}{where}", markup=False)
    out.print(f"again:    feasible show {result.run}{where}", markup=False)
    _exit(result)


def _exit(result: Result) -> None:
    """An interrupted command must not look like a finished one to the script that called it."""
    if result.stopped.startswith("interrupted"):
        raise typer.Exit(130)


def _print(out: Any, result: Result) -> None:
    from ..lab.console import show_design

    show_design(out, result.table())
    out.print()
    out.print(result.text(), markup=False)


def _as_json(
    result: Result, state: str, reserved: dict[str, float] | None = None
) -> dict[str, Any]:
    """A result as every command prints it."""
    return {**result.to_dict(), "state": state, "reserved": reserved or {}}


def resume(
    reference: Annotated[str, typer.Argument(metavar="RUN|RACE|STUDY", help="Name or number.")],
    store: StoreOption = None,
    add: Annotated[
        str | None, typer.Option("--add", help="Extend the budget, for example evaluations=20.")
    ] = None,
    jobs: JobsOption = 1,
    evaluation_timeout: Annotated[
        float | None,
        typer.Option(
            "--evaluation-timeout", help="Of a study: seconds after which an evaluation is killed."
        ),
    ] = None,
    on_failure: Annotated[
        str | None,
        typer.Option(
            "--on-failure",
            help="Of a run, from now on: raise or skip, as for `feasible solve`.",
        ),
    ] = None,
    stop_at: StopAtOption = None,
    go_on: GoOnOption = False,
    trust: TrustOption = False,
    take_over: TakeOverOption = False,
    accept_changes: AcceptOption = False,
    engine: EngineOption = "local",
    address: AddressOption = None,
    cpus: CpusOption = None,
    gpus: GpusOption = 0.0,
    memory: MemoryOption = None,
    json: JsonOption = False,
) -> None:
    """Go on with a run or race that was stopped, or work on a study whose problem has a function.
    Nothing is paid for twice.
    """
    from ..core.budget import Budget
    from ..core.errors import ArgumentError
    from ..core.run import foretell
    from ..lab.again import check_source
    from ..lab.console import RaceProgress, SolveProgress
    from ..lab.placing import cluster_of
    from ..lab.race import resume_race
    from ..lab.shown import shown_problem
    from ..lab.stored import build_method, build_problem, drive, extend, stored_result
    from ..lab.trust import sources
    from .races import print_race
    from .trust import confirm

    place = place_of(engine, address, cpus, gpus, memory)
    cluster = cluster_of(place)
    where = open_store(store, existing=True)
    row = where.find_run(reference)
    out = console(stderr=json)
    if row is None and (found := where.find_race(reference)) is not None:
        if add:
            raise ArgumentError(
                "--add extends a run or a study; the trials of a race all have the same budget"
            )
        if on_failure is not None:
            raise ArgumentError("--on-failure is for runs; a race keeps what it began with")
        confirm(sources(found["spec"]), trust=trust)
        watching = RaceProgress(out)
        with quiet_stdout() if json else contextlib.nullcontext():
            try:
                race = resume_race(
                    where,
                    reference,
                    jobs=jobs,
                    observers=watching,
                    trust=True,
                    accept_changes=accept_changes,
                    engine=place,
                )
            finally:
                watching.stop()
        print_race(out, race, json=json, store=store)
        return
    row = where.run(reference)
    if row.kind != "study" and (stop_at is not None or go_on):
        raise ArgumentError("--stop-at, --go-on are for studies; a run keeps what it began with")
    if add:
        row = extend(where, row, Budget.parse(add), take_over=take_over)
    if on_failure is not None and row.kind == "solve":
        options = {**row.spec.get("options", {}), "on_failure": on_failure}
        RunOptions(**options)
        spec = {**row.spec, "options": options}
        row = where.amend_run(row.id, lambda _: {"spec": spec}, take_over=take_over)
    if row.kind == "study":
        from .opening import open_study

        study = open_study(where, row, trust=trust, works=True, accept=accept_changes)
        if cluster is not None and not study.experiments.automatic:
            raise ArgumentError(
                f"--engine {engine}: people run the experiments of study '{row.name}', with "
                "'feasible ask' and 'feasible tell'"
            )
        if stop_at is not None:
            study.aim(stop_at)
        if study.experiments.automatic:
            workers = jobs if cluster is not None else 1
            made = study.work(
                timeout=evaluation_timeout, go_on=go_on, workers=workers, engine=place
            )
            who = "this worker" if cluster is None else "workers on Ray"
            out.print(f"{made} evaluations made by {who}", markup=False)
        result = study.result()
    elif row.state == "finished":
        result = stored_result(where, row, shown_problem(row))
        out.print(
            f"run '{row.name}' is finished: {row.result['stopped'] if row.result else ''}; extend "
            "it with --add evaluations=N",
            markup=False,
        )
    else:
        confirm(sources(row.spec), trust=trust)
        problem, method = build_problem(row), build_method(row.spec.get("method"), row.method)
        row, said = check_source(where, row, problem, method, accept=accept_changes)
        foretell(problem, method, Budget(**row.budget), "all of the run, ")
        progress = SolveProgress(out)
        with quiet_stdout() if json else contextlib.nullcontext():
            try:
                result = drive(
                    where,
                    row,
                    problem,
                    method,
                    observers=(progress,),
                    notes=[*_notes(row), *said],
                    take_over=take_over,
                    cluster=cluster,
                )
            finally:
                progress.stop()
    if json:
        row = where.run(row.id)
        emit(_as_json(result, row.state, row.reserved))
    else:
        _print(out, result)
    if row.kind == "solve":
        _exit(result)


def _notes(row: RunRow) -> list[str]:
    return [f"method chosen: {row.spec['chosen']}"] if row.spec.get("chosen") else []


def show(
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|RACE|STUDY]",
            help="Name or number; without it all that the store holds is listed.",
        ),
    ] = None,
    store: StoreOption = None,
    rows: Annotated[
        bool,
        typer.Option(
            "--rows", help="Every evaluation with its constraints, or every trial, one row each."
        ),
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="These rows as CSV.")] = False,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Write the answer here, as `feasible solve` does."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show a run, a race or a study: design, constraints one by one, what was spent, failures; or
    list what the store holds. Nothing that the store names is imported or run.
    """
    from ..lab.shown import StoredProblem, shown_problem
    from ..lab.standing import as_it_stands

    where = open_store(store, existing=True)
    out = console()
    if reference is None:
        list_store(where, out, json=json)
        return
    row = where.find_run(reference)
    if row is None and where.find_race(reference) is not None:
        from ..lab.race import load_race
        from .races import print_race

        race = load_race(where, reference)
        if rows or csv:
            _print_frame(race.to_frame(), csv=csv, json=json)
        else:
            print_race(out, race, json=json, store=store)
        return
    row = where.run(reference)
    if output is not None:
        path = as_it_stands(where, row).save(output)
        out.print(f"written:  {path}", markup=False)
        return
    if rows or csv:
        _print_frame(_frame(where, row), csv=csv, json=json)
        return
    told = not isinstance(shown_problem(row), StoredProblem)
    if told and (row.kind == "study" or row.state != "finished"):
        result = as_it_stands(where, row)
        if json:
            emit({**_as_json(result, row.state, row.reserved), "budget": row.budget})
            return
        _print(out, result)
        budget = ", ".join(
            f"{result.spent.get(r, 0):g} of {limit:g} {r}" for r, limit in row.budget.items()
        )
        out.print(f"budget:   {budget}; state: {row.state}", markup=False)
        return
    if json:
        from ..lab.stored import stored_document

        emit(stored_document(row, where.count(row.id)))
        return
    _show_stored(where, row, out)


def _print_frame(frame: pd.DataFrame, *, csv: bool, json: bool) -> None:
    """Print rows as a table for people, as CSV, or as JSON."""
    from ..lab.tables import harmless_csv

    if json:
        emit(frame.to_dict(orient="records"))
    else:
        typer.echo(harmless_csv(frame) if csv else frame.to_string(index=False), nl=not csv)


def _show_stored(where: Store, row: RunRow, out: Any) -> None:
    from ..lab.console import show_design

    if row.result and "design" in row.result:
        show_design(out, row.result["design"])
        out.print()
        out.print(row.result["text"], markup=False)
        out.print(
            "versions: " + ", ".join(f"{k} {v}" for k, v in row.result["versions"].items()),
            markup=False,
        )
    else:
        out.print(
            f"{row.problem} by {row.method}: {row.state}, {where.count(row.id)} evaluations stored",
            markup=False,
        )
        if row.result and "error" in row.result:
            out.print(row.result["error"], markup=False)
    out.print(
        f"budget:   {', '.join(f'{v:g} {k}' for k, v in row.budget.items())}; seed {row.seed}; "
        f"state: {row.state}",
        markup=False,
    )


def _frame(where: Store, row: RunRow) -> Any:
    import pandas as pd

    from ..lab.shown import StoredProblem, shown_problem
    from ..lab.sizing import stored_rows

    stored = where.evaluations(row.id)
    if not stored:
        return pd.DataFrame()
    problem = shown_problem(row)
    if isinstance(problem, StoredProblem):
        return pd.DataFrame(
            [
                {
                    "id": r.row,
                    **dict(zip(problem.names or _numbered(r.x), r.x, strict=True)),
                    **r.metrics,
                    "violation": r.violation,
                    "reason": r.reason or "",
                }
                for r in stored
            ]
        )
    frame = problem.frame(stored_rows(problem, row, stored))
    if any(r.note for r in stored):
        frame["note"] = [r.note or "" for r in stored]
    return frame


def _numbered(x: Sequence[float]) -> list[str]:
    """Return names for components that have none."""
    return [f"x{i + 1}" for i in range(len(x))]
