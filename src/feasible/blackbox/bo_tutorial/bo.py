"""Bayesian optimisation as P. I. Frazier's tutorial treats it: one loop, one family of
acquisitions.

P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811). Use it where an
evaluation costs minutes or money, up to about
20 inputs and a few hundred evaluations.

    evaluate n0 points that cover the box;  repeat: fit a Gaussian process, evaluate where the
    acquisition is largest

Two forms: `BayesOpt(bounds, acq=...)` (`bayes_native.py`), asked and told by hand, and
  `BO(acq=...)`, the Method, for runs and races,
registered as bo-logei, bo-noisy-ei, bo-kg and so on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from ...core.budget import active_meter
from ...core.errors import ArgumentError, nearest
from ...core.ledger import Observations
from ...core.run import active_run
from ..asktell import AskTell, Proposals, say
from ..problem import BlackBox
from ..sampling import first_start
from ..space import Known, Space
from .belief import (
    Surrogate,
    Told,
    analytic,
    by_ascent,
    by_entropy,
    by_one_shot,
    feasibility_only,
    gain,
    gradient_score,
    learn,
    sampled_scores,
)
from .gp import own_randomness
from .search import Domain, Search, keys_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

ACQUISITIONS = (
    "logei",
    "ei",
    "noisy-ei",
    "kg",
    "kg-discrete",
    "kg-sga",
    "ucb",
    "pi",
    "es",
    "mes",
    "pes",
    "qei",
    "qnei",
    "cei",
    "mfkg",
    "multi-task",
    "env-kg",
    "d-ei",
    "d-kg",
)
CONTEXT = {"mfkg": "fidelity", "multi-task": "task", "env-kg": "environment"}
"""Acquisitions that need one variable named, and the setting that names it."""
ANYWHERE = (
    "kg",
    "kg-discrete",
    "kg-sga",
    "es",
    "mes",
    "pes",
    "mfkg",
    "multi-task",
    "env-kg",
    "d-kg",
)
"""Acquisitions whose answer may be a point that was not evaluated."""


@dataclass(slots=True)
class Memory:
    """What the search remembers. x, f, g, grad: as in `Told`, the told rows.  out, tags: proposals
    that have not come back.

    design: (n0, d) the first points.  handed: how many of them were given out.  asked: proposals so
      far.  seed: of everything random.
    warm: hyperparameters by name.  final: True once a target-fidelity answer was proposed at the
      end of a budget.
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


