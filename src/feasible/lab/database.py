"""Opening a database for the store: where it is, its schema, short transactions, errors that say
what to do.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..core.errors import StoreError
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
DEFAULT = "sqlite:///feasible.db"
LOCK_SECONDS = 60.0
"""How long a writer waits for another one."""
_INHERITED: list[Any] = []
"""Connections that a fork copied: kept, never used, so that no finaliser closes them on the
parent's behalf.
"""


class StoreWarning(UserWarning):
    """Something about where the store lives that may cost data."""


def resolve(where: Any) -> str:
    """Return a database URL from a URL, a path, or None (./feasible.db).

    Examples:
        >>> resolve("runs.db"), resolve(None)
        ('sqlite:///runs.db', 'sqlite:///feasible.db')
    """
    if where is None:
        return DEFAULT
    text = os.fspath(where) if isinstance(where, os.PathLike) else str(where)
    return text if "://" in text else f"sqlite:///{text}"


def sqlite_file(where: Any) -> Path | None:
    """Return the file of an SQLite store; None for other databases."""
    url = resolve(where)
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


class Database:
    """An open database with the tables of the store.

    Args:
        where: A database URL, a path of an SQLite file, or None for ./feasible.db.

    Raises:
        StoreError: It is read-only, locked, full, from a newer schema, or not a database; the
            message says what to do.
    """

    def __init__(self, where: Any = None):
        self.url = resolve(where)
        self.sqlite = self.url.startswith("sqlite")
        try:
            url = sa.make_url(self.url)
            options: dict[str, Any] = (
                {
                    "connect_args": {"timeout": LOCK_SECONDS, "check_same_thread": False},
                    "poolclass": sa.pool.QueuePool,
                }
                if self.sqlite
                else {}
            )
            if self.sqlite and url.database in (None, "", ":memory:"):
                raise StoreError(
                    f"store '{self.url}': expected a file, for example sqlite:///feasible.db; "
                    "without a store a run is in memory"
                )
            self.engine = sa.create_engine(url, **options)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise StoreError(
                f"store '{self.url}' cannot be understood: {error}; expected sqlite:///FILE or "
                "postgresql://..."
            ) from None
        self.path = Path(str(url.database)) if self.sqlite else None
        self._insert = sqlite_insert if self.sqlite else pg_insert
        self._pid = os.getpid()
        self._raw: Any = None
        self._sql = ""
        if self.sqlite:
            sa.event.listen(self.engine, "connect", _prepare)
            sa.event.listen(self.engine, "begin", _begin)
            assert self.path is not None
            if not self.path.parent.exists():
                raise StoreError(
                    f"store '{self.url}': the folder {self.path.parent} does not exist"
                )
            self._warn_network()
        with self.reporting():
            self._migrate()

    def _warn_network(self) -> None:
        """Warn where SQLite's file is on a network file system."""
        assert self.path is not None
        kind = file_system(self.path.parent)
        if kind in NETWORK:
            warnings.warn(
                f"store {self.path} is on a network file system ({kind}), where SQLite can lose "
                "data when several machines write: "
                "use a local path, or a PostgreSQL URL",
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
            raise StoreError(f"store '{self.url}': {text}; {advice}") from error
        except sqlite3.Error as error:
            raise StoreError(f"store '{self.url}': {error}") from error

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One short write transaction."""
        self.forked()
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

    def forked(self) -> Self:
        """Return the store for this process: connections must not cross a fork."""
        if os.getpid() == self._pid:
            return self
        _INHERITED.append((self.engine.pool, self._raw))
        self.engine.dispose(close=False)
        self._raw = None
        self._pid = os.getpid()
        return self

    def close(self) -> None:
        """Close all connections."""
        if self._raw is not None and self._pid == os.getpid():
            self._raw.close()
            self._raw = None
        self.engine.dispose()


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
    cursor.execute("PRAGMA synchronous=NORMAL")
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
