"""What the pages take from the code: `make docs` runs this before mkdocs. It writes docs/generated/
and the table in README.md.

python docs/generate.py              everything
python docs/generate.py --readme     the table in README.md only
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from feasible.blackbox.default import table as choices
from feasible.cli import app
from feasible.core.registry import load_problem, methods, problems
from feasible.lab.claim import measured, read_evidence
from feasible.lab.papers import papers

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "generated"
BEGIN, END = "<!-- papers:begin -->", "<!-- papers:end -->"
CONTEST, METHODS, EVALUATIONS, SEEDS = (
    "welded-beam",
    ("cobyqa", "cma-es", "differential-evolution", "cbo-memory", "random-search"),
    400,
    5,
)


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


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return (
        "\n".join(
            "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in line) + " |"
            for line in lines
        )
        + "\n"
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


def benchmark_ranks() -> str:
    """Average ranks over the fifteen engineering problems, from
    benchmarks/results/standings.json."""
    tables = json.loads(
        (ROOT / "benchmarks" / "results" / "standings.json").read_text(encoding="utf-8")
    )["tables"]
    parts = []
    for found in tables.values():
        feasible: dict[str, list[float]] = {}
        for row in found["rows"]:
            feasible.setdefault(row["method"], []).append(row["feasible_rate"])
        parts.append(
            f"{found['evaluations']:,} evaluations, {len(found['problems'])} of the problems, "
            "seeds "
            f"{', '.join(map(str, found['seeds']))}:\n\n"
            + table(
                ["method", "average rank", "feasible answers"],
                [
                    [f"`{m}`", f"{rank:.2f}", f"{100 * sum(feasible[m]) / len(feasible[m]):.0f} %"]
                    for m, rank in sorted(found["ranks"].items(), key=lambda kv: kv[1])
                ],
            )
        )
    return "\n".join(parts)


def development(name: str) -> Callable[[], str]:
    """The average ranks of a benchmark on the development seeds, as a table for each of its
    groups."""

    def make() -> str:
        data = json.loads(
            (ROOT / "benchmarks" / "results" / f"{name}-development.json").read_text(
                encoding="utf-8"
            )
        )
        groups: dict[str, list[list[str]]] = {}
        for f in data["figures"]:
            group, _, rest = f["what"].partition(": ")
            if "average rank" in rest:
                groups.setdefault(group, []).append(
                    [
                        f"`{rest.split(',')[0]}`",
                        f"{f['value']:.2f}",
                        f["note"].removeprefix("feasible in "),
                    ]
                )
        return "\n".join(
            f"{group} (seeds {', '.join(map(str, data['seeds']))}):\n\n"
            + table(
                ["method", "average rank", "feasible answers"],
                sorted(rows, key=lambda r: float(r[1])),
            )
            for group, rows in groups.items()
        )

    return make


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


# -- what has to run -------------------------------------------------------------------------------


def transcript(command: str, files: Sequence[str] = ()) -> str:
    """What a command prints in a fresh folder with these example files, cut at 150 columns."""
    with tempfile.TemporaryDirectory() as folder:
        for name in files:
            (Path(folder) / name).write_text(
                (ROOT / "examples" / name).read_text(encoding="utf-8"), encoding="utf-8"
            )
        program = Path(sys.executable).with_name("feasible")
        done = subprocess.run(
            [str(program), *command.split()[1:]],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    return (
        f"$ {command}\n"
        + "\n".join(line[:150].rstrip() for line in done.stdout.splitlines())
        + "\n"
    )


def convergence() -> str:
    """Race a few methods on one problem, draw the medians as convergence.svg, and return the
    standings as a table.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "feasible", "font.size": 9})
    import numpy as np
    from matplotlib import pyplot as plt

    import feasible
    from feasible.lab.standings import standings

    race = feasible.race(CONTEST, METHODS, EVALUATIONS, SEEDS, jobs=2)
    best = race.contest(CONTEST).best_known
    grid = np.arange(1, EVALUATIONS + 1)
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for method in race.methods:
        curves = []
        for trial in race.of(CONTEST, method):
            good = [
                (p.spent["evaluations"], p.verdict.objective)
                for p in trial.trail
                if p.verdict.feasible
            ]
            at, value = np.array([g[0] for g in good]), np.array([g[1] for g in good] + [np.inf])
            where = np.searchsorted(at, grid, side="right") - 1
            curves.append(np.where(where < 0, np.inf, value[where]) / best - 1)
        median = np.quantile(np.array(curves), 0.5, axis=0, method="higher")
        shown = np.isfinite(median)
        axes.step(
            grid[shown], np.maximum(100 * median[shown], 1e-4), where="post", label=method, lw=1.4
        )
    axes.set(
        yscale="log",
        xlabel="evaluations",
        ylabel="gap to the best known (%)",
        title=f"{CONTEST}: median of {SEEDS} seeds",
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(OUT / "convergence.svg", metadata={"Date": None})
    plt.close(figure)
    frame = standings(race).to_frame()
    return table(
        ["method", "median", "quartiles", "feasible", "average rank"],
        [
            [
                f"`{r.method}`",
                f"{r.median:.5g}",
                f"{r.q25:.5g} to {r.q75:.5g}",
                f"{r.feasible_rate:.0%}",
                f"{r.average_rank:.2f}",
            ]
            for r in frame.sort_values("average_rank").itertuples()
        ],
    )


def fronts() -> str:
    """Draw the fronts that methods reach on a problem with two objectives as fronts.svg, and return
    their hypervolumes as a table.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "feasible", "font.size": 9})
    from matplotlib import pyplot as plt

    import feasible

    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    rows = []
    for method in ("bo-qlognehvi", "pymoo-nsga2[pop_size=10]", "random-search"):
        result = feasible.solve("binh-korn", method, budget=40, seed=0)
        front = result.answer
        axes.step(front["f1"], front["f2"], where="post", marker="o", ms=3, lw=1.2, label=method)
        volume = -result.verdict.objective
        share = volume / result.problem.best_known
        rows.append([f"`{method}`", len(front), f"{volume:.5g}", f"{share:.1%}"])
    axes.set(xlabel="f1", ylabel="f2", title="binh-korn: fronts after 40 evaluations")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(OUT / "fronts.svg", metadata={"Date": None})
    plt.close(figure)
    return table(["method", "points", "hypervolume", "of the best known"], rows)


def runtime_profiles() -> str:
    """The figure of COCO's suites, from the stored results; returns the table of shares."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "feasible"
    from matplotlib import pyplot as plt

    data = json.loads((ROOT / "benchmarks/results/coco.json").read_text(encoding="utf-8"))
    places = sorted({(c["suite"], c["d"]) for c in data["curves"]})
    figure, grid = plt.subplots(1, len(places), figsize=(3.2 * len(places), 3.2), sharey=True)
    colours: dict[str, str] = {}
    rows = []
    for axes, (suite, d) in zip(grid.flat, places, strict=True):
        for curve in (c for c in data["curves"] if (c["suite"], c["d"]) == (suite, d)):
            shares = {float(b): v for b, v in curve["shares"].items()}
            colour = colours.setdefault(curve["method"], f"C{len(colours)}")
            axes.plot(*zip(*shares.items(), strict=True), lw=1.3, c=colour, label=curve["method"])
        axes.set(xscale="log", xlabel="evaluations / d", title=f"{suite}, d = {d}")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=7)
    grid.flat[0].set_ylabel("share of targets reached")
    figure.tight_layout()
    OUT.mkdir(exist_ok=True)
    figure.savefig(OUT / "coco.svg", metadata={"Date": None})
    plt.close(figure)
    shown: dict[str, dict[str, str]] = {}
    gaps: dict[str, str] = {}
    for f in data["figures"]:
        what, _, method = f["what"].rpartition(": ")
        if " minus " in method:
            gaps[what] = f"{f['value']:+.3f} ({f['note']})"
        else:
            shown.setdefault(what, {})[method] = f"{f['value']:.3f}"
            shown[what]["trials"] = f["note"].split()[0]
    for what, found in shown.items():
        rows.append([what, *(found.get(m, "") for m in ("trials", *colours)), gaps.get(what, "")])
    heads = ["suite", "trials", *(f"`{m}`" for m in colours), "`hybrid-sqp` minus the best other"]
    return table(heads, rows)


def foreign_shares() -> str:
    """The table of CUTEst problems, from the stored results."""
    data = json.loads((ROOT / "benchmarks/results/s2mpj.json").read_text(encoding="utf-8"))
    return table(
        ["kind and budget", "method", "solved"],
        [[*f["what"].rsplit(": ", 1), f"{f['value']:.2f} of {f['note']}"] for f in data["figures"]],
    )


def rough_ranks() -> str:
    """The table of rough problems, from the stored results."""
    file = ROOT / "benchmarks/results/rough_default.json"
    rows: dict[tuple[str, ...], list[str]] = {}
    for f in json.loads(file.read_text(encoding="utf-8"))["figures"]:
        method, what = f["what"].rsplit(", ", 1)
        kind, method = method.split(": ")
        rows.setdefault((f"{kind}, {f['note']}", method), []).append(f"{what} {f['value']:.3g}")
    return table(["problems", "method", "figures"], [[*k, ", ".join(v)] for k, v in rows.items()])


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
    "rough-default.txt": rough_ranks,
}
"""Generated quickly, from the code and the evidence alone."""
RUNS: dict[str, Callable[[], str]] = {
    "standings.txt": convergence,
    "fronts.txt": fronts,
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
