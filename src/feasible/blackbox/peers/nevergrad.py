"""Nevergrad's NGOpt, PSO and two-points differential evolution, asked and told.

Limits are handled by Nevergrad's own `tell(constraint_violation=...)` ("penalty": it grows with the
number of outcomes, but in the first half of the budget it is zero where the loss is negative), or
by Deb's rule ("rank": every infeasible point behind every feasible one, by its violation). Each
method has the one that was better on development seeds (400 evaluations, seeds 100-104): NGOpt
finds no feasible point of GKXWC2 in 5 runs of 5 with the penalty, and one in every run with the
rule. Known constraints are its cheap constraints: it redraws up to 1000 times, at no cost.
Variables keep their kind. A failed evaluation is told as Nevergrad's largest loss.

References:
    J. Rapin, O. Teytaud, Nevergrad (2018); L. Meunier et al., Black-box optimization revisited
    (arXiv 2010.04542) for NGOpt.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ...core.checks import one_of, whole
from ...core.errors import Pending
from ...core.run import active_run
from ..asktell import AskTell, Proposals
from ..sampling import draw, first_start, lost, seed_from
from .frame import require

if TYPE_CHECKING:
    from ...core.ledger import Observations
    from ..problem import BlackBox

TRIES = 20
"""Candidates for one proposal, before a forbidden one is replaced by a random allowed point."""
LARGEST = 1e20
"""The loss of a failed evaluation; Nevergrad clips at 5e20."""
BEHIND = 1e12
"""The loss from which infeasible points are ranked."""


@dataclass(slots=True)
class Searching:
    """Nevergrad's optimiser, and what is still to be told to it.

    Attributes:
        rng: Stream of the random points that replace forbidden candidates.
        optimizer: Nevergrad's own object.
        seed: Seed of its parametrisation, and of NumPy's global stream while it works.
        open: Its candidates that were proposed and not told, by tag.
        next_tag: Tag of the next proposal.
        worst: Largest objective told, which replaces an unknown one; None before the first.
    """

    rng: np.random.Generator
    optimizer: Any
    seed: int
    open: dict[int, Any] = field(default_factory=dict)
    next_tag: int = 0
    worst: float | None = None


@dataclass(frozen=True)
class Nevergrad(AskTell):
    """Minimise f(x) under g_j(x) <= 0 by an optimiser of Nevergrad's registry.

    Attributes:
        optimizer: Its name in the registry.
        sequential: True if at most `workers` proposals may be open at once.
        budget: Evaluations that it plans for; None for those of the active run, else 1000.
        workers: Proposals that may be open at once, at least 1, by which Nevergrad chooses.
        constraints: "rank" (Deb's rule) or "penalty" (Nevergrad's own).

    Raises:
        ArgumentError: Another value of `constraints`, or `workers` below 1.

    References:
        J. Rapin, O. Teytaud, Nevergrad (2018).
    """

    avoids: ClassVar[bool] = False
    optimizer: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ("nevergrad",)
    sequential: ClassVar[bool] = False
    budget: int | None = None
    workers: int = 1
    constraints: Literal["rank", "penalty"] = "rank"

    def __post_init__(self) -> None:
        one_of("constraints", self.constraints, ("rank", "penalty"))
        whole("workers", self.workers, least=1)
        if self.budget is not None:
            whole("budget", self.budget, least=1, note=", or None")

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Searching:
        """Build the parametrisation and the optimiser; a design x0 is suggested first.

        Args:
            problem: The problem.
            rng: Source of the seed and of random points.

        Returns:
            The state of a run that has no proposal yet.

        Raises:
            MissingExtra: Nevergrad is not installed.
        """
        ng = require("nevergrad", self.name)
        run = active_run.get()
        planned = (
            self.budget or (run.budget.get("evaluations") if run is not None else None) or 1000
        )
        seed = seed_from(rng)
        with _quiet(seed):
            space = parametrisation(ng, problem)
            space.random_state = np.random.RandomState(seed)
            space.function.deterministic = problem.deterministic
            if problem.known is not None:
                space.register_cheap_constraint(_cheap(problem))
            optimizer = ng.optimizers.registry[self.optimizer](
                parametrization=space, budget=int(planned), num_workers=self.workers
            )
            start = first_start(problem)
            if start is not None:
                optimizer.suggest(_value(problem, start))
        return Searching(rng, optimizer, seed)

    def ask(self, problem: BlackBox, state: Searching, n: int | None = None) -> Proposals:
        """Propose points by Nevergrad's candidates.

        Args:
            problem: The problem.
            state: Changed in place: the candidates become open.
            n: Number of points; None for one. A sequential optimiser gives fewer where `workers`
                leaves room for fewer.

        Returns:
            The points (n, d) and their tags (n,).

        Raises:
            Pending: The optimiser is sequential, and `workers` proposals are open.
        """
        n = 1 if n is None else n
        if self.sequential:
            room = self.workers - len(state.open)
            if room < 1 <= n:
                raise Pending(
                    f"{self.name}: {len(state.open)} proposals are open, and it was set up for "
                    f"workers={self.workers}"
                )
            n = min(n, room)
        points, tags = [], []
        with _quiet(state.seed + state.next_tag):
            for _ in range(n):
                candidate, x = self._candidate(problem, state)
                points.append(x)
                tags.append(state.next_tag)
                state.open[state.next_tag] = candidate
                state.next_tag += 1
        return Proposals(np.array(points).reshape(-1, problem.space.d), np.array(tags, dtype=int))

    def _candidate(self, problem: BlackBox, state: Searching) -> tuple[Any, np.ndarray]:
        """Return a candidate that the known constraints allow, and its point (d,)."""
        for _ in range(TRIES):
            candidate = state.optimizer.ask()
            x = _point(problem, candidate.value)
            if problem.known is None or problem.known(x[None])[0]:
                return candidate, x
            state.optimizer.tell(candidate, LARGEST)
        x = draw(problem, state.rng)[0]
        return state.optimizer.parametrization.spawn_child(new_value=_value(problem, x)), x

    def tell(self, problem: BlackBox, state: Searching, seen: Observations) -> None:
        """Pass losses and violations on.

        Args:
            problem: The problem.
            state: Changed in place: the candidates told are no longer open.
            seen: Outcomes of n points; those that somebody else chose (tag -1) are told where the
                optimiser takes them.
        """
        errors = require("nevergrad.common.errors", self.name)
        nothing = lost(seen)
        with _quiet(state.seed + state.next_tag):
            for i, tag in enumerate(seen.tag.tolist()):
                candidate = state.open.pop(tag, None)
                if candidate is None:
                    if tag >= 0:
                        continue
                    candidate = state.optimizer.parametrization.spawn_child(
                        new_value=_value(problem, seen.x[i])
                    )
                f = float(seen.objective[i])
                if f == f:
                    state.worst = f if state.worst is None else max(state.worst, f)
                else:
                    f = state.worst or 0.0
                try:
                    if nothing[i]:
                        state.optimizer.tell(candidate, LARGEST)
                    elif seen.constraints.shape[1] and self.constraints == "penalty":
                        state.optimizer.tell(
                            candidate, f, constraint_violation=np.maximum(seen.constraints[i], 0.0)
                        )
                    elif (over := np.maximum(seen.constraints[i], 0.0).sum()) > 0:
                        state.optimizer.tell(candidate, BEHIND * (1.0 + 0.01 * np.log1p(over)))
                    else:
                        state.optimizer.tell(candidate, f)
                except errors.TellNotAskedNotSupportedError:
                    continue


@dataclass(frozen=True)
class NGOpt(Nevergrad):
    """Nevergrad's automatic choice of an optimiser, by the budget, the variables and `workers`.

    It is sequential: with workers=1 one proposal is open at a time. Its settings are those of
    `Nevergrad`.

    References:
        L. Meunier et al., Black-box optimization revisited (arXiv 2010.04542).
    """

    name: ClassVar[str] = "nevergrad-ngopt"
    optimizer: ClassVar[str] = "NGOpt"
    sequential: ClassVar[bool] = True


@dataclass(frozen=True)
class PSO(Nevergrad):
    """Nevergrad's particle swarm, by default with Nevergrad's own penalty for the limits.

    Its settings are those of `Nevergrad`.
    """

    name: ClassVar[str] = "nevergrad-pso"
    optimizer: ClassVar[str] = "PSO"
    constraints: Literal["rank", "penalty"] = "penalty"


@dataclass(frozen=True)
class TwoPointsDE(Nevergrad):
    """Nevergrad's differential evolution with two-points crossover.

    Its settings are those of `Nevergrad`.
    """

    name: ClassVar[str] = "nevergrad-two-points-de"
    optimizer: ClassVar[str] = "TwoPointsDE"


def parametrisation(ng: Any, problem: BlackBox) -> Any:
    """Describe the space to Nevergrad.

    Args:
        ng: The module `nevergrad`.
        problem: The problem whose space it is.

    Returns:
        One bounded array (d,) where all variables are real, vary, are bounded and have no
        logarithmic scale; else a dictionary of parameters by variable name.
    """
    p, space = ng.p, problem.space
    if (
        space.bounded
        and not space.integer.any()
        and (space.high > space.low).all()
        and not any(v.log for v in space.variables)
    ):
        return p.Array(lower=space.low, upper=space.high, shape=(space.d,))
    parts: dict[str, Any] = {}
    for v, low, high in zip(space.variables, space.low.tolist(), space.high.tolist(), strict=True):
        if low == high:
            parts[v.name] = p.Constant(low)
        elif v.choices:
            parts[v.name] = p.Choice(list(range(len(v.choices))))
        elif v.log and np.isfinite(high):
            parts[v.name] = p.Log(lower=low, upper=high)
        else:
            parts[v.name] = p.Scalar(
                lower=low if np.isfinite(low) else None, upper=high if np.isfinite(high) else None
            )
        if v.integer and not v.choices and low < high:
            parts[v.name] = parts[v.name].set_integer_casting()
    return p.Dict(**parts)


def _point(problem: BlackBox, value: Any) -> np.ndarray:
    """Return the point (d,) of a candidate's value, snapped to the box."""
    x = (
        np.array([value[n] for n in problem.space.names], dtype=float)
        if isinstance(value, dict)
        else np.asarray(value, dtype=float)
    )
    return problem.space.snap(x[None])[0]


