"""The inner loops of transductive clustering.

The bound's iteration, mean shift, distances, and an exact neighbour search for many points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MANY = 5_000
"""Points beyond which the blocked neighbour search is worth its compilation."""
BLOCK = 2_048
SPARE = 6
"""Candidates that the search in single precision keeps beyond those asked for, so that double
precision can settle the order.
"""


def _squared_distances(x: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Squared distances of all rows of x and m."""
    out = np.empty((len(x), len(m)))
    for p in range(len(x)):
        for k in range(len(m)):
            total = 0.0
            for d in range(x.shape[1]):
                gap = x[p, d] - m[k, d]
                total += gap * gap
            out[p, k] = total
    return out


squared_distances = compiled(_squared_distances)
"""(N, K) squared distances of the rows of x (N, D) and m (K, D), without the cancellation of the
expanded square.
"""


def _bound(
    unary: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    weights: np.ndarray,
    lam: float,
    support: np.ndarray,
    z: np.ndarray,
    most: int,
    tol: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The loop of `bound`; `z` is overwritten."""
    n, classes = unary.shape
    out = z.copy()
    history = np.empty(most + 1)
    field = np.empty(classes)
    own, before = 0.0, np.inf
    for p in range(n):
        for k in range(classes):
            own += unary[p, k] * z[p, k]
            if z[p, k] > 0:
                own += z[p, k] * np.log(z[p, k])
    i = 0
    while True:
        pairs, coming = 0.0, 0.0
        for p in range(n):
            field[:] = 0.0
            for e in range(indptr[p], indptr[p + 1]):
                w, q = weights[e], indices[e]
                for k in range(classes):
                    field[k] += w * z[q, k]
            top = -np.inf
            for k in range(classes):
                pairs += field[k] * z[p, k]
                field[k] = lam * field[k] - unary[p, k]
                top = max(top, field[k])
            if support[p] >= 0:  # a support row stays one-hot: no entropy, only its unary
                coming += unary[p, support[p]]
                continue
            total = 0.0
            for k in range(classes):
                out[p, k] = np.exp(field[k] - top)
                total += out[p, k]
            mean = 0.0
            for k in range(classes):
                out[p, k] /= total
                mean += out[p, k] * (field[k] + unary[p, k])
            coming += (
                mean - top - np.log(total)
            )  # sum z log z + sum a z, since log z = field - top - log(total)
        value = own - 0.5 * lam * pairs
        history[i] = value
        if i == most or (i > 2 and abs(value - before) <= tol * abs(before)):
            return z, history[: i + 1]
        before, own = value, coming
        z, out = out, z
        i += 1


_bound_compiled = compiled(_bound)


def bound(
    unary: Float[np.ndarray, "N K"],
    graph: tuple[np.ndarray, np.ndarray, np.ndarray],
    lam: float,
    support: Int[np.ndarray, " N"],
    z: Float[np.ndarray, "N K"],
    most: int,
    tol: float,
) -> tuple[Float[np.ndarray, "N K"], Float[np.ndarray, " iterations"]]:
    """Iterate z_p <- softmax(-a_p + lam sum_q w_pq z_q) for all free p at once.

    Args:
        unary: (N, K) the dissimilarities a.
        graph: (indptr, indices, weights) of the symmetric W.
        lam: Weight of the graph.
        support: (N,) class of a pinned row, whose z must be one-hot already, or -1.
        z: (N, K) where to start.
        most: Iterations at most.
        tol: Relative change of the function that ends them.

    Returns:
        z, and the values of sum z log z + sum a z - (lam/2) sum z Wz, which never rise where W is
        symmetric and positive semidefinite.
    """
    return _bound_compiled(unary, *graph, float(lam), support, z.copy(), most, tol)


def _shift(
    x: np.ndarray, members: np.ndarray, start: np.ndarray, sigma2: float, most: int, tol: float
) -> np.ndarray:
    """The loop of `mean_shift`."""
    m, new = start.copy(), np.empty(len(start))
    far = np.empty(len(members))
    for _ in range(most):
        least = np.inf
        for i in range(len(members)):
            total = 0.0
            for d in range(len(m)):
                gap = x[members[i], d] - m[d]
                total += gap * gap
            far[i] = total
            least = min(least, total)
        new[:] = 0.0
        mass = 0.0
        for i in range(len(members)):
            w = np.exp(
                (least - far[i]) / (2.0 * sigma2)
            )  # the common factor exp(-least / 2 sigma^2) drops out of the ratio
            mass += w
            for d in range(len(m)):
                new[d] += w * x[members[i], d]
        moved, size = 0.0, 0.0
        for d in range(len(m)):
            new[d] /= mass
            moved = max(moved, abs(new[d] - m[d]))
            size = max(size, abs(m[d]))
            m[d] = new[d]
        if moved <= tol * size:
            break
    return m


mean_shift = compiled(_shift)
"""mean_shift(x, members, start, sigma2, most, tol): the mode that the mean shift with a Gaussian
kernel reaches from `start` over x[members].
"""


def _nearest_label(z: np.ndarray, far: np.ndarray) -> np.ndarray:
    """The loop of `likeliest`."""
    out = np.empty(len(z), np.int64)
    for p in range(len(z)):
        best = 0
        for k in range(1, z.shape[1]):
            if z[p, k] > z[p, best] or (z[p, k] == z[p, best] and far[p, k] < far[p, best]):
                best = k
        out[p] = best
    return out


likeliest = compiled(_nearest_label)
"""likeliest(z, far): the class with the largest z of each row; among equals the one with the nearer
prototype, then the first.
"""


# -- neighbours ------------------------------------------------------------------------------------


def _insert(far: np.ndarray, who: np.ndarray, worst: np.ndarray, p: int, q: int, d: float) -> None:
    """Put q at distance d into the sorted candidates of p, in place of the farthest."""
    at = far.shape[1] - 1
    while at > 0 and far[p, at - 1] > d:
        far[p, at], who[p, at] = far[p, at - 1], who[p, at - 1]
        at -= 1
    far[p, at], who[p, at] = d, q
    worst[p] = far[p, far.shape[1] - 1]


_insert_compiled = compiled(_insert)


def _offer(
    products: np.ndarray,
    norms: np.ndarray,
    row: int,
    column: int,
    far: np.ndarray,
    who: np.ndarray,
    worst: np.ndarray,
) -> None:
    """Insert a block of squared distances into the sorted candidate lists of its rows, and of its
    columns.
    """
    width = products.shape[1]
    for i in range(products.shape[0]):
        p = row + i
        own = norms[p]
        begin = i + 1 if row == column else 0
        for chunk in range(begin, width, 64):
            end = min(chunk + 64, width)
            near = products[i, chunk:end]
            others, limits = (
                norms[column + chunk : column + end],
                worst[column + chunk : column + end],
            )
            hits = np.int32(0)
            limit = worst[p]
            for j in range(len(near)):  # without a branch: nearly every chunk holds nothing near
                d = own + others[j] - np.float32(2) * near[j]
                hits += np.int32(d < max(limit, limits[j]))
            if hits == 0:
                continue
            for j in range(chunk, end):
                q = column + j
                d = own + norms[q] - np.float32(2) * products[i, j]
                if d < worst[p]:
                    _insert_compiled(far, who, worst, p, q, d)
                if d < worst[q]:
                    _insert_compiled(far, who, worst, q, p, d)


_offer_compiled = compiled(_offer)


def _settle(
    x: np.ndarray, far: np.ndarray, who: np.ndarray, rounding: float, wanted: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `wanted` nearest of the candidates in double precision, and whether no point that is not
    a candidate can be nearer.

    A computed squared distance of p and q is wrong by `rounding` (|p| + |q|)^2 at most, and a q
    nearer than d has |q| <= |p| + d.
    """
    kept = who.shape[1]
    exact = np.empty(kept)
    sure = np.empty(len(x), np.bool_)
    for p in range(len(x)):
        size = 0.0
        for d in range(x.shape[1]):
            size += x[p, d] * x[p, d]
        for c in range(kept):
            total = 0.0
            for d in range(x.shape[1]):
                gap = x[p, d] - x[who[p, c], d]
                total += gap * gap
            exact[c] = total
        order = np.argsort(exact)
        who[p] = who[p][order]
        last = exact[order[wanted - 1]]
        sure[p] = last <= far[p, kept - 1] - rounding * (2 * np.sqrt(size) + np.sqrt(last)) ** 2
    return who[:, :wanted], sure


_settle_compiled = compiled(_settle)


def neighbours(
    x: Float[np.ndarray, "N D"], wanted: int, n_jobs: int | None = None
) -> Int[np.ndarray, "N wanted"]:
    """Indices of the `wanted` nearest other rows of each row (Euclidean), exact.

    scikit-learn's search; beyond some thousand rows of many columns, products of blocks in single
    precision that use the symmetry of the distances: their candidates are put in order in double
    precision, and a row whose candidates could be wrong by rounding is searched by scikit-learn.

    Args:
        x: (N, D) points.
        wanted: Neighbours of each point, itself not counted.
        n_jobs: Threads of scikit-learn's search.

    Returns:
        (N, wanted) row numbers, the nearest first.
    """
    from sklearn.neighbors import NearestNeighbors

    n, width = x.shape
    centred = np.ascontiguousarray(
        x - x.mean(0)
    )  # scikit-learn expands the square too, and would lose what a far origin cancels
    if n < MANY or width < 8 or wanted > 32 or n_jobs not in (None, 1):
        return (
            NearestNeighbors(n_neighbors=wanted, n_jobs=n_jobs)
            .fit(centred)
            .kneighbors(return_distance=False)
        )
    scale = float(np.abs(centred).max()) or 1.0
    small = (centred / scale).astype(np.float32)
    norms = np.einsum("nd,nd->n", small, small)
    kept = wanted + SPARE
    far, who, worst = (
        np.full((n, kept), np.inf, np.float32),
        np.zeros((n, kept), np.int64),
        np.full(n, np.inf, np.float32),
    )
    products = np.empty((BLOCK, BLOCK), np.float32)
    for row in range(0, n, BLOCK):
        rows = small[row : row + BLOCK]
        for column in range(row, n, BLOCK):
            columns = small[column : column + BLOCK]
            block = products.reshape(-1)[: len(rows) * len(columns)].reshape(
                len(rows), len(columns)
            )
            np.matmul(rows, columns.T, out=block)
            _offer_compiled(block, norms, row, column, far, who, worst)
    # products and norms of `width` terms by the standard bound on rounding, and the rows
    # themselves, rounded to single precision
    rounding = (width + 8) * float(np.finfo(np.float32).eps)
    found, sure = _settle_compiled(centred / scale, far, who, rounding, wanted)
    doubtful = np.flatnonzero(~sure)
    if len(doubtful):
        search = NearestNeighbors(n_neighbors=wanted + 1).fit(centred)
        for p, near in zip(
            doubtful, search.kneighbors(centred[doubtful], return_distance=False), strict=True
        ):
            others = near[near != p]
            found[p] = others[:wanted]
    return found
