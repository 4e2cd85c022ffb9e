"""Constrained Bayesian optimisation with a prior-fitted network, or with Gaussian processes, as the
surrogate.

R. T.-Y. Yu, C. Picard and F. Ahmed, "Fast and Accurate Bayesian Optimization with Pre-trained
Transformers for Constrained Engineering
Problems" (arXiv 2404.04495).  minimise f(x) subject to g_j(x) <= 0 in a box, f and all g_j observed
together at each evaluation.

After `n_initial` random points each proposal maximises, over candidates, the expected improvement
of f over the best feasible value times
  cei       prod_j P(g_j <= 0);
  cei+      prod_j min(1, 2 P(g_j <= 0)), which lets points through that are feasible with
  probability 1/2;
  penalty   nothing, but f + rho sum_j max(0, g_j)^2 takes the place of f, and rho grows by one half
  after every five steps in which
            the feasible best did not improve.
While nothing is feasible, the probabilities alone are maximised. With the network a proposal is one
pass and needs no fitting.
Other than published: 512 Sobol points and clouds around good points are the candidates, the
  incumbent is feasible, and outputs are
standardised before their power transform; `.published()` gives the paper's way.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from ...core.errors import ArgumentError, NotFinite, ShapeError, WrongProblem, nearest
from ..asktell import AskTell, Proposals
from ..sampling import first_start, lost, seed_from
from ..space import Known, Space, known_constraint, sample_allowed
from .columns import Columns, constrained, feasible_rows, fill_failures, penalised

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float

    from ...core.ledger import Observations
    from ..problem import BlackBox
    from .pfn import PFN

ACQUISITIONS = ("cei", "cei+", "penalty")
PATIENCE, GROWTH = 5, 1.5


class Surrogate(Protocol):
    """What judges candidates."""

    def score(self, u: Float[np.ndarray, "k d"]) -> Float[np.ndarray, " k"]:
        """Logarithm of the acquisition at points of the unit cube."""

    def climb(self, seed: int) -> Float[np.ndarray, " d"] | None:
        """A maximiser by gradients; None where the surrogate only compares candidates."""


@dataclass(slots=True)
class Searching:
    """seed: of the candidates. asked: proposals so far. u, f, g: what was told, in the unit cube.
    out: proposals without a result, by tag.
    """

    seed: int
    rng: np.random.Generator
    start: Float[np.ndarray, "k d"]
    u: Float[np.ndarray, "n d"]
    f: Float[np.ndarray, " n"]
    g: Float[np.ndarray, "n m"]
    failed: np.ndarray
    tags: np.ndarray
    out: Float[np.ndarray, "p d"]
    asked: int = 0
    rho: float = 1.0
    stalls: int = 0
    best: float = math.inf
    said: bool = False
    """The warning that the network reads a part of the observations only was given."""


@dataclass(frozen=True)
class ConstrainedSearch(AskTell):
    """Settings. acq: "cei", "cei+" or "penalty". n_initial: random points at the start.

    candidates: Sobol points in the box (uniform ones with official=True).
    local: points of a cloud around the best observations, and as many again around the best
      candidates.
    official: the paper's way: uniform candidates alone, the incumbent is the best of all points,
      standardised only where values are large.
    """

    surrogate: ClassVar[str] = "pfn"

    acq: str = "cei"
    n_initial: int = 20
    candidates: int = 512
    local: int = 128
    official: bool = False

    @property
    def name(self) -> str:  # type: ignore[override]
        """The surrogate and the acquisition: "pfn-cei-plus"."""
        return f"{self.surrogate}-{self.acq.replace('+', '-plus')}"

    def __post_init__(self) -> None:
        if self.acq not in ACQUISITIONS:
            raise ArgumentError(f"acq={self.acq!r}: {nearest(str(self.acq), ACQUISITIONS)}")
        for what, least in (("n_initial", 0), ("candidates", 1), ("local", 0)):
            value = getattr(self, what)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ArgumentError(f"{what}={value!r}: expected a whole number >= {least}")

    @classmethod
    def published(cls, acq: str = "cei") -> Self:
        """The paper's settings: 1000 uniform candidates."""
        return cls(acq, candidates=1000, local=0, official=True)

    def model_for(
        self, columns: Columns, u: np.ndarray, pending: np.ndarray, seed: int
    ) -> Surrogate:
        """The surrogate given the observations."""
        raise TypeError(f"{type(self).__name__} does not define model_for")

    def most(self) -> int | None:
        """Most observations that the surrogate takes."""
        return None

    def check_inputs(self, d: int) -> None:
        """Raise WrongProblem where the surrogate does not take d inputs."""

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Searching:
        """An empty search; a design x0 is its first proposal."""
        problem.space.needs_bounds(self.name)
        self.check_inputs(problem.space.d)
        return begin(problem.space.d, problem.limits.m, rng, first_start(problem))

    def ask(self, problem: BlackBox, state: Searching, n: int | None = None) -> Proposals:
        """One point, or n; each later one takes the model's mean for the outcomes that are still
        open.
        """
        x, tags = [], []
        for _ in range(1 if n is None else n):
            tags.append(state.asked)
            x.append(propose(self, problem.space, problem.known, state))
        return Proposals(np.array(x).reshape(-1, problem.space.d), np.array(tags, dtype=int))

    def tell(self, problem: BlackBox, state: Searching, seen: Observations) -> None:
        """Learn outcomes; failed rows count as worst in everything."""
        record(
            self,
            state,
            problem.space.unit(seen.x),
            seen.objective,
            seen.constraints,
            lost(seen),
            seen.tag,
        )


