"""Heat, diffusion with sorption, Burgers and the vorticity of a flow, as a layer takes them.

References:
    Chalapathi, Du and Krishnapriyan, ICLR 2024, arXiv 2402.13412, section 4 and appendices;
    Takamoto et al., PDEBench (2022), for the data of diffusion with sorption.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ...core.checks import real
from ...core.errors import ShapeError
from .pde import PDE, Condition, Grid, initial_rows

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

SORPTION = 5e-4
"""D of diffusion with sorption."""
POROSITY, DENSITY, FREUNDLICH, EXPONENT, LEAST_U = 0.29, 2880.0, 3.5e-4, 0.874, 1e-6
RETARDED = (1 - POROSITY) / POROSITY * DENSITY * FREUNDLICH * EXPONENT


class Heat(PDE):
    """u_t = kappa u_xx with u = 0 at both ends, from end to end; F is linear."""

    names = ("u_t", "u_xx")

    def __init__(self, grid: Grid, kappa: float = 0.05, weight: float = 1.0, compact: bool = False):
        super().__init__(grid, weight, compact)
        self.kappa = real("kappa", kappa, above=0)

    def residual(self, terms: Sequence[Tensor]) -> Tensor:
        """u_t - kappa u_xx."""
        return terms[0] - self.kappa * terms[1]

    def conditions(self, initial: Tensor) -> list[Condition]:
        """The initial value and both ends."""
        zero = torch.zeros(len(initial), self.grid.shape[0] - 1, dtype=initial.dtype)
        return [
            initial_rows(initial),
            Condition("left", lambda u: u[:, 1:, 0], zero),
            Condition("right", lambda u: u[:, 1:, -1], zero),
        ]


class Cooling(Heat):
    """The heat equation with a Robin condition u_x = -h u at the right end, and at the left the
    mean over space given for all times: a condition of an operator.

    Attributes:
        h: Of the Robin condition.
        decay: The mean falls from its first value by exp(-decay t).
    """

    def __init__(self, grid: Grid, kappa: float = 0.05, h: float = 1.0, decay: float = 0.1):
        super().__init__(grid, kappa)
        self.h, self.decay = real("h", h), real("decay", decay)

    def conditions(self, initial: Tensor) -> list[Condition]:
        """The initial value, the Robin end and the mean."""
        t = self.grid.axes[0][1:]
        zero = torch.zeros(len(initial), len(t), dtype=initial.dtype)
        mean = initial.mean(1, keepdim=True) * torch.exp(-self.decay * t)

        def robin(u: Tensor) -> Tensor:
            return (self.grid.first(u, 1) + self.h * u)[:, 1:, -1]

        return [
            initial_rows(initial),
            Condition("robin", robin, zero),
            Condition("mean", lambda u: u[:, 1:].mean(2), mean),
        ]


class DiffusionSorption(PDE):
    """u_t = D / R(u) u_xx with R = 1 + (1 - phi) / phi rho_s k n_f u^(n_f - 1), u(0, t) = 1 and
    u(1, t) = -D u_x(1, t), as the data have it; the equation is in t / T, so that its rows have a
    size of their own.

    Attributes:
        weight: 0.1 of T = 500 makes 50 on a grid of 26 x 64 points. Near 0 the layer fits the
            conditions alone; at 1 it collapses to the initial value.
    """

    names = ("u", "u_t", "u_xx")

    def __init__(self, grid: Grid, weight: float = 0.1, compact: bool = False):
        super().__init__(grid, weight, compact)
        self.time = float(self.grid.axes[0][-1])

    @staticmethod
    def retardation(u: Tensor) -> Tensor:
        """R(u), finite at 0."""
        return 1 + RETARDED * (u.clamp_min(0) + LEAST_U) ** (EXPONENT - 1)

    def residual(self, terms: Sequence[Tensor]) -> Tensor:
        """T (u_t - D / R(u) u_xx)."""
        u, u_t, u_xx = terms
        return self.time * (u_t - SORPTION / self.retardation(u) * u_xx)

    def slopes(self, terms: Tensor) -> tuple[Tensor, Tensor]:
        """F and its derivatives, in closed form."""
        u, u_t, u_xx = terms
        held = u.clamp_min(0) + LEAST_U
        power = RETARDED * held ** (EXPONENT - 1)
        speed = self.time * SORPTION / (1 + power)
        by_u = speed / (1 + power) * self._rise(u, held, power) * u_xx
        return (
            self.time * u_t - speed * u_xx,
            torch.stack([by_u, torch.full_like(u, self.time), -speed]),
        )

    def curvature(self, terms: Tensor) -> Tensor:
        """F's second derivatives, in closed form."""
        u, _, u_xx = terms
        held = u.clamp_min(0) + LEAST_U
        power = RETARDED * held ** (EXPONENT - 1)
        rise = self._rise(u, held, power)
        bend = (EXPONENT - 2) * rise / held  # R''(u)
        speed = self.time * SORPTION / (1 + power) ** 2
        found = u.new_zeros(3, 3, *u.shape)
        found[0, 0] = speed * u_xx * (bend - 2 * rise**2 / (1 + power))
        found[0, 2] = found[2, 0] = speed * rise
        return found

    @staticmethod
    def _rise(u: Tensor, held: Tensor, power: Tensor) -> Tensor:
        """R'(u); 0 where R is held."""
        return torch.where(u > 0, (EXPONENT - 1) * power / held, 0.0)

    def conditions(self, initial: Tensor) -> list[Condition]:
        """The initial value, u = 1 on the left, and the Robin condition on the right."""
        one = torch.ones(len(initial), self.grid.shape[0] - 1, dtype=initial.dtype)

        def right(u: Tensor) -> Tensor:
            return (u + SORPTION * self.grid.first(u, 1))[:, 1:, -1]

        return [
            initial_rows(initial),
            Condition("left", lambda u: u[:, 1:, 0], one),
            Condition("right", right, torch.zeros_like(one)),
        ]


