"""A store in an SQLite file: write-ahead log, durable commits, one writer at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa

from ..core.errors import StoreError
from ..core.secrets import legible
from . import turns
from .place import store_url
from .recording import RECORD

NETWORK = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "afs",
    ]
) | {"fuse.sshfs", "fuse.glusterfs"}
"""Kinds of file systems on which SQLite's locks do not hold between machines."""
LOCK_SECONDS = 60.0
"""How long a writer waits for another one."""
_INHERITED: list[Any] = []
"""Connections that a fork copied: kept, never used, so that no finaliser closes them on the
parent's behalf.
"""


class StoreWarning(UserWarning):
    """Something about where the store lives that may cost data."""


@dataclass(slots=True)
class _Open:
    """What an open database holds of the system, apart from it, so that it can be shut after it.

    Attributes:
        engine: Makes the connections.
        pid: The process whose connections they are.
        raw: The connection that rows of a ledger are written on, once there is one.
        copied: The folder of a copy, where the store itself cannot be opened for reading.
    """

    engine: sa.Engine
    pid: int
    raw: Any = None
    copied: str | None = None

    def shut(self, *, writes: bool) -> None:
        """Bring what is in the log into the file, and close all connections.

        Another process that reads just now keeps the log; the last one to close empties it.
        """
        if os.getpid() != self.pid:
            return
        if writes and (self.raw is not None or self.engine.pool.checkedin()):  # type: ignore[attr-defined]
            with contextlib.suppress(sa.exc.SQLAlchemyError, sqlite3.Error):
                raw = self.raw or self.engine.raw_connection()
                cursor = raw.cursor()
                cursor.execute("PRAGMA busy_timeout=0")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                cursor.close()
                if raw is not self.raw:
                    raw.invalidate()
        if self.raw is not None:
            self.raw.close()
            self.raw = None
        self.engine.dispose()

    def end(self, *, writes: bool) -> None:
        """Shut it for good."""
        self.shut(writes=writes)
        if self.copied is not None and os.getpid() == self.pid:
            shutil.rmtree(self.copied, ignore_errors=True)


