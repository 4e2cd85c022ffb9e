"""A Claim is a paper's statement as an experiment: races, and a predicate on their outcome that
says whether it holds.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import UnknownName, nearest
from ..core.plain import plain
from ..core.versions import versions
from .trials import Race

SCALES = ("smoke", "desk", "paper")


@dataclass(frozen=True)
class Experiment:
    """One race of a claim.

    Attributes:
        name: Its name in the claim.
        problems: Names as on the command line, or Problems.
        methods: Label in the standings -> registered method name or Method.
        budget: Limit by resource, of every trial.
        seeds: One trial each.
    """

    name: str
    problems: Sequence[Any]
    methods: Mapping[str, Any]
    budget: Mapping[str, float]
    seeds: Sequence[int] = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Part:
    """One checkable statement.

    Attributes:
        statement: What is claimed.
        figure: What was measured.
        bar: What it must be, as text.
        holds: Whether that is met; None where the figure is only reported.
    """

    statement: str
    figure: float | None
    bar: str
    holds: bool | None


@dataclass(frozen=True)
class Claim:
    """A paper's statement as an experiment. It holds when every part with a bar does.

    Attributes:
        slug: Of the paper.
        statement: What the paper claims.
        experiments: (scale, seeds) -> races to run.
        check: Races by name -> parts.
        extra: (scale, seeds) -> parts and figures that are not races (for example the accuracy of a
            trained network).
        why: What a reader must know of the result, for example why it does not hold here.
        limits: By scale, what is smaller there than in the paper.
    """

    slug: str
    statement: str
    experiments: Callable[[str, Sequence[int]], Sequence[Experiment]]
    check: Callable[[Mapping[str, Race]], Sequence[Part]]
    extra: Callable[[str, Sequence[int]], tuple[Sequence[Part], dict[str, Any]]] | None = None
    why: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)


def evidence_folder() -> Path:
    """Return `evidence/` of the checkout, or the copy inside an installed package."""
    here = Path(__file__).resolve()
    checkout = here.parents[3] / "evidence"
    return (
        checkout if (here.parents[3] / "pyproject.toml").exists() else here.parents[1] / "_evidence"
    )


def read_evidence(slug: str) -> dict[str, Any] | None:
    """Return the committed evidence of a paper, None where there is none."""
    file = evidence_folder() / f"{slug}.json"
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def run_claim(
    claim: Claim,
    scale: str = "desk",
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    *,
    race: Callable[[Experiment], Race],
) -> dict[str, Any]:
    """Run a claim's experiments and return the evidence as plain data.

    Args:
        claim: The claim.
        scale: smoke, desk or paper.
        seeds: One trial each.
        race: What runs an experiment.

    Raises:
        UnknownName: There is no such scale.
    """
    if scale not in SCALES:
        raise UnknownName(f"scale '{scale}': {nearest(scale, SCALES)}")
    races = {e.name: race(e) for e in claim.experiments(scale, seeds)}
    parts = list(claim.check(races))
    more: dict[str, Any] = {}
    if claim.extra is not None:
        extra_parts, more = claim.extra(scale, seeds)
        parts += extra_parts
    per_seed = [
        {
            "experiment": name,
            "problem": t.problem,
            "method": t.method,
            "seed": t.seed,
            "objective": t.objective,
            "violation": t.violation,
            "feasible": t.feasible,
            "status": t.status,
            "answer": t.answer,
            "spent": t.spent,
            "seconds": t.seconds,
        }
        for name, r in races.items()
        for t in r.trials
    ]
    return plain(
        {
            "slug": claim.slug,
            "claim": claim.statement,
            "holds": all(p.holds for p in parts if p.holds is not None) if parts else None,
            "command": f"feasible reproduce {claim.slug} --scale {scale}",
            "scale": scale,
            "seeds": list(seeds),
            "parts": [asdict(p) for p in parts],
            "why": claim.why,
            "figures": {p.statement: p.figure for p in parts},
            "budgets": {n: dict(r.budget) for n, r in races.items()},
            "per_seed": per_seed,
            "extra": more,
            "versions": versions(),
            "machine": platform.machine(),
            "commit": commit(),
        }
    )


def write_evidence(evidence: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write evidence/<slug>.json and return its path.

    Args:
        evidence: What `run_claim` returned.
        folder: Where; `evidence_folder()` without one.
    """
    folder = folder or evidence_folder()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{evidence['slug']}.json"
    file.write_text(json.dumps(evidence, indent=1, allow_nan=False) + "\n")
    return file


def commit() -> str | None:
    """Return the commit that the code is at, '+' appended where the tree was changed; None outside
    a checkout.
    """
    root = Path(__file__).resolve().parents[3]
    try:
        head = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        changed = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--", "src"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + ("+" if changed.strip() else "")
