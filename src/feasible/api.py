"""solve, race and reproduce: the three calls that touch problems, methods and the lab together."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from .core.active import Observer, check_options
from .core.annotations import checked
from .core.budget import Budget, Meter
from .core.errors import ArgumentError, BudgetError, StoreError
from .core.evaluating import RACING, RunOptions
from .core.observe import Observers
from .core.plain import plain
from .core.problem import Method, Problem
from .core.registry import default_method, load_claim, load_method, load_problem
from .core.result import Result
from .core.run import Run, check_seed, foretell, run
from .core.threads import DEFAULT as THREADS

if TYPE_CHECKING:
    from .lab.placing import RayCluster
    from .lab.raced import RaceResult
    from .lab.rows import RunRow
    from .lab.store import Store


@checked
def solve(
    problem: Problem | str,
    method: Method | type[Method] | str | None = None,
    budget: Budget | Mapping[str, float] | str | int | None = None,
    seed: int = 0,
    observers: Observer | Sequence[Any] | None = (),
    store: Store | str | None = None,
    *,
    name: str | None = None,
    on_failure: str = RunOptions.on_failure,
    retry: int = RunOptions.retry,
    workers: int = RunOptions.workers,
    evaluation_timeout: float | None = RunOptions.evaluation_timeout,
    find_feasible: bool = RunOptions.find_feasible,
    stop_at: float | None = RunOptions.stop_at,
    accept_changes: bool = False,
    progress: bool | None = None,
    threads: int | None = RunOptions.threads,
    take_over: bool = False,
    engine: str | RayCluster = "local",
) -> Result:
    """Find the best answer within the limits and the budget.

    minimise  problem's objective  subject to  its constraints, spending at most `budget`

    Args:
        problem: A Problem, a registered name, or "file.py:name".
        method: A Method or its class, a registered name with settings (``cbo[n_particles=50]``), or
            "file.py:Name"; None lets the problem's room choose and say why.
        budget: ``Budget(evaluations=200)``, a mapping, "evaluations=200,seconds=60", or a number of
            evaluations.
        seed: From which all randomness derives.
        observers: Objects with any of on_start, on_evaluation (every evaluation, as it is made),
            on_point (the trail's grid) and on_finish, or plain functions of a trail point
            (StopIteration ends the run).
        store: A path or URL; every paid evaluation is then stored before the method sees it.
        name: Of the run in the store; a name that exists is resumed, or answered from the store if
            it is finished.
        on_failure: "raise", or "skip" to go on after a failed evaluation.
        retry: How often a failed evaluation is tried again; each try is charged.
        workers: Local processes that evaluate a batch in parallel.
        evaluation_timeout: Seconds after which an evaluation is killed.
        find_feasible: Stop at the first feasible point.
        stop_at: Stop with the evaluation that is feasible and reaches this value of the objective,
            in your own sense: at least it where the objective is maximised, at most it otherwise;
            of an objective with a target, the distance from it; of several, the hypervolume.
        accept_changes: Where the source of the problem's functions or of the method changed since
            the run of that name began: go on with its stored rows. Otherwise that is an error which
            says what changed.
        progress: Show on standard error what is spent, the time that is left and the best feasible
            value; None: in a terminal and in a notebook.
        threads: Threads of BLAS, OpenMP and torch inside the run, part of the result; None: one, or
            those that a stored run began with.
        take_over: Drive a stored run although another process seems to; what that one writes is
            refused from then on.
        engine: Where evaluations run: "local"; "ray" for tasks of a Ray cluster, at most `workers`
            at once; or a `feasible.lab.placing.RayCluster`.

    Returns:
        The best answer, its verdict, what was spent, the trail, and why the run stopped.

    Raises:
        FeasibleError: From `feasible.errors`, naming the argument. A failing user function is
            EvaluationFailed unless on_failure="skip"; an option for paid evaluations on a problem
            that has none is an ArgumentError.

    Examples:
        >>> import feasible
        >>> problem = feasible.blackbox.BlackBox(lambda x: (x[0] - 1) ** 2, bounds=[(0, 3)])
        >>> result = feasible.solve(problem, "cobyqa", budget=feasible.Budget(evaluations=30))
        >>> round(float(result.answer[0]), 3)
        1.0
    """
    from .lab.engines import IdleWorkers
    from .lab.placing import cluster_of
    from .lab.store import store_of
    from .lab.stored import engine_of, method_label, method_spec

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
    options = RunOptions(
        on_failure,
        retry,
        workers,
        evaluation_timeout,
        find_feasible,
        stop_at,
        threads,
    )
    check_options(options, problem)
    cluster = cluster_of(engine)
    if cluster is not None and not problem.keeps_ledger:
        raise ArgumentError(
            f"engine={engine!r}: '{problem.name}' is a {type(problem).__name__}, which has no "
            "evaluations that are paid for one by one; race runs whole trials there"
        )
    if method is None:
        the_method, reason = default_method(problem, budget, batches=workers > 1)
        label = method_label(the_method)
        chosen = f"{label}, because {reason}"
        notes.append(f"method chosen: {chosen}")
    else:
        the_method = load_method(method)
        label = method_label(the_method, method)
    seed = check_seed(seed)
    least = the_method.least(problem)
    if budget.get("evaluations", math.inf) < least:
        notes.append(
            f"{the_method.name} needs at least {least} evaluations to do more than start; the "
            f"budget is {budget['evaluations']:g}"
        )
    the_method.check_problem(problem)
    foretell(problem, the_method, budget)
    given_observers = Observers(observers, notes).given
    idle = (IdleWorkers(),) if workers > 1 else ()
    spec = {
        "problem": given if isinstance(given, str) else None,
        "chosen": chosen,
        "options": dataclasses.asdict(options),
        "method": method_spec(the_method, label if method is None else method),
    }
    with _bars(progress, race=False) as bars:
        watching = (*idle, *bars, *given_observers)
        if store is not None:
            with store_of(store) as where:
                return _solve_stored(
                    problem,
                    the_method,
                    label,
                    budget,
                    seed,
                    watching,
                    where,
                    name,
                    spec,
                    notes,
                    take_over,
                    accept_changes,
                    cluster,
                )
        with closing(engine_of(options, cluster)) as calls:
            result = run(
                Run(
                    problem=problem,
                    method=the_method,
                    budget=budget,
                    seed=seed,
                    meter=Meter(budget),
                    engine=calls,
                    observers=watching,
                    options=options,
                    notes=notes,
                )
            )
    result.chosen, result.method = chosen, label
    return result


@contextmanager
def _bars(progress: bool | None, *, race: bool) -> Iterator[tuple[Any, ...]]:
    """Yield the observer that shows how far a run or a race is, where that is wanted.

    Args:
        progress: True or False; None: in a terminal and in a notebook.
        race: Whether it is a race.
    """
    if progress is None:
        progress = sys.stderr.isatty() or "ipykernel" in sys.modules
    if not progress:
        yield ()
        return
    from rich.console import Console

    from .lab.console import RaceProgress, SolveProgress

    console = Console(stderr=True, highlight=False)
    bars = RaceProgress(console) if race else SolveProgress(console)
    try:
        yield (bars,)
    finally:
        bars.stop()


def _solve_stored(
    problem: Problem,
    method: Method,
    label: str,
    budget: Budget,
    seed: int,
    observers: Sequence[Any],
    where: Store,
    name: str | None,
    spec: dict[str, Any],
    notes: Sequence[str],
    take_over: bool,
    accept_changes: bool,
    cluster: RayCluster | None,
) -> Result:
    from .lab.again import check_method, check_source
    from .lab.fingerprint import check_same, source_of
    from .lab.shown import facts_of
    from .lab.stored import build_method, drive, stored_result
    from .lab.trust import check_trusted, remember, sources

    remember(sources(spec))
    row = where.find_run(name) if name is not None else None
    threads = spec["options"]["threads"]
    if row is None:
        method.check_installed()  # before the store knows of a run
        spec["options"]["threads"] = threads or THREADS
        row = where.create_run(
            kind="solve",
            problem=problem.name,
            method=label,
            seed=seed,
            budget=dict(budget),
            name=name,
            spec={
                **spec,
                "fingerprint": plain(problem.fingerprint()),
                "shown": facts_of(problem),
                "source": source_of(problem, method),
            },
        )
        return drive(where, row, problem, method, observers=observers, notes=notes, cluster=cluster)
    if row.kind == "study" and "migrated" in row.spec:
        if cluster is not None:
            raise ArgumentError(
                f"engine='ray': run '{name}' is a study, which workers work on: expected 'local', "
                "or 'feasible work' on as many machines as you like"
            )
        return _work_migrated(where, row, problem, budget, spec["options"], accept_changes)
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
        check_trusted(sources(row.spec), f"run '{name}'")
        method, notes = (
            build_method(row.spec.get("method"), row.method),
            [f"method chosen: {row.spec.get('chosen')}"],
        )
    check_same(row, problem)
    began = row.spec["options"].get("threads") or THREADS
    if threads not in (None, began):
        raise ArgumentError(
            f"threads={threads}: run '{name}' in the store began with threads={began}, which is "
            "part of its result: leave it out, or give another name"
        )
    spec["options"]["threads"] = began
    row, said = check_source(where, row, problem, method, accept=accept_changes)
    notes = [*notes, *said]
    goals = ("find_feasible", "stop_at")
    stays = all(row.spec["options"].get(g) == spec["options"][g] for g in goals)
    if (
        row.state == "finished"
        and stays
        and all(budget.get(k, 0) <= v for k, v in row.budget.items())
    ):
        done = stored_result(where, row, problem)
        done.notes += [note for note in said if note not in done.notes]
        return done
    changed = {k: spec[k] if k == "options" else v for k, v in row.spec.items()}
    if dict(budget) != row.budget or changed != row.spec:
        amended = {"budget": dict(budget), "spec": changed}
        row = where.amend_run(row.id, lambda _: amended, take_over=take_over)
    return drive(
        where,
        row,
        problem,
        method,
        observers=observers,
        notes=notes,
        take_over=take_over,
        cluster=cluster,
    )


def _work_migrated(
    store: Store,
    row: RunRow,
    problem: Problem,
    budget: Budget,
    options: Mapping[str, Any],
    accept: bool,
) -> Result:
    """Go on with a run that was migrated, which is a study, until its budget is used up."""
    from .lab.again import check_source
    from .lab.fingerprint import check_same
    from .lab.stored import build_method
    from .lab.study import Study
    from .lab.trust import check_trusted, sources

    check_trusted(sources({"method": row.spec.get("method")}), f"run '{row.name}'")
    method = build_method(row.spec.get("method"), row.method)
    check_same(row, problem)
    row, notes = check_source(store, row, problem, method, accept=accept)
    if any(limit > row.budget.get(resource, 0) for resource, limit in budget.items()):
        store.update_run(row.id, budget={**row.budget, **budget})
    study = Study(store, store.run(row.id), problem, method)
    if options["stop_at"] is not None:
        study.aim(options["stop_at"])
    study.work(retry=options["retry"], timeout=options["evaluation_timeout"])
    result = study.result()
    result.notes += notes
    return result


@checked
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
    on_failure: str = RACING.on_failure,
    trial_timeout: float | None = None,
    stop_at: float | Mapping[str, float] | None = None,
    accept_changes: bool = False,
    progress: bool | None = None,
    threads: int | None = None,
    engine: str | RayCluster = "local",
) -> RaceResult:
    """Race methods on problems under one budget: every (problem, method, seed) is a run.

    A failing trial is recorded, and the others go on.

    Args:
        problems: Names or Problems, one or several.
        methods: Names, Methods, or a mapping from labels to either. "default" is, on each problem,
            the method that `solve` would choose; the trials say which and why.
        budget: As in `solve`, for every trial.
        seeds: A number of seeds, or the seeds themselves.
        store: A path or URL where every trial is kept.
        name: Of the race in the store; one that exists is resumed.
        jobs: Local processes that run trials in parallel.
        observers: Objects with any of on_race, on_progress and on_trial.
        on_failure: "skip" lets a trial go on after a failed evaluation, "raise" ends it.
        trial_timeout: Seconds after which a trial is killed and counts as failed.
        stop_at: As in `solve`, for every trial; or by problem.
        accept_changes: As in `solve`.
        progress: Show on standard error the trials, and the time that is left; None: in a terminal
            and in a notebook.
        threads: As in `solve`, for every trial. More than one needs jobs=1 and no trial_timeout: a
            process that is forked has one thread of OpenMP and torch.
        engine: "local"; "ray" for tasks of a Ray cluster (that of RAY_ADDRESS, or else one on this
            machine); or a `feasible.lab.placing.RayCluster`, which says where and with how many
            CPUs, GPUs and how much memory each. On Ray jobs=1 stands for as many as it takes.

    Returns:
        The race with all its trials, whose objectives are to be minimised; it has `standings`,
        `plot()` and `to_frame()`.

    Raises:
        FeasibleError: From `feasible.errors`, naming the argument.
    """
    from .lab.race import run_race

    with _bars(progress, race=True) as bars:
        return run_race(
            problems,
            methods,
            budget,
            seeds,
            store=store,
            name=name,
            jobs=jobs,
            observers=(*Observers(observers, []).given, *bars),
            on_failure=on_failure,
            trial_timeout=trial_timeout,
            stop_at=stop_at,
            threads=threads,
            accept_changes=accept_changes,
            engine=engine,
        )


@checked
def reproduce(
    slug: str,
    scale: str = "desk",
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    *,
    most_seeds: int | None = None,
    jobs: int = 1,
    store: Store | str | None = None,
    write: bool = True,
    observers: Any = (),
) -> dict[str, Any]:
    """Run a paper's claim and say whether it holds, does not hold, or is undecided.

    A part of a claim holds where all of its figure's 95 % interval meets the bar, does not hold
    where nothing of it does, and is undecided between. The interval is a bootstrap over seeds and
    problems; a figure without randomness is its own interval.

    Args:
        slug: The paper, as `feasible papers` lists it.
        scale: "smoke" (seconds), "desk" (minutes) or "paper".
        seeds: The seeds of every experiment.
        most_seeds: Where these leave the claim undecided, it is measured once more with so many;
            None for twice as many, at smoke scale for no more.
        jobs: Local processes that run trials in parallel.
        store: A path or URL; an interrupted reproduction then goes on where it stopped.
        write: Write evidence/<slug>.json, at any scale but smoke.
        observers: As in `race`.

    Returns:
        The evidence: the claim, its parts with figure, interval, bar and state, and the claim's
        state. It holds where every part with a bar does, and does not where one does not.

    Raises:
        UnknownName: The paper has no claim here.
    """
    from .lab.claim import run_claim, write_evidence
    from .lab.race import run_race

    claim = load_claim(slug)

    def one(experiment: Any) -> RaceResult:
        label = None
        if store is not None:
            label = f"{slug}-{scale}-{experiment.name}-{'-'.join(map(str, experiment.seeds))}"
            made = [p.name for p in experiment.problems if not isinstance(p, str)]
            if made:  # of the claim's seeds perhaps, which the experiment's own do not say
                label += f"-{hashlib.sha256(' '.join(made).encode()).hexdigest()[:6]}"
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

    if most_seeds is None:
        most_seeds = 0 if scale == "smoke" else 2 * len(seeds)
    evidence = run_claim(claim, scale, list(seeds), race=one, most_seeds=most_seeds)
    if write and scale != "smoke":
        write_evidence(evidence)
    return evidence
