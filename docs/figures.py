"""What pages show of stored results, and of runs that are made for them: tables and figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "generated"
CONTEST, METHODS, EVALUATIONS, SEEDS = (
    "welded-beam",
    ("cobyqa", "cma-es", "differential-evolution", "cbo-memory", "random-search"),
    400,
    5,
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
    """The table of rough problems, from the stored results, the latest of each kind."""
    rows: dict[tuple[str, ...], list[str]] = {}
    kinds: set[str] = set()
    for name in ("rough_reports", "rough_failures", "rough_default"):
        file = ROOT / f"benchmarks/results/{name}.json"
        before = kinds.copy()
        for f in json.loads(file.read_text(encoding="utf-8"))["figures"]:
            method, what = f["what"].rsplit(", ", 1)
            problems, method = method.split(": ")
            kind = problems.split(" at ")[0] if name == "rough_reports" else problems
            early = problems.endswith(" at 24") and kind != "mixed"
            if kind in before or early:
                continue
            kinds.add(kind)
            key = f"{problems}, {f['note']}", method
            rows.setdefault(key, []).append(f"{what} {f['value']:.3g}")
    return table(["problems", "method", "figures"], [[*k, ", ".join(v)] for k, v in rows.items()])


def rough_bars() -> str:
    """The table of what the default for rough problems must reach, from the stored results."""
    file = ROOT / "benchmarks/results/rough_bars.json"
    rows = []
    for f in json.loads(file.read_text(encoding="utf-8"))["figures"]:
        met = {True: "yes", False: "**no**", None: ""}[f["met"]]
        bar = "" if f["bar"] is None else f"{f['bar']:g}"
        rows.append([f["what"], f"{f['value']:.3g}", bar, met, f["note"]])
    return table(["what", "figure", "bar", "met", "of what"], rows)


def experiment_ranks() -> str:
    """The tables of real experiments, from the stored results."""
    parts = []
    for name in ("experiments", "experiments_peers"):
        file = ROOT / f"benchmarks/results/{name}.json"
        rows: dict[tuple[str, str], list[str]] = {}
        for f in json.loads(file.read_text(encoding="utf-8"))["figures"]:
            what, method, figure = re.fullmatch(r"(.*?): ([^,]*), (.*)", f["what"]).groups()
            row = rows.setdefault((what, f"`{method}`"), ["", "", "", ""])
            kinds = ("mean rank", "mean regret", "problems")
            place = next(i for i, kind in enumerate(kinds) if figure.startswith(kind))
            row[place] = f"{f['value']:.3g}"
            row[3] = row[3] or f["note"].removeprefix("median regret ")
        heads = ["form and evaluations", "method", "mean rank", "mean regret"]
        heads += ["problems where random search is ahead", "median regrets"]
        parts.append(table(heads, [[*k, *v] for k, v in rows.items()]))
    return "\n".join(parts)


def rough_runs() -> str:
    """Draw a noisy and a mixed run as rough.svg: what runs of so many evaluations answer, judged
    without noise; return the last figures as a table.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "feasible", "font.size": 9})
    import numpy as np
    from matplotlib import pyplot as plt

    import feasible

    sys.path.append(str(ROOT))
    from benchmarks.rough_default import of_ours
    from benchmarks.rough_problems import screen
    from benchmarks.rough_solvers import PEERS, Used, by_library

    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
    rows, budgets = [], list(range(8, 61, 4))
    for method in ("robust-bo", "optuna-tpe"):
        found = [feasible.solve("suzuki-noisy", method, budget=n, seed=1) for n in budgets]
        truth = [-r.verdict.objective for r in found]
        line = left.step(budgets, truth, where="post", lw=1.4, label=f"answer of {method}")[0]
        seen = -found[-1].ledger.all().objective
        left.plot(np.arange(1, len(seen) + 1), seen, ".", ms=3, alpha=0.5, c=line.get_color())
        rows.append(["suzuki-noisy, seed 1, yield", method, f"{truth[-1]:.1f}"])
    left.axhline(-found[0].problem.best_known, c="k", lw=0.8, ls=":")
    left.set(xlabel="experiments", ylabel="yield (%)", title="suzuki-noisy: measured and true")
    left.legend(frameon=False, fontsize=7, loc="lower right")
    solvers = {"robust-bo+": "robust-bo, descriptors", "robust-bo": "robust-bo", "tpe": "TPE"}
    for method, label in solvers.items():
        curves = []
        for seed in range(5):
            task = of_ours(screen(seed))
            with suppress(Used):
                (PEERS.get(method) or by_library(method))(task, seed)
            curves.append(np.minimum.accumulate([task.gap(row[0]) for row in task.rows]))
        median = np.median(curves, axis=0)
        right.step(np.arange(1, len(median) + 1), np.maximum(median, 1e-4), lw=1.4, label=label)
        rows.append(["screen, 5 seeds, median regret", label, f"{median[-1]:.2g}"])
    right.set(yscale="log", xlabel="experiments", ylabel="median regret")
    right.set_title("12 solvents, 6 ligands, two reals")
    right.legend(frameon=False, fontsize=7)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(OUT / "rough.svg", metadata={"Date": None})
    plt.close(figure)
    return table(["run", "method", "reached"], rows)


