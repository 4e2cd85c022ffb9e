"""Consensus-based optimisation of the package `cbx` (CBXpy), asked and told, with the parameters of
this library's own CBO.

cbx calls the objective inside its step; here the step is taken once the outcomes of all particles
are told, so that evaluations are metered, recorded and may run at once. Its shape check, which
would cost one evaluation per particle, is switched off. Particles are clipped to the box and whole
numbers rounded when they are evaluated. cbx has no handling of black-box limits (its constrained
dynamics need gradients of the constraints): they enter the energy by Deb's rule, or by the penalty
f + penalty * sum max(0, g)^2.

References:
    R. Bailo et al., CBX: Python and Julia packages for consensus-based interacting particle methods
    (JOSS 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError, Pending
from ..asktell import AskTell, Proposals
from ..sampling import draw, lost
from .cma import by_rule
from .frame import Frame, require

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ...core.ledger import Observations
    from ..problem import BlackBox


@dataclass(slots=True)
class Ensemble:
    """The particles of cbx, and what was told of the present generation.

    Attributes:
        rng: Stream of the particles' starts and of their noise.
        frame: Coordinates in which the particles move: the variables' own units.
        dynamic: cbx's own object, which holds the particles' coordinates (1, n, k).
        scheduler: cbx's rule for alpha; None for a constant one.
        f: (n,) objectives of this generation.
        excess: (n, m) violations max(0, g_j) of this generation.
        energy: (n,) what cbx minimises in place of f and the limits.
        told: (n,) True for particles whose outcome is known, or that were lost.
        shown: (n, d) the points at which the particles are evaluated.
        queue: (q,), q <= n, the particles that are evaluated, in order.
        generation: Steps taken; proposals are tagged generation * n + particle.
        handed: How many of the queue were asked for.
        worst: Largest objective seen, at least 0; it replaces an unknown one.
        lost: Particles of this generation that are forbidden, or whose evaluation failed.
    """

    rng: np.random.Generator
    frame: Frame
    dynamic: Any
    scheduler: Any
    f: Float[np.ndarray, " n"]
    excess: Float[np.ndarray, "n m"]
    energy: Float[np.ndarray, " n"]
    told: Bool[np.ndarray, " n"]
    shown: Float[np.ndarray, "n d"]
    queue: Int[np.ndarray, " n"]
    generation: int = 0
    handed: int = 0
    worst: float = 0.0
    lost: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class CBX(AskTell):
    """Minimise f(x) under g_j(x) <= 0 by `cbx.dynamics.CBO`; a step is one step of all particles.

    The defaults are those of this library's CBO, but for alpha, where 1e5 did best (development
    seeds 100-104, 500 and 2000 evaluations); the paper's are n_particles=100, dt=0.01, sigma=1.265
    and alpha=1e3.

    Attributes:
        n_particles: Particles, at least 2.
        dt: Time step, as in cbx.
        lamda: Strength of the drift to the consensus point, as in cbx.
        sigma: Strength of the noise, as in cbx.
        alpha: Inverse temperature of the consensus point's weights, as in cbx.
        noise: "anisotropic" (each coordinate by its own distance) or "isotropic".
        alpha_schedule: None for a constant alpha, "x1.05" (multiplied at each step, up to 1e5) or
            "ess:0.5" (by the effective sample size).
        spread: Particles start at x0 + spread * N(0, I), in the variables' own units; None, or a
            problem without x0: uniformly in the box.
        constraints: "rank" (Deb's rule) or "penalty" (f + penalty * sum max(0, g_j)^2).
        penalty: Weight of the squared violations.
        diff_tol: cbx's own criterion of convergence, the change of the particles in one step, below
            which fresh particles start; None for never.

    Raises:
        ArgumentError: A setting outside these ranges.

    References:
        R. Bailo et al., CBX: Python and Julia packages for consensus-based interacting particle
        methods (JOSS 2024).
    """

    avoids: ClassVar[bool] = False
    name: ClassVar[str] = "cbx"
    requires: ClassVar[tuple[str, ...]] = ("cbx",)
    n_particles: int = 40
    dt: float = 0.2
    lamda: float = 1.0
    sigma: float = 1.0
    alpha: float = 1e5
    noise: Literal["anisotropic", "isotropic"] = "anisotropic"
    alpha_schedule: str | None = None
    spread: float | None = None
    constraints: Literal["rank", "penalty"] = "rank"
    penalty: float = 1e3
    diff_tol: float | None = 1e-7

    def __post_init__(self) -> None:
        whole("n_particles", self.n_particles, least=2)
        one_of("constraints", self.constraints, ("rank", "penalty"))
        for name in ("dt", "lamda", "alpha", "penalty"):
            real(name, getattr(self, name), above=0)
        real("sigma", self.sigma, least=0)
        if self.spread is not None:
            real("spread", self.spread, above=0, note=", or None")
        if self.diff_tol is not None:
            real("diff_tol", self.diff_tol, least=0, note=", or None")
        kind, _, value = (self.alpha_schedule or "x1").replace("x", "x:", 1).partition(":")
        if kind not in ("x", "ess") or not value.replace(".", "", 1).isdigit():
            raise ArgumentError(
                f"alpha_schedule={self.alpha_schedule!r}: expected None, 'x1.05' or 'ess:0.5'"
            )

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Ensemble:
        """Place the particles; nothing is evaluated.

        Args:
            problem: The problem.
            rng: Source of the particles' starts and of their noise.

        Returns:
            The state of the first generation.

        Raises:
            MissingExtra: cbx is not installed.
        """
        require("cbx", self.name)
        n, d = self.n_particles, problem.space.d
        state = Ensemble(
            rng,
            Frame.of(problem, own=True),
            None,
            None,
            np.zeros(n),
            np.zeros((n, 0)),
            np.zeros(n),
            np.zeros(n, dtype=bool),
            np.zeros((n, d)),
            np.arange(n),
        )
        self._begin(problem, state)
        return state

    def _begin(self, problem: BlackBox, state: Ensemble) -> None:
        """Start cbx with fresh particles."""
        dynamics, schedules = (
            require("cbx.dynamics", self.name),
            require("cbx.scheduler", self.name),
        )
        frame, rng, n = state.frame, state.rng, self.n_particles
        if self.spread is None or problem.x0 is None:
            x = draw(problem, rng, n)
        else:
            x = problem.space.snap(
                problem.x0 + self.spread * rng.standard_normal((n, problem.space.d))
            )
        state.dynamic = dynamics.CBO(
            lambda z: state.energy[None, :],
            f_dim="3D",
            check_f_dims=False,
            x=frame.z(problem, x),
            dt=self.dt,
            lamda=self.lamda,
            sigma=self.sigma,
            alpha=float(self.alpha),
            noise=self.noise,
            verbosity=0,
            sampler=lambda size: rng.standard_normal(size),
            track_args={"names": []},
            post_process=_into_box(frame),
        )
        state.scheduler = self._schedule(schedules)
        self._show(problem, state)

    def _schedule(self, schedules: Any) -> Any:
        """Return cbx's rule for alpha, or None for a constant one."""
        if self.alpha_schedule is None:
            return None
        if self.alpha_schedule.startswith("x"):
            return schedules.multiply(name="alpha", factor=float(self.alpha_schedule[1:]))
        return schedules.effective_sample_size(eta=float(self.alpha_schedule[4:]))

    def _show(self, problem: BlackBox, state: Ensemble) -> None:
        """Set the points of this generation; forbidden particles are lost without asking."""
        state.shown = state.frame.x(problem, state.dynamic.x[0])
        state.told[:] = False
        allowed = (
            np.ones(len(state.shown), dtype=bool)
            if problem.known is None
            else problem.known(state.shown)
        )
        if not allowed.any():
            # the whole cloud is outside: bring its particles back at random
            state.shown = draw(problem, state.rng, len(state.shown))
            state.dynamic.x[0] = state.frame.z(problem, state.shown)
            allowed[:] = True
        state.lost = np.flatnonzero(~allowed).tolist()
        state.told[~allowed] = True
        state.queue = np.flatnonzero(allowed)
        state.handed = 0

    def ask(self, problem: BlackBox, state: Ensemble, n: int | None = None) -> Proposals:
        """Propose the particles of this generation that nobody has asked for yet.

        Args:
            problem: The problem.
            state: Changed in place: these particles are out.
            n: Most points wanted; None for all that are left.

        Returns:
            At most n points, as rows (n, d).

        Raises:
            Pending: All particles of the generation are out, and not all of them were told.
        """
        left = len(state.queue) - state.handed
        if left == 0:
            raise Pending(
                f"{self.name}: all {len(state.queue)} particles are out; tell their outcomes first"
            )
        which = state.queue[state.handed : state.handed + (left if n is None else n)]
        state.handed += len(which)
        return Proposals(state.shown[which], which + state.generation * self.n_particles)

    def tell(self, problem: BlackBox, state: Ensemble, seen: Observations) -> None:
        """Note outcomes; when all particles were told, they take their step.

        Args:
            problem: The problem.
            state: Changed in place.
            seen: Outcomes of n points; those of other generations, and those that somebody else
                chose, are not used.
        """
        nothing = lost(seen)
        for i, tag in enumerate(seen.tag.tolist()):
            particle = tag - state.generation * self.n_particles
            if not 0 <= particle < self.n_particles or state.told[particle]:
                continue
            state.told[particle] = True
            if nothing[i]:
                state.lost.append(particle)
                continue
            if state.excess.shape[1] != seen.constraints.shape[1]:
                state.excess = np.zeros((self.n_particles, seen.constraints.shape[1]))
            f = float(seen.objective[i])
            state.worst = state.worst if f != f else max(state.worst, f)
            state.f[particle] = state.worst if f != f else f
            state.excess[particle] = np.maximum(seen.constraints[i], 0.0)
        if state.told.all():
            self._move(problem, state)

    def _move(self, problem: BlackBox, state: Ensemble) -> None:
        """Take one step of all particles, from the outcomes of this generation."""
        known = np.ones(self.n_particles, dtype=bool)
        known[state.lost] = False
        if known.any():
            if self.constraints == "rank":
                energy = by_rule(state.f[known], state.excess[known].sum(axis=1))
            else:
                energy = state.f[known] + self.penalty * (state.excess[known] ** 2).sum(axis=1)
            state.energy[known] = energy
            state.energy[~known] = energy.max() + 1.0 + abs(energy.max())
            state.dynamic.step()
            if state.scheduler is not None:
                state.scheduler.update(state.dynamic)
        else:
            state.dynamic.x[0] = state.frame.z(problem, draw(problem, state.rng, self.n_particles))
        state.generation += 1
        if (
            self.diff_tol is not None
            and known.any()
            and state.dynamic.update_diff[0] < self.diff_tol
        ):
            self._begin(problem, state)
        else:
            self._show(problem, state)


def _into_box(frame: Frame) -> Callable[[Any], None]:
    """Return what cbx calls after each step, which clips the particles to the box."""

    def clip(dynamic: Any) -> None:
        np.clip(dynamic.x, frame.low, frame.high, out=dynamic.x)

    return clip
