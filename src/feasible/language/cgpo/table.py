"""A finite set of responses to each prompt: policies, rewards and judgements are tables.

    maximise  sum_s sum_a pi(a | s) r(s, a) / n   subject to   pi(satisfied | s) near 1

The judge knows the tables, so satisfaction, reward and divergence of a policy are exact. A policy
is a table of log-probabilities; the reference is one too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from ...core.annotations import Checked
from ...core.budget import spend
from ...core.cached import Cached
from ...core.checks import numbers, real, whole
from ...core.errors import ArgumentError, NotFinite, ShapeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from .losses import Rollouts

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor


@dataclass
class ResponseTable(Cached, Problem, Checked):
    """Learn which responses to give, from samples.

    Attributes:
        reward: (n, m) reward of each of the m responses to each of the n prompts.
        judges: Name -> (n, m) whether a response satisfies it.
        reference: (n, m) logits of the reference policy; None: all responses are alike.
        baseline: (n,) the baseline response of each prompt; None: the reference's most likely one.
        tolerance: Largest share of violations of a judge that counts as feasible.
        name: For tables.

    Raises:
        ShapeError: Tables of different shapes.
        NotFinite: A NaN or an infinity.
        ArgumentError: A judgement that is neither 0 nor 1, or a baseline that is no response.
    """

    reward: Any
    judges: Mapping[str, Any] = field(default_factory=dict)
    reference: Any = None
    baseline: Any = None
    tolerance: float = 0.01
    name: str = "response-table"

    example_budget: ClassVar[str] = "samples=2560"
    objective_title: ClassVar[str] = "reward"
    sign: float = -1.0
    last: ClassVar[bool] = True
    trail_growth: float = 1.5

    def __post_init__(self) -> None:
        real("tolerance", self.tolerance, least=0, below=1)
        self.reward = self._table("reward", self.reward)
        if 0 in self.reward.shape:
            raise ShapeError(
                f"reward has shape {self.reward.shape}: expected (n, m), none of them 0"
            )
        self.judges = {str(k): self._judged(str(k), v) for k, v in self.judges.items()}
        uniform = np.zeros_like(self.reward)
        logits = uniform if self.reference is None else self._table("reference", self.reference)
        self.reference = torch.log_softmax(torch.as_tensor(logits), -1).numpy()
        n, m = self.reward.shape
        if self.baseline is None:
            self.baseline = self.reference.argmax(1)
        given = numbers("baseline", self.baseline)
        if np.shape(given) != (n,):
            raise ShapeError(f"baseline has shape {np.shape(given)}, expected ({n},)")
        self.baseline = np.array([whole("baseline", b, least=0, most=m - 1) for b in given])
        best = np.where(self.satisfied, self.reward, -math.inf).max(1)
        self.best_known = -float(best.mean()) if np.isfinite(best).all() else None

    def _table(self, name: str, value: Any) -> Float[np.ndarray, "n m"]:
        """Read a table of numbers."""
        found = np.array(numbers(name, value), float)
        wanted = getattr(self.reward, "shape", None) if name != "reward" else None
        if found.ndim != 2 or (wanted is not None and found.shape != wanted):
            raise ShapeError(f"{name} has shape {found.shape}, expected {wanted or '(n, m)'}")
        if not np.isfinite(found).all():
            raise NotFinite(f"{name}: expected finite numbers, got a NaN or an infinity")
        return found

    def _judged(self, name: str, value: Any) -> Bool[np.ndarray, "n m"]:
        """Read a table of judgements."""
        found = self._table(f"judges[{name!r:.40}]", value)
        if not np.isin(found, (0, 1)).all():
            raise ArgumentError(f"judges[{name!r:.40}]: expected only 0 and 1")
        return found.astype(bool)

    @property
    def satisfied(self) -> Bool[np.ndarray, "n m"]:
        """Whether every judge is satisfied."""
        return np.logical_and.reduce([np.ones_like(self.reward, bool), *self.judges.values()])

    def tables(self) -> dict[str, Tensor]:
        """Reward, judgements and reference as tensors of float64, made once."""

        def make() -> dict[str, Tensor]:
            return {
                "reward": torch.as_tensor(self.reward),
                "satisfied": torch.as_tensor(self.satisfied),
                "reference": torch.as_tensor(self.reference),
                "baseline": torch.as_tensor(self.baseline)[:, None],
            }

        found: dict[str, Tensor] = self.cached("tables", make)
        return found

    def draw(
        self, logp: Float[Tensor, "n m"], k: int, generator: torch.Generator
    ) -> Int[Tensor, "n K"]:
        """K responses to each prompt from a policy; charges n K samples.

        Args:
            logp: (n, m) log-probabilities.
            k: Responses a prompt.
            generator: What they are drawn from.
        """
        spend(samples=len(self.reward) * whole("k", k, least=1))
        return torch.multinomial(logp.detach().exp(), k, replacement=True, generator=generator)

    def rollouts(self, logp: Float[Tensor, "n m"], drawn: Int[Tensor, "n K"]) -> Rollouts:
        """What is known of drawn responses under a policy's log-probabilities."""
        t = self.tables()
        at = t["baseline"]
        return Rollouts(
            logp.gather(1, drawn),
            t["reference"].gather(1, drawn),
            t["reward"].gather(1, drawn),
            t["satisfied"].gather(1, drawn),
            t["reward"].gather(1, at)[:, 0],
            base_logp=logp.gather(1, at)[:, 0],
            base_ref_logp=t["reference"].gather(1, at)[:, 0],
            base_judged=t["satisfied"].gather(1, at)[:, 0],
        )

    def judge(self, answer: Any) -> Verdict:
        """Measure a policy exactly.

        Args:
            answer: (n, m) log-probabilities; they are normalised.
        """
        given = torch.as_tensor(np.asarray(answer, float))
        if given.shape != self.reward.shape or not bool(torch.isfinite(given).all()):
            return Verdict(math.nan, math.inf, self.tolerance)
        logp = torch.log_softmax(given, -1).numpy()
        p = np.exp(logp)
        each = {k: float((p * ~v).sum(1).mean()) for k, v in self.judges.items()}
        satisfied = p * self.satisfied
        share = float(satisfied.sum(1).mean())
        reward = float((p * self.reward).sum(1).mean())
        on = float((satisfied * self.reward).sum(1).mean()) / share if share > 0 else math.nan
        return Verdict(
            -reward,
            max(each.values(), default=0.0),
            self.tolerance,
            violations=each,
            metrics={
                "satisfaction": share,
                "reward_on_satisfied": on,
                "reward": reward,
                "kl": float((p * (logp - self.reference)).sum(1).mean()),
                "entropy": float(-(p * logp).sum(1).mean()),
            },
        )

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """Each judge's satisfaction, and the reward."""
        rows = [(f"satisfies {k}", f"{1 - v:.4f}") for k, v in verdict.violations.items()]
        return [("prompts", str(len(self.reward))), *rows]
