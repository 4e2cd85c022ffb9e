"""A race: problems x methods x seeds under one budget, every trial a run of its own; resumable, in
one process or several.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..core.active import check_options
from ..core.budget import Budget, Meter
from ..core.checks import real, whole
from ..core.errors import (
    ArgumentError,
    ArgumentTypeError,
    RunBusy,
    StoreError,
    UnknownName,
    nearest,
)
from ..core.evaluating import RACING, InProcess, RunOptions
from ..core.plain import number, plain
from ..core.problem import Method, Problem
from ..core.registry import load_method, load_problem
from ..core.result import Result
from ..core.run import Run, check_seed, run
from ..core.trail import Point
from ..core.versions import versions
from .engines import LocalProcesses, cpu_count, report
from .owner import identity
from .rows import RunRow
from .store import Store
from .stored import build_method, drive, method_label, method_spec, result_data
from .trials import Contest, Race, Trial

Key = tuple[str, str, int]


class RaceObserver(Protocol):
    """Told of a race's progress."""

    def on_race(self, race: Race, total: int, finished: int) -> None:
        """The race begins; `finished` trials were there already."""

    def on_progress(self, key: Key, fraction: float) -> None:
        """A running trial has used this share of its budget."""

    def on_trial(self, trial: Trial) -> None:
        """A trial ended."""


@dataclass(slots=True)
class _Plan:
    problems: dict[str, Problem]
    methods: dict[str, Method]
    seeds: list[int]
    budget: Budget
    options: RunOptions
    specs: dict[str, Any]
    references: dict[str, Any]


def run_race(
    problems: Any,
    methods: Any,
    budget: Budget,
    seeds: int | Sequence[int] = 5,
    *,
    store: Any = None,
    name: str | None = None,
    jobs: int = 1,
    observers: Any = (),
    on_failure: str = RACING.on_failure,
    trial_timeout: float | None = None,
) -> Race:
    """See feasible.race."""
    jobs = whole("jobs", jobs, least=1)
    if trial_timeout is not None:
        trial_timeout = real("trial_timeout", trial_timeout, above=0, note=" of seconds")
    plan = _plan(problems, methods, budget, seeds, on_failure)
    where = None if store is None else store if isinstance(store, Store) else Store(store)
    if where is None:
        return _run(plan, None, None, name or "race", jobs, observers, trial_timeout)
    spec = {
        "problems": plan.references,
        "methods": plan.specs,
        "seeds": plan.seeds,
        "budget": dict(budget),
        "on_failure": on_failure,
        "versions": versions(),
    }
    race_id, label, found = _find_or_create(where, name, spec)
    if found is not None:
        for what in ("seeds", "budget", "problems", "methods"):
            mine, its = spec[what], found["spec"][what]
            same = list(mine) == list(its) if what in ("problems", "methods") else mine == its
            if not same:
                raise ArgumentError(
                    f"race '{name}' in the store has {what} {its}, got {mine}: give it the same, "
                    "or another name"
                )
    return _run(plan, where, race_id, label, jobs, observers, trial_timeout)


def _find_or_create(
    store: Store, name: str | None, spec: Mapping[str, Any]
) -> tuple[int, str, dict[str, Any] | None]:
    """(id, name, the stored race if it was there already), also where two processes begin the same
    race at once.
    """
    found = store.find_race(name) if name is not None else None
    if found is None:
        try:
            return (*store.create_race(name, spec), None)
        except StoreError:
            found = None if name is None else store.find_race(name)
            if found is None:
                raise
    return found["id"], found["name"], found


def resume_race(store: Store, reference: str | int, *, jobs: int = 1, observers: Any = ()) -> Race:
    """Run the trials of a stored race that are not finished."""
    found = store.find_race(reference)
    if found is None:
        raise UnknownName(
            f"race '{reference}' is not in {store.url}: "
            f"{nearest(str(reference), [r['name'] for r in store.races()])}"
        )
    spec = found["spec"]
    missing = [n for n, ref in spec["problems"].items() if ref is None] + [
        n for n, ref in spec["methods"].items() if ref is None
    ]
    if missing:
        raise StoreError(
            f"race '{found['name']}': {', '.join(missing)} was given as an object that only its "
            "program can build: resume from that "
            "program, with feasible.race(..., store=..., name=...)"
        )
    plan = _Plan(
        {n: load_problem(ref) for n, ref in spec["problems"].items()},
        {n: build_method(ref, n) for n, ref in spec["methods"].items()},
        spec["seeds"],
        Budget(**spec["budget"]),
        RunOptions(on_failure=spec["on_failure"]),
        spec["methods"],
        spec["problems"],
    )
    return _run(plan, store, found["id"], found["name"], jobs, observers, None)


