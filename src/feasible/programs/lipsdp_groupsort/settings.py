"""Settings of the certificate: the same for the function and for runs."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.checks import one_of, real, whole

NORMS = ("l2", "linf")
FORMS = ("full", "simple", "relu")
SOLVERS = ("auto", "newton", "gradient", "clarabel", "scs")


@dataclass(frozen=True)
class LipschitzSettings:
    """How a Lipschitz constant is bounded.

    Attributes:
        form: Constraints: "full" is T, S and P, with what the activation preserves eliminated;
            "simple" is S = P = 0, the paper's; "relu" is LipSDP on MaxMin as a residual network of
            ReLU, a baseline.
        solver: "newton", "gradient", "clarabel", "scs", or "auto": newton up to `most` rows of the
            inequality, gradient beyond.
        tol: Relative distance of the bound to the optimum at which newton ends, and the tolerance
            of clarabel (times 1e-2) and scs (times 10).
        steps: Steps of gradient.
        rate: Step size of gradient (Adam), falling to 0 by a cosine.
        most: Rows of the inequality up to which "auto" takes newton.
    """

    form: str = "full"
    solver: str = "auto"
    tol: float = 1e-5
    steps: int = 600
    rate: float = 0.1
    most: int = 2500

    def __post_init__(self) -> None:
        one_of("form", self.form, FORMS)
        one_of("solver", self.solver, SOLVERS)
        real("tol", self.tol, above=0, below=1)
        whole("steps", self.steps, least=1)
        real("rate", self.rate, above=0)
        whole("most", self.most, least=0)
