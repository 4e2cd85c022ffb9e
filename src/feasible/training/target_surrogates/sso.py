"""Target surrogates, SSO (Lavington, Vaswani, Babanezhad, Schmidt, Le Roux, "Target-based
Surrogates for Stochastic Optimization", ICML 2023, arXiv 2302.02607).

    minimise  h(w) = l(f(w))

with f the cheap outputs of a model (the target) and a gradient of l expensive: a simulator, an
expert, a label. One gradient G of l at z = f(w) buys m steps on a surrogate that is l's upper bound
where l is L-smooth and eta <= 1/L:

    g(w) = l(z) + <G, f(w) - z> + |f(w) - z|^2 / 2 eta

Take it where a gradient of l costs much more than a pass through the model. For the squared loss L
is 1, for the logistic one 1/4, for softmax cross-entropy 1/2. On the logistic loss of nearly
separable data eta = 1/L is too careful: try eta="linesearch", or tune eta. On small batches 1/L is
too large, as points outside the batch may move anywhere: try 0.1/L, a falling schedule, or
proximity="full".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from ...core.annotations import Checked, checked
from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from ...core.warning import warn
from ..optimizer import NamedState, asks_for_state, uncompiled
from .inner_solvers import Evaluator, solver_of
from .metrics import METRICS, proximity

if TYPE_CHECKING:
    from torch import Tensor

SCHEDULES = ("constant", "stochastic", "exponential")
SEARCH = {"c": 0.5, "beta": 0.9, "expand": 1.8, "tries": 100, "least": 1e-4, "most": 1e4}
"""Of eta="linesearch" (the code's)."""
STEEP = 1e-3
"""Of the steepest surrogate so far: below it a step that moves nothing has arrived."""


class StandsStill(UserWarning):
    """A step of a target surrogate paid for a gradient and moved nothing."""


@dataclass(frozen=True)
class SurrogateStep:
    """What an outer step saw and spent.

    Attributes:
        loss: l(z), or None where only its gradient was given.
        surrogate: l(z)/B + g at the end (without l(z) where that is None).
        grad_norm: Norm of the surrogate's gradient at the start, which is that of l(f(w))/B
            (euclidean metric).
        eta: Of this step.
        inner_steps: Inner steps made.
        target_calls: Gradients of l so far.
        loss_calls: Values of l so far.
        why: Why the inner solver ended.
    """

    loss: float | None
    surrogate: float
    grad_norm: float
    eta: float
    inner_steps: int
    target_calls: int
    loss_calls: int
    why: str


@dataclass(frozen=True)
class SurrogateSettings(Checked):
    """Settings of target surrogates; the defaults are the authors' code's.

    Attributes:
        eta: Step in the target space, 1/L of the loss (per point), > 0; or "linesearch", Armijo's
            rule on the loss in the target space.
        m: Inner steps on each surrogate, >= 1.
        inner: "armijo" (`ArmijoGD`), "lstsq", "gauss-newton", "cg", "lbfgs", a solver, or a
            function (parameters) -> torch optimiser.
        schedule: "constant", "stochastic" (eta / sqrt t) or "exponential" (eta (1/T)^(t/T), T the
            number of outer steps).
        metric: Distance in the target space: "euclidean", "ada", "diagada", "adam", "newton",
            "mirror" or "gulf2".
        proximity: "batch": points outside the batch may move; "full": `target` gives all outputs
            and none moves unnoticed.
    """

    eta: float | str = 1.0
    m: int = 5
    inner: Any = "armijo"
    schedule: str = "constant"
    metric: str = "euclidean"
    proximity: str = "batch"

    def __post_init__(self) -> None:
        one_of("schedule", self.schedule, SCHEDULES)
        one_of("metric", self.metric, METRICS)
        one_of("proximity", self.proximity, ("batch", "full"))
        if self.eta != "linesearch":
            if isinstance(self.eta, str):
                raise ArgumentError(f"eta={self.eta!r}: expected a number > 0 or 'linesearch'")
            real("eta", self.eta, above=0)
        whole("m", self.m, least=1)
        solver_of(self.inner)

    @classmethod
    def expensive(cls) -> SurrogateSettings:
        """For gradients that cost much: 10 inner steps, of the 1, 5, 10 and 100 that the paper
        studies.
        """
        return cls(m=10)


class TargetSurrogate(NamedState, torch.optim.Optimizer):
    """A `torch.optim.Optimizer` whose step takes the target and the loss instead of a closure.

    Minimises l(f(w)) over the weights w, f the outputs of the model, by m steps on the surrogate
    l(z) + <G, f(w) - z> + |f(w) - z|^2 / 2 eta for each gradient G of l. group["lr"] is eta:
    schedulers may set it.

    Args:
        params: The model's parameters, in one group.
        eta: As in `SurrogateSettings`, and so all that is not listed below.
        m: Inner steps.
        inner: Inner solver.
        schedule: Of eta.
        total_steps: Outer steps T, for schedule="exponential".
        metric: Distance in the target space.
        points: How many points there are in all, for metrics with a state for each.
        proximity: "batch" or "full".
        reduction: "sum": the loss is the sum over the batch's points; "mean": it is their mean.
        l2: Weight of |w|^2, >= 0.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.

    Examples:
        >>> import torch
        >>> from feasible.training import TargetSurrogate
        >>> x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [4.0]])
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> opt = TargetSurrogate(model.parameters(), eta=1.0, m=1, inner="lstsq")
        >>> info = opt.step(lambda: model(x), loss=lambda z: ((z - y) ** 2).sum() / 2)
        >>> round(model.weight.item(), 4), info.target_calls
        (2.0, 1)

    References:
        Lavington et al., arXiv 2302.02607.
    """

    by_gradient: ClassVar[bool] = False

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        eta: float | str = SurrogateSettings.eta,
        m: int = SurrogateSettings.m,
        inner: Any = SurrogateSettings.inner,
        *,
        schedule: str = SurrogateSettings.schedule,
        total_steps: int | None = None,
        metric: str = SurrogateSettings.metric,
        points: int | None = None,
        proximity: str = SurrogateSettings.proximity,
        reduction: str = "sum",
        l2: float = 0.0,
    ):
        inner = SurrogateSettings.inner if inner is None else inner
        settings = SurrogateSettings(eta, m, inner, schedule, metric, proximity)
        one_of("reduction", reduction, ("sum", "mean"))
        if schedule == "exponential" and total_steps is None:
            raise ArgumentError(
                "schedule='exponential' needs total_steps, the number of outer steps"
            )
        rate = 1.0 if isinstance(eta, str) else float(eta)
        defaults = {
            "lr": rate,
            "linesearch": isinstance(eta, str),
            "m": settings.m,
            "schedule": schedule,
            "metric": metric,
            "total_steps": None
            if total_steps is None
            else whole("total_steps", total_steps, least=1),
            "points": None if points is None else whole("points", points, least=1),
            "proximity": proximity,
            "reduction": reduction,
            "l2": real("l2", l2, least=0),
            "t": 0,
            "target_calls": 0,
            "loss_calls": 0,
            "memory": {},
            "steepest": 0.0,
        }
        super().__init__(params, defaults)
        self.inner = solver_of(settings.inner)

    def __getstate__(self) -> dict[str, Any]:
        """For pickles and copies."""
        return {**super().__getstate__(), "inner": self.inner}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """One group only: eta belongs to the target, not to weights.

        Raises:
            ArgumentError: For a second.
        """
        if self.param_groups:
            raise ArgumentError(
                "a target surrogate has one parameter group, as eta belongs to the target and not "
                "to weights: expected no second one"
            )
        super().add_param_group({**param_group, "memory": {}})

    def state_dict(self) -> dict[str, Any]:
        """Torch's. The metric's memory is one entry, a tuple of names and values, as its size is
        not known before the first step: torch.distributed.checkpoint then reads it whole.
        """
        saved = super().state_dict()
        groups = [{**g, "memory": tuple(g["memory"].items())} for g in saved["param_groups"]]
        return {**saved, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ShapeError: The state is another model's.
        """
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group.setdefault("steepest", 0.0)
            group["memory"] = dict(group["memory"])

    @uncompiled
    def step(
        self,
        target: Callable[[], Tensor] | None = None,
        *,
        loss: Callable[[Tensor], Tensor] | None = None,  # type: ignore[override]
        target_grad: Callable[[Tensor], Any] | None = None,
        rows: Any = None,
        closure: Any = None,
    ) -> SurrogateStep:
        """One outer step: one gradient of the loss, at most m inner steps.

        Args:
            target: () -> outputs (B, ...) of the model, differentiable, the same at each call with
                the same weights (dropout off).
            loss: Outputs -> scalar, differentiated at the outputs only.
            target_grad: Outputs -> gradient of their shape, instead of `loss`.
            rows: (B,) numbers of the batch's points, for metrics with a state for each and for
                proximity="full"; then target gives all n outputs, and loss or target_grad get those
                of the batch.
            closure: None, which torch.distributed.checkpoint gives; a closure has no place here.

        Returns:
            What the step saw and spent; with a StandsStill warning where no weight moved and the
            gradient is not small. At rate 0 without a target no step is made.

        Raises:
            ArgumentError: No or two oracles, outputs without gradient or that change; the weights
                are then as before, as with the next two.
            ShapeError: A gradient, a loss or rows of another shape.
            NotFinite: Outputs, a loss or weights with a NaN or an infinity.
            ArgumentTypeError: No target, or a closure.
        """
        group = self.param_groups[0]
        for option in ("maximize", "capturable"):
            if group.get(option):
                raise ArgumentError(
                    f"{option}=True in a group: a target surrogate minimises, by a solver of its "
                    f"own on the host; expected {option}=False"
                )
        if target is None or closure is not None:
            if closure is None and asks_for_state(self.param_groups):
                counts = group["target_calls"], group["loss_calls"]
                return SurrogateStep(None, 0.0, 0.0, 0.0, 0, *counts, "no target, at rate 0")
            raise ArgumentTypeError(
                "target: TargetSurrogate.step takes the outputs and the loss in the place of a "
                "closure, as step(lambda: model(x), loss=lambda outputs: ...)"
            )
        if (loss is None) == (target_grad is None):
            raise ArgumentError(
                "step needs one of loss=... (outputs -> scalar) and target_grad=... (outputs -> "
                "gradient)"
            )
        if loss is None and (group["linesearch"] or group["metric"] == "gulf2"):
            raise ArgumentError(
                f"{'eta=linesearch' if group['linesearch'] else 'metric=gulf2'} needs values of "
                "the loss: expected loss=..."
            )
        full = group["proximity"] == "full"
        if rows is not None:
            rows = torch.as_tensor(rows)
        if full and rows is None:
            raise ArgumentError(
                "proximity='full' needs rows=..., the numbers of the batch's points among the "
                "target's rows"
            )
        with torch.enable_grad():
            outputs = target()
        if not isinstance(outputs, torch.Tensor) or not outputs.requires_grad:
            raise ArgumentError(
                "target gave outputs without a gradient: expected a function that runs the model "
                "on each call"
            )
        everything = outputs.detach()
        z = everything[rows] if full else everything
        if rows is not None and rows.shape != z.shape[:1]:
            raise ShapeError(
                f"rows has shape {tuple(rows.shape)}, expected ({len(z)},), one for each point of "
                "the batch"
            )
        if not bool(torch.isfinite(z).all()):
            raise NotFinite("target: the outputs hold a NaN or an infinity")
        scale = len(z) if group["reduction"] == "mean" and z.ndim else 1
        summed = (
            None if loss is None else lambda f: self._called("loss_calls", lambda: loss(f) * scale)
        )
        value, gradient = self._oracle(z, loss, target_grad, scale)
        group["t"] += 1
        eta = self._eta(z, gradient, value, summed)
        near = proximity(
            group["metric"],
            eta,
            everything,
            gradient,
            group["memory"],
            rows=rows,
            full=full,
            points=group["points"],
            loss=None
            if loss is None
            else lambda f: self._called(_kind(f), lambda: loss(f) * scale),
            loss_at_z=value or 0.0,
        )
        params = [p for p in group["params"] if p.requires_grad]
        before = [p.detach().clone() for p in params]
        try:
            with torch.no_grad():
                surrogate = Evaluator(params, target, near, group["l2"], group["steepest"])
                inner = self.inner.solve(params, surrogate, group["m"])
                if not all(bool(torch.isfinite(p).all()) for p in params):
                    raise NotFinite(
                        "the inner steps ended at weights with a NaN or an infinity: expected a "
                        "smaller inner step"
                    )
        except (ArgumentError, ArgumentTypeError):
            with torch.no_grad():
                torch._foreach_copy_(params, before)
            raise
        size = surrogate.scale * inner.start
        group["steepest"] = max(surrogate.steepest, size)
        if size > STEEP * group["steepest"] and all(map(torch.equal, params, before)):
            warn(
                f"outer step {group['t']} moved no weight where the surrogate's gradient is "
                f"{inner.start:.2g}: {inner.why}; a smaller eta, inputs nearer 1 or an inner "
                "solver with a smaller tol may help",
                StandsStill,
            )
        mean = (value or 0.0) / max(1, len(z) if z.ndim else 1)
        return SurrogateStep(
            None if value is None else value / scale,
            mean + inner.value,
            inner.start,
            eta,
            inner.steps,
            group["target_calls"],
            group["loss_calls"],
            inner.why,
        )

    def _called(self, name: str, call: Callable[[], Any]) -> Any:
        """Count a call, and make it."""
        self.param_groups[0][name] += 1
        return call()

    def _oracle(
        self, z: Tensor, loss: Any, target_grad: Any, scale: int
    ) -> tuple[float | None, Tensor]:
        """l(z) where it is known, and its gradient there, of the sum over the points."""
        self.param_groups[0]["target_calls"] += 1
        value = None
        if loss is not None:
            leaf = z.clone().requires_grad_()
            with torch.enable_grad():
                found = loss(leaf)
                if not isinstance(found, torch.Tensor):
                    raise ArgumentTypeError(
                        f"loss gave a {type(found).__name__}, expected a scalar tensor"
                    )
                if found.ndim or not found.requires_grad:
                    raise ShapeError(
                        f"loss gave shape {tuple(found.shape)}, expected a scalar that depends on "
                        "the outputs"
                    )
                gradient = torch.autograd.grad(found, leaf)[0]
            value = float(found.detach()) * scale
        else:
            found = target_grad(z)
            gradient = (
                found.detach()
                if isinstance(found, torch.Tensor)
                else torch.as_tensor(np.asarray(found))
            )
        if gradient.shape != z.shape:
            raise ShapeError(
                f"target_grad gave shape {tuple(gradient.shape)}, expected that of the outputs, "
                f"{tuple(z.shape)}"
            )
        if not bool(torch.isfinite(gradient).all()) or (
            value is not None and not math.isfinite(value)
        ):
            raise NotFinite("the loss or its gradient at the target is not finite")
        return value, gradient.to(z) * scale

    def _eta(self, z: Tensor, gradient: Tensor, value: float | None, loss: Any) -> float:
        """This step's eta: by its schedule, or by Armijo's rule on the loss in the target space."""
        group = self.param_groups[0]
        t = group["t"]
        factor = schedule_factor(group["schedule"], t, group["total_steps"])
        if not group["linesearch"]:
            return float(group["lr"]) * factor
        squared, eta = (
            float(gradient.square().sum()),
            float(group["lr"]) * (SEARCH["expand"] if t > 1 else 1.0),
        )
        assert value is not None
        for _ in range(int(SEARCH["tries"])):
            if float(loss(z - eta * gradient)) <= value - SEARCH["c"] * eta * squared:
                break
            eta *= SEARCH["beta"]
        group["lr"] = min(max(eta, SEARCH["least"]), SEARCH["most"])
        return float(group["lr"]) * factor


def schedule_factor(schedule: str, t: int, total: int | None) -> float:
    """What a step is multiplied by at t = 1, 2, ...: 1, 1/sqrt t, or (1/T)^(t/T).

    Args:
        schedule: One of SCHEDULES.
        t: Outer step, from 1.
        total: T, for "exponential".
    """
    if schedule == "exponential":
        assert total is not None
        return float((1 / total) ** (t / total))
    return 1.0 if schedule == "constant" else float(t**-0.5)


def _kind(f: Tensor) -> str:
    """What evaluating the loss at f counts as."""
    return "target_calls" if f.requires_grad and torch.is_grad_enabled() else "loss_calls"
