"""`gns_minimize`, and the same as a method of scipy.optimize.minimize.

References:
    Semenov, Jaggi, Doikov, "Gradient-Normalized Smoothness for Optimization with Approximate
    Hessians", ICLR 2026, arXiv 2506.13710, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import OptimizeResult
from scipy.sparse.linalg import LinearOperator

from ...core.callbacks import scipy_callback
from ...core.checks import flag, one_of, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, nearest
from ..constraints import read_start
from ..derivatives import RULES, torch_hessian
from ..functions import Functions
from .linear import Metric
from .newton import GNSState, Oracles, advance, begin, finished
from .settings import GNSSettings

if TYPE_CHECKING:
    from jaxtyping import Float

CONVERGED, MOST, STUCK, ENDED = 0, 1, 2, 99
"""Status: small gradient; iterations are over; no step passed the test; the callback ended it."""
COLUMNS = ("f", "norm", "gamma", "lam", "trials", "seconds")
SCIPY = {"maxiter": "max_iter", "tol": "gtol"}
"""SciPy's names of options -> ours."""


def gns_minimize(
    fun: Callable[..., Any],
    jac: Any,
    x0: Any,
    hess: Any = None,
    metric: Any = None,
    *,
    args: Any = (),
    hessp: Callable[..., Any] | None = None,
    gamma: str | Callable[[float], float] = GNSSettings.gamma,
    gamma0: float = GNSSettings.gamma0,
    test: str = GNSSettings.test,
    constant: float = GNSSettings.constant,
    shrink: float = GNSSettings.shrink,
    grow: float = GNSSettings.grow,
    gamma_min: float = GNSSettings.gamma_min,
    max_search: int = GNSSettings.max_search,
    gtol: float = GNSSettings.gtol,
    max_iter: int = 1000,
    f_star: float | None = None,
    ftol: float = 1e-8,
    check_psd: bool = False,
    callback: Callable[..., Any] | None = None,
) -> OptimizeResult:
    """Minimise a smooth function by Newton steps with an approximate Hessian.

        minimise  f(x):  x+ = x - (H(x) + lambda B)^-1 grad f(x),  lambda = |grad f(x)|_* / gamma

    gamma is searched for, so that no constant of f has to be known: steps are as long as H models
    the gradient well. H may be exact, or any positive semidefinite approximation.

    Args:
        fun: f, from x (d,), *args to a number; with jac=True to (number, gradient). A NaN, an
            infinity or an ArithmeticError says that x is outside its domain: the step is shortened.
        jac: Its gradient: a function; True; "2-point" or "3-point" for differences, None for the
            first; "torch" where fun takes tensors.
        x0: (d,) where to begin. A tensor: functions get tensors like it, and x and jac of the
            result are such; without jac, torch differentiates.
        hess: H, a function to (d, d) dense or sparse, (d,) for a diagonal, `LowRank`, `RankOne` or
            a LinearOperator, for which a step takes conjugate gradients; "torch" for the exact
            Hessian. None: 0, a gradient method.
        metric: B, as H or as a `Metric`; None: the identity. A'A suits functions of A x.
        args: Further arguments of fun, jac, hess and hessp; what is no tuple is one argument.
        hessp: H times a vector, from (x, p, *args), in place of hess.
        gamma: "adaptive", "constant", or a function of the gradient's dual norm.
        gamma0: First gamma.
        test: "function", or "gradient" for convex f.
        constant: c of the test.
        shrink: Factor of gamma after a rejection.
        grow: Factor of gamma after a step.
        gamma_min: Least gamma after a step.
        max_search: Steps that are tried in one iteration.
        gtol: Dual norm of the gradient at which it has converged.
        max_iter: Iterations at most.
        f_star: Least value of f, where it is known: it has converged when f is within ftol of it.
        ftol: See f_star.
        check_psd: Raise where a Hessian given as a matrix is not symmetric, or has an eigenvalue
            below -1e-8 times its largest.
        callback: Called after each step with x, or, where its parameter has that name, with an
            OptimizeResult as ``intermediate_result``. It ends the run by raising StopIteration, or
            by returning True; any other exception travels on.

    Returns:
        x, fun, jac (the gradient), nit, nfev, njev, nhev, nsolve (linear systems), success, status
        (0 converged, 1 max_iter, 2 no step passed the test: x is the last that did, 99 the callback
        ended it), message, and trace, a dictionary of arrays with one entry for x0 and each step:
        f, norm (of the gradient), gamma, lam, trials, seconds.

    Raises:
        ArgumentError: A setting out of its range, a metric that is not positive definite, or what
            check_psd forbids.
        ArgumentTypeError: x0 is complex, or a function returned no real numbers.
        NotFinite: x0, or f or its gradient there, is not finite.
        ShapeError: A function returned another shape.

    Example:
        >>> import numpy as np
        >>> from feasible.programs import gns_minimize
        >>> found = gns_minimize(
        ...     lambda x: np.cosh(x).sum(), np.sinh, [3.0, -1.0], lambda x: np.cosh(x), gtol=1e-6
        ... )
        >>> found.success, np.abs(found.x).max() < 1e-6, found.nit < 10
        (True, np.True_, True)

    References:
        Semenov, Jaggi, Doikov, ICLR 2026, arXiv 2506.13710, Algorithm 1.
    """
    settings = GNSSettings(
        gamma=gamma,
        gamma0=gamma0,
        test=test,
        constant=constant,
        shrink=shrink,
        grow=grow,
        gamma_min=gamma_min,
        max_search=max_search,
        gtol=gtol,
    )
    start = read_start(x0)
    like = x0 if hasattr(x0, "detach") else None
    args = args if isinstance(args, tuple) else (args,)
    asked, functions = _oracles(fun, jac, hess, hessp, args, start, like)
    oracles = Oracles(*asked, flag("check_psd", check_psd))
    best = -np.inf if f_star is None else real("f_star", f_star) + real("ftol", ftol, least=0)
    most, tell = whole("max_iter", max_iter, least=0), scipy_callback(callback)

    begun, rows = perf_counter(), []
    b = Metric.of(metric, len(start))
    state = begin(oracles, b, settings, start)
    status = None
    while status is None:
        rows.append(_row(state, perf_counter() - begun))
        if state.f <= best:
            status, why = CONVERGED, f"f is within {ftol:g} of its least value"
        elif state.size <= settings.gtol:
            status, why = CONVERGED, finished(settings, state) or ""
        elif state.nit >= most:
            status, why = MOST, f"{most} iterations are over"
        else:
            with np.errstate(all="ignore"):
                advance(oracles, b, settings, state)
            if state.why:
                status, why = STUCK, state.why
            elif tell(_intermediate(state, like)):
                status, why = ENDED, "the callback ended it"
                rows.append(_row(state, perf_counter() - begun))
    return OptimizeResult(
        x=_alike(state.x, like),
        fun=state.f,
        jac=_alike(state.g, like),
        nit=state.nit,
        nfev=state.nfev + state.njev * functions.differenced,
        njev=state.njev,
        nhev=state.nhev,
        nsolve=state.nsolve,
        success=status == CONVERGED,
        status=status,
        message=why,
        trace=dict(zip(COLUMNS, np.array(rows).T, strict=True)),
    )


