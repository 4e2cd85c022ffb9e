"""Transductive clustering with a few labels (Ziko, Boudiaf, Dolz, Granger, Ben Ayed, "Transductive
Few-Shot Learning: Clustering is All You Need?",
2021, arXiv 2106.09516): K-means, K-modes, SLK-Means and SLK-MS with pinned support, and
LaplacianShot (Ziko et al., ICML 2020).

    minimise  sum_pk z_pk F(x_p, m_k) - (lam/2) sum_pq w_pq z_p'z_q   over z_p in the simplex and
    prototypes m;   z_p = its label on the support

F is |x - m|^2 (means) or -exp(-|x - m|^2 / 2 sigma^2) (modes, by mean shift); W joins nearest
neighbours. Take it where all points to be labelled
are there at once, classes have about as many of them, and the features were learned on other
  classes: then it beats the nearest prototype by far
at one or two labels a class. Where classes differ much in size, or are no blobs, it can be worse.

lam is that of the official code, whose update z <- softmax(-a + lam W z) minimises the above with
lam/2: it is twice the paper's lambda. Unlike the
code, W is symmetrised (the bound needs it) and the support is pinned in every iteration, as in the
paper's problem.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ...core.errors import ArgumentError
from ...core.problem import Method, Problem
from ..arrays import whole
from .compiled import squared_distances
from .iterations import (
    Settings,
    State,
    Task,
    advance,
    cluster,
    dissimilarity,
    normalized,
    prepare,
    start,
)
from .problem import FewShot

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class TransductiveClustering(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Label all rows of X from a few labels, by clustering them together. A scikit-learn
    classifier.

    mode: "modes" (SLK-MS; K-modes where lam is 0), "means" (SLK-Means; K-means) or "fixed"
      (LaplacianShot).
    lam: >= 0, weight of the neighbour graph (the code's convention, twice the paper's); 0.05 to 2
      are usual.
    n_neighbors: >= 2, with the point itself, as in the official code: 3 joins each point to its two
      nearest.
    normalize: "l2" puts rows on the unit sphere, after `base_mean` (D,), the mean of the classes
      the features were learned on, is subtracted; None
    leaves them. shift: move the unlabelled rows' mean onto the labelled ones'; turn it off where
    class sizes differ much.
    n_clusters: for y without any label (k-means++ starts, from `random_state`); else the labels say
      it. pin_support: labels stay.
    sigma: width of the modes' kernel, estimated where None.  max_iter, tol, max_inner, inner_tol:
      see `clustering.Settings`.

    After fit(X, y) with y = -1 for rows without label: classes_, transduction_ (N,),
    label_distributions_ (N, K), cluster_centers_ (K, D) in the
    normalised space, energy_history_, n_iter_, sigma_ (nan where unused).  y in {-1, 1} alone is
    taken as scikit-learn's coding of two classes, with
    a warning. Raises ArgumentError (a ValueError): no labelled row, a class without support,
    n_neighbors >= N, settings.

    >>> import numpy as np
    >>> from feasible.transport import TransductiveClustering
    >>> X = np.array([[1, 0.1], [1, 0.2], [1, 0.3], [0.1, 1], [0.2, 1], [0.3, 1]])
    >>> TransductiveClustering().fit(X, [0, -1, -1, 1, -1, -1]).transduction_
    array([0, 0, 0, 1, 1, 1])
    """

    def __init__(
        self,
        *,
        mode: str = "modes",
        lam: float = 0.7,
        n_neighbors: int = 3,
        normalize: str | None = "l2",
        base_mean: Any = None,
        shift: bool = True,
        n_clusters: int | None = None,
        pin_support: bool = True,
        sigma: float | None = None,
        max_iter: int = 100,
        tol: float = 1e-4,
        max_inner: int | None = None,
        inner_tol: float | None = None,
        random_state: Any = 0,
        n_jobs: int | None = None,
    ):
        self.mode = mode
        self.lam = lam
        self.n_neighbors = n_neighbors
        self.normalize = normalize
        self.base_mean = base_mean
        self.shift = shift
        self.n_clusters = n_clusters
        self.pin_support = pin_support
        self.sigma = sigma
        self.max_iter = max_iter
        self.tol = tol
        self.max_inner = max_inner
        self.inner_tol = inner_tol
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _settings(self) -> Settings:
        return Settings(
            self.mode,
            self.lam,
            self.n_neighbors,
            self.sigma,
            self.normalize,
            self.shift,
            self.pin_support,
            self.max_iter,
            self.tol,
            self.max_inner,
            self.inner_tol,
            self.n_jobs,
        )

    def fit(self, X: Any, y: Any = None) -> TransductiveClustering:
        """Cluster the rows of X (N, D) around the labelled ones. y: (N,) labels, -1 where there is
        none; None for none at all.
        """
        settings = self._settings()
        if y is None:
            if self.n_clusters is None:
                raise ArgumentError(
                    "TransductiveClustering requires y to be passed, but the target y is None; "
                    "without any label give n_clusters"
                )
            X, y = (
                validate_data(self, X, dtype=np.float64, ensure_min_samples=2),
                np.full(len(X), -1),
            )
        else:
            X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
            check_classification_targets(y)
        support = self._support(y)
        classes = len(self.classes_)
        task = prepare(X, support, classes, settings, self.base_mean)
        seeds = None if (support >= 0).any() else self._seeds(task, classes)
        state = cluster(task, start(task, seeds), settings)
        self.transduction_ = self.classes_[state.labels]
        self.label_distributions_ = state.z
        self.cluster_centers_ = state.prototypes
        self.energy_history_ = np.array(state.energy)
        self.n_iter_ = max(len(state.energy), 1)
        self.sigma_ = math.sqrt(task.sigma2) if task.sigma2 == task.sigma2 else math.nan
        self.shift_ = task.moved
        self.stopped_ = state.why
        return self

    def _support(self, y: Any) -> Int[np.ndarray, " N"]:
        values = np.unique(y)
        numeric = y.dtype.kind in "iuf"
        if numeric and values.tolist() == [-1, 1] and (self.n_clusters or 2) <= 2:
            warnings.warn(
                "y holds -1 and 1 only and is taken as two classes; name the classes otherwise for "
                "-1 to mean 'no label'",
                UserWarning,
                stacklevel=3,
            )
            numeric = False
        self.classes_ = values[values != -1] if numeric else values
        if not len(self.classes_):
            if self.n_clusters is None:
                raise ArgumentError(
                    "y has no labelled point: all labels are -1; give one label a class, or "
                    "n_clusters to cluster without any"
                )
            whole(self.n_clusters, "n_clusters", 2)
            if self.n_clusters > len(y):
                raise ArgumentError(
                    f"n_clusters={self.n_clusters}: expected no more than the {len(y)} points"
                )
            self.classes_ = np.arange(self.n_clusters)
            return np.full(len(y), -1)
        if self.n_clusters is not None and self.n_clusters > len(self.classes_):
            raise ArgumentError(
                f"n_clusters={self.n_clusters}, but y labels {len(self.classes_)} classes only: "
                "every class needs at least one "
                "labelled point (its support)"
            )
        if len(self.classes_) < 2:
            raise ArgumentError(
                f"y labels one class only ({self.classes_[0]!r}): expected at least two"
            )
        found = np.searchsorted(self.classes_, y)
        return np.where(y == -1, -1, found) if numeric else found

    def _seeds(self, task: Task, classes: int) -> Float[np.ndarray, "K D"]:
        from sklearn.cluster import kmeans_plusplus

        state = (
            np.random.RandomState()
            if self.random_state is None
            else check_random_state(self.random_state)
        )
        return np.ascontiguousarray(kmeans_plusplus(task.points, classes, random_state=state)[0])

    def _distances(self, X: Any) -> Float[np.ndarray, "n K"]:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return squared_distances(
            np.ascontiguousarray(normalized(X, self.base_mean, self.normalize) + self.shift_),
            self.cluster_centers_,
        )

    def predict(self, X: Any) -> np.ndarray:
        """(n,) class of the nearest prototype, for rows that were not there in `fit`; they are
        moved as the unlabelled rows were.
        """
        nearest = self._distances(X).argmin(1)
        return self.classes_[nearest]

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n K"]:
        """(n, K) softmax(-F) over the prototypes."""
        far = self._distances(X)
        unary = dissimilarity(far, self.mode, self.sigma_**2)
        unary[np.arange(len(far)), far.argmin(1)] -= (
            1e-9  # the nearest stays the likeliest where exp underflows
        )
        return softmax(-unary, axis=1)


