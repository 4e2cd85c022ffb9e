"""Linear heads on features by ridge regression, in closed form.

References:
    Chen et al., ICML 2023, arXiv 2301.02931: the model linearised in its head has the kernel
    phi(x)' phi(x').
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


def primal(phi: Float[Tensor, "N d"], y: Float[Tensor, " N"], beta: float) -> Float[Tensor, " d"]:
    """Return W = (Phi'Phi + b I)^-1 Phi'y with b = beta tr(Phi Phi') / N.

    It equals the dual head; where d < N it takes O(N d^2) and stays accurate at a small b.
    """
    gram = phi.T @ phi
    shift = beta * float(torch.trace(gram)) / len(phi)
    gram.diagonal().add_(max(shift, 1e-300))
    return torch.linalg.solve(gram, phi.T @ y)


def dual(phi: Float[Tensor, "N d"], y: Float[Tensor, " N"], beta: float) -> Float[Tensor, " d"]:
    """Return the same as Phi' (Phi Phi' + b I)^-1 y."""
    kernel = phi @ phi.T
    shift = beta * float(torch.trace(kernel)) / len(phi)
    kernel.diagonal().add_(max(shift, 1e-300))
    return phi.T @ torch.linalg.solve(kernel, y)


def head(phi: Float[Tensor, "N d"], y: Float[Tensor, " N"], beta: float) -> Float[Tensor, " d"]:
    """Return the head by the smaller of both systems, in float64."""
    phi, y = phi.double(), y.double()
    return primal(phi, y, beta) if phi.shape[1] <= len(phi) else dual(phi, y, beta)
