"""Compiled projections on simplices, and the inner loop of matrix games."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

PASSES = 50
"""Newton passes over a vector at most; a handful is usual."""
LARGE = 1e6
"""Size of the entries, over the radius, beyond which their rounding shows in the projection."""


def _condat(
    y: Float[np.ndarray, " m"],
    radius: float,
    kept: Float[np.ndarray, " m"],
    aside: Float[np.ndarray, " m"],
) -> float:
    """Return theta with sum_i max(y_i - theta, 0) = radius, by Condat's algorithm.

    Args:
        y: (m,) the point.
        radius: Of the simplex, > 0.
        kept: (m,) room for the candidates.
        aside: (m,) room for those that are looked at again.
    """
    kept[0] = y[0]
    count, waiting, theta = 1, 0, y[0] - radius
    for i in range(1, len(y)):
        if y[i] > theta:
            theta += (y[i] - theta) / (count + 1)
            if theta > y[i] - radius:
                kept[count] = y[i]
                count += 1
            else:  # so large that it may be alone
                for j in range(count):
                    aside[waiting + j] = kept[j]
                waiting += count
                kept[0] = y[i]
                count, theta = 1, y[i] - radius
    for j in range(waiting):
        if aside[j] > theta:
            kept[count] = aside[j]
            count += 1
            theta += (aside[j] - theta) / count
    while True:
        before, count = count, 0
        size = before
        for j in range(before):
            if kept[j] > theta:
                kept[count] = kept[j]
                count += 1
            else:
                size -= 1
                if size == 0:  # next to these numbers the radius is nothing
                    return np.nan
                theta += (theta - kept[j]) / size
        if count == before:
            return theta


condat = compiled(_condat)


def _simplex(y: Float[np.ndarray, " m"], radius: float) -> Float[np.ndarray, " m"]:
    """Return the point of {x >= 0, sum x = radius} that is nearest to y."""
    m = len(y)
    x, kept, aside = np.empty(m), np.empty(m), np.empty(m)
    theta = condat(y, radius, kept, aside)
    if not abs(theta) <= LARGE * radius:  # the same point from the largest entry, without rounding
        top = y.max()
        for i in range(m):
            x[i] = max(y[i] - top, -2.0 * radius)
        y = x.copy()
        theta = condat(y, radius, kept, aside)
    for i in range(m):
        x[i] = max(y[i] - theta, 0.0)
    return x


simplex = compiled(_simplex)


def _threshold(y: Float[np.ndarray, " m"], guess: float) -> float:
    """Return theta with sum_i max(y_i - theta, 0) = 1, by Newton's method from a guess.

    The sum is convex and falls in theta, so that from the second pass on theta rises, and ends
    where the entries above it stay the same.
    """
    m = len(y)
    theta, before = guess, -1
    for _ in range(PASSES):
        s0 = s1 = s2 = s3 = 0.0
        c0 = c1 = c2 = c3 = 0
        for i in range(0, m - 3, 4):  # four sums, which do not wait for one another
            if y[i] > theta:
                s0 += y[i]
                c0 += 1
            if y[i + 1] > theta:
                s1 += y[i + 1]
                c1 += 1
            if y[i + 2] > theta:
                s2 += y[i + 2]
                c2 += 1
            if y[i + 3] > theta:
                s3 += y[i + 3]
                c3 += 1
        for i in range(m - m % 4, m):
            if y[i] > theta:
                s0 += y[i]
                c0 += 1
        count = c0 + c1 + c2 + c3
        if count == 0:
            theta, before = y.max() - 1.0, -1
            continue
        new = (s0 + s1 + s2 + s3 - 1.0) / count
        if count == before and new >= theta:
            return new
        if new == theta:
            return new
        theta, before = new, count
    return theta


threshold = compiled(_threshold)


def _game_steps(
    matrix: Float[np.ndarray, "m n"],
    transposed: Float[np.ndarray, "n m"],
    rows: Int[np.ndarray, " s"],
    columns: Int[np.ndarray, " s"],
    of_rows: Float[np.ndarray, " m"],
    of_columns: Float[np.ndarray, " n"],
    snapshots: Bool[np.ndarray, " s"],
    eta: float,
    tau: float,
    alpha: float,
    u: Float[np.ndarray, " d"],
    v: Float[np.ndarray, " d"],
    w: Float[np.ndarray, " d"],
    old: Float[np.ndarray, " d"],
    at_w: Float[np.ndarray, " d"],
    guesses: Float[np.ndarray, " 2"],
    best: Float[np.ndarray, " d"],
    least: float,
) -> float:
    """Make steps of Algorithm 3 on a matrix game, in place.

    Args:
        matrix: (m, n) M.
        transposed: (n, m) M', so that its rows are M's columns.
        rows: (s,) the row that each step reads.
        columns: (s,) the column that each step reads.
        of_rows: (m,) chances of the rows.
        of_columns: (n,) chances of the columns.
        snapshots: (s,) which steps end with a new snapshot.
        eta: Of the resolvent.
        tau: Step.
        alpha: 1 - p.
        u: (m + n,) the resolvent's argument.
        v: (m + n,) iterate.
        w: (m + n,) snapshot.
        old: (m + n,) snapshot of one step before.
        at_w: (m + n,) B(w).
        guesses: (2,) the last thresholds of the two projections.
        best: (m + n,) the snapshot of the least residual.
        least: That residual, at step 1.

    Returns:
        The least residual.
    """
    m, n = matrix.shape
    d = m + n
    y, z = np.empty(d), np.empty(d)
    changed = True
    for s in range(len(rows)):
        i, j = rows[s], columns[s]
        across = eta * (v[m + j] - old[m + j]) / of_columns[j]
        down = eta * (v[i] - old[i]) / of_rows[i]
        column, row = transposed[j], matrix[i]
        for k in range(m):  # g = B(w_i) + B_q(v_i) - B_q(w_(i-1))
            g = at_w[k] + v[k] - old[k] + across * column[k]
            y[k] = alpha * v[k] + (1.0 - alpha) * w[k] - tau * g
        for k in range(n):
            g = at_w[m + k] + v[m + k] - old[m + k] - down * row[k]
            y[m + k] = alpha * v[m + k] + (1.0 - alpha) * w[m + k] - tau * g
        guesses[0] = threshold(y[:m], guesses[0])
        guesses[1] = threshold(y[m:], guesses[1])
        for k in range(m):
            v[k] = max(y[k] - guesses[0], 0.0)
        for k in range(m, d):
            v[k] = max(y[k] - guesses[1], 0.0)
        if changed:
            old[:] = w
            changed = False
        if snapshots[s]:
            w[:] = v
            changed = True
            at_w[:m] = matrix @ v[m:]
            at_w[m:] = -(transposed @ v[:m])
            for k in range(d):
                z[k] = v[k] - at_w[k]
            first, second = threshold(z[:m], guesses[0]), threshold(z[m:], guesses[1])
            total = 0.0
            for k in range(d):
                gap = v[k] - max(z[k] - (first if k < m else second), 0.0)
                total += gap * gap
                at_w[k] = v[k] - u[k] + eta * at_w[k]
            residual = np.sqrt(total)
            if residual < least:
                least = residual
                best[:] = v
    return least


game_steps = compiled(_game_steps)
