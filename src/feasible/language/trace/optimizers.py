"""Optimisers that ask a language model: OptoPrime, and what the paper compares it with.

All have torch's loop:

    optimizer.zero_feedback()
    optimizer.backward(output, feedback)
    optimizer.step()

OptoPrime shows the trace and makes one call a step; OPRO shows past values and feedback and no
trace; TextGrad asks for a textual gradient at each node of the trace, O(nodes) calls a step.
A reply that cannot be read, and a backend that does not answer, change nothing and are counted.

References:
    Cheng, Nie and Swaminathan (2024); OPRO: Yang et al., Large language models as optimizers
    (2023); TextGrad: Yuksekgonul et al., TextGrad: automatic differentiation via text (2024).
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...core.checks import shown
from ...core.errors import ArgumentError, ArgumentTypeError
from ..backend import Backend, BackendFailed, Completion, Message
from .nodes import Node, ParameterNode
from .prompt import EXAMPLE, FORMAT, REPRESENTATION, clip, fitted, line, summarize
from .propagate import Subgraph, subgraph
from .replies import ExtractionError, Reply, cast, code, parse, read_texts
from .settings import PromptSettings, no_example


class NoFeedbackWarning(UserWarning):
    """A trainable node received nothing in a step: the output does not depend on it."""


@dataclass
class ReplyCounts:
    """What became of replies.

    Attributes:
        json: Were JSON.
        inner: Had JSON in other text.
        pairs: Were broken, and some values could be read.
        terminate: Said that nothing is to change.
        none: Could not be read.
        cut: Ended at `max_tokens`.
        failed: Calls without a reply.
        refused: Values of a wrong type, or against a constraint.
        unknown: Values for a name that no parameter has.
    """

    json: int = 0
    inner: int = 0
    pairs: int = 0
    terminate: int = 0
    none: int = 0
    cut: int = 0
    failed: int = 0
    refused: int = 0
    unknown: int = 0


@dataclass
class TextMemory:
    """What an optimiser keeps from step to step, plain data.

    Attributes:
        pairs: Past (variables, feedback), the oldest first.
        replies: Counts of replies.
        steps: Steps so far.
        last: The last reply's text, or why there was none.
    """

    pairs: list[tuple[str, str]] = field(default_factory=list)
    replies: ReplyCounts = field(default_factory=ReplyCounts)
    steps: int = 0
    last: str = ""


class TextOptimizer(ABC):
    """What the optimisers share: feedback, the reply's way into the parameters, memory.

    Args:
        parameters: Trainable nodes.
        backend: Whom to ask.
        checks: Base name or name -> whether a value is allowed; constraints in words are only
            told.
        settings: Of PromptSettings, by name.

    Raises:
        ArgumentTypeError: No parameters, or something else; no backend.
        ArgumentError: A setting that is unknown or out of range.
    """

    defaults: ClassVar[Mapping[str, Any]] = {}
    shows_trace: ClassVar[bool] = False

    def __init__(
        self,
        parameters: Iterable[Node],
        backend: Backend | None = None,
        checks: Mapping[str, Callable[[Any], bool]] | None = None,
        **settings: Any,
    ) -> None:
        try:
            found = list(parameters)
        except TypeError:
            raise ArgumentTypeError(
                f"parameters={shown(parameters)}: expected trainable nodes"
            ) from None
        if not found or not all(isinstance(p, ParameterNode) for p in found):
            raise ArgumentTypeError(
                f"parameters={shown(found)}: expected one trainable node or more, "
                "node(..., trainable=True)"
            )
        if not isinstance(backend, Backend):
            raise ArgumentTypeError(
                f"backend={shown(backend)}: expected a Backend(client, model); there is no default"
            )
        if checks is not None and not isinstance(checks, Mapping):
            raise ArgumentTypeError(f"checks={shown(checks)}: expected a mapping to functions")
        unknown = set(settings) - set(PromptSettings.__dataclass_fields__)
        if unknown:
            raise ArgumentError(f"{type(self).__name__} has no setting {sorted(unknown)[0]!r}")
        self.parameters: list[ParameterNode] = [p for p in found if isinstance(p, ParameterNode)]
        self.backend, self.settings = backend, PromptSettings(**{**self.defaults, **settings})
        if not self.shows_trace:
            no_example(self.settings)
        self.checks, self.memory = dict(checks or {}), TextMemory()

    def zero_feedback(self) -> None:
        """Forget what the parameters received."""
        for p in self.parameters:
            p.zero_feedback()

    def backward(self, output: Node, feedback: Any, retain_graph: bool = False) -> None:
        """Send feedback on an output to the parameters."""
        if not isinstance(output, Node):
            raise ArgumentTypeError(f"output={shown(output)}: expected a node")
        output.backward(feedback, retain_graph=retain_graph)

    def step(self) -> dict[str, Any]:
        """Ask, and change the parameters.

        Returns:
            The values that were changed, by the parameter's name.

        Raises:
            ArgumentError: No parameter received feedback.
            BudgetExhausted: Before a call that could pass the budget; nothing is changed.
            ExtractionError: A value that cannot be read, with `ignore_extraction_error=False`.
        """
        graph, feedback = self._received()
        try:
            changed = self._propose(graph, feedback)
        except BackendFailed as error:
            self.memory.replies.failed += 1
            self.memory.last = str(error)
            changed = {}
        else:
            pair = "\n".join(line(p, self.settings.max_value) for p in graph.parameters)
            self._remember(pair, clip(str(feedback), self.settings.max_value))
        self.memory.steps += 1
        for p in self.parameters:
            if p.name in changed:
                p._data = changed[p.name]
        return changed

    def _propose(self, graph: Subgraph, feedback: Any) -> dict[str, Any]:
        """New values by name."""
        messages = self.messages(graph, feedback)
        return self._values(graph, self._ask(messages))

    @abstractmethod
    def messages(self, graph: Subgraph, feedback: Any) -> list[Message]:
        """The prompt of a step."""

    def _received(self) -> tuple[Subgraph, Any]:
        """The graph between all parameters that received feedback and the outputs, and it."""
        outputs: dict[int, Node] = {}
        feedback: Any = None
        for p in self.parameters:
            for output, said in p.received:
                if output is not None:
                    outputs[id(output)], feedback = output, said
        without = [p.name for p in self.parameters if not p.received]
        if not outputs:
            raise ArgumentError(
                f"step(): no feedback at {', '.join(without)}; expected backward(output, feedback) "
                "on an output that depends on it"
            )
        if without:
            warnings.warn(
                f"no feedback at {', '.join(without)}: the output does not depend on it (a copy of "
                "its value does not count)",
                NoFeedbackWarning,
                stacklevel=3,
            )
        return subgraph(list(outputs.values()), self.parameters), feedback

    def _ask(self, messages: Sequence[Message], json_only: bool = True) -> Completion:
        """A reply, which is counted."""
        s = self.settings
        seed = self.memory.steps if s.temperature > 0 else None
        found = self.backend.complete(
            messages,
            max_tokens=s.max_tokens,
            temperature=s.temperature,
            seed=seed,
            json_only=json_only,
        )
        self.memory.last = found.text
        self.memory.replies.cut += not found.complete
        return found

    def _values(self, graph: Subgraph, reply: Completion) -> dict[str, Any]:
        """The values that a reply suggests and that may be taken; a parameter may be named without
        its number where no other has its name.
        """
        read: Reply = parse(reply.text)
        counts = self.memory.replies
        setattr(counts, read.how, getattr(counts, read.how) + 1)
        found, left = {}, dict(read.suggestion)
        bases = [p.base for p in graph.parameters]
        for p in graph.parameters:
            alone = (p.base,) if bases.count(p.base) == 1 else ()
            given = [left.pop(name) for name in (p.py_name, p.name, *alone) if name in left]
            if not given:
                continue
            try:
                found[p.name] = self._taken(p, given[0])
            except ExtractionError as error:
                counts.refused += 1
                if not self.settings.ignore_extraction_error:
                    raise
                warnings.warn(f"{error}; the old value is kept", stacklevel=4)
        counts.unknown += len(left)
        return found

    def _taken(self, p: Node, value: Any) -> Any:
        """A suggested value, of the right type and allowed."""
        if p.base == "__code":
            found: Any = code(p.py_name, value, str(p._data))
        else:
            found = cast(p.py_name, value, p._data)
        for name in (p.base, p.name):
            if name in self.checks and not self.checks[name](found):
                raise ExtractionError(f"{p.py_name}: {shown(found)} breaks its constraint")
        return found

    def _remember(self, variables: str, feedback: str) -> None:
        """Add a pair, and forget the oldest that is too many."""
        size = self.settings.memory_size
        self.memory.pairs.append((variables, feedback))
        if size is not None:
            del self.memory.pairs[: max(len(self.memory.pairs) - size, 0)]

    def _fitted(self, system: str, make: Callable[[int, int], str]) -> list[Message]:
        """The prompt within its limit."""
        s = self.settings
        head: Message = {"role": "system", "content": system}
        user = fitted(
            make,
            len(self.memory.pairs),
            s.max_value,
            lambda text: self.backend.size([head, {"role": "user", "content": text}]),
            s.max_prompt_tokens,
        )
        return [head, {"role": "user", "content": user}]

    def _past(self, n: int) -> str:
        """The last n pairs, as text."""
        if not n:
            return ""
        told = [f"#Variables\n{v}\n#Feedback\n{f}\n" for v, f in self.memory.pairs[-n:]]
        return "Earlier values and what was said of them:\n\n" + "\n".join(told) + "\n"


class OptoPrime(TextOptimizer):
    """One call a step, which shows the whole trace as a program with its values; see
    TextOptimizer and PromptSettings.
    """

    shows_trace: ClassVar[bool] = True

    def messages(self, graph: Subgraph, feedback: Any) -> list[Message]:
        """The prompt: what the sections mean, the past, the sections. The present pair is no part
        of the past.
        """
        example = f"\n\n{EXAMPLE}" if self.settings.include_example else ""

        def make(n: int, most: int) -> str:
            now = summarize(graph, feedback, most).text(self.settings.objective)
            return self._past(n) + "Now it is your turn:\n\n" + now

        return self._fitted(f"{REPRESENTATION}\n\n{FORMAT}{example}", make)


class OPRO(TextOptimizer):
    """One call a step, which shows all past values and what was said of them, and no trace; see
    TextOptimizer and PromptSettings.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"memory_size": None}

    def messages(self, graph: Subgraph, feedback: Any) -> list[Message]:
        """The prompt: the past, the present, the instruction."""

        def make(n: int, most: int) -> str:
            now = "\n".join(line(p, most) for p in graph.parameters)
            return (
                self._past(n)
                + f"#Variables\n{now}\n#Feedback\n{clip(str(feedback), most)}\n\n"
                + f"#Instruction\n{self.settings.objective}\n"
            )

        return self._fitted(
            f"You are to find values of variables that get the best feedback.\n\n{FORMAT}", make
        )


