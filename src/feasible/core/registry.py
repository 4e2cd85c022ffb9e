"""Names of problems, methods and claims: the rooms' catalogues, plug-ins by entry point, and a
user's own files.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any

from .errors import (
    ArgumentError,
    ArgumentTypeError,
    FeasibleError,
    MissingExtra,
    UnknownName,
    nearest,
)
from .extras import missing, named
from .problem import Method, Problem
from .userfile import file_module


@dataclass(frozen=True)
class Entry:
    """A registered name.

    Attributes:
        name: What people say on the command line.
        target: "module:attribute".
        room: Where it belongs.
        paper: Slug of its paper.
        solves: Name of the Problem class; a method that solves it takes problems of classes that
            derive from it too.
        peer: True for another library's solver.
        settings: Applied when it is loaded.
        summary: One line.
        example: A problem that shows a method's use.
    """

    name: str
    target: str
    room: str = ""
    paper: str | None = None
    solves: str = ""
    peer: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    example: str = ""


@dataclass(frozen=True)
class Catalogue:
    """What a room offers.

    Attributes:
        room: Its name.
        methods: Its methods by name.
        problems: Its ready-made problems by name.
        claims: Claims by paper slug, as "module:attribute".
        default: (problem, budget, batches) -> (method name, reason), or None where it has none for
            this kind of problem; see `default_method`.
        moved: Former "module:class" of a method in stored runs -> its registered name.
        wraps: A call that makes a problem of this room of a plain function, for error messages.
        study_file: "module:function" of what reads a study file's table as a `StudyFile`; see
            `read_study`.
        stored: "module:function" of what reads `Problem.declaration`; see `lab.shown`.
        choosing: The table behind `default`, as (situation, method, evidence), of which the first
            row that applies counts; for `feasible explain default`.
    """

    room: str
    methods: tuple[Entry, ...] = ()
    problems: tuple[Entry, ...] = ()
    claims: Mapping[str, str] = field(default_factory=dict)
    default: Callable[[Any, Any, bool], tuple[str, str] | None] | None = None
    moved: Mapping[str, str] = field(default_factory=dict)
    study_file: str | None = None
    wraps: str = ""
    stored: str | None = None
    choosing: Callable[[], Sequence[tuple[str, str, str]]] | None = None

    @classmethod
    def of_room(
        cls,
        package: str,
        default: Callable[[Any, Any, bool], tuple[str, str] | None],
        moved: Mapping[str, str],
        study_file: str | None = None,
        wraps: str = "",
        stored: str | None = None,
        choosing: Callable[[], Sequence[tuple[str, str, str]]] | None = None,
    ) -> Catalogue:
        """Chain the entries of a room and of its folders, in the order of their names.

        Args:
            package: the room's package. It and each folder in it may have a module `entries` with
                METHODS and PROBLEMS (tuples of Entry) and CLAIM ("module:attribute").
            default: the room's rule for a run that names no method.
            moved: former "module:class" of methods in stored runs -> registered name.
            study_file: "module:function" of what reads a study file, see `read_study`.
            wraps: a call that makes a problem of this room of a plain function.
            stored: "module:function" of what reads a stored declaration.
            choosing: the table behind the rule.
        """
        room = importlib.import_module(package)
        folders = sorted(m.name for m in pkgutil.iter_modules(room.__path__) if m.ispkg)
        names = [f"{package}.entries", *(f"{package}.{folder}.entries" for folder in folders)]
        entries = [importlib.import_module(n) for n in names if importlib.util.find_spec(n)]
        claims = [e.CLAIM for e in entries if hasattr(e, "CLAIM")]
        return cls(
            package.rpartition(".")[2],
            tuple(m for e in entries for m in getattr(e, "METHODS", ())),
            tuple(p for e in entries for p in getattr(e, "PROBLEMS", ())),
            {claim.split(".")[-2].replace("_", "-"): claim for claim in claims},
            default,
            moved,
            study_file,
            wraps,
            stored,
            choosing,
        )


@dataclass(frozen=True)
class StudyFile:
    """What a study file declares.

    Attributes:
        problem: The problem, whose experiments are handed out.
        budget: Limit by resource; empty where the file has none.
        method: Name of the method; None where the file has none.
        stop_at: Value of the objective at which no more is handed out; None without one.
    """

    problem: Problem
    budget: Mapping[str, Any] = field(default_factory=dict)
    method: str | None = None
    stop_at: float | None = None


@cache
def catalogues() -> tuple[Catalogue, ...]:
    """The catalogues of all installed rooms."""
    return tuple(point.load() for point in metadata.entry_points(group="feasible.rooms"))


def _entries(kind: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {e.name: e for c in catalogues() for e in getattr(c, kind)}
    for point in metadata.entry_points(group=f"feasible.{kind}"):
        module = point.value.split(":")[0]
        found.setdefault(
            point.name,
            Entry(
                point.name, point.value, room=module.split(".")[0], summary=f"plug-in from {module}"
            ),
        )
    return found


@cache
def methods() -> dict[str, Entry]:
    """All registered methods by name."""
    return _entries("methods")


def is_peer(cls: type) -> bool:
    """True for the class of another library's solver."""
    return any(e.peer and e.target.endswith(f":{cls.__name__}") for e in methods().values())


