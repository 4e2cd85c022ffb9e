"""Evaluations that were paid for and that the store could not take: kept in a file beside it, and
taken in when the run is driven, or the study asked, next.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import StoreError


def places(store: Path, run: int, part: str = "") -> Iterator[Path]:
    """Yield where such a file may be: beside the store; where that disk is full or read-only, in
    the folder for temporary files and at home. part: ends its name, where a run has several.
    """
    yield store.with_name(f"{store.name}.run-{run}{part}.aside")
    mark = hashlib.sha256(os.fsencode(store.absolute())).hexdigest()[:16]
    for folder in (tempfile.gettempdir(), os.path.expanduser("~")):
        yield Path(folder) / f"feasible-{mark}.run-{run}{part}.aside"


def _user_of(store: Path) -> int:
    """Return who owns the store; of one that is no file, this process's user."""
    return store.stat().st_uid if store.exists() else os.getuid()


def _files(store: Path, run: int, parts: bool) -> Iterator[Path]:
    """Yield the files that there may be; with parts those that are, one for each part."""
    for place in places(store, run):
        if not parts:
            yield place
            continue
        stem = glob.escape(place.name.removesuffix(".aside"))
        with contextlib.suppress(OSError):
            yield from sorted(place.parent.glob(f"{stem}-*.aside"))


def put(
    store: Path,
    run: int,
    name: str,
    created: float,
    rows: Sequence[Mapping[str, Any]],
    part: str = "",
) -> str:
    """Keep rows, on the disk when this returns, and say where, as the end of a sentence.

    Args:
        store: The file of the store.
        run: Number of the run.
        name: Of the run; with `created` it says whose the rows are.
        created: When the run was created.
        rows: As `Store.record` would write them.
        part: Ends the file's name, where several write at once: each a file of its own.
    """
    text = "".join(
        json.dumps({"name": name, "created": created, "row": dict(row)}) + "\n" for row in rows
    )
    what = f"{len(rows)} paid evaluation{'s' if len(rows) != 1 else ''}"
    for path in places(store, run, part):
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            handle = os.open(path, flags, 0o600)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                continue
            return f"{what} kept in {path}; 'feasible resume {name}' takes them in"
    return f"{what} could be kept nowhere else: {text}"


def found(
    store: Path, run: int, name: str, created: float, *, parts: bool = False
) -> list[tuple[Path, list[dict[str, Any]]]]:
    """Return the files of a run and the rows in them; a line that was cut short is left out.

    A file of somebody else's is not read: the folder for temporary files is everybody's.

    Args:
        store: The file of the store.
        run: Number of the run.
        name: Of the run.
        created: When the run was created.
        parts: Look for files with a part in their name.

    Raises:
        StoreError: A file of the run's cannot be read.
    """
    files = []
    for path in _files(store, run, parts):
        try:
            if not path.is_file() or path.is_symlink() or path.stat().st_uid != _user_of(store):
                continue
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(
                f"{path}: paid evaluations of run '{name}' are kept there and cannot be read: "
                f"{error}; repair the file or move it away"
            ) from None
        rows = []
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                if (entry["name"], entry["created"]) == (name, created):
                    rows.append(dict(entry["row"]) | {"run": run})
        if rows:
            files.append((path, rows))
    return files
