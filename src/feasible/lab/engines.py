"""Where trials and parallel evaluations run. Local processes: a call that hangs or dies costs that
call and nothing else.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from ..core.checks import whole
from ..core.child import ending, kill_family, lead_group
from ..core.errors import ArgumentError, EvaluationFailed
from ..core.evaluating import InProcess
from ..core.threads import DEFAULT, fix_in_worker

__all__ = ["IdleWorkers", "InProcess", "LocalProcesses", "cpu_count", "report"]

LOOK = 1.0
"""Seconds between two looks at whether busy workers are alive."""


class Sends(Protocol):
    """What notes are sent by."""

    def send(self, obj: Any) -> None:
        """Send an object."""


_channel: tuple[Sends, int] | None = None


def report_by(channel: Sends, index: int) -> None:
    """From inside a worker: say by what the notes of a call go, until the next call.

    Args:
        channel: Takes ("note", index, note).
        index: Of the call's item.
    """
    global _channel
    _channel = channel, index


def report(note: Any) -> None:
    """From inside a worker: send a note to the `on_note` of the map call that runs it; outside a
    worker nothing happens.

    Args:
        note: Anything that can be pickled.
    """
    if _channel is not None:
        with contextlib.suppress(OSError):
            _channel[0].send(("note", _channel[1], note))


def cpu_count() -> int:
    """CPUs this process may use (affinity and container limits, not the host's)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    index: int | None = None
    deadline: float | None = None


class IdleWorkers:
    """Observer that says where a method cannot use the workers that it was given."""

    SURE = 8
    """Evaluations after which that is said."""

    def __init__(self) -> None:
        self.said = False

    def on_point(self, current: Any, point: Any) -> None:
        """Look during the run."""
        self._look(current)

    def on_finish(self, current: Any, result: Any) -> None:
        """Look at the end."""
        self._look(current)

    def _look(self, current: Any) -> None:
        """Note once that most evaluations were proposed one at a time."""
        engine, workers = current.engine, current.options.workers
        if self.said or workers < 2 or not isinstance(engine, LocalProcesses):
            return
        if engine.asked >= self.SURE and 2 * engine.alone > engine.asked:
            self.said = True
            current.notes.append(
                f"workers={workers}: {current.method.name} proposes one point at a time ("
                f"{engine.alone} of {engine.asked} evaluations so far), so it keeps one worker "
                "busy; without a method named, one that proposes batches is chosen"
            )


class LocalProcesses:
    """A pool of forked processes, each leader of its own process group so that a timeout ends its
    children too.

    The function is inherited by the fork, never pickled: lambdas and closures work. Items and
    results cross a pipe of our own. Workers die with the driver.

    Args:
        workers: Most processes at once.
        threads: Threads of BLAS in each; OpenMP and torch have one after a fork.

    Attributes:
        asked: Calls that were asked for.
        alone: Those of them that were asked for one at a time, while the other workers were idle.

    Raises:
        ArgumentError: The number is not positive, or this system cannot fork.
    """

    def __init__(self, workers: int, threads: int = DEFAULT):
        workers = whole("workers", workers, least=1)
        self.threads = threads
        if "fork" not in multiprocessing.get_all_start_methods():
            raise ArgumentError(
                f"workers={workers}: local processes need fork, which this system ({sys.platform}) "
                "does not have"
            )
        self.workers = workers
        self.asked = self.alone = 0
        self._context = multiprocessing.get_context("fork")
        self._pool: list[_Worker] = []
        self._function: Callable[[Any], Any] | None = None

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        timeout: float | None = None,
        more: Callable[[], bool] = lambda: True,
        on_note: Callable[[int, Any], None] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index, result or exception) as calls finish.

        Args:
            function: Called with one item, in a worker.
            items: What it is called with.
            timeout: Seconds after which a call has its process group killed.
            more: Asked before a call begins; where it says no, none begins any more, and those that
                run are waited for.
            on_note: Called with (index, note) for what a call sends by `report`.
        """
        self.asked += len(items)
        self.alone += len(items) == 1
        if function != self._function:
            self.close()
            self._function = function
        todo = deque(range(len(items)))
        busy: list[_Worker] = []
        try:
            while todo or busy:
                if todo and not more():
                    todo.clear()
                    continue
                while todo and len(busy) < self.workers:
                    worker = self._idle()
                    try:
                        worker.pipe.send((todo[0], items[todo[0]]))
                    except OSError:  # it died while it was idle: take another
                        self._kill(worker)
                        continue
                    worker.index = todo.popleft()
                    worker.deadline = time.monotonic() + timeout if timeout is not None else None
                    busy.append(worker)
                nearest = min((w.deadline for w in busy if w.deadline is not None), default=None)
                pause = LOOK if nearest is None else min(max(nearest - time.monotonic(), 0), LOOK)
                ready = set(wait([w.pipe for w in busy], pause))
                for worker in list(busy):
                    assert worker.index is not None
                    if worker.pipe in ready:
                        try:
                            kind, index, value = worker.pipe.recv()
                        except (EOFError, OSError):
                            busy.remove(worker)
                            yield worker.index, EvaluationFailed(self._obituary(worker))
                            continue
                        except Exception as error:
                            busy.remove(worker)
                            index, worker.index = worker.index, None
                            yield (
                                index,
                                EvaluationFailed(
                                    f"the result cannot be read: {type(error).__name__}: {error}"
                                ),
                            )
                            continue
                        if kind == "note":
                            if on_note is not None:
                                on_note(index, value)
                            continue
                        busy.remove(worker)
                        worker.index = None
                        yield index, value
                    elif worker.deadline is not None and time.monotonic() >= worker.deadline:
                        busy.remove(worker)
                        index = worker.index
                        self._kill(worker)
                        yield index, EvaluationFailed(f"timeout: killed after {timeout:g} s")
                    elif (
                        not worker.process.is_alive() and not worker.pipe.poll()
                    ):  # a child of it may hold the pipe open
                        busy.remove(worker)
                        yield worker.index, EvaluationFailed(self._obituary(worker))
        finally:
            for worker in busy:
                self._kill(worker)

    def _idle(self) -> _Worker:
        for worker in self._pool:
            if worker.index is None:
                return worker
        mine, theirs = self._context.Pipe()
        others = [w.pipe for w in self._pool]
        process = self._context.Process(
            target=_serve, args=(self._function, theirs, [mine, *others], os.getpid(), self.threads)
        )
        sys.stdout.flush()
        sys.stderr.flush()
        process.start()
        theirs.close()
        worker = _Worker(process, mine)
        self._pool.append(worker)
        return worker

    def _obituary(self, worker: _Worker) -> str:
        how = ending(worker.process)
        self._kill(worker)
        return f"process died: {how}"

    def _kill(self, worker: _Worker) -> None:
        kill_family(worker.process)
        worker.pipe.close()
        if worker in self._pool:
            self._pool.remove(worker)

    def close(self) -> None:
        """End all workers."""
        for worker in list(self._pool):
            self._kill(worker)

    def __enter__(self) -> LocalProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(
    function: Callable[[Any], Any],
    pipe: Connection,
    foreign: list[Connection],
    driver: int,
    threads: int,
) -> None:
    lead_group(driver)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in foreign:
        other.close()
    fix_in_worker(threads)
    while True:
        try:
            index, item = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        report_by(pipe, index)
        value: Any
        try:
            value = function(item)
        except (Exception, SystemExit) as error:
            value = EvaluationFailed(f"{type(error).__name__}: {error}")
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        try:
            pipe.send(("done", index, value))
        except Exception as error:
            pipe.send(
                (
                    "done",
                    index,
                    EvaluationFailed(
                        f"the result cannot be sent back: {type(error).__name__}: {error}"
                    ),
                )
            )
