"""Hydrothermal systems in files: TOML for the plants, CSV for demand and inflow, with units.

    deficit_cost = "500 EUR/MWh"
    inflow = "inflow.csv"                  # stage, a column for each reservoir; a row for each draw
    demand = "demand.csv"                  # a column for each bus; rows in order, or a column stage

    [units]                                # of numbers without one
    volume = "hm3"
    energy = "MWh"
    money = "EUR"
    hours = 730                            # of a stage, for rates such as m^3/s and MW

    [[reservoirs]]
    name = "upper"
    v_max = "150 hm3"
    ...

A heading such as "upper [m^3/s]" says the unit of its column. Whatever has another unit than its
place is converted, or refused by name where it cannot be.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..core.annotations import checked
from ..core.checks import shown
from ..core.errors import ArgumentError, TableError, UnknownName, is_number, nearest
from ..core.sheets import read_sheet
from ..core.units import convert, same_unit
from .hydro import DEFICIT, ENERGY, MONEY, VOLUME, HydroSystem, Line, Reservoir, Thermal

QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\d.])\s*(.*?)\s*")
HEADING = re.compile(r"(.*?)\s*\[(.*)\]\s*")
PARTS: Mapping[str, type] = {"reservoirs": Reservoir, "thermals": Thermal, "lines": Line}
POWER = re.compile(r"([A-Za-z])(\d)")
"""Powers as they are written: hm3, m3/s."""
KEYS = (*PARTS, "units", "demand", "inflow", "deficit_cost", "spill_cost")


class Units:
    """The units of a file, and how other ones are converted.

    Args:
        given: Its table [units].
    """

    def __init__(self, given: Mapping[str, Any]):
        known = {"volume": VOLUME, "energy": ENERGY, "money": MONEY, "hours": None}
        for key in given:
            if key not in known:
                raise UnknownName(f"[units] names '{key}': {nearest(key, known)}")
        read = known | dict(given)
        self.volume, self.energy, self.money = (str(read[k]) for k in ("volume", "energy", "money"))
        self.hours = read["hours"]
        if self.hours is not None and not (is_number(self.hours) and self.hours > 0):
            raise ArgumentError(f"[units] hours = {shown(self.hours)}: expected a number > 0")
        for unit, like in ((self.volume, "m^3"), (self.energy, "MWh")):
            try:
                convert(1.0, _spelt(unit), like)
            except ValueError:
                raise ArgumentError(f"[units] has '{unit}': expected a unit like {like}") from None

    def of(self, field: str) -> str:
        """Return the unit in which a field is kept; "" where it is a bare number."""
        return {
            **dict.fromkeys(("v_max", "v_min", "v0", "q_max", "inflow"), self.volume),
            **dict.fromkeys(("capacity", "least", "demand"), self.energy),
            **dict.fromkeys(("cost", "deficit_cost"), f"{self.money}/{self.energy}"),
            "spill_cost": f"{self.money}/{self.volume}",
            "productivity": f"{self.energy}/{self.volume}",
        }.get(field, "")

    def factor(self, unit: str, wanted: str) -> float:
        """Return what a unit is of the wanted one, or of it in a stage. Raises ValueError."""
        if same_unit(unit, wanted):
            return 1.0
        unit, wanted = _spelt(unit), _spelt(wanted)
        prefix = f"{_spelt(self.money)}/"
        if wanted.startswith(prefix):  # money is no physical unit: compare what it is paid for
            if not unit.startswith(prefix):
                raise ValueError(unit)
            return convert(1.0, f"1/({unit[len(prefix) :]})", f"1/({wanted[len(prefix) :]})")
        try:
            return convert(1.0, unit, wanted)
        except ValueError:
            if self.hours is None:
                raise
            return convert(1.0, unit, f"{wanted}/hour") * float(self.hours)

    def read(self, where: str, field: str, value: Any) -> Any:
        """Return a value in the unit of its field.

        Args:
            where: What errors call its place.
            field: Which it is.
            value: A number, text such as "25 MW", or anything else, which is left as it is.

        Raises:
            ArgumentError: Its unit is of another dimension, or unknown.
        """
        wanted = self.of(field)
        if not isinstance(value, str) or not wanted:
            return value
        found = QUANTITY.fullmatch(value)
        if found is None:
            raise ArgumentError(f"{where} {field} = '{value}': expected a number in {wanted}")
        return float(found[1]) * (
            self.scale(f"{where} {field}", found[2], field) if found[2] else 1
        )

    def scale(self, where: str, unit: str, field: str) -> float:
        """Return what a unit is of that of a field. Raises ArgumentError."""
        wanted = self.of(field)
        try:
            return self.factor(unit, wanted)
        except ValueError:
            rate = "" if self.hours else "; a rate needs hours in [units]"
            raise ArgumentError(f"{where} is in '{unit}': expected {wanted}{rate}") from None


def _spelt(unit: str) -> str:
    """Return a unit with its powers marked."""
    return POWER.sub(r"\1^\2", unit)


@checked
def read_hydro(path: str | Path) -> HydroSystem:
    """Read a hydrothermal system from a TOML file and the CSV files that it names.

    Args:
        path: The TOML file; the tables' names are relative to it.

    Raises:
        ArgumentError: The file cannot be read, a key is missing, or a unit does not fit its place.
        UnknownName: A key, a bus or a reservoir that nothing has.
        TableError: A table with gaps, or stages that are missing.
    """
    file = Path(path)
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentError(f"path='{path}': it cannot be read as TOML ({error})") from None
    for key in given:
        if key not in KEYS:
            raise UnknownName(f"{file.name} names '{key}': {nearest(key, KEYS)}")
    for key in ("reservoirs", "demand", "inflow"):
        if key not in given:
            raise ArgumentError(f"{file.name} has no '{key}': expected it")
    units = Units(given.get("units", {}))
    parts = {
        kind: [_part(cls, one, i, units) for i, one in enumerate(given.get(kind, []))]
        for kind, cls in PARTS.items()
    }
    names = [r.name for r in parts["reservoirs"]]
    inflow = _inflow(file.parent / str(given["inflow"]), names, units)
    demand = _demand(file.parent / str(given["demand"]), len(inflow), units)
    costs = {"deficit_cost": DEFICIT, "spill_cost": 0.0} | given
    return HydroSystem(
        parts["reservoirs"],
        parts["thermals"],
        demand,
        inflow,
        parts["lines"],
        float(units.read(file.name, "deficit_cost", costs["deficit_cost"])),
        float(units.read(file.name, "spill_cost", costs["spill_cost"])),
        (units.volume, units.energy, units.money),
    )


def _part(cls: type, given: Mapping[str, Any], i: int, units: Units) -> Any:
    """Return a reservoir, plant or line of its table. Raises UnknownName, ArgumentError."""
    where = f"{cls.__name__.lower()} '{given.get('name', i)}'"
    known = {f.name: f for f in fields(cls)}
    for key in given:
        if key not in known:
            raise UnknownName(f"{where} names '{key}': {nearest(key, known)}")
    limits = ("v_max", "q_max", "capacity")
    for name, field in known.items():
        if name not in given and name not in limits and field.default is MISSING:
            raise ArgumentError(f"{where} has no '{name}': expected it")
    read = {k: units.read(where, k, v) for k, v in given.items()}
    numbers: dict[str, Any] = {k: float(v) if is_number(v) else v for k, v in read.items()}
    if "ends" in numbers:
        numbers["ends"] = tuple(numbers["ends"])
    return cls(**{k: None for k in limits if k in known} | numbers)


def _table(path: Path, field: str, units: Units) -> tuple[list[str], np.ndarray]:
    """Return a table's names and numbers, each in the unit of its field. Raises TableError."""
    sheet = read_sheet(path)
    if len(sheet.rows) < 2:
        raise TableError(f"table '{path.name}' has no rows")
    names, scales = [], []
    for heading in sheet.rows[0][1]:
        found = HEADING.fullmatch(str(heading))
        name, unit = (found[1], found[2]) if found else (str(heading).strip(), "")
        names.append(name)
        scales.append(units.scale(f"{path.name} '{name}'", unit, field) if unit else 1.0)
    values = []
    for line, cells in sheet.rows[1:]:
        for name, cell in zip(names, cells, strict=False):
            if not _number(cell):
                raise TableError(
                    f"{path.name} line {line} '{name}' = {shown(cell)}: expected a finite number"
                )
        if len(cells) != len(names):
            raise TableError(f"{path.name} line {line} has {len(cells)} cells: {len(names)}")
        values.append([float(cell) * s for cell, s in zip(cells, scales, strict=True)])
    return names, np.array(values)


