"""Sequences of systems: Laplacians with random shifts, and a heat equation whose coefficient moves.

References:
    Khodak, Chow, Balcan, Talwalkar, "Learning to Relax", ICLR 2024, arXiv 2310.02246, experiments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from ...core.checks import real, whole
from ...core.errors import UnknownName, nearest
from .problem import SystemSequence

if TYPE_CHECKING:
    from jaxtyping import Float

SHIFTS = {"high": (0.5, 1.5), "low": (2.0, 6.0)}
"""Beta distributions of the shift, by its variance."""
FROM, WIDTH = -0.15, 0.6
BOUNDS = (-0.15, 0.65)
"""Between these the learners look for shifts, as the authors' do."""


def laplacian(m: int) -> sparse.csr_array:
    """Return the five-point Laplacian of m x m interior points, 4 on the diagonal, (m^2, m^2)."""
    line = sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(m, m))
    one = sparse.eye_array(m)
    found = sparse.csr_array(sparse.kron(line, one) + sparse.kron(one, line))
    found.sort_indices()
    return found


def best_omega(shift: float, m: int) -> float:
    """Return the omega of the least spectral radius for the Laplacian with a shift.

        omega* = 1 + (beta / (1 + sqrt(1 - beta^2)))^2,  beta = 4 cos(pi / (m + 1)) / (4 + c)

    Args:
        shift: c.
        m: Points of a side.
    """
    beta = 4 * np.cos(np.pi / (m + 1)) / (4 + shift)
    return float(1 + (beta / (1 + np.sqrt(1 - beta**2))) ** 2)


def shifted_laplacian(
    variance: str = "high", count: int = 5000, m: int = 10, seed: int = 0
) -> SystemSequence:
    """5000 Laplacians of 10 x 10 points with random shifts, for sides drawn in a ball.

    A_t = A + c_t I, c_t = -0.15 + 0.6 Beta(1/2, 3/2) or Beta(2, 6); b_t is standard normal among
    those with |b_t| <= sqrt(n). The context is c_t.

    Args:
        variance: "high" (Beta(1/2, 3/2)), or "low" (Beta(2, 6)).
        count: Systems.
        m: Points of a side.
        seed: Of the shifts and the right-hand sides.
    """
    if variance not in SHIFTS:
        raise UnknownName(f"variance={variance!r}: {nearest(str(variance), SHIFTS)}")
    rng, n = np.random.default_rng(seed), whole("m", m, least=2) ** 2
    shifts = FROM + WIDTH * rng.beta(*SHIFTS[variance], size=whole("count", count, least=1))
    b = rng.standard_normal((count, n))
    while len(outside := np.flatnonzero((b**2).sum(axis=1) > n)):
        b[outside] = rng.standard_normal((len(outside), n))
    matrix_of = _shifted(laplacian(m))
    return SystemSequence(
        lambda t: matrix_of(float(shifts[t])),
        lambda t, before: b[t],
        count,
        np.zeros(n),
        lambda t: float(shifts[t]),
        BOUNDS,
        warm=False,
        name=f"shifted-laplacian-{variance}",
    )


def _shifted(a: sparse.csr_array) -> Callable[[float], sparse.csr_array]:
    """Return what adds a shift to the diagonal of a, whose pattern all results share."""
    rows = np.repeat(np.arange(a.shape[0]), np.diff(a.indptr))
    diagonal = np.flatnonzero(rows == a.indices)

    def made(shift: float) -> sparse.csr_array:
        data = a.data.copy()
        data[diagonal] += shift
        return sparse.csr_array((data, a.indices, a.indptr), shape=a.shape)

    return made


def bump(squared: Float[np.ndarray, " n"], radius: float) -> Float[np.ndarray, " n"]:
    """Return exp(1 - 1 / (1 - |x|^2 / radius^2)), 0 from the radius on.

    Args:
        squared: (n,) |x|^2.
        radius: Where it ends.
    """
    s = np.minimum(squared / radius**2, 1.0)
    with np.errstate(divide="ignore"):
        return np.where(s < 1, np.exp(1 - 1 / np.where(s < 1, 1 - s, 1.0)), 0.0)


def conductivity(time: float) -> float:
    """Return kappa(t) = max(0.1 sin 2 pi t, -10 sin 2 pi t)."""
    s = float(np.sin(2 * np.pi * time))
    return max(0.1 * s, -10 * s)


def heat(cells: int = 50, count: int = 1000, step: float = 1e-3) -> SystemSequence:
    """1000 Crank-Nicolson steps of a heat equation on 50 x 50 cells, a heat source going round.

        u_t = kappa(t) (u_xx + u_yy) + f(x, t) on the unit square, u = 0 on its edge,
        (I - s L) u_(t+1) = (I + s L) u_t + dt f(t + dt/2),  s = kappa(t + dt/2) dt / 2

    kappa(t) = max(0.1 sin 2 pi t, -10 sin 2 pi t) is the context, at the beginning of a step; f is
    32 times a bump of radius 1/8 that circles 8 times a unit of time, u_0 a bump of radius 1/4.
    Each solve starts from the last solution.

    Args:
        cells: Of a side; there are (cells - 1)^2 unknowns.
        count: Time steps.
        step: dt.
    """
    m = whole("cells", cells, least=3) - 1
    step, scale = real("step", step, above=0), float(cells**2)
    a = laplacian(m)
    rows = np.repeat(np.arange(m * m), np.diff(a.indptr))
    unit = np.where(rows == a.indices, 1.0, 0.0)
    places = np.arange(1, cells) / cells
    x, y = (c.ravel() for c in np.meshgrid(places, places, indexing="ij"))

    def weight(t: int) -> float:
        return conductivity((t + 0.5) * step) * step / 2 * scale

    def matrix(t: int) -> sparse.csr_array:
        return sparse.csr_array((unit + weight(t) * a.data, a.indices, a.indptr), shape=a.shape)

    def rhs(t: int, before: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        turn = 16 * np.pi * (t + 0.5) * step
        squared = (x - 0.5 - 0.25 * np.cos(turn)) ** 2 + (y - 0.5 - 0.25 * np.sin(turn)) ** 2
        return before - weight(t) * (a @ before) + step * 32 * bump(squared, 0.125)

    return SystemSequence(
        matrix,
        rhs,
        whole("count", count, least=1),
        bump((x - 0.5) ** 2 + (y - 0.5) ** 2, 0.25),
        lambda t: conductivity(t * step),
        (0.0, 10.0),
        name=f"heat-{cells}",
    )


def shifted_laplacian_low() -> SystemSequence:
    """5000 Laplacians of 10 x 10 points with shifts of low variance, for sides drawn in a ball."""
    return shifted_laplacian("low")


def heat_25() -> SystemSequence:
    """1000 Crank-Nicolson steps of a heat equation on 25 x 25 cells, a heat source going round."""
    return heat(25)


PROBLEMS: dict[str, Callable[..., SystemSequence]] = {
    "shifted-laplacian-high": shifted_laplacian,
    "shifted-laplacian-low": shifted_laplacian_low,
    "heat-25": heat_25,
    "heat-50": heat,
}
"""Ready-made problems: name -> factory."""
