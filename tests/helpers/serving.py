"""Stores for the tests of the dashboard, requests to it without a network, and a server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np
import sqlalchemy as sa
from races import HOSTILE

from feasible.core.trail import Point
from feasible.core.verdict import Verdict
from feasible.lab.schema import runs
from feasible.lab.store import Store
from feasible.lab.web.app import application, listening
from feasible.lab.web.pages import Site

PAGES = ("runs", "races", "studies", "compare", "papers")


def result(objective: float | None, violation: float = 0.0, **more: Any) -> dict[str, Any]:
    """What a store keeps of a run that ended."""
    return {
        "answer": [0.5, 0.5],
        "values": {"x": 0.5},
        "objective": objective,
        "feasible": objective is not None and violation <= 0,
        "verdict": {
            "objective": objective,
            "violation": violation,
            "tolerance": 0.0,
            "residual": None,
            "violations": {"g": violation},
            "metrics": {"f": objective},
        },
        "spent": {"evaluations": 40.0, "seconds": 0.5},
        "seconds": 0.5,
        "steps": 40,
        "stopped": "budget used up",
        "chosen": None,
        "notes": [],
        "versions": {"feasible": "0.1.0", "numpy": "2"},
        "text": "toy by cbo: done",
        "cloud": None,
        "design": [["variable", "value"], ["x", "0.5"], ["y", "0.5"]],
        **more,
    }


def row(i: int, **more: Any) -> dict[str, Any]:
    """A finished run as the table of runs holds it; `result` and `spec` as plain data."""
    found = {
        "name": f"run-{i}",
        "kind": "solve",
        "race": None,
        "problem": f"toy-{i % 7}",
        "method": f"method-{i % 5}",
        "seed": i,
        "budget": {"evaluations": 40.0},
        "spec": {"problem": None, "method": {"name": "cbo"}, "shown": {"sign": 1.0}},
        "state": "finished",
        "result": result(float((i * 7919) % 1009), float(i % 3 == 0)),
        "reserved": {},
        "rows": 0,
        "told": 0,
        "version": 0,
        "created": 1e9 + i,
        "updated": 1e9 + i,
    } | more
    return {k: json.dumps(v) if isinstance(v, dict) else v for k, v in found.items()}


def fill(store: Store, rows: list[dict[str, Any]]) -> list[int]:
    """Put rows into the table of runs, and return their numbers."""
    with store.write() as connection:
        for first in range(0, len(rows), 1000):
            connection.execute(sa.insert(runs), rows[first : first + 1000])
        return list(connection.execute(sa.select(runs.c.id).order_by(runs.c.id)).scalars())


def trail(store: Store, run: int, values: list[float], violation: float = 0.0, at: int = 0) -> None:
    """Put a trail."""
    found = [
        Point(at + i, {"evaluations": float(at + i + 1)}, 0.1 * (i + 1), Verdict(v, violation))
        for i, v in enumerate(values)
    ]
    store.add_points(run, found, at)


def a_race(
    store: Store,
    methods: tuple[str, ...] = ("a", "b"),
    seeds: tuple[int, ...] = (0, 1, 2),
    name: str = "r",
    problems: tuple[str, ...] = ("toy",),
) -> int:
    """Begin a race, and return its number."""
    spec = {
        "problems": dict.fromkeys(problems),
        "methods": dict.fromkeys(methods),
        "seeds": list(seeds),
        "budget": {"evaluations": 40.0},
        "versions": {},
        "contests": {},
    }
    number, _ = store.create_race(name, spec)
    return number


def trial_row(i: int, race: int, method: str, seed: int, **more: Any) -> dict[str, Any]:
    """A finished trial of such a race."""
    one = {"kind": "trial", "race": race, "problem": "toy", "method": method, "seed": seed}
    return row(i, **{**one, **more})


def numbers(found: Any) -> np.ndarray:
    """An array of a figure's data."""
    if isinstance(found, dict):
        return np.frombuffer(base64.b64decode(found["bdata"]), dtype=found["dtype"])
    return np.asarray(found, dtype=float)


def figure(text: str, name: str) -> Any:
    """The data of a figure of a page."""
    found = re.search(rf'id="{name}-data">(.*?)</script>', text)
    assert found is not None
    return json.loads(found.group(1))["data"]


def hostile(store: Store) -> None:
    """A store in which every name is an attack."""
    spec = {
        "problems": dict.fromkeys(HOSTILE[:2]),
        "methods": dict.fromkeys(HOSTILE[2:4]),
        "seeds": [0],
        "budget": {"evaluations": 40.0},
        "versions": {n: n for n in HOSTILE},
        "contests": {},
    }
    race, _ = store.create_race(HOSTILE[1], spec)
    made = [
        row(
            i,
            name=name,
            problem=name,
            method=HOSTILE[i - 1],
            state=["finished", "failed"][i % 2],
            result=result(1.0, stopped=name, notes=[name], text=name, design=[[name, name]])
            if i % 2 == 0
            else {"error": name},
        )
        for i, name in enumerate(HOSTILE)
    ]
    for i, (p, m) in enumerate((p, m) for p in HOSTILE[:2] for m in HOSTILE[2:4]):
        one = {"kind": "trial", "race": race, "problem": p, "method": m, "seed": 0}
        made.append(row(100 + i, name=f"{p}/{m}", **one))
    for number in fill(store, made):
        trail(store, number, [3.0, 2.0, 1.0])


class Parsed(HTMLParser):
    """Tags with their attributes, and the text that people see."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._inside = "", ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@dataclass
class Answer:
    """status: code.  headers: lower case.  text: of the body."""

    status: int
    headers: dict[str, str]
    text: str
    page: Parsed = field(init=False)

    def __post_init__(self) -> None:
        self.page = Parsed(self.text)


class Client:
    """Requests to the dashboard of a store, without a network."""

    def __init__(self, where: Any, named: str = "", **options: Any):
        self.site = Site(where, named)
        self.site.index.wait()
        self.app = application(self.site, **options)

    def __call__(
        self,
        address: str = "/",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        path, _, query = address.partition("?")
        given = {"host": "127.0.0.1:8080", **(headers or {})}
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(k.lower().encode(), v.encode()) for k, v in given.items()],
            "scheme": "http",
            "server": ("127.0.0.1", 8080),
            "client": ("127.0.0.1", 1),
            "http_version": "1.1",
        }
        asyncio.run(self.app(scope, receive, send))
        body = b"".join(m.get("body", b"") for m in sent[1:])
        found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, body.decode())


@contextlib.contextmanager
def served(where: Any, root_path: str = "") -> Iterator[str]:
    """A dashboard on a free port, in a thread: its address, with the path before all pages."""
    import uvicorn

    site = Site(where)
    opened = listening("127.0.0.1", 0)
    config = uvicorn.Config(
        application(site, root_path=root_path),
        log_level="error",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{opened.getsockname()[1]}{root_path}"
    server.should_exit = True
    thread.join()
    site.close()


def contrast(first: str, second: str) -> float:
    """The ratio of WCAG 2 between two colours #rgb or #rrggbb."""

    def light(colour: str) -> float:
        digits = colour.removeprefix("#")
        digits = "".join(c * 2 for c in digits) if len(digits) == 3 else digits
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(first), light(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def variables(css: str) -> list[dict[str, str]]:
    """The colours of a page by name: in the light, and in the dark."""
    found = re.findall(r":root\{([^}]*)\}", css)[:2]
    return [dict(re.findall(r"--(\w+):(#\w+)", block)) for block in found]
