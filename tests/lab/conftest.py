"""Fixtures of the lab's tests."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import on_postgres
import pytest
from throwaway import Server

from feasible import cli


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `both` on each kind of database."""
    if "db" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both"):
        metafunc.parametrize("db", ["sqlite", "postgresql"], indirect=True)


def about_files(item: pytest.Item) -> bool:
    """Whether a test is about files: so marked, or it opens one by sqlite3 itself."""
    code = getattr(getattr(item, "function", None), "__code__", None)
    return item.get_closest_marker("file") is not None or "sqlite3" in getattr(code, "co_names", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With PostgreSQL for all leave out what is about files, and what is there with it anyway."""
    here = Path(__file__).parent
    if on_postgres.WANTED:
        mine = [item for item in items if item.path.parent == here]
        out = {item for item in mine if about_files(item) or "[sqlite" in item.name}
        items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server of this process's own."""
    made = Server.begun()
    yield made
    made.end()


@pytest.fixture(scope="session", autouse=on_postgres.WANTED)
def databases(server: Server) -> Iterator[on_postgres.Databases]:
    """The databases that stand for files."""
    made = on_postgres.Databases(server)
    made.install()
    yield made
    made.remove()


@pytest.fixture(autouse=on_postgres.WANTED)
def dropped(databases: on_postgres.Databases, tmp_path: Path) -> Iterator[None]:
    """Remove a test's databases after it."""
    yield
    databases.drop(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a store in a file may be."""
    return tmp_path / "lab.db"


@pytest.fixture
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a store may be: a path, or the URL of an empty database."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return tmp_path / "lab.db"
    url: str = request.getfixturevalue("server").new_database()
    return url


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command in this process: (exit code, standard output, standard error)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["feasible", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def ok(run):
    """The same for a command that must succeed: its standard output, or what is in its JSON."""

    def call(*arguments: object):
        code, out, err = run(*arguments)
        assert code == 0, f"{arguments} ended with {code}:\n{out}\n{err}"
        return json.loads(out) if "--json" in arguments else out

    return call
