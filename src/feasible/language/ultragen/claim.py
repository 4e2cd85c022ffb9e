"""The claim of arXiv 2502.12375: texts rebuilt from their attributes, then preferences on sets that
no text has, make a model meet more of long lists, wherever in the list an attribute stands.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from ...lab.claim import Claim, Experiment, Part, median_difference, sampled
from ...lab.trials import Race
from .attributes import Attribute
from .conflicts import contradictions, resolve_conflicts
from .embedding import CorrelationEncoder, EncoderSettings, TextEmbedding, unit
from .extraction import ExtractionSettings
from .fluency import distinct
from .instances import stories_problem
from .pool import AttributePool
from .problem import AttributeControl
from .report import csr, keyword_list
from .run import UltraGenRun
from .sampler import AttributeSampler, SamplerSettings, spread
from .stories import story_judge
from .training import UltraGen, UltraGenSettings, score

TEXTS = {"smoke": 60, "desk": 4000, "paper": 20_000}
HELD_OUT = {"smoke": 4, "desk": 100, "paper": 500}
SETTINGS = {
    "smoke": UltraGenSettings(ar_steps=3, ar_batch=2, gpo_steps=2, gpo_batch=2, n_samples=2),
    "desk": UltraGenSettings(ar_steps=500),
    "paper": UltraGenSettings(ar_steps=5000),
}
TUNED = {
    "AR + random DPO": {"gpo_steps": 1000, "gpo_rate": 1e-4, "beta": 0.1},
    "AR + GPO": {"gpo_steps": 1000, "gpo_rate": 3e-4, "beta": 1.0},
}
"""Of each arm the best on sampled lists in `benchmarks/results/preferences-development.json`."""
SETS = {"smoke": 4, "desk": 1200, "paper": 2000}
TRIPLETS = {"smoke": 80, "desk": 8000, "paper": 100_000}
DOCUMENTS = {"smoke": 10, "desk": 120, "paper": 1000}
BEST_OF = 4
MODULES = (
    "argparse ast calendar cmd codecs configparser contextlib copy csv difflib dis fractions "
    "ftplib functools gzip heapq inspect json logging mimetypes pathlib pdb pickle pickletools "
    "platform pprint profile queue random sched selectors shelve shutil smtplib socket statistics "
    "string subprocess tarfile tempfile textwrap threading timeit tokenize traceback uuid "
    "warnings weakref zipfile"
)
"""Of Python's own library; their documentation is text that somebody wrote."""


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """None: arms share the model of the first phase, see `arms`."""
    return []


def check(races: Mapping[str, Race]) -> list[Part]:
    """Nothing: all is in `extra`."""
    return []


def tuned(arm: str, settings: UltraGenSettings) -> UltraGenSettings:
    """An arm's own best settings.

    Args:
        arm: Its name.
        settings: What it shares with the others.
    """
    return replace(settings, **TUNED[arm])  # type: ignore[arg-type]


Measured = dict[str, dict[str, float]]
"""Arm -> figure -> value."""


def measure(
    problem: AttributeControl, write: Callable[[list[tuple[Attribute, ...]]], list[str]]
) -> dict[str, float]:
    """What texts of one arm meet, on local and global sets."""
    assert problem.held_out_data is not None
    found: dict[str, float] = {}
    sets = problem.sets(held_out=True)
    parts = problem.held_out_data["part"]
    every: list[str] = []
    for part in ("local", "global"):
        some = [one for one, p in zip(sets, parts, strict=True) if p == part]
        texts = write(some)
        report = csr(texts, some, story_judge)
        found |= {f"macro, {part}": report.macro, f"plain, {part}": report.mean}
        if part == "local":
            first, *_, last = report.per_position
            found["first quarter - last"] = float((first or 0.0) - (last or 0.0))
        every += texts
    return found | problem.fluency(every) | {"distinct-2": distinct(every)}


def best_of(model: UltraGen, sets: Sequence[Sequence[Attribute]], seed: int) -> list[str]:
    """Of several texts of a model the one that meets most."""
    many = [one for one in sets for _ in range(BEST_OF)]
    texts = model.write(many, 1.0, seed)
    worth = [score(t, one, "macro", story_judge) for t, one in zip(texts, many, strict=True)]
    table = np.array(worth).reshape(len(sets), BEST_OF)
    return [texts[BEST_OF * i + int(k)] for i, k in enumerate(table.argmax(1))]


