"""C-MORL, and the weighted sums that it begins with, as methods of a run: a step is an update of
all policies of the population.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from ...core.checks import whole
from ...core.errors import WrongProblem
from ...core.problem import Problem
from ..answers import NetworkPolicy, PolicyFront, network_policy
from ..control import Control
from ..decisions import Learner, planned_steps
from .archive import Archive
from .collect import Walk, collect, evaluate, prior, shape_of
from .members import CLIP, Members, Shape, unpack
from .metrics import simplex
from .ppo import Goals, update
from .settings import CMORLSettings, TrainingSettings

DELTAS = {2: 0.2, 3: 0.5}
"""Objectives -> distance of weights; 1 for more, which leaves the objectives alone."""
BUFFER, FEWER, MANY = 200, 40, 6
"""Policies that are kept; and of more rewards than six."""
SHARE = 0.1
"""Of the transitions, that evaluations may take."""


@dataclass(slots=True)
class SearchState:
    """Where a search for a front is.

    Attributes:
        rng: Of seeds.
        draws: Of actions, minibatches and weights.
        members: The population that is trained now.
        goals: What for.
        walk: Where its copies are.
        archive: The policies that are kept.
        total: Transitions that the plan is for.
        paid: Transitions so far, evaluations included.
        judged: What an evaluation of a policy takes: as the last one did, before the first as
            episodes of the training would.
        since: Transitions since the last evaluation.
        episodes: Episodes that ended in the training.
        key: Of the evaluations' episodes.
        rounds: 0 in the first stage.
        updates: Of this round.
        ended: Why it ended.
    """

    rng: np.random.Generator
    draws: torch.Generator
    members: Members
    goals: Goals
    walk: Walk
    archive: Archive
    total: int
    key: int
    paid: int = 0
    judged: float = 0.0
    since: int = 0
    episodes: int = 0
    rounds: int = 0
    updates: int = 0
    ended: str = ""


@dataclass(frozen=True)
class LinearScalarisation(TrainingSettings, Learner):
    """Train a policy for each of evenly spread weights by proximal policy optimisation, all at
    once, and keep what nothing dominates of all that was evaluated; see TrainingSettings.

    Attributes:
        total_steps: Transitions that the plan is for; None: the run's budget.
    """

    total_steps: int | None = None
    name: ClassVar[str] = "linear-scalarisation"
    solves: ClassVar[type[Problem]] = Control
    several: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("torch", "gymnasium")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.total_steps is not None:
            whole("total_steps", self.total_steps, least=1)

    def check_problem(self, problem: Problem) -> None:
        """Raise WrongProblem where there is one reward."""
        super().check_problem(problem)
        if not problem.several:
            raise WrongProblem(
                f"method {self.name} is for several rewards at once, '{problem.name}' has one"
            )

    def init(self, problem: Control, rng: np.random.Generator) -> SearchState:
        """A fresh policy for each weight."""
        n, total = problem.spaces.rewards, self.total_steps or planned_steps(self.name)
        weights = simplex(n, self.delta_weight or DELTAS.get(n, 1.0))
        draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
        shape = shape_of(problem, self.hidden)
        members = Members.begin(len(weights), shape, draws, *prior(problem))
        key, first = (int(k) for k in rng.integers(2**31, size=2))
        none = torch.zeros(0, dtype=torch.int64)
        archive = Archive(members.take(none), np.zeros((0, n)), np.zeros((0, n)))
        walk = Walk.begin(problem, len(members) * self.n_envs, first)
        goals = Goals.weighted(weights)
        return SearchState(rng, draws, members, goals, walk, archive, total, key)

    # -- a step ------------------------------------------------------------------------------------

    def step(self, problem: Control, state: SearchState) -> SearchState:
        """Some transitions and an update of every policy; or an evaluation of all."""
        steps = self._affordable(problem, state)
        if steps:
            self._train(problem, state, steps)
        if not steps or self._due(state) or self._over(state):
            self._evaluate(problem, state)
            if not steps or self._over(state):
                self._next(problem, state)
        return state

    def _train(self, problem: Control, state: SearchState, steps: int) -> None:
        """Make an update of every policy."""
        shape = shape_of(problem, self.hidden)
        gamma = problem.discount if self.gamma is None else self.gamma
        before = len(state.members) * self.n_envs * steps
        lr, t, beta = self._push(state)
        state.paid += before
        state.since += before
        batch = collect(state.members, shape, problem, state.walk, steps, gamma, state.draws)
        if batch is None:
            state.ended = "the budget ended inside a step of all copies"
            return
        state.goals.settle(batch, beta)
        update(state.members, shape, state.goals, batch, self, gamma, lr, t, state.draws)
        state.updates += 1
        state.episodes += int(batch.ended.sum())
        if state.since == state.paid:  # nothing was evaluated yet
            begun = state.episodes + len(state.walk.copies)
            state.judged = self._episodes(problem) * state.since / begun
        if not state.members.theta.isfinite().all():
            state.ended = f"weights became NaN in update {state.updates} of round {state.rounds}"

    def _evaluate(self, problem: Control, state: SearchState) -> None:
        """Pay for episodes of every policy and keep what is worth it."""
        shape = shape_of(problem, self.hidden)
        episodes = self._episodes(problem)
        points, paid = evaluate(state.members, shape, problem, episodes, state.key)
        state.paid += paid
        state.since, state.judged = 0, paid / len(state.members)
        whole_ones = np.flatnonzero(np.isfinite(points).all(axis=1))
        kept = state.members.take(torch.as_tensor(whole_ones))
        most = self.buffer or (BUFFER if points.shape[1] <= MANY else FEWER)
        state.archive.add(kept, points[whole_ones], most, problem.reference)

    def _due(self, state: SearchState) -> bool:
        """Whether it is time for an evaluation."""
        if self.eval_every is not None:
            return state.updates % self.eval_every == 0
        return state.judged * len(state.members) <= SHARE * state.since

    def _episodes(self, problem: Control) -> int:
        """Episodes of an evaluation: as many as the judge plays, at most 5."""
        return self.eval_episodes or min(problem.final_episodes, 5)

    def _affordable(self, problem: Control, state: SearchState) -> int:
        """Transitions of each copy that the next update may have: n_steps, fewer in the last one;
        0 where the stage is over. What an evaluation costs is kept back.
        """
        copies = len(state.members) * self.n_envs
        left = self._until(state) - state.paid - state.judged * len(state.members)
        steps = min(self.n_steps, int(left // copies))
        return steps if 4 * steps >= self.n_steps else 0

    # -- what C-MORL does otherwise ----------------------------------------------------------------

    def _until(self, state: SearchState) -> float:
        """Transitions after which this stage is over."""
        return state.total

    def _over(self, state: SearchState) -> bool:
        """Whether a round is over."""
        return bool(state.ended)

    def _push(self, state: SearchState) -> tuple[float, float, float]:
        """Adam's rate, t and beta."""
        rate = self.lr * max(1 - state.paid / self._until(state), 0.0)
        return rate, 1.0, 1.0

    def _next(self, problem: Control, state: SearchState) -> None:
        """Go on to the next round."""
        state.ended = state.ended or "all updates that the budget pays for were made"

    # -- answers -----------------------------------------------------------------------------------

    def answer(self, problem: Control, state: SearchState) -> PolicyFront:
        """The policies that are kept; before the first evaluation those in training."""
        shape = shape_of(problem, self.hidden)
        found, points = state.archive.members, state.archive.points
        if not len(points):
            found = state.members
            points = np.full((len(found), shape.objectives), np.nan)
        policies = [exported(problem, shape, found, i) for i in range(len(found))]
        return PolicyFront.of(policies, points)

    def done(self, problem: Control, state: SearchState) -> str | None:
        """Why it ended."""
        return state.ended or None

    def remarks(self, problem: Control, state: SearchState) -> list[str]:
        """Whether anything reached the reference point."""
        if len(state.archive.points) or not state.updates:
            return []
        return [
            "no policy was above the reference point in all rewards: the last ones are returned"
        ]


