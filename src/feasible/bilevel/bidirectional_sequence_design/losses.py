"""Both directions of learning, in closed form.

    forward   L_f = (y_h - phi_h' W)^2                                the data predict the design
    backward  L_b = (1/N) sum_i (y_i - phi_i'phi_h y_h / (phi_h'phi_h (1 + 1e-6)))^2
                                                                      the design predicts the data

The backward loss needs Phi'Phi and Phi'y only, so a step does not depend on N.

References:
    Chen et al., ICML 2023, arXiv 2301.02931: its forward and backward mappings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .ridge import head

if TYPE_CHECKING:
    from jaxtyping import Float

SHIFT = 1e-6
"""beta of the design's own 1 x 1 ridge regression, over its kernel."""


@dataclass(slots=True)
class Directions:
    """What both losses need of the offline data.

    Attributes:
        W: (d,) head of the forward mapping.
        gram: (d, d) Phi'Phi / N.
        cross: (d,) Phi'y / N.
        square: y'y / N.
        target: y_h, in standard deviations.
    """

    W: Float[Tensor, " d"]
    gram: Float[Tensor, "d d"]
    cross: Float[Tensor, " d"]
    square: float
    target: float

    @classmethod
    def of(
        cls, phi: Float[Tensor, "N d"], y: Float[Tensor, " N"], beta: float, target: float
    ) -> Directions:
        """Return them from features and standardised scores."""
        n = len(phi)
        W = head(phi, y, beta)
        return cls(W, phi.T @ phi / n, phi.T @ y / n, float(y @ y) / n, target)

    def forward(self, phi: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Return L_f of each design."""
        return (self.target - phi @ self.W) ** 2

    def backward(self, phi: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Return L_b of each design."""
        scale = self.target / ((phi * phi).sum(dim=1) * (1 + SHIFT))
        quadratic = ((phi @ self.gram) * phi).sum(dim=1)
        return self.square - 2 * scale * (phi @ self.cross) + scale**2 * quadratic


def standardised(scores: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return (y - mean) / std, with N - 1."""
    return (scores - scores.mean()) / torch.std(scores)
