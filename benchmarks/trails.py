"""Trails of every registered method, bit by bit, to see that a change of the code changed none.

    python -m benchmarks.trails record before.json
    python -m benchmarks.trails compare before.json [NAME...]

A trail holds for one machine and one set of versions, so the file is not kept in the repository.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402

import feasible  # noqa: E402
from feasible.core.registry import load_method, methods  # noqa: E402

SEED = 100
SLOW_PAPERS = ("bo-tutorial", "pfn-cbo", "ccbo")
SLOW_PEERS = (
    "ax",
    "baybe",
    "botorch-qlognei",
    "botorch-logcei",
    "botorch-scbo",
    "optuna-gp",
    "nevergrad-ngopt",
)
"""Methods with proposals of some milliseconds are followed for 14 evaluations, the rest for 200."""


def budget(name: str) -> dict[str, float]:
    """A small budget for a method, in the resource that its problems' examples use."""
    entry, method = methods()[name], load_method(name)
    given = feasible.Budget.parse(method.solves.example_budget)
    few = entry.paper in SLOW_PAPERS or name in SLOW_PEERS
    most = {"evaluations": 14 if few else 200, "steps": 60}
    return {resource: min(limit, most.get(resource, limit)) for resource, limit in given.items()}


def problem(name: str) -> str:
    """The problem that `feasible explain` shows the method on."""
    from feasible.cli.listings import _example

    entry = methods()[name]
    return entry.example or _example(entry.solves)


def _bits(value: Any) -> Any:
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(k): _bits(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_bits(v) for v in value]
    return value


def trail(name: str) -> dict[str, Any]:
    """Every point of the trail, floats as hexadecimal text, and the design."""
    result = feasible.solve(problem(name), name, budget=budget(name), seed=SEED)
    points = [
        [
            p.step,
            _bits({k: float(v) for k, v in p.spent.items()}),
            _bits(p.verdict.objective),
            _bits(p.verdict.violation),
        ]
        for p in result.trail
    ]
    point = getattr(result.answer, "x", None)  # other answers are judged, bit by bit, by the trail
    answer = None if point is None else [float(v).hex() for v in np.ravel(point)]
    return {"points": points, "answer": answer, "stopped": result.stopped}


def _child(name: str, out: Connection) -> None:
    try:
        out.send(trail(name))
    except BaseException:
        out.send({"error": traceback.format_exc().splitlines()[-1]})


def isolated(name: str) -> dict[str, Any]:
    """The trail, from a process of its own, so that nothing that another method left can matter."""
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(name, there))
    process.start()
    there.close()
    try:
        found: dict[str, Any] = here.recv()
    except EOFError:
        found = {"error": "the process died"}
    process.join()
    return found


def main() -> int:
    verb, file, *names = sys.argv[1:]
    before = json.loads(Path(file).read_text()) if verb == "compare" else {}
    chosen = names or sorted(methods())
    with ThreadPoolExecutor(2) as pool:
        trails = dict(zip(chosen, pool.map(isolated, chosen), strict=True))
    found: dict[str, Any] = json.loads(json.dumps(trails))  # as a file gives them back
    if verb == "record":
        Path(file).write_text(json.dumps(found, indent=1))
        failed = [name for name, t in found.items() if "error" in t]
        print(f"{len(found)} trails; failed: {failed or 'none'}")
        return 0
    other = {n: t for n, t in found.items() if t != before.get(n)}
    for name, now in other.items():
        was = before.get(name, {})
        pairs = enumerate(zip(was.get("points", []), now.get("points", []), strict=False))
        at = next((f"from point {i} on" for i, (a, b) in pairs if a != b), "in how it ends")
        why = f"differs {at}" if was else "was not recorded"
        print(f"{name}: {now.get('error') or why}")
    gone = sorted(set(before) - set(methods())) if not names else []
    print(
        f"{len(found) - len(other)} of {len(found)} trails are bit-equal"
        + (f"; gone: {gone}" if gone else "")
    )
    return 1 if other or gone else 0


if __name__ == "__main__":
    sys.exit(main())
