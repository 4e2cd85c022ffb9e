"""`minimize`: nonlinear programs in the call and with the result of scipy.optimize.minimize."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import OptimizeResult

from ..core.active import Trail
from ..core.annotations import checked
from ..core.budget import Budget, Meter
from ..core.checks import whole
from ..core.errors import ArgumentError, GoalReached, UnknownName, WrongProblem
from ..core.failure import users_own
from ..core.problem import Method
from ..core.registry import configure, default_method, load_method, methods
from ..core.run import Run, check_seed, run
from .details import Detailed
from .point import Point
from .problem import Program

if TYPE_CHECKING:
    from jaxtyping import Float

METHODS = {
    "slsqp": "scipy-slsqp",
    "trust-constr": "scipy-trust-constr",
    "cobyqa": "scipy-cobyqa",
    "sqpmethod": "casadi-sqpmethod",
}
"""SciPy's and casadi's names of methods -> registered ones; those have their registered names too.
"""
STATIONARY = 1e-4
"""KKT residual up to which a result counts as a success."""
ENDLESS = 10**15
"""Steps that no method makes."""


@checked
def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: str | Method | None = None,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
    multipliers: Any = None,
) -> OptimizeResult:
    """Minimise a smooth function under constraints.

        minimise    f(x)
        subject to  low <= c(x) <= high,  xl <= x <= xu

    Arguments and result are those of scipy.optimize.minimize. The result's figures are measured at
    its x by the judge of `Program`, not taken from the solver.

    Args:
        fun: f, from (n,), *args to a number.
        x0: (n,) where to begin.
        args: Further arguments of fun, jac, hess and hessp.
        method: A registered method that solves a Program ("ipopt", "uno", ...), SciPy's "SLSQP",
            "trust-constr" or "COBYQA" in any case, or a Method with its settings. None: the room's
            default.
        jac: Gradient; as in `Program`.
        hess: Hessian; as in `Program`.
        hessp: Hessian times a vector; as in `Program`.
        bounds: As in `Program`.
        constraints: As in `Program`; a mapping gives them names.
        callback: Called with an OptimizeResult (x, fun, multipliers, constraints, violations,
            maxcv; the values of constraints by name) of every iterate, as
            ``callback(intermediate_result)``. It ends the run by raising StopIteration.
        options: Settings of the method by name, "maxfev": evaluations at most, and "seed" of what
            is drawn; 0 without one.
        multipliers: Where the multipliers begin: (m,) or by name; those of an earlier result.

    Returns:
        x, fun, success (True where no scaled violation is above 1e-6 and the KKT residual is at
        most 1e-4), status (0 success; 1 feasible and not stationary, or it cannot be told; 2 not
        feasible), message (what the solver said of its end), nfev, njev, nhev, nit (iterates seen),
        jac (gradient there), multipliers (by constraint: >= 0 at an upper limit, <= 0 at a lower
        one; the Lagrangian is f + multipliers . c), kkt_residual, violations (by constraint),
        maxcv (the largest), method, and what the method's state says besides (`Detailed`): of
        "adasketch-newton" inner_iterations, eta and history, the KKT residuals by iteration.

    Raises:
        ArgumentError: An argument or option that cannot be.
        UnknownName: No such method.
        WrongProblem: The method solves other problems.
        Exception: What fun, a constraint, a derivative or the callback raised. Its `result` is what
            had been found until then; None where its figures meet the exception too.

    Example:
        >>> import numpy as np
        >>> from scipy.optimize import NonlinearConstraint
        >>> from feasible.programs import minimize
        >>> circle = NonlinearConstraint(lambda x: x @ x, -np.inf, 2)
        >>> found = minimize(lambda x: x[0] + x[1], [1.0, 0.0], constraints={"circle": circle})
        >>> found.x.round(4).tolist(), found.multipliers["circle"].round(4).tolist()
        ([-1.0, -1.0], [0.5])
    """
    problem = Program(
        fun,
        x0,
        jac=jac,
        hess=hess,
        hessp=hessp,
        bounds=bounds,
        constraints=constraints,
        multipliers=multipliers,
        args=args,
    )
    settings = dict(options or {})
    limits: dict[str, float] = {"steps": ENDLESS}
    if "maxfev" in settings:
        limits["evaluations"] = whole("maxfev", settings.pop("maxfev"), least=1)
    seed = check_seed(settings.pop("seed", 0))
    budget = Budget(**limits)
    chosen = _method(problem, method, budget, settings)
    chosen.check_installed()
    current = Run(problem, chosen, budget, seed, Meter(budget))
    watching = current.trail = _Watching(None if callback is None else users_own(callback))
    try:
        result = run(current)
    except Exception as error:
        so_far = None
        with suppress(Exception):  # its figures may need what ended the run
            so_far = _result(problem, error.result, watching.seen)  # type: ignore[attr-defined]
        with suppress(AttributeError):  # of an exception with slots
            error.result = so_far  # type: ignore[attr-defined]
        raise
    found = _result(problem, result, watching.seen)
    if isinstance(current.state, Detailed):
        found.update(current.state.details())
    return found


def _method(
    problem: Program, given: str | Method | None, budget: Budget, settings: dict[str, Any]
) -> Method:
    """Return the method with its settings."""
    if given is None:
        found, _ = default_method(problem, budget)
    elif isinstance(given, str):
        name = METHODS.get(given.lower(), given)
        known = sorted(e.name for e in methods().values() if e.solves == "Program")
        if name not in methods() and ":" not in name and "[" not in name:
            raise UnknownName(f"method={given!r}: expected one of {', '.join(known)}")
        found = load_method(name)
    else:
        found = load_method(given)
    if not isinstance(problem, found.solves):
        raise WrongProblem(
            f"method {found.name} solves {found.solves.__name__}, expected one for a Program"
        )
    if settings:
        fields = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
        unknown = [k for k in settings if k not in fields]
        if unknown:
            raise ArgumentError(
                f"options: {found.name} has no setting {unknown[0]!r}, expected maxfev, seed or "
                f"{', '.join(fields)}"
            )
        found = configure(type(found), fields | settings, found.name)
    return found


class _Watching(Trail):
    """Shows every answer to a callback, and judges none before the last.

    Attributes:
        callback: Called with each.
        seen: How many there were.
    """

    __slots__ = ("callback", "seen")

    def __init__(self, callback: Callable[..., Any] | None):
        super().__init__()
        self.callback, self.seen = callback, 0

    def at_step(self, run: Run, state: Any) -> None:
        """Nothing: the answers are those that are offered."""

    def offer(self, run: Run, answer: Any) -> None:
        """Count an answer, and call the callback."""
        self.seen += 1
        self.offered = run.step, answer
        if self.callback is None:
            return
        paused = run.meter.pause()
        try:
            self.callback(_iterate(run.problem, answer))  # type: ignore[arg-type]
        except StopIteration:
            raise GoalReached("the callback ended it") from None
        finally:
            if paused:
                run.meter.go_on()


def _iterate(problem: Program, answer: Point) -> OptimizeResult:
    """Return what a callback sees."""
    f, c = problem.known(answer.x)
    rows, outside = problem.missed(answer.x, c)
    violations = {n: float(rows[p].max(initial=0.0)) for n, p in problem.functions.slices.items()}
    return OptimizeResult(
        x=answer.x.copy(),
        fun=f,
        multipliers=_named(problem, answer.multipliers),
        constraints=_named(problem, c),
        violations=violations,
        maxcv=max([*violations.values(), float(outside.max(initial=0.0))]),
    )


def _named(
    problem: Program, multipliers: Float[np.ndarray, " m"] | None
) -> dict[str, Float[np.ndarray, " k"]] | None:
    """Return multipliers by the name of the constraint."""
    if multipliers is None:
        return None
    return {n: multipliers[part].copy() for n, part in problem.functions.slices.items()}


def _result(problem: Program, result: Any, seen: int) -> OptimizeResult:
    """Return SciPy's result of a run's."""
    verdict, answer = result.verdict, result.answer
    x = problem.x0 if answer is None else answer.x
    found = None
    if np.isfinite(verdict.objective):
        found = problem.certificate(x, verdict.objective, problem.functions.constraints(x))
    residual = None if found is None else found.residual
    success = bool(verdict.feasible and residual is not None and residual <= STATIONARY)
    return OptimizeResult(
        x=x,
        fun=verdict.objective,
        jac=None if found is None else found.gradient,
        success=success,
        status=0 if success else 1 if verdict.feasible else 2,
        message=" ".join([result.stopped, *result.notes]),
        nfev=int(result.spent.get("evaluations", 0)),
        njev=int(result.spent.get("gradients", 0)),
        nhev=int(result.spent.get("hessians", 0)),
        nit=seen,
        multipliers=_named(problem, None if found is None else found.multipliers),
        kkt_residual=residual,
        violations=dict(verdict.violations),
        maxcv=verdict.violation,
        method=result.method,
    )
