"""The thirteen engineering problems with 100 evaluations: the room's default against everything
else, published as it comes.

The quick methods run on five seeds. Those that take seconds for a proposal run one after the other,
seed by seed, until FEASIBLE_BENCH_MINUTES
(default 60) are over, and are compared on what they have finished, which each figure states.
The races live in benchmarks/out/engineering.db (a store of our own): an interrupted benchmark goes
on where it stopped.
FEASIBLE_BENCH_COLLECT=1 publishes what is finished without running more.
FEASIBLE_BENCH_FIRST_SEED=100 runs the development seeds.
"""

from __future__ import annotations

import os
import time

import numpy as np

from feasible import race
from feasible.blackbox.instances.named import ENGINEERING
from feasible.core.errors import FeasibleError
from feasible.lab.outcomes import average_ranks, solved
from feasible.lab.race import load_race
from feasible.lab.store import Store
from feasible.lab.trials import Race, Trial

from .common import RESULTS, Figure, write

PROBLEMS = tuple(n for n in ENGINEERING if n not in ("heat-exchanger", "cantilever-beam"))
OURS = ("relay", "gp-sqp", "hybrid-sqp", "cbo-memory")
"""The first is the room's default for limits; it begins with the third, whose model is gp-sqp."""
NETWORK = ("pfn-cei", "pfn-cei-plus")
QUICK = (
    "cobyqa",
    "slsqp",
    "trust-constr",
    "differential-evolution",
    "cma-es",
    "pymoo-ga",
    "cbx",
    "optuna-tpe",
    "random-search",
)
SLOW = ("optuna-gp", "ax", "botorch-logcei")
RIVALS = ("optuna-gp", "optuna-tpe", "ax")
"""Those whose regret the default's is measured by."""
FIRST = int(os.environ.get("FEASIBLE_BENCH_FIRST_SEED", "0"))
MINUTES = float(os.environ.get("FEASIBLE_BENCH_MINUTES", "60"))
JOBS = int(os.environ.get("FEASIBLE_BENCH_JOBS", "2"))
PARTS = [p for p in os.environ.get("FEASIBLE_BENCH_PARTS", "quick,network,slow").split(",") if p]
EVALUATIONS, SEEDS = 100, 5 if FIRST < 100 else 3


def run() -> list[Figure]:
    out = RESULTS.parent / "out"
    out.mkdir(exist_ok=True)
    store, collect = str(out / "engineering.db"), bool(os.environ.get("FEASIBLE_BENCH_COLLECT"))
    seeds = list(range(FIRST, FIRST + SEEDS))
    found: list[Race] = []

    def one(name: str, methods: tuple[str, ...], which: list[int]) -> None:
        if collect:
            try:
                found.append(load_race(Store(store), name))
            except FeasibleError as error:
                print(f"  {name}: not run ({error})", flush=True)
        else:
            found.append(
                race(
                    list(PROBLEMS),
                    list(methods),
                    f"evaluations={EVALUATIONS}",
                    seeds=which,
                    store=store,
                    name=name,
                    jobs=JOBS,
                )
            )

    if "quick" in PARTS:
        one(f"engineering-{FIRST}", (*OURS, *QUICK), seeds)
    if "network" in PARTS:
        one(f"engineering-{FIRST}-network", NETWORK, seeds)
    started = time.monotonic()
    for method in SLOW if "slow" in PARTS else ():
        for seed in seeds:
            if collect or time.monotonic() - started < 60 * MINUTES:
                one(f"engineering-{FIRST}-{method}-{seed}", (method,), [seed])
    return publish(found, seeds)


