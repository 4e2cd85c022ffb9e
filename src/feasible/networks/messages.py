"""What crosses between a server and its clients, and how: in this process, or to processes.

A client is anything with `round(message) -> Message`. It keeps its data and its values; a `Message`
is all that leaves it, and can be printed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any, Protocol

import numpy as np

from ..core.checks import real
from ..core.errors import ArgumentError, FeasibleError, StopRun
from ..core.warning import warn

HEADER = 16
"""Bytes of a message beside its numbers: the round, its kind and its length."""
PATIENCE = 2.0
"""Seconds of waiting after which it is said for whom."""


class ClientFailed(FeasibleError):
    """A client gave no valid answer; the message names the client and the round.

    Attributes:
        client: Its label.
        round: The round.
    """

    def __init__(self, client: Hashable, round: int, reason: str):
        super().__init__(f"client {client!r} failed in round {round}: {reason}")
        self.client, self.round, self.reason = client, round, reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.client, self.round, self.reason)


@dataclass(frozen=True)
class Message:
    """What crosses: named arrays of numbers, and nothing else.

    Attributes:
        round: The round, from 1.
        kind: What is asked or answered.
        arrays: The numbers by name.

    Example:
        >>> print(Message(3, "moved", {"x": np.zeros(30)}))
        round 3, moved: x (30,), |x| = 0; 256 bytes
    """

    round: int
    kind: str
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Its bytes, at 8 a number."""
        return HEADER + 8 * sum(a.size for a in self.arrays.values())

    def __str__(self) -> str:
        parts = [f"{k} {a.shape}, |{k}| = {np.linalg.norm(a):.6g}" for k, a in self.arrays.items()]
        return (
            f"round {self.round}, {self.kind}: {'; '.join(parts) or 'nothing'}; {self.size} bytes"
        )


class Client(Protocol):
    """What a server talks to."""

    def round(self, message: Message) -> Message:
        """Answer a message."""


class ClientProcess:
    """A client in a process of its own, so that it may hang or die.

    Args:
        label: Of the client, for errors.
        made: Makes the client; called in the process.
        deadline: Seconds an answer may take, from the message on.

    Attributes:
        queries: Values asked of it, as it said with its last answer.

    Raises:
        ClientFailed: On `round`, where the client raised, is late or its process died; the process
            is ended.
    """

    def __init__(self, label: Hashable, made: Callable[[], Client], deadline: float = 60.0):
        if "fork" not in multiprocessing.get_all_start_methods():
            raise ArgumentError("made: clients in processes need fork, which this system lacks")
        self.label, self.deadline = label, real("deadline", deadline, above=0)
        self.queries = 0
        self._sent, self._asked, self._why = 0.0, 0, ""
        self._told = False
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(made, theirs, self._pipe), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """Number of its process."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Send a message; `receive` waits for the answer, or raises where there can be none."""
        if self._why:
            return
        self._sent, self._told, self._asked = monotonic(), False, self._asked + 1
        try:
            self._pipe.send((self._asked, message))
        except OSError:
            self._lost(message.round)

    def receive(self, round: int) -> Message:
        """Wait for the answer of a round, up to the deadline after its message was sent."""
        while True:
            soonest([self], round)
            found = self.heard(round)
            if found is not None:
                return found

    def heard(self, round: int) -> Message | None:
        """Return the answer if it is there, or None; raises where there can be none."""
        if self._why:
            raise ClientFailed(self.label, round, self._why)
        try:
            while self._pipe.poll():
                asked, found, self.queries = self._pipe.recv()
                if asked == self._asked and isinstance(found, Message):
                    return found
                if asked == self._asked:
                    raise ClientFailed(self.label, round, found)
        except (EOFError, OSError):
            raise self._lost(round) from None
        if self.left() <= 0:
            raise self._ended(round, f"no answer within {self.deadline:g} s")
        return None

    def left(self) -> float:
        """Seconds until it is late; 0 where it has ended."""
        return 0.0 if self._why else self._sent + self.deadline - monotonic()

    def awaited(self, round: int) -> None:
        """Say, once a message, that it is waited for."""
        if not self._told:
            self._told = True
            warn(f"waiting for client {self.label!r} in round {round}")

    def round(self, message: Message) -> Message:
        """Send a message and wait for the answer."""
        self.send(message)
        return self.receive(message.round)

    def _lost(self, round: int) -> ClientFailed:
        """Say how its process ended."""
        self._process.join(1)
        code = self._process.exitcode
        if code is not None and code < 0:
            return self._ended(round, f"killed by {signal.Signals(-code).name}")
        return self._ended(round, f"its process ended, exit code {code}")

    def _ended(self, round: int, why: str) -> ClientFailed:
        """End the process for good, and say why, in this round and in later ones."""
        self._why = why
        self.close()
        return ClientFailed(self.label, round, why)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(made: Callable[[], Client], pipe: Connection, theirs: Connection) -> None:
    """Answer messages until the other end is gone."""
    theirs.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    client: Client | None = None
    while True:
        try:
            asked, message = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        try:
            client = client or made()
            answer: Message | str = client.round(message)
        except Exception as error:
            answer = error.reason if isinstance(error, ClientFailed) else said(error)
        with contextlib.suppress(OSError):
            pipe.send((asked, answer, getattr(client, "queries", 0)))


