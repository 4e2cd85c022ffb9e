"""robust-bo and relay beside peers, on problems with noise, mixed inputs, yes/no limits, failures.

bbob-noisy and bbob-mixint of COCO, five inputs, up to 500 evaluations; and the problems of
`rough_problems`. Peers are called directly, as their users would: Optuna's TPE (constraints by its
constraints_func, failed trials as failed), COBYQA and pycma from the middle of the box, restarted.

Under noise an answer is what a method would report: ours by the model's mean, pycma's favourite,
COBYQA's last point, the best value of the others; its gap is the median of 301 values there, less
the best value. Of problems without noise the best allowed point counts.

    python -m benchmarks.rough_default run noisy -s 1 -m robust-bo,tpe -b 250
    python -m benchmarks.rough_default show --store

Each trial is one line of benchmarks/out/rough_default.jsonl, so that an interrupted run goes on
where it stopped. Instances 1 to 3 and seeds 0 to 15 are for reports, others for development; of
COCO's suites a seed below 100 has an instance of the former, others one of 4 to 6 and 8 to 10.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata, wilcoxon

from benchmarks.coco import best_value
from benchmarks.common import RESULTS, Figure, write
from benchmarks.rough_problems import KINDS, Rough
from benchmarks.rough_solvers import MARKS, PEERS, Task, Used, by_library
from feasible.lab.significance import holm

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

OUT = Path(__file__).parent / "out" / "rough_default.jsonl"
SUITES = {"noisy": "bbob-noisy", "mixint": "bbob-mixint"}
FUNCTIONS = {"noisy": range(101, 131), "mixint": range(1, 25)}
TARGETS = 10.0 ** np.linspace(2, -8, 51)
WORST = 10.0
"""Regret that counts where nothing allowed was found."""


def instance_of(seed: int) -> int:
    """The instance of COCO's suites for a seed."""
    return 1 + seed % 3 if seed < 100 else (4, 5, 6, 8, 9, 10)[seed % 6]


def of_coco(kind: str, function: int, seed: int, budget: int) -> Task:
    """A function of COCO with five inputs."""
    import cocoex

    instance = instance_of(seed)

    place = function - 100 if kind == "noisy" else function
    options = f"dimensions: 5 function_indices: {place} instance_indices: {instance}"
    suite = cocoex.Suite(SUITES[kind], "", options)
    problem = suite[0]
    whole, best, noisy = problem.number_of_integer_variables, best_value(problem), kind == "noisy"
    empty = np.empty(0)

    def call(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, bool]:
        return float(problem(x)), empty, empty, True

    def gap(x: np.ndarray, of: Any = suite) -> float:  # the suite owns the problem
        return float(np.median([problem(x) for _ in range(301 if noisy else 1)])) - best

    kinds = "i" * whole + "r" * (5 - whole)
    low, high = np.array(problem.lower_bounds), np.array(problem.upper_bounds)
    return Task(kinds, low, high, call, gap, 0, 0, noisy, budget)


def of_ours(problem: Rough) -> Task:
    """A problem of `rough_problems`."""
    rng = np.random.default_rng([7, problem.seed])

    def call(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, bool]:
        f, g, yes, works, sd = problem.truth(x[None])
        return float(f[0] + sd[0] * rng.standard_normal()), g[0], yes[0], bool(works[0])

    def gap(x: np.ndarray) -> float:
        f, good = problem.good(x[None])
        return float((f[0] - problem.best) / problem.scale) if good[0] else WORST

    p = problem
    return Task(
        p.kinds,
        p.low,
        p.high,
        call,
        gap,
        p.limits,
        p.answers,
        p.noisy,
        p.budget,
        p.told,
        p.equalities,
    )


Trial = dict[str, Any]
"""A row of the file of trials."""


def measure(task: Task, method: str, seed: int) -> Trial:
    """Run a method; what it reached."""
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answer = (PEERS.get(method) or by_library(method))(task, seed)
            error = ""
        except Used:
            answer, error = task.luckiest(), ""
        except Exception as failure:
            answer, error = task.luckiest(), f"{type(failure).__name__}: {failure}"[:200]
    seconds = time.process_time() - begin
    gaps = [task.gap(r[0]) if r[4] else WORST for r in task.rows] if not task.noisy else []
    best = np.minimum.accumulate(gaps).tolist()
    reached = {n: best[min(n, len(best)) - 1] for n in MARKS if n <= task.budget and best}
    return {
        "gap": task.gap(answer) if task.noisy else best[-1],
        "reached": reached or task.reached,
        "failed": sum(not r[4] for r in task.rows),
        "n": len(task.rows),
        "seconds": round(seconds, 3),
        "error": error,
    }


KEYS = ("kind", "problem", "seed", "method", "budget")


def stored() -> list[Trial]:
    """All trials that are on disk."""
    return [json.loads(row) for row in OUT.read_text().splitlines()] if OUT.exists() else []


def run(kind: str, seeds: list[int], methods: list[str], functions: list[int], budget: int) -> None:
    """Run what is not on disk yet, problem by problem, so that a part is a fair part."""
    have = {tuple(t[k] for k in KEYS) for t in stored()}
    OUT.parent.mkdir(exist_ok=True)
    problems: list[Any] = functions or [*FUNCTIONS[kind]] if kind in SUITES else list(KINDS[kind])
    for seed in seeds:
        for problem in problems:
            name = f"f{problem}" if kind in SUITES else problem(seed).name
            for method in methods:
                if kind in SUITES:
                    task = of_coco(kind, problem, seed, budget)
                else:
                    task = of_ours(problem(seed))
                key = kind, name, seed, method, task.budget
                if key in have:
                    continue
                row = dict(zip(KEYS, key, strict=True)) | measure(task, method, seed)
                with OUT.open("a") as out:
                    out.write(json.dumps(row) + "\n")


