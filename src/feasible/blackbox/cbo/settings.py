"""The settings of consensus-based optimisation, said once, and its published presets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from ...core.annotations import Checked
from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError
from ..parts import part_of
from .consensus import Kind, read_schedule
from .epochs import Epochs, Restart
from .moves import Drift, GradientDrift, HardMemory, MemoryDrift, SoftMemory

if TYPE_CHECKING:
    from typing import Self

    from .consensus import Schedule


@dataclass(frozen=True)
class CBOSettings(Checked):
    """Settings of CBO, of algorithms A, B and E of the paper and its code.

    The defaults suit 500 to 20000 evaluations with constraints and are not the paper's: few
    particles, a step so long that one lands near the consensus, alpha by effective sample size, and
    restarts with twice the particles, so that small budgets are used to refine and large ones to
    look elsewhere. `paper()` and `learning()` have the published ones.

    Attributes:
        n_particles: N >= 2.
        dt: Time step.
        lam: Drift lambda; lam dt <= 2.
        sigma: Noise strength.
        noise: "anisotropic" (each coordinate shakes by its own distance; robust in high dimension;
            contracts if sigma^2 < 2 lam) or "isotropic" (by the norm; contracts if
            sigma^2 d < 2 lam).
        noise_after_drift: The noise is scaled by the distance left after the drift, as in the
            authors' code.
        alpha: Inverse temperature, in units of 1 / E.
        alpha_schedule: None, "x1.05" (a factor for every step, up to 1e5) or "ess:0.5" (effective
            sample size, a fraction of the particles), as in the `cbx` package.
        memory: Keep each particle's historical best y; then the consensus is of the y.
        lam2: Drift toward y (the paper: 0.4, and 0 in its example).
        sigma2: Noise toward y; None: lam2 sigma.
        beta: None replaces y where x is better; a number moves y by kappa dt H_beta, which costs a
            second evaluation of every particle.
        kappa: Rate of that; None: 1 / dt.
        gamma: Weight of a gradient drift by central differences, 2 d more evaluations for every
            particle and step; 0: none.
        lr: Its step.
        h: Half width of the differences.
        batch: Particles in a mini-batch; None: all.
        partial: Move only the batch.
        cooling: After each epoch e, sigma falls by log2(e + 1) / log2(e + 2) and alpha doubles.
        reduce: Drop particles as their variance falls.
        restart: Shake all particles by sigma sqrt(dt) N(0, I), reflected at the walls, when no
            coordinate of the consensus moves by more, or all energies are equal; None: never.
        patience: Such steps in a row before a restart.
        grow: Particles are multiplied by this at each restart, up to 1000; then memories, alpha
            and rho start anew.
        walls: At the box particles are clipped ("clip"), mirrored ("reflect"), or go on for up to
            half its width and are evaluated at the nearest point of it ("beyond": best where steps
            are short, as in the presets; the default's long ones would stray).
        scale: Work in the unit cube where the box is bounded.
        spread: None starts uniformly in the box; a number starts from N(x0, spread^2).
        rho: Weight of the constraints, see `Penalty`.
        rho_growth: Its growth.
        tol: Done when the mean distance from the consensus is below this and there are no
            restarts.

    Raises:
        ArgumentError: A setting makes no sense.
        NotFinite: A number is NaN or infinite.
    """

    n_particles: int = 15
    dt: float = 0.75
    lam: float = 1.0
    sigma: float = 1.6
    noise: Literal["anisotropic", "isotropic"] = "anisotropic"
    noise_after_drift: bool = False
    alpha: float = 1.0
    alpha_schedule: str | None = "ess:0.2"
    memory: bool = False
    lam2: float = 0.0
    sigma2: float | None = None
    beta: float | None = None
    kappa: float | None = None
    gamma: float = 0.0
    lr: float = 0.01
    h: float = 1e-3
    batch: int | None = None
    partial: bool = False
    cooling: bool = False
    reduce: bool = False
    restart: float | None = 1e-4
    patience: int = 3
    grow: float = 2.0
    walls: Kind = "clip"
    scale: bool = True
    spread: float | None = None
    rho: float = 1.0
    rho_growth: float = 1.2
    tol: float = 1e-12

    def __post_init__(self) -> None:
        whole("n_particles", self.n_particles, least=2, note=", one particle never moves")
        for name in ("dt", "h", "rho_growth"):
            real(name, getattr(self, name), above=0)
        for name in ("lam", "sigma", "alpha", "lam2", "gamma", "lr", "rho", "tol"):
            real(name, getattr(self, name), least=0)
        real("grow", self.grow, least=1)
        real("patience", self.patience, least=1)
        if self.dt * self.lam > 2:
            raise ArgumentError(
                f"dt * lam = {self.dt * self.lam:g}: expected at most 2, above it the particles "
                "move away from the consensus"
            )
        one_of("noise", self.noise, ("anisotropic", "isotropic"))
        one_of("walls", self.walls, get_args(Kind))
        if self.batch is not None and not 2 <= self.batch <= self.n_particles:
            raise ArgumentError(
                f"batch={self.batch!r}: expected None or a whole number from 2 to "
                f"n_particles={self.n_particles}"
            )
        if self.spread is not None:
            real("spread", self.spread, above=0, note=", or None")
        for name in ("sigma2", "beta", "kappa"):
            if getattr(self, name) is not None:
                real(name, getattr(self, name), least=0, note=", or None")
        if self.restart is not None:
            real("restart", self.restart, least=0, note=", or None")
        read_schedule(self.alpha_schedule)

    @classmethod
    def paper(cls, **settings: Any) -> Self:
        """The settings of the paper's numerical examples: N 100, dt 0.01, lambda 1, sigma
        sqrt(1.6), alpha 1000 constant, in the problem's own coordinates.

        Args:
            settings: What is set otherwise.

        Examples:
            >>> CBOSettings.paper(n_particles=200).alpha
            1000.0
        """
        published: dict[str, Any] = {
            "n_particles": 100,
            "dt": 0.01,
            "sigma": math.sqrt(1.6),
            "alpha": 1e3,
            "alpha_schedule": None,
            "lam2": 0.4,
            "grow": 1.0,
            "restart": None,
            "walls": "beyond",
            "scale": False,
        }
        return cls(**published | settings)

    @classmethod
    def learning(cls, **settings: Any) -> Self:
        """The settings of the companion code's learning mode, algorithm E: N 100 in mini-batches of
        10, dt 0.1, sigma^2 0.4, alpha 50, cooling, restarts without growth, starts from N(x0, I).

        Args:
            settings: What is set otherwise.

        Examples:
            >>> CBOSettings.learning().batch
            10
        """
        published: dict[str, Any] = {
            "n_particles": 100,
            "batch": 10,
            "dt": 0.1,
            "sigma": math.sqrt(0.4),
            "alpha": 50.0,
            "alpha_schedule": None,
            "cooling": True,
            "restart": 1e-5,
            "patience": 1,
            "grow": 1.0,
            "walls": "beyond",
            "scale": False,
            "spread": 1.0,
        }
        return cls(**published | settings)

    # -- the parts of a step -----------------------------------------------------------------------

    @cached_property
    def schedule(self) -> Schedule:
        """How alpha goes on."""
        return read_schedule(self.alpha_schedule)

    @cached_property
    def drift(self) -> Drift:
        """The move toward the consensus."""
        return part_of(Drift, self)

    @cached_property
    def memory_drift(self) -> MemoryDrift | None:
        """The move toward the historical bests, where there is one."""
        return part_of(MemoryDrift, self) if self.memory and self.lam2 else None

    @cached_property
    def gradient_drift(self) -> GradientDrift | None:
        """The move along a gradient, where there is one."""
        return part_of(GradientDrift, self) if self.gamma and self.lr else None

    @cached_property
    def remember(self) -> HardMemory | SoftMemory | None:
        """How the historical bests follow, where there are some."""
        if not self.memory:
            return None
        return HardMemory() if self.beta is None else part_of(SoftMemory, self)

    @cached_property
    def restarts(self) -> Restart | None:
        """When and how a stalled swarm is shaken, where it is."""
        return None if self.restart is None else part_of(Restart, self)

    @cached_property
    def epochs(self) -> Epochs:
        """Whose turn it is, and what happens when all had theirs."""
        return part_of(Epochs, self)


__all__ = ["CBOSettings"]
