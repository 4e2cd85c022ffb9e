"""Policies: what a run answers, as plain data. `policy.on(problem)` has `act(t, w, state)`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..core.errors import ArgumentError
from .window import Penalty, Window

if TYPE_CHECKING:
    from jaxtyping import Float

    from .multistage import MultistageLP


@dataclass(slots=True)
class Action:
    """What is done in a stage.

    Attributes:
        x: (n,) the stage's columns.
        target: (k,) state that was aimed at; None: there was none.
        linear: Cost of a unit by which it was missed.
        square: Cost of its square.
    """

    x: Float[np.ndarray, " n"]
    target: Float[np.ndarray, " k"] | None = None
    linear: float = 0.0
    square: float = 0.0


class Actor(Protocol):
    """Whatever acts: a policy on a problem, or an object of a user's own."""

    def act(self, t: int, w: Float[np.ndarray, " d"], state: Float[np.ndarray, " k"]) -> Any:
        """Return the columns of stage t after its noise w was seen."""


@dataclass
class Policy:
    """A rule for every stage, as plain data."""

    def on(self, problem: MultistageLP) -> Actor:
        """Return what acts by this rule on a problem."""
        raise TypeError(f"{type(self).__name__} does not define on(problem)")

    def summary(self) -> str:
        """Say in a few words what it is."""
        return type(self).__name__


class Aiming:
    """Acts by the stage's linear program, with targets where there are any.

    Args:
        problem: What it acts on.
        target: (t, w, state) -> (k,) state to aim at; None: the stage alone is minimised.
        penalty: What missing it costs.
    """

    def __init__(
        self,
        problem: MultistageLP,
        target: Callable[[int, np.ndarray, np.ndarray], np.ndarray] | None = None,
        penalty: Penalty | None = None,
        start: Callable[[], None] | None = None,
    ):
        self.target = target
        self.penalty = penalty or Penalty()
        given = None if target is None else self.penalty
        self.windows = [problem.window(t, 1, given) for t in range(problem.T)]
        self.start = start or (lambda: None)

    def act(self, t: int, w: Float[np.ndarray, " d"], state: Float[np.ndarray, " k"]) -> Action:
        """Solve the stage."""
        window = self.windows[t]
        window.model.forget()
        goal = None if self.target is None else self.target(t, w, state)
        found = window.solve(state, w[None], None if goal is None else goal[None])
        return Action(found.x[0], goal, self.penalty.linear, self.penalty.square)


@dataclass
class Myopic(Policy):
    """Minimise each stage's own cost."""

    def on(self, problem: MultistageLP) -> Actor:
        """Return what acts by this rule on a problem."""
        return Aiming(problem)


@dataclass
class AffineTargets(Policy):
    """Aim at an affine function of the noise and the state before: a linear decision rule.

    Attributes:
        weights: (T, k, d + k) or (1, k, d + k): one rule for each stage, or one for all.
        bias: (T, k) or (1, k).
        penalty: Of a unit missed.
    """

    weights: Float[np.ndarray, "R k f"]
    bias: Float[np.ndarray, "R k"]
    penalty: float

    def on(self, problem: MultistageLP) -> Actor:
        """Return what acts by this rule on a problem."""
        last = len(self.bias) - 1

        def target(t: int, w: np.ndarray, state: np.ndarray) -> np.ndarray:
            r = min(t, last)
            return self.weights[r] @ np.concatenate([w, state]) + self.bias[r]

        return Aiming(problem, target, Penalty(self.penalty))


@dataclass
class FixedTargets(Policy):
    """Aim at one trajectory, whatever happens.

    Attributes:
        targets: (T, k) states.
        penalty: Of a unit missed.
    """

    targets: Float[np.ndarray, "T k"]
    penalty: float

    def on(self, problem: MultistageLP) -> Actor:
        """Return what acts by this rule on a problem."""
        return Aiming(problem, lambda t, w, state: self.targets[t], Penalty(self.penalty))


@dataclass
class LookAhead(Policy):
    """Solve the rest of the horizon with the mean noise, and do its first stage.

    Attributes:
        horizon: Stages that are looked at; 0: all that are left.
    """

    horizon: int = 0

    def on(self, problem: MultistageLP) -> Actor:
        """Return what acts by this rule on a problem."""
        return LookingAhead(problem, self.horizon)


