"""work: one more worker of a study, on any machine."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import (
    AddressOption,
    BudgetOption,
    CpusOption,
    EngineOption,
    GoOnOption,
    GpusOption,
    JsonOption,
    MemoryOption,
    MethodOption,
    NameOption,
    RetryOption,
    SeedOption,
    StopAtOption,
    StoreOption,
    TimeoutOption,
    console,
    emit,
    open_store,
    place_of,
    quiet_stdout,
)
from .trust import AcceptOption, TrustOption


def work(
    study: Annotated[
        str,
        typer.Argument(
            help="A study in the store; or study.toml, file.py:name or a registered problem: the "
            "first worker begins the study, the others join it."
        ),
    ],
    store: StoreOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=1, help="Evaluations after which this worker ends.", show_default="none"
        ),
    ] = None,
    retry: RetryOption = 0,
    evaluation_timeout: TimeoutOption = None,
    budget: BudgetOption = None,
    method: MethodOption = None,
    seed: SeedOption = 0,
    name: NameOption = None,
    stop_at: StopAtOption = None,
    go_on: GoOnOption = False,
    trust: TrustOption = False,
    accept_changes: AcceptOption = False,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", min=1, help="With --engine ray: how many; 1 stands for as many as fit."
        ),
    ] = 1,
    engine: EngineOption = "local",
    address: AddressOption = None,
    cpus: CpusOption = None,
    gpus: GpusOption = 0.0,
    memory: MemoryOption = None,
    json: JsonOption = False,
) -> None:
    """Ask for experiments of a study, run them and tell the results, until its budget is used up;
    start as many of these as you like, on any number of machines. Ends with 143 after SIGTERM: what
    it had in hand is finished within 5 s or given back.
    """
    import contextlib

    from ..core.errors import ArgumentError
    from ..lab.leaving import ENDED, in_order
    from ..lab.working import Worker
    from .opening import join_or_begin

    place = place_of(engine, address, cpus, gpus, memory)
    if place == "local" and workers > 1:
        raise ArgumentError("--workers is for --engine ray; here start 'feasible work' as often")
    where = open_store(store)
    opened, began = join_or_begin(
        where, study, budget, method, seed, name, trust, accept_changes, stop_at
    )
    note = console(stderr=True)
    if began:
        note.print(began, markup=False)
    quiet = quiet_stdout() if json else contextlib.nullcontext()
    if place == "local":
        worker = Worker(opened, retry=retry, timeout=evaluation_timeout, go_on=go_on)
        with in_order(worker) as told, quiet:
            made = worker.work(limit)
        ended, who = told.is_set(), "this worker"
    else:
        with quiet:
            made = opened.work(
                retry=retry,
                timeout=evaluation_timeout,
                limit=limit,
                go_on=go_on,
                workers=workers,
                engine=place,
            )
        ended, who = False, "workers on Ray"
    left = opened.left()
    if json:
        emit({"study": opened.name, "made": made, "left": left, "ended": ended})
    else:
        said = "told to end; " if ended else ""
        console().print(
            f"study {opened.name}: {said}{made} evaluations made by {who}; {left:g} "
            f"{opened.resource} left",
            markup=False,
        )
    if ended:
        raise typer.Exit(ENDED)
