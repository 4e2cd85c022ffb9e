"""Checkpoints of a run: what is kept between two steps, and how a run goes on from there."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Protocol

from .active import Run
from .checkpoint import decode, encode
from .errors import CheckpointError
from .plain import verdict_data
from .trail import Point
from .verdict import Verdict


class Checkpoints(Protocol):
    """Where a run's checkpoints go."""

    def load(self) -> bytes | None:
        """The newest checkpoint, if there is one."""

    def due(self) -> bool:
        """True when it is time for the next one."""

    def save(self, blob: bytes) -> None:
        """Keep this one."""

    def refuse(self, reason: str) -> None:
        """The state cannot be saved: a resumed run replays its ledger from the start instead."""


@dataclass(slots=True)
class Saved:
    """What a checkpoint of a run holds.

    Attributes:
        step: Steps that were finished.
        rows: Rows of the ledger at that time.
        spent: Units by resource, seconds included.
        trail: (step, spent, seconds, verdict) of each point.
        next_row: Number of rows at which the best is judged next.
        state: The method's state.
        best: Where there is no ledger: the best answer that was judged, its verdict, and, where
            answers were offered, how many and when the next is judged.
    """

    step: int
    rows: int
    spent: dict[str, float]
    trail: list[list[Any]]
    next_row: int
    state: Any
    best: Any = None


def save(run: Run, checkpoints: Checkpoints, state: Any) -> None:
    """Keep a checkpoint of the run as it stands between two steps."""
    trail = run.trail
    best = None
    if trail.best is not None:
        offers = [[trail.offers, *trail.due]] if trail.offers else []
        best = [trail.best[0], verdict_data(trail.best[1]), *offers]
    paused = run.meter.pause()
    try:
        checkpoints.save(
            encode(
                Saved(
                    step=run.step,
                    rows=run.ledger.count,
                    spent=run.meter.snapshot(),
                    trail=[
                        [p.step, p.spent, p.seconds, verdict_data(p.verdict)] for p in trail.points
                    ],
                    next_row=trail.next,
                    state=state,
                    best=best,
                )
            )
        )
    except CheckpointError as error:
        checkpoints.refuse(str(error))
    finally:
        if paused:
            run.meter.go_on()


def restore(run: Run, blob: bytes, state: Any) -> Any:
    """Put a run back to a checkpoint and return the method's state; `state` is what `init` has just
    made.

    Where the checkpoint cannot be read and there is a ledger, that is the state to go on from: the
    ledger is replayed from the start. Otherwise raises CheckpointError.
    """
    if not run.problem.keeps_ledger:
        return _restore(run, blob, state)
    try:
        return _restore(run, blob, copy.deepcopy(state))
    except CheckpointError as error:
        run.notes.append(
            f"the checkpoint was not used, the ledger was replayed from the start: {error}"
        )
        return state


def _restore(run: Run, blob: bytes, template: Any) -> Any:
    """Read a checkpoint into the shape of a fresh state. `init` ran on replayed rows, so that cost
    nothing.
    """
    best = None if run.problem.keeps_ledger else [run.method.answer(run.problem, template), None]
    saved: Saved = decode(blob, Saved(0, 0, {}, [], 1, template, best))
    run.ledger.replayed_to(saved.rows)
    run.step = saved.step
    trail = run.trail
    trail.points = [
        Point(step, spent, seconds, Verdict(**verdict))
        for step, spent, seconds, verdict in saved.trail
    ]
    trail.next = saved.next_row
    if saved.best is not None:
        answer, verdict, *offers = saved.best
        trail.best = answer, Verdict(**verdict)
        for number, due, spent in offers:
            trail.offers, trail.due = number, (due, spent)
    run.meter.restart(saved.spent)
    return saved.state
