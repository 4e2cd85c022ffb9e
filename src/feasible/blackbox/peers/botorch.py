"""BoTorch as its own tutorials use it: constrained Bayesian optimisation by LogCEI or qLogNEI, and
SCBO.

BoTorchTutorial: a Gaussian process for the objective and for each limit (`SingleTaskGP` with its
defaults, refitted at each proposal), then `optimize_acqf` of log constrained expected improvement
or of log noisy expected improvement, from 10 starts of 512 points. BoTorchSCBO: the same models in
a trust region about the best point, and one constrained Thompson sample for each proposal. Both
start with 2 (d + 1) points of a scrambled Sobol sequence and work in the unit cube, where every
whole number has an equal share.

Failed evaluations, which the tutorials do not have, are taken as the worst values seen. The
acquisition's maximisers that the known constraints forbid are left out; where all are forbidden,
the best of as many random allowed points is taken. A deterministic function is never asked for a
point twice: a repeated proposal is replaced by a random one.

References:
    M. Balandat et al., BoTorch (NeurIPS 2020); S. Ament et al., Unexpected improvements to expected
    improvement (NeurIPS 2023); D. Eriksson, M. Poloczek, Scalable constrained Bayesian optimization
    (AISTATS 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from scipy.stats import norm, qmc, rankdata

from ...core.checks import one_of, whole
from ..asktell import AskTell, Proposals
from ..sampling import chosen_or_random, draw, first_start, lost, seed_from, sobol_point
from .frame import Frame, require

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from ...core.ledger import Observations
    from ..problem import BlackBox

LARGEST = 1e100
"""Values beyond this are modelled as this: their squares must be doubles."""


@dataclass(slots=True)
class Learning:
    """What was told, what is open, and the trust region of SCBO.

    Attributes:
        seed: Seed of all streams.
        frame: Coordinates in which the models work.
        x: (n, d) points told.
        f: (n,) objectives, NaN where unknown.
        g: (n, m) signed constraints, NaN where unknown.
        nothing: (n,) True where the row failed.
        open: Proposals (d,) that were not told yet, by tag.
        number: Proposals made, the next one's tag.
        length: Side of the trust region, in units of the box (SCBO, as what follows).
        successes: Improvements in a row.
        failures: Failures in a row.
        restarts: Trust regions that ended.
        since: Rows before this one belong to earlier regions.
        planned: Sobol points still due, at the start or in the present trust region.
    """

    seed: int
    frame: Frame
    x: Float[np.ndarray, "n d"]
    f: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    g: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    nothing: Bool[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, dtype=bool))
    open: dict[int, Float[np.ndarray, " d"]] = field(default_factory=dict)
    number: int = 0
    length: float = 0.8
    successes: int = 0
    failures: int = 0
    restarts: int = 0
    since: int = 0
    planned: int = 0


@dataclass(frozen=True)
class Modelled(AskTell):
    """What the loops share: initial design, table of outcomes, rules for what a model may propose.

    Attributes:
        n_init: Sobol points at the start, at least 2; None: 2 (d + 1).

    Raises:
        ArgumentError: `n_init` below 2.
    """

    requires: ClassVar[tuple[str, ...]] = ("botorch",)
    avoids: ClassVar[bool] = False
    n_init: int | None = None

    def __post_init__(self) -> None:
        if self.n_init is not None:
            whole("n_init", self.n_init, least=2, note=", or None (2 (d + 1) points)")

    def _initial(self, problem: BlackBox) -> int:
        return 2 * (problem.space.d + 1) if self.n_init is None else self.n_init

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Learning:
        """An empty table; nothing is evaluated."""
        problem.space.needs_bounds(self.name)
        require("botorch", self.name)
        return Learning(
            seed_from(rng),
            Frame.of(problem),
            np.empty((0, problem.space.d)),
            planned=self._initial(problem),
        )

    def ask(self, problem: BlackBox, state: Learning, n: int | None = None) -> Proposals:
        """One point, or n one after the other, each with the open ones taken into account."""
        first, count = state.number, 1 if n is None else n
        for _ in range(count):
            x = self._point(problem, state)
            state.open[state.number] = x
            state.number += 1
        tags = np.arange(first, state.number)
        return Proposals(
            np.array([state.open[t] for t in tags.tolist()]).reshape(-1, problem.space.d), tags
        )

    def _point(self, problem: BlackBox, state: Learning) -> Float[np.ndarray, " d"]:
        if state.number == 0 and (start := first_start(problem)) is not None:
            state.planned -= 1
            return start
        rng = np.random.default_rng([state.seed, state.number])
        known = ~np.isnan(state.f[state.since :]) & ~state.nothing[state.since :]
        if state.planned > 0 or np.count_nonzero(known) < 2 or state.frame.k == 0:
            state.planned -= 1
            return sobol_point(problem, state.seed, state.number)
        taken = np.concatenate([state.x, *(v[None] for v in state.open.values())])
        return chosen_or_random(
            problem,
            self.name,
            state.number,
            rng,
            taken,
            lambda: self._propose(problem, state, rng),
            (Exception,),  # a library of others' fails as it likes
        )

    def _propose(
        self, problem: BlackBox, state: Learning, rng: np.random.Generator
    ) -> Float[np.ndarray, " d"]:
        """The model's choice, inside the box and allowed."""
        raise TypeError(f"{type(self).__name__} does not define _propose")

    def tell(self, problem: BlackBox, state: Learning, seen: Observations) -> None:
        """Add rows to the table; points that somebody else chose count too."""
        keep = np.array([tag < 0 or tag in state.open for tag in seen.tag.tolist()], dtype=bool)
        for tag in seen.tag[keep].tolist():
            state.open.pop(tag, None)
        seen = seen.rows(keep)
        old, m = len(state.f), max(seen.constraints.shape[1], state.g.shape[1])
        wide = np.full((old + len(seen), m), np.nan)
        wide[:old, : state.g.shape[1]], wide[old:, : seen.constraints.shape[1]] = (
            state.g,
            seen.constraints,
        )
        state.x, state.f, state.g = (
            np.concatenate([state.x, seen.x]),
            np.concatenate([state.f, seen.objective]),
            wide,
        )
        state.nothing = np.concatenate([state.nothing, lost(seen)])


