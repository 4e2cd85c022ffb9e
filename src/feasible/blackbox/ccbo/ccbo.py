"""Constrained composite Bayesian optimisation (CCBO): hit a target value, where some experiments
fail and only say so.

    min_x (h(x) - t)^2   subject to  c(x) = 1,

h and c known only by experiments, c yes or no, x mixed, several experiments at a time.

Use it for tens of expensive experiments whose product should have a given size, viscosity, band
gap, and some of which clog, gel or crash.
The Gaussian process models h itself, not the distance from the target, and a classifier learns
where experiments succeed.

Two forms of the same functions (the models are in `models.py`, the acquisition in
`acquisition.py`): `CCBO(space, target=18.0)` in `native.py`, asked and told by hand, and
`CompositeBO()`, the Method, for runs, races and studies, on a BlackBox with a `target`.

References:
    F. Wang, A. Parhizkar, A. Harker, M. Edirisinghe: Constrained composite Bayesian optimization
    for rational synthesis of polymeric particles (2024, arXiv 2411.10471).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ...core.errors import ArgumentError
from ...core.ledger import CHECKED, DONE, Observations
from ...core.warning import warn
from ..asktell import AskTell, Proposals
from ..problem import BlackBox
from ..sampling import first_start
from ..space import Space, sample_allowed
from .acquisition import Acquisition, Joint, Region, key_of, maximise, normal_samples, sobol
from .models import Latent, Mixed, fit_classifier, fit_exact
from .settings import STRATEGIES, CompositeSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

DESIGN, BATCH, FILL, RANDOM = range(4)
"""What a stream of random numbers is for."""


@dataclass(slots=True)
class Experiments:
    """What is known so far. The models are built again from it at every ask.

    Attributes:
        seed: Of everything random.
        x: (n, d) points told.
        y: (n,) the measured metric, NaN where there is none.
        label: (n,) True where all limits held.
        tag: (n,) labels of proposals, -1 for foreign points.
        waiting: (p, d) proposals whose result is out.
        waiting_tag: (p,) their labels.
        asked: Proposals made.
        objective: (k,) hyperparameters fitted last, where the next fit starts.
        classifier: (k,) the same of the classifier.
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
    """What the objective model is fitted to.

    Attributes:
        rows: (m,) of the experiments.
        h: (m,) standardised values.
        target: In the same unit.
        mean: Of the values, in their unit.
        sd: Their standard deviation.
    """

    rows: Int[np.ndarray, " m"]
    h: Float[np.ndarray, " m"]
    target: float
    mean: float
    sd: float


@dataclass(frozen=True)
class CompositeBO(CompositeSettings, AskTell):
    """CCBO and the baselines of its paper. It needs a BlackBox with a target: `BlackBox(...,
    objective="diameter", target=18)`.

    It minimises (h(x) - t)^2 subject to c(x) = 1, h and c known only by experiments. A violated
    limit of any kind, a failed evaluation and an infeasible one are all "no" to the classifier; a
    value that was measured beside a violated limit is used. Abandoned experiments teach nothing.
    Hyperparameters have wide priors that the paper's do not. Settings: `CompositeSettings`.

    References:
        arXiv 2411.10471, section 2, and its code; where u* is concerned, the definition instead of
        the code (which counts infeasible rows).
    """

    @property
    def name(self) -> str:  # type: ignore[override]
        """ "ccbo", "ccbo-constrained", "ccbo-qei" or "ccbo-random"."""
        return STRATEGIES[self.strategy]

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
            warn(
                f"{self.name}: a measured {problem.columns[0]} is not positive; beside "
                "log_output=True it is left out of its model",
                RuntimeWarning,
            )

    def least(self, problem: BlackBox) -> int:
        """Evaluations below which a run warns: with fewer no model is used."""
        return 1 if self.strategy == "random" else self.n_initial + 1

    def done(self, problem: BlackBox, state: Experiments) -> str | None:
        """Done at the target, to within `tol`, or when there is no new point."""
        if state.full:
            return "every point that may be tried was proposed"
        if problem.target is not None and state.label.any():
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
        """Return proposal `number` without a model: of the Sobol design, or random; x0 first."""
        start = first_start(problem)
        if number == 0 and start is not None and region.free(start[None])[0]:
            region.taken.add(key_of(start))
            return start
        space = problem.space
        if self.strategy == "random":
            source = np.random.default_rng([state.seed, RANDOM, number])
            plain = Space([replace(v, log=False) for v in space.variables], space.linear)
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
        """Return a point that was not proposed yet; where 2048 random ones hold none, there is
        (almost) none left.
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
        """Return n proposals by the models: one after the other, each given those before it and the
        points that are out.
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
    """Return which rows of a are also rows of b."""
    keys = {key_of(r) for r in b}
    return np.array([key_of(r) in keys for r in a], dtype=bool)
