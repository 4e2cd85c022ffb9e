"""What a bilevel program's judge measures: F and G where the lower level, solved anew, answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..core.budget import uncharged
from ..core.verdict import Verdict
from .extremes import Limit, SolutionSet
from .follower import Response, solve_follower
from .layout import tensor
from .lower import Lower
from .quadratic import SOLVED

if TYPE_CHECKING:
    from jaxtyping import Float

    from .layout import Layout
    from .levels import Constraint, Follower
    from .sets import ConvexSet

MOST = 16
"""Combinations of several solutions of several followers that are looked at."""


class TwoLevels(Protocol):
    """What is judged: see `problem.Bilevel`."""

    respond: Callable[..., Any] | None
    sense: str
    sign: float
    lower_sign: float
    tolerance: float
    convex: bool
    measures: Callable[..., Mapping[str, float]] | None
    x_set: Any
    X: ConvexSet
    G: tuple[Constraint, ...]
    x_layout: Layout
    y_start: Tensor
    followers: tuple[Follower, ...]

    def split_y(self, y: Tensor) -> Any:
        """Return the vector y as the lower level's tensors."""

    def join_y(self, y: Any) -> Tensor:
        """Return a response as one vector."""

    def upper_value(self, x: Tensor, y: Tensor) -> Tensor:
        """The upper objective."""

    def lower_value(self, x: Tensor, y: Tensor) -> Tensor:
        """The lower objective."""


@dataclass
class Answered:
    """The lower level's answer at one x.

    Attributes:
        y: (m,) a solution; None where a follower has none.
        value: f there.
        residual: The largest of the followers' conditions.
        faults: What became of followers that have no solution, by name.
        choices: Solutions (m,) that are as good, one at least.
        sets: One of each choice: by follower what else is as good near it.
    """

    y: Tensor | None = None
    value: float = float("nan")
    residual: float = 0.0
    faults: dict[str, str] = field(default_factory=dict)
    choices: list[Tensor] = field(default_factory=list)
    sets: list[list[SolutionSet]] = field(default_factory=list)

    @property
    def single(self) -> bool:
        """True if there is one solution only, as far as was seen."""
        return len(self.choices) == 1 and all(s.single for s in self.sets[0])


def answered(problem: TwoLevels, x: Float[Tensor, " n"], own: Tensor | None) -> Answered:
    """Solve the lower level at x, by `respond` where there is one.

    Args:
        problem: The program.
        x: (n,).
        own: (m,) a further start; None.
    """
    found = Answered()
    if problem.respond is not None:
        y = tensor("respond(x)", problem.join_y(problem.respond(problem.x_layout.split(x.clone()))))
        found.y, found.choices, found.sets = y, [y], [[]]
        if problem.followers[0].function is not None:
            found.value = float(problem.lower_value(x, y).detach())
        missed = {f.name: f.missed(x, y[f.part]) for f in problem.followers}
        found.residual = max(missed.values())
        for name, by in missed.items():
            if by > problem.tolerance * max(1.0, float(y.abs().max())):
                found.faults[name] = "infeasible"
        return found
    per: list[list[tuple[Tensor, SolutionSet]]] = []
    value, residual = 0.0, 0.0
    for f in problem.followers:
        starts = [problem.y_start[f.part]] + ([] if own is None else [own[f.part]])
        response: Response = solve_follower(f, x, starts[::-1], problem.tolerance, problem.convex)
        if response.status != SOLVED:
            found.faults[f.name] = response.status
            continue
        lower = Lower(f, x, problem.tolerance)
        per.append([(s.y, SolutionSet(lower, s)) for s in response.solutions])
        value += min(s.value for s in response.solutions)
        residual = max(residual, response.solutions[0].residual)
    if not found.faults:
        for some in list(product(*per))[:MOST]:
            found.choices.append(torch.cat([y for y, _ in some]))
            found.sets.append([s for _, s in some])
        found.y, found.value, found.residual = found.choices[0], value, residual
    return found


def least(
    problem: TwoLevels,
    found: Answered,
    function: Callable[[Tensor], Tensor],
    limits: Sequence[Limit] = (),
) -> tuple[float, Tensor]:
    """Return the least value of a function of y over the lower level's solutions, and where.

    Several followers are looked at in turn, so that it is a value that no one of them improves.

    Args:
        problem: The program.
        found: Its lower level's solutions.
        function: From (m,) to a number.
        limits: See `SolutionSet.least`.
    """
    best: tuple[tuple[float, float], Tensor] | None = None
    for choice, sets in zip(found.choices, found.sets, strict=True):
        y = choice.clone()
        for _ in range(len(sets)):
            for follower, one in zip(problem.followers, sets, strict=True):
                if one.single:
                    continue
                within = _part(y, follower.part)
                value, part = one.least(
                    lambda t, within=within: function(within(t)),  # type: ignore[misc]
                    [(lambda t, of=of, within=within: of(within(t)), e) for of, e in limits],  # type: ignore[misc]
                )
                if value == -np.inf:
                    return value, y
                y = within(part)
        missed = max([_over(of(y).detach(), equal) for of, equal in limits], default=0.0)
        rank = (missed if missed > problem.tolerance else 0.0), float(function(y).detach())
        if best is None or rank < best[0]:
            best = rank, y
    assert best is not None
    return best[0][1], best[1]


