"""Sinkhorn-Newton-Sparse (Tang, Shavlovsky, Rahmanian, Tardini, Thekumparampil, Xiao, Ying, ICLR
2024, arXiv 2401.12253).

    minimise  sum P C + reg sum P log P   over P >= 0 with row sums a and column sums b

to machine precision, also where `reg` is so small that Sinkhorn's iteration needs tens of thousands
of sweeps. With eta = 1/reg and the
potentials of P = exp(u + v - eta C), both stages maximise the concave dual (its gradient is the
error of the marginals):

1. Sinkhorn: exact maximisation over u, then over v.
2. Newton: -Hessian = [[diag(P 1), P], [P', diag(P' 1)]], with P sparsified and the diagonal exact,
  solved by conjugate gradients.

What differs from the paper where `mode` is not "paper": u is always the exact maximiser for v (so
the line search needs no guard against overflow);
the least set of entries is kept whose complement has little mass; a damping of the order of the
error keeps directions short that the sparse
matrix does not determine; sweeps and Newton steps touch only entries that can matter; a start at
smaller eta where the sweeps stand still;
Newton is not begun where Sinkhorn is about to be done; and problems of at most 64 x 64 are solved
by one compiled function with the whole matrix.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ...core.errors import ArgumentError, ShapeError
from ...core.problem import Method, Problem
from ..arrays import is_torch
from .coupling import Coupling, Couplings
from .problem import EntropicTransport, Potentials
from .stages import (
    Settings,
    State,
    advance,
    finished,
    potentials,
    solve_at_once,
    solve_scaled,
    start,
    values,
)


def sinkhorn_newton(
    a: Any,
    b: Any,
    cost: Any,
    reg: float | None = None,
    *,
    eta: float | None = None,
    mode: Literal["auto", "paper"] = "auto",
    density: float | Literal["auto"] = "auto",
    n_sinkhorn: int | None = None,
    max_newton: int = 200,
    max_cg: int = 500,
    max_sinkhorn: int = 10_000,
    tol: float = 1e-10,
    warmstart: tuple[Any, Any] | None = None,
    relative: bool = False,
) -> Coupling | Couplings:
    """Entropic optimal transport to machine precision, also at small `reg`.

    a: (n,) and b: (m,) masses >= 0 of one sum; None or [] for uniform ones. Entries of zero are
      dropped inside.  cost: (n, m), finite.
    reg: weight of the entropy, in the cost's unit; relative=True: as a share of the largest cost.
      eta: documented alias, 1 / reg.
    A leading axis of a, b or cost makes it a batch (what has none is shared) and the answer
    `Couplings`.
    warmstart: potentials (f, g), for example those of a neighbouring problem; only g is used.  The
      other settings: see `Settings`.
    Torch tensors give torch tensors on their device; the work is done on the CPU in double
    precision, so single precision limits the answer
    (about 1e-7 relative), not the iteration. If one requires a gradient, `value` has it with
    respect to a, b and cost.
    Where tol is not reached: RuntimeWarning, the best iterate, converged=False and the reason in
      status.

    Raises ArgumentError (negative masses, masses that differ, reg <= 0, settings), ShapeError,
    NotFinite, ArgumentTypeError.

    >>> import numpy as np
    >>> from feasible.transport import sinkhorn_newton
    >>> found = sinkhorn_newton([0.5, 0.5], [0.5, 0.5], np.array([[0.0, 1.0], [1.0, 0.0]]), reg=0.5)
    >>> np.round(found.plan, 4)
    array([[0.4404, 0.0596],
           [0.0596, 0.4404]])
    """
    settings = Settings(mode, density, n_sinkhorn, max_newton, max_cg, max_sinkhorn, tol)
    if (reg is None) == (eta is None):
        raise ArgumentError("reg: expected exactly one of reg and eta (eta = 1 / reg)")
    if eta is not None:
        if relative:
            raise ArgumentError("relative=True goes with reg, not with eta")
        if (
            isinstance(eta, bool)
            or not isinstance(eta, (int, float, np.number))
            or not 0 < eta < np.inf
        ):
            raise ArgumentError(f"eta={eta!r}: expected a positive finite number")
        reg = 1 / float(eta)
    shapes = [np.ndim(x) if not is_torch(x) else x.ndim for x in (a, b, cost)]
    if shapes[2] == 3 or 2 in shapes[:2]:
        return _batch(a, b, cost, shapes, reg, settings, warmstart, relative)
    return _single(a, b, cost, reg, settings, warmstart, relative)


def _batch(
    a: Any,
    b: Any,
    cost: Any,
    axes: list[int],
    reg: Any,
    settings: Settings,
    warm: Any,
    relative: bool,
) -> Couplings:
    batched = [x for x, n, base in zip((a, b, cost), axes, (1, 1, 2), strict=True) if n > base]
    sizes = {len(x) for x in batched}
    if len(sizes) != 1 or 0 in sizes:
        raise ShapeError(
            f"a, b, cost: leading axes of {sorted(sizes)}, expected one common positive size"
        )
    if warm is not None:
        raise ArgumentError("warmstart: not taken for a batch")

    def part(x: Any, n: int, base: int, i: int) -> Any:
        return x[i] if n > base else x

    return Couplings(
        [
            _single(
                part(a, axes[0], 1, i),
                part(b, axes[1], 1, i),
                part(cost, axes[2], 2, i),
                reg,
                settings,
                None,
                relative,
            )
            for i in range(sizes.pop())
        ]
    )


def _single(
    a: Any, b: Any, cost: Any, reg: Any, settings: Settings, warm: Any, relative: bool
) -> Coupling:
    given = next((x for x in (cost, a, b) if is_torch(x)), cost)
    problem = EntropicTransport(a, b, cost, reg, relative=relative)
    scaled = problem.scaled
    v = None
    if warm is not None:
        g = np.asarray(warm[1].detach().cpu() if is_torch(warm[1]) else warm[1], dtype=float)
        if g.shape != (problem.shape[1],):
            raise ShapeError(f"warmstart: g has shape {g.shape}, expected ({problem.shape[1]},)")
        v = np.where(np.isfinite(g), g, 0.0)[scaled.columns] / problem.reg
    small = solve_at_once(scaled.cost, scaled.a, scaled.b, 1 / problem.reg, settings, v)
    if small is not None:
        state, *sums = small
    else:
        state = solve_scaled(scaled.cost, scaled.a, scaled.b, 1 / problem.reg, settings, v)
        sums = list(values(scaled.cost, scaled.a, state))
    u, v, error = potentials(state)
    linear, value = problem.values(*sums)
    if not state.converged:
        warnings.warn(
            f"sinkhorn_newton did not converge: {state.why}; marginal error {error:.2g}",
            RuntimeWarning,
            stacklevel=4,
        )
    history = {
        "stage": np.array(state.stages),
        "error": np.array(state.errors),
        "step_length": np.array(state.lengths),
        "cg": np.array(state.gradients, dtype=int),
        "kept": np.array(state.kept, dtype=int),
        "reg": 1 / np.array(state.etas),
    }
    found = Coupling(
        value,
        linear,
        error,
        state.converged,
        state.why,
        len(state.stages),
        history,
        problem.unscaled(u, v),
        problem,
        given,
    )
    if is_torch(given):
        import torch

        from .coupling import value_of

        kind = given.dtype if given.dtype.is_floating_point else torch.float64
        found.value_linear = torch.tensor(linear, dtype=kind, device=given.device)
        found.value = value_of(found, a, b, cost, value, kind, given.device)
    return found


# -- in a run --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SinkhornNewton(Method):
    """Sinkhorn-Newton-Sparse in a run; one step is a Sinkhorn iteration or a Newton step. Settings
    as of `Settings`.
    """

    solves: ClassVar[type[Problem]] = EntropicTransport
    name: ClassVar[str] = "sinkhorn-newton"

    mode: Literal["auto", "paper"] = "auto"
    density: float | Literal["auto"] = "auto"
    n_sinkhorn: int | None = None
    max_newton: int = 200
    max_cg: int = 500
    max_sinkhorn: int = 10_000
    tol: float = 1e-10

    def __post_init__(self) -> None:
        self._settings()

    def _settings(self) -> Settings:
        return Settings(
            self.mode,
            self.density,
            self.n_sinkhorn,
            self.max_newton,
            self.max_cg,
            self.max_sinkhorn,
            self.tol,
        )

    def init(self, problem: EntropicTransport, rng: np.random.Generator) -> State:
        """The state at potentials zero."""
        s = problem.scaled
        return start(s.cost, s.a, s.b, 1 / problem.reg, self._settings())

    def step(self, problem: EntropicTransport, state: State) -> State:
        """One iteration."""
        s = problem.scaled
        advance(s.cost, s.a, s.b, state, self._settings())
        return state

    def answer(self, problem: EntropicTransport, state: State) -> Potentials:
        """The potentials of the least error at the problem's `reg`."""
        u, v, _ = potentials(state)
        return problem.unscaled(u, v)

    def done(self, problem: EntropicTransport, state: State) -> str | None:
        """When the marginal error is within tol, or nothing moves any more."""
        return finished(state)
