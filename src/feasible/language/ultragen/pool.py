"""All attributes of a corpus once, and which of them come from one text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.annotations import Checked, checked
from ...core.checks import generator, naming, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError
from .attributes import Attribute, Frequency, Keyword, Soft, of_attributes, parse
from .extraction import DEFAULT, ExtractionSettings, extract_hard, keyword_weights
from .reading import of_text

SoftExtractor = Callable[[str], Iterable[Soft | str]]
"""The soft attributes of a text: attributes, or lines in plain words."""
TIMES = (2, 3)
"""A frequency in the pool asks for one of these."""


@checked
def corpus_attributes(
    texts: Sequence[str],
    soft_extractor: SoftExtractor | None = None,
    settings: ExtractionSettings = DEFAULT,
) -> list[list[Attribute]]:
    """The hard and soft attributes of every text of a corpus; keywords are weighed by tf-idf on it.

    Args:
        texts: The corpus.
        soft_extractor: From a text to its soft attributes; None: hard ones only.
        settings: How hard ones are read.

    Raises:
        ArgumentError: No text, or a soft attribute that is no line of text.
    """
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Sequence):
        raise ArgumentTypeError(f"texts={shown(texts)}: expected a sequence of texts")
    if soft_extractor is not None and not callable(soft_extractor):
        raise ArgumentTypeError(f"soft_extractor={shown(soft_extractor)}: expected a function")
    if not len(texts):
        raise ArgumentError("texts: the corpus is empty")
    weights = keyword_weights([of_text(f"texts[{i}]", t) for i, t in enumerate(texts)], settings)
    return [
        [*extract_hard(text, settings, weights), *_soft(text, soft_extractor)] for text in texts
    ]


def _soft(text: str, extractor: SoftExtractor | None) -> list[Soft]:
    """The soft attributes of a text."""
    found = []
    given = () if extractor is None else extractor(text)
    if not isinstance(given, Iterable):
        raise ArgumentError(f"soft_extractor gave {shown(given)}: expected several attributes")
    for one in given:
        soft = parse(one, soft=True) if isinstance(one, str) else one
        if not isinstance(soft, Soft):
            raise ArgumentError(f"soft_extractor gave {shown(one)}: expected a soft attribute")
        found.append(soft)
    return found


@dataclass(frozen=True)
class AttributePool(Checked):
    """Different attributes, and the documents that they come from.

    Attributes:
        attributes: (n,) the attributes, in the order in which the corpus has them.
        by_document: For each document the places of its attributes in `attributes`.
    """

    attributes: tuple[Attribute, ...]
    by_document: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not len(of_attributes("attributes", self.attributes)):
            raise ArgumentError("attributes: the pool is empty")
        with naming("by_document"):
            for places in self.by_document:
                for k in places:
                    whole("by_document", k, least=0, most=len(self.attributes) - 1)

    @classmethod
    @checked
    def from_corpus(
        cls,
        texts: Sequence[str],
        soft_extractor: SoftExtractor | None = None,
        settings: ExtractionSettings = DEFAULT,
        seed: int = 0,
    ) -> AttributePool:
        """The pool of a corpus.

        Args:
            texts: The corpus.
            soft_extractor: From a text to its soft attributes; None: hard ones only.
            settings: How hard ones are read.
            seed: Of the frequencies' numbers.
        """
        return cls.of(corpus_attributes(texts, soft_extractor, settings), seed)

    @classmethod
    @checked
    def of(cls, documents: Sequence[Sequence[Attribute]], seed: int = 0) -> AttributePool:
        """The pool of documents that were read already.

        A word that some text includes and another has several times stays as "include"; the number
        of every other frequency is drawn anew, 2 or 3, once a word.

        Args:
            documents: The attributes of each document.
            seed: Of these numbers.
        """
        rng = generator("seed", seed)
        included = {a.word for d in documents for a in d if isinstance(a, Keyword)}
        place: dict[Attribute, int] = {}
        times: dict[tuple[str, str], int] = {}
        by_document = []
        for document in documents:
            found = []
            for a in document:
                if isinstance(a, Frequency) and a.word in included:
                    kept: Attribute = Keyword(a.word, a.match)
                elif isinstance(a, Frequency):
                    if a.group not in times:
                        times[a.group] = TIMES[int(rng.integers(len(TIMES)))]
                    kept = Frequency(a.word, times[a.group], a.match)
                else:
                    kept = a
                found.append(place.setdefault(kept, len(place)))
            by_document.append(tuple(dict.fromkeys(found)))
        return cls(tuple(place), tuple(by_document))

    @property
    def soft(self) -> np.ndarray:
        """(n,) whether an attribute is soft."""
        return np.array([isinstance(a, Soft) for a in self.attributes])
