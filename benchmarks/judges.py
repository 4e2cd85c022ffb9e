"""CGPO: what its judges and losses cost beside RLOO's, how many samples satisfaction takes, and
TRL's own trainers on the same model and prompts with as many samples, the judges in their reward.
"""

from __future__ import annotations

import statistics
import time
import warnings
from typing import Any

import numpy as np

from .common import Figure, in_turns, ratio, write

SEEDS = range(100, 105)
TRL_SEEDS = range(100, 103)
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


def beside_trl() -> list[Figure]:
    """Right sums and processor time after 30 iterations of 128 responses at a rate of 1e-3.

    At 3e-3 all but CRRAFT and RLOO were worse on these seeds; TRL's prices of the log-ratio and
    DPO's beta are those of the claim.
    """
    import datasets
    import transformers

    from feasible.language import CRRAFT
    from feasible.language.cgpo.claim import STEPS, hackable_orders, measured, trainer_of
    from feasible.language.cgpo.hackable import POLICY
    from feasible.language.cgpo.peers import trl_trained

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    rivals: dict[str, dict[str, float]] = {
        "DPO": {"beta": 1.0},
        "GRPO": {"beta": 0.0},
        "RLOO": {"beta": 0.01},
    }
    right: dict[str, list[float]] = {name: [] for name in ("CRRAFT", *rivals)}
    took: dict[str, list[float]] = {name: [] for name in right}
    for seed in TRL_SEEDS:
        problem = hackable_orders("A", POLICY, seed, samples=64)
        mine = trainer_of([problem], CRRAFT(), seed)
        begun = time.process_time()
        mine.fit(STEPS["desk"])
        took["CRRAFT"].append(time.process_time() - begun)
        right["CRRAFT"].append(measured(problem, mine.model)["satisfied"])
        for name, settings in rivals.items():
            its = trl_trained(problem, name, STEPS["desk"], seed=seed, **settings)
            took[name].append(its.seconds)
            right[name].append(measured(problem, its.model)["satisfied"])
    note = f"{len(TRL_SEEDS)} seeds, 3,840 samples each"
    figures = []
    for name in rivals:
        shares = [a / b for a, b in zip(right["CRRAFT"], right[name], strict=True)]
        what = f"right sums, CRRAFT over TRL's {name} on the reward times the judgement"
        figures.append(Figure(what, statistics.median(shares), 1.0, "at least", note))
        times = [a / b for a, b in zip(took["CRRAFT"], took[name], strict=True)]
        what = f"processor time a sample, CRRAFT over TRL's {name}"
        bar = None if name == "DPO" else 1.0  # that draws once, all at a time, from the reference
        figures.append(Figure(what, statistics.median(times), bar, note=note))
    return figures


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
        for name, mine, bar in zip(names, ours, (1.1, 1.1, 1.1), strict=True)
    ]
    theirs = {
        "tuned": [iterations_to(TableLagrangian(c=0.01), s) for s in SEEDS],
        "fastest": [iterations_to(TableLagrangian(c=0.01, dual_step=0.2), s) for s in SEEDS],
    }
    for name, method in (("CRRAFT", TableCRRAFT()), ("CODPO", TableCODPO())):
        mine = [iterations_to(method, s) for s in SEEDS]
        for rival, of in theirs.items():
            share = statistics.median(a / b for a, b in zip(mine, of, strict=True))
            what = f"samples to 99 % satisfied, {name} over the {rival} Lagrangian"
            figures.append(Figure(what, share, 0.7, note="tables, five seeds"))
    judges = MixtureOfJudges([NumberAnswer(), Length(40)])
    texts = [f"the sum of these is {i}" for i in range(10_000)]
    begun = time.process_time()
    judges(texts, answer=list(range(10_000)))
    took = (time.process_time() - begun) / len(texts)
    figures.append(Figure("two rules, a response", 1e6 * took, None, "us"))
    figures += beside_trl()
    write("judges", figures)
    return figures
