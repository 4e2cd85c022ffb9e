"""Two maps from attributes to unit vectors: what they say, and what they come with.

`TextEmbedding` is the plain one: words weighed by idf, projected on the largest singular vectors.
`CorrelationEncoder` learns by triplets which attributes come from one text:

    max(0, |f(a) - f(p)|^2 - |f(a) - f(n)|^2 + margin),   |f| = 1

a and p from one text, n from another. One `encode` serves training, index and query.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from ...core.annotations import Checked
from ...core.checks import real, seed as seeds, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError
from .attributes import Attribute
from .pool import AttributePool

if TYPE_CHECKING:
    from torch import Tensor, nn

TERM = re.compile(r"[a-z0-9']+")


def terms(attribute: Attribute) -> list[str]:
    """The words of an attribute as it is written down, and its kind."""
    return [f"<{attribute.kind}>", *TERM.findall(attribute.render().lower())]


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows over their lengths; a row of zeros stays."""
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    found: np.ndarray = rows / np.where(size > 0, size, 1.0)
    return found


class TextEmbedding:
    """What attributes say: tf-idf and a truncated singular value decomposition.

    Args:
        dim: Of the vectors, at most.
        seed: Of the decomposition's first vector.
    """

    def __init__(self, dim: int = 64, seed: int = 0):
        self.dim = whole("dim", dim, least=1)
        self.seed = seeds("seed", seed)
        self.place: dict[str, int] = {}

    def fit(self, pool: AttributePool) -> TextEmbedding:
        """Learn words, weights and directions of a pool.

        Args:
            pool: The pool.
        """
        documents = [terms(a) for a in _pool(pool).attributes]
        self.place = {t: i for i, t in enumerate(dict.fromkeys(t for d in documents for t in d))}
        many = Counter(t for d in documents for t in set(d))
        self.idf = np.array(
            [math.log((1 + len(documents)) / (1 + many[t])) + 1 for t in self.place]
        )
        table = self._table(pool.attributes)
        rank = min(self.dim, min(table.shape) - 1)
        if rank < 1:
            self.axes = np.eye(len(self.place))
            return self
        start = np.random.default_rng(self.seed).standard_normal(min(table.shape))
        _, _, axes = svds(table, k=rank, v0=start)
        self.axes = axes.T
        return self

    def encode(self, attributes: Sequence[Attribute]) -> np.ndarray:
        """(n, dim) unit vectors.

        Args:
            attributes: (n,) attributes.

        Raises:
            ArgumentError: It was not fitted.
        """
        if not self.place:
            raise ArgumentError("attributes: the embedding was not fitted to a pool")
        return unit(np.asarray(self._table(attributes) @ self.axes))

    def _table(self, attributes: Sequence[Attribute]) -> sparse.csr_matrix:
        """(n, terms) tf-idf; terms that are not known count nothing."""
        rows, columns = [], []
        for i, a in enumerate(attributes):
            for t in terms(a):
                if t in self.place:
                    rows.append(i)
                    columns.append(self.place[t])
        shape = (len(attributes), len(self.place))
        return sparse.csr_matrix((self.idf[columns], (rows, columns)), shape)


@dataclass(frozen=True)
class EncoderSettings(Checked):
    """Of the correlation encoder.

    Attributes:
        dim: Of the vectors.
        margin: Of the triplet loss; squared distances of unit vectors are at most 4.
        hashed: Words are hashed to so many places.
        hidden: Width of the layer between.
        triplets: How many are drawn, in equal shares of the patterns of soft and hard; one in
            five is held out.
        epochs: Passes; the weights of the best held-out accuracy stay.
        batch: Triplets of a step.
        rate: AdamW's, on a cosine schedule.
        seed: Of triplets and weights.
    """

    dim: int = 64
    margin: float = 1.0
    hashed: int = 2048
    hidden: int = 128
    triplets: int = 50_000
    epochs: int = 6
    batch: int = 128
    rate: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("dim", "hashed", "hidden", "epochs", "batch"):
            whole(name, getattr(self, name), least=1, most=10**6)
        whole("triplets", self.triplets, least=10, most=10**8)
        real("margin", self.margin, above=0, most=4)
        real("rate", self.rate, above=0, most=1)


def triplet_loss(a: Tensor, p: Tensor, n: Tensor, margin: float = 1.0) -> Tensor:
    """(b,) losses max(0, |a - p|^2 - |a - n|^2 + margin).

    Args:
        a: (b, dim) anchors.
        p: (b, dim) from the same texts.
        n: (b, dim) from other texts.
        margin: The margin.
    """
    near, far = (a - p).square().sum(-1), (a - n).square().sum(-1)
    return (near - far + margin).clamp_min(0.0)


