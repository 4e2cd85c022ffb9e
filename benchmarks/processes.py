"""A race of 40 one-second trials on two local processes against one."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from feasible import race
from feasible.blackbox import AskTell, BlackBox, Proposals

from .common import Figure, write


@dataclass(frozen=True)
class _OnePoint(AskTell):
    name = "one-point"

    def init(self, problem: BlackBox, rng: np.random.Generator) -> np.random.Generator:
        return rng

    def ask(self, problem: BlackBox, state: np.random.Generator, n: int | None = None) -> Proposals:
        return Proposals.of(problem.space.from_unit(state.random((1, problem.space.d))))

    def tell(self, problem: BlackBox, state: np.random.Generator, seen: object) -> None:
        return None


def _slow(x: np.ndarray) -> float:
    time.sleep(1.0)
    return float(x @ x)


def run() -> list[Figure]:
    problem = BlackBox(_slow, [(-1, 1)] * 2, name="one-second")
    seconds = {}
    for jobs in (1, 2):
        start = time.perf_counter()
        done = race([problem], {"one-point": _OnePoint()}, "evaluations=1", seeds=40, jobs=jobs)
        seconds[jobs] = time.perf_counter() - start
        assert all(t.status == "done" for t in done.trials)
    figures = [Figure("40 one-second trials: 2 processes over 1", seconds[2] / seconds[1], 0.55)]
    write("processes", figures)
    return figures