def _number(cell: Any) -> bool:
    """True if a cell is a finite number."""
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _inflow(path: Path, reservoirs: Sequence[str], units: Units) -> list[np.ndarray]:
    """Return the pool of each stage."""
    names, values = _table(path, "inflow", units)
    for name in ("stage", *reservoirs):
        if name not in names:
            raise UnknownName(f"{path.name} has no column '{name}': {nearest(name, names)}")
    stage = values[:, names.index("stage")]
    columns = [names.index(r) for r in reservoirs]
    order = np.unique(stage)
    missing = set(range(int(order[0]), int(order[-1]) + 1)) - set(order.astype(int).tolist())
    if missing or (order != order.astype(int)).any():
        raise TableError(f"{path.name}: stages are missing or no whole numbers: {sorted(missing)}")
    return [values[stage == t][:, columns] for t in order]


def _demand(path: Path, T: int, units: Units) -> dict[str, np.ndarray]:
    """Return the demand of each bus, in the order of the stages where they are numbered."""
    names, values = _table(path, "demand", units)
    if "stage" in names:
        stage = values[:, names.index("stage")]
        if len(np.unique(stage)) < len(stage):
            raise TableError(f"{path.name} has a stage twice: expected a row for each")
        values = values[np.argsort(stage)]
    found = {n: values[:, i] for i, n in enumerate(names) if n != "stage"}
    if len(values) != T:
        raise TableError(f"{path.name} has {len(values)} stages: expected {T} as in the inflow")
    return found
