"""The claim of arXiv 2409.20370: judges keep a policy from hacking its reward, and what they cost.

The paper compares models of 70 billion weights with PPO. Here rewards are made that can be hacked
and whose truth is known: tables of responses, whose policies are judged exactly, and a small model
of characters under a reward that was learnt from preferences for length. The rivals see the same
judges: a Lagrangian whose price and step were swept, RLOO on the reward times the judgement and on
their sum, RAFT among satisfied responses, DPO on judged pairs.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...lab.claim import Claim, Experiment, Part, by_method, last_metric, sampled
from ...lab.trials import Race
from ..problem import LanguageProblem
from ..small import character_tokenizer
from ..weights import weights_of
from .hackable import BRIEF, CHARACTERS, LONGEST, POLICY, LearntReward, hackable_orders, vowels
from .instances import hackable_table
from .rules import CODPO, CRPG, CRRAFT, DPO, RAFT, RLOO, Lagrangian, Rule
from .run import (
    TableCODPO,
    TableCRPG,
    TableCRRAFT,
    TableDPO,
    TableLagrangian,
    TableMethod,
    TablePPO,
    TableRAFT,
    TableRLOO,
)
from .table import ResponseTable
from .trainer import CGPOConfig, CGPOTask, CGPOTrainer

ITERATIONS = {"smoke": 15, "desk": 1000, "paper": 1000}
"""On tables, of 256 samples each."""
EARLY = {"smoke": 5, "desk": 300, "paper": 300}
"""An earlier look."""
STEPS = {"smoke": 2, "desk": 30, "paper": 200}
"""On the model of characters, of 128 samples each."""
PRICES, DUAL_STEPS = (0.0, 0.01, 0.1), (0.05, 0.2)
"""Of the Lagrangian's sweep: weight of the log-ratio, step of the multiplier. A step of 1 was worse
by 0.3 of reward on seeds 100 to 102."""
TUNED = "Lagrangian, c 0.01, step 0.05"
"""Of the sweep on seeds 100 to 102 the highest satisfaction among those within 0.005 of the most
reward on satisfied responses."""
FAST = "Lagrangian, c 0.01, step 0.2"
"""Of the same sweep the one that needs the fewest samples to 99 % satisfaction."""
SWEPT: dict[str, TableMethod] = {
    f"Lagrangian, c {c:g}, step {step:g}": TableLagrangian(c=c, dual_step=step)
    for c in PRICES
    for step in DUAL_STEPS
}
OURS: dict[str, TableMethod] = {
    "CRPG": TableCRPG(),
    "CRRAFT": TableCRRAFT(),
    "CODPO": TableCODPO(),
}
TWINS: dict[str, TableMethod] = {
    "CRPG, no judges": TableCRPG(use_judges=False),
    "CRRAFT, no judges": TableCRRAFT(use_judges=False),
    "CODPO, no judges": TableCODPO(use_judges=False),
}
RIVALS: dict[str, TableMethod] = {
    "CODPO, no fine-tuning term": TableCODPO(sft=0.0),
    "judged RLOO, c 0.01": TableRLOO(times_judge=True, c=0.01),
    "judged RLOO, calibrated, c 0": TableRLOO(times_judge=True, calibrate=True, c=0.0),
    "RLOO on reward + 4 y": TableRLOO(judge_weight=4.0, c=0.01),
    "RLOO on reward + 10 y": TableRLOO(judge_weight=10.0, c=0.01),
    "RLOO, c 0.1": TableRLOO(c=0.1),
    "RLOO, c 1": TableRLOO(c=1.0),
    "PPO, c 0.1": TablePPO(c=0.1),
    "judged RAFT": TableRAFT(),
    "judged DPO": TableDPO(),
}
RARE = 0.05
"""Share of satisfied responses of the harder tables."""
RULES: dict[str, Rule] = {"CRPG": CRPG(), "CRRAFT": CRRAFT(), "CODPO": CODPO()}
TUNED_WORDS = "Lagrangian, c 0.01, step 8"
"""On the model of characters the most right sums on seeds 100 to 102, of c 0, 0.01 and 0.1 and
steps of 0.05, 0.2, 1 and 4, and 8 and 16 with c 0.01. In 30 iterations a multiplier that rises as
slowly as on tables never counts."""
WORDS_RIVALS: dict[str, Rule] = {
    TUNED_WORDS: Lagrangian(c=0.01, dual_step=8.0),
    "judged RLOO, c 0.01": RLOO(c=0.01, times_judge=True),
    "judged RLOO, calibrated, c 0.01": RLOO(c=0.01, times_judge=True, calibrate=True),
    "RLOO on reward + 4 y": RLOO(c=0.01, judge_weight=4.0),
    "judged RAFT": RAFT(),
    "judged DPO": DPO(beta=1.0),
}
"""Prices and weights of the most right sums on the same seeds."""
LOOKS = {"smoke": 1, "desk": 3, "paper": 20}
"""Iterations between looks at the model of characters."""
DRAWS = {"smoke": 1, "desk": 64, "paper": 64}
"""Responses to each held-out prompt that it is measured by."""
MIXES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the sums' reward in a linear mix."""
RACED = {
    "CRPG": "crpg-table",
    "CRRAFT": "crraft-table",
    "CODPO": "codpo-table",
    "Lagrangian": "lagrangian-table[c=0.01]",
    "judged RLOO": "judged-rloo-table[c=0.01]",
    "judged RAFT": "raft-table",
    "judged DPO": "dpo-table",
}
Figures = dict[str, np.ndarray]
"""Name -> (1, seeds)."""


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """The race in runs: what a budget of samples buys on a table."""
    samples = {"smoke": 512, "desk": 51_200, "paper": 51_200}[scale]
    return [Experiment("tables", ["hackable-30"], RACED, {"samples": samples}, tuple(seeds))]


