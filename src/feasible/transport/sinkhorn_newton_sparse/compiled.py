"""Compiled passes over a cost matrix and over the kernel K_ij = exp(u_i + v_j - C_ij / reg).

The kernel of base potentials u, v is kept whole, or where few entries matter, as compressed rows
(ptr, idx, val). Scalings alpha, beta change its plan, P = diag(alpha) K diag(beta), without another
exponential; u + log alpha and v + log beta are absorbed before they leave the range in which the
entries that were left out stay negligible.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from ...core.compiled import compiled

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Floating-point freedom that lets loops be vectorised and keeps infinities."""
LOG2E, LN2_HI, LN2_LO = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROUND = 6755399441055744.0
"""1.5 x 2^52: a double to which this is added is rounded to a whole number, which stands in its
lowest bits.
"""


def _fast(function):  # type: ignore[no-untyped-def]
    """Compile with the floating-point freedom of FAST; a division by zero gives an infinity."""
    return compiled(function, fastmath=FAST, error_model="numpy")


@partial(compiled, fastmath={"contract", "nsz"})
def _exponentials(row, power):  # type: ignore[no-untyped-def]
    """exp in place, of numbers in [-700, 700], as vector instructions (error 2e-15).

    A polynomial on [-ln 2 / 2, ln 2 / 2], times a power of two.
    """
    bits, shift = row.view(np.int64), power.view(np.int64)
    for j in range(len(row)):
        t = row[j]
        z = t * LOG2E + ROUND
        power[j] = z
        k = z - ROUND
        r = (t - k * LN2_HI) - k * LN2_LO
        p = 1 / 479001600.0
        p = p * r + 1 / 39916800.0
        p = p * r + 1 / 3628800.0
        p = p * r + 1 / 362880.0
        p = p * r + 1 / 40320.0
        p = p * r + 1 / 5040.0
        p = p * r + 1 / 720.0
        p = p * r + 1 / 120.0
        p = p * r + 1 / 24.0
        p = p * r + 1 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        row[j] = p * r + 1.0
    for j in range(len(row)):
        bits[j] += shift[j] << 52


@partial(compiled, fastmath={"reassoc", "contract", "nsz", "nnan"})
def _exponents(cost, eta, v, out):  # type: ignore[no-untyped-def]
    """out = v - eta cost, for one row; returns the largest."""
    top = out[0] = v[0] - eta * cost[0]
    for j in range(len(v)):
        t = v[j] - eta * cost[j]
        out[j] = t
        top = max(top, t)
    return top


@_fast
def sweep_dense(cost, eta, v, a, u, cols, out):  # type: ignore[no-untyped-def]
    """The kernel of v whole, with the u that makes its rows sum to a, and its column sums. One pass
    over the cost.
    """
    n, m = cost.shape
    power = np.empty(m)
    cols[:] = 0.0
    for i in range(n):
        row = out[i]
        top = _exponents(cost[i], eta, v, row)
        for j in range(m):
            row[j] = max(row[j] - top, -700.0)
        _exponentials(row, power)
        total = 0.0
        for j in range(m):
            total += row[j]
        scale = a[i] / total
        u[i] = math.log(scale) - top
        for j in range(m):
            row[j] *= scale
            cols[j] += row[j]


@_fast
def sweep_sparse(cost, eta, v, a, low, u, cols, ptr, room):  # type: ignore[no-untyped-def]
    """`sweep_dense` with the entries above exp(low) alone, as compressed rows.

    `room` says for how many there is space at first. Returns (idx, val).
    """
    n, m = cost.shape
    buffer, near = np.empty(m), np.empty(m, np.int32)
    idx, val = np.empty(max(room, m), np.int32), np.empty(max(room, m))
    cols[:] = 0.0
    ptr[0] = 0
    least, k = math.exp(low), 0
    for i in range(n):
        top = _exponents(cost[i], eta, v, buffer)
        cut = top + min(low - math.log(a[i]), -20.0)
        count = 0
        for j in range(m):
            near[count] = j
            count += buffer[j] > cut
        total = 0.0
        for c in range(count):
            t = math.exp(buffer[near[c]] - top)
            buffer[c] = t
            total += t
        scale = a[i] / total
        u[i] = math.log(scale) - top
        if k + count > len(idx):
            size = max(2 * len(idx), k + count)
            more, larger = np.empty(size, np.int32), np.empty(size)
            more[:k] = idx[:k]
            larger[:k] = val[:k]
            idx, val = more, larger
        for c in range(count):
            p = buffer[c] * scale
            cols[near[c]] += p
            idx[k] = near[c]
            val[k] = p
            k += p > least
        ptr[i + 1] = k
    return idx[:k].copy(), val[:k].copy()


