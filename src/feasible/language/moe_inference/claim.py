"""The claim on mixtures of experts in little memory, on small models that are trained here.

What the surveyed papers report of models of billions of parameters cannot be run here. What can be
decided is what their methods are built on: bits by a plan lose less than bits by chance, by use or
the same for all; the best subset of experts loses less than a random one; neurons have to be
aligned before experts are merged; small weights can be skipped; and what caches, placements and the
integer program promise.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...api import solve
from ...core.errors import Infeasible
from ...core.problem import Method
from ...lab.claim import Claim, Experiment, Part, by_method, last_metric, sampled
from ...lab.trials import Race
from .cache import POLICIES, CacheTimes, PolicyName, simulate_cache
from .compress import apply_plan
from .instances import BRIEF, tiny_experts
from .layout import blocks, log_perplexity, outputs
from .machine import Machine
from .model import TinySettings
from .offload import predict_experts
from .placement import place_experts
from .plan import Choices, Option, Plan, bound_moe, plan_moe
from .problem import CompressedModel
from .profile import observe
from .prune import prune_layer, subset_loss
from .recipe import Recipe
from .routing import skip_random
from .run import PlanExperts, memory_for
from .shrink import PMQ, MergeExperts, PruneExperts

MODELS = {
    "smoke": replace(BRIEF, steps=10),
    "desk": TinySettings(
        layers=2,
        hidden=32,
        inner=32,
        experts=8,
        batch=16,
        length=64,
        steps=3000,
        rate=6e-3,
    ),
    "paper": TinySettings(
        layers=4, hidden=64, inner=128, experts=8, batch=32, length=64, steps=6000
    ),
}
DRAWS = {"smoke": 2, "desk": 10, "paper": 10}
"""Random allotments and random subsets, for a model."""
LOADS = {"smoke": 50, "desk": 1000, "paper": 1000}
TEXTS = {"smoke": (8, 16), "desk": (64, 128), "paper": (128, 1024)}
"""Texts of calibration, and held out."""
HARD = 1.1
"""Perplexity of 2 bits over that of 16 from which a model can decide what to do with 2 bits."""
TOKENS = {"tokens": 1e8}
PLAN, PMQ_CODE = "the plan", "PMQ, as in its code"


@cache
def model_of(scale: str, seed: int) -> CompressedModel:
    """The problem of a seed's model, which is trained once on a machine and kept among its
    temporary files.
    """
    settings = replace(MODELS[scale], seed=seed)
    named = "-".join(str(v) for v in vars(settings).values())
    folder = Path(tempfile.gettempdir()) / f"feasible-experts-{os.getuid()}" / named
    return tiny_experts(16.0, settings, folder=folder, texts_each=TEXTS[scale])


def with_bits(problem: CompressedModel, bits: float, **more: Any) -> CompressedModel:
    """The same problem with the memory for so many bits."""
    found = again(problem, name=f"{problem.name}, {bits:g} bits", **more)
    found.memory = memory_for(found, bits)
    return found


def again(problem: CompressedModel, **more: Any) -> CompressedModel:
    """The same model under other limits, with all that was measured of it."""
    found = replace(problem, **more)
    found.__dict__["_cache"] = problem.__dict__.setdefault("_cache", {})
    return found


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """The methods that allot bits, at 2.5 bits on average, on each seed's model."""
    problems = [with_bits(model_of(scale, s), 2.5) for s in seeds]
    methods = {
        PLAN: PlanExperts(),
        "the plan, refined": PlanExperts(rounds=1),
        "the plan, squared loss of outputs": PlanExperts(cost="output", measure=False),
        "PMQ, as declared": PMQ(),
        PMQ_CODE: PMQ(rule="code"),
        "frequency": "frequency-bits",
    }
    return [Experiment("2.5 bits", problems, methods, TOKENS, (0,))]


