"""Relaxation with a learnt omega: sweeps against PyAMG's, the learner's own time, and the heat
equation's time steps against conjugate gradients, one omega for all, a factorisation and multigrid.

One thread each. A solve of the heat equation (50 x 50 cells, 2401 unknowns, every tenth of 1000
time steps) is timed with what it sets up; the learner has seen all 1000. ask and tell are timed on
the processor's clock.
"""

from __future__ import annotations

import os
import time

import numpy as np

from .common import Figure, in_turns, ratio, write

ROUNDS = int(os.environ.get("SOR_ROUNDS", "9"))


def sweeps() -> list[Figure]:
    """One forward sweep on 100 x 100 points, and one with its residual."""
    from pyamg.relaxation.relaxation import sor as pyamg_sor
    from scipy import sparse

    from feasible.programs.sor_bandit import sor, sor_sweep
    from feasible.programs.sor_bandit.instances import laplacian
    from feasible.programs.sor_bandit.solvers import Rows

    a = laplacian(100)
    rows, theirs = Rows.of(a), sparse.csr_matrix(a)
    b = np.random.default_rng(100).standard_normal(a.shape[0])
    x, y = np.zeros_like(b), np.zeros_like(b)
    ours, pyamgs, one, many = in_turns(
        lambda: [sor_sweep(rows, b, x, 1.5) for _ in range(100)],
        lambda: [pyamg_sor(theirs, y, b, 1.5) for _ in range(100)],
        lambda: sor(rows, b, omega=1.5, tol=1e-300, max_iter=1),
        lambda: sor(rows, b, omega=1.5, tol=1e-300, max_iter=101),
        rounds=ROUNDS,
    )
    together = [m - o for m, o in zip(many, one, strict=True)]
    return [
        Figure(
            "a sweep over PyAMG's, n = 10,000, time",
            ratio(ours, pyamgs),
            1.2,
            note=f"{1e4 * np.median(ours):.0f} us against {1e4 * np.median(pyamgs):.0f} us",
        ),
        Figure(
            "a sweep with its residual over PyAMG's sweep without, time",
            ratio(together, pyamgs),
            1.5,
        ),
    ]


def learners() -> list[Figure]:
    """ask and tell of each learner."""
    from feasible.programs import BinnedTsallisINF, ChebCB, TsallisINF

    rng = np.random.default_rng(100)
    contexts, costs = rng.random(2000).tolist(), rng.integers(20, 200, 2000).tolist()
    found = []
    for tuner in (ChebCB(), TsallisINF()):  # compiles
        tuner.ask(0.5)
        tuner.tell(30)
    for tuner in (TsallisINF(), BinnedTsallisINF(), ChebCB()):
        start = time.process_time()
        for c, k in zip(contexts, costs, strict=True):
            tuner.ask(c)
            tuner.tell(k)
        took = 1e3 * (time.process_time() - start) / len(costs)
        found.append(Figure(f"{type(tuner).__name__}, ask and tell", took, 0.1, "ms"))
    return found


def heat_steps() -> list[Figure]:
    """Time steps of the heat equation on 50 x 50 cells, by five solvers."""
    from feasible.programs.sor_bandit import cg, ssor_cg
    from feasible.programs.sor_bandit.instances import heat
    from feasible.programs.sor_bandit.peers import PyAMG, ScipyDirect
    from feasible.programs.sor_bandit.sequence import cost_of
    from feasible.programs.sor_bandit.settings import BanditSettings

    problem, tuner = heat(50), BanditSettings().made((0.0, 10.0), 100)
    before, systems, contexts = problem.start, [], []
    for t in range(1000):
        system = problem.system(t, before)
        found = ssor_cg(*system, tuner.ask(problem.context(t)))
        tuner.tell(cost_of(found, problem.max_iter))
        if t % 10 == 0:
            systems.append(system)
            contexts.append(problem.context(t))
        before = found.x

    def learnt() -> None:
        for system, c in zip(systems, contexts, strict=True):
            tuner.tell(cost_of(ssor_cg(*system, tuner.ask(c)), problem.max_iter))

    def fixed() -> None:
        for system in systems:
            ssor_cg(*system, 1.6)

    def plain() -> None:
        for system in systems:
            cg(*system)

    ours, best, without = in_turns(learnt, fixed, plain, rounds=ROUNDS)
    others = []
    for method in (ScipyDirect(), PyAMG()):
        start = time.perf_counter()
        for system in systems[::10]:
            method.solved(problem, *system)
        others.append((method.name, (time.perf_counter() - start) / len(systems[::10])))
    mine = float(np.median(ours)) / len(systems)
    return [
        Figure(
            "heat equation: ChebCB over conjugate gradients, time",
            ratio(ours, without),
            0.8,
            note=f"{1e3 * mine:.2f} ms a solve",
        ),
        Figure("heat equation: ChebCB over the best fixed omega, time", ratio(ours, best), 1.0),
        *(Figure(f"heat equation: ChebCB over {n}, time", mine / took) for n, took in others),
    ]


def run() -> list[Figure]:
    """All parts."""
    figures = sweeps() + learners() + heat_steps()
    write("sor_bandit", figures)
    return figures
