"""Real experiments: the nine tables of the package olymp, emulated (with and without noise) and as
menus: the regret after 30 and 60 evaluations, as a share of (median of random points - best).

    pip download olymp==0.0.1b0 --no-deps && python -m benchmarks.experiments tables olymp*.whl
    python -m benchmarks.experiments run -p alkox,suzuki-noisy -m default,optuna-tpe -s 100,101
    python -m benchmarks.experiments show --store

`default` is what is chosen where results are told, as those of experiments are; `relay` is what a
function of real inputs gets.

`tables` writes the instances' data and fits their emulators. Trials are lines of
benchmarks/out/experiments.jsonl, so that an interrupted run goes on. Seeds 0 to 19 are for reports,
100 and up for development.

References:
    F. Häse et al., Olympus: a benchmarking framework for noisy optimization and experiment
    planning, Machine Learning: Science and Technology 2 (2021) 035021.
"""

from __future__ import annotations

import argparse
import copy
import csv
import io
import json
import os
import time
import warnings
import zipfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.common import Figure, write
from feasible.blackbox.default import choose
from feasible.blackbox.instances import olymp
from feasible.core.budget import Budget
from feasible.core.registry import load_method

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

OUT = Path(__file__).parent / "out" / "experiments.jsonl"
BUDGETS = (30, 60)
FITTED = 300
"""Rows, at most, on which the lengths are fitted; the emulator learns from all."""


def tables(wheel: str) -> None:
    """Write each table as a CSV file, the licence, and the fitted models."""
    olymp.FOLDER.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as packed:
        licence = next(n for n in packed.namelist() if n.endswith("dist-info/LICENSE"))
        (olymp.FOLDER / "LICENSE").write_bytes(packed.read(licence))
        for name, published in olymp.TABLES.items():
            folder = "colors_bob" if name == "colors" else name.replace("-", "_")
            text = packed.read(f"olympus/datasets/dataset_{folder}/data.csv").decode()
            rows = np.array(
                [[float(v) for v in row] for row in csv.reader(io.StringIO(text)) if row]
            )
            if name == "colors":
                rows[:, :-1] /= rows[:, :-1].sum(axis=1, keepdims=True)
            heads = ",".join([*(v[0] for v in published.inputs), published.result])
            lines = [",".join(f"{v:.6g}" for v in row) for row in rows.tolist()]
            (olymp.FOLDER / f"{name}.csv").write_text("\n".join([heads, *lines]) + "\n")
    olymp.rows.cache_clear()
    found = {name: fit(name) for name in olymp.TABLES}
    (olymp.FOLDER / "models.json").write_text(json.dumps(found, indent=1) + "\n")


