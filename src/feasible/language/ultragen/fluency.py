"""Whether texts read like others: perplexity under a model of word triples, and repetition."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from ...core.annotations import checked
from ...core.errors import ArgumentError

TERM = re.compile(r"\n\n|[a-z0-9']+|[^\s\w]")
WEIGHTS = (0.6, 0.3, 0.09, 0.01)
"""Of triples, pairs, single words, and of any word at all."""


class Trigrams:
    """A mixture of relative frequencies of triples, pairs and single words.

    Args:
        texts: What it learns from; the texts that are measured should not be among them.

    Raises:
        ArgumentError: No text.
    """

    def __init__(self, texts: Sequence[str]):
        if not len(texts):
            raise ArgumentError("texts: there are none to learn from")
        self.counts: Counter[tuple[str, ...]] = Counter()
        for text in texts:
            words = self._words(text)
            for i in range(2, len(words)):
                for n in range(4):
                    self.counts[tuple(words[i - n + 1 : i + 1])] += 1
                self.counts[("before", *words[i - 2 : i])] += 1
                self.counts[("before", words[i - 1])] += 1
        self.vocabulary = sum(1 for k in self.counts if len(k) == 1) + 1

    @staticmethod
    def _words(text: str) -> list[str]:
        return ["<", "<", *TERM.findall(text.lower()), ">"]

    def perplexity(self, texts: Sequence[str]) -> float:
        """exp of the mean negative log-probability of a word, over all words and ends of texts.

        Args:
            texts: The texts.
        """
        total, many = 0.0, 0
        for text in texts:
            words = self._words(text)
            for i in range(2, len(words)):
                parts = (
                    self._share(tuple(words[i - 2 : i + 1]), ("before", *words[i - 2 : i])),
                    self._share(tuple(words[i - 1 : i + 1]), ("before", words[i - 1])),
                    self._share((words[i],), ()),
                    1 / self.vocabulary,
                )
                total -= math.log(sum(w * p for w, p in zip(WEIGHTS, parts, strict=True)))
                many += 1
        return math.exp(total / many) if many else math.nan

    def _share(self, of: tuple[str, ...], among: tuple[str, ...]) -> float:
        many = self.counts[among]
        return self.counts[of] / many if many else 0.0


@checked
def distinct(texts: Sequence[str], n: int = 2) -> float:
    """Different runs of n words over all of them; NaN where there are none.

    Args:
        texts: The texts.
        n: Words of a run.
    """
    runs: list[tuple[str, ...]] = []
    for text in texts:
        words = TERM.findall(text.lower())
        runs += [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return len(set(runs)) / len(runs) if runs else math.nan
