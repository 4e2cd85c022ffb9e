"""A store in a PostgreSQL database, for many machines: no connection is held between transactions,
rows are locked for as long as a transaction lasts, and what broke in between is done again.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import random
import re
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa

from ..core.errors import StoreError
from ..core.extras import named
from ..core.secrets import legible
from . import turns
from .recording import RECORD, RECORDED
from .schema import evaluations, runs

OLDEST = 130000
"""Server versions before this are refused."""
PATIENCE = 60.0
"""Seconds for which a server that restarts, or has no connection left, is asked again."""
NAMING = 0xFEA51B1E
"""Key of the advisory lock of whatever gives names."""
ASKING = 0xFEA5
"""First key of the advisory locks of those who ask of a study; the second is its number."""
TURN = 0.5
"""Seconds for which one waits for its turn without giving the connection up."""
KEEP = 0.05
"""Seconds for which a connection is kept that may soon be wanted again."""
AGAIN = (
    # connections; too many of them; shutting down and starting; deadlock and serialisation
    *("08000", "08001", "08003", "08004", "08006", "53300"),
    *("57P01", "57P02", "57P03", "40P01", "40001"),
)
"""States (SQLSTATE) of errors that another try may not meet."""
BUSY = ("too many clients", "remaining connection slots", "starting up", "shutting down")
"""Texts of errors of connecting to a server that is there."""
FATAL = ("password authentication", "does not exist", "no pg_hba.conf", "name or service not known")
"""Texts of errors of connecting that another try would meet again."""
_TYPES = {sa.Integer: "bigint", sa.BigInteger: "bigint", sa.Float: "double precision"}
PUT = RECORD.replace("WHERE id = :run)", "WHERE id = :run FOR SHARE)")
"""`RECORD` in PostgreSQL's words; the share of the run's row keeps a claim from coming between."""
for _name in (*RECORDED, "fence"):
    _type = _TYPES.get(type(evaluations.c[_name].type), "text") if _name in RECORDED else "bigint"
    PUT = re.sub(rf":{_name}\b", f"%({_name})s::{_type}", PUT)


def tries() -> Iterator[bool]:
    """Yield before each try whether it is the last, for PATIENCE seconds, with growing pauses."""
    until, wait = time.monotonic() + PATIENCE, 0.05
    while True:
        yield time.monotonic() > until
        time.sleep(wait * (0.5 + random.random()))
        wait = min(2 * wait, 2.0)


class _Held(threading.local):
    """The connection that the transactions of a thread share for a while.

    Attributes:
        wanted: Whether they do now.
        busy: Whether a transaction is open on it.
        alone: Whether nobody else was asking when the thread asked last.
        connection: Once there is one.
    """

    wanted = busy = False
    alone = True
    connection: sa.Connection | None = None

    def drop(self) -> None:
        """Close it."""
        had, self.connection = self.connection, None
        if had is not None:
            had.close()


class _Kept:
    """Connections that may soon be wanted again, each by its thread. One that was not for KEEP
    seconds is closed by a thread of this object's own, which ends when there was none for a while.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[int, tuple[float, sa.Connection]] = {}
        self._closing: threading.Thread | None = None

    def put(self, connection: sa.Connection) -> None:
        """Keep a connection for this thread."""
        with self._lock:
            self._of[threading.get_ident()] = time.monotonic() + KEEP, connection
            if self._closing is None:
                self._closing = threading.Thread(target=self._close, name="idle", daemon=True)
                self._closing.start()

    def take(self) -> sa.Connection | None:
        """Return the connection of this thread, kept no longer; None where there is none."""
        with self._lock:
            _, found = self._of.pop(threading.get_ident(), (0.0, None))
        return found

    def _close(self) -> None:
        """Close what was idle for too long."""
        idle = 0
        while True:
            time.sleep(KEEP / 5)
            with self._lock:
                idle = 0 if self._of else idle + 1
                if idle > 100:
                    self._closing = None
                    return
            self.close(time.monotonic())

    def close(self, until: float = math.inf) -> None:
        """Close the connections that are kept until then."""
        with self._lock:
            old = [who for who, (end, _) in self._of.items() if end <= until]
            ended = [self._of.pop(who)[1] for who in old]
        for connection in ended:
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                connection.close()


_INHERITED: list[_Held | _Kept] = []
"""What a fork copied: kept, never used, so that no finaliser ends the parent's session."""


