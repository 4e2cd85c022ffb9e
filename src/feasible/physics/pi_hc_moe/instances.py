"""Ready-made operators to learn, from seeded initial values."""

from __future__ import annotations

import numpy as np

from .equations import Burgers, DiffusionSorption, Heat, Vorticity
from .pde import Grid
from .problem import OperatorLearning


def heat_operator(n: int = 6, seed: int = 0) -> OperatorLearning:
    """The heat equation on 16 x 16 points, from sums of three sines; small, for a first look."""
    pde = Heat(Grid.of(1.0, 16, 16, centred=False))
    x = pde.grid.axes[1].numpy()
    rng = np.random.default_rng(seed)
    modes = np.sin(np.pi * np.arange(1, 4)[:, None] * x)
    values = rng.standard_normal((2 * n, 3)) / np.arange(1, 4) @ modes
    return OperatorLearning(pde, values[:n], values[n:], 2, name="heat-operator")


def diffusion_sorption(n: int = 64, tests: int = 16, seed: int = 0) -> OperatorLearning:
    """Diffusion with sorption on 26 x 64 points, constant initial values from U(0.01, 0.2)."""
    pde = DiffusionSorption(Grid.of(500.0, 26, 64))
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.01, 0.2, (n + tests, 1)) * np.ones(64)
    return OperatorLearning(pde, values[:n], values[n:], name="diffusion-sorption")


def burgers_operator(n: int = 64, tests: int = 16, seed: int = 0) -> OperatorLearning:
    """Burgers' equation on 32 x 64 points, periodic, nu = 0.01, from
    u_0 = 1/2 sum_(k = 1..3) a_k / k sin(2 pi k x + p_k), a_k ~ N(0, 1), p_k ~ U(0, 2 pi).
    """
    pde = Burgers(Grid.of(1.0, 32, 64, periodic=True))
    x, k = pde.grid.axes[1].numpy(), np.arange(1, 4)[None, :, None]
    rng = np.random.default_rng(seed)
    a, p = rng.standard_normal((n + tests, 3, 1)), rng.uniform(0, 2 * np.pi, (n + tests, 3, 1))
    values = 0.5 * (a / k * np.sin(2 * np.pi * k * x + p)).sum(1)
    return OperatorLearning(pde, values[:n], values[n:], name="burgers-operator")


def vorticity_operator(n: int = 8, tests: int = 2, seed: int = 0) -> OperatorLearning:
    """The vorticity of a flow on 16 x 32 x 32 points to T = 5, nu = 1e-4, from smooth random
    fields: to see that it runs, not to compare.
    """
    pde = Vorticity(Grid.of(5.0, 16, 32, dimensions=2, periodic=True))
    rng = np.random.default_rng(seed)
    k = np.fft.fftfreq(32, 1 / 32)
    size = np.exp(-2 * (k[:, None] ** 2 + np.fft.rfftfreq(32, 1 / 32) ** 2) / 0.8**-2 / 4)
    size[0, 0] = 0.0
    noise = np.fft.rfft2(rng.standard_normal((n + tests, 32, 32)))
    values = np.fft.irfft2(noise * size, (32, 32))
    values /= values.std(axis=(1, 2), keepdims=True)
    return OperatorLearning(pde, values[:n], values[n:], 2, name="vorticity-operator")
