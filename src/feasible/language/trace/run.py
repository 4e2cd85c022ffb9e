"""The methods of runs: each step executes the workflow once and changes its variables.

NumericTraceRun, Enumerate and RandomMutation need no language model. OptoPrimeRun, OPRORun and
TextGradRun ask one: their `backend` is a Backend, or "rules" for the rule-based stand-in that reads
the prompt's text (`rules`), or a service by its `base_url` and `model`.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...core.budget import Budget
from ...core.checks import one_of, real, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError, WrongProblem, is_number
from ...core.extras import named
from ...core.problem import Method, Problem
from ..backend import Backend
from .nodes import ExceptionNode
from .numeric import NumericSearch, NumericState
from .optimizers import OPRO, OptoPrime, TextGrad, TextMemory, TextOptimizer
from .propagate import gradient
from .settings import PromptSettings, no_example
from .workflow import Execution, Variable, Workflow

HALVINGS = 40
"""Of the way to a value that a check refuses."""
TRIES = 20
"""Values that a variable's own check may refuse before it stays as it is."""


@dataclass
class WorkflowState:
    """What changes from step to step.

    Attributes:
        rng: The run's random stream.
        values: The next values to execute, by name.
        best: The best ones so far; none before any were executed.
        rank: Their (violation, objective).
        executed: Executions so far.
        numeric: Where the numeric search is.
        scales: Size of a mutation, by name.
        memory: What a text optimiser keeps.
        raised: Executions that raised.
        first: What the first of them said.
    """

    rng: np.random.Generator
    values: dict[str, Any]
    best: dict[str, Any] = field(default_factory=dict)
    rank: tuple[float, float] = (math.inf, math.inf)
    executed: int = 0
    numeric: NumericState | None = None
    scales: dict[str, float] = field(default_factory=dict)
    memory: TextMemory = field(default_factory=TextMemory)
    raised: int = 0
    first: str = ""


@dataclass(frozen=True)
class WorkflowMethod(Method, ABC):
    """Execute, learn, and propose the next values."""

    solves: ClassVar[type[Problem]] = Workflow

    def least(self, problem: Workflow) -> int:
        """One execution to see, one to try."""
        return 2

    def init(self, problem: Workflow, rng: np.random.Generator) -> WorkflowState:
        """The variables' starts."""
        return WorkflowState(rng, problem.starts)

    def step(self, problem: Workflow, state: WorkflowState) -> WorkflowState:
        """Execute the values, keep them if they are the best, and propose others."""
        found = problem.execute(state.values)
        state.executed += 1
        if isinstance(found.output, ExceptionNode):
            state.raised += 1
            state.first = state.first or found.text
        rank = problem.rank(state.values, found.objective)
        better = rank < state.rank
        if better or not state.best:
            state.best, state.rank = dict(state.values), rank
        state.values = self.propose(problem, state, found, better)
        return state

    @abstractmethod
    def propose(
        self, problem: Workflow, state: WorkflowState, found: Execution, better: bool
    ) -> dict[str, Any]:
        """The next values."""

    def answer(self, problem: Workflow, state: WorkflowState) -> dict[str, Any] | None:
        """The best values; none before any."""
        return dict(state.best) or None

    def done(self, problem: Workflow, state: WorkflowState) -> str | None:
        """When the error is 0."""
        if problem.goal == "zero" and state.rank == (0.0, 0.0):
            return "the error is 0"
        return None

    def remarks(self, problem: Workflow, state: WorkflowState) -> list[str]:
        """How many executions raised, and what the first of them said."""
        if not state.raised:
            return []
        said = " ".join(state.first.splitlines()[:1])
        return [f"{state.raised} of {state.executed} executions raised; the first: {said:.200}"]


