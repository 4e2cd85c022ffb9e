"""Compiled steps of tokens on a graph in sparse rows, and of gradient descent along them.

`indptr`, `indices`: the neighbours of node i, itself among them where the chain may stay, are
`indices[indptr[i] : indptr[i + 1]]`. Every step takes one uniform number.
"""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING

import numpy as np

from ...core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    Flat = Float[np.ndarray, " n"]

LEAST = 1e-290
"""A sum of weights below this is computed anew by logarithms."""
SHRUNK = 1e-8
"""The empirical measure is rescaled when the factor in front of it falls below this."""
WHOLE = 64
"""Whole exponents up to this one are taken by multiplication."""


def _power(base: float, exponent: float) -> float:
    """Return base^-exponent, by squaring where the exponent is a small whole number."""
    k = int(exponent)
    if k != exponent or k > WHOLE:
        return exp(-exponent * log(base))
    found, square = 1.0, 1.0 / base
    while k:
        if k & 1:
            found *= square
        square *= square
        k >>= 1
    return found


power = compiled(_power)


def _rescale(w: Flat, mu: Flat, scale: Float[np.ndarray, " 2"], alpha: float, r: Flat) -> None:
    """Put the factor c into w, and the weights r = (x / mu)^-alpha relative to their largest."""
    w *= scale[0]
    scale[0] = 1.0
    scale[1] = (w / mu).min()
    for j in range(len(w)):
        r[j] = power(w[j] / (mu[j] * scale[1]), alpha)


rescale = compiled(_rescale)


def _by_logarithms(
    indices: Int[np.ndarray, " degree"],
    prob: Float[np.ndarray, " degree"],
    w: Flat,
    mu: Flat,
    alpha: float,
    u: float,
) -> int:
    """Choose a neighbour where the weights underflow: by log P_ij - alpha log(x_j / mu_j)."""
    logits = np.empty(len(indices))
    for p in range(len(indices)):
        j = indices[p]
        logits[p] = log(prob[p]) - alpha * log(w[j] / mu[j])
    logits -= logits.max()
    total = np.exp(logits).sum()
    threshold = u * total
    gone = 0.0
    for p in range(len(indices)):
        gone += exp(logits[p])
        if gone > threshold:
            return indices[p]
    return indices[len(indices) - 1]


by_logarithms = compiled(_by_logarithms)


def _repel(
    indptr: Int[np.ndarray, " n+1"],
    indices: Int[np.ndarray, " edges"],
    prob: Float[np.ndarray, " edges"],
    mu: Flat,
    alpha: float,
    decay: float,
    u: Float[np.ndarray, " steps"],
    w: Flat,
    r: Flat,
    scale: Float[np.ndarray, " 2"],
    node: int,
    done: int,
    out: Int[np.ndarray, " steps"],
) -> int:
    """Walk by the kernel K[x], and follow x by its step sizes; return the last node.

    The empirical measure is x = c w with c = scale[0], so that a step changes one entry of w; of
    the weights (x_j / mu_j)^-alpha only ratios count, so that it changes one entry of r.

    Args:
        prob: P_ij, by edge.
        mu: (n,) the target, up to a factor.
        alpha: The repulsion.
        decay: a of gamma_n = (n + 1)^-a.
        u: Uniform numbers, one a step.
        w: Changed.
        r: (n,) changed.
        scale: c, and the least w_j / mu_j when r was last computed; changed.
        node: Where the token is.
        done: Steps before these.
        out: The nodes visited, written.
    """
    for t in range(len(u)):
        low, high = indptr[node], indptr[node + 1]
        total = 0.0
        for p in range(low, high):
            total += prob[p] * r[indices[p]]
        if total > LEAST:
            threshold = u[t] * total
            gone = 0.0
            for p in range(low, high):
                gone += prob[p] * r[indices[p]]
                if gone > threshold:
                    break
            node = indices[p]
        else:
            node = by_logarithms(indices[low:high], prob[low:high], w, mu, alpha, u[t])
        out[t] = node
        n = done + t + 2.0
        gamma = 1.0 / n if decay == 1.0 else exp(-decay * log(n))  # gamma_{n+1} = (n + 2)^-a
        scale[0] *= 1.0 - gamma
        w[node] += gamma / scale[0]
        r[node] = power(w[node] / (mu[node] * scale[1]), alpha)
        if scale[0] < SHRUNK:
            rescale(w, mu, scale, alpha, r)
    return node


