"""Who drives a run: claims, signs of life, and writes that bear the number of a claim."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from ..core.errors import RunBusy
from .database import Database
from .owner import LEASE_SECONDS, held, identity
from .rows import RunRow, read_run
from .schema import runs
from .serial import dump


class Driving(Database):
    """A store as far as it knows who drives which run."""

    def key(self, run: int) -> tuple[str, int]:
        """Return what names a run in this process, however its store is opened."""
        return self._backend.key, run

    def claim_run(self, run: int, *, take_over: bool = False) -> int:
        """Claim a run, and return the number of the claim, which every write of its driver bears.

        Args:
            run: Number of the run.
            take_over: Also where another driver holds it.

        Raises:
            RunBusy: Another driver holds it: it gave a sign of life less than LEASE_SECONDS ago,
                and was not seen to have ended.
        """
        with self.write(run) as connection:
            row = self._claimable(connection, run, take_over=take_over)
            fence, now = row.fence + 1, self.clock()
            connection.execute(
                sa.update(runs)
                .where(runs.c.id == run)
                .values(
                    owner=dump(identity()),
                    lease=now + LEASE_SECONDS,
                    fence=fence,
                    state="running",
                    updated=now,
                )
            )
        return fence

    def _claimable(self, connection: sa.Connection, run: int, *, take_over: bool = False) -> RunRow:
        """Return a run inside a transaction. Raises RunBusy where another driver holds it."""
        row = row_in(connection, run)
        if not take_over and held(row.owner, row.lease, row.updated, self.key(run), self.clock()):
            assert row.owner is not None
            raise RunBusy(
                f"run '{row.name}' is being driven by process {row.owner['pid']} on "
                f"{row.owner['host']}; wait for it, end it, or take it over (--take-over, "
                "take_over=True): what it writes is then refused"
            )
        return row

    def amend_run(
        self, run: int, change: Callable[[RunRow], Mapping[str, Any]], *, take_over: bool = False
    ) -> RunRow:
        """Change a run that nobody drives, in one transaction; a study, which has many workers, at
        any time.

        Args:
            run: Number of the run.
            change: Of the run as stored now, what to set.
            take_over: Also where another driver holds it.

        Raises:
            RunBusy: Another driver holds it.
        """
        with self.write(run) as connection:
            row = row_in(connection, run)
            if row.kind != "study":
                self._claimable(connection, run, take_over=take_over)
            values = {k: dump(v) if isinstance(v, dict) else v for k, v in change(row).items()}
            connection.execute(
                sa.update(runs).where(runs.c.id == run).values(updated=self.clock(), **values)
            )
            return row_in(connection, run)

    def renew(self, run: int, fence: int) -> bool:
        """Give a sign of life of a driver; False where it has the run no longer."""

        def once() -> bool:
            with self.write() as connection:
                renewed = connection.execute(
                    sa.update(runs)
                    .where(runs.c.id == run, runs.c.fence == fence, runs.c.owner.is_not(None))
                    .values(lease=self.clock() + LEASE_SECONDS)
                )
            return bool(renewed.rowcount == 1)

        return self.retried(once)

    def release_run(self, run: int, fence: int, **changed: Any) -> None:
        """Give a run back and set columns of it. Raises RunBusy where somebody else has it."""
        values = {k: dump(v) if isinstance(v, dict) else v for k, v in changed.items()}
        with self.fenced(run, fence) as connection:
            connection.execute(
                sa.update(runs)
                .where(runs.c.id == run)
                .values(owner=None, lease=None, updated=self.clock(), **values)
            )

    @contextlib.contextmanager
    def fenced(self, run: int, fence: int | None) -> Iterator[sa.Connection]:
        """One short write transaction of a run's driver. Raises RunBusy where its claim is not the
        newest; None: nothing is claimed.
        """
        with self.write(run) as connection:
            if fence is not None:
                newest = sa.select(runs.c.fence).where(runs.c.id == run)
                if connection.execute(newest).scalar() != fence:
                    raise taken_over(run)
            yield connection


def row_in(connection: sa.Connection, run: int) -> RunRow:
    """Return a run as a transaction sees it."""
    return read_run(connection.execute(sa.select(runs).where(runs.c.id == run)).one())


def taken_over(run: int) -> RunBusy:
    """Return the error of a driver whose claim is not the newest."""
    return RunBusy(
        f"run {run} was taken over by another driver meanwhile: what this one writes is refused"
    )
