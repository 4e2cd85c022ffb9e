"""Child: a process that computes what may hang or die, asked for one thing at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


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
            target=_serve, args=(function, theirs, self._pipe), daemon=True
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
            self._process.join(1)
            code = self._process.exitcode or 0
            self.close()
            raise ChildLost(
                f"its process was killed by {signal.Signals(-code).name}"
                if code < 0
                else f"its process ended, exit code {code}"
            ) from None
        if raised:
            raise found
        return found

    def close(self) -> None:
        """Kill the process and its group."""
        if self._process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


def _serve(function: Callable[[Any], Any], pipe: Connection, theirs: Connection) -> None:
    """Answer messages until the other end hangs up."""
    os.setsid()
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
