"""Constraints in the forms of SciPy, read as named rows low <= c(x) <= high."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse as sp
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint

from ..core.checks import one_of, shown
from ..core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    NotFinite,
    ShapeError,
    nearest,
)
from ..core.failure import users_own
from .derivatives import RULES, torch_value, vector

if TYPE_CHECKING:
    from jaxtyping import Float

HOW = (*RULES, "torch")
"""What a derivative may be besides a function."""


@dataclass(frozen=True)
class Rows:
    """Some rows of the constraints, under one name.

    Attributes:
        name: What people call them.
        low: (k,) lower limits, -inf where there is none.
        high: (k,) upper limits; an equality has low == high.
        fun: From x (n,) to (k,).
        jac: From x to (k, n), or "2-point", "3-point" or "torch".
        hess: From x and weights (k,) to the (n, n) Hessian of weights . fun, or "torch"; None where
            nobody gave one.
        pattern: (k, n) where the Jacobian may have entries; None where nobody said.
        matrix: (k, n) of a linear constraint, None of any other.
    """

    name: str
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    fun: Callable[..., Any]
    jac: Callable[..., Any] | str
    hess: Callable[..., Any] | str | None
    pattern: sp.csr_array | None = None
    matrix: sp.csr_array | None = None

    @property
    def size(self) -> int:
        """k."""
        return len(self.low)

    def values(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
        """fun(x), checked."""
        value = torch_value(self.fun, x) if self.jac == "torch" else self.fun(x.copy())
        return vector(value, f"constraint '{self.name}'", self.size)


def read_start(given: Any) -> Float[np.ndarray, " n"]:
    """Return x0 as (n,) finite real numbers."""
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    try:
        found = np.asarray(given)
    except ValueError:
        raise ShapeError("x0 is ragged, expected a vector") from None
    if found.dtype.kind not in "fiub":
        raise ArgumentTypeError(
            f"x0 holds {found.dtype} values, expected real numbers (a complex variable is two)"
        )
    if found.ndim > 1 or not found.size:
        raise ShapeError(f"x0 has shape {found.shape}, expected a vector of at least one number")
    x0 = found.astype(np.float64).reshape(-1)
    if not np.isfinite(x0).all():
        raise NotFinite(f"x0[{int((~np.isfinite(x0)).argmax())}] is {x0[~np.isfinite(x0)][0]}")
    return x0


def read_bounds(
    given: Any, n: int, x0: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Bounds on the variables as two vectors.

    Args:
        given: A `scipy.optimize.Bounds`, n pairs (low, high) with None where there is none, or
            None.
        n: Variables.
        x0: The start, whose length the errors name.

    Raises:
        BoundsError: They cross, or are as many as there are no variables.
        NotFinite: A NaN.
    """
    if given is None:
        return np.full(n, -np.inf), np.full(n, np.inf)
    if isinstance(given, Bounds):
        pairs = (given.lb, given.ub)
    else:
        try:
            listed = [(low, high) for low, high in given]
        except (TypeError, ValueError):
            raise BoundsError(
                f"bounds={shown(given)}: expected scipy.optimize.Bounds or {n} pairs (low, high)"
            ) from None
        if len(listed) != n:
            raise BoundsError(f"bounds has {len(listed)} pairs, but x0 has {n} entries")
        pairs = (
            [-np.inf if low is None else low for low, _ in listed],
            [np.inf if high is None else high for _, high in listed],
        )
    return limits(*pairs, n, "bounds", "variable")


