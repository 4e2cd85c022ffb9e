"""Nodes: values that remember the operator and the nodes that they came from.

A graph is held by its outputs alone: a node knows its parents and no children, so what nobody holds
any more is freed, however long a loop runs. `==` and `<` of nodes are traced operators whose
results are true or false as their values are; the graph's own code compares nodes by `is`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Any

from ...core.checks import shown
from ...core.errors import ArgumentError, ArgumentTypeError, FeasibleError
from .operation import BINARY, UNARY, Operation
from .sweeps import Propagator, send


class ExecutionError(FeasibleError):
    """An operator raised.

    Attributes:
        node: The ExceptionNode, on which to call `backward`.
    """

    def __init__(self, node: ExceptionNode):
        self.node = node
        super().__init__(str(node.data))

    @property
    def exception_node(self) -> ExceptionNode:
        """The node, by its other usual name."""
        return self.node

    @property
    def feedback(self) -> str:
        """What was raised, as text."""
        return str(self.node.data)


class HiddenDependency(ArgumentError):
    """A bundle read a node that it was not given."""


@dataclass(slots=True)
class Mode:
    """How operators behave in a context.

    Attributes:
        tracing: Whether outputs keep their inputs.
        reads: Nodes that were read; None where nobody asks.
    """

    tracing: bool = True
    reads: list[Node] | None = None


_MODE: ContextVar[Mode | None] = ContextVar("feasible_trace_mode", default=None)
_COUNTS: dict[str, int] = {}
"""Base name -> nodes that had it; one number for each base name, whatever becomes of the nodes."""


_SERIAL = count()


def reset_names() -> None:
    """Count names from 0 again, so that the next run's are those of the first."""
    _COUNTS.clear()


@contextmanager
def fresh_names() -> Iterator[None]:
    """Count names from 0 inside, and go on with the former counts after."""
    before = dict(_COUNTS)
    _COUNTS.clear()
    try:
        yield
    finally:
        _COUNTS.clear()
        _COUNTS.update(before)


def made_so_far() -> int:
    """A number above that of every node so far and below that of the next."""
    return next(_SERIAL)


@contextmanager
def mode(tracing: bool, reads: list[Node] | None = None) -> Iterator[None]:
    """Let operators behave so inside."""
    token = _MODE.set(Mode(tracing, reads))
    try:
        yield
    finally:
        _MODE.reset(token)


@contextmanager
def stop_tracing() -> Iterator[None]:
    """Compute without a graph inside: outputs have no parents."""
    before = _MODE.get()
    with mode(False, None if before is None else before.reads):
        yield


