"""What a surrogate of constrained Bayesian optimisation learns: observed outputs, brought near a
normal shape, with the thresholds to pass.

References:
    Yeo and Johnson (Biometrika, 2000): a power transform for values of both signs, its power chosen
    by maximum likelihood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

POWERS = (-2.0, 4.0)


@dataclass(frozen=True, slots=True)
class YeoJohnson:
    """v -> (psi((v / unit - centre) / spread) - mean) / sd, increasing in v.

    Attributes:
        unit, centre, spread: What makes values standard before the transform.
        power: Of psi.
        mean, sd: What makes them standard after it.
    """

    unit: float
    centre: float
    spread: float
    power: float
    mean: float
    sd: float

    def __call__(self, v: Float[np.ndarray, " n"] | float) -> Float[np.ndarray, " n"]:
        """Transformed values."""
        z = (np.asarray(v, dtype=float) / self.unit - self.centre) / self.spread
        return (psi(z, self.power) - self.mean) / self.sd


def psi(
    z: Float[np.ndarray, " *b"], power: Float[np.ndarray, " *b"] | float
) -> Float[np.ndarray, " *b"]:
    """The transform of Yeo and Johnson; the two broadcast."""
    lam = np.where(z >= 0, power, 2 - np.asarray(power, dtype=float))
    logs = np.log1p(np.abs(z))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        size = np.where(
            np.abs(lam) < 1e-8,
            logs,
            np.expm1(np.minimum(lam * logs, 700.0)) / np.where(lam == 0, 1.0, lam),
        )
    return np.sign(z) * size


def fit_map(v: Float[np.ndarray, " n"], *, always: bool = True) -> YeoJohnson:
    """The map that makes values standard, as normal as a power allows. Constant values are only
    shifted, and scaled by their size.

    Args:
        v: (n,) values.
        always: Standardise before the power transform, so that units do not matter; False, as
            published: only where the mean or the standard deviation is above 1000 (or where the
            spread is below 1e-6, too small for a power to see).
    """
    unit = float(np.abs(v).max(initial=0.0)) or 1.0
    scaled = v / unit
    centre, spread = float(scaled.mean()), float(scaled.std())
    if spread <= 1e-12 * max(abs(centre), 1e-12):
        return YeoJohnson(unit, centre, 1.0, 1.0, 0.0, 1.0)
    if not always and 1e-6 <= unit * spread <= 1000 and unit * abs(centre) <= 1000:
        unit, centre, spread = 1.0, 0.0, 1.0
    z = (v / unit - centre) / spread
    lams = np.linspace(*POWERS, 49)
    for width in (0.125, 0.125 / 8):
        best = float(lams[int(np.argmax(_likelihood(z, lams)))])
        lams = np.clip(best + width * np.linspace(-1, 1, 17), *POWERS)
    power = float(lams[int(np.argmax(_likelihood(z, lams)))])
    t = psi(z, power)
    sd = float(t.std())
    if not (math.isfinite(sd) and sd > 1e-12):
        power, t = 1.0, z
        sd = float(t.std())
    return YeoJohnson(unit, centre, spread, power, float(t.mean()), sd)


def _likelihood(
    z: Float[np.ndarray, " n"], lams: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Return the log likelihood of powers, up to a constant."""
    t = psi(z, lams[:, None])
    with np.errstate(over="ignore", invalid="ignore"):
        variance = t.var(axis=1)
    good = np.isfinite(variance) & (variance > 1e-20)
    jacobian = (lams - 1) * float((np.sign(z) * np.log1p(np.abs(z))).sum())
    return np.where(good, jacobian - 0.5 * len(z) * np.log(np.where(good, variance, 1.0)), -np.inf)


@dataclass(slots=True)
class Columns:
    """Outputs to model, all to be maximised.

    Attributes:
        values: (s, n) transformed, NaN where unknown.
        thresholds: (s,) to be passed.
        objective: Whether row 0 is the objective, whose expected improvement over its threshold
            counts; the other rows are constraints.
    """

    values: Float[np.ndarray, "s n"]
    thresholds: Float[np.ndarray, " s"]
    objective: bool


def feasible_rows(
    f: Float[np.ndarray, " n"], g: Float[np.ndarray, "n m"]
) -> Bool[np.ndarray, " n"]:
    """Rows with an objective and every constraint at most 0."""
    return np.isfinite(f) & (g <= 0).all(axis=1)


def fill_failures(
    f: Float[np.ndarray, " n"], g: Float[np.ndarray, "n m"], failed: Bool[np.ndarray, " n"]
) -> tuple[np.ndarray, np.ndarray]:
    """Copies in which failed rows have the worst objective and the worst violations seen, so that a
    model learns to avoid them.
    """
    f, g = f.copy(), g.copy()
    if failed.any():
        known = f[np.isfinite(f)]
        f[failed] = known.max() if len(known) else np.nan
        for j in range(g.shape[1]):
            seen = g[np.isfinite(g[:, j]), j]
            g[failed, j] = max(seen.max(), 1e-3) if len(seen) else np.nan
    return f, g


def constrained(
    f: Float[np.ndarray, " n"],
    g: Float[np.ndarray, "n m"],
    *,
    always: bool = True,
    anywhere: bool = False,
) -> Columns:
    """-f over its best feasible value, and -g_j over 0. Without a feasible point there is no
    objective.

    Args:
        f: (n,) objectives.
        g: (n, m) constraints.
        always: As in `fit_map`.
        anywhere: The incumbent is the best of all points, feasible or not, as in the official code.
    """
    rows, thresholds = [], []
    good = np.isfinite(f) if anywhere else feasible_rows(f, g)
    objective = bool(good.any()) and int(np.isfinite(f).sum()) >= 2
    if objective:
        known = np.isfinite(f)
        change = fit_map(-f[known], always=always)
        rows.append(np.where(known, change(np.where(known, -f, 0.0)), np.nan))
        thresholds.append(float(np.max(rows[0][good])))
    for j in range(g.shape[1]):
        known = np.isfinite(g[:, j])
        if known.sum() < 2:
            continue
        change = fit_map(-g[known, j], always=always)
        rows.append(np.where(known, change(np.where(known, -g[:, j], 0.0)), np.nan))
        thresholds.append(float(change(0.0)))
    return Columns(np.array(rows).reshape(len(rows), len(f)), np.array(thresholds), objective)


def penalised(
    f: Float[np.ndarray, " n"], g: Float[np.ndarray, "n m"], rho: float, *, always: bool = True
) -> Columns:
    """-(f + rho sum_j max(0, g_j)^2) over its largest value."""
    with np.errstate(over="ignore"):
        y = -(f + rho * (np.maximum(g, 0.0) ** 2).sum(axis=1))
    known = np.isfinite(y)
    if known.sum() < 2:
        return Columns(np.zeros((0, len(f))), np.zeros(0), False)
    change = fit_map(y[known], always=always)
    values = np.where(known, change(np.where(known, y, 0.0)), np.nan)
    return Columns(values[None], np.array([np.nanmax(values)]), True)
