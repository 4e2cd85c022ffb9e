"""Models of the offline data: features with their head, auxiliary models, a convolutional proxy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, relu

from ...core.errors import ArgumentError
from .features import relaxed, straight_through
from .letters import one_hot
from .losses import Directions, standardised
from .ridge import head

if TYPE_CHECKING:
    from jaxtyping import Float, Int

HEADS = (1, 10, 100, 1000, 10_000)
"""Seeds of the five auxiliary models."""
HEAD_BETA = 1e-2
CNN_STEPS, CNN_BATCH, CNN_LR = 300, 128, 3e-3
CHUNK = 8192
"""Sequences that a model takes at once."""


class Convolutions(nn.Module):
    """A proxy: two convolutions on letters, and a linear head on all places.

    Args:
        letters: A.
        length: L.
        seed: Of its weights.
        width: Channels.
    """

    def __init__(self, letters: int, length: int, seed: int = 0, width: int = 32):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Conv1d(letters, width, 3, padding=1)
            self.second = nn.Conv1d(width, width, 3, padding=1)
            self.out = nn.Linear(width * length, 1)

    def forward(self, x: Float[Tensor, "n L A"]) -> Float[Tensor, " n"]:
        """Return a standardised score of each."""
        h = relu(self.second(relu(self.first(x.transpose(1, 2)))))
        return self.out(h.flatten(1))[:, 0]

    def fit(
        self,
        x: Float[Tensor, "N L A"],
        y: Float[Tensor, " N"],
        seed: int,
        steps: int = CNN_STEPS,
        cost: Callable[[Float[Tensor, "n L A"]], Tensor] | None = None,
    ) -> Convolutions:
        """Train it by Adam, and return it.

        Args:
            x: (N, L, A) letters.
            y: (N,) standardised scores.
            seed: Of the batches.
            steps: Of Adam.
            cost: Of a batch of letters, added to the mean squared error.
        """
        optimizer = torch.optim.Adam(self.parameters(), lr=CNN_LR, weight_decay=1e-4)
        rng = np.random.default_rng(seed)
        for _ in range(steps):
            rows = torch.as_tensor(rng.integers(0, len(x), min(CNN_BATCH, len(x))))
            more = 0.0 if cost is None else cost(x[rows])
            loss = mse_loss(self(x[rows]), y[rows]) + more
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return self.requires_grad_(False)


@dataclass(slots=True)
class Offline:
    """Everything that is fitted to the offline data once.

    Attributes:
        features: From one-hot rows to features.
        codes: (N, L) the sequences, best first.
        y: (N,) their standardised scores.
        mean: Of the scores.
        std: Of the scores.
        centre: (d,) mean of the features.
        scale: Mean norm of the centred features.
        phi: (N, d) features, centred and of mean norm 1.
        both: What the losses need.
    """

    features: nn.Module
    codes: Int[np.ndarray, "N L"]
    y: Float[Tensor, " N"]
    mean: float
    std: float
    centre: Float[Tensor, " d"]
    scale: float
    phi: Float[Tensor, "N d"]
    both: Directions

    @classmethod
    def of(
        cls,
        features: nn.Module,
        codes: Int[np.ndarray, "N L"],
        scores: Float[np.ndarray, " N"],
        letters: int,
        beta: float,
        target: float,
    ) -> Offline:
        """Fit to data, best first.

        Raises:
            ArgumentError: Features with no spread, for which the backward loss is undefined.
        """
        order = np.argsort(-scores, kind="stable")
        codes, ranked = codes[order], torch.as_tensor(scores[order])
        raw = embedded(features, codes, letters)
        centre = raw.mean(dim=0)
        phi = raw - centre
        scale = float(phi.norm(dim=1).mean())
        if not scale > 0 or not np.isfinite(scale):
            raise ArgumentError(
                f"features: the mean norm is {scale:g} once centred; expected features that "
                "tell sequences apart"
            )
        phi = phi / scale
        y = standardised(ranked)
        both = Directions.of(phi, y, beta, target)
        mean, std = float(ranked.mean()), float(torch.std(ranked))
        return cls(features, codes, y, mean, std, centre, scale, phi, both)

    def normalised(self, raw: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Return features as both losses take them."""
        return (raw.double() - self.centre) / self.scale

    def predict(self, codes: Int[np.ndarray, "n L"], letters: int) -> Float[np.ndarray, " n"]:
        """Return predicted scores of sequences."""
        phi = self.normalised(embedded(self.features, codes, letters))
        return (phi @ self.both.W).numpy() * self.std + self.mean


def embedded(
    features: nn.Module, codes: Int[np.ndarray, "n L"], letters: int
) -> Float[Tensor, "n d"]:
    """Return the features of sequences, in float64."""
    found = []
    with torch.no_grad():
        for begin in range(0, max(len(codes), 1), CHUNK):
            x = torch.as_tensor(one_hot(codes[begin : begin + CHUNK], letters)).float()
            found.append(features(x).double())
    return torch.cat(found)


class Auxiliary:
    """The mean of five models, each fitted to a random half of the data.

    Args:
        offline: The data.
        letters: A.
        kind: "cnn" or "heads".
    """

    def __init__(self, offline: Offline, letters: int, kind: str):
        self.offline, self.kind = offline, kind
        self.nets: Sequence[Convolutions] = ()
        self.W = torch.zeros(0)
        n = len(offline.codes)
        halves = [np.random.default_rng(s).permutation(n)[: max(n // 2, 2)] for s in HEADS]
        if kind == "heads":
            rows = [torch.as_tensor(h) for h in halves]
            each = [head(offline.phi[r], offline.y[r], HEAD_BETA) for r in rows]
            self.W = torch.stack(each, dim=1)
            return
        x = torch.as_tensor(one_hot(offline.codes, letters)).float()
        y = offline.y.float()
        length = x.shape[1]
        self.nets = [
            Convolutions(letters, length, seed).fit(x[half], y[half], seed)
            for seed, half in zip(HEADS, map(torch.as_tensor, halves), strict=True)
        ]

    def each(self, x: Float[Tensor, "n L A"], phi: Float[Tensor, "n d"]) -> Float[Tensor, "n 5"]:
        """Return the standardised score of each model.

        Args:
            x: (n, L, A) letters.
            phi: (n, d) normalised features of the same.
        """
        if self.kind == "heads":
            return phi @ self.W
        return torch.stack([net(x) for net in self.nets], dim=1)


def looked_at(
    offline: Offline, logits: Float[Tensor, "n L A"]
) -> tuple[Tensor, Float[Tensor, "n d"]]:
    """Return straight-through letters and normalised features of logits."""
    p = torch.softmax(logits, dim=2)
    return straight_through(p), offline.normalised(relaxed(offline.features, p))