@dataclass(frozen=True)
class NumericTraceRun(NumericSearch, WorkflowMethod):
    """Steps by the gradient of the trace; see NumericSettings. All variables are real numbers and
    all operators on their way have derivatives.
    """

    name: ClassVar[str] = "numeric-trace"

    def init(self, problem: Workflow, rng: np.random.Generator) -> WorkflowState:
        """The starts and their bounds."""
        others = [name for name, v in problem.params.items() if not v.real]
        if others:
            raise WrongProblem(
                f"{self.name}: variable {others[0]} is no real number; enumerate and "
                "random-mutation take others"
            )
        state = WorkflowMethod.init(self, problem, rng)
        bounds = [(v.low, v.high) for v in problem.params.values()]
        low = [-math.inf if a is None else a for a, _ in bounds]
        high = [math.inf if b is None else b for _, b in bounds]
        start = list(problem.starts.values())
        state.numeric = NumericState.at(start, rng, self.radius, low, high)
        return state

    def propose(
        self, problem: Workflow, state: WorkflowState, found: Execution, better: bool
    ) -> dict[str, Any]:
        """By the search."""
        assert state.numeric is not None
        nodes, slopes = list(found.nodes.values()), [math.nan] * len(found.nodes)
        if not math.isnan(found.number):
            try:
                slopes = gradient(found.output, nodes)
            except ArgumentError as error:
                raise WrongProblem(f"{self.name}: {error}") from None
        x = [state.values[name] for name in problem.params]
        self.tell(state.numeric, x, found.number, slopes, problem.goal)
        new = self.allowed(problem, state.numeric, self.ask(state.numeric, problem.goal))
        return {k: float(v) for k, v in zip(problem.params, new, strict=True)}

    def allowed(self, problem: Workflow, s: NumericState, x: np.ndarray) -> np.ndarray:
        """A point whose variables pass their own checks: where one does not, the place where its
        check begins to say no, between there and its start, becomes a bound.
        """
        for k, v in enumerate(problem.params.values()):
            if v.check is None or v.check(float(x[k])):
                continue
            good, bad = float(s.start[k]), float(x[k])
            for _ in range(HALVINGS):
                middle = 0.5 * (good + bad)
                good, bad = (middle, bad) if v.check(middle) else (good, middle)
            side = s.high if x[k] > s.start[k] else s.low
            side[k] = good
        return np.clip(x, s.low, s.high)


@dataclass(frozen=True)
class Enumerate(WorkflowMethod):
    """All combinations of variables that have finitely many values, the start first.

    Attributes:
        most: More combinations are refused.
    """

    name: ClassVar[str] = "enumerate"
    most: int = 1_000_000

    def __post_init__(self) -> None:
        whole("most", self.most, least=1)

    def values(self, problem: Workflow) -> list[tuple[Any, ...]]:
        """The values of each variable, its start first."""
        found = []
        for name, v in problem.params.items():
            if not v.finite:
                raise WrongProblem(
                    f"{self.name}: variable {name} has no finite set of values; give it choices"
                )
            found.append((v.start, *(c for c in v.finite if c != v.start)))
        return found

    def init(self, problem: Workflow, rng: np.random.Generator) -> WorkflowState:
        """The starts."""
        many = math.prod(len(v) for v in self.values(problem))
        if many > self.most:
            raise ArgumentError(f"most={self.most}: there are {many} combinations")
        return WorkflowMethod.init(self, problem, rng)

    def propose(
        self, problem: Workflow, state: WorkflowState, found: Execution, better: bool
    ) -> dict[str, Any]:
        """The next combination, the last variable's value changing first."""
        number, new = state.executed, dict[str, Any]()
        pairs = zip(problem.params, self.values(problem), strict=True)
        for name, values in reversed(list(pairs)):
            number, place = divmod(number, len(values))
            new[name] = values[place]
        return {name: new[name] for name in problem.params}

    def done(self, problem: Workflow, state: WorkflowState) -> str | None:
        """When all were tried."""
        if state.executed >= math.prod(len(v) for v in self.values(problem)):
            return "all combinations were tried"
        return WorkflowMethod.done(self, problem, state)


