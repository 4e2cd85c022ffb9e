"""The two phases as methods of runs on an AttributeControl."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from ...core.checks import whole
from ...core.problem import Method
from ..weights import weights_of
from .attributes import Attribute
from .conflicts import resolve_conflicts
from .embedding import CorrelationEncoder, EncoderSettings
from .pool import AttributePool
from .problem import AttributeControl
from .report import judged
from .sampler import AttributeSampler, SamplerSettings, Strategy
from .training import (
    Pairs,
    UltraGenSettings,
    ar_step,
    gpo_step,
    gpo_steps,
    make_pairs,
    optimizer_of,
)

AT_ONCE = 50
"""Sets for which texts are written in one step."""


def sampled_sets(
    read: Sequence[Sequence[Attribute]],
    n: int,
    strategy: Strategy = "correlated-diverse",
    k: int = 64,
    rule: Literal["maxmin", "code"] = "maxmin",
    size: tuple[int, int] = (8, 15),
    triplets: int = 8000,
    seed: int = 0,
) -> list[tuple[Attribute, ...]]:
    """Sets from the pool of a corpus, with two to six soft attributes where there are so many.

    Args:
        read: The attributes of each text.
        n: How many.
        strategy: See SamplerSettings; so k, rule and size.
        k: Candidates of a set.
        rule: Of the farthest point.
        size: Least and largest.
        triplets: Of the correlation encoder.
        seed: Of all of it.
    """
    pool, encoder = AttributePool.of(read, seed), None
    if strategy.startswith("correlated"):
        encoder = CorrelationEncoder(EncoderSettings(triplets=triplets, seed=seed)).fit(pool)
    most = max(int(pool.soft.sum()), 1)
    settings = SamplerSettings(
        strategy, min(k, len(pool.attributes)), rule, size, (min(2, most), min(6, most)), seed
    )
    return AttributeSampler(pool, encoder, settings).sample(n)


@dataclass
class UltraGenState:
    """A run's state.

    Attributes:
        model: The model.
        optimizer: Of the phase.
        seed: Of all that is drawn.
        step: Of auto-reconstruction.
        asked: Sets for which texts were written.
        pairs: What is preferred to what.
        descent: Steps of preference optimisation.
        loss: Of the last step.
    """

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    seed: int
    step: int
    asked: int
    pairs: Pairs
    descent: int
    loss: float


@dataclass(frozen=True)
class UltraGenRun(UltraGenSettings, Method):
    """Auto-reconstruction, then preferences on sets that no text has; see UltraGenSettings.

    Attributes:
        strategy: Of the sets of the second phase, see SamplerSettings; "none": no second phase.
        rule: Of the farthest point.
        sets: How many are sampled.
        k: Candidates of a set.
        least_size: Fewest attributes of a set.
        most_size: Most attributes of a set.
        resolve: Remove contradictions from sets.
        triplets: Of the correlation encoder.
    """

    solves: ClassVar[type[AttributeControl]] = AttributeControl
    name: ClassVar[str] = "ultragen"
    strategy: Literal["none", "random", "correlated", "diverse", "correlated-diverse"] = (
        "correlated-diverse"
    )
    rule: Literal["maxmin", "code"] = "maxmin"
    sets: int = 300
    k: int = 64
    least_size: int = 8
    most_size: int = 15
    resolve: bool = True
    triplets: int = 8000

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("sets", self.sets, least=1, most=10**6)
        whole("k", self.k, least=1)
        whole("least_size", self.least_size, least=2)
        whole("most_size", self.most_size, least=self.least_size)
        whole("triplets", self.triplets, least=10, most=10**8)

    def init(self, problem: AttributeControl, rng: np.random.Generator) -> UltraGenState:
        """Begin with the problem's policy.

        Raises:
            ArgumentError: The second phase would ask for soft attributes, and nobody decides them.
        """
        if self.strategy != "none":
            judged((one for _, one in problem.corpus()), problem.soft_judge, "data")
        model = problem.model()
        seed = int(rng.integers(2**31))
        return UltraGenState(
            model, optimizer_of(model, self), seed, 0, 0, Pairs.none(), 0, float("nan")
        )

    def unseen(self, problem: AttributeControl, seed: int) -> list[tuple[Attribute, ...]]:
        """The sets of the second phase.

        Args:
            problem: Its corpus is the pool.
            seed: Of the run.
        """
        key = ("unseen", self.strategy, self.rule, self.sets, self.k, self.least_size,
               self.most_size, self.resolve, self.triplets, seed)  # fmt: skip
        found: list[tuple[Attribute, ...]] = problem.cached(
            key, lambda: self._unseen(problem, seed)
        )
        return found

    def _unseen(self, problem: AttributeControl, seed: int) -> list[tuple[Attribute, ...]]:
        """Sample them; none is a held-out one."""
        assert self.strategy != "none"
        read, held_out = [one for _, one in problem.corpus()], problem.sets(held_out=True)
        sets = sampled_sets(
            read, self.sets, self.strategy, self.k, self.rule, (self.least_size, self.most_size),
            self.triplets, seed + 1,
        )  # fmt: skip
        sets = resolve_conflicts(sets)[0] if self.resolve else sets
        known = {frozenset(one) for one in held_out}
        return [one for one in sets if frozenset(one) not in known]

    def step(self, problem: AttributeControl, state: UltraGenState) -> UltraGenState:
        """A step down of one of the phases, or texts for some sets between them."""
        model, tokenizer = state.model, problem.tokenizer
        given = (model, tokenizer, state.optimizer)
        if state.step < self.ar_steps:
            state.loss = ar_step(*given, problem.corpus(), self, state.seed, state.step)
            state.step += 1
        elif state.asked < len(self.unseen(problem, state.seed)):
            sets = self.unseen(problem, state.seed)[state.asked :][:AT_ONCE]
            drawn = state.seed + state.asked
            more = make_pairs(
                model, tokenizer, sets, self, problem.soft_judge, problem.max_tokens, drawn
            )
            state.pairs = state.pairs.plus(more, tokenizer) if len(state.pairs) else more
            state.asked += len(sets)
            state.optimizer = optimizer_of(model, self)
        else:
            state.loss = gpo_step(*given, state.pairs, self, state.seed, state.descent)
            state.descent += 1
        return state

    def answer(self, problem: AttributeControl, state: UltraGenState) -> dict[str, Any]:
        """The weights."""
        return weights_of(state.model)

    def done(self, problem: AttributeControl, state: UltraGenState) -> str | None:
        """After both phases."""
        if state.step < self.ar_steps:
            return None
        if self.strategy == "none":
            return "the texts are learnt"
        if state.asked < len(self.unseen(problem, state.seed)):
            return None
        if not len(state.pairs):
            return "no set has two texts of different worth, so nothing is preferred"
        ended = state.descent >= gpo_steps(state.pairs, self)
        return f"{len(state.pairs)} preferences are learnt" if ended else None