Group = dict[str, dict[tuple[str, int], Trial]]
"""Trials by method, problem and seed."""


def grouped(seeds: list[int], kinds: list[str]) -> dict[tuple[str, int], Group]:
    """Trials by kind and evaluations: of each method those of the largest budget, where it has
    them; a default is another method for another budget, so there only those of this very budget.
    """
    groups: dict[tuple[str, int], Group] = defaultdict(dict)
    for t in sorted(stored(), key=lambda t: t["budget"]):
        if t["seed"] not in seeds or t["kind"] not in (kinds or [t["kind"]]):
            continue
        for n in sorted({*(int(n) for n in t["reached"]), t["budget"]}):
            if t["method"] == "default" and n != t["budget"]:
                continue
            gap = t["reached"].get(str(n), t["gap"])
            found = groups[t["kind"], n].setdefault(t["method"], {})
            found[t["problem"], t["seed"]] = t | {"gap": gap}
    return groups


def worse_than_random(group: Group, method: str) -> float:
    """On how many problems a method is significantly worse than random search: Wilcoxon's
    signed-rank test over the seeds, corrected by Holm over the problems.
    """
    theirs, problems = group["random"], sorted({p for p, _ in group[method]})
    found = []
    for problem in problems:
        seeds = [k for k in group[method] if k[0] == problem and k in theirs]
        away = [group[method][k]["gap"] - theirs[k]["gap"] for k in seeds]
        found.append(float(wilcoxon(away, alternative="greater").pvalue) if any(away) else 1.0)
    return float(sum(p < 0.05 for p in holm(found)))


def summary(kind: str, trials: list[Trial], n: int) -> dict[str, float]:
    """What trials of one method reached after n evaluations."""
    gaps = np.array([t["gap"] for t in trials])
    if kind in SUITES:
        log = float(np.log10(np.maximum(gaps, 1e-8)).mean())
        share = float(np.mean([(gap <= TARGETS).mean() for gap in gaps]))
        values = {"mean log10 gap": log} if kind == "noisy" else {"share of targets": share}
    else:
        values = {
            "median regret": float(np.median(gaps)),
            "mean regret": float(np.minimum(gaps, 1.0).mean()),
            "nothing allowed": float((gaps >= WORST).mean()),
        }
        if n == trials[0]["budget"]:
            values["failed"] = float(np.mean([t["failed"] for t in trials]))
            values["most failed"] = float(max(t["failed"] for t in trials))
    values["ms an evaluation"] = 1e3 * float(np.mean([t["seconds"] / t["n"] for t in trials]))
    return values


UNITS = {"nothing allowed": "share", "share of targets": "share", "mean rank": "rank"}


def show(seeds: list[int], kinds: list[str], store: str) -> None:
    """Print, by kind (all where none is named), evaluations and method, over the (problem, seed)
    pairs that all its methods have; store: the name of the results, none are written where it is
    empty.
    """
    figures = []
    for (kind, n), group in sorted(grouped(seeds, kinds).items()):
        most = max(len(found) for found in group.values())
        whole = {m: found for m, found in group.items() if len(found) > 0.5 * most}
        common = sorted(set.intersection(*(set(found) for found in whole.values())))
        ranks = np.array([rankdata([whole[m][c]["gap"] for m in whole]) for c in common])
        for j, (m, found) in enumerate(whole.items()):
            values = {"mean rank": float(ranks[:, j].mean())}
            values |= summary(kind, [found[c] for c in common], n)
            many = len({seed for _, seed in common}) >= 10
            if kind in SUITES and many and "random" in whole and m != "random":
                values["worse than random search"] = worse_than_random(whole, m)
            line = ", ".join(f"{what} {value:.3f}" for what, value in values.items())
            print(f"{kind} at {n}, {len(common)} trials: {m}: {line}")
            note = f"{len(common)} (problem, seed), {len(whole)} methods"
            figures += [
                Figure(
                    f"{kind} at {n}: {m}, {what}",
                    value,
                    unit=UNITS.get(what, what.split()[-1]),
                    note=note,
                )
                for what, value in values.items()
            ]
    if store:
        write(store, figures, seeds=seeds)
        print(RESULTS / f"{store}.json")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "show"))
    parser.add_argument("kind", nargs="?", default="noisy", choices=(*SUITES, *KINDS))
    parser.add_argument("-s", default="0,1,2", help="seeds")
    parser.add_argument("-m", default="robust-bo,tpe,cobyqa,cma-es,random")
    parser.add_argument("-b", type=int, default=100, help="evaluations, in COCO's suites")
    parser.add_argument("-f", default="", help="functions of COCO's suites")
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--kinds", default="", help="of `show`: these only, by commas")
    parser.add_argument("--name", default="rough_default", help="of the stored results")
    args = parser.parse_args()
    seeds, functions = ([int(v) for v in a.split(",") if v] for a in (args.s, args.f))
    if args.what == "run":
        run(args.kind, seeds, args.m.split(","), functions, args.b)
    else:
        show(seeds, args.kinds.split(",") if args.kinds else [], args.name if args.store else "")


if __name__ == "__main__":
    main()
