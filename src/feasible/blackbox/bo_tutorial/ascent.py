"""The knowledge gradient by multistart stochastic gradient ascent.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from botorch.models.model import Model

from .posterior import Beliefs

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def kg_gradient(
    beliefs: Beliefs, x: Float[Tensor, "r d"], z: Float[Tensor, " r"], best: Float[Tensor, "r d"]
) -> Float[Tensor, "r d"]:
    """d/dx [mu_n(x^) + sigma~(x^, x) z], x^ held fixed: the envelope theorem's gradient of the
    sampled KG.

    Args:
        beliefs: The posterior.
        x: (r, d) where an observation is considered.
        z: (r,) its standard normal draw.
        best: (r, d) the argmax x^ of the mean that follows.
    """
    x = x.detach().clone().requires_grad_(True)
    slope = beliefs.cov(best.unsqueeze(1), x.unsqueeze(1)).reshape(-1) / beliefs.spread(x)
    return torch.autograd.grad((slope * z).sum(), x)[0]


def _inner(
    beliefs: Beliefs,
    x: Tensor,
    z: Tensor,
    points: Tensor,
    mean: Tensor,
    cross: Callable[[Tensor], Tensor],
    low: Tensor,
    high: Tensor,
    generator: torch.Generator,
    rounds: int = 4,
) -> Tensor:
    """Return (r, d), the argmax of mu_{n+1}(. ; x_r, z_r): the best of the points and x, then of
    clouds about it that shrink.
    """
    spread = beliefs.spread(x)
    values = mean + cross(x) / spread[:, None] * z[:, None]
    top, at = values.max(1)
    best = points[at]
    radius = 0.5 / max(len(points), 2) ** (1 / x.shape[1])
    trial = x.unsqueeze(1)
    for _ in range(rounds):
        value = (
            beliefs.mean(trial)
            + beliefs.cov(trial, x.unsqueeze(1)).squeeze(-1) / spread[:, None] * z[:, None]
        )
        more, which = value.max(1)
        better = more > top
        best = torch.where(better[:, None], trial[torch.arange(len(x)), which], best)
        top = torch.where(better, more, top)
        shake = (
            torch.randn(len(x), 12, x.shape[1], generator=generator, dtype=x.dtype)
            * radius
            * (high - low)
        )
        trial = torch.minimum(torch.maximum(best.unsqueeze(1) + shake, low), high)
        radius *= 0.35
    return best


def kg_sga(
    model: Model | Beliefs,
    bounds: Float[Tensor, "2 d"],
    points: Float[Tensor, "m d"],
    *,
    restarts: int = 10,
    steps: int = 100,
    a: float = 4.0,
    samples: int = 1,
    final: int = 1000,
    allowed: Callable[[Tensor], Tensor] | None = None,
    starts: Tensor | None = None,
    score: Callable[[Tensor, Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Float[Tensor, "r d"], Float[Tensor, " r"]]:
    """Multistart stochastic gradient ascent of the knowledge gradient: x_t = Proj(x_{t-1} + a_t G),
    a_t = a / (a + t).

    The steps are taken in the unit cube and scaled by the typical size of G, so that a means the
    same whatever the units of f.

    Args:
        model: A BoTorch model with one output, or its posterior.
        bounds: (2, d) the box.
        points: (m, d) that seed the inner maximisation (evaluated points and a covering set).
        restarts: Starts R.
        steps: Steps T of each.
        a: Of the step sizes.
        samples: Draws of Z for one gradient.
        final: Draws of Z, common to all ends, by which their KG is estimated.
        allowed: x (r, d) -> (r,) bool; a step that would leave the set is not taken.
        starts: (r, d) where the ascents start; None: uniform in the box.
        score: (x, kg) -> (r,), what the ends are ranked by; None: kg.
        generator: Of the draws.

    Returns:
        The ends (r, d), best first, and their scores (r,).

    References:
        arXiv 1807.02811, section 4 (knowledge gradient).
    """
    beliefs = model if isinstance(model, Beliefs) else Beliefs(model)
    generator = generator or torch.Generator().manual_seed(0)
    low, high = bounds
    x = (
        low + (high - low) * torch.rand(restarts, len(low), generator=generator, dtype=low.dtype)
        if starts is None
        else starts.clone()
    )
    size = torch.zeros(len(x), dtype=x.dtype)
    with torch.no_grad():
        mean, cross = beliefs.mean(points), beliefs.against(points)
    for t in range(1, steps + 1):
        z = torch.randn(samples, len(x), generator=generator, dtype=x.dtype)
        g = torch.zeros_like(x)
        for row in z:
            with torch.no_grad():
                best = _inner(beliefs, x, row, points, mean, cross, low, high, generator)
            g = g + kg_gradient(beliefs, x, row, best) / samples
        g = g * (high - low)
        size = 0.9 * size + 0.1 * g.norm(dim=1)
        step = 0.1 * a / (a + t) * g / (size / (1 - 0.9**t)).clamp_min(1e-12)[:, None]
        length = step.norm(dim=1, keepdim=True)
        moved = torch.minimum(
            torch.maximum(x + (high - low) * step * (0.25 / length.clamp_min(0.25)), low), high
        )
        x = moved if allowed is None else torch.where(allowed(moved)[:, None], moved, x)
    with torch.no_grad():
        z = torch.randn(final, generator=generator, dtype=x.dtype)
        spread = beliefs.spread(x)
        everything = torch.cat([points, x])
        level, slope = beliefs.mean(everything), beliefs.against(everything)(x) / spread[:, None]
        kg = torch.stack([(level + s * z[:, None]).amax(1).mean() for s in slope]) - level.max()
        value = kg if score is None else score(x, kg)
        order = torch.argsort(value, descending=True, stable=True)
    return x[order], value[order]


__all__ = ["kg_gradient", "kg_sga"]
