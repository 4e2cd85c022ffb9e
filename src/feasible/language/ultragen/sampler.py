"""Sets of attributes that no single text has: correlated, so that a text can have them together,
and diverse, so that they say different things.

From a soft seed: the k attributes nearest to it by the correlation encoder are candidates; then,
as long as quotas of soft and hard are open, the candidate farthest from all that were chosen, by
what it says, is added.

"Farthest from all" is rule "maxmin": the largest similarity to a chosen one is minimised. The
authors' program keeps the smallest similarity instead (rule "code"), which takes what is far from
at least one chosen attribute and is no more diverse than a random choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from ...core.annotations import Checked
from ...core.checks import naming, seed as seeds, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError
from ...core.warning import warn
from .attributes import Attribute
from .embedding import TextEmbedding, _pool
from .pool import AttributePool

Strategy = Literal["random", "correlated", "diverse", "correlated-diverse"]


class Encoder(Protocol):
    """Anything with unit vectors of attributes."""

    def encode(self, attributes: Sequence[Attribute]) -> np.ndarray:
        """(n, dim) unit vectors."""
        ...


@dataclass(frozen=True)
class SamplerSettings(Checked):
    """How sets are chosen.

    Attributes:
        strategy: "random"; "correlated": the nearest to the seed; "diverse": the farthest from the
            chosen ones in the whole pool; "correlated-diverse": these of the k nearest.
        k: Candidates of a set.
        rule: "maxmin", or "code": what the authors' program does.
        size: The least and the largest number of attributes of a set.
        soft: The least and the largest number of soft ones; at most the size less one.
        seed: Of the sizes and seeds.
    """

    strategy: Literal["random", "correlated", "diverse", "correlated-diverse"] = (
        "correlated-diverse"
    )
    k: int = 1024
    rule: Literal["maxmin", "code"] = "maxmin"
    size: tuple[int, int] = (10, 50)
    soft: tuple[int, int] = (1, 9)
    seed: int = 0

    def __post_init__(self) -> None:
        whole("k", self.k, least=1)
        for name in ("size", "soft"):
            pair = getattr(self, name)
            low = whole(f"{name}[0]", pair[0], least=1 + (name == "size"))
            whole(f"{name}[1]", pair[1], least=low)


class AttributeSampler:
    """Draws sets of a pool.

    Args:
        pool: The pool.
        encoder: Of correlation; None where the strategy needs none.
        settings: See SamplerSettings.
        embedding: Of what attributes say; None: a TextEmbedding of the pool.

    Raises:
        ArgumentError: A correlated strategy without an encoder.

    Warns:
        UserWarning: k is larger than the pool, and is taken for its size.
    """

    def __init__(
        self,
        pool: AttributePool,
        encoder: Encoder | None = None,
        settings: SamplerSettings | None = None,
        embedding: Encoder | None = None,
    ):
        self.pool = _pool(pool)
        self.settings = SamplerSettings() if settings is None else settings
        if not isinstance(self.settings, SamplerSettings):
            raise ArgumentTypeError(f"settings={shown(settings)}: expected SamplerSettings")
        n, s = len(pool.attributes), self.settings
        self.k = min(s.k, n)
        correlated = s.strategy.startswith("correlated")
        self.is_soft = pool.soft
        self.groups = (np.flatnonzero(self.is_soft), np.flatnonzero(~self.is_soft))
        self.f = self.e = np.empty((n, 0))
        if correlated:
            if encoder is None:
                raise ArgumentError(f"encoder: the strategy '{s.strategy}' needs one")
            self.f = self._vectors("encoder", encoder)
            if s.k > n:
                warn(f"k={s.k} is larger than the pool; it is taken for {n}")
        if s.strategy.endswith("diverse"):
            self.e = self._vectors(
                "embedding", TextEmbedding().fit(pool) if embedding is None else embedding
            )

    def _vectors(self, name: str, encoder: Any) -> np.ndarray:
        """(n, dim) the vectors of the pool, in single precision, which only ranks."""
        with naming(name):
            found = np.asarray(encoder.encode(self.pool.attributes), dtype=np.float32)
        if found.ndim != 2 or len(found) != len(self.pool.attributes) or np.isnan(found).any():
            raise ArgumentError(f"{name}: encode() gave no row of numbers for each attribute")
        return found

    def sample(self, n: int) -> list[tuple[Attribute, ...]]:
        """n sets, each with its seed first; resolve their conflicts before they are used.

        Seeds are the soft attributes of the pool, of a pool without them all, each once before any
        comes again.

        Args:
            n: How many.

        Raises:
            ArgumentError: The pool has fewer soft or hard attributes than a set needs.
        """
        n, s = whole("n", n, least=0), self.settings
        rng = np.random.default_rng(seeds("seed", s.seed))
        starts = self.groups[0] if len(self.groups[0]) else self.groups[1]
        order: list[int] = []
        while len(order) < n:
            order += rng.permutation(starts).tolist()
        found = []
        for start in order[:n]:
            m = int(rng.integers(s.size[0], s.size[1] + 1))
            most = min(s.soft[1], m - 1)
            soft = int(rng.integers(min(s.soft[0], most), most + 1))
            soft = soft if len(self.groups[0]) else 0
            found.append(self._set(start, (soft, m - soft), rng))
        return [tuple(self.pool.attributes[i] for i in places) for places in found]

    def _set(self, seed: int, quota: tuple[int, int], rng: np.random.Generator) -> list[int]:
        """Places of a set with so many soft and hard attributes."""
        for name, group, need in zip(("soft", "hard"), self.groups, quota, strict=True):
            if len(group) < need:
                raise ArgumentError(
                    f"size={self.settings.size}: a set needs {quota[0]} soft and {quota[1]} hard "
                    f"attributes, the pool has {len(group)} {name} ones"
                )
        left = [quota[0], quota[1]]
        left[0 if self.is_soft[seed] else 1] -= 1
        strategy = self.settings.strategy
        if strategy == "random":
            return [seed, *self._random(seed, left, rng)]
        candidates = self._nearest(seed, quota) if strategy != "diverse" else np.arange(len(self.e))
        if strategy == "correlated":
            return [seed, *self._in_order(candidates[candidates != seed], left)]
        return [seed, *self._farthest(seed, candidates, left)]

    def _random(self, seed: int, left: Sequence[int], rng: np.random.Generator) -> list[int]:
        """A random choice."""
        found: list[int] = []
        for group, need in zip(self.groups, left, strict=True):
            found += rng.choice(group[group != seed], need, replace=False).tolist()
        return [found[i] for i in rng.permutation(len(found))]

    def _nearest(self, seed: int, quota: Sequence[int]) -> np.ndarray:
        """The k nearest to the seed by correlation, the nearest first, and beyond them the nearest
        of a kind whose quota they cannot fill.
        """
        order = np.argsort(-(self.f @ self.f[seed]), kind="stable")
        candidates, rest = order[: self.k], order[self.k :]
        for kind, need in zip((True, False), quota, strict=True):
            lacking = need - int((self.is_soft[candidates] == kind).sum())
            if lacking > 0:
                more = rest[self.is_soft[rest] == kind][:lacking]
                candidates = np.concatenate([candidates, more])
        return candidates

    def _in_order(self, candidates: np.ndarray, left: list[int]) -> list[int]:
        """The first candidates that the quotas take."""
        found = []
        for c in candidates.tolist():
            kind = 0 if self.is_soft[c] else 1
            if left[kind]:
                left[kind] -= 1
                found.append(c)
            if not any(left):
                break
        return found

    def _farthest(self, seed: int, candidates: np.ndarray, left: list[int]) -> list[int]:
        """Candidates by the rule, each the farthest from the chosen ones.

        A candidate of a kind whose quota is met is dropped without becoming a reference, whenever
        its turn comes; so all of that kind are dropped at once.
        """
        e = self.e[candidates]
        kinds = np.where(self.is_soft[candidates], 0, 1)
        similar = e @ self.e[seed]  # D(c)
        closed = candidates == seed
        farther = np.maximum if self.settings.rule == "maxmin" else np.minimum
        found: list[int] = []
        for kind in (0, 1):
            if not left[kind]:
                closed |= kinds == kind
        while any(left):
            c = int(np.argmin(np.where(closed, np.inf, similar)))
            closed[c] = True
            found.append(int(candidates[c]))
            left[kinds[c]] -= 1
            if not left[kinds[c]]:
                closed |= kinds == kinds[c]
            farther(similar, e @ e[c], out=similar)
        return found


@dataclass(frozen=True)
class Spread:
    """How alike and how correlated the members of sets are, averaged over sets.

    Attributes:
        cosine: Mean cosine of two members, by what they say.
        nearest: Mean cosine of a member to the member nearest to it.
        correlation: Mean cosine of two members by the correlation encoder; None without one.
    """

    cosine: float
    nearest: float
    correlation: float | None


def spread(
    sets: Sequence[Sequence[Attribute]], embedding: Encoder, encoder: Encoder | None = None
) -> Spread:
    """Measure sets of at least two attributes.

    Args:
        sets: The sets.
        embedding: Of what attributes say.
        encoder: Of correlation.

    Raises:
        ArgumentError: No set has two attributes.
    """
    rows: list[list[float]] = []
    for one in sets:
        n = len(one)
        if n < 2:
            continue
        e = embedding.encode(list(one))
        table = e @ e.T
        apart = table[~np.eye(n, dtype=bool)]
        row = [float(apart.mean()), float(apart.reshape(n, n - 1).max(1).mean())]
        if encoder is not None:
            f = encoder.encode(list(one))
            row.append(float((f @ f.T)[~np.eye(n, dtype=bool)].mean()))
        rows.append(row)
    if not rows:
        raise ArgumentError("sets: none has two attributes")
    mean = np.mean(rows, axis=0)
    return Spread(float(mean[0]), float(mean[1]), float(mean[2]) if encoder is not None else None)
