"""The program `feasible` as its users start it, in processes that are forked from one that has its
imports and has done nothing else.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

SECONDS = 180
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "feasible.cli",
        "feasible.api",
        "feasible.blackbox",
        "feasible.lab.store",
        "feasible.lab.report",
        "scipy.optimize",
        "scipy.stats",
        "sqlalchemy.dialects.sqlite",
        "pandas",
        "plotly.graph_objects",
        "torch",
    ]
)


def feasible(arguments: Sequence[str], folder: Path) -> tuple[int, str]:
    """The exit code of the program in that folder, and what it printed."""
    log = folder / ".log"
    process = _SERVER.Process(target=_run, args=(list(arguments), folder, log, dict(os.environ)))
    process.start()
    process.join()
    code = process.exitcode
    assert code is not None
    return code, log.read_text(errors="replace")


def _run(arguments: list[str], folder: Path, log: Path, environment: dict[str, str]) -> None:
    """The program in a child that ends with its exit code."""
    with log.open("w", encoding="utf-8") as out:
        sys.stdout = sys.stderr = out
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = ["feasible", *arguments]
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        signal.alarm(SECONDS)
        from feasible.cli import main

        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc(file=out)
            code = 1
        out.flush()
    os._exit(code)
