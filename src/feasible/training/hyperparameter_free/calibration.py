"""One setting for many trainings: calibrate a method on workloads that have targets, and score what
came out as AlgoPerf does.

Kasimbeg, Roulet, Agarwal, Medapati, Pedregosa, Agarwala, Dahl, "How far away are truly
hyperparameter-free learning algorithms?" (2025, arXiv 2505.24005): a submission is an optimiser
with all its settings and its schedule, the same for all workloads. Who reaches the targets first?
The published abstract gives the question and the finding; the details of the search here (space,
penalty, re-run) are our own.

A workload is a `TrainingProblem` whose `best_known` is its target, a held-out loss (`with_target`
makes one). So a race over workloads is what `feasible.lab.profiles` draws performance profiles of,
with tau = 0.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import qmc

from ...core.annotations import checked
from ...core.checks import naming, real, whole
from ...core.errors import ArgumentError, ShapeError, UnknownName, nearest
from ...core.warning import warn
from ..problem import TrainingProblem
from ..recipe import Recipe, at_evaluation_point

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float

EVERY = 20
"""Steps between two looks at the held-out loss."""
PENALTY = 3.0
"""A missed target counts as this many times the steps allowed."""
FIRST_SEED = 100
"""Searching uses seeds from here on, re-runs those after: a score on the seeds 0, 1, 2, ... has not
been searched on.
"""
AXES = ("beta1", "beta2", "weight_decay", "warmup", "horizon", "lr")
WARMUPS, HORIZONS = (0.02, 0.05, 0.1), (0.33, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Space:
    """What is searched of a method.

    Attributes:
        optimizer: As recipes name it.
        scheduled: Whether it takes a warm-up and a cosine decay.
        betas: Whether Adam's two are searched.
        lr: Interval of the rate, where the method has one.
        default: Rate of its literature, with the optimiser's own other settings.
    """

    optimizer: str
    scheduled: bool = True
    betas: bool = True
    lr: tuple[float, float] | None = None
    default: float | None = None

    def recipe(self, unit: Sequence[float]) -> Recipe:
        """The recipe at a point of the unit cube, one coordinate for each of AXES; those that the
        method does not have are left out.
        """
        at = dict(zip(AXES, unit, strict=True))
        name, lr, decay = self.optimizer, None, float(f"{_log(at['weight_decay'], 1e-4, 0.3):.6g}")
        if self.betas:
            beta1, beta2 = 1 - _log(at["beta1"], 0.02, 0.3), 1 - _log(at["beta2"], 1e-3, 0.1)
            name += f"[beta1={beta1:.6g},beta2={beta2:.6g}]"
        if self.lr is not None:
            lr = float(f"{_log(at['lr'], *self.lr):.6g}")
        return Recipe(
            name,
            self._schedule(_pick(at["warmup"], WARMUPS), _pick(at["horizon"], HORIZONS)),
            lr,
            weight_decay=decay,
        )

    def usual(self) -> Recipe:
        """The recipe of the literature's defaults, with 5 % warm-up and a cosine over the whole run
        where it is scheduled.
        """
        return Recipe(self.optimizer, self._schedule(0.05, 1.0), self.default)

    def _schedule(self, warmup: float, horizon: float) -> str:
        """The text of the schedule."""
        return (
            f"warmup-cosine[warmup={warmup:g},horizon={horizon:g}]"
            if self.scheduled
            else "constant"
        )


SPACES: dict[str, Space] = {
    "adamw": Space("adamw", lr=(1e-4, 1e-1), default=1e-3),
    "nadamw": Space("nadamw", lr=(1e-4, 1e-1), default=1e-3),
    "prodigy": Space("prodigy"),
    "dadapt-adam": Space("dadapt-adam"),
    "mechanic-adamw": Space("mechanic-adamw"),
    "momo-adam": Space("momo-adam", lr=(1e-2, 1.0)),
    "dog": Space("dog", scheduled=False, betas=False),
    "cocob": Space("cocob", scheduled=False, betas=False),
}
"""The methods that `calibrate` knows."""


def _log(u: float, low: float, high: float) -> float:
    """The point u of [0, 1] on a logarithmic scale from low to high."""
    return math.exp(math.log(low) + u * (math.log(high) - math.log(low)))


def _pick(u: float, of: Sequence[float]) -> float:
    """The entry of a list at the point u of [0, 1]."""
    return of[min(int(u * len(of)), len(of) - 1)]


def points(n: int, seed: int = 0) -> Float[np.ndarray, "n axes"]:
    """Points of the unit cube of AXES, scrambled Sobol: the same for every method.

    Args:
        n: How many.
        seed: Of the scrambling.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # n need not be a power of two
        return np.asarray(qmc.Sobol(len(AXES), rng=np.random.default_rng(seed)).random(n))


