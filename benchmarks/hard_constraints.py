"""The constraint layer beside jaxopt and optimistix on the same rows, experts beside one layer,
and experts over processes.

16 problems (4 samples, 4 blocks) of diffusion with sorption, 300 points, 8 basis functions: solved,
and differentiated by the tables, from the same first weights. The peers are vmapped, compiled once
by JAX, and run with one thread; times are the processor's.
"""

from __future__ import annotations

import os

os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import statistics
from collections.abc import Callable
from functools import partial
from time import perf_counter, process_time

import numpy as np

from .common import Figure, in_turns, write

ROUNDS = int(os.environ.get("HARD_ROUNDS", "40"))
TOL = 1e-6


def seconds(clock: Callable[[], float], *functions: Callable[[], object]) -> list[float]:
    """Median seconds of each by a clock, in turns."""
    return [statistics.median(found) for found in in_turns(*functions, rounds=ROUNDS, clock=clock)]


def run() -> list[Figure]:
    """All figures."""
    import torch

    from feasible.physics import FNO, DiffusionSorption, Grid, MixtureOfExperts
    from feasible.physics.pi_hc_moe.claim import times as of_experts
    from feasible.physics.pi_hc_moe.layer import levenberg_marquardt, pulled_back
    from feasible.physics.pi_hc_moe.operator import network_input
    from feasible.physics.pi_hc_moe.parallel import ExpertProcesses
    from feasible.physics.pi_hc_moe.peers import SOLVERS, differentiated

    torch.set_num_threads(1)
    torch.manual_seed(0)
    pde = DiffusionSorption(Grid.of(500.0, 26, 64))
    initial = torch.tensor([0.02, 0.07, 0.12, 0.19], dtype=torch.float64)[:, None].expand(4, 64)
    with torch.no_grad():
        basis = FNO((6, 6))(network_input(pde.grid, initial)).movedim(1, -1)
    layer = MixtureOfExperts(pde, (1, 4), n_sample=300, tol=TOL)
    rows = layer.rows(basis, None, initial, torch.Generator().manual_seed(0))
    up = torch.randn(16, 8, dtype=torch.float64)

    def ours() -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        found = levenberg_marquardt(pde, rows, tol=TOL)
        return found.omega, pulled_back(pde, rows, found.omega, up, True)

    peers = {name: differentiated(name, pde, tol=TOL) for name in SOLVERS}
    theirs = [partial(f, rows, up) for f in peers.values()]
    spent = dict(zip(("ours", *peers), seconds(process_time, ours, *theirs), strict=True))
    tight = levenberg_marquardt(pde, rows, tol=1e-13, max_iter=500)
    exact = pulled_back(pde, rows, tight.omega, up, True)[0]
    figures = [
        Figure(f"time, forward and back, over {name}'s", spent["ours"] / spent[name], bar)
        for name, bar in zip(SOLVERS, (2.0, 0.5), strict=True)
    ]

    def off(tables: object) -> float:
        return float(np.linalg.norm(np.asarray(tables) - exact.numpy()) / exact.norm())

    figures.append(
        Figure("gradient by the tables: relative error against a solve to 1e-13", off(ours()[1][0]),
               1e-6, "error")
    )  # fmt: skip
    figures += [
        Figure(f"the same of {name}", off(f(rows, up)[2][0]), None, "error", f"tol {TOL:g}")
        for name, f in peers.items()
    ]
    for part in of_experts("desk", (0, 1, 2))[0]:
        assert part.figure is not None
        figures.append(Figure(part.statement, part.figure, 1.3))
    with ExpertProcesses(2) as spread:
        for m in (300, 5000):
            side = 1 if m == 300 else 4
            grid = Grid.of(500.0, 26 * side, 64 * side)
            large = DiffusionSorption(grid)
            start = initial[:, :1].expand(4, 64 * side)
            with torch.no_grad():
                made = FNO((6, 6))(network_input(grid, start)).movedim(1, -1)
            own = MixtureOfExperts(large, (1, 4), n_sample=m)
            given = own.rows(made, None, start, torch.Generator().manual_seed(0))
            pair = seconds(
                perf_counter,
                lambda own=own, given=given: own.solver(own.pde, given, own.settings),
                lambda own=own, given=given: spread(own.pde, given, own.settings),
            )
            figures.append(
                Figure(f"experts over two processes, {m} points each: time over one process's",
                       pair[1] / pair[0], None, "ratio", "wall clock, forward only")
            )  # fmt: skip
    write("hard_constraints", figures)
    return figures
