"""Which process drives a run, and whether it still lives."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def identity() -> dict[str, Any]:
    """This process: host, pid and when it was born (a pid alone may be used again)."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}


def alive(owner: Mapping[str, Any]) -> bool:
    """True if the process that claims a run still lives. On another host it counts as alive."""
    if owner["host"] != socket.gethostname():
        return True
    return _born(int(owner["pid"])) == owner["born"]


def _born(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        try:
            os.kill(pid, 0)
        except OSError:
            return None
        return "alive"