def warmup_cosine(
    optimizer: Any, total_steps: int, warmup: float = 0.05, horizon: float = 1.0
) -> Any:
    """The schedule of all scheduled methods: up evenly over a share `warmup` of H = horizon *
    total_steps, then a cosine to 0 at H, and 0 after.

    The first rate is 1/W of the peak, not 0: methods that estimate their rate divide by it.

    Args:
        optimizer: A torch optimiser.
        total_steps: Steps of the run.
        warmup: Share of H in which the rate rises, in [0, 1).
        horizon: H over the steps of the run, in (0, 1].

    Returns:
        torch's LambdaLR.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
    """
    from torch.optim.lr_scheduler import LambdaLR

    real("warmup", warmup, least=0, below=1)
    real("horizon", horizon, above=0, most=1)
    end = max(1, round(horizon * total_steps))
    rise = round(warmup * end)

    def factor(t: int) -> float:
        if t < rise:
            return (t + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (t - rise) / max(1, end - rise))) if t < end else 0.0

    return LambdaLR(optimizer, factor)


# -- one training ----------------------------------------------------------------------------------


def held_out_curve(
    problem: TrainingProblem,
    recipe: Recipe,
    seed: int,
    steps: int,
    every: int = EVERY,
    target: float = -math.inf,
) -> Float[np.ndarray, " looks"]:
    """Held-out losses after every, 2 every, ... steps, at the point that should be evaluated.

    It ends where the target is reached, the loss is no longer finite, or the rate has come to 0 for
    good.

    Args:
        problem: The workload.
        recipe: How it is trained.
        seed: Of the run.
        steps: Most steps.
        every: Steps between two looks.
        target: Held-out loss at which it ends.

    Returns:
        (looks,) losses.
    """
    problem = copy.copy(problem)
    whole("every", every, least=1)
    whole("steps", steps, least=1)
    problem.steps = steps
    state = recipe.init(problem, np.random.default_rng([seed]))
    found: list[float] = []
    for t in range(1, steps + 1):
        recipe.step(problem, state)
        if t % every and t < steps:
            continue
        with at_evaluation_point(state.model, state.optimizer):
            found.append(problem.held_out(state.model))
        if (
            found[-1] <= target
            or not (math.isfinite(state.loss) and math.isfinite(found[-1]))
            or _over(state.optimizer)
        ):
            break
    return np.array(found)


def _over(optimizer: Any) -> bool:
    """Whether every group's rate is 0."""
    return all(float(g["lr"]) == 0 for g in optimizer.param_groups)


@checked
def steps_to_target(
    problem: TrainingProblem, recipe: Recipe, seed: int, steps: int, every: int = EVERY
) -> float:
    """Steps until the held-out loss is at most the problem's `best_known`; infinite where it never
    is.

    Args:
        problem: The workload, with a target.
        recipe: How it is trained.
        seed: Of the run.
        steps: Most steps.
        every: Steps between two looks.

    Raises:
        ArgumentError: The problem has no target.
    """
    if problem.best_known is None or not math.isfinite(problem.best_known):
        raise ArgumentError(
            f"workload '{problem.name}' has no target: set its best_known to a held-out loss, or "
            "use with_target"
        )
    curve = held_out_curve(problem, recipe, seed, steps, every, problem.best_known)
    hits = np.flatnonzero(curve <= problem.best_known)
    return float(min((hits[0] + 1) * every, steps)) if len(hits) else math.inf


