"""Constrained composite Bayesian optimisation (CCBO): hit a target value, where some experiments
fail and only say so.

    min_x (h(x) - t)^2   subject to  c(x) = 1,     h and c known only by experiments, c yes or no, x
    mixed, several experiments at a time.

F. Wang, A. Parhizkar, A. Harker, M. Edirisinghe: Constrained composite Bayesian optimization for
rational synthesis of polymeric particles
(2024, arXiv 2411.10471).

Use it for tens of expensive experiments whose product should have a given size, viscosity, band
gap, and some of which clog, gel or crash.
The Gaussian process models h itself, not the distance from the target, and a classifier learns
where experiments succeed.

Two forms of the same functions (the models are in `ccbo_models.py`, the acquisition in
`ccbo_acquisition.py`):
  opt = CCBO(space, target=18.0)     X = opt.ask(2); opt.tell(X, y, feasible); opt.best();
  opt.predict(X)
  CompositeBO()                      the Method, for runs, races and studies, on a BlackBox with a
  `target`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch

from ...core.errors import ArgumentError, NotFinite, ShapeError, is_number
from ...core.ledger import CHECKED, DONE, Observations
from ..asktell import AskTell, Proposals
from ..outcome import Outcome
from ..problem import BlackBox
from ..sampling import first_start
from ..space import Space, sample_allowed
from .acquisition import (
    Acquisition,
    Joint,
    Region,
    key_of,
    log_probability,
    maximise,
    normal_samples,
    sobol,
)
from .models import Latent, Mixed, fit_classifier, fit_exact

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

Strategy = Literal["ccbo", "constrained", "qEI", "random"]
STRATEGIES = {
    "ccbo": "ccbo",
    "constrained": "ccbo-constrained",
    "qEI": "ccbo-qei",
    "random": "ccbo-random",
}
"""Strategy -> the name it is registered under."""
DESIGN, BATCH, FILL, RANDOM = range(4)
"""What a stream of random numbers is for."""


@dataclass(slots=True)
class Experiments:
    """What is known so far. The models are built again from it at every ask.

    x: (n, d) points told.  y: (n,) the measured metric, NaN where there is none.  label: (n,) True
      where all limits held.
    tag: (n,) labels of proposals, -1 for foreign points.  waiting, waiting_tag: (p, d), (p,)
      proposals whose result is out.
    asked: proposals made.  objective, classifier: what was fitted last, where the next fit starts.
    full: True when every point that may be tried was proposed.
    """

    seed: int
    x: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    label: Bool[np.ndarray, " n"]
    tag: Int[np.ndarray, " n"]
    waiting: Float[np.ndarray, "p d"]
    waiting_tag: Int[np.ndarray, " p"]
    asked: int = 0
    objective: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    classifier: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    full: bool = False


class Outcomes(NamedTuple):
    """What the objective model is fitted to. rows: (m,) of the experiments.  h: (m,) standardised
    values.  target: in the same unit.
    """

    rows: Int[np.ndarray, " m"]
    h: Float[np.ndarray, " m"]
    target: float
    mean: float
    sd: float


@dataclass(frozen=True)
class CompositeBO(AskTell):
    """CCBO and the baselines of its paper. It needs a BlackBox with a target: `BlackBox(...,
    objective="diameter", target=18)`.

    strategy: "ccbo"; "constrained": a Gaussian process on -(h - t)^2 itself, with the classifier;
      "qEI": the same without one (its u* is the
      best of all measured rows); "random": uniform in the box in its original units.
    batch_size: experiments in one round.  n_initial: Sobol points before the models are used; told
      experiments count, x0 is the first.
    log_output: model log h, for h > 0; values that are not positive are then left out of the model
      of h.
    mc_samples, num_restarts, raw_samples, maxiter: of the acquisition and its optimiser; the
      official code has 512, 10, 512, 400.
      raw_samples and num_restarts are for every combination of categories.
    eta: None weighs by the probability of feasibility ("soft"); a number by sigmoid(-g / eta) of a
      sample: 1 is the probability of the
      sample, and BoTorch's 1e-3 the indicator that it is above one half.
    official: as the official code: improvement offset by 10, u* over infeasible rows too, eta =
      1e-3; for comparison only.
    tol: done when a feasible experiment is at most this far from the target, in its unit; 0: never.

    A violated limit of any kind, a failed evaluation and an infeasible one are all "no" to the
    classifier; a value that was measured beside
    a violated limit is used. Abandoned experiments teach nothing. Hyperparameters have wide priors
    that the paper's do not.
    Raises ArgumentError; naming `target` where the problem has none, or one that is not positive
    beside log_output.
    Source: section 2 of the paper and its code; where u* is concerned, the definition instead of
      the code (which counts infeasible rows).
    """

    @property
    def name(self) -> str:  # type: ignore[override]
        """ "ccbo", "ccbo-constrained", "ccbo-qei" or "ccbo-random"."""
        return STRATEGIES[self.strategy]

    strategy: Strategy = "ccbo"
    batch_size: int = 2
    n_initial: int = 5
    log_output: bool = True
    mc_samples: int = 128
    num_restarts: int = 4
    raw_samples: int = 128
    maxiter: int = 100
    eta: float | None = None
    official: bool = False
    tol: float = 0.0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ArgumentError(
                f"strategy={self.strategy!r}: expected one of {', '.join(map(repr, STRATEGIES))}"
            )
        for name in (
            "batch_size",
            "n_initial",
            "mc_samples",
            "num_restarts",
            "raw_samples",
            "maxiter",
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ArgumentError(f"{name}={value!r}: expected a whole number >= 1")
        if self.eta is not None and not (is_number(self.eta) and 0 < self.eta < math.inf):
            raise ArgumentError(f"eta={self.eta!r}: expected None or a number > 0")
        if not (is_number(self.tol) and 0 <= self.tol < math.inf):
            raise ArgumentError(
                f"tol={self.tol!r}: expected a number >= 0, in the unit of the target"
            )

    # -- the contract ------------------------------------------------------------------------------

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Experiments:
        """No experiments; nothing is spent."""
        problem.space.needs_bounds(self.name)
        if problem.target is None:
            raise ArgumentError(
                f"target: problem '{problem.name}' has none, and {self.name} needs the value that "
                "its objective should have, as in "
                'BlackBox(..., objective="diameter", target=18)'
            )
        if self.log_output and not problem.target > 0:
            raise ArgumentError(
                f"target={problem.target:g}: expected a number > 0 beside log_output=True; set "
                "log_output=False"
            )
        none, ints = np.empty((0, problem.space.d)), np.empty(0, dtype=np.int64)
        return Experiments(
            int(rng.integers(2**62)), none, np.empty(0), np.empty(0, dtype=bool), ints, none, ints
        )

    def ask(self, problem: BlackBox, state: Experiments, n: int | None = None) -> Proposals:
        """n points; where n is None what is left of the initial design, or `batch_size`. Points
        that are out count as part of the batch.
        """
        known = len(state.x) + len(state.waiting)
        wanted = max(self.n_initial - known, 0) or self.batch_size
        wanted = n if n is not None else self.batch_size if self.strategy == "random" else wanted
        region = Region(
            problem.space,
            problem.known,
            {key_of(r) for r in (*state.x, *state.waiting)} if problem.free_repeats else set(),
        )
        first = state.asked
        design = (
            wanted
            if self.strategy == "random" or not len(state.x)
            else min(max(self.n_initial - known, 0), wanted)
        )
        rows = [self._simple(problem, state, region, first + i) for i in range(design)]
        if wanted > design:
            waiting = np.concatenate([state.waiting, *(r[None] for r in rows)])
            rows += self._batch(problem, state, region, waiting, wanted - design)
        x = np.array(rows).reshape(-1, problem.space.d)
        tag = np.arange(first, first + len(x))
        state.asked += len(x)
        state.waiting, state.waiting_tag = (
            np.concatenate([state.waiting, x]),
            np.concatenate([state.waiting_tag, tag]),
        )
        return Proposals(x, tag)

    def tell(self, problem: BlackBox, state: Experiments, seen: Observations) -> None:
        """Take outcomes, corrected ones too (of the same tag)."""
        label = (seen.violation <= problem.tolerance) & (seen.status == DONE)
        metric = np.where(
            seen.status == DONE,
            seen.values[:, seen.columns.index(problem.columns[0])]
            if problem.columns[0] in seen.columns
            else np.nan,
            np.nan,
        )
        abandoned = np.array(
            [seen.reason.get(i) == "abandoned" for i in range(len(seen))], dtype=bool
        )
        use = ~abandoned & ((seen.status != CHECKED) | (seen.violation > problem.tolerance))
        tags = seen.tag[seen.tag >= 0]
        out = np.isin(state.waiting_tag, tags) | _same_rows(state.waiting, seen.x[use])
        state.waiting, state.waiting_tag = state.waiting[~out], state.waiting_tag[~out]
        keep = ~np.isin(state.tag, tags)
        state.x, state.y = (
            np.concatenate([state.x[keep], seen.x[use]]),
            np.concatenate([state.y[keep], metric[use]]),
        )
        state.label, state.tag = (
            np.concatenate([state.label[keep], label[use]]),
            np.concatenate([state.tag[keep], seen.tag[use]]),
        )
        if self.log_output and (metric[use] <= 0).any():
            warnings.warn(
                f"{self.name}: a measured {problem.columns[0]} is not positive; beside "
                "log_output=True it is left out of its model",
                RuntimeWarning,
                stacklevel=2,
            )

    def least(self, problem: BlackBox) -> int:
        """Evaluations below which a run warns: with fewer no model is used."""
        return 1 if self.strategy == "random" else self.n_initial + 1

    def done(self, problem: BlackBox, state: Experiments) -> str | None:
        """Done at the target, to within `tol`, or when there is no new point."""
        if state.full:
            return "every point that may be tried was proposed"
        if self.tol and problem.target is not None and state.label.any():
            miss = float(np.abs(state.y[state.label] - problem.target).min())
            if miss <= self.tol:
                return f"the target is hit to within tol: {miss:.3g} <= {self.tol:g}"
        return None

    # -- the models --------------------------------------------------------------------------------

    def outcomes(
        self, problem: BlackBox, state: Experiments, composite: bool = True
    ) -> Outcomes | None:
        """Measured values as the objective model sees them: (log) h, or where not composite -(h -
        t)^2; None where nothing was measured.
        """
        t = float(problem.target or 0.0)
        rows = np.flatnonzero(np.isfinite(state.y) & ((state.y > 0) | (not self.log_output)))
        if not len(rows):
            return None
        h = state.y[rows]
        if self.log_output:
            h, t = np.log(h), math.log(t)
        if not composite:
            off = h - t
            h, t = -np.square(off / max(float(np.abs(off).max()), 1e-300)), 0.0
        size = max(float(np.abs(h).max()), 1e-300)
        mean = float((h / size).mean()) * size
        off = (h - mean) / size
        sd = float(off.std()) * size
        sd = sd if sd > 1e-12 * size else size if size > 1e-300 else 1.0
        return Outcomes(rows, (h - mean) / sd, (t - mean) / sd, mean, sd)

    def objective(self, problem: BlackBox, state: Experiments, found: Outcomes) -> Latent:
        """The Gaussian process on `found`; its hyperparameters start from the last ones."""
        u = torch.from_numpy(problem.space.unit(state.x[found.rows]))
        model = fit_exact(layout(problem.space), u, torch.from_numpy(found.h), state.objective)
        state.objective = model.params
        return model

    def feasibility(self, problem: BlackBox, state: Experiments) -> Latent | None:
        """The classifier; None where all experiments had the same label."""
        u = torch.from_numpy(problem.space.unit(state.x))
        model = fit_classifier(layout(problem.space), u, state.label, state.classifier)
        if model is not None:
            state.classifier = model.params
        return model

    def acquisition(self, problem: BlackBox, state: Experiments, q: int) -> Acquisition:
        """The acquisition for batches of up to q points, nothing fixed yet."""
        composite = self.strategy == "ccbo"
        found = self.outcomes(problem, state, composite)
        classifier = None if self.strategy == "qEI" else self.feasibility(problem, state)
        eps = normal_samples(self.mc_samples, 2 * q, [state.seed, BATCH, state.asked])
        feasibility = None if classifier is None else Joint.of(classifier, eps[:, q:])
        if found is None:
            return Acquisition(None, None, None, 1.0, feasibility)
        model = self.objective(problem, state, found)
        u = -np.square(found.h - found.target) if composite else found.h
        counted = (
            np.ones(len(u), dtype=bool)
            if self.official or self.strategy == "qEI"
            else state.label[found.rows]
        )
        best = float(u[counted].max()) if counted.any() else None
        scale = 1.0 if best is None or not composite else max(-best, 1e-8)
        if self.official and best is not None:
            offset = 10.0 / found.sd**2 if composite else 0.0
            best, scale = best - offset, max(offset, scale)
        return Acquisition(
            Joint.of(model, eps[:, :q]),
            found.target if composite else None,
            best,
            scale,
            feasibility,
            1e-3 if self.official else self.eta,
        )

    # -- proposals ---------------------------------------------------------------------------------

    def _simple(
        self, problem: BlackBox, state: Experiments, region: Region, number: int
    ) -> np.ndarray:
        """Proposal `number` without a model: of the Sobol design, or random; x0 first."""
        start = first_start(problem)
        if number == 0 and start is not None and region.free(start[None])[0]:
            region.taken.add(key_of(start))
            return start
        space = problem.space
        if self.strategy == "random":
            source = np.random.default_rng([state.seed, RANDOM, number])
            plain = Space([replace(v, log=False) for v in space.variables])
            x = sample_allowed(plain, problem.known, 32, lambda k: source.random((k, space.d)))
        else:
            x = sample_allowed(
                space, problem.known, number + 32, sobol(space.d, [state.seed, DESIGN])
            )[number:]
        fresh = x[region.free(x)]
        row = np.array(fresh[0] if len(fresh) else self._other(problem, state, region, number))
        if problem.free_repeats:
            region.taken.add(key_of(row))
        return row

    def _other(
        self, problem: BlackBox, state: Experiments, region: Region, number: int
    ) -> np.ndarray:
        """A point that was not proposed yet; where 2048 random ones hold none, there is (almost)
        none left.
        """
        x = sample_allowed(
            problem.space, problem.known, 2048, sobol(problem.space.d, [state.seed, FILL, number])
        )
        fresh = x[region.free(x)]
        state.full = not len(fresh)
        return np.array((fresh if len(fresh) else x)[0])

    def _batch(
        self, problem: BlackBox, state: Experiments, region: Region, waiting: np.ndarray, n: int
    ) -> list[np.ndarray]:
        """n proposals by the models: one after the other, each given those before it and the points
        that are out.
        """
        a = self.acquisition(problem, state, len(waiting) + n)
        blind = a.best is None and a.feasibility is None
        for row in waiting if not blind else ():
            a.fix(torch.from_numpy(problem.space.unit(row[None])))
        rows: list[np.ndarray] = []
        for i in range(n):
            seed = [state.seed, BATCH, state.asked, i]
            if blind:  # only "no" so far: as far as possible from everything that was tried
                x = region.raw(self.raw_samples, seed)
                tried = problem.space.unit(
                    np.concatenate([state.x, waiting, *(r[None] for r in rows)])
                )
                away = (
                    np.square(problem.space.unit(x)[:, None] - tried[None]).sum(-1).min(axis=1)
                    if len(x)
                    else np.empty(0)
                )
                row = x[int(np.argmax(away))] if len(x) else None
            else:
                row = maximise(
                    a,
                    region,
                    restarts=self.num_restarts,
                    raw_samples=self.raw_samples,
                    maxiter=self.maxiter,
                    seed=seed,
                )
            row = (
                self._other(problem, state, region, state.asked + i)
                if row is None
                else np.array(row)
            )
            if problem.free_repeats:
                region.taken.add(key_of(row))
            if i < n - 1 and not blind:
                a.fix(torch.from_numpy(problem.space.unit(row[None])))
            rows.append(row)
        return rows


def layout(space: Space) -> Mixed:
    """Which columns of a space are ordinal and which categories."""
    cats = tuple(j for j, v in enumerate(space.variables) if v.choices)
    return Mixed(tuple(j for j in range(space.d) if j not in cats), cats)


def _same_rows(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> Bool[np.ndarray, " n"]:
    keys = {key_of(r) for r in b}
    return np.array([key_of(r) in keys for r in a], dtype=bool)


# -- native ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Best:
    """The feasible experiment nearest to the target."""

    x: dict[str, Any]
    y: float
    distance: float


class CCBO:
    """Ask for experiments by name, tell what came out.

    space: a list of Real, Integer, Categorical, or bounds as a BlackBox takes them.  target: the
      value that y should have.
    known: constraints on the inputs alone.  method: settings, instead of log_output and strategy.

        opt = CCBO([Real("conc", .05, 5), Real("flow", .01, 60, log=True), Categorical("solvent",
        ["DMAc", "CHCl3"])], target=18.0)
        X = opt.ask(2)                                     # [{"conc": ..., "flow": ..., "solvent":
        "DMAc"}, ...]
        opt.tell(X, y=[14.2, nan], feasible=[True, False])

    Raises ArgumentError (a ValueError), BoundsError naming the variable, NotFinite, ShapeError.
    """

    def __init__(
        self,
        space: Any,
        target: float,
        *,
        log_output: bool = True,
        strategy: Strategy = "ccbo",
        seed: int = 0,
        known: Any = None,
        method: CompositeBO | None = None,
    ):
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ArgumentError(f"seed={seed!r}: expected a whole number >= 0")
        if target is None:
            raise ArgumentError("target=None: expected the value that y should have")
        variables = list(Space.of(space).variables)
        self.method = (
            CompositeBO(strategy=strategy, log_output=log_output) if method is None else method
        )
        self.problem = BlackBox(
            None,
            variables=variables,
            objective="y",
            limits={"feasible": "is true"},
            target=target,
            known=known,
            name="ccbo",
        )
        self.state = self.method.init(self.problem, np.random.default_rng(seed))

    def ask(self, n: int = 2) -> list[dict[str, Any]]:
        """n experiments by variable name. Raises ArgumentError for n < 1."""
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ArgumentError(f"n={n!r}: expected a whole number >= 1")
        return [
            self.problem.space.mapping(row)
            for row in self.method.ask(self.problem, self.state, int(n)).x
        ]

    def tell(self, X: Any, y: Any, feasible: Any) -> None:
        """Results of n experiments, proposed or not: mappings or an (n, d) array, n values (NaN or
        None where there is none), n yes or no.

        A value beside feasible=False is used by the model of y. Nothing is taken where one row is
        refused.
        """
        x = self._points(X)
        values = np.array(
            [math.nan if v is None else v for v in np.atleast_1d(np.asarray(y, dtype=object))],
            dtype=float,
        )
        if feasible is None:
            raise ArgumentError("feasible is missing: expected yes or no for every experiment")
        flags = np.atleast_1d(np.asarray(feasible))
        if values.shape != (len(x),) or flags.shape != (len(x),):
            raise ShapeError(
                f"y has {values.size} and feasible {flags.size} entries, expected {len(x)}: one "
                "for each experiment"
            )
        if not np.isin(flags, (0, 1)).all():
            raise ArgumentError(
                f"feasible={flags.tolist()!r:.60}: expected True or False for every experiment"
            )
        for i, (value, fine) in enumerate(zip(values.tolist(), flags.tolist(), strict=True)):
            if math.isinf(value) or (math.isnan(value) and fine):
                raise NotFinite(
                    f"y[{i}] = {value:g} beside feasible={bool(fine)}: expected a finite number"
                    + ("" if fine else ", or NaN")
                )
            if self.method.log_output and value <= 0:
                raise ArgumentError(
                    f"y[{i}] = {value:g}: expected a number > 0 beside log_output=True; set "
                    "log_output=False"
                )
        outcomes = [
            Outcome({"feasible": float(bool(c))} | ({} if math.isnan(v) else {"y": v}))
            for v, c in zip(values.tolist(), flags.tolist(), strict=True)
        ]
        none = np.full(len(x), -1)
        self.method.tell(self.problem, self.state, self.problem.batch(x, outcomes, none, none))

    def best(self) -> Best | None:
        """The feasible experiment nearest to the target; None while nothing is feasible."""
        state, t = self.state, self.problem.target
        if t is None or not state.label.any():
            return None
        rows = np.flatnonzero(state.label)
        i = rows[int(np.argmin(np.abs(state.y[rows] - t)))]
        return Best(
            self.problem.space.mapping(state.x[i]), float(state.y[i]), float(abs(state.y[i] - t))
        )

    def predict(self, X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(n,) mean and (n,) standard deviation of y in its unit, and (n,) P(feasible), from the
        composite model.

        Where all told experiments had one label, P is the prior's 1/2. Raises ArgumentError before
        any value was told.
        """
        x = torch.from_numpy(self.problem.space.unit(self._points(X)))
        found = self.method.outcomes(self.problem, self.state)
        if found is None:
            raise ArgumentError("predict: no value of y was told yet")
        kept = self.state.objective, self.state.classifier
        try:
            model, classifier = (
                self.method.objective(self.problem, self.state, found),
                self.method.feasibility(self.problem, self.state),
            )
        finally:
            self.state.objective, self.state.classifier = kept  # looking changes nothing
        with torch.no_grad():
            m, v = (a.numpy() for a in model.marginal(x))
            p = (
                np.full(len(x), 0.5)
                if classifier is None
                else log_probability(classifier, x).exp().numpy()
            )
        m, sd = found.mean + found.sd * m, found.sd * np.sqrt(v)
        if not self.method.log_output:
            return m, sd, p
        mean = np.exp(m + sd**2 / 2)  # of a log-normal variable
        return mean, mean * np.sqrt(np.expm1(sd**2)), p

    def _points(
        self, given: Mapping[str, Any] | Sequence[Any] | Float[np.ndarray, "n d"]
    ) -> Float[np.ndarray, "n d"]:
        rows: list[Any] = [given] if isinstance(given, Mapping) else list(given)
        return np.array(
            [self.problem.space.vector(r, what=f"X[{i}]") for i, r in enumerate(rows)]
        ).reshape(-1, self.problem.space.d)
