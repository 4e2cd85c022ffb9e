"""What Bayesian optimisation believes of a problem, and the acquisitions of the tutorial on top of
it, as scores to be maximised.

The objective is minimised outside and maximised inside: the model holds -f, standardised. Limits
  are g <= 0. Every score is weighted by the
probability that all limits hold (their GPs count as independent); without a feasible row, that
probability alone is the score.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from botorch.acquisition import (
    qKnowledgeGradient,
    qLogExpectedImprovement,
    qLogNoisyExpectedImprovement,
    qLowerBoundMaxValueEntropy,
)
from botorch.acquisition.objective import GenericMCObjective
from botorch.models import ModelList
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler

from .acq import Beliefs, LineGain, PredictiveEntropy, entropy_search, kg_sga, log_f
from .gp import (
    EXACT,
    Predictor,
    Scale,
    build,
    first_output,
    fit,
    own_randomness,
    parameters,
    sampled,
    set_known,
    set_parameters,
)
from .gradgp import GradBeliefs, GradGP, d_kg
from .search import Domain, Score, Search

if TYPE_CHECKING:
    from botorch.models import SingleTaskGP
    from jaxtyping import Bool, Float
    from torch import Tensor

    from .bo import BO


@dataclass(slots=True)
class Told:
    """What was told. x: (n, d); f: (n,) to be minimised, NaN where missing; g: (n, m), NaN where
    missing; grad: (n, d) of f, NaN where missing.

    noise: 0 for an exact objective, its standard deviation, or None where it is to be learned.
      tolerance: violation that is feasible.
    """

    x: Float[np.ndarray, "n d"]
    f: Float[np.ndarray, " n"]
    g: Float[np.ndarray, "n m"]
    grad: Float[np.ndarray, "n d"]
    noise: float | None = 0.0
    tolerance: float = 1e-6

    @property
    def feasible(self) -> Bool[np.ndarray, " n"]:
        """(n,) True for measured rows that keep to the limits."""
        worst = self.g.max(axis=1) if self.g.shape[1] else np.zeros(len(self.f))
        return np.isfinite(self.f) & (worst <= self.tolerance)


@dataclass(slots=True)
class Part:
    """Models of some outputs over the same rows: one per draw of the hyperparameters."""

    models: list[SingleTaskGP]
    predictors: list[Predictor]


@dataclass(slots=True)
class Surrogate:
    """The fitted models of one proposal. y: Scale of -f.  limits: Scale of g.  warm:
    hyperparameters for the next fit.
    """

    domain: Domain
    told: Told
    y: Scale
    limits: Scale
    parts: list[Part]
    gradients: GradGP | None = None
    warm: dict[str, np.ndarray] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    cached: dict[int, Beliefs] = field(default_factory=dict)

    @property
    def draws(self) -> int:
        """Number of hyperparameter draws."""
        return len(self.parts[0].models)

    @property
    def m(self) -> int:
        """Number of limits."""
        return self.told.g.shape[1]

    def predict(self, z: Tensor, s: int = 0) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (b, 1 + m) of -f and g, standardised, with draw s of the
        hyperparameters.
        """
        means, sds = zip(*(part.predictors[s](z) for part in self.parts), strict=True)
        mean, sd = torch.cat(means, 1), torch.cat(sds, 1)
        if self.gradients is not None:
            slope = self.slopes()
            mean = torch.cat([slope.mean(z).unsqueeze(1), mean[:, 1:]], 1)
            sd = torch.cat([slope.var(z).sqrt().unsqueeze(1), sd[:, 1:]], 1)
        return mean, sd

    def slopes(self) -> GradBeliefs:
        """The posterior that knows gradients."""
        if self._slopes is None:
            self._slopes = GradBeliefs(self.gradients)  # type: ignore[arg-type]
        return self._slopes

    _slopes: GradBeliefs | None = None

    def objective(self, s: int = 0) -> SingleTaskGP:
        """The model of -f alone."""
        return first_output(self.parts[0].models[s])

    def lines(self, s: int = 0) -> Beliefs:
        """The posterior of -f in closed form."""
        if s not in self.cached:
            self.cached[s] = Beliefs(self.objective(s))
        return self.cached[s]

    def log_feasible(self, mean: Tensor, sd: Tensor) -> Tensor:
        """(b,) log probability that all limits hold."""
        if not self.m:
            return torch.zeros(len(mean), dtype=mean.dtype)
        edge = torch.as_tensor(self.limits.apply(np.full((1, self.m), self.told.tolerance)))
        return torch.special.log_ndtr((edge - mean[:, 1:]) / sd[:, 1:]).sum(1)

    def feasibility(self, z: Tensor, s: int = 0) -> Tensor:
        """(b,) log probability that all limits hold at features z."""
        return (
            self.log_feasible(*self.predict(z, s)) if self.m else torch.zeros(len(z), dtype=z.dtype)
        )

    def best(self, kind: str, s: int = 0) -> float:
        """The value to improve on: the best feasible observation, or the best posterior mean at
        these rows.
        """
        rows = self.told.feasible
        if kind == "observed":
            return float(self.y.apply(-self.told.f[rows][:, None]).max())
        with torch.no_grad():
            return float(
                self.predict(torch.as_tensor(self.domain.z(self.told.x[rows])), s)[0][:, 0].max()
            )

    def points(self, extra: Float[np.ndarray, "e d"] | None = None) -> Tensor:
        """Features of the feasible rows (all rows where none is) and of further points."""
        rows = self.told.feasible
        x = self.told.x[rows] if rows.any() else self.told.x
        x = x if extra is None else np.concatenate([x, extra])
        return torch.as_tensor(self.domain.z(np.unique(x, axis=0)))


