"""robust-bo and relay beside peers, on problems with noise, mixed inputs, yes/no limits, failures.

bbob-noisy and bbob-mixint of COCO, five inputs, 100 evaluations; and the problems of
`rough_problems`. Peers are called directly, as their users would: Optuna's TPE (constraints by its
constraints_func, failed trials as failed), COBYQA and pycma from the middle of the box, restarted.

Under noise an answer is what a method would report: ours by the model's mean, pycma's favourite,
COBYQA's last point, the best value of the others; its gap is the median of 301 values there, less
the best value. Of problems without noise the best allowed point counts.

    python -m benchmarks.rough_default run noisy -s 1 -m robust-bo,tpe
    python -m benchmarks.rough_default show --store

Each trial is one line of benchmarks/out/rough_default.jsonl, so that an interrupted run goes on
where it stopped. Instances 1 to 3 and seeds 0 to 9 are for reports, others for development.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.coco import best_value
from benchmarks.common import RESULTS, Figure, write
from benchmarks.rough_problems import KINDS, Rough

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

OUT = Path(__file__).parent / "out" / "rough_default.jsonl"
SUITES = {"noisy": "bbob-noisy", "mixint": "bbob-mixint"}
FUNCTIONS = {"noisy": range(101, 131), "mixint": range(1, 25)}
TARGETS = 10.0 ** np.linspace(2, -8, 51)
WORST = 10.0
"""Regret that counts where nothing allowed was found."""


class Used(BaseException):
    """The evaluations are used up. Not an Exception, since solvers swallow these."""


@dataclass
class Task:
    """A problem that counts and stops.

    Attributes:
        kinds: "r", "i" or "c" for each input.
        low: (d,) lower bounds.
        high: (d,) upper bounds.
        call: Point -> objective, limits, yes/no answers, whether it succeeded.
        gap: Point -> what it truly is above the best value; infinite where it is not allowed.
        limits: Number of limits with values.
        answers: Number of yes/no limits.
        noisy: Whether there is noise.
        budget: Evaluations.
        told: Descriptors of categories, by place.
        rows: Points and outcomes so far.
    """

    kinds: str
    low: np.ndarray
    high: np.ndarray
    call: Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray, bool]]
    gap: Callable[[np.ndarray], float]
    limits: int
    answers: int
    noisy: bool
    budget: int
    told: dict[int, np.ndarray] = field(default_factory=dict)
    rows: list[tuple[np.ndarray, float, np.ndarray, np.ndarray, bool]] = field(default_factory=list)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, bool]:
        """Evaluate a point."""
        if len(self.rows) >= self.budget:
            raise Used
        x = np.clip(np.array(x, dtype=float), self.low, self.high)
        x = np.where([k == "r" for k in self.kinds], x, np.rint(x))
        out = self.call(x)
        self.rows.append((x, *out))
        return out

    def luckiest(self) -> np.ndarray:
        """The allowed point of least value."""
        good = [r for r in self.rows if r[4] and (r[2] <= 0).all() and (r[3] > 0.5).all()]
        return min(good, key=lambda r: r[1])[0] if good else self.rows[0][0]


def by_library(name: str) -> Callable[[Task, int], np.ndarray]:
    """A method of ours, by name; behind "+" it is given the descriptors too."""
    name, described = name.removesuffix("+"), name.endswith("+")

    def solve(task: Task, seed: int) -> np.ndarray:
        import feasible
        from feasible.blackbox import BlackBox, Categorical, Integer, Real

        def fun(m: dict[str, Any]) -> dict[str, float]:
            x = [float(v[1:]) if isinstance(v, str) else v for v in m.values()]
            f, g, yes, works = task(np.array(x, dtype=float))
            if not works:
                raise RuntimeError("the experiment failed")
            out = {"f": f} | {f"g{j}": float(v) for j, v in enumerate(g)}
            return out | {f"y{j}": bool(v > 0.5) for j, v in enumerate(yes)}

        make = {
            "r": lambda n, lo, hi: Real(n, lo, hi),
            "i": lambda n, lo, hi: Integer(n, int(lo), int(hi)),
            "c": lambda n, lo, hi: Categorical(
                n, [f"c{i}" for i in range(int(hi) + 1)], descriptors=told.get(n)
            ),
        }
        told = {
            f"x{j}": {f"q{i}": column.tolist() for i, column in enumerate(table.T)}
            for j, table in (task.told.items() if described else ())
        }
        problem = BlackBox(
            fun,
            [make[k](f"x{j}", task.low[j], task.high[j]) for j, k in enumerate(task.kinds)],
            objective="f",
            limits={f"g{j}": "<= 0" for j in range(task.limits)}
            | {f"y{j}": "is true" for j in range(task.answers)},
            noise=task.noisy,
            pass_as="mapping",
        )
        found = feasible.solve(problem, name, budget=task.budget, seed=seed, on_failure="skip")
        return np.array(found.answer.x)

    return solve


def by_tpe(task: Task, seed: int) -> np.ndarray:
    """Optuna's TPE with its defaults."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(
        seed=seed, constraints_func=lambda trial: trial.user_attrs.get("g", ())
    )
    study = optuna.create_study(sampler=sampler)

    def objective(trial: Any) -> float:
        x = [
            trial.suggest_float(f"x{j}", task.low[j], task.high[j])
            if k == "r"
            else trial.suggest_int(f"x{j}", int(task.low[j]), int(task.high[j]))
            if k == "i"
            else trial.suggest_categorical(f"x{j}", list(range(int(task.high[j]) + 1)))
            for j, k in enumerate(task.kinds)
        ]
        f, g, yes, works = task(np.array(x, dtype=float))
        if not works:
            raise RuntimeError("the experiment failed")
        trial.set_user_attr("g", [*g.tolist(), *(0.5 - yes).tolist()])
        return f

    study.optimize(objective, n_trials=task.budget, catch=(RuntimeError,))
    return task.luckiest()


