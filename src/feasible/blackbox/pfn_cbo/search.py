"""Constrained Bayesian optimisation with a prior-fitted network, or with Gaussian processes, as the
surrogate.

Minimise f(x) subject to g_j(x) <= 0 in a box, f and all g_j observed together at each evaluation.
After `n_initial` random points each proposal maximises, over candidates, the expected improvement
of f over the best feasible value times

    cei       prod_j P(g_j <= 0);
    cei+      prod_j min(1, 2 P(g_j <= 0)), which lets points through that are feasible with
              probability 1/2;
    penalty   nothing, but f + rho sum_j max(0, g_j)^2 takes the place of f, and rho grows by one
              half after every five steps in which the feasible best did not improve.

While nothing is feasible, the probabilities alone are maximised. With the network a proposal is one
pass and needs no fitting. Other than published: 512 Sobol points and clouds around good points are
the candidates, the incumbent is feasible, and outputs are standardised before their power
transform; `.published()` gives the paper's way.

References:
    R. T.-Y. Yu, C. Picard, F. Ahmed: Fast and Accurate Bayesian Optimization with Pre-trained
    Transformers for Constrained Engineering Problems (2024, arXiv 2404.04495).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from ...core.checks import whole
from ...core.errors import WrongProblem
from ...core.warning import warn
from ..asktell import AskTell, Proposals
from ..descriptors import directions
from ..sampling import first_start, lost, seed_from
from ..space import Known, Space, sample_allowed
from .candidates import candidates, cloud, merit, new_points
from .columns import Columns, constrained, feasible_rows, fill_failures, penalised
from .settings import ConstrainedSettings

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float

    from ...core.ledger import Observations
    from ..problem import BlackBox
    from .pfn import PFN

PATIENCE, GROWTH = 5, 1.5
Told = Mapping[int, "Float[np.ndarray, 'k q']"]
"""By category with descriptors, the directions of its choices."""


class Surrogate(Protocol):
    """What judges candidates."""

    def score(self, u: Float[np.ndarray, "k d"]) -> Float[np.ndarray, " k"]:
        """Logarithm of the acquisition at points of the unit cube."""

    def climb(self, seed: int) -> Float[np.ndarray, " d"] | None:
        """A maximiser by gradients; None where the surrogate only compares candidates."""


@dataclass(slots=True)
class Searching:
    """Where a search stands.

    Attributes:
        seed: Of the candidates.
        rng: Of the random points.
        start: (k, d) points that are proposed first.
        u: (n, d) told points, in the unit cube.
        f: (n,) their objectives, NaN where they failed.
        g: (n, m) their constraints.
        failed: (n,) which failed.
        tags: (p,) labels of the proposals without a result.
        out: (p, d) these proposals, in the unit cube.
        asked: Proposals so far.
        rho: Weight of the constraints ("penalty").
        stalls: Steps without a better feasible point.
        best: Least feasible objective.
        said: Whether the warning was given that the network reads a part of the observations only.
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


@dataclass(frozen=True)
class ConstrainedSearch(ConstrainedSettings, AskTell):
    """Constrained Bayesian optimisation under a surrogate: minimise f(x) subject to g_j(x) <= 0."""

    surrogate: ClassVar[str] = "pfn"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The surrogate and the acquisition: "pfn-cei-plus"."""
        return f"{self.surrogate}-{self.acq.replace('+', '-plus')}"

    @classmethod
    def published(cls, acq: str = "cei") -> Self:
        """The paper's settings: 1000 uniform candidates."""
        return cls(acq, candidates=1000, local=0, official=True)

    def model_for(
        self, columns: Columns, u: np.ndarray, pending: np.ndarray, seed: int, told: Told
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
    """Add outcomes. The penalty grows after PATIENCE steps without a better feasible point, counted
    one by one.

    Args:
        method: The settings.
        state: Changed in place.
        u: (n, d) points of the unit cube.
        f: (n,) objectives.
        g: (n, m) constraints.
        failed: (n,) which failed.
        tags: (n,) labels, -1 for foreign points.
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
    """Return the best candidate under the surrogate; None where there is nothing to learn from."""
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
    told = {j: directions(v.descriptors) for j, v in enumerate(space.variables) if v.descriptors}
    seed = int(rng.integers(2**31 - 1))
    model = method.model_for(columns, state.u[rows], state.out, seed, told)
    taken = np.concatenate([state.u, state.out])
    climbed = model.climb(int(rng.integers(2**31 - 1)))
    if climbed is not None:
        x = new_points(space, known, climbed[None], taken)
        if len(x):
            return x[0]
    best_u = state.u[order[:5]]
    pool = candidates(method, space, known, rng, best_u, taken)
    scores = model.score(space.unit(pool))
    if method.local and not method.official:
        again = new_points(
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


def _kept(
    method: ConstrainedSearch, state: Searching, order: np.ndarray, pending: int
) -> np.ndarray:
    """Return the rows for the surrogate: all, or where there are too many the best third and those
    nearest to the best point.
    """
    most = method.most()
    if most is None or len(order) + pending <= most:
        return np.arange(len(order))
    if not state.said:
        state.said = True
        warn(
            f"{method.name}: the network reads at most {most} observations, so it gets the best "
            "ones and those nearest to the best"
        )
    room = max(most - pending, 2)
    kept = set(order[: room // 3].tolist())
    distance = ((state.u - state.u[order[0]]) ** 2).sum(axis=1)
    for i in np.argsort(distance, kind="stable").tolist():
        if len(kept) >= room:
            break
        kept.add(i)
    return np.array(sorted(kept))


@cache
def network(name: str) -> PFN:
    """A network, read once."""
    from .pfn import PFN

    return PFN.load(name)


@dataclass(frozen=True)
class NetworkSearch(ConstrainedSearch):
    """Constrained Bayesian optimisation with a prior-fitted network.

    Attributes:
        model: Name of a packaged network, or a .safetensors file.
    """

    requires: ClassVar[tuple[str, ...]] = ("torch",)

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
        self, columns: Columns, u: np.ndarray, pending: np.ndarray, seed: int, told: Told
    ) -> Surrogate:
        """The network with the observations read."""
        from .by_network import NetworkSurrogate

        return NetworkSurrogate.of(
            network(self.model), columns, u, pending, plus=self.acq == "cei+"
        )


@dataclass(frozen=True)
class ProcessSearch(ConstrainedSearch):
    """Constrained Bayesian optimisation with Gaussian processes of BoTorch.

    Attributes:
        restarts: Of its optimiser of the acquisition; published: 1.
        raw: Points among which these are chosen; published: 3.
    """

    surrogate: ClassVar[str] = "gp"
    uses_beforehand: ClassVar[tuple[str, ...]] = ("descriptors",)
    requires: ClassVar[tuple[str, ...]] = ("botorch",)
    restarts: int = 4
    raw: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("restarts", "raw"):
            whole(name, getattr(self, name), least=1)

    @classmethod
    def published(cls, acq: str = "cei") -> Self:
        """The paper's baseline: one restart from three points. (Its code also compares a raw
        incumbent with scaled outputs; this does not.)
        """
        return cls(acq, restarts=1, raw=3, candidates=1000, local=0)

    def model_for(
        self, columns: Columns, u: np.ndarray, pending: np.ndarray, seed: int, told: Told
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
            told=told,
        )
