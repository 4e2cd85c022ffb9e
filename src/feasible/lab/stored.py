"""Runs that live in a store: start, resume, extend, show. A resumed run replays its ledger, so
nothing is paid for twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.budget import Budget, Meter
from ..core.checkpoint import decode_as, encode
from ..core.errors import CheckpointError, StoreError
from ..core.evaluating import Engine, InProcess, RunOptions
from ..core.ledger import FAILED, Ledger, Observations
from ..core.plain import is_plain, verdict_of
from ..core.problem import Method, Problem
from ..core.registry import (
    Entry,
    configure,
    load_method,
    load_problem,
    methods,
    moved_targets,
    public_target,
    resolve_target,
    split_settings,
)
from ..core.result import Result
from ..core.rows import is_numeric
from ..core.run import Run, run
from ..core.trail import LOST
from ..core.versions import versions
from .engines import LocalProcesses
from .fingerprint import check_same
from .lease import Lease
from .owner import held
from .placing import RayCluster
from .recovery import Keeper, TrailWriter, extend as extend, give_back, tried_again
from .rows import EvaluationRow, RunRow
from .store import Store

CHECKPOINT_SECONDS = 20.0
RELATIVE = "relative"
"""Entry of a study's spec that says that its method's state holds constraints relative to the
limits' sizes, as since version 0.2.
"""


def engine_of(options: RunOptions, cluster: RayCluster | None = None) -> Engine:
    """The engine that these options ask for.

    Args:
        options: Of the run.
        cluster: Where evaluations run; None for this machine.
    """
    if cluster is not None:
        return cluster.tasks(options.workers, options.thread_count)
    if options.workers > 1 or options.evaluation_timeout is not None:
        return LocalProcesses(options.workers, options.thread_count)
    return InProcess()


def method_spec(method: Method, reference: Any = None) -> dict[str, Any] | None:
    """How to build a method again, by public names.

    Args:
        method: The method.
        reference: The name it was given by, if it was.

    Returns:
        A registered name with settings, or a class that is not registered and its settings; None
        where that cannot be said.
    """
    if isinstance(reference, str):
        return {"name": reference}
    cls = type(method)
    settings = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}
    if (
        "<locals>" in cls.__qualname__
        or cls.__module__ in ("__main__",)
        or not all(is_plain(v) for v in settings.values())
    ):
        return None
    for entry in _entries_of(cls):
        return {"name": entry.name, "settings": settings}
    return {"target": public_target(cls), "settings": settings}


def _entries_of(cls: type[Method]) -> Iterator[Entry]:
    """Yield the registered entries whose method is of this very class."""
    for entry in methods().values():
        if entry.target.endswith(f":{cls.__name__}") and type(load_method(entry.name)) is cls:
            yield entry


def method_label(method: Method, reference: Any = None) -> str:
    """What people call a method.

    Args:
        method: The method.
        reference: The name it was given by, if it was.

    Returns:
        The name it was given by, or the registered name that has its settings.
    """
    if isinstance(reference, str) and split_settings(reference)[0] in methods():
        return reference
    for entry in _entries_of(type(method)):
        if load_method(entry.name) == method:
            return entry.name
    if isinstance(reference, str) and method.name == Method.name:
        return reference.rpartition(":")[2]
    return method.name


def build_method(spec: Mapping[str, Any] | None, name: str) -> Method:
    """The method of a stored run.

    Args:
        spec: What `method_spec` made.
        name: What people call it.

    Raises:
        StoreError: It was given as an object that only its program can build.
        ArgumentError: A setting is unknown or refused now.
    """
    if spec is None:
        raise StoreError(
            f"method '{name}' was given as an object that only its program can build: resume from "
            "that program, with "
            "feasible.solve(..., store=..., name=...)"
        )
    if "settings" not in spec:
        return load_method(spec["name"])
    registered = spec.get("name") or moved_targets().get(spec["target"])
    cls = type(load_method(registered)) if registered else resolve_target(spec["target"])
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in spec["settings"].items()}
    return configure(cls, settings, name)


def build_problem(row: RunRow) -> Problem:
    """The problem of a stored run.

    Args:
        row: The stored run.

    Raises:
        StoreError: It was given as an object that only its program can build.
        UnknownName: Nothing has its name now.
    """
    reference = row.spec.get("problem")
    if reference is None:
        raise StoreError(
            f"problem '{row.problem}' of run '{row.name}' was given as an object that only its "
            "program can build: resume from "
            f"that program, with feasible.solve(..., store=..., name='{row.name}')"
        )
    return load_problem(reference)


class _Checkpoints:
    """A run's checkpoints in the store, at most one in CHECKPOINT_SECONDS."""

    def __init__(self, store: Store, row: RunRow, outdated: bool = False):
        self.store, self.run, self.fence = store, row.id, row.fence
        self.last, self.off, self.outdated = time.monotonic(), False, outdated

    def load(self) -> bytes | None:
        """Return the newest checkpoint, if there is one."""
        found = None if self.outdated else self.store.checkpoint(self.run)
        return None if found is None else found[0]

    def due(self) -> bool:
        """Return True when the last one is long enough ago."""
        return not self.off and time.monotonic() - self.last > CHECKPOINT_SECONDS

    def save(self, blob: bytes) -> None:
        """Keep this one."""
        self.store.save_checkpoint(self.run, blob, fence=self.fence)
        self.last = time.monotonic()

    def refuse(self, reason: str) -> None:
        """Make no more of them: the state cannot be saved."""
        self.off = True


