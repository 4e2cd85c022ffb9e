"""DieTask: a policy that meets any target of a die in few simulations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ...core.checks import one_of, real, whole
from ...core.problem import Problem
from ...core.verdict import Verdict
from ..errors import InvalidShape, NotConverged
from .agent import DiePolicy, Played, play
from .dies import CELLS, TOLERANCE, distance

if TYPE_CHECKING:
    from jaxtyping import Float

    from .dies import Die
    from .env import DieEnv

LIST = 0
"""Seed of the goals that policies are judged on."""


def free(**amounts: float) -> None:
    """Charge nothing."""


@dataclass(eq=False)
class DieTask(Problem):
    """Learn a policy that brings a die to its goal in few simulations.

    The goals of the die with two outlets are shares of the flow, from the undeformed die; that of
    the channel is an even flow, from random designs. An answer is a `DiePolicy`. The judge asks it
    for a fixed list of goals; its objective is the mean number of simulations, the start's
    included, a goal that was missed counted as one more than an episode has. Its metrics are the
    share of goals met, the median, and the share whose last design meets the goal on a mesh of half
    the width too: there the policy was never trained. Training is charged an `evaluations` for each
    simulation.

    Attributes:
        h: Cells for each unit of length, of the mesh that is trained on. The channel's has 15 by 9
            at 2, and as many times more as h is.
        viscosity: As `StokesSolver2D` takes it.
        targets: How many goals the judge has.
        tolerance: Error at which a goal is met; of the channel the sum of squares of its qualities,
            for which `die_task` takes 0.15.
        max_steps: Of an episode.
        name: What it is called.
        die: "split" or "channel".

    Raises:
        ArgumentError: A number out of range.
    """

    h: int = 2
    viscosity: Any = "newtonian"
    targets: int = 50
    tolerance: float = TOLERANCE["split"]
    max_steps: int = 50
    name: str = "die-task"
    die: Literal["split", "channel"] = "split"

    answers: ClassVar[tuple[type, ...]] = (DiePolicy,)
    example_budget: ClassVar[str] = "evaluations=3000"
    trail_growth: float = 8.0
    objective_title: ClassVar[str] = "mean simulations"
    last = True

    def __post_init__(self) -> None:
        whole("h", self.h, least=2, most=32)
        whole("targets", self.targets, least=1, most=10_000)
        whole("max_steps", self.max_steps, least=1)
        one_of("die", self.die, ("split", "channel"))
        real("tolerance", self.tolerance, above=0)
        self._envs: dict[str, DieEnv] = {}

    @cached_property
    def wanted(self) -> Float[np.ndarray, "t ..."]:
        """The shares that are asked for, or the channel's designs at the start."""
        rng = np.random.default_rng(LIST)
        if self.die == "split":
            return rng.uniform(0.25, 0.65, self.targets)
        die, found = self.finer, list[Any]()
        while len(found) < self.targets:
            start = die.drawn(rng)
            if not any(die.violations(start).values()):
                found.append(start)
        return np.array(found)

    @property
    def goals(self) -> list[dict[str, Any]]:
        """The list as `DieEnv.reset` takes it."""
        if self.die == "split":
            return [{"target": float(share)} for share in self.wanted]
        return [{"start": start} for start in self.wanted]

    def env(self, strategy: str, charged: bool = True, **more: Any) -> DieEnv:
        """An environment of the task."""
        from .env import DIES

        found = DIES[self.die](
            strategy,
            **self._mesh(1),
            viscosity=self.viscosity,
            tolerance=self.tolerance,
            max_steps=self.max_steps,
            **more,
        )
        if not charged:
            found.spend = free
        return found

    def _mesh(self, times: int) -> dict[str, Any]:
        """What says how fine a mesh is that has so many times the cells along each side."""
        if self.die == "split":
            return {"h": times * self.h}
        return {"cells": tuple(max(n * times * self.h // 2, 3) for n in CELLS)}

    @cached_property
    def finer(self) -> Die:
        """The die on the judge's mesh."""
        from .dies import channel_die, split_die

        make: Any = split_die if self.die == "split" else channel_die
        return make(**self._mesh(2), viscosity=self.viscosity)

    def played(self, policy: DiePolicy) -> tuple[Played, Float[np.ndarray, " t"]]:
        """What a policy does on the list, and the errors of its last designs on the finer mesh, of
        one that has no flow there infinite.
        """
        if policy.strategy not in self._envs:
            self._envs[policy.strategy] = self.env(policy.strategy, charged=False)
        env, designs = self._envs[policy.strategy], list[Any]()
        found = play(policy, env, self.goals, designs)
        known: dict[bytes, Any] = {}
        for values in designs:
            if values.tobytes() not in known:
                known[values.tobytes()] = self._finer(values)
        errors = []
        for values, wanted in zip(designs, self.wanted, strict=True):
            goal = wanted if self.die == "split" else 0.0
            errors.append(distance(known[values.tobytes()] - goal))
        return found, np.array(errors)

    def _finer(self, values: Any) -> Any:
        """A design's quality on the finer mesh; infinite without a flow there."""
        try:
            return self.finer.quality(values)
        except (InvalidShape, NotConverged):
            return np.full(len(self.finer.undeformed), np.inf)

    def judge(self, answer: Any) -> Verdict:
        """Ask the policy for every goal."""
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
