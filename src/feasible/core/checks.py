"""Checks of arguments, once for the whole house: each returns the value as a plain Python one, or
raises an error that names the argument, what was got and what was expected.

A wrong type raises ArgumentTypeError, a wrong value ArgumentError (NaN and infinities NotFinite,
which is one). `note` is put after the expectation: ``whole("n", n, least=2, note=", or None")``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any, TypeVar

from .errors import ArgumentError, ArgumentTypeError, NotFinite, is_number

T = TypeVar("T")


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
            raise raised(f"{name}={value!r:.60}: {wanted}") from None
        found = int(value)
    if (least is not None and found < least) or (most is not None and found > most):
        raise ArgumentError(f"{name}={found}: {wanted}")
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
        raise ArgumentTypeError(f"{name}={value!r:.60}: {wanted.format('')}")
    found = float(value)
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
    if value in known:
        return value
    *head, last = (repr(c) for c in known)
    listed = f"{', '.join(head)} or {last}" if head else last
    raise ArgumentError(f"{name}={value!r:.60}: expected {listed}{note}")


def flag(name: str, value: Any) -> bool:
    """True or False, as a bool (NumPy's too). Raises ArgumentTypeError."""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return bool(value)
    raise ArgumentTypeError(f"{name}={value!r:.60}: expected True or False")


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
