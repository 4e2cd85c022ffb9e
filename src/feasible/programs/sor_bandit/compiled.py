"""Compiled relaxation on sparse rows, and the learners' arithmetic of one round.

A = D + L + U, by sorted rows: `middle[i]` is where row i has its diagonal entry, before it lies L,
behind it U (= L' where A is symmetric).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Rows = tuple[
        Int[np.ndarray, " n+1"], Int[np.ndarray, " nnz"], Float[np.ndarray, " nnz"]
    ]  # indptr, indices, data

SORTED, UNSORTED, MISSING, NOT_POSITIVE, NOT_FINITE = range(5)
"""What `_split` found."""
CONVERGED, CAPPED, INDEFINITE, DIVERGED = range(4)
"""How a solve ended."""
SWEEPS = 1000
"""Passes of coordinate descent at most."""


def _split(
    indptr: Int[np.ndarray, " n+1"],
    indices: Int[np.ndarray, " nnz"],
    data: Float[np.ndarray, " nnz"],
    middle: Int[np.ndarray, " n"],
    inverse: Float[np.ndarray, " n"],
) -> tuple[int, int]:
    """Write where the diagonal entries are, and 1 over them; return what is wrong, and the row."""
    for i in range(len(middle)):
        found, last = -1, -1
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j <= last:
                return UNSORTED, i
            if not np.isfinite(data[p]):
                return NOT_FINITE, i
            if j == i:
                found = p
            last = j
        if found < 0:
            return MISSING, i
        if not data[found] > 0:
            return NOT_POSITIVE, i
        middle[i] = found
        inverse[i] = 1.0 / data[found]
    return SORTED, -1


split = compiled(_split)


def _sweep(
    indptr: Int[np.ndarray, " n+1"],
    indices: Int[np.ndarray, " nnz"],
    data: Float[np.ndarray, " nnz"],
    middle: Int[np.ndarray, " n"],
    inverse: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"],
    x: Float[np.ndarray, " n"],
    omega: float,
) -> None:
    """Make one forward sweep in place: x_i += omega (b_i - sum_j a_ij x_j) / a_ii."""
    for i in range(len(b)):
        s = b[i]
        for p in range(indptr[i], indptr[i + 1]):
            s -= data[p] * x[indices[p]]
        x[i] += omega * s * inverse[i]


sweep = compiled(_sweep)


def _residual(
    indptr: Int[np.ndarray, " n+1"],
    indices: Int[np.ndarray, " nnz"],
    data: Float[np.ndarray, " nnz"],
    b: Float[np.ndarray, " n"],
    x: Float[np.ndarray, " n"],
    r: Float[np.ndarray, " n"],
) -> float:
    """Write r = b - A x and return its norm."""
    total = 0.0
    for i in range(len(b)):
        s = b[i]
        for p in range(indptr[i], indptr[i + 1]):
            s -= data[p] * x[indices[p]]
        r[i] = s
        total += s * s
    return np.sqrt(total)


residual = compiled(_residual)


def _relax(
    indptr: Int[np.ndarray, " n+1"],
    indices: Int[np.ndarray, " nnz"],
    data: Float[np.ndarray, " nnz"],
    middle: Int[np.ndarray, " n"],
    inverse: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"],
    x: Float[np.ndarray, " n"],
    omega: float,
    tol: float,
    of_start: bool,
    norms: Float[np.ndarray, " k"],
) -> tuple[int, int]:
    """Sweep until |b - A x| < tol times |b|, or the start's; return the sweeps and how it ended.

    A sweep solves (D / omega + L) d = r and adds d to x. The new residual is then
    (1 / omega - 1) D d - U d, so that sweep and residual read every entry once; it is computed
    anew where it is small enough, and the sweeps go on where that disagrees.
    """
    n = len(b)
    r, d = np.empty(n), np.empty(n)
    norms[0] = residual(indptr, indices, data, b, x, r)
    target = tol * (norms[0] if of_start else np.linalg.norm(b))
    if norms[0] == 0.0 or norms[0] < target:
        return 0, CONVERGED
    behind = 1.0 / omega - 1.0
    for k in range(1, len(norms)):
        for i in range(n):
            s = r[i]
            for p in range(indptr[i], middle[i]):
                s -= data[p] * d[indices[p]]
            d[i] = omega * s * inverse[i]
        total = 0.0
        for i in range(n):
            s = behind * data[middle[i]] * d[i]
            for p in range(middle[i] + 1, indptr[i + 1]):
                s -= data[p] * d[indices[p]]
            x[i] += d[i]
            r[i] = s
            total += s * s
        norms[k] = np.sqrt(total)
        if norms[k] < target:
            norms[k] = residual(indptr, indices, data, b, x, r)
            if norms[k] < target:
                return k, CONVERGED
        elif not np.isfinite(total):
            return k, DIVERGED
    return len(norms) - 1, CAPPED


relax = compiled(_relax)


def _symmetric(
    indptr: Int[np.ndarray, " n+1"],
    indices: Int[np.ndarray, " nnz"],
    data: Float[np.ndarray, " nnz"],
    middle: Int[np.ndarray, " n"],
    inverse: Float[np.ndarray, " n"],
    omega: float,
    r: Float[np.ndarray, " n"],
    z: Float[np.ndarray, " n"],
) -> None:
    """Write z = W^-1 r, W = (D + omega L) D^-1 (D + omega L)' / (omega (2 - omega))."""
    n, factor = len(r), omega * (2.0 - omega)
    for i in range(n):
        s = 0.0
        for p in range(indptr[i], middle[i]):
            s += data[p] * z[indices[p]]
        z[i] = (r[i] - omega * s) * inverse[i]
    for i in range(n - 1, -1, -1):
        s = 0.0
        for p in range(middle[i] + 1, indptr[i + 1]):
            s += data[p] * z[indices[p]]
        z[i] -= omega * s * inverse[i]
    for i in range(n):
        z[i] *= factor


