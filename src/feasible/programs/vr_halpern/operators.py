"""Operators F = (1/n) sum_i F_i that are known by their components.

A component is drawn with chance q_i and scaled, F_i / (n q_i), so that its mean is F. What an
algorithm needs of an operator is F itself, means of differences of scaled components, and a
constant L:

    cocoercive on average:  E |F_q(u) - F_q(v)|^2 <= L <F(u) - F(v), u - v>     (Algorithm 1)
    Lipschitz on average:   E |F_q(u) - F_q(v)|^2 <= L^2 |u - v|^2              (Algorithms 2, 3)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import eigh

from ...core.checks import floats, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from .projections import Resolvent, as_resolvent, simplices

if TYPE_CHECKING:
    from jaxtyping import Float, Int

PAIRS = 10
"""Pairs of points from which a constant is estimated."""


class FiniteSum:
    """F(u) = (1/n) sum_i F_i(u), by a function of many components at once.

    Args:
        components: ((b,) indices, (d,) u) -> (b, d), F_i(u) one a row.
        n: How many there are.
        full: (d,) u -> (d,) F(u); None: the mean of all components.
        L: The constant of the class of algorithms that is used, see the module; None: estimated.
        prob: (n,) chances q_i; None: uniform.
        norm: Lipschitz constant of F itself, where it is known; for warnings and baselines.

    Raises:
        ArgumentError: n < 1, L <= 0, chances that are not > 0 or do not sum to 1.
        ArgumentTypeError: components or full cannot be called.

    Example:
        >>> targets = np.array([[0.0, 0.0], [2.0, 4.0]])
        >>> op = FiniteSum(lambda i, u: u - targets[i], 2, L=1.0)
        >>> op.full(np.zeros(2)).tolist()
        [-1.0, -2.0]
    """

    cocoercive: bool | None = None
    """Whether Algorithm 1 may be used; None: not known."""
    linear = False

    def __init__(
        self,
        components: Callable[[Int[np.ndarray, " b"], Float[np.ndarray, " d"]], Any],
        n: int,
        full: Callable[[Float[np.ndarray, " d"]], Any] | None = None,
        *,
        L: float | None = None,
        prob: Any = None,
        norm: float | None = None,
    ) -> None:
        for name, function in (("components", components), ("full", full)):
            if not (callable(function) or (function is None and name == "full")):
                raise ArgumentTypeError(f"{name}={function!r:.60}: expected a function")
        self._components, self._full = components, full
        self._begin(n, L, prob, norm)

    def _begin(self, n: Any, L: Any, prob: Any, norm: Any) -> None:
        """Read what all operators have."""
        self.n = whole("n", n, least=1)
        self.L = None if L is None else real("L", L, above=0)
        self._norm = None if norm is None else real("norm", norm, above=0)
        self.prob: np.ndarray | None = None
        if prob is not None:
            self.prob = floats("prob", prob)
            if self.prob.shape != (self.n,):
                raise ShapeError(f"prob has shape {self.prob.shape}: expected ({self.n},)")
            if not (self.prob > 0).all() or abs(self.prob.sum() - 1) > 1e-8:
                raise ArgumentError("prob: expected chances > 0 that sum to 1")
            self._ends = np.cumsum(self.prob)

    def resolvent(self) -> Resolvent:
        """Return the resolvent that belongs to it where none is given: that of G = 0."""
        return as_resolvent(None)

    @property
    def norm(self) -> float | None:
        """A Lipschitz constant of F itself; None where none is known."""
        return self._norm

    def full(self, u: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        """Return F(u)."""
        if self._full is None:
            return self._rows(np.arange(self.n), u).mean(axis=0)
        found = floats("full(u)", self._full(u))
        if found.shape != u.shape:
            raise ShapeError(f"full(u) has shape {found.shape}: expected {u.shape}, that of u")
        return found

    def _rows(
        self, i: Int[np.ndarray, " b"], u: Float[np.ndarray, " d"]
    ) -> Float[np.ndarray, "b d"]:
        """Return F_i(u), checked."""
        found = floats("components(i, u)", self._components(i, u))
        if found.shape != (len(i), len(u)):
            raise ShapeError(
                f"components(i, u) has shape {found.shape}: expected ({len(i)}, {len(u)}), one "
                "component a row"
            )
        return found

    def draw(self, rng: np.random.Generator, size: int) -> Int[np.ndarray, " b"]:
        """Return indices of components by their chances, with repetition."""
        if self.prob is None:
            return rng.integers(0, self.n, size)
        return np.minimum(np.searchsorted(self._ends, rng.random(size), "right"), self.n - 1)

    def weights(self, i: Int[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
        """Return 1 / (n q_i)."""
        return np.ones(len(i)) if self.prob is None else 1.0 / (self.n * self.prob[i])

    def difference(
        self, i: Int[np.ndarray, " b"], u: Float[np.ndarray, " d"], v: Float[np.ndarray, " d"]
    ) -> Float[np.ndarray, " d"]:
        """Return the mean of (F_i(u) - F_i(v)) / (n q_i) over the drawn components."""
        return self.weights(i) @ (self._rows(i, u) - self._rows(i, v)) / len(i)

    def check(self, u: Float[np.ndarray, " d"]) -> None:
        """Compare `full` with the mean of all components at a point, and their shapes.

        Raises:
            ArgumentError: They differ.
            ShapeError: A shape is not that of u.
        """
        full = self.full(u)
        if self._full is None:
            return
        mean = self._rows(np.arange(self.n), u).mean(axis=0)
        off = float(np.abs(mean - full).max())
        if off > 1e-6 * max(float(np.abs(mean).max()), 1.0):
            raise ArgumentError(f"full(u) is {off:.2g} away from the mean of the components of u0")

    def constant(
        self, method: str, u: Float[np.ndarray, " d"], rng: np.random.Generator
    ) -> tuple[float, int]:
        """Return L for a class of algorithms, and the component evaluations that it took.

        Args:
            method: "page" or "resolvent".
            u: (d,) where it is estimated about, where it is not known.
            rng: Where pairs come from.
        """
        if self.L is not None:
            return self.L, 0
        largest, size = 0.0, int(np.ceil(self.n**0.5))
        reach = max(float(np.linalg.norm(u)), 1.0) / max(len(u), 1) ** 0.5
        for _ in range(PAIRS):
            v, w = (u + reach * rng.standard_normal(len(u)) for _ in range(2))
            i = self.draw(rng, size)
            rows = self.weights(i)[:, None] * (self._rows(i, v) - self._rows(i, w))
            squares = float((rows**2).sum() / size)
            move = v - w
            if method == "page":
                inner = float(rows.mean(axis=0) @ move)
                largest = max(largest, squares / inner if inner > 0 else 0.0)
            else:
                largest = max(largest, (squares / float(move @ move)) ** 0.5)
        return max(largest, 1e-12), 2 * size * PAIRS


class AffineFiniteSum(FiniteSum):
    """F_i(u) = A_i u - b_i, with its constants computed.

    Args:
        A: (n, d, d) matrices, or (n, d) rows a_i of least squares: A_i = a_i a_i', b_i = a_i y_i.
        b: (n, d), or (n,) y of least squares.
        prob: (n,) chances; "importance": in proportion to |A_i|; None: uniform.

    Raises:
        ShapeError: Shapes that do not fit.
        NotFinite: NaN or infinities.

    Example:
        >>> op = AffineFiniteSum([[1.0, 0.0], [0.0, 2.0]], [1.0, 2.0])  # least squares
        >>> op.full(np.array([1.0, 1.0])).tolist()
        [0.0, 0.0]
    """

    linear = True

    def __init__(self, A: Any, b: Any, *, prob: Any = None) -> None:
        self.A, self.b = floats("A", A), floats("b", b)
        rows = self.A.ndim == 2
        n, d = (*self.A.shape, 0, 0)[:2]
        fits = self.b.shape == ((n,) if rows else (n, d)) and n and d
        if self.A.ndim not in (2, 3) or not fits or (not rows and self.A.shape[2] != d):
            raise ShapeError(
                f"A has shape {self.A.shape} and b {self.b.shape}: expected (n, d, d) and (n, d), "
                "or (n, d) and (n,) of least squares"
            )
        for name, value in (("A", self.A), ("b", self.b)):
            if not np.isfinite(value).all():
                raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
        if rows:
            self.mean = self.A.T @ self.A / n
            self.side = self.A.T @ self.b / n
            sizes = (self.A**2).sum(axis=1)
        else:
            self.mean, self.side = self.A.mean(axis=0), self.b.mean(axis=0)
            sizes = np.linalg.norm(self.A, 2, axis=(1, 2))
        if isinstance(prob, str):
            if prob != "importance":
                raise ArgumentError(f"prob={prob!r}: expected 'importance', chances or None")
            sizes = np.maximum(sizes, 1e-12 * sizes.max())
            prob = sizes / sizes.sum()
        self._begin(n, None, prob, float(np.linalg.norm(self.mean, 2)) or 1.0)
        self._constants: dict[str, float] = {}
        self.cocoercive = np.isfinite(self._constant("page"))

    def full(self, u: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        """Return F(u)."""
        return self.mean @ u - self.side

    def check(self, u: Float[np.ndarray, " d"]) -> None:
        """Check the size of a point."""
        if u.shape != self.side.shape:
            raise ShapeError(f"u0 has shape {u.shape}: expected {self.side.shape}")

    def difference(
        self, i: Int[np.ndarray, " b"], u: Float[np.ndarray, " d"], v: Float[np.ndarray, " d"]
    ) -> Float[np.ndarray, " d"]:
        """Return the mean of A_i (u - v) / (n q_i) over the drawn components."""
        a, weights = self.A[i], self.weights(i) / len(i)
        if a.ndim == 2:
            return (weights * (a @ (u - v))) @ a
        return weights @ (a @ (u - v))

    def constant(
        self, method: str, u: Float[np.ndarray, " d"], rng: np.random.Generator
    ) -> tuple[float, int]:
        """Return the smallest L there is: a generalised eigenvalue, which costs no evaluation.

        lambda_max(E A_q' A_q, (E A_q + E A_q') / 2) for Algorithm 1, the root of
        lambda_max(E A_q' A_q) for Algorithms 2 and 3.
        """
        return self._constant(method), 0

    def _constant(self, method: str) -> float:
        """Return L, computed once; infinite where there is none."""
        if method not in self._constants:
            weights = self.weights(np.arange(self.n)) / self.n
            if self.A.ndim == 2:
                sizes = weights * (self.A**2).sum(axis=1)
                square = (self.A * sizes[:, None]).T @ self.A
            else:
                square = np.einsum("i,iab,iac->bc", weights, self.A, self.A)
            if method == "page":
                self._constants[method] = _ratio(square, (self.mean + self.mean.T) / 2)
            else:
                self._constants[method] = float(np.linalg.eigvalsh(square)[-1]) ** 0.5 or 1.0
        return self._constants[method]


def _ratio(square: Float[np.ndarray, "d d"], part: Float[np.ndarray, "d d"]) -> float:
    """Return the largest x'Sx / x'Px; infinite where P has no positive part for some of S's."""
    values, vectors = np.linalg.eigh(part)
    top = max(float(np.abs(values).max()), 1e-300)
    if values[0] < -1e-10 * top:
        return np.inf
    good = values > 1e-10 * top
    nil = vectors[:, ~good]
    if np.abs(nil.T @ square @ nil).max(initial=0.0) > 1e-10 * max(np.abs(square).max(), 1e-300):
        return np.inf
    basis = vectors[:, good] / np.sqrt(values[good])
    return float(eigh(basis.T @ square @ basis, eigvals_only=True)[-1])


class MatrixGame(FiniteSum):
    """min over x, max over y of x' M y on two simplices: F(x, y) = (M y, -M' x).

    A component reads one row and one column, drawn in proportion to their squares; n is how many
    draws read as many numbers as F does, 2 m n / (m + n).

    Args:
        M: (m, n) what the first player pays to the second.

    Raises:
        ShapeError: No matrix.
        NotFinite: NaN or infinities.
        ArgumentError: All zeros.

    Example:
        >>> game = MatrixGame([[1.0, -1.0], [-1.0, 1.0]])
        >>> game.gap(np.array([1.0, 0.0, 0.5, 0.5]))
        1.0
    """

    cocoercive = False
    linear = True

    def __init__(self, M: Any) -> None:
        self.M = np.array(floats("M", M), order="C")
        if self.M.ndim != 2 or not self.M.size:
            raise ShapeError(f"M has shape {self.M.shape}: expected (m, n)")
        if not np.isfinite(self.M).all():
            raise NotFinite("M has a NaN or an infinity: expected finite numbers")
        total = float((self.M**2).sum())
        if not total > 0:
            raise ArgumentError("M=0: every pair of strategies is an equilibrium")
        m, n = self.M.shape
        self.transposed = np.ascontiguousarray(self.M.T)
        # rows and columns of zeros have no chance, and make no difference
        self.of_rows = (self.M**2).sum(axis=1) / total
        self.of_columns = (self.M**2).sum(axis=0) / total
        self._row_ends, self._column_ends = np.cumsum(self.of_rows), np.cumsum(self.of_columns)
        self._begin(max(round(2 * m * n / (m + n)), 1), total**0.5, None, None)

    def resolvent(self) -> Resolvent:
        """Return the projection on both simplices."""
        return simplices(*self.M.shape)

    @property
    def norm(self) -> float:
        """The spectral norm of M."""
        if self._norm is None:
            self._norm = float(np.linalg.norm(self.M, 2))
        return self._norm

    def start(self) -> Float[np.ndarray, " d"]:
        """Return both uniform strategies."""
        m, n = self.M.shape
        return np.concatenate([np.full(m, 1 / m), np.full(n, 1 / n)])

    def full(self, u: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        """Return (M y, -M' x)."""
        m = len(self.M)
        return np.concatenate([self.M @ u[m:], -(self.transposed @ u[:m])])

    def check(self, u: Float[np.ndarray, " d"]) -> None:
        """Check the size of a point."""
        if u.shape != (sum(self.M.shape),):
            raise ShapeError(f"u0 has shape {u.shape}: expected ({sum(self.M.shape)},), x and y")

    def draw(self, rng: np.random.Generator, size: int) -> Int[np.ndarray, "b 2"]:
        """Return rows and columns by their chances."""
        m, n = self.M.shape
        i = np.searchsorted(self._row_ends, rng.random(size) * self._row_ends[-1], "right")
        j = np.searchsorted(self._column_ends, rng.random(size) * self._column_ends[-1], "right")
        return np.stack([np.minimum(i, m - 1), np.minimum(j, n - 1)], axis=1)

    def difference(
        self, i: Int[np.ndarray, "b 2"], u: Float[np.ndarray, " d"], v: Float[np.ndarray, " d"]
    ) -> Float[np.ndarray, " d"]:
        """Return the mean of (M_:j y_j / q_j, -M_i: x_i / p_i) at u - v over the drawn pairs."""
        m, (rows, columns) = len(self.M), i.T
        move = u - v
        across = move[m + columns] / self.of_columns[columns] / len(i)
        down = move[rows] / self.of_rows[rows] / len(i)
        return np.concatenate([across @ self.transposed[columns], -(down @ self.M[rows])])

    def gap(self, u: Float[np.ndarray, " d"]) -> float:
        """Return max_y' x' M y' - min_x' x'' M y: what both players could win together."""
        m = len(self.M)
        return float((u[:m] @ self.M).max() - (self.M @ u[m:]).min())
