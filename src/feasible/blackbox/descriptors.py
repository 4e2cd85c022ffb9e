"""What is known of the choices of a category beforehand: numbers for each, such as a solvent's
polarity and boiling point.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ArgumentError, ArgumentTypeError, is_number
from ..core.numerals import Numerals, Written
from ..core.sheets import Cell, read_sheet

if TYPE_CHECKING:
    from jaxtyping import Float

Descriptors = tuple[tuple[str, tuple[float, ...]], ...]
"""Of each descriptor its name, and its values in the order of the choices."""
DESCRIBED = 4
"""Directions, at most, in which a model tells the choices of a category apart by descriptors."""


def read_descriptors(name: str, choices: Sequence[Any], given: Any) -> Descriptors:
    """The descriptors of a category's choices.

    Args:
        name: Of the variable, for errors.
        choices: Of the variable.
        given: {choice: {descriptor: value}}, {descriptor: [a value for each choice]}, a data frame
            whose index or first column holds the choices, or the path of a CSV or .xlsx file whose
            first column does. Rows of other choices are ignored.

    Raises:
        ArgumentError: A choice has no row, a row is there twice, or a value is no finite number.
        ArgumentTypeError: Something else was given.
        TableError: A file cannot be read.
    """
    what = f"descriptors of '{name}'"
    if isinstance(given, (str, os.PathLike)):
        what, rows = f"{what} in '{os.fspath(given)}'", _of_file(given, what)
    elif hasattr(given, "columns") and hasattr(given, "index"):
        known = {str(c) for c in choices}
        frame = given
        if len(frame.columns) and not known & {str(i) for i in frame.index}:
            frame = frame.set_index(frame.columns[0])
        rows = [
            (str(i), dict(zip(map(str, frame.columns), row, strict=True)))
            for i, row in zip(frame.index, frame.to_numpy().tolist(), strict=True)
        ]
    elif isinstance(given, Mapping):
        rows = _of_mapping(what, choices, given)
    else:
        raise ArgumentTypeError(
            f"{what}: got {type(given).__name__}, expected a mapping, a data frame, or the path of "
            "a CSV or .xlsx file"
        )
    table = dict(rows)
    if len(table) < len(rows):
        texts = [text for text, _ in rows]
        twice = next(t for t in texts if texts.count(t) > 1)
        raise ArgumentError(f"{what}: the choice '{twice}' has two rows")
    missing = [str(c) for c in choices if str(c) not in table]
    if missing:
        raise ArgumentError(
            f"{what}: no row for {', '.join(missing)}; every choice needs its values"
        )
    heads = list(dict.fromkeys(h for c in choices for h in table[str(c)]))
    if not heads:
        raise ArgumentError(f"{what}: expected at least one descriptor")
    for choice in choices:
        for head in heads:
            value: Any = table[str(choice)].get(head)
            if not is_number(value) or not math.isfinite(value):
                raise ArgumentError(
                    f"{what}: {head} of {choice} is {value!r:.40}, expected a finite number"
                )
    return tuple((h, tuple(float(table[str(c)][h]) for c in choices)) for h in heads)


def _of_mapping(
    what: str, choices: Sequence[Any], given: Mapping[Any, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """Return rows from a mapping by choice, or by descriptor."""
    if all(isinstance(v, Mapping) for v in given.values()):
        return [(str(c), {str(k): v for k, v in row.items()}) for c, row in given.items()]
    for head, values in given.items():
        if isinstance(values, (str, Mapping)) or not hasattr(values, "__len__"):
            raise ArgumentError(f"{what}: {head} is {values!r:.60}, expected a list of numbers")
        if len(values) != len(choices):
            raise ArgumentError(
                f"{what}: {head} has {len(values)} values, expected {len(choices)}, one for each "
                "choice"
            )
    return [(str(c), {str(h): v[i] for h, v in given.items()}) for i, c in enumerate(choices)]


def _of_file(path: str | os.PathLike[str], what: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the rows of a file, by the text of its first column."""
    sheet = read_sheet(os.fspath(path))
    if not sheet.rows:
        return []
    heads = [str(c) for c in sheet.rows[0][1]][1:]
    cells = [
        Written(cell, f"{what}, line {line}")
        for line, row in sheet.rows[1:]
        for cell in row[1:]
        if isinstance(cell, str) and cell
    ]
    numerals = Numerals.of(cells, points=sheet.points)

    def value(cell: Cell, line: int) -> float | None:
        if isinstance(cell, str):
            return numerals.read(Written(cell, f"{what}, line {line}")) if cell else None
        return float(cell)

    return [
        (str(row[0]), {h: value(c, line) for h, c in zip(heads, row[1:], strict=False)})
        for line, row in sheet.rows[1:]
    ]


def directions(descriptors: Descriptors) -> Float[np.ndarray, "k q"]:
    """The choices of a category in at most DESCRIBED directions of its descriptors, each on [0, 1]:
    the descriptors themselves, or their principal components where there are more.

    Examples:
        >>> directions((("polarity", (3.0, 5.0)),)).tolist()
        [[0.0], [1.0]]
    """
    table = np.array([values for _, values in descriptors], dtype=float).T
    low, width = table.min(axis=0), np.ptp(table, axis=0)
    table = (table - low) / np.where(width > 0, width, 1.0)
    table = table[:, width > 0]
    if table.shape[1] > DESCRIBED:
        centred = table - table.mean(axis=0)
        left, size, _ = np.linalg.svd(centred, full_matrices=False)
        table = (left * size)[:, :DESCRIBED]
        table = (table - table.min(axis=0)) / np.ptp(table, axis=0).max()
    return table


__all__ = ["Descriptors", "directions", "read_descriptors"]
