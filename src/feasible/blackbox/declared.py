"""A problem declared as plain data, for people who run experiments and write no code: what
`study.toml` holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..core.errors import ArgumentError, is_number, nearest
from ..core.registry import StudyFile
from .problem import BlackBox
from .space import Categorical, Integer, Real, Variable


class _Kind(NamedTuple):
    """What a key of a study file may hold.

    Attributes:
        expected: In words, for errors.
        fits: Whether a value is of this kind.
    """

    expected: str
    fits: Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def _table_of(kind: _Kind, example: str) -> _Kind:
    """Return the kind of tables whose values are all of one kind."""
    return _Kind(
        f"a table of lines such as {example}",
        lambda given: isinstance(given, Mapping) and all(map(kind.fits, given.values())),
    )


_TEXT = _Kind("text in quotes", _is_text)
_YES_NO = _Kind("true or false, without quotes", lambda v: isinstance(v, bool))
_NUMBER = _Kind("a number", _is_number)
_LIMIT = _Kind("text or [low, high]", lambda v: isinstance(v, (str, list, tuple)))
_TEXTS = _Kind(
    "a list of text in quotes",
    lambda v: isinstance(v, (list, tuple)) and all(map(_is_text, v)),
)
_ANY = _Kind("anything", lambda v: True)
_CHOICES = _Kind(
    'a list of different words or numbers such as ["DMAc", "CHCl3"]',
    lambda v: (
        isinstance(v, (list, tuple)) and all(isinstance(c, (str, bool, int, float)) for c in v)
    ),
)

_KNOWN: Mapping[str, _Kind] = {
    "name": _TEXT,
    "objective": _TEXT,
    "objectives": _table_of(_TEXT, 'yield = "max"'),
    "reference": _table_of(_NUMBER, "yield = 20"),
    "unit": _TEXT,
    "maximize": _YES_NO,
    "target": _NUMBER,
    "noise": _Kind("a number, or true", lambda v: isinstance(v, bool) or _is_number(v)),
    "tolerance": _NUMBER,
    "variables": _table_of(_ANY, "temperature = {low = 20, high = 90}"),
    "candidates": _TEXT,
    "history": _TEXT,
    "evaluation_time": _NUMBER,
    "constraints": _Kind(
        'a table of lines such as mixture = "a + b + c == 1"',
        lambda v: _TEXTS.fits(list(v.values()) if isinstance(v, Mapping) else v),
    ),
    "limits": _table_of(_LIMIT, 'stress = "<= 250 MPa"'),
    "scales": _table_of(_NUMBER, "stress = 250"),
    "budget": _table_of(_NUMBER, "evaluations = 60"),
    "method": _TEXT,
    "stop_at": _NUMBER,
    "command": _Kind("text, or a list of words", lambda v: _is_text(v) or _TEXTS.fits(v)),
    "timeout": _NUMBER,
}
"""What each key of a study file holds."""
_VARIABLE: Mapping[str, _Kind] = {
    "low": _NUMBER,
    "high": _NUMBER,
    "unit": _TEXT,
    "integer": _YES_NO,
    "log": _YES_NO,
    "step": _NUMBER,
    "choices": _CHOICES,
    "descriptors": _Kind(
        "the name of a file, or a table such as {permittivity = [37.8, 2.4]}",
        lambda v: _is_text(v) or isinstance(v, Mapping),
    ),
}
"""What each key of a variable holds."""


def _check(data: Mapping[str, Any], known: Mapping[str, _Kind], where: str) -> None:
    """Raise ArgumentError where a key is not known, or holds what it may not."""
    for key, value in data.items():
        if key not in known:
            raise ArgumentError(f"{where} has the unknown key '{key}': {nearest(key, known)}")
        if not known[key].fits(value):
            expected = known[key].expected
            if expected.startswith("a table") and not isinstance(value, Mapping):
                raise ArgumentError(f"{where}: [{key}] is {value!r:.60}, expected {expected}")
            raise ArgumentError(f"{where}: {key} = {value!r:.60}, expected {expected}")


def from_table(data: Mapping[str, Any]) -> BlackBox:
    """A BlackBox from a mapping such as

        name = "mix"
        objective = "yield"
        maximize = true                           # or: target = 80
        # several: objectives = {yield = "max", cost = "min"}, reference = {yield = 20, cost = 9}
        command = "simulate {input} {output}"     # optional; without it people run the experiments
        [variables]
        temperature = {low = 20, high = 90, unit = "degC"}
        cycles = {low = 1, high = 8, integer = true}
        share = {low = 0, high = 1, step = 0.05}
        solvent = {choices = ["DMAc", "CHCl3"], descriptors = "solvents.csv"}
        [constraints]                             # known, free, and kept by every proposal
        mixture = "share + 0.1 cycles <= 1.2"
        [limits]
        stress = "<= 250 MPa"
        [budget]
        evaluations = 60

    and candidates = "menu.csv", the experiments that are possible; history = "old.csv", those of an
    earlier, similar study; evaluation_time = 0.5, in seconds; stop_at = 80, the value of the
    objective at which the study hands out no more.

    Raises ArgumentError with the nearest known key.
    """
    _check(data, _KNOWN, "study file")
    if not data.get("variables") and "candidates" not in data:
        raise ArgumentError(
            "study file has no [variables]: expected lines such as temperature = {low = 20, high = "
            "90}"
        )
    several = "objectives" in data or "reference" in data
    if not several and not data.get("objective"):
        raise ArgumentError(
            'study file has no objective: expected a line such as objective = "cost", or '
            'objectives = {cost = "min", strength = "max"} and a reference point'
        )
    function: Any = None
    if data.get("command"):
        from .command import Command

        function = Command(data["command"], timeout=data.get("timeout"))
    return BlackBox(
        function,
        variables=[_variable(name, v) for name, v in data.get("variables", {}).items()] or None,
        candidates=data.get("candidates"),
        history=data.get("history"),
        evaluation_time=data.get("evaluation_time"),
        objective=data.get("objective"),
        objectives=data.get("objectives"),
        reference=data.get("reference"),
        limits=dict(data.get("limits", {})),
        scales=data.get("scales"),
        known=_constraints(data.get("constraints", ())),
        name=data.get("name", "study"),
        maximize=data.get("maximize", False),
        noise=data.get("noise", 0.0),
        tolerance=data.get("tolerance", 1e-6),
        unit=data.get("unit", ""),
        target=data.get("target"),
    )


def study_file(data: Mapping[str, Any]) -> StudyFile:
    """The problem, budget, method and target of a study file, from its table; see `from_table`."""
    problem = from_table(data)
    return StudyFile(problem, data.get("budget", {}), data.get("method"), data.get("stop_at"))


def _constraints(given: Any) -> list[str] | None:
    """Return the texts of known constraints on the variables."""
    texts = list(given.values() if isinstance(given, Mapping) else given)
    return texts or None


def _variable(name: str, given: Any) -> Variable:
    if not isinstance(given, Mapping):
        raise ArgumentError(
            f"variable '{name}': got {given!r}, expected {{low = ..., high = ...}} or "
            f"{{choices = [...]}}"
        )
    _check(given, _VARIABLE, f"variable '{name}'")
    unit = given.get("unit", "")
    if "choices" in given:
        known = given.get("descriptors")
        return Categorical(name, list(given["choices"]), unit=unit, descriptors=known)
    if "descriptors" in given:
        raise ArgumentError(f"variable '{name}' has descriptors, but no choices that they are of")
    if "low" not in given or "high" not in given:
        raise ArgumentError(f"variable '{name}' needs low and high (or choices)")
    kind = Integer if given.get("integer") else Real
    log, step = given.get("log", False), given.get("step", 0)
    return kind(name, given["low"], given["high"], unit=unit, log=log, step=step)
