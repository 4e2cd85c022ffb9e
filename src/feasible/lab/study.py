"""Studies: the experimenter's loop. People or workers ask for experiments, run them, and tell what
came out, over weeks.

The budget belongs to the study: a unit is reserved, in the transaction that hands out the
experiment, before it is spent.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import sqlalchemy as sa

from ..core.annotations import checked
from ..core.budget import Budget
from ..core.checks import real, whole
from ..core.errors import ArgumentError, BudgetError, BudgetExhausted, GoalReached, StoreError
from ..core.experiments import Experiments
from ..core.ledger import ABANDONED, PENDING, STATUS, Ledger, Observations
from ..core.plain import plain
from ..core.problem import Method
from ..core.result import Result
from ..core.verdict import Verdict
from ..core.versions import versions
from .crew import WorkOptions, work_together
from .driving import row_in
from .fingerprint import source_of
from .known import OPEN, Known
from .placing import Place, RayCluster, cluster_of
from .proposing import Proposals, Proposer
from .rows import EvaluationRow, RunRow, evaluation_values
from .schema import evaluations, runs
from .serial import dump
from .shown import facts_of
from .sizing import KEPT, keep_sizes, stored_rows
from .store import Store
from .stored import RELATIVE, method_label
from .telling import StudyReport, StudyTold, Taking, refuse_conflicts, units_left
from .told_rows import errors_told, own_at, state_of, stored_of, told_before
from .upsert import upsert
from .working import Worker, claim_text, take_in

COLLISIONS = 1000
"""How often an ask is made again because somebody else changed the study meanwhile."""
STOP_AT = "stop_at"
"""Entry of a study's spec: the value of the objective at which no more is handed out."""


