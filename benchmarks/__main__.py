"""`python -m benchmarks [NAME...]`: run benchmarks one after the other and print what they found."""

from __future__ import annotations

import importlib
import os
import sys

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

NAMES = ("startup", "loop", "cbo", "store", "processes", "standings")


def main() -> int:
    from rich.console import Console
    from rich.table import Table

    chosen = sys.argv[1:] or NAMES
    unknown = set(chosen) - set(NAMES)
    if unknown:
        print(f"unknown benchmark {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
        return 2
    table = Table("benchmark", "what", "figure", "bar", "met")
    missed = 0
    for name in chosen:
        print(f"running {name} ...", flush=True)
        for f in importlib.import_module(f"benchmarks.{name}").run():
            missed += f.met is False
            table.add_row(name, f.what, f"{f.value:.4g} {f.unit}", "" if f.bar is None else f"{f.bar:g}", {True: "yes", False: "NO", None: ""}[f.met])
    Console(width=150).print(table)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
