"""Forked processes that compute what may hang or die: how one begins, is killed with all that it
started, and what is said of its end; Child, which is asked for one thing at a time.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess


def lead_group(driver: int) -> None:
    """Make this process, which `driver` forked, the leader of a process group; on Linux it also
    ends when its driver does.
    """
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != driver:
            os._exit(1)


def descendants(pid: int) -> list[int]:
    """The processes started by `pid`, and by those; none where it is gone."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_family(process: BaseProcess) -> None:
    """Kill a process, its group and what these started."""
    if process.pid is None:
        return
    family = descendants(process.pid)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid in (process.pid, *family):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    process.join()


def ending(process: BaseProcess) -> str:
    """How a process that hung up has ended."""
    process.join(5)
    code = process.exitcode
    if code is not None and code < 0:
        return f"killed by signal {signal.Signals(-code).name}"
    return f"exit code {code}"


class ChildLost(Exception):
    """The process gave no answer in time, or ended; its text says which."""


class Child:
    """A forked process that leads a process group of its own, so that what it started ends with it.

    Args:
        function: Computes an answer from a message, there; what it raises is raised here. It is
            inherited by the fork and never pickled; messages and answers are.
        timeout: Seconds for each answer; None for no limit.
    """

    def __init__(self, function: Callable[[Any], Any], timeout: float | None = None):
        self.timeout = timeout
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(function, theirs, self._pipe, os.getpid()), daemon=True
        )
        self._process.start()
        theirs.close()

    def ask(self, message: Any) -> Any:
        """Return what the function gives for a message.

        Raises:
            ChildLost: No answer in time, or the process ended. Its group has been killed.
        """
        try:
            self._pipe.send(message)
            if not self._pipe.poll(self.timeout):
                self.close()
                raise ChildLost(f"no answer within {self.timeout:g} s")
            raised, found = self._pipe.recv()
        except (EOFError, OSError):
            how = ending(self._process)
            self.close()
            raise ChildLost(f"its process ended, {how}") from None
        if raised:
            raise found
        return found

    def close(self) -> None:
        """Kill the process and what it started."""
        kill_family(self._process)
        self._pipe.close()

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


def _serve(
    function: Callable[[Any], Any], pipe: Connection, theirs: Connection, driver: int
) -> None:
    """Answer messages until the other end hangs up."""
    lead_group(driver)
    theirs.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            found = False, function(message)
        except Exception as error:
            found = True, error
        pipe.send(found)
