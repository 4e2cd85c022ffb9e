"""Verdicts on hard attributes beside those of the IFEval checkers of lm-eval, on stories and on
documentation, where the two ask the same: each attribute on its own text and on the next one.

Where they may differ: IFEval searches keywords inside words, counts runs of letters as words
("don't" is two) where ours are parts between blanks, and asks of case that the text be English as
well, which a detector of languages guesses. Only by name, because of the packages:

    pip install --no-deps lm-eval langdetect nltk immutabledict
    python -m benchmarks checkers
"""

from __future__ import annotations

import io
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .common import Figure, write

if TYPE_CHECKING:
    from feasible.language.ultragen import Attribute

STORIES, DOCUMENTS = 300, 100
PACKAGES = ("lm_eval", "langdetect", "nltk", "immutabledict")


def instructions() -> Any:
    """The checkers of lm-eval, which fetch a sentence splitter on import unless told not to."""
    from feasible.core.errors import MissingExtra

    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"checkers: expected the packages {', '.join(missing)} to be installed")
    import langdetect
    import nltk

    langdetect.DetectorFactory.seed = 0
    spec = find_spec("lm_eval")
    assert spec is not None
    assert spec.origin is not None
    folder, name = Path(spec.origin).parent, "lm_eval"
    parents = {name: folder, f"{name}.tasks": folder / "tasks"}
    parents[f"{name}.tasks.ifeval"] = folder / "tasks" / "ifeval"
    for parent, path in parents.items():  # not by their own code, which imports all of lm-eval
        sys.modules[parent] = module = ModuleType(parent)
        module.__path__ = [str(path)]
    fetch, nltk.download = nltk.download, lambda *_, **__: False
    try:
        with redirect_stdout(io.StringIO()):  # it says that it fetched what it did not
            return import_module("lm_eval.tasks.ifeval.instructions")
    finally:
        nltk.download = fetch
        for parent in parents:
            del sys.modules[parent]


def theirs(attribute: Attribute, ifeval: Any) -> Callable[[str], bool] | None:
    """The same question to IFEval; None where it has none."""
    from feasible.language.ultragen import Case, Frequency, Keyword, Paragraphs, Words

    def made(name: str, **settings: Any) -> Callable[[str], bool]:
        checker = getattr(ifeval, name)(name)
        checker.build_description(**settings)
        asked: Callable[[str], bool] = checker.check_following
        return asked

    def within(name: str, low: int, high: int, number: str, **more: Any) -> Callable[[str], bool]:
        """At least low and less than high, by two checkers."""
        least = made(name, **{number: low}, relation="at least", **more)
        less = made(name, **{number: high}, relation="less than", **more)
        return lambda text: least(text) and less(text)

    if isinstance(attribute, Keyword):
        return made("KeywordChecker", keywords=[attribute.word])
    if isinstance(attribute, Frequency):
        n, word = attribute.times, attribute.word
        return within("KeywordFrequencyChecker", n, n + 1, "frequency", keyword=word)
    if isinstance(attribute, Words) and attribute.low:  # it takes no 0
        return within("NumberOfWords", attribute.low, attribute.high, "num_words")
    if isinstance(attribute, Paragraphs):
        divided = made("ParagraphChecker", num_paragraphs=attribute.count)
        return lambda text: divided(re.sub(r"\n\s*\n", "\n***\n", text.replace("***", "* * *")))
    if isinstance(attribute, Case):
        upper = attribute.case == "upper"
        return made(f"{'Capital' if upper else 'Lowercase'}LettersEnglishChecker")
    return None


def inside(attribute: Attribute) -> Attribute:
    """A keyword by the rule that counts inside words too, which is IFEval's."""
    from feasible.language.ultragen import Frequency, Keyword

    if isinstance(attribute, (Frequency, Keyword)):
        return replace(attribute, match="substring")
    return attribute


def compared(texts: Sequence[str], read: Sequence[Sequence[Attribute]]) -> dict[str, list[bool]]:
    """Kind, and for keywords rule -> whether each verdict is the same."""
    from feasible.language.ultragen import Frequency, Keyword

    ifeval, same = instructions(), defaultdict[str, list[bool]](list)
    for i, one in enumerate(read):
        for a in one:
            asked = theirs(a, ifeval)
            if asked is None:
                continue
            for text in (texts[i], texts[(i + 1) % len(texts)]):
                verdict, name = asked(text), type(a).__qualname__
                same[name].append(a.check(text) == verdict)
                if isinstance(a, (Frequency, Keyword)):
                    same[f"{name}, inside words"].append(inside(a).check(text) == verdict)
    return same


def run() -> list[Figure]:
    """Shares of equal verdicts by kind."""
    from feasible.language.ultragen import (
        STORY_EXTRACTION,
        ExtractionSettings,
        corpus_attributes,
        write_stories,
    )
    from feasible.language.ultragen.claim import documentation

    stories = [s.text for s in write_stories(STORIES, 7)]
    documents = documentation(DOCUMENTS)
    figures = []
    for name, texts, settings in (
        ("stories", stories, STORY_EXTRACTION),
        ("documentation", documents, ExtractionSettings(longest=2)),
    ):
        for kind, same in compared(texts, corpus_attributes(texts, None, settings)).items():
            bar = 1.0 if "inside" in kind or kind == "Paragraphs" else None
            unit = "of all" if bar is None else "at least, of all"
            note = f"{len(same) - sum(same)} of {len(same)} differ"
            what = f"equal verdicts on {name}: {kind}"
            figures.append(Figure(what, sum(same) / len(same), bar, unit, note))
    write("checkers", figures)
    return figures
