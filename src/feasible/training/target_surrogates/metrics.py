"""The proximity term of a target surrogate: which distance in the space of model outputs keeps a
step close to where the gradient was taken.

A surrogate is, for a batch of B points with outputs f, anchors z and gradients G of the loss at z
(Lavington et al., ICML 2023, arXiv 2302.02607):

    g(f) = (1/B) sum_i [ <G_i, f_i - z_i> + D_i(f_i, z_i) ]

The metrics, their D and (in brackets) their state:

- euclidean: |f - z|^2 / 2 eta [none].
- ada: sqrt(s) |f - z|^2 / 2 eta, s the sum of all |G|^2 so far [a number].
- diagada: the same for each point and output [(points, ...)].
- adam: Adam's step, G becomes its bias-corrected average, and the square root of that of G^2 is the
  weight [(points, ...) twice, (points,)].
- newton: p (1 - p) (f - z)^2 / 2 eta, p = sigmoid(f) at the inner iterate, for binary logistic
  outputs [none].
- mirror: (f log(f/z) - f + z) / eta, for outputs that are probabilities [none].
- gulf2: (l(f) - l(z) - <G, f - z>) / eta, the loss's own Bregman divergence; each inner step then
  needs the loss's gradient [none].

gulf2 is a baseline: GULF2 of Johnson and Zhang (ICML 2020) minimises l(f) - (1 - alpha) <G, f>,
which is eta g(f) at eta = alpha.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ...core.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

METRICS = ("euclidean", "ada", "diagada", "adam", "newton", "mirror", "gulf2")
PER_POINT = ("diagada", "adam")
SMALL = 1e-6
DIAGONAL = (1e-5, 1e5)
"""Range of the sums of squares of diagada (the code's)."""
NEWTON = 1e-5
BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Adam's, in the target space."""


@dataclass
class Proximity:
    """One step's proximity term.

    Attributes:
        metric: One of METRICS.
        eta: Step in the target space.
        z: Outputs at which the gradient was taken.
        slope: (B, ...) what multiplies f - z.
        weight: Its curvature, a number or (B, ...), of a quadratic D; None for newton, mirror and
            gulf2.
        loss: Outputs -> loss, for gulf2.
        rows: Where the batch stands in z, when z holds all points; slope is then 0 elsewhere.
        batch: Points of the batch.
        loss_at_z: For gulf2.

    References:
        Lavington et al., arXiv 2302.02607.
    """

    metric: str
    eta: float
    z: Tensor
    slope: Tensor
    weight: Tensor | float | None
    loss: Callable[[Tensor], Tensor] | None = None
    rows: Tensor | None = None
    """Where the batch stands in z, when z holds all points; slope is then 0 elsewhere."""
    batch: int = 1
    loss_at_z: float = 0.0

    def curvature(self, f: Tensor) -> Tensor | float:
        """Weight of (f - z)^2 / 2.

        Raises:
            ArgumentError: D is no quadratic.
        """
        if self.metric == "newton":
            p = torch.sigmoid(f.detach())
            return (p * (1 - p) + NEWTON) / self.eta
        if self.weight is None:
            raise ArgumentError(
                f"metric={self.metric!r} is no quadratic: expected an inner solver other than "
                "least squares"
            )
        return self.weight

    def __call__(self, f: Tensor) -> Tensor:
        """g(f) as a scalar that can be differentiated; 0 at f = z."""
        apart = f - self.z
        linear = (self.slope * apart).sum() / self.batch
        points = len(f) if f.ndim else 1
        if self.metric == "mirror":
            return linear + (torch.xlogy(f, f) - torch.xlogy(f, self.z) - apart).sum() / (
                points * self.eta
            )
        if self.metric == "gulf2":
            assert self.loss is not None
            own, slope = (
                (f, self.slope) if self.rows is None else (f[self.rows], self.slope[self.rows])
            )
            gap = apart if self.rows is None else apart[self.rows]
            return linear + (self.loss(own) - self.loss_at_z - (slope * gap).sum()) / (
                self.batch * self.eta
            )
        return linear + (self.curvature(f) * apart.square()).sum() / (2 * points)


def proximity(
    metric: str,
    eta: float,
    z: Tensor,
    gradient: Tensor,
    memory: dict[str, Any],
    *,
    rows: Tensor | None,
    full: bool,
    points: int | None,
    loss: Callable[[Tensor], Tensor] | None = None,
    loss_at_z: float = 0.0,
) -> Proximity:
    """The term for this step; `memory`, the metric's state as plain data, is brought up to date.

    Args:
        metric: One of METRICS.
        eta: Step in the target space, > 0.
        z: (B, ...) outputs of the batch or, where full, (n, ...) of all points.
        gradient: (B, ...) of the loss at the batch's.
        memory: The metric's state, plain data, empty at first.
        rows: (B,) which points these are, needed for per-point metrics and where full.
        full: Whether z holds all points.
        points: How many there are in all.
        loss: Outputs -> loss, for gulf2.
        loss_at_z: For gulf2.

    Raises:
        ArgumentError: mirror: outputs that are no probabilities; per-point metrics: rows or points
            are missing.
        ShapeError: Outputs of another shape than before.
    """
    if metric == "mirror" and not bool((z > 0).all()):
        raise ArgumentError(
            "metric='mirror': the target has an entry <= 0, expected probabilities, such as "
            "softmax gives"
        )
    slope, weight = gradient, _weight(metric, eta, gradient, memory, rows, points)
    if metric == "adam":
        slope, weight = _adam(eta, gradient, memory, rows)
    if full:
        assert rows is not None
        slope = torch.zeros_like(z).index_copy(0, rows, slope)
        if isinstance(weight, torch.Tensor) and weight.shape == gradient.shape:
            weight = _everywhere(metric, eta, memory, z)
    return Proximity(
        metric,
        eta,
        z,
        slope,
        weight,
        loss,
        rows if full else None,
        len(gradient) if gradient.ndim else 1,
        loss_at_z,
    )


def _weight(
    metric: str,
    eta: float,
    gradient: Tensor,
    memory: dict[str, Any],
    rows: Tensor | None,
    points: int | None,
) -> Tensor | float | None:
    """The weight of (f - z)^2 / 2, for metrics that are quadratic; their state is brought up to
    date.
    """
    if metric == "euclidean":
        return 1 / eta
    if metric == "ada":
        memory["sum"] = memory.get("sum", 0.0) + float(gradient.square().sum())
        return (memory["sum"] ** 0.5 + SMALL) / eta
    if metric in PER_POINT:
        if rows is None or points is None:
            raise ArgumentError(
                f"metric={metric!r} keeps a state for each point: expected points=n in the "
                "constructor and rows=... in step, the "
                "numbers of the batch's points"
            )
        if not memory:
            shape = (points, *gradient.shape[1:])
            memory.update(
                {
                    name: gradient.new_zeros(shape)
                    for name in (("squares",) if metric == "diagada" else ("first", "second"))
                }
            )
            if metric == "adam":
                memory["count"] = torch.zeros(points, dtype=torch.long, device=gradient.device)
        kept = next(v for v in memory.values())
        if kept.shape[1:] != gradient.shape[1:]:
            raise ShapeError(
                f"target has outputs of shape {tuple(gradient.shape[1:])}, expected "
                f"{tuple(kept.shape[1:])} as before"
            )
        if metric == "diagada":
            memory["squares"][rows] += gradient.square()
            return memory["squares"][rows].clamp(*DIAGONAL).sqrt() / eta
    return None


def _adam(
    eta: float, gradient: Tensor, memory: dict[str, Any], rows: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Adam's average and weight for these rows; its state is brought up to date."""
    memory["count"][rows] += 1
    found = []
    for name, beta, value in (
        ("first", BETAS[0], gradient),
        ("second", BETAS[1], gradient.square()),
    ):
        memory[name][rows] = beta * memory[name][rows] + (1 - beta) * value
        t = memory["count"][rows].to(gradient.dtype).reshape(-1, *[1] * (gradient.ndim - 1))
        found.append(memory[name][rows] / (1 - beta**t))
    return found[0], (found[1].sqrt() + EPSILON) / eta


def _everywhere(metric: str, eta: float, memory: dict[str, Any], z: Tensor) -> Tensor:
    """The per-point weights of all points, also of those never met (the least weight)."""
    if metric == "diagada":
        return memory["squares"].clamp(*DIAGONAL).sqrt() / eta
    t = memory["count"].clamp(min=1).to(z.dtype).reshape(-1, *[1] * (z.ndim - 1))
    return ((memory["second"] / (1 - BETAS[1] ** t)).sqrt() + EPSILON) / eta
