"""Which process drives a run, and whether it still lives."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

import psutil

LEASE_SECONDS = 120.0
"""How long a claim on a run holds without a sign of life of its driver."""
BEAT_SECONDS = 20.0
"""How often a driver gives one."""
TICKS = 100
"""Births are counted in hundredths of a second after the system's start."""
SLACK = 2 * TICKS
"""Births that differ by less are the same: the system's start is known to a second."""


def identity() -> dict[str, Any]:
    """Return what identifies this process: host, machine, pid and when it was born (a pid alone may
    be used again).
    """
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": os.getpid(),
        "born": str(_own_birth(os.getpid())),
    }


def visible(owner: Mapping[str, Any]) -> bool:
    """Return whether the process that claims a run would be seen from here, were it alive.

    Two machines or containers may have one host name, and two containers one kernel: what counts is
    the kernel's start and the name space of its process numbers. A claim of an older version says
    the host only.

    Args:
        owner: What `identity` returned there.
    """
    machine = owner.get("machine", _machine())
    return bool(owner["host"] == socket.gethostname() and machine == _machine())


def alive(owner: Mapping[str, Any]) -> bool:
    """Return whether the process that claims a run still lives; one that cannot be seen from here
    counts as alive.

    Args:
        owner: What `identity` returned there.
    """
    if not visible(owner):
        return True
    born = _born(int(owner["pid"]))
    return born is not None and abs(born - int(owner["born"])) < SLACK


DRIVING: set[tuple[str, int]] = set()
"""The runs that threads of this process drive now, as (file of the store, number)."""


def held(
    owner: Mapping[str, Any] | None,
    lease: float | None,
    updated: float,
    key: tuple[str, int] | None = None,
    now: float | None = None,
) -> bool:
    """Return whether somebody drives a run: the lease has not ended, and its holder was not seen to
    have ended itself.

    Args:
        owner: What `identity` returned where the run is driven; None where it is not.
        lease: When the lease ends, in seconds since the epoch; None for a claim of an older
            version, which holds as long from the last change.
        updated: When the run was changed last.
        key: Of the run in `DRIVING`: a claim of this process that no thread of it uses any more was
            left by a driver that could not give it back.
        now: By the clock that made `lease`; None for this machine's.
    """
    if owner is None or (owner == identity() and key is not None and key not in DRIVING):
        return False
    now = time.time() if now is None else now
    return now < (updated + LEASE_SECONDS if lease is None else lease) and alive(owner)


@cache
def _machine() -> str:
    """Return what the processes that see one another have in common."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return f"{uuid.getnode():x}"


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
