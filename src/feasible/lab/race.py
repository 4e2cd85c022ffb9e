"""A race: problems x methods x seeds under one budget, every trial a run of its own; resumable, in
one process or several.
"""

from __future__ import annotations

import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..core.budget import Budget, Meter
from ..core.checks import real, whole
from ..core.errors import RunBusy, StoreError
from ..core.evaluating import RACING, InProcess
from ..core.observe import Observers
from ..core.plain import plain
from ..core.run import Run, run
from ..core.trail import Point
from ..core.versions import versions
from .again import refuse_changes
from .choices import read_choices
from .engines import report
from .fingerprint import differences
from .loaded import (
    Key as Key,
    contest_of,
    load_race as load_race,
    origin_of,
    race_in,
    trial_from,
    trial_of,
)
from .placing import Place, RayCluster, cluster_of
from .plan import Plan, given_plan, stored_plan
from .raced import RaceResult
from .rows import RunRow
from .serial import dump
from .shown import contest_data, facts_of
from .source import commit, machine
from .store import Store, store_of
from .stored import drive
from .stored_race import check_same_race, find_or_create
from .trials import Race, Trial
from .trust import check_trusted, remember, sources


class RaceObserver(Protocol):
    """Told of a race's progress. Any of the three functions may be missing."""

    def on_race(self, race: Race, total: int, finished: int) -> None:
        """The race begins; `finished` trials were there already."""

    def on_progress(self, key: Key, fraction: float) -> None:
        """A running trial has used this share of its budget."""

    def on_trial(self, trial: Trial) -> None:
        """A trial ended."""


def run_race(
    problems: Any,
    methods: Any,
    budget: Budget | Mapping[str, float] | str | int,
    seeds: int | Sequence[int] = 5,
    *,
    store: Any = None,
    name: str | None = None,
    jobs: int = 1,
    observers: Any = (),
    on_failure: str = RACING.on_failure,
    trial_timeout: float | None = None,
    stop_at: float | Mapping[str, float] | None = None,
    threads: int | None = None,
    accept_changes: bool = False,
    engine: str | RayCluster = "local",
) -> RaceResult:
    """See feasible.race."""
    jobs = whole("jobs", jobs, least=1)
    place = Place(cluster_of(engine), jobs)
    if trial_timeout is not None:
        trial_timeout = real("trial_timeout", trial_timeout, above=0, note=" of seconds")
    plan = given_plan(problems, methods, budget, seeds, on_failure, stop_at, threads)
    origin: dict[str, Any] = {"commit": commit(), "machine": machine(), "settings": plan.settings()}
    if store is None:
        return _run(plan, None, None, name or "race", place, observers, trial_timeout, origin)
    with store_of(store) as where:
        return _run_stored(
            plan, where, name, place, observers, trial_timeout, threads, origin, accept_changes
        )


def _run_stored(
    plan: Plan,
    where: Store,
    name: str | None,
    place: Place,
    observers: Any,
    trial_timeout: float | None,
    threads: int | None,
    origin: Mapping[str, Any],
    accept_changes: bool,
) -> RaceResult:
    """Run a race in a store, from its beginning or from where it stands."""
    spec: dict[str, Any] = {
        "problems": plan.references,
        "methods": plan.specs,
        "seeds": plan.seeds,
        "budget": dict(plan.budget),
        "on_failure": plan.on_failure,
        "stop_at": plan.stop_at,
        "contests": {n: contest_data(contest_of(p)) for n, p in plan.problems.items()},
        "threads": plan.threads,
        "source": plan.source(),
        "versions": versions(),
        **origin,
    }
    remember(sources(spec))
    race_id, label, found = find_or_create(where, name, spec)
    if found is not None:
        plan.threads = check_same_race(name, spec, found["spec"], threads)
        plan.chosen = read_choices(found["spec"]["methods"])
        _check_source(where, found, plan, accept_changes)
    origin = spec if found is None else found["spec"]
    return _run(plan, where, race_id, label, place, observers, trial_timeout, origin)


def _check_source(store: Store, found: Mapping[str, Any], plan: Plan, accept: bool) -> None:
    """Raise SourceChanged where the source of a stored race changed and nobody accepted that."""
    before, now = found["spec"].get("source"), plan.source()
    if before != now:
        refuse_changes(found["name"], differences(before or now, now), accept)
        store.update_race(found["id"], spec=dump({**found["spec"], "source": now}))


def resume_race(
    store: Store,
    reference: str | int,
    *,
    jobs: int = 1,
    observers: Any = (),
    trust: bool = False,
    accept_changes: bool = False,
    engine: str | RayCluster = "local",
) -> RaceResult:
    """Run the trials of a stored race that are not finished.

    Args:
        store: Where it is.
        reference: Its name or number.
        jobs: Local processes that run trials in parallel.
        observers: As in `feasible.race`.
        trust: Run code that only the store names (a file, a module) without a question.
        accept_changes: Go on where the source of a problem or method changed since.
        engine: As in `feasible.race`.

    Raises:
        UnknownName: It is not in the store.
        NotTrusted: It names code that this user has not run before.
        SourceChanged: The source changed, and that was not accepted.
        StoreError: A problem or a method was given as an object that only its program can build.
    """
    found = race_in(store, reference)
    if not trust:
        check_trusted(sources(found["spec"]), f"race '{found['name']}'")
    plan = stored_plan(found["spec"], found["name"])
    _check_source(store, found, plan, accept_changes)
    place = Place(cluster_of(engine), whole("jobs", jobs, least=1))
    return _run(plan, store, found["id"], found["name"], place, observers, None, found["spec"])