class Node:
    """A value with a name, and where it came from.

    Args:
        data: The value; of a Node its value.
        name: Base name; the node is called `name:index`.

    Attributes:
        serial: How many nodes were made before it.
        level: 0 for a root, one more than the largest of its parents' else.
        inputs: Parents by the operator's argument; empty for a root.
        parents: The inputs, and what was read without being one.
        operation: What made it; None for a root.
        description: What it is, for prompts.
        constraint: What its value must obey, in words.
        trainable: Whether an optimiser may change it.
    """

    __slots__ = (
        "_data", "backwarded", "base", "constraint", "description", "index", "inputs", "level",
        "operation", "parents", "serial", "trainable",
    )  # fmt: skip
    __array_ufunc__ = None  # NumPy leaves operators with nodes to them

    def __init__(self, data: Any, name: str = "") -> None:
        base = name or type(data).__name__
        index = _COUNTS.get(base, 0)
        _COUNTS[base] = index + 1
        self._data, self.base, self.index = data, base, index
        self.serial = next(_SERIAL)
        self.level = 0
        self.inputs: Mapping[str, Node] = _NONE
        self.parents: tuple[Node, ...] = ()
        self.operation: Operation | None = None
        self.description = self.constraint = ""
        self.trainable = self.backwarded = False

    @property
    def data(self) -> Any:
        """The value. Inside a bundle, reading that of a node which was not passed is noted."""
        current = _MODE.get()
        if current is not None and current.reads is not None:
            current.reads.append(self)
        return self._data

    @property
    def name(self) -> str:
        """Its name, `base:index`."""
        return f"{self.base}:{self.index}"

    @property
    def py_name(self) -> str:
        """Its name as an identifier."""
        return f"{self.base}{'_' if self.base[-1].isdigit() else ''}{self.index}"

    @property
    def is_root(self) -> bool:
        """Whether no operator made it."""
        return self.operation is None

    def backward(
        self,
        feedback: Any = "",
        *,
        retain_graph: bool = False,
        propagator: Propagator | None = None,
    ) -> None:
        """Send feedback on this output to the trainable nodes that it depends on.

        Args:
            feedback: Text, a score or an error.
            retain_graph: Whether it may be called again on this graph.
            propagator: How feedback is passed from node to node; None for the subgraph between each
                trainable node and this one.

        Raises:
            AlreadyBackward: Called before without `retain_graph`.
            FeedbackConflict: A trainable node has another feedback already.
        """
        send(self, feedback, retain_graph, propagator)

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {shown(self._data)})"

    def __str__(self) -> str:
        return str(self.data)

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __iter__(self) -> Iterator[Node]:
        if not hasattr(self._data, "__getitem__") or isinstance(self._data, Mapping):
            raise ArgumentTypeError(f"{self.name} of type {type(self._data).__name__}: no sequence")
        return iter([self[i] for i in range(len(self._data))])

    def __len__(self) -> int:
        return len(self.data)

    def __getattr__(self, name: str) -> Any:
        """Methods of text, traced: `node.upper()`."""
        if name.startswith("_") or not isinstance(self._data, str) or not hasattr(str, name):
            raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")
        return lambda *args: run(_text(name), getattr(str, name), (self, *args))

    # operators; see `operators` for what each computes and its derivative
    # fmt: off
    def __add__(self, other: Any) -> Node: return binary("add", self, other)
    def __radd__(self, other: Any) -> Node: return binary("add", other, self)
    def __sub__(self, other: Any) -> Node: return binary("subtract", self, other)
    def __rsub__(self, other: Any) -> Node: return binary("subtract", other, self)
    def __mul__(self, other: Any) -> Node: return binary("multiply", self, other)
    def __rmul__(self, other: Any) -> Node: return binary("multiply", other, self)
    def __truediv__(self, other: Any) -> Node: return binary("divide", self, other)
    def __rtruediv__(self, other: Any) -> Node: return binary("divide", other, self)
    def __floordiv__(self, other: Any) -> Node: return binary("floor_divide", self, other)
    def __rfloordiv__(self, other: Any) -> Node: return binary("floor_divide", other, self)
    def __mod__(self, other: Any) -> Node: return binary("mod", self, other)
    def __rmod__(self, other: Any) -> Node: return binary("mod", other, self)
    def __pow__(self, other: Any) -> Node: return binary("power", self, other)
    def __rpow__(self, other: Any) -> Node: return binary("power", other, self)
    def __lt__(self, other: Any) -> Node: return binary("lt", self, other)
    def __le__(self, other: Any) -> Node: return binary("le", self, other)
    def __gt__(self, other: Any) -> Node: return binary("gt", self, other)
    def __ge__(self, other: Any) -> Node: return binary("ge", self, other)
    def __eq__(self, other: Any) -> Node: return binary("eq", self, other)  # type: ignore[override]
    def __ne__(self, other: Any) -> Node: return binary("ne", self, other)  # type: ignore[override]
    def __neg__(self) -> Node: return unary("negative", self)
    def __abs__(self) -> Node: return unary("absolute", self)
    def __getitem__(self, key: Any) -> Node: return binary("getitem", self, key)
    # fmt: on

    def __call__(self, *args: Any) -> Node:
        """Call the value, a function, traced."""
        return run(_CALL, lambda f, *given: f(*given), (self, *args))

    def length(self) -> Node:
        """Its length, traced (`len(node)` is a plain number)."""
        return unary("length", self)


_NONE: Mapping[str, Node] = {}
_CALL = Operation("call", "[call] Calls a function.")


def _text(name: str) -> Operation:
    """Return the operation of a method of text."""
    return Operation(name, f"[{name}] The method str.{name}.")


class ParameterNode(Node):
    """A root that an optimiser may change.

    Attributes:
        received: What `backward` sent here since `zero_feedback`: (output, feedback) pairs, of a
            propagator (None, what it passed).
    """

    __slots__ = ("received",)

    def __init__(
        self, data: Any, name: str = "", description: str = "", constraint: str = ""
    ) -> None:
        Node.__init__(self, data, name)
        self.trainable = True
        self.description, self.constraint = description, constraint
        self.received: list[tuple[Node | None, Any]] = []

    def zero_feedback(self) -> None:
        """Forget what was received."""
        self.received.clear()


