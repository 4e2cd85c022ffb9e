"""choose_phi: UBA's shape parameter (arXiv 2505.24452) by a preset for the optimiser, the
curvature at the start, or a small sweep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.annotations import checked
from ...core.checks import whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, nearest

if TYPE_CHECKING:
    from torch import Tensor

PRESETS = {"sgd": 5.0, "adamw": 0.5, "adam": 0.5}
"""Larger where nothing preconditions. Presets of this library: the paper's own constants were not
available to it.
"""
SWEPT = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
ROUTES = ("preset", "curvature", "sweep")
LOW, LEAST, MOST = 1e-3, 0.25, 20.0
"""Curvatures below LOW x the largest count as flat; phi by curvature stays in [LEAST, MOST]."""


@dataclass(frozen=True)
class Phi:
    """A chosen phi; float(phi) is the number.

    Attributes:
        value: phi.
        route: How it was chosen.
        found: Figures behind it (kappa, or the loss of each candidate).
    """

    value: float
    route: str
    found: dict[str, float] = field(default_factory=dict)

    def __float__(self) -> float:
        return self.value


@checked
def choose_phi(
    loss_fn: Callable[[Any], Tensor] | None = None,
    params: Iterable[Tensor] | None = None,
    batches: Iterable[Any] = (),
    *,
    method: str = "preset",
    optimizer: str = "sgd",
    train: Callable[[float], float] | None = None,
    candidates: Sequence[float] = SWEPT,
    iterations: int = 30,
    seed: int = 0,
) -> Phi:
    """Choose phi for `UBA`.

    "preset": by the name of the optimiser. "curvature": phi = 2 kappa, kappa the condition number
    of the Hessian of the mean loss at the start, clipped to [0.25, 20]; gradients in `.grad` are
    left alone. "sweep": the candidate with the smallest train(phi).

    Args:
        loss_fn: Batch -> loss, for "curvature".
        params: What the Hessian is in, for "curvature".
        batches: A few batches, for "curvature".
        method: "preset", "curvature" or "sweep".
        optimizer: Name of the optimiser, for "preset".
        train: phi -> for example the held-out loss after a tenth of the steps, for "sweep".
        candidates: Values of phi, for "sweep".
        iterations: Hessian-vector products, for "curvature".
        seed: Of the first Lanczos vector.

    Returns:
        phi, and the figures behind it.

    Raises:
        ArgumentError: What the method needs is missing or out of range.
        ArgumentTypeError: Something that cannot be called.
        NotFinite: A loss or a product that is not finite.

    Examples:
        >>> float(choose_phi(optimizer="sgd"))
        5.0
    """
    whole("iterations", iterations, least=1)
    if method == "preset":
        if optimizer not in PRESETS:
            raise ArgumentError(f"optimizer='{optimizer}': {nearest(optimizer, PRESETS)}")
        return Phi(PRESETS[optimizer], "preset")
    if method == "sweep":
        if not callable(train):
            raise ArgumentTypeError("train: expected a function phi -> loss for method='sweep'")
        losses = {float(phi): float(train(float(phi))) for phi in candidates}
        finite = {phi: loss for phi, loss in losses.items() if not math.isnan(loss)}
        if not finite:
            raise NotFinite(f"train gave no number for any phi of {list(losses)}")
        return Phi(
            min(finite, key=finite.__getitem__),
            "sweep",
            {f"{phi:g}": loss for phi, loss in losses.items()},
        )
    if method == "curvature":
        if not callable(loss_fn) or params is None:
            raise ArgumentTypeError(
                "loss_fn and params: expected a function batch -> loss and its parameters for "
                "method='curvature'"
            )
        ritz = ritz_values(loss_fn, list(params), list(batches), iterations, seed)
        top = float(ritz.max())
        if top <= 0:
            raise ArgumentError(
                f"the largest curvature found is {top:.3g}, expected one above 0: the loss is flat "
                "or concave at these parameters"
            )
        kappa = top / float(ritz[ritz >= LOW * top].min())
        return Phi(min(max(2 * kappa, LEAST), MOST), "curvature", {"kappa": kappa, "largest": top})
    raise ArgumentError(f"method='{method}': {nearest(method, ROUTES)}")


def ritz_values(
    loss_fn: Callable[[Any], Tensor],
    params: Sequence[Tensor],
    batches: Sequence[Any],
    iterations: int,
    seed: int = 0,
) -> np.ndarray:
    """(m,) Ritz values of the Hessian of the mean loss over the batches.

    Lanczos with full reorthogonalisation, m <= iterations.

    Args:
        loss_fn: Batch -> loss.
        params: What the Hessian is in.
        batches: A few batches.
        iterations: Most Hessian-vector products.
        seed: Of the first vector.
    """
    params = [p for p in params if p.requires_grad]
    if not params or not batches:
        raise ArgumentError(
            f"{len(params)} parameters that require a gradient and {len(batches)} batches: "
            "expected at least one of each"
        )
    n = sum(p.numel() for p in params)
    loss = sum(
        (loss_fn(batch) for batch in batches), torch.zeros((), device=params[0].device)
    ) / len(batches)
    slopes = torch.autograd.grad(
        loss, params, create_graph=True, allow_unused=True, materialize_grads=True
    )
    slope = torch.cat([g.reshape(-1) for g in slopes])
    if not bool(torch.isfinite(slope).all()):
        raise NotFinite("loss_fn has a gradient with a NaN or an infinity at these parameters")
    if not slope.requires_grad:
        return np.zeros(1)  # the loss is linear

    def times_hessian(v: Tensor) -> Tensor:
        parts = torch.autograd.grad(
            slope @ v, params, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([p.reshape(-1) for p in parts])

    q = torch.randn(n, generator=torch.Generator().manual_seed(seed % 2**64), dtype=slope.dtype).to(
        slope.device
    )
    basis, diagonal, off = [q / q.norm()], [], []
    for _ in range(min(iterations, n)):
        w = times_hessian(basis[-1])
        diagonal.append(float(w @ basis[-1]))
        for _ in range(2):
            for b in basis:
                w = w - (w @ b) * b
        beta = float(w.norm())
        if beta <= 1e-6 * max(map(abs, diagonal)) or len(diagonal) == min(iterations, n):
            break  # the rest is an invariant subspace, or rounding
        off.append(beta)
        basis.append(w / beta)
    return np.linalg.eigvalsh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
