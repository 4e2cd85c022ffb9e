"""Ray as an engine: each call is a Ray task. Placement, waiting for room, and starting a task again
whose node is lost are Ray's; what was paid is the store's.
"""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from ...core.checks import real, whole
from ...core.errors import ArgumentError, EvaluationFailed
from ...core.extras import named
from ...core.threads import fixed
from .. import engines

SILENT = 60.0
"""Seconds without a task that began, after which it is said what is waited for."""
LOOK = 1.0
"""Seconds between two looks at what runs."""
NAMES = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
"""Of a task's demands, as `ray.remote` takes them."""
AGAIN = 3
"""How often Ray starts a task again whose process or node is lost."""


class _Beacon:
    """An actor that hears which tasks began and what they report."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, int, Any]] = []

    def hear(self, call: int, index: int, note: Any) -> None:
        """Take a note of a task of a call of `map` in; None where it began."""
        self.heard.append((call, index, note))

    def take(self) -> list[tuple[int, int, Any]]:
        """Return what was heard since."""
        found, self.heard = self.heard, []
        return found


@dataclass
class _Channel:
    """What `engines.report` sends by, inside a task."""

    beacon: Any
    call: int

    def send(self, obj: Any) -> None:
        """Send a note to the driver."""
        _, index, note = obj
        self.beacon.hear.remote(self.call, index, note)


def _probe(function: Callable[[Any], Any]) -> str:
    """Return the version of feasible where a task runs, once the function arrived there."""
    return version("feasible")


def _call(
    function: Callable[[Any], Any], index: int, item: Any, beacon: Any, call: int, threads: int
) -> Any:
    """Call a function inside a task."""
    beacon.hear.remote(call, index, None)
    engines.report_by(_Channel(beacon, call), index)
    try:
        with fixed(threads):
            return function(item)
    except (Exception, SystemExit) as error:
        return EvaluationFailed(f"{type(error).__name__}: {error}")


class RayTasks:
    """Calls as tasks of a Ray cluster.

    The function travels by value, with the modules of your own that it needs, where these are
    neither installed nor part of Python. The same call has the same result as in this process.

    Args:
        workers: Most tasks at once; None for as many as the cluster takes.
        address: Of a cluster, as `ray.init` takes it; None for the one of RAY_ADDRESS, or else one
            on this machine that ends with this object.
        cpus: CPUs that each task is given; None for its threads.
        gpus: GPUs that each task is given, also parts of one.
        memory: Bytes that each task is given; None for no demand.
        threads: Threads inside a call.
        again: How often Ray starts a task again whose process or node is lost: only where what it
            paid is stored.
        runtime_env: As `ray.init` takes it: packages, files and variables for every task.
        say: Told what is waited for.

    Attributes:
        workers: Tasks that the cluster took at once when it was joined.

    Raises:
        MissingExtra: Ray is not installed.
        ArgumentError: There is no cluster at the address, it has other versions, or no node that
            could ever take a task.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        address: str | None = None,
        cpus: float | None = None,
        gpus: float = 0.0,
        memory: float | None = None,
        threads: int = 1,
        again: int = 0,
        runtime_env: Mapping[str, Any] | None = None,
        say: Callable[[str], None] | None = None,
    ):
        self.limit = None if workers is None else whole("workers", workers, least=1)
        self.threads = whole("threads", threads, least=1)
        cpus = float(threads) if cpus is None else real("cpus", cpus, above=0)
        self.again, self.say = again, say or _say
        self.demand = {"CPU": cpus}
        if gpus:
            self.demand["GPU"] = real("gpus", gpus, above=0)
        if memory is not None:
            self.demand["memory"] = real("memory", memory, above=0, note=" of bytes")
        self._calls = 0
        self._function: Callable[[Any], Any] | None = None
        self._shared: Any = None
        self._beacon: Any = None
        self._ray, self._ours = _begun(address, runtime_env)
        try:
            self._check()
        except BaseException:
            self.close()
            raise
        self.workers = self._room()

    def nodes(self) -> list[Mapping[str, Any]]:
        """The nodes that are there."""
        return [n for n in self._ray.nodes() if n["Alive"]]

    def _fit(self, node: Mapping[str, Any]) -> int:
        """Return how many tasks a node takes at once."""
        return int(min(node["Resources"].get(k, 0) / v for k, v in self.demand.items()))

    def _room(self) -> int:
        """Return how many tasks the cluster takes at once, at most those that were asked for."""
        room = sum(map(self._fit, self.nodes()))
        return max(min(room, self.limit or room), 1)

    def _check(self) -> None:
        """Raise ArgumentError where no node could ever take a task."""
        nodes = self.nodes()
        if any(map(self._fit, nodes)):
            return
        largest = max(
            nodes, key=lambda n: tuple(n["Resources"].get(k, 0) for k in ("GPU", "CPU", "memory"))
        )
        raise ArgumentError(
            f"engine='ray': a task takes {_amounts(self.demand)}, which none of {len(nodes)} nodes "
            f"has; the largest, {largest['NodeManagerHostname']}, has "
            f"{_amounts(largest['Resources'], self.demand)}"
        )

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        timeout: float | None = None,
        more: Callable[[], bool] = lambda: True,
        on_note: Callable[[int, Any], None] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index, result or exception) as calls finish; see `engines.LocalProcesses.map`.

        Raises:
            ArgumentError: The function cannot travel, or not be read on the cluster.
        """
        if not items:
            return
        ray, limit = self._ray, self._room()
        if function != self._function:
            self._shared, self._function = self._sent(function), function
        if self._beacon is None:
            again = {"max_restarts": -1, "max_task_retries": -1}  # its node may be lost, too
            self._beacon = ray.remote(num_cpus=0, **again)(_Beacon).remote()
        shared, beacon = self._shared, self._beacon
        self._calls += 1
        here = (beacon, self._calls, self.threads)
        options = {NAMES[k]: v for k, v in self.demand.items()}
        task = ray.remote(max_retries=self.again, **options)(_call)
        todo, running = iter(range(len(items))), dict[Any, int]()
        begun, last, told = dict[int, float](), time.monotonic(), False
        try:
            while True:
                while len(running) < limit and more() and (i := next(todo, None)) is not None:
                    running[task.remote(shared, i, items[i], *here)] = i
                if not running:
                    return
                done, _ = ray.wait(list(running), timeout=LOOK)
                for call, index, note in ray.get(beacon.take.remote()):
                    if call != self._calls:
                        continue
                    last = time.monotonic()
                    if note is None:
                        begun[index] = last
                    elif on_note is not None:
                        on_note(index, note)
                for ref in done:
                    yield running.pop(ref), self._result(ref)
                    last = time.monotonic()
                for ref, index in list(running.items()):
                    if timeout is None or index not in begun:
                        continue
                    if time.monotonic() - begun[index] > timeout:
                        ray.cancel(ref, force=True)
                        del running[ref]
                        yield index, EvaluationFailed(f"timeout: killed after {timeout:g} s")
                waits = len(running) > sum(i in begun for i in running.values())
                if waits and not told and time.monotonic() - last > SILENT:
                    told = True
                    self.say(self._waiting(len(running)))
        finally:
            for ref in running:
                ray.cancel(ref, force=True)

    def _sent(self, function: Callable[[Any], Any]) -> Any:
        """Put a function into the cluster, and look whether it can be read there."""
        ray = self._ray
        for module in _own_modules():
            ray.cloudpickle.register_pickle_by_value(module)
        try:
            shared = ray.put(function)
        except Exception as error:
            raise ArgumentError(
                f"engine='ray': what is to run cannot be sent to other processes: "
                f"{type(error).__name__}: {error}"
            ) from None
        try:
            there = ray.get(ray.remote(num_cpus=0, max_retries=0)(_probe).remote(shared))
        except ray.exceptions.RayError as error:
            said = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
            raise ArgumentError(
                f"engine='ray': what is to run cannot be read on the cluster: {said:.300}; install "
                "what it needs there, or send it with runtime_env"
            ) from None
        if there != version("feasible"):
            raise ArgumentError(
                f"engine='ray': the cluster has feasible {there}, expected {version('feasible')}"
            )
        return shared

    def _result(self, ref: Any) -> Any:
        """Return what a task gave, or why it gave nothing."""
        ray = self._ray
        try:
            return ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            return EvaluationFailed(f"{type(error.cause).__name__}: {error.cause}")
        except ray.exceptions.RayError as error:
            return EvaluationFailed(f"process died: {str(error).strip().splitlines()[0]:.200}")

    def _waiting(self, count: int) -> str:
        """Return what is waited for."""
        free = _amounts(self._ray.available_resources(), self.demand)
        listed = "; ".join(
            f"{n['NodeManagerHostname']} has {_amounts(n['Resources'], self.demand)}"
            for n in self.nodes()
        )
        return (
            f"no task has begun for {SILENT:g} s: {count} wait, each takes "
            f"{_amounts(self.demand)}; free are {free}; {listed}"
        )

    def close(self) -> None:
        """Leave the cluster; one that was begun here ends."""
        if self._beacon is not None:
            self._ray.kill(self._beacon)
            self._beacon = None
        if self._ours:
            self._ray.shutdown()

    def __enter__(self) -> RayTasks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _begun(address: str | None, runtime_env: Mapping[str, Any] | None) -> tuple[Any, bool]:
    """Return Ray, joined to a cluster, and whether that was done here."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # or it writes a token to the home folder
    with named("engine='ray'", "ray"):
        import ray
    if ray.is_initialized():
        if runtime_env is not None:
            raise ArgumentError(
                "engine='ray': this process has joined a cluster already: give runtime_env to "
                "ray.init there"
            )
        return ray, False
    given: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None and "RAY_ADDRESS" not in os.environ:
        given |= {"num_cpus": engines.cpu_count(), "include_dashboard": False}
    elif address is not None:
        given["address"] = address
    if runtime_env is not None:
        given["runtime_env"] = dict(runtime_env)
    try:
        ray.init(**given)
    except (OSError, RuntimeError, TypeError, ValueError, ray.exceptions.RayError) as error:
        where = address or os.environ.get("RAY_ADDRESS") or "this machine"
        said = " ".join(str(error).split())
        raise ArgumentError(
            f"engine='ray': no cluster at {where}: {type(error).__name__}: {said:.300}"
        ) from None
    return ray, True


def _own_modules() -> Iterator[Any]:
    """Yield the modules of the user's own: neither installed nor part of Python."""
    installed = tuple({os.path.realpath(p) for p in sysconfig.get_paths().values()})
    here = os.path.realpath(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name == "__main__" or not file or getattr(module, "__name__", None) != name:
            continue
        path = os.path.realpath(file)
        if path.endswith(".py") and not path.startswith((*installed, here)):
            yield module


def _amounts(given: Mapping[str, float], kinds: Mapping[str, float] | None = None) -> str:
    """Return amounts of resources in words.

    Examples:
        >>> _amounts({"CPU": 2.0, "memory": 3e9})
        '2 CPU, 3 GB of memory'
    """
    return ", ".join(
        f"{given.get(k, 0) / 1e9:.3g} GB of memory" if k == "memory" else f"{given.get(k, 0):g} {k}"
        for k in (kinds or given)
    )


def _say(text: str) -> None:
    """Print a sentence to standard error."""
    sys.stderr.write(f"{text}\n")
