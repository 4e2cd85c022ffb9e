"""Federated problems of values: quadratics, attacks on classifiers, a metric without a gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ...core.annotations import checked
from ...core.checks import fits, real, whole
from ...core.errors import ArgumentError
from ..federated import FederatedProblem
from ..partitions import split_by_label

if TYPE_CHECKING:
    from jaxtyping import Float

    Vector = Float[np.ndarray, " d"]
    Net = list[tuple[np.ndarray, np.ndarray]]

MOST = 100_000
IMAGES = 20
"""Images that an attack is tried on."""
CLIENTS, SHARE = 5, 0.5
EPOCHS, HELD = 25, 600
REACH, SHIFT = 0.3, 0.2
"""How far an attack changes a pixel, in units of its range, and the metric's weights."""


@checked
def federated_quadratic(
    d: int = 30, clients: int = 5, unlike: float = 5.0, seed: int = 0
) -> FederatedProblem:
    """Five quadratics of 30 unknowns, unlike each other, whose mean is known.

    f_i(x) = (0.1 / d) (c_i . z^2 + e_i . z + 1) with z = 20 x - 10, and by coordinate c_. and e_. =
    1 + C (Dirichlet(1/N, ..., 1/N) - 1/N), so that F* = 0.1 / d - 0.025 at x = 0.475. A client's
    own function need not be convex for C > 1.

    Args:
        d: Unknowns.
        clients: N.
        unlike: C.
        seed: Of the coefficients and the start.
    """
    d, n = whole("d", d, least=1, most=MOST), whole("clients", clients, least=1, most=MOST)
    unlike = real("unlike", unlike, least=0)
    fits("d", d, f"coefficients of {n} clients", 4, n, d)
    rng = np.random.default_rng(seed)
    square, linear = (
        1 + unlike * (rng.dirichlet(np.full(n, 1 / n), d).T - 1 / n) for _ in range(2)
    )

    def function(c: np.ndarray, e: np.ndarray) -> Callable[[np.ndarray], float]:
        def f(x: np.ndarray) -> float:
            z = 20 * np.clip(x, 0, 1) - 10
            return float(0.1 / d * (c @ z**2 + e @ z + 1))

        return f

    return FederatedProblem(
        [function(c, e) for c, e in zip(square, linear, strict=True)],
        rng.random(d),
        name="federated-quadratic",
        best_known=0.1 / d - 0.025,
    )


def federated_quadratic_like(seed: int = 0) -> FederatedProblem:
    """The same with clients that are much alike: C = 0.5.

    Args:
        seed: Of the coefficients and the start.
    """
    problem = federated_quadratic(unlike=0.5, seed=seed)
    problem.name = "federated-quadratic-like"
    return problem


def logits(net: Net, x: np.ndarray) -> np.ndarray:
    """Return what a network of rectified layers answers.

    Args:
        net: (weights, biases) by layer.
        x: (n, d).
    """
    *hidden, (last, bias) = net
    for weights, offset in hidden:
        x = np.maximum(x @ weights + offset, 0.0)
    return x @ last + bias


@cache
def digits(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images of 8 x 8 pixels in [0, 1], their digits, and a random order."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.target))
    return data.data / 16, data.target, order


def trained(x: np.ndarray, y: np.ndarray, hidden: int, epochs: int, seed: int) -> Net:
    """Return a network that was trained on rows, with an output for each of ten digits."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((hidden,), learning_rate_init=3e-3, batch_size=32, random_state=seed)
    for _ in range(epochs):
        model.partial_fit(x, y, classes=np.arange(10))
    return list(zip(model.coefs_, model.intercepts_, strict=True))


@cache
def classifiers(seed: int) -> list[Net]:
    """Return a classifier of each client, trained on its own half of the digits."""
    images, digit, order = digits(seed)
    rows = order[HELD:]
    parts = split_by_label(digit[rows], CLIENTS, SHARE, seed)
    return [
        trained(images[rows[part]], digit[rows[part]], 32, EPOCHS, seed + i)
        for i, part in enumerate(parts)
    ]


@checked
def federated_attack(image: int = 0, seed: int = 0) -> FederatedProblem:
    """Change an image of a digit so that five unlike classifiers miss it on average.

    f_i(x) = logit of the digit - the largest other logit, of client i's network on the image, each
    of whose 64 pixels is changed by up to 0.3 of its range; the attack succeeds where F < 0. A
    client's network saw half of the digits only.

    Args:
        image: Which of the images that the clients get right on average, from 0.
        seed: Of the clients' data and networks.
    """
    number = whole("image", image, least=0, most=IMAGES - 1)
    images, digit, order = digits(seed)
    nets = classifiers(seed)
    held = order[:HELD]

    def margin(net: Net, x: np.ndarray, true: int) -> float:
        found = logits(net, x[None])[0]
        return float(found[true] - np.delete(found, true).max())

    right = [r for r in held if np.mean([margin(n, images[r], digit[r]) for n in nets]) > 0]
    if number >= len(right):
        raise ArgumentError(
            f"image={number}: with seed={seed} the clients get {len(right)} images right"
        )
    row = right[number]
    start, true = images[row], int(digit[row])

    def function(net: Net) -> Callable[[Vector], float]:
        def f(x: Vector) -> float:
            return margin(net, np.clip(start + REACH * (2 * np.clip(x, 0, 1) - 1), 0, 1), true)

        return f

    name = f"federated-attack-{number}" if number else "federated-attack"
    return FederatedProblem([function(net) for net in nets], np.full(64, 0.5), name=name)


@checked
def federated_metric(seed: int = 0) -> FederatedProblem:
    """Raise the macro-precision of a digit classifier on five unlike clients' data.

    The last 64 weights of a small network are changed by up to 0.2 each; f_i is 1 - the mean over
    client i's digits of the precision on its own rows, which has no gradient.

    Args:
        seed: Of the data and the network.
    """
    images, digit, order = digits(seed)
    first, rows = order[:300], order[300:]
    net = trained(images[first], digit[first], 16, 30, seed)
    parts = split_by_label(digit[rows], CLIENTS, SHARE, seed)

    def function(mine: np.ndarray) -> Callable[[Vector], float]:
        x, y = images[mine], digit[mine]
        held = np.unique(y)
        (inner, shift), (outer, bias) = net
        hidden = np.maximum(x @ inner + shift, 0.0)

        def f(u: Vector) -> float:
            flat = np.concatenate([outer.ravel(), bias])
            flat[-64:] += SHIFT * (2 * np.clip(u, 0, 1) - 1)
            said = (hidden @ flat[: outer.size].reshape(outer.shape) + flat[outer.size :]).argmax(1)
            right = np.bincount(y[said == y], minlength=10)[held]
            return float(1 - np.mean(right / np.maximum(np.bincount(said, minlength=10)[held], 1)))

        return f

    return FederatedProblem(
        [function(rows[part]) for part in parts], np.full(64, 0.5), name="federated-metric"
    )
