"""Which process drives a run, and whether it still lives."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import cache
from typing import Any

import psutil

TICKS = 100
"""Births are counted in hundredths of a second after the system's start."""
SLACK = 2 * TICKS
"""Births that differ by less are the same: the system's start is known to a second."""


def identity() -> dict[str, Any]:
    """Return what identifies this process: host, pid and when it was born (a pid alone may be used
    again).
    """
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": str(_own_birth(os.getpid()))}


def alive(owner: Mapping[str, Any]) -> bool:
    """Return whether the process that claims a run still lives; on another host it counts as alive.

    Args:
        owner: What `identity` returned there.
    """
    if owner["host"] != socket.gethostname():
        return True
    born = _born(int(owner["pid"]))
    return born is not None and abs(born - int(owner["born"])) < SLACK


@cache
def _own_birth(pid: int) -> int | None:
    """Return when this process was born, the same at every call."""
    return _born(pid)


def _born(pid: int) -> int | None:
    """Return when a process was born, None where there is none."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return round((process.create_time() - psutil.boot_time()) * TICKS)
    except psutil.NoSuchProcess:
        return None
