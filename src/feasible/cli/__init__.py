"""The command line. Start-up imports nothing heavy: each command imports what it needs when it
runs.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import typer

from .common import fail
from .deleting import delete
from .listings import explain, methods, papers, problems, reproduce
from .migrate import migrate
from .races import race
from .reports import report
from .rooms import Commands
from .runs import resume, show, solve
from .serving import serve
from .studies import ask, tell
from .working import work

app = typer.Typer(
    name="feasible",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Optimisation under constraints and budgets: solve, race and reproduce, with the "
    "evidence.",
)
for command in (
    solve,
    race,
    resume,
    show,
    report,
    serve,
    ask,
    tell,
    work,
    delete,
    migrate,
    reproduce,
    papers,
    problems,
    methods,
    explain,
):
    app.command()(command)


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Optimisation under constraints and budgets."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"feasible {installed('feasible')}")
        raise typer.Exit


def _interrupted(_signal: int, _frame: Any) -> None:
    if run := sys.modules.get("feasible.core.run"):
        run.stop.requested = True
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: errors of ours become one sentence and exit code 2; Ctrl-C and SIGTERM end a run
    in order.
    """
    from ..core.errors import FeasibleError

    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGINT, _interrupted)
    try:
        app()
    except FeasibleError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except ModuleNotFoundError as error:
        from ..core.extras import missing

        said = missing(error, "this command")
        if said is None:
            raise
        fail(said)
    except OSError as error:
        fail(error)
