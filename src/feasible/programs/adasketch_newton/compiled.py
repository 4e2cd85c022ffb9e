"""Compiled sketch steps and restarted GMRES.

A sketch step takes z to the nearest point with S' K z = S' b. Its residual r = K z - b changes by
multiples of M S, M = K K', so the loops hold r and M alone: z follows from the sum of the sketches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def _kaczmarz(
    indptr: Int[np.ndarray, " N+1"],
    indices: Int[np.ndarray, " nnz"],
    data: Float[np.ndarray, " nnz"],
    diagonal: Float[np.ndarray, " N"],
    drawn: Int[np.ndarray, " steps"],
    r: Float[np.ndarray, " N"],
    total: Float[np.ndarray, " N"],
    target: float,
) -> int:
    """Make steps of randomised Kaczmarz: r -= r_i / M_ii M_i; add them to the sum of the sketches.
    Return how many were made until |r| <= target.
    """
    square = 0.0
    for j in range(len(r)):
        square += r[j] * r[j]
    for k in range(len(drawn)):
        if square <= target * target:
            return k
        i = drawn[k]
        if diagonal[i] <= 0.0:
            continue
        step = r[i] / diagonal[i]
        total[i] += step
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            before = r[j]
            r[j] = before - step * data[p]
            square += r[j] * r[j] - before * before
    return len(drawn)


kaczmarz = compiled(_kaczmarz)


def _gaussian(
    S: Float[np.ndarray, "steps N"],
    MS: Float[np.ndarray, "steps N"],
    r: Float[np.ndarray, " N"],
    total: Float[np.ndarray, " N"],
    target: float,
) -> int:
    """Make steps with a Gaussian vector each: r -= S'r / (S'MS) MS; add them to the sum of the
    sketches. Return how many were made until |r| <= target.
    """
    n = len(r)
    for k in range(len(S)):
        square, along, length = 0.0, 0.0, 0.0
        for j in range(n):
            square += r[j] * r[j]
            along += S[k, j] * r[j]
            length += S[k, j] * MS[k, j]
        if square <= target * target:
            return k
        if length > 0.0:
            step = along / length
            for j in range(n):
                r[j] -= step * MS[k, j]
                total[j] += step * S[k, j]
    return len(S)


gaussian = compiled(_gaussian)


def _gmres(
    K: Float[np.ndarray, "N N"],
    b: Float[np.ndarray, " N"],
    z: Float[np.ndarray, " N"],
    restart: int,
    target: float,
    most: int,
) -> tuple[int, bool]:
    """Run GMRES(restart) from z, in place, until |K z - b|_1 <= target, or until `most` steps.
    Return the steps made, and whether a whole cycle changed nothing.
    """
    size = len(b)
    basis = np.zeros((restart + 1, size))
    made = 0
    while True:
        r = b - K @ z
        length = np.sqrt(r @ r)
        if np.abs(r).sum() <= target or made >= most or length == 0.0:
            return made, False
        hess = np.zeros((restart + 1, restart))
        cosines, sines = np.zeros(restart), np.zeros(restart)
        right = np.zeros(restart + 1)
        right[0] = length
        basis[0] = r / length
        used = 0
        for k in range(restart):
            if made >= most:
                break
            w = K @ basis[k]
            for _ in range(2):  # Gram and Schmidt, twice
                for i in range(k + 1):
                    h = w @ basis[i]
                    hess[i, k] += h
                    w -= h * basis[i]
            below = np.sqrt(w @ w)
            hess[k + 1, k] = below
            for i in range(k):
                kept = cosines[i] * hess[i, k] + sines[i] * hess[i + 1, k]
                hess[i + 1, k] = -sines[i] * hess[i, k] + cosines[i] * hess[i + 1, k]
                hess[i, k] = kept
            turned = np.sqrt(hess[k, k] ** 2 + hess[k + 1, k] ** 2)
            used, made = k + 1, made + 1
            if turned == 0.0:
                used = k
                break
            cosines[k], sines[k] = hess[k, k] / turned, hess[k + 1, k] / turned
            hess[k, k] = turned
            right[k + 1] = -sines[k] * right[k]
            right[k] = cosines[k] * right[k]
            # |r|_1 <= sqrt(N) |r|_2
            if below <= 1e-14 * turned or np.sqrt(size) * abs(right[k + 1]) <= target:
                break
            basis[k + 1] = w / below
        weights = np.zeros(used)
        for i in range(used - 1, -1, -1):
            known = 0.0
            for j in range(i + 1, used):
                known += hess[i, j] * weights[j]
            weights[i] = (right[i] - known) / hess[i, i]
        for i in range(used):
            z += weights[i] * basis[i]
        left = b - K @ z
        if np.sqrt(left @ left) > (1 - 1e-12) * length:
            return made, True


gmres = compiled(_gmres)
