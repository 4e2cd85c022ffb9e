"""What the commands share: options, output, errors."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ..lab.placing import RayCluster
    from ..lab.store import Store

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="The store: a file, or postgresql://USER@HOST/DATABASE.",
        show_default="./feasible.db",
    ),
]
MethodOption = Annotated[
    str | None,
    typer.Option("--method", "-m", help="When beginning: the method; without it the room chooses."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="When beginning: the seed.")]
NameOption = Annotated[
    str | None, typer.Option("--name", help="When beginning: the name of the study.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--budget", "-b", help="What may be spent, for example evaluations=100,seconds=60."
    ),
]
RetryOption = Annotated[
    int,
    typer.Option(
        "--retry", min=0, help="Try a failed evaluation again so often; each try is charged."
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers", "-w", min=1, help="Local processes that evaluate a batch in parallel."
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--evaluation-timeout", help="Seconds after which an evaluation is killed."),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help="Threads of BLAS, OpenMP and torch inside a run, part of the result.",
        show_default="1, or what a stored run began with",
    ),
]
TakeOverOption = Annotated[
    bool,
    typer.Option(
        "--take-over",
        help="Drive a run although another process seems to; what that one writes is refused.",
    ),
]
StopAtOption = Annotated[
    float | None,
    typer.Option(
        "--stop-at",
        help="Of a study, from now on: hand out no more once a feasible experiment reaches this "
        "value of the objective.",
    ),
]
GoOnOption = Annotated[
    bool,
    typer.Option("--go-on", help="Of a study: hand out more although its --stop-at is reached."),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Local processes that run trials in parallel.")
]


def fail(error: Exception) -> NoReturn:
    """Print an error, after the traceback of the user's own function where it has one, and end with
    code 2.
    """
    if trace := getattr(error, "trace", ""):
        sys.stderr.write(f"{trace}\n")
    sys.stderr.write(f"{type(error).__name__}: {error}\n")
    sys.exit(2)


def console(*, stderr: bool = False) -> Console:
    """Return a Rich console; on a pipe lines are wide, so that nothing is cut.

    Args:
        stderr: Print to standard error.
    """
    from rich.console import Console

    made = Console(stderr=stderr, soft_wrap=False, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, width=160, highlight=False)


def open_store(where: str | None, *, existing: bool = False) -> Store:
    """Return the store of a command, which is closed when the program ends.

    Args:
        where: As given with --store; None for ./feasible.db.
        existing: One that only looks does not create an empty store.

    Raises:
        StoreError: There is none, or it cannot be opened.
    """
    from ..core.errors import StoreError
    from ..lab.place import store_place
    from ..lab.store import Store

    file = store_place(where)
    if existing and isinstance(file, Path) and not file.exists():
        raise StoreError(
            f"there is no store at {file} yet: `feasible solve`, `race` or `ask` begins one, or "
            "name another with --store"
        )
    return Store(where)


def emit(value: Any) -> None:
    """Print JSON; NaN becomes null."""
    from ..core.plain import plain

    sys.stdout.write(json.dumps(plain(value), indent=1, allow_nan=False) + "\n")


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """While a user's function runs under --json, what it prints goes to standard error, so that
    standard output stays JSON.
    """
    with contextlib.redirect_stdout(sys.stderr):
        yield


EngineOption = Annotated[
    str,
    typer.Option(
        "--engine", help="Where trials or evaluations run: local, or ray (a Ray cluster)."
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="With --engine ray: the cluster's address.",
        show_default="RAY_ADDRESS, or a cluster on this machine",
    ),
]
CpusOption = Annotated[
    float | None,
    typer.Option("--cpus", help="With --engine ray: CPUs of each.", show_default="its threads"),
]
GpusOption = Annotated[
    float, typer.Option("--gpus", help="With --engine ray: GPUs of each, also parts of one.")
]
MemoryOption = Annotated[
    float | None, typer.Option("--memory", help="With --engine ray: GB of memory of each.")
]


def place_of(
    engine: str, address: str | None, cpus: float | None, gpus: float, memory: float | None
) -> str | RayCluster:
    """Return the engine that these options name. Raises ArgumentError where they do not fit."""
    from ..core.errors import ArgumentError
    from ..lab.placing import RayCluster

    if engine == "ray":
        return RayCluster(address, cpus, gpus, None if memory is None else memory * 1e9)
    if address is not None or cpus is not None or gpus or memory is not None:
        raise ArgumentError("--address, --cpus, --gpus, --memory are for --engine ray")
    return engine