def _outdated(row: RunRow) -> bool:
    """Return whether a run's checkpoint holds constraints in the metrics' units, as before version
    0.2; its rows are then replayed instead.
    """
    before = row.spec.get("fingerprint") or {}
    return bool(before.get("limits")) and "scales" not in before


def observations(rows: Sequence[EvaluationRow], columns: Sequence[str] = ()) -> Observations:
    """Stored rows as a batch.

    Args:
        rows: At least one.
        columns: Names of the metrics; empty for all that a row has.
    """
    names = tuple(columns) or tuple(dict.fromkeys(c for r in rows for c in r.metrics))
    m = max((len(r.constraints) for r in rows), default=0)
    nan = float("nan")
    g = [
        [nan if v is None else v for v in r.constraints] + [nan] * (m - len(r.constraints))
        for r in rows
    ]
    return Observations(
        np.array([r.x for r in rows], dtype=float),
        np.array([nan if r.objective is None else r.objective for r in rows], dtype=float),
        np.array(g, dtype=float).reshape(len(rows), m),
        np.array([[r.metrics.get(c, nan) for c in names] for r in rows], dtype=float),
        names,
        np.array([r.status for r in rows], dtype=np.int8),
        np.array([r.row for r in rows]),
        np.array([r.tag for r in rows]),
        {i: r.reason for i, r in enumerate(rows) if r.reason},
        np.array([nan if r.seconds is None else r.seconds for r in rows], dtype=float),
    )


def drive(
    store: Store,
    row: RunRow,
    problem: Problem,
    method: Method,
    *,
    observers: Sequence[Any] = (),
    notes: Sequence[str] = (),
    take_over: bool = False,
    cluster: RayCluster | None = None,
) -> Result:
    """Run a stored run to its end from wherever it stands.

    Args:
        store: Where it is.
        row: The run.
        problem: Of the run.
        method: Of the run.
        observers: As in `feasible.solve`.
        notes: Sentences for the result.
        take_over: Also where another driver holds it, whose writes are refused from then on.
        cluster: Where its evaluations run, as in `engine_of`.

    Raises:
        RunBusy: Another driver holds it.
        ArgumentError: The problem is not the one that it began with.
        Diverged: The method proposes other points than the stored ones.
    """
    check_same(row, problem)
    with Lease(store, row.id, take_over=take_over) as lease:
        row = dataclasses.replace(store.run(row.id), fence=lease.fence)
        return _drive(store, row, problem, method, observers, list(notes), cluster)


def _drive(
    store: Store,
    row: RunRow,
    problem: Problem,
    method: Method,
    observers: Sequence[Any],
    notes: list[str],
    cluster: RayCluster | None,
) -> Result:
    """Run a run that is claimed under `row.fence`."""
    if kept := store.take_in(row):
        notes.append(f"{kept} paid evaluations that the store could not take are in it now")
    options = RunOptions(**row.spec.get("options", {}))
    budget = Budget(**row.budget)
    meter = Meter(budget)
    ledger = Ledger(Keeper(store, row, meter))
    stored = store.evaluations(row.id)
    ledger.again = tried_again(stored, options, row.budget)
    for old in stored:
        if old.row in ledger.again and old.status == FAILED:
            continue
        seen = ledger.replay[old.row] = measured(problem, [old])
        seen.charged = {0: old.charged} if old.charged else {}
        ledger.times[old.row] = old.at or 0.0
    try:
        with contextlib.closing(engine_of(options, cluster)) as engine:
            current = Run(
                problem=problem,
                method=method,
                budget=budget,
                seed=row.seed,
                meter=meter,
                ledger=ledger,
                engine=engine,
                observers=(TrailWriter(store, row), *observers),
                options=options,
                label=row.name,
                notes=notes,
            )
            result = run(current, _Checkpoints(store, row, _outdated(row)))
    except BaseException as error:
        ledger.sink = None  # nor does the result that an exception carries hold the store open
        give_back(store, row, max(ledger.count, len(stored)), error)
        raise
    if not problem.keeps_ledger and result.answer is not None and row.race is None:
        try:
            store.save_answer(row.id, encode(result.answer), row.fence)
        except CheckpointError as error:
            result.notes.append(f"the answer is not kept in the store: {error}")
    result.run, result.chosen, result.method = row.name, row.spec.get("chosen"), row.method
    state = "interrupted" if result.stopped.startswith("interrupted") else "finished"
    ledger.sink = None  # a result does not hold the store open
    store.release_run(row.id, row.fence, state=state, rows=ledger.count, result=result_data(result))
    return result


