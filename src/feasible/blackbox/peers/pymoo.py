"""pymoo's algorithms, asked and told: GA, DE, PSO and ISRES, and NSGA-II for several objectives.

Limits are handled as each algorithm has them: feasible first, then the smaller sum of violations,
then the objective (GA, DE, PSO), or stochastic ranking (ISRES). Reals keep their own unit, whole
numbers and categories have equal shares of [0, 1]. A candidate that the known constraints forbid
costs nothing: it is told as infeasible by one more constraint, and so is a failed evaluation, with
the worst objective seen. Where a generation would be empty or wholly forbidden, allowed points are
drawn at random. An algorithm that finds no new candidate is started again. Points that somebody
else chose are not taken, pymoo has no place for them.

References:
    J. Blank, K. Deb, pymoo: multi-objective optimization in Python (IEEE Access 2020); T. P.
    Runarsson, X. Yao (IEEE Trans. SMC C, 2005) for ISRES.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from ...core.checks import one_of, whole
from ...core.errors import Pending
from ..asktell import AskTell, Proposals
from ..sampling import draw, first_start, lost, seed_from
from .frame import Frame, require

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ...core.ledger import Observations
    from ..problem import BlackBox

Algorithm = Literal["ga", "de", "pso", "isres", "nsga2"]
CLASSES = {
    "ga": "soo.nonconvex.ga:GA",
    "de": "soo.nonconvex.de:DE",
    "pso": "soo.nonconvex.pso:PSO",
    "isres": "soo.nonconvex.isres:ISRES",
    "nsga2": "moo.nsga2:NSGA2",
}
"""Where pymoo has them: module:class."""


@dataclass(slots=True)
class Evolving:
    """pymoo's algorithm, and what was told of its present generation.

    Attributes:
        rng: Source of the algorithm's seed and of random points.
        frame: Coordinates in which the algorithm works.
        algorithm: pymoo's own object.
        candidates: Its generation of n individuals.
        shown: (n, d) the points at which they are evaluated.
        f: (n, k) objectives.
        g: (n, m + 1) constraints, the last one positive where a candidate is forbidden or lost.
        told: (n,) True where nothing more is to be told.
        queue: (q,) the candidates that are evaluated, in order.
        first: Tag of candidate 0.
        handed: How many of the queue are out.
        worst: (k,) largest objectives seen.
        started: True once the first generation is set up.
    """

    rng: np.random.Generator
    frame: Frame
    algorithm: Any = None
    candidates: Any = None
    shown: Float[np.ndarray, "n d"] = field(default_factory=lambda: np.empty((0, 0)))
    f: Float[np.ndarray, "n k"] = field(default_factory=lambda: np.empty((0, 1)))
    g: Float[np.ndarray, "n m1"] = field(default_factory=lambda: np.empty((0, 1)))
    told: Bool[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, dtype=bool))
    queue: Int[np.ndarray, " q"] = field(default_factory=lambda: np.empty(0, dtype=int))
    first: int = 0
    handed: int = 0
    worst: Float[np.ndarray, " k"] = field(default_factory=lambda: np.full(1, -np.inf))
    started: bool = False


@dataclass(frozen=True)
class Pymoo(AskTell):
    """An algorithm of pymoo with its defaults.

    Attributes:
        algorithm: "ga", "de", "pso", "isres" or, for several objectives, "nsga2".
        pop_size: Individuals, at least 5; None for pymoo's default, 100 (PSO 25; ISRES 29 parents
            of 200 offspring), which suits thousands of evaluations.

    Asking raises Pending when a whole generation is out and not all of it was told.
    """

    requires: ClassVar[tuple[str, ...]] = ("pymoo",)
    avoids: ClassVar[bool] = False
    algorithm: Algorithm = "ga"
    pop_size: int | None = None

    def __post_init__(self) -> None:
        one_of("algorithm", self.algorithm, get_args(Algorithm))
        if self.pop_size is not None:
            whole("pop_size", self.pop_size, least=5, note=", or None")

    @property
    def name(self) -> str:  # type: ignore[override]
        """ "pymoo-ga", "pymoo-de", "pymoo-pso", "pymoo-isres" or "pymoo-nsga2"."""
        return f"pymoo-{self.algorithm}"

    @property
    def several(self) -> bool:  # type: ignore[override]
        """True for NSGA-II."""
        return self.algorithm == "nsga2"

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Evolving:
        """Set the algorithm up. Nothing is evaluated; a design x0 takes the place of the first
        individual.
        """
        require("pymoo", self.name)
        problem.space.needs_bounds(self.name)
        k = len(problem.reader.objectives)
        worst = np.full(k, -np.inf)
        state = Evolving(rng, Frame.of(problem, own=True), f=np.empty((0, k)), worst=worst)
        self._begin(problem, state)
        return state

    def _begin(self, problem: BlackBox, state: Evolving) -> None:
        path, _, kind = CLASSES[self.algorithm].partition(":")
        module = require(f"pymoo.algorithms.{path}", self.name)
        core = require("pymoo.core.problem", self.name)
        frame, m = state.frame, state.g.shape[1]
        options: dict[str, Any] = {} if self.pop_size is None else {"pop_size": self.pop_size}
        with _quiet():
            state.algorithm = getattr(module, kind)(**options)
            stated = core.Problem(
                n_var=frame.k,
                n_obj=state.f.shape[1],
                n_ieq_constr=m,
                xl=frame.low,
                xu=frame.high,
            )
            state.algorithm.setup(
                stated,
                seed=seed_from(state.rng),
                termination=require("pymoo.core.termination", self.name).NoTermination(),
            )
        if (
            self.algorithm == "isres"
        ):  # pymoo 0.6.2 ranks with a stream of its own that no seed reaches
            state.algorithm.survival.do = partial(
                state.algorithm.survival.do, random_state=state.algorithm.random_state
            )
        self._generate(problem, state, first=True)

    def _generate(self, problem: BlackBox, state: Evolving, *, first: bool = False) -> None:
        """The next generation of candidates."""
        with _quiet():
            candidates = state.algorithm.ask()
        if candidates is None or len(candidates) == 0:
            self._begin(problem, state)
            return
        z = np.asarray(candidates.get("X"), dtype=float)
        x = state.frame.x(problem, z)
        allowed = problem.allowed(x)
        if not allowed.all() and (first or not allowed.any()):
            x[~allowed] = draw(problem, state.rng, int((~allowed).sum()))
            z[~allowed] = state.frame.z(problem, x[~allowed])
            allowed[:] = True
            candidates.set("X", z)
        start = None if state.started else first_start(problem)
        if start is not None:
            x[0], z[0] = start, state.frame.z(problem, start[None])[0]
            candidates.set("X", z)
        state.started = True
        n = len(x)
        state.first += len(state.shown)
        state.candidates, state.shown, state.handed, state.queue = (
            candidates,
            x,
            0,
            np.flatnonzero(allowed),
        )
        state.f, state.g, state.told = (
            np.full((n, state.f.shape[1]), np.nan),
            np.zeros((n, state.g.shape[1])),
            ~allowed,
        )
        state.g[~allowed, -1] = 1.0

    def ask(self, problem: BlackBox, state: Evolving, n: int | None = None) -> Proposals:
        """The candidates of this generation that nobody has asked for yet, at most n. Raises
        Pending where there are none.
        """
        left = len(state.queue) - state.handed
        if left == 0 and n != 0:
            raise Pending(
                f"{self.name}: all {len(state.queue)} candidates of the generation are out; tell "
                "their outcomes first"
            )
        which = state.queue[state.handed : state.handed + (left if n is None else n)]
        state.handed += len(which)
        return Proposals(state.shown[which], which + state.first)

    def tell(self, problem: BlackBox, state: Evolving, seen: Observations) -> None:
        """Note outcomes; when the whole generation was told, the algorithm makes the next one."""
        nothing, m, objectives = lost(seen), seen.constraints.shape[1], problem.objectives_of(seen)
        if m + 1 != state.g.shape[1]:
            fewer = min(m, state.g.shape[1] - 1)
            wide = np.zeros((len(state.g), m + 1))
            wide[:, :fewer], wide[:, -1] = state.g[:, :fewer], state.g[:, -1]
            state.g = wide
        for i, tag in enumerate(seen.tag.tolist()):
            j = tag - state.first
            if not 0 <= j < len(state.shown) or state.told[j]:
                continue
            state.told[j] = True
            if nothing[i]:
                state.g[j, -1] = 1.0
                continue
            state.f[j] = objectives[i]
            state.worst = np.fmax(state.worst, objectives[i])
            state.g[j, :-1] = np.nan_to_num(seen.constraints[i], nan=0.0)
        if state.told.all():
            self._advance(problem, state)

    def _advance(self, problem: BlackBox, state: Evolving) -> None:
        worst = np.where(np.isfinite(state.worst), state.worst, 0.0)
        state.f = np.where(np.isnan(state.f), worst, state.f)
        if state.g.shape[1] != state.algorithm.problem.n_ieq_constr:
            if state.algorithm.is_initialized:  # the number of constraints has changed under way
                self._begin(problem, state)
                return
            state.algorithm.problem.n_ieq_constr = state.g.shape[1]
        evaluator = require("pymoo.core.evaluator", self.name).Evaluator()
        static = require("pymoo.problems.static", self.name).StaticProblem(
            state.algorithm.problem, F=state.f, G=state.g
        )
        with _quiet():
            evaluator.eval(static, state.candidates)
            state.algorithm.tell(infills=state.candidates)
        self._generate(problem, state)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the note that modules are not compiled and without overflow warnings; the global
    stream of NumPy is put back.
    """
    config = require("pymoo.config", "pymoo").Config
    shown, before = config.warnings["not_compiled"], np.random.get_state()
    config.warnings["not_compiled"] = False
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        config.warnings["not_compiled"] = shown
        np.random.set_state(before)
