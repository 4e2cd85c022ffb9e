"""Where trials and evaluations run: in this process, in processes of this machine, or on Ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.checks import one_of
from ..core.errors import ArgumentError
from .engines import LocalProcesses, cpu_count

if TYPE_CHECKING:
    from .peers.ray import RayTasks
    from .store import Store


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A Ray cluster, and what each trial takes of it.

    Attributes:
        address: As `ray.init` takes it; None for the one of RAY_ADDRESS, or else one on this
            machine that ends with the race.
        cpus: CPUs of each trial; None for its threads.
        gpus: GPUs of each trial, also parts of one.
        memory: Bytes of memory of each trial; None for no demand.
        runtime_env: As `ray.init` takes it: packages, files and variables for the trials.
    """

    address: str | None = None
    cpus: float | None = None
    gpus: float = 0.0
    memory: float | None = None
    runtime_env: dict[str, Any] | None = None

    def tasks(self, workers: int | None, threads: int, *, again: int = 0) -> RayTasks:
        """Return what runs calls there, see `peers.ray.RayTasks`."""
        from .peers.ray import RayTasks

        return RayTasks(
            workers,
            address=self.address,
            cpus=self.cpus,
            gpus=self.gpus,
            memory=self.memory,
            threads=threads,
            again=again,
            runtime_env=self.runtime_env,
        )


def cluster_of(engine: str | RayCluster) -> RayCluster | None:
    """Return the cluster that an engine names, None for this machine. Raises ArgumentError where
    there is no such engine.
    """
    if isinstance(engine, RayCluster):
        return engine
    return RayCluster() if one_of("engine", engine, ("local", "ray")) == "ray" else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where trials run.

    Attributes:
        cluster: The Ray cluster; None for this machine.
        jobs: Most trials at once; on Ray 1 stands for as many as the cluster takes.
    """

    cluster: RayCluster | None
    jobs: int

    @property
    def several(self) -> bool:
        """Whether they are not simply one after the other, here."""
        return self.cluster is not None or self.jobs > 1

    def apart(self, timeout: float | None) -> bool:
        """Whether trials run in other processes."""
        return self.several or timeout is not None

    def check(self, threads: int, timeout: float | None) -> None:
        """Raise ArgumentError where trials with so many threads cannot run there."""
        if self.cluster is not None or threads == 1 or not self.apart(timeout):
            return
        forks = f"jobs={self.jobs}" if self.jobs > 1 else f"trial_timeout={timeout:g}"
        raise ArgumentError(
            f"threads={threads}: with {forks} trials run in processes that are forked, which "
            "have one thread of OpenMP and torch; expected threads=1, or neither jobs nor "
            "trial_timeout"
        )

    def engine(self, threads: int, store: Store | None) -> LocalProcesses | RayTasks:
        """Return what runs them.

        Args:
            threads: Inside each trial.
            store: Where trials are kept: what one paid before its node was lost is then not paid
                again, so Ray may start it again.

        Raises:
            ArgumentError: The cluster cannot be reached or cannot take a trial, or its nodes cannot
                reach the store.
        """
        if self.cluster is None:
            return LocalProcesses(min(self.jobs, max(cpu_count(), 1) * 4))
        from .peers.ray import AGAIN

        jobs = self.jobs if self.jobs > 1 else None
        made = self.cluster.tasks(jobs, threads, again=0 if store is None else AGAIN)
        machines = {n["NodeManagerHostname"] for n in made.nodes()}
        if store is not None and store.path is not None and len(machines) > 1:
            made.close()
            raise ArgumentError(
                f"store '{store.url}': an SQLite file is not reached from {len(machines)} machines "
                "of a Ray cluster: expected postgresql://USER@HOST/DATABASE"
            )
        return made
