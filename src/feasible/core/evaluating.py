"""How a run evaluates: its options, said once for solve, race, the store and the command line, and
the engines that make the calls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from .checks import flag, one_of, real, whole
from .threads import DEFAULT


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How a run makes evaluations that are paid for one by one.

    Attributes:
        on_failure: "raise" ends the run at a failed evaluation; "skip" records the failure and goes
            on.
        retry: How often a failed evaluation is tried again; each try is charged.
        workers: Local processes that evaluate a batch in parallel.
        evaluation_timeout: Seconds after which an evaluation is killed; None for no limit. More
            than one worker, or a timeout, means local processes.
        find_feasible: Stop at the first feasible point.
        stop_at: Stop when a feasible answer reaches this value of the objective, in the user's own
            sense (at least it where the objective is maximised, at most it otherwise; of an
            objective with a target, its distance from it; of several, their hypervolume). None to
            go on.
        threads: Threads of BLAS, OpenMP and torch inside the run; part of the result, because they
            decide how sums round. None: one, with which small models are quickest, or as many as a
            stored run began with.

    Raises:
        ArgumentError: A value out of range.
        ArgumentTypeError: A value of the wrong type.
    """

    on_failure: str = "raise"
    retry: int = 0
    workers: int = 1
    evaluation_timeout: float | None = None
    find_feasible: bool = False
    stop_at: float | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        one_of("on_failure", self.on_failure, ("raise", "skip"))
        whole("retry", self.retry, least=0)
        whole("workers", self.workers, least=1)
        if self.evaluation_timeout is not None:
            real("evaluation_timeout", self.evaluation_timeout, above=0, note=" of seconds")
        if self.threads is not None:
            whole("threads", self.threads, least=1)
        flag("find_feasible", self.find_feasible)
        if self.stop_at is not None:
            note = ", or None to go on until the budget is used up"
            object.__setattr__(self, "stop_at", real("stop_at", self.stop_at, note=note))

    @property
    def thread_count(self) -> int:
        """Threads inside the run."""
        return DEFAULT if self.threads is None else self.threads


RACING = RunOptions(on_failure="skip")
"""What a race takes: a failed evaluation must not end a trial."""


class Engine(Protocol):
    """Where evaluations run. `map` yields (index, value or exception) as each finishes."""

    workers: int

    def close(self) -> None:
        """End what it holds."""

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        timeout: float | None = None,
        more: Callable[[], bool] = lambda: True,
    ) -> Iterator[tuple[int, Any]]:
        """Apply `function` to every item; an exception is yielded, not raised.

        Args:
            function: Called with one item.
            items: What it is called with.
            timeout: Seconds after which a call is ended.
            more: Asked before a call begins; where it says no, none begins any more, and those that
                run are waited for.
        """


class InProcess:
    """The plain engine: one call after the other, in this process. It cannot end a call that
    hangs.
    """

    workers = 1

    def close(self) -> None:
        """Nothing is held."""

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        timeout: float | None = None,
        more: Callable[[], bool] = lambda: True,
    ) -> Iterator[tuple[int, Any]]:
        """Apply `function` to every item in order."""
        for i, item in enumerate(items):
            if not more():
                return
            try:
                yield i, function(item)
            except (Exception, SystemExit) as error:
                yield i, error
