"""Pages as HTML: self-contained files without network, or pages that the dashboard serves.

Names come from users, so nothing of them is trusted: Jinja escapes the page, data inside scripts
has no `<`, Plotly strings are escaped in figures.py, and a content security policy allows only the
page's own scripts and no connection to elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from ..core.errors import ArgumentError

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        id: Its place.
        data: Its data as JSON for a script.
        caption: A sentence under it.
        height: In pixels.
    """

    id: str
    data: Markup
    caption: str = ""
    height: int = 420


def picture(name: str, figure: go.Figure, caption: str = "", height: int = 420) -> Picture:
    """Return a figure ready for the page.

    Args:
        name: Its id on the page.
        figure: The figure.
        caption: A sentence under it.
        height: In pixels.
    """
    return Picture(
        name, script_data(figure.to_json()), caption, int(figure.layout.height or height)
    )


def script_data(json: str) -> Markup:
    """Return JSON that can stand inside a script element: no `<`, `>`, `&` or line separators,
    which only occur in its strings.
    """
    for character in "<>&\u2028\u2029":
        json = json.replace(character, f"\\u{ord(character):04x}")
    return Markup(json)


@cache
def environment() -> Environment:
    """Return what renders the templates."""
    return Environment(
        loader=PackageLoader("feasible.lab", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def source(name: str) -> str:
    """Return the text of a file beside the templates."""
    loader = environment().loader
    assert loader is not None
    return loader.get_source(environment(), name)[0]


@cache
def plotly_js() -> str:
    """Return the library that draws the figures, of the installed plotly."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("\r\n", "\n")


def page(template: str, *, plots: bool = False, **values: Any) -> str:
    """Render a template as a page that is one file.

    Args:
        template: Its name.
        plots: Whether it has figures.
        values: What it shows.
    """
    own, library = source("page.js"), plotly_js() if plots else ""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
        for s in ([library] if plots else []) + [own]
    )
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        environment()
        .get_template(template)
        .render(
            script=Markup(own),
            style=Markup(source("page.css")),
            library=Markup(library),
            policy=policy,
            **values,
        )
    )


def write_page(path: Path, text: str) -> Path:
    """Write all of a file or nothing: to a temporary file beside it, which then takes its place."""
    if path.is_dir():
        raise ArgumentError(
            f"path '{path}' is a folder: expected the name of a file, such as "
            f"{path / 'report.html'}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    umask = os.umask(0)
    os.umask(umask)
    handle, temporary = tempfile.mkstemp(prefix=".feasible-", suffix=".html", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "replace"))
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
