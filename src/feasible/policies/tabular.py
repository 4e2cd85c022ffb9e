"""TabularMDP: a finite Markov decision process, known or sampled.

    maximise over pi  J(pi) = E sum_(h < H) gamma^h R(s_h, a_h),   s_0 ~ start

An answer is a policy as a table. Methods that learn pay for each transition; exact ones read the
arrays. The judge computes J exactly, without noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.special import softmax

from ..core.annotations import Checked, checked
from ..core.budget import active_meter, spend
from ..core.cached import Cached
from ..core.checks import fits, floats, fraction, generator, naming, whole
from ..core.errors import ArgumentError, NotFinite, ShapeError
from ..core.limits import Limits
from ..core.verdict import Verdict
from .answers import NetworkPolicy
from .copies import Copies
from .decisions import Decisions, check_policy
from .exact import Known
from .spaces import Spaces
from .toy_text import transitions
from .walking import Cumulated, Episodes, returns, walk
from .world import World

if TYPE_CHECKING:
    from jaxtyping import Float, Int

STOCHASTIC = 1e-8
"""How far the sum of a row of probabilities may be from 1."""
TAIL = 1e-3
"""Without a horizon an episode is followed until gamma^H is at most this."""


def probabilities(name: str, value: Any) -> Float[np.ndarray, ...]:
    """Rows of probabilities as an array.

    Args:
        name: The argument, for errors.
        value: What was given.

    Raises:
        ArgumentTypeError: No numbers.
        NotFinite: A NaN or an infinity.
        ArgumentError: A negative entry, or a row whose sum is not 1.
    """
    p = floats(name, value)
    if not p.size:
        raise ShapeError(f"{name} has shape {p.shape}: expected at least one state and action")
    if not np.isfinite(p).all():
        raise NotFinite(f"{name} has a NaN or an infinity: expected probabilities")
    off = float(abs(p.sum(axis=-1) - 1).max()) if p.ndim else 1.0
    if p.min() < 0:
        raise ArgumentError(f"{name} has the entry {p.min():.3g}: expected probabilities")
    if off > STOCHASTIC:
        raise ArgumentError(
            f"{name} has a row whose sum differs from 1 by {off:.3g}: expected rows of "
            "probabilities, the next state last"
        )
    return p


@dataclass
class TabularMDP(Cached, Decisions, Checked):
    """Find the policy of the largest expected return in a finite Markov decision process.

    Attributes:
        P: (S, A, S) probabilities of the next state, or (H, S, A, S) where they depend on the step.
        R: (S, A) expected rewards, or (H, S, A).
        start: (S,) probabilities of the first state; None: all states alike.
        gamma: Discount.
        horizon: H, steps of an episode; None: no end, for gamma < 1.
        terminal: (S,) whether nothing more happens in a state: such steps are not charged.
        name: For tables.

    Raises:
        ShapeError: A shape does not fit.
        ArgumentError: Rows that are no probabilities; neither a horizon nor a discount; a terminal
            state that is left, or has a reward.
        NotFinite: A NaN or an infinity.

    Example:
        >>> stay_or_go = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]
        >>> world = TabularMDP(stay_or_go, [[0, -1], [2, 0]], (1, 0), gamma=0.9)
        >>> round(world.optimum, 6), world.best_policy().tolist()
        (17.0, [[0.0, 1.0], [1.0, 0.0]])
    """

    P: Any
    R: Any
    start: Any = None
    gamma: float = 1.0
    horizon: int | None = None
    terminal: Any = None
    name: str = "mdp"

    objective_title: ClassVar[str] = "expected return"
    trail_growth: float = 1.2

    def __post_init__(self) -> None:
        fraction("gamma", self.gamma, zero=False)
        if self.horizon is not None:
            whole("horizon", self.horizon, least=1, most=10**7)
        elif self.gamma == 1:
            raise ArgumentError("horizon=None with gamma=1: expected a horizon, or gamma < 1")
        P = probabilities("P", self.P)
        if P.ndim not in (3, 4) or P.shape[-3] != P.shape[-1]:
            raise ShapeError(f"P has shape {P.shape}: expected (S, A, S) or (H, S, A, S)")
        self.P = P
        with naming("R"):
            self.R = floats("R", self.R)
        if not np.isfinite(self.R).all():
            raise NotFinite("R: expected finite numbers, got a NaN or an infinity")
        wanted = (self.states, self.actions)
        if self.R.ndim not in (2, 3) or self.R.shape[-2:] != wanted:
            raise ShapeError(f"R has shape {self.R.shape}: expected {wanted}, or (H, S, A)")
        for name, array, plain in (("P", P, 3), ("R", self.R, 2)):
            if array.ndim > plain and len(array) != self.horizon:
                raise ShapeError(
                    f"{name} is of {len(array)} steps, expected horizon={self.horizon}"
                )
        even = np.full(self.states, 1 / self.states)
        self.start = even if self.start is None else probabilities("start", self.start)
        if self.start.shape != (self.states,):
            raise ShapeError(f"start has shape {self.start.shape}: expected ({self.states},)")
        self.terminal = self._ends(self.terminal)
        self.best_known = -self.optimum
        self.limited = Limits(())
        self.spaces = Spaces(states=self.states, actions=self.actions)

    def _ends(self, given: Any) -> Float[np.ndarray, " S"]:
        """Return which states are terminal. Raises as the class."""
        if given is None:
            return np.zeros(self.states, dtype=bool)
        ends = floats("terminal", given).astype(bool)
        if ends.shape != (self.states,):
            raise ShapeError(f"terminal has shape {ends.shape}: expected ({self.states},)")
        for s in np.flatnonzero(ends):
            if (self.P[..., s, :, s] < 1).any() or self.R[..., s, :].any():
                raise ArgumentError(
                    f"terminal: state {s} is left or has a reward, expected one that is kept, of "
                    "reward 0"
                )
        return ends

    @classmethod
    @checked
    def of(
        cls, env: Any, gamma: float = 1.0, horizon: int | None = None, name: str | None = None
    ) -> TabularMDP:
        """The process of a gymnasium environment that has its transitions (`toy_text`).

        A state is added in which an episode has ended.

        Args:
            env: An environment, or the name of one.
            gamma: Discount.
            horizon: Steps of an episode; None: the environment's limit.
            name: For tables; None: the environment's.

        Raises:
            ArgumentTypeError: It has no transitions.
            ArgumentError: There is no environment of that name.
        """
        P, R, start, limit, shown = transitions(env)
        limit = limit if horizon is None else horizon
        ends = np.arange(len(R)) == len(R) - 1
        return cls(P, R, start, gamma, limit, ends, (name or shown).lower())

    # -- sizes -------------------------------------------------------------------------------------

    @property
    def states(self) -> int:
        """States."""
        return int(self.P.shape[-1])

    @property
    def actions(self) -> int:
        """Actions."""
        return int(self.P.shape[-2])

    @property
    def length(self) -> int:
        """Steps that an episode is followed for."""
        if self.horizon is not None:
            return self.horizon
        return max(math.ceil(math.log(TAIL) / math.log(self.gamma)), 1)

    @property
    def known(self) -> Known:
        """Its arrays with the step first, once where they don't depend on it."""
        P, R = self.P, self.R
        P, R = (P if P.ndim == 4 else P[None]), (R if R.ndim == 3 else R[None])
        return Known(P, R, self.gamma, self.horizon)

    # -- exactly -----------------------------------------------------------------------------------

    def table(self, policy: Any) -> Float[np.ndarray, "... S A"]:
        """The probabilities of a policy.

        Args:
            policy: A `TablePolicy`, or a `NetworkPolicy` of numbered actions; probabilities (S, A)
                or (H, S, A); or actions as whole numbers, (S,) or (H, S).

        Raises:
            ShapeError: A shape does not fit.
            ArgumentError: No probabilities, or no such action.
        """
        if isinstance(policy, NetworkPolicy):
            check_policy(policy, self.spaces)
            policy = softmax(policy.outputs(np.arange(self.states)).astype(float), axis=1)
        given = np.asarray(getattr(policy, "probabilities", policy))
        if given.dtype.kind in "iu" and given.shape[-1:] == (self.states,) and given.ndim < 3:
            if given.min() < 0 or given.max() >= self.actions:
                raise ArgumentError(f"policy: expected actions from 0 to {self.actions - 1}")
            given = np.eye(self.actions)[given]
        shape = given.shape
        if given.ndim not in (2, 3) or shape[-2:] != (self.states, self.actions):
            raise ShapeError(
                f"policy has shape {shape}: expected ({self.states}, {self.actions}), or as many "
                "for each step"
            )
        if given.ndim == 3 and len(given) != self.horizon:
            raise ShapeError(f"policy is of {len(given)} steps, expected horizon={self.horizon}")
        return probabilities("policy", given)

    def values(self, policy: Any) -> Float[np.ndarray, "... S"]:
        """The expected return from each state, exactly.

        Args:
            policy: See `table`.

        Returns:
            (S,) without a horizon; (H, S) with one, from each step on.
        """
        return self.known.values(self.table(policy))

    def value(self, policy: Any) -> float:
        """J(pi), exactly."""
        values = self.values(policy)
        return float(self.start @ (values if values.ndim == 1 else values[0]))

    def returns(self, tables: Int[np.ndarray, "n H S"]) -> Float[np.ndarray, " n"]:
        """J of many tables of actions at once, exactly; for a process with a horizon."""
        P, R, gamma, _ = self.known
        found: np.ndarray = returns(self.start, P, R, gamma, np.asarray(tables))
        return found

    def best_policy(self) -> Float[np.ndarray, "... S A"]:
        """A policy of the largest expected return: backwards from the horizon, or by policy
        iteration where there is none.
        """
        found: np.ndarray = self.cached("best", self.known.best)
        return np.eye(self.actions)[found]

    @property
    def optimum(self) -> float:
        """The largest expected return J*."""
        found: float = self.cached("optimum", lambda: self.value(self.best_policy()))
        return found

    # -- sampled -----------------------------------------------------------------------------------

    def affordable(self, n: int, copies: int = 1) -> int:
        """How many of n times `copies` episodes the active run has transitions left for; at least
        1, which is refused when it is charged.
        """
        meter = active_meter.get()
        if meter is None:
            return n
        left = min(meter.left("env_steps") / (copies * self.length), n)
        return max(int(left), 1)

    def rollout(self, policy: Any, n: int, rng: np.random.Generator) -> Episodes:
        """Follow a policy, charging each transition.

        Args:
            policy: See `table`.
            n: Episodes.
            rng: Random numbers: 2 H + 1 an episode.

        Raises:
            BudgetExhausted: Fewer transitions are left.
        """
        return self.follow(self.table(policy), n, generator("rng", rng))

    def follow(
        self, policy: Float[np.ndarray, "... S A"], n: int, rng: np.random.Generator
    ) -> Episodes:
        """`rollout` with a table of probabilities that is not checked."""
        n, horizon = whole("n", n, least=1), self.length
        fits("n", n, "the random numbers of all episodes", n, 2 * horizon + 1)
        spend(env_steps=n * horizon)
        process = self.cumulated()
        states, actions = np.empty((n, horizon + 1), np.int64), np.empty((n, horizon), np.int64)
        sums = np.cumsum(policy if policy.ndim == 3 else policy[None], axis=-1)
        walk(process, sums, rng.random((n, 2 * horizon + 1)), states, actions)
        steps = np.minimum(np.arange(horizon), len(process.rewards) - 1)
        rewards = process.rewards[steps, states[:, :-1], actions]
        lengths = np.full(n, horizon)
        if self.terminal.any():
            lengths = (~self.terminal[states[:, :-1]]).sum(axis=1)
            meter = active_meter.get()
            if meter is not None:
                meter.refund("env_steps", int(n * horizon - lengths.sum()))
        return Episodes(states, actions, rewards, lengths)

    def cumulated(self) -> Cumulated:
        """It as it is drawn from, for compiled loops."""
        P, R = self.known[:2]
        found: Cumulated = self.cached(
            "sums",
            lambda: Cumulated(np.cumsum(self.start), np.cumsum(P, axis=-1), R, self.terminal),
        )
        return found

    def open(self, n: int, key: int) -> Copies:
        """Copies of the process to step, each transition charged.

        Args:
            n: How many.
            key: From which the seed of every episode derives.
        """
        from .table_env import TableEnv

        process, length = self.cumulated(), self.length
        world = World(self.name, lambda: TableEnv(process, length), max_steps=length)
        return Copies.opened(world, whole("n", n, least=1), key)

    # -- judging -----------------------------------------------------------------------------------

    def judge(self, answer: Any) -> Verdict:
        """The expected return of a policy, exactly, and how far it is from the best."""
        if answer is None:
            return Verdict(math.nan, math.inf)
        if not np.isfinite(getattr(answer, "probabilities", 0.0)).all():
            return Verdict(math.nan, math.inf)
        value = self.value(answer)
        gap = self.optimum - value
        return Verdict(-value, 0.0, residual=gap, metrics={"return": value, "gap": gap})

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The likeliest action of each state, at the first step."""
        if answer is None:
            return []
        pi = self.table(answer)
        pi = pi if pi.ndim == 2 else pi[0]
        rows = [(f"state {s}", str(p.argmax()), f"{p.max():.3g}") for s, p in enumerate(pi)]
        return [("variable", "value", "probability"), *rows]

    def design(self, answer: Any) -> dict[str, Any]:
        """The policy as plain lists."""
        return {"policy": self.table(answer).tolist()}

    def fingerprint(self) -> dict[str, Any]:
        """Its sizes."""
        return {"mdp": [self.states, self.actions, self.horizon, self.gamma]}
