"""Checks of arguments, once for the whole house: each returns the value as a plain Python one, or
raises an error that names the argument, what was got and what was expected.

A wrong type raises ArgumentTypeError, a wrong value ArgumentError (NaN and infinities NotFinite,
which is one). `note` is put after the expectation: ``whole("n", n, least=2, note=", or None")``.
"""

from __future__ import annotations

import contextlib
import math
import operator
import re
from collections.abc import Hashable, Iterable, Iterator
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import ArgumentError, ArgumentTypeError, FeasibleError, NotFinite, is_number

if TYPE_CHECKING:
    import numpy as np

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


def numbers(name: str, value: Any) -> Any:
    """An array of real numbers of any shape, as NumPy reads it; a tensor as it is, without its
    graph.

    Raises:
        ArgumentTypeError: Something in it is no real number, or it is ragged.
    """
    import numpy as np

    try:
        found = value.detach() if hasattr(value, "detach") else np.asarray(value)
        kind = np.asarray(found).dtype.kind
    except Exception:  # whatever an object's own conversion raises
        kind = "O"
    if kind not in "biuf":
        raise ArgumentTypeError(f"{name}={shown(value)}: expected an array of real numbers")
    return found


def floats(name: str, value: Any) -> np.ndarray:
    """An array of float64 of any shape; raises as `numbers`."""
    import numpy as np

    return np.asarray(numbers(name, value), dtype=float)


def fits(name: str, value: Any, what: str, *shape: int) -> None:
    """Refuse an argument whose arrays this machine's memory cannot hold, before they are made.

    Args:
        name: The argument, as its user knows it.
        value: What was given.
        what: What is to be kept, in words.
        shape: Of its float64 numbers; a number of arrays of one shape may stand first.

    Raises:
        ArgumentError: They take more than the memory.

    Examples:
        >>> fits("d", 10**12, "7 vectors a node", 7, 4, 10**12)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        feasible.core.errors.ArgumentError: d=1000000000000: 7 vectors a node take 2.2e+05 GB, ...
    """
    need, room = 8 * math.prod(map(int, shape)), memory()
    if need > room:
        raise ArgumentError(
            f"{name}={shown(value)}: {what} take {need / 1e9:.2g} GB, this machine has "
            f"{room / 1e9:.2g} GB"
        )


def memory() -> float:
    """Bytes of this machine's memory."""
    import psutil

    return float(psutil.virtual_memory().total)


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Raise what is said of an argument, here or by another library, as an error of ours that
    names it.

    Examples:
        >>> with naming("times"):
        ...     float("text")
        Traceback (most recent call last):
        feasible.core.errors.ArgumentError: times: could not convert string to float: 'text'
    """
    try:
        yield
    except (ArgumentError, ArgumentTypeError) as error:
        if re.search(rf"\b{re.escape(name)}\b", str(error)):
            raise
        raise type(error)(f"{name}: {error}") from error
    except FeasibleError:
        raise
    except (TypeError, AttributeError) as error:
        raise ArgumentTypeError(f"{name}: {_line(error)}") from error
    except (ValueError, LookupError, ArithmeticError, RuntimeError) as error:
        raise ArgumentError(f"{name}: {_line(error)}") from error


def _line(error: Exception) -> str:
    """Return what an error says, on one line; its class where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def shown(value: Any) -> str:
    """A value as an error shows it: on one line, 60 characters at most."""
    try:
        text = repr(value)
    except Exception:  # of an object that cannot be shown, or a number of too many digits
        text = f"<{type(value).__name__}>"
    return " ".join(text.split())[:60]


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
