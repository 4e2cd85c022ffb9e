"""Optuna's TPE, Gaussian-process and NSGA-II samplers, asked and told, with Optuna's own
constraints (`trial.set_constraint`).

Variables keep their kind: floats, whole numbers, log scales, categories. A failed evaluation is
told with the worst objective and the worst violations seen, since the samplers leave failed trials
out and would propose their like again; where only the constraints are known, the objective is told
as the worst one seen. Storage is in memory.

References:
    J. Bergstra et al., Algorithms for hyper-parameter optimization (NeurIPS 2011); S. Watanabe
    (arXiv 2304.11127) for the constrained TPE; J. R. Gardner et al. (ICML 2014) for constrained
    expected improvement.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.checks import whole
from ..asktell import AskTell, Proposals
from ..sampling import draw, first_start, lost, seed_from
from .frame import require

if TYPE_CHECKING:
    from ...core.ledger import Observations
    from ..problem import BlackBox


@dataclass(slots=True)
class Studying:
    """Optuna's study, and what is still to be told to it.

    Attributes:
        rng: Stream of the random points that replace forbidden trials.
        study: Optuna's study, in memory.
        distributions: Optuna's distributions by variable name.
        trials: Trials that are open, by number.
        worst: (k,) largest objectives seen; None before the first.
        excess: (m,) largest violations seen.
    """

    rng: np.random.Generator
    study: Any
    distributions: dict[str, Any]
    trials: dict[int, Any] = field(default_factory=dict)
    worst: np.ndarray | None = None
    excess: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Optuna(AskTell):
    """A sampler of Optuna.

    Attributes:
        tries: Trials for one proposal, before one that the known constraints forbid is replaced by
            a random allowed point.
    """

    avoids: ClassVar[bool] = False
    tries: ClassVar[int] = 50
    requires: ClassVar[tuple[str, ...]] = ("optuna",)

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Studying:
        """A study in memory; a design x0 is its first trial."""
        optuna = require("optuna", self.name)
        problem.space.needs_bounds(self.name)
        with _quiet():
            study = optuna.create_study(
                sampler=self.sampler(problem, seed_from(rng)),
                directions=["minimize"] * len(problem.reader.objectives),
            )
            space: dict[str, Any] = {}
            for v, low, high in zip(
                problem.space.variables,
                problem.space.low.tolist(),
                problem.space.high.tolist(),
                strict=True,
            ):
                if v.choices:
                    space[v.name] = optuna.distributions.CategoricalDistribution(
                        list(range(len(v.choices)))
                    )
                elif v.integer:
                    space[v.name] = optuna.distributions.IntDistribution(
                        int(low), int(high), log=v.log
                    )
                else:
                    space[v.name] = optuna.distributions.FloatDistribution(low, high, log=v.log)
            state = Studying(rng, study, space)
            start = first_start(problem)
            if start is not None:
                study.enqueue_trial(_params(problem, start))
        return state

    def sampler(self, problem: BlackBox, seed: int) -> Any:
        """Optuna's sampler with this method's settings."""
        raise TypeError(f"{type(self).__name__} does not define sampler")

    def ask(self, problem: BlackBox, state: Studying, n: int | None = None) -> Proposals:
        """One trial, or n of them."""
        points, tags = [], []
        with _quiet():
            for _ in range(1 if n is None else n):
                x, tag = self._trial(problem, state)
                points.append(x)
                tags.append(tag)
        return Proposals(np.array(points).reshape(-1, problem.space.d), np.array(tags, dtype=int))

    def _trial(self, problem: BlackBox, state: Studying) -> tuple[np.ndarray, int]:
        for attempt in range(self.tries + 1):
            if attempt == self.tries:
                state.study.enqueue_trial(_params(problem, draw(problem, state.rng)[0]))
            trial = state.study.ask(state.distributions)
            x = problem.space.snap(
                np.array([[trial.params[name] for name in problem.space.names]], dtype=float)
            )
            if problem.known is None or problem.known(x)[0]:
                break
            if attempt < self.tries:
                state.study.tell(trial, state=_failed())
        state.trials[trial.number] = trial
        return x[0], trial.number

    def tell(self, problem: BlackBox, state: Studying, seen: Observations) -> None:
        """Close trials; points that somebody else chose become trials of their own."""
        nothing, objectives = lost(seen), problem.objectives_of(seen)
        with _quiet():
            for i, tag in enumerate(seen.tag.tolist()):
                trial = state.trials.pop(tag, None)
                if trial is None:
                    if tag >= 0 or nothing[i]:
                        continue
                    state.study.enqueue_trial(_params(problem, seen.x[i]))
                    trial = state.study.ask(state.distributions)
                f, g = objectives[i], seen.constraints[i]
                if nothing[i]:
                    if state.worst is None:
                        state.study.tell(trial, state=_failed())
                        continue
                    f, g = state.worst, np.maximum(state.excess, 1e-3)
                elif not np.isnan(f).any():
                    state.worst = f if state.worst is None else np.maximum(state.worst, f)
                else:
                    f = np.zeros_like(f) if state.worst is None else state.worst
                if len(state.excess) != len(g):
                    state.excess = np.zeros(len(g))
                state.excess = np.maximum(state.excess, g)
                for j, value in enumerate(g.tolist()):
                    trial.set_constraint(f"g{j + 1}", value)
                state.study.tell(trial, f.tolist())


@dataclass(frozen=True)
class OptunaTPE(Optuna):
    """The tree-structured Parzen estimator, for one objective or several.

    Attributes:
        n_startup_trials: Random trials at the start.
        multivariate: One joint model (True), one for each variable (False), or as Optuna chooses.
        n_ei_candidates: Samples of which the best is taken.
    """

    name: ClassVar[str] = "optuna-tpe"
    several: ClassVar[bool] = True
    n_startup_trials: int = 10
    multivariate: bool | None = None
    n_ei_candidates: int = 24

    def __post_init__(self) -> None:
        whole("n_startup_trials", self.n_startup_trials, least=0)
        whole("n_ei_candidates", self.n_ei_candidates, least=1)

    def sampler(self, problem: BlackBox, seed: int) -> Any:
        """TPESampler."""
        samplers = require("optuna.samplers", self.name)
        return samplers.TPESampler(
            seed=seed,
            n_startup_trials=self.n_startup_trials,
            n_ei_candidates=self.n_ei_candidates,
            multivariate=self.multivariate,
        )


@dataclass(frozen=True)
class OptunaNSGA2(Optuna):
    """NSGA-II with Optuna's defaults.

    Attributes:
        population_size: Individuals of a generation; the first one is random.
    """

    name: ClassVar[str] = "optuna-nsga2"
    several: ClassVar[bool] = True
    population_size: int = 50

    def __post_init__(self) -> None:
        whole("population_size", self.population_size, least=2)

    def sampler(self, problem: BlackBox, seed: int) -> Any:
        """NSGAIISampler."""
        samplers = require("optuna.samplers", self.name)
        return samplers.NSGAIISampler(seed=seed, population_size=self.population_size)


@dataclass(frozen=True)
class OptunaGP(Optuna):
    """Gaussian processes with log constrained expected improvement.

    Slow: use it where an evaluation costs more than a second.

    Attributes:
        n_startup_trials: Random trials at the start.
        deterministic: Fix the noise of the model near zero; None: where the problem is
            deterministic.
    """

    name: ClassVar[str] = "optuna-gp"
    requires: ClassVar[tuple[str, ...]] = ("optuna", "torch")
    tries: ClassVar[int] = 3
    n_startup_trials: int = 10
    deterministic: bool | None = None

    def __post_init__(self) -> None:
        whole("n_startup_trials", self.n_startup_trials, least=0)

    def sampler(self, problem: BlackBox, seed: int) -> Any:
        """GPSampler."""
        require("torch", self.name)
        samplers = require("optuna.samplers", self.name)
        exact = problem.deterministic if self.deterministic is None else self.deterministic
        return samplers.GPSampler(
            seed=seed, n_startup_trials=self.n_startup_trials, deterministic_objective=exact
        )


def _params(problem: BlackBox, x: np.ndarray) -> dict[str, float | int]:
    return {
        v.name: round(value) if v.integer else float(value)
        for v, value in zip(problem.space.variables, x.tolist(), strict=True)
    }


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's messages and warnings."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
