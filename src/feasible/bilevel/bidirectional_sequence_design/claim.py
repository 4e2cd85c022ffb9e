"""The claim of arXiv 2301.02931: designs that the data predict and that predict the data are better
than those of either direction alone, and better still where the weight of both is learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import process_time
from typing import Any

import numpy as np

from ...lab.claim import Claim, Experiment, Part, by_method, last_metric, sampled
from ...lab.trials import Race
from .bib import advance, begin
from .instances import ehrlich, generated, small_landscape, tfbind8
from .letters import SequenceRules
from .problem import SequenceDesign
from .settings import BIBSettings

DESIGNS = {"smoke": 16, "desk": 128, "paper": 128}
STEPS = {"smoke": 20, "desk": 100, "paper": 100}
TRAINING = {"smoke": ",train_steps=50", "desk": "", "paper": ""}
"""Of the convolutional networks."""
OURS = ("bib", "bdi", "bib-forward", "bib-backward", "bib-adaptive")
OTHERS = (
    "random-sequences",
    "one-hot-ranking",
    "head-ranking",
    "ranked-mutants",
    "genetic-sequences",
    "cnn-ascent",
    "cnn-ascent-adaptive",
    "coms",
)
FEW = ("random-sequences", "one-hot-ranking", "genetic-sequences", "cnn-ascent")
"""Those of the others that are tried on generated landscapes."""
ROUNDS = 4


def contestants(names: Sequence[str], scale: str) -> dict[str, str]:
    """Return methods with the scale's steps a round, by name."""
    found, steps = {}, STEPS[scale]
    for name in names:
        if name in OURS:
            found[name] = f"{name}[steps={steps}]"
        elif name.startswith(("cnn", "coms")):
            found[name] = f"{name}[steps={steps}{TRAINING[scale]}]"
        elif name == "ranked-mutants":
            found[name] = f"{name}[batch={5 * steps}]"
        else:
            found[name] = name
    return found


def problem_of(scale: str) -> SequenceDesign:
    """Return measured binding; at smoke scale a small landscape stands for it."""
    return small_landscape() if scale == "smoke" else tfbind8(DESIGNS[scale])


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """Measured binding for each seed, and a generated landscape and an Ehrlich function a seed."""
    chosen = tuple(seeds)[:1] if scale == "smoke" else tuple(seeds)
    n = DESIGNS[scale]
    budget = {"steps": ROUNDS * STEPS[scale]}
    few = contestants((*OURS[:4], *FEW), scale)
    small = scale == "smoke"
    landscapes = [generated(s, 8 if small else 10, n) for s in chosen]
    functions = [ehrlich(seed=s, n_designs=n, count=1000 if small else 5000) for s in chosen]
    for problems in (landscapes, functions):
        for problem, seed in zip(problems, chosen, strict=True):
            problem.name = f"{problem.name}, instance {seed}"
    return [
        Experiment(
            "binding", [problem_of(scale)], contestants((*OURS, *OTHERS), scale), budget, chosen
        ),
        Experiment("generated", landscapes, few, budget, chosen[:1]),
        Experiment("ehrlich", functions, few, budget, chosen[:1]),
    ]


def less(
    of: str, medians: Mapping[str, np.ndarray], mine: str, other: str, bar: str = "reported"
) -> Part:
    """Return by how much the median score of one method is above another's, median of all runs."""
    return sampled(
        f"{of}: median score of {mine} less that of {other}, median",
        {m: medians[m] for m in (mine, other)},
        lambda v: float(np.median(v[mine] - v[other])),
        bar,
    )


def check(races: Mapping[str, Race]) -> list[Part]:
    """Median scores of new, distinct designs, on a scale from the worst to the best sequence."""
    race = races["binding"]
    found = by_method(race, last_metric("median"), 0.0)
    distinct = by_method(race, last_metric("distinct"), 0.0)
    parts = [
        less("binding", found, "bib", "bdi", ">= 0"),
        less("binding", found, "bib", "bib-backward", ">= 0.08"),
        less("binding", found, "bib", "bib-forward", ">= 0"),
        less("binding", found, "bib", "random-sequences", ">= 0.15"),
        sampled(
            "binding: distinct new designs of bib less those of bdi, median",
            {m: distinct[m] for m in ("bib", "bdi")},
            lambda v: float(np.median(v["bib"] - v["bdi"])),
            ">= 0",
        ),
        less("binding", found, "cnn-ascent-adaptive", "cnn-ascent", ">= 0"),
        *(less("binding", found, "bib", other) for other in ("bib-adaptive", *OTHERS[1:])),
    ]
    for name in ("generated", "ehrlich"):
        medians = by_method(races[name], last_metric("median"), 0.0)
        largest = by_method(races[name], last_metric("max"), 0.0)
        parts += [less(name, medians, "bib", other) for other in (*OURS[1:4], *FEW)]
        parts += [
            sampled(
                f"{name}: best design of {mine}, median",
                {mine: largest[mine]},
                lambda v, m=mine: float(np.median(v[m])),  # type: ignore[misc]
            )
            for mine in ("bib", *FEW)
        ]
    return parts


def timed(problem: SequenceDesign, steps: int) -> float:
    """Return seconds of the processor for so many steps of all designs."""
    settings = BIBSettings(steps=steps)
    offline, aux = problem.offline(settings), problem.auxiliary(settings)
    rules, rng = SequenceRules(), np.random.default_rng(0)
    state = begin(offline, problem.alphabet, problem.n_designs, settings, rng, rules)
    begun = process_time()
    for _ in range(steps):
        advance(offline, aux, settings, state, rules)
    return process_time() - begun


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """How long it takes."""
    problem = problem_of(scale)
    n, steps = problem.n_designs, STEPS[scale]
    took = timed(problem, steps)
    return [Part(f"seconds for {n} designs and {steps} steps, one core", took, "<= 5")], {}


claim = Claim(
    slug="bidirectional-sequence-design",
    statement="Designs that are moved so that the data predict them to be good and that they "
    "predict the data are better than those of either direction alone, and better where the weight "
    "of both follows other models than where it is one half.",
    experiments=experiments,
    check=check,
    extra=extra,
    why="What is compared are designs that differ from one another and from the data; missing ones "
    "count as the worst. The maximum says little: random 8-mers reach it too. The language model "
    "is a small one, trained here on DNA with planted binding sites, where the paper has DNABERT; "
    "with it the forward direction alone, and ranking all sequences by its head, are ahead. "
    "Settings were chosen on another transcription factor.",
    limits={
        "desk": "TFBind8 (reduced), generated landscapes of 10-mers, Ehrlich functions of 32 "
        "letters; no proteins, whose oracles and models are not to be had here.",
        "smoke": "16 designs, 20 steps, one seed; a generated landscape for binding.",
    },
)
