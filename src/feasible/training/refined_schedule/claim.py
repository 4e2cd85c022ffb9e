"""The claim of arXiv 2310.07831: linear decay matches or beats cosine for the last iterate, and
refinement by gradient norms gives more.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ...lab.claim import Claim, Experiment, Part, by_method, median, sampled
from ...lab.trials import Race
from ..comparison import CHOOSING
from ..ensemble import train_many
from ..instances.small import digits_mlp, standardised
from ..problem import TrainingProblem
from ..recipe import Recipe
from .refined import DegenerateScheduleWarning, GradNormLogger, kind_of, refine_schedule
from .run import RefinedRecipe

DATA = ("iris", "wine", "breast_cancer", "digits", "classification")
OPTIMIZERS = {
    "adam[beta2=0.95]": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0),
    "sgd[momentum=0]": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
}
SCHEDULES = ("torch-linear", "torch-cosine", "rex", "constant", "inverse-sqrt")
NETWORK = {"adamw": (1e-3, 3e-3, 1e-2, 3e-2)}
RACED = ("adamw-refined", "adamw-linear", "adamw-torch-cosine")


def logistic(name: str, steps: int) -> tuple[TrainingProblem, float]:
    """Softmax regression on a data set with a quarter of its labels drawn again (20 % flipped in
    the generated one), judged on all of its rows, and
    the smallest loss, by L-BFGS."""
    from scipy.optimize import minimize
    from sklearn import datasets

    rng = np.random.default_rng(12345)
    if name == "classification":
        x, y = datasets.make_classification(
            3000, 30, n_informative=10, n_classes=4, flip_y=0.2, random_state=12345
        )
    else:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        wrong = rng.random(len(y)) < 0.25
        y = np.where(wrong, rng.integers(y.max() + 1, size=len(y)), y)
    x, k = standardised(x.astype(float), np.arange(len(x))), int(y.max()) + 1
    inputs, targets = torch.tensor(x), torch.tensor(y)

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = torch.tensor(flat.reshape(k, -1), requires_grad=True)
        loss = nn.functional.cross_entropy(inputs @ w[:, 1:].T + w[:, 0], targets)
        loss.backward()
        return float(loss.detach()), w.grad.numpy().ravel()

    best = minimize(
        value,
        np.zeros(k * (x.shape[1] + 1)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-10},
    )
    data = x.astype(np.float32), y
    return TrainingProblem(
        lambda: nn.Linear(x.shape[1], k),
        data,
        data,
        batch_size=16,
        steps=steps,
        name=f"logistic-{name}",
    ), float(best.fun)


def norms(problem: TrainingProblem, recipe: Recipe, seed: int, steps: int) -> np.ndarray:
    """(steps,) gradient norms of a run, of the kind that its optimiser's refinement takes."""
    model, batches = problem.begin(np.random.default_rng([seed]))
    optimizer, scheduler = recipe.tools(model.parameters(), steps)
    log = GradNormLogger(model.parameters())
    for _ in range(steps):
        problem.gradient(model, problem.batch(batches))
        log.record()
        optimizer.step()
        scheduler.step()
    found: np.ndarray = getattr(log, kind_of(optimizer))
    return found