@cache
def problems() -> dict[str, Entry]:
    """All registered problems by name."""
    return _entries("problems")


@cache
def claims() -> dict[str, str]:
    """Claims by paper slug: "module:attribute"."""
    found = {slug: target for c in catalogues() for slug, target in c.claims.items()}
    return found | {p.name: p.value for p in metadata.entry_points(group="feasible.claims")}


@cache
def moved_targets() -> dict[str, str]:
    """Former "module:class" of a method, as old stores have it -> its registered name."""
    return {old: name for c in catalogues() for old, name in c.moved.items()}


def public_target(cls: type) -> str:
    """The shortest "package:Name" by which a class can be imported, for what has to be found again
    after the package was rearranged; the module that defines it where no package offers it.
    """
    parts = cls.__module__.split(".")
    for n in range(1, len(parts)):
        package = ".".join(parts[:n])
        if getattr(sys.modules.get(package), cls.__qualname__, None) is cls:
            return f"{package}:{cls.__qualname__}"
    return f"{cls.__module__}:{cls.__qualname__}"


def load_claim(slug: str) -> Any:
    """The Claim of a paper. Raises UnknownName."""
    if slug not in claims():
        raise UnknownName(f"paper '{slug}' has no claim here yet: {nearest(slug, claims())}")
    return resolve_target(claims()[slug])


def read_study(table: Mapping[str, Any]) -> StudyFile:
    """What a study file declares, by the room that its key `room` names, else by the first room
    that reads such files.

    Args:
        table: The file's content, as `tomllib` reads it.

    Raises:
        ArgumentError: No room reads it, or the room finds a fault in it.
    """
    readers = {c.room: c.study_file for c in catalogues() if c.study_file is not None}
    room = table.get("room", next(iter(readers), None))
    if room not in readers:
        raise ArgumentError(
            f"study file: room = {room!r}, expected one of {', '.join(readers) or '(none here)'}"
        )
    read = resolve_target(readers[room])
    found: StudyFile = read({k: v for k, v in table.items() if k != "room"})
    return found


def load_problem(reference: Any) -> Problem:
    """A Problem as a user names it.

    Args:
        reference: A Problem, a registered name, `file.py:name` or `package.module:name`. What is
            named may be a function or class that makes one when it is called without arguments.

    Raises:
        UnknownName: Nothing has that name.
        ArgumentTypeError: What has it is no Problem.
        ArgumentError: The function that should make it failed.
    """
    if isinstance(reference, Problem):
        return reference
    if not isinstance(reference, str):
        raise ArgumentTypeError(
            f"problem: got {type(reference).__name__}, expected a Problem, a registered name or "
            f"'file.py:name'{_wraps()}"
        )
    found = _from_reference(reference, problems(), "problem")
    if callable(found) and not isinstance(found, Problem):
        found = _built(found, reference)
    if not isinstance(found, Problem):
        raise ArgumentTypeError(
            f"problem '{reference}' is a {type(found).__name__}, expected a feasible Problem"
        )
    return found


def _built(factory: Callable[[], Any], reference: str) -> Any:
    try:
        return factory()
    except FeasibleError:
        raise
    except Exception as error:
        raise ArgumentError(
            f"problem '{reference}' is a function or class, so it is called without arguments and "
            f"must return a Problem, but it raised {type(error).__name__}: {error}{_wraps()}"
        ) from error


def _wraps() -> str:
    """A clause that says how a plain function becomes a problem."""
    calls = [c.wraps for c in catalogues() if c.wraps]
    return f"; a plain function becomes one by {' or '.join(calls)}" if calls else ""


def load_method(reference: Any) -> Method:
    """A Method as a user names it.

    Args:
        reference: A Method or its class, a registered name with settings (`cbo[n_particles=50]`),
            or `file.py:Name`.

    Raises:
        UnknownName: Nothing has that name.
        ArgumentTypeError: What has it is no Method.
        ArgumentError: A setting is unknown or refused.
    """
    if isinstance(reference, Method):
        return reference
    if isinstance(reference, type) and issubclass(reference, Method):
        return configure(reference, {}, reference.name)
    if not isinstance(reference, str):
        raise ArgumentTypeError(
            f"method: got {type(reference).__name__}, expected a Method or a registered name"
        )
    name, settings = split_settings(reference)
    found = _from_reference(name, methods(), "method", settings)
    if isinstance(found, type) and issubclass(found, Method):
        found = configure(found, settings, name)
    if not isinstance(found, Method):
        raise ArgumentTypeError(
            f"method '{reference}' is a {type(found).__name__}, expected a feasible Method"
        )
    return found


