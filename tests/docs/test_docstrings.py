"""Every example in a docstring prints what it says, at any time."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import feasible

ROOT = Path(feasible.__file__).parent
MODULES = sorted(
    "feasible." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text()
)
GENERATORS: dict[str, Callable[[], object]] = {
    "manual_seed": lambda: torch.get_rng_state().numpy().tobytes(),
    "random.seed": lambda: (np.random.get_state()[1].tobytes(), np.random.get_state()[2]),
}
"""The generators that a process has one of, by the call that seeds each."""


def unseeded(module: ModuleType) -> list[str]:
    """Run a module's examples; the names of those that fail, or that draw from a generator of the
    whole process without seeding it, so that what they print depends on what ran before.
    """
    runner = doctest.DocTestRunner()
    found = []
    for example in doctest.DocTestFinder(exclude_empty=True).find(module):
        before = {seed: state() for seed, state in GENERATORS.items()}
        code = "".join(line.source for line in example.examples)
        if runner.run(example).failed:
            found.append(f"{example.name} prints something else")
        found += [
            f"{example.name} draws without {seed}"
            for seed, state in GENERATORS.items()
            if seed not in code and state() != before[seed]
        ]
    assert runner.tries > 0
    return found


def test_there_are_examples():
    assert len(MODULES) > 50


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_print_what_they_say(name):
    assert unseeded(importlib.import_module(name)) == []


def test_an_example_that_draws_without_a_seed_is_found():
    module = ModuleType("drawn")
    module.__doc__ = ">>> import torch\n>>> 0 <= torch.rand(()).item() < 1\nTrue\n"
    assert unseeded(module) == ["drawn draws without manual_seed"]
    module.__doc__ = (
        ">>> import numpy\n>>> numpy.random.seed(0)\n>>> numpy.random.rand() < 1\nTrue\n"
    )
    assert unseeded(module) == []
