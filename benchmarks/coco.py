"""COCO's suites bbob and bbob-constrained: the share of 51 targets, 10^2 to 10^-8 above the best
value, that a method reaches within 5, 10, 20, 50, 100 (and 200) evaluations for each input.

Peers are called directly, as their users would: SLSQP, COBYQA and L-BFGS-B from the middle of the
box, then from random points; CMA-ES (pycma, IPOP restarts) from the middle; differential evolution.
Ours go through `solve`. A point counts where no limit is missed by more than 1e-6.

    python -m benchmarks coco
    python -m benchmarks.coco run SUITE -d 2,5 -i 4,5 -m hybrid-sqp,slsqp -b 100
    python -m benchmarks.coco show -i 4,5

Each trial is one line of benchmarks/out/coco.jsonl, so that an interrupted run goes on where it
stopped; FEASIBLE_BENCH_COLLECT=1 publishes what is there, over the trials that all methods have;
a method without trials there keeps the figures of the last report. Instances 1 to 3 are for
reports, others for development.

References:
    N. Hansen et al., COCO: a platform for comparing continuous optimizers in a black-box setting,
    Optimization Methods and Software 36 (2021).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, Figure, stored as figures_of, write
from feasible.blackbox import BlackBox

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

OUT = Path(__file__).parent / "out" / "coco.jsonl"
TARGETS = 10.0 ** np.linspace(2, -8, 51)
BUDGETS = (5, 10, 20, 50, 100, 200)
"""Evaluations for each input at which the shares are shown."""
ALLOWED = 1e-6
FUNCTIONS = {"bbob": range(1, 25), "bbob-constrained": range(1, 55)}
REPORTED = (1, 2, 3)
"""Instances of reports."""
DIRECT = ("slsqp", "l-bfgs-b", "cma-es", "cobyqa")
"""Peers, each called directly."""
REPORT: tuple[tuple[str, int, tuple[int, ...], int, tuple[str, ...]], ...] = (
    ("bbob", 2, (1, 2, 3), 100, (*DIRECT, "hybrid-sqp")),
    ("bbob", 5, (1, 2, 3), 100, (*DIRECT, "hybrid-sqp")),
    ("bbob-constrained", 2, (1,), 50, ("slsqp", "cobyqa", "hybrid-sqp")),
    ("bbob-constrained", 5, (1,), 50, ("slsqp", "cobyqa", "hybrid-sqp")),
    ("bbob-constrained", 10, (1,), 50, ("slsqp", "cobyqa", "hybrid-sqp")),
    ("bbob", 10, (1, 2), 100, (*DIRECT[:3], "hybrid-sqp")),
    ("bbob", 20, (1,), 100, (*DIRECT[:3], "hybrid-sqp")),
    ("bbob", 2, (1, 2, 3), 200, (*DIRECT, "hybrid-sqp")),
    ("bbob", 5, (1, 2, 3), 200, (*DIRECT[:3], "hybrid-sqp")),
)
"""Suite, inputs, instances, evaluations for each input and methods of the report, what decides
first. A later row of the same suite and inputs runs its methods again, for longer.
"""
BARS = {
    ("bbob", 2): {20: 0.33, 50: 0.58, 100: 0.64},
    ("bbob", 5): {20: 0.24, 50: 0.45, 100: 0.58},
    ("bbob", 10): {20: 0.18, 50: 0.33, 100: 0.50},
    ("bbob", 20): {20: 0.15, 50: 0.25, 100: 0.46},
}
"""What hybrid-sqp should reach, by evaluations for each input."""
GRID = [round(float(b), 2) for b in np.geomspace(2, 200, 41)]
"""Evaluations for each input at which the runtime profiles are stored."""


class Used(BaseException):
    """The evaluations are used up. Not an Exception, since solvers swallow these."""


@dataclass
class Counted:
    """A problem of COCO, which counts and stops.

    Attributes:
        problem: COCO's own.
        best: Its best value.
        budget: Evaluations.
        n: Evaluations so far.
        hits: Evaluations at which each target was reached.
        memory: What each point gave: SLSQP asks for the points of its differences twice, for the
            objective and for the limits, and a user would keep them.
    """

    problem: Any
    best: float
    budget: int
    n: int = 0
    hits: list[int] = field(default_factory=list)
    memory: dict[bytes, tuple[float, np.ndarray]] = field(default_factory=dict)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Objective and limits (<= 0) at a point; a point is evaluated once."""
        x = np.array(x, dtype=float)
        if x.tobytes() in self.memory:
            return self.memory[x.tobytes()]
        if self.n >= self.budget:
            raise Used
        self.n += 1
        f = float(self.problem(x))
        m = self.problem.number_of_constraints
        g = np.array(self.problem.constraint(x)) if m else np.empty(0)
        if not m or g.max() <= ALLOWED:
            reached = int((f - self.best <= TARGETS).sum())
            self.hits += [self.n] * (reached - len(self.hits))
        self.memory[x.tobytes()] = f, g
        return f, g

    @property
    def low(self) -> np.ndarray:
        """Lower bounds."""
        return np.array(self.problem.lower_bounds)

    @property
    def high(self) -> np.ndarray:
        """Upper bounds."""
        return np.array(self.problem.upper_bounds)

    @property
    def m(self) -> int:
        """Number of limits."""
        return int(self.problem.number_of_constraints)


