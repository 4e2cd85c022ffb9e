"""What Bayesian optimisation believes of a problem: models of the objective and of the limits,
fitted to what was told. The model holds -f, standardised; limits are g <= 0.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from ...core.annotations import Checked
from ...core.checks import one_of, whole
from ...core.errors import ArgumentError
from .gp import (
    EXACT,
    Predictor,
    Scale,
    build,
    first_output,
    fit,
    parameters,
    set_known,
    set_parameters,
)
from .gradgp import GradBeliefs, GradGP, add_gradients
from .posterior import Beliefs
from .slices import sampled

if TYPE_CHECKING:
    from botorch.models import SingleTaskGP
    from jaxtyping import Bool, Float
    from torch import Tensor

    from .search import Domain

RELATED = 0.8
"""Correlation with an earlier study from which its fit begins."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings(Checked):
    """How the Gaussian processes are built and fitted.

    Attributes:
        kernel: "matern52", "matern32" or "rbf", with a lengthscale for each input.
        mean: "constant" or "linear".
        outputs: How outputs are brought near a normal shape: "standardize", "bilog" (for heavy
            tails) or "none".
        hyperparameters: "map", "mle", "bayes" (acquisitions are averaged over `draws` by slice
            sampling), or a mapping with lengthscale (a number or one for each variable, in its own
            unit; of log variables: in the unit cube), outputscale and mean, which fixes them for
            the objective.
        draws: Draws of the hyperparameters beside "bayes".
    """

    kernel: Literal["matern52", "matern32", "rbf"] = "matern52"
    mean: Literal["constant", "linear"] = "constant"
    outputs: Literal["standardize", "bilog", "none"] = "standardize"
    hyperparameters: Any = "map"
    draws: int = 8

    def __post_init__(self) -> None:
        one_of("kernel", self.kernel, ("matern52", "matern32", "rbf"))
        one_of("mean", self.mean, ("constant", "linear"))
        one_of("outputs", self.outputs, ("standardize", "bilog", "none"))
        whole("draws", self.draws, least=1)
        if not isinstance(self.hyperparameters, Mapping):
            note = " or a mapping"
            one_of("hyperparameters", self.hyperparameters, ("map", "mle", "bayes"), note=note)
            return
        unknown = set(self.hyperparameters) - {"lengthscale", "outputscale", "mean"}
        if unknown or "lengthscale" not in self.hyperparameters:
            raise ArgumentError(
                f"hyperparameters={dict(self.hyperparameters)!r}: expected lengthscale, and "
                "optionally outputscale and mean"
            )

    def known_parameters(self, domain: Domain) -> tuple[np.ndarray, float, float] | None:
        """Fixed lengthscales (k,), output scale and mean in the unit cube, or None."""
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
        parts = list(zip(domain.columns, length / width, strict=True))
        parts += [(columns, length[j]) for j, (columns, _) in domain.told.items()]
        wide = np.concatenate([np.full(len(c), s) for c, s in parts])
        return wide, float(given.get("outputscale", 1.0)), -float(given.get("mean", 0.0))


@dataclass(slots=True)
class BeliefData:
    """The rows that were told.

    Attributes:
        x: (n, d) points.
        f: (n,) objectives to be minimised, NaN where missing.
        g: (n, m) limits, NaN where missing.
        grad: (n, d) gradients of f, NaN where missing.
        noise: 0 for an exact objective, its standard deviation, or None where it is learned.
        tolerance: Violation that counts as feasible.
        error: (n,) standard error of each objective, NaN where `noise` holds; None for all so.
        size: (m,) what violations are measured in; None for 1.
    """

    x: Float[np.ndarray, "n d"]
    f: Float[np.ndarray, " n"]
    g: Float[np.ndarray, "n m"]
    grad: Float[np.ndarray, "n d"]
    noise: float | None = 0.0
    tolerance: float = 1e-6
    error: Float[np.ndarray, " n"] | None = None
    size: Float[np.ndarray, " m"] | None = None

    @property
    def edge(self) -> Float[np.ndarray, " m"]:
        """(m,) values up to which the limits count as kept."""
        m = self.g.shape[1]
        size = np.ones(m) if self.size is None or len(self.size) != m else self.size
        return self.tolerance * size

    @property
    def feasible(self) -> Bool[np.ndarray, " n"]:
        """(n,) True for measured rows that keep to the limits."""
        return np.isfinite(self.f) & (self.g <= self.edge).all(axis=1)

    @property
    def ranked(self) -> Float[np.ndarray, "n d"]:
        """The points by merit: feasible by objective, then the others by violation."""
        worst = (
            np.nan_to_num(self.g.max(axis=1), nan=np.inf)
            if self.g.shape[1]
            else np.zeros(len(self.f))
        )
        good = self.feasible
        return self.x[np.lexsort((np.where(good, self.f, worst), ~good))]


