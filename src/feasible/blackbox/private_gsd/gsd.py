"""Private-GSD: private synthetic data by a genetic algorithm (Liu, Tang, Vietri, Wu, ICML 2023,
arXiv 2306.03257).

Measure the workloads with noise, then search for a table whose answers are near the noisy ones, by
  a genetic algorithm that needs no gradient: so the
predicates may be of any kind, halfspaces and prefixes included. Take it where queries are not
differentiable or the data have mixed columns; where
all columns are categorical and few, a graphical model (`pgm`) is as good or better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.budget import active_meter
from ...core.errors import ArgumentError, BudgetExhausted, is_number
from ...core.problem import Method, Problem
from .accounting import Noise, cdp_epsilon, noise_key, warn_not_private
from .domain import Domain
from .genetic import Fit, Optimiser, advance, aim, block, refresh, start
from .problem import Measured, PrivateTable, Synthetic
from .queries import Workload

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float

KEEP = 1 - 1e-9
"""Share of what is left of a budget's rho that is spent: a run ends when a budget is used up, and
the table is still to be fitted then.
"""
MODES = ("oneshot", "adaptive", "hybrid")
STOPS = ("thinned", "discrepancy", "plateau")
HELD = 0.1
"""Variance, in parts of the measured noise, that thinning adds to the answers that are fitted; what
is held out has 1 + 1/HELD parts.
"""
PATIENCE = 3
"""Blocks without a table nearer to the held-out answers, after which a fit is over."""


def rho_total(
    problem: PrivateTable, epsilon: float | None, delta: float | None, rho: float | None
) -> float:
    """What a method may spend: its own setting or what the run's budget has left of rho, whichever
    is less; epsilon = 1 where neither is given.
    """
    if rho is not None:
        own: float | None = rho
    else:
        own = None if epsilon is None else problem.rho_of(epsilon, delta)
    meter = active_meter.get()
    left = math.inf if meter is None else meter.left("rho")
    if math.isinf(left):
        return problem.rho_of(1.0, delta) if own is None else own
    if left <= 0:
        limit, spent = meter.limits["rho"], meter.spent.get("rho", 0.0)  # type: ignore[union-attr]
        raise BudgetExhausted("rho", limit, spent, own or 0.0)
    return left * KEEP if own is None else min(own, left * KEEP)


def check_privacy(
    epsilon: float | None, delta: float | None, rho: float | None, noise_seed: int | None
) -> None:
    """Raise ArgumentError for epsilon or rho <= 0, delta outside (0, 1), both epsilon and rho."""
    for name, value in (("epsilon", epsilon), ("rho", rho)):
        if value is not None and not (is_number(value) and value > 0):
            raise ArgumentError(f"{name}={value!r}: expected a number > 0")
    if delta is not None and not (is_number(delta) and 0 < delta < 1):
        raise ArgumentError(f"delta={delta!r}: expected a number between 0 and 1, both excluded")
    if epsilon is not None and rho is not None:
        raise ArgumentError(f"epsilon={epsilon!r} and rho={rho!r}: expected one of the two")
    if noise_seed is not None and (
        isinstance(noise_seed, bool) or not isinstance(noise_seed, (int, np.integer))
    ):
        raise ArgumentError(
            f"noise_seed={noise_seed!r}: expected an integer, or None for the operating system's "
            "entropy"
        )


@dataclass(slots=True)
class State:
    """fit: the table.  chosen: (W,) workloads measured so far.  spent_on, sigma: (W,) rho and noise
    of each, 0 where it was not measured.

    held: (Q,) answers that say when to stop: held out by thinning, or the measured ones, not
      clipped.
    best, least, waited: the table nearest to them in this fit, its squared distance, blocks since.
    rho: in all.  selecting: rho spent on selections.  round: measured so far; 0, nothing yet.  run:
      names the noise of this run.
    """

    fit: Fit
    chosen: Bool[np.ndarray, " W"]
    spent_on: Float[np.ndarray, " W"]
    sigma: Float[np.ndarray, " W"]
    held: Float[np.ndarray, " Q"]
    best: Float[np.ndarray, "rows d"]
    rho: float
    run: int
    least: float = math.inf
    waited: int = 0
    selecting: float = 0.0
    round: int = 0
    fitting: bool = False


@dataclass(frozen=True)
class GSD(Method):
    """Private-GSD: noisy answers of the workloads, and a genetic algorithm that fits a table to
    them.

    A step measures, or is a block of generations: a checkpoint can follow a measurement before
      anything depends on it.

    epsilon, delta (1/n^2 unless given), or rho: the privacy that may be spent. In a run with a
    budget of rho it is the smaller of this and what the
    budget has left, and all that is left (but a billionth) where neither is set; outside of any,
    epsilon = 1.
    rows: of the synthetic table.  generations: over the whole run.
    mode: "oneshot" measures every workload; "adaptive" measures in each of `rounds` rounds the
      `per_round` workloads that the table answers worst,
    half of the round's rho going into their selection; "hybrid" measures the workload's first
    summand at once, then goes on as "adaptive" with
    the others.
    optimiser: "elite" (the paper's) or "bandit" (the authors' current release, which stayed with
      one operator for thousands of generations on
    prefixes and halfspaces of development tables).  population: candidates of a generation.
    Published: 100 and 50; with 20 the
    fit of prefixes and halfspaces took a fifth of the time, and its errors were the same or smaller
    (development tables).
    elite, numeric_noise, tolerance: see `Optimiser`.
    stop: when a fit is over before its generations are used up. "thinned": the measured answers a,
      of noise sigma, are split into
    a + sqrt(0.1) sigma z, which are fitted, and a - sigma z / sqrt(0.1), whose noise is independent
    of theirs (z standard normal; Neufeld,
    Dharamshi, Gao, Witten, "Data thinning", JMLR 2024); the table nearest to the latter is kept,
    and the fit is over when 3 blocks brought
    none nearer. "discrepancy": sum (a - q(S))^2 over the measured answers has fallen to `tau` times
    the noise that is expected, sum sigma^2
    (V. A. Morozov, Soviet Mathematics Doklady 7, 1966, with tau >= 1; a table that fits thousands
    of answers takes up some of their noise,
    so less was better on development seeds). "plateau": it has converged, which ends the other two
    as well; see `tolerance`. All of this is
    post-processing of measured answers and costs no privacy.
    clip: noisy answers are clipped to [0, 1] first, as in the paper. Where the noise is large that
      biases small answers upwards: on
    prefixes and halfspaces of a development table the error doubled.
    sparse: of a measured workload only the `rows` largest noisy cells are fitted.
    noise_seed: None draws the noise from the operating system. A number makes runs repeatable, and
      the answer NOT private (a warning says so).
    """

    solves: ClassVar[type[Problem]] = PrivateTable
    name: ClassVar[str] = "private-gsd"

    epsilon: float | None = None
    delta: float | None = None
    rho: float | None = None
    rows: int = 2000
    generations: int = 50_000
    mode: str = "oneshot"
    rounds: int = 50
    per_round: int = 10
    optimiser: str = "elite"
    population: int = 20
    elite: int = 5
    numeric_noise: float = 0.05
    tolerance: float = 1e-4
    stop: str = "thinned"
    tau: float = 0.97
    clip: bool = False
    sparse: bool = True
    noise_seed: int | None = None

    def __post_init__(self) -> None:
        check_privacy(self.epsilon, self.delta, self.rho, self.noise_seed)
        for name in ("rows", "generations", "rounds", "per_round"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ArgumentError(f"{name}={value!r}: expected an integer >= 1")
        if self.mode not in MODES:
            raise ArgumentError(f"mode={self.mode!r}: expected {', '.join(MODES)}")
        if self.stop not in STOPS:
            raise ArgumentError(f"stop={self.stop!r}: expected {', '.join(STOPS)}")
        if not (is_number(self.tau) and self.tau > 0):
            raise ArgumentError(f"tau={self.tau!r}: expected a number > 0")
        self.settings  # checked here, not in a run  # noqa: B018

    @property
    def settings(self) -> Optimiser:
        """The optimiser's settings."""
        half = max(self.population // 2, 1)
        return Optimiser(
            self.optimiser,
            self.population,
            half,
            half,
            self.elite,
            self.numeric_noise,
            self.tolerance,
        )

    def init(self, problem: PrivateTable, rng: np.random.Generator) -> State:
        """A random table. Spends nothing."""
        run = int(
            rng.integers(2**62)
        )  # first of all, so that methods with one noise seed meet one noise in a race
        warn_not_private(self.noise_seed)
        w = problem.queries.w
        fit = start(problem.domain, problem.queries, self.rows, self.settings, rng)
        return State(
            fit,
            np.zeros(w, bool),
            np.zeros(w),
            np.zeros(w),
            np.zeros(problem.queries.q),
            fit.table.copy(),
            0.0,
            run,
        )

    def step(self, problem: PrivateTable, state: State) -> State:
        """Measure if a fit is over, else one block of generations."""
        if not state.fitting:
            if state.round == 0:
                state.rho = rho_total(problem, self.epsilon, self.delta, self.rho)
            self._measure(problem, state)
            state.round += 1
            state.fitting = True
            return state
        share = self._rounds(problem)
        generations = math.ceil(self.generations / share) - state.fit.generation
        going = advance(state.fit, problem.domain, problem.queries, self.settings, generations)
        state.fitting = (
            not self._enough(problem, state) and going and generations > block(self.rows)
        )
        if not state.fitting and self._thins(state):
            state.fit.table[:] = state.best
            refresh(state.fit, problem.queries)
        return state

    def answer(self, problem: PrivateTable, state: State) -> Synthetic:
        """The table as it stands, of a thinned fit the one nearest to what was held out; without
        rows before anything was measured.
        """
        table = state.best if self._thins(state) else state.fit.table
        return Synthetic(table.copy() if state.round else table[:0].copy())

    def done(self, problem: PrivateTable, state: State) -> str | None:
        """When every round's fit is over."""
        if state.round < self._rounds(problem) or state.fitting:
            return None
        return (
            f"the table was fitted to {int(state.chosen.sum())} noisy workloads in "
            f"{state.fit.total} generations"
        )

    # -- when to stop ------------------------------------------------------------------------------

    def _thins(self, state: State) -> bool:
        """False where another rule was asked for, or there is no noise to be thinned."""
        return self.stop == "thinned" and bool((state.sigma > 0).any())

    def _distance(self, problem: PrivateTable, state: State) -> float:
        """sum (held - q(S))^2 over the measured cells."""
        cells = problem.queries.cells(np.flatnonzero(state.chosen).tolist())
        return float(
            np.sum((state.held[cells] - state.fit.counts[cells] / len(state.fit.table)) ** 2)
        )

    def _enough(self, problem: PrivateTable, state: State) -> bool:
        """True where the rule `stop` ends the fit after this block."""
        if self.stop == "discrepancy":
            width = np.diff(problem.queries.arrays.base)
            return self._distance(problem, state) <= self.tau * float(
                np.sum(width * state.sigma**2)
            )
        if not self._thins(state):
            return False
        far = self._distance(problem, state)
        state.waited += 1
        if far < state.least:
            state.best, state.least, state.waited = state.fit.table.copy(), far, 0
        return state.waited >= PATIENCE

    # -- rounds ------------------------------------------------------------------------------------

    def _rounds(self, problem: PrivateTable) -> int:
        """Rounds of measuring; fewer than `rounds` where no workload would be left."""
        if self.mode == "oneshot":
            return 1
        first = self._first(problem).sum()
        left = problem.queries.w - int(first)
        return min(self.rounds, math.ceil(left / self.per_round)) + (1 if first else 0)

    def _first(self, problem: PrivateTable) -> np.ndarray:
        """(W,) the workloads that are measured without a selection."""
        w = problem.queries.w
        return (
            np.zeros(w, bool)
            if self.mode == "adaptive"
            else problem.queries.part == 0
            if self.mode == "hybrid"
            else np.ones(w, bool)
        )

    def _measure(self, problem: PrivateTable, state: State) -> None:
        """Spend a round's share of rho. All that is charged is charged before the noise is
        drawn."""
        noise = Noise(noise_key(self.noise_seed, state.run, state.round))
        first = self._first(problem)
        rounds = self._rounds(problem)
        adaptive = rounds - bool(first.any())
        once = (
            state.rho * (first.sum() / (first.sum() + adaptive * self.per_round))
            if adaptive
            else state.rho
        )
        if state.round == 0 and first.any():
            which = np.flatnonzero(first).tolist()
            self._take(problem, state, which, problem.measure(which, once / len(which), noise))
            return
        rho = (state.rho - once if first.any() else state.rho) / adaptive
        table = state.fit.counts / len(state.fit.table)
        which = problem.select(table, ~state.chosen, self.per_round, rho / 2, noise)
        state.selecting += rho / 2
        self._take(
            problem, state, which, problem.measure(which, rho / 2 / max(len(which), 1), noise)
        )

    def _take(self, problem: PrivateTable, state: State, which: list[int], found: Measured) -> None:
        answers, held = found.answers, found.answers
        state.chosen[which] = True
        state.spent_on[which] = found.rho
        state.sigma[which] = found.sigma
        if self.stop == "thinned":
            widths = np.diff(problem.queries.arrays.base)[which]
            noise = np.repeat(found.sigma, widths) * np.random.default_rng(
                [state.run, state.round]
            ).standard_normal(len(answers))
            answers, held = answers + math.sqrt(HELD) * noise, answers - noise / math.sqrt(HELD)
        state.held[found.cells] = held
        answers = np.clip(answers, 0.0, 1.0) if self.clip else answers
        aim(state.fit, answers, found.cells)
        if self.sparse:
            base = problem.queries.arrays.base
            for w in which:
                if base[w + 1] - base[w] > self.rows:
                    a, b = int(base[w]), int(base[w + 1])
                    state.fit.weight[
                        a + np.argsort(-state.fit.target[a:b], kind="stable")[self.rows :]
                    ] = 0.0
            aim(state.fit, np.zeros(0), np.zeros(0, int))
        state.best, state.least, state.waited = (
            state.fit.table.copy(),
            self._distance(problem, state),
            0,
        )


class PrivateGSD:
    """Private synthetic data as data scientists call it:
    ``PrivateGSD(epsilon=1.0).fit_sample(frame, domain, workload)``.

    settings: those of `GSD`, of which `method` is one.  seed: of the optimiser's randomness (not of
      the noise).
    After `fit_sample`, `report_` has rho, epsilon and delta, rho and noise by workload, what the
    selections cost, generations and the fitness trace;
    nothing in it depends on the private table but through the mechanisms.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"smoker": [0, 1, 1, 0] * 50, "sex": ["f", "m"] * 100})
    >>> domain = Domain.from_frame(frame, categorical={"smoker": 2, "sex": ["f", "m"]})
    >>> from feasible.blackbox.private_gsd import Marginals
    >>> synthetic = PrivateGSD(epsilon=1.0, rows=100, generations=2000).fit_sample(frame, domain,
    Marginals(2))
    >>> synthetic.shape
    (100, 2)
    """

    def __init__(
        self,
        epsilon: float | None = 1.0,
        delta: float | None = None,
        *,
        rho: float | None = None,
        seed: int = 0,
        **settings: Any,
    ):
        if rho is not None and epsilon == 1.0:
            epsilon = None
        self.method = GSD(epsilon, delta, rho, **settings)
        self.seed = seed
        self.report_: dict[str, Any] = {}

    def fit_sample(self, frame: pd.DataFrame, domain: Domain, workload: Workload) -> pd.DataFrame:
        """A synthetic table with the columns of `domain`.

        Raises ArgumentError for missing or undeclared values, an empty workload, settings that make
        no sense.
        """
        problem, method = PrivateTable(frame, domain, workload), self.method
        state = method.init(problem, np.random.default_rng(self.seed))
        while method.done(problem, state) is None:
            state = method.step(problem, state)
        delta = 1 / problem.n**2 if method.delta is None else method.delta
        self.report_ = {
            "rho": state.rho,
            "delta": delta,
            "epsilon": cdp_epsilon(state.rho, delta) if math.isfinite(state.rho) else math.inf,
            "rho_by_workload": state.spent_on.copy(),
            "rho_selection": state.selecting,
            "sigma": state.sigma.copy(),
            "measured": state.chosen.copy(),
            "generations": state.fit.total,
            "fitness": list(state.fit.trace),
            "loss": state.fit.loss / method.rows**2,
        }
        return problem.domain.decode(state.fit.table)