class Lifted(PDE):
    """An equation whose initial value is built in: u = u_0 + (t / T) b w, so that w = 0 is u_0 for
    all times. As rows of the residual it would be outvoted: u = 0 solves many an equation.
    """

    scale = 1.0

    def base(self, initial: Tensor) -> Tensor:
        """u_0 at all times."""
        return initial[:, None].expand(-1, self.grid.shape[0], *initial.shape[1:])

    def shaped(self, basis: Tensor) -> Tensor:
        """Basis functions that vanish at t = 0."""
        t = self.grid.axes[0] / self.grid.axes[0][-1] * self.scale
        return basis * t.reshape(1, -1, *(1,) * (basis.ndim - 2))


class Burgers(Lifted):
    """u_t + u u_x = nu u_xx, periodic."""

    names = ("u", "u_t", "u_x", "u_xx")

    def __init__(self, grid: Grid, nu: float = 0.01, weight: float = 1.0, compact: bool = False):
        super().__init__(grid, weight, compact)
        self.nu = real("nu", nu, least=0)

    def residual(self, terms: Sequence[Tensor]) -> Tensor:
        """u_t + u u_x - nu u_xx."""
        u, u_t, u_x, u_xx = terms
        return u_t + u * u_x - self.nu * u_xx

    def slopes(self, terms: Tensor) -> tuple[Tensor, Tensor]:
        """F and its derivatives, in closed form."""
        u, u_t, u_x, u_xx = terms
        one = torch.ones_like(u)
        return u_t + u * u_x - self.nu * u_xx, torch.stack([u_x, one, u, -self.nu * one])

    def curvature(self, terms: Tensor) -> Tensor:
        """F's second derivatives: that by u and u_x is 1."""
        found = terms.new_zeros(4, *terms.shape)
        found[0, 2] = found[2, 0] = 1.0
        return found


class Vorticity(Lifted):
    """The vorticity of a flow, w_t + v . grad w = nu laplace w, on the periodic square.

    The velocity v is that of the stream function psi with -laplace psi = w, by Fourier transform;
    other derivatives are differences. Basis functions are 0.005 (t / T) b less their mean over
    space.
    """

    names = ("w_t", "w_x", "w_y", "laplace", "v_x", "v_y")
    scale = 0.005

    def __init__(self, grid: Grid, nu: float = 1e-4, weight: float = 1.0, compact: bool = False):
        super().__init__(grid, weight, compact)
        if len(self.grid.axes) != 3 or not all(self.grid.periodic[1:]):
            raise ShapeError("grid: expected two periodic axes of space")
        self.nu = real("nu", nu, least=0)

    def velocity(self, w: Float[Tensor, "B nt nx ny ..."]) -> tuple[Tensor, Tensor]:
        """v_x and v_y of a vorticity: v_x = i k_y w / |k|^2, v_y = -i k_x w / |k|^2."""
        nx, ny = w.shape[2:4]
        kx = 2 * math.pi * torch.fft.fftfreq(nx, 1 / nx, dtype=torch.float64)[:, None]
        ky = 2 * math.pi * torch.fft.rfftfreq(ny, 1 / ny, dtype=torch.float64)[None]
        square = kx**2 + ky**2
        square[0, 0] = 1.0
        more = (1,) * (w.ndim - 4)
        along = [(k * 1j / square).reshape(*square.shape, *more) for k in (ky, -kx)]
        found = torch.fft.rfft2(w, dim=(2, 3))
        vx, vy = (torch.fft.irfft2(found * a, s=(nx, ny), dim=(2, 3)) for a in along)
        return vx, vy

    def terms(self, u: Tensor) -> list[Tensor]:
        """w_t, w_x, w_y, laplace w, v_x, v_y."""
        g = self.grid
        laplace = g.second(u, 1, self.compact) + g.second(u, 2, self.compact)
        return [g.first(u, 0), g.first(u, 1), g.first(u, 2), laplace, *self.velocity(u)]

    def residual(self, terms: Sequence[Tensor]) -> Tensor:
        """w_t + v_x w_x + v_y w_y - nu laplace w."""
        w_t, w_x, w_y, laplace, v_x, v_y = terms
        return w_t + v_x * w_x + v_y * w_y - self.nu * laplace

    def shaped(self, basis: Tensor) -> Tensor:
        """Basis functions that vanish at t = 0 and have no mean over space."""
        return super().shaped(basis - basis.mean((2, 3), keepdim=True))
