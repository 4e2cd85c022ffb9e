"""Functionals of a control through the state that it makes: values, derivatives, their check, and
SciPy's optimisers on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import OptimizeResult

from ..core.annotations import checked
from ..core.checks import flag, floats, naming
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from .errors import NotConverged

if TYPE_CHECKING:
    from jaxtyping import Float

    Vector = Float[np.ndarray, " d"]

ROUNDING = 1e-13
"""Remainders below this share of |J| are rounding."""
LARGEST, STEPS = 0.01, 4
"""First step of a Taylor test, and how many there are, each half as long as the one before."""


class ReducedFunctional:
    """J of a control m through the state y(m): Jhat(m) = J(y(m), m).

        minimize(Jhat, m, jac=Jhat.derivative, method="L-BFGS-B", bounds=...)     # SciPy's

    is all that SciPy needs. The derivative is in the plain vector pairing: `derivative() @ d` is
    the directional derivative. The last point is kept, so that a derivative there costs no state.

    A state that does not converge is a rejected step: at such a point the value is above the best
    one's and the slope leads back, so that a line search tries a shorter step. At the first point
    it raises.

    Args:
        J: From m (d,) to a number; it may raise NotConverged.
        m: (d,) where one begins: the shape of all controls.
        gradient: From m (d,) to the gradient (d,); None: `J.gradient`.
        weights: (d,) > 0, the diagonal of the controls' inner product, such as a lumped mass
            matrix; None: ones. Used by `riesz` and `minimize`.
        reject: Take a state that does not converge for a rejected step; False: raise.

    Attributes:
        m: (d,) where one begins.
        value: J itself, of which nothing is kept.
        slope: Its gradient itself.
        evaluations: Values that were computed.
        rejected: Points at which the state did not converge.

    Raises:
        ArgumentTypeError: J or its gradient is no function.
        ShapeError: m is no vector, or the weights do not fit.
        NotFinite: m has a NaN or an infinity.

    Example:
        >>> import numpy as np
        >>> from scipy.optimize import minimize
        >>> Jhat = ReducedFunctional(lambda m: (m**2).sum(), [1.0, 2.0], lambda m: 2 * m)
        >>> Jhat(Jhat.m), Jhat.derivative()
        (5.0, array([2., 4.]))
        >>> bool(minimize(Jhat, Jhat.m, jac=Jhat.derivative, method="L-BFGS-B").success)
        True
    """

    def __init__(
        self,
        J: Callable[[Vector], float],
        m: Any,
        gradient: Callable[[Vector], Vector] | None = None,
        weights: Any = None,
        reject: bool = True,
    ):
        slope = getattr(J, "gradient", None) if gradient is None else gradient
        if not callable(J) or not callable(slope):
            raise ArgumentTypeError(
                f"J={type(J).__name__}, gradient={type(gradient).__name__}: expected functions, or "
                "a J that has its gradient"
            )
        self.m = vector("m", m)
        self.value, self.slope = J, slope
        self.weights = np.ones(len(self.m)) if weights is None else vector("weights", weights)
        if self.weights.shape != self.m.shape or not (self.weights > 0).all():
            raise ShapeError(f"weights: expected {len(self.m)} numbers > 0")
        self.reject = flag("reject", reject)
        self.evaluations = self.rejected = 0
        self._at: Vector | None = None
        self._failed = False
        self._J = np.nan
        self._g: Vector | None = None
        self._best: tuple[float, Vector, Vector] | None = None

    def __call__(self, m: Any) -> float:
        """J at m."""
        self._move(vector("m", m, len(self.m)))
        return self._J

    def derivative(self, m: Any = None) -> Vector:
        """(d,) the derivative at m, or at the last point, in the plain vector pairing."""
        if m is not None:
            self._move(vector("m", m, len(self.m)))
        if self._at is None:
            raise ArgumentError("m=None: nothing was evaluated yet, expected a point")
        if self._g is None:
            self._g = vector("gradient", self.slope(self._at), len(self.m))
            if self._best is None or self._best[0] >= self._J:
                self._best = self._J, self._at, self._g
        return self._g.copy()

    def riesz(self, m: Any = None) -> Vector:
        """(d,) the gradient in the controls' inner product: W^{-1} times the derivative."""
        return self.derivative(m) / self.weights

    def _move(self, m: Vector) -> None:
        """Evaluate J at m, unless it is the last point."""
        if self._at is not None and np.array_equal(m, self._at):
            return
        self.evaluations += 1
        try:
            J = float(self.value(m))
            g: Vector | None = None
            if not np.isfinite(J):
                raise NotConverged(f"J={J}: expected a finite number")
        except NotConverged:
            if not self.reject or self._best is None:
                raise
            self.rejected += 1
            least, base, slope = self._best
            # as a parabola through the best point whose minimum is on the way back
            J, g = least + abs(slope @ (m - base)) + 1e-12 * max(1.0, abs(least)), -slope
        self._at, self._J, self._g = m, J, g


