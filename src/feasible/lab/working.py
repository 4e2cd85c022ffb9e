"""Working: processes that ask for the experiments of a study, run them and tell what came out.

Whoever has an experiment in hand says so every few seconds; one whose worker was not heard of for
the time of a lease is run again by another, already paid for.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import sqlalchemy as sa

from ..core.errors import ArgumentError, BudgetExhausted, GoalReached, Pending, StoreError, UsedUp
from ..core.evaluating import RunOptions
from ..core.experiments import Experiments, Ran
from ..core.ledger import PENDING
from . import aside, owner
from .lease import beating
from .replicates import StudyReport
from .rows import EvaluationRow, read_evaluation
from .schema import IS_OPEN, evaluations
from .store import Store
from .stored import engine_of

_WORKER = "worker "
"""Begins the reason of a pending experiment that a worker has in hand."""
_REPORT = "report"
"""Entry of a row in a file beside the store that holds a report."""
SHORTEST, LONGEST = 0.05, 1.0
"""Seconds between two looks whether experiments of other workers came in."""
LOOK = 1.0
"""Seconds between two looks for experiments whose workers ended."""
AT_WORK: set[str] = set()
"""The claims of workers of this process that are at work now."""


class Worked(Protocol):
    """What a worker needs of a study, see `study.Study`."""

    store: Store
    problem: Any
    experiments: Experiments
    id: int
    name: str
    created: float

    def pending(self) -> list[EvaluationRow]:
        """The experiments that are out."""

    def reached(self) -> str | None:
        """That the target is reached, in words."""

    def ask(
        self,
        n: int = 1,
        *,
        dry_run: bool = False,
        worker: Mapping[str, Any] | None = None,
        go_on: bool = False,
    ) -> list[EvaluationRow]:
        """Propose experiments and hand them out."""

    def tell(
        self, reports: Sequence[StudyReport], *, known: bool = False, worker: bool = False
    ) -> Any:
        """Take results."""


def claim_text(worker: Mapping[str, Any] | None) -> str | None:
    """Return the reason of a pending experiment that a worker has in hand.

    Args:
        worker: What `owner.identity` returned, with the worker's `claim`; None for people.
    """
    return None if worker is None else _WORKER + json.dumps(worker)


def worker_of(status: int, reason: str | None) -> dict[str, Any] | None:
    """Return the worker that has an experiment in hand, None where people have it or it ended."""
    if status != PENDING or not reason or not reason.startswith(_WORKER):
        return None
    found: dict[str, Any] = json.loads(reason.removeprefix(_WORKER))
    return found


def _in_hand(worker: Mapping[str, Any], updated: float, now: float) -> bool:
    """Return whether a worker still has an experiment that it was last heard of at this time."""
    process = {k: v for k, v in worker.items() if k != "claim"}
    if process == owner.identity():
        return worker.get("claim") in AT_WORK
    if "claim" not in worker:  # an older version gave no signs of life
        return owner.alive(process)
    return owner.held(process, None, updated, now=now)


class Worker:
    """One that works on a study, in this thread.

    Args:
        study: Whose experiments it runs.
        retry: How often a failed evaluation is tried again.
        timeout: Seconds after which an evaluation is killed.
        go_on: Also where the study's `stop_at` is reached.

    Raises:
        ArgumentError: The problem has no function.
    """

    def __init__(
        self, study: Worked, *, retry: int = 0, timeout: float | None = None, go_on: bool = False
    ):
        if not study.experiments.automatic:
            raise ArgumentError(
                f"problem '{study.problem.name}' has no function to evaluate: its experiments are "
                "run by people, with ask and tell"
            )
        self.study, self.store = study, study.store
        self.retry, self.timeout, self.go_on = retry, timeout, go_on
        self.who = {**owner.identity(), "claim": uuid.uuid4().hex}
        self._ended = threading.Event()
        self._stopping = threading.Event()
        self._look_at = 0.0

    def work(self, limit: int | None = None) -> int:
        """Work until nothing is left to do, or `stop` is called. Where something else ends it, the
        experiment in hand is given back, so that another worker runs it at once.

        Args:
            limit: Most evaluations to make here.

        Returns:
            The evaluations made.

        Raises:
            Pending: The method waits for experiments that people have in hand.
            StoreError: The store could not take a result; the message says where it is kept.
        """
        engine = engine_of(RunOptions(evaluation_timeout=self.timeout))
        beats = threading.Thread(target=self._beat, name=f"work on {self.study.id}", daemon=True)
        made, wait = 0, SHORTEST
        AT_WORK.add(self.who["claim"])
        beats.start()
        experiment: EvaluationRow | None = None
        ran = Ran({}, "failed")
        try:
            while True:
                with self.store.held():
                    if experiment is not None:
                        self._tell(experiment, ran)
                        experiment, made, wait = None, made + 1, SHORTEST
                    if self._stopping.is_set() or made == limit:
                        break
                    try:
                        experiment = self._next()
                    except (BudgetExhausted, UsedUp, GoalReached):
                        break
                    except Pending:
                        if not any(worker_of(r.status, r.reason) for r in self.study.pending()):
                            raise  # only people could end this wait
                if experiment is None:
                    self._stopping.wait(wait)
                    wait = min(2 * wait, LONGEST)
                else:
                    ran = self._run(engine, experiment)
        except BaseException as error:
            if not isinstance(error, StoreError):  # then its result is kept aside
                with contextlib.suppress(StoreError):
                    self.give_back()
            raise
        finally:
            AT_WORK.discard(self.who["claim"])
            self._ended.set()
            beats.join()
            engine.close()
        return made

    def stop(self) -> None:
        """Begin no other evaluation; may be called from another thread."""
        self._stopping.set()

    def give_back(self) -> None:
        """Give no more signs of life, and give the experiment in hand back: it stays paid for, and
        the next worker that looks runs it.
        """
        AT_WORK.discard(self.who["claim"])
        self._ended.set()
        left = sa.update(evaluations).where(self._mine(claim_text(self.who)))
        with beating, self.store.write() as connection:
            connection.execute(left.values(updated=0.0))

    def _next(self) -> EvaluationRow:
        """Return an experiment to run: one whose worker ended, or a new one."""
        if time.monotonic() >= self._look_at:
            orphan, _ = self._look()
            if orphan is not None:
                return orphan
        try:
            return self.study.ask(1, worker=self.who, go_on=self.go_on)[0]
        except (BudgetExhausted, UsedUp, Pending):
            orphan, taken = self._look()
            if orphan is None and not taken:
                raise
            return orphan or self._next()

    def _look(self) -> tuple[EvaluationRow | None, int]:
        """Take in results that were kept aside, and return an experiment whose worker ended, with
        how many results there were. Between two looks that find nothing LOOK seconds pass: they
        cost more the more workers there are.

        Raises:
            GoalReached: The target is reached.
        """
        taken = take_in(self.study)
        if not self.go_on and (said := self.study.reached()) is not None:
            raise GoalReached(said)
        orphan = self._orphan()
        self._look_at = time.monotonic() + (LOOK if orphan is None else 0.0)
        return orphan, taken

    def _run(self, engine: Any, experiment: EvaluationRow) -> Ran:
        """Run an experiment, again where it fails; one that died or hung failed too."""
        ran = Ran({}, "failed")
        for _attempt in range(self.retry + 1):
            point = np.array(experiment.x)
            ((_, outcome),) = engine.map(self.study.experiments.run, [point], self.timeout)
            ran = outcome if isinstance(outcome, Ran) else Ran({}, "failed", str(outcome))
            if ran.status != "failed":
                break
        return ran

    def _tell(self, experiment: EvaluationRow, ran: Ran) -> None:
        """Tell a result; where the store cannot take it, keep it in a file beside it."""
        report = StudyReport(experiment.row, None, ran.metrics, ran.status, ran.note)
        try:
            self.study.tell([report], worker=True)
        except StoreError as error:
            kept = [{_REPORT: asdict(report)}]
            study, part = self.study, f"-{experiment.row}"
            said = aside.put(self.store.beside, study.id, study.name, study.created, kept, part)
            raise StoreError(f"{error}; {said}") from error

    def _mine(self, reason: str | None) -> sa.ColumnElement[bool]:
        """Return which experiments a worker of this reason has in hand."""
        return sa.and_(
            evaluations.c.run == self.study.id,
            evaluations.c.reason == reason,
            evaluations.c.status == PENDING,
        )

    def _beat(self) -> None:
        """Say that the experiment in hand is being run, until the work ends."""
        renewed = sa.update(evaluations).where(self._mine(claim_text(self.who)))
        while not self._ended.wait(owner.BEAT_SECONDS):
            # a store that is locked or full now may take the next one
            with contextlib.suppress(StoreError), beating:
                if self._ended.is_set():
                    return
                with self.store.write() as connection:
                    connection.execute(renewed.values(updated=self.store.clock()))

    def _orphan(self) -> EvaluationRow | None:
        """Return a pending experiment whose worker ended: run it again, already paid for."""
        out = sa.select(evaluations.c.row, evaluations.c.reason, evaluations.c.updated).where(
            evaluations.c.run == self.study.id, IS_OPEN, evaluations.c.status == PENDING
        )
        with self.store.read() as connection:
            pending = connection.execute(out.order_by(evaluations.c.row)).all()
        now = self.store.clock()
        for r in pending:
            worker = worker_of(PENDING, r.reason)
            if worker is None or _in_hand(worker, r.updated or 0.0, now):
                continue
            its = sa.and_(self._mine(r.reason), evaluations.c.row == r.row)
            mine = {"reason": claim_text(self.who), "updated": now}
            with self.store.write() as connection:
                row = connection.execute(sa.select(evaluations).where(its)).first()
                taken = connection.execute(sa.update(evaluations).where(its).values(mine))
                if row is not None and taken.rowcount == 1:
                    return read_evaluation(row)
        return None


def take_in(study: Worked) -> int:
    """Take in the results that the store could not take when workers told them, and remove the
    files that kept them.

    Args:
        study: Of which they are.

    Returns:
        How many there were.
    """
    count = 0
    store = study.store.beside
    for path, kept in aside.found(store, study.id, study.name, study.created, parts=True):
        reports = [StudyReport(**k[_REPORT]) for k in kept if _REPORT in k]
        study.tell(reports, worker=True)
        count += len(reports)
        path.unlink(missing_ok=True)
    return count
