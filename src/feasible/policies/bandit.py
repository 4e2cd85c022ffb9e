"""Bandit: arms with known features and unknown rewards; which is the best, in few queries?

    maximise  r(a)  over the arms a;   |r(a) - phi(a) . theta| <= eps for some theta

An answer is an arm. A query of an arm spends one evaluation.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.annotations import Checked
from ..core.budget import spend
from ..core.cached import Cached
from ..core.checks import numbers, real, whole
from ..core.errors import ArgumentError, NotFinite, ShapeError
from ..core.plain import digest
from ..core.problem import Problem
from ..core.run import active_run
from ..core.verdict import Verdict

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass
class Choice:
    """An arm that a method would play.

    Attributes:
        arm: Its row in the features.
        guarantee: By how much its reward is below the best one at most, if the model holds; None
            where nothing is known.
        theta: The parameter that it was chosen by, as feature -> weight; empty where there is none.
    """

    arm: int
    guarantee: float | None = None
    theta: dict[str, float] | None = None


def unit_rows(name: str, features: Any) -> tuple[Float[np.ndarray, "K d"], float]:
    """Features whose longest row has at most length 1, and what they were divided by.

    Args:
        name: The argument, for errors.
        features: (K, d).

    Raises:
        ShapeError: Not a matrix with rows and columns.
        NotFinite: A NaN or an infinity.
    """
    given = numbers(name, features)
    if given.ndim != 2 or 0 in given.shape:
        raise ShapeError(f"{name} has shape {given.shape}, expected (K, d), arms by features")
    if not np.isfinite(given).all():
        raise NotFinite(f"{name}: expected finite numbers, got a NaN or an infinity")
    longest = float(np.linalg.norm(given, axis=1).max())
    if longest > 1 + 1e-12:
        warnings.warn(
            f"{name}: the longest row has length {longest:.4g}; all are divided by it, and the "
            "guarantee is for |theta| <= 1 on the divided rows",
            stacklevel=3,
        )
        return given / longest, longest
    return given, 1.0


@dataclass
class Bandit(Cached, Problem, Checked):
    """Find the best of many arms.

    Attributes:
        features: (K, d) known features, rows of length 1 at most (longer ones are divided, with a
            warning).
        rewards: (K,) expected rewards, which no method sees. Where an experiment is the reward, use
            the native `ask` and `tell`, such as those of `SparseElimination`.
        noise_std: Standard deviation of a query's noise.
        sparsity: Number of features that matter, where it is known.
        eps: Bound on what a linear function misses of the rewards, where it is known.
        name: For tables.

    Raises:
        ShapeError: Rewards that are not one for each arm.
        NotFinite: A NaN or an infinity.
        ArgumentError: A setting out of its range.
    """

    features: Any
    rewards: Any
    noise_std: float = 0.0
    sparsity: int | None = None
    eps: float | None = None
    name: str = "bandit"

    answers: ClassVar[tuple[type, ...]] = (Choice,)
    example_budget: ClassVar[str] = "evaluations=60"
    objective_title: ClassVar[str] = "reward"
    sign: float = -1.0

    def __post_init__(self) -> None:
        self.features, self.scale = unit_rows("features", self.features)
        self.rewards = numbers("rewards", self.rewards)
        if self.rewards.shape != (len(self.features),):
            raise ShapeError(
                f"rewards has shape {self.rewards.shape}, expected ({len(self.features)},), one "
                "for each arm"
            )
        if not np.isfinite(self.rewards).all():
            raise NotFinite("rewards: expected finite numbers, got a NaN or an infinity")
        real("noise_std", self.noise_std, least=0)
        if self.sparsity is not None:
            whole("sparsity", self.sparsity, least=1, most=self.d)
        if self.eps is not None:
            real("eps", self.eps, above=0)
        self.best_known = -float(self.rewards.max())

    @property
    def d(self) -> int:
        """Features."""
        return int(self.features.shape[1])

    def query(self, arm: int, times: int = 1) -> float:
        """The mean reward of pulling an arm some times; charges as many evaluations.

        Args:
            arm: Its row.
            times: Pulls.

        Raises:
            ArgumentError: No such arm.
        """
        arm = whole("arm", arm, least=0, most=len(self.rewards) - 1)
        spend(evaluations=times)
        run = active_run.get()
        noise = 0.0
        if self.noise_std:
            rng = np.random.default_rng() if run is None else run.rng(run.step)
            noise = self.noise_std * float(rng.standard_normal()) / math.sqrt(times)
        return float(self.rewards[arm]) + noise

    def judge(self, answer: Any) -> Verdict:
        """The expected reward of the arm, and how far it is from the best."""
        if answer is None:
            return Verdict(math.nan, math.inf)
        arm = getattr(answer, "arm", answer)
        if not 0 <= arm < len(self.rewards):
            raise ArgumentError(f"answer: arm {arm}, expected one of {len(self.rewards)}")
        reward, best = float(self.rewards[arm]), float(self.rewards.max())
        metrics = {"gap": best - reward}
        guarantee = getattr(answer, "guarantee", None)
        if guarantee is not None:
            metrics["guarantee"] = float(guarantee)
        return Verdict(-reward, 0.0, residual=best - reward, metrics=metrics)

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The arm and its guarantee as rows of text."""
        rows: list[tuple[str, ...]] = [("arm", str(answer.arm))]
        if answer.guarantee is not None:
            rows.append(("below the best by at most", f"{answer.guarantee:.4g}"))
        if answer.theta:
            weights = ", ".join(f"{k}: {v:.4g}" for k, v in answer.theta.items())
            rows.append(("weights of features", weights))
        return rows

    def reached(self, verdict: Verdict) -> str:
        """What an arm reaches."""
        return f"reward {-verdict.objective:.6g}"

    def fingerprint(self) -> dict[str, Any]:
        """Features, rewards and noise."""
        return {
            "features": digest(self.features),
            "rewards": digest(self.rewards),
            "noise_std": self.noise_std,
        }
