"""What the pages take from the code: `make docs` runs this before mkdocs. It writes docs/generated/
and the table in README.md.

python docs/generate.py              everything
python docs/generate.py --readme     the table in README.md only
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import typer
from figures import (
    OUT,
    ROOT,
    benchmark_ranks,
    convergence,
    development,
    disco_curves,
    disco_grid,
    experiment_ranks,
    foreign_shares,
    fronts,
    newton_profiles,
    preference_grid,
    program_profiles,
    rough_bars,
    rough_ranks,
    rough_runs,
    runtime_profiles,
    table,
    transcript,
)

from feasible.blackbox.default import table as choices
from feasible.cli import app
from feasible.core.registry import load_problem, methods, problems
from feasible.lab.claim import measured, read_evidence
from feasible.lab.papers import papers

BEGIN, END = "<!-- papers:begin -->", "<!-- papers:end -->"


# -- papers ----------------------------------------------------------------------------------------


STATES = ("holds", "does not hold", "undecided", "not built")


def main_figure(slug: str) -> str:
    """The figure that decides: the first that misses its bar, else the first that is undecided,
    else the first that was measured on problems or seeds and has a bar.
    """
    found = read_evidence(slug)
    barred = [p for p in found["parts"] if p["state"]] if found else []
    order = ("does not hold", "undecided", "holds")
    barred.sort(key=lambda p: (order.index(p["state"]), p["sample"] == "exact"))
    return (
        f"{barred[0]['statement']}: {measured(barred[0])}, bar {barred[0]['bar']}" if barred else ""
    )


def title(paper: Mapping[str, Any]) -> str:
    return (
        f"[{paper['title']}](https://arxiv.org/abs/{paper['arxiv']})"
        if paper["arxiv"]
        else paper["title"]
    )


def papers_table() -> str:
    """The table of README.md: 46 rows."""
    return table(
        ["paper", "room", "state", "the figure that decides, with its 95 % interval"],
        [
            [f"{title(p)} (`{p['slug']}`)", p["room"], p["state"], main_figure(p["slug"])]
            for p in papers()
        ],
    )


def readme(text: str) -> str:
    """README.md with the table as the evidence has it now."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{papers_table()}{END}{tail}"


def papers_page() -> str:
    """The gallery: one section a room, one entry a paper, with every part of its claim."""
    found = papers()
    counts = ", ".join(
        f"{n} {name}" for name in STATES if (n := sum(p["state"] == name for p in found))
    )
    parts = [
        f"# Papers and evidence\n\n{len(found)} papers: {counts}. A paper's evidence is the file "
        "`evidence/SLUG.json`: the claim, the command, "
        "every seed's figures, versions and the commit. Behind a figure stands its 95 % interval, "
        "a bootstrap over problems and seeds; a part holds where all of the interval meets the "
        "bar, does not hold where nothing of it does, and is undecided between. A claim holds "
        "where all of its parts do, and does not where one does not.\n"
    ]
    parts.append("## What holds\n")
    parts.append(
        table(
            ["paper", "room", "the figure that decides, with its 95 % interval", "methods here"],
            [
                [title(p), p["room"], main_figure(p["slug"]), _codes(p["methods"])]
                for p in found
                if p["state"] == STATES[0]
            ],
        )
    )
    built = {p["room"] for p in found if p["built"]}
    for room in sorted(dict.fromkeys(p["room"] for p in found), key=lambda r: r not in built):
        parts.append(f"## {room}\n")
        mine = [p for p in found if p["room"] == room]
        parts.append(
            table(
                ["paper", "slug", "state", "methods here", "problems here"],
                [
                    [
                        title(p),
                        f"`{p['slug']}`",
                        p["state"],
                        _codes(p["methods"]),
                        len(p["problems"]) or "",
                    ]
                    for p in mine
                ],
            )
        )
        parts += [_evidence(p["slug"]) for p in mine if read_evidence(p["slug"])]
    return "\n".join(parts)