def soonest(clients: Sequence[ClientProcess], round: int) -> list[ClientProcess]:
    """Wait until a client may have answered, is late or has ended; return these. A wait that lasts
    is said.
    """
    while True:
        ended = [one for one in clients if one.left() <= 0]
        if ended:
            return ended
        ends = {one._pipe: one for one in clients}
        ready = wait(list(ends), min(PATIENCE, *(one.left() for one in clients)))
        if ready:
            return [one for end, one in ends.items() if end in ready]
        for one in clients:
            if one.left() > 0:
                one.awaited(round)


def said(error: BaseException) -> str:
    """Return an exception's type and text."""
    return f"{type(error).__name__}: {error}"


def exchange(
    clients: Mapping[Hashable, Client],
    messages: Mapping[Hashable, Message],
    shapes: Mapping[str, tuple[int, ...]],
    hasty: bool = False,
) -> tuple[dict[Hashable, Message], dict[Hashable, ClientFailed]]:
    """Send each client its message; return the answers, and why the others have none.

    An answer that misses an array, or has one of another shape or with a NaN, is a failure. Clients
    in processes work at the same time.

    Args:
        clients: By label.
        messages: What each is sent, by label.
        shapes: What an answer must hold.
        hasty: Return at the first failure, and wait for nobody else.
    """
    answers: dict[Hashable, Message] = {}
    failures: dict[Hashable, ClientFailed] = {}

    def tried(label: Hashable, answer: Callable[[], Message | None]) -> bool:
        """Take an answer in, or its failure; False where there is none yet."""
        r = messages[label].round
        try:
            found = answer()
            if found is None and isinstance(clients[label], ClientProcess):
                return False
            answers[label] = _valid(found, label, r, shapes)
        except StopRun:
            raise
        except ClientFailed as failed:
            failures[label] = ClientFailed(label, r, failed.reason)
            failures[label].__cause__ = failed.__cause__
        except Exception as error:
            failures[label] = ClientFailed(label, r, said(error))
            failures[label].__cause__ = error
        return True

    away: dict[ClientProcess, Hashable] = {}
    for label, message in messages.items():
        one = clients[label]
        if isinstance(one, ClientProcess):
            one.send(message)
            away[one] = label
    for label, message in messages.items():
        one = clients[label]
        if not isinstance(one, ClientProcess) and not (hasty and failures):
            tried(label, partial(one.round, message))
    while away and not (hasty and failures):
        r = messages[next(iter(away.values()))].round
        for one in soonest(list(away), r):
            if tried(away[one], partial(one.heard, r)):
                del away[one]
    return {label: answers[label] for label in messages if label in answers}, failures


def _valid(
    answer: Any, label: Hashable, round: int, shapes: Mapping[str, tuple[int, ...]]
) -> Message:
    """Return an answer, or raise what is wrong with it."""
    if not isinstance(answer, Message):
        raise ClientFailed(label, round, f"answered a {type(answer).__name__}: expected a Message")
    for name, shape in shapes.items():
        if name not in answer.arrays:
            raise ClientFailed(label, round, f"its answer has no {name}")
        value = np.asarray(answer.arrays[name])
        if value.shape != shape:
            raise ClientFailed(label, round, f"{name} has shape {value.shape}: expected {shape}")
        if value.dtype.kind not in "fiu" or not np.isfinite(value).all():
            raise ClientFailed(label, round, f"{name} has a NaN or an infinity")
    return answer
