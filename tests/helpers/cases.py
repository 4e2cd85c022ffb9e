"""One small run of every registered method, for the tests of the contract.

FULL is true in `make claims`, where every method, every cut and every setting is tried; otherwise
a few are.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest.mock import patch

import labkit
import numpy as np
import pandas as pd

import feasible
from feasible.blackbox import BlackBox
from feasible.blackbox.private_gsd.domain import Domain
from feasible.blackbox.private_gsd.problem import PrivateTable
from feasible.blackbox.private_gsd.queries import Marginals
from feasible.core.checkpoint import encode
from feasible.core.ledger import Observation
from feasible.core.registry import load_method, load_problem, methods

FULL = os.environ.get("FEASIBLE_TESTS") == "full"
SEED = 100
MOST = {
    "evaluations": 60,
    "steps": 40,
    "gradients": 60,
    "env_steps": 600,
    "sweeps": 600,
    "components": 20_000,
    "labels": 100,
    "messages": 700,
    "hops": 2000,
    "factorizations": 60,
    "queries": 500,
    "stage_problems": 60,
}
"""At most this much of a resource is spent in a run."""
FEW = 6
"""Evaluations of the methods whose proposals take tenths of a second."""
MODELS = ("bo-", "gp-cei", "gp-penalty", "pfn-", "ccbo", "botorch-", "ax", "baybe", "optuna-gp")
"""The names of these methods begin so."""
SMALLER = {
    "n_initial": 4,
    "n_init": 4,
    "n_startup_trials": 4,
    "n_particles": 4,
    "popsize": 4,
    "pop_size": 6,
    "generations": 200,
    "iterations": 50,
    "noise_seed": 1,
}
"""Settings that bring a method past its beginning within a small budget."""
OWN = {
    "autolrs": ({"tau": 40, "tau_ratio": 0.25, "k": 2, "tau_max": 40}, 50),
    "autolrs-adam": ({"tau": 40, "tau_ratio": 0.25, "k": 2, "tau_max": 40}, 50),
    "hesso-cric": ({}, 60),
    "topo": ({}, 5000),
    "topo-random": ({}, 5000),
    "topo-networks": ({"train_steps": 40}, 6),
    "bib": ({"steps": 10}, 25),
    "bdi": ({"steps": 10}, 25),
    "bib-forward": ({"steps": 10}, 25),
    "bib-backward": ({"steps": 10}, 25),
    "bib-adaptive": ({"steps": 10}, 25),
    "cnn-ascent": ({"steps": 10, "train_steps": 20}, 15),
    "cnn-ascent-adaptive": ({"steps": 10, "train_steps": 20}, 15),
    "coms": ({"steps": 10, "train_steps": 20}, 15),
    "genetic-sequences": ({}, 10),
    "ranked-mutants": ({}, 10),
    "sequence-cma": ({"generations": 4}, 5),
    "common-descent": ({"n_points": 2}, 120),
    "pareto-subdivision": ({"levels": 2, "samples": 1}, 120),
    "dagma": ({"warm_iter": 100, "max_iter": 200}, 5),
    "dagma-networks": ({"warm_iter": 20, "max_iter": 40}, 5),
    "castle-notears": ({"max_iter": 2}, 5),
    "castle-notears-networks": ({"max_iter": 1}, 5),
    "castle-golem": ({"steps": 50}, 5),
    "penalty-bilevel": ({"inner": 2}, 60),
    **dict.fromkeys(
        ("c-morl", "c-morl-unbounded"),
        ({"n_envs": 2, "n_steps": 6, "minibatches": 1, "n_select": 1, "update_iter": 1}, 600),
    ),
    "linear-scalarisation": ({"n_envs": 2, "n_steps": 6, "minibatches": 1}, 600),
    **dict.fromkeys(("pi-hc", "pi-hc-moe", "pi-sc"), ({"width": 4, "modes": 3, "layers": 1}, 9)),
    **dict.fromkeys(
        ("mdpo", "mdpo-tsallis", "mdpo-minibatch"), ({"n_envs": 3, "n_steps": 20, "width": 8}, 250)
    ),
    "mdpo-off-policy": (
        {"learning_starts": 100, "batch": 16, "width": 8, "sync_every": 40, "buffer_size": 150},
        270,
    ),
    "ppo-lagrangian": ({"n_envs": 3, "n_steps": 20, "width": 8}, 250),
    "sb3-ppo": ({"n_envs": 3, "n_steps": 20, "normalize": "true"}, 250),
    "sb3-a2c": ({"n_envs": 3}, 550),
    "sb3-trpo": ({"n_envs": 3, "n_steps": 20}, 250),
    "sb3-sac": ({"learning_starts": 230}, 270),
    **dict.fromkeys(
        (
            *("crpg", "crraft", "codpo", "rloo-lagrangian", "rloo-judged", "rloo-kl"),
            *("rloo-mixed", "ppo-bandit", "raft", "dpo-judged"),
        ),
        ({"k": 2, "prompts": 4}, 44),
    ),
    **dict.fromkeys(("obs-pruning", "obs-one-shot"), ({"ngrads": 32, "recomputations": 3}, 20)),
    "ts-ddr": ({"iterations": 8, "batch": 1}, 24),
    "ts-ldr": ({"iterations": 8, "batch": 1}, 24),
    **dict.fromkeys(
        ("ultragen", "ultragen-random"),
        (
            {
                "ar_steps": 2,
                "ar_batch": 2,
                "sets": 3,
                "n_samples": 2,
                "gpo_steps": 2,
                "gpo_batch": 2,
                "triplets": 50,
            },
            4000,
        ),
    ),
    **dict.fromkeys(("ultragen-ar", "ultragen-ar-fixed"), ({"ar_steps": 3, "ar_batch": 2}, 1000)),
    "linear-rule": ({"paths": 10}, 60),
    "mean-trajectory": ({"paths": 10}, 60),
    **dict.fromkeys(
        ("disco", "disco-b", "grpo", "grpo-er", "dr-grpo", "trpa", "rloo"),
        ({"group": 2, "questions": 3, "minibatches": 2}, 36),
    ),
    "dapo": ({"group": 2, "questions": 3, "minibatches": 2, "rounds": 2}, 36),
    **dict.fromkeys(
        ("fedzo", "fedprox", "scaffold-1", "scaffold-2"), ({"q": 3, "local_steps": 2}, 400)
    ),
}
"""Settings and budgets of single methods."""


def toy() -> BlackBox:
    """A black box of two inputs, which differ in scale, with a limit that is active."""
    return BlackBox(
        labkit.bowl,
        bounds=[(0.0, 1.0), (-1.0, 2.0)],
        objective="cost",
        limits={"load": ">= 1"},
        name="toy",
    )


def table() -> PrivateTable:
    """A private table of 300 rows and three columns of categories."""
    rng = np.random.default_rng(SEED)
    sizes = {"a": 2, "b": 3, "c": 4}
    a = rng.integers(0, 2, 300)
    columns = {"a": a, "b": rng.integers(0, 3, 300), "c": a + rng.integers(0, 3, 300)}
    return PrivateTable(pd.DataFrame(columns), Domain.of(sizes), Marginals(2), "table")


@dataclass(frozen=True)
class Case:
    """A registered method on a small problem with a small budget."""

    name: str
    method: str
    problem: str
    resource: str
    limit: float

    def fresh(self) -> feasible.Problem:
        """The problem, made anew."""
        own = {"toy": toy, "table": table}
        return own[self.problem]() if self.problem in own else load_problem(self.problem)

    def run(self, method: Any = None, limit: float | None = None, **options: Any) -> Any:
        """Solve the problem by the method, or by another one, within the budget, or less."""
        budget = {self.resource: self.limit if limit is None else limit}
        problem = options.pop("problem", None) or self.fresh()
        return feasible.solve(problem, method or self.method, budget, SEED, **options)


@cache
def case(name: str) -> Case:
    """The small run of a method."""
    from feasible.cli.listings import _example

    entry, method = methods()[name], load_method(name)
    problem = entry.example or _example(entry.solves)
    if entry.solves in ("BlackBox", "PrivateTable") and (name == "pgm" or not entry.example):
        problem = {"BlackBox": "toy", "PrivateTable": "table"}[entry.solves]
    ((resource, limit),) = feasible.Budget.parse(method.solves.example_budget).items()
    most = FEW if name.startswith(MODELS) else MOST.get(resource, limit)
    known = {f.name for f in dataclasses.fields(method)}
    settings = {k: v for k, v in SMALLER.items() if k in known}
    settings, most = OWN.get(name, (settings, most))
    given = ",".join(f"{k}={v}" for k, v in settings.items())
    return Case(
        name,
        f"{name}[{given}]" if given else name,
        problem,
        resource,
        min(limit, most),
    )


@dataclass
class Watched:
    """A run, and every answer that was judged in it with its digest at that time."""

    result: Any
    judged: list[tuple[Any, Any]] = field(default_factory=list)


@cache
def watched(name: str) -> Watched:
    """The uninterrupted run of a method, made once in a process."""
    problem = case(name).fresh()
    judge, seen = type(problem).judge, []

    def noting(self: Any, answer: Any) -> Any:
        seen.append((answer, digest(answer)))
        return judge(self, answer)

    with patch.object(type(problem), "judge", noting):
        return Watched(case(name).run(problem=problem), seen)


def whole(name: str) -> Any:
    """The uninterrupted run of a method, made once in a process."""
    return watched(name).result


def told(result: Any, left_out: Sequence[str] = ()) -> list[Any]:
    """Steps, spending and verdicts of a run bit for bit, without what the clock says, nor the
    resources that are left out.
    """
    points = [(p.step, p.spent, p.verdict) for p in result.trail]
    points.append((result.steps, result.spent, result.verdict))
    return [
        (
            step,
            {k: float(v).hex() for k, v in spent.items() if k not in ("seconds", *left_out)},
            float(verdict.objective).hex(),
            float(verdict.violation).hex(),
        )
        for step, spent, verdict in points
    ]


def digest(answer: Any) -> tuple[Any, bytes]:
    """An answer bit for bit: what it is made of, and its numbers."""
    if isinstance(answer, Observation):
        return answer.id, answer.x.tobytes()
    if isinstance(answer, pd.DataFrame):
        return list(answer.columns), answer.to_numpy().tobytes()
    blob = encode(answer)
    start = 8 + int.from_bytes(blob[:8], "little")
    return json.loads(blob[8:start]), blob[start:]


def same(one: Any, other: Any, left_out: Sequence[str] = ()) -> None:
    """Assert that two runs are equal bit for bit: trail, answer, reason and ledger, without the
    spending of the resources that are left out.
    """
    assert told(one, left_out) == told(other, left_out)
    assert digest(one.answer) == digest(other.answer)
    assert one.stopped == other.stopped
    if one.problem.keeps_ledger:
        labkit.same_ledger(one.ledger.all(), other.ledger.all())
