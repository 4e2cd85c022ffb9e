"""The convex functions kappa of Lion-K, each with what the theory asks of it (Chen, Liu, Liang,
Liu, ICLR 2024, arXiv 2310.05898, table 1).

With kappa, Lion's momentum and decoupled weight decay lam minimise f(x) + kappa*(lam x) / lam;
kappa*(z) = sup_v z'v - kappa(v) is the conjugate.

| kappa | kappa(v) | the problem it solves |
| --- | --- | --- |
| l1 (Lion) | sum abs v | abs x_i <= 1/lam |
| lp, l2 | p-norm, p > 1 | q-norm of x <= 1/lam, 1/p + 1/q = 1 |
| linf | max abs v | sum abs x <= 1/lam |
| soft | sum max(abs v - e, 0) | + e sum abs x, abs x_i <= 1/lam |
| topk | the k largest abs v | abs x_i <= 1/lam, sum abs x <= k/lam |
| huber | v^2/2e up to e, then abs v - e/2 | + e lam/2 sum x^2, abs x_i <= 1/lam |
| quadratic | sum v^2 / 2 | + lam/2 sum x^2 |
| entropy | a sum log cosh(v/a) | an entropy barrier in abs x_i <= 1/lam |
| relativistic | sum sqrt(v^2 + a^2) - a | a barrier, finite at the border |
| log | sum abs v - a log(1 + abs v / a) | a logarithmic barrier |
| group | sum of the groups' 2-norms | 2-norm of each group of x <= 1/lam |
| nuclear | sum of singular values | largest singular value of x <= 1/lam |

The table's first rows down to huber are the paper's; the others are natural further members. Every
function takes a tensor, of any shape, of
momentum v or of z = lam x.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from ...core.checks import real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, UnknownName, nearest
from ...core.registry import split_settings
from .balls import capped, on_lq_ball, p_norm

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

    couples: an entry of the subgradient depends on other entries of v, so it matters on which
      tensors kappa acts (the scope).
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


def _positive(kappa: Kappa, setting: str) -> None:
    object.__setattr__(kappa, setting, real(setting, getattr(kappa, setting), above=0))


# -- separable: the box ----------------------------------------------------------------------------


@dataclass(frozen=True)
class L1(Kappa):
    """Lion."""

    name: ClassVar[str] = "l1"

    def value(self, v: Tensor) -> Tensor:
        return v.abs().sum()

    def subgrad(self, v: Tensor) -> Tensor:
        return v.sign()


@dataclass(frozen=True)
class Soft(Kappa):
    """e: > 0, the threshold, in the gradient's unit."""

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
    """e: > 0, where the square becomes linear, in the gradient's unit."""

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
    """a: > 0, the scale of tanh(v/a), in the gradient's unit."""

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
    """a: > 0, the scale of v / sqrt(v^2 + a^2), in the gradient's unit."""

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
    """a: > 0, the scale of v / (a + abs v), in the gradient's unit."""

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


# -- coupled: balls of other norms -----------------------------------------------------------------


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
    """p: > 1, finite."""

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
        found = torch.zeros_like(v)
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
    """k: >= 1, how many entries move in a step."""

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
        self.check(v.shape, "the tensor")
        return v.abs().reshape(-1).topk(self.k, sorted=False).indices

    def value(self, v: Tensor) -> Tensor:
        return v.reshape(-1)[self._largest(v)].abs().sum()

    def subgrad(self, v: Tensor) -> Tensor:
        found, rows = torch.zeros_like(v), self._largest(v)
        found.view(-1)[rows] = v.reshape(-1)[rows].sign()
        return found

    def gauge(self, z: Tensor) -> Tensor:
        return torch.maximum(z.abs().amax(), z.abs().sum() / self.k)

    def project(self, z: Tensor) -> Tensor:
        return capped(z, 1.0, float(self.k))


@dataclass(frozen=True)
class Group(Coupled):
    """by: "rows" (the first axis: the weights into a neuron; entries of a vector), "columns" (the
    second) or "tensor" (the whole).
    """

    name: ClassVar[str] = "group"
    by: str = "rows"

    def __post_init__(self) -> None:
        if self.by not in ("rows", "columns", "tensor"):
            raise ArgumentError(f"by={self.by!r}: expected 'rows', 'columns' or 'tensor'")

    def _lengths(self, v: Tensor) -> Tensor:
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
        self.check(v.shape, "the tensor")
        return torch.linalg.svd(v.reshape(v.shape[0], -1), full_matrices=False)

    def value(self, v: Tensor) -> Tensor:
        return self._svd(v)[1].sum()

    def subgrad(self, v: Tensor) -> Tensor:
        u, s, w = self._svd(v)
        most = s.amax() if s.numel() else s.sum()
        return ((u * (s > most * torch.finfo(v.dtype).eps * max(v.shape))) @ w).view(v.shape)

    def gauge(self, z: Tensor) -> Tensor:
        return self._svd(z)[1].amax()

    def project(self, z: Tensor) -> Tensor:
        u, s, w = self._svd(z)
        return ((u * s.clamp(max=1)) @ w).view(z.shape)


KAPPAS: dict[str, Callable[..., Kappa]] = {
    **{
        cls.name: cls
        for cls in (
            L1,
            Lp,
            Linf,
            Soft,
            TopK,
            Huber,
            Quadratic,
            Entropy,
            Relativistic,
            Log,
            Group,
            Nuclear,
        )
    },  # type: ignore[type-abstract]
    "l2": lambda: Lp(2.0),
}
"""Name -> class. A class of one's own joins by its name; its settings are numbers or text."""


@cache
def _of_text(text: str) -> Kappa:
    name, settings = split_settings(text)
    return _made(name, settings)


def _made(name: str, settings: dict[str, Any]) -> Kappa:
    if name not in KAPPAS:
        raise UnknownName(f"kappa='{name}': {nearest(name, KAPPAS)}")
    build = KAPPAS[name]
    fields = dataclasses.fields(build) if isinstance(build, type) else ()
    missing = [
        f.name for f in fields if f.default is dataclasses.MISSING and f.name not in settings
    ]
    if missing:
        raise ArgumentError(
            f"kappa '{name}' needs {', '.join(missing)}: expected it as a setting, such as "
            f"'{name}[{missing[0]}=...]'"
        )
    strange = sorted(settings.keys() - {f.name for f in fields})
    if strange:
        raise ArgumentError(
            f"kappa '{name}' has no setting '{strange[0]}': "
            f"{nearest(strange[0], [f.name for f in fields])}"
        )
    return build(**settings)


def kappa_of(given: Any, **settings: Any) -> Kappa:
    """A kappa from an object, or a name with its settings: "l1", "lp[p=1.6]", or "lp" and p=1.6. A
    setting of None counts as not given.

    Raises ArgumentTypeError, UnknownName, ArgumentError.
    """
    settings = {k: v for k, v in settings.items() if v is not None}
    if isinstance(given, Kappa):
        if settings:
            raise ArgumentError(
                f"kappa={given} has its settings already, got {', '.join(settings)} as well"
            )
        return given
    if not isinstance(given, str):
        raise ArgumentTypeError(
            f"kappa: got {type(given).__name__}, expected a name such as 'l1' or a Kappa"
        )
    if not settings:
        return _of_text(given)
    name, inner = split_settings(given)
    return _made(name, {**inner, **settings})
