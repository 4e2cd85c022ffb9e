"""CP-SAT, OR-Tools' solver of constraint models, on job shops: schedules with a proven bound.

    interval variables [S, S + D] with S an integer; along a job the next begins after the one
    before has ended; on a machine no two overlap; minimise the last end.

What the solver says is checked: a schedule that breaks a rule is not taken, a bound above a
schedule that is known is withdrawn, and so is "optimal" or "infeasible" with it. A schedule to
begin from is handed over as a hint, and as an upper bound of the makespan where it meets the due
dates; the answer is never worse than it, whatever the solver does in the time that it has.

References:
    L. Perron, F. Didier, S. Gay, The CP-SAT-LP solver (2023).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.annotations import checked
from ..core.checks import real, whole
from ..core.extras import named
from .jobshop import JobShop
from .judging import broken
from .rules import dispatch, multistart, rank, ticks_of
from .rules_compiled import shift_left
from .schedule import Schedule

if TYPE_CHECKING:
    from jaxtyping import Int
    from ortools.sat.python import cp_model

LEAST = 0.02
"""Seconds below which the solver is not started."""


@dataclass
class Answered:
    """What the solver found.

    Attributes:
        starts: (ops,) in ticks, shifted to the left; None where it found none that keeps the rules.
        bound: Of the makespan, in ticks; 0 where it proved none, or where it was withdrawn.
        status: The solver's: "OPTIMAL", "FEASIBLE", "INFEASIBLE", "UNKNOWN"; "WITHDRAWN" where it
            contradicts a schedule.
    """

    starts: Int[np.ndarray, " ops"] | None
    bound: int
    status: str


@checked
def solve_cpsat(
    shop: JobShop,
    hint: Schedule | None = None,
    time_limit: float = 10.0,
    workers: int = 1,
    seed: int = 0,
) -> Schedule:
    """Minimise the makespan by CP-SAT, beginning from a schedule.

    Args:
        shop: The shop.
        hint: To begin from; None: the best of the dispatching rules and of 32 draws.
        time_limit: Seconds, with those that building the model takes.
        workers: Threads of the solver; 0: as many as the machine has cores. With more than one, two
            calls may differ.
        seed: Of the solver.

    Returns:
        A schedule that is never worse than the hint, and the proven bound. Its status is "optimal",
        "feasible", or "infeasible" where the due dates are proven to be out of reach.

    Raises:
        MissingExtra: OR-Tools is not installed.

    Example:
        >>> from feasible.operations import benchmark
        >>> found = solve_cpsat(benchmark("ft06"))
        >>> found.makespan >= found.bound, found.makespan < 60
        (True, True)
    """
    end = time.monotonic() + real("time_limit", time_limit, above=0)
    whole("workers", workers, least=0, most=1024)
    whole("seed", seed, least=0, most=2**31 - 1)
    if hint is None:
        quick = shop.operations > 5000
        hint = dispatch(shop) if quick else multistart(shop, 32, seed)
    at = ticks_of(shop, hint)
    found = search(shop, at, end - time.monotonic(), workers, seed)
    return best_of(shop, at, found)


def best_of(shop: JobShop, hint: Int[np.ndarray, " ops"], found: Answered) -> Schedule:
    """The better of a hint and of what the solver found, with its bound, in the shop's unit."""
    starts = hint
    if found.starts is not None and rank(shop, found.starts) < rank(shop, hint):
        starts = found.starts
    late, makespan = rank(shop, starts)
    status = "infeasible" if found.status == "INFEASIBLE" else "feasible"
    if late <= 0 and found.bound >= makespan:
        status = "optimal"
    own = shop.schedule(starts, found.bound, status)
    own.bound = max(own.bound, min(shop.lower, own.makespan))
    return own


def search(
    shop: JobShop,
    hint: Int[np.ndarray, " ops"] | None,
    seconds: float,
    workers: int = 1,
    seed: int = 0,
    work: float = np.inf,
    fixed: Int[np.ndarray, " ops"] | None = None,
    low: Int[np.ndarray, " ops"] | None = None,
    seen: Callable[[Int[np.ndarray, " ops"]], None] | None = None,
) -> Answered:
    """Run CP-SAT, all in ticks.

    Args:
        shop: The shop.
        hint: (ops,) starts to begin from; None: cold.
        seconds: Most time, the model's building included.
        workers: Threads; 0: all cores.
        seed: Of the solver.
        work: Most deterministic time, OR-Tools' own measure of work.
        fixed: (ops,) starts that are given; -1 where they are not.
        low: (ops,) bounds below the starts.
        seen: Told of each schedule that the solver finds.
    """
    begun = time.monotonic()
    if hint is not None and _broken(shop, hint, dates=False):
        hint = None
    if seconds < LEAST:
        return Answered(None, 0, "UNKNOWN")
    with named("solve_cpsat", "operations"):
        from ortools.sat.python import cp_model
    model, variables = _model(shop, hint, fixed, low)
    left = seconds - (time.monotonic() - begun)
    if left < LEAST:
        return Answered(None, 0, "UNKNOWN")
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = left
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = seed
    if np.isfinite(work):
        solver.parameters.max_deterministic_time = work
    told = _teller(cp_model, shop, variables, seen) if seen is not None else None
    code = solver.solve(model, told)
    if told is not None and told.raised is not None:
        raise told.raised
    status = solver.status_name(code)
    starts = None
    if code in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        starts = np.array(solver.values(variables).to_numpy(), dtype=np.int64)
        starts = left_shift(shop, starts, low)
    bound = 0
    if status in ("OPTIMAL", "FEASIBLE", "UNKNOWN"):
        bound = max(int(np.ceil(solver.best_objective_bound - 1e-6)), 0)
    return checked_answer(shop, hint, starts, bound, status)


