"""Fixtures of the lab's tests."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from throwaway import Server

from feasible import cli


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `both` on each kind of database."""
    if "db" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both"):
        metafunc.parametrize("db", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server of this process's own."""
    made = Server.begun()
    yield made
    made.end()


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
