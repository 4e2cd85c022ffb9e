"""Runs and races in Python's own logging."""

from __future__ import annotations

import logging
import time

from ...core.result import Result
from ...core.run import Run
from ...core.trail import Point
from ..console import best_text
from ..trials import Race, Trial


class Log:
    """Observer that writes to a logger: when a run begins, its best so far now and then, when and
    why it ended; of a race each trial that ended.

    Args:
        logger: A logger, or its name.
        level: At which it writes; failures are warnings.
        every: Seconds between two lines about one run.

    Example:
        >>> import logging, feasible
        >>> from feasible.lab.observers import Log
        >>> logging.basicConfig(level=logging.INFO)
        >>> problem = feasible.blackbox.BlackBox(lambda x: x[0] ** 2, bounds=[(-1, 1)])
        >>> result = feasible.solve(problem, "random-search", budget=20, observers=Log())
    """

    def __init__(
        self,
        logger: logging.Logger | str = "feasible",
        level: int = logging.INFO,
        every: float = 5.0,
    ):
        self.logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self.level, self.every = level, every
        self._last = 0.0

    def on_start(self, run: Run) -> None:
        """Say what begins."""
        self._last = time.monotonic()
        self.logger.log(
            self.level,
            "%s: %s by %s begins, seed %d, budget %s",
            *(_name(run), run.problem.name, run.method.name, run.seed, run.budget),
        )

    def on_point(self, run: Run, point: Point) -> None:
        """Say the best so far, now and then."""
        now = time.monotonic()
        if now - self._last < self.every:
            return
        self._last = now
        spent = ", ".join(f"{v:g} {k}" for k, v in point.spent.items() if v)
        best = best_text(point, run.problem.sign)
        self.logger.log(
            self.level, "%s: %s after %s", _name(run), best, spent or f"{point.step} steps"
        )

    def on_finish(self, run: Run, result: Result) -> None:
        """Say how it ended."""
        lead = result.text().splitlines()[0]
        self.logger.log(self.level, "%s: %s; %s", _name(run), lead, result.stopped)

    def on_error(self, run: Run, error: Exception) -> None:
        """Warn of the exception that ended it."""
        self.logger.warning("%s: ended by %s: %s", _name(run), type(error).__name__, error)

    def on_race(self, race: Race, total: int, finished: int) -> None:
        """Say what begins."""
        said = "race %s: %d of %d trials are there"
        self.logger.log(self.level, said, race.name, finished, total)

    def on_trial(self, trial: Trial) -> None:
        """Say how a trial ended; a failed one is a warning."""
        where = (trial.problem, trial.method, trial.seed)
        if trial.status == "failed":
            why = (trial.error or "no reason was recorded").splitlines()[0]
            self.logger.warning("%s by %s, seed %d failed: %s", *where, why)
            return
        found = f"{trial.objective:.6g}" if trial.feasible else f"violation {trial.violation:.3g}"
        self.logger.log(self.level, "%s by %s, seed %d: %s", *where, found)


def _name(run: Run) -> str:
    """Return what a log calls a run."""
    return run.label or run.problem.name
