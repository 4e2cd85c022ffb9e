"""Weights of the samples of a support vector machine, chosen by a validation set.

References:
    W. Yao, C. Yu, S. Zeng, J. Zhang, ICLR 2024 (the lower level and the validation loss);
    scikit-learn's breast cancer data (W. N. Street, W. H. Wolberg, O. L. Mangasarian, 1993).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from ...core.checks import one_of, real, whole
from ..problem import Bilevel
from .projections import svm_projection

if TYPE_CHECKING:
    from jaxtyping import Float

SHAPES = {"breast-cancer": (300, 130), "generated": (300, 150)}
"""Samples to train on and to choose the weights by; the others are the test set."""
FORMS = ("constrained", "eliminated")


def svm_data(
    data: str = "breast-cancer", seed: int = 0
) -> list[tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]]:
    """Return training, validation and test samples, standardised, with classes -1 and 1."""
    from sklearn.datasets import load_breast_cancer, make_classification

    one_of("data", data, tuple(SHAPES))
    seed = whole("seed", seed, least=0)
    if data == "breast-cancer":
        Z, t = load_breast_cancer(return_X_y=True)
    else:
        Z, t = make_classification(600, 20, flip_y=0.2, random_state=seed)
    order = np.random.default_rng(seed).permutation(len(Z))
    train, chosen = SHAPES[data]
    parts = np.split(order, [train, train + chosen])
    mean, spread = Z[parts[0]].mean(axis=0), Z[parts[0]].std(axis=0)
    Z, t = (Z - mean) / spread, 2.0 * t - 1.0
    return [(torch.from_numpy(Z[p].copy()), torch.from_numpy(t[p].copy())) for p in parts]


def svm_weights(
    data: str = "breast-cancer", seed: int = 0, form: str = "constrained", ridge: float = 0.0
) -> Bilevel:
    """Logarithms C_i of the weights of 300 samples of a support vector machine.

        f = |w|^2 / 2 + sum e^(C_i) xi_i^2 / 2,   xi_i >= 1 - t_i (w . z_i + b)
        F = sum over the validation set of leaky_relu(2 sigmoid(-5 t (w . z + b) / |w|) - 1)

    "eliminated" puts xi_i = max(0, 1 - t_i (w . z_i + b)) into f: no constraint is left. Metrics
    are the accuracy on the test set and on the validation set.

    Args:
        data: "breast-cancer" (30 features) or "generated" (20, a fifth of the classes flipped).
        seed: Of the split, and of the data where they are generated.
        form: "constrained" or "eliminated".
        ridge: Of (C - C0)^2 in F, against fitting the validation set by 300 weights.
    """
    one_of("form", form, FORMS)
    ridge = real("ridge", ridge, least=0)
    (Z, t), (V, s), (T, r) = svm_data(data, seed)
    n, d = Z.shape
    start = np.full(n, -5.5)
    C0 = torch.from_numpy(start.copy())

    def upper(x: Tensor, y: dict[str, Tensor]) -> Tensor:
        margin = s * (V @ y["w"] + y["b"]) / (y["w"] @ y["w"] + 1e-24).sqrt()
        loss = leaky_relu(2 * torch.sigmoid(-5 * margin) - 1).sum()
        return loss + ridge * ((x - C0) ** 2).sum() if ridge else loss

    def short(y: dict[str, Tensor]) -> Tensor:
        return 1 - t * (Z @ y["w"] + y["b"])

    def lower(x: Tensor, y: dict[str, Tensor]) -> Tensor:
        xi = y["xi"] if form == "constrained" else short(y).clamp(min=0)
        return 0.5 * (y["w"] @ y["w"]) + 0.5 * (torch.exp(x) * xi**2).sum()

    def measures(x: Tensor, y: dict[str, Tensor]) -> dict[str, float]:
        def right(A: Tensor, of: Tensor) -> float:
            return float((of * (A @ y["w"] + y["b"]) > 0).double().mean())

        with torch.no_grad():
            return {"accuracy": right(T, r), "validation_accuracy": right(V, s)}

    y0 = {"w": np.full(d, 0.1), "b": np.zeros(1)}
    more: dict[str, object] = {}
    if form == "constrained":
        y0["xi"] = np.ones(n)
        on_svm = svm_projection(Z, t)
        more = {
            "lower_constraints": {"margin": lambda x, y: short(y) - y["xi"]},
            "project": lambda v: torch.cat([v[:n].clamp(-12.0, 6.0), on_svm(v[n:])]),
        }
    return Bilevel(
        upper,
        lower,
        start,
        y0,
        x_set=[(-12.0, 6.0)] * n,
        measures=measures,
        convex=True,
        name="svm-weights"
        + ("" if data == "breast-cancer" else f"-{data}")
        + ("-eliminated" if form == "eliminated" else ""),
        **more,  # type: ignore[arg-type]
    )
