"""Fronts of policies: the speed of policies that are trained together, exact hypervolumes, and
C-MORL beside MORL/D and PCN of morl-baselines.

morl-baselines pins other packages, so it is called in an environment of its own: `python -m venv X;
X/bin/pip install "morl-baselines==1.3.0" "mo-gymnasium>=1.3"`, and MORL_PEER=X/bin/python. Without
it, its rows stay as they were stored. MORL_STEPS, MORL_SEEDS, MORL_PROBLEMS and MORL_METHODS say
how much is run: 200,000 transitions of MORL/D take about ten minutes of a core, of PCN more. Its
methods make as many transitions as ours pay for; their own evaluations, which ours pay for too,
they have for nothing. All fronts are judged on the same episodes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from .common import Figure, in_turns, ratio, stored, write

PEER = os.environ.get("MORL_PEER", "")
STEPS = int(os.environ.get("MORL_STEPS", "200000"))
SEEDS = [int(s) for s in os.environ.get("MORL_SEEDS", "0,1,2").split(",")]
PROBLEMS = os.environ.get("MORL_PROBLEMS", "fruit-tree,minecart").split(",")
METHODS = os.environ.get("MORL_METHODS", "MORL/D,PCN").split(",")
PARTS = os.environ.get("MORL_PARTS", "speed,volume,peers").split(",")
THEIRS = Path(__file__).with_name("morl_baselines_worker.py")
MORLD = {
    "policy_name": "MOSACDiscrete",
    "exchange_every": 2000,
    "update_passes": 1,
    "shared_buffer": True,
    "policy_args": {"learning_starts": 500, "net_arch": [64, 64], "update_frequency": 4},
}
"""Not tuned, but shortened: by default a policy learns from its transition 20,000 on, and each is
trained for 40,000 before the next."""
PCN = {
    "fruit-tree": {"scaling": [0.1] * 7, "most": [10.0] * 6},
    "minecart": {"scaling": [1, 1, 0.1, 0.1], "most": [1.5, 1.5, 0.0]},
}
"""What PCN must be told: scales of returns and of the horizon, and the largest returns."""


def theirs(method: str, name: str, seed: int) -> dict[str, Any]:
    """What a method of morl-baselines finds, judged on the judge's episodes."""
    from feasible.core.registry import load_problem
    from feasible.policies.control import JUDGE
    from feasible.policies.copies import episode_seed

    problem: Any = load_problem(name)
    given = {
        "method": method,
        "env": problem.env,
        "gamma": problem.discount,
        "ref": problem.reference.tolist(),
        "steps": STEPS,
        "seed": seed,
        "judge": [episode_seed(JUDGE + 1, 0, e) for e in range(problem.final_episodes)],
        **({"args": MORLD} if method == "MORL/D" else PCN[name]),
    }
    done = subprocess.run(
        [PEER, str(THEIRS)], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def peers() -> list[Figure]:
    """Hypervolumes of their fronts over ours, after as many transitions."""
    import feasible
    from feasible.core.registry import load_problem
    from feasible.policies.c_morl.metrics import hypervolume

    def volumes_of(name: str, method: str) -> list[float]:
        found = [feasible.solve(name, method, {"env_steps": STEPS}, seed) for seed in SEEDS]
        return [-one.verdict.objective for one in found]

    figures = []
    for name in PROBLEMS:
        ours, sums = (volumes_of(name, m) for m in ("c-morl", "linear-scalarisation"))
        said = f"{name}, {STEPS:,} transitions, {len(SEEDS)} seeds"
        figures += [
            Figure(f"{said}: median hypervolume of C-MORL", float(np.median(ours)), unit=""),
            Figure(
                f"{said}: median hypervolume of linear scalarisation over C-MORL's",
                float(np.median(sums) / np.median(ours)),
                1.0,
            ),
        ]
        problem: Any = load_problem(name)
        for method in METHODS:
            runs = [theirs(method, name, seed) for seed in SEEDS]
            volumes = [
                hypervolume(r["points"], problem.reference) if r["points"] else 0.0 for r in runs
            ]
            free = float(np.median([r["evaluations"] for r in runs]))
            figures += [
                Figure(
                    f"{said}: median hypervolume of {method} over C-MORL's",
                    float(np.median(volumes) / np.median(ours)),
                    1.0,
                ),
                Figure(f"{said}: transitions of evaluations that {method} had free", free, unit=""),
                Figure(
                    f"{said}: processor time of {method}",
                    float(np.median([r["seconds"] for r in runs])),
                    unit="s",
                ),
            ]
    return figures


def speed() -> list[Figure]:
    """Transitions of six policies that are trained together, and one after the other."""
    import torch

    from feasible.core.threads import fixed
    from feasible.policies.c_morl.collect import Walk, collect, prior, shape_of
    from feasible.policies.c_morl.instances import mo_control
    from feasible.policies.c_morl.members import Members
    from feasible.policies.c_morl.metrics import simplex
    from feasible.policies.c_morl.ppo import Goals, update
    from feasible.policies.c_morl.settings import CMORLSettings

    problem, settings = mo_control("fruit-tree"), CMORLSettings()
    shape, weights = shape_of(problem, settings.hidden), simplex(6, 1.0)

    def population(rows: Any) -> Any:
        rng = torch.Generator().manual_seed(0)
        members = Members.begin(len(rows), shape, rng, *prior(problem))
        walk = Walk.begin(problem, len(rows) * settings.n_envs, 0)
        goals = Goals.weighted(rows)

        def go() -> None:
            with fixed(1):
                batch = collect(members, shape, problem, walk, settings.n_steps, 0.99, rng)
                assert batch is not None
                update(members, shape, goals, batch, settings, 0.99, 3e-4, 1.0, rng)

        return go

    together, alone = population(weights), [population(weights[i : i + 1]) for i in range(6)]

    def one_by_one() -> None:
        for go in alone:
            go()

    times = in_turns(one_by_one, together, rounds=5)
    return [
        Figure(
            "fruit-tree: an update of 6 policies one after the other over all at once, wall",
            ratio(*times),
            3.0,
            "at least, times",
        )
    ]


def volume() -> list[Figure]:
    """Exact hypervolumes of 200 points of six objectives."""
    from feasible.policies.c_morl.metrics import hypervolume, pareto_filter

    rng = np.random.default_rng(0)
    points = np.abs(rng.standard_normal((2000, 6)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points = points[pareto_filter(points)][:200]
    (times,) = in_turns(lambda: hypervolume(points, np.zeros(6)), rounds=3)
    took = statistics.median(times)
    return [Figure("hypervolume of 200 points, six objectives, exact", took, 1.0, "s")]


def run() -> list[Figure]:
    """The parts that are asked for; others stay as they were stored."""
    parts = {"speed": speed, "volume": volume, "peers": peers}
    asked = [name for name in PARTS if name != "peers" or PEER]
    found = [figure for name in asked for figure in parts[name]()]
    fresh = {figure.what for figure in found}
    figures = [*found, *(f for f in stored("policies_front") if f.what not in fresh)]
    write("policies_front", figures, load=os.getloadavg()[1])
    return figures
