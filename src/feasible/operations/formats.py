"""Job shops as text: the standard format (OR-Library's) and Taillard's.

Standard: a line `n m`, then a line for each job with pairs `machine duration` in the order of its
operations. Rows may differ in length. Taillard's: a line that begins `n m`, then `Times` and a row
of durations for each job, then `Machines` and a row of machines for each. In both, machines may be
numbered from 0 or from 1; which it is is detected and said. Lines that begin with # are comments; a
file with several shops has a line `instance NAME` before each, as OR-Library's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..core.errors import ArgumentError, nearest
from .jobshop import JobShop

Format = Literal["standard", "taillard"]
INSTANCE = re.compile(r"^\s*instance\s+(\S+)\s*$", re.IGNORECASE)
NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$", re.IGNORECASE)
REPEATS = "# jobs may visit a machine more than once"
"""The comment of a file whose rows need not be permutations of the machines."""


@dataclass(frozen=True)
class Line:
    """A line of numbers.

    Attributes:
        number: Its number in the file, from 1.
        values: The numbers.
    """

    number: int
    values: list[float]


def parse_shop(text: str, name: str | None = None, path: str = "text") -> JobShop:
    """Read a job shop from text; see the module for the formats.

    Args:
        text: The content of a file.
        name: Which of several shops; None: the only one.
        path: What errors call the text.

    Raises:
        ArgumentError: Something is wrong; names the line.
    """
    sections = _sections(text)
    if name is not None and len(sections) > 1 and name not in sections:
        raise ArgumentError(f"name={name!r:.40} is not in {path}: {nearest(name, sections)}")
    if name is None and len(sections) > 1:
        raise ArgumentError(
            f"{path} holds {len(sections)} shops: name one of {', '.join(sections)}"
        )
    own = name if name in sections else next(iter(sections))
    numbered = sections[own]
    rows = [Line(k, _numbers(line)) for k, line in numbered if _is_numbers(line)]
    words = [line.strip().lower() for _, line in numbered if not _is_numbers(line)]
    if not rows or len(rows[0].values) < 2:
        raise ArgumentError(f"{path}: expected a line with the numbers of jobs and of machines")
    for row in rows:
        if any(v != v for v in row.values):
            raise ArgumentError(
                f"{path} line {row.number}: expected numbers, got a word among them"
            )
    head, body = rows[0], rows[1:]
    n, m = (
        _count(v, what, head, path)
        for v, what in zip(head.values, ("jobs", "machines"), strict=False)
    )
    labelled = any(w.startswith("times") for w in words)
    taillard = labelled or (len(body) == 2 * n and all(len(r.values) == m for r in body))
    wanted = 2 * n if taillard else n
    if len(body) != wanted:
        at = body[wanted].number if len(body) > wanted else (body[-1] if body else head).number
        raise ArgumentError(
            f"{path} line {at}: expected {wanted} rows of numbers for {n} jobs, got {len(body)}"
        )
    if taillard:
        for row in body:
            if len(row.values) != m:
                raise ArgumentError(
                    f"{path} line {row.number}: expected {m} numbers, got {len(row.values)}"
                )
        durations = [r.values for r in body[:n]]
        machines = [(r.number, r.values) for r in body[n:]]
    else:
        for row in body:
            if len(row.values) % 2 or not row.values:
                raise ArgumentError(
                    f"{path} line {row.number}: expected pairs of machine and duration, got "
                    f"{len(row.values)} numbers"
                )
        durations = [r.values[1::2] for r in body]
        machines = [(r.number, r.values[::2]) for r in body]
    for row, times in zip(body, durations, strict=False):
        if min(times) < 0:
            raise ArgumentError(
                f"{path} line {row.number}: a duration of {min(times):g} is below 0"
            )
    base = _base(machines, m, path)
    repeats = any(REPEATS[2:] in line for _, line in numbered)
    routes = [_route(k, row, base, m, repeats, path) for k, row in machines]
    shop = JobShop(
        routes,
        durations,
        machine_names=list(map(str, range(m))),
        name=own or Path(path).stem or "job-shop",
    )
    form = "Taillard's" if taillard else "the standard"
    shop.read_as = f"{form} text format, machines numbered from {base}"
    return shop


def _sections(text: str) -> dict[str, list[tuple[int, str]]]:
    """Return the numbered lines of each shop of a text; of one without a name under ""."""
    found: dict[str, list[tuple[int, str]]] = {}
    own = ""
    for k, line in enumerate(text.splitlines(), 1):
        match = INSTANCE.match(line)
        if match:
            own = match.group(1)
            found[own] = []
        else:
            found.setdefault(own, []).append((k, line))
    named = {k: v for k, v in found.items() if k and any(_is_numbers(line) for _, line in v)}
    return named or {"": found.get("", [])}


def _is_numbers(line: str) -> bool:
    """True for a line of numbers and nothing else; a word amid numbers is an error later."""
    parts = line.split()
    return bool(parts) and not line.lstrip().startswith("#") and bool(NUMBER.match(parts[0]))


def _numbers(line: str) -> list[float]:
    """Return a line's numbers; a NaN for each word."""
    return [float(p) if NUMBER.match(p) else float("nan") for p in line.split()]