class MessageNode(Node):
    """The output of an operator.

    Args:
        data: The value.
        operation: What computed it.
        inputs: From which nodes, by argument.
        hidden: Nodes that it read without being given them.
    """

    __slots__ = ()

    def __init__(
        self,
        data: Any,
        operation: Operation,
        inputs: Mapping[str, Node],
        hidden: Iterable[Node] = (),
    ) -> None:
        Node.__init__(self, data, operation.name)
        self.operation, self.inputs = operation, inputs
        self.parents = (*inputs.values(), *hidden)
        level = -1
        for parent in self.parents:
            if parent.level > level:
                level = parent.level
        self.level = level + 1


class ExceptionNode(MessageNode):
    """What an operator that raised gives: its value is "(Type) what was said", with the source of
    the operator commented where there is one.
    """

    __slots__ = ()


def node(
    data: Any,
    name: str = "",
    trainable: bool = False,
    description: str = "",
    constraint: str = "",
) -> Node:
    """A root of a graph.

    Args:
        data: Its value; a node is returned as it is.
        name: Base name, an identifier; by default that of the value's type.
        trainable: Whether an optimiser may change it.
        description: What it is, for prompts.
        constraint: What its value must obey, in words.

    Raises:
        ArgumentError: The name is no identifier.
        ArgumentTypeError: `trainable` on a node that is none.

    Examples:
        >>> x = node(5.0, name="speed", trainable=True)
        >>> y = (x - 3) ** 2
        >>> y.data, y.level, [p.data for p in y.parents]
        (4.0, 2, [2.0, 2])
    """
    if isinstance(data, Node):
        if trainable and not data.trainable:
            raise ArgumentTypeError(
                f"data={data!r}: expected a value, a node cannot be made trainable"
            )
        return data
    for argument, text in (
        ("name", name), ("description", description), ("constraint", constraint)
    ):  # fmt: skip
        if not isinstance(text, str):
            raise ArgumentTypeError(f"{argument}={shown(text)}: expected text")
    if name and not name.isidentifier():
        raise ArgumentError(f"name={name!r:.60}: expected an identifier")
    if not isinstance(trainable, bool):
        raise ArgumentTypeError(f"trainable={shown(trainable)}: expected True or False")
    if trainable:
        return ParameterNode(data, name, description, constraint)
    found = Node(data, name)
    found.description, found.constraint = description, constraint
    return found


def made(operation: Operation, value: Any, inputs: Mapping[str, Node]) -> Node:
    """The output of an operator in this context."""
    current = _MODE.get()
    if current is not None:
        if current.reads is not None:
            current.reads.extend(inputs.values())
        if not current.tracing:
            return Node(value, operation.name)
    return MessageNode(value, operation, inputs)


def failed(
    operation: Operation, error: Exception, inputs: Mapping[str, Node], source: str = ""
) -> ExecutionError:
    """The error to raise where an operator raised one."""
    said = f"({type(error).__name__}) {error}"
    if source:
        said += "\n" + "\n".join(f"# {line}" for line in source.rstrip().splitlines())
    return ExecutionError(ExceptionNode(said, operation, inputs))


def binary(name: str, a: Any, b: Any) -> Node:
    """Apply an operator of two inputs."""
    operation, function = BINARY[name]
    a = a if isinstance(a, Node) else Node(a)
    b = b if isinstance(b, Node) else Node(b)
    inputs = {"x": a, "y": b}
    try:
        value = function(a._data, b._data)
    except Exception as error:
        raise failed(operation, error, inputs) from error
    return made(operation, value, inputs)


def unary(name: str, a: Any) -> Node:
    """Apply an operator of one input."""
    operation, function = UNARY[name]
    inputs = {"x": a if isinstance(a, Node) else Node(a)}
    try:
        value = function(inputs["x"]._data)
    except Exception as error:
        raise failed(operation, error, inputs) from error
    return made(operation, value, inputs)


def run(operation: Operation, function: Callable[..., Any], args: Iterable[Any]) -> Node:
    """Apply a function to the values of some nodes."""
    nodes = [a if isinstance(a, Node) else Node(a) for a in args]
    inputs = {f"x{i}": n for i, n in enumerate(nodes)}
    try:
        value = function(*(n._data for n in nodes))
    except Exception as error:
        raise failed(operation, error, inputs) from error
    return made(operation, value, inputs)
