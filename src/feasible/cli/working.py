"""work: one more worker of a study, on any machine."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import (
    BudgetOption,
    GoOnOption,
    JsonOption,
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
    json: JsonOption = False,
) -> None:
    """Ask for experiments of a study, run them and tell the results, until its budget is used up;
    start as many of these as you like, on any number of machines. Ends with 143 after SIGTERM: what
    it had in hand is finished within 5 s or given back.
    """
    import contextlib

    from ..lab.leaving import ENDED, in_order
    from ..lab.working import Worker
    from .opening import join_or_begin

    where = open_store(store)
    opened, began = join_or_begin(
        where, study, budget, method, seed, name, trust, accept_changes, stop_at
    )
    note = console(stderr=True)
    if began:
        note.print(began, markup=False)
    worker = Worker(opened, retry=retry, timeout=evaluation_timeout, go_on=go_on)
    with in_order(worker) as told, quiet_stdout() if json else contextlib.nullcontext():
        made = worker.work(limit)
    left = opened.left()
    if json:
        emit({"study": opened.name, "made": made, "left": left, "ended": told.is_set()})
    else:
        said = "told to end; " if told.is_set() else ""
        console().print(
            f"study {opened.name}: {said}{made} evaluations made by this worker; {left:g} "
            f"{opened.resource} left",
            markup=False,
        )
    if told.is_set():
        raise typer.Exit(ENDED)
