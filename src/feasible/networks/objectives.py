"""Local objectives: what each node of a network keeps to itself.

minimise  f(x) = (1/n) sum_i f_i(x),   f_i L-smooth and mu-strongly convex, known to node i only
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import floats, naming, real, shown, whole
from ..core.errors import (
    ArgumentError,
    ArgumentTypeError,
    EvaluationFailed,
    FeasibleError,
    NotFinite,
    ShapeError,
)
from .gradients import LOGISTIC, QUADRATIC, ROWS, local_gradient, local_gradients
from .messages import said

if TYPE_CHECKING:
    from jaxtyping import Float, Int

INNER = 100
"""Newton steps at most for a gradient of a conjugate."""
SOLVED = 1e-13
"""Length of a gradient, in units of its size at the start, at which a minimiser is accepted."""


class NodeFailed(EvaluationFailed):
    """A node's own function raised, or returned no gradient; names the node."""


class NotConverged(FeasibleError):
    """The minimiser of all objectives together was not found to the accuracy of a judge."""


class LocalObjectives(ABC):
    """What a method may ask of the nodes' objectives. A row is a node.

    Attributes:
        n: Nodes.
        d: Unknowns.
        L: Every gradient is L-Lipschitz.
        mu: Every objective is mu-strongly convex; 0 where that is not known.
        dual: True if gradients of conjugates are known.
        samples: Rows of data of a node from which a minibatch may be drawn; 0: none.
        valued: True if values are known.
    """

    n: int
    d: int
    L: float
    mu: float
    dual: bool = False
    samples: int = 0
    valued: bool = False

    @abstractmethod
    def gradient(
        self, i: int, x: Float[np.ndarray, " d"], batch: int = 0, seed: int = 0
    ) -> Float[np.ndarray, " d"]:
        """Return the gradient of f_i at x; of a minibatch drawn by a seed where batch > 0."""

    def gradients(self, X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Return each node's gradient at its own row."""
        return np.stack([self.gradient(i, x) for i, x in enumerate(X)])

    def value(self, i: int, x: Float[np.ndarray, " d"]) -> float:
        """Return f_i(x); where `valued`."""
        raise TypeError(f"{type(self).__name__} does not define value(i, x)")

    def mean_value(self, x: Float[np.ndarray, " d"]) -> float:
        """Return f(x)."""
        return sum(self.value(i, x) for i in range(self.n)) / self.n

    def conjugate(
        self,
        i: int,
        y: Float[np.ndarray, " d"],
        start: Float[np.ndarray, " d"],
        charge: Callable[[], None] = lambda: None,
    ) -> Float[np.ndarray, " d"]:
        """Return the gradient of f_i's conjugate at y, the x with grad f_i(x) = y; where `dual`.

        Args:
            i: Row of the node.
            y: (d,).
            start: (d,) where an iteration begins.
            charge: Called before each gradient of f_i that it takes, at least once.
        """
        raise TypeError(f"{type(self).__name__} does not define conjugate(i, y, start)")

    def minimiser(self) -> Float[np.ndarray, " d"]:
        """Return the minimiser of f, found without any network; charges nothing.

        Raises:
            NotConverged: Gradients do not vanish: L or mu is wrong.
        """
        return accelerated(self)


def accelerated(objectives: LocalObjectives, most: int = 200_000) -> Float[np.ndarray, " d"]:
    """Minimise f by Nesterov's method for strongly convex functions, from its gradients alone.

    References:
        Nesterov, Lectures on Convex Optimization, 2018, scheme (2.2.22).
    """
    if not objectives.mu > 0:
        raise ArgumentError("mu=0: a minimiser to be measured against needs mu > 0")
    root = (objectives.mu / objectives.L) ** 0.5
    momentum = (1 - root) / (1 + root)
    x = before = np.zeros(objectives.d)
    best, least, first = x, np.inf, 0.0
    for k in range(most):
        ahead = x + momentum * (x - before)
        slope = objectives.gradients(np.tile(ahead, (objectives.n, 1))).mean(axis=0)
        size = float(np.linalg.norm(slope))
        first = first or size
        if not size <= 1e8 * first:
            break
        if size < least:
            best, least = ahead, size
        if size <= SOLVED * first:
            return best
        if k > 100 and k % 1000 == 0 and least <= 1e-9 * first:  # as exact as rounding lets it be
            return best
        before, x = x, ahead - slope / objectives.L
    raise NotConverged(
        f"the minimiser of all {objectives.n} objectives was not found: of the gradient "
        f"{least / max(first, 1e-300):.1e} is left with L={objectives.L:g}, mu={objectives.mu:g}; "
        "expected bounds that hold of every objective"
    )


@dataclass(eq=False)
class DataObjectives(LocalObjectives):
    """Objectives known by their data, with compiled gradients.

    Attributes:
        family: See `gradients`.
        data: (p, d) the rows of all nodes, node by node.
        sides: (p,).
        starts: (n + 1,) where in the rows each node's begin, and the end.
        ridge: Of ridge / 2 |x|^2 in each objective.
        constants: (n,) what is added to each value.
        L: See LocalObjectives.
        mu: See LocalObjectives.
    """

    family: int
    data: Float[np.ndarray, "p d"]
    sides: Float[np.ndarray, " p"]
    starts: Int[np.ndarray, " n+1"]
    ridge: float
    constants: Float[np.ndarray, " n"]
    L: float
    mu: float
    valued: bool = True
    dual: bool = True

    def __post_init__(self) -> None:
        self.n, self.d = len(self.starts) - 1, self.data.shape[1]
        self.samples = 0 if self.family == QUADRATIC else int(np.diff(self.starts).min())

    def held(self, i: int) -> tuple[Float[np.ndarray, "p d"], Float[np.ndarray, " p"]]:
        """Return the rows of node i, and their sides."""
        mine = slice(self.starts[i], self.starts[i + 1])
        return self.data[mine], self.sides[mine]

    def gradient(
        self, i: int, x: Float[np.ndarray, " d"], batch: int = 0, seed: int = 0
    ) -> Float[np.ndarray, " d"]:
        """Return the gradient of f_i at x; of a minibatch drawn by a seed where batch > 0."""
        out = np.empty(self.d)
        local_gradient(self.family, *self.held(i), self.ridge, x, batch, seed, out)
        return out

    def gradients(self, X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Return each node's gradient at its own row."""
        out = np.empty((self.n, self.d))
        local_gradients(self.family, self.data, self.sides, self.starts, self.ridge, X, out)
        return out

    def value(self, i: int, x: Float[np.ndarray, " d"]) -> float:
        """Return f_i(x)."""
        extra = 0.5 * self.ridge * float(x @ x) + float(self.constants[i])
        rows, sides = self.held(i)
        inner = rows @ x
        if self.family == QUADRATIC:
            return float(0.5 * x @ inner - sides @ x) + extra
        if self.family == ROWS:
            return float(0.5 * np.mean((inner - sides) ** 2)) + extra
        return float(np.mean(np.logaddexp(0.0, -inner))) + extra

    def hessian(self, i: int, x: Float[np.ndarray, " d"]) -> Float[np.ndarray, "d d"]:
        """Return the Hessian of f_i at x."""
        found = self.ridge * np.eye(self.d)
        if self.family == QUADRATIC:
            return found + self.held(i)[0]
        rows = self.held(i)[0]
        if self.family == ROWS:
            return found + rows.T @ rows / len(rows)
        chance = 0.5 * (1 + np.tanh(0.5 * (rows @ x)))
        return found + (rows * (chance * (1 - chance))[:, None]).T @ rows / len(rows)

    def conjugate(
        self,
        i: int,
        y: Float[np.ndarray, " d"],
        start: Float[np.ndarray, " d"],
        charge: Callable[[], None] = lambda: None,
    ) -> Float[np.ndarray, " d"]:
        """Solve grad f_i(x) = y by Newton's method: one step for quadratics."""
        x, last = start, np.inf
        for _ in range(INNER):
            charge()
            gap = self.gradient(i, x) - y
            size = float(np.abs(gap).max())
            if size <= SOLVED * (1 + float(np.abs(y).max())) or (size >= last and size < 1e-9):
                break
            x, last = x - np.linalg.solve(self.hessian(i, x), gap), size
            if self.family != LOGISTIC:
                break
        return x

    def minimiser(self) -> Float[np.ndarray, " d"]:
        """Return the minimiser of f by Newton's method, damped by halving."""
        x = np.zeros(self.d)
        slope = self.gradients(np.tile(x, (self.n, 1))).mean(axis=0)
        first = size = float(np.linalg.norm(slope))
        for _ in range(INNER):
            curved = sum(self.hessian(i, x) for i in range(self.n)) / self.n
            direction, share = np.linalg.solve(curved, slope), 1.0
            while True:
                trial = x - share * direction
                found = self.gradients(np.tile(trial, (self.n, 1))).mean(axis=0)
                if np.linalg.norm(found) < size or share < 1e-6:
                    break
                share /= 2
            new = float(np.linalg.norm(found))
            if new >= size:  # rounding is all that is left
                break
            x, slope, size = trial, found, new
        if not size <= 1e-9 * max(first, 1e-300):
            raise NotConverged(
                f"the minimiser was not found: of the gradient {size / first:.1e} is left"
            )
        return x


def Quadratics(H: Any, c: Any) -> DataObjectives:  # noqa: N802
    """Quadratic objectives f_i(x) = x' H_i x / 2 - c_i' x.

    Args:
        H: (n, d, d) symmetric and positive definite.
        c: (n, d).

    Raises:
        ShapeError: They do not fit.
        NotFinite: A NaN or an infinity.
        ArgumentError: An H_i is not symmetric or not positive definite; names its row.
    """
    H, c = _finite("H", H), _finite("c", c)
    if H.ndim != 3 or H.shape[1] != H.shape[2] or c.shape != H.shape[:2]:
        raise ShapeError(f"H has shape {H.shape} and c {c.shape}: expected (n, d, d) and (n, d)")
    for i, matrix in enumerate(H):
        if not np.allclose(matrix, matrix.T, rtol=1e-10, atol=1e-12):
            raise ArgumentError(f"H[{i}] is not symmetric")
    values = np.linalg.eigvalsh(H)
    if not values.min() > 0:
        worst = int(values.min(axis=1).argmin())
        raise ArgumentError(f"H[{worst}] has the eigenvalue {values.min():.3g}: expected > 0")
    n, _, d = H.shape
    return DataObjectives(
        QUADRATIC,
        ((H + H.transpose(0, 2, 1)) / 2).reshape(n * d, d),
        np.ravel(c),
        np.arange(n + 1) * d,
        0.0,
        np.zeros(n),
        float(values.max()),
        float(values.min()),
    )


def LeastSquares(A: Any, b: Any, ridge: float = 0.0) -> DataObjectives:  # noqa: N802
    """Least squares f_i(x) = |A_i x - b_i|^2 / (2 p_i) + ridge / 2 |x|^2.

    Args:
        A: For each node its (p_i, d) rows; a list, or an array (n, p, d).
        b: For each node its (p_i,) sides.
        ridge: >= 0.

    Raises:
        ShapeError: They do not fit; names the node's row.
        NotFinite: A NaN or an infinity.
        ArgumentError: An objective is not strongly convex: too few rows and no ridge.
    """
    rows, sides = _by_node("A", A, "b", b)
    ridge = real("ridge", ridge, least=0)
    least, most = np.array([_extremes(a) for a in rows]).T
    mu, top = float(least.min()) + ridge, float(most.max()) + ridge
    if not mu > 1e-12 * top:
        raise ArgumentError(
            f"ridge={ridge:g}: A[{int(least.argmin())}] does not determine x, "
            "expected a ridge > 0 there"
        )
    return _of_rows(ROWS, rows, sides, ridge, top, mu)


def Logistic(A: Any, labels: Any, ridge: float = 1.0) -> DataObjectives:  # noqa: N802
    """Logistic regression f_i(x) = mean_r log(1 + exp(-y_r a_r'x)) + ridge / 2 |x|^2.

    L is the largest eigenvalue of A_i'A_i / (4 p_i), plus the ridge.

    Args:
        A: For each node its (p_i, d) rows; a list, or an array (n, p, d).
        labels: For each node its (p_i,) labels, -1 or 1 (0 or False counts as -1).
        ridge: > 0, which is mu.

    Raises:
        ShapeError: They do not fit; names the node's row.
        NotFinite: A NaN or an infinity.
        ArgumentError: A label is none, or the ridge is not positive.
    """
    rows, signs = _by_node("A", A, "labels", labels)
    if not all(np.isin(s, (-1.0, 0.0, 1.0)).all() for s in signs):
        raise ArgumentError("labels: expected -1 and 1, or 0 and 1")
    ridge = real("ridge", ridge, above=0)
    rows = [a * np.where(s > 0, 1.0, -1.0)[:, None] for a, s in zip(rows, signs, strict=True)]
    top = max(_extremes(a)[1] for a in rows) / 4 + ridge
    return _of_rows(LOGISTIC, rows, [np.zeros(len(s)) for s in signs], ridge, top, ridge)


class Callables(LocalObjectives):
    """Objectives of functions of one's own.

    Args:
        grad: (label, x) -> (d,) gradient of that node's objective.
        nodes: Labels by row.
        d: Unknowns.
        L: Every gradient is L-Lipschitz.
        mu: Every objective is mu-strongly convex.
        value: (label, x) -> value of that node's objective; None where unknown.

    Raises:
        ArgumentTypeError: grad or value is no function.
        ArgumentError: mu <= 0, or L < mu.
    """

    def __init__(
        self,
        grad: Callable[[Hashable, np.ndarray], Any],
        nodes: Sequence[Hashable],
        d: int,
        L: float,
        mu: float,
        value: Callable[[Hashable, np.ndarray], float] | None = None,
    ):
        if not callable(grad):
            raise ArgumentTypeError(f"grad={shown(grad)}: expected a function (node, x)")
        if value is not None and not callable(value):
            raise ArgumentTypeError(f"value={shown(value)}: expected a function (node, x), or None")
        with naming("nodes"):
            self.nodes = tuple(nodes)
        self.grad, self._value = grad, value
        self.n, self.d = len(self.nodes), whole("d", d, least=1)
        self.mu = real("mu", mu, above=0)
        self.L = real("L", L, least=self.mu, note=f", mu={self.mu:g}")
        self.valued = value is not None

    def gradient(
        self, i: int, x: Float[np.ndarray, " d"], batch: int = 0, seed: int = 0
    ) -> Float[np.ndarray, " d"]:
        """Ask node i; the seed is for functions that draw a minibatch themselves."""
        label = self.nodes[i]
        try:
            given = self.grad(label, x.copy())
        except Exception as error:
            raise NodeFailed(f"node {label!r}: {said(error)}") from error
        found = given.detach().numpy() if hasattr(given, "detach") else np.asarray(given)
        if found.shape != (self.d,) or found.dtype.kind not in "biuf":
            raise NodeFailed(
                f"node {label!r} returned a gradient of shape {found.shape}, {found.dtype}: "
                f"expected ({self.d},) numbers"
            )
        if not np.isfinite(found).all():
            raise NodeFailed(f"node {label!r} returned a gradient with a NaN or an infinity")
        return np.array(found, dtype=float)

    def value(self, i: int, x: Float[np.ndarray, " d"]) -> float:
        """Ask node i."""
        if self._value is None:
            raise ArgumentError("value=None: the values of these objectives are not known")
        return float(self._value(self.nodes[i], x.copy()))


def _finite(name: str, given: Any) -> Float[np.ndarray, ...]:
    """Read an array of finite numbers."""
    found = floats(name, given)
    if not np.isfinite(found).all():
        raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
    return found


def _by_node(
    name: str, A: Any, other: str, b: Any
) -> tuple[list[Float[np.ndarray, "p d"]], list[Float[np.ndarray, " p"]]]:
    """Read rows and sides by node."""
    sized = all(
        isinstance(v, (Sequence, np.ndarray)) and getattr(v, "ndim", 1) != 0 for v in (A, b)
    )
    if not sized or isinstance(A, (str, bytes)) or len(A) != len(b) or not len(A):
        raise ShapeError(f"{name} and {other}: expected the rows and the sides of each node")
    rows = [_finite(f"{name}[{i}]", a) for i, a in enumerate(A)]
    sides = [_finite(f"{other}[{i}]", s) for i, s in enumerate(b)]
    d = rows[0].shape[-1] if rows[0].ndim == 2 else 0
    for i, (a, s) in enumerate(zip(rows, sides, strict=True)):
        if a.ndim != 2 or a.shape[1] != d or not len(a) or not d or s.shape != a.shape[:1]:
            raise ShapeError(
                f"{name}[{i}] has shape {a.shape} and {other}[{i}] {s.shape}: expected (p, {d}) "
                "and (p,)"
            )
    return rows, sides


def _extremes(rows: Float[np.ndarray, "p d"]) -> tuple[float, float]:
    """Return the least and the largest eigenvalue of A'A / p, from the smaller of A'A and AA'."""
    p, d = rows.shape
    if p >= d:
        values = np.linalg.eigvalsh(rows.T @ rows / p)
        return float(values[0]), float(values[-1])
    return 0.0, float(np.linalg.eigvalsh(rows @ rows.T / p)[-1])


def _of_rows(
    family: int,
    rows: Sequence[Float[np.ndarray, "p d"]],
    sides: Sequence[Float[np.ndarray, " p"]],
    ridge: float,
    L: float,
    mu: float,
) -> DataObjectives:
    """Put the nodes' rows under one another: what they take is what they have, however unequal."""
    starts = np.concatenate([[0], np.cumsum([len(a) for a in rows])])
    data, found = np.concatenate(rows), np.concatenate(sides)
    return DataObjectives(family, data, found, starts, ridge, np.zeros(len(rows)), L, mu)
