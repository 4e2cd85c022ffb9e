"""Whether a problem is still the one with which a stored run began: its declaration, and the source
of what it computes.

The source of a run is kept as named texts: the user's own functions and classes, as far as the
problem's functions reach them, the plain data that these use, a command with the files that it
names, and the keys of a study file. Libraries are not looked into; their versions are in every
result.
"""

from __future__ import annotations

import ast
import difflib
import dis
import inspect
import json
import textwrap
import types
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..core.errors import ArgumentError
from ..core.failure import is_users
from ..core.plain import digest, plain
from ..core.problem import Method, Problem
from ..core.secrets import hide_passwords, is_secret
from .rows import RunRow

LONGEST = 65_536
"""Characters of a text above which its fingerprint is kept instead."""
STUDY_FILE = "study file: "
"""How the names of texts begin that a study file holds."""
SHOWN = 40
"""Lines of a difference that a person is shown of each text."""
DEEPEST = 20
"""Functions that call functions, at most."""
HIDDEN = "***"
"""Stands for data whose name says that it is a password."""
NO_SOURCE = "no source"
"""How the text of a function begins whose source cannot be read: typed at a prompt, compiled."""
_CONTAINERS = (list, dict, set)
_CHANGES = (
    *("append", "extend", "insert", "pop", "clear", "update", "setdefault", "remove", "add"),
    *("discard", "sort", "reverse", "popitem", "popleft", "appendleft"),
)
"""Methods that change what they are called on: such data is a function's memory, not its input."""


