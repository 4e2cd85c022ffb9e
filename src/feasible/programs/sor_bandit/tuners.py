"""Learners of a solver's parameter from nothing but what each solve cost.

Before solve t they choose an action g of a grid, by `ask`; after it they are told its cost k_t(g),
by `tell`, and of no other action's. They keep the sum of costs near that of the best action:

    TsallisINF          of the best single action (no context)
    BinnedTsallisINF    of the best action for each bin of a context c_t
    ChebCB              of the best action for each context, costs being smooth functions of it

The cost can be anything that is to be small: iterations, sweeps, seconds; what is tuned can be
anything that has a grid: omega, a restart length, a drop tolerance.

References:
    Khodak, Chow, Balcan, Talwalkar, "Learning to Relax", ICLR 2024, arXiv 2310.02246: Tsallis-INF,
    Tsallis-INF-CB, ChebCB. Zimmert, Seldin, "Tsallis-INF", JMLR 22, 2021. Foster, Rakhlin,
    "Beyond UCB" (SquareCB), ICML 2020.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...core.checks import floats, generator, naming, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, Pending
from .compiled import chebyshev, drawn, learn, predict, tsallis

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LOWEST, HIGHEST, ACTIONS = 1.0, 1.95, 20
"""The grid of omega: 1, 1.05, ..., 1.95."""
FEATURES, BINS = 6, 5
"""Chebyshev polynomials of the context, and bins of it."""
MOST_ACTIONS, MOST_FEATURES, MOST_BINS = 10_000, 100, 100_000


def omegas(
    lowest: float = LOWEST, highest: float = HIGHEST, actions: int = ACTIONS
) -> Float[np.ndarray, " d"]:
    """Return an even grid of omega, in (0, 2)."""
    lowest, highest = real("lowest", lowest, above=0, below=2), real("highest", highest, below=2)
    if highest < lowest:
        raise ArgumentError(f"highest={highest:g}: expected a number >= lowest={lowest:g}")
    return np.linspace(lowest, highest, whole("actions", actions, least=1, most=MOST_ACTIONS))


@dataclass(init=False, eq=False, repr=False)
class Tuner:
    """What all learners share: ask and tell in strict turns, and a state that is plain data.

    Attributes:
        grid: (d,) the actions.
        least: The least cost there is; losses are costs beyond it. 1 for iterations, 0 for seconds.
        rng: Where its draws come from.
        round: Costs told so far.
        action: Index of the action that was asked for and whose cost is not told; -1: none.
        chance: The probability with which it was drawn.
    """

    needs_context: ClassVar[bool] = False

    grid: Float[np.ndarray, " d"]
    least: float
    rng: np.random.Generator
    round: int
    action: int
    chance: float

    def __init__(self, grid: Any = None, *, seed: Any = 0, least: float = 1.0) -> None:
        self.grid = omegas() if grid is None else floats("grid", grid).copy()
        if self.grid.ndim != 1 or not len(self.grid):
            raise ArgumentError(f"grid has shape {self.grid.shape}: expected (d,), d >= 1")
        if not np.isfinite(self.grid).all():
            raise NotFinite("grid has a NaN or an infinity: expected finite numbers")
        self.least = real("least", least)
        self.rng = generator("seed", seed)
        self.round, self.action, self.chance = 0, -1, 1.0

    def ask(self, context: float | None = None) -> float:
        """Return the action for the next solve.

        Args:
            context: c_t, where the learner uses one; beyond its bounds it is moved to them, with a
                warning.

        Raises:
            Pending: The cost of the action before has not been told.
            ArgumentError: It needs a context, and there is none.
        """
        if self.action >= 0:
            raise Pending("ask: the cost of the action before has not been told")
        w = self._weights(self._read(context))
        self.action = drawn(w, self.rng.random())
        self.chance = float(w[self.action])
        return float(self.grid[self.action])

    def tell(self, cost: float) -> None:
        """Learn what the solve cost.

        Args:
            cost: Iterations, or whatever is to be small; of a solve that failed, its cap. What is
                below `least` counts as `least`.

        Raises:
            ArgumentError: No action was asked for.
            NotFinite: A NaN or an infinity.
        """
        cost = real("cost", cost)
        if self.action < 0:
            raise ArgumentError("tell: no action was asked for since the last cost; ask first")
        self.round += 1
        self._learn(max(cost - self.least, 0.0))
        self.action = -1

    def take_back(self) -> None:
        """Forget the action that was asked for, whose cost nobody will know."""
        self.action = -1

    def probabilities(self, context: float | None = None) -> Float[np.ndarray, " d"]:
        """Return with which probability each action would be drawn now."""
        found: Float[np.ndarray, " d"] = self._weights(self._read(context)).copy()
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return all that it has learnt, and where its draws go on, as JSON has it."""
        return {
            name: {"generator": value.bit_generator.state}
            if isinstance(value, np.random.Generator)
            else value.tolist()
            if isinstance(value, np.ndarray)
            else value
            for name, value in vars(self).items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> Self:
        """Go on from what `state_dict` returned.

        Raises:
            ArgumentError: It is of another learner, or of another grid.
        """
        mine = vars(self)
        with naming("state"):
            if set(state) != set(mine) or len(state["grid"]) != len(self.grid):
                raise ArgumentError(
                    f"state has {', '.join(map(str, state))}: expected those of a "
                    f"{type(self).__name__} of {len(self.grid)} actions"
                )
            for name, value in state.items():
                if isinstance(mine[name], np.random.Generator):
                    mine[name].bit_generator.state = value["generator"]
                elif isinstance(mine[name], np.ndarray):
                    mine[name] = np.array(value, dtype=mine[name].dtype).reshape(mine[name].shape)
                else:
                    mine[name] = value
        return self

    def _read(self, context: float | None) -> float:
        """Return the context as `_weights` takes it."""
        return 0.0

    def _weights(self, context: float) -> Float[np.ndarray, " d"]:
        """Return the probability of each action."""
        raise TypeError(f"{type(self).__name__} does not define _weights(context)")

    def _learn(self, loss: float) -> None:
        """Learn the loss of the action that was asked for."""
        raise TypeError(f"{type(self).__name__} does not define _learn(loss)")


@dataclass(init=False, eq=False, repr=False)
class Fixed(Tuner):
    """One action for all solves: the learner that learns nothing, to compare with."""

    def __init__(self, value: float, *, seed: Any = 0, least: float = 1.0) -> None:
        super().__init__([value], seed=seed, least=least)

    def _weights(self, context: float) -> Float[np.ndarray, " d"]:
        return np.ones(1)

    def _learn(self, loss: float) -> None:
        pass


@dataclass(init=False, eq=False, repr=False)
class TsallisINF(Tuner):
    """Tsallis-INF: as cheap as the best fixed action in the long run, without a context.

    Round t draws from the w that minimises <w, K> / s - (4 / eta) sum_i sqrt(w_i) over the simplex,

        w_i = 4 / (eta (K_i / s - x))^2,  sum_i w_i = 1,  eta = 2 / sqrt(t),

    and adds the loss over its probability to the drawn action's K. s is the mean loss so far.

    Args:
        grid: (d,) the actions; None: omega = 1, 1.05, ..., 1.95.
        seed: Of its draws.
        least: The least cost there is.

    Attributes:
        losses: (bins, d) K, estimated sums of losses; one bin without a context.
        totals: (bins,) sums of the losses seen.
        counts: (bins,) how many.
        bin: That of the action asked for.

    Example:
        >>> tuner = TsallisINF([1.0, 1.5, 1.9], seed=0)
        >>> for _ in range(300):
        ...     omega = tuner.ask()
        ...     tuner.tell(40 if omega == 1.5 else 90)
        >>> int(tuner.probabilities().argmax())
        1

    References:
        Khodak et al., arXiv 2310.02246, Tsallis-INF; the normaliser x by Newton's method from the
        right end of its bracket, from where it cannot overshoot.
    """

    losses: Float[np.ndarray, "bins d"]
    totals: Float[np.ndarray, " bins"]
    counts: Int[np.ndarray, " bins"]
    bin: int

    def __init__(self, grid: Any = None, *, seed: Any = 0, least: float = 1.0) -> None:
        super().__init__(grid, seed=seed, least=least)
        self._begin(1)

    def _begin(self, bins: int) -> None:
        """Put the estimates of each bin to 0."""
        self.losses, self.totals = np.zeros((bins, len(self.grid))), np.zeros(bins)
        self.counts, self.bin = np.zeros(bins, dtype=np.int64), 0
        self._w = np.empty(len(self.grid))

    def _weights(self, context: float) -> Float[np.ndarray, " d"]:
        b = self.bin
        count = int(self.counts[b])
        scale = max(self.totals[b] / count, 1e-12) if count else 1.0
        tsallis(self.losses[b], scale, 2.0 / (count + 1) ** 0.5, self._w)
        return self._w

    def _learn(self, loss: float) -> None:
        b = self.bin
        self.losses[b, self.action] += loss / self.chance
        self.totals[b] += loss
        self.counts[b] += 1


@dataclass(init=False, eq=False, repr=False)
class Contextual(Tuner):
    """What learners with a context share: its bounds.

    Attributes:
        bounds: (a, b) of the context.
    """

    needs_context: ClassVar[bool] = True

    bounds: tuple[float, float]

    def _bounded(self, bounds: Any) -> None:
        """Read (a, b), a < b."""
        try:
            a, b = (real(f"bounds[{i}]", v) for i, v in enumerate(bounds))
        except (TypeError, ValueError) as error:
            if isinstance(error, (ArgumentError, ArgumentTypeError)):
                raise
            raise ArgumentTypeError(f"bounds={bounds!r:.60}: expected (a, b)") from None
        if not a < b:
            raise ArgumentError(f"bounds=({a:g}, {b:g}): expected a < b")
        self.bounds = (a, b)

    def _read(self, context: float | None) -> float:
        if context is None:
            raise ArgumentError(f"context=None: {type(self).__name__} needs one for every ask")
        (a, b), c = self.bounds, real("context", context)
        if not a <= c <= b:
            warnings.warn(
                f"context={c:g} lies outside the bounds [{a:g}, {b:g}] and was moved to them",
                RuntimeWarning,
                stacklevel=3,
            )
            c = min(max(c, a), b)
        return c


@dataclass(init=False, eq=False, repr=False)
class BinnedTsallisINF(Contextual, TsallisINF):
    """Tsallis-INF-CB: a TsallisINF of its own for each bin of the context.

    Args:
        grid: (d,) the actions; None: omega = 1, 1.05, ..., 1.95.
        bounds: (a, b) of the context, cut into equal bins.
        bins: How many.
        seed: Of its draws.
        least: The least cost there is.

    References:
        Khodak et al., arXiv 2310.02246, Tsallis-INF-CB.
    """

    def __init__(
        self,
        grid: Any = None,
        bounds: Any = (0.0, 1.0),
        *,
        bins: int = BINS,
        seed: Any = 0,
        least: float = 1.0,
    ) -> None:
        super().__init__(grid, seed=seed, least=least)
        self._bounded(bounds)
        self._begin(whole("bins", bins, least=1, most=MOST_BINS))

    def _weights(self, context: float) -> Float[np.ndarray, " d"]:
        (a, b), bins = self.bounds, len(self.counts)
        self.bin = min(int((context - a) / (b - a) * bins), bins - 1)  # that of the nearest centre
        return super()._weights(context)


@dataclass(init=False, eq=False, repr=False)
class ChebCB(Contextual):
    """ChebCB: as cheap as the best action for each context in the long run.

    Each action's loss is fitted by Chebyshev polynomials T_0, ..., T_(m-1) of the context, least
    squares within the bounds that the coefficients of a Lipschitz function have; an action is drawn
    by inverse gap weighting (SquareCB), 1 / (d + eta gap) for all but the best.

    Args:
        grid: (d,) the actions; None: omega = 1, 1.05, ..., 1.95.
        bounds: (a, b) of the context.
        features: m.
        seed: Of its draws.
        least: The least cost there is.

    Example:
        >>> tuner = ChebCB([1.0, 1.9], bounds=(0.0, 1.0), seed=0)
        >>> for t in range(400):
        ...     c = t % 20 / 19
        ...     tuner.tell(50 + 40 * (c if tuner.ask(c) == 1.0 else 1 - c))
        >>> tuple(int(tuner.probabilities(c).argmax()) for c in (0.1, 0.9))
        (0, 1)

    Attributes:
        theta: (d, m) coefficients of each action's losses over N K, K the largest cost so far.
        gram: (d, m, m) of each action's rows of features.
        moments: (d, m) its rows' features times losses.
        squares: (d,) its squared losses.
        largest: K.
        eta: How much a gap counts.
        sums: (3,) of prediction^2, prediction * cost, cost^2.

    References:
        Khodak et al., arXiv 2310.02246, ChebCB. As in the authors' code the Lipschitz constant is
        that of the largest cost so far over b - a.
    """

    theta: Float[np.ndarray, "d m"]
    gram: Float[np.ndarray, "d m m"]
    moments: Float[np.ndarray, "d m"]
    squares: Float[np.ndarray, " d"]
    largest: float
    eta: float
    sums: Float[np.ndarray, " 3"]

    def __init__(
        self,
        grid: Any = None,
        bounds: Any = (0.0, 1.0),
        *,
        features: int = FEATURES,
        seed: Any = 0,
        least: float = 1.0,
    ) -> None:
        super().__init__(grid, seed=seed, least=least)
        self._bounded(bounds)
        d, m = len(self.grid), whole("features", features, least=1, most=MOST_FEATURES)
        # Costs are divided by N K, K the largest so far: then K stands in none of these bounds.
        self._norm = 2.0 + 4.0 * (1.0 + np.log(m))  # N
        self._upper = np.array([1.0, *(2.0 / j for j in range(1, m))]) / self._norm
        self._alpha = (np.pi + 2 / np.pi * np.log(2 * m + 1)) / (2 * self._norm * (m + 1))
        self.theta = np.zeros((d, m))
        self.gram, self.moments = np.zeros((d, m, m)), np.zeros((d, m))  # of each action's rows
        self.squares = np.zeros(d)
        self.largest, self.eta = 0.0, 0.0
        self.sums = np.zeros(3)  # of prediction^2, prediction * cost, cost^2
        self._phi, self._y, self._w = np.empty(m), np.empty(d), np.empty(d)

    def _weights(self, context: float) -> Float[np.ndarray, " d"]:
        a, b = self.bounds
        chebyshev(2.0 * (context - a) / (b - a) - 1.0, self._phi)
        predict(self.theta, self._phi, self.eta, self._y, self._w)
        return self._w

    def _learn(self, loss: float) -> None:
        i, cost, t, d = self.action, loss + self.least, self.round, len(self.grid)
        predicted = self._y[i]
        self.sums += (predicted * predicted, predicted * cost, cost * cost)
        grown = cost > self.largest
        self.largest = max(self.largest, cost, 1e-300)
        scale = self.largest * self._norm
        within = learn(
            *(self.theta, self.gram, self.moments, self.squares, self._phi, self._upper),
            *(i, loss, scale, grown),
        )
        past = self.sums[0] - 2 * self.sums[1] / scale + self.sums[2] / (scale * scale)
        left_over = max(past - within, 0.0) + 2 * self._alpha**2 * t
        self.eta = 2 * t * float(d * t / left_over) ** 0.5
