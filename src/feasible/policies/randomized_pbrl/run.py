"""PR-LSVI and PbTS as methods of runs, and as what proposes pairs for people to compare."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from ...core.problem import Method, Problem
from ..preferences import PreferenceMDP, Preferred
from .learner import PairLearner, PairState
from .pbts import Thompson
from .prlsvi import Randomized
from .settings import PbTSSettings, PRLSVISettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ...core.ledger import Observations

UNASKED = 200
"""Pairs in a row that nobody need be asked about, after which no more are looked for."""


class PairProposals(NamedTuple):
    """Pairs to compare.

    Attributes:
        x: (n, 4 H) state and action at each step, the first episode before the second.
        tag: (n,) the episode of learning that each is from.
    """

    x: Float[np.ndarray, "n d"]
    tag: Int[np.ndarray, " n"]


class PairMethod(Method):
    """A learner by pairs on a `PreferenceMDP`: a step is an episode of learning, of two
    trajectories and at most one question.
    """

    solves: ClassVar[type[Problem]] = PreferenceMDP
    asks: ClassVar[bool] = True
    kind: ClassVar[type[PairLearner]]

    def learner(self, problem: PreferenceMDP) -> PairLearner:
        """The learner for this problem, made once."""
        key = (type(self).__name__, *(getattr(self, f.name) for f in fields(self)))
        world = problem.world
        found: PairLearner = problem.cached(
            key,
            lambda: self.kind(world.states, world.actions, problem.horizon, self),  # type: ignore[arg-type]
        )
        return found

    def init(self, problem: PreferenceMDP, rng: np.random.Generator) -> PairState:
        """Nothing is known."""
        return self.learner(problem).start(rng)

    def pair(self, problem: PreferenceMDP, state: PairState) -> Int[np.ndarray, "2 H 2"]:
        """Two episodes of the policies that are now compared, charging 2 H transitions."""
        world = problem.world
        both = [state.policy, state.other]
        each = np.eye(world.actions)
        return np.concatenate([world.follow(each[pi], 1, state.rng).pairs for pi in both])

    def step(self, problem: PreferenceMDP, state: PairState) -> PairState:
        """An episode of learning."""
        learner = self.learner(problem)
        learner.propose(state)
        pair = self.pair(problem, state)
        x = learner.difference(pair)
        wanted, figure = learner.wants(state, x)
        label = problem.prefer(pair[0], pair[1], state.asked) if wanted else None
        learner.learn(state, pair, x, figure, label)
        return state

    def ask(self, problem: PreferenceMDP, state: PairState, n: int | None = None) -> PairProposals:
        """Propose pairs for people to compare: of simulated episodes those that are uncertain."""
        learner = self.learner(problem)
        found, tags, idle = list[np.ndarray](), list[int](), 0
        while len(found) < (n or 1) and idle < UNASKED:
            learner.propose(state)
            pair = self.pair(problem, state)
            x = learner.difference(pair)
            wanted, _ = learner.wants(state, x)
            idle = 0 if wanted else idle + 1
            if wanted:
                learner.weighed(state, x)
                found.append(pair.reshape(-1).astype(float))
                tags.append(state.t)
            learner.walked(state, pair)
        rows = np.array(found).reshape(len(found), 4 * problem.horizon)
        return PairProposals(rows, np.array(tags, dtype=np.int64))

    def tell(self, problem: PreferenceMDP, state: PairState, seen: Observations) -> None:
        """Learn from what people said, in any order, also of pairs that they chose themselves."""
        learner = self.learner(problem)
        for pair, label, tag in zip(*problem.told(seen), strict=True):
            x = learner.difference(pair)
            if tag < 0:
                learner.weighed(state, x)
            learner.labelled(state, pair, float(label), np.nan)
        learner.refit(state)
        state.fitted = state.asked

    def answer(self, problem: PreferenceMDP, state: PairState) -> Preferred:
        """The last policy, with what it took."""
        return self.learner(problem).answer(state)

    def remarks(self, problem: PreferenceMDP, state: PairState) -> list[str]:
        """How many of the pairs were asked about."""
        return [f"{state.asked} of {state.t} pairs were asked about"] if state.t else []


@dataclass(frozen=True)
class PRLSVIMethod(PRLSVISettings, PairMethod):
    """PR-LSVI with one-hot features; see PRLSVISettings."""

    name: ClassVar[str] = "pr-lsvi"
    kind: ClassVar[type[PairLearner]] = Randomized


@dataclass(frozen=True)
class PbTSMethod(PbTSSettings, PairMethod):
    """PbTS with Dirichlet rows; see PbTSSettings."""

    name: ClassVar[str] = "pbts"
    kind: ClassVar[type[PairLearner]] = Thompson
