"""Several workers of one study, as tasks of a Ray cluster or in processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

from ..core.errors import EvaluationFailed
from ..core.threads import DEFAULT
from .placing import Place
from .rows import RunRow
from .store import Store
from .working import Worked, Worker


class WorkOptions(TypedDict):
    """How experiments are run.

    Attributes:
        retry: How often a failed evaluation is tried again.
        timeout: Seconds after which an evaluation is killed.
        go_on: Also where the study's `stop_at` is reached.
    """

    retry: int
    timeout: float | None
    go_on: bool


class Opened(Worked, Protocol):
    """A study that can be opened again elsewhere, see `study.Study`."""

    @property
    def row(self) -> RunRow:
        """The study as stored now."""


@dataclass(frozen=True)
class _Member:
    """What each of them does, where it runs.

    Attributes:
        opens: Opens the study, from its store, row, problem and method.
        store: Where the study is; sent to another process it is opened there.
        study: Its number.
        problem: Its problem, with a function.
        method: Its method.
        options: How experiments are run.
    """

    opens: Callable[..., Worked]
    store: Store
    study: int
    problem: Any
    method: Any
    options: WorkOptions

    def __call__(self, limit: int | None) -> int:
        """Work until nothing is left, or for so many evaluations; returns those made."""
        with self.store:
            row = self.store.run(self.study)
            study = self.opens(self.store, row, self.problem, self.method)
            return Worker(study, **self.options).work(limit)


def work_together(study: Opened, place: Place, limit: int | None, options: WorkOptions) -> int:
    """Let several workers ask, evaluate and tell until the budget is used up. One whose process or
    node is lost is started again as long as results come in; what it had in hand is run again,
    already paid for.

    Args:
        study: What they work on.
        place: Where they run, and how many.
        limit: Most evaluations that they make together.
        options: How they run experiments.

    Returns:
        The evaluations made by those that came to their end.

    Raises:
        ArgumentError: The problem has no function, or cannot be sent there; or as `Place.engine`.
        EvaluationFailed: Workers ended without a result of any.
    """
    Worker(study, **options)  # says what is wrong with it, here
    parts = (study.store, study.id, study.problem, study.method)
    member, made = _Member(type(study), *parts, options), 0
    with place.engine(DEFAULT, study.store) as engine:
        shares = _shares(limit, engine.workers)
        while shares:
            before, lost = study.row.told, dict[int, Exception]()
            for index, outcome in engine.map(member, shares):
                if isinstance(outcome, Exception):
                    lost[index] = outcome
                else:
                    made += outcome
            if lost and study.row.told == before:
                said = next(iter(lost.values()))
                raise EvaluationFailed(f"study '{study.name}': {len(lost)} workers ended: {said}")
            shares = [shares[index] for index in lost]
    return made


def _shares(limit: int | None, workers: int) -> Sequence[int | None]:
    """Return how many evaluations each worker makes."""
    if limit is None:
        return [None] * workers
    each, more = divmod(limit, workers)
    return [n for i in range(workers) if (n := each + (i < more))]
