"""The continuized method: dual, asynchronous, with gradients and exchanges coupled.

References:
    Even, Berthier, Bach, Flammarion, Gaillard, Hendrikx, Massoulie, Taylor, "Continuized
    accelerations of deterministic and stochastic gradient descents, and of gossip algorithms",
    NeurIPS 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.errors import WrongProblem
from ..asynchronous import Asynchronous, Plan
from ..events import Schedule
from ..graph import DENSE, Network
from ..objectives import LocalObjectives
from ..problem import NetworkProblem, charge_gradient
from ..rules import Rule
from .baselines import check_dual
from .rates import resistances

if TYPE_CHECKING:
    from jaxtyping import Float


class ContinuizedRule(Rule):
    """The events of the continuized method: a node keeps y, z and the x = grad f*(y) last found.

        y' = eta (z - y),  z' = eta (y - z)
        on an exchange, G = x_i - x_j:  y_i -= gamma R_ij G,  z_i -= gamma~ G

    Args:
        objectives: What the nodes know.
        network: The graph.
        pace: Exchanges a unit of time, over all edges.
    """

    def __init__(self, objectives: LocalObjectives, network: Network, pace: float):
        self.objectives = objectives
        low, R = resistances(network, np.ones(network.m) / network.m)
        worst = float(R.max())
        L, mu = objectives.L, objectives.mu
        self.eta = (low / worst) ** 0.5 * (mu / L) ** 0.5 * pace
        self.gamma = mu / (2 * worst) * R
        self.gammat = (L * mu / (2 * low * worst)) ** 0.5

    def begin(self, x0: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n 3 d"]:
        """Return y = z = 0, whose sum must stay 0; x0 is where inner solves begin."""
        S = np.zeros((self.objectives.n, 3, self.objectives.d))
        S[:, 2] = x0
        return S

    def flow(self, i: int, S: Float[np.ndarray, "3 d"], dt: float) -> None:
        """Let y and z approach one another, in place."""
        mean, half = (S[0] + S[1]) / 2, (S[0] - S[1]) / 2 * np.exp(-2 * self.eta * dt)
        S[0], S[1] = mean + half, mean - half

    def message(self, i: int, S: Float[np.ndarray, "3 d"]) -> Float[np.ndarray, " d"]:
        """Return grad f_i*(y), charged."""
        S[2] = self.objectives.conjugate(i, S[0], S[2], charge_gradient)
        return S[2].copy()

    def exchange(
        self,
        i: int,
        S: Float[np.ndarray, "3 d"],
        mine: Float[np.ndarray, " d"],
        theirs: Float[np.ndarray, " d"],
        edge: int,
    ) -> None:
        """Let y and z jump, in place."""
        S[0] -= self.gamma[edge] * (mine - theirs)
        S[1] -= self.gammat * (mine - theirs)

    def answer(self, S: Float[np.ndarray, "n 3 d"]) -> Float[np.ndarray, "n d"]:
        """Return grad f*(y), which is not charged: the nodes could return y as well."""
        rows = [self.objectives.conjugate(i, s[0], s[2]) for i, s in enumerate(S)]
        return np.stack(rows)


@dataclass(frozen=True)
class Continuized(Asynchronous):
    """The continuized method on the dual. An exchange takes a gradient of each end's conjugate.

    Time is scaled so that a node takes one gradient a unit of time on average.
    """

    name: ClassVar[str] = "continuized"

    def plan(self, problem: NetworkProblem) -> Plan:
        """All edges alike."""
        check_dual(problem, self.name)
        network = problem.network
        if len(problem.stages) > 1 or network.n > DENSE or network.m == 0:
            raise WrongProblem(
                f"method {self.name} takes one graph of 2 to {DENSE} nodes, got "
                f"{len(problem.stages)} of {network.n}"
            )
        pace = network.n / 2
        rule = ContinuizedRule(problem.objectives, network, pace)
        rates = np.full(network.m, pace / network.m)
        return Plan(rule, Schedule(problem, [rates], gradients=False))
