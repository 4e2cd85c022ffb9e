"""The swap search and its first orders as methods of a run."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import real
from ...core.errors import ArgumentError, WrongProblem
from ...core.problem import Method, Problem
from .linear import equal_variance_order, variance_order
from .problem import DAGLearning, Graph, NeuralDAGLearning
from .search import Fit, Model, TopoState, advance, begin
from .settings import SearchSettings, TopoSettings, TrainingSettings
from .topo import first_orders, model_of, with_ridge

if TYPE_CHECKING:
    from jaxtyping import Int


@dataclass(frozen=True)
class _Search(SearchSettings, Method):
    """The search in a run: a step scores a first order, or makes one round of exchanges."""

    neural: ClassVar[bool] = False

    def check_problem(self, problem: Problem) -> None:
        """Raise WrongProblem where its scores are none of the problem's."""
        super().check_problem(problem)
        if isinstance(problem, NeuralDAGLearning) != self.neural:
            other = "topo" if self.neural else "topo-networks"
            raise WrongProblem(
                f"method {self.name} does not score the {type(problem).__name__} "
                f"'{problem.name}': expected method {other}"
            )

    def _settings(self, problem: DAGLearning) -> TopoSettings:
        """These settings with the problem's score."""
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(problem.score_settings(), **mine)

    def _model(self, problem: DAGLearning, seed: int) -> Model:
        """The score, made once for a problem."""
        settings = self._settings(problem)
        model: Model = problem.cached(
            (settings, seed), lambda: model_of(settings, problem.X, problem.covariance, seed)
        )
        return model

    def init(self, problem: DAGLearning, rng: np.random.Generator) -> TopoState:
        """The orders that it begins from."""
        settings = self._settings(problem)
        settings.sizes(problem.d)
        starts = first_orders(settings, problem.covariance, rng)
        return begin(starts, int(rng.integers(2**31)))

    def step(self, problem: DAGLearning, state: TopoState) -> TopoState:
        """Score the next first order, or make one round of exchanges."""
        model = self._model(problem, state.seed)
        advance(model, state, self._settings(problem))
        return state

    def answer(self, problem: DAGLearning, state: TopoState) -> Graph:
        """The graph of the best order so far; before any, one without edges."""
        return _graph(state.leader)

    def done(self, problem: DAGLearning, state: TopoState) -> str | None:
        """When no exchange improves the last first order's search."""
        return state.why


@dataclass(frozen=True)
class Topo(_Search):
    """TOPO in a run, for least squares and logistic regressions.

    A step scores a first order, or makes one round of exchanges; one evaluation is one order whose
    score is looked at. The settings are those of `SearchSettings`.

    References:
        Deng, Bello, Aragam, Ravikumar, ICML 2023, arXiv 2305.17277.
    """

    solves: ClassVar[type[Problem]] = DAGLearning
    name: ClassVar[str] = "topo"


@dataclass(frozen=True)
class TopoNetworks(TrainingSettings, _Search):
    """TOPO in a run, for networks: the first exchange that lowers the score is made.

    The settings are those of `SearchSettings` and `TrainingSettings`; the networks' width is the
    problem's.

    References:
        Deng, Bello, Aragam, Ravikumar, ICML 2023, arXiv 2305.17277.
    """

    solves: ClassVar[type[Problem]] = NeuralDAGLearning
    name: ClassVar[str] = "topo-networks"
    neural: ClassVar[bool] = True

    n_starts: int = 0

    def __post_init__(self) -> None:
        TrainingSettings.__post_init__(self)
        SearchSettings.__post_init__(self)
        if self.xi > 0.0:
            raise ArgumentError(f"xi={self.xi:g}: networks have no such gradient, expected 0")


def _graph(fit: Fit) -> Graph:
    """A fit as an answer; before any, the graph without edges."""
    nothing = np.zeros(0)
    return Graph(
        fit.weights.copy(),
        fit.order.copy(),
        fit.parameters.get("hidden", nothing).copy(),
        fit.parameters.get("outer", nothing).copy(),
    )


@dataclass(slots=True)
class OrderState:
    """Where a method of one step stands.

    Attributes:
        fit: What it found; of infinite score before its step.
        why: Why it is over; None before its step.
    """

    fit: Fit
    why: str | None = None


@dataclass(frozen=True)
class _OneOrder(Method):
    """The regressions along one order: one step, one evaluation."""

    solves: ClassVar[type[Problem]] = DAGLearning

    def _settings(self, problem: DAGLearning) -> TopoSettings:
        """The problem's score."""
        return problem.score_settings()

    def order(self, problem: DAGLearning) -> Int[np.ndarray, " d"]:
        """The order."""
        raise TypeError(f"{type(self).__name__} does not define order(problem)")

    def init(self, problem: DAGLearning, rng: np.random.Generator) -> OrderState:
        """Nothing yet."""
        return OrderState(Fit.none(problem.d))

    def step(self, problem: DAGLearning, state: OrderState) -> OrderState:
        """All of it."""
        settings = self._settings(problem)
        model = model_of(settings, problem.X, problem.covariance)
        state.fit = model.fit(self.order(problem))
        state.why = "it has one order"
        return state

    def answer(self, problem: DAGLearning, state: OrderState) -> Graph:
        """The order's graph."""
        return _graph(state.fit)

    def done(self, problem: DAGLearning, state: OrderState) -> str | None:
        """After its step."""
        return state.why


@dataclass(frozen=True)
class EqualVariance(_OneOrder):
    """Again and again the variable of least variance given those taken.

    Attributes:
        ridge: Added to the covariance's diagonal, times its mean.

    References:
        Chen, Drton, Wang, Biometrika 106 (2019).
    """

    name: ClassVar[str] = "equal-variance-order"

    ridge: float = SearchSettings.ridge

    def __post_init__(self) -> None:
        real("ridge", self.ridge, least=0.0)

    def _settings(self, problem: DAGLearning) -> TopoSettings:
        """The problem's score with the ridge."""
        return replace(problem.score_settings(), ridge=self.ridge)

    def order(self, problem: DAGLearning) -> Int[np.ndarray, " d"]:
        """By a Cholesky factorisation that takes the least pivot."""
        return equal_variance_order(with_ridge(problem.covariance, self.ridge))


@dataclass(frozen=True)
class SortAndRegress(_OneOrder):
    """Ascending marginal variances.

    References:
        Reisach, Seiler, Weichwald, NeurIPS 2021.
    """

    name: ClassVar[str] = "sort-and-regress"

    def order(self, problem: DAGLearning) -> Int[np.ndarray, " d"]:
        """By the columns' variances."""
        return variance_order(problem.covariance)
