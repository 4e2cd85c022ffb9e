"""What Lion-K asks of a kappa (Chen, Liu, Liang, Liu, ICLR 2024, arXiv 2310.05898)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

if TYPE_CHECKING:
    from torch import Tensor


def tolerance(z: Tensor) -> float:
    """How far outside its domain a point may be by rounding: 1e-9 in float64, 1e-6 in float32, the
    unit roundoff below.
    """
    return 1e-9 if z.dtype == torch.float64 else max(1e-6, torch.finfo(z.dtype).eps)


@dataclass(frozen=True)
class Kappa:
    """A convex kappa, even, with kappa(0) = 0; its domain is where kappa* is finite: gauge(z) <= 1.

    Every function takes a tensor, of any shape, of momentum v or of z = lam x.

    Attributes:
        name: As `LionK(kappa=...)` takes it.
        couples: An entry of the subgradient depends on other entries of v, so it matters on which
            tensors kappa acts (the scope).

    References:
        Chen, Liu, Liang, Liu, arXiv 2310.05898, table 1.
    """

    name: ClassVar[str]
    couples: ClassVar[bool] = False

    def __str__(self) -> str:
        given = ",".join(f"{f.name}={getattr(self, f.name)}" for f in dataclasses.fields(self))
        return f"{self.name}[{given}]" if given else self.name

    def value(self, v: Tensor) -> Tensor:
        """kappa(v), a scalar."""
        raise TypeError(f"{type(self).__name__} does not define value(v)")

    def subgrad(self, v: Tensor) -> Tensor:
        """One subgradient of kappa at v, of v's shape, 0 at 0."""
        raise TypeError(f"{type(self).__name__} does not define subgrad(v)")

    def gauge(self, z: Tensor) -> Tensor:
        """The norm whose unit ball is the domain of kappa*; by default the largest absolute
        entry."""
        return z.abs().amax() if z.numel() else z.sum()

    def project(self, z: Tensor) -> Tensor:
        """The nearest point of the domain of kappa*, in the 2-norm."""
        return z.clamp(-1, 1)

    def inside(self, z: Tensor) -> Tensor:
        """Which entries keep to the domain, up to rounding: bool, of z's shape."""
        return z.abs() <= 1 + tolerance(z)

    def finite(self, z: Tensor) -> Tensor:
        """kappa*(z) for z in its domain; by default 0, an indicator."""
        return z.new_zeros(())

    def conj_subgrad(self, z: Tensor) -> Tensor:
        """One subgradient of kappa* at z (z's projection); by default 0, which is one of an
        indicator's.
        """
        return torch.zeros_like(z)

    def conjugate(self, z: Tensor) -> Tensor:
        """kappa*(z), a scalar: infinite outside the domain."""
        if bool(self.gauge(z) > 1 + tolerance(z)):
            return z.new_full((), math.inf)
        return self.finite(self.project(z))

    def distance(self, z: Tensor) -> Tensor:
        """2-norm of z minus its projection, a scalar."""
        return (z - self.project(z)).norm()

    def check(self, shape: torch.Size, name: str) -> None:
        """Raise ArgumentError where kappa does not act on a tensor of this shape."""
