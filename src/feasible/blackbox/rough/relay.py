"""Two methods after one another: the one for smooth functions, until an evaluation fails or values
turn out not to repeat; then the one that neither misleads, which is told all rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.checks import one_of
from ..asktell import AskTell, Proposals
from ..gp_sqp import GPSQP, SQPState
from ..sampling import seed_from
from ..smooth import Hybrid, HybridState
from .inputs import Inputs
from .run import RobustBO, again
from .state import RobustState, take

if TYPE_CHECKING:
    from ...core.ledger import Observation, Observations
    from ..problem import BlackBox

LATEST = 300
"""Rows after which nothing is handed over: the first method's are cheaper then."""
SHARE = 0.02
"""Share of failed rows at which the first method hands over."""
CHECKS = 3, 20
"""Rows for each input at which the best row is evaluated again, to see whether values repeat."""
FIRSTS: dict[str, type[Hybrid] | type[GPSQP]] = {"hybrid-sqp": Hybrid, "gp-sqp": GPSQP}
"""Methods that may come first."""
NEITHER, FIRST, SECOND = -1, 0, 1
"""Whose proposal a point is."""


@dataclass(slots=True)
class RelayState:
    """State of a relay.

    Attributes:
        first: Of the method for smooth functions.
        second: Of the other one, which hears of every row.
        handed: Whether the second one proposes.
        checks: How often the best row was evaluated again.
        out: Whose a proposal that is out is, and its tag there, by tag.
        asked: Proposals so far.
    """

    first: HybridState | SQPState
    second: RobustState
    handed: bool = False
    checks: int = 0
    out: dict[int, tuple[int, int]] = field(default_factory=dict)
    asked: int = 0


@dataclass(frozen=True)
class Relay(AskTell):
    """A method for smooth functions, which hands over to `robust-bo` when values do not repeat or
    evaluations fail.

    It minimises f(x) under limits, all known by evaluations only. In the first 300 rows the best
    row is evaluated again twice, after 3 and 20 rows for each input; where its value is another
    one, or where 2 % of the rows or more have failed, robust-bo goes on with all rows.

    Attributes:
        first: "hybrid-sqp", or "gp-sqp".

    Raises:
        ArgumentError: Another method.

    Example:
        >>> import feasible
        >>> from feasible.blackbox import BlackBox
        >>> problem = BlackBox(lambda x: (x[0] - 0.3) ** 2 + x[1] ** 2, bounds=[(-1, 1)] * 2)
        >>> result = feasible.solve(problem, "relay", budget=40, seed=0)
        >>> bool(result.verdict.objective < 1e-8)
        True
    """

    name: ClassVar[str] = "relay"
    recommends: ClassVar[bool] = True
    uses_errors: ClassVar[bool] = True
    first: str = "hybrid-sqp"

    def __post_init__(self) -> None:
        one_of("first", self.first, tuple(FIRSTS))

    def _first(self) -> Any:
        """The method that comes first."""
        return FIRSTS[self.first]()

    def least(self, problem: BlackBox) -> int:
        """Evaluations below which there is only the first design."""
        return self._first().least(problem)

    def init(self, problem: BlackBox, rng: np.random.Generator) -> RelayState:
        """Both begin without rows."""
        first = self._first().init(problem, rng)
        return RelayState(first, RobustState.empty(problem, seed_from(rng), 1))

    def ask(self, problem: BlackBox, state: RelayState, n: int | None = None) -> Proposals:
        """What the method whose turn it is proposes, or the best row once more."""
        who, found = FIRST, None
        if not state.handed:
            found = self._check(problem, state)
            who = NEITHER if found is not None else FIRST
        if found is None and state.handed:
            who, found = SECOND, RobustBO().ask(problem, state.second, n)
        found = self._first().ask(problem, state.first, n) if found is None else found
        tags = np.arange(state.asked, state.asked + len(found.x))
        for tag, own in zip(tags.tolist(), found.tag.tolist(), strict=True):
            state.out[tag] = who, own
        state.asked += len(found.x)
        return Proposals(found.x, tags)

    def _check(self, problem: BlackBox, state: RelayState) -> Proposals | None:
        """Return the best row once more where it is time to see whether values repeat."""
        second, d = state.second, problem.space.d
        if not problem.space.bounded or second.noisy or state.checks >= len(CHECKS):
            return None
        best = second.best(problem.tolerance)
        if second.n > LATEST or second.n < CHECKS[state.checks] * d or best < 0:
            return None
        state.checks += 1
        one = again(problem, Inputs.of(problem), second, best)
        if one is None:
            return None
        second.pending[second.asked] = one.x, one.kind, one.step, one.row
        second.asked += 1
        return Proposals(one.x[None], np.array([second.asked - 1]))

    def tell(self, problem: BlackBox, state: RelayState, seen: Observations) -> None:
        """Tell both; hand over where that is due."""
        whose = [state.out.pop(tag, (NEITHER, -1)) for tag in seen.tag.tolist()]
        foreign = seen.tag < 0
        mine = np.array([who == FIRST for who, _ in whose], dtype=bool) | foreign
        theirs = np.array([-1 if who == FIRST else own for who, own in whose], dtype=int)
        if state.handed or (problem.space.bounded and state.second.n <= LATEST):
            told = replace(seen, tag=theirs)
            room = len(seen) if state.handed else LATEST + 1 - state.second.n
            take(problem, state.second, told.rows(slice(0, room)))
        if not state.handed and mine.any():
            own = np.array([tag if who == FIRST else -1 for who, tag in whose], dtype=int)
            self._first().tell(problem, state.first, replace(seen, tag=own).rows(mine))
        if not state.handed and state.second.n <= LATEST:
            second = state.second
            failed = int(second.failed.sum())
            state.handed = second.noisy or (failed > 0 and failed >= SHARE * second.n)
            second.asked = max(second.asked, second.n)

    def done(self, problem: BlackBox, state: RelayState) -> str | None:
        """What the method whose turn it is says."""
        if state.handed:
            return RobustBO().done(problem, state.second)
        return self._first().done(problem, state.first)

    def answer(self, problem: BlackBox, state: RelayState) -> Observation | None:
        """The row that is expected to be best where values do not repeat, else the best row."""
        if state.handed:
            return RobustBO().answer(problem, state.second)
        return super().answer(problem, state)

    def recommend(self, problem: BlackBox, state: RelayState) -> int | None:
        """The row that is expected to be best, where robust-bo has taken over."""
        return RobustBO().recommend(problem, state.second) if state.handed else None

    def remarks(self, problem: BlackBox, state: RelayState) -> list[str]:
        """Why it handed over, and how sure the answer is."""
        if not state.handed:
            return []
        why = "values do not repeat" if state.second.noisy else "evaluations failed"
        own = RobustBO().remarks(problem, state.second)
        return [f"{self.first} handed over to robust-bo, since {why}", *own]


__all__ = ["Relay", "RelayState"]
