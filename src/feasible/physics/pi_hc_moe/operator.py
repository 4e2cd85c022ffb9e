"""A network that makes a basis, a constraint layer that makes the solution, and their loss."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

from ...core.checks import shown
from ...core.errors import ArgumentTypeError, ShapeError
from .experts import HardConstraint, Output

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from .pde import PDE, Grid


def network_input(grid: Grid, initial: Float[Tensor, "B ..."]) -> Float[Tensor, "B C ..."]:
    """Scaled coordinates, and the initial value at all times.

    Args:
        grid: The grid.
        initial: Initial values.

    Raises:
        ShapeError: Initial values on another grid.
    """
    space = grid.shape[1:]
    if tuple(initial.shape[1:]) != space:
        raise ShapeError(
            f"initial has shape {tuple(initial.shape)}, expected (B, {', '.join(map(str, space))})"
        )
    where = grid.coordinates().expand(len(initial), -1, *grid.shape)
    value = initial[:, None, None].expand(-1, 1, *grid.shape)
    return torch.cat([where, value], 1)


class ConstrainedOperator(nn.Module):
    """Initial values to solutions: the network's outputs are a basis, the layer weighs them.

    Args:
        net: (B, C, *grid) to (B, N, *grid), such as `FNO`; any module of that signature.
        layer: `HardConstraint` or `MixtureOfExperts`.
    """

    def __init__(self, net: nn.Module, layer: HardConstraint):
        super().__init__()
        if not isinstance(net, nn.Module):
            raise ArgumentTypeError(f"net={shown(net)}: expected a torch module")
        if not isinstance(layer, HardConstraint):
            raise ArgumentTypeError(f"layer={shown(layer)}: expected a HardConstraint")
        self.net, self.layer = net, layer

    def forward(
        self, initial: Float[Tensor, "B ..."], generator: torch.Generator | None = None
    ) -> Output:
        """Solve for some initial values.

        Args:
            initial: Initial values.
            generator: Draws the points of the fits; None: all points.
        """
        basis = self.net(network_input(self.layer.pde.grid, initial)).movedim(1, -1)
        out = self.layer(basis, initial, generator)
        if not self.training and not bool(out.converged.all()):
            share = float((~out.converged).double().mean())
            warnings.warn(
                f"{share:.0%} of the layer's solves did not meet tol={self.layer.settings.tol:g} "
                f"within {self.layer.settings.max_iter} steps",
                stacklevel=2,
            )
        return out


class PenalisedOperator(nn.Module):
    """The soft form (PI-SC): the network's one output is the solution, and the loss alone holds it
    to the equation.

    Args:
        net: (B, C, *grid) to (B, 1, *grid).
        pde: The equation.
    """

    def __init__(self, net: nn.Module, pde: PDE):
        super().__init__()
        self.net, self.pde = net, pde

    def forward(
        self, initial: Float[Tensor, "B ..."], generator: torch.Generator | None = None
    ) -> Float[Tensor, "B ..."]:
        """Solve for some initial values."""
        out = self.net(network_input(self.pde.grid, initial)).movedim(1, -1)
        u = self.pde.shaped(out)[..., 0]
        base = self.pde.base(initial)
        return u if base is None else base + u
