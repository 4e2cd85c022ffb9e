"""A solver for a sequence of systems that chooses its omega before each of them.

A simulation solves A_t x = b_t for t = 0, 1, ...; what each solve took is all that the learner is
told.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...core.checks import naming, one_of, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError
from .settings import BanditSettings
from .solvers import MOST, MOST_ITERATIONS, SOLVERS, TOL, Relaxed
from .tuners import Tuner

if TYPE_CHECKING:
    from jaxtyping import Float

ITERATIONS, SECONDS = "iterations", "seconds"


class SolverSequence:
    """Solves A_t x = b_t, t = 0, 1, ..., and learns omega from what each solve took.

    Keeps the sum of iterations near that of the best omega for each context c_t (`"chebcb"`), or of
    the best single omega (`"tsallis"`).

    Args:
        solver: "ssor-cg" or "sor"; "cg" has no omega.
        tuner: "chebcb", "binned-tsallis", "tsallis", "fixed", or a learner of your own.
        context: (A, t) -> c_t, such as a time step, a shift or a coefficient; None: given with each
            solve, or none at all.
        bounds: (a, b) of the context; needed by "chebcb" and "binned-tsallis".
        grid: (d,) omegas; None: 1, 1.05, ..., 1.95.
        omega: For "fixed".
        seed: Of the learner's draws.
        tol: Residual at which a solve stops, relative to that of the start for "sor", to b for the
            others.
        max_iter: Iterations of a solve at most; a solve that needs more costs so many.
        cost: What is learnt from: "iterations", or "seconds", which differ from run to run.

    Attributes:
        tuner: The learner.
        last: The last solve.
        omegas: The omega of each solve.
        iterations: The iterations of each solve.

    Raises:
        ArgumentError: bounds are missing where the learner needs them; a name that is not known.

    Example:
        >>> import numpy as np
        >>> from scipy import sparse
        >>> A = sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(50, 50)).tocsr()
        >>> solver = SolverSequence("sor", tuner="tsallis", seed=0, tol=1e-6)
        >>> for shift in np.linspace(0.5, 1.0, 40):
        ...     x = solver.solve(A + shift * sparse.eye_array(50), np.ones(50))
        >>> solver.last.converged, len(solver.omegas)
        (True, 40)

    References:
        Khodak, Chow, Balcan, Talwalkar, ICLR 2024, arXiv 2310.02246.
    """

    def __init__(
        self,
        solver: str = BanditSettings.solver,
        tuner: str | Tuner = BanditSettings.tuner,
        context: Callable[[Any, int], float] | None = None,
        *,
        bounds: tuple[float, float] | None = None,
        grid: Any = None,
        omega: float = BanditSettings.omega,
        seed: Any = 0,
        tol: float = TOL,
        max_iter: int = MOST,
        cost: str = ITERATIONS,
    ) -> None:
        self.solver = one_of("solver", solver, SOLVERS)
        self.cost = one_of("cost", cost, (ITERATIONS, SECONDS))
        self.tol = real("tol", tol, above=0)
        self.max_iter = whole("max_iter", max_iter, least=1, most=MOST_ITERATIONS)
        if context is not None and not callable(context):
            raise ArgumentTypeError(f"context={context!r:.60}: expected a function of (A, t)")
        self.context = context
        if cost == SECONDS:  # compiled before the clock runs, or the first omega pays for it
            SOLVERS[solver](np.ones((1, 1)), np.ones(1), None, 1.0, tol=self.tol, max_iter=1)
        if not isinstance(tuner, Tuner):
            settings = BanditSettings(solver=solver, tuner=tuner, omega=omega)
            if bounds is None and tuner in ("chebcb", "binned-tsallis"):
                raise ArgumentError(
                    f"bounds=None: the tuner '{tuner}' needs (a, b) between which contexts lie; "
                    "'tsallis' needs no context"
                )
            tuner = settings.made(bounds, seed, grid, float(cost == ITERATIONS))
        self.tuner = tuner
        self.last: Relaxed | None = None
        self.omegas: list[float] = []
        self.iterations: list[int] = []

    def solve(
        self, A: Any, b: Any, x0: Any = None, context: float | None = None
    ) -> Float[np.ndarray, " n"]:
        """Solve the next system.

        Args:
            A: (n, n) sparse or dense, symmetric positive definite.
            b: (n,).
            x0: (n,) where it starts, such as the last solution; None: 0.
            context: c_t, instead of what the sequence's own function says.

        Returns:
            (n,) the solution. Where it is none, a RuntimeWarning says why, and `last` has
            converged=False.

        Raises:
            FeasibleError: A, b, x0 or the context cannot be taken; the learner is told nothing.
        """
        if context is None and self.context is not None:
            context = self.context(A, len(self.omegas))
        omega = self.tuner.ask(context)
        start = perf_counter()
        try:
            found = SOLVERS[self.solver](A, b, x0, omega, tol=self.tol, max_iter=self.max_iter)
        except BaseException:
            self.tuner.take_back()
            raise
        took = perf_counter() - start if self.cost == SECONDS else cost_of(found, self.max_iter)
        self.tuner.tell(took)
        self.last = found
        self.omegas.append(omega)
        self.iterations.append(found.iterations)
        if not found.converged:
            warnings.warn(
                f"system {len(self.omegas) - 1}, omega = {omega:g}: {found.status}",
                RuntimeWarning,
                stacklevel=2,
            )
        return found.x

    def state_dict(self) -> dict[str, Any]:
        """Return what it has learnt, as JSON has it."""
        return {
            "tuner": self.tuner.state_dict(),
            "omegas": list(self.omegas),
            "iterations": list(self.iterations),
        }

    def load_state_dict(self, state: dict[str, Any]) -> Self:
        """Go on from what `state_dict` returned."""
        with naming("state"):
            self.tuner.load_state_dict(state["tuner"])
            self.omegas, self.iterations = list(state["omegas"]), list(state["iterations"])
        return self


def cost_of(found: Relaxed, max_iter: int) -> int:
    """Return what a learner is told of a solve: its iterations, of a failed one the cap."""
    return max(found.iterations, 1) if found.converged else max_iter
