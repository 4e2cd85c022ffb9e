"""What is asked of responses: rewards and judges, in the shape that TRL's reward functions have.

    f(completions, prompts=..., **columns) -> a number (of a judge, True or False) or None for each

None says that it does not apply. What a function makes of one response must not lose what it made
of others: where a call raises, it is asked once more for each response alone.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import shown
from ..core.child import Child, ChildLost
from ..core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BudgetError,
    EvaluationFailed,
    FeasibleError,
    ShapeError,
    StopRun,
    is_number,
)
from ..core.failure import Failure
from ..core.warning import warn

if TYPE_CHECKING:
    from jaxtyping import Float


class ScoreWarning(UserWarning):
    """A reward or a judge gave no value for some responses."""


@dataclass
class Asked:
    """What a reward or a judge said of responses.

    Attributes:
        values: (B,) numbers, of a judge 0 or 1; NaN where it does not apply, or a reward failed.
        reasons: Row -> why it gave none.
    """

    values: Float[np.ndarray, " B"]
    reasons: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scorer:
    """A reward or a judge.

    Attributes:
        name: As errors say it.
        function: The user's.
        judge: It says yes or no; one that fails has said no.
        timeout: Seconds for one response, which is then asked of another process; None: no limit.
    """

    name: str
    function: Callable[..., Any]
    judge: bool = False
    timeout: float | None = None

    def ask(
        self, prompts: Sequence[str], texts: Sequence[str], columns: Mapping[str, Sequence[Any]]
    ) -> Asked:
        """What it says of responses.

        Args:
            prompts: (B) of each response.
            texts: (B) responses.
            columns: Name -> (B) entries.

        Raises:
            ShapeError: Not one value for each.
            ArgumentTypeError: A value that is none.
            EvaluationFailed: A reward that gave no value for any of several responses.
        """
        found = Asked(np.full(len(texts), math.nan))
        if not len(texts):
            return found
        if self.timeout is None:
            try:
                values = self._call(list(texts), prompts, columns)
            except (StopRun, ShapeError, ArgumentTypeError, BudgetError):
                raise
            except Exception as error:
                if len(texts) == 1:
                    found.reasons[0] = _said(error)
                else:
                    self._each(found, prompts, texts, columns, self._alone)
            else:
                for i, value in enumerate(values):
                    self._keep(found, i, value)
        else:
            self._apart(found, prompts, texts, columns)
        self._report(found)
        return found

    def _call(self, texts: list[str], prompts: Sequence[str], columns: Mapping[str, Any]) -> Any:
        """Ask the function for several responses, and wait where it is asynchronous."""
        given = {"completions": texts, "prompts": list(prompts)}
        given |= {name: list(column) for name, column in columns.items()}
        values = self.function(**given)
        if inspect.isawaitable(values):

            async def wait(of: Any = values) -> Any:
                return await of

            with ThreadPoolExecutor(1) as pool:  # a notebook's own loop may be running here
                values = pool.submit(lambda: asyncio.run(wait())).result()
        values = values.tolist() if hasattr(values, "tolist") else values
        if not isinstance(values, (list, tuple)):
            raise ArgumentTypeError(
                f"{self.name}: it returned {shown(values)}, expected a list of a value a response"
            )
        if len(values) != len(texts):
            raise ShapeError(
                f"{self.name}: it returned {len(values)} values for {len(texts)} completions"
            )
        return values

    def _alone(self, row: tuple[str, str, dict[str, Any]]) -> Any:
        """Ask the function for one response."""
        prompt, text, entries = row
        return self._call([text], [prompt], {k: [v] for k, v in entries.items()})[0]

    def _each(
        self,
        found: Asked,
        prompts: Sequence[str],
        texts: Sequence[str],
        columns: Mapping[str, Sequence[Any]],
        ask: Callable[[tuple[str, str, dict[str, Any]]], Any],
    ) -> None:
        """Ask for one response after the other."""
        for i, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
            try:
                value = ask((prompt, text, {k: column[i] for k, column in columns.items()}))
            except (StopRun, ShapeError, ArgumentTypeError, BudgetError):
                raise
            except Exception as error:
                found.reasons[i] = _said(error)
            else:
                self._keep(found, i, value)

    def _apart(
        self,
        found: Asked,
        prompts: Sequence[str],
        texts: Sequence[str],
        columns: Mapping[str, Sequence[Any]],
    ) -> None:
        """Ask in another process, which is killed where it hangs and begun anew."""
        child = [Child(self._alone, self.timeout)]

        def ask(row: tuple[str, str, dict[str, Any]]) -> Any:
            try:
                return child[0].ask(row)
            except ChildLost:
                child[0] = Child(self._alone, self.timeout)
                raise

        try:
            self._each(found, prompts, texts, columns, ask)
        finally:
            child[0].close()

    def _keep(self, found: Asked, i: int, value: Any) -> None:
        """Take a value, or why it is none."""
        if value is None:
            return
        if isinstance(value, (bool, np.bool_)):
            found.values[i] = float(value)
        elif not is_number(value):
            raise ArgumentTypeError(
                f"{self.name}: it returned {shown(value)} for response {i}, expected "
                f"{'True, False' if self.judge else 'a number'} or None"
            )
        elif not math.isfinite(value):
            found.reasons[i] = f"it returned {float(value):g}"
        elif self.judge and value not in (0, 1):
            raise ArgumentError(
                f"{self.name}: it returned {shown(value)} for response {i}, expected True, False "
                "or None"
            )
        else:
            found.values[i] = float(value)

    def _report(self, found: Asked) -> None:
        """Say of which responses nothing is known, and why; a judge that failed has said no."""
        if not found.reasons:
            return
        first, reason = next(iter(found.reasons.items()))
        n, many = len(found.values), len(found.reasons)
        if self.judge:
            found.values[list(found.reasons)] = 0.0
        elif many == n and n > 1:
            raise EvaluationFailed(
                reason,
                message=f"{self.name}: it gave no value for any of {n} responses; of the first: "
                f"{reason}",
            )
        counts = "counts as a check that failed" if self.judge else "is left out"
        warn(
            f"{self.name} gave no value for {many} of {n} responses, which {counts}; response "
            f"{first}: {reason}",
            ScoreWarning,
        )


def _said(error: Exception) -> str:
    """Return why a call failed, with the line of the user's code."""
    line = "" if isinstance(error, (ChildLost, FeasibleError)) else Failure.of(error).line
    said = " ".join(str(error).split())[:200]
    kind = "" if isinstance(error, ChildLost) else f"{type(error).__name__}: "
    return f"{kind}{said}" + (f" ({line})" if line else "")


def columns_of(
    name: str, columns: Mapping[str, Sequence[Any]] | None, n: int
) -> dict[str, list[Any]]:
    """Columns as lists, one entry a prompt.

    Args:
        name: The argument.
        columns: As they were given.
        n: Prompts.

    Raises:
        ArgumentTypeError: They are no mapping of sequences.
        ShapeError: One has another length.
        ArgumentError: One has a name that is taken.
    """
    if columns is not None and not isinstance(columns, Mapping):
        raise ArgumentTypeError(f"{name}={shown(columns)}: expected a mapping to sequences")
    found: dict[str, list[Any]] = {}
    for key, column in (columns or {}).items():
        if isinstance(column, (str, bytes)) or not hasattr(column, "__len__"):
            raise ArgumentTypeError(f"{name}[{key!r}]={shown(column)}: expected a sequence")
        if len(column) != n:
            raise ShapeError(f"{name}[{key!r}] has {len(column)} entries, expected {n}, one a "
                             "prompt")  # fmt: skip
        if key in ("completions", "prompts"):
            raise ArgumentError(f"{name}: {key!r} is what rewards are given anyway")
        found[str(key)] = list(column)
    return found