@dataclass(frozen=True)
class RandomMutation(WorkflowMethod):
    """The (1+1) evolution strategy on values of any type: change some variables of the best values,
    and keep what is better. Steps of numbers widen after a success and narrow after a failure, one
    in five. Text without choices stays as it is.

    Attributes:
        sigma: First step of a number, in its unit; of one with two bounds a share of their
            distance.
    """

    name: ClassVar[str] = "random-mutation"
    sigma: float = 0.5

    def __post_init__(self) -> None:
        real("sigma", self.sigma, above=0)

    def init(self, problem: Workflow, rng: np.random.Generator) -> WorkflowState:
        """The starts, and the sizes of steps."""
        state = WorkflowMethod.init(self, problem, rng)
        for name, v in problem.params.items():
            if v.finite or is_number(v.start):
                both = v.low is not None and v.high is not None and v.high > v.low
                width = v.high - v.low if both else 1.0  # type: ignore[operator]
                state.scales[name] = self.sigma * float(width)
        if not state.scales:
            raise WrongProblem(
                f"{self.name}: no variable is a number or has choices, and only a language model "
                "writes text: name one, as in method=OptoPrimeRun(base_url=..., model=...) of "
                "feasible.language.trace"
            )
        return state

    def propose(
        self, problem: Workflow, state: WorkflowState, found: Execution, better: bool
    ) -> dict[str, Any]:
        """Change each variable with probability 1/d, at least one."""
        if state.executed > 1:
            factor = 1.5 if better else 1.5**-0.25
            state.scales = {k: v * factor for k, v in state.scales.items()}
        names, rng = list(state.scales), state.rng
        chosen = rng.random(len(names)) < 1 / len(names)
        chosen[rng.integers(len(names))] = True
        new = dict(state.best)
        for name, changed in zip(names, chosen, strict=True):
            v, value = problem.params[name], new[name]
            for _ in range(TRIES if changed else 0):
                new[name] = self.mutated(v, value, state.scales[name], rng)
                if v.check is None or v.check(new[name]):
                    break
            else:
                new[name] = value
        return new

    def mutated(self, v: Variable, value: Any, scale: float, rng: np.random.Generator) -> Any:
        """Another value of a variable."""
        if v.choices or isinstance(v.start, bool):
            others = [c for c in v.finite if c != value]
            return others[rng.integers(len(others))] if others else value
        step = scale * float(rng.standard_normal())
        low = -math.inf if v.low is None else v.low
        high = math.inf if v.high is None else v.high
        if isinstance(v.start, int):
            step = math.copysign(max(1, round(abs(step))), step)
            inside = min(max(value + step, low), high)
            return math.ceil(inside) if inside == low else math.floor(inside)
        return min(max(value + step, low), high)


