"""jaxopt's and optimistix's nonlinear least squares on the same rows, differentiated implicitly and
compiled once by JAX: peers of the layer in time and in what they reach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import WrongProblem
from ...core.extras import check_module
from .equations import EXPONENT, LEAST_U, RETARDED, SORPTION, Burgers, DiffusionSorption, Heat

if TYPE_CHECKING:
    from .layer import Rows
    from .pde import PDE

SOLVERS = ("jaxopt", "optimistix")
Differentiated = Callable[..., tuple[np.ndarray, float, list[np.ndarray]]]
"""From tables, offsets, A, y and upstream derivatives to w*, the mean cost and the derivatives."""


def jax_residual(pde: PDE) -> Callable[..., Any]:
    """F of an equation's terms, in JAX.

    Args:
        pde: Heat, Burgers or DiffusionSorption.

    Raises:
        WrongProblem: Another equation.
    """
    from jax import numpy as jnp

    if isinstance(pde, DiffusionSorption):
        time = pde.time

        def sorption(u: Any, u_t: Any, u_xx: Any) -> Any:
            speed = SORPTION / (1 + RETARDED * (jnp.maximum(u, 0) + LEAST_U) ** (EXPONENT - 1))
            return time * (u_t - speed * u_xx)

        return sorption
    if isinstance(pde, Burgers):
        nu = pde.nu
        return lambda u, u_t, u_x, u_xx: u_t + u * u_x - nu * u_xx
    if type(pde) is Heat:
        kappa = pde.kappa
        return lambda u_t, u_xx: u_t - kappa * u_xx
    raise WrongProblem(f"no form in JAX of {type(pde).__name__}")


def differentiated(
    solver: str, pde: PDE, start: float = 0.0, max_iter: int = 50, tol: float = 1e-6
) -> Differentiated:
    """All problems of some rows at once, and the derivatives of upstream . w* by their parts.

    Args:
        solver: "jaxopt" or "optimistix".
        pde: Whose F it is.
        start: First value of each weight.
        max_iter: Most steps.
        tol: The solver's own tolerance.

    Raises:
        MissingExtra: The package is not installed.
    """
    check_module(solver, f"the peer '{solver}'")
    import jax
    from jax import numpy as jnp

    F, weight = jax_residual(pde), float(pde.weight)

    def left(w: Any, args: Any) -> Any:
        tables, offsets, linear, target = args
        return jnp.concatenate([weight * F(*(tables @ w + offsets)), linear @ w - target])

    if solver == "jaxopt":
        import jaxopt

        own = jaxopt.LevenbergMarquardt(lambda w, args: left(w, args), maxiter=max_iter, tol=tol)

        def one(w0: Any, *args: Any) -> Any:
            return own.run(w0, args).params
    else:
        import optimistix

        method: Any = optimistix.LevenbergMarquardt(rtol=tol, atol=tol)

        def one(w0: Any, *args: Any) -> Any:
            found: Any = optimistix.least_squares(
                left, method, w0, args, max_steps=max_iter, throw=False
            )
            return found.value

    many = jax.vmap(one, in_axes=(0, 1, 1, 0, 0))

    def pulled(w0: Any, args: Any, upstream: Any) -> Any:
        def loss(args: Any) -> Any:
            w = many(w0, *args)
            return (w * upstream).sum(), w

        (_, w), back = jax.value_and_grad(loss, has_aux=True)(args)
        cost = 0.5 * jnp.mean(jnp.sum(jax.vmap(left)(w, _first(args)) ** 2, 1))
        return w, cost, back

    def _first(args: Any) -> Any:
        tables, offsets, linear, target = args
        return jnp.moveaxis(tables, 1, 0), jnp.moveaxis(offsets, 1, 0), linear, target

    compiled = jax.jit(pulled)

    def call(rows: Rows, upstream: Any) -> tuple[np.ndarray, float, list[np.ndarray]]:
        with jax.enable_x64(True):
            parts = (rows.tables, rows.offsets, rows.linear, rows.target)
            args = tuple(jnp.asarray(p.detach().numpy()) for p in parts)
            w0 = jnp.full(rows.linear.shape[::2], start, dtype=float)
            w, cost, back = compiled(w0, args, jnp.asarray(np.asarray(upstream)))
            return np.asarray(w), float(cost), [np.asarray(b) for b in back]

    return call


def ray_task(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    """A function as a Ray task; what it returns has `result()`.

    Args:
        function: Importable where the tasks run.
        options: Of the task.
    """
    import ray

    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    task = ray.remote(function).options(**{"num_cpus": 1, **options})

    class Waiting:
        def __init__(self, *args: Any):
            self.reference = task.remote(*args)

        def result(self) -> Any:
            return ray.get(self.reference)

    return Waiting
