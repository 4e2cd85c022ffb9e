"""What is read out of a language model's reply, whatever its shape; nothing of it is ever run."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core.checks import shown
from ...core.errors import ArgumentError
from ..sandbox import signature

_PAIR = re.compile(
    r"""["']?(?P<key>\w+)["']?\s*:\s*(?P<value>"(?:[^"\\]|\\.)*"|[-+\w.]+|\[[^\[\]]*\])"""
)
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


class ExtractionError(ArgumentError):
    """A suggested value cannot be read as the variable's type, or breaks its constraint."""


@dataclass(frozen=True)
class Reply:
    """What a reply says.

    Attributes:
        how: "json"; "inner": a JSON object in other text; "pairs": some values of a broken one;
            "terminate"; "none": nothing could be read.
        suggestion: New values by name.
        reasoning: As it was given.
        answer: As it was given.
    """

    how: str
    suggestion: Mapping[str, Any] = field(default_factory=dict)
    reasoning: str = ""
    answer: str = ""


def parse(text: str) -> Reply:
    """Read a reply: as JSON, else its outermost braces, else whatever pairs it has.

    TERMINATE means that nothing is to change, and only where it is the whole reply or the whole
    answer: in the reasoning it is a word like others.

    Args:
        text: The reply.

    Examples:
        >>> parse('Sure! {"suggestion": {"x0": 4.5}} I hope it helps.').suggestion
        {'x0': 4.5}
        >>> parse("TERMINATE").how
        'terminate'
    """
    if not isinstance(text, str):
        raise ArgumentError(f"text={shown(text)}: expected text")
    if _ends(text):
        return Reply("terminate")
    for how, part in (("json", text), ("inner", _braces(text))):
        found = _object(part)
        if found is not None:
            return _read(how, found)
    _, mark, rest = text.partition("suggestion")
    pairs = {m["key"]: _literal(m["value"]) for m in _PAIR.finditer(rest if mark else text)}
    for name in ("reasoning", "answer", "suggestion"):
        pairs.pop(name, None)
    return Reply("pairs" if pairs else "none", pairs)


def read_texts(text: str) -> dict[str, str]:
    """Texts by name out of a reply's outermost braces; none where they cannot be read."""
    return {str(k): str(v) for k, v in (_object(_braces(text)) or {}).items()}


def _object(text: str) -> dict[str, Any] | None:
    """A JSON object; None of anything else."""
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _read(how: str, found: dict[str, Any]) -> Reply:
    """The parts of a JSON object."""
    reasoning, answer = str(found.get("reasoning", "")), str(found.get("answer", ""))
    suggestion = found.get("suggestion", {})
    if _ends(answer) or (isinstance(suggestion, str) and _ends(suggestion)):
        return Reply("terminate", {}, reasoning, answer)
    if not isinstance(suggestion, dict):
        return Reply("none", {}, reasoning, answer)
    return Reply(how, suggestion, reasoning, answer)


def _ends(text: str) -> bool:
    return text.strip().strip("\"'`.*").strip() == "TERMINATE"


def _braces(text: str) -> str:
    """From the first opening brace to the last closing one."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else ""


def _literal(text: str) -> Any:
    """A value of a broken object; text where it is nothing else."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def cast(name: str, value: Any, like: Any) -> Any:
    """A suggested value as the type of the present one, by a rule for each type.

    Args:
        name: The variable's.
        value: As the reply has it.
        like: The present value.

    Raises:
        ExtractionError: It cannot be read so.

    Examples:
        >>> cast("x", "3.0", 1), cast("flag", "False", True), cast("v", "[1, 2]", (0.5,))
        (3, False, (1, 2))
    """
    refused = ExtractionError(
        f"{name}: got {shown(value)}, expected a value of type {type(like).__name__}"
    )
    try:
        if isinstance(like, (bool, np.bool_)):
            if isinstance(value, str) and value.strip().lower() in (*TRUE, *FALSE):
                return value.strip().lower() in TRUE
            if value in (0, 1):
                return bool(value)
            raise refused
        if isinstance(like, (int, float, np.number)):
            return _number(value, like, refused)
        if isinstance(like, str):
            if isinstance(value, (dict, list)):
                return json.dumps(value)
            return value if isinstance(value, str) else str(value)
        if like is None:
            return value
        if isinstance(value, str):
            value = ast.literal_eval(value)
        if isinstance(like, np.ndarray):
            found = np.asarray(value, dtype=like.dtype)
            if found.shape != like.shape:
                raise refused
            return found
        if isinstance(like, dict):
            if isinstance(value, dict):
                return value
            raise refused
        if isinstance(like, (list, tuple, set)) and isinstance(value, (list, tuple, set)):
            return type(like)(value)
    except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError):
        raise refused from None
    raise refused


def _number(value: Any, like: Any, refused: ExtractionError) -> Any:
    """A finite number of the type of `like`; a whole one only of a whole value."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise refused
    found = float(value)
    if not math.isfinite(found):
        raise refused
    if isinstance(like, (int, np.integer)):
        if not found.is_integer():
            raise refused
        found = int(value) if isinstance(value, int) else int(found)
    return found if type(like) in (int, float) else type(like)(found)


def code(name: str, value: Any, like: str) -> str:
    """Suggested source, if it is Python and keeps the function's name and arguments.

    Raises:
        ExtractionError: It is not.
    """
    text = str(value).strip()
    fence = re.fullmatch(r"```(?:python)?\n(.*?)\n?```", text, re.DOTALL)
    text = fence[1] if fence else text
    found = re.search(r"^def\s+(\w+)", like, re.MULTILINE)
    function = found[1] if found else ""
    if not text or signature(text, function) != signature(like, function):
        raise ExtractionError(
            f"{name}: expected Python with a function {function}({signature(like, function)}), got "
            f"{shown(value)}"
        )
    return text
