"""Bayesian optimisation as P. I. Frazier's tutorial treats it: one loop, one family of
acquisitions.

    evaluate n0 points that cover the box;  repeat: fit a Gaussian process, evaluate where the
    acquisition is largest

Use it where an evaluation costs minutes or money, up to about 20 inputs and a few hundred
evaluations. Two forms: `BayesOpt(bounds, acq=...)` in `native.py`, asked and told by hand, and
`BO(acq=...)`, the Method, for runs and races, registered as bo-logei, bo-noisy-ei, bo-kg and so on.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), sections 3 to 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from ...core.budget import active_meter
from ...core.ledger import Observations
from ...core.run import active_run
from ..asktell import AskTell, Proposals, say
from ..problem import BlackBox
from ..sampling import first_start, sizes_of, standard_errors
from .acquisition import Context, Occasion, feasibility_only
from .belief import BeliefData, Surrogate
from .gp import own_randomness
from .learning import learn
from .search import AcquisitionSearch, Domain, keys_of
from .settings import BOSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor


@dataclass(slots=True)
class Memory:
    """What the search remembers.

    Attributes:
        seed: Of everything random.
        design: (n0, d) the first points.
        x, f, g, grad: The told rows, as in `BeliefData`.
        out: (p, d) proposals that have not come back.
        tags: (p,) their tags.
        handed: How many of the first points were given out.
        asked: Proposals so far.
        warm: Hyperparameters by name.
        final: True once a target-fidelity answer was proposed at the end of a budget.
        notes: What was said of the search.
        error: (n,) the standard error of each objective, NaN where none was told.
        size: (m,) what violations are measured in; older states know none.
    """

    seed: int
    design: Float[np.ndarray, "n0 d"]
    x: Float[np.ndarray, "n d"]
    f: Float[np.ndarray, " n"]
    g: Float[np.ndarray, "n m"]
    grad: Float[np.ndarray, "n d"]
    out: Float[np.ndarray, "p d"]
    tags: Int[np.ndarray, " p"]
    handed: int = 0
    asked: int = 0
    warm: dict[str, np.ndarray] = field(default_factory=dict)
    final: bool = False
    notes: list[str] = field(default_factory=list)
    error: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    size: Float[np.ndarray, " m"] = field(default_factory=lambda: np.empty(0))

    @property
    def errors(self) -> Float[np.ndarray, " n"] | None:
        """(n,) the standard errors, None where none was told; older rows may have none."""
        if not np.isfinite(self.error).any():
            return None
        return np.append(np.full(len(self.f) - len(self.error), np.nan), self.error)


@dataclass(frozen=True)
class BO(BOSettings, AskTell):
    """Bayesian optimisation with Gaussian processes, for runs and races.

    It minimises f(x) over a box subject to g(x) <= 0, all known by evaluations only. Every
    acquisition is weighted by the probability that the limits hold. Settings: `BOSettings` and
    `ModelSettings`.

    Raises:
        ArgumentError: A setting makes no sense.

    References:
        P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), sections 3
        to 5.
    """

    uses_errors: ClassVar[bool] = True

    @property
    def name(self) -> str:  # type: ignore[override]
        """ "bo-" and the acquisition."""
        return f"bo-{self.acq}"

    @property
    def uses_beforehand(self) -> tuple[str, ...]:  # type: ignore[override]
        """Descriptors of choices, and an earlier study where it is learned from."""
        return ("descriptors", "history") if self.learns_history else ("descriptors",)

    # -- the loop ----------------------------------------------------------------------------------

    def begin(
        self,
        domain: Domain,
        m: int,
        rng: np.random.Generator,
        start: Float[np.ndarray, " d"] | None = None,
    ) -> Memory:
        """The first design: `start`, and points that cover the allowed part of the box."""
        d = domain.space.d
        n = self.first_points(d, domain.history)
        design = domain.covering(n, rng)
        if start is not None:
            design = np.concatenate([start[None], design])[:n]
        none = np.empty((0, d))
        return Memory(
            int(rng.integers(2**31)),
            design,
            none,
            np.empty(0),
            np.empty((0, m)),
            none,
            none,
            np.empty(0, dtype=int),
        )

    def propose(
        self, domain: Domain, memory: Memory, n: int, noise: float | None, tolerance: float
    ) -> Float[np.ndarray, "n d"]:
        """n points to evaluate next, given what is remembered; n > 1 greedily, each believing that
        the earlier give their posterior mean.
        """
        rows = [memory.design[memory.handed : memory.handed + n]]
        memory.handed += len(rows[0])
        chosen = rows[0]
        while len(chosen) < n:
            x = self._next(domain, memory, np.concatenate([memory.out, chosen]), noise, tolerance)
            chosen = np.concatenate([chosen, x[None]])
        return chosen

    def _next(
        self, domain: Domain, memory: Memory, out: np.ndarray, noise: float | None, tolerance: float
    ) -> np.ndarray:
        """Return the next point by the model; a random one while nothing is known."""
        rng = np.random.default_rng([memory.seed, memory.asked])
        memory.asked += 1
        told = BeliefData(
            memory.x, memory.f, memory.g, memory.grad, noise, tolerance, memory.errors, memory.size
        )
        search = AcquisitionSearch(
            domain,
            rng,
            self.raw,
            self.restarts,
            seen=keys_of(np.concatenate([memory.x, out])) if noise == 0 else frozenset(),
        )
        if not len(told.f) or not (
            np.isfinite(told.f).any() or np.isfinite(told.g).all(axis=1).any()
        ):
            free = search.candidates(memory.x[:0])
            return free[rng.integers(len(free))] if len(free) else domain.covering(1, rng)[0]
        with own_randomness(int(rng.integers(2**31))):
            belief = learn(self, domain, told, memory.warm, out, rng, gradients=self.kind.gradients)
            memory.warm = belief.warm
            for failure in belief.failures:
                _say(
                    memory,
                    f"a surrogate could not be fitted ({failure}); the last hyperparameters were "
                    "kept",
                )
            context = self.context(domain)
            if context is not None and self._last_of_budget(domain, memory, context):
                search.held = {context.index: float(context.values[0])}
                memory.final = True
                return self.argmax_mean(belief, search)
            if context is not None and self.kind.context == "fidelity":
                search.filter = self._affordable(context)
            near = told.ranked
            if not told.feasible.any() and told.g.shape[1]:
                return search.maximise(feasibility_only(belief), near)[0]
            seed, rule = int(rng.integers(2**31)), self.acquisition
            cover = domain.covering(self.cover, rng) if rule.covered else near[:0]
            at = Occasion(search, near, cover, out, seed, context)
            return rule.candidates(belief, at)[0]

    def argmax_mean(self, belief: Surrogate, search: AcquisitionSearch) -> Float[np.ndarray, " d"]:
        """Where the posterior mean (of the mean over the contexts) is best among points that
        probably keep to the limits.
        """
        domain, context = belief.domain, self.context(belief.domain)
        values, weights = (
            (np.zeros(1), np.ones(1)) if context is None else (context.values, context.weights)
        )

        def score(z: Tensor) -> Tensor:
            total = torch.zeros(len(z), dtype=torch.float64)
            for value, weight in zip(values, weights, strict=True):
                at = z
                if context is not None:
                    probe = domain.space.low.copy()
                    probe[context.index] = value
                    columns = domain.columns[context.index]
                    at = z.clone()
                    at[:, columns] = torch.as_tensor(domain.z(probe[None])[0, columns])
                mean, sd = belief.predict(at)
                total = total + weight * (
                    mean[:, 0] + 10 * (belief.log_feasible(mean, sd) - math.log(0.5)).clamp_max(0)
                )
            return total

        rows = belief.told.x[belief.told.feasible] if belief.told.feasible.any() else belief.told.x
        return search.maximise(score, belief.told.ranked, search.hold(rows))[0]

    def _last_of_budget(self, domain: Domain, memory: Memory, context: Context) -> bool:
        """Return True where what is left of the active run's budget just allows one evaluation at
        the target.
        """
        meter = active_meter.get()
        if self.kind.context == "environment" or meter is None or active_run.get() is None:
            return False
        at_target = self.price(float(context.values[0]))
        cheapest = self.price(float(domain.space.low[context.index]))
        return meter.left("evaluations") <= 1 + len(memory.out) or (
            self.kind.context == "fidelity" and meter.left("cost") < at_target + cheapest
        )

    def _affordable(
        self, context: Context
    ) -> Callable[[np.ndarray], Bool[np.ndarray, " n"]] | None:
        """Return a test for points whose cost leaves enough for one evaluation at the target."""
        meter, j = active_meter.get(), context.index
        if meter is None or not math.isfinite(meter.left("cost")):
            return None
        room = meter.left("cost") - self.price(float(context.values[0]))
        return lambda x: self.cost[0] + self.cost[1] * x[:, j] <= room

    # -- the Method --------------------------------------------------------------------------------

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Memory:
        """The first design; x0 is its first point."""
        domain = self.domain(problem.space, problem.known, problem.history)
        return self.begin(domain, 0, rng, first_start(problem))

    def ask(self, problem: BlackBox, state: Memory, n: int | None = None) -> Proposals:
        """What is left of the first design, then one point; or n points."""
        count = max(len(state.design) - state.handed, 1) if n is None else n
        x = self.propose(
            self.domain(problem.space, problem.known, problem.history),
            state,
            count,
            self._noise(problem),
            problem.tolerance,
        )
        tags = np.arange(len(x)) + (
            int(state.tags.max()) + 1
            if len(state.tags)
            else len(state.f) + state.asked + state.handed
        )
        state.out, state.tags = np.concatenate([state.out, x]), np.concatenate([state.tags, tags])
        return Proposals(x, tags)

    def tell(self, problem: BlackBox, state: Memory, seen: Observations) -> None:
        """Remember outcomes. A failed row counts as bad as the worst measured one."""
        own = np.isin(state.tags, seen.tag[seen.tag >= 0])
        state.out, state.tags = state.out[~own], state.tags[~own]
        name = self.context_name()
        keep = [i for i, q in enumerate(problem.limits.names) if q != name]
        columns = [i for i in keep if i < seen.constraints.shape[1]]
        g, state.size = seen.constraints[:, columns], sizes_of(seen)[columns]
        grad = np.full(seen.x.shape, np.nan)
        for j, v in enumerate(problem.space.names):
            if f"d_{v}" in seen.columns:
                grad[:, j] = problem.sign * seen.values[:, seen.columns.index(f"d_{v}")]
        remember(state, seen.x, seen.objective, g, grad, standard_errors(problem, seen))

    def done(self, problem: BlackBox, state: Memory) -> str | None:
        """A multi-fidelity run ends once its answer was measured and no fidelity can be paid
        for."""
        meter = active_meter.get()
        if (
            self.kind.context != "fidelity"
            or meter is None
            or not math.isfinite(meter.left("cost"))
        ):
            return None
        j = problem.space.names.index(str(self.fidelity))
        low = self.price(float(problem.space.low[j]))
        left = meter.left("cost")
        over = left < low or (state.final and left < low + self.cost[1])
        return (
            f"{left:g} of the cost is left, and an evaluation costs at least {low:g}"
            if over
            else None
        )

    def least(self, problem: BlackBox) -> int:
        """The first design and one proposal."""
        return self.first_points(problem.space.d, problem.history) + 1

    def _noise(self, problem: BlackBox) -> float | None:
        """Return the noise to be modelled: 0, a standard deviation, or None to learn it."""
        if self.noise == "learn":
            return None
        if self.noise is not None:
            return float(self.noise)
        return None if problem.noise is True else float(problem.noise)


def remember(
    memory: Memory,
    x: np.ndarray,
    f: np.ndarray,
    g: np.ndarray,
    grad: np.ndarray,
    error: np.ndarray | None = None,
) -> None:
    """Add rows; limits that appear later are unknown (NaN) before."""
    old = memory.error
    memory.error = np.concatenate(
        [
            np.full(len(memory.f) - len(old), np.nan),
            old,
            np.full(len(f), np.nan) if error is None else error,
        ]
    )
    m = max(g.shape[1], memory.g.shape[1])
    wide = [np.pad(a, ((0, 0), (0, m - a.shape[1])), constant_values=np.nan) for a in (memory.g, g)]
    memory.x, memory.f, memory.g = (
        np.concatenate([memory.x, x]),
        np.concatenate([memory.f, f]),
        np.concatenate(wide),
    )
    memory.grad = np.concatenate([memory.grad, grad])


def _say(memory: Memory, note: str) -> None:
    """Say something once."""
    if note not in memory.notes:
        memory.notes.append(note)
        say(note)


__all__ = ["BO", "Memory", "remember"]