class TextGrad(TextOptimizer):
    """Textual gradients: for each operation, from the output down, a call that says how its inputs
    should change; one more where a node has several such texts, to merge them; and one for each
    parameter, to change it. See TextOptimizer and PromptSettings.
    """

    SYSTEM = (
        "You give feedback on the inputs of one operation, so that its output improves as its own "
        'feedback asks. Answer with one JSON object: {"<name of an input>": "<feedback>", ...}'
    )
    MERGE = "You merge several pieces of feedback on one value into one text, and say nothing else."
    UPDATE = f"You improve one variable by the feedback on it.\n\n{FORMAT}"

    def _propose(self, graph: Subgraph, feedback: Any) -> dict[str, Any]:
        """Texts at the nodes, deepest first, then the parameters."""
        texts: dict[int, list[str]] = {id(v): [str(feedback)] for v in graph.outputs}
        for v in sorted(graph.nodes, key=lambda v: (-v.level, -v.serial)):
            wanted = [p for p in v.parents if id(p) in graph.between]
            if v.operation is None or id(v) not in texts or not wanted:
                continue
            said = read_texts(self._told(self.SYSTEM, self._operation(v, self._merged(v, texts))))
            for p in {id(p): p for p in wanted}.values():
                if said.get(p.py_name):
                    texts.setdefault(id(p), []).append(said[p.py_name])
        found: dict[str, Any] = {}
        for p in graph.parameters:
            if id(p) in texts:
                about = f"#Variables\n{line(p, self.settings.max_value)}\n"
                about += f"#Constraints\n{p.constraint}\n#Feedback\n{self._merged(p, texts)}\n"
                about += f"#Instruction\n{self.settings.objective}\n"
                found |= self._values(graph, self._ask(self._update(about)))
        return found

    def messages(self, graph: Subgraph, feedback: Any) -> list[Message]:
        """The first call's prompt: of the first output."""
        return self._fitted(
            self.SYSTEM, lambda n, most: self._operation(graph.outputs[0], str(feedback))
        )

    def _update(self, about: str) -> list[Message]:
        """The prompt that changes a parameter."""
        return self._fitted(self.UPDATE, lambda n, most: self._past(n) + about)

    def _told(self, system: str, text: str, json_only: bool = True) -> str:
        """A reply's text."""
        return self._ask(self._fitted(system, lambda n, most: text), json_only).text

    def _merged(self, v: Node, texts: Mapping[int, list[str]]) -> str:
        """The feedback at a node as one text; of several, by a call."""
        found = texts[id(v)]
        if len(found) == 1:
            return found[0]
        value = f"#Value\n{line(v, self.settings.max_value)}\n\n"
        told = "\n\n".join(f"#Feedback\n{t}" for t in found)
        return self._told(self.MERGE, value + told, json_only=False)

    def _operation(self, v: Node, feedback: str) -> str:
        """An operation with its values."""
        assert v.operation is not None
        most = self.settings.max_value
        given = "\n".join(line(p, most) for p in v.parents)
        return (
            f"#Operation\n{v.operation.text}\n#Inputs\n{given}\n#Outputs\n{line(v, most)}\n"
            f"#Feedback\n{clip(feedback, most)}\n"
        )
