"""Code that a store names: what resuming would run, and whether this user ran the same before.

A store is a file that anybody may have made. Before something runs that only the store names (a
problem or method in a file or module, a shell command) its source is compared with the sources
that this user has run before; their fingerprints are kept in the user's own state directory.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import NotTrusted
from ..core.registry import methods, moved_targets, problems, split_settings

FILE = "trusted"
"""Name of the file of fingerprints, one in a line."""
LARGEST = 10_000_000
"""Bytes of a file above which only its size and time are compared."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that would run.

    Attributes:
        what: `problem`, `method` or `shell command`.
        name: The reference (`file.py:name`, `package.module:name`), or the command.
        files: The files that hold it, with those beside them that they import.
    """

    what: str
    name: str
    files: tuple[Path, ...] = ()

    @property
    def text(self) -> str:
        """What a person is asked about."""
        where = f" ({self.files[0]})" if self.files else ""
        return f"{self.what} {self.name}{where}"

    @property
    def digest(self) -> str:
        """The fingerprint: of the name, and of the path and content of every file."""
        found = hashlib.sha256(f"{self.what}\0{self.name}\0".encode())
        for file in self.files:
            found.update(f"{file}\0".encode())
            found.update(_content(file))
        return found.hexdigest()


SHELL = "shell command"
"""What a `Source` is that a shell would run."""


def sources(spec: Mapping[str, Any], label: str = "") -> list[Source]:
    """What a stored run, study or race would run that is no part of this installation.

    Args:
        spec: As stored.
        label: What people call its method, by which it is built where the spec does not say how.
    """
    found: list[Source] = []
    many = spec.get("problems")
    for reference in many.values() if isinstance(many, Mapping) else [spec.get("problem")]:
        if isinstance(reference, str) and reference not in problems():
            found.append(_named("problem", reference))
    several = spec.get("methods")
    one = spec.get("method") or {"name": label}
    for method in several.values() if isinstance(several, Mapping) else [one]:
        found += _of_method(method)
    command = (spec.get("declared") or {}).get("command")
    if command:
        found.append(_command(command))
    return list(dict.fromkeys(found))


def _of_method(spec: Any) -> list[Source]:
    """Return what a stored method runs."""
    if not isinstance(spec, Mapping):
        return []
    if "name" in spec:
        name = split_settings(str(spec["name"]))[0]
        return [] if name in methods() or ":" not in name else [_named("method", name)]
    target = str(spec.get("target", ""))
    ours = target.partition(":")[0].split(".")[0] == __name__.split(".")[0]
    if not target or ours or target in moved_targets():
        return []
    return [_named("method", target)]


def _named(what: str, reference: str) -> Source:
    """Return the source of a `file.py:name` or `package.module:name`, found without importing."""
    path = reference.rpartition(":")[0] or reference
    if path.endswith(".py"):
        file: Path | None = Path(path).expanduser().resolve()
    else:
        file = _module_file(path)
    beside = _with_imports(file) if file is not None and file.is_file() else ()
    return Source(what, reference, beside)


def _module_file(name: str) -> Path | None:
    """Return the file of a module, None where there is none. Its packages are not imported."""
    paths: Any = None
    spec = None
    for i in range(len(parts := name.split("."))):
        try:
            spec = importlib.machinery.PathFinder.find_spec(".".join(parts[: i + 1]), paths)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        paths = spec.submodule_search_locations
    return Path(spec.origin).resolve() if spec is not None and spec.origin else None


def _with_imports(file: Path) -> tuple[Path, ...]:
    """Return a file and the modules beside it that it imports, and those that they import."""
    found, todo = [file], [file]
    while todo:
        for beside in _imports(todo.pop()):
            if beside not in found:
                found.append(beside)
                todo.append(beside)
    return (found[0], *sorted(found[1:]))


def _imports(file: Path) -> Iterator[Path]:
    """Yield the files in the folder of a file that it imports."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            head = [node.module] if node.module else []
            names = head + [".".join([*head, alias.name]) for alias in node.names]
        for name in names:
            stem = file.parent.joinpath(*name.split("."))
            for beside in (stem.with_suffix(".py"), stem / "__init__.py"):
                if beside.is_file():
                    yield beside.resolve()


def _command(command: Any) -> Source:
    """Return the source of a shell command, with the files that it names."""
    try:
        words = shlex.split(command) if isinstance(command, str) else [str(c) for c in command]
    except ValueError:
        words = []
    files = [Path(w).resolve() for w in words if "{" not in w and Path(w).is_file()]
    text = command if isinstance(command, str) else shlex.join(words)
    return Source(SHELL, text, tuple(files))


def _content(file: Path) -> bytes:
    """Return what a file holds, or, of a large one, what it looks like from outside."""
    try:
        stat = file.stat()
        if stat.st_size > LARGEST:
            return f"{stat.st_size} {stat.st_mtime_ns}".encode()
        return file.read_bytes()
    except OSError as error:
        return type(error).__name__.encode()


# -- what this user ran before ---------------------------------------------------------------------


def state_file() -> Path:
    """The user's own file of fingerprints: never in the store, nor beside it."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    else:
        root = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return root / "feasible" / FILE


def remember(ran: Iterable[Source]) -> None:
    """Note that this user ran these, so that nobody asks again.

    Args:
        ran: What ran. Where nothing can be written it is asked about again.
    """
    before = _remembered()
    fresh = [f"{d} {s.what} {s.name!r:.200}\n" for s in ran if (d := s.digest) not in before]
    if not fresh:
        return
    file = state_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with file.open("a", encoding="utf-8") as out:
            out.write("".join(fresh))
    except OSError:
        return


def _remembered() -> set[str]:
    """Return the fingerprints of what this user ran."""
    try:
        lines = state_file().read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {line.split(" ", 1)[0] for line in lines}


def unknown(found: Iterable[Source]) -> list[Source]:
    """The sources that this user has not run before.

    Args:
        found: What would run.
    """
    known = _remembered()
    return [s for s in found if s.digest not in known]


def check_trusted(found: Iterable[Source], what: str) -> None:
    """Raise NotTrusted where a stored run names code that this user has not run before.

    Args:
        found: What would run.
        what: The run, study or race, for the message.
    """
    found = unknown(found)
    if found:
        raise NotTrusted(
            f"{what} names code that would run now and that you have not run before: "
            f"{', '.join(s.text for s in found)}. Read it; then give the problem and method "
            "yourself, or say trust=True (on the command line --trust)"
        )