class LookingAhead:
    """Acts by the linear program of the stages ahead."""

    def __init__(self, problem: MultistageLP, horizon: int):
        self.problem, most = problem, horizon or problem.T
        self.lengths = [min(most, problem.T - t) for t in range(problem.T)]
        self.windows = [problem.window(t, n) for t, n in enumerate(self.lengths)]

    def act(self, t: int, w: Float[np.ndarray, " d"], state: Float[np.ndarray, " k"]) -> Action:
        """Solve the stages ahead, the later ones with their mean noise."""
        window = self.windows[t]
        noise = self.problem.mean_noise[t : t + self.lengths[t]].copy()
        noise[0] = w
        window.model.forget()
        if self.problem.convex:
            return Action(window.solve(state, noise).x[0])
        from .heads import successive

        return Action(successive(window, state, noise).x[0])


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

    def on(self, problem: MultistageLP) -> Actor:
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
    """A stage with a column theta, and cuts that bound it below."""

    def __init__(self, stage: Any, floor: float):
        super().__init__([stage])
        self.model.add_column(1.0, floor, np.inf)
        self.theta = self.model.columns - 1
        self.cuts = 0

    def add_cut(self, slope: Float[np.ndarray, " k"], intercept: float) -> None:
        """Add theta - slope' s >= intercept."""
        columns = np.append(self.states[0], self.theta)
        self.model.add_row(intercept, np.inf, columns, np.append(-slope, 1.0))
        self.cuts += 1


class Cutting:
    """Acts by the stages' linear programs with cuts."""

    def __init__(self, problem: MultistageLP, policy: CutPolicy):
        self.windows: list[Window] = []
        for t, stage in enumerate(problem.stages):
            if t == problem.T - 1:
                self.windows.append(problem.window(t, 1))
                continue
            floor = policy.floors[t] if len(policy.floors) else problem.cost_floor(t)
            window = CutWindow(stage, floor)
            for slope, intercept in zip(policy.slopes[t], policy.intercepts[t], strict=True):
                window.add_cut(slope, intercept)
            window.place(problem.initial_state, stage.mean[None])
            window.model.solve()
            window.model.anchor()
            self.windows.append(window)

    def act(self, t: int, w: Float[np.ndarray, " d"], state: Float[np.ndarray, " k"]) -> Action:
        """Solve the stage."""
        self.windows[t].model.forget()
        return Action(self.windows[t].solve(state, w[None]).x[0])


@dataclass
class NetworkTargets(Policy):
    """Aim at what a network makes of the noise, the state before and the season.

    Attributes:
        kind: "mlp", "lstm" or "linear".
        weights: Of each layer, in the order of torch's state_dict.
        center: (T, d) what is taken off the noise.
        spread: (T, d) by which it is then divided.
        low: (T, k) where the output 0 points.
        span: (T, k) from there to where the output 1 points.
        period: Stages of a season.
        stretch: By which the outputs' sigmoid is stretched beyond [0, 1] and cut; 0: not.
        penalty: Of a unit missed.
        square: Of its square.
        strict: True where the outputs are shares of what one stage can reach.
    """

    kind: str
    weights: list[np.ndarray]
    center: Float[np.ndarray, "T d"]
    spread: Float[np.ndarray, "T d"]
    low: Float[np.ndarray, "T k"]
    span: Float[np.ndarray, "T k"]
    period: float
    stretch: float
    penalty: float
    square: float = 0.0
    strict: bool = False

    def on(self, problem: MultistageLP) -> Actor:
        """Return what acts by this rule on a problem."""
        from .networks import Pointing

        return Pointing(problem, self)

    def summary(self) -> str:
        """Say in a few words what it is."""
        sizes = [w.shape for w in self.weights if w.ndim == 2]
        return f"{self.kind} network, layers " + ", ".join(f"{b} to {a}" for a, b in sizes)


ANSWERS: tuple[type, ...] = (
    NetworkTargets,
    CutPolicy,
    AffineTargets,
    FixedTargets,
    LookAhead,
    Myopic,
)
"""Dataclasses of policies, for reading stored answers back; those with more fields first."""
