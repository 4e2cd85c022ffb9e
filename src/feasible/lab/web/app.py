"""The dashboard's server: pages, files and events, all of them read only."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from ipaddress import ip_address
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ...core.errors import ArgumentError, FeasibleError, StoreError, UnknownName
from ..html import plotly_js, source
from .asked import Asked
from .listings import runs_csv
from .pages import BUILDERS, Site

EVERY = 1.0
"""Seconds between two looks for a page that somebody watches."""
ALIVE = 15.0
"""Seconds after which a page that did not change is told so."""
SHORTEST = 16
"""Characters that a token has at least."""
FILES = {"page.css": "text/css", "page.js": "text/javascript", "live.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STATUS = {UnknownName: 404, StoreError: 503, FeasibleError: 400}
"""What is answered where an error of ours ends a request, the first that it is."""
LOCAL = ("localhost", "127.0.0.1", "[::1]")
"""Names under which a browser on this machine reaches the server."""

Scope = MutableMapping[str, Any]
Call = Callable[..., Awaitable[Any]]


def application(
    site: Site,
    *,
    token: str | None = None,
    hosts: Sequence[str] | None = LOCAL,
    root_path: str = "",
) -> Call:
    """Return the dashboard as an ASGI application, for any server of such.

    Args:
        site: The pages.
        token: Which a browser is asked for as a password; None for nobody is asked.
        hosts: Names of this server that a request may be for, so that no page of elsewhere reaches
            it through a name of its own; None for any.
        root_path: The path before all pages, where a proxy leaves it there; one that takes it away
            needs nothing, as all links are relative.
    """

    def page(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return HTMLResponse(site.live(Asked.read(f"{name}?{request.url.query}")))

    def failed(request: Request, error: Exception) -> Response:
        return _failed(site, request, error)

    def listed(request: Request) -> Response:
        asked = Asked.read(f"runs?{request.url.query}")
        name = {"Content-Disposition": 'attachment; filename="runs.csv"'}
        return Response(runs_csv(site.look(asked)), media_type="text/csv", headers=name)

    async def events(request: Request) -> Response:
        asked = Asked.read(request.query_params.get("page", ""))
        if asked.page not in BUILDERS:
            return PlainTextResponse("no such page", 404)
        return StreamingResponse(_events(site, asked), media_type="text/event-stream")

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "plotly.min.js":
            text, kind = plotly_js(), "text/javascript"
        elif name in FILES:
            text, kind = source(name), FILES[name]
        else:
            return PlainTextResponse("no such file", 404)
        return Response(text, media_type=kind, headers={"Cache-Control": "max-age=31536000"})

    routes = [Route(f"/{name}", page, methods=["GET"]) for name in BUILDERS]
    routes += [
        Route("/runs.csv", listed, methods=["GET"]),
        Route("/events", events, methods=["GET"]),
        Route("/static/{name}", file, methods=["GET"]),
    ]
    made = Starlette(routes=routes, exception_handlers={FeasibleError: failed, Exception: failed})
    return _Guard(made, token, hosts, root_path.rstrip("/"))


def _failed(site: Site, request: Request, error: Exception) -> Response:
    """Return a page that says what is wrong. What is no error of ours is logged by the server."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    said = str(error)
    if status == 500:
        said = f"this page could not be made: {type(error).__name__}; the server's log says more"
    asked = Asked(request.url.path.rpartition("/")[2])
    return HTMLResponse(site.error(asked, status, said), status)


async def _events(site: Site, asked: Asked) -> AsyncIterator[str]:
    """Yield an event when the page changed, and now and then that it did not."""
    last, quiet = "", 0.0
    yield "retry: 2000\n\n"
    while True:
        try:
            mark = await run_in_threadpool(site.mark, asked)
        except FeasibleError as error:
            mark = f"lost {type(error).__name__}"
        if mark != last:
            yield f"event: changed\ndata: {mark}\n\n"
            last, quiet = mark, 0.0
        elif quiet >= ALIVE:
            yield ": nothing new\n\n"
            quiet = 0.0
        await asyncio.sleep(EVERY)
        quiet += EVERY


class _Guard:
    """Lets only those in who may: by the server's name, and by the token where there is one.

    Args:
        app: What answers then.
        token: The password; None for none.
        hosts: Names that the server may be called by; None for any.
        root_path: The path before all pages.
    """

    def __init__(self, app: Call, token: str | None, hosts: Sequence[str] | None, root_path: str):
        self.app, self.token, self.hosts, self.root_path = app, token, hosts, root_path

    async def __call__(self, scope: Scope, receive: Call, send: Call) -> None:
        """Answer a request, with the headers that keep a browser in."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                have = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    have.setdefault(name, value)
            await send(message)

        if self.root_path and scope["path"].startswith(f"{self.root_path}/"):
            scope = {**scope, "root_path": self.root_path}
        refused = self._refused(Headers(scope=scope))
        await (refused or self.app)(scope, receive, guarded)

    def _refused(self, headers: Headers) -> Response | None:
        """Return why a request is not answered, None where it is."""
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self.hosts is not None and name.lower() not in self.hosts:
            said = "this dashboard is not called that; name it with --allow-host"
            return PlainTextResponse(said, 421)
        if self.token is not None and not _knows(headers.get("authorization", ""), self.token):
            asks = {"WWW-Authenticate": 'Basic realm="feasible: the token is the password"'}
            return PlainTextResponse("the token is asked for, as a password", 401, headers=asks)
        return None


def _knows(header: str, token: str) -> bool:
    """Return whether an Authorization header bears the token."""
    kind, _, given = header.partition(" ")
    if kind.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
    return hmac.compare_digest(given.strip().encode(), token.encode())


def check_open(host: str, token: str | None) -> None:
    """Raise ArgumentError where a dashboard would be open to others without a token, or with one
    that can be guessed.

    Args:
        host: The address that it listens on.
        token: The password.
    """
    try:
        here = ip_address(host.strip("[]")).is_loopback
    except ValueError:
        here = host == "localhost"
    if token is None and not here:
        raise ArgumentError(
            f"host={host!r}: other machines reach it there, so that it needs a token: write one "
            "into a file and name it with --token-file, or set FEASIBLE_TOKEN; or stay on "
            "127.0.0.1 and use `ssh -L`"
        )
    if token is not None and len(token) < SHORTEST:
        raise ArgumentError(
            f"token of {len(token)} characters: expected at least {SHORTEST}, such as "
            "`openssl rand -hex 16` prints"
        )


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises ArgumentError where the port is taken, or the host is
    none of this machine.

    Args:
        host: Name or address.
        port: 0 for a free one.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ArgumentError(f"host={host!r}: {error.strerror or error}") from None
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
    except (OSError, OverflowError) as error:
        made.close()
        said = getattr(error, "strerror", None) or error
        raise ArgumentError(
            f"port={port} on {host}: {said}; is another dashboard there? --port 0 takes a free one"
        ) from None
    made.listen(64)
    return made


def serve(
    site: Site,
    opened: socket.socket,
    *,
    token: str | None = None,
    hosts: Sequence[str] | None = LOCAL,
    root_path: str = "",
) -> None:
    """Serve the dashboard until the process is asked to end.

    Args:
        site: The pages.
        opened: Where it listens.
        token: As in `application`.
        hosts: As in `application`.
        root_path: As in `application`.
    """
    import uvicorn

    config = uvicorn.Config(
        application(site, token=token, hosts=hosts, root_path=root_path),
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=1,
        lifespan="off",
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[opened])
