"""What sparse elimination is raced with: methods that fit a linear function to some queries.

Each is one arm a step. `RandomArms` draws them; `LeastSquaresDesign` takes as many as there are
features, by pivoted QR; `Pursuit`, `Lasso` and `SparseRegression` fit sparse parameters to random
arms; `LinUCB` and `OFUL` are optimistic about a ridge regression; `GOptimal` eliminates arms in
phases, by optimal designs, with an error of O(eps sqrt(d)).

References:
    Li et al., A contextual-bandit approach to personalized news article recommendation (2010);
    Abbasi-Yadkori, Pál and Szepesvári, Improved algorithms for linear stochastic bandits (2011);
    Lattimore, Szepesvári and Weisz, Learning with good feature representations in bandits (2020).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.optimize import linprog

from ...core.checks import fraction, real, whole
from ...core.problem import Method, Problem
from ..bandit import Bandit, Choice
from .design import kiefer_wolfowitz, pivoted

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass
class QueryState:
    """What was asked and replied.

    Attributes:
        order: Arms in the order in which they are to be queried, where that is known beforehand.
        asked: Arms that were queried.
        replies: Their replies.
    """

    order: Int[np.ndarray, " n"]
    asked: list[int] = field(default_factory=list)
    replies: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class RidgeState(QueryState):
    """Also a ridge regression on the replies.

    Attributes:
        inverse: Of ridge I + sum phi phi^T.
        pulled: Sum of reply times phi.
    """

    inverse: Float[np.ndarray, "d d"]
    pulled: Float[np.ndarray, " d"]


@dataclass(kw_only=True)
class PhaseState(QueryState):
    """Also where elimination in phases stands.

    Attributes:
        alive: Arms that are left.
        phase: Its number, from 0 on.
        begin: Replies before this phase.
    """

    alive: Int[np.ndarray, " m"]
    phase: int = 0
    begin: int = 0


@dataclass(frozen=True)
class LinearBandit(Method):
    """One query a step, and an answer by a fit of all replies.

    `arm` says which, `predictions` what is predicted of all arms; the state is a QueryState, or one
    that a method derives from it.
    """

    solves: ClassVar[type[Problem]] = Bandit
    name: ClassVar[str] = "linear-bandit"

    def init(self, problem: Bandit, rng: np.random.Generator) -> QueryState:
        """Random arms, each once."""
        return QueryState(rng.permutation(len(problem.features)))

    def arm(self, problem: Bandit, state: Any) -> int:
        """The arm to query next."""
        return int(state.order[len(state.asked) % len(state.order)])

    def predictions(self, problem: Bandit, state: Any) -> Float[np.ndarray, " K"] | None:
        """Predicted rewards; None where there is no model."""
        return None

    def step(self, problem: Bandit, state: Any) -> QueryState:
        """Query an arm."""
        arm = self.arm(problem, state)
        reply = problem.query(arm)
        state.asked.append(arm)
        state.replies.append(reply)
        return state

    def answer(self, problem: Bandit, state: QueryState) -> Choice:
        """The arm of the best prediction; without a model that of the best reply; before any reply
        the one that is asked for first.
        """
        if not state.asked:
            return Choice(self.arm(problem, state))
        found = self.predictions(problem, state)
        if found is None:
            return Choice(state.asked[int(np.argmax(state.replies))])
        return Choice(int(np.argmax(found)))

    def done(self, problem: Bandit, state: Any) -> str | None:
        """When every arm was queried once."""
        if len(state.asked) >= len(problem.features) and not problem.noise_std:
            return "every arm was queried"
        return None

    def sparse(self, problem: Bandit) -> int:
        """The sparsity: its setting, else the problem's, else 2."""
        return min(getattr(self, "sparsity", None) or problem.sparsity or 2, problem.d)


@dataclass(frozen=True)
class RandomArms(LinearBandit):
    """The best of random arms."""

    name: ClassVar[str] = "random-arms"


@dataclass(frozen=True)
class LeastSquaresDesign(LinearBandit):
    """Least squares on as many arms as there are features, chosen by QR with pivots; then random
    arms, which are added to the fit.
    """

    name: ClassVar[str] = "least-squares-design"

    def init(self, problem: Bandit, rng: np.random.Generator) -> QueryState:
        """The design first."""
        first = pivoted(problem.features)
        rest = rng.permutation(np.setdiff1d(np.arange(len(problem.features)), first))
        return QueryState(np.concatenate([first, rest]))

    def predictions(self, problem: Bandit, state: QueryState) -> Float[np.ndarray, " K"] | None:
        """By least squares; none of the smallest length where there are fewer replies."""
        theta, *_ = np.linalg.lstsq(problem.features[state.asked], state.replies, rcond=None)
        return np.asarray(problem.features @ theta)


