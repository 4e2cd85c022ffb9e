"""CGPO: what its judges and losses cost beside RLOO's, and how many samples satisfaction takes."""

from __future__ import annotations

import statistics
import time
import warnings
from typing import Any

import numpy as np

from .common import Figure, in_turns, ratio, write

SEEDS = range(100, 105)
MOST = 500
"""Iterations after which a method that never reached 99 % is counted with this many."""


def iterations_to(method: Any, seed: int, share: float = 0.99) -> int:
    """Iterations of 256 samples until so many responses satisfy the judges."""
    from feasible.language.cgpo.instances import hackable_table

    problem = hackable_table(seed=seed)
    state = method.init(problem, np.random.default_rng(seed))
    for i in range(1, MOST + 1):
        state = method.step(problem, state)
        if i % 5 == 0:
            found = problem.judge(method.answer(problem, state)).metrics
            if found["satisfaction"] >= share:
                return i
    return MOST


def stepper(method: Any) -> Any:
    """What makes one iteration of a method on the model of characters."""
    from feasible.language.cgpo.hackable import hackable_orders

    problem = hackable_orders("A")
    state = method.init(problem, np.random.default_rng(100))
    for _ in range(6):  # each prompt has its baseline then
        state = method.step(problem, state)
    return lambda: method.step(problem, state)


def run() -> list[Figure]:
    """Time and samples."""
    from feasible.language import Length, MixtureOfJudges, NumberAnswer
    from feasible.language.cgpo.run import TableCODPO, TableCRRAFT, TableLagrangian
    from feasible.language.cgpo.words import WordsCODPO, WordsCRPG, WordsCRRAFT, WordsRLOO

    warnings.simplefilter("ignore")
    names = ("CRPG", "CRRAFT", "CODPO")
    rules = (WordsCRPG(), WordsCRRAFT(), WordsCODPO())
    base, *ours = in_turns(
        stepper(WordsRLOO()), *map(stepper, rules), rounds=15, clock=time.process_time
    )
    figures = [
        Figure(f"an iteration of {name} over one of RLOO, 128 responses", ratio(mine, base), bar)
        for name, mine, bar in zip(names, ours, (1.1, 1.5, 1.1), strict=True)
    ]
    theirs = [iterations_to(TableLagrangian(c=0.01), s) for s in SEEDS]
    for name, method in (("CRRAFT", TableCRRAFT()), ("CODPO", TableCODPO())):
        mine = [iterations_to(method, s) for s in SEEDS]
        share = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
        what = f"samples to 99 % satisfied, {name} over the tuned Lagrangian"
        figures.append(Figure(what, share, 0.7, note="tables, five seeds"))
    judges = MixtureOfJudges([NumberAnswer(), Length(40)])
    texts = [f"the sum of these is {i}" for i in range(10_000)]
    begun = time.process_time()
    judges(texts, answer=list(range(10_000)))
    took = (time.process_time() - begun) / len(texts)
    figures.append(Figure("two rules, a response", 1e6 * took, None, "us"))
    write("judges", figures)
    return figures
