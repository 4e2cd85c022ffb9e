"""Gradient descent along a token's walk, as methods of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import real
from ...core.problem import Method, Problem
from .problem import TokenProblem
from .settings import WalkSettings
from .token import stepping
from .walk import (
    DepthFirstTour,
    IndependentSampling,
    NonBacktrackingWalk,
    SelfRepellentWalk,
    Trajectory,
    Walk,
)

if TYPE_CHECKING:
    from jaxtyping import Float

HOPS = 100
"""Hops of a step of a run."""


@dataclass(slots=True)
class TokenState:
    """Where a token's run stands.

    Attributes:
        walk: Its walk.
        theta: (d,).
        hops: Hops so far.
        uses: Gradients so far.
    """

    walk: Trajectory
    theta: Float[np.ndarray, " d"]
    hops: int = 0
    uses: int = 0


class TokenMethod(Method):
    """A token's walk with gradient steps, `HOPS` hops a step of the run. Base of the methods here.

    Attributes:
        walk: The class of the walk.
        chain: The chain underneath.
        b: Exponent of beta_n.
    """

    solves: ClassVar[type[Problem]] = TokenProblem
    walk: ClassVar[type[Walk]]
    b: float

    @property
    def under(self) -> str:
        """Name of the chain underneath."""
        return "simple"

    @property
    def walking(self) -> WalkSettings:
        """The settings of its walk."""
        return WalkSettings()

    def init(self, problem: TokenProblem, rng: np.random.Generator) -> TokenState:
        """Put the token on a node that is drawn; use nothing."""
        walk = self.walk.on(problem.chain(self.under, 0), problem.mu, self.walking, rng)
        return TokenState(walk.state, problem.theta0.copy())

    def step(self, problem: TokenProblem, state: TokenState) -> TokenState:
        """Hop on, up to the next change of the graph."""
        wanted = HOPS
        if problem.changed is not None:
            wanted = min(wanted, problem.period - state.hops % problem.period)
        chain = problem.chain(self.under, state.hops)
        walk = self.walk.on(chain, problem.mu, self.walking, state.walk)
        granted = problem.grant(wanted)
        if problem.changed is not None and state.hops and not state.hops % problem.period:
            walk.changed()
        before = int(state.walk.place[0])
        rows, used = walk.visits(granted)
        stepping(problem.gradient, walk, self.b)(state.theta, used, state.uses)
        moved = int((np.diff(rows, prepend=before) != 0).sum())
        problem.give_back(gradients=granted - len(used), messages=granted - moved)
        state.hops += granted
        state.uses += len(used)
        return state

    def answer(self, problem: TokenProblem, state: TokenState) -> Float[np.ndarray, " d"]:
        """Theta."""
        return state.theta.copy()


@dataclass(frozen=True)
class SelfRepellentToken(WalkSettings, TokenMethod):
    """A token on a self-repellent walk; alpha = 0 is the chain underneath. See `WalkSettings`.

    References:
        Hu, Doshi, Eun, ICLR 2024, arXiv 2401.09665.
    """

    name: ClassVar[str] = "sa-srrw"
    walk: ClassVar[type[Walk]] = SelfRepellentWalk

    @property
    def under(self) -> str:
        """Name of the chain underneath."""
        return self.base

    @property
    def walking(self) -> WalkSettings:
        """The settings of its walk."""
        return self


@dataclass(frozen=True)
class PlainToken(TokenMethod):
    """A token whose walk has no settings. Base of those that a self-repellent one is compared with.

    Attributes:
        b: Exponent of beta_n, in (0.5, 1].
    """

    b: float = WalkSettings.b

    def __post_init__(self) -> None:
        real("b", self.b, above=0.5, most=1)


class NonBacktrackingToken(PlainToken):
    """A token on a walk that does not turn back, its gradients weighted."""

    name: ClassVar[str] = "non-backtracking-walk"
    walk: ClassVar[type[Walk]] = NonBacktrackingWalk


class IndependentToken(PlainToken):
    """Nodes drawn independently from the target: what a token could do that reaches every node."""

    name: ClassVar[str] = "independent-sampling"
    walk: ClassVar[type[Walk]] = IndependentSampling

    @property
    def under(self) -> str:
        """Name of the chain whose law is the target."""
        return "metropolis"


class DepthFirstToken(PlainToken):
    """A token that tours the graph depth first, and uses each node once a tour."""

    name: ClassVar[str] = "depth-first-tour"
    walk: ClassVar[type[Walk]] = DepthFirstTour
