"""DADAO as a function: gradients and a graph in, every node's copy and the log of events out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.annotations import checked
from ...core.checks import fits, floats, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError
from ..conditions import Conditions
from ..events import GRADIENT, Clock, EventLog, Schedule, losses
from ..graph import Network
from ..live import kept, live_nodes
from ..objectives import Callables, LocalObjectives
from ..parts import DEADLINE, Work
from ..problem import NetworkProblem
from .engines import live as run_live, play
from .rates import GossipRates, gossip_rates
from .rule import DADAORule
from .settings import DADAOSettings, constants
from .survivors import Survivors, notes, survivors

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_DEFAULT = DADAOSettings()
MOST_TRACED = 1e6
"""Times of a trace."""


@dataclass(frozen=True, eq=False)
class DADAOResult:
    """What DADAO found.

    Attributes:
        nodes: Labels by row.
        x: (n, d) every node's copy at the time t.
        t: Simulated time.
        log: All events.
        rates: Exchanges of the edges.
        network: The graph.
        message_bytes: Bytes of a directed message.
        survivors: Where nodes died in a live run: the others, by component of what is left of the
            graph, and how far the deaths have moved what they head for.
        states: (n, 6, d) x, x~, y, y~, z, z~ of every node at the time t.
        lost: Labels of the nodes that died in a live run; their copies are their last ones.
        times: (k,) times of the trace; empty where none was asked for.
        trace: (k, n, d) every node's copy at these times.
    """

    nodes: tuple[Hashable, ...]
    x: Float[np.ndarray, "n d"]
    t: float
    log: EventLog
    rates: GossipRates
    network: Network
    message_bytes: int
    survivors: list[Survivors] = field(repr=False)
    states: Float[np.ndarray, "n 6 d"] = field(repr=False)
    lost: tuple[Hashable, ...] = ()
    times: Float[np.ndarray, " k"] = field(default_factory=lambda: np.zeros(0), repr=False)
    trace: Float[np.ndarray, "k n d"] = field(
        default_factory=lambda: np.zeros((0, 0, 0)), repr=False
    )

    @property
    def by_label(self) -> dict[Hashable, Float[np.ndarray, " d"]]:
        """Every node's copy."""
        return self.network.by_label(self.x)

    @property
    def mean(self) -> Float[np.ndarray, " d"]:
        """(d,) the mean copy, whose error is smaller than the nodes'."""
        return self.x.mean(axis=0)

    @property
    def consensus(self) -> float:
        """Mean squared distance of the copies from their mean."""
        return float(((self.x - self.mean) ** 2).sum() / len(self.x))

    @property
    def notes(self) -> list[str]:
        """How many exchanges were lost; which nodes, when, and what that does to the answer."""
        gone = [self.network.row[label] for label in self.lost]
        said = losses(self.log.lost, self.log.messages)
        return said + notes(self.log, self.nodes, gone, self.survivors)

    @property
    def n_gradients(self) -> int:
        """Gradients taken."""
        return self.log.gradients

    @property
    def n_messages(self) -> int:
        """Directed messages sent: two an exchange."""
        return self.log.messages

    @property
    def sent(self) -> dict[tuple[Hashable, Hashable], tuple[int, int]]:
        """Directed messages and bytes by edge."""
        counts: Int[np.ndarray, " m"] = self.log.sent(self.network.m)
        return {
            self.network.edge(k): (count, count * self.message_bytes)
            for k, count in enumerate(counts.tolist())
        }


