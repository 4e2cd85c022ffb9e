"""The store of a study under many workers: 200 on PostgreSQL (max_connections = 100) and 64 on an
SQLite file, beside Optuna's storage in the same databases; hand-outs to 1,000 simulated workers in
an open loop; how asking and telling grow with the rows. What two things cost is compared in seconds
of the processor, of the workers and of the server, because other programs on the machine do not
move those. `python -m benchmarks.store_scale PIECE...` measures pieces of it: many, many-sqlite,
single, rows, rows-sqlite, open-loop.
"""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil
import sqlalchemy as sa

import feasible
from feasible.blackbox import BlackBox
from feasible.blackbox.peers.search import RandomSearch
from feasible.core.ledger import DONE
from feasible.core.problem import Method
from feasible.lab.owner import identity
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport

from .common import RESULTS, Figure, stored, write

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
EVALUATIONS, WORKERS, FILE_WORKERS, SIMULATED = 10_000, 200, 64, 1_000
LOAD = 0.7
"""Share of the capacity at which hand-outs are asked for in the open loop."""


def problem() -> BlackBox:
    return BlackBox(lambda x: float(x @ x), bounds=[(0.0, 1.0)] * 2, name="quick")


@dataclass(frozen=True)
class OneAtATime(RandomSearch):
    """Random search as a method that learns from results: its points are handed out one by one."""

    learns: ClassVar[bool] = True


def begin(where: Any, budget: int, method: Method | None = None) -> Study:
    limits = feasible.Budget(evaluations=budget)
    return Study.create(Store(where), problem(), method or RandomSearch(), limits)


def again(study: Study, where: Any = None) -> Study:
    """The study as another worker opens it."""
    store = Store(where or study.store.where)
    return Study(store, store.run(study.id), problem(), study.method)


@contextmanager
def server() -> Iterator[Any]:
    from throwaway import Server

    made = Server(100)
    try:
        for setting in ("log_disconnections = on", "log_line_prefix = '%a '"):
            made.execute(f"ALTER SYSTEM SET {setting}")
        made.execute("SELECT pg_reload_conf()")
        yield made
    finally:
        made.end()


def spent(made: Any = None) -> float:
    """Seconds of the processor so far: this process, and a server with its connections, those that
    ended and those that are there.
    """
    here = time.process_time()
    if made is None:
        return here
    number = int((made.folder / "data" / "postmaster.pid").read_text().split()[0])
    server = psutil.Process(number)
    times = [server.cpu_times()]
    for child in server.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            times.append(child.cpu_times())
    ended = times[0].children_user + times[0].children_system
    return here + ended + float(sum(t.user + t.system for t in times))


def together(count: int, work: Callable[[], Any]) -> None:
    """Do the same in many threads; raises what one of them raised."""
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(work) for _ in range(count)]:
            done.result()


def worked(
    where: Any, workers: int, n: int, made: Any = None, method: Method | None = None
) -> tuple[float, float, int]:
    """Seconds of the processor and of the clock for each evaluation, and how many rows are not
    as they should be.
    """
    study = begin(where, n, method)
    before, started = spent(made), time.perf_counter()
    together(workers, lambda: again(study).work())
    took, clock = spent(made) - before, time.perf_counter() - started
    rows = study.store.evaluations(study.id)
    wrong = abs(len(rows) - n) + sum(r.status != DONE for r in rows)
    wrong += len(rows) - len({tuple(r.x) for r in rows})
    wrong += abs(int(study.row.reserved["evaluations"]) - n)
    return took / n, clock / n, wrong


