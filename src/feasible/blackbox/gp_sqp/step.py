"""One step on surrogates: minimise the model of the objective subject to the models of the
constraints, in a box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

if TYPE_CHECKING:
    from jaxtyping import Float

    from .interpolant import Interpolants

CLOSE = 1e-9
"""Violation of a model, in its own scaled units, that counts as none."""


@dataclass(slots=True)
class Step:
    """A minimiser on the surrogates.

    Attributes:
        z: (d,) the point.
        multipliers: (m,) of the constraints, >= 0.
        violation: Total violation of the models there, in their scaled units.
    """

    z: Float[np.ndarray, " d"]
    multipliers: Float[np.ndarray, " m"]
    violation: float


def least(
    model: Interpolants,
    starts: Iterable[Float[np.ndarray, " d"]],
    low: Float[np.ndarray, " d"],
    high: Float[np.ndarray, " d"],
    margin: Float[np.ndarray, " m"],
) -> Step | None:
    """Minimise the model of f(z) subject to the models of g_j(z) <= -margin_j, low <= z <= high.

    Where the constraints cannot be met from a start, the total excess is minimised first and then
    kept (Byrd and Omojokun's composite step).

    Args:
        model: Output 0 is the objective, the others are the constraints.
        starts: Points (d,) from which SciPy's SLSQP is started.
        low: (d,) the box.
        high: (d,) the box.
        margin: (m,) margins, in the models' units.

    Returns:
        The best of the minimisers found; None where every start failed.
    """
    m = model.k - 1
    bounds = [*zip(low.tolist(), high.tolist(), strict=True)]
    memo: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def at(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        key = z.tobytes()
        if key not in memo:
            memo.clear()
            memo[key] = model.at(z)
        return memo[key]

    def objective(z: np.ndarray) -> tuple[float, np.ndarray]:
        values, slopes = at(z)
        return float(values[0]), slopes[0]

    best: tuple[tuple[float, float], Step] | None = None
    for start in starts:
        z = np.clip(start, low, high)
        multipliers = np.zeros(m)
        if m == 0:
            found = minimize(
                objective,
                z,
                jac=True,
                bounds=bounds,
                method="L-BFGS-B",
                options={"maxiter": 100, "ftol": 1e-15, "gtol": 1e-12},
            )
        else:
            excess = np.maximum(at(z)[0][1:] + margin, 0)
            if excess.any():
                z, excess = _towards_feasible(at, z, excess, bounds, margin)
            slack = np.where(excess > CLOSE, 1.02 * excess, 0.0)
            found = minimize(
                objective,
                z,
                jac=True,
                bounds=bounds,
                method="SLSQP",
                options={"maxiter": 60, "ftol": 1e-13},
                constraints=[
                    {
                        "type": "ineq",
                        "fun": lambda z, s=slack: s - at(z)[0][1:] - margin,
                        "jac": lambda z: -at(z)[1][1:],
                    }
                ],
            )
            multipliers = np.abs(getattr(found, "multipliers", multipliers))
        z = np.clip(found.x, low, high)
        if not np.isfinite(z).all():
            continue
        values = at(z)[0]
        violation = float(np.maximum(values[1:] + margin - CLOSE, 0).sum())
        if np.isfinite(values).all() and (best is None or (violation, float(values[0])) < best[0]):
            best = (violation, float(values[0])), Step(z, multipliers, violation)
    return None if best is None else best[1]


def _towards_feasible(
    at: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    z: np.ndarray,
    excess: np.ndarray,
    bounds: list[tuple[float, float]],
    margin: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the point of least total excess near z, by slack variables, and the excess there."""
    d, m = len(z), len(excess)
    found = minimize(
        lambda q: (q[d:].sum(), np.concatenate([np.zeros(d), np.ones(m)])),
        np.concatenate([z, excess]),
        jac=True,
        bounds=[*bounds, *[(0.0, None)] * m],
        method="SLSQP",
        options={"maxiter": 50, "ftol": 1e-12},
        constraints=[
            {
                "type": "ineq",
                "fun": lambda q: q[d:] - at(q[:d])[0][1:] - margin,
                "jac": lambda q: np.hstack([-at(q[:d])[1][1:], np.eye(m)]),
            }
        ],
    )
    if not np.isfinite(found.x).all():
        return z, excess
    low, high = np.array(bounds).T
    z = np.clip(found.x[:d], low, high)
    return z, np.maximum(at(z)[0][1:] + margin, 0)


def least_worst(
    violations: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    starts: Iterable[Float[np.ndarray, " d"]],
    low: Float[np.ndarray, " d"],
    high: Float[np.ndarray, " d"],
) -> Float[np.ndarray, " d"] | None:
    """Minimise the largest violation, max_j v_j(z) in low <= z <= high, as the least t with v_j(z)
    <= t.

    Args:
        violations: z -> (m,) values of v and (m, d) slopes.
        starts: Points (d,) from which SciPy's SLSQP is started.
        low: (d,) the box.
        high: (d,) the box.

    Returns:
        The best of the minimisers found; None where every start failed.
    """
    d = len(low)
    bounds = [*zip(low.tolist(), high.tolist(), strict=True), (None, None)]
    best: tuple[float, np.ndarray] | None = None
    for start in starts:
        z = np.clip(start, low, high)
        found = minimize(
            lambda q: (q[d], np.eye(d + 1)[d]),
            np.append(z, violations(z)[0].max()),
            jac=True,
            bounds=bounds,
            method="SLSQP",
            options={"maxiter": 60, "ftol": 1e-12},
            constraints=[
                {
                    "type": "ineq",
                    "fun": lambda q: q[d] - violations(q[:d])[0],
                    "jac": lambda q: np.column_stack(
                        [-violations(q[:d])[1], np.ones(len(violations(q[:d])[0]))]
                    ),
                }
            ],
        )
        if not np.isfinite(found.x).all():
            continue
        z = np.clip(found.x[:d], low, high)
        worst = float(violations(z)[0].max())
        if best is None or worst < best[0]:
            best = worst, z
    return None if best is None else best[1]


__all__ = ["Step", "least", "least_worst"]