def compared(
    problem: TrainingProblem,
    optimizer: str,
    lrs: Sequence[float],
    steps: int,
    seeds: Sequence[int],
    choosing: Sequence[int],
    schedules: Sequence[str] = SCHEDULES,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Losses by schedule and seed at the rate that the choosing seeds choose, "refined" among them,
    and how it came about.

    The norms come from one run of linear decay at its chosen rate, from the first choosing seed;
    the refined schedule has its rate chosen anew.
    """
    everyone = (*choosing, *seeds)

    found, rate = {}, {}

    def tune(recipes: Mapping[str, Sequence[Recipe]]) -> None:
        losses = train_many(
            problem, [r for row in recipes.values() for r in row], everyone, steps
        ).loss
        for s, loss in zip(recipes, losses.reshape(len(recipes), len(lrs), -1), strict=True):
            mean = loss[:, : len(choosing)].mean(1)
            i = int(np.where(np.isnan(mean), np.inf, mean).argmin())
            found[s], rate[s] = loss[i, len(choosing) :], lrs[i]

    tune({s: [Recipe(optimizer, s, lr) for lr in lrs] for s in schedules})
    logged = norms(
        problem, Recipe(optimizer, "torch-linear", rate["torch-linear"]), choosing[0], steps
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DegenerateScheduleWarning)
        shares = refine_schedule(logged, "l1" if optimizer.startswith("adam") else "l2")
        fired = any(issubclass(w.category, DegenerateScheduleWarning) for w in caught)
        tune({"refined": [RefinedRecipe(optimizer, lr=lr, norms=tuple(logged)) for lr in lrs]})
    return found, {
        "rates": rate,
        "guard fired": fired,
        "peak at": float((shares.argmax() + 1) / steps),
        "start": float(shares[0]),
        "norm at the end over the largest": float(logged[-steps // 10 :].mean() / logged.max()),
    }


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """Metered runs in which half of the budget pays for the logged run, at the default rates."""
    return [
        Experiment(
            "digits MLP, 600 steps",
            ["digits-mlp"],
            {m: m for m in RACED},
            {"steps": 60 if scale == "smoke" else 600},
            tuple(seeds),
        )
    ]


def check(races: Mapping[str, Race]) -> list[Part]:
    """What the refined schedule costs where its logged run is paid for."""
    (race,) = races.values()
    return [
        sampled(
            "held-out loss of adamw-refined, the logged run paid for, over that of adamw-linear, "
            "medians",
            by_method(race, lambda t: t.objective),
            median("adamw-refined", "adamw-linear"),
        )
    ]


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """Ten cells of (data, optimiser): gaps f(x_T) - f*; and the digits MLP."""
    smoke = scale == "smoke"
    steps, chosen, choosing = (
        (100, tuple(seeds)[:2], CHOOSING[:1]) if smoke else (2000, tuple(seeds), CHOOSING)
    )
    gaps: dict[str, list[np.ndarray]] = {name: [] for name in (*SCHEDULES, "refined")}
    fired: list[bool] = []
    more: dict[str, Any] = {}
    for name in DATA[:2] if smoke else DATA:
        problem, best = logistic(name, steps)
        for optimizer, lrs in OPTIMIZERS.items():
            found, how = compared(problem, optimizer, lrs, steps, chosen, choosing)
            for s, loss in found.items():
                gaps[s].append(loss - best)
            fired.append(how["guard fired"])
            more[f"{name}, {optimizer}"] = {
                "smallest loss": best,
                "gaps": {s: (loss - best).tolist() for s, loss in found.items()},
                **how,
            }
    gap = {s: np.array(g) for s, g in gaps.items()}  # (cells, seeds)
    cells, kept = len(fired), ~np.array(fired)
    in_kept = {s: g[kept] for s, g in gap.items()}

    def over(s: str, other: str) -> Callable[[Mapping[str, np.ndarray]], float]:
        return lambda v: math.exp(float(np.log(v[s].mean(1) / v[other].mean(1)).mean()))

    def below(s: str, other: str) -> Callable[[Mapping[str, np.ndarray]], float]:
        return lambda v: float((v[s].mean(1) < v[other].mean(1)).sum())

    parts = [
        sampled(
            f"gap of linear over that of cosine, geometric mean of {cells} cells",
            gap,
            over("torch-linear", "torch-cosine"),
            "<= 1.05",
        ),
        sampled(
            f"cells out of {cells} in which linear has a smaller gap than a constant rate",
            gap,
            below("torch-linear", "constant"),
            f">= {round(0.8 * cells)}",
        ),
    ]
    if kept.any():
        parts += [
            sampled(
                f"gap of refined over that of linear, geometric mean of the {int(kept.sum())} "
                "cells in which the guard did not fire",
                in_kept,
                over("refined", "torch-linear"),
                "<= 1.02",
            ),
            sampled(
                "cells in which the guard did not fire and refined has a strictly smaller gap than "
                "linear",
                in_kept,
                below("refined", "torch-linear"),
            ),
        ]
    parts += [
        Part("cells in which the guard fired", float(sum(fired))),
        *(
            sampled(
                f"gap of {s.removeprefix('torch-')} over that of linear, geometric mean",
                gap,
                over(s, "torch-linear"),
            )
            for s in ("rex", "inverse-sqrt", "constant")
        ),
    ]
    network = digits_mlp(steps=60 if smoke else 600)
    for optimizer, lrs in NETWORK.items():
        found, how = compared(
            network,
            optimizer,
            lrs,
            network.steps,
            chosen,
            choosing,
            ("torch-linear", "torch-cosine"),
        )
        parts += [
            sampled(
                f"digits MLP, {optimizer}, {network.steps} steps: held-out loss of refined over "
                "that of linear, medians",
                found,
                median("refined", "torch-linear"),
                "<= 1.02",
            ),
            sampled("the same: cosine over linear", found, median("torch-cosine", "torch-linear")),
        ]
        more[f"digits MLP, {optimizer}"] = {
            "losses": {s: v.tolist() for s, v in found.items()},
            **how,
        }
    return parts, more


claim = Claim(
    slug="refined-schedule",
    statement="For the last iterate linear decay to zero matches or beats cosine and other common "
    "schedules; schedules refined from the gradient "
    "norms of an earlier run are at least as good.",
    experiments=experiments,
    check=check,
    extra=extra,
    why="Linear decay beats a constant rate in all ten cells and matches cosine in eight; on iris "
    "its gap is 1.4 to 1.9 times cosine's, and that "
    "makes the mean miss its bar (without iris 0.99). Refinement does not pay on softmax "
    "regression: its norms fall to 0.14 to 0.7 of the "
    "largest, the schedules start low and peak at 0.06 to 0.16 of the run, and for SGD, where "
    "weights are inverse squares, gaps grow by 1.18; "
    "with Adam the mean is 1.02, on the generated set it gains 8 to 16 %, and on the digits MLP 3 "
    "%, about what cosine gains there.",
    limits={
        "desk": "Softmax regression on five data sets with noisy labels, 2,000 steps, and an MLP "
        "on digits, instead of ImageNet, GPT, RoBERTa, "
        "DLRM and MRI; rates chosen on seeds 100-102, norms from one run on seed 100.",
        "smoke": "Two data sets, 100 steps, two seeds, one choosing.",
    },
)