def _evidence(slug: str) -> str:
    found = read_evidence(slug) or {}
    rows = [
        [p["statement"], measured(p), p["bar"], p["state"] or "reported"] for p in found["parts"]
    ]
    why = "".join(f"\n{found[k]}\n" for k in ("note", "why") if found.get(k))
    return (
        f"### {slug}\n\n{found['claim']}\n\nCommand: `{found['command']}`, seeds "
        f"{', '.join(map(str, found['seeds']))}, "
        f"commit {found['commit']}.\n\n"
        + table(["statement", "measured", "bar", "state"], rows)
        + why
    )


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{n}`" for n in names)


# -- the room, the command line, the decisions -----------------------------------------------------


def choices_table() -> str:
    """The table behind the room's choice."""
    rows = [[situation, f"`{method}`", evidence] for situation, method, evidence in choices()]
    return table(["the first that applies", "choice", "evidence"], rows)


def methods_table() -> str:
    """Methods and peers of the room, from the registry."""
    titles = {p["slug"]: title(p) for p in papers()}
    found = sorted(
        (e for e in methods().values() if e.room == "blackbox"), key=lambda e: (e.peer, e.name)
    )
    return table(
        ["method", "what it is", "source"],
        [
            [
                f"`{e.name}`",
                e.summary,
                "another library's solver" if e.peer else titles.get(e.paper or "", ""),
            ]
            for e in found
        ],
    )


def problems_table() -> str:
    """Ready-made problems of the room, from the registry."""
    rows = []
    for entry in sorted(
        (e for e in problems().values() if e.room == "blackbox"), key=lambda e: e.name
    ):
        problem: Any = load_problem(entry.name)
        known = "" if problem.best_known is None else f"{problem.best_known:.8g}"
        rows.append(
            [f"`{entry.name}`", entry.solves, problem.space.d, len(problem.limits.limits), known]
        )
    return table(["problem", "class", "variables", "limits", "best known"], rows)


def cli_page() -> str:
    """Every command with its help text, as the program prints it."""
    root: Any = typer.main.get_command(app)
    parts = [
        "# Command line\n\nGenerated from the program. Every command prints the same with "
        "`--help`. Exit codes: 0 done, 2 an error that is "
        "explained in one sentence on standard error, 130 interrupted.\n",
        _help(root),
    ]
    for name in root.list_commands(None):
        parts += [f"## feasible {name}\n", _help(root, name)]
    return "\n".join(parts)


def _help(root: Any, name: str | None = None) -> str:
    # the context classes are the commands' own: newer versions of typer carry their own copy of
    # click
    width = {"max_content_width": 100, "terminal_width": 100}
    command, context = root, root.context_class(root, info_name="feasible", **width)
    if name is not None:
        command = root.get_command(context, name)
        context = command.context_class(command, info_name=name, parent=context, **width)
    return f"```text\n{command.get_help(context).rstrip()}\n```\n"


def decisions() -> list[tuple[str, Path]]:
    """(title, file) of every decision, in order."""
    files = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    return [
        (file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# "), file)
        for file in files
    ]


def decisions_page() -> str:
    """The index of decisions."""
    listed = "\n".join(f"- [{name}](../decisions/{file.name})" for name, file in decisions())
    return (
        "# Decisions\n\nWhat a reader of the code may question, each in about ten lines: "
        f"context, choice, consequence.\n\n{listed}\n"
    )


def program_order() -> str:
    """The table behind the choice of solvers of the programs room."""
    from feasible.programs.default import table as rows

    return table(["the first that applies", "solvers", "evidence"], rows())


def parts_of(slug: str) -> Callable[[], str]:
    """All that a claim measured, as a table."""

    def make() -> str:
        found = read_evidence(slug)
        parts = found["parts"] if found else []
        rows = [[p["statement"], measured(p), p["bar"], p["state"] or ""] for p in parts]
        return table(["what", "measured", "bar", ""], rows)

    return make


PAGES: dict[str, Callable[[], str]] = {
    "papers.md": papers_page,
    "cli.md": cli_page,
    "decisions.md": decisions_page,
    "methods.txt": methods_table,
    "problems.txt": problems_table,
    "ranks.txt": benchmark_ranks,
    "choices.txt": choices_table,
    "choosing.txt": development("engineering"),
    "coco.txt": runtime_profiles,
    "s2mpj.txt": foreign_shares,
    "rough.txt": development("rough"),
    "rough-bars.txt": rough_bars,
    "rough-default.txt": rough_ranks,
    "experiments.txt": experiment_ranks,
    "programs.txt": program_profiles,
    "adasketch-newton.txt": newton_profiles,
    "program-order.txt": program_order,
    "disco.txt": disco_curves,
    "disco-grid.txt": disco_grid,
    "c-morl.txt": parts_of("c-morl"),
    "cgpo.txt": parts_of("cgpo"),
    "mdpo.txt": parts_of("mdpo"),
    "moe-inference.txt": parts_of("moe-inference"),
    "ultragen.txt": parts_of("ultragen"),
    "ultragen-grid.txt": preference_grid,
}
"""Generated quickly, from the code and the evidence alone."""
RUNS: dict[str, Callable[[], str]] = {
    "standings.txt": convergence,
    "fronts.txt": fronts,
    "rough-runs.txt": rough_runs,
    "solve.txt": lambda: transcript(
        "feasible solve beam.py:problem --budget evaluations=60", ["beam.py"]
    ),
    "explain.txt": lambda: transcript("feasible explain welded-beam"),
    "ask.txt": lambda: transcript("feasible ask mix.toml -n 4", ["mix.toml"]),
}
"""Generated by running something."""


def main() -> None:
    """Write everything, or with --readme the README's table only."""
    page = ROOT / "README.md"
    page.write_text(readme(page.read_text(encoding="utf-8")), encoding="utf-8")
    if "--readme" in sys.argv:
        return
    OUT.mkdir(exist_ok=True)
    for name, make in (PAGES | RUNS).items():
        (OUT / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
