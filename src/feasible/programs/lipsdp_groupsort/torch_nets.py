"""Reading a `torch.nn.Sequential`, and modules of the activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from ...core.checks import shown
from ...core.errors import ArgumentError, ArgumentTypeError
from .activations import Activation, GroupSort, Householder, MaxMin, Slope
from .networks import Layer, Network

SKIPPED = (nn.Identity, nn.Flatten, nn.Dropout, nn.AlphaDropout)
"""Modules that do nothing to a vector when they evaluate."""


class Sorting(nn.Module):
    """An activation of this folder as a module on (batch, channels).

    Args:
        activation: GroupSort, MaxMin or FullSort.
    """

    def __init__(self, activation: GroupSort) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sort the groups."""
        members = torch.as_tensor(self.activation.members(x.shape[-1]), device=x.device)
        inside = torch.sort(x[..., members], dim=-1, descending=self.activation.descending).values
        return torch.empty_like(x).index_copy(-1, members.flatten(), inside.flatten(-2))


class Reflecting(nn.Module):
    """Householder as a module on (batch, channels).

    Args:
        activation: With its unit vectors.
    """

    def __init__(self, activation: Householder) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reflect the groups on the negative side."""
        C = torch.as_tensor(self.activation.split(x.shape[-1]).C, dtype=x.dtype, device=x.device)
        return x - 2 * torch.clamp(x @ C.T, max=0) @ C


def module(activation: GroupSort | Householder) -> nn.Module:
    """Return an activation as a torch module, which `lipschitz_bound` reads.

    Raises:
        ArgumentTypeError: Another activation; those of slopes are in torch.nn.
    """
    if isinstance(activation, GroupSort):
        return Sorting(activation)
    if isinstance(activation, Householder):
        return Reflecting(activation)
    raise ArgumentTypeError(f"activation={shown(activation)}: expected GroupSort or Householder")


def activation_of(part: nn.Module) -> Activation | None:
    """Return the activation that a module is; None where it is none that is known.

    GroupSort, GroupSort2, FullSort and HouseHolder of deel-torchlip are known by their names.
    """
    if isinstance(part, (Sorting, Reflecting)):
        return part.activation
    simple = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.Identity: "identity"}
    if type(part) in simple:
        return Slope(simple[type(part)])
    if isinstance(part, nn.LeakyReLU):
        return Slope("leaky", part.negative_slope)
    name = type(part).__name__
    if name == "GroupSort2":
        return GroupSort(2)
    if name == "FullSort":
        return GroupSort(None)
    if name == "GroupSort":
        size = getattr(part, "group_size", None) or getattr(part, "k", None)
        return GroupSort(int(size)) if size else GroupSort(None)
    if name == "MaxMin":
        return MaxMin(chunked=bool(getattr(part, "chunked", False)))
    if name.lower() == "householder" and isinstance(getattr(part, "theta", None), torch.Tensor):
        half = _array(part.theta).ravel() / 2  # deel's reflection of the pair by the angle theta
        return Householder(np.stack([np.sin(half), -np.cos(half)], axis=1))
    return None


def read(net: nn.Module, activation: Activation | None = None) -> Network:
    """Return a Sequential of Linear and activation modules as a network, as it evaluates.

    Args:
        net: The module.
        activation: What a module of an unknown class between two linear ones is, if anything.

    Raises:
        ArgumentTypeError: A module that is not supported, by its place and class.
        ArgumentError: There is no Linear in it.
    """
    pending: tuple[Any, Any] | None = None
    between: Activation | None = None
    layers: list[Layer] = []
    parts = [(name, part) for name, part in _flat(net)]
    for name, part in parts:
        if isinstance(part, nn.Linear):
            W, b = _array(part.weight), None if part.bias is None else _array(part.bias)
            if pending is not None:
                layers.append(Layer(pending[0], between or Slope("identity"), pending[1]))
            elif between is not None:
                raise ArgumentTypeError(f"net[{name}]: an activation before the first Linear")
            pending, between = (W, b), None
        elif isinstance(part, SKIPPED):
            continue
        else:
            found = activation_of(part)
            if found is None and type(part).__module__.partition(".")[0] != "torch":
                found = activation
            if found is None:
                raise ArgumentTypeError(
                    f"net[{name}] is a {type(part).__name__}, which is not supported: expected "
                    "Linear, Flatten, Dropout, ReLU, LeakyReLU, Tanh, Sigmoid, GroupSort, MaxMin "
                    "or Householder; for another sorting module of yours give activation="
                )
            if between is not None:
                raise ArgumentTypeError(
                    f"net[{name}]: a second activation without a Linear between"
                )
            between = found
    if pending is None:
        raise ArgumentError("net has no Linear module: expected at least one")
    if between is not None:  # an activation at the end
        eye = np.eye(len(pending[0]))
        return Network((*layers, Layer(pending[0], between, pending[1])), eye)
    return Network(tuple(layers), *pending)


def _flat(net: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """Return the modules of nested Sequentials in turn, with their places."""
    if not isinstance(net, nn.Sequential):
        return [(prefix or "0", net)]
    return [
        found
        for name, part in net.named_children()
        for found in _flat(part, f"{prefix}.{name}" if prefix else name)
    ]


def _array(value: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array of float64."""
    return value.detach().cpu().double().numpy()
