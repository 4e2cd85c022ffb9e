"""Regressions whose directions differ in scale by a hundred and are mixed by a rotation: what no
rescaling of single weights can mend.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..problem import TrainingProblem


def _rotated(
    seed: int, d: int = 40, n: int = 2000
) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Rows (z s) Q with s = logspace(0, -2), Q a random rotation, and targets x'w* with w* =
    Q'(N(0, I)/sqrt(s)).
    """
    rng = np.random.default_rng(seed)
    s = np.logspace(0, -2, d)
    q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    x = (rng.standard_normal((n, d)) * s) @ q
    return x.astype(np.float32), x @ (q.T @ (rng.standard_normal(d) / np.sqrt(s))), rng


def half_squares(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Half the mean squared error."""
    return 0.5 * F.mse_loss(outputs, targets)


def logistic(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean logistic loss of labels 0 and 1."""
    return F.binary_cross_entropy_with_logits(outputs, targets)


def rotated_regression(seed: int = 0, steps: int = 600) -> TrainingProblem:
    """Least squares without noise in 40 directions, 2,000 rows; judged on all of them, as it is the
    optimisation that counts. The optimum is 0.

    Args:
        seed: Of the rows and the rotation.
        steps: Steps that schedules plan for.
    """
    x, t, _ = _rotated(seed)
    data = x, t[:, None].astype(np.float32)
    return TrainingProblem(
        lambda: nn.Linear(40, 1, bias=False),
        data,
        data,
        half_squares,
        32,
        steps,
        _name("rotated-regression", seed),
        best_known=0.0,
    )


def rotated_logistic(seed: int = 0, steps: int = 600) -> TrainingProblem:
    """Logistic regression on the same rows, labels drawn with their probabilities; the best known
    loss is the full-batch optimum.

    Args:
        seed: Of the rows, the rotation and the labels.
        steps: Steps that schedules plan for.
    """
    x, t, rng = _rotated(seed)
    y = (rng.random(len(t)) < 1 / (1 + np.exp(-t))).astype(np.float32)
    data = x, y[:, None]
    return TrainingProblem(
        lambda: nn.Linear(40, 1, bias=False),
        data,
        data,
        logistic,
        32,
        steps,
        _name("rotated-logistic", seed),
        best_known=_optimum(x.astype(float), y),
    )


def _name(kind: str, seed: int) -> str:
    """The name of an instance."""
    return f"{kind}-{seed}" if seed else kind


def _optimum(x: np.ndarray, y: np.ndarray) -> float:
    """Least mean logistic loss over w, by Newton's method."""
    w = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ w))
        step = np.linalg.solve(
            (x * (p * (1 - p))[:, None]).T @ x / len(x) + 1e-12 * np.eye(len(w)),
            x.T @ (p - y) / len(x),
        )
        w -= step
        if np.abs(step).max() < 1e-10:
            break
    z = x @ w
    return float(np.mean(np.logaddexp(0, z) - y * z))
