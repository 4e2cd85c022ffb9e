"""The four kernels of DADAO, and the loop that plays a log of events with them.

A node's state is six vectors: x, x~, y, y~, z, z~. No decomposition of a matrix and no BLAS is
used, so that every engine computes the same bits.

References:
    Nabli, Oyallon, ICML 2023, arXiv 2208.00779.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.compiled import compiled
from ..gradients import local_gradient

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def _flow(S: Float[np.ndarray, "6 d"], dt: float, c: Float[np.ndarray, " 14"]) -> None:
    """Let a node's state follow its linear differential equation for dt, exactly and in place.

        x' = eta (x~ - x)      x~' = eta (x - x~)
        y' = alpha (y~ - y)    y~' = -theta (nu x~ + y + z)
        z' = alpha (z~ - z)    z~' = alpha~ (z - z~)

    The solution is written out, because 0 is a double eigenvalue of the matrix.

    Args:
        S: (6, d).
        dt: >= 0.
        c: See `settings.constants`.
    """
    if dt <= 0.0:
        return
    nu, s, al, k, om = c[0], c[1], c[3], c[11], c[12]
    E1, E2 = np.exp(-s * dt / 4), np.exp(-3 * s * dt / 8)
    E3 = np.exp(-s * dt / 8)
    C, D = np.cos(om * dt), np.sin(om * dt)
    for r in range(S.shape[1]):
        x, xt, y, yt, z, zt = S[0, r], S[1, r], S[2, r], S[3, r], S[4, r], S[5, r]
        xm, xd = (x + xt) / 2, x - xt
        zm, zd = (z + 2 * zt) / 3, z - zt
        c0, c1, c2 = nu * xm + zm, -nu * xd / 2, 2 * zd / 3
        a = y + c0 + c1 + k * c2
        b = (al * (yt + c0 - k * c2 / 2 - a) + al * a / 2) / om
        S[0, r] = xm + xd * E1 / 2
        S[1, r] = xm - xd * E1 / 2
        S[4, r] = zm + 2 * zd * E2 / 3
        S[5, r] = zm - zd * E2 / 3
        h = E3 * (a * C + b * D)
        slope = -al / 2 * h + E3 * om * (b * C - a * D)
        S[2, r] = h - c0 - c1 * E1 - k * c2 * E2
        S[3, r] = h + slope / al - c0 + k * c2 * E2 / 2


flow = compiled(_flow)


def _jump_gradient(
    S: Float[np.ndarray, "6 d"], gradient: Float[np.ndarray, " d"], c: Float[np.ndarray, " 14"]
) -> None:
    """Apply a gradient event: G = grad f_i(x) - nu x - y~, then x, x~ and y~ jump."""
    nu, gamma, gammat, both = c[0], c[5], c[6], c[7] + c[8]
    for r in range(S.shape[1]):
        G = gradient[r] - nu * S[0, r] - S[3, r]
        S[0, r] -= gamma * G
        S[1, r] -= gammat * G
        S[3, r] += both * G


jump_gradient = compiled(_jump_gradient)


def _message(S: Float[np.ndarray, "6 d"], out: Float[np.ndarray, " d"]) -> None:
    """Write what a node sends, y + z."""
    for r in range(S.shape[1]):
        out[r] = S[2, r] + S[4, r]


message = compiled(_message)


def _jump_exchange(
    S: Float[np.ndarray, "6 d"],
    mine: Float[np.ndarray, " d"],
    theirs: Float[np.ndarray, " d"],
    c: Float[np.ndarray, " 14"],
) -> None:
    """Apply an exchange: m = own - received, z -= beta m, z~ -= beta~ m.

    The other end's m is the exact negative, so that the sums of z and of z~ stay 0.
    """
    beta, betat = c[9], c[10]
    for r in range(S.shape[1]):
        m = mine[r] - theirs[r]
        S[4, r] -= beta * m
        S[5, r] -= betat * m


jump_exchange = compiled(_jump_exchange)


def _play(
    S: Float[np.ndarray, "n 6 d"],
    clocks: Float[np.ndarray, " n"],
    t: Float[np.ndarray, " k"],
    kind: Int[np.ndarray, " k"],
    first: Int[np.ndarray, " k"],
    second: Int[np.ndarray, " k"],
    seeds: Int[np.ndarray, " k"],
    c: Float[np.ndarray, " 14"],
    family: int,
    data: Float[np.ndarray, "p d"],
    sides: Float[np.ndarray, " p"],
    starts: Int[np.ndarray, " n+1"],
    ridge: float,
    batch: int,
) -> None:
    """Play events in order, on objectives that are known by their data."""
    d = S.shape[2]
    gradient, mine, theirs = np.empty(d), np.empty(d), np.empty(d)
    for e in range(len(t)):
        i, j = first[e], second[e]
        if kind[e] == 0:
            flow(S[i], t[e] - clocks[i], c)
            clocks[i] = t[e]
            a, b = starts[i], starts[i + 1]
            local_gradient(family, data[a:b], sides[a:b], ridge, S[i, 0], batch, seeds[e], gradient)
            jump_gradient(S[i], gradient, c)
        elif kind[e] == 1:
            flow(S[i], t[e] - clocks[i], c)
            flow(S[j], t[e] - clocks[j], c)
            clocks[i] = clocks[j] = t[e]
            message(S[i], mine)
            message(S[j], theirs)
            jump_exchange(S[i], mine, theirs, c)
            jump_exchange(S[j], theirs, mine, c)


play = compiled(_play)


def _advance(
    S: Float[np.ndarray, "n 6 d"],
    clocks: Float[np.ndarray, " n"],
    t: float,
    c: Float[np.ndarray, " 14"],
) -> None:
    """Let every node flow to one time."""
    for i in range(len(S)):
        flow(S[i], t - clocks[i], c)
        clocks[i] = t


advance = compiled(_advance)
