"""What a set of vectors of objectives is worth, all to be maximised: plain functions of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.annotations import checked
from ...core.checks import floats
from ...core.errors import NotFinite, ShapeError
from ...core.front import hypervolume as minimised_hypervolume, nondominated, simplex_grid
from .settings import divisions

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def vectors(name: str, given: Any) -> Float[np.ndarray, "k n"]:
    """A table of finite vectors of two objectives or more. Raises ShapeError, NotFinite."""
    points = floats(name, given)
    if points.ndim != 2 or points.shape[1] < 2:
        raise ShapeError(f"{name} has shape {points.shape}, expected (k, n) with n >= 2")
    if not np.isfinite(points).all():
        raise NotFinite(f"{name}: expected finite numbers, got a NaN or an infinity")
    return points


def corner(given: Any, n: int | None = None) -> Float[np.ndarray, " n"]:
    """A reference point of n finite numbers, two or more. Raises ShapeError, NotFinite."""
    point = floats("ref_point", given)
    wanted = "(n,) with n >= 2" if n is None else f"({n},)"
    if point.ndim != 1 or len(point) < 2 or n not in (None, len(point)):
        raise ShapeError(
            f"ref_point has shape {point.shape}, expected {wanted}, one number for each objective"
        )
    if not np.isfinite(point).all():
        raise NotFinite(f"ref_point={point.tolist()}: expected finite numbers")
    return point


def simplex(n: int, delta: float) -> Float[np.ndarray, "w n"]:
    """(w, n) all weights whose entries are multiples of delta and sum to 1, in lexical order.

    Args:
        n: Objectives.
        delta: 1 over a whole number.

    Raises:
        ArgumentError: It is none.

    Example:
        >>> simplex(2, 0.5).tolist()
        [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    """
    return simplex_grid(n, divisions("delta", delta))


@checked
def pareto_filter(points: Any, ref_point: Any = None) -> Int[np.ndarray, " k"]:
    """Rows that no other row dominates, of equal rows the first, in their order.

    Args:
        points: (k, n) to be maximised.
        ref_point: (n,) rows that are below it anywhere are left out; None: none are.

    Raises:
        ShapeError: The shapes do not fit.
        NotFinite: A NaN or an infinity.

    Example:
        >>> pareto_filter(((1.0, 2.0), (2.0, 1.0), (1.0, 1.0))).tolist()
        [0, 1]
    """
    table = vectors("points", points)
    good = np.arange(len(table))
    if ref_point is not None:
        good = good[(table >= corner(ref_point, table.shape[1])).all(axis=1)]
    kept: Int[np.ndarray, " k"] = good[nondominated(-table[good])] if len(good) else good
    return kept


@checked
def hypervolume(points: Any, ref_point: Any) -> float:
    """The volume of what the rows dominate above the reference point.

    Args:
        points: (k, n) to be maximised.
        ref_point: (n,) below all that is worth having.

    Raises:
        ShapeError: The shapes do not fit.
        NotFinite: A NaN or an infinity.

    Example:
        >>> hypervolume(((1.0, 2.0), (2.0, 1.0)), (0.0, 0.0))
        3.0
    """
    table = vectors("points", points)
    return minimised_hypervolume(-table, -corner(ref_point, table.shape[1]))


@checked
def expected_utility(points: Any, delta: float = 0.1) -> float:
    """The mean, over weights of the simplex, of the best weighted sum that the rows offer.

    Args:
        points: (k, n) to be maximised, at least one row.
        delta: Distance of neighbouring weights.

    Raises:
        ShapeError: No rows, or no table.
        NotFinite: A NaN or an infinity.
        ArgumentError: delta is not 1 over a whole number.

    Example:
        >>> round(expected_utility(((1.0, 0.0), (0.0, 1.0)), delta=0.5), 4)
        0.8333
    """
    table = vectors("points", points)
    if not len(table):
        raise ShapeError("points has no rows, expected one at least")
    return float((simplex(table.shape[1], delta) @ table.T).max(axis=1).mean())


@checked
def sparsity(points: Any) -> float:
    """The mean square gap between neighbours, summed over the objectives; less is denser.

        1 / (k - 1) sum over j, i of (p_(i+1),j - p_(i),j)^2,  sorted for each objective j

    Args:
        points: (k, n); of fewer than two rows it is 0.

    Raises:
        ShapeError: No table.
        NotFinite: A NaN or an infinity.

    Example:
        >>> sparsity(((0.0, 2.0), (1.0, 1.0), (2.0, 0.0)))
        2.0
    """
    table = vectors("points", points)
    if len(table) < 2:
        return 0.0
    return float(np.square(np.diff(np.sort(table, axis=0), axis=0)).sum() / (len(table) - 1))


@checked
def crowding_distance(points: Any) -> Float[np.ndarray, " k"]:
    """(k,) how far apart the neighbours of each row are; the ends of an objective are infinitely.

        sum over j of (next_j - previous_j) / (max_j - min_j)

    An objective that is the same everywhere adds nothing.

    Args:
        points: (k, n).

    Raises:
        ShapeError: No table.
        NotFinite: A NaN or an infinity.

    Example:
        >>> crowding_distance(((0.0, 2.0), (1.0, 1.0), (2.0, 0.0))).tolist()
        [inf, 2.0, inf]
    """
    table = vectors("points", points)
    found = np.zeros(len(table))
    for column in table.T:
        order = np.argsort(column, kind="stable")
        ranked = column[order]
        if not len(ranked) or ranked[-1] == ranked[0]:
            continue
        found[order[[0, -1]]] = np.inf
        found[order[1:-1]] += (ranked[2:] - ranked[:-2]) / (ranked[-1] - ranked[0])
    return found
