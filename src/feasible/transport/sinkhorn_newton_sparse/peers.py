"""POT, OTT-JAX, geomloss and exact solvers on problems of entropic transport.

Their errors are measured by the problem, not by their own rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.budget import active_meter, spend
from ...core.checks import fraction, one_of, real, whole
from ...core.errors import ArgumentError, BudgetExhausted, MissingExtra
from ...core.problem import Method, Problem
from ..plan import SparsePlan
from .problem import EntropicTransport, Potentials
from .settings import SinkhornNewtonSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SOLVERS = ("sinkhorn_log", "sinkhorn_stabilized", "sinkhorn")


@dataclass
class SweepState:
    """Where a peer stands that goes on from potentials; rows and columns without mass are left out.

    Attributes:
        u: (n,) logarithms of the scalings.
        v: (m,) the same of the columns.
        error: L1 error of the marginals, of the mass.
        why: Why it is over; empty where it is not.
    """

    u: Float[np.ndarray, " n"]
    v: Float[np.ndarray, " m"]
    error: float = np.inf
    why: str = ""


@dataclass(frozen=True)
class _Sweeps(Method):
    """A peer that goes on from given potentials; a step is `chunk` of its iterations.

    Attributes:
        tol: L1 error of both marginals at which it stops, relative to the mass.
        chunk: Iterations of a step.
    """

    solves: ClassVar[type[Problem]] = EntropicTransport

    tol: float = SinkhornNewtonSettings.tol
    chunk: int = 20

    def __post_init__(self) -> None:
        whole("chunk", self.chunk, least=1)
        fraction("tol", self.tol, zero=False, one=False)

    def init(self, problem: EntropicTransport, rng: np.random.Generator) -> SweepState:
        """Potentials zero."""
        return SweepState(np.zeros(len(problem.scaled.a)), np.zeros(len(problem.scaled.b)))

    def step(self, problem: EntropicTransport, state: SweepState) -> SweepState:
        """Some iterations, then the error is measured."""
        spend(gradients=self.chunk)
        u, v = self._go_on(problem, state.u, state.v)
        if not (np.isfinite(u).all() and np.isfinite(v).all()):
            state.why = "the scalings left the range of double precision"
            return state
        if np.allclose(u, state.u, 0, 1e-14) and np.allclose(v, state.v, 0, 1e-14):
            state.why = "nothing moves any more"
        state.u, state.v = u, v
        state.error = sum(problem.marginal_errors(problem.unscaled(u, v)))
        if state.error <= self.tol:
            state.why = f"the marginal error {state.error:.2g} is within tol = {self.tol:g}"
        return state

    def _go_on(
        self, problem: EntropicTransport, u: Float[np.ndarray, " n"], v: Float[np.ndarray, " m"]
    ) -> tuple[Any, Any]:
        """Make `chunk` iterations from logarithms u, v of the scalings."""
        raise TypeError(f"{type(self).__name__} does not define _go_on(problem, u, v)")

    def answer(self, problem: EntropicTransport, state: SweepState) -> Potentials:
        """The potentials."""
        return problem.unscaled(state.u, state.v)

    def done(self, problem: EntropicTransport, state: SweepState) -> str | None:
        """When the error is within tol, or the numbers break down."""
        return state.why or None


@dataclass(frozen=True)
class PotSinkhorn(_Sweeps):
    """ot.sinkhorn, in pieces of `chunk` iterations.

    Attributes:
        solver: "sinkhorn_log", "sinkhorn_stabilized" or "sinkhorn" (which breaks down where
            exp(-cost / reg) underflows).
    """

    name: ClassVar[str] = "pot-sinkhorn-log"
    requires: ClassVar[tuple[str, ...]] = ("ot",)

    solver: str = "sinkhorn_log"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("solver", self.solver, SOLVERS)

    def _go_on(
        self, problem: EntropicTransport, u: Float[np.ndarray, " n"], v: Float[np.ndarray, " m"]
    ) -> tuple[Any, Any]:
        s = problem.scaled
        return pot_sinkhorn(s.a, s.b, s.cost, problem.reg, self.solver, self.chunk, 0.0, (u, v))


def pot_sinkhorn(
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    cost: Float[np.ndarray, "n m"],
    reg: float,
    solver: str,
    iterations: int,
    threshold: float,
    start: tuple[Any, Any] | None = None,
) -> tuple[Any, Any]:
    """Logarithms of the scalings that POT finds.

    Args:
        a: (n,) positive masses.
        b: (m,) positive masses.
        cost: (n, m).
        reg: Weight of the entropy.
        solver: A name of ot.sinkhorn.
        iterations: At most.
        threshold: On its own error, the L2 norm of the columns'.
        start: Logarithms of the scalings to go on from; None: zero.

    Raises:
        MissingExtra: POT is not installed.
    """
    import warnings

    try:
        import ot
    except ImportError as error:
        raise MissingExtra("POT is not installed: pip install 'feasible[peers]'") from error
    if start is not None and solver == "sinkhorn_stabilized":
        start = reg * start[0], reg * start[1]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, log = ot.sinkhorn(
            a, b, cost, reg, solver, iterations, threshold, log=True, warn=False, warmstart=start
        )
        if solver == "sinkhorn":
            return np.log(log["u"]), np.log(log["v"])
    return (log["log_u"], log["log_v"]) if solver == "sinkhorn_log" else (log["logu"], log["logv"])


@dataclass(frozen=True)
class OttSinkhorn(_Sweeps):
    """ott.solvers.linear.sinkhorn.Sinkhorn in double precision, in pieces of `chunk` iterations.

    It is compiled once for a shape.

    Attributes:
        momentum: Over-relaxation (1.0: none; at 1.5 random assignments of 2,000 took a third of the
            iterations).
        lse: False iterates on the kernel itself, which is faster and underflows where reg is small.
    """

    name: ClassVar[str] = "ott-sinkhorn"
    requires: ClassVar[tuple[str, ...]] = ("ott",)

    momentum: float = 1.0
    lse: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        real("momentum", self.momentum, above=0, below=2)

    def _go_on(
        self, problem: EntropicTransport, u: Float[np.ndarray, " n"], v: Float[np.ndarray, " m"]
    ) -> tuple[Any, Any]:
        s, reg = problem.scaled, problem.reg
        f, g = ott_sinkhorn(self.chunk, 0.0, self.momentum, self.lse)(
            s.a, s.b, s.cost, reg, reg * u, reg * v
        )
        return np.asarray(f) / reg, np.asarray(g) / reg


@cache
def ott_sinkhorn(
    iterations: int, threshold: float, momentum: float = 1.0, lse: bool = True, many: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A compiled function (a, b, cost, reg, f, g) -> (f, g).

    Args:
        iterations: At most.
        threshold: On OTT's L1 error.
        momentum: Over-relaxation; 1.0: none.
        lse: In the log domain.
        many: Costs in a batch.

    Raises:
        MissingExtra: OTT-JAX is not installed.
    """
    try:
        import jax
        from ott.geometry import geometry
        from ott.problems.linear import linear_problem
        from ott.solvers.linear import acceleration, sinkhorn
    except ImportError as error:
        raise MissingExtra("OTT-JAX is not installed: pip install 'feasible[peers]'") from error

    def solve(a: Any, b: Any, cost: Any, reg: Any, f: Any, g: Any) -> tuple[Any, Any]:
        problem = linear_problem.LinearProblem(
            geometry.Geometry(cost_matrix=cost, epsilon=reg), a, b
        )
        solver = sinkhorn.Sinkhorn(
            lse_mode=lse,
            threshold=threshold,
            norm_error=1,
            inner_iterations=min(10, iterations),
            max_iterations=iterations,
            momentum=None if momentum == 1.0 else acceleration.Momentum(value=momentum),
        )
        out = solver(problem, init=(f, g))
        return out.f, out.g

    run = jax.jit(jax.vmap(solve, (None, None, 0, None, None, None)) if many else solve)

    def double(*arguments: Any) -> tuple[Any, Any]:
        with jax.enable_x64(True):
            return jax.block_until_ready(
                run(*(jax.numpy.asarray(x, dtype=jax.numpy.float64) for x in arguments))
            )

    return double


