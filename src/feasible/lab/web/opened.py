"""The store that a dashboard looks at: opened for reading, and again where its file changed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from ...core.errors import StoreError
from ..store import Store


class Opened:
    """A store, opened for reading for as long as what lies there is what was opened.

    Args:
        where: As for `Store`.

    Raises:
        StoreError: There is none, or it cannot be read.
    """

    def __init__(self, where: Any = None):
        self._where, self._lock = where, threading.Lock()
        self._store: Store | None = None
        self._mark: object = None
        self.url = self.store().url

    def store(self) -> Store:
        """Return the store as it lies there now.

        Raises:
            StoreError: It is gone, or cannot be read.
        """
        with self._lock:
            if self._store is None or self._mark != self._seen(self._store):
                self._close()
                store = Store(self._where, reading=True)
                self._store, self._mark = store, self._seen(store)
            return self._store

    def _seen(self, store: Store) -> object:
        """Return what changes when the store must be opened again: of a file which one it is; of
        one that cannot change, or is read in a copy, whether it changed after all.
        """
        path = store.path
        if path is None:
            return None
        try:
            found = path.stat()
        except OSError:
            raise StoreError(f"there is no store at {store.url} any more") from None
        log = Path(f"{path}-wal")
        size = log.stat().st_size if log.exists() else 0
        still = (found.st_mtime_ns, found.st_size, size) if store.copied else size > 0
        return found.st_dev, found.st_ino, still

    def _close(self) -> None:
        """Close the store that is open, if one is."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._close()