def load_race(store: Store, reference: str | int) -> Race:
    """A stored race as it stands, finished or not. Runs nothing."""
    found = store.find_race(reference)
    if found is None:
        raise UnknownName(
            f"race '{reference}' is not in {store.url}: "
            f"{nearest(str(reference), [r['name'] for r in store.races()])}"
        )
    spec = found["spec"]
    contests = []
    for n, ref in spec["problems"].items():
        try:
            contests.append(_contest(load_problem(ref)) if ref is not None else Contest(n))
        except (UnknownName, ArgumentError):
            contests.append(Contest(n))
    rows = {(r.problem, r.method, r.seed): r for r in store.runs(race=found["id"])}
    trials = [
        _trial_of(store, rows[key], key) if key in rows else Trial(*key, status="pending")
        for key in sorted(
            (p, m, s) for p in spec["problems"] for m in spec["methods"] for s in spec["seeds"]
        )
    ]
    return Race(
        found["name"],
        contests,
        list(spec["methods"]),
        spec["seeds"],
        spec["budget"],
        trials,
        spec["versions"],
        found["seconds"],
    )


def _plan(
    problems: Any, methods: Any, budget: Budget, seeds: int | Sequence[int], on_failure: str
) -> _Plan:
    if not isinstance(problems, (str, Problem, Iterable)):
        raise ArgumentTypeError(
            f"problems: got {type(problems).__name__}, expected names or Problems"
        )
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
    if isinstance(methods, (str, Method, type)):
        methods = [methods]
    if not isinstance(methods, Iterable):
        raise ArgumentTypeError(
            f"methods: got {type(methods).__name__}, expected names, Methods, or a mapping from "
            "labels to either"
        )
    if not isinstance(methods, Mapping):
        many = list(methods)
        methods = {(m if isinstance(m, str) else method_label(load_method(m))): m for m in many}
        if len(methods) < len(many):
            raise ArgumentError(
                "methods: one of them stands twice; give a mapping from labels to methods to race "
                "its settings"
            )
    if not methods:
        raise ArgumentError("methods are empty: a race needs at least one method")
    loaded = {label: load_method(m) for label, m in methods.items()}
    for label, m in loaded.items():
        for n, p in by_name.items():
            if not isinstance(p, m.solves):
                raise ArgumentError(
                    f"method {label} solves {m.solves.__name__}, but '{n}' is a {type(p).__name__}"
                )
    if (
        isinstance(seeds, bool)
        or not isinstance(seeds, (int, Iterable))
        or (isinstance(seeds, int) and seeds < 1)
    ):
        raise ArgumentError(f"seeds={seeds!r}: expected a number >= 1, or the seeds themselves")
    chosen = list(range(seeds)) if isinstance(seeds, int) else [check_seed(s) for s in seeds]
    if not chosen or len(set(chosen)) != len(chosen):
        raise ArgumentError(f"seeds={seeds!r}: expected one or more different seeds")
    options = RunOptions(on_failure=on_failure)
    for p in by_name.values():
        check_options(options, p, RACING)
    return _Plan(
        by_name,
        loaded,
        chosen,
        budget,
        options,
        {label: method_spec(m, methods[label]) for label, m in loaded.items()},
        references,
    )


def _run(
    plan: _Plan,
    store: Store | None,
    race_id: int | None,
    name: str,
    jobs: int,
    observers: Any,
    trial_timeout: float | None,
) -> Race:
    started = time.perf_counter()
    watching: list[Any] = list(observers) if isinstance(observers, Iterable) else [observers]
    keys = [(p, m, s) for s in plan.seeds for p in plan.problems for m in plan.methods]
    trials: dict[Key, Trial] = {}
    rows: dict[Key, RunRow] = {}
    if store is not None and race_id is not None:
        rows = {(r.problem, r.method, r.seed): r for r in store.runs(race=race_id)}
        trials = {
            key: _trial_of(store, row, key) for key, row in rows.items() if row.state == "finished"
        }
    todo = [k for k in keys if k not in trials]
    race = Race(
        name,
        [_contest(p) for p in plan.problems.values()],
        list(plan.methods),
        plan.seeds,
        dict(plan.budget),
        [],
        versions(),
    )
    _tell(watching, "on_race", race, len(keys), len(trials))

    def one(key: Key) -> Trial:
        return _trial(plan, store, race_id, name, key, rows.get(key), lambda share: report(share))

    def inside(key: Key) -> Trial:
        return _trial(
            plan,
            store,
            race_id,
            name,
            key,
            rows.get(key),
            lambda share: _tell(watching, "on_progress", key, share),
        )

    if jobs > 1 or trial_timeout is not None:
        if store is not None:
            store.close()
        with LocalProcesses(min(jobs, max(cpu_count(), 1) * 4)) as engine:
            for i, result in engine.map(
                one,
                todo,
                trial_timeout,
                on_note=lambda i, share: _tell(watching, "on_progress", todo[i], share),
            ):
                _take(trials, todo[i], result, watching)
                if (
                    store is not None
                    and not isinstance(result, Trial)
                    and (lost := store.find_run("/".join(map(str, (name, *todo[i]))))) is not None
                ):
                    store.update_run(
                        lost.id, state="failed", owner=None, result={"error": trials[todo[i]].error}
                    )
    else:
        for i, result in InProcess().map(inside, todo):
            _take(trials, todo[i], result, watching)
    race.trials = [trials[k] for k in sorted(keys)]
    race.seconds = time.perf_counter() - started
    if store is not None and race_id is not None:
        earlier = (store.find_race(name) or {}).get("seconds", 0.0)
        race.seconds += earlier
        state = "finished" if all(t.status == "done" for t in race.trials) else "failed"
        store.update_race(race_id, state=state, seconds=race.seconds)
    return race


