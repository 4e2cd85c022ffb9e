"""What the wrapped solvers share: the import of a peer, the coordinates a solver works in, and
random starts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import MissingExtra, NothingAllowed

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ...core.ledger import Observations
    from ..problem import BlackBox


def require(module: str, method: str) -> Any:
    """Import a peer. Raises MissingExtra, which names the extra, where it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtra(
            f"method '{method}' needs the package '{package}', which cannot be imported ({error}): "
            "install it with  pip install 'feasible[peers]'"
        ) from None


def seed_from(rng: np.random.Generator) -> int:
    """A seed that every library takes (31 bits)."""
    return int(rng.integers(2**31 - 1))


@dataclass(slots=True)
class Frame:
    """Coordinates z (k,) for solvers that know reals only: every variable with two finite bounds
    becomes [0, 1].

    Variables whose bounds coincide are left out; variables without bounds keep their own unit; log
    variables go by their logarithm.
    With codes=True whole numbers keep their own unit, and their bounds are widened by one half: for
    solvers that round by themselves.
    dummies: coordinates without meaning, so that a solver gets the dimension that it needs at
      least.
    """

    fixed: Float[np.ndarray, " d"]
    free: Int[np.ndarray, " free"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    dummies: int
    codes: bool

    @classmethod
    def of(cls, problem: BlackBox, *, least: int = 1, codes: bool = False) -> Frame:
        """The frame of a problem with at least `least` coordinates."""
        space = problem.space
        free = np.flatnonzero(space.high > space.low)
        scaled = np.isfinite(space.low[free]) & np.isfinite(space.high[free])
        whole = space.integer[free]
        low = np.where(scaled, 0.0, space.low[free])
        high = np.where(scaled, 1.0, space.high[free])
        if codes:
            low, high = (
                np.where(whole, space.low[free] - 0.5, low),
                np.where(whole, space.high[free] + 0.5, high),
            )
        dummies = max(least - len(free), 0)
        fixed = np.where(np.isfinite(space.low), space.low, 0.0)
        return cls(
            fixed,
            free,
            np.append(low, np.zeros(dummies)),
            np.append(high, np.ones(dummies)),
            dummies,
            codes,
        )

    @property
    def k(self) -> int:
        """Number of coordinates."""
        return len(self.low)

    def whole(self, problem: BlackBox) -> list[int]:
        """Coordinates of whole numbers and categories."""
        return np.flatnonzero(problem.space.integer[self.free]).tolist()

    def z(self, problem: BlackBox, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Coordinates of points."""
        space = problem.space
        out = np.full((len(x), self.k), 0.5)
        for c, j in enumerate(self.free.tolist()):
            lo, hi, v = space.low[j], space.high[j], space.variables[j]
            if (self.codes and v.integer) or not (math.isfinite(lo) and math.isfinite(hi)):
                out[:, c] = x[:, j]
            elif v.log:
                out[:, c] = np.log(x[:, j] / lo) / math.log(hi / lo)
            else:
                out[:, c] = (x[:, j] - lo) / (hi - lo)
        return out

    def x(self, problem: BlackBox, z: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n d"]:
        """Points at coordinates, snapped to the box; every whole number gets an equal share."""
        space = problem.space
        out = np.tile(self.fixed, (len(z), 1))
        for c, j in enumerate(self.free.tolist()):
            lo, hi, v = space.low[j], space.high[j], space.variables[j]
            u = z[:, c]
            if (self.codes and v.integer) or not (math.isfinite(lo) and math.isfinite(hi)):
                out[:, j] = u
            elif v.log:
                out[:, j] = lo * np.exp(np.clip(u, 0.0, 1.0) * math.log(hi / lo))
            elif v.integer:
                out[:, j] = lo + np.floor(np.clip(u, 0.0, 1.0 - 1e-12) * (hi - lo + 1))
            else:
                out[:, j] = lo + u * (hi - lo)
        return space.snap(out)


def draw(problem: BlackBox, rng: np.random.Generator, n: int = 1) -> Float[np.ndarray, "n d"]:
    """n random points that the known constraints let through: uniform in the box; where a bound is
    infinite, normal around x0 or 0.

    Raises NothingAllowed where (almost) no random point is allowed.
    """
    space, known = problem.space, problem.known
    centre = np.zeros(space.d) if problem.x0 is None else problem.x0
    lower, upper = np.isfinite(space.low), np.isfinite(space.high)
    kept: list[np.ndarray] = []
    got = tried = 0
    while got < n:
        k = n if known is None else max(256, n)
        u = rng.random((k, space.d))
        x = np.zeros((k, space.d))
        if space.bounded:
            x = space.from_unit(u)
        else:
            normal = rng.standard_normal((k, space.d))
            for j in range(space.d):
                if lower[j] and upper[j]:
                    x[:, j] = space.low[j] + u[:, j] * (space.high[j] - space.low[j])
                elif lower[j] or upper[j]:
                    x[:, j] = (
                        space.low[j] + np.abs(normal[:, j])
                        if lower[j]
                        else space.high[j] - np.abs(normal[:, j])
                    )
                else:
                    x[:, j] = centre[j] + normal[:, j]
            x = space.snap(x)
        good = x if known is None else x[known(x)]
        kept.append(good)
        got, tried = got + len(good), tried + k
        if tried >= 50_000 and got < 1e-4 * tried:
            raise NothingAllowed(
                f"known: only {got} of {tried} random points are allowed (acceptance rate "
                f"{got / tried:.1e}, expected at "
                "least 1e-4); tighten the bounds around the allowed region"
            )
    return np.concatenate(kept)[:n]


def first_start(problem: BlackBox) -> Float[np.ndarray, " d"] | None:
    """The user's own design x0, where there is one and the known constraints allow it."""
    x0 = problem.x0
    if x0 is None or (problem.known is not None and not problem.known(x0[None])[0]):
        return None
    return x0


def lost(seen: Observations) -> np.ndarray:
    """(n,) True for rows of which nothing can be learned: failed, or with an unknown constraint."""
    return ~np.isfinite(seen.violation)


def has_equality(problem: BlackBox) -> bool:
    """True where a limit is met on a set without volume."""
    return any(q.low == q.high for q in problem.limits.limits)
