"""Removing what a store has: races, runs and studies whole, and single experiments of a study."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ..core.errors import ArgumentError, RunBusy
from .driving import row_in
from .owner import held
from .rows import RunRow, read_evaluation
from .schema import answers, checkpoints, evaluations, points, runs
from .serial import dump
from .store import Store


def delete_run(store: Store, row: RunRow) -> None:
    """Remove a run or study with everything that is stored of it.

    Raises:
        RunBusy: A live process drives it.
        ArgumentError: It is a trial of a race, which is removed as a whole.
    """
    if row.race is not None:
        raise ArgumentError(f"'{row.name}' is a trial of a race: delete the race")
    if held(row.owner, row.lease, row.updated, now=store.clock()):
        raise RunBusy(f"'{row.name}' is being driven by a live process: end it first")
    with store.write(row.id) as connection:
        for table in (evaluations, points, checkpoints, answers):
            connection.execute(sa.delete(table).where(table.c.run == row.id))
        connection.execute(sa.delete(runs).where(runs.c.id == row.id))


def delete_experiment(store: Store, study: RunRow, number: int) -> None:
    """Remove one experiment of a study: its unit goes back to the budget, its id is not given
    again, and the method learns anew from the others. Proposals that were made before are refused.

    Args:
        store: Where the study is.
        study: The study.
        number: The experiment's id.

    Raises:
        ArgumentError: The study has no such experiment, or is a run, whose rows are its record.
    """
    if study.kind != "study":
        raise ArgumentError(
            f"'{study.name}' is a {study.kind}: its rows are its record; delete it as a whole"
        )
    mine = (evaluations.c.run == study.id) & (evaluations.c.row == number)
    with store.write(study.id) as connection:
        found = None
        if 0 <= number < 2**63:
            found = connection.execute(sa.select(evaluations).where(mine)).first()
        if found is None:
            raise ArgumentError(
                f"--row {number}: study '{study.name}' has no experiment of that id"
            )
        charged = read_evaluation(found).charged
        now = row_in(connection, study.id)
        left: dict[str, Any] = {
            unit: amount - charged.get(unit, 0) for unit, amount in now.reserved.items()
        }
        connection.execute(sa.delete(evaluations).where(mine))
        connection.execute(sa.delete(checkpoints).where(checkpoints.c.run == study.id))
        connection.execute(
            sa.update(runs)
            .where(runs.c.id == study.id)
            .values(
                version=now.version + 1, fence=now.fence + 1, reserved=dump(left), state="running"
            )
        )
