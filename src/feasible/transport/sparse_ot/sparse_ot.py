"""Sparsity-constrained optimal transport.

    minimise    <T, C> + gamma/2 |T|^2
    subject to  T >= 0,  T 1 = a,  T' 1 = b,  at most k nonzeros in every column (or row)

Take it where a plan must be sparse with a known cap: at most k tokens for an expert, at most k
partners in a matching. k = m is quadratically regularised transport, a small k comes near the
linear program. The problem is not convex, so its concave dual or semi-dual is maximised:

    D(alpha, beta) = <alpha, a> + <beta, b>
                     - sum_j max { <alpha + beta_j - c_j, t> - gamma/2 |t|^2 :
                                   t >= 0,  at most k nonzeros }
    S(alpha)       = <alpha, a>
                     - sum_j max { <alpha - c_j, t> - gamma/2 |t|^2 :
                                   t >= 0,  sum t = b_j,  at most k nonzeros }

Their value bounds every plan with the cap from below; where the plan of the best potentials meets
the marginals it is a global optimum, and the result says so (`certified_optimal`). Small k has
ties, and then it may not: see `repair`.

References:
    Liu, Puigcerver, Blondel, ICLR 2023, arXiv 2209.15466.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from ...core.annotations import checked
from ...core.errors import Infeasible, ShapeError
from ...core.problem import Method, Problem
from ...core.warning import warn
from ..arrays import is_torch, like, masked, scalar, stacked
from ..forbidden import can_be_carried
from ..plan import SparsePlan
from .ascent import Ascent, advance, begin, finished, maximise
from .capped import Capped, Oriented
from .problem import SparseTransport
from .repair import exact_one, repaired
from .result import SparseOT, SparseOTBatch
from .settings import SparseOTSettings

CERTIFIED = 1e-6
"""Share of the mass that may miss its marginals where a plan counts as feasible, and so as optimal.
"""
LARGEST_PROGRAM = 40_000
"""Entries of the cost up to which k = 1 is solved as a linear program; its simplex takes seconds
there.
"""


@checked
def sparse_ot(
    a: Any,
    b: Any,
    cost: Any,
    k: int,
    gamma: float = SparseTransport.gamma,
    *,
    axis: str = SparseTransport.axis,
    formulation: str = SparseOTSettings.formulation,
    solver: str = SparseOTSettings.solver,
    repair: bool = SparseOTSettings.repair,
    tol: float = SparseOTSettings.tol,
    max_iter: int | None = SparseOTSettings.max_iter,
    learning_rate: float = SparseOTSettings.learning_rate,
    memory: int = SparseOTSettings.memory,
    init: Any = None,
    mask: Any = None,
) -> Any:
    """Transport between histograms with at most k nonzeros in every column (or row) of the plan.

        minimise    <T, C> + gamma/2 |T|^2
        subject to  T >= 0,  T 1 = a,  T' 1 = b,  at most k nonzeros in every column (or row)

    k >= m is quadratically regularised transport. With k = 1 the bound is that of the linear
    program, which is solved instead where it is small (<= 40,000 entries), and its plan is returned
    where it has one nonzero a column. NumPy in, NumPy out; torch likewise. Where the plan misses a
    marginal by more than tol: RuntimeWarning, converged=False and the reason in `status`.

    Args:
        a: (m,) masses >= 0, or (B, m) for a batch; None or [] for uniform ones.
        b: (n,) masses >= 0 of the same sum, or (B, n); None or [] for uniform ones.
        cost: (m, n), or (B, m, n) for a batch; finite, or inf where a pair is forbidden: the plan
            is exactly 0 there.
        k: Nonzeros of a column at most.
        gamma: Strength of the quadratic term, in cost per unit of mass: with masses of 1/n and
            costs of about 1, values from 0.1 to n make sense.
        axis: "columns", or "rows" where these are capped.
        formulation: "semidual" (one side's marginals are exact) or "dual".
        solver: "lbfgs", or "adam" as the authors' router has it.
        repair: Where the plan misses its marginals, look for one nearby that meets them and the cap
            (mixed-integer search, seconds to minutes, then quadratically regularised transport on
            its support); `gap` says how far from optimal it is at most.
        tol: Error of a marginal at which it stops, as a share of the mass.
        max_iter: Iterations at most; None: 500, with Adam 20.
        learning_rate: Of Adam, in units of cost.
        memory: Pairs that L-BFGS keeps.
        init: Potentials to start from (those of a former result).
        mask: (m, n) booleans, True where mass may go: the same as a cost of inf elsewhere; with a
            leading axis for a batch.

    Returns:
        A `SparseOT`, for a batch a `SparseOTBatch`.

    Raises:
        ArgumentError: Negative masses, masses that differ, settings.
        ArgumentTypeError: What is no number.
        ShapeError: Shapes that do not fit.
        NotFinite: NaN or infinities other than forbidden pairs.
        Infeasible: n k is less than the number of masses that must be reached, or a capped mass is
            more than the k largest of the other side; with the smallest k that may do. The checks
            are necessary, not sufficient. The pairs that are not forbidden cannot carry the mass.

    Examples:
        >>> result = sparse_ot([0.5, 0.5], [0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], k=1)
        >>> result.plan.tolist(), result.certified_optimal
        ([[0.5, 0.0], [0.0, 0.5]], True)

    References:
        Liu, Puigcerver, Blondel, ICLR 2023, arXiv 2209.15466.
    """
    settings = SparseOTSettings(formulation, solver, tol, max_iter, learning_rate, memory, repair)
    gamma = scalar(gamma)
    a, b, cost = stacked(a), stacked(b), masked(stacked(cost), stacked(mask))
    if len(getattr(cost, "shape", ())) != 3:
        return _solve(a, b, cost, k, gamma, axis, settings, init)
    size = cost.shape[0]
    if not size:
        raise ShapeError(
            f"cost has shape {tuple(cost.shape)}: expected at least one problem in the batch"
        )
    of_rows, of_columns = _each(a, "a", size), _each(b, "b", size)
    starts = [None] * size if init is None else list(zip(*init, strict=True))
    if len(starts) != size:
        raise ShapeError(f"init has potentials of {len(starts)} problems, expected {size}")
    found = []
    for p, q, c, z in zip(of_rows, of_columns, cost, starts, strict=True):
        found.append(_solve(p, q, c, k, gamma, axis, settings, z))
    return SparseOTBatch(found)


def _each(masses: Any, name: str, size: int) -> list[Any]:
    """The masses of each problem of a batch."""
    if masses is None or len(getattr(masses, "shape", ())) != 2:
        return [masses] * size
    if masses.shape[0] != size:
        raise ShapeError(
            f"{name} has shape {tuple(masses.shape)}, expected {size} histograms, as many as there "
            "are costs"
        )
    return list(masses)


def _solve(
    a: Any,
    b: Any,
    cost: Any,
    k: int,
    gamma: float,
    axis: str,
    settings: SparseOTSettings,
    init: Any,
) -> SparseOT:
    """Solve one problem, and give it back in kind."""
    problem = SparseTransport(a, b, cost, k, gamma, axis)
    oriented = Oriented.of(problem, settings.formulation == "dual")
    capped = oriented.capped
    plan: sparse.csr_array | None = None
    if is_program(capped, settings):
        state = begin(capped, settings)
        status, plan = program(capped, state)
    else:
        state, status = maximise(capped, settings, None if init is None else oriented.warm(init))
    of_potentials = capped.plan(state.z)[0]
    plan = of_potentials if plan is None else plan
    mended = False
    if settings.repair and capped.misses(plan)[1] > settings.tol:
        better, words = repaired(capped, state.z[: len(capped.a)])
        status += f"; repair: {words}"
        mended = better is not None
        plan = plan if better is None else better
    error, largest = capped.misses(plan)
    if (
        not largest <= settings.tol
        and problem.forbids
        and not can_be_carried(problem.a, problem.b, np.isfinite(problem.cost))
    ):
        raise Infeasible(
            "cost: the pairs that are not forbidden (inf) cannot carry the mass of a to b"
        )
    if not largest <= settings.tol:
        warn(f"sparse_ot: {error:.2g} of the mass misses a marginal; {status}", RuntimeWarning)
    full = oriented.full(plan)
    linear, total = problem.values(full)
    value = -state.value * capped.unit
    close = abs(total - value) <= CERTIFIED * max(abs(total), abs(value), capped.mass * capped.unit)
    potentials = oriented.potentials(state.z)
    given = a if is_torch(a) else b if is_torch(b) else cost
    if is_torch(given):
        import torch

        from ..envelope import differentiable

        slopes = (
            lambda: potentials[0],
            lambda: potentials[1],
            lambda: oriented.full(of_potentials).toarray(),
        )
        certified = error <= CERTIFIED and close
        if not certified and any(is_torch(x) and x.requires_grad for x in (a, b, cost)):
            warn(
                "sparse_ot: the plan is not certified, so the gradient of `value` in the cost is "
                "that of one of several plans of the potentials, a direction at best",
                RuntimeWarning,
            )
        bound: Any = differentiable(
            value,
            (a, b, cost),
            slopes,
            given.dtype if given.dtype.is_floating_point else torch.float64,
            given.device,
        )
    else:
        bound = value
    history = {
        "value": np.array(state.values) * capped.unit,
        "marginal_error": np.array(state.errors) / capped.mass,
    }
    return SparseOT(
        bound,
        total,
        linear,
        full,
        (like(potentials[0], given), like(potentials[1], given)),
        error,
        error <= CERTIFIED and close,
        largest <= settings.tol,
        status,
        state.iteration,
        state.evaluations,
        history,
        mended,
        given,
    )


def is_program(problem: Capped, settings: SparseOTSettings) -> bool:
    """True where k = 1 and the linear program is small."""
    return (
        problem.k == 1
        and len(problem.a) > 1
        and settings.solver == "lbfgs"
        and problem.c.size <= LARGEST_PROGRAM
    )


def program(problem: Capped, state: Ascent) -> tuple[str, sparse.csr_array | None]:
    """Put the ascent of k = 1 to the potentials of the linear program.

    Returns:
        What happened, and the plan where it keeps the cap.
    """
    exact = exact_one(problem)
    z = exact.alpha
    if problem.dual:  # the best beta of the dual: where the largest of alpha + beta_j - c_j is b_j
        z = np.concatenate([z, problem.b - (z - problem.c).max(axis=1)])
    state.settle(z, *problem.gradient(z))
    state.iteration = state.evaluations = 1
    state.relaxed = False
    return exact.status, exact.plan


# -- the method ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Entries:
    """A plan of the normalised problem that a linear program or a repair found; empty before.

    Attributes:
        rows: (e,) of the entries.
        columns: (e,) of the entries.
        masses: (e,) of the entries.
    """

    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    columns: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    masses: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def keep(self, plan: sparse.csr_array) -> None:
        """Take over a plan."""
        coo = plan.tocoo()
        self.rows, self.columns, self.masses = (
            coo.coords[0].astype(np.int64),
            coo.coords[1].astype(np.int64),
            coo.data.copy(),
        )


@dataclass(slots=True)
class SparseOTState:
    """Where a run stands.

    Attributes:
        ascent: On the potentials.
        found: A plan that is not that of the potentials.
        over: Why a linear program or a repair ended; empty where none has.
    """

    ascent: Ascent
    found: Entries = field(default_factory=Entries)
    over: str = ""


@dataclass(frozen=True)
class SparseOTMethod(SparseOTSettings, Method):
    """Ascent on the semi-dual (or dual) of a capped transport problem.

    A step is an iteration; a gradient is one value and gradient of it. The linear program of k = 1
    is one step and is charged as one gradient; a repair is a step of its own. The settings are
    those of `settings.SparseOTSettings`.

    References:
        Liu, Puigcerver, Blondel, ICLR 2023, arXiv 2209.15466.
    """

    solves: ClassVar[type[Problem]] = SparseTransport
    name: ClassVar[str] = "sparse-ot"

    def _oriented(self, problem: SparseTransport) -> Oriented:
        """The problem as the kernels have it, made once."""
        dual = self.formulation == "dual"
        found: Oriented = problem.cached(("oriented", dual), lambda: Oriented.of(problem, dual))
        return found

    def init(self, problem: SparseTransport, rng: np.random.Generator) -> SparseOTState:
        """Zero potentials; nothing is evaluated."""
        return SparseOTState(begin(self._oriented(problem).capped, self))

    def step(self, problem: SparseTransport, state: SparseOTState) -> SparseOTState:
        """One iteration, the linear program, or the repair."""
        capped = self._oriented(problem).capped
        if is_program(capped, self) and not state.ascent.iteration:
            problem.charge()
            state.over, plan = program(capped, state.ascent)
        elif state.over or finished(state.ascent, capped, self):
            plan, words = repaired(capped, state.ascent.z[: len(capped.a)])
            state.over = f"{state.over or finished(state.ascent, capped, self)}; repair: {words}"
        else:
            plan = None
            advance(state.ascent, capped, self, problem.charge)
        if plan is not None:
            state.found.keep(plan)
        return state

    def answer(self, problem: SparseTransport, state: SparseOTState) -> SparsePlan:
        """The plan of the potentials, or that of the linear program or the repair.

        With the potential of the side without a cap.
        """
        oriented = self._oriented(problem)
        found, z = state.found, state.ascent.z
        plan = (
            sparse.csr_array(
                (found.masses, (found.rows, found.columns)), shape=oriented.capped.c.shape
            )
            if len(found.masses)
            else oriented.capped.plan(z)[0]
        )
        coo = oriented.full(plan).tocoo()
        return SparsePlan(
            coo.coords[0].astype(np.int64),
            coo.coords[1].astype(np.int64),
            coo.data,
            problem.sided(*oriented.potentials(z))[0],
        )

    def done(self, problem: SparseTransport, state: SparseOTState) -> str | None:
        """When the marginals are met, nothing moves any more, or the iterations are over.

        With `repair` after it.
        """
        capped = self._oriented(problem).capped
        why = state.over or finished(state.ascent, capped, self)
        wants = (
            self.repair
            and "; repair: " not in state.over
            and not len(state.found.masses)
            and state.ascent.error > self.tol * capped.mass
        )
        return None if not why or wants else why
