"""What a sum over a network is minimised by otherwise: MSDA, ADOM+, gradient tracking and EXTRA.

MSDA is dual: each of its steps needs the gradient of f_i's conjugate, which is one gradient of a
quadratic, and an inner solve otherwise.

References:
    Scaman, Bach, Bubeck, Lee, Massoulie, "Optimal algorithms for smooth and strongly convex
    distributed optimization in networks" (MSDA), ICML 2017. Kovalev, Gasanov, Gasnikov, Richtarik,
    "Lower bounds and optimal algorithms for smooth and strongly convex decentralized optimization
    over time-varying networks" (ADOM+), NeurIPS 2021. Nedic, Olshevsky, Shi, "Achieving geometric
    convergence for distributed optimization over time-varying graphs" (DIGing), SIAM J. Optim. 27,
    2017. Shi, Ling, Wu, Yin, "EXTRA", SIAM J. Optim. 25, 2015.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import sparse

from ...core.checks import real
from ...core.errors import WrongProblem
from ..graph import Network
from ..problem import Copies, NetworkProblem
from ..rounds import RoundState, Synchronous, spectrum

if TYPE_CHECKING:
    from jaxtyping import Float


def check_dual(problem: NetworkProblem, name: str) -> None:
    """Raise WrongProblem where gradients of conjugates are not known."""
    if not problem.objectives.dual:
        raise WrongProblem(
            f"method {name} needs gradients of conjugates, which the objectives of "
            f"'{problem.name}' do not have"
        )


@dataclass(frozen=True)
class MSDA(Synchronous):
    """The multi-step dual accelerated method: Nesterov's on the dual, with Chebyshev gossip."""

    name: ClassVar[str] = "msda"
    vectors: ClassVar[int] = 3  # the copies grad f*(X), then X and Y

    def init(self, problem: NetworkProblem, rng: np.random.Generator) -> RoundState:
        """Stand at X = Y = 0."""
        check_dual(problem, self.name)
        if len(problem.stages) > 1:
            raise WrongProblem(f"method {self.name} takes a graph that does not change")
        return Synchronous.init(self, problem, rng)

    def make(self, problem: NetworkProblem, state: RoundState) -> None:
        """A step of Nesterov's method: one gradient of each conjugate, K exchanges."""
        low, high = spectrum(problem)
        o, root = problem.objectives, (low / high) ** 0.5
        K = max(math.floor(1 / root), 1)
        c1 = (1 - root) / (1 + root)
        power, kappa = c1**K, o.L / o.mu
        eta = o.mu * (1 + power**2) / (1 + power) ** 2
        momentum = ((1 + power) * kappa**0.5 - 1 + power) / ((1 + power) * kappa**0.5 + 1 - power)
        theta, X, Y = state.V
        theta = problem.conjugates(X, theta)
        network = self.talk(problem, state, K)
        after = X - eta * chebyshev(network, theta, K, low, high)
        state.V[0], state.V[1], state.V[2] = theta, (1 + momentum) * after - momentum * Y, after


def chebyshev(
    network: Network, x: Float[np.ndarray, "n d"], K: int, low: float, high: float
) -> Float[np.ndarray, "n d"]:
    """Return x - x_K / a_K: K exchanges, accelerated by Chebyshev polynomials (MSDA, Algorithm 2).

    Args:
        network: The graph.
        x: (n, d).
        K: Exchanges.
        low: lambda_min+ of the Laplacian.
        high: Its lambda_max.
    """
    gap = low / high
    c2, c3 = (1 + gap) / (1 - gap) if gap < 1 else math.inf, 2 / ((1 + gap) * high)
    laplacian = network.plain
    if not math.isfinite(c2):  # one exchange is the mean
        return c3 * (laplacian @ x)
    a, b = 1.0, c2
    before, now = x, c2 * (x - c3 * (laplacian @ x))
    for _ in range(K - 1):
        a, b = b, 2 * c2 * b - a
        before, now = now, 2 * c2 * (now - c3 * (laplacian @ now)) - before
    return x - now / b