# -- in a run --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FewShotClustering(Method):
    """Transductive clustering in a run; a step is an outer iteration and one evaluation. Settings
    as of `Settings`.

    normalize: "l2", None, or "problem" for what the problem says of its features.
    slk-ms is mode="modes", slk-means mode="means", k-modes-few-shot and k-means-few-shot have
    lam=0, laplacianshot is mode="fixed". All are
    deterministic: the seed changes nothing.
    """

    solves: ClassVar[type[Problem]] = FewShot
    name: ClassVar[str] = "few-shot-clustering"

    mode: str = "modes"
    lam: float = 0.7
    n_neighbors: int = 3
    sigma: float | None = None
    normalize: str | None = "problem"
    shift: bool = True
    pin: bool = True
    max_iter: int = 100
    tol: float = 1e-4
    max_inner: int | None = None
    inner_tol: float | None = None

    def __post_init__(self) -> None:
        self._settings(None)  # checked here, not in a run

    def _settings(self, problem: FewShot | None) -> Settings:
        norm = (
            self.normalize
            if self.normalize != "problem"
            else problem.normalize
            if problem is not None
            else None
        )
        return Settings(
            self.mode,
            self.lam,
            self.n_neighbors,
            self.sigma,
            norm,
            self.shift,
            self.pin,
            self.max_iter,
            self.tol,
            self.max_inner,
            self.inner_tol,
        )

    def _task(self, problem: FewShot) -> Task:
        settings = self._settings(problem)
        return problem.cached(
            settings,
            lambda: prepare(
                problem.features, problem.support, problem.classes, settings, problem.base_mean
            ),
        )

    def init(self, problem: FewShot, rng: np.random.Generator) -> State:
        """Prototypes from the support, every point to the nearest one."""
        return start(self._task(problem))

    def step(self, problem: FewShot, state: State) -> State:
        """One outer iteration."""
        problem.passes(1)
        advance(self._task(problem), state, self._settings(problem))
        return state

    def answer(self, problem: FewShot, state: State) -> Int[np.ndarray, " N"]:
        """Labels of all points, in the problem's own numbers."""
        return problem.named(state.labels)

    def done(self, problem: FewShot, state: State) -> str | None:
        """When the energy stands still, or a class would be empty."""
        return state.why
