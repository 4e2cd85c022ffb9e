"""The rate, the bound and the temperature of every loss of the claim of DisCO, on seeds that the
claim does not report: every pair or triple of the grid, from the same policy, with the same
questions; the largest rate on the first seed alone.

`python -m benchmarks.losses` runs it, 20 minutes a seed on one core; what was finished is kept in
`losses.db` and not computed again. It is not a part of `make bench`. `results/losses-development.
json` holds the table; the claim's settings are the best of it for each loss, which a test sees to.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

SEEDS = (100, 101)
RATES, DELTAS, TAUS = (3e-5, 1e-4, 3e-4, 1e-3), (1e-3, 1e-2), (0.1, 1.0, 10.0)
EDGE = RATES[-1]
"""On the first seed alone, to see that the best is not beyond the others."""
PLAIN = ("grpo", "grpo-er", "dr-grpo", "dapo", "trpa", "rloo")
METRICS = ("reward, digits 2", "reward", "reward, drawn", "entropy")
"""Of which the first chooses."""


def grid() -> Iterator[tuple[str, dict[str, Any]]]:
    """Loss of the claim and its settings."""
    for rate in RATES:
        for loss in PLAIN:
            yield loss, {"rate": rate}
        for delta in DELTAS:
            yield "disco-b", {"rate": rate, "delta": delta}
            for tau, score in itertools.product(TAUS, ("logl", "lratio")):
                yield "disco", {"rate": rate, "delta": delta, "tau": tau, "score": score}


def family(row: Mapping[str, Any]) -> str:
    """What is chosen for: a loss, of DisCO with its score."""
    return f"{row['loss']}, {row['score']}" if "score" in row else str(row["loss"])


def chosen(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Family -> its row with the highest mean of the first metric."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        best = found.get(family(row))
        if best is None or np.mean(row[METRICS[0]]) > np.mean(best[METRICS[0]]):
            found[family(row)] = row
    return found


def run(
    seeds: Sequence[int] = SEEDS, rates: Sequence[float] = RATES, store: str = "losses.db"
) -> list[dict[str, Any]]:
    """A row for every loss and setting: figures of each seed at the end."""
    import feasible
    from feasible.core.registry import load_method
    from feasible.language.disco.claim import STEPS, policy

    rows: list[dict[str, Any]] = []
    for rate in rates:
        cells = [(loss, given) for loss, given in grid() if given["rate"] == rate]
        names = [f"{loss}[{','.join(f'{k}={v}' for k, v in g.items())}]" for loss, g in cells]
        some: list[dict[str, Any]] = [{"loss": loss, **given} for loss, given in cells]
        for seed in seeds:
            if rate == EDGE and seed != seeds[0]:
                continue
            problem = policy(seed)
            problem.trail_growth = 1e9  # judged at both ends only
            race = feasible.race(
                [problem],
                {name: load_method(name) for name in names},
                {"samples": STEPS["desk"] * 256},
                (seed,),
                store=store,
                name=f"losses-{seed}-{rate:g}",
            )
            for name, row in zip(names, some, strict=True):
                (trial,) = race.of(race.contests[0].name, name)
                for metric in METRICS:
                    ended = trial.status == "done"
                    last = trial.trail[-1].verdict.metrics[metric] if ended else 0.0
                    row.setdefault(metric, []).append(round(last, 4))
        rows += some
    return rows


if __name__ == "__main__":
    from benchmarks.common import write

    given = tuple(int(a) for a in sys.argv[1:]) or SEEDS
    write("losses-development", [], seeds=list(given), rows=run(given))
