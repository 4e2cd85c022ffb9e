"""The functions of a program and their derivatives, computed from what was given, uncharged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse as sp

from ..core.checks import shown
from ..core.errors import ArgumentTypeError, EvaluationFailed
from .constraints import Rows
from .derivatives import (
    RULES,
    colours,
    differences,
    matrix,
    torch_hessian,
    torch_jacobian,
    torch_product,
    torch_value,
    vector,
)

if TYPE_CHECKING:
    from jaxtyping import Float

WHOLE = 10_000
"""Entries of a matrix up to which all of them are taken as possible, so that none is missed."""
PROBES = 3
"""Random points at which a larger matrix shows where it has entries."""


@dataclass
class Functions:
    """f, c and their derivatives. A value outside a function's domain is NaN.

    Attributes:
        f: From x (n,) to a number, or to (number, gradient) where `both`.
        g: Its gradient: a function, "torch", "2-point" or "3-point".
        h: Its Hessian: a function, "torch" or None.
        hp: Its Hessian times a vector, from (x, p), or None.
        both: Whether f returns its gradient too.
        rows: The constraints.
        x0: (n,) about which sparsity is looked for.
        low: (n,) lower bounds.
        high: (n,) upper bounds.
    """

    f: Callable[..., Any]
    g: Callable[..., Any] | str
    h: Callable[..., Any] | str | None
    hp: Callable[..., Any] | None
    both: bool
    rows: list[Rows]
    x0: Float[np.ndarray, " n"]
    low: Float[np.ndarray, " n"]
    high: Float[np.ndarray, " n"]
    slices: dict[str, slice] = field(init=False)

    def __post_init__(self) -> None:
        self.slices, begin = {}, 0
        for rows in self.rows:
            self.slices[rows.name] = slice(begin, begin + rows.size)
            begin += rows.size
        self.n, self.m = len(self.x0), begin

    @property
    def exact(self) -> bool:
        """True if no first derivative is differenced."""
        return self.g not in RULES and not any(r.jac in RULES for r in self.rows)

    @property
    def second_order(self) -> bool:
        """True if the Hessian of the Lagrangian was given, or comes from torch."""
        return self.h is not None and all(r.hess is not None for r in self.rows)

    @property
    def differenced(self) -> int:
        """Evaluations that the differences of f and c take together at one point."""
        parts = [(self.g, None), *((r.jac, r.pattern) for r in self.rows)]
        return max(
            (
                (self.n if p is None else int(colours(p).max(initial=-1)) + 1)
                * (2 if how == "3-point" else 1)
                for how, p in parts
                if how in RULES
            ),
            default=0,
        )

    @cached_property
    def jacobian_pattern(self) -> sp.csr_array:
        """(m, n) where the Jacobian may have entries: all, where they are few; else where somebody
        said, or where three random points about x0 show one.
        """
        if self.m * self.n <= WHOLE:
            return sp.csr_array(np.ones((self.m, self.n)))
        parts = []
        for rows in self.rows:
            pattern = rows.pattern
            if pattern is None and rows.jac in RULES:
                pattern = sp.csr_array(np.ones((rows.size, self.n)))
            elif pattern is None:
                pattern = _seen([self._one_jacobian(rows, x, None) for x in self._probes()])
            parts.append(pattern)
        return sp.csr_array(sp.vstack(parts))

    @cached_property
    def hessian_pattern(self) -> sp.csr_array:
        """(n, n) where the lower triangle of the Lagrangian's Hessian may have entries."""
        if self.n**2 <= WHOLE or not self.second_order:
            return sp.csr_array(np.tril(np.ones((self.n, self.n))))
        y = np.ones(self.m)
        return sp.csr_array(sp.tril(_seen([self.hessian(x, 1.0, y) for x in self._probes()])))

    def _probes(self) -> list[Float[np.ndarray, " n"]]:
        """Return x0 and random points about it, inside the bounds."""
        rng = np.random.default_rng(0)
        away = rng.uniform(0.05, 0.15, (PROBES, self.n)) * np.maximum(1.0, np.abs(self.x0))
        return [self.x0, *np.clip(self.x0 + away, self.low, self.high)]

    def value(self, x: Float[np.ndarray, " n"]) -> float:
        """Compute f; NaN outside its domain."""
        try:
            value = torch_value(self.f, x) if self.g == "torch" else self.f(x.copy())
            if self.both:
                value = _pair(value)[0]
        except (ArithmeticError, EvaluationFailed):
            return np.nan
        if type(value) is float:
            return value
        return float(vector(value, "fun", 1)[0])

    def constraints(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
        """Compute c; NaN where a constraint is outside its domain."""
        found = []
        for rows in self.rows:
            try:
                found.append(rows.values(x))
            except (ArithmeticError, EvaluationFailed):
                found.append(np.full(rows.size, np.nan))
        return np.concatenate([np.zeros(0), *found])

    def gradient(
        self, x: Float[np.ndarray, " n"], f: float | None, rule: str | None = None
    ) -> Float[np.ndarray, " n"]:
        """Compute f's gradient; f is its value there, rule that of the differences."""
        if self.g in RULES:
            at_x = None if f is None else np.array([f])
            rule = rule or self.g
            found = differences(
                lambda z: np.array([self.value(z)]), x, (self.low, self.high), rule, at_x
            )
            return found[0]
        try:
            if self.g == "torch":
                return torch_jacobian(self.f, x, None)
            if self.both:
                given = _pair(self.f(x.copy()))[1]
            else:
                given = self.g(x.copy())  # type: ignore[operator]
        except (ArithmeticError, EvaluationFailed):
            return np.full(self.n, np.nan)
        return vector(given, "jac", self.n)

    def _one_jacobian(
        self,
        rows: Rows,
        x: Float[np.ndarray, " n"],
        at_x: Float[np.ndarray, " k"] | None,
        rule: str | None = None,
    ) -> sp.csr_array:
        """Compute one constraint's Jacobian."""
        shape = (rows.size, self.n)
        if rows.jac in RULES:
            rule = rule or str(rows.jac)
            given: Any = differences(
                rows.values, x, (self.low, self.high), rule, at_x, rows.pattern
            )
        elif rows.jac == "torch":
            given = torch_jacobian(rows.fun, x, rows.size)
        else:
            assert callable(rows.jac)
            given = rows.jac(x.copy())
        return matrix(given, f"jac of constraint '{rows.name}'", shape)

    def jacobian(
        self,
        x: Float[np.ndarray, " n"],
        c: Float[np.ndarray, " m"] | None,
        rule: str | None = None,
    ) -> sp.csr_array:
        """Compute the Jacobian of all rows."""
        if not self.rows:
            return sp.csr_array((0, self.n))
        try:
            parts = [
                self._one_jacobian(r, x, None if c is None else c[self.slices[r.name]], rule)
                for r in self.rows
            ]
        except (ArithmeticError, EvaluationFailed):
            return sp.csr_array(np.full((self.m, self.n), np.nan))
        return parts[0] if len(parts) == 1 else sp.csr_array(sp.vstack(parts))

    def hessian(
        self, x: Float[np.ndarray, " n"], sigma: float, y: Float[np.ndarray, " m"]
    ) -> sp.csr_array:
        """Compute the Hessian of sigma f + y . c from what was given."""
        shape = (self.n, self.n)
        if callable(self.h):
            given = self.h(x.copy())
        else:
            given = torch_hessian(self.f, x, 1.0)
        total = sigma * matrix(given, "hess", shape)
        for rows in self.rows:
            weights = y[self.slices[rows.name]]
            if not weights.any():
                continue
            if callable(rows.hess):
                given = rows.hess(x.copy(), weights)
            else:
                given = torch_hessian(rows.fun, x, weights)
            total = total + matrix(given, f"hess of constraint '{rows.name}'", shape)
        return sp.csr_array(total)

    def product(
        self,
        x: Float[np.ndarray, " n"],
        v: Float[np.ndarray, " n"],
        sigma: float,
        y: Float[np.ndarray, " m"],
    ) -> Float[np.ndarray, " n"]:
        """Compute the Hessian of sigma f + y . c times v."""
        if self.hp is not None and not y.any():
            return sigma * vector(self.hp(x.copy(), np.array(v)), "hessp", self.n)
        if self.h == "torch" and all(r.hess == "torch" for r in self.rows):
            total = sigma * torch_product(self.f, x, 1.0, v)
            for rows in self.rows:
                total = total + torch_product(rows.fun, x, y[self.slices[rows.name]], v)
            return total
        return self.hessian(x, sigma, y) @ v


def _pair(value: Any) -> tuple[Any, Any]:
    """Return f and its gradient of what a function gave that jac=True says to give both."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ArgumentTypeError(
            f"fun returned {shown(value)}: with jac=True it is to return its value and its gradient"
        )
    return value[0], value[1]


def _seen(found: list[sp.csr_array]) -> sp.csr_array:
    """Return where any of the matrices stores an entry, zeros included."""
    ones = [sp.csr_array((np.ones(len(a.data)), a.indices, a.indptr), shape=a.shape) for a in found]
    total = ones[0]
    for one in ones[1:]:
        total = total + one
    return sp.csr_array(total)