@dataclass(frozen=True)
class Pursuit(LinearBandit):
    """Orthogonal matching pursuit on random arms: the feature that correlates most with what is
    left of the replies is added, and all weights are fitted anew, s times.

    Attributes:
        sparsity: s; None for the problem's, or 2.
    """

    name: ClassVar[str] = "omp-bandit"
    sparsity: int | None = None

    def __post_init__(self) -> None:
        if self.sparsity is not None:
            whole("sparsity", self.sparsity, least=1)

    def predictions(self, problem: Bandit, state: QueryState) -> Float[np.ndarray, " K"] | None:
        """By the pursuit."""
        phi, y = problem.features[state.asked], np.array(state.replies)
        size = np.maximum(np.linalg.norm(phi, axis=0), 1e-12)
        support: list[int] = []
        left, theta = y, np.zeros(0)
        for _ in range(min(self.sparse(problem), len(y))):
            score = np.abs(phi.T @ left) / size
            score[support] = -1
            support.append(int(np.argmax(score)))
            theta, *_ = np.linalg.lstsq(phi[:, support], y, rcond=None)
            left = y - phi[:, support] @ theta
        return np.asarray(problem.features[:, support] @ theta)


@dataclass(frozen=True)
class Lasso(LinearBandit):
    """LASSO on random arms, its penalty by cross-validation (scikit-learn), refitted on its
    support.

    Attributes:
        folds: Of the cross-validation; fewer replies than twice that many are fitted by least
            squares.
    """

    name: ClassVar[str] = "lasso-bandit"
    folds: int = 5

    def __post_init__(self) -> None:
        whole("folds", self.folds, least=2)

    def predictions(self, problem: Bandit, state: QueryState) -> Float[np.ndarray, " K"] | None:
        """By the refitted support."""
        from sklearn.linear_model import LassoCV

        phi, y = problem.features[state.asked], np.array(state.replies)
        support = np.arange(problem.d)
        if len(y) >= 2 * self.folds and np.ptp(y) > 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = LassoCV(cv=self.folds, fit_intercept=False, alphas=30, random_state=0).fit(
                    phi, y
                )
            support = np.flatnonzero(found.coef_)
        theta, *_ = np.linalg.lstsq(phi[:, support], y, rcond=None)
        return np.asarray(problem.features[:, support] @ theta)


@dataclass(frozen=True)
class SparseRegression(LinearBandit):
    """The parameter of least |theta|_1 that misses no reply of random arms by more than eps, cut to
    s features and refitted to the smallest largest miss: two linear programs.

    Of features that are nearly orthogonal on few coordinates the error is O(sqrt(s) eps) with
    O(s log(d / s)) queries.

    Attributes:
        sparsity: s; None for the problem's, or 2.
        eps: What is missed at most; None for the problem's, or 0.1. Doubled where nothing fits.
    """

    name: ClassVar[str] = "l1-bandit"
    sparsity: int | None = None
    eps: float | None = None

    def __post_init__(self) -> None:
        if self.sparsity is not None:
            whole("sparsity", self.sparsity, least=1)
        if self.eps is not None:
            real("eps", self.eps, above=0)

    def predictions(self, problem: Bandit, state: QueryState) -> Float[np.ndarray, " K"] | None:
        """By both programs."""
        phi, y = problem.features[state.asked], np.array(state.replies)
        eps = self.eps or problem.eps or 0.1
        for _ in range(60):
            found = linprog(
                np.ones(2 * problem.d),
                np.block([[phi, -phi], [-phi, phi]]),
                np.concatenate([y + eps, eps - y]),
            )
            if found.status == 0:
                break
            eps *= 2
        theta = found.x[: problem.d] - found.x[problem.d :]
        support = np.sort(np.argsort(-np.abs(theta), kind="stable")[: self.sparse(problem)])
        part, one = phi[:, support], np.ones((len(y), 1))
        found = linprog(
            np.append(np.zeros(len(support)), 1.0),
            np.block([[part, -one], [-part, -one]]),
            np.concatenate([y, -y]),
            bounds=[(None, None)] * len(support) + [(0, None)],
        )
        return np.asarray(problem.features[:, support] @ found.x[:-1])


