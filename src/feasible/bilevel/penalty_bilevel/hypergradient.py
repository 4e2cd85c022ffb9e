"""Gradients of the hyper-objective psi(x) = min { f(x, y) : y in S(x) }, as formulas.

References:
    J. Kwon, D. Kwon, S. Wright, R. Nowak, ICLR 2024, arXiv 2309.01753: psi_sigma and its gradient,
    and that of psi with several lower solutions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import linalg
from torch import Tensor
from torch.autograd import grad

from ...core.checks import real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, Infeasible
from ..follower import solve_follower
from ..layout import Layout
from ..levels import Constraint, Follower, Rows, hessian, value_and_gradients
from ..lower import Lower
from ..problem import Bilevel
from ..quadratic import SOLVED

if TYPE_CHECKING:
    from jaxtyping import Float

LARGEST = 1e6
"""Sigma above which f alone is minimised."""
MOST = 500
"""Variables of the lower level up to which its Hessian is formed."""


@dataclass(frozen=True)
class PenaltyGradient:
    """psi_sigma at one x.

    Attributes:
        value: (l(x, sigma) - l(x, 0)) / sigma, l(x, sigma) = min_y sigma f + g.
        gradient: (n,).
        y: (m,) a minimiser of sigma f + g.
        z: (m,) one of g.
    """

    value: float
    gradient: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " m"]
    z: Float[np.ndarray, " m"]


def penalty_hypergradient(problem: Bilevel, x: Any, sigma: float = 1e-3) -> PenaltyGradient:
    """Return psi_sigma and its gradient at x, with both inner problems solved.

    Its distance from that of psi is of the order of sigma. Nothing is charged.

    Args:
        problem: Without lower constraints beyond its set.
        x: (n,), or in the form of x0.
        sigma: > 0, at most 1e6.

    Raises:
        ArgumentError: sigma is out of range, or the lower level has constraints.
        Infeasible: An inner problem has no solution.
    """
    sigma = real("sigma", sigma, above=0, most=LARGEST)
    if not isinstance(problem, Bilevel):
        raise ArgumentTypeError(f"problem is a {type(problem).__name__}: expected a Bilevel")
    if len(problem.equal):
        raise ArgumentError("problem has lower constraints: expected a set that y is projected on")
    at = problem.x_layout.join("x", x)
    z = _minimiser(problem, at, 0.0, problem.y_start)
    y = _minimiser(problem, at, sigma, z)

    def gap(x: Tensor) -> Tensor:
        difference = problem.lower_value(x, y) - problem.lower_value(x, z)
        return problem.upper_value(x, y) + difference / sigma

    value, (gradient,) = value_and_gradients(gap, (at,), (0,))
    return PenaltyGradient(value, gradient.numpy(), y.numpy(), z.numpy())


def _minimiser(problem: Bilevel, x: Tensor, sigma: float, start: Tensor) -> Tensor:
    """Return a minimiser of sigma f + g over the lower level's set."""
    found = solve_follower(_joint(problem, sigma), x, [start], problem.tolerance, problem.convex)
    if found.status != SOLVED:
        said = "lower level" if sigma == 0 else "penalised lower level"
        raise Infeasible(f"the {said} at x is {found.status}: there is no gradient")
    size = [float((s.y - start).norm()) for s in found.solutions]
    return found.solutions[int(np.argmin(size))].y  # of several, the one nearest to the start


def exact_hypergradient(
    problem: Bilevel, x: Any, y: Any, rcond: float = 1e-8
) -> Float[np.ndarray, " n"]:
    """Return the gradient of psi at x where y is the optimistic answer of the lower level.

        grad psi = grad_x f - g_xy [g_yy]^+ grad_y f

    with the pseudo-inverse, so that a lower level may have several solutions. Where constraints are
    active, g_yy is bordered by their gradients: the matrix of the Karush-Kuhn-Tucker conditions,
    under strict complementarity.

    Args:
        problem: With at most 500 variables at the lower level.
        x: (n,), or in the form of x0.
        y: (m,), or in the form of y0: it must be a solution of the lower level, that of the least f
            where there are several.
        rcond: Singular values below this share of the largest count as 0.

    Raises:
        ArgumentError: Too many variables, or y solves the lower level nowhere near.
    """
    if not isinstance(problem, Bilevel):
        raise ArgumentTypeError(f"problem is a {type(problem).__name__}: expected a Bilevel")
    rcond = real("rcond", rcond, above=0, below=1)
    whole("m", problem.m, most=MOST, note=": the lower level's Hessian is formed")
    at, there = problem.x_layout.join("x", x), problem.join_y(y)
    _, (f_x, f_y) = value_and_gradients(problem.upper_value, (at, there), (0, 1))
    lower = Lower(_joint(problem), at, problem.tolerance)
    found = lower.conditions(there)
    if found is None:
        raise ArgumentError("y: expected a solution of the lower level at x, to its tolerance")
    lam, active = torch.from_numpy(found.own), (found.own != 0) | lower.equal

    def lagrangian(x: Tensor, y: Tensor) -> Tensor:
        return problem.lower_value(x, y) + lam @ problem.constraint_values(x, y)

    curved = hessian(lambda y: lagrangian(at, y), there)
    rows = found.strong
    system = np.block([[curved.numpy(), rows.T], [rows, np.zeros((len(rows), len(rows)))]])
    right = np.concatenate([f_y.numpy(), np.zeros(len(rows))])
    solved = linalg.lstsq(system, right, cond=rcond)[0]
    v, w = torch.from_numpy(solved[: problem.m].copy()), np.zeros(len(lam))
    w[active] = solved[problem.m :][found.of_own]
    weights = torch.from_numpy(w)

    def adjoint(x: Tensor) -> Tensor:
        """v . grad_y L + w . h, as a function of x."""
        leaf = there.clone().requires_grad_()
        (slope,) = grad(lagrangian(x, leaf), leaf, create_graph=True)
        return v @ slope + weights @ problem.constraint_values(x, there)

    _, (cross,) = value_and_gradients(adjoint, (at,), (0,))
    return (f_x - cross).numpy()


def _joint(problem: Bilevel, sigma: float = 0.0) -> Follower:
    """Return all followers as one, of the objective sigma f + g."""
    own = [
        replace(c, function=_on_part(c, f.part)) for f in problem.followers for c in f.constraints
    ]

    def value(x: Tensor, y: Tensor, rows: Rows = None) -> Tensor:
        lower = problem.lower_value(x, y)
        return lower + sigma * problem.upper_value(x, y) if sigma else lower

    layout = Layout(None, ((problem.m,),))
    return Follower("", value, layout, problem.lower_set, slice(0, problem.m), tuple(own))


def _on_part(c: Constraint, part: slice) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a follower's constraint as a function of all of y."""
    return lambda x, y: c.function(x, y[part])
