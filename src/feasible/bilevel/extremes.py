"""The least and the greatest value of a function over all solutions of a lower level.

For a convex lower level S(x) is convex, f and the gradient of f are constant on it (O. L.
Mangasarian, "A simple characterization of solution sets of convex programs", Operations Research
Letters 7, 1988), so it lies in y* + span(N), N the directions along which neither bends. There
it is cut out by the limits, and, where f is not quadratic, by f(x, y) <= v(x).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from .levels import jacobian, value_and_gradients
from .lower import Lower, Solution
from .quadratic import SOLVED, UNBOUNDED, Linear, solve_quadratic

if TYPE_CHECKING:
    from jaxtyping import Float

Limit: TypeAlias = tuple[Callable[[Tensor], Tensor], bool]
"""A function of y, and whether it is to be 0 (else at most 0)."""
DIRECTIONS = 8
"""Directions in which corners of the set are looked for."""
MISSED = 1e-8
"""By how much a limit may be missed unseen."""
BEYOND = 1e6
"""How far along an unbounded direction a function is asked whether it stays bounded."""


class SolutionSet:
    """The solutions of one follower about one of them.

    Args:
        lower: The follower's program.
        solution: One solution.
    """

    def __init__(self, lower: Lower, solution: Solution):
        self.lower, self.solution = lower, solution
        self.y, self.flat = solution.y.numpy(), solution.flat
        k = self.flat.shape[1]
        limits = lower.limits or Linear.free(lower.m)
        _, _, G, g = limits.sides()
        A, values, equal = lower.gradients(self.y), lower.rows(self.y), lower.equal
        rows = np.vstack([G, A[~equal]]) @ self.flat
        room = np.concatenate([g - G @ self.y, -values[~equal]])
        kept = np.linalg.norm(rows, axis=1) > 1e-12
        self.rows, self.room = rows[kept], np.maximum(room[kept], 0.0)
        self.box = Linear(
            self.rows,
            np.full(len(self.rows), -np.inf),
            self.room,
            np.full(k, -np.inf),
            np.full(k, np.inf),
        )

    @property
    def single(self) -> bool:
        """True if there is one solution only."""
        return self.flat.shape[1] == 0

    def at(self, t: Float[np.ndarray, " k"]) -> Tensor:
        """Return y* + N t."""
        return torch.from_numpy(self.y + self.flat @ t)

    def inside(self, t: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """Return t, shortened until y* + N t is a solution."""
        if self.solution.exact:
            return t
        value, low, high = self.solution.value, 0.0, 1.0
        if self._solves(t, value):
            return t
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if self._solves(middle * t, value) else (low, middle)
        return low * t

    def _solves(self, t: Float[np.ndarray, " k"], value: float) -> bool:
        """True if y* + N t keeps to the limits and is as good."""
        y = self.at(t)
        slack = 4 * np.finfo(float).eps * max(1.0, abs(value))
        keeps = self.lower.follower.missed(self.lower.x, y) <= 1e-7
        return keeps and bool(self.lower.f(y) <= value + slack)

    def least(
        self, function: Callable[[Tensor], Tensor], limits: Sequence[Limit] = ()
    ) -> tuple[float, Tensor]:
        """Return the least value of a function of y over the solutions, and where.

        It is -inf where the function falls without limit. A function that is not convex there is
        searched from the corners of the set.

        Args:
            function: From (m,) to a number.
            limits: What y should meet besides, as functions from (m,) to (p,) and whether they are
                to be 0, or at most 0. Where it cannot, the least miss comes before the value.
        """
        flat, base = torch.from_numpy(self.flat), torch.from_numpy(self.y)

        def numeric(t: np.ndarray) -> tuple[float, np.ndarray]:
            value, (slope,) = value_and_gradients(
                lambda s: function(base + flat @ s), (torch.from_numpy(np.array(t)),), (0,)
            )
            return (value, slope.numpy()) if np.isfinite(value) else (1e300, np.zeros(len(t)))

        def rank(t: np.ndarray) -> tuple[float, float]:
            y, missed = self.at(t), 0.0
            with torch.no_grad():
                for of, equal in limits:
                    values = of(y)
                    over = values.abs() if equal else values.clamp(min=0)
                    missed = max(missed, float(over.max()))
            return (missed if missed > MISSED else 0.0), numeric(t)[0]

        zero = np.zeros(self.flat.shape[1])
        best = rank(zero), zero
        for start in self._corners(numeric):
            if start is None:
                return -np.inf, self.at(zero)
            begin = self.inside(start)
            for t in (begin, self._search(numeric, limits, begin)):
                if not np.isfinite(t).all() or (self.rows @ t - self.room).max(initial=0.0) > 1e-9:
                    t = self._shortened(t)
                t = self.inside(t)
                best = min(best, (rank(t), t), key=lambda found: found[0])
        return best[0][1], self.at(best[1])

    def _corners(
        self, numeric: Callable[[np.ndarray], tuple[float, np.ndarray]]
    ) -> Iterator[np.ndarray | None]:
        """Yield 0 and corners of the set; None where the function falls along a ray in it."""
        k = self.flat.shape[1]
        first, slope = numeric(np.zeros(k))
        rng = np.random.default_rng(k)
        drawn = rng.standard_normal((DIRECTIONS * (k > 1), k))
        yield np.zeros(k)
        for aim in [-slope, *np.eye(k)[:DIRECTIONS], *-np.eye(k)[:DIRECTIONS], *drawn]:
            if not np.abs(aim).max():
                continue
            corner = solve_quadratic(np.zeros((k, k)), -aim, self.box)
            if corner.status == UNBOUNDED:
                ray = aim / np.linalg.norm(aim)
                if (self.rows @ ray <= 1e-12).all():
                    far = self.inside(BEYOND * ray)
                    if numeric(far)[0] < min(numeric(far / 2)[0], first) - 1e-3:
                        yield None
            elif corner.status == SOLVED and corner.y is not None:
                yield corner.y

    def _search(
        self,
        numeric: Callable[[np.ndarray], tuple[float, np.ndarray]],
        limits: Sequence[Limit],
        begin: Float[np.ndarray, " k"],
    ) -> Float[np.ndarray, " k"]:
        """SLSQP within the set."""
        flat = torch.from_numpy(self.flat)
        used: list[dict[str, Any]] = []
        if len(self.rows):
            used.append(
                {
                    "type": "ineq",
                    "fun": lambda t: self.room - self.rows @ t,
                    "jac": lambda t: -self.rows,
                }
            )
        for of, equal in limits:
            used.append(
                {
                    "type": "eq" if equal else "ineq",
                    "fun": lambda t, of=of: -of(self.at(t)).detach().numpy(),
                    "jac": lambda t, of=of: -(jacobian(of, self.at(t)) @ flat).numpy(),
                }
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = optimize.minimize(
                numeric,
                begin,
                jac=True,
                method="SLSQP",
                constraints=used,
                options={"maxiter": 100, "ftol": 1e-13},
            )
        return np.asarray(found.x)

    def _shortened(self, t: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """Return t, shortened until the rows hold."""
        if not np.isfinite(t).all():
            return np.zeros(len(t))
        gone = self.rows @ t
        over = gone > self.room
        return t * min(1.0, float((self.room[over] / gone[over]).min(initial=1.0)))
