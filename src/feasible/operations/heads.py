"""Windows whose coefficients depend on the state: solved by successive linear programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .window import Projected, Window

if TYPE_CHECKING:
    from jaxtyping import Float

ROUNDS = 12
"""Most linear programs of a window."""
CLOSE = 1e-3
"""Change of a state, as a share of its range, at which they end."""


def successive(
    window: Window,
    start: Float[np.ndarray, " k"],
    noise: Float[np.ndarray, "W d"],
    targets: Float[np.ndarray, "W k"] | None = None,
    rounds: int = ROUNDS,
) -> Projected:
    """Solve a window by successive linear programs, within a region that halves around each plan.

    A product factor * s * x becomes factor (s' x + x' s - s' x') about the plan (s', x') before.
    The first stage is exact: the state before it is known. The first plan holds the coefficients of
    that state. Balances of the states stay linear, so a plan's states are always within reach.

    Args:
        window: The window.
        start: The state before it.
        noise: A row for each stage.
        targets: A row for each stage; None: without.
        rounds: Most linear programs.

    Raises:
        NoSolution: A linear program has no solution.
    """
    states = window.states[:-1]
    if not any(s.heads for s in window.stages[1:]):
        return window.solve(start, noise, targets)
    low = np.array([s.lower[s.states] for s in window.stages[:-1]])
    high = np.array([s.upper[s.states] for s in window.stages[:-1]])
    span = np.where(np.isfinite(high - low), high - low, 1.0 + np.abs(start))
    model = window.model
    model.set_bounds(states.ravel(), low.ravel(), high.ravel())
    plan = [np.zeros(len(s.cost)) for s in window.stages]
    before = np.tile(start, (len(states), 1))
    best: Projected | None = None
    radius = span
    for _ in range(rounds):
        _linearise(window, plan, before)
        found = window.solve(start, noise, targets)
        now = found.x
        at = np.array([x[s.states] for x, s in zip(now[:-1], window.stages, strict=False)])
        moved = np.inf if best is None else float(np.max(np.abs(at - before) / span, initial=0.0))
        best, plan, before = found, now, at
        if moved < CLOSE:
            break
        radius = radius / 2
        model.set_bounds(
            states.ravel(),
            np.maximum(low, at - radius).ravel(),
            np.minimum(high, at + radius).ravel(),
        )
    assert best is not None
    return best


def _linearise(window: Window, plan: list[np.ndarray], before: Float[np.ndarray, "W1 k"]) -> None:
    """Write the products of the later stages about a plan into the window."""
    window.shift[:] = 0.0
    for t, stage in enumerate(window.stages[1:], start=1):
        B = stage.dense[0]
        slope: dict[tuple[int, int], float] = {}
        for row, column, state, factor in stage.head_numbers:
            at = window.rows[t].start + row
            s, x = before[t - 1, state], plan[t][column]
            window.model.set_coefficient(
                at, window.columns[t].start + column, float(stage.A[row, column]) + factor * s
            )
            key = at, int(window.states[t - 1, state])
            slope[key] = slope.get(key, -B[row, state]) + factor * x
            window.shift[at] += factor * s * x
        for (at, column), value in slope.items():
            window.model.set_coefficient(at, column, value)
