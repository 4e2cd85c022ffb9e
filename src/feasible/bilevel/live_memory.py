"""The most bytes of tensors that are alive at once inside a block, counted as they are made."""

from __future__ import annotations

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def storage(leaf: object) -> torch.UntypedStorage | None:
    """Return where a tensor's numbers are; None for what has none, as wrappers of tensors."""
    if not isinstance(leaf, torch.Tensor):
        return None
    try:
        found = leaf.untyped_storage()
        found.data_ptr()
    except RuntimeError:
        return None
    return found


class LiveMemory(TorchDispatchMode):
    """Counts the storages that operations make, until they are freed.

    A storage is counted as long as anything holds it: a tensor, a view of it, or a graph.

    Attributes:
        peak: The most bytes at once since it was last set to 0.
        now: Bytes alive.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        before = {s.data_ptr() for s in map(storage, tree_leaves(args)) if s is not None}
        for new in map(storage, tree_leaves(made)):
            if new is None or new.data_ptr() in before:
                continue
            size = new.nbytes()
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(new, self._freed, size)
        return made

    def _freed(self, size: int) -> None:
        self.now -= size
