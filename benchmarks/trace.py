"""Feedback through a graph: building a node, propagating to it, and trace-opt beside it.

trace-opt wants an environment of its own (1.4 GB): TRACE_OPT_PYTHON names the interpreter of one
that has it, and each round times both on the same lattice, ten nodes wide, each the sum of two of
the row before, one after the other, on the processor's clock and without garbage collection.
Without it only this library's own figures are measured. What is timed is `backward` and, here, the
subgraph that an optimiser reads, which trace-opt's `backward` leaves at the parameters.
"""

from __future__ import annotations

import gc
import json
import os
import re
import statistics
import subprocess
import time
import tracemalloc
from typing import Any

from .common import Figure, write

ROUNDS = int(os.environ.get("TRACE_ROUNDS", "5"))
NODES = 1000
THEIRS = r"""
import gc, json, os, sys, time
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from functools import reduce
from opto.trace import node

def lattice(n, width=10):
    row = [node(1.0, name="x", trainable=True) for _ in range(width)]
    first = row
    for _ in range(n // width - 2):
        row = [row[i] + row[(i + 1) % width] for i in range(width)]
    out = row[0]
    for v in row[1:]:
        out = out + v
    return out, first

for line in sys.stdin:
    gc.collect()
    gc.disable()
    begun = time.process_time()
    out, first = lattice(int(line))
    middle = time.process_time()
    out.backward("f")
    end = time.process_time()
    gc.enable()
    graph = reduce(lambda a, b: a + b, [g for v in first[0].feedback.values() for g in v])
    found = sorted((level, v.name.split(":")[0]) for level, v in graph.graph)
    print(json.dumps([middle - begun, end - middle, found]), flush=True)
"""

ASKED = r"""
import json, os, re
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from types import SimpleNamespace as Plain
from opto.optimizers import OptoPrime, TextGrad
from opto.trace import node

class Stand:
    def __init__(self):
        self.asked = []
    def __call__(self, *args, messages=None, **more):
        self.asked.append(messages)
        text = '{"reasoning": "", "answer": "", "suggestion": {}}'
        return Plain(choices=[Plain(message=Plain(content=text))])
    create = __call__

found = {}
for kind in (OptoPrime, TextGrad):
    x = node(1.0, name="x", trainable=True)
    y = x
    for _ in range(10):
        y = y + 1.0
    llm = Stand()
    optimizer = kind([x], llm=llm)
    optimizer.zero_feedback()
    optimizer.backward(y, "larger")
    optimizer.step()
    text = llm.asked[0][-1]["content"]
    found[kind.__name__] = [len(llm.asked), re.findall(r"^#(\w+)", text, flags=re.M)]
print("\n" + json.dumps(found))
"""


def asked() -> dict[str, list[Any]]:
    """Calls of a step and the first prompt's sections, of a chain of ten operators."""
    from feasible.language import Backend, OptoPrime, TextGrad, node, scripted

    found: dict[str, list[Any]] = {}
    for kind in (OptoPrime, TextGrad):
        texts: list[str] = []

        def reply(request: Any, texts: list[str] = texts) -> str:
            texts.append(request["messages"][-1]["content"])
            inputs = re.findall(r"^\(float\) (\w+)=", texts[-1], flags=re.MULTILINE)
            return json.dumps(dict.fromkeys(inputs[:1], "larger"))

        x = node(1.0, name="x", trainable=True)
        y = x
        for _ in range(10):
            y = y + 1.0
        optimizer = kind([x], Backend(scripted(reply), "stand-in"))
        optimizer.backward(y, "larger")
        optimizer.step()
        found[kind.__name__] = [len(texts), re.findall(r"^#(\w+)", texts[0], flags=re.MULTILINE)]
    return found


