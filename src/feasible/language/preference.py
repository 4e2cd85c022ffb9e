"""Losses on pairs of responses, and what losses on tensors of log-probabilities check first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.checks import one_of, real, shown
from ..core.errors import ArgumentTypeError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def tensor(name: str, value: Any, *shape: int | None, finite: bool = True) -> Tensor:
    """A tensor of a shape, as it is, with its graph, on its device.

    Args:
        name: The argument, as its user knows it.
        value: What was given.
        shape: Length of each axis; None for any.
        finite: Refuse a NaN or an infinity.

    Raises:
        ArgumentTypeError: No torch tensor of numbers.
        ShapeError: Another shape.
        NotFinite: A NaN or an infinity.
    """
    import torch

    if not isinstance(value, torch.Tensor) or value.is_complex():
        raise ArgumentTypeError(f"{name}={shown(value)}: expected a torch tensor of real numbers")
    fits = len(value.shape) == len(shape) and all(
        wanted in (None, got) for wanted, got in zip(shape, value.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ShapeError(f"{name} has shape {tuple(value.shape)}, expected ({wanted})")
    if finite and not bool(torch.isfinite(value).all()):
        raise NotFinite(f"{name}: expected finite numbers, got a NaN or an infinity")
    return value


def dpo_margin(
    chosen: Float[Tensor, " n"],
    rejected: Float[Tensor, " n"],
    ref_chosen: Float[Tensor, " n"],
    ref_rejected: Float[Tensor, " n"],
) -> Float[Tensor, " n"]:
    """By how much more than the reference a policy prefers the chosen responses, in nats.

    h = (log pi(a+) - log pi(a-)) - (log pi_ref(a+) - log pi_ref(a-)); arguments as of `dpo_loss`.
    """
    n = tensor("chosen", chosen, None).shape[0]
    tensor("rejected", rejected, n)
    tensor("ref_chosen", ref_chosen, n)
    tensor("ref_rejected", ref_rejected, n)
    return (chosen - rejected) - (ref_chosen - ref_rejected)


def dpo_loss(
    chosen: Float[Tensor, " n"],
    rejected: Float[Tensor, " n"],
    ref_chosen: Float[Tensor, " n"],
    ref_rejected: Float[Tensor, " n"],
    beta: float = 0.1,
    reduction: str = "mean",
) -> Tensor:
    """Direct preference optimisation: -log sigmoid(beta h), h as in `dpo_margin`.

    Args:
        chosen: (n,) log-probabilities of the preferred responses under the policy, each summed
            over its tokens.
        rejected: (n,) of the others.
        ref_chosen: (n,) of the preferred ones under the reference.
        ref_rejected: (n,) of the others under the reference.
        beta: How strongly the policy is held to the reference, > 0.
        reduction: "mean", "sum", or "none" for one loss a pair.

    Raises:
        ShapeError: They are not vectors of one length.
        NotFinite: A NaN or an infinity.
        ArgumentError: A beta that is not above 0, or an unknown reduction.

    Examples:
        >>> import torch
        >>> h = torch.zeros(3)
        >>> round(float(dpo_loss(h, h, h, h)), 6)  # log 2: nothing is preferred
        0.693147

    References:
        Rafailov et al., Direct preference optimization (2023), equation 7.
    """
    import torch

    beta = real("beta", beta, above=0)
    one_of("reduction", reduction, ("mean", "sum", "none"))
    margin = dpo_margin(chosen, rejected, ref_chosen, ref_rejected)
    losses = -torch.nn.functional.logsigmoid(beta * margin)
    return losses if reduction == "none" else getattr(losses, reduction)()
