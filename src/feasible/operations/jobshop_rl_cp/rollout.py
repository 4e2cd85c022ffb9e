"""Episodes: the network is asked for an order of the actions, and the legal ones are played."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from .network import DispatchNetwork
from .plays import Copies, Observation

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass
class Step:
    """A decision of one copy.

    Attributes:
        seen: What the network saw: one copy.
        log_p: (n + 1,) its log-probabilities before the list of actions.
        actions: Those of the list that were executed.
    """

    seen: Observation
    log_p: Float[np.ndarray, " n+1"]
    actions: list[int]


@dataclass
class Episodes:
    """Episodes of several copies.

    Attributes:
        steps: For each copy, its decisions.
        makespans: (B,) in ticks.
        starts: For each copy, (ops,) the starts in ticks.
    """

    steps: list[list[Step]] = field(default_factory=list)
    makespans: Int[np.ndarray, " B"] = field(default_factory=lambda: np.empty(0, np.int64))
    starts: list[Int[np.ndarray, " ops"]] = field(default_factory=list)


def log_softmax(logits: Float[np.ndarray, "B k"]) -> Float[np.ndarray, "B k"]:
    """Logarithms of the softmax along the rows."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def ordered(
    logits: Float[np.ndarray, "B k"], rng: np.random.Generator | None
) -> Int[np.ndarray, "B k"]:
    """Order all actions: drawn one after the other without replacement, each in proportion to the
    softmax of those that are left (the order of logits + Gumbel noise); without a generator the
    largest first.
    """
    key = logits if rng is None else logits + rng.gumbel(size=logits.shape)
    return np.argsort(-key, axis=1, kind="stable")


@torch.no_grad()
def logits_of(network: DispatchNetwork, seen: Observation) -> Float[np.ndarray, "B k"]:
    """The network's logits as float64."""
    return network(seen).numpy().astype(float)


def roll(
    network: DispatchNetwork,
    copies: Copies,
    rng: np.random.Generator | None,
    temperatures: Sequence[float] | Float[np.ndarray, " B"] | None = None,
    record: bool = False,
    until: float = np.inf,
) -> Episodes:
    """Play all copies to their end.

    Args:
        network: Asked in every copy that has not ended.
        copies: From where they stand.
        rng: Draws the orders; None: the largest logit first.
        temperatures: (B,) by which the logits are divided; None: 1.
        record: Keep the decisions.
        until: Time of `time.monotonic` from which on what is left is played by the most work left.
    """
    count = len(copies.which)
    heat = np.ones(count) if temperatures is None else np.asarray(temperatures, float)
    steps: list[list[Step]] = [[] for _ in range(count)]
    while (running := copies.running).any():
        if time.monotonic() > until:
            copies.finish()
            break
        rows = np.flatnonzero(running)
        seen = copies.observe(rows)
        logits = logits_of(network, seen)
        orders = np.full((count, copies.n + 1), -1, np.int64)
        orders[rows] = ordered(np.where(seen.legal, logits / heat[rows, None], -1e30), rng)
        played = copies.play(orders)
        if record:
            log_p = log_softmax(logits)
            for k, b in enumerate(rows.tolist()):
                steps[b].append(Step(seen.at(np.array([k])), log_p[k], played[b]))
    return Episodes(steps, copies.makespans.copy(), [copies.starts(b) for b in range(count)])
