"""Going on with a stored run under its name: it must be the same run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import ArgumentError, FeasibleError, SourceChanged
from ..core.problem import Method, Problem
from .fingerprint import differences, offers, source_of
from .rows import RunRow
from .store import Store
from .stored import build_method, method_spec
from .trust import sources, unknown


def check_method(row: RunRow, method: Method, label: str) -> None:
    """Raise ArgumentError where the method or its settings are not those of a stored run.

    Args:
        row: The stored run.
        method: The method of now.
        label: What people call it.
    """
    spec = row.spec.get("method")
    if unknown(sources({"method": spec})):  # only compared: what a store names is not imported
        same = spec in (method_spec(method, label), method_spec(method))
    else:
        try:
            same = build_method(spec, row.method) == method
        except FeasibleError:
            same = row.method == label
    if not same:
        raise ArgumentError(
            f"run '{row.name}' in the store has method {row.method!r}, got {label!r}"
            f"{' with other settings' if label == row.method else ''}: give it the same, or "
            "another name"
        )


def check_source(
    store: Store,
    row: RunRow,
    problem: Problem,
    method: Method,
    *,
    accept: bool = False,
    table: Mapping[str, Any] | None = None,
    only: str = "",
) -> tuple[RunRow, list[str]]:
    """Compare the source of a run with that with which it began.

    Args:
        store: Where it is; what is accepted is kept there.
        row: The stored run or study.
        problem: Of now.
        method: Of now.
        accept: Go on with the stored rows and the source of now.
        table: Of a study: its study file as it is now.
        only: Compare the texts whose names begin like this, and leave the others as they are.

    Returns:
        The run as stored now, and notes for its result.

    Raises:
        SourceChanged: It changed, and that was not accepted.
    """
    now = source_of(problem, method, table)
    before = row.spec.get("source")
    if before is None:
        if not now:
            return row, []
        store.update_run(row.id, spec={**row.spec, "source": now})
        said = f"'{row.name}' was stored without its source: whether that changed cannot be seen"
        return store.run(row.id), [said]
    accepted = list(row.spec.get("accepted", []))
    rest = {k: v for k, v in before.items() if not k.startswith(only)}
    now = rest | {k: v for k, v in now.items() if k.startswith(only)}
    changes = differences(before, now)
    if changes:
        refuse_changes(row.name, changes, accept)
        accepted.append(f"the source changed after {row.rows} rows, and that was accepted")
        accepted[-1] += f": {', '.join(map(_named, changes))}"
        store.update_run(row.id, spec={**row.spec, "source": now, "accepted": accepted})
        row = store.run(row.id)
    return row, accepted


def _named(change: str) -> str:
    """Return what changed, without how."""
    return change.splitlines()[0].split(" was ")[0].rstrip(":")


def refuse_changes(name: str, changes: Sequence[str], accept: bool) -> None:
    """Raise SourceChanged with what a person may do, unless that was accepted.

    Args:
        name: Of the run, study or race.
        changes: See `fingerprint.differences`.
        accept: It was.
    """
    if accept or not changes:
        return
    listed = "\n".join(changes)
    go_on = "go on with the stored rows (accept_changes=True, --accept-changes), "
    raise SourceChanged(
        f"'{name}' in the store began with another source:\n{listed}\nchoose: "
        f"{offers(name, go_on)}",
        changes,
    )
