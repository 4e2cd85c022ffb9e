"""The iterations of transductive clustering (Ziko et al. 2021, arXiv 2106.09516; steps as there):
prepare, start, advance until `why` is set.

See `transductive` for the problem, for whom it is, and its native form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.special import softmax

from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError, is_number
from ..arrays import positive, whole
from .compiled import bound, likeliest, mean_shift, neighbours, squared_distances

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MODES = ("modes", "means", "fixed")
NORMS = ("l2", None)
SHIFTS, SHIFT_TOL = 1000, 1e-5
"""Mean-shift iterations, and the relative move that ends them (the code's)."""


@dataclass(frozen=True)
class Settings:
    """mode: "modes", "means", or "fixed" (prototypes stay the means of the support: LaplacianShot,
    with the graph on the free points only).

    lam: >= 0, weight of the graph.  n_neighbors: >= 2, the point itself counted.
    sigma: width of the modes' kernel; None: the code's estimate, sigma^2 = sum_pq w_pq |x_p -
      x_q|^2 / (5 N).
    normalize: "l2" or None.  shift: move the free points' mean onto the support's.  pin: the
      support keeps its labels.
    max_iter, tol: outer iterations, and the relative change of the energy that ends them.
    max_inner, inner_tol: the same of the bound's; None: 600 and 1e-7 (20 and 1e-6 where mode is
      "fixed").
    """

    mode: str = "modes"
    lam: float = 0.7
    n_neighbors: int = 3
    sigma: float | None = None
    normalize: str | None = "l2"
    shift: bool = True
    pin: bool = True
    max_iter: int = 100
    tol: float = 1e-4
    max_inner: int | None = None
    inner_tol: float | None = None
    n_jobs: int | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("mode", self.mode, MODES),
            ("normalize", self.normalize, NORMS),
        ):
            if value not in known:
                raise ArgumentError(
                    f"{name}={value!r}: expected {' or '.join(repr(k) for k in known)}"
                )
        for name in ("lam", "tol", "inner_tol"):
            value = getattr(self, name)
            if value is None and name == "inner_tol":
                continue
            if not is_number(value):
                raise ArgumentTypeError(
                    f"{name}: got {type(value).__name__}, expected a number >= 0"
                )
            if not 0 <= value < math.inf:
                raise ArgumentError(f"{name}={float(value):g}: expected a finite number >= 0")
        whole(self.n_neighbors, "n_neighbors", 2)
        whole(self.max_iter, "max_iter")
        if self.max_inner is not None:
            whole(self.max_inner, "max_inner")
        if self.sigma is not None:
            positive(self.sigma, "sigma")

    @property
    def inner(self) -> tuple[int, float]:
        """Iterations of the bound, and their tolerance."""
        most, tol = (20, 1e-6) if self.mode == "fixed" else (600, 1e-7)
        return (most if self.max_inner is None else self.max_inner), (
            tol if self.inner_tol is None else self.inner_tol
        )

    @property
    def needs_graph(self) -> bool:
        """Whether W is used: by the Laplacian term, or for the kernel width."""
        return self.lam > 0 or (self.mode == "modes" and self.sigma is None)


@dataclass
class Task:
    """What stays as it is while labels and prototypes move.

    points: (N, D) prepared.  support: (N,) class of a labelled row, or -1.  pinned: the same where
      the support is pinned, else all -1.
    graph: (indptr, indices, weights) of W.  sigma2: squared width of the kernel (nan where none is
      needed).  moved: (D,) the shift.
    """

    points: Float[np.ndarray, "N D"]
    support: Int[np.ndarray, " N"]
    pinned: Int[np.ndarray, " N"]
    classes: int
    graph: tuple[np.ndarray, np.ndarray, np.ndarray]
    sigma2: float
    moved: Float[np.ndarray, " D"]


