"""The claim of arXiv 2406.16218: the trace carries information that a score does not.

The paper's comparison of language models needs models of a size that cannot be run here. What can
be decided is the statement under it, on the paper's kind of numeric problem: with the same
executions an optimiser that reads the trace solves more programs than any that sees the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import process_time
from typing import Any

import numpy as np

from ...api import solve
from ...core.problem import Method
from ...lab.claim import Claim, Experiment, Part, by_method, last_metric, sampled
from ...lab.trials import Race
from .instances import Program, numeric_program
from .nodes import Node, ParameterNode
from .peers import CobylaWorkflow, NelderMeadWorkflow, Powell, SignedHistory
from .propagate import gradient, subgraph
from .run import NumericTraceRun, OptoPrimeRun, RandomMutation, TextGradRun

PARAMETERS = (1, 2, 3, 10)
PROGRAMS = {"smoke": 4, "desk": 500, "paper": 2000}
"""Programs of each number of parameters, for a seed."""
MORE = {10: 4}
"""Times as many, where what is measured is near its bar."""
EXECUTIONS = 20
CLOSE = 0.01
"""A program counts as solved where the error is within this share of the start's."""
SCORE_ONLY: dict[str, Method] = {
    "Powell": Powell(),
    "Nelder-Mead": NelderMeadWorkflow(),
    "COBYLA": CobylaWorkflow(),
    "random mutation": RandomMutation(),
}
OURS, SIGNED = "trace", "sign of the error, no trace"
MARGIN = {1: 0.08, 2: 0.08, 3: 0.08, 10: 0.3}


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """Pieces of a prompt: mutations against all combinations."""
    methods = {"enumerate": "enumerate", "random-mutation": "random-mutation"}
    return [
        Experiment("prompt pieces", ["prompt-pieces"], methods, {"evaluations": 540}, tuple(seeds))
    ]


def check(races: Mapping[str, Race]) -> list[Part]:
    """What enumeration and mutations reach."""
    parts = []
    for where, race in races.items():
        for name, values in by_method(race, last_metric("number")).items():
            parts.append(
                sampled(f"{where}, 540 executions: surprise by {name}", {"s": values}, _mean)
            )
    return parts


def _mean(values: Mapping[str, np.ndarray]) -> float:
    return float(np.mean(next(iter(values.values()))))


def solved(method: Method, parameters: int, seed: int) -> bool:
    """Whether a method solves a program."""
    problem = numeric_program(parameters, seed)
    found = solve(problem, method, {"evaluations": EXECUTIONS}, seed)
    return bool(found.verdict.objective <= CLOSE)