def _run(
    plan: Plan,
    store: Store | None,
    race_id: int | None,
    name: str,
    place: Place,
    observers: Any,
    trial_timeout: float | None,
    origin: Mapping[str, Any],
) -> RaceResult:
    place.check(plan.threads, trial_timeout)
    started = time.perf_counter()
    watching = list(Observers(observers, []).given)
    keys = [(p, m, s) for s in plan.seeds for p in plan.problems for m in plan.methods]
    trials, rows = dict[Key, Trial](), dict[Key, RunRow]()
    if store is not None and race_id is not None:
        rows = {(r.problem, r.method, r.seed): r for r in store.runs(race=race_id)}
        trials = {
            key: trial_of(store, row, key) for key, row in rows.items() if row.state == "finished"
        }
    todo = [k for k in keys if k not in trials]
    race = RaceResult(
        name,
        [contest_of(p) for p in plan.problems.values()],
        list(plan.methods),
        plan.seeds,
        dict(plan.budget),
        [],
        versions(),
        **origin_of(origin),
    )
    _foretell(plan, todo)
    _tell(watching, "on_race", race, len(keys), len(trials))

    def trial(key: Key, say: Callable[[float], None]) -> Trial:
        return _trial(plan, store, race_id, name, key, rows.get(key), say)

    def one(key: Key) -> Trial:
        return trial(key, lambda share: report(share))

    def inside(key: Key) -> Trial:
        return trial(key, lambda share: _tell(watching, "on_progress", key, share))

    if place.apart(trial_timeout):
        if store is not None:
            store.close()
        with place.engine(plan.threads, store) as engine:
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
                        lost.id,
                        state="failed",
                        owner=None,
                        lease=None,
                        result={"error": trials[todo[i]].error},
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


def _foretell(plan: Plan, todo: Sequence[Key]) -> None:
    """Print on standard error what each trial can spend at most, once for those that it is the same
    for.
    """
    said: dict[str, Counter[tuple[str, str]]] = {}
    for pair, trials in Counter((p, m) for p, m, _ in todo).items():
        method = plan.method(*pair)[0]
        for line in method.projected_spend(plan.problems[pair[0]], plan.budget):
            said.setdefault(line, Counter())[pair] = trials
    for line, of in said.items():
        problems, labels = (list(dict.fromkeys(names)) for names in zip(*of, strict=True))
        where = problems[0] if len(problems) == 1 else f"{len(problems)} problems"
        print(
            f"{', '.join(labels)} on {where}, each of {of.total()} trials, {line}", file=sys.stderr
        )


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
    plan: Plan,
    store: Store | None,
    race_id: int | None,
    name: str,
    key: Key,
    row: RunRow | None,
    say: Callable[[float], None],
) -> Trial:
    problem, (method, spec, chosen) = plan.problems[key[0]], plan.method(key[0], key[1])
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
                    options=plan.options(key[0]),
                )
            )
        else:
            if row is None:
                row = _row(plan, store, race_id, name, key, {"method": spec, "chosen": chosen})
            else:
                row = store.run(row.id)
            while (
                row.state != "finished"
            ):  # another process may run the same race: wait for the trials that it has in hand
                try:
                    result = drive(store, row, problem, method, observers=observers)
                    break
                except RunBusy:
                    time.sleep(0.2)
                    row = store.run(row.id)  # at the latest its lease ends
            else:
                return trial_of(store, row, key)
    except Exception as error:
        trace = "".join(traceback.format_exception(error)[-3:])
        return Trial(
            *key,
            status="failed",
            error=f"{type(error).__name__}: {error}\n{trace}",
            seconds=time.perf_counter() - started,
            run=row.name if row else None,
            chosen=chosen,
        )
    if result.stopped.startswith("interrupted"):
        raise KeyboardInterrupt
    return trial_from(result, key, chosen)


def _row(
    plan: Plan,
    store: Store,
    race_id: int | None,
    name: str,
    key: Key,
    method: Mapping[str, Any],
) -> RunRow:
    """Return the stored run of a trial, which another process may have begun meanwhile."""
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
                **method,
                "fingerprint": plain(plan.problems[key[0]].fingerprint()),
                "shown": facts_of(plan.problems[key[0]]),
                "options": {
                    "on_failure": plan.on_failure,
                    "stop_at": plan.options(key[0]).stop_at,
                    "threads": plan.threads,
                },
            },
        )
    except StoreError:
        row = store.find_run(label)
        if row is None or row.race != race_id:
            raise
        return row
