"""problems, methods, papers, explain, reproduce."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import textwrap
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import JobsOption, JsonOption, StoreOption, console, emit

if TYPE_CHECKING:
    from ..core.registry import Entry

ATTRIBUTES = re.compile(r"^(?:Attributes|Args):\n(?: .*\n?|\n(?= ))+", re.MULTILINE)
"""What a docstring says of settings."""


TextArgument = Annotated[
    str | None, typer.Argument(metavar="[TEXT]", help="Only those of which a word has this in it.")
]
RoomOption = Annotated[str | None, typer.Option("--room", help="Only those of this room.")]
KindOption = Annotated[
    str | None,
    typer.Option("--kind", help="Only those for this class of problems, for example BlackBox."),
]


def problems(
    text: TextArgument = None,
    room: RoomOption = None,
    kind: KindOption = None,
    limits: Annotated[
        bool | None,
        typer.Option(
            "--limits/--no-limits", help="Only those with limits, or without.", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the ready-made problems."""
    from ..core.registry import problems as registered
    from ..lab.console import listing
    from ..lab.listed import facts_of_entry

    entries = [e for e in registered().values() if _says(text, e.name, e.paper, e.room)]
    rows = [
        facts_of_entry(e) for e in sorted(_of_room(entries, room), key=lambda e: (e.room, e.name))
    ]
    if kind is not None:
        rows = [r for r in rows if kind.lower() in (k.lower() for k in r["kinds"])]
    if limits is not None:
        rows = [r for r in rows if r["needs"] is None and bool(r["constraints"]) is limits]
    if json:
        emit([{k: v for k, v in r.items() if k != "kinds"} for r in rows])
        return
    lacking = any(r["needs"] for r in rows)
    listing(
        console(),
        f"{len(rows)} problems",
        ["name", "room", "variables", "constraints", "best known", "paper"] + ["needs"] * lacking,
        [
            [
                r["name"],
                r["room"],
                r["variables"],
                r["constraints"],
                "" if r["best_known"] is None else f"{r['best_known']:.8g}",
                r["paper"],
            ]
            + [r["needs"]] * lacking
            for r in rows
        ],
    )


def _says(text: str | None, *words: str | None) -> bool:
    """True if one of the words has the text in it, or there is no text."""
    return text is None or any(text.lower() in (w or "").lower() for w in words)


def _of_room(entries: Iterable[Entry], room: str | None) -> list[Entry]:
    """The entries of a room, all where none is named. Raises UnknownName."""
    from ..core.errors import UnknownName, nearest
    from ..core.registry import methods as all_methods, problems as all_problems

    rooms = {e.room for e in (*all_methods().values(), *all_problems().values())}
    if room is not None and room not in rooms:
        raise UnknownName(f"--room {room}: there is no such room: {nearest(room, rooms)}")
    return [e for e in entries if room in (None, e.room)]


