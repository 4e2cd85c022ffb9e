"""Functions whose Hessians have cheap approximations, with both.

Each has `value`, `gradient` and `hessian(x, kind)`; KINDS are the kinds of Hessians that it has.
Those that are not "exact" are positive semidefinite everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse as sp

from ...core.checks import one_of, real, whole
from .curvature import LowRank, RankOne

if TYPE_CHECKING:
    from jaxtyping import Float

    Vector = Float[np.ndarray, " d"]


class Loss:
    """A function of (d,) with several Hessians."""

    KINDS: ClassVar[tuple[str, ...]]

    def value(self, x: Vector) -> float:
        """f(x)."""
        raise TypeError(f"{type(self).__name__} does not define value(x)")

    def gradient(self, x: Vector) -> Vector:
        """The gradient of f."""
        raise TypeError(f"{type(self).__name__} does not define gradient(x)")

    def hessian(self, x: Vector, kind: str = "exact") -> Any:
        """The Hessian of f or an approximation of it, in a form that `curvature` takes."""
        one_of("kind", kind, self.KINDS)
        return getattr(self, "_" + kind.replace("-", "_"))(x)


@dataclass(eq=False)
class LogSumExp(Loss):
    """f(x) = mu log sum_i exp((a_i' x - b_i) / mu).

    "gauss-newton" leaves the square of the gradient g out of the Hessian:

        A' diag(pi) A / mu = Hessian + g g' / mu,   pi = softmax((A x - b) / mu)

    Attributes:
        A: (m, d).
        b: (m,).
        mu: > 0.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("exact", "gauss-newton")

    A: Float[np.ndarray, "m d"]
    b: Float[np.ndarray, " m"]
    mu: float = 1.0

    def __post_init__(self) -> None:
        real("mu", self.mu, above=0)
        self._last: tuple[bytes, Any] = (b"", None)

    def _at(self, x: Vector) -> tuple[float, Vector]:
        """Return f and pi at a point, those of the last one without computing them again."""
        key = x.tobytes()
        if key != self._last[0]:
            z = (self.A @ x - self.b) / self.mu
            top = z.max()
            e = np.exp(z - top)
            total = e.sum()
            self._last = key, (self.mu * (top + np.log(total)), e / total)
        found: tuple[float, Vector] = self._last[1]
        return found

    def value(self, x: Vector) -> float:
        """f(x)."""
        return float(self._at(x)[0])

    def gradient(self, x: Vector) -> Vector:
        """A' pi."""
        return self.A.T @ self._at(x)[1]

    def _gauss_newton(self, x: Vector) -> LowRank:
        """Return A' diag(pi) A / mu."""
        return LowRank(self.A, self._at(x)[1] / self.mu)

    def _exact(self, x: Vector) -> Float[np.ndarray, "d d"]:
        """Return A' diag(pi) A / mu - g g' / mu."""
        scaled = self.A * np.sqrt(self._at(x)[1] / self.mu)[:, None]
        g = self.gradient(x)
        found: Float[np.ndarray, "d d"] = scaled.T @ scaled - np.outer(g, g / self.mu)
        return found


@dataclass(eq=False)
class PowerNorm(Loss):
    """f(x) = |u(x)|^p / p of a residual u with the Jacobian J.

        Hessian = |u|^(p-2) (J'J + sum_i u_i Hessian of u_i) + (p-2) |u|^(p-4) (J'u)(J'u)'

    "gauss-newton" leaves out the Hessians of u; "fisher" has the last term alone.

    Attributes:
        p: >= 2.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("exact", "gauss-newton", "fisher")

    p: float = 4.0

    def __post_init__(self) -> None:
        real("p", self.p, least=2)
        self._last: tuple[bytes, Any] = (b"", None)

    def residual(self, x: Vector) -> Float[np.ndarray, " m"]:
        """u(x)."""
        raise TypeError(f"{type(self).__name__} does not define residual(x)")

    def jacobian(self, x: Vector) -> Any:
        """J(x), (m, d), dense or sparse."""
        raise TypeError(f"{type(self).__name__} does not define jacobian(x)")

    def second(self, x: Vector, u: Float[np.ndarray, " m"]) -> Any:
        """sum_i u_i Hessian of u_i(x); None where u is linear."""
        return None

    def _at(self, x: Vector) -> tuple[Any, Any, float]:
        """Return u, J and |u| at a point, those of the last one without computing them again."""
        key = x.tobytes()
        if key != self._last[0]:
            u = self.residual(x)
            self._last = key, (u, self.jacobian(x), float(np.linalg.norm(u)))
        found: tuple[Any, Any, float] = self._last[1]
        return found

    def value(self, x: Vector) -> float:
        """f(x)."""
        return self._at(x)[2] ** self.p / self.p

    def gradient(self, x: Vector) -> Vector:
        """|u|^(p-2) J'u."""
        u, J, size = self._at(x)
        found: Vector = size ** (self.p - 2) * (J.T @ u)
        return found

    def _fisher(self, x: Vector) -> RankOne:
        """Return (p-2) |u|^(p-4) (J'u)(J'u)', 0 where u is."""
        u, J, size = self._at(x)
        scale = (self.p - 2) * size ** (self.p - 4) if size else 0.0
        return RankOne(scale, J.T @ u)

    def _gauss_newton(self, x: Vector) -> Any:
        """Return |u|^(p-2) J'J and the term of "fisher"."""
        _, J, size = self._at(x)
        return self._sum(size ** (self.p - 2) * (J.T @ J), self._fisher(x))

    def _exact(self, x: Vector) -> Any:
        """Return all terms."""
        u, J, size = self._at(x)
        more = self.second(x, u)
        inner = J.T @ J if more is None else J.T @ J + more
        return self._sum(size ** (self.p - 2) * inner, self._fisher(x))

    def _sum(self, base: Any, term: RankOne) -> Any:
        """Return a matrix with a term: dense ones are added, a sparse one stays sparse."""
        if sp.issparse(base):
            return RankOne(term.a, term.q, base)
        return base + term.a * np.outer(term.q, term.q)


@dataclass(eq=False)
class LinearResidual(PowerNorm):
    """f(x) = |A x - b|^p / p.

    Attributes:
        A: (m, d).
        b: (m,).
    """

    A: Any = None
    b: Any = None

    def residual(self, x: Vector) -> Float[np.ndarray, " m"]:
        """A x - b."""
        found: Float[np.ndarray, " m"] = self.A @ x - self.b
        return found

    def jacobian(self, x: Vector) -> Any:
        """A."""
        return self.A


@dataclass(eq=False)
class Rosenbrock(PowerNorm):
    """f(x) = |u|^p / p with u = (1 - x_1, 10 (x_2 - x_1^2))."""

    def residual(self, x: Vector) -> Float[np.ndarray, " 2"]:
        """u(x)."""
        return np.array([1 - x[0], 10 * (x[1] - x[0] ** 2)])

    def jacobian(self, x: Vector) -> Float[np.ndarray, "2 2"]:
        """J(x)."""
        return np.array([[-1.0, 0.0], [-20 * x[0], 10.0]])

    def second(self, x: Vector, u: Float[np.ndarray, " 2"]) -> Float[np.ndarray, "2 2"]:
        """-20 u_2 at the first variable."""
        return np.diag([-20 * u[1], 0.0])


@dataclass(eq=False)
class Chebyshev(PowerNorm):
    """f(x) = |u|^p / p with u_1 = (1 - x_1) / 2 and u_(i+1) = x_(i+1) - 2 x_i^2 + 1.

    Attributes:
        d: Variables. Its Hessians are sparse but for a term of rank one.
    """

    d: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("d", self.d, least=2)

    def residual(self, x: Vector) -> Vector:
        """u(x)."""
        return np.concatenate([[0.5 * (1 - x[0])], x[1:] - 2 * x[:-1] ** 2 + 1])

    def jacobian(self, x: Vector) -> sp.csr_array:
        """J(x), of two diagonals."""
        main = np.ones(self.d)
        main[0] = -0.5
        return sp.csr_array(sp.diags_array([main, -4 * x[:-1]], offsets=[0, -1]))

    def second(self, x: Vector, u: Vector) -> sp.csr_array:
        """-4 u_(i+1) at variable i."""
        return sp.csr_array(sp.diags_array(np.append(-4 * u[1:], 0.0)))
