"""What methods of this room begin with and learn from: seeds, random allowed points, the user's own
design, and which rows tell nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import qmc

from ..core.errors import NothingAllowed
from ..core.experiments import ERROR
from ..core.warning import warn

if TYPE_CHECKING:
    from jaxtyping import Float

    from ..core.ledger import Observations
    from .problem import BlackBox

BLOCK = 128
"""Points of a Sobol sequence that are drawn at once."""
FORBIDDEN = 50_000
"""Points of a Sobol sequence that may be forbidden one after the other before one is drawn."""


def seed_from(rng: np.random.Generator) -> int:
    """A seed that every library takes (31 bits)."""
    return int(rng.integers(2**31 - 1))


def draw(problem: BlackBox, rng: np.random.Generator, n: int = 1) -> Float[np.ndarray, "n d"]:
    """n random points that the known constraints let through: uniform in the box; where a bound is
    infinite, normal around x0 or 0.

    Raises NothingAllowed where (almost) no random point is allowed.
    """
    space, known = problem.space, problem.known
    centre = np.zeros(space.d) if problem.x0 is None else problem.x0
    lower, upper = np.isfinite(space.low), np.isfinite(space.high)
    kept: list[np.ndarray] = []
    got = tried = 0
    while got < n:
        k = n if known is None else max(256, n)
        u = rng.random((k, space.d))
        x = np.zeros((k, space.d))
        if space.bounded:
            x = space.sample(u)
        else:
            normal = rng.standard_normal((k, space.d))
            for j in range(space.d):
                if lower[j] and upper[j]:
                    x[:, j] = space.low[j] + u[:, j] * (space.high[j] - space.low[j])
                elif lower[j] or upper[j]:
                    x[:, j] = (
                        space.low[j] + np.abs(normal[:, j])
                        if lower[j]
                        else space.high[j] - np.abs(normal[:, j])
                    )
                else:
                    x[:, j] = centre[j] + normal[:, j]
            x = space.snap(x)
        good = x if known is None else x[known(x)]
        kept.append(good)
        got, tried = got + len(good), tried + k
        if tried >= 50_000 and got < 1e-4 * tried:
            raise NothingAllowed(
                f"known: only {got} of {tried} random points are allowed (acceptance rate "
                f"{got / tried:.1e}, expected at "
                "least 1e-4); tighten the bounds around the allowed region"
            )
    return np.concatenate(kept)[:n]


def first_start(problem: BlackBox) -> Float[np.ndarray, " d"] | None:
    """The user's own design x0, where there is one and the known constraints allow it."""
    x0 = problem.x0
    if x0 is None or (problem.known is not None and not problem.known(x0[None])[0]):
        return None
    return x0


def lost(seen: Observations) -> np.ndarray:
    """(n,) True for rows of which nothing can be learned: failed, or with an unknown constraint."""
    return ~np.isfinite(seen.violation)


def sizes_of(seen: Observations) -> Float[np.ndarray, " m"]:
    """(m,) what the violations are measured in: for a limit of 0, what the rows tell by now."""
    m = seen.constraints.shape[1]
    return np.ones(m) if seen.sizes is None else seen.sizes.of(m).copy()


def standard_errors(problem: BlackBox, seen: Observations) -> Float[np.ndarray, " n"]:
    """(n,) the standard error that was told of each objective, in the metric `NAME_se`; NaN where
    none was.
    """
    name = f"{problem.objective}{ERROR}"
    if name not in seen.columns:
        return np.full(len(seen), np.nan)
    return np.asarray(seen.values[:, seen.columns.index(name)])


def sobol_block(problem: BlackBox, seed: int, size: int) -> Float[np.ndarray, "n d"]:
    """The first points, a power of 2, of the scrambled Sobol sequence of a seed, in the box."""
    space = problem.space
    return space.sample(qmc.Sobol(space.d, rng=np.random.default_rng(seed)).random(size))


def next_sobol(
    problem: BlackBox, seed: int, cursor: int
) -> tuple[Float[np.ndarray, " d"] | None, int]:
    """The next point that the known constraints allow of one scrambled Sobol sequence, however
    long: in their order those of `sobol-search` with this seed.

    Args:
        problem: Whose box it fills.
        seed: Of the scrambling.
        cursor: Points of the sequence that were looked at so far.

    Returns:
        The point, None where so many in a row are forbidden, and the points looked at by now.
    """
    since, points = cursor, np.empty((0, problem.space.d))
    while cursor - since <= FORBIDDEN:
        if cursor >= len(points):
            points = sobol_block(problem, seed, max(BLOCK, 1 << cursor.bit_length()))
        x = points[cursor]
        cursor += 1
        if problem.known is None or problem.known(x[None])[0]:
            return x, cursor
    return None, cursor


def sobol_point(problem: BlackBox, seed: int, number: int) -> Float[np.ndarray, " d"]:
    """The point of a scrambled Sobol sequence with a proposal's number, or a random one where that
    is forbidden.
    """
    block, row = divmod(number, BLOCK)
    sequence = qmc.Sobol(problem.space.d, rng=np.random.default_rng([seed, 2**31, block]))
    x = problem.space.sample(sequence.random(BLOCK))[row : row + 1]
    if problem.allowed(x)[0]:
        return np.asarray(x[0])
    return draw(problem, np.random.default_rng([seed, number]))[0]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's and NumPy's global streams seeded, and put back afterwards; without warnings."""
    import torch

    before = np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            np.random.seed(seed)
            yield
    finally:
        np.random.set_state(before)


FAILURES = (RuntimeError, ValueError, ArithmeticError)
"""What a model's fit or its acquisition's maximisation fails with."""


def chosen_or_random(
    problem: BlackBox,
    name: str,
    number: int,
    rng: np.random.Generator,
    taken: Float[np.ndarray, "n d"],
    propose: Callable[[], Float[np.ndarray, " d"]],
    failures: tuple[type[Exception], ...] = FAILURES,
) -> Float[np.ndarray, " d"]:
    """A model's choice, or a random allowed point where the model fails, which is said, or where a
    deterministic problem's point is told or open already.

    Args:
        problem: The problem.
        name: The method's name, for the warning.
        number: The proposal's number, likewise.
        rng: Source of the global streams' seed, then of the random point.
        taken: (n, d) points that were told or are open.
        propose: The model's choice, with torch's and NumPy's global streams seeded.
        failures: What is caught.
    """
    try:
        with seeded(seed_from(rng)):
            x = propose()
    except failures as error:
        warn(
            f"{name}: proposal {number} is a random point, since the model failed: "
            f"{type(error).__name__}: {error}",
            RuntimeWarning,
        )
        return draw(problem, rng)[0]
    if problem.deterministic and (taken == x).all(axis=1).any():
        return draw(problem, rng)[0]
    return x