@_fast
def column_potentials(cost, eta, u, b, which, v):  # type: ignore[no-untyped-def]
    """v_j for j in `which` such that column j of exp(u + v - eta C) sums to b_j (log domain)."""
    for j in which:
        top = -np.inf
        for i in range(len(u)):
            top = max(top, u[i] - eta * cost[i, j])
        total = 0.0
        for i in range(len(u)):
            total += math.exp(u[i] - eta * cost[i, j] - top)
        v[j] = math.log(b[j] / total) - top


@_fast
def rows_dense(kernel, beta, a, alpha, cols):  # type: ignore[no-untyped-def]
    """alpha such that the rows of the plan sum to a; cols: its column sums. One pass."""
    n, m = kernel.shape
    cols[:] = 0.0
    for i in range(n):
        row = kernel[i]
        total = 0.0
        for j in range(m):
            total += row[j] * beta[j]
        scale = a[i] / total
        alpha[i] = scale
        for j in range(m):
            cols[j] += row[j] * scale
    for j in range(m):
        cols[j] *= beta[j]


@_fast
def rows_sparse(ptr, idx, val, beta, a, alpha, cols):  # type: ignore[no-untyped-def]
    """`rows_dense` of compressed rows."""
    cols[:] = 0.0
    for i in range(len(a)):
        total = 0.0
        for k in range(ptr[i], ptr[i + 1]):
            total += val[k] * beta[idx[k]]
        scale = a[i] / total
        alpha[i] = scale
        for k in range(ptr[i], ptr[i + 1]):
            cols[idx[k]] += val[k] * scale
    for j in range(len(beta)):
        cols[j] *= beta[j]


@compiled
def halves_dense(kernel, alpha, beta, mass, number):  # type: ignore[no-untyped-def]
    """Mass and number of the plan's entries by half binade.

    At index e: those whose exponent and leading bit make e.
    """
    n, m = kernel.shape
    word = np.empty(1)
    bits = word.view(np.int64)
    for i in range(n):
        for j in range(m):
            word[0] = alpha[i] * kernel[i, j] * beta[j]
            mass[bits[0] >> 51] += word[0]
            number[bits[0] >> 51] += 1


@compiled
def halves_sparse(ptr, idx, val, alpha, beta, mass, number):  # type: ignore[no-untyped-def]
    """`halves_dense` of compressed rows."""
    word = np.empty(1)
    bits = word.view(np.int64)
    for i in range(len(alpha)):
        for k in range(ptr[i], ptr[i + 1]):
            word[0] = alpha[i] * val[k] * beta[idx[k]]
            mass[bits[0] >> 51] += word[0]
            number[bits[0] >> 51] += 1


@compiled
def keep_dense(kernel, alpha, beta, least):  # type: ignore[no-untyped-def]
    """The plan's entries >= least and each row's largest, as compressed rows."""
    n, m = kernel.shape
    ptr = np.zeros(n + 1, np.int64)
    for i in range(n):
        kept = 0
        for j in range(m):
            kept += alpha[i] * kernel[i, j] * beta[j] >= least
        ptr[i + 1] = ptr[i] + max(kept, 1)
    idx, val = np.empty(ptr[n], np.int32), np.empty(ptr[n])
    for i in range(n):
        k, top, at = ptr[i], -1.0, 0
        for j in range(m):
            p = alpha[i] * kernel[i, j] * beta[j]
            if p > top:
                top, at = p, j
            if p >= least:
                idx[k] = j
                val[k] = p
                k += 1
        if k == ptr[i]:
            idx[k] = at
            val[k] = top
    return ptr, idx, val