def _filled(told: Told) -> tuple[np.ndarray, np.ndarray]:
    """f and g; a row of which nothing is known counts as the worst measured one, so that its
    neighbourhood is left.
    """
    f, g = told.f.copy(), told.g.copy()
    nothing = np.isnan(f) & (np.isnan(g).all(axis=1) if g.shape[1] else True)
    if np.isfinite(f).any():
        f[nothing] = np.nanmax(f)
        if g.shape[1]:
            known = np.isfinite(g).any(axis=0)
            g[np.ix_(nothing, known)] = np.maximum(np.nanmax(g[:, known], axis=0), 0.0)
    return f, g


def learn(
    settings: BO,
    domain: Domain,
    told: Told,
    warm: dict[str, np.ndarray],
    pending: Float[np.ndarray, "p d"],
    rng: np.random.Generator,
    *,
    refit: bool = True,
) -> Surrogate:
    """Fit the models to what was told; rows that are still out are believed to give their posterior
    mean.
    """
    f, g = _filled(told)
    z = domain.z(told.x)
    has_f, has_g = (
        np.isfinite(f),
        np.isfinite(g).all(axis=1) if g.shape[1] else np.zeros(len(f), dtype=bool),
    )
    known = settings.known_parameters(domain)
    y = Scale.of(-f[has_f][:, None], "none" if known else settings.outputs)
    limits = Scale.of(g[has_g], settings.outputs)
    noise = told.noise
    exact: Any = (
        EXACT
        if noise == 0
        else None
        if noise is None
        else max((noise / float(y.size[0] * y.spread[0])) ** 2, EXACT if not known else 0.0)
    )
    groups: list[tuple[np.ndarray, np.ndarray, Any]] = []
    joint = g.shape[1] > 0 and known is None and np.array_equal(has_f, has_g)
    fy = y.apply(-f[has_f][:, None])
    if joint:
        variance: Any = None if exact is None else np.append(exact, np.full(g.shape[1], EXACT))
        groups.append((z[has_f], np.column_stack([fy, limits.apply(g[has_f])]), variance))
    else:
        groups.append((z[has_f], fy, exact))
        if g.shape[1]:
            groups.append((z[has_g], limits.apply(g[has_g]), EXACT if noise is not None else None))
    task = None if domain.task is None else domain.columns[domain.task][0]
    tasks = (
        0
        if domain.task is None
        else round(domain.space.high[domain.task] - domain.space.low[domain.task]) + 1
    )
    found = Surrogate(domain, told, y, limits, [])
    for i, (rows, values, variance) in enumerate(groups):
        kind: dict[str, Any] = {
            "kernel": settings.kernel,
            "priors": settings.hyperparameters != "mle",
            "mean": settings.mean,
            "task": task,
            "tasks": tasks,
        }
        if not len(rows):  # nothing measured yet: the prior, from one row of zero information
            rows, values, variance = (
                np.full((1, domain.k), 0.5),
                np.zeros((1, values.shape[1])),
                1e6,
            )
        model = build(rows, values, noise=variance, **kind)
        old = {
            name.removeprefix(f"{i}:"): v for name, v in warm.items() if name.startswith(f"{i}:")
        }
        if known is not None and i == 0:
            set_known(model, *known)
        elif refit and len(rows) > 1:
            seed = int(rng.integers(2**31))
            if old and len(rows) % 8 == 0:
                # now and then from the first hyperparameters, so that a poor optimum is left
                old = {}
            failure = fit(model, old, seed=seed)
            if failure:
                found.failures.append(failure)
        else:
            set_parameters(model, old)
        own = parameters(model)
        found.warm |= {f"{i}:{name}": v for name, v in own.items()}
        models = [model]
        if (
            settings.hyperparameters == "bayes"
            and len(rows) > 2
            and task is None
            and not (known is not None and i == 0)
        ):
            models = sampled(
                model,
                rows,
                values,
                None if variance is None else float(np.max(variance)),
                settings.draws,
                rng,
                settings.kernel,
            )
        if len(pending):
            out = domain.z(pending)
            grown = []
            for one in models:
                with torch.no_grad():
                    believed = Predictor(one)(torch.as_tensor(out))[0].numpy()
                more = build(
                    np.concatenate([rows, out]),
                    np.concatenate([values, believed]),
                    noise=variance,
                    **kind,
                )
                if known is not None and i == 0:
                    set_known(more, *known)
                else:
                    set_parameters(more, parameters(one))
                grown.append(more)
            models = grown
        found.parts.append(Part(models, [Predictor(one) for one in models]))
    draws = max(len(p.models) for p in found.parts)
    for p in found.parts:
        if len(p.models) < draws:
            p.models, p.predictors = p.models * draws, p.predictors * draws
    if settings.acq in ("d-ei", "d-kg"):
        _add_gradients(found, z, exact, pending, rng)
    return found


