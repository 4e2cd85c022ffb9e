"""What a race runs: its problems, methods and seeds, from what a person gave or a store kept."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from ..core.active import check_options
from ..core.budget import Budget
from ..core.checks import naming, real
from ..core.errors import ArgumentError, ArgumentTypeError, StoreError, nearest
from ..core.evaluating import RACING, RunOptions
from ..core.problem import Method, Problem
from ..core.registry import load_method, load_problem
from ..core.run import check_seed
from ..core.threads import DEFAULT as THREADS
from .choices import DEFAULT, Choice, choose, is_default, read_choices, write_choices
from .fingerprint import source_of
from .stored import build_method, method_label, method_spec


@dataclass(slots=True)
class Plan:
    """What a race runs.

    Attributes:
        problems: Problems by name.
        references: How to build a problem again, by name; None where that cannot be said.
        methods: Methods by label; None for the room's default.
        specs: How to build a method again, by label; None where that cannot be said.
        chosen: Of a default: what was chosen, by label and problem.
        seeds: One trial each.
        budget: Of every trial.
        on_failure: What a failed evaluation does to a trial.
        stop_at: Value of the objective at which a trial ends, by problem, where there is one.
        threads: Threads of BLAS, OpenMP and torch inside a trial.
    """

    problems: dict[str, Problem]
    references: dict[str, Any]
    methods: dict[str, Method | None]
    specs: dict[str, Any]
    chosen: dict[str, dict[str, Choice]]
    seeds: list[int]
    budget: Budget
    on_failure: str
    stop_at: dict[str, float]
    threads: int = THREADS

    def settings(self) -> dict[str, str]:
        """Return the settings of each method as text, defaults included, by label; none of a
        default, which is chosen by problem.
        """
        return {
            label: ", ".join(
                f"{f.name}={reprlib.repr(getattr(method, f.name))}" for f in fields(method)
            )
            for label, method in self.methods.items()
            if method is not None and is_dataclass(method)
        }

    def options(self, problem: str) -> RunOptions:
        """Return how a trial on this problem evaluates and when it ends."""
        return RunOptions(
            on_failure=self.on_failure, stop_at=self.stop_at.get(problem), threads=self.threads
        )

    def source(self) -> dict[str, str]:
        """Return the source of all problems and methods, see `fingerprint.source_of`."""
        found: dict[str, str] = {}
        for name, problem in self.problems.items():
            texts = source_of(problem, Method())
            found |= {f"{name}: {key}": text for key, text in texts.items()}
        for label, method in self.methods.items():
            texts = {} if method is None else source_of(Problem(), method)
            found |= {f"{label}: {key}": text for key, text in texts.items()}
        return found

    def method(self, problem: str, label: str) -> tuple[Method, dict[str, Any] | None, str | None]:
        """Return what runs under this label on a problem, how to build it again, and, of a default,
        what was chosen and why.
        """
        method = self.methods[label]
        if method is not None:
            return method, self.specs[label], None
        choice = self.chosen[label][problem]
        return load_method(choice.method), {"name": choice.method}, choice.text


def given_plan(
    problems: Any,
    methods: Any,
    budget: Budget | Mapping[str, float] | str | int,
    seeds: int | Sequence[int],
    on_failure: str,
    stop_at: float | Mapping[str, float] | None = None,
    threads: int | None = None,
) -> Plan:
    """Return the plan of what a person gave `feasible.race`. Raises ArgumentError."""
    by_name, references = _problems(problems)
    budget = Budget.of(budget)  # after the problems, which may declare the resources that it limits
    given = _methods(methods)
    loaded = {label: None if m == DEFAULT else load_method(m) for label, m in given.items()}
    for method in loaded.values():
        if method is not None:
            method.check_installed()
        for p in by_name.values():
            if method is not None:
                method.check_problem(p)
    numbers = _seeds(seeds)
    options = RunOptions(on_failure=on_failure, threads=threads)
    for p in by_name.values():
        check_options(options, p, RACING)
    picked = {n: choose(p, budget) for n, p in by_name.items() if None in loaded.values()}
    specs = {
        label: write_choices(picked) if m is None else method_spec(m, given[label])
        for label, m in loaded.items()
    }
    return Plan(
        problems=by_name,
        references=references,
        methods=loaded,
        specs=specs,
        chosen=read_choices(specs),
        seeds=numbers,
        budget=budget,
        on_failure=on_failure,
        stop_at=_goals(stop_at, by_name),
        threads=options.thread_count,
    )


def stored_plan(spec: Mapping[str, Any], name: str) -> Plan:
    """Return the plan of a stored race. Raises StoreError where only its program can build it."""
    parts = [*spec["problems"].items(), *spec["methods"].items()]
    missing = [n for n, reference in parts if reference is None]
    if missing:
        raise StoreError(
            f"race '{name}': {', '.join(missing)} was given as an object that only its program can "
            "build: resume from that program, with feasible.race(..., store=..., name=...)"
        )
    return Plan(
        problems={n: load_problem(ref) for n, ref in spec["problems"].items()},
        references=spec["problems"],
        methods={
            n: None if is_default(ref) else build_method(ref, n)
            for n, ref in spec["methods"].items()
        },
        specs=spec["methods"],
        chosen=read_choices(spec["methods"]),
        seeds=spec["seeds"],
        budget=Budget(**spec["budget"]),
        on_failure=spec["on_failure"],
        stop_at=spec.get("stop_at", {}),
        threads=spec.get("threads", THREADS),
    )


def _goals(stop_at: Any, problems: Mapping[str, Problem]) -> dict[str, float]:
    """Return the value at which trials end, by problem. Raises ArgumentError."""
    if stop_at is None:
        return {}
    given = dict(stop_at) if isinstance(stop_at, Mapping) else dict.fromkeys(problems, stop_at)
    for name in given:
        if name not in problems:
            raise ArgumentError(f"stop_at: no problem '{name}' here: {nearest(name, problems)}")
    return {name: real(f"stop_at of {name}", value) for name, value in given.items()}


def _problems(problems: Any) -> tuple[dict[str, Problem], dict[str, Any]]:
    """Return the problems by name, and how to build them again."""
    if not isinstance(problems, (str, Problem, Iterable)):
        raise ArgumentTypeError(
            f"problems: got {type(problems).__name__}, expected names or Problems"
        )
    with naming("problems"):
        given = [problems] if isinstance(problems, (str, Problem)) else list(problems)
    if not given:
        raise ArgumentError("problems are empty: a race needs at least one problem")
    by_name: dict[str, Problem] = {}
    references: dict[str, Any] = {}
    for p in given:
        problem = load_problem(p)
        if problem.name in by_name:
            raise ArgumentError(
                f"problems: '{problem.name}' stands twice; give one of them another name"
            )
        by_name[problem.name] = problem
        references[problem.name] = p if isinstance(p, str) else None
    return by_name, references


def _methods(methods: Any) -> dict[str, Any]:
    """Return what was given for the methods by label."""
    if isinstance(methods, (str, Method, type)):
        methods = [methods]
    if not isinstance(methods, Iterable):
        raise ArgumentTypeError(
            f"methods: got {type(methods).__name__}, expected names, Methods, or a mapping from "
            "labels to either"
        )
    if isinstance(methods, Mapping):
        found = dict(methods)
    else:
        with naming("methods"):
            many = list(methods)
        found = {(m if isinstance(m, str) else method_label(load_method(m))): m for m in many}
        if len(found) < len(many):
            raise ArgumentError(
                "methods: one of them stands twice; give a mapping from labels to methods to race "
                "its settings"
            )
    if not found:
        raise ArgumentError("methods are empty: a race needs at least one method")
    return found


def _seeds(seeds: Any) -> list[int]:
    """Return the seeds."""
    if (
        isinstance(seeds, bool)
        or not isinstance(seeds, (int, Iterable))
        or (isinstance(seeds, int) and seeds < 1)
    ):
        raise ArgumentError(f"seeds={seeds!r}: expected a number >= 1, or the seeds themselves")
    numbers = list(range(seeds)) if isinstance(seeds, int) else [check_seed(s) for s in seeds]
    if not numbers or len(set(numbers)) != len(numbers):
        raise ArgumentError(f"seeds={seeds!r}: expected one or more different seeds")
    return numbers
