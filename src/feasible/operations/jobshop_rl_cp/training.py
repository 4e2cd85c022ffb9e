"""Training: learn from a few shops by imitating what CP-SAT makes of the agent's own beginnings.

    For each of U updates
      a. play E episodes on the training shops and keep the lists of actions;
      b. draw one prefix length l for all episodes, 1 <= l < the shortest episode;
      c. ask CP-SAT for the best completion of each episode's first l lists;
      d. improvement = (C_agent - C_cp) / C_agent where it is better, else 0;
      e. follow the completion in the environment: the expert's decisions;
      f. A_imp = improvement, min-max normalised within each shop;
         A_mk = C_cp, standardised within each shop;
      g. loss 1: the clipped surrogate, on the expert's decisions with advantage A_imp, and on the
         agent's own after the prefix with -A_imp;
      h. loss 2: the same on the prefixes with -A_mk: beginnings with a short best completion are
         reinforced.

The surrogate of a decision with probability ratio rho and advantage A is
-min(rho A, clip(rho, 1 - epsilon, 1 + epsilon) A); passes over the samples end when the mean of
(rho - 1) - log(rho) is above its target. Every executed action is a sample; the actions of one list
share what was seen before the list. Samples with A = 0, which have no gradient, are left out.

References:
    Tassel, Gebser, Schekotihin (2023), arXiv 2306.05747, section "Training".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...core.checks import shown
from ...core.errors import ArgumentError, ArgumentTypeError
from ..instances import random_shop
from ..jobshop import JobShop
from .completion import complete, follow, replay
from .network import DispatchNetwork
from .plays import Copies, joined
from .rollout import Step, roll
from .settings import TrainingSettings

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass
class TrainingState:
    """Where a training stands; all that it takes to go on with it.

    Attributes:
        network: The dispatcher.
        optimizer: Adam.
        rng: Draws orders, prefixes, minibatches and the solver's seeds.
        done: Finished updates.
        sampled: Mean makespan of the episodes of each update, in the shops' units.
        completed: Mean makespan of their best completions.
    """

    network: DispatchNetwork
    optimizer: torch.optim.Adam
    rng: np.random.Generator
    done: int = 0
    sampled: list[float] = field(default_factory=list)
    completed: list[float] = field(default_factory=list)


@dataclass
class Sample:
    """Decisions with their advantages.

    Attributes:
        steps: The decisions.
        advantages: One for each.
    """

    steps: list[Step] = field(default_factory=list)
    advantages: list[float] = field(default_factory=list)

    def add(self, steps: Sequence[Step], advantage: float) -> None:
        """Add decisions of one advantage."""
        if advantage != 0:
            self.steps += steps
            self.advantages += [advantage] * len(steps)


def begin(settings: TrainingSettings, seed: int) -> TrainingState:
    """A training that has done nothing yet; torch's global stream stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DispatchNetwork()
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.rate, eps=1e-5, fused=True)
    return TrainingState(network, optimizer, np.random.default_rng([seed, 2023]))


def check_shops(shops: Sequence[JobShop]) -> None:
    """Raise ArgumentError where there is no shop, or one whose due dates the agent would ignore."""
    if not isinstance(shops, (list, tuple)) or not all(isinstance(s, JobShop) for s in shops):
        raise ArgumentTypeError(f"shops={shown(shops)}: expected a list of JobShops")
    if not shops:
        raise ArgumentError("shops=[]: expected one at least")
    for shop in shops:
        if (shop.due_ticks >= 0).any():
            raise ArgumentError(
                f"shops: '{shop.name}' has due dates, which the learned dispatcher does not see"
            )