class TaylorRates(float):
    """The least rate of a Taylor test, and all of them.

    Attributes:
        steps: (s,) the steps.
        R0: (s,) |J(m + e h) - J(m)|.
        R1: (s,) |J(m + e h) - J(m) - e dJ h|.
        rates0: (s - 1,) the orders of R0: 1 where J is continuous and the step is right.
        rates1: (s - 1,) the orders of R1: 2 where the derivative is right and J is smooth.
    """

    steps: Float[np.ndarray, " s"]
    R0: Float[np.ndarray, " s"]
    R1: Float[np.ndarray, " s"]
    rates0: Float[np.ndarray, " r"]
    rates1: Float[np.ndarray, " r"]

    def __str__(self) -> str:
        rows = [f"{'step':>10} {'R0':>10} {'rate':>6} {'R1':>10} {'rate':>6}"]
        for i, step in enumerate(self.steps):
            rates = [f"{r[i - 1]:6.3f}" if i else " " * 6 for r in (self.rates0, self.rates1)]
            rows.append(f"{step:10.3g} {self.R0[i]:10.3e} {rates[0]} {self.R1[i]:10.3e} {rates[1]}")
        return "\n".join(rows)


@checked
def taylor_test(
    J: Callable[..., Any], m: Any, h: Any, dJ: Any = None, quiet: bool = False
) -> TaylorRates:
    """Check a derivative by the orders of Taylor's remainders, and print them.

        R0(e) = |J(m + e h) - J(m)|,    R1(e) = |J(m + e h) - J(m) - e dJ . h|

    for e = 0.01, 0.005, ...: R0 falls like e, and R1 like e^2 where the derivative is right and J
    is smooth between. What J keeps of its last point stays as it is.

    Args:
        J: A ReducedFunctional, or a function from (d,) to a number.
        m: (d,) where.
        h: (d,) the direction.
        dJ: (d,) the derivative at m; None: `J.derivative(m)`.
        quiet: Do not print.

    Returns:
        The least rate of R1 (infinite where all remainders are rounding), with all rates.

    Raises:
        ArgumentTypeError: J has no derivative, and none was given.
        NotConverged: J is not finite at one of the points.

    Example:
        >>> Jhat = ReducedFunctional(lambda m: (m**4).sum(), [1.0, 2.0], lambda m: 4 * m**3)
        >>> taylor_test(Jhat, [1.0, 2.0], [1.0, -1.0], quiet=True) > 1.95
        True
    """
    at, direction = vector("m", m), vector("h", h)
    if direction.shape != at.shape:
        raise ShapeError(f"h has shape {direction.shape}: expected {at.shape}")
    value: Callable[[Vector], Any] = J
    if isinstance(J, ReducedFunctional):
        value = J.value
        dJ = J.slope(at) if dJ is None else dJ
    elif dJ is None:
        raise ArgumentTypeError("dJ=None: J has no derivative of its own, expected (d,) numbers")
    slope = float(vector("dJ", dJ, len(at)) @ direction)
    steps = LARGEST / 2.0 ** np.arange(STEPS)
    with naming("J"):
        base = float(value(at))
        changes = np.array([float(value(at + e * direction)) for e in steps]) - base
    if not np.isfinite(changes).all():
        raise NotConverged("J is not finite near m")
    noise = ROUNDING * max(abs(base), 1e-300)
    R0, R1 = np.abs(changes), np.abs(changes - steps * slope)
    rates0, rates1 = (_orders(R, noise) for R in (R0, R1))
    found = TaylorRates(rates1.min())
    found.steps, found.R0, found.R1, found.rates0, found.rates1 = steps, R0, R1, rates0, rates1
    if not quiet:
        print(found)
    return found


def _orders(R: Float[np.ndarray, " s"], noise: float) -> Float[np.ndarray, " r"]:
    """(s - 1,) base-2 logarithms of neighbours' ratios; infinite where the later is rounding."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(R[1:] <= noise, np.inf, np.log2(R[:-1] / R[1:]))


@checked
def minimize(
    J: ReducedFunctional,
    method: str = "L-BFGS-B",
    bounds: Sequence[Any] | None = None,
    options: dict[str, Any] | None = None,
) -> OptimizeResult:
    """SciPy's `minimize` in coordinates in which the controls' inner product is the plain one.

    With v = sqrt(W) m the number of iterations does not grow as a mesh gets finer; on m itself, an
    optimiser's plain inner product is not that of the functions that m stands for.

    Args:
        J: What is minimised, from `J.m` on.
        method: Of scipy.optimize.minimize, one that uses gradients.
        bounds: (low, high) for each entry of m; None: none.
        options: Of the method.

    Returns:
        SciPy's result, with x and jac in the coordinates of m.

    Raises:
        ArgumentError: SciPy refuses the method, its bounds or options.
    """
    from scipy import optimize

    root = np.sqrt(J.weights)
    box: Sequence[Any] | None = None
    if bounds is not None:
        with naming("bounds"):
            pairs = floats("bounds", bounds)
            if pairs.shape != (len(J.m), 2):
                raise ShapeError(f"bounds have shape {pairs.shape}: expected ({len(J.m)}, 2)")
            box = (pairs * root[:, None]).tolist()
    with naming("method"):
        found = optimize.minimize(
            lambda v: J(v / root),
            J.m * root,
            jac=lambda v: J.derivative(v / root) / root,
            method=method,
            bounds=box,
            options=options,
        )
    found.x = found.x / root
    if "jac" in found:
        found.jac = found.jac * root
    return found


def vector(name: str, value: Any, d: int | None = None) -> Vector:
    """A copy of a vector of finite numbers, of length d where one is given.

    Raises:
        ShapeError: It is no vector, or of another length.
        NotFinite: A NaN or an infinity.
    """
    found = floats(name, value).copy()
    if found.ndim != 1 or not len(found) or (d is not None and len(found) != d):
        raise ShapeError(f"{name} has shape {found.shape}: expected ({'d' if d is None else d},)")
    if not np.isfinite(found).all():
        raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
    return found
