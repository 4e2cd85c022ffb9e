"""Dies: what a flow and a step of an environment cost, a table of all designs, and environments in
processes of their own. Times are of the processor; those of processes by the clock, in turns.
"""

from __future__ import annotations

import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from benchmarks.common import Figure, in_turns, processor_seconds, ratio, write

SEEDS = range(5)
TRANSITIONS = 10_000
"""Of a training on the channel."""
STEPS = 60
"""Steps of every environment in the comparison of processes."""


def costs() -> list[Figure]:
    """A flow, a remembered step, the table of 121 designs."""
    from feasible.physics import FFD, channel_die, die_split, split_die
    from feasible.physics.extrusion_die_rl.baselines import table

    ffd, points = FFD(((0, 3), (-2, 2))), np.random.default_rng(0).random((1000, 2))
    gap = float(np.abs(ffd.deform(points, ffd.net) - points).max())
    figures = [Figure("deviation of the regular net from the identity", gap, 1e-12, "")]
    die = split_die()
    env = die_split(target=0.3)
    env.reset(seed=0)
    for action in (0, 1):
        env.step(action)

    def step() -> None:
        for action in (0, 1) * 10:
            env.step(action)

    flows, steps = in_turns(
        lambda: die.quality([0.15, -0.15]), step, rounds=15, clock=time.process_time
    )
    figures += [
        Figure("Newtonian flow, 505 unknowns", 1e3 * statistics.median(flows), None, "ms"),
        Figure("remembered step over a flow", ratio(steps, flows) / 20, 0.05),
    ]
    thin = channel_die(viscosity="carreau")
    thinning = processor_seconds(lambda: thin.quality([0.0, 0.0, 0.0]), 5)
    figures.append(Figure("shear-thinning flow, 6 iterations", 1e3 * thinning, None, "ms"))
    seconds = processor_seconds(lambda: table(die), 1)
    return [*figures, Figure("table of 121 designs", seconds, 3.0, "s")]


def processes() -> list[Figure]:
    """Steps of two environments, one after the other and in two processes, nothing remembered."""
    from feasible.physics import die_split
    from feasible.physics.extrusion_die_rl.agent import vectorised

    make = partial(die_split, "direct", h=4, memo=False)
    both = [vectorised(make, 2, apart, 0) for apart in (False, True)]
    actions = np.random.default_rng(0).uniform(-1, 1, (STEPS, 2, 2)).astype(np.float32)

    def run(env: object) -> None:
        env.reset()  # type: ignore[attr-defined]
        for action in actions:
            env.step(action)  # type: ignore[attr-defined]

    one, two = in_turns(*(partial(run, env) for env in both), rounds=5)
    for env in both:
        env.close()
    note = f"at a load of {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
    rate = statistics.median(2 * STEPS / t for t in two)
    return [
        Figure("2 environments in 2 processes over 1", ratio(one, two), 1.6, "at least", note),
        Figure("steps a second of 2 environments in 2 processes", rate, None, "", note),
    ]


def channel(seed: int) -> list[float]:
    """Of a training of PPO on the channel: the share of random starts that it makes even, and the
    simulations that it takes.
    """
    import feasible
    from feasible.physics import DieAgent

    agent = DieAgent("ppo", "incremental", TRANSITIONS)
    found = feasible.solve("die-task-channel", agent, {"evaluations": 3 * TRANSITIONS}, seed)
    assert found.verdict is not None
    return [found.verdict.metrics["success"], found.verdict.objective]


def evenness() -> list[Figure]:
    """The channel with three patches, from random starts, in 10 steps."""
    from feasible.physics import channel_die
    from feasible.physics.extrusion_die_rl.baselines import corner
    from feasible.physics.extrusion_die_rl.dies import distance

    die = channel_die()
    with ProcessPoolExecutor(2) as pool:
        made, simulations = np.array([*pool.map(channel, SEEDS)]).T
    said = f"channel, PPO step by step, {TRANSITIONS:,} transitions, {len(made)} trainings"
    return [
        Figure(f"{said}: share of 50 random starts made even in 10 steps", float(made.mean()), 0.9,
               "at least", f"{made.min():.2f} to {made.max():.2f}"),
        Figure(f"{said}: mean simulations", float(simulations.mean()), None, ""),
        Figure("channel: unevenness with every variable at its better bound (6 simulations)",
               distance(die.quality(corner(die))), 0.15, ""),
    ]  # fmt: skip


def run() -> list[Figure]:
    """All parts."""
    figures = costs() + processes() + evenness()
    write("dies", figures)
    return figures
