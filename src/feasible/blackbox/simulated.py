"""Noise that a problem simulates."""

from __future__ import annotations

from ..core.ledger import Observations
from ..core.run import Run
from .calling import Evaluable


def add_noise(problem: Evaluable, run: Run, rows: Observations) -> None:
    """Add the noise that the problem simulates, a stream for each row's number."""
    if problem.simulated_noise:
        objective = problem.goal
        for i, row in enumerate(rows.id.tolist()):
            shift = problem.simulated_noise * run.rng(1, row).standard_normal()
            rows.values[i, 0] += objective.sign * shift
            if objective.target is None:
                rows.objective[i] += shift
            elif rows.objective[i] == rows.objective[i]:
                rows.objective[i] = objective.minimised(rows.values[i, 0])
