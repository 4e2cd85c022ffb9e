"""What the default for rough problems must reach, line by line: robust-bo beside the best others.

Noisy and mixed functions of COCO, problems of our own with known best values, and emulators of nine
published tables of experiments, each with peers, on seeds and instances for reports only. A
difference is robust-bo's figure less the best other's, with the 95 % interval of a bootstrap over
problems and seeds, which are drawn together; a regret counts as 1 at most. "Not below" is met where
a mean difference is at most .01.

    FEASIBLE_BENCH_COLLECT=1 python -m benchmarks rough_bars     what is on disk, without new trials
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata, wilcoxon

from benchmarks import experiments, rough_default
from benchmarks.common import Figure, write
from benchmarks.rough_default import TARGETS, WORST, of_coco, of_ours
from benchmarks.rough_problems import solvent
from benchmarks.rough_solvers import Task, posed
from feasible.blackbox.instances import olymp
from feasible.lab import bootstrap
from feasible.lab.significance import holm

MINE = "robust-bo"
SLACK = 0.01
"""A mean may be so much worse and still count as not below."""
FAST = ("tpe", "cobyqa", "cma-es", "random")
PLAN: tuple[tuple[str, Sequence[int], tuple[str, ...], int, tuple[int, ...]], ...] = (
    ("rings and balls", range(16), (MINE, "sobol-search"), 50, ()),
    ("rings and balls", range(4), ("pfn-cei",), 50, ()),
    ("yes or no", range(8), (MINE, "pfn-cei"), 50, ()),
    ("an equality", range(10), (MINE,), 40, ()),
    ("a quarter fails", range(10), (MINE,), 30, ()),
    ("mixed", range(10), (MINE, "tpe", "random"), 50, ()),
    ("screening", range(10), (MINE, f"{MINE}+"), 50, ()),
    ("optima at bounds", range(10), (MINE, "tpe"), 100, ()),
    ("mixint", range(3), FAST[1:], 500, ()),
    ("noisy", range(3), FAST[1:], 500, ()),
    ("noisy", (0,), (MINE, "tpe"), 500, ()),
    ("mixint", (0,), (MINE, "tpe"), 500, ()),
    ("noisy", range(15), ("random",), 500, ()),
    ("noisy", range(1, 15), (MINE,), 100, ()),
    ("noisy", (1, 2), (MINE, "tpe"), 500, ()),
    ("mixint", (1, 2), (MINE, "tpe"), 500, ()),
    ("mixed", range(10), ("baybe",), 50, ()),
)
"""Kind, seeds, methods, evaluations and (of COCO's, if not all) functions of the report."""
EMULATED = ("default", "optuna-tpe", "random-search")
EXPERIMENTS: tuple[tuple[str, Sequence[int], tuple[str, ...], int, tuple[str, ...]], ...] = (
    ("emulator", range(20), EMULATED, 60, ()),
    ("noisy", range(20), EMULATED, 60, ()),
    ("table", range(20), EMULATED, 60, ()),
    ("emulator", range(5), ("relay",), 60, ()),
    ("emulator", range(5), ("optuna-gp",), 60, ("alkox", "hplc", "fullerenes", "snar")),
    ("emulator", range(3), ("baybe",), 30, ("alkox", "hplc", "fullerenes", "snar")),
    ("emulator", (0, 1), ("ax",), 30, ("alkox", "hplc", "fullerenes", "snar")),
)
"""Form, seeds, methods, evaluations and data sets (all where none is named) of the report of real
experiments.
"""
ROWS, PROPOSALS, ROUNDS = 500, 32, 3
"""Rows that are known, proposals that are timed then, and how often."""
Gaps = dict[tuple[str, int], float]
"""Regrets by problem and seed."""


def gaps(kind: str, method: str, n: int, seeds: Sequence[int]) -> Gaps:
    """What a method had reached after n evaluations, of the largest budget where there are some."""
    found: Gaps = {}
    for t in sorted(rough_default.stored(), key=lambda t: t["budget"]):
        if (t["kind"], t["method"]) != (kind, method) or t["seed"] not in seeds:
            continue
        if n == t["budget"] or str(n) in t["reached"]:
            gap = t["gap"] if n == t["budget"] else t["reached"][str(n)]
            found[t["problem"], t["seed"]] = gap
    return found


def paired(
    found: dict[str, Gaps], loss: Callable[[np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    """Losses (problems, seeds) by method, of the seeds and problems that all methods have."""
    common = set.intersection(*(set(gaps) for gaps in found.values()))
    problems = sorted({p for p, _ in common})
    seeds = [s for s in sorted({s for _, s in common}) if all((p, s) in common for p in problems)]
    return {
        m: np.array([[float(loss(np.array(gaps[p, s]))) for s in seeds] for p in problems])
        for m, gaps in found.items()
    }


def regret(gap: np.ndarray) -> np.ndarray:
    """A regret, at most 1."""
    return np.minimum(gap, 1.0)


def missed(gap: np.ndarray) -> np.ndarray:
    """The share of COCO's targets that are not reached."""
    return np.asarray((gap > TARGETS).mean())


def beside(what: str, losses: dict[str, np.ndarray], bar: float | None = SLACK) -> Figure | None:
    """By how much more a method of ours loses in the mean than the best other one."""
    others = [m for m in losses if m != MINE]
    if MINE not in losses or not others or not losses[MINE].size:
        return None
    peer = min(others, key=lambda m: float(losses[m].mean()))
    table = bootstrap.table({"mine": losses[MINE], "peer": losses[peer]})
    ends = bootstrap.interval(table, lambda v: float((v["mine"] - v["peer"]).mean()))
    low, high = ends or (np.nan, np.nan)
    own, theirs = float(losses[MINE].mean()), float(losses[peer].mean())
    note = (
        f"{own:.3f} and {theirs:.3f}, interval {low:.3f} to {high:.3f}, "
        f"{losses[MINE].size} trials, {len(losses)} methods"
    )
    return Figure(f"{what}: {MINE} less {peer}", round(own - theirs, 4), bar, "loss", note)


def ranks(what: str, losses: dict[str, np.ndarray]) -> Figure | None:
    """The mean rank of ours less the best other's."""
    if MINE not in losses or not losses[MINE].size:
        return None
    table = np.array([np.round(v, 12) for v in losses.values()])
    mean = dict(zip(losses, rankdata(table, axis=0).mean(axis=(1, 2)), strict=True))
    peer = min((m for m in losses if m != MINE), key=lambda m: mean[m])
    note = ", ".join(f"{m} {rank:.2f}" for m, rank in sorted(mean.items(), key=lambda i: i[1]))
    gap = round(float(mean[MINE] - mean[peer]), 3)
    note += f"; {losses[MINE].size} trials"
    return Figure(f"{what}: mean rank of {MINE} less {peer}'s", gap, 0.0, "rank", note)


def of_coco_kind(kind: str, n: int, seeds: Sequence[int]) -> list[Figure | None]:
    """Figures of one of COCO's suites after n evaluations."""
    found = {m: gaps(kind, m, n, seeds) for m in (MINE, *FAST)}
    found = {m: g for m, g in found.items() if g}
    if len(found) < 2 or MINE not in found:
        return []
    if kind == "noisy":
        return [ranks(f"noisy at {n}", paired(found, lambda gap: gap))]
    losses = paired(found, missed)
    share = 1 - float(losses[MINE].mean())
    wanted = Figure(
        f"mixint at {n}: {MINE}, share of targets",
        round(share, 4),
        0.55 if n == 100 else None,
        "at least (share)" if n == 100 else "share",
        f"{losses[MINE].size} trials",
    )
    return [wanted, beside(f"mixint at {n}, targets missed", losses)]


def worse_than_random(n: int, least: int = 10) -> Figure | None:
    """On how many noisy functions ours is significantly worse than random search."""
    mine, theirs = (gaps("noisy", m, n, range(15)) for m in (MINE, "random"))
    found, many = [], []
    for problem in sorted({p for p, _ in mine}):
        keys = [k for k in mine if k[0] == problem and k in theirs]
        if len(keys) >= least:
            away = [mine[k] - theirs[k] for k in keys]
            found.append(float(wilcoxon(away, alternative="greater").pvalue))
            many.append(len(keys))
    if not found:
        return None
    note = (
        f"{len(found)} functions with {min(many)} to {max(many)} seeds, Wilcoxon, Holm; least p "
        f"before Holm {min(found):.2g}"
    )
    worse = float(sum(p < 0.05 for p in holm(found)))
    return Figure(f"noisy at {n}: worse than random search", worse, 0.0, "functions", note)


def of_our_kinds() -> list[Figure | None]:
    """Figures of the problems of our own."""
    figures: list[Figure | None] = []

    def having(kind: str, n: int, *methods: str, seeds: Sequence[int] = range(16)) -> Any:
        found = {m: gaps(kind, m, n, seeds) for m in (MINE, *methods)}
        return {m: g for m, g in found.items() if g}

    found = having("rings and balls", 50, "sobol-search")
    if len(found) == 2:
        own, sobol = (
            [k for k in found[m] if found[m][k] < WORST and k in found[MINE]]
            for m in (MINE, "sobol-search")
        )
        what = f"rings and balls at 50: runs with a point allowed, {MINE} less sobol-search"
        note = f"{len(own)} and {len(sobol)} of {len(found['sobol-search'])}"
        most = len(found["sobol-search"]) // 16
        figures.append(Figure(what, len(own) - len(sobol), -most, "at least (runs)", note))
    for kind, n, methods in (
        ("rings and balls", 50, ("pfn-cei",)),
        ("yes or no", 50, ("pfn-cei",)),
        ("optima at bounds", 100, ("tpe",)),
    ):
        found = having(kind, n, *methods)
        if len(found) > 1:
            figures.append(beside(f"{kind} at {n}, mean regret", paired(found, regret)))
    for n in (24, 50):
        found = having("mixed", n, "tpe", "baybe", "pfn-cei", seeds=range(10))
        if len(found) > 1:
            losses = paired(found, lambda gap: gap)
            middle = {m: float(np.median(v)) for m, v in losses.items()}
            best = min((m for m in middle if m in ("tpe", "baybe")), key=lambda m: middle[m])
            what = f"mixed at {n}: median regret of {MINE} less {best}'s"
            note = ", ".join(f"{m} {v:.3f}" for m, v in middle.items())
            note += f"; {losses[MINE].size} trials"
            figures.append(Figure(what, middle[MINE] - middle[best], 0.0, "regret", note))
    if found := having("an equality", 40):
        lost = sum(gap >= WORST for gap in found[MINE].values())
        note = f"{len(found[MINE])} seeds"
        figures.append(Figure("an equality at 40: seeds without a point", lost, 0, "seeds", note))
    failed = [
        t["failed"]
        for t in rough_default.stored()
        if t["kind"] == "a quarter fails" and t["method"] == MINE and t["seed"] in range(10)
    ]
    if failed:
        note = f"of 30; mean {np.mean(failed):.1f}, {len(failed)} trials"
        figures.append(Figure("a quarter fails: most failed", max(failed), 8, "evaluations", note))
    for n in (24, 50):
        with_, without = (gaps("screening", m, n, range(10)) for m in (f"{MINE}+", MINE))
        for name in sorted({p for p, _ in with_}):
            own, theirs = ({k: g for k, g in v.items() if k[0] == name} for v in (with_, without))
            losses = paired({MINE: own, "none": theirs}, regret)
            kind = "useless" if name.endswith("useless") else "useful"
            figures.append(beside(f"{kind} descriptors at {n}, mean regret", losses))
    return figures


def of_experiments() -> list[Figure | None]:
    """Figures of the emulators and tables of real experiments: all methods that a form has, over
    the problems and seeds that all of them have; the slow peers by themselves.
    """
    figures: list[Figure | None] = []
    trials = experiments.stored()
    base = {"default": MINE}
    for form in olymp.FORMS:
        names = [n for n, (_, kind) in olymp.EXPERIMENTS.items() if kind == form]
        for budget in experiments.BUDGETS:
            found: dict[str, Gaps] = {}
            for t in trials:
                if t["problem"] in names and t["seed"] < 20 and str(budget) in t["regrets"]:
                    own = found.setdefault(base.get(t["method"], t["method"]), {})
                    own[t["problem"], t["seed"]] = round(t["regrets"][str(budget)], 9)
            what = f"experiments ({form}) at {budget}"
            slow = [m for m in found if m in ("baybe", "ax", "optuna-gp")]
            fast = {m: g for m, g in found.items() if m not in slow}
            figures.append(against(what, fast))
            for m in slow:
                figures.append(against(f"{what} beside {m}", {**fast, m: found[m]}))
            if "random-search" in fast and MINE in fast:
                keys = set(fast[MINE]) & set(fast["random-search"])
                worse, note = 0.0, ""
                for problem in sorted({p for p, _ in keys}):
                    own, theirs = (
                        [fast[m][k] for k in keys if k[0] == problem]
                        for m in (MINE, "random-search")
                    )
                    if np.median(own) > np.median(theirs):
                        worse += 1
                        note += f"{problem} {np.median(own):.3f} and {np.median(theirs):.3f}, "
                note += f"{len(keys)} trials"
                more = f"{what}: problems where random search has the smaller median"
                figures.append(Figure(more, worse, 0.0, "problems", note))
    return figures


def against(what: str, found: dict[str, Gaps]) -> Figure | None:
    """The rank of ours among some methods."""
    return ranks(what, paired(found, lambda gap: gap)) if len(found) > 1 else None


def proposal_times() -> list[Figure]:
    """CPU time of a proposal at 500 observations, fits included."""
    tasks = {
        "noisy": of_coco("noisy", 125, 0, 10**9),
        "whole numbers": of_coco("mixint", 8, 0, 10**9),
        "categories and limits": of_ours(solvent(0)),
    }
    return [
        Figure(f"proposals at {ROWS} rows, {kind}: mean", *timed(task))
        for kind, task in tasks.items()
    ]


def timed(task: Task) -> tuple[float, float, str, str]:
    """Mean time of a proposal, its bar, unit, and a note on the median and the longest. The same
    proposals are made in each round, and of each the least time counts: a busy machine adds to it.
    """
    task.budget = 10**9
    times = np.array([seconds(task) for _ in range(ROUNDS)]).min(axis=0)
    ms = 1e3 * times[1:]  # a run fits its models row by row, not all at once at first
    note = f"median {np.median(ms):.0f}, longest {ms.max():.0f}, of {PROPOSALS}, {ROUNDS} rounds"
    return round(float(ms.mean()), 1), 30.0, "ms", note


def seconds(task: Task) -> list[float]:
    """CPU times of the proposals from the last of `ROWS` rows on."""
    from feasible.blackbox.rough import RobustBO

    problem, method, first = posed(task), RobustBO(), ROWS - 1
    state = method.init(problem, np.random.default_rng(0))
    x = problem.space.sample(np.random.default_rng(1).random((first, problem.space.d)))
    method.tell(problem, state, problem.measure(x, np.arange(first), np.full(first, -1)))
    state.asked, found = state.first, []
    for number in range(first, ROWS + PROPOSALS):
        begin = time.process_time()
        asked = method.ask(problem, state, 1)
        found.append(time.process_time() - begin)
        method.tell(problem, state, problem.measure(asked.x, np.array([number]), asked.tag))
    return found


def run() -> list[Figure]:
    """Run what the report lacks, unless it is only to be collected, and store it."""
    if not os.environ.get("FEASIBLE_BENCH_COLLECT"):
        for kind, seeds, methods, budget, functions in PLAN:
            rough_default.run(kind, list(seeds), list(methods), list(functions), budget)
        for form, seeds, methods, upto, names in EXPERIMENTS:
            every = [n for n, (_, kind) in olymp.EXPERIMENTS.items() if kind == form]
            experiments.trials(list(names) or every, list(methods), list(seeds), upto)
    found: list[Figure | None] = []
    for n in (50, 100, 250, 500):
        seeds = range(3)
        found += of_coco_kind("mixint", n, seeds)
        found += of_coco_kind("noisy", n, seeds)
        found.append(worse_than_random(n))
    found += of_our_kinds()
    found += of_experiments()
    figures = [f for f in found if f is not None] + proposal_times()
    write("rough_bars", figures)
    return figures
