"""Kappas that couple entries: norms of all entries, of groups or of a matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ...core.checks import real, whole
from ...core.errors import ArgumentError
from ..optimizer import wide
from .balls import capped, on_lq_ball, p_norm
from .kappa import Kappa, tolerance

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Coupled(Kappa):
    """A norm of all entries together: the domain is the unit ball of its dual norm, and kappa* its
    indicator.
    """

    couples: ClassVar[bool] = True

    def inside(self, z: Tensor) -> Tensor:
        return (self.gauge(z) <= 1 + tolerance(z)).expand(z.shape)


@dataclass(frozen=True)
class Lp(Coupled):
    """A p-norm; l2 is p = 2, normalised momentum.

    Attributes:
        p: > 1, finite.
    """

    name: ClassVar[str] = "lp"
    p: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", real("p", self.p, above=1))

    def value(self, v: Tensor) -> Tensor:
        return p_norm(v, self.p)

    def subgrad(self, v: Tensor) -> Tensor:
        if not v.numel():
            return v
        most = v.abs().amax()
        v = v / most.where(
            most > 0, 1
        )  # between 1 and numel^(1/p): the powers neither under- nor overflow together
        if self.p == 2:
            length = v.norm()
            return v / length.where(length > 0, 1)
        size = v.abs()
        length = size.pow(self.p).sum().pow(1 - 1 / self.p)
        return v.sign() * size.pow(self.p - 1) / length.where(length > 0, 1)

    def gauge(self, z: Tensor) -> Tensor:
        return p_norm(z, self.p / (self.p - 1))

    def project(self, z: Tensor) -> Tensor:
        q, size = self.p / (self.p - 1), self.gauge(z)
        if q == 2 or bool(size <= 1 + 1e-12):
            return z / size.clamp(min=1)
        return on_lq_ball(z, q)


@dataclass(frozen=True)
class Linf(Coupled):
    """The largest entry alone moves: greedy coordinate steps, Frank-Wolfe on the ball of the
    1-norm.
    """

    name: ClassVar[str] = "linf"

    def value(self, v: Tensor) -> Tensor:
        return v.abs().amax() if v.numel() else v.sum()

    def subgrad(self, v: Tensor) -> Tensor:
        found = torch.zeros_like(v, memory_format=torch.contiguous_format)
        if v.numel():
            first = v.abs().argmax()
            found.view(-1)[first] = v.reshape(-1)[first].sign()
        return found

    def gauge(self, z: Tensor) -> Tensor:
        return z.abs().sum()

    def project(self, z: Tensor) -> Tensor:
        return capped(z, math.inf, 1.0)


@dataclass(frozen=True)
class TopK(Coupled):
    """The k largest entries move, by their sign.

    Attributes:
        k: How many entries move in a step, >= 1.
    """

    name: ClassVar[str] = "topk"
    k: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", whole("k", self.k, least=1))

    def check(self, shape: torch.Size, name: str) -> None:
        if self.k > shape.numel():
            raise ArgumentError(
                f"k={self.k}: {name} has {shape.numel()} entries, expected at most as many"
            )

    def _largest(self, v: Tensor) -> Tensor:
        """The flat indices of the k largest entries."""
        self.check(v.shape, "the tensor")
        return v.abs().reshape(-1).topk(self.k, sorted=False).indices

    def value(self, v: Tensor) -> Tensor:
        return v.reshape(-1)[self._largest(v)].abs().sum()

    def subgrad(self, v: Tensor) -> Tensor:
        found, rows = torch.zeros_like(v, memory_format=torch.contiguous_format), self._largest(v)
        found.view(-1)[rows] = v.reshape(-1)[rows].sign()
        return found

    def gauge(self, z: Tensor) -> Tensor:
        return torch.maximum(z.abs().amax(), z.abs().sum() / self.k)

    def project(self, z: Tensor) -> Tensor:
        return capped(z, 1.0, float(self.k))


@dataclass(frozen=True)
class Group(Coupled):
    """The sum of the 2-norms of groups: each group's momentum is normalised by itself.

    Attributes:
        by: "rows" (the first axis: the weights into a neuron; entries of a vector), "columns" (the
            second) or "tensor" (the whole).
    """

    name: ClassVar[str] = "group"
    by: str = "rows"

    def __post_init__(self) -> None:
        if self.by not in ("rows", "columns", "tensor"):
            raise ArgumentError(f"by={self.by!r}: expected 'rows', 'columns' or 'tensor'")

    def _lengths(self, v: Tensor) -> Tensor:
        """The 2-norm of each group, its axes kept."""
        axes = tuple(
            i
            for i in range(v.ndim)
            if self.by == "tensor" or i != (self.by == "columns" and v.ndim > 1)
        )
        return torch.linalg.vector_norm(v, dim=axes, keepdim=True) if axes else v.abs()

    def value(self, v: Tensor) -> Tensor:
        return self._lengths(v).sum()

    def subgrad(self, v: Tensor) -> Tensor:
        length = self._lengths(v)
        return v / length.where(length > 0, 1)

    def gauge(self, z: Tensor) -> Tensor:
        return self._lengths(z).amax() if z.numel() else z.sum()

    def project(self, z: Tensor) -> Tensor:
        return z / self._lengths(z).clamp(min=1)

    def inside(self, z: Tensor) -> Tensor:
        return (self._lengths(z) <= 1 + tolerance(z)).expand(z.shape)


@dataclass(frozen=True)
class Nuclear(Coupled):
    """Of a matrix; further axes are joined to the second. The step is the orthogonal factor of the
    momentum, as in Muon, from an exact SVD.
    """

    name: ClassVar[str] = "nuclear"

    def check(self, shape: torch.Size, name: str) -> None:
        if len(shape) < 2:
            raise ArgumentError(
                f"kappa 'nuclear': {name} has shape {tuple(shape)}, expected two axes or more"
            )

    def _svd(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The singular value decomposition of v as a matrix."""
        self.check(v.shape, "the tensor")
        return torch.linalg.svd(wide(v).reshape(v.shape[0], -1), full_matrices=False)

    def value(self, v: Tensor) -> Tensor:
        return self._svd(v)[1].sum().to(v.dtype)

    def subgrad(self, v: Tensor) -> Tensor:
        u, s, w = self._svd(v)
        most = s.amax() if s.numel() else s.sum()
        kept = s > most * torch.finfo(s.dtype).eps * max(v.shape)
        return ((u * kept) @ w).view(v.shape).to(v.dtype)

    def gauge(self, z: Tensor) -> Tensor:
        return self._svd(z)[1].amax().to(z.dtype)

    def project(self, z: Tensor) -> Tensor:
        u, s, w = self._svd(z)
        return ((u * s.clamp(max=1)) @ w).view(z.shape).to(z.dtype)
