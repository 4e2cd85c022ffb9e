"""Consensus-based optimisation in SciPy's manner: `cbo_minimize`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core.annotations import checked
from ...core.errors import ArgumentError
from .cbo import CBO
from .hopping import Hopping
from .swarm import minimize_with

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from scipy.optimize import OptimizeResult


@checked
def cbo_minimize(
    f: Callable[[Any], Any],
    x0: ArrayLike | None = None,
    bounds: Any = None,
    method: str | CBO | Hopping = "cbo",
    n_particles: int | None = None,
    sigma: float | None = None,
    noise: Literal["anisotropic", "isotropic"] = CBO.noise,
    alpha: float | None = None,
    alpha_schedule: str | None = None,
    max_evals: int = 20000,
    vectorized: bool = True,
    seed: int | np.random.Generator = 0,
    callback: Callable[[OptimizeResult], Any] | None = None,
) -> OptimizeResult:
    """Minimise f over a box by consensus, with the published settings unless told otherwise.

    Args:
        f: (N, d) -> (N,), or with vectorized=False (d,) -> float. NaN counts as +inf.
        x0: (N, d) particles, or (d,) a point about which they start, N(x0, 1). Absent: uniform in
            the bounds.
        bounds: [(low, high), ...] or scipy.optimize.Bounds; every evaluated point lies inside.
        method: "cbo", "cbo-memory", "hopping", or a CBO or Hopping object with settings of its own
            (then those given here must be absent).
        n_particles: None: 100 (hopping 200).
        sigma: None: sqrt(1.6); for hopping the sampling radius, 0.7.
        noise: "anisotropic" or "isotropic".
        alpha: Inverse temperature, in units of 1 / f; None: 1000 (hopping 100).
        alpha_schedule: None, "x1.05" or "ess:0.5", see `CBOSettings`.
        max_evals: Values of f at most.
        vectorized: Whether f takes all points at once.
        seed: Of everything random.
        callback: Called with the result so far after every step; it ends the run by returning True
            or raising StopIteration.

    Returns:
        scipy's OptimizeResult: x and fun (the best point evaluated), consensus (d,),
        consensus_path (steps + 1, d), nfev, nit, status (0 contracted to a point, 1 max_evals used
        up, 2 stopped by the callback), message, success (True for 0).

    Raises:
        ArgumentError: A setting makes no sense.
        BoundsError: The bounds cross, or are open and x0 is absent.
        NotFinite: A number is NaN or infinite.
        ShapeError: x0 or what f returned has a wrong shape.
        EvaluationFailed: Every value of a step is NaN or infinite.

    Examples:
        >>> import numpy as np
        >>> bowl = lambda X: ((X - 0.5) ** 2).sum(axis=1)
        >>> result = cbo_minimize(bowl, bounds=[(-3, 3)] * 2, seed=1)
        >>> np.round(result.x, 2)
        array([0.5, 0.5])

    References:
        arXiv 2306.09778, algorithms A to C.
    """
    if isinstance(method, (CBO, Hopping)):
        given = {
            "n_particles": n_particles,
            "sigma": sigma,
            "alpha": alpha,
            "alpha_schedule": alpha_schedule,
        }
        twice = [name for name, value in given.items() if value is not None]
        if twice:
            raise ArgumentError(
                f"{twice[0]}={given[twice[0]]!r}: method is a {type(method).__name__} object, set "
                "it there"
            )
        settings: CBO | Hopping = method
    elif method in ("cbo", "cbo-memory"):
        base = CBO.paper(memory=method == "cbo-memory", noise=noise, alpha_schedule=alpha_schedule)
        settings = replace(
            base,
            n_particles=_or(n_particles, base.n_particles),
            sigma=_or(sigma, base.sigma),
            alpha=_or(alpha, base.alpha),
        )
    elif method == "hopping":
        hops = Hopping()
        settings = replace(
            hops,
            n_particles=_or(n_particles, hops.n_particles),
            s=_or(sigma, hops.s),
            alpha=_or(alpha, hops.alpha),
            scale=False,
        )
    else:
        raise ArgumentError(
            f"method={method!r}: expected 'cbo', 'cbo-memory', 'hopping', or a CBO or Hopping "
            "object"
        )
    return minimize_with(settings, f, x0, bounds, max_evals, vectorized, seed, callback)


def _or(value: Any, default: Any) -> Any:
    """Return a value, or the default where it is None."""
    return default if value is None else value


__all__ = ["cbo_minimize"]
