"""A network's targets as a policy, worked out with NumPy alone: no gradient is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .policies import Actor, Aiming, Policy
from .reach import Reach
from .window import Penalty

if TYPE_CHECKING:
    from jaxtyping import Float

    from .horizon import Horizon


def season(t: int, T: int, period: float) -> tuple[float, float, float]:
    """Return cos and sin of the season, and the share of the horizon that has passed."""
    angle = 2 * np.pi * (t % period) / period
    return float(np.cos(angle)), float(np.sin(angle)), t / T


def stretched(z: Float[np.ndarray, "*b"], stretch: float, most: float = 1.0) -> np.ndarray:
    """Return the sigmoid, stretched beyond [0, most] by a share and cut there."""
    found = 0.5 * (1.0 + np.tanh(0.5 * z))
    return np.clip((1 + 2 * stretch) * found - stretch, 0.0, most) if stretch else found


STRICT_MOST = 1.0 - 1e-3
"""Largest share of what a stage can reach that a strict policy points at."""


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

    def on(self, problem: Horizon) -> Actor:
        """Return what acts by this rule on a problem."""
        return Pointing(problem, self)

    def summary(self) -> str:
        """Say in a few words what it is."""
        sizes = [w.shape for w in self.weights if w.ndim == 2]
        return f"{self.kind} network, layers " + ", ".join(f"{b} to {a}" for a, b in sizes)


class Pointing(Aiming):
    """Acts by a network's targets."""

    def __init__(self, problem: Horizon, policy: NetworkTargets):
        self.policy, self.T = policy, problem.T
        penalty = Penalty(policy.penalty, policy.square)
        super().__init__(problem, self.point, penalty)
        self.reach = Reach(problem.stages) if policy.strict else None
        self.layers = list(zip(policy.weights[::2], policy.weights[1::2], strict=False))
        if policy.kind == "lstm":
            self.cells = [policy.weights[i : i + 4] for i in range(0, len(policy.weights) - 4, 4)]
            head = policy.weights[-4:]
            self.layers = [(head[0], head[1]), (head[2], head[3])]
        self.start()

    def start(self) -> None:
        """Forget the path before."""
        self.memory: list[tuple[np.ndarray, np.ndarray]] = []
        if self.policy.kind == "lstm":
            sizes = [cell[1].shape[1] for cell in self.cells]
            self.memory = [(np.zeros(n), np.zeros(n)) for n in sizes]

    def point(
        self, t: int, w: Float[np.ndarray, " d"], state: Float[np.ndarray, " k"]
    ) -> Float[np.ndarray, " k"]:
        """Return the state to aim at."""
        p, seen = self.policy, self.see(t, w)
        before = (state - p.low[max(t - 1, 0)]) / p.span[max(t - 1, 0)]
        x = np.concatenate([seen, before])
        if p.kind != "lstm":
            x = np.append(x, season(t, self.T, p.period))
        for i, (weight, bias) in enumerate(self.layers):
            x = weight @ x + bias
            if i + 1 < len(self.layers):
                x = np.tanh(x)
        if self.reach is not None:
            return self.reach.point(t, w, state, stretched(x, p.stretch, STRICT_MOST))
        share = x if p.kind == "linear" else stretched(x, p.stretch)
        return p.low[t] + p.span[t] * share

    def see(self, t: int, w: Float[np.ndarray, " d"]) -> np.ndarray:
        """Return what the layers are given of a stage's noise; a network with memory keeps it."""
        p = self.policy
        noise = (w - p.center[t]) / p.spread[t]
        if p.kind != "lstm":
            return noise
        return self._recur(np.append(noise, season(t, self.T, p.period)))

    def _recur(self, x: np.ndarray) -> np.ndarray:
        """Return the output of the LSTM's layers after another input."""
        for i, (to_input, to_hidden, b_input, b_hidden) in enumerate(self.cells):
            h, c = self.memory[i]
            gates = to_input @ x + b_input + to_hidden @ h + b_hidden
            enter, leave, new, out = np.split(gates, 4)
            c = stretched(leave, 0.0) * c + stretched(enter, 0.0) * np.tanh(new)
            x = stretched(out, 0.0) * np.tanh(c)
            self.memory[i] = x, c
        return x