def draw_triplets(pool: AttributePool, n: int, rng: np.random.Generator) -> np.ndarray:
    """(m, 3) places of anchors, positives from the same document, negatives that it has not.

    The eight patterns of soft and hard have equal shares, but for those that the pool cannot fill.

    Args:
        pool: The pool.
        n: How many; m is n, rounded down to full shares.
        rng: The stream.

    Raises:
        ArgumentError: No document has two attributes, or no other attribute is there.
    """
    soft = pool.soft
    documents = [np.array(d) for d in pool.by_document]
    kinds = [(d[soft[d]], d[~soft[d]]) if len(d) else (d, d) for d in documents]
    found = []
    patterns = list(product((0, 1), repeat=3))
    everywhere = (np.flatnonzero(soft), np.flatnonzero(~soft))
    inside = [set(d.tolist()) for d in documents]
    for a, p, other in patterns:
        need = 2 if a == p else 1
        able = [i for i, k in enumerate(kinds) if len(k[a]) >= need and len(k[p]) >= 1]
        if not able or not len(everywhere[other]):
            continue
        share = n // len(patterns)
        chosen, u = rng.integers(len(able), size=share), rng.random((share, 22))
        for at, row in zip(chosen, u, strict=True):
            i = able[at]
            anchors, positives = kinds[i][a], kinds[i][p]
            one = anchors[int(row[0] * len(anchors))]
            rest = positives[positives != one]
            others = everywhere[other][(row[2:] * len(everywhere[other])).astype(int)].tolist()
            negative = next((k for k in others if k not in inside[i]), None)
            if negative is not None:  # a document hardly ever has them all
                found.append((one, rest[int(row[1] * len(rest))], negative))
    if not found:
        raise ArgumentError("pool: no document has two attributes and lacks a third: no triplets")
    return np.array(found)


class CorrelationEncoder:
    """Which attributes come together: hashed words, two layers, a unit vector.

    Args:
        settings: See EncoderSettings.

    Attributes:
        accuracy: Held-out share of triplets whose positive is nearer than its negative, the best
            epoch's, whose weights are kept.
    """

    def __init__(self, settings: EncoderSettings | None = None):
        self.settings = EncoderSettings() if settings is None else settings
        if not isinstance(self.settings, EncoderSettings):
            raise ArgumentTypeError(f"settings={shown(settings)}: expected EncoderSettings")
        self.accuracy = math.nan
        self.net: nn.Module | None = None

    def fit(self, pool: AttributePool) -> CorrelationEncoder:
        """Train on the documents of a pool.

        Args:
            pool: The pool.
        """
        import torch

        s = self.settings
        rng = np.random.default_rng([s.seed, 1])
        triplets = torch.from_numpy(rng.permutation(draw_triplets(_pool(pool), s.triplets, rng)))
        held = triplets[: max(len(triplets) // 5, 1)]
        kept = triplets[len(held) :] if len(triplets) > 1 else triplets
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(s.seed)
            self.net = self._made()
        x = self._features(pool.attributes)
        optimizer = torch.optim.AdamW(self.net.parameters(), s.rate)
        steps = s.epochs * math.ceil(len(kept) / s.batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        best, weights = -1.0, None
        for _ in range(s.epochs):
            for batch in kept[torch.from_numpy(rng.permutation(len(kept)))].split(s.batch):
                f = self._unit(x.index_select(0, batch.reshape(-1))).reshape(len(batch), 3, -1)
                loss = triplet_loss(f[:, 0], f[:, 1], f[:, 2], s.margin).mean()
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
            with torch.no_grad():
                f = self._unit(x)
            near = (f[held[:, 0]] - f[held[:, 1]]).square().sum(-1)
            far = (f[held[:, 0]] - f[held[:, 2]]).square().sum(-1)
            accuracy = float((near < far).double().mean())
            if accuracy > best:
                best = accuracy
                weights = {k: v.clone() for k, v in self.net.state_dict().items()}
        assert weights is not None
        self.net.load_state_dict(weights)
        self.accuracy = best
        return self

    def encode(self, attributes: Sequence[Attribute]) -> np.ndarray:
        """(n, dim) unit vectors.

        Args:
            attributes: (n,) attributes.

        Raises:
            ArgumentError: It was not fitted.
        """
        import torch

        if self.net is None:
            raise ArgumentError("attributes: the encoder was not fitted to a pool")
        with torch.no_grad():
            found: np.ndarray = self._unit(self._features(attributes)).double().numpy()
        return found

    def _made(self) -> nn.Module:
        """The layers; a bag of hashed words is a sum of rows of the first one."""
        from torch import nn

        s = self.settings
        first = nn.EmbeddingBag(s.hashed + 1, s.hidden, mode="sum", padding_idx=s.hashed)
        return nn.Sequential(first, nn.GELU(), nn.Linear(s.hidden, s.dim))

    def _unit(self, x: Tensor) -> Tensor:
        """(n, dim) unit vectors of (n, length) places."""
        from torch.nn.functional import normalize

        assert self.net is not None
        found: Tensor = normalize(self.net(x), dim=-1)
        return found

    def _features(self, attributes: Sequence[Attribute]) -> Tensor:
        """(n, length) the places on which words fall, filled up with the place after the last."""
        import torch

        hashed = self.settings.hashed
        rows = [[zlib.crc32(t.encode()) % hashed for t in terms(a)] for a in attributes]
        x = torch.full((len(rows), max(map(len, rows), default=1)), hashed)
        for i, row in enumerate(rows):
            x[i, : len(row)] = torch.tensor(row)
        return x


def _pool(pool: AttributePool) -> AttributePool:
    """A pool as it is. Raises ArgumentTypeError."""
    if not isinstance(pool, AttributePool):
        raise ArgumentTypeError(f"pool={shown(pool)}: expected an AttributePool")
    return pool