def _add_gradients(
    found: Surrogate,
    z: np.ndarray,
    noise: float | None,
    pending: np.ndarray,
    rng: np.random.Generator,
) -> None:
    told, space = found.told, found.domain.space
    rows = (
        np.isfinite(told.f) & np.isfinite(told.grad).all(axis=1)
        if told.grad.shape == told.x.shape
        else np.zeros(len(told.f), dtype=bool)
    )
    if rows.sum() < 2:
        return
    width = np.array(
        [
            told.x[rows, j] * math.log(v.high / v.low)
            if v.log
            else np.full(rows.sum(), space.high[j] - space.low[j])
            for j, v in enumerate(space.variables)
        ]
    ).T
    y = np.column_stack(
        [
            found.y.apply(-told.f[rows][:, None]),
            -told.grad[rows] * width / (found.y.size * found.y.spread),
        ]
    )
    model = GradGP(torch.as_tensor(z[rows]), torch.as_tensor(y), noise)
    failure = model.fit(int(rng.integers(2**31)))
    if failure:
        found.failures.append(failure)
    if len(pending):
        out = torch.as_tensor(found.domain.z(pending))
        with torch.no_grad():
            believed = model.posterior(out.unsqueeze(1)).mean.squeeze(1)
        grown = GradGP(
            torch.cat([model.train_inputs[0], out]),
            torch.cat([model.train_targets, believed]),
            noise,
        )
        grown.load_state_dict(model.state_dict())
        model = grown.eval()
    found.gradients = model


# -- scores ----------------------------------------------------------------------------------------


def average(scores: Sequence[Score]) -> Score:
    """log of the mean of exp(score): an acquisition averaged over draws of the hyperparameters."""
    if len(scores) == 1:
        return scores[0]
    return lambda z: torch.logsumexp(torch.stack([s(z) for s in scores]), 0) - math.log(len(scores))


def feasibility_only(b: Surrogate) -> Score:
    """log probability that all limits hold."""
    return average([partial(b.feasibility, s=s) for s in range(b.draws)])


def analytic(settings: BO, b: Surrogate) -> Score:
    """(log) EI, PI or UCB of -f, weighted by the probability of feasibility; with log EI it is the
    constrained EI of the tutorial.
    """

    def one(s: int) -> Score:
        best = b.best(
            settings.incumbent
            if settings.incumbent != "auto"
            else "observed"
            if b.told.noise == 0
            else "mean",
            s,
        )

        def score(z: Tensor) -> Tensor:
            mean, sd = b.predict(z, s)
            u = (mean[:, 0] - best) / sd[:, 0]
            if settings.acq == "pi":
                value = torch.special.log_ndtr(u)
            elif settings.acq == "ucb":
                value = torch.log(
                    torch.nn.functional.softplus(
                        (mean[:, 0] + math.sqrt(settings.beta) * sd[:, 0] - best).clamp_min(-600)
                    )
                )
            else:
                value = log_f(u) + torch.log(sd[:, 0])
            value = value + b.log_feasible(mean, sd)
            return torch.exp(value) if settings.acq == "ei" else value

        return score

    scores = [one(s) for s in range(b.draws)]
    if settings.acq == "ei":
        return lambda z: torch.stack([s(z) for s in scores]).mean(0)
    return average(scores)