@checked
def dadao(
    local_grads: Any,
    graph: Any,
    L: float | None = _DEFAULT.L,
    mu: float | None = _DEFAULT.mu,
    x0: Any = None,
    t_max: float = 100.0,
    rates: Any = _DEFAULT.rates,
    max_messages: int | None = None,
    batch: int = _DEFAULT.batch,
    conditions: Any = None,
    seed: int = 0,
    engine: str = _DEFAULT.engine,
    workers: int = _DEFAULT.workers,
    deadline: float = DEADLINE,
    live: bool = False,
    pace: float = 20.0,
    since: Any = None,
    folder: str | Path | None = None,
    record_every: float | None = None,
) -> DADAOResult:
    """Minimise f(x) = (1/n) sum_i f_i(x) over a network, asynchronously.

    Args:
        local_grads: What the nodes know: LeastSquares, Logistic, Quadratics or Callables; a
            function (label, x) -> (d,) gradient; or a mapping of labels to functions x -> (d,).
        graph: A networkx.Graph, a symmetric adjacency, or a Network.
        L: Lipschitz constant of every gradient; None: the objectives' own.
        mu: Strong convexity of every objective; None: the objectives' own.
        x0: (d,) where all nodes start; None: zeros, for objectives whose d is known.
        t_max: Simulated time, in gradients of a node.
        rates: "auto", "uniform", "optimal", or exchanges a unit of time by edge, in the order of
            `Network.edges`; see `gossip_rates`.
        max_messages: Directed messages at most; None: no limit.
        batch: Rows of a node's data that a gradient draws; 0: all.
        conditions: Conditions of the simulated network; None: all nodes alike, nothing late or
            lost.
        seed: Of all times of events.
        engine: "simulate", "processes" or "ray"; all give the same bits.
        workers: Processes or actors among which the nodes are divided.
        deadline: Seconds after which one that does not answer counts as lost.
        live: Let every node be a process or an actor with clocks of its own; the log is then what
            happened, and the result is that of its replay, which is what the nodes had, bit for
            bit. A node that dies is lost, and the others go on.
        pace: Units of simulated time in a second of a live run.
        since: The EventLog of an earlier live run, which goes on.
        folder: Where the events of a live run are written down as they happen, an empty folder or
            none yet; `recover_log` reads it, also after the run was killed. None: nowhere.
        record_every: Simulated time between the copies in `trace`, which a replay of the log makes;
            None: no trace.

    Raises:
        Disconnected: The graph has several components.
        TooSlow: Rates with which it would diverge.
        ArgumentError: mu <= 0, L < mu, or another value out of range.
        NodeFailed: A node's function raised, or returned no gradient; names the node.
        NodeLost: A process or an actor died, or did not answer; names its nodes.

    Example:
        >>> import networkx as nx
        >>> found = dadao(lambda node, x: x - node, nx.path_graph(3), L=1.0, mu=1.0, x0=[0.0])
        >>> found.x.round(3).tolist()
        [[1.0], [1.0], [1.0]]

    References:
        Nabli, Oyallon, ICML 2023, arXiv 2208.00779.
    """
    DADAOSettings(L=L, mu=mu, batch=batch, engine=engine, workers=workers)
    network = Network.of(graph)
    objectives = as_objectives(local_grads, network, L, mu, x0)
    if conditions is not None and not isinstance(conditions, Conditions):
        raise ArgumentTypeError(f"conditions={conditions!r:.60}: expected Conditions, or None")
    problem = NetworkProblem(network, objectives, x0, conditions=conditions or Conditions())
    t_max = real("t_max", t_max, above=0)
    real("deadline", deadline, above=0)
    found = gossip_rates(network, rates)
    L, mu = L or objectives.L, mu or objectives.mu
    batch = whole("batch", batch, least=0, most=objectives.samples)
    rule = DADAORule(objectives, constants(L, mu, found.chi1), batch)
    schedule = Schedule(problem, [found.rates])
    seed = whole("seed", seed, least=0)
    S, clocks = rule.begin(problem.x0), np.zeros(network.n)
    lost: list[int] = []
    if folder is not None and not live:
        raise ArgumentError(f"folder={str(folder)!r}: only a live run writes its events down")
    if live:
        check_live(problem, max_messages, since)
        past = since or EventLog.empty()
        place = None if folder is None else kept(Path(folder), past)
        rule.play(S, clocks, past)
        begin, pace = float(past.t[-1]) if len(past) else 0.0, real("pace", pace, above=0)
        alive = live_nodes(schedule, S, clocks, begin, t_max, pace, seed + len(past))
        log, lost = run_live(engine, rule, alive, network.nodes, deadline, len(past), place)
        rule.play(S, clocks, log)
        log = EventLog.joined([past, log])
    else:
        log = schedule.until(Clock.begin(seed, network.n), t_max)
        if max_messages is not None:
            whole("max_messages", max_messages, least=0)
            sent = 2 * np.cumsum(log.kind != GRADIENT)
            log = log[: int(np.searchsorted(sent, max_messages, side="right"))]
            t_max = float(log.t[-1]) if len(log) else t_max
        play(engine, Work(rule, S, clocks, log, network.nodes, workers, deadline))
    t_max = max(t_max, float(clocks.max()))
    for i in range(network.n):
        rule.advance(i, S, clocks, t_max)
    gone = tuple(network.nodes[i] for i in lost)
    size, x = problem.message_bytes, rule.answer(S)
    times, trace = np.zeros(0), np.zeros((0, *x.shape))
    if record_every is not None:
        every = real("record_every", record_every, above=0, note=", or None")
        if not t_max / every <= MOST_TRACED:
            raise ArgumentError(
                f"record_every={every:g}: that is {t_max / every:.0e} times until {t_max:g}, "
                f"expected at most {MOST_TRACED:.0e}"
            )
        times = np.arange(0.0, t_max + every / 2, every)
        fits("record_every", every, "the copies in the trace", len(times), *x.shape)
        trace = traced(rule, problem.x0, log, times)
    left = survivors(network, found, S, lost, mu) if lost else []
    given = network.nodes, x, t_max, log, found, network, size, left, S, gone, times, trace
    return DADAOResult(*given)


