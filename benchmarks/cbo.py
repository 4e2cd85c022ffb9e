"""Our CBO against `cbx` at the same parameters and the same number of evaluations, over the
functions of the paper's sheet.
"""

from __future__ import annotations

import contextlib
import io
import statistics

import cbx.dynamics
import numpy as np

from feasible.blackbox.cbo.cbo import CBO
from feasible.blackbox.cbo.minimize import cbo_minimize
from feasible.blackbox.instances.named import get

from .common import Figure, in_turns, ratio, write

PARTICLES, STEPS, SEEDS = 100, 300, 20
SETTINGS = {"dt": 0.1, "sigma": 1.265, "alpha": 1e3}
FUNCTIONS = [
    ("rastrigin-cbo", 4),
    ("rastrigin-cbo", 10),
    ("rastrigin-cbo", 20),
    ("ackley", 4),
    ("ackley", 10),
    ("ackley", 20),
]
TARGET = 0.25


def _function(name: str, d: int):
    problem = get(name, d=d, shift_seed=1000 + d)
    return problem, problem.fun


def _start(d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-3.0, 3.0, (PARTICLES, d))


def _ours(f, d: int, seed: int) -> float:
    found = cbo_minimize(
        f,
        x0=_start(d, seed),
        method=CBO.paper(n_particles=PARTICLES, **SETTINGS),
        max_evals=PARTICLES * STEPS,
        seed=seed,
    )
    return float(found.fun)


def _theirs(f, d: int, seed: int) -> float:
    np.random.seed(seed)
    # check_f_dims=False: its check would cost N evaluations more; f is shown (M, N, d) and gives
    # (M, N)
    dynamic = cbx.dynamics.CBO(
        lambda x: f(x.reshape(-1, d)).reshape(x.shape[:-1]),
        f_dim="3D",
        d=d,
        x=_start(d, seed)[None].copy(),
        N=PARTICLES,
        max_it=STEPS,
        lamda=1.0,
        noise="anisotropic",
        check_f_dims=False,
        verbosity=0,
        **SETTINGS,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        while dynamic.it < STEPS:
            dynamic.step()
    return float(np.min(dynamic.best_energy))


def run() -> list[Figure]:
    ratios: list[float] = []
    rows = []
    for name, d in FUNCTIONS:
        _, fun = _function(name, d)

        def f(x: np.ndarray, fun=fun) -> np.ndarray:
            raw = fun(x)
            return raw if not isinstance(raw, dict) else next(iter(raw.values()))

        mine, its = in_turns(
            lambda f=f, d=d: _ours(f, d, 0), lambda f=f, d=d: _theirs(f, d, 0), rounds=9
        )
        ratios.append(ratio(mine, its))
        ours = [_ours(f, d, s) for s in range(SEEDS)]
        theirs = [_theirs(f, d, s) for s in range(SEEDS)]
        rows.append(
            {
                "function": name,
                "d": d,
                "time_ratio": ratios[-1],
                "success_ours": float(np.mean(np.array(ours) < TARGET)),
                "success_cbx": float(np.mean(np.array(theirs) < TARGET)),
                "median_ours": statistics.median(ours),
                "median_cbx": statistics.median(theirs),
            }
        )
    lost = statistics.mean(r["success_cbx"] - r["success_ours"] for r in rows)
    figures = [
        Figure(
            "time over cbx, median of 6 functions (100 particles, 300 steps)",
            statistics.median(ratios),
            0.7,
        ),
        Figure("time over cbx, worst function", max(ratios), 0.7),
        Figure(
            f"success rate below that of cbx, mean of 6 functions x {SEEDS} seeds",
            lost,
            0.1,
            "share",
        ),
    ]
    write("cbo", figures, rows=rows, settings=SETTINGS)
    return figures