def _value(problem: BlackBox, x: np.ndarray) -> Any:
    """Return a point (d,) as a candidate's value."""
    space = problem.space
    if (
        space.bounded
        and not space.integer.any()
        and (space.high > space.low).all()
        and not any(v.log for v in space.variables)
    ):
        return np.array(x)
    return {
        v.name: round(a) if v.integer else float(a)
        for v, a in zip(space.variables, x.tolist(), strict=True)
    }


def _cheap(problem: BlackBox) -> Callable[[Any], bool]:
    """Return the test of the known constraints as Nevergrad takes it."""

    def allowed(value: Any) -> bool:
        return bool(problem.allowed(_point(problem, value)[None])[0])

    return allowed


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """Silence Nevergrad's warnings, and seed NumPy's global stream, which is put back afterwards.

    Some of its optimisers draw from that stream.
    Nevergrad 1.0.12 calls float() on predictions of shape (1,), which NumPy 2.4 refuses; inside,
    its module finds one that takes them.
    """
    metamodel: Any = require("nevergrad.optimization.metamodel", "nevergrad")
    before = np.random.get_state()
    np.random.seed(seed % 2**32)
    metamodel.float = _first
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        del metamodel.float
        np.random.set_state(before)


def _first(value: Any) -> float:
    """Return a number, or the first one of an array, as a float."""
    return float(value.ravel()[0]) if isinstance(value, np.ndarray) else float(value)
