"""Bayesian optimisation for objectives that are noisy, or jump, or fail: the room's default where
inputs are whole numbers or categories, values do not repeat, a limit is only a yes or a no, or
evaluations fail.

    first     a few points of a Sobol sequence
    repeat    model the objective: Matern 5/2, a lengthscale for each input, output warp by the
              marginal likelihood; where it is noisy also a trend, and Student-t noise by EM
              model every limit; of yes/no limits and of success the labels
              propose the point of largest  log acquisition + log P(all limits kept, it succeeds):
              expected improvement where values repeat, else the knowledge gradient over pairs
              where values repeat, every other point is a step on a smooth model about the best
              row, later where the objective is rugged; where the noise is small, every third
    answer    where it is noisy the allowed row of least posterior mean, else of least value

No proposal depends on the budget. Noise that nobody declared is looked for: the best row is
evaluated again after the first design, and whenever the rows have doubled.

The parts are published; their combination is this library's.

References:
    Warped Gaussian processes (E. Snelson, C. E. Rasmussen, Z. Ghahramani, NIPS 2003); Student-t
    noise (J. Vanhatalo, P. Jylanki, A. Vehtari, NIPS 2009); expected improvement in logs (S. Ament
    et al., NeurIPS 2023) times the probability of success (M. Gelbart, J. Snoek, R. Adams, UAI
    2014); the knowledge gradient (P. Frazier, W. Powell, S. Dayanik, 2009); local models within a
    region that shrinks and grows (TREGO: Y. Diouane, V. Picheny, R. Le Riche, A. Scotto Di
    Perrotolo, J. Global Optimization, 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import whole
from ...core.run import active_run
from ..asktell import AskTell, Proposals
from ..sampling import draw, first_start, next_sobol, seed_from
from . import local
from .acquisition import search, worth
from .belief import Belief, objective
from .inputs import Inputs
from .state import AGAIN, GLOBAL, LOCAL, START, Open, RobustState, take
from .success import Limited, limits, yes_no

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...core.ledger import Observation, Observations
    from ..problem import BlackBox

LEADERS = 8
"""Leading rows that the knowledge gradient looks at."""
SMALLEST = 1e-7
"""Half-width of the region below which local steps have converged."""
AGAIN_BY = 1e-10
"""How far from a row it is evaluated again, in units of the box, where exact repeats are answered
from the ledger.
"""
NOISY_FROM = 4
"""Rows for each input from which on there are local steps under noise."""
RUGGED, UNTIL = 0.12, 20
"""Length of the objective's model, in units of the box over the root of d, below which it is rugged
along an input: little data leave it near the prior's .3. There are no local steps then until so
many rows for each input.
"""
RESOLVED = 1e-3
"""Share of the noise in the variance of the (warped) values up to which there are such steps."""
WIDTHS = 1e-5, 0.15
"""Least and largest half-width of their region."""
TRIES = 64
"""Points of the Sobol sequence that are looked at for one that is new and likely allowed."""


@dataclass(frozen=True)
class RobustBO(AskTell):
    """Bayesian optimisation that noise, outliers, categories and failures do not mislead.

    It minimises f(x), or E f(x) where values do not repeat, over a box of reals, whole numbers and
    categories, subject to limits with values (g_j(x) <= 0) and limits that are a yes or a no, all
    known by evaluations only, which may fail.

    Attributes:
        design: Points of the first design; None: the larger of d + 2 and 2 d, half as many where
            there is an earlier study.
        local_real: Rows for each input from which on there are local steps where all inputs are
            reals; 20, should the model say that the objective is rugged.
        local_whole: The same where inputs are whole numbers.
        local_category: The same where inputs are categories, or a limit is only a yes or a no.
        repeat: Whether noise that is not declared is looked for, by evaluating the best row again.

    Raises:
        ArgumentError: A setting makes no sense.
    """

    name: ClassVar[str] = "robust-bo"
    recommends: ClassVar[bool] = True
    uses_errors: ClassVar[bool] = True
    uses_beforehand: ClassVar[bool] = True
    design: int | None = None
    local_real: int = 4
    local_whole: int = 12
    local_category: int = 16
    repeat: bool = True

    def __post_init__(self) -> None:
        if self.design is not None:
            whole("design", self.design, least=1)
        whole("local_real", self.local_real, least=0)
        whole("local_whole", self.local_whole, least=0)
        whole("local_category", self.local_category, least=0)

    def least(self, problem: BlackBox) -> int:
        """Evaluations below which there is only the first design."""
        return self._first(problem) + 1

    def _first(self, problem: BlackBox) -> int:
        """Return the number of points of the first design."""
        d = problem.space.d
        usual = max(d + 2, 2 * d)
        return self.design or (usual if problem.history is None else (usual + 1) // 2)

    def init(self, problem: BlackBox, rng: np.random.Generator) -> RobustState:
        """Draw the seed of all streams."""
        problem.space.needs_bounds(self.name)
        return RobustState.empty(problem, seed_from(rng), self._first(problem))

    # -- asking ------------------------------------------------------------------------------------

    def ask(self, problem: BlackBox, state: RobustState, n: int | None = None) -> Proposals:
        """The first design, then one point, or n points of which each believes what the model
        expects of those that are out.
        """
        inputs = Inputs.of(problem)
        wanted = (1 if state.asked else state.first) if n is None else n
        found: list[np.ndarray] = []
        tags = list(range(state.asked, state.asked + wanted))
        for tag in tags:
            one = self._propose(problem, inputs, state)
            state.pending[tag] = (one.x, one.kind, one.step, one.row)
            found.append(one.x)
            state.asked += 1
        return Proposals(np.array(found).reshape(-1, problem.space.d), np.array(tags, dtype=int))

    def _propose(self, problem: BlackBox, inputs: Inputs, state: RobustState) -> Open:
        """Return the next proposal. Its random stream depends on its number only."""
        rng = np.random.default_rng([state.seed, state.asked])
        fresh = _fresh(problem, inputs, state)
        if state.asked == 0 and (start := first_start(problem)) is not None:
            return Open(start, START, 0.0, -1)
        if state.n and inputs.every is not None and not len(fresh(inputs.every)):
            state.ended = "no new point is left: every point of the space has been evaluated"
            return Open(state.x[max(state.best(problem.tolerance), 0)], START, 0.0, -1)
        known = int(np.isfinite(state.f).sum())
        if state.asked < state.first and inputs.history is not None and state.asked % 2 == 0:
            found = _by_history(problem, inputs, state, fresh, rng)
            if found is not None:
                return Open(found, START, 0.0, -1)
        if state.asked < state.first or known < 3:
            return Open(_next_sobol(problem, state, fresh, None), START, 0.0, -1)
        best = state.best(problem.tolerance)
        if self.repeat and best >= 0 and state.n >= max(2 * state.repeated, state.first):
            once = again(problem, inputs, state, best)
            if once is not None:
                return once
        refit, turn = _due(state.n, state.fitted), self._turn(problem, inputs, state)
        limited = limits(problem, inputs, state, refit and not turn)  # once, with the objective
        step = self._step(problem, inputs, state, limited, rng) if turn else None
        if step is not None:
            return step
        if best < 0:
            state.fitted = state.n if refit else state.fitted
            point = _first_allowed(problem, inputs, state, limited, fresh, rng)
            return Open(point, GLOBAL, 0.0, -1)
        belief = objective(inputs, state, problem.tolerance, refit)
        state.fitted = state.n if refit else state.fitted
        leaders, mean = self._leading(problem, state, belief)
        close = self._close(problem, inputs, state, belief, leaders, limited, rng)
        if close is not None:
            return close
        value = worth(inputs, belief, leaders, mean, state.noisy, limited.log_probability)
        found = search(inputs, value, state.x[belief.rows[leaders]], fresh, rng)
        if found is None:
            state.ended = "no new point is left: every point that was looked at has been evaluated"
        return Open(state.x[best] if found is None else found, GLOBAL, 0.0, -1)

    def _turn(self, problem: BlackBox, inputs: Inputs, state: RobustState) -> bool:
        """Return whether it is time for a local step, should the limits allow one."""
        turn = (state.asked + state.worked) % 2 == 0 and state.radius > SMALLEST
        if not turn or state.noisy or not inputs.real.any():
            return False
        if state.best(problem.tolerance) < 0:
            return state.leader(problem.tolerance) >= 0
        return state.n >= self._local_from(problem, inputs, state)

    def _step(
        self,
        problem: BlackBox,
        inputs: Inputs,
        state: RobustState,
        limited: Limited,
        rng: np.random.Generator,
    ) -> Open | None:
        """Return a local step: from the best row, or, where none is allowed, towards the limits
        with values; None where there is no such limit, or a yes/no limit has never been kept.
        """
        leader, best = state.leader(problem.tolerance), state.best(problem.tolerance)
        if limited.blind or (best < 0 and not limited.values):
            return None
        found = local.step(problem, inputs, state, leader, limited, rng)
        return None if found is None else Open(found[0], LOCAL, found[1], leader)

    def _close(
        self,
        problem: BlackBox,
        inputs: Inputs,
        state: RobustState,
        belief: Belief,
        leaders: np.ndarray,
        limited: Limited,
        rng: np.random.Generator,
    ) -> Open | None:
        """Return, for every third proposal under noise where all inputs are reals, a step from the
        row that leads by the model, as wide as the leading rows lie apart; None where the noise is
        not small beside the spread of the values.
        """
        if not state.noisy or state.asked % 3 or not inputs.real.all():
            return None
        if state.n < NOISY_FROM * inputs.d or math.exp(belief.gp.theta[-1]) > RESOLVED:
            return None
        u = problem.space.unit(state.x[belief.rows[leaders]])
        away = np.abs(u - u[0]).max(axis=1)[1:]
        state.radius = float(np.clip(np.median(away), *WIDTHS)) if len(away) else WIDTHS[1]
        leader = int(belief.rows[leaders[0]])
        found = local.step(problem, inputs, state, leader, limited, rng)
        return None if found is None else Open(found[0], GLOBAL, 0.0, -1)

    def _local_from(self, problem: BlackBox, inputs: Inputs, state: RobustState) -> int:
        """Return the rows from which on there are local steps. Equalities are only met by these.
        Where the objective is rugged along some input, they lead into poor valleys.
        """
        if problem.limits.equality:
            return 0
        if inputs.category.any() or yes_no(problem).any():
            return self.local_category * inputs.d
        if inputs.whole.any():
            return self.local_whole * inputs.d
        theta = state.theta.get(f"quiet{state.warp}")
        shortest = math.inf if theta is None else math.exp(theta[: inputs.d].min())
        rugged = shortest < RUGGED * math.sqrt(inputs.d)
        return (max(UNTIL, self.local_real) if rugged else self.local_real) * inputs.d

    def _leading(
        self, problem: BlackBox, state: RobustState, belief: Belief
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the allowed rows of least posterior mean, as places among those of the belief, and
        these means.
        """
        good = state.allowed(problem.tolerance)[belief.rows]
        mean = belief.gp.at_rows()[0][: len(belief.rows)]
        order = np.argsort(np.where(good, mean, np.inf), kind="stable")
        leaders = order[: min(LEADERS, int(good.sum()))]
        return leaders, mean[leaders]

    # -- telling and answering ---------------------------------------------------------------------

    def tell(self, problem: BlackBox, state: RobustState, seen: Observations) -> None:
        """Take in rows: their values, which failed, and what became of a local step."""
        take(problem, state, seen)

    def done(self, problem: BlackBox, state: RobustState) -> str | None:
        """A space of few points is exhausted."""
        return state.ended or None

    def answer(self, problem: BlackBox, state: RobustState) -> Observation | None:
        """The allowed row of least posterior mean where values do not repeat, else of least
        value.
        """
        run = active_run.get()
        if run is None:
            return None
        number = self.recommend(problem, state)
        if number is not None and (row := run.ledger.row(number, problem.names)) is not None:
            return row
        return run.incumbent()

    def recommend(self, problem: BlackBox, state: RobustState) -> int | None:
        """The allowed row of least posterior mean where values do not repeat."""
        found = self._expected(problem, state)
        return None if found is None else found[0]

    def remarks(self, problem: BlackBox, state: RobustState) -> list[str]:
        """How sure the answer is, where values do not repeat."""
        found = self._expected(problem, state)
        if found is None:
            return []
        _, mean, sd, value = found
        what, sign = problem.objective or "the objective", problem.sign
        return [
            f"values do not repeat: the answer is the design whose {what} is expected to be best, "
            f"{sign * mean:.4g} +- {sd:.2g} (one standard error of the model; measured "
            f"{sign * value:.4g})"
        ]

    def _expected(
        self, problem: BlackBox, state: RobustState
    ) -> tuple[int, float, float, float] | None:
        """Return, where values do not repeat, of the allowed row of least posterior mean: its
        number in the ledger, that mean, its standard error, and the value that was measured.
        """
        good = state.allowed(problem.tolerance)
        if not state.noisy or good.sum() < 5 or problem.target is not None:
            return None
        inputs = Inputs.of(problem)
        belief = objective(inputs, state, problem.tolerance, False)
        mean, variance = (v[: len(belief.rows)] for v in belief.told.at_rows())
        at = int(np.where(good[belief.rows], mean, np.inf).argmin())
        sd, row = math.sqrt(variance[at]), int(belief.rows[at])
        low, middle, high = belief.back(mean[at] + sd * np.array([-1.0, 0.0, 1.0])).tolist()
        return int(state.ids[row]), middle, (high - low) / 2, float(state.f[row])


