"""A user's first try has two or three prompts: every method takes them with its own settings."""

from __future__ import annotations

import pytest

import feasible
from feasible.core.registry import methods
from feasible.language import LanguageProblem
from feasible.language.small import CharacterSettings, character_model, character_tokenizer

POLICY = CharacterSettings(context=12, layers=1, width=16, heads=2, steps=0)
NAMES = sorted(n for n, e in methods().items() if e.solves == "LanguageProblem")


def few(n: int, **more) -> LanguageProblem:
    """So many prompts, for responses with many ones in them."""
    return LanguageProblem(
        lambda: character_model(POLICY),
        character_tokenizer(POLICY.characters),
        ["1+1=", "2+2=", "3+3="][:n],
        ["4+4="],
        lambda completions, **_: [float("1" in c) for c in completions],
        max_tokens=3,
        samples=1,
        **more,
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_method_learns_from_two_prompts_with_its_own_settings(name):
    judges = {"short": lambda completions, **_: [len(c) < 3 for c in completions]}
    limited = {"judges": judges, "limits": {"short": ">= 0.5"}}
    problem = few(2, **(limited if methods()[name].paper == "cgpo" else {}))
    found = feasible.solve(problem, name, {"samples": 300}, seed=100)
    assert found.steps >= (name != "dapo")  # which draws again where all answers are alike
    assert 0 < found.spent["samples"] <= 300


def test_the_default_takes_one_prompt():
    found = feasible.solve(few(1), budget={"samples": 300}, seed=100)
    assert found.steps >= 1
