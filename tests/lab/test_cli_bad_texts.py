"""A text that an option of the command line does not take is refused by name."""

from __future__ import annotations

import re

import pytest
from cli_kit import enter


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


WRONG = {
    "--budget": (
        "text",
        "evaluations",
        "evaluations=text",
        "evaluations=-1",
        "evaluations=nan",
        "=",
    ),
    "--seed": ("text", "-1", "1.5", "nan", "", "1e3"),
    "--workers": ("text", "-1", "0", "1.5", ""),
    "--threads": ("text", "-1", "0", "1.5", ""),
    "--retry": ("text", "-1", "1.5", ""),
    "--stop-at": ("text", ""),
    "--evaluation-timeout": ("text", "-1", "0", "nan", ""),
}
"""An option of `feasible solve` -> texts that it does not take."""
RACING = {
    "--budget": WRONG["--budget"],
    "--jobs": WRONG["--workers"],
    "--seeds": ("text", "-1", "0", "1.5", ""),
}


SOLVE = ("solve", "branin", "--method", "sobol-search")
RACE = ("race", "branin", "--methods", "sobol-search")
CASES = [(SOLVE, option, text) for option, texts in WRONG.items() for text in texts]
CASES += [(RACE, option, text) for option, texts in RACING.items() for text in texts]


@pytest.mark.parametrize(("words", "option", "text"), CASES)
def test_a_bad_text_on_the_command_line_is_refused_by_name(run, words, option, text):
    given = {"--budget": "evaluations=2", "--progress": None, option: text}
    more = [w for name, value in given.items() if value is not None for w in (name, value)]
    code, _, said = run(*words, *more)
    assert code == 2
    assert option in said or re.search(rf"\b{option.strip('-').replace('-', '_')}\b", said)
    assert "Traceback" not in said
