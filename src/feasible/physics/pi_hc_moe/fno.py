"""A Fourier neural operator on a regular grid, with the signature of the `neuraloperator` package.

References:
    Li et al., Fourier neural operator for parametric partial differential equations, ICLR 2021.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import gelu

from ...core.checks import shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from torch import Tensor


MOST = 4096
"""Channels, modes and layers, at most."""


class Spectral(nn.Module):
    """A product with complex weights on the lowest Fourier modes of each axis."""

    def __init__(self, modes: Sequence[int], width: int):
        super().__init__()
        self.modes = tuple(modes)
        corners = 2 ** (len(modes) - 1)
        shape = (corners, width, width, *modes, 2)
        self.weights = nn.Parameter(torch.randn(shape, dtype=torch.float64) / width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *grid) to the same."""
        d, grid = len(self.modes), x.shape[2:]
        axes = tuple(range(2, 2 + d))
        found = torch.fft.rfftn(x, dim=axes, norm="forward")
        out = torch.zeros_like(found)
        weights = torch.view_as_complex(self.weights)
        letters = "xyz"[:d]
        for k, ends in enumerate(itertools.product((False, True), repeat=d - 1)):
            part = [slice(None), slice(None)]
            for n, end in zip(self.modes, (*ends, False), strict=True):
                part.append(slice(-n, None) if end else slice(n))
            at = tuple(part)
            out[at] = torch.einsum(f"bi{letters},io{letters}->bo{letters}", found[at], weights[k])
        return torch.fft.irfftn(out, s=grid, dim=axes, norm="forward")


class FNO(nn.Module):
    """A Fourier neural operator in float64.

    Args:
        n_modes: Modes kept along each axis of the grid, at most half of its points.
        in_channels: C of the input (B, C, *grid).
        out_channels: C of the output: basis functions.
        hidden_channels: Width.
        n_layers: Spectral layers.
        head: Width of the layer before the last.

    Raises:
        ArgumentError: More modes than the grid has, when it is called.
    """

    def __init__(
        self,
        n_modes: Sequence[int],
        in_channels: int = 3,
        out_channels: int = 8,
        hidden_channels: int = 16,
        n_layers: int = 3,
        head: int = 32,
    ):
        super().__init__()
        width = whole("hidden_channels", hidden_channels, least=1, most=MOST)
        in_channels = whole("in_channels", in_channels, least=1, most=MOST)
        out_channels = whole("out_channels", out_channels, least=1, most=MOST)
        head = whole("head", head, least=1, most=MOST)
        if (
            isinstance(n_modes, str)
            or not isinstance(n_modes, Sequence)
            or not 1 <= len(n_modes) <= 3
        ):
            raise ArgumentTypeError(f"n_modes={shown(n_modes)}: expected modes of 1 to 3 axes")
        self.modes = tuple(whole("n_modes", n, least=1, most=MOST) for n in n_modes)
        self.lift = nn.Linear(in_channels, width, dtype=torch.float64)
        layers = whole("n_layers", n_layers, least=1, most=MOST)
        self.spectral = nn.ModuleList(Spectral(self.modes, width) for _ in range(layers))
        self.local = nn.ModuleList(
            nn.Linear(width, width, dtype=torch.float64) for _ in range(layers)
        )
        self.first = nn.Linear(width, head, dtype=torch.float64)
        self.last = nn.Linear(head, out_channels, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        """Basis functions.

        Args:
            x: (B, in_channels, *grid).

        Returns:
            (B, out_channels, *grid).
        """
        for axis, (n, points) in enumerate(zip(self.modes, x.shape[2:], strict=True)):
            if 2 * n > points:
                raise ArgumentError(
                    f"n_modes[{axis}]={n}: expected at most {points // 2}, half of the grid's "
                    f"{points} points"
                )
        h = self.lift(x.movedim(1, -1))
        for spectral, local in zip(self.spectral, self.local, strict=True):
            h = gelu(spectral(h.movedim(-1, 1)).movedim(1, -1) + local(h))
        out: Tensor = gelu(self.last(gelu(self.first(h))))
        return out.movedim(-1, 1)
