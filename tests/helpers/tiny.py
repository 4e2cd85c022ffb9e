"""Tiny ask/tell methods and a short way to run them, for tests of the contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from feasible.blackbox.asktell import AskTell, Proposals
from feasible.blackbox.space import sample_allowed
from feasible.core.budget import Budget, Meter
from feasible.core.evaluating import InProcess, RunOptions
from feasible.core.run import Run, run


@dataclass
class Seen:
    rng: np.random.Generator
    asked: int = 0
    told: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Sample(AskTell):
    """Random points that the known constraints let through, `batch` at a time, labelled 0, 1, 2,
    ...
    """

    batch: int = 4
    name: ClassVar[str] = "sample"

    def init(self, problem, rng):
        return Seen(rng)

    def ask(self, problem, state, n=None):
        n = self.batch if n is None else n
        x = sample_allowed(
            problem.space, problem.known, n, lambda k: state.rng.random((k, problem.space.d))
        )
        tag = np.arange(state.asked, state.asked + n)
        state.asked += n
        return Proposals(x, tag)

    def tell(self, problem, state, seen):
        state.told.append(seen)


@dataclass(frozen=True)
class Listed(Sample):
    """The given points, `batch` at a time, over and over; done after `rounds`."""

    points: Any = ()
    rounds: int = 1
    name: ClassVar[str] = "listed"

    def ask(self, problem, state, n=None):
        points = np.asarray(self.points, dtype=float)
        at = (np.arange(self.batch) + state.asked) % len(points)
        if state.asked + self.batch >= self.rounds * len(points):
            at = at[: self.rounds * len(points) - state.asked]
        tag = np.arange(state.asked, state.asked + len(at))
        state.asked += len(at)
        return Proposals(points[at], tag)

    def done(self, problem, state):
        return "all points were tried" if state.asked >= self.rounds * len(self.points) else None


def go(problem, budget=20, method=None, seed=0, engine=None, **options):
    """Run a method (Sample unless said) on a problem."""
    budget = Budget.of(budget)
    made = Run(
        problem,
        method or Sample(),
        budget,
        seed,
        Meter(budget),
        engine=engine or InProcess(),
        options=RunOptions(**options),
    )
    return run(made)


def rows(result):
    """The ledger of a result as one batch."""
    return result.ledger.all()


def same_rows(a, b):
    """True if two ledgers are the same, bit for bit."""
    return all(
        np.array_equal(getattr(a, k), getattr(b, k), equal_nan=True)
        for k in ("x", "objective", "constraints", "values", "status", "id", "tag")
    ) and (a.columns, a.reason) == (b.columns, b.reason)
