"""CMA-ES of the package `cma` (pycma), asked and told, with BIPOP restarts.

Minimises f(x) subject to g_j(x) <= 0 in a box. Limits are handled by pycma's own augmented
Lagrangian (`cma.ConstrainedFitnessAL`), or by ranking: feasible points by f, behind them infeasible
ones by their violation (Deb's rule). The box is pycma's own (BoundTransform), in the variables' own
units, whose widths go by its option `CMA_stds` where they differ; whole numbers go by its option
`integer_variables`. A run begins in the middle of the box, or at x0, and restarts at random points.

References:
    N. Hansen, The CMA evolution strategy: a tutorial (arXiv 1604.00772); A. Atamna, A. Auger, N.
    Hansen (FOGA 2017) for the augmented Lagrangian; N. Hansen (GECCO 2009) for BIPOP.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ...core.checks import one_of, real, whole
from ..asktell import AskTell, Proposals
from ..sampling import draw, first_start, lost, seed_from
from .frame import Frame, require

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...core.ledger import Observations
    from ..problem import BlackBox

TRIES = 100
"""Samples of the distribution for one proposal, before a forbidden one is replaced by a random
allowed point.
"""


@dataclass(slots=True)
class CMAOutcome:
    """One outcome, as the strategy is told of it.

    Attributes:
        z: (k,) coordinates in the frame.
        f: The objective; None where nothing is known.
        g: (m,) signed constraints, <= 0 where met.
        foreign: True where the point was not drawn from the distribution.
    """

    z: Float[np.ndarray, " k"]
    f: float | None
    g: Float[np.ndarray, " m"]
    foreign: bool


@dataclass(slots=True)
class Evolving:
    """pycma's strategy, what was asked of it and what it was told.

    Attributes:
        rng: Stream of the starts, of the strategy's samples and of the restarts' sizes.
        frame: Coordinates z (k,) in which the strategy works.
        es: pycma's own strategy.
        fitness: pycma's augmented Lagrangian, once a constraint was seen.
        asked: Coordinates (k,) by tag, with a mark where the point was not drawn from the
            distribution.
        told: Outcomes that the strategy has not used yet.
        next_tag: Tag of the next proposal.
        popsize: Individuals of a generation in the first run.
        runs: Runs begun after the first.
        small_runs: Those of them in BIPOP's regime of small populations.
        small: Evaluations spent in that regime.
        large: Evaluations spent in BIPOP's regime of large populations.
        is_small: True while the present run counts for the small regime.
        stale: True if nothing was asked since the distribution moved last.
        row: Objective and constraints (m,) that pycma's augmented Lagrangian reads.
    """

    rng: np.random.Generator
    frame: Frame
    es: Any = None
    fitness: Any = None
    asked: dict[int, tuple[np.ndarray, bool]] = field(default_factory=dict)
    told: list[CMAOutcome] = field(default_factory=list)
    next_tag: int = 0
    popsize: int = 0
    runs: int = 0
    small_runs: int = 0
    small: int = 0
    large: int = 0
    is_small: bool = True
    stale: bool = True
    row: tuple[float, np.ndarray] = (0.0, np.empty(0))


@dataclass(frozen=True)
class CMAES(AskTell):
    """Covariance matrix adaptation.

    A step is one generation. Asking for more than a generation draws more points from the same
    distribution; outcomes are used in the order in which they are told. Points that somebody else
    chose are not used. Constraints known beforehand: samples are redrawn.

    Attributes:
        sigma0: First step size, in units of the box.
        popsize: Individuals of a generation; None for pycma's own number.
        constraints: "al" (augmented Lagrangian) or "rank" (feasible first, then by violation).
        restarts: "bipop", "ipop" (population doubled each time) or "none".
    """

    avoids: ClassVar[bool] = False
    name: ClassVar[str] = "cma-es"
    requires: ClassVar[tuple[str, ...]] = ("cma",)
    sigma0: float = 0.25
    popsize: int | None = None
    constraints: Literal["al", "rank"] = "al"
    restarts: Literal["bipop", "ipop", "none"] = "bipop"

    def __post_init__(self) -> None:
        real("sigma0", self.sigma0, above=0)
        if self.popsize is not None:
            whole("popsize", self.popsize, least=2, note=", or None")
        one_of("constraints", self.constraints, ("al", "rank"))
        one_of("restarts", self.restarts, ("bipop", "ipop", "none"))

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Evolving:
        """The first strategy, around x0 or the middle of the box."""
        require("cma", self.name)
        state = Evolving(rng, Frame.of(problem, least=2, whole_as="widened", own=True))
        self._begin(problem, state, self.popsize, self.sigma0, None)
        state.popsize = state.es.popsize
        return state

    def _begin(
        self,
        problem: BlackBox,
        state: Evolving,
        popsize: int | None,
        sigma: float,
        maxiter: float | None,
    ) -> None:
        cma, frame = require("cma", self.name), state.frame
        start = first_start(problem) if state.runs == 0 else None
        if state.runs:
            start = draw(problem, state.rng)[0]
        z0 = frame.middle if start is None else frame.z(problem, start[None])[0]
        inf_low, inf_high = np.isinf(frame.low), np.isinf(frame.high)
        whole = frame.whole(problem)
        width = np.where(inf_low | inf_high, 1.0, frame.high - frame.low)
        options: dict[str, Any] = {
            "bounds": None
            if (inf_low & inf_high).all()
            else [frame.low.tolist(), frame.high.tolist()],
            "verbose": -9,
            "verb_log": 0,
            "seed": np.nan,
            "randn": _normal(state.rng),
        }
        if whole:
            options["integer_variables"] = whole
        least = float(width.min())
        if width.max() > least:
            options["CMA_stds"] = (width / least).tolist()
        if len(problem.limits.names):
            options["tolstagnation"] = 0
        if popsize is not None:
            options["popsize"] = popsize
        if maxiter is not None:
            options["maxiter"] = maxiter
        with _quiet(state, bool(whole)):
            state.es = cma.CMAEvolutionStrategy(z0, sigma * least, options)
        state.fitness = None
        state.asked.clear()
        state.told.clear()

    def ask(self, problem: BlackBox, state: Evolving, n: int | None = None) -> Proposals:
        """A generation, or n samples of the present distribution."""
        n = state.es.popsize if n is None else n
        if not n:
            return Proposals.of(np.empty((0, problem.space.d)))
        frame, known = state.frame, problem.known
        state.stale = False
        with _quiet(state, bool(frame.whole(problem))):
            zs = [np.asarray(z, dtype=float) for z in state.es.ask(n)]
            foreign = [False] * n
            for i in range(n):
                if known is None:
                    break
                for _ in range(TRIES):
                    if known(frame.x(problem, zs[i][None]))[0]:
                        break
                    zs[i] = np.asarray(state.es.ask(1)[0], dtype=float)
                else:
                    zs[i], foreign[i] = frame.z(problem, draw(problem, state.rng))[0], True
        tags = np.arange(state.next_tag, state.next_tag + n)
        state.next_tag += n
        state.asked.update({int(t): (z, f) for t, z, f in zip(tags, zs, foreign, strict=True)})
        return Proposals(frame.x(problem, np.array(zs)), tags)

    def tell(self, problem: BlackBox, state: Evolving, seen: Observations) -> None:
        """Collect outcomes; when a generation is complete, move the distribution, or restart where
        it has converged.
        """
        nothing = lost(seen)
        for i, tag in enumerate(seen.tag.tolist()):
            if tag not in state.asked:
                continue
            z, foreign = state.asked.pop(tag)
            f = float(seen.objective[i])
            state.told.append(
                CMAOutcome(z, None if nothing[i] else f, seen.constraints[i], foreign)
            )
        while len(state.told) >= state.es.popsize:
            batch, state.told = state.told[: state.es.popsize], state.told[state.es.popsize :]
            self._generation(problem, state, batch)

    def _generation(self, problem: BlackBox, state: Evolving, batch: list[CMAOutcome]) -> None:
        with _quiet(state, bool(state.frame.whole(problem))):
            if state.stale:
                state.es.ask(1)  # pycma wants one ask between two tells
                for t in batch:
                    t.foreign = True
            state.stale = True
            values = self._fitness(problem, state, batch)
            state.es.tell(
                [t.z for t in batch],
                values,
                check_points=[i for i, t in enumerate(batch) if t.foreign] or None,
            )
            if state.fitness is not None and any(t.f is not None for t in batch):
                state.fitness.update(state.es)
            stop = bool(state.es.stop())
        if state.is_small:
            state.small += len(batch)
        else:
            state.large += len(batch)
        if stop and self.restarts != "none":
            self._restart(problem, state)

    def _fitness(self, problem: BlackBox, state: Evolving, batch: list[CMAOutcome]) -> list[float]:
        ok = [t for t in batch if t.f is not None]
        if not ok:
            return [float(i) for i in range(len(batch))]
        objectives = np.array([t.f for t in ok], dtype=float)
        worst = float(np.nanmax(objectives)) if not np.isnan(objectives).all() else 0.0
        objectives = np.where(np.isnan(objectives), worst, objectives)
        m = max(len(t.g) for t in ok)
        if m == 0:
            good = objectives.tolist()
        elif self.constraints == "rank":
            good = by_rule(objectives, np.array([np.maximum(t.g, 0.0).sum() for t in ok])).tolist()
        else:
            if state.fitness is None:
                state.fitness = require("cma", self.name).ConstrainedFitnessAL(
                    lambda z: state.row[0],
                    lambda z: state.row[1],
                    dimension=state.frame.k,
                    find_feasible_first=not problem.limits.equality,
                    archives=False,
                    logging=0,
                )
                state.fitness._al = _silent()(state.frame.k)
            good = []
            for t, f in zip(ok, objectives.tolist(), strict=True):
                state.row = (f, t.g)
                good.append(float(state.fitness(t.z)))
        bad = max(good) + 1.0 + abs(max(good))
        values = iter(good)
        return [bad if t.f is None else next(values) for t in batch]

    def _restart(self, problem: BlackBox, state: Evolving) -> None:
        """BIPOP: a large population, doubled each time, and small ones with small steps, take turns
        by what they have spent.
        """
        state.runs += 1
        rng = state.rng
        if self.restarts == "bipop" and state.runs > 1 and state.small < state.large:
            state.small_runs += 1
            factor = 2 ** (state.runs - state.small_runs)
            popsize = int(state.popsize * factor ** (rng.random() ** 2))
            state.is_small = True
            self._begin(
                problem,
                state,
                popsize,
                self.sigma0 * 0.01 ** rng.random(),
                max(0.5 * state.large / popsize, 1.0),
            )
        else:
            state.is_small = False
            self._begin(
                problem,
                state,
                state.popsize * 2 ** (state.runs - state.small_runs),
                self.sigma0,
                None,
            )


def by_rule(
    f: Float[np.ndarray, " n"], violation: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Deb's rule as a fitness: f where feasible, else the worst feasible f plus the violation (0
    where nothing is feasible).
    """
    feasible = violation <= 0
    worst = f[feasible].max() if feasible.any() else 0.0
    return np.where(feasible, f, worst + violation)


def _normal(rng: np.random.Generator) -> Callable[..., np.ndarray]:
    return lambda *shape: rng.standard_normal(shape)


def _silent() -> Any:
    """Return pycma's augmented Lagrangian without a log: the making of one, even of one that is
    then switched off, leaves a folder `outcmaes` behind.
    """
    handler = require("cma.constraints_handler", CMAES.name)
    never = property(lambda _: 0, lambda _, value: None)
    return type("Silent", (handler.AugmentedLagrangian,), {"logging": never})


class _quiet:  # noqa: N801
    """Silence pycma's warnings; where it draws from NumPy's global stream (whole numbers), seed
    that and put it back.
    """

    def __init__(self, state: Evolving, stream: bool):
        self.stream, self.state = stream, state
        self.caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        self.caught.__enter__()
        warnings.simplefilter("ignore")
        if self.stream:
            self.before = np.random.get_state()
            np.random.seed(seed_from(self.state.rng))

    def __exit__(self, *_: object) -> None:
        if self.stream:
            np.random.set_state(self.before)
        self.caught.__exit__(None, None, None)