def begin(
    d: int, m: int, rng: np.random.Generator, start: Float[np.ndarray, " d"] | None
) -> Searching:
    """A search that has seen nothing."""
    seed = seed_from(rng)
    first = np.zeros((0, d)) if start is None else start[None]
    return Searching(
        seed,
        rng,
        first,
        np.zeros((0, d)),
        np.zeros(0),
        np.zeros((0, m)),
        np.zeros(0, dtype=bool),
        np.zeros(0, dtype=int),
        np.zeros((0, d)),
    )


def record(
    method: ConstrainedSearch,
    state: Searching,
    u: np.ndarray,
    f: np.ndarray,
    g: np.ndarray,
    failed: np.ndarray,
    tags: np.ndarray,
) -> None:
    """Add outcomes. u (n, d), f (n,), g (n, m). The penalty grows after PATIENCE steps without a
    better feasible point (counted one by one).
    """
    m = max(g.shape[1], state.g.shape[1])
    wide = [np.pad(a, ((0, 0), (0, m - a.shape[1])), constant_values=np.nan) for a in (state.g, g)]
    before = len(state.f)
    state.u, state.f, state.g = (
        np.concatenate([state.u, u]),
        np.concatenate([state.f, np.where(failed, np.nan, f)]),
        np.concatenate(wide),
    )
    state.failed = np.concatenate([state.failed, failed])
    open_ = ~np.isin(state.tags, tags)
    state.tags, state.out = state.tags[open_], state.out[open_]
    good = feasible_rows(state.f, state.g)
    for i in range(before, len(state.f)):
        better = good[i] and state.f[i] < state.best
        state.best = float(state.f[i]) if better else state.best
        if i >= method.n_initial and not better:
            state.stalls += 1
            if state.stalls >= PATIENCE:
                state.rho, state.stalls = GROWTH * state.rho, 0


def propose(
    method: ConstrainedSearch, space: Space, known: Known | None, state: Searching
) -> Float[np.ndarray, " d"]:
    """The next point to evaluate, in the user's units; it is noted as open."""
    number = state.asked
    rng = np.random.default_rng([state.seed, number])
    x = None
    if number < len(state.start):
        x = state.start[number]
    elif (
        number >= method.n_initial
        and np.isfinite(state.f).sum() + (np.isfinite(state.g).sum() if state.g.size else 0) >= 2
    ):
        x = _by_model(method, space, known, state, rng)
    if x is None:
        x = sample_allowed(space, known, 1, lambda k: state.rng.random((k, space.d)))[0]
    state.asked += 1
    state.tags, state.out = (
        np.append(state.tags, number),
        np.concatenate([state.out, space.unit(x[None])]),
    )
    return x.copy()


