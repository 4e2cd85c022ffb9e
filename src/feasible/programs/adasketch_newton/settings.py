"""Settings of sketched Newton steps: the same for `minimize` and for runs."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.checks import flag, one_of, real, whole
from ...core.errors import ArgumentError

SKETCHES = ("exact", "gv", "rk", "block", "minres")
ACCURACIES = ("practical", "paper")
SCHEDULES = ("constant", "residual", "harmonic")
SHIFTS = ("norm", "least")
STARTING_ACCURACY = 0.1
"""kappa of accuracy="practical" at the beginning of an iteration."""


@dataclass(frozen=True)
class AdaSketchSettings:
    """How a program with equalities is solved. Defaults are those of the official code but for
    sketch, accuracy, licq_tol and eps.

    Attributes:
        sketch: How a Newton system is solved: "exact" by a factorisation; "gv" by Gaussian vectors
            and "rk" by rows drawn evenly (randomised Kaczmarz), one a step; "block" by blocks of
            rows; "minres" by MINRES.
        accuracy: "paper": to the bound that its theory asks for, in practice an exact solve;
            "practical": |K z - b| <= 0.1 |b|, and tighter only where z is no descent direction.
        theta: The factor of the accuracy from iteration to iteration: "constant", 1, which
            converges linearly; "residual", min(1, KKT residual), or "harmonic", 1 / (k + 1), which
            converge superlinearly.
        block: Rows of a block; None: half of the system's.
        precondition: Sketch in the norm of diag(D, G D^-1 G'), D the lengths of B's rows. Takes a
            factorisation of that m x m matrix. Not in the paper.
        eta1: First penalty of |c|^2 / 2.
        eta2: First penalty of |grad_x L|^2 / 2.
        delta0: First accuracy of a Newton system, relative to the paper's bound.
        xi_B: Least curvature that a shifted Hessian has; enters the paper's bound.
        shift: By what the Hessian is shifted where its curvature on the null space of the Jacobian
            is too small: "norm", xi_B + |H|_F, as in the paper; "least", so that the least
            curvature becomes xi_B.
        curvature_tol: Curvature on the null space of the Jacobian below which the Hessian is
            shifted.
        beta: Share of the predicted decrease of the merit function that a step must reach.
        nu: By what the penalties change: eta1 by nu^2, eta2 by 1 / nu.
        licq_tol: Least eigenvalue of G G' at which the Jacobian counts as singular; the paper's
            code has 1e-2, which stops on two more of its problems.
        eps: KKT residual |(grad_x L, c)| at which it has converged; the paper's is 1e-4.
        max_iter: Most iterations.
        max_inner: Most rows that the sketches of one system may take, in all; then, or where the
            rate so far says that they will not do, the system is solved exactly.
        least_violation: Where the Jacobian is singular, answer where |c| is least nearby.
    """

    sketch: str = "exact"
    accuracy: str = "practical"
    theta: str = "constant"
    block: int | None = None
    precondition: bool = False
    eta1: float = 1.0
    eta2: float = 0.1
    delta0: float = 0.1
    xi_B: float = 0.1  # noqa: N815
    shift: str = "norm"
    curvature_tol: float = 1e-6
    beta: float = 0.1
    nu: float = 1.5
    licq_tol: float = 1e-6
    eps: float = 1e-6
    max_iter: int = 10_000
    max_inner: int = 1_000_000
    least_violation: bool = True

    def __post_init__(self) -> None:
        one_of("sketch", self.sketch, SKETCHES)
        one_of("accuracy", self.accuracy, ACCURACIES)
        one_of("theta", self.theta, SCHEDULES)
        one_of("shift", self.shift, SHIFTS)
        if self.block is not None:
            whole("block", self.block, least=1, note=", or None")
            if self.sketch != "block":
                raise ArgumentError(
                    f"block={self.block}: is read where sketch='block', got sketch='{self.sketch}'"
                )
        if flag("precondition", self.precondition) and self.sketch == "exact":
            raise ArgumentError(
                "precondition=True: sketch='exact' sketches nothing; expected another sketch"
            )
        for name in ("eta1", "eta2", "xi_B", "licq_tol"):
            real(name, getattr(self, name), above=0)
        real("curvature_tol", self.curvature_tol, least=0)
        real("delta0", self.delta0, above=0, below=1)
        real("beta", self.beta, above=0, below=0.5)
        real("nu", self.nu, above=1)
        real("eps", self.eps, least=0)
        whole("max_iter", self.max_iter, least=1)
        whole("max_inner", self.max_inner, least=1)
        flag("least_violation", self.least_violation)

    def tightened(self, k: int, residual: float) -> float:
        """theta_k: the factor of the accuracy in iteration k, where the KKT residual is this."""
        if self.theta == "residual":
            return min(1.0, residual)
        return 1.0 / (k + 1) if self.theta == "harmonic" else 1.0
