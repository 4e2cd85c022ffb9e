"""Answers as files: what a path's ending means, whether it can be written, and writing it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ArgumentError
from .plain import plain
from .sheets import harmless_csv

if TYPE_CHECKING:
    import pandas as pd

    from .problem import Problem


def check_output(problem: Problem, path: str | os.PathLike[str]) -> Path:
    """Check that an answer of this problem can be written there, before anything is spent.

    Args:
        problem: Whose answer it will be.
        path: The file.

    Returns:
        The path.

    Raises:
        ArgumentError: The ending is none of `problem.endings`, or nothing can be written there.
    """
    file = Path(path)
    if file.suffix.lower() not in problem.endings:
        raise ArgumentError(
            f"output={str(path)!r}: the answers of a {type(problem).__name__} are written as "
            f"{', '.join(problem.endings)}, got the ending {file.suffix!r}"
        )
    folder = file.parent
    if not folder.is_dir():
        raise ArgumentError(f"output={str(path)!r}: there is no folder {str(folder)!r}")
    if file.is_dir() or not os.access(file if file.exists() else folder, os.W_OK):
        raise ArgumentError(f"output={str(path)!r}: no file can be written there")
    return file


def arrays_of(answer: Any) -> dict[str, np.ndarray]:
    """An answer's arrays by name: the fields of a dataclass, the columns of a DataFrame, the values
    of a mapping; any other is the array `answer`.
    """
    if dataclasses.is_dataclass(answer) and not hasattr(answer, "__array__"):
        answer = {f.name: getattr(answer, f.name) for f in dataclasses.fields(answer)}
    elif hasattr(answer, "columns") and hasattr(answer, "to_numpy"):
        answer = {str(c): answer[c].to_numpy() for c in answer}
    elif not isinstance(answer, Mapping):
        answer = {"answer": answer}
    return {str(k): _array(v) for k, v in answer.items() if v is not None}


def _array(value: Any) -> np.ndarray:
    """A value as an array of numbers or text."""
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    return array.astype(str) if array.dtype == object else array


def table_of(arrays: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Arrays as one table: of one length their columns, one matrix as it stands, else one row for
    each number with the array's name and the number's place.
    """
    import pandas as pd

    if len({a.shape for a in arrays.values()}) == 1:
        (shape,) = {a.shape for a in arrays.values()}
        if len(shape) < 2:
            return pd.DataFrame({k: np.atleast_1d(a) for k, a in arrays.items()})
        if len(arrays) == 1 and len(shape) == 2:
            return pd.DataFrame(next(iter(arrays.values())))
    parts = []
    for name, array in arrays.items():
        places = np.indices(array.shape).reshape(array.ndim, array.size)
        columns = {"array": name} | {f"index {i}": p for i, p in enumerate(places)}
        parts.append(pd.DataFrame({**columns, "value": array.ravel()}))
    return pd.concat(parts, ignore_index=True)


def write_answer(
    path: Path, document: Mapping[str, Any], answer: Any, *, design: Mapping[str, Any] | None
) -> None:
    """Write an answer to a file that `check_output` let pass.

    Args:
        path: The file: .json, .csv, .npz or .npy.
        document: The result as plain data, for .json.
        answer: The answer.
        design: Its components by name, where it has such, for .csv.
    """
    ending = path.suffix.lower()
    if ending == ".json":
        path.write_text(json.dumps(plain(document), indent=1, allow_nan=False) + "\n")
    elif ending == ".csv":
        table = table_of(arrays_of(answer if design is None else design))
        path.write_text(harmless_csv(table), encoding="utf-8", errors="replace", newline="")
    elif ending == ".npy":
        np.save(path, _array(answer), allow_pickle=False)
    else:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays_of(answer))  # type: ignore[arg-type]
