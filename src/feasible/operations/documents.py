"""Job shops as JSON and as tables, and the one call that reads and the one that writes a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..core.annotations import checked
from ..core.checks import naming
from ..core.errors import ArgumentError, ArgumentTypeError, nearest
from .formats import parse_shop, shop_text
from .jobshop import UNSUPPORTED, JobShop
from .schedule import BestKnown

if TYPE_CHECKING:
    import pandas as pd

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("setup_times", "setup_time", "setups", "setup"), UNSUPPORTED["setup_times"]),
    **dict.fromkeys(("calendars", "calendar", "breaks", "shifts"), UNSUPPORTED["calendars"]),
    **dict.fromkeys(("optional", "alternatives", "modes"), UNSUPPORTED["optional"]),
}
"""Key or column -> what it would mean, which a JobShop does not have."""
KEYS = {
    "shop": ("name", "jobs", "machines", "resolution", "rounding", "known"),
    "job": ("name", "release", "due", "operations"),
    "operation": ("machine", "duration"),
}
COLUMNS = ("job", "operation", "machine", "duration", "release", "due")


def _known_keys(what: str, where: str, given: Any) -> Mapping[str, Any]:
    """Return a mapping whose keys are all known. Raises ArgumentError that names the first other
    one, and says so where it is something that is not modelled.
    """
    if not isinstance(given, Mapping):
        raise ArgumentTypeError(f"{where}={given!r:.60}: expected a mapping")
    for key in given:
        if key in REFUSED:
            raise ArgumentError(f"{where} has {key!r}: {REFUSED[key]} are not modelled")
        if key not in KEYS[what]:
            raise ArgumentError(
                f"{where} has an unknown key {key!r}: {nearest(str(key), KEYS[what])}"
            )
    return given


def shop_of_data(data: Any) -> JobShop:
    """Read a job shop from plain data, as `shop_data` gives it.

    Args:
        data: {"jobs": [{"name", "release", "due", "operations": [{"machine", "duration"}]}]}, and
            "name", "machines" (their names), "resolution", "rounding", "known". Only jobs and
            operations are needed.

    Raises:
        ArgumentError: Something is unknown, missing, wrong, or not modelled; names it.
    """
    data = _known_keys("shop", "shop", data)
    jobs = data.get("jobs")
    if not isinstance(jobs, list) or not jobs:
        raise ArgumentError("shop: expected a list 'jobs' with one job at least")
    names, machines, durations, dates = [], [], [], {"release": [], "due": []}  # type: ignore[var-annotated]
    for j, given in enumerate(jobs):
        job = _known_keys("job", f"job {j}", given)
        name = str(job.get("name", j))
        operations = job.get("operations")
        if not isinstance(operations, list) or not operations:
            raise ArgumentError(f"job {name} has no operation: expected one at least")
        rows = [
            _known_keys("operation", f"job {name} operation {o}", v)
            for o, v in enumerate(operations)
        ]
        for o, row in enumerate(rows):
            for key in KEYS["operation"]:
                if key not in row:
                    raise ArgumentError(f"job {name} operation {o} has no {key!r}")
        names.append(name)
        machines.append([row["machine"] for row in rows])
        durations.append([row["duration"] for row in rows])
        for key, values in dates.items():
            values.append(job.get(key))
    known = data.get("known")
    return JobShop(
        machines,
        durations,
        jobs=names,
        machine_names=data.get("machines"),
        release=dates["release"],
        due=dates["due"],
        resolution=data.get("resolution"),
        rounding=data.get("rounding", 0.0),
        known=None if known is None else BestKnown(**known),
        name=str(data.get("name", "job-shop")),
    )


def shop_data(shop: JobShop) -> dict[str, Any]:
    """A job shop as plain data that `shop_of_data` reads back."""
    routes = shop.routes
    jobs = []
    for j in range(routes.n):
        ops = range(routes.first[j], routes.first[j + 1])
        job: dict[str, Any] = {"name": shop.jobs[j]}
        if shop.release[j] > 0:
            job["release"] = float(shop.release[j])
        if np.isfinite(shop.due[j]):
            job["due"] = float(shop.due[j])
        job["operations"] = [
            {"machine": routes.names[routes.machine[k]], "duration": float(shop.exact[k])}
            for k in ops
        ]
        jobs.append(job)
    data: dict[str, Any] = {"name": shop.name, "machines": list(routes.names), "jobs": jobs}
    data |= {"resolution": shop.resolution, "rounding": shop.rounding}
    if shop.known is not None:
        data["known"] = vars(shop.known)
    return data


def shop_of_table(table: pd.DataFrame, name: str = "job-shop") -> JobShop:
    """Read a job shop from a table with a row for each operation.

    Args:
        table: Columns job, operation (numbers from 0 or from 1 in each job), machine, duration; and
            release and due, the same in all rows of a job.
        name: Of the shop.

    Raises:
        ArgumentError: A column is missing or unknown, a job's operations have a gap, or its dates
            differ; names it.
    """
    columns = list(getattr(table, "columns", ()))
    for column in columns:
        if column in REFUSED:
            raise ArgumentError(
                f"table has a column {column!r}: {REFUSED[column]} are not modelled"
            )
        if column not in COLUMNS:
            raise ArgumentError(
                f"table has an unknown column {column!r}: {nearest(str(column), COLUMNS)}"
            )
    lost = [c for c in COLUMNS[:4] if c not in columns]
    if lost:
        raise ArgumentError(f"table has no column {lost[0]!r}: expected {', '.join(COLUMNS[:4])}")
    machines, durations, names = [], [], []
    dates: dict[str, list[Any]] = {"release": [], "due": []}
    lowest = min(
        (rows["operation"].min() for _, rows in table.groupby("job", sort=False)), default=0
    )
    for job, rows in table.groupby("job", sort=False):
        rows = rows.sort_values("operation", kind="stable")
        wanted = np.arange(len(rows)) + lowest
        if lowest not in (0, 1) or not np.array_equal(rows["operation"].to_numpy(), wanted):
            numbers = list(rows["operation"])
            gap = next((int(w) for w, v in zip(wanted, numbers, strict=True) if w != v), 0)
            raise ArgumentError(
                f"table: job {job} has the operations {numbers!r:.60}: operation {gap} is missing "
                "or stands twice; expected numbers from 0 or 1 without gaps"
            )
        names.append(str(job))
        machines.append([str(v) for v in rows["machine"]])
        durations.append(rows["duration"].to_numpy())
        for key, found in dates.items():
            values = rows[key].dropna().unique() if key in columns else []
            if len(values) > 1:
                raise ArgumentError(f"table: job {job} has {len(values)} different {key} dates")
            found.append(float(values[0]) if len(values) else None)
    used = {name for row in machines for name in row}
    order = sorted(used, key=int) if all(name.isdigit() for name in used) else None
    return JobShop(
        machines,
        durations,
        jobs=names,
        machine_names=order,
        release=dates["release"],
        due=dates["due"],
        name=name,
    )


@checked
def read_shop(path: str | os.PathLike[str], name: str | None = None) -> JobShop:
    """Read a job shop from a file.

    Args:
        path: .json (see `shop_of_data`), .csv (a table, see `shop_of_table`), else text in the
            standard or in Taillard's format, which is detected, as is whether machines are numbered
            from 0 or from 1: `shop.read_as` says both.
        name: Which of several shops of a text file; None: the only one.

    Raises:
        ArgumentError: It cannot be read; names the line, job or column.
    """
    with naming("path"):
        file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ArgumentError(f"path={str(path)!r:.80}: {error}") from None
    if file.suffix == ".json":
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ArgumentError(f"{file.name} line {error.lineno}: {error.msg}") from None
        shop = shop_of_data(data)
        shop.read_as = "JSON"
    elif file.suffix == ".csv":
        import pandas as pd

        try:
            table = pd.read_csv(file, dtype={"job": str, "machine": str})
        except ValueError as error:  # what pandas raises is one
            raise ArgumentError(f"{file.name}: {error}") from None
        shop = shop_of_table(table, file.stem)
        shop.read_as = "a table"
    else:
        shop = parse_shop(text, name, file.name)
    return shop


@checked
def write_shop(
    shop: JobShop, path: str | os.PathLike[str], form: Literal["standard", "taillard"] = "standard"
) -> Path:
    """Write a job shop to a file that `read_shop` reads back as the same shop.

    Args:
        shop: The shop.
        path: .json, .csv, else text.
        form: Of text.

    Returns:
        The path.

    Raises:
        ArgumentError: The format has no place for something that the shop has.
    """
    with naming("path"):
        file = Path(path)
    if file.suffix == ".json":
        text = json.dumps(shop_data(shop), indent=1)
    elif file.suffix == ".csv":
        import pandas as pd

        r = shop.routes
        columns = {
            "job": np.array(shop.jobs, dtype=object)[r.job],
            "operation": r.place,
            "machine": np.array(r.names, dtype=object)[r.machine],
            "duration": shop.exact,
            "release": shop.release[r.job],
            "due": np.where(np.isfinite(shop.due), shop.due, np.nan)[r.job],
        }
        text = pd.DataFrame(columns).to_csv(index=False)
    else:
        text = shop_text(shop, form)
    try:
        file.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ArgumentError(f"path={str(path)!r:.80}: {error}") from None
    return file
