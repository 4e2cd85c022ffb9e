"""How the judge solves a lower level: never by a method's code.

    v(x) = min { f(x, y) : y in Y, h(x, y) <= 0 }

A linear or quadratic program goes to HiGHS or Clarabel. Any other is minimised from several
starts, from one where it is convex: by L-BFGS and Newton's method where there are bounds at most,
by projected gradients where a projection is all that is known of Y, else by SLSQP, and by
trust-constr where that fails from all of them. What comes out counts as solved where its
Karush-Kuhn-Tucker conditions hold.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import linalg, optimize
from torch import Tensor

from .levels import Follower, hessian
from .lower import NEWTON, Lower, Solution
from .quadratic import INFEASIBLE, SOLVED, UNBOUNDED, UNSOLVED, Linear, solve_quadratic
from .sets import Box, Everything

if TYPE_CHECKING:
    from jaxtyping import Float

STARTS, GRID = 3, 41
"""Starts drawn at random, and points a variable of the grid on which a follower of one or two
variables is looked at too.
"""
FEW, AROUND = 50, 20
"""Variables up to which each random start has its mirror image, and how far the grid goes where
there is no bound, in units of the start's size.
"""
FAR, LOW = 1e8, -1e12
"""A size of y, and a value of f relative to its start's, beyond which it is called unbounded."""
SAME = 1e-4
"""Distance, relative to their size, at which two solutions are one."""


@dataclass(frozen=True)
class Response:
    """What became of a lower level.

    Attributes:
        status: SOLVED, INFEASIBLE, UNBOUNDED or UNSOLVED.
        solutions: Of the least value; several where starts led to different ones.
    """

    status: str
    solutions: tuple[Solution, ...] = ()


