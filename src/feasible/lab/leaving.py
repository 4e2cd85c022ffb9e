"""Leaving in order: a worker that is told to end (by SIGTERM, as Slurm and Kubernetes do) finishes
or gives back what it has in hand, and its process ends in time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psutil

from ..core.child import descendants
from ..core.errors import FeasibleError
from .working import Worker

ENDED = 128 + signal.SIGTERM
"""Exit code of a worker that was told to end: 143."""
GRACE = 5.0
"""Seconds that the evaluation in hand has to come to its end."""
LAST = 3.0
"""Seconds that giving it back may take after that."""


@contextlib.contextmanager
def in_order(worker: Worker) -> Iterator[threading.Event]:
    """Inside, SIGTERM stops a worker: what ends within GRACE seconds is told; otherwise the
    experiment is given back and the process ends with ENDED, whatever its main thread does.

    The signal is seen by a thread of its own, because Python's handlers wait for the main thread,
    which may be inside a long call of a compiled library.

    Args:
        worker: Works in this thread, the main one.

    Yields:
        Whether the signal came.
    """
    told, done = threading.Event(), threading.Event()
    here, there = socket.socketpair()
    there.setblocking(False)

    def watch() -> None:
        while number := here.recv(1):
            if number[0] == signal.SIGTERM:
                told.set()
                worker.stop()
                if not done.wait(GRACE):
                    _leave(worker)
                return

    watching = threading.Thread(target=watch, name="leaving", daemon=True)
    handler = signal.signal(signal.SIGTERM, _pass)
    earlier = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
    watching.start()
    try:
        yield told
    finally:
        done.set()
        signal.set_wakeup_fd(earlier)
        signal.signal(signal.SIGTERM, handler)
        there.close()
        watching.join()
        here.close()


def _pass(_signal: int, _frame: Any) -> None:
    """Nothing: the thread that watches has the signal too."""


def _leave(worker: Worker) -> None:
    """Give back what a worker has in hand and end this process with all that it started."""

    def give_back() -> None:
        with contextlib.suppress(FeasibleError):  # then its claim ends by itself
            worker.give_back()

    giving = threading.Thread(target=give_back, daemon=True)
    giving.start()
    giving.join(LAST)
    for pid in descendants(os.getpid()):
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()
    os._exit(ENDED)
