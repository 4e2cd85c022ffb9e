"""Ask and tell: the base of every method of this room. A step asks for points, evaluates them and
tells the outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.ledger import Observations
from ..core.problem import Method
from ..core.run import active_run
from ..core.warning import warn
from .problem import BlackBox

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(slots=True)
class Proposals:
    """Points to evaluate.

    Attributes:
        x: (n, d) the points.
        tag: (n,) the method's own label of each, which comes back with the outcome; -1 for none.
    """

    x: Float[np.ndarray, "n d"]
    tag: Int[np.ndarray, " n"]

    @classmethod
    def of(cls, x: Float[np.ndarray, "n d"]) -> Proposals:
        """Proposals without labels."""
        return cls(x, np.full(len(x), -1))


def say(note: str) -> None:
    """Warn the user of something a method had to do otherwise, and keep it with the active run's
    notes.
    """
    run = active_run.get()
    if run is not None and note not in run.notes:
        run.notes.append(note)
    warn(note)


@dataclass(frozen=True)
class AskTell(Method):
    """A method that proposes points and learns from outcomes, in any order and partly.

    Asking again before telling is legal. A failed row has a NaN objective and an infinite
    violation.
    """

    solves: ClassVar[type[BlackBox]] = BlackBox
    asks: ClassVar[bool] = True
    avoids: ClassVar[bool] = True

    def ask(self, problem: BlackBox, state: Any, n: int | None = None) -> Proposals:
        """Propose points; all of them obey the box and the known constraints.

        Args:
            problem: What is optimised.
            state: The method's state, which may be changed.
            n: How many; None for the method's natural batch.

        Raises:
            Pending: Nothing can be proposed before open proposals are told.
        """
        raise TypeError(f"{type(self).__name__} does not define ask")

    def tell(self, problem: BlackBox, state: Any, seen: Observations) -> None:
        """Learn from outcomes.

        Args:
            problem: What is optimised.
            state: The method's state, which is changed.
            seen: Outcomes of earlier proposals, by their tag, or of points that somebody else chose
                (tag -1).
        """
        raise TypeError(f"{type(self).__name__} does not define tell")

    def step(self, problem: BlackBox, state: Any) -> Any:
        """tell(evaluate(ask))."""
        proposed = self.ask(problem, state)
        self.tell(problem, state, problem.evaluate(proposed.x, proposed.tag))
        return state

    def answer(self, problem: BlackBox, state: Any) -> Any:
        """The best observation of the active run: an answer is something that was measured."""
        run = active_run.get()
        return None if run is None else run.incumbent()
