"""Addition in characters: "12+34=" is answered by the digits of the sum, the last first.

The policy is a small transformer that was trained on worked sums, and not to the end, so that there
is something left to be learnt from right and wrong alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ...core.checks import whole
from ...core.errors import ArgumentError
from ..problem import LanguageProblem
from ..small import CharacterSettings, addition_pairs, character_tokenizer, sums, train_characters

BRIEF = CharacterSettings(
    context=8, layers=1, width=32, heads=2, steps=400, batch=64, rate=1e-2, stop=0.35
)
"""A policy that is trained within two seconds, on sums of one digit."""

SUMS = CharacterSettings(
    context=12, layers=2, width=48, heads=4, steps=1500, batch=128, rate=3e-3, stop=0.3
)
"""A policy of 60,000 weights that is trained within a quarter of a minute until 30 % of its drawn
answers to sums of two digits are right."""


def exact(completions: Sequence[str], answer: Sequence[str], **_: Any) -> list[float]:
    """1 for the right answer, 0 for every other."""
    return [float(c == a) for c, a in zip(completions, answer, strict=True)]


@cache
def _trained(settings: CharacterSettings, digits: tuple[int, ...], width: int) -> Any:
    """The trained policy of these settings, made once in a process; nobody changes it."""
    learnt, hardest = addition_pairs(digits, width), addition_pairs((width,), width)
    return train_characters(settings, learnt, hardest)


def addition(
    digits: Sequence[int] = (1,),
    settings: CharacterSettings = BRIEF,
    n_prompts: int = 200,
    n_held_out: int = 30,
    folder: str | os.PathLike[str] | None = None,
) -> LanguageProblem:
    """Sums to be learnt by a reward of 1 for the right answer.

    Args:
        digits: Of the operands, in equal shares; filled up with zeros to the most.
        settings: Of the policy and its training; the default takes two seconds.
        n_prompts: Questions to learn from.
        n_held_out: Questions to be judged on, none of which is among the others.
        folder: Where the trained policy is kept; None: nowhere.
    """
    whole("n_prompts", n_prompts, least=1)
    whole("n_held_out", n_held_out, least=1)
    sizes = sizes_of(digits, settings.context)
    width = max(sizes)
    if folder is None:
        policy = _trained(settings, tuple(sizes), width)
    else:
        learnt, hardest = addition_pairs(sizes, width), addition_pairs((width,), width)
        policy = train_characters(settings, learnt, hardest, folder)
    rng = np.random.default_rng([settings.seed, 3])
    held_out = _questions(rng, n_held_out, sizes, set())
    prompts = _questions(rng, n_prompts, sizes, set(held_out))
    asked, answers = _texts(prompts, width)
    judged, right = _texts(held_out, width)
    return LanguageProblem(
        policy,
        character_tokenizer(settings.characters),
        asked,
        judged,
        exact,
        {"answer": answers, "digits": [d for d, _, _ in prompts]},
        {"answer": right, "digits": [d for d, _, _ in held_out]},
        bucket="digits" if len(set(sizes)) > 1 else "",
        max_tokens=width + 2,
        name="addition",
    )


def sizes_of(digits: Sequence[int], context: int) -> list[int]:
    """Digits of operands, checked; a sum with its answer must fit into the context."""
    sizes = [whole("digits", d, least=1, most=9) for d in digits]
    width = max(sizes, default=0)
    if not width or context < 3 * width + 4:
        raise ArgumentError(
            f"digits={list(digits)}: sums of {width} digits need a context of {3 * width + 4}, "
            f"the policy has {context}"
        )
    return sizes


Question = tuple[int, int, int]
"""Digits, and the two operands."""


def _questions(
    rng: np.random.Generator, n: int, sizes: Sequence[int], without: set[Question]
) -> list[Question]:
    """Draw questions, distinct from those that are excluded."""
    found: list[Question] = []
    for _ in range(100 * n):
        if len(found) == n:
            break
        d = sizes[int(rng.integers(len(sizes)))]
        a, b = (int(v) for v in rng.integers(10**d, size=2))
        if (d, a, b) not in without:
            found.append((d, a, b))
    if len(found) < n:
        raise ArgumentError(f"n_prompts, n_held_out: there are not {n} questions of {sizes} digits")
    return found


def _texts(questions: Sequence[Question], width: int) -> tuple[list[str], list[str]]:
    """Return questions and answers as text."""
    return sums([a for _, a, _ in questions], [b for _, _, b in questions], width)