def prompts(python: str) -> list[Figure]:
    """Calls and sections beside trace-opt's, by a stand-in for the model on both sides."""
    done = subprocess.run([python, "-c", ASKED], capture_output=True, text=True, check=True)
    theirs, mine = json.loads(done.stdout.splitlines()[-1]), asked()
    differ = mine["OptoPrime"][1] != theirs["OptoPrime"][1]
    figures = [
        Figure(
            "OptoPrime's prompt: sections that differ from trace-opt's", float(differ), 0, "of 1"
        )
    ]
    for kind in ("OptoPrime", "TextGrad"):
        one, other = mine[kind][0], theirs[kind][0]
        what = f"{kind}, ten operators: calls a step over trace-opt's"
        figures.append(Figure(what, one / other, 1.0, note=f"{one} against {other}"))
    return figures


def ours(n: int) -> tuple[float, float, list[tuple[int, str]]]:
    """Seconds to build and to propagate, and the node set of the first parameter."""
    from feasible.language.trace import subgraph
    from feasible.language.trace.claim import lattice

    gc.collect()
    gc.disable()
    begun = time.process_time()
    out, first = lattice(n)
    middle = time.process_time()
    out.backward("f")
    subgraph(out, first)
    end = time.process_time()
    gc.enable()
    found = sorted((v.level, v.base) for v in subgraph(out, first[:1]).nodes)
    return middle - begun, end - middle, found


def beside(python: str) -> list[Figure]:
    """Both on the lattice of 1000 nodes, in turns."""
    child = subprocess.Popen(
        [python, "-c", THEIRS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    build, spread, same = [], [], True
    took: list[tuple[float, float]] = []
    for k in range(ROUNDS + 1):
        mine = ours(NODES)
        child.stdin.write(f"{NODES}\n")
        child.stdin.flush()
        theirs = json.loads(child.stdout.readline())
        if k:  # the first imports
            build.append(mine[0] / theirs[0])
            spread.append(theirs[1] / mine[1])
            took.append((mine[1], theirs[1]))
        same &= [list(v) for v in mine[2]] == theirs[2]
    child.stdin.close()
    child.wait(timeout=30)
    one, other = (statistics.median(t) for t in zip(*took, strict=True))
    return [
        Figure(
            "propagation, lattice of 1,000 nodes: trace-opt's time over ours",
            statistics.median(spread),
            100,
            "at least",
            f"{1e3 * one:.1f} ms against {other:.2f} s",
        ),
        Figure("building a node over trace-opt, time", statistics.median(build), 1.0),
        Figure("node sets that differ from trace-opt's", float(not same), 0, "of 1"),
    ]


def alone() -> list[Figure]:
    """A lattice of 10,000 nodes, a chain of 100,000, and memory over 10,000 iterations."""
    from feasible.language.trace import node, subgraph

    times = [ours(10_000)[:2] for _ in range(ROUNDS + 1)][1:]
    build, spread = (statistics.median(t) / 10_000 for t in zip(*times, strict=True))
    x = node(1.0, name="x", trainable=True)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    begun = time.perf_counter()
    y.backward("f")
    subgraph(y, [x])
    chain = time.perf_counter() - begun
    del y
    x.zero_feedback()

    def iterate(times: int) -> int:
        for _ in range(times):
            x.zero_feedback()
            z = (x * 2.0 + 1.0) * x
            z.backward("more")
            subgraph(z, [x])
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = iterate(1000)
    grown = iterate(10_000) - before
    tracemalloc.stop()
    return [
        Figure("propagating to a node, lattice of 10,000", 1e6 * spread, 10, "us"),
        Figure("building a node, lattice of 10,000", 1e6 * build, 20, "us"),
        Figure("propagating through a chain of 100,000", chain, None, "s"),
        Figure("memory grown in 10,000 iterations", grown / 10_000, 0.1, "bytes an iteration"),
    ]


def run() -> list[Figure]:
    """All parts."""
    python = os.environ.get("TRACE_OPT_PYTHON")
    figures = alone() + (beside(python) + prompts(python) if python else [])
    write("trace", figures)
    return figures
