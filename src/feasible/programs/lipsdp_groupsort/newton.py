"""A primal-dual interior-point method for the inequality of a network:

    minimise cost' theta  subject to  M_b = M0 + R' Diag(S' theta) R >= 0,  low <= theta <= high
    maximise -sum_b tr(M0 X_b)  (bounds aside)  subject to  tr(F_i X) = cost_i,  X_b >= 0

with F_i = dM / dtheta_i. All F_i are sums of squares of rows of R with signs, so that the equations
of Newton's method need two Gram matrices and a product entry by entry, and no F_i is ever formed:

    tr(F_i X F_j M^{-1}) = [S ((R X R') o (R M^{-1} R')) S']_ij.

theta is feasible from the first iterate to the last: each is a certificate.

References:
    Helmberg, Rendl, Vanderbei, Wolkowicz, "An interior-point method for semidefinite programming",
    SIAM J. Optim. 6 (1996): the direction. Mehrotra, SIAM J. Optim. 2 (1992): the corrector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky, eigh, solve_triangular

from ...core.errors import Infeasible
from .certify import interior
from .lmi import LMI, NOT_WELL_POSED, Block
from .networks import spectral
from .settings import LipschitzSettings

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST_VALUE = 1e-9
"""Value, of a network scaled to 1, below which the gap is not made smaller."""
LARGEST = 1e7
"""Largest multiplier over the start's."""
NEAR = 0.95
"""Share of the way to the boundary that a step goes at most."""


@dataclass(slots=True)
class InteriorState:
    """Where the iteration stands.

    Attributes:
        theta: (p,) strictly feasible multipliers.
        X: (k, k) the dual of each block.
        below: (p,) the dual of theta >= low; 0 where there is no bound.
        above: (p,) the dual of theta <= high.
        steps: Steps so far.
        gap: Sum of slacks times duals: the distance to the optimum, once `error` is 0.
        error: Of the dual equations, relative.
        status: Why it is over; empty before.
    """

    theta: Float[np.ndarray, " p"]
    X: list[Float[np.ndarray, "k k"]]
    below: Float[np.ndarray, " p"]
    above: Float[np.ndarray, " p"]
    steps: int = 0
    gap: float = float("inf")
    error: float = float("inf")
    status: str = ""


def begin(lmi: LMI) -> tuple[LMI, InteriorState]:
    """Return the inequality with bounds on its multipliers, and a strictly feasible start.

    Raises:
        Infeasible: An implicit network that is not provably well-posed.
    """
    theta = interior(lmi, bounded_state(lmi) if lmi.system.loop else None)
    lmi = lmi.within(theta, LARGEST)
    return lmi, at(lmi, theta)


def order(lmi: LMI) -> int:
    """Return the number of complementary pairs."""
    bounds = np.isfinite(lmi.low).sum() + np.isfinite(lmi.high).sum()
    return sum(len(b.M0) for b in lmi.blocks) + int(bounds)


def at(lmi: LMI, theta: Float[np.ndarray, " p"]) -> InteriorState:
    """Return the state whose duals are mu M^{-1}, with mu from the objective."""
    mu = max(abs(float(lmi.cost @ theta)), 1e-12) / order(lmi)
    X = [mu * cho_solve((L, True), np.eye(len(L))) for L in factors(lmi, theta) or []]
    return InteriorState(theta, X, mu / (theta - lmi.low), mu / (lmi.high - theta))


def factors(lmi: LMI, theta: Float[np.ndarray, " p"]) -> list[np.ndarray] | None:
    """Return the Cholesky factor of each block; None where theta is not strictly feasible."""
    if not ((theta > lmi.low) & (theta < lmi.high)).all():
        return None
    try:
        return [cholesky(b.at(theta), lower=True) for b in lmi.blocks]
    except LinAlgError:
        return None


def room(L: Float[np.ndarray, "k k"], change: Float[np.ndarray, "k k"]) -> float:
    """Return the largest a for which L L' + a change is positive semidefinite."""
    half = solve_triangular(L, change, lower=True, check_finite=False)
    relative = solve_triangular(L, half.T, lower=True, check_finite=False)
    least = eigh((relative + relative.T) / 2, eigvals_only=True, subset_by_index=(0, 0))[0]
    return 1 / max(-float(least), 1e-12)


