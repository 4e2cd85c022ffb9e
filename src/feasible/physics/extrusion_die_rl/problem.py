"""DieTask: a policy that meets any target of a die in few simulations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.checks import real, whole
from ...core.problem import Problem
from ...core.verdict import Verdict
from ..errors import InvalidShape, NotConverged
from .agent import DiePolicy, Played, play

if TYPE_CHECKING:
    from jaxtyping import Float

    from .env import DieEnv

LIST = 0
"""Seed of the targets that policies are judged on."""


def free(**amounts: float) -> None:
    """Charge nothing."""


@dataclass(eq=False)
class DieTask(Problem):
    """Learn a policy that brings the die with two outlets to a target in few simulations.

    An answer is a `DiePolicy`. The judge asks it for a fixed list of targets, from the undeformed
    die; its objective is the mean number of simulations, the start's included, a target that was
    missed counted as one more than an episode has. Its metrics are the share of targets met, the
    median, and the share whose last design meets the target on a mesh of half the width too: there
    the policy was never trained. Training is charged an `evaluations` for each simulation.

    Attributes:
        h: Cells for each unit of length, of the mesh that is trained on.
        viscosity: As `StokesSolver2D` takes it.
        targets: How many targets the judge has.
        tolerance: Error at which a target is met.
        max_steps: Of an episode.
        name: What it is called.

    Raises:
        ArgumentError: A number out of range.
    """

    h: int = 2
    viscosity: Any = "newtonian"
    targets: int = 50
    tolerance: float = 0.02
    max_steps: int = 50
    name: str = "die-task"

    answers: ClassVar[tuple[type, ...]] = (DiePolicy,)
    example_budget: ClassVar[str] = "evaluations=3000"
    trail_growth: float = 8.0
    objective_title: ClassVar[str] = "mean simulations"
    last = True

    def __post_init__(self) -> None:
        whole("h", self.h, least=2, most=32)
        whole("targets", self.targets, least=1, most=10_000)
        whole("max_steps", self.max_steps, least=1)
        real("tolerance", self.tolerance, above=0)
        drawn = np.random.default_rng(LIST).uniform(0.25, 0.65, self.targets)
        self.wanted: Float[np.ndarray, " t"] = drawn
        self._envs: dict[str, DieEnv] = {}

    def env(self, strategy: str, charged: bool = True, **more: Any) -> DieEnv:
        """An environment of the task."""
        from .env import die_split

        found = die_split(
            strategy,
            h=self.h,
            viscosity=self.viscosity,
            tolerance=self.tolerance,
            max_steps=self.max_steps,
            **more,
        )
        if not charged:
            found.spend = free
        return found

    @cached_property
    def finer(self) -> Any:
        """The die on the judge's mesh."""
        from .dies import split_die

        return split_die(2 * self.h, self.viscosity)

    def played(self, policy: DiePolicy) -> tuple[Played, Float[np.ndarray, " t"]]:
        """What a policy does on the list, and the errors of its last designs on the finer mesh, of
        one that has no flow there infinite.
        """
        if policy.strategy not in self._envs:
            self._envs[policy.strategy] = self.env(policy.strategy, charged=False)
        designs: list[Any] = []
        found = play(policy, self._envs[policy.strategy], self.wanted, designs)
        known: dict[bytes, float] = {}
        for values in designs:
            if values.tobytes() not in known:
                known[values.tobytes()] = self._finer_share(values)
        shares = np.array([known[v.tobytes()] for v in designs])
        return found, np.abs(shares - self.wanted)

    def _finer_share(self, values: Any) -> float:
        """The upper outlet's share in a design on the finer mesh; infinite without a flow there."""
        try:
            return float(self.finer.quality(values)[0])
        except (InvalidShape, NotConverged):
            return float("inf")

    def judge(self, answer: Any) -> Verdict:
        """Ask the policy for every target."""
        if not isinstance(answer, DiePolicy) or not answer.weights:
            return Verdict(float("nan"), float("inf"))
        found, errors = self.played(answer)
        cost = np.where(found.success, found.simulations, self.max_steps + 1)
        return Verdict(
            float(cost.mean()),
            metrics={
                "success": float(found.success.mean()),
                "median_simulations": float(np.median(cost)),
                "finer_mesh_success": float((errors < self.tolerance).mean()),
                "finer_mesh_error": float(np.median(errors)),
            },
        )

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        rows: list[tuple[str, ...]] = [("metric", "value")]
        rows.append((self.objective_title, f"{verdict.objective:.4g}"))
        return rows + [(k.replace("_", " "), f"{v:.4g}") for k, v in verdict.metrics.items()]
