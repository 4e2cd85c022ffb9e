"""The compiled loops of the linear score: everything of an order comes from one Cholesky factor.

With C the covariance and pi an order, parents first, let L L' = C[pi, pi]. Then L_kk^2 is the
variance that is left of the k-th variable once those before it are regressed out, so

    Q(pi) = 1/2 sum_k L_kk^2,

and the score of every order that two variables' exchange gives costs O(d^4 / 12) for all
d (d - 1) / 2 exchanges together.
"""

from __future__ import annotations

import numpy as np

from ...core.compiled import compiled


def _factor(covariance, order, factor):  # type: ignore[no-untyped-def]
    """Write the Cholesky factor of the covariance in this order; False where it has none."""
    d = len(order)
    for i in range(d):
        for j in range(i + 1):
            left = covariance[order[i], order[j]]
            for k in range(j):
                left -= factor[i, k] * factor[j, k]
            if i == j:
                if not left > 0.0:
                    return False
                factor[i, i] = np.sqrt(left)
            else:
                factor[i, j] = left / factor[j, j]
    return True


factorise = compiled(_factor)


def _exchanges(covariance, order, scores):  # type: ignore[no-untyped-def]
    """Write the score of each exchange: scores[a, b] of the order with positions a < b exchanged.

    For a fixed a the variables after it are eliminated one by one while the a-th stays: S is what
    is left of the covariance. At step k (a < k < b) the conditional covariances of the k-th with
    the b-th, given all before but the a-th, are S[k, :], so that the variance of the k-th with the
    b-th put before it is S_kk - S_kb^2 / S_bb, a sum over k for each b. The last variance is what
    is left of the a-th, given all up to the b-th.
    """
    d = len(order)
    base = np.empty((d, d))
    for i in range(d):
        for j in range(d):
            base[i, j] = covariance[order[i], order[j]]
    rest = np.empty((d, d))
    if not factorise(covariance, order, rest):
        return False
    plain = np.diag(rest) ** 2  # what is left of each variable, given those before it
    before = 0.0  # the sum of these before a
    after = np.zeros(d + 1)  # and from each position on
    for k in range(d - 1, -1, -1):
        after[k] = after[k + 1] + plain[k]
    between = np.empty(d)
    for a in range(d - 1):
        # base is what is left of the covariance given the positions before a
        for i in range(a, d):
            for j in range(a, d):
                rest[i, j] = base[i, j]
        for b in range(a + 1, d):
            between[b] = base[b, b]  # the b-th comes right after those before a
        for k in range(a + 1, d):
            # rest: given those before a and a + 1 .. k - 1, without a
            own = rest[k, k]
            if not own > 0.0:
                return False
            last = rest[a, a] - rest[a, k] * rest[a, k] / own
            scores[a, k] = 0.5 * (before + between[k] + last + after[k + 1])
            for b in range(k + 1, d):
                if not rest[b, b] > 0.0:
                    return False
                between[b] += own - rest[k, b] * rest[k, b] / rest[b, b]
            for i in range(k + 1, d):
                ratio = rest[k, i] / own
                for j in range(i, d):
                    rest[i, j] -= ratio * rest[k, j]
            ratio = rest[a, k] / own
            rest[a, a] -= ratio * rest[a, k]
            for j in range(k + 1, d):
                rest[a, j] -= ratio * rest[k, j]
        before += plain[a]
        for i in range(a + 1, d):
            ratio = base[i, a] / plain[a]
            for j in range(a + 1, d):
                base[i, j] -= ratio * base[a, j]
    return True


exchanges = compiled(_exchanges)


def _reach(weights, order, reach):  # type: ignore[no-untyped-def]
    """Write G = (I - |W|)^{-T} by columns in the order: no subtraction, so no sign is ever wrong.

    G[i, j] sums the products of |W| over all directed walks from j to i.
    """
    d = len(order)
    for start in range(d):
        j = order[start]
        for i in range(d):
            reach[i, j] = 0.0
        reach[j, j] = 1.0
        for k in range(start + 1, d):
            i = order[k]
            total = 0.0
            for m in range(start, k):
                total += abs(weights[order[m], i]) * reach[order[m], j]
            reach[i, j] = total


reachability = compiled(_reach)


def _choose(first, second, scores, start):  # type: ignore[no-untyped-def]
    """Greedy disjoint exchanges: pairs by ascending score, each if no taken segment meets its own.

    Returns the number taken; they are the first of `first` and `second` afterwards.
    """
    rank = np.argsort(scores, kind="mergesort")
    taken_first, taken_second = np.empty_like(first), np.empty_like(second)
    count = 0
    for r in rank:
        if not scores[r] < start:
            break
        free = True
        for t in range(count):
            if first[r] <= taken_second[t] and taken_first[t] <= second[r]:
                free = False
                break
        if free:
            taken_first[count], taken_second[count] = first[r], second[r]
            count += 1
    first[:count], second[:count] = taken_first[:count], taken_second[:count]
    return count


choose = compiled(_choose)


def _equal_variance(covariance, order):  # type: ignore[no-untyped-def]
    """Write the order that takes the variable of least variance given those taken, and so on."""
    d = len(covariance)
    rest = covariance.copy()
    free = np.ones(d, dtype=np.bool_)
    for k in range(d):
        best, least = -1, np.inf
        for i in range(d):
            if free[i] and rest[i, i] < least:
                best, least = i, rest[i, i]
        if best < 0 or not least > 0.0:
            return False
        order[k] = best
        free[best] = False
        for i in range(d):
            if free[i]:
                ratio = rest[i, best] / least
                for j in range(d):
                    if free[j]:
                        rest[i, j] -= ratio * rest[best, j]
    return True


equal_variance = compiled(_equal_variance)
