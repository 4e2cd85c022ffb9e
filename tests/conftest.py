"""Settings of all tests."""

import os
import signal
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(
        threads, "1"
    )  # two busy test processes are all there is, and a fork must not meet a pool of threads

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

FULL = os.environ.get("FEASIBLE_TESTS") == "full"  # as `make claims` sets it
settings.register_profile(
    "feasible", deadline=None, max_examples=1000 if FULL else 50
)  # machines that run tests are busy
settings.load_profile("feasible")


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every meter that is made in this test: it moves when the test says so."""
    from feasible.core.budget import Meter

    clock = Clock()
    monkeypatch.setattr(Meter, "__init__", partialmethod(Meter.__init__, clock=clock))
    return clock


@pytest.fixture
def checkpoint_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored runs write a checkpoint after every step."""
    monkeypatch.setattr("feasible.lab.stored.CHECKPOINT_SECONDS", 0.0)


@pytest.fixture
def killed_and_resumed(tmp_path: Path, checkpoint_each_step: None) -> Callable[..., Any]:
    """(run, at) -> the result of a stored run that SIGKILL ended after `at` points of its trail,
    resumed. run: takes what `feasible.solve` does of stores and observers.
    """

    def kill(run: Callable[..., Any], at: int) -> Any:
        call = {"store": str(tmp_path / "killed.db"), "name": "r"}
        pid = os.fork()
        if pid == 0:
            points = iter(range(at))

            def end(point: Any) -> None:
                if next(points, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)

            try:
                run(observers=[end], **call)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        return run(**call)

    return kill
