"""Problems where the gradient of the loss in the outputs costs: breast cancer by squares and
logistic regression, digits, a factorisation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..instances.small import mlp
from .problem import TargetProblem

if TYPE_CHECKING:
    from torch import Tensor


def half_squares(z: Tensor, y: Tensor) -> Tensor:
    """Sum of (z - y)^2 / 2; L = 1."""
    return (z - y).square().sum() / 2


def logistic(z: Tensor, y: Tensor) -> Tensor:
    """Sum of log(1 + exp(-y z)), y in {-1, 1}; L = 1/4."""
    return F.softplus(-y * z).sum()


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """Sum of the softmax cross-entropies; L = 1/2."""
    return F.cross_entropy(z, y, reduction="sum")


def _breast_cancer(
    name: str,
    loss: Callable[[Tensor, Tensor], Tensor],
    smooth: float,
    batch_size: int | None,
    delay: float,
) -> TargetProblem:
    """The data with a linear model and this loss."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    return TargetProblem(
        lambda: nn.Linear(30, 1).double(),
        (x, 2.0 * y[:, None] - 1),
        loss,
        smooth,
        batch_size,
        delay,
        name,
    )


def breast_cancer_squares(batch_size: int | None = None, delay: float = 0.0) -> TargetProblem:
    """Wisconsin breast cancer (569 points, 30 standardised features and a bias), classes as -1 and
    1, squared loss, full gradients.

    Args:
        batch_size: Points of a gradient; None: all.
        delay: Seconds that a gradient takes.
    """
    return _breast_cancer("breast-cancer-squares", half_squares, 1.0, batch_size, delay)


def breast_cancer_squares_25() -> TargetProblem:
    """The same, gradients of 25 points."""
    problem = breast_cancer_squares(25)
    problem.name = "breast-cancer-squares-25"
    return problem


def breast_cancer_logistic(batch_size: int | None = None) -> TargetProblem:
    """The same data, nearly separable, logistic loss, full gradients."""
    return _breast_cancer("breast-cancer-logistic", logistic, 0.25, batch_size, 0.0)


def digits_target(batch_size: int | None = 125) -> TargetProblem:
    """scikit-learn's digits (1,797 points), MLP 64-32-10, softmax cross-entropy, gradients of 125
    points.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return TargetProblem(
        lambda: mlp(64, 32, 10),
        ((x / 16).astype(np.float32), y),
        cross_entropy,
        0.5,
        batch_size,
        name="digits-target",
    )


def factorisation_target(condition: float = 1e-10, batch_size: int | None = None) -> TargetProblem:
    """Two-layer linear network on 1,000 points: outputs A x of 6 inputs and 10 outputs, A with
    singular values from 1 down to `condition`.

    Args:
        condition: Least singular value of A.
        batch_size: Points of a gradient; None: all.
    """
    rng = np.random.default_rng(2302)
    u, v = (
        np.linalg.qr(rng.normal(size=(10, 10)))[0][:, :6],
        np.linalg.qr(rng.normal(size=(6, 6)))[0],
    )
    x = rng.normal(size=(1000, 6))
    y = x @ (u * np.geomspace(1, condition, 6) @ v).T
    return TargetProblem(
        lambda: nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 10, bias=False)).double(),
        (x, torch.from_numpy(y)),
        half_squares,
        1.0,
        batch_size,
        name="factorisation-target",
    )
