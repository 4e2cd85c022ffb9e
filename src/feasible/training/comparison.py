"""budgeted_compare: schedules over budgets, rates and seeds, with the rate tuned for each of them;
the tables of REX's paper.

Every budget is a run of its own with the schedule scaled to it, never a longer run cut short. The
rate of a (problem, optimiser, budget, schedule) is chosen on some seeds and the figures come from
others (J. Chen, C. Wolfe, A. Kyrillidis, arXiv 2107.04197, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.annotations import checked
from ..core.budget import Budget, Meter
from ..core.checks import whole
from ..core.errors import ArgumentError, UnknownName, nearest
from ..core.registry import split_settings
from ..core.run import Run, run
from .ensemble import TOGETHER, train_many
from .problem import TrainingProblem
from .recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

CHOOSING = (100, 101, 102)
"""Seeds that choose the rate, where none are given."""


@dataclass(frozen=True)
class Comparison:
    """Held-out figures by (problem, optimiser, budget, schedule, rate, seed); NaN where training
    diverged.

    Attributes:
        problems: Names of the problems.
        optimizers: Names of the optimisers.
        budgets: Steps of each budget.
        schedules: Names of the schedules.
        lrs: Optimiser -> rates, as many for each.
        choosing: Seeds that chose the rate.
        seeds: Seeds that are reported.
        values: Metric -> (problems, optimisers, budgets, schedules, rates, choosing + seeds).
    """

    problems: tuple[str, ...]
    optimizers: tuple[str, ...]
    budgets: tuple[int, ...]
    schedules: tuple[str, ...]
    lrs: Mapping[str, tuple[float, ...]]
    choosing: tuple[int, ...]
    seeds: tuple[int, ...]
    values: Mapping[str, np.ndarray]

    def rates(self, metric: str = "loss") -> np.ndarray:
        """(problems, optimisers, budgets, schedules) indices of the rates with the smallest mean
        over the choosing seeds; a NaN is worse than all.
        """
        mean = self._values(metric)[..., : len(self.choosing)].mean(-1)
        chosen: np.ndarray = np.where(np.isnan(mean), np.inf, mean).argmin(-1)
        return chosen

    def by_seed(self, metric: str = "loss") -> np.ndarray:
        """(problems, optimisers, budgets, schedules, seeds) figures at the chosen rates."""
        found = self._values(metric)[..., len(self.choosing) :]
        return np.take_along_axis(found, self.rates(metric)[..., None, None], -2)[..., 0, :]

    def cells(self, metric: str = "loss") -> np.ndarray:
        """(problems, optimisers, budgets, schedules) means over the reported seeds."""
        mean: np.ndarray = self.by_seed(metric).mean(-1)
        return mean

    def ranks(self, metric: str = "loss") -> np.ndarray:
        """(problems, optimisers, budgets, schedules) ranks, 1 the best; ties share theirs, NaN is
        last.
        """
        from scipy.stats import rankdata

        cells = self.cells(metric)
        ranked: np.ndarray = rankdata(np.where(np.isnan(cells), np.inf, cells), axis=-1)
        return ranked

    def to_frame(self, metric: str = "loss") -> pd.DataFrame:
        """One row for each problem, optimiser, budget and schedule: chosen rate, mean, deviation
        over the seeds, rank.
        """
        import pandas as pd

        seeds, chosen, ranked = self.by_seed(metric), self.rates(metric), self.ranks(metric)
        rows = [
            {
                "problem": p,
                "optimizer": o,
                "steps": t,
                "schedule": s,
                "lr": self.lrs[o][chosen[i, j, k, n]],
                metric: seeds[i, j, k, n].mean(),
                "std": seeds[i, j, k, n].std(ddof=1) if len(self.seeds) > 1 else 0.0,
                "rank": ranked[i, j, k, n],
            }
            for i, p in enumerate(self.problems)
            for j, o in enumerate(self.optimizers)
            for k, t in enumerate(self.budgets)
            for n, s in enumerate(self.schedules)
        ]
        return pd.DataFrame(rows)

    def summary(self, metric: str = "loss") -> pd.DataFrame:
        """Schedules by average rank: over all cells, by budget, and the shares of cells in which
        each was first or among the first three.
        """
        import pandas as pd

        ranked = self.ranks(metric)
        flat = ranked.reshape(-1, len(self.schedules))
        table = {
            "rank": flat.mean(0),
            **{
                f"{t} steps": ranked[:, :, k].reshape(-1, len(self.schedules)).mean(0)
                for k, t in enumerate(self.budgets)
            },
            "first": (flat <= 1.5).mean(0),
            "top 3": (flat <= 3).mean(0),
        }
        return pd.DataFrame(table, index=pd.Index(self.schedules, name="schedule")).sort_values(
            "rank"
        )

    def to_csv(self, path: str | Path, metric: str = "loss") -> None:
        """Write `to_frame` as a CSV file."""
        self.to_frame(metric).to_csv(path, index=False)

    def _values(self, metric: str) -> np.ndarray:
        """The chosen rates' values by seed."""
        if metric not in self.values:
            raise UnknownName(f"metric='{metric}': {nearest(metric, self.values)}")
        return self.values[metric]


