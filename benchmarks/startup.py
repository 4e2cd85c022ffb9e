"""Starting up: `feasible --help` and `import feasible` load nothing heavy."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from .common import Figure, write


def _seconds(*command: str) -> float:
    times = []
    for _ in range(7):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def run() -> list[Figure]:
    bare = _seconds(sys.executable, "-c", "pass")
    with_import = _seconds(sys.executable, "-c", "import feasible")
    with_help = _seconds(str(Path(sys.executable).with_name("feasible")), "--help")
    figures = [
        Figure("feasible --help", with_help, 0.5, "s"),
        Figure("import feasible, beyond starting Python", with_import - bare, 0.2, "s"),
        Figure("feasible --help over starting Python", with_help / bare),
    ]
    write("startup", figures)
    return figures
