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

settings.register_profile("feasible", deadline=None)  # machines that run tests are busy
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
def killed_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Any, Any]]:
    """(problem, method, budget, at) -> (the uninterrupted result, that of a run killed by SIGKILL
    at its checkpoint number `at` and resumed).
    """
    import feasible
    from feasible.lab import stored
    from feasible.lab.store import Store

    def run(problem: Any, method: str, budget: Any, at: int) -> tuple[Any, Any]:
        monkeypatch.setattr(stored, "CHECKPOINT_SECONDS", 0.0)
        whole = feasible.solve(problem, method, budget=budget, seed=100)
        call = {"budget": budget, "seed": 100, "store": str(tmp_path / "killed.db"), "name": "r"}
        pid = os.fork()
        if pid == 0:
            saved, seen = Store.save_checkpoint, []

            def save(self: Store, run: int, blob: bytes, told: int = 0) -> None:
                saved(self, run, blob, told)
                seen.append(run)
                if len(seen) == at:
                    os.kill(os.getpid(), signal.SIGKILL)

            Store.save_checkpoint = save  # type: ignore[method-assign]
            try:
                feasible.solve(problem, method, **call)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        return whole, feasible.solve(problem, method, **call)

    return run