def fit(name: str) -> dict[str, Any]:
    """Lengths and noise by marginal likelihood, and the emulator's optimum by many starts."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    x, y = olymp.rows(name)
    bounds = np.array([v[1:3] for v in olymp.TABLES[name].inputs])
    low, width = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
    chosen = np.random.default_rng(0).permutation(len(x))[:FITTED]
    units = (x - low) / width
    # what happens between two levels of an input no row tells: no length is below half their gap
    least = [max(0.05, 0.5 * float(np.diff(np.unique(u)).max())) for u in units.T]
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(
        np.full(len(low), 0.5), [(length, 10.0) for length in least], nu=2.5
    ) + WhiteKernel(1e-2, (1e-5, 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianProcessRegressor(kernel, random_state=0, n_restarts_optimizer=1)
        model.fit(units[chosen], (y[chosen] - y.mean()) / y.std())
    signal, noise = model.kernel_.k1.k1.constant_value, model.kernel_.k2.noise_level
    found: dict[str, Any] = {
        "lengths": [round(float(v), 4) for v in model.kernel_.k1.k2.length_scale],
        "noise": float(f"{max(noise / signal, 1e-6):.4g}"),
    }
    found["best"] = optimum(name, olymp.Emulator(name, found))
    print(name, found, flush=True)
    return found


def optimum(name: str, emulator: olymp.Emulator) -> dict[str, Any]:
    """The best of SLSQP's ends from the best rows and random points."""
    from scipy.optimize import Bounds, LinearConstraint, minimize

    published, rng = olymp.TABLES[name], np.random.default_rng(0)
    d, sign = len(published.inputs), -1.0 if published.maximize else 1.0
    draws = rng.dirichlet(np.ones(d), 4000) if published.mixture else rng.random((4000, d))
    units = np.concatenate([draws, emulator.x])
    values = sign * emulator(emulator.low + emulator.width * units)
    limits = [LinearConstraint(np.ones(d), 1, 1)] if published.mixture else []
    best, value = units[values.argmin()], float(values.min())
    for start in units[np.argsort(values)[:: max(1, len(values) // 2000)][:30]]:
        end = minimize(
            lambda u: sign * float(emulator(emulator.low + emulator.width * u[None])[0]),
            start,
            method="SLSQP",
            bounds=Bounds(np.zeros(d), np.ones(d)),
            constraints=limits,
            options={"ftol": 1e-12, "maxiter": 200},
        )
        u = np.clip(end.x, 0.0, 1.0)
        u = u / u.sum() if published.mixture else u
        f = sign * float(emulator(emulator.low + emulator.width * u[None])[0])
        if f < value:
            best, value = u, f
    x = emulator.low + emulator.width * best
    return {"x": x.tolist(), "result": float(emulator(x[None])[0])}


def regret(problem: Any, value: float, middle: float) -> float:
    """Regret of an objective, as a share of (median of random points - best)."""
    return float((value - problem.best_known) / (middle - problem.best_known))


def middle_of(problem: Any) -> float:
    """The median objective of 2,000 random points."""
    from feasible.blackbox.sampling import draw

    x = draw(problem, np.random.default_rng(0), 2000)
    if problem.space.menu is not None:
        x = problem.space.menu.x
    return float(np.median(problem.minimised(problem.fun(x))))


def stored() -> list[dict[str, Any]]:
    """All trials that are on disk."""
    return [json.loads(line) for line in OUT.read_text().splitlines()] if OUT.exists() else []


def reached(
    problem: Any, method: str, seed: int, middle: float, upto: int = max(BUDGETS)
) -> dict[int, float]:
    """The regret after each of `BUDGETS`, up to one of them. Of one run the first rows tell what a
    shorter one would have answered, unless its method answers by a model where there is noise.
    """
    import feasible

    last = min(upto, most(problem))
    name = choose(copied(problem), Budget(evaluations=last))[0] if method == "default" else method
    result = feasible.solve(problem, name, budget=last, seed=seed)
    regrets = {upto: regret(problem, result.verdict.objective, middle)}
    seen = result.ledger.all()
    for budget in (b for b in BUDGETS if b < upto):
        n = min(budget, last)
        if problem.noise and load_method(result.method).recommends:
            shorter = feasible.solve(problem, name, budget=n, seed=seed)
            regrets[budget] = regret(problem, shorter.verdict.objective, middle)
        else:
            at = int(np.argmin(seen.objective[:n]))
            truth = problem.minimised(problem.fun(seen.x[at : at + 1]))
            regrets[budget] = regret(problem, float(truth[0]), middle)
    return regrets


def copied(problem: Any) -> Any:
    """The problem as somebody poses it who makes the experiments: results are told, there is no
    function.
    """
    told = copy.copy(problem)
    told.fun = None
    return told


def trials(
    problems: list[str], methods: list[str], seeds: list[int], upto: int = max(BUDGETS)
) -> None:
    """Run what is not on disk yet, seed by seed, so that a part is a fair part; upto: the largest
    of `BUDGETS`, for peers that take a second a proposal.
    """
    have = {(t["problem"], t["method"], t["seed"]) for t in stored()}
    OUT.parent.mkdir(exist_ok=True)
    loaded = {name: olymp.experiment(*olymp.EXPERIMENTS[name]) for name in problems}
    middles = {name: middle_of(problem) for name, problem in loaded.items()}
    for seed, (name, problem), method in product(seeds, loaded.items(), methods):
        if (name, method, seed) in have:
            continue
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regrets = reached(problem, method, seed, middles[name], upto)
        row = {
            "problem": name,
            "method": method,
            "seed": seed,
            "regrets": regrets,
            "seconds": round(time.process_time() - begin, 3),
        }
        with OUT.open("a") as out:
            out.write(json.dumps(row) + "\n")


def most(problem: Any) -> int:
    """Evaluations that a problem has, at most."""
    return len(problem.space.menu) if problem.space.menu is not None else max(BUDGETS)


def show(seeds: list[int], methods: list[str], store: str) -> None:
    """Print, by form (emulator, noisy, table) and evaluations, each method's mean rank over the
    (problem, seed) pairs that all of these methods have, its median regret by problem, and how many
    problems random search has a smaller median on; store: the name of the results, none are
    written where it is empty.
    """
    found = {
        (t["problem"], t["seed"], t["method"]): t
        for t in stored()
        if t["seed"] in seeds and t["method"] in methods
    }
    figures = []
    for form, budget in product(olymp.FORMS, BUDGETS):
        names = [n for n, (_, kind) in olymp.EXPERIMENTS.items() if kind == form]
        pairs = [
            (n, s)
            for n in names
            for s in seeds
            if all(str(budget) in found.get((n, s, m), {}).get("regrets", {}) for m in methods)
        ]
        if not pairs:
            continue
        table = np.array(
            [[found[n, s, m]["regrets"][str(budget)] for m in methods] for n, s in pairs]
        )
        ranks = np.array([rankdata(np.round(row, 9)) for row in table])
        medians = {
            n: np.median(table[[i for i, pair in enumerate(pairs) if pair[0] == n]], axis=0)
            for n in dict.fromkeys(n for n, _ in pairs)
        }
        base = methods.index("random-search") if "random-search" in methods else None
        for j in np.argsort(ranks.mean(axis=0), kind="stable").tolist():
            m, what = methods[j], f"{form} at {budget}, {len(pairs)} (problem, seed)"
            note = ", ".join(f"{n.removesuffix(f'-{form}')} {v[j]:.3f}" for n, v in medians.items())
            worse = "" if base is None else sum(v[base] < v[j] for v in medians.values())
            rank, mean = float(ranks[:, j].mean()), float(np.minimum(table[:, j], 1).mean())
            print(f"{what}: {m:16} rank {rank:.2f}, mean regret {mean:.3f}, worse {worse}: {note}")
            figures.append(
                Figure(
                    f"{what}: {m}, mean rank of {len(methods)}",
                    rank,
                    unit="rank",
                    note=f"median regret {note}",
                )
            )
            figures.append(Figure(f"{what}: {m}, mean regret", mean, unit="regret"))
            if base is not None and j != base:
                more = f"{what}: {m}, problems on which random search has the smaller median"
                figures.append(Figure(more, float(worse), unit="problems"))
    if store:
        write(store, figures, seeds=seeds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("tables", "run", "show"))
    parser.add_argument("wheel", nargs="?")
    parser.add_argument("-p", default=",".join(olymp.EXPERIMENTS))
    parser.add_argument("-m", default="default,optuna-tpe,random-search")
    parser.add_argument("-s", default="100,101,102")
    parser.add_argument("-b", type=int, default=max(BUDGETS), choices=BUDGETS)
    parser.add_argument("--store", default="", help="of `show`: the name of the results")
    given = parser.parse_args()
    seeds, methods = [int(s) for s in given.s.split(",")], given.m.split(",")
    if given.what == "tables":
        tables(given.wheel)
    elif given.what == "run":
        trials(given.p.split(","), methods, seeds, given.b)
    else:
        show(seeds, methods, given.store)


if __name__ == "__main__":
    main()