@dataclass(frozen=True)
class ADOMPlus(Synchronous):
    """ADOM+, the optimal primal method for graphs that change.

    Attributes:
        consensus: Exchange so many times in a round that the graph's condition number counts as 2.
    """

    name: ClassVar[str] = "adom-plus"
    vectors: ClassVar[int] = 7  # x_f, x, y, y_f, z, z_f, m

    consensus: bool = True

    def make(self, problem: NetworkProblem, state: RoundState) -> None:
        """A round: one gradient of each node, then one exchange or several."""
        low, high = spectrum(problem)
        o, chi, K = problem.objectives, high / low, 1
        if self.consensus:
            K, chi = math.ceil(chi * math.log(2)), min(chi, 2.0)
        tau2 = (o.mu / o.L) ** 0.5
        tau1 = 1 / (1 / tau2 + 0.5)
        sigma2 = tau2 / (16 * chi)
        sigma1 = 1 / (1 / sigma2 + 0.5)
        eta, nu, zeta = 1 / (o.L * tau2), o.mu / 2, 0.5
        alpha, beta, delta = nu, 1 / (2 * o.L), 1 / (17 * o.L)
        gamma, theta = nu / (14 * sigma2 * chi**2), nu / (4 * sigma2)
        x_f, x, y, y_f, z, z_f, m = state.V
        x_g = tau1 * x + (1 - tau1) * x_f
        y_g, z_g = sigma1 * y + (1 - sigma1) * y_f, sigma1 * z + (1 - sigma1) * z_f
        g, c5 = problem.gradients(x_g), 1 / (1 + eta * alpha)
        y_new = (
            y
            + g * (theta * beta + theta * eta * c5)
            - x_g * (theta * beta * nu + theta * c5 * eta * (alpha + nu))
            - theta * c5 * x
            - theta / nu * (y_g + z_g)
        ) / (1 + theta * beta + theta * eta * c5)
        x_new = c5 * (x + eta * alpha * x_g - eta * (g - nu * x_g - y_new))
        network = self.talk(problem, state, K, vectors=2)
        sent = np.concatenate([y_g + z_g, m], axis=1)
        laplacian, left = network.plain, sent
        for _ in range(K):  # P = I - (I - Laplacian / lambda_max)^K
            left = left - laplacian @ left / high
        from_sum, from_m = np.hsplit(sent - left, 2)
        q = gamma / nu * (y_g + z_g) + m
        Pq = gamma / nu * from_sum + from_m
        state.V[0] = x_g + tau2 * (x_new - x)
        state.V[3] = y_g + sigma2 * (y_new - y)
        state.V[4] = z + gamma * delta * (z_g - z) - Pq
        state.V[5] = z_g - zeta * from_sum
        state.V[1], state.V[2], state.V[6] = x_new, y_new, q - Pq

    def answer(self, problem: NetworkProblem, state: RoundState) -> Copies:
        """x of every node."""
        return Copies(state.V[1].copy(), state.sent.copy())


@dataclass(frozen=True)
class Mixing(Synchronous):
    """A method with Metropolis weights W and a step.

    Attributes:
        factor: The step in units of 1 / L.
    """

    factor: float = 0.5

    def __post_init__(self) -> None:
        real("factor", self.factor, above=0)


@dataclass(frozen=True)
class GradientTracking(Mixing):
    """Gradient tracking (DIGing): x+ = W x - a s, s+ = W s + g(x+) - g(x)."""

    name: ClassVar[str] = "gradient-tracking"
    vectors: ClassVar[int] = 3  # x, s, g

    def make(self, problem: NetworkProblem, state: RoundState) -> None:
        """One gradient of each node, and one exchange of two vectors."""
        if state.k == 0:
            state.V[1] = state.V[2] = problem.gradients(state.V[0])
        x, s, g = state.V
        W = self.talk(problem, state, vectors=2).metropolis
        state.V[0] = W @ x - self.factor / problem.objectives.L * s
        new = problem.gradients(state.V[0])
        state.V[1], state.V[2] = W @ s + new - g, new


@dataclass(frozen=True)
class EXTRA(Mixing):
    """EXTRA: x++ = (I + W) x+ - (I + W) / 2 x - a (g(x+) - g(x))."""

    name: ClassVar[str] = "extra"
    vectors: ClassVar[int] = 4  # x, x before, W x before, g before

    def init(self, problem: NetworkProblem, rng: np.random.Generator) -> RoundState:
        """Stand at the start."""
        if len(problem.stages) > 1:
            raise WrongProblem(f"method {self.name} takes a graph that does not change")
        return Synchronous.init(self, problem, rng)

    def make(self, problem: NetworkProblem, state: RoundState) -> None:
        """One gradient of each node, and one exchange."""
        x, before, mixed_before, g_before = state.V.copy()
        g = problem.gradients(x)
        W: sparse.csr_array = self.talk(problem, state).metropolis
        mixed, step = W @ x, self.factor / problem.objectives.L
        if state.k == 0:
            state.V[0] = mixed - step * g
        else:
            state.V[0] = x + mixed - (before + mixed_before) / 2 - step * (g - g_before)
        state.V[1], state.V[2], state.V[3] = x, mixed, g
