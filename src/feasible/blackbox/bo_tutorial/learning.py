"""Fitting the models of the objective and of the limits to what was told.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), sections 3 and 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .belief import BeliefData, ModelSettings, Part, Surrogate
from .gp import EXACT, Predictor, Scale, build, fit, parameters, set_known, set_parameters
from .gradgp import GradGP
from .slices import sampled

if TYPE_CHECKING:
    from botorch.models import SingleTaskGP
    from jaxtyping import Float

    from .search import Domain


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
        earlier: Whether the task tells rows of an earlier study.
    """

    rows: Float[np.ndarray, "n k"]
    values: Float[np.ndarray, "n m"]
    noise: Any
    known: tuple[np.ndarray, float, float] | None = None
    task: int | None = None
    tasks: int = 0
    earlier: bool = False


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
        _add_gradients(found, z, exact, pending, rng)
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
        group.task, group.tasks, group.earlier = domain.earlier, 2, True


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
        "earlier": group.earlier,
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


def _add_gradients(
    found: Surrogate,
    z: np.ndarray,
    noise: float | None,
    pending: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Fit a model that knows gradients too, where at least two rows have one."""
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


__all__ = ["learn"]
