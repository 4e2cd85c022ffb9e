"""Schedules: a scheduler's step against torch's LambdaLR, logging of gradient norms, UBA's min-max
problem, and a race of many trainings at once.

pytorch-optimizer's scheduler is the fastest: it sets one rate for all groups, counts nothing, and
leaves out what torch's base class does at a step.
"""

from __future__ import annotations

import statistics
import time
import warnings

from .common import Figure, in_turns, ratio, write

STEPS = 2000


def stepping() -> list[Figure]:
    """Time of `step()` over 2,000 steps with two parameter groups, over that of LambdaLR with a
    constant; the optimiser's step is left out.
    """
    import torch
    from pytorch_optimizer import REXScheduler
    from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

    from feasible.training import REX, UBA, OneCycle, ProfileLR, Refined, Sampling

    def run(make):
        def once() -> None:
            groups = [
                {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.01)
            ]
            optimizer = torch.optim.SGD(groups, momentum=0.9)
            scheduler = make(optimizer)
            optimizer.step()
            start = time.perf_counter()
            for _ in range(STEPS):
                scheduler.step()
            spent.append(time.perf_counter() - start)

        spent: list[float] = []
        return once, spent

    makers = {
        "LambdaLR": lambda o: LambdaLR(o, lambda k: 1.0),
        "REX": lambda o: REX(o, STEPS),
        "UBA": lambda o: UBA(o, STEPS, 5.0, warmup_steps=100),
        "cosine": lambda o: ProfileLR(o, "cosine", STEPS),
        "Refined": lambda o: Refined(o, [1.0, 0.5, 0.0], STEPS),
        "OneCycle with momentum": lambda o: OneCycle(o, STEPS),
        "step 50-75 at milestones": lambda o: ProfileLR(
            o, "step", STEPS, sampling=Sampling.milestones(0.5, 0.75)
        ),
        "torch's CosineAnnealingLR": lambda o: CosineAnnealingLR(o, STEPS),
        "pytorch-optimizer's REXScheduler": lambda o: REXScheduler(o, STEPS, max_lr=0.1),
    }
    runs = {name: run(make) for name, make in makers.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # schedules that run ahead of their optimiser say so
        in_turns(*(once for once, _ in runs.values()), rounds=9)
    base = runs.pop("LambdaLR")[1]
    return [
        Figure(
            f"step of {name} over that of LambdaLR doing nothing",
            ratio(spent, base),
            None if "torch" in name else 3.0,
            note=f"{1e6 * statistics.median(spent) / STEPS:.1f} µs against "
            f"{1e6 * statistics.median(base) / STEPS:.1f} µs",
        )
        for name, (_, spent) in runs.items()
    ]


def logging() -> list[Figure]:
    """Time of `GradNormLogger.record()` over that of a training step of the CNN, in turns."""
    import numpy as np
    import torch

    from feasible.training import GradNormLogger
    from feasible.training.instances.small import digits_cnn

    problem = digits_cnn()
    model, batches = problem.begin(np.random.default_rng(100))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    log = GradNormLogger(model.parameters())

    def steps() -> None:
        for _ in range(10):
            problem.gradient(model, problem.batch(batches))
            optimizer.step()

    def records() -> None:
        for _ in range(10):
            log.record()

    trained, logged = in_turns(steps, records, rounds=25)
    share = ratio(logged, trained)
    return [
        Figure(
            "logging both gradient norms over a training step of the residual CNN, batch 32",
            share,
            0.02,
            note=f"{1e5 * statistics.median(logged):.0f} µs of "
            f"{1e2 * statistics.median(trained):.2f} ms, "
            f"{sum(p.numel() for p in model.parameters()):,} parameters in "
            f"{len(list(model.parameters()))} tensors",
        )
    ]


def minmax() -> list[Figure]:
    """Worst contraction of UBA over that of the best of linear, cosine, REX and constant, each with
    its best peak.
    """
    from feasible.training.uba.claim import QUADRATICS, contractions

    figures = []
    for kappa, steps in QUADRATICS:
        found = contractions(kappa, steps)
        mine = found.pop("UBA")
        figures.append(
            Figure(
                f"worst contraction of UBA over that of the best other, kappa {kappa}, {steps} "
                "steps",
                mine / min(found.values()),
                0.35,
                note=f"{mine:.4f} against {min(found.values()):.4f} of {min(found, key=found.get)}",
            )
        )
    return figures


def race() -> list[Figure]:
    """6 schedules x 5 rates x 5 seeds x 3 budgets on the digits MLP, all members at once, and what
    one by one would take by a sample of them.
    """
    from feasible.core.budget import Budget, Meter
    from feasible.core.run import Run, run
    from feasible.training import Recipe, budgeted_compare
    from feasible.training.instances.small import digits_mlp

    problem = digits_mlp(steps=1000)
    schedules, budgets = (
        ("uba", "rex", "linear", "torch-cosine", "torch-step", "torch-onecycle"),
        (0.05, 0.25, 1.0),
    )
    start = time.perf_counter()
    found = budgeted_compare(
        problem,
        schedules,
        budgets,
        lrs=(0.01, 0.03, 0.1, 0.3, 1.0),
        seeds=(103, 104, 105),
        choosing=(100, 101),
    )
    together = time.perf_counter() - start
    runs, alone = len(schedules) * 5 * 5 * len(budgets), 0.0
    for steps in found.budgets:
        start = time.perf_counter()
        for schedule in schedules:
            budget = Budget(steps=steps)
            run(Run(problem, Recipe("sgd", schedule, 0.1), budget, 103, Meter(budget)))
        alone += (time.perf_counter() - start) / len(schedules) * runs / len(budgets)
    best = found.summary().index[0]
    return [
        Figure(
            "race of 6 schedules x 5 rates x 5 seeds x 3 budgets on the digits MLP, one core",
            together,
            300.0,
            "s",
            note=f"{runs} runs of {', '.join(map(str, found.budgets))} steps; best average rank: "
            f"{best}",
        ),
        Figure("the same one by one, from a sample of one rate and seed", alone, None, "s"),
        Figure("what training at once bought", alone / together, None, "times"),
    ]


def run() -> list[Figure]:
    """Everything, one thread."""
    import torch

    torch.set_num_threads(1)
    figures = [*stepping(), *logging(), *minmax(), *race()]
    write("schedules", figures)
    return figures
