"""People who compare pairs of episodes: a function that stands for one, or tables that they fill in
(`feasible ask` prints pairs, `feasible tell` takes which was preferred).

A label is one answer of a person, so it is charged before it is asked for and cannot be had back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from .budget import active_meter
from .checks import real
from .errors import ArgumentError, ArgumentTypeError, EvaluationFailed, TableError
from .experiments import Column, Guard, Ran
from .ledger import DONE, FAILED, PENDING, Observations
from .verdict import Verdict

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SIDES = ("first", "second")
PREFERRED = "first_preferred"
"""The result: 1 where the first is preferred, 0 where the second is, 0.5 where they are alike."""


def affordable(batch: int) -> int:
    """Return how many of a batch the active run has labels left for; at least 1."""
    meter = active_meter.get()
    return batch if meter is None else int(max(min(batch, meter.left("labels")), 1))


def segment(episode: Int[np.ndarray, "H 2"]) -> dict[str, Int[np.ndarray, " H"]]:
    """Return an episode as a person's function takes it."""
    return {"states": episode[:, 0].copy(), "actions": episode[:, 1].copy()}


def number(name: str, found: Any) -> float:
    """Return what a user's function gave. Raises EvaluationFailed."""
    try:
        return real(name, found)
    except (ArgumentError, ArgumentTypeError) as error:
        raise EvaluationFailed(f"{error}") from error


def label(found: Any) -> float:
    """Return a preference from 0 to 1. Raises EvaluationFailed."""
    value = number("preference", found)
    if not 0 <= value <= 1:
        raise EvaluationFailed(f"preference={value:g}: expected a number in [0, 1]")
    return value


@dataclass(frozen=True)
class Comparisons:
    """The comparisons of episodes of a finite decision process.

    A row's numbers are (state, action) at each step of the first episode, then of the second; a
    person reads them by name, such as "low:raise, high:keep".

    Attributes:
        horizon: H, steps of an episode.
        states: Names of the states.
        actions: Names of the actions.
        person: Labels of pairs, charged, by the number of the first, which follows from the pair;
            None where nobody is there.
    """

    horizon: int
    states: tuple[str, ...]
    actions: tuple[str, ...]
    person: Callable[[np.ndarray, int], np.ndarray] | None = None

    @property
    def free_repeats(self) -> bool:
        """False: a person may answer otherwise the second time."""
        return False

    @property
    def endless(self) -> bool:
        """False: there are so many pairs."""
        return False

    @property
    def automatic(self) -> bool:
        """True where the problem has a person's function."""
        return self.person is not None

    @property
    def inputs(self) -> list[Column]:
        """Both episodes."""
        return [Column(side, side, kind="text") for side in SIDES]

    @property
    def results(self) -> list[Column]:
        """Which was preferred."""
        return [Column(PREFERRED, PREFERRED)]

    def reserves(self, budget: Mapping[str, float]) -> dict[str, float]:
        """One label."""
        return {"labels": 1.0}

    def charges(self, reserved: Mapping[str, float], status: int) -> dict[str, float]:
        """All of it."""
        return dict(reserved)

    def admit(
        self, points: Float[np.ndarray, "n d"], taken: Float[np.ndarray, "t d"]
    ) -> list[tuple[Float[np.ndarray, " d"], bool]]:
        """Every pair may be asked, again too."""
        return [(np.rint(x), True) for x in points]

    def tried(self) -> Guard | None:
        """None: any pair may be proposed again."""
        return None

    def vector(self, inputs: Mapping[str, Any], what: str) -> Float[np.ndarray, " d"]:
        """Return the numbers of two episodes given as text. Raises ArgumentError."""
        absent = [side for side in SIDES if side not in inputs]
        if absent:
            raise ArgumentError(f"{what}: no {absent[0]} episode; expected {' and '.join(SIDES)}")
        return np.concatenate([self._read(inputs[side], f"{what}: {side}") for side in SIDES])

    def _read(self, text: Any, what: str) -> Float[np.ndarray, " d"]:
        """Return (state, action) at each step of one episode, one after the other."""
        names = (self.states, self.actions)
        steps = [step.strip().partition(":")[::2] for step in str(text).split(",")]
        if len(steps) != self.horizon:
            raise ArgumentError(
                f"{what} has {len(steps)} steps: expected {self.horizon}, as STATE:ACTION, "
                "separated by commas"
            )
        found = []
        for step in steps:
            for name, known in zip(step, names, strict=True):
                if name.strip() not in known:
                    raise ArgumentError(
                        f"{what} has '{name.strip()}': expected one of {', '.join(known)}"
                    )
                found.append(float(known.index(name.strip())))
        return np.array(found)

    def values(self, x: Sequence[float]) -> dict[str, Any]:
        """Return both episodes as text, by side."""
        return dict(zip(SIDES, self.texts(x), strict=True))

    def texts(self, x: Sequence[float]) -> list[str]:
        """Return both episodes as text."""
        states, actions = self.states, self.actions
        sides = np.rint(np.asarray(x)).astype(int).reshape(2, -1, 2)
        return [", ".join(f"{states[s]}:{actions[a]}" for s, a in side) for side in sides]

    def parse(self, cells: Mapping[str, Any], where: str) -> dict[str, Any] | None:
        """Return both episodes from a row's cells. Raises TableError where one is missing."""
        given = {side: cells[side] for side in SIDES if cells.get(side, "") != ""}
        if len(given) == 1:
            absent = next(side for side in SIDES if side not in given)
            raise TableError(f"{where}: no {absent} episode; nothing was stored")
        return given or None

    def observe(
        self, x: Float[np.ndarray, " d"], metrics: Mapping[str, float], failed: str | None, row: int
    ) -> Observations:
        """Return one row from a preference that somebody told. Raises ArgumentError."""
        told = float(metrics.get(PREFERRED, np.nan))
        if not (np.isnan(told) or 0 <= told <= 1):
            raise ArgumentError(f"{PREFERRED}={told:g}: expected a number in [0, 1]")
        lost = failed is not None or np.isnan(told)
        return Observations(
            np.asarray(x, dtype=float)[None],
            np.array([np.nan if lost else 0.0]),
            np.zeros((1, 0)),
            np.array([[told]]),
            (PREFERRED,),
            np.array([FAILED if lost else DONE]),
            np.array([row]),
            np.array([-1]),
            {0: failed or "no preference"} if lost else {},
        )

    def waiting(self, metrics: Mapping[str, float]) -> int:
        """Return PENDING: there is one result only."""
        return PENDING

    def run(self, x: Float[np.ndarray, " d"]) -> Ran:
        """Ask the problem's own person."""
        pair = np.rint(x).astype(np.int64).reshape(1, 2, -1, 2)
        number = crc32(pair.tobytes())
        try:
            if self.person is None:
                raise ArgumentError("person=None: there is nobody to ask")
            return Ran({PREFERRED: float(self.person(pair, number)[0])})
        except (Exception, SystemExit) as error:
            return Ran({}, "failed", f"{type(error).__name__}: {error}")

    def numbers(self, best: Any) -> list[int]:
        """Return no row: an answer comes from all of them."""
        return []

    def headline(self, best: Any, verdict: Verdict) -> str:
        """Return what the reward reaches."""
        shown = ", ".join(f"{k} {v:.4g}" for k, v in verdict.metrics.items())
        return f"a reward from {len(best.labels)} comparisons: {shown}"
