"""The state of a local search."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .rows import GRAIN

if TYPE_CHECKING:
    from jaxtyping import Float

    from .rows import Ground

FIRST = 0.25
"""Length of a first step where nothing is known of it, in units of the box."""
RISE = 1e-12 * 2**52
"""What the model rises by along a difference, twice, in units of the values' resolution."""
NOTHING = 1e-13 * 2**52
"""Gain that counts as none, in units of the values' resolution."""


@dataclass(slots=True)
class LocalState:
    """A local search. Arrays are empty where there is nothing yet.

    Attributes:
        active: Whether there is one.
        first: Whether it goes on to its end even behind the best row.
        u: (k,) where it stands.
        f: Objective there.
        c: (m,) limits there.
        unit: Least size of f by which gains are measured.
        grain: Relative resolution of the values.
        B: (k, k) Hessian of the Lagrangian.
        g: (k,) slope of f.
        J: (m, k) slopes of the limits.
        p: (k,) the step that is searched along.
        last: (k,) the last step that was taken.
        g0: (k,) slope of f before it.
        J0: (m, k) slopes of the limits before it.
        nu: (m,) weights of the merit.
        lam: (m,) multipliers.
        error: (m,) errors of the limits' linear models at the last step.
        slope: What the merit changes by along p, to first order.
        hope: What the objective's model gains by p.
        central: Whether differences are central.
        resets: How often B may still be forgotten.
        since: f when it was forgotten last, or at the start.
        steps: Iterations.
        gain: What the last one gained.
        done: Whether it has converged.
        reach: Length of the first step, in units of the box.
        length: Length of the last one.
        flat: Least curvature that B begins with.
    """

    active: bool = False
    first: bool = False
    u: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    f: float = math.nan
    c: Float[np.ndarray, " m"] = field(default_factory=lambda: np.empty(0))
    unit: float = 1.0
    grain: float = GRAIN
    B: Float[np.ndarray, "k k"] = field(default_factory=lambda: np.empty((0, 0)))
    g: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    J: Float[np.ndarray, "m k"] = field(default_factory=lambda: np.empty((0, 0)))
    p: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    last: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    g0: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    J0: Float[np.ndarray, "m k"] = field(default_factory=lambda: np.empty((0, 0)))
    nu: Float[np.ndarray, " m"] = field(default_factory=lambda: np.empty(0))
    lam: Float[np.ndarray, " m"] = field(default_factory=lambda: np.empty(0))
    error: Float[np.ndarray, " m"] = field(default_factory=lambda: np.empty(0))
    slope: float = 0.0
    hope: float = 0.0
    central: bool = False
    resets: int = 1
    since: float = math.nan
    steps: int = 0
    gain: float = math.inf
    done: bool = False
    reach: float = FIRST
    length: float = FIRST
    flat: float = 0.0

    @classmethod
    def at(
        cls,
        ground: Ground,
        i: int,
        unit: float,
        first: bool,
        reach: float = FIRST,
        flat: float = 0.0,
    ) -> LocalState:
        """A search from a row, with a first step of a length and a least first curvature."""
        f, c = ground.row(i)
        zero = np.zeros(ground.m)
        return cls(
            active=True,
            first=first,
            u=ground.rows.u[i].copy(),
            f=f,
            c=c,
            unit=unit,
            grain=ground.rows.grain,
            nu=zero,
            lam=zero.copy(),
            error=zero.copy(),
            since=f,
            reach=reach,
            length=reach,
            flat=flat,
        )

    @property
    def size(self) -> float:
        """What the resolution of f is relative to."""
        return max(self.unit, abs(self.f))

    @property
    def rise(self) -> float:
        """Square of a difference's length at curvature 1."""
        return RISE * self.grain * self.size

    @property
    def nothing(self) -> float:
        """Gain that counts as none."""
        return NOTHING * self.grain * self.size


__all__ = ["FIRST", "LocalState"]
