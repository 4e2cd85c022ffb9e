"""What the engineering problems share: their two published forms, and points by column.

Where a problem has a `variant`, "published" is the test function of Yu, Picard, Ahmed, Fast and
Accurate Bayesian Optimization with Pre-trained Transformers for Constrained Engineering Problems
(arXiv 2404.04495, github.com/rosenyu304/BOEngineeringBenchmark), where the objective is maximised;
here it is minimised. "classic" is the older literature's form where the two differ.

A violation is max(g, 0) of the published g, divided by the limit's scale where one is given:
constraints in psi, lb, in^3 and the like, of the order 1e3 to 1e6, are measured relative to their
limit, so that the tolerance of 1e-6 means the same in every problem. Elsewhere the scale is 1
instead of the limit's own size: what counts as feasible is then what counted where the best known
values come from, and no run measures it from its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import one_of
from ..problem import BlackBox

if TYPE_CHECKING:
    from jaxtyping import Float

    Points = Float[np.ndarray, "n d"]
    Metrics = dict[str, Float[np.ndarray, " n"]]


def by_column(x: Points) -> Float[np.ndarray, "d n"]:
    """The coordinates as contiguous arrays of n, so that one point and a batch take the same path
    through NumPy, to the last bit.
    """
    return np.ascontiguousarray(x.T)


def is_classic(variant: str) -> bool:
    """True for "classic", False for "published"."""
    note = " (the paper's code, or the older literature)"
    return one_of("variant", variant, ("published", "classic"), note=note) == "classic"


def published(
    *args: Any, limits: Mapping[str, str], scales: Mapping[str, float] | None = None, **rest: Any
) -> BlackBox:
    """A problem whose violations are measured in `scales`, and in the metric's own unit where no
    scale is given.
    """
    every = {**dict.fromkeys(limits, 1.0), **(scales or {})}
    return BlackBox(*args, limits=limits, scales=every, **rest)
