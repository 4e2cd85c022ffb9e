"""Plain solvers of the room's equations: what a learned operator is judged and raced against.

`lines` writes an equation as ordinary differential equations in time, on any number of points;
`implicit_euler` takes one step from each time of a grid to the next, `bdf` as many as it needs, and
`reference` solves on a finer grid. Heat and Burgers have references of their own: a sine series and
a pseudo-spectral solver; so has the vorticity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
import scipy.sparse as sp
import torch
from scipy.integrate import solve_ivp
from scipy.sparse.linalg import splu

from ...core.errors import WrongProblem
from ..errors import NotConverged
from .equations import (
    EXPONENT,
    LEAST_U,
    RETARDED,
    SORPTION,
    Burgers,
    DiffusionSorption,
    Heat,
    Vorticity,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from .pde import PDE

FINER = 4
"""Points of a reference for each point of the grid."""
NEWTON = 40
"""Most iterations of an implicit step."""


@dataclass(frozen=True)
class Lines:
    """du/dt = rate(u), and its derivatives as a sparse matrix."""

    rate: Callable[[np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray], sp.csc_matrix]


def lines(pde: PDE, nx: int) -> Lines:
    """The equation on nx points of space, by central differences.

    Args:
        pde: Heat, DiffusionSorption or Burgers.
        nx: Points.

    Raises:
        WrongProblem: Another equation.
    """
    if isinstance(pde, DiffusionSorption):
        h = 1.0 / nx
        second = sp.diags([1.0, -2.0, 1.0], [-1, 0, 1], (nx, nx), format="lil") / h**2
        second = second.tolil()
        # the ghost on the right is -D u_x = D (u[-2] - u[-1]) / h
        second[-1, -2] += SORPTION / h / h**2
        second[-1, -1] -= SORPTION / h / h**2
        second, known = second.tocsc(), np.zeros(nx)
        known[0] = 1.0 / h**2  # the ghost on the left

        def speed(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            held = np.maximum(u, 0) + LEAST_U
            power = RETARDED * held ** (EXPONENT - 1)
            slope = np.where(u > 0, (EXPONENT - 1) * power / held, 0.0)
            return SORPTION / (1 + power), -SORPTION / (1 + power) ** 2 * slope

        def jacobian(u: np.ndarray) -> sp.csc_matrix:
            fast, slope = speed(u)
            return sp.csc_matrix(sp.diags(fast) @ second + sp.diags(slope * (second @ u + known)))

        return Lines(lambda u: speed(u)[0] * (second @ u + known), jacobian)
    if isinstance(pde, Burgers):
        h, nu = 1.0 / nx, pde.nu
        ones = np.ones(nx)
        first = sp.diags([ones[1:], -ones[1:]], [1, -1], format="lil")
        second = sp.diags([ones[1:], -2 * ones, ones[1:]], [1, 0, -1], format="lil")
        first[0, -1], first[-1, 0] = -1.0, 1.0
        second[0, -1] = second[-1, 0] = 1.0
        first, second = first.tocsc() / (2 * h), second.tocsc() / h**2

        def rate(u: np.ndarray) -> np.ndarray:
            return nu * (second @ u) - u * (first @ u)

        def slopes(u: np.ndarray) -> sp.csc_matrix:
            return sp.csc_matrix(nu * second - sp.diags(first @ u) - sp.diags(u) @ first)

        return Lines(rate, slopes)
    if type(pde) is Heat:
        h = 1.0 / (nx - 1)
        second = sp.diags([1.0, -2.0, 1.0], [-1, 0, 1], (nx, nx), format="lil")
        second[0], second[-1] = 0.0, 0.0
        matrix = (pde.kappa * second / h**2).tocsc()
        return Lines(lambda u: matrix @ u, lambda u: matrix)
    raise WrongProblem(
        f"no plain solver for {type(pde).__name__}; there is one for Heat, DiffusionSorption and "
        "Burgers"
    )


def implicit_euler(pde: PDE, initial: Float[Tensor, "B nx"]) -> Float[Tensor, "B nt nx"]:
    """One implicit step from each time of the grid to the next, by Newton's method.

    Raises:
        NotConverged: A step that Newton's method did not solve.
    """
    system = lines(pde, pde.grid.shape[1])
    eye, dt = sp.identity(pde.grid.shape[1], format="csc"), pde.grid.step(0)
    found = []
    for u0 in initial.numpy():
        path = [u0]
        for _ in range(pde.grid.shape[0] - 1):
            u = path[-1].copy()
            for iteration in range(NEWTON + 1):
                left = u - path[-1] - dt * system.rate(u)
                size = float(np.abs(left).max())
                if size <= 1e-11 * max(1.0, float(np.abs(u).max())):
                    break
                if iteration == NEWTON or not math.isfinite(size):
                    raise NotConverged(
                        f"an implicit step of {dt:g} was not solved in {NEWTON} iterations",
                        size,
                        iteration,
                    )
                u = u - splu(sp.csc_matrix(eye - dt * system.jacobian(u))).solve(left)
            path.append(u)
        found.append(np.stack(path))
    return torch.as_tensor(np.stack(found))


def bdf(
    pde: PDE, initial: Float[Tensor, "B nx"], finer: int = 1, tol: float = 1e-6
) -> Float[Tensor, "B nt nx"]:
    """SciPy's backward differentiation formulas in time, on as many times as they need.

    Args:
        pde: The equation.
        initial: Values at the grid's points.
        finer: Points of space for each point of the grid, whose means are returned.
        tol: Relative tolerance in time; the absolute one is a hundredth.

    Raises:
        NotConverged: SciPy's message.
    """
    times = pde.grid.axes[0].numpy()
    system = lines(pde, pde.grid.shape[1] * finer)
    found = []
    for u0 in initial.numpy():
        out = solve_ivp(
            lambda t, u: system.rate(u),
            (times[0], times[-1]),
            np.repeat(u0, finer),
            "BDF",
            times,
            jac=lambda t, u: system.jacobian(u),
            rtol=tol,
            atol=tol / 100,
        )
        if not out.success:
            raise NotConverged(out.message)
        found.append(out.y.T.reshape(len(times), -1, finer).mean(2))
    return torch.as_tensor(np.stack(found))


def reference(pde: PDE, initial: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
    """The solutions that operators are judged by.

    A sine series for the heat equation, a pseudo-spectral solver on `FINER` times as many points
    for Burgers, one on the grid's points and small steps for the vorticity, and BDF on finite
    volumes, `FINER` times as many, for diffusion with sorption, whose initial values are constant.
    """
    if type(pde) is Heat:
        inner = initial[:, 1:-1].numpy()
        series = scipy.fft.dst(inner, type=1, axis=1) / (inner.shape[1] + 1)
        basis = heat_modes(pde, inner.shape[1]).numpy()
        return torch.as_tensor(np.einsum("bn,txn->btx", series, basis))
    if isinstance(pde, Burgers):
        return _burgers(pde, initial)
    if isinstance(pde, Vorticity):
        return _vorticity(pde, initial)
    return bdf(pde, initial, finer=FINER, tol=1e-8)


def heat_modes(pde: Heat, n: int) -> Float[Tensor, "nt nx n"]:
    """The first solutions of the heat equation, sin(k pi x) exp(-kappa k^2 pi^2 t)."""
    t, x = pde.grid.axes
    k = torch.arange(1, n + 1, dtype=torch.float64) * math.pi
    return torch.exp(-pde.kappa * k**2 * t[:, None, None]) * torch.sin(k * x[None, :, None])


def _burgers(pde: Burgers, initial: Tensor) -> Tensor:
    """Fourier in space, dealiased; Runge and Kutta's fourth order with an integrating factor."""
    nx = pde.grid.shape[1]
    n = FINER * nx
    coarse = np.fft.rfft(initial.numpy(), axis=1)
    u = np.zeros((len(initial), n // 2 + 1), dtype=complex)
    u[:, : coarse.shape[1]] = coarse * FINER
    k = 2 * math.pi * np.arange(n // 2 + 1)
    keep = np.arange(n // 2 + 1) <= n // 3
    times = pde.grid.axes[0].numpy()
    fastest = max(1.0, float(initial.abs().max()))
    steps = max(1, math.ceil((times[1] - times[0]) * n * fastest * 2))
    dt = (times[1] - times[0]) / steps
    half = np.exp(-pde.nu * k**2 * dt / 2)

    def rate(v: np.ndarray) -> np.ndarray:
        return -0.5j * k * keep * np.fft.rfft(np.fft.irfft(v * keep, n, axis=1) ** 2, axis=1)

    found = [initial.numpy()]
    for _ in times[1:]:
        for _ in range(steps):
            u = _factored(u, dt, half, rate)
        found.append(np.fft.irfft(u, n, axis=1)[:, ::FINER])
    return torch.as_tensor(np.stack(found, 1))


def _factored(
    u: np.ndarray, dt: float, half: np.ndarray, rate: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """A step of Runge and Kutta's fourth order on exp(-L t) u; half = exp(L dt / 2)."""
    a = dt * rate(u)
    b = dt * rate(half * (u + a / 2))
    c = dt * rate(half * u + b / 2)
    d = dt * rate(half**2 * u + half * c)
    return np.asarray(half**2 * u + (half**2 * a + 2 * half * (b + c) + d) / 6)


def _vorticity(pde: Vorticity, initial: Tensor) -> Tensor:
    """The same in two dimensions, on the grid's own points."""
    nx, ny = pde.grid.shape[1:]
    kx = 2 * math.pi * np.fft.fftfreq(nx, 1 / nx)[:, None]
    ky = 2 * math.pi * np.fft.rfftfreq(ny, 1 / ny)[None]
    square = kx**2 + ky**2
    inverse = 1 / np.where(square > 0, square, 1.0)
    keep = (np.abs(kx) <= 2 * math.pi * nx / 3) & (ky <= 2 * math.pi * ny / 3)
    times = pde.grid.axes[0].numpy()
    steps = max(1, math.ceil((times[1] - times[0]) * max(nx, ny) * 2))
    dt = (times[1] - times[0]) / steps
    half = np.exp(-pde.nu * square * dt / 2)

    def back(v: np.ndarray) -> np.ndarray:
        return np.fft.irfft2(v, (nx, ny), axes=(-2, -1))

    def rate(w: np.ndarray) -> np.ndarray:
        w = w * keep
        flow = back(1j * ky * inverse * w) * back(1j * kx * w)
        flow = flow - back(1j * kx * inverse * w) * back(1j * ky * w)
        return np.asarray(-1.0 * keep * np.fft.rfft2(flow, axes=(-2, -1)))

    w = np.fft.rfft2(initial.numpy(), axes=(-2, -1))
    found = [initial.numpy()]
    for _ in times[1:]:
        for _ in range(steps):
            w = _factored(w, dt, half, rate)
        found.append(back(w))
    return torch.as_tensor(np.stack(found, 1))