def check(races: Mapping[str, Race]) -> list[Part]:
    """Perplexities over that of 16 bits."""
    found = by_method(races["2.5 bits"], last_metric("over 16 bits"))
    plan, frequency = found[PLAN], found["frequency"]
    parts = [
        sampled(f"2.5 bits: perplexity of {name} over that of 16 bits", {"p": v}, _mean)
        for name, v in found.items()
    ]
    return [
        *parts,
        sampled(
            "2.5 bits: perplexity of the plan over that by frequency",
            {"p": plan / frequency}, _mean, "<= 1.01",
        ),
        _most("2.5 bits: share of the models where the plan is within 1.01 of frequency",
              plan <= 1.01 * frequency),
    ]  # fmt: skip


def _mean(values: Mapping[str, np.ndarray]) -> float:
    return float(np.mean(next(iter(values.values()))))


def _most(statement: str, met: Any) -> Part:
    """A part that holds where four of five do."""
    return Part(statement, float(np.mean(met)), ">= 0.8")


def ratio(problem: CompressedModel, method: Any, seed: int = 0) -> float:
    """The perplexity that a method reaches, over that of 16 bits."""
    verdict = solve(problem, method, TOKENS, seed).verdict
    return float(verdict.metrics["over 16 bits"]) if verdict.feasible else math.inf


def bits_parts(problems: Sequence[CompressedModel], draws: int) -> list[Part]:
    """What a plan of bits loses, beside random ones and the same for all."""
    at = {b: [with_bits(p, b) for p in problems] for b in (2.0, 2.5, 3.5)}
    plan = {b: np.array([ratio(p, PlanExperts()) for p in ps]) for b, ps in at.items()}
    chance = np.array([[ratio(p, "random-bits", k) for k in range(draws)] for p in at[2.5]])
    uniform = np.array([ratio(p, "uniform-bits") for p in at[2.0]])
    pmq = np.array([ratio(p, PMQ(rule="code")) for p in at[2.0]])
    middle = chance.mean(1)
    hard = float(np.median(uniform))
    two = "2 bits: perplexity of the plan over that of 2 bits for all"
    if hard >= HARD:
        decided = sampled(two, {"p": (plan[2.0] / uniform)[:, None]}, _mean, "<= 1")
    else:
        easy = f"models too easy: 2 bits for all are below {HARD:g} times 16 bits"
        decided = Part(
            two, float(np.mean(plan[2.0] / uniform)), "<= 1", interval=(0.0, 2.0), sample=easy
        )
    return [
        sampled("2.5 bits: perplexity of the plan over the mean of random ones",
                {"p": (plan[2.5] / middle)[:, None]}, _mean, "<= 1"),
        _most("2.5 bits: share of the models where the plan is no worse than that mean",
              plan[2.5] <= middle),
        sampled("2 bits for all: perplexity over that of 16 bits, which 1.1 makes hard enough",
                {"p": uniform[:, None]}, _mean),
        decided,
        _most("2 bits: share of the models where the plan is no worse than 2 bits for all",
              plan[2.0] <= uniform),
        sampled("2 bits: perplexity of PMQ as in its code over that of 2 bits for all",
                {"p": (pmq / uniform)[:, None]}, _mean),
        sampled("3.5 bits: perplexity of the plan over that of 16 bits",
                {"p": plan[3.5][:, None]}, _mean, "<= 1.02"),
    ]  # fmt: skip


def keeps(problem: CompressedModel, recipe: Recipe) -> float:
    """The perplexity of a recipe over that of 16 bits, whatever the memory."""
    return float(problem.judge(recipe.plain()).metrics["over 16 bits"])