def gain(settings: BO, b: Surrogate, cover: Float[np.ndarray, "c d"]) -> Score:
    """Noisy EI, discrete KG, and KG for a mean over environments, a target fidelity or a target
    task: all from lines.
    """
    extra = None if settings.acq == "noisy-ei" else cover
    options: dict[str, Any] = {}
    j = settings.context_index(b.domain)
    points = b.points(extra)
    if j is not None:
        values, weights = settings.contexts(b.domain)
        probe = np.tile(b.domain.space.low, (len(values), 1))
        probe[:, j] = values
        columns = b.domain.columns[j]
        options = {
            "columns": columns,
            "contexts": torch.as_tensor(b.domain.z(probe)[:, columns]),
            "weights": torch.as_tensor(weights),
        }
        flat = points.clone()
        flat[:, columns] = options["contexts"][0]
        points = torch.unique(flat, dim=0)
        if settings.acq == "mfkg":
            column, low, high = (
                columns[0],
                float(b.domain.space.low[j]),
                float(b.domain.space.high[j]),
            )
            options["cost"] = lambda z: (
                settings.cost[0] + settings.cost[1] * (low + z[:, column] * (high - low))
            )
    scores = []
    for s in range(b.draws):
        lines = LineGain(b.lines(s), points, **options)
        scores.append(lambda z, s=s, lines=lines: lines(z.unsqueeze(1)) + b.feasibility(z, s))
    return average(scores)


