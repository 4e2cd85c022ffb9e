"""`bundle` makes one operator of a function; `model` and `Module` collect what is trainable."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import update_wrapper
from typing import Any

from ...core.checks import flag
from ...core.errors import ArgumentError, ArgumentTypeError, StopRun
from ..sandbox import Sandbox, signature
from .nodes import (
    ExecutionError,
    HiddenDependency,
    MessageNode,
    Node,
    ParameterNode,
    failed,
    made,
    made_so_far,
    mode,
)
from .operation import Operation
from .sweeps import ancestors


class CodeNotAllowed(ArgumentError):
    """A trainable bundle's code was changed, and nobody said that such code may run."""


def unwrap(value: Any) -> Any:
    """The value of a node, also of nodes within lists, tuples, dictionaries and sets."""
    if isinstance(value, Node):
        return unwrap(value._data)
    if isinstance(value, (list, tuple, set)):
        kind = type(value)
        parts = [unwrap(v) for v in value]
        return kind(*parts) if hasattr(value, "_fields") else kind(parts)
    if isinstance(value, dict):
        return {unwrap(k): unwrap(v) for k, v in value.items()}
    return value


def contained(value: Any) -> Iterator[Node]:
    """The nodes in a value."""
    if isinstance(value, Node):
        yield value
    elif isinstance(value, (list, tuple, set)):
        for v in value:
            yield from contained(v)
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from contained(k)
            yield from contained(v)