@dataclass
class OnceState:
    """What a peer found that does everything in one step: a plan by its entries, or potentials.

    Attributes:
        rows: (e,) of the entries.
        columns: (e,) of the entries.
        masses: (e,) of the entries.
        f: (n,) potential, where there is no plan.
        g: (m,) potential, where there is no plan.
        why: Why it is over; empty before the step.
    """

    rows: Int[np.ndarray, " e"] = field(default_factory=lambda: np.zeros(0, np.int64))
    columns: Int[np.ndarray, " e"] = field(default_factory=lambda: np.zeros(0, np.int64))
    masses: Float[np.ndarray, " e"] = field(default_factory=lambda: np.zeros(0))
    f: Float[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(0))
    g: Float[np.ndarray, " m"] = field(default_factory=lambda: np.zeros(0))
    why: str = ""


@dataclass(frozen=True)
class _Once(Method):
    """A peer that does everything in one step and has no callback, so that its trail has one point.

    `max_iter` iterations where it has that setting, or as many as the budget has left.
    """

    solves: ClassVar[type[Problem]] = EntropicTransport

    def init(self, problem: EntropicTransport, rng: np.random.Generator) -> OnceState:
        """Nothing was computed yet."""
        return OnceState()

    def step(self, problem: EntropicTransport, state: OnceState) -> OnceState:
        """All of it."""
        meter, most = active_meter.get(), getattr(self, "max_iter", 1)
        granted = most if meter is None else int(meter.grant("gradients", most))
        if meter is not None and granted < 1:
            raise BudgetExhausted(
                "gradients", meter.limits["gradients"], meter.spent["gradients"], 1
            )
        self._solve(problem, state, granted)
        return state

    def _solve(self, problem: EntropicTransport, state: OnceState, iterations: int) -> None:
        """Solve in so many iterations, and write what was found into the state."""
        raise TypeError(f"{type(self).__name__} does not define _solve(problem, state, iterations)")

    def answer(
        self, problem: EntropicTransport, state: OnceState
    ) -> Potentials | SparsePlan | None:
        """What was found; None before the step."""
        if not state.why:
            return None
        return (
            SparsePlan(state.rows, state.columns, state.masses)
            if len(state.rows)
            else Potentials(state.f, state.g)
        )

    def done(self, problem: EntropicTransport, state: OnceState) -> str | None:
        """After the step."""
        return state.why or None


