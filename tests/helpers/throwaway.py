"""A PostgreSQL server that lives as long as the tests of a process, where its programs are
installed.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

MISSING = "PostgreSQL's initdb and pg_ctl are not installed: its half of the tests is left out"


def _programs() -> Path | None:
    """The folder of the newest server's programs."""
    folders = [Path(p) for p in glob.glob("/usr/lib/postgresql/*/bin")]
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).parent)
    found = [f for f in folders if (f / "initdb").exists() and (f / "pg_ctl").exists()]
    return max(found, key=lambda f: [int(n) for n in f.parts[-2:-1] if n.isdigit()], default=None)


class Server:
    """A cluster in a folder of its own, reached by a socket there.

    It does not run as root: there it runs as the user postgres.

    Args:
        connections: max_connections.
    """

    def __init__(self, connections: int = 100):
        self.programs = _programs()
        assert self.programs is not None
        memory = os.environ.get("PYTEST_DEBUG_TEMPROOT", "/tmp")  # a short path: of the socket, too
        self.folder = Path(tempfile.mkdtemp(prefix="feasible-pg-", dir=memory))
        self.before: list[str] = []
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.before = ["setpriv", "--reuid=postgres", f"--regid={user.pw_gid}"]
            self.before += ["--clear-groups"]
        self._call("initdb", "-U", "feasible", "--auth=trust", "-N", "-E", "UTF8", "--locale=C")
        with (self.folder / "data" / "postgresql.conf").open("a") as conf:
            conf.write(f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\n")
            conf.write(f"fsync = off\nmax_connections = {connections}\n")
        self.start()

    @classmethod
    def begun(cls, connections: int = 100) -> Server:
        """Start one; where its programs are missing, or a user whom they may run as, the test that
        asks for it is left out.
        """
        users = {user.pw_name for user in pwd.getpwall()}
        if _programs() is None or (os.getuid() == 0 and "postgres" not in users):
            pytest.skip(MISSING)
        return cls(connections)

    def _call(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self.before, str(self.programs / program), "-D", self.folder / "data", *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )

    def start(self) -> None:
        """Start it."""
        self._call("pg_ctl", "-l", str(self.folder / "log"), "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it, by default as a crash does."""
        self._call("pg_ctl", "-m", mode, "-w", "stop")

    def execute(self, statement: str, database: str = "postgres") -> list[Sequence[object]]:
        """Execute a statement outside of any transaction."""
        import psycopg

        with psycopg.connect(
            host=str(self.folder), user="feasible", dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(statement)
            return list(cursor) if cursor.description else []

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"t{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://feasible@/{name}?host={self.folder}"

    def end(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
