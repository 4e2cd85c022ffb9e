"""TOPO: search over topological orders by exchanges of two variables.

    minimise    Q(W)   over weighted graphs W on d variables
    subject to  h(W) = -log det(I - |W|) = 0      (W is acyclic)

An order says who may be whose parent; given one, the best W is a regression of each variable on
those before it. A forbidden edge i -> j (i after j) without a walk from j to i could be added
without closing a cycle, and lowers Q to first order where dQ/dW_ij is not 0; so the pairs that are
tried first are those with the least G_ij, where G = (I - |W|)^{-T} is the gradient of h. Their two
variables are exchanged, and of the exchanges that lower Q as many as do not meet are made at once.

Every step lowers Q, so the search ends: at an order that no exchange of its sets improves.

References:
    Deng, Bello, Aragam, Ravikumar, "Optimizing NOTEARS Objectives via Topological Swaps", ICML
    2023, arXiv 2305.17277.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .compiled import choose, reachability
from .settings import TopoSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

GAIN = 1e-12
"""An improvement is Q' < Q - GAIN max(1, |Q|)."""


@dataclass(slots=True)
class Fit:
    """The best graph of an order.

    Attributes:
        order: (d,) variables, parents first.
        score: Q.
        weights: (d, d), W[i, j] the weight of i -> j; 0 unless i comes before j.
        parameters: Networks' parameters by name; empty for the other models.
    """

    order: Int[np.ndarray, " d"]
    score: float
    weights: Float[np.ndarray, "d d"]
    parameters: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def none(cls, d: int) -> Fit:
        """No graph yet: an infinite score."""
        return cls(np.arange(d), np.inf, np.zeros((d, d)))


class Model:
    """A score over graphs, and the best graph of each order."""

    d: int

    def fit(self, order: Int[np.ndarray, " d"]) -> Fit:
        """Return the best graph of an order, from nothing."""
        raise TypeError(f"{type(self).__name__} does not define fit(order)")

    def improve(
        self, fit: Fit, first: Int[np.ndarray, " p"], second: Int[np.ndarray, " p"]
    ) -> tuple[Fit, int] | None:
        """Return a better fit and the number of exchanges made; None where no exchange improves.

        Args:
            fit: Where the search stands.
            first: (p,) the earlier positions of the pairs.
            second: (p,) the later ones.
        """
        raise TypeError(f"{type(self).__name__} does not define improve(fit, first, second)")

    def gradient(self, fit: Fit) -> Float[np.ndarray, "d d"]:
        """Return dQ/dW at a fit."""
        raise TypeError(f"{type(self).__name__} does not define gradient(fit)")


@dataclass(slots=True)
class TopoState:
    """Where the search stands.

    Attributes:
        starts: (s, d) orders that are still to be searched from.
        fit: Where this search stands; of infinite score before its first order was scored.
        best: The best end so far; of infinite score before any.
        large_used: Large sets that this search has used.
        swaps: Exchanges made, of all searches.
        seed: Of the networks' first parameters.
        scores: Q after each step of this search.
        history: `scores` of the search that ended best.
        why: Why it is over; None while it is not.
    """

    starts: Int[np.ndarray, "s d"]
    fit: Fit
    best: Fit
    seed: int = 0
    large_used: int = 0
    swaps: int = 0
    scores: list[float] = field(default_factory=list)
    history: list[float] = field(default_factory=list)
    why: str | None = None

    @property
    def leader(self) -> Fit:
        """The better of where it stands and of the best end."""
        return self.fit if self.fit.score < self.best.score else self.best


def better(score: float, than: float) -> bool:
    """Whether a score is lower by more than rounding."""
    return score < than - GAIN * max(1.0, abs(than))


