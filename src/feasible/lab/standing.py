"""A stored run or study as it stands now, without running or importing anything that the store
names.
"""

from __future__ import annotations

from ..core.errors import ArgumentError
from ..core.problem import Method
from ..core.result import Result
from .rows import RunRow
from .shown import shown_problem
from .store import Store
from .stored import stored_result
from .study import Study


def as_it_stands(store: Store, row: RunRow) -> Result:
    """Return the result of a run or a study now.

    Args:
        store: Where it is.
        row: The run or the study.
    """
    if row.kind == "study":
        return show_study(store, row).result()
    return stored_result(store, row, shown_problem(row))


def show_study(store: Store, row: RunRow) -> Study:
    """Return a stored study that can be shown and told, by what the store holds. Raises
    ArgumentError for a run.
    """
    check_kind(row)
    return Study(store, row, shown_problem(row), Method())


def check_kind(row: RunRow) -> None:
    """Raise ArgumentError where a stored run is no study."""
    if row.kind != "study":
        raise ArgumentError(
            f"'{row.name}' is a {row.kind}, not a study: use 'feasible show' or 'feasible resume'"
        )
