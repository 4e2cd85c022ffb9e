"""The formulas of consensus-based optimisation as plain functions on arrays, shared by every form
of it.

References:
    K. Riedl, T. Klock, C. Geldhauser, M. Fornasier: Gradient is All You Need? How Consensus-Based
    Optimization can be Interpreted as a Stochastic Relaxation of Gradient Descent (2023, arXiv
    2306.09778), algorithm A.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ...core.errors import ArgumentError

if TYPE_CHECKING:
    from jaxtyping import Float

Schedule = tuple[str, float] | None
"""("multiply", factor), ("ess", fraction), or None for a constant alpha."""

Kind = Literal["clip", "reflect", "beyond"]
"""What happens to particles at the box; see `Walls`."""

BEYOND = 0.5
"""How far particles may leave the box, in units of its width, where they may."""

HIGHEST = 1e15
"""alpha above which every consensus point is the best particle anyway."""


def finite_energy(energy: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The same energies with NaN replaced by +inf and -inf by the lowest float; a copy only where
    something changes.
    """
    if math.isfinite(energy.sum()):
        return energy
    return np.nan_to_num(energy, nan=np.inf, posinf=np.inf, neginf=-1e300)


def consensus(
    x: Float[np.ndarray, "n d"], energy: Float[np.ndarray, " n"], alpha: float
) -> Float[np.ndarray, " d"]:
    """m_alpha = sum_i w_i x_i / sum_i w_i with w_i = exp(-alpha (E_i - min E)); particles of
    infinite energy have no weight.

    Args:
        x: (n, d) particles.
        energy: (n,) without NaN (see `finite_energy`), one of them finite.
        alpha: Inverse temperature, in units of 1 / E; it may be 0, or so large that m is the best
            particle.

    Examples:
        >>> consensus(np.array([[0.0], [2.0]]), np.array([1.0, 1.0]), alpha=5.0)
        array([1.])
    """
    w = energy - energy.min()
    if alpha:
        w *= -alpha
        np.exp(w, out=w)
    else:
        w = np.isfinite(w).astype(float)
    w /= w.sum()
    return w @ x


def effective_size(energy: Float[np.ndarray, " n"], alpha: float) -> float:
    """(sum w)^2 / sum w^2, between the number of best particles and the number of particles with
    finite energy.
    """
    w = np.exp(-alpha * (energy[np.isfinite(energy)] - energy.min()))
    return float(w.sum() ** 2 / (w @ w))


def alpha_for_size(energy: Float[np.ndarray, " n"], fraction: float, start: float = 1.0) -> float:
    """The alpha at which `effective_size` is `fraction` of the particles with finite energy, to a
    relative 1e-3.

    Newton's method in log alpha on the log of the size, which falls monotonically, kept inside a
    bracket by bisection.

    Args:
        energy: (n,) energies without NaN.
        fraction: Of the particles, between 0 and 1.
        start: Where Newton's method starts.

    Returns:
        Where more than that fraction of the particles share the best energy there is no root: the
        largest useful alpha. Where all energies are equal: `start`.
    """
    e = energy - energy.min()
    if not math.isfinite(e.sum()):
        e = e[np.isfinite(e)]
    top = float(e.max(initial=0.0))
    if top <= 0:
        return start
    n = len(e)
    target = math.log(max(fraction * n, 1.0))
    if fraction * n <= np.count_nonzero(e == 0):
        return HIGHEST / top
    low, high = math.log(1e-6 / top), math.log(HIGHEST / top)
    t = min(max(math.log(start), low), high) if start > 0 else -math.log(top)
    for _ in range(60):
        alpha = math.exp(t)
        w = np.exp(-alpha * e)
        we, ww = w * e, w @ w
        total = w.sum()
        gap = float(2 * math.log(total) - math.log(ww)) - target
        if abs(gap) < 1e-3 or high - low < 1e-12:
            break
        if gap > 0:
            low = t
        else:
            high = t
        slope = float(2 * alpha * ((w @ we) / ww - we.sum() / total))
        t = t - gap / slope if slope < 0 else low
        if not low < t < high:
            t = 0.5 * (low + high)
    return math.exp(t)


def read_schedule(text: str | None) -> Schedule:
    """Read "x1.05" (multiply every step, up to 1e5) or "ess:0.5" (effective sample size as a
    fraction of the particles).
    """
    if text is None:
        return None
    try:
        if text.startswith("x") and float(text[1:]) > 0 and math.isfinite(float(text[1:])):
            return "multiply", float(text[1:])
        if text.startswith("ess:") and 0 < float(text[4:]) < 1:
            return "ess", float(text[4:])
    except (ValueError, AttributeError):
        pass
    raise ArgumentError(
        f"alpha_schedule={text!r}: expected None, 'x1.05' (a factor for every step) or 'ess:0.5' "
        "(a fraction between 0 and 1)"
    )


def scheduled(
    schedule: Schedule, alpha: float, energy: Float[np.ndarray, " n"]
) -> tuple[float, float]:
    """(alpha for this step, alpha to start the next step from)."""
    if schedule is None:
        return alpha, alpha
    kind, value = schedule
    if kind == "multiply":
        return alpha, min(alpha * value, max(1e5, alpha))
    alpha = alpha_for_size(energy, value, alpha)
    return alpha, alpha


def jump(
    away: Float[np.ndarray, "n d"],
    xi: Float[np.ndarray, "n d"],
    pull: float,
    push: float,
    isotropic: bool,
) -> Float[np.ndarray, "n d"]:
    """-pull D + push S(D) xi. Components where D is 0 do not move under anisotropic noise.

    Args:
        away: (n, d) the distances D.
        xi: (n, d) standard normal.
        pull: lambda dt.
        push: sigma sqrt(dt).
        isotropic: S(D) = ||D||; else |D| by components.

    Returns:
        One of the two arrays, both of which are overwritten.
    """
    if isotropic:
        reach = np.sqrt(np.einsum("ij,ij->i", away, away))
        reach *= push
        xi *= reach[:, None]
        away *= -pull
        away += xi
        return away
    xi *= push
    xi -= pull
    xi *= away
    return xi


