"""The dynamic programme of M-FAC, which the static and the sliding inverse share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def programme(
    a: Float[Tensor, "*b m m"], m: int
) -> tuple[Float[Tensor, "*b m m"], Float[Tensor, "*b m m"], Float[Tensor, "*b m"]]:
    """The paper's dynamic programme, on the inner products of the gradients alone.

    Args:
        a: (..., m, m) with a_ij = g_i'F_0^-1 g_j.
        m: Gradients of the window.

    Returns:
        D with D_ij = g_i'F_{i-1}^-1 g_j for j >= i; C with F_{i-1}^-1 g_i = sum_k C_ik F_0^-1 g_k;
        and q_i = m + D_ii.

    References:
        Frantar, Kurtic, Alistarh, arXiv 2107.03356, the dynamic algorithm.
    """
    d, n = a.clone(), a.shape[-1]
    q = d.new_empty(d.shape[:-1])
    c = torch.eye(n, dtype=d.dtype, device=d.device).expand(d.shape).clone()
    for i in range(n):
        q[..., i] = m + d[..., i, i]
        d[..., i + 1 :, i + 1 :] -= d[..., i + 1 :, i, None] * (
            d[..., i, None, i + 1 :] / q[..., i, None, None]
        )
        if i:
            c[..., i, None, :i] = -(d[..., None, :i, i] / q[..., None, :i]) @ c[..., :i, :i]
    return d.triu(), c, q
