"""The models about a centre, as a step of the method sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from .interpolant import Interpolants

PRECISION = 1e-10
"""Gain, in units of the outputs' scale, that is too small to go for."""


def typical(differences: Float[np.ndarray, " n"]) -> float:
    """A scale for values: the median of their sizes, or the largest where that is 0, or 1."""
    sizes = np.abs(differences)
    sizes = sizes[np.isfinite(sizes)]
    if not len(sizes):
        return 1.0
    return max(float(np.median(sizes)) or float(sizes.max()) or 1.0, 1e-300)


def spread(values: Float[np.ndarray, " n"]) -> float:
    """A scale for values that may all lie far from 0."""
    return typical(values - np.median(values))


@dataclass(frozen=True, slots=True)
class OutputScale:
    """How an output enters its model. Both forms keep the sign and the order of the values and
    have the slope 1 / unit at 0.

    Attributes:
        unit: What it is divided by.
        curved: Whether asinh is taken then.
    """

    unit: float
    curved: bool

    def into(self, values: np.ndarray) -> np.ndarray:
        """Values of the model."""
        if not self.curved:
            return np.asarray(values / self.unit)
        with np.errstate(over="ignore"):
            return np.arcsinh(np.clip(values / self.unit, -1e300, 1e300))

    def back(self, value: float) -> float:
        """The output that a value of the model stands for."""
        value = math.sinh(min(max(value, -690.0), 690.0)) if self.curved else value
        return min(max(self.unit * value, -1e300), 1e300)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the problem, or believed of proposals that are out.

    Attributes:
        u: (n, d) points of the unit cube.
        f: (n,) objectives.
        g: (n, m) constraints, satisfied where g <= 0.
        rows: (n,) rows of the search; -1 where it is believed only.
    """

    u: Float[np.ndarray, "n d"]
    f: Float[np.ndarray, " n"]
    g: Float[np.ndarray, "n m"]
    rows: np.ndarray


@dataclass(frozen=True, slots=True)
class View:
    """Models of the objective and the constraints about a centre, in coordinates z = (u - centre) /
    unit.

    Attributes:
        centre: (d,) in the unit cube.
        unit: Length of one z.
        reach: Half-width of the box in which a step is looked for, in the unit cube.
        model: Output 0 is the objective less that of the centre, the others are the constraints.
        scales: How each output enters its model.
        low: (d,) the box in z.
        high: (d,) the box in z.
        margin: (m,) how far the models of the constraints are kept from 0.
        cloud: (q, d) random points of the box, in z.
        means: (q, 1 + m) the models there.
    """

    centre: Float[np.ndarray, " d"]
    unit: float
    reach: float
    model: Interpolants
    scales: list[OutputScale]
    low: Float[np.ndarray, " d"]
    high: Float[np.ndarray, " d"]
    margin: Float[np.ndarray, " m"]
    cloud: Float[np.ndarray, "q d"]
    means: Float[np.ndarray, "q k"]

    def point(self, z: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        """The point of the unit cube at z."""
        return np.clip(self.centre + self.unit * z, 0, 1)

    def promising(self, n: int) -> Float[np.ndarray, "n d"]:
        """The n random points of least merit, by the models' means."""
        merit = self.means[:, 0] + 3 * np.maximum(self.means[:, 1:] + self.margin, 0).sum(axis=1)
        return self.cloud[np.argsort(merit, kind="stable")[:n]]

    def hopeful(self) -> Float[np.ndarray, " d"]:
        """The random point of least merit two deviations below the means."""
        sd = self.model.deviations(self.cloud)
        limits = self.means[:, 1:] - 2 * sd[:, 1:]
        hope = self.means[:, 0] - 2 * sd[:, 0] + 3 * np.maximum(limits, 0).sum(axis=1)
        return self.cloud[int(np.argmin(hope))]

    def unknown(self, near: bool) -> Float[np.ndarray, " d"]:
        """The random point where the models know least; with `near` close to the centre."""
        cloud = np.clip(self.cloud * 0.1, self.low, self.high) if near else self.cloud
        return cloud[int(np.argmax(self.model.deviations(cloud).sum(axis=1)))]

    def gains(
        self, z: Float[np.ndarray, " d"], sizes: Float[np.ndarray, " m"] | None = None
    ) -> bool:
        """True if the step from the centre to z promises a better objective or less violation; with
        sizes of the constraints, a smaller largest violation.
        """
        if sizes is not None:
            at, to = (self.violations(sizes, p)[0].max() for p in (np.zeros_like(z), z))
            return bool(at - to > 1e-6 * abs(at))
        here, there = self.model.at(np.zeros_like(z))[0], self.model.at(z)[0]
        now, then = (float(np.maximum(v[1:], 0).sum()) for v in (here, there))
        least = PRECISION * max(1.0, abs(float(here[0])))
        return not bool(now - then <= PRECISION and here[0] - there[0] <= least)

    def violations(
        self, sizes: Float[np.ndarray, " m"], z: Float[np.ndarray, " d"]
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "m d"]]:
        """The constraints that the models foresee at z, divided by sizes, and their slopes."""
        values, slopes = self.model.at(z)
        m = np.clip(values[1:], -690.0, 690.0)
        units = np.array([s.unit for s in self.scales[1:]]) / sizes
        curved = np.array([s.curved for s in self.scales[1:]])
        with np.errstate(over="ignore"):
            value = np.where(curved, np.sinh(m), values[1:]) * units
            factor = np.where(curved, np.cosh(m), 1.0) * units
        return np.clip(value, -1e300, 1e300), np.clip(factor, 0, 1e300)[:, None] * slopes[1:]

    def foreseen(self, point: Float[np.ndarray, " d"]) -> list[float]:
        """The outputs that the models foresee at a point of the unit cube."""
        values = self.model.at((point - self.centre) / self.unit)[0].tolist()
        return [s.back(v) for s, v in zip(self.scales, values, strict=True)]


__all__ = ["Evidence", "OutputScale", "View", "spread", "typical"]
