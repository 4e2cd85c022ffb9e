"""Timing in turns, and one place for results: benchmarks/results/NAME.json."""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
MARGIN = 0.25
"""A ratio has become worse when it is this share away from the stored one, on the wrong side."""
FLOOR = 0.02
"""Differences smaller than this are none, however small the stored ratio is."""


@dataclass(frozen=True)
class Figure:
    """One measured figure. bar: what it must reach, None where it is only reported."""

    what: str
    value: float
    bar: float | None = None
    unit: str = "ratio"
    note: str = ""

    @property
    def met(self) -> bool | None:
        """True when the bar is met (figures are better when smaller, except shares, which say so in
        their unit).
        """
        if self.bar is None:
            return None
        return (
            self.value >= self.bar if self.unit.startswith("at least") else self.value <= self.bar
        )


def in_turns(
    *functions: Callable[[], object],
    rounds: int = 7,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Seconds of each function over `rounds`, called one after the other so that a busy machine
    hits all of them alike; by the clock of the wall, or another such as `time.process_time`.
    """
    for f in functions:
        f()
    times: list[list[float]] = [[] for _ in functions]
    gc.disable()
    try:
        for _ in range(rounds):
            for f, mine in zip(functions, times, strict=True):
                start = clock()
                f()
                mine.append(clock() - start)
    finally:
        gc.enable()
    return times


def processor_seconds(function: Callable[[], object], rounds: int) -> float:
    """Median seconds of the processor, after one call that compiles."""
    function()
    took = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        took.append(time.process_time() - start)
    return statistics.median(took)


def ratio(a: list[float], b: list[float]) -> float:
    """Median of the paired ratios a/b: pairs were timed next to each other."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def stored(name: str) -> list[Figure]:
    """The figures of a benchmark's last run; none if it has never run."""
    file = RESULTS / f"{name}.json"
    if not file.exists():
        return []
    return [
        Figure(f["what"], f["value"], f["bar"], f["unit"], f["note"])
        for f in json.loads(file.read_text())["figures"]
    ]


def worse(before: list[Figure], after: list[Figure]) -> list[str]:
    """What became worse by more than the margin, one line each.

    Only ratios that have a bar are compared: both sides of them were timed in turns, so they hold
    on any machine, while seconds and bytes are those of one.
    """
    old = {f.what: f.value for f in before}
    lines = []
    for f in after:
        if f.bar is None or f.unit not in ("ratio", "at least") or f.what not in old:
            continue
        was = old[f.what]
        if f.unit == "ratio":
            lost = f.value > was * (1 + MARGIN) and f.value - was > FLOOR
        else:
            lost = f.value < was / (1 + MARGIN) and was - f.value > FLOOR
        if lost:
            lines.append(f"{f.what}: {was:.4g} before, {f.value:.4g} now")
    return lines


def write(name: str, figures: list[Figure], **more: object) -> None:
    """Store the figures of a benchmark."""
    from feasible.core.versions import versions

    RESULTS.mkdir(exist_ok=True)
    data = {
        "name": name,
        "figures": [asdict(f) | {"met": f.met} for f in figures],
        "versions": versions(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        **more,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