def penalised(task: Task) -> Callable[[np.ndarray], float]:
    """The objective for solvers without limits of their own: a failed or forbidden point is worth
    the worst value so far.
    """

    def value(x: np.ndarray) -> float:
        f, g, yes, works = task(x)
        if works and (g <= 0).all() and (yes > 0.5).all():
            return f
        return max((r[1] for r in task.rows if r[4]), default=1e3)

    return value


def by_cobyqa(task: Task, seed: int) -> np.ndarray:
    """SciPy's COBYQA from the middle of the box, then from random points."""
    from scipy.optimize import Bounds, NonlinearConstraint, minimize

    rng, x = np.random.default_rng(seed), (task.low + task.high) / 2
    value = penalised(task) if task.answers or not task.limits else lambda x: task(x)[0]
    limits = (
        NonlinearConstraint(lambda x: task.rows[-1][2], -np.inf, 0.0)
        if task.limits and not task.answers
        else ()
    )
    try:
        while True:
            found = minimize(
                value, x, method="COBYQA", bounds=Bounds(task.low, task.high), constraints=limits
            )
            x, last = rng.uniform(task.low, task.high), found.x
    except Used:
        pass
    first = len(task.rows) < task.budget or "last" not in locals()
    return task.luckiest() if first or not task.noisy else np.array(last)


def by_cma(task: Task, seed: int) -> np.ndarray:
    """pycma with sigma a quarter of the box, whole numbers by its integer_variables."""
    import cma

    span = task.high - task.low
    options = {"bounds": [[0] * len(span), [1] * len(span)], "seed": seed + 1, "verbose": -9}
    options |= {"verb_log": 0, "integer_variables": []}
    value = penalised(task)
    search = cma.CMAEvolutionStrategy([0.5] * len(span), 0.25, options)
    try:
        while True:
            points = search.ask()
            search.tell(points, [value(task.low + span * p) for p in points])
            if search.stop():
                options["seed"] += 1
                search = cma.CMAEvolutionStrategy([0.5] * len(span), 0.25, options)
    except Used:
        pass
    return task.low + span * search.result.xfavorite if task.noisy else task.luckiest()


def by_random(task: Task, seed: int) -> np.ndarray:
    """Uniform points."""
    rng = np.random.default_rng(seed)
    whole = np.array([k != "r" for k in task.kinds])
    for _ in range(task.budget):
        u = rng.random(len(task.kinds))
        levels = np.floor(task.low + u * (task.high - task.low + 1))
        task(np.where(whole, levels, task.low + u * (task.high - task.low)))
    return task.luckiest()


PEERS: dict[str, Callable[[Task, int], np.ndarray]] = {
    "tpe": by_tpe,
    "cobyqa": by_cobyqa,
    "cma-es": by_cma,
    "random": by_random,
}


