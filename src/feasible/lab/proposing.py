"""Proposing: which experiments a study's method wants next, from everything that was told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from ..core.budget import Budget, Meter
from ..core.checkpoint import decode, encode
from ..core.errors import CheckpointError, Diverged, Pending, StopRun, UsedUp
from ..core.evaluating import RunOptions
from ..core.experiments import Experiments, Guard
from ..core.ledger import (
    ABANDONED,
    CHECKED,
    DONE,
    FAILED,
    INFEASIBLE,
    PENDING,
    Ledger,
    Observations,
)
from ..core.run import Run, run
from ..core.sizes import Sizes
from ..core.threads import DEFAULT, fixed
from .known import Known
from .rows import EvaluationRow, RunRow, read_evaluation
from .schema import evaluations
from .sizing import KEPT, study_sizes
from .store import Store
from .stored import RELATIVE, measured
from .telling import FOREIGN

TRIES = 50
"""How often a method is asked again when it repeats a point that is known or pending."""
FEW = 3
"""The same in a finite space, where the points that are left can be handed out without it."""


class Proposals(NamedTuple):
    """Experiments that a method wants.

    Attributes:
        points: What to do, one vector an experiment.
        tags: The number that the method gave each.
        checkpoint: The method's state after it; None where it cannot be kept.
    """

    points: list[np.ndarray]
    tags: list[int]
    checkpoint: bytes | None = None


class _Asking:
    """An engine that evaluates nothing: the first points a method wants are what it proposes."""

    workers = 1

    def __init__(self, ledger: Ledger, answers: Mapping[int, Any]):
        self.ledger, self.answers = ledger, answers
        self.wanted: list[tuple[int, np.ndarray]] = []

    def close(self) -> None:
        """Hold nothing."""

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        timeout: float | None = None,
        more: Callable[[], bool] = lambda: True,
    ) -> Any:
        """Note what is wanted beyond the known answers, and end the run."""
        if not items:
            return
        numbers = (k for k in count(self.ledger.count) if k not in self.answers)
        self.wanted = [
            (k, np.asarray(i[0] if isinstance(i, tuple) else i))
            for k, i in zip(numbers, items, strict=False)
        ]
        raise StopRun("waiting for results")
        yield


def answered(rows: Sequence[EvaluationRow]) -> list[EvaluationRow]:
    """Return the rows whose experiments ended; an abandoned one ended as a failure."""
    ended = [r for r in rows if r.status in (DONE, INFEASIBLE, FAILED, ABANDONED)]
    for r in ended:
        if r.status == ABANDONED:
            r.status, r.reason = FAILED, "abandoned"
    return ended


@dataclass(frozen=True, slots=True)
class Proposer:
    """Asks a study's method.

    Attributes:
        store: Where the study is.
        study: The study as stored now.
        problem: Its problem.
        experiments: What the problem says of its experiments.
        method: Its method.
        known: What was read of its experiments before.
    """

    store: Store
    study: RunRow
    problem: Any
    experiments: Experiments
    method: Any
    known: Known

    def propose(self, n: int) -> Proposals:
        """Return up to n new experiments. Raises Pending where there are none yet."""
        with fixed(DEFAULT):
            return self._asked(n) if self.method.asks else self._replayed(n)

    def _sizes(self) -> Sizes | None:
        """Return what violations are measured in."""
        if self.problem.limit_sizes() is None:
            return None
        kept = self.study.spec.get(KEPT) is not None
        told = [] if kept else self.store.evaluations(self.study.id)
        sizes = study_sizes(self.problem, self.study, told)
        if sizes is not None:
            sizes.frozen = True  # as the study stands: replaying its rows tells nothing new
        return sizes

    def _tried(self) -> Guard | None:
        """Return what was tried or is out by now."""
        guard = self.experiments.tried()
        if guard is not None and self.known.texts:
            guard.add(*self.known.tried())
        return guard

    def _nothing(self, guard: Guard | None, out: Sequence[int], why: str) -> Exception:
        """Return what to raise where nothing can be proposed; out: rows of experiments that are."""
        used_up = None if guard is None else guard.used_up
        if used_up is not None and not out:
            return UsedUp(f"study '{self.study.name}': {used_up}")
        if used_up is not None:
            ids = ", ".join(map(str, out))
            return Pending(
                f"study '{self.study.name}': every point is known or out; tell these: {ids}"
            )
        return Pending(f"study '{self.study.name}': {why}")

    # -- methods that can be asked -----------------------------------------------------------------

    def _asked(self, n: int) -> Proposals:
        """Ask the method; what it repeats of known experiments it is told again at once."""
        state, begun = self._begun()
        if self.method.learns or not (begun and self.experiments.endless):
            self.known.refresh(self.study)  # else nothing can be proposed twice
        out, waiting, found = self.known.open, set(self.known.waiting()), Proposals([], [])
        guard = self.experiments.tried()
        finite = guard is not None and guard.finite
        guard = self._tried() if finite or self.method.avoids else None
        if guard is None or guard.used_up is None:
            for _ in range(FEW if finite else TRIES):
                try:
                    again = self._sorted(state, n - len(found.points), waiting, found, guard)
                except Pending:
                    if not finite:
                        raise
                    break  # what it did not propose is handed out all the same
                for known in again:
                    self.method.tell(self.problem, state, known)
                if len(found.points) >= n:
                    break
        least = n if finite else int(not out)
        if guard is None and len(found.points) < least:
            self.known.refresh(self.study)
            guard = self._tried()
        self._fill(found, least, guard)
        if not found.points:
            why = f"{self.study.method} has no new experiment to propose"
            why = f"{why} before pending ones are told" if out else why
            raise self._nothing(guard, sorted(out), why)
        try:
            return found._replace(checkpoint=encode(state))
        except CheckpointError:
            return found

    def _fill(self, found: Proposals, n: int, guard: Guard | None) -> None:
        """Add points that no method proposed until there are n, or no more."""
        while guard is not None and len(found.points) < n:
            x = guard.fresh([self.study.seed, self.study.rows])
            if x is None:
                return
            guard.add(x[None], np.array([False]), np.array([False]))
            found.points.append(x)
            found.tags.append(-1)

    def _sorted(
        self, state: Any, n: int, waiting: set[str], found: Proposals, guard: Guard | None
    ) -> list[Observations]:
        """Ask once: put new points into `found` and return those that are known already."""
        repeats = self.experiments.free_repeats
        proposed = self.method.ask(self.problem, state, n)
        proposals = np.asarray(proposed.x, dtype=float)
        taken = self.known.taken().reshape(-1, proposals.shape[1])
        if found.points:
            taken = np.vstack([taken, *found.points])
        points = self.experiments.admit(proposals, taken)
        if guard is not None and self.method.avoids and points:
            moved = guard.guard(
                np.array([x for x, _ in points]), [self.study.seed, self.study.rows]
            )
            points = self.experiments.admit(moved, taken)
        known: list[Observations] = []
        for (x, allowed), tag in zip(points, proposed.tag.tolist(), strict=False):
            key = json.dumps(x.tolist())
            if not allowed or (repeats and key in waiting):
                continue
            old = self._seen(key) if repeats else None
            if old is not None:
                again = measured(self.problem, [old])
                again.sizes = self._sizes()
                again.tag[:] = tag
                known.append(again)
                continue
            waiting.add(key)
            if guard is not None:
                guard.add(x[None], np.array([False]), np.array([False]))
            found.points.append(x)
            found.tags.append(tag)
        return known

    def _seen(self, key: str) -> EvaluationRow | None:
        """Return an experiment at this point that ended."""
        row = self.known.ended_at(key)
        if row is None:
            return None
        query = sa.select(evaluations).where(
            evaluations.c.run == self.study.id, evaluations.c.row == row
        )
        with self.store.read() as connection:
            found = connection.execute(query).first()  # None: it was deleted meanwhile
        return None if found is None else read_evaluation(found)

    def state(self) -> Any:
        """Return the method's state after everything told so far."""
        return self._begun()[0]

    def _begun(self) -> tuple[Any, bool]:
        """Return the method's state after everything told so far: the last checkpoint and what was
        told since; and whether there was a checkpoint.
        """
        saved = self.store.checkpoint(self.study.id)
        if not self.study.spec.get(RELATIVE) and self.problem.fingerprint().get("limits"):
            saved = None  # its constraints are in the metrics' units: tell the method anew
        seed = self.study.seed
        fresh_start = saved is not None or self.study.rows == 0
        rng = np.random.default_rng([seed] if fresh_start else [seed, self.study.rows])
        state = self.method.init(self.problem, rng)
        told = -1
        if saved is not None:
            state, told = decode(saved[0], state), saved[1]
        since = self.store.evaluations(self.study.id, told_after=max(told, 0))
        # what was told after the study was read is told to the method at the next ask
        fresh = answered([r for r in since if (r.told or 0) <= self.study.told])
        if fresh:
            batch = measured(self.problem, fresh)
            batch.sizes = self._sizes()
            batch.tag[batch.tag == FOREIGN] = -1
            self.method.tell(self.problem, state, batch)
        return state, saved is not None

    # -- methods that own their loop ---------------------------------------------------------------

    def _replayed(self, n: int) -> Proposals:
        """Run the method on what was told; the first unanswered evaluations are the proposals.

        The tag of a proposal is its number in the method's own order. Where a correction leads the
        method another way, what it asked for on the old way is left aside.
        """
        stored = self.store.evaluations(self.study.id)
        ended = answered(stored)
        proposals = {r.tag: r for r in ended if r.tag != FOREIGN}
        places = {json.dumps(r.x) for r in stored if r.tag != FOREIGN}
        own = [
            r
            for r in ended
            if self.experiments.free_repeats and r.tag == FOREIGN and json.dumps(r.x) not in places
        ]
        while True:
            ledger = self._ledger(own)
            answers = {len(own) + k: r for k, r in proposals.items()}
            ledger.replay = {k: measured(self.problem, [r]) for k, r in answers.items()}
            try:
                wanted = self._wanted(ledger, answers)
                break
            except Diverged:
                proposals = {k: r for k, r in proposals.items() if len(own) + k < ledger.count}
        out = [r for r in stored if r.status in (PENDING, CHECKED)]
        waiting = {json.dumps(r.x) for r in out}
        new = ((k - len(own), x) for k, x in wanted if json.dumps(x.tolist()) not in waiting)
        fresh = list(islice(new, n))
        if not fresh:
            self.known.refresh(self.study)
            guard, beside = self._tried(), Proposals([], [])
            self._fill(beside, n if guard is not None and guard.finite else 0, guard)
            if beside.points:
                return beside._replace(tags=[FOREIGN] * len(beside.points))
            ids = ", ".join(str(r.row) for r in out)
            why = f"before these are told: {ids}" if out else "more"
            why = f"{self.study.method} proposes nothing {why}"
            raise self._nothing(guard, [r.row for r in out], why)
        return Proposals([x for _, x in fresh], [k for k, _ in fresh])

    def _ledger(self, own: Sequence[EvaluationRow]) -> Ledger:
        """Return a ledger that begins with the experiments that nobody proposed."""
        ledger = Ledger()
        ledger.sizes = self._sizes()
        for r in own:
            ledger.append(measured(self.problem, [r]), stored=True)
            ledger.remember([(np.array(r.x) + 0.0).tobytes()])
        return ledger

    def _wanted(self, ledger: Ledger, answers: Mapping[int, Any]) -> list[tuple[int, np.ndarray]]:
        """Run the method until it wants what the ledger does not know."""
        engine = _Asking(ledger, answers)
        run(
            Run(
                self.problem,
                self.method,
                Budget(evaluations=10**9),
                self.study.seed,
                Meter({}),
                ledger,
                engine,
                options=RunOptions(on_failure="skip"),
            )
        )
        return engine.wanted