@dataclass(frozen=True)
class ConstrainedExtension(CMORLSettings, LinearScalarisation):
    """C-MORL: policies for a few weights, then rounds in which some of those that are kept are
    pushed along each objective while a barrier keeps the others; see CMORLSettings.

    References:
        Liu et al., arXiv 2410.02236, Algorithm 1.
    """

    name: ClassVar[str] = "c-morl"

    def _until(self, state: SearchState) -> float:
        return state.total * (1.0 if state.rounds else self.init_fraction)

    def _over(self, state: SearchState) -> bool:
        return bool(state.ended) or (state.rounds > 0 and state.updates >= self.update_iter)

    def _push(self, state: SearchState) -> tuple[float, float, float]:
        if not state.rounds:
            return super()._push(state)
        return self.extension_lr or self.lr, self.barrier_t, self.beta

    def _next(self, problem: Control, state: SearchState) -> None:
        """Select policies, and push each along every objective."""
        if state.ended or (state.rounds and not self._affordable(problem, state)):
            return super()._next(problem, state)
        chosen = state.archive.select(self.n_select)
        n = problem.spaces.rewards
        if len(chosen):
            parents = state.archive.members.take(torch.as_tensor(chosen))
            state.members = parents.take(torch.arange(len(chosen)).repeat_interleave(n))
            spans = np.ptp(state.archive.points, axis=0)
            state.goals = Goals.pushes(len(chosen), spans, self.constraint == "ipo")
        state.walk.copies.close()
        many = len(state.members) * self.n_envs
        state.walk = Walk.begin(problem, many, int(state.rng.integers(2**31)))
        state.rounds, state.updates = state.rounds + 1, 0
        if not self._affordable(problem, state):
            super()._next(problem, state)
        return None


def exported(problem: Control, shape: Shape, members: Members, i: int) -> NetworkPolicy:
    """A policy as plain data, copied out."""
    arrays = [a[0] for a in unpack(members.theta[i : i + 1], shape.actor)]
    layers = [(arrays[k].T, arrays[k + 1]) for k in (0, 2, 4)]
    return network_policy(
        problem.spaces,
        "categorical" if shape.discrete else "gaussian",
        layers,
        "tanh",
        () if shape.discrete else arrays[6],
        members.seen.mean[i],
        members.seen.std[i],
        CLIP,
    )