class Bundle:
    """A function as one operator; made by `bundle`.

    Attributes:
        code: The trainable source; None where the bundle is not trainable.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        description: str | None = None,
        trainable: bool = False,
        traceable_code: bool = False,
        catch_execution_error: bool = True,
        allow_external_dependencies: bool = False,
        allow_code_execution: bool = False,
        vjp: Callable[..., tuple[Any, ...]] | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        if not callable(function):
            raise ArgumentTypeError(f"function={function!r:.60}: expected a function")
        update_wrapper(self, function)
        self.function, self.signature = function, inspect.signature(function)
        name = getattr(function, "__name__", "call").replace("<lambda>", "function")
        said = description or f"[{name}] {(inspect.getdoc(function) or '').partition(chr(10))[0]}"
        if said.startswith("[") and "]" in said:
            name = said[1 : said.index("]")]
        if not name.isidentifier():
            raise ArgumentError(f"description={said!r:.60}: expected '[name] text', an identifier")
        self.operation = Operation(name, said.strip(), vjp)
        self.traceable = flag("traceable_code", traceable_code)
        self.catches = flag("catch_execution_error", catch_execution_error)
        self.external = flag("allow_external_dependencies", allow_external_dependencies)
        self.allowed = flag("allow_code_execution", allow_code_execution)
        self.sandbox = sandbox or Sandbox()
        self.source = ""
        self.code: ParameterNode | None = None
        if flag("trainable", trainable):
            self.source = _source(function)
            head = f"def {function.__name__}({signature(self.source, function.__name__)}):"
            self.code = ParameterNode(
                self.source, "__code", constraint=f"The code should start with: {head}"
            )

    def parameters(self) -> list[ParameterNode]:
        """Its trainable code."""
        return [] if self.code is None else [self.code]

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: the instance is passed on and is no input."""
        return self if instance is None else _Bound(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Node:
        """Compute, as one operator; see `bundle`."""
        return self.called((), args, kwargs)

    def called(self, first: tuple[Any, ...], args: Any, kwargs: Mapping[str, Any]) -> Node:
        """Bind the arguments, compute, and return the output's node."""
        try:
            bound = self.signature.bind(*first, *args, **kwargs)
        except TypeError as error:
            raise ArgumentTypeError(f"{self.operation.name}: {error}") from None
        bound.apply_defaults()
        inputs: dict[str, Node] = {}
        for position, (name, value) in enumerate(bound.arguments.items()):
            if position < len(first):
                continue
            inner = [] if isinstance(value, Node) else list(contained(value))
            if inner:
                inputs |= {f"{name}_{i}": n for i, n in enumerate(inner)}
            else:
                inputs[name] = value if isinstance(value, Node) else Node(value, name)
        if self.code is not None:
            inputs["__code"] = self.code
        if self.traceable and self.code is None:
            return self._traced(bound, inputs)
        reads: list[Node] = []
        begun = made_so_far()
        try:
            with mode(False, reads):
                value = unwrap(self._compute(bound))
        except StopRun:
            raise
        except Exception as error:
            self._check(reads, inputs, begun)
            if not self.catches or isinstance(error, CodeNotAllowed):
                raise
            source = self.source or _source(self.function, quietly=True)
            if self.code is not None:
                source = str(self.code._data)
            raise failed(self.operation, error, inputs, source) from error
        return self._made(value, inputs, self._check(reads, inputs, begun))

    def _compute(self, bound: inspect.BoundArguments) -> Any:
        """Call the function, or in the sandbox its changed source, on plain values."""
        args = [unwrap(a) for a in bound.args]
        kwargs = {k: unwrap(v) for k, v in bound.kwargs.items()}
        if self.code is None or self.code._data == self.source:
            return self.function(*args, **kwargs)
        if not self.allowed:
            raise CodeNotAllowed(
                f"{self.code.name}: its code was changed, and allow_code_execution is False; True "
                "runs it in a process of its own with limits"
            )
        name, code = self.function.__name__, str(self.code._data)
        if signature(code, name) != signature(self.source, name):
            raise ArgumentError(
                f"{self.code.name}: expected a function {name}({signature(self.source, name)}), "
                f"got ({signature(code, name)})"
            )
        return self.sandbox.call(code, name, args, kwargs)

    def _check(self, reads: list[Node], inputs: Mapping[str, Node], begun: int) -> list[Node]:
        """The nodes that were read without being passed; refuse them where they are not allowed."""
        known = {id(n) for n in inputs.values()}
        hidden = {id(n): n for n in reads if n.serial < begun and id(n) not in known}
        if hidden and not self.external:
            raise HiddenDependency(
                f"{self.operation.name}: reads {next(iter(hidden.values())).name}, which is not "
                "passed to it; pass it, or allow_external_dependencies=True"
            )
        return list(hidden.values())

    def _traced(self, bound: inspect.BoundArguments, inputs: Mapping[str, Node]) -> Node:
        """Call the function on nodes: trainable nodes within are dependencies that are not seen."""
        try:
            found = self.function(*bound.args, **bound.kwargs)
        except (StopRun, ExecutionError):
            raise
        except Exception as error:
            if not self.catches:
                raise
            raise failed(self.operation, error, inputs, _source(self.function, True)) from error
        known = {id(n) for n in inputs.values()}
        hidden: dict[int, Node] = {}
        for inner in contained(found):
            hidden |= {id(v): v for v in ancestors(inner) if v.trainable and id(v) not in known}
        return self._made(unwrap(found), inputs, list(hidden.values()))

    def _made(self, value: Any, inputs: Mapping[str, Node], hidden: list[Node]) -> Node:
        """The output's node."""
        found = made(self.operation, value, inputs)
        if hidden and found.operation is not None:
            return MessageNode(value, self.operation, inputs, hidden)
        return found


class _Bound:
    """A bundle of an instance's method."""

    def __init__(self, bundle: Bundle, instance: Any) -> None:
        self.bundle, self.instance = bundle, instance

    def __call__(self, *args: Any, **kwargs: Any) -> Node:
        return self.bundle.called((self.instance,), args, kwargs)

    def parameters(self) -> list[ParameterNode]:
        """Its trainable code."""
        return self.bundle.parameters()


def _source(function: Callable[..., Any], quietly: bool = False) -> str:
    """The source of a function, without decorators."""
    try:
        lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    except (OSError, TypeError):
        if quietly:
            return ""
        raise ArgumentError(
            "trainable=True: the function's source cannot be found; define it in a file"
        ) from None
    start = next((i for i, line in enumerate(lines) if line.startswith("def ")), 0)
    return "\n".join(lines[start:])


def bundle(
    description: str | None = None,
    trainable: bool = False,
    traceable_code: bool = False,
    catch_execution_error: bool = True,
    allow_external_dependencies: bool = False,
    allow_code_execution: bool = False,
    vjp: Callable[..., tuple[Any, ...]] | None = None,
    sandbox: Sandbox | None = None,
) -> Callable[[Callable[..., Any]], Bundle]:
    """Turn a function into one operator of the graph.

    Its arguments, defaults included, become parents; the function sees plain values; what it
    returns is a node.

    Args:
        description: "[name] what it does"; by default the function's name and the first line of its
            docstring.
        trainable: Whether its source is a parameter. Changed source runs only where
            `allow_code_execution` is True, and then in a process of its own with limits.
        traceable_code: Call it on the nodes themselves; trainable nodes that it reads inside are
            parents too.
        catch_execution_error: Turn what it raises into an ExecutionError with a node.
        allow_external_dependencies: Let it read nodes that it is not given; these become parents.
        allow_code_execution: See `trainable`.
        vjp: Its derivative: (g, output, *values) -> what each argument receives of the gradient.
        sandbox: Limits of changed source.

    Raises:
        ArgumentError: A description without an identifier, or a function without source.

    Examples:
        >>> from feasible.language import bundle, node
        >>> @bundle("[score] squared distance to the goal")
        ... def score(v, goal=3.0):
        ...     return (v - goal) ** 2
        >>> score(node(5.0, name="v")).data
        4.0
    """
    if callable(description):
        raise ArgumentTypeError("description: got a function, expected text; write @bundle()")

    def wrap(function: Callable[..., Any]) -> Bundle:
        return Bundle(
            function,
            description,
            trainable,
            traceable_code,
            catch_execution_error,
            allow_external_dependencies,
            allow_code_execution,
            vjp,
            sandbox,
        )

    return wrap


class Module:
    """Something whose attributes hold trainable nodes, bundles and other modules."""

    def parameters_dict(self) -> dict[str, ParameterNode]:
        """The trainable nodes by the path of attributes that leads to them."""
        found: dict[str, ParameterNode] = {}
        stack = list(reversed(_held(self).items()))
        seen: set[int] = {id(self)}
        while stack:
            path, value = stack.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, ParameterNode):
                found[path] = value
            elif isinstance(value, Bundle):
                if value.code is not None:
                    found[path] = value.code
            elif isinstance(value, Module):
                stack += [(f"{path}.{k}", v) for k, v in reversed(_held(value).items())]
            elif isinstance(value, (list, tuple)):
                stack += [(f"{path}.{i}", v) for i, v in reversed(list(enumerate(value)))]
            elif isinstance(value, dict):
                stack += [(f"{path}.{k}", v) for k, v in reversed(value.items())]
        return found

    def parameters(self) -> list[ParameterNode]:
        """The trainable nodes, each once."""
        return list({id(p): p for p in self.parameters_dict().values()}.values())

    def state_dict(self) -> dict[str, Any]:
        """The parameters' values, plain data."""
        return {path: unwrap(p) for path, p in self.parameters_dict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the parameters' values.

        Raises:
            ArgumentError: Names that differ from the module's.
        """
        known = self.parameters_dict()
        if set(known) != set(state):
            differ = sorted(set(known) ^ set(state))
            raise ArgumentError(f"state: {', '.join(differ)}: expected the names {sorted(known)}")
        for path, value in state.items():
            known[path]._data = value


def _held(module: Module) -> dict[str, Any]:
    """The attributes of a module's classes, the bases first, and its own."""
    held: dict[str, Any] = {}
    for cls in reversed(type(module).__mro__):
        held |= vars(cls)
    return held | vars(module)


def model(cls: type) -> type:
    """A class as a Module of the same name: its instances have `parameters()`.

    Examples:
        >>> from feasible.language import model, node
        >>> @model
        ... class Agent:
        ...     def __init__(self):
        ...         self.rule = node("wait", name="rule", trainable=True)
        >>> [p.base for p in Agent().parameters()]
        ['rule']
    """
    if not isinstance(cls, type):
        raise ArgumentTypeError(f"cls={cls!r:.60}: expected a class")
    return type(cls.__name__, (cls, Module), {"__doc__": cls.__doc__, "__module__": cls.__module__})
