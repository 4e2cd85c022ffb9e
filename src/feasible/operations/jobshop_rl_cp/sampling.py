"""Schedules from a trained network: the most probable one, and drawn ones at many temperatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import UnsupportedConstraint
from ..jobshop import JobShop
from .network import DispatchNetwork
from .plays import Copies
from .rollout import roll
from .settings import SamplingSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

TOKENS = 200_000
"""Most tokens that the network is given at once."""


def heats(settings: SamplingSettings, first: int, count: int) -> Float[np.ndarray, " count"]:
    """(count,) temperatures of the samples from number `first` on."""
    share = (first + np.arange(count)) % 32 / 32
    return settings.coldest + (settings.hottest - settings.coldest) * share


def check_dates(shop: JobShop) -> None:
    """Raise UnsupportedConstraint where a shop has due dates."""
    if (shop.due_ticks >= 0).any():
        raise UnsupportedConstraint(
            f"shop '{shop.name}' has due dates, which the learned dispatcher does not see: use "
            "cp-sat, or mtwr-softmax"
        )


def greedy_starts(
    network: DispatchNetwork, shop: JobShop, until: float = np.inf
) -> Int[np.ndarray, " ops"]:
    """(ops,) starts in ticks of the most probable schedule; `until` as in `roll`."""
    check_dates(shop)
    return roll(network, Copies([shop], [0]), None, until=until).starts[0]


def drawn_starts(
    network: DispatchNetwork,
    shop: JobShop,
    heat: Float[np.ndarray, " B"],
    rng: np.random.Generator,
    until: float = np.inf,
) -> Int[np.ndarray, " ops"]:
    """(ops,) starts in ticks of the best of B drawn schedules.

    Args:
        network: The policy.
        shop: The shop.
        heat: (B,) temperatures, at least one.
        rng: Draws them.
        until: See `roll`.
    """
    check_dates(shop)
    size = max(1, TOKENS // (5 * shop.shape[0]))
    found = []
    for first in range(0, len(heat), size):
        part = heat[first : first + size]
        copies = Copies([shop], np.zeros(len(part), np.int64))
        played = roll(network, copies, rng, part, until=until)
        best = int(played.makespans.argmin())
        found.append((int(played.makespans[best]), first, played.starts[best]))
    return min(found)[2]