symmetric = compiled(_symmetric)


def _conjugate(
    indptr: Int[np.ndarray, " n+1"],
    indices: Int[np.ndarray, " nnz"],
    data: Float[np.ndarray, " nnz"],
    middle: Int[np.ndarray, " n"],
    inverse: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"],
    x: Float[np.ndarray, " n"],
    omega: float,
    tol: float,
    of_start: bool,
    norms: Float[np.ndarray, " k"],
) -> tuple[int, int]:
    """Run conjugate gradients to |b - A x| <= tol times |b|, or the start's.

    Preconditioned by `symmetric`; by nothing where omega is 0. As `relax`, it computes the residual
    anew before it believes it, and goes on from there where it must.
    """
    n = len(b)
    r, z, q = np.empty(n), np.empty(n), np.empty(n)
    norms[0] = residual(indptr, indices, data, b, x, r)
    target = tol * (norms[0] if of_start else np.linalg.norm(b))
    if norms[0] <= target:
        return 0, CONVERGED
    p = np.zeros(n)
    before = 0.0
    for k in range(1, len(norms)):
        if omega > 0.0:
            symmetric(indptr, indices, data, middle, inverse, omega, r, z)
        else:
            z[:] = r
        rho = 0.0
        for i in range(n):
            rho += r[i] * z[i]
        beta = rho / before if before > 0.0 else 0.0
        before = rho
        for i in range(n):
            p[i] = z[i] + beta * p[i]
        curvature = 0.0
        for i in range(n):
            s = 0.0
            for e in range(indptr[i], indptr[i + 1]):
                s += data[e] * p[indices[e]]
            q[i] = s
            curvature += p[i] * s
        if not curvature > 0.0:
            return k, INDEFINITE if np.isfinite(curvature) else DIVERGED
        alpha, total = rho / curvature, 0.0
        for i in range(n):
            x[i] += alpha * p[i]
            r[i] -= alpha * q[i]
            total += r[i] * r[i]
        norms[k] = np.sqrt(total)
        if norms[k] <= target:
            norms[k] = residual(indptr, indices, data, b, x, r)
            if norms[k] <= target:
                return k, CONVERGED
            before = 0.0  # its directions begin anew
        elif not np.isfinite(total):
            return k, DIVERGED
    return len(norms) - 1, CAPPED


conjugate = compiled(_conjugate)


def _tsallis(
    losses: Float[np.ndarray, " d"], scale: float, eta: float, w: Float[np.ndarray, " d"]
) -> None:
    """Write the weights w_i = 4 / (eta (losses_i / scale - x))^2, x < min, that sum to 1.

    The sum is convex and increasing in x, and at least 1 at min - 2 / eta: Newton's method comes
    down from there without passing the root.
    """
    d = len(w)
    least = losses.min() / scale
    x = least - 2.0 / eta
    for _ in range(100):
        total = slope = 0.0
        for i in range(d):
            root = 2.0 / (eta * (losses[i] / scale - x))
            w[i] = root * root
            total += w[i]
            slope += w[i] * root
        step = (total - 1.0) / (eta * slope)
        if not step > 1e-15 * abs(x - least):
            break
        x -= step
    for i in range(d):
        w[i] /= total


tsallis = compiled(_tsallis)


def _drawn(w: Float[np.ndarray, " d"], u: float) -> int:
    """Return the index that a uniform number chooses by the weights."""
    total = 0.0
    for i in range(len(w)):
        total += w[i]
        if u < total:
            return i
    return int(np.argmax(w))


