"""Where a store is: the one place that tells a path from a URL, and that makes the URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..core.errors import ArgumentTypeError, StoreError
from ..core.secrets import legible

DEFAULT = "feasible.db"
"""The store where none is named."""


SQLITE, POSTGRES = ("sqlite", "sqlite+pysqlite"), ("postgresql", "postgres", "postgresql+psycopg")
"""What a URL of either kind begins with."""


def store_place(where: Any = None) -> Path | sa.URL:
    """Return where a store is: the file of SQLite, or the URL of a PostgreSQL database.

    Args:
        where: As in `store_file`, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE, where special
            characters of user and password are written as %XX; what it leaves out comes from
            libpq's environment variables, the password from ~/.pgpass too.

    Raises:
        StoreError: A URL of anything else.
        ArgumentTypeError: Neither path nor text.
    """
    if isinstance(where, sa.URL):
        where = where.render_as_string(hide_password=False)
    if not isinstance(where, str) or where.partition("://")[0].lower() not in POSTGRES:
        return store_file(where)
    shown = legible(where)
    try:
        url = sa.make_url(where)
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is None or "@" in (url.host or "") or "/" in (url.database or ""):
        raise StoreError(
            f"store '{shown}': expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with "
            "special characters of user and password as %XX (%40 for @, %2F for /)"
        ) from None
    return url


def store_file(where: Any = None) -> Path:
    """Return the file of a store.

    Args:
        where: A path, whatever characters it has: what holds no "://" is one. Or the URL of an
            SQLite file. None for ./feasible.db.

    Raises:
        StoreError: A URL of anything else, or of no file.
        ArgumentTypeError: Neither path nor text.

    Examples:
        >>> store_file("run?1.db").name, store_file("sqlite:///a b#2.db").name, store_file().name
        ('run?1.db', 'a b#2.db', 'feasible.db')
    """
    if where is None:
        return Path(DEFAULT)
    if not isinstance(where, (str, os.PathLike)):
        raise ArgumentTypeError(
            f"store={where!r:.60}: expected a path, a feasible store, or None for ./{DEFAULT}"
        )
    text = os.fspath(where)
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if "://" in text and not isinstance(where, os.PathLike):
        text = _file_of(text)
    if text in ("", ":memory:") or "\0" in text:
        raise StoreError(
            f"store '{legible(text)}': expected a file, for example {DEFAULT}; without a store a "
            "run is in memory"
        )
    return Path(text)


def _file_of(url: str) -> str:
    """Return the file that a URL names. Raises StoreError where it is none of SQLite's."""
    shown = legible(url)
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in SQLITE:
        raise StoreError(
            f"store '{shown}': a store is an SQLite file or a PostgreSQL database; expected a path "
            "such as runs.db, or postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    if rest and not rest.startswith("/"):
        raise StoreError(
            f"store '{shown}': a URL of SQLite names no host; expected a path such as runs.db, or "
            "sqlite:///runs.db with three slashes"
        )
    if "?" in rest:
        raise StoreError(
            f"store '{shown}': options after '?' are not taken; expected sqlite:///runs.db, or a "
            "path, which may hold any character"
        )
    return rest[1:]


def store_url(file: Path) -> sa.URL:
    """Return the URL of an SQLite file, by parts, so that no character of the path means more."""
    return sa.URL.create("sqlite", database=os.path.abspath(file))
