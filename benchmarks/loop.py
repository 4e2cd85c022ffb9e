"""The generic loop: what a run costs beyond the method's own work."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass

import numpy as np

from feasible.blackbox.cbo.cbo import CBO
from feasible.blackbox.instances.named import get
from feasible.core import run as runs
from feasible.core.budget import Budget, Meter
from feasible.core.problem import Method, Problem
from feasible.core.verdict import Verdict

from .common import Figure, in_turns, ratio, write

STEPS = 200_000


class _Nothing(Problem):
    name = "nothing"

    def judge(self, answer: object) -> Verdict:
        return Verdict(0.0)


@dataclass(frozen=True)
class _Empty(Method):
    name = "empty"

    def init(self, problem: object, rng: np.random.Generator) -> int:
        return 0

    def step(self, problem: object, state: int) -> int:
        return state + 1

    def answer(self, problem: object, state: int) -> int:
        return state


def _drive(problem: Problem, method: Method, budget: Budget) -> None:
    runs.run(runs.Run(problem, method, budget, 0, Meter(budget)))


def run() -> list[Figure]:
    problem, method, budget = _Nothing(), _Empty(), Budget(steps=STEPS)

    def bare() -> None:
        state = method.init(problem, np.random.default_rng(0))
        for _ in range(STEPS):
            state = method.step(problem, state)

    looped, plain = in_turns(lambda: _drive(problem, method, budget), bare, rounds=5)
    per_step = statistics.median((a - b) / STEPS * 1e6 for a, b in zip(looped, plain, strict=True))

    ackley = get("ackley", d=20)
    cbo = CBO(n_particles=100)
    steps = 2_000
    limits = Budget(evaluations=100 * steps)

    def stepping() -> None:
        """The same steps in a bare loop: the problem checks its points and calls its function, but
        nothing is metered, kept or judged.
        """
        state = cbo.init(ackley, np.random.default_rng([0]))
        for _ in range(steps):
            cbo.done(ackley, state)
            state = cbo.step(ackley, state)

    inside, outside = in_turns(lambda: _drive(ackley, cbo, limits), stepping, rounds=21)
    figures = [
        Figure("empty method: loop per step, beyond calling the step", per_step, 10.0, "us"),
        Figure(
            "CBO, 100 particles, d = 20: a run over the same 2,000 steps in a bare loop",
            ratio(inside, outside),
            1.02,
        ),
    ]
    write("loop", figures, threads=os.environ.get("OMP_NUM_THREADS"))
    return figures
