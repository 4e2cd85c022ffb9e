"""The iterations of transductive clustering: prepare, start, advance until `why` is set.

    minimise    E(Z, M) = sum_pk z_pk F(x_p, m_k) - (lam/2) sum_pq w_pq z_p' z_q
    subject to  z_p in the simplex,  z_p one-hot at its label on the support

F is |x - m|^2 (means) or -exp(-|x - m|^2 / 2 sigma^2) (modes). The Laplacian term is concave for a
positive semidefinite W; with the barrier sum z log z each bound has a minimiser in closed form, and
all points move at once. `lam` is that of the official code, twice the paper's lambda.

References:
    Ziko, Boudiaf, Dolz, Granger, Ben Ayed, "Transductive Few-Shot Learning: Clustering is All You
    Need?", 2021, arXiv 2106.09516, and its official code (imtiazziko/SLK-few-shot), from which the
    defaults are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse
from scipy.special import softmax

from ...core.annotations import Checked
from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError, NotFinite, ShapeError
from .compiled import bound, likeliest, mean_shift, neighbours, squared_distances
from .problem import NORMS, FewShot

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MODES = ("modes", "means", "fixed")
SHIFTS, SHIFT_TOL = 1000, 1e-5
"""Mean-shift iterations, and the relative move that ends them (the code's)."""


@dataclass(frozen=True)
class ClusteringSettings(Checked):
    """What is clustered, and how long.

    Attributes:
        mode: "modes" (SLK-MS), "means" (SLK-Means), or "fixed": prototypes stay the means of the
            support and the graph joins the queries only (LaplacianShot).
        lam: Weight of the graph, >= 0, in units of F; 0 makes K-modes and K-means. The code's 0.7;
            the code tunes it on validation classes from 0.05 to 1.
        n_neighbors: Neighbours of a point in the graph, itself counted, >= 2; the code's 3.
        sigma: Width of the modes' kernel, in units of the prepared features; None: the code's
            estimate, sigma^2 = sum_pq w_pq |x_p - x_q|^2 / (5 N).
        normalize: "l2" puts rows on the unit sphere (for features of a network, as the paper has
            it), None leaves them.
        shift: Move the queries' mean onto the support's, which assumes classes of about equal size.
        pin: The support keeps its labels in every iteration, as in the paper's problem.
        max_iter: Outer iterations at most; the code's 100.
        tol: Relative change of the energy that ends them; the code's 1e-4.
        max_inner: Iterations of each bound at most; None: the code's 600, or 20 where mode is
            "fixed".
        inner_tol: Relative change of the bound that ends it; None: the code's 1e-7, or 1e-6 where
            mode is "fixed".
    """

    mode: str = "modes"
    lam: float = 0.7
    n_neighbors: int = 3
    sigma: float | None = None
    normalize: str | None = None
    shift: bool = True
    pin: bool = True
    max_iter: int = 100
    tol: float = 1e-4
    max_inner: int | None = None
    inner_tol: float | None = None

    norms: ClassVar[tuple[str | None, ...]] = NORMS

    def __post_init__(self) -> None:
        one_of("mode", self.mode, MODES)
        one_of("normalize", self.normalize, self.norms)
        real("lam", self.lam, least=0)
        real("tol", self.tol, least=0)
        whole("n_neighbors", self.n_neighbors, least=2)
        whole("max_iter", self.max_iter, least=1)
        if self.max_inner is not None:
            whole("max_inner", self.max_inner, least=1, note=", or None")
        if self.inner_tol is not None:
            real("inner_tol", self.inner_tol, least=0, note=", or None")
        if self.sigma is not None:
            real("sigma", self.sigma, above=0, note=", or None")

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


@dataclass(frozen=True)
class RunSettings(ClusteringSettings):
    """`ClusteringSettings` in a run, where the problem says what its features need.

    Attributes:
        normalize: "l2", None, or "problem" for what the problem says of its features.
    """

    normalize: str | None = "problem"

    norms: ClassVar[tuple[str | None, ...]] = ("problem", *NORMS)

    def of(self, problem: FewShot) -> RunSettings:
        """The settings with the problem's own normalisation put in where they leave it to it."""
        if self.normalize != "problem":
            return self
        return replace(self, normalize=problem.normalize)

    def task(self, problem: FewShot) -> Task:
        """The problem prepared by these settings, once for each problem and settings."""
        settings = self.of(problem)
        return problem.cached(
            settings,
            lambda: prepare(
                problem.features, problem.support, problem.classes, settings, problem.base_mean
            ),
        )


@dataclass
class Task:
    """What stays as it is while labels and prototypes move.

    Attributes:
        points: (N, D) prepared features.
        support: (N,) class of a labelled row, or -1.
        pinned: (N,) as `support` where the support is pinned, else all -1.
        classes: K.
        graph: (indptr, indices, weights) of the symmetric W.
        sigma2: Squared width of the kernel; nan where none is needed.
        moved: (D,) what was added to the queries.
    """

    points: Float[np.ndarray, "N D"]
    support: Int[np.ndarray, " N"]
    pinned: Int[np.ndarray, " N"]
    classes: int
    graph: tuple[np.ndarray, np.ndarray, np.ndarray]
    sigma2: float
    moved: Float[np.ndarray, " D"]


@dataclass
class ClusteringState:
    """Where the iterations stand.

    Attributes:
        labels: (N,) class of each point.
        prototypes: (K, D).
        z: (N, K) assignments, rows in the simplex.
        energy: E after each outer iteration.
        inner: Iterations of each bound.
        why: Why it is over; None where it is not.
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
    """Rows less the mean of the base classes, on the unit sphere where asked for (CL2N, L2N or UN).

    Args:
        x: (N, D) features.
        base_mean: (D,) mean of the classes that the features were learned on; None for none.
        norm: "l2", or None. Rows of zeros stay.

    Raises:
        ShapeError: A mean of another length.
        NotFinite: A mean with NaN or infinities.
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
    """The graph of neighbours W = (A + A')/2, a_pq = 1 where q is one of the nearest others of p.

    The code leaves A as it is; the bound needs a symmetric W.

    Args:
        x: (N, D) prepared features.
        n_neighbors: Neighbours of a point, itself counted.
        n_jobs: Threads of scikit-learn's search.

    Raises:
        ArgumentError: Not fewer neighbours than points.
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
    settings: ClusteringSettings,
    base_mean: Any = None,
    n_jobs: int | None = None,
) -> Task:
    """Normalise, shift, and join neighbours.

    Args:
        x: (N, D) features.
        support: (N,) class numbers from 0, -1 for the queries.
        classes: K.
        settings: What to do.
        base_mean: (D,) mean of the classes that the features were learned on; None for none.
        n_jobs: Threads of the search for neighbours.

    Returns:
        What `start` and `advance` work on.

    Raises:
        ArgumentError: Not fewer neighbours than points.
        ShapeError: A base mean of another length.
        NotFinite: A base mean with NaN or infinities.
    """
    points = normalized(x, base_mean, settings.normalize)
    labelled, free = support >= 0, support < 0
    moved = np.zeros(points.shape[1])
    if settings.shift and labelled.any() and free.any():
        moved = points[labelled].mean(0) - points[free].mean(0)
        points = np.where(free[:, None], points + moved, points)  # what was given stays as it is
    n, sigma2 = len(points), math.nan if settings.sigma is None else float(settings.sigma) ** 2
    w = sparse.csr_array((n, n))
    if settings.needs_graph and settings.mode == "fixed" and free.any():
        rows = np.flatnonzero(free)
        part = affinity(points[rows], settings.n_neighbors, n_jobs).tocoo()
        w = sparse.csr_array(
            (part.data, (rows[part.coords[0]], rows[part.coords[1]])), shape=(n, n)
        )
    elif settings.needs_graph and settings.mode != "fixed":
        w = affinity(points, settings.n_neighbors, n_jobs)
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


def start(task: Task, seeds: Float[np.ndarray, "K D"] | None = None) -> ClusteringState:
    """Put prototypes at the support's means, or at `seeds` (K, D), and points to the nearest."""
    prototypes = class_means(task.points, task.support, task.classes) if seeds is None else seeds
    far = squared_distances(task.points, prototypes)
    labels = np.where(task.pinned >= 0, task.pinned, far.argmin(1))
    return ClusteringState(labels, prototypes, np.eye(task.classes)[labels])


def dissimilarity(
    far: Float[np.ndarray, "N K"], mode: str, sigma2: float
) -> Float[np.ndarray, "N K"]:
    """F of squared distances (N, K): themselves, or -exp(-far / 2 sigma^2) for the modes."""
    return -np.exp(-far / (2 * sigma2)) if mode == "modes" else far


def advance(task: Task, state: ClusteringState, settings: ClusteringSettings) -> None:
    """Make one outer iteration, in place; `state.why` says when it was the last.

    Prototypes from the labels; F; assignments, in closed form or by the bound; labels; the energy.
    A class that would lose all its points ends it, at the iteration before.
    """
    prototypes = state.prototypes
    if settings.mode != "fixed":  # prototypes of the labels
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
    unary = dissimilarity(far, settings.mode, task.sigma2)  # a_pk = F(x_p, m_k)
    held = task.pinned >= 0
    if settings.lam == 0 and settings.mode != "fixed":  # l_p = argmin_k a_pk
        labels = np.where(
            held, task.pinned, far.argmin(1)
        )  # F grows with the distance, which does not underflow
        z, count = np.eye(task.classes)[labels], 0
        energy = float(unary[np.arange(len(labels)), labels].sum())
    else:  # z_p <- softmax(-a_p + lam sum_q w_pq z_q), l_p = argmax_k z_pk
        z = softmax(-unary, axis=1)
        z[held] = np.eye(task.classes)[task.pinned[held]]
        z, values = bound(unary, task.graph, settings.lam, task.pinned, z, *settings.inner)
        labels, count = likeliest(z, far), len(values) - 1
        field_ = (
            sparse.csr_array((task.graph[2], task.graph[1], task.graph[0]), shape=(len(z), len(z)))
            @ z
        )
        energy = float((z * (unary - settings.lam / 2 * field_)).sum())
    if settings.mode != "fixed" and np.bincount(labels, minlength=task.classes).min() == 0:
        state.why = "a class lost all its points, so the iteration before it stands"
        return
    state.labels, state.prototypes, state.z = labels, prototypes, z
    before = state.energy[-1] if state.energy else math.inf
    state.energy.append(energy)
    state.inner.append(count)
    made = len(state.energy)
    if settings.mode == "fixed":
        state.why = f"the prototypes are fixed: one bound of {count} iterations"
    elif made > 2 and abs(energy - before) <= settings.tol * abs(before):
        state.why = (
            f"the energy changed by no more than {settings.tol:g} of itself in iteration {made}"
        )
    elif made >= settings.max_iter:
        state.why = f"{made} iterations were made"


def cluster(task: Task, state: ClusteringState, settings: ClusteringSettings) -> ClusteringState:
    """Make all outer iterations."""
    while state.why is None:
        advance(task, state, settings)
    return state