def pruning_parts(problems: Sequence[CompressedModel], draws: int) -> list[Part]:
    """Subsets of experts: the best of all, beside random ones."""
    worse, best, random, used = 0, [], [], []
    for p in problems:
        keep = max(p.experts - 2, p.top_k)
        worse += sum(_beaten(p, layer, keep) for layer in range(p.layers))
        roomy = again(p, memory=p.rest_bytes + float(p.layers * keep * p.size()[16]))
        best.append([ratio(roomy, PruneExperts(16))])
        used.append([ratio(roomy, PruneExperts(16, by="frequency"))])
        random.append([ratio(roomy, PruneExperts(16, by="random"), k) for k in range(draws)])
    over = np.array(best) / np.array(random).mean(1, keepdims=True)
    return [
        Part("pruning: layers where another subset than the chosen one loses less", worse, "== 0"),
        sampled("pruning two of the experts of a layer: perplexity over the mean of random subsets",
                {"p": over}, _mean, "<= 1"),
        sampled("pruning: perplexity of the least used dropped over that of the chosen subset",
                {"p": np.array(used) / np.array(best)}, _mean),
    ]  # fmt: skip


def _beaten(p: CompressedModel, layer: int, keep: int) -> bool:
    """Whether any subset of a layer loses less than the one that is chosen."""
    block, seen = blocks(p.model)[layer], observe(p.model, p.calibration)[layer]
    with torch.no_grad():
        made = outputs(block, seen.x)
        target = torch.einsum("ne,end->nd", seen.chosen, made)
        found = prune_layer(target, seen.logits, made, p.top_k, keep)
        others = itertools.combinations(range(p.experts), p.experts - keep)
        least = min(subset_loss(target, seen.logits, made, p.top_k, c) for c in others)
    return found.loss > least