def source_of(
    problem: Problem, method: Method, table: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """The source of what a run computes, as texts by name.

    Args:
        problem: Of the run.
        method: Of the run; a class of this installation has no text here.
        table: Of the study file, where the problem is declared in one.
    """
    walk = _Walk()
    for label, part in problem.sources().items():
        walk.look(part, label)
    walk.look(type(method), "method")
    return walk.found() | table_texts(table or {})


def table_texts(table: Mapping[str, Any]) -> dict[str, str]:
    """What a study file says, key by key, tables of tables a level deeper, and the rows of the
    files that it names.
    """
    found = {}
    for key, value in table.items():
        inner = value if isinstance(value, Mapping) and value else {"": value}
        for name, one in inner.items():
            dotted = f"{key}.{name}" if name else key
            found[f"{STUDY_FILE}{dotted}"] = json.dumps(plain(one), ensure_ascii=False)
    files = {"candidates": table.get("candidates"), "history": table.get("history")}
    variables = table.get("variables")
    for name, v in variables.items() if isinstance(variables, Mapping) else ():
        files[f"descriptors of {name}"] = v.get("descriptors") if isinstance(v, Mapping) else None
    for name, file in files.items():
        text = _file_text(Path(file)) if isinstance(file, str) else None
        if text is not None:
            found[f"{STUDY_FILE}rows of {name}"] = text
    return found


class _Walk:
    """Collects the texts that a function reaches.

    Attributes:
        texts: Sources by name.
        data: (text, name in the code) of plain values by name.
        memory: Names that the functions change themselves.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.data: dict[str, tuple[str, str]] = {}
        self.memory: set[str] = set()
        self._seen: set[int] = set()
        self._kept: list[Any] = []

    def found(self) -> dict[str, str]:
        """Return everything but data that the functions themselves change, without passwords."""
        memory = self.memory.union(*map(_changed, self.texts.values()))
        data = {
            key: HIDDEN if is_secret(name) else text
            for key, (text, name) in self.data.items()
            if name not in memory
        }
        everything = {key: hide_passwords(text) for key, text in (self.texts | data).items()}
        return {
            key: text if len(text) <= LONGEST else f"{len(text)} characters, {digest(text)}"
            for key, text in everything.items()
        }

    def look(self, value: Any, label: str, depth: int = 0) -> None:
        """Take a function, class or object, and what it reaches."""
        if value is None or id(value) in self._seen or depth > DEEPEST:
            return
        self._seen.add(id(value))
        self._kept.append(value)  # or another object might get its id
        if isinstance(value, partial):
            self.look(value.func, label, depth + 1)
            given = [*((str(i), v) for i, v in enumerate(value.args, 1)), *value.keywords.items()]
            for name, one in given:
                self._value(one, f"{label}: argument {name}", name, depth)
        elif isinstance(value, types.MethodType):
            self.look(value.__func__, label, depth + 1)
            self._object(value.__self__, label, depth)
        elif isinstance(value, types.FunctionType):
            self._function(value, label, depth)
        elif isinstance(value, type):
            self._class(value)
        elif callable(value):
            self._object(value, label, depth)

    def _function(self, function: types.FunctionType, label: str, depth: int) -> None:
        """Take a function: its source where it is the user's, and what it uses."""
        code, mine = function.__code__, is_users(function.__code__.co_filename)
        name = label if function.__name__ == "<lambda>" else function.__qualname__
        text = _text(function) if mine else ""
        if mine:
            self.texts.setdefault(f"function {name}", text)
            self.memory |= _rebound(code)
        hidden = text.startswith(NO_SOURCE)
        for cell_name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                self._value(cell.cell_contents, f"{name}: {cell_name}", cell_name, depth, hidden)
            except ValueError:  # not assigned yet
                continue
        for used in sorted(_names(code)) if mine else ():
            if used in function.__globals__:
                self._value(function.__globals__[used], f"{name}: {used}", used, depth, hidden)
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self.look(wrapped, label, depth + 1)

    def _class(self, cls: type) -> None:
        """Take the source of a class of the user's, and of those that it derives from."""
        for one in cls.__mro__:
            try:
                mine = is_users(inspect.getsourcefile(one))
            except TypeError:
                continue
            if mine:
                self.texts.setdefault(f"class {one.__qualname__}", _text(one))

    def _object(self, value: Any, label: str, depth: int) -> None:
        """Take an object: its class, and its plain attributes."""
        self._class(type(value))
        for name, given in sorted(getattr(value, "__dict__", {}).items()):
            self._value(given, f"{label}: .{name}", name, depth)
        for file in _named_files(getattr(value, "parts", ())):
            content = _file_text(file)
            if content is not None:
                self.texts[f"file {file}"] = content

    def _value(self, value: Any, label: str, name: str, depth: int, hidden: bool = False) -> None:
        """Take something that a function uses: data, or another function. Where the source is
        hidden, nobody can tell whether it changes a container.
        """
        if isinstance(value, types.ModuleType) or (hidden and isinstance(value, _CONTAINERS)):
            return
        text = _datum(value)
        if text is not None:
            self.data.setdefault(label, (text, name))
        elif callable(value) or type(value).__module__ != "builtins":
            inner = value if callable(value) else type(value)
            self.look(inner, label, depth + 1)


def _text(value: Any) -> str:
    """Return the source of a function or class; of a lambda its expression alone."""
    try:
        if isinstance(value, types.FunctionType) and value.__name__ == "<lambda>":
            return _lambda(value)
        return textwrap.dedent(inspect.getsource(value)).strip()
    except (OSError, TypeError, SyntaxError, IndexError):
        code = getattr(value, "__code__", None)
        return NO_SOURCE if code is None else f"{NO_SOURCE}, {digest(_bytecode(code))}"


def _lambda(function: types.FunctionType) -> str:
    """Return the expression of a lambda, out of the statement that it stands in."""
    code = function.__code__
    lines, _ = inspect.findsource(function)
    text = "".join(lines)
    places = [(p[0], p[2]) for p in code.co_positions() if p[0] and p[3]]
    inside = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Lambda) and places and _covers(node.body, min(places), max(places))
    ]
    if inside:  # the last that is met is the innermost
        return ast.get_source_segment(text, inside[-1]) or ast.unparse(inside[-1])
    return textwrap.dedent(inspect.getsource(function)).strip()


def _covers(node: ast.expr, first: tuple[Any, Any], last: tuple[Any, Any]) -> bool:
    """Return whether an expression reaches over two places, each a line and a column."""
    end = (node.end_lineno or 0, node.end_col_offset or 0)
    return (node.lineno, node.col_offset) <= first and last <= end


def _bytecode(code: types.CodeType) -> str:
    """Return what a code object does, as text."""
    consts = [_bytecode(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {consts}"


def _rebound(code: types.CodeType) -> set[str]:
    """Return the names outside itself that code, inner functions included, sets."""
    found = {
        str(step.argval)
        for step in dis.get_instructions(code)
        if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")
        or (step.opname in ("STORE_DEREF", "DELETE_DEREF") and step.argval in code.co_freevars)
    }
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return found.union(*map(_rebound, inner))


def _names(code: types.CodeType) -> set[str]:
    """Return the names that code looks up in its module, inner functions included."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found


def _changed(text: str) -> Iterator[str]:
    """Yield the names and attributes that a source changes itself."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    first = [
        f
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef) and f.name in ("__init__", "__post_init__")
    ]
    set_up = {id(node) for f in first for node in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            yield from node.names
        elif isinstance(node, (ast.Subscript, ast.Attribute)) and not isinstance(
            node.ctx, ast.Load
        ):
            if isinstance(node, ast.Attribute) and id(node) not in set_up:
                yield node.attr
            yield from _base(node.value)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _CHANGES
        ):
            yield from _base(node.func.value)


