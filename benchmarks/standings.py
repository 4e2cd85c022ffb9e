"""The fifteen engineering problems at 200 and 2,000 evaluations: ours against SciPy's, Optuna's and
pycma's, published as they come.

`FEASIBLE_BENCH_COLLECT=1` publishes what is finished without running more: seeds that are not
complete are left out.
Optuna's GP sampler took over a second for each proposal here, hours for one race:
`FEASIBLE_BENCH_GP=1` adds it at 200 evaluations.

The races live in benchmarks/out/standings.db (a store of our own): an interrupted benchmark goes on
where it stopped.
"""

from __future__ import annotations

import os
from dataclasses import replace

from feasible import race
from feasible.blackbox.instances.named import ENGINEERING
from feasible.lab.race import load_race
from feasible.lab.standings import standings
from feasible.lab.store import Store
from feasible.lab.trials import Race

from .common import RESULTS, Figure, write

OURS = ("cbo", "cbo-memory")
PEERS = (
    "cobyqa",
    "slsqp",
    "trust-constr",
    "differential-evolution",
    "cma-es",
    "optuna-tpe",
    "random-search",
)
SLOW = ("optuna-gp",) if os.environ.get("FEASIBLE_BENCH_GP") else ()
RACES = {"200": (200, (*OURS, *PEERS, *SLOW), 5), "2000": (2000, (*OURS, *PEERS), 3)}
"""Label -> evaluations, methods, seeds."""
FIRST = int(os.environ.get("FEASIBLE_BENCH_FIRST_SEED", "0"))
"""Seeds from 100 on are for development: the default rule was chosen on them."""
JOBS = int(os.environ.get("FEASIBLE_BENCH_JOBS", "2"))


class _Progress:
    def __init__(self) -> None:
        self.done = self.total = 0

    def on_race(self, found: object, total: int, finished: int) -> None:
        self.done, self.total = finished, total

    def on_trial(self, trial: object) -> None:
        self.done += 1
        if self.done % 50 == 0:
            print(f"  {self.done} of {self.total} trials", flush=True)


def run() -> list[Figure]:
    out = RESULTS.parent / "out"
    out.mkdir(exist_ok=True)
    figures: list[Figure] = []
    tables = {}
    for label, (evaluations, methods, count) in RACES.items():
        seeds = list(range(FIRST, FIRST + count))
        store, name = (
            str(out / "standings.db"),
            f"standings-{label}-{seeds[0]}-{seeds[-1]}{'-gp' if SLOW else ''}",
        )
        if os.environ.get("FEASIBLE_BENCH_COLLECT"):
            done = finished_part(load_race(Store(store), name))
        else:
            done = race(
                ENGINEERING,
                list(methods),
                f"evaluations={evaluations}",
                seeds=seeds,
                store=store,
                name=name,
                jobs=JOBS,
                observers=_Progress(),
            )
        seeds = done.seeds
        found = standings(done)
        ranks = dict(zip(found.ranks["method"], found.ranks["rank"].astype(float), strict=True))
        tables[label] = {
            "evaluations": evaluations,
            "seeds": seeds,
            "problems": [c.name for c in done.contests],
            "ranks": ranks,
            "notes": list(found.notes),
            "rows": found.to_frame().to_dict(orient="records"),
        }
        for method, rank in sorted(ranks.items(), key=lambda kv: kv[1]):
            feasible = [t.feasible for t in done.trials if t.method == method]
            figures.append(
                Figure(
                    f"{evaluations} evaluations: {method}, average rank of {len(methods)}",
                    rank,
                    None,
                    "rank",
                    f"feasible in {sum(feasible)} of {len(feasible)} trials",
                )
            )
    write("standings" if FIRST < 100 else "standings-development", figures, tables=_plain(tables))
    return figures


def finished_part(found: Race) -> Race:
    """The seeds that are complete; where none is, the problems whose first seed is."""
    whole = [
        s for s in found.seeds if all(t.status != "pending" for t in found.trials if t.seed == s)
    ]
    if whole:
        return replace(found, seeds=whole, trials=[t for t in found.trials if t.seed in whole])
    first = [t for t in found.trials if t.seed == found.seeds[0]]
    contests = [
        c
        for c in found.contests
        if all(t.status != "pending" for t in first if t.problem == c.name)
    ]
    names = {c.name for c in contests}
    return replace(
        found,
        seeds=found.seeds[:1],
        contests=contests,
        trials=[t for t in first if t.problem in names],
    )


def _plain(value: object) -> object:
    from feasible.core.plain import plain

    return plain(value)
