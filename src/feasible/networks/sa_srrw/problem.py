"""TokenProblem: a sum over the nodes of a graph, minimised by a token that walks on it.

minimise  f(theta) = sum_i mu_i F(theta, i)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.budget import Resource, active_meter
from ...core.checks import floats, whole
from ...core.errors import ArgumentError, ArgumentTypeError, BudgetExhausted, NotFinite, ShapeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from ..graph import Network
from .chain import Chain, law
from .losses import NodeLosses

if TYPE_CHECKING:
    from jaxtyping import Float

Resource("hops", "steps of a token's clock, whether it moves or stays")
TOURS = 2
"""A graph that stays for so many tours counts as one that stays."""


@dataclass
class TokenProblem(Problem):
    """Minimise a mean over the nodes of a graph of what each node alone can compute.

        minimise  f(theta) = sum_i mu_i F(theta, i)

    A token carries theta from node to neighbour. It is charged a hop for each step of its clock, a
    gradient where it uses a node's, and a message of 8 bytes a number where it moves. An answer is
    theta, and the last one counts. The judge computes f from all nodes; where theta* is known (it
    was given, or is found by Newton's method for `NodeLosses`), the metric `squared_error` is
    |theta - theta*|^2.

    Attributes:
        graph: A networkx graph with any labels, a symmetric adjacency, or a Network.
        gradient: What the nodes hold: a `NodeLosses`, or a function (theta, label) -> (d,).
        theta0: (d,) the start, or a number where d = 1.
        objective: theta -> f(theta), for the judge; None: from the `NodeLosses`.
        target: mu: "uniform", or a number above 0 by node, up to a factor.
        changed: k -> the graph from hop k * period on, with the same nodes; None: it stays.
        period: Hops between two changes.
        minimiser: (d,) theta*, where it is known beside functions; None: it is not.

    Raises:
        ArgumentError: The graph or the target is refused, or a function comes without an objective.
        ShapeError: theta0 or minimiser does not fit.
    """

    graph: Any
    gradient: NodeLosses | Callable[[Float[np.ndarray, " d"], Hashable], Any]
    theta0: Any
    objective: Callable[[Float[np.ndarray, " d"]], float] | None = None
    target: Any = "uniform"
    changed: Callable[[int], Any] | None = None
    period: int = 1000
    minimiser: Any = None
    name: str = "token-problem"
    _chains: dict[tuple[str, int], Chain] = field(default_factory=dict, init=False, repr=False)

    last: ClassVar[bool] = True  # no token could choose by f, which takes all nodes
    example_budget: ClassVar[str] = "hops=20000"
    objective_title: ClassVar[str] = "mean objective"

    def __post_init__(self) -> None:
        self.network = Network.of(self.graph)
        self.mu = law(self.target, self.network)
        self.period = whole("period", self.period, least=1)
        self.theta0 = np.atleast_1d(floats("theta0", self.theta0)).astype(float)
        if self.theta0.ndim != 1 or not len(self.theta0):
            raise ShapeError(f"theta0 has shape {self.theta0.shape}: expected (d,), d >= 1")
        if not np.isfinite(self.theta0).all():
            raise NotFinite("theta0 has a NaN or an infinity: expected finite numbers")
        if isinstance(self.gradient, NodeLosses):
            self.gradient = self.gradient.on(self.network)
            d = self.gradient.features.shape[1]
            if d != len(self.theta0):
                raise ShapeError(f"theta0 has {len(self.theta0)} entries, and features {d}")
        elif not callable(self.gradient):
            raise ArgumentTypeError(
                f"gradient={self.gradient!r:.60}: expected a NodeLosses or a function"
            )
        elif self.objective is None:
            raise ArgumentError("objective=None: expected theta -> f(theta), by which to judge")
        if self.minimiser is not None:
            if self.losses is not None:
                raise ArgumentError("minimiser is found for NodeLosses: expected None beside them")
            self.minimiser = np.atleast_1d(floats("minimiser", self.minimiser))
            if self.minimiser.shape != self.theta0.shape:
                raise ShapeError(
                    f"minimiser has shape {self.minimiser.shape}: expected {self.theta0.shape}"
                )
            if not np.isfinite(self.minimiser).all():
                raise NotFinite("minimiser has a NaN or an infinity: expected finite numbers")

    @property
    def losses(self) -> NodeLosses | None:
        """What the nodes hold, where that is compiled."""
        return self.gradient if isinstance(self.gradient, NodeLosses) else None

    @property
    def restless(self) -> bool:
        """True if the graph changes within `TOURS` tours of it."""
        return self.changed is not None and self.period < TOURS * (2 * self.network.n - 1)

    @cached_property
    def solution(self) -> Float[np.ndarray, " d"] | None:
        """theta*, where it is known."""
        return self.minimiser if self.losses is None else self.losses.solution(self.mu)

    @property
    def best_known(self) -> float | None:  # type: ignore[override]
        """f(theta*), where it is known."""
        return None if self.solution is None else self.value(self.solution)

    def value(self, theta: Float[np.ndarray, " d"]) -> float:
        """Return f(theta)."""
        if self.losses is not None:
            return self.losses.value(theta, self.mu)
        assert self.objective is not None
        return float(self.objective(theta))

    def chain(self, base: str, hop: int) -> Chain:
        """Return the chain of the graph at a hop.

        Args:
            base: "metropolis" or "simple".
            hop: Hops before it.
        """
        epoch = 0 if self.changed is None else hop // self.period
        key = (base, epoch)
        if key not in self._chains:
            network = self.network
            if self.changed is not None and epoch:
                network = Network.of(self.changed(epoch))
                if network.nodes != self.network.nodes:
                    raise ArgumentError(
                        f"changed({epoch}) has other nodes than the graph: expected the same"
                    )
            while len(self._chains) > 3:
                self._chains.pop(next(iter(self._chains)))
            self._chains[key] = Chain.of(
                network, base, dict(zip(network.nodes, self.mu, strict=True))
            )
        return self._chains[key]

    def grant(self, hops: int) -> int:
        """Charge for so many hops, each with a gradient and a message, as far as they are left.

        Args:
            hops: Wanted.

        Returns:
            The hops that were granted; give back what is not used by `give_back`.

        Raises:
            BudgetExhausted: Not one is left.
        """
        meter = active_meter.get()
        if meter is None:
            return hops
        each = self.each
        left = {name: meter.left(name) // unit for name, unit in each.items()}
        granted = int(min(hops, *left.values()))
        if not granted:
            short = min(left, key=left.__getitem__)
            raise BudgetExhausted(short, meter.limits[short], meter.spent[short], each[short])
        for name, unit in each.items():
            meter.charge(name, unit * granted)
        return granted

    @property
    def each(self) -> dict[str, int]:
        """What a hop costs at most, by resource."""
        return {"hops": 1, "gradients": 1, "messages": 1, "bytes": 8 * len(self.theta0)}

    def give_back(self, gradients: int, messages: int) -> None:
        """Give back the gradients and messages that were granted and not used."""
        meter = active_meter.get()
        if meter is not None:
            meter.refund("gradients", gradients)
            meter.refund("messages", messages)
            meter.refund("bytes", self.each["bytes"] * messages)

    def judge(self, answer: Any) -> Verdict:
        """Compute f from all nodes, and how far theta is from theta*."""
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        theta = np.atleast_1d(floats("answer", answer)).astype(float)
        if theta.shape != self.theta0.shape:
            raise ShapeError(f"answer has shape {theta.shape}: expected {self.theta0.shape}")
        if not np.isfinite(theta).all():
            return Verdict(float("nan"), float("inf"))
        metrics = {}
        if self.solution is not None:
            metrics["squared_error"] = float(((theta - self.solution) ** 2).sum())
        return Verdict(self.value(theta), metrics=metrics)

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        return [
            ("metric", "value"),
            ("mean objective", f"{verdict.objective:.8g}"),
            *((name, f"{value:.6g}") for name, value in verdict.metrics.items()),
        ]
