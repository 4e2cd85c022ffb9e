"""How often each edge of a graph must exchange, and the choice that needs the fewest messages.

With Lambda = sum_ij l_ij (e_i - e_j)(e_i - e_j)' of the edges' rates l,

    chi1 = 1 / lambda_min+(Lambda),   chi2 = (1/2) max_ij (e_i - e_j)' Lambda^+ (e_i - e_j)

and DADAO needs chi1 chi2 <= 1/2. Rates of sum 1 that maximise lambda_min+ / max_ij R_ij, R the
effective resistances, make the total rate smallest. Both factors are log-concave in the rates, so
that a supergradient bounds how far any rates are from the best.

References:
    Nabli, Oyallon, "DADAO: Decoupled Accelerated Decentralized Asynchronous Optimization", ICML
    2023, arXiv 2208.00779.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, eigsh, splu

from ...core.checks import floats, one_of
from ...core.errors import ArgumentError, ArgumentTypeError, ShapeError
from ..graph import DENSE, Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

OPTIMAL = 200, 2000
"""Nodes and edges up to which "auto" looks for the best rates."""
MOST = 2000, 20_000_000
"""Nodes, and edges times nodes, up to which the best rates can be looked for: each step computes
the eigenvectors of a dense matrix, and their differences over all edges.
"""
CROWDED = 20
"""Edges a node from which on factors of the Laplacian are no sparser than a dense matrix."""
BLOCK = 256
"""Edges whose resistances are solved for at once."""
STEPS = 600
"""Steps of multiplicative ascent at most."""
PACE = 0.06
"""Exponent of a step; larger ones swing about the best rates and end 1 to 5 % above them."""
SLACK = 1e-9
"""Relative rounding that a required rate may miss."""


class TooSlow(ArgumentError):
    """Rates that are below those that the method needs; it would diverge."""


@dataclass(frozen=True)
class GossipRates:
    """Rates of exchange.

    Attributes:
        rates: (m,) exchanges a unit of time by edge, in the order of `Network.edges`.
        chi1: 1 / lambda_min+ of their Laplacian.
        chi2: Half the largest effective resistance of an edge.
        gap: Relative distance of the total rate from the least one, at most; NaN where no best was
            looked for.
    """

    rates: Float[np.ndarray, " m"]
    chi1: float
    chi2: float
    gap: float = float("nan")

    @property
    def total(self) -> float:
        """Exchanges a unit of time, over all edges."""
        return float(self.rates.sum())


def gossip_rates(graph: Any, rates: Any = "auto") -> GossipRates:
    """Return rates of exchange for a graph that are as small as DADAO can do with.

    Args:
        graph: As `Network.of` reads it.
        rates: "uniform": all edges alike; "optimal": those of the least sum; "auto": "optimal" up
            to 200 nodes and 2000 edges, else "uniform"; or (m,) rates in the order of
            `Network.edges`, which are taken as they are.

    Raises:
        TooSlow: Rates that were given have chi1 chi2 > 1/2.
        Disconnected: The graph has several components.
        ShapeError: Rates that do not fit.
        ArgumentError: An unknown word, a rate that is not positive, or "optimal" for more than
            2,000 nodes or 20 million nodes times edges.

    Example:
        >>> import networkx as nx
        >>> round(gossip_rates(nx.star_graph(7)).total, 6)
        7.0
    """
    network = Network.of(graph)
    if network.m == 0:
        return GossipRates(np.zeros(0), 0.0, 0.0, 0.0)
    if not isinstance(rates, str):
        return _given(network, rates)
    one_of("rates", rates, ("auto", "uniform", "optimal"), note=", or rates by edge")
    small = network.n <= OPTIMAL[0] and network.m <= OPTIMAL[1]
    if rates == "optimal" or (rates == "auto" and small):
        share, gap = optimal_shares(network)
    else:
        share, gap = np.full(network.m, 1.0 / network.m), float("nan")
    return scaled(network, share, gap)


def scaled(
    network: Network, share: Float[np.ndarray, " m"], gap: float = float("nan")
) -> GossipRates:
    """Scale shares so that chi1 chi2 = 1/2: by sqrt(2 chi1 chi2)."""
    chi1, chi2 = chis(network, share)
    factor = (2 * chi1 * chi2) ** 0.5
    return GossipRates(share * factor, chi1 / factor, chi2 / factor, gap)


def _given(network: Network, rates: Any) -> GossipRates:
    """Check rates that a user gave."""
    try:
        found = floats("rates", rates)
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"rates={rates!r:.60}: expected 'auto', 'uniform', 'optimal' or rates by edge"
        ) from None
    if found.shape != (network.m,):
        raise ShapeError(f"rates has shape {found.shape}: expected ({network.m},), one an edge")
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise ArgumentError("rates: expected finite numbers > 0")
    chi1, chi2 = chis(network, found)
    if 2 * chi1 * chi2 > 1 + SLACK:
        raise TooSlow(
            f"rates have chi1 chi2 = {chi1 * chi2:.4g} > 1/2, with which DADAO diverges: expected "
            f"rates at least {(2 * chi1 * chi2) ** 0.5:.4g} times as large"
        )
    return GossipRates(found, chi1, chi2)


def chis(network: Network, rates: Float[np.ndarray, " m"]) -> tuple[float, float]:
    """Return chi1 and chi2 of rates by edge."""
    if network.n <= (DENSE if network.m < CROWDED * network.n else MOST[0]):
        low, R = resistances(network, rates)
        return 1.0 / low, 0.5 * float(R.max())
    solve = grounded(network, rates)
    return 1.0 / _gap(network, rates, solve), 0.5 * _largest_resistance(network, solve)


def resistances(
    network: Network, rates: Float[np.ndarray, " m"]
) -> tuple[float, Float[np.ndarray, " m"]]:
    """Return lambda_min+ of the Laplacian, and the effective resistance of every edge."""
    values, vectors = linalg.eigh(network.laplacian(rates).toarray())
    found = np.empty(network.m)
    for first in range(0, network.m, BLOCK):  # a row an edge, of as many numbers as nodes
        i, j = network.edges[first : first + BLOCK].T
        apart = (vectors[i, 1:] - vectors[j, 1:]) ** 2 / values[1:]
        found[first : first + BLOCK] = apart.sum(axis=1)
    return float(values[1]), found


def grounded(network: Network, rates: Float[np.ndarray, " m"]) -> Any:
    """Return the sparse factors of the Laplacian without its first row and column."""
    return splu(network.laplacian(rates).tocsc()[1:, 1:], permc_spec="MMD_AT_PLUS_A")


def _gap(network: Network, rates: Float[np.ndarray, " m"], solve: Any) -> float:
    """Return lambda_min+ of a large Laplacian by Lanczos iteration on its inverse."""
    n = network.n

    def inverse(b: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        right = b.ravel() - b.mean()
        x = np.concatenate([[0.0], solve.solve(right[1:])])
        return x - x.mean()

    start = np.cos(np.arange(n) + 0.5)
    found = eigsh(LinearOperator((n, n), matvec=inverse), 1, v0=start, return_eigenvectors=False)
    return 1.0 / float(found[0])


def _largest_resistance(network: Network, solve: Any) -> float:
    """Return the largest effective resistance of an edge, a block of edges at a time."""
    worst = 0.0
    for first in range(0, network.m, BLOCK):
        ends = network.edges[first : first + BLOCK]
        columns = np.arange(len(ends))
        incidence = np.zeros((network.n, len(ends)))
        incidence[ends[:, 0], columns], incidence[ends[:, 1], columns] = 1.0, -1.0
        found = np.vstack([np.zeros(len(ends)), solve.solve(incidence[1:])])
        worst = max(worst, float((found[ends[:, 0], columns] - found[ends[:, 1], columns]).max()))
    return worst


def optimal_shares(
    network: Network, steps: int = STEPS, enough: float = 2e-3
) -> tuple[Float[np.ndarray, " m"], float]:
    """Return shares of sum 1 of the least total rate, by multiplicative ascent.

    With the gradient G of log lambda_min+ - log max_e R_e, smoothed: p <- p (G / p'G)^0.06. The
    smoothing falls over the steps.

    Args:
        network: Whose edges get shares.
        steps: At most.
        enough: Relative distance of the total rate from the least at which it ends.

    Returns:
        The best shares of all steps, and how far their total is from the least, at most.

    Raises:
        ArgumentError: The graph is larger than MOST.
    """
    if network.n > MOST[0] or network.n * network.m > MOST[1]:
        raise ArgumentError(
            f"rates='optimal': the graph has {network.n} nodes and {network.m} edges, expected at "
            f"most {MOST[0]} nodes and {MOST[1]:.0e} nodes times edges; 'uniform' has no limit"
        )
    i, j = network.edges.T
    p = np.full(network.m, 1.0 / network.m)
    best, rate, least = p, np.inf, 0.0
    for k in range(steps):
        values, vectors = linalg.eigh(network.laplacian(p).toarray(), check_finite=False)
        values, vectors = values[1:], vectors[:, 1:]
        inverse = (vectors / values) @ vectors.T
        diagonal = np.diagonal(inverse)
        R = diagonal[i] + diagonal[j] - 2 * inverse[i, j]
        now = (R.max() / values[0]) ** 0.5
        if now < rate:
            best, rate = p, now
        temperature = 0.002 + 0.3 / (1 + k / 30)
        soft = np.exp(-(values / values[0] - 1) / temperature)
        soft /= soft.sum()
        kept = soft > 1e-12
        moved = vectors[i][:, kept] - vectors[j][:, kept]
        G = moved**2 @ (soft[kept] / values[kept])
        hard = np.exp((R / R.max() - 1) / temperature)
        hard /= hard.sum()
        # sum_e w_e (b_k' Lambda^+ b_e)^2 / R_e = b_k' Lambda^+ W Lambda^+ b_k
        spread = inverse @ (network.laplacian(hard / R) @ inverse)
        diagonal = np.diagonal(spread)
        G = G + diagonal[i] + diagonal[j] - 2 * spread[i, j]
        least = max(least, _bound(values, R, soft, hard, float(G.max())))
        if rate <= (1 + enough) * least:
            break
        p = p * (G / (p @ G)) ** PACE
        p /= p.sum()
    return best, rate / least - 1


def _bound(
    values: Float[np.ndarray, " k"],
    R: Float[np.ndarray, " m"],
    soft: Float[np.ndarray, " k"],
    hard: Float[np.ndarray, " m"],
    largest: float,
) -> float:
    """Return a total rate that no shares q of sum 1 are below.

    lambda_min+(q) <= sum_k soft_k (v_k' Lambda(q) v_k), and 1 / R_e(q) <= f' Lambda(q) f with the
    flow f of e at p. In the logarithm, with the weights of G, both are at most
    sum_k soft_k log lambda_k - sum_e hard_e log R_e + G'q - 2, by Jensen's inequality.
    """
    top = float(soft @ np.log(values) - hard @ np.log(R)) + largest - 2.0
    return float(np.exp(-top / 2))


def common(networks: Sequence[Network], rates: Any = "auto") -> list[GossipRates]:
    """Return rates for each of several graphs, scaled so that the worst chi1 and chi2 will do.

    Args:
        networks: Graphs that hold one after the other.
        rates: As for `gossip_rates`; rates by edge only where there is one graph.

    Raises:
        ArgumentError: Rates by edge for several graphs.
    """
    if len(networks) > 1 and not isinstance(rates, str):
        raise ArgumentError("rates by edge are for one graph: expected 'uniform' or 'optimal'")
    found = [gossip_rates(network, rates) for network in networks]
    if len(found) == 1:
        return found
    chi1, chi2 = max(r.chi1 for r in found), max(r.chi2 for r in found)
    factor = max((2 * chi1 * chi2) ** 0.5, 1.0)
    return [GossipRates(r.rates * factor, r.chi1 / factor, r.chi2 / factor, r.gap) for r in found]
