"""How a constrained operator is fitted."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import one_of, real, whole


@dataclass(frozen=True)
class LayerSettings(Checked):
    """How the weights of a basis are found.

    Attributes:
        n_sample: Points that each expert is fitted on in training; None for all of its block.
        max_iter: Most steps of Levenberg and Marquardt's method.
        tol: On a step's length relative to the weights'.
        ridge: Of the rows ridge * w = 0, which keep the normal equations regular.
        start: First value of each weight.
        backward: "exact", or "gauss-newton" without F's second derivatives in the Hessian.
    """

    n_sample: int | None = None
    max_iter: int = 50
    tol: float = 1e-6
    ridge: float = 1e-4
    start: float = 0.0
    backward: str = "exact"

    def __post_init__(self) -> None:
        if self.n_sample is not None:
            whole("n_sample", self.n_sample, least=1)
        whole("max_iter", self.max_iter, least=1)
        real("tol", self.tol, above=0)
        real("ridge", self.ridge, least=0)
        real("start", self.start)
        one_of("backward", self.backward, ("exact", "gauss-newton"))
