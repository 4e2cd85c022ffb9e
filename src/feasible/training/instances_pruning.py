"""Training problems with a limit on size, on scikit-learn's digits: two thirds to train on, true labels."""

from __future__ import annotations

from .instances import _bundled, mlp, residual_cnn, split
from .problem import TrainingProblem

SHARE = 2 / 3


def digits_sparse(sparsity: float | None = 0.9, steps: int = 1200) -> TrainingProblem:
    """MLP 64-64-64-10 of which at least `sparsity` of the weights are zero (None: no limit)."""
    train, valid = split(*_bundled("digits"), share=SHARE)
    return TrainingProblem(lambda: mlp(64, 64, 64, 10), train, valid, batch_size=64, steps=steps, name="digits-sparse",
                           limits=None if sparsity is None else {"sparsity": f">= {sparsity:g}"})


def digits_small(parameters: int | None = 8000, steps: int = 570) -> TrainingProblem:
    """MLP 64-128-128-10 (26,122 parameters) of which at most `parameters` may stay (None: no limit)."""
    train, valid = split(*_bundled("digits"), share=SHARE)
    return TrainingProblem(lambda: mlp(64, 128, 128, 10), train, valid, batch_size=64, steps=steps, name="digits-small",
                           limits=None if parameters is None else {"parameters": f"<= {parameters}"})


def digits_small_cnn(macs: int | None = 200_000, steps: int = 570) -> TrainingProblem:
    """Residual network of 16 channels and two blocks (about 600,000 multiply-adds an image) with at most `macs` of them (None: no limit)."""
    (x, y), (z, w) = split(*_bundled("digits"), share=SHARE)
    return TrainingProblem(residual_cnn, (x.reshape(-1, 1, 8, 8), y), (z.reshape(-1, 1, 8, 8), w), batch_size=64, steps=steps,
                           name="digits-small-cnn", limits=None if macs is None else {"macs": f"<= {macs}"})