def optuna_worked(url: str, workers: int, n: int, made: Any = None) -> tuple[float, float]:
    """The same by Optuna's storage and its random sampler: ask, two parameters, tell."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pool: dict[str, Any] = {"pool_size": 20, "max_overflow": 60, "pool_timeout": 600}
    if made is None:  # with SQLite's five seconds its workers end: "database is locked"
        pool = {"connect_args": {"timeout": 600}}
    storage = optuna.storages.RDBStorage(url, engine_kwargs=pool)
    optuna.create_study(study_name="quick", storage=storage)
    left, lock = [n], threading.Lock()

    def work() -> None:
        sampler = optuna.samplers.RandomSampler()
        study = optuna.load_study(study_name="quick", storage=storage, sampler=sampler)
        while True:
            with lock:
                if not left[0]:
                    return
                left[0] -= 1
            trial = study.ask()
            x = np.array([trial.suggest_float(name, 0, 1) for name in "ab"])
            study.tell(trial, float(x @ x))

    before, started = spent(made), time.perf_counter()
    together(workers, work)
    took = spent(made) - before
    storage.engine.dispose()
    return took / n, (time.perf_counter() - started) / n


def filled(study: Study, n: int) -> Study:
    """The study with n told rows, written by the database itself."""
    row = study.ask()[0]
    study.tell([StudyReport(row.row, None, {"objective": 1.0})])
    with study.store.write() as connection:
        names = [c["name"] for c in sa.inspect(connection).get_columns("feasible_evaluations")]
        changed = {"row": "k", "told": "k + 1", "x": "'[0.5, ' || ((k + 0.5) / 1e7) || ']'"}
        values = ", ".join(changed.get(name, f'"{name}"') for name in names)
        columns = ", ".join(f'"{name}"' for name in names)
        count = f"WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {n - 1})"
        connection.exec_driver_sql(
            f"INSERT INTO feasible_evaluations ({columns}) {count} SELECT {values} "
            f"FROM feasible_evaluations, n WHERE run = {study.id} AND row = 0"
        )
        connection.exec_driver_sql(
            f"UPDATE feasible_runs SET rows = {n}, told = {n} WHERE id = {study.id}"
        )
        connection.exec_driver_sql(f"UPDATE feasible_checkpoints SET told = {n}")
    return again(study)


def grown(place: Callable[[], Any], made: Any, sizes: tuple[int, ...]) -> dict[int, list[float]]:
    """Seconds of the processor for an ask and a tell at each number of rows, in turns, and for the
    first ask of a process.
    """
    studies = {n: filled(begin(place(), 10**7, OneAtATime()), n) for n in sizes}
    first, took = dict[int, float](), {n: list[float]() for n in sizes}
    for n, study in studies.items():
        before = spent(made)
        study.ask()
        first[n] = spent(made) - before
    for _ in range(12):
        for n, study in studies.items():
            before = spent(made)
            for _ in range(10):
                (row,) = study.ask()
                study.tell([StudyReport(row.row, None, {"objective": 1.0})], worker=True)
            took[n].append((spent(made) - before) / 10)
    return {n: [statistics.median(took[n]), first[n]] for n in sizes}


class HandingOut:
    """Hand-outs of a study to simulated workers, each with a connection of its own, and the telling
    of their results beside it.
    """

    def __init__(self, where: str, workers: int):
        self.study = begin(where, 10**7)
        self.wheres = [f"{where}&application_name={who}" for who in ("asking", "telling")]
        self.whos = [{**identity(), "claim": uuid.uuid4().hex} for _ in range(workers)]
        self.local = threading.local()
        self.waited: list[float] = []

    def one(self, i: int, due: float | None = None) -> None:
        """Hand one out, and tell its result; due: when it was asked for."""
        if not hasattr(self.local, "pair"):
            self.local.pair = [again(self.study, where) for where in self.wheres]
        asking, telling = self.local.pair
        (row,) = asking.ask(worker=self.whos[i % len(self.whos)])
        if due is not None:
            self.waited.append(time.perf_counter() - due)
        telling.tell([StudyReport(row.row, None, {"objective": 1.0})], worker=True)

    def capacity(self, n: int) -> float:
        """Hand-outs a second where somebody always asks."""
        todo = iter(range(n + 16))

        def ask() -> None:
            for i in todo:
                self.one(i)

        together(4, ask)
        started = time.perf_counter()
        todo = iter(range(n))
        together(4, ask)
        return n / (time.perf_counter() - started)

    def open_loop(self, n: int, rate: float) -> list[float]:
        """Seconds until each was handed out, where they are asked for at random moments, whatever
        became of the earlier ones.
        """
        rng, due = np.random.default_rng(0), time.perf_counter()
        with ThreadPoolExecutor(90) as pool:
            running = []
            for i in range(n):
                due += rng.exponential(1 / rate)
                time.sleep(max(due - time.perf_counter(), 0))
                running.append(pool.submit(self.one, i, due))
            for done in running:
                done.result()
        return self.waited


def sessions(made: Any, n: int) -> list[float]:
    """Seconds of the last hand-outs by the server's log, from connection to disconnection."""
    log = (made.folder / "log").read_text()
    found = re.findall(r"asking LOG: +disconnection: session time: (\d+):(\d+):([\d.]+)", log)
    return [3600 * int(h) + 60 * int(m) + float(s) for h, m, s in found][-n:]


# -- the pieces ------------------------------------------------------------------------------------


def for_optuna(url: str) -> str:
    """A URL as Optuna takes it."""
    return url.replace("postgresql:", "postgresql+psycopg:")


