"""The claim of arXiv 2306.05747: a dispatching policy, learned from a solver's completions on a few
small shops, beats static dispatching rules on shops of other sizes.

Best of 32 stands against best of 32: the bars are against schedules that are drawn without learning
too. Each seed is a training of its own, on four random 10 x 8 shops, and the draws of all methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...lab.claim import Claim, Experiment, Part, by_method, sampled
from ...lab.trials import Race
from ..instances import benchmark
from ..rules import Rule, dispatch
from .dispatcher import PACKAGED, LearnedDispatcher

SETS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "smoke": {"la01-20": ("la01", "la16"), "orb01-05": ("orb01",)},
    "desk": {
        "la01-20": tuple(f"la{i:02d}" for i in range(1, 21)),
        "ta01-05": tuple(f"ta{i:02d}" for i in range(1, 6)),
        "orb01-05": tuple(f"orb{i:02d}" for i in range(1, 6)),
        "la21-40": ("la21", "la31", "la36"),
        "ta11-20": ("ta11", "ta12"),
        "ta31-35": ("ta31",),
        "dmu01-10": ("dmu01", "dmu06"),
        "dmu41-45": ("dmu41",),
        "swv01-05": ("swv01", "swv02"),
    },
    "paper": {
        "la01-20": tuple(f"la{i:02d}" for i in range(1, 21)),
        "ta01-05": tuple(f"ta{i:02d}" for i in range(1, 6)),
        "orb01-05": tuple(f"orb{i:02d}" for i in range(1, 6)),
        "la21-40": tuple(f"la{i}" for i in range(21, 41)),
        "ta11-20": tuple(f"ta{i}" for i in range(11, 21)),
        "ta31-35": tuple(f"ta{i}" for i in range(31, 36)),
        "dmu01-10": tuple(f"dmu{i:02d}" for i in range(1, 11)),
        "dmu41-45": tuple(f"dmu{i}" for i in range(41, 46)),
        "swv01-05": tuple(f"swv{i:02d}" for i in range(1, 6)),
    },
}
"""Shops by set; the first three are those of the bars."""
SAMPLES = {"smoke": 8, "desk": 32, "paper": 32}
LEARNED, RANDOM, SOFTMAX = "learned", "random non-delay", "MTWR-softmax"
GREEDY = "learned, greedy"
RULES: tuple[Rule, ...] = ("FIFO", "SPT", "MTWR")


def trained(seed: int) -> str:
    """The packaged weights of a seed: there are as many as were trained."""
    return PACKAGED[seed % len(PACKAGED)]


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """For each seed its training against draws without learning and the static rules."""
    names = [name for group in SETS[scale].values() for name in group]
    return [
        Experiment(
            f"seed {seed}",
            names,
            {
                LEARNED: f"jobshop-rl-cp[weights={trained(seed)},greedy=false]",
                RANDOM: "random-nondelay",
                SOFTMAX: "mtwr-softmax[rules=false]",
            },
            {"evaluations": SAMPLES[scale]},
            (seed,),
        )
        for seed in seeds
    ] + [
        Experiment(
            f"greedy {seed}",
            names,
            {GREEDY: f"jobshop-rl-cp[weights={trained(seed)}]"},
            {"evaluations": 1},
            (seed,),
        )
        for seed in seeds
    ]


def gaps(races: Mapping[str, Race]) -> dict[str, np.ndarray]:
    """Method -> (problems, seeds) gaps over the best known makespan."""
    contests = next(iter(races.values())).contests
    best = [benchmark(c.name).best_known or 1.0 for c in contests]
    tables: dict[str, list[np.ndarray]] = {}
    for race in races.values():
        found = by_method(race, lambda t: t.objective)
        for name, values in found.items():
            tables.setdefault(name, []).append(values)
    seeds = tables[LEARNED][0].shape[1] * len(tables[LEARNED])
    for rule in RULES:  # nothing is random in them
        made = [dispatch(benchmark(c.name), rule).makespan for c in contests]
        tables[rule] = [np.repeat(np.array(made)[:, None], seeds, axis=1)]
    return {k: np.hstack(v) / np.array(best)[:, None] - 1 for k, v in tables.items()}


def ratio(of: str, over: str) -> Callable[[Mapping[str, np.ndarray]], float]:
    """The mean gap of one method over that of another."""
    return lambda table: float(table[of].mean() / table[over].mean())


def over_rules(table: Mapping[str, np.ndarray]) -> float:
    """The learned mean gap over the best static rule's."""
    return float(table[LEARNED].mean() / min(table[rule].mean() for rule in RULES))


def check(races: Mapping[str, Race]) -> list[Part]:
    """Compare the mean gaps, set by set."""
    table, seeds = gaps(races), [int(name.split()[1]) for name in races if name.startswith("seed")]
    names = [c.name for c in next(iter(races.values())).contests]
    scale = next(s for s in SETS if [n for g in SETS[s].values() for n in g] == names)
    parts = []
    for k, (group, members) in enumerate(SETS[scale].items()):
        rows = [names.index(name) for name in members]
        own = {name: values[rows] for name, values in table.items()}
        if k == 0:
            parts.append(
                sampled(
                    f"{group}: mean gap of the learned best of {SAMPLES[scale]} over that of "
                    "random non-delay schedules",
                    {name: own[name] for name in (LEARNED, RANDOM)},
                    ratio(LEARNED, RANDOM),
                    "<= 0.9",
                )
            )
        if k < 3:
            parts.append(
                sampled(
                    f"{group}: the same over the best static rule's (one schedule)",
                    {name: own[name] for name in (LEARNED, *RULES)},
                    over_rules,
                    "<= 0.95",
                )
            )
        parts.append(
            sampled(
                f"{group}: the same over MTWR-softmax's",
                {name: own[name] for name in (LEARNED, SOFTMAX)},
                ratio(LEARNED, SOFTMAX),
            )
        )
        parts.append(
            sampled(
                f"{group}: mean gap of the most probable schedule over that of MTWR, one each",
                {name: own[name] for name in (GREEDY, "MTWR")},
                ratio(GREEDY, "MTWR"),
            )
        )
    parts.append(curves(seeds))
    return parts


def curves(seeds: Sequence[int]) -> Part:
    """Mean sampled makespan of the last three updates of the trainings over the first three's."""
    found = []
    for seed in seeds:
        sampled_by_update = LearnedDispatcher.load(trained(seed)).notes["sampled"]
        found.append([np.mean(sampled_by_update[:3]), np.mean(sampled_by_update[-3:])])
    first, last = np.array(found).T
    return sampled(
        "training: mean sampled makespan of the last three updates over that of the first three",
        {"first": first[None], "last": last[None]},
        ratio("last", "first"),
        "<= 0.9",
    )


claim = Claim(
    slug="jobshop-rl-cp",
    statement="a dispatching policy that is learned from a solver's completions on a few small "
    "shops beats static rules and random schedules on shops of other sizes",
    experiments=experiments,
    check=check,
    limits={
        "desk": "Trained with the authors' updates, passes and rate (`feasible jobshop train "
        "--updates 100 --work 0.3 --epochs 20 --minibatches 20 --rate 2e-4`) on four random 10 x 8 "
        "shops, 8 episodes an update, CP-SAT for 0.3 units of deterministic time a completion; the "
        "authors: shops of 30 x 15, 160 seconds of IBM's solver. One to three shops of each set "
        "beyond the bars' three.",
        "smoke": "Three shops, best of 8.",
    },
)
