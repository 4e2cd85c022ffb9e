"""The first schema: races, runs, evaluations (the ledger), trail points, checkpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""Whole numbers of 64 bits; SQLite's Integer has them."""


def upgrade() -> None:
    op.create_table(
        "feasible_races",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_table(
        "feasible_runs",
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
        sa.Column("reserved", sa.Text, nullable=False),
        sa.Column("rows", WHOLE, nullable=False),
        sa.Column("told", WHOLE, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("updated", sa.Float, nullable=False),
    )
    op.create_table(
        "feasible_evaluations",
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
    )
    told, pending = sa.text("told IS NOT NULL"), sa.text("status IN (3, 4)")
    op.create_index(
        "feasible_evaluations_told",
        "feasible_evaluations",
        ["run", "told"],
        sqlite_where=told,
        postgresql_where=told,
    )
    op.create_index(
        "feasible_evaluations_open",
        "feasible_evaluations",
        ["run"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.create_table(
        "feasible_points",
        sa.Column("run", sa.Integer, sa.ForeignKey("feasible_runs.id"), primary_key=True),
        sa.Column("n", WHOLE, primary_key=True),
        sa.Column("step", WHOLE, nullable=False),
        sa.Column("spent", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
    )
    op.create_table(
        "feasible_checkpoints",
        sa.Column("run", sa.Integer, sa.ForeignKey("feasible_runs.id"), primary_key=True),
        sa.Column("told", WHOLE, nullable=False),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