def drift_and_diffuse(
    x: Float[np.ndarray, "n d"],
    m: Float[np.ndarray, " d"],
    xi: Float[np.ndarray, "n d"],
    work: Float[np.ndarray, "n d"],
    *,
    pull: float,
    push: float,
    isotropic: bool,
    noise_after_drift: bool = False,
) -> None:
    """x <- x - lambda dt (x - m) + sigma sqrt(dt) S(x - m) xi, in place (algorithm A, step 2).

    Args:
        x: (n, d) particles.
        m: (d,) the consensus point.
        xi: (n, d) standard normal; overwritten.
        work: (n, d) scratch.
        pull: lambda dt.
        push: sigma sqrt(dt).
        isotropic: S(D) = ||D||; else |D| by components.
        noise_after_drift: The noise is scaled by the distance that is left after the drift, as in
            the authors' MATLAB code.
    """
    np.subtract(x, m, out=work)
    x += jump(work, xi, pull, push * abs(1 - pull) if noise_after_drift else push, isotropic)


@dataclass(slots=True)
class Walls:
    """Where points may lie.

    Attributes:
        low: A number or (d,); None where the space is open.
        high: The same.
        kind: At the box particles are clipped ("clip"), mirrored ("reflect"), or go on for up to
            `BEYOND` of its width and are evaluated at the nearest point of it ("beyond").
        allowed: A test of points (n, d) -> (n,), or None.
    """

    low: float | Float[np.ndarray, " d"] | None = None
    high: float | Float[np.ndarray, " d"] | None = None
    kind: Kind = "clip"
    allowed: Callable[[np.ndarray], np.ndarray] | None = None

    def inside(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Where particles at x are evaluated: the nearest points of the box, in an array of their
        own.
        """
        if self.low is None or self.high is None:
            return x.copy()
        return np.clip(x, self.low, self.high)

    def confine(
        self, x: Float[np.ndarray, "n d"], old: Float[np.ndarray, "n d"] | Float[np.ndarray, " d"]
    ) -> None:
        """Bring x into the box, in place; steps that leave the allowed set are halved toward `old`
        (allowed), at last undone.
        """
        if self.low is not None and self.high is not None:
            low, high = self.low, self.high
            if self.kind == "reflect":
                fold(x, low, high)
            elif self.kind == "beyond":
                reach = BEYOND * (high - low)
                low, high = low - reach, high + reach
            np.maximum(x, low, out=x)
            np.minimum(x, high, out=x)
        if self.allowed is not None:
            origin = np.broadcast_to(old, x.shape)
            bad = np.flatnonzero(~self.allowed(x))
            for _ in range(12):
                if not len(bad):
                    return
                x[bad] = 0.5 * (x[bad] + origin[bad])
                bad = bad[~self.allowed(x[bad])]
            x[bad] = origin[bad]


def fold(
    x: Float[np.ndarray, "n d"],
    low: float | Float[np.ndarray, " d"],
    high: float | Float[np.ndarray, " d"],
) -> None:
    """Reflect x at the walls as often as needed, in place; a side at infinity does not reflect."""
    outside = (x < low) | (x > high)
    if not outside.any():
        return
    low, high = np.broadcast_to(low, x.shape[1]), np.broadcast_to(high, x.shape[1])
    for j in np.flatnonzero(outside.any(axis=0)).tolist():
        out, lo, hi = outside[:, j], float(low[j]), float(high[j])
        span, z = hi - lo, x[out, j]
        if not math.isfinite(span):
            x[out, j] = lo + np.abs(z - lo) if math.isfinite(lo) else hi - np.abs(hi - z)
        elif span > 0:
            x[out, j] = lo + span - np.abs(np.mod(z - lo, 2 * span) - span)
        else:
            x[out, j] = lo


def differences(
    x: Float[np.ndarray, "n d"], h: float | Float[np.ndarray, " d"], walls: Walls
) -> Float[np.ndarray, "m d"]:
    """The 2 n d points x + h e_j and x - h e_j of central differences, kept inside the walls (there
    they become one-sided).
    """
    n, d = x.shape
    points = np.repeat(x, 2 * d, axis=0).reshape(n, d, 2, d)
    j = np.arange(d)
    points[:, j, 0, j] += h
    points[:, j, 1, j] -= h
    flat = walls.inside(points.reshape(-1, d))
    walls.confine(flat, np.repeat(x, 2 * d, axis=0) if walls.allowed is not None else x[0])
    return flat


def gradient(
    points: Float[np.ndarray, "m d"], energy: Float[np.ndarray, " m"], d: int
) -> Float[np.ndarray, "n d"]:
    """The gradients from the energies of `differences`; 0 where an energy is not finite or the two
    points coincide.
    """
    pairs, values = points.reshape(-1, d, 2, d), energy.reshape(-1, d, 2)
    j = np.arange(d)
    width = pairs[:, j, 0, j] - pairs[:, j, 1, j]
    good = np.isfinite(values).all(axis=2) & (width > 0)
    rise = np.where(good, values[..., 0], 0.0) - np.where(good, values[..., 1], 0.0)
    return rise / np.where(good, width, 1.0)


__all__ = [
    "Schedule",
    "Walls",
    "alpha_for_size",
    "consensus",
    "differences",
    "drift_and_diffuse",
    "effective_size",
    "finite_energy",
    "fold",
    "gradient",
    "jump",
    "read_schedule",
    "scheduled",
]
