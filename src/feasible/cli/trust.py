"""Asking before something runs that only a store names."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..lab.trust import Source

TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run the code that the store names without a question: a problem or method in a file "
        "or module, a shell command.",
    ),
]

AcceptOption = Annotated[
    bool,
    typer.Option(
        "--accept-changes",
        help="Go on with the stored rows where the source of a function, method or study file "
        "changed since.",
    ),
]


def confirm(would_run: Iterable[Source], *, trust: bool) -> None:
    """Say what a stored run would run, and ask, unless this user ran the same before.

    Args:
        would_run: See `lab.trust.sources`.
        trust: The user said that it may run.

    Raises:
        NotTrusted: Nobody can be asked, or the answer is no.
    """
    from ..core.errors import NotTrusted
    from ..lab.trust import remember, unknown

    found = unknown(would_run)
    if not found:
        return
    listed = "\n".join(f"  {s.text}" for s in found)
    said = f"the store names code that would run now and that you have not run before:\n{listed}"
    if not trust:
        if not sys.stdin.isatty():
            raise NotTrusted(f"{said}\nread it, then say --trust")
        typer.echo(said, err=True)
        if not typer.confirm("run it?", default=False, err=True):
            raise NotTrusted("not run; the store is as it was")
    remember(found)
