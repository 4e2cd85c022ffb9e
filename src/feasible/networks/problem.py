"""NetworkProblem: a sum of objectives that stay with the nodes of a network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.budget import Resource, active_meter, spend
from ..core.checks import fits, floats, real, whole
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError, Stalled
from ..core.problem import Problem
from ..core.verdict import Verdict
from .conditions import Conditions
from .graph import Network
from .objectives import LocalObjectives

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Resource("simulated_time", "simulated time, in gradients of a node of speed 1", counted=False)
DIVERGED = 1e60
"""Size of a state at which a run has diverged."""


@dataclass
class Copies:
    """What a method answers: every node's own copy of the unknowns.

    Attributes:
        x: (n, d) a row for each node, at one time.
        sent: (m,) messages that each edge had carried by then, both directions together.
    """

    x: Float[np.ndarray, "n d"]
    sent: Int[np.ndarray, " m"]


@dataclass(eq=False)
class NetworkProblem(Problem):
    """Minimise a sum of objectives, each known to one node of a network.

        minimise  f(x) = (1/n) sum_i f_i(x)

    An answer holds every node's copy x_i. Its objective is the mean squared error (1/n) sum_i
    |x_i - x*|^2 against the minimiser x*, which the problem finds without the network; without
    strong convexity it is the mean of f over the copies. Metrics are the consensus (1/n) sum_i
    |x_i - mean|^2, the squared error of the mean copy, and the excess of f there. The residual is
    the length of the gradient of f at the mean copy. A method is charged for each gradient of a
    node, each directed message, its bytes, and the simulated time that passed.

    Attributes:
        graph: A networkx.Graph with any labels, a symmetric adjacency, a Network; or a sequence of
            these over the same nodes, each of which holds for `hold` units of time, over and over.
        objectives: What the nodes know, a row for each node of `network.nodes`.
        x0: (d,) where all nodes start; None: zeros.
        hold: Units of time that each of several graphs lasts.
        number_bytes: Bytes of a number in a message.
        header_bytes: Bytes of a message beside its numbers.
        edge_costs: Cost of a directed message, in the user's unit: a number, or by edge (1 where
            one is not named); None: nothing is charged as cost.
        conditions: Speeds, delays, absences and losses of the simulated network.

    Raises:
        Disconnected: A graph has several components; their sizes are named.
        ShapeError: The objectives are for another number of nodes, or x0 does not fit.
        ArgumentError: Graphs over different nodes, or more numbers than this memory holds.
    """

    graph: Any
    objectives: LocalObjectives
    x0: Any = None
    hold: float = 1.0
    number_bytes: int = 8
    header_bytes: int = 0
    edge_costs: float | Mapping[tuple[Hashable, Hashable], float] | None = None
    conditions: Conditions = field(default_factory=Conditions)
    name: str = "network"

    best_known: float | None = 0.0
    example_budget: ClassVar[str] = "messages=4000"
    trail_growth: float = 1.05
    objective_title: ClassVar[str] = "mean squared error"
    answers: ClassVar[tuple[type, ...]] = (Copies,)

    def __post_init__(self) -> None:
        if not isinstance(self.objectives, LocalObjectives):
            raise ArgumentTypeError(
                f"objectives={self.objectives!r:.60}: expected LeastSquares, Logistic, Quadratics "
                "or Callables"
            )
        if not isinstance(self.conditions, Conditions):
            raise ArgumentTypeError(f"conditions={self.conditions!r:.60}: expected Conditions")
        several = isinstance(self.graph, (list, tuple))
        self.stages = stages(self.graph if several else [self.graph])
        self.network = self.stages[0] if len(self.stages) == 1 else union(self.stages)
        n, d = self.network.n, self.objectives.d
        if self.objectives.n != n:
            raise ShapeError(f"objectives are for {self.objectives.n} nodes, the graph has {n}")
        fits("d", d, f"7 vectors of each of {n} nodes", 7, n, d)
        self.x0 = np.zeros(d) if self.x0 is None else floats("x0", self.x0).copy()
        if self.x0.shape != (d,):
            raise ShapeError(f"x0 has shape {self.x0.shape}: expected ({d},)")
        if not np.isfinite(self.x0).all():
            raise NotFinite("x0 has a NaN or an infinity: expected finite numbers")
        self.hold = real("hold", self.hold, above=0)
        self.number_bytes = whole("number_bytes", self.number_bytes, least=1)
        self.header_bytes = whole("header_bytes", self.header_bytes, least=0)
        if not self.objectives.mu > 0:
            self.best_known = None
            if not self.objectives.valued:
                raise ArgumentError("objectives have neither mu > 0 nor values to be judged by")
        self.costs = self._costs()
        self.slowest = float(1 / self.conditions.speeds(self.network).min())
        self.latest = float(self.conditions.delays(self.network).max(initial=0.0))
        self.conditions.absences(self.network)  # raises where one names no node

    def _costs(self) -> Float[np.ndarray, " m"] | None:
        """Cost of a message by edge."""
        if self.edge_costs is None:
            return None
        if not isinstance(self.edge_costs, Mapping):
            return np.full(self.network.m, real("edge_costs", self.edge_costs, least=0))
        found = np.ones(self.network.m)
        for ends, cost in self.edge_costs.items():
            found[self.network.number(ends, "edge_costs")] = real("edge_costs", cost, least=0)
        return found

    # -- what a method may use ---------------------------------------------------------------------

    @property
    def message_bytes(self) -> int:
        """Bytes of a message that carries a vector of d numbers."""
        return self.number_bytes * self.objectives.d + self.header_bytes

    def network_at(self, t: float) -> Network:
        """The graph at a simulated time."""
        return self.stages[int(t // self.hold) % len(self.stages)]

    def gradient(
        self, i: int, x: Float[np.ndarray, " d"], batch: int = 0, seed: int = 0
    ) -> Float[np.ndarray, " d"]:
        """Return node i's gradient at x, charged."""
        spend(gradients=1)
        return self.objectives.gradient(i, x, batch, seed)

    def gradients(self, X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Return each node's gradient at its own row, charged."""
        spend(gradients=self.network.n)
        return self.objectives.gradients(X)

    def conjugates(
        self, Y: Float[np.ndarray, "n d"], start: Float[np.ndarray, "n d"]
    ) -> Float[np.ndarray, "n d"]:
        """Return each node's gradient of its conjugate at its own row, charged.

        Args:
            Y: (n, d).
            start: (n, d) where iterations begin.
        """
        rows = enumerate(zip(Y, start, strict=True))
        return np.stack([self.objectives.conjugate(i, y, x, charge_gradient) for i, (y, x) in rows])

    def send(self, sent: Int[np.ndarray, " m"], numbers: int | None = None) -> None:
        """Charge messages.

        Args:
            sent: (m,) directed messages by edge.
            numbers: That each carries; None: d.
        """
        size = self.message_bytes
        if numbers is not None:
            size = self.number_bytes * numbers + self.header_bytes
        count = int(sent.sum())
        amounts: dict[str, float] = {"messages": count, "bytes": count * size}
        if self.costs is not None:
            amounts["cost"] = float(sent @ self.costs)
        spend_together(amounts)

    def round(self, t: float, gossips: int = 1) -> float:
        """Charge the simulated time of a synchronous round, and return when it ends.

        All nodes wait for the slowest gradient, for the slowest edge of each exchange, and for
        nodes that are away; a lost message is sent again, which takes another delay.

        Args:
            t: When it begins.
            gossips: Exchanges in it.

        Raises:
            Stalled: A node is away for ever.
        """
        begin = self.conditions.back(self.network, t)
        if begin == np.inf:
            raise Stalled(f"rounds wait for all nodes, and one is away for ever from {t:g} on")
        end = begin + self.slowest + gossips * self.latest / (1 - self.conditions.loss)
        spend(simulated_time=end - t)
        return end

    # -- judging -----------------------------------------------------------------------------------

    @cached_property
    def solution(self) -> Float[np.ndarray, " d"]:
        """(d,) the minimiser of f, found without the network."""
        return self.objectives.minimiser()

    def judge(self, answer: Any) -> Verdict:
        """Measure every node's copy."""
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        X = floats("answer.x", getattr(answer, "x", answer))
        n, d = self.network.n, self.objectives.d
        if X.shape != (n, d):
            raise ShapeError(f"answer.x has shape {X.shape}: expected ({n}, {d})")
        if not np.isfinite(X).all():
            return Verdict(float("nan"), float("inf"))
        mean = X.mean(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            slope = self.objectives.gradients(np.tile(mean, (n, 1))).mean(axis=0)
            metrics = {"consensus": float(((X - mean) ** 2).sum() / n)}
            if self.objectives.mu > 0:
                error = float(((X - self.solution) ** 2).sum() / n)
                metrics["error_of_mean"] = float(((mean - self.solution) ** 2).sum())
                if self.objectives.valued:
                    least = self.objectives.mean_value(self.solution)
                    metrics["excess"] = self.objectives.mean_value(mean) - least
            else:
                error = sum(self.objectives.mean_value(x) for x in X) / n
        return Verdict(error, residual=float(np.linalg.norm(slope)), metrics=metrics)

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        return [
            ("metric", "value"),
            (self.objective_title, f"{verdict.objective:.6g}"),
            *((k, f"{v:.6g}") for k, v in verdict.metrics.items()),
        ]

    def listing(self, answer: Any) -> list[str]:
        """The edges that carried most, with their messages and bytes."""
        sent = np.asarray(answer.sent)
        most = np.argsort(-sent, kind="stable")[:10]
        lines = [f"{'edge':24} {'messages':>10} {'bytes':>12}"]
        for k in most[sent[most] > 0]:
            u, v = self.network.edge(int(k))
            label = f"{u!r} - {v!r}"
            lines.append(f"{label:24} {sent[k]:10d} {sent[k] * self.message_bytes:12d}")
        return lines if len(lines) > 1 else []

    def outline(self) -> list[str]:
        """The size of the network and the constants of the objectives."""
        o, net = self.objectives, self.network
        return [
            f"{net.n} nodes, {net.m} edges, {o.d} unknowns, L={o.L:.4g}, mu={o.mu:.4g}",
            f"a message is {self.message_bytes} bytes; an exchange over an edge is two messages",
        ]


def charge_gradient() -> None:
    """Charge a gradient."""
    spend(gradients=1)


def spend_together(amounts: Mapping[str, float]) -> None:
    """Charge several resources, or none of them.

    Raises:
        BudgetExhausted: One has not so much left.
    """
    meter = active_meter.get()
    for resource, amount in amounts.items():
        if meter is not None and amount > meter.left(resource):
            meter.charge(resource, amount)
    spend(**amounts)


def stages(graphs: Sequence[Any]) -> list[Network]:
    """Read one graph, or several over the same nodes.

    Raises:
        Disconnected: One has several components; names which and their sizes.
        ArgumentError: None at all, or one lacks a node of another.
    """
    if not graphs:
        raise ArgumentError("graph=[]: expected one graph at least")
    found = []
    for k, graph in enumerate(graphs):
        try:
            found.append(Network.of(graph))
        except ArgumentError as error:
            raise type(error)(f"graph[{k}]: {error}" if len(graphs) > 1 else str(error)) from None
        if set(found[k].nodes) != set(found[0].nodes):
            lost = set(found[0].nodes) ^ set(found[k].nodes)
            raise ArgumentError(
                f"graph[{k}] has other nodes than graph[0]: {next(iter(lost))!r} is in one of them"
            )
        if found[k].nodes != found[0].nodes:  # labels without an order
            rows = np.array([found[0].row[label] for label in found[k].nodes])
            found[k] = Network.of_edges(found[0].nodes, rows[found[k].edges], found[k].weights)
    return found


def union(networks: Sequence[Network]) -> Network:
    """Return the graph of all edges that any of these has; weights are those seen first."""
    ends = np.concatenate([net.edges for net in networks])
    weights = np.concatenate([net.weights for net in networks])
    edges, first = np.unique(ends, axis=0, return_index=True)
    return Network.of_edges(networks[0].nodes, edges, weights[first])
