"""The claim of arXiv 2105.10762: a schedule found on the way, from an interval of rates alone,
is as good as the best constant rate, and forecasts of short trials rank the rates.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from ...lab.claim import Claim, Experiment, Part, by_method, sampled
from ...lab.trials import Race
from ..ensemble import train_many
from ..instances.small import digits_autoencoder, digits_mlp, moons_mlp
from ..problem import TrainingProblem
from ..recipe import Recipe
from .run import AutoLRSRecipe, Place

STEPS, BATCH = 1500, 64
INTERVALS = {"sgd": (1e-4, 1.0), "adam": (1e-5, 1e-1)}
OPTIMIZER = {"digits-mlp": "sgd", "moons-mlp": "sgd", "digits-autoencoder": "adam"}
RATES = 9
Values = Mapping[str, np.ndarray]
PAPER = {"val_from": 3, "kappa": 1000.0, "replay": False}
"""What the paper has in place of our defaults."""


def problems(scale: str) -> dict[str, TrainingProblem]:
    """The workloads by name."""
    steps = 300 if scale == "smoke" else STEPS
    made = {
        "digits-mlp": digits_mlp(0.0),
        "moons-mlp": moons_mlp(),
        "digits-autoencoder": digits_autoencoder(),
    }
    for problem in made.values():
        problem.batch_size, problem.steps = BATCH, steps
    return {"moons-mlp": made["moons-mlp"]} if scale == "smoke" else made


def methods(optimizer: str, steps: int) -> dict[str, AutoLRSRecipe]:
    """Label -> method."""
    low, high = INTERVALS[optimizer]

    def made(**more: Any) -> AutoLRSRecipe:
        return AutoLRSRecipe(
            optimizer=optimizer, lr_min=low, lr_max=high, train_steps=steps, **more
        )

    return {
        "AutoLRS": made(),
        "AutoLRS, as in the paper": made(**PAPER),
        "random rates": made(proposals="random"),
    }


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """Metered runs: 1,500 steps of training and 2,400 of searching. smoke: one workload, 300 steps,
    one seed.
    """
    chosen, found = tuple(seeds)[:1] if scale == "smoke" else tuple(seeds), []
    for optimizer in INTERVALS:
        mine = [p for n, p in problems(scale).items() if OPTIMIZER[n] == optimizer]
        if mine:
            one = methods(optimizer, mine[0].steps)
            total = round(mine[0].steps * (1 + one["AutoLRS"].k * one["AutoLRS"].tau_ratio))
            found.append(Experiment(optimizer, mine, one, {"steps": total}, chosen))
    return found


def baselines(
    problem: TrainingProblem, optimizer: str, seeds: Sequence[int], total: int
) -> dict[str, np.ndarray]:
    """(seeds, rates) held-out losses; infinite where training diverged. Schedules at the steps of
    training, and two at all steps.
    """
    grid, found = np.geomspace(*INTERVALS[optimizer], RATES), {}
    for steps, what, names in (
        (problem.steps, "", ("constant", "torch-cosine", "torch-step")),
        (total, ", all steps", ("torch-cosine", "torch-step")),
    ):
        recipes = [Recipe(optimizer, n, lr=float(r)) for n in names for r in grid]
        loss = train_many(problem, recipes, seeds, steps).loss
        losses = np.where(np.isfinite(loss), loss, np.inf).reshape(len(names), RATES, -1)
        found.update(
            {n.removeprefix("torch-") + what: rows.T for n, rows in zip(names, losses, strict=True)}
        )
    return found


def check(races: Mapping[str, Race]) -> list[Part]:
    """Whether it holds, in held-out losses after the steps of training, medians over seeds."""
    trials = [(t, race.budget["steps"]) for race in races.values() for t in race.trials]
    used = max(
        t.spent["steps"] / budget if t.status == "done" else math.inf for t, budget in trials
    )
    known = {
        **problems("desk"),
        **(problems("smoke") if all(r.budget["steps"] < STEPS for r in races.values()) else {}),
    }
    names: list[str] = []
    rows: dict[str, list[np.ndarray]] = {}
    for optimizer, race in races.items():
        ends = by_method(race, lambda t: t.objective)
        for i, contest in enumerate(race.contests):
            base = baselines(known[contest.name], optimizer, race.seeds, int(race.budget["steps"]))
            names.append(contest.name)
            for k, row in ({m: e[i] for m, e in ends.items()} | base).items():
                rows.setdefault(k, []).append(row)
    values = {k: np.array(row) for k, row in rows.items()}  # (problems, seeds) or (..., rates)

    def by_problem(other: str, best: bool = True) -> Callable[[Values], np.ndarray]:
        """Ratios of medians over seeds; of several rates that with the least median, or the median
        of the medians.
        """

        def ratios(found: Values) -> np.ndarray:
            theirs = np.median(found[other], axis=1)
            if theirs.ndim > 1:
                theirs = theirs.min(1) if best else np.median(theirs, axis=1)
            made: np.ndarray = np.median(found["AutoLRS"], axis=1) / theirs
            return made

        return ratios

    def geometric(other: str) -> Callable[[Values], float]:
        return lambda found: float(np.exp(np.log(by_problem(other)(found)).mean()))

    def largest(found: Values) -> float:
        return float(by_problem("constant", best=False)(found).max())

    parts = [
        Part(
            "steps of a run, searching included, over its budget, largest of all runs",
            used,
            "<= 1",
        ),
        sampled(
            "loss over that of the best of 9 constant rates, geometric mean over problems",
            values,
            geometric("constant"),
            "<= 1.05",
        ),
        sampled(
            "loss over that of the median of 9 constant rates, largest of the problems",
            values,
            largest,
            "< 1",
        ),
    ]
    parts += [
        sampled(
            f"loss over that of {k}{', its rate tuned' if values[k].ndim > 2 else ''}, geometric "
            "mean over problems",
            values,
            geometric(k),
        )
        for k in values
        if k not in ("AutoLRS", "constant")
    ]
    return parts + [
        sampled(
            f"{n}: loss over that of the best constant rate",
            {k: v[[i]] for k, v in values.items()},
            lambda found: float(by_problem("constant")(found)[0]),
        )
        for i, n in enumerate(names)
    ]


def forecasts(problem: TrainingProblem, method: AutoLRSRecipe, seed: int) -> list[float]:
    """For each stage the rank correlation of forecasts with the held-out losses after tau steps."""
    state, found = method.init(problem, np.random.default_rng([seed])), []
    while not state.tuner.done(problem.steps):
        method.step(problem, state)
        if state.tuner.phase == "train" and state.tuner.at == 0:
            stage, place = state.tuner.history[-1], Place(state.batches)
            start = copy.deepcopy(
                (state.model.state_dict(), state.optimizer.state_dict(), place.state_dict())
            )
            true = []
            for rate in stage["rates"]:
                for _ in range(stage["tau"]):
                    for group in state.optimizer.param_groups:
                        group["lr"] = rate
                    problem.gradient(state.model, problem.batch(state.batches))
                    state.optimizer.step()
                true.append(problem.held_out(state.model))
                state.model.load_state_dict(start[0])
                state.optimizer.load_state_dict(copy.deepcopy(start[1]))
                place.load_state_dict(copy.deepcopy(start[2]))
            for group in state.optimizer.param_groups:
                group["lr"] = stage["chosen"]
            ranks = [
                np.where(np.isfinite(values), values, 1e300)
                for values in (np.array(stage["forecasts"]), np.array(true))
            ]
            found.append(float(spearmanr(*ranks).statistic))
    return found


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """How well forecasts rank the rates: every candidate trained on to the end of its stage."""
    chosen = tuple(seeds)[:1] if scale == "smoke" else tuple(seeds)
    found = {
        n: [forecasts(p, methods(OPTIMIZER[n], p.steps)["AutoLRS"], s) for s in chosen]
        for n, p in problems(scale).items()
    }
    return (
        [
            sampled(
                "rank correlation of forecasts with losses after tau steps, mean over stages, "
                f"{len(chosen)} seeds and problems",
                np.array(list(found.values())),
                lambda v: float(np.nanmean(v["value"])),
                ">= 0.6",
            )
        ],
        {"rank correlations": found},
    )


claim = Claim(
    slug="autolrs",
    statement="From an interval of rates alone, AutoLRS finds a schedule on the way that is as "
    "good as the best constant rate, and its forecasts "
    "from a fifth of a stage rank the rates.",
    experiments=experiments,
    check=check,
    extra=extra,
    limits={
        "desk": "Small networks on digits and moons, 1,500 steps of training and 2,400 of "
        "searching, instead of ResNet-50, Transformer and BERT. "
        "Held-out losses from the first stage, the same batches for all candidates, and kappa 2, "
        "where the paper has training losses "
        "at first, new batches and kappa 1,000; the paper's settings are reported beside.",
        "smoke": "One problem, 300 steps, one seed.",
    },
)
