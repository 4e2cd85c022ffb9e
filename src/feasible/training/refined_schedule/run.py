"""RefinedRecipe: linear decay refined by gradient norms, as a run (arXiv 2310.07831, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core.errors import ArgumentError, is_number
from ..problem import TrainingProblem
from ..recipe import Recipe, RecipeState
from .refined import TAU, GradNormLogger, Refined, kind_of, refine_schedule


@dataclass(slots=True)
class Refining(RecipeState):
    """Where training stands, and what was logged.

    Attributes:
        log: Norms of the logged run so far.
        rng: Draws the second run.
        logging: Whether the first model is still trained.
    """

    log: GradNormLogger | None = None
    rng: np.random.Generator | None = None
    logging: bool = False


@dataclass(frozen=True)
class RefinedRecipe(Recipe):
    """Spend a share of the budget on a run with linear decay that logs gradient norms, then train
    anew with the schedule refined from them.

    Where the refined schedule degenerates, linear decay takes its place with a
    DegenerateScheduleWarning. The answer is the weights of the second run, from its first step on.

    Attributes:
        schedule: "linear", under which norms are logged.
        warmup: 0; the refined schedule finds its own.
        logging: That share of the steps, in (0, 1).
        norms: (T,) norms of an earlier run, or the file that a `GradNormLogger` saved; then nothing
            is logged.
        tau: Of the median filter, in (0, 0.5].

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.

    References:
        Defazio, Cutkosky, Mehta, Mishchenko, arXiv 2310.07831.
    """

    name: ClassVar[str] = "refined-recipe"

    schedule: str = "linear"
    logging: float = 0.5
    norms: str | Sequence[float] | None = None
    tau: float = TAU

    def __post_init__(self) -> None:
        if self.schedule != "linear":
            raise ArgumentError(
                f"schedule='{self.schedule}': norms are logged under 'linear', whose guarantee the "
                "refinement improves"
            )
        if self.warmup:
            raise ArgumentError(
                f"warmup={self.warmup!r}: the refined schedule finds its warm-up from the norms; "
                "expected 0"
            )
        if not is_number(self.logging) or not 0 < self.logging < 1:
            raise ArgumentError(
                f"logging={self.logging!r}: expected a share of the steps, above 0 and below 1"
            )
        if not is_number(self.tau) or not 0 < self.tau <= 0.5:
            raise ArgumentError(f"tau={self.tau!r}: expected a share above 0 and at most 0.5")
        Recipe.__post_init__(self)

    def tools(self, parameters: Any, steps: int) -> tuple[Any, Any]:
        """The optimiser and the scheduler; the given norms refined for so many steps, or linear
        decay.
        """
        parameters = list(parameters)
        optimizer, linear = Recipe.tools(self, parameters, steps)
        if self.norms is None or steps < 2:
            return optimizer, linear
        kind = kind_of(optimizer)
        norms = (
            getattr(GradNormLogger.load(self.norms), kind)
            if isinstance(self.norms, str)
            else self.norms
        )
        return self._follow(
            parameters, refine_schedule(norms, kind, tau=self.tau, total_steps=steps)
        )

    def first(self, problem: TrainingProblem) -> int:
        """Steps of the logged run."""
        return (
            0
            if self.norms is not None
            else min(max(2, round(self.logging * problem.horizon())), problem.horizon() - 2)
        )

    def init(self, problem: TrainingProblem, rng: np.random.Generator) -> Refining:
        """A new model and optimiser, for the logged run or the only one."""
        logged = self.first(problem)
        if self.norms is None and logged < 2:
            raise ArgumentError(
                f"budget of {problem.horizon()} steps: expected at least 4, 2 to log and 2 to train"
            )
        model, batches = problem.begin(rng)
        shares = 1 - np.arange(logged) / max(logged, 1)
        optimizer, scheduler = (
            self._follow(model.parameters(), shares)
            if logged
            else self.tools(model.parameters(), problem.horizon())
        )
        return Refining(
            model,
            optimizer,
            scheduler,
            batches,
            log=GradNormLogger(model.parameters()),
            rng=rng,
            logging=logged > 0,
        )

    def _follow(self, parameters: Any, shares: np.ndarray) -> tuple[Any, Any]:
        """An optimiser that follows these shares. One class of scheduler for both runs, so that a
        checkpoint of either can be read.
        """
        optimizer, _ = Recipe.tools(self, parameters, len(shares))
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        return optimizer, Refined(optimizer, shares)

    def step(self, problem: TrainingProblem, state: Any) -> Refining:
        """One step of the run at hand; after the last logged one a new model and the refined
        schedule.
        """
        if state.logging and state.steps == self.first(problem):
            state.model, state.batches = problem.begin(state.rng)
            kind = kind_of(state.optimizer)
            shares = refine_schedule(
                getattr(state.log, kind),
                kind,
                tau=self.tau,
                total_steps=problem.horizon() - state.steps,
            )
            state.optimizer, state.scheduler = self._follow(state.model.parameters(), shares)
            state.logging = False
        loss = problem.gradient(state.model, problem.batch(state.batches))
        if state.logging:
            state.log.record()
        state.optimizer.step()
        state.scheduler.step()
        state.steps, state.loss = state.steps + 1, float(loss)
        found: Refining = state
        return found