def _by_model(
    method: ConstrainedSearch,
    space: Space,
    known: Known | None,
    state: Searching,
    rng: np.random.Generator,
) -> np.ndarray | None:
    f, g = fill_failures(state.f, state.g, state.failed)
    order = merit(f, g)
    rows = _kept(method, state, order, len(state.out))
    if method.acq == "penalty":
        columns = penalised(f[rows], g[rows], state.rho, always=not method.official)
    else:
        columns = constrained(
            f[rows], g[rows], always=not method.official, anywhere=method.official
        )
    if not len(columns.values):
        return None
    model = method.model_for(columns, state.u[rows], state.out, int(rng.integers(2**31 - 1)))
    taken = np.concatenate([state.u, state.out])
    climbed = model.climb(int(rng.integers(2**31 - 1)))
    if climbed is not None:
        x = _allowed(space, known, climbed[None], taken)
        if len(x):
            return x[0]
    best_u = state.u[order[:5]]
    pool = _candidates(method, space, known, rng, best_u, taken)
    scores = model.score(space.unit(pool))
    if method.local and not method.official:
        again = _allowed(
            space,
            known,
            cloud(
                space.unit(pool[np.argsort(-scores, kind="stable")[:4]]), method.local, 0.05, rng
            ),
            taken,
        )
        if len(again):
            pool, scores = (
                np.concatenate([pool, again]),
                np.concatenate([scores, model.score(space.unit(again))]),
            )
    return pool[int(np.argmax(np.where(np.isnan(scores), -np.inf, scores)))]


def merit(f: Float[np.ndarray, " n"], g: Float[np.ndarray, "n m"]) -> np.ndarray:
    """Row numbers from the best: feasible ones by objective, then by their violations, each in
    units of its constraint's spread.
    """
    good = feasible_rows(f, g)
    if not g.shape[1]:
        return np.argsort(np.where(np.isfinite(f), f, np.inf), kind="stable")
    size = np.abs(np.where(np.isfinite(g), g, 0.0)).max(axis=0)
    worse = np.maximum(np.where(np.isfinite(g), g, np.inf), 0.0) / np.where(size > 0, size, 1.0)
    return np.lexsort(
        (np.where(np.isfinite(f), f, np.inf), np.where(good, 0.0, worse.sum(axis=1)), ~good)
    )


