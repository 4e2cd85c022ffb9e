"""Going on with a stored run under its name: it must be the same run."""

from __future__ import annotations

from ..core.errors import ArgumentError, FeasibleError
from ..core.problem import Method
from .rows import RunRow
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
