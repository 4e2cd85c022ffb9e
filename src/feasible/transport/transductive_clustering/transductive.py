"""Transductive clustering with a few labels.

K-means, K-modes, SLK-Means and SLK-MS with pinned support, and LaplacianShot:

    minimise    sum_pk z_pk F(x_p, m_k) - (lam/2) sum_pq w_pq z_p' z_q   over z and prototypes m
    subject to  z_p in the simplex,  z_p one-hot at its label on the support

F is |x - m|^2 (means) or -exp(-|x - m|^2 / 2 sigma^2) (modes, by mean shift); W joins nearest
neighbours. Take it where all points to be labelled are there at once, classes have about as many of
them, and the features were learned on other classes: then it beats the nearest prototype by far at
one or two labels a class. Where classes differ much in size, or are no blobs, it can be worse.

lam is that of the official code, whose update z <- softmax(-a + lam W z) minimises the above with
lam/2: it is twice the paper's lambda. Unlike the code, W is symmetrised (the bound needs it) and
the support is pinned in every iteration, as in the paper's problem.

References:
    Ziko, Boudiaf, Dolz, Granger, Ben Ayed, "Transductive Few-Shot Learning: Clustering is All You
    Need?", 2021, arXiv 2106.09516. LaplacianShot: Ziko, Dolz, Granger, Ben Ayed, ICML 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ...core.checks import whole
from ...core.errors import ArgumentError
from ...core.problem import Method, Problem
from ...core.warning import warn
from .compiled import squared_distances
from .iterations import (
    ClusteringSettings,
    ClusteringState,
    RunSettings,
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


def _words(y: Any) -> Any:
    """Labels among which are words, as words, so that -1 is "-1"; all others as they are."""
    given = np.asarray(y)
    if given.ndim == 1 and given.dtype.kind in "OU" and any(isinstance(v, str) for v in given):
        return given.astype(str)
    return y


class TransductiveClustering(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn classifier that labels all rows of X from a few labels, by clustering them.

        minimise    sum_pk z_pk F(x_p, m_k) - (lam/2) sum_pq w_pq z_p' z_q
        subject to  z_p in the simplex,  z_p one-hot at its label on the support

    Args:
        mode: "modes" (SLK-MS; K-modes where lam is 0), "means" (SLK-Means; K-means) or "fixed"
            (LaplacianShot).
        lam: Weight of the neighbour graph, >= 0 (the code's convention, twice the paper's); 0.05 to
            2 are usual.
        n_neighbors: Neighbours of a point, itself counted, >= 2: 3 joins each point to its two
            nearest.
        normalize: "l2" puts rows on the unit sphere, after `base_mean` is subtracted: for features
            whose direction tells (embeddings), as the paper has it; None leaves them.
        base_mean: (D,) mean of the classes that the features were learned on; None for none.
        shift: Move the unlabelled rows' mean onto the labelled ones'; turn it off where class sizes
            differ much.
        n_clusters: K, for y without any label (k-means++ starts from `random_state`); else the
            labels say it.
        pin_support: Labelled rows keep their labels.
        sigma: Width of the modes' kernel; None: estimated.
        max_iter: Outer iterations at most.
        tol: Relative change of the energy that ends them.
        max_inner: Iterations of each bound at most; None: 600, or 20 for "fixed".
        inner_tol: Relative change of the bound that ends it; None: 1e-7, or 1e-6 for "fixed".
        random_state: Of the starts where there is no label.
        n_jobs: Threads of the search for neighbours.

    Attributes:
        classes_: (K,) the labels.
        transduction_: (N,) label of each row of X.
        label_distributions_: (N, K) assignments z.
        cluster_centers_: (K, D) prototypes in the normalised space.
        energy_history_: The energy after each outer iteration.
        n_iter_: Outer iterations made.
        sigma_: Width of the kernel; nan where unused.
        shift_: (D,) what was added to the unlabelled rows.
        stopped_: Why it ended, in a sentence.

    Raises:
        ArgumentError: Settings; no labelled row; a class without support; n_neighbors >= N.

    Examples:
        >>> import numpy as np
        >>> from feasible.transport import TransductiveClustering
        >>> X = np.array([[1, 0.1], [1, 0.2], [1, 0.3], [0.1, 1], [0.2, 1], [0.3, 1]])
        >>> TransductiveClustering().fit(X, [0, -1, -1, 1, -1, -1]).transduction_
        array([0, 0, 0, 1, 1, 1])

    References:
        Ziko et al. 2021, arXiv 2106.09516.
    """

    def __init__(
        self,
        *,
        mode: str = ClusteringSettings.mode,
        lam: float = ClusteringSettings.lam,
        n_neighbors: int = ClusteringSettings.n_neighbors,
        normalize: str | None = ClusteringSettings.normalize,
        base_mean: Any = None,
        shift: bool = ClusteringSettings.shift,
        n_clusters: int | None = None,
        pin_support: bool = ClusteringSettings.pin,
        sigma: float | None = ClusteringSettings.sigma,
        max_iter: int = ClusteringSettings.max_iter,
        tol: float = ClusteringSettings.tol,
        max_inner: int | None = ClusteringSettings.max_inner,
        inner_tol: float | None = ClusteringSettings.inner_tol,
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

    def _settings(self) -> ClusteringSettings:
        """Collect what was given as checked settings; only `pin` has another name here."""
        own = {f.name: getattr(self, f.name) for f in fields(ClusteringSettings) if f.name != "pin"}
        return ClusteringSettings(pin=self.pin_support, **own)

    def fit(self, X: Any, y: Any = None) -> TransductiveClustering:
        """Cluster the rows of X around the labelled ones.

        Args:
            X: (N, D) features.
            y: (N,) labels, -1 (among words "-1" too) where there is none; None for none at all. y
                in {-1, 1} alone is taken as scikit-learn's coding of two classes, with a warning.

        Returns:
            The estimator itself.
        """
        settings = self._settings()
        for name in ("n_clusters", "n_jobs"):
            if (value := getattr(self, name)) is not None:
                whole(name, value)
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
            X, y = validate_data(self, X, _words(y), dtype=np.float64, ensure_min_samples=2)
            check_classification_targets(y)
        support = self._support(y)
        classes = len(self.classes_)
        task = prepare(X, support, classes, settings, self.base_mean, self.n_jobs)
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
        """Read y: the class number of each labelled row, -1 for the others; sets `classes_`."""
        values = np.unique(y)
        numeric = y.dtype.kind in "iuf"
        if numeric and values.tolist() == [-1, 1] and (self.n_clusters or 2) <= 2:
            warn(
                "y holds -1 and 1 only and is taken as two classes; name the classes otherwise for "
                "-1 to mean 'no label'",
                UserWarning,
            )
            numeric = False
        missing = y == (-1 if numeric else "-1") if numeric or y.dtype.kind == "U" else None
        self.classes_ = values if missing is None else np.unique(y[~missing])
        if not len(self.classes_):
            if self.n_clusters is None:
                raise ArgumentError(
                    "y has no labelled point: all labels are -1; give one label a class, or "
                    "n_clusters to cluster without any"
                )
            whole("n_clusters", self.n_clusters, least=2)
            if self.n_clusters > len(y):
                raise ArgumentError(
                    f"n_clusters={self.n_clusters}: expected no more than the {len(y)} points"
                )
            self.classes_ = np.arange(self.n_clusters)
            return np.full(len(y), -1)
        if self.n_clusters is not None and self.n_clusters < len(self.classes_):
            warn(
                f"n_clusters={self.n_clusters}, but y labels {len(self.classes_)} classes, which "
                "are the clusters",
                UserWarning,
            )
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
        return found if missing is None else np.where(missing, -1, found)

    def _seeds(self, task: Task, classes: int) -> Float[np.ndarray, "K D"]:
        """Choose starting prototypes by k-means++ where no row is labelled."""
        from sklearn.cluster import kmeans_plusplus

        state = (
            np.random.RandomState()
            if self.random_state is None
            else check_random_state(self.random_state)
        )
        return np.ascontiguousarray(kmeans_plusplus(task.points, classes, random_state=state)[0])

    def _distances(self, X: Any) -> Float[np.ndarray, "n K"]:
        """Squared distances to the prototypes of new rows, prepared as those of `fit`."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return squared_distances(
            np.ascontiguousarray(normalized(X, self.base_mean, self.normalize) + self.shift_),
            self.cluster_centers_,
        )

    def predict(self, X: Any) -> np.ndarray:
        """Label rows that were not there in `fit`, each with the class of its nearest prototype.

        Args:
            X: (n, D) features; they are moved as the unlabelled rows were.

        Returns:
            (n,) labels.
        """
        nearest = self._distances(X).argmin(1)
        return self.classes_[nearest]

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n K"]:
        """Assign rows that were not there in `fit` by softmax(-F) over the prototypes.

        Args:
            X: (n, D) features.

        Returns:
            (n, K) assignments, rows of sum 1.
        """
        far = self._distances(X)
        unary = dissimilarity(far, self.mode, self.sigma_**2)
        unary[np.arange(len(far)), far.argmin(1)] -= (
            1e-9  # the nearest stays the likeliest where exp underflows
        )
        return softmax(-unary, axis=1)


# -- in a run --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FewShotClustering(RunSettings, Method):
    """Transductive clustering in a run; a step is an outer iteration and one evaluation.

    slk-ms is mode="modes", slk-means mode="means", k-modes-few-shot and k-means-few-shot have
    lam=0, laplacianshot is mode="fixed". All are deterministic: the seed changes nothing. The
    settings are those of `iterations.ClusteringSettings` and `iterations.RunSettings`.

    References:
        Ziko et al. 2021, arXiv 2106.09516.
    """

    solves: ClassVar[type[Problem]] = FewShot
    name: ClassVar[str] = "few-shot-clustering"

    def init(self, problem: FewShot, rng: np.random.Generator) -> ClusteringState:
        """Prototypes from the support, every point to the nearest one."""
        return start(self.task(problem))

    def step(self, problem: FewShot, state: ClusteringState) -> ClusteringState:
        """One outer iteration."""
        problem.passes(1)
        advance(self.task(problem), state, self.of(problem))
        return state

    def answer(self, problem: FewShot, state: ClusteringState) -> Int[np.ndarray, " N"]:
        """Labels of all points, in the problem's own numbers."""
        return problem.named(state.labels)

    def done(self, problem: FewShot, state: ClusteringState) -> str | None:
        """When the energy stands still, or a class would be empty."""
        return state.why
