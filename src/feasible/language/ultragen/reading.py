"""A text with what rules ask of it: words, sentences, paragraphs, the first word, counts.

Two rules count a word: "word" takes whole words only (no letter or apostrophe of a-z beside it),
"substring" every occurrence, "cat" in "concatenate" too. Case is ignored in both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal

from ...core.checks import shown
from ...core.errors import ArgumentTypeError

Match = Literal["word", "substring"]
TOKEN = re.compile(r"[a-z']+")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n\s*\n")
PARAGRAPH_END = re.compile(r"\n\s*\n")


def sentences(text: str) -> list[str]:
    """The sentences of a text: it ends one with . ! or ? before a blank, or with a blank line.

    The one splitter of extraction and checking: an abbreviation counts as an end in both.

    Examples:
        >>> sentences('"Stop!" he said. Nobody moved.')
        ['"Stop!', 'he said.', 'Nobody moved.']
    """
    return [s for s in SENTENCE_END.split(text.strip()) if s.strip()]


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text: what blank lines separate; blank ends are none."""
    return [p for p in PARAGRAPH_END.split(text.strip()) if p.strip()]


@lru_cache(maxsize=100_000)
def pattern(phrase: str) -> re.Pattern[str]:
    """The word rule of a phrase; a plain word boundary would fail beside apostrophes."""
    return re.compile(rf"(?<![a-z']){re.escape(phrase)}(?![a-z'])")


class Reading:
    """A text with what rules ask of it, each counted once.

    Args:
        text: The text.
    """

    def __init__(self, text: str):
        self.text = text

    @cached_property
    def lower(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    @cached_property
    def tokens(self) -> Counter[str]:
        """How often each whole word is there."""
        return Counter(TOKEN.findall(self.lower))

    @cached_property
    def words(self) -> int:
        """Parts between blanks."""
        return len(self.text.split())

    @cached_property
    def sentences(self) -> int:
        """Sentences by the one splitter."""
        return len(sentences(self.text))

    @cached_property
    def paragraphs(self) -> int:
        """Paragraphs between blank lines."""
        return len(paragraphs(self.text))

    @cached_property
    def start(self) -> str:
        """The first word in lower case, without punctuation about it; "" where there is none."""
        first = self.text.split(maxsplit=1)[:1]
        found = re.sub(r"^[^a-z0-9']+|[^a-z0-9']+$", "", first[0].lower()) if first else ""
        return found if TOKEN.fullmatch(found) else ""

    def count(self, phrase: str, match: Match) -> int:
        """How often a phrase is there by one of the two rules."""
        if match == "substring":
            return self.lower.count(phrase)
        first, blank, _ = phrase.partition(" ")
        found = self.tokens[first]
        return len(pattern(phrase).findall(self.lower)) if blank and found else found


def of_text(name: str, value: Any) -> str:
    """A text as it is. Raises ArgumentTypeError that names the argument."""
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name}={shown(value)}: expected text")
    return value


def contents(name: str, completion: Any) -> str:
    """The text of a completion: itself, or the content of a conversation's last message.

    Args:
        name: The argument, as its user knows it.
        completion: The completion.
    """
    if isinstance(completion, Sequence) and not isinstance(completion, (str, bytes)) and completion:
        last = completion[-1]
        completion = last.get("content") if isinstance(last, Mapping) else last
    return of_text(name, completion)
