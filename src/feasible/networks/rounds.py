"""What synchronous methods share in a run: rounds of gradients and exchanges, in step.

All nodes wait for one another: a round takes as long as the slowest node and the latest message.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import eigsh

from ..core.problem import Method, Problem
from .conditions import Conditions
from .graph import DENSE, Network
from .problem import DIVERGED, Copies, NetworkProblem

if TYPE_CHECKING:
    from jaxtyping import Float, Int

WELL = 50.0
"""Condition number up to which EXTRA is taken by default."""

_SPECTRA: WeakKeyDictionary[NetworkProblem, tuple[float, float]] = WeakKeyDictionary()


@dataclass(slots=True)
class RoundState:
    """Where a synchronous run stands.

    Attributes:
        V: (w, n, d) the method's vectors, each a row for each node.
        t: Simulated time.
        k: Rounds so far.
        sent: (m,) directed messages by edge.
        over: Why it cannot go on; empty where it can.
    """

    V: Float[np.ndarray, "w n d"]
    t: float
    k: int
    sent: Int[np.ndarray, " m"]
    over: str = ""


def spectrum(problem: NetworkProblem) -> tuple[float, float]:
    """Return lambda_min+ and lambda_max of the unweighted Laplacian, the worst of all graphs."""
    if problem not in _SPECTRA:
        found = [_spectrum(network) for network in problem.stages]
        _SPECTRA[problem] = min(low for low, _ in found), max(high for _, high in found)
    return _SPECTRA[problem]


def suits_extra(problem: NetworkProblem) -> bool:
    """Return whether rounds of EXTRA at its usual step are safe, and cheaper than DADAO.

    The step 1 / (2 L) needs lambda_min(W) > -1/2 of the Metropolis weights. On the graphs of
    DADAO's claim it sent 1.4 to 6.4 times fewer messages at L / mu = 4, and 2.7 times more at 1000.
    """
    o, network = problem.objectives, problem.network
    alike = len(problem.stages) == 1 and problem.conditions == Conditions()
    if not (alike and o.mu > 0 and o.L / o.mu <= WELL):
        return False
    W = network.metropolis
    if network.n <= DENSE:
        return float(linalg.eigvalsh(W.toarray())[0]) > -0.5
    return 2 * float(W.diagonal().min()) - 1 > -0.5  # Gershgorin's circles


def _spectrum(network: Network) -> tuple[float, float]:
    """Return lambda_min+ and lambda_max of one graph; of a large one a bound on the latter."""
    if network.n == 1:
        return 1.0, 1.0
    if network.n <= DENSE:
        values = linalg.eigvalsh(network.plain.toarray())
        return float(values[1]), float(values[-1])
    start = np.cos(np.arange(network.n) + 0.5)
    low = eigsh(network.plain, 2, sigma=-1e-3 / network.n, v0=start, return_eigenvectors=False)
    return float(low.max()), float(network.degrees[network.edges].sum(axis=1).max())


@dataclass(frozen=True)
class Synchronous(Method, ABC):
    """A method whose nodes act in rounds. A step is a round."""

    solves: ClassVar[type[Problem]] = NetworkProblem
    vectors: ClassVar[int] = 1
    """Vectors of d numbers that each node keeps; the first is its copy."""

    def init(self, problem: NetworkProblem, rng: np.random.Generator) -> RoundState:
        """Stand at the start; nothing is charged."""
        n, d = problem.network.n, problem.objectives.d
        sent = np.zeros(problem.network.m, dtype=np.int64)
        state = RoundState(np.zeros((self.vectors, n, d)), 0.0, 0, sent)
        state.V[0] = problem.x0
        return state

    def step(self, problem: NetworkProblem, state: RoundState) -> RoundState:
        """Make a round."""
        with np.errstate(over="ignore", invalid="ignore"):
            self.make(problem, state)
        state.k += 1
        size = float(np.abs(state.V[0]).max())
        if not size < DIVERGED:
            state.over = f"diverged in round {state.k}: the copies have grown to {size:.1e}"
        return state

    @abstractmethod
    def make(self, problem: NetworkProblem, state: RoundState) -> None:
        """Move the state by a round, in place."""

    def talk(
        self, problem: NetworkProblem, state: RoundState, gossips: int = 1, vectors: int = 1
    ) -> Network:
        """Charge a round's exchanges over every edge and its time; return the graph it is on.

        Args:
            problem: The network.
            state: Where the run stands.
            gossips: Exchanges one after the other.
            vectors: Vectors in each message.
        """
        network = problem.network_at(state.t)
        sent = np.full(problem.network.m, 2 * gossips)
        if network is not problem.network:
            n = network.n
            used = np.isin(problem.network.edges @ [n, 1], network.edges @ [n, 1])
            sent = np.where(used, sent, 0)
        problem.send(sent, vectors * problem.objectives.d)
        state.t = problem.round(state.t, gossips)
        state.sent += sent
        return network

    def answer(self, problem: NetworkProblem, state: RoundState) -> Copies:
        """Every node's copy."""
        return Copies(state.V[0].copy(), state.sent.copy())

    def done(self, problem: NetworkProblem, state: RoundState) -> str | None:
        """When it diverges."""
        return state.over or None