def check(races: Mapping[str, Race]) -> list[Part]:
    """What the race reached."""
    satisfied = by_method(races["tables"], last_metric("satisfaction"), failed=0.0)
    return [
        sampled(f"one table, in runs: satisfaction of {name}", {name: values}, _middle)
        for name, values in satisfied.items()
    ]


def _middle(values: Mapping[str, np.ndarray]) -> float:
    return float(np.median(next(iter(values.values()))))


def _gap(one: str, other: str) -> Any:
    """Return the statistic "median of one less median of the other"."""
    return lambda values: float(np.median(values[one]) - np.median(values[other]))


def _least(one: str, other: str) -> Any:
    """Return the statistic "least difference of one and the other, seed by seed"."""
    return lambda values: float((values[one] - values[other]).min())


# -- tables ----------------------------------------------------------------------------------------


@dataclass
class Course:
    """How a method went on a table.

    Attributes:
        early: Metrics at the earlier look.
        late: At the end.
        reached: Iterations until 99 % satisfaction; infinite where it never came there.
    """

    early: Mapping[str, float]
    late: Mapping[str, float]
    reached: float


def course(problem: ResponseTable, method: TableMethod, scale: str, seed: int) -> Course:
    """Let a method learn, whatever its verdict, and look at it on the way."""
    state = method.init(problem, np.random.default_rng(seed))
    early: Mapping[str, float] = {}
    reached = np.inf
    for i in range(1, ITERATIONS[scale] + 1):
        state = method.step(problem, state)
        if i == EARLY[scale]:
            early = problem.judge(method.answer(problem, state)).metrics
        if i % 5 == 0 and not np.isfinite(reached):
            found = problem.judge(method.answer(problem, state)).metrics
            reached = i if found["satisfaction"] >= 0.99 else reached
    return Course(early, problem.judge(method.answer(problem, state)).metrics, reached)


def table_of(courses: Mapping[str, Sequence[Course]], when: str, metric: str) -> Figures:
    """Collect a metric of all methods."""
    return {
        name: np.array([[getattr(c, when)[metric] for c in runs]]) for name, runs in courses.items()
    }


