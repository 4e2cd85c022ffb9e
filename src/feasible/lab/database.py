"""Opening a database for the store: its schema, short transactions, errors that say what to do."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

import sqlalchemy as sa

from ..core.errors import StoreError
from ..core.secrets import legible
from .place import store_place
from .schema import HEAD, VERSION_TABLE
from .sqlite import SQLiteFile, StoreWarning as StoreWarning

T = TypeVar("T")
NAMES = 0
"""What a transaction locks that gives something a name."""


class Backend(Protocol):
    """The connections to a database of one kind.

    Attributes:
        url: Where it is, as messages name it, without a password.
        key: What names it in this process, however it is opened.
        beside: The path beside which files may be kept.
        read_only: True where it cannot be written.
        advice: What to do about an error, by a part of its text.
    """

    advice: ClassVar[Mapping[str, str]]
    url: str
    key: str
    beside: Path
    read_only: bool

    @property
    def engine(self) -> sa.Engine:
        """What makes the connections."""

    def finalize(self, owner: Any) -> None:
        """Close everything when its owner ends."""

    def open_to_read(self, fits: Callable[[], bool]) -> bool:
        """Open what may only be read; True where that is a copy, whose schema is to be made new."""

    def lock(self, connection: sa.Connection, what: int | None) -> None:
        """Let no other transaction change a run (its number) or give names (NAMES) until this one
        ends.
        """

    def clock(self) -> float:
        """Seconds since the epoch, by the clock that all who use the store share."""

    def retried(self, function: Callable[[], Any]) -> Any:
        """Call what may be called again where the connection broke."""

    def put(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Write rows of a ledger in one transaction; False where the claim is not the newest."""

    def held(self, keep: bool = False) -> contextlib.AbstractContextManager[None]:
        """Inside, the transactions of this thread share a connection; keep: those of the next time,
        too, if that is soon.
        """

    def connection(self, *, writes: bool) -> contextlib.AbstractContextManager[sa.Connection]:
        """Give a connection for a transaction."""

    def turn(self, run: int) -> contextlib.AbstractContextManager[object]:
        """Inside, others that ask of a study wait, for a while."""

    def forked(self) -> None:
        """Leave the parent's connections to it, where the process forked."""

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""


class _Turns(threading.local):
    """The studies whose turn a thread has."""

    def __init__(self) -> None:
        self.mine = set[int]()


def backend_of(place: Path | sa.URL, reading: bool = False) -> Backend:
    """Return the connections to where a store is; reading: it is never written."""
    if isinstance(place, Path):
        return SQLiteFile(place, reading)
    from .postgres import PostgreSQL

    return PostgreSQL(place, reading)


