"""Writing a row whether or not there is one with its key."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: sa.Connection, table: sa.Table, columns: Iterable[str] | None = None) -> Any:
    """Return the statement that inserts rows, each instead of the one with its primary key.

    Args:
        connection: To the database.
        table: The table.
        columns: Those that a row gives; others of a row that is there stay. None: all.
    """
    return _statement(connection.dialect.name, table, None if columns is None else tuple(columns))


@cache
def _statement(dialect: str, table: sa.Table, columns: tuple[str, ...] | None) -> Any:
    """Return the statement in the words of a kind of database."""
    kind = postgresql if dialect == "postgresql" else sqlite
    statement = kind.insert(table)
    key = [c.name for c in table.primary_key]
    given = [c.name for c in table.c] if columns is None else columns
    rest = {name: statement.excluded[name] for name in given if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=rest)
