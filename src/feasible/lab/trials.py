"""What a race leaves behind: one Trial for each problem, method and seed."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..core.pareto import Cloud
from ..core.trail import Point


@dataclass(slots=True)
class Trial:
    """One run of a race. objective and violation are of its best answer; design is a table of text
    for people.
    """

    problem: str
    method: str
    seed: int
    status: str = "done"
    """done, failed or pending."""
    objective: float = float("nan")
    violation: float = float("inf")
    feasible: bool = False
    spent: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    trail: list[Point] = field(default_factory=list)
    design: list[tuple[str, ...]] = field(default_factory=list)
    answer: list[float] | None = None
    stopped: str = ""
    error: str | None = None
    run: str | None = None
    cloud: Cloud | None = None
    """Its evaluations by their objectives, where these are several."""
    chosen: str | None = None
    """Of the contestant `default`: the method that the room chose for this problem, and why."""


@dataclass(slots=True)
class Contest:
    """A problem of a race: what standings and figures need to know of it."""

    name: str
    best_known: float | None = None
    """To be minimised, like Trial.objective."""
    best_design: list[tuple[str, ...]] = field(default_factory=list)
    maximize: bool = False
    objective: str = "objective"
    """Heading of the objective, with its unit."""
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Race:
    """A finished or unfinished race. trials holds every (problem, method, seed); objectives are to
    be minimised.
    """

    name: str
    contests: list[Contest]
    methods: list[str]
    seeds: list[int]
    budget: dict[str, float]
    trials: list[Trial]
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def of(self, problem: str, method: str) -> list[Trial]:
        """The trials of one method on one problem, by seed."""
        return sorted(
            (t for t in self.trials if t.problem == problem and t.method == method),
            key=lambda t: t.seed,
        )

    def contest(self, problem: str) -> Contest:
        """The problem of that name."""
        return next(c for c in self.contests if c.name == problem)