def _take(trials: dict[Key, Trial], key: Key, result: Any, watching: list[Any]) -> None:
    trial = (
        result
        if isinstance(result, Trial)
        else Trial(*key, status="failed", error=str(getattr(result, "reason", None) or result))
    )
    trials[key] = trial
    _tell(watching, "on_trial", trial)


def _tell(watching: list[Any], event: str, *payload: Any) -> None:
    for observer in watching:
        handler = getattr(observer, event, None)
        if handler is not None:
            try:
                handler(*payload)
            except Exception as error:  # whoever watches does not touch the race
                warnings.warn(
                    f"observer {type(observer).__name__} failed: {type(error).__name__}: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )


class _Share:
    """Observer that reports the used share of the budget a few times a second."""

    def __init__(self, say: Callable[[float], None]):
        self.say, self.last = say, 0.0

    def on_point(self, current: Run, point: Point) -> None:
        now = time.monotonic()
        if now - self.last > 0.2:
            self.last = now
            limits = current.meter.limits
            self.say(
                max(
                    (current.meter.snapshot().get(r, 0) / limit for r, limit in limits.items()),
                    default=0.0,
                )
            )


def _trial(
    plan: _Plan,
    store: Store | None,
    race_id: int | None,
    name: str,
    key: Key,
    row: RunRow | None,
    say: Callable[[float], None],
) -> Trial:
    problem, method = plan.problems[key[0]], plan.methods[key[1]]
    observers = (_Share(say),)
    started = time.perf_counter()
    try:
        if store is None:
            result = run(
                Run(
                    problem,
                    method,
                    plan.budget,
                    key[2],
                    Meter(plan.budget),
                    observers=observers,
                    options=plan.options,
                )
            )
        else:
            row = _row(plan, store, race_id, name, key) if row is None else store.run(row.id)
            while (
                row.state != "finished"
            ):  # another process may run the same race: wait for the trials that it has in hand
                try:
                    result = drive(store, row, problem, method, observers=observers)
                    break
                except RunBusy:
                    time.sleep(0.2)
                    row = store.run(row.id)
                    if row.owner is not None and row.owner["host"] != identity()["host"]:
                        raise  # whether that process still lives cannot be seen from here
            else:
                return _trial_of(store, row, key)
    except Exception as error:
        trace = "".join(traceback.format_exception(error)[-3:])
        return Trial(
            *key,
            status="failed",
            error=f"{type(error).__name__}: {error}\n{trace}",
            seconds=time.perf_counter() - started,
            run=row.name if row else None,
        )
    if result.stopped.startswith("interrupted"):
        raise KeyboardInterrupt
    return _trial_from(result, key)


def _row(plan: _Plan, store: Store, race_id: int | None, name: str, key: Key) -> RunRow:
    label = f"{name}/{key[0]}/{key[1]}/{key[2]}"
    try:
        return store.create_run(
            kind="trial",
            problem=key[0],
            method=key[1],
            seed=key[2],
            budget=dict(plan.budget),
            race=race_id,
            name=label,
            spec={
                "problem": plan.references[key[0]],
                "method": plan.specs[key[1]],
                "fingerprint": plain(plan.problems[key[0]].fingerprint()),
                "options": {"on_failure": plan.options.on_failure},
            },
        )
    except StoreError:
        row = store.find_run(label)
        if row is None or row.race != race_id:
            raise
        return row


def _trial_from(result: Result, key: Key) -> Trial:
    data = result_data(result)
    objective = data["objective"]
    return Trial(
        *key,
        status="done",
        objective=float("nan") if objective is None else objective,
        violation=result.verdict.violation,
        feasible=result.verdict.feasible,
        spent=result.spent,
        seconds=result.spent.get("seconds", 0.0),
        trail=result.trail,
        design=result.table(),
        answer=data["answer"],
        stopped=result.stopped,
        run=result.run,
    )


def _trial_of(store: Store, row: RunRow, key: Key) -> Trial:
    result = row.result or {}
    if row.state != "finished":
        error = result.get("error")
        return Trial(*key, status="failed" if error else "pending", error=error, run=row.name)
    return Trial(
        *key,
        status="done",
        objective=number(result["objective"]),
        violation=number(result["verdict"]["violation"]),
        feasible=result["feasible"],
        spent=result["spent"],
        seconds=result["seconds"],
        trail=store.trail(row.id),
        design=[tuple(r) for r in result["design"]],
        answer=result["answer"],
        stopped=result["stopped"],
        run=row.name,
    )


def _contest(problem: Problem) -> Contest:
    """What standings and figures need to know of a problem."""
    known, best = problem.best_known, problem.best_answer()
    return Contest(
        problem.name,
        best_known=None if known is None else problem.sign * known,
        best_design=[] if best is None else problem.describe(best, problem.judge(best)),
        maximize=problem.sign < 0,
        objective=problem.objective_title,
        names=tuple(problem.names),
    )
