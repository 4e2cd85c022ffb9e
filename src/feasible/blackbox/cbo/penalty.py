"""Constraints by a penalty that grows: E(x) + rho sum_j max(0, g_j(x))^2, each g_j in a unit of its
own that is learnt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .consensus import finite_energy

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class Penalty:
    """Weights of the constraints, learnt from what was seen.

    The penalty term in units of E is rho * height * sum_j (max(0, g_j) / unit_j)^2, so that neither
    the scale of E nor that of any g_j matters.

    Attributes:
        rho: Weight, dimensionless.
        height: The objective's unit, the interquartile range of the first batch; 0: not seen yet.
        unit: (m,) each constraint's unit, the median of its first positive values; 0: none seen
            yet.
    """

    rho: float = 1.0
    height: float = 0.0
    unit: Float[np.ndarray, " m"] = field(default_factory=lambda: np.empty(0))

    def learn(
        self,
        f: Float[np.ndarray, " n"],
        g: Float[np.ndarray, "n m"],
        growth: float,
        share: float = 0.2,
    ) -> None:
        """Settle units that are still open; rho grows while few points satisfy everything.

        Args:
            f: (n,) objectives, NaN where missing.
            g: (n, m) constraints, g <= 0 where satisfied.
            growth: Factor of rho.
            share: Of the points, below which it grows.
        """
        if not g.shape[1]:
            return
        if len(self.unit) != g.shape[1]:
            self.unit = np.zeros(g.shape[1])
        if not self.height:
            known = f[np.isfinite(f)]
            if len(known) > 1:
                low, high = np.quantile(known, [0.25, 0.75])
                self.height = float(high - low)
        over = g > 0
        for j in np.flatnonzero((self.unit == 0) & over.any(axis=0)).tolist():
            self.unit[j] = np.median(g[over[:, j], j])
        if np.count_nonzero(over.any(axis=1)) > (1 - share) * len(f):
            self.rho = min(self.rho * growth, 1e12)

    def energy(
        self, f: Float[np.ndarray, " n"], g: Float[np.ndarray, "n m"]
    ) -> Float[np.ndarray, " n"]:
        """(n,) energies without NaN. A failed point is +inf; one without an objective counts as the
        worst objective beside it.
        """
        if not g.shape[1]:
            return finite_energy(f)
        over = np.maximum(g, 0.0)
        if len(self.unit) == g.shape[1]:
            over /= np.where(self.unit > 0, self.unit, 1.0)
        np.square(over, out=over)
        total = over.sum(axis=1)
        if not math.isfinite(total.sum()):
            unknown = np.isnan(g).all(axis=1)
            total = np.where(unknown, np.inf, np.nansum(over, axis=1))
        total *= self.rho * (self.height or 1.0)
        total += f
        if math.isfinite(total.sum()):
            return total
        seen = f[np.isfinite(f)]
        worst = float(seen.max()) if len(seen) else 0.0
        failed = np.isnan(f) & np.isnan(g).all(axis=1)
        total = np.where(
            np.isnan(f), worst + np.nansum(over, axis=1) * self.rho * (self.height or 1.0), total
        )
        return finite_energy(np.where(failed, np.inf, total))