@cache
def _legible_dumper() -> type:
    """Return what writes texts to the server, which holds no zero byte: \\0 stands for it."""
    from psycopg.types.string import StrDumperUnknown

    class Legible(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\\0"))

    return Legible


class PostgreSQL:
    """The connections to a PostgreSQL database.

    Args:
        place: Its URL.
        reading: The server is told to refuse writes.

    Attributes:
        url: Where it is, as messages name it, without a password.
        key: What names it in this process, however it is opened.
        beside: The path beside which files may be kept: in the folder for temporary files.
        read_only: Whether the server was told to refuse writes; what else a role may not do, it
            says.
        advice: What to do about an error, by a part of its text.

    Raises:
        MissingExtra: psycopg is not installed.
        StoreError: The server is too old.
    """

    advice: ClassVar[Mapping[str, str]] = {
        "readonly": "the server refuses writes: connect to the primary, with a role that may write",
        "read-only": "the server refuses writes: connect to the primary, as a role that may write",
        "permission denied": "the role needs the right to create and change tables there: "
        "GRANT CREATE, USAGE ON SCHEMA public TO it",
        "password authentication": "give the password in the URL (%40 for @), PGPASSWORD or "
        "~/.pgpass",
        "no password supplied": "give the password in the URL (%40 for @), PGPASSWORD or ~/.pgpass",
        "does not exist": "create it first: createdb, createuser",
        "too many clients": f"no connection came free in {PATIENCE:g} s: raise max_connections",
        "refused": "the server does not answer there: is it running, and is the port right?",
        "no space": "free some space on the server; everything that was committed is safe",
        "disk full": "free some space on the server; everything that was committed is safe",
    }

    def __init__(self, place: sa.URL, reading: bool = False):
        self.url = legible(place.render_as_string(hide_password=True))
        mark = hashlib.sha256(
            f"{place.username}@{place.host}:{place.port or 5432}/{place.database}".encode()
        ).hexdigest()[:16]
        self.key = f"postgresql:{mark}"
        self.beside = Path(tempfile.gettempdir()) / f"feasible-{mark}"
        self.read_only = reading
        with named("a store on PostgreSQL"):
            import psycopg  # noqa: F401
        query = {"connect_timeout": "10", "keepalives_idle": "30"} | dict(place.query)
        if reading:
            only = "-c default_transaction_read_only=on"
            query["options"] = f"{query.get('options', '')} {only}".strip()
        url = place.set(drivername="postgresql+psycopg", query=query)
        self._engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        sa.event.listen(self._engine, "do_connect", self._connect)
        self._checked: int | None = None
        self._ahead = 0.0
        self._held, self._kept, self._pid = _Held(), _Kept(), os.getpid()

    @property
    def engine(self) -> sa.Engine:
        """What makes the connections."""
        return self._engine

    def finalize(self, owner: Any) -> None:
        """Close what is kept."""
        weakref.finalize(owner, self.close)

    def open_to_read(self, fits: Callable[[], bool]) -> bool:
        """Check the schema, which is not changed by who only reads."""
        if not fits():
            raise StoreError(
                f"store '{self.url}' has the schema of another version of feasible, and is opened "
                "for reading: `feasible show` with a role that may write brings an older one up "
                "to date; a newer one needs 'pip install --upgrade feasible'"
            )
        return False

    def _connect(self, _dialect: Any, _record: Any, args: Any, kwargs: Any) -> Any:
        """Return a new connection; where the server has none left, or restarts, wait for one."""
        import psycopg

        raw: Any = None
        for last in tries():
            try:
                raw = psycopg.connect(*args, **kwargs)
                break
            except psycopg.OperationalError as error:
                text = str(error).lower()
                known = self._checked is not None and not any(word in text for word in FATAL)
                if last or not (known or any(word in text for word in BUSY)):
                    raise
        raw.adapters.register_dumper(str, _legible_dumper())
        if self._checked != os.getpid():
            self._look(raw)
        return raw

    def _look(self, raw: Any) -> None:
        """Check the server's version and read its clock, once in each process."""
        version = raw.info.server_version
        if version < OLDEST:
            raw.close()
            raise StoreError(
                f"store '{self.url}': the server is PostgreSQL {version // 10000}, expected "
                f"{OLDEST // 10000} or newer"
            )
        before = time.time()
        (now,) = raw.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        raw.rollback()
        self._ahead = float(now) - (before + time.time()) / 2
        self._checked = os.getpid()

    @contextlib.contextmanager
    def held(self, keep: bool = False) -> Iterator[None]:
        """Inside, the transactions of this thread share a connection: making one takes the server
        longer than a transaction. keep: also with what this thread does within KEEP seconds,
        where nobody else was asking; with many who ask the server has too few for that.
        """
        held = self._held
        if held.wanted:
            yield
            return
        held.wanted = held.alone = True
        try:
            yield
            if keep and held.alone and held.connection is not None:
                self._kept.put(held.connection)
                held.connection = None
        finally:
            held.wanted = False
            held.drop()

    @contextlib.contextmanager
    def connection(self, *, writes: bool) -> Iterator[sa.Connection]:
        """Give a connection; one that only reads is in no transaction, of which each statement
        would see the newest rows all the same.
        """
        level = "READ COMMITTED" if writes else "AUTOCOMMIT"
        held = self._held
        if not held.wanted or held.busy:
            with self._engine.connect() as connection:
                yield connection.execution_options(isolation_level=level)
            return
        if held.connection is None:
            held.connection = self._kept.take() or self._engine.connect()
        held.busy = True
        try:
            yield held.connection.execution_options(isolation_level=level)
            if held.connection.in_transaction():
                held.connection.rollback()
        except BaseException:
            held.drop()
            raise
        finally:
            held.busy = False

    @contextlib.contextmanager
    def turn(self, run: int) -> Iterator[None]:
        """Inside, others that ask of a study wait: first those of this machine, who have no
        connection meanwhile, then one of each machine, by a lock of the server. Who waits for that
        over TURN seconds gives its connection up for a while, and who waited for PATIENCE seconds
        goes on.
        """
        with turns.turn(self.key, run, PATIENCE, self._held.drop) as alone:
            taken = self._turn(key := {"kind": ASKING, "run": run})
            self._held.alone &= alone
            try:
                yield
            finally:
                if taken and self._held.connection is not None:
                    with self.connection(writes=False) as connection:
                        connection.execute(sa.text("SELECT pg_advisory_unlock(:kind, :run)"), key)

    def _turn(self, key: Mapping[str, int]) -> bool:
        """Take the server's lock, and return whether one has it."""
        until, wait = time.monotonic() + PATIENCE, TURN
        with self.connection(writes=False) as connection:
            free = sa.text("SELECT pg_try_advisory_lock(:kind, :run)")
            taken = self._held.alone = bool(connection.execute(free, key).scalar())
        while not taken and not (taken := self._takes(key)) and time.monotonic() < until:
            time.sleep(wait * (0.5 + random.random()))
            wait = min(2 * wait, 5.0)
        return taken

    def _takes(self, key: Mapping[str, int]) -> bool:
        """Wait for a lock of this thread's connection; False where it took too long, and the
        connection is given up.
        """
        try:
            with self.connection(writes=True) as connection, connection.begin():
                connection.execute(sa.text(f"SET LOCAL lock_timeout = {int(TURN * 1000)}"))
                connection.execute(sa.text("SELECT pg_advisory_lock(:kind, :run)"), key)
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != "55P03":
                raise
            return False
        return True

    def lock(self, connection: sa.Connection, what: int | None) -> None:
        """Take the lock of a run's row, or of names, until the transaction ends."""
        if what:
            locked = sa.select(runs.c.id).where(runs.c.id == what).with_for_update()
            connection.execute(locked)
        elif what is not None:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({NAMING})")

    def clock(self) -> float:
        """Seconds since the epoch, by the server's clock."""
        return time.time() + self._ahead

    def retried(self, function: Callable[[], Any]) -> Any:
        """Call a function again, for PATIENCE seconds, where the connection broke meanwhile or the
        server chose its transaction to end a deadlock.
        """
        for last in tries():
            try:
                return function()
            except (sa.exc.DBAPIError, StoreError) as error:
                cause = error if isinstance(error, sa.exc.DBAPIError) else error.__cause__
                if last or not self._again(cause):
                    raise
        raise AssertionError("tries end by raising")

    def _again(self, error: BaseException | None) -> bool:
        """Return whether another try may not meet this error."""
        if not isinstance(error, sa.exc.DBAPIError):
            return False
        state = getattr(error.orig, "sqlstate", None)
        text = str(error.orig).lower()
        if any(word in text for word in FATAL):
            return False
        return state in AGAIN or (state is None and isinstance(error, sa.exc.OperationalError))

    def put(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Write rows of a ledger in one transaction; False where the claim is not the newest.
        Written again, they are the same rows.
        """

        def once() -> bool:
            with self._engine.connect() as connection, connection.begin() as transaction:
                found = connection.exec_driver_sql(PUT, [dict(row) for row in rows])
                if found.rowcount != len(rows):
                    transaction.rollback()
                    return False
            return True

        return bool(self.retried(once))

    def forked(self) -> None:
        """Leave the parent's connection to it, where the process forked."""
        if os.getpid() != self._pid:
            _INHERITED.extend([self._held, self._kept])
            self._held, self._kept, self._pid = _Held(), _Kept(), os.getpid()

    def close(self) -> None:
        """Close what is kept, by this process."""
        self.forked()
        self._held.drop()
        self._kept.close()
        self._engine.dispose()