class Database:
    """An open database with the tables of the store: an SQLite file, or PostgreSQL.

    A commit is on the disk when it returns.

    Args:
        where: A path, the URL of an SQLite file or of a PostgreSQL database, or None for
            ./feasible.db.
        reading: The database is opened for reading only, and refuses writes; one with an older
            schema is read in a copy (SQLite) or refused (PostgreSQL).

    Attributes:
        url: Where it is, as messages name it, without a password.
        where: What opens it again: a path, or a URL. Not to be printed.
        beside: The path beside which files are kept that it cannot take.
        read_only: True where it cannot be written.
        copied: Whether what is read is a copy, made when it was opened.

    Raises:
        StoreError: It is locked, full, from a newer schema, not a database, cannot be reached, or
            is of another kind; the message says what to do.
    """

    def __init__(self, where: Any = None, *, reading: bool = False):
        self.where = store_place(where)
        self._backend, self._turns = backend_of(self.where, reading), _Turns()
        self.url, self.beside = self._backend.url, self._backend.beside
        self.read_only = self._backend.read_only
        with self.reporting():
            fresh = self.read_only and self._backend.open_to_read(lambda: self._fits(reading))
        self._backend.finalize(self)
        if fresh or not self.read_only:
            self.read_only = False  # a copy is brought to this code's schema
            with self.reporting():
                self._migrate()
            self.read_only = fresh
        self.copied = bool(fresh)

    @property
    def engine(self) -> sa.Engine:
        """What makes the connections."""
        return self._backend.engine

    @property
    def path(self) -> Path | None:
        """Its file; None in PostgreSQL."""
        return self.where if isinstance(self.where, Path) else None

    def clock(self) -> float:
        """Seconds since the epoch, by the clock that all who use the store share."""
        return self._backend.clock()

    def retried(self, function: Callable[[], T]) -> T:
        """Call what may be called again, also where the connection broke in between.

        Args:
            function: Has the same effect however often it is called.
        """
        found: T = self._backend.retried(function)
        return found

    def _migrate(self) -> None:
        """Bring the tables to the schema of this code, whoever else opens the store now."""
        if self._schema() == HEAD:
            return
        with self.write(NAMES) as connection:
            have = self._version(connection)
            if have == HEAD:
                return
            known = {
                p.name.split("_")[0]
                for p in (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*.py")
            }
            if have is not None and have not in known:
                raise StoreError(
                    f"store '{self.url}' has schema version {have}, this feasible knows versions "
                    f"up to {HEAD}: it was written by a "
                    "newer feasible; upgrade with 'pip install --upgrade feasible'"
                )
            from alembic import command
            from alembic.config import Config

            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)

    def _fits(self, reading: bool) -> bool:
        """Return whether the schema is this code's. Raises StoreError where it is only read, and
        is no store.
        """
        have = self._schema()
        if have is None and reading:
            raise StoreError(
                f"store '{self.url}' is a database without a feasible store in it: `feasible "
                "solve`, `race` or `ask` begins one"
            )
        return have == HEAD

    def _schema(self) -> str | None:
        """Return the schema version that the database has."""
        with self.engine.connect() as connection:
            return self._version(connection)

    def _version(self, connection: sa.Connection) -> str | None:
        """Return the schema version that a connection sees; None in an empty database."""
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
        return None if found is None else str(found)

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Turn database errors into a StoreError that says what to do."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            text = legible(str(error.orig)).strip()
            advice = next(
                (a for key, a in self._backend.advice.items() if key in text.lower()),
                "see the message of the database",
            )
            raise StoreError(f"store '{self.url}': {text}; {advice}") from error
        except sqlite3.Error as error:
            raise StoreError(f"store '{self.url}': {legible(str(error))}") from error

    @contextlib.contextmanager
    def write(self, lock: int | None = None) -> Iterator[sa.Connection]:
        """One short write transaction.

        Args:
            lock: The run (its number) that nobody else may change meanwhile, or NAMES. In an
                SQLite file nobody else writes anything.
        """
        self.forked()
        self.check_writable()
        backend = self._backend
        with self.reporting(), backend.connection(writes=True) as connection, connection.begin():
            backend.lock(connection, lock)
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A consistent read that never blocks a writer."""
        self.forked()
        with self.reporting(), self._backend.connection(writes=False) as connection:
            yield connection

    @contextlib.contextmanager
    def held(self, *, keep: bool = False) -> Iterator[None]:
        """Inside, the transactions of this thread share one connection where making one costs; it
        is given up at the end.

        Args:
            keep: It is given up a moment later, so that the next time may have it.
        """
        self.forked()
        with self._backend.held(keep):
            yield

    @contextlib.contextmanager
    def turn(self, run: int) -> Iterator[None]:
        """Inside, others that ask of a study wait their turn: of many proposals that are made at
        once all but one would be in vain. Who waits too long goes on; whose turn it is has it once.

        Args:
            run: Number of the study.
        """
        self.forked()
        mine = self._turns.mine
        if run in mine:
            yield
            return
        mine.add(run)
        try:
            with self.reporting(), self._backend.turn(run):
                yield
        finally:
            mine.discard(run)

    def put(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Write rows of a ledger in one transaction; False where the claim is not the newest."""
        self.forked()
        self.check_writable()
        with self.reporting():
            return self._backend.put(rows)

    def check_writable(self) -> None:
        """Raise StoreError where the store may only be read."""
        if self.read_only:
            raise StoreError(f"store '{self.url}' is readonly: {self._backend.advice['readonly']}")

    def forked(self) -> Self:
        """Return the store for this process: connections must not cross a fork."""
        self._backend.forked()
        return self

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
