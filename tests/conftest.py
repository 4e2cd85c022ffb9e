"""Settings of all tests."""

import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(
        threads, "1"
    )  # two busy test processes are all there is, and a fork must not meet a pool of threads

MEMORY = Path("/dev/shm")
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 2**31:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
"""Stores wait for the disk at every row; there are thousands in these tests."""

if "FEASIBLE_SESSION" not in os.environ:  # xdist's workers have that of the process above them
    os.environ["FEASIBLE_SESSION"] = tempfile.mkdtemp(
        prefix="feasible-tests-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")
    )
    atexit.register(shutil.rmtree, os.environ["FEASIBLE_SESSION"], ignore_errors=True)
SESSION = Path(os.environ["FEASIBLE_SESSION"])
"""A folder of these tests, which goes when they are over."""

os.environ["XDG_STATE_HOME"] = str(SESSION / os.environ.get("PYTEST_XDIST_WORKER", "alone"))
"""What tests run is no source that the person who runs them has run."""

os.environ["JAX_COMPILATION_CACHE_DIR"] = str(SESSION / "jax")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
"""What several processes would compile with JAX is compiled once."""

os.environ["TORCH_EXTENSIONS_DIR"] = str(SESSION / "torch")
"""A lock that a killed compilation left behind, for which torch waits for ever, is none of ours."""
if not (SESSION / "torch").exists():
    (SESSION / "torch").mkdir()
    here = f"py{sys.version_info.major}{sys.version_info.minor}_cpu"
    for built in Path.home().glob(f".cache/torch_extensions/{here}/*_ext"):
        shutil.copytree(
            built, SESSION / "torch" / built.name, ignore=shutil.ignore_patterns("lock")
        )

FULL = os.environ.get("FEASIBLE_TESTS") == "full"  # as `make claims` sets it
if not FULL:
    os.environ.setdefault("CXX", "none")
"""BoTorch compiles a kernel for 35 seconds in each new environment; with no compiler it takes the
same formula in Python.
"""

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile(
    "feasible", deadline=None, max_examples=1000 if FULL else 50
)  # machines that run tests are busy
settings.load_profile("feasible")


SLOW = (
    "blackbox/bo_tutorial",
    "blackbox/ccbo",
    "blackbox/gp_sqp",
    "blackbox/smooth",
    "blackbox/instances",
    "blackbox/peers",
    "blackbox/pfn_cbo",
    "blackbox/private_gsd",
    "blackbox/qlognehvi",
    "blackbox/rough/test_rough.py",
    "blackbox/test_command.py",
    "blackbox/test_evaluation",
    "docs/test_docs.py::test_every_block_runs_as_pasted",
    "house",
    "lab/test_cli.py::test_problems_and_papers_can_be_explained",
    "lab/test_cli.py::test_what_is_written_down_of_the_problems",
    "lab/test_cli.py::test_the_call_that_explain_prints",
    "lab/test_cli.py::test_the_listings_hold_every_registered_name",
    "lab/test_cli_people.py",
    "lab/test_cli_runs.py",
    "lab/test_race.py",
    "lab/test_resume",
    "lab/test_serve_browser.py",
    "lab/test_store_shared.py",
    "lab/test_study_budget.py",
    "training/autolrs",
    "training/hesso",
    "training/hyperparameter_free",
    "training/lion_k",
    "training/mfac",
    "training/target_surrogates",
    "training/test_conformance.py",
    "training/test_integrations.py",
    "training/test_optimizer_claims.py",
    "training/test_recipe.py",
    "transport/sinkhorn_newton_sparse/test_extremes.py",
)
"""Where tests take more than some seconds together: `make check` leaves them out, with those that
are marked one by one.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests."""
    here = Path(__file__).parent
    for item in items:
        place = f"{item.path.relative_to(here).as_posix()}::{item.name}"
        if place.startswith(SLOW):
            item.add_marker(pytest.mark.slow)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What is there after a file's tests stays: 15,000 tests, and the libraries that they load.
    Without this each search for garbage, those of libraries too, goes through all of it again, and
    a fork copies it.
    """
    if nextitem is None or item.path != nextitem.path:
        gc.collect()
        gc.freeze()


def pytest_collection_finish() -> None:
    """The same of all tests, before the first."""
    gc.collect()
    gc.freeze()


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
