"""Code of others: limits, and what comes back."""

from __future__ import annotations

import os

import pytest

from feasible.core.errors import ArgumentError
from feasible.language import Sandbox, SandboxError
from feasible.language.sandbox import signature

pytestmark = pytest.mark.slow
BOX = Sandbox(seconds=20.0, megabytes=300.0)


def body(*lines):
    return "def f(*args):\n" + "\n".join(f"    {line}" for line in lines)


def test_plain_data_goes_in_and_comes_out():
    assert BOX.call(body("print('noise')", "return {'a': list(args)}"), "f", (1, "x")) == {
        "a": [1, "x"]
    }


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["return 1 / 0"], "ZeroDivisionError"),
        (["return 'x' * 10**9"], "Memory"),
        (["import socket", "socket.socket()"], "PermissionError"),
        (["import os", "os.system('true')"], "PermissionError"),
        (["import subprocess", "subprocess.run(['true'])"], "PermissionError"),
        (["import os", "os.fork()"], "PermissionError"),
        (["import ctypes", "ctypes.CDLL(None)"], "PermissionError"),
        (["open('x', 'w')"], "PermissionError"),
        (["import os", "os.kill(1, 9)"], "PermissionError"),
        (["import os", "os._exit(0)"], "Died"),
        (["import sys", "sys.exit(0)"], "SystemExit"),
        (["return f"], "TypeError"),
        (["return 'x' * 20_000_000"], "Result"),
    ],
)
def test_what_is_not_allowed_is_an_error_of_its_kind(lines, kind):
    with pytest.raises(SandboxError) as caught:
        BOX.call(body(*lines), "f")
    assert caught.value.kind == kind


def test_an_endless_loop_ends():
    with pytest.raises(SandboxError) as caught:
        Sandbox(seconds=1.0).call(body("while True: pass"), "f")
    assert caught.value.kind == "Timeout"


def test_the_environment_does_not_reach_it(monkeypatch):
    monkeypatch.setenv("FEASIBLE_SECRET", "hunter2")
    found = BOX.call(body("import os", "return [dict(os.environ), os.getcwd()]"), "f")
    assert "FEASIBLE_SECRET" not in found[0]
    assert found[1] != os.getcwd()


def test_bad_input_is_named():
    with pytest.raises(ArgumentError, match="source: no Python"):
        BOX.call("def f(:", "f")
    with pytest.raises(ArgumentError, match="plain data"):
        BOX.call("def f(x): return x", "f", (object(),))
    with pytest.raises(ArgumentError, match="seconds=0"):
        Sandbox(seconds=0)
    with pytest.raises(SandboxError, match="KeyError"):
        BOX.call("x = 1", "f")
    assert signature("not python (", "f") is None
    assert signature("x = 1", "f") is None