def shares(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """Shares of programs that are solved. Each seed has programs of its own, so what was measured
    is a row for each program, and no seed is common to several.
    """
    methods = {OURS: NumericTraceRun(), **SCORE_ONLY, SIGNED: SignedHistory()}
    parts, kept = [], {}
    for p in PARAMETERS:
        many = PROGRAMS[scale] * MORE.get(p, 1)
        drawn = [10_000 * (s + 1) + k for s in seeds for k in range(many)]
        table = {
            name: np.array([[solved(m, p, number)] for number in drawn], float)
            for name, m in methods.items()
        }
        kept[f"{p} parameters"] = {
            name: v.reshape(len(seeds), many).mean(1).tolist() for name, v in table.items()
        }
        where = f"{p} parameter{'s' if p > 1 else ''}"
        parts += [
            sampled(f"{where}: share solved by the trace", {OURS: table[OURS]}, _mean, ">= 0.85"),
            sampled(
                f"{where}: share solved by the trace less that of the best score-only rival",
                {name: v for name, v in table.items() if name != SIGNED},
                _lead,
                f">= {MARGIN[p]:g}",
            ),
        ]
        parts += [
            sampled(f"{where}: share solved by {name}", {name: v}, _mean)
            for name, v in table.items()
            if name != OURS
        ]
    return parts, kept


def _lead(values: Mapping[str, np.ndarray]) -> float:
    """The trace's share less the best other one's."""
    means = {name: float(v.mean()) for name, v in values.items()}
    return means.pop(OURS) - max(means.values())


def gradients(seeds: Sequence[int]) -> Part:
    """The largest difference of the trace's gradients from complex steps', over their size."""
    worst = 0.0
    for s in seeds:
        for k in range(20):
            program = Program(1 + k % 5, 1000 * s + k)
            x = np.random.default_rng([s, k]).standard_normal(len(program.names))
            nodes = [ParameterNode(float(v), n) for n, v in zip(program.names, x, strict=True)]
            found = gradient(program(**{n.base: n for n in nodes}), nodes)
            for i, mine in enumerate(found):
                theirs = _complex_step(program, x, i)
                worst = max(worst, abs(mine - theirs) / max(1.0, abs(theirs)))
    return Part("gradient of the trace: largest difference from complex steps", worst, "<= 1e-10")


def _complex_step(program: Program, x: np.ndarray, i: int) -> float:
    """The derivative by one parameter, without differences."""
    values: list[Any] = [complex(v) for v in x]
    values[i] += 1e-30j
    for op, a, b, constant in program.steps:
        one, other = values[a], values[b] if b < len(values) else constant
        if op in ("sin", "tanh"):
            values.append(getattr(np, op)(one))
        elif op == "multiply":
            values.append(one * other)
        else:
            values.append(one + other if op == "add" else one - other)
    return float((values[-1] + sum(values[k] for k in program.unused)).imag / 1e-30)


def calls(seeds: Sequence[int]) -> list[Part]:
    """Calls of a model in a step, on programs of 10 parameters, by the rule-based backend."""
    parts = []
    for method in (OptoPrimeRun(backend="rules"), TextGradRun(backend="rules")):
        counts = []
        for s in seeds:
            problem = numeric_program(10, 10_000 * (s + 1))
            found = solve(problem, method, {"evaluations": 3}, s)
            counts.append(found.spent["calls"] / found.spent["steps"])
        bar = "<= 1" if method.name == "optoprime" else "reported"
        what = f"calls a step of {method.name}, 10 parameters, rule-based backend (no model)"
        parts.append(sampled(what, {"calls": np.array([counts])}, _mean, bar))
    return parts


def lattice(n: int, width: int = 10) -> tuple[Node, list[Node]]:
    """About n nodes in rows of ten, each the sum of two of the row before."""
    row: list[Node] = [ParameterNode(1.0, "x") for _ in range(width)]
    first = row
    for _ in range(n // width - 2):
        row = [row[i] + row[(i + 1) % width] for i in range(width)]
    out = row[0]
    for v in row[1:]:
        out = out + v
    return out, first


def speed(scale: str) -> list[Part]:
    """Processor time of a node: to make it, to send feedback to it and to find the subgraph."""
    times = []
    for _ in range(2 if scale == "smoke" else 9):
        begun = process_time()
        out, first = lattice(10_000)
        middle = process_time()
        out.backward("f")
        nodes = len(subgraph(out, first).nodes)
        times.append(((middle - begun) / nodes, (process_time() - middle) / nodes))
    build, spread = (1e6 * float(np.median(t)) for t in zip(*times, strict=True))
    return [
        Part("microseconds a node to propagate, lattice of 10,000", spread, "<= 10"),
        Part("microseconds a node to build, lattice of 10,000", build, "<= 20"),
    ]


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """What needs no race."""
    parts, kept = shares(scale, seeds)
    return [*parts, gradients(seeds), *calls(seeds), *speed(scale)], kept


claim = Claim(
    "trace",
    "the trace of a computation carries information that its score does not: with as many "
    "executions an optimiser that reads it solves more numeric programs than any score-only one",
    experiments,
    check,
    extra=extra,
    why=(
        "Programs, rivals and bars are our own: the paper's figures need language models that "
        "cannot be run here, and nothing is said of those. What a score loses is in large part the "
        "sign of the error: a method without the trace that sees the sign, random points until it "
        "changes and Brent's method then, solves nearly as many programs, which is reported beside."
    ),
)