def publish(found: list[Race], seeds: list[int]) -> list[Figure]:
    """Median ranks over (problem, seed), feasible shares, and regrets relative to the rivals'."""
    trials: dict[tuple[str, str, int], Trial] = {
        (t.problem, t.method, t.seed): t
        for r in found
        for t in r.trials
        if t.status in ("done", "failed")
    }
    contests = {c.name: c for r in found for c in r.contests}
    methods = list(dict.fromkeys(m for r in found for m in r.methods))
    slow = [m for m in methods if m in SLOW]
    quick = [m for m in methods if m not in SLOW]
    pairs = [(p, s) for p in contests for s in seeds if all((p, m, s) in trials for m in quick)]
    common = [pair for pair in pairs if all((pair[0], m, pair[1]) in trials for m in slow)]

    def regret(p: str, m: str, s: int) -> float:
        t, known = trials[p, m, s], contests[p].best_known or 0.0
        return (
            max(t.objective - known, 0.0) / max(1.0, abs(known))
            if t.status == "done" and t.feasible
            else np.inf
        )

    figures, default = [], OURS[0]
    for of, over, title in ((quick, pairs, "quick methods"), (methods, common, "all methods")):
        if not over or (of is methods and not slow):
            continue
        where = f"{title}, {len({p for p, _ in over})} problems, {len(over)} (problem, seed)"
        ranks: dict[str, list[float]] = {m: [] for m in of}
        for p, s in over:
            for m, rank in zip(
                of, average_ranks([solved(trials[p, m, s], contests[p]) for m in of]), strict=True
            ):
                ranks[m].append(rank)
        medians = {m: float(np.median(r)) for m, r in ranks.items()}
        listed = ", ".join(f"{m} {v:g}" for m, v in sorted(medians.items(), key=lambda x: x[1]))
        figures.append(
            Figure(
                f"{where}: median rank of {default} minus the best other median rank",
                medians[default] - min(v for m, v in medians.items() if m != default),
                0.0,
                "rank",
                listed,
            )
        )
        can = {
            p
            for p, _ in over
            if any(np.isfinite(regret(p, m, s)) for m in of for q, s in over if q == p)
        }
        missed = [
            f"{p} (seed {s})"
            for p, s in over
            if p in can and not np.isfinite(regret(p, default, s))
        ]
        figures.append(
            Figure(
                f"{where}: share where {default} found no feasible design, on problems where any "
                "method did",
                len(missed) / len(over),
                0.0,
                "share",
                ", ".join(missed),
            )
        )
        for m in sorted(of, key=lambda m: float(np.mean(ranks[m]))):
            share = np.mean([np.isfinite(regret(p, m, s)) for p, s in over])
            figures.append(
                Figure(
                    f"{where}: {m}, average rank of {len(of)}",
                    float(np.mean(ranks[m])),
                    None,
                    "rank",
                    f"feasible in {share:.0%}",
                )
            )
    for rival in (m for m in RIVALS if m in methods):
        both = [(p, s) for p, s in pairs if (p, rival, s) in trials]
        quotients = {
            p: _ratio(
                *(np.median([regret(p, m, s) for q, s in both if q == p]) for m in (default, rival))
            )
            for p in dict.fromkeys(p for p, _ in both)
        }
        if quotients:
            worst = max(quotients, key=quotients.__getitem__)
            figures.append(
                Figure(
                    f"regret of {default} over that of {rival}, median over {len(quotients)} "
                    f"problems, {len(both)} (problem, seed)",
                    float(np.median([*quotients.values()])),
                    0.5,
                    "ratio",
                    f"worst: {worst} {quotients[worst]:.3g}",
                )
            )
    rows = []
    for p in contests:
        for m in methods:
            mine = [
                (regret(p, m, s), trials[p, m, s].seconds) for s in seeds if (p, m, s) in trials
            ]
            if mine:
                middle, seconds = np.median(mine, axis=0).tolist()
                largest = max(gap for gap, _ in mine)
                rows.append(
                    {
                        "problem": p,
                        "method": m,
                        "seeds": len(mine),
                        "median regret": middle if np.isfinite(middle) else None,
                        "largest regret": float(largest) if np.isfinite(largest) else None,
                        "seconds": seconds,
                    }
                )
    write(
        "engineering" if FIRST < 100 else "engineering-development", figures, seeds=seeds, rows=rows
    )
    return figures


def _ratio(mine: float, other: float) -> float:
    """mine / other; regrets below 1e-6 count as 1e-6, and no feasible design as an infinite
    regret."""
    a, b = max(mine, 1e-6), max(other, 1e-6)
    return 1.0 if a == b else 0.0 if np.isinf(b) else float(a / b)