def _due(n: int, fitted: int) -> bool:
    """Return True where hyperparameters should be fitted: always at first, then ever more
    rarely.
    """
    every = 1 if n < 40 else 2 if n < 60 else 4 if n < 120 else 8 if n < 250 else n // 16
    return n - fitted >= every


def _fresh(
    problem: BlackBox, inputs: Inputs, state: RobustState
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what keeps the points that may be proposed: none of the rows or of the proposals that
    are out; where a repeat gives a new value, none of the rows that failed; none close to these.
    """
    rows, failed, reach = state.x, state.x[state.failed], state.reach
    if state.noisy and not problem.free_repeats:
        rows = failed
    elif state.pending:
        rows = np.vstack([rows, *[Open._make(p).x for p in state.pending.values()]])

    def fresh(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "k d"]:
        return x[inputs.apart(x, rows) & inputs.apart(x, failed, reach)]

    return fresh


def _next_sobol(
    problem: BlackBox,
    state: RobustState,
    fresh: Callable[[np.ndarray], np.ndarray],
    limited: Limited | None,
) -> Float[np.ndarray, " d"]:
    """Return the next point of the Sobol sequence, which is `sobol-search`'s, that is new and, by
    the models, at least as likely allowed as not; the likeliest of those looked at where none is.
    """
    best, most = None, -math.inf
    for _ in range(TRIES):
        found, state.drawn = next_sobol(problem, state.seed, state.drawn)
        rng = np.random.default_rng([state.seed, state.drawn])
        x = draw(problem, rng)[0] if found is None else found
        if not len(fresh(x[None])):
            continue
        likely = 0.0 if limited is None else float(limited.log_probability(x[None])[0])
        if likely > math.log(0.5):
            return x
        if likely > most:
            best, most = x, likely
    return x if best is None else best


def _by_history(
    problem: BlackBox,
    inputs: Inputs,
    state: RobustState,
    fresh: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
) -> Float[np.ndarray, " d"] | None:
    """Return the point of least posterior mean, given the earlier study and the few rows so far;
    None where no point may be proposed.
    """
    gp, old = objective(inputs, state, problem.tolerance, True).gp, inputs.history
    assert old is not None
    good = inputs.allowed(problem.space.snap(old.x[np.argsort(old.f, kind="stable")[:20]]))
    leaders = good[:8] if len(good) else inputs.sobol(8, rng)
    return search(inputs, lambda x: -gp.means(inputs.features(x)), leaders, fresh, rng)


def again(problem: BlackBox, inputs: Inputs, state: RobustState, best: int) -> Open | None:
    """Return the best row once more, to see whether values repeat; None where they are known not
    to, or where an exact repeat would be answered from the ledger.
    """
    state.repeated = state.n
    x = state.x[best].copy()
    if state.noisy or (problem.free_repeats and not inputs.real.any()):
        return None
    if problem.free_repeats:
        u = problem.space.unit(x[None])
        u += np.where(inputs.real, np.where(u < 0.5, AGAIN_BY, -AGAIN_BY), 0.0)
        moved = np.where(inputs.real, inputs.points(u)[0], x)
        if problem.known is not None and not problem.known(moved[None])[0]:
            return None
        x = moved
    return Open(x, AGAIN, 0.0, best)


def _first_allowed(
    problem: BlackBox,
    inputs: Inputs,
    state: RobustState,
    limited: Limited,
    fresh: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
) -> Float[np.ndarray, " d"]:
    """Return a point where nothing allowed is known yet: the likeliest one, or, while some yes/no
    limit has never been kept, the next of the Sobol sequence where the others likely are.
    """
    if limited.blind:
        return _next_sobol(problem, state, fresh, limited)
    menu = problem.space.menu
    if inputs.every is not None:
        points = fresh(inputs.every)
    elif menu is not None:
        points = fresh(menu.shown(rng))
    else:
        over = np.where(np.isnan(state.g), 0.0, np.maximum(state.g, 0)).sum(axis=1)
        rank = np.argsort(np.where(state.failed, np.inf, over), kind="stable")[:5]
        near = inputs.around(np.repeat(state.x[rank], 60, axis=0), 0.1, rng)
        points = fresh(np.vstack([inputs.sobol(1024, rng), near]))
    if not len(points):
        return _next_sobol(problem, state, fresh, None)
    return points[int(limited.log_probability(points).argmax())]


__all__ = ["RobustBO", "again"]
