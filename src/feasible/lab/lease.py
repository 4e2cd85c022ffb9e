"""The lease on a run: whoever drives it says so every few seconds, and writes under a number that
only the newest claim bears.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Self

from ..core.errors import StoreError
from . import owner
from .store import Store

beating = threading.Lock()
"""Held while a sign of life is written, and while the process forks: a child must not inherit a
database in the middle of a write."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=beating.acquire,
        after_in_parent=beating.release,
        after_in_child=beating.release,
    )


class Lease:
    """A claim on a run, renewed by a thread of its own until it is given back.

    Args:
        store: Where the run is.
        run: Its number.
        take_over: Also where another driver holds it, whose writes are refused from then on.

    Attributes:
        fence: The number of the claim.

    Raises:
        RunBusy: Another driver holds it.
    """

    def __init__(self, store: Store, run: int, *, take_over: bool = False):
        self.store, self.run = store, run
        self.fence = store.claim_run(run, take_over=take_over)
        owner.DRIVING.add(store.key(run))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease of {run}", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        """Renew the claim until it ends or somebody else has the run."""
        while not self._ended.wait(owner.BEAT_SECONDS):
            # a store that is locked or full now may take the next one
            with contextlib.suppress(StoreError), beating:
                if not self.store.renew(self.run, self.fence):
                    return

    def close(self) -> None:
        """Give no more signs of life."""
        owner.DRIVING.discard(self.store.key(self.run))
        self._ended.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