def profiles(data: Any, labels: dict[str, str], thick: str, file: str) -> None:
    """Draw curves of shares by method.

    Args:
        data: A benchmark's stored results.
        labels: Kind of profile -> what is on its axis.
        thick: The method whose curve is thicker.
        file: Its name in docs/generated.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "feasible", "font.size": 9})
    from matplotlib import pyplot as plt

    figure, grid = plt.subplots(1, 2, figsize=(7.2, 3.4), sharey=True, layout="constrained")
    for axes, (measure, label) in zip(grid.flat, labels.items(), strict=True):
        for i, (method, curve) in enumerate(data["profiles"][measure].items()):
            width, style = 2.0 if method == thick else 1.2, "--" if i > 9 else "-"
            line = {"lw": width, "c": f"C{i}", "ls": style, "label": method}
            axes.step(*zip(*curve, strict=True), where="post", **line)
        axes.set(xscale="log", xlabel=label, ylim=(0, 1))
        axes.grid(alpha=0.3)
    grid.flat[0].set_ylabel("share of the problems solved")
    grid.flat[1].legend(frameon=False, fontsize=7, loc="lower right")
    OUT.mkdir(exist_ok=True)
    figure.savefig(OUT / file, metadata={"Date": None})
    plt.close(figure)


def newton_profiles() -> str:
    """Draw the performance profiles of solvers for equalities as adasketch-newton.svg, from the
    stored results; returns the table of figures.
    """
    file = ROOT / "benchmarks/results/adasketch_newton.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    labels = {
        "evaluations": "evaluations, of the fewest",
        "seconds": "processor seconds, of the fewest",
    }
    profiles(data, labels, "exact", "adasketch-newton.svg")
    shown: dict[str, dict[str, str]] = {}
    for f in data["figures"]:
        what, _, method = f["what"].rpartition(": ")
        shown.setdefault(method, {})[what] = f"{f['value']:.3g}"
    columns = {"solved": "solved", "median evaluations": "median evaluations"}
    columns["seconds over Ipopt's"] = "seconds over Ipopt's"
    return f"{data['figures'][0]['note']}:\n\n" + table(
        ["method", *columns.values()],
        [[m, *(found[c] for c in columns)] for m, found in shown.items()],
    )


def disco_curves() -> str:
    """Draw accuracy and entropy against samples, and the weights of questions, as disco.svg, from
    the evidence; returns the parts with a bar and the table of all losses.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "feasible", "font.size": 9})
    from matplotlib import pyplot as plt

    file = ROOT / "evidence/disco.json"
    if not file.exists():
        return ""
    data = json.loads(file.read_text(encoding="utf-8"))
    figure, grid = plt.subplots(1, 3, figsize=(9.6, 3.2), layout="constrained")
    labels = {"right": "drawn answers that are right", "entropy": "entropy, nats a token"}
    part = next(p for p in data["parts"] if p["statement"].startswith("entropy, DisCO over"))
    curves = data["values"][part["values"]]
    for axes, (what, label) in zip(grid, labels.items(), strict=False):
        shown = {k.partition(", ")[2]: v for k, v in curves.items() if k.startswith(what)}
        for i, (method, values) in enumerate(shown.items()):
            rows = [curve for problem in values for curve in problem]
            middle = [sorted(column)[len(column) // 2] for column in zip(*rows, strict=True)]
            samples = [k / (len(middle) - 1) for k in range(len(middle))]
            style = {"lw": 2.0 if method == "DisCO" else 1.2, "c": f"C{i}", "label": method}
            axes.plot(samples, middle, **style)
        axes.set(xlabel="share of the samples", ylabel=label)
        axes.grid(alpha=0.3)
    grid[1].legend(frameon=False, fontsize=6, ncols=2)
    for method, weights in data["extra"]["weights"].items():
        grid[2].plot([k / 8 for k in range(1, 8)], weights, marker="o", ms=3, label=method)
    grid[2].set(xlabel="share of right responses, p", ylabel="weight of the question")
    grid[2].grid(alpha=0.3)
    grid[2].legend(frameon=False, fontsize=7)
    OUT.mkdir(exist_ok=True)
    figure.savefig(OUT / "disco.svg", metadata={"Date": None})
    plt.close(figure)
    return _disco_tables(data)


def _disco_tables(data: dict[str, Any]) -> str:
    """Return the parts of DisCO's claim with a bar, and the medians of every loss."""
    barred = [p for p in data["parts"] if p["bar"] != "reported"]
    decided = [
        [p["statement"], f"{p['figure']:.3g}", p["bar"], p["state"] or "reported"] for p in barred
    ]
    columns = (
        "accuracy on sums of two digits",
        "accuracy",
        "share of drawn answers that are right",
        "entropy",
    )
    figures = {p["statement"]: p["figure"] for p in data["parts"]}
    methods = [s.partition(", ")[2] for s in figures if s.startswith(f"{columns[0]}, ")]
    rows = [
        [m, *(f"{figures[f'{c}, {m}']:.3f}" for c in columns)]
        for m in methods
        if f"entropy, {m}" in figures
    ]
    share = next(v for k, v in figures.items() if k.startswith("share of updates"))
    return (
        table(["what", "measured", "bar", ""], decided)
        + "\nMedians of the seeds; the KL began beyond delta in "
        + f"{100 * share:.0f} % of DisCO's updates.\n\n"
        + table(["loss", *columns], rows)
    )


def disco_grid() -> str:
    """Return the sums of two digits that each loss answers at each setting, from the sweep on seeds
    that the claim does not report: a row for each of delta and tau, a column for each rate.
    """
    file = ROOT / "benchmarks/results/losses-development.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    rates = sorted({row["rate"] for row in data["rows"]})
    cells: dict[tuple[str, ...], dict[float, str]] = {}
    best: dict[str, tuple[float, tuple[str, ...], float]] = {}
    for row in data["rows"]:
        loss = row["loss"] + (f", {row['score']}" if "score" in row else "")
        key = (f"`{loss}`", *(f"{row[k]:g}" if k in row else "" for k in ("delta", "tau")))
        shares = row["reward, digits 2"]
        cells.setdefault(key, {})[row["rate"]] = " ".join(f"{v:.2f}" for v in shares)
        mean = sum(shares) / len(shares)
        best[loss] = max(best.get(loss, (-1.0, key, 0.0)), (mean, key, -row["rate"]))
    for _, key, rate in best.values():
        cells[key][-rate] = f"**{cells[key][-rate]}**"
    order = sorted(cells, key=lambda key: (key[0], key[1] and float(key[1]), key[2]))
    seeds = " and ".join(map(str, data["seeds"]))
    said = (
        f"Seeds {seeds}, the largest rate {data['seeds'][0]} alone; the best of each loss is bold."
    )
    return f"{said}\n\n" + table(
        ["loss", "delta", "tau", *(f"rate {rate:g}" for rate in rates)],
        [[*key, *(cells[key].get(rate, "") for rate in rates)] for key in order],
    )


def preference_grid() -> str:
    """Return what UltraGen's second phase meets at each setting, from the sweep on seeds that the
    claim does not report.
    """
    file = ROOT / "benchmarks/results/preferences-development.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    figures = ("global", "local", "perplexity")
    cells: dict[tuple[str, ...], list[dict[str, float]]] = {}
    for row in data["rows"]:
        key = (row["arm"], *(f"{row[k]:g}" if k in row else "" for k in ("rate", "beta")))
        cells.setdefault(key, []).append(row)
    return f"Seeds {' and '.join(map(str, data['seeds']))}.\n\n" + table(
        ["lists", "rate", "beta", *figures],
        [[*key, *(" ".join(f"{r[f]:.2f}" for r in rows) for f in figures)]
         for key, rows in cells.items()],
    )  # fmt: skip


def program_profiles() -> str:
    """Draw the performance and data profiles of the programs room as programs.svg, from the stored
    results; returns the table of shares.
    """
    data = json.loads((ROOT / "benchmarks/results/programs.json").read_text(encoding="utf-8"))
    labels = {"performance": "evaluations, of the fewest", "data": "evaluations"}
    profiles(data, labels, "default", "programs.svg")
    shown: dict[str, dict[str, float]] = {}
    for f in data["figures"]:
        what, _, method = f["what"].rpartition(": ")
        shown.setdefault(method, {})[what] = f["value"]
    columns = {
        "solved": "solved",
        "KKT points": "KKT points",
        "within 1 x the fewest evaluations": "fewest evaluations",
        "within 2 x the fewest evaluations": "within twice the fewest",
        "solved within 30 evaluations": "within 30 evaluations",
    }
    rows = sorted(shown.items(), key=lambda kv: -kv[1]["solved"])
    return f"{data['figures'][0]['note']}, share of them:\n\n" + table(
        ["method", *columns.values()],
        [[f"`{m}`", *(f"{found[c]:.3f}" for c in columns)] for m, found in rows],
    )
