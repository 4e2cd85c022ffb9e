"""The most bytes of tensors that are alive at once inside a block, counted as they are made."""

from __future__ import annotations

import weakref
from types import TracebackType

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def place(tensor: torch.Tensor) -> int | None:
    """Return where a tensor's numbers are; None where it is a wrapper without any."""
    try:
        return tensor.untyped_storage().data_ptr()
    except RuntimeError:
        return None


class LiveMemory(TorchDispatchMode):
    """Counts the storages that operations make, until they are freed.

    Attributes:
        peak: The most bytes at once since it was last set to 0.
        now: Bytes alive.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        before = {place(t) for t in tree_leaves(args) if isinstance(t, torch.Tensor)}
        for tensor in tree_leaves(made):
            at = place(tensor) if isinstance(tensor, torch.Tensor) else None
            if at is None or at in before:
                continue
            size = tensor.untyped_storage().nbytes()
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(tensor, self._freed, size)
        return made

    def _freed(self, size: int) -> None:
        self.now -= size

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
