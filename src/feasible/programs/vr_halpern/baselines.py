"""What an inclusion is solved by otherwise: extragradient and its relatives, gradient methods.

Each evaluates F as a whole, but for the variance-reduced extragradient method. The answer is, of
the points where F was evaluated, that of the least residual, as it is for our method.

References:
    Korpelevich, "The extragradient method", 1976. Yoon, Ryu, "Accelerated algorithms for smooth
    convex-concave minimax problems with O(1/k^2) rate on squared gradient norm" (EAG), ICML 2021.
    Alacaoglu, Malitsky, "Stochastic variance reduction for variational inequality methods", COLT
    2022, Algorithm 1. Nesterov, Soviet Math. Dokl. 27, 1983.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import real
from ...core.errors import ArgumentError
from ...core.problem import Method, Problem
from .halpern import LOST, residual
from .problem import Inclusion

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class BaselineState:
    """Where a baseline stands.

    Attributes:
        rng: Where draws come from.
        u: (d,) iterate.
        before: (d,) the iterate before, or a snapshot.
        at_snapshot: (d,) F at the snapshot.
        best: (d,) of the points where F was evaluated, that of the least residual.
        least: That residual.
        k: Steps so far.
        over: Why it cannot go on; empty where it can.
    """

    rng: np.random.Generator
    u: Float[np.ndarray, " d"]
    before: Float[np.ndarray, " d"]
    at_snapshot: Float[np.ndarray, " d"]
    best: Float[np.ndarray, " d"]
    least: float = np.inf
    k: int = 0
    over: str = ""


@dataclass(frozen=True)
class Baseline(Method):
    """A classical method on an inclusion.

    Attributes:
        factor: The step in units of 1 / L_F, L_F the Lipschitz constant of F.
        tol: Residual at step 1 at which it ends.
    """

    solves: ClassVar[type[Problem]] = Inclusion

    factor: float = 0.9
    tol: float = 1e-4

    def __post_init__(self) -> None:
        real("factor", self.factor, above=0)
        real("tol", self.tol, least=0)

    def init(self, problem: Inclusion, rng: np.random.Generator) -> BaselineState:
        """Stand at the start; evaluate nothing."""
        if problem.op.norm is None:
            raise ArgumentError(
                f"norm=None: {self.name} needs the Lipschitz constant of F, the operator's norm"
            )
        return BaselineState(rng, *(problem.u0.copy() for _ in range(4)))

    def eta(self, problem: Inclusion) -> float:
        """Return the step."""
        return self.factor / float(problem.op.norm or 1.0)

    def at(
        self, problem: Inclusion, state: BaselineState, u: Float[np.ndarray, " d"]
    ) -> Float[np.ndarray, " d"]:
        """Return F(u), charged, and keep u where its residual is the least."""
        at_u = problem.full(u)
        found = residual(problem.op, problem.resolvent, u, at_u)
        if found < state.least:
            state.least, state.best = found, u.copy()
        if not found <= LOST * state.least:
            state.over = (
                f"diverged with factor={self.factor:g}: the residual grew from {state.least:.1e} "
                f"to {found:.1e}; the operator may not be monotone"
            )
        return at_u

    def step(self, problem: Inclusion, state: BaselineState) -> BaselineState:
        """Make one iteration."""
        with np.errstate(over="ignore", invalid="ignore"):
            self.iterate(problem, state)
        state.k += 1
        return state

    def iterate(self, problem: Inclusion, state: BaselineState) -> None:
        """Move the state in place."""
        raise TypeError(f"{type(self).__name__} does not define iterate(problem, state)")

    def answer(self, problem: Inclusion, state: BaselineState) -> Float[np.ndarray, " d"]:
        """The point of the least residual so far."""
        return state.best.copy()

    def done(self, problem: Inclusion, state: BaselineState) -> str | None:
        """When the residual is small enough, or it diverges."""
        small = f"the residual fell to {state.least:.1e}" if state.least <= self.tol else None
        return state.over or small


@dataclass(frozen=True)
class Extragradient(Baseline):
    """The extragradient method: h = J(u - eta F(u)), u = J(u - eta F(h))."""

    name: ClassVar[str] = "extragradient"

    def iterate(self, problem: Inclusion, state: BaselineState) -> None:
        """Two evaluations of F."""
        eta, resolvent, u = self.eta(problem), problem.resolvent, state.u
        half = resolvent(u - eta * self.at(problem, state, u), eta)
        state.u = resolvent(u - eta * problem.full(half), eta)


@dataclass(frozen=True)
class AnchoredExtragradient(Baseline):
    """The extragradient method with an anchor (EAG): u is pulled to u_0 by 1 / (k + 2)."""

    name: ClassVar[str] = "eag"

    def iterate(self, problem: Inclusion, state: BaselineState) -> None:
        """Two evaluations of F."""
        eta, resolvent, u = self.eta(problem), problem.resolvent, state.u
        pulled = u + (problem.u0 - u) / (state.k + 2)
        half = resolvent(pulled - eta * self.at(problem, state, u), eta)
        state.u = resolvent(pulled - eta * problem.full(half), eta)


@dataclass(frozen=True)
class ReducedExtragradient(Baseline):
    """The extragradient method with variance reduction: a snapshot in place of the first point.

    With p = 1 / n and alpha = 1 - p; `factor` is the step in units of sqrt(p) / L, L the constant
    of the components.
    """

    name: ClassVar[str] = "vr-extragradient"

    def eta(self, problem: Inclusion) -> float:
        """Return the step, sqrt(1 - alpha) / L in units of `factor`."""
        op = problem.op
        constant, took = op.constant("resolvent", problem.u0, np.random.default_rng(0))
        problem.charge(took)
        return self.factor / (op.n**0.5 * constant)

    def iterate(self, problem: Inclusion, state: BaselineState) -> None:
        """Up to n / 2 inner steps, of two components each; a snapshot every n on average."""
        op, resolvent, tau = problem.op, problem.resolvent, self.eta(problem)
        p = 1.0 / max(op.n, 2)
        if state.k == 0:
            state.before = state.u.copy()
            state.at_snapshot = self.at(problem, state, state.before)
        size = max(op.n // 2, 1)
        drawn, snapshots = op.draw(state.rng, size), state.rng.random(size) < p
        problem.charge(2 * size)
        for s in range(size):
            mean = (1 - p) * state.u + p * state.before
            half = resolvent(mean - tau * state.at_snapshot, tau)
            change = op.difference(drawn[s : s + 1], half, state.before)
            state.u = resolvent(mean - tau * (state.at_snapshot + change), tau)
            if snapshots[s]:
                state.before = state.u.copy()
                state.at_snapshot = self.at(problem, state, state.before)


@dataclass(frozen=True)
class ForwardBackward(Baseline):
    """Gradient descent with a resolvent: u = J(u - eta F(u)), for cocoercive F."""

    name: ClassVar[str] = "gradient-descent-inclusion"
    factor: float = 1.0

    def iterate(self, problem: Inclusion, state: BaselineState) -> None:
        """One evaluation of F."""
        eta = self.eta(problem)
        state.u = problem.resolvent(state.u - eta * self.at(problem, state, state.u), eta)


@dataclass(frozen=True)
class Nesterov(Baseline):
    """Nesterov's accelerated gradient method, where F is the gradient of a convex function."""

    name: ClassVar[str] = "nesterov-inclusion"
    factor: float = 1.0

    def iterate(self, problem: Inclusion, state: BaselineState) -> None:
        """One evaluation of F."""
        eta = self.eta(problem)
        ahead = state.u + state.k / (state.k + 3) * (state.u - state.before)
        state.before = state.u
        state.u = problem.resolvent(ahead - eta * self.at(problem, state, ahead), eta)