def arms(scale: str, seed: int) -> Measured:
    """All arms on one seed's stories; those with a second phase begin with the model of AR."""
    problem = stories_problem(TEXTS[scale], HELD_OUT[scale], seed=seed)
    settings, tokenizer, corpus = SETTINGS[scale], problem.tokenizer, problem.corpus()

    def arm(model: Any, of: UltraGenSettings = settings) -> UltraGen:
        return UltraGen(model, tokenizer, of, story_judge, problem.max_tokens, seed)

    def both(trained: UltraGen) -> dict[str, float]:
        """Of the most likely texts, and of drawn ones."""
        drawn = measure(problem, lambda sets: trained.write(sets, 1.0, seed))
        return measure(problem, trained.write) | {f"{k}, drawn": v for k, v in drawn.items()}

    ar = arm(problem.model()).fit_ar(corpus)
    fixed = arm(problem.model(), replace(settings, order="fixed")).fit_ar(corpus)
    found = {"AR": both(ar), "AR, fixed order": both(fixed)}
    found["best of 4"] = measure(problem, lambda sets: best_of(ar, sets, seed))
    found["keyword list"] = measure(problem, lambda sets: [keyword_list(s) for s in sets])
    found["keyword list, exact"] = measure(
        problem, lambda sets: [keyword_list(s, exact=True) for s in sets]
    )
    for name, strategy in (("AR + random DPO", "random"), ("AR + GPO", "correlated-diverse")):
        run = UltraGenRun(
            strategy=strategy,  # type: ignore[arg-type]
            sets=SETS[scale],
            triplets=TRIPLETS[scale],
            resolve=strategy != "random",
        )
        sets = run.unseen(problem, seed)
        own = settings if scale == "smoke" else tuned(name, settings)
        trained = arm(copy.deepcopy(ar.model), own).fit_gpo(sets)
        wrong = float(np.mean([bool(contradictions(one)) for one in sets]))
        found[name] = both(trained) | {"contradictory": wrong, "pairs": float(len(trained.pairs))}
    return found


