"""SciPy's local solvers as methods: COBYQA, COBYLA, SLSQP, trust-constr, L-BFGS-B and Nelder-Mead,
from x0 or the middle of the box, then from random points; see `scipy`.

References:
    scipy.optimize; T. M. Ragonneau, Z. Zhang, COBYQA (2024); M. J. D. Powell, COBYLA (1994); D.
    Kraft, SLSQP (1988); R. H. Byrd, M. E. Hribar, J. Nocedal (1999) for trust-constr; R. H. Byrd,
    P. Lu, J. Nocedal (1995) for L-BFGS-B; J. A. Nelder, R. Mead (1965).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import optimize

from ...core.checks import real, whole
from ...core.errors import ArgumentError
from ..problem import BlackBox
from .scipy import Foreign, Oracle, Restarting


@dataclass(frozen=True)
class COBYQA(Foreign):
    """SciPy's COBYQA: a trust region with quadratic models, without derivatives.

    Bounds are always respected.

    Attributes:
        initial_tr_radius: First radius of the trust region, in the variables' units.
        final_tr_radius: Radius at which a run has converged, in the same unit.
        feasibility_tol: Largest violation that SciPy takes as feasible, in units of the limits.

    References:
        T. M. Ragonneau, Z. Zhang, COBYQA (2024).
    """

    name: ClassVar[str] = "cobyqa"
    initial_tr_radius: float = 1.0
    final_tr_radius: float = 1e-6
    feasibility_tol: float = 1e-8

    def __post_init__(self) -> None:
        for name in ("initial_tr_radius", "final_tr_radius"):
            real(name, getattr(self, name), above=0)
        if self.final_tr_radius > self.initial_tr_radius:
            raise ArgumentError(
                f"final_tr_radius={self.final_tr_radius:g}: expected at most "
                f"initial_tr_radius={self.initial_tr_radius:g}"
            )
        real("feasibility_tol", self.feasibility_tol, least=0)

    def solver(
        self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray | None
    ) -> None:
        """Run COBYQA once; see `Foreign.solver`."""
        options = {
            "initial_tr_radius": self.initial_tr_radius,
            "final_tr_radius": self.final_tr_radius,
            "feasibility_tol": self.feasibility_tol,
        }
        local(oracle, z0, "COBYQA", options)


@dataclass(frozen=True)
class SLSQP(Foreign):
    """SciPy's SLSQP: sequential quadratic programming with forward differences.

    Attributes:
        ftol: SciPy's tolerance on the objective, at which a run has converged.
        eps: Absolute step of the forward differences, in the variables' units.
        maxiter: Most iterations of a run.

    References:
        D. Kraft, SLSQP (1988).
    """

    name: ClassVar[str] = "slsqp"
    ftol: float = 1e-6
    eps: float = 1.4901161193847656e-08
    maxiter: int = 100

    def __post_init__(self) -> None:
        for name in ("ftol", "eps"):
            real(name, getattr(self, name), above=0)
        whole("maxiter", self.maxiter, least=1)

    def solver(
        self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray | None
    ) -> None:
        """Run SLSQP once; see `Foreign.solver`."""
        local(oracle, z0, "SLSQP", {"ftol": self.ftol, "eps": self.eps, "maxiter": self.maxiter})


@dataclass(frozen=True)
class TrustConstr(Foreign):
    """SciPy's trust-constr: a trust-region interior point with forward differences and BFGS.

    Attributes:
        gtol: Norm of the Lagrangian's gradient at which a run has converged.
        xtol: Radius of the trust region at which a run has converged, in the variables' units.
        maxiter: Most iterations of a run.

    References:
        R. H. Byrd, M. E. Hribar, J. Nocedal (1999).
    """

    name: ClassVar[str] = "trust-constr"
    gtol: float = 1e-8
    xtol: float = 1e-8
    maxiter: int = 1000

    def __post_init__(self) -> None:
        for name in ("gtol", "xtol"):
            real(name, getattr(self, name), least=0)
        whole("maxiter", self.maxiter, least=1)

    def solver(
        self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray | None
    ) -> None:
        """Run trust-constr once, from a point strictly inside the box; see `Foreign.solver`."""
        frame = oracle.frame
        room = np.where(np.isfinite(frame.high - frame.low), 1e-6 * (frame.high - frame.low), 0.0)
        inside = np.clip(
            oracle.frame.middle if z0 is None else z0, frame.low + room, frame.high - room
        )
        options = {"gtol": self.gtol, "xtol": self.xtol, "maxiter": self.maxiter}
        local(oracle, inside, "trust-constr", options)


@dataclass(frozen=True)
class COBYLA(Foreign):
    """SciPy's COBYLA: a trust region with linear models, without derivatives.

    Attributes:
        rhobeg: First radius of the trust region, in the variables' units.
        tol: Radius at which a run has converged, in the same unit; None for SciPy's.
        catol: Largest violation that SciPy takes as feasible; None for SciPy's.
        maxiter: Most evaluations of a run.

    References:
        M. J. D. Powell, A direct search optimization method that models the objective and
        constraint functions by linear interpolation (1994).
    """

    name: ClassVar[str] = "cobyla"
    rhobeg: float = 1.0
    tol: float | None = None
    catol: float | None = None
    maxiter: int = 1000

    def solver(
        self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray | None
    ) -> None:
        """Run COBYLA once; see `Foreign.solver`."""
        options = {"rhobeg": self.rhobeg, "maxiter": self.maxiter}
        options |= {k: v for k, v in (("tol", self.tol), ("catol", self.catol)) if v is not None}
        local(oracle, z0, "COBYLA", options)


@dataclass(frozen=True)
class LBFGSB(Foreign):
    """SciPy's L-BFGS-B with forward differences, for problems without limits.

    Attributes:
        ftol: Relative decrease of the objective at which a run has converged.
        gtol: Largest entry of the projected gradient at which a run has converged.
        eps: Absolute step of the forward differences, in the variables' units.
        maxiter: Most iterations of a run.

    References:
        R. H. Byrd, P. Lu, J. Nocedal, A limited memory algorithm for bound constrained
        optimization, SIAM J. Scientific and Statistical Computing 16 (1995).
    """

    name: ClassVar[str] = "l-bfgs-b"
    takes_limits: ClassVar[bool] = False
    ftol: float = 2.220446049250313e-09
    gtol: float = 1e-05
    eps: float = 1e-08
    maxiter: int = 15000

    def solver(
        self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray | None
    ) -> None:
        """Run L-BFGS-B once; see `Foreign.solver`."""
        options = {"ftol": self.ftol, "gtol": self.gtol, "eps": self.eps, "maxiter": self.maxiter}
        local(oracle, z0, "L-BFGS-B", options)


@dataclass(frozen=True)
class NelderMead(Foreign):
    """SciPy's simplex search of Nelder and Mead, for problems without limits.

    Attributes:
        xatol: Width of the simplex at which a run has converged, in the variables' units.
        fatol: Spread of the objective over the simplex at which it has.
        adaptive: Weights of the moves by the dimension.

    References:
        J. A. Nelder, R. Mead, A simplex method for function minimization, Computer J. 7 (1965).
    """

    name: ClassVar[str] = "nelder-mead"
    takes_limits: ClassVar[bool] = False
    xatol: float = 1e-4
    fatol: float = 1e-4
    adaptive: bool = False

    def solver(
        self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray | None
    ) -> None:
        """Run the simplex search once; see `Foreign.solver`."""
        options = {"xatol": self.xatol, "fatol": self.fatol, "adaptive": self.adaptive}
        local(oracle, z0, "Nelder-Mead", options)


def local(oracle: Oracle, z0: np.ndarray | None, method: str, options: dict[str, Any]) -> None:
    """Run a local solver of SciPy once from z0 (k,), inside the bounds."""
    frame, constraints = oracle.frame, oracle.constraints()
    optimize.minimize(
        oracle.objective,
        frame.middle if z0 is None else z0,
        method=method,
        bounds=optimize.Bounds(frame.low, frame.high, keep_feasible=True),
        constraints=constraints,
        options=options,
    )


__all__ = ["COBYLA", "COBYQA", "LBFGSB", "SLSQP", "NelderMead", "TrustConstr"]