def gns(
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    jac: Any = None,
    hess: Any = None,
    hessp: Callable[..., Any] | None = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Callable[..., Any] | None = None,
    **options: Any,
) -> OptimizeResult:
    """`gns_minimize` as a custom method of SciPy: ``scipy.optimize.minimize(..., method=gns)``.

        minimise  f(x)

    Args:
        fun: f.
        x0: Where to begin.
        args: Further arguments.
        jac: Gradient.
        hess: Hessian or an approximation of it, as in `gns_minimize`.
        hessp: The same times a vector.
        bounds: Must be None.
        constraints: Must be empty.
        callback: As in `gns_minimize`.
        **options: Other arguments of `gns_minimize`; SciPy's maxiter and tol, for max_iter and
            gtol.

    Returns:
        As `gns_minimize`.

    Raises:
        ArgumentError: Bounds, constraints, an option that there is not; and as `gns_minimize`.

    Example:
        >>> from scipy.optimize import minimize, rosen, rosen_der, rosen_hess
        >>> from feasible.programs import gns
        >>> minimize(rosen, [-1.2, 1.0], jac=rosen_der, hess=rosen_hess, method=gns).x.round(6)
        array([1., 1.])
    """
    if bounds is not None:
        raise ArgumentError("bounds: this method takes none")
    if not (constraints is None or (isinstance(constraints, (list, tuple)) and not constraints)):
        raise ArgumentError("constraints: this method takes none")
    known = {f.name for f in fields(GNSSettings)} | {"metric", "max_iter", "f_star", "ftol"}
    given = {SCIPY.get(name, name): value for name, value in options.items() if value is not None}
    for name in given:
        if name not in known | {"check_psd"}:
            raise ArgumentError(f"options: {name!r}: {nearest(name, [*known, *SCIPY])}")
    return gns_minimize(fun, jac, x0, hess, args=args, hessp=hessp, callback=callback, **given)


