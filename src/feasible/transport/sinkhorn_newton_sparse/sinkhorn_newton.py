"""Sinkhorn-Newton-Sparse: entropic transport to machine precision.

    minimise    sum P C + reg sum P log P
    subject to  P >= 0,  P 1 = a,  P' 1 = b

also where `reg` is so small that Sinkhorn's iteration needs tens of thousands of sweeps. With eta =
1/reg and the potentials of P = exp(u + v - eta C), both stages maximise the concave dual (its
gradient is the error of the marginals):

1. Sinkhorn: exact maximisation over u, then over v.
2. Newton: -Hessian = [[diag(P 1), P], [P', diag(P' 1)]], with P sparsified and the diagonal exact,
   solved by conjugate gradients.

What differs from the paper where `mode` is not "paper": u is always the exact maximiser for v (so
the line search needs no guard against overflow); the least set of entries is kept whose complement
has little mass; a damping of the order of the error keeps directions short that the sparse matrix
does not determine; sweeps and Newton steps touch only entries that can matter; a start at smaller
eta where the sweeps stand still; Newton is not begun where Sinkhorn is about to be done; and
problems of at most 64 x 64 are solved by one compiled function with the whole matrix.

References:
    Tang, Shavlovsky, Rahmanian, Tardini, Thekumparampil, Xiao, Ying, ICLR 2024, arXiv 2401.12253.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ...core.checks import flag, naming, real
from ...core.errors import ArgumentError, Infeasible, ShapeError
from ...core.problem import Method, Problem
from ...core.warning import warn
from ..arrays import is_torch, masked, scalar, stacked
from .coupling import Coupling, Couplings
from .problem import EntropicTransport, Potentials, Scaled
from .settings import SinkhornNewtonSettings
from .small import solve_at_once
from .stages import advance, solve_scaled
from .state import SinkhornNewtonState, best_potentials, start, values


def sinkhorn_newton(
    a: Any,
    b: Any,
    cost: Any,
    reg: float | None = None,
    *,
    eta: float | None = None,
    mode: Literal["auto", "paper"] = SinkhornNewtonSettings.mode,
    density: float | Literal["auto"] = SinkhornNewtonSettings.density,
    n_sinkhorn: int | None = SinkhornNewtonSettings.n_sinkhorn,
    max_newton: int = SinkhornNewtonSettings.max_newton,
    max_cg: int = SinkhornNewtonSettings.max_cg,
    max_sinkhorn: int = SinkhornNewtonSettings.max_sinkhorn,
    tol: float = SinkhornNewtonSettings.tol,
    warmstart: tuple[Any, Any] | None = None,
    relative: bool = False,
    mask: Any = None,
) -> Coupling | Couplings:
    """Entropic optimal transport to machine precision, also at small `reg`.

        minimise    sum P C + reg sum P log P
        subject to  P >= 0,  P 1 = a,  P' 1 = b

    A leading axis of a, b or cost makes it a batch (what has none is shared). Torch tensors give
    torch tensors on their device; the work is done on the CPU in double precision, so single
    precision limits the answer (about 1e-7 relative), not the iteration. If one requires a
    gradient, `value` has it with respect to a, b and cost, twice, and `value_linear` and `plan`
    once. Where tol is not reached: RuntimeWarning, the best iterate, converged=False and the
    reason in `status`.

    Args:
        a: (n,) masses >= 0; None or [] for uniform ones. Entries of zero are dropped inside, and
            of those that are tiny as many as have less than tol / 1000 of the mass together.
        b: (m,) masses >= 0 of the same sum; None or [] for uniform ones.
        cost: (n, m), finite, or inf where a pair is forbidden: the plan is exactly 0 there.
        reg: Weight of the entropy, in the cost's unit.
        eta: 1 / reg, in its place.
        mode: "auto", or "paper": the paper's two stages without our additions.
        density: Share of the n x m entries that Newton keeps; "auto": 2/n in mode "paper", else as
            few as the error allows.
        n_sinkhorn: Sweeps before Newton may begin; None: 20 in mode "paper", else 10.
        max_newton: Newton steps at most.
        max_cg: Conjugate gradients in each at most.
        max_sinkhorn: Sweeps at most, in all.
        tol: L1 error of the marginals at which it ends, relative to the mass.
        warmstart: Potentials (f, g), for example those of a neighbouring problem; only g is used.
        relative: reg is a share of the largest cost that is not forbidden.
        mask: (n, m) booleans, True where mass may go: the same as a cost of inf elsewhere; with a
            leading axis for a batch.

    Returns:
        A `Coupling`, for a batch `Couplings`.

    Raises:
        ArgumentError: Negative masses, masses that differ, reg <= 0, settings.
        ArgumentTypeError: What is no number.
        ShapeError: Shapes that do not fit.
        NotFinite: NaN or infinities other than forbidden pairs.
        Infeasible: The pairs that are not forbidden cannot carry the mass.

    Examples:
        >>> import numpy as np
        >>> from feasible.transport import sinkhorn_newton
        >>> found = sinkhorn_newton([0.5, 0.5], [0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], reg=0.5)
        >>> np.round(found.plan, 4)
        array([[0.4404, 0.0596],
               [0.0596, 0.4404]])

    References:
        Tang et al., ICLR 2024, arXiv 2401.12253.
    """
    settings = SinkhornNewtonSettings(
        mode, density, n_sinkhorn, max_newton, max_cg, max_sinkhorn, tol
    )
    if (reg is None) == (eta is None):
        raise ArgumentError("reg: expected exactly one of reg and eta (eta = 1 / reg)")
    relative = flag("relative", relative)
    if eta is not None:
        if relative:
            raise ArgumentError("relative=True goes with reg, not with eta")
        reg = 1 / real("eta", eta, above=0)
    reg = scalar(reg)
    a, b, cost = stacked(a), stacked(b), masked(stacked(cost), stacked(mask))
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
    settings: SinkhornNewtonSettings,
    warm: Any,
    relative: bool,
) -> Couplings:
    """Solve each problem of a batch; `axes` are those of a, b and cost."""
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
    a: Any, b: Any, cost: Any, reg: Any, settings: SinkhornNewtonSettings, warm: Any, relative: bool
) -> Coupling:
    """Solve one problem, and give it back in kind."""
    given = next((x for x in (cost, a, b) if is_torch(x)), cost)
    problem = EntropicTransport(a, b, cost, reg, relative=relative)
    offset = problem.offset
    if offset:
        problem = EntropicTransport(problem.a, problem.b, problem.cost - offset, problem.reg)
    scaled = problem.above(settings.tol)
    v = None
    if warm is not None:
        with naming("warmstart"):
            g = np.asarray(warm[1].detach().cpu() if is_torch(warm[1]) else warm[1], dtype=float)
        if g.shape != (problem.shape[1],):
            raise ShapeError(f"warmstart: g has shape {g.shape}, expected ({problem.shape[1]},)")
        v = np.where(np.isfinite(g), g, 0.0)[scaled.columns] / problem.reg
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows ends with a status
        small = solve_at_once(scaled, 1 / problem.reg, settings, v)
        if small is not None:
            state, *sums = small
        else:
            state = solve_scaled(scaled, 1 / problem.reg, settings, v)
            sums = list(values(scaled, state))
    u, v, error = best_potentials(state)
    linear, value = problem.values(*sums)
    if offset:
        common = offset * float(problem.a.sum())
        linear, value = linear + common, value + common
    if not state.converged and problem.forbids and not problem.can_be_carried():
        raise Infeasible(
            "cost: the pairs that are not forbidden (inf) cannot carry the mass of a to b"
        )
    if not state.converged:
        warn(
            f"sinkhorn_newton did not converge: {state.why}; marginal error {error:.2g}",
            RuntimeWarning,
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
        problem.unscaled(u, v, scaled),
        problem,
        given,
        offset,
    )
    if is_torch(given):
        import torch

        kind = given.dtype if given.dtype.is_floating_point else torch.float64
        found.value_linear = torch.tensor(linear, dtype=kind, device=given.device)
        found.value = torch.tensor(value, dtype=kind, device=given.device)
        if torch.is_grad_enabled() and any(is_torch(x) and x.requires_grad for x in (a, b, cost)):
            from . import implicit

            share = float(reg) if relative else None
            found.through = implicit.given_to(found, a, b, cost, share)
            found.value = implicit.differentiable(found, value, found.through).to(found.value)
            of_linear = implicit.linear(found, linear, found.through)
            found.value_linear = of_linear.to(found.value_linear)
    return found


# -- in a run --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SinkhornNewton(SinkhornNewtonSettings, Method):
    """Sinkhorn-Newton-Sparse in a run; a step is a Sinkhorn iteration or a Newton step.

    The settings are those of `settings.SinkhornNewtonSettings`.

    References:
        Tang et al., ICLR 2024, arXiv 2401.12253.
    """

    solves: ClassVar[type[Problem]] = EntropicTransport
    name: ClassVar[str] = "sinkhorn-newton"

    def _scaled(self, problem: EntropicTransport) -> Scaled:
        """The problem that the stages solve, made once."""
        found: Scaled = problem.cached(("above", self.tol), lambda: problem.above(self.tol))
        return found

    def init(self, problem: EntropicTransport, rng: np.random.Generator) -> SinkhornNewtonState:
        """The state at potentials zero."""
        return start(self._scaled(problem), 1 / problem.reg, self)

    def step(self, problem: EntropicTransport, state: SinkhornNewtonState) -> SinkhornNewtonState:
        """One iteration."""
        advance(self._scaled(problem), state, self)
        return state

    def answer(self, problem: EntropicTransport, state: SinkhornNewtonState) -> Potentials:
        """The potentials of the least error at the problem's `reg`."""
        u, v, _ = best_potentials(state)
        return problem.unscaled(u, v, self._scaled(problem))

    def done(self, problem: EntropicTransport, state: SinkhornNewtonState) -> str | None:
        """When the marginal error is within tol, or nothing moves any more."""
        return state.why or None
