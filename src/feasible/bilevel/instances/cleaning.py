"""Hyper-cleaning: weights of training samples with wrong labels, chosen by a validation set.

References:
    L. Franceschi, M. Donini, P. Frasconi, M. Pontil, "Forward and Reverse Gradient-Based
    Hyperparameter Optimization", ICML 2017 (the task); scikit-learn's digits, 1797 images of 8 x 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...core.checks import fraction, real, whole
from ...core.errors import ArgumentError
from ..layout import DTYPE
from ..problem import Bilevel

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CLASSES = 10
TRAIN, VALIDATION = 1000, 300
"""Images of the two sets; the other 497 are the test set."""


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the images, from 0 to 1, and their labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data / 16.0, found.target


@dataclass(frozen=True, eq=False)
class Cleaning:
    """Digits, some of them with wrong labels.

    Attributes:
        train: (n, 64) images.
        labels: (n,) theirs, some of them wrong.
        wrong: (n,) which are.
        validation: (v, 64) images with right labels.
        truth: (v,) these.
        test: (t, 64) images that are seen by nobody.
        answers: (t,) their labels.
        ridge: Of the lower level.
    """

    train: Float[Tensor, "n 64"]
    labels: Int[Tensor, " n"]
    wrong: Tensor
    validation: Float[Tensor, "v 64"]
    truth: Int[Tensor, " v"]
    test: Float[Tensor, "t 64"]
    answers: Int[Tensor, " t"]
    ridge: float

    @classmethod
    def drawn(cls, seed: int = 0, flipped: float = 0.3, ridge: float = 1e-3) -> Cleaning:
        """Draw a split, and wrong labels for a share of the training set.

        Args:
            seed: Of the split and of the labels.
            flipped: The share.
            ridge: Of the lower level.
        """
        fraction("flipped", flipped)
        real("ridge", ridge, least=0)
        rng = np.random.default_rng(whole("seed", seed, least=0))
        images, labels = _digits()
        order = rng.permutation(len(images))
        parts = np.split(order, [TRAIN, TRAIN + VALIDATION])
        given = labels[parts[0]].copy()
        wrong = rng.choice(TRAIN, round(flipped * TRAIN), replace=False)
        given[wrong] = (given[wrong] + rng.integers(1, CLASSES, len(wrong))) % CLASSES
        mask = np.zeros(TRAIN, dtype=bool)
        mask[wrong] = True
        tensors = [torch.from_numpy(images[p]) for p in parts]
        truth = [torch.from_numpy(labels[p]) for p in parts]
        return cls(
            tensors[0],
            torch.from_numpy(given),
            torch.from_numpy(mask),
            tensors[1],
            truth[1],
            tensors[2],
            truth[2],
            ridge,
        )

    @staticmethod
    def logits(y: dict[str, Tensor], images: Tensor) -> Tensor:
        """Return the model's logits: softmax regression."""
        return torch.addmm(y["bias"], images, y["weight"])

    def lower(self, x: Tensor, y: dict[str, Tensor], rows: Tensor) -> Tensor:
        """g: the mean of sigmoid(x_i) CE_i over these samples, each at most once, and the ridge."""
        images, labels = self.train, self.labels
        if len(rows) < len(labels):
            images, labels, x = images[rows], labels[rows], x[rows]
        each = cross_entropy(self.logits(y, images), labels, reduction="none")
        size = sum((w**2).sum() for w in y.values())
        return (torch.sigmoid(x) * each).mean() + self.ridge * size

    def upper(self, x: Tensor, y: dict[str, Tensor], rows: Tensor) -> Tensor:
        """f: cross entropy of validation samples, each at most once."""
        images, truth = self.validation, self.truth
        if len(rows) < len(truth):
            images, truth = images[rows], truth[rows]
        return cross_entropy(self.logits(y, images), truth)

    def accuracy(self, y: dict[str, Tensor]) -> float:
        """Return the share of the test set that a model gets right."""
        with torch.no_grad():
            found = self.logits(y, self.test).argmax(dim=1)
        return float((found == self.answers).double().mean())

    def measures(self, x: Tensor, y: dict[str, Tensor]) -> dict[str, float]:
        """Return the accuracy, and how much more the right samples weigh than the wrong ones."""
        weights = torch.sigmoid(x)
        right, wrong = weights[~self.wrong].mean(), weights[self.wrong].mean()
        return {"accuracy": self.accuracy(y), "weight_ratio": float(right / wrong)}

    def trained(self, weights: Tensor, on_validation: bool = False) -> dict[str, Tensor]:
        """Return the model of fixed weights, solved: a baseline.

        Args:
            weights: (n,) of the training samples; a share of 0 leaves one out.
            on_validation: Train on the validation set instead.
        """
        images, labels = self.train, self.labels
        if on_validation:
            images, labels = self.validation, self.truth
            weights = torch.ones(len(images), dtype=DTYPE)
        y = {
            "weight": torch.zeros(64, CLASSES, dtype=DTYPE, requires_grad=True),
            "bias": torch.zeros(CLASSES, dtype=DTYPE, requires_grad=True),
        }
        solver = torch.optim.LBFGS(
            list(y.values()), max_iter=2000, tolerance_grad=1e-9, tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def loss() -> Tensor:
            solver.zero_grad()
            each = cross_entropy(self.logits(y, images), labels, reduction="none")
            value = (weights * each).mean() + self.ridge * sum((w**2).sum() for w in y.values())
            value.backward()
            return value

        solver.step(loss)
        return {k: w.detach() for k, w in y.items()}


def accuracies(seeds: Sequence[int]) -> dict[str, Float[np.ndarray, "seeds 1"]]:
    """Return what weights are compared with: test accuracies of models whose weights are fixed.

    Args:
        seeds: Of the splits.

    Returns:
        "uniform": all samples weigh alike; "oracle": the wrong ones are left out; "validation":
        trained on the validation set alone.
    """
    half = torch.full((TRAIN,), 0.5, dtype=DTYPE)
    found: dict[str, list[list[float]]] = {"uniform": [], "oracle": [], "validation": []}
    for data in map(Cleaning.drawn, seeds):
        found["uniform"].append([data.accuracy(data.trained(half))])
        found["oracle"].append([data.accuracy(data.trained((~data.wrong).to(DTYPE)))])
        found["validation"].append([data.accuracy(data.trained(half, on_validation=True))])
    return {k: np.array(v) for k, v in found.items()}


def recovered(right: Mapping[str, Float[np.ndarray, "seeds 1"]], name: str) -> float:
    """Return which part of the way from uniform weights to the oracle's a median accuracy is."""
    of, none, most = (float(np.median(right[k])) for k in (name, "uniform", "oracle"))
    return (of - none) / (most - none)


def hyper_cleaning(seed: int = 0, flipped: float = 0.3, ridge: float = 1e-3) -> Bilevel:
    """Weights of 1000 digits, 30 % of them with wrong labels, chosen by 300 right ones.

        f(x, y) = mean CE on the validation set,   g(x, y) = mean sigmoid(x_i) CE_i + ridge |y|^2

    y is a softmax regression of 650 parameters. Metrics are the accuracy on 497 other digits and
    the ratio of the mean weights of right and wrong samples.

    Args:
        seed: Of the split and of the wrong labels.
        flipped: Share of wrong labels.
        ridge: Of the lower level, > 0.
    """
    if ridge <= 0:
        raise ArgumentError(f"ridge={ridge:g}: expected a number > 0, or the response is no point")
    data = Cleaning.drawn(seed, flipped, ridge)
    problem = Bilevel(
        data.upper,
        data.lower,
        np.zeros(TRAIN),
        {"weight": np.zeros((64, CLASSES)), "bias": np.zeros(CLASSES)},
        upper_rows=VALIDATION,
        lower_rows=TRAIN,
        measures=data.measures,
        convex=True,
        name="hyper-cleaning",
    )
    problem.trail_growth = 1.6  # a judgement takes as long as several steps
    return problem
