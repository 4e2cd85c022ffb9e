"""The tables of the store. Their names start with `feasible_`, so that they can live beside other
tools' tables.
"""

from __future__ import annotations

import sqlalchemy as sa

from ..core.ledger import CHECKED, PENDING

HEAD = "0005"
"""The schema version this code reads and writes; the newest file in migrations/versions."""
VERSION_TABLE = "feasible_alembic_version"

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""Whole numbers of 64 bits; SQLite's Integer has them."""
metadata = sa.MetaData()

races = sa.Table(
    "feasible_races",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False, default=0.0),
)

runs = sa.Table(
    "feasible_runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("race", sa.Integer, sa.ForeignKey("feasible_races.id"), index=True),
    sa.Column("problem", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("seed", WHOLE, nullable=False),
    sa.Column("budget", sa.Text, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("result", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("reserved", sa.Text, nullable=False, default="{}"),
    sa.Column("rows", WHOLE, nullable=False, default=0),
    sa.Column("told", WHOLE, nullable=False, default=0),
    sa.Column("version", WHOLE, nullable=False, default=0),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("updated", sa.Float, nullable=False, index=True),
    sa.Column("lease", sa.Float),
    sa.Column("fence", WHOLE, nullable=False, server_default="0"),
)

evaluations = sa.Table(
    "feasible_evaluations",
    metadata,
    sa.Column("run", sa.Integer, sa.ForeignKey("feasible_runs.id"), primary_key=True),
    sa.Column("row", WHOLE, primary_key=True),
    sa.Column("x", sa.Text, nullable=False),
    sa.Column("objective", sa.Float),
    sa.Column("violation", sa.Float),
    sa.Column("constraints", sa.Text, nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("tag", WHOLE, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("seconds", sa.Float),
    sa.Column("at", sa.Float),
    sa.Column("told", WHOLE),
    sa.Column("charged", sa.Text),
    sa.Column("note", sa.Text),
    sa.Column("updated", sa.Float),
    sa.Column("replicates", sa.Text),
)

IS_OPEN = sa.text(f"status IN ({PENDING}, {CHECKED})")
"""Whether an experiment is out: a query has it word for word, or its partial index is not used."""

# Partial, so that the ledger of a run (which tells nothing and leaves nothing open) pays for
# neither.
sa.Index(
    "feasible_evaluations_told",
    evaluations.c.run,
    evaluations.c.told,
    sqlite_where=evaluations.c.told.is_not(None),
    postgresql_where=evaluations.c.told.is_not(None),
)
sa.Index(
    "feasible_evaluations_open",
    evaluations.c.run,
    sqlite_where=IS_OPEN,
    postgresql_where=IS_OPEN,
)

points = sa.Table(
    "feasible_points",
    metadata,
    sa.Column("run", sa.Integer, sa.ForeignKey("feasible_runs.id"), primary_key=True),
    sa.Column("n", WHOLE, primary_key=True),
    sa.Column("step", WHOLE, nullable=False),
    sa.Column("spent", sa.Text, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
)

checkpoints = sa.Table(
    "feasible_checkpoints",
    metadata,
    sa.Column("run", sa.Integer, sa.ForeignKey("feasible_runs.id"), primary_key=True),
    sa.Column("told", WHOLE, nullable=False, default=0),
    sa.Column("blob", sa.LargeBinary, nullable=False),
)

answers = sa.Table(
    "feasible_answers",
    metadata,
    sa.Column("run", sa.Integer, sa.ForeignKey("feasible_runs.id"), primary_key=True),
    sa.Column("blob", sa.LargeBinary, nullable=False),
)