def ratio(value: Float[np.ndarray, " p"], change: Float[np.ndarray, " p"]) -> float:
    """Return the largest a for which value + a change >= 0; a value of 0 bounds nothing."""
    falling = (change < 0) & (value > 0) & np.isfinite(value)
    return float((-value[falling] / change[falling]).min(initial=1e12))


class Step(NamedTuple):
    """A step, and how far it may go.

    Attributes:
        theta: (p,) of theta, M: of each block, X: of its dual, below, above: of the bounds' duals.
        primal: Length for theta.
        dual: Length for the duals.
    """

    theta: Float[np.ndarray, " p"]
    M: list[Float[np.ndarray, "k k"]]
    X: list[Float[np.ndarray, "k k"]]
    below: Float[np.ndarray, " p"]
    above: Float[np.ndarray, " p"]
    primal: float
    dual: float


class Equations:
    """Newton's equations at a state; the factors of each block and of its dual are given.

    Raises:
        LinAlgError: They are singular in doubles.
    """

    def __init__(self, lmi: LMI, state: InteriorState, blocks: list[np.ndarray]) -> None:
        self.lmi, self.state, self.factors = lmi, state, blocks
        self.duals = [cholesky(X, lower=True) for X in state.X]
        theta, p = state.theta, len(state.theta)
        self.down, self.up = 1 / (theta - lmi.low), 1 / (lmi.high - theta)  # 0 without a bound
        self.inverses = [cho_solve((L, True), np.eye(len(L)), check_finite=False) for L in blocks]
        self.barrier = self.down - self.up  # the gradient of log det M and the bounds' logs
        B = np.zeros((p, p))
        for block, L, X in zip(lmi.blocks, blocks, state.X, strict=True):
            half = solve_triangular(L, block.R.T, lower=True, check_finite=False)
            G = half.T @ half
            self.barrier += block.S @ np.diag(G)
            B += block.S @ (block.S @ (G * (block.R @ X @ block.R.T))).T
        B[np.diag_indices(p)] += state.below * self.down + state.above * self.up
        self.size = 1 / np.sqrt(np.diag(B))
        B = self.size[:, None] * B * self.size
        B[np.diag_indices(p)] += 1e-13
        self.solved = cho_factor(B, check_finite=False)

    def step(self, mu: float, predicted: Step | None = None) -> Step:
        """Return the step to complementarity mu, with the second order of a predicted one."""
        lmi, state = self.lmi, self.state
        second = [np.zeros_like(X) for X in state.X]
        low = high = np.zeros_like(state.theta)
        if predicted is not None:
            low = predicted.theta * predicted.below * self.down
            high = -predicted.theta * predicted.above * self.up
            products = zip(predicted.X, predicted.M, self.inverses, strict=True)
            second = [symmetric(dX @ dM @ inverse) for dX, dM, inverse in products]
        right = mu * self.barrier - lmi.cost - low + high
        for block, Z in zip(lmi.blocks, second, strict=True):
            right = right - block.S @ ((block.R @ Z) * block.R).sum(1)
        theta = self.size * cho_solve(self.solved, self.size * right, check_finite=False)
        dM = [b.at(theta) - b.M0 for b in lmi.blocks]
        parts = zip(state.X, dM, self.inverses, second, strict=True)
        dX = [mu * inverse - X - symmetric(X @ D @ inverse) - Z for X, D, inverse, Z in parts]
        below = mu * self.down - state.below - state.below * self.down * theta - low
        above = mu * self.up - state.above + state.above * self.up * theta - high
        primal = [room(L, D) for L, D in zip(self.factors, dM, strict=True)]
        primal += [ratio(state.theta - lmi.low, theta), ratio(lmi.high - state.theta, -theta)]
        dual = [room(L, D) for L, D in zip(self.duals, dX, strict=True)]
        dual += [ratio(state.below, below), ratio(state.above, above)]
        lengths = (min(1.0, NEAR * min(primal)), min(1.0, NEAR * min(dual)))
        return Step(theta, dM, dX, below, above, *lengths)