def many(n: int = EVALUATIONS) -> list[Figure]:
    """Many workers on PostgreSQL, beside Optuna's."""
    with server() as made:
        cpu, clock, wrong = worked(made.new_database(), WORKERS, n, made)
        theirs, _ = optuna_worked(for_optuna(made.new_database()), WORKERS, n // 10, made)
    said = f"{WORKERS} workers on PostgreSQL, {n:,} evaluations"
    return [
        Figure(f"{said}: lost, doubled or over", float(wrong), 0, "rows"),
        Figure(f"{said}: processor for each", cpu * 1e3, unit="ms"),
        Figure(f"{said}: clock for each", clock * 1e3, unit="ms"),
        Figure(
            f"Optuna's {WORKERS} workers there, {n // 10:,}: processor for each",
            theirs * 1e3,
            unit="ms",
        ),
        Figure(
            "evaluations a processor second over Optuna's, PostgreSQL",
            theirs / cpu,
            3.0,
            "at least",
        ),
    ]


def single(n: int = 500) -> list[Figure]:
    """One worker on PostgreSQL, also where the method learns, beside Optuna's."""
    with server() as made:
        several, _, _ = worked(made.new_database(), 1, n, made)
        cpu, _, _ = worked(made.new_database(), 1, n, made, OneAtATime())
        theirs, _ = optuna_worked(for_optuna(made.new_database()), 1, n, made)
    return [
        Figure("one worker on PostgreSQL: processor for each", several * 1e3, unit="ms"),
        Figure("the same where the method learns: one at a time", cpu * 1e3, unit="ms"),
        Figure("one at a time over Optuna's with one worker", theirs / cpu, unit="at least"),
    ]


def many_sqlite(n: int = EVALUATIONS) -> list[Figure]:
    """Many workers on an SQLite file, beside Optuna's."""
    with tempfile.TemporaryDirectory() as folder:
        cpu, _, wrong = worked(f"{folder}/a.db", FILE_WORKERS, n)
        theirs, _ = optuna_worked(f"sqlite:///{folder}/b.db", FILE_WORKERS, n // 20)
    said = f"{FILE_WORKERS} workers on SQLite, {n:,} evaluations"
    return [
        Figure(f"{said}: lost, doubled or over", float(wrong), 0, "rows"),
        Figure(f"{said}: processor for each", cpu * 1e3, unit="ms"),
        Figure(
            "evaluations a processor second over Optuna's, SQLite", theirs / cpu, 1.0, "at least"
        ),
    ]


def rows(kind: str, top: int = 1_000_000) -> list[Figure]:
    """How asking and telling grow with the rows, of a method that learns."""
    with contextlib.ExitStack() as stack:
        made, fresh = None, iter(range(10**6))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        place: Callable[[], str] = lambda: f"{folder}/{next(fresh)}.db"  # noqa: E731
        if kind == "PostgreSQL":
            made = stack.enter_context(server())
            place = made.new_database
        took = grown(place, made, (1_000, 100_000, top))
    base = took[1_000][0]
    return [
        Figure(f"ask and tell at 1e3 rows, {kind}", base * 1e3, unit="ms"),
        Figure(f"the same at 1e5 over 1e3 rows, {kind}", took[100_000][0] / base, 1.3),
        Figure(f"the same at {top:.0e} over 1e3 rows, {kind}", took[top][0] / base),
        Figure(f"first ask of a process at {top:.0e} rows, {kind}", took[top][1], unit="s"),
    ]


def open_loop(n: int = 2_000) -> list[Figure]:
    """Hand-outs at a share of the capacity."""
    with server() as made:
        out = HandingOut(made.new_database(), SIMULATED)
        most = out.capacity(n // 4)
        seen = out.open_loop(n, LOAD * most)
        took = sessions(made, n)
    p50, p99 = np.percentile(took, [50, 99])
    said = f"hand-outs to {SIMULATED:,} simulated workers"
    return [
        Figure(f"{said}, a second at most", most, unit="1/s"),
        Figure(
            f"at {LOAD:.0%} of that, open loop: median in the server", float(p50) * 1e3, unit="ms"
        ),
        Figure("p99 over the median, in the server", float(p99 / p50), 5.0),
        Figure(
            "p99 over the median, as askers wait", float(np.divide(*np.percentile(seen, [99, 50])))
        ),
    ]


PIECES: dict[str, Callable[[], list[Figure]]] = {
    "many": many,
    "single": single,
    "many-sqlite": many_sqlite,
    "rows": lambda: rows("PostgreSQL"),
    "rows-sqlite": lambda: rows("SQLite"),
    "open-loop": open_loop,
}


def run(names: Sequence[str] = tuple(PIECES)) -> list[Figure]:
    """Measure pieces, and keep them beside those that were measured before."""
    file = RESULTS / "store_scale.json"
    kept = json.loads(file.read_text())["pieces"] if file.exists() else {}
    found: list[Figure] = []
    for name in names:
        mine = PIECES[name]()
        found += mine
        kept[name] = [f.what for f in mine]
        known = {f.what: f for f in [*stored("store_scale"), *mine]}
        figures = [known[what] for piece in PIECES for what in kept.get(piece, [])]
        write("store_scale", figures, pieces=kept)
    return found


if __name__ == "__main__":
    for figure in run(sys.argv[1:] or tuple(PIECES)):
        print(f"{figure.what}: {figure.value:.4g} {figure.unit} (bar {figure.bar}, {figure.met})")