@dataclass(frozen=True)
class TextRun(PromptSettings, WorkflowMethod):
    """A text optimiser in a run; see PromptSettings.

    Attributes:
        backend: A Backend; "rules" for the rule-based stand-in; None for base_url and model.
        base_url: Address of a service, such as "http://127.0.0.1:8080/v1".
        model: The model's name there.
        key: Name of the environment variable that holds the service's key.
        price: US dollars for a million tokens of prompts and of replies of that model, which a
            budget of dollars needs.
    """

    backend: Any = None
    base_url: str | None = None
    model: str = ""
    key: str = "OPENAI_API_KEY"
    price: tuple[float, float] | None = None

    native: ClassVar[type[TextOptimizer]]
    requires: ClassVar[tuple[str, ...]] = ("openai",)

    def __post_init__(self) -> None:
        PromptSettings.__post_init__(self)
        if not self.native.shows_trace:
            no_example(self)
        if not isinstance(self.backend, Backend) and self.backend is not None:
            if not isinstance(self.backend, str):
                raise ArgumentTypeError(
                    f"backend={shown(self.backend)}: expected a Backend, 'rules' or None"
                )
            one_of("backend", self.backend, ("rules",))
        if self.backend is not None and (self.base_url or self.model):
            raise ArgumentError(
                "backend: given beside base_url or model; expected one way to name a model"
            )
        if self.price is not None and self.backend is not None:
            raise ArgumentError(
                f"price={shown(self.price)}: given beside backend, which has prices of its own"
            )

    def made(self, problem: Workflow) -> Backend:
        """The backend, made once for a problem."""
        if isinstance(self.backend, Backend):
            return self.backend
        found: Backend = problem.cached(
            ("backend", self.backend, self.base_url, self.model, self.key, self.price),
            self._backend,
        )
        return found

    def _backend(self) -> Backend:
        """The rules, or the service."""
        if self.backend == "rules":
            from .rules import rules

            return rules()
        if not self.base_url or not self.model:
            raise ArgumentError(
                f"{self.name} has no backend: expected backend=Backend(client, model), or "
                "base_url= and model="
            )
        with named(self.name, "language"):
            import openai
        client = openai.OpenAI(
            base_url=self.base_url, api_key=os.environ.get(self.key, "none"), max_retries=0
        )
        prices = None if self.price is None else {self.model: self.price}
        return Backend(client, self.model, prices)

    def optimizer(self, problem: Workflow, found: Execution, memory: TextMemory) -> TextOptimizer:
        """The native form on an execution's nodes."""
        names = PromptSettings.__dataclass_fields__
        checks = {name: _allowed(v) for name, v in problem.params.items()}
        made = self.native(
            found.nodes.values(),
            self.made(problem),
            checks,
            **{name: getattr(self, name) for name in names},
        )
        made.memory = memory
        return made

    def projected_spend(self, problem: Workflow, budget: Budget) -> list[str]:
        """What a call can cost, and all that the budget takes."""
        backend = self.made(problem)
        if self.backend == "rules":
            return []
        one: dict[str, float] = {"tokens": self.max_prompt_tokens + self.max_tokens}
        if usd := backend.usd(self.max_prompt_tokens, self.max_tokens):
            one["usd"] = usd
        each = ", ".join(f"{v:.6g} {k}" for k, v in one.items())
        said = f"a call of {backend.model} takes at most {each}"
        # an execution is followed by one call, and each try of it is charged
        tries = budget.get("evaluations", math.inf) * (1 + backend.retries)
        calls = min(budget.get("calls", math.inf), tries)
        most = {"calls": calls} | {k: calls * v for k, v in one.items()}
        total = [f"{min(v, budget.get(k, math.inf)):.6g} {k}" for k, v in most.items()
                 if math.isfinite(min(v, budget.get(k, math.inf)))]  # fmt: skip
        return [f"projected: at most {', '.join(total)}; {said}" if total else said]

    def init(self, problem: Workflow, rng: np.random.Generator) -> WorkflowState:
        """The starts, where there is a backend."""
        self.made(problem).check_priced()
        return WorkflowMethod.init(self, problem, rng)

    def propose(
        self, problem: Workflow, state: WorkflowState, found: Execution, better: bool
    ) -> dict[str, Any]:
        """By asking the model; without a readable reply the values stay."""
        optimizer = self.optimizer(problem, found, state.memory)
        optimizer.backward(found.output, found.text)
        if not any(p.received for p in optimizer.parameters):
            return dict(state.values)
        optimizer.step()
        return {name: node._data for name, node in found.nodes.items()}

    def remarks(self, problem: Workflow, state: WorkflowState) -> list[str]:
        """Who answered, and what became of the replies."""
        who = "the rule-based backend, no language model" if self.backend == "rules" else (
            f"the model {self.made(problem).model}"
        )  # fmt: skip
        counts = {k: v for k, v in vars(state.memory.replies).items() if v}
        said = ", ".join(f"{v} {k}" for k, v in counts.items()) or "none"
        return [f"replies by {who}: {said}", *WorkflowMethod.remarks(self, problem, state)]


def _allowed(v: Variable) -> Any:
    """Whether a value obeys what its variable must."""
    return lambda value: v.violation(value) <= 0


@dataclass(frozen=True)
class OptoPrimeRun(TextRun):
    """OptoPrime: one call a step, which shows the trace; see PromptSettings and TextRun."""

    name: ClassVar[str] = "optoprime"
    native: ClassVar[type[TextOptimizer]] = OptoPrime


@dataclass(frozen=True)
class OPRORun(TextRun):
    """OPRO: one call a step, which shows all past values and no trace; see PromptSettings and
    TextRun.
    """

    name: ClassVar[str] = "opro"
    native: ClassVar[type[TextOptimizer]] = OPRO
    memory_size: int | None = None


@dataclass(frozen=True)
class TextGradRun(TextRun):
    """TextGrad: a call for each operation and each parameter; see PromptSettings and TextRun."""

    name: ClassVar[str] = "textgrad"
    native: ClassVar[type[TextOptimizer]] = TextGrad
