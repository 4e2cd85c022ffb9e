"""serve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .common import StoreOption

PORT = 8080


def serve(
    where: Annotated[
        str | None,
        typer.Argument(metavar="[STORE]", help="The store, as with --store."),
    ] = None,
    store: StoreOption = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="The address to listen on; any but this machine's own 127.0.0.1 needs a token.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")
    ] = PORT,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            help="A file with the token that browsers are asked for as a password.",
            show_default="the variable FEASIBLE_TOKEN",
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option("--root-path", help="The path before all pages, which a proxy leaves there."),
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="A name by which a proxy calls this server."),
    ] = None,
) -> None:
    """Show a store in a browser, live: runs, races, studies, comparisons, papers. Nothing is
    written, and nothing that the store names is imported.
    """
    from ..core.errors import ArgumentError
    from ..core.extras import named
    from ..core.secrets import legible

    if where is not None and store is not None:
        raise ArgumentError("the store is named twice: expected it as an argument or with --store")
    with named("feasible serve"):
        from ..lab.web.app import LOCAL, check_open, listening, serve as begin
    from ..lab.web.pages import Site

    chosen = where if where is not None else store
    token = _token(token_file)
    check_open(host, token)
    site = Site(chosen, legible(chosen or ""))
    opened = listening(host, port)
    name = f"[{host}]" if ":" in host else host
    below = f"/{root_path.strip('/')}" if root_path.strip("/") else ""
    typer.echo(f"dashboard: http://{name}:{opened.getsockname()[1]}{below}/")
    typer.echo(f"store:     {site.opened.url} (read only); Ctrl-C ends")
    hosts = None if token is not None else (*LOCAL, host, *(allow_host or ()))
    try:
        begin(site, opened, token=token, hosts=hosts, root_path=below)
    finally:
        site.close()


def _token(file: Path | None) -> str | None:
    """Return the token, from a file or the environment; None where neither has one. Raises
    ArgumentError where the file cannot be read.
    """
    from ..core.errors import ArgumentError

    if file is None:
        return os.environ.get("FEASIBLE_TOKEN") or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or error
        raise ArgumentError(f"--token-file {file}: {said}") from None