def configure(cls: type[Method], settings: Mapping[str, Any], name: str) -> Method:
    """A method with settings.

    Args:
        cls: Its class.
        settings: Values by field.
        name: What people call it, for errors.

    Raises:
        ArgumentError: A setting is unknown (the nearest known one is offered) or refused.
    """
    known = [f.name for f in dataclasses.fields(cls)]
    for key in settings:
        if key not in known:
            raise ArgumentError(f"method '{name}' has no setting '{key}': {nearest(key, known)}")
    try:
        return cls(**settings)
    except FeasibleError:
        raise
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"method '{name}': {error}") from error


def split_settings(reference: str) -> tuple[str, dict[str, Any]]:
    """Split a name from its settings, which may have settings of their own.

    Args:
        reference: As on the command line.

    Examples:
        >>> split_settings("cbo[n_particles=50,noise=isotropic]")
        ('cbo', {'n_particles': 50, 'noise': 'isotropic'})
        >>> split_settings("plan-experts[bits=(2, 4),rounds=1]")
        ('plan-experts', {'bits': (2, 4), 'rounds': 1})
    """
    match = re.fullmatch(r"(.+?)\[(.*)\]", reference.strip())
    if match is None:
        return reference.strip(), {}
    settings: dict[str, Any] = {}
    for part in _apart(match.group(2)):
        key, sign, value = part.partition("=")
        if not sign:
            raise ArgumentError(
                f"method '{reference}': cannot read '{part}', expected SETTING=VALUE"
            )
        settings[key.strip()] = _value(value.strip())
    return match.group(1), settings


def _apart(text: str) -> list[str]:
    """What stands between commas that are in no brackets, blanks left off."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [part.strip() for part in found if part.strip()]


def _value(text: str) -> Any:
    """Read a setting of the command line: a truth value, None, a number, several of these in
    parentheses, or text.
    """
    if text.startswith("(") and text.endswith(")"):
        return tuple(map(_value, _apart(text[1:-1])))
    lowered = text.lower()
    if lowered in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[lowered]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _from_reference(
    reference: str,
    entries: Mapping[str, Entry],
    what: str,
    settings: Mapping[str, Any] | None = None,
) -> Any:
    if reference in entries:
        entry = entries[reference]
        with named(f"{what} '{reference}'", entry.room):
            found = resolve_target(entry.target, f"{what} '{reference}'")
            if what == "method" and isinstance(found, type):
                return configure(found, {**entry.settings, **(settings or {})}, entry.name)
            made = callable(found) and not isinstance(found, type)
            return found(**entry.settings) if made else found
    if ":" in reference:
        return resolve_target(reference)
    if reference.endswith(".py"):
        raise UnknownName(
            f"{what} '{reference}' names a file: say which {what} in it, as {reference}:NAME"
        )
    raise UnknownName(
        f"{what} '{reference}' is not registered: {nearest(reference, entries)}. One of your own "
        "is given as file.py:NAME"
    )


def resolve_target(target: str, what: str = "") -> Any:
    """The object that "module:attribute" or "file.py:attribute" names.

    Args:
        target: A file that was changed since is read again.
        what: What people call it, for errors.

    Raises:
        UnknownName: There is no such module, file or attribute.
        MissingExtra: The module needs a package that is not installed.
    """
    path, _, attribute = target.rpartition(":")
    module = file_module(path) if path.endswith(".py") else _module(path, what)
    value: Any = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            names = [n for n in vars(module) if not n.startswith("_")]
            raise UnknownName(
                f"'{path}' has no '{attribute}': {nearest(attribute, names)}"
            ) from None
    return value


def _module(path: str, what: str) -> Any:
    try:
        return importlib.import_module(path)
    except ValueError:
        raise UnknownName(
            f"'{path}' is no module: expected package.module:name or file.py:name"
        ) from None
    except ModuleNotFoundError as error:
        if error.name and path.split(".")[0] == error.name.split(".")[0]:
            raise UnknownName(f"module '{path}' cannot be found") from None
        said = missing(error, what or f"'{path}'", (*path.split("."), "")[1])
        raise said or MissingExtra(
            f"'{path}' needs the package '{error.name}', which is not installed"
        ) from error


def default_method(problem: Problem, budget: Any, *, batches: bool = False) -> tuple[Method, str]:
    """The room's choice for this problem and budget, and why.

    Args:
        problem: Of a class of a room, or of one that derives from such a class.
        budget: What may be spent.
        batches: Several points must be out at once and results come back in any order (workers, or
            people).

    Raises:
        ArgumentError: No room has a method for this kind of problem.
    """
    rooms = [
        c.__module__.split(".")[1]
        for c in type(problem).__mro__
        if c.__module__.startswith("feasible.") and "." in c.__module__
    ]
    for catalogue in catalogues():
        if catalogue.room in rooms and catalogue.default is not None:
            found = catalogue.default(problem, budget, batches)
            if found is not None:
                return load_method(found[0]), found[1]
    raise ArgumentError(
        f"method: no room chooses one for a {type(problem).__name__}; name a method that solves it"
    )
