"""What the death of a node in a live run does to the answer of the others.

At a point where nothing moves any more, z_i = -grad f_i(x). A gradient leaves z and z~ alone, the
flow leaves (z + 2 z~) / 3, and an exchange the sums of z and of z~ over its two ends. So the sum of
(z + 2 z~) / 3 over the nodes that are left stays what it was at the last exchange with one that
died, and they head for the point where their gradients add up to minus that sum:

    minimise  mean_i f_i(x) + b'x  over them,   b = mean_i (z_i + 2 z~_i) / 3

By strong convexity that is at most |b| / mu away from the minimiser of their objectives alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.csgraph import connected_components

from ..events import EventLog
from ..graph import Network
from .rates import GossipRates, chis

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Survivors:
    """Nodes that are left and still joined by edges.

    Attributes:
        nodes: Their labels.
        bias: (d,) b: they head for the minimiser of mean f_i(x) + b'x over them.
        moved: |b| / mu, how far at most that is from the minimiser of their objectives alone.
        rate: How often the edges that are left exchange, as a share of what DADAO needs for them
            alone; far below 1 the copies diverge. Infinite for one node.
    """

    nodes: tuple[Hashable, ...]
    bias: Float[np.ndarray, " d"]
    moved: float
    rate: float


def survivors(
    network: Network,
    rates: GossipRates,
    S: Float[np.ndarray, "n 6 d"],
    lost: Sequence[int],
    mu: float,
) -> list[Survivors]:
    """Return the nodes that are left, by component of what is left of the graph.

    Args:
        network: The whole graph.
        rates: Exchanges of its edges.
        S: (n, 6, d) states, at any times: what counts does not flow.
        lost: Rows of the nodes that died.
        mu: Strong convexity of every objective.
    """
    there = np.setdiff1d(np.arange(network.n), lost)
    _, part = connected_components(network.adjacency[there][:, there], directed=False)
    return [_of(network, rates, S, there[part == k], mu) for k in range(part.max(initial=-1) + 1)]


def _of(
    network: Network,
    rates: GossipRates,
    S: Float[np.ndarray, "n 6 d"],
    rows: Int[np.ndarray, " k"],
    mu: float,
) -> Survivors:
    """Describe one component."""
    bias = ((S[rows, 4] + 2 * S[rows, 5]) / 3).mean(axis=0)
    kept = np.isin(network.edges, rows).all(axis=1)
    rate = np.inf
    if kept.any():
        labels = tuple(network.nodes[i] for i in rows)
        ends, given = np.searchsorted(rows, network.edges[kept]), rates.rates[kept]
        chi1, chi2 = chis(Network.of_edges(labels, ends, given), given)
        rate = min(rates.chi1 / chi1, 0.5 / (rates.chi1 * chi2))
    moved = float(np.linalg.norm(bias)) / mu
    return Survivors(tuple(network.nodes[i] for i in rows), bias, moved, rate)


def notes(
    log: EventLog, nodes: Sequence[Hashable], lost: Sequence[int], left: Sequence[Survivors]
) -> list[str]:
    """Say which nodes were lost, when, and what that does to the answer, a sentence each.

    Args:
        log: All events.
        nodes: Labels by row.
        lost: Rows of the nodes that died.
        left: The others.
    """
    said = []
    for i in lost:
        its = log.of_node(i)
        until = float(its.t.max(initial=0.0))
        said.append(
            f"node {nodes[i]!r} was lost after time {until:.4g}: {its.gradients} gradients and "
            f"{len(its) - its.gradients} exchanges of it count"
        )
    for group in left:
        first = ", ".join(map(repr, group.nodes[:4])) + " ..." * (len(group.nodes) > 4)
        said.append(
            f"nodes {first} head for the minimiser of the mean of their own objectives plus b'x, "
            f"|b| = {np.linalg.norm(group.bias):.3g}, at most {group.moved:.3g} from that of their "
            "objectives alone"
            + (
                f"; their edges exchange {group.rate:.2f} times as often as they need"
                * (group.rate < 1)
            )
        )
    if len(left) > 1:
        said.append(f"what is left of the graph is in {len(left)} parts, each with its own answer")
    return said
