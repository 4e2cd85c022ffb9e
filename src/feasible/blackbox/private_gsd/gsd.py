"""Private-GSD: private synthetic data by a genetic algorithm.

Measure the workloads with noise, then search for a table whose answers are near the noisy ones, by
a genetic algorithm that needs no gradient: so the predicates may be of any kind, halfspaces and
prefixes included. Take it where queries are not differentiable or the data have mixed columns;
where all columns are categorical and few, a graphical model (`pgm`) is as good or better.

References:
    T. Liu, J. Tang, G. Vietri, Z. S. Wu: Generating Private Synthetic Data with Genetic Algorithms
    (ICML 2023, arXiv 2306.03257).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.annotations import checked
from ...core.checks import generator, one_of, real, whole
from ...core.problem import Method, Problem
from .accounting import Noise, cdp_epsilon, noise_key, warn_not_private
from .domain import Domain
from .genetic import Fit, Optimiser, advance, aim, block, refresh, start
from .privacy import PrivacySettings
from .problem import Measured, PrivateTable, Synthetic
from .queries import Workload

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    from jaxtyping import Bool, Float

MODES = ("oneshot", "adaptive", "hybrid")
STOPS = ("thinned", "discrepancy", "plateau")
HELD = 0.1
"""Variance, in parts of the measured noise, that thinning adds to the answers that are fitted; what
is held out has 1 + 1/HELD parts.
"""
PATIENCE = 3
"""Blocks without a table nearer to the held-out answers, after which a fit is over."""


@dataclass(slots=True)
class GSDState:
    """Where a run stands.

    Attributes:
        fit: The table.
        chosen: (W,) workloads measured so far.
        spent_on: (W,) rho of each, 0 where it was not measured.
        sigma: (W,) noise of each, of shares of rows, 0 where it was not measured.
        held: (Q,) answers that say when to stop: held out by thinning, or the measured ones, not
            clipped.
        best: (rows, d) the table nearest to them in this fit.
        rho: In all.
        run: Names the noise of this run.
        least: Squared distance of `best`.
        waited: Blocks since.
        selecting: rho spent on selections.
        round: Rounds measured so far; 0: nothing yet.
        fitting: Whether a fit goes on.
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
class GSDSettings(PrivacySettings):
    """Settings of Private-GSD; the privacy is in `PrivacySettings`.

    Attributes:
        rows: Of the synthetic table.
        generations: Over the whole run.
        mode: "oneshot" measures every workload; "adaptive" measures in each of `rounds` rounds the
            `per_round` workloads that the table answers worst, half of the round's rho going into
            their selection; "hybrid" measures the workload's first summand at once, then goes on
            as "adaptive" with the others.
        rounds: Rounds.
        per_round: Workloads measured in a round.
        optimiser: "elite" (the paper's) or "bandit" (the authors' current release, which stayed
            with one operator for thousands of generations on prefixes and halfspaces of
            development tables).
        population: Candidates of a generation. Published: 100 ("elite") and 50 ("bandit"); with 20
            the fit of prefixes and halfspaces took a fifth of the time, and its errors were the
            same or smaller (development tables).
        elite: See `Optimiser`.
        numeric_noise: See `Optimiser`.
        tolerance: See `Optimiser`.
        stop: When a fit is over before its generations are used up. "thinned": the measured answers
            a, of noise sigma, are split into a + sqrt(0.1) sigma z, which are fitted, and
            a - sigma z / sqrt(0.1), whose noise is independent of theirs (z standard normal); the
            table nearest to the latter is kept, and the fit is over when 3 blocks brought none
            nearer. "discrepancy": sum (a - q(S))^2 over the measured answers has fallen to `tau`
            times the noise that is expected, sum sigma^2. "plateau": it has converged, which ends
            the other two as well; see `tolerance`. All of this is post-processing of measured
            answers and costs no privacy.
        tau: Of "discrepancy"; Morozov has tau >= 1, but a table that fits thousands of answers
            takes up some of their noise, so less was better on development seeds.
        clip: Noisy answers are clipped to [0, 1] first, as in the paper. Where the noise is large
            that biases small answers upwards: on prefixes and halfspaces of a development table
            the error doubled.
        sparse: Of a measured workload only the `rows` largest noisy cells are fitted.

    References:
        A. Neufeld, A. Dharamshi, L. L. Gao, D. Witten: Data thinning for convolution-closed
        distributions (JMLR 2024); V. A. Morozov, Soviet Mathematics Doklady 7 (1966).
    """

    rows: int = 2000
    generations: int = 50_000
    mode: str = "oneshot"
    rounds: int = 50
    per_round: int = 10
    optimiser: str = "elite"
    population: int = 20
    elite: int = Optimiser.elite
    numeric_noise: float = Optimiser.numeric_noise
    tolerance: float = Optimiser.tolerance
    stop: str = "thinned"
    tau: float = 0.97
    clip: bool = False
    sparse: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rows", "generations", "rounds", "per_round"):
            whole(name, getattr(self, name), least=1)
        one_of("mode", self.mode, MODES)
        one_of("stop", self.stop, STOPS)
        real("tau", self.tau, above=0)
        self.settings  # checked here, not in a run  # noqa: B018

    @classmethod
    def paper(cls, **settings: Any) -> Self:
        """The settings of the paper's code: 50 mutations and 50 crossovers with noise of deviation
        1 on numbers, clipped answers of all cells, and fits that go on until nothing improves.

        Args:
            settings: What is set otherwise.

        Examples:
            >>> GSDSettings.paper().settings.mutations
            50
        """
        published: dict[str, Any] = {
            "population": 100,
            "numeric_noise": 1.0,
            "stop": "plateau",
            "clip": True,
            "sparse": False,
        }
        return cls(**published | settings)

    @property
    def settings(self) -> Optimiser:
        """The optimiser's settings."""
        half = max(self.population // 2, 1)
        return Optimiser(
            kind=self.optimiser,
            population=self.population,
            mutations=half,
            crossovers=half,
            elite=self.elite,
            numeric_noise=self.numeric_noise,
            tolerance=self.tolerance,
        )


@dataclass(frozen=True)
class GSD(GSDSettings, Method):
    """Private-GSD: noisy answers of the workloads, and a genetic algorithm that fits a table to
    them.

    It minimises sum_q (q(S) - a_q)^2 over tables S, a_q the noisy answers, by a search that needs
    no gradient. A step measures, or is a block of generations: a checkpoint can follow a
    measurement before anything depends on it.

    References:
        arXiv 2306.03257, section 4.
    """

    solves: ClassVar[type[Problem]] = PrivateTable
    name: ClassVar[str] = "private-gsd"

    def init(self, problem: PrivateTable, rng: np.random.Generator) -> GSDState:
        """A random table. Spends nothing."""
        run = int(
            rng.integers(2**62)
        )  # first of all, so that methods with one noise seed meet one noise in a race
        warn_not_private(self.noise_seed)
        w = problem.queries.w
        fit = start(problem.domain, problem.queries, self.rows, self.settings, rng)
        return GSDState(
            fit,
            np.zeros(w, bool),
            np.zeros(w),
            np.zeros(w),
            np.zeros(problem.queries.q),
            fit.table.copy(),
            0.0,
            run,
        )

    def step(self, problem: PrivateTable, state: GSDState) -> GSDState:
        """Measure if a fit is over, else one block of generations."""
        if not state.fitting:
            if state.round == 0:
                state.rho = self.rho_total(problem)
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

    def answer(self, problem: PrivateTable, state: GSDState) -> Synthetic:
        """The table as it stands, of a thinned fit the one nearest to what was held out; without
        rows before anything was measured.
        """
        table = state.best if self._thins(state) else state.fit.table
        return Synthetic(table.copy() if state.round else table[:0].copy())

    def done(self, problem: PrivateTable, state: GSDState) -> str | None:
        """When every round's fit is over."""
        if state.round < self._rounds(problem) or state.fitting:
            return None
        return (
            f"the table was fitted to {int(state.chosen.sum())} noisy workloads in "
            f"{state.fit.total} generations"
        )

    # -- when to stop ------------------------------------------------------------------------------

    def _thins(self, state: GSDState) -> bool:
        """False where another rule was asked for, or there is no noise to be thinned."""
        return self.stop == "thinned" and bool((state.sigma > 0).any())

    def _distance(self, problem: PrivateTable, state: GSDState) -> float:
        """sum (held - q(S))^2 over the measured cells."""
        cells = problem.queries.cells(np.flatnonzero(state.chosen).tolist())
        return float(
            np.sum((state.held[cells] - state.fit.counts[cells] / len(state.fit.table)) ** 2)
        )

    def _enough(self, problem: PrivateTable, state: GSDState) -> bool:
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

    def _measure(self, problem: PrivateTable, state: GSDState) -> None:
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

    def _take(
        self, problem: PrivateTable, state: GSDState, which: list[int], found: Measured
    ) -> None:
        """Note noisy answers, and begin to fit them."""
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
    """Private synthetic data as data scientists call it.

    Args:
        epsilon: The privacy that may be spent; 1 where neither it nor rho is given.
        delta: None: 1 / n^2.
        rho: Of zero-concentrated differential privacy, instead of epsilon.
        seed: Of the optimiser's randomness, not of the noise.
        settings: Further ones of `GSDSettings`.

    Attributes:
        report_: After `fit_sample`: rho, epsilon and delta, rho and noise by workload, what the
            selections cost, generations and the fitness trace; nothing in it depends on the
            private table but through the mechanisms.

    Examples:
        >>> import pandas as pd
        >>> from feasible.blackbox.private_gsd import Marginals
        >>> frame = pd.DataFrame({"smoker": [0, 1, 1, 0] * 50, "sex": ["f", "m"] * 100})
        >>> domain = Domain.from_frame(frame, categorical={"smoker": 2, "sex": ["f", "m"]})
        >>> gsd = PrivateGSD(epsilon=1.0, rows=100, generations=2000)
        >>> gsd.fit_sample(frame, domain, Marginals(2)).shape
        (100, 2)

    Raises:
        ArgumentError: Both epsilon and rho are given.

    References:
        arXiv 2306.03257.
    """

    @checked
    def __init__(
        self,
        epsilon: float | None = None,
        delta: float | None = None,
        *,
        rho: float | None = None,
        seed: int = 0,
        **settings: Any,
    ):
        if rho is None and epsilon is None:
            epsilon = 1.0
        self.method = GSD(epsilon, delta, rho, **settings)
        self.seed = seed
        self.report_: dict[str, Any] = {}

    def fit_sample(self, frame: pd.DataFrame, domain: Domain, workload: Workload) -> pd.DataFrame:
        """A synthetic table with the columns of `domain`.

        Args:
            frame: The private rows.
            domain: What they may hold, said in advance.
            workload: What should survive.

        Raises:
            ArgumentError: Values are missing or undeclared, or the workload is empty.
        """
        problem, method = PrivateTable(frame, domain, workload), self.method
        state = method.init(problem, generator("seed", self.seed))
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