@checked
def with_target(
    problem: TrainingProblem,
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    steps: int,
    slack: float = 1.05,
) -> TrainingProblem:
    """A copy with the target `slack` times the best recipe's lowest held-out loss, median over
    `seeds` (take others than will be scored).

    Args:
        problem: A problem.
        recipes: Of which the best sets the target.
        seeds: Seeds, others than will be scored.
        steps: Steps of each training.
        slack: >= 1.

    Returns:
        The copy, its target in `best_known`.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
    """
    real("slack", slack, least=1)
    whole("steps", steps, least=1)
    if not (len(recipes) and len(seeds)):
        raise ArgumentError("recipes, seeds: expected at least one of each, to find a target with")
    lowest = []
    for recipe in recipes:
        curves = [held_out_curve(problem, recipe, s, steps) for s in seeds]
        lowest.append(
            float(np.median([np.nanmin(c) if np.isfinite(c).any() else math.inf for c in curves]))
        )
    found = copy.copy(problem)
    found.best_known = slack * min(lowest)
    return found


# -- calibration -----------------------------------------------------------------------------------


@dataclass
class Calibration:
    """What a search found.

    Attributes:
        method: Name in SPACES.
        recipe: The configuration that was chosen.
        table: A row for each point: its recipe, the median steps to each workload's target
            (infinite where missed), and "mean", the geometric mean over workloads of steps over the
            fewest steps of any point.
        final: The same for the best few, run again with fresh seeds.
    """

    method: str
    recipe: Recipe
    table: pd.DataFrame
    final: pd.DataFrame


