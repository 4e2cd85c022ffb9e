"""What the small valid calls of the fuzz test are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

Calls = Mapping[str, Callable[[], tuple[Callable[..., Any], dict[str, Any]]]]
"""A name -> what makes a call anew: the function, and arguments that it takes."""
BOX = [(-1.0, 1.0)] * 2
HALF = [0.5, 0.5]


def bowl(x: Any) -> Any:
    """The sum of squares of a point, or of each row of points."""
    return (np.asarray(x) ** 2).sum(axis=-1)


def model() -> nn.Module:
    """A small network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def parameters() -> list[nn.Parameter]:
    """A list of one parameter of three numbers."""
    return [nn.Parameter(torch.ones(3))]


def sgd() -> torch.optim.Optimizer:
    """PyTorch's gradient descent of that parameter."""
    return torch.optim.SGD(parameters(), lr=0.1)
