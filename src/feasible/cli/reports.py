"""report."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from .common import StoreOption, console, open_store

if TYPE_CHECKING:
    from ..lab.store import Store


def report(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="RACE|RUN|STUDY|PAGE",
            help="Name or number; `papers` for the gallery of papers; or the address of a page of "
            "the dashboard, such as '/runs?state=failed'.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path(
        "report.html"
    ),
    store: StoreOption = None,
) -> None:
    """Write a race, a run or a study as one self-contained HTML file: standings, convergence,
    profiles, designs; of a run the design, the limits and every evaluation. Or any page of the
    dashboard as it is now.
    """
    if reference == "papers":
        from ..lab.report import measured_papers, write_gallery

        path = write_gallery(measured_papers(), output)
    else:
        path = _report_stored(open_store(store, existing=True), reference, output, store)
    console().print(f"report:   {path}", markup=False)


def _report_stored(where: Store, reference: str, output: Path, named: str | None) -> Path:
    """Write the report of what has that name in a store; named: the store as it was named."""
    from ..core.secrets import legible

    shown = legible(named or "")
    command = f"feasible report {quote(reference)}" + (f" --store {quote(shown)}" if shown else "")
    if reference.startswith("/"):
        from ..lab.web.pages import freeze

        return freeze(where, reference, output, shown)
    row = where.find_run(reference)
    if row is None and where.find_race(reference) is not None:
        from ..lab.race import load_race
        from ..lab.report import write_report

        return write_report(load_race(where, reference), output, command=command)
    from ..lab.run_report import write_run_report
    from ..lab.standing import as_it_stands

    row = row or where.run(reference)
    return write_run_report(as_it_stands(where, row), output, command, row.state)
