"""Cuts: affine functions below the cost of the stages to come, as a policy."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import ArgumentError
from .policies import Action, Actor, Policy
from .stage import Stage
from .window import Window

if TYPE_CHECKING:
    from jaxtyping import Float

    from .horizon import Horizon


@dataclass
class CutPolicy(Policy):
    """Minimise each stage's cost and what the cuts say of the stages after it.

        theta_t >= intercept + slope' s_t   for every cut of stage t

    Attributes:
        slopes: Of each stage but the last (c_t, k).
        intercepts: Of each stage but the last (c_t,).
        floors: (T - 1,) below which no theta is.
    """

    slopes: list[Float[np.ndarray, "c k"]]
    intercepts: list[Float[np.ndarray, " c"]]
    floors: Float[np.ndarray, " T1"] = field(default_factory=lambda: np.zeros(0))

    def on(self, problem: Horizon) -> Actor:
        """Return what acts by this rule on a problem."""
        return Cutting(problem, self)

    def summary(self) -> str:
        """Say in a few words what it is."""
        return f"{sum(map(len, self.intercepts))} cuts over {len(self.intercepts)} stages"

    def save(self, path: str | Path) -> None:
        """Write the cuts as JSON."""
        data = {
            "floors": self.floors.tolist(),
            "stages": [
                [{"intercept": float(b), "slope": g.tolist()} for g, b in zip(G, h, strict=True)]
                for G, h in zip(self.slopes, self.intercepts, strict=True)
            ],
        }
        Path(path).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> CutPolicy:
        """Read what `save` wrote. Raises ArgumentError."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(
                [np.array([c["slope"] for c in cuts], dtype=float) for cuts in data["stages"]],
                [np.array([c["intercept"] for c in cuts], dtype=float) for cuts in data["stages"]],
                np.array(data["floors"], dtype=float),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArgumentError(f"path='{path}': no file of cuts ({error})") from None


class CutWindow(Window):
    """A stage with a column theta, and cuts that bound it below.

    Args:
        stage: The stage.
        floor: Below which theta is not.
        slopes: (c, k) of the cuts that it begins with.
        intercepts: (c,) of theirs.
    """

    def __init__(
        self,
        stage: Stage,
        floor: float,
        slopes: Float[np.ndarray, "c k"],
        intercepts: Float[np.ndarray, " c"],
    ):
        super().__init__([stage])
        self.model.add_column(1.0, floor, np.inf)
        self.theta = self.model.columns - 1
        self.cuts = 0
        for slope, intercept in zip(slopes, intercepts, strict=True):
            self.add_cut(slope, float(intercept))

    def add_cut(self, slope: Float[np.ndarray, " k"], intercept: float) -> None:
        """Add theta - slope' s >= intercept."""
        columns = np.append(self.states[0], self.theta)
        self.model.add_row(intercept, np.inf, columns, np.append(-slope, 1.0))
        self.cuts += 1


class Cutting:
    """Acts by the stages' linear programs with cuts."""

    def __init__(self, problem: Horizon, policy: CutPolicy):
        self.windows: list[Window] = []
        for t, stage in enumerate(problem.stages):
            if t == problem.T - 1:
                self.windows.append(problem.window(t, 1))
                continue
            floor = policy.floors[t] if len(policy.floors) else problem.cost_floor(t)
            window = CutWindow(stage, floor, policy.slopes[t], policy.intercepts[t])
            problem.anchor(window, t, 1)
            self.windows.append(window)

    def act(self, t: int, w: Float[np.ndarray, " d"], state: Float[np.ndarray, " k"]) -> Action:
        """Solve the stage."""
        self.windows[t].model.forget()
        found = self.windows[t].solve(state, w[None])
        return Action(found.x[0], dual=found.rows[0])
