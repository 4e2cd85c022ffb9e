"""How a target surrogate is lowered over the weights, without another gradient of the expensive
loss.

A solver is a frozen dataclass of settings with `solve(params, surrogate, m) -> Inner`; `surrogate`
is an `Evaluator`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ...core.checks import real, whole
from ...core.errors import ArgumentError
from ..optimizer import number

if TYPE_CHECKING:
    from torch import Tensor

    from .metrics import Proximity


@dataclass
class Inner:
    """What an inner solver did.

    Attributes:
        steps: Steps made.
        value: Of the surrogate at the end.
        start: Norm of its gradient at the beginning.
        why: Why it ended.
    """

    steps: int
    value: float
    start: float
    why: str


class Evaluator:
    """The surrogate as a function of the weights where they stand.

    Args:
        params: The weights.
        target: () -> outputs of the model.
        proximity: The surrogate as a function of the outputs; its z is what the first evaluation
            must give again.
        l2: Weight of |w|^2.
        steepest: Largest norm of the surrogate's gradient in earlier outer steps, times `scale`.
    """

    def __init__(
        self,
        params: Sequence[Tensor],
        target: Callable[[], Tensor],
        proximity: Proximity,
        l2: float = 0.0,
        steepest: float = 0.0,
    ):
        self.steepest = steepest
        self.params, self.target, self.proximity, self.l2 = list(params), target, proximity, l2
        self.seen = False
        weight = proximity.weight
        self.scale: float = (
            proximity.eta
            if weight is None
            else 1 / float(weight.mean() if isinstance(weight, torch.Tensor) else weight)
        )
        """One over the surrogate's mean curvature in the outputs, eta in the Euclidean metric: what
        makes steps and tolerances independent of the unit of the loss.
        """

    def outputs(self) -> Tensor:
        """f at the weights, with its graph.

        Raises:
            ArgumentError: Other outputs than before at the same weights.
        """
        with torch.enable_grad():
            f = self.target()
        if not self.seen:
            self.seen = True
            z = self.proximity.z
            if f.shape != z.shape or not torch.allclose(f.detach(), z, rtol=1e-4, atol=1e-6):
                raise ArgumentError(
                    "target gave other outputs at the same weights: expected the same, as z must "
                    "not change between two "
                    "calls; put a model with dropout into eval() mode, and draw data and noise "
                    "before the step"
                )
        return f

    def value(self) -> float:
        """g."""
        with torch.no_grad():
            g = self.proximity(self.target())
            return float(g + self.l2 * sum(p.square().sum() for p in self.params) if self.l2 else g)

    def gradient(self) -> tuple[float, list[Tensor]]:
        """g and its gradient, one tensor for each parameter."""
        f = self.outputs()
        with torch.enable_grad():
            g = self.proximity(f)
            if self.l2:
                g = g + self.l2 * sum(p.square().sum() for p in self.params)
        found = torch.autograd.grad(g, self.params, allow_unused=True)
        return float(g.detach()), [
            torch.zeros_like(p) if d is None else d for p, d in zip(self.params, found, strict=True)
        ]

    def flat(self, size: float, tol: float) -> bool:
        """Whether a gradient of norm `size` is within the tolerance, relative to the steepest so
        far, or within rounding.
        """
        size *= self.scale
        self.steepest = max(self.steepest, size)
        rounding = torch.finfo(self.params[0].dtype).eps * (1 + _norm(self.params))
        return size <= max(tol * self.steepest, rounding)


LEAPS = 20
"""Refusals of ArmijoGD after those by beta."""


def _norm(tensors: Sequence[Tensor]) -> float:
    """The 2-norm of all tensors together."""
    return float(torch.stack(torch._foreach_norm(list(tensors))).norm())


@dataclass(frozen=True)
class GD:
    """Plain gradient steps. With m = 1 they are those of SGD on the loss itself, whatever eta is.

    Attributes:
        lr: Length of a step, > 0.
    """

    lr: float

    def __post_init__(self) -> None:
        number("lr", self.lr, above=0)

    def solve(self, params: Sequence[Tensor], surrogate: Evaluator, m: int) -> Inner:
        """m steps."""
        start = 0.0
        for k in range(m):
            _, slope = surrogate.gradient()
            start = _norm(slope) if k == 0 else start
            torch._foreach_add_(list(params), slope, alpha=-self.lr)
        return Inner(m, surrogate.value(), start, f"{m} steps were made")


@dataclass(frozen=True)
class ArmijoGD:
    """Gradient steps with backtracking: s accepted where g(w - s g') <= g(w) - c s |g'|^2, else s
    <- beta s; the next trial is expand s.

    After `tries` refusals s falls to the least point of the parabola through what was seen, or to a
    thousandth. Ends early where eta |g'| is within tol of the
    largest so far, or where no step lowers g.

    Attributes:
        c: Share of the linear decrease that is asked for, in (0, 1).
        beta: What a refused s is multiplied by, in (0, 1).
        expand: What the next trial is, over the accepted s, >= 1.
        first: s at the start of each outer step, in units of eta (of one over the mean weight in
            metrics other than the Euclidean), > 0.
        tries: Most refusals by beta, >= 1.
        tol: Tolerance of the gradient, relative to the steepest so far, >= 0.

    References:
        Lavington et al., arXiv 2302.02607.
    """

    c: float = 0.1
    beta: float = 0.9
    expand: float = 2.0
    first: float = 10.0
    tries: int = 100
    tol: float = 1e-6

    def __post_init__(self) -> None:
        real("c", self.c, above=0, below=1)
        real("beta", self.beta, above=0, below=1)
        real("expand", self.expand, least=1)
        real("first", self.first, above=0)
        whole("tries", self.tries, least=1)
        real("tol", self.tol, least=0)

    def solve(self, params: Sequence[Tensor], surrogate: Evaluator, m: int) -> Inner:
        """At most m steps; each lowers g."""
        weights, s, start = list(params), self.first * surrogate.scale, 0.0
        value, slope = surrogate.gradient()
        for k in range(m):
            size = _norm(slope)
            start = size if k == 0 else start
            if surrogate.flat(size, self.tol):
                return Inner(
                    k, value, start, f"the surrogate's gradient {size:.2g} is within the tolerance"
                )
            before = [w.detach().clone() for w in weights]
            for i in range(self.tries + LEAPS):
                torch._foreach_copy_(weights, before)
                torch._foreach_add_(weights, slope, alpha=-s)
                found = surrogate.value()
                if found <= value - self.c * s * size**2:
                    break
                bend = found - value + s * size**2  # half the curvature along the step, times s^2
                leap = max(s * size**2 / (2 * bend), 1e-9) if 0 < bend < math.inf else 1e-3
                s *= self.beta if i < self.tries else min(leap, self.beta)
            else:
                torch._foreach_copy_(weights, before)
                return Inner(
                    k, value, start, f"no step of {self.tries + LEAPS} lowered the surrogate"
                )
            value = found
            if k + 1 < m:
                s *= self.expand
                value, slope = surrogate.gradient()
        return Inner(m, value, start, f"{m} steps were made")


@dataclass(frozen=True)
class GaussNewton:
    """Least squares on the outputs linearised at the weights, halved until g falls; one step is
    exact where outputs are linear in the weights.

    Attributes:
        solver: "dense" (the Jacobian as a matrix, of outputs x weights) or "cg" (products with it,
            `iterations` at most).
        damping: >= 0, times |d|^2/2.
        iterations: Of "cg", >= 1.
        tol: As in `ArmijoGD`.
    """

    solver: str = "dense"
    damping: float = 0.0
    iterations: int = 100
    tol: float = 1e-6

    def __post_init__(self) -> None:
        if self.solver not in ("dense", "cg"):
            raise ArgumentError(f"solver={self.solver!r}: expected 'dense' or 'cg'")
        real("damping", self.damping, least=0)
        whole("iterations", self.iterations, least=1)
        real("tol", self.tol, least=0)

    def solve(self, params: Sequence[Tensor], surrogate: Evaluator, m: int) -> Inner:
        """At most m steps, each on a new linearisation."""
        weights, start = list(params), 0.0
        for k in range(m):
            value, slope = surrogate.gradient()
            size = _norm(slope)
            start = size if k == 0 else start
            if surrogate.flat(size, self.tol):
                return Inner(
                    k, value, start, f"the surrogate's gradient {size:.2g} is within the tolerance"
                )
            change = self._change(weights, surrogate, torch.cat([d.reshape(-1) for d in slope]))
            before, s = [w.detach().clone() for w in weights], 1.0
            while True:
                torch._foreach_copy_(weights, before)
                torch._foreach_add_(weights, change, alpha=s)
                if surrogate.value() <= value or s < 1e-9:
                    break
                s /= 2
            if s < 1e-9:
                torch._foreach_copy_(weights, before)
                return Inner(
                    k,
                    value,
                    start,
                    "no step along the least-squares direction lowered the surrogate",
                )
        return Inner(m, surrogate.value(), start, f"{m} steps were made")

    def _change(self, weights: list[Tensor], surrogate: Evaluator, slope: Tensor) -> list[Tensor]:
        """Minimise slope'd + sum w (J d)^2 / 2 points + damping |d|^2 / 2."""
        f = surrogate.outputs()
        points = len(f) if f.ndim else 1
        weight = (
            torch.as_tensor(
                surrogate.proximity.curvature(f), dtype=f.dtype, device=f.device
            ).expand(f.shape)
            / points
        )
        d = (
            self._dense(weights, f, weight, slope)
            if self.solver == "dense"
            else self._conjugate(weights, f, weight, slope)
        )
        return [
            part.view(w.shape)
            for part, w in zip(d.split([w.numel() for w in weights]), weights, strict=True)
        ]

    def _dense(self, weights: list[Tensor], f: Tensor, weight: Tensor, slope: Tensor) -> Tensor:
        """The change, with the Jacobian as a matrix."""
        eye = torch.eye(f.numel(), dtype=f.dtype, device=f.device).view(-1, *f.shape)
        rows = torch.autograd.grad(f, weights, eye, is_grads_batched=True, allow_unused=True)
        jacobian = torch.cat(
            [
                (w.new_zeros(f.numel(), w.numel()) if r is None else r.reshape(f.numel(), -1))
                for r, w in zip(rows, weights, strict=True)
            ],
            1,
        )
        rooted = weight.reshape(-1, 1).sqrt() * jacobian
        if self.damping:
            rooted = torch.cat(
                [
                    rooted,
                    math.sqrt(self.damping) * torch.eye(len(slope), dtype=f.dtype, device=f.device),
                ]
            )
        _, s, v = torch.linalg.svd(
            rooted, full_matrices=False
        )  # d = -(A'A)^+ slope, without forming A'A
        keep = s > s.amax() * max(rooted.shape) * torch.finfo(f.dtype).eps
        return -(v.T[:, keep] @ ((v[keep] @ slope) / s[keep].square()))

    def _conjugate(self, weights: list[Tensor], f: Tensor, weight: Tensor, slope: Tensor) -> Tensor:
        """The change, by conjugate gradients on products with the Jacobian."""
        dual = torch.zeros_like(f, requires_grad=True)
        back = torch.autograd.grad(
            f, weights, dual, create_graph=True, allow_unused=True, materialize_grads=True
        )  # J'dual: linear in dual

        def product(d: Tensor) -> Tensor:
            parts = [
                p.view(w.shape)
                for p, w in zip(d.split([w.numel() for w in weights]), weights, strict=True)
            ]
            forward = torch.autograd.grad(back, dual, parts, retain_graph=True)[0]
            found = torch.autograd.grad(
                f,
                weights,
                weight * forward,
                retain_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            return torch.cat([p.reshape(-1) for p in found]) + self.damping * d

        d, r = torch.zeros_like(slope), -slope
        p, squared = r.clone(), float(r @ r)
        first = squared
        for _ in range(self.iterations):
            q = product(p)
            curvature = float(p @ q)
            if curvature <= 0:
                break
            step = squared / curvature
            d, r = d + step * p, r - step * q
            new = float(r @ r)
            if new <= 1e-20 * first:
                break
            p, squared = r + (new / squared) * p, new
        return d


@dataclass
class Stepped:
    """Any torch optimiser, made anew in each outer step, as its state belongs to one surrogate.
    L-BFGS too, by its closure.

    Attributes:
        make: Parameters -> optimiser.
        scaled: Give it the surrogate over its curvature in the outputs, so that its own tolerances
            and first step are in no unit.
    """

    make: Callable[[list[Tensor]], Any]
    scaled: bool = False

    def solve(self, params: Sequence[Tensor], surrogate: Evaluator, m: int) -> Inner:
        """m of its steps."""
        weights, start = list(params), math.nan
        optimizer = self.make(weights)
        scale = surrogate.scale if self.scaled else 1.0

        def closure() -> Tensor:
            nonlocal start
            value, slope = surrogate.gradient()
            start = _norm(slope) if math.isnan(start) else start
            for w, d in zip(weights, slope, strict=True):
                w.grad = d * scale if self.scaled else d
            return torch.tensor(value * scale)

        for _ in range(m):
            with torch.enable_grad():
                optimizer.step(closure)
        for w in weights:
            w.grad = None
        return Inner(m, surrogate.value(), start, f"{m} steps were made")


def solver_of(given: Any) -> Any:
    """An inner solver.

    Args:
        given: An object that has `solve`, a name, or a function that makes a torch optimiser.

    Raises:
        ArgumentError: None of these.
    """
    named: dict[str, Any] = {
        "armijo": ArmijoGD(),
        "lstsq": GaussNewton(),
        "gauss-newton": GaussNewton(),
        "cg": GaussNewton("cg"),
        "lbfgs": Stepped(lambda ps: torch.optim.LBFGS(ps, line_search_fn="strong_wolfe"), True),
    }
    if hasattr(given, "solve"):
        return given
    if isinstance(given, str) and given in named:
        return named[given]
    if callable(given):
        return Stepped(given)
    raise ArgumentError(
        f"inner={given!r}: expected {', '.join(repr(n) for n in named)}, a solver such as "
        "ArmijoGD(), or a function that makes a "
        "torch optimiser"
    )
