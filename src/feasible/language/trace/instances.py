"""Workflows to try methods on: random arithmetic programs, and pieces of a prompt.

A program of the paper's numeric kind: 5 to 15 operators of +, -, *, sin and tanh on 1 to 3 numbers
(or more) and constants, and a hidden value of the parameters that gives the target. The pieces of a
prompt are chosen for a small character model that is trained here, in a tenth of a second, on
questions with their answers; what is minimised is its surprise at the right answers.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np

from ...core.checks import whole
from .bundle import bundle
from .nodes import Node
from .operators import sin, tanh
from .workflow import Variable, Workflow

CONSTANTS = (0.5, 2.0)
"""Constants are drawn from this range."""


class Program:
    """A random program.

    Args:
        parameters: How many numbers it has.
        seed: Of the program, its start and its hidden parameters.
    """

    def __init__(self, parameters: int, seed: int) -> None:
        rng = np.random.default_rng([seed, parameters])
        self.names = [f"x{i}" for i in range(parameters)]
        many = int(rng.integers(5, 16)) + max(parameters - 3, 0)
        self.steps: list[tuple[str, int, int, float]] = []
        used: set[int] = set()
        for k in range(many):
            known = parameters + k
            fresh = [i for i in range(known) if i not in used]
            a = int(fresh[rng.integers(len(fresh))]) if fresh else int(rng.integers(known))
            b = int(rng.integers(known + 1))
            op = str(rng.choice(["add", "subtract", "multiply", "sin", "tanh"]))
            used |= {a} if op in ("sin", "tanh") or b == known else {a, b}
            self.steps.append((op, a, b, float(rng.uniform(*CONSTANTS))))
        self.unused = [i for i in range(parameters + many - 1) if i not in used]
        self.hidden = rng.standard_normal(parameters)
        self.start = rng.standard_normal(parameters)

    def __call__(self, **nodes: Node) -> Node:
        """Run it on nodes; what no operator used is added up at the end."""
        values = [nodes[name] for name in self.names]
        for op, a, b, constant in self.steps:
            x = values[a]
            y = values[b] if b < len(values) else constant
            if op == "sin":
                values.append(sin(x))
            elif op == "tanh":
                values.append(tanh(x))
            elif op == "add":
                values.append(x + y)
            elif op == "subtract":
                values.append(x - y)
            else:
                values.append(x * y)
        out = values[-1]
        for i in self.unused:
            out = out + values[i]
        return out

    def at(self, x: np.ndarray) -> float:
        """Its value at some parameters."""
        nodes = {name: Node(float(v), name) for name, v in zip(self.names, x, strict=True)}
        return float(self(**nodes)._data)


def numeric_program(parameters: int = 2, seed: int = 0) -> Workflow:
    """A random program, a start, and the output of hidden parameters as the target.

    The objective is the error over the start's. Programs whose start is within .001 of the target,
    or whose values are above 1000, are drawn again.

    Args:
        parameters: Numbers that may be changed.
        seed: Of all that is random.

    Raises:
        ArgumentError: Fewer than one.
    """
    whole("parameters", parameters, least=1, most=1000)
    whole("seed", seed, least=0)
    for k in itertools.count():
        program = Program(parameters, 1000 * seed + k)
        target, first = program.at(program.hidden), program.at(program.start)
        if abs(first - target) > 1e-3 and max(abs(first), abs(target)) < 1e3:
            break

    def feedback(value: float) -> tuple[str, float]:
        error = value - target
        way = "lower" if error > 0 else "higher"
        return f"The output should be {way} by {abs(error):.12g}.", error

    starts = {n: float(v) for n, v in zip(program.names, program.start, strict=True)}
    return Workflow(
        program, starts, feedback, scale=abs(first - target),
        name=f"program-{parameters}" + (f"-{seed}" if seed else ""),
    )  # fmt: skip


class CharacterModel:
    """Probabilities of the next character by the last ones, smoothed after Witten and Bell.

    Args:
        text: To learn from.
        order: Characters that are looked back at.
    """

    def __init__(self, text: str, order: int = 6) -> None:
        self.order, self.letters = order, len(set(text)) + 1
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        for i, letter in enumerate(text):
            for n in range(min(order, i) + 1):
                self.counts[text[i - n : i]][letter] += 1

    def probability(self, before: str, letter: str) -> float:
        """Of a letter after others: each longer context is mixed with the shorter one."""
        found = 1.0 / self.letters
        for n in range(min(self.order, len(before)) + 1):
            seen = self.counts.get(before[len(before) - n :])
            if seen is None:
                break
            total, kinds = sum(seen.values()), len(seen)
            found = (seen[letter] + kinds * found) / (total + kinds)
        return found

    def surprise(self, before: str, text: str) -> float:
        """Mean negative logarithm of a text's letters, in nats."""
        told = 0.0
        for i, letter in enumerate(text):
            told -= math.log(self.probability(before + text[:i], letter))
        return told / len(text)


PIECES = {
    "opening": ("", "Answer: ", "Q: ", "Sum. ", "Please add. "),
    "example": ("", "2+3=5\n", "Q: 2+3? A: 5\n", "two and three is five\n"),
    "before": ("", "Q: ", "what is "),
    "between": ("+", " and ", " plus "),
    "after": ("=", "? A: ", " is "),
}
"""Pieces that a prompt is put together from."""


def corpus(seed: int) -> str:
    """Sums with their results in three styles, of which one is always right."""
    rng = np.random.default_rng(seed)
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    lines = []
    for _ in range(800):
        a, b = (int(v) for v in rng.integers(0, 5, 2))
        wrong = int(rng.integers(0, 10))
        style = int(rng.integers(3))
        if style == 0:
            lines.append(f"{a}+{b}={wrong if rng.random() < 0.3 else a + b}\n")
        elif style == 1:
            lines.append(f"Q: {a}+{b}? A: {a + b}\n")
        else:
            lines.append(f"{words[a]} and {words[b]} is {words[a + b]}\n")
    return "".join(lines)


def prompt_pieces(seed: int = 0) -> Workflow:
    """Choose the pieces of a prompt so that a small character model expects the right sums.

    Args:
        seed: Of the model's text.
    """
    model = CharacterModel(corpus(whole("seed", seed, least=0)))
    asked = [(a, b) for a in range(5) for b in range(5)]
    write: Callable[..., str] = _written

    @bundle("[prompt] puts the pieces together")
    def prompts(opening: str, example: str, before: str, between: str, after: str) -> list[str]:
        return [write(opening, example, before, between, after, a, b) for a, b in asked]

    @bundle("[surprise] mean surprise of the character model at the right answers")
    def surprise(prompt: list[str]) -> float:
        pairs = zip(prompt, asked, strict=True)
        return sum(model.surprise(p, str(a + b)) for p, (a, b) in pairs) / len(asked)

    def program(**nodes: Node) -> Node:
        return surprise(prompts(**nodes))

    variables = {name: Variable(kinds[0], choices=kinds) for name, kinds in PIECES.items()}
    return Workflow(program, variables, lambda value: value, "least", name="prompt-pieces")


def _written(
    opening: str, example: str, before: str, between: str, after: str, a: int, b: int
) -> str:
    """A question with its pieces."""
    return f"{opening}{example}{before}{a}{between}{b}{after}"
