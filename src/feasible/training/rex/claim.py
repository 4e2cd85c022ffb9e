"""The claim of arXiv 2107.04197: over budgets, REX has the best average rank among the common
schedules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from ...lab.claim import Claim, Experiment, Part, sampled
from ...lab.trials import Race
from ..comparison import CHOOSING, budgeted_compare
from ..instances.small import breast_cancer_mlp, diabetes_mlp, digits_autoencoder, digits_mlp

SCHEDULES = (
    "rex",
    "torch-linear",
    "torch-cosine",
    "torch-step",
    "torch-exponential",
    "constant",
    "torch-onecycle",
    "torch-plateau",
)
SHARES = (0.01, 0.05, 0.1, 0.25, 1.0)
FULL = 2000
RACED = (
    "sgd-rex",
    "adamw-rex",
    "sgd-linear",
    "adamw-linear",
    "sgd-torch-cosine",
    "adamw-torch-cosine",
)
LRS = {"sgd": (0.01, 0.03, 0.1, 0.3, 1.0), "adam": (1e-3, 3e-3, 1e-2, 3e-2, 0.1)}
LRS_AUTOENCODER = {**LRS, "sgd": (0.1, 0.3, 1.0, 3.0, 10.0)}
"""A mean over 64 outputs has gradients as much smaller; on seeds 101 and 103 the best rate was the
largest of the other grid.
"""


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """Metered runs at the default rates; the tuned comparison is in `extra`."""
    chosen = tuple(seeds)[:2] if scale == "smoke" else tuple(seeds)
    return [
        Experiment(
            "200 steps",
            ["digits-mlp", "breast-cancer-mlp"],
            {m: m for m in RACED},
            {"steps": 200},
            chosen,
        )
    ]


def check(races: Mapping[str, Race]) -> list[Part]:
    """No run passes its budget, and none fails."""
    trials = [t for race in races.values() for t in race.trials]
    used = max((t.spent["steps"] / 200 if t.status == "done" else math.inf) for t in trials)
    return [Part("steps of a run over its budget, largest of all runs", used, "<= 1")]


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """Four problems, two optimisers, five budgets, eight schedules, the rate tuned for each cell;
    held-out loss.
    """
    smoke = scale == "smoke"
    tasks = (
        [((diabetes_mlp, breast_cancer_mlp), LRS)]
        if smoke
        else [
            ((digits_mlp, diabetes_mlp, breast_cancer_mlp), LRS),
            ((digits_autoencoder,), LRS_AUTOENCODER),
        ]
    )
    tables = [
        budgeted_compare(
            [p(steps=FULL) for p in problems],
            SCHEDULES,
            SHARES[:2] if smoke else SHARES,
            lrs=lrs,
            optimizers=tuple(lrs),
            seeds=tuple(seeds)[:2] if smoke else tuple(seeds),
            choosing=CHOOSING[:1] if smoke else CHOOSING,
        )
        for problems, lrs in tasks
    ]
    budgets, ranked = tables[0].budgets, np.concatenate([t.ranks() for t in tables])
    ranks = dict(zip(SCHEDULES, ranked.reshape(-1, len(SCHEDULES)).mean(0), strict=True))
    at = {name: i for i, name in enumerate(SCHEDULES)}
    # blocks are pairs of problem and optimiser: (blocks, seeds, budgets, schedules)
    shape = (-1, len(budgets), len(SCHEDULES), len(tables[0].seeds))
    loss = np.concatenate([t.by_seed("loss") for t in tables]).reshape(shape)
    values = {"loss": np.moveaxis(loss, -1, 1)}

    def ahead_of(name: str) -> Callable[[Mapping[str, np.ndarray]], float]:
        def ahead(values: Mapping[str, np.ndarray]) -> float:
            cells = values["loss"].mean(1)
            of = rankdata(np.where(np.isnan(cells), np.inf, cells), axis=-1).mean((0, 1))
            return float(of[at["rex"]] - of[at[name]])

        return ahead

    parts = [
        sampled(
            "average rank of REX minus that of linear", values, ahead_of("torch-linear"), "<= 0.25"
        )
    ]
    for name in SCHEDULES[2:]:
        barred = name in ("torch-cosine", "torch-step", "torch-exponential", "constant")
        parts.append(
            sampled(
                f"average rank of REX minus that of {name.removeprefix('torch-')}",
                values,
                ahead_of(name),
                "< 0" if barred else "reported",
            )
        )
    low = [k for k, t in enumerate(budgets) if t <= 0.1 * FULL]

    def over_linear(values: Mapping[str, np.ndarray]) -> float:
        cells = values["loss"].mean(1)[:, low]
        return float((cells[..., at["rex"]] / cells[..., at["torch-linear"]]).mean())

    parts.append(
        sampled(
            "held-out loss of REX over that of linear, mean of the cells with budgets up to 10 %",
            values,
            over_linear,
            "<= 1.01",
        )
    )

    def over_best(values: Mapping[str, np.ndarray]) -> float:
        full = values["loss"].mean(1)[:, budgets.index(FULL)]
        return float(np.median(full[:, at["rex"]] / np.nanmin(full, axis=-1)))

    if FULL in budgets:
        parts.append(
            sampled(
                "held-out loss of REX over that of the best schedule at 100 %, median of the cells",
                values,
                over_best,
                "<= 1.03",
            )
        )
    by_budget = {
        s: dict(zip((f"{t} steps" for t in budgets), ranked[..., i].mean((0, 1)), strict=True))
        for s, i in at.items()
    }
    firsts = {s: float((ranked[..., i] <= 1.5).mean()) for s, i in at.items()}
    return parts, {
        "mean ranks": ranks,
        "mean ranks by budget": by_budget,
        "share of cells in first place": firsts,
        "cells": [row for t in tables for row in t.to_frame().round(6).to_dict("records")],
    }


claim = Claim(
    slug="rex",
    statement="Over budgets of 1 to 100 %, REX has the best average rank among linear, step, "
    "exponential, cosine, OneCycle, decay on a plateau and a "
    "constant rate; it beats linear at low budgets and matches the best at high ones.",
    experiments=experiments,
    check=check,
    extra=extra,
    why="REX is first most often, in 35 % of 40 cells, but its average rank is not the best one: "
    "linear decay has the same within the noise of five seeds.",
    limits={
        "desk": "MLPs on digits, breast cancer (both with label noise) and diabetes and a digits "
        "autoencoder, 2,000 steps at 100 %, instead of "
        "seven settings from CIFAR to BERT; five rates in multiples of three, chosen on seeds "
        "100-102; torch's schedulers as baselines.",
        "smoke": "Two problems, budgets of 1 and 5 %, two seeds, one choosing.",
    },
)
