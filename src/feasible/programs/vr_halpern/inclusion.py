"""Variance-reduced Halpern iteration on arrays: `solve_inclusion`, and `VRHalpern` for more of it.

References:
    Cai, Alacaoglu, Diakonikolas, "Variance Reduced Halpern Iteration for Finite-Sum Monotone
    Inclusions", ICLR 2024, arXiv 2310.02987: Algorithms 1, 2 and 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import generator, real
from ...core.errors import ArgumentError, ArgumentTypeError
from .halpern import advance, begin, chosen, finished, residual
from .operators import FiniteSum, MatrixGame
from .projections import as_resolvent
from .settings import HalpernSettings

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class InclusionResult:
    """What was found.

    Attributes:
        u: (d,) of the points where F was evaluated, that of the least residual.
        residual: |u - J_1(u - F(u))|, computed anew.
        evaluations: Component evaluations.
        converged: Whether the residual is at most tol.
        status: Why it ended, in a sentence.
        eta: The step.
        history: (h, 2) component evaluations and the least residual so far.
    """

    u: Float[np.ndarray, " d"]
    residual: float
    evaluations: int
    converged: bool
    status: str
    eta: float
    history: Float[np.ndarray, "h 2"]


class VRHalpern:
    """Variance-reduced Halpern iteration on an inclusion 0 in F(u) + G(u).

    Args:
        op: F: a `FiniteSum`, `AffineFiniteSum` or `MatrixGame`.
        resolvent: (u, eta) -> (I + eta G)^-1 u, or a projection of u alone; None: that of the
            operator (both simplices of a game, else the identity).
        method: "page" (Algorithm 1), "resolvent" (Algorithms 2 and 3), "halpern" (Algorithm 1 with
            full evaluations), or "auto".
        eta: Step; None: from the operator's constant.
        inner: Inner steps of Algorithm 2 in units of n log(1.252 (k + 2)).
        boost: Inner step over that of the theory.
        restart: Begin anew where the residual has fallen to a quarter; not in the paper.
        tol: Residual at step 1 at which it ends.
        max_evals: Component evaluations at most.
        seed: Of the draws.
        callback: (u, residual, evaluations) of each better point; True ends it.

    Raises:
        ArgumentError: Settings; Algorithm 1 for an operator that is known not to be cocoercive.
        ArgumentTypeError: op is no operator.

    Example:
        >>> from feasible.programs import MatrixGame
        >>> game = MatrixGame([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
        >>> found = VRHalpern(game, tol=1e-6, restart=True).solve([1.0, 0, 0, 0, 1.0, 0])
        >>> found.u.round(4).tolist()
        [0.3333, 0.3333, 0.3333, 0.3333, 0.3333, 0.3333]

    References:
        Cai, Alacaoglu, Diakonikolas, ICLR 2024, arXiv 2310.02987.
    """

    def __init__(
        self,
        op: FiniteSum,
        resolvent: Any = None,
        *,
        method: str = HalpernSettings.method,
        eta: float | None = HalpernSettings.eta,
        inner: float = HalpernSettings.inner,
        boost: float = HalpernSettings.boost,
        restart: bool = HalpernSettings.restart,
        tol: float = HalpernSettings.tol,
        max_evals: float = 1e6,
        seed: Any = 0,
        callback: Callable[[np.ndarray, float, int], Any] | None = None,
    ) -> None:
        if not isinstance(op, FiniteSum):
            raise ArgumentTypeError(
                f"op={op!r:.60}: expected a FiniteSum, an AffineFiniteSum or a MatrixGame"
            )
        self.op = op
        self.resolvent = op.resolvent() if resolvent is None else as_resolvent(resolvent)
        if resolvent is not None and isinstance(op, MatrixGame):
            raise ArgumentError("resolvent: a MatrixGame is played on its two simplices")
        self.settings = HalpernSettings(method, eta, inner, boost, restart, tol)
        chosen(op, self.settings)
        self.max_evals = real("max_evals", max_evals, above=0, infinite=True)
        if callback is not None and not callable(callback):
            raise ArgumentTypeError(f"callback={callback!r:.60}: expected a function")
        self.seed, self.callback = seed, callback

    def solve(self, u0: Any) -> InclusionResult:
        """Iterate from a point.

        Args:
            u0: (d,) the start, and the first anchor.

        Returns:
            The point of the least residual among those where F was evaluated.

        Raises:
            ShapeError: Shapes that do not fit.
            NotFinite: NaN or infinities in u0.
            ArgumentError: `full` is not the mean of the components.
        """
        op, resolvent = self.op, self.resolvent
        state = begin(op, resolvent, u0, generator("seed", self.seed))
        history: list[tuple[float, float]] = []

        def charge(n: int) -> None:
            if state.evaluations + n > self.max_evals:
                raise _Enough

        status = ""
        while not status:
            before = state.least
            try:
                advance(op, resolvent, self.settings, state, charge)
            except _Enough:
                status = (
                    f"{state.evaluations} component evaluations are over; the least residual is "
                    f"{state.least:.1e}"
                )
            if state.least < before:
                history.append((float(state.evaluations), state.least))
                told = self.callback and self.callback(
                    state.best.copy(), state.least, state.evaluations
                )
                status = status or ("the callback ended it" if told is True else "")
            status = status or finished(state, self.settings) or ""
        found = residual(op, resolvent, state.best)
        return InclusionResult(
            state.best.copy(),
            found,
            state.evaluations,
            bool(found <= max(self.settings.tol * (1 + 1e-9), 0.0)),
            status,
            state.eta,
            np.array(history).reshape(-1, 2),
        )


class _Enough(Exception):
    """The component evaluations are over."""


def solve_inclusion(
    op: FiniteSum,
    u0: Any,
    resolvent: Any = None,
    *,
    method: str = HalpernSettings.method,
    eta: float | None = HalpernSettings.eta,
    restart: bool = HalpernSettings.restart,
    tol: float = HalpernSettings.tol,
    max_evals: float = 1e6,
    seed: Any = 0,
    callback: Callable[[np.ndarray, float, int], Any] | None = None,
) -> InclusionResult:
    """Find u with 0 in F(u) + G(u) by variance-reduced Halpern iteration; see `VRHalpern`.

    Args:
        op: F.
        u0: (d,) the start.
        resolvent: Of G; None: that of the operator.
        method: "auto", "page", "resolvent" or "halpern".
        eta: Step; None: from the operator's constant.
        restart: Begin anew where the residual has fallen to a quarter.
        tol: Residual at step 1 at which it ends.
        max_evals: Component evaluations at most.
        seed: Of the draws.
        callback: (u, residual, evaluations) of each better point; True ends it.

    Returns:
        The point of the least residual among those where F was evaluated.

    Raises:
        FeasibleError: As `VRHalpern`.

    Example:
        >>> from feasible.programs import AffineFiniteSum
        >>> rows = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
        >>> op = AffineFiniteSum(rows, rows @ [1.0, 2.0])
        >>> solve_inclusion(op, [0.0, 0.0]).u.round(3).tolist()
        [1.0, 2.0]
    """
    return VRHalpern(
        op,
        resolvent,
        method=method,
        eta=eta,
        restart=restart,
        tol=tol,
        max_evals=max_evals,
        seed=seed,
        callback=callback,
    ).solve(u0)
