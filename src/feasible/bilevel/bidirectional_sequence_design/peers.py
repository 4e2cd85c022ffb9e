"""CMA-ES of the package cma on the logits of designs, against the forward head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import real, whole
from ...core.problem import Method, Problem
from .baselines import Candidates, fitted
from .letters import decode, keys, new_designs
from .problem import Designs, SequenceDesign

if TYPE_CHECKING:
    from jaxtyping import Int


@dataclass(frozen=True)
class SequenceCMA(Method):
    """CMA-ES from the best sequences; all points that it tries are candidates.

    Attributes:
        sigma: First step size, in units of a logit.
        generations: Generations of one start; a step is one start.
    """

    solves: ClassVar[type[Problem]] = SequenceDesign
    name: ClassVar[str] = "sequence-cma"
    requires: ClassVar[tuple[str, ...]] = ("cma",)

    sigma: float = 0.5
    generations: int = 20

    def __post_init__(self) -> None:
        real("sigma", self.sigma, above=0)
        whole("generations", self.generations, least=1, most=10**6)

    def init(self, problem: SequenceDesign, rng: np.random.Generator) -> Candidates:
        """Have nothing yet."""
        fitted(problem)
        return Candidates(rng, problem.codes[:0], np.zeros(0))

    def step(self, problem: SequenceDesign, state: Candidates) -> Candidates:
        """Run it from the next start."""
        import cma

        offline, letters = fitted(problem), problem.letters
        start = np.eye(letters)[offline.codes[state.k % len(offline.codes)]]
        options = {"seed": int(state.rng.integers(1, 2**31)), "verbose": -9}
        es = cma.CMAEvolutionStrategy(start.ravel(), self.sigma, options)
        tried: list[Int[np.ndarray, "p L"]] = [state.codes]
        for _ in range(self.generations):
            points = es.ask()
            codes = np.array(points).reshape(len(points), -1, letters).argmax(axis=2)
            es.tell(points, (-offline.predict(codes, letters)).tolist())
            tried.append(codes)
        codes = np.concatenate(tried)
        predicted = offline.predict(codes, letters)
        order = np.argsort(-predicted, kind="stable")
        assert problem.rules is not None
        taken = set(keys(problem.codes))
        fresh = new_designs(codes[order], taken, problem.rules, problem.codes, problem.alphabet)
        state.codes = fresh[: problem.n_designs]
        state.predicted = offline.predict(state.codes, letters) if len(fresh) else np.zeros(0)
        state.k += 1
        return state

    def answer(self, problem: SequenceDesign, state: Candidates) -> Designs:
        """The best predicted so far."""
        return Designs(decode(state.codes, problem.alphabet), state.predicted.copy())
