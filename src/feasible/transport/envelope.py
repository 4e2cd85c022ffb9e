"""Gradients of a transport's value by the envelope theorem.

With respect to the cost the plan, with respect to the masses the potentials.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch


class _Slope(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """A slope that says that it cannot be differentiated again, where autograd would take it for
    a constant.
    """

    @staticmethod
    def forward(ctx: Any, slope: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """The slope as it is."""
        return slope.clone()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
        """There is no second derivative."""
        raise RuntimeError("this value has first derivatives only (envelope theorem)")


class _Value(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """value(a, b, cost) of a problem that is already solved. Not differentiable twice."""

    @staticmethod
    def forward(
        ctx: Any,
        value: float,
        slopes: tuple[Callable[[], np.ndarray], ...],
        kind: torch.dtype,
        device: torch.device,
        *given: Any,
    ) -> torch.Tensor:
        """Keep the slopes; the value is known."""
        ctx.slopes = slopes
        ctx.like = [x if isinstance(x, torch.Tensor) else None for x in given]
        return torch.tensor(value, dtype=kind, device=device)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
        """Multiply each slope that is needed by the gradient of the value."""
        return (
            None,
            None,
            None,
            None,
            *(
                _Slope.apply(grad.to(x) * torch.from_numpy(np.ascontiguousarray(slope())).to(x), x)
                if x is not None and needed
                else None
                for x, slope, needed in zip(
                    ctx.like, ctx.slopes, ctx.needs_input_grad[4:], strict=True
                )
            ),
        )


def differentiable(
    value: float,
    given: tuple[Any, ...],
    slopes: tuple[Callable[[], np.ndarray], ...],
    kind: torch.dtype,
    device: torch.device,
) -> torch.Tensor:
    """A value as a tensor, with a gradient where one of `given` requires it.

    Args:
        value: Of a problem that is already solved.
        given: Its arguments.
        slopes: Its derivative with respect to each, computed when needed.
        kind: Data type of the tensor.
        device: Where it is.
    """
    return _Value.apply(value, slopes, kind, device, *given)