def documentation(n: int) -> list[str]:
    """Documentation strings of Python's own library, at least 128 characters and at most 512 words
    long.
    """
    found: dict[str, None] = {}
    for module in MODULES.split():
        for _, thing in sorted(vars(import_module(module)).items()):
            if getattr(thing, "__module__", None) != module or not callable(thing):
                continue
            text = " ".join((inspect.getdoc(thing) or "").split(" ")[:512])
            if len(text) >= 128:
                found[text] = None
    texts = list(found)
    return texts[:: max(len(texts) // n, 1)][:n]


def samplers(scale: str, seed: int) -> dict[str, dict[str, float]]:
    """Each strategy's sets on documentation, before conflicts are resolved and after."""
    settings = ExtractionSettings(max_keywords=30, longest=2)
    pool = AttributePool.from_corpus(documentation(DOCUMENTS[scale]), topic, settings, seed)
    encoder = CorrelationEncoder(EncoderSettings(triplets=6 * TRIPLETS[scale], seed=seed)).fit(pool)
    plain, together, found = TextEmbedding(seed=seed).fit(pool), Together(pool), {}
    k, size = min(64, len(pool.attributes) // 2), (10, 20)
    for strategy, rule in (
        ("random", "maxmin"),
        ("correlated", "maxmin"),
        ("diverse", "maxmin"),
        ("correlated-diverse", "maxmin"),
        ("correlated-diverse", "code"),
    ):
        chosen = SamplerSettings(strategy, k, rule, size, (1, 3), seed)  # type: ignore[arg-type]
        sets = AttributeSampler(pool, encoder, chosen, plain).sample(40)
        of, (resolved, report) = spread(sets, plain, encoder), resolve_conflicts(sets)
        found[strategy if rule == "maxmin" else "rule of the code"] = {
            "nearest": of.nearest,
            "correlation": float(of.correlation or 0.0),
            "together": float(spread(sets, plain, together).correlation or 0.0),
            "contradictory": report.contradictory / len(sets),
            "left": float(sum(bool(contradictions(one)) for one in resolved)),
        }
    return found


class Together:
    """What comes with what in the documents of a pool, counted and not learnt: of each attribute
    the unit vector of the documents that have it.

    Args:
        pool: The pool.
    """

    def __init__(self, pool: AttributePool):
        table = np.zeros((len(pool.attributes), len(pool.by_document)))
        for k, places in enumerate(pool.by_document):
            table[list(places), k] = 1.0
        self.rows = dict(zip(pool.attributes, unit(table), strict=True))

    def encode(self, attributes: Sequence[Attribute]) -> np.ndarray:
        """(n, documents) unit vectors of attributes of the pool.

        Args:
            attributes: (n,) attributes.
        """
        return np.array([self.rows[a] for a in attributes])


def topic(text: str) -> list[str]:
    """Soft attributes of documentation, by its words."""
    known = ("file", "thread", "string", "number", "time", "error", "class", "socket", "path")
    return [f"it is about a {word}" for word in known if word in text.lower()]


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """All figures."""
    chosen = tuple(seeds)[:1] if scale == "smoke" else tuple(seeds)
    rows = {seed: arms(scale, seed) for seed in chosen}
    drawn = {seed: samplers(scale, seed) for seed in chosen}

    def of(table: Mapping[int, Any], arm: str, figure: str) -> np.ndarray:
        return np.array([[table[s][arm][figure] for s in chosen]])

    def over(statement: str, figure: str, one: str, other: str, bar: str) -> Part:
        values = {"of": of(rows, one, figure), "less": of(rows, other, figure)}
        return sampled(statement, values, median_difference("of", "less"), bar)

    def ratio(table: Mapping[int, Any], statement: str, figure: str, one: str, other: str,
              bar: str) -> Part:  # fmt: skip
        values = {"ratio": of(table, one, figure) / of(table, other, figure)}
        return sampled(statement, values, middle, bar)

    gap = "first quarter - last"
    shuffled = np.abs(of(rows, "AR", gap))
    fixed = np.abs(of(rows, "AR, fixed order", gap))
    main = "macro, global"
    parts = [
        over("macro satisfaction of global sets, AR + GPO less AR", main, "AR + GPO", "AR",
             ">= 0.03"),
        over("the same, AR + GPO less AR + random DPO", main, "AR + GPO", "AR + random DPO",
             ">= 0.01"),
        over("the same, AR + GPO less the best of 4 by AR", main, "AR + GPO", "best of 4",
             "reported"),
        over("the same of texts drawn at temperature 1, AR + GPO less AR", f"{main}, drawn",
             "AR + GPO", "AR", "reported"),
        over("the same of local sets, AR + GPO less AR", "macro, local", "AR + GPO", "AR",
             "reported"),
        sampled("AR: satisfaction of the first quarter of a list less the last's, size",
                {"gap": shuffled}, middle, "<= 0.05"),
        sampled("the same of a fixed order, beyond that", {"gap": fixed - shuffled}, middle,
                ">= 0.03"),
        Part("contradictory sets after resolution", float(
            sum(r["AR + GPO"]["contradictory"] for r in rows.values())
            + sum(s["left"] for by in drawn.values() for s in by.values())), "== 0"),
        sampled("share of random sets of stories that are contradictory",
                {"share": of(rows, "AR + random DPO", "contradictory")}, middle, "> 0"),
        ratio(rows, "perplexity of the texts, AR + GPO over AR", "perplexity", "AR + GPO", "AR",
              "<= 1.1"),
        ratio(rows, "different pairs of words, AR + GPO over AR", "distinct-2", "AR + GPO", "AR",
              ">= 0.9"),
        ratio(rows, "macro satisfaction of local sets, a list of keywords over AR + GPO",
              "macro, local", "keyword list", "AR + GPO", "<= 0.9"),
        sampled("fluency of AR + GPO (a half is the least of a feasible answer)",
                {"value": of(rows, "AR + GPO", "fluency")}, middle, ">= 0.5"),
        sampled("fluency of a list with the right number of words and first word",
                {"value": of(rows, "keyword list, exact", "fluency")}, middle, "<= 0.5"),
        ratio(rows, "macro satisfaction of local sets, such a list over AR + GPO",
              "macro, local", "keyword list, exact", "AR + GPO", "reported"),
        ratio(drawn, "cosine to the nearest member, farthest point over nearest only", "nearest",
              "correlated-diverse", "correlated", "<= 0.5"),
        ratio(drawn, "mean correlation, correlated and diverse over diverse only", "correlation",
              "correlated-diverse", "diverse", ">= 3"),
        ratio(drawn, "the same, of documents that two members share, counted", "together",
              "correlated-diverse", "diverse", ">= 3"),
        ratio(drawn, "cosine to the nearest member, the code's rule over random", "nearest",
              "rule of the code", "random", "reported"),
    ]  # fmt: skip
    for arm in next(iter(rows.values())):
        for figure in (main, "macro, local", "plain, global", "plain, local"):
            parts.append(sampled(f"{arm}: {figure}", {"value": of(rows, arm, figure)}, middle))
    return parts, {
        "arms": {str(s): r for s, r in rows.items()},
        "samplers": {str(s): r for s, r in drawn.items()},
    }


def middle(values: Mapping[str, np.ndarray]) -> float:
    """The median."""
    return float(np.median(next(iter(values.values()))))


claim = Claim(
    "ultragen",
    "a model that learns to rebuild texts from their attributes, and then to prefer what meets "
    "more of sets that no text has, meets more of long lists than without the second phase, and "
    "equally much wherever in the list an attribute stands",
    experiments,
    check,
    extra=extra,
    why=(
        "The paper fine-tunes a model of 3e9 parameters with soft attributes of a language model; "
        "here a model of 1.3e5 is trained from nothing on generated stories of 20 to 70 words with "
        "8 to 20 attributes each, the soft ones decided by rules. The most likely texts "
        "are counted."
    ),
    limits={"desk": "1.3e5 parameters, 4,000 stories, 1,200 sampled sets, 500 and 225 steps"},
)
