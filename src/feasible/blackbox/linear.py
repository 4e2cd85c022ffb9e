"""Known linear constraints on the inputs, such as mixtures whose shares sum to one: read from text,
kept by every proposal, and sampled without rejection.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import Bounds as BoxBounds, LinearConstraint, linprog, milp

from ..core.errors import ArgumentError, NothingAllowed, nearest

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

SLACK = 1e-12
"""Rounding in a linear constraint that counts as none, relative to its terms."""
POOL = 4096
"""Points of the polytope that are kept to sample from; a power of two."""
_OPERATOR = re.compile(r"<=|>=|==|=|<|>")
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"


def linear_constraint(text: str, names: Sequence[str]) -> LinearConstraint:
    """Read a linear constraint on variables.

    Args:
        text: Such as `"a + b + c == 1"`, `"a + 2 b <= 3"` or `"0.2 <= a - 0.5*b <= 0.6"`.
        names: Of the variables.

    Raises:
        ArgumentError: It cannot be read.

    Examples:
        >>> row = linear_constraint("a + 2 b <= 3 + 0.5*c", ["a", "b", "c"])
        >>> row.A.tolist(), row.lb.tolist(), row.ub.tolist()
        ([[1.0, 2.0, -0.5]], [-inf], [3.0])
    """
    sides, signs = _OPERATOR.split(text), _OPERATOR.findall(text)
    kinds = {s[0] for s in signs}
    if len(sides) not in (2, 3) or len(kinds) != 1 or (len(sides) == 3 and kinds == {"="}):
        raise _unreadable(text, "expected one of <=, >=, ==, or a range such as 1 <= a + b <= 2")
    terms = [_terms(side, text, names) for side in sides]
    if len(sides) == 3 and (terms[0][0].any() or terms[2][0].any()):
        raise _unreadable(text, "expected a range between two numbers")
    middle = terms[1] if len(sides) == 3 else (terms[0][0] - terms[1][0], terms[0][1])
    if not middle[0].any():
        raise _unreadable(text, "it names no variable")
    first = terms[0][1] - middle[1] if len(sides) == 3 else -math.inf
    last = terms[-1][1] - middle[1]
    if kinds == {"="}:
        first = last
    elif kinds == {">"}:
        first, last = last, (first if len(sides) == 3 else math.inf)
    return LinearConstraint(middle[0][None], [first], [last])


def _terms(side: str, text: str, names: Sequence[str]) -> tuple[np.ndarray, float]:
    """Return the coefficients (d,) and the constant of one side."""
    named = "|".join(re.escape(n) for n in sorted(names, key=len, reverse=True))
    term = re.compile(
        rf"\s*([-+−])?\s*(?:({_NUMBER})\s*\*?\s*({named})(?!\w)|({named})(?!\w)\s*"
        rf"(?:([*/])\s*({_NUMBER}))?|({_NUMBER})(?!\w))\s*"
    )
    row, constant, at = np.zeros(len(names)), 0.0, 0
    while at < len(side) or at == 0:
        found = term.match(side, at)
        if found is None or (at > 0 and not found[1]):
            rest = side[at:].strip()
            word = re.search(r"[^\W\d][\w-]*", rest)
            hint = f"; {nearest(word[0], names)}" if word and word[0] not in names else ""
            raise _unreadable(
                text, f"'{rest}' is no sum of numbers times variables{hint}", names if hint else ()
            )
        sign, factor, first, second, operator, divisor, alone = found.groups()
        value = float(factor or alone or 1.0)
        if divisor:
            value = float(divisor) if operator == "*" else 1 / float(divisor or 1)
        value = -value if sign in ("-", "−") else value
        if alone:
            constant += value
        else:
            row[list(names).index(first or second)] += value
        at = found.end()
    return row, constant


def _unreadable(text: str, why: str, names: Sequence[str] = ()) -> ArgumentError:
    """Return the error for a constraint that cannot be read."""
    known = f" (variables: {', '.join(names)})" if names else ""
    return ArgumentError(
        f"constraint '{text:.100}': {why}{known}; write a linear constraint such as "
        "'a + b + c == 1' or 'a + 2 b <= 3'"
    )


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the variables of a space lie.

    Attributes:
        low: (d,) bounds.
        high: (d,) bounds.
        step: (d,) distance of neighbouring values, 0 for real variables.
    """

    low: Float[np.ndarray, " d"]
    high: Float[np.ndarray, " d"]
    step: Float[np.ndarray, " d"]


