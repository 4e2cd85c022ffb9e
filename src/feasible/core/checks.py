"""Checks of arguments, once for the whole house: each returns the value as a plain Python one, or
raises an error that names the argument, what was got and what was expected.

A wrong type raises ArgumentTypeError, a wrong value ArgumentError (NaN and infinities NotFinite,
which is one). `note` is put after the expectation: ``whole("n", n, least=2, note=", or None")``.

`checked` and `check_fields` check the arguments of a function and the fields of a dataclass against
their annotations.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import math
import operator
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import ArgumentError, ArgumentTypeError, FeasibleError, NotFinite, is_number

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def whole(
    name: str,
    value: Any,
    *,
    least: int | None = None,
    most: int | None = None,
    floats: bool = False,
    note: str = "",
) -> int:
    """A whole number, as an int.

    Args:
        name: The argument, as its user knows it.
        value: What was given: an int, or anything that counts as an index (a NumPy integer). A bool
            is none.
        least: Smallest value allowed; None for no limit.
        most: Largest value allowed; None for no limit.
        floats: Take 200.0 for 200 too.
        note: Added to the expectation in the error.

    Raises:
        ArgumentTypeError: Not a whole number by type.
        ArgumentError: Out of range.

    Examples:
        >>> whole("n", 3, least=1)
        3
        >>> whole("n", 0, least=1)
        Traceback (most recent call last):
        feasible.core.errors.ArgumentError: n=0: expected a whole number >= 1
    """
    wanted = f"expected a whole number{_range(least, None, most, None)}{note}"
    try:
        if isinstance(value, bool):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        if not (isinstance(value, float) and value.is_integer() and floats):
            raised = ArgumentError if isinstance(value, float) else ArgumentTypeError
            raise raised(f"{name}={shown(value)}: {wanted}") from None
        found = int(value)
    if (least is not None and found < least) or (most is not None and found > most):
        raise ArgumentError(f"{name}={shown(found)}: {wanted}")
    return found


def real(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    infinite: bool = False,
    note: str = "",
) -> float:
    """A real number, as a float.

    Args:
        name: The argument, as its user knows it.
        value: What was given: a real number of Python or NumPy. A bool is none.
        least: Smallest value allowed; `above` excludes the bound itself.
        above: As `least`, without the bound itself.
        most: Largest value allowed.
        below: As `most`, without the bound itself.
        infinite: Let infinities pass; a NaN never does.
        note: Added to the expectation in the error.

    Raises:
        ArgumentTypeError: Not a number by type.
        NotFinite: A NaN, or an infinity where `infinite` is False.
        ArgumentError: Out of range.

    Examples:
        >>> real("tau", 2, above=0)
        2.0
        >>> real("tau", -1.0, above=0)
        Traceback (most recent call last):
        feasible.core.errors.ArgumentError: tau=-1: expected a number > 0
    """
    wanted = f"expected a {{}}number{_range(least, above, most, below)}{note}"
    if not is_number(value):
        raise ArgumentTypeError(f"{name}={shown(value)}: {wanted.format('')}")
    try:
        found = float(value)
    except OverflowError:
        raise NotFinite(f"{name}={shown(value)}: {wanted.format('finite ')}") from None
    if math.isnan(found) or (math.isinf(found) and not infinite):
        raise NotFinite(f"{name}={found:g}: {wanted.format('' if infinite else 'finite ')}")
    if (
        (least is not None and found < least)
        or (above is not None and found <= above)
        or (most is not None and found > most)
        or (below is not None and found >= below)
    ):
        raise ArgumentError(f"{name}={found:g}: {wanted.format('')}")
    return found


def fraction(
    name: str, value: Any, *, zero: bool = True, one: bool = True, note: str = ""
) -> float:
    """A number from 0 to 1, as a float; raises as `real`.

    Args:
        name: The argument, as its user knows it.
        value: What was given.
        zero: Whether 0 itself is allowed.
        one: Whether 1 itself is allowed.
        note: Added to the expectation in the error.
    """
    return real(
        name,
        value,
        least=0 if zero else None,
        above=None if zero else 0,
        most=1 if one else None,
        below=None if one else 1,
        note=note,
    )


def one_of(name: str, value: T, choices: Iterable[T], *, note: str = "") -> T:
    """One of the choices, as it is. Raises ArgumentError that lists them.

    Examples:
        >>> one_of("on_failure", "stop", ("raise", "skip"))
        Traceback (most recent call last):
        feasible.core.errors.ArgumentError: on_failure='stop': expected 'raise' or 'skip'
    """
    known = list(choices)
    if isinstance(value, Hashable) and value in known:
        return value
    *head, last = (repr(c) for c in known)
    listed = f"{', '.join(head)} or {last}" if head else last
    raise ArgumentError(f"{name}={shown(value)}: expected {listed}{note}")


def flag(name: str, value: Any) -> bool:
    """True or False, as a bool (NumPy's too). Raises ArgumentTypeError."""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return bool(value)
    raise ArgumentTypeError(f"{name}={shown(value)}: expected True or False")


def seed(name: str, value: Any) -> list[int]:
    """What numbers are drawn from: a whole number >= 0, or several of them, as a list.

    Anything else is refused before NumPy sees it: a matrix would end the process.

    Examples:
        >>> seed("seed", 3), seed("seed", (3, 1))
        ([3], [3, 1])
        >>> seed("seed", [[0]])
        Traceback (most recent call last):
        feasible.core.errors.ArgumentTypeError: seed=[[0]]: expected a whole number >= 0, or several
    """
    several = isinstance(value, (list, tuple))
    found = list(value) if several else [value]
    for one in found:
        if not isinstance(one, Integral) or isinstance(one, bool):
            raise ArgumentTypeError(
                f"{name}={shown(value)}: expected a whole number >= 0, or several"
            )
        if one < 0:
            raise ArgumentError(f"{name}={shown(value)}: expected a whole number >= 0, or several")
    return [int(one) for one in found]


def generator(name: str, value: Any) -> np.random.Generator:
    """A generator of random numbers: the one given, or one of a seed.

    Raises:
        ArgumentError: A seed below 0.
        ArgumentTypeError: It is neither.
    """
    import numpy as np

    if isinstance(value, np.random.Generator):
        return value
    return np.random.default_rng(seed(name, value))


def shown(value: Any) -> str:
    """A value as an error shows it: on one line, 60 characters at most."""
    try:
        text = repr(value)
    except Exception:  # of an object that cannot be shown, or a number of too many digits
        text = f"<{type(value).__name__}>"
    return " ".join(text.split())[:60]


# -- by annotation ---------------------------------------------------------------------------------


def check_fields(cls: type, given: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Check what a dataclass is made from against the annotations of its fields; see `checked` for
    which are read.

    Args:
        cls: A dataclass.
        given: Values by position.
        named: Values by name. Names of no field are left to the constructor.
    """
    wanted = _fields(cls)
    by_position = [f.name for f in dataclasses.fields(cls) if f.init and not f.kw_only]
    values = dict(zip(by_position, given, strict=False)) | dict(named)
    for name, value in values.items():
        if name in wanted:
            _check(name, value, wanted[name])


def checked(function: F) -> F:
    """A function whose arguments are checked against their annotations before it is called.

    Read are int, float, bool, str, None, Literal, tuples and sequences of these, and alternatives;
    an argument whose annotation has anything else is not checked here. A float is no NaN; whether
    it may be infinite, and any range, is for the function to say.

    Examples:
        >>> @checked
        ... def power(base: float, exponent: int = 2) -> float:
        ...     return base**exponent
        >>> power(1.5, "3")
        Traceback (most recent call last):
        feasible.core.errors.ArgumentTypeError: exponent='3': expected a whole number
    """
    signature = inspect.signature(function)
    wanted = {
        name: read
        for name, parameter in signature.parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and (read := _read(parameter.annotation))
    }
    names = list(signature.parameters)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            if name in wanted:
                _check(name, value, wanted[name])
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


@functools.cache
def _fields(cls: type) -> dict[str, tuple[ast.expr, ...]]:
    """Return the alternatives of each field that has an annotation that is read."""
    found = {f.name: _read(f.type) for f in dataclasses.fields(cls)}
    return {name: read for name, read in found.items() if read}


def _read(annotation: Any) -> tuple[ast.expr, ...]:
    """Return the alternatives of an annotation; () where one of them is not among those read."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    try:
        return _alternatives(ast.parse(text, mode="eval").body)
    except (SyntaxError, KeyError):
        return ()


def _alternatives(node: ast.expr) -> tuple[ast.expr, ...]:
    """Return the alternatives of ``a | b``. Raises KeyError where one is not read."""
    match node:
        case ast.BinOp(left=left, right=right, op=ast.BitOr()):
            return (*_alternatives(left), *_alternatives(right))
        case ast.Name(id="int" | "float" | "bool" | "str") | ast.Constant(value=None):
            return (node,)
        case ast.Subscript(value=ast.Name(id="Literal")):
            return (node,)
        case ast.Subscript(value=ast.Name(id="Sequence"), slice=inner):
            _alternatives(inner)
            return (node,)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=inners)):
            for inner in inners:
                if not (isinstance(inner, ast.Constant) and inner.value is ...):
                    _alternatives(inner)
            return (node,)
    raise KeyError(ast.dump(node))


