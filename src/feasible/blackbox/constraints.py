"""SciPy's constraint objects as named, limited metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.errors import ArgumentError, ArgumentTypeError, EvaluationFailed, LimitError, ShapeError
from ..core.limits import Limit
from .outcome import numeric


@dataclass(slots=True)
class SciPyConstraint:
    """A SciPy constraint as named metrics. size: number of components, None until the first
    evaluation shows it; scales: what violations are measured in, by its name or a component's.
    """

    name: str
    fun: Callable[[np.ndarray], Any]
    low: np.ndarray
    high: np.ndarray
    size: int | None
    keep_feasible: bool
    given: Any
    scales: dict[str, float] = field(default_factory=dict)

    def values(self, x: np.ndarray) -> dict[str, float]:
        """The components at x (d,) by name. Raises EvaluationFailed."""
        found = np.atleast_1d(numeric(self.fun(x.copy()))).ravel()
        if self.size is not None and len(found) != self.size:
            raise EvaluationFailed(
                f"wrong shape: constraint '{self.name}' returned {len(found)} values, expected "
                f"{self.size}"
            )
        return dict(zip(self._names(len(found)), found.tolist(), strict=True))

    def _names(self, size: int) -> list[str]:
        return [self.name] if size == 1 else [f"{self.name}[{i}]" for i in range(size)]

    def owns(self, name: str) -> bool:
        """True if the metric of that name is one of the components."""
        return name == self.name or name.startswith(f"{self.name}[")

    def learn(self, metrics: Mapping[str, float]) -> bool:
        """Take the number of components from measured metrics; True if the limits have changed by
        it.
        """
        if self.size is None and (self.name in metrics or f"{self.name}[0]" in metrics):
            self.size = (
                1 if self.name in metrics else sum(k.startswith(f"{self.name}[") for k in metrics)
            )
            return self.size > 1
        return False

    def limits(self) -> list[Limit]:
        """One limit for each component that is limited."""
        size = self.size or 1
        low, high = np.broadcast_to(self.low, size), np.broadcast_to(self.high, size)
        return [
            Limit(n, float(lo), float(hi), scale=self.scales.get(n, self.scales.get(self.name)))
            for n, lo, hi in zip(self._names(size), low, high, strict=True)
            if lo > -np.inf or hi < np.inf
        ]


def scipy_constraints(constraints: Any, d: int) -> list[SciPyConstraint]:
    """Read NonlinearConstraint, LinearConstraint and {"type", "fun"} mappings, alone, in a list or
    by name.
    """
    named: list[tuple[str, Any]]
    if constraints is None:
        return []
    if isinstance(constraints, Mapping) and "fun" not in constraints:
        named = [(str(k), v) for k, v in constraints.items()]
    else:
        many = list(constraints) if isinstance(constraints, (list, tuple)) else [constraints]
        named = [(f"c{i + 1}", c) for i, c in enumerate(many)]
    found = []
    for name, c in named:
        if isinstance(c, Mapping):
            if c.get("type") not in ("ineq", "eq") or not callable(c.get("fun")):
                raise ArgumentError(
                    f"constraint '{name}': got {dict(c)!r:.80}, expected "
                    f"{{'type': 'ineq' or 'eq', 'fun': function}}"
                )
            zero, args = np.zeros(1), tuple(c.get("args", ()))
            top = zero if c["type"] == "eq" else np.array([np.inf])
            found.append(
                SciPyConstraint(name, _with_args(c["fun"], args), zero, top, None, False, None)
            )
        elif hasattr(c, "A") and hasattr(c, "lb"):
            a = np.atleast_2d(
                np.asarray(c.A.toarray() if hasattr(c.A, "toarray") else c.A, dtype=float)
            )
            if a.shape[1] != d:
                raise ShapeError(
                    f"constraint '{name}': LinearConstraint has {a.shape[1]} columns, expected "
                    f"{d}, one for each variable"
                )
            low, high = _sides(name, c, len(a))
            found.append(
                SciPyConstraint(
                    name, a.__matmul__, low, high, len(a), bool(np.any(c.keep_feasible)), c
                )
            )
        elif hasattr(c, "fun") and hasattr(c, "lb"):
            size = max(np.size(c.lb), np.size(c.ub))
            low, high = _sides(name, c, size)
            found.append(
                SciPyConstraint(
                    name,
                    c.fun,
                    low,
                    high,
                    size if size > 1 else None,
                    bool(np.any(c.keep_feasible)),
                    c,
                )
            )
        else:
            raise ArgumentTypeError(
                f"constraint '{name}': got {type(c).__name__}, expected "
                "scipy.optimize.NonlinearConstraint, "
                "LinearConstraint or a dict with 'type' and 'fun'"
            )
    return found


def _sides(name: str, c: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        low, high = (
            np.broadcast_to(np.asarray(side, dtype=float), size).copy() for side in (c.lb, c.ub)
        )
    except ValueError:
        raise ShapeError(
            f"constraint '{name}': lb has {np.size(c.lb)} and ub {np.size(c.ub)} entries, expected "
            f"{size}"
        ) from None
    if np.isneginf(low).all() and np.isposinf(high).all():
        raise LimitError(f"constraint '{name}' limits nothing: both sides are infinite")
    return low, high


def _with_args(fun: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[np.ndarray], Any]:
    return (lambda x: fun(x, *args)) if args else fun
