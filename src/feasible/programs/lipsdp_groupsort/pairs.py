"""Bounds of the differences of a classifier's outputs, a pair of classes each.

The map f_i - f_j has the last weight W_i - W_j, one row. Its constant L_ij is at most sqrt(2) times
that of f, and mostly less, so that it certifies a larger radius:

    no x' with |x - x'|_2 < min_j (f_y(x) - f_j(x)) / L_yj  is given to another class than y.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import floats, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from .activations import Activation
from .bound import LipschitzBound, as_network, lipschitz_bound

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class PairBounds:
    """Certified bounds of f_i - f_j in l2.

    Attributes:
        values: (k, k), symmetric, 0 on the diagonal; infinite where a pair was not asked for.
        bounds: The bound of each pair (i, j) with i < j, and what proves it.
    """

    values: Float[np.ndarray, "k k"]
    bounds: dict[tuple[int, int], LipschitzBound] = field(repr=False)

    def radius(self, outputs: Any) -> float | Float[np.ndarray, " b"]:
        """Return the l2 distance within which the decision for an input cannot change.

        Args:
            outputs: (k,) or (b, k) what the network gave.

        Returns:
            min_j (f_y - f_j) / L_yj for the largest output y; 0 for a tie, and where a pair that
            matters was not asked for.

        Raises:
            ShapeError: Another number of outputs.
            NotFinite: A NaN or an infinity.
        """
        f = floats("outputs", outputs)
        if f.ndim not in (1, 2) or f.shape[-1] != len(self.values):
            raise ShapeError(f"outputs has shape {f.shape}, expected (..., {len(self.values)})")
        if not np.isfinite(f).all():
            raise NotFinite("outputs has a NaN or an infinity")
        rows = np.atleast_2d(f)
        top = rows.argmax(1)
        margins = rows[np.arange(len(rows)), top][:, None] - rows
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = margins / np.maximum(self.values[top], 1e-300)
        reach[np.arange(len(rows)), top] = np.inf
        found = reach.min(1)
        return float(found[0]) if f.ndim == 1 else found


def pair_bounds(
    net_or_weights: Any,
    activation: Activation | None = None,
    *,
    pairs: Iterable[tuple[int, int]] | None = None,
    biases: Sequence[Any] | None = None,
    **settings: Any,
) -> PairBounds:
    """Bound the l2 Lipschitz constant of each difference of two outputs, with a proof.

    Args:
        net_or_weights: As in `lipschitz_bound`.
        activation: As there.
        pairs: Of outputs, (i, j); None: all k (k - 1) / 2.
        biases: As there.
        **settings: Further settings of `lipschitz_bound`; samples is 0 unless given.

    Returns:
        The bounds, and `radius`.

    Raises:
        ArgumentError: A pair of an output with itself, or of an output that is not there, or
            fewer than two outputs, or a norm.
        FeasibleError: As `lipschitz_bound`.

    Example:
        >>> import numpy as np
        >>> found = pair_bounds([np.eye(2), np.eye(2)])
        >>> found.values.round(4).tolist()
        [[0.0, 1.4142], [1.4142, 0.0]]
        >>> round(found.radius([3.0, 1.0]), 4)
        1.4142
    """
    if "norm" in settings:
        raise ArgumentError(f"norm={settings['norm']!r}: the bounds of pairs are in l2")
    net = as_network(net_or_weights, activation, biases)
    k = net.n_out
    if k < 2:
        raise ArgumentError(f"net_or_weights has {k} output, expected two or more")
    bounds: dict[tuple[int, int], LipschitzBound] = {}
    values = np.full((k, k), np.inf)
    np.fill_diagonal(values, 0.0)
    for i, j in _checked(pairs, k):
        one = replace(
            net,
            W_out=net.W_out[i : i + 1] - net.W_out[j : j + 1],
            b_out=net.b_out[i : i + 1] - net.b_out[j : j + 1],
        )
        found = lipschitz_bound(one, **{"samples": 0, **settings})
        bounds[i, j] = found
        values[i, j] = values[j, i] = found.value
    return PairBounds(values, bounds)


def _checked(pairs: Any, k: int) -> list[tuple[int, int]]:
    """Return pairs with the smaller index first, each once."""
    if pairs is None:
        return list(combinations(range(k), 2))
    try:
        given = [tuple(pair) for pair in pairs]
    except TypeError:
        given = [()]
    if not all(len(pair) == 2 for pair in given):
        raise ArgumentTypeError(f"pairs={pairs!r:.60}: expected pairs (i, j) of outputs")
    found = []
    for pair in given:
        i, j = sorted(whole("pairs", index, least=0) for index in pair)
        if i == j or j >= k:
            raise ArgumentError(f"pairs: got {pair}, expected two different outputs below {k}")
        found.append((i, j))
    return list(dict.fromkeys(found))