@dataclass(frozen=True)
class LinUCB(LinearBandit):
    """The arm of the largest prediction plus alpha times its uncertainty, by ridge regression.

    Attributes:
        alpha: Weight of the uncertainty.
        ridge: Of the regression.
    """

    name: ClassVar[str] = "linucb"
    alpha: float = 1.0
    ridge: float = 1.0

    def __post_init__(self) -> None:
        real("alpha", self.alpha, least=0)
        real("ridge", self.ridge, above=0)

    def init(self, problem: Bandit, rng: np.random.Generator) -> RidgeState:
        """No replies: the inverse of the ridge."""
        order = rng.permutation(len(problem.features))
        inverse = np.eye(problem.d) / self.ridge
        return RidgeState(order, inverse=inverse, pulled=np.zeros(problem.d))

    def weight(self, problem: Bandit, state: RidgeState) -> float:
        """Of the uncertainty."""
        return self.alpha

    def arm(self, problem: Bandit, state: RidgeState) -> int:
        """The most optimistic one, the first in a random order where several are."""
        phi, inverse = problem.features, state.inverse
        wide = np.sqrt(np.maximum(np.einsum("kd,kd->k", phi @ inverse, phi), 0))
        bound = phi @ (inverse @ state.pulled) + self.weight(problem, state) * wide
        return int(state.order[np.argmax(bound[state.order])])

    def step(self, problem: Bandit, state: RidgeState) -> RidgeState:
        """Query, and update the inverse by its rank-one formula."""
        super().step(problem, state)
        phi, inverse = problem.features[state.asked[-1]], state.inverse
        moved = inverse @ phi
        state.inverse = inverse - np.outer(moved, moved) / (1 + phi @ moved)
        state.pulled += state.replies[-1] * phi
        return state

    def predictions(self, problem: Bandit, state: RidgeState) -> Float[np.ndarray, " K"] | None:
        """None: the best reply is its answer where replies are exact, else the ridge's."""
        if not problem.noise_std:
            return None
        return np.asarray(problem.features @ (state.inverse @ state.pulled))

    def done(self, problem: Bandit, state: RidgeState) -> str | None:
        """Where the arm that it would query was, and replies are exact."""
        if problem.noise_std or not state.asked:
            return None
        repeats = self.arm(problem, state) in state.asked
        return "its next arm was queried already, and replies are exact" if repeats else None


@dataclass(frozen=True)
class OFUL(LinUCB):
    """The same with the weight of a confidence ellipsoid, sigma sqrt(ln det V / (delta^2 det
    ridge)) + sqrt(ridge) |theta|, for |theta| at most 1.

    Attributes:
        delta: Probability that the ellipsoid misses theta.
    """

    name: ClassVar[str] = "oful"
    delta: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("delta", self.delta, zero=False, one=False)

    def weight(self, problem: Bandit, state: RidgeState) -> float:
        """Of the ellipsoid; where replies are exact, the ridge's part alone."""
        _, small = np.linalg.slogdet(state.inverse * self.ridge)
        noisy = problem.noise_std * math.sqrt(max(-small - 2 * math.log(self.delta), 0.0))
        return self.alpha * (noisy + math.sqrt(self.ridge))


@dataclass(frozen=True)
class GOptimal(LinearBandit):
    """Phased elimination by G-optimal designs: in phase k each arm of the design is queried, and
    arms whose predictions are 2 (width + 2^-k) below the best are dropped.

    The error is O(eps sqrt(d)), sparse or not.

    Attributes:
        eps: What a linear function misses of the rewards; None for the problem's, or 0.1.
    """

    name: ClassVar[str] = "g-optimal"
    eps: float | None = None

    def __post_init__(self) -> None:
        if self.eps is not None:
            real("eps", self.eps, above=0)

    def init(self, problem: Bandit, rng: np.random.Generator) -> PhaseState:
        """The first design."""
        state = PhaseState(np.zeros(0, dtype=int), alive=np.arange(len(problem.features)))
        self._design(problem, state)
        return state

    def _design(self, problem: Bandit, state: PhaseState) -> None:
        """The arms of the next phase."""
        weights = kiefer_wolfowitz(problem.features[state.alive])
        times = 1
        if problem.noise_std:
            times = max(1, math.ceil((problem.noise_std * 2**state.phase) ** 2))
        chosen = np.repeat(state.alive[weights > 1e-9], times)
        state.order = np.concatenate([state.order, chosen]).astype(int)

    def arm(self, problem: Bandit, state: PhaseState) -> int:
        """The next one of the design."""
        return int(state.order[len(state.asked)])

    def fit(self, problem: Bandit, state: PhaseState, begin: int) -> Float[np.ndarray, " K"]:
        """Least squares on the replies from `begin` on."""
        phi = problem.features[state.asked[begin:]]
        theta, *_ = np.linalg.lstsq(phi, state.replies[begin:], rcond=None)
        return np.asarray(problem.features @ theta)

    def step(self, problem: Bandit, state: PhaseState) -> PhaseState:
        """Query; at the end of a phase drop arms and design the next."""
        super().step(problem, state)
        if len(state.asked) == len(state.order):
            predicted = self.fit(problem, state, state.begin)[state.alive]
            eps = self.eps or problem.eps or 0.1
            width = 2 * (eps * math.sqrt(2 * problem.d) + 2.0**-state.phase)
            state.alive = state.alive[predicted >= predicted.max() - width]
            state.phase, state.begin = state.phase + 1, len(state.asked)
            if self.done(problem, state) is None:
                self._design(problem, state)
        return state

    def predictions(self, problem: Bandit, state: PhaseState) -> Float[np.ndarray, " K"] | None:
        """Of the arms that are alive, by all replies."""
        found = self.fit(problem, state, 0)
        below = np.full(len(found), -np.inf)
        below[state.alive] = found[state.alive]
        return below

    def done(self, problem: Bandit, state: PhaseState) -> str | None:
        """Where a phase ended that could resolve eps."""
        eps = self.eps or problem.eps or 0.1
        if state.begin == len(state.asked) and 2.0 ** -(state.phase - 1) <= eps:
            return "the arms that are left are as good as eps tells"
        return "one arm is left" if len(state.alive) == 1 else None
