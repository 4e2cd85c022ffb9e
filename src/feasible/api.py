"""solve, race and reproduce: the three calls that touch problems, methods and the lab together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .core.budget import Budget, Meter
from .core.errors import ArgumentError, BudgetError, StoreError
from .core.problem import Method, Problem
from .core.registry import default_method, load_claim, load_method, load_problem
from .core.result import Result
from .core.run import Observer, Run, as_observers, check_seed, run

if TYPE_CHECKING:
    from .lab.store import Store
    from .lab.trials import Race


def solve(
    problem: Problem | str,
    method: Method | type[Method] | str | None = None,
    budget: Budget | Mapping[str, float] | str | int | None = None,
    seed: int = 0,
    observers: Observer | Sequence[Any] | None = (),
    store: Store | str | None = None,
    *,
    name: str | None = None,
    on_failure: str = "raise",
    retry: int = 0,
    workers: int = 1,
    evaluation_timeout: float | None = None,
    find_feasible: bool = False,
) -> Result:
    """Find the best answer within the limits and the budget.

    problem: a Problem, a registered name, or "file.py:name".  method: the same; None lets the
      problem's room choose and say why.
    budget: Budget(evaluations=200), a mapping, "evaluations=200,seconds=60", or a number of
      evaluations.
    observers: objects with on_start, on_point, on_finish, or plain functions of a trail point
      (StopIteration ends the run).
    store: a path or URL; every paid evaluation is then stored before the method sees it. name: of
      the run in the store; a name that
      exists is resumed, or answered from the store if it is finished.
    on_failure: "raise", or "skip" to go on after a failed evaluation; retry: how often one is tried
      again (each try is charged).
    workers: local processes that evaluate a batch in parallel.  evaluation_timeout: seconds after
      which an evaluation is killed.
    find_feasible: stop at the first feasible point.

    Raises errors.FeasibleError; a failing user function raises errors.EvaluationFailed unless
    on_failure="skip".
    """
    from .lab.stored import Options, method_label, method_spec

    chosen: str | None = None
    notes: list[str] = []
    given = problem
    problem = load_problem(problem)
    if budget is None:
        raise BudgetError(
            "budget is missing: say what may be spent, for example "
            "budget=feasible.Budget(evaluations=200)"
        )
    budget = Budget.of(budget)
    if method is None:
        the_method, reason = default_method(problem, budget, batches=workers > 1)
        label = method_label(the_method)
        chosen = f"{label}, because {reason}"
        notes.append(f"method chosen: {chosen}")
    else:
        the_method = load_method(method)
        label = method_label(the_method, method)
    options = Options(on_failure, retry, workers, evaluation_timeout, find_feasible)
    seed = check_seed(seed)
    least = getattr(the_method, "least", None)
    if callable(least) and budget.get("evaluations", float("inf")) < least(problem):
        notes.append(
            f"{the_method.name} needs at least {least(problem)} evaluations to do more than start; "
            f"the budget is {budget['evaluations']:g}"
        )
    watching = as_observers(observers)
    if store is None:
        engine = options.engine()
        current = Run(
            problem,
            the_method,
            budget,
            seed,
            Meter(budget),
            engine=engine,
            observers=watching,
            on_failure="skip" if on_failure == "skip" else "raise",
            retry=retry,
            evaluation_timeout=evaluation_timeout,
            find_feasible=find_feasible,
            notes=notes,
        )
        try:
            result = run(current)
        finally:
            getattr(engine, "close", lambda: None)()
        result.chosen, result.method = chosen, label
        return result
    spec = {
        "problem": given if isinstance(given, str) else None,
        "chosen": chosen,
        "options": dataclasses.asdict(options),
        "method": method_spec(the_method, label if method is None else method),
    }
    return _solve_stored(
        problem, the_method, label, budget, seed, watching, store, name, spec, notes
    )


def _solve_stored(
    problem: Problem,
    method: Method,
    label: str,
    budget: Budget,
    seed: int,
    observers: Sequence[Any],
    store: Any,
    name: str | None,
    spec: dict[str, Any],
    notes: Sequence[str],
) -> Result:
    from .lab.store import Store
    from .lab.stored import (
        build_method,
        check_method,
        check_same,
        drive,
        fingerprint,
        stored_result,
    )

    where = store if isinstance(store, Store) else Store(store)
    row = where.find_run(name) if name is not None else None
    if row is None:
        row = where.create_run(
            kind="solve",
            problem=problem.name,
            method=label,
            seed=seed,
            budget=dict(budget),
            name=name,
            spec={**spec, "fingerprint": fingerprint(problem)},
        )
        return drive(where, row, problem, method, observers=observers, notes=notes)
    if row.kind != "solve":
        raise StoreError(f"run '{name}' is a {row.kind}, which solve cannot drive")
    for what, stored, now in (("problem", row.problem, problem.name), ("seed", row.seed, seed)):
        if stored != now:
            raise ArgumentError(
                f"run '{name}' in the store has {what} {stored!r}, got {now!r}: give it the same, "
                "or another name"
            )
    if spec["chosen"] is None:
        check_method(row, method, label)
    elif row.method != label:
        method, notes = (
            build_method(row.spec.get("method"), row.method),
            [f"method chosen: {row.spec.get('chosen')}"],
        )
    check_same(row, problem)
    stays = row.spec["options"]["find_feasible"] == spec["options"]["find_feasible"]
    if (
        row.state == "finished"
        and stays
        and all(budget.get(k, 0) <= v for k, v in row.budget.items())
    ):
        return stored_result(where, row, problem)
    changed = {k: spec[k] if k == "options" else v for k, v in row.spec.items()}
    if dict(budget) != row.budget or changed != row.spec:
        where.update_run(row.id, budget=dict(budget), spec=changed)
        row = where.run(row.id)
    return drive(where, row, problem, method, observers=observers, notes=notes)


def race(
    problems: Any,
    methods: Any,
    budget: Budget | Mapping[str, float] | str | int,
    seeds: int | Sequence[int] = 5,
    *,
    store: Store | str | None = None,
    name: str | None = None,
    jobs: int = 1,
    observers: Any = (),
    on_failure: str = "skip",
    trial_timeout: float | None = None,
) -> Race:
    """Race methods on problems under one budget: every (problem, method, seed) is a run. A failing
    trial is recorded, the others go on.

    problems: names or Problems.  methods: names, Methods, or a mapping label -> either.  seeds: a
      number, or the seeds themselves.
    jobs: local processes that run trials in parallel.  store, name: as in `solve`; a named race
      that exists is resumed.
    """
    from .lab.race import run_race

    return run_race(
        problems,
        methods,
        Budget.of(budget),
        seeds,
        store=store,
        name=name,
        jobs=jobs,
        observers=observers,
        on_failure=on_failure,
        trial_timeout=trial_timeout,
    )


def reproduce(
    slug: str,
    scale: str = "desk",
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    *,
    jobs: int = 1,
    store: Store | str | None = None,
    write: bool = True,
    observers: Any = (),
) -> dict[str, Any]:
    """Run a paper's claim at `scale` ("smoke", "desk", "paper") and return the evidence; at desk
    scale also write evidence/<slug>.json.
    """
    from .lab.claim import run_claim, write_evidence
    from .lab.race import run_race

    claim = load_claim(slug)

    def one(experiment: Any) -> Race:
        label = (
            None
            if store is None
            else f"{slug}-{scale}-{experiment.name}-{'-'.join(map(str, experiment.seeds))}"
        )
        return run_race(
            experiment.problems,
            experiment.methods,
            Budget(**experiment.budget),
            experiment.seeds,
            store=store,
            name=label,
            jobs=jobs,
            observers=observers,
        )

    evidence = run_claim(claim, scale, list(seeds), race=one)
    if write and scale != "smoke":
        write_evidence(evidence)
    return evidence