def sampled_scores(
    settings: BO,
    b: Surrogate,
    pending: Float[np.ndarray, "p d"],
    cover: Float[np.ndarray, "c d"],
    seed: int,
) -> Score:
    """BoTorch's acquisitions: qei and qnei (Letham's noisy EI) under the limits; mes and pes
    weighted by feasibility.
    """

    def one(s: int) -> Score:
        out = torch.as_tensor(b.domain.z(pending)) if len(pending) else None
        if settings.acq in ("qei", "qnei"):
            parts = [p.models[s] for p in b.parts]
            model = parts[0] if len(parts) == 1 else ModelList(*parts)
            sampler = SobolQMCNormalSampler(torch.Size([settings.samples]), seed=seed)
            edge = b.limits.apply(np.full((1, b.m), b.told.tolerance))[0] if b.m else []
            rules = [
                lambda v, j=j, e=float(e): v[..., 1 + j] - e for j, e in enumerate(edge)
            ] or None
            goal = GenericMCObjective(lambda v, X=None: v[..., 0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if settings.acq == "qei":
                    acquisition = qLogExpectedImprovement(
                        model,
                        b.best("observed" if b.told.noise == 0 else "mean", s),
                        sampler,
                        objective=goal,
                        X_pending=out,
                        constraints=rules,
                    )
                else:
                    acquisition = qLogNoisyExpectedImprovement(
                        model,
                        torch.as_tensor(b.domain.z(b.told.x)),
                        sampler,
                        objective=goal,
                        X_pending=out,
                        constraints=rules,
                        prune_baseline=True,
                    )
            return lambda z: acquisition(z.unsqueeze(1))
        model = b.objective(s)
        grid = torch.as_tensor(b.domain.z(cover))
        if settings.acq == "mes":
            acquisition = qLowerBoundMaxValueEntropy(
                model, torch.cat([grid, b.points()]), num_mv_samples=16
            )
        else:
            entropy = PredictiveEntropy(
                b.lines(s),
                torch.cat([grid, b.points()]),
                generator=torch.Generator().manual_seed(seed),
            )
            return lambda z: entropy(z.unsqueeze(1)) + b.feasibility(z, s)
        return lambda z: (
            torch.log(acquisition(z.unsqueeze(1)).clamp_min(1e-12)) + b.feasibility(z, s)
        )

    return average([one(s) for s in range(b.draws)])


def gradient_score(settings: BO, b: Surrogate, cover: Float[np.ndarray, "c d"], seed: int) -> Score:
    """d-EI: EI of a model that knows gradients. d-KG: the gain of observing a value and its
    gradient.
    """
    if b.gradients is None or settings.acq == "d-ei":
        return analytic(settings, b)
    acquisition = d_kg(b.gradients, b.points(cover), samples=settings.samples, seed=seed)
    return lambda z: acquisition(z.unsqueeze(1)) + b.feasibility(z)


# -- searches of their own -------------------------------------------------------------------------


def by_entropy(b: Surrogate, search: Search, near: np.ndarray, seed: int) -> np.ndarray:
    """Candidates by entropy search on a discretisation, best first."""
    x = search.candidates(near)
    x = x[np.sort(search.rng.permutation(len(x))[:160])]
    z = torch.as_tensor(b.domain.z(x))
    generator = torch.Generator().manual_seed(seed)
    value = sum(
        entropy_search(b.lines(s), z, generator=generator).clamp_min(0)
        * torch.exp(b.feasibility(z, s)).detach()
        for s in range(b.draws)
    )
    order = np.argsort(-np.asarray(value), kind="stable")
    return x[sorted(order.tolist(), key=lambda i: (x[i] + 0.0).tobytes() in search.seen)]


def by_ascent(
    settings: BO, b: Surrogate, search: Search, near: np.ndarray, cover: np.ndarray, seed: int
) -> np.ndarray:
    """Candidates by multistart stochastic gradient ascent of KG, best first."""
    pool = search.candidates(near)
    starts = torch.as_tensor(
        b.domain.z(pool[search.rng.permutation(len(pool))[: settings.sga_restarts]])
    )
    box = torch.stack(
        [torch.zeros(b.domain.k, dtype=torch.float64), torch.ones(b.domain.k, dtype=torch.float64)]
    )
    allowed: Callable[[Tensor], Tensor] | None = None
    if b.domain.known is not None or search.held or search.filter is not None:

        def allowed(z: Tensor) -> Tensor:
            return torch.as_tensor(search.fits(search.hold(b.domain.x(z.numpy()))))

    def score(z: Tensor, kg: Tensor) -> Tensor:
        return kg.clamp_min(0) * torch.exp(b.feasibility(z)) + 1e-12 * kg

    ends, _ = kg_sga(
        b.lines(0),
        box,
        b.points(cover),
        restarts=len(starts),
        steps=settings.sga_steps,
        a=settings.sga_a,
        starts=starts,
        allowed=allowed,
        score=score,
        generator=torch.Generator().manual_seed(seed),
    )
    x = search.hold(b.domain.x(ends.numpy()))
    x = np.concatenate([x[search.fits(x)], pool])
    return x[sorted(range(len(x)), key=lambda i: (x[i] + 0.0).tobytes() in search.seen)]


class _Weighted(qKnowledgeGradient):  # type: ignore[misc]
    """One-shot KG times the probability of feasibility of the points that would be evaluated."""

    weight: Callable[[Tensor], Tensor] | None = None

    def forward(self, X: Tensor) -> Tensor:
        value = super().forward(X)
        if self.weight is None:
            return value
        actual = self.extract_candidates(X).squeeze(-2)
        return value * torch.exp(self.weight(actual.reshape(-1, actual.shape[-1]))).reshape(
            value.shape
        )


def by_one_shot(settings: BO, b: Surrogate, search: Search, seed: int) -> np.ndarray:
    """Candidates by BoTorch's one-shot KG, best first; only those that are allowed."""
    box = torch.stack(
        [torch.zeros(b.domain.k, dtype=torch.float64), torch.ones(b.domain.k, dtype=torch.float64)]
    )
    with own_randomness(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        current = b.lines(0).mean(b.points()).max().detach()
        acquisition = _Weighted(
            b.objective(0),
            num_fantasies=settings.fantasies,
            current_value=current,
            sampler=SobolQMCNormalSampler(torch.Size([settings.fantasies]), seed=seed),
        )
        if b.m:
            acquisition.weight = b.feasibility
        z, value = optimize_acqf(
            acquisition,
            box,
            q=1,
            num_restarts=search.starts,
            raw_samples=64,
            options={"maxiter": 60, "seed": seed},
            return_best_only=False,
        )
    x = b.domain.x(
        z.squeeze(1).detach().numpy()[np.argsort(-value.detach().numpy(), kind="stable")]
    )
    x = search.hold(x)
    good = search.fits(x) & np.array([(row + 0.0).tobytes() not in search.seen for row in x])
    return x[good]


__all__ = [
    "Surrogate",
    "Told",
    "analytic",
    "average",
    "by_ascent",
    "by_entropy",
    "by_one_shot",
    "feasibility_only",
    "gain",
    "gradient_score",
    "learn",
    "sampled_scores",
]