def merging_parts(problems: Sequence[CompressedModel]) -> list[Part]:
    """Half of the experts: merged with and without alignment, and pruned."""
    kinds: dict[str, Method] = {
        "aligned": MergeExperts(16), "plain": MergeExperts(16, aligned=False),
        "ridge": MergeExperts(16, recover="ridge"), "clusters": MergeExperts(16, by="clusters"),
        "pruned": PruneExperts(16), "pruned, ridge": PruneExperts(16, recover="ridge"),
    }  # fmt: skip
    rows: dict[str, list[list[float]]] = {name: [] for name in kinds}
    for p in problems:
        half = again(p, memory=p.rest_bytes + float(p.layers * p.experts // 2 * p.size()[16]))
        for name, method in kinds.items():
            rows[name].append([ratio(half, method)])
    v = {name: np.array(r) for name, r in rows.items()}
    return [
        sampled("merging to half: perplexity with alignment over that without",
                {"p": v["aligned"] / v["plain"]}, _mean, "<= 1"),
        *(
            sampled(f"half of the experts, {name}: perplexity over that of all", {"p": v[name]},
                    _mean)
            for name in v
        ),
    ]  # fmt: skip


def skipping_parts(problems: Sequence[CompressedModel], draws: int) -> list[Part]:
    """Calls that are skipped by their weight, beside as many at random."""
    cut, lost, random = [], [], []
    for p in problems:
        wide = [[16] * p.experts for _ in range(p.layers)]
        beta = p.profile(()).beta.tolist()
        skipped = p.judge(Recipe(wide, beta=beta).plain())
        cut.append([1 - skipped.metrics["calls"] / p.top_k])
        lost.append([skipped.metrics["over 16 bits"]])
        share = [1 - float((s.weights > 0).float().mean()) for s in _observed(p, wide, beta)]
        random.append([np.mean([_random_skips(p, share, k) for k in range(draws)])])
    return [
        sampled("skipping: share of the calls that are saved, held out", {"p": np.array(cut)},
                _mean, ">= 0.22"),
        sampled("skipping: that share, from above", {"p": np.array(cut)}, _mean, "<= 0.28"),
        sampled("skipping: perplexity over that without", {"p": np.array(lost)}, _mean, "<= 1.03"),
        sampled("skipping: perplexity over that of as many random skips",
                {"p": np.array(lost) / np.array(random)}, _mean, "<= 1"),
    ]  # fmt: skip


def _observed(p: CompressedModel, bits: list[list[int]], beta: list[float]) -> Any:
    """What the blocks saw of the held-out text in the model that skips."""
    small = apply_plan(p.model, Recipe(bits, beta=beta), p.calibration)
    return observe(small, p.held_out)


def _random_skips(p: CompressedModel, share: Sequence[float], seed: int) -> float:
    """The perplexity with that share of each layer's calls skipped at random, over that without."""
    rng = np.random.default_rng(seed)

    def hook(layer: int) -> Any:
        def changed(_: Any, __: Any, routed: Any) -> Any:
            logits, weights, index = routed
            many = round(share[layer] * weights.numel())
            return logits, skip_random(weights, many, rng).to(weights.dtype), index

        return changed

    hooks = [b.gate.register_forward_hook(hook(i)) for i, b in enumerate(blocks(p.model))]
    try:
        return math.exp(log_perplexity(p.model, p.held_out) - p.full)
    finally:
        for h in hooks:
            h.remove()


def cache_parts(problems: Sequence[CompressedModel]) -> list[Part]:
    """A cache of half of the experts on held-out texts, whose kind changes from one to the next."""
    rates: dict[PolicyName, list[list[float]]] = {k: [] for k in POLICIES}
    gain = []
    for p in problems:
        some = p.held_out[:64]
        seen = observe(p.model, some)
        trace = torch.stack([s.index for s in seen], 1).numpy()
        request = np.repeat(np.arange(len(some)), some.shape[1])
        half, times = max(p.experts // 2, p.top_k), CacheTimes(2e-4, 2e-4, 4e-4)
        for policy, row in rates.items():
            row.append([simulate_cache(trace, half, policy, requests=request).rate])
        ahead = predict_experts(p.model, seen, p.top_k)
        plain, fetched = (
            simulate_cache(trace, half, "lru", predicted=a, times=times).seconds
            for a in (None, ahead)
        )
        gain.append([fetched / plain])
    v = {name: np.array(r) for name, r in rates.items()}
    return [
        Part("cache: models where LRU hits more often than Belady's optimum",
             int((v["lru"] > v["belady"]).sum()), "== 0"),
        sampled("cache: hit rate, activation-aware, less that of LRU",
                {"p": v["activation"] - v["lru"]}, _mean, ">= 0"),
        *(sampled(f"cache: hit rate of {name}", {"p": v[name]}, _mean) for name in POLICIES),
        sampled("cache: simulated time with prefetch over that without", {"p": np.array(gain)},
                _mean, "< 1"),
    ]  # fmt: skip


def limit_parts(problems: Sequence[CompressedModel]) -> list[Part]:
    """Bytes that are counted in the file, and seconds of the held-out text beside the plan's."""
    over, off = [], []
    for p in problems:
        for bits in (1.5, 2.0, 2.5, 3.5, 6.0):
            tight = with_bits(p, bits)
            tight.memory *= 0.997  # no multiple of anything
            found = solve(tight, PlanExperts(measure=False), TOKENS, 0)
            over.append(found.verdict.metrics["bytes"] / tight.memory)
        slow = with_bits(p, 6.0, machine=Machine(bw=2e8, flops=1e10))
        slow.fast = slow.rest_bytes + 0.4 * (slow.memory - slow.rest_bytes)
        slow.latency = 1e9
        plan = _planned(slow)
        for share in (0.7, 0.8, 0.9):
            slow.latency = share * plan.seconds
            with contextlib.suppress(Infeasible):
                plan = _planned(slow)
                break
        off.append(abs(plan.seconds / slow.judge(plan.recipe().plain()).metrics["seconds"] - 1))
    return [
        Part("bytes in the file over the memory, largest of all plans", max(over), "<= 1"),
        Part("seconds of a token by the plan: largest error against those of held-out text, both "
             "simulated", max(off), "<= 0.25"),
    ]  # fmt: skip


def _planned(p: CompressedModel) -> Plan:
    """The plan within all limits."""
    method = PlanExperts(measure=False)
    return method.solved(p, method.choices(p, p.profile(method.bits)))


def program_parts(seeds: Sequence[int]) -> list[Part]:
    """The integer program at the size of a model of 32 layers."""
    took, gap = 0.0, 0.0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        options = [Option(b, f) for b in (1, 2, 3, 4, 8, 16) for f in (True, False)]
        need = rng.gamma(1.0, 1.0, (32, 8, 1))
        cost = need * np.array([2.0**-o.bits for o in options]) * rng.uniform(0.8, 1.2, (32, 8, 12))
        slow = np.array([1.0 if o.fast else 1.0 + o.bits for o in options])
        choices = Choices(
            options, cost, [100.0 * o.bits for o in options],
            slow * rng.uniform(0.5, 1, (32, 8, 1)), keep=2,
        )  # fmt: skip
        limits = (76_800.0, 38_400.0, 500.0)
        begun = time.perf_counter()
        found = plan_moe(choices, *limits)
        took = max(took, time.perf_counter() - begun)
        gap = max(gap, found.objective / bound_moe(choices, *limits) - 1)
    return [
        Part("plan of 32 layers x 8 experts x 12 options: cost above the linear bound, largest",
             gap, "<= 0.01"),
        Part("plan of 32 layers x 8 experts x 12 options: seconds, largest", took, "<= 10"),
    ]  # fmt: skip


def placement_parts(scale: str, seeds: Sequence[int]) -> list[Part]:
    """The longest-processing-time rule beside the best placement, found by trying all."""
    rng = np.random.default_rng(list(seeds))
    broken, equal = 0, []
    for _ in range(LOADS[scale]):
        devices, many = int(rng.integers(2, 4)), int(rng.integers(4, 8))
        load = rng.gamma(0.7, 1.0, many)
        where = np.array(list(itertools.product(range(devices), repeat=many)))
        each = np.stack([(where == d) @ load for d in range(devices)], 1).max(1)
        free = place_experts(load, devices, equal=False).load.max()
        broken += free > (4 / 3 - 1 / (3 * devices)) * each.min() * (1 + 1e-12)
        counts = np.stack([(where == d).sum(1) for d in range(devices)], 1)
        even = each[counts.max(1) - counts.min(1) <= 1].min()
        equal.append(place_experts(load, devices).load.max() / even)
    return [
        Part(f"placement: draws of {LOADS[scale]} above (4/3 - 1/(3 D)) times the best",
             int(broken), "== 0"),
        Part("placement with equal counts: largest load over the best's, mean of the draws",
             float(np.mean(equal))),
    ]  # fmt: skip


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """What is no race of one budget of memory."""
    problems, draws = [model_of(scale, s) for s in seeds], DRAWS[scale]
    parts = [
        *bits_parts(problems, draws),
        *pruning_parts(problems, draws),
        *merging_parts(problems),
        *skipping_parts(problems, min(draws, 3)),
        *cache_parts(problems),
        *limit_parts(problems),
        *program_parts(seeds),
        *placement_parts(scale, seeds),
    ]
    return parts, {"perplexity in 16 bits": [math.exp(p.full) for p in problems]}


claim = Claim(
    "moe-inference",
    "experts that are kept in few bits by a plan, pruned by the change of the output, merged after "
    "alignment, skipped by their weight, cached and placed lose less than by the simple rules",
    experiments,
    check,
    extra=extra,
    why=(
        "The models are small and trained here on generated text: nothing is said of the figures "
        "that the surveyed papers report of models of billions of parameters. Seconds of caches "
        "and of machines are simulated."
    ),
    limits={
        "desk": "a Mixtral of 2 layers, 8 experts, width 32, trained for 3,000 steps: narrow, with "
        "few weights to spare for what it knows by heart; the paper's has 32 layers of width 4,096"
    },
)
