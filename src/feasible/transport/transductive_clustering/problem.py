"""FewShot: points of which a few have labels; find the labels of the others.

    minimise    share of the unlabelled points that get a wrong label
    subject to  labelled points keep their labels

A method sees the features and the given labels; the true labels are for the judge alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.annotations import Checked
from ...core.budget import spend
from ...core.cached import Cached
from ...core.checks import one_of
from ...core.errors import ArgumentError, ShapeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from ..arrays import plain, whole_numbers

if TYPE_CHECKING:
    from jaxtyping import Int

NORMS = ("l2", None)
"""What rows of features are divided by: their length, or nothing."""


@dataclass
class FewShot(Cached, Problem, Checked):
    """Points of which a few have labels.

        minimise    share of the unlabelled points that get a wrong label
        subject to  labelled points keep their labels

    An answer is (N,) labels of all points, or (n,) of the unlabelled ones in their order. The
    violation "support" is the share of labelled points whose label was not kept. One evaluation is
    one pass over all points.

    Attributes:
        features: (N, D), finite.
        labels: (N,) whole numbers, -1 where there is none; every class that `truth` names needs at
            least one label.
        truth: (N,) the true labels.
        base_mean: (D,) mean of the features of other classes, for methods that centre with it; None
            where unknown.
        normalize: "l2" where only the direction of a feature vector tells (embeddings, images),
            None where its length does (coordinates).

    Raises:
        ArgumentError: No labelled point, a class without support, nothing to label.
        ArgumentTypeError: Labels that are no whole numbers.
        ShapeError: Lengths that differ.
        NotFinite: Features with NaN or infinities.
    """

    features: Any
    labels: Any
    truth: Any
    name: str = "few-shot"
    base_mean: Any = None
    normalize: str | None = "l2"
    best_known: float | None = None

    example_budget: ClassVar[str] = "evaluations=100"
    objective_title: ClassVar[str] = "error rate"

    def __post_init__(self) -> None:
        self.features = plain(self.features, "features")
        if self.features.ndim != 2 or 0 in self.features.shape:
            raise ShapeError(f"features has shape {self.features.shape}, expected (N, D)")
        n = len(self.features)
        self.labels, self.truth = (
            whole_numbers(self.labels, "labels", n),
            whole_numbers(self.truth, "truth", n),
        )
        if self.base_mean is not None:
            self.base_mean = plain(self.base_mean, "base_mean")
            if self.base_mean.shape != self.features.shape[1:]:
                raise ShapeError(
                    f"base_mean has shape {self.base_mean.shape}, expected "
                    f"{self.features.shape[1:]}"
                )
        one_of("normalize", self.normalize, NORMS)
        given = self.labels >= 0
        if not given.any():
            raise ArgumentError("labels has no labelled point: all are -1")
        self.values = np.unique(self.labels[given])
        missing = np.setdiff1d(self.truth, self.values)
        if len(missing):
            raise ArgumentError(
                f"class {int(missing[0])} of truth has no labelled point: every class needs at "
                "least one (its support)"
            )
        if len(self.values) < 2:
            raise ArgumentError(
                f"labels names one class only ({int(self.values[0])}): expected at least two"
            )
        self.queries = np.flatnonzero(~given)
        if not len(self.queries):
            raise ArgumentError("labels has no -1: nothing is left to label")
        self.support = np.where(given, np.searchsorted(self.values, self.labels), -1)

    @property
    def classes(self) -> int:
        """K."""
        return len(self.values)

    def outline(self) -> list[str]:
        """What is given and what is to be found."""
        return [
            f"points: {len(self.features):,} in {self.features.shape[1]} dimensions, "
            f"{len(self.queries):,} of them without a label",
            f"classes: {self.classes}",
            "limit: labelled points keep their labels",
        ]

    # -- oracles -----------------------------------------------------------------------------------

    def passes(self, n: int) -> None:
        """Charge n passes over all points, before they are made."""
        spend(evaluations=n)

    def named(self, numbers: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        """Labels of class numbers 0..K-1."""
        return self.values[numbers]

    # -- answers -----------------------------------------------------------------------------------

    def judge(self, answer: Any) -> Verdict:
        """Error rate on the unlabelled points, and the share of labels that were not kept."""
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        found = whole_numbers(answer, "answer")
        if len(found) not in (len(self.labels), len(self.queries)):
            raise ShapeError(
                f"answer has {len(found)} labels, expected {len(self.labels)} (all points) or "
                f"{len(self.queries)} (the unlabelled ones)"
            )
        whole = len(found) == len(self.labels)
        mine = found[self.queries] if whole else found
        given = self.labels >= 0
        lost = float((found[given] != self.labels[given]).mean()) if whole else 0.0
        wrong = mine != self.truth[self.queries]
        return Verdict(
            float(wrong.mean()),
            lost,
            violations={"support": lost},
            metrics={
                "accuracy": float(1 - wrong.mean()),
                "labelled": float(given.sum()),
                "unlabelled": float(len(wrong)),
            },
        )

    def present(self, answer: Any) -> Any:
        """The labels of the unlabelled points, in their order."""
        return (
            answer[self.queries]
            if isinstance(answer, np.ndarray) and len(answer) == len(self.labels)
            else answer
        )

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        return [
            ("metric", "value", ""),
            *(
                (
                    k,
                    f"{v:.4f}" if k == "accuracy" else f"{v:.0f}",
                    "" if k == "accuracy" else "points",
                )
                for k, v in verdict.metrics.items()
            ),
        ]
