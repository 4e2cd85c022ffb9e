"""delete: races, runs, studies, and single experiments of a study."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .common import StoreOption, console, open_store


def delete(
    name: Annotated[str, typer.Argument(help="A study, run or race in the store.")],
    row: Annotated[
        int | None,
        typer.Option("--row", help="Of a study: delete only the experiment of this id."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: StoreOption = None,
) -> None:
    """Delete a study, a run or a race, or one experiment of a study. What was paid for is gone."""
    from ..core.errors import ArgumentError
    from ..lab.removing import delete_experiment, delete_run

    where = open_store(store)
    race = None if row is not None else where.find_race(name)
    found = where.find_run(name)
    if found is None and race is None:
        found = where.run(name)  # says what there is
    if found is not None and race is not None:
        raise ArgumentError(f"'{name}' is a race and a run: give the number that 'show' lists")
    if found is not None and row is not None:
        what = f"experiment {row} of {found.kind} {found.name}"
    elif found is not None:
        what = f"{found.kind} {found.name} with its {found.rows} evaluations"
    else:
        assert race is not None
        what = f"race {race['name']} with all its trials"
    if not yes:
        if not sys.stdin.isatty():
            raise ArgumentError(f"delete {what}: nobody can be asked here; say --yes")
        if not typer.confirm(f"delete {what}?", default=False, err=True):
            raise typer.Exit(1)
    if found is not None and row is not None:
        delete_experiment(where, found, row)
    elif found is not None:
        delete_run(where, found)
    elif race is not None:
        where.delete_race(race["id"])
    console().print(f"deleted: {what}", markup=False)