def _base(node: ast.expr) -> Iterator[str]:
    """Yield the name, or the attribute, that an expression stands for."""
    if isinstance(node, ast.Name) and node.id != "self":
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Subscript):
        yield from _base(node.value)


def _datum(value: Any) -> str | None:
    """Return plain data as text, arrays by their fingerprint; None for what is no data."""
    if isinstance(value, (bool, int, float, complex, str, bytes, Path)) or value is None:
        return repr(value) if len(repr(value)) < LONGEST else digest(repr(value))
    if isinstance(value, (tuple, list)):
        parts = [_datum(v) for v in value]
        return None if None in parts else f"{type(value).__name__}({', '.join(map(str, parts))})"
    if isinstance(value, (set, frozenset)):
        parts = [_datum(v) for v in value]
        return None if None in parts else "{" + ", ".join(sorted(map(str, parts))) + "}"
    if isinstance(value, Mapping):
        pairs = {str(k): _datum(v) for k, v in value.items()}
        return (
            None
            if None in pairs.values()
            else "{" + ", ".join(f"{k}: {v}" for k, v in pairs.items()) + "}"
        )
    if hasattr(value, "dtype") and hasattr(value, "shape") and hasattr(value, "tobytes"):
        return digest(value)
    if hasattr(value, "to_csv") and hasattr(value, "columns"):
        return f"table {value.shape}, {digest(value.to_csv())}"
    return None


def _named_files(parts: Any) -> list[Path]:
    """Return the files that the words of a command name, the program itself left out."""
    words = [p for p in parts if isinstance(p, str)] if isinstance(parts, (list, tuple)) else []
    return [Path(p) for p in words[1:] if "{" not in p and Path(p).is_file()]


def _file_text(file: Path) -> str | None:
    """Return a text file's content, the fingerprint of another, None where it cannot be read."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    if len(content) > LONGEST or b"\0" in content:
        return f"{len(content)} bytes, {digest(content)}"
    return content.decode(errors="replace")


# -- comparing -------------------------------------------------------------------------------------


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What changed between two sources, each as a person reads it: a value before and after, or a
    short unified diff.

    Args:
        before: As stored.
        now: As `source_of` gives it.
    """
    found = []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if old is None or new is None:
            said = "is new" if old is None else "is no longer used"
            found.append(f"{name} {said}")
        elif not _same(old, new):
            found.append(_difference(name, old, new))
    return found


def _same(old: str, new: str) -> bool:
    """Return whether two texts say the same, comments and layout of code aside."""
    if old == new or (old.startswith(NO_SOURCE) != new.startswith(NO_SOURCE)):
        return True
    try:
        return ast.dump(ast.parse(old)) == ast.dump(ast.parse(new))
    except (SyntaxError, ValueError):
        return False


def _difference(name: str, old: str, new: str) -> str:
    """Return one change."""
    if "\n" not in old + new:
        return f"{name} was {old:.200}, now {new:.200}"
    lines = list(
        difflib.unified_diff(old.splitlines(), new.splitlines(), "before", "now", lineterm="", n=1)
    )
    more = [f"... {len(lines) - SHOWN} more lines"] if len(lines) > SHOWN else []
    return "\n".join([f"{name}:", *(f"  {line}" for line in [*lines[:SHOWN], *more])])


def offers(name: str, accept: str = "") -> str:
    """What a person may do about a change, as a clause."""
    return (
        f"{accept}begin anew under another name (name=, --name), or take the stored rows along "
        f"with `feasible migrate {name}`"
    )


def check_same(row: RunRow, problem: Problem) -> None:
    """Raise ArgumentError where the problem is not the one that a stored run began with.

    Args:
        row: The stored run, with the problem's fingerprint of then.
        problem: The problem of now.
    """
    before, now = row.spec.get("fingerprint") or {}, plain(problem.fingerprint())
    if not before or not now:
        return
    for what in now:
        if what != "limits" and what in before and before[what] != now[what]:
            raise ArgumentError(
                f"run '{row.name}': the problem changed since it began: {what} was {before[what]}, "
                f"now {now[what]}; {offers(row.name)}"
            )
    for name, text in now.get("limits", {}).items():
        if before["limits"].get(name, text) != text:
            raise ArgumentError(
                f"run '{row.name}': the limit on {name} was '{before['limits'][name]}' when it "
                f"began, now it is '{text}'; {offers(row.name)}"
            )
