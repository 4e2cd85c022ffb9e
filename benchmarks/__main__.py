"""`python -m benchmarks [NAME...]`: run benchmarks one after the other and print what they found.

Ends with 1 when a bar is missed, or a ratio is worse than the stored one by more than a quarter.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

NAMES = (
    "startup",
    "loop",
    "cbo",
    "store",
    "serve",
    "store_scale",
    "ray_tasks",
    "processes",
    "standings",
    "engineering",
    "rough",
    "rough_bars",
    "coco",
    "s2mpj",
    "smooth_bars",
    "gp",
    "pfn",
    "private",
    "bottleneck",
    "clustering",
    "mfac",
    "sparse_ot",
    "sinkhorn",
    "transport_relatives",
    "programs",
    "sor_bandit",
    "vr_halpern",
    "lipsdp",
    "adasketch_newton",
    "gns",
    "recipes",
    "schedules",
    "autolrs",
    "lion_k",
    "graphs",
    "walks",
    "federated",
    "gossip",
    "bilevel",
    "hard_constraints",
    "parl",
    "sequences",
    "control",
    "trace",
    "policies_front",
    "experts",
    "language",
    "attributes",
    "phases",
    "judges",
    "physics_front",
    "dispatch",
    "dies",
    "jobshop",
    "policies",
)

BY_NAME = ("checkers", "lengths", "quantisers")
"""Only where they are named: they need packages that nothing else here does."""

HEAD = """# Benchmarks

`make bench` measures all of this again and writes this page; `python -m benchmarks NAME` does one
of them. Figures that compare two things were timed in turns in one run, with one thread each. The
full figures are in `results/`.
"""


def write_readme() -> None:
    """benchmarks/README.md from results/*.json."""
    folder = Path(__file__).parent
    lines = [HEAD]
    for name in NAMES + BY_NAME:
        file = folder / "results" / f"{name}.json"
        if not file.exists():
            continue
        data = json.loads(file.read_text())
        lines += [
            f"## {name}",
            "",
            (importlib.import_module(f"benchmarks.{name}").__doc__ or "").strip(),
            "",
            "| what | figure | bar | met |",
            "| --- | --- | --- | --- |",
        ]
        for f in data["figures"]:
            met = {True: "yes", False: "**no**", None: ""}[f["met"]]
            note = f" ({f['note']})" if f["note"] else ""
            lines.append(
                f"| {f['what']}{note} | {f['value']:.4g} {f['unit']} | "
                f"{'' if f['bar'] is None else format(f['bar'], 'g')} | {met} |"
            )
        lines.append("")
    (folder / "README.md").write_text("\n".join(lines))


def main() -> int:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from benchmarks.common import MARGIN, stored, worse

    chosen = sys.argv[1:] or NAMES
    unknown = set(chosen) - {*NAMES, *BY_NAME}
    if unknown:
        known = ", ".join(NAMES + BY_NAME)
        print(f"unknown benchmark {', '.join(sorted(unknown))}; known: {known}")
        return 2
    table = Table("benchmark", "what", "figure", "bar", "met")
    missed, lost = 0, []
    for name in chosen:
        print(f"running {name} ...", flush=True)
        before = stored(name)
        figures = importlib.import_module(f"benchmarks.{name}").run()
        lost += [f"{name}: {line}" for line in worse(before, figures)]
        for f in figures:
            missed += f.met is False
            table.add_row(
                name,
                escape(f.what),
                f"{f.value:.4g} {f.unit}",
                "" if f.bar is None else f"{f.bar:g}",
                {True: "yes", False: "NO", None: ""}[f.met],
            )
    Console(width=150).print(table)
    if lost:
        print(f"worse than the stored figures by more than {MARGIN:.0%}:", *lost, sep="\n  ")
    else:
        print(f"no ratio is worse than the stored one by more than {MARGIN:.0%}")
    write_readme()
    return 1 if missed or lost else 0


if __name__ == "__main__":
    sys.exit(main())
