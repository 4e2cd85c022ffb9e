"""Experts on disk: a real cache, memory-mapped, filled by a thread; and what it should fetch ahead.

`write_experts` puts each expert of a model into one file that is mapped, not read. `OffloadedModel`
runs the model with so many experts of each layer in memory (least recently used goes first), and
has the experts that the next layer will probably need fetched by a thread while a layer computes:
they are found by applying the next layer's router to what enters this one.

References:
    Eliseev and Mazur (arXiv 2312.17238).
"""

from __future__ import annotations

import contextlib
import copy
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.annotations import checked
from ...core.checks import whole
from ...core.errors import ArgumentError
from .layout import blocks, expert
from .profile import Seen

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor

Pair = tuple["Tensor", "Tensor"]


@checked
def predict_experts(model: Any, seen: Sequence[Seen], m: int) -> Int[np.ndarray, "tokens layers m"]:
    """The m experts of each layer that its router finds best for what entered the layer before; -1
    in the first.

    Args:
        model: With blocks of fused experts.
        seen: What each block saw, of `observe`.
        m: How many.
    """
    found = blocks(model)
    whole("m", m, least=1, most=len(found[0].gate.weight))
    ahead = torch.full((len(seen[0].x), len(found), m), -1)
    with torch.no_grad():
        for layer, block in enumerate(found[1:], 1):
            ahead[:, layer] = (seen[layer - 1].x @ block.gate.weight.float().T).topk(m).indices
    return ahead.numpy()


@checked
def write_experts(model: Any, folder: str | os.PathLike[str]) -> Path:
    """Write each layer's experts to two arrays that can be mapped, in single precision.

    Args:
        model: With blocks of fused experts.
        folder: Where; it is made.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    for layer, block in enumerate(blocks(model)):
        for name in ("gate_up", "down"):
            wide = getattr(block.experts, f"{name}_proj").detach().float().numpy()
            np.save(path / f"{layer}.{name}.npy", wide, allow_pickle=False)
    return path


class ExpertCache:
    """So many experts of each layer in memory, the others on disk.

    Args:
        folder: Of `write_experts`.
        layers: Of the model.
        capacity: Experts of each layer in memory.

    Attributes:
        hits: Experts that were in memory, or on their way, when they were asked for.
        misses: Experts that were not.
        fetched: Experts that the thread was asked for ahead.
        waited: Seconds that the model waited for experts, measured.
    """

    def __init__(self, folder: str | os.PathLike[str], layers: int, capacity: int):
        self.capacity = whole("capacity", capacity, least=1)
        files = [
            [Path(folder) / f"{layer}.{name}.npy" for name in ("gate_up", "down")]
            for layer in range(layers)
        ]
        missing = [str(f) for pair in files for f in pair if not f.exists()]
        if missing:
            raise ArgumentError(f"folder={str(folder)!r}: {missing[0]} is missing")
        self.maps = [
            [np.load(f, mmap_mode="r", allow_pickle=False) for f in pair] for pair in files
        ]
        self.held: list[OrderedDict[int, Future[Pair]]] = [OrderedDict() for _ in range(layers)]
        self.thread = ThreadPoolExecutor(1, "experts")
        self.hits = self.misses = self.fetched = 0
        self.waited = 0.0

    def _read(self, layer: int, e: int) -> Pair:
        """Copy an expert from the map into memory."""
        one, other = (torch.from_numpy(np.array(m[e])) for m in self.maps[layer])
        return one, other

    def _ask(self, layer: int, e: int) -> Future[Pair]:
        """Have an expert brought; the least recently used makes room."""
        held = self.held[layer]
        if len(held) >= self.capacity:
            held.popitem(last=False)
        held[e] = self.thread.submit(self._read, layer, e)
        return held[e]

    def ahead(self, layer: int, experts: Sequence[int]) -> None:
        """Have experts fetched that will probably be needed."""
        for e in experts:
            if e in self.held[layer]:
                self.held[layer].move_to_end(e)
            else:
                self._ask(layer, e)
                self.fetched += 1

    def get(self, layer: int, e: int) -> Pair:
        """Both matrices of an expert."""
        held = self.held[layer]
        if e in held:
            self.hits += 1
            held.move_to_end(e)
        else:
            self.misses += 1
            self._ask(layer, e)
        begun = time.perf_counter()
        found = held[e].result()
        self.waited += time.perf_counter() - begun
        return found

    def close(self) -> None:
        """End the thread."""
        self.thread.shutdown()


class _OnDisk(torch.nn.Module):
    """A block's experts, each taken from the cache where a token needs it."""

    def __init__(self, cache: ExpertCache, layer: int, coming: Any, prefetch: int):
        super().__init__()
        self.cache, self.layer, self.coming, self.prefetch = cache, layer, coming, prefetch

    def forward(self, hidden: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        """The sum of the experts' outputs by their weights."""
        if self.coming is not None and self.prefetch:
            likely = (hidden @ self.coming.T).amax(0).topk(self.prefetch).indices
            self.cache.ahead(self.layer + 1, likely.tolist())
        made = torch.zeros_like(hidden)
        for e in index.unique().tolist():
            row, place = (index == e).nonzero(as_tuple=True)
            out = expert(*self.cache.get(self.layer, e), hidden[row])
            made.index_add_(0, row, out * weights[row, place, None])
        return made


@contextlib.contextmanager
def offloaded(
    model: Any, folder: str | os.PathLike[str], capacity: int, prefetch: int = 0
) -> Iterator[tuple[Any, ExpertCache]]:
    """The model with its experts on disk, and its cache, whose thread ends with the context.

    Args:
        model: With blocks of fused experts, which `write_experts` wrote to the folder; it is not
            changed.
        folder: Of the experts.
        capacity: Experts of each layer in memory.
        prefetch: Experts of the next layer that are fetched while one computes; at most `capacity`.
    """
    found = blocks(model)
    whole("prefetch", prefetch, least=0, most=capacity)
    cache = ExpertCache(folder, len(found), capacity)
    kept = {id(b.experts): None for b in found}
    small = copy.deepcopy(model, kept)  # the experts themselves are not copied
    coming = [b.gate.weight.detach() for b in found[1:]] + [None]
    layers = [layer for layer in small.model.layers if getattr(layer.mlp, "gate", None) is not None]
    for i, layer in enumerate(layers):
        layer.mlp.experts = _OnDisk(cache, i, coming[i], prefetch)
    try:
        yield small.eval(), cache
    finally:
        cache.close()