@dataclass
class State:
    """labels: (N,).  prototypes: (K, D).  z: (N, K) rows in the simplex.  energy: after each outer
    iteration.  inner: iterations of each bound.
    """

    labels: Int[np.ndarray, " N"]
    prototypes: Float[np.ndarray, "K D"]
    z: Float[np.ndarray, "N K"]
    energy: list[float] = field(default_factory=list)
    inner: list[int] = field(default_factory=list)
    why: str | None = None


def normalized(
    x: Float[np.ndarray, "N D"], base_mean: Any, norm: str | None
) -> Float[np.ndarray, "N D"]:
    """CL2N (base mean and "l2"), L2N (no base mean) or UN (neither): rows minus the mean of the
    base classes, on the unit sphere. Zero rows stay.
    """
    if base_mean is not None:
        mean = np.asarray(base_mean, dtype=float)
        if mean.shape != x.shape[1:]:
            raise ShapeError(f"base_mean has shape {mean.shape}, expected {x.shape[1:]}")
        if not np.isfinite(mean).all():
            raise NotFinite("base_mean: expected finite numbers")
        x = x - mean
    if norm == "l2":
        length = np.linalg.norm(x, axis=1, keepdims=True)
        x = np.divide(x, length, out=np.zeros_like(x), where=length > 0)
    return np.ascontiguousarray(x, dtype=float)


def affinity(
    x: Float[np.ndarray, "N D"], n_neighbors: int, n_jobs: int | None = None
) -> sparse.csr_array:
    """W (step 1): (A + A')/2 with a_pq = 1 where q is among the n_neighbors - 1 nearest other
    points of p.
    """
    n = len(x)
    if n_neighbors >= n:
        raise ArgumentError(
            f"n_neighbors={n_neighbors} counts the point itself: expected less than the {n} points"
        )
    near = neighbours(x, n_neighbors - 1, n_jobs)
    a = sparse.csr_array(
        (np.ones(near.size), near.ravel(), np.arange(0, near.size + 1, near.shape[1])), shape=(n, n)
    )
    return sparse.csr_array((a + a.T) / 2)


def prepare(
    x: Float[np.ndarray, "N D"],
    support: Int[np.ndarray, " N"],
    classes: int,
    settings: Settings,
    base_mean: Any = None,
) -> Task:
    """Normalise, shift, and join neighbours. Raises ArgumentError, ShapeError, NotFinite."""
    points = normalized(x, base_mean, settings.normalize)
    labelled, free = support >= 0, support < 0
    moved = np.zeros(points.shape[1])
    if settings.shift and labelled.any() and free.any():
        moved = points[labelled].mean(0) - points[free].mean(0)
        points[free] += moved
    n, sigma2 = len(points), math.nan if settings.sigma is None else float(settings.sigma) ** 2
    w = sparse.csr_array((n, n))
    if settings.needs_graph and settings.mode == "fixed" and free.any():
        rows = np.flatnonzero(free)
        part = affinity(points[rows], settings.n_neighbors, settings.n_jobs).tocoo()
        w = sparse.csr_array(
            (part.data, (rows[part.coords[0]], rows[part.coords[1]])), shape=(n, n)
        )
    elif settings.needs_graph and settings.mode != "fixed":
        w = affinity(points, settings.n_neighbors, settings.n_jobs)
        if settings.sigma is None:
            p, q = w.tocoo().coords
            gap = np.concatenate(
                [
                    ((points[p[i : i + 65_536]] - points[q[i : i + 65_536]]) ** 2).sum(1)
                    for i in range(0, len(p), 65_536)
                ]
            )
            # duplicates only: no scale is left but that of the whole
            sigma2 = float(w.data @ gap) / (5 * n) or float(points.var(0).sum()) or 1.0
    w.sort_indices()
    pinned = support if settings.pin else np.full(n, -1)
    return Task(
        points,
        support,
        pinned,
        classes,
        (w.indptr.astype(np.int64), w.indices.astype(np.int64), w.data.astype(float)),
        sigma2,
        moved,
    )