def by_library(name: str) -> Callable[[Counted, int], None]:
    """A method of ours, by name; "default" for the one that the room chooses."""

    def solve(fun: Counted, seed: int) -> None:
        import feasible

        method = None if name == "default" else name
        feasible.solve(posed(fun), method, budget=fun.budget, seed=seed, on_failure="skip")

    return solve


def posed(fun: Counted) -> BlackBox:
    """The problem as one of ours."""
    bounds = [*zip(fun.low.tolist(), fun.high.tolist(), strict=True)]
    limits = ["<= 0"] * fun.m or None
    target = fun if fun.m else (lambda x: fun(x)[0])
    return BlackBox(target, bounds=bounds, limits=limits, name="coco")


def starts(fun: Counted, seed: int) -> Iterator[np.ndarray]:
    """The middle of the box, then random points."""
    rng = np.random.default_rng(seed)
    yield (fun.low + fun.high) / 2
    while True:
        yield rng.uniform(fun.low, fun.high)


def by_scipy(method: str, **options: Any) -> Callable[[Counted, int], None]:
    """A local solver of SciPy, called directly and restarted."""

    def solve(fun: Counted, seed: int) -> None:
        from scipy.optimize import Bounds, NonlinearConstraint, minimize

        limits = NonlinearConstraint(lambda x: fun(x)[1], -np.inf, 0.0) if fun.m else ()
        for x0 in starts(fun, seed):
            minimize(
                lambda x: fun(x)[0],
                x0,
                method=method,
                bounds=Bounds(fun.low, fun.high),
                constraints=limits,
                options=options,
            )

    return solve


def by_cma(fun: Counted, seed: int) -> None:
    """pycma's own loop with its defaults, sigma a quarter of the box, IPOP restarts."""
    import cma

    options = {"bounds": [fun.low.tolist(), fun.high.tolist()], "seed": seed + 1, "verbose": -9}
    options |= {"verb_log": 0, "maxfevals": fun.budget}
    sigma = float((fun.high - fun.low).min()) / 4
    x0 = ((fun.low + fun.high) / 2).tolist()
    if fun.m:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # for its log
            cma.fmin_con2(lambda x: fun(x)[0], x0, sigma, lambda x: fun(x)[1], options=options)
    else:
        cma.fmin2(lambda x: fun(x)[0], x0, sigma, options, restarts=9, bipop=False)


def by_evolution(fun: Counted, seed: int) -> None:
    """SciPy's differential evolution with its defaults."""
    from scipy.optimize import Bounds, NonlinearConstraint, differential_evolution

    limits = NonlinearConstraint(lambda x: fun(x)[1], -np.inf, 0.0) if fun.m else ()
    for run in range(1000):
        differential_evolution(
            lambda x: fun(x)[0], Bounds(fun.low, fun.high), constraints=limits, rng=seed + run
        )


def by_random(fun: Counted, seed: int) -> None:
    """Uniform points."""
    rng = np.random.default_rng(seed)
    while True:
        fun(rng.uniform(fun.low, fun.high))


PEERS: dict[str, Callable[[Counted, int], None]] = {
    "slsqp": by_scipy("SLSQP", ftol=1e-12, maxiter=1000),
    "slsqp-defaults": by_scipy("SLSQP"),
    "cobyqa": by_scipy("COBYQA"),
    "l-bfgs-b": by_scipy("L-BFGS-B"),
    "cma-es": by_cma,
    "differential-evolution": by_evolution,
    "random": by_random,
}


