"""Bidirectional design as a method of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.problem import Method, Problem
from .bib import DesignState, advance, begin, close_round, harvest
from .letters import decode
from .problem import Designs, SequenceDesign
from .settings import BIBSettings

if TYPE_CHECKING:
    from jaxtyping import Int


def ranked(
    problem: SequenceDesign, codes: Int[np.ndarray, "k L"], settings: BIBSettings
) -> Designs:
    """Return designs with the scores that the forward head predicts, best first."""
    if not len(codes):
        return Designs([], np.zeros(0))
    predicted = problem.offline(settings).predict(codes, problem.letters)
    order = np.argsort(-predicted, kind="stable")
    return Designs(decode(codes[order], problem.alphabet), predicted[order])


@dataclass(slots=True)
class BIBState:
    """Where a run stands.

    Attributes:
        designs: The designs.
        why: Why it is over; empty where it is not.
    """

    designs: DesignState
    why: str = ""


@dataclass(frozen=True)
class BIB(BIBSettings, Method):
    """Bidirectional design: a step is one of Adam, of all designs.

    The settings are those of `settings.BIBSettings`. Designs that are missing after `steps` are
    made from the next best starts, while the budget lasts.

    References:
        Chen et al., ICML 2023, arXiv 2301.02931.
    """

    solves: ClassVar[type[Problem]] = SequenceDesign
    name: ClassVar[str] = "bib"

    def init(self, problem: SequenceDesign, rng: np.random.Generator) -> BIBState:
        """Fit to the data, and stand at the best sequences."""
        offline = problem.offline(self)
        if self.needs_aux:
            problem.auxiliary(self)
        n, rules = problem.n_designs, problem.rules
        return BIBState(begin(offline, problem.alphabet, n, self, rng, rules))

    def step(self, problem: SequenceDesign, state: BIBState) -> BIBState:
        """Move all designs; at the end of a round take them."""
        offline = problem.offline(self)
        aux = problem.auxiliary(self) if self.needs_aux else None
        n, rules = problem.n_designs, problem.rules
        advance(offline, aux, self, state.designs, rules)
        if state.designs.t >= self.steps:
            closed = close_round(offline, n, self, state.designs, rules, problem.alphabet)
            state.why = closed or ""
        return state

    def answer(self, problem: SequenceDesign, state: BIBState) -> Designs:
        """What is new so far, ranked by the forward head."""
        codes, n = state.designs.found, problem.n_designs
        if not state.why:
            offline, rules = problem.offline(self), problem.rules
            codes = harvest(offline, state.designs, rules, problem.alphabet, n)
        return ranked(problem, codes, self)

    def done(self, problem: SequenceDesign, state: BIBState) -> str | None:
        """When there are enough designs, or no more starts."""
        return state.why or None