@checked
def calibrate(
    method: str,
    workloads: Sequence[TrainingProblem],
    n_points: int = 16,
    seeds: int = 2,
    *,
    steps: int | None = None,
    rerun: int = 3,
    rerun_seeds: int = 3,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Calibration:
    """The one configuration of `method` that reaches the targets of all workloads soonest.

    Every method is tried at the same points (see `points`), and the best few are run again; the
    best of these is kept. A missed target counts 3 `steps`.

    Args:
        method: Name in SPACES.
        workloads: Problems with targets.
        n_points: Points that are tried, >= 1.
        seeds: Runs of each point, >= 1.
        steps: Most steps of a training; None: the workload's own.
        rerun: How many of the best are run again, >= 1.
        rerun_seeds: Fresh runs of each of these, >= 1.
        seed: Scrambles the points.
        progress: Told of each recipe that is done.

    Returns:
        The configuration, and every figure behind it.

    Raises:
        ArgumentError: No workload, or one without a target; a number below 1.
        UnknownName: No method has this name.

    References:
        Kasimbeg et al., arXiv 2505.24005; the space, the penalty and the second round are our own.
    """
    if method not in SPACES:
        raise UnknownName(f"method='{method}': {nearest(method, SPACES)}")
    if not len(workloads):
        raise ArgumentError("workloads: expected at least one TrainingProblem with a target")
    for name, value in (
        ("n_points", n_points),
        ("seeds", seeds),
        ("rerun", rerun),
        ("rerun_seeds", rerun_seeds),
    ):
        whole(name, value, least=1)
    recipes = list(dict.fromkeys(SPACES[method].recipe(u) for u in points(n_points, seed)))
    searched = range(FIRST_SEED, FIRST_SEED + seeds)
    table = _times(recipes, workloads, searched, steps, progress)
    best = table.sort_values("mean", kind="stable")["recipe"].tolist()[:rerun]
    final = _times(
        best, workloads, range(searched.stop, searched.stop + rerun_seeds), steps, progress
    )
    return Calibration(
        method, final.sort_values("mean", kind="stable")["recipe"].iloc[0], table, final
    )


def _times(
    recipes: Sequence[Recipe],
    workloads: Sequence[TrainingProblem],
    seeds: Sequence[int],
    steps: int | None,
    progress: Callable[[str], None] | None,
) -> pd.DataFrame:
    """Median steps to each target by recipe, and their geometric mean over the fewest."""
    import pandas as pd

    columns: dict[str, Any] = {"recipe": list(recipes)}
    ratios = []
    for w in workloads:
        most = w.steps if steps is None else steps
        each = np.array([[steps_to_target(w, r, s, most) for s in seeds] for r in recipes])
        columns[w.name] = np.median(each, axis=1)
        counted = np.where(np.isfinite(columns[w.name]), columns[w.name], PENALTY * most)
        ratios.append(counted / counted.min())
        if progress is not None:
            progress(f"{w.name}: {len(recipes)} recipes, {len(seeds)} seeds")
    return pd.DataFrame({**columns, "mean": np.exp(np.mean(np.log(ratios), axis=0))})


# -- the score -------------------------------------------------------------------------------------


@checked
def algoperf_score(times: Any, r_max: float = 4.0, how: str = "exact") -> pd.Series:
    """AlgoPerf's score of each submission, in [0, 1]: the normalised area under its performance
    profile.

    B_s = 1/(r_max - 1) times the integral from 1 to r_max of the share of workloads with time <=
    tau times the fastest submission's. A workload whose target nobody reached is left out, with a
    warning. The score depends on who takes part.

    Args:
        times: Submissions x workloads (a DataFrame, a mapping of mappings, or rows), time to the
            target > 0, infinite where it was missed.
        r_max: Largest ratio that counts, > 1.
        how: "exact", the closed form, mean over workloads of (r_max - r)_+ / (r_max - 1); or
            "trapezoid", the official code's rule with 100 points.

    Returns:
        A score for each submission.

    Raises:
        ArgumentError: A time that is no number > 0, or a setting out of its range.
        ShapeError: No submission or no workload.

    Examples:
        >>> algoperf_score([[10, 20], [20, 10]]).round(5).tolist()
        [0.83333, 0.83333]

    References:
        Dahl et al., arXiv 2306.07179.
    """
    import pandas as pd

    with naming("times"):
        if isinstance(times, Mapping):
            rows = {k: dict(v) for k, v in times.items()}
            table = pd.DataFrame.from_dict(rows, orient="index").astype(float)
        else:
            table = pd.DataFrame(times).astype(float)
    real("r_max", r_max, above=1)
    if table.empty:
        raise ShapeError(
            f"times has shape {table.shape}, expected submissions x workloads, at least one of each"
        )
    if table.isna().any(axis=None) or (table <= 0).any(axis=None):
        raise ArgumentError("times: expected numbers > 0, infinite where a target was missed")
    if how not in ("exact", "trapezoid"):
        raise ArgumentError(f"how={how!r}: expected 'exact' or 'trapezoid'")
    missed = [str(c) for c in table.columns if not np.isfinite(table[c]).any()]
    if missed:
        warn(
            f"times: nobody reached the target of {', '.join(missed)}, so it is left out of the "
            "score"
        )
        table = table.drop(columns=[c for c in table.columns if str(c) in missed])
    if table.empty:
        return pd.Series(0.0, index=table.index, name="score")
    ratios = table.to_numpy() / table.min(axis=0).to_numpy()
    if how == "exact":
        score = np.maximum(0.0, (r_max - ratios) / (r_max - 1)).mean(axis=1)
    else:
        taus = np.linspace(1.0, r_max, 100)
        score = np.trapezoid((ratios[:, :, None] <= taus).mean(axis=1), taus, axis=1) / (r_max - 1)
    return pd.Series(score, index=table.index, name="score")
