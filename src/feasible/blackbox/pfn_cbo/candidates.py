"""The points that a surrogate judges: in the box, and around good ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..space import Known, Space, sample_allowed
from .columns import feasible_rows

if TYPE_CHECKING:
    from jaxtyping import Float

    from .settings import ConstrainedSettings


def merit(f: Float[np.ndarray, " n"], g: Float[np.ndarray, "n m"]) -> np.ndarray:
    """Row numbers from the best: feasible ones by objective, then by their violations, each in
    units of its constraint's spread.
    """
    good = feasible_rows(f, g)
    if not g.shape[1]:
        return np.argsort(np.where(np.isfinite(f), f, np.inf), kind="stable")
    size = np.abs(np.where(np.isfinite(g), g, 0.0)).max(axis=0)
    worse = np.maximum(np.where(np.isfinite(g), g, np.inf), 0.0) / np.where(size > 0, size, 1.0)
    return np.lexsort(
        (np.where(np.isfinite(f), f, np.inf), np.where(good, 0.0, worse.sum(axis=1)), ~good)
    )


def cloud(
    parents: Float[np.ndarray, "k d"], n: int, reach: float, rng: np.random.Generator
) -> Float[np.ndarray, "n d"]:
    """Points around parents: normal steps in some of the coordinates, clipped to the unit cube.

    Args:
        parents: (k, d) in the unit cube.
        n: How many.
        reach: The largest step; they are 0.005 to 1 times as long.
        rng: Of the steps.
    """
    d = parents.shape[1]
    chosen = parents[rng.integers(len(parents), size=n)]
    size = reach * 0.005 ** rng.random((n, 1))
    moved = (rng.random((n, d)) < rng.choice([1.0, 0.5, 2.0 / max(d, 2)], size=(n, 1))) | (
        np.arange(d) == rng.integers(d, size=(n, 1))
    )
    return np.clip(chosen + np.where(moved, size * rng.standard_normal((n, d)), 0.0), 0.0, 1.0)


def candidates(
    method: ConstrainedSettings,
    space: Space,
    known: Known | None,
    rng: np.random.Generator,
    best: np.ndarray,
    taken: np.ndarray,
) -> np.ndarray:
    """Points to be judged: in the box, and around the best ones.

    Args:
        method: The settings.
        space: The box.
        known: Constraints on the inputs alone.
        rng: Of the points.
        best: (k, d) the best points told, in the unit cube.
        taken: (t, d) points that may not come again, in the unit cube.
    """
    if space.menu is not None:
        near = to_box(space, best[:2])
        old = {row.tobytes() for row in to_box(space, taken)}
        x = space.menu.shown(rng, near)
        fresh = np.array([row.tobytes() not in old for row in x], dtype=bool)
        return x[fresh] if fresh.any() else x
    if method.official:
        u = rng.random((method.candidates, space.d))
    else:
        from scipy.stats import qmc

        power = max(math.ceil(math.log2(method.candidates)), 0)
        sobol = qmc.Sobol(
            space.d, scramble=True, rng=np.random.default_rng(int(rng.integers(2**31 - 1)))
        ).random_base2(power)
        u = sobol[: method.candidates]
    if space.tied:
        u = space.unit(space.sample(u))
    x = new_points(space, known, u, taken)
    if method.local and not method.official:
        x = np.concatenate(
            [x, new_points(space, known, cloud(best, method.local, 0.3, rng), taken)]
        )
    return x if len(x) else sample_allowed(space, known, 16, lambda k: rng.random((k, space.d)))


def new_points(
    space: Space, known: Known | None, u: np.ndarray, taken: np.ndarray
) -> Float[np.ndarray, "k d"]:
    """Points of the box at u that are allowed and have not been proposed before."""
    x = to_box(space, u)
    if known is not None and len(x):
        x = x[known(x)]
    if space.step.any() or len(u) < 16:
        old = {row.tobytes() for row in to_box(space, taken)}
        x = x[[row.tobytes() not in old for row in x]] if len(x) else x
    return x


def to_box(space: Space, u: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """The inverse of `space.unit`, rounded to what the box allows (from_unit gives whole numbers
    equal shares instead).
    """
    span = space.high - space.low
    x = space.low + u * span
    for j, v in enumerate(space.variables):
        if v.log:
            x[:, j] = v.low * (v.high / v.low) ** u[:, j]
    return space.snap(x)


__all__ = ["candidates", "cloud", "merit", "new_points", "to_box"]
