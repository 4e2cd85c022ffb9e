"""Dispatch over many stages: what keeping a program between solves is worth, what a stage takes
under each policy, what training takes beside SDDP, and whether memory stays flat.

Times are of the processor, in turns within this process. Costs are in the claim of ts-ddr.
"""

from __future__ import annotations

import os
import statistics
import time

import numpy as np
import psutil
from scipy.optimize import linprog

from .common import Figure, in_turns, ratio, write

ROUNDS = int(os.environ.get("DISPATCH_ROUNDS", "5"))
STEPS = int(os.environ.get("DISPATCH_STEPS", "4000"))
"""Steps of training over which memory is watched."""


def programs() -> list[Figure]:
    """A kept program against one made anew, and a stage against SciPy's linprog."""
    from feasible.operations import hydrothermal_ht3
    from feasible.operations.window import Penalty, Window

    problem = hydrothermal_ht3()
    paths = problem.held_out[:20]
    kept = problem.window(0, problem.T, Penalty(500.0), "benchmark")
    goal = np.tile(problem.initial_state, (problem.T, 1))

    def again() -> None:
        for path in paths:
            kept.solve(problem.initial_state, path, goal)

    def anew() -> None:
        for path in paths:
            Window(problem.stages, True, Penalty(500.0)).solve(problem.initial_state, path, goal)

    resolved, rebuilt = in_turns(again, anew, rounds=ROUNDS, clock=time.process_time)
    stage, window = problem.stages[5], problem.window(5, 1, user="benchmark")
    low, high = stage.below, stage.above
    same = low & high
    A = stage.A.toarray()
    bounds = np.column_stack([stage.lower, stage.upper])

    def ours() -> None:
        for path in paths:
            window.solve(problem.initial_state, path[5:6])

    def scipys() -> None:
        for path in paths:
            right = stage.right(problem.initial_state, path[5])
            linprog(
                stage.cost,
                A_ub=-A[low & ~same],
                b_ub=-right[low & ~same],
                A_eq=A[same],
                b_eq=right[same],
                bounds=bounds,
            )

    mine, its = in_turns(ours, scipys, rounds=ROUNDS, clock=time.process_time)
    each = 1e3 * statistics.median(resolved) / len(paths)
    stage_each = 1e3 * statistics.median(mine) / len(paths)
    what = "a path of 24 stages: made anew over solved again"
    return [
        Figure(what, ratio(rebuilt, resolved), 5.0, "at least", f"{each:.2f} ms a path"),
        Figure(
            "a stage: scipy.optimize.linprog over ours",
            ratio(its, mine),
            10.0,
            "at least",
            f"{stage_each:.3f} ms a stage",
        ),
    ]


def policies() -> list[Figure]:
    """What a stage takes under each policy, trained as in the claim, and what training takes."""
    from feasible.operations import SDDP, TSDDR, LookAhead, hydrothermal_ht3

    problem = hydrothermal_ht3()
    begun = time.process_time()
    cuts = SDDP(stall=0.0).fit(problem, 40, seed=100)
    sddp = time.process_time() - begun
    network = TSDDR().fit(problem, seed=100)
    trained = time.process_time() - begun - sddp
    paths = problem.held_out[:20]
    found = []
    actors = {"sddp": cuts.policy, "ts-ddr": network.policy, "ce-mpc": LookAhead()}
    acting = {name: policy.on(problem) for name, policy in actors.items()}
    times = in_turns(
        *(lambda actor=actor: problem.simulate(actor, paths) for actor in acting.values()),
        rounds=ROUNDS,
        clock=time.process_time,
    )
    by_name = dict(zip(acting, times, strict=True))
    for name, mine in by_name.items():
        each = 1e6 * statistics.median(mine) / (len(paths) * problem.T)
        found.append(Figure(f"a stage under {name}", each, None, "us"))
    what = "a stage under ts-ddr over one under sddp, 40 iterations' cuts"
    found.append(Figure(what, ratio(by_name["ts-ddr"], by_name["sddp"]), 1.5))
    what = "400 steps of 4 paths over 40 iterations of sddp"
    note = f"{trained:.1f} s and {sddp:.1f} s of the processor"
    found.append(Figure(what, trained / sddp, 3.0, note=note))
    return found


def memory() -> list[Figure]:
    """How much the process grows between a tenth and the end of a long training."""
    from feasible.operations import TSDDR, hydrothermal_ht3

    problem = hydrothermal_ht3(T=2, N=3, n_test=2)
    method = TSDDR(iterations=STEPS, batch=1)
    state = method.init(problem, np.random.default_rng(100))
    process, before = psutil.Process(), 0
    for k in range(STEPS):
        state = method.step(problem, state)
        if k + 1 == STEPS // 10:
            before = process.memory_info().rss
    grown = process.memory_info().rss / before
    what = f"memory after {STEPS} steps over that after {STEPS // 10}"
    return [Figure(what, grown, 1.05)]


def run() -> list[Figure]:
    """All parts."""
    figures = [*programs(), *policies(), *memory()]
    write("dispatch", figures)
    return figures