repel = compiled(_repel)


def _onward(
    indptr: Int[np.ndarray, " n+1"],
    indices: Int[np.ndarray, " edges"],
    prob: Float[np.ndarray, " edges"],
    u: Float[np.ndarray, " steps"],
    place: Int[np.ndarray, " 2"],
    out: Int[np.ndarray, " steps"],
) -> None:
    """Walk without turning back, but from a node of one neighbour.

    Args:
        prob: Weight of each edge; the next node is drawn by it among those that are not the last.
        u: Uniform numbers, one a step.
        place: The node, and the one before it or -1; changed.
        out: The nodes visited, written.
    """
    node, before = place[0], place[1]
    for t in range(len(u)):
        low, high = indptr[node], indptr[node + 1]
        total = 0.0
        for p in range(low, high):
            if indices[p] != before:
                total += prob[p]
        following = before
        if total > 0.0:
            threshold = u[t] * total
            gone = 0.0
            for p in range(low, high):
                if indices[p] != before:
                    gone += prob[p]
                    following = indices[p]
                    if gone > threshold:
                        break
        node, before = following, node
        out[t] = node
    place[0], place[1] = node, before


onward = compiled(_onward)


def _tour(
    indptr: Int[np.ndarray, " n+1"],
    indices: Int[np.ndarray, " edges"],
    at: Int[np.ndarray, " n"],
    stack: Int[np.ndarray, " n"],
    place: Int[np.ndarray, " 2"],
    out: Int[np.ndarray, " steps"],
    fresh: Bool[np.ndarray, " steps"],
) -> None:
    """Tour the graph depth first, over and over.

    Args:
        at: (n,) by node the next of its edges to look at, or -1 where it was not visited yet;
            changed.
        stack: (n,) the way back; changed.
        place: The node, and the length of the way back; changed. A length of -1 begins a tour.
        out: The nodes visited, written.
        fresh: Whether it is the first visit within its tour, written.
    """
    node, depth = place[0], place[1]
    for t in range(len(out)):
        following, fresh[t] = -1, True
        while depth >= 0 and at[node] < indptr[node + 1]:
            j = indices[at[node]]
            at[node] += 1
            if at[j] < 0:
                following = j
                break
        if following >= 0:
            stack[depth] = node
            depth += 1
            node = following
            at[node] = indptr[node]
        elif depth > 0:
            depth -= 1
            node = stack[depth]
            fresh[t] = False
        else:  # a tour begins where the last one ended: at its root
            at[:] = -1
            at[node] = indptr[node]
            depth = 0
        out[t] = node
    place[0], place[1] = node, depth


tour = compiled(_tour)


SQUARES, LOGISTIC = 0, 1
"""Kinds of losses of a margin."""


def _descend(
    features: Float[np.ndarray, "n d"],
    targets: Flat,
    kind: int,
    ridge: float,
    weights: Flat,
    decay: float,
    rows: Int[np.ndarray, " steps"],
    theta: Float[np.ndarray, " d"],
    done: int,
) -> None:
    """Step along minus the gradient of each node that is visited, weighted, by beta_n.

    Args:
        features: One row a node.
        targets: One a node; -1 or 1 for the logistic loss.
        kind: SQUARES or LOGISTIC.
        ridge: Factor of |theta|^2 / 2.
        weights: (n,) what a node's gradient is multiplied by.
        decay: b of beta_n = (n + 1)^-b.
        rows: The nodes visited.
        theta: Changed.
        done: Steps before these.
    """
    for t in range(len(rows)):
        i = rows[t]
        margin = 0.0
        for k in range(len(theta)):
            margin += features[i, k] * theta[k]
        slope = margin - targets[i]
        if kind == LOGISTIC:
            slope = -targets[i] / (1.0 + exp(min(targets[i] * margin, 700.0)))
        n = done + t + 2.0
        beta = (1.0 / n if decay == 1.0 else exp(-decay * log(n))) * weights[i]
        for k in range(len(theta)):
            theta[k] -= beta * (slope * features[i, k] + ridge * theta[k])


descend = compiled(_descend)
