"""Threads: how many the libraries of linear algebra use inside a run. The number is part of the
result, because sums that are split otherwise round otherwise; small models are quickest with one.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from typing import Any

DEFAULT = 1
"""Threads inside a run where nobody says otherwise."""


class _Pools:
    """The thread pools of this process: BLAS, OpenMP and torch.

    Attributes:
        wanted: The numbers that are asked for, the newest last; none outside a run.
        before: How many threads each pool had before the first run, and how it is set.
        fixed: True while they are set to another number.
        forked: True in a worker of ours: OpenMP does not survive a fork with more than one thread.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.wanted: list[int] = []
        self.before: dict[str, tuple[int, Callable[[int], object]]] = {}
        self.fixed = False
        self.forked = False
        self._seen = 0
        self._libraries: list[Any] = []

    def fix(self) -> None:
        """Set every pool that is loaded now to the number that is wanted."""
        self._find()
        self.fixed = True
        self._free()
        for name, (_, set_to) in self.before.items():
            single = self.forked and not name.startswith("blas")
            set_to(1 if single else self.wanted[-1])
        self._free()

    def restore(self) -> None:
        """Set every pool to what it was."""
        self._free()
        for number, set_to in self.before.values():
            set_to(number)
        self._free()
        self.before.clear()
        self.fixed = False

    def _free(self) -> None:
        """Let any thread set OpenBLAS: threadpoolctl keeps that to the one that did so first, while
        it lives. Here overlapping runs are told apart by `wanted`.
        """
        for library in self._libraries:
            clear = getattr(library, "clear_controlling_thread", None)
            if clear is not None:
                clear(force=True)

    def news(self) -> bool:
        """Return whether a compiled module was loaded since the last look."""
        if len(sys.modules) == self._seen:
            return False
        fresh = list(sys.modules.values())[self._seen :]
        self._seen = len(sys.modules)
        return any(
            isinstance(getattr(getattr(m, "__spec__", None), "loader", None), ExtensionFileLoader)
            for m in fresh
        )

    def _find(self) -> None:
        """Look for pools; searching the loaded libraries takes milliseconds, so only where there
        are new ones.
        """
        if self.news() or not self._libraries:
            from threadpoolctl import ThreadpoolController

            self._libraries = ThreadpoolController().lib_controllers
        for library in self._libraries:
            name = f"{library.user_api} {library.filepath}"
            if name not in self.before and library.num_threads is not None:
                self.before[name] = library.num_threads, library.set_num_threads
        torch = sys.modules.get("torch")
        if "torch" not in self.before and hasattr(torch, "set_num_threads"):
            assert torch is not None
            had = torch.get_num_threads()
            if self.fixed:  # it came into being under a library that was fixed already
                had = max([had, *(n for name, (n, _) in self.before.items() if "openmp" in name)])
            self.before["torch"] = had, torch.set_num_threads


_pools = _Pools()


@contextmanager
def fixed(threads: int) -> Iterator[None]:
    """Inside, the libraries that are loaded use this many threads; afterwards as many as before.

    Of runs that overlap in several threads of a process, the number of the one that began last
    holds.

    Args:
        threads: At least 1.
    """
    with _pools.lock:
        _pools.wanted.append(threads)
        _pools.fix()
    try:
        yield
    finally:
        with _pools.lock:
            _pools.wanted.remove(threads)
            if _pools.wanted:
                _pools.fix()
            else:
                _pools.restore()


def settle() -> None:
    """Fix the threads of what was loaded since; costs nothing where nothing was."""
    if len(sys.modules) != _pools._seen and _pools.wanted:
        with _pools.lock:
            if _pools.wanted and _pools.news():
                _pools._libraries = []
                _pools.fix()


def fix_in_worker(threads: int) -> None:
    """Fix the threads of a process that was just forked, for good: BLAS to this many; OpenMP and
    torch to one, because more than one after a fork may wait for ever.
    """
    _pools.lock = threading.RLock()
    _pools.forked = True
    _pools.wanted = [threads]
    _pools.fix()