@dataclass(slots=True)
class Part:
    """Models of some outputs over the same rows: one per draw of the hyperparameters."""

    models: list[SingleTaskGP]
    predictors: list[Predictor]


@dataclass(slots=True)
class Surrogate:
    """The fitted models of one proposal.

    Attributes:
        domain: The box as the models see it.
        told: The rows that were told.
        y: Scale of -f.
        limits: Scale of g.
        parts: The models of -f and g: one part where they share their rows, else two.
        gradients: A model of -f that knows gradients, where there is one.
        warm: Hyperparameters for the next fit, by name.
        failures: Why fits failed.
        cached: Posteriors in closed form, by draw of the hyperparameters.
    """

    domain: Domain
    told: BeliefData
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
        edge = torch.as_tensor(self.limits.apply(self.told.edge[None]))
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


def _filled(told: BeliefData) -> tuple[np.ndarray, np.ndarray]:
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


@dataclass(slots=True)
class _Group:
    """Outputs that are known at the same rows, and so share a model.

    Attributes:
        rows: (n, k) features.
        values: (n, m) standardised outputs.
        noise: Variance of an observation, one, by output, or by row and output; None where it is
            learned.
        known: Fixed hyperparameters, where there are some.
        task: Feature that is a task's code, where there is one.
        tasks: Number of tasks.
        related: Correlation of the tasks from which their fit begins; None for a random one.
    """

    rows: Float[np.ndarray, "n k"]
    values: Float[np.ndarray, "n m"]
    noise: Any
    known: tuple[np.ndarray, float, float] | None = None
    task: int | None = None
    tasks: int = 0
    related: float | None = None


def learn(
    settings: ModelSettings,
    domain: Domain,
    told: BeliefData,
    warm: dict[str, np.ndarray],
    pending: Float[np.ndarray, "p d"],
    rng: np.random.Generator,
    *,
    refit: bool = True,
    gradients: bool = False,
) -> Surrogate:
    """Fit the models to what was told.

    Args:
        settings: How the models are built.
        domain: The box as they see it.
        told: The rows.
        warm: Hyperparameters to start from, by name.
        pending: (p, d) proposals that are still out; they are believed to give their posterior
            mean.
        rng: Of the fits' seeds and of the slice sampling.
        refit: Whether hyperparameters are fitted, or kept at `warm`.
        gradients: Whether gradients are modelled too.

    Returns:
        The surrogate; what could not be fitted is named in its `failures`.
    """
    f, g = _filled(told)
    z = domain.z(told.x)
    known = settings.known_parameters(domain)
    has_f = np.isfinite(f)
    old = np.empty(0) if domain.history is None else domain.history.beside(f[has_f])[1]
    found = Surrogate(
        domain,
        told,
        Scale.of(-np.append(f[has_f], old)[:, None], "none" if known else settings.outputs),
        Scale.of(g[_measured(g)], settings.outputs),
        [],
    )
    noise = told.noise
    least = EXACT if not known else 0.0
    unit = float(found.y.size[0] * found.y.spread[0])
    exact = EXACT if noise == 0 else None if noise is None else max((noise / unit) ** 2, least)
    each: Any = exact
    if told.error is not None:  # rows without one get the given noise, else the usual error
        e = told.error[has_f]
        rest = noise if noise is not None else float(np.nanmedian(told.error))
        variance = (np.where(np.isfinite(e), e, rest) / unit) ** 2
        each = np.maximum(variance, EXACT)[:, None]
        exact = float(each.mean()) if len(each) else exact
    for i, group in enumerate(_groups(found, z, f, g, each, known)):
        found.parts.append(_fitted(settings, found, group, i, warm, pending, rng, refit))
    draws = max(len(p.models) for p in found.parts)
    for p in found.parts:
        if len(p.models) < draws:
            p.models, p.predictors = p.models * draws, p.predictors * draws
    if gradients:
        add_gradients(found, z, exact, pending, rng)
    return found


def _measured(g: np.ndarray) -> np.ndarray:
    """Return which rows have all limits."""
    return np.isfinite(g).all(axis=1) if g.shape[1] else np.zeros(len(g), dtype=bool)