def of_coco(kind: str, function: int, instance: int) -> Task:
    """A function of COCO with five inputs."""
    import cocoex

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
    return Task(kinds, low, high, call, gap, 0, 0, noisy, 100)


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
    return Task(p.kinds, p.low, p.high, call, gap, p.limits, p.answers, p.noisy, p.budget, p.told)


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
    reached = task.gap(answer) if task.noisy else min(gaps)
    return {
        "gap": reached,
        "half": min(gaps[: len(gaps) // 2]) if gaps else None,
        "failed": sum(not r[4] for r in task.rows),
        "n": len(task.rows),
        "seconds": round(seconds, 3),
        "error": error,
    }


KEYS = ("kind", "problem", "seed", "method")


def stored() -> list[Trial]:
    """All trials that are on disk."""
    return [json.loads(row) for row in OUT.read_text().splitlines()] if OUT.exists() else []


def run(kind: str, seeds: list[int], methods: list[str], functions: list[int]) -> None:
    """Run what is not on disk yet, problem by problem, so that a part is a fair part."""
    have = {tuple(t[k] for k in KEYS) for t in stored()}
    OUT.parent.mkdir(exist_ok=True)
    problems: list[Any] = functions or [*FUNCTIONS[kind]] if kind in SUITES else list(KINDS[kind])
    for seed in seeds:
        for problem in problems:
            name = f"f{problem}" if kind in SUITES else problem(seed).name
            for method in methods:
                key = kind, name, seed, method
                if key in have:
                    continue
                task = of_coco(kind, problem, seed) if kind in SUITES else of_ours(problem(seed))
                row = dict(zip(KEYS, key, strict=True)) | measure(task, method, seed)
                with OUT.open("a") as out:
                    out.write(json.dumps(row) + "\n")


def show(seeds: list[int], kinds: list[str], store: str) -> None:
    """Print, by kind (all where none is named) and method, over the (problem, seed) pairs that all
    its methods have; store: the name of the results, none are written where it is empty.
    """
    groups: dict[str, dict[str, dict[tuple[str, int], Trial]]] = defaultdict(dict)
    for t in stored():
        if t["seed"] in seeds and t["kind"] in (kinds or [t["kind"]]):
            groups[t["kind"]].setdefault(t["method"], {})[t["problem"], t["seed"]] = t
    figures = []
    for kind, methods in groups.items():
        most = max(len(found) for found in methods.values())
        whole = {m: found for m, found in methods.items() if len(found) > 0.5 * most}
        common = sorted(set.intersection(*(set(found) for found in whole.values())))
        gaps = {m: np.array([whole[m][c]["gap"] for c in common]) for m in whole}
        ranks = np.array([rankdata([gaps[m][i] for m in whole]) for i in range(len(common))])
        for j, (m, found) in enumerate(whole.items()):
            trials = [found[c] for c in common]
            values = {"mean rank": float(ranks[:, j].mean())}
            if kind == "noisy":
                values["mean log10 gap"] = float(np.log10(np.maximum(gaps[m], 1e-8)).mean())
            elif kind == "mixint":
                for what in ("half", "gap"):
                    reached = [(t[what] <= TARGETS).mean() for t in trials]
                    name = f"share of targets at {50 if what == 'half' else 100}"
                    values[name] = float(np.mean(reached))
            else:
                values["median regret"] = float(np.median(gaps[m]))
                values["mean regret"] = float(np.minimum(gaps[m], 1.0).mean())
                values["failed"] = float(np.mean([t["failed"] for t in trials]))
                values["most failed"] = float(max(t["failed"] for t in trials))
            values["ms an evaluation"] = 1e3 * float(
                np.mean([t["seconds"] / t["n"] for t in trials])
            )
            line = ", ".join(f"{what} {value:.3f}" for what, value in values.items())
            print(f"{kind}, {len(common)} trials: {m}: {line}")
            for what, value in values.items():
                unit = what.split()[-1] if what != "mean rank" else "rank"
                note = f"{len(common)} (problem, seed)"
                figures.append(Figure(f"{kind}: {m}, {what}", value, unit=unit, note=note))
    if store:
        write(store, figures, seeds=seeds)
        print(RESULTS / f"{store}.json")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "show"))
    parser.add_argument("kind", nargs="?", default="noisy", choices=(*SUITES, *KINDS))
    parser.add_argument("-s", default="0,1,2", help="seeds; of COCO's suites instances")
    parser.add_argument("-m", default="robust-bo,tpe,cobyqa,cma-es,random")
    parser.add_argument("-f", default="", help="functions of COCO's suites")
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--kinds", default="", help="of `show`: these only, by commas")
    parser.add_argument("--name", default="rough_default", help="of the stored results")
    args = parser.parse_args()
    seeds, functions = ([int(v) for v in a.split(",") if v] for a in (args.s, args.f))
    if args.what == "run":
        run(args.kind, seeds, args.m.split(","), functions)
    else:
        show(seeds, args.kinds.split(",") if args.kinds else [], args.name if args.store else "")


if __name__ == "__main__":
    main()
