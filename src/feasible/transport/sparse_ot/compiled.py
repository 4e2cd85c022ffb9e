"""Compiled columns of sparsity-constrained transport: k-sparse maxima, objectives, plans.

Everything here is the *normalised* problem: strength gamma = 1, and `c` holds one capped vector a
row, c[j] = column j of the cost where columns are capped. Ties go to the smallest index. A cost may
be +inf: the pair is never used.

    Omega*_+(x)   = max { <x, t> - |t|^2/2 :  t >= 0,  at most k nonzeros }
    Omega*_b(x)   = max { <x, t> - |t|^2/2 :  t >= 0,  sum t = b,  at most k nonzeros }

References:
    Liu, Puigcerver, Blondel, ICLR 2023, arXiv 2209.15466.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BLOCK = 16
"""Entries of a block whose maximum is kept, so that only blocks are looked at that may have
something in the support.
"""
SHORT = 24
"""Up to this cap the k largest are kept in a sorted list; beyond it a quickselect finds the k-th
largest.
"""


def _largest(x: Float[np.ndarray, " m"], index: Int[np.ndarray, " m"], count: int, k: int) -> int:
    """Make index[:k] the k largest of x[index[:count]], the smallest index first among equals."""
    if k <= SHORT:
        least = -np.inf  # of the k, once there are k
        for s in range(count):
            i = index[s]
            v = x[i]
            if s >= k and v <= least:
                continue
            p = min(s, k - 1)
            while p > 0 and x[index[p - 1]] < v:
                index[p] = index[p - 1]
                p -= 1
            index[p] = i
            if s >= k - 1:
                least = x[index[k - 1]]
        return k
    values = np.empty(count)
    for s in range(count):
        values[s] = x[index[s]]
    cut = np.partition(values, count - k)[count - k]
    equal = k
    for s in range(count):
        if values[s] > cut:
            equal -= 1
    kept = 0
    for s in range(count):
        i = index[s]
        if x[i] > cut:
            index[kept] = i
            kept += 1
        elif x[i] == cut and equal > 0:
            index[kept] = i
            kept += 1
            equal -= 1
    return kept


def _simplex_column(
    alpha: Float[np.ndarray, " m"],
    c: Float[np.ndarray, " m"],
    b: float,
    k: int,
    x: Float[np.ndarray, " m"],
    index: Int[np.ndarray, " m"],
    peaks: Float[np.ndarray, " p"],
) -> tuple[int, float]:
    """Find the argmax of Omega*_b at x = alpha - c: t_i = x_i - theta on index[:count].

    Returns (count, theta).
    """
    # theta >= max x - b, and the k-th largest of the maxima of blocks is at most the k-th largest
    # of all: what is below either is in no support.
    blocks, top = len(peaks), -np.inf
    for p in range(blocks):
        some = slice(p * BLOCK, (p + 1) * BLOCK)
        xs, alphas, costs = (
            x[some],
            alpha[some],
            c[some],
        )  # an index from 0 is known not to be negative, so it is done several at a time
        peak = -np.inf
        for i in range(len(xs)):
            v = alphas[i] - costs[i]
            xs[i] = v
            peak = max(peak, v)
        peaks[p] = peak
        top = max(top, peak)
    low = top - b
    if k < blocks and k <= SHORT:
        for p in range(blocks):
            index[p] = p
        low = max(low, peaks[index[largest(peaks, index, blocks, k) - 1]])
    count = 0
    for p in range(blocks):
        if peaks[p] >= low:
            begin = p * BLOCK
            xs = x[begin : begin + BLOCK]
            for i in range(len(xs)):  # without a branch, which would be guessed wrong
                index[count] = begin + i
                count += xs[i] >= low
    if count > k:
        count = largest(x, index, count, k)
    while (
        True
    ):  # Michelot: drop what the threshold leaves at or below zero, until nothing is dropped
        total = 0.0
        for s in range(count):
            total += x[index[s]] - top
        theta = top + (total - b) / count
        kept = 0
        for s in range(count):
            i = index[s]
            if x[i] > theta:
                index[kept] = i
                kept += 1
        if kept == count or kept == 0:
            return count, theta
        count = kept


def _orthant_column(
    alpha: Float[np.ndarray, " m"],
    c: Float[np.ndarray, " m"],
    beta: float,
    k: int,
    x: Float[np.ndarray, " m"],
    index: Int[np.ndarray, " m"],
) -> int:
    """Find the argmax of Omega*_+ at x = alpha + beta - c: t_i = x_i on index[:count]."""
    count = 0
    for i in range(len(x)):
        v = alpha[i] + beta - c[i]
        x[i] = v
        index[count] = i
        count += v > 0
    return largest(x, index, count, k) if count > k else count


def _semidual(
    c: Float[np.ndarray, "n m"],
    alpha: Float[np.ndarray, " m"],
    b: Float[np.ndarray, " n"],
    k: int,
    flow: Float[np.ndarray, " m"],
) -> float:
    """sum_j Omega*_{b_j}(alpha - c_j); flow becomes T 1_n."""
    n, m = c.shape
    x, index, peaks = np.empty(m), np.empty(m, np.int64), np.empty(-(-m // BLOCK))
    flow[:] = 0.0
    value = 0.0
    for j in range(n):
        count, theta = simplex_column(alpha, c[j], b[j], k, x, index, peaks)
        for s in range(count):
            i = index[s]
            t = x[i] - theta
            flow[i] += t
            value += t * (x[i] - 0.5 * t)
    return value


def _dual(
    c: Float[np.ndarray, "n m"],
    alpha: Float[np.ndarray, " m"],
    beta: Float[np.ndarray, " n"],
    k: int,
    flow: Float[np.ndarray, " m"],
    into: Float[np.ndarray, " n"],
) -> float:
    """sum_j Omega*_+(alpha + beta_j - c_j); flow becomes T 1_n and into T' 1_m."""
    n, m = c.shape
    x, index = np.empty(m), np.empty(m, np.int64)
    flow[:] = 0.0
    value = 0.0
    for j in range(n):
        total = 0.0
        for s in range(orthant_column(alpha, c[j], beta[j], k, x, index)):
            i = index[s]
            t = x[i]
            flow[i] += t
            total += t
            value += 0.5 * t * t
        into[j] = total
    return value