def _groups(
    found: Surrogate,
    z: np.ndarray,
    f: np.ndarray,
    g: np.ndarray,
    exact: Any,
    known: tuple[np.ndarray, float, float] | None,
) -> list[_Group]:
    """Return one group where objective and limits share rows and nothing is fixed, else two."""
    has_f, has_g = np.isfinite(f), _measured(g)
    fy, m = found.y.apply(-f[has_f][:, None]), g.shape[1]
    if m and known is None and np.array_equal(has_f, has_g) and found.domain.history is None:
        noise: Any = None
        if exact is not None:
            own = np.reshape(exact, (-1, 1)) if np.ndim(exact) else np.full((1, 1), exact)
            noise = np.hstack([own, np.full((len(own), m), EXACT)])
            noise = noise if np.ndim(exact) else noise[0]
        groups = [_Group(z[has_f], np.column_stack([fy, found.limits.apply(g[has_f])]), noise)]
    else:
        groups = [_Group(z[has_f], fy, exact, known)]
        if m:
            noise = EXACT if found.told.noise is not None else None
            groups.append(_Group(z[has_g], found.limits.apply(g[has_g]), noise))
    for group in groups:
        _set_tasks(found, group, group is groups[0], f[has_f])
        if not len(group.rows):  # nothing measured yet: the prior, from one row without information
            group.rows = np.full((1, found.domain.k), 0.5)
            group.values, group.noise = np.zeros((1, group.values.shape[1])), 1e6
    return groups


def _set_tasks(found: Surrogate, group: _Group, first: bool, f: np.ndarray) -> None:
    """Add the rows of an earlier study to the group of the objective, and name the feature that is
    a task.
    """
    domain, space = found.domain, found.domain.space
    if domain.task is not None:
        group.task = domain.columns[domain.task][0]
        group.tasks = round(space.high[domain.task] - space.low[domain.task]) + 1
    elif first and domain.history is not None:
        x, value = domain.history.beside(f)
        if np.ndim(group.noise) == 2:
            usual = np.full((len(x), 1), group.noise.mean() if len(f) else EXACT)
            group.noise = np.vstack([group.noise, usual])
        group.rows = np.vstack([group.rows, domain.z(x, 1.0)])
        group.values = np.vstack([group.values, found.y.apply(-value[:, None])])
        group.task, group.tasks, group.related = domain.earlier, 2, RELATED


def _fitted(
    settings: ModelSettings,
    found: Surrogate,
    group: _Group,
    number: int,
    warm: dict[str, np.ndarray],
    pending: np.ndarray,
    rng: np.random.Generator,
    refit: bool,
) -> Part:
    """Return the models of a group, one for each draw of the hyperparameters; note what failed."""
    domain, rows = found.domain, group.rows
    kind: dict[str, Any] = {
        "kernel": settings.kernel,
        "priors": settings.hyperparameters != "mle",
        "mean": settings.mean,
        "task": group.task,
        "tasks": group.tasks,
        "related": group.related,
        "noise": group.noise,
    }
    model = build(rows, group.values, **kind)
    mine = f"{number}:"
    old = {name.removeprefix(mine): v for name, v in warm.items() if name.startswith(mine)}
    if group.known is not None:
        set_known(model, *group.known)
    elif refit and len(rows) > 1:
        seed = int(rng.integers(2**31))
        # now and then from the first hyperparameters, so that a poor optimum is left
        failure = fit(model, {} if len(rows) % 8 == 0 else old, seed=seed)
        if failure:
            found.failures.append(failure)
    else:
        set_parameters(model, old)
    found.warm |= {mine + name: v for name, v in parameters(model).items()}
    models = [model]
    if (
        settings.hyperparameters == "bayes"
        and len(rows) > 2
        and group.task is None
        and group.known is None
    ):
        noise = None if group.noise is None else float(np.max(group.noise))
        models = sampled(model, rows, group.values, noise, settings.draws, rng, settings.kernel)
    if len(pending):
        models = [_believing(one, group, domain.z(pending), kind) for one in models]
    return Part(models, [Predictor(one) for one in models])


def _believing(
    model: SingleTaskGP, group: _Group, out: np.ndarray, kind: dict[str, Any]
) -> SingleTaskGP:
    """Return the model with rows that are still out, at their posterior mean."""
    with torch.no_grad():
        believed = Predictor(model)(torch.as_tensor(out))[0].numpy()
    if np.ndim(group.noise) == 2:
        usual = np.repeat(group.noise.mean(axis=0)[None], len(out), axis=0)
        kind = kind | {"noise": np.concatenate([group.noise, usual])}
    more = build(
        np.concatenate([group.rows, out]), np.concatenate([group.values, believed]), **kind
    )
    if group.known is not None:
        set_known(more, *group.known)
    else:
        set_parameters(more, parameters(model))
    return more


__all__ = ["BeliefData", "ModelSettings", "Surrogate", "learn"]