class Search(Lower):
    """How the program is solved from a start."""

    def starts(self, given: Sequence[Tensor], rng: np.random.Generator) -> Iterator[Tensor]:
        """Yield where to begin: the points that are given, random ones, the best of a grid."""
        project = self.follower.set.project
        size = max(1.0, *(float(y.abs().max()) for y in given))
        yield from (project(y) for y in given)
        bounds = self.limits or Linear.free(self.m)
        low, high = bounds.lower, bounds.upper
        boxed = np.isfinite(low).all() and np.isfinite(high).all()
        for _ in range(STARTS):
            if boxed:
                yield torch.from_numpy(rng.uniform(low, high))
                continue
            move = 3 * size * torch.from_numpy(rng.standard_normal(self.m))
            yield project(given[0] + move)
            if self.m <= FEW:
                yield project(given[0] - move)
        if self.limits is not None and self.m <= 2 and not self.equal.any():
            middle = given[0].numpy()
            first = np.where(np.isfinite(low), low, np.minimum(middle, high) - AROUND * size)
            last = np.where(np.isfinite(high), high, np.maximum(middle, low) + AROUND * size)
            axes = [np.linspace(a, b, GRID) for a, b in zip(first, last, strict=True)]
            points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, self.m)
            with torch.no_grad():
                at = [torch.from_numpy(p) for p in points]
                keeps = [self.follower.missed(self.x, p) <= 1e-9 for p in at]
                values = [float(self.f(p)) if k else np.inf for p, k in zip(at, keeps, strict=True)]
            shape = np.nan_to_num(np.array(values), nan=np.inf).reshape((GRID,) * self.m)
            yield from (torch.from_numpy(points[i]) for i in _valleys(shape))

    def descend(self, start: Tensor) -> Tensor | None:
        """Return where a local method ends; None where f has no lower limit."""
        if self.limits is None:
            return self._projected(start)
        kind = self.follower.set
        plain = isinstance(kind, (Everything, Box)) and not len(self.equal)
        if plain:
            return self._bounded(start, self.limits.lower, self.limits.upper)
        if not len(self.equal) and self.m > 50:
            return self._projected(start)
        return self._constrained(start)

    def _bounded(self, start: Tensor, low: np.ndarray, high: np.ndarray) -> Tensor | None:
        """L-BFGS, then Newton's method on the variables that are not at a bound."""
        begin = self.numeric(start.numpy())[0]
        options = {"maxiter": 15000, "maxfun": 30000, "ftol": 0.0, "gtol": 1e-11, "maxcor": 20}
        bounds = optimize.Bounds(low, high)

        def watch(intermediate_result: optimize.OptimizeResult) -> None:
            if self._lost(intermediate_result.x, intermediate_result.fun, begin):
                raise StopIteration

        found = optimize.minimize(
            self.numeric,
            start.numpy(),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options=options,
            callback=watch,
        )
        y = self._end(found, begin)
        return y if y is None or self.m > NEWTON else self._newton(y, low, high)

    def _end(self, found: optimize.OptimizeResult, begin: float) -> Tensor | None:
        """Return where a method of SciPy ended; None where f has no lower limit."""
        if self._lost(found.x, found.fun, begin):
            return None
        return torch.from_numpy(np.array(found.x))

    def _lost(self, y: np.ndarray, value: float, begin: float) -> bool:
        """True if f has no lower limit, as far as one can see."""
        return bool(np.abs(y).max() > FAR) or value < begin + LOW * max(1.0, abs(begin))

    def _newton(self, y: Tensor, low: np.ndarray, high: np.ndarray) -> Tensor:
        """Polish by Newton steps that make the gradient smaller."""
        value, slope = self.slope(y)
        for _ in range(8):
            at = y.numpy()
            held = ((at <= low) & (slope.numpy() > 0)) | ((at >= high) & (slope.numpy() < 0))
            free = torch.from_numpy(~held)
            size = float(slope[free].abs().max()) if free.any() else 0.0
            if size <= 1e-14 * max(1.0, abs(value)):
                break
            H = hessian(self.f, y)[free][:, free].numpy()
            step = linalg.lstsq(H, -slope[free].numpy(), lapack_driver="gelsy")[0]
            trial = y.clone()
            trial[free] += torch.from_numpy(step)
            trial = torch.from_numpy(np.clip(trial.numpy(), low, high))
            then, its = self.slope(trial)
            small = 1e-9 * max(1.0, abs(value))
            if not (its[free].abs().max() < 0.9 * size and then <= value + small):
                break
            y, value, slope = trial, then, its
        return y

    def _projected(self, start: Tensor) -> Tensor | None:
        """Accelerated projected gradients with backtracking, begun anew where f rises."""
        project = self.follower.set.project
        y, ahead, t, rate = start, start, 1.0, 1.0
        value = begin = self.slope(y)[0]
        for _ in range(20000):
            there, slope = self.slope(ahead)
            while True:
                trial = project(ahead - rate * slope)
                moved = trial - ahead
                then = float(self.f(trial).detach())
                bound = there + float(slope @ moved + moved @ moved / (2 * rate))
                if then <= bound + 1e-14 * max(1.0, abs(there)) or rate < 1e-14:
                    break
                rate /= 2
            if self._lost(trial.numpy(), then, begin):
                return None
            if then > value + 1e-15 * max(1.0, abs(value)) and t > 1.0:
                ahead, t = y, 1.0
                continue
            if float(moved.abs().max()) <= 1e-11 * rate * max(1.0, float(slope.abs().max())):
                return trial
            further = (1 + (1 + 4 * t * t) ** 0.5) / 2
            ahead = trial + (t - 1) / further * (trial - y)
            y, value, t, rate = trial, then, further, rate * 1.05
        return y

    def _constrained(self, start: Tensor) -> Tensor | None:
        """SLSQP; None where f has no lower limit."""
        assert self.limits is not None
        E, e, G, g = self.limits.sides()
        equal = self.equal
        rows = [
            {"type": "eq", "fun": lambda y: E @ y - e, "jac": lambda y: E},
            {"type": "ineq", "fun": lambda y: g - G @ y, "jac": lambda y: -G},
            {
                "type": "eq",
                "fun": lambda y: self.rows(y)[equal],
                "jac": lambda y: self.gradients(y)[equal],
            },
            {
                "type": "ineq",
                "fun": lambda y: -self.rows(y)[~equal],
                "jac": lambda y: -self.gradients(y)[~equal],
            },
        ]
        used = [
            r for r, k in zip(rows, (len(E), len(G), equal.sum(), (~equal).sum()), strict=True) if k
        ]
        begin = self.numeric(start.numpy())[0]
        options = {"maxiter": 500, "ftol": 1e-14}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = optimize.minimize(
                self.numeric,
                start.numpy(),
                jac=True,
                method="SLSQP",
                constraints=used,
                options=options,
            )
        return self._end(found, begin)

    def last_resort(self, start: Tensor) -> Tensor | None:
        """trust-constr, which is slow; None where f has no lower limit."""
        assert self.limits is not None
        low = np.where(self.equal, 0.0, -np.inf)
        bounds = optimize.Bounds(self.limits.lower, self.limits.upper)
        limits: list[object] = []
        if len(self.limits.A):
            of = self.limits
            limits += [optimize.LinearConstraint(of.A, of.low, of.high)]
        if len(self.equal):
            limits += [optimize.NonlinearConstraint(self.rows, low, 0.0, jac=self.gradients)]
        begin = self.numeric(start.numpy())[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = optimize.minimize(
                self.numeric,
                start.numpy(),
                jac=True,
                hess=optimize.BFGS(),
                method="trust-constr",
                bounds=bounds,
                constraints=limits,
                options={"maxiter": 1000, "gtol": 1e-10, "xtol": 1e-12, "barrier_tol": 1e-10},
            )
        return self._end(found, begin)

    def convex(self, y: Tensor, rng: np.random.Generator) -> bool:
        """True if f and the constraints bend upwards at y and at points around it, where that can
        be seen.
        """
        if self.m > FEW or self.equal.any():
            return False
        size = max(1.0, float(y.abs().max()))
        for scale in (0.0, 0.1, 1.0, 1.0, 5.0, 5.0):
            at = y + scale * size * torch.from_numpy(rng.standard_normal(self.m))
            at = self.follower.set.project(at)
            bent = [hessian(self.f, at)]
            for row in np.eye(len(self.equal)):
                one = torch.from_numpy(row)
                bent.append(hessian(lambda z, one=one: one @ self.h(z), at))  # type: ignore[misc]
            for H in bent:
                top = max(1.0, float(H.abs().max()))
                if not (torch.isfinite(H).all() and linalg.eigvalsh(H.numpy())[0] >= -1e-9 * top):
                    return False
        return True

    def feasible(self, start: Tensor) -> bool:
        """True if some y meets the constraints, as far as least squares of their violations find
        one.
        """
        limits = self.limits
        if limits is None:
            return True
        none = np.zeros((self.m, self.m)), np.zeros(self.m)
        if not limits.empty and solve_quadratic(*none, limits).status != SOLVED:
            return False

        def violation(y: np.ndarray) -> np.ndarray:
            E, e, G, g = limits.sides()
            values = self.rows(y)
            own = np.where(self.equal, values, np.maximum(values, 0.0))
            return np.concatenate([E @ y - e, np.maximum(G @ y - g, 0.0), own])

        found = optimize.least_squares(violation, start.numpy(), xtol=1e-15, ftol=1e-15, gtol=1e-15)
        return bool(np.abs(found.fun).max(initial=0.0) <= 1e-6)


def solve_follower(
    follower: Follower,
    x: Float[Tensor, " n"],
    given: Sequence[Tensor],
    tolerance: float,
    convex: bool = False,
) -> Response:
    """Solve a follower's program at x.

    Args:
        follower: Whose.
        x: (n,).
        given: Where to begin, besides random points: at least one y.
        tolerance: Residual of the conditions up to which it counts as solved.
        convex: One start that ends at a solution is enough.
    """
    lower, rng = Search(follower, x, tolerance), np.random.default_rng(0)
    program = lower.quadratic(given[0], rng)
    if program is not None:
        found = solve_quadratic(*program)
        if found.status != SOLVED or found.y is None:
            return Response(found.status)
        one = lower.solution(torch.from_numpy(np.array(found.y)), exact=True)
        if one is not None:
            return Response(SOLVED, (one,))
    solved: list[Solution] = []
    ends: list[Tensor] = []
    for start in lower.starts(given, rng):
        y = lower.descend(start)
        if y is None:
            return Response(UNBOUNDED)
        if not torch.isfinite(y).all():
            continue
        ends.append(y)
        one = lower.solution(y)
        if one is not None:
            solved.append(one)
            if convex or (len(solved) == 1 and lower.convex(y, rng)):
                break
        elif len(ends) == 1 and not lower.feasible(start):
            return Response(INFEASIBLE)
    if not solved and lower.limits is not None:
        y = lower.last_resort(ends[0] if ends else given[0])
        if y is None:
            return Response(UNBOUNDED)
        one = lower.solution(y) if torch.isfinite(y).all() else None
        solved += [] if one is None else [one]
    if not solved:
        return Response(UNSOLVED)
    least = min(s.value for s in solved)
    best = [s for s in solved if s.value <= least + 1e-9 * max(1.0, abs(least))]
    kept: list[Solution] = []
    for s in sorted(best, key=lambda s: s.residual):
        size = max(1.0, float(s.y.abs().max()))
        if all(float((s.y - k.y).abs().max()) > SAME * size for k in kept):
            kept.append(s)
    return Response(SOLVED, tuple(kept))


def _valleys(values: np.ndarray) -> list[int]:
    """Return the flat places of the grid's local minima, the lowest eight."""
    padded = np.pad(values, 1, constant_values=np.inf)
    low = np.ones(values.shape, dtype=bool)
    for axis in range(values.ndim):
        for shift in (-1, 1):
            there = np.roll(padded, shift, axis)[tuple(slice(1, -1) for _ in values.shape)]
            low &= values <= there
    places = np.flatnonzero(low & np.isfinite(values))
    return [int(i) for i in places[np.argsort(values.reshape(-1)[places], kind="stable")][:8]]
