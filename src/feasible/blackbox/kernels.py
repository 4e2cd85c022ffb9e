"""Stationary kernels as functions of a distance, for arrays of NumPy and tensors of torch alike.

References:
    C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (2006), section 4.2.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import torch

Values = TypeVar("Values", np.ndarray, torch.Tensor)
ROOT3, ROOT5 = math.sqrt(3), math.sqrt(5)


def _exp(x: Values) -> Values:
    """Return the exponential, by the library that the values belong to."""
    return torch.exp(x) if isinstance(x, torch.Tensor) else np.exp(x)


def rbf(r2: Values, scale: float | Values = 1.0) -> Values:
    """scale exp(-r^2 / 2), the squared exponential.

    Args:
        r2: Squared distances, in lengthscales.
        scale: The variance.
    """
    return scale * _exp(-0.5 * r2)


def matern32(r: Values, scale: float | Values = 1.0) -> Values:
    """scale (1 + sqrt(3) r) exp(-sqrt(3) r), the Matern kernel with nu = 3/2.

    Args:
        r: Distances, in lengthscales.
        scale: The variance.
    """
    return scale * (1 + ROOT3 * r) * _exp(-ROOT3 * r)


def matern52(r: Values, scale: float | Values = 1.0, r2: Values | None = None) -> Values:
    """scale (1 + sqrt(5) r + 5/3 r^2) exp(-sqrt(5) r), the Matern kernel with nu = 5/2.

    Args:
        r: Distances, in lengthscales.
        scale: The variance.
        r2: Their squares where they are at hand: a square that was not rooted first keeps its
            gradient at 0.

    Examples:
        >>> import numpy as np
        >>> np.round(matern52(np.array([0.0, 1.0])), 4)
        array([1.   , 0.524])
    """
    square = (ROOT5 * r) ** 2 / 3 if r2 is None else 5 / 3 * r2
    return scale * (1 + ROOT5 * r + square) * _exp(-ROOT5 * r)


def rbf_with_slopes(gap: torch.Tensor, w: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Covariances of (f, grad f) at x with (f, grad f) at y under `rbf`.

    With v = w (x - y) and k = k(x, y) they are k [[1, v^T], [-v, diag(w) - v v^T]]:
    cov(f(x), d_j f(y)) = dk / dy_j and cov(d_i f(x), d_j f(y)) = d^2 k / dx_i dy_j.

    Args:
        gap: (*b, d) differences x - y.
        w: (d,) inverse squared lengthscales.
        scale: The variance.

    Returns:
        (*b, 1 + d, 1 + d).
    """
    v = gap * w
    k = rbf((gap * v).sum(-1), scale)
    top = torch.cat([torch.ones_like(k)[..., None], v], -1)
    rest = torch.cat([-v[..., None], torch.diag(w) - v[..., :, None] * v[..., None, :]], -1)
    return k[..., None, None] * torch.cat([top.unsqueeze(-2), rest], -2)
