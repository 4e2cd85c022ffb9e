"""A torch sampler whose batches are the data of the nodes that a token visits."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

import numpy as np
from torch.utils.data import Sampler

from ...core.annotations import checked
from ...core.checks import whole
from ...core.errors import ArgumentError, ArgumentTypeError
from .walk import Walk

MOST = 10**12
"""Batches of an epoch at most."""


class WalkSampler(Sampler[list[int]]):
    """Batches of a data set by a walk: the k-th holds rows of the k-th node that is visited.

    Give it to a `DataLoader` as `batch_sampler`. Where the walk's law is not its target,
    `walk.weights` are the factors of the nodes' losses.

    Args:
        walk: The walk; an epoch moves it on.
        rows: The rows of the data set that each node holds, by label.
        batches: Batches of an epoch.
        size: Rows of a batch, drawn without replacement; None: all that the node holds.

    Raises:
        ArgumentError: A node holds no rows, or fewer than `size`.

    Attributes:
        visited: Label of the node of the last batch.

    Example:
        >>> import networkx as nx
        >>> from feasible.networks import SelfRepellentWalk
        >>> rows = {"a": [0, 1], "b": [2, 3], "c": [4, 5]}
        >>> walk = SelfRepellentWalk(nx.path_graph(["a", "b", "c"]), seed=0, start="a")
        >>> batches = list(WalkSampler(walk, rows, batches=3))
        >>> all(batch in rows.values() for batch in batches)
        True
    """

    @checked
    def __init__(
        self,
        walk: Walk,
        rows: Mapping[Hashable, Sequence[int]],
        batches: int,
        size: int | None = None,
    ):
        if not isinstance(walk, Walk):
            raise ArgumentTypeError(f"walk={walk!r:.60}: expected a Walk such as SelfRepellentWalk")
        if not isinstance(rows, Mapping):
            raise ArgumentTypeError(f"rows={rows!r:.60}: expected a mapping of labels")
        self.walk = walk
        self.batches = whole("batches", batches, least=1, most=MOST)
        self.size = None if size is None else whole("size", size, least=1, note=", or None")
        self.visited: Hashable = None
        self._rows = {}
        for node in walk.nodes:
            held = [whole(f"rows of node {node!r}", row, least=0) for row in rows.get(node, ())]
            if len(held) < (self.size or 1):
                raise ArgumentError(
                    f"rows: node {node!r} holds {len(held)}: expected {self.size or 1} at least"
                )
            self._rows[node] = held

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(self.batches):
            self.visited = self.walk.step()
            held = self._rows[self.visited]
            if self.size is None:
                yield list(held)
            else:
                rng = self.walk.state.rng
                yield np.array(held)[rng.permutation(len(held))[: self.size]].tolist()
