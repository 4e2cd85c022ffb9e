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
_HERE: defaultdict[tuple[int, str, int], threading.Lock] = defaultdict(threading.Lock)
"""What the threads of a process wait for, by process, store and study."""


@contextlib.contextmanager
def turn(
    key: str, run: int, patience: float, waits: Callable[[], None] = lambda: None
) -> Iterator[bool]:
    """Inside, others of this user and machine who ask of a study wait, but no longer than their
    patience. What processes wait for is a lock on a file in the folder for temporary files.

    Args:
        key: What names the store.
        run: Number of the study.
        patience: Seconds after which one goes on without a turn: asking is right then, only slower.
        waits: Called before one waits.

    Yields:
        Whether nobody else was asking.
    """
    until, alone = time.monotonic() + patience, True

    def wait() -> None:
        nonlocal alone
        if alone:
            alone = False
            waits()

    threads = _HERE[os.getpid(), key, run]
    mine = threads.acquire(blocking=False)
    if not mine:
        wait()
        mine = threads.acquire(timeout=patience)
    try:
        with _locked(key, run, until, wait):
            yield alone
    finally:
        if mine:
            threads.release()


@contextlib.contextmanager
def _locked(key: str, run: int, until: float, waits: Callable[[], None]) -> Iterator[None]:
    """Inside, other processes wait."""
    mark = hashlib.sha256(f"{key}\0{run}".encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"feasible-{os.getuid()}-{mark}.turn"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError:
        yield
        return
    pause = SHORTEST
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                waits()
                if time.monotonic() > until:
                    break
                time.sleep(pause * (0.5 + random.random()))
                pause = min(2 * pause, LONGEST)
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # a child that was forked meanwhile has it too
        os.close(handle)