def symmetric(A: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """Return the symmetric part."""
    return (A + A.T) / 2


def moved(state: InteriorState, step: Step) -> InteriorState:
    """Return the state after a step."""
    return InteriorState(
        state.theta + step.primal * step.theta,
        [X + step.dual * symmetric(D) for X, D in zip(state.X, step.X, strict=True)],
        state.below + step.dual * step.below,
        state.above + step.dual * step.above,
    )


def advance(lmi: LMI, settings: LipschitzSettings, state: InteriorState) -> None:
    """Make one predictor-corrector step."""
    blocks = factors(lmi, state.theta)
    state.status = "stalled"  # unless doubles can do more
    if blocks is None:
        return
    try:
        equations = Equations(lmi, state, blocks)
    except LinAlgError:
        return
    mu = gap_of(lmi, state) / order(lmi)
    predicted = equations.step(0.0)
    left = gap_of(lmi, moved(state, predicted)) / order(lmi) / mu
    step = equations.step(min(1.0, max(left, 0.0)) ** 2 * mu, predicted)
    after = moved(state, step)
    if factors(lmi, after.theta) is None:
        return
    state.theta, state.X, state.below, state.above = after.theta, after.X, after.below, after.above
    state.steps += 1
    state.gap, state.error = gap_of(lmi, state), dual_error(lmi, state)
    value = float(lmi.cost @ state.theta)
    share = 2 if lmi.norm == "l2" else 1  # the bound is the root of the value
    if max(state.gap, state.error * value) <= share * settings.tol * max(value, LEAST_VALUE):
        state.status = "optimal"
    elif max(step.primal, step.dual) >= 1e-8:
        state.status = ""


def gap_of(lmi: LMI, state: InteriorState) -> float:
    """Return the sum of slacks times duals."""
    total = sum(
        float((b.at(state.theta) * X).sum()) for b, X in zip(lmi.blocks, state.X, strict=True)
    )
    for side, slack, y in (
        (lmi.low, state.theta - lmi.low, state.below),
        (lmi.high, lmi.high - state.theta, state.above),
    ):
        bound = np.isfinite(side)
        total += float(slack[bound] @ y[bound])
    return total


def dual_error(lmi: LMI, state: InteriorState) -> float:
    """Return the largest error of the dual equations, each relative to its terms."""
    found = state.below - state.above
    terms = np.abs(lmi.cost) + state.below + state.above
    for block, X in zip(lmi.blocks, state.X, strict=True):
        diagonal = ((block.R @ X) * block.R).sum(1)
        found = found + block.S @ diagonal
        terms = terms + abs(block.S) @ np.abs(diagonal)
    return float((np.abs(found - lmi.cost) / np.maximum(terms, 1e-300)).max())


def bounded_state(lmi: LMI) -> Float[np.ndarray, " g"]:
    """Return lambda in (0, 1) with sum_g lambda_g (|d_g|^2 - |V_g d|^2) > 0 for all d != 0.

    They prove that an implicit network has one state for each input. Minimises s subject to
    s |d|^2 + (that sum) >= 0; s < 0 is the proof.

    Raises:
        Infeasible: There are none.
    """
    s = lmi.system
    m, g = len(s.V), s.n_groups
    weights = np.concatenate([np.zeros(m, int), 1 + s.groups, 1 + s.groups])
    signs = np.concatenate([np.ones(2 * m), -np.ones(m)])
    S = sparse.csr_array((signs, (weights, np.arange(3 * m))), (1 + g, 3 * m))
    V = s.V[:, s.n_x :]
    block = Block(np.zeros((m, m)), np.vstack([np.eye(m), np.eye(m), V]), S)
    is_lambda = np.arange(1 + g) > 0
    phase = LMI(
        s,
        "l2",
        (block,),
        1.0 - is_lambda,
        np.where(is_lambda, 0.0, -np.inf),
        np.where(is_lambda, 1.0, np.inf),
    )
    theta = np.full(1 + g, 0.5)
    theta[0] = 1 + spectral(V) ** 2 if m else -1.0
    state = at(phase, theta)
    while not state.status and state.theta[0] >= -1e-3:
        advance(phase, LipschitzSettings(tol=1e-8), state)
        if state.error < 1e-6 and state.gap < state.theta[0]:
            break  # the optimum is positive
    if state.theta[0] >= 0:
        raise Infeasible(NOT_WELL_POSED)
    return state.theta[1:]