def _simplex_plan(
    c: Float[np.ndarray, "n m"], alpha: Float[np.ndarray, " m"], b: Float[np.ndarray, " n"], k: int
) -> tuple[
    Int[np.ndarray, " n1"], Int[np.ndarray, " e"], Float[np.ndarray, " e"], Float[np.ndarray, " n"]
]:
    """(starts, indices, masses) of T, row by row of c, and beta_j = -theta_j."""
    n, m = c.shape
    x, index, peaks = np.empty(m), np.empty(m, np.int64), np.empty(-(-m // BLOCK))
    starts, beta = np.zeros(n + 1, np.int64), np.empty(n)
    room = 4 * n + m
    indices, masses = np.empty(room, np.int64), np.empty(room)
    at = 0
    for j in range(n):
        count, theta = simplex_column(alpha, c[j], b[j], k, x, index, peaks)
        if at + count > room:
            room = 2 * room + count
            more, heavier = np.empty(room, np.int64), np.empty(room)
            more[:at], heavier[:at] = indices[:at], masses[:at]
            indices, masses = more, heavier
        for i in np.sort(index[:count]):
            indices[at] = i
            masses[at] = x[i] - theta
            at += 1
        starts[j + 1] = at
        beta[j] = -theta
    return starts, indices[:at].copy(), masses[:at].copy(), beta


def _orthant_plan(
    c: Float[np.ndarray, "n m"],
    alpha: Float[np.ndarray, " m"],
    beta: Float[np.ndarray, " n"],
    k: int,
) -> tuple[Int[np.ndarray, " n1"], Int[np.ndarray, " e"], Float[np.ndarray, " e"]]:
    """(starts, indices, masses) of T, row by row of c."""
    n, m = c.shape
    x, index = np.empty(m), np.empty(m, np.int64)
    starts = np.zeros(n + 1, np.int64)
    room = 4 * n + m
    indices, masses = np.empty(room, np.int64), np.empty(room)
    at = 0
    for j in range(n):
        count = orthant_column(alpha, c[j], beta[j], k, x, index)
        if at + count > room:
            room = 2 * room + count
            more, heavier = np.empty(room, np.int64), np.empty(room)
            more[:at], heavier[:at] = indices[:at], masses[:at]
            indices, masses = more, heavier
        for i in np.sort(index[:count]):
            indices[at] = i
            masses[at] = x[i]
            at += 1
        starts[j + 1] = at
    return starts, indices[:at].copy(), masses[:at].copy()


largest = compiled(_largest)
simplex_column = compiled(
    _simplex_column, fastmath={"nnan", "nsz"}
)  # so that the maximum is taken several at a time; it is exact all the same
orthant_column = compiled(_orthant_column)
semidual = compiled(_semidual)
dual = compiled(_dual)
simplex_plan = compiled(_simplex_plan)
orthant_plan = compiled(_orthant_plan)


# -- Newton's and the quasi-Newton's directions ----------------------------------------------------


def _newton(
    starts: Int[np.ndarray, " n1"],
    indices: Int[np.ndarray, " e"],
    row: Float[np.ndarray, " m"],
    column: Float[np.ndarray, " n"],
    damping: float,
    most: int,
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"]]:
    """The changes (u, v) of the potentials that move the marginals by (row, column).

    On a fixed support t_ij = alpha_i + beta_j - c_ij, so D_1 u + B v = row, B' u + D_2 v = column,
    B the support as a 0/1 matrix, D the degrees: conjugate gradients, preconditioned by D.
    """
    m, n = len(row), len(column)
    size = m + n
    degree = np.full(size, damping)
    for j in range(n):
        for e in range(starts[j], starts[j + 1]):
            degree[indices[e]] += 1
            degree[m + j] += 1
    found, residual, product = np.zeros(size), np.empty(size), np.empty(size)
    residual[:m] = row
    residual[m:] = column
    goal = 1e-14 * np.sqrt(np.sum(residual**2))
    scaled = residual / degree
    direction = scaled.copy()
    weight = np.sum(residual * scaled)
    for _ in range(most):
        for p in range(size):
            product[p] = degree[p] * direction[p]
        for j in range(n):
            total, own = 0.0, direction[m + j]
            for e in range(starts[j], starts[j + 1]):
                i = indices[e]
                product[i] += own
                total += direction[i]
            product[m + j] += total
        bent = np.sum(direction * product)
        if not bent > 0:
            break
        step = weight / bent
        found += step * direction
        residual -= step * product
        if np.sqrt(np.sum(residual**2)) <= goal:
            break
        scaled = residual / degree
        before, weight = weight, np.sum(residual * scaled)
        direction = scaled + (weight / before) * direction
    return found[:m], found[m:]


def _two_loops(
    gradient: Float[np.ndarray, " d"],
    moves: Float[np.ndarray, "h d"],
    changes: Float[np.ndarray, "h d"],
    used: int,
    head: int,
) -> Float[np.ndarray, " d"]:
    """-H g of L-BFGS; the pairs are in a ring, the newest at head - 1."""
    h = len(moves)
    q = gradient.copy()
    share, curvature = np.empty(used), np.empty(used)
    for r in range(used):
        at = (head - 1 - r) % h
        curvature[r] = 1 / np.sum(changes[at] * moves[at])
        share[r] = curvature[r] * np.sum(moves[at] * q)
        q -= share[r] * changes[at]
    newest = (head - 1) % h
    q *= np.sum(moves[newest] * changes[newest]) / np.sum(changes[newest] ** 2)
    for r in range(used - 1, -1, -1):
        at = (head - 1 - r) % h
        q += (share[r] - curvature[r] * np.sum(changes[at] * q)) * moves[at]
    return -q


newton = compiled(_newton)
two_loops = compiled(_two_loops)
