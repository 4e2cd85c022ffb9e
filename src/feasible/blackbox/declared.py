"""A problem declared as plain data, for people who run experiments and write no code: what
`study.toml` holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import ArgumentError, is_number, nearest
from ..core.registry import StudyFile
from .problem import BlackBox
from .space import Categorical, Integer, Real, Variable

_KNOWN = (
    "name",
    "objective",
    "objectives",
    "reference",
    "unit",
    "maximize",
    "target",
    "noise",
    "tolerance",
    "variables",
    "limits",
    "scales",
    "budget",
    "method",
    "command",
    "timeout",
)
_VARIABLE = ("low", "high", "unit", "integer", "log", "choices")


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
        solvent = {choices = ["DMAc", "CHCl3"]}
        [limits]
        stress = "<= 250 MPa"
        [budget]
        evaluations = 60

    Raises ArgumentError with the nearest known key.
    """
    for key in data:
        if key not in _KNOWN:
            raise ArgumentError(f"study file has the unknown key '{key}': {nearest(key, _KNOWN)}")
    for key in ("variables", "limits", "scales", "objectives", "reference"):
        if not isinstance(data.get(key, {}), Mapping):
            raise ArgumentError(
                f"study file: [{key}] is {data[key]!r:.60}, expected a table of lines NAME = ..."
            )
    if not data.get("variables"):
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
        variables=[_variable(name, v) for name, v in data["variables"].items()],
        objective=None if several and "objective" not in data else str(data["objective"]),
        objectives=data.get("objectives"),
        reference=data.get("reference"),
        limits=dict(data.get("limits", {})),
        scales=data.get("scales"),
        name=str(data.get("name", "study")),
        maximize=bool(data.get("maximize", False)),
        noise=data.get("noise", 0.0),
        tolerance=data.get("tolerance", 1e-6),
        unit=str(data.get("unit", "")),
        target=data.get("target"),
    )


def study_file(data: Mapping[str, Any]) -> StudyFile:
    """The problem, budget and method of a study file, from its table; see `from_table`."""
    return StudyFile(from_table(data), data.get("budget", {}), data.get("method"))


def _variable(name: str, given: Any) -> Variable:
    if not isinstance(given, Mapping):
        raise ArgumentError(
            f"variable '{name}': got {given!r}, expected {{low = ..., high = ...}} or "
            f"{{choices = [...]}}"
        )
    for key in given:
        if key not in _VARIABLE:
            raise ArgumentError(
                f"variable '{name}' has the unknown key '{key}': {nearest(key, _VARIABLE)}"
            )
    unit = str(given.get("unit", ""))
    if "choices" in given:
        if not isinstance(given["choices"], (list, tuple)):
            raise ArgumentError(
                f"variable '{name}': choices = {given['choices']!r:.60}, expected a list such as "
                '["DMAc", "CHCl3"]'
            )
        return Categorical(name, list(given["choices"]), unit=unit)
    if "low" not in given or "high" not in given:
        raise ArgumentError(f"variable '{name}' needs low and high (or choices)")
    for key in ("low", "high"):
        if not is_number(given[key]):
            raise ArgumentError(f"variable '{name}': {key} = {given[key]!r:.60}, expected a number")
    if given.get("integer"):
        return Integer(name, given["low"], given["high"], unit=unit, log=bool(given.get("log")))
    return Real(
        name, float(given["low"]), float(given["high"]), unit=unit, log=bool(given.get("log"))
    )
