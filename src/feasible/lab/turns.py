"""Turns of those on this machine who ask of one study: one after the other, before anybody takes a
connection.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

SHORTEST, LONGEST = 0.001, 0.05
"""Seconds between two tries of a process whose turn it is not."""


class _Here:
    """What the threads of a process wait for.

    Attributes:
        lock: Held by the thread whose turn it is.
        turns: How many there were.
    """

    def __init__(self) -> None:
        self.lock, self.turns = threading.Lock(), 0


_HERE: defaultdict[tuple[int, str, int], _Here] = defaultdict(_Here)
"""By process, store and study."""


@contextlib.contextmanager
def turn(
    key: str, run: int, patience: float, waits: Callable[[], None] = lambda: None
) -> Iterator[bool]:
    """Inside, others of this user and machine who ask of a study wait. What processes wait for is a
    lock on a file in the folder for temporary files.

    Args:
        key: What names the store.
        run: Number of the study.
        patience: Seconds in which nobody else had a turn either, after which one goes on without:
            asking is right then, only slower.
        waits: Called before one waits.

    Yields:
        Whether nobody else was asking.
    """
    alone = True

    def wait() -> None:
        nonlocal alone
        if alone:
            alone = False
            waits()

    here = _HERE[os.getpid(), key, run]
    mine = here.lock.acquire(blocking=False)
    while not mine:
        wait()
        seen = here.turns
        mine = here.lock.acquire(timeout=patience)
        if here.turns == seen:
            break
    here.turns += mine
    try:
        with _locked(key, run, patience, wait):
            yield alone
    finally:
        if mine:
            here.lock.release()


@contextlib.contextmanager
def _locked(key: str, run: int, patience: float, waits: Callable[[], None]) -> Iterator[None]:
    """Inside, other processes wait. The file's time is that of the last turn."""
    mark = hashlib.sha256(f"{key}\0{run}".encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"feasible-{os.getuid()}-{mark}.turn"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError:
        yield
        return
    pause, until, last = SHORTEST, 0.0, -1
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.utime(handle)
                break
            except OSError:
                waits()
                now, before = time.monotonic(), last
                last = os.fstat(handle).st_mtime_ns
                if last != before:
                    until = now + patience
                elif now > until:
                    break
                time.sleep(pause * (0.5 + random.random()))
                pause = min(2 * pause, LONGEST)
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # a child that was forked meanwhile has it too
        os.close(handle)
