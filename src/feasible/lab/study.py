"""Studies: the experimenter's loop. People or workers ask for experiments, run them, and tell what
came out, over weeks.

The budget belongs to the study: a unit is reserved, in the transaction that hands out the
  experiment, before it is spent.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

import numpy as np
import sqlalchemy as sa

from ..core.budget import Budget, Meter
from ..core.checkpoint import decode, encode
from ..core.errors import (
    ArgumentError,
    BudgetError,
    BudgetExhausted,
    CheckpointError,
    Diverged,
    FeasibleError,
    Pending,
    StopRun,
    StoreError,
    TableError,
)
from ..core.evaluating import RunOptions
from ..core.ledger import (
    ABANDONED,
    CHECKED,
    DONE,
    FAILED,
    INFEASIBLE,
    PENDING,
    STATUS,
    Ledger,
    Observation,
    Observations,
)
from ..core.plain import finite
from ..core.problem import Method
from ..core.result import Result
from ..core.run import Run, run
from ..core.versions import versions
from .owner import alive, identity
from .rows import EvaluationRow, RunRow, evaluation_values, read_evaluation
from .schema import evaluations, runs
from .serial import dump, load
from .store import Store
from .stored import _columns, method_label, observations

FOREIGN = -2
"""Tag of an experiment that the study did not propose."""
TRIES = 50
"""How often a method is asked again when it repeats a point that is known or pending."""


@dataclass(slots=True)
class Told:
    """What a tell did. rows: ids taken; corrected: ids whose earlier values changed; warnings:
    sentences for the person.
    """

    rows: list[int] = field(default_factory=list)
    corrected: list[int] = field(default_factory=list)
    partial: list[int] = field(default_factory=list)
    unchanged: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """One result to tell. id None: an experiment that the study did not propose. metrics: raw
    values by name, None = not measured.
    """

    id: int | None
    point: Mapping[str, Any] | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    status: str = ""
    note: str | None = None
    line: int | None = None


class _Asking:
    """An engine that evaluates nothing: the first points a method wants are what it proposes."""

    workers = 1

    def close(self) -> None:
        """Nothing is held."""

    def __init__(self, ledger: Ledger, answers: Mapping[int, Any]):
        self.ledger, self.answers = ledger, answers
        self.wanted: list[tuple[int, np.ndarray]] = []

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], timeout: float | None = None
    ) -> Any:
        if not items:
            return
        numbers = (k for k in count(self.ledger.count) if k not in self.answers)
        self.wanted = [
            (k, np.asarray(i[0] if isinstance(i, tuple) else i))
            for k, i in zip(numbers, items, strict=False)
        ]
        raise StopRun("waiting for results")
        yield


class Study:
    """A study in a store. `problem` is a black box (its function may be absent), `method` any
    method that solves it.
    """

    def __init__(self, store: Store, row: RunRow, problem: Any, method: Method):
        self.store, self.id, self.name, self.problem, self.method = (
            store,
            row.id,
            row.name,
            problem,
            method,
        )
        self.label, self.seed, self.budget = row.method, row.seed, row.budget
        self.resource = (
            "checks"
            if getattr(problem, "check", None) is not None and "checks" in row.budget
            else "evaluations"
        )

    @classmethod
    def create(
        cls,
        store: Store,
        problem: Any,
        method: Method,
        budget: Budget,
        *,
        name: str | None = None,
        seed: int = 0,
        spec: Mapping[str, Any] | None = None,
        label: str | None = None,
    ) -> Study:
        """A new study; label: what people call the method. Raises BudgetError if the budget limits
        neither evaluations nor checks.
        """
        if "evaluations" not in budget and "checks" not in budget:
            raise BudgetError(f"budget {budget}: a study is limited by evaluations (or checks)")
        row = store.create_run(
            kind="study",
            problem=problem.name,
            method=label or method_label(method),
            seed=seed,
            budget=dict(budget),
            spec={"problem": None, "method": None, **(spec or {})},
            name=name or problem.name,
        )
        return cls(store, row, problem, method)

    # -- asking ------------------------------------------------------------------------------------

    @property
    def row(self) -> RunRow:
        """The study as stored now."""
        return self.store.run(self.id)

    def left(self, row: RunRow | None = None) -> float:
        """Units of the budget that are neither spent nor handed out."""
        row = row or self.row
        return min(
            (
                limit - row.reserved.get(r, 0)
                for r, limit in row.budget.items()
                if r in ("evaluations", "checks")
            ),
            default=math.inf,
        )

    def pending(self) -> list[EvaluationRow]:
        """Experiments that were handed out and not yet told completely."""
        return self.store.evaluations(self.id, pending=True)

    def ask(
        self, n: int = 1, *, dry_run: bool = False, worker: Mapping[str, Any] | None = None
    ) -> list[EvaluationRow]:
        """Propose up to n experiments and hand them out (fewer when less is left of the budget).
        dry_run: look without recording.

        Raises BudgetExhausted when nothing is left, Pending when the method must first be told of
        pending ones.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ArgumentError(f"n={n!r}: expected an integer >= 1")
        for attempt in range(1000):
            row = self.row
            left = self.left(row)
            if left < 1 and not dry_run:
                spent = ", ".join(
                    f"{row.reserved.get(r, 0):g} of {limit:g} {r}"
                    for r, limit in row.budget.items()
                )
                raise (
                    BudgetExhausted(
                        self.resource,
                        row.budget[self.resource],
                        row.reserved.get(self.resource, 0),
                        n,
                    )
                    if spent
                    else StopRun("")
                )
            proposed, tags, blob = self._propose(row, n if dry_run else int(min(n, left)))
            units = self._units()
            fresh = [
                EvaluationRow(row.rows + i, x.tolist(), {}, PENDING, int(t), charged=units)
                for i, (x, t) in enumerate(zip(proposed, tags, strict=True))
            ]
            if dry_run or self._hand_out(row, fresh, blob, worker):
                return fresh
            time.sleep(min(0.002 * (attempt + 1), 0.1) * np.random.default_rng().random())
        raise StoreError(
            f"study '{self.name}': could not hand out an experiment, too many others ask at once"
        )

    def _units(self) -> dict[str, float]:
        budget = self.budget
        units = {"evaluations": 1.0}
        return (
            units | {"checks": 1.0}
            if getattr(self.problem, "check", None) is not None or "checks" in budget
            else units
        )

    def _hand_out(
        self,
        row: RunRow,
        fresh: Sequence[EvaluationRow],
        blob: bytes | None,
        worker: Mapping[str, Any] | None,
    ) -> bool:
        """Reserve and insert in one transaction; False if somebody else changed the study
        meanwhile.
        """
        with self.store.write() as connection:
            version, reserved = connection.execute(
                sa.select(runs.c.version, runs.c.reserved).where(runs.c.id == self.id)
            ).one()
            if version != row.version:
                return False
            total = load(reserved)
            for unit, amount in self._units().items():
                total[unit] = total.get(unit, 0) + amount * len(fresh)
            connection.execute(
                sa.update(runs)
                .where(runs.c.id == self.id)
                .values(
                    version=version + 1,
                    reserved=dump(total),
                    rows=row.rows + len(fresh),
                    state="running",
                    updated=time.time(),
                )
            )
            owner = None if worker is None else "worker " + json.dumps(worker)
            connection.execute(
                sa.insert(evaluations),
                [
                    {
                        "run": self.id,
                        "row": r.row,
                        "x": json.dumps(r.x),
                        "constraints": "[]",
                        "metrics": "{}",
                        "status": PENDING,
                        "tag": r.tag,
                        "charged": dump(r.charged),
                        "reason": owner,
                        "updated": time.time(),
                    }
                    for r in fresh
                ],
            )
            if blob is not None:
                self.store.put_checkpoint(connection, self.id, blob, row.told)
        return True

    def _propose(self, row: RunRow, n: int) -> tuple[list[np.ndarray], list[int], bytes | None]:
        if not hasattr(self.method, "ask"):
            return self._propose_by_replay(n)
        problem = self.problem
        method: Any = self.method
        state = self._state(row)
        waiting = {json.dumps(r.x) for r in self.pending()}
        points: list[np.ndarray] = []
        tags: list[int] = []
        for _ in range(TRIES):
            proposed = method.ask(problem, state, n - len(points))
            known: list[Observations] = []
            for x, tag in zip(
                problem.space.snap(np.asarray(proposed.x, dtype=float)),
                proposed.tag.tolist(),
                strict=True,
            ):
                key = json.dumps(x.tolist())
                if not problem.allowed(x[None])[0] or (problem.free_repeats and key in waiting):
                    continue
                old = self._seen(key) if problem.free_repeats else None
                if old is not None:
                    again = observations([old], _columns(problem, old))
                    again.tag[:] = tag
                    known.append(again)
                    continue
                waiting.add(key)
                points.append(x)
                tags.append(tag)
            for batch in known:
                method.tell(problem, state, batch)
            if len(points) >= n:
                break
        if not points:
            raise Pending(
                f"study '{self.name}': {self.label} has no new experiment to propose before "
                "pending ones are told"
            )
        try:
            blob = encode(state)
        except CheckpointError:
            blob = None
        return points, tags, blob

    def _seen(self, key: str) -> EvaluationRow | None:
        query = sa.select(evaluations).where(
            evaluations.c.run == self.id,
            evaluations.c.x == key,
            evaluations.c.status.in_((DONE, INFEASIBLE, FAILED)),
        )
        with self.store.read() as connection:
            found = connection.execute(query.limit(1)).first()
        return None if found is None else read_evaluation(found)

    def _state(self, row: RunRow) -> Any:
        """The method's state after everything told so far: the last checkpoint and what was told
        since.
        """
        saved = self.store.checkpoint(self.id)
        rng = np.random.default_rng(
            [self.seed] if saved is not None or row.rows == 0 else [self.seed, row.rows]
        )
        method: Any = self.method
        state = method.init(self.problem, rng)
        told = -1
        if saved is not None:
            state, told = decode(saved[0], state), saved[1]
        fresh = [
            r
            for r in self.store.evaluations(self.id, told_after=max(told, 0))
            if r.status in (DONE, INFEASIBLE, FAILED, ABANDONED)
        ]
        if fresh:
            for r in fresh:
                if r.status == ABANDONED:
                    r.status, r.reason = FAILED, "abandoned"
            batch = observations(
                fresh, _columns(self.problem, max(fresh, key=lambda r: len(r.metrics)))
            )
            batch.tag[batch.tag == FOREIGN] = -1
            method.tell(self.problem, state, batch)
        return state

    def _propose_by_replay(self, n: int) -> tuple[list[np.ndarray], list[int], None]:
        """For methods that own their loop: run them on what was told; the first unanswered
        evaluations are the proposals.

        The tag of a proposal is its number in the method's own order. Where a correction leads the
        method another way, what it asked
        for on the old way is left aside.
        """
        stored = self.store.evaluations(self.id)
        answered = [r for r in stored if r.status in (DONE, INFEASIBLE, FAILED, ABANDONED)]
        for r in answered:
            if r.status == ABANDONED:
                r.status, r.reason = FAILED, "abandoned"
        proposals = {r.tag: r for r in answered if r.tag != FOREIGN}
        places = {json.dumps(r.x) for r in stored if r.tag != FOREIGN}
        own = (
            [r for r in answered if r.tag == FOREIGN and json.dumps(r.x) not in places]
            if self.problem.free_repeats
            else []
        )
        while True:
            ledger = Ledger()
            for r in own:
                ledger.append(observations([r], _columns(self.problem, r)), stored=True)
                ledger.remember([(np.array(r.x) + 0.0).tobytes()])
            answers = {len(own) + k: r for k, r in proposals.items()}
            ledger.replay = {
                k: observations([r], _columns(self.problem, r)) for k, r in answers.items()
            }
            engine = _Asking(ledger, answers)
            try:
                run(
                    Run(
                        self.problem,
                        self.method,
                        Budget(evaluations=10**9),
                        self.seed,
                        Meter({}),
                        ledger,
                        engine,
                        options=RunOptions(on_failure="skip"),
                    )
                )
                break
            except Diverged:
                proposals = {k: r for k, r in proposals.items() if len(own) + k < ledger.count}
        waiting = {json.dumps(r.x) for r in stored if r.status in (PENDING, CHECKED)}
        fresh = list(
            islice(
                (
                    (k - len(own), x)
                    for k, x in engine.wanted
                    if json.dumps(x.tolist()) not in waiting
                ),
                n,
            )
        )
        if not fresh:
            ids = ", ".join(str(r.row) for r in stored if r.status in (PENDING, CHECKED)) or "none"
            raise Pending(
                f"study '{self.name}': {self.label} proposes nothing before these are told: {ids}"
            )
        return [x for _, x in fresh], [k for k, _ in fresh], None

    # -- telling -----------------------------------------------------------------------------------

    def tell(self, reports: Sequence[Report], *, known: bool = False) -> Told:
        """Take results: complete, partial, failed, infeasible, or of experiments that nobody
        proposed. All or nothing is stored.

        Told experiments cost nothing beyond what handing them out reserved. Raises TableError
        naming the line.
        """
        done = Told()
        ids = [r.id for r in reports if r.id is not None]
        for again in (i for i, times in Counter(ids).items() if times > 1):
            same = [r for r in reports if r.id == again]
            if any(
                (dict(r.metrics), r.status, r.point)
                != (dict(same[0].metrics), same[0].status, same[0].point)
                for r in same
            ):
                lines = ", ".join(str(r.line) for r in same)
                raise TableError(
                    f"id {again} stands in lines {lines} with different values: keep one of them; "
                    "nothing was stored"
                )
        with self.store.write() as connection:
            row = connection.execute(sa.select(runs).where(runs.c.id == self.id)).one()
            counter, top, reserved = row.told, row.rows, load(row.reserved)
            stored = (
                {
                    r.row: r
                    for r in (
                        read_evaluation(e)
                        for e in connection.execute(
                            sa.select(evaluations).where(
                                evaluations.c.run == self.id, evaluations.c.row.in_(ids)
                            )
                        )
                    )
                }
                if ids
                else {}
            )
            puts: list[Mapping[str, Any]] = []
            earlier = self._told_before(connection) if len(ids) < len(reports) else {}
            for report in reports:
                where = f"line {report.line}: " if report.line is not None else ""
                if report.id is not None and report.id not in stored:
                    raise TableError(
                        f"{where}id {report.id} is not an experiment of study '{self.name}' (ids 0 "
                        f"to {top - 1}); leave the id "
                        "empty for an experiment of your own; nothing was stored"
                    )
                old = None if report.id is None else stored[report.id]
                left = min(
                    (
                        limit - reserved.get(r, 0)
                        for r, limit in json.loads(row.budget).items()
                        if r in ("evaluations", "checks")
                    ),
                    default=0,
                )
                new = self._merged(old, report, top, where, done, left)
                if new is None:
                    continue
                if old is None:
                    key = json.dumps(new.x), new.status
                    if new.metrics in earlier.get(key, []):
                        done.unchanged.append(-1)
                        continue
                    earlier.setdefault(key, []).append(new.metrics)
                for unit in new.charged.keys() | (old.charged.keys() if old else set()):
                    reserved[unit] = (
                        reserved.get(unit, 0)
                        + new.charged.get(unit, 0)
                        - (old.charged.get(unit, 0) if old else 0)
                    )
                if new.status not in (PENDING, CHECKED):
                    counter += 1
                    new.told = counter
                if old is None:
                    top += 1
                puts.append(evaluation_values(self.id, new))
                done.rows.append(new.row)
                stored[new.row] = new
            if puts:
                statement = self.store._insert(evaluations)
                update = {k: statement.excluded[k] for k in puts[0] if k not in ("run", "row")}
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["run", "row"], set_=update),
                    puts,
                )
            connection.execute(
                sa.update(runs)
                .where(runs.c.id == self.id)
                .values(
                    told=counter,
                    rows=top,
                    reserved=dump(reserved),
                    version=row.version + 1,
                    updated=time.time(),
                )
            )
        return done

    def _told_before(
        self, connection: sa.Connection
    ) -> dict[tuple[str, int], list[dict[str, float]]]:
        """Metrics by (point, status): the same own experiment told twice is one experiment."""
        found: dict[tuple[str, int], list[dict[str, float]]] = {}
        for r in connection.execute(
            sa.select(evaluations.c.x, evaluations.c.status, evaluations.c.metrics).where(
                evaluations.c.run == self.id
            )
        ):
            found.setdefault((r.x, r.status), []).append(json.loads(r.metrics))
        return found

    def _merged(
        self,
        old: EvaluationRow | None,
        report: Report,
        top: int,
        where: str,
        done: Told,
        left: float,
    ) -> EvaluationRow | None:
        space = self.problem.space
        if report.point is not None:
            try:
                x = space.vector(report.point, what=f"{where}experiment")
            except FeasibleError as error:
                raise TableError(f"{error}; nothing was stored") from None
            if old is not None and np.allclose(x, old.x, rtol=1e-9, atol=0):
                x = np.array(old.x)
        elif old is not None:
            x = np.array(old.x)
        else:
            raise TableError(
                f"{where}an experiment of your own needs values for {', '.join(space.names)}; "
                "nothing was stored"
            )
        metrics = dict(old.metrics) if old is not None else {}
        reason: str | None = None
        for name, value in report.metrics.items():
            if value is None:
                continue
            if not math.isfinite(value):
                reason = f"told as {name} = {value}"
                done.warnings.append(f"{where}{name} is {value}: taken as a failed experiment")
            else:
                metrics[name] = float(value)
        status = report.status.strip().lower()
        row = old.row if old is not None else top
        if not status and reason is None and not report.metrics and old is not None:
            return None
        if not status and reason is None and all(v is None for v in report.metrics.values()):
            if old is None:
                raise TableError(
                    f"{where}an experiment of your own without any result; nothing was stored"
                )
            return None
        charged = dict(old.charged) if old is not None else {}
        if old is not None and old.status == ABANDONED and status != "abandoned":
            charged = self._units() if left >= 1 else {}
        if status in ("failed", "fail", "error"):
            reason = report.note or "told as failed"
        if status == "abandoned":
            outcome: Observations = self._batch(x, {}, "abandoned", row)
            code, charged = ABANDONED, {}
        elif reason is not None:
            outcome = self._batch(x, metrics, reason, row)
            code = FAILED
        else:
            outcome = self._batch(x, metrics, None, row)
            code = int(outcome.status[0])
            if status == "infeasible" and math.isnan(outcome.objective[0]):
                code = INFEASIBLE
                if not np.nanmax(
                    outcome.violation, initial=0.0
                ) > self.problem.tolerance or np.isinf(outcome.violation[0]):
                    outcome.reason[0] = report.note or "told as infeasible"
            elif code == FAILED:
                missing = [c for c in self.problem.columns if c not in metrics]
                code = CHECKED if missing == [self.problem.columns[0]] else PENDING
                done.partial.append(row)
        if code == INFEASIBLE and "checks" in charged:
            charged.pop("evaluations", None)
        if old is not None and (old.status, old.metrics, old.x) == (code, metrics, x.tolist()):
            done.unchanged.append(row)
            if row in done.partial:
                done.partial.remove(row)
            return None
        if old is not None and old.status not in (PENDING, CHECKED, ABANDONED):
            done.corrected.append(row)
        g = [finite(v) for v in outcome.constraints[0].tolist()]
        return EvaluationRow(
            row,
            x.tolist(),
            metrics,
            code,
            old.tag if old is not None else FOREIGN,
            finite(float(outcome.objective[0])),
            finite(float(outcome.violation[0])),
            g,
            outcome.reason.get(0) if code in (FAILED, INFEASIBLE, ABANDONED) else None,
            old.seconds if old is not None else None,
            None,
            old.told if old is not None else None,
            charged,
            report.note if report.note is not None else (old.note if old is not None else None),
        )

    def _batch(
        self, x: np.ndarray, metrics: dict[str, float], failed: str | None, row: int
    ) -> Observations:
        seen: Observations = self.problem.from_metrics(x, metrics, failed, row)
        return seen

    # -- working and showing -----------------------------------------------------------------------

    def work(
        self, *, retry: int = 0, timeout: float | None = None, limit: int | None = None
    ) -> int:
        """Ask, evaluate and tell until the budget is used up; any number of processes may do so at
        once. Returns evaluations made.
        """
        from .engines import LocalProcesses
        from .stored import engine_of

        if getattr(self.problem, "fun", None) is None:
            raise ArgumentError(
                f"problem '{self.problem.name}' has no function to evaluate: its experiments are "
                "run by people, with ask and tell"
            )
        engine = engine_of(RunOptions(evaluation_timeout=timeout))
        made = 0
        try:
            while limit is None or made < limit:
                try:
                    experiment = self._orphan() or self.ask(1, worker=identity())[0]
                except BudgetExhausted:
                    break
                except Pending:
                    if not any(r.reason and r.reason.startswith("worker ") for r in self.pending()):
                        raise  # only people could end this wait
                    time.sleep(0.05)
                    continue
                outcome: Any = None
                for _attempt in range(retry + 1):
                    ((_, outcome),) = engine.map(
                        self.problem.outcome, [np.array(experiment.x)], timeout
                    )
                    if getattr(outcome, "failed", "died") is None:
                        break
                failed = outcome.failed if hasattr(outcome, "metrics") else str(outcome)
                metrics: dict[str, float | None] = dict(getattr(outcome, "metrics", {}))
                infeasible = failed is None and self.problem.columns[0] not in metrics
                self.tell(
                    [
                        Report(
                            experiment.row,
                            None,
                            metrics,
                            "failed" if failed else "infeasible" if infeasible else "",
                            failed,
                        )
                    ]
                )
                made += 1
        finally:
            if isinstance(engine, LocalProcesses):
                engine.close()
        return made

    def _orphan(self) -> EvaluationRow | None:
        """A pending experiment of a worker that died or was interrupted on this machine: run it
        again, already paid for.
        """
        for r in self.pending():
            owner = (
                json.loads(r.reason[7:])
                if r.status == PENDING and r.reason and r.reason.startswith("worker ")
                else None
            )
            if owner is not None and (owner == identity() or not alive(owner)):
                with self.store.write() as connection:
                    taken = connection.execute(
                        sa.update(evaluations)
                        .where(
                            evaluations.c.run == self.id,
                            evaluations.c.row == r.row,
                            evaluations.c.reason == r.reason,
                            evaluations.c.status == PENDING,
                        )
                        .values(reason="worker " + json.dumps(identity()))
                    )
                if taken.rowcount == 1:
                    return r
        return None

    def rows(self) -> Observations | None:
        """All rows as one batch."""
        stored = self.store.evaluations(self.id)
        if not stored:
            return None
        for r in stored:
            if r.status == PENDING:
                r.reason = None
        return observations(
            stored, _columns(self.problem, max(stored, key=lambda r: len(r.metrics)))
        )

    def best(self) -> Observation | None:
        """The best row by verdict, among all that were told."""
        ledger = Ledger()
        rows = self.rows()
        if rows is None:
            return None
        told = rows.rows(~np.isin(rows.status, (PENDING, ABANDONED)))
        if len(told):
            ledger.append(told, stored=True)
        return self.problem.present(ledger.best(self.problem.tolerance, self.problem.names))

    def result(self) -> Result:
        """The study as a Result."""
        from ..core.verdict import Verdict

        row = self.row
        ledger = Ledger()
        rows = self.rows()
        if rows is not None:
            ledger.append(rows, stored=True)
        best = self.best()
        verdict = self.problem.judge(best) if best is not None else Verdict(math.nan, math.inf)
        waiting = len(self.pending())
        left = self.left(row)
        stopped = (
            f"open: {left:g} {self.resource} left, {waiting} pending"
            if left >= 1 or waiting
            else "budget used up"
        )
        counts = (
            {}
            if rows is None
            else {
                STATUS[s]: int((rows.status == s).sum()) for s in sorted(set(rows.status.tolist()))
            }
        )
        notes = [", ".join(f"{n} {s}" for s, n in counts.items())] if counts else []
        return Result(
            self.problem,
            self.label,
            best,
            verdict,
            dict(row.reserved),
            [],
            stopped,
            self.seed,
            Budget(**row.budget),
            0,
            versions(),
            ledger,
            self.name,
            notes=notes,
        )
