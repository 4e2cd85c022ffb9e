"""Kappas that act on each entry by itself: bounds on every weight, perhaps with a further term."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from ...core.checks import real
from .kappa import Kappa

if TYPE_CHECKING:
    from torch import Tensor


def _positive(kappa: Kappa, setting: str) -> None:
    """Check a setting and keep it as a float."""
    object.__setattr__(kappa, setting, real(setting, getattr(kappa, setting), above=0))


@dataclass(frozen=True)
class L1(Kappa):
    """Lion: the step is the sign of the momentum."""

    name: ClassVar[str] = "l1"

    def value(self, v: Tensor) -> Tensor:
        return v.abs().sum()

    def subgrad(self, v: Tensor) -> Tensor:
        return v.sign()


@dataclass(frozen=True)
class Soft(Kappa):
    """Entries of momentum within a threshold rest.

    Attributes:
        e: Threshold, > 0, in the gradient's unit.
    """

    name: ClassVar[str] = "soft"
    e: float

    def __post_init__(self) -> None:
        _positive(self, "e")

    def value(self, v: Tensor) -> Tensor:
        return (v.abs() - self.e).clamp(min=0).sum()

    def subgrad(self, v: Tensor) -> Tensor:
        return torch.where(v.abs() > self.e, v.sign(), 0)

    def finite(self, z: Tensor) -> Tensor:
        return self.e * z.abs().sum()

    def conj_subgrad(self, z: Tensor) -> Tensor:
        return self.e * z.sign()


@dataclass(frozen=True)
class Huber(Kappa):
    """A square that becomes linear: Lion whose small entries move in proportion.

    Attributes:
        e: Where it becomes linear, > 0, in the gradient's unit.
    """

    name: ClassVar[str] = "huber"
    e: float

    def __post_init__(self) -> None:
        _positive(self, "e")

    def value(self, v: Tensor) -> Tensor:
        size = v.abs()
        return torch.where(size <= self.e, size.square() / (2 * self.e), size - self.e / 2).sum()

    def subgrad(self, v: Tensor) -> Tensor:
        return v.clamp(-self.e, self.e) / self.e

    def finite(self, z: Tensor) -> Tensor:
        return self.e / 2 * z.square().sum()

    def conj_subgrad(self, z: Tensor) -> Tensor:
        return self.e * z


@dataclass(frozen=True)
class Quadratic(Kappa):
    """Heavy ball or Nesterov momentum with L2."""

    name: ClassVar[str] = "quadratic"

    def value(self, v: Tensor) -> Tensor:
        return v.square().sum() / 2

    def subgrad(self, v: Tensor) -> Tensor:
        return v

    def gauge(self, z: Tensor) -> Tensor:
        return z.new_zeros(())

    def project(self, z: Tensor) -> Tensor:
        return z

    def inside(self, z: Tensor) -> Tensor:
        return torch.ones_like(z, dtype=torch.bool)

    def finite(self, z: Tensor) -> Tensor:
        return z.square().sum() / 2

    def conj_subgrad(self, z: Tensor) -> Tensor:
        return z


@dataclass(frozen=True)
class Entropy(Kappa):
    """A smooth sign, tanh(v/a).

    Attributes:
        a: Its scale, > 0, in the gradient's unit.
    """

    name: ClassVar[str] = "entropy"
    a: float

    def __post_init__(self) -> None:
        _positive(self, "a")

    def value(self, v: Tensor) -> Tensor:
        t = v.abs() / self.a  # log cosh t = t - log 2 + log(1 + exp(-2t))
        return self.a * (t - math.log(2) + torch.log1p(torch.exp(-2 * t))).sum()

    def subgrad(self, v: Tensor) -> Tensor:
        return torch.tanh(v / self.a)

    def finite(self, z: Tensor) -> Tensor:
        return self.a / 2 * (torch.xlogy(1 + z, 1 + z) + torch.xlogy(1 - z, 1 - z)).sum()

    def conj_subgrad(self, z: Tensor) -> Tensor:
        return self.a * torch.atanh(z)


@dataclass(frozen=True)
class Relativistic(Kappa):
    """A smooth sign, v / sqrt(v^2 + a^2).

    Attributes:
        a: Its scale, > 0, in the gradient's unit.
    """

    name: ClassVar[str] = "relativistic"
    a: float

    def __post_init__(self) -> None:
        _positive(self, "a")

    def value(self, v: Tensor) -> Tensor:
        return (
            v.square() / (torch.sqrt(v.square() + self.a**2) + self.a)
        ).sum()  # sqrt(v^2 + a^2) - a without cancellation

    def subgrad(self, v: Tensor) -> Tensor:
        return v / torch.sqrt(v.square() + self.a**2)

    def finite(self, z: Tensor) -> Tensor:
        return self.a * (1 - torch.sqrt(1 - z.square())).sum()

    def conj_subgrad(self, z: Tensor) -> Tensor:
        return self.a * z / torch.sqrt(1 - z.square())


@dataclass(frozen=True)
class Log(Kappa):
    """A smooth sign, v / (a + abs v).

    Attributes:
        a: Its scale, > 0, in the gradient's unit.
    """

    name: ClassVar[str] = "log"
    a: float

    def __post_init__(self) -> None:
        _positive(self, "a")

    def value(self, v: Tensor) -> Tensor:
        return (v.abs() - self.a * torch.log1p(v.abs() / self.a)).sum()

    def subgrad(self, v: Tensor) -> Tensor:
        return v / (self.a + v.abs())

    def finite(self, z: Tensor) -> Tensor:
        return -self.a * (z.abs() + torch.log1p(-z.abs())).sum()

    def conj_subgrad(self, z: Tensor) -> Tensor:
        return self.a * z / (1 - z.abs())