def _part(y: Tensor, where: slice) -> Callable[[Tensor], Tensor]:
    """Return what puts one follower's part in its place."""
    return lambda part: torch.cat([y[: where.start], part, y[where.stop :]])


def _over(values: Tensor, equal: bool) -> float:
    """By how much values miss 0, or exceed it, at most."""
    return float((values.abs() if equal else values.clamp(min=0)).max())


def violations(problem: TwoLevels, x: Tensor, y: Tensor) -> dict[str, float]:
    """By how much each upper constraint is missed at (x, y), and x misses its set."""
    found = {}
    if problem.x_set is not None:
        found["x_set"] = float((problem.X.project(x) - x).abs().max())
    with torch.no_grad():
        return found | {c.name: c.missed(c.function(x, y)) for c in problem.G}


def judge(problem: TwoLevels, x: Float[Tensor, " n"], own: Float[Tensor, " m"] | None) -> Verdict:
    """Measure x: see `problem.Bilevel.judge`."""
    with uncharged():
        return _judged(problem, x, own)


def _judged(problem: TwoLevels, x: Tensor, own: Tensor | None) -> Verdict:
    """The same, while nobody is charged."""
    found = answered(problem, x, own)
    if found.faults or found.y is None:
        said = {
            (f"follower '{name}' {what}" if name else f"follower {what}"): float("inf")
            for name, what in found.faults.items()
        }
        return Verdict(float("nan"), float("inf"), problem.tolerance, violations=said)

    def upper(y: Tensor) -> Tensor:
        return problem.upper_value(x, y)

    metrics: dict[str, float] = {}
    y = found.y
    if found.single:
        value = float(upper(y).detach())
        missed = violations(problem, x, y)
    else:
        limits = [(_at(c, x), c.equal) for c in problem.G]
        optimistic, best = least(problem, found, upper, limits)
        worst_value, worst = least(problem, found, lambda y: -upper(y))
        pessimistic = -worst_value
        size = max(1.0, min(abs(optimistic), abs(pessimistic)))
        if not pessimistic - optimistic <= 1e-9 * (size if size < np.inf else 1.0):
            metrics |= {
                "optimistic": problem.sign * optimistic,
                "pessimistic": problem.sign * pessimistic,
            }
        if not np.isfinite(optimistic if problem.sense == "optimistic" else pessimistic):
            said = {"upper objective unbounded over the follower's answers": float("inf")}
            return Verdict(
                float("nan"), float("inf"), problem.tolerance, violations=said, metrics=metrics
            )
        if problem.sense == "optimistic":
            value, y = optimistic, best
            missed = violations(problem, x, y)
        else:
            value, y = pessimistic, worst
            missed = violations(problem, x, y)
            for c in problem.G:
                for i in range(c.size):
                    _, at = least(problem, found, _lowest(c, x, i))
                    missed[c.name] = max(missed[c.name], c.missed(c.function(x, at).detach()))
    residual = None
    if problem.followers[0].function is not None:
        metrics["lower"] = problem.lower_sign * found.value
        if own is not None:
            with torch.no_grad():
                residual = float(problem.lower_value(x, own)) - found.value
                metrics["lower_gap"] = residual
                metrics["upper_own"] = problem.sign * float(problem.upper_value(x, own))
            metrics["lower_missed"] = max(f.missed(x, own[f.part]) for f in problem.followers)
    metrics["lower_residual"] = found.residual
    if problem.measures is not None:
        own_figures = problem.measures(problem.x_layout.split(x), problem.split_y(y))
        metrics |= {name: float(figure) for name, figure in own_figures.items()}
    violation = max(missed.values(), default=0.0)
    return Verdict(value, violation, problem.tolerance, residual, missed, metrics)


def _at(c: Constraint, x: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a constraint as a function of y."""
    return lambda y: c.function(x, y)


def _lowest(c: Constraint, x: Tensor, i: int) -> Callable[[Tensor], Tensor]:
    """Return what is least where row i of a constraint is missed most."""
    if c.equal:
        return lambda y: -c.function(x, y)[i].abs()
    return lambda y: -c.function(x, y)[i]