def checked_answer(
    shop: JobShop,
    hint: Int[np.ndarray, " ops"] | None,
    starts: Int[np.ndarray, " ops"] | None,
    bound: int,
    status: str,
) -> Answered:
    """Withdraw what a solver says where it contradicts a schedule that is known.

    Args:
        shop: The shop.
        hint: (ops,) the schedule that it began from, in ticks.
        starts: (ops,) its schedule.
        bound: Its bound.
        status: Its status.
    """
    if starts is not None and _broken(shop, starts):
        return Answered(None, 0, "WITHDRAWN")
    known = [s for s in (hint, starts) if s is not None and not _broken(shop, s)]
    shortest = min((rank(shop, s)[1] for s in known), default=None)
    if shortest is not None and (bound > shortest or status == "INFEASIBLE"):
        return Answered(starts, 0, "WITHDRAWN")
    return Answered(starts, bound, status)


def _model(
    shop: JobShop,
    hint: Int[np.ndarray, " ops"] | None,
    fixed: Int[np.ndarray, " ops"] | None,
    low: Int[np.ndarray, " ops"] | None,
) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
    """Return the constraint model and its start variables, job after job."""
    from ortools.sat.python import cp_model

    routes, duration = shop.routes, shop.duration
    horizon = int(shop.release_ticks.max(initial=0) + duration.sum())
    if low is not None:
        horizon += int(low.max(initial=0))
    late, makespan = (1, horizon) if hint is None else rank(shop, hint)
    most = makespan if late <= 0 else max(horizon, makespan)
    model = cp_model.CpModel()
    end = model.new_int_var(0, most, "makespan")
    variables, on = [], [[] for _ in routes.names]  # type: ignore[var-annotated]
    for j in range(routes.n):
        due, before = int(shop.due_ticks[j]), 0
        for o in range(routes.first[j], routes.first[j + 1]):
            least, top = int(shop.release_ticks[j]), most - int(duration[o])
            if low is not None:
                least = max(least, int(low[o]))
            if fixed is not None and fixed[o] >= 0:
                least = top = int(fixed[o])
            start = model.new_int_var(least, max(top, least), "")
            if o > routes.first[j]:
                model.add(start >= variables[-1] + before)
            before = int(duration[o])
            on[routes.machine[o]].append(model.new_fixed_size_interval_var(start, before, ""))
            variables.append(start)
        model.add(end >= variables[-1] + before)
        if due >= 0:
            model.add(variables[-1] + before <= due)
    for intervals in on:
        if len(intervals) > 1:
            model.add_no_overlap(intervals)
    model.minimize(end)
    if hint is not None:
        for variable, value in zip(variables, hint.tolist(), strict=True):
            model.add_hint(variable, value)
        model.add_hint(end, makespan)
    return model, variables


def _teller(
    cp_model: ModuleType,
    shop: JobShop,
    variables: list[cp_model.IntVar],
    seen: Callable[[Int[np.ndarray, " ops"]], None],
) -> Any:
    """Return what the solver calls with each schedule; an exception in it ends the search."""

    class Teller(cp_model.CpSolverSolutionCallback):  # type: ignore[name-defined, misc]
        raised: BaseException | None = None

        def on_solution_callback(self) -> None:
            try:
                starts = np.array([self.value(v) for v in variables], dtype=np.int64)
                if self.raised is None:
                    seen(left_shift(shop, starts))
            except BaseException as error:
                self.raised = error
                self.stop_search()

    return Teller()


def left_shift(
    shop: JobShop,
    starts: Int[np.ndarray, " ops"],
    low: Int[np.ndarray, " ops"] | None = None,
) -> Int[np.ndarray, " ops"]:
    """Begin every operation as early as the orders on the machines let it; never later.

    Args:
        shop: The shop.
        starts: (ops,) of a schedule that keeps the rules, in ticks.
        low: (ops,) bounds below the starts; the schedule keeps them.

    Returns:
        (ops,) starts in ticks.
    """
    routes = shop.routes
    least = np.zeros(shop.operations, np.int64) if low is None else low.astype(np.int64).copy()
    begin = routes.first[:-1]
    least[begin] = np.maximum(least[begin], shop.release_ticks)
    order = np.lexsort((routes.place, starts + shop.duration, starts))
    return shift_left(
        order, routes.job, routes.machine, shop.duration, least, len(routes.names), routes.n
    )


def _broken(shop: JobShop, starts: Int[np.ndarray, " ops"], dates: bool = True) -> bool:
    """True where a schedule in ticks breaks a rule; due dates count where `dates`."""
    unit = float(shop.resolution or 1.0)
    rules = broken(shop, starts * unit, 1e-6 * unit)
    return any(v > 0 for k, v in rules.items() if dates or not k.startswith("due"))
