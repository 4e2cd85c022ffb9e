"""The 46 papers: what each brought, and the state of its evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core.registry import claims, methods, problems
from .claim import FAILS, HOLDS, UNDECIDED, read_evidence

NOT_BUILT = "not built"


def listed() -> list[dict[str, Any]]:
    """Return slug, title, room and arXiv number of the 46 papers."""
    text = (Path(__file__).parent / "papers.json").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(text)
    return found


def papers() -> list[dict[str, Any]]:
    """Return what each of the 46 papers brought, see `with_evidence`."""
    return [paper for paper, _ in with_evidence()]


def with_evidence(slug: str | None = None) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return what each of the 46 papers brought and the state of its evidence, and beside it all of
    the evidence, empty where there is none.

    Args:
        slug: Of a paper, for it alone.

    Returns:
        One mapping a paper: slug, title, room, arxiv, methods, problems, built, state (holds, does
        not hold, undecided, not built), holds (true, false; None for the last two), figures,
        command.
    """
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    entries = [*methods().values()], [*problems().values()]
    for paper in listed():
        if slug not in (None, paper["slug"]):
            continue
        evidence = read_evidence(paper["slug"])
        built = paper["slug"] in claims()
        measured = UNDECIDED if evidence is None else evidence["state"]
        said = {
            **paper,
            "methods": sorted(e.name for e in entries[0] if e.paper == paper["slug"]),
            "problems": sorted(e.name for e in entries[1] if e.paper == paper["slug"]),
            "built": built,
            "state": measured if built else NOT_BUILT,
            "holds": {HOLDS: True, FAILS: False}.get(measured) if built else None,
            "figures": {} if evidence is None else evidence["figures"],
            "command": f"feasible reproduce {paper['slug']}" if built else None,
        }
        found.append((said, evidence or {}))
    return found