def measured(problem: Problem, rows: Sequence[EvaluationRow]) -> Observations:
    """Stored rows as a batch, with the constraints that the problem's limits of now make of their
    metrics.

    Args:
        problem: Of the run.
        rows: At least one.
    """
    columns = problem.columns
    extra = dict.fromkeys(c for r in rows for c in r.metrics if c not in columns)
    return problem.remeasured(observations(rows, (*columns, *extra)))


def result_data(result: Result) -> dict[str, Any]:
    """A result as plain data: what `show`, the standings and the report need without the problem.

    Args:
        result: Of a run that ended.
    """
    found = result.to_dict()
    found["values"], found["design"] = found.pop("design"), found.pop("table")
    of_row = ("run", "problem", "method", "seed", "budget", "evaluations")
    return {
        **{k: v for k, v in found.items() if k not in of_row},
        "versions": versions(),
        "text": result.text(),
    }


def stored_document(row: RunRow, evaluations: int) -> dict[str, Any]:
    """What `Result.to_dict` says of a run that ended, from the store alone: without its problem.

    Args:
        row: The run.
        evaluations: Its rows.
    """
    found = dict(row.result or {})
    table = [list(r) for r in found.pop("design", [])]
    found.pop("text", None)
    return {
        "run": row.name,
        "problem": row.problem,
        "method": row.method,
        "seed": row.seed,
        "design": found.pop("values", None) or _values(table, found.get("answer")),
        **{k: found.get(k) for k in ("answer", "id", "objective", "feasible", "verdict")},
        "budget": row.budget,
        "spent": found.get("spent"),
        "evaluations": evaluations,
        **{k: found.get(k) for k in ("seconds", "steps", "stopped", "chosen", "notes")},
        **{k: found.get(k) for k in ("versions", "cloud")},
        "table": table,
        "state": row.state,
        "reserved": row.reserved,
        **({"error": found["error"]} if "error" in found else {}),
    }


def _values(table: list[list[str]], answer: Sequence[float] | None) -> dict[str, Any] | None:
    """A design by name as results of before 0.2 have it: text where a cell is no number."""
    if answer is None or not table or table[0][:2] != ["variable", "value"]:
        return None
    return {
        name: x if is_numeric(text) else text
        for (name, text, *_), x in zip(table[1 : 1 + len(answer)], answer, strict=True)
    }


def stored_result(store: Store, row: RunRow, problem: Problem) -> Result:
    """The result of a stored run as it stands, read back without running anything.

    Args:
        store: Where it is.
        row: The run, in any state.
        problem: Of the run.
    """
    done = (
        row.result
        if row.result is not None
        and "verdict" in row.result
        and row.state in ("finished", "interrupted")
        else None
    )
    ledger = Ledger()
    ledger.sizes = problem.limit_sizes()
    rows = store.evaluations(row.id)
    if rows:
        ledger.append(measured(problem, rows), stored=True)
    answer = problem.present(problem.incumbent(ledger))
    unread = []
    if (blob := store.answer(row.id)) is not None:
        try:
            answer = decode_as(blob, problem.answers)
        except CheckpointError as error:
            unread = [f"the stored answer needs the problem's source to be read: {error}"]
    trail, budget = store.trail(row.id), Budget(**row.budget)
    if done is not None:
        return Result(
            problem=problem,
            method=row.method,
            answer=answer,
            verdict=verdict_of(done["verdict"]),
            spent=done["spent"],
            trail=trail,
            stopped=done["stopped"],
            seed=row.seed,
            budget=budget,
            steps=done["steps"],
            versions=done["versions"],
            ledger=ledger,
            run=row.name,
            chosen=done["chosen"],
            notes=[*done["notes"], *unread],
        )
    verdict = LOST if answer is None else problem.judge(answer)
    spent: dict[str, float] = {
        "evaluations": float(len(rows)),
        "seconds": max((r.at or 0.0 for r in rows), default=0.0),
    }
    notes = [row.result["error"]] if row.result and "error" in row.result else []
    busy = held(row.owner, row.lease, row.updated, now=store.clock())
    stopped = (
        "still running"
        if busy
        else f"{'failed' if notes else 'not finished'}; 'feasible resume {row.name}' goes on"
    )
    return Result(
        problem=problem,
        method=row.method,
        answer=answer,
        verdict=verdict,
        spent=spent,
        trail=trail,
        stopped=stopped,
        seed=row.seed,
        budget=budget,
        steps=trail[-1].step if trail else 0,
        versions=versions(),
        ledger=ledger,
        run=row.name,
        chosen=row.spec.get("chosen"),
        notes=notes,
    )
