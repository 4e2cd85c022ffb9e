"""Mechanic (Cutkosky, Defazio, Mehta, "Mechanic: A Learning Rate Tuner", NeurIPS 2023, arXiv
2306.00144): any optimiser's steps, times a scale that is learned by betting on <gradient,
displacement>.

    Delta <- sum of the base optimiser's steps u;   x = x0 + S Delta
    S = sum of s_i, one for each beta_i
    h = <g + s_decay S |g| / |x| x, Delta>
    m <- max(beta m, |h|);   v <- beta^2 v + h^2;   r <- (beta r - s h)_+
    s <- (s_init m / n + r) / sqrt(v)

Written here because mechanic-pytorch 0.0.1 cannot go on from its own state_dict (it is keyed by the
parameters of the process that wrote it), and evaluates closures without gradients. The numbers are
the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch.optim import Optimizer

from ...core.annotations import Checked, checked
from ...core.checks import real
from ...core.errors import ArgumentTypeError
from ..optimizer import NamedState, asks_for_state, evaluated, uncompiled, unhooked, with_gradients


@dataclass(frozen=True)
class MechanicSettings(Checked):
    """Settings of the tuner.

    Attributes:
        s_decay: Pull to the start, >= 0.
        betas: Memories of the bets, each in (0, 1).
        s_init: First bet, > 0.
        eps: Added to denominators, > 0.
    """

    s_decay: float = 0.01
    betas: Sequence[float] = (0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
    s_init: float = 1e-8
    eps: float = 1e-8

    def __post_init__(self) -> None:
        real("s_decay", self.s_decay, least=0)
        real("s_init", self.s_init, above=0)
        real("eps", self.eps, above=0)
        for i, beta in enumerate(self.betas):
            real(f"betas[{i}]", beta, above=0, below=1)

    @classmethod
    def short(cls) -> MechanicSettings:
        """For runs of some hundred steps: the first bet of optax.contrib.mechanize, 1e-6."""
        return cls(s_init=1e-6)


@checked
def mechanize(
    base: type[Optimizer],
    *,
    s_decay: float = MechanicSettings.s_decay,
    betas: Sequence[float] = MechanicSettings.betas,
    s_init: float = MechanicSettings.s_init,
    eps: float = MechanicSettings.eps,
) -> type[Optimizer]:
    """A subclass of an optimiser that learns the scale of its steps.

    The scale is in each group as "scale", its parts as "mechanic". Two more copies of the
    parameters are held while a step is made, one between.

    Args:
        base: A class of optimisers, such as torch.optim.AdamW.
        s_decay: As in `MechanicSettings`, and so the next three.
        betas: Memories of the bets.
        s_init: First bet; 1e-6 where 500 steps must do.
        eps: Added to denominators.

    Returns:
        The class, called as the base is. Its steps raise ArgumentError for a sparse gradient and
        NotFinite with the parameter's name for one with a NaN.

    Raises:
        ArgumentTypeError: `base` is no class of optimisers, or a setting no number.
        ArgumentError: A setting out of its range.

    Examples:
        >>> x = torch.nn.Parameter(torch.zeros(2))
        >>> mechanize(torch.optim.AdamW)([x], lr=1.0).effective_lr()
        [0.0]

    References:
        Cutkosky, Defazio, Mehta, arXiv 2306.00144.
    """
    if not (isinstance(base, type) and issubclass(base, Optimizer)):
        raise ArgumentTypeError(
            f"base: got {base!r}, expected a class of optimisers, such as torch.optim.AdamW"
        )
    settings = MechanicSettings(s_decay, tuple(betas), s_init, eps)
    return _mechanized(base, settings)  # type: ignore[arg-type]


@cache
def _mechanized(base: type[Optimizer], settings: MechanicSettings) -> type[Optimizer]:
    """The subclass: one for each base and settings, so that copies are of the same."""
    s_decay, betas, s_init, eps = astuple(settings)
    name = f"Mechanized{base.__name__}"

    class Mechanized(NamedState, base):  # type: ignore[misc, valid-type]
        __doc__ = f"{base.__name__} whose steps Mechanic scales."
        like_parameter: ClassVar[tuple[str, ...]] = (
            "mechanic_ref",
            *getattr(base, "like_parameter", ()),
        )

        @uncompiled
        @torch.no_grad()
        def step(self, closure: Callable[[], Any] | None = None) -> Any:
            loss = evaluated(closure)
            groups = with_gradients(self.param_groups, name, maximize=True)
            active = [p for params, _ in groups for p in params]
            if not active:
                return loss
            before, grads = (
                [p.detach().clone() for p in active],
                [
                    -p.grad if group.get("maximize") else p.grad.detach().clone()
                    for group in self.param_groups
                    for p in group["params"]
                    if p.grad is not None
                ],
            )
            with torch.enable_grad():
                unhooked(base)(self, *([_once_known(loss, closure)] if closure is not None else []))
            for p, x in zip(
                active, before, strict=True
            ):  # after the base's step: it may look whether its own state is empty
                if "mechanic_ref" not in self.state[p]:
                    self.state[p]["mechanic_ref"] = x.clone()
            tuner = self.param_groups[0].get("mechanic") or _fresh(len(betas), active[0].device)
            if asks_for_state(self.param_groups):
                for group in self.param_groups:
                    group.setdefault("mechanic", tuner)
                    group.setdefault("scale", 0.0)
                return loss
            scale = tuner["s"].sum()
            refs = [self.state[p]["mechanic_ref"] for p in active]
            delta = torch._foreach_sub(before, refs)
            torch._foreach_div_(delta, scale + eps)
            pull = s_decay * scale * _norm(grads) / (_norm(active) + eps)
            h = sum(
                torch.vdot(d.reshape(-1), (g + pull * p).reshape(-1))
                for d, g, p in zip(delta, grads, active, strict=True)
            )
            torch._foreach_add_(delta, torch._foreach_sub(active, before))
            _bet(tuner, h, torch.tensor(betas, device=active[0].device), s_init, eps)
            scale = tuner["s"].sum().clamp(min=0.0)
            for group in self.param_groups:
                group.update(mechanic=tuner, scale=float(scale))
            torch._foreach_mul_(delta, scale)
            torch._foreach_copy_(active, torch._foreach_add(refs, delta))
            return loss

        def __reduce__(self) -> tuple[Any, ...]:
            return _empty, (base, settings), self.__getstate__()

        def effective_lr(self) -> list[float]:
            """Scale times the base's rate, for each group; 0 before the first step."""
            return [
                float(group.get("scale", 0.0)) * float(group.get("lr", 1.0))
                for group in self.param_groups
            ]

        def estimate(self) -> float:
            """The scale."""
            return float(self.param_groups[0].get("scale", 0.0))

    Mechanized.__name__ = Mechanized.__qualname__ = name
    return Mechanized