@dataclass(frozen=True)
class BoTorchTutorial(Modelled):
    """BoTorch's loop for constrained problems.

    LogCEI has no batches: the model's mean stands in for open proposals. While nothing feasible was
    seen it is the probability of feasibility alone.

    Attributes:
        acquisition: "qlognei" (noisy, by Monte Carlo) or "logcei" (analytic, deterministic).
        n_init: Sobol points at the start; None: 2 (d + 1).
        num_restarts: Starts of `optimize_acqf`.
        raw_samples: Points of which these are chosen.
        maxiter: Most iterations of each.
        mc_samples: Samples of qLogNEI.
    """

    acquisition: Literal["qlognei", "logcei"] = "qlognei"
    num_restarts: int = 10
    raw_samples: int = 512
    mc_samples: int = 256
    maxiter: int = 200

    def __post_init__(self) -> None:
        super(BoTorchTutorial, self).__post_init__()  # noqa: UP008
        one_of("acquisition", self.acquisition, ("qlognei", "logcei"))
        for name in ("num_restarts", "raw_samples", "mc_samples", "maxiter"):
            whole(name, getattr(self, name), least=1)

    @property
    def name(self) -> str:  # type: ignore[override]
        """ "botorch-qlognei" or "botorch-logcei"."""
        return f"botorch-{self.acquisition}"

    def _propose(
        self, problem: BlackBox, state: Learning, rng: np.random.Generator
    ) -> Float[np.ndarray, " d"]:
        torch, optim = require("torch", self.name), require("botorch.optim", self.name)
        frame, y = state.frame, _targets(state)
        z = torch.tensor(frame.z(problem, state.x))
        pending = frame.z(problem, np.array([*state.open.values()]).reshape(-1, problem.space.d))
        models = _models(z, y)
        if self.acquisition == "qlognei":
            acquisition = self._noisy(
                models,
                z,
                torch.tensor(pending) if len(pending) else None,
                int(rng.integers(2**31 - 1)),
            )
        else:
            acquisition = self._analytic(models, state, y, torch.tensor(pending))
        bounds = torch.stack([torch.zeros(frame.k), torch.ones(frame.k)]).double()
        found, values = optim.optimize_acqf(
            acquisition,
            bounds,
            q=1,
            num_restarts=self.num_restarts,
            raw_samples=self.raw_samples,
            options={"batch_limit": 5, "maxiter": self.maxiter},
            return_best_only=False,
        )
        order = torch.argsort(values.reshape(-1), descending=True)
        x = frame.x(problem, found.reshape(-1, frame.k)[order].numpy())
        allowed = problem.allowed(x)
        if allowed.any():
            return x[int(np.argmax(allowed))]
        x = draw(problem, rng, self.raw_samples)
        with torch.no_grad():
            return x[int(acquisition(torch.tensor(frame.z(problem, x))[:, None, :]).argmax())]

    def _noisy(self, models: list[Any], z: Tensor, pending: Tensor | None, seed: int) -> Any:
        botorch, torch = require("botorch", self.name), require("torch", self.name)
        sampler = botorch.sampling.normal.SobolQMCNormalSampler(
            torch.Size([self.mc_samples]), seed=seed
        )
        objective = botorch.acquisition.objective.GenericMCObjective(
            lambda samples, X=None: -samples[..., 0]
        )
        constraints = [_column(j) for j in range(1, len(models))] or None
        return require("botorch.acquisition.logei", self.name).qLogNoisyExpectedImprovement(
            botorch.models.ModelListGP(*models),
            X_baseline=z,
            sampler=sampler,
            objective=objective,
            constraints=constraints,
            X_pending=pending,
            prune_baseline=True,
        )

    def _analytic(self, models: list[Any], state: Learning, y: np.ndarray, pending: Tensor) -> Any:
        analytic, botorch = (
            require("botorch.acquisition.analytic", self.name),
            require("botorch", self.name),
        )
        if len(pending):
            models = [
                m.condition_on_observations(pending, m.posterior(pending).mean)
                for m in (_evaluated(m, pending) for m in models)
            ]
        model = botorch.models.ModelListGP(*models)
        limits = dict.fromkeys(range(1, len(models)), (None, 0.0))
        feasible = ~np.isnan(state.f) & (y[:, 1:] <= 0).all(axis=1)
        if not feasible.any():
            return analytic.LogProbabilityOfFeasibility(model, limits)
        best = float(y[feasible, 0].min())
        if not limits:
            return analytic.LogExpectedImprovement(models[0], best_f=best, maximize=False)
        return analytic.LogConstrainedExpectedImprovement(
            model, best_f=best, objective_index=0, constraints=limits, maximize=False
        )


