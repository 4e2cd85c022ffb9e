"""AutoLRS against the best of nine constant rates on logistic regressions whose features differ in
scale by up to a hundred: the ratio of held-out losses after 1,500 steps of training.

Ten problems, each with a seed of its own; losses that the search goes by are held-out ones or those
of training, forecast by the exponential or taken as they last were. FEASIBLE_BENCH_FIRST_SEED=100
runs the development seeds.
"""

from __future__ import annotations

import os

import numpy as np

from feasible.training import AutoLRSRecipe, Recipe, TrainingProblem, train_many

from .common import Figure, write

FIRST, SEEDS = int(os.environ.get("FEASIBLE_BENCH_FIRST_SEED", "0")), 10
LOW, HIGH, RATES, STEPS = 1e-4, 1.0, 9, 1500
WAYS = {"held-out": {}, "training": {"val_from": 0}}


def scaled_logistic(seed: int, rows: int = 1200, features: int = 20) -> TrainingProblem:
    """Labels drawn by a logistic model of N(0, I) features, which are then scaled by 10^U(-1, 1);
    two thirds of the rows to train, batches of 64.
    """
    from torch import nn

    rng = np.random.default_rng([seed, 7])
    x, w = rng.normal(size=(rows, features)), rng.normal(size=features)
    y = (rng.random(rows) < 1 / (1 + np.exp(-4 * x @ w / features**0.5))).astype(int)
    x = (x * 10 ** rng.uniform(-1, 1, features)).astype(np.float32)
    first = rows * 2 // 3
    return TrainingProblem(
        lambda: nn.Linear(features, 2),
        (x[:first], y[:first]),
        (x[first:], y[first:]),
        batch_size=64,
        steps=STEPS,
        name="scaled-logistic",
    )


def tuned(problem: TrainingProblem, seed: int, forecast: str, **way: int) -> float:
    """Held-out loss at the end of training by AutoLRS."""
    method = AutoLRSRecipe(
        lr_min=LOW, lr_max=HIGH, train_steps=STEPS, forecast=forecast, optimizer="sgd", **way
    )
    state = method.init(problem, np.random.default_rng([seed]))
    while method.done(problem, state) is None:
        state = method.step(problem, state)
    return float(problem.judge(method.answer(problem, state)).objective)


def run() -> list[Figure]:
    """Means and worst cases over the problems."""
    import torch

    torch.set_num_threads(1)
    constants = [Recipe("sgd", "constant", lr=float(r)) for r in np.geomspace(LOW, HIGH, RATES)]
    found: dict[tuple[str, str], list[float]] = {}
    for seed in range(FIRST, FIRST + SEEDS):
        problem = scaled_logistic(seed)
        losses = train_many(problem, constants, [seed], STEPS).loss
        best = float(np.nanmin(np.where(np.isfinite(losses), losses, np.inf)))
        for losses_of, way in WAYS.items():
            for forecast in ("grid", "last"):
                ratio = tuned(problem, seed, forecast, **way) / best
                found.setdefault((losses_of, forecast), []).append(ratio)
    figures = []
    for (losses_of, forecast), ratios in found.items():
        ours = forecast == "grid"
        by = f"{losses_of} losses, {'forecast' if ours else 'as they last were'}"
        each = ", ".join(f"{r:.2f}" for r in ratios)
        mean, worst = float(np.mean(ratios)), max(ratios)
        figures += [
            Figure(f"mean over the best constant rate; {by}", mean, 1.15 if ours else None),
            Figure(f"worst; {by}", worst, 1.6 if ours else None, note=f"each: {each}"),
        ]
    write("autolrs" if FIRST == 0 else "autolrs-development", figures, seeds=[FIRST, SEEDS])
    return figures
