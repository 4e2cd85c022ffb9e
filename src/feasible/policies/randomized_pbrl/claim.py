"""The claim of arXiv 2310.14554: noise explores, and few questions are enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...lab.claim import Claim, Experiment, Part, by_method, last_metric, sampled
from ...lab.trials import Race
from ..preferences import PreferenceMDP
from .instances import random_preferences, river
from .learner import PairState
from .run import PairMethod, PbTSMethod, PRLSVIMethod

EPISODES = {"smoke": 60, "desk": 1000, "paper": 4000}
SWUM = {"smoke": 60, "desk": 800, "paper": 3000}
"""Episodes in the river."""
MANY = {"smoke": 2, "desk": 10, "paper": 40}
"""Random processes."""
FROM = 2000
"""Seed of the first of them; settings were chosen on 100 to 109."""
THRESHOLDS = (0.33, 0.66)
"""epsilon / sigma."""
TAIL = 0.25
"""The slope is of the cumulated regret after this share of the episodes."""


def processes(scale: str) -> list[PreferenceMDP]:
    """The random processes."""
    return [random_preferences(seed=FROM + k) for k in range(MANY[scale])]


def followed(method: PairMethod, problem: PreferenceMDP, episodes: int, seed: int) -> PairState:
    """A method after some episodes."""
    state = method.init(problem, np.random.default_rng(seed))
    for _ in range(episodes):
        state = method.step(problem, state)
    return state


def losses(problem: PreferenceMDP, state: PairState) -> np.ndarray:
    """The regret of each episode."""
    played = state.played[: state.t]
    values = problem.world.returns(played.reshape(-1, *played.shape[2:])).reshape(-1, 2)
    return 2 * problem.world.optimum - values.sum(1)


def slope(regret: np.ndarray) -> float:
    """The slope of the log of cumulated regret over the log of episodes, after the first part."""
    t = np.arange(1, len(regret) + 1)
    late = t >= TAIL * len(regret)
    total = np.maximum(np.cumsum(regret), 1e-12)
    return float(np.polyfit(np.log(t[late]), np.log(total[late]), 1)[0])


def measured(problem: PreferenceMDP, episodes: int, seed: int) -> dict[str, float]:
    """Regrets and labels of all variants on a process with a seed."""
    always = followed(PRLSVIMethod(query=0.0), problem, episodes, seed)
    regret = losses(problem, always)
    found = {"always": regret.sum(), "always labels": always.asked, "slope always": slope(regret)}
    for query in THRESHOLDS:
        active = followed(PRLSVIMethod(query=query), problem, episodes, seed)
        regret = losses(problem, active)
        share = active.asked / always.asked  # always asks about all pairs that differ
        variants = {"random": PRLSVIMethod(rule="random", share=share)}
        if query == THRESHOLDS[0]:
            variants |= {
                "greedy": PRLSVIMethod(sigma=0.0, rule="random", share=share),
                "current": PRLSVIMethod(query=query, against="current"),
                "both": PRLSVIMethod(query=query, both=True),
            }
        found |= {
            f"active {query}": regret.sum(),
            f"active labels {query}": active.asked,
            f"slope active {query}": slope(regret),
        }
        for name, method in variants.items():
            state = followed(method, problem, episodes, seed)
            found[f"{name} {query}"] = losses(problem, state).sum()
            found[f"{name} labels {query}"] = state.asked
    thompson = followed(PbTSMethod(), problem, episodes, seed)
    even = np.full((problem.world.states, problem.world.actions), 1 / problem.world.actions)
    loss = problem.world.optimum - problem.world.value(even)
    return found | {
        "PbTS": losses(problem, thompson).sum(),
        "PbTS labels": thompson.asked,
        "uniform": 2 * episodes * loss,
        "episodes": episodes,
    }


def ratio(of: str, over: str) -> Any:
    """The statistic "median over processes and seeds of one figure over another"."""
    return lambda values: float(np.median(values[of] / values[over]))


def middle(of: str) -> Any:
    """The statistic "median of a figure"."""
    return lambda values: float(np.median(values[of]))


def on_random(scale: str, seeds: Sequence[int]) -> list[Part]:
    """All variants on random processes."""
    rows = [[measured(problem, EPISODES[scale], s) for s in seeds] for problem in processes(scale)]
    table = {k: np.array([[cell[k] for cell in row] for row in rows]) for k in rows[0][0]}
    low, high = THRESHOLDS
    parts = [
        sampled(f"regret where draws disagree by {q} or more over that of as many random questions",
                table, ratio(f"active {q}", f"random {q}"), bar)
        for q, bar in ((low, "<= 0.9"), (high, "<= 0.8"))
    ]  # fmt: skip
    parts += [
        sampled(f"regret at {low} over that of asking always", table,
                ratio(f"active {low}", "always"), "<= 1.15"),
        sampled(f"labels at {low} over those of asking always", table,
                ratio(f"active labels {low}", "always labels"), "<= 0.6"),
        sampled(f"slope of log regret over log episodes at {low}", table,
                middle(f"slope active {low}"), "<= 0.9"),
        sampled("slope of asking always", table, middle("slope always")),
        sampled(f"regret at {high} over that of asking always", table,
                ratio(f"active {high}", "always")),
        sampled(f"labels at {high} over those of asking always", table,
                ratio(f"active labels {high}", "always labels")),
        *(
            sampled(f"labels of random questions over those at {q}", table,
                    ratio(f"random labels {q}", f"active labels {q}"))
            for q in THRESHOLDS
        ),
        sampled(f"regret at {low} over that without noise, as many random questions", table,
                ratio(f"active {low}", f"greedy {low}")),
        sampled(f"regret at {low} against a second episode of the policy, over the one before",
                table, ratio(f"current {low}", f"active {low}")),
        sampled(f"regret at {low} with both episodes' transitions, over the first's", table,
                ratio(f"both {low}", f"active {low}")),
        sampled("regret of asking always over that of playing at random", table,
                ratio("always", "uniform")),
        sampled("regret of PbTS over that of playing at random", table, ratio("PbTS", "uniform")),
        sampled("regret of PbTS over that of PR-LSVI asking always", table,
                ratio("PbTS", "always")),
        sampled("labels of PbTS over episodes", table, ratio("PbTS labels", "episodes")),
    ]  # fmt: skip
    return parts


def curves(scale: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Regret and labels against the threshold, on half of the processes."""
    found: dict[str, Any] = {"queries": [], "regret": [], "labels": [], "random": []}
    chosen = processes(scale)[: max(MANY[scale] // 2, 1)]
    for query in (0.0, 0.15, 0.33, 0.5, 0.66, 0.9):
        cells = []
        for problem in chosen:
            active = followed(PRLSVIMethod(query=query), problem, EPISODES[scale], seeds[0])
            share = active.asked / EPISODES[scale]
            blind = PRLSVIMethod(rule="random", share=share)
            other = followed(blind, problem, EPISODES[scale], seeds[0])
            cells.append((losses(problem, active).sum(), active.asked,
                          losses(problem, other).sum()))  # fmt: skip
        regret, labels, random = np.median(cells, axis=0)
        found["queries"].append(query)
        found["regret"].append(float(regret))
        found["labels"].append(float(labels))
        found["random"].append(float(random))
    return found


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """The river, asking always, with noise and without."""
    methods = {
        "noise": "pr-lsvi-always",
        "none": "pr-lsvi-greedy[query=0]",
        "PbTS": "pbts[query=0]",
    }
    problem = river()
    budget = {"env_steps": 2 * problem.horizon * SWUM[scale]}
    return [Experiment("river", [problem], methods, budget, tuple(seeds))]


def check(races: Mapping[str, Race]) -> list[Part]:
    """Total regrets in the river."""
    regret = by_method(races["river"], last_metric("regret"))
    return [
        sampled(f"river: regret with {name} over that without noise", regret, ratio(key, "none"),
                bar)
        for name, key, bar in (("noise", "noise", "<= 0.6"), ("PbTS", "PbTS", "reported"))
    ]  # fmt: skip


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """Random processes, which need equal counts of questions and so no race."""
    return on_random(scale, seeds), {"curves": curves(scale, seeds)}


claim = Claim(
    "randomized-pbrl",
    "with noise on what is learnt, and questions only where two draws of the reward disagree, "
    "fewer people's answers bring less regret",
    experiments,
    check,
    extra=extra,
    why=(
        "The paper has no experiments; processes, people and rivals are our own. The constants of "
        "its theory are unusable, so sigma = 1 and the thresholds were chosen on ten other random "
        "processes, and are the same everywhere."
    ),
)