def _empty(base: type[Optimizer], settings: MechanicSettings) -> Optimizer:
    """A mechanised optimiser that takes its state from a pickle."""
    kind = _mechanized(base, settings)  # type: ignore[arg-type]
    found: Optimizer = object.__new__(kind)
    return found


def _once_known(loss: Any, closure: Callable[[], Any]) -> Callable[[], Any]:
    """A closure for the base: the first time it gives the loss that is already there, then it
    evaluates.
    """
    calls = 0

    def skip() -> Any:
        nonlocal calls
        calls += 1
        return loss if calls == 1 else closure()

    return skip


def _fresh(n: int, device: Any) -> dict[str, Any]:
    """The tuner's state before the first step."""
    return {
        "s": torch.zeros(n, device=device),
        "reward": torch.zeros(n, device=device),
        "sum_squares": torch.zeros(n, device=device),
        "largest": torch.full((n,), 1e-6, device=device),
    }


def _bet(tuner: dict[str, Any], h: Any, betas: Any, s_init: float, eps: float) -> None:
    """The tuner's update, in place; s is used before it is renewed."""
    tuner["largest"] = torch.maximum(betas * tuner["largest"], h.abs().to(betas.dtype))
    tuner["sum_squares"] = betas**2 * tuner["sum_squares"] + (h**2).to(betas.dtype)
    tuner["reward"] = (betas * tuner["reward"] - tuner["s"] * h.to(betas.dtype)).clamp(min=0.0)
    tuner["s"] = (tuner["largest"] * s_init / len(betas) + tuner["reward"]) / (
        tuner["sum_squares"].sqrt() + eps
    )


def _norm(tensors: Sequence[Any]) -> Any:
    """The 2-norm of all tensors together."""
    return torch.stack(torch._foreach_norm(tensors)).norm()
