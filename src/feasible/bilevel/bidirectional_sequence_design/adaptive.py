"""Step sizes and weights that follow an auxiliary model.

References:
    Chen et al., ICML 2023, arXiv 2301.02931: Adaptive-eta, and Adaptive-gamma, whose derivatives
    after one virtual step are inner products of gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...core.checks import real
from ...core.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from jaxtyping import Float

BASE, RATE, BOUNDS = 0.1, 0.01, (1e-4, 0.5)


class AdaptiveEta:
    """A step size for any gradient loop over relaxed designs.

        eta = clip(base + rate <grad f_aux(X), D>, bounds)   for the step X + eta D

    It is worked out anew about the base in every step, not accumulated.

    Args:
        aux: From designs (n, ...) to a score each, differentiable by torch; larger is better.
        base: The step size without it.
        rate: How far the auxiliary model moves it.
        bounds: Least and largest step size.

    Raises:
        ArgumentTypeError: aux cannot be called.
        ArgumentError: Bounds that cross.

    Example:
        >>> adapter = AdaptiveEta(lambda x: x.sum(dim=1))
        >>> adapter(torch.zeros(1, 3), torch.ones(1, 3)).tolist()
        [0.13]
    """

    def __init__(
        self,
        aux: Callable[[Tensor], Tensor],
        base: float = BASE,
        rate: float = RATE,
        bounds: tuple[float, float] = BOUNDS,
    ):
        if not callable(aux):
            raise ArgumentTypeError(f"aux={aux!r:.60}: expected a function of designs")
        self.aux = aux
        self.base, self.rate = real("base", base, above=0, most=1e6), real("rate", rate, least=0)
        self.bounds = checked_bounds(bounds)

    def __call__(self, x: Float[Tensor, "n ..."], direction: Tensor) -> Float[Tensor, " n"]:
        """Return a step size for each design that moves along its direction."""
        leaf = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.aux(leaf).sum(), leaf)
        return adapted(slope, direction, self.base, self.rate, self.bounds)


def checked_bounds(bounds: Any, name: str = "bounds") -> tuple[float, float]:
    """Return bounds of a step size. Raises ArgumentError, ArgumentTypeError."""
    try:
        low, high = bounds
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name}={bounds!r:.60}: expected (low, high)") from None
    least, most = (real(name, end, above=0, most=1e6) for end in (low, high))
    if least > most:
        raise ArgumentError(f"{name}={bounds!r:.60}: they cross")
    return least, most


def adapted(
    slope: Float[Tensor, "n ..."],
    direction: Float[Tensor, "n ..."],
    base: float = BASE,
    rate: float = RATE,
    bounds: tuple[float, float] = BOUNDS,
) -> Float[Tensor, " n"]:
    """Return clip(base + rate <slope, direction>) of each design."""
    inner = (slope * direction).flatten(1).sum(dim=1).double()
    return (base + rate * inner).clamp(*bounds)
