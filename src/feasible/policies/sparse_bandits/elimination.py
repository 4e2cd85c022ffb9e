"""Elimination of sparse parameters: O(eps) error in queries that do not grow as exp(d).

Candidates are all supports of s features, each with a net of weights. The most optimistic candidate
names an arm; its reply either confirms the candidate, and the arm is within 2 tol of the best, or
refutes it with all that predict another reply.

References:
    Dong and Yang, Does sparsity help in learning misspecified linear bandits?, ICML 2023,
    arXiv 2303.16998. The order of the queries and the proof of the guarantee are our own: some
    candidate is within nu of theta, hence within eps + nu of every reply, so it is never dropped
    and its best value is within eps + nu of the best reward.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, FeasibleError, nearest
from ..bandit import unit_rows
from .compiled import best_arms, eliminate, leading, repeated, spread
from .nets import ball_net, net_size, sphere_net
from .settings import EliminationSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

FIRST_EPS = 0.05
"""Tried first where eps is not known."""
MOST_SPARSITY = 4
"""Tried last where the sparsity is not known."""


class ModelViolation(FeasibleError):
    """No candidate agrees with all replies: eps or the sparsity is too small for these rewards."""


class TooManyCandidates(ArgumentError):
    """More candidates than `max_candidates`."""


@dataclass(frozen=True)
class Candidates:
    """All parameters that are considered, and what each would reach.

    Attributes:
        supports: Features that have weights.
        net: Weights.
        values: V, the best prediction over all arms.
        arms: Which arm has it.
        once: 1 where a candidate stands under no other support before.
    """

    supports: Int[np.ndarray, "S s"]
    net: Float[np.ndarray, "n s"]
    values: Float[np.ndarray, "S n"]
    arms: Int[np.ndarray, "S n"]
    once: UInt8[np.ndarray, "S n"]

    @classmethod
    def of(
        cls, features: Float[np.ndarray, "K d"], s: int, nu: float, net: str, most: int
    ) -> Candidates:
        """Make all candidates.

        Args:
            features: Of the arms.
            s: Features with weights.
            nu: Radius of the net.
            net: "ball" or "sphere".
            most: More are refused.

        Raises:
            ArgumentError: s > d.
            TooManyCandidates: The count, before memory is taken.
        """
        d = features.shape[1]
        if s > d:
            raise ArgumentError(f"sparsity={s}: expected at most {d}, the features")
        count = math.comb(d, s) * net_size(s, nu, net)
        if count > most:
            raise TooManyCandidates(
                f"max_candidates={most}: C({d}, {s}) supports times a net of about "
                f"{net_size(s, nu, net):.0f} points make {count:.3g}; expected a smaller sparsity, "
                "a larger radius, or a larger max_candidates"
            )
        points = ball_net(s, nu) if net == "ball" else sphere_net(s, nu)
        supports = np.array([*itertools.combinations(range(d), s)], dtype=np.int64)
        shape = len(supports), len(points)
        values, arms = np.empty(shape), np.empty(shape, dtype=np.int32)
        best_arms(np.ascontiguousarray(features), supports, points, values, arms)
        once = np.ones(shape, dtype=np.uint8)
        repeated(supports, points, once)
        return cls(supports, points, values, arms, once)


@dataclass
class EliminationState:
    """Where a search stands.

    Attributes:
        eps: Assumed now.
        s: Assumed now.
        alive: 1 for each candidate that no reply has refuted.
        asked: Arms that were queried.
        replies: Their replies.
        waiting: An arm that was asked for and not told, -1 where there is none.
        leader: Support and weights of the most optimistic candidate, by their rows, when that arm
            was asked for.
        choice: The arm that was found, -1 before.
        support: Features of the parameter that it was found by.
        weights: Its weights.
        left: Candidates that are left.
        ended: Why it ended; empty before.
    """

    eps: float
    s: int
    alive: UInt8[np.ndarray, "S n"]
    asked: list[int] = field(default_factory=list)
    replies: list[float] = field(default_factory=list)
    waiting: int = -1
    leader: tuple[int, int] = (-1, -1)
    choice: int = -1
    support: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    left: int = 0
    ended: str = ""


@dataclass(frozen=True)
class EliminationResult:
    """What a search found.

    Attributes:
        action: The arm.
        n_queries: Queries, repetitions included.
        theta: (d,) the parameter that it was chosen by.
        guarantee: How far it is below the best at most, if the model holds; None where eps
            or the sparsity was searched for.
        survivors: Candidates that no reply refuted.
        asked: The arms that were queried, in order.
        replies: Their replies.
    """

    action: int
    n_queries: int
    theta: Float[np.ndarray, " d"]
    guarantee: float | None
    survivors: int
    asked: tuple[int, ...]
    replies: tuple[float, ...]


class SparseElimination:
    """Find an arm within 2 (eps + nu) of the best by `ask` and `tell`, or by `run`.

    Args:
        features: (K, d), rows of length 1 at most; longer ones are divided, with a warning.
        noise_std: Standard deviation of a reply; it is then a mean over `repeats` pulls.
        settings: Any of EliminationSettings by name.

    Raises:
        ShapeError: Features that are no matrix.
        ArgumentError: A sparsity above d.
        TooManyCandidates: Before memory is taken.

    Example:
        >>> import numpy as np
        >>> arms = np.vstack([np.eye(6), -np.eye(6)])
        >>> rewards = arms @ np.array([0, 0.2, 0, -0.9, 0, 0])
        >>> found = SparseElimination(arms, sparsity=2, eps=0.05).run(lambda i: rewards[i])
        >>> found.action, found.n_queries <= 12
        (9, True)
    """

    def __init__(self, features: Any, noise_std: float = 0.0, **settings: Any):
        self.features, self.scale = unit_rows("features", features)
        self.noise_std = real("noise_std", noise_std, least=0)
        for name in settings:
            if name not in EliminationSettings.__dataclass_fields__:
                known = EliminationSettings.__dataclass_fields__
                raise ArgumentError(f"{name}: {nearest(name, known)}")
        self.settings = EliminationSettings(**settings)
        self._tables: dict[tuple[int, float], Candidates] = {}
        self.state = self.start()
        self.n_queries = 0

    # -- what is assumed ---------------------------------------------------------------------------

    def table(self, s: int, eps: float) -> Candidates:
        """The candidates for a sparsity and a bound, made once."""
        if (s, eps) not in self._tables:
            nu = self.settings.radius or eps
            most = self.settings.max_candidates
            self._tables = {(s, eps): Candidates.of(self.features, s, nu, self.settings.net, most)}
        return self._tables[s, eps]

    def start(self) -> EliminationState:
        """Nothing is known."""
        eps, s = self.settings.eps or FIRST_EPS, self.settings.sparsity or 1
        table = self.table(s, eps)
        return EliminationState(eps, s, table.once.copy(), left=int(table.once.sum()))

    def tolerance(self, state: EliminationState) -> float:
        """eps + nu, and the noise's eps."""
        nu = self.settings.radius or state.eps
        return state.eps + nu + (state.eps if self.noise_std else 0.0)

    @property
    def searched(self) -> bool:
        """Whether eps or the sparsity is searched for, so that nothing is guaranteed."""
        return self.settings.eps is None or self.settings.sparsity is None

    @property
    def repeats(self) -> int:
        """Pulls of the next query: enough for its mean to be within eps, each time with a failure
        that all together have probability p: 2 sigma^2 ln(pi^2 t^2 / (3 p)) / eps^2.
        """
        if not self.noise_std:
            return 1
        t = len(self.state.asked) + 1
        many = 2 * self.noise_std**2 * math.log(math.pi**2 * t**2 / (3 * self.settings.p))
        return max(1, math.ceil(many / self.state.eps**2))

    # -- asking and telling ------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether an arm is found, or nothing agrees with the replies."""
        return bool(self.state.ended)

    def ask(self) -> int | None:
        """The arm to query next; None where it is done."""
        state = self.state
        if state.waiting < 0 and not state.ended:
            self._propose()
        return None if state.ended else state.waiting

    def tell(self, arm: int, reply: float) -> None:
        """Take a reply, also of an arm that was not asked for.

        Args:
            arm: Its row.
            reply: Its reward, or the mean of `repeats` pulls.

        Raises:
            ArgumentError: No such arm.
            NotFinite: A reply that is no number.
        """
        arm = whole("arm", arm, least=0, most=len(self.features) - 1)
        reply = real("reply", reply)
        state = self.state
        expected = state.waiting == arm and self.settings.order == "optimistic"
        state.asked.append(arm)
        state.replies.append(reply)
        state.waiting = -1
        if state.ended:
            return
        if expected:
            table, (i, c) = self.table(state.s, state.eps), state.leader
            predicted = float(self.features[arm, table.supports[i]] @ table.net[c])
            if abs(predicted - reply) <= self.tolerance(state):
                self._strike(arm, reply)
                self._found(arm, i, c, "the best candidate's prediction was confirmed")
                return
        self._strike(arm, reply)

    def _leader(self) -> tuple[int, int]:
        """The most optimistic candidate."""
        table = self.table(self.state.s, self.state.eps)
        i, c = leading(table.values, self.state.alive)
        return int(i), int(c)

    def _strike(self, arm: int, reply: float) -> None:
        """Drop what the reply refutes."""
        state, table = self.state, self.table(self.state.s, self.state.eps)
        row = np.ascontiguousarray(self.features[arm])
        tol = self.tolerance(state)
        state.left = int(eliminate(row, reply, tol, table.supports, table.net, state.alive))

    def _propose(self) -> None:
        """Choose the next arm, or end."""
        state = self.state
        while not state.left:
            if not self._assume_more():
                state.ended = "no candidate agrees with all replies"
                return
        table = self.table(state.s, state.eps)
        if self.settings.order == "disagreement":
            arm, apart = spread(self.features, table.supports, table.net, state.alive)
            if apart <= 4 * self.tolerance(state) or int(arm) in state.asked:
                i, c = self._leader()
                self._found(int(table.arms[i, c]), i, c, "the candidates agree on all arms")
                return
            state.waiting = int(arm)
            return
        state.leader = i, c = self._leader()
        arm = int(table.arms[i, c])
        if arm in state.asked:
            self._found(arm, i, c, "the best candidate's arm was queried already")
            return
        state.waiting = arm

    def _assume_more(self) -> bool:
        """Where no candidate is left: a larger bound or sparsity, with all replies; False where
        neither is searched for.
        """
        state = self.state
        if self.settings.eps is None and state.eps < 2:
            state.eps *= 2
        elif self.settings.sparsity is None and state.s < min(
            MOST_SPARSITY, self.features.shape[1]
        ):
            state.s += 1
        else:
            return False
        table = self.table(state.s, state.eps)
        state.alive, state.left = table.once.copy(), int(table.once.sum())
        for arm, reply in zip(state.asked, state.replies, strict=True):
            self._strike(arm, reply)
        return True

    def _found(self, arm: int, i: int, c: int, why: str) -> None:
        """End with an arm and the candidate that it was found by."""
        state, table = self.state, self.table(self.state.s, self.state.eps)
        state.choice, state.ended = arm, why
        state.support = table.supports[i].tolist()
        state.weights = table.net[c].tolist()

    # -- results -----------------------------------------------------------------------------------

    @property
    def guarantee(self) -> float | None:
        """2 tol once an arm is found, in the rewards' unit; None where nothing is guaranteed. By
        disagreement it is 6 tol: predictions of what is left may differ by 4 tol, and each is
        within tol of a reward.
        """
        if self.searched or self.state.choice < 0:
            return None
        times = 2 if self.settings.order == "optimistic" else 6
        return times * self.tolerance(self.state)

    @property
    def best(self) -> int:
        """The arm to play now: what was found, else the best reply, else the most optimistic arm;
        -1 where there is none.
        """
        state = self.state
        if state.choice >= 0:
            return state.choice
        if state.replies:
            return state.asked[int(np.argmax(state.replies))]
        i, c = self._leader()
        return int(self.table(state.s, state.eps).arms[i, c]) if i >= 0 else -1

    def run(self, query: Callable[[int], float]) -> EliminationResult:
        """Query until an arm is found.

        Args:
            query: An arm to its reward; called `repeats` times for each query where replies are
                noisy.

        Raises:
            ModelViolation: No candidate agrees with all replies.
        """
        if not callable(query):
            raise ArgumentTypeError(f"query={query!r:.60}: expected a function of an arm")
        while (arm := self.ask()) is not None:
            times = self.repeats
            self.n_queries += times
            self.tell(arm, float(np.mean([query(arm) for _ in range(times)])))
        state = self.state
        if state.choice < 0:
            raise ModelViolation(
                f"eps={state.eps:g} and sparsity={state.s}: no candidate agrees with all "
                f"{len(state.replies)} replies; expected a larger eps or sparsity"
            )
        theta = np.zeros(self.features.shape[1])
        theta[state.support] = state.weights
        return EliminationResult(
            state.choice,
            self.n_queries,
            theta,
            self.guarantee,
            state.left,
            tuple(state.asked),
            tuple(state.replies),
        )
