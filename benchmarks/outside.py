"""SMAC3 and HEBO, whose pins do not fit beside ours, asked and told in processes of their own.

    python3.11 -m venv smac && smac/bin/pip install smac==2.4.1
    FEASIBLE_BENCH_SMAC=smac/bin/python python -m benchmarks.rough_default run mixed -m smac

This file is also what that other Python runs: it reads a problem as the first line of its input,
answers each line with a point, and gets the value of that point as the next. Both libraries are
used with their defaults: SMAC3's BlackBoxFacade (a Gaussian process, log expected improvement),
HEBO's own class (input and output warping, three acquisitions at once). Neither is told of limits
here; the caller tells what it takes for forbidden and failed points.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any


class Outside:
    """A library in a process of its own.

    Args:
        library: "smac" or "hebo"; `FEASIBLE_BENCH_SMAC` or `FEASIBLE_BENCH_HEBO` is the Python
            that has it.
        problem: kinds ("r", "i", "c" for each input), low, high, seed, budget.

    Attributes:
        version: Of the library.
    """

    def __init__(self, library: str, problem: dict[str, Any]):
        variable = f"FEASIBLE_BENCH_{library.upper()}"
        if variable not in os.environ:
            raise RuntimeError(f"{library}: {variable} names no Python that has it")
        self._process = subprocess.Popen(
            [os.environ[variable], "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        )
        self.version = str(self._said({"library": library, **problem})["version"])

    def _said(self, what: dict[str, Any]) -> dict[str, Any]:
        """Send a line, and return the next one that comes."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(what) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the other process has ended")
        return json.loads(line)

    def ask(self) -> list[float]:
        """The next point; categories and whole numbers as such."""
        return list(self._said({"ask": True})["x"])

    def tell(self, value: float) -> None:
        """What the point that was asked for last is worth."""
        self._said({"tell": value})

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


# -- what runs in the other process ----------------------------------------------------------------

AskTell = tuple[str, Callable[[], list[float]], Callable[[float], None]]
"""Version, ask, tell."""


def smac(problem: dict[str, Any]) -> AskTell:
    """SMAC3's BlackBoxFacade."""
    import ConfigSpace
    import smac as library
    from smac.runhistory import TrialValue

    space = ConfigSpace.ConfigurationSpace(seed=problem["seed"])
    ends = zip(problem["kinds"], problem["low"], problem["high"], strict=True)
    for j, (kind, low, high) in enumerate(ends):
        if kind == "r":
            space.add(ConfigSpace.Float(f"x{j}", (low, high)))
        elif kind == "i":
            space.add(ConfigSpace.Integer(f"x{j}", (int(low), int(high))))
        else:
            choices = [f"c{i}" for i in range(int(high) + 1)]
            space.add(ConfigSpace.Categorical(f"x{j}", choices))
    scenario = library.Scenario(
        space,
        deterministic=not problem["noisy"],
        n_trials=problem["budget"],
        seed=problem["seed"],
        output_directory=tempfile.mkdtemp(),
    )
    facade = library.BlackBoxFacade(
        scenario, lambda config, seed=0: 0.0, overwrite=True, logging_level=False
    )
    last: list[Any] = []

    def ask() -> list[float]:
        last[:] = [facade.ask()]
        values = [last[0].config[f"x{j}"] for j in range(len(problem["kinds"]))]
        return [float(v[1:]) if isinstance(v, str) else float(v) for v in values]

    def tell(value: float) -> None:
        facade.tell(last[0], TrialValue(cost=value))

    return version("smac"), ask, tell


def hebo(problem: dict[str, Any]) -> AskTell:
    """HEBO's own class."""
    import numpy as np
    from hebo.design_space.design_space import DesignSpace
    from hebo.optimizers.hebo import HEBO

    spec = []
    ends = zip(problem["kinds"], problem["low"], problem["high"], strict=True)
    for j, (kind, low, high) in enumerate(ends):
        if kind == "c":
            choices = [f"c{i}" for i in range(int(high) + 1)]
            spec.append({"name": f"x{j}", "type": "cat", "categories": choices})
        else:
            name = "num" if kind == "r" else "int"
            spec.append({"name": f"x{j}", "type": name, "lb": low, "ub": high})
    np.random.seed(problem["seed"])
    search = HEBO(DesignSpace().parse(spec), scramble_seed=problem["seed"])
    last: list[Any] = []

    def ask() -> list[float]:
        last[:] = [search.suggest(n_suggestions=1)]
        values = [last[0][f"x{j}"].iloc[0] for j in range(len(problem["kinds"]))]
        return [float(v[1:]) if isinstance(v, str) else float(v) for v in values]

    def tell(value: float) -> None:
        search.observe(last[0], np.array([[value]]))

    return version("HEBO"), ask, tell


def serve() -> None:
    """Answer lines until there are no more. What libraries print does not go to the answers."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    problem = json.loads(sys.stdin.readline())
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(sys.stderr):
        number, ask, tell = {"smac": smac, "hebo": hebo}[problem["library"]](problem)
        print(json.dumps({"version": number}), file=answers, flush=True)
        for line in sys.stdin:
            said = json.loads(line)
            if "tell" in said:
                tell(said["tell"])
            print(json.dumps({"x": ask()} if "ask" in said else {}), file=answers, flush=True)


if __name__ == "__main__":
    serve()
