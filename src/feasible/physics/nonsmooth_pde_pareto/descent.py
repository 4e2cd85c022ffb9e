"""Common descent for locally Lipschitz objectives (Gebken, Peitz, JOTA 2021).

A point is (eps, delta)-critical where the convex hull of all subgradients of all objectives within
eps of it has an element of length at most delta. The hull is approximated from inside: elements are
added where the least element found so far does not decrease an objective as it promises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import nnls

from ...core.annotations import checked
from ...core.errors import ArgumentError, ArgumentTypeError
from ..errors import NotConverged
from ..reduced import vector
from .oracle import FunctionOracle, Oracle, tried
from .settings import DescentSettings

if TYPE_CHECKING:
    from jaxtyping import Float

    Control = Float[np.ndarray, " d"]
    Values = Float[np.ndarray, " k"]

SUM_WEIGHT = 1e3
"""Weight of the row "the multipliers sum to 1"."""
BISECTIONS = 60
"""Most halvings of an interval."""


@dataclass(frozen=True, slots=True)
class Descent:
    """Where common descent ended.

    Attributes:
        x: (d,).
        F: (k,) the objectives there.
        multipliers: (k,) >= 0, of sum 1: the weight of each objective's subgradients in the least
            element.
        critical_norm: Length of the least element, in the controls' norm.
        eps: The radius that it was found with.
        steps: Descent steps.
        evaluations: Points at which the objectives were computed.
        subgradients: Subgradients that were computed.
        stopped: Why it ended.
    """

    x: Control
    F: Values
    multipliers: Values
    critical_norm: float
    eps: float
    steps: int
    evaluations: int
    subgradients: int
    stopped: str


@dataclass(frozen=True, slots=True)
class Direction:
    """A direction of common descent, or the proof that there is none.

    Attributes:
        v: (d,) minus the least element, in coordinates where the inner product is the plain one.
        norm: Its length.
        multipliers: (k,).
        critical: True where the norm is at most delta.
        rounds: Rounds in which elements were added.
    """

    v: Control
    norm: float
    multipliers: Values
    critical: bool
    rounds: int


def min_norm(G: Float[np.ndarray, "m d"]) -> tuple[Control, Float[np.ndarray, " m"]]:
    """The element of least length of the convex hull of some vectors.

    Args:
        G: (m, d), m >= 1.

    Returns:
        (d,) the element and (m,) its weights, >= 0 and of sum 1.

    Examples:
        >>> min_norm(np.array([[1.0, 0.0], [0.0, 1.0]]))[0].tolist()
        [0.5, 0.5]
    """
    m = len(G)
    if m == 1:
        return G[0].copy(), np.ones(1)
    if m == 2:
        a, b = G
        gap = a - b
        size = float(gap @ gap)
        s = 0.5 if size == 0 else float(np.clip(-(gap @ b) / size, 0.0, 1.0))
        return s * a + (1 - s) * b, np.array([s, 1 - s])
    size = np.sqrt((G**2).sum(axis=1).max())
    if size == 0:
        return np.zeros(G.shape[1]), np.full(m, 1 / m)
    rows, row = (G / size).T, np.full((1, m), SUM_WEIGHT)
    if len(rows) > m:  # the same least squares, in the m dimensions that the vectors span
        rows = np.linalg.qr(rows, mode="r")
    weights, _ = nnls(np.vstack([rows, row]), np.append(np.zeros(len(rows)), SUM_WEIGHT))
    weights /= weights.sum()
    return weights @ G, weights


def direction(
    oracle: Oracle, u: Control, F: Values, eps: float, settings: DescentSettings
) -> Direction:
    """A direction in which all objectives decrease over a length of eps, or none (Algorithm 2 and
    the bisection of Gebken and Peitz, with the loop over all objectives that miss the descent).

    Args:
        oracle: The objectives.
        u: (d,) where.
        F: (k,) their values there.
        eps: Radius, in the controls' norm.
        settings: delta, c, max_rounds.

    Raises:
        NotConverged: The state at u has no gradient.
    """
    elements = [g / oracle.root for g in oracle.gradients(u)]
    owners = list(range(oracle.k))
    for rounds in range(settings.max_rounds + 1):
        least, weights = min_norm(np.array(elements))
        v, norm = -least, float(np.linalg.norm(least))
        alpha = np.bincount(owners, weights, minlength=oracle.k)
        if norm <= settings.delta or rounds == settings.max_rounds:
            return Direction(v, norm, alpha, norm <= settings.delta, rounds)
        reach = tried(oracle, u + eps * v / norm / oracle.root)
        short = (
            np.ones(oracle.k, dtype=bool) if reach is None else reach > F - settings.c * eps * norm
        )
        if not short.any():
            return Direction(v, norm, alpha, False, rounds)
        added = False
        for i in np.flatnonzero(short):
            end = None if reach is None else float(reach[i])
            found = _element(oracle, u, F, int(i), v, norm, eps, end, settings.c)
            if found is not None:
                elements.append(found)
                owners.append(int(i))
                added = True
        if not added:
            return Direction(v, norm, alpha, False, rounds)
    raise AssertionError


def _element(
    oracle: Oracle,
    u: Control,
    F: Values,
    i: int,
    v: Control,
    norm: float,
    eps: float,
    end: float | None,
    c: float,
) -> Control | None:
    """Return a subgradient of objective i on the way along v that v does not decrease, by bisection
    of h(t) = J_i(u + t v) - J_i(u) + c~ t |v|^2; None where none was found.
    """
    a, b = 0.0, eps / norm
    least = -np.inf if end is None else -(end - F[i]) / (eps * norm)
    middle = 0.5 * (c + max(least, 0.0))  # c~ = (c + c_min) / 2, below c
    h_end = np.inf if end is None else end - F[i] + middle * b * norm**2
    for _ in range(BISECTIONS):
        t = 0.5 * (a + b)
        at = u + t * v / oracle.root
        values = tried(oracle, at)
        if values is None:  # a state that fails: look nearer
            b, h_end = t, np.inf
            continue
        try:
            found = oracle.gradient(i, at) / oracle.root
        except NotConverged:
            b, h_end = t, np.inf
            continue
        if v @ found > -c * norm**2:
            return found
        h = values[i] - F[i] + middle * t * norm**2
        if h_end > h:
            a = t
        else:
            b, h_end = t, h
    return None


def step_length(
    oracle: Oracle, u: Control, F: Values, found: Direction, eps: float, c: float
) -> tuple[Control, Values] | None:
    """Armijo's rule for all objectives: the first of max(1, eps) / |v|, halved and halved, down to
    eps / |v|; None where none decreases all of them.
    """
    t, least = max(1.0, eps) / found.norm, eps / found.norm
    while True:
        at = u + t * found.v / oracle.root
        values = tried(oracle, at)
        if values is not None and (values <= F - c * t * found.norm**2).all():
            return at, values
        if t <= least:
            return None
        t = max(0.5 * t, least)


def descend(oracle: Oracle, x0: Control, settings: DescentSettings) -> Descent:
    """Common descent from a point, radius after radius. Raises NotConverged where x0 has no state.

    With one objective it is the descent method of the same authors for one function.
    """
    u, F = x0.copy(), oracle.values(x0)
    steps, stopped = 0, ""
    found = Direction(np.zeros(oracle.d), np.inf, np.full(oracle.k, 1 / oracle.k), False, 0)
    eps = settings.eps[0]
    for eps in settings.eps:
        for _ in range(settings.max_steps):
            found = direction(oracle, u, F, eps, settings)
            if found.critical:
                stopped = f"({eps:g}, {settings.delta:g})-critical"
                break
            moved = step_length(oracle, u, F, found, eps, settings.c)
            if moved is None:
                stopped = f"no step of length {eps:g} decreases all objectives"
                break
            u, F = moved
            steps += 1
        else:
            stopped = f"{settings.max_steps} steps with eps={eps:g}"
    made = oracle.values_made, oracle.gradients_made
    return Descent(u, F, found.multipliers, found.norm, eps, steps, *made, stopped)


def plain_descent(oracle: Oracle, x0: Control, settings: DescentSettings) -> Descent:
    """Common descent with one subgradient of each objective and Armijo's rule: the method for
    smooth objectives, which a kink can stop anywhere. For comparison.
    """
    u, F = x0.copy(), oracle.values(x0)
    steps, stopped, last = 0, "all steps made", settings.eps[-1]
    found = Direction(np.zeros(oracle.d), np.inf, np.full(oracle.k, 1 / oracle.k), False, 0)
    while steps < len(settings.eps) * settings.max_steps:
        least, weights = min_norm(oracle.gradients(u) / oracle.root)
        found = Direction(-least, float(np.linalg.norm(least)), weights, False, 0)
        if found.norm <= settings.delta:
            stopped = f"(0, {settings.delta:g})-critical"
            break
        moved = step_length(oracle, u, F, found, last * min(1.0, found.norm), settings.c)
        if moved is None:
            stopped = "no step decreases all objectives"
            break
        u, F = moved
        steps += 1
    made = oracle.values_made, oracle.gradients_made
    return Descent(u, F, found.multipliers, found.norm, 0.0, steps, *made, stopped)


@checked
def common_descent(
    functions: Sequence[Callable[..., Any]],
    subgradients: Sequence[Callable[..., Any]],
    x0: Any,
    eps: Sequence[float] = DescentSettings.eps,
    delta: float = DescentSettings.delta,
    c: float = DescentSettings.c,
    max_steps: int = DescentSettings.max_steps,
    max_rounds: int = DescentSettings.max_rounds,
    weights: Any = None,
) -> Descent:
    """Go down with several locally Lipschitz functions at once, to a Pareto critical point.

    It ends where, for the last eps, the convex hull of all subgradients within eps has an element
    of length at most delta.

    Args:
        functions: f_i, from (d,) to a number.
        subgradients: From (d,) to any element of the Clarke subdifferential of f_i, (d,).
        x0: (d,) the start.
        eps: Radii, largest first.
        delta: See above.
        c: Armijo's constant.
        max_steps: Most steps for each radius.
        max_rounds: Most elements of the hull that are added for a direction, for each function.
        weights: (d,) > 0, the diagonal of the inner product; None: ones.

    Returns:
        The point, the values, the multipliers, and the length of the least element.

    Raises:
        ArgumentError: No function, or another number of subgradients.
        ShapeError: A subgradient of a wrong shape; names it.
        NotFinite: A NaN from a function.

    Example:
        >>> found = common_descent(
        ...     [lambda x: abs(x[0]), lambda x: abs(x[0] - 1)],
        ...     [lambda x: np.sign(x), lambda x: np.sign(x - 1)],
        ...     x0=[3.0],
        ... )
        >>> bool(abs(found.x[0] - 1) <= 1e-3)
        True

    References:
        Gebken, Peitz, J. Optim. Theory Appl. 188 (2021); survey: arXiv 2308.01113.
    """
    at = vector("x0", x0)
    if not len(functions) or len(functions) != len(subgradients):
        raise ArgumentError(
            f"functions and subgradients: got {len(functions)} and {len(subgradients)}, expected "
            "one subgradient for each function, and one function at least"
        )
    if not all(map(callable, [*functions, *subgradients])):
        raise ArgumentTypeError("functions and subgradients: expected functions")
    settings = DescentSettings(tuple(eps), delta, c, max_steps, max_rounds)
    if weights is not None:
        weights = vector("weights", weights, len(at))
        if not (weights > 0).all():
            raise ArgumentError("weights: expected numbers > 0")
    return descend(FunctionOracle(functions, subgradients, len(at), weights), at, settings)