def limits(
    low: Any, high: Any, size: int, name: str, each: str = "row"
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Two vectors of limits of one size that do not cross.

    Raises:
        ArgumentTypeError: No numbers.
        BoundsError: Another length, or limits that cross or cannot be met.
        NotFinite: A NaN.
    """
    found = []
    for side in (low, high):
        try:
            values = np.array(side, dtype=np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise ArgumentTypeError(f"{name}={shown(side)}: expected numbers") from None
        if len(values) not in (1, size):
            raise BoundsError(f"{name} has {len(values)} limits, expected 1 or {size}")
        if np.isnan(values).any():
            raise NotFinite(f"{name}: a limit is NaN")
        found.append(np.broadcast_to(values, size).copy())
    wrong = np.flatnonzero((found[0] > found[1]) | (found[0] == np.inf) | (found[1] == -np.inf))
    if len(wrong):
        i = int(wrong[0])
        raise BoundsError(f"{name} cross in {each} {i}: low {found[0][i]:g}, high {found[1][i]:g}")
    return found[0], found[1]


def read_constraints(given: Any, x0: Float[np.ndarray, " n"]) -> list[Rows]:
    """Constraints of any form, by name.

    Args:
        given: A NonlinearConstraint or LinearConstraint of SciPy, a dictionary
            ``{"type": "eq" | "ineq", "fun": ..., "jac": ..., "args": ...}``, a sequence of these,
            or a mapping of names to them; None for none.
        x0: (n,) where each is evaluated once, to learn its size.

    Raises:
        ArgumentError, ArgumentTypeError, BoundsError, ShapeError, NotFinite: What is wrong with
            which constraint.
    """
    if given is None:
        return []
    if isinstance(given, Mapping) and not ("fun" in given and "type" in given):
        named: list[tuple[Any, Any]] = list(given.items())
    elif isinstance(given, Sequence):
        named = [(None, one) for one in given]
    else:
        named = [(None, given)]
    found: list[Rows] = []
    for i, (name, one) in enumerate(named):
        if name is not None and not isinstance(name, str):
            raise ArgumentTypeError(f"constraints: the name {name!r:.40} is no text")
        rows = _read(name or _own_name(one, i, {r.name for r in found}), one, x0)
        if rows.size:
            parts = {k: v for k in ("fun", "jac", "hess") if callable(v := getattr(rows, k))}
            found.append(replace(rows, **{k: users_own(v) for k, v in parts.items()}))
    return found


def _own_name(one: Any, i: int, taken: set[str]) -> str:
    """Return a name for a constraint that has none: that of its function, or its number."""
    fun = one.get("fun") if isinstance(one, Mapping) else getattr(one, "fun", None)
    name = getattr(fun, "__name__", "<")
    plain = not name.startswith(("<", "_")) and name not in taken
    return name if plain else f"constraint {i + 1}"


def _read(name: str, one: Any, x0: Float[np.ndarray, " n"]) -> Rows:
    """Read one constraint."""
    if isinstance(one, LinearConstraint):
        return _linear(name, one, len(x0))
    if isinstance(one, NonlinearConstraint):
        return _nonlinear(name, one, x0)
    if isinstance(one, Mapping):
        return _dictionary(name, one, x0)
    raise ArgumentTypeError(
        f"constraint '{name}' is a {type(one).__name__}: expected a NonlinearConstraint or "
        "LinearConstraint of scipy.optimize, or a dictionary with 'type' and 'fun'"
    )


def _linear(name: str, one: LinearConstraint, n: int) -> Rows:
    """Read low <= A x <= high."""
    given = one.A if sp.issparse(one.A) else np.atleast_2d(np.asarray(one.A, dtype=float))
    if given.shape[1] != n:
        raise ShapeError(
            f"constraint '{name}': A has {given.shape[1]} columns, but x0 has {n} entries"
        )
    a = sp.csr_array(given, dtype=np.float64)
    a.sum_duplicates()
    if not np.isfinite(a.data).all():
        raise NotFinite(f"constraint '{name}': A holds a NaN or an infinity")
    low, high = limits(one.lb, one.ub, a.shape[0], f"limits of constraint '{name}'")
    zero = sp.csr_array((n, n))
    return Rows(name, low, high, lambda x: a @ x, lambda x: a, lambda x, v: zero, a, a)


def _nonlinear(name: str, one: NonlinearConstraint, x0: Float[np.ndarray, " n"]) -> Rows:
    """Read low <= fun(x) <= high."""
    jac, hess = one.jac, one.hess
    if not callable(jac):
        one_of(f"jac of constraint '{name}'", jac, HOW)
    if not callable(hess):  # SciPy's own default is a quasi-Newton strategy, which is a method's
        hess = "torch" if jac == "torch" else None
    size = _size(name, one.fun, jac, x0)
    low, high = limits(one.lb, one.ub, size, f"limits of constraint '{name}'")
    pattern = one.finite_diff_jac_sparsity
    if pattern is not None:
        pattern = sp.csr_array(pattern, dtype=np.float64)
        if pattern.shape != (size, len(x0)):
            raise ShapeError(
                f"constraint '{name}': the sparsity has shape {pattern.shape}, expected "
                f"{(size, len(x0))}"
            )
    return Rows(name, low, high, one.fun, jac, hess, pattern)


def _dictionary(name: str, one: Mapping[str, Any], x0: Float[np.ndarray, " n"]) -> Rows:
    """Read fun(x) == 0 or fun(x) >= 0."""
    for key in one:
        if key not in ("type", "fun", "jac", "args"):
            known = ("type", "fun", "jac", "args")
            raise ArgumentError(f"constraint '{name}' has no key '{key}': {nearest(key, known)}")
    kind = one_of(f"type of constraint '{name}'", one.get("type"), ("eq", "ineq"))
    args, given, how = tuple(one.get("args", ())), one.get("fun"), one.get("jac")
    if not callable(given):
        raise ArgumentTypeError(f"constraint '{name}': 'fun' is no function")
    fun = (lambda x: given(x, *args)) if args else given
    jac: Any = "2-point" if how in (None, False) else how
    if callable(how) and args:
        jac = lambda x: how(x, *args)  # noqa: E731
    if not callable(jac):
        one_of(f"jac of constraint '{name}'", jac, HOW)
    size = _size(name, fun, jac, x0)
    zero = np.zeros(size)
    hess = "torch" if jac == "torch" else None
    return Rows(name, zero, zero if kind == "eq" else np.full(size, np.inf), fun, jac, hess)


def _size(name: str, fun: Callable[..., Any], jac: Any, x0: Float[np.ndarray, " n"]) -> int:
    """Return how many values a constraint has, by evaluating it at x0."""
    try:
        value = torch_value(fun, x0) if jac == "torch" else fun(x0.copy())
    except ArithmeticError as error:
        raise ArgumentError(
            f"constraint '{name}' raised {type(error).__name__} at x0 ({error}), where its size "
            "is told from its value: begin inside its domain"
        ) from error
    return len(vector(value, f"constraint '{name}'"))
