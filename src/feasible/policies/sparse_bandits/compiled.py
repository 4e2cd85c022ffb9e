"""The loops over candidates, compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

NEAR = 0.7
"""Arms at least so long beside the longest are looked at first; most often no shorter can win."""


def _best_arms(
    features: Float[np.ndarray, "K d"],
    supports: Int[np.ndarray, "S s"],
    net: Float[np.ndarray, "n s"],
    values: Float[np.ndarray, "S n"],
    arms: Int[np.ndarray, "S n"],
) -> None:
    """V(theta) = max_a phi(a) . theta, and its first arm, for each candidate, in place.

    By |phi . theta| <= |phi| |theta| an arm that is short on the support cannot win where a long
    one reaches more than its length.
    """
    K, s = features.shape[0], supports.shape[1]
    part, lengths = np.empty((K, s)), np.empty(K)
    chosen = np.empty(K, np.int64)
    for i in range(supports.shape[0]):
        longest = 0.0
        for k in range(K):
            square = 0.0
            for j in range(s):
                value = features[k, supports[i, j]]
                part[k, j] = value
                square += value * value
            lengths[k] = np.sqrt(square)
            longest = max(longest, lengths[k])
        share = NEAR
        todo = net.shape[0]
        for c in range(net.shape[0]):
            arms[i, c] = -1
        while todo:
            least = share * longest
            if share < 0.1:
                least = -1.0
            count = 0
            for k in range(K):
                if lengths[k] >= least:
                    chosen[count] = k
                    count += 1
            for c in range(net.shape[0]):
                if arms[i, c] >= 0:
                    continue
                best, arm, size = -np.inf, 0, 0.0
                for j in range(s):
                    size += net[c, j] * net[c, j]
                for m in range(count):
                    k = chosen[m]
                    value = 0.0
                    for j in range(s):
                        value += part[k, j] * net[c, j]
                    if value > best:
                        best, arm = value, k
                if least < 0 or best > least * np.sqrt(size):
                    values[i, c], arms[i, c] = best, arm
                    todo -= 1
            share *= 0.5


def _eliminate(
    row: Float[np.ndarray, " d"],
    reply: float,
    tol: float,
    supports: Int[np.ndarray, "S s"],
    net: Float[np.ndarray, "n s"],
    alive: UInt8[np.ndarray, "S n"],
) -> int:
    """Drop every candidate that predicts another reply; return how many are left."""
    left = 0
    for i in range(supports.shape[0]):
        for c in range(net.shape[0]):
            if alive[i, c]:
                value = 0.0
                for j in range(net.shape[1]):
                    value += row[supports[i, j]] * net[c, j]
                if abs(value - reply) > tol:
                    alive[i, c] = 0
                else:
                    left += 1
    return left


def _leading(values: Float[np.ndarray, "S n"], alive: UInt8[np.ndarray, "S n"]) -> tuple[int, int]:
    """The first candidate of the largest value among those that are left."""
    best, at, point = -np.inf, -1, -1
    for i in range(values.shape[0]):
        for c in range(values.shape[1]):
            if alive[i, c] and values[i, c] > best:
                best, at, point = values[i, c], i, c
    return at, point


def _spread(
    features: Float[np.ndarray, "K d"],
    supports: Int[np.ndarray, "S s"],
    net: Float[np.ndarray, "n s"],
    alive: UInt8[np.ndarray, "S n"],
) -> tuple[int, float]:
    """The first arm on which the candidates that are left differ most, and by how much."""
    K = features.shape[0]
    low, high = np.full(K, np.inf), np.full(K, -np.inf)
    for i in range(supports.shape[0]):
        for c in range(net.shape[0]):
            if alive[i, c]:
                for k in range(K):
                    value = 0.0
                    for j in range(net.shape[1]):
                        value += features[k, supports[i, j]] * net[c, j]
                    low[k] = min(low[k], value)
                    high[k] = max(high[k], value)
    arm = int(np.argmax(high - low))
    return arm, high[arm] - low[arm]


def _repeated(
    supports: Int[np.ndarray, "S s"],
    net: Float[np.ndarray, "n s"],
    alive: UInt8[np.ndarray, "S n"],
) -> None:
    """Drop candidates with a zero that stand under another support too: kept is the one whose
    features of weight 0 are the first that are not used.
    """
    s = net.shape[1]
    for c in range(net.shape[0]):
        zeros = 0
        for j in range(s):
            if net[c, j] == 0.0:
                zeros += 1
        if zeros == 0:
            continue
        for i in range(supports.shape[0]):
            expected, used = 0, 0
            for j in range(s):  # supports rise
                while net[c, j] == 0.0 and used < s:
                    # the smallest feature that is not one of those with weight
                    taken = False
                    for m in range(s):
                        if net[c, m] != 0.0 and supports[i, m] == expected:
                            taken = True
                    if taken:
                        expected += 1
                        continue
                    break
                if net[c, j] == 0.0:
                    if supports[i, j] != expected:
                        alive[i, c] = 0
                    expected += 1
                    used += 1


best_arms: Any = compiled(_best_arms)
eliminate: Any = compiled(_eliminate)
leading: Any = compiled(_leading)
spread: Any = compiled(_spread)
repeated: Any = compiled(_repeated)