def _oracles(
    fun: Any,
    jac: Any,
    hess: Any,
    hessp: Any,
    args: tuple[Any, ...],
    x0: Float[np.ndarray, " d"],
    like: Any,
) -> tuple[tuple[Any, Any, Any], Functions]:
    """Return f, its gradient and H as functions of an array, and what computes the first two."""
    for name, one in (("fun", fun), ("hessp", hessp)):
        if not (callable(one) or (one is None and name == "hessp")):
            raise ArgumentTypeError(f"{name} is a {type(one).__name__}, expected a function")
    if not (callable(jac) or jac is None or isinstance(jac, (bool, str))):
        raise ArgumentTypeError(f"jac is a {type(jac).__name__}, expected a function")
    if not (callable(hess) or hess is None):
        one_of("hess", hess, ("torch",), note=", a function or None")
    if isinstance(jac, str):
        one_of("jac", jac, (*RULES, "torch"), note=", a function, True or None")

    def of(one: Any) -> Any:
        if not callable(one):
            return one
        return lambda x, *more: one(_alike(x, like), *more, *args)

    how = ("2-point" if like is None else "torch") if jac in (None, False) else of(jac)
    both = jac is True
    f = _Remembered(of(fun)) if both else of(fun)
    open_side = np.full(len(x0), np.inf)
    functions = Functions(f, how, None, None, both, [], x0, -open_side, open_side)
    asked = _Asked(functions)
    if hess == "torch":
        return (asked.value, asked.gradient, lambda x: torch_hessian(of(fun), x, 1.0)), functions
    if hess is None and hessp is not None:
        product, shape = of(hessp), (len(x0), len(x0))

        def curved(x: Float[np.ndarray, " d"]) -> LinearOperator:
            def times(v: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
                found = product(x.copy(), _alike(v.ravel(), like))
                return np.asarray(found.detach().cpu() if hasattr(found, "detach") else found)

            return LinearOperator(shape, matvec=times, dtype=np.float64)

        return (asked.value, asked.gradient, curved), functions
    given = of(hess)
    return (asked.value, asked.gradient, lambda x: given and given(x.copy())), functions


class _Remembered:
    """A function of x that returns what it did last where it is asked for the same again."""

    def __init__(self, function: Callable[..., Any]):
        self.function, self.key, self.found = function, b"", None

    def __call__(self, x: Float[np.ndarray, " d"]) -> Any:
        key = x.tobytes()
        if key != self.key:
            self.found, self.key = self.function(x), key
        return self.found


class _Asked:
    """f and its gradient, whose differences begin from the value that is known."""

    def __init__(self, functions: Functions):
        self.functions, self.last = functions, (np.empty(0), 0.0)

    def value(self, x: Float[np.ndarray, " d"]) -> float:
        """f(x)."""
        self.last = x, self.functions.value(x)
        return self.last[1]

    def gradient(self, x: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        """Its gradient."""
        return self.functions.gradient(x, self.last[1] if x is self.last[0] else None)


def _alike(x: Any, like: Any) -> Any:
    """Return an array as a tensor like another one, or, like None, as it is."""
    if like is None:
        return x
    import torch

    return torch.as_tensor(x).to(dtype=like.dtype, device=like.device)


def _row(state: GNSState, seconds: float) -> tuple[float, ...]:
    """Return a row of the trace."""
    return state.f, state.size, state.used, state.lam, state.trials, seconds


def _intermediate(state: GNSState, like: Any) -> OptimizeResult:
    """Return what a callback sees."""
    return OptimizeResult(
        x=_alike(state.x.copy(), like),
        fun=state.f,
        jac=_alike(state.g.copy(), like),
        nit=state.nit,
        gamma=state.used,
    )