@checked
def budgeted_compare(
    problems: TrainingProblem | Sequence[TrainingProblem],
    schedules: Sequence[str],
    budgets: Sequence[float],
    *,
    lrs: Sequence[float] | Mapping[str, Sequence[float]],
    optimizers: Sequence[str] = ("sgd",),
    seeds: int | Sequence[int] = 5,
    choosing: Sequence[int] = CHOOSING,
) -> Comparison:
    """Train every schedule at every budget, rate and seed, and rank the schedules with their rates
    tuned.

    Members that `train_many` can train are trained at once, others one by one.

    Args:
        problems: One `TrainingProblem`, or several.
        schedules: Names of `parts.SCHEDULES`, with settings as "uba[phi=5]".
        budgets: Shares of the problem's `steps` as floats up to 1, or whole numbers of steps.
        lrs: Rates, or optimiser -> as many rates.
        optimizers: Names of `parts.OPTIMIZERS`.
        seeds: Seeds that are reported, a number of them or a list.
        choosing: Seeds that choose the rate, others than those.

    Returns:
        All held-out figures, from which ranks and tables are made.

    Raises:
        ArgumentError: A setting out of its range.
        UnknownName: A name that is not known.
    """
    tasks = [problems] if isinstance(problems, TrainingProblem) else list(problems)
    reported = (
        tuple(range(whole("seeds", seeds, least=1, floats=True)))
        if isinstance(seeds, int)
        else tuple(seeds)
    )
    grid = {
        o: tuple(float(r) for r in (lrs.get(o, ()) if isinstance(lrs, Mapping) else lrs))
        for o in optimizers
    }
    if len({len(g) for g in grid.values()}) != 1 or not all(grid.values()):
        raise ArgumentError(
            "lrs: expected the same number of rates for every optimiser, at least one"
        )
    if set(choosing) & set(reported):
        raise ArgumentError(
            f"choosing={list(choosing)}: expected none of the seeds that are reported, "
            f"{list(reported)}"
        )
    if not (len(tasks) and len(schedules) and len(budgets)):
        raise ArgumentError("problems, schedules and budgets: expected at least one of each")
    steps = [tuple(_steps(b, p) for b in budgets) for p in tasks]
    if len(set(steps)) != 1:
        raise ArgumentError(
            "problems plan for different numbers of steps: expected the same for all, or budgets "
            "as whole numbers of steps"
        )
    everyone = (*choosing, *reported)
    shape = (
        len(tasks),
        len(grid),
        len(budgets),
        len(schedules),
        len(next(iter(grid.values()))),
        len(everyone),
    )
    common = set.intersection(*(set(p.metrics or {}) for p in tasks))
    values = {name: np.full(shape, np.nan) for name in ("loss", *sorted(common))}
    for i, problem in enumerate(tasks):
        for j, (optimizer, rates) in enumerate(grid.items()):
            recipes = {
                (n, m): Recipe(optimizer, s, lr)
                for n, s in enumerate(schedules)
                for m, lr in enumerate(rates)
            }
            for k, t in enumerate(steps[0]):
                for (n, m), found in _trained(problem, recipes, everyone, t).items():
                    for name, value in values.items():
                        value[i, j, k, n, m] = found[name]
    return Comparison(
        tuple(p.name for p in tasks),
        tuple(grid),
        steps[0],
        tuple(schedules),
        grid,
        tuple(choosing),
        reported,
        values,
    )


def _steps(budget: float, problem: TrainingProblem) -> int:
    """The steps of a budget on a problem."""
    if isinstance(budget, float) and not 0 < budget <= 1:
        raise ArgumentError(
            f"budgets: got {budget:g}, expected shares of the {problem.steps} steps, above 0 and "
            "at most 1, or whole numbers"
        )
    return (
        max(1, round(budget * problem.steps))
        if isinstance(budget, float)
        else whole("budgets", budget, least=1, floats=True)
    )


def _trained(
    problem: TrainingProblem, recipes: Mapping[Any, Recipe], seeds: Sequence[int], steps: int
) -> dict[Any, dict[str, np.ndarray]]:
    """Held-out figures of each recipe by seed: name -> (seeds,)."""
    many = {key: r for key, r in recipes.items() if split_settings(r.optimizer)[0] in TOGETHER}
    found: dict[Any, dict[str, np.ndarray]] = {}
    if many:
        try:
            e = train_many(problem, list(many.values()), seeds, steps)
            found = {
                key: {"loss": e.loss[i], **{name: v[i] for name, v in e.metrics.items()}}
                for i, key in enumerate(many)
            }
        except ArgumentError:  # a model with buffers or dropout: one by one below
            found = {}
    for key, recipe in recipes.items():
        if key not in found:
            budget = Budget(steps=steps)
            verdicts = [run(Run(problem, recipe, budget, s, Meter(budget))).verdict for s in seeds]
            found[key] = {
                "loss": np.array([v.objective for v in verdicts]),
                **{
                    name: np.array([v.metrics.get(name, np.nan) for v in verdicts])
                    for name in problem.metrics or {}
                },
            }
    return found
