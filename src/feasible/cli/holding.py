"""What a store holds, as a listing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .common import emit

if TYPE_CHECKING:
    from ..lab.store import Store

LISTED = 10_000
"""Most runs that are listed at once."""


def list_store(where: Store, out: Any, *, json: bool) -> None:
    """Print the races, runs and studies of a store, and what is not listed."""
    from ..lab.console import listing

    damaged: list[str] = []
    races = where.races(damaged)
    runs = where.runs(limit=LISTED, kinds=("solve", "study"), damaged=damaged)
    left_out = where.left_out(LISTED) | {"damaged": len(damaged)}
    if json:
        emit(
            {
                "races": [
                    {"name": r["name"], "state": r["state"], "spec": r["spec"]} for r in races
                ],
                "runs": [
                    {
                        "name": r.name,
                        "kind": r.kind,
                        "problem": r.problem,
                        "method": r.method,
                        "seed": r.seed,
                        "state": r.state,
                        "budget": r.budget,
                        "objective": (r.result or {}).get("objective"),
                        "feasible": (r.result or {}).get("feasible"),
                    }
                    for r in runs
                ],
                "left_out": left_out,
            }
        )
        return
    if races:
        listing(
            out,
            "races",
            ["name", "state", "problems", "methods", "seeds"],
            [
                [
                    r["name"],
                    r["state"],
                    ", ".join(r["spec"]["problems"]),
                    ", ".join(r["spec"]["methods"]),
                    len(r["spec"]["seeds"]),
                ]
                for r in races
            ],
        )
    listing(
        out,
        "runs and studies",
        ["name", "kind", "problem", "method", "state", "budget", "objective", "feasible"],
        [
            [
                r.name,
                r.kind,
                r.problem,
                r.method,
                r.state,
                ", ".join(f"{k}={v:g}" for k, v in r.budget.items()),
                _short((r.result or {}).get("objective")),
                {True: "yes", False: "no"}.get((r.result or {}).get("feasible", ""), ""),
            ]
            for r in runs
        ],
    )
    for sentence in (
        f"not listed: {left_out['trials']} trials of races; 'feasible show RACE --rows' lists them",
        f"not listed: {left_out['older']} older runs",
        f"not listed: {left_out['damaged']} damaged: {'; '.join(damaged)}",
    ):
        if " 0 " not in sentence:
            out.print(sentence, markup=False)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.8g}"
