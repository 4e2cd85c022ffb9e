"""Fixtures of the lab's tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from feasible import cli


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "lab.db"


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
