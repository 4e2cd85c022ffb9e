"""`TopoDAG`: the swap search as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ...core.checks import generator, one_of, real, whole
from ...core.errors import ArgumentError, ShapeError
from .graphs import is_acyclic, matrix, permutation, topological_order, without_cycles
from .pruning import PRUNINGS, by_bic, by_t_test, thresholded
from .search import search
from .settings import TopoSettings
from .topo import checked_covariance, covariance_of, first_orders, model_of, table, with_ridge

if TYPE_CHECKING:
    import networkx as nx
    import plotly.graph_objects as go
    from jaxtyping import Float

REPAIRS = ("drop", "error")
THRESHOLD = {"linear": 0.3, "logistic": 0.3, "neural": 0.5}


class TopoDAG(BaseEstimator):  # type: ignore[misc]
    """A directed acyclic graph from data, by a search over topological orders.

        minimise    Q(W)   over weighted graphs W on d variables
        subject to  W is acyclic

    W[i, j] is the weight of the edge i -> j. Least squares finds the order only where the noises
    have about equal variances in the columns' own units: on standardised columns it is the wrong
    score, and `fit` warns.

    Args:
        model: "linear", "logistic" (columns of zeros and ones) or "neural".
        loss: "l2", or "logl2" (neural only).
        size_small: Pairs of the small set, or "auto".
        size_large: Pairs of the large set, or "auto".
        n_large: How often a large set may be searched.
        start: The first order: "eqvar", "sortnregress" or "random".
        n_starts: Random orders that are searched from besides.
        l1: Weight of ||W||_1; None: 0 for linear, 1e-3 for logistic, 0.01 for neural.
        l2: Weight of half the squared parameters (neural only).
        ridge: Added to the covariance's diagonal, times its mean: for fewer rows than columns.
        xi: Least gradient of a candidate pair.
        hidden: Width of the networks.
        optimizer: "lbfgs" or "adam", of the networks.
        rate: Its rate; None: 1 for lbfgs, 0.01 for adam.
        train_steps: Its steps at most, each time that networks are trained.
        tol: Relative fall of the loss below which training ends.
        prune: Which edges of the order's dense graph stay: "threshold" (|W| >= threshold, the
            field's rule for simulated data), "bic" or "t-test" (linear only).
        threshold: The least |W| of an edge; None: 0.3, or 0.5 for neural.
        alpha: Level of the t tests, over all pairs together.
        random_state: Seed of random first orders and of the networks.

    Attributes:
        weights_: (d, d) weights of the edges that stay.
        dense_weights_: (d, d) of all edges of the order.
        adjacency_: (d, d) of 0 and 1; `adjacency_matrix_` and `causal_matrix` are the same.
        order_: (d,) variables, parents first; `causal_order_` is the same as a list.
        score_: Q of the dense weights.
        history_: Q after each step of the search that won.
        n_swaps_: Exchanges made, of all searches.
        n_features_in_: d.
        feature_names_in_: The columns of a DataFrame.

    Raises:
        ArgumentError: A setting out of range, a constant column, fewer rows than columns without a
            ridge, an order that is no permutation, a graph with cycles in `refine`.
        ShapeError: Fewer than 2 rows or columns.
        NotFinite: NaN or infinities.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> a = rng.standard_normal(500)
        >>> b = 1.2 * a + rng.standard_normal(500)
        >>> TopoDAG().fit(np.stack([b, a], axis=1)).adjacency_
        array([[0, 0],
               [1, 0]])

    References:
        Deng, Bello, Aragam, Ravikumar, "Optimizing NOTEARS Objectives via Topological Swaps", ICML
        2023, arXiv 2305.17277.
    """

    def __init__(
        self,
        model: str = TopoSettings.model,
        loss: str = TopoSettings.loss,
        size_small: int | str = TopoSettings.size_small,
        size_large: int | str = TopoSettings.size_large,
        n_large: int = TopoSettings.n_large,
        start: str = TopoSettings.start,
        n_starts: int = TopoSettings.n_starts,
        l1: float | None = TopoSettings.l1,
        l2: float = TopoSettings.l2,
        ridge: float = TopoSettings.ridge,
        xi: float = TopoSettings.xi,
        hidden: int = TopoSettings.hidden,
        optimizer: str = TopoSettings.optimizer,
        rate: float | None = TopoSettings.rate,
        train_steps: int = TopoSettings.train_steps,
        tol: float = TopoSettings.tol,
        prune: str = "threshold",
        threshold: float | None = None,
        alpha: float = 0.05,
        random_state: Any = 0,
    ) -> None:
        self.model, self.loss, self.start = model, loss, start
        self.size_small, self.size_large, self.n_large = size_small, size_large, n_large
        self.n_starts, self.l1, self.l2, self.ridge, self.xi = n_starts, l1, l2, ridge, xi
        self.hidden, self.optimizer, self.rate = hidden, optimizer, rate
        self.train_steps, self.tol = train_steps, tol
        self.prune, self.threshold, self.alpha = prune, threshold, alpha
        self.random_state = random_state

    def _settings(self) -> TopoSettings:
        """The settings of the search, checked."""
        one_of("prune", self.prune, PRUNINGS)
        if self.threshold is not None:
            real("threshold", self.threshold, least=0.0)
        real("alpha", self.alpha, above=0.0, below=1.0)
        names = TopoSettings.__dataclass_fields__
        settings = TopoSettings(**{name: getattr(self, name) for name in names})
        if self.prune != "threshold" and settings.model != "linear":
            raise ArgumentError(f"prune={self.prune!r} is for model='linear', got {self.model!r}")
        return settings

    def fit(self, X: Any, y: Any = None, order: Any = None) -> TopoDAG:
        """Search for the graph.

        Args:
            X: (n, d) data, an array or a DataFrame.
            y: Not used.
            order: (d,) the only order to search from; None: those that the settings name.
        """
        settings, x = self._settings(), self._read(X)
        return self._search(settings, x, covariance_of(x), len(x), order)

    def fit_covariance(self, covariance: Any, n: int, order: Any = None) -> TopoDAG:
        """Search on a covariance, of n rows, for the linear model without l1.

        Args:
            covariance: (d, d) of centred columns, divided by n.
            n: Rows that it was made of, which pruning asks.
            order: As in `fit`.
        """
        whole("n", n, least=2)
        return self._search(self._settings(), None, checked_covariance(covariance), n, order)

    def refine(self, X: Any, weights: Any, repair: str = "drop") -> TopoDAG:
        """Search on from another method's graph; the score never rises.

        Args:
            X: (n, d) data.
            weights: (d, d) weights or adjacency of its graph, or a networkx DiGraph, whose nodes
                are the columns in their order.
            repair: What to do with cycles: "drop" its smallest edges until it has none, or "error".

        Raises:
            ArgumentError: Cycles, with repair="error".
        """
        one_of("repair", repair, REPAIRS)
        settings, x = self._settings(), self._read(X)
        found = matrix(weights)
        if len(found) != x.shape[1]:
            raise ShapeError(f"weights has shape {found.shape}, X has {x.shape[1]} columns")
        if not is_acyclic(found):
            if repair == "error":
                raise ArgumentError(
                    "weights: the graph has a cycle; repair='drop' drops its smallest edges"
                )
            found = without_cycles(found)
        covariance = covariance_of(x)
        order = topological_order(found, covariance)
        return self._search(settings, x, covariance, len(x), order)

    def _read(self, X: Any) -> Float[np.ndarray, "n d"]:
        """The data, with its names kept."""
        columns = getattr(X, "columns", None)
        x = table(X)
        self.n_features_in_ = x.shape[1]
        if columns is not None and all(isinstance(c, str) for c in columns):
            self.feature_names_in_ = np.asarray(columns, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return x

    def _search(
        self,
        settings: TopoSettings,
        x: Float[np.ndarray, "n d"] | None,
        covariance: Float[np.ndarray, "d d"],
        n: int,
        order: Any,
    ) -> TopoDAG:
        """The search, and what `fit` leaves."""
        d = len(covariance)
        settings.sizes(d)
        variances = covariance.diagonal()
        if settings.model == "linear" and np.allclose(variances, variances[0], rtol=1e-6):
            warnings.warn(
                "the columns have equal variances, as standardised ones have: least squares then "
                "does not tell an edge's direction; fit in the columns' own units",
                stacklevel=3,
            )
        rng = generator("random_state", self.random_state)
        starts = (
            first_orders(settings, covariance, rng)
            if order is None
            else permutation(order, d)[None]
        )
        model = model_of(settings, x, covariance, int(rng.integers(2**31)))
        state = search(model, starts, settings)
        best = state.best
        self.n_features_in_ = d
        self.order_, self.score_, self.dense_weights_ = best.order, best.score, best.weights
        self.parameters_ = best.parameters
        self.history_ = np.array(state.history)
        self.n_swaps_ = state.swaps
        if self.prune == "threshold":
            size = THRESHOLD[settings.model] if self.threshold is None else self.threshold
            self.weights_ = thresholded(best.weights, size)
        elif self.prune == "bic":
            self.weights_ = by_bic(with_ridge(covariance, settings.ridge), best.order, n)
        else:
            self.weights_ = by_t_test(
                with_ridge(covariance, settings.ridge), best.order, n, self.alpha
            )
        self.adjacency_ = (self.weights_ != 0).astype(int)
        return self

    @property
    def adjacency_matrix_(self) -> Any:
        """`adjacency_`, as lingam calls it (there transposed: here W[i, j] is i -> j)."""
        check_is_fitted(self)
        return self.adjacency_

    @property
    def causal_matrix(self) -> Any:
        """`adjacency_`, as gcastle calls it."""
        check_is_fitted(self)
        return self.adjacency_

    @property
    def causal_order_(self) -> list[int]:
        """`order_` as a list."""
        check_is_fitted(self)
        return [int(i) for i in self.order_]

    def _names(self) -> list[Any]:
        """The variables' names, or their numbers."""
        names = getattr(self, "feature_names_in_", None)
        return list(range(self.n_features_in_)) if names is None else list(names)

    def to_networkx(self) -> nx.DiGraph:
        """The graph, with `weight` on its edges and the columns' names."""
        import networkx as nx

        check_is_fitted(self)
        names = self._names()
        graph = nx.DiGraph()
        graph.add_nodes_from(names)
        for i, j in np.argwhere(self.weights_ != 0):
            graph.add_edge(names[i], names[j], weight=float(self.weights_[i, j]))
        return graph

    def plot(self, truth: Any = None) -> go.Figure:
        """The graph as a figure; beside the true one, where that is given."""
        from .figure import graph_figure

        check_is_fitted(self)
        return graph_figure(self.weights_, truth, self._names())