class SQLiteFile:
    """The connections to an SQLite file.

    A commit is on the disk when it returns (`synchronous=FULL`). The log is brought into the file
    when the database is closed, at the latest when the program ends. A file or a folder that may
    only be read is opened for reading; where that needs a newer schema, a copy of it.

    Args:
        path: The file.
        reading: It is opened for reading only, while others may write it.

    Attributes:
        url: Where it is, as messages name it.
        key: What names it in this process, however it is opened.
        beside: The path beside which files may be kept.
        read_only: True where it cannot be written.
        advice: What to do about an error, by a part of its text.

    Raises:
        StoreError: The folder is missing; or the file, where it is only read.
    """

    advice: ClassVar[Mapping[str, str]] = {
        "readonly": "the file or its folder is read-only: copy it to a place that you may write",
        "unable to open": "the folder must exist and be writable",
        "disk is full": "free some space; everything that was committed is safe, and "
        "'feasible resume' goes on",
        "disk i/o": "the disk refused; everything that was committed is safe",
        "not a database": "the file is something else: name another one",
        "malformed": "the file is damaged: restore a copy, or recover it with "
        "'sqlite3 FILE .recover'",
        "locked": f"another process held it for over {LOCK_SECONDS:g} s: end that process or wait",
    }

    def __init__(self, path: Path, reading: bool = False):
        self.path = self.beside = path
        self.url = legible(str(path))
        self.key = str(path.resolve())
        if not path.parent.exists():
            raise StoreError(f"store '{self.url}': the folder {path.parent} does not exist")
        if reading and not path.is_file():
            raise StoreError(f"there is no store at {self.url}")
        self._warn_network()
        self._still = path.is_file() and not (
            os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        )
        self.read_only = reading or self._still
        self._open = _Open(self._engine(store_url(path)), os.getpid())

    def finalize(self, owner: Any) -> None:
        """Close everything when its owner ends."""
        weakref.finalize(owner, self._open.end, writes=not self.read_only)

    @property
    def engine(self) -> sa.Engine:
        """What makes the connections."""
        return self._open.engine

    def _engine(self, url: sa.URL, mode: str = "") -> sa.Engine:
        """Return an engine for a file; mode: how SQLite opens one that is only read."""
        options: dict[str, Any] = {"timeout": LOCK_SECONDS, "check_same_thread": False}
        if mode:
            name = Path(str(url.database)).as_uri() + mode
            made = sa.create_engine(
                "sqlite://",
                creator=lambda: sqlite3.connect(name, uri=True, **options),
                poolclass=sa.pool.QueuePool,
            )
        else:
            made = sa.create_engine(url, connect_args=options, poolclass=sa.pool.QueuePool)
        sa.event.listen(made, "connect", _prepare)
        sa.event.listen(made, "begin", _begin)
        return made

    def open_to_read(self, fits: Callable[[], bool]) -> bool:
        """Open a file that may only be read: as it is, or, where the log of a process that died
        cannot be read beside it, or its schema is older, a copy of it.

        Args:
            fits: Says whether what is open now has the schema of this code.

        Returns:
            Whether it is a copy, whose schema is yet to be made new.
        """
        url, log = store_url(self.path), Path(f"{self.path}-wal")
        # where nobody may write beside it, and no process has it open, there is no log to read
        quiet = self._still and (not log.exists() or not log.stat().st_size)
        self._open.engine = self._engine(url, "?immutable=1" if quiet else "?mode=ro")
        with contextlib.suppress(sa.exc.DBAPIError):
            if fits():
                return False
        self._open.copied = tempfile.mkdtemp(prefix="feasible-")
        copy = Path(self._open.copied) / "store.db"
        try:
            for end in ("", "-wal"):
                if Path(f"{self.path}{end}").exists():
                    shutil.copyfile(f"{self.path}{end}", f"{copy}{end}")
        except OSError as error:
            raise StoreError(f"store '{self.url}' cannot be read: {error.strerror}") from None
        self._open.engine = self._engine(store_url(copy))
        return True

    def _warn_network(self) -> None:
        """Warn where SQLite's file is on a network file system."""
        kind = file_system(self.path.parent)
        if kind in NETWORK:
            warnings.warn(
                f"store {self.path} is on a network file system ({kind}), where SQLite can lose "
                "data when several machines write: "
                "use a local path",
                StoreWarning,
                stacklevel=5,
            )

    def lock(self, connection: sa.Connection, what: int | None) -> None:
        """Nothing: a transaction that writes has the whole file."""

    def clock(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def retried(self, function: Callable[[], Any]) -> Any:
        """Call a function: SQLite waits for its locks by itself."""
        return function()

    @contextlib.contextmanager
    def connection(self, *, writes: bool) -> Iterator[sa.Connection]:
        """Give a connection for a transaction."""
        with self.engine.connect() as connection:
            yield connection.execution_options(feasible_write=True) if writes else connection

    @contextlib.contextmanager
    def held(self, keep: bool = False) -> Iterator[None]:
        """Nothing: the pool keeps connections."""
        yield

    def turn(self, run: int) -> contextlib.AbstractContextManager[object]:
        """Inside, others of this user that ask of a study wait, for up to LOCK_SECONDS. A lock on
        the store's own file would end SQLite's.
        """
        return turns.turn(self.key, run, LOCK_SECONDS)

    def raw(self) -> Any:
        """Return the driver connection that rows of a ledger are written on."""
        if self._open.raw is None:
            self._open.raw = self.engine.raw_connection()
        return self._open.raw

    def put(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Insert rows on a driver connection of its own: SQLAlchemy's bookkeeping costs ten times
        the insert itself. False, and nothing is written, where the claim is not the newest.
        """
        cursor = self.raw().cursor()
        try:
            if len(rows) == 1:
                cursor.execute(RECORD, rows[0])
                return bool(cursor.rowcount)
            cursor.execute("BEGIN IMMEDIATE")
            cursor.executemany(RECORD, rows)
            taken = cursor.rowcount == len(rows)
            cursor.execute("COMMIT" if taken else "ROLLBACK")
            return bool(taken)
        except (
            BaseException
        ) as error:  # also an interrupt: a transaction left open would lock everybody out
            if len(rows) > 1:
                with contextlib.suppress(Exception):
                    cursor.execute("ROLLBACK")
            if not isinstance(error, Exception):
                raise
            raise sa.exc.OperationalError(RECORD, None, error) from error
        finally:
            cursor.close()

    def forked(self) -> None:
        """Leave the parent's connections to it, where the process forked."""
        if os.getpid() == self._open.pid:
            return
        _INHERITED.append((self.engine.pool, self._open.raw))
        self.engine.dispose(close=False)
        self._open.raw = None
        self._open.pid = os.getpid()

    def close(self) -> None:
        """Bring the log into the file and close all connections; the next use opens new ones."""
        self._open.shut(writes=not self.read_only)


def _prepare(raw: Any, _record: Any) -> None:
    """Set up a new SQLite connection: wait for others, log ahead, check references."""
    raw.isolation_level = None
    cursor = raw.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(LOCK_SECONDS * 1000)}")
    with contextlib.suppress(sqlite3.OperationalError):
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # a commit outlives a power cut once it returned
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    """Begin a transaction; one that will write takes the lock at once."""
    connection.exec_driver_sql(
        "BEGIN IMMEDIATE" if connection.get_execution_options().get("feasible_write") else "BEGIN"
    )


def file_system(path: Path) -> str:
    """Return the kind of file system that holds a path ('' where the system does not tell)."""
    import psutil

    here = path.resolve()
    holding = [
        mount for mount in psutil.disk_partitions(all=True) if here.is_relative_to(mount.mountpoint)
    ]
    deepest = max(reversed(holding), key=lambda mount: len(mount.mountpoint), default=None)
    return "" if deepest is None else str(deepest.fstype)
