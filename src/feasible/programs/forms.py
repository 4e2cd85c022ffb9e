"""Programs of other libraries' forms: casadi's expressions, functions of torch tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse as sp
from scipy.optimize import Bounds, NonlinearConstraint

from ..core.annotations import checked
from ..core.checks import naming
from ..core.errors import ArgumentError, ArgumentTypeError, ShapeError, nearest
from ..core.extras import check_module
from .constraints import limits
from .problem import Program

if TYPE_CHECKING:
    from jaxtyping import Float


@checked
def from_casadi(
    nlp: Mapping[str, Any],
    x0: Any = 0.0,
    lbx: Any = -np.inf,
    ubx: Any = np.inf,
    lbg: Any = -np.inf,
    ubg: Any = np.inf,
    p: Any = None,
    lam_g0: Any = None,
    **more: Any,
) -> Program:
    """A program of casadi's expressions, with their exact first and second derivatives.

    Args:
        nlp: As `casadi.nlpsol` takes it: "x", "f", and where there are such "g" and "p".
        x0: (n,) where to begin; one number for all.
        lbx: (n,) lower bounds; one number for all.
        ubx: (n,) upper bounds.
        lbg: (m,) lower limits of g.
        ubg: (m,) upper limits of g.
        p: Values of the parameters.
        lam_g0: (m,) multipliers to begin from.
        **more: `name`, `tolerance` and `best_known` of the `Program`.

    Returns:
        A `Program` with the constraint "g".

    Raises:
        MissingExtra: casadi is not installed.
        ArgumentError: A key that casadi does not know, no "x" or no "f", parameters without values.
        ShapeError: More or fewer values than there are parameters.
    """
    check_module("casadi", "from_casadi")
    import casadi

    known = ("x", "f", "g", "p")
    for key in nlp:
        if key not in known:
            raise ArgumentError(f"nlp has the key {key!r}: {nearest(key, known)}")
    for key in ("x", "f"):
        if key not in nlp:
            raise ArgumentError(f"nlp has no {key!r}")
    x, f = nlp["x"], nlp["f"]
    g = nlp.get("g", casadi.DM(0, 1))
    given = nlp.get("p", casadi.DM(0, 1))
    n, m = int(x.numel()), int(g.numel())
    if given.numel() and p is None:
        raise ArgumentError("nlp has parameters 'p', but no values were given: p=...")
    with naming("p"):
        values = casadi.DM(0, 1) if p is None else casadi.DM(np.array(p, dtype=float))
    if values.numel() != given.numel() and (values.numel() != 1 or not given.numel()):
        raise ShapeError(f"p holds {values.numel()} numbers, expected {given.numel()}")
    y = type(x).sym("y", m)

    def function(expression: Any, *inputs: Any) -> Callable[..., Any]:
        made = casadi.Function("made", [x, given, *inputs], [expression])
        return lambda at, *rest: made(at, values, *rest)

    def dense(expression: Any) -> Callable[..., Float[np.ndarray, " k"]]:
        made = function(expression)
        return lambda at: np.array(made(at)).reshape(-1)

    def matrix(expression: Any, *inputs: Any) -> Callable[..., sp.csc_array]:
        made = function(expression, *inputs)
        return lambda at, *rest: sp.csc_array(made(at, *rest).sparse())

    value, constraints = dense(f), {}
    if m:
        low, high = limits(lbg, ubg, m, "lbg, ubg")
        hessian = matrix(casadi.hessian(casadi.dot(y, g), x)[0], y)
        rows = NonlinearConstraint(dense(g), low, high, matrix(casadi.jacobian(g, x)), hessian)
        constraints["g"] = rows
    return Program(
        lambda at: float(value(at)[0]),
        np.broadcast_to(np.asarray(x0), n) if np.ndim(x0) == 0 else x0,
        jac=dense(casadi.gradient(f, x)),
        hess=matrix(casadi.hessian(f, x)[0]),
        bounds=Bounds(*limits(lbx, ubx, n, "lbx, ubx", "variable")),
        constraints=constraints,
        multipliers=None if lam_g0 is None or not m else lam_g0,
        **more,
    )


@checked
def from_torch(
    fun: Callable[[Any], Any],
    x0: Any,
    equal: Mapping[str, Callable[[Any], Any]] | None = None,
    at_most: Mapping[str, Callable[[Any], Any]] | None = None,
    **more: Any,
) -> Program:
    """A program of functions of tensors, all of whose derivatives come from torch.

        minimise    fun(x)
        subject to  equal[name](x) == 0,  at_most[name](x) <= 0

    Args:
        fun: From a (n,) tensor of double precision to a scalar tensor.
        x0: (n,) where to begin.
        equal: By name, functions to (k,) tensors that must be 0.
        at_most: By name, functions to (k,) tensors that must be at most 0.
        **more: `bounds`, `multipliers`, `name`, `tolerance` and `best_known` of the `Program`.

    Raises:
        ArgumentTypeError: A constraint is no function.
        ArgumentError: Two constraints have one name.
    """
    constraints = {}
    for kind, given, low in (("equal", equal, 0.0), ("at_most", at_most, -np.inf)):
        for name, one in (given or {}).items():
            if not callable(one):
                raise ArgumentTypeError(f"{kind}: constraint '{name}' is no function")
            if name in constraints:
                raise ArgumentError(f"two constraints have the name '{name}'")
            constraints[name] = NonlinearConstraint(one, low, 0.0, jac="torch")
    return Program(fun, x0, jac="torch", constraints=constraints, **more)
