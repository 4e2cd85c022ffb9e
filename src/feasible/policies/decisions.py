"""Decisions: what is to be decided again and again, and how policies for it are judged.

    maximise  E[sum of r_t over an episode]  over policies,
    subject to  E[sum of c_t over an episode] within its limit, for each cost by name

A transition is paid for before it is made, an `env_steps` each, over all copies. A policy is plain
data; the judge plays it, uncharged, on episodes of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.budget import Budget, Meter, active_meter
from ..core.errors import ArgumentError, ArgumentTypeError, UnsupportedConstraint, WrongProblem
from ..core.limits import Limits
from ..core.problem import Method, Problem
from ..core.run import active_run
from ..core.verdict import Verdict
from .answers import NetworkPolicy, PolicyFront, TablePolicy
from .spaces import Spaces

if TYPE_CHECKING:
    from .copies import Copies


class Decisions(Problem):
    """Find a policy: what to do where, for the largest expected sum of rewards.

    A subclass has `spaces` and `limits`, opens copies to learn from, and judges.
    """

    sign: float = -1.0
    last: ClassVar[bool] = True
    answers: ClassVar[tuple[type, ...]] = (NetworkPolicy, TablePolicy, PolicyFront)
    example_budget: ClassVar[str] = "env_steps=20000"
    objective_title: ClassVar[str] = "return"
    spaces: Spaces
    limited: Limits
    """Limits on the expected summed costs, by name."""

    def open(self, n: int, key: int) -> Copies:
        """Copies of the environment to learn from, whose transitions are charged.

        Args:
            n: How many.
            key: From which the seed of every episode derives.
        """
        raise TypeError(f"{type(self).__name__} does not define open(n, key)")

    def reached(self, verdict: Verdict) -> str:
        """What a policy reaches."""
        return f"return {self.sign * verdict.objective:.6g}"

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        rows: list[tuple[str, ...]] = [("metric", "value")]
        rows += [(k.replace("_", " "), f"{v:.6g}") for k, v in verdict.metrics.items()]
        rows += [(f"{k} over its limit by", f"{v:.4g}") for k, v in verdict.violations.items()]
        return rows


def steps_left(wanted: int) -> int:
    """Transitions that the active run has left to pay for, at most as many as are wanted."""
    meter = active_meter.get()
    return wanted if meter is None else int(min(wanted, meter.left("env_steps")))


@contextmanager
def at_most(transitions: int) -> Iterator[Meter]:
    """Outside a run, let copies make so many transitions and no more, to the last one; gives the
    meter that counts them.
    """
    active = active_meter.get()
    if active is not None:
        yield active
        return
    meter = Meter(Budget(env_steps=transitions))
    token = active_meter.set(meter)
    try:
        yield meter
    finally:
        active_meter.reset(token)


def planned_steps(name: str) -> int:
    """Transitions of the active run's budget, for which schedules are made.

    Raises:
        ArgumentError: The budget does not limit them.
    """
    run = active_run.get()
    limit = None if run is None else run.budget.get("env_steps")
    if limit is None:
        raise ArgumentError(
            f"budget: {name} plans its schedules for a number of transitions, so the budget must "
            "limit env_steps"
        )
    return int(limit)


@dataclass(frozen=True)
class Learner(Method):
    """A method that learns a policy from transitions."""

    solves: ClassVar[type[Problem]] = Decisions
    honours_limits: ClassVar[bool] = False
    """True if it keeps expected costs within their limits."""
    takes: ClassVar[tuple[str, ...]] = ("numbered", "continuous")
    """The kinds of actions that it takes."""

    def check_problem(self, problem: Problem) -> None:
        """Raise WrongProblem where it does not solve this problem: its kind of actions, or its
        limits, which a method that does not see them must not ignore.
        """
        super().check_problem(problem)
        assert isinstance(problem, Decisions)
        kind = "numbered" if problem.spaces.actions else "continuous"
        if kind not in self.takes:
            raise WrongProblem(
                f"method {self.name} takes {self.takes[0]} actions, got '{problem.name}' with "
                f"{kind} ones"
            )
        if problem.limited.limits and not self.honours_limits:
            raise UnsupportedConstraint(
                f"method {self.name} does not see limits, got '{problem.name}' with limits on "
                f"{', '.join(problem.limited.names)}; ppo-lagrangian keeps to them"
            )


def check_policy(answer: Any, spaces: Spaces) -> None:
    """Refuse what is no policy, and a policy that is for other spaces.

    Raises:
        ArgumentTypeError: It has no `act(obs, rng)`.
        ArgumentError: It is for other spaces.
    """
    if not callable(getattr(answer, "act", None)):
        raise ArgumentTypeError(
            f"answer: a {type(answer).__name__} has no act(obs, rng), so it is no policy"
        )
    said = getattr(answer, "spaces", None)
    if isinstance(said, Spaces):
        spaces.check(said, "the policy")
