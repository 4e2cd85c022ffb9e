"""Arguments checked against their annotations, before a function sees them.

`checked` does it for a function, `Checked` and `check_fields` for a dataclass. Read are int, float,
bool, str, None, Literal, tuples, sequences, callables, mappings, iterables, arrays of numbers
(``ArrayLike``, ``Float[np.ndarray, ...]``), classes that the module has imported, and alternatives
of these; an argument whose annotation has anything else is not checked here. A float is no NaN, a
whole number is at most 2^53 in size, and a seed is at least 0. Whether a number may be infinite,
and any other range, is for the function to say.
"""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import functools
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .checks import flag, numbers, one_of, real, shown, whole
from .errors import ArgumentTypeError, FeasibleError, ShapeError, nearest

if TYPE_CHECKING:
    from typing import Self

F = TypeVar("F", bound=Callable[..., Any])
Check = Callable[[str, Any], object]
"""Raises where a value is not what an annotation says; takes the argument's name first."""

MOST = 2**53
"""Largest whole number that is taken: all up to it are floats too."""
KINDS = {"Callable": "a function", "Mapping": "a mapping", "Iterable": "several values"}


class Checked:
    """A dataclass whose fields are checked against their annotations before it is made."""

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Check what the fields are given; ranges are for `__post_init__`."""
        if dataclasses.is_dataclass(cls):
            check_fields(cls, args, kwargs)
        return super().__new__(cls)


def check_fields(cls: type, given: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Check what a dataclass is made from against the annotations of its fields.

    Args:
        cls: A dataclass.
        given: Values by position.
        named: Values by name.
    """
    _refuse_unknown(cls.__init__, cls.__name__, named)  # type: ignore[misc]
    by_position, checks = _fields(cls)
    _apply(checks, zip(by_position, given, strict=False))
    _apply(checks, named.items())


def checked(function: F) -> F:
    """A function whose arguments are checked against their annotations before it is called.

    Examples:
        >>> @checked
        ... def power(base: float, exponent: int = 2) -> float:
        ...     return base**exponent
        >>> power(1.5, "3")
        Traceback (most recent call last):
        feasible.core.errors.ArgumentTypeError: exponent='3': expected a whole number
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        by_position, checks = _arguments(function)
        _apply(checks, zip(by_position, args, strict=False))
        if kwargs:
            _refuse_unknown(function, function.__qualname__.removesuffix(".__init__"), kwargs)
            _apply(checks, kwargs.items())
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def _refuse_unknown(function: Callable[..., Any], called: str, named: Mapping[str, Any]) -> None:
    """Refuse the name of no argument, and say the nearest one."""
    known = _known(function)
    for name in named:
        if known is not None and name not in known:
            raise ArgumentTypeError(f"{called} has no argument '{name}': {nearest(name, known)}")


@functools.cache
def _known(function: Callable[..., Any]) -> frozenset[str] | None:
    """Return the arguments that may be given by name; None where any may."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind == p.VAR_KEYWORD for p in parameters):
        return None
    by_name = (p.name for p in parameters if p.kind != p.POSITIONAL_ONLY)
    return frozenset(by_name) - {"self"}


def _apply(checks: Mapping[str, Check], values: collections.abc.Iterable[tuple[str, Any]]) -> None:
    """Check each value whose annotation is read."""
    for name, value in values:
        if check := checks.get(name):
            check(name, value)


@functools.cache
def _fields(cls: type) -> tuple[list[str], dict[str, Check]]:
    """Return the fields that may be given by position, and the checks of all."""
    fields = dataclasses.fields(cls)
    found = {f.name: _read(f.type, _owner(cls, f.name), f.name) for f in fields}
    by_position = [f.name for f in fields if f.init and not f.kw_only]
    return by_position, {name: check for name, check in found.items() if check}


def _owner(cls: type, field: str) -> Mapping[str, Any]:
    """Return the names of the module where a field was declared."""
    owners = (base for base in cls.__mro__ if field in vars(base).get("__annotations__", ()))
    return vars(sys.modules[next(owners, cls).__module__])


