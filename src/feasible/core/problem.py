"""Problem: what is to be optimised. Method: how. The two meet only in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .errors import ArgumentError
from .verdict import Verdict


class Problem:
    """Holds the data and the oracles a method may call. It knows nothing of methods.

    Two duties: its oracles call `spend` before they compute, and `judge` measures an answer
      independently.
    A subclass is usually a dataclass; it has a `name`.
    """

    name: str = "problem"
    best_known: float | None = None
    """Objective of the best known feasible answer, where the literature has one."""
    example_budget: ClassVar[str] = "evaluations=200"
    """A budget as the command line takes it, for the calls that `feasible explain` prints."""
    keeps_ledger: ClassVar[bool] = False
    """True where every evaluation is a row of the run's ledger and an answer is one of these rows
    (the blackbox room).
    """
    answers: ClassVar[tuple[type, ...]] = ()
    """Dataclasses of its answers, so that a stored one can be read back; none where they are plain
    data, arrays or tensors.
    """
    last: ClassVar[bool] = False
    """True where a run's answer is its last one, because it is judged on data that must not choose
    (held-out data); an earlier one counts only
    where it keeps to the limits and the last does not."""

    def outline(self) -> list[str]:
        """What `feasible explain` prints of it, as lines: the variables of its `space` and its
        `limits`, where it has such.
        """
        variables, limits = (
            getattr(getattr(self, name, None), of, ())
            for name, of in (("space", "variables"), ("limits", "limits"))
        )
        lines = (
            ["variables:", *(f"  {v.title} in [{v.low:g}, {v.high:g}]" for v in variables)]
            if variables
            else []
        )
        return lines + (["limits:", *(f"  {q.name} {q.text}" for q in limits)] if limits else [])

    def write(self, answer: Any, path: str) -> None:
        """Write an answer to a file (`feasible solve --output`). Raises ArgumentError where there
        is no format for it.
        """
        raise ArgumentError(
            f"output={path!r}: the answers of a {type(self).__name__} have no file format; `show` "
            "prints them"
        )

    def present(self, answer: Any) -> Any:
        """The answer as a person should get it; by default as it is."""
        return answer

    def judge(self, answer: Any) -> Verdict:
        """Measure an answer. Must not trust anything the method says about it."""
        raise TypeError(f"{type(self).__name__} does not define judge(answer) -> Verdict")


@dataclass(frozen=True)
class Method:
    """A published method with its settings (the dataclass fields). No hidden state, no globals.

    `solves` names the Problem class it takes; a method may define least(problem), the number of
    evaluations below which a run warns.
    """

    solves: ClassVar[type[Problem]] = Problem
    name: ClassVar[str] = "method"

    def init(self, problem: Any, rng: np.random.Generator) -> Any:
        """Allocate the state; may spend."""
        raise TypeError(f"{type(self).__name__} does not define init(problem, rng)")

    def step(self, problem: Any, state: Any) -> Any:
        """One natural unit of progress; may update the state in place and return it."""
        raise TypeError(f"{type(self).__name__} does not define step(problem, state)")

    def answer(self, problem: Any, state: Any) -> Any:
        """What the method would answer now. Must not alias what later steps change."""
        raise TypeError(f"{type(self).__name__} does not define answer(problem, state)")

    def done(self, problem: Any, state: Any) -> str | None:
        """Why it has converged or cannot go on, in a sentence; None to go on."""
        return None
