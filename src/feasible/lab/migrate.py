"""Taking the rows of a stored run or study along to a changed problem: another variable, wider
bounds, other limits, a larger budget.

The rows are told to a fresh study of the changed problem as earlier data, in the order in which
they came, with the seed and method of before: what it proposes next is what a fresh study would
that was told the same rows. What was spent stays spent. The old one is kept under another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from ..core.budget import Budget
from ..core.errors import ArgumentError, BudgetError, FeasibleError, StoreError
from ..core.ledger import ABANDONED, CHECKED, FAILED, INFEASIBLE, PENDING, STATUS
from ..core.plain import plain
from ..core.problem import Method, Problem
from ..core.registry import methods, split_settings
from .fingerprint import differences, table_texts
from .rows import EvaluationRow, RunRow
from .schema import evaluations, runs
from .shown import StoredProblem, shown_problem
from .store import Store
from .stored import build_method
from .study import STOP_AT, Study
from .telling import StudyReport


def migrate(
    store: Store,
    name: str,
    problem: Problem,
    *,
    values: Mapping[str, Any] | None = None,
    budget: Mapping[str, float] | None = None,
    method: Method | None = None,
    label: str | None = None,
    spec: Mapping[str, Any] | None = None,
    stop_at: float | None = None,
) -> Study:
    """Go on with the rows of a stored run or study on a changed problem.

    Args:
        store: Where it is.
        name: Of the run or study. What comes out is a study of that name; the old one is kept as
            NAME-before, NAME-before-2, ...
        problem: The changed problem.
        values: For the old rows: of a new variable the value that they had, of a new metric theirs.
        budget: The limits from now on; what was spent counts. None for those of before.
        method: None for the one of before.
        label: What people call the method.
        spec: How to build problem and method again.
        stop_at: Value of the objective at which no more is handed out; None for that of before.

    Returns:
        The study; `feasible resume NAME`, its `work()` and `feasible ask` go on with it.

    Raises:
        ArgumentError: A variable is gone, or new without a value; an old row lies outside the new
            bounds, or has no value of a new limit; experiments are out; it is no run or study.
        BudgetError: More was spent than the budget allows.
    """
    row = store.run(name)
    if row.kind not in ("solve", "study"):
        raise ArgumentError(f"'{row.name}' is a {row.kind}: only runs and studies are migrated")
    stored = store.evaluations(row.id)
    spent = _spent(row, stored)
    limits = Budget(**(budget or row.budget))
    for resource, limit in limits.items():
        if spent.get(resource, 0) > limit:
            raise BudgetError(
                f"budget {resource}={limit:g}: '{row.name}' has spent {spent[resource]:g} already"
            )
    reports = _reports(row, stored, problem, dict(values or {}))
    kept = row.spec.get("method")
    if kept is None and split_settings(row.method)[0] in methods():
        kept = {"name": row.method}
    chosen = method or build_method(kept, row.method)
    stays = {} if method is not None else {"method": kept}
    new = Study.create(
        store,
        problem,
        chosen,
        limits,
        name=_free(store, f"{row.name}-migrated"),
        seed=row.seed,
        spec={**stays, **(spec or {}), "migrated": _changes(row, problem)},
        label=label or (row.method if method is None else None),
        stop_at=row.spec.get(STOP_AT) if stop_at is None else stop_at,
    )
    try:
        if reports:
            new.tell(reports, known=True)
    except BaseException:
        with store.write() as connection:
            connection.execute(sa.delete(evaluations).where(evaluations.c.run == new.id))
            connection.execute(sa.delete(runs).where(runs.c.id == new.id))
        raise
    before = _free(store, f"{row.name}-before")
    with store.write() as connection:
        connection.execute(sa.update(runs).where(runs.c.id == row.id).values(name=before))
        connection.execute(sa.update(runs).where(runs.c.id == new.id).values(name=row.name))
    store.update_run(new.id, reserved=spent)
    return Study(store, store.run(new.id), problem, chosen)


def _spent(row: RunRow, stored: list[EvaluationRow]) -> dict[str, float]:
    """Return what a run or study has spent. Raises ArgumentError where experiments are out."""
    if row.kind == "solve":
        known = (row.result or {}).get("spent") or {}
        counted = {"evaluations": float(len(stored))} if "evaluations" in row.budget else {}
        return {k: known.get(k, counted.get(k, 0.0)) for k in row.budget} | counted
    out = [r.row for r in stored if r.status in (PENDING, CHECKED)]
    if out:
        raise ArgumentError(
            f"study '{row.name}': experiments are out ({', '.join(map(str, out))}): tell their "
            f"results first, or give them back with `feasible tell {row.name} --id N --abandon`"
        )
    return dict(row.reserved)


def _reports(
    row: RunRow, stored: list[EvaluationRow], problem: Problem, values: dict[str, Any]
) -> list[StudyReport]:
    """Return the rows as they are told to the changed problem, in the order of before."""
    old, new = shown_problem(row), problem.experiments()
    past = None if isinstance(old, StoredProblem) else old.experiments()
    if past is None or new is None:
        raise ArgumentError(
            f"'{row.name}': the store does not say what its rows are of, or '{problem.name}' has "
            "no experiments; begin anew under another name"
        )
    inputs, results = [c.name for c in new.inputs], [c.name for c in new.results]
    for gone in (c.name for c in past.inputs if c.name not in inputs):
        raise ArgumentError(f"variable '{gone}' is gone: the old rows have it, so it must stay")
    for fresh in (n for n in inputs if n not in {c.name for c in past.inputs}):
        if fresh not in values:
            raise ArgumentError(
                f"variable '{fresh}' is new: say which value the old rows had, with "
                f"values={{'{fresh}': ...}} (--set {fresh}=VALUE)"
            )
    for unknown in values.keys() - {*inputs, *results}:
        raise ArgumentError(
            f"values: '{unknown}' is no variable and no metric of '{problem.name}', which has "
            f"{', '.join((*inputs, *results))}"
        )
    reports = []
    for r in sorted(stored, key=lambda r: (r.told or 0, r.row)):
        if r.status in (PENDING, CHECKED, ABANDONED):
            continue
        point = {n: values[n] for n in inputs if n in values} | past.values(r.x)
        try:
            x = new.vector(point, f"row {r.row} of '{row.name}'")
        except FeasibleError as error:
            raise ArgumentError(f"{error}; an old row must lie inside the new bounds") from None
        given = {n: float(values[n]) for n in results if n in values and r.status != FAILED}
        metrics = given | r.metrics
        note = r.reason if r.status == FAILED else r.note
        status = STATUS[r.status] if r.status in (FAILED, INFEASIBLE) else ""
        if not status and new.observe(x, metrics, None, r.row).status[0] == FAILED:
            missing = [n for n in results if n not in metrics]
            raise ArgumentError(
                f"row {r.row} of '{row.name}' has no value of {', '.join(missing)}: say which the "
                f"old rows had, with --set {missing[0] if missing else 'NAME'}=VALUE"
            )
        reports.append(StudyReport(None, point, metrics, status, note))
    return reports


def _changes(row: RunRow, problem: Problem) -> list[str]:
    """Return what is another than before, each as a sentence."""
    before = table_texts(row.spec.get("fingerprint") or plain(shown_problem(row).fingerprint()))
    return differences(before, table_texts(plain(problem.fingerprint())))


def _free(store: Store, name: str) -> str:
    """Return the name, or the first NAME-2, NAME-3, ... that nobody has. Raises StoreError."""
    for n in range(1, 10_000):
        found = name if n == 1 else f"{name}-{n}"
        if store.find_run(found) is None:
            return found
    raise StoreError(f"every name from {name} on is taken")