class Polytope:
    """The points of a box that keep linear constraints: low <= A x <= high, in a grid.

    Points outside are moved first along the equalities' normals, then straight toward the centre,
    until they are inside; points inside stay as they are, bit for bit.

    Args:
        constraints: The linear constraints.
        grid: The box; variables with a step take its multiples only.
        names: Of the variables, for errors.

    Attributes:
        equal: Whether there are equalities: then no point of the box is inside by chance.
        centre: (d,) an inner point, as far from all sides as may be.

    Raises:
        NothingAllowed: No point keeps all of them.
    """

    def __init__(
        self, constraints: Sequence[LinearConstraint], grid: Grid, names: Sequence[str]
    ) -> None:
        self.grid, self.names = grid, tuple(names)
        bounded = np.isfinite(grid.low) & np.isfinite(grid.high)
        self._origin = np.where(np.isfinite(grid.low), grid.low, 0.0)
        self._span = np.where(bounded & (grid.high > grid.low), grid.high - self._origin, 1.0)
        dense = [c.A.toarray() if hasattr(c.A, "toarray") else c.A for c in constraints]
        self.A = np.vstack([np.atleast_2d(np.asarray(a, float)) for a in dense])
        sides = [
            np.broadcast_to(np.asarray(side, float), len(np.atleast_2d(a)))
            for c, a in zip(constraints, dense, strict=True)
            for side in (c.lb, c.ub)
        ]
        self.lb, self.ub = np.concatenate(sides[::2]), np.concatenate(sides[1::2])
        self.equal = bool((self.lb == self.ub).any())
        self._lay_out()
        self.centre = self._inner()
        self._pool: np.ndarray | None = None
        self._share: float | None = None
        if (grid.step > 0).any():
            self.snap(self.to_grid(self.centre[None]))  # raises where the grid has no such point

    def _lay_out(self) -> None:
        """Set the constraints in coordinates s of the unit cube: E s = e, G s <= h."""
        grid, tie = self.grid, self.lb == self.ub
        a, shift = self.A * self._span, self.A @ self._origin
        fixed = np.flatnonzero(grid.low == grid.high)
        identity = np.eye(len(self._span))
        self._E = np.vstack([a[tie], identity[fixed]])
        self._e = np.concatenate([(self.lb - shift)[tie], np.zeros(len(fixed))])
        above, below = ~tie & np.isfinite(self.ub), ~tie & np.isfinite(self.lb)
        top, bottom = np.isfinite(grid.high), np.isfinite(grid.low)
        top, bottom = top & (grid.low < grid.high), bottom & (grid.low < grid.high)
        self._G = np.vstack([a[above], -a[below], identity[top], -identity[bottom]])
        self._h = np.concatenate(
            [
                (self.ub - shift)[above],
                (shift - self.lb)[below],
                ((grid.high - self._origin) / self._span)[top],
                ((self._origin - grid.low) / self._span)[bottom],
            ]
        )
        self._inverse = np.linalg.pinv(self._E)
        rank = np.linalg.matrix_rank(self._E) if len(self._E) else 0
        self._free = np.linalg.svd(self._E)[2][rank:].T if len(self._E) else identity

        real = np.flatnonzero((grid.step == 0) & (grid.low < grid.high))
        real = real if tie.any() else real[:0]
        self._real = real, np.linalg.pinv(self.A[tie][:, real])

    def _inner(self) -> Float[np.ndarray, " d"]:
        """Return the centre of the largest ball inside, within the equalities."""
        d, reach = len(self._span), np.linalg.norm(self._G @ self._free, axis=1)
        found = linprog(
            np.append(np.zeros(d), -1.0),
            A_ub=np.column_stack([self._G, reach]),
            b_ub=self._h,
            A_eq=np.column_stack([self._E, np.zeros(len(self._E))]) if len(self._E) else None,
            b_eq=self._e if len(self._E) else None,
            bounds=[(None, None)] * d + [(0, 1)],
        )
        if found.status != 0:
            raise NothingAllowed(
                "known: no point within the bounds keeps the linear constraints on "
                f"{', '.join(self._involved())}"
            )
        if self._free.shape[1] and found.x[-1] < 1e-9:
            raise NothingAllowed(
                f"known: the linear constraints on {', '.join(self._involved())} and the bounds "
                "leave no room: where they hold only with equality, say so with ==, or fix the "
                "variables"
            )
        return self._origin + found.x[:d] * self._span

    def _involved(self) -> list[str]:
        """Return the names of the variables that the constraints are about."""
        return [n for n, column in zip(self.names, self.A.T, strict=True) if column.any()]

    def keeps(self, x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """(n,) True for points that keep the linear constraints, up to rounding."""
        value = x @ self.A.T
        reach = (
            SLACK * (1 + np.abs(self.A).sum(axis=1)) * (1 + np.abs(x).max(axis=1, keepdims=True))
        )
        return np.asarray(((value >= self.lb - reach) & (value <= self.ub + reach)).all(axis=1))

    # -- moving inside -----------------------------------------------------------------------------

    def snap(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points of the box and its grid, moved to where they keep the constraints."""
        out = x.copy()
        away = np.flatnonzero(~self.keeps(x) & np.isfinite(x).all(axis=1))
        if not len(away):
            return out
        moved = self._pulled(x[away])
        if (self.grid.step > 0).any():
            moved = np.array([self._on_grid(row) for row in moved])
        out[away] = moved
        return out

    def _pulled(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Return points moved onto the equalities, then toward the centre until they are inside."""
        s = (x - self._origin) / self._span
        s = s + (self._e - s @ self._E.T) @ self._inverse.T
        centre = (self.centre - self._origin) / self._span
        ahead = s - centre
        ahead = ahead @ self._free @ self._free.T
        room, rate = np.maximum(self._h - self._G @ centre, 0.0), ahead @ self._G.T
        with np.errstate(divide="ignore", invalid="ignore"):
            most = np.where(rate > 0, room / rate, np.inf).min(axis=1, initial=np.inf)
        s = centre + np.minimum(most, 1.0)[:, None] * ahead
        return np.clip(self._origin + s * self._span, self.grid.low, self.grid.high)

    def _on_grid(self, x: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        """Return the point of the grid that keeps the constraints and is nearest, in the sum of its
        distances.
        """
        stepped = np.flatnonzero(self.grid.step > 0)
        y = self._mended(self.to_grid(x[None]))[0]
        if self.keeps(y[None])[0]:
            return y
        for _ in range(2 * len(x)):  # one step of one variable at a time, where that mends it
            moves = np.repeat(y[None], 2 * len(stepped), axis=0)
            moves[np.arange(len(moves)), np.tile(stepped, 2)] += np.concatenate(
                [self.grid.step[stepped], -self.grid.step[stepped]]
            )
            moves = self._mended(self.to_grid(moves))
            values = moves @ self.A.T
            miss = np.maximum(values - self.ub, 0) + np.maximum(self.lb - values, 0)
            far = np.abs((moves - x) / self._span).sum(axis=1)
            y = moves[np.lexsort((far, np.round(miss.sum(axis=1), 9)))[0]]
            if self.keeps(y[None])[0]:
                return y
        return self._programmed(x)

    def _programmed(self, x: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        """Return the nearest point of the grid by a mixed-integer program over x = low + step k for
        stepped variables, and the distances t >= |x - target| / span.
        """
        grid, d = self.grid, len(x)
        stepped = grid.step > 0
        scale, base = np.where(stepped, grid.step, 1.0), np.where(stepped, grid.low, 0.0)
        with np.errstate(invalid="ignore"):
            low = np.where(stepped, 0.0, grid.low)
            high = np.where(stepped, np.round((grid.high - grid.low) / scale), grid.high)
        rows, shift = self.A * scale, self.A @ base
        unit = np.diag(scale / self._span)
        target = (x - base) / self._span
        eye = np.eye(d)
        found = milp(
            np.concatenate([np.zeros(d), np.ones(d)]),
            integrality=np.concatenate([stepped, np.zeros(d)]),
            bounds=BoxBounds(
                np.concatenate([low, np.zeros(d)]), np.concatenate([high, np.full(d, np.inf)])
            ),
            constraints=[
                LinearConstraint(
                    np.hstack([rows, np.zeros_like(rows)]), self.lb - shift, self.ub - shift
                ),
                LinearConstraint(np.hstack([unit, -eye]), ub=target),
                LinearConstraint(np.hstack([-unit, -eye]), ub=-target),
            ],
        )
        if found.x is None:
            raise NothingAllowed(
                "known: no point on the grid of the variables' steps keeps the linear constraints "
                f"on {', '.join(self._involved())}"
            )
        k = np.where(stepped, np.round(found.x[:d]), found.x[:d])
        return self._mended(self.to_grid((base + scale * k)[None]))[
            0
        ]  # beyond the program's tolerance

    def _mended(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Return points whose real variables are moved so that the equalities hold."""
        real, inverse = self._real
        if not len(real):
            return x
        tie = self.lb == self.ub
        x[:, real] += ((self.lb - x @ self.A.T)[:, tie]) @ inverse.T
        x[:, real] = np.clip(x[:, real], self.grid.low[real], self.grid.high[real])
        return x

    def to_grid(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points with every stepped variable at its nearest value, inside the box."""
        return on_grid(np.clip(x, self.grid.low, self.grid.high), self.grid)

    # -- sampling ----------------------------------------------------------------------------------

    @property
    def needed(self) -> bool:
        """Whether points are better sampled from the polytope than kept by chance from the box."""
        if self._share is None:
            u = np.random.default_rng(0).random((2048, len(self._span)))
            box = self.grid.low + u * (self.grid.high - self.grid.low)
            self._share = 0.0 if self.equal else float(self.keeps(box).mean())
        return self._share < 0.05

    def sample(self, u: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points of the polytope from points of [0, 1]^d: uniform ones give uniform ones, and
        evenly spread ones evenly spread ones.

        The pool of uniform points is halved again and again across its coordinates; the digits of u
        choose a point, from which a short step of a ball walk (which keeps the uniform
        distribution) goes to a new one.
        """
        free = self._free.shape[1]
        if not free:
            return np.repeat(self.centre[None], len(u), axis=0)
        if self._pool is None:
            self._pool = self._filled()
        index = np.zeros(len(u), dtype=int)
        levels = POOL.bit_length() - 1
        for level in range(levels):
            digit = np.floor(u[:, level % free % u.shape[1]] * 2 ** (level // free + 1)).astype(int)
            index = 2 * index + (digit & 1)
        digest = hashlib.blake2b(np.ascontiguousarray(u).tobytes(), digest_size=16).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "little"))
        s = self._pool[index]
        ahead = rng.standard_normal((len(s), free))
        size = 0.5 * (rng.random(len(s)) / POOL) ** (1 / free) / np.linalg.norm(ahead, axis=1)
        moved = s + (size[:, None] * ahead) @ self._free.T
        s = np.where((moved @ self._G.T <= self._h).all(axis=1)[:, None], moved, s)
        x = np.clip(self._origin + s * self._span, self.grid.low, self.grid.high)
        return self.snap(self.to_grid(x))

    def _walk(
        self, s: Float[np.ndarray, "n d"], rng: np.random.Generator, steps: int
    ) -> Float[np.ndarray, "n d"]:
        """Return where hit-and-run leads from inner points (Smith, 1984)."""
        for _ in range(steps):
            ahead = rng.standard_normal((len(s), self._free.shape[1])) @ self._free.T
            room, rate = np.maximum(self._h - s @ self._G.T, 0.0), ahead @ self._G.T
            with np.errstate(divide="ignore", invalid="ignore"):
                forth = np.where(rate > 1e-15, room / rate, np.inf).min(axis=1)
                back = np.where(rate < -1e-15, room / rate, -np.inf).max(axis=1)
            s = s + (back + (forth - back) * rng.random(len(s)))[:, None] * ahead
        return s

    def _filled(self) -> Float[np.ndarray, "p d"]:
        """Return the pool: POOL uniform points, in the order in which digits find them."""
        rng = np.random.default_rng(0)
        start = rng.random((POOL, len(self._span)))
        for row, total in zip(self._E, self._e, strict=True):
            share = np.flatnonzero(row)
            if total > 0 and (row >= 0).all():  # shares of a total, uniform by Dirichlet(1, ..., 1)
                parts = rng.exponential(size=(POOL, len(share)))
                start[:, share] = total * parts / parts.sum(axis=1, keepdims=True) / row[share]
        start = (self._pulled(self._origin + start * self._span) - self._origin) / self._span
        pool = self._walk(start, rng, 20 * self._free.shape[1] + 50)
        pool = pool + (self._e - pool @ self._E.T) @ self._inverse.T
        spread = (self._free**2).sum(axis=1)
        columns = np.argsort(-spread, kind="stable")[: self._free.shape[1]]
        order = np.arange(POOL)[None]
        for level in range(POOL.bit_length() - 1):
            key = pool[order, columns[level % len(columns)]]
            order = np.take_along_axis(order, np.argsort(key, axis=1, kind="stable"), axis=1)
            order = order.reshape(2 * len(order), -1)
        return pool[order.ravel()]


def on_grid(x: Float[np.ndarray, "n d"], grid: Grid) -> Float[np.ndarray, "n d"]:
    """Points with every stepped variable at the nearest of low, low + step, ...; decimals as they
    are written.
    """
    out = x.copy()
    for j in np.flatnonzero(grid.step > 0).tolist():
        low, step = float(grid.low[j]), float(grid.step[j])
        k = np.floor((x[:, j] - low) / step + 0.5)
        k = np.clip(k, 0, np.round((grid.high[j] - low) / step))
        out[:, j] = written(low + k * step, low, step)
    return out


def written(value: Any, low: float, step: float) -> Any:
    """Multiples of a step as decimals: 0.30000000000000004 is 0.3."""
    decimals = max(_decimals(low), _decimals(step))
    return value if decimals > 12 else np.round(value, decimals)


def _decimals(value: float) -> int:
    """Return how many decimals a number is written with."""
    text = repr(float(value))
    mantissa, _, power = text.partition("e")
    return max(len(mantissa.partition(".")[2].rstrip("0")) - int(power or 0), 0)
