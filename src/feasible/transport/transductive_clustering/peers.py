"""scikit-learn's classifiers and K-means on few-shot problems, with the features prepared as the
published methods prepare theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.budget import active_meter
from ...core.checks import fraction, whole
from ...core.errors import BudgetExhausted
from ...core.problem import Method, Problem
from .compiled import squared_distances
from .iterations import RunSettings, Task, class_means, start
from .problem import FewShot

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass
class PeerLabels:
    """Where a peer stands.

    Attributes:
        labels: (N,) class numbers.
        centers: (K, D) prototypes, where the peer has some.
        why: Why it is over; None where it is not.
    """

    labels: Int[np.ndarray, " N"]
    centers: Float[np.ndarray, "K D"]
    why: str | None = None


@dataclass(frozen=True)
class _Prepared(Method):
    """A peer on the prepared features.

    Its first answer, before anything is spent, labels all free points with the first class.

    Attributes:
        normalize: "l2", None, or "problem" for what the problem says of its features.
        shift: Move the queries' mean onto the support's.
    """

    solves: ClassVar[type[Problem]] = FewShot

    normalize: str | None = RunSettings.normalize
    shift: bool = RunSettings.shift

    def __post_init__(self) -> None:
        self._settings()

    def _settings(self) -> RunSettings:
        """The settings by which the features are prepared; no graph is made."""
        return RunSettings("means", 0.0, normalize=self.normalize, shift=self.shift)

    def init(self, problem: FewShot, rng: np.random.Generator) -> PeerLabels:
        """The means of the support."""
        task = self._settings().task(problem)
        return PeerLabels(
            np.maximum(task.support, 0), class_means(task.points, task.support, task.classes)
        )

    def step(self, problem: FewShot, state: PeerLabels) -> PeerLabels:
        """All of it, or one pass."""
        self._advance(problem, self._settings().task(problem), state)
        return state

    def _advance(self, problem: FewShot, task: Task, state: PeerLabels) -> None:
        """Do all of it, or one pass; `state.why` says when it is over."""
        raise TypeError(f"{type(self).__name__} does not define _advance(problem, task, state)")

    def answer(self, problem: FewShot, state: PeerLabels) -> Int[np.ndarray, " N"]:
        """Labels of all points."""
        return problem.named(state.labels)

    def done(self, problem: FewShot, state: PeerLabels) -> str | None:
        """When there is nothing left to do."""
        return state.why


@dataclass(frozen=True)
class NearestPrototype(_Prepared):
    """Every point gets the class whose support has the nearest mean, in one pass."""

    name: ClassVar[str] = "nearest-prototype"

    shift: bool = False

    def _advance(self, problem: FewShot, task: Task, state: PeerLabels) -> None:
        problem.passes(1)
        state.labels = start(task).labels
        state.why = "every point has its nearest prototype"


@dataclass(frozen=True)
class NearestCentroidPeer(_Prepared):
    """sklearn.neighbors.NearestCentroid on the features as they are (set normalize for "l2"). One
    pass.
    """

    name: ClassVar[str] = "sklearn-nearest-centroid"
    requires: ClassVar[tuple[str, ...]] = ("sklearn",)

    normalize: str | None = None
    shift: bool = False

    def _advance(self, problem: FewShot, task: Task, state: PeerLabels) -> None:
        from sklearn.neighbors import NearestCentroid

        problem.passes(1)
        given = task.support >= 0
        with np.errstate(
            invalid="ignore", divide="ignore"
        ):  # it also wants variances, which one point a class does not have
            model = NearestCentroid().fit(task.points[given], task.support[given])
        state.labels = np.where(given, task.support, model.predict(task.points))
        state.why = "every point has its nearest centroid"


@dataclass(frozen=True)
class KMeansPeer(_Prepared):
    """sklearn.cluster.KMeans from the support's means (n_init=1, Lloyd); a step is one iteration.

    The support is not pinned while it iterates; in the answer it keeps its labels.

    Attributes:
        max_iter: Iterations at most.
    """

    name: ClassVar[str] = "sklearn-kmeans"
    requires: ClassVar[tuple[str, ...]] = ("sklearn",)

    max_iter: int = 100

    def __post_init__(self) -> None:
        whole("max_iter", self.max_iter, least=1)
        super().__post_init__()

    def _advance(self, problem: FewShot, task: Task, state: PeerLabels) -> None:
        import warnings

        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        problem.passes(1)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # one iteration at a time never converges in its own eyes
            model: Any = KMeans(
                task.classes, init=state.centers, n_init=1, max_iter=1, tol=0.0, algorithm="lloyd"
            ).fit(task.points)
        labels = squared_distances(
            task.points, np.ascontiguousarray(model.cluster_centers_)
        ).argmin(1)
        labels = np.where(task.support >= 0, task.support, labels)
        if np.array_equal(model.cluster_centers_, state.centers):
            state.why = "the centres stand still"
        state.labels, state.centers = labels, model.cluster_centers_


@dataclass(frozen=True)
class LabelSpreadingPeer(_Prepared):
    """sklearn.semi_supervised.LabelSpreading over nearest neighbours, in the prepared space.

    One evaluation is one of its iterations. It owns its loop and has no callback, so it has one
    point: it is given as many iterations as the budget has left, `max_iter` at most, and those that
    it does not need are given back.

    Attributes:
        n_neighbors: Neighbours in its graph; scikit-learn's 7.
        alpha: Share of its neighbours' labels that a point takes, in (0, 1); scikit-learn's 0.2.
        max_iter: Iterations at most; scikit-learn's 30.
    """

    name: ClassVar[str] = "sklearn-label-spreading"
    requires: ClassVar[tuple[str, ...]] = ("sklearn",)

    n_neighbors: int = 7
    alpha: float = 0.2
    max_iter: int = 30

    def __post_init__(self) -> None:
        whole("n_neighbors", self.n_neighbors, least=1)
        whole("max_iter", self.max_iter, least=1)
        fraction("alpha", self.alpha, zero=False, one=False)
        super().__post_init__()

    def _advance(self, problem: FewShot, task: Task, state: PeerLabels) -> None:
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.semi_supervised import LabelSpreading

        meter = active_meter.get()
        granted = self.max_iter if meter is None else int(meter.grant("evaluations", self.max_iter))
        if meter is not None and granted < 1:
            raise BudgetExhausted(
                "evaluations", meter.limits["evaluations"], meter.spent["evaluations"], 1
            )
        model = LabelSpreading(
            kernel="knn",
            n_neighbors=min(self.n_neighbors, len(task.points)),
            alpha=self.alpha,
            max_iter=granted,
        )
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # it divides zero by zero for points that no label reaches
            model.fit(task.points, task.support)
        if meter is not None:
            meter.refund("evaluations", max(granted - int(model.n_iter_), 0))
        state.labels = np.where(
            task.support >= 0, task.support, model.transduction_.astype(np.int64)
        )
        state.why = f"the labels were spread in {model.n_iter_} iterations"
