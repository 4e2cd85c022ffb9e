"""Networks of policies and values: torch modules that are trained, and NumPy views of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from .answers import ACTIVATIONS, LOG_STD, NetworkPolicy, network_policy
from .spaces import Spaces

if TYPE_CHECKING:
    from jaxtyping import Float

    from .normalise import Moments

MODULES: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
LOG_2PI = math.log(2 * math.pi)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's global stream begins at a seed; outside it stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def mlp(sizes: Sequence[int], activation: str, gain: float | None = None) -> nn.Sequential:
    """A fully connected network.

    Args:
        sizes: Inputs, hidden widths, outputs.
        activation: "tanh" or "relu", between layers.
        gain: Of the last layer: weights are orthogonal, hidden ones with gain sqrt(2), and biases
            0. None: as torch begins.
    """
    parts: list[nn.Module] = []
    last = len(sizes) - 2
    for i, (n, m) in enumerate(pairwise(sizes)):
        layer = nn.Linear(n, m)
        if gain is not None:
            nn.init.orthogonal_(layer.weight, gain if i == last else math.sqrt(2))
            nn.init.zeros_(layer.bias)
        parts += [layer] if i == last else [layer, MODULES[activation]()]
    return nn.Sequential(*parts)


def linear(network: nn.Module) -> list[nn.Linear]:
    """The layers of a network that have weights, in order."""
    return [part for part in network.modules() if isinstance(part, nn.Linear)]


class Quick:
    """A network's outputs by NumPy, on the very weights that are trained: for a few observations
    it is several times as quick as torch.
    """

    def __init__(self, network: nn.Module, activation: str):
        self.layers = [
            (part.weight.detach().numpy(), part.bias.detach().numpy()) for part in linear(network)
        ]
        self.between = ACTIVATIONS[activation]

    def __call__(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """The outputs."""
        for W, b in self.layers[:-1]:
            x = self.between(x @ W.T + b)
        W, b = self.layers[-1]
        return x @ W.T + b


class Actor(nn.Module):
    """A stochastic policy: categorical over numbered actions, else a diagonal Gaussian whose log
    standard deviations do not depend on the state.

    Args:
        spaces: What is seen and done.
        width: Of its two hidden layers.
    """

    def __init__(self, spaces: Spaces, width: int = 64):
        super().__init__()
        self.categorical = spaces.actions > 0
        outputs = spaces.actions or spaces.width
        self.net = mlp((spaces.features, width, width, outputs), "tanh", 0.01)
        self.log_std = nn.Parameter(torch.zeros(0 if self.categorical else outputs))

    def forward(self, x: Float[Tensor, "N d"]) -> Float[Tensor, "N k"]:
        """Logits, or means."""
        return self.net(x)

    def log_prob(
        self, out: Float[Tensor, "N k"], actions: Tensor, log_std: Tensor | None = None
    ) -> Float[Tensor, " N"]:
        """log pi of actions.

        Args:
            out: What `forward` gave.
            actions: (N, 1) numbers, or (N, a).
            log_std: (a,) of a Gaussian; its own where none is given.
        """
        if self.categorical:
            return out.log_softmax(dim=1).gather(1, actions).squeeze(1)
        log_std = self.log_std if log_std is None else log_std
        z = (actions - out) * torch.exp(-log_std)
        return (-0.5 * z * z - log_std - 0.5 * LOG_2PI).sum(dim=1)

    def entropy(self, out: Float[Tensor, "N k"]) -> Float[Tensor, ""]:
        """Mean entropy."""
        if self.categorical:
            log_p = out.log_softmax(dim=1)
            return -(log_p.exp() * log_p).sum(dim=1).mean()
        return (self.log_std + 0.5 * (1 + LOG_2PI)).sum()

    def policy(self, spaces: Spaces, seen: Moments | None) -> NetworkPolicy:
        """The policy as plain data, with its normaliser."""
        kind = "categorical" if self.categorical else "gaussian"
        layers = [(part.weight, part.bias) for part in linear(self.net)]
        normaliser = ((), ()) if seen is None else (seen.mean, seen.scale)
        return network_policy(spaces, kind, layers, "tanh", self.log_std, *normaliser)


class SquashedActor(nn.Module):
    """A Gaussian with means and log standard deviations of the state, then a tanh.

    Args:
        spaces: What is seen and done; actions are continuous and bounded.
        width: Of its two hidden layers.
    """

    def __init__(self, spaces: Spaces, width: int = 256):
        super().__init__()
        self.net = mlp((spaces.features, width, width, 2 * spaces.width), "relu")

    def forward(self, x: Float[Tensor, "N d"]) -> tuple[Tensor, Tensor]:
        """Means and log standard deviations before the tanh."""
        mean, log_std = self.net(x).chunk(2, dim=1)
        return mean, log_std.clamp(*LOG_STD)

    def policy(self, spaces: Spaces) -> NetworkPolicy:
        """The policy as plain data."""
        layers = [(part.weight, part.bias) for part in linear(self.net)]
        return network_policy(spaces, "squashed", layers, "relu")


def log_squashed(mean: Tensor, log_std: Tensor, u: Tensor) -> Float[Tensor, "N a"]:
    """log of the density of tanh(u) in each dimension, for u of a Gaussian.

    log N(u) - log(1 - tanh(u)^2), the latter as 2 (log 2 - u - softplus(-2u))
    """
    z = (u - mean) * torch.exp(-log_std)
    gaussian = -0.5 * z * z - log_std - 0.5 * LOG_2PI
    return gaussian - 2 * (math.log(2) - u - nn.functional.softplus(-2 * u))


def all_finite(network: nn.Module) -> bool:
    """True where no parameter is NaN or infinite."""
    return all(bool(torch.isfinite(p).all()) for p in network.parameters())