@dataclass(frozen=True)
class BO(AskTell):
    """Bayesian optimisation with Gaussian processes. Every acquisition is weighted by the
    probability that the limits hold.

    acq: "logei" (log EI; with limits the constrained EI, also "cei"), "ei", "pi", "ucb" (beta),
      "noisy-ei" (the tutorial's, exact: for noise),
      "qei", "qnei" (BoTorch's, the latter Letham's noisy EI), "kg" (one-shot), "kg-discrete" (exact
      on a covering set), "kg-sga" (multistart
      stochastic gradient ascent), "es" (entropy search on a discretisation), "pes", "mes", "mfkg"
      (fidelity=), "multi-task" (task=), "env-kg"
      (environment=), "d-ei", "d-kg" (gradients in the metrics d_<variable>, taken from the
      function).
    n_init: first points, None: 2 (d + 1), at least 5.  kernel, mean, outputs ("standardize",
      "bilog" for heavy tails, "none").
    hyperparameters: "map", "mle", "bayes" (the acquisition averaged over `draws` by slice
      sampling), or a mapping with lengthscale (a number or
      one for each variable, in its own unit; log variables: in the unit cube), outputscale and
      mean, which fixes them for the objective.
    noise: None as the problem says, "learn", or a standard deviation.  incumbent: what EI improves
      on: "observed" (plug-in, the best value),
      "mean" (the best posterior mean at a feasible row), "auto": observed where the function is
      exact.
    restarts, raw: of the acquisition's maximisation.  samples: quasi-Monte Carlo draws.  fantasies:
      of one-shot KG.  sga_*: of kg-sga.
    fidelity, environment, task: the name of that variable; a limit of the same name is left to it
      (such as "fidelity >= 1": only rows at
      the target can be answers).  target: fidelity or task that counts (None: the highest; the
      first task).  cost: (fixed, by unit) of mfkg,
      in the units of the resource `cost`, if the function spends it.  environments: values, or how
      many midpoints of a real variable.
      weights: of the environments (None: equal).

    Raises ArgumentError.  Source: sections 3 to 5 of the tutorial.
    """

    @property
    def name(self) -> str:  # type: ignore[override]
        """ "bo-" and the acquisition."""
        return f"bo-{self.acq}"

    acq: str = "logei"
    n_init: int | None = None
    kernel: Literal["matern52", "matern32", "rbf"] = "matern52"
    mean: Literal["constant", "linear"] = "constant"
    outputs: Literal["standardize", "bilog", "none"] = "standardize"
    hyperparameters: Any = "map"
    noise: float | str | None = None
    incumbent: Literal["auto", "observed", "mean"] = "auto"
    beta: float = 4.0
    draws: int = 8
    restarts: int = 4
    raw: int = 128
    samples: int = 64
    fantasies: int = 16
    cover: int = 64
    sga_restarts: int = 10
    sga_steps: int = 100
    sga_a: float = 4.0
    fidelity: str | None = None
    environment: str | None = None
    task: str | None = None
    target: float | None = None
    cost: tuple[float, float] = (0.1, 0.9)
    environments: Any = 4
    weights: Any = None

    def __post_init__(self) -> None:
        if self.acq not in ACQUISITIONS:
            raise ArgumentError(f"acq={self.acq!r}: {nearest(str(self.acq), ACQUISITIONS)}")
        for name in (
            "restarts",
            "raw",
            "samples",
            "fantasies",
            "cover",
            "draws",
            "sga_restarts",
            "sga_steps",
        ):
            value, least = getattr(self, name), 1
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ArgumentError(f"{name}={value!r}: expected a whole number >= {least}")
        if self.n_init is not None and self.n_init < 1:
            raise ArgumentError(f"n_init={self.n_init!r}: expected a whole number >= 1, or None")
        if isinstance(self.hyperparameters, Mapping):
            unknown = set(self.hyperparameters) - {"lengthscale", "outputscale", "mean"}
            if unknown or "lengthscale" not in self.hyperparameters:
                raise ArgumentError(
                    f"hyperparameters={dict(self.hyperparameters)!r}: expected lengthscale, and "
                    "optionally outputscale and mean"
                )
        elif self.hyperparameters not in ("map", "mle", "bayes"):
            raise ArgumentError(
                f"hyperparameters={self.hyperparameters!r}: expected 'map', 'mle', 'bayes' or a "
                "mapping"
            )
        if self.noise not in (None, "learn") and not (
            isinstance(self.noise, (int, float)) and 0 <= self.noise < math.inf
        ):
            raise ArgumentError(
                f"noise={self.noise!r}: expected None, 'learn' or a standard deviation >= 0"
            )
        for name, choices in (
            ("kernel", ("matern52", "matern32", "rbf")),
            ("mean", ("constant", "linear")),
            ("outputs", ("standardize", "bilog", "none")),
            ("incumbent", ("auto", "observed", "mean")),
        ):
            if getattr(self, name) not in choices:
                raise ArgumentError(
                    f"{name}={getattr(self, name)!r}: expected {' or '.join(map(repr, choices))}"
                )

    # -- settings read against a problem -----------------------------------------------------------

    def known_parameters(self, domain: Domain) -> tuple[np.ndarray, float, float] | None:
        """Fixed hyperparameters in the unit cube, or None."""
        if not isinstance(self.hyperparameters, Mapping):
            return None
        space, given = domain.space, self.hyperparameters
        length = np.broadcast_to(np.asarray(given["lengthscale"], float), (space.d,))
        width = np.array(
            [
                1.0 if v.log or v.choices else max(hi - lo, 1e-300)
                for v, lo, hi in zip(space.variables, space.low, space.high, strict=True)
            ]
        )
        wide = np.concatenate(
            [np.full(len(c), s) for c, s in zip(domain.columns, length / width, strict=True)]
        )
        return wide, float(given.get("outputscale", 1.0)), -float(given.get("mean", 0.0))

    def context_name(self) -> str | None:
        """Name of the fidelity, environment or task variable."""
        return getattr(self, CONTEXT[self.acq]) if self.acq in CONTEXT else None

    def context_index(self, domain: Domain) -> int | None:
        """Index of that variable."""
        name = self.context_name()
        return None if name is None else domain.space.names.index(name)

    def contexts(self, domain: Domain) -> tuple[np.ndarray, np.ndarray]:
        """Values of that variable in which the objective counts, and their weights, which sum to
        1."""
        j = self.context_index(domain)
        assert j is not None
        v, low, high = domain.space.variables[j], domain.space.low[j], domain.space.high[j]
        if self.acq != "env-kg":
            default = low if self.acq == "multi-task" else high
            return np.array([default if self.target is None else self.target], float), np.ones(1)
        if isinstance(self.environments, (Sequence, np.ndarray)):
            values = np.asarray(self.environments, float)
        elif v.integer:
            values = np.arange(low, high + 1)
        else:
            values = low + (np.arange(int(self.environments)) + 0.5) / int(self.environments) * (
                high - low
            )
        weights = np.ones(len(values)) if self.weights is None else np.asarray(self.weights, float)
        if weights.shape != values.shape or (weights < 0).any() or not weights.sum() > 0:
            raise ArgumentError(
                f"weights={self.weights!r}: expected {len(values)} numbers >= 0, one for each "
                "environment"
            )
        return values, weights / weights.sum()

    def domain(self, space: Space, known: Known | None) -> Domain:
        """The box as the models see it. Raises ArgumentError, BoundsError."""
        space.needs_bounds(self.name)
        name = self.context_name()
        if self.acq in CONTEXT and name not in space.names:
            raise ArgumentError(
                f"{CONTEXT[self.acq]}={name!r}: acq='{self.acq}' needs the name of a variable, "
                f"{nearest(str(name), space.names)}"
            )
        if self.acq in ("d-ei", "d-kg") and space.integer.any():
            raise ArgumentError(
                f"acq='{self.acq}': '{space.names[int(space.integer.argmax())]}' is a whole number "
                "or category and has no gradient"
            )
        if self.acq == "multi-task" and not space.integer[space.names.index(name)]:
            raise ArgumentError(f"task='{name}': expected a whole number or a category")
        return Domain(space, known, space.names.index(name) if self.acq == "multi-task" else None)

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
        n = max(2 * (d + 1), 5) if self.n_init is None else self.n_init
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
        rng = np.random.default_rng([memory.seed, memory.asked])
        memory.asked += 1
        told = Told(memory.x, memory.f, memory.g, memory.grad, noise, tolerance)
        search = Search(
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
            belief = learn(self, domain, told, memory.warm, out, rng)
            memory.warm = belief.warm
            for failure in belief.failures:
                _say(
                    memory,
                    f"a surrogate could not be fitted ({failure}); the last hyperparameters were "
                    "kept",
                )
            last = self._last_of_budget(domain, memory)
            if last is not None:
                search.held = last
                memory.final = True
                return self.argmax_mean(belief, search)
            if self.acq == "mfkg":
                search.filter = self._affordable(domain)
            near = ranked(told)
            if not told.feasible.any() and told.g.shape[1]:
                return search.maximise(feasibility_only(belief), near)[0]
            return self._best(belief, search, near, out, int(rng.integers(2**31)))[0]

    def _best(
        self, belief: Surrogate, search: Search, near: np.ndarray, out: np.ndarray, seed: int
    ) -> np.ndarray:
        domain = belief.domain
        if self.acq == "es":
            return by_entropy(belief, search, near, seed)
        cover = domain.covering(self.cover, search.rng)
        if self.acq == "kg-sga":
            return by_ascent(self, belief, search, near, cover, seed)
        if self.acq == "kg":
            found = by_one_shot(self, belief, search, seed)
            return found if len(found) else search.maximise(gain(self, belief, cover), near)
        if self.acq in ("qei", "qnei", "mes", "pes"):
            score = sampled_scores(self, belief, out, cover, seed)
        elif self.acq in ("noisy-ei", "kg-discrete", *CONTEXT):
            score = gain(self, belief, cover)
        elif self.acq in ("d-ei", "d-kg"):
            score = gradient_score(self, belief, cover, seed)
        else:
            score = analytic(self, belief)
        return search.maximise(score, near)

    def argmax_mean(self, belief: Surrogate, search: Search) -> np.ndarray:
        """Where the posterior mean (of the mean over the contexts) is best among points that
        probably keep to the limits.
        """
        domain, j = belief.domain, self.context_index(belief.domain)
        values, weights = self.contexts(domain) if j is not None else (np.zeros(1), np.ones(1))

        def score(z: Tensor) -> Tensor:
            total = torch.zeros(len(z), dtype=torch.float64)
            for value, weight in zip(values, weights, strict=True):
                at = z
                if j is not None:
                    probe = domain.space.low.copy()
                    probe[j] = value
                    at = z.clone()
                    at[:, domain.columns[j]] = torch.as_tensor(
                        domain.z(probe[None])[0, domain.columns[j]]
                    )
                mean, sd = belief.predict(at)
                total = total + weight * (
                    mean[:, 0] + 10 * (belief.log_feasible(mean, sd) - math.log(0.5)).clamp_max(0)
                )
            return total

        rows = belief.told.x[belief.told.feasible] if belief.told.feasible.any() else belief.told.x
        return search.maximise(score, ranked(belief.told), search.hold(rows))[0]

    def _last_of_budget(self, domain: Domain, memory: Memory) -> dict[int, float] | None:
        """Held variables for the answer at the target fidelity, where what is left of the active
        run's budget just allows it.
        """
        meter = active_meter.get()
        if self.acq not in ("mfkg", "multi-task") or meter is None or active_run.get() is None:
            return None
        j = self.context_index(domain)
        target = float(self.contexts(domain)[0][0])
        if j is None:
            return None
        at_target = self.cost[0] + self.cost[1] * target
        cheapest = self.cost[0] + self.cost[1] * float(domain.space.low[j])
        if meter.left("evaluations") <= 1 + len(memory.out) or (
            self.acq == "mfkg" and meter.left("cost") < at_target + cheapest
        ):
            return {j: target}
        return None

    def _affordable(self, domain: Domain) -> Any:
        """Points whose cost leaves enough for one evaluation at the target fidelity."""
        meter, j = active_meter.get(), self.context_index(domain)
        if meter is None or j is None or not math.isfinite(meter.left("cost")):
            return None
        room = meter.left("cost") - (
            self.cost[0] + self.cost[1] * float(self.contexts(domain)[0][0])
        )
        return lambda x: self.cost[0] + self.cost[1] * x[:, j] <= room

    # -- the Method --------------------------------------------------------------------------------

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Memory:
        """The first design; x0 is its first point."""
        domain = self.domain(problem.space, problem.known)
        return self.begin(domain, 0, rng, first_start(problem))

    def ask(self, problem: BlackBox, state: Memory, n: int | None = None) -> Proposals:
        """What is left of the first design, then one point; or n points."""
        count = max(len(state.design) - state.handed, 1) if n is None else n
        x = self.propose(
            self.domain(problem.space, problem.known),
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
        g = seen.constraints[:, [i for i in keep if i < seen.constraints.shape[1]]]
        grad = np.full(seen.x.shape, np.nan)
        for j, v in enumerate(problem.space.names):
            if f"d_{v}" in seen.columns:
                grad[:, j] = problem.sign * seen.values[:, seen.columns.index(f"d_{v}")]
        remember(state, seen.x, seen.objective, g, grad)

    def done(self, problem: BlackBox, state: Memory) -> str | None:
        """A multi-fidelity run ends once its answer was measured and no fidelity can be paid
        for."""
        meter = active_meter.get()
        if self.acq != "mfkg" or meter is None or not math.isfinite(meter.left("cost")):
            return None
        j = problem.space.names.index(str(self.fidelity))
        low = self.cost[0] + self.cost[1] * float(problem.space.low[j])
        left = meter.left("cost")
        over = left < low or (state.final and left < low + self.cost[1])
        return (
            f"{left:g} of the cost is left, and an evaluation costs at least {low:g}"
            if over
            else None
        )

    def least(self, problem: BlackBox) -> int:
        """The first design and one proposal."""
        return (max(2 * (problem.space.d + 1), 5) if self.n_init is None else self.n_init) + 1

    def _noise(self, problem: BlackBox) -> float | None:
        if self.noise == "learn":
            return None
        if self.noise is not None:
            return float(self.noise)
        return None if problem.noise is True else float(problem.noise)


def remember(memory: Memory, x: np.ndarray, f: np.ndarray, g: np.ndarray, grad: np.ndarray) -> None:
    """Add rows; limits that appear later are unknown (NaN) before."""
    m = max(g.shape[1], memory.g.shape[1])
    wide = [np.pad(a, ((0, 0), (0, m - a.shape[1])), constant_values=np.nan) for a in (memory.g, g)]
    memory.x, memory.f, memory.g = (
        np.concatenate([memory.x, x]),
        np.concatenate([memory.f, f]),
        np.concatenate(wide),
    )
    memory.grad = np.concatenate([memory.grad, grad])


def ranked(told: Told) -> np.ndarray:
    """Rows by merit: feasible by objective, then the others by violation."""
    worst = (
        np.nan_to_num(told.g.max(axis=1), nan=np.inf) if told.g.shape[1] else np.zeros(len(told.f))
    )
    good = told.feasible
    order = np.lexsort((np.where(good, told.f, worst), ~good))
    return told.x[order]


def _say(memory: Memory, note: str) -> None:
    if note not in memory.notes:
        memory.notes.append(note)
        say(note)


__all__ = ["ACQUISITIONS", "ANYWHERE", "BO", "Memory", "ranked", "remember"]
