"""Networks to bound: random ones, and MaxMin networks trained on scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ...core.checks import whole
from .activations import Activation, MaxMin
from .networks import DEQ, Network, ResidualMLP, feedforward
from .problem import LipschitzCertificate

if TYPE_CHECKING:
    from jaxtyping import Float

LABEL = 8
"""The output whose linf bound is asked for."""


def random_weights(widths: Sequence[int], seed: int = 0) -> list[Float[np.ndarray, "n m"]]:
    """Return normal weights of variance 1 / inputs, a matrix for each neighbouring pair of widths.

    Args:
        widths: Inputs, hidden widths, outputs.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((b, a)) / np.sqrt(a) for a, b in pairwise(widths)]


def trained_digits(
    hidden: Sequence[int] = (32, 32, 32),
    activation: Activation | None = None,
    seed: int = 0,
    epochs: int = 30,
) -> Network:
    """Return a network trained to tell scikit-learn's 8 x 8 digits apart.

    64 inputs / 16, 10 classes; Adam 1e-3, batches of 64, weight decay 1e-4, as in a test of the
    paper's method on small nets.

    Args:
        hidden: Widths.
        activation: None: MaxMin.
        seed: Of the first weights and the batches.
        epochs: Of the training.
    """
    import torch
    from sklearn.datasets import load_digits
    from torch import nn

    from .torch_nets import module, read

    phi = MaxMin() if activation is None else activation
    generator = torch.Generator().manual_seed(whole("seed", seed, least=0))
    widths = [64, *hidden, 10]
    parts: list[nn.Module] = []
    for a, b in pairwise(widths):
        linear = nn.Linear(a, b)
        with torch.no_grad():
            for p in (linear.weight, linear.bias):
                p.uniform_(-(a**-0.5), a**-0.5, generator=generator)
        parts += [linear, module(phi)]  # type: ignore[arg-type]
    net = nn.Sequential(*parts[:-1])
    x, y = load_digits(return_X_y=True)
    x, y = torch.as_tensor(x / 16, dtype=torch.float32), torch.as_tensor(y)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
    for _ in range(whole("epochs", epochs, least=0)):
        for batch in torch.randperm(len(x), generator=generator).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    return read(net)


def maxmin_digits(hidden: Sequence[int] = (32, 32, 32), seed: int = 0) -> LipschitzCertificate:
    """The l2 constant of a MaxMin network 64-32-32-32-10 trained on digits.

    Args:
        hidden: Widths.
        seed: Of the training.
    """
    return LipschitzCertificate(trained_digits(hidden, seed=seed), name="maxmin-digits")


def maxmin_random(depth: int = 8, width: int = 16, seed: int = 0) -> LipschitzCertificate:
    """The l2 constant of a MaxMin network of 8 layers of 16 with normal weights.

    Args:
        depth: Layers, the last with 10 outputs.
        width: Of the hidden layers and the input.
        seed: Of the weights.
    """
    weights = random_weights([*[width] * depth, 10], seed)
    return LipschitzCertificate(weights, name="maxmin-random")


def maxmin_linf(depth: int = 4, width: int = 16, seed: int = 0) -> LipschitzCertificate:
    """The constant from linf of one output of a MaxMin network of 4 layers of 16, normal weights.

    Args:
        depth: Layers.
        width: Of the hidden layers and the input.
        seed: Of the weights.
    """
    weights = random_weights([*[width] * depth, 1], seed)
    return LipschitzCertificate(weights, "linf", name="maxmin-linf")


def maxmin_residual(depth: int = 5, width: int = 16, seed: int = 0) -> LipschitzCertificate:
    """The l2 constant of a residual MaxMin network of 5 blocks of width 16, normal weights / 2.

    Args:
        depth: Blocks.
        width: Of all of them.
        seed: Of the weights.
    """
    weights = [W / 2 for W in random_weights([width] * (depth + 1), seed)]
    return LipschitzCertificate(ResidualMLP(weights), name="maxmin-residual")


def maxmin_implicit(width: int = 16, seed: int = 0) -> LipschitzCertificate:
    """The l2 constant of an implicit MaxMin network of width 16, 8 inputs and 4 outputs, |W| = 0.8.

    Args:
        width: Of the state.
        seed: Of the weights.
    """
    W, U, out = (random_weights(s, seed)[0] for s in ((width, width), (8, width), (width, 4)))
    return LipschitzCertificate(DEQ(0.8 * W / np.linalg.norm(W, 2), U, out), name="maxmin-implicit")


def relu_random(depth: int = 4, width: int = 16, seed: int = 0) -> LipschitzCertificate:
    """The l2 constant of a ReLU network of 4 layers of 16 with normal weights, as LipSDP has it.

    Args:
        depth: Layers, the last with 10 outputs.
        width: Of the hidden layers and the input.
        seed: Of the weights.
    """
    from .activations import Slope

    net = feedforward(random_weights([*[width] * depth, 10], seed), Slope("relu"))
    return LipschitzCertificate(net, name="relu-random")


PROBLEMS: dict[str, Callable[..., LipschitzCertificate]] = {
    "maxmin-digits": maxmin_digits,
    "maxmin-random": maxmin_random,
    "maxmin-linf": maxmin_linf,
    "maxmin-residual": maxmin_residual,
    "maxmin-implicit": maxmin_implicit,
    "relu-random": relu_random,
}
"""Ready-made problems: name -> factory."""
