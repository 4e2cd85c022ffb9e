"""How a reward is chosen otherwise: fits to the utility, differences, and evolution.

A fit minimises sum_(s,a) w(s, a) (u(s, a) - r_nu(s, a))^2 over a reward that is linear in nu, with
equal weights, or with those of the agent that it makes itself. How much an agent with entropy heeds
a reward depends on its scale, so both search for that too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import real, whole
from ...core.errors import ArgumentError, WrongProblem
from ...core.problem import Method, Problem
from .problem import RewardDesign

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class SearchState:
    """Where a baseline stands.

    Attributes:
        nu: (k,) the point of now.
        best: (k,) the best so far.
        value: Its expected utility.
        k: Steps so far.
    """

    nu: Float[np.ndarray, " k"]
    best: Float[np.ndarray, " k"]
    value: float = -np.inf
    k: int = 0


def least_squares(
    problem: RewardDesign, weights: Float[np.ndarray, "S A"], name: str
) -> Float[np.ndarray, " k"]:
    """Return the nu whose reward is nearest to the utility.

    Raises:
        WrongProblem: The reward is not linear in nu.
    """
    features = problem.lower.features
    if features is None:
        raise WrongProblem(f"method {name} fits rewards that are features @ nu, got a function")
    root = np.sqrt(weights).ravel()
    rows = features.reshape(len(root), -1) * root[:, None]
    return np.linalg.lstsq(rows, problem.utility.ravel() * root, rcond=None)[0]


@dataclass(frozen=True)
class Baseline(Method):
    """What all baselines of a `RewardDesign` share: the best so far is the answer."""

    solves: ClassVar[type[Problem]] = RewardDesign

    def init(self, problem: RewardDesign, rng: np.random.Generator) -> SearchState:
        """Stand at the start; evaluate nothing."""
        return SearchState(problem.nu0.copy(), problem.nu0.copy())

    def keep(self, problem: RewardDesign, state: SearchState, nu: np.ndarray) -> float:
        """Evaluate nu, charged, and keep it where it is the best."""
        value = problem.value(nu)
        self.note(state, nu, value)
        return value

    def note(self, state: SearchState, nu: np.ndarray, value: float) -> bool:
        """Keep nu where it is the best; return whether it is."""
        better = value > state.value
        if better:
            state.value, state.best = value, np.array(nu)
        return better

    def answer(self, problem: RewardDesign, state: SearchState) -> Float[np.ndarray, " k"]:
        """The best so far."""
        return state.best.copy()


@dataclass(frozen=True)
class RewardFit(Baseline):
    """The fit with equal weights, at one scale a step, and the best of them.

    Attributes:
        scales: How many scales are tried, the same factor apart.
        smallest: The first of them.
        largest: The last of them.
    """

    name: ClassVar[str] = "reward-fit"

    scales: int = 60
    smallest: float = 0.1
    largest: float = 100.0

    def __post_init__(self) -> None:
        whole("scales", self.scales, least=1)
        real("smallest", self.smallest, above=0)
        real("largest", self.largest, above=0)
        if self.largest < self.smallest:
            raise ArgumentError(
                f"smallest={self.smallest:g}, largest={self.largest:g}: expected the former below"
            )

    def scale(self, k: int) -> float:
        """Return scale number k."""
        return self.smallest * (self.largest / self.smallest) ** (k / max(self.scales - 1, 1))

    def step(self, problem: RewardDesign, state: SearchState) -> SearchState:
        """Try the next scale."""
        if state.k == 0:
            state.nu = least_squares(problem, np.ones(problem.utility.shape), self.name)
        self.keep(problem, state, self.scale(state.k) * state.nu)
        state.k += 1
        return state

    def done(self, problem: RewardDesign, state: SearchState) -> str | None:
        """When all scales were tried."""
        return f"all {self.scales} scales are through" if state.k >= self.scales else None


@dataclass(frozen=True)
class OccupancyFit(RewardFit):
    """The fit weighted by how often the agent that it makes comes by, again and again.

    Attributes:
        sweeps: Times that the weights are renewed at each scale.
    """

    name: ClassVar[str] = "reward-fit-occupancy"

    scales: int = 25
    sweeps: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("sweeps", self.sweeps, least=1)

    def step(self, problem: RewardDesign, state: SearchState) -> SearchState:
        """Renew the weights once, at a scale that stays for some steps."""
        lower, (scale, sweep) = problem.lower, divmod(state.k, self.sweeps)
        if sweep == 0:
            state.nu = least_squares(problem, np.ones(problem.utility.shape), self.name)
        nu = self.scale(scale) * state.nu
        value, policy = problem.solved(nu)
        self.note(state, nu, value)
        weights = (lower.visits(policy)[:, :, None] * policy).sum(axis=0)
        state.nu = least_squares(problem, weights + 1e-12, self.name)
        state.k += 1
        return state

    def done(self, problem: RewardDesign, state: SearchState) -> str | None:
        """When all scales were tried."""
        over = state.k >= self.scales * self.sweeps
        return f"all {self.scales} scales are through" if over else None


@dataclass(frozen=True)
class Differences(Baseline):
    """Ascent along central differences: two solves of the agent's problem for each parameter.

    Attributes:
        lr: Step.
        width: Half the distance of the two points.
    """

    name: ClassVar[str] = "reward-differences"

    lr: float = 0.3
    width: float = 1e-4

    def __post_init__(self) -> None:
        real("lr", self.lr, above=0)
        real("width", self.width, above=0)

    def step(self, problem: RewardDesign, state: SearchState) -> SearchState:
        """Make a step."""
        moves = self.width * np.eye(len(state.nu))
        slope = [
            (self.keep(problem, state, state.nu + m) - self.keep(problem, state, state.nu - m))
            / (2 * self.width)
            for m in moves
        ]
        state.nu = state.nu + self.lr * np.array(slope)
        return state
