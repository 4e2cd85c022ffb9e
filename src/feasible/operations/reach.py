"""What one stage can reach: bounds of each state, given the state before and the states before it.

    l_i = min x_i,  u_i = max x_i   over the stage, with x_j = target_j for j < i

Taken in the order of the states, targets within these bounds are reachable together. The bounds are
optima of linear programs, so their derivatives are duals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .stage import Stage
from .window import Window

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class Reached:
    """Targets within reach, and how they change.

    Attributes:
        target: (k,) the targets.
        by_share: (k, k) derivative of target i in share j.
        by_state: (k, k) derivative of target i in state j before.
    """

    target: Float[np.ndarray, " k"]
    by_share: Float[np.ndarray, "k k"]
    by_state: Float[np.ndarray, "k k"]


class Reach:
    """The linear programs of what each stage can reach."""

    def __init__(self, stages: Sequence[Stage]):
        self.windows = [Window([s]) for s in stages]
        for window, stage in zip(self.windows, stages, strict=True):
            every = np.arange(len(stage.cost))
            window.model.set_costs(every, np.zeros(len(every)))

    def point(
        self,
        t: int,
        w: Float[np.ndarray, " d"],
        state: Float[np.ndarray, " k"],
        share: Float[np.ndarray, " k"],
    ) -> Float[np.ndarray, " k"]:
        """Return l + share (u - l), state by state."""
        return self.differentiated(t, w, state, share).target

    def differentiated(
        self,
        t: int,
        w: Float[np.ndarray, " d"],
        state: Float[np.ndarray, " k"],
        share: Float[np.ndarray, " k"],
    ) -> Reached:
        """Return l + share (u - l) and its derivatives.

        Raises:
            NoSolution: The stage has no solution from this state.
        """
        window = self.windows[t]
        stage, model, k = window.stages[0], window.model, window.k
        columns = stage.states
        low, high = stage.lower[columns].copy(), stage.upper[columns].copy()
        model.set_bounds(columns, low, high)
        found = Reached(np.zeros(k), np.zeros((k, k)), np.zeros((k, k)))
        for i in range(k):
            ends, by_state, by_target = [], [], []
            for sign in (1.0, -1.0):
                model.set_costs(columns[i : i + 1], np.array([sign]))
                model.forget()
                solved = window.solve(state, w[None])
                ends.append(sign * solved.value)
                by_state.append(sign * solved.by_start)
                by_target.append(sign * model.reduced_costs()[columns[:i]])
            model.set_costs(columns[i : i + 1], np.zeros(1))
            (least, most), part = ends, share[i]
            target = least + part * (most - least)
            # an earlier target moves this one's ends, by the reduced cost of its column
            along = (1 - part) * by_target[0] + part * by_target[1]
            found.target[i] = target
            found.by_share[i] = along @ found.by_share[:i]
            found.by_share[i, i] += most - least
            found.by_state[i] = (1 - part) * by_state[0] + part * by_state[1]
            found.by_state[i] += along @ found.by_state[:i]
            low[i] = high[i] = target
            model.set_bounds(columns[i : i + 1], low[i : i + 1], high[i : i + 1])
        return found