def class_means(
    points: Float[np.ndarray, "N D"], labels: Int[np.ndarray, " N"], classes: int
) -> Float[np.ndarray, "K D"]:
    """Mean of the rows of each class; rows with label -1 are left out."""
    rows = np.flatnonzero(labels >= 0)
    member = sparse.csr_array(
        (np.ones(len(rows)), (labels[rows], rows)), shape=(classes, len(labels))
    )
    count = np.bincount(labels[rows], minlength=classes)
    return np.ascontiguousarray((member @ points) / np.maximum(count, 1)[:, None])


def start(task: Task, seeds: Float[np.ndarray, "K D"] | None = None) -> State:
    """Steps 2 and 3: prototypes at the support's means (or at `seeds`, where there is no support),
    every point to its nearest one.
    """
    prototypes = class_means(task.points, task.support, task.classes) if seeds is None else seeds
    far = squared_distances(task.points, prototypes)
    labels = np.where(task.pinned >= 0, task.pinned, far.argmin(1))
    return State(labels, prototypes, np.eye(task.classes)[labels])


def dissimilarity(
    far: Float[np.ndarray, "N K"], mode: str, sigma2: float
) -> Float[np.ndarray, "N K"]:
    """F of squared distances: themselves, or -exp(-far / 2 sigma^2)."""
    return -np.exp(-far / (2 * sigma2)) if mode == "modes" else far


def advance(task: Task, state: State, settings: Settings) -> None:
    """One outer iteration (step 4), in place; `state.why` says when it was the last."""
    prototypes = state.prototypes
    if settings.mode != "fixed":  # a
        if np.bincount(state.labels, minlength=task.classes).min() == 0:
            state.why = "a class began without points"
            return
        if settings.mode == "means":
            prototypes = class_means(task.points, state.labels, task.classes)
        else:
            order = np.argsort(state.labels, kind="stable")
            ends = np.searchsorted(state.labels[order], np.arange(task.classes + 1))
            prototypes = np.stack(
                [
                    mean_shift(
                        task.points,
                        order[ends[k] : ends[k + 1]],
                        state.prototypes[k],
                        task.sigma2,
                        SHIFTS,
                        SHIFT_TOL,
                    )
                    for k in range(task.classes)
                ]
            )
    far = squared_distances(task.points, prototypes)
    unary = dissimilarity(far, settings.mode, task.sigma2)  # b
    held = task.pinned >= 0
    if settings.lam == 0 and settings.mode != "fixed":  # c
        labels = np.where(
            held, task.pinned, far.argmin(1)
        )  # F grows with the distance, which does not underflow
        z, count = np.eye(task.classes)[labels], 0
        energy = float(unary[np.arange(len(labels)), labels].sum())
    else:
        z = softmax(-unary, axis=1)
        z[held] = np.eye(task.classes)[task.pinned[held]]
        z, values = bound(unary, task.graph, settings.lam, task.pinned, z, *settings.inner)
        labels, count = likeliest(z, far), len(values) - 1
        field_ = (
            sparse.csr_array((task.graph[2], task.graph[1], task.graph[0]), shape=(len(z), len(z)))
            @ z
        )
        energy = float((z * (unary - settings.lam / 2 * field_)).sum())
    if settings.mode != "fixed" and np.bincount(labels, minlength=task.classes).min() == 0:  # d
        state.why = "a class lost all its points, so the iteration before it stands"
        return
    state.labels, state.prototypes, state.z = labels, prototypes, z
    before = state.energy[-1] if state.energy else math.inf
    state.energy.append(energy)
    state.inner.append(count)
    made = len(state.energy)
    if settings.mode == "fixed":
        state.why = f"the prototypes are fixed: one bound of {count} iterations"
    elif made > 2 and abs(energy - before) <= settings.tol * abs(before):  # e
        state.why = (
            f"the energy changed by no more than {settings.tol:g} of itself in iteration {made}"
        )
    elif made >= settings.max_iter:
        state.why = f"{made} iterations were made"


def cluster(task: Task, state: State, settings: Settings) -> State:
    """All outer iterations."""
    while state.why is None:
        advance(task, state, settings)
    return state
