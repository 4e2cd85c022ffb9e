"""Settings of penalty-based bilevel optimisation: the same for loops of one's own and for runs."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError
from ..steps import read_step

MODES = ("accelerated", "double", "single", "momentum")


@dataclass(frozen=True)
class PenaltySettings(Checked):
    """How the penalised hyper-objective psi_sigma is followed.

    Attributes:
        mode: "accelerated": sigma_k = max(sigma_min, decay^k) and a step of x that does not fall
            with sigma, because the gradient of psi_sigma stays as smooth as that of psi; "double":
            the paper's double loop, sigma_k = sigma0 (k + 1)^(-1/3) and a step alpha0 sigma_k;
            "single": one inner step; "momentum": one inner step on recursive estimates.
        sigma0: The first sigma.
        sigma_min: The smallest; the gradient's error is of its order.
        decay: Of sigma in the mode "accelerated".
        inner: Steps of each tracker for one step of x (T); "single" and "momentum" take one.
        rho: Of the proximal term |w - y|^2 / (2 rho); None: none, for lower levels that are convex
            or meet an error bound.
        beta: Share of the trackers' steps that is kept; None: all of it, half of it where they take
            one.
        gamma: Step of the trackers; None: 1 / L from the curvature that is seen.
        x_step: "auto" from the last two gradients, "adam", or a number. "double" multiplies a
            number by sigma_k (it is alpha0); "single" and "momentum" let it fall as their theory
            has it.
        x_rate: Adam's rate.
        batch: Samples that a gradient is estimated on, where the problem has samples; None: all.
        k0: Steps that the schedules of "single" and "momentum" are ahead.
        tol: Length of the gradient at which it ends.
    """

    mode: str = "accelerated"
    sigma0: float = 1.0
    sigma_min: float = 1e-4
    decay: float = 0.95
    inner: int = 20
    rho: float | None = None
    beta: float | None = None
    gamma: float | None = None
    x_step: float | str = "auto"
    x_rate: float = 0.1
    batch: int | None = None
    k0: int = 50
    tol: float = 1e-8

    def __post_init__(self) -> None:
        one_of("mode", self.mode, MODES)
        real("sigma0", self.sigma0, above=0)
        real("sigma_min", self.sigma_min, above=0)
        if self.sigma_min > self.sigma0:
            raise ArgumentError(
                f"sigma_min={self.sigma_min:g}: expected at most sigma0={self.sigma0:g}"
            )
        real("decay", self.decay, above=0, below=1)
        whole("inner", self.inner, least=1)
        if self.beta is not None:
            real("beta", self.beta, above=0, most=1, note=", or None")
        for name in ("rho", "gamma"):
            if getattr(self, name) is not None:
                real(name, getattr(self, name), above=0, note=", or None")
        read_step("x_step", self.x_step)
        real("x_rate", self.x_rate, above=0)
        if self.batch is not None:
            whole("batch", self.batch, least=1, note=", or None")
        whole("k0", self.k0, least=1)
        real("tol", self.tol, least=0)

    def sigma(self, k: int) -> float:
        """Return sigma_k."""
        if self.mode == "accelerated":
            found = self.sigma0 * self.decay**k
        elif self.mode == "double":
            found = self.sigma0 * (k + 1) ** (-1 / 3)
        else:  # balanced from the totals: k^(-1/3) without noise, k^(-1/5) with it
            power = -1 / 3 if self.mode == "single" else -1 / 5
            found = self.sigma0 * ((k + self.k0) / self.k0) ** power
        return max(self.sigma_min, found)

    @property
    def one_loop(self) -> bool:
        """True if the trackers take one step for one of x."""
        return self.mode in ("single", "momentum")

    @property
    def kept(self) -> float:
        """beta."""
        return self.beta if self.beta is not None else 0.5 if self.one_loop else 1.0