@functools.cache
def _arguments(function: Callable[..., Any]) -> tuple[list[str], dict[str, Check]]:
    """Return the arguments that may be given by position, and the checks of all."""
    parameters = inspect.signature(function).parameters.values()
    scope = inspect.unwrap(function).__globals__
    kept = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    found = {p.name: _read(p.annotation, scope, p.name) for p in kept}
    by_position = [p.name for p in kept if p.kind != p.KEYWORD_ONLY]
    return by_position, {name: check for name, check in found.items() if check}


def _read(annotation: Any, scope: Mapping[str, Any], name: str = "") -> Check | None:
    """Return the check of an annotation; None where it is not read."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    try:
        node = ast.parse(re.sub(r"\b(typing|collections\.abc)\.", "", text), mode="eval").body
    except SyntaxError:
        return None
    if name == "seed" and isinstance(node, ast.Name) and node.id == "int":
        return _seed
    return _check_of(node, scope)


def _check_of(node: ast.expr, scope: Mapping[str, Any]) -> Check | None:
    """Return the check of an annotation's tree; None where something in it is not read."""
    match node:
        case ast.BinOp(op=ast.BitOr()):
            return _any_of(_alternatives(node), scope)
        case ast.Constant(value=None):
            return _none
        case ast.Name(id=("int" | "float" | "bool" | "str") as kind):
            return SIMPLE[kind]
        case ast.Name(id="ArrayLike"):
            return numbers
        case ast.Subscript(value=ast.Name(id="Float"), slice=ast.Tuple(elts=[of, text])):
            return _array(ast.unparse(of), text)
        case ast.Subscript(value=ast.Name(id="Literal")):
            return _literal(_choices(node))
        case ast.Subscript(value=ast.Name(id="Sequence"), slice=inner):
            return _sequence(_check_of(inner, scope))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[inner, last])) if (
            isinstance(last, ast.Constant) and last.value is ...
        ):
            return _sequence(_check_of(inner, scope))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=inners)):
            return _tuple([_check_of(inner, scope) for inner in inners])
        case (
            ast.Name(id=("Callable" | "Mapping" | "Iterable") as kind)
            | ast.Subscript(value=ast.Name(id=("Callable" | "Mapping" | "Iterable") as kind))
        ):
            return _instance(getattr(collections.abc, kind), KINDS[kind])
        case ast.Subscript(value=ast.Name(id="type")):
            return _instance(type, "a class")
        case ast.Name() | ast.Attribute():
            return _class(ast.unparse(node), scope)
    return None


def _class(text: str, scope: Mapping[str, Any]) -> Check | None:
    """Return the check of a class, where the annotation's module has one of that name."""
    first, *parts = text.split(".")
    found = functools.reduce(lambda at, part: getattr(at, part, None), parts, scope.get(first))
    if not isinstance(found, type) or found is Any or getattr(found, "_is_protocol", False):
        return None
    article = "an" if found.__name__[0] in "AEIOU" else "a"
    return _instance(found, f"{article} {found.__name__}")


def _alternatives(node: ast.expr) -> list[ast.expr]:
    """Return the alternatives of ``a | b | c``."""
    if isinstance(node, ast.BinOp):
        return [*_alternatives(node.left), *_alternatives(node.right)]
    return [node]


