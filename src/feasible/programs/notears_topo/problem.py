"""DAGLearning: data, and the acyclic graph over its columns that explains it best.

minimise    Q(W)   over weighted graphs W on d variables
subject to  W is acyclic
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.cached import Cached
from ...core.checks import one_of, real, whole
from ...core.errors import ShapeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from .graphs import compare, cycle_size, matrix, permutation, topological_order, without_cycles
from .judging import NOTHING, Scorer
from .settings import TopoSettings, check_score
from .topo import binary, covariance_of, table

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(slots=True)
class Graph:
    """An answer.

    Attributes:
        weights: (d, d), W[i, j] the weight of i -> j.
        order: (d,) variables, parents first, or (0,) where the answer has none of its own.
        hidden: (d, m, d) first layers of networks, of a neural graph that has its own; else (0,).
        outer: (d, m) of their second.
    """

    weights: Float[np.ndarray, "d d"]
    order: Int[np.ndarray, " k"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    hidden: Float[np.ndarray, ...] = field(default_factory=NOTHING.copy)
    outer: Float[np.ndarray, ...] = field(default_factory=NOTHING.copy)


@dataclass
class DAGLearning(Cached, Problem):
    """Learn a directed acyclic graph from data.

        minimise    Q(W)   over weighted graphs W on d variables
        subject to  W is acyclic

    An answer is a `Graph`, or a (d, d) matrix of weights. The judge refits: the objective is the
    least Q of a graph with the answer's edges, so weights and penalties of the method do not count,
    and an edge that is left out costs what it explains. "linear": least squares; "logistic": with
    the penalty of `TopoSettings`. The violation "cycle" is the least t so that the
    edges with |W| > t are acyclic (only these are scored), "order" the edges that go against the
    answer's own order. One evaluation is one order whose score is looked at; solvers of other
    libraries charge one for all that they do.

    Attributes:
        X: (n, d) data.
        truth: (d, d) of the true graph, where it is known: for metrics only.
        model: "linear" or "logistic".
        threshold: Edges with a smaller |W| do not count in the metrics.

    Raises:
        ArgumentError: A constant column, values other than 0 and 1 for "logistic".
        ShapeError: Fewer than 2 rows or columns, or a truth of another size.
        NotFinite: NaN or infinities.
    """

    X: Any
    truth: Any = None
    name: str = "dag-learning"
    model: str = "linear"
    threshold: float = 0.3
    best_known: float | None = None

    answers: ClassVar[tuple[type, ...]] = (Graph,)
    endings = (".json", ".csv", ".npz")
    models: ClassVar[tuple[str, ...]] = ("linear", "logistic")
    example_budget: ClassVar[str] = "evaluations=100000"
    objective_title: ClassVar[str] = "score"

    def __post_init__(self) -> None:
        one_of("model", self.model, self.models)
        real("threshold", self.threshold, least=0.0)
        self.X = table(self.X)
        if self.model == "logistic":
            binary(self.X)
        d = self.X.shape[1]
        if self.truth is not None:
            self.truth = matrix(self.truth, "truth")
            if len(self.truth) != d:
                raise ShapeError(f"truth has shape {self.truth.shape}, X has {d} columns")
            topological_order(self.truth)

    @property
    def d(self) -> int:
        """Variables."""
        return int(self.X.shape[1])

    @property
    def covariance(self) -> Float[np.ndarray, "d d"]:
        """(d, d) covariance of the columns."""
        found: Float[np.ndarray, "d d"] = self.cached("covariance", lambda: covariance_of(self.X))
        return found

    def outline(self) -> list[str]:
        """What is given and what is to be found."""
        return [
            f"data: {len(self.X):,} rows of {self.d} variables",
            f"score: {self.model}",
            "limit: the graph is acyclic",
            *(
                []
                if self.truth is None
                else [f"true graph: {int((self.truth != 0).sum())} edges (for metrics only)"]
            ),
        ]

    # -- answers -----------------------------------------------------------------------------------

    def judge(self, answer: Any) -> Verdict:
        """The refitted score of the answer's order, its cycles, and how it differs from the truth.

        Raises:
            ShapeError: A matrix of another size.
        """
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        graph = answer if isinstance(answer, Graph) else Graph(matrix(answer, "answer"))
        weights = matrix(graph.weights, "answer")
        if len(weights) != self.d:
            raise ShapeError(f"answer has shape {weights.shape}, X has {self.d} columns")
        violations = {"cycle": cycle_size(weights), "order": 0.0}
        if len(graph.order):
            order = permutation(graph.order, self.d, "answer.order")
            place = np.argsort(order)
            against = (weights != 0) & (place[:, None] >= place[None, :])
            violations["order"] = float(against.sum())
        metrics = {}
        edges = np.where(np.abs(weights) >= self.threshold, weights, 0.0)
        metrics["edges"] = float((edges != 0).sum())
        if self.truth is not None:
            found = compare(edges, self.truth)
            metrics |= {"shd": float(found.shd), "fdr": found.fdr, "tpr": found.tpr}
        kept = without_cycles(weights) != 0
        score = self._scorer.score(kept, graph.hidden, graph.outer)
        if self.truth is not None:
            true = self.cached("true score", self._true_score)
            metrics["score_over_true_order"] = score / true if true > 0 else float("nan")
        return Verdict(score, max(violations.values()), violations=violations, metrics=metrics)

    def score_settings(self) -> TopoSettings:
        """The score, as settings."""
        return TopoSettings(model=self.model)

    @property
    def _scorer(self) -> Scorer:
        """What refits answers."""
        settings = self.score_settings()
        found: Scorer = self.cached("scorer", lambda: Scorer(self.X, self.covariance, settings))
        return found

    def _true_score(self) -> float:
        """The score of all edges along an order of the true graph."""
        place = np.argsort(topological_order(self.truth, self.covariance))
        return self._scorer.score(place[:, None] < place[None, :])

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        about = {
            "shd": "edges missing, extra or reversed",
            "fdr": "of the edges found are wrong",
            "tpr": "of the true edges were found",
            "edges": f"of at least {self.threshold:g}",
        }
        return [
            ("metric", "value", ""),
            *((k, f"{v:.6g}", about.get(k, "")) for k, v in verdict.metrics.items()),
        ]


@dataclass
class NeuralDAGLearning(DAGLearning):
    """Learn a directed acyclic graph whose variables are networks of their parents.

        minimise    Q(networks)   over one network with one hidden layer a variable
        subject to  the graph of W_ij = ||first layer of j, column i||_2 is acyclic

    Judged like `DAGLearning`: networks on the answer's edges are trained again, with the penalties
    of `TopoSettings`; the answer's own count where their loss is lower.

    Attributes:
        model: "neural".
        threshold: Edges with a smaller norm do not count in the metrics.
        loss: "l2" or "logl2".
        hidden: Width of the networks.
    """

    model: str = "neural"
    threshold: float = 0.5
    loss: str = "l2"
    hidden: int = 10

    models: ClassVar[tuple[str, ...]] = ("neural",)
    example_budget: ClassVar[str] = "evaluations=200"

    def __post_init__(self) -> None:
        check_score("neural", self.loss)
        whole("hidden", self.hidden, least=1)
        super().__post_init__()

    def score_settings(self) -> TopoSettings:
        """The score, as settings."""
        return TopoSettings(model="neural", loss=self.loss, hidden=self.hidden)