@dataclass(frozen=True)
class GeomlossSinkhorn(_Once):
    """geomloss.ot.solve, which anneals reg over all of its iterations.

    Its error falls as 1 / max_iter. It takes neither a start nor a callback, so it cannot be called
    in pieces.

    Attributes:
        max_iter: Iterations.
    """

    name: ClassVar[str] = "geomloss-sinkhorn"
    requires: ClassVar[tuple[str, ...]] = ("geomloss",)

    max_iter: int = 1000

    def __post_init__(self) -> None:
        whole("max_iter", self.max_iter, least=1)

    def _solve(self, problem: EntropicTransport, state: OnceState, iterations: int) -> None:
        s = problem.scaled
        found = problem.unscaled(*geomloss_sinkhorn(s.a, s.b, s.cost, problem.reg, iterations))
        state.f, state.g, state.why = found.f, found.g, f"{iterations} iterations were made"


def geomloss_sinkhorn(
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    cost: Float[np.ndarray, "n m"],
    reg: float,
    iterations: int,
) -> tuple[Any, Any]:
    """Logarithms of the scalings that geomloss finds, computed by torch.

    Args:
        a: (n,) positive masses.
        b: (m,) positive masses.
        cost: (n, m).
        reg: Weight of the entropy.
        iterations: Over which it anneals.

    Raises:
        MissingExtra: geomloss is not installed.
    """
    try:
        from geomloss import ot
    except ImportError as error:
        raise MissingExtra("geomloss is not installed: pip install 'feasible[peers]'") from error
    import torch

    given = {
        name: torch.from_numpy(np.ascontiguousarray(x))
        for name, x in (("C", cost), ("a", a), ("b", b))
    }
    found = ot.solve(given["C"], a=given["a"], b=given["b"], reg=reg, max_iter=iterations)
    return found.potential_a.numpy() / reg + np.log(a), found.potential_b.numpy() / reg + np.log(b)


@dataclass(frozen=True)
class NetworkSimplex(_Once):
    """ot.emd: the exact plan of the problem without entropy, in one call without a callback.

    It is charged as one gradient.
    """

    name: ClassVar[str] = "pot-network-simplex"
    requires: ClassVar[tuple[str, ...]] = ("ot",)

    def _solve(self, problem: EntropicTransport, state: OnceState, iterations: int) -> None:
        try:
            import ot
        except ImportError as error:
            raise MissingExtra("POT is not installed: pip install 'feasible[peers]'") from error
        plan = ot.emd(problem.a, problem.b, problem.cost, numItermax=100_000_000)
        state.rows, state.columns = np.nonzero(plan)
        state.masses, state.why = plan[state.rows, state.columns], "the network simplex has ended"


@dataclass(frozen=True)
class LinearSumAssignment(_Once):
    """scipy.optimize.linear_sum_assignment: the exact assignment, for n = m and uniform masses.

    It is one call without a callback, charged as one gradient.
    """

    name: ClassVar[str] = "scipy-assignment"

    def init(self, problem: EntropicTransport, rng: np.random.Generator) -> OnceState:
        """Nothing was computed yet.

        Raises:
            ArgumentError: The problem is no assignment.
        """
        n, m = problem.shape
        if (
            n != m
            or np.ptp(problem.a) > 1e-12 * problem.a.max()
            or np.ptp(problem.b) > 1e-12 * problem.b.max()
        ):
            raise ArgumentError(
                f"{problem.name}: linear_sum_assignment needs as many rows as columns and uniform "
                f"masses, got {n} x {m}"
            )
        return OnceState()

    def _solve(self, problem: EntropicTransport, state: OnceState, iterations: int) -> None:
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(problem.cost)
        state.rows, state.columns, state.masses = (
            rows.astype(np.int64),
            columns.astype(np.int64),
            problem.a[rows],
        )
        state.why = "the assignment is exact"
