"""The store of a study under many workers: 200 on PostgreSQL (max_connections = 100) and 64 on an
SQLite file, beside Optuna's storage in the same databases; hand-outs to 1,000 simulated workers in
an open loop; how asking and telling grow with the rows. What two things cost is compared in seconds
of the processor, of the workers and of the server, because other programs on the machine do not
move those. `python -m benchmarks.store_scale 1000` makes fewer evaluations than the 10,000: to see
that it works, not what it costs, because a worker then does little but open the store.
"""

from __future__ import annotations

import contextlib
import re
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import sqlalchemy as sa

import feasible
from feasible.blackbox import BlackBox
from feasible.core.ledger import DONE
from feasible.core.registry import load_method
from feasible.lab.owner import identity
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport

from .common import Figure, write

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
EVALUATIONS, WORKERS, FILE_WORKERS, SIMULATED = 10_000, 200, 64, 1_000
LOAD = 0.7
"""Share of the capacity at which hand-outs are asked for in the open loop."""


def problem() -> BlackBox:
    return BlackBox(lambda x: float(x @ x), bounds=[(0.0, 1.0)] * 2, name="quick")


def begin(where: Any, budget: int) -> Study:
    method = load_method("random-search")
    return Study.create(
        Store(where), problem(), method, feasible.Budget(evaluations=budget), label="random-search"
    )


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


def worked(where: Any, workers: int, n: int, made: Any = None) -> tuple[float, float, int]:
    """Seconds of the processor and of the clock for each evaluation, and how many rows are not
    as they should be.
    """
    study = begin(where, n)
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
    studies = {n: filled(begin(place(), 10**7), n) for n in sizes}
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


def handed_out(where: str, made: Any, workers: int, n: int, rate: float) -> list[float]:
    """Seconds of each hand-out by the server's log, from connection to disconnection, where they
    are asked for at random moments whatever became of the earlier ones.
    """
    study = begin(where, n)
    asking, telling = (f"{where}&application_name={who}" for who in ("asking", "telling"))
    whos = [{**identity(), "claim": uuid.uuid4().hex} for _ in range(workers)]
    local = threading.local()

    def one(i: int) -> None:
        if not hasattr(local, "pair"):
            local.pair = again(study, asking), again(study, telling)
        (row,) = local.pair[0].ask(worker=whos[i % workers])
        local.pair[1].tell([StudyReport(row.row, None, {"objective": 1.0})], worker=True)

    rng, due = np.random.default_rng(0), time.perf_counter()
    with ThreadPoolExecutor(90) as pool:
        running = []
        for i in range(n):
            due += rng.exponential(1 / rate)
            time.sleep(max(due - time.perf_counter(), 0))
            running.append(pool.submit(one, i))
        for done in running:
            done.result()
    log = (made.folder / "log").read_text()
    found = re.findall(r"asking LOG: +disconnection: session time: (\d+):(\d+):([\d.]+)", log)
    return sorted(3600 * int(h) + 60 * int(m) + float(s) for h, m, s in found)[-n:]


def run(n: int = EVALUATIONS) -> list[Figure]:
    figures = []
    with server() as made, tempfile.TemporaryDirectory() as folder:
        fresh = iter(range(10**6))

        def file() -> str:
            return str(Path(folder) / f"{next(fresh)}.db")

        cpu, clock, wrong = worked(made.new_database(), WORKERS, n, made)
        theirs, _ = optuna_worked(
            made.new_database().replace("postgresql:", "postgresql+psycopg:"),
            WORKERS,
            max(n // 10, 200),
            made,
        )
        said = f"{WORKERS} workers on PostgreSQL, {n:,} evaluations"
        figures += [
            Figure(f"{said}: lost, doubled or over", float(wrong), 0, "rows"),
            Figure(f"{said}: processor for each", cpu * 1e3, unit="ms"),
            Figure(f"{said}: clock for each", clock * 1e3, unit="ms"),
            Figure(
                "evaluations a processor second over Optuna's, PostgreSQL",
                theirs / cpu,
                3.0,
                "at least",
            ),
        ]
        m = max(n // 5, 200)
        cpu, _, wrong = worked(file(), FILE_WORKERS, m)
        theirs, _ = optuna_worked(f"sqlite:///{file()}", FILE_WORKERS, max(m // 5, 100))
        figures += [
            Figure(
                f"{FILE_WORKERS} workers on SQLite, {m:,} evaluations: lost, doubled or over",
                float(wrong),
                0,
                "rows",
            ),
            Figure(
                "evaluations a processor second over Optuna's, SQLite",
                theirs / cpu,
                1.0,
                "at least",
            ),
        ]
        for kind, place, its in (("PostgreSQL", made.new_database, made), ("SQLite", file, None)):
            top = 1_000_000 if n >= EVALUATIONS else 200_000
            took = grown(place, its, (1_000, 100_000, top))
            base = took[1_000][0]
            figures += [
                Figure(f"ask and tell at 1e3 rows, {kind}", base * 1e3, unit="ms"),
                Figure(f"the same at 1e5 over 1e3 rows, {kind}", took[100_000][0] / base, 1.3),
                Figure(f"the same at {top:.0e} over 1e3 rows, {kind}", took[top][0] / base),
                Figure(f"first ask of a process at {top:.0e} rows, {kind}", took[top][1], unit="s"),
            ]
        rate = LOAD / clock
        took = handed_out(made.new_database(), made, SIMULATED, max(n // 10, 200), rate)
        p50, p99 = np.percentile(took, [50, 99])
        figures += [
            Figure(
                f"hand-outs a second to {SIMULATED:,} simulated workers, open loop",
                rate,
                unit="1/s",
            ),
            Figure("their median in the server", float(p50) * 1e3, unit="ms"),
            Figure("their p99 over their median", float(p99 / p50), 5.0),
        ]
    if n >= EVALUATIONS:
        write("store_scale", figures)
    return figures


if __name__ == "__main__":
    for figure in run(int(sys.argv[1]) if len(sys.argv) > 1 else EVALUATIONS):
        print(f"{figure.what}: {figure.value:.4g} {figure.unit} (bar {figure.bar}, {figure.met})")
