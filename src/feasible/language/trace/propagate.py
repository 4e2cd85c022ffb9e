"""How feedback reaches parameters: two sweeps over the graph, no recursion, O(nodes + edges).

The paper's propagator passes sets of nodes from child to parent and merges them. What arrives at a
parameter p is the same as

    D(p) = {p and its descendants} and {the output and its ancestors},   with all parents of D(p),

so it is found without messages: the ancestors by one walk from the output, the descendants by one
pass over them in the order of levels. Propagators of other feedback (a gradient, a sum) run node
by node, deepest first.

References:
    Cheng, Nie and Swaminathan (2024), section 3 and the minimal subgraph propagator.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from ...core.checks import real, shown
from ...core.errors import ArgumentError, ArgumentTypeError
from .nodes import Node
from .sweeps import ancestors, descendants, propagate


class Gradient:
    """The derivative of the output by each node, times the feedback: reverse mode.

    Raises:
        ArgumentError: On the way there is an operator without a derivative.
    """

    def start(self, feedback: Any) -> Any:
        """The feedback is the gradient at the output."""
        return feedback

    def merge(self, one: Any, other: Any) -> Any:
        """Gradients of several uses add up."""
        return one + other

    def parents(self, v: Node, total: Any) -> Sequence[Any]:
        """By the operator's derivative."""
        assert v.operation is not None
        if v.operation.vjp is None or len(v.parents) != len(v.inputs):
            raise ArgumentError(f"gradient: {v.name} ({v.operation.text}) has no derivative")
        return v.operation.vjp(total, v._data, *(p._data for p in v.parents))


class Sum:
    """Each node receives the sum of what its children received: the number of paths from it to the
    output, times the feedback.
    """

    def start(self, feedback: Any) -> Any:
        """The feedback itself."""
        return feedback

    def merge(self, one: Any, other: Any) -> Any:
        """The sum."""
        return one + other

    def parents(self, v: Node, total: Any) -> Sequence[Any]:
        """The same for each."""
        return [total] * len(v.parents)


def gradient(output: Node, parameters: Sequence[Node], scale: float = 1.0) -> list[Any]:
    """The derivative of an output by some nodes, in one pass.

    Args:
        output: A number.
        parameters: Roots, or other nodes.
        scale: What the derivative is multiplied by.

    Returns:
        One gradient for each, of the shape of its value; 0.0 where the output does not depend on
        it.

    Raises:
        ArgumentError: An operator between them has no derivative.

    Examples:
        >>> from feasible.language.trace import node
        >>> x, y = node(3.0), node(2.0)
        >>> gradient(x * y + x, [x, y])
        [3.0, 3.0]
    """
    wanted = _nodes("parameters", parameters)
    _nodes("output", [output])
    total = propagate(output, real("scale", scale), Gradient(), wanted)
    return [total.get(id(p), 0.0) for p in wanted]


def _nodes(name: str, values: Any) -> list[Node]:
    """Some nodes as a list; refuse anything else."""
    try:
        found = list(values)
    except TypeError:
        found = [None]
    if not all(isinstance(v, Node) for v in found):
        raise ArgumentTypeError(f"{name}={shown(values)}: expected nodes")
    return found


@dataclass(frozen=True)
class Subgraph:
    """What lies between some parameters and outputs.

    Attributes:
        nodes: Parameters, all between them and the outputs, and the parents of these, roots first.
        parameters: Those of the parameters that are in it.
        outputs: The outputs.
        between: The ids of what depends on a parameter; the others are only read.
    """

    nodes: tuple[Node, ...]
    parameters: tuple[Node, ...]
    outputs: tuple[Node, ...]
    between: frozenset[int]

    def to_dot(self) -> str:
        """The graph in the DOT language."""
        lines = ["digraph {"]
        for v in self.nodes:
            label = json.dumps(f"{v.py_name}\n{shown(v._data)}")
            shape = "box" if v.trainable else "ellipse"
            lines.append(f'  "{v.py_name}" [label={label}, shape={shape}];')
        for v in self.nodes:
            if id(v) in self.between:
                lines += [f'  "{p.py_name}" -> "{v.py_name}";' for p in v.parents]
        return "\n".join([*lines, "}"])

    def to_mermaid(self) -> str:
        """The graph for Mermaid."""
        lines = ["graph TD"]
        lines += [f'  {v.py_name}["{v.py_name}"]' for v in self.nodes]
        for v in self.nodes:
            if id(v) in self.between:
                lines += [f"  {p.py_name} --> {v.py_name}" for p in v.parents]
        return "\n".join(lines)

    def to_json(self) -> str:
        """The graph as JSON: nodes by name, with level, value as text, operator and inputs."""
        return json.dumps([
            {
                "name": v.name,
                "level": v.level,
                "value": shown(v._data),
                "trainable": v.trainable,
                "operation": None if v.operation is None else v.operation.text,
                "inputs": {k: p.name for k, p in v.inputs.items()} if id(v) in self.between else {},
            }
            for v in self.nodes
        ])  # fmt: skip


def subgraph(outputs: Node | Sequence[Node], parameters: Sequence[Node]) -> Subgraph:
    """What the paper's propagator brings to some parameters, all of them together.

    Args:
        outputs: One or several outputs.
        parameters: Nodes, usually trainable roots.

    Raises:
        ArgumentTypeError: Something is no node.

    Examples:
        >>> from feasible.language.trace import node
        >>> a, b = node(1.0, name="a"), node(2.0, name="b")
        >>> z = a + b
        >>> unused = a * 2
        >>> [v.base for v in subgraph(z, [a]).nodes]
        ['a', 'b', 'add']
    """
    ends = [outputs] if isinstance(outputs, Node) else _nodes("outputs", outputs)
    parameters = _nodes("parameters", parameters)
    kept: dict[int, Node] = {}
    between: set[int] = set()
    for end in ends:
        order = ancestors(end)
        inside = descendants(order, parameters)
        for v in order:
            if id(v) in inside:
                between.add(id(v))
                kept[id(v)] = v
                for p in v.parents:
                    kept[id(p)] = p
    nodes = sorted(sorted(kept.values(), key=attrgetter("serial")), key=attrgetter("level"))
    return Subgraph(
        tuple(nodes),
        tuple(p for p in parameters if id(p) in kept),
        tuple(ends),
        frozenset(between),
    )
