"""What is known of an evaluation that failed: the error, the line of the user's code, a hint."""

from __future__ import annotations

import functools
import sys
import sysconfig
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from .errors import WorkerTraceback

F = TypeVar("F", bound=Callable[..., Any])
OURS = str(Path(__file__).parents[1])
"""The folder of this package."""


@dataclass(slots=True)
class Failure:
    """Why an evaluation failed, for the person who wrote the function.

    Attributes:
        line: File, number and text of the line of the user's code that failed; "" where the fault
            is in no such line (a wrong shape, a process that died).
        trace: Its traceback as text, without our own frames.
        hint: What may be meant, as a sentence; "" without a guess.
        error: What was raised; None once it crossed from a worker process.
    """

    line: str = ""
    trace: str = ""
    hint: str = ""
    error: BaseException | None = None

    @classmethod
    def of(cls, error: BaseException, hint: str = "") -> Failure:
        """Read an exception that was caught outside the user's code.

        Args:
            error: The exception.
            hint: What may be meant.
        """
        inner = _outside(error.__traceback__)
        if inner is None:
            return cls(hint=hint, error=error)
        frames = traceback.extract_tb(inner)
        own = [f for f in frames if is_users(f.filename)]
        frame = own[-1] if own else frames[-1]
        line = f"{near(frame.filename)}, line {frame.lineno}, in {frame.name}"
        line += f": {frame.line}" if frame.line else ""
        trace = "".join(traceback.format_exception(type(error), error, inner))
        return cls(line, trace, hint, error.with_traceback(inner))

    @property
    def cause(self) -> BaseException | None:
        """What was raised, or, where only its text crossed from a worker, that."""
        return self.error or (WorkerTraceback(self.trace) if self.trace else None)

    def __getstate__(self) -> tuple[str, str, str]:
        return self.line, self.trace, self.hint

    def __setstate__(self, state: tuple[str, str, str]) -> None:
        self.line, self.trace, self.hint = state
        self.error = None


def users_own(function: F) -> F:
    """A user's function whose exceptions are marked as the user's, so that no method's settings are
    blamed for them.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            with suppress(AttributeError):  # of an exception with slots
                error.of_the_user = True  # type: ignore[attr-defined]
            raise

    return call  # type: ignore[return-value]


def is_users_own(error: BaseException) -> bool:
    """Whether an exception came out of a function of the user's that `users_own` has marked."""
    return bool(getattr(error, "of_the_user", False))


def _outside(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from its first frame outside this package on, None where there is none."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(OURS):
        trace = trace.tb_next
    return trace


@cache
def _libraries() -> tuple[str, ...]:
    """Folders whose code is no user's: the standard library, what is installed, this package."""
    paths = sysconfig.get_paths()
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    return (OURS, *{paths[kind] for kind in kinds}, *(p for p in sys.path if "-packages" in p))


def is_users(filename: str | None) -> bool:
    """Return whether a file of code is the user's own, not a library's.

    Args:
        filename: As a code object has it; "<stdin>" and notebook cells are the user's.
    """
    if filename is None or filename.startswith("<frozen"):
        return False
    return not filename.startswith(_libraries())


def near(filename: str) -> str:
    """A file as a person in the current folder would name it."""
    try:
        return str(Path(filename).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return filename


def inputs_text(inputs: dict[str, Any], most: int = 12) -> str:
    """Inputs by name in one line, the first few where there are many."""
    shown = ", ".join(f"{k} = {v!r}" for k, v in list(inputs.items())[:most])
    rest = len(inputs) - most
    return shown + (f" and {rest} more (all in .inputs of this error)" if rest > 0 else "")