@dataclass(frozen=True)
class BoTorchSCBO(Modelled):
    """Scalable constrained Bayesian optimisation, from the paper with BoTorch's models and
    `ConstrainedMaxPosteriorSampling`.

    A box of side `length` in the unit cube about the best point so far (the best feasible, else the
    smallest total violation): it doubles after `success_tolerance` improvements in a row, halves
    after max(4, d) failures in a row, and starts anew with fresh Sobol points below 0.5^7.
    Candidates: min(5000, max(2000, 200 d)) Sobol points of the box, of which each keeps a
    coordinate of the centre with probability 1 - min(1, 20 / d). The objective is modelled by its
    normal scores, each limit c by sign(c) log(1 + |c|).

    Attributes:
        n_init: Sobol points at the start of a region; None: 2 (d + 1).
        success_tolerance: Improvements in a row after which the region doubles.
        n_candidates: Points of which one is chosen; None: the paper's number.
    """

    name: ClassVar[str] = "botorch-scbo"
    success_tolerance: int = 10
    n_candidates: int | None = None
    longest: ClassVar[float] = 1.6
    shortest: ClassVar[float] = 0.5**7

    def __post_init__(self) -> None:
        super(BoTorchSCBO, self).__post_init__()  # noqa: UP008
        whole("success_tolerance", self.success_tolerance, least=1)
        if self.n_candidates is not None:
            whole("n_candidates", self.n_candidates, least=1, note=", or None")

    def tell(self, problem: BlackBox, state: Learning, seen: Observations) -> None:
        """Add rows; each row that a region's model proposed, or somebody else, is a success or a
        failure of the region.
        """
        old = len(state.f)
        super(BoTorchSCBO, self).tell(problem, state, seen)  # noqa: UP008
        initial = self._initial(problem)
        for i in range(max(old, state.since), len(state.f)):
            if i - state.since < initial:
                continue
            better = _rank(state, i) < min(_rank(state, j) for j in range(state.since, i))
            state.successes, state.failures = (
                (state.successes + 1, 0) if better else (0, state.failures + 1)
            )
            if state.successes >= self.success_tolerance:
                state.length, state.successes = min(2 * state.length, self.longest), 0
            elif state.failures >= max(4, problem.space.d):
                state.length, state.failures = state.length / 2, 0
            if state.length < self.shortest:
                state.length, state.successes, state.failures, state.restarts = (
                    0.8,
                    0,
                    0,
                    state.restarts + 1,
                )
                state.since, state.planned = len(state.f), initial
                break

    def _propose(
        self, problem: BlackBox, state: Learning, rng: np.random.Generator
    ) -> Float[np.ndarray, " d"]:
        torch, botorch = require("torch", self.name), require("botorch", self.name)
        sampling, gpytorch = (
            require("botorch.generation.sampling", self.name),
            require("gpytorch", self.name),
        )
        frame, k = state.frame, state.frame.k
        y = _targets(state)[state.since :]
        z = frame.z(problem, state.x[state.since :])
        centre = z[min(range(len(z)), key=lambda i: _rank(state, state.since + i))]
        low, high = (
            np.clip(centre - state.length / 2, 0, 1),
            np.clip(centre + state.length / 2, 0, 1),
        )
        n = self.n_candidates or min(5000, max(2000, 200 * k))
        u = low + (high - low) * qmc.Sobol(k, rng=rng).random(2 ** math.ceil(math.log2(n)))[:n]
        move = rng.random(u.shape) <= min(20 / k, 1.0)
        still = ~move.any(axis=1)
        move[still, rng.integers(k, size=int(still.sum()))] = True
        x = frame.x(problem, np.where(move, u, centre))
        x = x[problem.allowed(x)]
        if not len(x):
            x = draw(problem, rng, n)
        objective = -norm.ppf((rankdata(y[:, 0]) - 0.5) / len(y))  # posterior sampling maximises
        models = _models(
            torch.tensor(z),
            np.column_stack([objective, np.sign(y[:, 1:]) * np.log1p(np.abs(y[:, 1:]))]),
        )
        candidates = torch.tensor(frame.z(problem, x))
        with torch.no_grad(), gpytorch.settings.max_cholesky_size(float("inf")):
            best = (
                sampling.MaxPosteriorSampling(models[0], replacement=False)
                if len(models) == 1
                else (
                    sampling.ConstrainedMaxPosteriorSampling(
                        models[0], botorch.models.ModelListGP(*models[1:]), replacement=False
                    )
                )
            )
            chosen = best(candidates, num_samples=1)
        return x[int(torch.argmin((candidates - chosen).abs().sum(dim=1)))]


