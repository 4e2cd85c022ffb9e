"""The room's search for smooth functions in SciPy's manner: `minimize`, which is also a custom
method of `scipy.optimize.minimize`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.optimize import OptimizeResult

from ...core.annotations import checked
from ...core.budget import Budget, Meter
from ...core.callbacks import scipy_callback
from ...core.checks import naming, real, whole
from ...core.errors import ArgumentTypeError, GoalReached, NotFinite, ShapeError
from ...core.evaluating import RunOptions
from ...core.problem import Method
from ...core.run import Run, active_run, check_seed, run
from ...core.warning import warn
from ..problem import BlackBox
from .hybrid import Hybrid, HybridState

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ...core.ledger import Observation

STOPPED = "stopped by the callback"
PER_INPUT = 100
"""Evaluations for each input, and one more, where nobody says how many."""


class _Raised(BaseException):
    """Carries an error of the user's function past everything that takes one for a failed row."""

    def __init__(self, error: Exception):
        super().__init__()
        self.error = error


@checked
def minimize(
    fun: Callable[..., float],
    x0: ArrayLike,
    args: tuple[Any, ...] = (),
    *,
    bounds: Any = None,
    constraints: Any = (),
    callback: Callable[..., Any] | None = None,
    maxfev: int | None = None,
    seed: int = 0,
    catol: float = 1e-6,
    method: Hybrid | None = None,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
) -> OptimizeResult:
    """Minimise a function of which only values are known, with or without limits.

    minimise f(x)  subject to  SciPy's constraints,  low <= x <= high (any of them open)

    Args:
        fun: (d,), *args -> the objective, a number. NaN and infinite values are failed
            evaluations, which the search goes around; what fun raises travels on.
        x0: (d,) a design to start from, inside the bounds. It is evaluated first.
        args: Further arguments of fun.
        bounds: SciPy's Bounds, or [(low, high), ...] with None for an open side.
        constraints: SciPy's NonlinearConstraint, LinearConstraint or {"type", "fun"} mappings,
            alone or in a list.
        callback: Called with the best point so far after every step that found a better one;
            with `intermediate_result=` (an OptimizeResult) where that is the name of its argument,
            as in SciPy. It ends the search by raising StopIteration, or by returning True.
        maxfev: Evaluations at most; None for 100 (d + 1). The search uses them all: once it has
            converged it looks elsewhere.
        seed: From which all randomness derives.
        catol: Violation of a constraint, in units of its bound or, where that is 0, of the spread
            of its first values, up to which a point counts as feasible.
        method: A `Hybrid` with settings of its own.
        jac: Not used, with a warning.
        hess: Not used.
        hessp: Not used.

    Returns:
        SciPy's OptimizeResult: x and fun (the best point evaluated), maxcv (its largest
        violation, in the constraint's own unit), nfev, nit (steps of the search), success (True
        where it is feasible), status (0 the evaluations are used up, or no other point lies in the
        box; 2 nothing feasible was found; 3 stopped by the callback), message.

    Raises:
        ArgumentError: An argument that cannot be.
        BoundsError: Bounds that cross, or x0 outside of them.

    Example:
        >>> from scipy.optimize import minimize as scipy_minimize
        >>> from feasible.blackbox import minimize
        >>> def valley(x):
        ...     return (x[0] - 1) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        >>> result = minimize(valley, [-1.0, 1.0], bounds=[(-2, 2)] * 2, maxfev=150)
        >>> bool(result.fun < 1e-8), result.nfev
        (True, 150)
        >>> same = scipy_minimize(
        ...     valley, [-1.0, 1.0], method=minimize, bounds=[(-2, 2)] * 2, options={"maxfev": 150}
        ... )
        >>> same.fun == result.fun
        True
    """
    if not callable(fun):
        raise ArgumentTypeError(f"fun: got {type(fun).__name__}, expected a function")
    if any(g is not None and g is not False for g in (jac, hess, hessp)):
        warn("jac, hess and hessp are not used: only values are")
    start = np.atleast_1d(np.asarray(x0, dtype=float)).ravel()
    if not np.isfinite(start).all():
        raise NotFinite(f"x0: got {start.tolist()}, expected finite numbers")
    d = len(start)
    if not d:
        raise ShapeError("x0 is empty: expected at least one number")
    catol = real("catol", catol, least=0)
    n = PER_INPUT * (d + 1) if maxfev is None else whole("maxfev", maxfev, least=1)

    def objective(x: np.ndarray) -> float:
        try:
            found: Any = fun(x, *args)
            if jac is True:
                with naming("jac=True, so that fun returns its value and its gradient"):
                    found = found[0]
            value = np.asarray(found, dtype=float)
            if value.size != 1:
                raise ShapeError(f"fun returned an array of shape {value.shape}, expected a number")
        except Exception as error:
            raise _Raised(error) from None
        return float(value.ravel()[0])

    problem = BlackBox(
        objective,
        bounds=[(None, None)] * d if bounds is None else bounds,
        constraints=constraints,
        x0=start,
        tolerance=catol,
        name=getattr(fun, "__name__", "fun"),
    )
    budget, search = Budget(evaluations=n), method or Hybrid()
    current = Run(
        problem,
        search if callback is None else _Called(search, scipy_callback(callback)),
        budget,
        check_seed(seed),
        Meter(budget),
        options=RunOptions(on_failure="skip"),
    )
    try:
        found = run(current)
    except _Raised as raised:
        raise raised.error from None
    best: Observation | None = found.answer
    feasible = best is not None and bool(found.verdict.feasible)
    status = 3 if found.stopped == STOPPED else 0 if feasible else 2
    message = found.stopped if feasible else f"no feasible point was found; {found.stopped}"
    return OptimizeResult(
        x=start if best is None else np.array(best.x),
        fun=np.nan if best is None else float(best.objective),
        maxcv=np.nan if best is None else _excess(problem, best),
        nfev=int(found.spent["evaluations"]),
        nit=found.steps,
        status=status,
        success=feasible,
        message=message,
    )


def _excess(problem: BlackBox, best: Observation) -> float:
    """Return the largest violation in the constraints' own units; inf where one is not known."""
    slacks = [q.slack(best.metrics.get(q.name, np.nan)) for q in problem.limits.limits]
    return max([0.0, *(np.inf if s != s else -s for s in slacks)])


@dataclass(frozen=True)
class _Called(Method):
    """A search that calls SciPy's kind of callback after each step that found a better point."""

    search: Hybrid
    ends: Callable[[OptimizeResult], bool]
    name: ClassVar[str] = Hybrid.name
    solves: ClassVar[type[BlackBox]] = BlackBox

    def init(self, problem: BlackBox, rng: np.random.Generator) -> HybridState:
        """The search's own state."""
        return self.search.init(problem, rng)

    def step(self, problem: BlackBox, state: HybridState) -> HybridState:
        """A step of the search. Raises GoalReached where the callback ends it."""
        run = active_run.get()
        assert run is not None
        before = run.incumbent()
        state = self.search.step(problem, state)
        best = run.incumbent()
        if best is not None and best is not before:
            seen = OptimizeResult(x=np.array(best.x), fun=float(best.objective))
            if self.ends(seen):
                raise GoalReached(STOPPED)
        return state

    def answer(self, problem: BlackBox, state: HybridState) -> Any:
        """The best observation."""
        return self.search.answer(problem, state)

    def done(self, problem: BlackBox, state: HybridState) -> str | None:
        """What the search says."""
        return self.search.done(problem, state)


__all__ = ["minimize"]
