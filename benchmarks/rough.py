"""Rough versions of six engineering problems with 80 evaluations.

noisy, noisier: noise on the objective, 2 % and 10 % of its spread, judged without it.  in-steps:
  the first input a whole number from 0 to 20.
pass-fail: of each limit only whether it holds is known.
The race behind the default for functions that are not smooth. FEASIBLE_BENCH_FIRST_SEED=100 runs
the development seeds, FEASIBLE_BENCH_COLLECT=1
publishes what is finished without running more: problems and seeds on which every method is.
"""

from __future__ import annotations

import os
from functools import partial

import numpy as np

from feasible import race
from feasible.blackbox import BlackBox, Integer, noisy
from feasible.blackbox.instances.named import get
from feasible.lab.outcomes import average_ranks, outcome
from feasible.lab.race import load_race
from feasible.lab.store import Store

from .common import RESULTS, Figure, write

PROBLEMS = (
    "jlh2",
    "gkxwc1",
    "three-bar-truss",
    "compression-spring",
    "welded-beam",
    "reinforced-concrete-beam",
)
METHODS = ("pfn-cei", "gp-sqp", "cbo-memory", "optuna-tpe", "cma-es", "random-search")
FIRST = int(os.environ.get("FEASIBLE_BENCH_FIRST_SEED", "0"))
EVALUATIONS, SEEDS, STEPS = 80, 2, 20


def with_noise(name: str, share: float = 0.02, ending: str = "noisy") -> BlackBox:
    """The objective with noise of `share` of the median deviation of its values over the box;
    judged without it.
    """
    problem = get(name)
    x = problem.space.from_unit(np.random.default_rng(0).random((1000, problem.space.d)))
    f = problem.measure(x, np.full(1000, -1), np.full(1000, -1)).objective
    twin = noisy(problem, share * float(np.median(np.abs(f - np.median(f)))))
    twin.name = f"{name}-{ending}"
    return twin


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
    return BlackBox(
        fun,
        variables=[Integer(first.name, 0, STEPS), *others],
        limits={f"g{j + 1}": "<= 0" for j in range(m)},
        vectorized=True,
        name=f"{name}-in-steps",
    )


def pass_fail(name: str) -> BlackBox:
    """Whether each limit holds, and no more."""
    problem = get(name)

    def fun(x: np.ndarray) -> dict[str, np.ndarray]:
        seen = problem.measure(x, np.full(len(x), -1), np.full(len(x), -1))
        return {"f": seen.objective} | {
            f"g{j + 1}": (g <= 0).astype(float) for j, g in enumerate(seen.constraints.T)
        }

    return BlackBox(
        fun,
        variables=problem.space.variables,
        objective="f",
        limits={f"g{j + 1}": "is true" for j in range(problem.limits.m)},
        vectorized=True,
        name=f"{name}-pass-fail",
    )


KINDS = {
    "noisy": with_noise,
    "noisier": partial(with_noise, share=0.1, ending="noisier"),
    "in-steps": in_steps,
    "pass-fail": pass_fail,
}


def run() -> list[Figure]:
    problems = [make(name) for make in KINDS.values() for name in PROBLEMS]
    out = RESULTS.parent / "out"
    out.mkdir(exist_ok=True)
    store, name = str(out / "rough.db"), f"rough-{FIRST}"
    done = (
        load_race(Store(store), name)
        if os.environ.get("FEASIBLE_BENCH_COLLECT")
        else race(
            problems,
            list(METHODS),
            f"evaluations={EVALUATIONS}",
            seeds=list(range(FIRST, FIRST + SEEDS)),
            store=store,
            name=name,
            jobs=int(os.environ.get("FEASIBLE_BENCH_JOBS", "2")),
        )
    )
    trials = {
        (t.problem, t.method, t.seed): t for t in done.trials if t.status in ("done", "failed")
    }
    pairs = [
        (c.name, s)
        for c in done.contests
        for s in done.seeds
        if all((c.name, m, s) in trials for m in METHODS)
    ]
    figures = []
    for kind in KINDS:
        ranks: dict[str, list[float]] = {m: [] for m in METHODS}
        mine = [(p, s) for p, s in pairs if p.endswith(f"-{kind}")]
        for p, s in mine:
            for m, rank in zip(
                METHODS, average_ranks([outcome(trials[p, m, s]) for m in METHODS]), strict=True
            ):
                ranks[m].append(rank)
        for m in sorted(METHODS, key=lambda m: float(np.mean(ranks[m]))) if mine else ():
            good = np.mean([trials[p, m, s].feasible for p, s in mine])
            figures.append(
                Figure(
                    f"{kind}, {len(mine)} (problem, seed): {m}, average rank of {len(METHODS)}",
                    float(np.mean(ranks[m])),
                    None,
                    "rank",
                    f"feasible in {good:.0%}",
                )
            )
    write(
        "rough" if FIRST < 100 else "rough-development",
        figures,
        seeds=sorted({s for _, s in pairs}),
    )
    return figures
