"""Seconds for one proposal at 100 observations, five limits and seven inputs, and the memory of one
at 300 observations.

BoTorch: six SingleTaskGPs fitted, LogConstrainedExpectedImprovement, 10 restarts and 512 raw
  samples, as `botorch-logcei` does.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import numpy as np

from feasible.blackbox import BlackBox
from feasible.core.registry import load_method

from .common import Figure, write

D, M, N, FIRST = 7, 5, 100, 20


def problem() -> BlackBox:
    """A smooth objective and five limits of seven inputs."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((1 + M, D)), rng.uniform(0, 6, 1 + M)

    def fun(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        waves = np.sin(x @ a.T + b) + 0.3 * ((x[:, None] - 0.5) ** 2).sum(axis=2)
        return waves[:, 0], waves[:, 1:] - 0.3

    return BlackBox(fun, [(0, 1)] * D, limits=["<= 0"] * M, vectorized=True, name="waves")


def proposal(name: str, n: int, seed: int) -> float:
    """CPU seconds of one proposal after n observations, of which the method chose the first (its
    own initial design) and the last.
    """
    task, method = problem(), load_method(name)
    rng = np.random.default_rng(seed)
    state = method.init(task, np.random.default_rng(seed))
    asked = method.ask(task, state, FIRST)
    method.tell(task, state, task.measure(asked.x, np.arange(FIRST), asked.tag))
    x = task.space.from_unit(rng.random((n - FIRST - 1, D)))
    method.tell(task, state, task.measure(x, np.arange(len(x)), np.full(len(x), -1)))
    asked = method.ask(task, state, 1)
    method.tell(task, state, task.measure(asked.x, np.arange(1), asked.tag))
    started = time.process_time()
    method.ask(task, state, 1)
    return time.process_time() - started


def memory() -> float:
    """GiB of a whole process, imports included, that makes a proposal of pfn-cei at 300
    observations.
    """
    code = (
        "import resource, sys\nsys.path.insert(0, '.')\nfrom benchmarks import pfn\n"
        "pfn.proposal('pfn-cei', 300, 0)\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peak = int(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
    )
    return peak / 2**20


def run() -> list[Figure]:
    rounds = range(5)
    seconds = {
        name: [proposal(name, N, s) for s in rounds]
        for name in ("pfn-cei", "gp-sqp", "gp-cei", "botorch-logcei")
    }
    figures = [
        Figure(
            f"CPU time of a proposal of {name} over that of botorch-logcei, {N} observations, {M} "
            f"limits, {D} inputs",
            statistics.median(
                a / b for a, b in zip(seconds[name], seconds["botorch-logcei"], strict=True)
            ),
            bar,
            "ratio",
        )
        for name, bar in (("pfn-cei", 0.05), ("gp-sqp", None), ("gp-cei", None))
    ]
    figures.append(
        Figure(
            "peak memory of a process that makes a proposal of pfn-cei at 300 observations",
            memory(),
            1.0,
            "GiB",
        )
    )
    write("pfn", figures)
    return figures