def disjoint(
    first: Int[np.ndarray, " p"],
    second: Int[np.ndarray, " p"],
    scores: Float[np.ndarray, " p"],
    start: float,
) -> Int[np.ndarray, "k 2"]:
    """Greedily take the exchanges of lowest score whose segments of the order do not meet.

    The score is a sum over positions, so what they gain adds up.
    """
    first, second = first.copy(), second.copy()
    count = choose(first, second, scores, start - GAIN * max(1.0, abs(start)))
    return np.stack([first[:count], second[:count]], axis=1)


def exchanged(order: Int[np.ndarray, " d"], pairs: Int[np.ndarray, "k 2"]) -> Int[np.ndarray, " d"]:
    """Return the order with the two variables of each pair of positions exchanged."""
    found = order.copy()
    for a, b in pairs:
        found[a], found[b] = found[b], found[a]
    return found


@dataclass(frozen=True, slots=True)
class Candidates:
    """The pairs of positions that a step may try.

    Attributes:
        small: (p, 2) positions of the small set, the least G first.
        large: (q, 2) of the large set without the small one.
    """

    small: Int[np.ndarray, "p 2"]
    large: Int[np.ndarray, "q 2"]


def candidates(model: Model, fit: Fit, settings: TopoSettings) -> Candidates:
    """Y_small, and Y_large without it: pairs up to a threshold of G, ties included."""
    d = model.d
    small, large = settings.sizes(d)
    first, second = np.triu_indices(d, 1)
    pairs = np.stack([first, second], axis=1)
    if small == len(pairs) and settings.xi == 0.0:
        return Candidates(pairs, pairs[:0])
    reach = np.zeros((d, d))
    reachability(fit.weights, fit.order, reach)
    later, earlier = fit.order[second], fit.order[first]  # the forbidden edge later -> earlier
    values = reach[later, earlier]
    if settings.xi > 0.0:
        steep = np.abs(model.gradient(fit))[later, earlier] > settings.xi
        values, pairs = values[steep], pairs[steep]
    rank = np.argsort(values, kind="stable")
    values, pairs = values[rank], pairs[rank]
    ends = [
        int(np.searchsorted(values, values[min(size, len(values)) - 1], side="right"))
        if len(values)
        else 0
        for size in (small, large)
    ]
    return Candidates(pairs[: ends[0]], pairs[ends[0] : ends[1]])


def begin(starts: Int[np.ndarray, "s d"], seed: int = 0) -> TopoState:
    """Return the state before anything was scored."""
    d = starts.shape[1]
    return TopoState(starts, Fit.none(d), Fit.none(d), seed)


def advance(model: Model, state: TopoState, settings: TopoSettings) -> None:
    """One step: score the next first order, or make one round of exchanges.

    A search whose score is not finite ends there.
    """
    if not state.scores:
        state.fit = model.fit(state.starts[0])
        state.starts, state.large_used = state.starts[1:], 0
        state.scores = [state.fit.score]
        return
    found = None
    if np.isfinite(state.fit.score):
        sets = candidates(model, state.fit, settings)
        found = model.improve(state.fit, sets.small[:, 0], sets.small[:, 1])
        if found is None and len(sets.large) and state.large_used < settings.n_large:
            found = model.improve(state.fit, sets.large[:, 0], sets.large[:, 1])
            state.large_used += found is not None
    if found is not None:
        state.fit, made = found
        state.swaps += made
        state.scores.append(state.fit.score)
        return
    if state.fit.score < state.best.score:
        state.best, state.history = state.fit, state.scores
    state.fit, state.scores = Fit.none(model.d), []
    if not len(state.starts):
        finite = np.isfinite(state.best.score)
        state.why = (
            "no exchange of two variables lowers the score"
            if finite
            else "no order has a finite score"
        )


def search(
    model: Model,
    starts: Int[np.ndarray, "s d"],
    settings: TopoSettings,
) -> TopoState:
    """Search from each first order, one after the other, and keep the best end."""
    state = begin(starts)
    while state.why is None:
        advance(model, state, settings)
    return state
