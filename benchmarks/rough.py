"""Rough versions of six engineering problems with 80 evaluations: noise on the objective, or a first input in 21 steps.

The race behind the default for functions that are not smooth. FEASIBLE_BENCH_FIRST_SEED=100 runs the development seeds.
"""

from __future__ import annotations

import os

import numpy as np

from feasible import race
from feasible.blackbox import BlackBox, Integer, noisy
from feasible.blackbox.instances import get
from feasible.lab.standings import average_ranks, outcome

from .common import RESULTS, Figure, write

PROBLEMS = ("jlh2", "gkxwc1", "three-bar-truss", "compression-spring", "welded-beam", "reinforced-concrete-beam")
METHODS = ("pfn-cei", "gp-sqp", "cbo-memory", "optuna-tpe", "cma-es", "random-search")
FIRST = int(os.environ.get("FEASIBLE_BENCH_FIRST_SEED", "0"))
EVALUATIONS, SEEDS, SHARE, STEPS = 80, 2, 0.02, 20


def with_noise(name: str) -> BlackBox:
    """The objective with noise of SHARE of the median deviation of its values over the box; judged without it."""
    problem = get(name)
    x = problem.space.from_unit(np.random.default_rng(0).random((1000, problem.space.d)))
    f = problem.measure(x, np.full(1000, -1), np.full(1000, -1)).objective
    return noisy(problem, SHARE * float(np.median(np.abs(f - np.median(f)))))


def in_steps(name: str) -> BlackBox:
    """The first input in STEPS + 1 equal steps from bound to bound."""
    problem = get(name)
    first, *others = problem.space.variables

    def fun(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = np.array(x)
        points[:, 0] = first.low + points[:, 0] / STEPS * (first.high - first.low)
        seen = problem.measure(points, np.full(len(x), -1), np.full(len(x), -1))
        return seen.objective, seen.constraints

    m = problem.limits.m
    return BlackBox(fun, variables=[Integer(first.name, 0, STEPS), *others], limits={f"g{j + 1}": "<= 0" for j in range(m)}, vectorized=True,
                    name=f"{name}-in-steps")


def run() -> list[Figure]:
    problems = [make(name) for make in (with_noise, in_steps) for name in PROBLEMS]
    out = RESULTS.parent / "out"
    out.mkdir(exist_ok=True)
    done = race(problems, list(METHODS), f"evaluations={EVALUATIONS}", seeds=list(range(FIRST, FIRST + SEEDS)), store=str(out / "rough.db"),
                name=f"rough-{FIRST}", jobs=int(os.environ.get("FEASIBLE_BENCH_JOBS", "2")))
    trials = {(t.problem, t.method, t.seed): t for t in done.trials}
    figures = []
    for kind in ("noisy", "in-steps"):
        ranks: dict[str, list[float]] = {m: [] for m in METHODS}
        for contest in done.contests:
            for seed in done.seeds if contest.name.endswith(kind) else ():
                for m, rank in zip(METHODS, average_ranks([outcome(trials[contest.name, m, seed]) for m in METHODS]), strict=True):
                    ranks[m].append(rank)
        for m in sorted(METHODS, key=lambda m: float(np.mean(ranks[m]))):
            good = np.mean([trials[c.name, m, s].feasible for c in done.contests if c.name.endswith(kind) for s in done.seeds])
            figures.append(Figure(f"{kind}: {m}, average rank of {len(METHODS)}", float(np.mean(ranks[m])), None, "rank", f"feasible in {good:.0%}"))
    write("rough" if FIRST < 100 else "rough-development", figures, seeds=list(done.seeds))
    return figures
