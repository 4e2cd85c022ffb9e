"""CMA-ES of the package cma on the logits of designs, against the forward head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.budget import spend
from ...core.checks import real, whole
from .baselines import Candidates, Search, fitted
from .letters import one_hot
from .problem import SequenceDesign

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class SequenceCMA(Search):
    """CMA-ES from the best sequences; all points that it tries are candidates.

    Attributes:
        sigma: First step size, in units of a logit.
        generations: Generations of one start; a step is one start.
    """

    name: ClassVar[str] = "sequence-cma"
    requires: ClassVar[tuple[str, ...]] = ("cma",)

    sigma: float = 0.5
    generations: int = 20

    def __post_init__(self) -> None:
        real("sigma", self.sigma, above=0)
        whole("generations", self.generations, least=1, most=10**6)

    def predict(
        self, problem: SequenceDesign, codes: Int[np.ndarray, "m L"]
    ) -> Float[np.ndarray, " m"]:
        """Return scores by the forward head."""
        spend(predictions=len(codes))
        return fitted(problem).predict(codes, problem.letters)

    def step(self, problem: SequenceDesign, state: Candidates) -> Candidates:
        """Run it from the next start."""
        import cma

        known, letters = fitted(problem).codes, problem.letters
        start = one_hot(known[state.k % len(known)], letters)
        options = {"seed": int(state.rng.integers(1, 2**31)), "verbose": -9}
        es = cma.CMAEvolutionStrategy(start.ravel(), self.sigma, options)
        tried, values = [], []
        for _ in range(self.generations):
            points = es.ask()
            codes = np.array(points).reshape(len(points), -1, letters).argmax(axis=2)
            predicted = self.predict(problem, codes)
            es.tell(points, (-predicted).tolist())
            tried.append(codes)
            values.append(predicted)
        self.take(problem, state, np.concatenate(tried), np.concatenate(values))
        return state