def _check(name: str, value: Any, alternatives: tuple[ast.expr, ...]) -> None:
    """Raise the first alternative's error where none of them takes the value."""
    first: FeasibleError | None = None
    for node in alternatives:
        try:
            _check_one(name, value, node)
            return
        except FeasibleError as error:
            # the error of a value of the right type says more than that of a wrong one
            if first is None or not isinstance(error, ArgumentTypeError):
                first = error
    assert first is not None
    others = ", ".join(ast.unparse(node) for node in alternatives)
    raise type(first)(f"{first}" + (f" ({others})" if len(alternatives) > 1 else ""))


def _check_one(name: str, value: Any, node: ast.expr) -> None:
    """Check a value against one alternative."""
    match node:
        case ast.Name(id="int"):
            if not isinstance(value, (Integral, float)):  # an array of one number is none
                raise ArgumentTypeError(f"{name}={shown(value)}: expected a whole number")
            whole(name, value)
        case ast.Name(id="float"):
            real(name, value, infinite=True)
        case ast.Name(id="bool"):
            flag(name, value)
        case ast.Name(id="str"):
            if not isinstance(value, str):
                raise ArgumentTypeError(f"{name}={shown(value)}: expected text")
        case ast.Constant(value=None):
            if value is not None:
                raise ArgumentTypeError(f"{name}={shown(value)}: expected None")
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            one_of(name, value, _literals(inner))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=inners)):
            _check_tuple(name, value, inners)
        case ast.Subscript(slice=inner):
            _check_items(name, value, [inner] * _count(name, value))


