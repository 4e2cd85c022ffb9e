"""Global random streams of Python, NumPy and torch, for libraries that draw from them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def own_streams(state: list[Any] | None = None) -> Iterator[list[Any]]:
    """Global random streams as `state` has them, which is filled at the end with how they stand;
    what they were outside is put back.
    """
    import torch

    outside = random.getstate(), np.random.get_state(), torch.get_rng_state()
    if state:
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.set_rng_state(state[2])
    found: list[Any] = [] if state is None else state
    try:
        yield found
    finally:
        found[:] = [random.getstate(), np.random.get_state(), torch.get_rng_state()]
        random.setstate(outside[0])
        np.random.set_state(outside[1])
        torch.set_rng_state(outside[2])