def best_value(problem: Any) -> float:
    """The best value: COCO writes the best point to a file of the working directory."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            problem._best_parameter("print")
            return float(problem(np.loadtxt(next(Path(folder).iterdir()))))
        finally:
            os.chdir(here)


def counted(suite: str, function: int, d: int, instance: int, budget: int) -> Counted:
    """A problem of COCO with so many evaluations for each input."""
    import cocoex

    options = f"dimensions: {d} function_indices: {function} instance_indices: {instance}"
    problem = cocoex.Suite(suite, "", options)[0]
    return Counted(problem, best_value(problem), budget * d)


Trial = dict[str, Any]
"""A row of the file of trials."""


def trial(suite: str, function: int, d: int, instance: int, method: str, budget: int) -> Trial:
    """One run; its hits and what it took, in seconds of the processor."""
    fun = counted(suite, function, d, instance, budget)
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            (PEERS.get(method) or by_library(method))(fun, instance)
            error = ""
        except Used:
            error = ""
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
    return {
        "hits": fun.hits,
        "n": fun.n,
        "seconds": round(time.process_time() - begin, 3),
        "error": error[:200],
    }


KEYS = ("suite", "function", "d", "instance", "method")


def stored() -> list[Trial]:
    """All trials that are on disk."""
    if not OUT.exists():
        return []
    return [json.loads(line) for line in OUT.read_text().splitlines() if line]


def trials(
    suite: str, ds: list[int], instances: list[int], methods: list[str], budget: int, fs: list[int]
) -> None:
    """Run what is not on disk yet, function by function, so that a part is a fair part."""
    have = {tuple(t[k] for k in KEYS): t["budget"] for t in stored()}
    OUT.parent.mkdir(exist_ok=True)
    for instance in instances:
        for d in ds:
            for function in fs or FUNCTIONS[suite]:
                for method in methods:
                    key = suite, function, d, instance, method
                    if have.get(key, 0) >= budget:
                        continue
                    row = dict(zip(KEYS, key, strict=True)) | {"budget": budget}
                    row |= trial(suite, function, d, instance, method, budget)
                    with OUT.open("a") as out:
                        out.write(json.dumps(row) + "\n")


def share(trials: list[Trial], d: int, times: float) -> float:
    """Mean share of the targets reached within so many evaluations for each input."""
    return float(np.mean([sum(h <= times * d for h in t["hits"]) for t in trials]) / len(TARGETS))


@dataclass(frozen=True)
class Line:
    """What a method reached on a suite: trials on (function, instance) pairs that every method has,
    and milliseconds of the processor an evaluation.
    """

    suite: str
    d: int
    method: str
    trials: list[Trial]

    def shares(self, budgets: Sequence[float]) -> dict[float, float]:
        """Share of the targets by budget, up to the least budget of the trials."""
        most = min(t["budget"] for t in self.trials)
        return {b: share(self.trials, self.d, b) for b in budgets if b <= most}

    @property
    def ms(self) -> float:
        """Milliseconds of the processor an evaluation."""
        return 1e3 * sum(t["seconds"] for t in self.trials) / sum(t["n"] for t in self.trials)


def lines(
    instances: Sequence[int],
    fs: Sequence[int] = (),
    chosen: Mapping[tuple[str, int], Sequence[str]] | None = None,
) -> list[Line]:
    """What each method reached, see `Line`.

    Args:
        instances: Of the suites.
        fs: Functions; empty for all.
        chosen: Methods by suite and inputs; None for all that have at least 0.3 of the trials.
    """
    latest = {tuple(t[k] for k in KEYS): t for t in stored() if t["instance"] in instances}
    groups: dict[tuple[str, int], dict[str, dict[tuple[int, int], Trial]]] = {}
    for (suite, function, d, instance, method), t in latest.items():
        if not fs or function in fs:
            groups.setdefault((suite, d), {}).setdefault(method, {})[function, instance] = t
    found = []
    for (suite, d), methods in sorted(groups.items()):
        most = max(len(t) for t in methods.values())
        names = (chosen or {}).get((suite, d), ())
        whole = {
            m: t
            for m, t in methods.items()
            if m in names or (chosen is None and len(t) >= 0.3 * most)
        }
        if not whole:
            continue
        common = sorted(set.intersection(*(set(t) for t in whole.values())))
        found += [
            Line(suite, d, m, [t[key] for key in common])
            for m, t in sorted(whole.items())
            if common
        ]
    return found


def show(found: Sequence[Line]) -> None:
    """Print the shares."""
    print("suite d method trials", *BUDGETS, "ms")
    for line in found:
        shares = line.shares(BUDGETS)
        text = " ".join(f"{shares[b]:.3f}" if b in shares else "     " for b in BUDGETS)
        what = f"{line.suite:16} {line.d:2} {line.method:24} {len(line.trials):3}"
        print(what, text, f"{line.ms:7.2f}")


def against_the_best(found: Sequence[Line], mine: str, budget: int) -> Figure | None:
    """How much more of the targets a method reached than the best other one, with the 95 % interval
    of a paired bootstrap over functions and instances.
    """
    own = next((line for line in found if line.method == mine), None)
    rest = [line for line in found if line.method != mine and budget in line.shares([budget])]
    if own is None or not rest or budget not in own.shares([budget]):
        return None
    peer = max(rest, key=lambda line: line.shares([budget])[budget])

    def reached(line: Line) -> np.ndarray:
        return np.array([share([t], line.d, budget) for t in line.trials])

    gaps = reached(own) - reached(peer)
    rng = np.random.default_rng(0)
    means = gaps[rng.integers(len(gaps), size=(10_000, len(gaps)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    what = f"{own.suite}, d = {own.d}, {budget} d evaluations: {mine} minus {peer.method}"
    return Figure(what, round(float(gaps.mean()), 4), unit="share", note=f"{low:.3f} to {high:.3f}")


def published(lacking: Callable[[str, int, str], bool]) -> tuple[list[Figure], list[Any]]:
    """Figures and curves of the last report of those methods that lack trials here, so that a
    report may be run in parts.
    """
    file = RESULTS / "coco.json"
    curves = json.loads(file.read_text())["curves"] if file.exists() else []
    figures = []
    for figure in figures_of("coco"):
        found = re.fullmatch(r"(.+), d = (\d+), \d+ d evaluations: (.+)", figure.what)
        if found and lacking(found[1], int(found[2]), found[3].split(" minus ")[0]):
            figures.append(figure)
    return figures, [c for c in curves if lacking(c["suite"], c["d"], c["method"])]


def against_published(figure: Figure, own: float, old: Sequence[Figure]) -> Figure:
    """The same gap, to a peer of the last report where that reached more than those of this one."""
    head = figure.what.split(": ")[0]
    peers = [f for f in old if f.what.split(": ")[0] == head and " minus " not in f.what]
    best = max(peers, key=lambda f: f.value, default=None)
    if best is None or best.value <= own - figure.value:
        return figure
    what = figure.what.split(" minus ")[0] + " minus " + best.what.split(": ")[1]
    return Figure(what, round(own - best.value, 4), unit="share", note="means of two reports")


def run() -> list[Figure]:
    """Run what the report lacks, unless it is only to be collected, and store it."""
    if not os.environ.get("FEASIBLE_BENCH_COLLECT"):
        for suite, d, instances, budget, methods in REPORT:
            trials(suite, [d], list(instances), list(methods), budget, [])
    chosen = {(suite, d): methods for suite, d, _, _, methods in reversed(REPORT)}
    reported = lines(REPORTED, chosen=chosen)
    have = {(line.suite, line.d, line.method) for line in reported}
    old, curves = published(lambda *key: key not in have)
    figures: list[Figure] = []
    for suite, d in chosen:
        here = [line for line in reported if (line.suite, line.d) == (suite, d)]
        for b in BUDGETS:
            gap = against_the_best(here, "hybrid-sqp", b)
            if gap is not None:
                own = next(line for line in here if line.method == "hybrid-sqp").shares([b])[b]
                figures.append(against_published(gap, own, old))
    for line in reported:
        bars = BARS.get((line.suite, line.d), {}) if line.method == "hybrid-sqp" else {}
        for b, reached in line.shares(BUDGETS).items():
            what = f"{line.suite}, d = {line.d}, {b} d evaluations: {line.method}"
            bar, note = bars.get(int(b)), f"{len(line.trials)} trials"
            unit = "share" if bar is None else "at least (share)"
            figures.append(Figure(what, round(reached, 4), bar, unit, note))
        curve = {str(b): round(v, 4) for b, v in line.shares(GRID).items()}
        curves.append({"suite": line.suite, "d": line.d, "method": line.method, "shares": curve})
    figures += old
    curves.sort(key=lambda c: (c["suite"], c["d"], c["method"]))
    write("coco", figures, curves=curves)
    return figures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "show"))
    parser.add_argument("suite", nargs="?", default="bbob", choices=tuple(FUNCTIONS))
    parser.add_argument("-d", default="2,5")
    parser.add_argument("-i", default="1,2,3")
    parser.add_argument("-m", default="hybrid-sqp,slsqp,cobyqa,l-bfgs-b,cma-es")
    parser.add_argument("-f", default="")
    parser.add_argument("-b", type=int, default=100)
    args = parser.parse_args()
    ds, instances, fs = ([int(v) for v in a.split(",") if v] for a in (args.d, args.i, args.f))
    if args.what == "run":
        trials(args.suite, ds, instances, re.split(r",(?![^\[]*\])", args.m), args.b, fs)
    else:
        show(lines(instances, fs))


if __name__ == "__main__":
    main()
