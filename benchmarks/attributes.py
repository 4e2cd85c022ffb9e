"""Attributes of texts: 450,000 checks, and 2,000 sampled sets, on one core; what sets of
documentation keep of correlation."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np

from .common import Figure, in_turns, ratio, write

TEXTS, EACH = 10_000, 45
POOL, SETS = 10_000, 2000
SEEDS = range(5)


def lists(texts: list[str], read: list[list[Any]]) -> list[list[Any]]:
    """For each text as many attributes as wanted: its own, then those of the next ones."""
    found = []
    for i in range(len(texts)):
        one = list(read[i])
        k = i
        while len(one) < EACH:
            k += 1
            one += read[k % len(read)]
        found.append(one[:EACH])
    return found


def naive(texts: list[str], sets: list[list[Any]]) -> int:
    """The same keywords by a search of the text for each, which is what a loop of checks does."""
    from feasible.language.ultragen import Frequency, Keyword

    met = 0
    for text, one in zip(texts, sets, strict=True):
        for a in one:
            if isinstance(a, (Keyword, Frequency)):
                times = len(re.findall(rf"(?<![a-z']){re.escape(a.word)}(?![a-z'])", text.lower()))
                met += times > 0 if isinstance(a, Keyword) else times == a.times
            else:
                met += a.check(text)
    return met


def checks() -> list[Figure]:
    """Extraction and checking."""
    from feasible.language.ultragen import (
        STORY_EXTRACTION,
        corpus_attributes,
        satisfied,
        story_judge,
        write_stories,
    )

    texts = [s.text for s in write_stories(TEXTS, 7)]
    begun = time.process_time()
    read = corpus_attributes(texts, None, STORY_EXTRACTION)
    extraction = time.process_time() - begun
    sets = lists(texts, read)

    def ours(n: int = TEXTS) -> int:
        pairs = zip(texts[:n], sets[:n], strict=True)
        return sum(sum(satisfied(t, one, story_judge)) for t, one in pairs)

    begun = time.process_time()
    met = ours()
    took = time.process_time() - begun
    some = 500
    mine, other = in_turns(
        lambda: ours(some),
        lambda: naive(texts[:some], sets[:some]),
        rounds=3,
        clock=time.process_time,
    )
    differ = ours(some) != naive(texts[:some], sets[:some])
    share = f"{met / TEXTS / EACH:.2f} of them are met"
    return [
        Figure("extraction of 10,000 stories", extraction, None, "s"),
        Figure("10,000 texts x 45 hard attributes checked", took, 5, "s", share),
        Figure("the same over a search for each attribute", ratio(mine, other), 1.0),
        Figure("verdicts that differ from it", float(differ), 0, "of 1"),
    ]


def sampling() -> list[Figure]:
    """Sets from a pool of 10,000."""
    from feasible.language.ultragen import (
        AttributePool,
        AttributeSampler,
        Keyword,
        SamplerSettings,
        Soft,
        resolve_conflicts,
    )

    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = dict.fromkeys("".join(rng.choice(letters, 8)) for _ in range(POOL))
    attributes = [Soft(f"{w}: yes") if i % 5 == 0 else Keyword(w) for i, w in enumerate(words)]
    pool = AttributePool(tuple(attributes), (tuple(range(len(attributes))),))

    class Drawn:
        """Random unit vectors."""

        def encode(self, given: Any) -> np.ndarray:
            rows = np.random.default_rng(1).standard_normal((len(given), 64))
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    figures = []
    for strategy, bar in (("correlated-diverse", 20.0), ("correlated", None), ("random", None)):
        settings = SamplerSettings(strategy)  # type: ignore[arg-type]
        sampler = AttributeSampler(pool, Drawn(), settings, Drawn())
        begun = time.process_time()
        sets = sampler.sample(SETS)
        took = time.process_time() - begun
        figures.append(Figure(f"2,000 sets from a pool of 10,000, {strategy}", took, bar, "s"))
    begun = time.process_time()
    resolve_conflicts(sets)
    figures.append(Figure("their conflicts resolved", time.process_time() - begun, None, "s"))
    return figures


def correlation() -> list[Figure]:
    """What samplers keep of correlation, by the encoder and counted; the median of seeds."""
    from feasible.language.ultragen.claim import samplers

    found = [samplers("desk", seed) for seed in SEEDS]
    figures = []
    for what, key, one, other, bar in (
        ("correlation, correlated and diverse over diverse only", "correlation",
         "correlated-diverse", "diverse", 3.0),
        ("documents that members share, the same", "together", "correlated-diverse", "diverse",
         3.0),
        ("documents that members share, nearest only over random", "together", "correlated",
         "random", None),
    ):  # fmt: skip
        ratios = [by[one][key] / by[other][key] for by in found]
        note = f"{min(ratios):.2f} to {max(ratios):.2f} on {len(ratios)} seeds"
        figures.append(Figure(what, float(np.median(ratios)), bar, "at least, ratio", note))
    return figures


def run() -> list[Figure]:
    """All parts."""
    figures = checks() + sampling() + correlation()
    write("attributes", figures)
    return figures