def _choices(node: ast.expr) -> tuple[Any, ...]:
    """Return the choices of a Literal; none of another annotation."""
    if not (isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal"):
        return ()
    found = ast.literal_eval(node.slice)
    return found if isinstance(found, tuple) else (found,)


def _any_of(nodes: list[ast.expr], scope: Mapping[str, Any]) -> Check | None:
    """Return the check that one of some alternatives takes the value."""
    nullable = any(isinstance(node, ast.Constant) and node.value is None for node in nodes)
    found = [_check_of(node, scope) for node in nodes]
    checks = [check for check in found if check and check is not _none]
    if None in found:
        return None
    listed = ", ".join(ast.unparse(node) for node in nodes)
    literals = [check for node, check in zip(nodes, found, strict=True) if _choices(node)]
    words = {word for node in nodes for word in _choices(node)}

    def check(name: str, value: Any) -> None:
        if (value is None and nullable) or (type(value) is str and value in words):
            return  # without an error of the alternatives before it
        first: FeasibleError | None = None
        for one in checks:
            try:
                one(name, value)
                return
            except FeasibleError as error:
                # the error of a value of the right type says more than that of a wrong one
                chosen = one not in literals and not isinstance(error, ArgumentTypeError)
                if first is None or chosen:
                    first = error
        assert first is not None
        raise type(first)(f"{first} ({listed})") from None

    return check


def _int(name: str, value: Any) -> None:
    """Check a whole number; an array of one number is none."""
    if type(value) is int and -MOST <= value <= MOST:
        return
    if not isinstance(value, (Integral, float)):
        raise ArgumentTypeError(f"{name}={shown(value)}: expected a whole number")
    if whole(name, value) > 0:
        whole(name, value, most=MOST)
    else:
        whole(name, value, least=-MOST)


def _seed(name: str, value: Any) -> None:
    """Check a seed, which may be of any size."""
    if not isinstance(value, (Integral, float)):
        raise ArgumentTypeError(f"{name}={shown(value)}: expected a whole number >= 0")
    whole(name, value, least=0)


def _float(name: str, value: Any) -> None:
    """Check a number; infinities pass, and torch's tensors of one number count as one."""
    if type(value) is not float or value != value:
        one = hasattr(value, "detach") and value.numel() == 1
        real(name, float(value) if one else value, infinite=True)


def _str(name: str, value: Any) -> None:
    """Check text."""
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name}={shown(value)}: expected text")


def _none(name: str, value: Any) -> None:
    """Check that there is no value."""
    if value is not None:
        raise ArgumentTypeError(f"{name}={shown(value)}: expected None")


SIMPLE: Mapping[str, Check] = {"int": _int, "float": _float, "bool": flag, "str": _str}


def _array(kind: str, text: ast.expr) -> Check | None:
    """Return the check of ``Float[np.ndarray, "n d"]``, or of a torch tensor: real numbers, and as
    many axes as are named.
    """
    said = ast.literal_eval(text)
    names = ["..."] if said is ... else str(said).split()
    free = any("..." in name or name.startswith("*") for name in names)
    if kind not in ("np.ndarray", "Tensor"):
        return None

    def check(name: str, value: Any) -> None:
        if kind == "Tensor" and not hasattr(value, "detach"):
            raise ArgumentTypeError(f"{name}={shown(value)}: expected a torch tensor")
        shape = np.shape(numbers(name, value))
        if not free and len(shape) != len(names):
            wanted = ", ".join(names) + ("," if len(names) == 1 else "")
            raise ShapeError(f"{name} has shape {tuple(shape)}, expected ({wanted})")

    return check


def _literal(choices: tuple[Any, ...]) -> Check:
    """Return the check of one of some choices."""
    return lambda name, value: one_of(name, value, choices)


def _instance(kind: type, wanted: str) -> Check:
    """Return the check of a value's class; text is no iterable of values."""

    def check(name: str, value: Any) -> None:
        none = (isinstance(value, str) and kind is not str) or getattr(value, "ndim", 1) == 0
        if none or not isinstance(value, kind):
            raise ArgumentTypeError(f"{name}={shown(value)}: expected {wanted}")

    return check


def _sequence(inner: Check | None) -> Check:
    """Return the check of a sequence, and of its values where their annotation is read."""

    def check(name: str, value: Any) -> None:
        _count(name, value)
        if inner:
            for i, item in enumerate(value):
                inner(f"{name}[{i}]", item)

    return check


def _tuple(inners: Sequence[Check | None]) -> Check:
    """Return the check of a tuple of given types."""

    def check(name: str, value: Any) -> None:
        if _count(name, value) != len(inners):
            raise ShapeError(f"{name}={shown(value)}: expected {len(inners)} values")
        for i, (item, inner) in enumerate(zip(value, inners, strict=True)):
            if inner:
                inner(f"{name}[{i}]", item)

    return check


def _count(name: str, value: Any) -> int:
    """Return the number of values of a sequence; text and mappings are none."""
    if not isinstance(value, (str, bytes, Mapping)) and hasattr(value, "__len__"):
        try:
            return len(value)
        except TypeError:  # an array without dimensions
            pass
    raise ArgumentTypeError(f"{name}={shown(value)}: expected a sequence of values")