def methods(
    text: TextArgument = None,
    room: RoomOption = None,
    kind: KindOption = None,
    problem: Annotated[
        str | None,
        typer.Option("--for", metavar="PROBLEM", help="Only those that solve this problem."),
    ] = None,
    peers: Annotated[
        bool | None,
        typer.Option(
            "--peers/--no-peers",
            help="Only other libraries' solvers, or only ours.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the methods: ours by paper, and other libraries' solvers as peers."""
    from ..core.registry import load_problem, methods as registered
    from ..lab.console import listing

    solved = None if problem is None else load_problem(problem).kinds()
    found = [
        e
        for e in _of_room(registered().values(), room)
        if _says(text, e.name, e.paper, e.summary)
        and (kind is None or e.solves.lower() == kind.lower())
        and (solved is None or e.solves in solved)
        and peers in (None, e.peer)
    ]
    found.sort(key=lambda e: (e.room, e.peer, e.name))
    if json:
        emit(
            [
                {
                    "name": e.name,
                    "room": e.room,
                    "paper": e.paper,
                    "solves": e.solves,
                    "peer": e.peer,
                    "summary": e.summary,
                }
                for e in found
            ]
        )
        return
    listing(
        console(),
        f"{len(found)} methods",
        ["name", "room", "paper", "solves", "what"],
        [
            [e.name, e.room, e.paper or ("peer" if e.peer else ""), e.solves, e.summary]
            for e in found
        ],
    )


def papers(json: JsonOption = False) -> None:
    """List the 46 papers with what each brought here and whether its claim holds."""
    from ..lab.console import listing
    from ..lab.papers import papers as listed

    found = listed()
    if json:
        emit(found)
        return
    listing(
        console(),
        f"{len(found)} papers, {sum(p['built'] for p in found)} built",
        ["slug", "room", "evidence", "methods", "title"],
        [
            [
                p["slug"],
                p["room"],
                p["state"],
                ", ".join(p["methods"]),
                p["title"],
            ]
            for p in found
        ],
    )


def explain(
    name: Annotated[str, typer.Argument(help="A method, a problem, a paper, or 'default'.")],
    json: JsonOption = False,
) -> None:
    """Say what a method, problem or paper is: source, settings, and a call to copy; for `default`,
    which method is chosen when none is named.
    """
    from ..core.errors import UnknownName, nearest
    from ..core.registry import methods as all_methods, problems as all_problems
    from ..lab.papers import listed, with_evidence

    data: dict[str, Any]
    if name == "default":
        text, data = _choosing()
    elif name in all_methods():
        text, data = _method(name)
    elif name in all_problems():
        text, data = _problem(name)
    else:
        paper = next((p for p, _ in with_evidence(name)), None)
        if paper is None:
            known = [*all_methods(), *all_problems(), *(p["slug"] for p in listed())]
            raise UnknownName(
                f"'{name}' is no method, problem or paper here: {nearest(name, known)}"
            )
        built = "" if paper["built"] else "\n\nNot built yet."
        arxiv = f", arXiv {paper['arxiv']}" if paper["arxiv"] else ""
        text, data = (
            f"{paper['title']}{arxiv}\nroom: {paper['room']}\nmethods: "
            f"{', '.join(paper['methods']) or 'none yet'}{built}",
            paper,
        )
    if json:
        emit(data)
    else:
        typer.echo(text)


def _choosing() -> tuple[str, dict[str, Any]]:
    """Return the tables behind the rooms' choices."""
    from ..core.registry import catalogues

    lines = ["Where no method is named, the first of these that applies:"]
    data: dict[str, Any] = {}
    for catalogue in catalogues():
        rows = () if catalogue.choosing is None else catalogue.choosing()
        lines += ["", catalogue.room] if rows else []
        for situation, method, evidence in rows:
            row = {"situation": situation, "method": method, "evidence": evidence}
            data.setdefault(catalogue.room, []).append(row)
            lines += [f"  {situation}", f"    {method}", f"    evidence: {evidence}"]
    return "\n".join(lines), data


def _pasted(value: Any) -> str:
    """A setting as Python reads it."""
    endless = isinstance(value, float) and not math.isfinite(value)
    return f"float({str(value)!r})" if endless else repr(value)


def _method(name: str) -> tuple[str, dict[str, Any]]:
    from ..core.registry import load_method, methods as registered, public_target

    entry = registered()[name]
    method = load_method(name)
    cls = type(method)
    settings = {f.name: getattr(method, f.name) for f in dataclasses.fields(cls)}
    given = ", ".join(f"{k}={_pasted(v)}" for k, v in entry.settings.items())
    example = entry.example or _example(entry.solves or cls.solves.__name__)
    budget = cls.solves.example_budget
    package = public_target(cls).partition(":")[0]
    call = (
        f"import feasible\nfrom {package} import {cls.__name__}\n"
        f"result = feasible.solve({example!r}, {cls.__name__}({given}), "
        f"budget=feasible.Budget({budget}))\nprint(result)"
    )
    source = "another library's solver, raced as a peer" if entry.peer else _source(entry)
    lines = [
        f"{name}: {entry.summary}" if entry.summary else name,
        "",
        ATTRIBUTES.sub("", inspect.getdoc(cls) or "").strip().replace("\n\n\n", "\n\n"),
        "",
        f"source: {source}",
        f"solves: {cls.solves.__name__}",
        "",
        "settings:",
        *_settings(cls, settings),
        "",
        "in Python:",
        "",
        *("  " + line for line in call.splitlines()),
        "",
        "on the command line:",
        "",
        f"  feasible solve {example} --method {name} --budget {budget}",
    ]
    return "\n".join(lines), {
        "name": name,
        "room": entry.room,
        "paper": entry.paper,
        "solves": entry.solves,
        "peer": entry.peer,
        "settings": settings,
        "source": source,
        "text": inspect.getdoc(cls),
        "call": call,
    }


def _source(entry: Entry) -> str:
    """Where a method or a problem comes from: its paper, or this library."""
    from ..lab.papers import listed

    paper = next((p for p in listed() if p["slug"] == entry.paper), None)
    if paper is None:
        return "this library's own, after no single paper"
    return paper["title"] + (f", arXiv {paper['arxiv']}" if paper["arxiv"] else "")


def _settings(cls: type, settings: dict[str, Any]) -> list[str]:
    """Each setting with its value, and what the class or one of its bases says of it."""
    says: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for section in ATTRIBUTES.findall(inspect.cleandoc(base.__doc__ or "")):
            says |= re.findall(r"^    (\w+): (.+(?:\n {5,}.+)*)", section, re.MULTILINE)
    lines = []
    for name, value in settings.items():
        lines.append(f"  {name} = {value!r}")
        words = " ".join(says.get(name, "").split())
        lines += textwrap.wrap(words, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return lines


def _example(solves: str) -> str:
    """A registered problem of this class, or of one that derives from it."""
    from ..core.registry import problems as registered
    from ..lab.listed import facts_of_entry

    names = [e.name for e in registered().values() if e.solves == solves] or [
        e.name for e in registered().values() if solves in facts_of_entry(e)["kinds"]
    ]
    return "welded-beam" if "welded-beam" in names else min(names, default="my_problem.py:problem")


def _problem(name: str) -> tuple[str, dict[str, Any]]:
    from ..core.registry import load_problem, problems as registered

    entry = registered()[name]
    problem: Any = load_problem(name)
    listed = getattr(import_module(entry.target.partition(":")[0]), "PROBLEMS", {})
    text = inspect.getdoc(listed.get(name)) or problem.about()
    lines = [name, "", text, "", *problem.outline()]
    if entry.paper:
        lines += [f"source: {_source(entry)}"]
    if problem.best_known is not None:
        lines += [f"best known: {problem.best_known:.10g}"]
    call = (
        f"import feasible\nresult = feasible.solve({name!r}, "
        f"budget=feasible.Budget({problem.example_budget}))\nprint(result)"
    )
    lines += [
        "",
        "in Python:",
        "",
        *("  " + line for line in call.splitlines()),
        "",
        "on the command line:",
        "",
        f"  feasible solve {name} --budget {problem.example_budget}",
    ]
    return "\n".join(lines), {
        "name": name,
        "room": entry.room,
        "paper": entry.paper,
        "best_known": problem.best_known,
        "text": text,
        "call": call,
        "variables": [],
        "limits": {},
        **problem.facts(),
    }


def reproduce(
    slug: Annotated[str | None, typer.Argument(help="A paper (see `feasible papers`).")] = None,
    all: Annotated[bool, typer.Option("--all", help="Every paper that is built.")] = False,
    scale: Annotated[
        str,
        typer.Option(
            "--scale",
            help="smoke (seconds), desk (minutes) or paper. The last two write "
            "evidence/SLUG.json, of the seeds 0, 1, 2, 3, 4 or these and the next ones.",
        ),
    ] = "desk",
    seeds: Annotated[
        str, typer.Option("--seeds", help="Seeds, separated by commas.")
    ] = "0,1,2,3,4",
    most_seeds: Annotated[
        int | None,
        typer.Option(
            "--most-seeds",
            help="Where the claim is undecided, measure it once more with so many seeds; twice as "
            "many as --seeds without it, none more at smoke scale.",
        ),
    ] = None,
    jobs: JobsOption = 2,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Run a paper's claim against its baselines and say whether it holds, does not hold, or is
    undecided. With --store an interrupted one goes on where it stopped.
    """
    from .. import api
    from ..core.errors import ArgumentError
    from ..core.registry import claims
    from ..lab.claim import SEEDS, measured
    from ..lab.console import RaceProgress

    if (slug is None) == (not all):
        raise ArgumentError("give one paper, or --all")
    try:
        chosen = [int(s) for s in seeds.split(",")]
    except ValueError:
        raise ArgumentError(
            f"--seeds {seeds}: expected whole numbers separated by commas"
        ) from None
    out = console(stderr=json)
    results = []
    for one in sorted(claims()) if all else [str(slug)]:
        watching = RaceProgress(out)
        try:
            evidence = api.reproduce(
                one,
                scale,
                chosen,
                most_seeds=most_seeds,
                jobs=jobs,
                store=store,
                observers=watching,
                write=len(chosen) >= len(SEEDS) and chosen == list(range(len(chosen))),
            )
        finally:
            watching.stop()
        results.append(evidence)
        if not json:
            out.print(f"\n{one}: {evidence['claim']}", markup=False)
            for part in evidence["parts"]:
                out.print(
                    f"  [{part['state'] or 'reported'}] {part['statement']}: {measured(part)} "
                    f"(bar: {part['bar']})",
                    markup=False,
                )
            verdict = {
                "holds": "the claim holds",
                "does not hold": "the claim does NOT hold",
            }.get(evidence["state"], "the claim is undecided")
            said = ",".join(map(str, evidence["seeds"]))
            out.print(f"  {verdict} at {scale} scale, seeds {said}", markup=False)
    if json:
        emit(results if all else results[0])
