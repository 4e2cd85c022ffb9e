"""Target surrogates on functions of NumPy vectors: a model f, its Jacobian, and the gradient of
an expensive loss of its outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.annotations import checked
from ...core.checks import real, whole
from ...core.errors import ArgumentTypeError, NotFinite, ShapeError
from .sso import SurrogateSettings, TargetSurrogate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

EXPENSIVE = SurrogateSettings.expensive()


@dataclass(frozen=True)
class SurrogateResult:
    """What `target_surrogate_minimize` found.

    Attributes:
        x: The last parameters, of theta0's shape.
        z: f(x).
        target_calls: Gradients of the loss used.
        n_iter: Outer steps.
        converged: Whether the gradient's norm is within tol.
        message: Why it ended.
        history: "grad_norm", "eta" and "inner_steps", each (n_iter,); "loss" too where it was
            given.
    """

    x: np.ndarray
    z: np.ndarray
    target_calls: int
    n_iter: int
    converged: bool
    message: str
    history: dict[str, np.ndarray]


@checked
def target_surrogate_minimize(
    f: Callable[[np.ndarray], Any],
    jac_f: Callable[[np.ndarray], Any],
    grad_l: Callable[[np.ndarray], Any],
    theta0: ArrayLike,
    *,
    eta: float | str = EXPENSIVE.eta,
    m: int = EXPENSIVE.m,
    inner: Any = EXPENSIVE.inner,
    steps: int = 100,
    tol: float = 0.0,
    metric: str = EXPENSIVE.metric,
    schedule: str = EXPENSIVE.schedule,
    loss: Callable[[np.ndarray], float] | None = None,
) -> SurrogateResult:
    """Minimise loss(f(theta)) with one gradient of the loss an outer step (full batch).

    Args:
        f: theta -> outputs (n,) or (n, p).
        jac_f: theta -> their derivative, of the outputs' shape and then theta's.
        grad_l: Outputs -> gradient of the loss, of their shape, the loss being a sum over the n
            points.
        theta0: Where to begin, of any shape.
        eta: As in `SurrogateSettings.expensive`, and so m, inner, metric and schedule.
        m: Inner steps.
        inner: Inner solver; "lstsq" is exact for models linear in theta.
        steps: Most outer steps.
        tol: End where the norm of the gradient of loss(f(theta))/n is within it; 0: make all steps.
        metric: Distance in the target space.
        schedule: Of eta.
        loss: The loss's value, needed for eta="linesearch" only.

    Returns:
        The last parameters, and how it went.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: f, jac_f or grad_l is no function.
        ShapeError: A derivative of another shape.
        NotFinite: theta0, an output or a gradient with a NaN or an infinity.

    Examples:
        >>> import numpy as np
        >>> X, y = np.array([[1.0, 0], [1, 1], [1, 2]]), np.array([1.0, 3, 5])
        >>> found = target_surrogate_minimize(
        ...     lambda w: X @ w,
        ...     lambda w: X,
        ...     lambda z: z - y,
        ...     np.zeros(2),
        ...     inner="lstsq",
        ...     m=1,
        ...     steps=1,
        ... )
        >>> found.x.round(6), found.target_calls
        (array([1., 2.]), 1)

    References:
        Lavington et al., arXiv 2302.02607.
    """
    for name, call in (("f", f), ("jac_f", jac_f), ("grad_l", grad_l)):
        if not callable(call):
            raise ArgumentTypeError(
                f"{name}: got {type(call).__name__}, expected a function of an array"
            )
    start = np.array(theta0, dtype=float)
    if not start.size:
        raise ShapeError("theta0 is empty: expected at least one number")
    if not np.isfinite(start).all():
        raise NotFinite("theta0: expected finite numbers")
    steps, tol = whole("steps", steps, least=1), real("tol", tol, least=0)
    theta = torch.nn.Parameter(torch.from_numpy(start))
    outputs = np.shape(f(start.copy()))
    if not outputs:
        raise ShapeError("f gave one number, expected an array of its values, one for each point")
    optimizer = TargetSurrogate(
        [theta],
        eta,
        m,
        inner,
        metric=metric,
        schedule=schedule,
        total_steps=steps,
        points=outputs[0],
    )

    def target() -> Tensor:
        """f with its Jacobian as a node of torch's graph: its value, and what is linear there."""
        point = theta.detach().numpy()
        value = torch.from_numpy(np.array(f(point.copy()), dtype=float))
        if not torch.is_grad_enabled():
            return value
        jacobian = np.asarray(jac_f(point.copy()), dtype=float)
        if jacobian.shape != (*value.shape, *theta.shape):
            raise ShapeError(
                f"jac_f gave shape {jacobian.shape}, expected that of f's outputs and then of "
                f"theta, {(*value.shape, *theta.shape)}"
            )
        rows = torch.from_numpy(jacobian.reshape(value.numel(), -1))
        return value + (rows @ (theta - theta.detach()).reshape(-1)).view(value.shape)

    def oracle(z: Tensor) -> Tensor:
        found = np.asarray(grad_l(z.detach().numpy().copy()), dtype=float)
        if found.shape != tuple(z.shape):
            raise ShapeError(
                f"grad_l gave shape {found.shape}, expected that of f's outputs, {tuple(z.shape)}"
            )
        return torch.from_numpy(found)

    def of_loss(z: Tensor) -> Tensor:
        """The loss as a node of the graph: its gradient is asked for where it is needed only."""
        assert loss is not None
        value = torch.tensor(float(loss(z.detach().numpy().copy())), dtype=torch.float64)
        return (
            value + ((z - z.detach()) * oracle(z)).sum()
            if z.requires_grad and torch.is_grad_enabled()
            else value
        )

    history: dict[str, list[float]] = {
        "grad_norm": [],
        "eta": [],
        "inner_steps": [],
        **({"loss": []} if loss is not None else {}),
    }
    message, converged = f"the {steps} steps were made", False
    for _ in range(steps):
        oracles = {"target_grad": oracle} if loss is None else {"loss": of_loss}
        info = optimizer.step(
            target, rows=np.arange(optimizer.param_groups[0]["points"]), **oracles
        )
        for name, values in history.items():
            values.append(getattr(info, name))
        if tol and info.grad_norm <= tol:
            message, converged = (
                f"the gradient's norm {info.grad_norm:.3g} is within the tolerance",
                True,
            )
            break
    x = theta.detach().numpy()
    return SurrogateResult(
        x.copy(),
        np.array(f(x.copy()), dtype=float),
        optimizer.param_groups[0]["target_calls"],
        len(history["eta"]),
        converged,
        message,
        {name: np.array(values) for name, values in history.items()},
    )
