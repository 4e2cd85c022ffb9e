"""The lab's tests with PostgreSQL in place of files: what a test names as a file is a database of a
server of these tests, whose name derives from the file's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from throwaway import Server

from feasible.lab import database, place

WANTED = os.environ.get("FEASIBLE_TESTS") == "postgresql"
"""Whether these tests run so, as `make postgres` has it."""


def _mark(path: Path) -> str:
    """What stands for a path in a name."""
    return hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:24]


class Databases:
    """Databases that stand for files.

    Args:
        server: Where they are.
    """

    def __init__(self, server: Server):
        self.server = server
        self._real = place.store_place

    def place(self, where: Any = None) -> Path | sa.URL:
        """As `store_place`, but a file is a database."""
        found = self._real(where)
        return sa.make_url(self.url(found)) if isinstance(found, Path) else found

    def url(self, file: Path) -> str:
        """The URL of the database of a file, which is created where there is none."""
        import psycopg

        name = f"f{_mark(file.parent)}_{_mark(file)}"
        with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            self.server.execute(f"CREATE DATABASE {name}")
        return f"postgresql://feasible@/{name}?host={self.server.folder}"

    def drop(self, folder: Path) -> None:
        """Remove the databases of the files of a folder."""
        like = f"f{_mark(folder)}_%"
        found = self.server.execute(f"SELECT datname FROM pg_database WHERE datname LIKE '{like}'")
        for (name,) in found:
            self.server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def install(self) -> None:
        """Let all stores of this process and of its forks be there."""
        place.store_place = self.place
        database.store_place = self.place

    def remove(self) -> None:
        """The way it was."""
        place.store_place = self._real
        database.store_place = self._real
