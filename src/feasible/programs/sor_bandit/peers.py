"""SciPy's and PyAMG's solvers on sequences of systems: what people use without a learner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg, splu

from ...core.budget import spend
from ...core.problem import Method, Problem
from .problem import Solutions, SystemSequence

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class PeerState:
    """Where a peer stands.

    Attributes:
        x: (n,) the solution of each system so far.
    """

    x: list[Float[np.ndarray, " n"]] = field(default_factory=list)


@dataclass(frozen=True)
class SequencePeer(Method):
    """A solver of another library, called afresh for each system of a sequence."""

    solves: ClassVar[type[Problem]] = SystemSequence

    def init(self, problem: SystemSequence, rng: np.random.Generator) -> PeerState:
        """Solve nothing."""
        return PeerState()

    def step(self, problem: SystemSequence, state: PeerState) -> PeerState:
        """Solve the next system."""
        before = state.x[-1] if state.x else problem.start
        a, b, x0 = problem.system(len(state.x), before)
        state.x.append(self.solved(problem, a, b, x0))
        return state

    def solved(self, problem: SystemSequence, a: Any, b: Any, x0: Any) -> Float[np.ndarray, " n"]:
        """Return the solution of one system, charging for it."""
        raise TypeError(f"{type(self).__name__} does not define solved(problem, a, b, x0)")

    def answer(self, problem: SystemSequence, state: PeerState) -> Solutions:
        """The solutions so far."""
        return Solutions.of(state.x, problem)

    def done(self, problem: SystemSequence, state: PeerState) -> str | None:
        """When every system was solved."""
        return f"all {problem.count} systems are through" if len(state.x) >= problem.count else None


@dataclass(frozen=True)
class ScipyCG(SequencePeer):
    """`scipy.sparse.linalg.cg` without a preconditioner. A sweep is a product with the matrix."""

    name: ClassVar[str] = "scipy-cg"

    def solved(self, problem: SystemSequence, a: Any, b: Any, x0: Any) -> Float[np.ndarray, " n"]:
        """Conjugate gradients from x0."""

        def product(v: np.ndarray) -> np.ndarray:
            spend(sweeps=1)
            return a @ v

        metered = LinearOperator(a.shape, matvec=product, dtype=np.float64)
        found: np.ndarray = cg(metered, b, x0, rtol=problem.tol, maxiter=problem.max_iter)[0]
        return found


@dataclass(frozen=True)
class ScipyDirect(SequencePeer):
    """`scipy.sparse.linalg.splu`: each matrix is factored.

    Its arithmetic is charged in passes over the matrix, of 2 operations an entry: 2 for each
    product that the elimination makes, and 2 for each entry of the factors that the solution reads.
    """

    name: ClassVar[str] = "scipy-splu"

    def solved(self, problem: SystemSequence, a: Any, b: Any, x0: Any) -> Float[np.ndarray, " n"]:
        """Factor and solve; what it took is known, and charged, before its result is used."""
        factors = splu(sparse.csc_array(a))
        below = np.diff(factors.L.indptr).astype(float) - 1
        right = np.bincount(factors.U.indices, minlength=len(below)).astype(float) - 1
        work = below @ right + factors.L.nnz + factors.U.nnz
        spend(sweeps=int(np.ceil(work / a.nnz)))
        return factors.solve(b)


@dataclass(frozen=True)
class PyAMG(SequencePeer):
    """PyAMG's Ruge-Stuben multigrid as a preconditioner of conjugate gradients, set up afresh.

    A cycle is charged by its complexity, in passes over the matrix; its set-up takes seconds and no
    sweeps, so compare it in runs that are limited in seconds.
    """

    name: ClassVar[str] = "pyamg"
    requires: ClassVar[tuple[str, ...]] = ("pyamg",)

    def solved(self, problem: SystemSequence, a: Any, b: Any, x0: Any) -> Float[np.ndarray, " n"]:
        """Set up the levels, then conjugate gradients from x0."""
        import pyamg

        levels = pyamg.ruge_stuben_solver(sparse.csr_matrix(a))
        cycle = int(np.ceil(levels.cycle_complexity())) + 1
        preconditioner = levels.aspreconditioner()

        def apply(r: np.ndarray) -> np.ndarray:
            spend(sweeps=cycle)
            return preconditioner @ r

        metered = LinearOperator(a.shape, matvec=apply, dtype=np.float64)
        found: np.ndarray = cg(a, b, x0, rtol=problem.tol, maxiter=problem.max_iter, M=metered)[0]
        return found
