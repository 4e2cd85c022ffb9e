"""Experts over processes: each solves, and differentiates, its share of the problems.

    layer.solver = ExpertProcesses(2)          processes of this machine
    layer.solver = RayExperts(4)               tasks of a Ray cluster

The result is bit for bit that of one process, since no problem sees another. It pays where a solve
takes longer than to send its rows: n (m + 2) N numbers each.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import torch

from ...core.checks import whole
from ...core.extras import check_module
from .experts import solved_here
from .layer import Rows, Solved

if TYPE_CHECKING:
    from .pde import PDE
    from .settings import LayerSettings

Sent = tuple[Any, Any, Any, Any, Any]
"""The arrays of rows, as they travel."""


def sent(rows: Rows) -> Sent:
    """Rows as arrays."""
    weight = rows.weight.numpy() if isinstance(rows.weight, torch.Tensor) else rows.weight
    parts = (rows.tables, rows.offsets, rows.linear, rows.target)
    return (*(p.detach().numpy() for p in parts), weight)  # type: ignore[return-value]


def solve_sent(pde: PDE, arrays: Sent, settings: LayerSettings) -> tuple[Any, ...]:
    """Solve rows that were sent, with one thread."""
    torch.set_num_threads(1)
    tables, offsets, linear, target = (torch.as_tensor(a.copy()) for a in arrays[:4])
    weight = arrays[4] if isinstance(arrays[4], float) else torch.as_tensor(arrays[4])
    found = solved_here(pde, Rows(tables, offsets, linear, target, weight), settings)
    return tuple(getattr(found, name).numpy() for name in Solved.__annotations__)


class ExpertProcesses:
    """A layer's `solver` that spreads the problems over processes of this machine.

    Args:
        n: Processes; they live until `close`, or the end of a `with`.
    """

    def __init__(self, n: int):
        self.n = whole("n", n, least=1)
        context = multiprocessing.get_context("forkserver")
        self.pool = ProcessPoolExecutor(self.n, context)

    def __call__(self, pde: PDE, rows: Rows, settings: LayerSettings) -> Solved:
        """Solve all problems, in n parts."""
        return spread(
            self.n, rows, lambda arrays: self.pool.submit(solve_sent, pde, arrays, settings)
        )

    def close(self) -> None:
        """End the processes."""
        self.pool.shutdown()

    def __enter__(self) -> ExpertProcesses:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()


def spread(n: int, rows: Rows, submit: Callable[[Sent], Any]) -> Solved:
    """Solve rows in n parts, each by what `submit` gives: an object with `result()`."""
    P = len(rows.linear)
    ends = [P * k // n for k in range(n + 1)]
    parts = [slice(a, b) for a, b in itertools.pairwise(ends) if b > a]
    waiting = [submit(sent(rows.part(part))) for part in parts]
    return joined([w.result() for w in waiting])


def joined(found: Sequence[tuple[Any, ...]]) -> Solved:
    """What the parts found, as one."""
    return Solved(
        *(torch.cat([torch.as_tensor(v) for v in values]) for values in zip(*found, strict=True))
    )


class RayExperts:
    """The same by Ray tasks, on the cluster that is connected or on this machine.

    Args:
        n: Parts.
        options: Of the tasks, such as `num_cpus=1`.

    Raises:
        MissingExtra: Ray is not installed.
    """

    def __init__(self, n: int, **options: Any):
        check_module("ray", "experts over Ray")
        self.n, self.options = whole("n", n, least=1), options

    def __call__(self, pde: PDE, rows: Rows, settings: LayerSettings) -> Solved:
        """Solve all problems, in n parts."""
        from .peers import ray_task

        task = ray_task(solve_sent, self.options)
        return spread(self.n, rows, lambda arrays: task(pde, arrays, settings))
