"""The store: rows per second against a bare SQLite insert, two writers at once, and listing many
runs.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from feasible.core.ledger import Observations
from feasible.core.trail import Point
from feasible.core.verdict import Verdict
from feasible.lab.store import Store

from .common import Figure, in_turns, ratio, write

ROWS = 2_000
POINTS = 5_000


def _rows(start: int, n: int) -> Observations:
    rng = np.random.default_rng(start)
    return Observations(
        rng.random((n, 7)),
        rng.random(n),
        rng.random((n, 5)),
        rng.random((n, 6)),
        tuple("fabcde"),
        np.zeros(n, np.int8),
        np.arange(start, start + n),
        np.zeros(n, int),
    )


def _points(path: str, run: int) -> None:
    store = Store(path)
    for n in range(0, POINTS, 10):
        store.add_points(
            run, [Point(i, {"evaluations": i}, 0.1, Verdict(float(i))) for i in range(n, n + 10)], n
        )


def run() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "bench.db")
        store = Store(path)
        row = store.create_run(
            kind="solve", problem="p", method="m", seed=0, budget={"evaluations": 1}, spec={}
        )
        batches = [_rows(i, 1) for i in range(ROWS)]
        bare = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        bare.execute("PRAGMA journal_mode=WAL")
        bare.execute(
            "CREATE TABLE t (run INT, row INT, x TEXT, g TEXT, m TEXT, f REAL, PRIMARY KEY (run, "
            "row))"
        )

        def ours() -> None:
            for b in batches:
                store.record(row.id, b, 0.1)

        def plain() -> None:
            for b in batches:
                bare.execute(
                    "INSERT OR REPLACE INTO t VALUES (1, ?, ?, ?, ?, ?)",
                    (
                        int(b.id[0]),
                        str(b.x[0].tolist()),
                        str(b.constraints[0].tolist()),
                        str(b.values[0].tolist()),
                        float(b.objective[0]),
                    ),
                )

        def once_the_disk_has_it() -> None:
            store.raw().cursor().execute("PRAGMA synchronous=FULL")
            ours()

        def once_it_is_handed_over() -> None:
            store.raw().cursor().execute("PRAGMA synchronous=NORMAL")
            ours()

        bare.execute("PRAGMA synchronous=FULL")
        mine, its, lax = in_turns(once_the_disk_has_it, plain, once_it_is_handed_over, rounds=5)

        runs = [
            store.create_run(
                kind="solve", problem="p", method="m", seed=s, budget={"evaluations": 1}, spec={}
            ).id
            for s in (1, 2)
        ]
        store.close()
        context = multiprocessing.get_context("spawn")
        writers = [context.Process(target=_points, args=(path, r)) for r in runs]
        for w in writers:
            w.start()
        for w in writers:
            w.join()
        kept = [len(store.trail(r)) for r in runs]

        with store.write() as connection:
            from feasible.lab.schema import runs as table

            connection.execute(
                table.insert(),
                [
                    {
                        "name": f"many-{i}",
                        "kind": "solve",
                        "problem": "p",
                        "method": "m",
                        "seed": i,
                        "budget": "{}",
                        "spec": "{}",
                        "state": "finished",
                        "reserved": "{}",
                        "rows": 0,
                        "told": 0,
                        "version": 0,
                        "created": 0.0,
                        "updated": 0.0,
                    }
                    for i in range(10_000)
                ],
            )
        start = time.perf_counter()
        listed = len(store.runs())
        listing = time.perf_counter() - start
        store.close()
        bare.close()
    figures = [
        Figure("one durable ledger row over a bare SQLite insert of the same", ratio(mine, its)),
        Figure("one durable ledger row", statistics.median(mine) / ROWS * 1e3, unit="ms"),
        Figure("one durable row over one that a power cut may lose", ratio(mine, lax)),
        Figure(
            "trail points lost of 2 x 5,000 written by 2 processes at once",
            float(2 * POINTS - sum(kept)),
            0,
            "points",
        ),
        Figure(f"listing {listed:,} runs", listing, 1.0, "s"),
    ]
    write("store", figures)
    return figures
