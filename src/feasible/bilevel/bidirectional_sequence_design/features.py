"""What a model sees of a sequence: a small masked language model, or k-mers.

Both take a relaxed one-hot input, so that a design may move continuously, and are differentiable
in it.

References:
    Chen, Zhang, Liu, Coates, "Bidirectional Learning for Offline Model-based Biological Sequence
    Design", ICML 2023, arXiv 2301.02931. It uses DNABERT and ProtT5; `SequenceLM` is trained here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...core.checks import real, whole
from ...core.errors import ArgumentError, ShapeError
from .letters import alphabet_of, encode

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_KMERS = 500
MASKED = 0.15
"""Share of letters that the language model has to guess."""


def straight_through(p: Float[Tensor, "... A"]) -> Float[Tensor, "... A"]:
    """Return the one-hot argmax, whose derivative is that of p."""
    hard = torch.zeros_like(p).scatter_(-1, p.argmax(dim=-1, keepdim=True), 1.0)
    return hard - p.detach() + p


class SequenceLM(nn.Module):
    """A masked language model of residual convolutions.

    Args:
        alphabet: Letters of its sequences.
        width: Channels, which is also the number of features.
        layers: Convolutions.
        kernel: Letters that a convolution sees, odd.
        seed: Of its weights.

    Example:
        >>> lm = SequenceLM("ACGT", width=8, layers=1).pretrain(["ACGTACGT"] * 20, steps=5)
        >>> lm.embed(["ACGTACGA"]).shape
        torch.Size([1, 8])
    """

    def __init__(
        self,
        alphabet: str = "ACGT",
        width: int = 64,
        layers: int = 3,
        kernel: int = 5,
        seed: int = 0,
    ):
        super().__init__()
        self.alphabet = alphabet_of(alphabet)
        whole("width", width, least=1, most=4096)
        whole("layers", layers, least=1, most=64)
        if whole("kernel", kernel, least=1, most=255) % 2 == 0:
            raise ArgumentError(f"kernel={kernel}: expected an odd number")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(whole("seed", seed, least=0, most=2**63 - 1))
            self.embedding = nn.Linear(len(alphabet) + 1, width, bias=False)  # the last is the mask
            self.layers = nn.ModuleList(
                nn.Conv1d(width, width, kernel, padding=kernel // 2) for _ in range(layers)
            )
            self.head = nn.Linear(width, len(alphabet))
        self.losses: list[float] = []

    def hidden(self, x: Float[Tensor, "n L A"]) -> Float[Tensor, "n L d"]:
        """Return the last layer at each place; x may have a last channel for the mask."""
        h = (x @ self.embedding.weight.T[: x.shape[-1]]).transpose(1, 2)
        for layer in self.layers:
            h = h + nn.functional.gelu(layer(h))
        return h.transpose(1, 2)

    def forward(self, x: Float[Tensor, "n L A"]) -> Float[Tensor, "n d"]:
        """Return the mean over places of the last layer."""
        return self.hidden(x).mean(dim=1)

    def embed(self, sequences: Any) -> Float[Tensor, "n d"]:
        """Return the features of texts."""
        codes = torch.as_tensor(encode(sequences, self.alphabet))
        x = nn.functional.one_hot(codes, len(self.alphabet)).to(self.head.weight.dtype)
        with torch.no_grad():
            return self(x)

    def pretrain(
        self, corpus: Any, steps: int = 1500, batch: int = 64, lr: float = 2e-3, seed: int = 0
    ) -> SequenceLM:
        """Train it to guess masked letters of a corpus, and return it.

        Args:
            corpus: Texts of equal length.
            steps: Of Adam.
            batch: Texts a step.
            lr: Adam's.
            seed: Of batches and masks.
        """
        whole("steps", steps, least=0, most=10**7)
        whole("batch", batch, least=1, most=10**6)
        real("lr", lr, above=0, most=1e6)
        codes = torch.as_tensor(encode(corpus, self.alphabet, "corpus"))
        letters = len(self.alphabet)
        rng = np.random.default_rng(whole("seed", seed, least=0))
        optimizer = torch.optim.Adam(self.parameters(), lr=lr)
        for _ in range(steps):
            rows = codes[torch.as_tensor(rng.integers(0, len(codes), batch))]
            hidden = torch.as_tensor(rng.random(rows.shape) < MASKED)
            if not hidden.any():
                continue
            x = nn.functional.one_hot(rows.masked_fill(hidden, letters), letters + 1).float()
            loss = cross_entropy(self.head(self.hidden(x))[hidden], rows[hidden])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            self.losses.append(float(loss.detach()))
        return self


class KmerFeatures(nn.Module):
    """Shares of all k-mers, and each place's letter: no training, and linear in what is counted.

    Args:
        letters: A, letters of the alphabet.
        length: L, letters of a sequence.
        k: Letters of a k-mer.
    """

    def __init__(self, letters: int, length: int, k: int = 3):
        super().__init__()
        self.letters = whole("letters", letters, least=2, most=10**4)
        self.length = whole("length", length, least=1, most=10**6)
        self.k = whole("k", k, least=1, most=length)
        if letters**k > 100_000:
            raise ArgumentError(f"k={k}: {letters}^{k} k-mers, expected at most 100000")

    @classmethod
    def usual(cls, letters: int, length: int) -> KmerFeatures:
        """Return k-mers of at most three letters, of which there are at most 500."""
        few = [k for k in (1, 2, 3) if k <= length and (k == 1 or letters**k <= MOST_KMERS)]
        return cls(letters, length, few[-1])

    def tokens(self, p: Float[Tensor, "n L A"]) -> Float[Tensor, "n T K"]:
        """Return the probability of each k-mer at each place: products of rows."""
        last = p.shape[1] - self.k + 1
        found = p[:, :last]
        for i in range(1, self.k):
            rows = p[:, i : last + i]
            found = (found[..., :, None] * rows[..., None, :]).flatten(2)
        return found

    def relaxed(self, p: Float[Tensor, "n L A"]) -> Float[Tensor, "n d"]:
        """Return features of p with straight-through k-mers."""
        return self.joined(straight_through(self.tokens(p)), straight_through(p))

    def joined(self, tokens: Tensor, letters: Tensor) -> Float[Tensor, "n d"]:
        """Return means of k-mers, and letters by place."""
        return torch.cat([tokens.mean(dim=1), letters.flatten(1) / self.length**0.5], dim=1)

    def forward(self, x: Float[Tensor, "n L A"]) -> Float[Tensor, "n d"]:
        """Return the features of (relaxed) one-hot rows."""
        if x.shape[1:] != (self.length, self.letters):
            raise ShapeError(
                f"x has shape {tuple(x.shape)}: expected (n, {self.length}, {self.letters})"
            )
        return self.joined(self.tokens(x), x)


def relaxed(features: nn.Module, p: Float[Tensor, "n L A"]) -> Float[Tensor, "n d"]:
    """Return the features of probabilities, by a straight-through argmax of what is discrete."""
    own = getattr(features, "relaxed", None)
    return own(p) if own is not None else features(straight_through(p))
