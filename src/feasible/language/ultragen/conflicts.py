"""Sets of attributes that no text can have, and the same sets without what is in the way.

Two attributes of one group (two ranges of words, two numbers of times for one word, two first
words, two moods) contradict; the group's key is kind and token, so that rules about different words
stay. Beyond groups: fewer words than the phrases that must appear, fewer words than sentences,
fewer sentences than paragraphs, a word that has to appear more seldom than a phrase that holds it.
Words are taken to stand between blanks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations

from ...core.checks import shown
from ...core.errors import ArgumentTypeError
from .attributes import (
    Attribute,
    Frequency,
    Keyword,
    Paragraphs,
    Sentences,
    Start,
    Words,
    of_attributes,
)
from .reading import TOKEN, pattern


@dataclass
class ConflictReport:
    """What was removed.

    Attributes:
        sets: How many sets there were.
        contradictory: How many of them no text could have.
        duplicates: Attributes that were in a set twice.
        removed: Attributes that were removed for a contradiction, by kind.
    """

    sets: int = 0
    contradictory: int = 0
    duplicates: int = 0
    removed: dict[str, int] = field(default_factory=dict)


def contradictions(attributes: Sequence[Attribute]) -> list[tuple[Attribute, Attribute | None]]:
    """What no text can have at once, each time as (what could be removed, what it contradicts).

    Args:
        attributes: One set.

    Returns:
        Pairs; the second is None where a range of words is too short for all phrases together.
    """
    last: dict[tuple[str, str], Attribute] = {}
    found: list[tuple[Attribute, Attribute | None]] = []
    for a in reversed(of_attributes("attributes", attributes)):
        kept = last.setdefault(a.group, a)
        if kept != a:
            found.append((a, kept))
    one = list(last.values())
    phrases = [a for a in one if isinstance(a, (Keyword, Frequency))]
    for a in phrases:
        if isinstance(a, Frequency):
            found += [(a, b) for b in phrases if b is not a and _more(b, a) > a.times]
    least = _words(one)
    found += [(a, None) for a in one if isinstance(a, Words) and a.high - 1 < least]
    ranges = [a for a in one if isinstance(a, (Words, Sentences, Paragraphs))]
    found += [(few, many) for few, many in permutations(ranges, 2) if _too_few(few, many)]
    return found


def _more(holder: Keyword | Frequency, word: Frequency) -> int:
    """How often a word appears at least, because a phrase that holds it does."""
    times = holder.times if isinstance(holder, Frequency) else 1
    if word.match == "substring":
        return times * holder.word.count(word.word)
    inside = len(pattern(word.word).findall(holder.word)) if holder.match == "word" else 0
    return times * inside


def _words(attributes: Sequence[Attribute]) -> int:
    """How many words a text has at least that has these keywords, frequencies and first word."""
    need: dict[str, int] = {}
    for a in attributes:
        if not isinstance(a, (Keyword, Frequency, Start)) or getattr(a, "match", "word") != "word":
            continue
        times = a.times if isinstance(a, Frequency) else 1
        words = TOKEN.findall(a.word)
        for w in set(words):
            need[w] = max(need.get(w, 0), times * words.count(w))
    return sum(need.values())


_Counted = Words | Sentences | Paragraphs
_FINENESS = {Paragraphs: 0, Sentences: 1, Words: 2}
"""A paragraph has a sentence, a sentence a word."""


def _too_few(fine: _Counted, coarse: _Counted) -> bool:
    """Whether the finer unit's largest number is below the coarser one's least."""
    if isinstance(fine, Paragraphs) or _FINENESS[type(fine)] <= _FINENESS[type(coarse)]:
        return False
    return fine.high - 1 < (coarse.count if isinstance(coarse, Paragraphs) else coarse.low)


def resolve_conflicts(
    sets: Sequence[Sequence[Attribute]],
) -> tuple[list[tuple[Attribute, ...]], ConflictReport]:
    """Remove duplicates, and what contradicts: of a group the last in the set's order stays.

    Args:
        sets: The sets; their order decides, and is kept.

    Returns:
        The sets, of which none is contradictory, and what was removed. Doing it again changes
        nothing.

    Examples:
        >>> sets, report = resolve_conflicts([[Words(0, 10), Keyword("lamp"), Words(10, 20)]])
        >>> sets[0], report.contradictory
        ((Keyword(word='lamp', match='word'), Words(low=10, high=20)), 1)
    """
    if isinstance(sets, (str, bytes)) or not isinstance(sets, Sequence):
        raise ArgumentTypeError(f"sets={shown(sets)}: expected a sequence of sets of attributes")
    report, resolved = ConflictReport(len(sets)), []
    for i, given in enumerate(sets):
        one = of_attributes(f"sets[{i}]", given)
        kept = list(dict.fromkeys(one))
        report.duplicates += len(one) - len(kept)
        wrong = contradictions(kept)
        report.contradictory += bool(wrong)
        while wrong:
            for a in dict.fromkeys(pair[0] for pair in wrong):
                kept.remove(a)
                report.removed[a.kind] = report.removed.get(a.kind, 0) + 1
            wrong = contradictions(kept)
        resolved.append(tuple(kept))
    return resolved, report
