"""Tokens that walk on a graph, a hop a step: the self-repellent walk, and what it is compared with.

Hu, Doshi, Eun, ICLR 2024, arXiv 2401.09665; the walk itself: Doshi, Hu, Eun, ICML 2023, arXiv
2305.05097. From node i the token goes to j with probability

    K_ij[x] = P_ij (x_j / mu_j)^-alpha / sum_k P_ik (x_k / mu_k)^-alpha,
    x_{n+1} = x_n + gamma_{n+1} (delta_{X_{n+1}} - x_n),  gamma_n = (n + 1)^-a,

so that nodes that were visited too often for the target mu are avoided. A step costs the token's
neighbours and no more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import fits, generator, shown, whole
from ...core.errors import ArgumentError
from ..graph import Network
from .chain import Chain, law
from .compiled import onward, repel, rescale, tour
from .settings import WalkSettings

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Bool, Float, Int

_D = WalkSettings()
MOST_HOPS = 1_000_000
"""Hops whose uniform numbers are drawn at once."""


@dataclass(slots=True)
class Trajectory:
    """Where a token is and what it carries: arrays and plain data, so that it can be handed on.

    Attributes:
        rng: Where its draws come from.
        place: The row of its node, and what a walk keeps beside: the row before (-1: none), or the
            length of the way back.
        n: Hops so far.
        w: (n,) the empirical measure x = scale[0] * w.
        r: (n,) the weights (x / mu)^-alpha, up to a factor.
        scale: The factor in front of w, and the least w / mu when r was last computed.
        at: (n,) by node the next edge of a tour; -1: not visited.
        stack: (n,) the way back of a tour.
    """

    rng: np.random.Generator
    place: Int[np.ndarray, " 2"]
    n: int = 0
    w: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    r: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    scale: Float[np.ndarray, " 2"] = field(default_factory=lambda: np.ones(2))
    at: Int[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, np.int64))
    stack: Int[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, np.int64))


class Walk(ABC):
    """A token on a graph. Base of the walks; each says how it goes on.

    Iterating gives labels without end; `sample(n)` gives the next n.

    Attributes:
        chain: The chain underneath.
        weights: (n,) what a node's gradient is multiplied by, so that the mean over visits is that
            under the target: target / stationary law.
        state: Where the token is and what it carries.
    """

    chain: Chain
    weights: Float[np.ndarray, " n"]
    state: Trajectory
    settings: WalkSettings = _D

    @classmethod
    def on(
        cls, chain: Chain, mu: Float[np.ndarray, " n"], settings: WalkSettings, state: Any
    ) -> Self:
        """Return a walk upon a chain that is ready.

        Args:
            chain: The chain underneath.
            mu: (n,) the target.
            settings: Of the walk.
            state: A `Trajectory` with which it goes on, or a generator with which it begins.
        """
        walk = cls.__new__(cls)
        walk.settings = settings
        walk._stand(chain, mu)
        if isinstance(state, Trajectory):
            walk.state = state
        else:
            walk._place(state)
        return walk

    def _begin(self, network: Network, base: Any, target: Any, seed: Any, start: Any) -> None:
        """Put a token on a graph."""
        self._stand(Chain.of(network, base, target), law(target, network))
        self._place(generator("seed", seed), start)

    def _stand(self, chain: Chain, mu: Float[np.ndarray, " n"]) -> None:
        """Take a chain, and weigh visits by the target over its law."""
        self.chain, self.weights = chain, mu / chain.mu

    @abstractmethod
    def changed(self) -> None:
        """Take note that the graph is another one than before, with the same nodes."""

    def _place(self, rng: np.random.Generator, start: Any = None) -> None:
        """Begin a trajectory at a node, or at one that is drawn."""
        row = int(rng.integers(len(self.nodes))) if start is None else _row(self.chain, start)
        self.state = Trajectory(rng, np.array([row, -1], dtype=np.int64))

    def spawn(self, n: int) -> list[Self]:
        """Return n walks like this one, from their beginning, each with a generator of its own.

        Args:
            n: How many.
        """
        found = []
        for rng in self.state.rng.spawn(whole("n", n, least=1)):
            one = copy(self)
            one._place(rng)
            found.append(one)
        return found

    @property
    def nodes(self) -> tuple[Hashable, ...]:
        """Labels by row."""
        return self.chain.nodes

    @property
    def node(self) -> Hashable:
        """Where the token is."""
        return self.chain.nodes[int(self.state.place[0])]

    def step(self) -> Hashable:
        """Hop, and return where to."""
        return self.chain.nodes[int(self.rows(1)[0])]

    def sample(self, n: int) -> np.ndarray:
        """Hop n times, and return the labels of the nodes visited.

        Args:
            n: Hops.
        """
        return _array(self.chain.nodes)[self.rows(whole("n", n, least=0))]

    def __iter__(self) -> Iterator[Hashable]:
        while True:
            yield self.step()

    def rows(self, n: int) -> Int[np.ndarray, " n"]:
        """Hop n times, and return the rows of the nodes visited."""
        out = np.empty(n, dtype=np.int64)
        for start in range(0, n, MOST_HOPS):
            self._go(out[start : start + MOST_HOPS])
        return out

    def visits(self, n: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " used"]]:
        """Hop n times; return the rows visited, and those of them at which a gradient is taken."""
        rows = self.rows(n)
        return rows, rows

    @abstractmethod
    def _go(self, out: Int[np.ndarray, " n"]) -> None:
        """Hop once for each entry of `out`, and write where to."""


class SelfRepellentWalk(Walk):
    """A walk that avoids the nodes that it visited too often.

    Args:
        graph: A networkx graph with any labels, a symmetric adjacency, or a Network.
        target: The law of visits: "uniform", a number above 0 by node, or (n,) where the nodes are
            0 to n - 1; up to a factor. Of the simple chain the target says only how visits are to
            be weighted.
        base: "metropolis", "simple", or (n, n) probabilities that are reversible with respect to
            the target.
        alpha: The repulsion; 0 is the chain underneath.
        a: Exponent of gamma_n, in (0.5, 1]; 1: x is the share of visits.
        trust: Visits that the start of x counts for, in units of the number of nodes.
        seed: A whole number, or a generator.
        start: The first node's label; None: one drawn uniformly.

    Raises:
        ArgumentError: A setting out of range, an unknown start, or what `Chain.of` refuses.

    Example:
        >>> import networkx as nx
        >>> walk = SelfRepellentWalk(nx.karate_club_graph(), alpha=5, a=1.0, seed=0)
        >>> visits = walk.sample(100_000)
        >>> bool(np.abs(walk.x - 1 / 34).sum() < 0.015)
        True

    References:
        Doshi, Hu, Eun, ICML 2023, arXiv 2305.05097.
    """

    def __init__(
        self,
        graph: Any,
        target: Any = "uniform",
        base: Any = _D.base,
        alpha: float = _D.alpha,
        a: float = _D.a,
        trust: float = _D.trust,
        seed: Any = 0,
        start: Any = None,
    ):
        own = base if isinstance(base, str) else _D.base
        self.settings = WalkSettings(alpha=alpha, a=a, trust=trust, base=own)
        self.target, self.base = target, base
        self._begin(Network.of(graph), base, target, seed, start)

    def _place(self, rng: np.random.Generator, start: Any = None) -> None:
        """Begin at a node, with x = mu, which counts for `trust` visits of every node."""
        super()._place(rng, start)
        s, n = self.state, len(self.nodes)
        s.w, s.r = self.chain.mu.copy(), np.ones(n)
        s.n = int(self.settings.trust * n)
        self.changed()

    def changed(self) -> None:
        """Compute the weights anew: the law of the chain may be another one."""
        s = self.state
        rescale(s.w, self.chain.mu, s.scale, float(self.settings.alpha), s.r)

    @property
    def x(self) -> Float[np.ndarray, " n"]:
        """(n,) the empirical measure, by row."""
        found = self.state.w * self.state.scale[0]
        return found / found.sum()

    def kernel(self, x: Any = None) -> Float[np.ndarray, "n n"]:
        """Return K[x], dense: for small graphs.

        Args:
            x: (n,) above 0; None: where the walk stands.
        """
        given = self.x if x is None else np.asarray(x, dtype=float)
        pull = (given / self.chain.mu) ** -float(self.settings.alpha)
        n = len(self.nodes)
        fits("n", n, "dense probabilities of all pairs", 3, n, n)
        found = self.chain.P.toarray() * pull
        return found / found.sum(axis=1, keepdims=True)

    def stationary(self, x: Any = None) -> Float[np.ndarray, " n"]:
        """Return pi[x], the stationary law of K[x].

            pi_i[x] ~ sum_j mu_i P_ij (x_i / mu_i)^-alpha (x_j / mu_j)^-alpha

        Args:
            x: (n,) above 0; None: where the walk stands.
        """
        given = self.x if x is None else np.asarray(x, dtype=float)
        pull = (given / self.chain.mu) ** -float(self.settings.alpha)
        found = self.chain.mu * pull * (self.chain.P @ pull)
        return found / found.sum()

    def rewire(self, graph: Any, start: Any = None) -> None:
        """Go on upon another graph: edges and nodes may have come and gone.

        What is known of a node's visits stays with its label; a node that is new counts as visited
        as its target says.

        Args:
            graph: As at first; `base` must be a name.
            start: Where the token is put if its node is gone.

        Raises:
            ArgumentError: The token's node is gone and no start was given.
        """
        if not isinstance(self.base, str):
            raise ArgumentError(
                "base is a matrix of one graph: expected a name for changing graphs"
            )
        network = Network.of(graph)
        chain = Chain.of(network, self.base, self.target)
        here = self.node
        if here not in network.row and start is None:
            raise ArgumentError(
                f"graph: node {here!r}, where the token is, is gone: expected start= as well"
            )
        known = np.array([self.chain.network.row.get(label, -1) for label in chain.nodes])
        share = self.x / self.chain.mu
        share = np.where(known >= 0, share[known], 1.0) * chain.mu
        self._stand(chain, law(self.target, network))
        s = self.state
        s.place[0] = network.row[here] if here in network.row else _row(chain, start)
        s.w, s.r, s.scale = share / share.sum(), np.ones(len(share)), np.ones(2)
        self.changed()

    def _go(self, out: Int[np.ndarray, " n"]) -> None:
        """Walk by K[x]."""
        s, P = self.state, self.chain.P
        s.place[0] = repel(
            P.indptr,
            P.indices,
            P.data,
            self.chain.mu,
            float(self.settings.alpha),
            float(self.settings.a),
            s.rng.random(len(out)),
            s.w,
            s.r,
            s.scale,
            s.place[0],
            s.n,
            out,
        )
        s.n += len(out)


class NonBacktrackingWalk(Walk):
    """A walk that does not turn back, but where it must; nodes are weighted by their degree.

    Args:
        graph: As of `SelfRepellentWalk`.
        target: The law under which visits are weighted.
        seed: A whole number, or a generator.
        start: The first node's label; None: one drawn uniformly.
    """

    def __init__(self, graph: Any, target: Any = "uniform", seed: Any = 0, start: Any = None):
        self._begin(Network.of(graph), "simple", target, seed, start)

    def changed(self) -> None:
        """Go on: nothing is remembered but the node before."""

    def _go(self, out: Int[np.ndarray, " n"]) -> None:
        """Walk on."""
        s, P = self.state, self.chain.P
        onward(P.indptr, P.indices, P.data, s.rng.random(len(out)), s.place, out)
        s.n += len(out)


class IndependentSampling(Walk):
    """Nodes drawn independently from the target: a token that could jump anywhere.

    Args:
        graph: As of `SelfRepellentWalk`; only its nodes count.
        target: The law.
        seed: A whole number, or a generator.
        start: The first node's label; None: one drawn uniformly.
    """

    def __init__(self, graph: Any, target: Any = "uniform", seed: Any = 0, start: Any = None):
        self._begin(Network.of(graph), "metropolis", target, seed, start)

    def changed(self) -> None:
        """Go on: edges do not count."""

    def _go(self, out: Int[np.ndarray, " n"]) -> None:
        """Draw."""
        s, mu = self.state, self.chain.mu
        out[:] = s.rng.choice(len(mu), len(out), p=mu)
        if len(out):
            s.place[0] = out[-1]
        s.n += len(out)


class DepthFirstTour(Walk):
    """A token that tours the graph depth first, over and over, and uses a node once a tour.

    It remembers which nodes it visited in this tour, and the way back: as much as the empirical
    measure of a self-repellent walk. A tour of n nodes takes 2 n - 1 hops, the first of which is
    at its root. Where the graph changes the tour begins anew.

    Args:
        graph: As of `SelfRepellentWalk`.
        target: The law under which nodes are weighted; a tour visits all alike.
        seed: A whole number, or a generator: of the root.
        start: The root's label; None: one drawn uniformly.
    """

    def __init__(self, graph: Any, target: Any = "uniform", seed: Any = 0, start: Any = None):
        self._begin(Network.of(graph), "simple", target, seed, start)

    def _stand(self, chain: Chain, mu: Float[np.ndarray, " n"]) -> None:
        """Take a chain; a tour visits all nodes alike."""
        self.chain, self.weights = chain, mu * len(mu)

    def _place(self, rng: np.random.Generator, start: Any = None) -> None:
        """Begin at a root."""
        super()._place(rng, start)
        n = len(self.nodes)
        self.state.at, self.state.stack = np.full(n, -1), np.zeros(n, np.int64)

    def rewire(self, graph: Any) -> None:
        """Go on upon another graph with the same nodes: the tour begins anew, where it is.

        Args:
            graph: As at first.
        """
        network = Network.of(graph)
        if network.nodes != self.nodes:
            raise ArgumentError("graph: expected the same nodes as before")
        self.chain = Chain.of(network, "simple")
        self.changed()

    def changed(self) -> None:
        """Begin the tour anew, where the token is."""
        self.state.place[1] = -1

    def visits(self, n: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " used"]]:
        """Hop n times; return the rows visited, and the first visits within their tour."""
        out, fresh = np.empty(n, dtype=np.int64), np.empty(n, dtype=bool)
        self._tour(out, fresh)
        return out, out[fresh]

    def _go(self, out: Int[np.ndarray, " n"]) -> None:
        """Tour on."""
        self._tour(out, np.empty(len(out), dtype=bool))

    def _tour(self, out: Int[np.ndarray, " n"], fresh: Bool[np.ndarray, " n"]) -> None:
        """Hop once for each entry, and write where to and whether a tour was there before."""
        s, P = self.state, self.chain.P
        tour(P.indptr, P.indices, s.at, s.stack, s.place, out, fresh)
        s.n += len(out)


def _array(labels: Any) -> np.ndarray:
    """Labels as an array that can be indexed: of whole numbers or texts, or of objects."""
    if all(type(x) is int for x in labels) or all(type(x) is str for x in labels):
        return np.array(labels)
    found = np.empty(len(labels), dtype=object)
    for k, label in enumerate(labels):
        found[k] = label
    return found


def _row(chain: Chain, label: Any) -> int:
    """Return the row of a label."""
    try:
        return chain.network.row[label]
    except (KeyError, TypeError):
        raise ArgumentError(
            f"start={shown(label)}: expected one of the {chain.network.n} nodes"
        ) from None
