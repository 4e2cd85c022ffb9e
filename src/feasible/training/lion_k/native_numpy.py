"""Lion-K on a function of a NumPy vector: small problems, and the solutions that the composite
problem has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.annotations import checked
from ...core.checks import naming, real, whole
from ...core.errors import ArgumentTypeError, NotFinite, ShapeError
from ..optimizer import number
from .kappa import Kappa
from .kappas import kappa_of
from .lion_k import LionK, LionKSettings

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


MINIMISE = LionKSettings.minimise()


@dataclass(frozen=True)
class LionKResult:
    """What `lion_k_minimize` found.

    Attributes:
        x: The last point, of x0's shape.
        value: F(x) = f(x) + kappa*(lam x)/lam, infinite outside the set.
        f: f(x).
        fenchel_gap: 0 where x is stationary for F.
        violation: (gauge(lam x) - 1) / lam, where positive.
        n_iter: Steps made.
        converged: Whether the gap is within the tolerance.
        message: Why it ended.
        history: "step", "f", "value" and "fenchel_gap", each (n,).
    """

    x: np.ndarray
    value: float
    f: float
    fenchel_gap: float
    violation: float
    n_iter: int
    converged: bool
    message: str
    history: dict[str, np.ndarray]


@checked
def lion_k_minimize(
    f: Callable[[np.ndarray], float],
    grad: Callable[[np.ndarray], Any],
    x0: ArrayLike,
    lam: float = MINIMISE.weight_decay,
    kappa: str | Kappa = MINIMISE.kappa,
    lr: float | Sequence[float] | np.ndarray = MINIMISE.lr,
    steps: int = 1000,
    *,
    betas: tuple[float, float] = MINIMISE.betas,
    decay: str = MINIMISE.decay,
    tol: float = 0.0,
    check_every: int = 100,
) -> LionKResult:
    """Minimise f(x) + kappa*(lam x)/lam by Lion-K.

    Args:
        f: Array of x0's shape -> number.
        grad: Its gradient, of the same shape.
        x0: Where to begin.
        lam: Weight decay, > 0.
        kappa: A name such as "soft[e=0.1]", or an object.
        lr: One rate for all steps, or one for each (the limit of a constant rate is a tube of its
            width: let it fall).
        steps: Most steps, >= 1.
        betas: As in `LionK`.
        decay: "explicit" or "implicit", as in `LionK`.
        tol: End where the Fenchel gap, measured every `check_every` steps, is <= tol (1 + abs F);
            0: make all steps.
        check_every: Steps between two looks at the gap, >= 1.

    Returns:
        The last point, and how it went.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        ShapeError: Rates or gradients of another shape.
        NotFinite: A gradient with a NaN or an infinity.

    Examples:
        >>> import numpy as np
        >>> from feasible.training import lion_k_minimize
        >>> c = np.array([3.0, 0.2])
        >>> found = lion_k_minimize(
        ...     lambda x: ((x - c) ** 2).sum() / 2,
        ...     lambda x: x - c,
        ...     np.zeros(2),
        ...     lr=2.0 / np.arange(5, 2005),
        ...     steps=2000,
        ... )
        >>> found.x.round(3)
        array([1. , 0.2])

    References:
        Chen, Liu, Liang, Liu, arXiv 2310.05898.
    """
    for name, call in (("f", f), ("grad", grad)):
        if not callable(call):
            raise ArgumentTypeError(
                f"{name}: got {type(call).__name__}, expected a function of an array"
            )
    start = np.array(x0, dtype=float)
    if not np.isfinite(start).all():
        raise NotFinite("x0: expected finite numbers")
    steps, check_every = whole("steps", steps, least=1), whole("check_every", check_every, least=1)
    rates = np.asarray(lr, dtype=float)
    if rates.ndim and rates.shape != (steps,):
        raise ShapeError(
            f"lr has shape {rates.shape}, expected one rate or ({steps},), one for each step"
        )
    rates = np.broadcast_to(rates, (steps,))
    lam, tol = real("lam", lam, above=0), real("tol", tol, least=0)
    for rate in (rates.min(), rates.max()):
        number("lr", float(rate), above=0)
    kappa = kappa_of(kappa)
    x = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = LionK(
        [x],
        lr=float(rates[0]),
        betas=betas,
        weight_decay=lam,
        kappa=kappa,
        vectors="same",
        decay=decay,
    )
    group, point = optimizer.param_groups[0], x.detach().numpy()
    history: dict[str, list[float]] = {"step": [], "f": [], "value": [], "fenchel_gap": []}

    def slope() -> torch.Tensor:
        found = torch.as_tensor(np.asarray(grad(point.copy()), dtype=float))
        if found.shape != x.shape:
            raise ShapeError(
                f"grad gave shape {tuple(found.shape)}, expected that of x0, {tuple(x.shape)}"
            )
        if not bool(torch.isfinite(found).all()):
            raise NotFinite(f"grad gave a NaN or an infinity in step {made}")
        return found

    made, message, converged = 0, f"the {steps} steps were made", False
    while True:
        x.grad = slope()
        if made % check_every == 0 or made == steps:
            z, value = x.detach() * lam, f(point.copy())
            with naming("f"):
                own = float(value)
            conjugate = float(kappa.conjugate(z))
            gap = (float(kappa.value(-x.grad) + (z * x.grad).sum()) + conjugate) / lam
            for name, value in (
                ("step", made),
                ("f", own),
                ("value", own + conjugate / lam),
                ("fenchel_gap", gap),
            ):
                history[name].append(value)
            converged = gap <= tol * (1 + abs(history["value"][-1]))
            if converged and tol:
                message = f"the Fenchel gap {gap:.3g} is within the tolerance after {made} steps"
        if made == steps or (converged and tol):
            break
        group["lr"] = float(rates[made])
        optimizer.step()
        made += 1
    violation = max(0.0, (float(kappa.gauge(x.detach() * lam)) - 1) / lam)
    return LionKResult(
        point.copy(),
        history["value"][-1],
        history["f"][-1],
        history["fenchel_gap"][-1],
        violation,
        made,
        converged,
        message,
        {name: np.array(values) for name, values in history.items()},
    )
