"""Hard attributes of a given text, for auto-reconstruction: all of them hold for it.

Keywords are maximal runs of words that are no stop words, at most a few words long; they stand in
for the noun chunks of the paper. A run that appears several times becomes a frequency.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...core.annotations import Checked, checked
from ...core.checks import whole
from .attributes import Attribute, Case, Frequency, Keyword, Paragraphs, Sentences, Start, Words
from .reading import Match, Reading, of_text

STOP_WORDS = frozenset(
    re.findall(
        r"\S+",
        """
a about above across after again against all along also am among an and another any are around
as at away back be because been before behind being below beside between beyond both but by can
could did do does doing done down during each even ever every few for from further had has have
having he her here hers herself him himself his how i if in inside into is it its itself just
let like may me might mine more most much must my myself near never no nor not now of off often
on once one only onto or other our ours ourselves out outside over own past perhaps quite rather
same shall she should since so some such than that the their theirs them themselves then there
these they this those though through thus till to too toward towards two under until up upon us
very was we were what when where which while who whom whose why will with within without would
yes yet you your yours yourself i'm it's don't
""",
    )
)
RUN = re.compile(r"(?<![\w'])[a-z']+(?: [a-z']+)*(?![\w'])")
LEAST_LETTERS = 3
"""A keyword, and a first word that counts, is at least so long."""


@dataclass(frozen=True)
class ExtractionSettings(Checked):
    """How attributes are read off a text.

    Attributes:
        word_bin: Width of the range of the number of words.
        sentence_bin: Width of the range of the number of sentences.
        max_keywords: Most keywords and frequencies of a text; the ones of the largest tf-idf.
        longest: Most words of a keyword; a longer run is cut.
        match: The rule that counts keywords.
    """

    word_bin: int = 100
    sentence_bin: int = 10
    max_keywords: int = 30
    longest: int = 3
    match: Match = "word"

    def __post_init__(self) -> None:
        for name in ("word_bin", "sentence_bin", "longest"):
            whole(name, getattr(self, name), least=1)
        whole("max_keywords", self.max_keywords, least=0)


DEFAULT = ExtractionSettings()


def phrases(lower: str, longest: int) -> Counter[str]:
    """The candidates for keywords in a text in lower case, and how often each was met."""
    found: Counter[str] = Counter()
    for run in RUN.findall(lower):
        kept: list[str] = []
        for word in (*run.split(" "), "a"):
            if word in STOP_WORDS or len(kept) == longest:
                phrase = " ".join(kept)
                if len(phrase) >= LEAST_LETTERS and re.search("[a-z]", phrase):
                    found[phrase] += 1
                kept = []
            if word not in STOP_WORDS:
                kept.append(word)
    return found


@checked
def keyword_weights(
    texts: Sequence[str], settings: ExtractionSettings = DEFAULT
) -> dict[str, float]:
    """The inverse document frequency log((1 + n) / (1 + n_w)) + 1 of every keyword of a corpus.

    Args:
        texts: The corpus.
        settings: How keywords are read.
    """
    many: Counter[str] = Counter()
    for text in texts:
        many.update(phrases(text.lower(), settings.longest).keys())
    return {w: math.log((1 + len(texts)) / (1 + n)) + 1 for w, n in many.items()}


@checked
def extract_hard(
    text: str,
    settings: ExtractionSettings = DEFAULT,
    weights: Mapping[str, float] | None = None,
) -> list[Attribute]:
    """All hard attributes of a text, in a fixed order. Every one of them holds for it.

    Args:
        text: The text.
        settings: Bins, and how many keywords.
        weights: Of `keyword_weights`; None: all keywords weigh the same.

    Raises:
        ArgumentTypeError: It is no text.

    Examples:
        >>> [a.render() for a in extract_hard("Once a lamp fell. The lamp broke.")][:2]
        ['2 times: lamp', 'include: lamp broke']
    """
    reading = Reading(of_text("text", text))
    met = phrases(reading.lower, settings.longest)
    rest = max(weights.values(), default=1.0) if weights else 1.0

    count: dict[str, int] = {}
    for run in met:
        for word in (run, *run.split(" ")):  # a word of a run may come again elsewhere
            if word not in count and word not in STOP_WORDS and len(word) >= LEAST_LETTERS:
                count[word] = reading.count(word, settings.match)
    kept = {w: n for w, n in count.items() if w in met or n > 1}
    score = {w: n * (weights.get(w, rest) if weights else 1.0) for w, n in kept.items()}
    best = sorted(kept, key=lambda w: (-score[w], w))[: settings.max_keywords]
    found: list[Attribute] = [
        Frequency(w, kept[w], settings.match) if kept[w] > 1 else Keyword(w, settings.match)
        for w in best
        if re.search("[a-z]", w) and kept[w]
    ]
    low = reading.words // settings.word_bin * settings.word_bin
    found.append(Words(low, low + settings.word_bin))
    low = reading.sentences // settings.sentence_bin * settings.sentence_bin
    found.append(Sentences(low, low + settings.sentence_bin))
    found.append(Paragraphs(reading.paragraphs))
    found += [case for case in (Case("upper"), Case("lower")) if case.holds(reading)]
    if len(reading.start) >= LEAST_LETTERS and re.search("[a-z]", reading.start):
        found.append(Start(reading.start))
    return found
