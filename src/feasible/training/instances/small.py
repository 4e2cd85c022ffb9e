"""Ready-made training problems that need no download: scikit-learn's bundled sets, generated
sets, and text that ships with Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..problem import TrainingProblem, error

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SPLIT = 12345
"""Seed of the splits and of the label noise: the data of a problem are always the same."""


def mlp(*widths: int, act: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of these widths with an activation between."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [nn.Linear(a, b)] + ([act()] if i < len(widths) - 2 else [])
    return nn.Sequential(*layers)


def standardised(
    x: Float[np.ndarray, "N D"], training: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "N D"]:
    """Columns of mean 0 and deviation 1 on the training rows; a constant column is only centred
    (digits has such).

    Args:
        x: (N, D) inputs.
        training: (n,) rows that are trained on.
    """
    mean, scale = x[training].mean(0), x[training].std(0)
    return (x - mean) / np.where(scale < 1e-6, 1.0, scale)


def split(
    x: np.ndarray, y: np.ndarray, share: float = 0.7, noise: float = 0.0, seed: int = SPLIT
) -> tuple[Any, Any]:
    """((inputs, targets) to train, held out).

    Args:
        x: (N, D) inputs.
        y: (N,) classes or targets.
        share: Share of the rows to train on.
        noise: Share of training labels drawn again uniformly.
        seed: Of the split and of the labels.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    first, rest = order[: round(share * len(x))], order[round(share * len(x)) :]
    y = y.copy()
    if noise:
        wrong = first[rng.random(len(first)) < noise]
        y[wrong] = rng.integers(y.max() + 1, size=len(wrong))
    x = standardised(x.astype(float), first).astype(np.float32)
    return (x[first], y[first]), (x[rest], y[rest])