def on_tables(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """Satisfaction and reward on satisfied responses, 30 % and 5 % of them satisfied."""
    methods = {**OURS, **TWINS, **SWEPT, **RIVALS}
    courses = {
        name: [course(hackable_table(seed=s), method, scale, s) for s in seeds]
        for name, method in methods.items()
    }
    late = table_of(courses, "late", "satisfaction")
    gain = table_of(courses, "late", "reward_on_satisfied")
    parts = [
        sampled(f"satisfaction of {name}", {name: late[name]}, _middle, f">= {bar:g}")
        for name, bar in (("CRPG", 0.98), ("CRRAFT", 0.995), ("CODPO", 0.995))
    ]
    for name in OURS:
        pair = {n: late[n] for n in (name, TUNED)}
        what = f"{name} less the tuned Lagrangian"
        parts.append(sampled(f"satisfaction of {what}", pair, _gap(name, TUNED), ">= -0.005"))
        pair = {n: gain[n] for n in (name, TUNED)}
        bar = ">= 0.05"
        parts.append(sampled(f"reward on satisfied, {what}", pair, _gap(name, TUNED), bar))
    for name in OURS:
        twin = f"{name}, no judges"
        parts.append(
            sampled(
                f"satisfaction of {name} less that without judges, least of all seeds",
                {n: late[n] for n in (name, twin)},
                _least(name, twin),
                ">= 0.5",
            )
        )
    reached = {n: np.array([[c.reached for c in runs]]) for n, runs in courses.items()}
    for name in ("CRRAFT", "CODPO"):
        for what, rival in (("the tuned Lagrangian", TUNED), ("the fastest Lagrangian", FAST)):
            mine, theirs = reached[name], reached[rival]
            parts.append(
                sampled(
                    f"samples to 99 % satisfaction, {name} over {what}",
                    {"ratio": np.minimum(mine, 1e6) / np.minimum(theirs, 1e6)},
                    _middle,
                    "<= 0.7",
                )
            )
    kept: dict[str, Any] = {
        "tables": {
            name: {
                "satisfaction": [c.late["satisfaction"] for c in runs],
                "reward on satisfied": [c.late["reward_on_satisfied"] for c in runs],
                "kl": [c.late["kl"] for c in runs],
                f"satisfaction, iteration {EARLY[scale]}": [c.early["satisfaction"] for c in runs],
                f"reward on satisfied, iteration {EARLY[scale]}": [
                    c.early["reward_on_satisfied"] for c in runs
                ],
                "iterations to 0.99": [c.reached if np.isfinite(c.reached) else None for c in runs],
            }
            for name, runs in courses.items()
        }
    }
    more, rare = rare_tables(scale, seeds)
    return [*parts, *more], kept | rare


def rare_tables(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """Where one response in twenty is satisfied, and where the divergence allowed is too small."""
    methods: dict[str, TableMethod] = {
        **OURS,
        **{name: SWEPT[name] for name in (TUNED, FAST)},
        **{name: RIVALS[name] for name in RIVALS if name.startswith("judged")},
        "RLOO on reward + 10 y": RIVALS["RLOO on reward + 10 y"],
    }
    rare = {
        name: [course(hackable_table(feasible=RARE, seed=s), m, scale, s) for s in seeds]
        for name, m in methods.items()
    }
    parts, kept = [], dict[str, dict[str, list[float]]]()
    for name, runs in rare.items():
        figures = {
            "satisfaction": [c.late["satisfaction"] for c in runs],
            "reward on satisfied": [c.late["reward_on_satisfied"] for c in runs],
        }
        kept[name] = figures
        what = f"5 % satisfied at the start: satisfaction of {name}"
        parts.append(sampled(what, {name: np.array([figures["satisfaction"]])}, _middle))
    tight = [
        course(hackable_table(seed=s), TableCRPG(kl_max=1.0), scale, s).late["satisfaction"]
        for s in seeds
    ]
    what = "satisfaction of CRPG with kl_max 1, below what the judges need (1.2)"
    parts.append(sampled(what, {"CRPG": np.array([tight])}, _middle))
    return parts, {"tables, 5 % satisfied": kept, "CRPG, kl_max 1": tight}


# -- a model of characters -------------------------------------------------------------------------


def rows_of(problem: LanguageProblem) -> list[dict[str, Any]]:
    """A problem's prompts as a dataset."""
    data = problem.data or {}
    return [
        {"prompt": prompt, **{name: column[i] for name, column in data.items()}}
        for i, prompt in enumerate(problem.prompts)
    ]


def task_of(problem: LanguageProblem, rule: Rule, weight: float = 1.0) -> CGPOTask:
    """A problem as a task of the trainer."""
    return CGPOTask(
        rows_of(problem), problem.reward, problem.judges, rule, weight, name=problem.name
    )


def trainer_of(problems: Sequence[LanguageProblem], rule: Rule, seed: int) -> CGPOTrainer:
    """A trainer of one task for each problem, with weights that add to 1."""
    return CGPOTrainer(
        problems[0].model(),
        CGPOConfig(max_completion_length=LONGEST, learning_rate=1e-3, seed=seed),
        processing_class=character_tokenizer(CHARACTERS),
        tasks=[task_of(p, rule, 1 / len(problems)) for p in problems],
    )


def learnt(
    problems: Sequence[LanguageProblem], rule: Rule, scale: str, seed: int
) -> list[dict[str, float]]:
    """Train on tasks and measure each on its held-out prompts, by drawn responses."""
    trainer = trainer_of(problems, rule, seed).fit(STEPS[scale])
    return [measured(p, trainer.model) for p in problems]


def looked_at(
    problem: LanguageProblem, rule: Rule, scale: str, seed: int
) -> list[dict[str, float]]:
    """Train on one task and measure it on the way, last of all at the end."""
    trainer, looks = trainer_of([problem], rule, seed), []
    for _ in range(STEPS[scale] // LOOKS[scale]):
        trainer.fit(LOOKS[scale])
        looks.append(measured(problem, trainer.model))
    return looks


def looks_to(looks: Sequence[Mapping[str, float]], share: float) -> float:
    """The number of the first look at which so many responses are satisfied; twice as many as there
    were where none is."""
    return next((i for i, at in enumerate(looks, 1) if at["satisfied"] >= share), 2.0 * len(looks))


def measured(problem: LanguageProblem, model: Any) -> dict[str, float]:
    """Share satisfied, mean reward, and mean reward times judgement of drawn responses."""
    found = problem.examine(weights_of(model), range(len(problem.held_out))).of_drawn
    y, r = found.all_satisfied.astype(float), found.reward
    return {"satisfied": float(y.mean()), "reward": float(r.mean()), "both": float((r * y).mean())}


def on_characters(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """The sums under a learnt reward, with judges and without; then both orders together."""
    policy = BRIEF if scale == "smoke" else POLICY
    many = DRAWS[scale]
    rules: dict[str, Rule] = {
        **RULES,
        **{
            f"{name}, no judges": replace(rule, use_judges=False)  # type: ignore[call-arg]
            for name, rule in RULES.items()
        },
        **WORDS_RIVALS,
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in rules}
    ways: dict[str, list[list[dict[str, float]]]] = {
        name: [] for name in ("CRRAFT", "CODPO", TUNED_WORDS)
    }
    begun = []
    for s in seeds:
        problem = hackable_orders("A", policy, s, samples=many)
        begun.append(measured(problem, problem.reference))
        for name, rule in rules.items():
            if name in ways:
                ways[name].append(looked_at(problem, rule, scale, s))
            runs[name].append(
                ways[name][-1][-1] if name in ways else learnt([problem], rule, scale, s)[0]
            )
    figure = {
        key: {name: np.array([[r[key] for r in found]]) for name, found in runs.items()}
        for key in ("satisfied", "reward")
    }
    parts = []
    for name in RULES:
        twin = f"{name}, no judges"
        pair = {n: figure["satisfied"][n] for n in (name, twin)}
        what = f"model of characters: right sums of {name} less those without judges"
        parts.append(sampled(what, pair, _gap(name, twin), ">= 0.05"))
        pair = {n: figure["reward"][n] for n in (name, twin)}
        what = f"model of characters: reward without judges less that of {name}"
        parts.append(sampled(what, pair, _gap(twin, name), "> 0"))
    for name in RULES:
        pair = {n: figure["satisfied"][n] for n in (name, TUNED_WORDS)}
        what = f"model of characters: right sums of {name} less those of the tuned Lagrangian"
        parts.append(sampled(what, pair, _gap(name, TUNED_WORDS), ">= -0.005"))
    for name in (*RULES, *WORDS_RIVALS):
        what = f"model of characters: right sums of {name}"
        parts.append(sampled(what, {name: figure["satisfied"][name]}, _middle))
    for name in ("CRRAFT", "CODPO"):
        ratios = [
            looks_to(mine, its[-1]["satisfied"]) / looks_to(its, its[-1]["satisfied"])
            for mine, its in zip(ways[name], ways[TUNED_WORDS], strict=True)
        ]
        what = (
            f"model of characters: samples of {name} to the right sums that the tuned Lagrangian "
            "ends with, over its own"
        )
        parts.append(sampled(what, {"ratio": np.array([ratios])}, _middle, "<= 0.7"))
    kept: dict[str, Any] = {"sums": runs, "sums, before": begun, "sums, on the way": ways}
    more, both = together(scale, seeds, policy, many)
    return [*parts, *more], kept | both


def together(
    scale: str, seeds: Sequence[int], policy: Any, many: int
) -> tuple[list[Part], dict[str, Any]]:
    """Both orders by one policy: a task each, against one reward that mixes theirs.

    A task's score is the share of right sums, and the reward of vowels times judgement. Mixes see
    the judges too: their reward is multiplied by the judgement. Both learn from as many samples.
    """
    single, joint, mixed = [], [], []
    for s in seeds:
        tasks = [hackable_orders(t, policy, s, samples=many) for t in "AB"]
        single.append([learnt([p], CRRAFT(), scale, s)[0] for p in tasks])
        joint.append(learnt(tasks, CRRAFT(), scale, s))
        mixed.append([mix(share, tasks, policy, scale, s, many) for share in MIXES])

    def scores(found: Sequence[Sequence[Mapping[str, float]]]) -> np.ndarray:
        """(seeds, 2): of the sums and of the vowels."""
        return np.array([[a["satisfied"], b["both"]] for a, b in found])

    alone = np.maximum(scores(single), 1e-9)
    kept = scores(joint) / alone
    of_mixes = [(scores(m) / alone[i]).min(1) for i, m in enumerate(mixed)]
    best = np.array([shares.max() for shares in of_mixes])  # whose worse task keeps most
    return [
        sampled(
            "two tasks by CRRAFT: smaller share of a single task's score that is kept",
            {"kept": kept.min(1)[None]},
            _middle,
            ">= 0.95",
        ),
        sampled(
            "best of five mixes of the rewards, with judges: share kept on its worse task",
            {"kept": best[None]},
            _middle,
            "< 0.95",
        ),
    ], {"tasks": {"single": single, "joint": joint, "mixed": mixed}}


def mix(
    share: float,
    tasks: Sequence[LanguageProblem],
    policy: Any,
    scale: str,
    seed: int,
    many: int,
) -> list[dict[str, float]]:
    """RLOO on a mix of both rewards times the judgement, on the prompts of both orders."""
    learnt_reward = LearntReward(seed=seed)

    def reward(completions: Sequence[str], **columns: Any) -> list[float]:
        one, other = learnt_reward(completions), vowels(completions)
        return [share * a + (1 - share) * b for a, b in zip(one, other, strict=True)]

    both = hackable_orders("AB", policy, seed, reward, samples=many)
    trainer = trainer_of([both], RLOO(c=0.01, times_judge=True), seed).fit(2 * STEPS[scale])
    return [measured(p, trainer.model) for p in tasks]


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """What needs no race."""
    chosen = tuple(seeds)[:1] if scale == "smoke" else tuple(seeds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts, kept = on_tables(scale, chosen)
        more, words = on_characters(scale, chosen)
    return [*parts, *more], kept | words


claim = Claim(
    "cgpo",
    "a mixture of judges keeps a policy from hacking its reward, at the satisfaction of a tuned "
    "Lagrangian and with more reward on what is satisfied",
    experiments,
    check,
    extra=extra,
    why=(
        "The paper's models of 70 billion weights cannot be run here; tables, orders and bars are "
        "our own. Judges do keep policies from hacking. But a Lagrangian that is tuned as "
        "carefully reaches the same satisfaction with all but the same reward on what is "
        "satisfied, so the margin of 0.05 is not there for any of the three; CRPG, whose factor "
        "shrinks what it has just raised, stays far behind it. Where one response in twenty is "
        "satisfied, the Lagrangian's step must be tuned anew, and RLOO on the reward times the "
        "judgement wants a reward that is never negative; CRRAFT, CODPO and RAFT among satisfied "
        "responses need nothing."
    ),
    limits={
        "desk": "a model of about 30,000 weights, 30 iterations of 128 responses",
        "smoke": "a few iterations",
    },
)