class Study:
    """A study in a store.

    Args:
        store: Where it is.
        row: The study as stored.
        problem: A problem that has `experiments`; its function may be absent.
        method: A method that solves the problem.

    Raises:
        ArgumentError: The problem has no experiments that could be handed out.
    """

    def __init__(self, store: Store, row: RunRow, problem: Any, method: Method):
        self.store, self.id, self.name = store, row.id, row.name
        self.problem, self.method = problem, method
        self.label, self.seed, self.budget = row.method, row.seed, row.budget
        self.created = row.created
        self.experiments = _experiments(problem)
        self.units = self.experiments.reserves(row.budget)
        self.resource = next(r for r in self.units if r in row.budget)
        self._stored_row = row
        self._known = Known(store, row.id)
        self._sized = problem.limit_sizes() is None
        """Whether what violations are measured in stays as it is."""

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
        stop_at: float | None = None,
    ) -> Study:
        """Begin a study.

        Args:
            store: Where it is to be.
            problem: A problem that has `experiments`.
            method: A method that solves it.
            budget: What may be spent, for example `Budget(evaluations=60)`.
            name: What people call it; the problem's name without one.
            seed: From which its randomness derives.
            spec: How to build problem and method again.
            label: What people call the method.
            stop_at: Value of the objective, in the user's own sense, which a feasible experiment
                reaches when no more is to be handed out; of several the hypervolume.

        Raises:
            BudgetError: The budget limits nothing that handing out an experiment takes.
            ArgumentError: The problem has no experiments that could be handed out.
            WrongProblem: The method does not solve the problem.
            MissingExtra: The method needs a package that is missing.
            StoreError: The name is taken.
        """
        method.check_installed()
        method.check_problem(problem)
        units = _experiments(problem).reserves(budget)
        if not any(r in budget for r in units):
            raise BudgetError(f"budget {budget}: a study is limited by evaluations (or checks)")
        row = store.create_run(
            kind="study",
            problem=problem.name,
            method=label or method_label(method),
            seed=seed,
            budget=dict(budget),
            spec={
                "problem": None,
                "method": None,
                "fingerprint": plain(problem.fingerprint()),
                "shown": facts_of(problem),
                "source": source_of(problem, method, (spec or {}).get("declared")),
                RELATIVE: True,
                **({} if stop_at is None else {STOP_AT: real(STOP_AT, stop_at)}),
                **(spec or {}),
            },
            name=name or problem.name,
        )
        return cls(store, row, problem, method)

    # -- asking ------------------------------------------------------------------------------------

    @property
    def row(self) -> RunRow:
        """The study as stored now."""
        return self.store.run(self.id)

    def left(self, row: RunRow | None = None) -> float:
        """Return the units of the budget that are neither spent nor handed out.

        Args:
            row: The study as stored; it is read again without one.
        """
        row = row or self.row
        return units_left(row.budget, row.reserved, self.units)

    def aim(self, stop_at: float) -> None:
        """Set the value of the objective at which no more is handed out."""
        goal = real(STOP_AT, stop_at)
        self.store.amend_run(self.id, lambda now: {"spec": {**now.spec, STOP_AT: goal}})

    def reached(self, row: RunRow | None = None) -> str | None:
        """Return that a feasible answer reached `stop_at`, in words; None where none did.

        Args:
            row: The study as stored; it is read again without one.
        """
        goal = (row or self.row).spec.get(STOP_AT)
        best = None if goal is None else self.best()
        if best is None:
            return None
        verdict = self.problem.judge(best)
        if not (verdict.feasible and verdict.objective <= self.problem.sign * goal):
            return None
        return f"stop_at={goal:g} was reached: {self.experiments.headline(best, verdict)}"

    def pending(self) -> list[EvaluationRow]:
        """Return the experiments that were handed out and not yet told completely."""
        return self.store.evaluations(self.id, pending=True)

    @checked
    def ask(
        self,
        n: int = 1,
        *,
        dry_run: bool = False,
        worker: Mapping[str, Any] | None = None,
        go_on: bool = False,
    ) -> list[EvaluationRow]:
        """Propose experiments and hand them out.

        Args:
            n: How many; fewer come when less is left of the budget.
            dry_run: Look without recording.
            worker: Who will run them, see `working.claim_text`.
            go_on: Also where `stop_at` is reached.

        Raises:
            BudgetExhausted: Nothing is left.
            GoalReached: `stop_at` is reached.
            Pending: The method must first be told of pending ones.
            UsedUp: Every point of a finite space was evaluated.
            StoreError: Too many others ask at once.
        """
        whole("n", n, least=1)
        if not dry_run and worker is None:
            take_in(self)
        with self.store.held(), self.store.turn(self.id):
            for attempt in range(COLLISIONS):
                row = self.row
                if not (dry_run or go_on or attempt) and (said := self.reached(row)) is not None:
                    more = "--go-on (go_on=True) asks for more"
                    raise GoalReached(f"study '{self.name}': {said}; {more}")
                left = self.left(row)
                if left < 1 and not dry_run:
                    spent = row.reserved.get(self.resource, 0)
                    raise BudgetExhausted(self.resource, row.budget[self.resource], spent, n)
                if worker is not None and STOP_AT in row.spec:
                    n = 1  # each might be the one that reaches it
                found = self._proposer(row).propose(n if dry_run else int(min(n, left)))
                fresh = [
                    EvaluationRow(row.rows + i, x.tolist(), {}, PENDING, int(t), charged=self.units)
                    for i, (x, t) in enumerate(zip(found.points, found.tags, strict=True))
                ]
                if dry_run or self._hand_out(row, fresh, found, worker):
                    return fresh
                time.sleep(min(0.002 * (attempt + 1), 0.1) * np.random.default_rng().random())
        raise StoreError(
            f"study '{self.name}': could not hand out an experiment, too many others ask at once"
        )

    def _proposer(self, row: RunRow) -> Proposer:
        """Return what asks the method as the study stands."""
        parts = (self.problem, self.experiments, self.method)
        return Proposer(self.store, row, *parts, self._known)

    def _hand_out(
        self,
        row: RunRow,
        fresh: Sequence[EvaluationRow],
        found: Proposals,
        worker: Mapping[str, Any] | None,
    ) -> bool:
        """Reserve and insert in one transaction; False if somebody else asked or deleted meanwhile,
        or too little is left. What was told meanwhile the method hears at the next ask.
        """
        owner = claim_text(worker)
        with self.store.write() as connection:
            now = self._counters(connection, row)
            too_few = self.left(now) < len(fresh)
            if (now.rows, now.fence) != (row.rows, row.fence) or too_few:
                return False
            for unit, amount in self.units.items():
                now.reserved[unit] = now.reserved.get(unit, 0) + amount * len(fresh)
            rows = now.rows + len(fresh)
            self._update(connection, now, reserved=now.reserved, rows=rows, state="running")
            at = self.store.clock()
            puts = [{**evaluation_values(self.id, r, at), "reason": owner} for r in fresh]
            connection.execute(sa.insert(evaluations), puts)
            if found.checkpoint is not None:
                if not row.spec.get(RELATIVE):
                    spec = {**row_in(connection, self.id).spec, RELATIVE: True}
                    self._update(connection, now, spec=spec)
                self.store.put_checkpoint(connection, self.id, found.checkpoint, row.told)
        return True

    def _counters(self, connection: sa.Connection, row: RunRow) -> RunRow:
        """Return the study with what asking and telling change as stored now, locked until the
        transaction ends.

        Args:
            connection: The transaction.
            row: The study as stored before.
        """
        numbers = (runs.c.rows, runs.c.told, runs.c.version, runs.c.fence)
        counted = sa.select(*numbers, runs.c.reserved, runs.c.budget).where(runs.c.id == self.id)
        now = dict(connection.execute(counted.with_for_update()).one()._mapping)
        texts = {name: json.loads(now.pop(name)) for name in ("reserved", "budget")}
        return replace(row, **now, **texts)

    def _update(self, connection: sa.Connection, row: RunRow, **changed: Any) -> None:
        """Set columns of the study inside a transaction, and say that it changed."""
        values = {k: dump(v) if isinstance(v, dict) else v for k, v in changed.items()}
        connection.execute(
            sa.update(runs)
            .where(runs.c.id == self.id)
            .values(version=row.version + 1, updated=self.store.clock(), **values)
        )

    # -- telling -----------------------------------------------------------------------------------

    @checked
    def tell(
        self, reports: Sequence[StudyReport], *, known: bool = False, worker: bool = False
    ) -> StudyTold:
        """Take results: complete, partial, failed, infeasible, or of experiments that nobody
        proposed. All or nothing is stored.

        Told experiments cost nothing beyond what handing them out reserved.

        Args:
            reports: What came out.
            known: They are earlier data: each is an experiment of the teller's own.
            worker: They come from a worker, of which somebody else may have told meanwhile: what
                was told first counts.

        Returns:
            What was taken, corrected or known already.

        Raises:
            TableError: A report makes no sense; the message names its line.
        """
        if known:
            reports = [replace(r, id=None) for r in reports]
        refuse_conflicts(reports)
        return self.store.retried(lambda: self._take(reports, worker=worker))

    def _take(self, reports: Sequence[StudyReport], *, worker: bool) -> StudyTold:
        """Take results in one transaction."""
        ids = [r.id for r in reports if r.id is not None]
        with self.store.held(), self.store.write() as connection:
            row = self._counters(connection, self._stored_row)
            taking = Taking(
                self.experiments,
                self.problem.tolerance,
                self.units,
                row,
                stored_of(connection, self.id, ids),
                told_before(connection, self.id) if len(ids) < len(reports) else {},
                partial(own_at, connection, self.id),
            )
            for report in reports:
                old = None if report.id is None else taking.stored.get(report.id)
                if not worker or (old is not None and old.status in (*OPEN, ABANDONED)):
                    taking.take(report)
            self._put(connection, taking.changed)
            changed = {"told": row.told, "rows": row.rows, "reserved": row.reserved}
            if not self._sized:
                now = row_in(connection, self.id)
                spec = keep_sizes(self.problem, now, connection)
                self._sized = KEPT in (now.spec if spec is None else spec)
                changed |= {} if spec is None else {"spec": spec}
            self._update(connection, row, state=state_of(connection, row, self.units), **changed)
        return taking.told

    def _put(self, connection: sa.Connection, rows: Sequence[EvaluationRow]) -> None:
        """Write experiments, new or changed."""
        if not rows:
            return
        now = self.store.clock()
        puts = [evaluation_values(self.id, r, now) for r in rows]
        connection.execute(upsert(connection, evaluations, puts[0]), puts)

    # -- working -----------------------------------------------------------------------------------

    def work(
        self,
        *,
        retry: int = 0,
        timeout: float | None = None,
        limit: int | None = None,
        go_on: bool = False,
        workers: int = 1,
        engine: str | RayCluster = "local",
    ) -> int:
        """Ask, evaluate and tell until the budget is used up or `stop_at` is reached; any number of
        processes may do so at once.

        Args:
            retry: How often a failed evaluation is tried again.
            timeout: Seconds after which an evaluation is killed.
            limit: Most evaluations to make here.
            go_on: Also where `stop_at` is reached.
            workers: How many are at work at once; on Ray 1 stands for as many as fit.
            engine: Where: "local" (this process, or several of this machine), "ray", or a
                `RayCluster`.

        Returns:
            The evaluations made.

        Raises:
            ArgumentError: The problem has no function, or the engine cannot be used.
            Pending: The method waits for experiments that people have in hand.
            EvaluationFailed: All of several workers ended without a result.
        """
        options: WorkOptions = {"retry": retry, "timeout": timeout, "go_on": go_on}
        place = Place(cluster_of(engine), whole("workers", workers, least=1))
        if place.several:
            return work_together(self, place, limit, options)
        return Worker(self, **options).work(limit)

    # -- showing -----------------------------------------------------------------------------------

    def rows(self) -> Observations | None:
        """Return all rows as one batch, None where there are none."""
        stored = self.store.evaluations(self.id)
        if not stored:
            return None
        for r in stored:
            if r.status == PENDING:
                r.reason = None
        return stored_rows(self.problem, self.row, stored)

    def best(self) -> Any:
        """Return the answer that all rows support that were told: where values do not repeat and
        the method has a model of them, the row that this expects to be best.
        """
        rows = self.rows()
        if rows is None:
            return None
        ledger = Ledger()
        told = rows.rows(~np.isin(rows.status, (PENDING, ABANDONED)))
        if len(told):
            ledger.append(told, stored=True)
        best = self.problem.incumbent(ledger)
        state = self._recommending()
        number = None if state is None else self.method.recommend(self.problem, state)
        if best is not None and number is not None and number in told.id:
            own = told.observation(int(np.flatnonzero(told.id == number)[0]))
            judge = self.problem.judge
            if judge(own).feasible or not judge(best).feasible:
                best = own
        return self.problem.present(best)

    def _recommending(self) -> Any:
        """Return the state of a method that recommends a row, None where it does not."""
        asks = self.method.asks and self.method.recommends
        return self._proposer(self.row).state() if asks and self.row.rows else None

    def remarks(self) -> list[str]:
        """Return what people should know of how the method takes what was told, and how sure it is
        of its answer.
        """
        state = self._recommending()
        own = [] if state is None else self.method.remarks(self.problem, state)
        return [*self._unused(), *own]

    def _unused(self) -> list[str]:
        """Return what the method makes no use of."""
        if type(self.method) is Method:
            return []
        notes = self.problem.unused(self.method)
        if self.method.uses_errors:
            return notes
        return [*notes, *errors_told(self.store, self.id, self.label)]

    def result(self) -> Result:
        """Return the study as a Result."""
        row, rows, best = self.row, self.rows(), self.best()
        ledger = Ledger()
        if rows is not None:
            ledger.append(rows, stored=True)
        verdict = self.problem.judge(best) if best is not None else Verdict(math.nan, math.inf)
        waiting, left = len(self.pending()), self.left(row)
        going_on = f"open: {left:g} {self.resource} left, {waiting} pending"
        stopped = self.reached() or (going_on if left >= 1 or waiting else "budget used up")
        counts = Counter([] if rows is None else rows.status.tolist())
        states = ", ".join(f"{counts[s]} {STATUS[s]}" for s in sorted(counts))
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
            notes=[*([states] if states else []), *self.remarks()],
        )


def _experiments(problem: Any) -> Experiments:
    """Return what a problem says of its experiments. Raises ArgumentError where it has none."""
    found: Experiments | None = problem.experiments()
    if found is None:
        raise ArgumentError(
            f"problem '{problem.name}': the experiments of a {type(problem).__name__} cannot be "
            "handed out to people; use solve"
        )
    return found


def __getattr__(name: str) -> Any:
    """Give the names of one release ago."""
    new = {"Report": StudyReport, "Told": StudyTold}.get(name)
    if new is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"feasible.lab.study.{name} is now called {new.__name__}", DeprecationWarning, stacklevel=2
    )
    return new
