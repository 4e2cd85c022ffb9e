"""Optimiser, peak rate and schedule with nothing tuned, on six small problems at 100, 300 and 1,000
steps: rank of the held-out loss.

The race behind the training room's default recipe. FEASIBLE_BENCH_FIRST_SEED=100 runs the
development seeds.
"""

from __future__ import annotations

import os

import numpy as np
from scipy.stats import rankdata

from feasible.core.registry import load_problem
from feasible.training import Recipe, train_many

from .common import Figure, write

PROBLEMS = (
    "digits-mlp",
    "digits-autoencoder",
    "breast-cancer-mlp",
    "diabetes-mlp",
    "moons-mlp",
    "classification-mlp",
)
STEPS, FIRST, SEEDS = (100, 300, 1000), int(os.environ.get("FEASIBLE_BENCH_FIRST_SEED", "0")), 5
SCHEDULES = (
    "constant",
    "linear",
    "rex",
    "torch-cosine",
    "uba[phi=0.5]",
    "uba[phi=5]",
    "torch-step",
    "torch-onecycle",
)
RATES = {"sgd": (0.01, 0.03, 0.1, 0.3), "adamw": (1e-3, 3e-3, 1e-2, 3e-2)}


def run() -> list[Figure]:
    recipes = [[Recipe(o, s, lr) for s in SCHEDULES for lr in rates] for o, rates in RATES.items()]
    names = [f"{r.optimizer}, {r.schedule}, {r.lr:g}" for group in recipes for r in group]
    losses = []
    for name in PROBLEMS:
        problem = load_problem(name)
        for steps in STEPS:
            found = [
                train_many(problem, group, range(FIRST, FIRST + SEEDS), steps).loss
                for group in recipes
            ]
            losses.append(np.nan_to_num(np.concatenate(found), nan=np.inf))
    cells = np.array(losses)  # (cells, recipes, seeds)
    ranks = rankdata(cells, axis=1).mean((0, 2))
    beside = cells / cells.min(1, keepdims=True)  # the best of all, tuned on this seed, is 1
    order = np.argsort(ranks)
    figures = [
        Figure(
            f"{names[i]}: average rank of {len(names)}",
            float(ranks[i]),
            None,
            "rank",
            f"median loss over the best recipe's: {np.median(beside[:, i]):.2f}, 90 %: "
            f"{np.quantile(beside[:, i], 0.9):.2f}",
        )
        for i in order[:16]
    ]
    for optimizer in RATES:
        for schedule in SCHEDULES:
            mine = [i for i, n in enumerate(names) if n.startswith(f"{optimizer}, {schedule},")]
            best = min(mine, key=lambda i: ranks[i])
            figures.append(
                Figure(
                    f"{optimizer} with {schedule} at its best rate {names[best].rsplit(', ')[-1]}",
                    float(ranks[best]),
                    None,
                    "rank",
                )
            )
    write(
        "recipes" if FIRST < 100 else "recipes-development",
        figures,
        seeds=list(range(FIRST, FIRST + SEEDS)),
    )
    return figures
