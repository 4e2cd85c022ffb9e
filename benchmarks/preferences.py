"""UltraGen's second phase on seeds that its claim does not report: rate and beta, for sampled lists
and for random ones alike, all from one model of the first phase; the pairs of an arm
are drawn once.

`python -m benchmarks.preferences` runs it, nine minutes a seed on one core; a seed that is in
`results/preferences-development.json` is not computed again. It is not a part of `make bench`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .common import RESULTS, write

SEEDS = (100, 101)
GRID = (
    (3e-5, 0.1),
    (1e-4, 0.1),
    (1e-4, 0.5),
    (3e-4, 0.1),
    (3e-4, 0.5),
    (3e-4, 1.0),
    (1e-3, 0.5),
    (1e-3, 1.0),
)
"""Rate and beta, for three passes over the pairs."""
ARMS = {"sampled": "correlated-diverse", "random": "random"}
FILE = "preferences-development"


def rows(seed: int) -> Iterator[dict[str, Any]]:
    """The first phase alone, then every arm and setting."""
    from feasible.language.ultragen import UltraGen, csr, story_judge
    from feasible.language.ultragen.claim import SETS, SETTINGS, TRIPLETS
    from feasible.language.ultragen.instances import stories_problem
    from feasible.language.ultragen.run import UltraGenRun
    from feasible.language.ultragen.training import gpo_step, gpo_steps, make_pairs, optimizer_of

    problem = stories_problem(4000, 100, seed=seed)
    held_out, parts = problem.sets(held_out=True), (problem.held_out_data or {})["part"]

    settings, tokenizer = SETTINGS["desk"], problem.tokenizer

    def arm(model: Any) -> UltraGen:
        return UltraGen(model, tokenizer, settings, story_judge, problem.max_tokens, seed)

    def row(trained: UltraGen, **names: Any) -> dict[str, Any]:
        texts, found = trained.write(held_out), {"seed": seed, **names}
        for part in ("global", "local"):
            some = [i for i, p in enumerate(parts) if p == part]
            report = csr([texts[i] for i in some], [held_out[i] for i in some], story_judge)
            found[part] = round(report.macro, 4)
            found |= {f"{part}, {kind}": round(v, 3) for kind, v in report.by_kind.items()}
        return found | {k: round(v, 3) for k, v in problem.fluency(texts).items()}

    first = arm(problem.model()).fit_ar(problem.corpus())
    yield row(first, arm="AR")
    for name, strategy in ARMS.items():
        run = UltraGenRun(
            strategy=strategy,  # type: ignore[arg-type]
            sets=SETS["desk"],
            triplets=TRIPLETS["desk"],
            resolve=name != "random",
        )
        sets = run.unseen(problem, seed)
        given = (settings, story_judge, problem.max_tokens, seed)
        pairs = make_pairs(first.model, tokenizer, sets, *given)
        for rate, beta in GRID:
            model = copy.deepcopy(first.model)
            changed = replace(settings, gpo_steps=1000, gpo_rate=rate, beta=beta)
            optimizer = optimizer_of(model, changed)
            for step in range(gpo_steps(pairs, changed)):
                gpo_step(model, tokenizer, optimizer, pairs, changed, seed, step)
            yield row(arm(model), arm=name, rate=rate, beta=beta)


def main() -> None:
    """Seeds that are not there yet."""
    file = RESULTS / f"{FILE}.json"
    found = json.loads(file.read_text())["rows"] if file.exists() else []
    for seed in SEEDS:
        if all(row["seed"] != seed for row in found):
            found += rows(seed)
            write(FILE, [], seeds=sorted({row["seed"] for row in found}), rows=found)


if __name__ == "__main__":
    main()
