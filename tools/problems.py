"""Writes what `feasible problems` says of each registered problem, by making it once:
src/feasible/lab/problems.json.

python tools/problems.py             all of them
python tools/problems.py NAME...     these, and those that are new

A module of an extra counts as imported by a problem where code of ours that the problem loads
imports it.
"""

from __future__ import annotations

import builtins
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from feasible.core.extras import EXTRAS
from feasible.core.registry import load_problem, problems
from feasible.lab.listed import FILE, measured

MODULES = frozenset().union(*EXTRAS.values())
ANEW = re.compile(r"feasible\.(?!(core|lab|api)\b)|feasible\.core\.compiled$")
"""What is loaded anew: the rooms, and the one module of the core that imports an extra's."""


@contextmanager
def imports() -> Iterator[list[str]]:
    """The modules of extras that code of ours imports meanwhile, in the order of the imports."""
    for name in [m for m in sys.modules if ANEW.match(m)]:
        del sys.modules[name]
    found: list[str] = []
    before = builtins.__import__

    def noting(name: str, *given: Any, **named: Any) -> Any:
        scope = given[0] if given else named.get("globals")
        level = given[3] if len(given) > 3 else named.get("level", 0)
        first = name.partition(".")[0]
        ours = str((scope or {}).get("__name__", "")).startswith("feasible.")
        if level == 0 and ours and first in MODULES and first not in found:
            found.append(first)
        return before(name, *given, **named)

    builtins.__import__ = noting
    try:
        yield found
    finally:
        builtins.__import__ = before


def main(names: Sequence[str]) -> None:
    """Write the file, one problem a line: of these problems anew, of none that are named all."""
    known = {} if not names else json.loads(FILE.read_text(encoding="utf-8"))
    for entry in problems().values():
        if entry.name in names or entry.name not in known:
            with imports() as found:
                problem = load_problem(entry.name)
            known[entry.name] = measured(problem) | {"imports": found}
    lines = [
        f"{json.dumps(name)}: {json.dumps(facts)}"
        for name, facts in sorted(known.items())
        if name in problems()
    ]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