def _literals(node: ast.expr) -> list[Any]:
    """Return the choices of a Literal."""
    found = ast.literal_eval(node)
    return list(found) if isinstance(found, tuple) else [found]


def _check_tuple(name: str, value: Any, inners: list[ast.expr]) -> None:
    """Check a tuple of given types; ``tuple[float, ...]`` has any length."""
    n = _count(name, value)
    if isinstance(inners[-1], ast.Constant) and inners[-1].value is ...:
        inners = [inners[0]] * n
    if n != len(inners):
        raise ArgumentError(f"{name}={shown(value)}: expected {len(inners)} values")
    _check_items(name, value, inners)


def _count(name: str, value: Any) -> int:
    """Return the number of values of a sequence; text is none."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        raise ArgumentTypeError(f"{name}={shown(value)}: expected a sequence of values")
    try:
        return len(value)
    except TypeError:  # an array without dimensions
        raise ArgumentTypeError(f"{name}={shown(value)}: expected a sequence of values") from None


def _check_items(name: str, value: Any, inners: Sequence[ast.expr]) -> None:
    """Check the values of a sequence."""
    for i, (item, inner) in enumerate(zip(value, inners, strict=True)):
        _check(f"{name}[{i}]", item, _alternatives(inner))


def _range(
    least: float | None, above: float | None, most: float | None, below: float | None
) -> str:
    """How a sentence says a range: "", " >= 1", " < 3" or " in (0, 1]"."""
    low, high = least if above is None else above, most if below is None else below
    if low is not None and high is not None:
        opening, closing = "[" if above is None else "(", "]" if below is None else ")"
        return f" in {opening}{low:g}, {high:g}{closing}"
    if low is not None:
        return f" {'>' if above is not None else '>='} {low:g}"
    if high is not None:
        return f" {'<' if below is not None else '<='} {high:g}"
    return ""