@compiled
def keep_sparse(ptr, idx, val, alpha, beta, least):  # type: ignore[no-untyped-def]
    """`keep_dense` of compressed rows."""
    n = len(alpha)
    out = np.zeros(n + 1, np.int64)
    for i in range(n):
        kept = 0
        for k in range(ptr[i], ptr[i + 1]):
            kept += alpha[i] * val[k] * beta[idx[k]] >= least
        out[i + 1] = out[i] + max(kept, 1)
    to, plan = np.empty(out[n], np.int32), np.empty(out[n])
    for i in range(n):
        w, top, at = out[i], -1.0, 0
        for k in range(ptr[i], ptr[i + 1]):
            p = alpha[i] * val[k] * beta[idx[k]]
            if p > top:
                top, at = p, idx[k]
            if p >= least:
                to[w] = idx[k]
                plan[w] = p
                w += 1
        if w == out[i]:
            to[w] = at
            plan[w] = top
    return out, to, plan


@_fast
def schur(ptr, idx, val, inverse_rows, diagonal, z, out):  # type: ignore[no-untyped-def]
    """out = (diag(diagonal) - P' diag(inverse_rows) P) z."""
    for j in range(len(z)):
        out[j] = diagonal[j] * z[j]
    for i in range(len(inverse_rows)):
        t = 0.0
        for k in range(ptr[i], ptr[i + 1]):
            t += val[k] * z[idx[k]]
        t *= inverse_rows[i]
        for k in range(ptr[i], ptr[i + 1]):
            out[idx[k]] -= val[k] * t


@_fast
def conjugate_gradients(  # type: ignore[no-untyped-def]
    ptr, idx, val, inverse_rows, columns, ridge, right, tolerance, most, x
):
    """Solve (diag(columns + ridge) - P' diag(inverse_rows) P) x = right by conjugate gradients.

    That is the Newton system after its first block was eliminated, preconditioned by its diagonal.
    Returns the iterations; x holds the last iterate. Stops at a relative residual of `tolerance`,
    after `most` iterations, or where rounding has made the matrix indefinite.
    """
    m = len(right)
    diagonal = columns + ridge
    scale = diagonal.copy()
    for i in range(len(inverse_rows)):
        for k in range(ptr[i], ptr[i + 1]):
            scale[idx[k]] -= val[k] * val[k] * inverse_rows[i]
    for j in range(m):
        scale[j] = 1.0 / max(scale[j], 1e-14 * diagonal[j])
    x[:] = 0.0
    r = right.copy()
    z = r * scale
    p = z.copy()
    q = np.empty(m)
    rz = 0.0
    size = 0.0
    for j in range(m):
        rz += r[j] * z[j]
        size += r[j] * r[j]
    goal = tolerance * math.sqrt(size)
    done = 0
    while done < most:
        schur(ptr, idx, val, inverse_rows, diagonal, p, q)
        curvature = 0.0
        for j in range(m):
            curvature += p[j] * q[j]
        if not curvature > 0.0:
            break
        step = rz / curvature
        left = 0.0
        before = rz
        rz = 0.0
        for j in range(m):
            x[j] += step * p[j]
            r[j] -= step * q[j]
            left += r[j] * r[j]
            z[j] = r[j] * scale[j]
            rz += r[j] * z[j]
        done += 1
        if math.sqrt(left) <= goal:
            break
        turn = rz / before
        for j in range(m):
            p[j] = z[j] + turn * p[j]
    return done


@_fast
def linear_dense(cost, kernel, alpha, beta):  # type: ignore[no-untyped-def]
    """sum P C of the plan."""
    n, m = cost.shape
    linear = 0.0
    for i in range(n):
        total = 0.0
        for j in range(m):
            total += kernel[i, j] * cost[i, j] * beta[j]
        linear += alpha[i] * total
    return linear


@_fast
def linear_sparse(cost, ptr, idx, val, alpha, beta):  # type: ignore[no-untyped-def]
    """`linear_dense` of compressed rows."""
    linear = 0.0
    for i in range(len(alpha)):
        total = 0.0
        for k in range(ptr[i], ptr[i + 1]):
            p = alpha[i] * val[k] * beta[idx[k]]
            if p > 1e-25:  # the others are not worth a look at the cost
                total += p * cost[i, idx[k]]
        linear += total
    return linear
