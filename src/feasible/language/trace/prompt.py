"""What a language model is shown of a graph: the trace as a small program, with its values.

References:
    Cheng, Nie and Swaminathan (2024), section 4 (OptoPrime) and its appendix on prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .bundle import unwrap
from .nodes import Node
from .propagate import Subgraph

SECTIONS = (
    "Instruction", "Code", "Documentation", "Variables", "Constraints", "Inputs", "Others",
    "Outputs", "Feedback",
)  # fmt: skip
"""In the order of the prompt."""

REPRESENTATION = """\
You are to improve a computation. It is written down below in sections:
- #Instruction: what is asked of you, and how to answer.
- #Code: the computation that was carried out, one operation a line.
- #Documentation: what the operations do.
- #Variables: the input variables whose values you may change.
- #Constraints: what the values of the variables have to obey.
- #Inputs: values that the computation reads and that you cannot change.
- #Others: values in between.
- #Outputs: the result.
- #Feedback: what is thought of the result.
A value is written as (type) name=value. A variable of type (code) is the source of a function; if
you change it, keep its name and its arguments."""

FORMAT = """\
Answer with one JSON object and nothing else:
{"reasoning": "<why the feedback was given, and what should change>",
 "answer": "<the answer, where the instruction asks a question>",
 "suggestion": {"<name of a variable>": <its new value>, ...}}
Leave out variables that should stay as they are. If nothing should change, answer with the single
word TERMINATE."""

EXAMPLE = """\
Here is an example of a problem and its answer:
#Code
multiply0 = multiply(x=a0, y=b0)
#Documentation
[multiply] x * y
#Variables
(float) a0=2.0
#Inputs
(float) b0=3.0
#Outputs
(float) multiply0=6.0
#Feedback
The output should be 12.
{"reasoning": "The output is a0 * 3.0. For it to be 12, a0 has to be 4.", "answer": "",
 "suggestion": {"a0": 4.0}}"""


def clip(text: str, most: int) -> str:
    """A text of at most `most` characters: the middle of a longer one is left out, with a mark.

    Examples:
        >>> clip("x" * 100, 40)
        'xxxxx ... [100 characters, cut] ... xxxx'
    """
    if len(text) <= most:
        return text
    mark = f" ... [{len(text)} characters, cut] ... "
    kept = max(most - len(mark), 0)
    head = (kept + 1) // 2
    return (text[:head] + mark + text[len(text) - (kept - head) :])[: max(most, 0)]


def kind_of(v: Node) -> str:
    """The type of a node's value, as prompts say it."""
    return "code" if v.base == "__code" else type(v._data).__name__


def line(v: Node, most: int) -> str:
    """A value as a line of the prompt."""
    if v.base == "__code":
        return f"(code) {v.py_name}:{clip(str(v._data), most)}"
    return f"({kind_of(v)}) {v.py_name}={clip(_written(v), most)}"


def _written(v: Node) -> str:
    """A value as text."""
    value = unwrap(v)
    return value if isinstance(value, str) else repr(value)


@dataclass(frozen=True)
class Summary:
    """A graph as sections of text.

    Attributes:
        code: Operations, in order.
        documentation: What each kind of operation does.
        variables: Values that may be changed.
        constraints: Of these.
        inputs: Values that are read.
        others: Values in between.
        outputs: Results.
        feedback: On the results.
    """

    code: tuple[str, ...]
    documentation: tuple[str, ...]
    variables: tuple[str, ...]
    constraints: tuple[str, ...]
    inputs: tuple[str, ...]
    others: tuple[str, ...]
    outputs: tuple[str, ...]
    feedback: str

    def text(self, objective: str) -> str:
        """The sections, in the prompt's order."""
        parts = []
        for name in SECTIONS:
            found = objective if name == "Instruction" else getattr(self, name.lower())
            said = found if isinstance(found, str) else "\n".join(found)
            parts.append(f"#{name}\n{said}\n")
        return "\n".join(parts)


def summarize(graph: Subgraph, feedback: Any, most: int = 2000) -> Summary:
    """Put a graph into words.

    Args:
        graph: From some parameters to the outputs.
        feedback: On the outputs.
        most: Characters of a value.
    """
    ends = {id(v) for v in graph.outputs}
    inner = [v for v in graph.nodes if id(v) in graph.between and v.operation is not None]
    variables = [v for v in graph.nodes if v.trainable and id(v) in graph.between]
    inputs = [v for v in graph.nodes if id(v) not in graph.between]
    code, documentation = [], dict[str, str]()
    for v in inner:
        assert v.operation is not None
        given = ", ".join(f"{k}={p.py_name}" for k, p in v.inputs.items())
        code.append(f"{v.py_name} = {v.operation.name}({given})")
        documentation[v.operation.name] = clip(v.operation.text, most)
    return Summary(
        tuple(code),
        tuple(documentation.values()),
        tuple(line(v, most) for v in variables),
        tuple(f"({kind_of(v)}) {v.py_name}: {v.constraint}" for v in variables if v.constraint),
        tuple(line(v, most) for v in inputs),
        tuple(line(v, most) for v in inner if id(v) not in ends),
        tuple(line(v, most) for v in graph.outputs),
        clip(str(feedback), most),
    )


def fitted(
    make: Callable[[int, int], str],
    memory: int,
    value: int,
    size: Callable[[str], int],
    limit: int,
) -> str:
    """The largest prompt within a limit: the oldest memory is left out first, then values are cut,
    and at last the prompt itself.

    Args:
        make: (pairs of memory, characters of a value) -> the prompt.
        memory: Pairs that there are.
        value: Characters of a value, at most.
        size: Tokens of a prompt.
        limit: Of tokens.
    """
    low, high = 0, 1  # the most pairs that fit: doubled while they do, then by halving
    while high < memory and size(make(high, value)) <= limit:
        low, high = high, 2 * high
    high = min(high, memory)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(make(middle, value)) <= limit else (low, middle - 1)
    text = make(low, value)
    while size(text) > limit and value > 40:
        value //= 2
        text = make(0, value)
    most = len(text)
    while size(text) > limit and most > 100:
        most = most * 3 // 4
        text = clip(text, most)
    return text
