"""Opening a database for the store: its schema, short transactions, durable commits, errors that
say what to do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from ..core.errors import StoreError
from ..core.secrets import legible
from .place import store_file, store_url
from .schema import HEAD, VERSION_TABLE

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


class Database:
    """An open SQLite database with the tables of the store.

    A commit is on the disk when it returns (`synchronous=FULL`). The log is brought into the file
    when the database is closed, at the latest when the program ends. A file or a folder that may
    only be read is opened for reading.

    Args:
        where: A path, the URL of an SQLite file, or None for ./feasible.db.

    Attributes:
        url: Where it is, as messages name it.
        path: Its file.
        read_only: True where it cannot be written.

    Raises:
        StoreError: It is locked, full, from a newer schema, not a database, or not SQLite; the
            message says what to do.
    """

    def __init__(self, where: Any = None):
        self.path = store_file(where)
        self.url = legible(str(self.path))
        if not self.path.parent.exists():
            raise StoreError(f"store '{self.url}': the folder {self.path.parent} does not exist")
        self._warn_network()
        self.read_only = self.path.is_file() and not (
            os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        )
        self._sql = ""
        self._open = _Open(self._engine(store_url(self.path)), os.getpid())
        if self.read_only:
            self._open_to_read()
        writes = not self.read_only
        self._end = weakref.finalize(self, self._open.end, writes=writes)
        if writes:
            with self.reporting():
                self._migrate()

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

    def _open_to_read(self) -> None:
        """Open a store that may only be read: as it is, or, where the log of a process that died
        cannot be read beside it, or its schema is older, a copy of it.
        """
        url, log = store_url(self.path), Path(f"{self.path}-wal")
        quiet = not log.exists() or not log.stat().st_size  # no process has it open
        self._open.engine = self._engine(url, "?immutable=1" if quiet else "?mode=ro")
        with contextlib.suppress(sa.exc.DBAPIError):
            if self._schema() == HEAD:
                return
        self._open.copied = tempfile.mkdtemp(prefix="feasible-")
        copy = Path(self._open.copied) / "store.db"
        try:
            for end in ("", "-wal"):
                if Path(f"{self.path}{end}").exists():
                    shutil.copyfile(f"{self.path}{end}", f"{copy}{end}")
        except OSError as error:
            raise StoreError(f"store '{self.url}' cannot be read: {error.strerror}") from None
        self._open.engine = self._engine(store_url(copy))
        self.read_only = False  # the copy is brought to this code's schema
        with self.reporting():
            self._migrate()
        self.read_only = True

    def _warn_network(self) -> None:
        """Warn where SQLite's file is on a network file system."""
        kind = file_system(self.path.parent)
        if kind in NETWORK:
            warnings.warn(
                f"store {self.path} is on a network file system ({kind}), where SQLite can lose "
                "data when several machines write: "
                "use a local path",
                StoreWarning,
                stacklevel=4,
            )

    def _migrate(self) -> None:
        """Bring the tables to the schema of this code, whoever else opens the store now."""
        if self._schema() == HEAD:
            return
        with self.write() as connection:
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
            text = str(error.orig)
            advice = next(
                (a for key, a in _ADVICE.items() if key in text.lower()),
                "see the message of the database",
            )
            raise StoreError(f"store '{self.url}': {legible(text)}; {advice}") from error
        except sqlite3.Error as error:
            raise StoreError(f"store '{self.url}': {legible(str(error))}") from error

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One short write transaction."""
        self.forked()
        self.check_writable()
        with self.reporting(), self.engine.connect() as connection:
            connection = connection.execution_options(feasible_write=True)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A consistent read that never blocks a writer."""
        self.forked()
        with self.reporting(), self.engine.connect() as connection:
            yield connection

    def check_writable(self) -> None:
        """Raise StoreError where the store may only be read."""
        if self.read_only:
            raise StoreError(f"store '{self.url}' is readonly: {_ADVICE['readonly']}")

    def raw(self) -> Any:
        """Return the driver connection that rows of a ledger are written on."""
        if self._open.raw is None:
            self._open.raw = self.engine.raw_connection()
        return self._open.raw

    def forked(self) -> Self:
        """Return the store for this process: connections must not cross a fork."""
        if os.getpid() == self._open.pid:
            return self
        _INHERITED.append((self.engine.pool, self._open.raw))
        self.engine.dispose(close=False)
        self._open.raw = None
        self._open.pid = os.getpid()
        return self

    def close(self) -> None:
        """Bring the log into the file and close all connections; the next use opens new ones."""
        self._open.shut(writes=not self.read_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_ADVICE = {
    "readonly": "the file or its folder is read-only: copy it to a place that you may write",
    "unable to open": "the folder must exist and be writable",
    "disk is full": "free some space; everything that was committed is safe, and 'feasible resume' "
    "goes on",
    "disk i/o": "the disk refused; everything that was committed is safe",
    "not a database": "the file is something else: name another one",
    "malformed": "the file is damaged: restore a copy, or recover it with 'sqlite3 FILE .recover'",
    "locked": f"another process held it for over {LOCK_SECONDS:g} s: end that process or wait",
}


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
