"""pareto_front: the front of a control problem, without a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core.annotations import checked
from ...core.checks import generator, real, whole
from ...core.front import Front
from .problem import PDEControl
from .run import FrontMethod, way
from .settings import WalkSettings

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, slots=True)
class ControlFront(Front):
    """Critical controls that no other found one dominates, ordered by the first objective.

    Attributes:
        points: (n, d) the controls.
        objectives: (n, k) J on the problem's own mesh.
        violations: (n,) zeros.
        ideal: (k,) the individual minima.
        nadir: (k,) the largest values at the others' minimisers.
        state_solves: Nonlinear solves of the full equation.
        reduced_solves: Solves in the reduced basis.
        stopped: Why it ended.
    """

    ideal: Float[np.ndarray, " k"]
    nadir: Float[np.ndarray, " k"]
    state_solves: int
    reduced_solves: int
    stopped: str

    @property
    def scaled(self) -> Float[np.ndarray, "n k"]:
        """(n, k) the objectives with the ideal point at 0 and the nadir point at 1."""
        return (self.objectives - self.ideal) / (self.nadir - self.ideal)


@checked
def pareto_front(
    problem: PDEControl,
    method: str = "reference-point",
    n_points: int = WalkSettings.n_points,
    rom: float | None = None,
    seed: int = 0,
) -> ControlFront:
    """The front of a control problem.

    Args:
        problem: The problem.
        method: "reference-point" (evenly spread), "weighted-sum" (of scaled objectives),
            "continuation", "common-descent" (from random starts) or "subdivision" (boxes, at most
            four controls).
        n_points: About how many points; boxes have as many as they have.
        rom: Relative error of the states of a reduced basis, certified; None: full states.
        seed: Of starts and samples.

    Returns:
        The front, with what it cost.

    Raises:
        ArgumentError: An unknown method; n_points or rom out of range.
        UnsupportedConstraint: More than two objectives for a walk, more than four controls for
            boxes.
        NotConverged: The state equation of no start can be solved.

    Example:
        >>> from feasible.physics import pareto_front, two_halves
        >>> front = pareto_front(two_halves(mesh=7), n_points=6)
        >>> bool((np.diff(front.objectives[:, 0]) > 0).all())
        True

    References:
        arXiv 2308.01113.
    """
    tolerance = 0.0 if rom is None else real("rom", rom, above=0, below=1)
    points = {} if method == "subdivision" else {"n_points": whole("n_points", n_points, least=2)}
    chosen = way(method, rom_tol=tolerance, **points)
    return walked(problem, chosen, generator("seed", seed))


def walked(problem: PDEControl, way: FrontMethod, rng: np.random.Generator) -> ControlFront:
    """Go a way to its end, and count what it costs."""
    spent = {"state_solves": 0, "reduced_solves": 0, "linear_solves": 0}

    def count(**amounts: int) -> None:
        for name, n in amounts.items():
            spent[name] += n

    state = way.init(problem, rng)
    while way.done(problem, state) is None:
        oracle = way.oracle(problem, state)
        oracle.spend = count
        way.go(problem, oracle, state)
    found = way.answer(problem, state)
    order = np.argsort(found.objectives[:, 0])
    return ControlFront(
        found.points[order],
        found.objectives[order],
        found.violations[order],
        state.ideal,
        state.ideal + state.span,
        spent["state_solves"],
        spent["reduced_solves"],
        state.ended,
    )
