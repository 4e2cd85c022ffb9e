"""The dashboard on a store of 50,000 runs: the first page, an update, and memory over an hour."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from feasible.core.trail import Point
from feasible.core.verdict import Verdict
from feasible.lab.schema import points, runs
from feasible.lab.store import Store
from feasible.lab.web.app import application, listening
from feasible.lab.web.asked import Asked
from feasible.lab.web.pages import Site

from .common import Figure, write

RUNS = 50_000
TRIALS = (5, 10, 6)
"""Problems, methods and seeds of the race that is looked at, and 40 points to each trail."""
CPU, MS, MB = "s of the processor", "ms of the processor", "MB"
LOOKS = 3_600
"""Updates in an hour of one watcher."""


def _row(i: int, **more: Any) -> dict[str, Any]:
    """A finished run with a result of the usual size."""
    design = [["variable", "value", "unit"]] + [
        [f"x{k}", f"{i % 97 + k:.6f}", ""] for k in range(12)
    ]
    verdict = {
        "objective": float(i * 7919 % 10007),
        "violation": float(i % 3 == 0),
        "tolerance": 0.0,
        "residual": None,
        "violations": {f"g{k}": 0.0 for k in range(6)},
        "metrics": {f"m{k}": 1.0 for k in range(8)},
    }
    found = {
        "name": f"run-{i}",
        "kind": "solve",
        "race": None,
        "problem": f"problem-{i % 15}",
        "method": f"method-{i % 10}",
        "seed": i,
        "budget": {"evaluations": 400},
        "spec": {"shown": {"sign": 1.0, "names": [f"x{k}" for k in range(12)]}},
        "state": "finished",
        "result": {
            "answer": [0.5] * 12,
            "objective": verdict["objective"],
            "feasible": i % 3 != 0,
            "verdict": verdict,
            "spent": {"evaluations": 400.0, "seconds": 1.0},
            "seconds": 1.0,
            "steps": 400,
            "stopped": "budget used up: 400 of 400 evaluations spent",
            "chosen": None,
            "notes": [],
            "versions": {f"package-{k}": "1.2.3" for k in range(60)},
            "text": "as long as a few lines are " * 8,
            "cloud": None,
            "design": design,
        },
        "reserved": {},
        "rows": 400,
        "told": 0,
        "version": 0,
        "created": 1e9 + i,
        "updated": 1e9 + i,
    } | more
    return {k: json.dumps(v) if isinstance(v, dict) else v for k, v in found.items()}


def _race(store: Store) -> None:
    """A race whose trials have ended, but for the last ones."""
    problems, methods, seeds = (
        [f"{what}-{k}" for k in range(n)] for what, n in zip("pms", TRIALS, strict=True)
    )
    spec = {
        "problems": dict.fromkeys(problems),
        "methods": dict.fromkeys(methods),
        "seeds": list(range(len(seeds))),
        "budget": {"evaluations": 400},
        "versions": {},
        "contests": {},
    }
    race, _ = store.create_race("watched", spec)
    keys = [(p, m, s) for p in problems for m in methods for s in range(len(seeds))]
    made = [
        _row(RUNS + i, name=f"w-{i}", kind="trial", race=race, problem=p, method=m, seed=s)
        for i, (p, m, s) in enumerate(keys)
    ]
    with store.write() as connection:
        connection.execute(sa.insert(runs), made)
        ids = connection.execute(sa.select(runs.c.id).where(runs.c.race == race)).scalars().all()
        trail = [
            {
                "run": run,
                "n": n,
                "step": 10 * n,
                "spent": json.dumps({"evaluations": 10.0 * n}),
                "seconds": 0.1 * n,
                "verdict": json.dumps(
                    {
                        "objective": 100.0 / (1 + n + run % 7),
                        "violation": 0.0,
                        "tolerance": 0.0,
                        "residual": None,
                        "violations": {},
                        "metrics": {},
                    }
                ),
            }
            for run in ids
            for n in range(40)
        ]
        connection.execute(sa.insert(points), trail)


def _updates(site: Site, address: str, change: Callable[[], None], rounds: int) -> list[float]:
    """Milliseconds of the processor that a look at a page takes after each change, and the page."""
    asked = Asked.read(address)
    site.mark(asked), site.live(asked)
    took = []
    for _ in range(rounds):
        change()
        site.index._looked = 0.0
        start = time.process_time()
        site.mark(asked)
        site.live(asked)
        took.append(1e3 * (time.process_time() - start))
    return took


def _first_paint(path: Path) -> float | None:
    """Seconds until a browser first paints the list of runs; None where there is none."""
    program = shutil.which("chromium")
    if program is None:
        return None
    import uvicorn
    from playwright.sync_api import sync_playwright

    site = Site(path)
    opened = listening("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(application(site), log_level="error", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True).start()
    address = f"http://127.0.0.1:{opened.getsockname()[1]}/runs?sort=best"
    painted = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        found = []
        for _ in range(5):
            page = browser.new_page()
            page.goto(address)
            page.wait_for_function(f"() => {painted} > 0")
            found.append(page.evaluate(painted) / 1e3)
            page.close()
        browser.close()
    server.should_exit = True
    return statistics.median(found)


def _fill(path: Path) -> None:
    """Make the store."""
    with Store(path) as store:
        for first in range(0, RUNS, 1000):
            with store.write() as connection:
                connection.execute(sa.insert(runs), [_row(i) for i in range(first, first + 1000)])
        _race(store)
        live = store.create_run(
            kind="solve", problem="p", method="m", seed=0, budget={"evaluations": 400}, spec={}
        )
        store.claim_run(live.id)


def _mover(store: Store) -> tuple[int, Callable[[], None]]:
    """The run that is watched, and what moves it."""
    live = store.runs(limit=1)[0].id
    steps = iter(range(len(store.trail(live)), 1_000_000))

    def moved() -> None:
        n = next(steps)
        store.add_points(live, [Point(n, {"evaluations": n}, n, Verdict(1 / (n + 1)))], n)

    return live, moved


def _times(path: Path) -> list[Figure]:
    """The first page, and updates."""
    store = Store(path)
    live, moved = _mover(store)
    trial = iter([r.id for r in store.runs(race=1)])

    def ended() -> None:
        store.update_run(next(trial), state="finished")

    start = time.process_time()
    site = Site(path)
    first = site.live(Asked.read("runs"))
    begun = time.process_time() - start
    assert "have been read so far" in first
    start = time.process_time()
    site.index.wait()
    read = time.process_time() - start
    listed = _updates(site, "runs?sort=best", ended, 30)
    watched = _updates(site, f"run?id={live}", moved, 30)
    raced = _updates(site, "race?id=1", ended, 30)  # each draws a figure again, or two
    site.close()
    trials = TRIALS[0] * TRIALS[1] * TRIALS[2]
    return [
        Figure(f"the first page of {RUNS:,} runs, with opening the store", begun, 1.0, CPU),
        Figure(f"reading a line of each of {RUNS:,} runs, in the background", read, unit=CPU),
        Figure("an update of the list, sorted by the best", statistics.median(listed), 100.0, MS),
        Figure("an update of a run", statistics.median(watched), 100.0, MS),
        Figure(f"an update of a race of {trials} trials", statistics.median(raced), 100.0, MS),
        Figure("the longest of 30, figures drawn again", max(raced), 100.0, MS),
    ]


def _memory(path: Path) -> list[Figure]:
    """What an hour of watching adds, a change and a look each second."""
    store = Store(path)
    live, moved = _mover(store)
    site = Site(path)
    site.index.wait()
    process, before = psutil.Process(), 0
    for look in range(LOOKS):
        moved()
        site.index._looked = 0.0
        site.mark(Asked.read("runs"))
        if look % 10 == 0:
            site.live(Asked.read(f"run?id={live}"))
            site.live(Asked.read("runs"))
        if look == LOOKS // 10:
            before = process.memory_info().rss
    size = process.memory_info().rss
    site.close()
    return [
        Figure("memory that the rest of an hour of watching adds", (size - before) / 2**20, 10, MB),
        Figure("memory of the process at its end", size / 2**20, 300.0, MB),
    ]


def run() -> list[Figure]:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.db"
        _fill(path)
        figures = [*_times(path), *_memory(path)]
        painted = _first_paint(path)
    if painted is not None:
        figures.append(Figure(f"first paint of {RUNS:,} runs in Chromium", painted, 1.0, "s"))
    write("serve", figures)
    return figures
