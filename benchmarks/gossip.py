"""Sums over networks: the simulator's speed, the optimal rates, and what an event costs on local
processes and on Ray, one thread each, on the processor's clock but for the engines.

Messages and gradients to an accuracy are in the claim of dadao; here are peers in one run and time.
"""

from __future__ import annotations

import os
import time
from functools import partial

import numpy as np

from .common import Figure, processor_seconds, write

ROUNDS = int(os.environ.get("GOSSIP_ROUNDS", "5"))
METHODS = ("dadao", "adom-plus", "extra", "gradient-tracking[factor=0.1]", "msda", "continuized")


def speeds() -> list[Figure]:
    """Events a second of a grid of 49 nodes, drawn and played."""
    from feasible.networks.dadao.claim import events_a_second

    events_a_second(100, 500.0)  # compiles
    found = float(np.median([events_a_second(100, 500.0) for _ in range(ROUNDS)]))
    return [Figure("simulated events a second, d = 10", found, 5e5, "at least")]


def rates() -> list[Figure]:
    """Seconds for the optimal rates of some graphs, and how far from the best they are at most."""
    from feasible.networks import gossip_rates, ready_graph

    found = []
    for name, n, bar in (("barbell", 20, 1.0), ("barbell", 50, None), ("geometric", 50, None)):
        graph = ready_graph(name, n)
        best = gossip_rates(graph, "optimal")
        share = best.total / gossip_rates(graph, "uniform").total
        note = f"{share:.2f} of uniform, at most {100 * best.gap:.1f} % above the least"
        what = f"optimal rates, {name} of {n}, {graph.number_of_edges()} edges"
        took = processor_seconds(partial(gossip_rates, graph, "optimal"), ROUNDS)
        found.append(Figure(what, took, bar, "s", note=note))
    return found


def engines() -> list[Figure]:
    """Microseconds of the wall clock an event takes on each engine, and seconds to begin it, from
    a short and a long log.
    """
    from feasible.networks import gossip_rates, regression
    from feasible.networks.dadao.engines import play
    from feasible.networks.dadao.rule import DADAORule
    from feasible.networks.dadao.settings import constants
    from feasible.networks.events import Clock, Schedule
    from feasible.networks.parts import Work

    problem = regression("ring", 4, seed=100)
    o, best = problem.objectives, gossip_rates(problem.graph)
    rule = DADAORule(o, constants(o.L, o.mu, best.chi1))
    logs = [Schedule(problem, [best.rates]).until(Clock.begin(100, 4), t) for t in (5.0, 500.0)]
    found: list[Figure] = []
    bits: set[bytes] = set()
    for engine in ("simulate", "processes", "ray"):
        took: list[list[float]] = [[], []]
        for _ in range(2):
            for log, mine in zip(logs, took, strict=True):
                S, clocks = rule.begin(problem.x0), np.zeros(4)
                begun = time.perf_counter()
                play(engine, Work(rule, S, clocks, log, problem.network.nodes))
                mine.append(time.perf_counter() - begun)
            bits.add(S.tobytes())
        short, long = map(min, took)
        each = (long - short) / (len(logs[1]) - len(logs[0]))
        note = f"at a load of {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
        found.append(Figure(f"an event, 4 nodes, engine {engine}", 1e6 * each, None, "us", note))
        if engine != "simulate":
            what = f"4 workers begun, engine {engine}"
            found.append(Figure(what, short - each * len(logs[0]), None, "s", note))
    found.append(Figure("distinct results of the three engines", len(bits), 1.0))
    return found


def peers() -> list[Figure]:
    """Messages of every method to 1e-8 of the first error, in one race."""
    import feasible
    from feasible.networks import regression
    from feasible.networks.dadao.claim import needed

    problems = [regression(graph, seed=100) for graph in ("star", "ring", "barbell")]
    race = feasible.race(problems, METHODS, {"gradients": 8000}, (100,))
    return [
        Figure(
            f"{c.name}, {m}: messages", needed("messages", race)(race.of(c.name, m)[0]), None, ""
        )
        for c in race.contests
        for m in race.methods
    ]


def run() -> list[Figure]:
    """All parts."""
    figures = speeds() + rates() + engines() + peers()
    write("gossip", figures)
    return figures
