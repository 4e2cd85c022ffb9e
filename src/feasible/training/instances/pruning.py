"""Training problems with a limit on size, on scikit-learn's digits: two thirds to train on, true
labels, pixels in [0, 1].
"""

from __future__ import annotations

import numpy as np

from ..problem import TrainingProblem
from .small import SPLIT, _bundled, mlp, residual_cnn


def pixels(*shape: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """((inputs, targets) to train, held out), inputs (N, *shape)."""
    x, y = _bundled("digits")
    order = np.random.default_rng(SPLIT).permutation(len(x))
    first, rest = np.split(order, [round(2 / 3 * len(x))])
    x = (x / 16).astype(np.float32).reshape(-1, *shape)
    return (x[first], y[first]), (x[rest], y[rest])


def digits_sparse(sparsity: float | None = 0.9, steps: int = 1080) -> TrainingProblem:
    """MLP 64-64-64-10 of which at least `sparsity` of the weights are zero (None: no limit)."""
    train, valid = pixels(64)
    return TrainingProblem(
        lambda: mlp(64, 64, 64, 10),
        train,
        valid,
        batch_size=64,
        steps=steps,
        name="digits-sparse",
        limits=None if sparsity is None else {"sparsity": f">= {sparsity:g}"},
    )


def digits_small(parameters: int | None = 8000, steps: int = 540) -> TrainingProblem:
    """MLP 64-128-128-10 (26,122 parameters) of which at most `parameters` may stay (None: no
    limit).

    Args:
        parameters: Most that may stay; None: no limit.
        steps: Steps that schedules plan for.
    """
    train, valid = pixels(64)
    return TrainingProblem(
        lambda: mlp(64, 128, 128, 10),
        train,
        valid,
        batch_size=64,
        steps=steps,
        name="digits-small",
        limits=None if parameters is None else {"parameters": f"<= {parameters}"},
    )


def digits_small_cnn(macs: int | None = 200_000, steps: int = 540) -> TrainingProblem:
    """Residual network of 16 channels and two blocks (600,000 multiply-adds an image) with at most
    `macs` of them (None: no limit).

    Args:
        macs: Most multiply-adds of an image; None: no limit.
        steps: Steps that schedules plan for.
    """
    train, valid = pixels(1, 8, 8)
    return TrainingProblem(
        residual_cnn,
        train,
        valid,
        batch_size=64,
        steps=steps,
        name="digits-small-cnn",
        limits=None if macs is None else {"macs": f"<= {macs}"},
    )