def _count(value: float, what: str, head: Line, path: str) -> int:
    """Return a size from the first line."""
    if not (value >= 1 and value == int(value)):
        raise ArgumentError(f"{path} line {head.number}: {value:g} {what}: expected a number >= 1")
    return int(value)


def _base(machines: list[tuple[int, list[float]]], m: int, path: str) -> int:
    """Return whether machines are numbered from 0 or from 1."""
    for k, row in machines:
        for value in row:
            if not (0 <= value <= m and value == int(value)):
                raise ArgumentError(
                    f"{path} line {k}: there is no machine {value:g} among {m} machines"
                )
    numbers = {int(v) for _, row in machines for v in row}
    if 0 in numbers and m in numbers:
        k = next(k for k, row in machines if m in row)
        raise ArgumentError(
            f"{path} line {k}: machine {m}, while another row has machine 0: of {m} machines one "
            "of them does not exist"
        )
    if 0 in numbers or m in numbers:
        return 0 if 0 in numbers else 1
    raise ArgumentError(
        f"{path}: neither machine 0 nor machine {m} is used, so it cannot be told whether the {m} "
        "machines are numbered from 0 or from 1"
    )


def _route(k: int, row: list[float], base: int, m: int, repeats: bool, path: str) -> list[int]:
    """Return a job's machines from 0; a full row must have each machine once."""
    found = [int(v) - base for v in row]
    if len(found) == m and len(set(found)) < m and not repeats:
        twice = next(v for v in found if found.count(v) > 1)
        raise ArgumentError(
            f"{path} line {k}: the row's {m} machines are not each machine once, their sum is "
            f"{sum(found) + base * m} and not {m * (m - 1) // 2 + base * m}: machine "
            f"{twice + base} stands twice. Where that is meant, begin the file with '{REPEATS}'"
        )
    return found


def shop_text(shop: JobShop, form: Format = "standard", base: int | None = None) -> str:
    """A job shop as text.

    Args:
        shop: Without names, release and due dates, for which the formats have no place.
        form: "standard" or "taillard".
        base: Number of the first machine; None: 0 in the standard format, 1 in Taillard's.

    Raises:
        ArgumentError: The format cannot say what the shop has.
    """
    n, m = shop.shape
    routes = shop.routes
    lost = {
        "release dates": bool((shop.release > 0).any()),
        "due dates": bool(np.isfinite(shop.due).any()),
        "names of jobs": shop.jobs != tuple(map(str, range(n))),
        "names of machines": routes.names != tuple(map(str, range(m))),
        "machines without an operation at either end": not {0, m - 1}
        & set(routes.machine.tolist()),
    }
    for what, there in lost.items():
        if there:
            raise ArgumentError(
                f"shop '{shop.name}' has {what}, a text format has none: write JSON"
            )
    first = (0 if form == "standard" else 1) if base is None else base
    cut = routes.first[1:-1]
    machines = [row + first for row in np.split(routes.machine, cut)]
    durations = np.split(shop.exact, cut)
    lines = [] if all(len(set(r.tolist())) == len(r) for r in machines) else [REPEATS]
    if form == "taillard":
        if any(len(row) != m for row in machines):
            raise ArgumentError(
                f"shop '{shop.name}': in Taillard's format each job has {m} operations"
            )
        lines += [f"{n} {m}", "Times", *(" ".join(f"{v:.17g}" for v in row) for row in durations)]
        lines += ["Machines", *(" ".join(map(str, row)) for row in machines)]
    else:
        lines.append(f"{n} {m}")
        for row, times in zip(machines, durations, strict=True):
            lines.append(" ".join(f"{k} {v:.17g}" for k, v in zip(row, times, strict=True)))
    return "\n".join(lines) + "\n"