# -- pieces ----------------------------------------------------------------------------------------


def _targets(state: Learning) -> Float[np.ndarray, "n 1+m"]:
    """Objective and constraints of every row; what is unknown is taken as the worst value seen, and
    a limit as violated.
    """
    y = np.clip(np.column_stack([state.f, state.g]), -LARGEST, LARGEST)
    y[state.nothing] = np.nan
    for j in range(y.shape[1]):
        seen = y[~np.isnan(y[:, j]), j]
        worst = seen.max() if len(seen) else 0.0
        y[np.isnan(y[:, j]), j] = worst if j == 0 else max(worst, 1e-3)
    return y


def _rank(state: Learning, i: int) -> tuple[float, float]:
    """(total violation, objective) of row i: smaller is better, infinite where it failed."""
    if state.nothing[i]:
        return math.inf, math.inf
    over = float(np.maximum(np.nan_to_num(state.g[i], nan=0.0), 0.0).sum())
    f = float(state.f[i])
    return (over, 0.0) if over > 0 else (0.0, f if f == f else math.inf)


def _models(z: Tensor, y: Float[np.ndarray, "n p"]) -> list[Any]:
    """A fitted SingleTaskGP with BoTorch's defaults for each column; one that cannot be fitted
    keeps its prior's hyperparameters.
    """
    torch, models, fit = (
        require("torch", "botorch"),
        require("botorch.models", "botorch"),
        require("botorch.fit", "botorch"),
    )
    mlls, errors = (
        require("gpytorch.mlls", "botorch"),
        require("botorch.exceptions.errors", "botorch"),
    )
    made = []
    for j in range(y.shape[1]):
        model = models.SingleTaskGP(z, torch.tensor(y[:, j : j + 1]))
        try:
            fit.fit_gpytorch_mll(mlls.ExactMarginalLogLikelihood(model.likelihood, model))
        except errors.ModelFittingError:
            model = models.SingleTaskGP(z, torch.tensor(y[:, j : j + 1]))
        model.eval()
        made.append(model)
    return made


def _evaluated(model: Any, x: Tensor) -> Any:
    """The model after a first prediction, which `condition_on_observations` needs."""
    model.posterior(x)
    return model


def _column(j: int) -> Callable[[Tensor], Tensor]:
    return lambda samples: samples[..., j]