def update(state: TrainingState, shops: Sequence[JobShop], settings: TrainingSettings) -> None:
    """Make one outer update, in place."""
    rng, which = state.rng, np.arange(settings.episodes) % len(shops)
    own = roll(state.network, Copies(shops, which), rng, record=True)  # a
    length = int(rng.integers(1, max(min(map(len, own.steps)), 2)))  # b
    lists = [[step.actions for step in steps[:length]] for steps in own.steps]
    copies = Copies(shops, which)
    replay(copies, lists)
    seeds = rng.integers(0, 2**31 - 1, size=len(which))
    best = [  # c
        complete(copies, b, own.starts[b], settings.work, int(seeds[b])) for b in range(len(which))
    ]
    kept = [b for b, starts in enumerate(best) if starts is not None]
    experts, ends = _experts(state, shops, which, lists, best, kept)  # e
    agent, of = own.makespans[kept].astype(float), which[kept]
    improvement = np.maximum(agent - ends, 0) / agent  # d
    a_imp = _within(of, improvement, lambda v: (v - v.min()) / (v.max() - v.min() + 1e-8))  # f
    a_mk = _within(of, ends, lambda v: (v - v.mean()) / (v.std() + 1e-8))
    suffixes, prefixes = Sample(), Sample()
    for k, b in enumerate(kept):
        suffixes.add(experts[k], a_imp[k])
        suffixes.add(own.steps[b][length:], -a_imp[k])
        prefixes.add(own.steps[b][:length], -a_mk[k])
    left = 1 - state.done / settings.updates
    for group in state.optimizer.param_groups:
        group["lr"] = settings.rate * left
    for sample in (suffixes, prefixes):  # g, h
        descend(state, sample, settings)
    units = np.array([float(shops[i].resolution or 1.0) for i in which.tolist()])
    state.sampled.append(float((own.makespans * units).mean()))
    state.completed.append(float((ends * units[kept]).mean()) if kept else float("nan"))
    state.done += 1


def _experts(
    state: TrainingState,
    shops: Sequence[JobShop],
    which: np.ndarray,
    lists: list[list[list[int]]],
    best: list[np.ndarray | None],
    kept: list[int],
) -> tuple[list[list[Step]], Float[np.ndarray, " k"]]:
    """Return the expert's decisions after the prefixes, and the makespans that they end with."""
    if not kept:
        return [], np.empty(0)
    copies = Copies(shops, which[kept])
    replay(copies, [lists[b] for b in kept])
    schedules = [starts for b in kept if (starts := best[b]) is not None]
    experts = follow(state.network, copies, schedules)
    return experts, copies.makespans.astype(float)


def _within(
    of: np.ndarray, values: np.ndarray, normal: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Normalise values within each shop."""
    found = np.zeros(len(values))
    for shop in np.unique(of):
        found[of == shop] = normal(values[of == shop])
    return found


def descend(state: TrainingState, sample: Sample, settings: TrainingSettings) -> int:
    """Make the passes of one loss over its samples, and return their number."""
    if not sample.steps:
        return 0
    seen = joined([step.seen for step in sample.steps])
    counts = np.array([len(step.actions) for step in sample.steps])
    row = np.repeat(np.arange(len(counts)), counts)
    action = np.concatenate([step.actions for step in sample.steps]).astype(np.int64)
    old = np.stack([step.log_p for step in sample.steps])[row, action]
    advantage = np.array(sample.advantages)[row]
    tensors = [torch.from_numpy(v.astype(np.float32)) for v in (old, advantage)]
    size = max(len(row) // settings.minibatches, 1)
    passes = 0
    for _ in range(settings.epochs):
        passes += 1
        order, divergence = state.rng.permutation(len(row)), []
        for first in range(0, len(row), size):
            chosen = order[first : first + size]
            rows, back = np.unique(row[chosen], return_inverse=True)
            logits = state.network(seen.at(rows))
            log_p = logits.log_softmax(dim=1)[
                torch.from_numpy(back), torch.from_numpy(action[chosen])
            ]
            log_ratio = log_p - tensors[0][chosen]
            ratio, gain = log_ratio.exp(), tensors[1][chosen]
            clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
            loss = -torch.minimum(ratio * gain, clipped * gain).mean()
            state.optimizer.zero_grad()
            loss.backward()
            state.optimizer.step()
            divergence.append(float(((ratio - 1) - log_ratio).mean().detach()))
        if np.mean(divergence) > settings.target_kl:
            break
    return passes


def training_shops(
    jobs: int = 10, machines: int = 8, count: int = 4, seed: int = 0
) -> list[JobShop]:
    """Random shops of one size to train on; no instance of the literature is among them."""
    return [random_shop(jobs, machines, 1_000_000 + 100 * seed + i) for i in range(count)]
