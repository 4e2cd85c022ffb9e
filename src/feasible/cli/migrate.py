"""migrate: the rows of a run or study, taken along to a changed problem."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .common import JsonOption, StoreOption, console, emit, open_store
from .trust import TrustOption


def migrate(
    name: Annotated[str, typer.Argument(metavar="RUN|STUDY", help="Name or number.")],
    problem: Annotated[
        str | None,
        typer.Argument(
            help="The changed problem: study.toml, file.py:name or a registered one; without it "
            "the file or problem that it began with, as it is now."
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="NAME=VALUE, repeatable: the value that a new variable, or a new metric, had in "
            "the old rows.",
        ),
    ] = None,
    add: Annotated[
        str | None, typer.Option("--add", help="Extend the budget, for example evaluations=20.")
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", "-m", help="Another method from now on.")
    ] = None,
    trust: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Take the rows of a run or study along where its problem changed: a variable more, wider
    bounds, other limits, a larger budget. What was spent stays spent; the old one is kept.
    """
    from pathlib import Path

    from ..core.budget import Budget
    from ..core.errors import ArgumentError
    from ..core.registry import load_method, load_problem, read_study
    from ..lab.migrate import migrate as take_along
    from ..lab.trust import SHELL, remember, sources
    from .opening import read_toml
    from .trust import confirm

    where = open_store(store, existing=True)
    row = where.run(name)
    reference = problem or row.spec.get("file") or row.spec.get("problem")
    if reference is None:
        raise ArgumentError(
            f"'{row.name}' does not say where its problem is: name it, as file.py:name or "
            "study.toml; from Python call feasible.lab.migrate.migrate"
        )
    would_run = sources(row.spec, row.method)
    confirm((s for s in would_run if s.name != problem and s.what != SHELL), trust=trust)
    spec: dict[str, Any] = {"problem": reference}
    budget, stop_at = dict(row.budget), None
    if reference.endswith(".toml"):
        table = read_toml(reference)
        begun = read_study(table)
        changed, budget, stop_at = begun.problem, {**budget, **begun.budget}, begun.stop_at
        spec = {"problem": None, "declared": table, "file": str(Path(reference).resolve())}
    else:
        changed = load_problem(reference)
    if method is not None:
        spec["method"] = {"name": method}
    for resource, amount in Budget.parse(add).items() if add else ():
        budget[resource] = budget.get(resource, 0) + amount
    remember(sources(spec))
    study = take_along(
        where,
        row.name,
        changed,
        values=_values(given or []),
        budget=budget,
        method=None if method is None else load_method(method),
        label=method,
        spec=spec,
        stop_at=stop_at,
    )
    now = study.row
    told = where.count(study.id)
    if json:
        emit(
            {
                "study": study.name,
                "rows": told,
                "changes": now.spec["migrated"],
                "left": study.left(),
            }
        )
        return
    out = console()
    for change in now.spec["migrated"]:
        out.print(change.removeprefix("study file: "), markup=False)
    out.print(
        f"{study.name}: {told} rows taken along; {study.left():g} {study.resource} left",
        markup=False,
    )
    at = f" --store {store}" if store else ""
    verb = "resume" if study.experiments.automatic else "ask"
    out.print(f"go on:    feasible {verb} {study.name}{at}", markup=False)


def _values(given: list[str]) -> dict[str, Any]:
    """Return the values of --set by name: numbers, or text for a category."""
    from ..core.errors import ArgumentError

    found: dict[str, Any] = {}
    for part in given:
        name, sign, text = part.partition("=")
        if not sign or not name.strip():
            raise ArgumentError(f"--set {part}: expected NAME=VALUE")
        try:
            found[name.strip()] = float(text)
        except ValueError:
            found[name.strip()] = text.strip()
    return found
