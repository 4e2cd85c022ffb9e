"""scikit-learn's classifiers and K-means on few-shot problems, with the features prepared as the
published methods prepare theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.budget import active_meter
from ...core.errors import ArgumentError, BudgetExhausted
from ...core.problem import Method, Problem
from ..arrays import whole
from .compiled import squared_distances
from .iterations import Settings, Task, class_means, prepare, start
from .problem import FewShot

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass
class Found:
    """labels: (N,) class numbers.  centers: (K, D) where there are some.  why: set when it is
    over."""

    labels: Int[np.ndarray, " N"]
    centers: Float[np.ndarray, "K D"]
    why: str | None = None


@dataclass(frozen=True)
class _Prepared(Method):
    """A peer on the prepared features (normalize: "l2", None, or "problem" for what the problem
    says).

    Its first answer, before anything is spent, labels all free points with the first class.
    """

    solves: ClassVar[type[Problem]] = FewShot

    normalize: str | None = "problem"
    shift: bool = True

    def __post_init__(self) -> None:
        self._settings(None)

    def _settings(self, problem: FewShot | None) -> Settings:
        norm = (
            self.normalize
            if self.normalize != "problem"
            else problem.normalize
            if problem is not None
            else None
        )
        return Settings("means", 0.0, normalize=norm, shift=self.shift)

    def _task(self, problem: FewShot) -> Task:
        settings = self._settings(problem)
        return problem.cached(
            settings,
            lambda: prepare(
                problem.features, problem.support, problem.classes, settings, problem.base_mean
            ),
        )

    def init(self, problem: FewShot, rng: np.random.Generator) -> Found:
        """The means of the support."""
        task = self._task(problem)
        return Found(
            np.maximum(task.support, 0), class_means(task.points, task.support, task.classes)
        )

    def step(self, problem: FewShot, state: Found) -> Found:
        """All of it, or one pass."""
        self._advance(problem, self._task(problem), state)
        return state

    def _advance(self, problem: FewShot, task: Task, state: Found) -> None:
        raise TypeError(f"{type(self).__name__} does not define _advance(problem, task, state)")

    def answer(self, problem: FewShot, state: Found) -> Int[np.ndarray, " N"]:
        """Labels of all points."""
        return problem.named(state.labels)

    def done(self, problem: FewShot, state: Found) -> str | None:
        """When there is nothing left to do."""
        return state.why


@dataclass(frozen=True)
class NearestPrototype(_Prepared):
    """Every point gets the class whose support has the nearest mean, in the prepared space. One
    pass.
    """

    name: ClassVar[str] = "nearest-prototype"

    shift: bool = False

    def _advance(self, problem: FewShot, task: Task, state: Found) -> None:
        problem.passes(1)
        state.labels = start(task).labels
        state.why = "every point has its nearest prototype"


@dataclass(frozen=True)
class NearestCentroidPeer(_Prepared):
    """sklearn.neighbors.NearestCentroid on the features as they are (set normalize for "l2"). One
    pass.
    """

    name: ClassVar[str] = "sklearn-nearest-centroid"

    normalize: str | None = None
    shift: bool = False

    def _advance(self, problem: FewShot, task: Task, state: Found) -> None:
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
    """sklearn.cluster.KMeans from the support's means (n_init=1, Lloyd); a step is one of its
    iterations.

    The support is not pinned while it iterates; in the answer it keeps its labels.
    """

    name: ClassVar[str] = "sklearn-kmeans"

    max_iter: int = 100

    def __post_init__(self) -> None:
        whole(self.max_iter, "max_iter")
        super().__post_init__()

    def _advance(self, problem: FewShot, task: Task, state: Found) -> None:
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
    """sklearn.semi_supervised.LabelSpreading over nearest neighbours, in the prepared space; one
    evaluation is one of its iterations.

    It is given as many iterations as the budget has left, `max_iter` at most; those that it does
    not need are given back.
    """

    name: ClassVar[str] = "sklearn-label-spreading"

    n_neighbors: int = 7
    alpha: float = 0.2
    max_iter: int = 30

    def __post_init__(self) -> None:
        whole(self.n_neighbors, "n_neighbors")
        whole(self.max_iter, "max_iter")
        if not 0 < self.alpha < 1:
            raise ArgumentError(
                f"alpha={self.alpha!r}: expected a number between 0 and 1, both excluded"
            )
        super().__post_init__()

    def _advance(self, problem: FewShot, task: Task, state: Found) -> None:
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
