"""Methods of a run: the interior-point method, the gradient method, the solvers of cvxpy, and the
product of norms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.budget import active_meter
from ...core.extras import check_module
from ...core.problem import Method, Problem
from . import newton
from .bound import chosen
from .certify import certified, interior
from .lmi import LMI
from .problem import LipschitzCertificate, Multipliers
from .settings import LipschitzSettings

if TYPE_CHECKING:
    from jaxtyping import Float

    from .gradient import GradientState


@dataclass(slots=True)
class CertificateState:
    """Where a run stands.

    Attributes:
        solver: Which finds the multipliers.
        theta: (p,) the start, or what a solver of cvxpy left.
        newton: State of the interior-point method, where that is the solver.
        gradient: State of the gradient method, where that is the solver.
        why: Why it is over; empty before.
    """

    solver: str
    theta: Float[np.ndarray, " p"]
    newton: newton.InteriorState | None = None
    gradient: GradientState | None = None
    why: str = ""


@dataclass(frozen=True)
class LipSDP(LipschitzSettings, Method):
    """Find the multipliers of the least bound on a Lipschitz constant.

    A step is one of the solver's; those of cvxpy make all of theirs in one. Before the first the
    answer is a bound by recursion over the layers, like the product of their norms. The settings
    are those of `settings.LipschitzSettings`.

    References:
        Pauli et al., ICLR 2024, arXiv 2401.14033.
    """

    solves: ClassVar[type[Problem]] = LipschitzCertificate
    name: ClassVar[str] = "lipsdp"

    def check_installed(self) -> None:
        """Raise MissingExtra where the solver's package is missing."""
        super().check_installed()
        if self.solver in ("clarabel", "scs"):
            check_module("cvxpy", f"solver '{self.solver}'")

    def init(self, problem: LipschitzCertificate, rng: np.random.Generator) -> CertificateState:
        """Bound the network without a program."""
        lmi = problem.inequality(self.form)
        problem.charge()
        posed = newton.bounded_state(lmi) if lmi.system.loop else None
        state = CertificateState(chosen(lmi, problem.net, self), interior(lmi, posed))
        if state.solver == "newton":
            state.newton = newton.at(lmi.within(state.theta, newton.LARGEST), state.theta)
        elif state.solver == "gradient":
            state.gradient = problem.recursion(self.form).begin()
        return state

    def step(self, problem: LipschitzCertificate, state: CertificateState) -> CertificateState:
        """Advance."""
        lmi = problem.inequality(self.form)
        if state.newton is not None:
            problem.charge()
            newton.advance(lmi.within(state.theta, newton.LARGEST), self, state.newton)
            state.why = state.newton.status
        elif state.gradient is not None:
            problem.charge()
            problem.recursion(self.form).advance(self, state.gradient)
            state.why = state.gradient.status
        else:
            self._solve(problem, lmi, state)
        return state

    def _solve(self, problem: LipschitzCertificate, lmi: LMI, state: CertificateState) -> None:
        """Call the solver, with as many iterations as the budget has factorizations."""
        from .sdp import solved

        meter, left = active_meter.get(), None
        problem.charge()
        if meter is not None and "factorizations" in meter.limits:
            left = int(meter.limits["factorizations"] - meter.spent["factorizations"])
        found = solved(problem.net, lmi, self, state.solver, left)
        for _ in range(max(found.steps - 1, 0)):
            problem.charge()
        if certified(lmi, found.theta) is not None:  # of a loop, raw multipliers may prove nothing
            state.theta = found.theta
        state.why = found.status

    def answer(self, problem: LipschitzCertificate, state: CertificateState) -> Multipliers:
        """The certified multipliers so far."""
        lmi = problem.inequality(self.form)
        theta = state.theta
        if state.newton is not None:
            theta = state.newton.theta
        elif state.gradient is not None:
            theta = state.gradient.best
        found = certified(lmi, theta)
        assert found is not None
        return problem.certificate(lmi, self.form, found)

    def done(self, problem: LipschitzCertificate, state: CertificateState) -> str | None:
        """What the solver says of its end."""
        says = {
            "optimal": f"the bound is within {self.tol:g} of the optimum",
            "stalled": "doubles can do no more",
            "steps": f"all {self.steps} steps are made",
        }
        if state.solver in ("clarabel", "scs") and state.why:
            return f"{state.solver} says: {state.why}"
        return says.get(state.why, state.why) or None


@dataclass(slots=True)
class ProductState:
    """Nothing changes.

    Attributes:
        theta: (p,) the multipliers.
        over: Whether the step was made.
    """

    theta: Float[np.ndarray, " p"]
    over: bool = False


@dataclass(frozen=True)
class LayerProduct(Method):
    """The product of the layers' norms, as multipliers: lambda_l = the squared norms after layer l.

    It needs no program. Of a feed-forward network the bound is the product of the spectral norms;
    of others, and in linf, what the same recursion over the layers gives.
    """

    solves: ClassVar[type[Problem]] = LipschitzCertificate
    name: ClassVar[str] = "layer-product"

    def init(self, problem: LipschitzCertificate, rng: np.random.Generator) -> ProductState:
        """Find the multipliers."""
        lmi = problem.inequality("simple")
        problem.charge()
        if lmi.system.loop:
            return ProductState(interior(lmi, newton.bounded_state(lmi)))
        return ProductState(interior(lmi, factor=1.0))

    def step(self, problem: LipschitzCertificate, state: ProductState) -> ProductState:
        """Nothing is left to do."""
        state.over = True
        return state

    def answer(self, problem: LipschitzCertificate, state: ProductState) -> Multipliers:
        """The certificate."""
        lmi = problem.inequality("simple")
        found = certified(lmi, state.theta)
        assert found is not None
        return problem.certificate(lmi, "simple", found)

    def done(self, problem: LipschitzCertificate, state: ProductState) -> str | None:
        """After its one step."""
        return "the product is computed" if state.over else None
