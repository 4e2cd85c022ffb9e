"""Working: processes that ask for the experiments of a study, run them and tell what came out.

Whoever has an experiment in hand says so every few seconds; one whose worker was not heard of for
the time of a lease is run again by another, already paid for. Where evaluations take less than
handing them out, and the method learns nothing from them, a worker takes several at a time.
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
from ..core.problem import Method
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
"""Seconds between two looks for experiments whose workers ended, at least."""
SHARE = 20
"""At least so many times what a look took pass until the next: it costs more the more workers there
are."""
QUICK = 0.05
"""Seconds that the experiments which a worker takes at once may last together."""
MOST = 32
"""Most of them."""
AT_WORK: set[str] = set()
"""The claims of workers of this process that are at work now."""


class Worked(Protocol):
    """What a worker needs of a study, see `study.Study`."""

    store: Store
    problem: Any
    method: Method
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
        self._many, self._quick = 1, False

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
        hand, ran = list[EvaluationRow](), list[StudyReport]()
        try:
            while True:
                with self.store.held(keep=self._quick), self._turn():
                    if ran:
                        self._tell(ran)
                        made, wait = made + len(ran), SHORTEST
                    left = hand[len(ran) :]
                    hand, ran = [], []
                    if self._stopping.is_set() or made == limit:
                        break
                    try:
                        hand = self._next(self._many if limit is None else limit - made)
                    except (BudgetExhausted, UsedUp, GoalReached):
                        break
                    except Pending:
                        if not any(worker_of(r.status, r.reason) for r in self.study.pending()):
                            raise  # only people could end this wait
                if not hand:
                    self._stopping.wait(wait)
                    wait = min(2 * wait, LONGEST)
                else:
                    self._run_all(engine, hand, ran)
            if left:
                self.give_back()
        except BaseException as error:
            if not isinstance(error, StoreError):  # then its results are kept aside
                with contextlib.suppress(StoreError):
                    if ran:
                        self._tell(ran)
                    self.give_back()
            raise
        finally:
            AT_WORK.discard(self.who["claim"])
            self._ended.set()
            beats.join()
            engine.close()
        return made

    def _turn(self) -> contextlib.AbstractContextManager[None]:
        """Inside, nobody else asks of the study. Telling waits for no proposal that takes long; but
        where none does, telling and asking are one turn, with one connection.
        """
        learns = self.study.method.learns
        return contextlib.nullcontext() if learns else self.store.turn(self.study.id)

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

    def _next(self, most: int) -> list[EvaluationRow]:
        """Return experiments to run, at most so many: those whose worker ended, or new ones."""
        if time.monotonic() >= self._look_at:
            orphans, _ = self._look()
            if orphans:
                return orphans
        try:
            many = min(self._many, most)
            return self.study.ask(many, worker=self.who, go_on=self.go_on)
        except (BudgetExhausted, UsedUp, Pending):
            orphans, taken = self._look()
            if not orphans and not taken:
                raise
            return orphans or self._next(most)

    def _look(self) -> tuple[list[EvaluationRow], int]:
        """Take in results that were kept aside, and return the experiments of a worker that ended,
        with how many results there were.

        Raises:
            GoalReached: The target is reached.
        """
        begun = time.monotonic()
        taken = take_in(self.study)
        if not self.go_on and (said := self.study.reached()) is not None:
            raise GoalReached(said)
        orphans, now = self._orphans(), time.monotonic()
        self._look_at = now if orphans else now + max(LOOK, SHARE * (now - begun))
        return orphans, taken

    def _run_all(self, engine: Any, hand: Sequence[EvaluationRow], ran: list[StudyReport]) -> None:
        """Run experiments until `stop` is called, and note what came out in `ran`; then decide how
        many are taken next.
        """
        begun = time.monotonic()
        for experiment in hand:
            if self._stopping.is_set() and ran:
                return
            found = self._run(engine, experiment)
            report = StudyReport(experiment.row, None, found.metrics, found.status, found.note)
            ran.append(report)
        took = (time.monotonic() - begun) / len(hand)
        self._quick = took < QUICK
        if not self.study.method.learns:
            self._many = max(1, min(2 * self._many, MOST, int(QUICK / max(took, 1e-9))))

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

    def _tell(self, reports: Sequence[StudyReport]) -> None:
        """Tell results; where the store cannot take them, keep them in a file beside it."""
        try:
            self.study.tell(reports, worker=True)
        except StoreError as error:
            kept = [{_REPORT: asdict(report)} for report in reports]
            study, part = self.study, f"-{reports[0].id}"
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

    def _orphans(self) -> list[EvaluationRow]:
        """Return the pending experiments of a worker that ended: run them again, already paid for.
        They are this worker's from now on. So are those that are in its name though it has none in
        hand: a server that died after it had written them down could not say so.
        """
        latest = sa.func.max(evaluations.c.updated).label("updated")
        out = sa.select(evaluations.c.reason, latest).where(
            evaluations.c.run == self.study.id, IS_OPEN, evaluations.c.status == PENDING
        )
        out = out.group_by(evaluations.c.reason).order_by(sa.func.min(evaluations.c.row))
        with self.store.read() as connection:
            pending = connection.execute(out).all()
        now = self.store.clock()
        mine = claim_text(self.who)
        for r in pending:
            worker = worker_of(PENDING, r.reason)
            if r.reason != mine and (worker is None or _in_hand(worker, r.updated or 0.0, now)):
                continue
            taking = sa.update(evaluations).where(self._mine(r.reason))
            own = sa.select(evaluations).where(self._mine(mine)).order_by(evaluations.c.row)
            with self.store.write() as connection:
                if connection.execute(taking.values(reason=mine, updated=now)).rowcount:
                    return [read_evaluation(row) for row in connection.execute(own)]
        return []


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
