"""Opening a study for a command: one in the store, or a new one from a study file or a problem."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..lab.rows import RunRow
    from ..lab.store import Store
    from ..lab.study import Study


def open_study(
    store: Store,
    row: RunRow,
    *,
    trust: bool = False,
    given: str = "",
    works: bool = False,
    accept: bool = False,
    table: Mapping[str, Any] | None = None,
) -> Study:
    """Return a stored study, its problem and method built again.

    Args:
        store: Where it is.
        row: The study.
        trust: The user said that the code which it names may run.
        given: The problem as the user gave it just now, which needs no question.
        works: Its experiments will be run, by the command of its study file too.
        accept: Go on where the source or the study file changed: with the functions, methods,
            command and timeout of now. Whatever else a study file says is taken by `migrate` only.
        table: The study file as the user gave it just now.

    Raises:
        ArgumentError: It is a run.
        NotTrusted: It names code that this user has not run before, and nobody could be asked.
        SourceChanged: The source or the study file changed, and that was not accepted; or more of
            the study file than command and timeout.
    """
    from ..core.registry import load_method, read_study
    from ..lab.again import check_source
    from ..lab.fingerprint import STUDY_FILE, check_same
    from ..lab.shown import COMMAND, declared_problem
    from ..lab.standing import check_kind
    from ..lab.stored import build_method, build_problem
    from ..lab.study import Study
    from ..lab.trust import SHELL, sources
    from .trust import confirm

    check_kind(row)
    found = sources(row.spec, row.method)
    confirm((s for s in found if s.name != given and (works or s.what != SHELL)), trust=trust)
    spec, declared = row.spec.get("method"), row.spec.get("declared")
    method = load_method(row.method) if spec is None else build_method(spec, row.method)
    if declared is None:
        problem = build_problem(row)
        check_same(row, problem)
        row, _ = check_source(store, row, problem, method, accept=accept)
        return Study(store, row, problem, method)
    now = table or _file_now(row) or declared
    _check_declaration(row, declared, now, given)
    adopted = {k: v for k, v in now.items() if k in COMMAND}
    kept = {k: v for k, v in declared.items() if k not in COMMAND} | adopted
    if works:
        problem = read_study(kept).problem
        row, _ = check_source(store, row, problem, method, accept=accept, table=now)
    else:
        problem = declared_problem(kept)
        row, _ = check_source(
            store, row, problem, method, accept=accept, table=now, only=STUDY_FILE
        )
    if kept != declared:
        store.update_run(row.id, spec={**row.spec, "declared": kept})
    return Study(store, store.run(row.id), problem, method)


def _check_declaration(
    row: RunRow, declared: Mapping[str, Any], now: Mapping[str, Any], given: str
) -> None:
    """Raise SourceChanged where a study file says something else than when its study began, other
    than by which command experiments are run; the stored rows must be judged by it.

    Args:
        row: The study.
        declared: Its file as it began.
        now: Its file now.
        given: The file as the user named it.
    """
    from ..core.errors import SourceChanged
    from ..lab.shown import COMMAND

    changes = [c for c in _edits(row, now) if c.split()[0].rstrip(":") not in COMMAND]
    if not changes:
        return
    before, after = declared.get("variables") or {}, now.get("variables") or {}
    command = ["feasible migrate", row.name or str(row.id)]
    if given.endswith(".toml") and str(Path(given).resolve()) != row.spec.get("file"):
        command.append(given)
    command += [f"--set {name}=VALUE" for name in after if name not in before]
    if now.get("method") not in (None, declared.get("method")):
        command.append(f"--method {now['method']}")
    listed = "\n".join(changes)
    raise SourceChanged(
        f"study '{row.name}' began with another study file:\n{listed}\n"
        "--accept-changes takes a changed command and timeout, nothing else: take the stored rows "
        f"along, judged by the file as it is now, with `{' '.join(command)}`, undo the edit, or "
        "begin anew under another name (--name)",
        changes,
    )


def _file_now(row: RunRow) -> dict[str, Any] | None:
    """Return the study file of a study as it is now; None where it is not there, or unreadable."""
    from ..core.errors import ArgumentError

    try:
        return read_toml(row.spec["file"]) if "file" in row.spec else None
    except ArgumentError:
        return None


def edited(row: RunRow) -> list[str]:
    """What changed in the file of a study since it began, see `fingerprint.differences`."""
    now = _file_now(row)
    return [] if now is None else _edits(row, now)


def _edits(row: RunRow, now: Mapping[str, Any]) -> list[str]:
    """Return what a study file says now that the stored one does not, key by key."""
    from ..lab.fingerprint import STUDY_FILE, differences, table_texts

    before = row.spec.get("source")
    if before is None:
        return []
    old = {k: v for k, v in before.items() if k.startswith(STUDY_FILE)}
    return [c.removeprefix(STUDY_FILE) for c in differences(old, table_texts(now))]


def open_or_begin(
    store: Store,
    reference: str,
    budget: str | None,
    method: str | None,
    seed: int,
    name: str | None,
    dry_run: bool,
    trust: bool,
    accept: bool,
    stop_at: float | None = None,
    works: bool = False,
) -> tuple[Study, str]:
    """Return the study of this name, or a new one and what to say of it.

    Args:
        store: Where it is, or is to be.
        reference: Name of a study, study.toml, file.py:name or a registered problem.
        budget: As on the command line; None for the study file's.
        method: The same.
        seed: Of a new study.
        name: Of the study, where it is not the problem's.
        dry_run: Record nothing.
        trust: The user said that the code which the store names may run.
        accept: Go on where the source changed.
        stop_at: Value of the objective at which no more is handed out, from now on.
        works: Its experiments will be run, by the command of its study file too.
    """
    from ..core.budget import Budget
    from ..core.errors import ArgumentError, BudgetError
    from ..core.registry import StudyFile, default_method, load_method, load_problem, read_study
    from ..lab.rows import RunRow
    from ..lab.stored import method_label
    from ..lab.study import Study
    from ..lab.trust import remember, sources

    row = store.find_run(name or reference)
    declared: dict[str, Any] | None = None
    begun: StudyFile | None = None
    if reference.endswith(".toml"):
        declared = read_toml(reference)
    if row is None:
        if declared is not None:
            begun = read_study(declared)
        else:
            begun = StudyFile(load_problem(reference))
        row = store.find_run(name or begun.problem.name)
    if row is not None:
        opened = open_study(
            store, row, trust=trust, given=reference, works=works, accept=accept, table=declared
        )
        if budget is not None and dict(Budget.parse(budget)) != row.budget:
            raise ArgumentError(
                f"study '{row.name}' has the budget "
                f"{', '.join(f'{k}={v:g}' for k, v in row.budget.items())}: extend it with "
                f"'feasible resume {row.name} --add evaluations=N'"
            )
        if method is not None and load_method(method) != opened.method:
            raise ArgumentError(
                f"study '{row.name}' uses the method {row.method}, got --method {method}: begin "
                "another study with --name"
            )
        if stop_at is not None and not dry_run:
            opened.aim(stop_at)
        return opened, ""
    assert begun is not None
    problem = begun.problem
    given = budget or ",".join(f"{k}={v}" for k, v in begun.budget.items())
    if not given:
        raise BudgetError(
            f"study '{name or problem.name}' begins here and needs a budget: --budget "
            "evaluations=60"
        )
    limits = Budget.parse(given)
    method = method or begun.method
    if method is None:
        chosen, reason = default_method(problem, limits, batches=True)
        method = method_label(chosen)
        said = f"; method: {method}, because {reason}"
    else:
        chosen, said = load_method(method), f"; method: {method}"
    if dry_run:
        blank = RunRow(
            id=-1,
            name=name or problem.name,
            kind="study",
            race=None,
            problem=problem.name,
            method=method,
            seed=seed,
            budget=dict(limits),
            spec={},
        )
        return (
            _Unsaved(store, blank, problem, chosen),
            f"study {blank.name} would begin with budget {limits}{said}",
        )
    spec = {
        "problem": None if declared is not None else reference,
        "declared": declared,
        **({} if declared is None else {"file": str(Path(reference).resolve())}),
        "method": {"name": method},
    }
    remember(sources(spec))
    opened = Study.create(
        store,
        problem,
        chosen,
        limits,
        name=name,
        seed=seed,
        spec=spec,
        label=method,
        stop_at=begun.stop_at if stop_at is None else stop_at,
    )
    return opened, f"study {opened.name} begins with budget {limits}{said}"


def join_or_begin(
    store: Store,
    reference: str,
    budget: str | None,
    method: str | None,
    seed: int,
    name: str | None,
    trust: bool,
    accept: bool,
    stop_at: float | None,
) -> tuple[Study, str]:
    """Return the study that a worker works on, and what to say of it. Of many workers that come at
    once the first begins it.

    Args: as of `open_or_begin`.
    """
    from ..core.errors import StoreError, UnknownName
    from ..core.registry import problems

    begins = reference.endswith(".toml") or ":" in reference or reference in problems()
    if store.find_run(name or reference) is None and not begins:
        raise UnknownName(
            f"study '{reference}' is not in {store.url}: name one that is, or begin one with "
            "study.toml, file.py:name or a registered problem"
        )
    given = (budget, method, seed, name, False, trust, accept, stop_at, True)
    try:
        return open_or_begin(store, reference, *given)
    except StoreError:
        if not begins:
            raise
        return open_or_begin(store, reference, *given)  # another began it meanwhile


def read_toml(path: str) -> dict[str, Any]:
    """Return the table of a study file; its name is the file's where it has none."""
    from ..core.errors import ArgumentError

    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"study file '{path}' is not UTF-8: byte {error.start} is "
            f"0x{error.object[error.start]:02x}; save it as UTF-8"
        ) from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ArgumentError(
            f"study file '{path}' cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    folder = Path(path).resolve().parent  # files are beside the study file, wherever it is read
    variables = table.get("variables")
    named = [(table, "candidates"), (table, "history")]
    if isinstance(variables, dict):
        named += [(v, "descriptors") for v in variables.values() if isinstance(v, dict)]
    for part, key in named:
        if isinstance(part.get(key), str):
            part[key] = str(folder / part[key])
    return {"name": Path(path).stem, **table}


def _unsaved() -> type:
    from ..lab.study import Study

    class Unsaved(Study):
        """A study that a dry run looks at before it exists."""

        def __init__(self, store: Store, row: RunRow, problem: Any, method: Any):
            super().__init__(store, row, problem, method)
            self._blank = row

        @property
        def row(self) -> RunRow:
            return self._blank

    return Unsaved


def _Unsaved(*arguments: Any) -> Study:  # noqa: N802
    made: Study = _unsaved()(*arguments)
    return made
