"""A rule-based backend: a stand-in that reads the text of the prompts and answers by arithmetic.

It is no language model. It knows feedback of the form "should be higher by 2.5", numbers, and the
traced operators, and what it is shown in the prompt is all it has: of a prompt of OptoPrime it runs
the program in #Code again, numerically, and takes a Newton step; of one of OPRO a secant step
through the last two pairs; of TextGrad's it passes the error on through each operation. So prompts,
replies, memory and charges are exercised from end to end, and runs have the same end each time.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ..backend import Backend, scripted
from .operation import BINARY, UNARY
from .prompt import SECTIONS

_VALUE = re.compile(r"^\((?P<kind>\w+)\) (?P<name>\w+)=(?P<value>.*)$", re.MULTILINE)
_CALL = re.compile(r"^(?P<out>\w+) = (?P<op>\w+)\((?P<inputs>.*)\)$", re.MULTILINE)
_ERROR = re.compile(r"should be (?P<way>higher|lower) by (?P<size>\d+(?:\.\d+)?(?:e[-+]?\d+)?)")
STEP = 1e-6
"""Relative step of a difference quotient."""
REACH = 1.0
"""A step's longest way."""


def rules() -> Backend:
    """A Backend of the rules, on the real client and a transport in this process."""
    return Backend(scripted(answer), "rules", {"rules": (0.0, 0.0)}, wait=0.0)


def answer(request: Mapping[str, Any]) -> str:
    """The reply to a request."""
    text = request["messages"][-1]["content"]
    if "#Operation" in text:
        return json.dumps(passed_on(text))
    if "#Value" in text:
        errors = [error(t) for t in text.split("#Feedback")[1:]]
        known = [e for e in errors if e is not None]
        return said(sum(known)) if known else "no numbers"
    now = sections(text)
    r = error(now.get("Feedback", ""))
    x = numbers(now.get("Variables", ""))
    if r is None or not x:
        return json.dumps({"reasoning": "no rule for this", "answer": "", "suggestion": {}})
    if "Code" in now:
        found = newton(now, x, r)
    else:
        found = secant(text, x, r)
    return json.dumps({"reasoning": f"the error is {r:g}", "answer": "", "suggestion": found})


def sections(text: str) -> dict[str, str]:
    """The prompt's last sections by name."""
    found: dict[str, str] = {}
    parts = re.split(rf"^#({'|'.join(SECTIONS)})\n", text, flags=re.MULTILINE)
    for name, content in zip(parts[1::2], parts[2::2], strict=True):
        found[name] = content.strip()
    return found


def numbers(text: str) -> dict[str, float]:
    """The real numbers among the values of a section."""
    found = {}
    for m in _VALUE.finditer(text):
        try:
            if m["kind"] in ("float", "int"):
                found[m["name"]] = float(m["value"])
        except ValueError:
            continue
    return found


def error(text: str) -> float | None:
    """The output less what it should be."""
    m = _ERROR.search(text)
    if m is None:
        return None
    return float(m["size"]) if m["way"] == "lower" else -float(m["size"])


def said(r: float) -> str:
    """An error in words."""
    return f"It should be {'lower' if r > 0 else 'higher'} by {abs(r):.12g}."


def program(now: Mapping[str, str], x: Mapping[str, float]) -> float:
    """What the code of the prompt computes at other values of its variables.

    Raises:
        LookupError: An operation that is not known, or a value that is not shown.
    """
    values: dict[str, Any] = numbers(now.get("Inputs", "")) | dict(x)
    out = ""
    for m in _CALL.finditer(now["Code"]):
        out = m["out"]
        given = [values[part.split("=")[1]] for part in m["inputs"].split(", ")]
        _, function = (BINARY if len(given) == 2 else UNARY)[m["op"]]
        values[out] = function(*given)
    return float(values[out])


def newton(now: Mapping[str, str], x: Mapping[str, float], r: float) -> dict[str, float]:
    """A Gauss-Newton step by differences of the program in the prompt."""
    slopes = {}
    try:
        for name, value in x.items():
            h = STEP * max(1.0, abs(value))
            up, down = (program(now, {**x, name: value + s * h}) for s in (1, -1))
            slopes[name] = (up - down) / (2 * h)
    except (LookupError, ValueError, ArithmeticError, TypeError):
        return {}
    size = math.sqrt(sum(s * s for s in slopes.values()))
    if not 0 < size < math.inf:
        return {}
    far = min(abs(r) / size, REACH)
    return {k: x[k] - math.copysign(far, r) * s / size for k, s in slopes.items()}


def secant(text: str, x: Mapping[str, float], r: float) -> dict[str, float]:
    """A secant step along the way from the last pair to the present one; a short one before."""
    pairs = text.split("#Variables\n")[1:]
    if len(pairs) > 1:
        before, was = numbers(pairs[-2].split("#Feedback")[0]), error(pairs[-2])
        if was is not None and was != r and before.keys() == x.keys():
            t = min(max(r / (was - r), -REACH * 4), REACH * 4)
            return {k: x[k] + t * (x[k] - before[k]) for k in x}
    return {k: v - math.copysign(0.1, r) for k, v in x.items()}


def passed_on(text: str) -> dict[str, str]:
    """What each input of an operation should change by, by differences."""
    name = re.search(r"#Operation\n\[(\w+)\]", text)
    r = error(text.split("#Feedback")[-1])
    inputs = list(_VALUE.finditer(text.split("#Inputs")[1].split("#Outputs")[0]))
    try:
        values = [float(m["value"]) for m in inputs]
        assert name is not None
        assert r is not None
        _, function = (BINARY if len(values) == 2 else UNARY)[name[1]]
        found = {}
        for i, m in enumerate(inputs):
            h = STEP * max(1.0, abs(values[i]))
            up, down = ([*values[:i], values[i] + s * h, *values[i + 1 :]] for s in (1, -1))
            slope = (function(*up) - function(*down)) / (2 * h)
            if slope:
                found[m["name"]] = said(min(max(r / slope, -REACH), REACH))
    except (LookupError, ValueError, ArithmeticError, TypeError, AssertionError):
        return {}
    return found