def traced(
    rule: DADAORule,
    x0: Float[np.ndarray, " d"],
    log: EventLog,
    times: Float[np.ndarray, " k"],
) -> Float[np.ndarray, "k n d"]:
    """Return every node's copy at some times, by playing a log."""
    S, done = rule.begin(x0), 0
    found, clocks = np.empty((len(times), len(S), len(x0))), np.zeros(len(S))
    for k, t in enumerate(times):
        upto = int(np.searchsorted(log.t, t, side="right"))
        rule.play(S, clocks, log[done:upto])
        found[k] = rule.copies(S, clocks, float(t))
        done = upto
    return found


def check_live(problem: NetworkProblem, max_messages: int | None, since: Any) -> None:
    """Raise ArgumentError where a live run is asked for what only a simulation has."""
    if max_messages is not None:
        raise ArgumentError(f"max_messages={max_messages}: a live run ends by t_max")
    if problem.conditions != Conditions(speed=problem.conditions.speed):
        raise ArgumentError("conditions: a live run has speeds; delays and losses are its own")
    if since is not None and not isinstance(since, EventLog):
        raise ArgumentTypeError(f"since={since!r:.60}: expected an EventLog, or None")


def as_objectives(
    given: Any, network: Network, L: float | None, mu: float | None, x0: Any
) -> LocalObjectives:
    """Read what the nodes know.

    Raises:
        ArgumentTypeError: It is none of what `dadao` takes.
        ArgumentError: L, mu or x0 is missing where functions need it.
    """
    if isinstance(given, LocalObjectives):
        return given
    if isinstance(given, Mapping):
        functions = dict(zip(network.nodes, network.rows_of("local_grads", given), strict=True))
        for label, function in functions.items():
            if not callable(function):
                raise ArgumentTypeError(f"local_grads[{label!r}]: expected a function of x")
        grad = lambda label, x: functions[label](x)  # noqa: E731
    elif callable(given):
        grad = given
    else:
        raise ArgumentTypeError(
            f"local_grads={given!r:.60}: expected LeastSquares, Logistic, Quadratics, Callables, a "
            "function (node, x), or a mapping of nodes to functions of x"
        )
    missing = [name for name, v in (("L", L), ("mu", mu), ("x0", x0)) if v is None]
    if missing or L is None or mu is None:
        raise ArgumentError(f"{missing[0]}=None: functions need L, mu and x0")
    return Callables(grad, network.nodes, max(floats("x0", x0).size, 1), L, mu)