def _kept(
    method: ConstrainedSearch, state: Searching, order: np.ndarray, pending: int
) -> np.ndarray:
    """Rows for the surrogate: all, or where there are too many the best third and those nearest to
    the best point.
    """
    most = method.most()
    if most is None or len(order) + pending <= most:
        return np.arange(len(order))
    if not state.said:
        state.said = True
        warnings.warn(
            f"{method.name}: the network reads at most {most} observations, so it gets the best "
            "ones and those nearest to the best",
            stacklevel=2,
        )
    room = max(most - pending, 2)
    kept = set(order[: room // 3].tolist())
    distance = ((state.u - state.u[order[0]]) ** 2).sum(axis=1)
    for i in np.argsort(distance, kind="stable").tolist():
        if len(kept) >= room:
            break
        kept.add(i)
    return np.array(sorted(kept))


def cloud(
    parents: Float[np.ndarray, "k d"], n: int, reach: float, rng: np.random.Generator
) -> Float[np.ndarray, "n d"]:
    """n points around parents: normal steps of sizes from 0.005 to 1 times `reach`, in some of the
    coordinates, clipped to the unit cube.
    """
    d = parents.shape[1]
    chosen = parents[rng.integers(len(parents), size=n)]
    size = reach * 0.005 ** rng.random((n, 1))
    moved = (rng.random((n, d)) < rng.choice([1.0, 0.5, 2.0 / max(d, 2)], size=(n, 1))) | (
        np.arange(d) == rng.integers(d, size=(n, 1))
    )
    return np.clip(chosen + np.where(moved, size * rng.standard_normal((n, d)), 0.0), 0.0, 1.0)


def _candidates(
    method: ConstrainedSearch,
    space: Space,
    known: Known | None,
    rng: np.random.Generator,
    best: np.ndarray,
    taken: np.ndarray,
) -> np.ndarray:
    if method.official:
        u = rng.random((method.candidates, space.d))
    else:
        from scipy.stats import qmc

        power = max(math.ceil(math.log2(method.candidates)), 0)
        sobol = qmc.Sobol(
            space.d, scramble=True, rng=np.random.default_rng(int(rng.integers(2**31 - 1)))
        ).random_base2(power)
        u = sobol[: method.candidates]
    x = _allowed(space, known, u, taken)
    if method.local and not method.official:
        x = np.concatenate([x, _allowed(space, known, cloud(best, method.local, 0.3, rng), taken)])
    return x if len(x) else sample_allowed(space, known, 16, lambda k: rng.random((k, space.d)))


def _allowed(
    space: Space, known: Known | None, u: np.ndarray, taken: np.ndarray
) -> Float[np.ndarray, "k d"]:
    """Points of the box at u that are allowed and have not been proposed before."""
    x = to_box(space, u)
    if known is not None and len(x):
        x = x[known(x)]
    if space.integer.any() or len(u) < 16:
        old = {row.tobytes() for row in to_box(space, taken)}
        x = x[[row.tobytes() not in old for row in x]] if len(x) else x
    return x


def to_box(space: Space, u: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """The inverse of `space.unit`, rounded to what the box allows (from_unit gives whole numbers
    equal shares instead).
    """
    span = space.high - space.low
    x = space.low + u * span
    for j, v in enumerate(space.variables):
        if v.log:
            x[:, j] = v.low * (v.high / v.low) ** u[:, j]
    return space.snap(x)


@cache
def network(name: str) -> PFN:
    """A network, read once."""
    from .pfn import PFN

    return PFN.load(name)


@dataclass(frozen=True)
class NetworkSearch(ConstrainedSearch):
    """model: name of a packaged network, or a .safetensors file."""

    model: str = "small"

    def most(self) -> int:
        """Rows that the network was trained on."""
        return network(self.model).rows

    def check_inputs(self, d: int) -> None:
        """At most the network's inputs."""
        if d > network(self.model).d_max:
            raise WrongProblem(
                f"{self.name}: the problem has {d} inputs, but the network '{self.model}' takes at "
                f"most {network(self.model).d_max}; "
                "use one of the methods gp-cei, gp-cei-plus, gp-penalty, or train a wider network"
            )

    def model_for(
        self, columns: Columns, u: np.ndarray, pending: np.ndarray, seed: int
    ) -> Surrogate:
        """The network with the observations read."""
        from .by_network import NetworkSurrogate

        return NetworkSurrogate.of(
            network(self.model), columns, u, pending, plus=self.acq == "cei+"
        )


@dataclass(frozen=True)
class ProcessSearch(ConstrainedSearch):
    """Gaussian processes of BoTorch. restarts, raw: of its optimiser of the acquisition.
    published(): 1 and 3.
    """

    surrogate: ClassVar[str] = "gp"
    restarts: int = 4
    raw: int = 64

    @classmethod
    def published(cls, acq: str = "cei") -> Self:
        """The paper's baseline: one restart from three points. (Its code also compares a raw
        incumbent with scaled outputs; this does not.)
        """
        return cls(acq, restarts=1, raw=3, candidates=1000, local=0)

    def model_for(
        self, columns: Columns, u: np.ndarray, pending: np.ndarray, seed: int
    ) -> Surrogate:
        """One process for each output, fitted."""
        from .by_process import ProcessSurrogate

        return ProcessSurrogate.of(
            self.name,
            columns,
            u,
            pending,
            plus=self.acq == "cei+",
            restarts=self.restarts,
            raw=self.raw,
            seed=seed,
        )


@dataclass(eq=False)
class ConstrainedBO:
    """The same search outside a run.

    >>> opt = ConstrainedBO([(0, 1), (0, 1)], n_constraints=1, n_initial=2, seed=0)
    >>> for _ in range(4):
    ...     x = opt.ask()
    ...     opt.tell(x, (x[0] - 0.5) ** 2 + x[1], [0.3 - x[1]])
    >>> len(opt.f), opt.ask().shape
    (4, (2,))

    bounds: as `BlackBox` takes them. n_constraints: length of g in tell, g <= 0 is feasible.
      surrogate: "pfn" or "gp".
    acq: "cei", "cei+" or "penalty". known: constraints on the inputs alone. method: settings; None:
      the defaults with n_initial.
    Raises ArgumentError, WrongProblem (more inputs than the network takes), BoundsError,
    ShapeError, NotFinite.
    """

    bounds: Any
    n_constraints: int = 0
    surrogate: str = "pfn"
    acq: str = "cei"
    seed: int = 0
    n_initial: int = 20
    known: Any = None
    method: ConstrainedSearch | None = None
    state: Searching = field(init=False, repr=False)

    def __post_init__(self) -> None:
        searches: dict[str, type[ConstrainedSearch]] = {"pfn": NetworkSearch, "gp": ProcessSearch}
        if self.surrogate not in searches:
            raise ArgumentError(f"surrogate={self.surrogate!r}: expected 'pfn' or 'gp'")
        if not isinstance(self.n_constraints, int) or self.n_constraints < 0:
            raise ArgumentError(
                f"n_constraints={self.n_constraints!r}: expected a whole number >= 0"
            )
        self.space = Space.of(self.bounds)
        self.space.needs_bounds("ConstrainedBO")
        self.method = self.method or searches[self.surrogate](self.acq, n_initial=self.n_initial)
        self.method.check_inputs(self.space.d)
        self._known = None if self.known is None else known_constraint(self.known, self.space.d)
        self.state = begin(self.space.d, self.n_constraints, np.random.default_rng(self.seed), None)

    @property
    def f(self) -> Float[np.ndarray, " n"]:
        """Objectives told so far."""
        return self.state.f

    @property
    def best(self) -> tuple[np.ndarray, float] | None:
        """The best feasible point told, and its objective; None while there is none."""
        good = feasible_rows(self.state.f, self.state.g)
        if not good.any():
            return None
        i = int(np.argmin(np.where(good, self.state.f, np.inf)))
        return to_box(self.space, self.state.u[i : i + 1])[0], float(self.state.f[i])

    def ask(self) -> Float[np.ndarray, " d"]:
        """The next point to evaluate. Asking again before telling takes the model's mean for the
        open ones.
        """
        assert self.method is not None
        return propose(self.method, self.space, self._known, self.state)

    def tell(self, x: Any, f: float, g: Any = ()) -> None:
        """Tell the outcome at a point of the box, proposed or not."""
        assert self.method is not None
        point = self.space.vector(x, what="x")
        values = np.atleast_1d(np.asarray(g, dtype=float))
        if values.shape != (self.n_constraints,):
            raise ShapeError(f"g has shape {values.shape}, expected ({self.n_constraints},)")
        if not (math.isfinite(f) and np.isfinite(values).all()):
            raise NotFinite(
                f"f={f!r}, g={values.tolist()}: got NaN or an infinity, expected finite numbers"
            )
        u = self.space.unit(point[None])
        same = np.flatnonzero(np.abs(self.state.out - u).max(axis=1, initial=0.0) < 1e-12)
        tag = self.state.tags[same[:1]] if len(same) else np.array([-1])
        record(
            self.method, self.state, u, np.array([float(f)]), values[None], np.array([False]), tag
        )