drawn = compiled(_drawn)


def _chebyshev(c: float, phi: Float[np.ndarray, " m"]) -> None:
    """Write phi_j = T_j(c), c in [-1, 1]."""
    phi[0] = 1.0
    if len(phi) > 1:
        phi[1] = c
    for j in range(2, len(phi)):
        phi[j] = 2.0 * c * phi[j - 1] - phi[j - 2]


chebyshev = compiled(_chebyshev)


def _predict(
    theta: Float[np.ndarray, "d m"],
    phi: Float[np.ndarray, " m"],
    eta: float,
    y: Float[np.ndarray, " d"],
    w: Float[np.ndarray, " d"],
) -> None:
    """Write the predicted losses y = theta phi, and the inverse-gap weights w.

    w_i = 1 / (d + eta (y_i - y_best)), and the best action has the rest.
    """
    d = len(y)
    for i in range(d):
        s = 0.0
        for j in range(len(phi)):
            s += theta[i, j] * phi[j]
        y[i] = s
    best = int(np.argmin(y))
    rest = 1.0
    for i in range(d):
        if i != best:
            w[i] = 1.0 / (d + eta * (y[i] - y[best]))
            rest -= w[i]
    w[best] = rest


predict = compiled(_predict)


def _bounded(
    gram: Float[np.ndarray, "m m"],
    h: Float[np.ndarray, " m"],
    upper: Float[np.ndarray, " m"],
    theta: Float[np.ndarray, " m"],
) -> None:
    """Minimise theta' G theta / 2 - h' theta over |theta_j| <= upper_j, by coordinate descent.

    From what theta holds, clipped.
    """
    m = len(theta)
    for j in range(m):
        theta[j] = min(max(theta[j], -upper[j]), upper[j])
    for _ in range(SWEEPS):
        moved = 0.0
        for j in range(m):
            if gram[j, j] <= 0.0:
                continue
            s = h[j]
            for k in range(m):
                s -= gram[j, k] * theta[k]
            new = min(max(theta[j] + s / gram[j, j], -upper[j]), upper[j])
            moved = max(moved, abs(new - theta[j]))
            theta[j] = new
        if moved <= 1e-13:
            break


bounded = compiled(_bounded)


def _fit(
    gram: Float[np.ndarray, "m m"],
    h: Float[np.ndarray, " m"],
    squares: float,
    scale: float,
    upper: Float[np.ndarray, " m"],
    theta: Float[np.ndarray, " m"],
) -> float:
    """Write the least-squares coefficients of one action's losses over `scale`.

    Of several the shortest; where a coefficient passes its bound, the best within the bounds.

    Returns:
        The squared residual of a fit within bounds; -1 where none was needed.
    """
    m = len(theta)
    values, vectors = np.linalg.eigh(gram)
    theta[:] = 0.0
    for k in range(m):
        if values[k] > 1e-12 * values[m - 1]:
            s = 0.0
            for j in range(m):
                s += vectors[j, k] * h[j]
            s /= values[k] * scale
            for j in range(m):
                theta[j] += s * vectors[j, k]
    over = False
    for j in range(m):
        over |= abs(theta[j]) > upper[j]
    if not over:
        return -1.0
    scaled = h / scale
    bounded(gram, scaled, upper, theta)
    left = squares / (scale * scale)
    for j in range(m):
        s = -2.0 * scaled[j]
        for k in range(m):
            s += gram[j, k] * theta[k]
        left += theta[j] * s
    return max(left, 0.0)


fit = compiled(_fit)


def _learn(
    theta: Float[np.ndarray, "d m"],
    gram: Float[np.ndarray, "d m m"],
    moments: Float[np.ndarray, "d m"],
    squares: Float[np.ndarray, " d"],
    phi: Float[np.ndarray, " m"],
    upper: Float[np.ndarray, " m"],
    action: int,
    loss: float,
    scale: float,
    all_of_them: bool,
) -> float:
    """Add one row to an action's normal equations, and fit it, or all where the scale has changed.

    Returns:
        The squared residual of the last fit that needed its bounds; 0 where none did.
    """
    m = len(phi)
    for j in range(m):
        moments[action, j] += loss * phi[j]
        for k in range(m):
            gram[action, j, k] += phi[j] * phi[k]
    squares[action] += loss * loss
    within = 0.0
    for i in range(len(theta)):
        if all_of_them or i == action:
            left = fit(gram[i], moments[i], squares[i], scale, upper, theta[i])
            if left >= 0.0:
                within = left
    return within


learn = compiled(_learn)
