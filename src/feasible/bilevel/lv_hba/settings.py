"""Settings of LV-HBA: the same for the function and for runs."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import flag, one_of, real, whole

X_STEPS = ("plain", "adam")
SLOWER = 3.0
"""By how much the step of (x, y) is smaller than that of the tracker, at least."""


@dataclass(frozen=True)
class LVHBASettings(Checked):
    """How the proximal Lagrangian value function is followed.

    Attributes:
        eta: Step of the tracker (theta, lambda); None: mu / L^2 from measured constants, with
            mu = min(1 / gamma1, 1 / gamma2); without constraints 1 / L.
        alpha: Step of (x, y); None: eta / 3. Above that the tracker does not keep up
            and the iteration diverges: refused unless `unsafe`.
        beta: Step of z.
        gamma1: Proximal parameter of theta.
        gamma2: Of lambda.
        c0: Of c_k = c0 (k + 1)^p, which divides F; None: the ratio of the gradients' lengths of F
            and f at the start.
        p: Power of c_k, in (0, 1/2).
        r: Bound of the multipliers, above the true ones.
        x_step: "plain", or "adam" for logarithms of weights, whose gradients are tiny.
        x_rate: Adam's rate.
        warm: Begin at the lower level's solution and its multipliers, for one solve of it; from a
            cold start x moves the wrong way for long.
        unsafe: Let alpha exceed eta / 3, and eta its bound of contraction.
        batch: Samples that an iteration's gradients are estimated on, the same ones at y and at the
            tracker, where the problem has samples; None: all. A heuristic: the theory has none.
        tol: Of the last move over alpha, and of f - v, at which it ends; not with a batch.
    """

    eta: float | None = None
    alpha: float | None = None
    beta: float = 0.1
    gamma1: float = 3.0
    gamma2: float = 3.0
    c0: float | None = None
    p: float = 0.45
    r: float = 1000.0
    x_step: str = "plain"
    x_rate: float = 0.02
    warm: bool = True
    unsafe: bool = False
    batch: int | None = None
    tol: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("eta", "alpha", "c0"):
            if getattr(self, name) is not None:
                real(name, getattr(self, name), above=0, note=", or None")
        for name in ("beta", "gamma1", "gamma2", "r", "x_rate"):
            real(name, getattr(self, name), above=0)
        real("p", self.p, above=0, below=0.5)
        one_of("x_step", self.x_step, X_STEPS)
        flag("warm", self.warm)
        flag("unsafe", self.unsafe)
        if self.batch is not None:
            whole("batch", self.batch, least=1, note=", or None")
        real("tol", self.tol, least=0)
