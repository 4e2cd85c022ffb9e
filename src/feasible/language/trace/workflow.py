"""Workflow: a computation with parameters of any type, and feedback on its output.

    find theta such that the feedback on program(theta) is as good as it can be

This is the paper's OPTO: the parameters' space, and an oracle that gives for each theta the
feedback and the graph of the computation. An execution spends one evaluation. The feedback is a
text and a number, which is to become 0 ("zero": an error with a sign) or small ("least": a loss).

References:
    Cheng, Nie and Swaminathan (2024), section 2 (OPTO, Trace Oracle).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, ClassVar, Literal

import numpy as np

from ...core.annotations import Checked
from ...core.budget import active_meter, spend
from ...core.cached import Cached
from ...core.checks import one_of, real, shown
from ...core.errors import ArgumentError, ArgumentTypeError, FeasibleError, StopRun, is_number
from ...core.plain import digest
from ...core.problem import Problem
from ...core.verdict import Verdict
from .bundle import unwrap
from .nodes import ExecutionError, Node, ParameterNode, failed, fresh_names
from .operation import Operation
from .propagate import subgraph

REMEMBERED = 4096
"""Executions whose outcome is kept for the judge."""
PROGRAM = Operation("program", "[program] it raised")
LONGEST = 60
"""Characters of a value that a fingerprint keeps; of a longer one its digest."""


@dataclass(frozen=True)
class Variable(Checked):
    """A parameter of a workflow.

    Attributes:
        start: Its first value: a number, text, a truth value, or other plain data.
        low: Least value of a number.
        high: Largest value of a number.
        choices: The values that it may have; none: any of its type.
        check: Whether a value is allowed; run on every value before the program is.
        constraint: What it must obey, in words for a language model.
        description: What it is, in words.

    Raises:
        ArgumentError: Bounds that cross, or a start against them.
    """

    start: Any
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    check: Callable[[Any], bool] | None = None
    constraint: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.start, (np.bool_, np.integer, np.floating)):
            object.__setattr__(self, "start", self.start.item())
        if (self.low is not None or self.high is not None) and not is_number(self.start):
            raise ArgumentTypeError(f"start={shown(self.start)}: expected a number, it has bounds")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ArgumentError(f"low={self.low:g} is above high={self.high:g}")
        if is_number(self.start):
            real("start", self.start)
        if not isinstance(self.choices, tuple):
            raise ArgumentTypeError(f"choices={shown(self.choices)}: expected a tuple")
        if (said := self.violation(self.start)) > 0:
            raise ArgumentError(
                f"start={shown(self.start)}: expected a value that keeps its own constraint (it is "
                f"off by {said:g})"
            )

    @property
    def finite(self) -> tuple[Any, ...]:
        """All values that it may have, where these are finitely many; else none."""
        if self.choices:
            return self.choices
        if isinstance(self.start, bool):
            return (False, True)
        if isinstance(self.start, int) and self.low is not None and self.high is not None:
            return tuple(range(math.ceil(self.low), math.floor(self.high) + 1))
        return ()

    @property
    def real(self) -> bool:
        """Whether it is a real number."""
        return isinstance(self.start, float) and not self.choices

    def violation(self, value: Any) -> float:
        """By how much a value misses its bounds; 1 where it is no choice, or refused."""
        missed = 0.0
        if self.choices:
            missed = float(value not in self.choices)
        elif is_number(value):
            missed = max(
                0.0,
                -math.inf if self.low is None else self.low - value,
                -math.inf if self.high is None else value - self.high,
            )
        if self.check is not None and not self.check(value):
            missed = max(missed, 1.0)
        return missed


@dataclass
class Execution:
    """What an execution of the program gave.

    Attributes:
        output: Its node; an ExceptionNode where the program raised.
        nodes: The parameters' nodes by name.
        text: Feedback in words.
        number: Feedback as a number; NaN where the program raised.
        objective: What is minimised; NaN where the program raised.
    """

    output: Node
    nodes: dict[str, ParameterNode]
    text: str
    number: float
    objective: float


@dataclass
class Workflow(Cached, Problem, Checked):
    """Find parameters of a traced program by feedback on its output.

    Attributes:
        program: Takes the parameters' nodes by name and returns the output's node. `bundle()(f)`
            makes one operator of a function f of plain values. What it raises is an execution
            without a value.
        variables: Name -> a Variable, or its start.
        feedback: The output's value -> (text, number), or a number alone.
        goal: "zero": the number is an error, to become 0; "least": it is a loss, the lower the
            better.
        scale: What the objective is divided by.
        tolerance: Largest violation that counts as none.
        name: For tables.

    Raises:
        ArgumentError: No variables, a setting out of range, or a program that does not take the
            variables by their names.

    Examples:
        >>> problem = Workflow(lambda x: x * x + x, {"x": 3.0}, lambda y: y - 30.0)
        >>> problem.execute({"x": 5.0}).text
        'The output is 30.0; it should be lower by 0.'
    """

    program: Callable[..., Any]
    variables: Mapping[str, Any]
    feedback: Callable[[Any], Any]
    goal: Literal["zero", "least"] = "zero"
    scale: float = 1.0
    tolerance: float = 0.0
    name: str = "workflow"
    params: dict[str, Variable] = field(init=False, repr=False, default_factory=dict)

    example_budget: ClassVar[str] = "evaluations=20"
    objective_title: ClassVar[str] = "error"

    def __post_init__(self) -> None:
        one_of("goal", self.goal, ("zero", "least"))
        real("scale", self.scale, above=0)
        real("tolerance", self.tolerance, least=0)
        if not self.variables:
            raise ArgumentError("variables={}: expected one or more")
        for name, value in self.variables.items():
            if not (isinstance(name, str) and name.isidentifier()):
                raise ArgumentError(f"variables: {name!r:.40} is no identifier")
            self.params[name] = value if isinstance(value, Variable) else Variable(value)
        try:
            signature(self.program).bind(**self.params)
        except TypeError as error:
            raise ArgumentError(
                f"program: expected a function of {', '.join(self.params)}, by name ({error})"
            ) from None
        except ValueError:
            pass  # a compiled one does not say what it takes

    @property
    def starts(self) -> dict[str, Any]:
        """The first values."""
        return {name: v.start for name, v in self.params.items()}

    def read(self, values: Any) -> dict[str, Any]:
        """Values by name, all of them and no others.

        Raises:
            ArgumentError: Others.
        """
        if not isinstance(values, Mapping) or set(values) != set(self.params):
            raise ArgumentError(
                f"values={shown(values)}: expected a value for each of {', '.join(self.params)}"
            )
        return {name: values[name] for name in self.params}

    def violations(self, values: Mapping[str, Any]) -> dict[str, float]:
        """By how much each variable misses what it must obey."""
        return {name: v.violation(values[name]) for name, v in self.params.items()}

    def execute(self, values: Mapping[str, Any]) -> Execution:
        """Run the program; charges one evaluation.

        Args:
            values: By name.

        Returns:
            The traced output with the feedback on it. A program that raises has the exception as
            its feedback.

        Raises:
            ArgumentError: Names that differ, a program that returns no node, feedback without a
                number.
        """
        values = self.read(values)
        spend(evaluations=1)
        found = self._executed(values)
        self._remembered(values, (found.objective, found.number))
        return found

    def _executed(self, values: Mapping[str, Any]) -> Execution:
        """Run the program, uncharged; names are the same in every execution."""
        with fresh_names():
            return self._run(values)

    def _run(self, values: Mapping[str, Any]) -> Execution:
        """Make the nodes, run the program on them, and ask for feedback."""
        nodes = {
            name: ParameterNode(values[name], name, v.description, v.constraint)
            for name, v in self.params.items()
        }
        try:
            output = self.program(**nodes)
        except ExecutionError as error:
            return Execution(error.node, nodes, error.feedback, math.nan, math.nan)
        except (FeasibleError, StopRun):
            raise
        except Exception as error:  # outside of an operator, so all variables had to do with it
            node = failed(PROGRAM, error, nodes).node
            return Execution(node, nodes, str(node.data), math.nan, math.nan)
        if not isinstance(output, Node):
            raise ArgumentTypeError(
                f"program: returned {shown(output)}, expected a node that depends on its "
                "arguments; `bundle()(f)` makes one operator of a function f of plain values"
            )
        text, number = self._feedback(unwrap(output))
        size = abs(number) if self.goal == "zero" else number
        return Execution(output, nodes, text, number, size / self.scale)

    def _feedback(self, value: Any) -> tuple[str, float]:
        """The feedback's text and number."""
        found = self.feedback(value)
        text, number = found if isinstance(found, tuple) and len(found) == 2 else (None, found)
        if isinstance(number, np.generic):
            number = number.item()
        if not is_number(number):
            raise ArgumentTypeError(
                f"feedback: returned {shown(found)}, expected (text, number) or a number"
            )
        number = float(number)
        if text is None:
            if self.goal == "least":
                text = f"The output is {shown(value)}; its loss is {number:g}."
            else:
                way = "higher" if number < 0 else "lower"
                text = f"The output is {shown(value)}; it should be {way} by {abs(number):g}."
        return str(text), number

    def differentiable(self) -> bool:
        """Whether all operators from the variables to the output have derivatives at the start;
        runs the program once, uncharged.
        """
        found = self._executed(self.starts)
        inner = subgraph(found.output, list(found.nodes.values()))
        return not math.isnan(found.number) and all(
            v.operation is None or v.operation.vjp is not None
            for v in inner.nodes
            if id(v) in inner.between
        )

    def _remembered(self, values: Mapping[str, Any], outcome: tuple[float, float]) -> None:
        """Keep an outcome for the judge; the oldest are forgotten."""
        kept: dict[str, tuple[float, float]] = self.cached("outcomes", dict)
        kept[_told(values)] = outcome
        if len(kept) > REMEMBERED:
            del kept[next(iter(kept))]

    def rank(self, values: Mapping[str, Any], objective: float) -> tuple[float, float]:
        """What is to be smaller: violation, then objective; a NaN is last."""
        worst = max(self.violations(values).values())
        worst = 0.0 if worst <= self.tolerance else worst
        return (math.inf, math.inf) if math.isnan(objective) else (worst, objective)

    def judge(self, answer: Any) -> Verdict:
        """Measure values: the objective that their execution had, of others anew and uncharged."""
        if answer is None:
            return Verdict(math.nan, math.inf)
        values = self.read(answer)
        missed = self.violations(values)
        kept: dict[str, tuple[float, float]] = self.cached("outcomes", dict)
        key = _told(values)
        if key not in kept:
            token = active_meter.set(None)
            try:
                found = self._executed(values)
            finally:
                active_meter.reset(token)
            self._remembered(values, (found.objective, found.number))
        objective, number = kept[key]
        worst = math.inf if math.isnan(objective) else max(missed.values())
        return Verdict(
            objective, worst, self.tolerance, violations=missed, metrics={"number": number}
        )

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The values as rows of text."""
        return [(name, shown(value)) for name, value in answer.items()]

    def design(self, answer: Any) -> dict[str, Any] | None:
        """The values by name."""
        return dict(answer)

    def outline(self) -> list[str]:
        """The variables, one a line."""
        return [
            f"{name} = {shown(v.start)}" + (f", {v.constraint}" if v.constraint else "")
            for name, v in self.params.items()
        ]

    def fingerprint(self) -> dict[str, Any]:
        """Starts, bounds, goal and scale."""
        return {
            "variables": {
                name: [_mark(v.start), v.low, v.high, [_mark(c) for c in v.choices]]
                for name, v in self.params.items()
            },
            "goal": self.goal,
            "scale": self.scale,
        }

    def sources(self) -> dict[str, Any]:
        """The program and the feedback."""
        return {"program": self.program, "feedback": self.feedback}


def _told(value: Any) -> str:
    """A value as text that no other one has: NumPy writes arrays in few digits, and long ones in
    part.
    """
    if isinstance(value, np.ndarray):
        return digest(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_told(k)}: {_told(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(map(_told, value))})"
    return repr(value)


def _mark(value: Any) -> str:
    """A value in a fingerprint."""
    text = _told(value)
    return text if len(text) <= LONGEST else digest(text)