@cache
def _bundled(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a data set that scikit-learn ships."""
    from sklearn import datasets

    found: tuple[np.ndarray, np.ndarray] = getattr(datasets, f"load_{name}")(return_X_y=True)
    return found


def digits_mlp(noise: float = 0.15, steps: int = 500, batch_size: int = 32) -> TrainingProblem:
    """scikit-learn's digits (1,797 of 8 x 8 pixels), 70 % to train with `noise` of the labels drawn
    again; MLP 64-64-10.

    Args:
        noise: Share of training labels drawn again.
        steps: Steps that schedules plan for.
        batch_size: Examples of a gradient.
    """
    train, valid = split(*_bundled("digits"), noise=noise)
    return TrainingProblem(
        lambda: mlp(64, 64, 10), train, valid, batch_size=batch_size, steps=steps, name="digits-mlp"
    )


def digits_logistic(steps: int = 500) -> TrainingProblem:
    """Softmax regression on digits."""
    train, valid = split(*_bundled("digits"))
    return TrainingProblem(
        lambda: nn.Linear(64, 10), train, valid, batch_size=32, steps=steps, name="digits-logistic"
    )


def digits_autoencoder(steps: int = 500) -> TrainingProblem:
    """Digits through a bottleneck: MLP 64-16-64 with tanh, mean squared error."""
    (x, _), (z, _) = split(*_bundled("digits"))
    return TrainingProblem(
        lambda: mlp(64, 16, 64, act=nn.Tanh),
        (x, x),
        (z, z),
        F.mse_loss,
        32,
        steps,
        "digits-autoencoder",
    )


def breast_cancer_mlp(noise: float = 0.10, steps: int = 500) -> TrainingProblem:
    """Wisconsin breast cancer (569 rows, 30 features), 10 % of the training labels drawn again; MLP
    30-16-2.

    Args:
        noise: Share of training labels drawn again.
        steps: Steps that schedules plan for.
    """
    train, valid = split(*_bundled("breast_cancer"), noise=noise)
    return TrainingProblem(
        lambda: mlp(30, 16, 2), train, valid, batch_size=32, steps=steps, name="breast-cancer-mlp"
    )


def diabetes_mlp(steps: int = 500) -> TrainingProblem:
    """Diabetes progression (442 rows, 10 features, target standardised); MLP 10-32-1, mean squared
    error.
    """
    x, y = _bundled("diabetes")
    train, valid = split(x, ((y - y.mean()) / y.std())[:, None].astype(np.float32))
    return TrainingProblem(
        lambda: mlp(10, 32, 1), train, valid, F.mse_loss, 32, steps, "diabetes-mlp"
    )


def moons_mlp(steps: int = 500) -> TrainingProblem:
    """Two moons (2,000 points, noise 0.25); MLP 2-32-32-2."""
    from sklearn.datasets import make_moons

    train, valid = split(*make_moons(2000, noise=0.25, random_state=SPLIT))
    return TrainingProblem(
        lambda: mlp(2, 32, 32, 2), train, valid, batch_size=32, steps=steps, name="moons-mlp"
    )


def classification_mlp(steps: int = 500) -> TrainingProblem:
    """`make_classification` with 3,000 rows, 30 features, 4 classes, 20 % of the labels flipped;
    MLP 30-64-4.
    """
    from sklearn.datasets import make_classification

    x, y = make_classification(
        3000, 30, n_informative=10, n_classes=4, flip_y=0.2, random_state=SPLIT
    )
    train, valid = split(x, y)
    return TrainingProblem(
        lambda: mlp(30, 64, 4), train, valid, batch_size=32, steps=steps, name="classification-mlp"
    )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with BatchNorm and a skip."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) -> the same."""
        return F.relu(x + self.body(x))


def residual_cnn(channels: int = 16, blocks: int = 2) -> nn.Sequential:
    """A small residual network for (B, 1, 8, 8) images of 10 classes."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        *(ResidualBlock(channels) for _ in range(blocks)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 10),
    )


def digits_cnn(steps: int = 300) -> TrainingProblem:
    """Digits as images; residual network of 16 channels and two blocks."""
    (x, y), (z, w) = split(*_bundled("digits"))
    return TrainingProblem(
        residual_cnn,
        (x.reshape(-1, 1, 8, 8), y),
        (z.reshape(-1, 1, 8, 8), w),
        batch_size=32,
        steps=steps,
        name="digits-cnn",
    )


class CharacterModel(nn.Module):
    """Next-character model: embedding, two causal Transformer layers, a linear read-out."""

    def __init__(
        self, vocabulary: int, width: int = 64, heads: int = 4, layers: int = 2, context: int = 64
    ):
        super().__init__()
        self.characters, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, layers, nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.out = nn.Linear(width, vocabulary)
        self.register_buffer(
            "mask", nn.Transformer.generate_square_subsequent_mask(context), persistent=False
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T) character numbers -> (B, vocabulary, T) logits, as `cross_entropy` has them."""
        n = x.shape[1]
        hidden = self.characters(x) + self.places(torch.arange(n, device=x.device))
        return self.out(self.layers(hidden, mask=self.mask[:n, :n], is_causal=True)).transpose(1, 2)


@cache
def documentation() -> str:
    """The text of Python's own help topics, as the interpreter ships them (it differs a little
    between versions).
    """
    from pydoc_data.topics import topics

    return "".join(topics[name] for name in sorted(topics))


def text_lm(context: int = 64, characters: int = 60_000, steps: int = 300) -> TrainingProblem:
    """Next character of Python's help topics: windows of 64 characters, the last tenth of the text
    held out.

    Args:
        context: Characters of a window.
        characters: Of the text.
        steps: Steps that schedules plan for.
    """
    text = documentation()[:characters]
    alphabet = {c: i for i, c in enumerate(sorted(set(text)))}
    codes = np.array([alphabet[c] for c in text])
    windows = codes[: (len(codes) - 1) // context * context].reshape(-1, context)
    following = codes[1 : (len(codes) - 1) // context * context + 1].reshape(-1, context)
    cut = math.floor(0.9 * len(windows))
    return TrainingProblem(
        lambda: CharacterModel(len(alphabet), context=context),
        (windows[:cut], following[:cut]),
        (windows[cut:], following[cut:]),
        batch_size=16,
        steps=steps,
        name="text-lm",
        metrics={"error": error},
    )


PROBLEMS: dict[str, Callable[..., TrainingProblem]] = {
    "digits-mlp": digits_mlp,
    "digits-logistic": digits_logistic,
    "digits-autoencoder": digits_autoencoder,
    "breast-cancer-mlp": breast_cancer_mlp,
    "diabetes-mlp": diabetes_mlp,
    "moons-mlp": moons_mlp,
    "classification-mlp": classification_mlp,
    "digits-cnn": digits_cnn,
    "text-lm": text_lm,
}
