"""Experiments that people or workers run: what a problem says, so that they can be handed out, told
of over weeks, and written to and read from tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from .ledger import Observations
from .verdict import Verdict

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


ERROR = "_se"
"""Ends the name of a result's standard error, such as `yield_se`."""


class Column(NamedTuple):
    """A column of the tables that people see.

    Attributes:
        name: Its name in code and in JSON.
        title: Its heading, with the unit.
        unit: Its unit.
        kind: What its cells hold: "number", "yes/no" or "text".
    """

    name: str
    title: str
    unit: str = ""
    kind: str = "number"


class Ran(NamedTuple):
    """What came out of an experiment that the problem ran itself.

    Attributes:
        metrics: Results by name.
        status: "failed", "infeasible", or "" where the results say it all.
        note: Why it failed.
    """

    metrics: Mapping[str, float | None]
    status: str = ""
    note: str | None = None


class Guard(Protocol):
    """What was tried, and what may be proposed."""

    @property
    def used_up(self) -> str | None:
        """Why nothing is left to try, where that is so."""

    @property
    def finite(self) -> bool:
        """True where every point may be tried."""

    def add(
        self,
        x: Float[np.ndarray, "n d"],
        failed: Bool[np.ndarray, " n"],
        worked: Bool[np.ndarray, " n"] | None = None,
    ) -> None:
        """Take points that were tried, or that are out (neither failed nor worked)."""

    def guard(self, x: Float[np.ndarray, "n d"], seed: list[int]) -> Float[np.ndarray, "n d"]:
        """Proposals as they may be made."""

    def fresh(self, seed: list[int]) -> Float[np.ndarray, " d"] | None:
        """A point that may be tried, for a method that has none of its own."""


class Experiments(Protocol):
    """What a problem says of its experiments, see `Problem.experiments`.

    An experiment is stored as `x`, numbers that say what to do (the values of variables, or which
    two candidates to compare), and as numbers by name that say what came out. What the numbers mean
    is the problem's matter: everything that turns them into cells, text or an outcome is here.
    """

    @property
    def free_repeats(self) -> bool:
        """True where a repeated experiment tells nothing new: none is handed out twice."""

    @property
    def endless(self) -> bool:
        """True where points that are drawn at random are never the same."""

    @property
    def automatic(self) -> bool:
        """True where the problem has a function that runs an experiment, see `run`."""

    @property
    def inputs(self) -> Sequence[Column]:
        """Columns that say what to do."""

    @property
    def results(self) -> Sequence[Column]:
        """Columns that say what came out."""

    def reserves(self, budget: Mapping[str, float]) -> dict[str, float]:
        """Units by resource that handing out one experiment takes under this budget; people count
        in the first one that the budget limits.
        """

    def charges(self, reserved: Mapping[str, float], status: int) -> dict[str, float]:
        """Units that an experiment is charged of those that were reserved, by how it ended."""

    def admit(
        self, points: Float[np.ndarray, "n d"], taken: Float[np.ndarray, "t d"]
    ) -> Sequence[tuple[Float[np.ndarray, " d"], bool]]:
        """Proposed points as they would be run, and whether they may be; taken: points of
        experiments that ended or are out.
        """

    def tried(self) -> Guard | None:
        """A guard that has seen nothing yet; None where any point may be proposed again."""

    def vector(self, inputs: Mapping[str, Any], what: str) -> Float[np.ndarray, " d"]:
        """The point of inputs by name. Raises FeasibleError that begins with `what`."""

    def values(self, x: Sequence[float]) -> dict[str, Any]:
        """The inputs of a point by name, as JSON can hold them."""

    def texts(self, x: Sequence[float]) -> list[str]:
        """The inputs of a point as people read them."""

    def parse(self, cells: Mapping[str, Any], where: str) -> dict[str, Any] | None:
        """Inputs by name from the cells of a row, which hold what their columns say; None where
        none is filled.

        Raises:
            TableError: A cell is missing; the message begins with `where`.
        """

    def observe(
        self, x: Float[np.ndarray, " d"], metrics: Mapping[str, float], failed: str | None, row: int
    ) -> Observations:
        """One row from results that somebody told; failed: why there are none."""

    def waiting(self, metrics: Mapping[str, float]) -> int:
        """Status of an experiment of which only these results are told: PENDING or CHECKED."""

    def run(self, x: Float[np.ndarray, " d"]) -> Ran:
        """Run an experiment. Never raises what the user's function raises."""

    def numbers(self, best: Any) -> int | list[int]:
        """The row number of the best experiment, or of those of a front."""

    def headline(self, best: Any, verdict: Verdict) -> str:
        """What the best experiment, or the front, reached, in a few words."""
